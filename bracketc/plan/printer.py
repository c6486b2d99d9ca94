"""Schedules as text, for ``--dump plan``: one line a record, one a store, in index notation.

Contract nh over d: X_nd W1_dh
  Z1_nh = tanh(acc + b1_h)
"""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.ir.dims import Dim
from bracketc.plan.notation import contraction_text, label_names, statements
from bracketc.plan.schedule import (
    Blocks,
    Buffer,
    Contract,
    Factorise,
    Gather,
    Join,
    Loop,
    Map,
    Place,
    Plan,
    Scatter,
    Schedule,
    Step,
    Take,
)


def show(plan: Plan) -> str:
    """Every schedule of ``plan``, after the sizes that it was planned at."""
    sizes = ", ".join(f"{name} = {number}" for name, number in plan.hints.items())
    return "\n\n".join([f"planned at {sizes or 'no sizes'}", *map(show_schedule, plan.schedules)]) + "\n"


def show_schedule(schedule: Schedule) -> str:
    """One entry: its signature, its records, its cost and the notes."""
    results = ", ".join(name if name == buffer.name else f"{name} = {buffer}" for name, buffer in schedule.results)
    lines = [f"{schedule.entry}({', '.join(map(repr, schedule.arguments))}) -> {results}"]
    if schedule.residuals:
        lines.append(f"  residuals {', '.join(map(repr, schedule.residuals))}")
    for variant in schedule.variants:
        indent = "  "
        if variant.guard:
            lines.append(f"  where {', '.join(f'{dim} >= {least}' for dim, least in variant.guard)}")
            indent = "    "
        for step in variant.steps:
            lines += _step_lines(step, indent)
    lines.append(f"  flops {schedule.flops}; bytes {schedule.bytes}; flops of plain reverse mode {schedule.baseline}")
    lines += [f"  note: {note}" for note in schedule.notes]
    return "\n".join(lines)


def show_steps(steps: Iterable[Step]) -> str:
    """Records alone."""
    return "\n".join(line for step in steps for line in _step_lines(step, ""))


def _step_lines(step: Step, indent: str) -> list[str]:
    match step:
        case Map() | Contract():
            return _record_lines(step, indent)
        case Take():
            return [f"{indent}{step.target} = {step.source} at {_positions(step.offset, step.steps, step.axis)}"]
        case Place():
            return [f"{indent}{step.target} = {step.source} added at {_positions(step.offset, step.steps, step.axis)}"]
        case Gather():
            return [f"{indent}{step.target} = {step.source} rows {step.index}"]
        case Scatter():
            return [f"{indent}{step.target} = {step.source} added to rows {step.index}"]
        case Join():
            return [f"{indent}{step.target} = [{', '.join(map(repr, step.sources))}]"]
        case Factorise():
            return [f"{indent}{step.target} = {step.operator}({', '.join(map(repr, step.args))})"]
        case Loop():
            return _loop_lines(step, indent)
        case Blocks():
            return _block_lines(step, indent)


def _record_lines(step: Map | Contract, indent: str) -> list[str]:
    names = label_names(step)
    labels = step.labels if isinstance(step, Map) else step.output
    head = f"{indent}{type(step).__name__} {' '.join(f'{names[x]}:{step.extents[x]}' for x in labels) or 'scalar'}"
    if isinstance(step, Contract):
        head += f" of {contraction_text(step, names)}"
    return [head, *(f"{indent}  {line}" for line in statements(step, names, "acc"))]


def _positions(offset: Dim, steps: tuple[int, ...], axis: int) -> str:
    terms = [str(offset), *(f"{stride} l{k + 1}" for k, stride in enumerate(steps))]
    return f"{' + '.join(terms)} on axis {axis}"


def _loop_lines(step: Loop, indent: str) -> list[str]:
    lines = [f"{indent}Loop {'down from' if step.reverse else 'up to'} {step.length}"]
    for carry in step.carries:
        last = "" if carry.final is None else f", at last {carry.final}"
        lines.append(f"{indent}  state {carry.before} from {carry.initial}, then {_name(carry.after)}{last}")
    lines += [f"{indent}  {inner} = {outer.name}[t]" for inner, outer in step.slices]
    for inner_step in step.steps:
        lines += _step_lines(inner_step, indent + "  ")
    lines += [f"{indent}  {outer}[t] = {_name(inner)}" for inner, outer in step.stacks]
    return lines


def _block_lines(step: Blocks, indent: str) -> list[str]:
    lines = [f"{indent}Blocks of {step.extent}, {step.piece} at a time, {step.row_bytes} bytes each"]
    lines += [f"{indent}  {inner} = {outer.name} on axis {axis}" for inner, outer, axis in step.slices]
    for inner_step in step.steps:
        lines += _step_lines(inner_step, indent + "  ")
    lines += [f"{indent}  {outer} on axis {axis} = {_name(inner)}" for inner, outer, axis in step.stacks]
    lines += [f"{indent}  {outer} = {mode} of {_name(inner)}" for inner, outer, mode in step.sums]
    return lines


def _name(buffer: Buffer) -> str:
    return buffer.name
