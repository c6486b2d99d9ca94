"""Derivations that bracketc presents: every step is accepted by `verify`, and the conclusions are its own gradients."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from modelcases import MODELS
from readback import disagreeing, wrong

from bracketc.emit.notation import FormName, StyleName
from bracketc.emit.steps import derivation_block, step_texts
from bracketc.errors import Source, UnsupportedError
from bracketc.lang.layers import Layered, layered
from bracketc.lang.parser import parse_file
from bracketc.proof.jacobian import present_jacobian
from bracketc.proof.present import present
from bracketc.proof.presentation import Presentation

SHORT = 24
"""Characters of a formula that needs no comparison."""

CASES = sorted((Path(__file__).parent / "cases").glob("*.brk"))


def layers(text: str) -> Layered:
    return layered(parse_file(Source(text, "model.brk")))


def presented(text: str, target: str, *wrt: str) -> Presentation:
    """The derivation by ``wrt``, or by every parameter."""
    found = layers(text)
    return present(found, target, wrt or [t.name for t in found.arguments if found.kinds[t.name] == "param"])


# ------------------------------------------------------------------------------------------------ models
PROVED = ["linear", "logistic", "factorisation", "classifier", "digits", "single_layer", "mlp_regression"]


@cache
def model(name: str) -> str:
    return MODELS[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PROVED)
def test_verify_accepts_every_step_of_a_model(name: str) -> None:
    assert wrong(model(name), derivation_block(presented(model(name), "J"))) == []


@pytest.mark.parametrize("name", [name for name in MODELS if name not in PROVED])
def test_every_step_of_a_large_model_holds_at_random_points(name: str) -> None:
    assert disagreeing(model(name), derivation_block(presented(model(name), "J"))) == []


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_of_a_model_has_a_conclusion(name: str) -> None:
    found = presented(model(name), "J")
    left = re.findall(r"∇\[(\w+)(?:\[j\])?\]\(J\) =", derivation_block(found))
    assert set(found.wrt) <= set(left)


@pytest.mark.parametrize("form", ["matrix", "index", "bracket"])
@pytest.mark.parametrize("style", ["unicode", "ascii"])
def test_every_notation_reads_back(style: StyleName, form: FormName) -> None:
    for name in ("single_layer", "mlp_regression"):
        block = derivation_block(presented(model(name), "J"), style, form)
        assert style == "unicode" or block.isascii()
        assert disagreeing(model(name), block) == []


# ------------------------------------------------------------------------------------------------ worked examples
def scalar_cases() -> list[tuple[str, str, dict[str, str]]]:
    """Cases with a scalar F and a parameter, and their closed forms of gradients by parameter."""
    found: list[tuple[str, str, dict[str, str]]] = []
    for path in CASES:
        parts = re.split(r"^#: (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for title, body in zip(parts[1::2], parts[2::2], strict=True):
            text = "\n".join(line for line in body.splitlines() if not re.match(r"(by|same)\w* = ", line))
            made = layers(text)
            layer = made.layer("F")
            if "param" in made.kinds.values() and layer is not None and layer.variable.rank == 0:
                found.append((title, text, dict(re.findall(r"^by(\w+) = (.*)$", body, flags=re.MULTILINE))))
    return found


SCALAR = scalar_cases()


@pytest.mark.parametrize(("text", "closed"), [case[1:] for case in SCALAR], ids=[case[0] for case in SCALAR])
def test_worked_examples_are_derived_and_no_longer_than_in_print(text: str, closed: dict[str, str]) -> None:
    found = presented(text, "F")
    assert disagreeing(text, derivation_block(found)) == []
    for line in step_texts(found):
        for name, formula in re.findall(r"∇\[(\w+)\]\(F\) = (.*?)(?:,  |$)", line.right):
            assert len(formula) <= max(len(closed.get(name, formula)), SHORT)


# ------------------------------------------------------------------------------------------------ goldens
LAYER = """dim N, D, H
input X : N, D
input Y : N, H
param W : D, H
param b : H
function f(a) = tanh(a)
J = 0.5 (h - Y) · (h - Y) where h = f(X @ W + 𝟏 b)
"""


def test_one_layer_as_in_section_6_1() -> None:
    assert derivation_block(presented(LAYER, "J")) == """\
