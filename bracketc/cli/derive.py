"""``derive``: derivatives as formulas.

Every derivative that the file asks for, or the one of --of by --wrt. Names of the file are used; what is shared
or long gets a name of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

from bracketc import compiler
from bracketc.cli.pages import derive_page
from bracketc.cli.sources import file_argument, options, size_options, standalone_option
from bracketc.cli.terminal import Terminal
from bracketc.derivation import Formulas, answers, derived
from bracketc.emit.latex import document
from bracketc.errors import SourceError, display_width
from bracketc.ir.nodes import Node
from bracketc.ir.program import Program, Request, RequestKind

NAME = "derive"
READS_SOURCE = True


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command)
    command.add_argument("--of", metavar="J", help="differentiate this definition")
    command.add_argument("--wrt", metavar="W[,b]", help="by these names (default: every parameter)")
    command.add_argument("--steps", action="store_true", help="show the gradient by every definition on the way")
    command.add_argument("--format", choices=("unicode", "ascii", "latex", "html"), default="unicode")
    command.add_argument("--form", choices=("auto", "matrix", "index", "bracket"), default="auto", help="notation of products")
    standalone_option(command)
    size_options(command)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print the formulas."""
    program = compiler.load(arguments.file)
    if arguments.of or arguments.wrt:
        program = replace(program, requests=asked(program, arguments.of, arguments.wrt))
    elif not program.requests:
        raise SourceError(f"{arguments.file} asks for no derivative; add `gradient J wrt W`, or give --of and --wrt")
    if arguments.format == "html":
        settings = options(arguments)
        with terminal.working("deriving"):
            text = derive_page(program, settings, answers(program, settings, arguments.steps), arguments.form)
        terminal.data({"ok": True, "format": "html", "page": text})
        terminal.text(text.rstrip("\n"))
        return 0
    with terminal.working("deriving"):
        found = derived(program, options(arguments), arguments.format, arguments.form, arguments.steps)
    terminal.data({"ok": True, "format": arguments.format, "formulas": [_data(f) for f in found]})
    blocks = ["\n".join(_lines(formulas, arguments.format)) for formulas in found]
    text = "\n\n".join(blocks)
    if arguments.format == "latex" and arguments.standalone:
        text = document(PurePath(arguments.file).name, text).rstrip("\n")
    terminal.text(text)
    return 0


def asked(program: Program, of: str | None, wrt: str | None) -> tuple[Request, ...]:
    """Requests for ``--of`` and ``--wrt``: gradients of a scalar, Jacobians of anything else.

    A definition is where the graph is cut, so that each has a request of its own.
    """
    targets: Mapping[str, Node] = {**dict(program.definitions), **dict(program.results)}
    first = program.requests[0].output if program.requests else next(reversed(list(targets)), None)
    output = of or first
    if output is None:
        raise SourceError(f"{program.source.filename} defines nothing that could be differentiated")
    if output not in targets:
        raise SourceError(f"--of {output}: there is no such definition; there are {', '.join(targets)}")
    known = [*program.inputs, *targets]
    if wrt is None:
        names = tuple(n for n, kind in program.kinds.items() if kind == "param") or tuple(program.inputs)[:1]
    else:
        names = tuple(name.strip() for name in wrt.split(","))
    for name in names:
        if name not in known:
            raise SourceError(f"--wrt {name}: there is no such name; there are {', '.join(known)}")
    kind: RequestKind = "jacobian" if targets[output].rank else "gradient"
    if all(name in program.inputs for name in names):
        return (Request(kind, output, names),)
    return tuple(Request(kind, output, (name,), name=f"% {name}") for name in names)


def _data(formulas: Formulas) -> dict[str, object]:
    return {
        "of": formulas.output,
        "title": formulas.title,
        "equations": [
            {"left": e.left, "right": e.right, "condition": e.condition.strip(), "shape": formulas.shapes.get(e.left)}
            for e in formulas.equations
        ],
    }


def _lines(formulas: Formulas, style: str) -> list[str]:
    if style == "latex":
        return [f"% {formulas.title}", formulas.typeset]
    texts = [e.text for e in formulas.equations]
    width = max((display_width(t) for t in texts if display_width(t) <= 80), default=0)
    lines = [f"# {formulas.title}"]
    for equation, text in zip(formulas.equations, texts, strict=True):
        shape = formulas.shapes.get(equation.left)
        pad = " " * max(0, width - display_width(text))
        lines.append(f"{text}{pad}  # {shape}" if shape else text)
    return lines
