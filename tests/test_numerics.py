"""How far answers are from the true ones, in units in the last place; docs/numerics.md has the figures of whole campaigns."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS, ROOT, needs_compiler

import bracketc as bc
from bracketc.ir.functions import FUNCTIONS

sys.path.insert(0, str(ROOT / "tools"))

import ulps

mpmath = pytest.importorskip("mpmath")
mpmath.mp.dps = 50
each_backend = pytest.mark.parametrize("backend", BACKENDS)
EPS = 2.0**-53
INF = math.inf


# ------------------------------------------------------------------------------------------------ functions
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ulps")


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_function_exceeds_its_bound(dtype: str, folder: Path) -> None:
    count = 2**16 if dtype == "float32" else 5_000
    for function in ulps.FUNCTIONS:
        ranges = ulps.pieces(dtype, count)[:: 8 if dtype == "float32" else 16]
        found = ulps.merged([ulps.measure(dtype, function, *piece, folder) for piece in ranges])
        assert ulps.breach(dtype, function, found) is None


def exact_psi(name: str, x: Any) -> Any:
    """With 50 digits; by reflection below zero (Abramowitz and Stegun 6.3.7, 6.4.7)."""
    if name == "digamma":
        return mpmath.psi(0, 1 - x) - mpmath.pi * mpmath.cot(mpmath.pi * x) if x < 0 else mpmath.psi(0, x)
    return (mpmath.pi / mpmath.sin(mpmath.pi * x)) ** 2 - mpmath.psi(1, 1 - x) if x < 0 else mpmath.psi(1, x)


@pytest.mark.parametrize("name", ["digamma", "trigamma"])
@each_backend
def test_digamma_far_below_zero(name: str, backend: str) -> None:
    """Where pi x has lost its fraction: the tangent has to see x less its nearest whole number."""
    x = np.array([-275846580172733.97, -2200541564262917.2, -1e6 - 0.25, -33.75, -0.3, 1e-3, 0.7, 5.5, 1e8])
    wanted = np.array([float(exact_psi(name, mpmath.mpf(float(value)))) for value in x])
    module = bc.compile(f"dim N\ninput x : N\ny = {name}(x)", backend=backend)
    np.testing.assert_allclose(module.evaluate(x).y, wanted, rtol=1e-14, atol=0)
    np.testing.assert_allclose(FUNCTIONS[name].evaluate(x), wanted, rtol=1e-14, atol=0)


# ------------------------------------------------------------------------------------------------ rows
ROWS = {
    "±1e4": [1e4, -1e4, 9999.5, 0.0, 1e4 - 30],
    "all at -1e4": [-1e4, -1e4 - 1, -1e4 + 0.125],
    "-inf among them": [-INF, 3.0, -INF, 2.5, -700.0],
    "-inf and 1e4": [-INF, 1e4, -1e4],
    "one": [-1e4],
    "near each other": [1.0, 1.0 + 2**-40, 1.0 - 2**-44],
    "far below": [0.0, -745.0, -746.0, -50.0],
    "many": [math.sin(k) * 1e4 for k in range(300)],
    "many small": [math.sin(k) for k in range(1000)],
}


def exact_rows(row: list[float]) -> tuple[list[Any], Any]:
    """softmax and log-sum-exp with 50 digits."""
    top = max(row)
    terms = [mpmath.exp(mpmath.mpf(x) - mpmath.mpf(top)) if x != -INF else mpmath.mpf(0) for x in row]
    total = mpmath.fsum(terms)
    return [term / total for term in terms], mpmath.log(total) + mpmath.mpf(top)


def rows_module(backend: str, dtype: str) -> ModuleType:
    source = "dim N\nparam x : N\np = softmax(x)\nl = logsumexp(x)\nq = ln(softmax(x))\noutput p, l, q\ngradient l wrt x"
    return bc.compile(source, backend=backend, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", ROWS)
@each_backend
def test_softmax_and_log_sum_exp(backend: str, row: str, dtype: str) -> None:
    x = np.array(ROWS[row], dtype)
    shares, total = exact_rows([float(value) for value in x])
    found = rows_module(backend, dtype).evaluate(x)
    eps = float(np.finfo(dtype).eps) / 2
    spread = max(1.0, float(np.max(x)) - float(np.min(x[np.isfinite(x)])))
    least = float(np.finfo(dtype).smallest_subnormal)
    for share, value in zip(shares, found.p, strict=True):
        # x - max is rounded once, which moves its exponential by half a unit of the difference
        difference = min(spread, 110.0 if dtype == "float32" else 750.0)
        assert abs(mpmath.mpf(float(value)) - share) <= (8 + difference) * eps * share + 2 * least
    assert abs(mpmath.mpf(float(found.l)) - total) <= 4 * eps * max(1.0, abs(float(total)))
    logs = [mpmath.log(share) if share else -mpmath.inf for share in shares]
    for log, value in zip(logs, found.q, strict=True):
        if log == -mpmath.inf:
            assert value == -INF
        elif abs(log) < 1e30:
            assert abs(mpmath.mpf(float(value)) - log) <= 8 * eps * max(1.0, spread)


@each_backend
def test_a_row_of_minus_infinity_has_the_sum_minus_infinity(backend: str) -> None:
    module = bc.compile("dim N\nparam x : N\nl = logsumexp(x)", backend=backend)
    assert module.evaluate(np.array([-INF, -INF])).l == -INF
    assert module.evaluate(np.array([INF, 0.0])).l == INF


# ------------------------------------------------------------------------------------------------ matrices
def conditioned(n: int, condition: float, definite: bool) -> np.ndarray[Any, Any]:
    """A matrix of the given condition, its singular values spread evenly in size."""
    rng = np.random.default_rng(n)
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    values = condition ** -(np.arange(n) / max(1, n - 1))
    made = (left * values) @ (left.T if definite else right)
    return np.asarray((made + made.T) / 2 if definite else made)


MATRICES = {
    "well conditioned": (12, 1e2, False),
    "condition 1e12": (12, 1e12, False),
    "large, condition 1e12": (40, 1e12, False),
    "definite": (12, 1e2, True),
    "definite, condition 1e12": (12, 1e12, True),
}


@pytest.mark.parametrize("name", MATRICES)
@each_backend
def test_solve_and_log_determinant(backend: str, name: str) -> None:
    n, condition, definite = MATRICES[name]
    A = conditioned(n, condition, definite)
    b = np.random.default_rng(1).normal(size=n)
    trait = "  positive definite" if definite else ""
    module = bc.compile(
        f"dim N\ninput A : N, N{trait}\ninput b : N\nx = solve(A, b)\nl = logdet(A)\noutput x, l", backend=backend, lapack=False
    )
    if not definite and np.linalg.det(A) < 0:
        A[0] = -A[0]
    found = module.evaluate(A, b)
    exact = mpmath.matrix(A.tolist())
    # The residual of what was computed, with 50 digits (N. J. Higham, Accuracy and Stability, 2002, 7.1: normwise backward error).
    residual = exact * mpmath.matrix(found.x.tolist()) - mpmath.matrix(b.tolist())
    backward = float(mpmath.norm(residual, 2)) / (np.linalg.norm(A, 2) * np.linalg.norm(found.x) + np.linalg.norm(b))
    assert backward <= 4 * n * EPS
    wanted = mpmath.lu_solve(exact, mpmath.matrix(b.tolist()))
    error = float(mpmath.norm(mpmath.matrix(found.x.tolist()) - wanted, 2) / mpmath.norm(wanted, 2))
    assert error <= 4 * n * condition * EPS
    log = mpmath.log(abs(mpmath.det(exact)))
    # The determinant of a matrix A + E next to A: its logarithm moves by tr(A^-1 E) (same book, 14.6).
    assert abs(float(mpmath.mpf(float(found.l)) - log)) <= 2 * n * condition * EPS + 8 * n * EPS * abs(float(log))
