"""Gradients of the literature come out as it prints them, or shorter.

Numbers of sections are those of *Matrix Differential Calculus with Tensors* (its sections 4 to 6.4), of lecture slides on matrix
calculus (D), of the notes on back-propagation (E, F) and of *Mathematics for Machine Learning*, chapter 5 (G).
"""

from __future__ import annotations

import pytest

from bracketc import compiler
from bracketc.derivation import derived
from bracketc.options import read_options

SQUARE = "dim N\ninput A : N, N\ninput B : N, N\nparam X : N, N\n"

CASES = {
    "5 a^T x": ("dim N\ninput a : N\nparam x : N\nF = a^T @ x\ngradient F wrt x", ["∇[x](F) = a"], None),
    "5 x^T A x": (
        "dim N\ninput A : N, N\nparam x : N\nF = x^T @ A @ x\ngradient F wrt x",
        ["∇[x](F) = (A + A^T) @ x"],
        ["∇[x](F) = [(A + A^T) (𝟏 ~x)]"],
    ),
    "5 a^T X b": (
        "dim N, M\ninput a : N\ninput b : M\nparam X : N, M\nF = a^T @ X @ b\ngradient F wrt X",
        ["∇[X](F) = a b"],
        ["∇[X](F) = a b"],
    ),
    "5 a^T X X^T a": (
        "dim N, M\ninput a : N\nparam X : N, M\nF = a^T @ X @ X^T @ a\ngradient F wrt X",
        ["∇[X](F) = 2 a (X^T @ a)"],
        ["∇[X](F) = 2 a X_2 [~a X_1]"],
    ),
    "5 tr(A X^-1 B), (34)": (
        SQUARE + "F = tr(A @ inv(X) @ B)\ngradient F wrt X",
        ["∇[X](F) = -inv(X)^T @ A^T @ B^T @ inv(X)^T"],
        ["∇[X](F) = -[inv(X) (~A_2 𝟏)] [~B_2 A_1] [inv(X) (𝟏 ~B_1)]"],
    ),
    "5 x x^T, (35)": (
        "dim N\nparam x : N\nF = x @ x^T\njacobian F wrt x",
        ["Jac[x](F) = x eye(N) + (eye(N) x)_132"],
        ["I = eye(N)", "Jac[x](F) = x I + I_1 x I_2"],
    ),
    "5 x x^T with a declared identity": (
        "dim N\nconst I = eye(N)\nparam x : N\nF = x @ x^T\njacobian F wrt x",
        ["Jac[x](F) = x I + (I x)_132"],
        ["Jac[x](F) = x I + I_1 x I_2"],
    ),
    "4.4 trace": (SQUARE + "F = tr(X)\ngradient F wrt X", ["∇[X](F) = eye(N)"], ["∇[X](F) = eye(N)"]),
    "4.4 determinant": (SQUARE + "F = det(X)\ngradient F wrt X", ["∇[X](F) = F inv(X)^T"], None),
    "6.1 one layer": (
        "dim N, D, K\ninput X : N, D\ninput Y : N, K\nparam W : D, K\nparam b : K\n"
        "P = X @ W + 𝟏 b\nh = tanh(P)\nZ = h - Y\nC = 1 ⊖ h**2\nJ = 0.5 norm2(Z)\ngradient J wrt W, b",
        ["E = Z ⊙ C", "∇[W](J) = X^T @ E", "∇[b](J) = E^T @ 𝟏"],
        ["E = [Z C]", "∇[W](J) = X_2 [~X_1 E_1] E_2", "∇[b](J) = E_{~12}"],
    ),
    "6.2 P · Q ⊙ (R S)": (
        "dim N, H, K\ninput P : N, H\ninput Q : N, H\nparam R : N, K\nparam S : K, H\nF = P · (Q ⊙ (R @ S))\ngradient F wrt R\n"
        "gradient F wrt S as s",
        ["∇[R](F) = (P ⊙ Q) @ S^T", "∇[S](F) = R^T @ (P ⊙ Q)"],
        ["∇[R](F) = [P Q (𝟏 ~S_2)] S_1", "∇[S](F) = R_2 [P Q (~R_1 𝟏)]"],
    ),
    "6.2 P · Q ⊙ (1 d^T)": (
        "dim N, H\ninput P : N, H\ninput Q : N, H\nparam d : H\nF = P · (Q ⊙ (𝟏 d))\ngradient F wrt d",
        ["∇[d](F) = (P ⊙ Q)^T @ 𝟏"],
        ["∇[d](F) = [P Q (~𝟏 𝟏)]"],
    ),
    "6.3.1 softmax and cross entropy, (43)": (
        "dim N, K\ninput Y : N, K onehot rows\nparam A : N, K\nZ = softmax^1(A)\nJ = -(1/N) ln(Z) · Y\ngradient J wrt A",
        ["∇[A](J) = (1/N) (Z - Y)"],
        ["∇[A](J) = (1/N) (Z - Y)"],
    ),
    "6.3.1 without the side condition": (
        "dim N, K\ninput Y : N, K\nparam A : N, K\nZ = softmax^1(A)\nJ = -(1/N) ln(Z) · Y\ngradient J wrt A",
        ["∇[A](J) = (1/N) (diag(Y @ 𝟏) @ Z - Y)"],
        None,
    ),
    "4.3.5 softmax": ("dim N\nparam a : N\ns = softmax(a)\njacobian s wrt a", ["Jac[a](s) = diag(s) - s s"], None),
    "6.4 G · ((B ⊙ D) W)": (
        "dim N, H, K\ninput G : N, K\ninput B : N, H\nparam D : N, H\ninput W : H, K\nF = G · ((B ⊙ D) @ W)\ngradient F wrt D",
        ["∇[D](F) = B ⊙ (G @ W^T)"],
        ["∇[D](F) = [B (G_1 [~G_2 W_2] W_1)]"],
    ),
    "a regulariser by its name": (
        "dim N\nconst lam = 1e-3\nparam w : N\nF = (lam/2) (w · w) + lam sum(w**4)\ngradient F wrt w",
        ["∇[w](F) = 4 lam w**3 + lam w"],
        None,
    ),
    "a half of a constant": (
        "dim N\nconst lam = 1e-3\nparam w : N\nF = (lam/4) (w · w)\ngradient F wrt w", ["∇[w](F) = (lam/2) w"], None,
    ),
    "slices": (
        "dim N\nparam x : N\nF = sum(x[2..N]**2)\ngradient F wrt x", ["∇[x](F) = 2 eye(N)![·,2..N] @ x[2..N]"], None,
    ),
    "derivatives of lgamma": ("param x : 3\nF = sum(lgamma(x))\nhessian F wrt x", ["∇[x](∇[x](F)) = diag(trigamma(x))"], None),
    "D element-wise quotient": (
        "dim N\nparam w : N\nparam x : N\nF = w / x\njacobian F wrt w, x",
        ["Jac[w](F) = diag(x**-1)", "Jac[x](F) = -diag(w ⊙ x**-2)"],
        None,
    ),
    "D scalar expansion": (
        "dim N\nparam x : N\nparam z : scalar\nF = z x\njacobian F wrt x, z", ["Jac[x](F) = z eye(N)", "Jac[z](F) = x"], None,
    ),
    "D y^T A x": (
        "dim M, N\nparam A : M, N\nparam x : N\nparam y : M\nF = y^T @ A @ x\ngradient F wrt x, y",
        ["∇[x](F) = A^T @ y", "∇[y](F) = A @ x"],
        ["∇[x](F) = A_2 [~y A_1]", "∇[y](F) = A_1 [~A_2 x]"],
    ),
    "D x^T A x, symmetric": (
        "dim N\ninput A : N, N symmetric\nparam x : N\nF = x^T @ A @ x\ngradient F wrt x",
        ["∇[x](F) = 2 A @ x"],
        None,
    ),
    "E weights": ("dim m, n\ninput a: m\nparam W : m, n\nz = W^T @ a\nL = norm2(z) / 2\ngradient L wrt W", ["∇[W](L) = a z"], None),
    "F least squares": (
        "dim M, N\nparam A : M, N\ninput x : N\ninput y : M\nF = norm2(A @ x - y)\ngradient F wrt A",
        ["∇[A](F) = 2 (A @ x - y) x"],
        ["∇[A](F) = 2 (A_1 [~A_2 x] - y) x"],
    ),
    "F A x by A": ("dim M, N\nparam A : M, N\ninput x : N\nF = A @ x\njacobian F wrt A", ["Jac[A](F) = eye(M) x"], None),
    "G 5.11 least squares": (
        "dim N, D\ninput P : N, D\ninput y : N\nparam t : D\ne = y - P @ t\nL = norm2(e)\ngradient L wrt e, t\njacobian e wrt t",
        ["∇[e](L) = 2 e", "∇[t](L) = -2 P^T @ e", "Jac[t](e) = -P"],
        None,
    ),
    "G (5.101)": (SQUARE + "F = logdet(X)\ngradient F wrt X", ["∇[X](F) = inv(X)^T"], None),
    "G (5.102)": (SQUARE + "F = inv(X)\njacobian F wrt X", ["Jac[X](F) = -(F F)_1423"], ["Jac[X](F) = -F#1_1 F#2_2 F#1_2 F#2_1"]),
    "G (5.103)": (
        SQUARE + "input a : N\ninput b : N\nF = a^T @ inv(X) @ b\ngradient F wrt X",
        ["∇[X](F) = -(inv(X)^T @ a) (inv(X) @ b)"],
        ["∇[X](F) = -[inv(X) (~a 𝟏)] [inv(X) (𝟏 ~b)]"],
    ),
    "G linear solve": (
        "dim N\nparam A : N, N\nparam b : N\nF = solve(A, b)\njacobian F wrt b, A",
        ["Jac[b](F) = inv(A)", "Jac[A](F) = -inv(A) F"],
        ["Jac[b](F) = inv(A)", "Jac[A](F) = -inv(A) F"],
    ),
    "G (5.108)": (
        "dim N, M\ninput x : N\nparam s : M\ninput A : N, M\ninput W : N, N\nr = x - A @ s\nF = r^T @ W @ r\ngradient F wrt s",
        ["∇[s](F) = -A^T @ (W + W^T) @ r"],
        ["∇[s](F) = -A_2 [~(W + W^T) (r A_1)]"],
    ),
    "G (5.108), symmetric": (
        "dim N, M\ninput x : N\nparam s : M\ninput A : N, M\ninput W : N, N symmetric\nr = x - A @ s\nF = r^T @ W @ r\n"
        "gradient F wrt s",
        ["∇[s](F) = -2 A^T @ W @ r"],
        ["∇[s](F) = -2 A_2 [~W_1 A_1] [~W_2 r]"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_printed_as_the_literature_has_them(name: str) -> None:
    text, matrix, bracket = CASES[name]
    program = compiler.parse(text)
    options = read_options({}, {}, None)
    assert [e.text for f in derived(program, options) for e in f.equations] == matrix
    if bracket is not None:
        assert [e.text for f in derived(program, options, form="bracket") for e in f.equations] == bracket
