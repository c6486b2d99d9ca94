"""Fewer records with the same meaning: what nobody reads is not computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bracketc.plan.scalars import prune
from bracketc.plan.schedule import Buffer, Carry, Contract, Loop, Map, Step
from bracketc.plan.steps import reads, writes


def without_dead(steps: Sequence[Step], keep: Iterable[Buffer]) -> tuple[Step, ...]:
    """Only the stores, and the steps, that ``keep`` needs."""
    live = set(keep)
    kept: list[Step] = []
    for step in reversed(steps):
        if not any(buffer in live for buffer in writes(step)):
            continue
        step = _trimmed(step, live)
        live.update(reads(step))
        kept.append(step)
    return tuple(reversed(kept))


def _trimmed(step: Step, live: set[Buffer]) -> Step:
    if isinstance(step, Map | Contract):
        stores = tuple(store for store in step.stores if store.target in live)
        operands, program, stores = prune(step.operands, step.program, stores)
        return replace(step, operands=operands, program=program, stores=stores)
    if isinstance(step, Loop):
        carries = tuple(Carry(c.before, c.after, c.initial, c.final if c.final in live else None) for c in step.carries)
        stacks = tuple((inner, outer) for inner, outer in step.stacks if outer in live)
        inside = without_dead(step.steps, [*(c.after for c in carries), *(inner for inner, _ in stacks)])
        return replace(step, carries=carries, stacks=stacks, steps=inside)
    return step


def fuse(steps: Sequence[Step], keep: Iterable[Buffer]) -> tuple[Step, ...]:
    return without_dead(steps, keep)
