"""The meaning of the schedule IR in NumPy: the oracle of every backend. Written for clearness, not speed.

>>> run(plan.schedule("evaluate"), {"x": np.array([3.0, 4.0])}).results["J"]
array(25.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from bracketc.ir.dims import Dim
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.interpret import infer_sizes
from bracketc.ir.linear_algebra import LINEAR_ALGEBRA
from bracketc.ir.nodes import Labels, Tensor
from bracketc.plan.schedule import (
    Access,
    Blocks,
    Buffer,
    Contract,
    Factorise,
    Gather,
    Instruction,
    Join,
    Loop,
    Map,
    Place,
    Scatter,
    Schedule,
    Step,
    Store,
    Take,
)

Array = np.ndarray[Any, Any]
Sizes = Mapping[str, int]
Memory = dict[Buffer, Array]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Arrays of the results by name, and of the residuals that ``forward`` makes by buffer name."""

    results: dict[str, Array]
    residuals: dict[str, Array]


def run(schedule: Schedule, arrays: Mapping[str, Any], sizes: Sizes | None = None) -> Outcome:
    """Run ``schedule`` on arrays by argument name, for ``backward`` by residual name, too, in float64.

    ``sizes`` gives named sizes that no argument shape determines. The variant is the first whose guard holds.
    """
    inputs = [buffer for buffer in (*schedule.arguments, *schedule.residuals) if buffer.name in arrays]
    memory: Memory = {buffer: np.asarray(arrays[buffer.name], _DTYPES[buffer.dtype]) for buffer in inputs}
    shapes = {Tensor(buffer.name, buffer.shape, buffer.dtype): memory[buffer].shape for buffer in inputs}
    known = infer_sizes(shapes, sizes)
    variant = next(v for v in schedule.variants if all(dim.evaluate(known) >= least for dim, least in v.guard))
    with np.errstate(all="ignore"):
        run_steps(variant.steps, memory, known)
    return Outcome(
        {name: memory[buffer] for name, buffer in schedule.results},
        {buffer.name: memory[buffer] for buffer in schedule.residuals},
    )


def run_steps(steps: Sequence[Step], memory: Memory, sizes: Sizes) -> None:
    """Run ``steps`` in order; every buffer that they write appears in ``memory``."""
    for step in steps:
        _RULES[type(step)](step, memory, sizes)


_DTYPES: dict[str, Any] = {"real": np.float64, "integer": np.int64, "boolean": np.bool_}


# ------------------------------------------------------------------------------------------------ records
def _map(step: Map, memory: Memory, sizes: Sizes) -> None:
    values = _program(step.program, step.operands, step.labels, step.extents, memory, sizes, None)
    _store(step.stores, values, step.labels, step.extents, memory, sizes)


def _contract(step: Contract, memory: Memory, sizes: Sizes) -> None:
    shape = tuple(step.extents[label].evaluate(sizes) for label in step.output)
    accumulator = np.zeros(shape)
    for product in step.products:
        operands: list[Any] = []
        for access in (product.left, product.right):
            operands += [memory[access.buffer], list(access.labels)]
        accumulator = accumulator + float(product.coefficient) * np.einsum(*operands, list(step.output))
    values = _program(step.program, step.operands, step.output, step.extents, memory, sizes, accumulator)
    _store(step.stores, values, step.output, step.extents, memory, sizes)


def _load(access: Access, labels: Labels, memory: Memory) -> Array:
    """The buffer with one axis a label of the record, of size 1 where it does not carry the label."""
    array = memory[access.buffer]
    carried = [label for label in labels if label in access.labels]
    array = np.einsum(array, list(access.labels), carried) if access.labels else array
    sizes = iter(array.shape)
    return array.reshape([next(sizes) if label in carried else 1 for label in labels])


