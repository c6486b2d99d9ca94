"""Replacing sizes in a graph: unknowns by what unification found, names by numbers.

(A_ij x_j | i)  with A : N, 3 and {N: 32}   ->   the same bracket with A : 32, 3
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Body,
    Delta,
    Derivative,
    Differential,
    Einsum,
    Node,
    Overlap,
    Project,
    Range,
    Recurrence,
    Scatter,
    Shape,
    Size,
    Tensor,
    Window,
)
from bracketc.ir.program import Program, SizeSpec
from bracketc.ir.rewrite import Roots, map_nodes


def bind_sizes(program: Program, sizes: Mapping[str, int]) -> Program:
    """``program`` with named sizes replaced by numbers; names that it does not have are ignored.

    Brackets fold again, because a sum over an axis of known size is a number.
    """
    values = {spec.name: Dim.of(sizes[spec.name]) for spec in program.sizes if spec.name in sizes}
    if not values:
        return program
    return substitute_program(program, values, sizes)


def substitute_program(program: Program, values: Mapping[str, Dim], numbers: Mapping[str, int]) -> Program:
    """``program`` with names of sizes replaced in every shape; ``numbers`` also become the values of its sizes."""
    nodes = [*program.arguments, *(n for _, n in program.definitions), *(n for _, n in program.results)]
    nodes += [node for cut in program.cuts for node in (cut.node, cut.variable)]
    nodes += [node for formula in program.written for node in (formula.derivative, formula.node)]
    roots, _ = substitute_dims(Roots(tuple(nodes), program.origins), values)
    arguments: list[Tensor] = []
    for node in roots.nodes[: len(program.arguments)]:
        assert isinstance(node, Tensor)
        arguments.append(node)
    rest = iter(roots.nodes[len(program.arguments) :])
    definitions = tuple((name, next(rest)) for name, _ in program.definitions)
    results = tuple((name, next(rest)) for name, _ in program.results)
    cuts = []
    for cut in program.cuts:
        node, variable = next(rest), next(rest)
        assert isinstance(variable, Tensor)
        cuts.append(replace(cut, node=node, variable=variable))
    written = tuple(replace(formula, derivative=next(rest), node=next(rest)) for formula in program.written)
    return replace(
        program,
        sizes=tuple(SizeSpec(s.name, numbers.get(s.name, s.value), s.hint) for s in program.sizes),
        arguments=tuple(arguments),
        definitions=definitions,
        results=results,
        origins=roots.origins,
        constraints=tuple((a.substitute(values), b.substitute(values), why) for a, b, why in program.constraints),
        cuts=tuple(cuts),
        written=written,
    )


def substitute_dims(roots: Roots, values: Mapping[str, Dim]) -> tuple[Roots, dict[Node, Node]]:
    """``roots`` with named sizes replaced by polynomials everywhere, bodies of recurrences and placeholders included.

    Every node is made again by its constructor, so that what was symbolic folds; also gives old -> new.
    """
    known: dict[Dim, Dim] = {}

    def dim(old: Dim) -> Dim:
        found = known.get(old)
        if found is None:
            found = known[old] = old.substitute(values)
        return found

    def shape(old: Shape) -> Shape:
        return tuple(map(dim, old))

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        rule = _RULES.get(type(node))
        if rule is not None:
            return rule(_Sizes(dim, shape, visit), node, operands)
        return node if operands == node.operands else node.rebuild(operands)

    return map_nodes(roots, visit)


class _Sizes:
    """What the rules of one call share."""

    __slots__ = ("dim", "shape", "visit")

    def __init__(
        self,
        dim: Callable[[Dim], Dim],
        shape: Callable[[Shape], Shape],
        visit: Callable[[Node, tuple[Node, ...]], Node],
    ) -> None:
        self.dim = dim
        self.shape = shape
        self.visit = visit

    def tensor(self, node: Tensor) -> Tensor:
        bound = node.bound if node.bound is None else self.dim(node.bound)
        return Tensor(node.name, self.shape(node.extents), node.kind, node.traits, bound)


def _tensor(sizes: _Sizes, node: Tensor, operands: tuple[Node, ...]) -> Node:
    return sizes.tensor(node)


def _size(sizes: _Sizes, node: Size, operands: tuple[Node, ...]) -> Node:
    return build.size(sizes.dim(node.dim))


def _range(sizes: _Sizes, node: Range, operands: tuple[Node, ...]) -> Node:
    return Range(sizes.dim(node.extent))


def _delta(sizes: _Sizes, node: Delta, operands: tuple[Node, ...]) -> Node:
    return Delta(sizes.dim(node.extent))


def _einsum(sizes: _Sizes, node: Einsum, operands: tuple[Node, ...]) -> Node:
    factors = [(new, labels) for new, (_, labels) in zip(operands, node.factors, strict=True)]
    extents: dict[Hashable, Dim] = dict(enumerate(sizes.shape(node.extents)))
    return build.einsum(node.coefficient, factors, node.output, extents)


def _add(sizes: _Sizes, node: Add, operands: tuple[Node, ...]) -> Node:
    return node if operands == node.operands else build.add(operands)


def _window(sizes: _Sizes, node: Window, operands: tuple[Node, ...]) -> Node:
    return build.window(operands[0], node.axis, sizes.dim(node.offset), node.steps, sizes.shape(node.extents))


def _overlap(sizes: _Sizes, node: Overlap, operands: tuple[Node, ...]) -> Node:
    return build.overlap(operands[0], node.axis, sizes.dim(node.offset), node.steps, sizes.dim(node.extent))


def _scatter(sizes: _Sizes, node: Scatter, operands: tuple[Node, ...]) -> Node:
    return Scatter(operands[0], operands[1], sizes.dim(node.extent))


def _recurrence(sizes: _Sizes, node: Recurrence, operands: tuple[Node, ...]) -> Node:
    results = map_nodes(Roots(node.body.results), sizes.visit)[0].nodes
    body = Body(tuple(sizes.tensor(p) for p in node.body.parameters), results)
    first, second = len(node.carries), len(node.carries) + len(node.xs)
    return Recurrence(body, sizes.dim(node.length), operands[:first], operands[first:second], operands[second:], node.reverse)


def _project(sizes: _Sizes, node: Project, operands: tuple[Node, ...]) -> Node:
    return node.rebuild(operands)


def _derivative(sizes: _Sizes, node: Derivative, operands: tuple[Node, ...]) -> Node:
    return Derivative(operands[0], sizes.tensor(node.wrt), operands[1], node.layout)


def _differential(sizes: _Sizes, node: Differential, operands: tuple[Node, ...]) -> Node:
    count = len(node.wrt)
    wrt = tuple(sizes.tensor(placeholder) for placeholder in node.wrt)
    return Differential(operands[0], wrt, operands[1 : 1 + count], operands[1 + count :])


_RULES: dict[type[Node], Callable[[_Sizes, Any, tuple[Node, ...]], Node]] = {
    Tensor: _tensor,
    Size: _size,
    Range: _range,
    Delta: _delta,
    Einsum: _einsum,
    Add: _add,
    Window: _window,
    Overlap: _overlap,
    Scatter: _scatter,
    Recurrence: _recurrence,
    Project: _project,
    Derivative: _derivative,
    Differential: _differential,
}
