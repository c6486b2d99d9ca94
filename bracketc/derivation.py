"""From the requests of a program to formulas, with the way there.

J = …, gradient J wrt W   ->   E = …,  ∇[W](J) = X^T @ E
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bracketc import compiler
from bracketc.emit.figures import illustrated
from bracketc.emit.formulas import Equation, FormName, StyleName, equations, heading, names_of, taken_names, typeset
from bracketc.emit.page import FormulasView, equation_views, figure_view
from bracketc.ir.build import is_zero
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Entry, Program, Request
from bracketc.ir.rewrite import depends_on, topological
from bracketc.options import Options

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

_STEP = "% step"
"""How the name of a request begins that was added to show the way; no name of a source does."""


@dataclass(frozen=True, slots=True)
class Formulas:
    """The formulas of one request; ``shapes`` by left side. ``typeset`` is the whole as one piece of text."""

    title: str
    output: str
    equations: tuple[Equation, ...]
    shapes: Mapping[str, str]
    typeset: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What answers one request: each result with the entry that has it, and the names that its formulas may use."""

    request: Request
    title: str
    results: tuple[tuple[Entry, str, Node], ...]
    names: Mapping[Node, str]
    taken: tuple[str, ...]

    def roots(self, style: StyleName) -> list[tuple[str, Node]]:
        """Every result under its left side: ``∇[W](J)``."""
        return [(heading(entry, result, style), node) for entry, result, node in self.results]


def derived(
    program: Program, options: Options, style: StyleName = "unicode", form: FormName = "auto", steps: bool = False
) -> list[Formulas]:
    """The formulas of every request; with ``steps`` also the gradients by the definitions on the way, last first."""
    found: list[Formulas] = []
    for answer in answers(program, options, steps):
        roots = answer.roots(style)
        lines = equations(roots, answer.names, style, form, answer.taken)
        shapes = {left: shape_text(node) for left, node in roots}
        found.append(Formulas(answer.title, answer.request.output, lines, shapes, typeset(lines, style)))
    return found


def formulas_views(found: Sequence[Answer], form: FormName = "auto") -> tuple[FormulasView, ...]:
    """The same for a page, with the graphs of all brackets."""
    views = []
    for answer in found:
        both = zip(answer.roots("unicode"), answer.roots("mathml"), strict=True)
        roots = [(left, marked, node) for (left, node), (marked, _) in both]
        shown, figures = illustrated(roots, answer.names, form, answer.taken)
        shapes = {left: shape_text(node) for left, _, node in roots}
        title, _, note = answer.title.partition(": ")
        views.append(FormulasView(title, note, equation_views(shown, shapes), tuple(map(figure_view, figures))))
    return tuple(views)


def shape_text(node: Node) -> str:
    """``D, H``, or ``scalar``."""
    return ", ".join(map(str, node.shape)) or "scalar"


def answers(program: Program, options: Options, steps: bool = False) -> list[Answer]:
    """The results of every request, as graphs."""
    asked = program.requests
    if steps:
        program = replace(program, requests=tuple(r for request in asked for r in (*_on_the_way(program, request), request)))
    done = compiler.derive(program, options)
    names = names_of(done.program, done.origins)
    taken = taken_names(program)
    found: list[Answer] = []
    definitions = dict(done.program.definitions)
    for request in asked:
        passed = set(topological([definitions[request.output]])) if request.output in definitions else set()
        mine = [e for e in done.entries if e.request is not None and _belongs(e, request) and e.name != "backward"]
        known = dict(names)
        results: list[tuple[Entry, str, Node]] = []
        for entry in mine:
            for result, node in entry.results:
                if request.kind == "gradient" and result == request.output and result not in entry.request.wrt:  # type: ignore[union-attr]
                    continue  # the value
                if _is_step(entry) and (is_zero(node) or definitions[result] not in passed):
                    continue  # the way leads past this definition
                results.append((entry, result, node))
                if steps and request.kind == "gradient" and not isinstance(node, Tensor):
                    known.setdefault(node, heading(entry, result, "unicode"))
        found.append(Answer(request, _title(request), tuple(results), known, taken))
    return found


def _belongs(entry: Entry, request: Request) -> bool:
    assert entry.request is not None
    return entry.request == request or (
        _is_step(entry) and entry.request.span == request.span and entry.request.output == request.output
    )


def _is_step(entry: Entry) -> bool:
    return entry.request is not None and (entry.request.name or "").startswith(_STEP)


def _title(request: Request) -> str:
    if request.derived:
        return f"gradient of {request.output} as derived: the formulas of its derivation"
    if request.kind != "jacobian":
        return f"{request.kind} of {request.output}: {_SHAPES.get(request.kind, 'one function a name')}"
    layout = request.layout or "jacobian"
    about = _LAYOUTS.get(layout, "axes as in the differential")
    return f"jacobian of {request.output}: layout {layout}, {about}"


def _on_the_way(program: Program, request: Request) -> list[Request]:
    """Requests for the gradients by the definitions between the target and what it is differentiated by, last first."""
    definitions = dict(program.definitions)
    target = definitions.get(request.output)
    if request.kind != "gradient" or target is None:
        return []
    sources: dict[str, Node] = {**definitions, **{tensor.name: tensor for tensor in program.arguments}}
    below = set(topological([target]))
    tainted = depends_on([target], [sources[name] for name in request.wrt if name in sources])
    between = [
        name
        for name, node in program.definitions
        if node in below and node in tainted and node is not target and name not in request.wrt
    ]
    return [replace(request, wrt=(name,), name=f"{_STEP} {number}") for number, name in enumerate(reversed(between))]