def _program(
    program: Sequence[Instruction],
    operands: Sequence[Access],
    labels: Labels,
    extents: Sequence[Dim],
    memory: Memory,
    sizes: Sizes,
    accumulator: Array | None,
) -> list[Array]:
    values: list[Array] = []

    def axis(label: int, vector: Array) -> Array:
        return vector.reshape([-1 if other == label else 1 for other in labels])

    def positions(label: int) -> Array:
        return axis(label, np.arange(1.0, extents[label].evaluate(sizes) + 1))

    for instruction in program:
        args = [values[arg] for arg in instruction.args]
        match instruction.operation:
            case "load":
                value: Any = _load(operands[instruction.operand], labels, memory)
            case "accumulator":
                assert accumulator is not None
                value = accumulator
            case "constant":
                assert instruction.number is not None
                value = float(instruction.number)
            case "size":
                assert instruction.dim is not None
                value = float(instruction.dim.evaluate(sizes))
            case "index":
                value = positions(instruction.label)
            case "delta":
                value = np.where(positions(instruction.label) == positions(instruction.label2), 1.0, 0.0)
            case "power":
                assert instruction.number is not None
                value = np.power(args[0], float(instruction.number))
            case "compare":
                value = _COMPARISONS[instruction.function](*args)
            case "call":
                value = FUNCTIONS[instruction.function].evaluate(*args)
            case operation:
                value = _OPERATIONS[operation](*args)
        values.append(np.asarray(value))
    return values


def _chain(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(*args: Any) -> Any:
        result = args[0]
        for arg in args[1:]:
            result = function(result, arg)
        return result

    return apply


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _chain(np.add),
    "multiply": _chain(np.multiply),
    "subtract": np.subtract,
    "divide": np.divide,
    "negate": np.negative,
    "square": np.square,
    "select": np.where,
    "finite_or_zero": lambda x: np.where(np.isfinite(x), x, 0.0),
}

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def _store(
    stores: Sequence[Store],
    values: Sequence[Array],
    labels: Labels,
    extents: Sequence[Dim],
    memory: Memory,
    sizes: Sizes,
) -> None:
    shape = tuple(extents[label].evaluate(sizes) for label in labels)
    for store in stores:
        value: Array = np.broadcast_to(np.asarray(values[store.value], _DTYPES[store.target.dtype]), shape)
        axes = tuple(axis for axis, label in enumerate(labels) if label not in store.labels)
        kept = [label for label in labels if label in store.labels]
        value = _REDUCTIONS[store.mode](value, axes)
        value = np.transpose(value, [kept.index(label) for label in store.labels])
        memory[store.target] = np.array(value, _DTYPES[store.target.dtype], order="C")


_REDUCTIONS: dict[str, Callable[[Array, tuple[int, ...]], Array]] = {
    "store": lambda value, axes: value,
    "sum": lambda value, axes: cast(Array, np.sum(value, axis=axes)),
    "max": lambda value, axes: cast(Array, np.max(value, axis=axes, initial=-np.inf)),
    "min": lambda value, axes: cast(Array, np.min(value, axis=axes, initial=np.inf)),
    "prod": lambda value, axes: cast(Array, np.prod(value, axis=axes)),
}


# ------------------------------------------------------------------------------------------------ rearrangements
def _positions(offset: Dim, steps: Sequence[int], extents: Sequence[int], sizes: Sizes) -> Array:
    grid = np.full(tuple(extents), offset.evaluate(sizes))
    for axis, stride in enumerate(steps):
        grid += stride * np.arange(extents[axis]).reshape([-1 if k == axis else 1 for k in range(len(extents))])
    return grid


def _take(step: Take, memory: Memory, sizes: Sizes) -> None:
    source = memory[step.source]
    grid = _positions(step.offset, step.steps, [extent.evaluate(sizes) for extent in step.extents], sizes)
    if grid.size and not (grid.min() >= 0 and grid.max() < source.shape[step.axis]):
        raise ValueError(f"positions {grid.min()}..{grid.max()} in an axis of size {source.shape[step.axis]}")
    memory[step.target] = np.take(source, grid, axis=step.axis)


def _place(step: Place, memory: Memory, sizes: Sizes) -> None:
    source, count = memory[step.source], len(step.steps)
    grid = _positions(step.offset, step.steps, source.shape[step.axis : step.axis + count], sizes)
    target = np.zeros([extent.evaluate(sizes) for extent in step.target.shape], source.dtype)
    moved = np.moveaxis(source, range(step.axis, step.axis + count), range(count))
    np.add.at(np.moveaxis(target, step.axis, 0), grid, moved)
    memory[step.target] = target


