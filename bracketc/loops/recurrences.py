"""The loop of a recurrence: states are pointers that move, or rotate through a ring."""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.loops.batches import Lower
from bracketc.loops.buffers import targets
from bracketc.loops.kernel import Copy, Statement, Steps, Storage, product
from bracketc.loops.memory import Memory
from bracketc.loops.rows import in_rows
from bracketc.plan import schedule as plan
from bracketc.plan.schedule import Buffer


def loop(memory: Memory, step: plan.Loop, lower: Lower) -> Iterable[Statement]:
    """``step`` with its slices, stacks and states as pointers; ``lower`` makes the body."""
    moving: list[Storage] = []
    rings: list[Storage] = []
    made = {buffer for inner in step.steps for buffer in targets(inner)}
    befores = {carry.before for carry in step.carries}
    for inner, outer in step.slices:
        memory.storage[inner] = _moving(inner, memory.storage[outer], moving)
    late: list[tuple[Storage, Buffer]] = []
    for inner, outer in step.stacks:
        place = Storage(
            outer.name + "_t",
            "moving",
            inner.shape,
            inner.dtype,
            base=memory.storage[outer],
            stride=product(inner.shape),
        )
        moving.append(place)
        if inner in made and inner not in memory.storage:
            memory.storage[inner] = place
        else:
            late.append((place, inner))
    held: list[int] = []
    for carry in step.carries:
        if carry.after in made and carry.after not in memory.storage:
            count = _ring_length(carry.after, step)
            slot = memory.arena.take(product(carry.after.shape) * count, carry.after.dtype)
            held.append(slot)
            ring = Storage(carry.after.name, "ring", carry.after.shape, carry.after.dtype, slot, count=count)
            rings.append(ring)
            memory.storage[carry.after] = ring
    carried: list[tuple[Storage, Storage]] = []
    for carry in step.carries:
        memory.storage[carry.before] = Storage(
            carry.before.name, "carried", carry.before.shape, carry.before.dtype, base=memory.storage[carry.initial]
        )
    for carry in step.carries:
        carried.append((memory.storage[carry.before], memory.storage[carry.after]))
    keep = {carry.after for carry in step.carries} | {inner for inner, _ in step.stacks} | befores
    # Everything that the surrounding schedule still holds was taken before, so slots freed inside are free in
    # each step.
    body = list(in_rows(lower(memory, step.steps, keep)))
    body += [Copy(place, memory.storage[inner]) for place, inner in late]
    finals = tuple(
        Copy(memory.storage[carry.final], memory.storage[carry.before]) for carry in step.carries if carry.final is not None
    )
    yield Steps(step.length, step.reverse, tuple(carried), tuple(moving), tuple(rings), tuple(body), finals, step.bracket)
    for slot in held:
        memory.arena.give_back(slot)


def _moving(inner: Buffer, outer: Storage, moving: list[Storage]) -> Storage:
    found = Storage(inner.name, "moving", inner.shape, inner.dtype, base=outer, stride=product(inner.shape))
    moving.append(found)
    return found


def _ring_length(after: Buffer, step: plan.Loop) -> int:
    """Blocks that a state needs so that none is overwritten while a later step reads it: 1 + the number of steps it
    is read."""
    length, current = 1, {after}
    while True:
        following = {c.before for c in step.carries if c.after in current}
        if not following or length > len(step.carries):
            return length
        length, current = length + 1, following
