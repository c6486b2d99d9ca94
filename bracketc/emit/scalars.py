"""The scalars in front of a product, and the constants of the source among its numbers.

    -1 N^-1 (…)   ->   -(1/N) (…)          0.0005 (…)   ->   (lam/2) (…)  where the source says  const lam = 1e-3
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol

from bracketc.emit.notation import FormName, Notation, Text
from bracketc.ir.build import product
from bracketc.ir.nodes import Einsum, Labels, Literal, Node, Number, Pointwise, Size, Tensor

ONE = Text("1")

_RATIOS = sorted(
    {Fraction(above, below) for above in (1, 2, 3, 4, 6, 8, 12) for below in (1, 2, 3, 4, 6, 8, 12)},
    key=lambda ratio: (ratio.numerator + ratio.denominator, ratio.denominator),
)
"""What a derivative may have made of a constant, simplest first."""


class TextOf(Protocol):
    """The text of an operand; ones in it need not be ``sized`` where something beside them gives their size."""

    def __call__(self, node: Node, sized: bool = True) -> Text: ...


@dataclass(frozen=True, slots=True)
class Writer:
    """What the text of a bracket needs from its surroundings: the text of operands, and how to spell."""

    notation: Notation
    text: TextOf
    is_named: Callable[[Node], bool]
    form: FormName = "auto"
    sized: bool = False
    note: Callable[[Einsum, Sequence[tuple[Node, Labels]], Text], None] = lambda node, tensors, text: None  # told of brackets
    constants: Mapping[str, Number] = field(default_factory=dict)


def is_telling(value: Number) -> bool:
    """Whether a number is seldom enough to be a constant of the source wherever it stands: 2 and 1/2 come from anywhere."""
    size = abs(Fraction(value)) if value == value and abs(value) != float("inf") else Fraction(0)
    return size.numerator > 12 or size.denominator > 4


def constant_in(value: Number, constants: Mapping[str, Number]) -> tuple[str, Fraction] | None:
    """A constant of the source and what it is multiplied by in ``value``, if that is simple: 0.002 is ``2 lam``."""
    if not is_telling(value):
        return None
    for ratio in _RATIOS:
        for name, known in constants.items():
            if isinstance(value, Fraction) == isinstance(known, Fraction) and abs(value) == abs(product(known, ratio)):
                return name, ratio if (value < 0) == (known < 0) else -ratio
    return None


def is_reciprocal(node: Node, writer: Writer) -> bool:
    """Whether ``node`` is written as a divisor."""
    return isinstance(node, Pointwise) and node.function == "power" and node.exponent == -1 and not writer.is_named(node)


def _divisor(node: Node, writer: Writer) -> Text | None:
    """What a scalar divides by: N of N^-1, sqrt(E) of E^-1/2."""
    if not isinstance(node, Pointwise) or node.exponent is None or not node.exponent < 0 or writer.is_named(node):
        return None
    text = writer.text(node.args[0])
    if node.exponent == -1:
        return text
    if node.exponent == Fraction(-1, 2):
        return writer.notation.call("sqrt", [text])
    return writer.notation.power(text, product(Fraction(-1), node.exponent))


def scalar_product(node: Einsum, scalars: Sequence[Node], writer: Writer) -> Text:
    """A product of scalars: what is long stands behind the short ones, -(1/N) (x · y)."""
    long = [factor for factor in scalars if _is_long(factor, writer)]
    coefficient = scalar_factor(node.coefficient, [factor for factor in scalars if factor not in long], writer)
    if not long:
        return coefficient
    return writer.notation.scaled(coefficient, writer.notation.scalars(list(map(writer.text, long))))


def _is_long(node: Node, writer: Writer) -> bool:
    if isinstance(node, Pointwise) and node.exponent is not None and node.exponent < 0:
        return False
    return not (isinstance(node, Tensor | Size | Literal) or writer.is_named(node))


def scalar_factor(coefficient: Number, scalars: Sequence[Node], writer: Writer) -> Text:
    """The scalars of a product as one factor: ``-(1/N)``, ``2/(N D)``, ``0.5``, ``lam``."""
    notation = writer.notation
    above: list[Text] = []
    below: list[Text] = []
    for node in scalars:
        divisor = _divisor(node, writer)
        if divisor is not None:
            below.append(divisor)
        else:
            above.append(writer.text(node))
    constant = constant_in(coefficient, writer.constants)
    if constant is not None:
        above.insert(0, notation.name(constant[0]))
        coefficient = constant[1]
    negative = False
    exact = isinstance(coefficient, Fraction) and max(abs(coefficient.numerator), coefficient.denominator) < 1000
    if isinstance(coefficient, Fraction) and exact and (below or constant):
        negative = coefficient < 0
        if abs(coefficient.numerator) != 1:
            above.insert(0, Text(str(abs(coefficient.numerator))))
        if coefficient.denominator != 1:
            below.insert(0, Text(str(coefficient.denominator)))
    elif not isinstance(coefficient, Fraction) or coefficient != 1:
        number = notation.number(coefficient)
        negative = number.negative
        if number.body != "1":
            above.insert(0, replace(number, negative=False))
    top = notation.scalars(above) if above else ONE
    if below:
        top = notation.quotient(top, notation.scalars(below))
    return replace(top, negative=negative != top.negative)
