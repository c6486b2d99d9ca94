"""Steps of derivations that hold for every step of a recurrence, or for every member of a family."""

from __future__ import annotations

import numpy as np
import pytest

import bracketc as bc
from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.verify import Judgement, verify_derivations

RECURRENT = """dim T, N, D, H, C
input X : T, N, D
input Y : T, N, C  onehot rows
input Z0 : N, H
param W : H, H
param U : D, H
param b : H
param V : H, C
param c : C
function s(v) = exp(v) / (ones . exp(v))

Z[0] = Z0
A[t] = Z[t-1] @ W + X[t] @ U + 𝟏 b for t = 1..T
Z[t] = tanh(A[t]) for t = 1..T
O[t] = Z[t] @ V + 𝟏 c for t = 1..T
J = -(1/N) sum[t=1..T](ln(s^1(O[t])) · Y[t])
"""

FAMILY = """dim N
dim L = 3
dim D[0..L] = 2, 3, 4, 2
input X : N, D[0]
input Y : N, D[L]
param W[j] : D[j-1], D[j] for j = 1..L
function f(a) = tanh(a)
Z[0] = X
A[j] = Z[j-1] @ W[j] for j = 1..L
Z[j] = f(A[j]) for j = 1..L
J = 0.5 (Z[L] - Y) · (Z[L] - Y)
"""


def judged(head: str, line: str, wrt: str, before: str = "") -> list[Judgement]:
    text = f"{head}derivation of J wrt {wrt} {{\n{before}  {line}\n}}\n"
    proofs = verify_derivations(elaborate_derivations(parse_file(Source(text, "test.brk"))))
    return [judgement for proof in proofs for judgement in proof.judgements]


STEPS = [
    ("dA[t] = dZ[t-1] @ W + Z[t-1] @ dW + X[t] @ dU + 𝟏 db", True),
    ("dZ[t] = D ⊙ dA[t] where D = 𝟏⟨N,H⟩ - tanh(A[t])**2", True),
    ("d[A[t]](A[t+1]) = (tanh'(A[t]) ⊙ dA[t]) @ W", True),
    ("d[A[t]](O[t]) = (tanh'(A[t]) ⊙ dA[t]) @ V", True),
    ("d[A[t]](J) = ∇[A[t+1]](J) · d[A[t]](A[t+1]) + ∇[O[t]](J) · d[A[t]](O[t])", True),
    ("⟹ ∇[A[T+1]](J) = 0", True),
    ("⟹ ∇[O[t]](J) = -(1/N) (Y[t] - s^1(O[t]))", True),
    ("⟹ ∇[A[t]](J) = tanh'(A[t]) ⊙ (∇[A[t+1]](J) @ W^T + ∇[O[t]](J) @ V^T)", True),
    ("⟹ ∇[A[t]](J) = tanh'(A[t]) ⊙ (∇[A[t+1]](J) @ W + ∇[O[t]](J) @ V^T)", False),
    ("⟹ ∇[W](J) = sum[t=1..T](Z[t-1]^T @ ∇[A[t]](J))", True),
    ("⟹ ∇[W](J) = sum[t=1..T](Z[t]^T @ ∇[A[t]](J))", False),
    ("⟹ ∇[V](J) = sum[t=1..T](Z[t]^T @ ∇[O[t]](J)),  ∇[c](J) = sum[t=1..T](∇[O[t]](J)^T @ 𝟏)", True),
]


@pytest.mark.parametrize(("line", "right"), STEPS, ids=[line for line, _ in STEPS])
def test_every_step_of_a_recurrence(line: str, right: bool) -> None:
    for judgement in judged(RECURRENT, line, "W, U, b, V, c", "  d(W) = dW\n")[1:]:
        assert judgement.accepted == right, judgement.reason
        assert right or judgement.verdict == "refuted", judgement.reason


OTHER = """dim T, N
input X : T, N
input u : N
input v : N
param W : N, N
param V : N, N
G[T+1] = u
G[t] = tanh(W @ G[t+1] + X[t]) for t = T..1
Z[-1] = v
Z[0] = u
Z[t] = tanh(W @ Z[t-1] + V @ Z[t-2]) + X[t] for t = 1..T
P[0] = u
P[t] = P[t-1] + G[t] for t = 1..T
J = sum[t=1..T](G[t] · v) + sum[t=1..T](Z[t] · X[t]) + P[T] · P[T]
"""

