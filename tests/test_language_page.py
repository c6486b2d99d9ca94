"""docs/language.md: every example is run, and what stands below it is what comes out.

A block ``brk`` is a program. Below it may stand

    values     one line a name: a result of ``evaluate``, ∇[W](J) of the gradient request, or the function of another request
    shapes     one line a name: its dims, as ``C : N, K``
    formulas   the derivatives that the program asks for, as ``derive`` prints them
    labels     the same with ``--form index``, ``portions`` with ``--form bracket``
    error      the message

Arguments that no block ``given`` lists hold 1, 2, 3, … in order. ``pytest --update-golden`` writes the blocks anew.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc.derivation import derived
from bracketc.emit.notation import FormName
from bracketc.errors import Source
from bracketc.ir.program import Program
from bracketc.lang.format import format_file
from bracketc.lang.parser import parse_file
from bracketc.options import Options

PAGE = Path(__file__).parent.parent / "docs" / "language.md"

Array = np.ndarray[Any, Any]


@dataclass
class Example:
    """A program of the page and the blocks below it; ``lines`` are where these blocks stand (first line, line behind)."""

    number: int
    program: str
    blocks: dict[str, str] = field(default_factory=dict)
    lines: dict[str, tuple[int, int]] = field(default_factory=dict)


def examples(text: str) -> list[Example]:
    found: list[Example] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        opening = re.fullmatch(r"```(\w+)", lines[at])
        if not opening:
            at += 1
            continue
        end = lines.index("```", at)
        kind, body = opening.group(1), "\n".join(lines[at + 1 : end])
        if kind == "brk":
            found.append(Example(at + 1, body))
        elif kind in ANSWERS or kind == "given":
            found[-1].blocks[kind] = body
            found[-1].lines[kind] = (at + 1, end)
        at = end + 1
    return found


def arguments(program: Program, given: str) -> dict[str, Array]:
    known = {name.strip(): np.array(ast.literal_eval(value.strip())) for name, value in _pairs(given)}
    for tensor in program.arguments:
        if tensor.name not in known:
            shape = [extent.constant for extent in tensor.shape]
            assert None not in shape, f"{tensor.name} needs a value"
            size = int(np.prod([extent or 0 for extent in shape], dtype=int))
            known[tensor.name] = np.arange(1, size + 1).reshape([extent or 0 for extent in shape])
    return {
        name: value.astype(np.int64 if program.inputs[name].dtype == "integer" else np.float64) for name, value in known.items()
    }


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(left, right) for left, _, right in (line.partition(" = ") for line in text.splitlines() if line.strip())]


def shown(value: Array) -> str:
    """``[[1, 2.5], [3, 4]]``"""
    if value.ndim:
        return f"[{', '.join(shown(part) for part in value)}]"
    text = f"{float(value):.4g}"
    return "0" if text == "-0" else text


def values(example: Example, wanted: list[str]) -> str:
    program = bc.parse(example.program)
    module = bc.compile(program, backend="numpy")
    arrays = arguments(program, example.blocks.get("given", ""))
    functions = module.SIGNATURE["functions"]

    def call(name: str) -> Any:
        return getattr(module, name)(**{a: arrays[a] for a in functions[name]["arguments"]})

    found: dict[str, Array] = {}
    for name, value in zip(program.outputs, call("evaluate"), strict=True):
        found[name] = value
    for request in program.requests:
        if request.kind == "gradient":
            function = request.name or "value_and_grad"
            for name, value in zip(request.wrt, call(function)[1], strict=True):
                found[f"∇[{name}]({request.output})"] = value
    for name in functions:
        if not {"evaluate", "forward", "backward", "value_and_grad"} & {name} and name in wanted:
            found[name] = call(name)
    return "\n".join(f"{name} = {shown(np.asarray(found[name]))}" for name in wanted)


def shapes(example: Example, wanted: list[str]) -> str:
    outputs = bc.parse(example.program).outputs
    return "\n".join(f"{name} : {', '.join(outputs[name].dims) or 'scalar'}" for name in wanted)


def formulas(example: Example, wanted: list[str], form: FormName = "auto") -> str:
    found = derived(bc.parse(example.program), Options(), form=form)
    return "\n".join(equation.text for one in found for equation in one.equations)


def labels(example: Example, wanted: list[str]) -> str:
    return formulas(example, wanted, "index")


def portions(example: Example, wanted: list[str]) -> str:
    return formulas(example, wanted, "bracket")


def error(example: Example, wanted: list[str]) -> str:
    with pytest.raises(bc.BracketError) as caught:
        bc.compile(example.program, backend="numpy")
    return "\n".join(f"{d.message}\n  help: {d.help}" if d.help else d.message for d in caught.value.diagnostics)


ANSWERS = {"values": values, "shapes": shapes, "formulas": formulas, "labels": labels, "portions": portions, "error": error}

EXAMPLES = examples(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line {example.number}")
def test_an_example_gives_what_the_page_says(example: Example) -> None:
    answers = [kind for kind in ANSWERS if kind in example.blocks]
    assert answers, "nothing below the program says what it gives"
    for kind in answers:
        block = example.blocks[kind]
        wanted = [re.split(r" [=:] ", line)[0] for line in block.splitlines()]
        assert block == ANSWERS[kind](example, wanted)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line {example.number}")
def test_the_ascii_spelling_of_an_example_is_the_same_program(example: Example) -> None:
    if "error" in example.blocks:
        pytest.skip("no program")
    source = Source(example.program)
    spelled = format_file(parse_file(source), source, "ascii")
    one, other = bc.parse(example.program), bc.parse(spelled)
    assert dict(one.results) == dict(other.results)


def test_the_page_is_renewed(update_golden: bool) -> None:
    if not update_golden:
        pytest.skip("only with --update-golden")
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    for example in reversed(EXAMPLES):
        for kind, (first, behind) in sorted(example.lines.items(), key=lambda item: item[1], reverse=True):
            if kind in ANSWERS:
                wanted = [re.split(r" [=:] ", line)[0] for line in example.blocks[kind].splitlines()]
                lines[first:behind] = ANSWERS[kind](example, wanted).split("\n")
    PAGE.write_text("\n".join(lines), encoding="utf-8")
