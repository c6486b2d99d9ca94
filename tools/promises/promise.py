"""What a promise is: a check of one seed, which compares answers and raises `Breach` where they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-8
"""Of the largest entry, or of 1."""


class Breach(Exception):
    """Two answers that differ."""


class Skip(Exception):
    """A draw that says nothing."""


BINS = 16
"""Bins of a histogram of times for every factor of two: an edge is known to 4 %."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a check found: how many cases, ``also`` what is worth counting beside them, and ``times`` in seconds, of which the
    campaign tells the hundredth that takes longest."""

    cases: int
    also: Mapping[str, int] = field(default_factory=dict)
    times: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Promise:
    """``check`` of a seed; ``goal`` is how many seeds a full campaign tries. ``shrunk`` gives the input of a seed, made small.
    ``per`` is what the times of its `Counted` are taken for."""

    name: str
    title: str
    how: str
    check: Callable[[int], int | Counted]
    shrunk: Callable[[int], str]
    goal: int
    unit: str
    limit: float = 60.0
    per: str = ""


def bin_of(seconds: float) -> int:
    """The bin of a time: the least whole number k for which it is at most 2^(k / BINS)."""
    return math.ceil(BINS * math.log2(max(seconds, 1e-9)))


def quantile(bins: Mapping[str, int], share: float) -> float:
    """The time that this share of all does not exceed."""
    left = share * sum(bins.values())
    for key in sorted(bins, key=int):
        left -= bins[key]
        if left <= 1e-9:
            break
    return float(2 ** (int(key) / BINS))


def compare(what: str, found: Any, wanted: Any, tolerance: float = TOLERANCE) -> None:
    """Raises where shapes differ or entries differ by more than ``tolerance`` of the largest."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        raise Breach(f"{what}: shape {found.shape}, not {wanted.shape}")
    scale = max(1.0, float(np.abs(wanted.astype(float)).max(initial=0)))
    if not np.allclose(found, wanted, rtol=0, atol=tolerance * scale):
        raise Breach(f"{what}: found\n{found}\nwanted\n{wanted}")


def finite(arrays: Sequence[Any]) -> bool:
    return all(np.isfinite(np.asarray(array, float)).all() for array in arrays)