derivation of J wrt W, b {
  dJ = (h - Y) · dh                         where h = f(X @ W + 𝟏 b)   [by the product rule]
     = P · (X @ dW) + P · (𝟏 db)            where P = (h - Y) ⊙ f'(X @ W + 𝟏 b)   [by the chain rule]
     = (X^T @ P) · dW + (P^T @ 𝟏) · db      [by taking dW, db out]
  ⟹ ∇[W](J) = X^T @ P,  ∇[b](J) = P^T @ 𝟏
}"""


def test_a_family_of_layers_as_in_section_6_2() -> None:
    assert derivation_block(presented(model("mlp_regression"), "J")) == """\
derivation of J wrt W, b {
  dJ = (1/N) ((Z[3] - Y) · dZ[3]) + lam sum[j=1..L](W[j] · dW[j])       [by the product rule]
  d[Z[j]](J) = P[j] · dZ[j]                                             where P[j] = ∇[Z[j]](J)
             = Q[j] · dA[j]                                             where Q[j] = P[j] ⊙ f'(A[j])   [by the chain rule]
             = Q[j] · (dZ[j-1] @ W[j]) + Q[j] · (Z[j-1] @ dW[j]) + Q[j] · (𝟏 db[j])   [by the product rule]
             = (Q[j] @ W[j]^T) · dZ[j-1] + (Z[j-1]^T @ Q[j]) · dW[j] + (Q[j]^T @ 𝟏) · db[j]   [by taking the differentials out]
  ⟹ ∇[Z[3]](J) = (1/N) (Z[3] - Y)
  ⟹ ∇[Z[j-1]](J) = Q[j] @ W[j]^T
  ⟹ ∇[W[j]](J) = lam W[j] + Z[j-1]^T @ Q[j],  ∇[b[j]](J) = Q[j]^T @ 𝟏   [by adding the terms of each differential]
}"""


def test_classification_the_easy_way_as_in_section_6_3_1() -> None:
    assert derivation_block(presented(model("classifier"), "J")) == """\
derivation of J wrt W1, b1, W2, b2 {
  dJ = P · dA2
       where P = (1/N) (Z2 - Y)   [by the differential of ln softmax, where the rows of Y sum to 1]
     = P · (dZ1 @ W2) + P · (Z1 @ dW2) + P · (𝟏 db2)           [by the product rule]
     = (P @ W2^T) · dZ1 + (Z1^T @ P) · dW2 + (P^T @ 𝟏) · db2   [by taking dZ1, dW2, db2 out]
  ⟹ ∇[W2](J) = Z1^T @ P,  ∇[b2](J) = P^T @ 𝟏
  d[Z1](J) = (P @ W2^T) · dZ1
           = Q · (X @ dW1) + Q · (𝟏 db1)                       where Q = (P @ W2^T) ⊙ (1 ⊖ Z1**2)   [by the chain rule]
           = (X^T @ Q) · dW1 + (Q^T @ 𝟏) · db1                 [by taking dW1, db1 out]
  ⟹ ∇[W1](J) = X^T @ Q,  ∇[b1](J) = Q^T @ 𝟏
}"""


def test_a_recurrent_network_as_in_section_6_4() -> None:
    assert derivation_block(presented(model("recurrent"), "J")) == """\
derivation of J wrt W, U, b, V, c {
  dJ = P · dO
       where P = (1/N) (softmax^12(O) - Y)   [by the differential of ln softmax, where the rows of Y sum to 1]
  d[O[t]](J) = P[t] · dO[t]
             = P[t] · (dZ[t] @ V) + P[t] · (Z[t] @ dV) + P[t] · (𝟏 dc)           [by the product rule]
             = (P[t] @ V^T) · dZ[t] + (Z[t]^T @ P[t]) · dV + (P[t]^T @ 𝟏) · dc   [by taking the differentials out]
  ⟹ ∇[V](J) = sum[t=1..T](Z[t]^T @ P[t]),  ∇[c](J) = sum[t=1..T](P[t]^T @ 𝟏)
  d[Z[t]](J) = Q[t] · dZ[t]                                                      where Q[t] = ∇[Z[t]](J)
             = S[t] · (dZ[t-1] @ W) + S[t] · (Z[t-1] @ dW) + S[t] · (X[t] @ dU) + S[t] · (𝟏 db)
               where S[t] = Q[t] ⊙ (1 ⊖ Z[t]**2)   [by the chain rule and the product rule]
             = (S[t] @ W^T) · dZ[t-1] + (Z[t-1]^T @ S[t]) · dW + (X[t]^T @ S[t]) · dU +
                 (S[t]^T @ 𝟏) · db   [by taking the differentials out]
  ⟹ ∇[Z[T]](J) = P[T] @ V^T
  ⟹ ∇[Z[t]](J) = S[t+1] @ W^T + P[t] @ V^T                                       [by adding what later steps need]
  ⟹ ∇[W](J) = sum[t=1..T](Z[t-1]^T @ S[t]),  ∇[U](J) = sum[t=1..T](X[t]^T @ S[t]),
       ∇[b](J) = sum[t=1..T](S[t]^T @ 𝟏)
}"""


def test_one_layer_in_brackets() -> None:
    assert derivation_block(presented(LAYER, "J"), form="bracket") == """\
