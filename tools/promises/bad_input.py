"""Bad input never shows a traceback."""

from __future__ import annotations

import random
from functools import cache

import fuzz

from promises.promise import Breach, Promise


def _bad(seed: int) -> str:
    return fuzz.mutated(_corpus(), random.Random(seed))


@cache
def _corpus() -> list[str]:
    return fuzz.corpus()


def bad_input(seed: int) -> int:
    """A mutated source in the front end; one of ten through all stages."""
    trace = fuzz.failure(_bad(seed), stages=seed % 10 == 0)
    if trace is not None:
        raise Breach(trace)
    return 1


PROMISES = (
    Promise(
        "bad-input", "bad input never shows a traceback", "mutated sources in the front end, every tenth through all stages",
        bad_input, _bad, 1_000_000, "sources",
    ),
)  # fmt: skip
