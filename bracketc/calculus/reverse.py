"""Transposition: the cotangents of the inputs of a linear graph from those of its outputs.

Each node's cotangent is the sum of what its uses contribute, built once, in the reverse order of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from bracketc.calculus import matrices, recurrences
from bracketc.calculus.elementwise import Tangent
from bracketc.calculus.walk import Origins, no_rule, order
from bracketc.ir.build import add, einsum, entry, is_zero, overlap, select, window, zeros
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Delta,
    Einsum,
    Gather,
    Linalg,
    Node,
    Number,
    Overlap,
    Project,
    Recurrence,
    Scatter,
    Select,
    Shape,
    Size,
    Stack,
    Window,
)
from bracketc.ir.rewrite import depends_on

Flags = tuple[bool, ...]
"""Which operands depend on the inputs."""


def transpose(
    outputs: Sequence[Tangent],
    inputs: Sequence[Node],
    cotangents: Sequence[Tangent],
    origins: Origins | None = None,
) -> tuple[Tangent, ...]:
    """Cotangents of ``inputs`` (leaves), of which ``outputs`` are linear functions, from cotangents of ``outputs``.

    outputs A_ij t_j | i, inputs t, cotangents c   ->   A_ij c_i | j
    """
    used = [(node, c) for node, c in zip(outputs, cotangents, strict=True) if node is not None and c is not None]
    roots = [node for node, _ in used]
    linear = depends_on(roots, inputs)
    sources = set(inputs)
    given: dict[Node, list[Node]] = {}
    projected: dict[Node, dict[int, list[Node]]] = {}
    for node, cotangent in used:
        given.setdefault(node, []).append(cotangent)
    for node in reversed(order(roots, sources)):
        if node not in linear or node in sources:
            continue
        whole: Any
        if isinstance(node, Recurrence):
            parts = projected.get(node, {})
            whole = tuple(gather(parts[k]) if k in parts else None for k in range(len(node.shapes)))
        elif node in given:
            whole = gather(given.pop(node))
        else:
            continue
        if isinstance(node, Project):
            projected.setdefault(node.arg, {}).setdefault(node.index, []).append(whole)
            continue
        rule = transpose_rules.get(type(node))
        if rule is None:
            raise no_rule(node, f"the transpose of {type(node).__name__}", origins or {})
        flags = tuple(operand in linear for operand in node.operands)
        for operand, part in zip(node.operands, rule(node, flags, whole, origins or {}), strict=True):
            if part is not None and not is_zero(part):
                given.setdefault(operand, []).append(part)
    return tuple(gather(given[node]) if node in given else None for node in inputs)


def gather(contributions: Sequence[Node]) -> Node:
    """The sum of contributions; those that one condition masks stay under one ``where``.

    where(c, a, 0) + where(c, 0, b)  ->  where(c, a, b)
    """
    if len(contributions) == 1:
        return contributions[0]
    terms: list[Node] = []
    masked: dict[Node, list[Select]] = {}
    for node in contributions:
        if isinstance(node, Select) and (is_zero(node.yes) or is_zero(node.no)):
            masked.setdefault(node.condition, []).append(node)
        else:
            terms.append(node)
    for condition, parts in masked.items():
        terms.append(select(condition, add(part.yes for part in parts), add(part.no for part in parts)))
    return add(terms)


def _einsum(node: Einsum, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    """The cotangent takes the place of the one linear factor; a diagonal comes back as a delta.

    (A_ij t_jj | i)  ->  (A_ij c_i δ_jk | jk)
    """
    if sum(linear) != 1:
        raise no_rule(node, "the transpose of a bracket with several linear factors", origins)
    position = linear.index(True)
    rest: list[tuple[Node, Sequence[Hashable]]] = [f for k, f in enumerate(node.factors) if k != position]
    target: list[Hashable] = []
    deltas: list[tuple[Node, Sequence[Hashable]]] = []
    for axis, label in enumerate(node.factors[position][1]):
        if label in target:
            target.append(("copy", axis))
            deltas.append((Delta(node.extents[label]), (label, ("copy", axis))))
        else:
            target.append(label)
    part = _weigh(node.coefficient, cotangent, node.output, rest, deltas, target, node.extents)
    return tuple(part if flag else None for flag in linear)


def _weigh(
    coefficient: Number,
    cotangent: Node,
    own: tuple[int, ...],
    rest: Sequence[tuple[Node, Sequence[Hashable]]],
    deltas: Sequence[tuple[Node, Sequence[Hashable]]],
    target: Sequence[Hashable],
    extents: Shape,
) -> Node:
    """The bracket of a cotangent with other factors; a masked cotangent stays masked when they are element-wise.

    Otherwise the branch that was not taken would come in as 0 times an infinite derivative.

        c_i = where(m, g, 0)_i,  (c_i w_i | )   ->   (where(m, g w, 0)_i | )
    """
    sizes: dict[Hashable, Dim] = dict(enumerate(extents))
    weights = [labels for node, labels in rest if not isinstance(node, Size)]
    elementwise = all(label in own for labels in weights for label in labels)
    if not weights:  # a sum or another order alone: nothing infinite can come in
        elementwise = tuple(target) == own
    if elementwise and _is_masked(cotangent):
        assert isinstance(cotangent, Select)
        yes, no = (
            branch if is_zero(branch) else einsum(coefficient, [(branch, own), *rest], own, sizes)
            for branch in (cotangent.yes, cotangent.no)
        )
        return einsum(1, [(select(cotangent.condition, yes, no), own), *deltas], target, sizes)
    if elementwise and isinstance(cotangent, Add) and any(_is_masked(term) for term in cotangent.terms):
        terms = (_weigh(coefficient, term, own, rest, deltas, target, extents) for term in cotangent.terms)
        return gather(tuple(terms))
    return einsum(coefficient, [(cotangent, own), *rest, *deltas], target, sizes)


def _is_masked(node: Node) -> bool:
    return isinstance(node, Select) and (is_zero(node.yes) or is_zero(node.no))


def _add(node: Add, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    return tuple(cotangent if flag else None for flag in linear)


def _select(node: Select, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    zero = zeros(node.shape)
    yes = select(node.condition, cotangent, zero) if linear[1] else None
    no = select(node.condition, zero, cotangent) if linear[2] else None
    return None, yes, no


def _window(node: Window, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    return (overlap(cotangent, node.axis, node.offset, node.steps, node.arg.shape[node.axis]),)


def _overlap(node: Overlap, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    extents = node.arg.shape[node.axis : node.axis + len(node.steps)]
    return (window(cotangent, node.axis, node.offset, node.steps, extents),)


def _gather(node: Gather, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    return Scatter(cotangent, node.index, node.arg.shape[0]), None


def _scatter(node: Scatter, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    return Gather(cotangent, node.index), None


def _stack(node: Stack, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    return tuple(entry(cotangent, 0, k) if flag else None for k, flag in enumerate(linear))


def _linalg(node: Linalg, linear: Flags, cotangent: Node, origins: Origins) -> tuple[Tangent, ...]:
    """A solve is linear in its right-hand side: the solve with the transposed matrix (Giles 2008, 2.3.1)."""
    if node.operator not in matrices.ADJOINT_SOLVE or linear != (False, True):
        raise no_rule(node, f"the transpose of {node.operator}", origins)
    matrix = matrices.transposed(node.args[0])
    return None, Linalg(matrices.ADJOINT_SOLVE[node.operator], (matrix, cotangent))


def _recurrence(
    node: Recurrence, linear: Flags, cotangents: tuple[Tangent, ...], origins: Origins
) -> tuple[Tangent, ...]:
    return recurrences.transpose_recurrence(node, linear, cotangents, transpose, origins)


transpose_rules: Mapping[type[Node], Callable[[Any, Flags, Any, Origins], tuple[Tangent, ...]]] = {
    Einsum: _einsum,
    Add: _add,
    Select: _select,
    Window: _window,
    Overlap: _overlap,
    Gather: _gather,
    Scatter: _scatter,
    Stack: _stack,
    Linalg: _linalg,
    Recurrence: _recurrence,
}
"""By node type, for nodes that are linear in the flagged operands; gives one contribution an operand. Other kinds never
stand in what :func:`~bracketc.calculus.forward.linearise` makes."""