derivation of J wrt W, b {
  dJ = (h - Y) · dh                                          where h = f(X_1 [~X_2 W_1] W_2 + 𝟏 b)   [by the product rule]
     = [~P_1 X_1] [~P_2 dW_2] [~X_2 dW_1] + ~P_1 [~P_2 db]
       where P = [(h - Y) f'(X_1 [~X_2 W_1] W_2 + 𝟏 b)]   [by the chain rule]
     = X_2 [~X_1 P_1] P_2 · dW + P_{~12} · db                [by taking dW, db out]
  ⟹ ∇[W](J) = X_2 [~X_1 P_1] P_2,  ∇[b](J) = P_{~12}
}"""


def test_latex_is_an_aligned_environment() -> None:
    text = derivation_block(presented(LAYER, "J"), "latex")
    assert text.startswith("\\begin{align*}\n  \\mathrm{d}J &= \\left(h - Y\\right) \\cdot \\mathrm{d}h")
    assert "\\nabla_{W} J = X^{\\mathsf{T}} \\, P" in text and text.endswith("\\end{align*}")


# ------------------------------------------------------------------------------------------------ single steps
HEAD = """dim N, D
input a : D
input A : D, D
param x : D
param X : D, D
"""

RULES = [
    ("F = a^T @ x", "x", "linearity", "a"),
    ("F = x^T @ A @ x", "x", "the product rule", "(A + A^T) @ x"),
    ("F = a^T @ X @ X^T @ a", "X", "the product rule", "2 a (X^T @ a)"),
    ("F = sum(tanh(x))", "x", "the chain rule", "1 ⊖ tanh(x)**2"),
    ("F = tr(A @ inv(X))", "X", "the differential of an inverse", "-inv(X)^T @ A^T @ inv(X)^T"),
    ("F = logdet(X)", "X", "the differential of the logarithm of a determinant", "inv(X)^T"),
    ("F = max(x)", "x", "the differential of max", None),
]


@pytest.mark.parametrize(("line", "name", "rule", "gradient"), RULES, ids=[rule[0] for rule in RULES])
def test_the_rule_of_a_step_is_named(line: str, name: str, rule: str, gradient: str | None) -> None:
    found = presented(HEAD + line, "F", name)
    lines = step_texts(found)
    assert lines[0].rule == rule
    assert gradient is None or lines[-1].right == f"∇[{name}](F) = {gradient}"
    assert wrong(HEAD + line, derivation_block(found)) == []


@pytest.mark.parametrize(
    ("line", "steps"),
    [("F = a · x", 2), ("F = 0.5 norm2(a - x)", 2), ("F = x^T @ A @ x", 3), ("F = 0.5 norm2(A @ x - a)", 3)],
)
def test_no_step_is_superfluous(line: str, steps: int) -> None:
    assert len(step_texts(presented(HEAD + line, "F", "x"))) == steps


def test_a_name_that_reads_as_a_differential_is_avoided() -> None:
    text = "dim N\nparam x : N\ninput dx : N\nF = x · dx\n"
    block = derivation_block(presented(text, "F", "x"))
    assert "d(x)" in block and wrong(text, block) == []


def test_abbreviations_avoid_the_names_of_the_file() -> None:
    text = LAYER.replace("X", "P").replace("Y", "Q")
    block = derivation_block(presented(text, "J"))
    assert "where S = (h - Q) ⊙ f'(P @ W + 𝟏 b)" in block and wrong(text, block) == []


STEPWISE = "dim T, N\nparam W : N, N\ninput a : N\ninput b : N\ninput X : T, N\n"
TWO = "dim T, N\nparam W : N, N\nparam V : N, N\ninput a : N\ninput X : T, N\n"
START = "dim T, N\nparam p : N\nparam W : N, N\n"
FAMILY = "dim N, D\ndim L = 4\ninput X : N, D\nparam W[j] : D, D for j = 1..L\nZ[0] = X\n"

SIZES = "dim H\ndim D[0..3] = 4, 5, 6, 7\ninput X : H, D[0]\nparam W[j] : D[j-1], D[j] for j = 1..3\nZ[0] = X\n"
LAYERS = SIZES + "Z[j] = tanh(Z[j-1] @ W[j]) for j = 1..3\n"
PROJECTED = "dim T, N, K\ninput X : T, K\ninput a : N\nparam U : K, N\nparam W : N, N\nP = X @ U\nZ[0] = a\n"

PROGRAMS = {
    "rows by number": "dim N, V, D\ninput c : N integer in V\ninput Y : N, D\nparam E : V, D\nJ = 0.5 norm2(E[c] - Y)\n",
    "convolution": "dim N, K\ninput x : N\nparam k : K\nY = (x[i+j-1] k_j | i)\nJ = 0.5 norm2(Y)\n",
    "slices": "dim N\nparam x : 2 N\nJ = norm2(x[1..N]) + x[1] x[2]\n",
    "two steps back": STEPWISE
    + "Z[-1] = a\nZ[0] = b\nZ[t] = tanh(W @ Z[t-1] + Z[t-2]) for t = 1..T\nJ = 0.5 norm2(Z[T])\n",
    "backwards": STEPWISE + "Z[T+1] = a\nZ[t] = tanh(W @ Z[t+1] + X[t]) for t = T..1\nJ = 0.5 norm2(Z[1])\n",
    "a sum over steps": STEPWISE
    + "Z[0] = a\nZ[t] = tanh(W @ Z[t-1] + X[t]) for t = 1..T\nJ = 0.5 sum[t=1..T](norm2(Z[t])) + 0.5 norm2(W)\n",
    "two names a step": STEPWISE
    + "Z[0] = a\nA[t] = W @ Z[t-1] + X[t] for t = 1..T\nZ[t] = tanh(A[t]) for t = 1..T\nJ = 0.5 (Z · Z)\n",
    "a definition in every step": "dim T, N\nparam B : N, N\nW = B @ B\ninput a : N\n"
    "Z[0] = a\nZ[t] = tanh(W @ Z[t-1]) for t = 1..T\nJ = 0.5 norm2(Z[T])\n",
    "a start value that varies": "dim T, N\nparam z : N\nparam W : N, N\n"
    "Z[0] = z\nZ[t] = tanh(W @ Z[t-1]) for t = 1..T\nJ = 0.5 norm2(Z[T])\n",
    "residual layers": FAMILY + "Z[j] = Z[j-1] + tanh(Z[j-1] @ W[j]) for j = 1..L\nJ = 0.5 norm2(Z[L])\n",
    "layers used one by one": FAMILY
    + "Z[j] = tanh(Z[j-1] @ W[j]) for j = 1..L\nJ = 0.5 sum[k=1..L](norm2(Z[k])) + norm2(W[2])\n",
    "shared": "dim N\nparam x : N\nu = exp(x)\nv = u ⊙ u\nJ = u · v\n",
    "solution": "dim N\nparam A : N, N positive definite\ninput b : N\nx = solve(A, b)\nJ = x · x\n",
    "kinks": "dim N\nparam x : N\ninput y : N\nJ = sum(max(x, y)) + sum(relu(x)) + sum(abs(x))\n",
    "stop": "dim N\nparam x : N\nJ = stop(x) · exp(x)\n",
    "scalars": "param x : scalar\na = sin(x)\nb = a**3\nJ = exp(b) + a\n",
    "a weight for every step": "dim T, N\nparam u : T\ninput a : N\n"
    "Z[0] = a\nZ[t] = u[t] tanh(Z[t-1]) for t = 1..T\nJ = norm2(Z[T])\n",
    "an input of every step": "dim T, N\nparam X : T, N\ninput a : N\n"
    "Z[0] = a\nZ[t] = tanh(Z[t-1]) + X[t] for t = 1..T\nJ = norm2(Z[T])\n",
    "a recurrence of scalars": "dim T\nparam w : scalar\ninput x : T\n"
    "z[0] = 0\nz[t] = w z[t-1] + x[t] for t = 1..T\nJ = z[T]**2\n",
    "two recurrences": "dim T, N\nparam W : N, N\nparam V : N, N\ninput a : N\ninput X : T, N\nA[0] = a\nB[0] = a\n"
    "A[t] = tanh(W @ A[t-1] + X[t]) for t = 1..T\nB[t] = tanh(V @ B[t-1] + A[t]) for t = 1..T\n"
    "J = 0.5 norm2(B[T]) + 0.5 sum[t=1..T](norm2(A[t]))\n",
    "local names twice": "dim N\nparam x : N\na = sum(h) where h = exp(x)\nb = sum(h) where h = sin(x)\nJ = a b\n",
    "a name in a condition and elsewhere": "dim N\nparam x : N\nparam v : N\nu = v ⊘ (x ⊙ x ⊕ 2)\n"
    "D = step(u) ⊙ v\nJ = sum(sin(x ⊙ v)) + sum(D)\n",
    "vectors of matrices": "dim N, T\ninput Y : N, T\nparam A : N, T\nparam B : T, T\n"
    "D = (vec(Y) · vec(A)) (atan(2 B))\nJ = sum(sin(D))\n",
    "a scalar in a product of entries": "dim N\ninput s : scalar\nparam Y : N, N\n"
    "D = (s Y) ⊙ tanh(Y)\nJ = sum(sin(D))\n",
    "factor of a symmetric matrix": "dim N\nparam A : N, N symmetric\nJ = tr(A @ chol(A @ A + 3 eye(N)))\n",
    "determinant of a diagonal matrix": "dim N, M\nparam D : N, N diagonal\ninput B : N, M\nJ = det(D @ B @ B^T @ D^T + eye(N))\n",
    "factor": "dim H, N\ninput X : H, H\nparam Y : H, N\nJ = X · chol(Y @ Y^T + 3 eye(H))\n",
    "attention": "dim N, D\nparam Q : N, D\nparam K : N, D\nparam V : N, D\n"
    "A = softmax^1((1/sqrt(D)) Q @ K^T)\nJ = 0.5 norm2(A @ V)\n",
    "layers from a member below zero": "input X : 4, 3\nparam W[j] : 3, 3 for j = 0..2\nZ[-1] = X\n"
    "Z[j] = tanh(Z[j-1] @ W[j]) for j = 0..2\nJ = 0.5 norm2(Z[2])\n",
    "ones of different sizes": LAYERS
    + "param Q[j] : D[j], H for j = 1..3\ng = sum[j=1..3](Q[j]^T @ 𝟏)\nJ = 0.5 norm2(g) + norm2(Z[3])\n",
    "one number in weights of different sizes": LAYERS
    + "g = sum[j=1..3](W[j]^T @ 𝟏 · 𝟏)\nJ = 0.5 g**2 + norm2(Z[3])\n",
    "norms of layers": LAYERS + "V[0] = 0\nV[j] = V[j-1] + norm2(Z[j]) for j = 1..3\nJ = V[3]\n",
    "norms of weights": LAYERS + "V[0] = 0\nV[j] = V[j-1] + norm2(W[j]) for j = 1..3\nJ = V[3] + norm2(Z[3])\n",
    "what nothing uses": "dim N, T\nparam x : N\nparam y : N\nparam s : scalar\nparam X : T, N\n"
    "param Q[j] : N, N for j = 1..3\nZ[0] = x\nZ[t] = tanh(Z[t-1]) for t = 1..T\nJ = norm2(Z[T])\n",
    "a linear recurrence": STEPWISE + "Z[0] = a\nZ[t] = W @ Z[t-1] for t = 1..T\nJ = norm2(Z[T])\n",
    "a linear recurrence, backwards": STEPWISE + "Z[T+1] = a\nZ[t] = W @ Z[t+1] for t = T..1\nJ = norm2(Z[1])\n",
    "sums of sums": STEPWISE + "A[0] = a\nZ[0] = b\nA[t] = W @ X[t] + A[t-1] for t = 1..T\n"
    "Z[t] = Z[t-1] + A[t-1] for t = 1..T\nJ = norm2(Z[T])\n",
    "two linear steps back": STEPWISE + "Z[-1] = a\nZ[0] = b\nZ[t] = W @ Z[t-1] + Z[t-2] for t = 1..T\nJ = norm2(Z[T])\n",
    "slices of a definition": PROJECTED + "Z[t] = tanh(W @ Z[t-1] + P[t]) for t = 1..T\nJ = norm2(Z[T])\n",
    "slices and all of a definition": PROJECTED + "Z[t] = tanh(W @ Z[t-1] + P[t]) for t = 1..T\nJ = norm2(Z[T]) + norm2(P)\n",
    "slices of a longer definition": PROJECTED.replace("X : T", "X : T+1")
    + "Z[t] = tanh(W @ Z[t-1] + P[t+1]) for t = 1..T\nJ = norm2(Z[T])\n",
    "a definition that does not vary": "dim N\nparam x : N\nparam y : N\nu = stop(x ⊙ y)\nv = where(x > 0, 1, 2)\n"
    "J = x · u + sum(v)\n",
    "stack": "dim N\nparam x : N\nparam y : N\nS = stack(x, y)\nJ = norm2(S) + S[1,1]\n",
}

RECURRENCES = {
    "states that need the other's last step": TWO
    + "A[0] = a\nB[0] = a\nA[t] = tanh(W @ B[t-1]) for t = 1..T\nB[t] = tanh(V @ A[t-1] + X[t]) for t = 1..T\n"
    "J = 0.5 norm2(A[T])\n",
    "a state that only the next step needs": TWO
    + "param p : N\nA[0] = a\nB[0] = p\nA[t] = tanh(W @ B[t-1]) for t = 1..T\nB[t] = sin(V @ A[t] + X[t]) for t = 1..T\n"
    "J = norm2(A)\n",
    "one start value for two": TWO
    + "param p : N\ns = tanh(p)\nA[0] = s\nB[0] = s\nA[t] = tanh(W @ B[t-1]) for t = 1..T\n"
    "B[t] = sin(V @ A[t-1] + X[t]) for t = 1..T\nJ = norm2(A[T])\n",
    "a recurrence of inputs alone": TWO
    + "C[0] = a\nC[t] = sin(C[t-1] + X[t]) for t = 1..T\nZ[0] = a\nZ[t] = tanh(W @ Z[t-1] + C[t]) for t = 1..T\n"
    "J = 0.5 norm2(Z[T]) + C[T] · (V @ Z[T])\n",
    "two start values that vary": START + "param q : N\nZ[-1] = p\nZ[0] = q\n"
    "Z[t] = tanh(W @ Z[t-1] + Z[t-2]) for t = 1..T\nJ = 0.5 norm2(Z[T])\n",
    "two steps on": START + "param q : N\nZ[T+2] = p\nZ[T+1] = q\n"
    "Z[t] = tanh(W @ Z[t+1] + Z[t+2]) for t = T..1\nJ = 0.5 norm2(Z[1])\n",
    "a start value that is used elsewhere": START
    + "Z[0] = p\nZ[t] = tanh(W @ Z[t-1] + p) for t = 1..T\nJ = 0.5 norm2(Z[T]) + norm2(p)\n",
    "a start value that is computed": START + "Z[0] = W @ exp(p)\nZ[t] = tanh(W @ Z[t-1]) for t = 1..T\nJ = 0.5 norm2(Z[T])\n",
    "a start value with a name": START
    + "s = tanh(p)\nZ[0] = s\nZ[t] = tanh(W @ Z[t-1]) for t = 1..T\nJ = 0.5 norm2(Z[T]) + norm2(s)\n",
    "a start value of matrices": "dim T, N, D\nparam W : D, D\nparam P : N, D\nparam b : D\ninput X : N, D\n"
    "Z[0] = tanh(X ⊙ P + 𝟏 b)\nZ[t] = tanh(Z[t-1] @ W) for t = 1..T\nJ = norm2(Z[T])\n",
    "one recurrence after another": START
    + "A[0] = p\nA[t] = sin(W @ A[t-1]) for t = 1..T\nZ[0] = A[T]\nZ[t] = tanh(W @ Z[t-1]) for t = 1..T\n"
    "J = 0.5 norm2(Z[T])\n",
    "steps after layers": "dim T, N\ndim L = 3\ninput a : N\nparam W[j] : N, N for j = 1..L\nparam U : N, N\nH[0] = a\n"
    "H[j] = tanh(W[j] @ H[j-1]) for j = 1..L\nZ[0] = H[L]\nZ[t] = tanh(U @ Z[t-1]) for t = 1..T\nJ = 0.5 norm2(Z[T])\n",
    "steps after layers used one by one": "dim T, N\ndim L = 3\ninput a : N\nparam W[j] : N, N for j = 1..L\nparam U : N, N\n"
    "H[0] = a\nH[j] = tanh(W[j] @ H[j-1]) for j = 1..L\nZ[0] = H[L]\nZ[t] = tanh(U @ Z[t-1]) for t = 1..T\n"
    "J = 0.5 norm2(Z[T]) + norm2(H[2])\n",
    "layers after steps": "dim T, N\ndim L = 3\ninput a : N\ninput X : T, N\nparam U : N, N\nparam W[j] : N, N for j = 1..L\n"
    "Z[0] = a\nZ[t] = tanh(U @ Z[t-1] + X[t]) for t = 1..T\nH[0] = Z[T]\nH[j] = tanh(W[j] @ H[j-1]) for j = 1..L\n"
    "J = 0.5 norm2(H[L])\n",
    "all steps and the last": "dim T, N\nparam W : N, N\nparam v : N\nparam s : scalar\ninput a : N\ninput y : T\n"
    "Z[0] = a\nZ[t] = tanh(W @ Z[t-1]) for t = 1..T\nJ = 0.5 s norm2(Z @ v - y) + s sum(Z) + norm2(Z[T])\n",
    "outputs of two steps": "dim T, N\nparam W : N, N\nparam V : N, N\ninput a : N\ninput Y : T, N\nZ[0] = a\n"
    "Z[t] = tanh(W @ Z[t-1]) for t = 1..T\nO[t] = V @ Z[t] + Z[t-1] for t = 1..T\nJ = 0.5 norm2(O - Y)\n",
    "layers from the last": "dim N, D\ndim L = 4\ninput X : N, D\nparam W[j] : D, D for j = 1..L\nZ[L+1] = X\n"
    "Z[j] = tanh(Z[j+1] @ W[j]) for j = L..1\nJ = 0.5 norm2(Z[1])\n",
}
"""Start values, and what recurrences and layers need of one another."""


@pytest.mark.parametrize("form", ["index", "bracket"])
@pytest.mark.parametrize("name", [*PROGRAMS, *RECURRENCES])
def test_programs_of_every_kind_are_derived_in_other_notations(name: str, form: FormName) -> None:
    text = (PROGRAMS | RECURRENCES)[name]
    assert disagreeing(text, derivation_block(presented(text, "J"), form=form)) == []


@pytest.mark.parametrize("name", [*PROGRAMS, *RECURRENCES])
def test_programs_of_every_kind_are_derived(name: str) -> None:
    text = (PROGRAMS | RECURRENCES)[name]
    assert disagreeing(text, derivation_block(presented(text, "J"))) == []


@pytest.mark.parametrize("name", [*PROGRAMS, *RECURRENCES])
def test_every_parameter_of_a_program_has_a_conclusion(name: str) -> None:
    found = presented((PROGRAMS | RECURRENCES)[name], "J")
    left = re.findall(r"∇\[(\w+)(?:\[\w+\])?\]\(J\)(?:!\[\w+\])? =", derivation_block(found))
    assert {name.partition("[")[0] for name in found.wrt} <= set(left)


def test_one_member_of_a_family_alone() -> None:
    text = PROGRAMS["residual layers"]
    block = derivation_block(presented(text, "J", "W[2]"))
    assert "∇[W[2]](J) = " in block and disagreeing(text, block) == []


def test_steps_near_the_end_have_conclusions_of_their_own() -> None:
    block = derivation_block(presented(PROGRAMS["two steps back"], "J"))
    assert [line.split(" = ")[0].strip() for line in block.splitlines() if "⟹ ∇[Z" in line] == [
        "⟹ ∇[Z[T]](J)",
        "⟹ ∇[Z[T-1]](J)",
        "⟹ ∇[Z[t]](J)",
    ]


def test_all_of_a_tensor_in_every_step_is_not_supported() -> None:
    text = "dim T\nparam A : T, T\ninput a : T\nZ[0] = a\nZ[t] = tanh(A @ Z[t-1] + A[t]) for t = 1..T\nJ = norm2(Z[T])\n"
    with pytest.raises(UnsupportedError, match="every step uses all of A"):
        presented(text, "J")


def test_steps_by_another_name_of_an_argument_are_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="no steps of a derivation by D, which is no argument"):
        presented("dim N\nparam y : N\nD = y\nJ = sum(sin(D))\n", "J", "D")


def test_a_derivative_in_a_definition_is_not_supported() -> None:
    text = "dim N\nparam x : N\nparam y : N\nG = ∇[x](x) @ y\nJ = norm2(G)\n"
    for name in "xy":
        with pytest.raises(UnsupportedError, match="a derivative inside a definition"):
            presented(text, "J", name)


def test_a_step_inside_the_range_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="a step inside its range"):
        presented(PROGRAMS["backwards"] + "F = J + norm2(Z[T])\n", "F")


def test_a_gradient_by_slices_is_concluded_slice_by_slice() -> None:
    block = derivation_block(presented(PROGRAMS["an input of every step"], "J"))
    assert "∇[X](J)![t] = g[t]" in block


def test_a_product_of_entries_has_no_formula() -> None:
    with pytest.raises(UnsupportedError, match="a recurrence"):
        presented("dim N\nparam x : N\nJ = prod(x)\n", "J")


JACOBIANS = [
    ("F = x @ x^T", "x", "dx x + x dx", None),
    ("F = tanh(A @ x)", "x", "(1 ⊖ F**2) ⊙ (A @ dx)", "diag(1 ⊖ F**2) @ A"),
    ("F = softmax(x)", "x", None, None),
    ("F = inv(X)", "X", "-F @ dX @ F", None),
    ("u = A @ x\nF = u ⊙ u", "x", "2 u ⊙ du", None),
]


@pytest.mark.parametrize(("line", "name", "first", "slope"), JACOBIANS, ids=[case[0] for case in JACOBIANS])
@pytest.mark.parametrize("layout", ["jacobian", "gradient"])
def test_a_jacobian_is_the_coefficient_of_the_differential(
    line: str, name: str, first: str | None, slope: str | None, layout: Literal["jacobian", "gradient"]
) -> None:
    found = present_jacobian(layers(HEAD + line), "F", [name], layout)
    lines = step_texts(found)
    assert first is None or lines[0].right == first
    left = f"Jac[{name}](F)" if layout == "jacobian" else f"∇[{name}](F)"
    assert lines[-1].right.startswith(f"{left} = ")
    assert slope is None or layout == "gradient" or lines[-1].right == f"{left} = {slope}"
    assert disagreeing(HEAD + line, derivation_block(found)) == []


def test_jacobians_stop_at_recurrences() -> None:
    with pytest.raises(UnsupportedError, match="the recurrence of Z"):
        present_jacobian(layers(PROGRAMS["two names a step"] + "F = Z[T]\n"), "F", ["W"])
    with pytest.raises(UnsupportedError, match="all steps of a recurrence"):
        present_jacobian(layers(PROGRAMS["two names a step"]), "Z", ["W"])


def test_a_constant_has_no_steps() -> None:
    text = "dim N\nparam x : N\nparam y : N\nJ = norm2(x)\n"
    for derive in (present, present_jacobian):
        with pytest.raises(UnsupportedError, match="no steps of a derivation of J, which does not depend on y"):
            derive(layers(text), "J", ["y"])


def test_only_gradients_of_scalars_have_steps() -> None:
    with pytest.raises(UnsupportedError, match="no scalar"):
        presented("dim N\nparam x : N\nF = 2 x\n", "F", "x")
    with pytest.raises(UnsupportedError, match="no definition"):
        presented("dim N\nparam x : N\nF = x · x\n", "x", "x")
