"""Ranges whose ends move with an outer range, and steps that are written by index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elaborated import program, value
from modelcases import BACKENDS

import bracketc as bc
from bracketc.errors import SourceError
from bracketc.ir.nodes import Recurrence, Select
from bracketc.ir.rewrite import topological

N = 5
RNG = np.random.default_rng(0)
X, A = RNG.normal(size=N), RNG.normal(size=(N, N))
HEAD = "dim n\ninput x : n\ninput A : n, n\n"
GIVEN = {"x": X, "A": A}


def listed(term: Any) -> Any:
    return [term(i) for i in range(1, N + 1)]


REDUCED = {
    "running sum": ("F[i] = sum[j=1..i](x[j]) for i = 1..n", np.cumsum(X)),
    "from the other end": ("F[i] = sum[j=i..n](x[j]) for i = 1..n", np.cumsum(X[::-1])[::-1]),
    "empty at first": ("F[i] = sum[j=1..i-2](x[j]) for i = 1..n", [0, 0, *np.cumsum(X)[:3]]),
    "empty at last": ("F[i] = sum[j=i+2..n](x[j]) for i = 1..n", [*np.cumsum(X[::-1])[::-1][2:], 0, 0]),
    "backwards": ("F[i] = sum[j=1..n+1-i](x[j]) for i = 1..n", np.cumsum(X)[::-1]),
    "every other": ("F[i] = sum[j=1..2 i](x[j]) for i = 1..2", np.cumsum(X)[1:4:2]),
    "both ends": ("F[i] = sum[j=i-1..i+1](x[j]) for i = 2..n-1", np.convolve(X, np.ones(3), "valid")),
    "terms that differ": ("F[i] = sum[j=1..i](x[i] x[j]) for i = 1..n", X * np.cumsum(X)),
    "rows": ("F[i] = sum[j=1..i](A[j]) for i = 1..n", np.cumsum(A, axis=0)),
    "norm": ("F[i] = norm[j=1..i](x[j]) for i = 1..n", np.sqrt(np.cumsum(X**2))),
    "norm over a label": ("F = (norm[j](A_ij) + norm2[i](A_ij) | ij)![·,1]", np.linalg.norm(A, axis=1) + (A**2).sum(0)[0]),
    "labels": ("F[i] = sum[j=1..i](A[j,k] x[k]) for i = 1..n", np.cumsum(A @ X)),
    "mean": ("F[i] = mean[j=1..i](x[j]) for i = 1..n", np.cumsum(X) / np.arange(1, N + 1)),
    "product": ("F[i] = prod[j=i..n](x[j]) for i = 1..n", np.cumprod(X[::-1])[::-1]),
    "maximum": ("F[i] = max[j=1..i](x[j]) for i = 1..n", np.maximum.accumulate(X)),
    "minimum": ("F[i] = min[j=1..i](x[j]) for i = 1..n", np.minimum.accumulate(X)),
    "log-sum-exp": ("F[i] = logsumexp[j=1..i](x[j]) for i = 1..n", np.logaddexp.accumulate(X)),
    "triangle": ("F = sum[i=1..n, j=i+1..n](A[i,j])", np.triu(A, 1).sum()),
    "inside a recurrence": (
        "Z[0] = 0\nZ[t] = 0.5 Z[t-1] + sum[s=1..t](x[s]) for t = 1..n\nF = Z",
        listed(lambda t: sum(0.5 ** (t - s) * X[:s].sum() for s in range(1, t + 1))),
    ),
    "by labels": ("F[t] = sum[k](where(k <= t, x[k], 0)) for t = 1..n", np.cumsum(X)),
}


@pytest.mark.parametrize("name", REDUCED)
def test_a_range_that_ends_at_an_outer_one(name: str) -> None:
    text, wanted = REDUCED[name]
    np.testing.assert_allclose(value(text, GIVEN, HEAD), wanted, atol=1e-12)


def test_running_sums_are_one_loop_and_no_triangle() -> None:
    made = program("F[i] = sum[j=1..i](x[j]) for i = 1..n", HEAD)
    nodes = topological([dict(made.definitions)["F"]])
    assert any(isinstance(node, Recurrence) for node in nodes)
    assert not any(isinstance(node, Select) for node in nodes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_of_running_sums_is_the_sum_from_the_other_end(backend: str) -> None:
    text = HEAD.replace("input A : n, n\n", "") + "M[i] = sum[j=1..i](x[j]) for i = 1..n\nJ = (1/2) norm2(M)\ngradient J wrt x"
    found, gradients = bc.compile(text, backend=backend).value_and_grad(X)
    sums = np.cumsum(X)
    np.testing.assert_allclose(found, 0.5 * sums @ sums)
    np.testing.assert_allclose(gradients.x, np.cumsum(sums[::-1])[::-1])


def test_a_step_may_be_written_by_index() -> None:
    text = "dim m, k\ninput x : 2 m + k\ninput w : k\nF[i] = x[2 i + u - 1] w[u] for i = 1..m"
    x, w = RNG.normal(size=9), RNG.normal(size=3)
    wanted = [x[2 * i - 1 : 2 * i + 2] @ w for i in range(1, 4)]
    np.testing.assert_allclose(bc.compile(text, backend="numpy").evaluate(x, w).F, wanted)


def test_an_end_is_linear_in_the_outer_variable() -> None:
    with pytest.raises(SourceError, match="no multiple of the variable"):
        program("F[i] = sum[j=1..i i](x[j]) for i = 1..n", HEAD)


def test_terms_may_not_leave_the_tensor() -> None:
    with pytest.raises(SourceError, match=r"is not in 1\.\.n"):
        program("F[i] = sum[j=1..i+1](x[j]) for i = 1..n", HEAD)


def test_entries_of_what_moves_with_the_range_itself() -> None:
    text = "F = sum[i=1..n]((A @ A[i])![i] x[i])"
    np.testing.assert_allclose(value(text, GIVEN, HEAD), (A * A).sum(1) @ X, atol=1e-12)


def test_entries_of_an_outer_range_of_what_moves_with_an_inner_one() -> None:
    text = "F[i] = sum[j=1..n]((A @ A[j])![i] x[j]) for i = 1..n"
    np.testing.assert_allclose(value(text, GIVEN, HEAD), A @ A.T @ X, atol=1e-12)


RANGED_SLOPES = {
    "by an argument that is not sliced": ("sum[t=1..n](x[t] (y · ∇[z](z · z)))", X.sum() * 2 * A[0] @ A[1]),
    "by an argument that is sliced": ("sum[t=1..n]((∇[A](y · tanh(A[t])))![t] · z)", (A[0] * A[1] / np.cosh(A) ** 2).sum()),
    "by a definition that is sliced": (
        "sum[t=1..n]((∇[D](y · tanh(D[t]) + sum(x)))![t] · z)",
        (A[0] * A[1] / np.cosh(A**2) ** 2).sum(),
    ),
}


@pytest.mark.parametrize("name", RANGED_SLOPES)
def test_a_derivative_inside_a_range(name: str) -> None:
    text, wanted = RANGED_SLOPES[name]
    head = HEAD + "input y : n\ninput z : n\nD = A ⊙ A\n"
    given = {**GIVEN, "y": A[0], "z": A[1]}
    np.testing.assert_allclose(value(f"F = {text}", given, head), wanted, atol=1e-12)


@pytest.mark.parametrize("text", ["F = D[c]", "F[b] = D[c[b]] for b = 1..n", "F = (D[c[b]] | b)"])
def test_integers_gather_from_what_is_defined_step_by_step(text: str) -> None:
    chosen = np.array([2, 2, 0, 4, 1])
    head = HEAD + "input c : n  integer in n\nD[t] = 2 x[t] for t = 1..n\n"
    np.testing.assert_allclose(value(text, {**GIVEN, "c": chosen}, head), 2 * X[chosen])
