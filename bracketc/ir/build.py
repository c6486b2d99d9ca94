"""Constructors that fold zeros, ones and empty sums; everything else is a named pass.

Labels may be any hashable values here; the bracket that comes out numbers them canonically.

>>> A = tensor("A", "I", "J"); B = tensor("B", "J", "K")
>>> einsum(1, [(A, "ij"), (B, "jk")], "ik").shape
(I, K)
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Compare,
    Delta,
    Einsum,
    Literal,
    Node,
    Number,
    Overlap,
    Pointwise,
    Project,
    Recurrence,
    Select,
    Shape,
    Size,
    Tensor,
    Window,
)


def exact(value: int | Number) -> Number:
    """Integers become fractions; fractions and floats stay."""
    return _fraction(value) if isinstance(value, int) else value


@lru_cache(256)
def _fraction(value: int) -> Fraction:
    return Fraction(value)


_ONE = _fraction(1)


EXACT_BITS = 1000
"""Longer fractions become floats, so that a chain of doublings cannot eat the memory."""


def product(left: Number, right: Number) -> Number:
    """Product of coefficients: exact while both are, and short enough."""
    if left is _ONE or right is _ONE:
        return right if left is _ONE else left
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _short(left * right)
    return float(left) * float(right)


def total(left: Number, right: Number) -> Number:
    """Sum of coefficients: exact while both are, and short enough."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _short(left + right)
    return float(left) + float(right)


def _short(value: Fraction) -> Number:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) <= EXACT_BITS:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def tensor(name: str, *extents: str | int | Dim, traits: Iterable[str] = ()) -> Tensor:
    """A real argument: ``tensor("X", "N", 3)``."""
    shape = tuple(Dim.named(e) if isinstance(e, str) else Dim.of(e) for e in extents)
    return Tensor(name, shape, traits=tuple(sorted(traits)))


def literal(value: int | Number) -> Literal:
    """A rank-0 number; an int is exact."""
    return Literal(exact(value))


def size(dim: Dim) -> Node:
    """A size as a scalar; a number where it is one."""
    return Size(dim) if dim.constant is None else literal(dim.constant)


def fill(value: int | Number, shape: Shape) -> Node:
    """A tensor whose entries are all ``value``: the bracket without factors."""
    return einsum(value, (), range(len(shape)), dict(enumerate(shape)))


def zeros(shape: Shape) -> Node:
    return fill(0, shape)


def ones(shape: Shape) -> Node:
    return fill(1, shape)


def fill_value(node: Node) -> Number | None:
    """The number when every entry of ``node`` is known to be it by construction, else ``None``."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Einsum) and not node.factors:
        return node.coefficient
    return None


def is_zero(node: Node) -> bool:
    return fill_value(node) == 0


def einsum(
    coefficient: int | Number,
    factors: Iterable[tuple[Node, Iterable[Hashable]]],
    output: Iterable[Hashable],
    extents: Mapping[Any, Dim] | None = None,
) -> Node:
    """The bracket ``coefficient · factors | output``; ``extents`` gives sizes of labels that no factor carries.

    Folds: numbers and constant tensors go into the coefficient, a sum over a label that no factor carries multiplies by its size,
    a zero coefficient drops the factors, and a bracket that does nothing is its factor.

        (3 𝟏_j A_i | i)  ->  (3 J A_i | i)          (A_ij | ij)  ->  A
    """
    coefficient = exact(coefficient)
    out = tuple(output)
    sizes: dict[Hashable, Dim] = dict(extents or {})
    kept: list[tuple[Node, tuple[Hashable, ...]]] = []
    mentioned: dict[Hashable, None] = dict.fromkeys(out)
    folded = False
    for node, carried in factors:
        labels = tuple(carried)
        assert len(labels) == node.rank, (node, labels)
        for label, extent in zip(labels, node.shape, strict=True):
            known = sizes.setdefault(label, extent)
            assert known is extent or known.constant is None or extent.constant is None, (label, known, extent)
            mentioned[label] = None
        value = fill_value(node)
        if value is None:
            kept.append((node, labels))
        else:
            coefficient = product(coefficient, value)
            folded = True
    if folded:
        carried_labels = {label for _, labels in kept for label in labels}
        for label in mentioned:
            if label not in carried_labels and label not in out:
                extent = sizes[label]
                if extent.constant is None:
                    kept.append((Size(extent), ()))
                else:
                    coefficient = product(coefficient, exact(extent.constant))
    if not coefficient:
        kept = []
    if not kept and not out:
        return Literal(coefficient)
    if len(kept) == 1 and coefficient == 1 and isinstance(coefficient, Fraction) and kept[0][1] == out:
        if len(set(out)) == len(out) and kept[0][0].dtype == "real":
            return kept[0][0]
    numbers: dict[Hashable, int] = {}
    for label in (*out, *(label for _, labels in kept for label in labels)):
        numbers.setdefault(label, len(numbers))
    return Einsum(
        coefficient,
        tuple([(node, tuple([numbers[label] for label in labels])) for node, labels in kept]),
        tuple([numbers[label] for label in out]),
        tuple([sizes[label] for label in numbers]),
    )


def scale(coefficient: int | Number, node: Node) -> Node:
    """``coefficient`` times ``node``; a coefficient is merged into the bracket that ``node`` is."""
    if isinstance(node, Einsum):
        return einsum(
            product(exact(coefficient), node.coefficient), node.factors, node.output, dict(enumerate(node.extents))
        )
    labels = range(node.rank)
    return einsum(coefficient, [(node, labels)], labels)


def add(terms: Iterable[Node], shape: Shape | None = None) -> Node:
    """Sum of terms of one shape without the zero ones; of no terms, zeros of ``shape``."""
    given = list(terms)
    kept = [term for term in given if not is_zero(term)]
    if not kept:
        assert given or shape is not None
        return given[0] if given else zeros(shape or ())
    return kept[0] if len(kept) == 1 else Add(tuple(kept))


def subtract(left: Node, right: Node) -> Node:
    return add([left, scale(-1, right)])


def multiply(*nodes: Node) -> Node:
    """Element-wise product of nodes of one shape, rank-0 ones among them as scalars."""
    shape = max((node.shape for node in nodes), key=len)
    labels = tuple(range(len(shape)))
    return einsum(1, [(n, labels if n.rank else ()) for n in nodes], labels, dict(enumerate(shape)))


def broadcast(node: Node, shape: Shape, axes: Sequence[int]) -> Node:
    """``node`` spread over ``shape``: its axis k becomes axis ``axes[k]``; constant along the others."""
    return einsum(1, [(node, tuple(axes))], range(len(shape)), dict(enumerate(shape)))


def permute(node: Node, order: Sequence[int]) -> Node:
    """Axis t of the result is axis ``order[t]`` of ``node``, as NumPy's ``transpose``."""
    return einsum(1, [(node, range(node.rank))], tuple(order))


