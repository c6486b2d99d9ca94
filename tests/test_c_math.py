"""Vectorised elementary functions: at most 4 units in the last place, and IEEE behaviour at the edges."""

from __future__ import annotations

import ctypes
import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from ckernels import build, host_levels, needs_compiler

from bracketc.emit.kernels import kernel_view
from bracketc.emit.resources import render
from bracketc.emit.vectormath import BINARY_FUNCTIONS, UNARY_FUNCTIONS, functions_text, vector_name
from bracketc.ir.functions import FUNCTIONS

pytestmark = needs_compiler

INSTANCES = list(itertools.product(host_levels(), ("float32", "float64")))
OWN = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "sin", "cos", "sqrt")

RUN_2 = """
void run_{f}(int64_t n, const {real} *x, const {real} *y, {real} *z)
{{
    for (int64_t i = 0; i < n; i += {width}) {{
        const mask_{s} mask = mask_first_{s}(brk_min(n - i, {width}));
        store_masked_{s}(z + i, mask, v{f}_{s}(load_masked_{s}(x + i, mask), load_masked_{s}(y + i, mask)));
    }}
}}
"""

RUN = """
void run_{f}(int64_t n, const {real} *x, {real} *y)
{{
    for (int64_t i = 0; i < n; i += {width}) {{
        const mask_{s} mask = mask_first_{s}(brk_min(n - i, {width}));
        store_masked_{s}(y + i, mask, v{f}_{s}(load_masked_{s}(x + i, mask)));
    }}
}}
"""


