"""The body of a range: what it says once, for every number of ``t = first..last``.

Inside the body ``X[t]`` is a placeholder with the shape of a slice.  When the range is closed,
:func:`bracketc.ir.batch.batch` puts all slices in its place at once, along a new leading axis, so nothing is unrolled:

    sum[t=1..T](X[t] · X[t])   ->   body (%s1 · %s1), %s1 -> X   ->   (X_ti X_ti | t)  ->  summed over t
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.batch import batch
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node, Range, Shape, Tensor
from bracketc.ir.rewrite import tensors
from bracketc.lang import syntax
from bracketc.lang.entries import dimension
from bracketc.lang.scope import Elaboration, Scope


@dataclass(frozen=True, slots=True)
class Moving:
    """The ends of a range that move with the variable of an outer one, open in ``scope``."""

    low: Dim
    high: Dim
    scope: Scope
    span: Span


class Step:
    """A range that is open: its variable, its numbers, and the slices taken for it so far.

    Where its ends are ``moving``, ``first`` and ``last`` are the furthest that they come.
    """

    __slots__ = ("_known", "extent", "first", "moving", "run", "slices", "variable")

    def __init__(self, run: Elaboration, first: Dim, last: Dim, moving: Moving | None = None) -> None:
        self.run = run
        self.first = first
        self.extent = last - first + 1
        self.moving = moving
        self.variable = run.variable()
        self.slices: dict[Node, Node] = {}
        self._known: dict[tuple[object, ...], Tensor] = {}

    @property
    def name(self) -> str:
        return str(self.variable)

    @property
    def last(self) -> Dim:
        return self.first + self.extent - 1

    def split(self, dim: Dim) -> tuple[int, Dim] | None:
        """``2 t + N`` -> (2, N); None when the variable does not occur as a multiple of a number."""
        factor = 0
        rest = []
        for monomial, coefficient in dim.terms:
            if monomial == ((self.name, 1),):
                factor = coefficient
            elif any(part == self.name for part, _ in monomial):
                return None
            else:
                rest.append((monomial, coefficient))
        return factor, Dim(rest)

    def slice(self, node: Node, axis: int, factor: int, offset: Dim, steps: Sequence[int], extents: Shape) -> Tensor:
        """The part of ``node`` at position ``factor t + offset`` (from 0) of ``axis``, spread over further labels."""
        key = (node, axis, factor, offset, tuple(steps), extents)
        found = self._known.get(key)
        if found is None:
            start = offset + factor * self.first
            source = build.window(node, axis, start, (factor, *steps), (self.extent, *extents))
            found = self._known[key] = self._placeholder(_to_front(source, axis))
        return found

    def slice_of(self, source: Node) -> Tensor:
        """The slice of what lies along the range already, along its first axis."""
        key = ("whole", source)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._placeholder(source)
        return found

    def number(self) -> Tensor:
        """``t`` itself, as a scalar."""
        found = self._known.get(("number",))
        if found is None:
            counted: Node = Range(self.extent)
            if self.first.constant != 1:
                counted = build.add([counted, build.broadcast(build.size(self.first - 1), (self.extent,), ())])
            found = self._known[("number",)] = self._placeholder(counted)
        return found

    def _placeholder(self, source: Node) -> Tensor:
        tensor = self.run.placeholder("s", source, 1)
        self.slices[tensor] = source
        return tensor

    def close(self, node: Node) -> Node:
        """``node``, which may hold slices, for all numbers of the range along a new leading axis."""
        (result,) = batch((node,), self.slices, (self.extent,))
        return result


def _to_front(node: Node, axis: int) -> Node:
    if axis == 0:
        return node
    return build.permute(node, (axis, *(k for k in range(node.rank) if k != axis)))


def take(node: Node, axis: int, dim: Dim, steps: tuple[int, ...], extents: Shape, scope: Scope, span: Span) -> Node:
    """The entries of ``axis`` at ``dim + Σ steps[i] l_i`` (from 0), with axes of ``extents`` in its place.

    ``dim`` may hold the variable of an open range; the result then stands for one step of it.
    """
    problems = scope.run.problems
    ragged = [extent for extent in extents if any(step.name in extent.names for step in scope.steps)]
    if ragged:
        problems.error(
            f"the size of {span.text} changes with the variable of its range",
            span,
            "give the other labels of the index ranges, too: for s = 1..n, u = 1..k",
        )
    open_steps = [step for step in scope.steps if step.name in dim.names]
    if not open_steps:
        return build.window(node, axis, dim, steps, extents)
    if len(open_steps) > 1:
        problems.unsupported("an index with the variables of two ranges", span)
    (step,) = open_steps
    if node.dtype != "real" and axis != 0:
        problems.unsupported("a range over an axis of integers other than the first", span)
    parts = step.split(dim)
    if parts is None:
        problems.error(f"an index must be a multiple of the variable of its range, found {span.text}", span)
    inner = scope.steps[scope.steps.index(step) :]
    held = {tensor for later in inner for tensor in later.slices}
    if any(tensor in held for tensor in tensors([node])):
        return _picked(node, axis, step.slice(build.delta(node.shape[axis]), 0, parts[0], parts[1], steps, extents))
    return step.slice(node, axis, parts[0], parts[1], steps, extents)


def number(dim: Dim, scope: Scope) -> Node:
    """A whole number as a scalar: a size, or a polynomial that holds variables of open ranges."""
    dim = scope.run.sizes.resolve(dim)
    variables = {step.name: step for step in scope.steps if step.name in dim.names}
    if not variables:
        return build.size(dim)
    terms: list[Node] = []
    for monomial, coefficient in dim.terms:
        factors: list[tuple[Node, tuple[int, ...]]] = []
        for name, power in monomial:
            factor = variables[name].number() if name in variables else build.size(Dim.named(name))
            factors += [(factor, ())] * power
        terms.append(build.einsum(Fraction(coefficient), factors, ()))
    return build.add(terms)


def open_range(first: syntax.Expr, last: syntax.Expr, scope: Scope) -> Step:
    """The range ``first..last`` in either order."""
    low, high = dimension(first, scope), dimension(last, scope)
    span = first.span.join(last.span)
    if any(name.startswith("%") for name in (*low.names, *high.names)):
        return Step(scope.run, lowest(low, scope, span), -lowest(-high, scope, span), Moving(low, high, scope, span))
    backwards = (high - low).constant
    if backwards is not None and backwards < -1:
        low, high = high, low
    elif backwards is None and low.constant is None and high.constant is not None:
        low, high = high, low  # T..1
    return Step(scope.run, low, high)


def lowest(dim: Dim, scope: Scope, span: Span) -> Dim:
    """The least value of ``dim`` over the open ranges of ``scope``, in whose variables it is linear."""
    for step in reversed(scope.steps):
        parts = step.split(dim)
        if parts is None:
            scope.run.problems.error(f"an end of {span.text} is no multiple of the variable of a range", span)
        factor, rest = parts
        if factor:
            dim = rest + factor * (step.first if factor > 0 else step.last)
    return dim


def _picked(node: Node, axis: int, place: Tensor) -> Node:
    """``node`` at the place of ``axis`` that the last dimension of ``place`` is 1 at: where ``node`` itself moves with the range,
    it has no slices that lie ready along it."""
    new, axes = range(place.rank - 1), range(place.rank - 1, place.rank - 1 + node.rank)
    return build.einsum(1, [(place, (*new, axes[axis])), (node, axes)], (*axes[:axis], *new, *axes[axis + 1 :]))
