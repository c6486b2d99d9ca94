"""What the rules of this package share about brackets: building one without losing a sum, and taking one apart."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction

from bracketc.ir.build import broadcast, einsum, ones, scale
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Compare, Einsum, Literal, Node, Number, Shape

_ONE: Number = Fraction(1)
Factor = tuple[Node, tuple[Hashable, ...]]


def bracket(
    coefficient: Number, factors: Iterable[Factor], output: Sequence[Hashable], extents: Mapping[Hashable, Dim]
) -> Node:
    """The bracket over exactly the labels of ``extents``: one that no factor carries any more still counts its size.

    (A_i | i) over i, j  ->  (J A_i | i)
    """
    kept = list(factors)
    carried = {label for _, labels in kept for label in labels}
    lost = [label for label in extents if label not in carried and label not in output]
    kept += [(ones((extents[label],)), (label,)) for label in lost]
    return einsum(coefficient, kept, output, extents)


def with_factors(node: Einsum, factors: Iterable[Factor], coefficient: Number | None = None) -> Node:
    """``node`` with other factors over the same labels."""
    return bracket(
        node.coefficient if coefficient is None else coefficient, factors, node.output, dict(enumerate(node.extents))
    )


def summed(node: Einsum) -> range:
    """The labels that are summed: those numbered behind the output."""
    return range(len(node.output), len(node.extents))


def is_contraction(node: Node) -> bool:
    """A bracket that sums: what sharing must never compute twice."""
    return isinstance(node, Einsum) and len(node.extents) > len(node.output)


def is_exact_one(value: Number) -> bool:
    return isinstance(value, Fraction) and value == 1


def number_in_front(node: Node) -> Number:
    """The number that a bracket multiplies by, the value of a number, else 1."""
    if isinstance(node, Einsum):
        return node.coefficient
    return node.value if isinstance(node, Literal) else _ONE


def split_scale(node: Node) -> tuple[Number, Node]:
    """The number in front, and the rest: ``(-2 A_ij | ij)`` is ``(-2, A)``; a constant is a number times ones."""
    if isinstance(node, Literal):
        return node.value, Literal(Fraction(1))
    if isinstance(node, Einsum) and not is_exact_one(node.coefficient):
        return node.coefficient, einsum(1, node.factors, node.output, dict(enumerate(node.extents)))
    return Fraction(1), node


def times(coefficient: Number, node: Node) -> Node:
    """``coefficient`` times ``node`` without entering a contraction, which others may share."""
    if is_exact_one(coefficient):
        return node
    if is_contraction(node):
        labels = range(node.rank)
        return einsum(coefficient, [(node, labels)], labels)
    return scale(coefficient, node)


def constant_axes(node: Node) -> frozenset[int]:
    """Axes along which ``node`` is spread by construction: all its entries there are equal."""
    if isinstance(node, Einsum):
        carried = {label for _, labels in node.factors for label in labels}
        return frozenset(axis for axis, label in enumerate(node.output) if label not in carried)
    if isinstance(node, Compare):
        return constant_axes(node.left) & constant_axes(node.right)
    return frozenset()


def drop_axes(node: Node, axes: frozenset[int]) -> Node:
    """``node`` without some of its :func:`constant_axes`.

    (x_i | ij)  ->  (x_i | i)
    """
    if isinstance(node, Compare):
        return Compare(node.operator, drop_axes(node.left, axes), drop_axes(node.right, axes))
    assert isinstance(node, Einsum)
    output = [label for axis, label in enumerate(node.output) if axis not in axes]
    gone = {label for axis, label in enumerate(node.output) if axis in axes}
    extents: dict[Hashable, Dim] = {label: extent for label, extent in enumerate(node.extents) if label not in gone}
    return bracket(node.coefficient, node.factors, output, extents)


def spread(node: Node, shape: Shape, axes: frozenset[int]) -> Node:
    """The inverse of :func:`drop_axes`: ``node`` constant along ``axes`` of ``shape``."""
    return broadcast(node, shape, [axis for axis in range(len(shape)) if axis not in axes])
