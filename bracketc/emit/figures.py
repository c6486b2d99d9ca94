"""Equations as a page shows them: in MathML, as text, and with every bracket in them as a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bracketc.emit.display import Bracket, Display
from bracketc.emit.formulas import Equation, FormName
from bracketc.emit.graph import Graph, graph
from bracketc.emit.mathml import MathML, math, piece
from bracketc.emit.naming import Naming, fresh_names
from bracketc.emit.notation import StyleName, Text, notation
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.printer import label_text
from bracketc.ir.rewrite import topological


@dataclass(frozen=True, slots=True)
class Shown:
    """An equation: as text, and its parts as ``math`` elements (``condition`` may be empty)."""

    text: Equation
    left: str
    right: str
    condition: str


@dataclass(frozen=True, slots=True)
class Figure:
    """The graph of a bracket, the bracket and the left side of its equation as ``math`` elements."""

    graph: Graph
    bracket: str
    left: str


def illustrated(
    roots: Sequence[tuple[str, str, Node]], names: Mapping[Node, str], form: FormName = "auto", taken: Iterable[str] = ()
) -> tuple[tuple[Shown, ...], tuple[Figure, ...]]:
    """The formulas of ``roots`` as :func:`~bracketc.emit.formulas.equations` gives them, and the brackets in them.

    Each root has its left side as text and as MathML. ``(("J", "<mi>J</mi>", node),)`` gives ``J = …``.
    """
    texts, written = _lines([(left, node) for left, _, node in roots], names, "unicode", form, taken)
    marked, drawn = _lines([(left, node) for _, left, node in roots], names, "mathml", form, taken)
    shown = tuple(map(_shown, texts, marked))
    figures: dict[tuple[object, ...], Figure] = {}
    for plain, bracket in zip(written, drawn, strict=True):
        key = (plain.factors, plain.output)
        picture = None if key in figures else graph(plain)
        if picture is not None:
            left = math(bracket.left, plain.left) if plain.left else ""
            figures[key] = Figure(picture, math(_marked(bracket), picture.title), left)
    return shown, tuple(figures.values())


def _lines(
    roots: Sequence[tuple[str, Node]], names: Mapping[Node, str], style: StyleName, form: FormName, taken: Iterable[str]
) -> tuple[list[Equation], list[Bracket]]:
    nodes = [node for _, node in roots]
    used = {*taken, *names.values()}
    used.update(node.name for node in topological(nodes) if isinstance(node, Tensor))
    display = Display(notation(style), Naming(dict(names), fresh_names(used), form), form)
    for left, node in roots:
        display.define(left, node)
    return [Equation(*line) for line in display.lines(nodes)], display.brackets


def _shown(text: Equation, marked: Equation) -> Shown:
    condition = math(marked.condition, text.condition.strip()) if marked.condition else ""
    return Shown(text, math(marked.left, text.left), math(marked.right, text.right), condition)


def _marked(bracket: Bracket) -> str:
    """An index bracket in MathML."""
    spelling = MathML()
    factors = [
        spelling.delta([label_text(label) for label in labels])
        if delta
        else spelling.labelled(Text(piece(name), 0 if _compound(name) else 100), [label_text(label) for label in labels])
        for name, delta, labels in bracket.factors
    ]
    body = spelling.entries(factors or ["1"], ())
    return spelling.bracket(body, [label_text(label) for label in bracket.output]).body


def _compound(markup: str) -> bool:
    """Whether a factor is more than a name, so that labels behind it need parentheses."""
    return markup.startswith(("<mrow>", "-"))
