"""Kronecker deltas: contracted where they can be, else kept in front as structure.

A delta between two output labels stays, and the other factors carry the first of the two labels only, so that what uses
the bracket inlines it and the delta meets a sum later on.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction

from bracketc.ir.build import add, einsum
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Add, Delta, Einsum, Labels, Node
from bracketc.ir.rewrite import Roots, map_nodes, rewrite
from bracketc.simplify.brackets import Factor, bracket, is_contraction, with_factors


def eliminate_deltas(roots: Roots) -> Roots:
    """Contract every delta that carries a summed label, and drop the trace of labels that are equal already.

    (δ_ij A_jk | ik)  ->  (A_ik | ik)          (δ_ii | )  ->  (I | )          (δ_ij A_jk | ijk)  ->  (δ_ij A_ik | ijk)
    """
    return rewrite(roots, eliminate_delta)


def eliminate_delta(node: Node) -> Node:
    if not isinstance(node, Einsum):
        return node
    for place, (factor, (*labels,)) in enumerate(node.factors):
        if not isinstance(factor, Delta):
            continue
        first, second = sorted(labels)  # output labels come first, in order
        others = [other for k, other in enumerate(node.factors) if k != place]
        extents: dict[Hashable, Dim] = dict(enumerate(node.extents))
        if first == second:
            return bracket(node.coefficient, others, node.output, extents)
        if second >= len(node.output):
            del extents[second]
            return bracket(node.coefficient, _renamed(others, second, first), node.output, extents)
        if any(second in own for _, own in others):
            factors = [(factor, (first, second)), *_renamed(others, second, first)]
            return bracket(node.coefficient, factors, node.output, extents)
    return node


def _renamed(factors: list[tuple[Node, Labels]], old: int, new: int) -> list[tuple[Node, tuple[Hashable, ...]]]:
    return [(node, tuple(new if label == old else label for label in labels)) for node, labels in factors]


def split_deltas(roots: Roots) -> Roots:
    """Take deltas that stay out of a contraction: what is left is smaller, and whatever uses it sees the structure.

    (δ_ij A_ik B_kl | ijl)  ->  (δ_ij (A_ik B_kl | il)_il | ijl)
    """
    return rewrite(roots, split_delta)


def split_delta(node: Node) -> Node:
    if not isinstance(node, Einsum) or not is_contraction(node):
        return node
    outside = [(f, labels) for f, labels in node.factors if isinstance(f, Delta) and max(labels) < len(node.output)]
    if not outside:
        return node
    inside = [factor for factor in node.factors if factor not in outside]
    carried = {label for _, labels in inside for label in labels}
    output = tuple(label for label in node.output if label in carried)
    core = bracket(Fraction(1), inside, output, {label: node.extents[label] for label in sorted(carried)})
    return einsum(node.coefficient, [*outside, (core, output)], node.output, dict(enumerate(node.extents)))


def distribute_deltas(roots: Roots) -> Roots:
    """Contract a sum, used once, that holds a delta term by term, so that the delta meets the contraction.

    ((δ_jl Z_nj | njl) - (Z_nj Z_nl | njl))_njl X_nm  ->  (δ_jl Z_nj X_nm | jlm) - (Z_nj Z_nl X_nm | jlm)
    """
    counts = roots.uses

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if not isinstance(new, Einsum) or not is_contraction(new):
            return new
        for place, (factor, labels) in enumerate(new.factors):
            if counts[node.operands[place]] == 1 and isinstance(factor, Add) and any(map(_has_delta, factor.terms)):
                found = []
                for term in factor.terms:
                    factors: list[Factor] = [*new.factors[:place], (term, labels), *new.factors[place + 1 :]]
                    found.append(with_factors(new, factors))
                return add(found)
        return new

    return map_nodes(roots, visit)[0]


def _has_delta(term: Node) -> bool:
    return isinstance(term, Delta) or (isinstance(term, Einsum) and any(isinstance(f, Delta) for f in term.operands))
