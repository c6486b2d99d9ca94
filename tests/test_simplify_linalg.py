"""Rewrites of inverses, solutions and determinants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS

import bracketc as bc
from bracketc.compiler import derive
from bracketc.ir.build import delta, einsum, pointwise, tensor, zeros
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Linalg, Node, Pointwise, Tensor
from bracketc.ir.rewrite import topological
from bracketc.options import make_options
from bracketc.proof.wording import worded
from bracketc.simplify.linalg import cancel_inverse, log_determinant, undo_inverse

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


A, B, P = tensor("A", "n", "n"), tensor("B", "n", "m"), tensor("P", "b", "c", "n", "n")
K = Tensor("K", A.shape, "real", ("positive definite",))
x, Y = tensor("x", "n"), tensor("Y", "b", "n")
INVERSE, SOLUTION, MANY = Linalg("inv", (A,)), Linalg("solve", (A, B)), Linalg("inv", (P,))
COLUMN = einsum(1, [(Linalg("solve", (A, tensor("y", "n", 1))), "io")], "i")
COLUMNS = einsum(1, [(Linalg("solve", (P, tensor("Z", "b", "c", "n", 1))), "bcio")], "bci")
HALF = einsum(1, [(INVERSE, "jk")], "j")


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        (einsum(1, [(A, "ij"), (INVERSE, "jk"), (x, "k")], "ik"), "(δ_ij x_j | ij)"),
        (einsum(1, [(INVERSE, "ij"), (A, "jk"), (x, "k")], "ik"), "(δ_ij x_j | ij)"),
        (einsum(1, [(P, "bcij"), (MANY, "bcjk"), (x, "k")], "bcik"), "(δ_kl x_l | ijkl)"),
        (einsum(1, [(MANY, "bcij"), (P, "bcjk"), (x, "k")], "bcik"), "(δ_kl x_l | ijkl)"),
        (einsum(2, [(A, "ij"), (SOLUTION, "jk"), (x, "i")], "ik"), "(2 B_ij x_i | ij)"),
        (einsum(1, [(A, "ij"), (COLUMN, "j")], "i"), "(y_ij | i)"),
        (einsum(1, [(P, "bcij"), (COLUMNS, "bcj")], "bci"), "(Z_ijkl | ijk)"),
        (einsum(1, [(Linalg("inv", (K,)), "kl"), (A, "ij"), (INVERSE, "jk")], "il"), "(δ_ik inv(K)_kj | ij)"),
        (einsum(1, [(A, "ij"), (HALF, "j")], "i"), None),
        (einsum(1, [(A, "ij"), (einsum(1, [(INVERSE, "jk")], "kj"), "jk")], "ik"), None),
        (einsum(1, [(P, "bcij"), (MANY, "bdjk")], "bcdik"), None),
        (einsum(1, [(A, "ij"), (x, "j"), (SOLUTION, "kl")], "ikl"), None),
        (einsum(1, [(A, "ij"), (x, "j"), (INVERSE, "kl")], "ikl"), None),
        (einsum(1, [(A, "ij"), (x, "j"), (INVERSE, "jk")], "ik"), None),
        (einsum(1, [(A, "ij"), (x, "i"), (INVERSE, "ki")], "kj"), None),
        (einsum(1, [(K, "ij"), (INVERSE, "jk")], "ik"), None),
        (einsum(1, [(A, "ij"), (Linalg("cholesky", (A,)), "jk")], "ik"), None),
    ],
)
def test_what_stands_beside_its_inverse(node: Node, wanted: str | None) -> None:
    found = cancel_inverse(node)
    assert (None if found is node else worded(found)) == wanted
    rng = np.random.default_rng(3)
    sizes = {"n": 3, "m": 2, "b": 2, "c": 4}
    leaves = [leaf for leaf in topological([node]) if isinstance(leaf, Tensor)]
    arrays = {leaf: rng.normal(size=[e.evaluate(sizes) for e in leaf.shape]) for leaf in leaves}
    for leaf in arrays.keys() & {A, K}:
        arrays[leaf] = arrays[leaf] @ arrays[leaf].T + np.eye(3)
    simple, whole = interpret([found, node], arrays, sizes)
    np.testing.assert_allclose(simple, whole, atol=1e-9)


def test_what_has_no_inverse_is_left_alone() -> None:
    singular = Linalg("inv", (zeros(A.shape),))
    unlike = (singular, x, Linalg("inv", (delta(Dim.named("n")),)), Linalg("cholesky", (INVERSE,)), SOLUTION)
    assert all(undo_inverse(node) is node for node in unlike)
    determinants = Linalg("det", (K,)), Linalg("logdet", (K,)), Linalg("det", (A,)), tensor("s")
    for node in (x, *(pointwise("exp", each) for each in determinants), *(pointwise("ln", each) for each in determinants[1:])):
        assert log_determinant(node) is node
    for inner in (determinants[1], tensor("s")):
        node = pointwise("ln", pointwise("abs", inner))
        assert log_determinant(node) is node


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


BATCHED = """
dim k, n, m
param P : k, n, n
param A : n, n
input b : n
input c : m
input g : k
"""

SPREAD = {
    "what has no row stands outside": (
        "F = solve(A, (b_i c_j | ij))", "n 1", lambda A, b, c, g: np.outer(np.linalg.solve(A, b), c)
    ),
    "identities are inverses": ("F = solve(A, 3 eye(n))", "n n", lambda A, b, c, g: 3 * np.linalg.inv(A)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "shape", "closed"), SPREAD.values(), ids=SPREAD)
def test_only_what_has_the_row_is_solved_for(text: str, shape: str, closed: Any) -> None:
    program = bc.parse(BATCHED + text)
    root = derive(program, make_options({})).entries[0].results[0][1]
    (solution,) = (node for node in topological([root]) if isinstance(node, Linalg))
    assert " ".join(map(str, solution.shape)) == shape
    rng = np.random.default_rng(0)
    given = {"b": rng.normal(size=3), "c": rng.normal(size=2), "g": rng.normal(size=4)}
    given["A"] = np.eye(3) * 2 + 0.3 * rng.normal(size=(3, 3))
    arguments = {argument: given[argument.name] for argument in program.arguments if argument.name in given}
    np.testing.assert_allclose(interpret([root], arguments)[0], closed(**given), atol=1e-12)


@pytest.mark.parametrize("model", ["sum(solve^1(P, b))", "norm2(solve^1(P, b))", "sum(tanh(solve^1(P, b)))"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_second_derivatives_of_batched_solutions_stay_apart(model: str, backend: str) -> None:
    """A block for each matrix: nothing grows with the square of their number."""
    module = bc.compile(f"{BATCHED}J = {model}\ngradient J wrt P\nhessian J wrt P as H\nhvp J wrt P as V", backend=backend)
    (told,) = module.SIGNATURE["functions"]["H"]["results"].values()
    assert told["structure"] and set(told["structure"]) == {"block diagonal"}
    costs = [module.SIGNATURE["count"]("H", k=k, n=3, m=1)["flops"] for k in (100, 200)]
    assert costs[1] < 2.1 * costs[0]
    rng = np.random.default_rng(0)
    arrays = {"P": np.eye(3) * 2 + 0.3 * rng.normal(size=(2, 3, 3)), "A": np.eye(3), "b": rng.normal(size=3), "c": np.ones(1),
              "g": np.ones(2)}  # fmt: skip
    way, step = rng.normal(size=(2, 3, 3)), 1e-4
    ends = [module.value_and_grad(**arrays | {"P": arrays["P"] + shift * way}).gradients.P for shift in (step, -step)]
    found = module.H(**arrays)
    np.testing.assert_allclose(found @ way, (ends[0] - ends[1]) / (2 * step), atol=1e-6)
    np.testing.assert_allclose(found @ way, module.V(**arrays, d_P=way), atol=1e-11)
    np.testing.assert_allclose(found.dense(), np.transpose(found.dense(), (3, 4, 5, 0, 1, 2)), atol=1e-11)
