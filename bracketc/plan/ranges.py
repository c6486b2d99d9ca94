"""Ranges of a batch that callers compute apart: in threads, processes or machines of their own.

Every call that computes a range runs what blocks need before them, then its groups of blocks; one call more runs what follows. So
steps that blocks do not need stand behind them, and a result that they do need is finished there, where one call writes it:

    R = g(w);  S = h(w);  for blocks of N: f(X, R)   ->   t = g(w);  for blocks of N: f(X, t);  S = h(w);  R = t

An entry whose blocks need the whole batch first, in another pass over it, has no ranges; :class:`~bracketc.plan.schedule.Split`
says why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from bracketc.ir.dims import Dim
from bracketc.plan.names import distinct
from bracketc.plan.schedule import Access, Blocks, Buffer, Instruction, Map, Schedule, Step, Store, Variant
from bracketc.plan.steps import reads, rename, writes


def with_ranges(schedule: Schedule) -> Schedule:
    """``schedule`` in the order that ranges need; or with the reason why there are none in its split. The same without a split."""
    if schedule.split is None:
        return schedule
    at = [number for number, step in enumerate(schedule.steps) if isinstance(step, Blocks)]
    blocks = schedule.steps[at[0]]
    assert isinstance(blocks, Blocks)
    if len(at) > 1:
        return _whole(schedule, f"pass 2 over {blocks.extent} needs what pass 1 sums up over all of it")
    early, late = _sorted(schedule.steps[: at[0]], blocks)
    kept = {*(buffer for _, buffer in schedule.results), *(schedule.residuals if schedule.entry == "forward" else ())}
    held = _batch(early, blocks.extent) or _left(blocks, kept)
    if held:
        return _whole(schedule, held)
    late += schedule.steps[at[0] + 1 :]
    early, late = _finished(early, blocks, late, kept, _names(schedule))
    note = f"ranges of {blocks.extent} can be computed apart and combined"
    steps = (*early, *late)
    return replace(schedule, variants=(Variant((), steps),), notes=(*schedule.notes, note))


def _whole(schedule: Schedule, why: str) -> Schedule:
    assert schedule.split is not None
    note = f"no ranges of {schedule.split.label} apart: {why}"
    return replace(schedule, notes=(*schedule.notes, note), split=replace(schedule.split, whole=why))


def _sorted(steps: Iterable[Step], blocks: Blocks) -> tuple[list[Step], list[Step]]:
    """The steps that blocks need, and the others."""
    needed = set(reads(blocks))
    early: list[Step] = []
    late: list[Step] = []
    for step in reversed([*steps]):
        if needed.isdisjoint(writes(step)):
            late.append(step)
        else:
            early.append(step)
            needed.update(reads(step))
    return early[::-1], late[::-1]


def _batch(early: Iterable[Step], extent: Dim) -> str:
    """Why every range would have to go through the whole batch; empty where none has to."""
    for step in early:
        for buffer in (*reads(step), *writes(step)):
            if any(extent is length or set(extent.names) & set(length.names) for length in buffer.shape):
                return f"what the blocks need before reads or makes {buffer.name} as a whole"
    return ""


def _left(blocks: Blocks, kept: Collection[Buffer]) -> str:
    """Why what follows the blocks cannot do with their sums alone; empty where it can."""
    for _, outer, _ in blocks.stacks:
        if outer not in kept:
            return f"what follows the blocks needs all of {outer.name}"
    return ""


def _names(schedule: Schedule) -> set[str]:
    given = (*schedule.arguments, *schedule.residuals, *(buffer for _, buffer in schedule.results))
    return {buffer.name for buffer in (*given, *(b for step in schedule.steps for b in (*reads(step), *writes(step))))}


def _finished(
    early: list[Step], blocks: Blocks, late: list[Step], kept: Collection[Buffer], taken: set[str]
) -> tuple[list[Step], list[Step]]:
    """The steps before and from the blocks on, the caller's memory written by the latter only."""
    own = {b: Buffer(distinct(f"{b.name}_early", taken), b.shape, b.dtype) for s in early for b in writes(s) if b in kept}
    copies = [_copy(made, target) for target, made in own.items()]
    before, after = ([rename(step, lambda b: own.get(b, b)) for step in steps] for steps in (early, [blocks, *late]))
    return before, [after[0], *copies, *after[1:]]


def _copy(source: Buffer, target: Buffer) -> Map:
    labels = tuple(range(source.rank))
    program = (Instruction("load", operand=0),)
    return Map(labels, (Access(source, labels),), program, (Store(target, labels, 0),), source.shape)
