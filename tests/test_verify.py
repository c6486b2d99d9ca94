"""Verdicts on steps of derivations: right ones are proved, wrong ones never are."""

from __future__ import annotations

import pytest

from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.verify import Judgement, verify_derivations

HEAD = """dim N, D, H
input X : N, D
input Y : N, H
input S : D, D symmetric
input A : D, D
input T : N, H stochastic rows
input x : D
input a : D
param W : D, H
param b : H
param lam : scalar
function f(a) = tanh(a)
function s(a) = exp(a) / (ones . exp(a))
"""

SINGLE_LAYER = """derivation of J wrt W, b {
  J   = 0.5 (h - Y) · (h - Y)                   where h = f(X @ W + 𝟏 b)
  dJ  = (h - Y) · dh
      = Z · dh                                  where Z = h - Y
      = Z · (C ⊙ (X @ dW)) + Z · (C ⊙ (𝟏 db))   where C = f'(X @ W + 𝟏 b)
      = [~Z C (X_1 [X_2 ~dW_1] dW_2)] + [~Z C (𝟏 db)]  [by the bracket form]
      = X_2 [Z C (~X_1 𝟏)] · dW + [Z C (~𝟏 𝟏)] · db
  ⟹ ∇[W](J) = X^T @ (Z ⊙ C),  ∇[b](J) = (Z ⊙ C)^T @ 𝟏
}
"""


def judged(text: str, head: str = HEAD) -> list[Judgement]:
    proofs = verify_derivations(elaborate_derivations(parse_file(Source(head + text, "test.brk"))))
    return [judgement for proof in proofs for judgement in proof.judgements]


def only(step: str, wrt: str = "") -> Judgement:
    (judgement,) = judged(f"derivation{wrt} {{\n{step}\n}}\n")
    return judgement


def test_the_derivation_of_the_language_page_is_proved() -> None:
    steps = judged(SINGLE_LAYER)
    assert len(steps) == 8
    assert [step.verdict for step in steps] == ["proved"] * 8
    assert steps[4].claim.remark == "the bracket form"
    assert steps[-1].reason == "bracketc derives the same"


MUTANTS = [
    ("dJ  = (h - Y) · dh", "dJ  = (h + Y) · dh", 1),
    ("dJ  = (h - Y) · dh", "dJ  = 2 (h - Y) · dh", 1),
    ("Z · (C ⊙ (X @ dW)) + Z", "Z · (C ⊙ (X @ dW)) - Z", 3),
    ("= [~Z C (X_1 [X_2 ~dW_1] dW_2)] + [~Z C (𝟏 db)]", "= [~Z Z (X_1 [X_2 ~dW_1] dW_2)] + [~Z C (𝟏 db)]", 4),
    ("= X_2 [Z C (~X_1 𝟏)] · dW + ", "= ", 5),
    ("∇[W](J) = X^T @ (Z ⊙ C)", "∇[W](J) = X^T @ Z", 6),
    ("∇[b](J) = (Z ⊙ C)^T @ 𝟏", "∇[b](J) = -((Z ⊙ C)^T @ 𝟏)", 7),
]


@pytest.mark.parametrize(("old", "new", "place"), MUTANTS)
def test_one_wrong_thing_is_refuted_where_it_stands(old: str, new: str, place: int) -> None:
    assert old in SINGLE_LAYER
    steps = judged(SINGLE_LAYER.replace(old, new))
    assert steps[place].verdict == "refuted", steps[place].reason
    assert all(step.accepted for k, step in enumerate(steps) if k not in (place, place + 1))


