"""Matrices that are positive definite by declaration, or by construction from what is declared.

    X_ki X_kj + s δ_ij                       s > 0
    exp(-Σ_d w_d (Z_id - Z_jd)²) + s δ_ij    w > 0, the kernel of a Gaussian process

The second by I. Schoenberg, Metric spaces and positive definite functions (1938): minus a squared distance is
``f_i + f_j + 2 z_i · z_j``, and the exponential of that, entry by entry, is ``exp(f_i) exp(f_j)`` times a power series of a Gram
matrix with positive coefficients, of which each term is semidefinite (I. Schur, 1911).
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from bracketc.ir.nodes import Add, Delta, Einsum, Labels, Linalg, Node, Pointwise, Tensor
from bracketc.plan.association import flattened
from bracketc.simplify.facts import declared_positive

_DEPTH = 6
"""How far below a node facts are looked for."""

_UNKNOWN, _SEMIDEFINITE, _DEFINITE = range(3)


def definite(matrix: Node) -> bool:
    """Whether a matrix, or each of those in the last two axes, is symmetric and positive definite."""
    return _kind(matrix, _DEPTH) == _DEFINITE


def _kind(node: Node, depth: int) -> int:
    if depth < 0:
        return _UNKNOWN
    match node:
        case Tensor():
            return _DEFINITE if "positive definite" in node.traits else _UNKNOWN
        case Delta():
            return _DEFINITE
        case Linalg() if node.operator == "inv":
            return _DEFINITE if _kind(node.args[0], depth - 1) == _DEFINITE else _UNKNOWN
        case Add() if node.rank >= 2:
            found = [_kind(term, depth - 1) for term in node.terms]
            return max(found) if all(found) else _UNKNOWN
        case Einsum() if node.rank >= 2 and node.coefficient > 0:
            return _product(node, depth)
        case Pointwise() if node.rank >= 2 and node.function == "exp":
            return _SEMIDEFINITE if _conditional(node.args[0], 1, depth - 1) else _UNKNOWN
        case _:
            return _UNKNOWN


def _sides(node: Einsum) -> tuple[list[tuple[Node, Labels]], list[tuple[Node, Labels]]]:
    """The factors that carry the row or the column of the result, and the others."""
    *_, row, column = node.output
    sides = [(factor, labels) for factor, labels in node.factors if row in labels or column in labels]
    return sides, [(factor, labels) for factor, labels in node.factors if not (row in labels or column in labels)]


def _swapped(labels: Labels, output: Labels) -> Labels:
    """``labels`` with the row and the column of ``output`` exchanged."""
    *_, row, column = output
    swap = {row: column, column: row}
    return tuple(swap.get(label, label) for label in labels)


def _product(node: Einsum, depth: int) -> int:
    """Of a product without its sign: a multiple of a definite matrix, several of them entry by entry (Schur), or a Gram matrix,
    ``(w_k A_ki A_kj | ij)`` with w > 0."""
    sides, weights = _sides(node)
    if not all(declared_positive(weight) for weight, _ in weights):
        return _UNKNOWN
    if sides and all(labels == node.output for _, labels in sides) and len(node.extents) == node.rank:
        return min(_kind(matrix, depth - 1) for matrix, _ in sides)
    if len(sides) == 2:
        (first, one), (second, other) = sides
        *_, row, column = node.output
        alike = first is second and _swapped(one, node.output) == other
        return _SEMIDEFINITE if alike and not (row in one and column in one) else _UNKNOWN
    return _UNKNOWN


def _conditional(node: Node, sign: int, depth: int) -> bool:
    """Whether ``sign · node`` is a sum ``f_i + f_j + G_ij`` with a semidefinite G, so that its exponential is semidefinite."""
    if depth < 0 or node.rank < 2:
        return False
    if isinstance(node, Add):
        rest = [term for term in node.terms if _one_sided(term) is None]
        pairs = [found for term in node.terms if (found := _one_sided(term)) is not None]
        mirrored = Counter((c, f, labels) for c, f, labels, _ in pairs) == Counter((c, f, other) for c, f, _, other in pairs)
        return mirrored and all(_conditional(term, sign, depth - 1) for term in rest)
    if not isinstance(node, Einsum):
        return sign > 0 and _kind(node, depth) >= _SEMIDEFINITE
    inner = [factor for factor in dict.fromkeys(node.operands) if isinstance(factor, Einsum)]
    if inner:
        return _conditional(flattened(node, inner), sign, depth - 1)
    sides, weights = _sides(node)
    if not sides:
        return True  # one number in all entries
    sign = sign if node.coefficient > 0 else -sign
    if sign > 0 and _product(node, depth) >= _SEMIDEFINITE:
        return True
    if not all(count % 2 == 0 or declared_positive(weight) for (weight, _), count in Counter(weights).items()):
        return False
    if len(sides) == 1 and sides[0][1] == node.output and len(node.extents) == node.rank:
        return _conditional(sides[0][0], sign, depth - 1) or (sign < 0 and _squared_distance(node, sides))
    return sign < 0 and _squared_distance(node, sides)


def _one_sided(term: Node) -> tuple[Fraction | float, Node, Labels, Labels] | None:
    """Of a term ``f_i`` or ``f_j``: its coefficient and factor, its labels as axes of the term, and those of its mirror image."""
    if not isinstance(term, Einsum) or term.rank < 2 or len(term.factors) != 1:
        return None
    ((factor, labels),) = term.factors
    *_, row, column = term.output
    if (row in labels) == (column in labels) or any(label not in term.output for label in labels):
        return None
    place = {label: axis for axis, label in enumerate(term.output)}
    mirror = _swapped(labels, term.output)
    return term.coefficient, factor, tuple(place[x] for x in labels), tuple(place[x] for x in mirror)


def _squared_distance(node: Einsum, sides: list[tuple[Node, Labels]]) -> bool:
    """Whether the factors with a row or a column are a difference squared: (D_idj D_idj | ij), D_idj = Z_id - Z_jd."""
    if len(sides) == 1 and isinstance(sides[0][0], Pointwise) and sides[0][0].exponent == 2:
        difference, labels = sides[0][0].args[0], sides[0][1]
    elif len(sides) == 2 and sides[0] == sides[1]:
        difference, labels = sides[0]
    else:
        return False
    if not isinstance(difference, Add) or len(difference.terms) != 2:
        return False
    found = []
    for term in difference.terms:
        if not isinstance(term, Einsum) or len(term.factors) != 1:
            return False
        ((factor, own),) = term.factors
        if any(label not in term.output for label in own):
            return False
        found.append((term.coefficient, factor, tuple(labels[term.output.index(label)] for label in own)))
    (one, first, left), (other, second, right) = found
    *_, row, column = node.output
    apart = (row in left) != (column in left)
    return one == -other and first is second and apart and _swapped(left, node.output) == right
