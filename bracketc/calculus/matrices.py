"""Differentials of inverse, solve, Cholesky factor and determinants, over matrices in the last two axes.

Formulas: M. Giles, *Collected matrix derivative results for forward and reverse mode algorithmic differentiation*
(2008), sections 2.2 and 2.3; the Cholesky factor after I. Murray, *Differentiation of the Cholesky decomposition*
(2016), equation 8.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from bracketc.calculus.elementwise import Tangent
from bracketc.ir.build import add, broadcast, einsum, multiply, permute, pointwise, scale, subtract
from bracketc.ir.nodes import Delta, Linalg, Node, Range


def transposed(node: Node) -> Node:
    """The matrices in the last two axes, transposed."""
    order = list(range(node.rank))
    return permute(node, [*order[:-2], order[-1], order[-2]])


def matmul(left: Node, right: Node, coefficient: int = 1) -> Node:
    """Matrix product in the last two axes; leading axes that only one side has are aligned to the right.

    (A_zij B_zjk | zik)
    """
    lead = list(range(max(left.rank, right.rank) - 2))

    def labels(node: Node, *own: str) -> list[object]:
        return [*lead[len(lead) - (node.rank - 2) :], *own]

    return einsum(coefficient, [(left, labels(left, "i", "j")), (right, labels(right, "j", "k"))], [*lead, "i", "k"])


def trace_product(left: Node, right: Node, *weights: Node) -> Node:
    """tr(A B), batched, times weights of the batch's shape.

    (w_z A_zij B_zji | z)
    """
    lead = list(range(left.rank - 2))
    factors = [(weight, lead) for weight in weights]
    return einsum(1, [*factors, (left, [*lead, "i", "j"]), (right, [*lead, "j", "i"])], lead)


def _inv(node: Linalg, tangents: tuple[Tangent, ...]) -> Tangent:
    """d(A⁻¹) = -A⁻¹ dA A⁻¹."""
    (given,) = tangents
    assert given is not None
    return matmul(matmul(node, given), node, -1)


def _solve(node: Linalg, tangents: tuple[Tangent, ...]) -> Tangent:
    """d(A⁻¹ B) = A⁻¹ (dB - dA X) with X = A⁻¹ B; a triangular solve reads one triangle of A, and of dA."""
    matrix, right = tangents
    terms = [] if right is None else [right]
    if matrix is not None:
        if node.operator != "solve":
            matrix = _triangle(matrix, Fraction(1), lower=node.operator == "solve_lower")
        terms.append(matmul(matrix, node, -1))
    return Linalg(node.operator, (node.args[0], add(terms)))


def _triangle(node: Node, diagonal: Fraction, *, lower: bool) -> Node:
    """The matrices of ``node`` with zeros on one side of the diagonal, and ``diagonal`` times what stands on it."""
    extent = node.shape[-1]
    rows, columns = (broadcast(Range(extent), (extent, extent), (axis,)) for axis in (0, 1))
    below = subtract(rows, columns) if lower else subtract(columns, rows)
    mask = add([pointwise("step", below), scale(diagonal, Delta(extent))])
    return multiply(node, broadcast(mask, node.shape, (node.rank - 2, node.rank - 1)))


def _cholesky(node: Linalg, tangents: tuple[Tangent, ...]) -> Tangent:
    """dL = L Φ(L⁻¹ dA L⁻ᵀ), where Φ keeps the lower triangle and half of the diagonal; dA symmetric as A is."""
    (given,) = tangents
    assert given is not None
    half = Linalg("solve_lower", (node, given))
    both = transposed(Linalg("solve_lower", (node, transposed(half))))
    return matmul(node, _triangle(both, Fraction(1, 2), lower=True))


def _logdet(node: Linalg, tangents: tuple[Tangent, ...]) -> Tangent:
    """d log|det A| = tr(A⁻¹ dA)."""
    (given,) = tangents
    assert given is not None
    return trace_product(Linalg("inv", node.args), given)


def _det(node: Linalg, tangents: tuple[Tangent, ...]) -> Tangent:
    """d det A = det A tr(A⁻¹ dA), for regular A."""
    (given,) = tangents
    assert given is not None
    return trace_product(Linalg("inv", node.args), given, node)


TANGENTS: dict[str, Callable[[Linalg, tuple[Tangent, ...]], Tangent]] = {
    "inv": _inv,
    "solve": _solve,
    "solve_lower": _solve,
    "solve_upper": _solve,
    "cholesky": _cholesky,
    "det": _det,
    "logdet": _logdet,
}

ADJOINT_SOLVE = {"solve": "solve", "solve_lower": "solve_upper", "solve_upper": "solve_lower"}
"""The solve with the transposed matrix."""
