"""Forward rules: the tangent of a node from the tangents of its operands.

A tangent is linear in the tangents that it is made of, so that :mod:`bracketc.calculus.reverse` can transpose it.
``None`` is a zero that was never built. Kinks of reductions: the tangent of a maximum or minimum over axes is the mean
of the tangents of all entries that attain it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bracketc.calculus import elementwise, matrices, recurrences
from bracketc.calculus.elementwise import Tangent
from bracketc.calculus.walk import Origins, no_rule, order
from bracketc.ir.build import (
    add,
    broadcast,
    compare,
    einsum,
    exact,
    is_zero,
    multiply,
    ones,
    overlap,
    permute,
    pointwise,
    product,
    project,
    reciprocal,
    select,
    subtract,
    window,
    zeros,
)
from bracketc.ir.nodes import (
    Add,
    Compare,
    Einsum,
    Gather,
    Linalg,
    Node,
    Overlap,
    Pointwise,
    Project,
    Recurrence,
    Reduce,
    Scatter,
    Select,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.recurrence import recurrence

Given = tuple[Any, ...]
"""Tangents of the operands; that of a recurrence is a tuple with one tangent a result."""


def linearise(
    outputs: Sequence[Node], wrt: Sequence[Node], tangents: Sequence[Tangent], origins: Origins | None = None
) -> tuple[Tangent, ...]:
    """Tangents of ``outputs`` when the nodes ``wrt`` vary by ``tangents`` (of their shapes) and nothing else does.

    The graph is cut at ``wrt``: they may be any nodes, and are not differentiated themselves. Each node gets one
    tangent, so that shared nodes stay shared. A node without a rule raises :class:`~bracketc.errors.UnsupportedError`
    with its place in the source.

        x_i x_i | , wrt x, tangent t   ->   2 x_i t_i |
    """
    known: dict[Node, Any] = dict(zip(wrt, tangents, strict=True))
    for node in order(outputs, known):
        if node in known:
            continue
        given = tuple(known.get(operand) for operand in node.operands)
        if any(tangent is not None for tangent in given):
            rule = jvp_rules.get(type(node))
            if rule is None:
                raise no_rule(node, f"the derivative of {type(node).__name__}", origins or {})
            tangent = rule(node, given, origins or {})
            known[node] = None if isinstance(tangent, Node) and is_zero(tangent) else tangent
    return tuple(known.get(output) for output in outputs)


def _einsum(node: Einsum, given: Given, origins: Origins) -> Tangent:
    """The product rule; equal factors give one term.

    (2 x_i x_i y_j | ij)  ->  (4 x_i dx_i y_j | ij) + (2 x_i x_i dy_j | ij)
    """
    terms = []
    for position, (factor, tangent) in enumerate(zip(node.factors, given, strict=True)):
        if tangent is None or node.factors.index(factor) < position:
            continue
        factors = list(node.factors)
        factors[position] = (tangent, factor[1])
        coefficient = product(exact(node.factors.count(factor)), node.coefficient)
        terms.append(einsum(coefficient, factors, node.output, dict(enumerate(node.extents))))
    return add(terms)


def _add(node: Add, given: Given, origins: Origins) -> Tangent:
    return add(tangent for tangent in given if tangent is not None)


def _pointwise(node: Pointwise, given: Given, origins: Origins) -> Tangent:
    if node.function not in elementwise.DERIVATIVES and node.function not in elementwise.BINARY:
        raise no_rule(node, f"the derivative of {node.function}", origins, elementwise.WITHOUT.get(node.function, ""))
    return elementwise.tangent(node, given)


def _compare(node: Compare, given: Given, origins: Origins) -> Tangent:
    return None


def _select(node: Select, given: Given, origins: Origins) -> Tangent:
    _, yes, no = given
    if yes is None and no is None:
        return None
    zero = zeros(node.shape)
    return select(node.condition, zero if yes is None else yes, zero if no is None else no)


def _reduce(node: Reduce, given: Given, origins: Origins) -> Tangent:
    (tangent,) = given
    labels = range(node.arg.rank)
    kept = [axis for axis in labels if axis not in node.axes]
    if node.operator == "prod":
        return _prod(node, tangent)
    back = broadcast(node, node.arg.shape, kept)
    if node.operator == "logsumexp":  # the weights are a softmax
        weights = pointwise("exp", subtract(node.arg, back))
        return einsum(1, [(weights, labels), (tangent, labels)], kept)
    attained = compare("==", node.arg, back)
    count = einsum(1, [(attained, labels)], kept)
    chosen = select(attained, tangent, zeros(node.arg.shape))
    return einsum(1, [(chosen, labels), (reciprocal(count), kept)], kept)


def _prod(node: Reduce, tangent: Node) -> Tangent:
    """Each tangent times the product of the other entries: the product of those before it times that of those after it.

    Two loops over the axis, so that zeros among the entries do no harm and the rule can be differentiated again.
    """
    *outer, axis = node.axes
    arg = node.arg
    if outer:  # one axis after the other
        inner = Reduce("prod", arg, (axis,))
        return _prod(Reduce("prod", inner, tuple(outer)), _reduce_one(arg, axis, tangent))
    return _reduce_one(arg, axis, tangent)


def _reduce_one(arg: Node, axis: int, tangent: Node) -> Node:
    rest = [k for k in range(arg.rank) if k != axis]
    leading = permute(arg, [axis, *rest])
    shape = leading.shape[1:]
    state, entry = Tensor("%0", shape), Tensor("%1", shape)
    others: list[tuple[Node, Sequence[int]]] = []
    for reverse in (False, True):
        step = (state, ones(shape), multiply(state, entry))
        loop = recurrence(leading.shape[0], [step], [(entry, leading)], [], [state], reverse)
        others.append((project(loop, 1), [axis, *rest]))
    return einsum(1, [*others, (tangent, range(arg.rank))], rest)


def _window(node: Window, given: Given, origins: Origins) -> Tangent:
    return window(given[0], node.axis, node.offset, node.steps, node.extents)


def _overlap(node: Overlap, given: Given, origins: Origins) -> Tangent:
    return overlap(given[0], node.axis, node.offset, node.steps, node.extent)


def _gather(node: Gather, given: Given, origins: Origins) -> Tangent:
    return Gather(given[0], node.index)


def _scatter(node: Scatter, given: Given, origins: Origins) -> Tangent:
    return Scatter(given[0], node.index, node.extent)


def _stack(node: Stack, given: Given, origins: Origins) -> Tangent:
    return Stack(tuple(zeros(node.shape[1:]) if tangent is None else tangent for tangent in given))


def _linalg(node: Linalg, given: Given, origins: Origins) -> Tangent:
    if node.operator not in matrices.TANGENTS:
        raise no_rule(node, f"the derivative of {node.operator}", origins)
    return matrices.TANGENTS[node.operator](node, given)


def _recurrence(node: Recurrence, given: Given, origins: Origins) -> tuple[Tangent, ...]:
    return recurrences.linearise_recurrence(node, given, linearise, origins)


def _project(node: Project, given: Given, origins: Origins) -> Tangent:
    (results,) = given
    tangent: Tangent = results[node.index]
    return tangent


jvp_rules: Mapping[type[Node], Callable[[Any, Given, Origins], Any]] = {
    Einsum: _einsum,
    Add: _add,
    Pointwise: _pointwise,
    Compare: _compare,
    Select: _select,
    Reduce: _reduce,
    Window: _window,
    Overlap: _overlap,
    Gather: _gather,
    Scatter: _scatter,
    Stack: _stack,
    Linalg: _linalg,
    Recurrence: _recurrence,
    Project: _project,
}
"""By node type; a rule is called when at least one operand has a tangent. Element-wise functions: :mod:`.elementwise`;
linear algebra: :mod:`.matrices`; recurrences: :mod:`.recurrences`. Leaves have no operands; ``Derivative`` and
``Differential`` are expanded before."""
