"""From the requests of a program to the functions of its module: every derivative that was asked for, as a graph.

gradient J wrt W, b        ->   backward, value_and_grad
jacobian y wrt x           ->   jacobian_y_x
hessian J wrt x, s as H    ->   H
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bracketc.calculus import layouts
from bracketc.calculus.derivatives import (
    JACOBIANS,
    expand_derivatives,
    gradient,
    hessians,
    hvp,
    jvp,
    preferred,
    vjp,
)
from bracketc.errors import Diagnostic, SourceError, UnsupportedError
from bracketc.ir.build import add, broadcast, fill_value, literal, multiply
from bracketc.ir.nodes import Derivative, Node, Tensor
from bracketc.ir.program import Candidate, Cut, Entry, Form, Program, Request
from bracketc.ir.recurrence import merge_recurrences
from bracketc.ir.rewrite import Origin, Roots, substitute, topological

Named = tuple[tuple[str, Node], ...]


def entries(program: Program) -> tuple[Entry, ...]:
    """The functions that a module of ``program`` offers, free of derivatives: see :class:`~bracketc.ir.program.Entry`.

    Everything that is wrong with requests is raised as one :class:`~bracketc.errors.SourceError`: unknown names,
    targets that are no scalars, arguments that hold integers, two functions of one name.
    """
    return named_entries(program)[0]


def named_entries(program: Program) -> tuple[tuple[Entry, ...], Mapping[Node, Origin]]:
    """The same, with the names of nodes: loops that were merged keep those of their results."""
    checked = _check(program)
    functions = _functions(program, checked)
    if _writes_jacobians(program):
        functions = [_either(*both) for both in zip(functions, _functions(program, checked, swapped=True), strict=True)]
    _check_names(functions)
    # What forward saves is what backward reads: the two run one loop.
    origins = {node: Origin(name) for name, node in program.definitions} | dict(program.origins)
    joint = [f for f in functions if f.name in ("forward", "backward")]
    found = {f.name: f for f in _merged(joint, origins)}
    return tuple(found.get(f.name) or _merged_alone(f, origins) for f in functions), origins


def _functions(program: Program, requests: Iterable[Request], swapped: bool = False) -> list[Entry]:
    """All functions; ``swapped`` has the Jacobians of definitions in the mode that their sizes do not suggest."""
    graph = _expand(program, requests, swapped)
    functions = [_evaluate("evaluate", graph), _evaluate("forward", graph)]
    for request in requests:
        try:
            functions.extend(_ANSWERS[request.kind](graph, request))
        except UnsupportedError as error:  # a function that differentiation brought in stands nowhere in the source
            raise error.at(request.span) from None
    return functions


def _writes_jacobians(program: Program) -> bool:
    """Whether a definition holds a Jacobian whose mode is open: ``Jac[x](y)``, or ``∇[x](g)`` of what is no scalar."""
    nodes = topological(node for _, node in (*program.definitions, *program.results))
    return any(isinstance(node, Derivative) and node.output.rank > 0 and node.wrt.rank > 0 for node in nodes)


def _either(function: Entry, swapped: Entry) -> Entry:
    """The function with what ``swapped`` computes among its candidates; ``forward`` and ``backward`` must stay of one kind."""
    if function.name in ("forward", "backward"):
        return function
    own, others = (
        entry.candidates or (Candidate("modes by size", tuple(node for _, node in entry.results)),)
        for entry in (function, swapped)
    )
    turned = tuple(Candidate(f"{candidate.mode}, definitions in the other mode", candidate.nodes) for candidate in others)
    return function.with_candidates((*own, *turned))


def _merged_alone(function: Entry, origins: dict[Node, Origin]) -> Entry:
    if not function.candidates:
        return _merged([function], origins)[0]
    found = []
    for candidate in function.candidates:
        merged = merge_recurrences(Roots(candidate.nodes, origins))
        origins.update(merged.origins)
        found.append(Candidate(candidate.mode, merged.nodes))
    return function.with_candidates(tuple(found))


def _merged(functions: Sequence[Entry], origins: dict[Node, Origin]) -> list[Entry]:
    """The functions with their recurrences merged across them; ``origins`` get the names of the new nodes."""
    roots = tuple(node for function in functions for _, node in function.results)
    merged = merge_recurrences(Roots(roots, origins))
    origins.update(merged.origins)
    nodes = iter(merged.nodes)
    return [replace(function, results=tuple((name, next(nodes)) for name, _ in function.results)) for function in functions]


# --------------------------------------------------------------------------------------------------- checks
def _check(program: Program) -> tuple[Request, ...]:
    """The requests, or one error with every mistake in them."""
    outputs = _outputs(program)
    sources = _sources(program)
    varied = {cut.wrt for cut in program.cuts}  # definitions that were more than a constant before they were simplified
    found: list[Diagnostic] = []
    unnamed = None
    for request in program.requests:
        found.extend(_check_request(request, outputs, sources, varied))
        if request.kind == "gradient" and request.name is None:
            if unnamed is not None:
                note = (("the first one", unnamed.span),)
                help_text = "give it a name: `as NAME` makes a function of that name"
                found.append(Diagnostic("a second gradient request without a name", request.span, help_text, note))
            unnamed = unnamed or request
    if found:
        raise SourceError(found)
    return program.requests


def _outputs(program: Program) -> dict[str, Node]:
    """What may be differentiated, by name."""
    return {**dict(program.definitions), **dict(program.results)}


def _sources(program: Program) -> dict[str, Node]:
    """What may be differentiated by: arguments and definitions."""
    return {**dict(program.definitions), **{argument.name: argument for argument in program.arguments}}


def _check_request(
    request: Request, outputs: Mapping[str, Node], sources: Mapping[str, Node], varied: Container[str]
) -> Iterable[Diagnostic]:
    span = request.span
    target = outputs.get(request.output)
    if request.derived and request.kind != "gradient":
        raise UnsupportedError(Diagnostic(f"a {request.kind} as derived", span, "only a gradient is compiled as written"))
    if target is None:
        if request.output in sources:
            yield Diagnostic(f"{request.output} is an argument, not an output", span, "define what to differentiate")
        else:
            yield _unknown(request, request.output, "output", outputs)
    elif target.dtype != "real":
        yield Diagnostic(f"{request.output} does not hold real numbers: it has no derivative", span)
    elif target.rank and request.kind in ("gradient", "hessian", "hvp"):
        shape = ", ".join(map(str, target.shape))
        wrt = ", ".join(request.wrt)
        yield Diagnostic(
            f"{request.kind} of {request.output}, which is no scalar but has the shape ({shape})",
            span,
            f"`jacobian {request.output} wrt {wrt}` gives all its derivatives",
        )
    for position, name in enumerate(request.wrt):
        if name in request.wrt[:position] and request.kind != "hessian":
            yield Diagnostic(f"{name} stands twice behind wrt", span)
            continue
        source = sources.get(name)
        if source is None:
            yield _unknown(request, name, "argument or definition", sources)
        elif source.dtype != "real":
            yield Diagnostic(f"{name} does not hold real numbers: there is no derivative by it", span)
        elif fill_value(source) is not None and name not in varied:
            help_text = f"declare it as an argument: `param {name} : scalar`"
            yield Diagnostic(f"{name} is a constant: there is no derivative by it", span, help_text)
        elif name == request.output:
            yield Diagnostic(f"the derivative of {name} by itself", span)
        elif target is not None:
            yield from _check_layout(request, target, source)


def _check_layout(request: Request, target: Node, source: Node) -> Iterable[Diagnostic]:
    layout = request.layout
    if layout is None:
        return
    if request.kind != "jacobian":
        ask = f"`jacobian {request.output} wrt {', '.join(request.wrt)} layout {layout}`"
        yield Diagnostic(f"a {request.kind} has no layout: only a jacobian has", request.span, f"write {ask}")
        return
    wrong = layouts.problem(layout, target.rank, source.rank)
    if wrong is not None:
        yield Diagnostic(wrong[0], request.span, wrong[1])


def _unknown(request: Request, name: str, what: str, known: Mapping[str, Node]) -> Diagnostic:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    offer = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    return Diagnostic(f"{name} is no {what}", request.span, offer)


def _check_names(functions: Sequence[Entry]) -> None:
    first: dict[str, Entry] = {}
    for function in functions:
        other = first.setdefault(function.name, function)
        if other is not function:
            span = None if function.request is None else function.request.span
            note = () if other.request is None else (("the first one", other.request.span),)
            raise SourceError(
                Diagnostic(f"two functions would be called {function.name}", span, "`as NAME` gives another name", note)
            )


# --------------------------------------------------------------------------------------------------- answers
@dataclass(frozen=True, slots=True)
class _Graph:
    """A program whose written derivatives are expanded, and the nodes behind its names."""

    program: Program
    results: Named
    outputs: Mapping[str, Node]
    sources: Mapping[str, Node]
    cuts: Mapping[tuple[str, str], Cut]
    written: Mapping[tuple[str, str], Node]

    def target(self, output: str, name: str) -> tuple[Node, Node]:
        """``output`` as a function of ``name``: the node to differentiate, and what it is differentiated by."""
        cut = self.cuts.get((output, name))
        return (self.outputs[output], self.sources[name]) if cut is None else (cut.node, cut.variable)

    def closed(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """``nodes`` with the definitions that were cut put back."""
        values: dict[Node, Node] = {cut.variable: self.sources[cut.wrt] for cut in self.cuts.values()}
        return substitute(tuple(nodes), values) if values else tuple(nodes)


def _expand(program: Program, requests: Iterable[Request], swapped: bool = False) -> _Graph:
    """Expand what the results and the requests mention; unused definitions are left alone."""
    outputs, sources = _outputs(program), _sources(program)
    wanted: dict[Node, None] = dict.fromkeys(node for _, node in program.results)
    for request in requests:
        wanted.setdefault(outputs[request.output])
        wanted.update(dict.fromkeys(sources[name] for name in request.wrt))
    wanted.update(dict.fromkeys(cut.node for cut in program.cuts))
    wanted.update(dict.fromkeys(formula.node for formula in program.written))
    nodes = tuple(wanted)
    expanded = dict(zip(nodes, expand_derivatives(Roots(nodes, program.origins), swapped).nodes, strict=True))
    return _Graph(
        program,
        tuple((name, expanded[node]) for name, node in program.results),
        {name: expanded.get(node, node) for name, node in outputs.items()},
        {name: expanded.get(node, node) for name, node in sources.items()},
        {(cut.output, cut.wrt): replace(cut, node=expanded[cut.node]) for cut in program.cuts},
        {(formula.output, formula.wrt): expanded[formula.node] for formula in program.written},
    )


def _evaluate(name: str, graph: _Graph) -> Entry:
    return Entry(name, graph.program.arguments, (), graph.results)


def _entry(graph: _Graph, name: str, extras: Sequence[Tensor], results: Named, request: Request) -> Entry:
    return Entry(name, graph.program.arguments, tuple(extras), results, request)


def _gradient(graph: _Graph, request: Request) -> list[Entry]:
    target = graph.outputs[request.output]
    slopes = _slopes(graph, request, (request.output,), (literal(1),))
    value = ((request.output, target), *slopes)
    if request.name is not None:
        return [_entry(graph, request.name, (), value, request)]
    named = dict(graph.results)
    if request.output not in named:
        named[request.output] = target
    real = {name: node for name, node in named.items() if node.dtype == "real"}
    bars = tuple(Tensor(f"bar_{name}", node.shape) for name, node in real.items())
    back = _slopes(graph, request, tuple(real), bars)
    return [
        _entry(graph, "backward", bars, back, request),
        _entry(graph, "value_and_grad", (), value, request),
    ]


def _slopes(graph: _Graph, request: Request, outputs: Sequence[str], bars: Sequence[Node]) -> Named:
    """Cotangents of every ``wrt`` name for those of ``outputs``: of all arguments at once, of each definition alone."""
    if request.derived:
        return _as_written(graph, request, outputs, bars)
    origins = graph.program.origins
    cut = [name for name in request.wrt if any((output, name) in graph.cuts for output in outputs)]
    whole = [name for name in request.wrt if name not in cut]
    nodes = tuple(graph.outputs[output] for output in outputs)
    found = dict(zip(whole, vjp(nodes, tuple(graph.sources[name] for name in whole), bars, origins), strict=True))
    for name in cut:
        variable = Tensor("%cut", graph.sources[name].shape)
        targets = [_cut_at(graph, output, name, variable) for output in outputs]
        (slope,) = vjp(targets, (variable,), bars, origins)
        (found[name],) = substitute((slope,), {variable: graph.sources[name]})
    return tuple((name, found[name]) for name in request.wrt)


def _as_written(graph: _Graph, request: Request, outputs: Sequence[str], bars: Sequence[Node]) -> Named:
    """The formulas of the derivation times the cotangent of their scalar; what other outputs add is derived here."""
    others = [k for k, output in enumerate(outputs) if output != request.output]
    own = bars[outputs.index(request.output)]
    own_request = replace(request, derived=False)
    rest = dict(_slopes(graph, own_request, [outputs[k] for k in others], [bars[k] for k in others])) if others else {}
    found = []
    for name in request.wrt:
        formula = graph.written[(request.output, name)]
        slope = multiply(broadcast(own, formula.shape, ()), formula)
        found.append((name, add([slope, rest[name]]) if others else slope))
    return tuple(found)


def _cut_at(graph: _Graph, output: str, name: str, variable: Tensor) -> Node:
    """``output`` with ``variable`` for the definition ``name``, which may be the output itself."""
    if output == name:
        return variable
    cut = graph.cuts.get((output, name))
    return graph.outputs[output] if cut is None else substitute((cut.node,), {cut.variable: variable})[0]


def _each(graph: _Graph, request: Request, answer: Callable[[str, Node, Node], tuple[Node, tuple[Tensor, ...]]]) -> list[Entry]:
    """One function a ``wrt`` name; under a name of its own, one function with a result for each."""
    answers = [(name, *answer(name, *graph.target(request.output, name))) for name in request.wrt]
    if request.name is None:
        return [
            _entry(graph, f"{request.kind}_{request.output}_{name}", extras, ((name, node),), request)
            for name, node, extras in answers
        ]
    extras = tuple(dict.fromkeys(extra for _, _, own in answers for extra in own))
    return [_entry(graph, request.name, extras, tuple((name, node) for name, node, _ in answers), request)]


def _jacobian(graph: _Graph, request: Request) -> list[Entry]:
    origins = graph.program.origins
    pairs = {name: graph.target(request.output, name) for name in request.wrt}
    found: dict[str, dict[str, Node]] = {}
    for mode, differentiate in JACOBIANS.items():
        found[mode] = {
            name: layouts.arranged(graph.closed([differentiate(target, node, origins)])[0], target.rank, request.layout)
            for name, (target, node) in pairs.items()
        }

    def chosen(entry: Entry) -> Entry:
        names = [name for name, _ in entry.results]
        first = preferred(*pairs[names[0]])
        modes = sorted(found, key=lambda mode: mode != first)
        forms = []
        for name in names:
            target, node = pairs[name]
            rows = layouts.rows(request.layout, target.rank, node.rank)
            forms.append(Form(name, rows))
        candidates = tuple(Candidate(mode, tuple(found[mode][n] for n in names)) for mode in modes)
        return replace(entry.with_candidates(candidates), forms=tuple(forms))

    return [chosen(entry) for entry in _each(graph, request, lambda name, *_: (found["reverse"][name], ()))]


def _hessian(graph: _Graph, request: Request) -> list[Entry]:
    """One function with a result for each block; the blocks of a candidate are made in one mode."""
    blocks = [(result, _block(graph, request, first, second)) for result, first, second in request.pairs]
    modes = dict.fromkeys(mode for _, found in blocks for mode in found)
    candidates = tuple(Candidate(mode, tuple(found.get(mode) or found[_plain(mode)] for _, found in blocks)) for mode in modes)
    names = request.wrt if len(request.wrt) < 3 else tuple(dict.fromkeys(request.wrt))
    name = request.name or f"hessian_{request.output}_{'_'.join(names)}"
    forms = tuple(Form(result, graph.sources[first].rank, first == second) for result, first, second in request.pairs)
    results = tuple((result, node) for (result, _), node in zip(blocks, candidates[0].nodes, strict=True))
    return [replace(_entry(graph, name, (), results, request).with_candidates(candidates), forms=forms)]


def _plain(mode: str) -> str:
    """The mode for a block by one name, which has no second gradient to start from."""
    return mode.removesuffix(", transposed")


def _block(graph: _Graph, request: Request, first: str, second: str) -> dict[str, Node]:
    """The second derivative by two names, axes of ``first`` in front, by mode."""
    origins = graph.program.origins
    target, by_second = graph.target(request.output, second)
    both = graph.cuts.get((f"∇[{first}]({request.output})", second))
    if both is not None:  # the gradient by one definition, as a function of another
        found = {f"{mode} over reverse": rule(both.node, both.variable, origins) for mode, rule in JACOBIANS.items()}
    elif (request.output, second) in graph.cuts or (request.output, first) not in graph.cuts:
        if first != second and (request.output, first) in graph.cuts:
            help = f"write g = ∇[{first}]({request.output}) and jacobian g wrt {second}"
            raise UnsupportedError(Diagnostic("a mixed derivative by two definitions", request.span, help))
        found = hessians(target, by_second if first == second else graph.sources[first], by_second, origins)
    else:  # the gradient by a definition, as a function of an argument
        cut, variable = graph.target(request.output, first)
        (slope,) = graph.closed(gradient(cut, (variable,), origins))
        found = {f"{mode} over reverse": rule(slope, by_second, origins) for mode, rule in JACOBIANS.items()}
    return dict(zip(found, graph.closed(list(found.values())), strict=True))


def _jvp(graph: _Graph, request: Request) -> list[Entry]:
    origins = graph.program.origins

    def answer(name: str, target: Node, node: Node) -> tuple[Node, tuple[Tensor, ...]]:
        direction = Tensor(f"d_{name}", node.shape)
        return graph.closed(jvp((target,), (node,), (direction,), origins))[0], (direction,)

    return _each(graph, request, answer)


def _vjp(graph: _Graph, request: Request) -> list[Entry]:
    bar = Tensor(f"bar_{request.output}", graph.outputs[request.output].shape)
    found = dict(_slopes(graph, request, (request.output,), (bar,)))
    return _each(graph, request, lambda name, *_: (found[name], (bar,)))


def _hvp(graph: _Graph, request: Request) -> list[Entry]:
    """One function a ``wrt`` name; of several, also the product with the whole Hessian by them, for a direction of each."""
    origins = graph.program.origins

    def answer(name: str, target: Node, node: Node) -> tuple[Node, tuple[Tensor, ...]]:
        direction = Tensor(f"d_{name}", node.shape)
        return graph.closed([hvp(target, node, direction, origins)])[0], (direction,)

    if len(request.wrt) == 1:
        return _each(graph, request, answer)
    each = [] if request.name is not None else _each(graph, request, answer)
    if any((request.output, name) in graph.cuts for name in request.wrt):
        if request.name is not None:
            help = f"ask for each by itself: hvp {request.output} wrt {request.wrt[0]}"
            raise UnsupportedError(Diagnostic("one product of second derivatives by several definitions", request.span, help))
        return each
    wrt = tuple(graph.sources[name] for name in request.wrt)
    directions = tuple(Tensor(f"d_{name}", node.shape) for name, node in zip(request.wrt, wrt, strict=True))
    products = jvp(gradient(graph.outputs[request.output], wrt, origins), wrt, directions, origins)
    name = request.name or f"hvp_{request.output}_{'_'.join(request.wrt)}"
    return [*each, _entry(graph, name, directions, tuple(zip(request.wrt, products, strict=True)), request)]


_ANSWERS: Mapping[str, Callable[[_Graph, Request], list[Entry]]] = {
    "gradient": _gradient,
    "jacobian": _jacobian,
    "hessian": _hessian,
    "jvp": _jvp,
    "vjp": _vjp,
    "hvp": _hvp,
}