DIRECTIONS = [
    # from the last step to the first
    ("∇[G[0]](P[T] · P[T]) = 0", True),
    ("∇[G[1]](sum[t=1..T](G[t] · v)) = v", True),
    ("∇[G[t+1]](sum[t=1..T](G[t] · v)) = v + W^T @ ((𝟏⟨N⟩ - G[t]**2) ⊙ ∇[G[t]](sum[t=1..T](G[t] · v)))", True),
    ("∇[G[t]](sum[t=1..T](G[t] · v)) = v", False),
    # two steps back
    ("d[Z[t]](Z[t+1]) = (𝟏⟨N⟩ - (Z[t+1] - X[t+1])**2) ⊙ (W @ dZ[t])", True),
    ("d[Z[t]](Z[t+2]) = (𝟏⟨N⟩ - (Z[t+2] - X[t+2])**2) ⊙ (W @ d[Z[t]](Z[t+1]) + V @ dZ[t])", True),
    ("d[Z[t]](Z[t+2]) = (𝟏⟨N⟩ - (Z[t+2] - X[t+2])**2) ⊙ (W @ d[Z[t]](Z[t+1]))", False),
    # a recurrence that uses another one
    ("∇[P[t]](J) = 2 P[T]", True),
    ("d[P[t]](P[t+1]) = dP[t]", True),
    ("d[G[1]](P[1]) = dG[1]", True),
    ("d[G[1]](P[T]) = dG[1]", True),
    ("d[G[t]](P[t]) = dG[t]", False),
]


@pytest.mark.parametrize(("line", "right"), DIRECTIONS, ids=[line for line, _ in DIRECTIONS])
def test_recurrences_of_either_direction_and_depth(line: str, right: bool) -> None:
    (judgement,) = judged(OTHER, line, "W, V", "  d(W) = dW\n")[1:]
    assert judgement.verdict in (("proved", "confirmed") if right else ("refuted",)), judgement.reason


MEMBERS = [
    ("dA[j] = dZ[j-1] @ W[j] + Z[j-1] @ dW[j]", True),
    ("dA[j] = dZ[j-1] @ W[j] + Z[j] @ dW[j]", None),
    ("d[A[j]](Z[j]) = f'(A[j]) ⊙ dA[j]", True),
    ("⟹ ∇[Z[j]](J) = (∇[Z[j+1]](J) ⊙ f'(A[j+1])) @ W[j+1]^T", True),
    ("⟹ ∇[W[j]](J) = Z[j-1]^T @ (∇[Z[j]](J) ⊙ f'(A[j]))", True),
    ("⟹ ∇[W[j]](J) = Z[j-1]^T @ ∇[Z[j]](J)", False),
    ("⟹ ∇[W[j]](J) = Z[j-1]^T @ S[j]  where S[j] = ∇[Z[j]](J) ⊙ f'(A[j])", True),
    ("⟹ ∇[Z[j]](J) = S[j+1] @ W[j+1]^T  where S[j] = P ⊙ f'(A[j]), P = ∇[Z[j]](J)", True),
    ("⟹ ∇[Z[j]](J) = Q @ W[j+1]^T  where Q = P ⊙ f'(A[j+1]), P = ∇[Z[j+1]](J)", True),
    ("⟹ ∇[Z[L]](J) = Z[L] - Y", True),
]


@pytest.mark.parametrize(("line", "right"), MEMBERS, ids=[line for line, _ in MEMBERS])
def test_every_member_of_a_family(line: str, right: bool | None) -> None:
    (judgement,) = judged(FAMILY, line, "W", "  d(W[1]) = dW[1]\n")[1:]
    assert judgement.accepted == bool(right), judgement.reason
    assert judgement.verdict == {True: "proved", False: "refuted", None: "rejected"}[right]
    if "j" in line and right:
        assert judgement.reason.endswith("for every j")
    if right is False:
        assert judgement.reason.startswith("for j = 1: ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("A[k] = A[m]", "a step for every k and every m"),
        ("A[2 t] = A[2 t]", "2 t as the number of a step"),
        ("∇[A[t]](Z[t-1]) = 0", "does not use A[t]"),
        ("d[A[t], W](J) = 0", "a differential by a step and other names"),
    ],
)
def test_what_has_no_reading(line: str, reason: str) -> None:
    steps = judged(RECURRENT, line, "W", "  d(W) = dW\n")[1:]
    assert steps[-1].verdict == "rejected" and reason in steps[-1].reason, steps[-1].reason


@pytest.mark.parametrize("head", [RECURRENT, FAMILY], ids=["recurrence", "family"])
def test_general_steps_compile_as_derived(head: str) -> None:
    recurrent = "∇[W](J) = sum[t=1..T](Z[t-1]^T @ ∇[A[t]](J))"
    layered = "∇[W[j]](J) = Z[j-1]^T @ S[j] where S[j] = ∇[Z[j]](J) ⊙ f'(A[j])"
    line = recurrent if head is RECURRENT else layered
    text = f"{head}derivation of J wrt W {{\n  dJ = dJ\n  ⟹ {line}\n}}\ngradient J wrt W"
    own, written = bc.compile(text, backend="numpy"), bc.compile(text + " as derived", backend="numpy")
    rng = np.random.default_rng(0)
    sizes = {"T": 3, "N": 2, "D": 2, "H": 3, "C": 2}
    shapes = {n: tuple(sizes.get(d, d) for d in spec.dims) for n, spec in bc.parse(text).inputs.items()}
    given = {name: rng.random([int(extent) for extent in shape]) for name, shape in shapes.items()}
    if "T" in text.split("\n")[0]:
        given["Y"] = np.eye(2)[rng.integers(0, 2, (3, 2))]
    for left, right in zip(own.value_and_grad(**given)[1], written.value_and_grad(**given)[1], strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-10)
