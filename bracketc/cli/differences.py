"""Derivatives by central differences, from the meaning of a program alone: nothing of the compiler but its interpreter.

The difference at h and the one at h/2 are combined so that their error is of fourth order; where the two are
far apart, a kink or a pole is near, and the entry says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bracketc.errors import UnsupportedError
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Pointwise, Recurrence, Tensor
from bracketc.ir.rewrite import substitute, tensors, topological

Array = np.ndarray[Any, Any]

STEP = 1e-4
KINK = 1e-4
"""Relative distance of two differences beyond which the function is taken to have a kink in between."""


@dataclass(frozen=True, slots=True)
class Differences:
    """``values[k]`` is the derivative by entry ``picks[k]`` (flat) of the input; ``smooth[k]`` whether it means
    something.

    ``noise`` is what rounding alone may make of a derivative that is 0.
    """

    picks: Array
    values: Array
    smooth: Array
    noise: float


def function_of(
    target: Node, source: Node, arrays: Mapping[str, Array], sizes: Mapping[str, int]
) -> Callable[[Array], Array]:
    """``target`` as a function of ``source``, an argument or a definition, where the graph is cut."""
    placeholder = Tensor("%source", source.shape)
    (cut,) = substitute((target,), {source: placeholder})
    known = {t: arrays[t.name] for t in tensors([cut]) if t is not placeholder}

    def call(value: Array) -> Array:
        return interpret([cut], {**known, placeholder: value}, sizes)[0]

    return call


def frozen(
    target: Node, arrays: Mapping[str, Array], sizes: Mapping[str, int]
) -> tuple[Node, dict[str, Array]]:
    """``target`` with every ``stop(…)`` a constant of its value at ``arrays``, and the arrays with these constants."""
    order = topological([target])
    for node in order:
        if isinstance(node, Recurrence) and any(map(_is_stop, topological(node.body.results))):
            raise UnsupportedError("no differences of a loop that contains stop(…)")
    known = dict(arrays)
    constants: dict[Node, Node] = {}
    for number, node in enumerate(filter(_is_stop, order)):
        constant = Tensor(f"%stop{number}", node.shape)
        known[constant.name] = value_of(node, arrays, sizes)
        constants[node] = constant
    return substitute((target,), constants)[0], known


def _is_stop(node: Node) -> bool:
    return isinstance(node, Pointwise) and node.function == "stop"


def value_of(node: Node, arrays: Mapping[str, Array], sizes: Mapping[str, int]) -> Array:
    """The array of a node."""
    return interpret([node], {t: arrays[t.name] for t in tensors([node])}, sizes)[0]


def central(function: Callable[[Array], Array], point: Array, picks: Sequence[int] | Array) -> Differences:
    """Differences of ``function`` at ``point``, one for each of the entries ``picks``."""
    flat = np.array(point, dtype=np.float64).ravel()
    values: list[Array] = []
    smooth: list[bool] = []
    size = float(np.max(np.abs(function(flat.reshape(point.shape))), initial=0.0))
    for pick in picks:
        direction = np.zeros_like(flat)
        direction[pick] = 1.0
        value, good = along(function, point, direction.reshape(point.shape), STEP * max(1.0, abs(flat[pick])))
        values.append(value)
        smooth.append(good)
    shape = function(flat.reshape(point.shape)).shape
    stacked = np.stack(values) if values else np.zeros((0, *shape))
    return Differences(np.asarray(picks, dtype=int), stacked, np.array(smooth, dtype=bool), 1e-10 * max(size, 1e-3))


def along(function: Callable[[Array], Array], point: Array, direction: Array, step: float = STEP) -> tuple[Array, bool]:
    """The derivative of ``function`` in a direction, and whether it is smooth there."""
    wide, narrow = (
        (function(point + h * direction) - function(point - h * direction)) / (2 * h) for h in (step, step / 2)
    )
    largest = float(np.max(np.abs(narrow), initial=0.0))
    apart = float(np.max(np.abs(wide - narrow), initial=0.0))
    return (4 * narrow - wide) / 3, apart <= KINK * largest + 1e-7


def disagreement(expected: Array, found: Array, noise: float = 0.0) -> float:
    """sqrt(Σ(e - f)² / Σ(e + f)²), the criterion of Deisenroth, Faisal and Ong; 0 where both are but ``noise``."""
    apart = np.asarray(expected, dtype=np.float64) - found
    largest = max(float(np.max(np.abs(array), initial=0.0)) for array in (expected, found))
    if largest <= noise:
        return 0.0
    together = float(np.sum((expected + np.asarray(found)) ** 2))
    return float(np.sqrt(np.sum(apart**2) / together)) if together > 0 else float("inf")
