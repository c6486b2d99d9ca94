"""From a schedule to a kernel: labels become loops, accesses become strides, buffers become storage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bracketc.loops.arena import Arena
from bracketc.loops.batches import blocks
from bracketc.loops.buffers import reads, targets
from bracketc.loops.contractions import contract
from bracketc.loops.kernel import Factorise, Kernel, Statement
from bracketc.loops.memory import Memory
from bracketc.loops.nests import elementwise
from bracketc.loops.rearrangements import gather, join, place, scatter, take
from bracketc.loops.recurrences import loop
from bracketc.loops.rows import in_rows
from bracketc.plan import schedule as plan
from bracketc.plan.making import factors_made
from bracketc.plan.schedule import Buffer, Schedule


def lower(schedule: Schedule) -> Kernel:
    """The kernel of one entry point (its unguarded variant)."""
    memory = Memory(Arena(), {})
    arguments = tuple(memory.given(buffer, "argument") for buffer in schedule.arguments)
    forward = schedule.entry == "forward"
    residuals = tuple(memory.given(buffer, "residual") for buffer in schedule.residuals)
    results = tuple(memory.given(buffer, "result") for _, buffer in schedule.results)
    if forward:
        # A residual that is also a result is computed into the result and copied, so that neither aliases the other.
        assert not {b for _, b in schedule.results} & set(schedule.residuals)
    body = in_rows(lower_steps(memory, schedule.steps, ()))
    return Kernel(
        schedule.entry,
        arguments,
        residuals,
        results,
        tuple(memory.arena.sizes),
        tuple(memory.arena.dtypes),
        body,
        tuple(dict.fromkeys(memory.checks)),
        schedule.flops,
        schedule.bytes,
        tuple(memory.local.sizes),
        tuple(memory.local.dtypes),
        schedule.split is not None and not schedule.split.whole,
    )


def lower_steps(memory: Memory, steps: tuple[plan.Step, ...], keep: Iterable[Buffer]) -> Iterable[Statement]:
    """Statements of ``steps``; arena slots are given back after the last use of a buffer, those of ``keep`` stay
    taken."""
    last: dict[Buffer, int] = {}
    made: dict[Buffer, int] = {}
    keep = set(keep)
    making = factors_made(steps, keep)
    for number, step in enumerate(steps):
        # What makes a factor of the next product is read by that one.
        for buffer in reads(step):
            last[buffer] = number + (number + 1 in making)
        for buffer in targets(step):
            last[buffer] = number
        for buffer in targets(step):
            made[buffer] = number
    dying: dict[int, list[Buffer]] = {}
    for buffer, number in last.items():
        if buffer in made and buffer not in keep:
            dying.setdefault(number, []).append(buffer)
    for number, step in enumerate(steps):
        if number + 1 in making:
            continue
        over = _in_place(memory, step, dying.get(number, ()))
        for buffer in targets(step):
            if buffer in over:
                memory.storage[buffer] = replace(memory.storage[over[buffer]], name=buffer.name)
            elif buffer not in memory.storage:
                memory.made(buffer)
        if number in making and isinstance(step, plan.Contract):
            yield from contract(memory, step, making[number])
        else:
            yield from _step(memory, step)
        for buffer in dying.get(number, ()):
            found = memory.storage[buffer]
            if found.kind == memory.kind and buffer not in over.values():
                memory.room.give_back(found.slot)


def _in_place(memory: Memory, step: plan.Step, dying: Iterable[Buffer]) -> dict[Buffer, Buffer]:
    """Results of a Map that may lie where one of its operands does: that is read for the last time, entry by entry as the result is
    written.

    E_nk = exp(A_nk - m_n), where nobody reads A later   ->   E lies where A did
    """
    found: dict[Buffer, Buffer] = {}
    if not isinstance(step, plan.Map):
        return found
    free = [buffer for buffer in dying if memory.storage[buffer].kind == memory.kind]
    for store in step.stores:
        target = store.target
        whole = store.mode == "store" and sorted(store.labels) == sorted(step.labels)
        if target in memory.storage or not whole or target.row:
            continue
        for buffer in free:
            walks = {access.labels for access in step.operands if access.buffer is buffer}
            alike = buffer.dtype == target.dtype and buffer.shape == target.shape and not buffer.row
            if walks == {store.labels} and alike and buffer not in found.values():
                found[target] = buffer
                break
    return found


def _step(memory: Memory, step: plan.Step) -> Iterable[Statement]:
    match step:
        case plan.Contract():
            yield from contract(memory, step)
        case plan.Map():
            yield from elementwise(memory, step)
        case plan.Take():
            yield take(memory, step)
        case plan.Place():
            yield from place(memory, step)
        case plan.Gather():
            yield gather(memory, step)
        case plan.Scatter():
            yield from scatter(memory, step)
        case plan.Join():
            yield from join(memory, step)
        case plan.Factorise():
            args = tuple(memory.storage[a] for a in step.args)
            yield Factorise(step.operator, memory.storage[step.target], args, step.about, step.bracket)
        case plan.Loop():
            yield from loop(memory, step, lower_steps)
        case plan.Blocks():
            yield from blocks(memory, step, lower_steps)
