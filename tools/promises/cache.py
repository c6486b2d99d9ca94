"""The cache of built modules survives whatever happens around it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cachechecks

from promises.promise import Promise

PROCESSES = 32


def at_once(seed: int) -> int:
    """Processes that build at once: all of one model, or several models among them."""
    with tempfile.TemporaryDirectory() as place:
        cachechecks.at_once(Path(place), PROCESSES, (1, 2, 8, 32)[seed % 4])
    return PROCESSES


def killed(seed: int) -> int:
    """One build, ended at a random moment, and built again."""
    with tempfile.TemporaryDirectory() as place:
        return int(cachechecks.killed(Path(place), seed))


def _text(seed: int) -> str:
    return cachechecks.BUILD


PROMISES = (
    Promise(
        "cache", "processes that build at once are all right",
        f"{PROCESSES} processes that build 1, 2, 8 or 32 models in one cache",
        at_once, _text, 4, "processes", 900.0,
    ),
    Promise(
        "killed", "a build that is killed is built again",
        "kill -9 of the process, or of its compiler too, at a random moment; then the same build, answers compared",
        killed, _text, 200, "builds ended half-way", 300.0,
    ),
)  # fmt: skip
