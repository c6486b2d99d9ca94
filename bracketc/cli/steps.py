"""``derive --steps``: bracketc's own derivations of what a file asks for, in the language of the file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from bracketc.cli.sources import read_source
from bracketc.cli.terminal import Terminal
from bracketc.emit.formulas import FormName
from bracketc.emit.latex import document
from bracketc.emit.steps import derivation_block, step_texts
from bracketc.errors import Diagnostic, Source, SourceError, UnsupportedError
from bracketc.ir.program import Program, Request
from bracketc.lang.layers import Layered, layered
from bracketc.lang.parser import parse_file
from bracketc.proof.jacobian import present_jacobian
from bracketc.proof.present import present
from bracketc.proof.presentation import Presentation


def show_steps(arguments: argparse.Namespace, program: Program, terminal: Terminal) -> None:
    """Print the derivation of every gradient of ``program``; with ``--program`` below the text of the file."""
    if arguments.size:
        raise SourceError("a derivation holds for every size; leave out --size")
    source = read_source(arguments.file)
    with terminal.working("deriving"):
        found, left_out = presentations(program, source)
        blocks = [derivation_block(one, arguments.format, arguments.form) for one in found]
    data = [_data(one, block, arguments) for one, block in zip(found, blocks, strict=True)]
    terminal.data({"ok": True, "format": arguments.format, "derivations": data, "left out": [note.message for note in left_out]})
    terminal.notes(left_out)
    text = "\n\n".join(blocks)
    if arguments.format == "latex" and arguments.standalone:
        text = document(PurePath(arguments.file).name, text).rstrip("\n")
    elif arguments.program:
        text = f"{source.text.rstrip()}\n\n{text}"
    terminal.text(text)


def step_blocks(program: Program, form: FormName) -> tuple[list[str], list[Diagnostic]]:
    """The same as source text, which the text of the file makes complete, and notes on what has no steps."""
    found, left_out = presentations(program, program.source)
    return [derivation_block(one, "unicode", form) for one in found], left_out


def presentations(program: Program, source: Source) -> tuple[list[Presentation], list[Diagnostic]]:
    """The derivations of the gradients and Jacobians that ``program`` asks for, and a note for each request without one.

    Raises :class:`~bracketc.errors.UnsupportedError` where none of the requests has a derivation.
    """
    layers = layered(parse_file(source))
    found: list[Presentation] = []
    left_out: list[Diagnostic] = []
    for request in program.requests:
        try:
            found += _presented(request, layers)
        except UnsupportedError as error:
            left_out += [replace(said, span=said.span or request.span, severity="note") for said in error.diagnostics]
    if not found:
        raise UnsupportedError([replace(said, severity="error") for said in left_out])
    return found, left_out


def _presented(request: Request, layers: Layered) -> list[Presentation]:
    layout = request.layout or "jacobian"
    if request.kind not in ("gradient", "jacobian") or (request.kind == "jacobian" and layout not in ("jacobian", "gradient")):
        what = f"{request.kind} of {request.output}" + (f" in the layout {layout}" if request.layout else "")
        help = "there are steps of gradients and of Jacobians, which --of and --wrt choose"
        if request.kind in ("hessian", "hvp"):
            help += f"; of second derivatives where g is defined as the gradient: jacobian g wrt {request.wrt[-1]}"
        raise UnsupportedError(Diagnostic(f"no steps for the {what}", request.span, help))
    found = []
    for wrt in _together(request, layers):
        output = layers.keys[request.output]
        if request.kind == "gradient":
            found.append(present(layers, output, wrt))
        else:
            found.append(present_jacobian(layers, output, wrt, "gradient" if layout == "gradient" else "jacobian"))
    return found


def _together(request: Request, layers: Layered) -> list[Sequence[str]]:
    """What one derivation differentiates by: all arguments at once, and each definition, which is cut, by itself."""
    known = {tensor.name for tensor in layers.arguments}
    names = [layers.keys[name] for name in request.wrt]
    arguments = [name for name in names if name in known]
    return [*([arguments] if arguments else []), *([name] for name in names if name not in known)]


def _data(presentation: Presentation, block: str, arguments: argparse.Namespace) -> dict[str, object]:
    lines = step_texts(presentation, arguments.format, arguments.form)
    return {
        "of": presentation.target,
        "wrt": list(presentation.wrt),
        "text": block,
        "steps": [
            {
                "left": line.left,
                "relation": line.relation,
                "right": line.right,
                "where": dict(line.where),
                "rule": line.rule,
            }
            for line in lines
        ],
    }
