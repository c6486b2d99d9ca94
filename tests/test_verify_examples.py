"""The derivations of `examples/derivations/` are accepted, nearly all of them proved; misprints are refuted."""

from __future__ import annotations

from pathlib import Path

import pytest

from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.verify import Judgement, verify_derivations

FILES = sorted((Path(__file__).resolve().parent.parent / "examples" / "derivations").glob("*.brk"))


def judged(source: Source) -> list[Judgement]:
    proofs = verify_derivations(elaborate_derivations(parse_file(source)))
    return [judgement for proof in proofs for judgement in proof.judgements]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_step_is_accepted_and_most_are_proved(path: Path) -> None:
    steps = judged(Source(path.read_text(encoding="utf-8"), path.name))
    assert [(step.claim.text, step.reason) for step in steps if not step.accepted] == []
    proved = sum(step.verdict == "proved" for step in steps)
    assert proved >= 0.85 * len(steps)


def test_there_are_examples() -> None:
    assert len(FILES) >= 6


HEAD = """dim N, D, C, K
input X : N, D
input Y : N, C
input F : C, D, K
input G : N, C, K, D
input B : N, C
input u : D
input v : C
param A : N, C
param W : D, C
param a : D
param T : D, C, K
const lam = 0.5
"""

MISPRINTS = {
    # the line as it is printed, and what the reason says
    "outer product with one label": ("u ⊗ u = (u_i u_j δ_ij | ij)", "refuted"),
    "labels of the chain rule": ("(T ·_1 F) = (T_ijk F_jkl | il)", "rejected"),
    "unsplit portions paired otherwise": (
        "[~T#1_2 B_2] B_1 T#1_13 = [B_1 (~T_2 ~B_2)] T_13",
        "rejected",
    ),
    "regulariser without one half": ("d(W · W) = W · dW", "refuted"),
    "regulariser with lambda": ("∇[W](lam (W · W)) = lam W", "refuted"),
    "rows that need not sum to one": ("∇[A](-(ln(s^1(A)) · Y)) = -(Y - s^1(A))", "refuted"),
    "gradient of the quadratic form without symmetry": ("∇[a](a · (M @ a)) = 2 M @ a", "refuted"),
    "x written for X": ("∇[W](u · (W @ v)) = v u", "rejected"),
}


@pytest.mark.parametrize(("line", "verdict"), MISPRINTS.values(), ids=list(MISPRINTS))
def test_a_misprint_is_not_accepted(line: str, verdict: str) -> None:
    head = HEAD + "input M : D, D\nfunction s(z) = exp(z) / (ones . exp(z))\n"
    steps = judged(Source(f"{head}derivation wrt W, A, a {{\n  {line}\n}}\n", "misprints.brk"))
    assert [step.verdict for step in steps] == [verdict], steps[0].reason
