"""The normal form of a proof: sums of brackets, products of sums multiplied out, nested brackets written as one.

It is for comparison, not for computing: what the simplifier keeps shared is written out here.

    (A_ij (B_jk + C_jk) | ik)    ->    (A_ij B_jk | ik) + (A_ij C_jk | ik)
    (A_ij (B_jk C_kl | jl)_jl | il)    ->    (A_ij B_jk C_kl | il)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from fractions import Fraction

from bracketc.ir.build import add, einsum, number_power, power, product, scale
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Add, Einsum, Gather, Node, Number, Overlap, Pointwise, Scatter, Select, Stack, Window
from bracketc.ir.rewrite import Roots
from bracketc.simplify import UNDER_TRAITS
from bracketc.simplify.brackets import Factor, bracket, is_contraction, with_factors
from bracketc.simplify.deltas import eliminate_delta
from bracketc.simplify.facts import declared_nonzero
from bracketc.simplify.fixpoint import Rules, normalise
from bracketc.simplify.flatten import fold_bracket
from bracketc.simplify.linalg import cancel_inverse
from bracketc.simplify.powers import base_and_exponent
from bracketc.simplify.sums import merge_term
from bracketc.simplify.traits import declared_product, sum_row, symmetric_canonical, use_diagonal, use_orthogonal
from bracketc.simplify.windows import compose_window, fold_gather, fold_overlap, fold_stack, sum_overlap

MOST_TERMS = 1000
"""Terms that one product may be multiplied out to; beyond it stays a product."""

HIGHEST = 4
"""The highest power of a sum that is multiplied out."""


def expand(roots: Roots) -> Roots:
    """The normal form of all roots. Equal forms mean equal values; the contrary does not hold."""
    return normalise(roots, _RULES)


def terms(node: Node) -> tuple[Node, ...]:
    """The terms of a sum in normal form."""
    return node.terms if isinstance(node, Add) else (node,)


def inline_products(node: Node) -> Node:
    """Every bracket without a sum inside a bracket written as part of it."""
    return _inlined(node, lambda factor: not is_contraction(factor))


def inline_sums(node: Node) -> Node:
    """Every bracket with a sum, too: last, so that one may meet its own reciprocal before."""
    return _inlined(node, is_contraction)


def _inlined(node: Node, chosen: Callable[[Node], bool]) -> Node:
    if not isinstance(node, Einsum) or not any(isinstance(f, Einsum) and chosen(f) for f in node.operands):
        return node
    coefficient: Number = node.coefficient
    factors: list[Factor] = []
    extents: dict[Hashable, Dim] = dict(enumerate(node.extents))
    for place, (factor, labels) in enumerate(node.factors):
        if not isinstance(factor, Einsum) or not chosen(factor):
            factors.append((factor, labels))
            continue
        coefficient = product(coefficient, factor.coefficient)
        names: dict[int, Hashable] = dict(zip(factor.output, labels, strict=True))
        for label in range(len(factor.output), len(factor.extents)):
            names[label] = (place, label)
            extents[(place, label)] = factor.extents[label]
        factors += [(inner, tuple(names[label] for label in own)) for inner, own in factor.factors]
    return bracket(coefficient, factors, node.output, extents)


def distribute(node: Node) -> Node:
    """A product with a sum in it as a sum of products."""
    if not isinstance(node, Einsum):
        return node
    count = 1
    first: int | None = None
    for place, factor in enumerate(node.operands):
        base, exponent = _sum_and_power(factor)
        if base is not None:
            count *= len(base.terms) ** exponent
            first = place if first is None else first
    if first is None or count > MOST_TERMS:
        return node
    factor, labels = node.factors[first]
    base, exponent = _sum_and_power(factor)
    assert base is not None
    rest = [other for place, other in enumerate(node.factors) if place != first]
    rest += [(base, labels)] * (exponent - 1)
    return add([with_factors(node, [(term, labels), *rest]) for term in base.terms], node.shape)


def distribute_power(node: Node) -> Node:
    """A small power of a sum as a product, which :func:`distribute` takes further."""
    base, exponent = _sum_and_power(node)
    if base is None or exponent == 1:
        return node
    labels = range(base.rank)
    return einsum(1, [(base, labels)] * exponent, labels)


def merge_exponentials(node: Node) -> Node:
    """A product of exponentials is the exponential of a sum.

    (exp(a)_i exp(b)_i | i)  ->  (exp(a + b)_i | i)
    """
    if not isinstance(node, Einsum):
        return node
    groups: dict[tuple[int, ...], list[Node]] = {}
    rest: list[Factor] = []
    for factor, labels in node.factors:
        base, exponent = base_and_exponent(factor)
        if isinstance(base, Pointwise) and base.function == "exp":
            argument = base.args[0]
            groups.setdefault(labels, []).append(argument if exponent == 1 else scale(exponent, argument))
        else:
            rest.append((factor, labels))
    if len(groups) + len(rest) == len(node.factors):
        return node
    merged = [(Pointwise("exp", (add(found),)), labels) for labels, found in groups.items()]
    return with_factors(node, [*merged, *rest])


def meet_reciprocal(node: Node) -> Node:
    """A positive sum beside a power of its reciprocal, though its factors stand among the others.

    (C**-2_i A_ij A_ik | ij) with C = (A_ij | i)  ->  (C**-1_i A_ij | ij)
    """
    if not isinstance(node, Einsum):
        return node
    for place, (factor, fixed) in enumerate(node.factors):
        base, exponent = base_and_exponent(factor)
        if exponent > -1 or not is_contraction(base) or not declared_nonzero(base):
            continue
        assert isinstance(base, Einsum)
        for group in _groups(node, set(fixed), place):
            labels = {label for k in group for label in node.factors[k][1]} - set(fixed)
            if not labels or any(label < len(node.output) for label in labels):
                continue
            own = {label for k in group for label in node.factors[k][1]}
            if len(set(fixed)) < len(fixed) or not own.issuperset(fixed):
                continue
            sizes: dict[Hashable, Dim] = {label: node.extents[label] for label in own}
            factors: list[Factor] = [node.factors[k] for k in group]
            if symmetric_canonical(einsum(base.coefficient, factors, fixed, sizes)) is not base:
                continue
            rest: list[Factor] = [f for k, f in enumerate(node.factors) if k != place and k not in group]
            extents: dict[Hashable, Dim] = {x: e for x, e in enumerate(node.extents) if x not in labels}
            number = product(node.coefficient, number_power(base.coefficient, Fraction(-1)))
            return bracket(number, [(power(base, exponent + 1), fixed), *rest], node.output, extents)
    return node


def _groups(node: Einsum, fixed: set[int], left_out: int) -> list[list[int]]:
    """Places of factors grouped by the labels that connect them when ``fixed`` ones do not."""
    groups: list[tuple[set[int], list[int]]] = []
    for place, (_, own) in enumerate(node.factors):
        if place == left_out:
            continue
        labels, places = set(own) - fixed, [place]
        apart = []
        for other in groups:
            if labels & other[0]:
                labels |= other[0]
                places = [*other[1], *places]
            else:
                apart.append(other)
        groups = [*apart, (labels, places)]
    return [places for _, places in groups]


def _sum_and_power(node: Node) -> tuple[Add | None, int]:
    if isinstance(node, Add):
        return node, 1
    if isinstance(node, Pointwise) and node.exponent is not None and isinstance(node.args[0], Add):
        exponent = node.exponent
        if isinstance(exponent, Fraction) and exponent.denominator == 1 and 1 < exponent <= HIGHEST:
            return node.args[0], int(exponent)
    return None, 1


def flatten(node: Node) -> Node:
    """A sum of sums as one sum, numbers in front multiplied in."""
    if not isinstance(node, Add) or not any(isinstance(term, Add) for term in node.terms):
        return node
    return add([inner for term in node.terms for inner in terms(term)], node.shape)


_RULES: Rules = {
    **UNDER_TRAITS,
    Einsum: (
        fold_bracket,
        inline_products,
        distribute,
        declared_product,
        inline_sums,
        eliminate_delta,
        use_diagonal,
        use_orthogonal,
        cancel_inverse,
        merge_exponentials,
        meet_reciprocal,
        sum_row,
        sum_overlap,
        symmetric_canonical,
    ),
    Add: (flatten, merge_term),
    Pointwise: (distribute_power, *UNDER_TRAITS[Pointwise]),
    Select: UNDER_TRAITS[Select][:1],
    Window: (compose_window,),
    Overlap: (fold_overlap,),
    Scatter: (fold_overlap,),
    Gather: (fold_gather,),
    Stack: (fold_stack,),
}
