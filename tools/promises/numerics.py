"""No elementary function is further from the truth than its bound."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import ulps

from promises.promise import Breach, Promise

SLICES = 64
"""Parts of all float32."""

SAMPLES = 10
"""Parts of a million float64."""


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _what(seed: int) -> tuple[str, str, int, int]:
    """Type, function and range of arguments of a seed."""
    function, part = ulps.FUNCTIONS[seed % len(ulps.FUNCTIONS)], seed // len(ulps.FUNCTIONS)
    if part < SLICES:
        return "float32", function, part * (ulps.ALL // SLICES), (part + 1) * (ulps.ALL // SLICES)
    return "float64", function, (part - SLICES) * 10**6, (part - SLICES + 1) * 10**6


def numerics(seed: int) -> int:
    """One function on a part of its arguments, at every level of the machine."""
    dtype, function, first, last = _what(seed)
    problem = ulps.breach(dtype, function, ulps.measure(dtype, function, first, last, Path(_folder().name)))
    if problem is not None:
        raise Breach(problem)
    return last - first


def _text(seed: int) -> str:
    return "{} {}, arguments {} to {}".format(*_what(seed))


PROMISES = (
    Promise(
        "numerics", "no elementary function exceeds its bound",
        f"{len(ulps.FUNCTIONS)} functions at every level of the machine, on all float32 in {SLICES} parts and 10 million float64,"
        " against the C library in a wider type",
        numerics, _text, len(ulps.FUNCTIONS) * (SLICES + SAMPLES), "arguments", 900.0,
    ),
)  # fmt: skip
