"""``explain``: the plan, step by step, with its costs and reasons."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import Any

from rich.text import Text

from bracketc import compiler
from bracketc.cli.figures import bytes_text, flops_text
from bracketc.cli.pages import annotated_page, explain_page, planned_at
from bracketc.cli.sources import file_argument, kernel_options, load, options, write_text
from bracketc.cli.terminal import Terminal, aligned
from bracketc.errors import SourceError
from bracketc.options import Options
from bracketc.plan.explain import Explanation, Row, explain
from bracketc.plan.native import native_plan
from bracketc.target import THREAD_WORK

NAME = "explain"
READS_SOURCE = True


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command)
    command.add_argument("--function", metavar="NAME", help="explain this function of the module only")
    command.add_argument("--format", choices=("unicode", "html"), default="unicode")
    command.add_argument("--annotate", metavar="OUT.html", help="write a page that sets the emitted code beside each step")
    kernel_options(command)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print a table for each function."""
    program = load(arguments.file, terminal)
    with terminal.working("planning"):
        settings = options(arguments)
        done = compiler.stages(program, settings)
        planned = native_plan(done.plan) if settings.backend == "c" else done.plan
        explained = tuple(_with_threads(each, settings) for each in explain(planned))
    if arguments.function is not None:
        known = [e.entry for e in explained]
        if arguments.function not in known:
            raise SourceError(f"--function {arguments.function}: there is no such function; there are {', '.join(known)}")
        explained = tuple(e for e in explained if e.entry == arguments.function)
    terminal.data({"ok": True, "sizes": done.plan.hints, "functions": [_data(e) for e in explained]})
    if arguments.annotate is not None:
        write_text(arguments.annotate, annotated_page(done, explained, settings))
        terminal.say(f"wrote {arguments.annotate}")
        return 0
    if arguments.format == "html":
        terminal.text(explain_page(done, explained).rstrip("\n"))
        return 0
    terminal.say(f"planned at {planned_at(done)}", style="dim")
    for explanation in explained:
        terminal.say("")
        _print(explanation, terminal)
    return 0


def _with_threads(explained: Explanation, chosen: Options) -> Explanation:
    """With a word on threads: how many the kernel would use at the hints, and from which size on it uses a second one."""
    if chosen.backend != "c":
        return explained
    work = explained.flops_at_hints + explained.bytes_at_hints
    most = f"at most the {chosen.threads} of --threads" if chosen.threads > 1 else "where --threads allows them"
    note = (
        f"threads: {max(1, work // THREAD_WORK)} at the hints, {most}; a second one from {2 * THREAD_WORK / 1e6:g} million"
        f" flops and bytes on (here {work / 1e6:.3g})"
    )
    return replace(explained, notes=(*explained.notes, note))


def _print(explanation: Explanation, terminal: Terminal) -> None:
    baseline = explanation.baseline
    against = f", {flops_text(baseline)} as plain reverse mode" if baseline != explanation.flops_at_hints else ""
    terminal.say(
        Text.assemble(
            (explanation.entry, "bold"),
            f"   {flops_text(explanation.flops_at_hints)}{against}, {bytes_text(explanation.bytes_at_hints)} moved",
        )
    )
    terminal.say(f"  flops = {explanation.flops}", style="dim")
    table = aligned("", "step", "flops", "bytes", "why", right=("flops", "bytes"))
    for row in explanation.rows:
        _add(table, row)
    terminal.table(table)
    if explanation.residuals:
        terminal.say(f"  residuals: {', '.join(explanation.residuals)}")
    for note in explanation.notes:
        terminal.say(f"  note: {note}")


def _add(table: Any, row: Row) -> None:
    reasons = [row.why, *row.fused, *(["saved for backward: " + ", ".join(row.saved)] if row.saved else [])]
    kind = {"Contract": "×", "Map": "·", "Loop": "↻", "Blocks": "▤"}.get(row.kind, row.kind.lower())
    table.add_row(
        kind,
        "  " * row.depth + row.bracket,
        flops_text(row.flops_at_hints),
        bytes_text(row.bytes_at_hints),
        "; ".join(reasons),
    )


def _data(explanation: Explanation) -> dict[str, Any]:
    found = asdict(explanation)
    found["flops"], found["bytes"] = str(explanation.flops), str(explanation.bytes)
    for record, row in zip(found["rows"], explanation.rows, strict=True):
        record["flops"], record["bytes"] = str(row.flops), str(row.bytes)
    return found