def power(node: Node, exponent: int | Number) -> Node:
    """Element-wise constant power; exponents 0 and 1 and powers of numbers fold."""
    exponent = exact(exponent)
    if exponent == 0:
        return ones(node.shape)
    if exponent == 1:
        return node
    value = fill_value(node)
    if value is not None:
        return fill(number_power(value, exponent), node.shape)
    return Pointwise("power", (node,), exponent)


def number_power(base: Number, exponent: Number) -> Number:
    """``base ** exponent`` of numbers, exact where it is a fraction; NumPy's value at the edges."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        if base != 0 and abs(exponent.numerator) <= 64:
            return base**exponent.numerator
    x, y = float(base), float(exponent)
    if x == 0 and y < 0:
        return math.inf
    if x < 0 and y != math.floor(y):
        return math.nan
    try:
        return float(x**y)
    except OverflowError:
        return math.inf


def reciprocal(node: Node) -> Node:
    return power(node, -1)


def pointwise(function: str, *args: Node) -> Node:
    """An element-wise function; rank-0 arguments are spread over the shape of the others."""
    shape = max((arg.shape for arg in args), key=len)
    spread = tuple(arg if arg.rank == len(shape) else broadcast(arg, shape, ()) for arg in args)
    if function == "sqrt":
        return power(spread[0], Fraction(1, 2))
    return Pointwise(function, spread)


def compare(operator: str, left: Node, right: Node) -> Node:
    """Element-wise comparison; a rank-0 side is spread over the other."""
    shape = max(left.shape, right.shape, key=len)
    left, right = (n if n.rank == len(shape) else broadcast(n, shape, ()) for n in (left, right))
    return Compare(operator, left, right)


def select(condition: Node, yes: Node, no: Node) -> Node:
    """``where(condition, yes, no)``; equal branches need no condition."""
    return yes if yes is no else Select(condition, yes, no)


def window(arg: Node, axis: int, offset: int | Dim, steps: Sequence[int], extents: Sequence[Dim]) -> Node:
    """:class:`Window`; the whole axis is the argument itself, a constant tensor stays constant."""
    offset = Dim.of(offset)
    if tuple(steps) == (1,) and offset.constant == 0 and extents[0] is arg.shape[axis]:
        return arg
    value = fill_value(arg)
    if value is not None:
        return fill(value, (*arg.shape[:axis], *extents, *arg.shape[axis + 1 :]))
    return Window(arg, axis, offset, tuple(steps), tuple(extents))


def overlap(arg: Node, axis: int, offset: int | Dim, steps: Sequence[int], extent: Dim) -> Node:
    """:class:`Overlap`; the whole axis is the argument itself, zeros stay zeros."""
    offset = Dim.of(offset)
    if tuple(steps) == (1,) and offset.constant == 0 and extent is arg.shape[axis]:
        return arg
    if is_zero(arg):
        return zeros((*arg.shape[:axis], extent, *arg.shape[axis + len(steps) :]))
    return Overlap(arg, axis, offset, tuple(steps), extent)


def entry(arg: Node, axis: int, position: int | Dim) -> Node:
    """The sub-tensor at ``position`` (counted from 0) of one axis."""
    return window(arg, axis, position, (), ())


def delta(extent: Dim) -> Delta:
    """The identity matrix ``(δ_ij | ij)``."""
    return Delta(extent)


def project(node: Recurrence, index: int) -> Project:
    return Project(node, index)
