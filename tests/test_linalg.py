"""Operations on matrices in both backends: values at every size, batches, and what happens where there is no result."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ckernels import needs_compiler

import bracketc as bc
from bracketc.cli import main

Array = np.ndarray[Any, Any]

BACKENDS = ["numpy", pytest.param("c", marks=needs_compiler)]

EVERYTHING = """
dim n, m, b
input A : n, n
input E : n, n
input S : n, n
input B : n, m
input y : n
input P : b, n, n
V = inv(A)
x = solve(E, y)
X = solve(E, B)
d = det(A)
h = logdet(A)
L = chol(S)
F = chol^1(P)
K = (P_kij P_kil | kjl)
W = inv^1(K)
q = logdet^1(P)
output V, x, X, d, h, L, F, W, q
"""


@cache
def module(backend: str, on_singular: str = "raise", n: int | None = None) -> ModuleType:
    sizes = None if n is None else {"n": n}
    return bc.compile(EVERYTHING, backend=backend, on_singular=on_singular, sizes=sizes, cflags=("-O1",))


def matrices(n: int, m: int = 3, b: int = 2, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    square = rng.normal(size=(b + 1, n, n))
    definite = square @ square.transpose(0, 2, 1) / max(n, 1) + np.eye(n)
    return {
        "A": rng.normal(size=(n, n)) + np.eye(n),
        "E": rng.normal(size=(n, n)) + np.eye(n),
        "S": definite[b],
        "B": rng.normal(size=(n, m)),
        "y": rng.normal(size=n),
        "P": definite[:b],
    }


def expected(A: Array, E: Array, S: Array, B: Array, y: Array, P: Array) -> dict[str, Array]:
    return {
        "V": np.linalg.inv(A),
        "x": np.linalg.solve(E, y),
        "X": np.linalg.solve(E, B),
        "d": np.linalg.det(A),
        "h": np.linalg.slogdet(A)[1],
        "L": np.linalg.cholesky(S),
        "F": np.linalg.cholesky(P),
        "W": np.linalg.inv(P.transpose(0, 2, 1) @ P),
        "q": np.linalg.slogdet(P)[1],
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 8, 15, 16, 17, 31, 33, 65, 130, 260])
def test_values_at_every_size(backend: str, n: int) -> None:
    given = matrices(n, m=1 + n % 5)
    found = module(backend).evaluate(**given)._asdict()
    for name, want in expected(**given).items():
        np.testing.assert_allclose(found[name], want, rtol=1e-7, atol=1e-9, err_msg=f"{name}, n = {n}")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [3, 4])
def test_sizes_that_the_text_knows(backend: str, n: int) -> None:
    given = matrices(n, seed=n)
    found = module(backend, n=n).evaluate(**given)._asdict()
    for name, want in expected(**given).items():
        np.testing.assert_allclose(found[name], want, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_are_exchanged_for_the_largest_pivot(backend: str) -> None:
    tiny = np.array([[1e-20, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 2.0, 1e-20]])
    for bound in (None, 3):
        found = module(backend, n=bound).evaluate(**matrices(3) | {"A": tiny})
        np.testing.assert_allclose(found.V, np.linalg.inv(tiny), atol=1e-14)
        np.testing.assert_allclose(found.d, np.linalg.det(tiny), rtol=1e-12)


@needs_compiler
def test_determinants_over_and_underflow_only_in_the_end() -> None:
    large = np.diag(np.repeat([1e300, 1e-300], 20))
    np.testing.assert_allclose(module("c").evaluate(**matrices(40) | {"A": large}).d, 1.0, rtol=1e-12)


# ------------------------------------------------------------------------------------------------- no result
ZERO_COLUMN = np.array([[1.0, 0, 3], [2, 0, 7], [3, 0, 1]])
CASES: dict[str, tuple[str, str, str, str, Array, int]] = {
    "dependent columns": ("A", "V", "inv(A)", "singular", np.array([[4.0, 2, 1], [2, 1, 7], [1, 0.5, 3]]), 2),
    "inverse of zero": ("A", "V", "inv(A)", "singular", np.zeros((3, 3)), 1),
    "singular system": ("E", "x", "solve(E)", "singular", np.diag([1.0, 1, 0]), 3),
    "indefinite": ("S", "L", "chol(S)", "not positive definite", np.array([[4.0, 2, 0], [2, 1, 0], [0, 0, 1]]), 2),
    "negative": ("S", "L", "chol(S)", "not positive definite", -np.eye(3), 1),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bound", [None, 3])
@pytest.mark.parametrize("case", CASES)
def test_no_result_is_an_error_or_nan(backend: str, bound: int | None, case: str) -> None:
    name, output, operation, what, matrix, minor = CASES[case]
    given = matrices(3) | {name: matrix}
    loud = module(backend, n=bound)
    with pytest.raises(bc.SingularError, match=f"the matrix is {what}, its leading minor of order {minor} is") as caught:
        loud.evaluate(**given)
    assert (caught.value.operation, caught.value.member, caught.value.minor) == (operation, None, minor)
    assert loud.SingularError is bc.SingularError and issubclass(bc.SingularError, bc.ArgumentError)
    found = module(backend, "nan", bound).evaluate(**given)._asdict()
    want = expected(**matrices(3))
    for other in sorted(want):
        if other == output or (output, other) == ("x", "X"):
            assert np.isnan(found[other]).all()
        elif name not in ("A", "P"):
            np.testing.assert_allclose(found[other], want[other], rtol=1e-9, atol=1e-11, err_msg=other)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_error_names_the_matrix_of_a_batch(backend: str) -> None:
    batch = np.stack([np.eye(3), np.diag([1.0, -1, 1]), np.zeros((3, 3))])
    message = r"chol\(P\): the matrix is not positive definite, .* \(matrix 1 of the batch, counted from 0\)"
    with pytest.raises(bc.SingularError, match=message) as caught:
        module(backend).evaluate(**matrices(3, b=3) | {"P": batch})
    assert (caught.value.member, caught.value.minor) == (1, 2)
    found = module(backend, "nan").evaluate(**matrices(3, b=3) | {"P": batch})
    np.testing.assert_array_equal(np.isnan(found.F).all((1, 2)), [False, True, True])
    np.testing.assert_array_equal(np.isnan(found.W).all((1, 2)), [False, False, True])
    np.testing.assert_array_equal(found.q, [0, 0, -np.inf])


@pytest.mark.parametrize("backend", BACKENDS)
def test_singular_matrices_have_determinants(backend: str) -> None:
    found = module(backend, "nan").evaluate(**matrices(3) | {"A": ZERO_COLUMN})
    assert found.d == 0 and found.h == -np.inf and np.isnan(found.V).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bound", [None, 3])
def test_nan_is_no_fault_and_goes_through(backend: str, bound: int | None) -> None:
    for n in (3,) if bound else (3, 20):
        spoilt = np.eye(n)
        spoilt[1, 1] = np.nan
        given = matrices(n) | {"A": spoilt, "E": spoilt, "S": spoilt, "P": np.stack([np.eye(n), spoilt])}
        for name, array in module(backend, n=bound).evaluate(**given)._asdict().items():
            assert np.isnan(array).any(), name


def test_the_header_says_which_operations_fail(tmp_path: Any) -> None:
    bc.build(EVERYTHING, tmp_path, backend="c", name="m", compile=False)
    header = (tmp_path / "m.h").read_text()
    assert "} m_failure;" in header and "0: inv(A); 1: solve(E)" in header
    bc.build(EVERYTHING, tmp_path, backend="c", name="m", compile=False, on_singular="nan")
    assert "m_failure" not in (tmp_path / "m.h").read_text()


def test_an_unknown_way_to_treat_singular_matrices_is_an_error() -> None:
    with pytest.raises(bc.BracketError, match="on_singular is 'zero'; choose raise or nan"):
        bc.compile(EVERYTHING, on_singular="zero")


@pytest.mark.parametrize("name", ["inv", "det", "logdet", "chol", "tr"])
def test_matrices_must_be_square(name: str) -> None:
    with pytest.raises(bc.SourceError, match="has two sizes"):
        bc.parse(f"dim n, m\ninput A : n, m\nF = {name}(A)")


def test_the_command_line_has_both_switches(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "m.brk"
    source.write_text("dim n\ninput A : n, n\nV = inv(A)\n")
    build = ["build", str(source), "-o", str(tmp_path), "--backend", "numpy"]
    assert main(build) == 0 and "SingularError" in (tmp_path / "m.py").read_text()
    assert main([*build, "--on-singular", "nan", "--no-lapack"]) == 0
    assert "SingularError" not in (tmp_path / "m.py").read_text()
    capsys.readouterr()
