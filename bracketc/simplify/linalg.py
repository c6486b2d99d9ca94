"""Inverses, solutions and determinants: what cancels, what is undone, and determinants in the form that does not overflow.

What becomes of the rest, by which factorisation, is decided in planning (``plan/factors.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from fractions import Fraction

from bracketc.ir.build import delta, einsum, power, scale
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Einsum, Linalg, Node, Pointwise, Tensor
from bracketc.ir.rewrite import Roots, rewrite
from bracketc.simplify.brackets import Factor, bracket, is_exact_one


def cancel_inverses(roots: Roots) -> Roots:
    """A matrix beside its inverse is a delta, beside a solution with it the right-hand side.

    (X_ij X⁻¹_jk B_kl | il)  ->  (δ_ik B_kl | il)          (X_ij solve(X, B)_jk | ik)  ->  B
    """
    return rewrite(roots, cancel_inverse)


def cancel_inverse(node: Node) -> Node:
    if not isinstance(node, Einsum):
        return node
    inverses = {place: inner for place, factor in enumerate(node.operands) if (inner := _inverse(factor)) is not None}
    if not inverses:
        return node
    uses = Counter(label for _, labels in node.factors for label in labels)
    for place, inverse in inverses.items():
        written, outer = node.factors[place]
        for other, (factor, labels) in enumerate(node.factors):
            if factor is inverse.args[0] and factor.rank >= 2 and labels[:-2] == outer[: factor.rank - 2]:
                found = _cancelled(inverse, written, outer[factor.rank - 2 :], labels, node, uses)
                if found is not None:
                    gone, left = found
                    rest: list[Factor] = [f for k, f in enumerate(node.factors) if k not in (place, other)]
                    extents: dict[Hashable, Dim] = {x: e for x, e in enumerate(node.extents) if x != gone}
                    return bracket(node.coefficient, [left, *rest], node.output, extents)
    return node


def _inverse(node: Node) -> Linalg | None:
    """An inverse or a solution, also of one column that is written as a vector."""
    if isinstance(node, Einsum) and len(node.factors) == 1 and is_exact_one(node.coefficient):
        ((inner, labels),) = node.factors
        if labels == tuple(range(len(node.extents))) and len(labels) == node.rank + 1 and node.extents[-1].constant == 1:
            node = inner
    return node if isinstance(node, Linalg) and node.operator in ("inv", "solve") else None


def _cancelled(
    inverse: Linalg, written: Node, outer: tuple[int, ...], labels: tuple[int, ...], node: Einsum, uses: Counter[int]
) -> tuple[int, Factor] | None:
    """The label that a matrix under ``labels`` and its inverse, or a solution, under ``outer`` are summed over, and what is left of
    both."""
    *lead, row, column = labels

    def summed(label: int) -> bool:
        return label >= len(node.output) and uses[label] == 2

    if inverse.operator == "solve":
        if outer[0] == column and summed(column):
            right = inverse.args[1]
            if written is not inverse:
                right = einsum(1, [(right, range(right.rank))], range(right.rank - 1))
            return column, (right, (*lead, row, *outer[1:]))
        return None
    first, second = outer
    if first == column and summed(column):
        return column, (delta(node.extents[row]), (row, second))
    if second == row and summed(row):
        return row, (delta(node.extents[column]), (first, column))
    return None


def undo_inverses(roots: Roots) -> Roots:
    """Inverses of inverses, of multiples, and their determinants.

    inv(inv(X))  ->  X          inv(2 X)  ->  1/2 inv(X)          det(inv(X))  ->  1/det(X)          logdet(inv(X))  ->  -logdet(X)
    """
    return rewrite(roots, undo_inverse)


def undo_inverse(node: Node) -> Node:
    if not isinstance(node, Linalg):
        return node
    matrix = node.args[0]
    if node.operator in ("inv", "solve") and isinstance(matrix, Einsum) and matrix.coefficient not in (1, 0):
        factor = matrix.coefficient
        plain = einsum(1, matrix.factors, matrix.output, dict[Hashable, Dim](enumerate(matrix.extents)))
        inverse = Fraction(1) / factor
        return scale(inverse, Linalg(node.operator, (plain, *node.args[1:])))
    if not isinstance(matrix, Linalg) or matrix.operator != "inv":
        return node
    (inner,) = matrix.args
    match node.operator:
        case "inv":
            return inner
        case "det":
            return power(Linalg("det", (inner,)), -1)
        case "logdet":
            return scale(-1, Linalg("logdet", (inner,)))
        case _:
            return node


def log_determinants(roots: Roots) -> Roots:
    """The logarithm of a determinant, which would over- or underflow before it is taken.

    ln(abs(det(X)))  ->  logdet(X)          ln(det(K))  ->  logdet(K)  for K declared ``positive definite``

    Before differentiation, too: around a positive definite matrix all determinants are positive, whatever entries vary.
    """
    return rewrite(roots, log_determinant)


def log_determinant(node: Node) -> Node:
    if not isinstance(node, Pointwise) or node.function != "ln":
        return node
    inner = node.args[0]
    unsigned = isinstance(inner, Pointwise) and inner.function == "abs"
    found = inner.operands[0] if unsigned else inner
    if not isinstance(found, Linalg) or found.operator != "det":
        return node
    (matrix,) = found.args
    definite = isinstance(matrix, Tensor) and "positive definite" in matrix.traits
    return Linalg("logdet", found.args) if unsigned or definite else node
