"""Formulas as presentation MathML, from the same display tree as LaTeX: one more notation beside it.

What comes in may be text of the source (a label, an entry, a number) or markup already; :func:`piece` makes markup of
either, and escapes every character on its way.

>>> MathML().transpose(MathML().name("X")).body
'<msup><mi>X</mi><mi mathvariant="normal">T</mi></msup>'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape

from bracketc.emit.notation import DOT, ELEMENTWISE, FORMAL, MATRIX, POSTFIX, POWER, SUM, Notation, Text
from bracketc.emit.portions import Slot
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Number

PRODUCT = '<mo lspace="0" rspace="0.17em">&#x2062;</mo>'
"""Invisible times with a thin space: factors of a product side by side."""

DIVIDER = '<mo lspace="0.3em" rspace="0.3em" fence="false" stretchy="false">|</mo>'
"""The bar of an index bracket."""

_OPERATORS = {"-": "−", "<=": "≤", ">=": "≥", "==": "=", "!=": "≠", "..": "…", "*": "⊙"}
_TOKEN = re.compile(r"(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(?P<name>[^\W\d_][^\W_]*'*)|(?P<operator>\.\.|[<>=!]=|\S)|\s+")
_TAG = re.compile(r"(<[^>]*>)")


def row(*parts: str) -> str:
    """Parts side by side as one."""
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


def operator(text: str) -> str:
    return f"<mo>{escape(_OPERATORS.get(text, text), quote=False)}</mo>"


_TALL = ("<mfrac", "<mtable", "<munder", "<msqrt")
"""What is higher than a line, so that brackets around it grow."""


def fenced(inner: str, left: str = "(", right: str = ")") -> str:
    flat = "" if any(tall in inner for tall in _TALL) else ' stretchy="false"'
    return f"<mrow><mo{flat}>{left}</mo>{inner}<mo{flat}>{right}</mo></mrow>"


def separated(parts: Iterable[str], separator: str) -> str:
    first, *others = parts
    return row(first, *(separator + other for other in others))


def listed(parts: Iterable[str]) -> str:
    """Parts with commas between them."""
    return "<mo>,</mo>".join(parts)


def sub(base: str, below: str) -> str:
    return f"<msub>{row(base)}{below}</msub>" if below else base


def sup(base: str, above: str) -> str:
    return f"<msup>{base}{above}</msup>"


def fraction(above: str, below: str) -> str:
    return f"<mfrac>{above}{below}</mfrac>"


def barred(inner: str) -> str:
    """With a bar over all of it: summed. Fonts have no bar that grows over more than a letter, so a border is drawn."""
    if re.fullmatch(r"<(mi|mn)[^<>]*>[^<>]</\1>", inner):
        return f'<mover accent="true">{inner}<mo stretchy="false">‾</mo></mover>'
    return f'<mrow style="border-top:.06em solid;padding-top:.1em">{inner}</mrow>'


def words(text: str) -> str:
    return f"<mtext>{escape(text, quote=False)}</mtext>"


def identifier(name: str) -> str:
    """A name of the source: its digits below, its primes above.

    >>> identifier("W1"), identifier("lam'")
    ('<msub><mi>W</mi><mn>1</mn></msub>', '<msup><mi>lam</mi><mo>′</mo></msup>')
    """
    found = re.fullmatch(r"(.*?)(\d*)('*)", name, re.DOTALL)
    assert found is not None
    word, digits, primes = found.groups()
    if not word:
        word, digits = digits, ""
    below = f"<mn>{digits}</mn>" if digits else ""
    above = f"<mo>{'′' * len(primes)}</mo>" if primes else ""
    base = f"<mi>{escape(word, quote=False)}</mi>"
    if below and above:
        return f"<msubsup>{base}{below}{above}</msubsup>"
    return sub(base, below) if below else sup(base, above) if above else base


def number(text: str) -> str:
    """A number as typed; a power of ten for an exponent."""
    digits, _, exponent = text.partition("e")
    if not exponent:
        return f"<mn>{digits}</mn>"
    ten = sup("<mn>10</mn>", raw(str(int(exponent))))
    return ten if digits in ("1", "1.0") else row(f"<mn>{digits}</mn>", "<mo>·</mo>", ten)


def raw(text: str) -> str:
    """Markup for a short text of the source: ``t-1``, ``2 N``, ``·``."""
    found = []
    for token in _TOKEN.finditer(text):
        if token["number"]:
            found.append(number(token["number"]))
        elif token["name"]:
            found.append(identifier(token["name"]))
        elif token["operator"]:
            found.append(operator(token["operator"]))
    return row(*found) if found else "<mrow></mrow>"


def piece(text: str) -> str:
    """One element for a text that may be markup already, or a mixture.

    >>> piece("-<mi>X</mi>")
    '<mrow><mo>−</mo><mi>X</mi></mrow>'
    """
    found: list[str] = []
    depth = 0
    for part in _TAG.split(text):
        if part.startswith("<"):
            if depth == 0:
                found.append("")
            depth += -1 if part.startswith("</") else 0 if part.endswith("/>") else 1
            found[-1] += part
        elif depth:
            found[-1] += part
        elif part.strip():
            found.append(raw(part))
    return row(*found) if found else "<mrow></mrow>"


def math(body: str, alternative: str, display: bool = False) -> str:
    """A ``math`` element; ``alternative`` is the formula as text, for who cannot see it."""
    block = ' display="block"' if display else ""
    return f'<math{block} alttext="{escape(alternative)}">{piece(body)}</math>'


class MathML(Notation):
    """Formulas as they are typeset, in MathML Core."""

    def __init__(self) -> None:
        super().__init__("mathml")

    @property
    def reads_back(self) -> bool:
        return False

    # ------------------------------------------------------------------------------------------ parts
    def at(self, operand: Text, level: int) -> str:
        if operand.level >= level and not operand.negative:
            return piece(operand.body)
        return self.group(operand.text)

    def group(self, text: str) -> str:
        return fenced(piece(text))

    def symbol(self, char: str) -> str:
        return char

    def name(self, name: str) -> Text:
        found = re.fullmatch(r"∇\[(.+)\]\((.+)\)", name)
        if found is None:
            return Text(self._named(name))
        return Text(self.derivative("gradient", found[2], [found[1]]), FORMAL)

    def _named(self, name: str) -> str:
        """A name that may be a member of a family: ``W[1]``."""
        word, bracket, entries = name.partition("[")
        if not bracket:
            return identifier(name)
        return sub(identifier(word), raw(entries.removesuffix("]")))

    def number(self, value: Number) -> Text:
        text = super().number(value)
        if text.body.startswith("<"):
            return text
        if text.body in ("inf", "nan"):
            return replace(text, body=f"<mi>{'∞' if text.body == 'inf' else 'nan'}</mi>")
        # A plain number stays text, so that a factor 1 is seen and left out.
        return replace(text, body=number(text.body), level=FORMAL) if "e" in text.body else text

    def size(self, dim: Dim) -> Text:
        text = super().size(dim)
        return replace(text, body=self._dim(dim))

    def _dim(self, dim: Dim | str) -> str:
        """A polynomial of sizes, its products side by side."""
        terms = re.split(r"( [+-] )", str(dim))
        return row(*(operator(t.strip()) if t in (" + ", " - ") else self._monomial(t) for t in terms))

    def _monomial(self, text: str) -> str:
        sign = operator("-") if text.startswith("-") else ""
        return row(sign + PRODUCT.join(raw(factor) for factor in text.removeprefix("-").split(" ")), *([""] if sign else []))

    def ones(self, extents: Sequence[Dim], sized: bool) -> Text:
        one = '<mn class="ones">𝟏</mn>'
        if sized or len(extents) > 1:
            return Text(sub(one, separated(map(self._dim, extents), "<mo>×</mo>")))
        return Text(one)

    def delta(self, labels: Sequence[str]) -> str:
        return sub("<mi>δ</mi>", self._bare(labels))

    # ------------------------------------------------------------------------------------------ products
    def matrix_product(self, operands: Sequence[Text]) -> Text:
        return Text(separated((self.at(o, POWER) for o in operands), PRODUCT), MATRIX)

    def formal_product(self, operands: Sequence[Text], ranks: Sequence[int]) -> Text:
        if list(ranks) == [1, 1]:
            return self.matrix_product([operands[0], self.transpose(operands[1])])
        if 0 in ranks:
            return Text(separated((self.at(o, POWER) for o in operands), PRODUCT), FORMAL)
        return Text(separated((self.at(o, POWER) for o in operands), "<mo>⊗</mo>"), ELEMENTWISE)

    def elementwise(self, operands: Sequence[Text]) -> Text:
        return Text(separated((self.at(o, FORMAL) for o in operands), "<mo>⊙</mo>"), ELEMENTWISE)

    def divide(self, left: Text, right: Text, scalar: bool) -> Text:
        if scalar:
            return Text(fraction(piece(left.body), piece(right.text)), POSTFIX, left.negative)
        return Text(row(self.at(left, FORMAL), "<mo>⊘</mo>", self.at(right, POWER)), ELEMENTWISE, left.negative)

    def quotient(self, left: Text, right: Text) -> Text:
        return Text(fraction(piece(left.text), piece(right.text)))

    def dot(self, left: Text, right: Text) -> Text:
        return Text(row(self.at(left, FORMAL), "<mo>·</mo>", self.at(right, POWER)), DOT)

    def scaled(self, coefficient: Text, operand: Text) -> Text:
        body = piece(operand.body) if operand.level > DOT else self.group(operand.body)
        sign = coefficient.negative != operand.negative
        if coefficient.body == "1":
            return self.negative(operand) if coefficient.negative else operand
        front = self.at(replace(coefficient, negative=False), FORMAL)
        level = min(operand.level, FORMAL) if operand.level > DOT else FORMAL
        return Text(row(front, PRODUCT, body), level, sign)

    def scalars(self, operands: Sequence[Text]) -> Text:
        if len(operands) == 1:
            return operands[0]
        return Text(separated((self.at(o, POWER) for o in operands), PRODUCT), FORMAL)

    # ------------------------------------------------------------------------------------------ sums
    def negative(self, operand: Text) -> Text:
        if operand.level <= SUM and not operand.negative:
            return Text(self.group(operand.body), POSTFIX, True)
        return replace(operand, negative=not operand.negative)

    def sum(self, terms: Sequence[Text], spread: Sequence[Text] = ()) -> Text:
        first, *rest = terms
        spread = list(spread)
        out: list[str] = []
        if first.negative and len(terms) == 1 and spread and not spread[0].negative:
            out += [self._term(spread.pop(0)), "<mo>⊖</mo>", self._term(first)]
        else:
            out += [*([operator("-")] if first.negative else []), self._term(first)]
        for term in rest:
            out += [operator("-" if term.negative else "+"), self._term(term)]
        for term in spread:
            out += [operator("⊖" if term.negative else "⊕"), self._term(term)]
        return Text(row(*out), SUM)

    def _term(self, term: Text) -> str:
        return piece(term.body) if term.level > SUM else self.group(term.body)

    # ------------------------------------------------------------------------------------------ postfixes, functions
    def transpose(self, operand: Text) -> Text:
        return Text(sup(self.at(operand, POSTFIX), '<mi mathvariant="normal">T</mi>'))

    def permuted(self, operand: Text, positions: Sequence[int]) -> Text:
        order = '<mspace width="0.2em"/>'.join(f"<mn>{p}</mn>" for p in positions)
        return Text(sub(self.group(operand.text), fenced(order)))

    def diagonal(self, operand: Text) -> Text:
        return self.call("diag", [operand])

    def power(self, operand: Text, exponent: Number) -> Text:
        return Text(sup(self.at(operand, POSTFIX), piece(self.number(exponent).text)), POWER)

    def call(self, function: str, arguments: Sequence[Text], kept: Sequence[int] = ()) -> Text:
        given = listed(piece(a.text) for a in arguments)
        if function == "sqrt":
            return Text(f"<msqrt>{given}</msqrt>")
        if function == "abs":
            return Text(fenced(given, "|", "|"))
        if function == "norm2":
            return Text(sup(fenced(given, "‖", "‖"), "<mn>2</mn>"), POWER)
        if function == "inv" and not kept:
            return Text(sup(self.at(arguments[0], POSTFIX), row(operator("-"), "<mn>1</mn>")), POWER)
        head = self._function(function)
        if kept:
            head = sup(head, row("".join(f"<mn>{p}</mn>" for p in kept), ""))
        return Text(row(head, '<mo lspace="0" rspace="0">&#x2061;</mo>', fenced(given)))

    def _function(self, function: str) -> str:
        if "<" in function:
            return piece(function)
        return f'<mi mathvariant="normal">{escape(function, quote=False)}</mi>' if len(function) == 1 else identifier(function)

    def reduction(self, function: str, labels: Sequence[str], operand: str) -> str:
        below = listed(map(raw, labels))
        head = f"<mo>{'∑' if function == 'sum' else '∏'}</mo>" if function in ("sum", "prod") else self._function(function)
        return row(f"<munder>{head}{row(below, '')}</munder>", self.group(operand))

    def condition(self, operator_: str, left: Text, right: Text) -> Text:
        return Text(row(piece(left.text), operator(operator_), piece(right.text)), SUM)

    def where(self, condition: Text, yes: Text, no: Text) -> Text:
        cells = ((yes.text, piece(condition.text)), (no.text, words("otherwise")))
        rows = "".join(f"<mtr><mtd>{piece(value)}</mtd><mtd>{when}</mtd></mtr>" for value, when in cells)
        return Text(row("<mo>{</mo>", f'<mtable class="cases">{rows}</mtable>'), DOT)

    # ------------------------------------------------------------------------------------------ brackets and indices
    def labelled(self, operand: Text, labels: Sequence[str]) -> str:
        return sub(self.at(operand, POSTFIX), self._bare(labels))

    def bracket(self, body: str, labels: Sequence[str]) -> Text:
        return Text(fenced(f"{piece(body)}{DIVIDER}{self._bare(labels)}"))

    def entries(self, factors: Sequence[str], divisors: Sequence[str]) -> str:
        above, below = (separated(map(piece, texts), PRODUCT) if texts else "" for texts in (factors, divisors))
        return fraction(above, below) if divisors else above

    def index(self, operand: Text, entries: Sequence[str]) -> Text:
        return Text(sub(self.at(operand, POSTFIX), piece(listed(map(piece, entries)))))

    def slice(self, first: str, last: str) -> str:
        return f"{first}..{last}"

    def _bare(self, labels: Sequence[str]) -> str:
        if not labels:
            return '<mspace width="0.3em"/>'
        return row("".join(identifier(label) for label in labels), "")

    # ------------------------------------------------------------------------------------------ portions
    def portion(self, operand: Text, slots: Sequence[Slot], tag: int | None = None) -> Text:
        between = '<mspace width="0.2em"/>' if any(p > 9 for slot in slots for p in slot.positions) else ""
        texts = []
        for slot in slots:
            inner = row(between.join(f"<mn>{position}</mn>" for position in slot.positions), "")
            inner = inner if len(slot.positions) == 1 else fenced(inner, "[", "]")
            texts.append(barred(inner) if slot.barred else inner)
        base, below = self.at(operand, POSTFIX), row(between.join(texts), "")
        if tag is None:
            return Text(sub(base, below))
        return Text(f"<msubsup>{base}{below}{fenced(f'<mn>{tag}</mn>')}</msubsup>")

    def bar(self, operand: Text) -> Text:
        return Text(barred(self.at(operand, POWER)))

    def fusion(self, members: Sequence[Text]) -> Text:
        return Text(fenced(self.side_by_side(members), "[", "]"), POWER)

    def side_by_side(self, items: Sequence[Text]) -> str:
        return separated((self.at(item, FORMAL) for item in items), PRODUCT)

    # ------------------------------------------------------------------------------------------ whole lines
    def derivative(self, kind: str, output: str, wrt: Sequence[str]) -> str:
        operator_ = '<mi mathvariant="normal">∇</mi>' if kind != "jacobian" else "<mi>Jac</mi>"
        heads = [sub(operator_, self._named(name)) for name in wrt]
        return row(*heads, '<mspace width="0.17em"/>', self._named(output))

    def equation(self, left: str, right: str, condition: str) -> str:
        return row(piece(left), operator("="), piece(right), *([condition] if condition else []))

    def range(self, variable: str, first: str, last: str) -> str:
        span = row(raw(variable), operator("="), self._entry(first), "<mo>,</mo><mo>…</mo><mo>,</mo>", self._entry(last))
        return f'<mspace width="2em"/>{span}'

    def _entry(self, text: str) -> str:
        return piece(text)

    def lines(self, equations: Sequence[str]) -> str:
        rows = "".join(f"<mtr><mtd>{piece(equation)}</mtd></mtr>" for equation in equations)
        return f'<math display="block"><mtable>{rows}</mtable></math>'
