"""A proof names the kind of move: one step of each kind that derivations use."""

from __future__ import annotations

from pathlib import Path

import pytest

from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.moves import MOVES, move
from bracketc.proof.verify import verify_derivations

HEAD = """dim N, M, K, T
input A : N, M
input B : M, K
input C : N, M
input P : N, K
input Q : N, K
input G : N, K, K
input Y : N, K  onehot rows
input a : N
input b : M
input c : N
input S : T, N, M
param W : M, K
param X : N, M
param x : N
param V : N, N
const I = eye(N)
const E = eye(M)
U[t] = 1 W for t = 1..T
J = sum[t=1..T](S[t] @ U[t] · Q)
"""

STEPS = {
    "reorder": "[C ~A] = [A ~C]",
    "move": "A_1 ~A_2 b = ~A_2 A_1 b",
    "portions": "A = A_1 A_2",
    "brackets": "[A C] = [A_1 C_1] [A_2 C_2]",
    "matrices": "A @ B = A_1 [~A_2 B_1] B_2",
    "forms": "a · (A @ b) = a ·_1 A ·_1 b",
    "take out": "a ·_1 dX ·_1 b = a b · dX",
    "insert identity": "a = I_1 [I_2 ~a]",
    "ones": "[A 𝟏_12] = A",
    "drop identity": "A^T @ I @ P = A^T @ P",
    "transpose scalar": "a^T @ A @ b = b^T @ A^T @ a",
    "merge": "dx · x + x · dx = 2 x · dx",
    "distribute": "(a + c) ⊙ x = a ⊙ x + c ⊙ x",
    "abbreviate": "a · (A @ b) = a · u  where u = A @ b",
    "exchange": "(P ⊙ Q) · Y = (P ⊙ Y) · Q",
    "exchange mapped": "P · (G ^{1~2}⊙^{12} Q) = (P ^{1~2}⊙^{13} G) · Q",
    "quotients": "(1 / exp(P)) ⊙ Q = Q ⊘ exp(P)",
    "condition": "Y @ 𝟏 = 𝟏⟨N⟩",
    "trace": "tr(A @ X^T) = tr(X^T @ A)",
    "rows": "sum[i=1..N](A[i] · C[i]) = A · C",
    "implicit": "0 = dV @ R + V @ dR  where R = inv(V)",
    "associate": "(A @ B) @ Q^T = A @ (B @ Q^T)",
    "substitute": "P · dR = P · (dX @ B)  where R = X @ B",
    "copies": "∇[W](J) = sum[t=1..T](∇[U[t]](J))",
    "cite": "a · (A @ b) = (A^T @ a) · b  [by eq1]",
    "conclude": "⟹ ∇[x](a · x) = a",
    "expand": "dX = sum[i=1..N]((I[i,·]) (dX[i,·]))",
    "differentiate": "d(x · x) = 2 x · dx",
    "labels": "A @ B = (A_ij B_jk | ik)",
}


@pytest.mark.parametrize(("kind", "step"), STEPS.items(), ids=list(STEPS))
def test_a_proof_names_its_move(kind: str, step: str) -> None:
    text = f"{HEAD}derivation wrt X, x, V, W {{\n  (eq1) d(a · x) = a · dx\n  {step}\n}}\n"
    (proof,) = verify_derivations(elaborate_derivations(parse_file(Source(text, "test.brk"))))
    found = proof.judgements[-1]
    assert found.verdict == "proved", found.reason
    assert found.move is not None and found.move.kind == kind
    reasons = {"conclude": "bracketc derives the same", "cite": "by (eq1)"}
    assert found.reason == reasons.get(kind, MOVES[kind])


def test_every_kind_has_a_step() -> None:
    assert set(STEPS) == {*MOVES} - {"algebra"}


ROOT = Path(__file__).resolve().parent.parent
KINDS = ROOT / "tests" / "cases" / "moves.txt"


FILES = {path.stem: path for path in sorted((ROOT / "examples" / "derivations").glob("*.brk"))}


@pytest.mark.parametrize("name", FILES)
def test_the_steps_of_an_example_derivation_have_their_names(name: str, update_golden: bool) -> None:
    """What a reader sees beside each step, apart from those that need traits: a file a line, rewritten by ``--update-golden``."""
    derivations = elaborate_derivations(parse_file(Source(FILES[name].read_text(encoding="utf-8"), f"{name}.brk")))
    found = ", ".join(move(claim, lambda: False).kind for block in derivations.blocks for claim in block.claims)
    known = dict(line.split(": ", 1) for line in KINDS.read_text(encoding="utf-8").splitlines())
    assert known.keys() <= FILES.keys()
    if update_golden:
        known[name] = found
        KINDS.write_text("".join(f"{each}: {known[each]}\n" for each in sorted(known)), encoding="utf-8")
    assert found == known[name]
