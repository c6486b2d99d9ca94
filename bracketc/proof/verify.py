"""A verdict for every step of a derivation.

A step is *proved* when both sides have one normal form and the numbers do not contradict, *confirmed* when the sides
agree at several random points, *refuted* when they differ at one, *rejected* when it cannot be read or has no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext
from typing import Literal as OneOf

import numpy as np

from bracketc.calculus.derivatives import expand_derivatives
from bracketc.errors import BracketError, Diagnostic, Span
from bracketc.ir import build
from bracketc.ir.nodes import Derivative, Differential, Node, Tensor
from bracketc.ir.printer import describe
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots, substitute, tensors, topological
from bracketc.lang.claims import Block, Claim, Derivations
from bracketc.proof.expand import expand, terms
from bracketc.proof.trial import Array, Point, counterexample, mend, precise_trial, trial
from bracketc.simplify import simplify

SHOWN = 3
"""Terms of one side that a message shows."""

Verdict = OneOf["proved", "confirmed", "refuted", "rejected"]

VERDICTS: tuple[Verdict, ...] = ("proved", "confirmed", "refuted", "rejected")
"""From the best to the worst."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Where the sides differ: sizes, what the tensors are there, the entry (from 1) and both values."""

    sizes: tuple[tuple[str, int], ...]
    point: tuple[tuple[str, str], ...]
    entry: tuple[int, ...]
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """A step with its verdict; ``reason`` is one line, ``diagnostics`` say what was rejected and where."""

    claim: Claim
    verdict: Verdict
    reason: str
    counterexample: Counterexample | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

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


def judge(claim: Claim, program: Program) -> Judgement:
    """The verdict on one step."""
    if claim.left is None or claim.right is None:
        reason = claim.problems[0].message if claim.problems else "it cannot be read"
        return Judgement(claim, "rejected", reason, None, claim.problems)
    if claim.kind == "definition":
        return Judgement(claim, "proved", "definition")
    if claim.cases:
        return _every(claim, program)
    try:
        written = (claim.left, claim.right)
        left, right = expand_derivatives(Roots(written)).nodes
        found = trial(left, right, program)
        again = trial(left, right, program, seed=1) if found.outcome == "differ" else found
    except BracketError as error:
        return Judgement(claim, "rejected", error.diagnostics[0].message, None, error.diagnostics)
    if found.outcome == "undefined":
        help = "declare traits such as `positive` or `nonzero`"
        diagnostic = Diagnostic("a side is undefined at every random point", claim.right_span, help)
        return Judgement(claim, "rejected", f"{diagnostic.message}; {help}", None, (diagnostic,))
    if found.outcome == "differ":
        return _refuted(claim, left, right, program, (*again.points, *found.points))
    move = _move(written, (left, right))
    if move is not None:
        reason = "bracketc derives the same" if claim.kind == "conclusion" and _has_derivative(written) else move
        return Judgement(claim, "proved", reason)
    exact = precise_trial(left, right, program)
    if exact.outcome == "differ":
        return _refuted(claim, left, right, program, exact.points)
    if found.outcome == "doubt" and exact.outcome != "agree":
        diagnostic = Diagnostic("rounding hides whether the sides differ", claim.right_span)
        return Judgement(claim, "rejected", diagnostic.message, None, (diagnostic,))
    digits = f", at {len(exact.points)} of them to 80 digits" if exact.outcome == "agree" else ""
    return Judgement(claim, "confirmed", f"both sides agree at {len(found.points) + len(exact.points)} random points{digits}")


def _every(claim: Claim, program: Program) -> Judgement:
    """The verdict on a step about every member of a family: the worst of its cases."""
    worst: Judgement | None = None
    for case in claim.cases:
        found = judge(replace(claim, left=case.left, right=case.right, cases=()), program)
        if worst is None or VERDICTS.index(found.verdict) > VERDICTS.index(worst.verdict):
            worst = found
            name, number = case.where
    assert worst is not None
    if worst.accepted:
        return replace(worst, claim=claim, reason=f"{worst.reason}, for every {name}")
    return replace(worst, claim=claim, reason=f"for {name} = {number}: {worst.reason}")


def _move(written: tuple[Node, Node], expanded: tuple[Node, Node]) -> str | None:
    """How the step is proved, by the weakest means that do; None when nothing here proves it."""
    if written[0] is written[1]:
        return "the same expression, an abbreviation introduced or undone"
    if expanded[0] is expanded[1]:
        return "differentials substituted"
    taken = _opaque(written)
    if taken is not None:
        move = _algebra(expand_derivatives(Roots(taken)).nodes)
        if move is not None:
            return move
    move = _algebra(expanded)
    if move is None or taken is None:
        return move
    first, second = (any(isinstance(node, Differential) for node in topological([side])) for side in written)
    return "differential taken" if first != second else "differentials substituted"


