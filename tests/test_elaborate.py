"""Every construct of the language has the value that the language page gives it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elaborated import arrays, program, value

from bracketc.ir.nodes import Tensor

M = arrays()
A, B, S, T, x, y, z, lam = (M[name] for name in ("A", "B", "S", "T", "x", "y", "z", "lam"))
EINSUM = np.einsum


def softmax(a: Any) -> Any:
    e = np.exp(a - a.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


CASES: dict[str, Any] = {
    # index brackets and the scope rule
    "F = (A_ij B_jk | ik)": A @ B,
    "F = (A_ij B_jk | ki)": (A @ B).T,
    "F = (S_ii | i)": np.diag(S),
    "F = (S_ii | )": np.trace(S),
    "F_ik = A_ij B_jk": A @ B,
    "F[i,k] = A[i,j] B[j,k]": A @ B,
    "F_{row,k} = A_{row,j} B_{j,k}": A @ B,
    "F_i = tanh(A_ij x_j + y_i)": np.tanh(A @ x + y),
    "F_ij = A_ij - x_j": A - x,
    "F = (A_ij + 1 | i)": (A.sum(1) + 1),
    "F_i = A_ij (x_j - z_j)": A @ (x - z),
    "F_i = exp(A_ij x_j) / y_i": np.exp(A @ x) / y,
    "F_ij = A_ij / sum[k](A_ik)": A / A.sum(1, keepdims=True),
    "F_i = exp(sum[j](A_ij))": np.exp(A.sum(1)),
    "F = (x_j**2 | )": np.sum(x**2),
    "F_i = A_ij**2 x_j": A**2 @ x,
    "F_i = pow(A_ij x_j, 2)": (A @ x) ** 2,
    "F_ij = softmax[j](A_ij)": softmax(A),
    "F_i = logsumexp[j](A_ij + x_j)": np.log(np.exp(A + x).sum(1)),
    "F_i = max[j](A_ij)": A.max(1),
    "F_i = mean[j](A_ij x_j)": (A * x).mean(1),
    "F = sum[i](sum[j](A_ij) y_i)": A.sum(1) @ y,
    "F = prod[j](x_j)": np.prod(x),
    "F_ijk = A_ij δ_jk": A[:, :, None] * np.eye(4),
    "F_ij = where(i >= j, A_ij, 0)": np.tril(A),
    "F_ij = where(A_ij > x_j, A_ij, x_j)": np.maximum(A, x),
    "F_i = (A @ x)_i y_i": (A @ x) * y,
    "F_i = inv(S)_ij x_j": np.linalg.inv(S) @ x,
    "F_i = max(A_ij x_j, 5)": np.maximum(A @ x, 5),
    "F = sum[i](tanh(A_ij x_j))": np.tanh(A @ x).sum(),
    "F_ij = e⟨2⟩_j A_ij": A * np.eye(4)[1],
    "F = e⟨2⟩ · x": x[1],
    "F = 2 (A_ij x_j y_i | ) + lam": 2 * (y @ A @ x) + lam,
    # indices
    "F = A[2,·]": A[1],
    "F = A[2]": A[1],
    "F = A[·,2..3]": A[:, 1:3],
    "F = A[1,J]": A[0, 3],
    "F = (A @ B)![2,·]": (A @ B)[1],
    "F_i = x[i+1]": x[1:],
    "F_i = x[i+1] - x[i] for i = 1..J-1": np.diff(x),
    "F_s = x[s+u-1] y[u]": np.convolve(x, y[::-1], "valid"),
    "F_i = T[i,2,k] B[3,k]": T[:, 1] @ B[2],
    # formal products
    "F = x y": np.outer(x, y),
    "F = 2 x": 2 * x,
    "F = T_312": T.transpose(2, 0, 1),
    "F = T_3 T_12": T.transpose(2, 0, 1),
    "F = A_1 [A_2 ~B_1] B_2": A @ B,
    "F = [~x z]": x @ z,
    "F = [A A]": A * A,
    "F = [A (y x)]": A * np.outer(y, x),
    "F = [A (~y x)]": (A * np.outer(y, x)).sum(0),
    "F = S_{[12]}": np.diag(S),
    "F = S_{[1~2]}": np.trace(S),
    "F = A_{~12}": A.sum(0),
    "F = ~A": A.sum(),
    "F = [~S#1_1 S#2_1] S#1_2 S#2_2": S.T @ S,
    "F = A @ x + 𝟏 lam": A @ x + lam,
    "F = [A 𝟏_12]": A,
    "F = 𝟏⟨I,J⟩": np.ones((3, 4)),
    "F = ι x": x[None],
    "F = A x & [~y y]": np.multiply.outer(A, x) * (y @ y),
    "F = {A @ x} lam": A @ x * lam,
    # positional operators
    "F = A ^2·^1 B": A @ B,
    "F = A ^{~2}⊙^1 B": A @ B,
    "F = A ^2⊙^1 B": EINSUM("ij,jk->ijk", A, B),
    "F = A ·_1 B": A @ B,
    "F = T ·_2 B": EINSUM("ijk,jk->i", T, B),
    "F = T ·_> B": EINSUM("ijk,jk->i", T, B),
    "F = y ·_1 A ·_1 x": y @ A @ x,
    "F = A ⊙_1 x": A * x,
    "F = A ⊙ A ⊘ A": A,
    "F = x · z": x @ z,
    "F = x ⊗ y ⊗ z": EINSUM("i,j,k->ijk", x, y, z),
    "F = lam ⊙ A": lam * A,
    # classic notation
    "F = A @ B": A @ B,
    "F = x^T @ z": x @ z,
    "F = x @ y^T": np.outer(x, y),
    "F = x^T": x[None],
    "F = y^T @ A @ x": y @ A @ x,
    "F = A^T @ y": A.T @ y,
    "F = A + x^T": A + x,
    "F = A + 𝟏 x": A + x,
    "F = x ⊖ lam": x - lam,
    "F = lam ⊖ x": lam - x,
    "F = -x + 2 z - x / lam": -x + 2 * z - x / lam,
    "F = A / lam ⊙ A": A / lam * A,
    "F = (1/I) A": A / 3,
    "F = A**2": A**2,
    "F = x**lam": x**lam,
    "F = x**-1": 1 / x,
    "F = 2 pi x": 2 * np.pi * x,
    # functions
    "F = sqrt(x) + exp(-x)": np.sqrt(x) + np.exp(-x),
    "F = relu(x - z) + max(x, z) + min(x, 1)": np.maximum(x - z, 0) + np.maximum(x, z) + np.minimum(x, 1),
    "F = softmax(x)": softmax(x),
    "F = softmax^1(A)": softmax(A),
    "F = softmax^2(A)": softmax(A.T),
    "F = logsumexp^12(T)": np.log(np.exp(T).sum(2)),
    "F = sum(A)": A.sum(),
    "F = sum^1(A)": A.sum(1),
    "F = mean(A) + max(A) + min(A) + prod(x)": A.mean() + A.max() + A.min() + np.prod(x),
    "F = norm(A)": np.linalg.norm(A),
    "F = norm2(A @ x - y)": np.sum((A @ x - y) ** 2),
    "F = tr(S) + det(S) + logdet(S)": np.trace(S) + np.linalg.det(S) + np.linalg.slogdet(S)[1],
    "F = solve(S, x)": np.linalg.solve(S, x),
    "F = solve(S, B)": np.linalg.solve(S, B),
    "F = chol(S^T @ S)": np.linalg.cholesky(S.T @ S),
    "F = diag(x)": np.diag(x),
    "F = vec(A)": A.reshape(-1, order="F"),
    "F = stack(x, 2 z)": np.stack([x, 2 * z]),
    "F = where(x > z, x, 0)": np.where(x > z, x, 0),
    "function f(a) = a / (1 + a**2)\nF = f(A)": A / (1 + A**2),
    "function f(a, c) = a / (c + a**2)\nF = f(A, lam)": A / (lam + A**2),
    "function f(a) = a / (1 + a**2)\nF = f'(A)": (1 - A**2) / (1 + A**2) ** 2,
    "F = tanh'(A)": 1 - np.tanh(A) ** 2,
    "function g(a) = tanh'(a)\nF = g'(x)": -2 * np.tanh(x) * (1 - np.tanh(x) ** 2),
    "function f(a) = a / (1 + a**2)\nF_ij = f(A_ij - x_j)": (A - x) / (1 + (A - x) ** 2),
    "function s(a) = exp(a) / (ones . exp(a))\nF = s^1(A)": softmax(A),
    "function s(a) = exp(a) / (ones . exp(a))\nF = s^21(T)": softmax(T.transpose(1, 0, 2)),
    "function q(a : 2, b) = a @ b + c where c = a @ b\nF = q(A, x)": 2 * A @ x,
    "function s(a) = softmax(a)\nF = ∇s(x)": np.diag(softmax(x)) - np.outer(softmax(x), softmax(x)),
    "function f(a : 2) = a @ x\nF = Jac f(A)": EINSUM("ij,k->ijk", np.eye(3), x),
    "F = ∇[x](x · x)": 2 * x,
    "Q = 2 x\nR = Q · z + x · x\nF = ∇[Q](R)": z,
    "Q = x\nR = Q · x\nF = ∇[Q](R)": x,
    "F = Jac[x](A @ x)": A,
    # statements
    "const c = 1e-1\nconst E = eye(J)\nF = c E": 0.1 * np.eye(4),
    "F = U + V where V = sin(U), U = A @ x": A @ x + np.sin(A @ x),
    "F = F @ B where F = 2 A": 2 * A @ B,
    "F = G @ B\nG = 2 A": 2 * A @ B,
    "F_ij = U_ij where U_ij = A_ij x_j": A * x,
}


@pytest.mark.parametrize("text", CASES)
def test_value(text: str) -> None:
    result = value(text)
    wanted = np.asarray(CASES[text])
    assert result.shape == wanted.shape
    np.testing.assert_allclose(result, wanted, rtol=1e-10, atol=1e-12)


def test_family_is_written_out_member_by_member() -> None:
    head = """dim N
