"""A derivation as text: the `derivation` block of the language, which `verify` reads back, or LaTeX.

    derivation of J wrt W {
      dJ = Z · dh                 where Z = h - Y   [by the product rule]
         = (X^T @ (Z ⊙ C)) · dW   [by taking dW out]
      ⟹ ∇[W](J) = X^T @ (Z ⊙ C)
    }
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bracketc.emit.display import Display
from bracketc.emit.latex import packed, split_terms
from bracketc.emit.latex_notation import Latex
from bracketc.emit.marks import latex_text
from bracketc.emit.naming import Fresh, Naming, fresh_names, parts
from bracketc.emit.notation import FormName, Notation, StyleName, Text, notation
from bracketc.emit.presentation import presented
from bracketc.errors import display_width
from bracketc.ir.build import einsum
from bracketc.ir.nodes import Delta, Einsum, Node, Tensor
from bracketc.ir.rewrite import tensors
from bracketc.lang.spelling import spelled
from bracketc.proof.presentation import Abbreviation, Chain, Conclusion, Heading, Presentation, Term
from bracketc.proof.ranges import is_general

ALIGNED = 80
"""Columns up to which what stands behind the formulas begins in one column."""

BROKEN = 100
"""Columns beyond which a formula goes on below."""

WIDEST = 130
"""Columns beyond which ``where`` stands on a line of its own."""


@dataclass(frozen=True, slots=True)
class StepText:
    """One line: ``left relation right   where …   [by rule]``. ``left`` is empty where the chain above goes on."""

    left: str
    relation: str
    right: str
    where: tuple[tuple[str, str], ...] = ()
    rule: str = ""


def step_texts(presentation: Presentation, style: StyleName = "unicode", form: FormName = "auto") -> tuple[StepText, ...]:
    """Every line of a derivation. A member whose text is that of the one before it is left out."""
    return _Writer(presentation, style, form).lines()


def derivation_block(presentation: Presentation, style: StyleName = "unicode", form: FormName = "auto") -> str:
    """The block as source text, or in LaTeX an ``align*`` environment; no line end behind it."""
    lines = step_texts(presentation, style, form)
    if style == "latex":
        return "\n".join(["\\begin{align*}", " \\\\\n".join(f"  {row}" for line in lines for row in _latex(line)), "\\end{align*}"])
    head = f"derivation of {presentation.target} wrt {', '.join(presentation.wrt)} {{"
    return "\n".join([head, *_laid_out(lines), "}"])


def _laid_out(lines: Sequence[StepText]) -> list[str]:
    """Lines of a block: `=` below `=`, what stands behind the formulas in one column where that fits."""
    indent = 2
    formulas: list[tuple[list[str], int]] = []
    for line in lines:
        if line.relation == "=":
            indent = 3 + display_width(line.left) if line.left else indent
            start = f"  {line.left} = " if line.left else " " * indent + "= "
            formulas.append((_broken(start, line.right, indent + 4), indent + 2))
        else:
            formulas.append((_broken(f"  {line.relation} ", line.right, 6), 6))
    short = [display_width(texts[0]) for texts, _ in formulas if len(texts) == 1]
    column = max((width for width in short if width <= ALIGNED), default=0)
    found: list[str] = []
    for (texts, below), line in zip(formulas, lines, strict=True):
        behind = [f"where {', '.join(f'{name} = {value}' for name, value in line.where)}"] if line.where else []
        behind += [f"[by {line.rule}]"] if line.rule else []
        if not behind:
            found += texts
            continue
        *above, last = texts
        pad = 0 if above else max(0, column - display_width(last))
        tail = "   ".join(behind)
        if display_width(last) + pad + 3 + display_width(tail) > WIDEST and line.where:
            found += [*texts, " " * below + tail]
        else:
            found += [*above, f"{last}{' ' * pad}   {tail}"]
    return found


def _broken(start: str, text: str, indent: int) -> list[str]:
    """A formula on as many lines as it needs, broken behind the signs and commas outside all brackets."""
    parts: list[str] = []
    depth = begin = 0
    for place, char in enumerate(text):
        depth += (char in "([{⟨") - (char in ")]}⟩")
        if depth == 0 and char == " " and (text[place - 2 : place] in (" +", " -") or text[place - 1] == ","):
            parts.append(text[begin:place])
            begin = place + 1
    parts.append(text[begin:])
    lines = [start + parts[0]]
    for part in parts[1:]:
        if display_width(lines[-1]) + 1 + display_width(part) <= BROKEN or lines[-1].endswith(", "):
            lines[-1] += f" {part}"
        else:
            lines.append(" " * indent + part)
    return lines


def _latex(line: StepText) -> list[str]:
    """The rows of a line: its formula, broken where it is long, then its names and its rule."""
    first, *more = packed(split_terms(line.right))
    rows = [rf"{line.left} &= {first}" if line.relation == "=" else rf"\Longrightarrow\quad & {first}"]
    rows += [rf"&\qquad {part}" for part in more]
    for name, value in line.where:
        first, *more = packed(split_terms(value))
        rows += [rf"&\qquad \text{{where }} {name} = {first}", *(rf"&\qquad\qquad {part}" for part in more)]
    if line.rule:
        rows.append(rf"&\qquad \text{{\footnotesize by {latex_text(line.rule)}}}")
    return rows


class _Differentials(Latex):
    """LaTeX in which ``dW`` is a differential and not a word."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self._names = names

    def name(self, name: str) -> Text:
        base = self._names.get(name)
        return super().name(name) if base is None else Text(rf"\mathrm{{d}}{super().name(base).text}")


