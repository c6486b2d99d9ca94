"""The tensor interpreter on complex numbers x + ih with h = 1e-30, whose imaginary part is h times the derivative.

f'(x) = Im f(x + ih) / h + O(h²) where f is analytic: no difference is taken, so nothing cancels (W. Squire and G. Trapp, *Using
Complex Variables to Estimate Derivatives of Real Functions*, SIAM Review 40, 1998). At kinks the piece is chosen by the real part,
and `Kink` is raised where that is no choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from unittest import mock

import numpy as np

from bracketc.ir import interpret as interpreter
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.linear_algebra import LINEAR_ALGEBRA
from bracketc.ir.nodes import Compare, Linalg, Node, Overlap, Pointwise, Recurrence, Reduce, Scatter, Tensor
from promises.promise import Array, Skip

STEP = 1e-30
DISTANCE = 1e-7
"""Values that are nearer to a kink are at it."""

Sizes = Mapping[str, int]
Arrays = Mapping[Tensor, Array]


class Kink(Skip):
    """A value too near to where there is no derivative."""


def complex_steps(nodes: Sequence[Node], values: Arrays, along: Arrays, sizes: Sizes) -> list[Array]:
    """Directional derivatives of ``nodes``, the tensors of ``along`` moving by their directions."""
    given = {node: np.asarray(value) for node, value in values.items()}
    given |= {node: given[node] + 1j * STEP * np.asarray(way) for node, way in along.items()}
    with mock.patch.dict(interpreter._RULES, _RULES), np.errstate(all="ignore"):
        found = interpreter._run(tuple(nodes), given, dict(sizes))
    return [np.imag(found[node]) / STEP for node in nodes]


def _apart(difference: Array) -> None:
    """Equal values are no kink where one is a constant copy of the other: both move alike or not at all."""
    near = np.abs(np.real(difference)) < DISTANCE
    if (near & (np.imag(difference) != 0)).any():
        raise Kink("at a kink")


def _dual(value: str, slope: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda z: FUNCTIONS[value].evaluate(np.real(z)) + 1j * np.imag(z) * slope(np.real(z))


def _choice(better: Callable[[Any, Any], Any]) -> Callable[[Array, Array], Array]:
    def choose(a: Array, b: Array) -> Array:
        _apart(a - b)
        return np.where(better(np.real(a), np.real(b)), a, b)

    return choose


def _piecewise(positive: float, negative: float) -> Callable[[Array], Array]:
    def piece(z: Array) -> Array:
        _apart(z)
        return np.where(np.real(z) > 0, positive, negative) * z

    return piece


def _steady(name: str) -> Callable[[Array], Array]:
    def steady(z: Array) -> Array:
        _apart(z)
        return cast(Array, FUNCTIONS[name].evaluate(np.real(z)))

    return steady


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "erf": _dual("erf", lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x)),
    "lgamma": _dual("lgamma", FUNCTIONS["digamma"].evaluate),
    "digamma": _dual("digamma", FUNCTIONS["trigamma"].evaluate),
    "trigamma": lambda z: FUNCTIONS["trigamma"].evaluate(np.real(z)),  # of constants only: it has no derivative here
    "stop": np.real,
    "abs": _piecewise(1.0, -1.0),
    "relu": _piecewise(1.0, 0.0),
    "sign": _steady("sign"),
    "step": _steady("step"),
    "max": _choice(np.greater),
    "min": _choice(np.less),
}


def _pointwise(node: Pointwise, args: list[Array], sizes: Sizes) -> Array:
    if node.function in _FUNCTIONS:
        return np.asarray(_FUNCTIONS[node.function](*args))
    number = 0.5 if node.exponent is None else float(node.exponent)
    if node.function == "power" and number.is_integer() and abs(number) <= 8:
        whole = np.ones_like(args[0])
        for _ in range(abs(int(number))):
            whole = whole * args[0]
        return whole if number >= 0 else 1 / whole
    return interpreter._pointwise(node, args, sizes)


def _compare(node: Compare, args: list[Array], sizes: Sizes) -> Array:
    _apart(args[0] - args[1])
    return interpreter._compare(node, [np.real(arg) for arg in args], sizes)


def _reduce(node: Reduce, args: list[Array], sizes: Sizes) -> Array:
    (arg,) = args
    if node.operator == "prod":
        return np.asarray(np.prod(arg, axis=node.axes))
    kept = tuple(axis for axis in range(arg.ndim) if axis not in node.axes)
    count = math.prod(arg.shape[axis] for axis in node.axes)
    flat = np.transpose(arg, (*kept, *node.axes)).reshape(*(arg.shape[axis] for axis in kept), count)
    if not flat.shape[-1]:
        return interpreter._reduce(node, [np.real(arg)], sizes)
    if node.operator == "logsumexp":
        top = np.real(flat).max(axis=-1, keepdims=True)
        terms = np.where(np.isneginf(np.real(flat)), 0, np.exp(np.where(np.isneginf(np.real(flat)), 0, flat) - top))
        return np.asarray(np.log(terms.sum(axis=-1)) + top[..., 0])
    order = np.argsort(np.real(flat), axis=-1)
    if node.operator == "max":
        order = order[..., ::-1]
    ranked = np.take_along_axis(flat, order[..., :2], -1)
    if ranked.shape[-1] == 2:
        with np.errstate(invalid="ignore"):
            _apart(ranked[..., 0] - ranked[..., 1])
    return ranked[..., 0]


def _cholesky(matrix: Array) -> Array:
    """Without conjugation, so that it is analytic; the lower triangle is read."""
    n = matrix.shape[-1]
    factor = np.zeros(matrix.shape, complex)
    for j in range(n):
        row = factor[..., j, :j]
        factor[..., j, j] = np.sqrt(matrix[..., j, j] - (row * row).sum(-1))
        for i in range(j + 1, n):
            factor[..., i, j] = (matrix[..., i, j] - (factor[..., i, :j] * row).sum(-1)) / factor[..., j, j]
    return factor


def _linalg(node: Linalg, args: list[Array], sizes: Sizes) -> Array:
    """The rules for matrices, with an analytic ln(det² A) / 2 in place of ln|det A|, which it is where A is real."""
    if node.operator == "logdet":
        return np.asarray(np.log(np.linalg.det(args[0]) ** 2) / 2)
    if node.operator == "cholesky":
        return _cholesky(args[0])
    return np.asarray(LINEAR_ALGEBRA[node.operator](*args))


def _linear(rule: Callable[..., Array]) -> Callable[..., Array]:
    """A rule that makes real arrays, for both parts."""

    def parts(node: Node, args: list[Array], sizes: Sizes) -> Array:
        real = rule(node, [np.real(args[0]), *args[1:]], sizes)
        return real + 1j * rule(node, [np.imag(args[0]), *args[1:]], sizes) if np.iscomplexobj(args[0]) else real

    return parts


def _recurrence(node: Recurrence, args: list[Array], sizes: Sizes) -> tuple[Array, ...]:
    steps = node.length.evaluate(sizes)
    first, second = len(node.carries), len(node.carries) + len(node.xs)
    carries, xs, consts = list(args[:first]), args[first:second], args[second:]
    shapes = [[extent.evaluate(sizes) for extent in result.shape] for result in node.body.results[first:]]
    stacks = [np.zeros((steps, *shape), complex) for shape in shapes]
    for t in reversed(range(steps)) if node.reverse else range(steps):
        given = [*carries, *(x[t] for x in xs), *consts]
        inner = interpreter._run(node.body.results, dict(zip(node.body.parameters, given, strict=True)), sizes)
        outputs = [inner[result] for result in node.body.results]
        carries = outputs[:first]
        for stack, value in zip(stacks, outputs[first:], strict=True):
            stack[t] = value
    return (*carries, *stacks)


_RULES: dict[Any, Any] = {
    Pointwise: _pointwise,
    Compare: _compare,
    Reduce: _reduce,
    Linalg: _linalg,
    Overlap: _linear(interpreter._overlap),
    Scatter: _linear(interpreter._scatter),
    Recurrence: _recurrence,
}
