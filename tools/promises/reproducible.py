"""The same source and the same compiler give the same bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import test_reproducible as builds

from promises.promise import ROOT, Breach, Counted, Promise

MODELS = sorted((ROOT / "models").glob("*.brk"))


def reproducible(seed: int) -> Counted:
    """One model built here, and by each of the other users elsewhere."""
    model = MODELS[seed]
    with tempfile.TemporaryDirectory() as place:
        first = builds.built(Path(place) / "out", [model], {"PYTHONHASHSEED": "0"})
    count, missing = 0, 0
    for around in builds.AROUND:
        with tempfile.TemporaryDirectory() as place:
            try:
                again = builds.elsewhere(model, Path(place), around)
            except builds.Unavailable:
                missing += 1
                continue
        different = [name for name in {**first, **again} if first.get(name) != again.get(name)]
        if different:
            raise Breach(f"{model.name} under {around}: {different}")
        count += len(first)
    return Counted(count, {"builds without their locale": missing} if missing else {})


def _text(seed: int) -> str:
    return MODELS[seed].read_text(encoding="utf-8")


PROMISES = (
    Promise(
        "reproducible", "the same source and compiler give the same bytes",
        f"every model for NumPy and C, text and binary, in two folders, one of a non-ASCII name, under {len(builds.AROUND)}"
        " environments: locales, encodings, time zones, hash seeds",
        reproducible, _text, len(MODELS), "files", 600.0,
    ),
)  # fmt: skip
