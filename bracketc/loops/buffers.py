"""Buffers that a step reads and writes, in order."""

from __future__ import annotations

from bracketc.plan import schedule as plan
from bracketc.plan.schedule import Buffer


def reads(step: plan.Step) -> tuple[Buffer, ...]:
    """Buffers that a step reads, in order."""
    match step:
        case plan.Contract():
            sides = [side.buffer for p in step.products for side in (p.left, p.right)]
            return (*sides, *(a.buffer for a in step.operands))
        case plan.Map():
            return tuple(a.buffer for a in step.operands)
        case plan.Take() | plan.Place():
            return (step.source,)
        case plan.Gather() | plan.Scatter():
            return (step.source, step.index)
        case plan.Join():
            return step.sources
        case plan.Factorise():
            return step.args
        case plan.Loop():
            outside = [*(c.initial for c in step.carries), *(outer for _, outer in step.slices)]
            return (*outside, *(b for inner in step.steps for b in reads(inner)))
        case plan.Blocks():
            return (*(outer for _, outer, _ in step.slices), *(b for inner in step.steps for b in reads(inner)))


def targets(step: plan.Step) -> tuple[Buffer, ...]:
    """Buffers that a step writes and that live after it, in order."""
    match step:
        case plan.Contract() | plan.Map():
            return tuple(s.target for s in step.stores)
        case plan.Loop():
            return (*(c.final for c in step.carries if c.final is not None), *(outer for _, outer in step.stacks))
        case plan.Blocks():
            return (*(outer for _, outer, _ in step.stacks), *(outer for _, outer, _ in step.sums))
        case _:
            return (step.target,)
