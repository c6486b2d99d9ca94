"""Element-wise records as nests of loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Shape
from bracketc.loops.kernel import NEUTRAL, Address, Axis, Fill, Nest, Reference, Statement, Storage, Write
from bracketc.loops.memory import ONE, ZERO, Memory
from bracketc.loops.order import gathers, loop_order, merge_loops, vectorisable
from bracketc.plan import schedule as plan
from bracketc.plan.schedule import Instruction


def elementwise(memory: Memory, step: plan.Map) -> Iterable[Statement]:
    """The loops of a Map."""
    names = dict(zip(step.labels, memory.fresh(len(step.labels)), strict=True))
    extents = {names[label]: step.extents[label] for label in step.labels}
    loads = tuple(memory.reference(a.buffer, a.labels, names) for a in step.operands)
    writes = tuple(
        Write(memory.reference(s.target, s.labels, names), s.value, s.mode if s.mode != "store" else "store") for s in step.stores
    )
    program = tuple(renamed(i, names) for i in step.program)
    yield from nest(memory, [names[label] for label in step.labels], extents, loads, program, writes, step.bracket)


def nest(
    memory: Memory,
    order: list[int],
    extents: Mapping[int, Dim],
    loads: tuple[Reference, ...],
    program: tuple[Instruction, ...],
    writes: tuple[Write, ...],
    bracket: str,
) -> Iterable[Statement]:
    """Loops over labels in the best order around a scalar program, after what its sums start from."""
    order = loop_order(order, extents, loads, program, writes)
    order, extents, loads, writes = merge_loops(order, extents, loads, program, writes)
    partials = [write for write in writes if write.target.storage.kind == "partial"]
    parts = {write.target.storage: memory.part(write.target.storage) for write in partials}
    writes = tuple(replace(w, target=replace(w.target, storage=parts.get(w.target.storage, w.target.storage))) for w in writes)
    writes = tuple(replace(write, fresh=gathers(order, write)) for write in writes)
    for write in writes:
        if write.mode in NEUTRAL and not write.fresh:
            yield filled(memory, order, extents, write.target, NEUTRAL[write.mode])
    references = (*loads, *(w.target for w in writes))
    vector = bool(order) and vectorisable(order[-1], references, writes)
    axes = tuple(Axis(label, extents[label]) for label in order)
    yield Nest(axes, loads, program, writes, vector, bracket, past=vector and spreads(axes, loads, writes))
    for write in partials:
        yield added(memory, write.target.storage, parts[write.target.storage], write.mode)
        memory.room.give_back(parts[write.target.storage].slot)


def filled(memory: Memory, order: list[int], extents: Mapping[int, Dim], target: Reference, value: float) -> Statement:
    """``value`` wherever ``target`` is under the labels in ``order``."""
    if target.storage.is_dense:
        return Fill(target.storage, value)
    strides = dict(target.address.terms)
    labels = [label for label in order if strides.get(label, ZERO) is not ZERO]
    names = memory.fresh(len(labels))
    axes = tuple(Axis(name, extents[label]) for name, label in zip(names, labels, strict=True))
    address = Address(target.address.offset, tuple((name, strides[label]) for name, label in zip(names, labels, strict=True)))
    write = Write(Reference(target.storage, address), 0, "store")
    program = (Instruction("constant", number=value),)
    return Nest(axes, (), program, (write,), bool(names) and vectorisable(names[-1], (write.target,), (write,)))


def spreads(axes: tuple[Axis, ...], loads: Iterable[Reference], writes: tuple[Write, ...]) -> bool:
    """Whether more is written than read, into one result: an outer product, not a sum of two vectors."""
    if len(writes) != 1 or writes[0].mode != "store" or writes[0].target.storage.kind != "result":
        return False
    long = [axis.label for axis in axes if axis.extent.constant != 1]
    return len(long) > 1 and all(any(r.address.stride(label) is ZERO for label in long) for r in loads)


def added(memory: Memory, partial: Storage, part: Storage, mode: str) -> Nest:
    """What a block made goes into what its group has."""
    axes = tuple(Axis(label, partial.size) for label in memory.fresh(1 if partial.rank else 0))
    address = Address(ZERO, tuple((axis.label, ONE) for axis in axes))
    write = Write(Reference(partial, address), 0, mode)  # type: ignore[arg-type]
    program = (Instruction("load", operand=0),)
    return Nest(axes, (Reference(part, address),), program, (write,), bool(axes) and partial.dtype == "real")


def copy_nest(
    memory: Memory, extents: Shape, target: Reference, source: Reference, names: tuple[int, ...], add: bool, bracket: str
) -> Nest:
    """``target`` = or += ``source``, entry by entry."""
    axes = tuple(Axis(label, extent) for label, extent in zip(names, extents, strict=True))
    write = Write(target, 0, "add" if add else "store")
    vector = bool(axes) and vectorisable(axes[-1].label, (source, target), (write,))
    return Nest(axes, (source,), (Instruction("load", operand=0),), (write,), vector, bracket)


def renamed(instruction: Instruction, names: Mapping[int, int]) -> Instruction:
    """``instruction`` with the labels that it counts under other numbers."""
    if instruction.operation not in ("index", "delta"):
        return instruction
    second = names[instruction.label2] if instruction.operation == "delta" else -1
    return replace(instruction, label=names[instruction.label], label2=second)
