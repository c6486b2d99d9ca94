"""Values that are computed again by those who read them, because that is cheaper than a pass over memory.

A tensor of more labels than anything that it is computed from, by a few additions and multiplications, is never stored: there is
less to read of what it is made of.

    D_nid = Z_nd - Z_id;  R_ni = sum(D_nid²)         ->   R_ni = sum((Z_nd - Z_id)²)
    g_nd = sum(G_ni D_nid)                           ->   g_nd = sum(G_ni (Z_nd - Z_id))

For N points in d dimensions that saves three passes over N² d numbers, each of which takes about as long as ten additions do. Only
the C backend gains: in NumPy an operation is a pass over memory, whatever its operands are. Entries of which the largest is looked
for are stored: they are compared with it as the numbers of which it was taken (:mod:`bracketc.ir.extrema`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bracketc.ir.nodes import Labels
from bracketc.plan.cost import flops, moved
from bracketc.plan.folding import FREE_INSTRUCTIONS, MAX_OPERANDS, MAX_PROGRAM
from bracketc.plan.fusion import without_dead
from bracketc.plan.notation import with_brackets
from bracketc.plan.scalars import Scalars, is_costly, prune
from bracketc.plan.schedule import Access, Buffer, Map, Plan, Schedule, Step, Store, Variant
from bracketc.plan.steps import reads


def again_plan(plan: Plan) -> Plan:
    """``plan`` with what is cheaper to compute than to read."""
    return replace(plan, schedules=tuple(_schedule(schedule, plan.real_bytes) for schedule in plan.schedules))


def _schedule(schedule: Schedule, real_bytes: int) -> Schedule:
    kept = {*(buffer for _, buffer in schedule.results), *schedule.residuals}
    steps, found = again(schedule.steps, kept)
    if not found:
        return schedule
    steps = with_brackets(steps)
    names = ", ".join(buffer.name for buffer in found)
    note = f"computes {names} again where it is read: a few additions take less time than a pass over memory"
    return replace(
        schedule,
        variants=(*schedule.variants[:-1], Variant((), steps)),
        flops=flops(steps),
        bytes=moved(steps, real_bytes),
        notes=(*schedule.notes, note),
    )


def again(steps: Sequence[Step], kept: Iterable[Buffer]) -> tuple[tuple[Step, ...], tuple[Buffer, ...]]:
    """``steps`` without the buffers, beside ``kept``, that Maps can compute for themselves, and those buffers."""
    kept = tuple(kept)
    readers: dict[Buffer, list[Step]] = {}
    for step in steps:
        for buffer in reads(step):
            readers.setdefault(buffer, []).append(step)
    parts: dict[Buffer, Map] = {}
    for step in steps:
        for store in step.stores if isinstance(step, Map) else ():
            target = store.target
            alone = target not in kept and all(isinstance(reader, Map) for reader in readers.get(target, ()))
            if isinstance(step, Map) and alone and (part := _part(step, store, parts)) is not None:
                if all(isinstance(r, Map) and _fits(r, part) for r in readers.get(target, ())):
                    parts[target] = part
    if not parts:
        return tuple(steps), ()
    changed = [_inlined(step, parts) if isinstance(step, Map) else step for step in steps]
    return without_dead(changed, kept), tuple(parts)


def _part(step: Map, store: Store, parts: Mapping[Buffer, Map]) -> Map | None:
    """What computes ``store`` alone, if that is worth doing more than once."""
    if store.mode != "store" or store.target.dtype != "real":
        return None
    operands, program, stores = prune(step.operands, step.program, (store,))
    work = [i for i in program if i.operation not in ("load", "constant", "size")]
    cheap = 0 < len(work) <= FREE_INSTRUCTIONS and not any(is_costly(i) for i in work)
    smaller = all(len(set(a.labels)) < len(store.labels) and a.buffer.dtype == "real" for a in operands)
    if not cheap or not smaller or any(access.buffer in parts for access in operands):
        return None
    if any(i.operation in ("compare", "select", "index", "delta", "divide") for i in work):
        return None
    return replace(step, operands=operands, program=program, stores=stores)


def _fits(reader: Map, part: Map) -> bool:
    """Whether ``reader`` has room for ``part``, as often as it reads it, and does not ask where it equals something."""
    if any(instruction.operation == "compare" and instruction.function == "==" for instruction in reader.program):
        return False
    times = sum(access.buffer is part.stores[0].target for access in reader.operands)
    operands = len(reader.operands) + times * len(part.operands)
    return operands <= MAX_OPERANDS and len(reader.program) + times * len(part.program) <= MAX_PROGRAM


def _inlined(step: Map, parts: Mapping[Buffer, Map]) -> Map:
    """``step`` with the values of ``parts`` computed instead of loaded."""
    if not any(access.buffer in parts for access in step.operands):
        return step
    scalars = Scalars()
    values: dict[Access, int] = {}
    for access in step.operands:
        part = parts.get(access.buffer)
        if part is not None:
            names: dict[int, int] = dict(zip(part.stores[0].labels, access.labels, strict=True))
            numbers = scalars.splice(part.program, part.operands, names.__getitem__)
            values[access] = numbers[part.stores[0].value]
    own: Labels = tuple(range(len(step.extents)))
    numbers = scalars.splice(step.program, step.operands, own.__getitem__, values)
    stores = tuple(replace(store, value=numbers[store.value]) for store in step.stores)
    return replace(step, operands=tuple(scalars.operands), program=tuple(scalars.program), stores=stores)
