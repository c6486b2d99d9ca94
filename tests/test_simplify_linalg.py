"""Rewrites of inverses, solutions and determinants."""

from __future__ import annotations

import numpy as np
import pytest

import bracketc as bc
from bracketc.compiler import derive
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Linalg, Node, Pointwise
from bracketc.ir.rewrite import topological
from bracketc.options import make_options

HEAD = """
dim n, m, b
input A : n, n
input B : n, m
input K : n, n  symmetric, positive definite
input P : b, n, n
input x : n
"""

REWRITTEN = {
    "F = A @ inv(A) @ B": "F = B",
    "F = inv(A) @ A @ B": "F = B",
    "F = A @ solve(A, B)": "F = B",
    "F = A @ solve(A, x)": "F = x",
    "F = (P_zij inv^1(P)_zjk P_zkm | zim)": "F = P",
    "F = tr(A @ inv(A))": "F = n",
    "F = inv(inv(A)) @ x": "F = A @ x",
    "F = inv(2 A) @ x": "F = 0.5 (inv(A) @ x)",
    "F = solve(-A, x)": "F = -solve(A, x)",
    "F = det(inv(A))": "F = 1 / det(A)",
    "F = logdet(inv(A))": "F = -logdet(A)",
    "F = logdet(A^T)": "F = logdet(A)",
    "F = ln(abs(det(A)))": "F = logdet(A)",
    "F = ln(det(K))": "F = logdet(K)",
    "F = inv(A^T)": "F = inv(A)^T",
}


def result(text: str) -> Node:
    derived = derive(bc.parse(HEAD + text), make_options({}))
    return derived.entries[0].results[0][1]


@pytest.mark.parametrize("text", REWRITTEN)
def test_two_spellings_are_one(text: str) -> None:
    assert result(text) is result(REWRITTEN[text])


@pytest.mark.parametrize("text", REWRITTEN)
def test_the_answer_stays_as_it_is(text: str) -> None:
    rng = np.random.default_rng(0)
    square = rng.normal(size=(3, 3))
    given = {
        "A": rng.normal(size=(3, 3)),
        "B": rng.normal(size=(3, 2)),
        "K": square @ square.T + np.eye(3),
        "P": rng.normal(size=(4, 3, 3)),
        "x": rng.normal(size=3),
    }
    program = bc.parse(HEAD + text)
    arrays = {tensor: given[tensor.name] for tensor in program.arguments}
    sizes = {"n": 3, "m": 2, "b": 4}
    (plain,) = interpret((program.results[0][1],), arrays, sizes)
    (rewritten,) = interpret((result(text),), arrays, sizes)
    np.testing.assert_allclose(rewritten, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "text",
    ["F = inv(A) @ B", "F = (A_ij inv(A)_jk x_j | ik)", "F = (A_ij inv(A)_ij | )", "F = (A_ij inv(A)_kj | ik)", "F = ln(det(A))"],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    nodes = topological((result(text),))
    assert any(isinstance(node, Linalg) and node.operator in ("inv", "det") for node in nodes)


def test_the_logarithm_of_a_determinant_does_not_overflow() -> None:
    module = bc.compile("dim n\ninput A : n, n\nF = ln(abs(det(A)))\ngradient F wrt A", backend="numpy")
    value, slope = module.value_and_grad(np.eye(400) * 1e3)
    np.testing.assert_allclose(value, 400 * np.log(1e3))
    np.testing.assert_allclose(slope.A, np.eye(400) / 1e3)


def test_a_gradient_has_no_determinant_left() -> None:
    derived = derive(bc.parse(HEAD + "F = ln(det(K))\ngradient F wrt K"), make_options({}))
    (entry,) = (entry for entry in derived.entries if entry.name == "value_and_grad")
    nodes = topological(node for _, node in entry.results)
    assert not any(isinstance(node, Linalg) and node.operator == "det" for node in nodes)
    assert not any(isinstance(node, Pointwise) for node in nodes)
