"""Blocks of a batch: cut storage, partial sums, and how these become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bracketc.ir.dims import Dim
from bracketc.loops.kernel import Blocks, Combine, Statement, Storage, product
from bracketc.loops.memory import Memory, row_major
from bracketc.loops.rows import in_rows
from bracketc.plan import schedule as plan
from bracketc.plan.schedule import Buffer, Mode

Lower = Callable[[Memory, tuple[plan.Step, ...], Iterable[Buffer]], Iterable[Statement]]
"""How a body becomes statements; the buffers stay in memory behind it."""


def blocks(memory: Memory, step: plan.Blocks, lower: Lower) -> Iterable[Statement]:
    """``step`` over cuts of its slices and stacks, then its sums from those of the groups; ``lower`` makes the body."""
    (piece,) = step.piece.names
    groups = f"{piece}_groups"
    cuts: list[Storage] = []
    for inner, outer, axis in (*step.slices, *step.stacks):
        strides = row_major(outer.shape)
        storage = Storage(inner.name, "cut", inner.shape, inner.dtype, base=memory.storage[outer], stride=strides[axis])
        memory.storage[inner], memory.strides[inner] = storage, strides
        cuts.append(storage)
    partials: list[tuple[Mode, Storage]] = []
    for inner, _, mode in step.sums:
        slot = memory.arena.take(product(inner.shape) * Dim.named(groups), inner.dtype)
        memory.storage[inner] = Storage(inner.name, "partial", inner.shape, inner.dtype, slot)
        partials.append((mode, memory.storage[inner]))
    memory.kind = "local"
    body = in_rows(lower(memory, step.steps, ()))
    memory.kind = "arena"
    yield Blocks(
        step.extent,
        piece,
        groups,
        step.row_bytes,
        step.least_bytes,
        step.budget,
        step.unit,
        step.groups,
        tuple(cuts),
        tuple(partials),
        body,
        step.bracket,
    )
    for _, outer, mode in step.sums:
        partial = next(memory.storage[inner] for inner, other, _ in step.sums if other is outer)
        yield Combine(memory.storage[outer], partial, mode, groups)
    for _, partial in partials:
        memory.arena.give_back(partial.slot)
