"""The meaning of the loop IR on flat NumPy arrays: the oracle that the emitted C is compared with, and that lowering
is tested by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bracketc.ir.dims import Dim
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.linear_algebra import LINEAR_ALGEBRA
from bracketc.loops.kernel import (
    COLUMN,
    NEUTRAL,
    ROW,
    SUM_GROUPS,
    Address,
    Alone,
    Axis,
    Barrier,
    Blocks,
    Collect,
    Combine,
    Contraction,
    Copy,
    Epilogue,
    EpilogueOperand,
    Factorise,
    Fill,
    Group,
    Kernel,
    Nest,
    Reference,
    Rows,
    Statement,
    Steps,
    Storage,
)
from bracketc.plan.schedule import Division, Instruction, division

Array = np.ndarray[Any, Any]
_DTYPES = {"real": np.float64, "integer": np.int64, "boolean": np.bool_}
_COMBINE = {"add": np.add, "sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}
_ZERO = Dim.of(0)
_COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def interpret(
    kernel: Kernel, given: Mapping[str, Any], sizes: Mapping[str, int], order: Sequence[int] = (0,)
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Results and residuals of a kernel in float64 by name; ``given`` holds arguments, and residuals where they are
    read. ``order`` are the numbers of the threads of a team, in the order in which they come from barrier to barrier."""
    machine = _Machine(sizes)
    for storage in (*kernel.arguments, *kernel.residuals, *kernel.results):
        shape = tuple(d.evaluate(sizes) for d in storage.shape)
        if storage.name in given:
            value: Array = np.array(given[storage.name], _DTYPES[storage.dtype])
            assert value.shape == shape, (storage, value.shape)
        else:
            value = np.full(shape, np.nan) if storage.dtype == "real" else np.zeros(shape, _DTYPES[storage.dtype])
        machine.blocks[storage] = (value.reshape(-1), 0)
    sizes = {**sizes, **_block_sizes(kernel.body, sizes)}
    machine.slots = _room(kernel.slots, kernel.slot_dtypes, sizes)
    threads = [
        _Machine(
            sizes,
            dict(machine.blocks),
            machine.slots,
            _room(kernel.local_slots, kernel.local_dtypes, sizes),
            index,
            len(order),
        )
        for index in order
    ]
    with np.errstate(all="ignore"):
        walks = [thread.run(kernel.body) for thread in threads]
        while {next(walk, None) for walk in walks} == {True}:  # all of them stand at the same barrier
            pass
        assert all(next(walk, None) is None for walk in walks), "threads that meet different barriers"

    def read(storages: Sequence[Storage]) -> dict[str, Array]:
        return {s.name: machine.blocks[s][0].reshape(tuple(d.evaluate(sizes) for d in s.shape)) for s in storages}

    return read(kernel.results), read(kernel.residuals)


def _room(slots: Sequence[Dim], dtypes: Sequence[str], sizes: Mapping[str, int]) -> list[Array]:
    """Memory full of NaN, so that a read of what was never written shows."""
    return [
        np.full(size.evaluate(sizes), np.nan) if dtype == "real" else np.zeros(size.evaluate(sizes), _DTYPES[dtype])
        for size, dtype in zip(slots, dtypes, strict=True)
    ]


def _cut(statement: Blocks, sizes: Mapping[str, int]) -> Division:
    extent, row_bytes, least_bytes = (d.evaluate(sizes) for d in (statement.extent, statement.row_bytes, statement.least_bytes))
    return division(extent, row_bytes, least_bytes, statement.budget, statement.unit, statement.most_groups)


def _block_sizes(body: Sequence[Statement], sizes: Mapping[str, int]) -> dict[str, int]:
    """The most positions of a block, and the number of groups, under their names."""
    found: dict[str, int] = {}
    for statement in body:
        if isinstance(statement, Blocks):
            cut = _cut(statement, sizes)
            found |= {statement.piece: cut.rows, statement.groups: cut.groups}
    return found


