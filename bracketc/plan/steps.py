"""What a step reads and writes, and steps with other buffers.

>>> reads(Take(target, source, 0, Dim.of(1), (1,), (n,)))
(source[...],)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from bracketc.plan.schedule import (
    Access,
    Blocks,
    Buffer,
    Carry,
    Contract,
    Factorise,
    Gather,
    Join,
    Loop,
    Map,
    Place,
    Product,
    Scatter,
    Step,
    Store,
    Take,
)

Renaming = Callable[[Buffer], Buffer]


def accesses(step: Contract | Map) -> tuple[Access, ...]:
    """Every access of a record: the factors of its products, then its operands."""
    if isinstance(step, Map):
        return step.operands
    return (*(access for p in step.products for access in (p.left, p.right)), *step.operands)


def reads(step: Step) -> tuple[Buffer, ...]:
    """Distinct buffers from outside that ``step`` reads, in the order in which it names them."""
    return tuple(dict.fromkeys(_reads(step)))


def _reads(step: Step) -> Iterable[Buffer]:
    match step:
        case Map() | Contract():
            return [access.buffer for access in accesses(step)]
        case Take() | Place():
            return [step.source]
        case Gather() | Scatter():
            return [step.source, step.index]
        case Join():
            return step.sources
        case Factorise():
            return step.args
        case Loop():
            return _loop_reads(step)
        case Blocks():
            inside = [inner for inner, _, _ in step.slices]
            return [*(outer for _, outer, _ in step.slices), *_reads_of(step.steps, inside)]


def _loop_reads(step: Loop) -> list[Buffer]:
    inside = [*(carry.before for carry in step.carries), *(inner for inner, _ in step.slices)]
    outside = [*(carry.initial for carry in step.carries), *(outer for _, outer in step.slices)]
    return [*outside, *_reads_of(step.steps, inside)]


def _reads_of(steps: Iterable[Step], known: Iterable[Buffer]) -> list[Buffer]:
    """What a body reads beside what it has or makes."""
    inside, found = set(known), []
    for step in steps:
        found += [buffer for buffer in reads(step) if buffer not in inside]
        inside.update(writes(step))
    return found


def writes(step: Step) -> tuple[Buffer, ...]:
    """Buffers that ``step`` makes for the steps after it, in the order of its stores."""
    if isinstance(step, Map | Contract):
        return tuple(store.target for store in step.stores)
    if isinstance(step, Loop):
        finals = [carry.final for carry in step.carries if carry.final is not None]
        return (*finals, *(outer for _, outer in step.stacks))
    if isinstance(step, Blocks):
        return (*(outer for _, outer, _ in step.stacks), *(outer for _, outer, _ in step.sums))
    return (step.target,)


def rename(step: Step, new: Renaming) -> Step:
    """``step`` with every buffer, also inside of a loop, replaced by ``new`` of it."""
    match step:
        case Map():
            operands, stores = _accesses(step.operands, new), _stores(step.stores, new)
            return Map(step.labels, operands, step.program, stores, step.extents, step.bracket)
        case Contract():
            products = tuple(Product(p.coefficient, _access(p.left, new), _access(p.right, new)) for p in step.products)
            operands, stores = _accesses(step.operands, new), _stores(step.stores, new)
            return replace(step, products=products, operands=operands, stores=stores)
        case Take() | Place():
            return replace(step, target=new(step.target), source=new(step.source))
        case Gather() | Scatter():
            return replace(step, target=new(step.target), source=new(step.source), index=new(step.index))
        case Join():
            return replace(step, target=new(step.target), sources=tuple(map(new, step.sources)))
        case Factorise():
            return replace(step, target=new(step.target), args=tuple(map(new, step.args)))
        case Loop():
            return Loop(
                step.length,
                step.reverse,
                tuple(
                    Carry(new(c.before), new(c.after), new(c.initial), None if c.final is None else new(c.final))
                    for c in step.carries
                ),
                tuple((new(inner), new(outer)) for inner, outer in step.slices),
                tuple((new(inner), new(outer)) for inner, outer in step.stacks),
                tuple(rename(inner, new) for inner in step.steps),
                step.bracket,
            )
        case Blocks():
            return replace(
                step,
                slices=tuple((new(inner), new(outer), axis) for inner, outer, axis in step.slices),
                stacks=tuple((new(inner), new(outer), axis) for inner, outer, axis in step.stacks),
                sums=tuple((new(inner), new(outer), mode) for inner, outer, mode in step.sums),
                steps=tuple(rename(inner, new) for inner in step.steps),
            )


def _access(access: Access, new: Renaming) -> Access:
    buffer = new(access.buffer)
    return access if buffer is access.buffer else Access(buffer, access.labels)


def _accesses(items: tuple[Access, ...], new: Renaming) -> tuple[Access, ...]:
    return tuple([_access(access, new) for access in items])


def _stores(stores: tuple[Store, ...], new: Renaming) -> tuple[Store, ...]:
    return tuple([Store(new(store.target), store.labels, store.value, store.mode) for store in stores])
