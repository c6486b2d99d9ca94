"""Planning: entries of tensor nodes become schedules of records.

    nodes ──reassociate──▶ nodes ──lower──▶ one record a node ──fuse──▶ few records ──names──▶ Schedule

>>> plan(entries, program.origins, program.sizes).schedule("value_and_grad").steps
(Contract(…), Map(…), …)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bracketc.errors import LimitError
from bracketc.ir.dims import Dim
from bracketc.ir.extrema import located
from bracketc.ir.nodes import Node, Reduce, Tensor
from bracketc.ir.passes import over_entries
from bracketc.ir.program import Entry, SizeSpec
from bracketc.ir.rewrite import Origin, Roots, topological
from bracketc.plan.association import Reassociated, reassociate
from bracketc.plan.cost import flops, moved
from bracketc.plan.factors import factorise, through_inverses
from bracketc.plan.fusion import fuse, without_dead
from bracketc.plan.hints import Hints, choose_hints
from bracketc.plan.lower import Lowering, source_name
from bracketc.plan.matrices import named
from bracketc.plan.names import distinct, unique_names
from bracketc.plan.notation import with_brackets
from bracketc.plan.residuals import Residuals, choose_residuals
from bracketc.plan.schedule import Buffer, Contract, Plan, Schedule, Step, Variant
from bracketc.plan.stable import log_parts, split_log
from bracketc.plan.steps import rename, writes
from bracketc.plan.storage import arranged
from bracketc.plan.values import Value, View, whole

Origins = Mapping[Node, Origin]
NO_RESIDUALS = Residuals((), ())


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Passes that can be switched off (the meaning of the schedule stays the same), and the width of a real in bytes."""

    fuse: bool = True
    reassociate: bool = True
    arrange: bool = True
    real_bytes: int = 8
    max_nodes: int = 5_000_000
    factors: str = "all"
    """Which factors of matrices are shared: ``all``, those that are ``triangular`` (there is no LU factorisation to call), or
    ``none`` at all."""


def plan(
    entries: Iterable[Entry], origins: Origins, sizes: Sequence[SizeSpec] = (), options: PlanOptions | None = None
) -> Plan:
    """One schedule an entry, planned at hints; ``forward`` and ``backward`` agree on the residuals.

    The flops of a schedule are never more than those of its nodes taken one by one. A :class:`LimitError` is raised
    for graphs of more than ``max_nodes`` nodes.
    """
    entries = tuple(entries)
    options = options or PlanOptions()
    hints = choose_hints(sizes, dict.fromkeys(node for e in entries for node in (*e.arguments, *e.extras)))
    if options.factors != "none":
        entries, origins = over_entries(entries, origins, lambda roots: factorise(roots, hints, options.factors == "all"))
    residuals = _residuals(entries, hints)
    names = _residual_names(entries, residuals, origins)
    planned = []
    for entry in entries:
        if entry.candidates:
            schedule = _cheapest(entry, origins, hints, options)
            planned.append(replace(schedule, notes=(*schedule.notes, *_structure_notes(entry))))
            continue
        task = _task(entry, residuals if entry.name in ("forward", "backward") else NO_RESIDUALS, names)
        schedule = _schedule(task, origins, hints, options)
        planned.append(replace(schedule, notes=(*schedule.notes, *_residual_notes(task, residuals))))
    return Plan(tuple(planned), tuple(hints.numbers), dict(hints.numbers), options.real_bytes)


def _structure_notes(entry: Entry) -> tuple[str, ...]:
    """What of a derivative is computed and stored instead of the whole."""
    notes = []
    rest = [node for _, node in entry.results]
    for form in entry.forms:
        count = 1 if form.structure is None else form.structure.count
        stored, rest = rest[:count], rest[count:]
        if form.structure is not None and form.node is not None:
            kinds = " + ".join(term.kind for term in form.structure.terms)
            entries = sum((math.prod(node.shape, start=Dim.of(1)) for node in stored), Dim.of(0))
            whole = math.prod(form.node.shape, start=Dim.of(1))
            notes.append(f"{form.name}: {kinds}; stores {entries} entries instead of {whole}")
    return tuple(notes)


