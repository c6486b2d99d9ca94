"""Work that little but memory bounds: sums in several chains, results that no cache holds."""

from __future__ import annotations

import numpy as np
import pytest
from ckernels import needs_compiler

import bracketc as bc

pytestmark = needs_compiler

OUTER = "dim M, N\ninput x : M\ninput y : N\nC = x @ y^T\n"
SUMS = """
dim M, N
input x : M, N
input y : M, N
J = sum[i, j](x_ij y_ij)
r_i = sum[j](x_ij y_ij)
t_i = max[j](x_ij + y_ij)
output J, r, t
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_result_that_no_cache_holds_is_written_past_them(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bracketc.emit.c_nests.STREAM_BYTES", 4096)
    module = bc.compile(OUTER, backend="c", dtype=dtype)
    rng = np.random.default_rng(0)
    for rows, columns in ((40, 70), (3, 1000), (1000, 3), (33, 128), (5, 7)):
        x, y = rng.normal(size=rows).astype(dtype), rng.normal(size=columns).astype(dtype)
        for offset in range(0, 16, 3):
            around = np.full(rows * columns + 32, np.nan, dtype)
            out = around[offset : offset + rows * columns].reshape(rows, columns)
            module.evaluate(x, y, out=out)
            assert np.array_equal(out, np.multiply.outer(x, y))
            assert np.count_nonzero(np.isnan(around)) == 32


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_sums_of_all_lengths(dtype: str, tolerance: float) -> None:
    module = bc.compile(SUMS, backend="c", dtype=dtype)
    rng = np.random.default_rng(1)
    for columns in (1, 7, 31, 32, 63, 64, 65, 130, 257, 20_000):
        x, y = (rng.normal(size=(3, columns)).astype(dtype) for _ in range(2))
        found = module.evaluate(x, y)
        products = x.astype(float) * y.astype(float)
        scale = np.abs(products).sum()
        assert abs(found.J - products.sum()) <= tolerance * scale
        assert np.all(np.abs(found.r - products.sum(1)) <= tolerance * scale)
        assert np.array_equal(found.t, (x + y).max(1))
