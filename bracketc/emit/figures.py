"""Equations as a page shows them: in MathML, as text, and with every bracket in them as a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bracketc.emit.display import Bracket
from bracketc.emit.formulas import Equation, FormName, equations_and_brackets
from bracketc.emit.graph import Graph, graph
from bracketc.emit.mathml import MathML, math
from bracketc.emit.notation import POSTFIX, Text
from bracketc.ir.nodes import Node
from bracketc.ir.printer import label_text


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
    taken = tuple(taken)
    texts, written = equations_and_brackets([(left, node) for left, _, node in roots], names, "unicode", form, taken)
    marked, drawn = equations_and_brackets([(left, node) for _, left, node in roots], names, "mathml", form, taken)
    # A start Z[0] = Z0 says nothing where both look the same.
    shown = tuple(_shown(text, line) for text, line in zip(texts, marked, strict=True) if line.left != line.right)
    figures: dict[tuple[object, ...], Figure] = {}
    for plain, bracket in zip(written, drawn, strict=True):
        place = next((n for n, text in enumerate(texts) if plain.text in text.right), None)
        key = (plain.factors, plain.output)
        picture = None if key in figures or place is None else graph(plain)
        if picture is not None and place is not None:
            left = math(marked[place].left, texts[place].left) if texts[place].left else ""
            figures[key] = Figure(picture, math(_marked(bracket), picture.title), left)
    return shown, tuple(figures.values())


def _shown(text: Equation, marked: Equation) -> Shown:
    condition = math(marked.condition, text.condition.strip()) if marked.condition else ""
    return Shown(text, math(marked.left, text.left), math(marked.right, text.right), condition)


def _marked(bracket: Bracket) -> str:
    """An index bracket in MathML."""
    spelling = MathML()
    factors = []
    for factor in bracket.factors:
        labels = [label_text(label) for label in factor.labels]
        text = Text(factor.text, 0 if factor.loose else POSTFIX)
        factors.append(spelling.delta(labels) if factor.is_delta else spelling.labelled(text, labels))
    body = spelling.entries(factors or ["1"], ())
    return spelling.bracket(body, [label_text(label) for label in bracket.output]).body
