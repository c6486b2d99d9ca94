"""The derivations of `examples/derivations/` are accepted, nine tenths of them proved; misprints are refuted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.verify import Judgement, verify_derivations

FILES = sorted((Path(__file__).resolve().parent.parent / "examples" / "derivations").glob("*.brk"))


def judged(source: Source) -> tuple[Judgement, ...]:
    proofs = verify_derivations(elaborate_derivations(parse_file(source)))
    return tuple(judgement for proof in proofs for judgement in proof.judgements)


@cache
def of_file(path: Path) -> tuple[Judgement, ...]:
    return judged(Source(path.read_text(encoding="utf-8"), path.name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_step_is_accepted(path: Path) -> None:
    assert [(step.claim.text, step.reason) for step in of_file(path) if not step.accepted] == []


def test_nine_steps_of_ten_are_proved() -> None:
    steps = [step for path in FILES for step in of_file(path)]
    assert len(FILES) >= 8 and len(steps) >= 150
    assert sum(step.verdict == "proved" for step in steps) >= 0.9 * len(steps)


HEAD = """dim N, D, C, K, P, M
input X : N, D
input Y : N, C
input B : N, C
input F : C, D, K
input v : C
input M1 : D, D
input Mf : K, P, N, D, C
input Mg : K, M, P
input E : 2, 3
input G : 2, 2, 2
input u : 2
param A : N, C
param W : D, C
param a : D
param t : N, D, C
param b : C
param R : 2, 3, 2
const lam = 0.25
function s(z) = exp(z) / (ones . exp(z))
"""

MISPRINTS = {
    # the line as it is printed, and the verdict on it
    "outer product with one label (2.2)": ("a ⊗ a = (a_i a_i δ_ij | ij)", "refuted"),
    "a barred member moved out of its group (2.3)": ("[A (~v_1 𝟏)] = [A (𝟏 𝟏)] [~v_1]", "rejected"),
    "positions of the re-associated chain (3.1)": (
        "Mg ^13·^12 (Mf ^345·^123 dt) = (Mg ^13·^12 Mf) ^345·^123 dt",
        "rejected",
    ),
    "two pairings of split portions (4.2)": (
        "E_1 R [R#1_2 E_2] R#1_3 [R#1_1 G_2] G_1 u R#2_23 [~R#2_1 G_3]"
        " = E_1 R [R#1_2 E_2] R#1_3 [R#2_1 G_2] G_1 u R#2_23 [~R#1_1 G_3]",
        "refuted",
    ),
    "untagged portions (4.2)": ("E_1 R [R_2 E_2] R_3 [R_1 G_2] G_1 u R_23 [~R_1 G_3] = 0", "rejected"),
    "indices of the gradient of x x^T (5)": ("Jac[a](a @ a^T) = (a_j δ_ip + a_i δ_ip | ijp)", "refuted"),
    "the quadratic form without symmetry (5)": ("∇[a](a · (M1 @ a)) = 2 M1 @ a", "refuted"),
    "a gradient transposed (5)": ("∇[W](a · (W @ v)) = v a", "rejected"),
    "a bar on one member only (6.1)": ("Y · (B ⊙ (𝟏 b)) = [Y B (~𝟏 b)]", "rejected"),
    "a differential left inside what was taken out (6.2)": ("Y · (B ⊙ (𝟏 db)) = [Y B (~𝟏 db)] · db", "refuted"),
    "weight decay without one half (6.3)": ("∇[W](W · W) = lam W", "refuted"),
    "the product in place of the quotient (6.3)": ("d(ln(exp(A)) · Y) = (Y ⊗ exp(A)) · d(exp(A))", "rejected"),
    "rows that need not sum to one (6.3.1)": ("∇[A](-(ln(s^1(A)) · Y)) = -(Y - s^1(A))", "refuted"),
}


@pytest.mark.parametrize(("line", "verdict"), MISPRINTS.values(), ids=list(MISPRINTS))
def test_a_misprint_is_not_accepted(line: str, verdict: str) -> None:
    steps = judged(Source(f"{HEAD}derivation wrt A, W, a, t, b {{\n  0 = d(A) - dA\n  {line}\n}}\n", "misprints.brk"))
    assert [step.verdict for step in steps] == ["proved", verdict], steps[-1].reason
    refuted = steps[-1].counterexample
    assert (refuted is not None) == (verdict == "refuted")
    assert refuted is None or refuted.left != refuted.right
