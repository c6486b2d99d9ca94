"""How formulas are spelt in LaTeX, under plain amsmath."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bracketc.emit.notation import DOT, ELEMENTWISE, FORMAL, MATRIX, POSTFIX, POWER, SUM, Notation, Text
from bracketc.emit.portions import Slot
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Number

_GREEK = dict(zip(
    "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ",
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta",
    "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"], strict=True,
))  # fmt: skip
_BUILT_IN = frozenset(("exp", "ln", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min", "det"))
_LATEX = {
    "⊙": r"\odot", "⊘": r"\oslash", "·": r"\cdot", "⊕": r"\oplus", "⊖": r"\ominus", "𝟏": r"\mathbf{1}",
    "δ": r"\delta", "∇": r"\nabla", "<=": r"\le", ">=": r"\ge", "==": "=", "!=": r"\ne",
}  # fmt: skip


class Latex(Notation):
    """Formulas as they are typeset: products side by side, rows as transposed columns, fractions."""

    def __init__(self) -> None:
        super().__init__("latex")

    def group(self, text: str) -> str:
        return rf"\left({text}\right)"

    def symbol(self, char: str) -> str:
        return _LATEX.get(char, char)

    def name(self, name: str) -> Text:
        found = re.fullmatch(r"∇\[(.+)\]\((.+)\)", name)
        if found is None:
            return Text(latex_name(name))
        return Text(self.derivative("gradient", found[2], [found[1]]), FORMAL)

    def number(self, value: Number) -> Text:
        text = super().number(value)
        if "e" in text.body:
            digits, _, exponent = text.body.partition("e")
            scale = f"10^{{{int(exponent)}}}"
            return Text(scale if digits in ("1", "1.0") else rf"{digits} \cdot {scale}", FORMAL, text.negative)
        if text.body in ("inf", "nan"):
            return replace(text, body=r"\infty" if text.body == "inf" else r"\mathrm{nan}")
        return text

    def size(self, dim: Dim) -> Text:
        text = super().size(dim)
        return replace(text, body=self._dim(dim))

    def _dim(self, dim: Dim | str) -> str:
        return re.sub(r"[^\W\d_]\w*'*", lambda m: latex_name(m[0]), str(dim)).replace("..", r",\dots,")

    def ones(self, extents: Sequence[Dim], sized: bool) -> Text:
        if sized or len(extents) > 1:
            sizes = r" \times ".join(self._dim(extent) for extent in extents)
            return Text(rf"\mathbf{{1}}_{{{sizes}}}")
        return Text(r"\mathbf{1}")

    def matrix_product(self, operands: Sequence[Text]) -> Text:
        return Text(r" \, ".join(self.at(o, MATRIX if o.level == MATRIX else POWER) for o in operands), MATRIX)

    def formal_product(self, operands: Sequence[Text], ranks: Sequence[int]) -> Text:
        if list(ranks) == [1, 1]:
            return self.matrix_product([operands[0], self.transpose(operands[1])])
        if 0 in ranks:
            return Text(r" \, ".join(self.at(o, POWER) for o in operands), FORMAL)
        return Text(r" \otimes ".join(self.at(o, POWER) for o in operands), ELEMENTWISE)

    def divide(self, left: Text, right: Text, scalar: bool) -> Text:
        if scalar:
            return Text(rf"\frac{{{left.body}}}{{{right.text}}}", POSTFIX, left.negative)
        return super().divide(left, right, scalar)

    def quotient(self, left: Text, right: Text) -> Text:
        return Text(rf"\frac{{{left.text}}}{{{right.text}}}")

    def transpose(self, operand: Text) -> Text:
        return Text(rf"{self._base(operand)}^{{\mathsf{{T}}}}")

    def _base(self, operand: Text) -> str:
        body = self.at(operand, POSTFIX)
        return f"{{{body}}}" if re.search(r"\^\{[^{}]*(\{[^{}]*\})?[^{}]*\}$", body) else body

    def permuted(self, operand: Text, positions: Sequence[int]) -> Text:
        order = r" \, ".join(map(str, positions))
        return Text(rf"\left({operand.text}\right)_{{({order})}}")

    def diagonal(self, operand: Text) -> Text:
        return self.call("diag", [operand])

    def power(self, operand: Text, exponent: Number) -> Text:
        text = self.number(exponent)
        return Text(rf"{self._base(operand)}^{{{text.text}}}", POWER)

    def call(self, function: str, arguments: Sequence[Text], kept: Sequence[int] = ()) -> Text:
        given = ", ".join(a.text for a in arguments)
        if function == "sqrt":
            return Text(rf"\sqrt{{{given}}}")
        if function == "abs":
            return Text(rf"\left|{given}\right|")
        if function == "norm2":
            return Text(rf"\left\lVert {given} \right\rVert^{{2}}", POWER)
        if function == "inv" and not kept:
            return Text(rf"{self._base(arguments[0])}^{{-1}}", POWER)
        power = f"^{{{' '.join(map(str, kept))}}}" if kept else ""
        return Text(rf"{self._function(function)}{power}\left({given}\right)")

    def _function(self, function: str) -> str:
        return rf"\{function}" if function in _BUILT_IN else rf"\operatorname{{{function}}}"

    def reduction(self, function: str, labels: Sequence[str], operand: str) -> str:
        below = r" \, ".join(labels)
        head = r"\sum" if function == "sum" else r"\prod" if function == "prod" else self._function(function)
        return rf"{head}_{{{below}}} \left({operand}\right)"

    def condition(self, operator: str, left: Text, right: Text) -> Text:
        return Text(f"{left.text} {self.symbol(operator)} {right.text}", SUM)

    def where(self, condition: Text, yes: Text, no: Text) -> Text:
        return Text(
            rf"\begin{{cases}} {yes.text} & {condition.text} \\ {no.text} & \text{{otherwise}} \end{{cases}}", DOT
        )

    def portion(self, operand: Text, slots: Sequence[Slot], tag: int | None = None) -> Text:
        body = self.at(operand, POSTFIX)
        if not (len(body) == 1 or re.fullmatch(r"\\[a-zA-Z]+", body)):
            body = self.group(body) if "_" in body else f"{{{body}}}"  # positions are not the number of W1
        between = r"\," if any(p > 9 for slot in slots for p in slot.positions) else ""
        texts = []
        for slot in slots:
            inner = between.join(map(str, slot.positions))
            inner = inner if len(slot.positions) == 1 else f"[{inner}]"
            texts.append(rf"\bar{{{inner}}}" if slot.barred else inner)
        above = "" if tag is None else f"^{{({tag})}}"
        return Text(f"{body}{above}_{{{between.join(texts)}}}")

    def bar(self, operand: Text) -> Text:
        return Text(rf"\overline{{{self.at(operand, POWER)}}}")

    def fusion(self, members: Sequence[Text]) -> Text:
        return Text(rf"\left[{self.side_by_side(members)}\right]", POWER)

    def side_by_side(self, items: Sequence[Text]) -> str:
        return r" \, ".join(self.at(item, FORMAL) for item in items)

    def labelled(self, operand: Text, labels: Sequence[str]) -> str:
        body = self.at(operand, POSTFIX)
        body = body if len(body) == 1 or re.fullmatch(r"\\[a-zA-Z]+", body) else f"{{{body}}}"
        return f"{body}_{{{self._bare(labels)}}}"

    def identity(self, extent: Dim) -> Text:
        return Text(rf"\mathbf{{I}}_{{{self._dim(extent)}}}")

    def entry_of_identity(self, extent: Dim, entries: Sequence[str]) -> str:
        return rf"\delta_{{{','.join(self._dim(entry) for entry in entries)}}}"

    def delta(self, labels: Sequence[str]) -> str:
        return rf"\delta_{{{self._bare(labels)}}}"

    def bracket(self, body: str, labels: Sequence[str]) -> Text:
        return Text(rf"\left({body} \,\middle|\, {self._bare(labels)}\right)")

    def entries(self, factors: Sequence[str], divisors: Sequence[str]) -> str:
        above, below = (r" \, ".join(texts) for texts in (factors, divisors))
        return rf"\frac{{{above}}}{{{below}}}" if divisors else above

    def index(self, operand: Text, entries: Sequence[str]) -> Text:
        body = self.at(operand, POSTFIX)
        body = body if len(body) == 1 else f"{{{body}}}"
        texts = [entry if entry == self.whole else self._dim(entry) for entry in entries]
        if len(texts) == 1 and texts[0].isdigit():
            texts = [f"[{texts[0]}]"]  # Z[0] is not Z0
        return Text(f"{body}_{{{','.join(texts)}}}")

    def slice(self, first: str, last: str) -> str:
        return f"{first}:{last}"

    def _bare(self, labels: Sequence[str]) -> str:
        texts = [f"{label[0]}_{{{label[1:]}}}" if len(label) > 1 else label for label in labels]
        return "".join(texts) if texts else r"\;"

    def derivative(self, kind: str, output: str, wrt: Sequence[str]) -> str:
        operator = r"\operatorname{Jac}" if kind == "jacobian" else r"\nabla"
        heads = " ".join(f"{operator}_{{{latex_name(name)}}}" for name in wrt)
        return rf"{heads} {latex_name(output)}"

    def equation(self, left: str, right: str, condition: str) -> str:
        return f"{left} &= {right}{condition}"

    def range(self, variable: str, first: str, last: str) -> str:
        return rf" \qquad {variable} = {self._dim(first)}, \dots, {self._dim(last)}"

    def lines(self, equations: Sequence[str]) -> str:
        body = " \\\\\n  ".join(equations)
        return f"\\begin{{align*}}\n  {body}\n\\end{{align*}}"


def latex_name(name: str) -> str:
    """A name of the source in LaTeX: digits become a subscript, Greek letters commands, words stand upright.

    >>> latex_name("W1"), latex_name("lam"), latex_name("α'")
    ('W_{1}', '\\\\mathit{lam}', "\\\\alpha'")
    """
    found = re.fullmatch(r"([^\W\d_]+)(\d*)(?:\[([^\]]*)\])?('*)", name)
    if found is None:
        return rf"\mathit{{{''.join(c for c in name if c.isalnum())}}}"
    word, digits, entries, primes = found.groups()
    letter = f"\\{_GREEK[word]}" if word in _GREEK else word
    base = letter if len(word) == 1 else rf"\mathit{{{word}}}"
    below = ",".join(part for part in (digits, entries or "") if part)
    return f"{base}_{{{below}}}{primes}" if below else f"{base}{primes}"