@dataclass(slots=True)
class _ConstantParts(Naming):
    """Names for parts that a formula shows twice, if they hold no differential, and no general number, which a name without
    index would hide. What is long has a name already."""

    moving: frozenset[Node] = frozenset()
    general: bool = False

    def name(self, node: Node) -> None:
        if not self.general and not self.moving.intersection(tensors([node])):
            Naming.name(self, node)

    def _lighten(self, node: Node, weights: dict[Node, int]) -> int:
        return 1 + sum(self._weight(operand, weights) for operand in dict.fromkeys(parts(node)))


class _Writer:
    """The lines of one derivation while they are written; names for long parts hold to its end."""

    def __init__(self, presentation: Presentation, style: StyleName, form: FormName) -> None:
        self.presentation = presentation
        self.form: FormName = form
        self.names: dict[Node, str] = {}
        self.fresh: Fresh = fresh_names(presentation.taken)
        self.style = style
        self.moving = frozenset[Node](tensor for tensor, _ in presentation.differentials)
        self.notation: Notation = notation(style)
        if style == "latex":
            self.notation = _Differentials({tensor.name: base for tensor, base in presentation.differentials})

    def lines(self) -> tuple[StepText, ...]:
        found: list[StepText] = []
        for paragraph in self.presentation.paragraphs:
            if isinstance(paragraph, Conclusion):
                found.append(self._conclusion(paragraph))
            else:
                found += self._chain(paragraph)
        return tuple(found)

    def _chain(self, chain: Chain) -> list[StepText]:
        lines: list[StepText] = []
        kept: tuple[tuple[str, str], ...] = ()
        members = chain.members
        if chain.left is None:
            found = self._where(members[0].where)
            left = self._formula(members[0].terms, found)
            members, kept = members[1:], tuple(found)
        else:
            left = self._heading(chain.left)
        above = left
        for member in members:
            where = [*kept, *self._where(member.where)]
            right = self._formula(member.terms, where)
            if right == above:
                kept = tuple(where)
                continue
            lines.append(StepText(left, "=", right, tuple(where), member.rule))
            above, left, kept = right, "", ()
        if kept and lines:
            lines[-1] = replace(lines[-1], where=(*lines[-1].where, *kept))
        return lines

    def _conclusion(self, conclusion: Conclusion) -> StepText:
        where = self._where(conclusion.where)
        parts = [f"{self._heading(e.left)} = {self._formula(e.terms, where)}" for e in conclusion.equations]
        separator = r",\quad " if self.style == "latex" else ",  "
        return StepText("", spelled("⟹", self.style), separator.join(parts), tuple(where), conclusion.rule)

    def _where(self, abbreviations: Sequence[Abbreviation]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for abbreviation in abbreviations:
            right = self._formula(abbreviation.terms, found)
            found.append((self.notation.name(abbreviation.name).text, right))
        return found

    def _formula(self, terms: Sequence[Term], helpers: list[tuple[str, str]]) -> str:
        """The text of a sum; the equations of what is so long in it that it gets a name go to ``helpers``."""
        texts = []
        for term in terms:
            text = self._term(term.node, helpers)
            if term.over is not None:
                ends = f"{term.over.variable}={term.over.first}..{term.over.last}"
                text = Text(self.notation.reduction("sum", [ends], text.text))
                if term.front is not None:
                    text = self.notation.scaled(self._term(term.front, helpers), text)
            texts.append(text)
        return texts[0].text if len(texts) == 1 else self.notation.sum(texts).text

    def _term(self, node: Node, helpers: list[tuple[str, str]]) -> Text:
        """The text of a term; the differential of a scalar stands behind what it is multiplied by."""
        scalars = [f for f, labels in node.factors if f in self.moving and not labels] if isinstance(node, Einsum) else []
        if scalars and isinstance(node, Einsum) and len(node.factors) > 1:
            scalar = scalars[0]
            rest = [factor for factor in node.factors if factor[0] is not scalar]
            front = self._text(einsum(node.coefficient, rest, node.output, dict(enumerate(node.extents))), helpers)
            return self.notation.scaled(front, self._text(scalar, helpers))
        return self._taken_out(node, helpers) or self._text(node, helpers)

    def _taken_out(self, node: Node, helpers: list[tuple[str, str]]) -> Text | None:
        """A cotangent and a differential, with the dot between them kept in every notation; None for any other term."""
        if not isinstance(node, Einsum) or node.output:
            return None
        wide = [factor for factor, labels in node.factors if labels]
        if self.form not in ("index", "bracket") and not any(isinstance(factor, Delta) for factor in wide):
            return None
        if len(wide) != 2 or wide[1] not in self.moving or isinstance(wide[0], Tensor) or self.moving & set(tensors([wide[0]])):
            return None
        if node.factors[-1][1] != node.factors[-2][1]:
            return None
        scalars = [factor for factor in node.factors if not factor[1]]
        body = self.notation.dot(self._text(wide[0], helpers), self._text(wide[1], helpers))
        front = einsum(node.coefficient, scalars, ())
        return self.notation.scaled(self._text(front, helpers), body)

    def _text(self, node: Node, helpers: list[tuple[str, str]]) -> Text:
        general = is_general(node, self.presentation.letters) is not None
        # Inside an index bracket the t of Z[t] would be a label.
        form: FormName = "auto" if general and self.form == "index" else self.form
        (node,), names = presented([node], self.names)
        taken = self.presentation.taken
        naming = _ConstantParts(dict(names), self.fresh, form, taken=taken, moving=self.moving, general=general)
        display = Display(self.notation, naming, form)
        display.define("", node)
        *found, _ = display.lines([node])
        self.names.update(naming.names)
        helpers += [(left, body) for left, body, _ in found]
        return display.text(node)

    def _heading(self, heading: Heading) -> str:
        if heading.kind in ("gradient", "jacobian"):
            text = self.notation.derivative(heading.kind, heading.of, [heading.wrt])
            return self.notation.index(Text(text), [heading.entry]).text if heading.entry else text
        of, wrt = (self.notation.name(name).text for name in (heading.of, heading.wrt or heading.of))
        if self.style == "latex":
            return rf"\mathrm{{d}}{of}" if heading.kind == "differential" else rf"\mathrm{{d}}_{{{wrt}}}{of}"
        return f"d{of}" if heading.kind == "differential" else f"d[{wrt}]({of})"
