"""The commands put together: arguments, dispatch, exit status.

bracketc build models/mlp.brk -o generated   ->   build.run(arguments, terminal)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from bracketc.cli import bench, build, cache, check, derive, doctor, explain, fmt, init, verify
from bracketc.cli import run as run_command
from bracketc.cli.dump import STAGES, dump
from bracketc.cli.terminal import Terminal, make_terminal
from bracketc.errors import BracketError
from bracketc.version import VERSION

COMMANDS = (build, derive, check, explain, bench, run_command, fmt, verify, doctor, cache, init)

INTERRUPTED = 130
USAGE = 2

_EPILOG = """exit status: 0 done, 1 the input is wrong or a check failed, 2 usage, 3 toolchain, 4 a resource limit

settings: command line, then BRACKETC_CACHE_DIR, BRACKETC_CC, BRACKETC_CFLAGS, BRACKETC_NUM_THREADS,
then [tool.bracketc] in pyproject.toml"""


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    _shared_options(shared)
    top = argparse.ArgumentParser(
        prog="bracketc",
        description="From derivations to optimised kernels.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
    )
    top.add_argument("--version", action="version", version=f"bracketc {VERSION}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for module in COMMANDS:
        summary = (module.__doc__ or "").strip().split("\n")[0]
        command = commands.add_parser(
            module.NAME,
            help=summary.removeprefix(f"``{module.NAME}``: ").rstrip("."),
            description=summary.removeprefix(f"``{module.NAME}``: "),
            parents=[shared],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(command)
        help = "print a stage of the compilation instead" if module.READS_SOURCE else argparse.SUPPRESS
        command.add_argument("--dump", action=_Dump, choices=STAGES, help=help)
        command.set_defaults(run=module.run, reads_source=module.READS_SOURCE)
    return top


def _shared_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("-v", "--verbose", action="count", help="say more; -vv says everything")
    command.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors and what was asked for")
    command.add_argument("--json", action="store_true", help="answer with one JSON object")


class _Dump(argparse.Action):
    """``--dump STAGE``: the command prints that and does nothing else, so that it needs no other options."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, values)
        for action in parser._actions:
            if action.option_strings or not namespace.reads_source:
                action.required = False


def run(argv: Sequence[str] | None = None) -> int:
    """One command; gives the exit status."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    arguments.alone = argv is None  # a process of its own, which may start again
    verbosity = -1 if getattr(arguments, "quiet", False) else getattr(arguments, "verbose", 0)
    terminal = make_terminal(verbosity, getattr(arguments, "json", False))
    try:
        status = _dispatch(arguments, terminal)
        sys.stdout.flush()
        return status
    except BracketError as error:
        terminal.errors(error)
        return error.exit_code
    except KeyboardInterrupt:
        terminal.err.print("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough. What is still buffered goes nowhere, quietly.
        _silence_stdout()
        return 0


def _dispatch(arguments: Any, terminal: Terminal) -> int:
    if getattr(arguments, "dump", None):
        if not arguments.reads_source:
            what = "--dump shows a stage of the compilation of a source file"
            terminal.err.print(f"usage: {what}; {arguments.command} reads none, try: bracketc build FILE --dump {arguments.dump}")
            return USAGE
        return dump(arguments, terminal)
    status: int = arguments.run(arguments, terminal)
    return status


def _silence_stdout() -> None:
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # a stream without a descriptor has nothing left to flush
        return