@pytest.mark.parametrize(
    "step",
    [
        "x · A @ x = A @ x · x",
        "x · (A @ x) = [~x A_1] [A_2 ~x] [by the bracket form]",
        "d(x · (A @ x)) = ((A + A^T) @ x) · dx",
        "d(a · x) = a · dx",
        "S @ x = S^T @ x",
        "T @ 𝟏 = ones<N>",
        "f'(X @ W) = 𝟏⟨N,H⟩ - f(X @ W)**2",
        "(X @ (W + W)) = 2 X @ W",
        "d(inv(A)) = -(inv(A) @ dA @ inv(A))",
        "(A + S) @ (A - S) = A @ A - A @ S + S @ A - S @ S",
        "0 = A - A",
        "A - A = 0",
        "dx ⊗ x + x ⊗ dx = d(x ⊗ x)",
    ],
)
def test_right_steps_are_proved(step: str) -> None:
    judgement = only(step)
    assert judgement.verdict == "proved", (judgement.verdict, judgement.reason)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("A @ x = A^T @ x", "left is"),
        ("A = A^T", "transposed"),
        ("d(x · (A @ x)) = (A @ x) · dx", "left is"),
        ("d(a · x) = -(a · dx)", "the sign is wrong"),
        ("d(x · x) = x · dx", "factor 2"),
        ("Y @ 𝟏 = ones<N>", "left is"),
        ("(A + S) @ (A - S) = A @ A - S @ S", "left is"),
        ("ln(x ⊙ x) = ln(x) + ln(a)", "left is"),
        ("d(inv(A)) = -(inv(A) @ inv(A) @ dA)", "left is"),
        ("A - A^T = 0", "left is"),
        ("x + 1e-7 a = x", "left is"),
        ("x + 1e-12 a = x", "left is"),
        ("x + 1e-18 a = x", "left is"),
        ("x[2] = x[3]", "left is"),
        ("sqrt(x ⊙ x) = x", "left is"),
        ("max(x, 0) = x", "left is"),
    ],
)
def test_wrong_steps_are_never_accepted(step: str, reason: str) -> None:
    judgement = only(step)
    assert not judgement.accepted
    assert reason in judgement.reason


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("A @ x = a^T", "different ranks"),
        ("X @ W = Y^T", "different shapes: dimension 1 is N left and H right"),
        ("A @ x = B @ x", "unknown name B"),
        ("d(x) = dlam x", "the differential of a constant"),
        ("d(S · S) = 2 S · dS", ""),
        ("sqrt(-exp(x)) = x", "undefined"),
        ("𝟏 · 𝟏 = 2", "nothing determines"),
    ],
)
def test_what_has_no_reading_or_no_value_is_rejected(step: str, reason: str) -> None:
    wrt = " wrt x" if "S · S" not in step else " wrt A"
    judgement = judged(f"derivation{wrt} {{\n{step}\n}}\n")[0]
    assert judgement.verdict == "rejected"
    assert reason in judgement.reason


@pytest.mark.parametrize(
    "step",
    [
        "sqrt(x ⊙ x) = abs(x)",
        "ln(x ⊙ x ⊙ x) = 3 ln(x)",
        "x / x = 𝟏",
        "tanh(x) = 2 sigmoid(2 x) - 𝟏",
        "inv(S) = inv(S)^T",
        "det(S @ A) = det(S) det(A)",
        "d(x / norm(x)) = dx / norm(x) - (x · dx) x / norm(x)**3",
    ],
)
def test_what_has_no_proof_here_is_confirmed(step: str) -> None:
    judgement = only(step)
    assert judgement.verdict == "confirmed", (judgement.verdict, judgement.reason)


def test_tensors_of_many_axes_are_compared_at_small_sizes() -> None:
    head = HEAD + "dim I, J, K, L, M, P, Q\ninput U : I, J, K, L, M\ninput V : M, N, D, H, P, Q\n"
    line = "{}U ·_1 V = (U_ijklm V_mnpqrs | ijklnpqrs)"
    verdicts = [judged(f"derivation {{\n{line.format(sign)}\n}}\n", head)[0].verdict for sign in ("", "-", "2 ")]
    assert verdicts == ["proved", "refuted", "refuted"]


def test_a_counterexample_is_small_and_names_the_entry() -> None:
    judgement = only("A = A^T")
    example = judgement.counterexample
    assert example is not None
    assert dict(example.sizes) == {"D": 2}
    assert example.entry in ((1, 2), (2, 1)) and example.left != example.right
    rendered = judgement.diagnostics[0].render()
    assert "A^T" in rendered and "^^^" in rendered


def test_a_name_before_its_where_is_rejected_and_the_rest_stands() -> None:
    steps = judged("derivation {\nA @ x = u\n= A @ x where u = A @ x\n= u\n}\n")
    assert [step.verdict for step in steps] == ["rejected", "rejected", "proved"]


def test_a_member_that_cannot_be_read_spoils_its_neighbours_alone() -> None:
    steps = judged("derivation {\nx = q\n= x\n= x + x - x\n}\n")
    assert [step.verdict for step in steps] == ["rejected", "rejected", "proved"]
    assert "unknown name q" in steps[0].reason and "the member before it" in steps[1].reason


