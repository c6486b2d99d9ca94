"""Factors of products that are made while they are packed, where storing them would cost more.

    T_ij = G_ij (1 - A_ij²);  Y_ik = (T_ij W_jk | ik)   ->   the product packs T from G and A, and T is stored nowhere

A product that packs its factors copies each of them into panels; what makes an entry can do so there. Stored, T is written and read
once more. But a product of many columns packs the left factor once for each block of them, and every thread packs all of the right
one: T is then made several times. Only factors with one reader come into question, and both costs are told (``explain``).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bracketc.plan.cost import entries
from bracketc.plan.hints import Hints
from bracketc.plan.making import readers, side_made
from bracketc.plan.schedule import Access, Buffer, Contract, Instruction, Map, Plan, Schedule, Step, Variant
from bracketc.plan.split import ARITHMETIC, CACHE, MEMORY
from bracketc.target import SEVERAL_THREADS

STAYS = 1 << 21
"""Bytes of a factor that the product still finds in a cache: stored, it costs next to nothing up to there (measured, see
``docs/performance.md``)."""

COLUMNS = 1 << 12
"""Bytes of a row of the result for which a left factor is packed once."""

LEAST = 64
"""Rows, columns and terms from which on a product is packed anyway."""

FUNCTION = 16
"""Operations that a function counts for."""


@dataclass(frozen=True, slots=True)
class FactorCost:
    """Seconds for a factor that the product makes, so many ``times``, and for one that is stored."""

    times: int
    made: float
    stored: float


def factor_cost(before: Map, step: Contract, side: Access, hints: Hints, real_bytes: int, threads: bool) -> FactorCost:
    """What the factor ``side`` of ``step`` costs at the hints: what is made goes through the cache on its way into panels."""
    (product,) = step.products
    other = product.right if side is product.left else product.left
    count = hints.count(before.extents)
    size, operations = count * real_bytes, sum(_operations(instruction) for instruction in before.program)
    read = sum(hints.count(access.buffer.shape) for access in before.operands) * real_bytes
    columns = hints.count(step.extents[label] for label in other.labels if label in step.output) * real_bytes
    packed_by_all = step.output[-1] in side.labels  # as the right factor, by each thread
    times = (2 if threads else 1) if packed_by_all else max(1, -(-columns // COLUMNS))
    work = count * operations / ARITHMETIC
    made = times * (work + 2 * size / CACHE) + (times - 1) * read / MEMORY
    return FactorCost(times, made, work + 2 * size / (CACHE if size <= STAYS else MEMORY))


def _operations(instruction: Instruction) -> int:
    if instruction.operation in ("load", "constant", "size"):
        return 0
    return FUNCTION if instruction.operation in ("call", "power") else 1


def prologues_plan(plan: Plan, always: bool = False) -> Plan:
    """``plan`` with the factors that products make where that pays, or ``always`` where it is possible."""
    hints = Hints(plan.hints)
    return replace(plan, schedules=tuple(_schedule(schedule, hints, plan.real_bytes, always) for schedule in plan.schedules))


def _schedule(schedule: Schedule, hints: Hints, real_bytes: int, always: bool) -> Schedule:
    threads = hints.of(schedule.flops) + hints.of(schedule.bytes) >= SEVERAL_THREADS
    steps, notes, saved = schedule.steps, [], schedule.bytes
    packing: dict[int, Map] = {}
    counts, makers = readers(steps), {s.stores[0].target: s for s in steps if isinstance(s, Map)}
    keep = {*schedule.residuals, *(buffer for _, buffer in schedule.results)}
    for step in steps:
        found = _maker(step, makers, counts, keep, hints, always)
        if found is None or not isinstance(step, Contract):
            continue
        before, side = found
        cost = factor_cost(before, step, side, hints, real_bytes, threads)
        taken = always or cost.made < cost.stored
        often = f", {cost.times} times" if cost.times > 1 else ""
        told = f"{1e6 * cost.made:.3g} µs made as it is packed{often}", f"{1e6 * cost.stored:.3g} µs stored"
        notes.append(f"factor {side.buffer.name}: {'; '.join(told if taken else told[::-1])}")
        if taken:
            packing[id(step)] = before
            saved = saved - 2 * real_bytes * entries(side.buffer.shape)
    if not notes:
        return schedule
    variants = (*schedule.variants[:-1], Variant((), tuple(_moved(steps, packing))))
    return replace(schedule, variants=variants, bytes=saved, notes=(*schedule.notes, *notes))


def _moved(steps: Iterable[Step], packing: Mapping[int, Map]) -> Iterator[Step]:
    """``steps`` with what makes a factor right before the product that packs it."""
    gone = {id(before) for before in packing.values()}
    for step in steps:
        if isinstance(step, Contract) and id(step) in packing:
            yield from (packing[id(step)], replace(step, prologue=True))
        elif id(step) not in gone:
            yield step


def _maker(
    step: Step, makers: Mapping[Buffer, Map], counts: Mapping[Buffer, int], keep: Container[Buffer], hints: Hints, always: bool
) -> tuple[Map, Access] | None:
    """The Map that makes a factor for ``step`` alone, and the factor."""
    if not isinstance(step, Contract) or step.symmetric or len(step.products) != 1:
        return None
    (product,) = step.products
    labels = {*product.left.labels, *product.right.labels, *step.output}
    if not always and any(hints.of(step.extents[label]) < LEAST for label in labels):
        return None
    for access in (product.left, product.right):
        if counts[access.buffer] != 1 or access.buffer in keep:
            continue
        before = makers.get(access.buffer)
        side = None if before is None else side_made(before, step)
        if before is not None and side is not None:
            return before, side
    return None
