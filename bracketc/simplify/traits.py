"""Rewrites that hold only under the traits of arguments.

They come after differentiation, which treats every entry as free: with Σ_k Y_nk = 1 put in before, the gradient with
respect to Y would be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from bracketc.ir.build import delta, ones
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Delta, Einsum, Gather, Node, Pointwise, Tensor, Window
from bracketc.ir.rewrite import Roots, rewrite
from bracketc.simplify.brackets import Factor, bracket, with_factors
from bracketc.simplify.canonical import canonical_bracket, declared_symmetry
from bracketc.simplify.facts import declared_above_zero, declared_nonzero, declared_positive
from bracketc.simplify.powers import merge_power, simplify_power


def sum_rows(roots: Roots) -> Roots:
    """Rows that sum to one, under ``onehot rows`` and ``stochastic rows``: a sum over their label alone is 1.

    (Y_nk Z_nm | nm)  ->  (Z_nm | nm)
    """
    return rewrite(roots, sum_row)


def sum_row(node: Node) -> Node:
    if not isinstance(node, Einsum):
        return node
    uses = _label_uses(node)
    factors: list[Factor] = []
    extents: dict[Hashable, Dim] = dict(enumerate(node.extents))
    for factor, labels in node.factors:
        if labels and labels[-1] >= len(node.output) and uses[labels[-1]] == 1 and has_unit_rows(factor):
            del extents[labels[-1]]
        else:
            factors.append((factor, labels))
    if len(extents) == len(node.extents):
        return node
    return bracket(node.coefficient, factors, node.output, extents)


def has_unit_rows(node: Node) -> bool:
    """Whether every row (last axis) sums to one: a tensor declared so, or some of its rows."""
    while isinstance(node, Window | Gather):
        if isinstance(node, Window) and node.axis >= node.arg.rank - 1:
            return False
        if isinstance(node, Gather) and node.arg.rank < 2:
            return False
        node = node.arg
    return isinstance(node, Tensor) and any(trait in node.traits for trait in ("onehot rows", "stochastic rows"))


def _label_uses(node: Einsum) -> Counter[int]:
    return Counter(label for _, labels in node.factors for label in labels)


def use_diagonals(roots: Roots) -> Roots:
    """A matrix declared ``diagonal`` is its diagonal times a delta.

    (A_ij B_jk | ik)  ->  (A_ii B_ik | ik)
    """
    return rewrite(roots, use_diagonal)


def use_diagonal(node: Node) -> Node:
    if not isinstance(node, Einsum):
        return node
    factors: list[Factor] = []
    for factor, labels in node.factors:
        if isinstance(factor, Tensor) and "diagonal" in factor.traits and factor.rank == 2 and labels[0] != labels[1]:
            factors += [(factor, (labels[0], labels[0])), (delta(factor.shape[0]), labels)]
        else:
            factors.append((factor, labels))
    return node if len(factors) == len(node.factors) else with_factors(node, factors)


def use_orthogonality(roots: Roots) -> Roots:
    """A matrix declared ``orthogonal`` times its transpose is a delta.

    (Q_ij Q_kj x_k | i)  ->  (δ_ik x_k | i)
    """
    return rewrite(roots, use_orthogonal)


def use_orthogonal(node: Node) -> Node:
    if not isinstance(node, Einsum):
        return node
    uses = _label_uses(node)
    declared = [
        (place, factor, labels)
        for place, (factor, labels) in enumerate(node.factors)
        if isinstance(factor, Tensor) and "orthogonal" in factor.traits and factor.rank == 2
    ]
    for k, (place, factor, labels) in enumerate(declared):
        for other_place, other, other_labels in declared[k + 1 :]:
            for axis in (0, 1):
                label = labels[axis]
                if factor is other and other_labels[axis] == label >= len(node.output) and uses[label] == 2:
                    pair: tuple[Hashable, ...] = (labels[1 - axis], other_labels[1 - axis])
                    rest: list[Factor] = [f for p, f in enumerate(node.factors) if p not in (place, other_place)]
                    extents: dict[Hashable, Dim] = {x: e for x, e in enumerate(node.extents) if x != label}
                    return bracket(node.coefficient, [(Delta(factor.shape[0]), pair), *rest], node.output, extents)
    return node


def use_signs(roots: Roots) -> Roots:
    """Element-wise functions of what is positive, by its trait or by construction.

    exp(ln(x))  ->  x          abs(x)  ->  x          relu(x)  ->  x          sign(x)  ->  𝟏          step(x)  ->  𝟏
    """
    return rewrite(roots, use_sign)


def use_sign(node: Node) -> Node:
    if not isinstance(node, Pointwise):
        return node
    (arg, *_) = node.args
    if node.function in ("abs", "relu") and declared_positive(arg):
        return arg
    if node.function in ("sign", "step") and declared_above_zero(arg):
        return ones(node.shape)
    if (
        node.function == "exp"
        and isinstance(arg, Pointwise)
        and arg.function == "ln"
        and declared_positive(arg.args[0])
    ):
        return arg.args[0]
    return node


def declared_powers(roots: Roots) -> Roots:
    """Powers of what is declared ``positive`` or ``nonzero``.

    (x_i x_i**-1 | i)  ->  𝟏          (x**2)**(1/2)  ->  x
    """
    return rewrite(roots, lambda node: declared_power(declared_product(node)))


def declared_power(node: Node) -> Node:
    return simplify_power(node, declared_positive)


def declared_product(node: Node) -> Node:
    return merge_power(node, declared_nonzero)


def canonical_under_symmetry(roots: Roots) -> Roots:
    """Canonical form in which matrices declared ``symmetric`` may swap their labels.

    (S_ji x_j | i)  ->  (S_ij x_j | i)
    """
    return rewrite(roots, symmetric_canonical)


def symmetric_canonical(node: Node) -> Node:
    return canonical_bracket(node, declared_symmetry)
