"""Names of buffers: unique in a schedule, close to the source, the same in every process."""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.plan.schedule import Blocks, Buffer, Loop, Step
from bracketc.plan.steps import rename, writes


def distinct(wish: str, taken: set[str]) -> str:
    """``wish``, or the first of ``wish_2``, ``wish_3``, … that is not ``taken``; it is taken then."""
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    taken.add(name)
    return name


def unique_names(steps: Iterable[Step], fixed: Iterable[Buffer]) -> tuple[Step, ...]:
    """``steps`` with every buffer that they make, but ``fixed``, under a name of its own: ``Z1``, ``Z1_2``, … in
    order of writing.

    Buffers whose wish is ``t`` are numbered from 1: ``t1``, ``t2``, …
    """
    steps = tuple(steps)
    fixed = tuple(fixed)
    taken = {buffer.name for buffer in fixed}
    renamed: dict[Buffer, Buffer] = {buffer: buffer for buffer in fixed}
    next_number: dict[str, int] = {}

    def new(buffer: Buffer) -> Buffer:
        found = renamed.get(buffer)
        if found is None:
            name = buffer.name
            if name == "t" or name in taken:
                number = next_number.get(name, 1 if name == "t" else 2)
                separator = "" if name == "t" else "_"
                while f"{name}{separator}{number}" in taken:
                    number += 1
                next_number[name] = number + 1
                name = f"{name}{separator}{number}"
            taken.add(name)
            found = renamed[buffer] = buffer if name == buffer.name else Buffer(name, buffer.shape, buffer.dtype)
        return found

    def visit(step: Step) -> None:
        if isinstance(step, Loop):
            for carry in step.carries:
                new(carry.before)
            for inner, _ in step.slices:
                new(inner)
            for inner_step in step.steps:
                visit(inner_step)
        if isinstance(step, Blocks):
            for inner, _, _ in step.slices:
                new(inner)
            for inner_step in step.steps:
                visit(inner_step)
        for buffer in writes(step):
            new(buffer)

    for step in steps:
        visit(step)
    return tuple(rename(step, new) for step in steps)