def test_a_differential_of_a_constant_names_what_varies() -> None:
    (step,) = judged("derivation wrt x {\nd(A @ x) = dA @ x\n}\n")
    assert step.verdict == "rejected" and "x varies here" in step.diagnostics[0].help


def test_a_conclusion_needs_a_differential() -> None:
    (step,) = judged("derivation {\n⟹ ∇[x](a · x) = a\n}\n")
    assert step.verdict == "rejected" and "without a differential" in step.reason


def test_a_target_that_nothing_defines() -> None:
    (step, *_) = judged("derivation of Q wrt x {\nx = x\n}\n")
    assert step.verdict == "rejected" and "Q is not defined" in step.reason


def test_growth_compares_the_last_member_only() -> None:
    assert [s.verdict for s in judged("derivation {\nA ⇝ A + A ⇝ A @ S = A @ S^T\n}\n")] == ["proved"]


def test_a_defined_name_is_cut() -> None:
    text = """h = f(X @ W)
J = h · h + lam (W · W)
derivation of J wrt W {
  dJ = d[h](J) + d[W](lam (W · W))
  ∇[h](J) = 2 h
  dJ = 2 h · dh + 2 lam W · dW
  ⟹ ∇[W](J) = 2 X^T @ (h ⊙ f'(X @ W)) + 2 lam W
}
"""
    assert [step.verdict for step in judged(text)] == ["proved"] * 4


def test_an_abbreviation_is_cut_by_name() -> None:
    text = """derivation of J wrt W {
  J = Z · Z + W · W where Z = 2 X @ W
  ∇[Z](J) = 2 Z
  dJ = ∇[Z](J) · dZ + 2 W · dW
}
"""
    assert [step.verdict for step in judged(text)] == ["proved"] * 3


def test_circular_abbreviations() -> None:
    steps = judged("derivation {\nx = u where u = v + x, v = u + x\n}\n")
    assert [step.verdict for step in steps][-1] == "rejected"
    assert any("circular" in step.reason for step in steps)


CUT = """dim K = 2
param P[j] : D, D for j = 1..K
Q = X @ P[1]
R = f(Q) @ P[2]
J = norm2(R @ W - Y) + x · x
"""


@pytest.mark.parametrize(
    ("wrt", "line", "verdict"),
    [
        ("P", "dJ = d[P](J)", "proved"),
        ("P", "d[P[1]](J) = ∇[P[1]](J) · dP[1]", "proved"),
        ("P", "dJ = ∇[P[1]](J) · dP[1] + ∇[P[2]](J) · dP[2]", "proved"),
        ("P", "dJ = ∇[P[1]](J) · dP[1]", "refuted"),
        ("P", "dJ = ∇[R](J) · dR", "proved"),
        ("P", "dJ = ∇[Q](J) · dQ", "refuted"),
        ("P", "d[Q](R) = (f'(Q) ⊙ dQ) @ P[2]", "proved"),
        ("P", "dR = (f'(Q) ⊙ dQ) @ P[2]", "refuted"),
        ("P", "∇[R](J) = 2 (R @ W - Y) @ W^T", "proved"),
        ("P", "∇[S](S · Q) = Q where S = 2 Q", "proved"),
        ("P", "∇[Q](S · Q) = 2 S where S = 2 Q", "proved"),
        ("P", "∇[Q](S · Q) = S where S = 2 Q", "refuted"),
        ("Q, x", "dJ = ∇[Q](J) · dQ + 2 x · dx", "proved"),
        ("Q, x", "dR = (f'(Q) ⊙ dQ) @ P[2]", "proved"),
        ("Q, x", "dJ = E · dR + 2 x · dx where E = ∇[R](J)", "proved"),
        ("Q, x", "dJ = E · dR + x · dx where E = ∇[R](J)", "refuted"),
        ("Q, x", "dP[1] = 0", "rejected"),
    ],
)
def test_what_is_cut_and_what_varies(wrt: str, line: str, verdict: str) -> None:
    (step,) = judged(f"derivation of J wrt {wrt} {{\n{line}\n}}\n", HEAD + CUT)
    assert step.verdict == verdict, step.reason
