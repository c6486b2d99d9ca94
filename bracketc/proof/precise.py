"""The tensor IR in decimal arithmetic: what rounding hides in float64 shows here.

Arrays hold :class:`decimal.Decimal`; each kind of node is read as :mod:`bracketc.ir.interpret` reads it. It is slow, and
meant for a few entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal, localcontext
from typing import Any, cast

import numpy as np

from bracketc.ir.interpret import _COMPARISONS, _extents, _positions
from bracketc.ir.nodes import (
    Add,
    Compare,
    Delta,
    Einsum,
    Gather,
    Linalg,
    Literal,
    Node,
    Overlap,
    Pointwise,
    Project,
    Range,
    Recurrence,
    Reduce,
    Scatter,
    Select,
    Size,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.rewrite import topological
from bracketc.proof.decimals import FUNCTIONS, INFINITE, ONE, ZERO, exact, power

Array = np.ndarray[Any, Any]
Sizes = Mapping[str, int]

DIGITS = 100
"""Decimal digits of every number."""

SAME = Decimal(10) ** -80
"""Largest distance of sides that agree, relative to the largest number on the way to them."""


def interpret_precisely(roots: Iterable[Node], values: Mapping[Tensor, Array], sizes: Sizes) -> dict[Node, Array]:
    """Arrays of decimals of every node below ``roots``; ``values`` in float64, int64 or decimals.

    Raises ``ValueError`` where an index leaves its axis or a matrix is singular.
    """
    with localcontext(Context(prec=DIGITS, traps=[], Emax=10**9, Emin=-(10**9))):
        arrays = {node: decimals(value) if node.dtype == "real" else value for node, value in values.items()}
        return _run(tuple(roots), arrays, sizes)


def decimals(array: Array) -> Array:
    """The same numbers without rounding."""
    return _each(lambda x: x if isinstance(x, Decimal) else Decimal(float(x)), array)


def orthogonal(array: Array) -> Array:
    """An orthogonal matrix to all digits, by a Householder reflection for every row (in the last two axes)."""
    with localcontext(Context(prec=DIGITS)):
        result = np.empty(array.shape, object)
        for place in np.ndindex(array.shape[:-2]):
            matrix = _eye(array.shape[-1])
            for row in decimals(array[place]):
                matrix = matrix - 2 * np.multiply.outer(row, row.dot(matrix)) / row.dot(row)
            result[place] = matrix[: array.shape[-2]]
        return result


def stochastic(array: Array) -> Array:
    """Rows that sum to 1 to all digits."""
    with localcontext(Context(prec=DIGITS)):
        given = decimals(array)
        return cast(Array, given / given.sum(-1, keepdims=True))


def _each(function: Callable[..., Any], *arrays: Array) -> Array:
    result = np.empty(arrays[0].shape, object)
    for place in np.ndindex(result.shape):
        result[place] = function(*(array[place] for array in arrays))
    return result


def _full(shape: tuple[int, ...], value: Decimal) -> Array:
    result = np.empty(shape, object)
    result[...] = value
    return result


def _eye(size: int) -> Array:
    result = _full((size, size), ZERO)
    for k in range(size):
        result[k, k] = ONE
    return result


def _run(roots: tuple[Node, ...], arrays: Mapping[Tensor, Array], sizes: Sizes) -> dict[Node, Any]:
    results: dict[Node, Any] = {}
    results.update(arrays.items())
    for node in topological(roots):
        if node not in results:
            rule = _RULES.get(type(node))
            if rule is None:
                raise ValueError(f"cannot interpret {node!r}")
            value = rule(node, [results[operand] for operand in node.operands], sizes)
            results[node] = _scalar(value) if isinstance(value, Decimal) else value  # NumPy unwraps objects of rank 0
    return results


def _scalar(value: Decimal) -> Array:
    return _full((), value)


def _einsum(node: Einsum, args: list[Array], sizes: Sizes) -> Array:
    value = _scalar(exact(node.coefficient))
    labels: list[int] = []
    factors = [(array, list(own)) for array, (_, own) in zip(args, node.factors, strict=True)]
    for place, (array, own) in enumerate(factors):
        if array.dtype == np.bool_:
            array = _each(lambda x: ONE if x else ZERO, array)
        own = list(own)
        for label in dict.fromkeys(own):
            while own.count(label) > 1:  # a diagonal
                first = own.index(label)
                second = own.index(label, first + 1)
                array = np.diagonal(array, axis1=first, axis2=second)
                own = [x for k, x in enumerate(own) if k not in (first, second)] + [label]
        union = [*labels, *(x for x in own if x not in labels)]
        value = _aligned(value, labels, union) * _aligned(array, own, union)
        later = {x for _, rest in factors[place + 1 :] for x in rest} | set(node.output)
        done = tuple(k for k, x in enumerate(union) if x not in later)
        value = np.asarray(value.sum(axis=done), object) if done else value
        labels = [x for x in union if x in later]
    shape = _extents(node.shape, sizes)
    return np.broadcast_to(_aligned(np.asarray(value, object), labels, list(node.output)), shape)


def _aligned(array: Array, labels: list[int], wanted: list[int]) -> Array:
    """``array`` with its axes in the order of ``wanted``, of size 1 where it has none."""
    order = [labels.index(x) for x in wanted if x in labels]
    moved = np.asarray(array, object).transpose(order)
    sizes = iter(moved.shape)
    return moved.reshape([next(sizes) if x in labels else 1 for x in wanted])


def _pointwise(node: Pointwise, args: list[Array], sizes: Sizes) -> Array:
    if node.function == "power":
        exponent = node.exponent
        assert exponent is not None
        return _each(lambda x: power(x, exponent), args[0])
    return _each(FUNCTIONS[node.function], *args)


def _reduce(node: Reduce, args: list[Array], sizes: Sizes) -> Array:
    (arg,) = args
    kept = [axis for axis in range(arg.ndim) if axis not in node.axes]
    moved = arg.transpose([*kept, *node.axes]).reshape([*(arg.shape[k] for k in kept), -1])
    result = np.empty(moved.shape[:-1], object)
    for place in np.ndindex(result.shape):
        result[place] = _REDUCTIONS[node.operator](list(moved[place]))
    return result


def _product(entries: list[Decimal]) -> Decimal:
    result = ONE
    for entry in entries:
        result *= entry
    return result


def _logsumexp(entries: list[Decimal]) -> Decimal:
    return sum((entry.exp() for entry in entries), ZERO).ln() if entries else -INFINITE


_REDUCTIONS: dict[str, Callable[[list[Decimal]], Decimal]] = {
    "max": lambda entries: max(entries, default=-INFINITE),
    "min": lambda entries: min(entries, default=INFINITE),
    "prod": _product,
    "logsumexp": _logsumexp,
}


def _window(node: Window, args: list[Array], sizes: Sizes) -> Array:
    grid = _positions(node.offset, node.steps, _extents(node.extents, sizes), sizes)
    if grid.size and not (grid.min() >= 0 and grid.max() < args[0].shape[node.axis]):
        raise ValueError(f"positions {grid.min()}..{grid.max()} in an axis of size {args[0].shape[node.axis]}")
    return np.take(args[0], grid, axis=node.axis)


def _overlap(node: Overlap, args: list[Array], sizes: Sizes) -> Array:
    (arg,) = args
    count = len(node.steps)
    grid = _positions(node.offset, node.steps, arg.shape[node.axis : node.axis + count], sizes)
    result = _full(_extents(node.shape, sizes), ZERO)
    leading = np.moveaxis(result, node.axis, 0)
    moved = np.moveaxis(arg, range(node.axis, node.axis + count), range(count))
    for place in np.ndindex(grid.shape):
        leading[grid[place]] = leading[grid[place]] + moved[place]
    return result


def _scatter(node: Scatter, args: list[Array], sizes: Sizes) -> Array:
    result = _full(_extents(node.shape, sizes), ZERO)
    for place in np.ndindex(args[1].shape):
        result[args[1][place]] = result[args[1][place]] + args[0][place]
    return result


def _linalg(node: Linalg, args: list[Array], sizes: Sizes) -> Array:
    batch = args[0].shape[:-2]
    rule = _MATRICES[node.operator]
    result = np.empty(_extents(node.shape, sizes), object)
    for place in np.ndindex(batch):
        result[place] = rule(*(array[place] for array in args))
    return result


def _eliminated(matrix: Array, right: Array) -> tuple[Array, Decimal]:
    """The solution of a linear system and the determinant, by Gauss with pivots of largest size."""
    left, right = np.array(matrix, object), np.array(right, object)
    size, factor = len(left), ONE
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(left[row, column]))
        if left[pivot, column] == 0:
            raise ValueError("a singular matrix")
        if pivot != column:
            left[[column, pivot]], right[[column, pivot]] = left[[pivot, column]], right[[pivot, column]]
            factor = -factor
        factor *= left[column, column]
        scale = left[column, column]
        left[column], right[column] = left[column] / scale, right[column] / scale
        for row in range(size):
            if row != column and left[row, column] != 0:
                times = left[row, column]
                left[row], right[row] = left[row] - times * left[column], right[row] - times * right[column]
    return right, factor


def _determinant(matrix: Array) -> Decimal:
    try:
        return _eliminated(matrix, _eye(len(matrix)))[1]
    except ValueError:
        return ZERO


def _cholesky(matrix: Array) -> Array:
    size = len(matrix)
    lower = _full((size, size), ZERO)
    for row in range(size):
        for column in range(row + 1):
            rest = matrix[row, column] - sum((lower[row, k] * lower[column, k] for k in range(column)), ZERO)
            if row == column and not rest > 0:
                raise ValueError("a matrix that is not positive definite")
            lower[row, column] = rest.sqrt() if row == column else rest / lower[column, column]
    return lower


_MATRICES: dict[str, Callable[..., Any]] = {
    "inv": lambda a: _eliminated(a, _eye(len(a)))[0],
    "solve": lambda a, b: _eliminated(a, b)[0],
    "solve_lower": lambda a, b: _eliminated(a, b)[0],
    "solve_upper": lambda a, b: _eliminated(a, b)[0],
    "det": _determinant,
    "logdet": lambda a: abs(_determinant(a)).ln(),
    "cholesky": _cholesky,
}


def _recurrence(node: Recurrence, args: list[Array], sizes: Sizes) -> tuple[Array, ...]:
    steps = node.length.evaluate(sizes)
    first, second = len(node.carries), len(node.carries) + len(node.xs)
    carries, xs, consts = list(args[:first]), args[first:second], args[second:]
    stacks = [_full((steps, *_extents(result.shape, sizes)), ZERO) for result in node.body.results[first:]]
    for t in reversed(range(steps)) if node.reverse else range(steps):
        given = [*carries, *(np.asarray(x[t]) for x in xs), *consts]
        inner = _run(node.body.results, dict(zip(node.body.parameters, given, strict=True)), sizes)
        outputs = [inner[result] for result in node.body.results]
        carries = outputs[:first]
        for stack, value in zip(stacks, outputs[first:], strict=True):
            stack[t] = value
    return (*carries, *stacks)


_RULES: dict[type[Node], Callable[[Any, list[Any], Sizes], Any]] = {
    Literal: lambda node, args, sizes: _scalar(exact(node.value)),
    Size: lambda node, args, sizes: _scalar(Decimal(node.dim.evaluate(sizes))),
    Range: lambda node, args, sizes: decimals(np.arange(1.0, node.extent.evaluate(sizes) + 1)),
    Delta: lambda node, args, sizes: _eye(node.extent.evaluate(sizes)),
    Einsum: _einsum,
    Add: lambda node, args, sizes: sum(args[1:], args[0]),
    Pointwise: _pointwise,
    Compare: lambda node, args, sizes: np.asarray(_COMPARISONS[node.operator](*args), np.bool_),
    Select: lambda node, args, sizes: np.where(*args),
    Reduce: _reduce,
    Window: _window,
    Overlap: _overlap,
    Gather: lambda node, args, sizes: args[0][args[1]],
    Scatter: _scatter,
    Stack: lambda node, args, sizes: np.stack(args),
    Linalg: _linalg,
    Recurrence: _recurrence,
    Project: lambda node, args, sizes: args[0][node.index],
}
