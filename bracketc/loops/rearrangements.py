"""Windows, gathered rows and stacked tensors as nests of loops that copy."""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Shape
from bracketc.loops.kernel import Address, Check, Fill, Indirect, Reference, Statement
from bracketc.loops.memory import ZERO, Memory, row_major
from bracketc.loops.nests import copy_nest
from bracketc.plan import schedule as plan
from bracketc.plan.schedule import Buffer


def windowed(
    memory: Memory, buffer: Buffer, axis: int, offset: Dim, steps: tuple[int, ...], extents: Shape, names: tuple[int, ...]
) -> Reference:
    """``buffer`` with axis ``axis`` addressed as offset + Σ steps · labels ``names[axis : axis +
    len(steps)]``."""
    strides = row_major(buffer.shape)
    count = len(steps)
    outer = [*names[:axis], *names[axis + count :]]
    terms = [(n, s) for n, s in zip(outer, (*strides[:axis], *strides[axis + 1 :]), strict=True)]
    terms += [(n, strides[axis] * s) for n, s in zip(names[axis : axis + count], steps, strict=True)]
    check(memory, buffer.shape[axis], offset, steps, extents)
    return Reference(memory.storage[buffer], Address(strides[axis] * offset, tuple(terms)))


def check(memory: Memory, extent: Dim, offset: Dim, steps: tuple[int, ...], extents: Shape) -> None:
    """Note what must hold for every position of a window to lie in 0 .. extent - 1, unless the sizes decide
    it."""
    low = high = offset
    for step, count in zip(steps, extents, strict=True):
        if step >= 0:
            high = high + step * (count - 1)
        else:
            low = low + step * (count - 1)
    for value in (low, extent - 1 - high):
        if value.constant is None or value.constant < 0:
            memory.checks.append(Check(extents, value))


def take(memory: Memory, step: plan.Take) -> Statement:
    names = memory.fresh(step.target.rank)
    source = windowed(memory, step.source, step.axis, step.offset, step.steps, step.extents, names)
    target = memory.reference(step.target, names, {n: n for n in names})
    return copy_nest(memory, step.target.shape, target, source, names, False, step.bracket)


def place(memory: Memory, step: plan.Place) -> Iterable[Statement]:
    names = memory.fresh(step.source.rank)
    inner = step.source.shape[step.axis : step.axis + len(step.steps)]
    target = windowed(memory, step.target, step.axis, step.offset, step.steps, inner, names)
    source = memory.reference(step.source, names, {n: n for n in names})
    yield Fill(memory.storage[step.target], 0.0)
    yield copy_nest(memory, step.source.shape, target, source, names, True, step.bracket)


def indirect(memory: Memory, rows: Buffer, index: Buffer, names: tuple[int, ...]) -> Reference:
    """Rows of ``rows`` chosen by ``index`` under the first labels, the rest of its axes under the others."""
    strides = row_major(rows.shape)
    chosen = memory.reference(index, names[: index.rank], {n: n for n in names})
    terms = tuple(zip(names[index.rank :], strides[1:], strict=True))
    return Reference(memory.storage[rows], Address(ZERO, terms, (Indirect(chosen, strides[0], rows.shape[0]),)))


def gather(memory: Memory, step: plan.Gather) -> Statement:
    names = memory.fresh(step.target.rank)
    target = memory.reference(step.target, names, {n: n for n in names})
    return copy_nest(
        memory, step.target.shape, target, indirect(memory, step.source, step.index, names), names, False, step.bracket
    )


def scatter(memory: Memory, step: plan.Scatter) -> Iterable[Statement]:
    names = memory.fresh(step.source.rank)
    source = memory.reference(step.source, names, {n: n for n in names})
    yield Fill(memory.storage[step.target], 0.0)
    yield copy_nest(memory, step.source.shape, indirect(memory, step.target, step.index, names), source, names, True, step.bracket)


def join(memory: Memory, step: plan.Join) -> Iterable[Statement]:
    for number, source in enumerate(step.sources):
        names = memory.fresh(source.rank)
        strides = row_major(step.target.shape)
        address = Address(strides[0] * number, tuple(zip(names, strides[1:], strict=True)))
        target = Reference(memory.storage[step.target], address)
        read = memory.reference(source, names, {n: n for n in names})
        yield copy_nest(memory, source.shape, target, read, names, False, step.bracket if number == 0 else "")
