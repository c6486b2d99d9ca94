"""What is done to a finished tile: the scalar program of a contraction, where it goes, and what is summed up on the way.

A tile knows its rows and columns: everything that the program touches must be one stride along each. Sums over all rows, over all
columns or over both are formed with the tiles; others, and what is no real number, take a pass of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bracketc.ir.dims import Dim
from bracketc.loops.kernel import (
    SUM_GROUPS,
    Address,
    Collect,
    Epilogue,
    EpilogueOperand,
    EpilogueSum,
    Reference,
    Statement,
    Storage,
)
from bracketc.loops.memory import ONE, ZERO, Memory
from bracketc.loops.nests import added
from bracketc.loops.products import ProductShape
from bracketc.plan import schedule as plan
from bracketc.plan.schedule import Instruction, Store


@dataclass
class Finish:
    """An epilogue while it is made: ``lines`` are sums over rows by the number of the store, ``rows`` sums over columns."""

    primary: Store | None
    stores: list[Store] = field(default_factory=list)
    lines: list[Store] = field(default_factory=list)
    rows: list[Store] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    behind: list[Statement] = field(default_factory=list)


def finish_of(
    memory: Memory, step: plan.Contract, shape: ProductShape, names: Mapping[int, int], extents: Mapping[int, Dim]
) -> Finish | None:
    """What a tile of the last product of ``step`` can do; ``None`` where the epilogue needs a pass of its own."""
    if any(operand.buffer.dtype != "real" for operand in step.operands):
        return None
    counted = {label for i in step.program if i.operation in ("index", "delta") for label in (i.label, i.label2) if label >= 0}
    if not all(shape.counts(names[label]) for label in counted):
        return None
    found = Finish(primary_store(step))
    for store in step.stores:
        if store is found.primary:
            continue
        labels = tuple(names[label] for label in store.labels)
        if store.target.dtype != "real" or store.mode not in ("store", "sum"):
            return None
        if store.mode == "store":
            found.stores.append(store)
        elif shape.m and not shape.batch and (not labels or (labels == shape.n and store.target not in memory.strides)):
            found.lines.append(store)
        elif shape.n and set(labels) == {*shape.batch, *shape.m}:
            found.rows.append(store)
        else:
            return None
    touched = [memory.reference(a.buffer, a.labels, names) for a in step.operands]
    written = [s for s in (found.primary, *found.stores, *found.rows) if s is not None]
    touched += [memory.reference(s.target, s.labels, names) for s in written]
    return found if shape.tiles(extents, touched) else None


def primary_store(step: plan.Contract) -> Store | None:
    """The store that gets the tile as it is."""
    return next((s for s in step.stores if s.mode == "store" and s.labels == step.output and s.target.dtype == "real"), None)


def epilogue(
    memory: Memory,
    step: plan.Contract,
    shape: ProductShape,
    names: Mapping[int, int],
    extents: Mapping[int, Dim],
    finish: Finish,
) -> Epilogue:
    """The epilogue of a tile; ``finish`` learns what comes behind the contraction, and the room that is held until then."""
    program = shape.counted(step.program, names)
    if finish.primary is None and not any(i.operation == "accumulator" for i in program):
        program = (*program, Instruction("accumulator"))
    value = _accumulator(program) if finish.primary is None else finish.primary.value

    def operand(labels: Sequence[int], buffer: plan.Buffer) -> EpilogueOperand:
        return shape.operand(memory.reference(buffer, tuple(labels), names))

    sums = [_line(memory, store, shape, extents, finish) for store in finish.lines]
    sums += [_rows(memory, store, shape, operand(store.labels, store.target), finish) for store in finish.rows]
    return Epilogue(
        tuple(operand(a.labels, a.buffer) for a in step.operands),
        program,
        value,
        tuple((operand(s.labels, s.target), s.value) for s in finish.stores),
        tuple(sums),
    )


def _accumulator(program: Iterable[Instruction]) -> int:
    return next(number for number, i in enumerate(program) if i.operation == "accumulator")


def _line(
    memory: Memory, store: Store, shape: ProductShape, extents: Mapping[int, Dim], finish: Finish
) -> EpilogueSum:
    """A sum over the rows: of each group of them a line of columns, collected behind the contraction."""
    rows, columns = _product(shape.m, extents), _product(shape.n, extents)
    slot = memory.room.take(columns * SUM_GROUPS, "real")
    parts = Storage(f"{store.target.name}_lines", memory.kind, (Dim.of(SUM_GROUPS), columns), "real", slot)
    target = memory.storage[store.target]
    finish.held.append(slot)
    finish.behind.append(Collect(target, parts, rows, target.kind == "partial"))
    return EpilogueSum(EpilogueOperand(Reference(parts, Address(ZERO, ())), columns, ONE), store.value, "down")


def _rows(memory: Memory, store: Store, shape: ProductShape, target: EpilogueOperand, finish: Finish) -> EpilogueSum:
    """A sum over the columns; into room of its own where a block only adds to the target."""
    storage = target.reference.storage
    if storage.kind == "partial":
        part = memory.part(storage)
        finish.held.append(part.slot)
        finish.behind.append(added(memory, storage, part, "sum"))
        target = EpilogueOperand(Reference(part, target.reference.address), target.row, target.column)
    return EpilogueSum(target, store.value, "across")


def _product(labels: Iterable[int], extents: Mapping[int, Dim]) -> Dim:
    total = ONE
    for label in labels:
        total = total * extents[label]
    return total
