"""A product under construction: operands with labels, fusions and sums, closed into one bracket.

Every way to multiply tensors in the language ends here: formal products, positional operators, ``⊗`` and ``@``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node
from bracketc.lang.scope import Elaboration
from bracketc.lang.values import Value


@dataclass(slots=True)
class Axis:
    """A dimension of the product: its size, whether it is an ``ι``, and where it was written."""

    extent: Dim
    row: bool
    span: Span


@dataclass(slots=True)
class Instance:
    """An occurrence of a tensor that is cut into portions: its labels, and the positions used so far."""

    name: str
    labels: tuple[int, ...]
    span: Span
    used: dict[int, Span] = field(default_factory=dict)


class Term:
    """Labels are integers; fused ones are found through :meth:`find`."""

    __slots__ = ("_axes", "_parents", "factors", "instances", "run", "summed")

    def __init__(self, run: Elaboration) -> None:
        self.run = run
        self.factors: list[tuple[Node, tuple[int, ...]]] = []
        self.instances: dict[object, Instance] = {}
        self.summed: dict[int, None] = {}
        self._axes: list[Axis] = []
        self._parents: list[int] = []

    def label(self, extent: Dim, row: bool, span: Span) -> int:
        """A new label."""
        self._parents.append(len(self._parents))
        self._axes.append(Axis(extent, row, span))
        return len(self._parents) - 1

    def find(self, label: int) -> int:
        """The label that stands for all that ``label`` is fused with."""
        while self._parents[label] != label:
            self._parents[label] = self._parents[self._parents[label]]
            label = self._parents[label]
        return label

    def operand(self, value: Value, span: Span) -> tuple[int, ...]:
        """New labels for a whole tensor."""
        labels = tuple(self.label(e, row, span) for e, row in zip(value.node.shape, value.rows, strict=True))
        self.factors.append((value.node, labels))
        return labels

    def fuse(self, left: int, right: int, span: Span, what: str = "the fused dimension") -> int:
        """Make two labels one; their sizes must agree."""
        left, right = self.find(left), self.find(right)
        if left == right:
            return left
        first, second = self._axes[left], self._axes[right]
        unify(self.run, (first.extent, first.span), (second.extent, second.span), what, span)
        self._parents[right] = left
        first.row = first.row and second.row
        return left

    def close(self, free: Sequence[int]) -> Value:
        """The product with the dimensions ``free``, in order; every other label must be summed."""
        out = tuple(self.find(label) for label in free)
        assert len(set(out)) == len(out), "a dimension is free twice"
        resolve = self.run.sizes.resolve
        factors = [(node, tuple(self.find(label) for label in labels)) for node, labels in self.factors]
        used = {label for _, labels in factors for label in labels}
        summed = [label for label in dict.fromkeys(map(self.find, self.summed)) if label not in used]
        for label in summed:  # a sum over ones alone counts them
            factors.append((build.ones((self._axes[label].extent,)), (label,)))
        extents: dict[Hashable, Dim] = {label: resolve(self._axes[label].extent) for label in (*out, *used, *summed)}
        return Value(build.einsum(1, factors, out, extents), tuple(self._axes[label].row for label in out))


def unify(run: Elaboration, left: tuple[Dim, Span], right: tuple[Dim, Span], what: str, span: Span) -> None:
    """Make two sizes equal; a conflict is an error that names both sizes and both places."""
    if run.sizes.unify(left[0], right[0]):
        return
    sizes = [run.sizes.resolve(size) for size in (left[0], right[0])]
    places = [place.text or "?" for place in (left[1], right[1])]
    run.problems.error(
        f"{what} has two sizes: {sizes[0]} in {_short(places[0])}, {sizes[1]} in {_short(places[1])}",
        span,
        _advice(sizes[0], sizes[1]),
        [(f"size {size}", place) for size, (_, place) in zip(sizes, (left, right), strict=True) if place != span],
    )


def _advice(left: Dim, right: Dim) -> str:
    if (left - right).constant is not None:
        return ""
    if Dim.of(1) in (left, right):
        return "a vector is a column; a row is x^T"
    return f"if {left} and {right} are always equal, give them one name"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else text[:37] + "..."


def outer(run: Elaboration, operands: Sequence[tuple[Value, Span]]) -> Value:
    """The Kronecker product: dimensions of all operands in order."""
    term = Term(run)
    free: list[int] = []
    for value, span in operands:
        free += term.operand(value, span)
    return term.close(free)