def _gather(step: Gather, memory: Memory, sizes: Sizes) -> None:
    index = memory[step.index]
    if index.size and not (index.min() >= 0 and index.max() < memory[step.source].shape[0]):
        raise ValueError(f"labels {index.min()}..{index.max()} in an axis of size {memory[step.source].shape[0]}")
    memory[step.target] = memory[step.source][index]


def _scatter(step: Scatter, memory: Memory, sizes: Sizes) -> None:
    target = np.zeros([extent.evaluate(sizes) for extent in step.target.shape])
    index = memory[step.index]
    if index.size and not (index.min() >= 0 and index.max() < target.shape[0]):
        raise ValueError(f"labels {index.min()}..{index.max()} in an axis of size {target.shape[0]}")
    np.add.at(target, index, memory[step.source])
    memory[step.target] = target


def _join(step: Join, memory: Memory, sizes: Sizes) -> None:
    memory[step.target] = np.stack([memory[source] for source in step.sources])


def _factorise(step: Factorise, memory: Memory, sizes: Sizes) -> None:
    memory[step.target] = np.asarray(LINEAR_ALGEBRA[step.operator](*(memory[arg] for arg in step.args)))


# ------------------------------------------------------------------------------------------------ loops
def _loop(step: Loop, memory: Memory, sizes: Sizes) -> None:
    length = step.length.evaluate(sizes)
    inner: Memory = dict(memory)
    state = [memory[carry.initial] for carry in step.carries]
    for _, outer in step.stacks:
        memory[outer] = np.zeros([extent.evaluate(sizes) for extent in outer.shape], _DTYPES[outer.dtype])
    for t in reversed(range(length)) if step.reverse else range(length):
        inner.update(zip((carry.before for carry in step.carries), state, strict=True))
        inner.update((buffer, memory[outer][t]) for buffer, outer in step.slices)
        run_steps(step.steps, inner, sizes)
        for buffer, outer in step.stacks:
            memory[outer][t] = inner[buffer]
        state = [inner[carry.after] for carry in step.carries]
    for carry, value in zip(step.carries, state, strict=True):
        if carry.final is not None:
            memory[carry.final] = value.copy()


def _blocks(step: Blocks, memory: Memory, sizes: Sizes) -> None:
    extent = step.extent.evaluate(sizes)
    cut = step.division(lambda dim: dim.evaluate(sizes))
    for _, outer, _ in step.stacks:
        shape = [length.evaluate(sizes) for length in outer.shape]
        memory[outer] = np.zeros(shape, _DTYPES[outer.dtype])
    for _, outer, mode in step.sums:
        shape = [length.evaluate(sizes) for length in outer.shape]
        memory[outer] = np.full(shape, _COMBINE[mode].identity if mode in ("sum", "prod") else _EXTREME[mode])
    for group in range(0, extent, cut.group_rows):
        inner: Memory = dict(memory)
        partial: Memory = {}
        for first in range(group, min(extent, group + cut.group_rows), cut.rows):
            last = min(extent, group + cut.group_rows, first + cut.rows)
            for within, outer, axis in step.slices:
                inner[within] = np.take(memory[outer], range(first, last), axis)
            run_steps(step.steps, inner, {**sizes, step.piece.names[0]: last - first})
            for within, outer, axis in step.stacks:
                np.moveaxis(memory[outer], axis, 0)[first:last] = np.moveaxis(inner[within], axis, 0)
            for within, outer, mode in step.sums:
                part = inner[within]
                partial[outer] = _COMBINE[mode](partial[outer], part) if outer in partial else part
        for _, outer, mode in step.sums:
            memory[outer] = np.asarray(_COMBINE[mode](memory[outer], partial[outer]))


_COMBINE: dict[str, Any] = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}
_EXTREME = {"max": -np.inf, "min": np.inf}

_RULES: dict[type[Any], Callable[[Any, Memory, Sizes], None]] = {
    Map: _map,
    Contract: _contract,
    Take: _take,
    Place: _place,
    Gather: _gather,
    Scatter: _scatter,
    Join: _join,
    Factorise: _factorise,
    Loop: _loop,
    Blocks: _blocks,
}
