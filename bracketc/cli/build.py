"""``build``: emit and compile modules.

Writes `NAME.py` and its companions into a folder; prints what was written, and operations and bytes of each function.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from bracketc import compiler
from bracketc.bench.report import human
from bracketc.cli.figures import bytes_text, flops_text
from bracketc.cli.sources import file_argument, kernel_options, load_all, options, settings
from bracketc.cli.terminal import Terminal, aligned
from bracketc.errors import ToolchainError
from bracketc.runtime.toolchain import find_toolchain

NAME = "build"
READS_SOURCE = True


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command, many=True)
    command.add_argument(
        "-o", "--output", metavar="DIR", default="generated", help="where to write (default: generated)"
    )
    kernel_options(command)
    command.add_argument("--name", help="name of the module, of one file (default: that of the file)")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Build every file; nothing is written when any of them has an error."""
    programs = load_all(arguments.files, terminal)
    given = settings(arguments) | {"backend": chosen_backend(arguments, terminal)}
    if arguments.name is not None:
        if len(programs) > 1:
            terminal.err.print("usage: --name is for one file")
            return 2
        given["name"] = arguments.name
    built: list[dict[str, Any]] = []
    for program in programs:
        started = time.perf_counter()
        with terminal.working(f"compiling {program.source.filename}"):
            done = compiler.build(program, arguments.output, **given)
        built.append(_report(done, time.perf_counter() - started, terminal))
    terminal.data({"ok": True, "built": built})
    return 0


def chosen_backend(arguments: argparse.Namespace, terminal: Terminal) -> str:
    """The backend that was asked for; without one, C where there is a compiler and NumPy, with a warning, elsewhere."""
    chosen = options(arguments)
    if arguments.backend is not None or chosen.backend != "c":
        return chosen.backend
    try:
        find_toolchain(chosen)
    except ToolchainError as error:
        terminal.warn(f"{error.diagnostics[0].message}; building for NumPy")
        return "numpy"
    return "c"


def _report(done: compiler.Build, seconds: float, terminal: Terminal) -> dict[str, Any]:
    """Say what was built; the same as data."""
    plan = done.stages.plan
    label = {"c": "C", "numpy": "NumPy"}[done.backend]
    terminal.say(f"{done.name}: {label}, {human(seconds)}")
    for path in done.files:
        terminal.say(f"  {path}")
    table = aligned("function", "flops", "bytes", right=("flops", "bytes"))
    costs: dict[str, Any] = {}
    for schedule in plan.schedules:
        flops, moved = done.cost(schedule.entry)
        table.add_row(schedule.entry, flops_text(flops), bytes_text(moved))
        costs[schedule.entry] = {"flops": flops, "bytes": moved}
    terminal.table(table)
    sizes = ", ".join(f"{name} = {number}" for name, number in plan.hints.items())
    if sizes:
        terminal.say(f"  a call, at {sizes}", style="dim")
    return {
        "name": done.name,
        "backend": done.backend,
        "files": [str(path) for path in done.files],
        "seconds": seconds,
        "sizes": dict(plan.hints),
        "functions": costs,
    }