# ------------------------------------------------------------------------------------------------ modes
def _cheapest(entry: Entry, origins: Origins, hints: Hints, options: PlanOptions) -> Schedule:
    """The candidate of fewest planned flops, then of fewest bytes moved, then the first."""
    planned: dict[tuple[Node, ...], Schedule] = {}
    for candidate in entry.candidates:
        if candidate.nodes not in planned:  # simplified, two modes are often one
            results = tuple(zip((name for name, _ in entry.results), candidate.nodes, strict=True))
            task = _task(replace(entry, results=results), NO_RESIDUALS, ())
            planned[candidate.nodes] = _schedule(task, origins, hints, options)
    made = [(candidate.mode, planned[candidate.nodes]) for candidate in entry.candidates]
    ranked = sorted(made, key=lambda found: (hints.of(found[1].flops), hints.of(found[1].bytes)))
    mode, best = ranked[0]
    modes = tuple((name, schedule.baseline) for name, schedule in ranked)
    note = f"mode: {mode}" + (", products in another order" if hints.of(best.flops) < best.baseline else "")
    costs = "; ".join(f"{name} as it is takes {flops} flops at the hints" for name, flops in modes)
    return replace(best, notes=(f"{note} ({costs})", *best.notes), modes=modes)


# ------------------------------------------------------------------------------------------------ residuals
def _residuals(entries: Sequence[Entry], hints: Hints) -> Residuals:
    """What ``forward`` saves, if there is a ``backward``."""
    roots = {entry.name: tuple(node for _, node in entry.results) for entry in entries}
    if "forward" not in roots or "backward" not in roots:
        return NO_RESIDUALS
    cotangents = next(entry.extras for entry in entries if entry.name == "backward")
    chosen = choose_residuals(roots["forward"], roots["backward"], cotangents, hints)
    saved: dict[Node, None] = {}
    maxima = located(roots["backward"])
    for node in chosen.saved:
        if not isinstance(node, Reduce) or node.operator != "logsumexp":
            saved[node] = None
            continue
        top, logarithm = log_parts(node)
        if top in maxima and not isinstance(node.arg, Tensor):
            saved[node.arg] = None  # of which it is the largest, to the last bit
        saved.update(dict.fromkeys((top, logarithm)))
    return replace(chosen, saved=tuple(saved))


def _residual_names(entries: Sequence[Entry], residuals: Residuals, origins: Origins) -> tuple[str, ...]:
    """One name a residual, the same in both entries, that nothing else in them has."""
    taken = {t.name for e in entries for t in (*e.arguments, *e.extras)}
    taken |= {f"{prefix}{name}" for e in entries for name, _ in e.results for prefix in ("", "d_")}
    names = []
    for node in residuals.saved:
        names.append(distinct(source_name(origins, node) or named(origins, node) or "saved", taken))
    return tuple(names)


def _residual_notes(task: _Task, residuals: Residuals) -> tuple[str, ...]:
    if not task.residuals:
        return ()
    verb = "saves" if task.entry.name == "forward" else "reads"
    saved = ", ".join(f"{name} ({' × '.join(map(str, node.shape)) or 'scalar'})" for name, node in task.residuals)
    notes = [f"saves {saved} for backward" if verb == "saves" else f"reads {saved}, which forward saved"]
    if verb == "reads" and residuals.recomputed:
        notes.append(f"computes {len(residuals.recomputed)} cheap element-wise values again rather than reading them")
    return tuple(notes)


# ------------------------------------------------------------------------------------------------ one entry
@dataclass(frozen=True, slots=True)
class _Task:
    """An entry with its arguments, what each given node is, and the buffers to be made: (name, node)."""

    entry: Entry
    arguments: tuple[Buffer, ...]
    residuals: tuple[tuple[str, Node], ...]
    loaded: tuple[Buffer, ...]
    given: dict[Node, Value]
    parts: tuple[Reduce, ...]
    outputs: tuple[tuple[str, Node], ...]

    @property
    def wanted(self) -> tuple[Node, ...]:
        return tuple(node for _, node in self.outputs)


def _task(entry: Entry, residuals: Residuals, names: Sequence[str]) -> _Task:
    tensors: tuple[Tensor, ...] = (*entry.arguments, *entry.extras)
    arguments = tuple(Buffer(node.name, node.shape, node.dtype) for node in tensors)
    given: dict[Node, Value] = {node: whole(buffer) for node, buffer in zip(tensors, arguments, strict=True)}
    saved = tuple(zip(names, residuals.saved, strict=True)) if residuals.saved else ()
    taken = {buffer.name for buffer in arguments} | {name for name, _ in saved}
    outputs = tuple((distinct(f"d_{n}" if n in taken else n, taken), node) for n, node in entry.results)
    if entry.name == "forward":
        return _Task(entry, arguments, saved, (), given, (), (*outputs, *saved))
    loaded = tuple(Buffer(name, node.shape, node.dtype) for name, node in saved)
    given.update((node, whole(buffer)) for (_, node), buffer in zip(saved, loaded, strict=True))
    parts = tuple(reduced for _, node in saved if (reduced := split_log(node)) is not None)
    return _Task(entry, arguments, saved, loaded, given, parts, outputs)


