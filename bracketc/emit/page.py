"""Pages: one self-contained HTML file that needs no network, made of frozen views.

Whatever comes from a source file is text in a view and escaped by the template; what is markup (:class:`Markup`) was made
by a formatter that escapes its parts. A page has no times and no paths.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from bracketc.emit.figures import Figure, Shown
from bracketc.emit.graph import Graph, Line
from bracketc.emit.resources import render, template_directory
from bracketc.errors import printable


@dataclass(frozen=True, slots=True)
class EquationView:
    """``left = right``, the range of a recurrence and the shape beside it; either may be empty."""

    left: Markup
    right: Markup
    condition: Markup
    shape: str


@dataclass(frozen=True, slots=True)
class FigureView:
    """A bracket and its graph: finished coordinates, and the same in words."""

    bracket: Markup
    left: Markup
    width: str
    height: str
    title: str
    description: str
    lines: tuple[str, ...]
    bars: tuple[str, ...]
    joints: tuple[tuple[str, str], ...]
    boxes: tuple[BoxView, ...]
    ends: tuple[tuple[str, str, str], ...]
    marks: tuple[tuple[str, str, str, str], ...]
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BoxView:
    """A tensor of a graph."""

    caption: str
    x: str
    y: str
    width: str
    height: str
    text_x: str
    text_y: str
    radius: str


@dataclass(frozen=True, slots=True)
class FormulasView:
    """The formulas of one request, and the graphs of their brackets."""

    title: str
    note: str
    equations: tuple[EquationView, ...]
    figures: tuple[FigureView, ...]


@dataclass(frozen=True, slots=True)
class RowView:
    """A step of a plan. ``indent`` is as wide as the loops around it are many; ``code`` and ``epilogue`` are its emitted
    text where a page shows it."""

    number: str
    kind: str
    symbol: str
    indent: str
    bracket: str
    flops: str
    bytes: str
    saved: str
    why: str
    code: str = ""
    epilogue: str = ""


@dataclass(frozen=True, slots=True)
class PlanView:
    """The plan of one function; ``open`` when its table is shown at once."""

    function: str
    open: bool
    summary: str
    formula: str
    rows: tuple[RowView, ...]
    residuals: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckRowView:
    """A derivative against finite differences."""

    left: Markup
    shape: str
    error: str
    verdict: str
    mark: str
    note: str


@dataclass(frozen=True, slots=True)
class CheckView:
    """The gradient check; ``note`` says how it was made, or why there is none."""

    note: str
    rows: tuple[CheckRowView, ...]


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of a derivation. ``left`` is empty where a chain goes on, and where something stands ``alone`` that is no
    equation; ``example`` is where its sides differ, ``message`` are the lines that say what is wrong."""

    line: str
    left: Markup
    right: Markup
    where: tuple[Markup, ...]
    conclusion: bool
    alone: bool
    verdict: str
    mark: str
    reason: str
    remark: str
    example: str
    message: str


@dataclass(frozen=True, slots=True)
class ProofView:
    """One derivation."""

    title: str
    summary: str
    steps: tuple[StepView, ...]


@dataclass(frozen=True, slots=True)
class StatementView:
    """A line of the program: what it is, its formula, under which conditions, and words beside it."""

    kind: str
    formula: Markup
    conditions: tuple[Markup, ...]
    note: str


@dataclass(frozen=True, slots=True)
class PageView:
    """A whole page; a section that is empty is left out."""

    title: str
    subtitle: str
    statements: tuple[StatementView, ...] = ()
    formulas: tuple[FormulasView, ...] = ()
    proofs: tuple[ProofView, ...] = ()
    plans: tuple[PlanView, ...] = ()
    plan_note: str = ""
    annotated: tuple[PlanView, ...] = ()
    shared: str = ""
    check: CheckView | None = None


def page(view: PageView) -> str:
    """The page as one file."""
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render("html/page.html.j2", page=view, style=Markup(_style()), script=Markup(script), script_hash=digest)


def fragment(view: PageView) -> str:
    """The same sections for inside of another page, such as a notebook: with their style, without a script."""
    return render("html/fragment.html.j2", page=view, style=Markup(_style()))


def _style() -> str:
    return (template_directory() / "html" / "style.css").read_text(encoding="utf-8")


def _script() -> str:
    return (template_directory() / "html" / "theme.js").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------- views of records
def plain(text: str) -> str:
    """Text of a source as a page shows it: without characters that could reorder a line."""
    return "\n".join(printable(line) for line in text.split("\n"))


def equation_views(equations: Iterable[Shown], shapes: Mapping[str, str]) -> tuple[EquationView, ...]:
    """Equations with the shapes of those whose left side has one."""
    return tuple(
        EquationView(Markup(e.left), Markup(e.right), Markup(e.condition), shapes.get(e.text.left, "")) for e in equations
    )


def figure_view(figure: Figure) -> FigureView:
    """A graph with its coordinates as text."""
    drawn: Graph = figure.graph
    return FigureView(
        Markup(figure.bracket),
        Markup(figure.left),
        _n(drawn.width),
        _n(drawn.height),
        drawn.title,
        drawn.description,
        tuple(map(_path, drawn.lines)),
        tuple(map(_path, drawn.bars)),
        tuple((_n(point.x), _n(point.y)) for point in drawn.joints),
        tuple(
            BoxView(
                tensor.caption,
                _n(tensor.centre.x - tensor.width / 2),
                _n(tensor.centre.y - tensor.height / 2),
                _n(tensor.width),
                _n(tensor.height),
                _n(tensor.centre.x),
                _n(tensor.centre.y - 3.0),
                _n(tensor.height / 2 if tensor.delta else 6.0),
            )
            for tensor in drawn.tensors
        ),
        tuple((mark.text, _n(mark.at.x), _n(mark.at.y)) for mark in drawn.ends),
        tuple((mark.kind, mark.text, _n(mark.at.x), _n(mark.at.y)) for mark in drawn.marks),
        drawn.notes,
    )


def _path(line: Line) -> str:
    start, end = f"M{_n(line.start.x)} {_n(line.start.y)}", f"{_n(line.end.x)} {_n(line.end.y)}"
    if line.over is None:
        return f"{start}L{end}"
    return f"{start}C{_n(line.start.x)} {_n(line.over)} {_n(line.end.x)} {_n(line.over)} {end}"


def _n(value: float) -> str:
    """A coordinate with at most one decimal."""
    return re.sub(r"\.0$", "", f"{value:.1f}")
