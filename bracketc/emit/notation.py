"""How formulas are spelt: the notation of source files, in Unicode or ASCII.

Every method takes finished operands and gives a :class:`Text`, which knows how tightly its outermost operator
binds. Parentheses come from that alone. Levels follow the precedence of the language, except that a product is
parenthesised in some places where the language would not need it and a reader would.

>>> n = notation("unicode")
>>> n.matrix_product([n.transpose(n.name("X")), n.sum([n.name("A"), n.negative(n.name("B"))])]).text
'X^T @ (A - B)'
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal as OneOf

from bracketc.emit.portions import Slot
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Number
from bracketc.lang import notation as language
from bracketc.lang.spelling import spelled

StyleName = OneOf["unicode", "ascii", "latex", "mathml"]

FormName = OneOf["auto", "index", "bracket", "matrix"]
"""How products are written: by matrix products where they are some and by labels elsewhere (``auto`` and ``matrix``),
by labels always, or as portions and fusions."""

SUM, DOT, ELEMENTWISE, MATRIX = language.SUM, language.DOT, language.ELEMENTWISE, language.MATRIX
FORMAL, POWER, POSTFIX = language.SPACE, language.POWER, language.POSTFIX
"""How tightly operators bind: the levels of the language."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of a formula. ``negative`` is a minus sign in front of ``body``, which a sum turns into its operator."""

    body: str
    level: int = POSTFIX
    negative: bool = False

    @property
    def text(self) -> str:
        return f"-{self.body}" if self.negative else self.body


