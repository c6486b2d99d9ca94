"""Sums over a product in a pass behind it, where the product stays in the cache.

The gradient of a bias is a sum over what a product makes. Tile by tile, in the epilogue of the product, it takes no pass over
memory, but each tile of a few rows reads and writes the line of its sums, and no two tiles are made at a time:

    G_nh = (D_nk W_hk | nh) (1 - Z_nh²);  b_h = sum(G_nh)
        ->   T_nh = (D_nk W_hk | nh);  G_nh = T_nh (1 - Z_nh²), b_h = sum(G_nh)

The pass reads T and writes G once more. From the cache that takes less time than the tiles lose, from memory more: where T, at the
hints, is larger than what stays in the cache, the sums are made with the tiles. So they are where threads could not share the pass,
as that of a sum over all entries, and the call is long enough for several: tiles are shared in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bracketc.ir.nodes import REAL
from bracketc.plan.cost import moved
from bracketc.plan.hints import Hints
from bracketc.plan.names import distinct
from bracketc.plan.notation import with_brackets
from bracketc.plan.scalars import Scalars
from bracketc.plan.schedule import Access, Blocks, Buffer, Contract, Instruction, Loop, Map, Plan, Schedule, Step, Store, Variant
from bracketc.plan.split import CACHE, MEMORY, SplitOptions
from bracketc.plan.steps import reads, writes
from bracketc.target import SEVERAL_THREADS

STAYS = SplitOptions().budget
"""Bytes of a product that are still in the cache when it is finished: as many as a block of a batch takes."""

LINE = 64
"""Bytes that a pass moves at least."""

TILES = 18e9
"""Bytes a second of a product whose sums are made with its tiles, beyond what tiles alone take (measured, see
``docs/performance.md``)."""


@dataclass(frozen=True, slots=True)
class SumCost:
    """Seconds that sums over a product of ``size`` bytes take with its tiles, and in a pass behind it."""

    size: int
    tiles: float
    apart: float


def sum_cost(step: Contract, hints: Hints, real_bytes: int, threads: bool = False) -> SumCost:
    """What the sums of ``step`` cost at the hints: with the tiles one way over the product, behind them one to read it and one to
    write it, in whole lines of the cache, which rows may be shorter than. With ``threads`` a pass of one keeps another waiting."""
    *rows, columns = (step.extents[label] for label in step.output)
    row = hints.of(columns) * real_bytes
    size, lines = hints.count(rows) * row, hints.count(rows) * -(-row // LINE) * LINE
    alone = threads and not any(all(label in store.labels for store in step.stores) for label in step.output)
    return SumCost(size, size / TILES, (2 if alone else 1) * 2 * lines / (CACHE if size <= STAYS else MEMORY))


def passes_plan(plan: Plan, always: bool = False) -> Plan:
    """``plan`` with the sums over products where they cost least, or ``always`` in a pass."""
    hints = Hints(plan.hints)
    return replace(plan, schedules=tuple(_schedule(schedule, hints, plan.real_bytes, always) for schedule in plan.schedules))


def _schedule(schedule: Schedule, hints: Hints, real_bytes: int, always: bool) -> Schedule:
    taken = {buffer.name for buffer in _named(schedule)}
    threads = hints.of(schedule.flops) + hints.of(schedule.bytes) >= SEVERAL_THREADS
    found = _Passes(hints, real_bytes, always, taken)
    steps = tuple(found.steps(schedule.steps, threads))
    if not found.notes:
        return schedule
    notes = (*schedule.notes, *found.notes)
    if steps == schedule.steps:
        return replace(schedule, notes=notes)
    steps = with_brackets(steps)
    variants = (*schedule.variants[:-1], Variant((), steps))
    return replace(schedule, variants=variants, bytes=moved(steps, real_bytes), notes=notes)


def _named(schedule: Schedule) -> Iterator[Buffer]:
    yield from (*schedule.arguments, *schedule.residuals, *(buffer for _, buffer in schedule.results))
    pending = list(schedule.steps)
    while pending:
        step = pending.pop()
        yield from reads(step)
        yield from writes(step)
        if isinstance(step, Loop | Blocks):
            pending += step.steps


@dataclass
class _Passes:
    """One walk over records; ``notes`` say what was decided for each product with sums."""

    hints: Hints
    real_bytes: int
    always: bool
    taken: set[str]
    notes: list[str] = field(default_factory=list)

    def steps(self, steps: tuple[Step, ...], threads: bool) -> Iterator[Step]:
        """``steps`` as they are chosen; several ``threads`` may run them together, but one alone all of a block."""
        for step in steps:
            if isinstance(step, Loop | Blocks):
                inner = tuple(self.steps(step.steps, threads and isinstance(step, Loop)))
                yield step if inner == step.steps else replace(step, steps=inner)
            elif isinstance(step, Contract) and _has_choice(step):
                yield from self.chosen(step, threads)
            else:
                yield step

    def chosen(self, step: Contract, threads: bool) -> Iterator[Step]:
        cost = sum_cost(step, self.hints, self.real_bytes, threads)
        sums = ", ".join(store.target.name for store in step.stores if store.mode == "sum")
        apart = self.always or cost.apart < cost.tiles
        costs = [f"{1e6 * cost.tiles:.3g} µs with the tiles of the product", f"{1e6 * cost.apart:.3g} µs in a pass behind it"]
        where = "the cache" if cost.size <= STAYS else "memory"
        first, other = costs[::-1] if apart else costs
        self.notes.append(f"sums up {sums}: {first}, {other}, over {cost.size / 1e3:.3g} kB in {where}")
        if not apart:
            yield step
            return
        bare = Buffer(distinct(f"{step.stores[0].target.name}_bare", self.taken), tuple(step.extents[x] for x in step.output))
        yield replace(
            step,
            operands=(),
            program=(Instruction("accumulator"),),
            stores=(Store(bare, step.output, 0),),
            symmetric=False,
        )
        yield _pass(step, bare)


def _has_choice(step: Contract) -> bool:
    """Whether ``step`` sums up what it stores entry by entry: otherwise no pass would have anything to write."""
    summed = step.output and any(store.mode == "sum" for store in step.stores)
    return bool(summed) and any(s.mode == "store" and s.labels == step.output and s.target.dtype == REAL for s in step.stores)


def _pass(step: Contract, bare: Buffer) -> Map:
    """The epilogue of ``step`` over the entries of ``bare``."""
    places = {label: place for place, label in enumerate(step.output)}
    labels = tuple(range(len(step.output)))
    scalars = Scalars()
    loaded = (*step.operands, Access(bare, step.output))
    program = [Instruction("load", operand=len(step.operands)) if i.operation == "accumulator" else i for i in step.program]
    numbers = scalars.splice(program, loaded, places.__getitem__)
    stores = tuple(replace(s, labels=tuple(places[x] for x in s.labels), value=numbers[s.value]) for s in step.stores)
    extents = tuple(step.extents[label] for label in step.output)
    return Map(labels, tuple(scalars.operands), tuple(scalars.program), stores, extents)
