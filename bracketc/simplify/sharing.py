"""Contractions that differ by the order of their output are computed once."""

from __future__ import annotations

from bracketc.ir.build import permute
from bracketc.ir.nodes import Einsum, Node
from bracketc.ir.rewrite import Roots, map_nodes
from bracketc.simplify.brackets import is_contraction
from bracketc.simplify.traits import symmetric_canonical


def share_transposes(roots: Roots) -> Roots:
    """Write a contraction that is the transpose of an earlier one as that.

    (A_ij B_jk | ik), (A_ij B_jk | ki)  ->  C, (C_ik | ki)
    """
    first: dict[Node, Node] = {}

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if not is_contraction(new) or new.rank != 2:
            return new
        assert isinstance(new, Einsum)
        known = first.get(_transposed(new))
        if known is not None:
            return permute(known, (1, 0))
        first.setdefault(symmetric_canonical(new), new)
        return new

    return map_nodes(roots, visit)[0]


def _transposed(node: Einsum) -> Node:
    """The canonical bracket of the transposed matrix."""
    numbers = {0: 1, 1: 0}
    for _, labels in node.factors:
        for label in labels:
            numbers.setdefault(label, label)
    factors = tuple((factor, tuple(numbers[label] for label in labels)) for factor, labels in node.factors)
    return symmetric_canonical(
        Einsum(node.coefficient, factors, (0, 1), (node.extents[1], node.extents[0], *node.extents[2:]))
    )
