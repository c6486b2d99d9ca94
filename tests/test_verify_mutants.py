"""One wrong thing in a right step is refuted, and named where a single change mends it; a slice of `make mutants`."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from mutants import FILES, Mutant, mutants

from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.edits import KINDS
from bracketc.proof.verify import Judgement, verify_derivations

EVERY = 100
"""Of each kind of change, one in so many is tried here."""


@cache
def of_file(path: Path) -> tuple[Mutant, ...]:
    return tuple(mutants(path, EVERY))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_changes_the_value_is_refuted_and_nothing_else(path: Path) -> None:
    for mutant in of_file(path):
        verdict = mutant.verdict()
        if mutant.differs:
            assert verdict == "refuted", (mutant.claim.text, mutant.advice)
        else:
            assert verdict in ("proved", "confirmed"), (mutant.claim.text, mutant.advice)


def test_every_kind_of_change_is_tried() -> None:
    counts = Counter((mutant.kind, mutant.differs) for path in FILES for mutant in of_file(path))
    assert sum(counts.values()) >= 100
    assert all(counts[kind, True] + counts[kind, False] > 0 for kind in KINDS)


HEAD = """dim N, M, K
input A : N, M
input B : M, K
input C : N, M
input S : N, N
input Q : N, K
input a : N
input b : M
input c : M
param x : M
param T : N, M, K
"""

MENDS = {
    # a wrong step: (kind of the change that mends it, what to do, where)
    "A @ x = -(A @ x)": ("sign", "the sign is wrong", None),
    "A @ x = 3 A @ x": ("factor", "a factor 1/3 is missing on the right", None),
    "S = S^T": ("transposition", "the right side is transposed", None),
    "d(x · x) = dx · x": ("factor", "a factor 2 is missing on the right", None),
    "A @ (x + b) = A @ x - A @ b": ("sign", "the sign of A @ b is wrong", "A @ b"),
    "A @ (x + 2 b) = A @ x + A @ b": ("factor", "a factor 2 is missing in A @ b", "A @ b"),
    "A @ (x + b) = A @ x + A @ b + a": ("term", "leave out a", "a"),
    "S @ a = S^T @ a": ("transposition", "leave out the transposition of S", "S^T"),
    "S^T @ S @ a = S @ S @ a": ("transposition", "transpose S", "S"),
    "(S_ij S_jk | ik) = (S_ij S_ik | ik)": ("position", "the label i of S_ik should be j", "S_ik"),
    "a ⊙ (S^T @ a) = [S (a ~a)]": ("bar", "the bar belongs to a", "~a"),
    "S ·_1 a = S_21 ·_1 a": ("position", "swap positions 2 and 1", "_21"),
    "(A_ij x_j | i) = A @ b": ("name", "write x for b", "b"),
    "d(a · (A @ x)) = (A^T @ a) · dx + a · (A @ b)": ("term", "leave out a · (A @ b)", "a · (A @ b)"),
    "A @ diag(x) @ B = A @ diag(b) @ B": ("name", "write x for b", "b"),
    "S_21 = S_12": ("transposition", "the right side is transposed", None),
    "(S_ij S_jk | ik) = (S_ij S_jk | ki)": ("transposition", "the right side is transposed", None),
    "(S_ij a_j | i) = (S_ji a_j | i)": ("position", "swap the labels j and i of S", "S_ji"),
}


def refuted(step: str) -> Judgement:
    text = f"{HEAD}derivation wrt x {{\n  {step}\n}}\n"
    (proof,) = verify_derivations(elaborate_derivations(parse_file(Source(text, "test.brk"))))
    return proof.judgements[-1]


@pytest.mark.parametrize(("step", "mend"), MENDS.items(), ids=list(MENDS))
def test_a_single_change_that_mends_a_step_is_named(step: str, mend: tuple[str, str | None, str | None]) -> None:
    found = refuted(step)
    assert found.verdict == "refuted" and found.mend is not None, found.reason
    kind, advice, place = mend
    assert found.mend.kind == kind
    if advice is not None:
        assert found.mend.advice == advice and advice in found.reason
    if place is not None:
        assert found.mend.span is not None and found.mend.span.text == place


UNREAD = {
    # a step that cannot be read as it stands, and what mends it
    "A^T @ a = A @ a": "transpose A",
    "d(a · (A @ x)) = (A @ a) · dx": "transpose A",
    "A @ x = A^T @ x": "leave out the transposition of A",
    "A @ x = A @ a": "write x for a",
    "T_231 ·_1 a = T_123 ·_1 a": None,
    "A @ x = A @ y": "write x for y",
}


@pytest.mark.parametrize(("step", "advice"), UNREAD.items(), ids=list(UNREAD))
def test_what_cannot_be_read_may_be_mended(step: str, advice: str | None) -> None:
    found = refuted(step)
    assert found.verdict == "rejected" or advice is None
    assert (found.mend.advice if found.mend is not None else None) == advice
    assert advice is None or (found.reason.endswith(f"; {advice}") and advice in found.diagnostics[0].render())


def test_terms_of_one_side_are_underlined_where_they_stand() -> None:
    found = refuted("A @ (x + b) = A @ x + a - S @ a")
    assert [(term.side, term.span.text if term.span else None) for term in found.terms] == [
        ("left", "b"),
        ("right", "a"),
        ("right", "S @ a"),
    ]
    text = found.diagnostics[0].render()
    assert "only the right side has a" in text and "only the left side has (A_ij b_j | i)" in text


@pytest.mark.parametrize(
    ("step", "places"),
    [
        ("(x + b) · x = (x + c) · x", ["b", "c"]),
        ("2 (x - b) = 2 (x - c)", ["b", "c"]),
        ("(x_i b_j + b_i x_j | ij) = (x_i b_j - b_i c_j | ij)", ["b_i x_j", "b_i c_j"]),
        ("S ⊙ (S + S^T) = S ⊙ (S - S^T)", ["S^T", "S^T"]),
        ("tanh(x) = tanh(b)", ["tanh(x)", "tanh(b)"]),
    ],
)
def test_addends_inside_products_are_found(step: str, places: list[str]) -> None:
    assert [term.span.text for term in refuted(step).terms if term.span] == places
