"""A request by a definition takes the output as a function of it: the name is cut, not every expression that equals it."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc.ir.program import Request

RNG = np.random.default_rng(0)
A, x = RNG.random((2, 3)), RNG.random(3)

TWICE = """
input A : 2, 3
param x : 3
y = A @ x
z = x
J = y · (A @ x) + z · z + x · z
K = y · y
output J, K, y
"""


def compiled(requests: str) -> ModuleType:
    return bc.compile(f"{TWICE}\n{requests}", backend="numpy")


def test_an_equal_expression_elsewhere_stays() -> None:
    gradients = compiled("gradient J wrt y, z, x").value_and_grad(A, x).gradients
    np.testing.assert_allclose(gradients.y, A @ x)
    np.testing.assert_allclose(gradients.z, 2 * x + x)
    np.testing.assert_allclose(gradients.x, 2 * A.T @ A @ x + 4 * x)


def test_a_request_and_an_expression_agree() -> None:
    module = bc.compile(TWICE.replace("output J, K, y", "G = ∇[y](J)\noutput J, G\ngradient J wrt y"), backend="numpy")
    np.testing.assert_allclose(module.value_and_grad(A, x).gradients.y, module.evaluate(A, x).G)


def test_backward_takes_cotangents_of_every_result() -> None:
    module = compiled("gradient J wrt y")
    _, residuals = module.forward(A, x)
    bar = np.array([1.0, 2.0])
    np.testing.assert_allclose(module.backward(residuals, J=1.0, K=3.0, y=bar).y, A @ x + bar + 6 * A @ x)


@pytest.mark.parametrize(
    ("request_", "want"),
    [
        ("jacobian J wrt y as D", A @ x),
        ("vjp J wrt y as D", A @ x),
        ("jvp J wrt y as D", (A @ x).sum()),
        ("hvp K wrt y as D", 2 * np.ones(2)),
        ("hessian J wrt y as D", np.zeros((2, 2))),
        ("hessian K wrt y as D", 2 * np.eye(2)),
        ("hessian K wrt y, x as D", 2 * A),  # the gradient by y, as a function of x
        ("hessian K wrt x, y as D", np.zeros((3, 2))),  # for a fixed y, K does not depend on x
    ],
)
def test_every_request_cuts(request_: str, want: Any) -> None:
    module = compiled(request_)
    given = {"A": A, "x": x, "d_y": np.ones(2), "bar_J": np.array(1.0)}
    found = module.D(**{name: given[name] for name in module.SIGNATURE["functions"]["D"]["arguments"]})
    np.testing.assert_allclose(found, want, atol=1e-12)


def test_a_definition_is_cut_before_anything_is_rewritten() -> None:
    """ln(softmax) becomes one stable node, in which no softmax is left to differentiate by."""
    source = """
    input Y : 2, 3
    param A : 2, 3
    Z = softmax^1(A)
    J = -(ln(Z) · Y)
    gradient J wrt Z, A
    """
    Y, scores = RNG.random((2, 3)), RNG.random((2, 3))
    Z = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    gradients = bc.compile(source, backend="numpy").value_and_grad(Y, scores).gradients
    np.testing.assert_allclose(gradients.Z, -Y / Z)
    np.testing.assert_allclose(gradients.A, Y.sum(1, keepdims=True) * Z - Y)


def test_members_of_a_family_are_cut_one_by_one() -> None:
    source = """
    dim L = 3
    input X : 2, 3
    param W[j] : 3, 3 for j = 1..L
    Z[0] = X
    Z[j] = tanh(Z[j-1] @ W[j]) for j = 1..L
    J = norm2(Z[L]) + norm2(Z[1])
    gradient J wrt Z[1], Z[2], Z[3], W
    """
    X = RNG.random((2, 3))
    W = [RNG.random((3, 3)) for _ in range(3)]
    Z1 = np.tanh(X @ W[0])
    Z2 = np.tanh(Z1 @ W[1])
    Z3 = np.tanh(Z2 @ W[2])
    G3 = 2 * Z3
    G2 = (G3 * (1 - Z3**2)) @ W[2].T
    G1 = (G2 * (1 - Z2**2)) @ W[1].T + 2 * Z1
    found = bc.compile(source, backend="numpy").value_and_grad(X, *W).gradients
    for got, want in ((found.Z3, G3), (found.Z2, G2), (found.Z1, G1), (found.W1, X.T @ (G1 * (1 - Z1**2)))):
        np.testing.assert_allclose(got, want)


def test_a_step_of_a_recurrence_read_after_the_loop() -> None:
    source = """
    dim T
    input a : T
    Z[0] = 1
    Z[t] = 0.5 Z[t-1] + a[t] for t = 1..T
    J = Z · Z
    gradient J wrt Z
    """
    module = bc.compile(source, backend="numpy")
    a = RNG.random(4)
    states = []
    state = 1.0
    for entry in a:
        state = 0.5 * state + entry
        states.append(state)
    np.testing.assert_allclose(module.value_and_grad(a).gradients.Z, 2 * np.array(states))


def test_a_mixed_derivative_by_two_definitions_is_the_gradient_by_one_as_a_function_of_the_other() -> None:
    module = bc.compile(f"{TWICE.replace('x · z', '(y_i A_ij z_j | )')}\nhessian J wrt y, z as D", backend="numpy")
    np.testing.assert_allclose(module.D(A, x), A)


def test_a_mixed_derivative_by_two_definitions_from_elsewhere_says_what_to_write() -> None:
    program = replace(bc.parse(TWICE), requests=(Request("hessian", "J", ("y", "z")),))
    with pytest.raises(bc.BracketError, match=r"write g = ∇\[y\]\(J\) and jacobian g wrt z"):
        bc.compile(program, backend="numpy")


RECURRING = """
dim T
input x : T
param w : scalar
Z[0] = 1
U[0] = 2
U[t] = w Z[t-1] + U[t-1] for t = 1..T
Z[t] = (1/2) Z[t-1] + U[t] x[t] for t = 1..T
J = Z · Z + Z[T]
G = ∇[U](J)
"""


def test_definition_that_recurs_with_others_is_cut_from_them() -> None:
    """With U a variable, Z[t] = Z[t-1]/2 + U[t] x[t] is linear in it: ∇[U](J) = x ⊙ P where P[t] = 2 Z[t] + P[t+1]/2."""
    module = bc.compile(RECURRING + "gradient J wrt U\noutput J, G, Z", backend="numpy")
    x, w = np.array([0.5, -1.0, 2.0, 0.25]), 0.3
    found = module.evaluate(x, w)
    adjoint = np.zeros(4)
    for t in reversed(range(4)):
        adjoint[t] = 2 * found.Z[t] + (0.5 * adjoint[t + 1] if t < 3 else 1)
    np.testing.assert_allclose(found.G, x * adjoint)
    np.testing.assert_allclose(module.value_and_grad(x, w)[1].U, x * adjoint)
