"""Derivatives of the operations on matrices: batched, to second and third order, against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ckernels import needs_compiler

import bracketc as bc

Array = np.ndarray[Any, Any]

HEAD = """
dim n ~ 4, m ~ 2, b ~ 2
input A : n, n
input K : n, n  symmetric, positive definite
input T : n, n  lower
input B : n, m
input P : b, n, n
input G : n, m
input H : n, n
input x : n
input y : n
const I = eye(n)
"""

MODELS = {
    "inverse": ("(G_ij G_kj inv(A)_ik | )", "A"),
    "inverse of an inverse plus": ("(H_ij inv(inv(A) + H)_ij | )", "A"),
    "solution": ("G · solve(A, B)", "A"),
    "solution by its right side": ("norm2(solve(A, B))", "B"),
    "solution with a transpose": ("x · solve(A^T, y)", "A"),
    "determinant": ("det(A)", "A"),
    "logarithm of a determinant": ("logdet(A)", "A"),
    "regularised": ("logdet(A^T @ A + 2 I)", "A"),
    "Cholesky factor": ("(H_ij chol(A @ A^T + I)_ij | )", "A"),
    "solution with a Cholesky factor": ("x · solve(chol(A @ A^T + I), y)", "A"),
    "marginal likelihood": ("0.5 (y · solve(K, y)) + 0.5 logdet(K)", "K"),
    "determinant of a definite matrix": ("det(K)", "K"),
    "triangular solution": ("x · solve(T, y)", "T"),
    "triangular determinant": ("logdet(T) + det(T)", "T"),
    "trace of a product": ("tr(inv(A) @ H @ A @ H)", "A"),
    "Kronecker": ("(inv(A)_ij inv(A)_kl H_ik H_jl | )", "A"),
    "Hadamard": ("(inv(A)_ij inv(A)_ij H_ij | )", "A"),
    "batched inverse": ("(H_ij inv^1(P)_zij x_i | )", "P"),
    "batched solution": ("(solve^1(P, B)_zij solve^1(P, B)_zij | )", "P"),
    "batched determinants": ("(det^1(P)_z logdet^1(P)_z | )", "P"),
}


def given(n: int = 3) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    square = rng.normal(size=(n, n))
    return {
        "A": rng.normal(size=(n, n)) + 2 * np.eye(n),
        "K": square @ square.T + np.eye(n),
        "T": np.tril(rng.normal(size=(n, n))) + 2 * np.eye(n),
        "B": rng.normal(size=(n, 2)),
        "P": rng.normal(size=(2, n, n)) + 3 * np.eye(n),
        "G": rng.normal(size=(n, 2)),
        "H": rng.normal(size=(n, n)),
        "x": rng.normal(size=n),
        "y": rng.normal(size=n),
    }


def directions(name: str, array: Array) -> list[Any]:
    """Increments that keep what is declared: symmetric ones of K, lower ones of T."""
    rng = np.random.default_rng(6)
    found = [np.asarray(rng.normal(size=array.shape)) for _ in range(2)]
    if name == "K":
        return [d + d.T for d in found]
    return [np.tril(d) for d in found] if name == "T" else found


@pytest.mark.parametrize("model", MODELS)
def test_first_and_second_derivatives(model: str) -> None:
    text, name = MODELS[model]
    source = f"{HEAD}J = {text}\ngradient J wrt {name}\nhessian J wrt {name}\nhvp J wrt {name}"
    module: Any = bc.compile(source, backend="numpy", verify=True)
    arrays = given()
    h = 1e-5

    def moved(step: Array) -> dict[str, Array]:
        return arrays | {name: arrays[name] + step}

    slope = getattr(module.value_and_grad(**arrays).gradients, name)
    second = getattr(module, f"hessian_J_{name}")(**arrays, dense=True)
    for d in directions(name, arrays[name]):
        up, down = (module.value_and_grad(**moved(s * h * d)) for s in (1, -1))
        np.testing.assert_allclose((slope * d).sum(), (up.value - down.value) / (2 * h), rtol=1e-6, atol=1e-6)
        difference = (getattr(up.gradients, name) - getattr(down.gradients, name)) / (2 * h)
        product = getattr(module, f"hvp_J_{name}")(**arrays, **{f"d_{name}": d})
        np.testing.assert_allclose(np.tensordot(second, d, d.ndim), product, rtol=1e-7, atol=1e-7)
        if name in ("K", "T"):  # gradients there are those of all entries, differences move along what is declared
            other = directions(name, arrays[name])[1]
            np.testing.assert_allclose((product * other).sum(), (difference * other).sum(), rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_allclose(product, difference, rtol=1e-5, atol=1e-5)


IN_C = (
    "solution with a transpose",
    "Cholesky factor",
    "marginal likelihood",
    "triangular solution",
    "batched solution",
    "determinant",
)


@needs_compiler
def test_c_has_the_derivatives_of_numpy() -> None:
    lines = []
    for k, model in enumerate(IN_C):
        text, name = MODELS[model]
        lines.append(f"J{k} = {text}\ngradient J{k} wrt {name} as g{k}\nhvp J{k} wrt {name} as h{k}")
    source = HEAD + "\n".join(lines)
    numpy, c = bc.compile(source, backend="numpy"), bc.compile(source, backend="c", cflags=("-O1",))
    arrays = given(5)
    for k, model in enumerate(IN_C):
        name = MODELS[model][1]
        d = {f"d_{name}": directions(name, arrays[name])[0]}
        want, found = (getattr(getattr(module, f"g{k}")(**arrays).gradients, name) for module in (numpy, c))
        np.testing.assert_allclose(found, want, rtol=1e-8, atol=1e-8, err_msg=model)
        want, found = (getattr(module, f"h{k}")(**arrays, **d) for module in (numpy, c))
        np.testing.assert_allclose(found, want, rtol=1e-8, atol=1e-8, err_msg=model)


def test_third_derivatives() -> None:
    source = f"{HEAD}J = logdet(A) + (x · solve(A, y))\nS = ∇[A](∇[A](J) · H)\njacobian S wrt A"
    module: Any = bc.compile(source, backend="numpy")
    arrays = given()
    third = module.jacobian_S_A(**arrays, dense=True)
    d, h = directions("A", arrays["A"])[0], 1e-5
    up, down = (module.evaluate(**arrays | {"A": arrays["A"] + s * h * d}).S for s in (1, -1))
    np.testing.assert_allclose(np.tensordot(third, d, 2), (up - down) / (2 * h), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", pytest.param("c", marks=needs_compiler)])
def test_a_mapped_solution(backend: str) -> None:
    source = "dim b, n, m\ninput P : b, n, n\ninput B : n, m\ninput y : n\nX = solve^1(P, B)\nx = solve^1(P, y)\noutput X, x"
    arrays = given()
    found = bc.compile(source, backend=backend).evaluate(arrays["P"], arrays["B"], arrays["y"])
    np.testing.assert_allclose(found.X, np.linalg.inv(arrays["P"]) @ arrays["B"], rtol=1e-9)
    np.testing.assert_allclose(found.x, np.linalg.inv(arrays["P"]) @ arrays["y"], rtol=1e-9)
