"""What a promise is: a check of one seed, which compares answers and raises `Breach` where they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Promise:
    """``check`` of a seed; ``goal`` is how many seeds a full campaign tries. ``shrunk`` gives the input of a seed, made small."""

    name: str
    title: str
    how: str
    check: Callable[[int], int]
    shrunk: Callable[[int], str]
    goal: int
    unit: str
    limit: float = 60.0


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
