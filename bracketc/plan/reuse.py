"""Products that hold a product which is computed anyway read that instead.

    S = (A_ij B_jk | ik) is there, so   (A_ij B_jk C_kl | il)   ->   (S_ik C_kl | il)

A Jacobian that stands on both sides of a second derivative is computed once by this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bracketc.ir import build
from bracketc.ir.nodes import Einsum, Labels, Node

TRIES = 256
"""Assignments of equal factors that are tried for one pair of products."""


@dataclass(frozen=True, slots=True)
class Known:
    """A product that is computed anyway: ``node``, and ``product``, the same in one bracket."""

    node: Einsum
    product: Einsum


def reused(product: Einsum, known: Known) -> Einsum | None:
    """``product`` with the factors of ``known`` replaced by its node; ``None`` where it does not hold them all."""
    inner = known.product
    if inner.coefficient not in (1, -1) or Counter(inner.operands) - Counter(product.operands):
        return None
    if not set(inner.output) <= {label for _, labels in inner.factors for label in labels}:
        return None
    for places, names in _matches(inner.factors, product.factors):
        rest = [factor for place, factor in enumerate(product.factors) if place not in places]
        outside = {label for _, labels in rest for label in labels}.union(product.output)
        summed = {names[label] for label in names if label not in inner.output}
        if summed & outside:
            continue
        factors = [*rest, (known.node, tuple(names[label] for label in inner.output))]
        extents = {label: extent for label, extent in enumerate(product.extents) if label not in summed}
        coefficient = build.product(product.coefficient, inner.coefficient)
        found = build.einsum(coefficient, factors, product.output, extents)
        return found if isinstance(found, Einsum) else None
    return None


def _matches(
    inner: Sequence[tuple[Node, Labels]], outer: Sequence[tuple[Node, Labels]]
) -> Iterator[tuple[frozenset[int], dict[int, int]]]:
    """Places in ``outer`` of the factors of ``inner``, with the labels that they have there; different ones stay different."""
    places: dict[Node, list[int]] = {}
    for place, (factor, _) in enumerate(outer):
        places.setdefault(factor, []).append(place)
    pending: list[tuple[frozenset[int], dict[int, int]]] = [(frozenset(), {})]
    tries = 0
    # Factors that occur once come first: they settle the labels of the others.
    order = sorted(range(len(inner)), key=lambda k: len(places[inner[k][0]]))
    while pending and tries < TRIES:
        taken, names = pending.pop()
        if len(taken) == len(inner):
            yield taken, names
            continue
        factor, labels = inner[order[len(taken)]]
        for place in reversed(places[factor]):
            tries += 1
            if place in taken:
                continue
            new = dict(names)
            fits = all(new.setdefault(own, there) == there for own, there in zip(labels, outer[place][1], strict=True))
            if fits and len(set(new.values())) == len(new):
                pending.append((taken | {place}, new))