class _Machine:
    """One thread of a team. Blocks of memory by storage: (flat array, first element); slots are common to all."""

    def __init__(
        self,
        sizes: Mapping[str, int],
        blocks: dict[Storage, tuple[Array, int]] | None = None,
        slots: list[Array] | None = None,
        local: list[Array] | None = None,
        index: int = 0,
        count: int = 1,
    ) -> None:
        self.sizes = sizes
        self.blocks = blocks or {}
        self.slots = slots or []
        self.local = local or []
        self.index = index
        self.count = count
        self.rows: dict[int, range] = {}

    def number(self, dim: Dim) -> int:
        return dim.evaluate(self.sizes)

    def block(self, storage: Storage) -> tuple[Array, int]:
        if storage not in self.blocks and storage.kind == "arena":
            return self.slots[storage.slot], 0
        if storage.kind == "local":
            return self.local[storage.slot], 0
        return self.blocks[storage]

    # ------------------------------------------------------------------------------------------- statements
    def share(self, extent: int, divided: bool) -> range:
        """The part of a loop that this thread runs."""
        if not divided:
            return range(extent)
        return range(extent * self.index // self.count, extent * (self.index + 1) // self.count)

    def run(self, body: Sequence[Statement]) -> Iterator[bool]:
        """Run statements; a barrier gives way to the other threads."""
        for statement in body:
            match statement:
                case Barrier():
                    yield True
                case Alone():
                    if self.index == 0:
                        yield from self.run(statement.body)
                case Nest():
                    self.nest(statement)
                case Rows():
                    for row in self.share(self.number(statement.extent), statement.divided):
                        self.rows = {nest.axes[0].label: range(row, row + 1) for nest in statement.body}
                        yield from self.run(statement.body)
                    self.rows = {}
                case Fill():
                    flat, first = self.block(statement.target)
                    share = self.share(self.number(statement.target.size), statement.divided)
                    flat[first + share.start : first + share.stop] = statement.value
                case Copy():
                    self.copy(statement)
                case Contraction():
                    self.contraction(statement)
                case Steps():
                    yield from self.steps(statement)
                case Blocks():
                    yield from self.run_blocks(statement)
                case Combine():
                    self.combine(statement)
                case Collect():
                    self.collect(statement)
                case Factorise():
                    self.factorise(statement)

    def factorise(self, statement: Factorise) -> None:
        def array(storage: Storage) -> Array:
            flat, first = self.block(storage)
            shape = tuple(self.number(extent) for extent in storage.shape)
            return flat[first : first + self.number(storage.size)].reshape(shape)

        array(statement.target)[...] = LINEAR_ALGEBRA[statement.operator](*(array(a) for a in statement.args))

    def copy(self, statement: Copy) -> None:
        share = self.share(self.number(statement.source.size), statement.divided)
        target, to = self.block(statement.target)
        source, start = self.block(statement.source)
        target[to + share.start : to + share.stop] = source[start + share.start : start + share.stop].copy()

    def run_blocks(self, statement: Blocks) -> Iterator[bool]:
        whole, extent, cut = self.sizes, self.number(statement.extent), _cut(statement, self.sizes)
        for group in self.share(cut.groups, statement.divided):
            for mode, partial in statement.partials:
                count = self.number(partial.size)
                self.blocks[partial] = (self.slots[partial.slot], group * count)
                self.slots[partial.slot][group * count : (group + 1) * count] = NEUTRAL[mode]
            end = min(extent, (group + 1) * cut.group_rows)
            for first in range(group * cut.group_rows, end, cut.rows):
                self.sizes = {**whole, statement.piece: min(cut.rows, end - first)}
                for storage in statement.cuts:
                    assert storage.base is not None and storage.stride is not None
                    flat, start = self.block(storage.base)
                    self.blocks[storage] = (flat, start + first * self.number(storage.stride))
                yield from self.run(statement.body)
        self.sizes = whole

    def combine(self, statement: Combine) -> None:
        share = self.share(self.number(statement.target.size), statement.divided)
        flat, first = self.block(statement.target)
        count, groups = self.number(statement.partial.size), self.number(Dim.named(statement.groups))
        result = np.full(len(share), NEUTRAL[statement.mode])
        for group in range(groups):
            start = group * count
            result = _COMBINE[statement.mode](result, self.slots[statement.partial.slot][start:][share.start : share.stop])
        flat[first + share.start : first + share.stop] = result

    def collect(self, statement: Collect) -> None:
        flat, first = self.block(statement.target)
        parts, start = self.block(statement.parts)
        lines = parts[start : start + self.number(statement.parts.size)].reshape(SUM_GROUPS, -1)[: self.count]
        total = lines.sum(axis=0)
        if not statement.target.rank:
            total = total.sum(keepdims=True)
        share = self.share(len(total), statement.divided)
        here = slice(first + share.start, first + share.stop)
        flat[here] = total[share.start : share.stop] + (flat[here] if statement.add else 0.0)

    def steps(self, statement: Steps) -> Iterator[bool]:
        length = self.number(statement.length)
        for carried, _ in statement.carried:
            assert carried.base is not None
            self.blocks[carried] = self.block(carried.base)
        for count, t in enumerate(reversed(range(length)) if statement.reverse else range(length)):
            for moving in statement.moving:
                assert moving.base is not None and moving.stride is not None
                flat, first = self.block(moving.base)
                self.blocks[moving] = (flat, first + t * self.number(moving.stride))
            for ring in statement.rings:
                self.blocks[ring] = (self.slots[ring.slot], count % ring.count * self.number(ring.size))
            yield from self.run(statement.body)
            following = [self.block(source) for _, source in statement.carried]
            for (carried, _), block in zip(statement.carried, following, strict=True):
                self.blocks[carried] = block
        for final in statement.finals:
            self.copy(final)

    # ------------------------------------------------------------------------------------------- addresses
    def grids(self, axes: Sequence[Axis], divided: int = -1) -> tuple[tuple[int, ...], dict[int, Array]]:
        whole = [self.share(self.number(axis.extent), axis.label == divided) for axis in axes]
        lines = [self.rows.get(axis.label, line) for axis, line in zip(axes, whole, strict=True)]
        return tuple(map(len, lines)), {
            axis.label: np.asarray(line, np.int64).reshape([-1 if k == place else 1 for k in range(len(axes))])
            for place, (axis, line) in enumerate(zip(axes, lines, strict=True))
        }

    def address(self, address: Address, grids: Mapping[int, Array]) -> Array:
        total = np.asarray(self.number(address.offset))
        for label, stride in address.terms:
            total = total + self.number(stride) * grids[label]
        for indirect in address.indirect:
            rows = self.read(indirect.index, grids)
            if rows.size and not (rows.min() >= 0 and rows.max() < self.number(indirect.bound)):
                raise ValueError("an integer label is out of range")
            total = total + rows * self.number(indirect.stride)
        return total

    def read(self, reference: Reference, grids: Mapping[int, Array]) -> Array:
        flat, first = self.block(reference.storage)
        positions = first + self.address(reference.address, grids)
        assert not positions.size or positions.min() >= 0
        return np.asarray(flat[positions])

    # ------------------------------------------------------------------------------------------- nests
    def nest(self, nest: Nest) -> None:
        shape, grids = self.grids(nest.axes, nest.divided)
        loads = [self.read(reference, grids) for reference in nest.loads]
        values = evaluate(nest.program, loads, None, grids, self.sizes)
        for write in nest.writes:
            flat, first = self.block(write.target.storage)
            positions = np.broadcast_to(first + self.address(write.target.address, grids), shape)
            value = np.broadcast_to(values[write.value], shape)
            if write.mode == "store":
                flat[positions] = value
            else:
                if write.fresh:
                    kept = [axis for axis in nest.axes if write.target.address.stride(axis.label) is not _ZERO]
                    kept_grids = self.grids(kept, nest.divided)[1]
                    flat[first + self.address(write.target.address, kept_grids)] = NEUTRAL[write.mode]
                _COMBINE[write.mode].at(flat, positions, value)

    def contraction(self, statement: Contraction) -> None:
        whole = tuple(self.number(axis.extent) for axis in statement.batch)
        by_batch = statement.divided and bool(whole) and whole[0] >= self.count
        by_rows = statement.divided and not by_batch
        if statement.making is not None:
            self.blocks[statement.made.storage] = (self.made(statement.made.storage, statement.making), 0)
        for place in np.ndindex(*whole):
            if by_batch and place[0] not in self.share(whole[0], True):
                continue
            here = {axis.label: np.asarray(p) for axis, p in zip(statement.batch, place, strict=True)}
            a, b, c = (self.start(r, here) for r in (statement.a, statement.b, statement.c))
            m, n, k = (self.offsets(g) for g in (statement.m, statement.n, statement.k))
            share = self.share(len(m[0]), by_rows)
            m = [offsets[share.start : share.stop] for offsets in m]
            left = a[0][a[1] + m[0][:, None] + k[0][None, :]]
            right = b[0][b[1] + k[1][:, None] + n[0][None, :]]
            target = c[1] + m[1][:, None] + n[1][None, :]
            tile = float(statement.alpha) * (left @ right)
            if statement.accumulate:
                tile = tile + c[0][target]
            if statement.epilogue is not None:
                rows, columns = np.asarray(share, np.int64)[:, None], np.arange(tile.shape[1])[None, :]

                loads = [
                    flat[at]
                    for flat, at in (self.tile(o, here, rows, columns) for o in statement.epilogue.operands)
                ]
                values = evaluate(statement.epilogue.program, loads, tile, {ROW: rows, COLUMN: columns}, self.sizes)
                for summed in statement.epilogue.sums:
                    entries = np.broadcast_to(values[summed.value], tile.shape)
                    if summed.over == "across":
                        flat, at = self.tile(summed.target, here, rows, np.zeros((1, 1), np.int64))
                        flat[at] = entries.sum(axis=1, keepdims=True)
                    else:  # each thread is a group
                        lines = np.asarray([self.index] if statement.divided else range(self.count))[:, None]
                        flat, at = self.tile(summed.target, here, lines, columns)
                        flat[at] = 0.0
                        flat[at[:1]] = entries.sum(axis=0, keepdims=True)
                for operand, value in statement.epilogue.stores:
                    flat, at = self.tile(operand, here, rows, columns)
                    flat[at] = np.broadcast_to(values[value], tile.shape)
                tile = np.broadcast_to(values[statement.epilogue.value], tile.shape)
            c[0][target] = tile

    def made(self, storage: Storage, making: Epilogue) -> Array:
        """All entries of a factor that is not stored."""
        first, second = (np.arange(self.number(extent)) for extent in storage.shape)
        tiles = (self.tile(o, {}, first[:, None], second[None, :]) for o in making.operands)
        values = evaluate(making.program, [flat[at] for flat, at in tiles], None, {}, self.sizes)
        return np.array(np.broadcast_to(values[making.value], (len(first), len(second)))).reshape(-1)

    def tile(
        self, operand: EpilogueOperand, here: Mapping[int, Array], rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        """Where an operand of an epilogue lies at every position of the tile."""
        flat, first = self.start(operand.reference, here)
        return flat, first + rows * self.number(operand.row) + columns * self.number(operand.column)

    def start(self, reference: Reference, here: Mapping[int, Array]) -> tuple[Array, int]:
        flat, first = self.block(reference.storage)
        return flat, first + int(self.address(reference.address, here))

    def offsets(self, group: Group) -> list[Array]:
        """Offsets of each operand for every position of the group."""
        count = len(group.strides[0]) if group.strides else 2
        totals = [np.zeros(1, np.int64) for _ in range(count)]
        for extent, strides in zip(group.extents, group.strides, strict=True):
            line = np.arange(self.number(extent))
            totals = [
                (t[:, None] + line[None, :] * self.number(s)).reshape(-1) for t, s in zip(totals, strides, strict=True)
            ]
        return totals


def evaluate(
    program: Sequence[Instruction],
    loads: Sequence[Any],
    accumulator: Any,
    labels: Mapping[int, Array],
    sizes: Mapping[str, int],
) -> list[Any]:
    """Values of all instructions; see :class:`bracketc.plan.schedule.Instruction`."""
    values: list[Any] = []
    for i in program:
        args = [values[a] for a in i.args]
        match i.operation:
            case "load":
                value = loads[i.operand]
            case "accumulator":
                value = accumulator
            case "constant":
                assert i.number is not None
                value = float(i.number)
            case "size":
                assert i.dim is not None
                value = float(i.dim.evaluate(sizes))
            case "index":
                value = labels[i.label] + 1.0
            case "delta":
                value = (labels[i.label] == labels[i.label2]).astype(np.float64)
            case "add" | "multiply":
                value = args[0]
                for other in args[1:]:
                    value = value + other if i.operation == "add" else value * other
            case "subtract":
                value = args[0] - args[1]
            case "divide":
                value = args[0] / args[1]
            case "negate":
                value = -args[0]
            case "square":
                value = args[0] * args[0]
            case "power":
                assert i.number is not None
                value = np.power(args[0], float(i.number))
            case "compare":
                value = _COMPARE[i.function](*args)
            case "select":
                value = np.where(*args)
            case "finite_or_zero":
                value = np.where(np.isfinite(args[0]), args[0], 0.0)
            case "call":
                value = FUNCTIONS[i.function].evaluate(*args)
            case other:
                raise AssertionError(other)
        values.append(value)
    return values
