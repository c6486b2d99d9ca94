"""The tensor IR as formulas that people read: matrix notation where there is one, index brackets elsewhere.

A node that the source names is called by its name; what is long or used more than once gets a name of its own,
defined by an equation before its first use; a loop is written as its recurrence. In the Unicode and ASCII
styles the formulas are in the language of source files.

    show((-1/N  X_ij E_ik | jk))   ->   "-(1/N) X^T @ E"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bracketc.emit.display import Bracket, Display
from bracketc.emit.latex import WIDEST, packed, split_terms, visible_width
from bracketc.emit.naming import Naming, fresh_names
from bracketc.emit.notation import FormName, Notation, StyleName, notation
from bracketc.emit.presentation import presented
from bracketc.emit.scalars import is_telling
from bracketc.ir.nodes import Literal, Node, Tensor
from bracketc.ir.program import Entry, Program
from bracketc.ir.rewrite import Origin, topological

MOST_LINES = 40
"""Equations in one docstring."""

MOST_NODES = 5_000
"""Nodes of an entry whose formulas are still put into a docstring."""


@dataclass(frozen=True, slots=True)
class Equation:
    """``left = right``, and the range of a recurrence behind it."""

    left: str
    right: str
    condition: str = ""

    @property
    def text(self) -> str:
        return f"{self.left} = {self.right}{self.condition}"


def show(
    node: Node, names: Mapping[Node, str] | None = None, style: StyleName = "unicode", form: FormName = "auto"
) -> str:
    """One node as a formula on one line; ``names`` are called by name below it.

    ``Z1^T @ E where E = -(1/N) (Y - Z2)``
    """
    *helpers, last = equations([("", node)], names or {}, style, form)
    spelling = notation(style)
    if not helpers:
        return last.right
    if style == "latex":
        bodies = [f"{e.left} = {e.right}{e.condition}" for e in helpers]
        return rf"{last.right} \quad \text{{where }} {', '.join(bodies)}"
    return f"{last.right} where {', '.join(spelling.equation(e.left, e.right, e.condition) for e in helpers)}"


def equations(
    roots: Sequence[tuple[str, Node]],
    names: Mapping[Node, str],
    style: StyleName = "unicode",
    form: FormName = "auto",
    taken: Iterable[str] = (),
) -> tuple[Equation, ...]:
    """Formulas of ``roots``, each under its left side, after the equations of what they share.

    ``names`` are nodes that need no equation; ``taken`` are names that no new one may have.
    """
    return equations_and_brackets(roots, names, style, form, taken)[0]


def equations_and_brackets(
    roots: Sequence[tuple[str, Node]],
    names: Mapping[Node, str],
    style: StyleName = "unicode",
    form: FormName = "auto",
    taken: Iterable[str] = (),
) -> tuple[tuple[Equation, ...], tuple[Bracket, ...]]:
    """The same, and every bracket that was written on the way, in an order that no style changes."""
    nodes, names = presented([node for _, node in roots], names)
    used = {*taken, *names.values()}
    used.update(node.name for node in topological(nodes) if isinstance(node, Tensor))
    naming = Naming(dict(names), fresh_names(used), form, taken=frozenset(used))
    display = Display(notation(style), naming, form)
    for (left, _), node in zip(roots, nodes, strict=True):
        display.define(left, node)
    lines = tuple(Equation(*line) for line in display.lines(nodes))
    return lines, tuple(display.brackets)


def typeset(formulas: Iterable[Equation], style: StyleName = "unicode") -> str:
    """Equations below each other; in LaTeX an ``align*`` environment."""
    spelling: Notation = notation(style)
    return spelling.lines([row for e in formulas for row in _rows(spelling, e)])


def _rows(spelling: Notation, equation: Equation) -> list[str]:
    """An equation on a line, in LaTeX on as many as it fills."""
    if spelling.style != "latex":
        return [spelling.equation(equation.left, equation.right, equation.condition)]
    first, *more = packed(split_terms(equation.right))
    rows = [spelling.equation(equation.left, first, ""), *(rf"&\qquad {part}" for part in more)]
    if more or visible_width(rows[-1] + equation.condition) > WIDEST + 10:
        return [*rows, f"&{equation.condition}"] if equation.condition else rows
    return [rows[0] + equation.condition]


def names_of(program: Program, origins: Mapping[Node, Origin] | None = None) -> dict[Node, str]:
    """The names that formulas of ``program`` may use: its arguments, its definitions and what passes made of them."""
    names: dict[Node, str] = {}
    defined = {name for name, _ in program.definitions}
    for node, origin in (origins or program.origins).items():
        # What is called Z[t] is the step of a loop, which has its own way to be written.
        if origin.name is not None and (origin.name in defined or "[" not in origin.name):
            if not isinstance(node, Literal) or is_telling(node.value):
                names.setdefault(node, origin.name)
    for name, node in program.definitions:
        names[node] = names.get(node, name)
    for tensor in program.arguments:
        names[tensor] = tensor.name
    return names


_WORD = re.compile(r"(?<![\w#])[^\W\d_]\w*'*")


def taken_names(program: Program) -> tuple[str, ...]:
    """Names that no new one may have: every word of the source, so that formulas can be put into it."""
    lines = (re.split(r"(?<!\w)#", line, maxsplit=1)[0] for line in program.source.text.splitlines())
    words = {word: None for line in lines for word in _WORD.findall(line)}
    known = [*(spec.name for spec in program.sizes), *program.inputs, *(name for name, _ in program.definitions)]
    return tuple(dict.fromkeys([*known, *words]))


def heading(entry: Entry, result: str, style: StyleName = "unicode") -> str:
    """The left side for a result of an entry point: ``∇[W1](J)``, ``Jac[x](y)``, ``J``."""
    spelling = notation(style)
    request = entry.request
    if request is None or result == request.output:
        return spelling.name(result).text
    if request.kind == "hessian":
        names = next((names for block, *names in request.pairs if block == result), request.wrt)
        return spelling.derivative(request.kind, request.output, (names[0], names[-1]))
    if request.kind in ("gradient", "jacobian") and result in request.wrt:
        kind = "gradient" if request.layout == "gradient" else request.kind  # ∇: inputs, then outputs
        return spelling.derivative(kind, request.output, (result,))
    return spelling.name(result).text


def entry_formulas(program: Program, entry: Entry, style: StyleName = "unicode") -> tuple[Equation, ...]:
    """The derivatives of one entry, under the names that ``program.origins`` know; none without a request."""
    request = entry.request
    if request is None:
        return ()
    roots = [
        (heading(entry, result, style), node)
        for result, node in entry.results
        if request.kind != "gradient" or result != request.output or result in request.wrt
    ]
    return equations(roots, names_of(program), style, taken=taken_names(program))


def docstring_lines(program: Program, entry: Entry) -> tuple[str, ...]:
    """The same as lines for a docstring, where they are few enough to be read there."""
    if entry.request is None or len(topological(node for _, node in entry.results)) > MOST_NODES:
        return ()
    lines = tuple(equation.text for equation in entry_formulas(program, entry))
    return lines if len(lines) <= MOST_LINES else (*lines[:MOST_LINES], "…")


__all__ = [
    "Equation",
    "FormName",
    "StyleName",
    "docstring_lines",
    "entry_formulas",
    "equations",
    "heading",
    "names_of",
    "show",
    "taken_names",
    "typeset",
]
