"""From the requests of a program to formulas, as text and as mathematics.

J = …, gradient J wrt W   ->   E = …,  ∇[W](J) = X^T @ E
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

from bracketc import compiler
from bracketc.emit.figures import illustrated
from bracketc.emit.formulas import Equation, FormName, StyleName, equations, heading, names_of, taken_names, typeset
from bracketc.emit.latex import displayed
from bracketc.emit.page import FormulasView, PageView, equation_views, figure_view, fragment
from bracketc.errors import SourceError, display_width
from bracketc.ir.nodes import Node
from bracketc.ir.program import Entry, Program, Request, RequestKind
from bracketc.options import Options, read_options

_SHAPES = {
    "gradient": "a gradient has the shape of its argument",
    "hessian": "axes of the first argument, then of the second",
}

_LAYOUTS = {
    "jacobian": "axes of the output, then of the argument",
    "gradient": "axes of the argument, then of the output",
    "row": "the output runs down, the argument along",
    "column": "the argument runs down, the output along",
    "transposed": "axes of the argument, then of the output, each in reverse order",
    "vec": "a matrix, columns of the output and of the argument on top of each other",
    "flat": "a matrix, rows of the output and of the argument one after the other",
}


WIDEST = 80
"""Columns of an equation behind which shapes are not aligned."""

WIDEST_LEFT = 24
"""Columns of a left side up to which signs of equality are aligned."""


@dataclass(frozen=True, slots=True)
class Formulas:
    """The formulas of one request in one style; ``shapes`` by left side. ``typeset`` is the whole as one piece of text."""

    title: str
    output: str
    equations: tuple[Equation, ...]
    shapes: Mapping[str, str]
    typeset: str
    style: StyleName = "unicode"

    @property
    def text(self) -> str:
        """What a terminal shows: the title, then equations with their shapes below each other."""
        if self.style == "latex":
            return f"% {self.title}\n{self.typeset}"
        return "\n".join([f"# {self.title}", *("".join(parts) for parts in self.rows())])

    def rows(self) -> list[tuple[str, str, str]]:
        """Left side, rest and shape of every equation, padded so that they stand below each other."""
        left = max((display_width(e.left) for e in self.equations if display_width(e.left) <= WIDEST_LEFT), default=0)
        heads = [f"{e.left}{' ' * max(0, left - display_width(e.left))}" for e in self.equations]
        rests = [f" = {e.right}{e.condition}" for e in self.equations]
        widths = [display_width(head + rest) for head, rest in zip(heads, rests, strict=True)]
        width = max((w for w in widths if w <= WIDEST), default=0)
        found = []
        for equation, head, rest, own in zip(self.equations, heads, rests, widths, strict=True):
            shape = self.shapes.get(equation.left)
            found.append((head, rest, f"{' ' * max(0, width - own)}  # {shape}" if shape else ""))
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What answers one request: each result with the entry that has it, and the names that its formulas may use.

    It prints as formulas, and notebooks show it as mathematics.
    """

    request: Request
    title: str
    results: tuple[tuple[Entry, str, Node], ...]
    names: Mapping[Node, str]
    taken: tuple[str, ...]
    form: FormName = "auto"

    def roots(self, style: StyleName) -> list[tuple[str, Node]]:
        """Every result under its left side: ``∇[W](J)``."""
        return [(heading(entry, result, style), node) for entry, result, node in self.results]

    def formulas(self, style: StyleName = "unicode") -> Formulas:
        """The formulas in one style: "unicode", "ascii" or "latex"."""
        roots = self.roots(style)
        lines = equations(roots, self.names, style, self.form, self.taken)
        shapes = {left: shape_text(node) for left, node in roots}
        return Formulas(self.title, self.request.output, lines, shapes, typeset(lines, style), style)

    def __str__(self) -> str:
        return self.formulas().text

    def _repr_latex_(self) -> str:
        return displayed(self.formulas("latex").typeset)

    def _repr_html_(self) -> str:
        return fragment(PageView("", "", formulas=formulas_views([self])))


