"""A verdict for every step of a derivation.

A step is *proved* when both sides have one normal form and the numbers do not contradict, *confirmed* when the sides
agree at several random points, in float64 and in decimals, *refuted* when they differ at one, *rejected* when it cannot be
read or has no value.

The records are for whoever shows them: text and spans are those of the claim, every number and name is a field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal as OneOf

from bracketc.calculus.derivatives import expand_derivatives
from bracketc.errors import BracketError, Diagnostic
from bracketc.ir import build
from bracketc.ir.nodes import Differential, Node, Tensor
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots, substitute, tensors, topological
from bracketc.lang.proofs import Block, Claim, Derivations
from bracketc.proof.counterexamples import Counterexample, Term, only_one_side, refutation, summary
from bracketc.proof.expand import expand
from bracketc.proof.mends import Mend, mend, mend_unread
from bracketc.proof.moves import Move, move
from bracketc.proof.trial import Point, precise_trial, trial
from bracketc.simplify import simplify

Verdict = OneOf["proved", "confirmed", "refuted", "rejected"]

VERDICTS: tuple[Verdict, ...] = ("proved", "confirmed", "refuted", "rejected")
"""From the best to the worst."""

DIGITS = 80
"""Decimal digits to which confirmed sides agree, where they were computed in decimals."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A step with its verdict; a stable record.

    ``reason`` is one line of text. ``move`` is the kind of a proved step. ``points`` counts the random points at which the sides
    were compared and agree, ``digits`` is how many decimal digits some of them had (0: float64 alone). A refuted step has a
    ``counterexample``, the ``terms`` that only one side has, and the single change that would ``mend`` it, if one was found.
    ``diagnostics`` say what is wrong and where. ``number`` is that of the member of a family that a refutation is about.
    """

    claim: Claim
    verdict: Verdict
    reason: str
    counterexample: Counterexample | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    move: Move | None = None
    points: int = 0
    digits: int = 0
    terms: tuple[Term, ...] = ()
    mend: Mend | None = None
    number: int | None = None

    @property
    def accepted(self) -> bool:
        return self.verdict in ("proved", "confirmed")


@dataclass(frozen=True, slots=True)
class Proof:
    """The steps of one derivation with their verdicts."""

    block: Block
    judgements: tuple[Judgement, ...]


def verify_derivations(derivations: Derivations) -> tuple[Proof, ...]:
    """Judge every step of a file.

    >>> proofs = verify_derivations(elaborate_derivations(parse_file(source)))
    >>> all(judgement.accepted for proof in proofs for judgement in proof.judgements)
    True
    """
    return tuple(
        Proof(block, tuple(judge(claim, derivations.program) for claim in block.claims)) for block in derivations.blocks
    )


def judge(claim: Claim, program: Program, advise: bool = True) -> Judgement:
    """The verdict on one step; with ``advise`` a refuted one says what would mend it, if a single change does."""
    if claim.left is None or claim.right is None:
        reason = claim.problems[0].message if claim.problems else "it cannot be read"
        change = mend_unread(claim, program) if advise else None
        if change is None:
            return Judgement(claim, "rejected", reason, None, claim.problems)
        first, *others = claim.problems
        noted = replace(first, notes=(*first.notes, (f"with this the step holds: {change.advice}", change.span)))
        return Judgement(claim, "rejected", f"{reason}; {change.advice}", None, (noted, *others), mend=change)
    if claim.kind == "definition":
        return Judgement(claim, "proved", "definition")
    if claim.cases:
        return _every(claim, program, advise)
    return _judged(claim, program, advise, None)


def _every(claim: Claim, program: Program, advise: bool) -> Judgement:
    """The verdict on a step about every member of a family: the worst of its cases."""
    worst: Judgement | None = None
    name = claim.cases[0].where[0]
    for case in claim.cases:
        found = _judged(replace(claim, left=case.left, right=case.right), program, advise, case.where[1])
        if worst is None or VERDICTS.index(found.verdict) > VERDICTS.index(worst.verdict):
            worst = found
        if not found.accepted:
            break
    assert worst is not None
    if worst.accepted:
        return replace(worst, claim=claim, reason=f"{worst.reason}, for every {name}", number=None)
    return replace(worst, claim=claim, reason=f"for {name} = {worst.number}: {worst.reason}")


def _judged(claim: Claim, program: Program, advise: bool, number: int | None) -> Judgement:
    assert claim.left is not None and claim.right is not None
    written = (claim.left, claim.right)
    try:
        left, right = expand_derivatives(Roots(written)).nodes
        found = trial(left, right, program)
        again = trial(left, right, program, seed=1) if found.outcome == "differ" else found
    except BracketError as error:
        return Judgement(claim, "rejected", error.diagnostics[0].message, None, error.diagnostics, number=number)
    if found.outcome == "undefined":
        help = "declare traits such as `positive` or `nonzero`"
        diagnostic = Diagnostic("a side is undefined at every random point", claim.right_span, help)
        return Judgement(claim, "rejected", f"{diagnostic.message}; {help}", None, (diagnostic,), number=number)
    if found.outcome == "differ":
        points = (*again.points, *found.points)
        return _refuted(claim, left, right, program, points, advise, number)
    if _is_proved(written, (left, right)):
        kind = move(claim, lambda: _needs_traits(left, right))
        return Judgement(claim, "proved", _proved(claim, kind), None, (), kind, len(found.points), number=number)
    exact = precise_trial(left, right, program)
    if exact.outcome == "differ":
        return _refuted(claim, left, right, program, exact.points, advise, number)
    if found.outcome == "doubt" and exact.outcome != "agree":
        diagnostic = Diagnostic("rounding hides whether the sides differ", claim.right_span)
        return Judgement(claim, "rejected", diagnostic.message, None, (diagnostic,), number=number)
    count = len(found.points) + len(exact.points)
    digits = DIGITS if exact.outcome == "agree" else 0
    shown = f", at {len(exact.points)} of them to {digits} digits" if digits else ""
    reason = f"both sides agree at {count} random points{shown}"
    return Judgement(claim, "confirmed", reason, None, (), None, count, digits, number=number)


# --------------------------------------------------------------------------------------------------- proofs
def _proved(claim: Claim, kind: Move) -> str:
    """The move, and what it cites; a derivative is what bracketc derives by itself."""
    if kind.kind == "conclude":
        return "bracketc derives the same" if claim.kind == "conclusion" else kind.text
    if kind.kind == "cite":
        return f"by {', '.join(f'({name})' for name in claim.cites)}"
    return kind.text


def _is_proved(written: tuple[Node, Node], expanded: tuple[Node, Node]) -> bool:
    """Whether both sides have one normal form, differentials as names of their own or expanded."""
    if expanded[0] is expanded[1]:
        return True
    taken = _opaque(written)
    if taken is not None and _algebra(expand_derivatives(Roots(taken)).nodes):
        return True
    return _algebra(expanded)


def _algebra(sides: Sequence[Node]) -> bool:
    """Whether two tensors without derivatives have one normal form."""
    first, second = sides
    if first is second:
        return True
    simple = simplify(Roots((first, second))).nodes
    if simple[0] is simple[1]:
        return True
    for one, other in ((first, second), simple):  # stable forms help some, and hide what is common to others
        left, right, rest = expand(Roots((one, other, build.subtract(one, other)))).nodes
        if left is right or build.is_zero(rest):
            return True
    return False


def _needs_traits(left: Node, right: Node) -> bool:
    """Whether the sides have one normal form under the declared traits alone."""
    plain: dict[Node, Node] = {t: Tensor(t.name, t.extents, t.kind, (), t.bound) for t in tensors([left, right]) if t.traits}
    if not plain:
        return False
    first, second = substitute((left, right), plain)
    return not _algebra((first, second))


def _opaque(written: tuple[Node, Node]) -> tuple[Node, ...] | None:
    """Both sides with every differential a name of its own; None when there is none."""
    names: dict[Node, Node] = {}
    for node in topological(written):
        if isinstance(node, Differential):
            names[node] = Tensor(f"%d{len(names)}", node.shape)
    return substitute(written, names) if names else None


# --------------------------------------------------------------------------------------------------- refutations
def _refuted(
    claim: Claim, left: Node, right: Node, program: Program, points: Sequence[Point], advise: bool, number: int | None
) -> Judgement:
    example, reason = refutation(left, right, program, points[-1])
    change = mend(claim, left, right, program, number) if advise else None
    terms = only_one_side(claim, left, right, number) if advise else ()
    advice = change.advice if change is not None else ""
    notes = [] if any(term.side == "left" for term in terms) else [("the left side", claim.left_span)]
    notes += [(f"only the {term.side} side has {term.text}", term.span or claim.right_span) for term in terms]
    if change is not None and change.span is not None:
        notes.append((advice, change.span))
    diagnostic = Diagnostic(reason + summary(example), claim.right_span, advice, tuple(notes))
    text = f"{reason}; {advice}" if advice else reason
    return Judgement(claim, "refuted", text, example, (diagnostic,), None, 0, 0, terms, change, number)
