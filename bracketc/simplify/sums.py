"""Sums: like terms, nested sums, common scalars, one order of terms."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from fractions import Fraction

from bracketc.ir.build import add, einsum, fill, is_zero, product, total
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Add, Einsum, Literal, Node, Number
from bracketc.ir.rewrite import Roots, map_nodes, rewrite
from bracketc.simplify.brackets import Factor, is_contraction, is_exact_one, number_in_front, split_scale, times
from bracketc.simplify.order import term_key

_ONE: Number = Fraction(1)


def merge_terms(roots: Roots) -> Roots:
    """Add up terms that differ by a number alone, drop those that cancel, and put the rest in order.

    A + 2 A  ->  (3 A_ij | ij)          b + A - b  ->  A          (A_ij | ij) + 1 + 2  ->  (A_ij | ij) + 3
    """
    return rewrite(roots, merge_term)


def merge_term(node: Node) -> Node:
    if not isinstance(node, Add):
        return node
    numbers: dict[Hashable, Number] = {}
    first: dict[Hashable, Node] = {}
    for term in node.terms:
        body = _body(term)
        numbers[body] = total(numbers[body], number_in_front(term)) if body in numbers else number_in_front(term)
        first.setdefault(body, term)
    if len(numbers) == len(node.terms):
        terms = list(node.terms)
    else:
        terms = [_with_number(term, numbers[body]) for body, term in first.items()]
    kept = sorted((term for term in terms if not is_zero(term)), key=term_key)
    if tuple(kept) == node.terms:
        return node
    return add(kept, node.shape) if kept else fill(0, node.shape)


def _body(term: Node) -> Hashable:
    """What a term is but for the number in front; equal for terms that may be merged."""
    if isinstance(term, Literal):
        return Literal
    if not isinstance(term, Einsum):
        return term
    if len(term.factors) == 1 and term.factors[0][1] == term.output:
        return term.operands[0]
    return term.factors, term.output, term.extents


def _with_number(term: Node, number: Number) -> Node:
    """``term`` with another number in front."""
    if number_in_front(term) == number:
        return term
    return fill(0, term.shape) if number == 0 else times(number, split_scale(term)[1])


def pull_common(roots: Roots) -> Roots:
    """Take a number or scalars that all terms share out of a sum.

    (s A_ij | ij) - (s B_ij | ij)  ->  (s (A - B)_ij | ij)          -A - B  ->  -(A + B)
    """
    return rewrite(roots, pull_common_scalars)


def pull_common_scalars(node: Node) -> Node:
    if not isinstance(node, Add):
        return node
    numbers = [number_in_front(term) for term in node.terms]
    common = _common_number(numbers)
    shared = _scalars(node.terms[0])
    for term in node.terms[1:]:
        if shared:
            shared &= _scalars(term)
    if is_exact_one(common) and not shared:
        return node
    inner = add([_without(term, common, shared) for term in node.terms])
    labels = range(node.rank)
    return einsum(common, [*((scalar, ()) for scalar in shared.elements()), (inner, labels)], labels)


def _scalars(term: Node) -> Counter[Node]:
    """The rank-0 factors of a term of higher rank."""
    if not term.rank or not isinstance(term, Einsum) or is_contraction(term):
        return Counter()
    return Counter(factor for factor in term.operands if not factor.rank)


def _common_number(numbers: list[Number]) -> Number:
    """The magnitude that all share, negative when all are."""
    first: Number = numbers[0]
    if not math.isfinite(first) or any(
        type(number) is not type(first) or abs(number) != abs(first) for number in numbers
    ):
        return Fraction(1)
    flipped = first if first > 0 else product(Fraction(-1), first)
    return product(Fraction(-1), flipped) if all(number < 0 for number in numbers) else flipped


def _without(term: Node, common: Number, shared: Counter[Node]) -> Node:
    coefficient, body = split_scale(term)
    if not is_exact_one(common):
        coefficient = Fraction(1 if coefficient == common else -1)
    if not shared:
        return times(coefficient, body)
    assert isinstance(body, Einsum)
    left = Counter(shared)
    factors: list[Factor] = []
    for factor, labels in body.factors:
        if left[factor]:
            left[factor] -= 1
        else:
            factors.append((factor, labels))
    return einsum(coefficient, factors, body.output, dict(enumerate(body.extents)))


def pull_outer_terms(roots: Roots) -> Roots:
    """Take factors that all terms share out of a sum where a label leaves it with them.

    (X_nd A_ni | din) - (X_nd B_n C_i | din)  ->  (X_nd ((A_ni | ni) - (B_n C_i | ni))_ni | din)
    """
    return rewrite(roots, pull_outer_term)


def pull_outer_term(node: Node) -> Node:
    if not isinstance(node, Add):
        return node
    products = [term for term in node.terms if isinstance(term, Einsum) and not is_contraction(term)]
    if len(products) < len(node.terms):
        return node
    shared = Counter(products[0].factors)
    for term in products[1:]:
        shared &= Counter(term.factors)
    rest = [(Counter(term.factors) - shared) for term in products]
    carried = {label for factors in rest for _, labels in factors for label in labels}
    outside = {factor: count for factor, count in shared.items() if not carried.issuperset(factor[1])}
    if not outside:
        return node
    inner = [[f for f, count in (Counter(t.factors) - Counter(outside)).items() for _ in range(count)] for t in products]
    labels = sorted({label for factors in inner for _, own in factors for label in own})
    sizes: dict[Hashable, Dim] = {label: node.shape[label] for label in labels}
    left = add(einsum(t.coefficient, own, labels, sizes) for t, own in zip(products, inner, strict=True))
    pulled = [factor for factor, count in outside.items() for _ in range(count)]
    return einsum(1, [*pulled, (left, labels)], range(node.rank), dict(enumerate(node.shape)))


def cancel_terms(roots: Roots) -> Roots:
    """Take a sum inside a sum apart, also a scaled, spread or transposed one, when one of its terms then vanishes.

    x_nk - ((x - c)_n | nk)  stays          (x - c) - ((m - c)_n | nk)  ->  x - (m_n | nk)
    """
    return rewrite(roots, cancel_term)


def cancel_term(node: Node) -> Node:
    if not isinstance(node, Add):
        return node
    parts = [_inner_terms(term) for term in node.terms]
    for place, part in enumerate(parts):
        if len(part) == 1:
            continue
        others = [term for p, term in enumerate(node.terms) if p != place]
        outside = {body: number for number, body in map(split_scale, others)}
        inside = {body: number for number, body in map(split_scale, part)}
        if any(body in outside and outside[body] == -number for body, number in inside.items()):
            return add([*others, *part])
    return node


def _inner_terms(term: Node) -> list[Node]:
    """The terms of a sum, each in the bracket of one factor that ``term`` puts around it."""
    if isinstance(term, Add):
        return list(term.terms)
    if not isinstance(term, Einsum) or is_contraction(term):
        return [term]
    sums = [place for place, factor in enumerate(term.operands) if isinstance(factor, Add)]
    if len(sums) != 1 or any(factor.rank for place, factor in enumerate(term.operands) if place != sums[0]):
        return [term]
    (place,) = sums
    inner, labels = term.factors[place]
    assert isinstance(inner, Add)
    found = []
    for part in inner.terms:
        number, body = split_scale(part)
        factors: list[Factor] = [*term.factors[:place], (body, labels), *term.factors[place + 1 :]]
        if isinstance(body, Einsum) and not is_contraction(body):
            names = dict(zip(body.output, labels, strict=True))
            own: list[Factor] = [(f, tuple(names[label] for label in ls)) for f, ls in body.factors]
            factors[place : place + 1] = own
        found.append(einsum(product(term.coefficient, number), factors, term.output, dict(enumerate(term.extents))))
    return found


def flatten_sums(roots: Roots) -> Roots:
    """Join sums of sums where the inner one is used once; a number in front of it is distributed.

    (A + B) + C  ->  A + B + C          A - 2 (B + C)  ->  A - 2 B - 2 C
    """
    counts = roots.uses
    joined: set[Node] = set()  # sums, and scaled sums, that are parts of the sum that uses them
    outer: set[Node] = set()

    def inner_sum(node: Node) -> Add | None:
        """The sum that ``node`` is, or scales, when nothing else uses it."""
        if counts[node] != 1:
            return None
        if isinstance(node, Add):
            return node
        if isinstance(node, Einsum) and len(node.factors) == 1 and node.factors[0][1] == node.output:
            (inner,) = node.operands
            if isinstance(inner, Add) and counts[inner] == 1:
                return inner
        return None

    for node in counts:
        if isinstance(node, Add):
            for term in node.terms:
                inner = inner_sum(term)
                if inner is not None:
                    joined.add(inner)
                    outer.add(node)
    if not joined:
        return roots

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if node not in outer or node in joined or not isinstance(new, Add):
            return new  # a joined sum is taken apart by the outermost sum alone, so that a chain costs its length
        terms: list[Node] = []
        pending: list[tuple[Number, Node, Node]] = [
            (_ONE, old, term) for old, term in zip(_terms(node), new.terms, strict=True)
        ][::-1]
        while pending:
            coefficient, old, term = pending.pop()
            inner = inner_sum(old)
            if inner is None or inner not in joined:
                terms.append(_scaled(coefficient, term))
                continue
            if isinstance(term, Einsum):
                coefficient, (term,) = product(coefficient, term.coefficient), term.operands
            assert isinstance(term, Add)
            pending += [(coefficient, o, t) for o, t in zip(inner.terms, term.terms, strict=True)][::-1]
        return add(terms)

    return map_nodes(roots, visit)[0]


def _terms(node: Node) -> tuple[Node, ...]:
    assert isinstance(node, Add)
    return node.terms


def _scaled(coefficient: Number, term: Node) -> Node:
    return term if is_exact_one(coefficient) else times(coefficient, term)