@dataclass(frozen=True)
class Functions:
    library: ctypes.CDLL
    dtype: np.dtype

    def __call__(self, name: str, x: np.ndarray) -> np.ndarray:
        y = np.empty_like(x)
        run = getattr(self.library, f"run_{name}")
        run(ctypes.c_int64(x.size), ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
        return y

    def of_two(self, name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        z = np.empty_like(x)
        run = getattr(self.library, f"run_{name}")
        run(ctypes.c_int64(x.size), *(ctypes.c_void_p(a.ctypes.data) for a in (x, y, z)))
        return z


@pytest.fixture(scope="module", params=INSTANCES, ids=lambda instance: f"{instance[0].suffix}-{instance[1]}")
def functions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Functions:
    target, dtype = request.param
    view = kernel_view(dtype)
    parts = [render(f"c/{name}.h.j2", v=view) for name in ("prelude", "levels", "vector")]
    parts.append(functions_text(view, dtype, (*UNARY_FUNCTIONS, *BINARY_FUNCTIONS)))
    parts += [RUN.format(f=f, real=view.real, width=f"WIDTH_{view.s}", s=view.s) for f in UNARY_FUNCTIONS]
    parts += [RUN_2.format(f=f, real=view.real, width=f"WIDTH_{view.s}", s=view.s) for f in BINARY_FUNCTIONS]
    library = build("\n".join(parts), target, tmp_path_factory.mktemp(f"{target.suffix}{dtype}"))
    return Functions(library, np.dtype(dtype))


def _reference(name: str, x: np.ndarray) -> np.ndarray:
    """In extended precision."""
    with np.errstate(all="ignore"):
        wide = x.astype(np.longdouble)
        if name == "sigmoid":
            e = np.exp(-np.abs(wide))
            return np.asarray(np.where(wide < 0, e, 1) / (1 + e))
        if name == "softplus":
            return np.asarray(np.log1p(np.exp(-np.abs(wide))) + np.where(wide < 0, 0, wide))
        return np.asarray(getattr(np, name)(wide))


def _samples(dtype: np.dtype, name: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    edge = 110.0 if dtype == np.float32 else 760.0
    pattern = np.uint32 if dtype == np.float32 else np.uint64
    any_bits = rng.integers(0, np.iinfo(pattern).max, 20001, dtype=pattern, endpoint=True).view(dtype)
    if name in ("sin", "cos"):
        any_bits = any_bits[~(np.abs(any_bits) > 1e4)]  # the reference itself is inexact beyond
    least = info.smallest_subnormal
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, info.tiny, -info.tiny, least, -least]
    parts = [
        any_bits,
        rng.normal(size=20000),
        10 * rng.normal(size=20000),
        rng.uniform(-edge, edge, 20000),
        1 + 0.01 * rng.normal(size=5000),
        np.abs(rng.normal(size=5000)),
        np.array(special),
    ]
    if name not in ("sin", "cos"):
        parts.append(np.array([info.max, -info.max]))
    return np.concatenate([part.astype(dtype) for part in parts])


@pytest.mark.parametrize("name", OWN)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_within_four_units_in_the_last_place(functions: Functions, name: str) -> None:
    x = _samples(functions.dtype, name)
    got, exact = functions(name, x), _reference(name, x)
    want = exact.astype(functions.dtype)
    finite = np.isfinite(want)
    assert np.array_equal(got[~finite], want[~finite], equal_nan=True)
    # The largest finite numbers may round to infinity.
    overflowed = finite & np.isinf(got) & (np.abs(want) >= np.finfo(functions.dtype).max * (1 - 1e-6))
    finite &= ~overflowed
    units = np.abs(got[finite].astype(np.longdouble) - exact[finite]) / np.spacing(np.abs(want[finite]))
    worst = int(np.argmax(units))
    assert units[worst] <= 4, (x[finite][worst], got[finite][worst], want[finite][worst])
    zero = want == 0
    assert np.array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


def test_erf_against_libm(functions: Functions) -> None:
    erf = np.vectorize(math.erf)
    special = [0.0, -0.0, np.inf, -np.inf, 0.0034475072752684355, 0.9907498955726624]
    x = np.concatenate([np.linspace(-7, 7, 20001), 10.0 ** np.linspace(-40, 0, 500), special]).astype(functions.dtype)
    got, want = functions("erf", x), erf(x.astype(np.float64))
    units = np.abs(got - want) / np.spacing(np.abs(want.astype(functions.dtype)))
    assert np.max(units) <= 2
    assert np.array_equal(np.signbit(got), np.signbit(x))
    assert np.isnan(functions("erf", np.array([np.nan], functions.dtype))[0])


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_large_angles_are_reduced_exactly(functions: Functions, name: str) -> None:
    # Against libm in float64, whose reduction is exact for every argument.
    x = (10.0 ** np.random.default_rng(8).uniform(3, 37, 5000)).astype(functions.dtype)
    want = getattr(np, name)(x.astype(np.float64)).astype(functions.dtype)
    got = functions(name, x)
    assert np.max(np.abs(got - want) / np.spacing(np.abs(want))) <= 4


@pytest.mark.parametrize("name", [*OWN, "erf", "tan", "cbrt"])
def test_equal_inputs_give_equal_bits_in_every_lane_and_tail(functions: Functions, name: str) -> None:
    values = np.array([0.3, 1.7, 88.0, 1e6, 1e-30, -0.4], functions.dtype)
    for value in values:
        arrays = [functions(name, np.full(n, value, functions.dtype)) for n in range(1, 40)]
        assert len({entry.tobytes() for array in arrays for entry in array}) == 1


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("power", "stop")])
def test_every_function_of_the_tensor_ir_means_the_same_here(functions: Functions, name: str) -> None:
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 1e-3, 20.25, -7.75]
    rng = np.random.default_rng(9)
    x = np.concatenate([special, rng.normal(size=200), 5 * rng.normal(size=200)]).astype(functions.dtype)
    rtol = 2e-5 if functions.dtype == np.float32 else 1e-12
    with np.errstate(all="ignore"):
        if FUNCTIONS[name].arity == 1:
            x = x[np.isfinite(x)] if name == "lgamma" else x
            got, want = functions(vector_name(name), x), FUNCTIONS[name].evaluate(x.astype(np.float64))
        else:
            a, b = (grid.ravel() for grid in np.meshgrid(x[:60], x[:60]))
            got = functions.of_two(name, a.copy(), b.copy())
            want = FUNCTIONS[name].evaluate(a.astype(np.float64), b.astype(np.float64)).astype(functions.dtype)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol / 10)
