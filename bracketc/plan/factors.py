"""How matrices are inverted and solved with: through triangular, Cholesky or LU factors, each made once.

    inv(A) @ b                     ->  solve(A, b)                  wherever the inverse meets a narrower product on one side only
    solve(chol(K), b)              ->  solve_lower(chol(K), b)      so for matrices declared lower or upper
    logdet(K), inv(K)              ->  Σ 2 ln L_ii, cholesky_inv(L)         L = chol(K), for a positive definite K
    det(A), solve(A, b), inv(A^T)  ->  lu_det(F), lu_solve(F, b), lu_inv(F)^T     F = lu(A), for two uses and more

All entries are seen at once, so that what ``forward`` factorises, ``backward`` reads. It happens here rather than in ``simplify/``
because people read what that makes, and because it is a choice of algorithm: n³ enters only through a factorisation, and products
with an explicit inverse take as many operations as solving with factors does, so that an inverse is worth its 4/3 n³ more only
where all of its entries are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from bracketc.ir import build
from bracketc.ir.nodes import Body, Delta, Einsum, Linalg, Node, Recurrence, Reduce, Tensor
from bracketc.ir.rewrite import Roots, map_nodes, topological
from bracketc.plan.association import flattened
from bracketc.plan.definite import definite
from bracketc.plan.hints import Hints
from bracketc.plan.matrices import transposed_of
from bracketc.plan.paths import EXACT_FACTORS, path

CONSUMERS = frozenset(("inv", "solve", "det", "logdet"))
"""Operations that begin by factorising their matrix."""


def factorise(roots: Roots, hints: Hints, lu: bool = True) -> Roots:
    """``roots`` with the operations on each matrix through one factor of it; ``lu`` says whether LU factors may be shared."""
    return _shared(_solving(roots, hints), hints, lu)


# ------------------------------------------------------------------------------------------------- inverses that solve
def _solving(roots: Roots, hints: Hints) -> Roots:
    """Inverses of which no product needs all entries become solutions.

    (A⁻¹_ij B_jk x_k | i)  ->  solve(A, (B_jk x_k | j))
    """
    counts = roots.uses
    users: dict[Node, dict[Node, None]] = {}
    for node in topological(roots.nodes):
        for operand in node.operands:
            users.setdefault(operand, {}).setdefault(node)
    inverses = [n for n in users if isinstance(n, Linalg) and n.operator == "inv"]
    if not inverses:
        return roots
    joined = _chains(inverses, users, counts)
    explicit: set[Node] = {n for n in inverses if n in roots.nodes}
    pending = True
    while pending:  # an inverse that one product needs whole is there for the others as well
        pending = False
        for product in joined.values():
            for _, inverse in _solutions(product, explicit, hints)[1]:
                explicit.add(inverse)
                pending = True
        for inverse in inverses:
            if inverse not in explicit and not all(isinstance(user, Einsum) for user in users[inverse]):
                explicit.add(inverse)
                pending = True
    if len(explicit) == len(inverses):
        return roots
    changed = {n: p for n, p in joined.items() if any(f in inverses and f not in explicit for f in p.operands)}

    return _replaced(roots, {node: _solutions(product, explicit, hints)[0] for node, product in changed.items()})


def _replaced(roots: Roots, start: Mapping[Einsum, Node]) -> Roots:
    """``roots`` with the nodes of ``start`` replaced, also inside of what replaces others."""
    memo: dict[Node, Node] = {}
    for root in roots.nodes:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in memo:
                stack.pop()
                continue
            source = start.get(node, node) if isinstance(node, Einsum) else node
            missing = [operand for operand in source.operands if operand not in memo]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            operands = tuple(memo[operand] for operand in source.operands)
            memo[node] = source if operands == source.operands else source.rebuild(operands)
    origins = dict(roots.origins)
    for old, new in memo.items():
        if old is not new and old in roots.origins:
            origins.setdefault(new, roots.origins[old])
    return Roots(tuple(memo[root] for root in roots.nodes), origins)


def _chains(
    inverses: Iterable[Node], users: Mapping[Node, Mapping[Node, None]], counts: Mapping[Node, int]
) -> dict[Einsum, Einsum]:
    """Products that hold inverses, those that only one other product uses written into that one."""
    inner: dict[Einsum, list[Einsum]] = {}
    pending = [user for inverse in inverses for user in users[inverse] if isinstance(user, Einsum)]
    for product in dict.fromkeys(pending):
        absorbed: list[Einsum] = []
        top = product
        while counts[top] == 1 and len(absorbed) < EXACT_FACTORS:
            user = next(iter(users.get(top, ())), None)
            if not isinstance(user, Einsum) or any(isinstance(f, Delta) for f in (*user.operands, *top.operands)):
                break
            absorbed.append(top)
            top = user
        inner.setdefault(top, []).extend(part for part in absorbed if part not in inner.get(top, ()))
    return {top: flattened(top, parts) if parts else top for top, parts in inner.items()}


def _solutions(product: Einsum, explicit: Iterable[Node], hints: Hints) -> tuple[Node, list[tuple[Einsum, Node]]]:
    """``product`` with solutions for its inverses, and the inverses for which that cannot be done."""
    failed: list[tuple[Einsum, Node]] = []
    current: Node = product
    while isinstance(current, Einsum):
        place = next(
            (
                k
                for k, (factor, _) in enumerate(current.factors)
                if isinstance(factor, Linalg)
                and factor.operator == "inv"
                and factor not in explicit
                and factor not in (f for _, f in failed)
            ),
            None,
        )
        if place is None:
            break
        met = _meeting(current, place, hints)
        if met is None:
            failed.append((current, current.operands[place]))
            continue
        right: Node = _right(current, met)
        if isinstance(right, Einsum):
            right, inner = _solutions(right, explicit, hints)
            failed += inner
        current = _with_solution(current, place, met, right)
    return current, failed


@dataclass(frozen=True, slots=True)
class _Meeting:
    """An inverse meets the product of the factors ``others``, over its label ``gone``; ``kept`` is the other one and ``rest`` are
    those of the product that are needed later."""

    others: tuple[int, ...]
    lead: tuple[int, ...]
    gone: int
    kept: int
    rest: tuple[int, ...]
    transposed: bool


def _meeting(product: Einsum, place: int, hints: Hints) -> _Meeting | None:
    """What the inverse at ``place`` is multiplied by in the planned order, where that carries one of its labels, alone."""
    inverse, labels = product.factors[place]
    assert isinstance(inverse, Linalg)
    *lead, row, column = labels
    if len(set(labels)) < len(labels) or any(isinstance(f, Delta) for f in product.operands):
        return None
    sets = [tuple(dict.fromkeys(own)) for _, own in product.factors]
    used = [k for k, own in enumerate(sets) if own]
    sizes = tuple(hints.of(extent) for extent in product.extents)
    output = tuple(label for label in product.output if any(label in sets[k] for k in used))
    groups: list[tuple[int, ...]] = [(k,) for k in used]
    carried = [set(sets[k]) for k in used]
    for i, j in path(tuple(sets[k] for k in used), output, sizes):
        right, left = groups.pop(j), groups.pop(i)
        right_labels, left_labels = carried.pop(j), carried.pop(i)
        needed = set(output).union(*carried) if carried else set(output)
        if place in (*left, *right):
            others, meets = (right, right_labels) if place in left else (left, left_labels)
            for gone, kept, transposed in ((column, row, False), (row, column, True)):
                if gone in meets and kept not in meets and gone not in needed and meets.issuperset(lead):
                    rest = tuple(x for x in product_labels(product, others) if x in needed and x not in (gone, *lead))
                    return _Meeting(others, tuple(lead), gone, kept, rest, transposed)
            return None
        groups.append((*left, *right))
        carried.append((left_labels | right_labels) & needed.union(*carried))
    return None


def product_labels(product: Einsum, places: Iterable[int]) -> tuple[int, ...]:
    """Labels of some factors, in order of appearance."""
    return tuple(dict.fromkeys(label for k in places for label in product.factors[k][1]))


def _right(product: Einsum, met: _Meeting) -> Node:
    """The product that is solved with."""
    extents = {label: product.extents[label] for label in product_labels(product, met.others)}
    return build.einsum(1, [product.factors[k] for k in met.others], (*met.lead, met.gone, *met.rest), extents)


def _with_solution(product: Einsum, place: int, met: _Meeting, right: Node) -> Node:
    """``product`` in which ``right`` is solved with instead of being multiplied by the inverse at ``place``."""
    inverse = product.operands[place]
    assert isinstance(inverse, Linalg)
    matrix = swapped(inverse.args[0]) if met.transposed else inverse.args[0]
    outside = [factor for k, factor in enumerate(product.factors) if k != place and k not in met.others]
    carried = (*met.lead, met.kept, *met.rest)
    left = {label for _, own in outside for label in own}.union(product.output, carried)
    extents = {label: extent for label, extent in enumerate(product.extents) if label in left}
    factors = [(Linalg("solve", (matrix, right)), carried), *outside]
    return build.einsum(product.coefficient, factors, product.output, extents)


def swapped(matrix: Node) -> Node:
    """The matrices in the last two axes, transposed."""
    *lead, row, column = range(matrix.rank)
    return build.permute(matrix, [*lead, column, row])


# ------------------------------------------------------------------------------------------------- one factor a matrix
@dataclass(frozen=True, slots=True)
class _Matrix:
    """The matrix of an operation, without the transposition that it may be under."""

    node: Node
    swapped: bool


def _matrix(node: Linalg) -> _Matrix:
    matrix = node.args[0]
    inner = transposed_of(matrix)
    return _Matrix(matrix, False) if inner is None else _Matrix(inner, True)


def _shared(roots: Roots, hints: Hints, lu: bool) -> Roots:
    uses: dict[Node, int] = {}
    for node in topological(roots.nodes):
        if isinstance(node, Linalg) and node.operator in CONSUMERS:
            matrix = _matrix(node).node
            uses[matrix] = uses.get(matrix, 0) + 1

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if isinstance(new, Recurrence):
            results = factorise(Roots(new.body.results), hints, lu).nodes
            if results != new.body.results:
                body = Body(new.body.parameters, results)
                new = Recurrence(body, new.length, new.carries, new.xs, new.consts, new.reverse)
        if isinstance(new, Einsum):
            return _straight(new)
        if not isinstance(node, Linalg) or node.operator not in CONSUMERS:
            return new
        assert isinstance(new, Linalg)
        matrix = _matrix(new)
        triangle = triangular(matrix.node)
        if triangle:
            return _with_triangle(new, "upper" if (triangle == "upper") != matrix.swapped else "lower")
        if definite(matrix.node):
            return _with_cholesky(new, Linalg("cholesky", (matrix.node,)))
        if lu and uses[_matrix(node).node] > 1:
            return _with_lu(new, Linalg("lu", (matrix.node,)), matrix.swapped)
        return new

    return map_nodes(roots, visit)[0]


def through_inverses(roots: Roots) -> Roots:
    """Solutions with a matrix whose inverse is computed anyway become products with that, where no factor can be shared.

    solve(A, b), inv(A^T)  ->  (A⁻¹_ij b_j | i), A⁻¹_ji
    """
    inverted = {_matrix(n).node for n in topological(roots.nodes) if isinstance(n, Linalg) and n.operator == "inv"}
    if not inverted:
        return roots

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if not isinstance(node, Linalg) or node.operator not in ("inv", "solve") or _matrix(node).node not in inverted:
            return new
        assert isinstance(new, Linalg)
        matrix = _matrix(new)
        inverse: Node = Linalg("inv", (matrix.node,))
        if new.operator == "inv":
            return swapped(inverse) if matrix.swapped else inverse
        right = new.args[1]
        *lead, gone = range(matrix.node.rank - 1)
        kept, rest = right.rank, range(matrix.node.rank - 1, right.rank)
        sides = (gone, kept) if matrix.swapped else (kept, gone)
        return build.einsum(1, [(inverse, (*lead, *sides)), (right, (*lead, gone, *rest))], (*lead, kept, *rest))

    return map_nodes(roots, visit)[0]


def _straight(node: Einsum) -> Node:
    """``node`` with inverses of positive definite matrices, which are symmetric, read along memory.

    (K⁻¹_ji | ij)  ->  K⁻¹
    """
    place = {label: axis for axis, label in enumerate(node.output)}
    factors = []
    for factor, labels in node.factors:
        own = labels
        if isinstance(factor, Linalg) and factor.operator == "cholesky_inv" and labels[-1] in place and labels[-2] in place:
            own = (*labels[:-2], *sorted(labels[-2:], key=place.__getitem__))
        factors.append((factor, own))
    if tuple(factors) == node.factors:
        return node
    return build.einsum(node.coefficient, factors, node.output, dict(enumerate(node.extents)))


def triangular(matrix: Node) -> str:
    """``"lower"`` or ``"upper"`` where a matrix is a triangle by construction or declaration, else ``""``."""
    if isinstance(matrix, Linalg) and matrix.operator == "cholesky":
        return "lower"
    if isinstance(matrix, Tensor):
        return next((trait for trait in ("lower", "upper") if trait in matrix.traits), "")
    return ""


def _diagonal(matrix: Node) -> Node:
    lead = range(matrix.rank - 2)
    return build.einsum(1, [(matrix, (*lead, "i", "i"))], (*lead, "i"))


def _log_sum(diagonal: Node, coefficient: int) -> Node:
    labels = tuple(range(diagonal.rank))
    return build.einsum(coefficient, [(build.pointwise("ln", diagonal), labels)], labels[:-1])


def _with_triangle(node: Linalg, side: str) -> Node:
    matrix = node.args[0]
    match node.operator:
        case "solve":
            return Linalg(f"solve_{side}", node.args)
        case "inv":
            axes = tuple(range(matrix.rank))
            one = build.einsum(1, [(build.delta(matrix.shape[-1]), axes[-2:])], axes, dict(enumerate(matrix.shape)))
            return Linalg(f"solve_{side}", (matrix, one))
        case "det":
            return Reduce("prod", _diagonal(matrix), (matrix.rank - 2,))
        case _:
            return _log_sum(build.pointwise("abs", _diagonal(matrix)), 1)


def _with_cholesky(node: Linalg, factor: Linalg) -> Node:
    """Through the Cholesky factor of the (symmetric) matrix."""
    match node.operator:
        case "solve":
            return Linalg("cholesky_solve", (factor, node.args[1]))
        case "inv":
            return Linalg("cholesky_inv", (factor,))
        case "det":
            root = Reduce("prod", _diagonal(factor), (factor.rank - 2,))
            return build.power(root, Fraction(2))
        case _:
            return _log_sum(_diagonal(factor), 2)


def _with_lu(node: Linalg, factor: Linalg, transposed: bool) -> Node:
    """Through the LU factors of the matrix, or of its transpose."""
    match node.operator:
        case "solve":
            return Linalg("lu_solve_transposed" if transposed else "lu_solve", (factor, node.args[1]))
        case "inv":
            inverse = Linalg("lu_inv", (factor,))
            return swapped(inverse) if transposed else inverse
        case _:
            return Linalg(f"lu_{node.operator}", (factor,))
