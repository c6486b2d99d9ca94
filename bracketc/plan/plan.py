"""Planning: entries of tensor nodes become schedules of records.

    nodes ──lower──▶ one record a node ──fuse──▶ few records ──names──▶ Schedule
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bracketc.errors import LimitError
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Entry, SizeSpec
from bracketc.plan.cost import flops, moved
from bracketc.plan.fusion import fuse, without_dead
from bracketc.plan.hints import Hints, choose_hints
from bracketc.plan.lower import Lowering, Origins
from bracketc.plan.names import unique_names
from bracketc.plan.notation import with_brackets
from bracketc.plan.schedule import Buffer, Plan, Schedule, Step, Variant
from bracketc.plan.steps import writes
from bracketc.plan.values import Value, View, whole

MAX_RECORDS = 1_000_000
"""More records than this in one entry is taken for a mistake."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Passes that can be switched off; the meaning of the schedule stays the same."""

    fuse: bool = True
    reassociate: bool = True


def plan(
    entries: Iterable[Entry],
    origins: Origins,
    sizes: Sequence[SizeSpec] = (),
    options: PlanOptions | None = None,
) -> Plan:
    """One schedule an entry, planned at hints; ``forward`` and ``backward`` agree on the residuals.

    A :class:`LimitError` is raised for graphs beyond :data:`MAX_RECORDS` records.
    """
    entries = tuple(entries)
    options = options or PlanOptions()
    arguments = dict.fromkeys(node for entry in entries for node in (*entry.arguments, *entry.extras))
    hints = choose_hints(sizes, arguments)
    schedules = tuple(_schedule(entry, origins, hints, options) for entry in entries)
    return Plan(schedules, tuple(hints.numbers), dict(hints.numbers))


def _schedule(entry: Entry, origins: Origins, hints: Hints, options: PlanOptions) -> Schedule:
    arguments: dict[Tensor, Buffer] = {
        node: Buffer(node.name, node.shape, node.dtype) for node in (*entry.arguments, *entry.extras)
    }
    values: dict[Node, Value] = {node: whole(buffer) for node, buffer in arguments.items()}
    lowering = Lowering(hints, origins, values)
    lowering.lower(node for _, node in entry.results)
    if len(lowering.steps) > MAX_RECORDS:
        raise LimitError(f"{entry.name} takes {len(lowering.steps)} records, more than {MAX_RECORDS}")
    results = _results(lowering, entry)
    steps = without_dead(lowering.steps, results)
    baseline = hints.of(flops(steps))
    if options.fuse:
        steps = fuse(steps, results)
    steps, buffers = _named(steps, entry, results, arguments.values())
    return Schedule(
        entry.name,
        tuple(arguments.values()),
        (),
        tuple(zip((name for name, _ in entry.results), buffers, strict=True)),
        (Variant((), steps),),
        flops(steps),
        moved(steps),
        (),
        baseline,
    )


def _results(lowering: Lowering, entry: Entry) -> list[Buffer]:
    """Distinct buffers of the results, none of them read from outside; copies are made where needed."""
    results: list[Buffer] = []
    made = {buffer for step in lowering.steps for buffer in writes(step)}
    for name, node in entry.results:
        value = lowering.values[node]
        own = isinstance(value, View) and value.is_whole and value.buffer in made and value.buffer not in results
        results.append(value.buffer if own and isinstance(value, View) else lowering.copy(value, name))
    return results


def _named(
    steps: tuple[Step, ...], entry: Entry, results: Sequence[Buffer], arguments: Iterable[Buffer]
) -> tuple[tuple[Step, ...], list[Buffer]]:
    """Results under names of their own, everything else under unique ones."""
    from bracketc.plan.steps import rename

    fixed = list(arguments)
    taken = {buffer.name for buffer in fixed}
    renamed: dict[Buffer, Buffer] = {}
    for buffer, (name, _) in zip(results, entry.results, strict=True):
        wish = f"d_{name}" if name in taken else name
        while wish in taken:
            wish += "_"
        taken.add(wish)
        renamed[buffer] = Buffer(wish, buffer.shape, buffer.dtype)
    steps = tuple(rename(step, lambda buffer: renamed.get(buffer, buffer)) for step in steps)
    outputs = list(renamed.values())
    return with_brackets(unique_names(steps, (*fixed, *outputs))), outputs
