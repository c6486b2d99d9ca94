"""What was planned and why, as records that the command line prints.

>>> explain(plan)[0].rows[0].bracket
'Z1_nh = tanh((X_nd W1_dh | nh) + b1_h)'
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bracketc.ir.dims import Dim
from bracketc.plan.cost import entries, flops, moved
from bracketc.plan.hints import Hints
from bracketc.plan.notation import bracket
from bracketc.plan.schedule import Blocks, Buffer, Contract, Loop, Map, Plan, Schedule, Step
from bracketc.plan.steps import writes

COUNTED = frozenset({"load", "accumulator", "constant", "size", "index", "delta"})
"""Operations of scalar programs that are no work of their own."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record. ``depth`` counts the loops around it; flops and bytes are those of one pass of the innermost loop.

    ``fused`` says what shares its pass over memory, ``saved`` what it writes for ``backward``, ``why`` for what
    reason it is as it is.
    """

    depth: int
    kind: str
    bracket: str
    flops: Dim
    bytes: Dim
    flops_at_hints: int
    bytes_at_hints: int
    fused: tuple[str, ...]
    saved: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One entry: its rows, its totals, and plain reverse mode (each node on its own, in the order written) for
    comparison; of Jacobians and Hessians the modes, that of the plan first, with the flops of each as it is."""

    entry: str
    rows: tuple[Row, ...]
    flops: Dim
    bytes: Dim
    flops_at_hints: int
    bytes_at_hints: int
    baseline: int
    modes: tuple[tuple[str, int], ...]
    residuals: tuple[str, ...]
    notes: tuple[str, ...]


def explain(plan: Plan) -> tuple[Explanation, ...]:
    """An explanation of every entry, at the sizes in ``plan.hints``."""
    return tuple(explain_schedule(schedule, Hints(plan.hints), plan.real_bytes) for schedule in plan.schedules)


def explain_schedule(schedule: Schedule, hints: Hints, real_bytes: int = 8) -> Explanation:
    """What one schedule does, step by step."""
    saved = {buffer for buffer in schedule.residuals if schedule.entry == "forward"}
    return Explanation(
        schedule.entry,
        tuple(_rows(schedule.steps, 0, saved, hints, real_bytes)),
        schedule.flops,
        schedule.bytes,
        hints.of(schedule.flops),
        hints.of(schedule.bytes),
        schedule.baseline,
        schedule.modes,
        tuple(map(repr, schedule.residuals)),
        schedule.notes,
    )


def _rows(steps: Iterable[Step], depth: int, saved: set[Buffer], hints: Hints, real_bytes: int) -> Iterable[Row]:
    listed = [*steps]
    for number, step in enumerate(listed):
        work, traffic, why = flops((step,)), moved((step,), real_bytes), reason(step, hints, real_bytes)
        before, behind = listed[number - 1] if number else None, listed[number + 1] if number + 1 < len(listed) else None
        for maker, user in ((step, behind), (before, step)):
            if isinstance(user, Contract) and user.prologue and isinstance(maker, Map):
                traffic = traffic - real_bytes * entries(maker.stores[0].target.shape)  # neither stored nor read
                why = "made by the next record as it packs it" if maker is step else f"{why}, packs what it makes"
        names = tuple(buffer.name for buffer in writes(step) if buffer in saved)
        kind = type(step).__name__
        yield Row(
            depth,
            kind,
            step.bracket or bracket(step),
            work,
            traffic,
            hints.of(work),
            hints.of(traffic),
            fused(step),
            names,
            why,
        )
        if isinstance(step, Loop | Blocks):
            yield from _rows(step.steps, depth + 1, saved, hints, real_bytes)


def fused(step: Step) -> tuple[str, ...]:
    """What shares the pass of a record: its epilogue, further products, further stores and sums."""
    if not isinstance(step, Map | Contract):
        return ()
    work = [i.function or i.operation for i in step.program if i.operation not in COUNTED]
    found = []
    if isinstance(step, Contract):
        if len(step.products) > 1:
            found.append(f"{len(step.products)} products accumulate into one tile")
        if work:
            found.append(f"epilogue on the finished tile: {_listed(work)}")
    elif len(work) > 1:
        found.append(f"{len(work)} operations in one pass: {_listed(work)}")
    first, *others = step.stores
    for store in others:
        done = "stored" if store.mode == "store" else f"{store.mode} taken"
        found.append(f"{store.target.name} {done} in the pass that makes {first.target.name}")
    return tuple(found)


def _listed(words: list[str]) -> str:
    known = list(dict.fromkeys(words))
    return ", ".join(known[:8]) + (", …" if len(known) > 8 else "")


def reason(step: Step, hints: Hints, real_bytes: int = 8) -> str:
    """Why a record stands alone, in a few words."""
    match step:
        case Contract():
            work, traffic = hints.of(flops((step,))), max(1, hints.of(moved((step,), real_bytes)))
            return f"contraction, {work / traffic:.1f} flops a byte"
        case Blocks():
            return f"blocks of {step.extent} that stay in the cache; groups of them can run on threads of their own"
        case Map():
            modes = {store.mode for store in step.stores} - {"store"}
            return f"one pass that takes the {' and the '.join(sorted(modes))}" if modes else "one element-wise pass"
        case Loop():
            return f"recurrence of {hints.of(step.length)} steps at the hints"
        case _:
            return "moves entries" if not hints.of(flops((step,))) else "not element-wise"
