"""The shapes that mathematics is set from, in two spellings: MathML and LaTeX.

A shape takes finished parts and gives a finished part; every method means the same in both. Text is escaped here and
nowhere else.

>>> LATEX.sub(LATEX.name("W"), LATEX.row(LATEX.name("i"), LATEX.name("j")))
'W_{ij}'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bracketc.emit import mathml
from bracketc.emit.latex_notation import Latex, latex_name
from bracketc.ir.dims import Dim


class Marks(Protocol):
    """What formulas are set from."""

    def name(self, name: str) -> str: ...
    def word(self, name: str) -> str: ...
    def number(self, text: str) -> str: ...
    def symbol(self, char: str) -> str: ...
    def row(self, *parts: str) -> str: ...
    def space(self) -> str: ...
    def sub(self, base: str, below: str) -> str: ...
    def sup(self, base: str, above: str) -> str: ...
    def transpose(self, base: str) -> str: ...
    def under(self, base: str, below: str, above: str) -> str: ...
    def fraction(self, above: str, below: str) -> str: ...
    def root(self, inner: str) -> str: ...
    def bar(self, inner: str) -> str: ...
    def fence(self, left: str, inner: str, right: str) -> str: ...
    def divider(self) -> str: ...
    def cases(self, rows: Sequence[tuple[str, str]]) -> str: ...
    def text(self, text: str) -> str: ...
    def lines(self, lines: Sequence[str]) -> str: ...


class _MathMLMarks:
    """MathML Core."""

    def name(self, name: str) -> str:
        return mathml.identifier(name)

    def word(self, name: str) -> str:
        """An upright word, such as the name of a function."""
        return f'<mi mathvariant="normal">{name}</mi>' if len(name) == 1 else mathml.identifier(name)

    def number(self, text: str) -> str:
        return mathml.number(text)

    def symbol(self, char: str) -> str:
        if char == "𝟏":
            return '<mn class="ones">𝟏</mn>'
        if char in "∇διπℝℤ":
            return f'<mi mathvariant="normal">{char}</mi>'
        return mathml.operator(char)

    def row(self, *parts: str) -> str:
        return mathml.row(*parts) if parts else "<mrow></mrow>"

    def space(self) -> str:
        return mathml.PRODUCT

    def sub(self, base: str, below: str) -> str:
        return f"<msub>{base}{below}</msub>"

    def sup(self, base: str, above: str) -> str:
        return mathml.sup(base, above)

    def transpose(self, base: str) -> str:
        return mathml.sup(base, '<mi mathvariant="normal">T</mi>')

    def under(self, base: str, below: str, above: str) -> str:
        """A sum sign or a word with its range."""
        return f"<munderover>{base}{below}{above}</munderover>" if above else f"<munder>{base}{below}</munder>"

    def fraction(self, above: str, below: str) -> str:
        return mathml.fraction(above, below)

    def root(self, inner: str) -> str:
        return f"<msqrt>{inner}</msqrt>"

    def bar(self, inner: str) -> str:
        return mathml.barred(inner)

    def fence(self, left: str, inner: str, right: str) -> str:
        return mathml.fenced(inner, left, right)

    def divider(self) -> str:
        return mathml.DIVIDER

    def cases(self, rows: Sequence[tuple[str, str]]) -> str:
        cells = "".join(f"<mtr><mtd>{value}</mtd><mtd>{when}</mtd></mtr>" for value, when in rows)
        return mathml.row("<mo>{</mo>", f'<mtable class="cases">{cells}</mtable>')

    def text(self, text: str) -> str:
        return mathml.words(text)

    def lines(self, lines: Sequence[str]) -> str:
        """Lines below each other in one formula."""
        cells = "".join(f"<mtr><mtd>{line}</mtd></mtr>" for line in lines)
        return f'<mtable class="cases">{cells}</mtable>'


_SYMBOLS = {
    "⊙": r"\odot", "⊘": r"\oslash", "·": r"\cdot", "⊕": r"\oplus", "⊖": r"\ominus", "⊗": r"\otimes", "𝟏": r"\mathbf{1}",
    "δ": r"\delta", "∇": r"\nabla", "ι": r"\iota", "π": r"\pi", "<=": r"\le", ">=": r"\ge", "==": "=", "!=": r"\ne",
    "∑": r"\sum", "∏": r"\prod", "…": r"\dots", "⟹": r"\Longrightarrow", "×": r"\times", "∈": r"\in", "′": r"\prime",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}",
}  # fmt: skip
_WORDS = frozenset(("exp", "ln", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min", "det"))
_FENCES = {"{": r"\{", "}": r"\}", "‖": r"\Vert", "|": r"\vert", "⟨": r"\langle", "⟩": r"\rangle"}
_TALL = (r"\frac", r"\sqrt", r"\sum", r"\prod", r"\overline", r"\mathop", r"\begin", r"\middle")


class _LatexMarks:
    """LaTeX under amsmath."""

    def __init__(self) -> None:
        self._latex = Latex()

    def name(self, name: str) -> str:
        return latex_name(name)

    def word(self, name: str) -> str:
        if name in _WORDS:
            return rf"\{name}"
        return rf"\mathrm{{{name}}}" if len(name) == 1 else rf"\operatorname{{{''.join(c for c in name if c.isalnum())}}}"

    def number(self, text: str) -> str:
        digits, _, exponent = text.partition("e")
        if not exponent:
            return digits
        scale = f"10^{{{int(exponent)}}}"
        return scale if digits in ("1", "1.0") else rf"{digits} \cdot {scale}"

    def symbol(self, char: str) -> str:
        found = _SYMBOLS.get(char, char)
        return f"{found} " if found.startswith("\\") and found[-1].isalpha() else found

    def row(self, *parts: str) -> str:
        return "".join(parts)

    def space(self) -> str:
        return r" \, "

    def sub(self, base: str, below: str) -> str:
        return f"{self._whole(base)}_{{{below}}}"

    def sup(self, base: str, above: str) -> str:
        return f"{self._whole(base)}^{{{above}}}"

    def transpose(self, base: str) -> str:
        return self.sup(base, r"\mathsf{T}")

    @staticmethod
    def _whole(base: str) -> str:
        base = base.strip()
        return base if len(base) == 1 or (base.startswith("\\") and base[1:].isalpha()) else f"{{{base}}}"

    def under(self, base: str, below: str, above: str) -> str:
        head = base.strip() if base.strip() in (r"\sum", r"\prod") else rf"\mathop{{{base.strip()}}}\limits"
        return rf"{head}_{{{below}}}" + (f"^{{{above}}}" if above else "") + " "

    def fraction(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def root(self, inner: str) -> str:
        return rf"\sqrt{{{inner}}}"

    def bar(self, inner: str) -> str:
        return rf"\overline{{{inner}}}"

    def fence(self, left: str, inner: str, right: str) -> str:
        opening, closing = _FENCES.get(left, left), _FENCES.get(right, right)
        if not any(tall in inner for tall in _TALL):
            gap = " " if opening[-1].isalpha() else ""
            return f"{opening}{gap}{inner}{closing}"
        return rf"\left{opening} {inner} \right{closing}"

    def divider(self) -> str:
        return r" \,\middle|\, "

    def cases(self, rows: Sequence[tuple[str, str]]) -> str:
        return r"\begin{cases} " + r" \\ ".join(f"{value} & {when}" for value, when in rows) + r" \end{cases}"

    def text(self, text: str) -> str:
        return rf"\text{{{latex_text(text)}}}"

    def lines(self, lines: Sequence[str]) -> str:
        return r"\begin{aligned} " + r" \\ ".join(f"& {line}" for line in lines) + r" \end{aligned}"


_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "—": "---", "–": "--", "…": r"\dots{}", "’": "'", "‘": "`",
}  # fmt: skip


def latex_text(text: str) -> str:
    """Words for the text mode of LaTeX: special characters spelt out, symbols of the notation as mathematics."""
    return "".join(_character(char) for char in text)


def _character(char: str) -> str:
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char in _SYMBOLS:
        return f"${_SYMBOLS[char]}$"
    if char.isascii():
        return char if char.isprintable() else " "
    name = latex_name(char)
    if name != char and name.startswith("\\"):  # Greek
        return f"${name}$"
    return char if char.isalpha() and ord(char) < 0x250 else "?"


MATHML: Marks = _MathMLMarks()
LATEX: Marks = _LatexMarks()


def dim_marks(dim: Dim, marks: Marks) -> str:
    """A size that is a polynomial: ``2 N + K - 1``."""
    parts: list[str] = []
    for token in str(dim).split(" "):
        if token in ("+", "-"):
            parts.append(marks.symbol(token))
            continue
        if parts and parts[-1] not in (marks.symbol("+"), marks.symbol("-")):
            parts.append(marks.space())
        if token.startswith("-"):
            parts.append(marks.symbol("-"))
            token = token[1:]
        parts.append(marks.number(token) if token.isdigit() else marks.name(token))
    return marks.row(*parts)
