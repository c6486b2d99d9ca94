"""Factors of a bracket on the way to pairwise products: what scales it, brackets that are the same, deltas that leave.

    (δ_ij A_jk | ik)  ->  (A_ik | ik)
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from bracketc.ir import build
from bracketc.ir.nodes import Delta, Einsum, Labels, Node, Number
from bracketc.plan.scalars import Scalars
from bracketc.plan.values import Formula, Value, put_real

Factor = tuple[Value, Labels]
"""A factor of a bracket: label k belongs to axis k of the value."""


class Scale:
    """A number and rank-0 values that a bracket is multiplied by."""

    __slots__ = ("coefficient", "values")

    def __init__(self, coefficient: Number, values: tuple[Value, ...]) -> None:
        self.coefficient = coefficient
        self.values = values

    @property
    def is_one(self) -> bool:
        return self.coefficient == 1 and not self.values

    def put(self, scalars: Scalars, args: list[int]) -> int:
        """The product of everything: the scalars first, since they are computed outside of all loops."""
        if self.coefficient == -1 and not self.values and args:
            return scalars.emit("negate", scalars.multiply(args))
        front = [] if self.coefficient == 1 and (self.values or args) else [scalars.constant(self.coefficient)]
        front += [put_real(scalars, value, ()) for value in self.values]
        return scalars.multiply([*front, *args])

    def put_values(self, scalars: Scalars, args: list[int]) -> int:
        """The product without the coefficient, which stands elsewhere."""
        return scalars.multiply([*(put_real(scalars, value, ()) for value in self.values), *args])


def pattern(factors: Iterable[Factor], output: Labels) -> tuple[object, ...]:
    """Factors and output with labels in order of appearance: equal for brackets that differ in the names of labels."""
    names: dict[int, int] = {}
    listed = tuple((value, tuple(names.setdefault(x, len(names)) for x in labels)) for value, labels in factors)
    return listed, tuple(names.setdefault(label, len(names)) for label in output)


def is_delta(factor: Factor, output: Labels) -> bool:
    """Whether a factor is best left for last: a formula with a delta of which nothing is summed."""
    value, labels = factor
    with_delta = isinstance(value, Formula) and any(i.operation == "delta" for i in value.program)
    return with_delta and all(label in output for label in labels)


def without_deltas(node: Einsum) -> Einsum:
    """Contract every delta that carries a summed label; drop the diagonal of a delta, which is 1.

    (δ_ij A_jk | ik)  ->  (A_ik | ik)
    """
    if not any(isinstance(factor, Delta) for factor, _ in node.factors):
        return node
    renamed = list(range(len(node.extents)))

    def find(label: int) -> int:
        while renamed[label] != label:
            label = renamed[label]
        return label

    kept: list[tuple[Node, Labels]] = []
    for factor, labels in node.factors:
        if not isinstance(factor, Delta):
            kept.append((factor, labels))
            continue
        first, second = (find(label) for label in labels)
        if first == second:
            kept.append((build.ones((factor.extent,)), (first,)))  # a label that nothing else carries keeps its sum
        elif first not in node.output or second not in node.output:
            gone, stays = (first, second) if first not in node.output else (second, first)
            renamed[gone] = stays
            kept.append((build.ones((factor.extent,)), (stays,)))
        else:
            kept.append((factor, (first, second)))
    factors = [(factor, tuple(find(label) for label in labels)) for factor, labels in kept]
    result = build.einsum(node.coefficient, factors, node.output, dict(enumerate(node.extents)))
    if isinstance(result, Einsum):
        return result
    labels = tuple(range(result.rank))
    return Einsum(Fraction(1), ((result, labels),), labels, result.shape)
