"""Every derivative that a program asks for, against complex steps of what it is the derivative of.

A Jacobian in any layout, or a Hessian, is multiplied with a random direction and compared with the step along it; a definition that
is differentiated by is a variable there, as in the request. Second derivatives are steps of the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bracketc.calculus.derivatives import expand_derivatives, gradient
from bracketc.calculus.layouts import arrangement
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Entry, Request
from bracketc.ir.rewrite import Roots, tensors
from promises.complex_steps import Kink, complex_steps
from promises.programs import Case
from promises.promise import Array, compare, finite


@dataclass(frozen=True, slots=True)
class Target:
    """An output as a function of what it is differentiated by, and the values of all tensors below it."""

    node: Node
    by: Tensor
    values: Mapping[Tensor, Array]

    def slope(self) -> Target:
        """Its gradient, of a scalar, as a function of the same."""
        (node,) = gradient(self.node, (self.by,))
        return Target(node, self.by, self.values)

    def steps(self, along: Mapping[Tensor, Array], sizes: Mapping[str, int]) -> Array:
        (found,) = complex_steps([self.node], self.values, along, sizes)
        return found


def target(case: Case, output: str, name: str) -> Target:
    """``output`` by ``name``, an argument or a definition."""
    definitions = dict(case.program.definitions)
    outputs = {**definitions, **dict(case.program.results)}
    cuts = {(cut.output, cut.wrt): cut for cut in case.program.cuts}
    cut = cuts.get((output, name))
    if cut is not None:
        node, source = expand_derivatives(Roots((cut.node, definitions[name]))).nodes
        values = _values(case, (node, source), (cut.variable,))
        values[cut.variable] = interpret([source], values, case.sizes)[0]
        return Target(node, cut.variable, values)
    (node,) = expand_derivatives(Roots((outputs[output],))).nodes
    by = next(tensor for tensor in case.program.arguments if tensor.name == name)
    return Target(node, by, {by: case.arrays[name], **_values(case, (node,))})


def _values(case: Case, nodes: Sequence[Node], without: Sequence[Tensor] = ()) -> dict[Tensor, Array]:
    return {leaf: case.arrays[leaf.name] for leaf in tensors(nodes) if leaf not in without}


def restored(found: Array, layout: str | None, shape: Sequence[int], outputs: int) -> Array:
    """A Jacobian in a layout as one with the axes of the output in front; ``shape`` is that of the latter.

    restored(array of shape (6,), "vec", (2, 3), …)  ->  its columns one beside the other
    """
    order = arrangement(layout, outputs, len(shape) - outputs).order
    return found.reshape([shape[axis] for axis in order]).transpose(np.argsort(order)) if order else found.reshape(())


def requested(case: Case, entry: Entry, rng: np.random.Generator) -> int:
    """How many results of ``entry`` agree; none where a value is at a kink, or where there is no complex step."""
    request = entry.request
    if request is None or (request.kind == "gradient" and entry.extras):
        return 0
    count = 0
    for what, found, exact in _answers(case, entry, request, rng):
        if exact is not None and finite([exact]):
            compare(f"{what} of {entry.name} at {case.sizes}", found, exact)
            count += 1
    return count


def _answers(
    case: Case, entry: Entry, request: Request, rng: np.random.Generator
) -> Iterator[tuple[str, Array, Array | None]]:
    """Result, what was found, and what it should be; of a whole derivative, along a random direction."""
    found = case.wanted[entry.name]
    if request.kind == "hessian":
        for result, first, second in request.pairs:
            if first != second and any(cut.wrt in (first, second) for cut in case.program.cuts):
                continue  # a mixed derivative by definitions has a cut of its own
            slope = target(case, request.output, first).slope()
            by = slope.by if first == second else next(t for t in case.program.arguments if t.name == second)
            values = {by: case.arrays[by.name], **slope.values} if first != second else slope.values
            way: Array = np.asarray(rng.normal(size=values[by].shape))
            exact = _steps(Target(slope.node, by, values), {by: way}, case)
            yield result, np.tensordot(found[result], way, way.ndim), exact
        return
    if request.kind == "hvp" and len(entry.results) > 1:
        targets = [target(case, request.output, name).slope() for name in request.wrt]
        ways = {other.by: case.arrays[f"d_{name}"] for other, name in zip(targets, request.wrt, strict=True)}
        for other, name in zip(targets, request.wrt, strict=True):
            values = {**{t: case.arrays[t.name] for t in ways}, **other.values}
            yield name, found[name], _steps(Target(other.node, other.by, values), ways, case)
        return
    for name, _ in entry.results:
        if name not in request.wrt or (name == request.output and request.kind == "gradient"):
            continue
        one = target(case, request.output, name)
        way = np.asarray(rng.normal(size=one.values[one.by].shape))
        match request.kind:
            case "jacobian":
                exact = _steps(one, {one.by: way}, case)
                if exact is not None:
                    shape = (*exact.shape, *way.shape)
                    yield name, np.tensordot(restored(found[name], request.layout, shape, exact.ndim), way, way.ndim), exact
            case "gradient":
                yield name, np.asarray((found[name] * way).sum()), _steps(one, {one.by: way}, case)
            case "vjp":
                exact = _steps(one, {one.by: way}, case)
                if exact is not None:
                    bar = case.arrays[f"bar_{request.output}"]
                    yield name, np.asarray((found[name] * way).sum()), np.asarray((bar * exact).sum())
            case "jvp":
                yield name, found[name], _steps(one, {one.by: case.arrays[f"d_{name}"]}, case)
            case "hvp":
                yield name, found[name], _steps(one.slope(), {one.by: case.arrays[f"d_{name}"]}, case)


def _steps(one: Target, along: Mapping[Tensor, Array], case: Case) -> Array | None:
    """``None`` at a kink."""
    try:
        return one.steps(along, case.sizes)
    except Kink:
        return None
