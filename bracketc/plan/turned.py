"""Factors that loops read again and again are laid out for them once.

A product reads its columns in vectors. Where the sum runs along memory instead, as in the transpose of the weights of a backward
pass, panels of columns are packed first; and where rows are a power of two long, many of them fall on the same few lines of the
cache and drive each other out. A loop would pay for that in each of its steps:

    for t = T..1:  G_ni = (D_nh W_ih | ni)   ->   V_hi = W_ih;  for t = T..1:  G_ni = (D_nh V_hi | ni)

V has free entries between its rows (:data:`~bracketc.plan.schedule.ROW_GAP`). It costs one pass over the factor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bracketc.ir.nodes import REAL, Labels
from bracketc.plan.cost import moved
from bracketc.plan.hints import Hints
from bracketc.plan.names import distinct
from bracketc.plan.notation import with_brackets
from bracketc.plan.schedule import (
    Access,
    Blocks,
    Buffer,
    Contract,
    Instruction,
    Loop,
    Map,
    Plan,
    Product,
    Schedule,
    Step,
    Store,
    Variant,
)
from bracketc.plan.steps import reads, writes

LEAST_STEPS = 4
"""Steps that are worth a pass over a factor."""

CROWDED = 1 << 13
"""Bytes beyond which rows on the same lines drive each other out of a cache of 8 ways of 4,096 bytes, at twice the hints."""


def turned_plan(plan: Plan) -> Plan:
    """``plan`` with the factors of products in loops as these read them best."""
    hints = Hints(plan.hints)
    return replace(plan, schedules=tuple(_schedule(schedule, hints, plan.real_bytes) for schedule in plan.schedules))


def _schedule(schedule: Schedule, hints: Hints, real_bytes: int) -> Schedule:
    given = (*schedule.arguments, *schedule.residuals, *(buffer for _, buffer in schedule.results))
    taken = {buffer.name for buffer in (*given, *(b for step in schedule.steps for b in _named(step)))}
    found: list[Step] = []
    notes: list[str] = []
    for step in schedule.steps:
        if isinstance(step, Loop | Blocks) and (times := _times(step, hints)) >= LEAST_STEPS:
            inside = _Inside(frozenset(_own(step)), isinstance(step, Loop), hints, real_bytes, taken)
            step = inside.body(step)
            found += [_copy(old, order, new) for (old, order), new in inside.made.items()]
            notes += [_note(step, old, order, times, hints, real_bytes) for old, order in inside.made]
        found.append(step)
    if not notes:
        return schedule
    steps, notes = with_brackets(tuple(found)), [*schedule.notes, *notes]
    variants = (*schedule.variants[:-1], Variant((), steps))
    return replace(schedule, variants=variants, bytes=moved(steps, real_bytes), notes=tuple(notes))


def _note(step: Loop | Blocks, old: Buffer, order: tuple[int, ...], times: int, hints: Hints, real_bytes: int) -> str:
    size = 2 * hints.count(old.shape) * real_bytes / 1e3
    where = f"the {times} blocks" if isinstance(step, Blocks) else f"the loop of {times} steps"
    if order == tuple(range(len(order))):
        return f"copies {old.name} before {where} ({size:.3g} kB moved), where its rows would drive each other out of the cache"
    return f"turns {old.name} once before {where} ({size:.3g} kB moved) instead of packing it in each ({times * size:.3g} kB)"


def _times(step: Loop | Blocks, hints: Hints) -> int:
    """How often the body runs at the hints."""
    if isinstance(step, Loop):
        return hints.of(step.length)
    cut = step.division(hints.of)
    return -(-hints.of(step.extent) // cut.rows)


def _named(step: Step) -> Iterator[Buffer]:
    """Every buffer that a step names, also inside of a loop."""
    yield from reads(step)
    yield from writes(step)
    if isinstance(step, Loop | Blocks):
        yield from _own(step)


def _own(step: Loop | Blocks) -> Iterator[Buffer]:
    """What is another buffer, or holds something else, in each pass of the body."""
    if isinstance(step, Loop):
        yield from (buffer for carry in step.carries for buffer in (carry.before, carry.after))
        yield from (inner for inner, _ in (*step.slices, *step.stacks))
    else:
        yield from (inner for inner, _, _ in (*step.slices, *step.stacks, *step.sums))
    for inner_step in step.steps:
        yield from _named(inner_step) if isinstance(inner_step, Loop | Blocks) else writes(inner_step)


@dataclass
class _Inside:
    """The body of a loop; ``made`` is what it reads laid out, axis k of the new buffer is axis ``order[k]`` of the old one."""

    own: frozenset[Buffer]
    copies: bool
    hints: Hints
    real_bytes: int
    taken: set[str]
    made: dict[tuple[Buffer, tuple[int, ...]], Buffer] = field(default_factory=dict)

    def body(self, step: Loop | Blocks) -> Loop | Blocks:
        """``step`` with its products, those of loops in it too, reading what is laid out."""
        steps: list[Step] = []
        for inner in step.steps:
            if isinstance(inner, Loop | Blocks):
                inner = self.body(inner)
            elif isinstance(inner, Contract) and not inner.symmetric:
                inner = replace(inner, products=tuple(self.product(product, inner) for product in inner.products))
            steps.append(inner)
        return replace(step, steps=tuple(steps))

    def product(self, product: Product, step: Contract) -> Product:
        """``product`` with the factor that has the columns laid out, if that gains anything."""
        sides = (product.left, product.right)
        found = [side for side in sides if step.output and step.output[-1] in side.labels]
        if len(found) != 1:
            return product
        (columns,) = found
        rows = product.left if columns is product.right else product.right
        several = self.hints.count(step.extents[x] for x in step.output if x in rows.labels and x not in columns.labels) > 1
        if columns.buffer in self.own or columns.buffer.dtype != REAL or not several:
            return product
        found_order = self.order(columns, rows, step.output)
        if found_order is None:
            return product
        order, row = found_order
        key = (columns.buffer, order)
        if key not in self.made:
            shape = tuple(columns.buffer.shape[axis] for axis in order)
            self.made[key] = Buffer(distinct(f"{columns.buffer.name}_turned", self.taken), shape, REAL, row)
        new = Access(self.made[key], tuple(columns.labels[axis] for axis in order))
        return replace(product, right=new) if columns is product.right else replace(product, left=new)

    def order(self, columns: Access, rows: Access, output: Labels) -> tuple[tuple[int, ...], int] | None:
        """The axes of ``columns`` with the sums before the columns, and how many are columns; ``None`` where that gains nothing.

        (D_nh W_ih | ni)  ->  axes (1, 0) of W, one of them a column
        """
        labels = columns.labels
        if len(set(labels)) < len(labels):
            return None
        batch = [x for x in output if x in labels and x in rows.labels]
        summed = [x for x in labels if x not in output]
        last = [x for x in output if x in labels and x not in rows.labels]
        order = tuple(labels.index(label) for label in (*batch, *summed, *last))
        if batch or not summed:
            return None
        shape = columns.buffer.shape
        row_bytes = self.hints.count(shape[labels.index(x)] for x in last) * self.real_bytes
        entries = self.hints.count(shape[labels.index(x)] for x in summed)
        crowded = entries * min(row_bytes & -row_bytes, 4096) > CROWDED
        turned = labels[-1] in summed
        return (order, len(last)) if turned or (crowded and self.copies and order == tuple(range(len(order)))) else None


def _copy(old: Buffer, order: tuple[int, ...], new: Buffer) -> Map:
    labels = tuple(range(len(order)))
    places = {axis: label for label, axis in enumerate(order)}
    access = Access(old, tuple(places[axis] for axis in range(len(order))))
    return Map(labels, (access,), (Instruction("load", operand=0),), (Store(new, labels, 0),), new.shape)