def _algebra(sides: Sequence[Node]) -> str | None:
    """The move that makes two tensors without derivatives one, if one here does."""
    first, second = sides
    if first is second:
        return "the same bracket"
    left, right = simplify(Roots((first, second))).nodes
    if left is right:
        return "the same bracket: factors moved, portions split or joined"
    nodes = (first, second, build.subtract(first, second))
    left, right, rest = expand(Roots(nodes)).nodes
    if left is right or build.is_zero(rest):
        return "products multiplied out, equal terms merged"
    left, right, rest = expand(simplify(Roots(nodes))).nodes
    if left is right or build.is_zero(rest):
        return "products multiplied out, functions simplified"
    return None


def _opaque(written: tuple[Node, Node]) -> tuple[Node, ...] | None:
    """Both sides with every differential a name of its own; None when there is none."""
    names: dict[Node, Node] = {}
    for node in topological(written):
        if isinstance(node, Differential):
            names[node] = Tensor(f"%d{len(names)}", node.shape)
    return substitute(written, names) if names else None


def _has_derivative(nodes: tuple[Node, Node]) -> bool:
    return any(isinstance(node, Derivative) for node in topological(nodes))


def _refuted(claim: Claim, left: Node, right: Node, program: Program, points: tuple[Point, ...]) -> Judgement:
    point = counterexample(left, right, program, points[-1])
    with localcontext(Context(prec=100)):
        apart = np.abs(point.left - point.right)
    entry = np.unravel_index(int(np.argmax(apart)), apart.shape) if apart.ndim else ()
    first, second = float(point.left[tuple(entry)]), float(point.right[tuple(entry)])
    sizes = tuple((name, point.sizes[name]) for name in _sizes_of(left, right) if name in point.sizes)
    values = tuple((tensor.name, _short(point.arrays[tensor])) for tensor in tensors([left, right]))
    example = Counterexample(sizes, values, tuple(int(k) + 1 for k in entry), first, second)
    advice = mend(points)
    where = f" in entry {','.join(map(str, example.entry))}" if example.entry else ""
    shown = _apart(point.left[tuple(entry)], point.right[tuple(entry)])
    reason = f"left is {shown[0]}, right is {shown[1]}{where}"
    notes: list[tuple[str, Span | None]] = [("the left side", claim.left_span)]
    notes += [(text, None) for text in _unmatched(left, right)]
    diagnostic = Diagnostic(reason + _at(example), claim.right_span, advice, tuple(notes))
    return Judgement(claim, "refuted", f"{reason}; {advice}" if advice else reason, example, (diagnostic,))


def _unmatched(left: Node, right: Node) -> list[str]:
    """The terms of the normal forms that only one side has, where there are few."""
    first, second = (terms(side) for side in expand(Roots((left, right))).nodes)
    found = []
    for name, own, other in (("left", first, second), ("right", second, first)):
        alone = [describe(term) for term in own if term not in other and not build.is_zero(term)]
        if 0 < len(alone) <= SHOWN:
            found.append(f"only the {name} side has {', '.join(alone)}")
    return found


def _apart(left: Decimal | float, right: Decimal | float) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart."""
    for digits in (6, 12, 20, 40, 80):
        first, second = _digits(left, digits), _digits(right, digits)
        if first != second:
            break
    return first, second


def _digits(number: Decimal | float, count: int) -> str:
    if isinstance(number, float) or count <= 12:
        return f"{float(number):.{count}g}"
    with localcontext(Context(prec=count)):
        return str((+number).normalize())


def _at(example: Counterexample) -> str:
    sizes = ", ".join(f"{name} = {number}" for name, number in example.sizes)
    point = ", ".join(f"{name} = {text}" for name, text in example.point)
    parts = [part for part in (sizes, point) if part]
    return f", at {'; '.join(parts)}" if parts else ""


def _sizes_of(left: Node, right: Node) -> list[str]:
    found: dict[str, None] = {}
    for tensor in tensors([left, right]):
        for extent in tensor.shape:
            found.update(dict.fromkeys(extent.names))
    return list(found)


def _short(array: Array) -> str:
    if array.ndim == 0:
        return f"{float(array):.4g}"
    if array.size > 12:
        return "…"
    return np.array2string(array, precision=3, separator=", ").replace("\n", "")