dim L = 3
dim D[0..L] = 4, 3, 5, 2
input X : N, D[0]
param W[j] : D[j-1], D[j] for j = 1..L
param b[j] : D[j] for j = 1..L
"""
    text = """Z[0] = X
P[j] = Z[j-1] @ W[j] + 𝟏 b[j] for j = 1..L
Z[j] = tanh(P[j]) for j = 1..L
F = Z[L] · Z[L] + sum[k=1..L](W[k] · W[k])
gradient F wrt W, b[2]
"""
    made = program(text, head)
    assert [t.name for t in made.arguments] == ["X", "W1", "W2", "W3", "b1", "b2", "b3"]
    assert made.requests[0].wrt == ("W1", "W2", "W3", "b2")
    rng = np.random.default_rng(1)
    given = {
        t.name: rng.standard_normal([7 if e.constant is None else e.constant for e in t.shape]) for t in made.arguments
    }
    wanted = given["X"]
    for j in range(1, 4):
        wanted = np.tanh(wanted @ given[f"W{j}"] + given[f"b{j}"])
    total = np.sum(wanted**2) + sum(np.sum(given[f"W{j}"] ** 2) for j in range(1, 4))
    np.testing.assert_allclose(value(text, given, head), total)
    assert program(text + "output Z[3], F", head).outputs["Z3"].dims == ("N", "2")


def test_gather_counts_data_from_zero() -> None:
    head = "dim N, V, H\ninput E : V, H\ninput c : N integer in V\ninput w : N\n"
    rng = np.random.default_rng(2)
    given = {"E": rng.random((5, 3)), "c": np.array([4, 0, 4, 2]), "w": rng.random(4)}
    np.testing.assert_allclose(value("F = E[c]", given, head), given["E"][given["c"]])
    np.testing.assert_allclose(value("F_h = w_n E[c[n], h]", given, head), given["w"] @ given["E"][given["c"]])
    np.testing.assert_allclose(value("F_bh = E[c[b+1], h]", given, head), given["E"][given["c"][1:]])
    np.testing.assert_allclose(value("F = E[c[2]]", given, head), given["E"][0])
    np.testing.assert_allclose(value("F_n = E[c[n], 2]", given, head), given["E"][given["c"], 1])
    np.testing.assert_allclose(
        value("G_nm = E[c[n], 1] E[c[m], 2]\nF = G", given, head),
        np.outer(given["E"][given["c"], 0], given["E"][given["c"], 1]),
    )


def test_program_lists_arguments_definitions_and_results() -> None:
    made = program("dim N = 3, M ~ 100\nparam W : N, M positive\nG = W @ W^T\nH = 2 G\noutput G", "")
    assert [(s.name, s.value, s.hint) for s in made.sizes] == [("N", 3, None), ("M", None, 100)]
    assert made.inputs["W"].kind == "param" and made.inputs["W"].dims == ("3", "M")
    assert made.inputs["W"].traits == ("positive",)
    assert [name for name, _ in made.definitions] == ["G", "H"]
    assert [name for name, _ in made.results] == ["G"]


@pytest.mark.parametrize(
    ("text", "names"),
    [("F = x\nG = F", ["G"]), ("F = x · x\nG = F\ngradient F wrt x", ["F"]), ("F = x\nG = x\noutput G, F", ["G", "F"])],
)
def test_results_are_outputs_or_targets_or_the_last_definition(text: str, names: list[str]) -> None:
    assert [name for name, _ in program(text).results] == names


def test_definitions_have_origins() -> None:
    made = program("F = G @ B where G = 2 A")
    named = {origin.name: origin for origin in made.origins.values() if origin.name}
    assert {"F", "G", "A"} <= set(named)
    assert named["G"].span is not None and named["G"].span.text == "G"


def test_ascii_and_unicode_make_the_same_program() -> None:
    pairs = [("F = A ⊙ A + 𝟏 x", "F = A * A + ones x"), ("F = A ^2·^1 B", "F = A ^2.^1 B"), ("F = x ⊗ y", "F = x ox y")]
    for left, right in pairs:
        assert dict(program(left).definitions)["F"] is dict(program(right).definitions)["F"]


def test_sizes_of_ones_come_from_the_whole_file() -> None:
    made = program("O = 𝟏\nG = O · x\nF = O + y where y = z")
    node = dict(made.definitions)["O"]
    assert [str(extent) for extent in node.shape] == ["J"]


def test_derivation_blocks_are_read() -> None:
    text = """F = x · x
derivation of F wrt x {
  dF = x · dx + dx · x
     = (2 x) · dx
  ⟹ ∇[x](F) = 2 x
}
"""
    assert isinstance(program(text).arguments[0], Tensor)
