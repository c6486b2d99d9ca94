"""A program as mathematics: its statements as they were typed, typeset, for a page or for LaTeX.

    input X : N, D   ->   X ∈ ℝ^{N×D}          Z = tanh(X @ W)   ->   Z = tanh(X W)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from bracketc.emit.latex import displayed
from bracketc.emit.marks import LATEX, MATHML, latex_text
from bracketc.emit.mathml import math
from bracketc.emit.page import PageView, StatementView, fragment, plain
from bracketc.emit.proofs import broken
from bracketc.emit.typesetting import Setter, names_of, terms
from bracketc.ir.program import Program
from bracketc.lang import syntax
from bracketc.lang.parser import parse_file


@dataclass(frozen=True, slots=True)
class Line:
    """``left relation right, conditions`` and words beside it; ``right`` are the terms of a sum, or empty."""

    kind: str
    left: str
    relation: str = ""
    right: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    note: str = ""
    source: str = ""


def statement_views(tree: syntax.SyntaxFile) -> tuple[StatementView, ...]:
    """The statements for a page; derivations have a section of their own."""
    m = MATHML

    def formula(line: Line) -> Markup:
        sign = (m.symbol(line.relation),) if line.relation else ()
        whole = m.row(line.left, *sign, *line.right)
        return Markup(math(whole, plain(line.source)))

    setter = Setter(MATHML, names_of(tree))
    return tuple(
        StatementView(line.kind, formula(line), tuple(Markup(math(part, "")) for part in line.conditions), plain(line.note))
        for line in lines(setter, tree)
    )


def latex_statements(tree: syntax.SyntaxFile) -> str:
    """The statements in an ``align*`` environment; empty where there are none."""
    rows = []
    for line in lines(Setter(LATEX, names_of(tree)), tree):
        first, *more = broken(line.right) if line.right else [""]
        sign = LATEX.symbol(line.relation).strip() + " " if line.relation else ""
        conditions = "".join(rf", \quad {part}" for part in line.conditions)
        note = rf" \qquad \text{{{latex_text(line.note)}}}" if line.note else ""
        head = f"{line.left} &{sign}{first}" if line.relation else f"&{line.left}"
        texts = [head, *(rf"&\qquad {part}" for part in more)]
        texts[-1] += conditions + note
        rows += texts
    body = " \\\\\n  ".join(rows)
    return f"\\begin{{align*}}\n  {body}\n\\end{{align*}}" if rows else ""


def program_html(program: Program) -> str | None:
    """A program for inside of a notebook; ``None`` where it has no source."""
    views = statement_views(parse_file(program.source))
    return fragment(PageView("", "", statements=views)) if views else None


def program_latex(program: Program) -> str | None:
    """The same as one displayed formula."""
    body = latex_statements(parse_file(program.source))
    return displayed(body) if body else None


def lines(setter: Setter, tree: syntax.SyntaxFile) -> Iterator[Line]:
    """Every statement that says something about a name."""
    for statement in tree.statements:
        rule = _RULES.get(type(statement))
        if rule is not None:
            yield from rule(setter, statement)


def _sizes(s: Setter, node: syntax.DimStatement) -> Iterator[Line]:
    for size in node.sizes:
        if size.value is not None:
            yield Line("size", s.marks.name(size.name.text), "=", (s(size.value),), source=_source(size))


def _family(s: Setter, node: syntax.DimFamily) -> Iterator[Line]:
    m = s.marks
    first, last = s(node.first), s(node.last)
    span = m.row(first, m.symbol(","), m.symbol("…"), m.symbol(","), last)
    left = m.sub(m.name(node.name.text), span)
    yield Line("sizes", left, "=", (s.listed([s(value) for value in node.values]),), source=_source(node))


def _argument(s: Setter, node: syntax.Argument) -> Iterator[Line]:
    m = s.marks
    name = m.name(node.name.text)
    if node.index is not None:
        name = m.sub(name, m.name(node.index.text))
    whole = any(trait.name == "integer" for trait in node.traits)
    field = m.symbol("ℤ" if whole else "ℝ")
    if node.dims:
        field = m.sup(field, s.joined([s(dim) for dim in node.dims], m.symbol("×")))
    traits = ", ".join(_trait(trait) for trait in node.traits)
    conditions = (s(node.range),) if node.range is not None else ()
    yield Line(node.kind, name, "∈", (field,), conditions, traits, _source(node))


def _trait(trait: syntax.Trait) -> str:
    size = f" in {trait.size.span.text}" if trait.size is not None else ""
    return {"onehot rows": "one-hot rows"}.get(trait.name, trait.name) + size


def _constant(s: Setter, node: syntax.Const) -> Iterator[Line]:
    yield Line("constant", s.marks.name(node.name.text), "=", (s(node.value),), source=_source(node))


def _function(s: Setter, node: syntax.Function) -> Iterator[Line]:
    parameters = [s.marks.name(parameter.name.text) for parameter in node.parameters]
    left = s.called(s.function(node.name.text), parameters)
    yield Line("function", left, "=", terms(s, node.body), _bound(s, node.where), source=_source(node))


def _definition(s: Setter, node: syntax.Definition) -> Iterator[Line]:
    conditions = (*(s(one) for one in node.ranges), *_bound(s, node.where))
    yield Line("", s(node.target), "=", terms(s, node.body), conditions, source=_source(node))


def _bound(s: Setter, bindings: Sequence[syntax.Binding]) -> tuple[str, ...]:
    return tuple(s.marks.row(s.marks.text("where "), s(binding)) for binding in bindings)


def _request(s: Setter, node: syntax.Request) -> Iterator[Line]:
    m = s.marks
    target = s(node.target)
    names = [s(reference) for reference in node.wrt]
    if node.kind == "gradient":
        left = s.listed([m.row(m.sub(m.symbol("∇"), name), m.space(), target) for name in names])
    elif node.kind == "jacobian":
        left = s.listed([m.row(m.sub(m.word("Jac"), name), m.space(), target) for name in names])
    else:
        left = s.listed([target, *names])
    words = [node.kind] if node.kind not in ("gradient", "jacobian") else []
    words += [f"layout {node.layout.kind}"] if node.layout is not None and node.layout.left is None else []
    words += ["as derived"] if node.derived else []
    yield Line("asked for", left, note=", ".join(words), source=_source(node))


def _source(node: syntax.Node) -> str:
    return " ".join(node.span.text.split())


_RULES: dict[type, Callable[[Setter, Any], Iterator[Line]]] = {
    syntax.DimStatement: _sizes,
    syntax.DimFamily: _family,
    syntax.Argument: _argument,
    syntax.Const: _constant,
    syntax.Function: _function,
    syntax.Definition: _definition,
    syntax.Request: _request,
}
