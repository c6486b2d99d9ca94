"""``stop(X)``: the value of X, constant for every differential (the struck-out terms of 000/4.2)."""

from __future__ import annotations

import numpy as np
import pytest

import bracketc as bc

RNG = np.random.default_rng(5)
A, X = RNG.standard_normal((2, 3)), RNG.standard_normal((2, 3))


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize(
    ("loss", "gradient"),
    [
        ("(A ⊙ X) · stop(X)", A * X),
        ("[~A X stop(X)]", A * X),
        ("[~A X (stop(X_1) stop(X_2))]", A * X),
        ("(A_ij X_ij stop(X_ij) | )", A * X),
        ("(A_ij X_ij stop(X)_ij | )", A * X),
        ("stop(A · X) norm2(X)", 2 * np.sum(A * X) * X),
        ("A · (X - stop(X))", A),
        ("A · X + stop(norm2(X))", A),
        ("A · exp(X - stop(X))", A),
    ],
)
def test_a_stopped_occurrence_is_constant(loss: str, gradient: np.ndarray, backend: str) -> None:
    module = bc.compile(f"input A : 2, 3\nparam X : 2, 3\nF = {loss}\ngradient F wrt X", backend=backend)
    np.testing.assert_allclose(module.value_and_grad(A, X).gradients.X, gradient)


def test_the_value_does_not_change() -> None:
    one, other = (
        bc.compile(f"input A : 2, 3\nF = {text}", backend="numpy") for text in ("stop(A) @ stop(A)^T", "A @ A^T")
    )
    np.testing.assert_array_equal(one.evaluate(A).F, other.evaluate(A).F)


def test_second_derivatives_stop_too() -> None:
    module = bc.compile("param x : 3\nF = (x ⊙ x) · stop(x)\nhessian F wrt x\njvp F wrt x", backend="numpy")
    x = np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(module.hessian_F_x(x), np.diag(2 * x))
    np.testing.assert_allclose(module.jvp_F_x(x, d_x=x), 2 * np.sum(x**3))


def test_derivatives_in_expressions_stop() -> None:
    module = bc.compile("param x : 3\nF = ∇[x]((x ⊙ x) · stop(x))", backend="numpy")
    x = np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(module.evaluate(x).F, 2 * x * x)


def test_a_function_may_stop() -> None:
    module = bc.compile("function f(a) = a stop(a)\nparam x : 3\nF = sum(f(x))\ngradient F wrt x", backend="numpy")
    x = np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(module.value_and_grad(x).gradients.x, x)


def test_a_step_of_a_recurrence_may_stop() -> None:
    source = """
    dim T
    input a : T
    param w : scalar
    Z[0] = 1
    Z[t] = w stop(Z[t-1]) + a[t]  for t = 1..T
    J = sum(Z)
    gradient J wrt w
    """
    a, w = np.array([0.5, -1.0, 2.0]), 0.7
    z, slope, states = 1.0, 0.0, []
    for x in a:
        slope += z
        z = w * z + x
        states.append(z)
    value, gradients = bc.compile(source, backend="numpy").value_and_grad(a, np.array(w))
    np.testing.assert_allclose([value, gradients.w], [sum(states), slope])


def test_portions_of_a_stopped_occurrence_belong_together() -> None:
    with pytest.raises(bc.BracketError, match=r"a portion of stop\(X\) is missing: position 2 is not used"):
        bc.parse("param X : 2, 3\nF = stop(X_1) X_2")
