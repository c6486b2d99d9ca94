"""Derivations with their verdicts, every step set as it was typed: for a page, and for LaTeX.

A step is found again in the syntax tree by its place in the source. What could not be read has no tree: it is shown as text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from markupsafe import Markup

from bracketc.emit.latex import packed
from bracketc.emit.marks import LATEX, MATHML, latex_text
from bracketc.emit.mathml import math
from bracketc.emit.page import ProofView, StepView, plain
from bracketc.emit.typesetting import Setter, names_of, terms
from bracketc.errors import Diagnostic, Source, Span
from bracketc.lang import syntax
from bracketc.proof.verify import Judgement, Proof

MARKS = {"proved": "✓", "confirmed": "≈", "refuted": "✗", "rejected": "!"}
"""Every verdict with its sign, in the order in which they are counted."""

@dataclass(frozen=True, slots=True)
class Set:
    """A step that was set: ``left`` is empty where a chain goes on; ``right`` are the terms of its sum, one at least."""

    line: int
    left: str
    right: tuple[str, ...]
    where: tuple[str, ...]
    conclusion: bool
    source: str
    judgement: Judgement


def tally(judgements: Sequence[Judgement]) -> str:
    """``21 steps: 20 proved, 1 refuted``."""
    counts: Counter[str] = Counter(judgement.verdict for judgement in judgements)
    total = len(judgements)
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in MARKS if counts[verdict])
    return f"{total} step{'' if total == 1 else 's'}" + (f": {parts}" if parts else "")


def plain_step(judgement: Judgement) -> tuple[int, str]:
    """The line of a step and its text, without the left side where that stands lines above."""
    claim = judgement.claim
    number = claim.right_span.source.position(claim.right_span.start)[0]
    if claim.left_span == claim.right_span:
        return number, " ".join(claim.right_span.text.split())
    if claim.left_span.source.position(claim.left_span.start)[0] == number:
        return number, claim.text
    return number, " ".join(f"= {claim.right_span.text}".split())


def proof_views(tree: syntax.SyntaxFile, proofs: Sequence[Proof]) -> tuple[ProofView, ...]:
    """Derivations for a page."""
    setter = Setter(MATHML, names_of(tree))
    return tuple(
        ProofView(
            plain(proof.block.title),
            tally(proof.judgements),
            tuple(_view(step) for step in _steps(setter, _statement(tree, proof), proof)),
        )
        for proof in proofs
    )


def _view(step: Set) -> StepView:
    judgement, verdict = step.judgement, step.judgement.verdict
    claim = judgement.claim
    left = Markup(math(step.left, plain(claim.left_span.text))) if step.left else Markup("")
    return StepView(
        str(step.line),
        left,
        Markup(math(MATHML.row(*step.right), plain(claim.right_span.text))),
        tuple(Markup(math(text, "")) for text in step.where),
        step.conclusion,
        claim.left_span == claim.right_span,
        verdict,
        f"{MARKS[verdict]} {verdict}",
        plain(judgement.reason),
        plain(claim.remark or ""),
        _example(judgement),
        "\n".join(plain(_placed(diagnostic).render()) for diagnostic in judgement.diagnostics),
    )


def _example(judgement: Judgement) -> str:
    """``D = 1, N = 2; W = [[1.]]``: the smallest sizes and a simple point where the sides of a refuted step differ."""
    example = judgement.counterexample
    if example is None:
        return ""
    parts = (example.sizes, example.point)
    return plain("; ".join(", ".join(f"{name} = {value}" for name, value in part) for part in parts if part))


def _placed(diagnostic: Diagnostic) -> Diagnostic:
    """The same message about the file by its name alone: a page names no folders."""

    def short(span: Span | None) -> Span | None:
        if span is None:
            return None
        return Span(Source(span.source.text, PurePath(span.source.filename).name), span.start, span.end)

    return replace(
        diagnostic, span=short(diagnostic.span), notes=tuple((text, short(span)) for text, span in diagnostic.notes)
    )


def _statement(tree: syntax.SyntaxFile, proof: Proof) -> syntax.Derivation | None:
    return next((s for s in tree.statements if isinstance(s, syntax.Derivation) and s.span == proof.block.span), None)


def _steps(setter: Setter, statement: syntax.Derivation | None, proof: Proof) -> Iterator[Set]:
    """Every step, with the names that its line binds beside the first step of the line."""
    members: dict[tuple[int, int], syntax.Expr] = {}
    wheres: dict[int, tuple[syntax.Binding, ...]] = {}
    lines: list[tuple[int, int]] = []
    if statement is not None:
        for line in statement.steps:
            lines.append((line.span.start, line.span.end))
            wheres[line.span.start] = line.where
            for segment in line.segments:
                for equation in segment.equations:
                    for member in equation.members:
                        members[member.span.start, member.span.end] = member.value

    def written(span: Span) -> tuple[str, ...]:
        node = members.get((span.start, span.end))
        return (setter.marks.text(" ".join(plain(span.text).split())),) if node is None else terms(setter, node)

    for judgement in proof.judgements:
        claim = judgement.claim
        span = claim.right_span
        number = span.source.position(span.start)[0]
        above = claim.left_span.source.position(claim.left_span.start)[0] < number
        alone = claim.left_span == claim.right_span
        left = "" if above or alone else setter.marks.row(*written(claim.left_span))
        start = next((first for first, last in lines if first <= span.start < last), -1)
        bound = tuple(setter(binding) for binding in wheres.pop(start, ()))
        yield Set(number, left, written(span), bound, claim.kind == "conclusion", span.text, judgement)


# --------------------------------------------------------------------------------------------------- LaTeX
def latex_proofs(tree: syntax.SyntaxFile, proofs: Sequence[Proof]) -> str:
    """Derivations as LaTeX that needs amsmath: a heading and an ``align*`` each."""
    parts = []
    for proof in proofs:
        heading = rf"\paragraph{{{latex_text(proof.block.title)}}} {latex_text(tally(proof.judgements))}"
        parts.append(f"{heading}\n{latex_steps(tree, proof)}" if proof.judgements else heading)
    return "\n\n".join(parts)


def latex_steps(tree: syntax.SyntaxFile, proof: Proof) -> str:
    """The steps of one derivation below each other."""
    setter = Setter(LATEX, names_of(tree))
    rows = [row for step in _steps(setter, _statement(tree, proof), proof) for row in _rows(step)]
    body = " \\\\\n  ".join(rows)
    return f"\\begin{{align*}}\n  {body}\n\\end{{align*}}"


def _rows(step: Set) -> Iterator[str]:
    claim, verdict = step.judgement.claim, step.judgement.verdict
    left = (LATEX.symbol("⟹") + r"\quad " if step.conclusion and step.left else "") + step.left
    first, *more = broken(step.right)
    sign = "" if claim.left_span == claim.right_span else "= "
    yield f"{left} &{sign}{first}"
    for line in more:
        yield rf"&\qquad {line}"
    for bound in step.where:
        yield rf"&\qquad \text{{where }} {bound}"
    reason = f"{verdict}: {step.judgement.reason}" + (f" [by {claim.remark}]" if claim.remark else "")
    for line in wrapped(reason):
        yield rf"&\qquad \text{{\footnotesize {latex_text(line)}}}"


def broken(parts: Sequence[str]) -> list[str]:
    """Terms and signs on lines, broken before a sign."""
    return packed([parts[0], *(sign + term for sign, term in zip(parts[1::2], parts[2::2], strict=True))])


def wrapped(text: str, width: int = 100) -> list[str]:
    """Words on lines of at most ``width`` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines

