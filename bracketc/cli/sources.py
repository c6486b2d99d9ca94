"""Source files and settings as the commands get them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bracketc import compiler
from bracketc.cli.terminal import Terminal
from bracketc.errors import BracketError, Diagnostic, Source, SourceError
from bracketc.ir.program import Program
from bracketc.options import BACKENDS, DTYPES, ON_SINGULAR, Options, read_options
from bracketc.runtime.directory import file_error
from bracketc.target import LEVELS, find_target

STDIN = "<stdin>"
"""What standard input, the file ``-``, is called in messages."""


def file_argument(command: argparse.ArgumentParser, many: bool = False) -> None:
    command.add_argument("files" if many else "file", metavar="FILE", nargs="+" if many else None, help="a .brk file")


def standalone_option(command: argparse.ArgumentParser) -> None:
    """Whether LaTeX is a document of its own."""
    command.add_argument("--standalone", action="store_true", help="with --format latex: a whole document, not a part of one")


def size_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--size", action="append", metavar="N=32", type=size, default=[], help="bind a size; may be repeated"
    )


def kernel_options(command: argparse.ArgumentParser) -> None:
    """What decides how kernels are emitted."""
    size_options(command)
    command.add_argument("--backend", choices=BACKENDS, help="what to emit (default: c)")
    command.add_argument("--dtype", choices=DTYPES, help="type of real numbers (default: float64)")
    command.add_argument("--threads", type=positive, metavar="K", help="threads of the C kernels (default: 1)")
    march_option(command)
    command.add_argument("--on-singular", choices=ON_SINGULAR, help="a matrix without a result: an error (default), or NaN")
    command.add_argument("--no-lapack", dest="lapack", action="store_const", const=False, help="own factorisations only")


def march_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--march", metavar="LEVEL", type=march, help="native, portable or a level (default: native)")


def seed_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=natural, default=0, help="of the random arguments (default: 0)")


def march(text: str) -> str:
    """A level of instructions that there is."""
    if text not in ("native", "portable") and find_target(text) is None:
        known = ", ".join(target.name for target in LEVELS)
        raise argparse.ArgumentTypeError(f"{text!r} is no level; choose native, portable, {known}")
    return text


def size(text: str) -> tuple[str, int]:
    """``N=32`` as a name and a number."""
    name, equals, number = text.partition("=")
    if not equals or not name.strip() or not number.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as N=32")
    return name.strip(), int(number)


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def natural(text: str) -> int:
    """A whole number from 0."""
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def settings(arguments: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """The settings that were given on the command line."""
    given = {name: getattr(arguments, name, None) for name in ("backend", "dtype", "threads", "march", "on_singular", "lapack")}
    sizes = dict(getattr(arguments, "size", []))
    found = {name: value for name, value in (given | more).items() if value is not None}
    return found | ({"sizes": sizes} if sizes else {})


def options(arguments: argparse.Namespace, **more: Any) -> Options:
    """All settings: command line over environment over ``pyproject.toml``."""
    return read_options(settings(arguments, **more))


def read_source(path: str) -> Source:
    """The text of a file, for what works on the text; ``-`` is standard input."""
    if path != "-":
        return compiler.read(path)
    try:
        return Source(sys.stdin.read(), STDIN)
    except UnicodeDecodeError as error:
        raise SourceError(f"standard input is not UTF-8 text (byte {error.start})") from None


def write_text(path: str, text: str) -> None:
    """A file that was asked for."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise file_error(path, error) from None


def load(path: str, terminal: Terminal) -> Program:
    """The program of a file; its notes go to standard error, and nowhere under ``-q``."""
    program = compiler.load(path)
    terminal.notes(program.notes)
    return program


def load_all(files: Sequence[str], terminal: Terminal | None = None) -> list[Program]:
    """The programs of all files, or one error with every mistake in any of them."""
    programs: list[Program] = []
    found: list[Diagnostic] = []
    worst: BracketError | None = None
    for path in files:
        try:
            programs.append(compiler.load(path))
        except BracketError as error:
            found.extend(error.diagnostics)
            if worst is None or error.exit_code > worst.exit_code:
                worst = error
    if worst is not None:
        raise type(worst)(found)
    if terminal is not None:
        for program in programs:
            terminal.notes(program.notes)
    return programs
