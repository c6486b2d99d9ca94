"""The meaning of the tensor IR in NumPy: the oracle of every pass and every backend.

Written for clearness, not speed: each node is one array, each kind one function that restates its docstring in
:mod:`bracketc.ir.nodes`.

>>> x = tensor("x", "N")
>>> interpret([einsum(1, [(x, "i"), (x, "i")], "")], {x: np.array([3.0, 4.0])})
[array(25.)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from bracketc.ir.dims import Dim, solve
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.linear_algebra import LINEAR_ALGEBRA
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

Array = np.ndarray[Any, Any]
Sizes = Mapping[str, int]


def interpret(roots: Iterable[Node], values: Mapping[Tensor, Any], sizes: Sizes | None = None) -> list[Array]:
    """Arrays of ``roots`` in float64, given arrays for every tensor below them.

    ``sizes`` gives named sizes; those that the shapes of the tensors determine may be left out. A size conflict, a missing tensor
    or a node that ``calculus`` should have expanded raises ``ValueError``.
    """
    roots = tuple(roots)
    arrays = {node: np.asarray(value, _dtype(node)) for node, value in values.items()}
    known = infer_sizes({node: array.shape for node, array in arrays.items()}, sizes)
    with np.errstate(all="ignore"):
        results = _run(roots, arrays, known)
    return [np.array(results[root]) for root in roots]


def infer_sizes(shapes: Mapping[Tensor, Sequence[int]], sizes: Sizes | None = None) -> dict[str, int]:
    """Named sizes from the shapes of tensors, each polynomial solved when one name in it is unknown."""
    known = dict(sizes or {})
    waiting = []
    for node, shape in shapes.items():
        if len(shape) != node.rank:
            raise ValueError(f"{node.name}: rank {len(shape)}, declared {node.rank}")
        waiting += [(node.name, dim, extent) for dim, extent in zip(node.shape, shape, strict=True)]
    while waiting:
        left = []
        for name, dim, extent in waiting:
            if all(size in known for size in dim.names):
                if dim.evaluate(known) != extent:
                    raise ValueError(f"{name}: an axis of {dim} = {dim.evaluate(known)} has size {extent}")
                continue
            found = solve(dim, known, extent)
            if found is None:
                left.append((name, dim, extent))
            else:
                known[found[0]] = found[1]
        if len(left) == len(waiting):
            raise ValueError(f"sizes not determined: {', '.join(str(dim) for _, dim, _ in left)}")
        waiting = left
    return known


def _dtype(node: Node) -> Any:
    return {"real": np.float64, "integer": np.int64, "boolean": np.bool_}[node.dtype]


def _run(roots: tuple[Node, ...], arrays: Mapping[Tensor, Array], sizes: Sizes) -> dict[Node, Any]:
    results: dict[Node, Any] = {}
    results.update(arrays.items())
    for node in topological(roots):
        if node in results:
            continue
        rule = _RULES.get(type(node))
        if rule is None:
            raise ValueError(f"no value for {node!r}" if isinstance(node, Tensor) else f"cannot interpret {node!r}")
        results[node] = rule(node, [results[operand] for operand in node.operands], sizes)
    return results


def _extents(shape: Sequence[Dim], sizes: Sizes) -> tuple[int, ...]:
    return tuple(dim.evaluate(sizes) for dim in shape)


def _literal(node: Literal, args: list[Array], sizes: Sizes) -> Array:
    return np.asarray(float(node.value))


def _size(node: Size, args: list[Array], sizes: Sizes) -> Array:
    return np.asarray(float(node.dim.evaluate(sizes)))


def _range(node: Range, args: list[Array], sizes: Sizes) -> Array:
    return np.arange(1.0, node.extent.evaluate(sizes) + 1)


def _delta(node: Delta, args: list[Array], sizes: Sizes) -> Array:
    return np.eye(node.extent.evaluate(sizes))


def _einsum(node: Einsum, args: list[Array], sizes: Sizes) -> Array:
    carried = sorted({label for _, labels in node.factors for label in labels})
    kept = [label for label in node.output if label in carried]
    value: Array = np.asarray(1.0)
    if args:
        operands: list[Any] = []
        for array, (_, labels) in zip(args, node.factors, strict=True):
            operands += [array.astype(np.float64) if array.dtype == np.bool_ else array, [carried.index(x) for x in labels]]
        value = np.einsum(*operands, [carried.index(x) for x in kept], optimize="greedy" if len(args) > 2 else False)
    value = value * float(node.coefficient)
    shape = _extents(node.shape, sizes)
    aligned = [extent if label in kept else 1 for label, extent in zip(node.output, shape, strict=True)]
    return np.broadcast_to(value.reshape(aligned), shape)


def _add(node: Add, args: list[Array], sizes: Sizes) -> Array:
    result = args[0]
    for array in args[1:]:
        result = result + array
    return result


def _pointwise(node: Pointwise, args: list[Array], sizes: Sizes) -> Array:
    if node.function == "power":
        assert node.exponent is not None
        return cast(Array, np.power(args[0], float(node.exponent)))
    return cast(Array, FUNCTIONS[node.function].evaluate(*args))


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def _compare(node: Compare, args: list[Array], sizes: Sizes) -> Array:
    return cast(Array, _COMPARISONS[node.operator](*args))


def _select(node: Select, args: list[Array], sizes: Sizes) -> Array:
    return np.where(*args)


def _reduce(node: Reduce, args: list[Array], sizes: Sizes) -> Array:
    (arg,) = args
    if node.operator == "prod":
        return cast(Array, np.prod(arg, axis=node.axes))
    if node.operator == "min":
        return cast(Array, np.min(arg, axis=node.axes, initial=np.inf))
    top = np.max(arg, axis=node.axes, keepdims=True, initial=-np.inf)
    if node.operator == "max":
        return cast(Array, np.squeeze(top, node.axes))
    shift = np.where(np.isfinite(top), top, 0.0)
    return cast(Array, np.log(np.sum(np.exp(arg - shift), axis=node.axes)) + np.squeeze(shift, node.axes))


def _positions(offset: Dim, steps: Sequence[int], extents: Sequence[int], sizes: Sizes) -> Array:
    grid = np.full(tuple(extents), offset.evaluate(sizes))
    for axis, step in enumerate(steps):
        grid += step * np.arange(extents[axis]).reshape([-1 if k == axis else 1 for k in range(len(extents))])
    return grid


def _window(node: Window, args: list[Array], sizes: Sizes) -> Array:
    grid = _positions(node.offset, node.steps, _extents(node.extents, sizes), sizes)
    if grid.size and not (grid.min() >= 0 and grid.max() < args[0].shape[node.axis]):
        raise ValueError(f"positions {grid.min()}..{grid.max()} in an axis of size {args[0].shape[node.axis]}")
    return np.take(args[0], grid, axis=node.axis)


def _overlap(node: Overlap, args: list[Array], sizes: Sizes) -> Array:
    (arg,) = args
    count = len(node.steps)
    grid = _positions(node.offset, node.steps, arg.shape[node.axis : node.axis + count], sizes)
    result = np.zeros(_extents(node.shape, sizes), arg.dtype)
    leading = np.moveaxis(result, node.axis, 0)
    moved = np.moveaxis(arg, range(node.axis, node.axis + count), range(count))
    np.add.at(leading, grid, moved)
    return result


def _gather(node: Gather, args: list[Array], sizes: Sizes) -> Array:
    return cast(Array, args[0][args[1]])


def _scatter(node: Scatter, args: list[Array], sizes: Sizes) -> Array:
    result = np.zeros(_extents(node.shape, sizes))
    np.add.at(result, args[1], args[0])
    return result


def _stack(node: Stack, args: list[Array], sizes: Sizes) -> Array:
    return np.stack(args)


def _linalg(node: Linalg, args: list[Array], sizes: Sizes) -> Array:
    return cast(Array, LINEAR_ALGEBRA[node.operator](*args))


def _recurrence(node: Recurrence, args: list[Array], sizes: Sizes) -> tuple[Array, ...]:
    steps = node.length.evaluate(sizes)
    first, second = len(node.carries), len(node.carries) + len(node.xs)
    carries, xs, consts = list(args[:first]), args[first:second], args[second:]
    dtype = np.result_type(np.float64, *args)  # complex where the arguments are
    stacks = [np.zeros((steps, *_extents(result.shape, sizes)), dtype) for result in node.body.results[first:]]
    for t in reversed(range(steps)) if node.reverse else range(steps):
        given = [*carries, *(x[t] for x in xs), *consts]
        inner = _run(node.body.results, dict(zip(node.body.parameters, given, strict=True)), sizes)
        outputs = [inner[result] for result in node.body.results]
        carries = outputs[:first]
        for stack, value in zip(stacks, outputs[first:], strict=True):
            stack[t] = value
    return (*carries, *stacks)


def _project(node: Project, args: list[Any], sizes: Sizes) -> Array:
    return cast(Array, args[0][node.index])


_RULES: dict[type[Node], Callable[[Any, list[Any], Sizes], Any]] = {
    Literal: _literal,
    Size: _size,
    Range: _range,
    Delta: _delta,
    Einsum: _einsum,
    Add: _add,
    Pointwise: _pointwise,
    Compare: _compare,
    Select: _select,
    Reduce: _reduce,
    Window: _window,
    Overlap: _overlap,
    Gather: _gather,
    Scatter: _scatter,
    Stack: _stack,
    Linalg: _linalg,
    Recurrence: _recurrence,
    Project: _project,
}
