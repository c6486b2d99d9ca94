"""Nested brackets: what is cheap is inlined, numbers and scalars stand outside contractions, contractions stay shared.

A contraction (a bracket that sums) is a barrier: it is never inlined here, whether it is used once or often, because a
graph that reverse mode made shares exactly these. Chains of contractions used once are for ``plan/``: it re-associates
them by cost, with the given nesting as its baseline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from fractions import Fraction

from bracketc.ir.build import einsum, fill_value, product
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Compare, Delta, Einsum, Node, Number
from bracketc.ir.rewrite import Roots, map_nodes, rewrite
from bracketc.simplify.brackets import (
    Factor,
    bracket,
    constant_axes,
    drop_axes,
    is_contraction,
    is_exact_one,
    with_factors,
)

_ONE = Fraction(1)


def fold_brackets(roots: Roots) -> Roots:
    """Let the constructor fold numbers, constant tensors and brackets that do nothing.

    (2 𝟏_j A_ij | i)  ->  (2 A_ij | i)          (A_ij | ij)  ->  A
    """
    return rewrite(roots, fold_bracket)


def fold_bracket(node: Node) -> Node:
    if not isinstance(node, Einsum):
        return node
    if any(fill_value(factor) is not None for factor in node.operands) or (node.coefficient == 0 and node.factors):
        return with_factors(node, node.factors)
    if len(node.factors) == 1 and is_exact_one(node.coefficient) and node.factors[0][1] == node.output:
        return with_factors(node, node.factors)
    return node


def inline_brackets(roots: Roots) -> Roots:
    """Inline factors that are permuted, scaled, spread or diagonal tensors, products of scalars, or carry a delta.

    (A_ij (2 B_kj | jk) | ik)  ->  (2 A_ij B_kj | ik)
    """
    return rewrite(roots, inline_bracket)


def inline_bracket(node: Node) -> Node:
    if not isinstance(node, Einsum) or not any(_is_cheap(factor) for factor in node.operands):
        return node
    coefficient: Number = node.coefficient
    factors: list[Factor] = []
    for factor, labels in node.factors:
        if isinstance(factor, Einsum) and _is_cheap(factor):
            coefficient = product(coefficient, factor.coefficient)
            factors += _inner(factor, labels)
        elif isinstance(factor, Compare) and constant_axes(factor):
            axes = constant_axes(factor)
            factors.append((drop_axes(factor, axes), tuple(x for k, x in enumerate(labels) if k not in axes)))
        else:
            factors.append((factor, labels))
    return with_factors(node, factors, coefficient)


def _inner(factor: Einsum, labels: tuple[int, ...]) -> list[Factor]:
    """Factors of an inlined bracket without sums, in the labels of the outer one."""
    names = dict(zip(factor.output, labels, strict=True))
    return [(node, tuple(names[label] for label in inner)) for node, inner in factor.factors]


def _is_cheap(node: Node) -> bool:
    if isinstance(node, Compare):
        return bool(constant_axes(node))
    if not isinstance(node, Einsum) or is_contraction(node):
        return False
    wide = sum(1 for factor in node.operands if factor.rank)
    return wide <= 1 or any(isinstance(factor, Delta) for factor in node.operands)


def pull_scalars(roots: Roots) -> Roots:
    """Take numbers, scalars and spread labels out of a contraction, so that those which differ by them alone are one.

    (2 s A_ij B_jk | ikl)  ->  (2 s (A_ij B_jk | ik)_ik | ikl)          (A_ij x_l | i)  ->  ((x_l |) (A_ij | i)_i | i)
    """
    return rewrite(roots, pull_scalar)


def pull_scalar(node: Node) -> Node:
    if not isinstance(node, Einsum) or not is_contraction(node):
        return node
    groups = _components(node)
    carried = {label for _, labels in node.factors for label in labels}
    if len(groups) == 1 and is_exact_one(node.coefficient) and carried.issuperset(node.output):
        return node
    extents: dict[Hashable, Dim] = dict(enumerate(node.extents))
    scalars: list[Factor] = []
    inside: list[Factor] = []
    for group in groups:
        labels = {label for _, own in group for label in own}
        if not labels:
            scalars += group
        elif labels.isdisjoint(node.output):
            scalars.append((bracket(_ONE, group, (), {label: extents[label] for label in labels}), ()))
        else:
            inside += group
    if not inside:
        return einsum(node.coefficient, scalars, node.output, extents)
    used = {label for _, own in inside for label in own}
    output = tuple(label for label in node.output if label in used)
    core = bracket(_ONE, inside, output, {label: extent for label, extent in extents.items() if label in used})
    return einsum(node.coefficient, [*scalars, (core, output)], node.output, extents)


def pull_outer(roots: Roots) -> Roots:
    """Take factors that alone carry a label of the output out of a contraction, also those of a product inside it: what
    is left has a label less.

    (X_nd P_nj A_nj | dn)  ->  (X_nd (P_nj A_nj | n)_n | dn)          ((X_nd A_nj | dnj)_dnj P_nj | dn)  ->  the same
    """
    return rewrite(roots, pull_outer_factor)


def pull_outer_factor(node: Node) -> Node:
    if not isinstance(node, Einsum) or not is_contraction(node):
        return node
    coefficient: Number = node.coefficient
    factors: list[Factor] = []
    for factor, labels in node.factors:
        if isinstance(factor, Einsum) and not is_contraction(factor):
            others = {label for other, own in node.factors if other is not factor for label in own}
            parts = _inner(factor, labels)
            if _outer_factors(parts, others, node.output):
                coefficient = product(coefficient, factor.coefficient)
                factors += parts
                continue
        factors.append((factor, labels))
    outside = _outer_factors(factors, frozenset(), node.output) if len(factors) > 2 else []
    inside = [factor for factor in factors if factor not in outside]
    used = {label for _, labels in inside for label in labels}
    if not outside or not used.issuperset(range(len(node.output), len(node.extents))):
        return node
    output = tuple(label for label in node.output if label in used)
    extents: dict[Hashable, Dim] = dict(enumerate(node.extents))
    core = bracket(_ONE, inside, output, {label: extent for label, extent in extents.items() if label in used})
    return einsum(coefficient, [*outside, (core, output)], node.output, extents)


def _outer_factors(factors: list[Factor], others: Collection[int], output: tuple[int, ...]) -> list[Factor]:
    """Factors of output labels alone, one of which stands in no other factor and not among ``others``."""
    carriers = Counter(label for _, labels in factors for label in set(labels))
    return [
        (factor, labels)
        for factor, labels in factors
        if all(label in output for label in labels)
        and any(carriers[label] == 1 and label not in others for label in labels)
    ]


def _components(node: Einsum) -> list[list[Factor]]:
    """Factors grouped by connected labels; those that reach an output label are one group, the last."""
    parent = list(range(len(node.extents)))

    def find(label: int) -> int:
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    for label in node.output[1:]:
        parent[find(label)] = find(node.output[0])
    for _, labels in node.factors:
        for label in labels[1:]:
            parent[find(label)] = find(labels[0])
    groups: dict[int, list[Factor]] = {}
    for place, (factor, labels) in enumerate(node.factors):
        groups.setdefault(find(labels[0]) if labels else -1 - place, []).append((factor, labels))
    return list(groups.values())


def flatten_products(roots: Roots) -> Roots:
    """Join products of products where the inner one is used once; an outer product joins a contraction, too.

    ((A_ij B_ij | ij)_ij C_ij | ij)  ->  (A_ij B_ij C_ij | ij)
    ((a_i b_j | ij)_ij C_jk | ik)  ->  (a_i b_j C_jk | ik)
    """
    counts = roots.uses

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if not isinstance(node, Einsum):
            return new
        assert isinstance(new, Einsum)
        coefficient: Number = new.coefficient
        factors: list[Factor] = []
        for place, (factor, labels) in enumerate(new.factors):
            once = counts[node.factors[place][0]] == 1 and isinstance(factor, Einsum) and not is_contraction(factor)
            if once and isinstance(factor, Einsum) and _joins(factor, new):
                coefficient = product(coefficient, factor.coefficient)
                factors += _inner(factor, labels)
            else:
                factors.append((factor, labels))
        return new if len(factors) == len(new.factors) else with_factors(new, factors, coefficient)

    return map_nodes(roots, visit)[0]


def _joins(factor: Einsum, node: Einsum) -> bool:
    """Whether a product inside ``node`` need not be computed by itself."""
    if not is_contraction(node) and factor.rank == node.rank:
        return True
    return factor.rank > max((inner.rank for inner in factor.operands), default=0)


def absorb_scales(roots: Roots) -> Roots:
    """Put numbers, scalars and a transposition back into a contraction that stands alone in a bracket and is used once.

    The opposite of :func:`pull_scalars`, at the end: one bracket, one loop nest.

    (-1 s (A_ij B_jk | ik)_ik | ki)  ->  (-1 s A_ij B_jk | ki)
    """
    counts = roots.uses

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if not isinstance(node, Einsum) or is_contraction(node):
            return new
        assert isinstance(new, Einsum)
        wide = [place for place, factor in enumerate(new.operands) if factor.rank]
        if len(wide) != 1 or counts[node.factors[wide[0]][0]] != 1:
            return new
        core, labels = new.factors[wide[0]]
        if not is_contraction(core) or set(labels) != set(new.output) or len(labels) != len(new.output):
            return new
        assert isinstance(core, Einsum)
        scalars: list[Factor] = [factor for place, factor in enumerate(new.factors) if place != wide[0]]
        place_of = dict(zip(labels, core.output, strict=True))
        output = tuple(place_of[label] for label in new.output)
        coefficient = product(new.coefficient, core.coefficient)
        return einsum(coefficient, [*scalars, *core.factors], output, dict(enumerate(core.extents)))

    return map_nodes(roots, visit)[0]


def join_sums(roots: Roots) -> Roots:
    """Make a sum over a contraction that is used once one contraction.

    ((A_tki B_tkj | tij)_tij | ij)  ->  (A_tki B_tkj | ij)

    One that repeats its sum for further labels stays: the contraction is computed once.
    """
    counts = roots.uses

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if not isinstance(node, Einsum) or not is_contraction(node) or len(node.factors) != 1:
            return new
        assert isinstance(new, Einsum)
        ((core, labels),) = new.factors
        if counts[node.operands[0]] != 1 or len(set(labels)) < len(labels) or not set(new.output) <= set(labels):
            return new
        if not isinstance(core, Einsum) or not is_contraction(core):
            return new
        place_of = dict(zip(labels, core.output, strict=True))
        output = tuple(place_of[label] for label in new.output)
        coefficient = product(new.coefficient, core.coefficient)
        return bracket(coefficient, core.factors, output, dict(enumerate(core.extents)))

    return map_nodes(roots, visit)[0]
