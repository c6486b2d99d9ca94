"""Linear solves and inverses: one matrix is factorised once, solves with the identity are inverses, transposes stand outside."""

from __future__ import annotations

from collections.abc import Hashable

from bracketc.ir.build import einsum, permute
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Delta, Einsum, Linalg, Node
from bracketc.ir.rewrite import Roots, rewrite
from bracketc.simplify.brackets import constant_axes, drop_axes, is_contraction, is_exact_one

_SOLVES = ("solve", "solve_lower", "solve_upper")


def simplify_solves(roots: Roots) -> Roots:
    """Right sides of one matrix together, numbers outside, identities as inverses.

    solve((A_ij | bij), x_bi)  ->  solve(A, x^T)_ib          solve(A, 2 B)  ->  2 solve(A, B)          solve(A, δ)  ->  inv(A)
    inv((A_ji | ij))  ->  (inv(A)_ji | ij)          det((A_ji | ij))  ->  det(A)
    """
    return rewrite(roots, simplify_solve)


def simplify_solve(node: Node) -> Node:
    if not isinstance(node, Linalg):
        return node
    if node.operator in ("inv", "det", "logdet"):
        return _of_transpose(node)
    return _solve(node) if node.operator in _SOLVES else node


def _of_transpose(node: Linalg) -> Node:
    (arg,) = node.args
    if not isinstance(arg, Einsum) or not is_exact_one(arg.coefficient) or len(arg.factors) != 1:
        return node
    ((inner, labels),) = arg.factors
    *rows, first, second = arg.output
    if labels != (*rows, second, first):
        return node
    small = Linalg(node.operator, (inner,))
    return permute(small, [*range(len(rows)), len(rows) + 1, len(rows)]) if node.operator == "inv" else small


def _solve(node: Linalg) -> Node:
    matrix, right = node.args
    if isinstance(right, Einsum) and not is_contraction(right):
        scalars = [factor for factor in right.factors if not factor[1]]
        if scalars or not is_exact_one(right.coefficient):
            wide = [factor for factor in right.factors if factor[1]]
            inner = einsum(1, wide, right.output, dict[Hashable, Dim](enumerate(right.extents)))
            labels = range(node.rank)
            return einsum(right.coefficient, [*scalars, (Linalg(node.operator, (matrix, inner)), labels)], labels)
    if isinstance(right, Delta) and node.operator == "solve":
        return Linalg("inv", (matrix,))
    if node.rank == 3 and right.shape[2].constant == 1 and 0 in constant_axes(matrix):
        columns = einsum(1, [(right, ("b", "i", "one"))], ("i", "b"))
        solved = Linalg(node.operator, (drop_axes(matrix, frozenset((0,))), columns))
        return einsum(1, [(solved, ("i", "b"))], ("b", "i", "one"), {"one": Dim.of(1)})
    return node