def _schedule(task: _Task, origins: Origins, hints: Hints, options: PlanOptions) -> Schedule:
    roots = Roots(task.wanted, origins)
    if options.factors == "triangular" and task.entry.name not in ("forward", "backward"):  # these agree on what they share
        roots = through_inverses(roots)
    if len(topological(task.wanted)) > options.max_nodes:
        raise LimitError(
            f"{task.entry.name} has more than {options.max_nodes:,} nodes; the option max_nodes raises the limit"
        )
    steps, outputs = _records(task, roots, hints)
    baseline = hints.of(flops(steps))
    notes: tuple[str, ...] = ()
    if options.reassociate and not (task.entry.request is not None and task.entry.request.derived):  # that is as written
        better = reassociate(roots, hints, {*task.given, *task.parts})
        if better.gains:
            candidate, made = _records(task, better.roots, hints)
            if hints.of(flops(candidate)) < baseline:
                steps, outputs, notes = candidate, made, _gain_notes(better, origins)
    if options.fuse:
        steps = fuse(steps, outputs)
    if options.arrange:
        steps = arranged(steps, outputs, hints)
    steps, outputs = _named(steps, outputs, task)
    steps = _symmetric(steps, outputs, task.entry)
    count = len(task.entry.results)
    return Schedule(
        task.entry.name,
        task.arguments,
        task.loaded or tuple(outputs[count:]),
        tuple((name, buffer) for (name, _), buffer in zip(task.entry.results, outputs, strict=False)),
        (Variant((), steps),),
        flops(steps),
        moved(steps, options.real_bytes),
        notes,
        baseline,
    )


def _symmetric(steps: tuple[Step, ...], outputs: Sequence[Buffer], entry: Entry) -> tuple[Step, ...]:
    """Second derivatives that one product makes are marked, so that half of them need be computed."""
    if any(form.structure for form in entry.forms):
        return steps
    marked = [out for form, out in zip(entry.forms, outputs, strict=False) if form.symmetric and form.rows]
    return tuple(replace(s, symmetric=True) if isinstance(s, Contract) and _makes_half(s, marked) else s for s in steps)


def _makes_half(step: Contract, marked: Sequence[Buffer]) -> bool:
    if len(step.products) != 1 or len(step.stores) != 1 or step.stores[0].target not in marked:
        return False
    (store,) = step.stores
    return store.mode == "store" and store.labels == step.output


def _gain_notes(better: Reassociated, origins: Origins) -> tuple[str, ...]:
    notes = []
    for node, before, after in better.gains:
        known = source_name(origins, node)
        name = f"{known}: " if known else ""
        notes.append(f"{name}a chain of products in another order takes {after} flops at the hints instead of {before}")
    return tuple(notes)


def _records(task: _Task, roots: Roots, hints: Hints) -> tuple[tuple[Step, ...], tuple[Buffer, ...]]:
    """One record a node, and the buffers of the outputs: distinct ones that no argument is; copies where needed."""
    lowering = Lowering(hints, roots.origins, task.given, task.parts)
    values = lowering.lower(roots.nodes)
    made = {buffer for step in lowering.steps for buffer in writes(step)}
    outputs: dict[Buffer, None] = {}
    for (name, _), value in zip(task.outputs, values, strict=True):
        own = isinstance(value, View) and value.is_whole and value.buffer in made and value.buffer not in outputs
        outputs.setdefault(value.buffer if own and isinstance(value, View) else lowering.copy(value, name))
    return without_dead(lowering.steps, outputs), tuple(outputs)


def _named(
    steps: tuple[Step, ...], outputs: Sequence[Buffer], task: _Task
) -> tuple[tuple[Step, ...], tuple[Buffer, ...]]:
    """Outputs under the names that the task gives them, all else under unique ones, and each record with its
    bracket."""
    renamed = {
        buffer: Buffer(name, buffer.shape, buffer.dtype)
        for buffer, (name, _) in zip(outputs, task.outputs, strict=True)
    }
    steps = tuple(rename(step, lambda buffer: renamed.get(buffer, buffer)) for step in steps)
    fixed = (*task.arguments, *task.loaded, *renamed.values())
    return with_brackets(unique_names(steps, fixed)), tuple(renamed.values())
