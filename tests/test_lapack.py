"""Large matrices: the factorisations of SciPy's LAPACK by pointers, with integers of either width, or own code."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ckernels import needs_compiler

import bracketc as bc

pytestmark = needs_compiler

SOURCE = "dim n\ninput A : n, n\ninput S : n, n\ninput y : n\nx = solve(A, y)\nh = logdet(A)\nL = chol(S)\noutput x, h, L"
ROWS = 70
LOW = "-DBRK_LAPACK_ROWS=64"


def given() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(ROWS, ROWS))
    return {"A": A, "S": A @ A.T / ROWS + np.eye(ROWS), "y": rng.normal(size=ROWS)}


@pytest.fixture(scope="module")
def own() -> ModuleType:
    return bc.compile(SOURCE, lapack=False, cflags=("-O1",))


def agree(found: Any, want: Any) -> None:
    for array, other in zip(found, want, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-8, atol=1e-9)


def test_lapack_and_own_code_agree(own: ModuleType) -> None:
    pytest.importorskip("scipy")
    arrays = given()
    assert not hasattr(own._lib, "model_call_set_lapack")
    module: Any = bc.compile(SOURCE, cflags=("-O1", LOW))
    want = own.evaluate(**arrays)
    np.testing.assert_allclose(arrays["A"] @ want.x, arrays["y"], atol=1e-8)
    np.testing.assert_allclose(want.h, np.linalg.slogdet(arrays["A"])[1])
    np.testing.assert_allclose(want.L, np.linalg.cholesky(arrays["S"]), atol=1e-10)
    agree(module.evaluate(**arrays), want)
    spoilt = arrays["S"].copy()
    spoilt[40, 40] = -1
    with pytest.raises(bc.SingularError, match=r"chol\(S\): .* not positive definite, its leading minor of order 41 "):
        module.evaluate(**arrays | {"S": spoilt})
    spoilt[40, 40] = np.nan
    assert np.isnan(module.evaluate(**arrays | {"S": spoilt}).L).any()
    singular = arrays["A"].copy()
    singular[:, 7] = 0
    with pytest.raises(bc.SingularError, match=r"solve\(A\): the matrix is singular, its leading minor of order 8 "):
        module.evaluate(**arrays | {"A": singular})


def test_integers_of_eight_bytes_and_no_table(own: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    lapack = pytest.importorskip("scipy.linalg.lapack")
    pointer = ctypes.POINTER(ctypes.c_int64)
    called = []

    def matrix(n: Any, a: int) -> Any:
        flat = (ctypes.c_double * n[0] ** 2).from_address(a)
        return np.frombuffer(flat).reshape((n[0], n[0]), order="F")

    def getrf(m: Any, n: Any, a: int, lda: Any, pivots: Any, info: Any) -> None:
        factor, exchange, info[0] = lapack.dgetrf(matrix(n, a))
        matrix(n, a)[...] = factor
        for i, k in enumerate(exchange):
            pivots[i] = k + 1
        called.append("getrf")

    def potrf(half: bytes, n: Any, a: int, lda: Any, info: Any) -> None:
        assert half[:1] == b"U"
        matrix(n, a)[...], info[0] = lapack.dpotrf(matrix(n, a), lower=0, clean=0)
        called.append("potrf")

    with monkeypatch.context() as context:
        context.setitem(sys.modules, "scipy.linalg.cython_lapack", None)
        module: Any = bc.compile(SOURCE, cflags=("-O1", LOW, "-DALONE"))  # a library of its own, whose table nobody else uses
    arrays = given()
    want = own.evaluate(**arrays)
    for array, other in zip(module.evaluate(**arrays), want, strict=True):
        np.testing.assert_array_equal(array, other)
    kinds: tuple[Any, ...] = (ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_void_p, pointer, pointer, pointer),
                              ctypes.CFUNCTYPE(None, ctypes.c_char_p, pointer, ctypes.c_void_p, pointer, pointer))  # fmt: skip
    routines = [kind(function) for kind, function in zip(kinds, (getrf, potrf), strict=True)]
    addresses = [module._ffi.cast("void *", ctypes.cast(routine, ctypes.c_void_p).value) for routine in routines]
    module._lib.model_call_set_lapack(8, *addresses)
    agree(module.evaluate(**arrays), want)
    assert sorted(called) == ["getrf", "potrf"]  # the factor of A serves both of its operations
