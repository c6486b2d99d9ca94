"""Nested products whose intermediates have one use become one product where another order of contraction takes fewer
flops.

    ((A_ij B_jk | ik) x_k | i)   ->   (A_ij B_jk x_k | i), of which the path contracts B x first

An intermediate with several uses stays: it would be computed once for each of them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from fractions import Fraction

from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Body, Delta, Einsum, Labels, Node, Number, Recurrence
from bracketc.ir.rewrite import Roots, map_nodes, topological
from bracketc.plan.hints import Hints
from bracketc.plan.paths import EXACT_FACTORS, path, path_cost
from bracketc.plan.reuse import Known, reused

WORTHWHILE = 0.01
"""A chain stays as written unless this part of its cost is saved: shared names and passes are worth more than that."""

ENTRY_FLOPS = 16
"""Flops that take as long as an entry of an intermediate is written and read again."""

MAX_FACTORS = 64
"""Larger products are taken apart into products of so many factors."""


@dataclass(frozen=True, slots=True)
class Reassociated:
    """New roots, and for each product that changed the flops at the hints before and after."""

    roots: Roots
    gains: tuple[tuple[Node, int, int], ...]


def reassociate(roots: Roots, hints: Hints, fixed: Container[Node] = ()) -> Reassociated:
    """``roots`` with chains of contractions in a cheaper order; what is below ``fixed`` nodes stays untouched.

    Never more flops than before: a chain is rewritten only when that saves some. A product that is there anyway is read by
    the chains that hold it (:mod:`bracketc.plan.reuse`).
    """
    counts = roots.uses
    order = topological(roots.nodes)
    inner: set[Node] = set()
    flat: dict[Node, Einsum] = {}
    gains: list[tuple[Node, int, int]] = []
    known: dict[Node, tuple[int, int]] = {}
    kept = _Products(order, counts, fixed)
    for node in reversed(order):
        if not isinstance(node, Einsum) or node in inner or node in fixed:
            continue
        for limit in (MAX_FACTORS, EXACT_FACTORS):
            absorbed = _chain(node, counts, fixed, limit)
            if not absorbed:
                break
            product = kept.used_in(flattened(node, absorbed), node, hints)
            for part in (node, *absorbed):
                if part not in known:
                    known[part] = _einsum_cost(part, hints)
            costs = [known[part] for part in (node, *absorbed)]
            before, entries = sum(flops for flops, _ in costs), sum(entries for _, entries in costs)
            entries += sum(hints.count(part.shape) for part in absorbed)
            after, fewer = _einsum_cost(product, hints)
            saved = before - after + ENTRY_FLOPS * (entries - fewer)
            if after < before and saved > WORTHWHILE * (before + ENTRY_FLOPS * entries):
                flat[node] = product
                inner.update(absorbed)
                gains.append((node, before, after))
                break

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        if isinstance(node, Recurrence):
            results = reassociate(Roots(node.body.results), hints).roots.nodes
            if results != node.body.results:
                node = Recurrence(
                    Body(node.body.parameters, results), node.length, node.carries, node.xs, node.consts, node.reverse
                )
        return node if operands == node.operands else node.rebuild(operands)

    if flat:
        # First the flat products in place of the nested ones, then their operands by the ordinary walk.
        memo: dict[Node, Node] = {node: node for node in order if node in fixed}
        new = _rewrite(roots, flat, memo, visit)
    else:
        new = map_nodes(roots, visit, {node: node for node in order if node in fixed})[0]
    return Reassociated(new, tuple(reversed(gains)))


class _Products:
    """Products with several uses, which stay, by that of the factors that they are made of which is used least."""

    def __init__(self, order: list[Node], counts: Mapping[Node, int], fixed: Container[Node]) -> None:
        self.place = {node: place for place, node in enumerate(order)}
        self.holding: dict[Node, list[Known]] = {}
        for node in order:
            if isinstance(node, Einsum) and counts[node] > 1 and node not in fixed and len(node.factors) > 1:
                known = Known(node, flattened(node, _chain(node, counts, fixed, MAX_FACTORS)))
                if known.product.factors:
                    rarest = min(known.product.operands, key=lambda factor: counts.get(factor, len(order)))
                    self.holding.setdefault(rarest, []).append(known)

    def used_in(self, product: Einsum, node: Einsum, hints: Hints) -> Einsum:
        """``product``, which is to replace ``node``, with the known ones in it that make it cheaper."""
        held = [known for factor in dict.fromkeys(product.operands) for known in self.holding.get(factor, ())]
        for known in sorted(held, key=lambda known: -len(known.product.factors)):
            # Only what is below or beside: whatever stands later in the order may itself need the node.
            if self.place[known.node] < self.place[node]:
                other = reused(product, known)
                if other is not None and _einsum_cost(other, hints) < _einsum_cost(product, hints):
                    product = other
        return product


def _rewrite(roots: Roots, flat: Mapping[Node, Einsum], memo: dict[Node, Node], visit: object) -> Roots:
    assert callable(visit)
    pending: list[Node] = []
    for root in roots.nodes:
        pending.append(root)
        while pending:
            node = pending[-1]
            if node in memo:
                pending.pop()
                continue
            source = flat.get(node, node)
            missing = [operand for operand in source.operands if operand not in memo]
            if missing:
                pending.extend(reversed(missing))
                continue
            pending.pop()
            memo[node] = visit(source, tuple(memo[operand] for operand in source.operands))
    origins = dict(roots.origins)
    for old, new in memo.items():
        if old is not new and old in roots.origins:
            origins.setdefault(new, roots.origins[old])
    return Roots(tuple(memo[root] for root in roots.nodes), origins)


def _chain(node: Einsum, counts: Mapping[Node, int], fixed: Container[Node], limit: int) -> list[Einsum]:
    """Products below ``node`` that only it, or another of them, uses; the whole has at most ``limit`` factors."""
    found: list[Einsum] = []
    size = len(node.factors)
    pending: list[Einsum] = [node]
    while pending:
        current = pending.pop(0)
        if any(isinstance(factor, Delta) for factor in current.operands):
            continue
        for factor in current.operands:
            if not isinstance(factor, Einsum) or counts[factor] != 1 or factor in fixed or not factor.factors:
                continue
            if any(isinstance(operand, Delta) for operand in factor.operands):
                continue
            if size + len(factor.factors) - 1 > limit:
                continue
            size += len(factor.factors) - 1
            found.append(factor)
            pending.append(factor)
    return found


def flattened(node: Einsum, absorbed: list[Einsum]) -> Einsum:
    """``node`` with the brackets of ``absorbed`` written into it, labels renamed apart."""
    inside = set(absorbed)
    used: set[int] = set()
    extents: list[Dim] = list(node.extents)
    coefficient: Number = node.coefficient
    factors: list[tuple[Node, Labels]] = []
    pending = list(reversed(node.factors))
    while pending:
        factor, labels = pending.pop()
        if factor not in inside or not isinstance(factor, Einsum):
            factors.append((factor, labels))
            continue
        coefficient = build.product(coefficient, factor.coefficient)
        names = dict(zip(factor.output, labels, strict=True))
        used.update(labels)
        for label, extent in enumerate(factor.extents):
            if label not in names:
                names[label] = len(extents)
                extents.append(extent)
        pending += [(part, tuple(names[x] for x in carried)) for part, carried in reversed(factor.factors)]
    carried = {label for _, labels in factors for label in labels}.union(node.output)
    # what an inner bracket repeats along a label and the outer one sums is counted by a vector of ones
    factors += [(build.ones((extents[x],)), (x,)) for x in range(len(extents)) if x not in carried and x in used]
    result = build.einsum(coefficient, factors, node.output, dict(enumerate(extents)))
    if isinstance(result, Einsum):
        return result
    axes = tuple(range(result.rank))
    return Einsum(Fraction(1), ((result, axes),), axes, result.shape)


def einsum_flops(node: Einsum, hints: Hints) -> int:
    """Flops of one bracket as :mod:`bracketc.plan.lower` computes it."""
    return _einsum_cost(node, hints)[0]


def _einsum_cost(node: Einsum, hints: Hints) -> tuple[int, int]:
    """Flops of one bracket, and the entries of the intermediates of its path."""
    sizes = tuple(hints.of(extent) for extent in node.extents)
    sets = [tuple(dict.fromkeys(labels)) for _, labels in node.factors if labels]
    scalars = len(node.factors) - len(sets)
    entries = _count(node.output, sizes)
    scaling = (scalars + (node.coefficient not in (1, -1))) * entries
    summed = {label for labels in sets for label in labels}.difference(node.output)
    if not summed:
        return scaling + max(0, len(sets) - 1) * entries, 0
    if len(sets) == 1:
        return scaling + _count(sets[0], sizes), 0
    flops = 0
    reduced = []
    for place, labels in enumerate(sets):
        others = {label for k, carried in enumerate(sets) if k != place for label in carried}
        kept = tuple(label for label in labels if label in others or label in node.output)
        if len(kept) < len(labels):
            flops += _count(labels, sizes)
        reduced.append(kept)
    factors = tuple(labels for labels in reduced if labels)
    carried = tuple(label for label in node.output if any(label in labels for labels in factors))
    path_flops, written = path_cost(factors, carried, sizes, path(factors, carried, sizes))
    return flops + scaling + path_flops, written - _count(carried, sizes)


def _count(labels: Labels, sizes: tuple[int, ...]) -> int:
    total = 1
    for label in labels:
        total *= sizes[label]
    return total