@dataclass(frozen=True, slots=True)
class Derivation(Sequence[Answer]):
    """The derivatives of a program, one answer a request: a sequence that prints as formulas.

    >>> print(bc.derive("dim N\\ninput x : N\\nJ = x · x\\ngradient J wrt x"))
    # gradient of J: a gradient has the shape of its argument
    ∇[x](J) = 2 x  # N
    """

    program: Program
    answers: tuple[Answer, ...]

    @overload
    def __getitem__(self, place: int) -> Answer: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Answer, ...]: ...
    def __getitem__(self, place: int | slice) -> Answer | tuple[Answer, ...]:
        return self.answers[place]

    def __len__(self) -> int:
        return len(self.answers)

    def text(self, style: StyleName = "unicode") -> str:
        """All formulas: "unicode" and "ascii" read back as source, "latex" needs amsmath."""
        return "\n\n".join(answer.formulas(style).text for answer in self.answers)

    def __str__(self) -> str:
        return self.text()

    def _repr_latex_(self) -> str:
        return "\n\n".join(answer._repr_latex_() for answer in self.answers)

    def views(self) -> tuple[FormulasView, ...]:
        """The formulas and the graphs of their brackets for a page."""
        return formulas_views(self.answers)

    def _repr_html_(self) -> str:
        return fragment(PageView("", "", formulas=self.views()))


def derive(
    program: str | Program,
    of: str | None = None,
    wrt: str | Sequence[str] | None = None,
    form: FormName = "auto",
    sizes: Mapping[str, int] | None = None,
) -> Derivation:
    """The derivatives that a program asks for as formulas, or those of ``of`` by ``wrt``.

    ``form`` is how products are written: ``"auto"``, ``"matrix"``, ``"index"`` or ``"bracket"``; ``sizes`` binds sizes.
    """
    if not isinstance(program, Program):
        program = compiler.parse(program)
    if of is not None or wrt is not None:
        names = ",".join(wrt) if wrt is not None and not isinstance(wrt, str) else wrt
        program = replace(program, requests=asked(program, of, names))
    elif not program.requests:
        raise SourceError(f"{program.source.filename} asks for no derivative; add `gradient J wrt W`, or give of and wrt")
    found = answers(program, read_options({"sizes": sizes} if sizes else {}), form=form)
    return Derivation(program, tuple(found))


def derived(
    program: Program, options: Options, style: StyleName = "unicode", form: FormName = "auto"
) -> list[Formulas]:
    """The formulas of every request."""
    return [answer.formulas(style) for answer in answers(program, options, form)]


def formulas_views(found: Sequence[Answer]) -> tuple[FormulasView, ...]:
    """The same for a page, with the graphs of all brackets."""
    views = []
    for answer in found:
        both = zip(answer.roots("unicode"), answer.roots("mathml"), strict=True)
        roots = [(left, marked, node) for (left, node), (marked, _) in both]
        shown, figures = illustrated(roots, answer.names, answer.form, answer.taken)
        shapes = {left: shape_text(node) for left, _, node in roots}
        title, _, note = answer.title.partition(": ")
        views.append(FormulasView(title, note, equation_views(shown, shapes), tuple(map(figure_view, figures))))
    return tuple(views)


def shape_text(node: Node) -> str:
    """``D, H``, or ``scalar``."""
    return ", ".join(map(str, node.shape)) or "scalar"


def answers(program: Program, options: Options, form: FormName = "auto") -> list[Answer]:
    """The results of every request, as graphs."""
    done = compiler.derive(program, options)
    names = names_of(done.program, done.origins)
    taken = taken_names(program)
    found: list[Answer] = []
    for request in program.requests:
        results = []
        for entry in done.entries:
            if entry.request != request or entry.name == "backward":
                continue
            for result, node in entry.results:
                is_value = request.kind == "gradient" and result == request.output and result not in request.wrt
                if not is_value:
                    results.append((entry, result, node))
        found.append(Answer(request, _title(request), tuple(results), names, taken, form))
    return found


def asked(program: Program, of: str | None, wrt: str | None) -> tuple[Request, ...]:
    """Requests for ``of`` and ``wrt``: gradients of a scalar, Jacobians of anything else.

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


def _title(request: Request) -> str:
    if request.derived:
        return f"gradient of {request.output} as derived: the formulas of its derivation"
    if request.kind != "jacobian":
        return f"{request.kind} of {request.output}: {_SHAPES.get(request.kind, 'the formulas of each function')}"
    layout = request.layout or "jacobian"
    about = _LAYOUTS.get(layout, "axes as in the differential")
    return f"jacobian of {request.output}: layout {layout}, {about}"
