"""``derive``: derivatives as formulas.

Every derivative that the file asks for, or the one of --of by --wrt. Names of the file are used; what is shared
or long gets a name of its own.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import PurePath

from rich.text import Text

from bracketc import compiler
from bracketc.cli.pages import derive_page
from bracketc.cli.sources import file_argument, options, size_options, standalone_option
from bracketc.cli.steps import show_steps, step_blocks
from bracketc.cli.terminal import Terminal
from bracketc.derivation import Formulas, answers, asked, derived
from bracketc.emit.latex import document
from bracketc.emit.programs import program_text
from bracketc.errors import SourceError, UnsupportedError
from bracketc.ir.program import Program

NAME = "derive"
READS_SOURCE = True


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command)
    command.add_argument("--of", metavar="J", help="differentiate this definition")
    command.add_argument("--wrt", metavar="W[,b]", help="by these names (default: every parameter)")
    command.add_argument("--steps", action="store_true", help="show how: a derivation that `verify` accepts")
    command.add_argument("--program", action="store_true", help="with --steps: the file above it, for `verify` to read")
    command.add_argument("--definitions", action="store_true", help="no derivative: every definition, in the chosen --form")
    command.add_argument("--format", choices=("unicode", "ascii", "latex", "html"), default="unicode")
    command.add_argument("--form", choices=("auto", "matrix", "index", "bracket"), default="auto", help="notation of products")
    standalone_option(command)
    size_options(command)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print the formulas."""
    if arguments.program and not arguments.steps:
        terminal.err.print("usage: --program goes with --steps")
        return 2
    if arguments.standalone and arguments.format != "latex":
        terminal.err.print("usage: --standalone goes with --format latex")
        return 2
    program = compiler.load(arguments.file)
    if arguments.definitions:
        return _definitions(program, arguments, terminal)
    if arguments.of or arguments.wrt:
        program = replace(program, requests=asked(program, arguments.of, arguments.wrt))
    elif not program.requests:
        raise SourceError(f"{arguments.file} asks for no derivative; add `gradient J wrt W`, or give --of and --wrt")
    if arguments.format == "html":
        settings = options(arguments)
        with terminal.working("deriving"):
            blocks, left_out = step_blocks(program, arguments.form) if arguments.steps else ([], [])
            text = derive_page(program, settings, answers(program, settings, arguments.form), blocks)
        terminal.notes(left_out)
        terminal.data({"ok": True, "format": "html", "page": text})
        terminal.text(text.rstrip("\n"))
        return 0
    if arguments.steps:
        show_steps(arguments, program, terminal)
        return 0
    with terminal.working("deriving"):
        found = derived(program, options(arguments), arguments.format, arguments.form)
    terminal.data({"ok": True, "format": arguments.format, "formulas": [_data(f) for f in found]})
    if arguments.format == "latex":
        text = "\n\n".join(formulas.text for formulas in found)
        terminal.text(document(PurePath(arguments.file).name, text).rstrip("\n") if arguments.standalone else text)
        return 0
    for number, formulas in enumerate(found):
        if number:
            terminal.text()
        terminal.result(Text(f"# {formulas.title}", "dim"))
        for left, rest, shape in formulas.rows():
            terminal.result(Text.assemble((left, "bold cyan"), rest, (shape, "dim")))
    return 0


def _definitions(program: Program, arguments: argparse.Namespace, terminal: Terminal) -> int:
    """The program itself, a source file in Unicode and ASCII."""
    if arguments.format == "html":
        raise UnsupportedError(
            "--definitions prints unicode, ascii or latex; the page of --format html shows them beside the derivatives"
        )
    text = program_text(program, arguments.format, arguments.form)
    if arguments.format == "latex" and arguments.standalone:
        text = document(PurePath(arguments.file).name, text)
    terminal.data({"ok": True, "format": arguments.format, "program": text})
    terminal.text(text.rstrip("\n"))
    return 0


def _data(formulas: Formulas) -> dict[str, object]:
    return {
        "of": formulas.output,
        "title": formulas.title,
        "equations": [
            {"left": e.left, "right": e.right, "condition": e.condition.strip(), "shape": formulas.shapes.get(e.left)}
            for e in formulas.equations
        ],
    }
