"""``derive --steps``: bracketc's own derivations of what a file asks for, in the language of the file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import PurePath

from bracketc.cli.sources import read_source
from bracketc.cli.terminal import Terminal
from bracketc.emit.formulas import FormName
from bracketc.emit.latex import document
from bracketc.emit.steps import derivation_block, step_texts
from bracketc.errors import Source, SourceError, UnsupportedError
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
        found = presentations(program, source)
        blocks = [derivation_block(one, arguments.format, arguments.form) for one in found]
    data = [_data(one, block, arguments) for one, block in zip(found, blocks, strict=True)]
    terminal.data({"ok": True, "format": arguments.format, "derivations": data})
    text = "\n\n".join(blocks)
    if arguments.format == "latex" and arguments.standalone:
        text = document(PurePath(arguments.file).name, text).rstrip("\n")
    elif arguments.program:
        text = f"{source.text.rstrip()}\n\n{text}"
    terminal.text(text)


def step_blocks(program: Program, form: FormName) -> list[str]:
    """The same as source text, which the text of the file makes complete."""
    return [derivation_block(one, "unicode", form) for one in presentations(program, program.source)]


def presentations(program: Program, source: Source) -> list[Presentation]:
    """The derivations of the gradients and Jacobians that ``program`` asks for.

    Raises :class:`~bracketc.errors.UnsupportedError` for any other request.
    """
    layers = layered(parse_file(source))
    found = []
    for request in program.requests:
        layout = request.layout or "jacobian"
        if request.kind not in ("gradient", "jacobian") or (request.kind == "jacobian" and layout not in ("jacobian", "gradient")):
            what = f"a jacobian in the layout {layout}" if request.kind == "jacobian" else f"a {request.kind}"
            raise UnsupportedError(f"the steps of {what}; --of and --wrt choose a gradient or a Jacobian")
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
