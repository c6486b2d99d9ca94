"""What the traits of arguments say of arrays: the side conditions under which simplification is right.

violation([[1, 0], [1, 1]], "onehot rows")   ->   "row 2 is no one-hot vector: [1, 1]"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Tensor

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-6
"""How far entries may be off, relative to the largest one."""


def violations(tensor: Tensor, array: Array, bound: int | None = None) -> Iterator[tuple[str, str]]:
    """Each trait of ``tensor`` that ``array`` does not have, and where; ``bound`` is the C of ``integer in C`` as a number."""
    if bound is not None:
        wrong = _first((array < 0) | (array >= bound))
        if wrong is not None:
            yield f"integer in {_text(tensor.bound)}", f"entry {_place(wrong)} is {array[wrong]}, not in 0..{bound - 1}"
    for trait in tensor.traits:
        found = violation(array, trait)
        if found is not None:
            yield trait, found


def _text(bound: Dim | None) -> str:
    return "C" if bound is None else str(bound)


def violation(array: Array, trait: str) -> str | None:
    """Where ``array`` does not have ``trait``; ``None`` when it has it. Matrices stand in the last two axes, rows in the last."""
    return _CONDITIONS[trait](np.asarray(array, dtype=np.float64))


def _first(wrong: Array) -> tuple[int, ...] | None:
    """The index of the first entry that is true."""
    found = np.argwhere(wrong)
    return tuple(int(k) for k in found[0]) if len(found) else None


def _place(index: tuple[int, ...]) -> str:
    """As an index of the language, which counts from 1."""
    return f"[{','.join(str(k + 1) for k in index)}]"


def _close(left: Array, right: Array | float) -> Array:
    scale = max(1.0, float(np.max(np.abs(left), initial=0.0)))
    return np.asarray(np.abs(left - right) <= TOLERANCE * scale)


def _entries(test: Callable[[Array], Array], text: str) -> Callable[[Array], str | None]:
    def condition(array: Array) -> str | None:
        wrong = _first(~test(array))
        return None if wrong is None else f"entry {_place(wrong)} is {array[wrong]:.6g}, {text}"

    return condition


def _transposed(array: Array) -> Array:
    return np.swapaxes(array, -1, -2)


def _symmetric(array: Array) -> str | None:
    wrong = _first(~_close(array, _transposed(array)))
    if wrong is None:
        return None
    other = (*wrong[:-2], wrong[-1], wrong[-2])
    return f"entry {_place(wrong)} is {array[wrong]:.6g}, entry {_place(other)} is {array[other]:.6g}"


def _zero_where(pattern: Callable[[Array], Array]) -> Callable[[Array], str | None]:
    def condition(array: Array) -> str | None:
        wrong = _first((array != 0) & pattern(np.ones(array.shape[-2:], dtype=bool)))
        return None if wrong is None else f"entry {_place(wrong)} is {array[wrong]:.6g}, not 0"

    return condition


def _positive_definite(array: Array) -> str | None:
    found = _symmetric(array)
    if found is not None:
        return found
    least = float(np.min(np.linalg.eigvalsh(array), initial=np.inf))
    return None if least > 0 else f"its least eigenvalue is {least:.6g}"


def _orthogonal(array: Array) -> str | None:
    wrong = _first(~_close(_transposed(array) @ array, np.eye(array.shape[-1])))
    return None if wrong is None else f"the inner product of columns {wrong[-2] + 1} and {wrong[-1] + 1} is off"


def _onehot(array: Array) -> str | None:
    good = np.all((array == 0) | (array == 1), axis=-1) & (array.sum(-1) == 1)
    return _row(array, good, "is no one-hot vector")


def _stochastic(array: Array) -> str | None:
    good = np.all(array >= 0, axis=-1) & _close(array.sum(-1), 1.0)
    return _row(array, good, "is no distribution")


def _row(array: Array, good: Array, text: str) -> str | None:
    wrong = _first(~np.asarray(good))
    if wrong is None:
        return None
    shown = ", ".join(f"{entry:.6g}" for entry in array[wrong][:6]) + (", …" if array.shape[-1] > 6 else "")
    name = f"row {','.join(str(k + 1) for k in wrong)}" if wrong else "it"
    return f"{name} {text}: [{shown}]"


_CONDITIONS: dict[str, Callable[[Array], str | None]] = {
    "symmetric": _symmetric,
    "positive definite": _positive_definite,
    "diagonal": _zero_where(lambda ones: ~np.eye(len(ones), ones.shape[-1], dtype=bool)),
    "lower": _zero_where(lambda ones: np.triu(ones, 1)),
    "upper": _zero_where(lambda ones: np.tril(ones, -1)),
    "orthogonal": _orthogonal,
    "positive": _entries(lambda array: array > 0, "not positive"),
    "nonzero": _entries(lambda array: array != 0, "and must not be"),
    "onehot rows": _onehot,
    "stochastic rows": _stochastic,
}
