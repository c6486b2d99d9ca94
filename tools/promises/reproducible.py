"""The same source and the same compiler give the same bytes."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import test_reproducible as builds

from promises.promise import ROOT, Breach, Promise

MODELS = sorted((ROOT / "models").glob("*.brk"))


@cache
def _first(model: Path) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as place:
        return builds.built(Path(place) / "out", [model], {"PYTHONHASHSEED": "0"})


def reproducible(seed: int) -> int:
    """One model built twice: here, and by another user elsewhere."""
    model, around = MODELS[seed // len(builds.AROUND)], list(builds.AROUND)[seed % len(builds.AROUND)]
    first = _first(model)
    with tempfile.TemporaryDirectory() as place:
        again = builds.elsewhere(model, Path(place), around)
    different = [name for name in {**first, **again} if first.get(name) != again.get(name)]
    if different:
        raise Breach(f"{model.name} under {around}: {different}")
    return len(first)


def _text(seed: int) -> str:
    return MODELS[seed // len(builds.AROUND)].read_text(encoding="utf-8")


PROMISES = (
    Promise(
        "reproducible", "the same source and compiler give the same bytes",
        f"every model for NumPy and C, text and binary, in two folders, one of a non-ASCII name, under {len(builds.AROUND)}"
        " environments: locales, encodings, time zones, hash seeds",
        reproducible, _text, len(MODELS) * len(builds.AROUND), "files", 600.0,
    ),
)  # fmt: skip
