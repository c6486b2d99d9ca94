"""Linear solves and inverses: one matrix is factorised once, solves with the identity are inverses, transposes stand outside."""

from __future__ import annotations

from collections.abc import Hashable

from bracketc.ir.build import broadcast, einsum, permute
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


def _narrowed(node: Linalg, right: Einsum) -> Node | None:
    """The solution for what of the right side has the row label: all else stands outside, and is not solved for.

    solve((A_kij | kbij), (δ_kb B_bi C_bc | kbic))  ->  (δ_kb C_bc solve(A, B)_ki | kbic)
    """
    matrix, last = node.args[0], node.rank - 1
    row = right.output[last - 1]
    constant = constant_axes(matrix) & set(range(last - 1))
    batch = [right.output[axis] for axis in range(last - 1) if axis not in constant]
    outside = [factor for factor in right.factors if row not in factor[1]]
    deltas = [own for factor, own in outside if isinstance(factor, Delta)]
    same = {first: second for own in deltas for first, second in (own, own[::-1])}
    tied = {label: other for label, other in same.items() if label not in batch and other in batch}
    inside = [(factor, tuple(tied.get(label, label) for label in own)) for factor, own in right.factors if row in own]
    held = {label for _, own in inside for label in own}
    columns = [label for label in right.output if label in held and label != row and label not in batch]
    spread = [label for label in right.output if label not in held and label != row and label not in batch]
    if not outside and all(right.extents[label].constant == 1 for label in spread):
        return None
    extents: dict[Hashable, Dim] = dict(enumerate(right.extents))
    small = drop_axes(matrix, constant) if constant else matrix
    axes: tuple[Hashable, ...] = (*batch, *columns[:-1], row, columns[-1] if columns else "one")
    extents["one"] = Dim.of(1)
    if node.operator == "solve" and len(columns) == len(inside) == 1 and isinstance(inside[0][0], Delta):
        solved: Node = Linalg("inv", (small,))
    else:
        wide = tuple(extents[label] for label in (*axes[:-2], row, row))
        small = broadcast(small, wide, [*range(len(batch)), len(wide) - 2, len(wide) - 1])
        solved = Linalg(node.operator, (small, einsum(1, inside, axes, {label: extents[label] for label in axes})))
    every = {label: extents[label] for label in (*right.output, *axes)}
    return einsum(1, [*outside, (solved, axes)], right.output, every)


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
        narrow = _narrowed(node, right)
        if narrow is not None:
            return narrow
    if isinstance(right, Delta) and node.operator == "solve":
        return Linalg("inv", (matrix,))
    if node.rank == 3 and right.shape[2].constant == 1 and 0 in constant_axes(matrix):
        columns = einsum(1, [(right, ("b", "i", "one"))], ("i", "b"))
        solved = Linalg(node.operator, (drop_axes(matrix, frozenset((0,))), columns))
        return einsum(1, [(solved, ("i", "b"))], ("b", "i", "one"), {"one": Dim.of(1)})
    return node
