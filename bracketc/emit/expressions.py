"""Python expressions with their precedence, so that parentheses follow from one rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Number

COMPARE, ADD, MATMUL, MULTIPLY, UNARY, POSTFIX, ATOM = 10, 50, 55, 60, 70, 90, 100
# `@` stands below `*` here: s * (X @ W) and -(X @ W) scale the product, not its larger operand.


@dataclass(frozen=True, slots=True)
class Expression:
    """Text of a Python expression and how tightly its outermost operator binds."""

    text: str
    level: int = ATOM

    def at(self, level: int) -> str:
        """The text where an operand of at least ``level`` is needed."""
        return self.text if self.level >= level else f"({self.text})"


def call(function: str, *arguments: str) -> Expression:
    return Expression(f"{function}({', '.join(arguments)})", POSTFIX)


def binary(operator: str, left: Expression, right: Expression) -> Expression:
    """``left operator right`` for ``+ - * / @``; all group to the left."""
    if operator == "@":
        return Expression(f"{left.at(UNARY)} @ {right.at(UNARY)}", MATMUL)
    level = ADD if operator in "+-" else MULTIPLY
    return Expression(f"{left.at(level)} {operator} {right.at(level + 1)}", level)


def negative(arg: Expression) -> Expression:
    # -a / b and -(a / b) are the same number, so that a product needs no parentheses.
    return Expression(f"-{arg.at(MULTIPLY)}", MULTIPLY if arg.level < UNARY else UNARY)


def subscript(arg: Expression, index: str) -> Expression:
    return Expression(f"{arg.at(POSTFIX)}[{index}]", POSTFIX)


def number(value: Number) -> Expression:
    """The shortest text with exactly the value that float64 rounding gives.

    >>> number(Fraction(1, 2)).text, number(Fraction(1, 3)).text, number(Fraction(-4)).text
    ('0.5', '1 / 3', '-4')
    """
    if isinstance(value, Fraction):
        if value.denominator == 1 and abs(value.numerator) < 2**31:
            return _signed(str(value.numerator))
        try:
            rounded = float(value)
        except OverflowError:
            return _signed("np.inf" if value > 0 else "-np.inf")
        text = repr(rounded)
        if Fraction(text) == value or abs(value.numerator) >= 2**31 or value.denominator >= 2**31:
            return _signed(text)
        return Expression(f"{value.numerator} / {value.denominator}", MULTIPLY)
    if math.isnan(value):
        return Expression("np.nan", POSTFIX)
    if math.isinf(value):
        return _signed("np.inf" if value > 0 else "-np.inf")
    return _signed(repr(value))


def _signed(text: str) -> Expression:
    return Expression(text, UNARY if text.startswith("-") else ATOM)


def size(dim: Dim, names: Mapping[str, str] | None = None) -> Expression:
    """A size as Python arithmetic on the names of sizes.

    >>> size(2 * Dim.named("N") + 1).text
    '2 * N + 1'
    """
    total: Expression | None = None
    for monomial, factor in sorted(dim.terms, key=lambda term: (-len(term[0]), term[0])):
        words = [(names or {}).get(name, name) for name, power in monomial for _ in range(power)]
        if abs(factor) != 1 or not words:
            words.insert(0, str(abs(factor)))
        term = Expression(" * ".join(words), MULTIPLY if len(words) > 1 else ATOM)
        if total is None:
            total = term if factor > 0 else negative(term)
        else:
            total = binary("+" if factor > 0 else "-", total, term)
    return total or Expression("0")


def shape(extents: Sequence[Dim], names: Mapping[str, str] | None = None) -> str:
    """A shape as a tuple: ``(N, 2 * h)``, ``(N,)``, ``()``."""
    return tuple_of([size(extent, names).text for extent in extents])


def tuple_of(items: Sequence[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
