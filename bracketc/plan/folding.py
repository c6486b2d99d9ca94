"""Element-wise records with one reader become part of it.

D_nh = 1 - Z_nh²;  G_nh = E_nh D_nh   ->   G_nh = E_nh (1 - Z_nh²)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bracketc.ir.nodes import Labels
from bracketc.plan.scalars import Scalars, is_costly
from bracketc.plan.schedule import Access, Buffer, Instruction, Map, Step
from bracketc.plan.steps import reads, writes

MAX_PROGRAM = 200
"""Most instructions of one record: longer ones gain nothing and keep compilers busy."""

MAX_OPERANDS = 32
"""Most operands of one record."""

FREE_INSTRUCTIONS = 4
"""So many cheap instructions over fewer labels may move into a record over more: they stay outside of its inner
loop."""


def fold(steps: Sequence[Step], keep: Iterable[Buffer]) -> list[Step]:
    """Every Map whose one result has one reader, a Map, is computed by the reader, unless that would repeat costly
    work."""
    kept = set(keep)
    readers: dict[Buffer, list[int]] = {}
    makers: dict[Buffer, int] = {}
    for place, step in enumerate(steps):
        for buffer in reads(step):
            readers.setdefault(buffer, []).append(place)
        for buffer in writes(step):
            makers[buffer] = place
    root = list(range(len(steps)))
    labels: list[Labels] = [step.labels if isinstance(step, Map) else () for step in steps]
    lengths = [len(step.program) - len(step.operands) if isinstance(step, Map) else 0 for step in steps]
    operands = [len(step.operands) if isinstance(step, Map) else 0 for step in steps]
    moved = [0] * len(steps)
    members: dict[int, list[int]] = {}
    for place in reversed(range(len(steps))):
        step = steps[place]
        reader = _only_reader(step, readers, kept)
        if reader is None or not isinstance(step, Map):
            continue
        consumer, target = steps[reader], step.stores[0].target
        top = root[reader]
        whole = steps[top]
        places = _places(step, consumer, target) if isinstance(consumer, Map) else None
        if places is None or not isinstance(whole, Map):
            continue
        carried = tuple(labels[reader][label] for label in places)
        work = _work(step)
        repeated = 0
        if len(set(carried)) < len(whole.labels):  # what the reader is part of may have more labels than the reader
            repeated = moved[reader] + len(work)
            if repeated > FREE_INSTRUCTIONS or any(map(is_costly, work)):
                continue
        loads = operands[top] + operands[place] - 1
        if loads > MAX_OPERANDS or lengths[top] + lengths[place] + loads > MAX_PROGRAM:
            continue
        moved[place] = repeated
        root[place] = top
        labels[place] = carried
        lengths[top] += lengths[place]
        operands[top] = loads
        members.setdefault(top, []).append(place)
    folded: list[Step] = []
    for place, step in enumerate(steps):
        if root[place] != place:
            continue
        if isinstance(step, Map) and place in members:
            parts = [(steps[member], labels[member]) for member in reversed(members[place])]
            step = _merged(step, [(part, carried) for part, carried in parts if isinstance(part, Map)])
        folded.append(step)
    return folded


def _only_reader(step: Step, readers: dict[Buffer, list[int]], kept: set[Buffer]) -> int | None:
    if not isinstance(step, Map) or len(step.stores) != 1 or step.stores[0].mode != "store":
        return None
    target = step.stores[0].target
    found = readers.get(target, [])
    return found[0] if len(found) == 1 and target not in kept else None


def _places(step: Map, consumer: Map, target: Buffer) -> Labels | None:
    """Which label of ``consumer`` each label of ``step`` is; ``None`` when it is read in more than one way."""
    found = {access.labels for access in consumer.operands if access.buffer is target}
    if len(found) != 1:
        return None
    (carried,) = found
    place = {label: carried[axis] for axis, label in enumerate(step.stores[0].labels)}
    return tuple(place[label] for label in step.labels)


def _work(step: Map) -> list[Instruction]:
    """What a record computes, beside what it loads."""
    return [i for i in step.program if i.operation not in ("load", "constant", "size", "index", "delta")]


def _merged(root: Map, parts: Sequence[tuple[Map, Labels]]) -> Map:
    """``root`` with the programs of ``parts`` (each with its labels in ``root``), in order, before its own."""
    scalars = Scalars()
    values: dict[Access, int] = {}
    for part, labels in parts:
        numbers = scalars.splice(part.program, part.operands, labels.__getitem__, values)
        store = part.stores[0]
        values[Access(store.target, tuple(labels[label] for label in store.labels))] = numbers[store.value]
    numbers = scalars.splice(root.program, root.operands, lambda label: label, values)
    stores = tuple(replace(store, value=numbers[store.value]) for store in root.stores)
    return replace(root, operands=tuple(scalars.operands), program=tuple(scalars.program), stores=stores)