class Notation:
    """The notation of source files; what it prints reads back."""

    def __init__(self, style: StyleName) -> None:
        self.style: StyleName = style

    @property
    def reads_back(self) -> bool:
        """Whether formulas are source text, in which every size must be given by something."""
        return self.style != "latex"

    # ------------------------------------------------------------------------------------------ parts
    def at(self, operand: Text, level: int) -> str:
        """The operand where one of at least ``level`` is needed."""
        if operand.level >= level and not operand.negative:
            return operand.body
        return self.group(operand.text)

    def group(self, text: str) -> str:
        return f"({text})"

    def symbol(self, char: str) -> str:
        """An operator or symbol, given in Unicode."""
        return spelled(char, self.style)

    def name(self, name: str) -> Text:
        """A name of the source, or a gradient that stands for one: ``∇[Z](J)``."""
        return Text(name if self.style == "unicode" else name.replace("∇[", f"{self.symbol('∇')}["))

    def number(self, value: Number) -> Text:
        """An exact decimal where the number has a short one, else a quotient."""
        if isinstance(value, Fraction):
            size = abs(value)
            short = decimal(size)
            if size.denominator == 1 and (size < 10**6 or short is None):
                return Text(str(size), POSTFIX, value < 0)
            if short is not None:
                return Text(short, POSTFIX, value < 0)
            return replace(self.quotient(Text(str(size.numerator)), Text(str(size.denominator))), negative=value < 0)
        if math.isfinite(value) and value:
            ratio = Fraction(value / math.pi).limit_denominator(12)
            if ratio and abs(ratio.numerator) <= 12 and float(ratio) * math.pi == value:
                return self._times_pi(ratio)
        if math.isnan(value) or math.isinf(value):
            return Text("nan" if math.isnan(value) else "inf", POSTFIX, value < 0)
        return Text(repr(abs(value)), POSTFIX, math.copysign(1.0, value) < 0)

    def _times_pi(self, ratio: Fraction) -> Text:
        pi = self.name("pi")
        if abs(ratio) == 1:
            return replace(pi, negative=ratio < 0)
        front = self.number(abs(ratio))
        return Text(self.side_by_side([front, pi]), FORMAL, ratio < 0)

    def size(self, dim: Dim) -> Text:
        text = str(dim)
        if dim.constant is not None or text.isalnum():
            return Text(text)
        return Text(text, SUM if " + " in text or " - " in text or text.startswith("-") else FORMAL)

    def ones(self, extents: Sequence[Dim], sized: bool) -> Text:
        """The tensor of ones; its sizes are written where nothing else gives them."""
        symbol = self.symbol("𝟏")
        if sized:
            left, right = self.symbol("⟨"), self.symbol("⟩")
            return Text(f"{symbol}{left}{','.join(map(str, extents))}{right}")
        if len(extents) == 1:
            return Text(symbol)
        return Text(f"{symbol}{self._positions(range(1, len(extents) + 1))}")

    def identity(self, extent: Dim) -> Text:
        return self.call("eye", [self.size(extent)])

    def entry_of_identity(self, extent: Dim, entries: Sequence[str]) -> str:
        """1 where two entries of an index are equal."""
        return self.index(self.identity(extent), entries).text

    def delta(self, labels: Sequence[str]) -> str:
        return f"{self.symbol('δ')}{self._labels(labels)}"

    # ------------------------------------------------------------------------------------------ products
    def matrix_product(self, operands: Sequence[Text]) -> Text:
        return Text(" @ ".join(self.at(o, MATRIX if o.level == MATRIX else POWER) for o in operands), MATRIX)

    def formal_product(self, operands: Sequence[Text], ranks: Sequence[int]) -> Text:
        """Operands of ``ranks`` side by side: the axes of each in turn."""
        return Text(" ".join(self.at(o, FORMAL) for o in operands), FORMAL)

    def elementwise(self, operands: Sequence[Text]) -> Text:
        return Text(f" {self.symbol('⊙')} ".join(self.at(o, FORMAL) for o in operands), ELEMENTWISE)

    def divide(self, left: Text, right: Text, scalar: bool) -> Text:
        """``left`` by ``right``, element by element or by a scalar."""
        operator = "/" if scalar else self.symbol("⊘")
        return Text(f"{self.at(left, FORMAL)} {operator} {self.at(right, POWER)}", ELEMENTWISE, left.negative)

    def quotient(self, left: Text, right: Text) -> Text:
        """A quotient of short scalars: ``1/N``, ``1/(2 N)``."""
        return Text(f"{self.at(left, POWER)}/{self.at(right, POWER)}", ELEMENTWISE)

    def dot(self, left: Text, right: Text) -> Text:
        return Text(f"{self.at(left, FORMAL)} {self.symbol('·')} {self.at(right, POWER)}", DOT)

    def scaled(self, coefficient: Text, operand: Text) -> Text:
        """A scalar in front of a term: ``-(1/N) X^T @ r``."""
        body = operand.body if operand.level > DOT else self.group(operand.body)
        sign = coefficient.negative != operand.negative
        if coefficient.body == "1":
            return self.negative(operand) if coefficient.negative else operand
        front = self.at(replace(coefficient, negative=False), FORMAL)
        return Text(f"{front} {body}", min(operand.level, FORMAL) if operand.level > DOT else FORMAL, sign)

    def scalars(self, operands: Sequence[Text]) -> Text:
        """A product of scalars."""
        return operands[0] if len(operands) == 1 else Text(" ".join(self.at(o, POWER) for o in operands), FORMAL)

    # ------------------------------------------------------------------------------------------ sums
    def negative(self, operand: Text) -> Text:
        if operand.level <= SUM and not operand.negative:
            return Text(self.group(operand.body), POSTFIX, True)
        return replace(operand, negative=not operand.negative)

    def sum(self, terms: Sequence[Text], spread: Sequence[Text] = ()) -> Text:
        """Terms of one shape, and scalars that are added to each entry. One term at least is no scalar."""
        first, *rest = terms
        spread = list(spread)
        plus, minus = self.symbol("⊕"), self.symbol("⊖")
        if first.negative and len(terms) == 1 and spread and not spread[0].negative:  # 1 ⊖ Z rather than -Z ⊕ 1
            scalar = spread.pop(0)
            out = f"{self._term(scalar)} {minus} {self._term(first)}"
        else:
            out = ("-" if first.negative else "") + self._term(first)
        for term in rest:
            out += f" {'-' if term.negative else '+'} {self._term(term)}"
        for term in spread:
            out += f" {minus if term.negative else plus} {self._term(term)}"
        return Text(out, SUM)

    def _term(self, term: Text) -> str:
        return term.body if term.level > SUM else self.group(term.body)

    # ------------------------------------------------------------------------------------------ postfixes, functions
    def transpose(self, operand: Text) -> Text:
        return Text(f"{self.at(operand, POSTFIX)}^T")

    def permuted(self, operand: Text, positions: Sequence[int]) -> Text:
        """Axis t of the result is axis ``positions[t]``, counted from 1."""
        return Text(f"{self.at(operand, POSTFIX)}{self._positions(positions)}")

    def diagonal(self, operand: Text) -> Text:
        return Text(f"{self.at(operand, POSTFIX)}_{{[12]}}")

    def power(self, operand: Text, exponent: Number) -> Text:
        body = self.at(operand, POSTFIX)
        text = self.number(exponent)
        if text.level < POSTFIX:
            return Text(f"{body}**({text.text})", POWER)
        return Text(f"{body}**{text.text}", POWER)

    def call(self, function: str, arguments: Sequence[Text], kept: Sequence[int] = ()) -> Text:
        """A function; of tensors, mapped over the positions ``kept`` (counted from 1)."""
        power = f"^{self._list(kept)}" if kept else ""
        return Text(f"{function}{power}({', '.join(a.text for a in arguments)})")

    def reduction(self, function: str, labels: Sequence[str], operand: str) -> str:
        return f"{function}[{','.join(labels)}]({operand})"

    def condition(self, operator: str, left: Text, right: Text) -> Text:
        return Text(f"{left.text} {operator} {right.text}", SUM)

    def where(self, condition: Text, yes: Text, no: Text) -> Text:
        return self.call("where", (condition, yes, no))

    # ------------------------------------------------------------------------------------------ portions
    def portion(self, operand: Text, slots: Sequence[Slot], tag: int | None = None) -> Text:
        """Some dimensions of a tensor, ``X_1``, ``A_{~12}``; ``tag`` tells its occurrences apart: ``X#1_2``."""
        body = self.at(operand, POSTFIX) + ("" if tag is None else f"#{tag}")
        if all(len(slot.positions) == 1 and not slot.barred and slot.positions[0] < 10 for slot in slots):
            return Text(f"{body}_{''.join(str(slot.positions[0]) for slot in slots)}")
        between = "," if any(p > 9 for slot in slots for p in slot.positions) else ""
        texts = [self._slot(slot, between) for slot in slots]
        return Text(f"{body}_{{{between.join(texts)}{',' if between and len(texts) == 1 else ''}}}")

    def _slot(self, slot: Slot, between: str) -> str:
        if len(slot.positions) == 1:
            return f"{'~' if slot.barred else ''}{slot.positions[0]}"
        *rest, last = map(str, slot.positions)
        return f"[{between.join([*rest, f'~{last}' if slot.barred else last])}]"

    def bar(self, operand: Text) -> Text:
        """The sum over a factor of a formal product."""
        return Text(f"~{self.at(operand, POWER)}", FORMAL)

    def fusion(self, members: Sequence[Text]) -> Text:
        """Factors of one rank, multiplied dimension by dimension."""
        return Text(f"[{' '.join(self.at(m, FORMAL) for m in members)}]", POWER)

    def side_by_side(self, items: Sequence[Text]) -> str:
        """Factors of a formal product, one after the other."""
        return " ".join(self.at(item, FORMAL) for item in items)

    # ------------------------------------------------------------------------------------------ brackets and indices
    def labelled(self, operand: Text, labels: Sequence[str]) -> str:
        return f"{self.at(operand, POSTFIX)}{self._labels(labels)}"

    def bracket(self, body: str, labels: Sequence[str]) -> Text:
        return Text(f"({body} | {self._bare(labels)})".replace("| )", "| )"))

    def entries(self, factors: Sequence[str], divisors: Sequence[str]) -> str:
        """A product of labelled factors, as it stands left of the bar."""
        return " ".join(factors) + "".join(f" / {d}" for d in divisors)

    def index(self, operand: Text, entries: Sequence[str]) -> Text:
        """An entry or sub-tensor: ``X[t]``, ``(A + B)![2,·]``."""
        touches = re.fullmatch(r"[^\W\d_][^\W_]*'*", operand.body) is not None and not operand.negative
        body = operand.body if touches else f"{self.at(operand, POSTFIX)}!"
        return Text(f"{body}[{','.join(entries)}]")

    @property
    def whole(self) -> str:
        """The entry that takes a whole axis."""
        return self.symbol("·")

    def slice(self, first: str, last: str) -> str:
        return f"{first}..{last}"

    def _labels(self, labels: Sequence[str]) -> str:
        if all(len(label) == 1 for label in labels):
            return f"_{''.join(labels)}"
        return f"_{{{','.join(labels)}}}"

    def _bare(self, labels: Sequence[str]) -> str:
        if all(len(label) == 1 for label in labels):
            return "".join(labels)
        return ",".join(labels) if len(labels) > 1 else f"{{{labels[0]}}}"

    def _list(self, positions: Sequence[int]) -> str:
        if all(p < 10 for p in positions):
            return "".join(map(str, positions))
        return f"{{{','.join(map(str, positions))}{',' if len(positions) == 1 else ''}}}"

    def _positions(self, positions: Sequence[int]) -> str:
        return f"_{self._list(positions)}"

    # ------------------------------------------------------------------------------------------ whole lines
    def derivative(self, kind: str, output: str, wrt: Sequence[str]) -> str:
        """The left side of a derivative: ``∇[W](J)``, ``Jac[x](y)``."""
        operator = "Jac" if kind == "jacobian" else self.symbol("∇")
        inner = f"{operator}[{wrt[-1]}]({output})"
        for name in reversed(wrt[:-1]):
            inner = f"{operator}[{name}]({inner})"
        return inner

    def equation(self, left: str, right: str, condition: str) -> str:
        return f"{left} = {right}{condition}"

    def range(self, variable: str, first: str, last: str) -> str:
        return f"  for {variable} = {first}..{last}"

    def lines(self, equations: Sequence[str]) -> str:
        return "\n".join(equations)


def notation(style: StyleName) -> Notation:
    """The notation of a style."""
    if style == "mathml":
        from bracketc.emit.mathml import MathML  # made of what is defined here

        return MathML()
    if style == "latex":
        from bracketc.emit.latex_notation import Latex  # made of what is defined here

        return Latex()
    return Notation(style)


def decimal(value: Fraction, digits: int = 6) -> str | None:
    """A positive fraction as a decimal with at most ``digits`` significant places, when that is exact.

    >>> decimal(Fraction(1, 2)), decimal(Fraction(1, 3)), decimal(Fraction(1, 10**9))
    ('0.5', None, '1e-09')
    """
    try:
        rounded = f"{float(value):.{digits}g}".replace("e+", "e")
    except OverflowError:
        return None
    return rounded if Fraction(rounded) == value else None
