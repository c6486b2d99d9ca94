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
from bracketc.emit.naming import Fresh, Naming, fresh_names
from bracketc.emit.notation import FormName, Latex, Notation, StyleName, Text, notation
from bracketc.errors import display_width
from bracketc.ir.build import einsum
from bracketc.ir.nodes import Einsum, Node
from bracketc.ir.rewrite import tensors
from bracketc.lang.spelling import spelled
from bracketc.proof.presentation import Abbreviation, Chain, Conclusion, Heading, Presentation, Term

WIDEST = 100
"""Columns of a formula behind which the ``where`` and the remarks of a block are not aligned."""


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
        return "\n".join(["\\begin{align*}", " \\\\\n".join(f"  {_latex(line)}" for line in lines), "\\end{align*}"])
    indent = 0
    texts: list[tuple[str, StepText]] = []
    for line in lines:
        if line.relation == "=":
            indent = display_width(line.left) + 1 if line.left else indent
            left = f"{line.left} " if line.left else " " * indent
            texts.append((f"{left}= {line.right}", line))
        else:
            texts.append((f"{line.relation} {line.right}" if line.relation else line.right, line))
    width = max((display_width(text) for text, line in texts if display_width(text) <= WIDEST), default=0)
    body = []
    for text, line in texts:
        behind = []
        if line.where:
            behind.append("where " + ", ".join(f"{name} = {value}" for name, value in line.where))
        if line.rule:
            behind.append(f"[by {line.rule}]")
        pad = " " * max(0, width - display_width(text))
        body.append(f"  {text}{pad}   {'   '.join(behind)}" if behind else f"  {text}")
    head = f"derivation of {presentation.target} wrt {', '.join(presentation.wrt)} {{"
    return "\n".join([head, *body, "}"])


def _latex(line: StepText) -> str:
    text = rf"{line.left} &= {line.right}" if line.relation == "=" else rf"\Longrightarrow\quad & {line.right}"
    if line.where:
        bodies = r",\; ".join(f"{name} = {value}" for name, value in line.where)
        text += rf" && \text{{where }} {bodies}"
    if line.rule:
        rule = line.rule.replace("_", r"\_").replace("^", r"\^{}").replace("@", "")
        text += rf" {'&&' if not line.where else ''} \quad \text{{(by {rule})}}"
    return text


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
    """Names for long parts that hold no differential."""

    moving: frozenset[Node] = frozenset()

    def name(self, node: Node) -> None:
        if not self.moving.intersection(tensors([node])):
            Naming.name(self, node)


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
        left = self._heading(chain.left)
        above = left
        kept: tuple[tuple[str, str], ...] = ()
        for member in chain.members:
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
        return self._text(node, helpers)

    def _text(self, node: Node, helpers: list[tuple[str, str]]) -> Text:
        naming = _ConstantParts(dict(self.names), self.fresh, self.form, moving=self.moving)
        display = Display(self.notation, naming, self.form)
        display.define("", node)
        *found, _ = display.lines([node])
        self.names.update(naming.names)
        helpers += [(left, body) for left, body, _ in found]
        return display.text(node)

    def _heading(self, heading: Heading) -> str:
        if heading.kind in ("gradient", "jacobian"):
            return self.notation.derivative(heading.kind, heading.of, [heading.wrt])
        of, wrt = (self.notation.name(name).text for name in (heading.of, heading.wrt or heading.of))
        if self.style == "latex":
            return rf"\mathrm{{d}}{of}" if heading.kind == "differential" else rf"\mathrm{{d}}_{{{wrt}}}{of}"
        return f"d{of}" if heading.kind == "differential" else f"d[{wrt}]({of})"
