"""Every form of contraction agrees with NumPy in float64, at every level that the machine runs."""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from ckernels import build, host_levels, needs_compiler

from bracketc.emit.kernels import kernel_view
from bracketc.emit.resources import render
from bracketc.emit.vectormath import functions_text

pytestmark = needs_compiler

SHARED = ("contraction", "pack", "contract_packed", "contract_small", "contract_vector")
ORDERS: tuple[Literal["C", "F"], ...] = ("C", "F")
INSTANCES = list(itertools.product(host_levels(), ("float32", "float64")))
DRIVERS = ("contract_packed", "contract_small", "contract_vector", "contract")

BIAS = """
typedef struct {{ const {real} *row, *column; }} bias_arguments;

static void add_bias(
    const void *operands, int64_t i0, int64_t rows, int64_t j0, int64_t cols, {real} *restrict tile, int64_t stride)
{{
    const bias_arguments *e = operands;
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = 0; j < cols; ++j)
            tile[r * stride + j] = 2 * tile[r * stride + j] + e->row[j0 + j] + e->column[i0 + r];
}}
"""

ENTRY = """
static contraction_{s} record(
    const int64_t *q, const {real} *a, const {real} *b, {real} *c, {real} alpha, int accumulate)
{{
    return (contraction_{s}){{
        .m = q[0], .n = q[1], .k = q[2], .a = a, .a_m = {{q[3], 0}}, .a_k = {{q[4], 0}}, .b = b, .b_k = {{q[5], 0}},
        .b_n = {{q[6], 0}}, .c = c, .c_m = {{q[7], 0}}, .c_n = {{q[8], 0}}, .alpha = alpha, .accumulate = accumulate}};
}}

int64_t bytes(const int64_t *q)
{{
    const int64_t packed = contract_packed_bytes_{s}(q[0], q[1], q[2]);
    return brk_max(packed, brk_max(contract_small_bytes_{s}(q[1], q[2]), contract_vector_bytes_{s}(q[2])));
}}

/* What a caller sets aside, who knows no more of the result than its sizes. */
int64_t chosen_bytes(const int64_t *q)
{{
    return contract_bytes_{s}(q[0], q[1], q[2], q[4], q[5], q[6]);
}}

void run(int form, const int64_t *q, const int64_t *range, const {real} *a, const {real} *b, {real} *c, {real} alpha,
    int accumulate, void *workspace)
{{
    contraction_{s} t = record(q, a, b, c, alpha, accumulate);
    if (form == 0)
        contract_packed_{s}(&t, range[0], range[1], range[2], range[3], NULL, NULL, workspace);
    else if (form == 1)
        contract_small_{s}(&t, range[0], range[1], range[2], range[3], NULL, NULL, workspace);
    else
        contract_{s}(&t, range[0], range[1], range[2], range[3], NULL, NULL, workspace);
}}

void run_bias(int form, const int64_t *q, const {real} *a, const {real} *b, {real} *c, {real} alpha, int accumulate,
    const {real} *row, const {real} *column, void *workspace)
{{
    contraction_{s} t = record(q, a, b, c, alpha, accumulate);
    bias_arguments e = {{row, column}};
    if (form == 0)
        contract_packed_{s}(&t, 0, t.m, 0, t.n, add_bias, &e, workspace);
    else if (form == 1)
        contract_small_{s}(&t, 0, t.m, 0, t.n, add_bias, &e, workspace);
    else
        contract_{s}(&t, 0, t.m, 0, t.n, add_bias, &e, workspace);
}}

void fill_table(int64_t *table, int rank, const int64_t *extent, const int64_t *stride)
{{
    brk_fill_table(table, rank, extent, stride);
}}

/* Labels m = (m0, m1), n = (n0, n1), k = (k0, k1) with one stride each, by tables. */
void run_grouped(int form, const int64_t *extent, const int64_t *stride, const {real} *a, const {real} *b, {real} *c,
    int64_t *tables, void *workspace)
{{
    const int64_t m = extent[0] * extent[1], n = extent[2] * extent[3], k = extent[4] * extent[5];
    int64_t *a_k = tables + m, *b_k = a_k + k, *b_n = b_k + k, *c_m = b_n + n, *c_n = c_m + m;
    int64_t *at[6] = {{tables, a_k, b_k, b_n, c_m, c_n}};
    const int group[6] = {{0, 4, 4, 2, 0, 2}};
    for (int i = 0; i < 6; ++i)
        brk_fill_table(at[i], 2, extent + group[i], stride + 2 * i);
    contraction_{s} t = {{
        .m = m, .n = n, .k = k, .a = a, .a_m = {{0, tables}}, .a_k = {{0, a_k}}, .b = b, .b_k = {{0, b_k}},
        .b_n = {{0, b_n}}, .c = c, .c_m = {{0, c_m}}, .c_n = {{0, c_n}}, .alpha = 1}};
    if (form == 0)
        contract_packed_{s}(&t, 0, m, 0, n, NULL, NULL, workspace);
    else
        contract_{s}(&t, 0, m, 0, n, NULL, NULL, workspace);
}}
"""


@dataclass(frozen=True)
class Kernels:
    library: ctypes.CDLL
    dtype: np.dtype
    real: type

    def pointer(self, array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.__array_interface__["data"][0])

    def workspace(self, m: int, n: int, k: int) -> np.ndarray:
        sizes = np.array([m, n, k], dtype=np.int64)
        self.library.bytes.restype = ctypes.c_int64
        # All bits set is NaN: a read of what was never written shows.
        raw = np.full(self.library.bytes(self.pointer(sizes)) + 128, 0xFF, dtype=np.uint8)
        return raw[-raw.ctypes.data % 64 :]

    def contract(
        self, form: int, a: np.ndarray, b: np.ndarray, c: np.ndarray, alpha: float = 1.0, accumulate: int = 0,
        bias: tuple[np.ndarray, np.ndarray] | None = None, ranges: tuple[tuple[int, int, int, int], ...] = (),
    ) -> None:  # fmt: skip
        size = self.dtype.itemsize
        (m, k), n = a.shape, b.shape[1]
        strides = [stride // size for array in (a, b, c) for stride in array.strides]
        q = np.array([m, n, k, *strides], dtype=np.int64)
        workspace = self.workspace(m, n, k)
        common = (self.pointer(a), self.pointer(b), self.pointer(c), self.real(alpha), accumulate)
        if bias is not None:
            extra = (self.pointer(bias[0]), self.pointer(bias[1]))
            self.library.run_bias(form, self.pointer(q), *common, *extra, self.pointer(workspace))
            return
        for part in ranges or ((0, m, 0, n),):
            span = np.array(part, dtype=np.int64)
            self.library.run(form, self.pointer(q), self.pointer(span), *common, self.pointer(workspace))


def _source(dtype: str) -> str:
    view = kernel_view(dtype)
    before = ("prelude", "levels", "vector")
    parts = [render(f"c/{name}.h.j2", v=view) for name in before]
    parts.append(functions_text(view, dtype, ("sum_lanes",)))
    parts += [render(f"c/{name}.h.j2", v=view, made=False) for name in SHARED]
    parts += [render(f"c/{name}.c.j2", v=view, made=False) for name in DRIVERS]
    parts.append(BIAS.format(real=view.real))
    parts.append(ENTRY.format(s=view.s, real=view.real))
    return "\n".join(parts)


@pytest.fixture(scope="module", params=INSTANCES, ids=lambda instance: f"{instance[0].suffix}-{instance[1]}")
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    target, dtype = request.param
    library = build(_source(dtype), target, tmp_path_factory.mktemp(f"{target.suffix}{dtype}"))
    return Kernels(library, np.dtype(dtype), ctypes.c_double if dtype == "float64" else ctypes.c_float)


def _laid_out(values: np.ndarray, layout: str) -> np.ndarray:
    """The same matrix with other strides, surrounded by NaN so that reads and writes outside show."""
    rows, cols = values.shape
    if layout == "C":
        store = np.full((rows + 2, cols), np.nan, values.dtype)
        view = store[1:-1]
    elif layout == "F":
        store = np.full((cols + 2, rows), np.nan, values.dtype)
        view = store[1:-1].T
    elif layout == "strided":
        store = np.full((2 * rows + 1, 3 * cols + 1), np.nan, values.dtype)
        view = store[1::2, 1::3][:rows, :cols]
    else:
        store = np.full((rows, cols + 2), np.nan, values.dtype)
        view = store[::-1, 1:-1][:, ::-1]
    view[...] = values
    return view


def _assert_close(got: np.ndarray, want: np.ndarray, scale: np.ndarray) -> None:
    eps = np.finfo(got.dtype).eps
    assert np.all(np.abs(got - want) <= 8 * eps * scale + np.finfo(got.dtype).tiny), (got, want)


def _product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a b in float64, and the same of the absolute values: the scale of its rounding errors."""
    return a.astype(np.float64) @ b.astype(np.float64), np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return rng.normal(size=shape).astype(dtype)


SIZES = [
    (1, 1, 1), (1, 7, 5), (3, 1, 9), (2, 3, 1), (5, 17, 33), (8, 32, 16), (14, 31, 4), (15, 33, 70), (33, 10, 64),
    (61, 65, 7), (70, 70, 70),
]  # fmt: skip
LAYOUTS = ["C C C", "F C C", "C F C", "F F F", "strided strided strided", "reversed reversed reversed"]


@pytest.mark.parametrize("form", [0, 1, 2], ids=["packed", "in-place", "chosen"])
@pytest.mark.parametrize("layouts", LAYOUTS)
def test_product_agrees_with_numpy(kernels: Kernels, form: int, layouts: str) -> None:
    rng = np.random.default_rng(1)
    for m, n, k in SIZES:
        a0, b0, c0 = (_random(rng, shape, kernels.dtype) for shape in ((m, k), (k, n), (m, n)))
        a, b, c = (_laid_out(array, layout) for array, layout in zip((a0, b0, c0), layouts.split(), strict=True))
        want, scale = _product(a0, b0)
        kernels.contract(form, a, b, c, alpha=-1.5)
        _assert_close(c, -1.5 * want, 1.5 * scale)
        c[...] = c0
        kernels.contract(form, a, b, c, alpha=0.5, accumulate=1)
        _assert_close(c, c0 + 0.5 * want, np.abs(c0) + scale)
        base = c.base
        while base is not None and base.base is not None:
            base = base.base
        assert base is not None
        assert np.count_nonzero(~np.isnan(base)) == c.size, "written outside the result"


@pytest.mark.parametrize("form", [0, 1, 2], ids=["packed", "in-place", "chosen"])
def test_long_sums_and_many_blocks(kernels: Kernels, form: int) -> None:
    rng = np.random.default_rng(2)
    several = ((250, 130, 600), (3, 50, 5000), (900, 40, 40), (61, 700, 10), (35, 1100, 9), (40, 2048, 40), (70, 1100, 1100))
    rows = ((1, 3000, 1100), (1, 20, 3000), (1, 1, 9000)) if form != 1 else ()
    for m, n, k in (*several, *rows, (2, 5000, 3)):
        a, b, c = (_random(rng, shape, kernels.dtype) for shape in ((m, k), (k, n), (m, n)))
        for left, right in ((a, b), (np.asfortranarray(a), b), (a, np.asfortranarray(b))):
            kernels.contract(form, left, right, c)
            _assert_close(c, *_product(a, b))


@pytest.mark.parametrize("layouts", ["CC", "FC", "CF", "FF"])
@pytest.mark.parametrize(
    "m, n, k",
    [(65, 40, 8), (100, 100, 20), (90, 512, 4), (70, 1024, 10), (64, 1536, 16), (60, 144, 600), (200, 35, 3), (34, 300, 17)],
)
def test_the_chosen_form_needs_no_more_than_the_bytes_set_aside(kernels: Kernels, m: int, n: int, k: int, layouts: str) -> None:
    rng = np.random.default_rng(m + n + k)
    a, b = (np.asarray(rng.standard_normal(shape).astype(kernels.dtype), order=order)  # type: ignore[call-overload]
            for shape, order in (((m, k), layouts[0]), ((k, n), layouts[1])))  # fmt: skip
    c = np.full((m, n), np.nan, kernels.dtype)
    size = kernels.dtype.itemsize
    q = np.array([m, n, k, *(stride // size for array in (a, b, c) for stride in array.strides)], dtype=np.int64)
    kernels.library.chosen_bytes.restype = ctypes.c_int64
    room = kernels.library.chosen_bytes(kernels.pointer(q))
    raw = np.full(room + 192, 0xFF, dtype=np.uint8)
    workspace = raw[-raw.ctypes.data % 64 :]
    span = np.array([0, m, 0, n], dtype=np.int64)
    common = (kernels.pointer(a), kernels.pointer(b), kernels.pointer(c), kernels.real(1.0), 0)
    kernels.library.run(2, kernels.pointer(q), kernels.pointer(span), *common, kernels.pointer(workspace))
    np.testing.assert_allclose(c, a.astype(float) @ b, rtol=0, atol=2e-5 * np.sqrt(k) if size == 4 else 1e-13 * k)
    assert np.all(workspace[room:] == 0xFF)


@pytest.mark.parametrize("layout", ["C", "F"])
def test_a_row_times_matrices_around_whole_vectors(kernels: Kernels, layout: str) -> None:
    rng = np.random.default_rng(6)
    shapes = ((2, 3), (15, 16), (17, 129), (33, 63), (64, 64), (65, 65), (97, 50), (128, 140), (129, 127), (300, 17), (45, 1100))
    for n, k in shapes:
        a, b = _random(rng, (1, k), kernels.dtype), _random(rng, (k, n), kernels.dtype)
        given, c, parts = _laid_out(b, layout), np.zeros((1, n), kernels.dtype), np.zeros((1, n), kernels.dtype)
        kernels.contract(2, a, given, c)
        _assert_close(c, *_product(a, b))
        cut = n // 3 + 1
        kernels.contract(2, a, given, parts, ranges=((0, 1, 0, cut), (0, 1, cut, n)))
        assert c.tobytes() == parts.tobytes()


@pytest.mark.parametrize("form", [0, 1, 2], ids=["packed", "in-place", "chosen"])
def test_empty_extents(kernels: Kernels, form: int) -> None:
    for m, n, k in ((3, 4, 0), (0, 4, 2), (3, 0, 2), (1, 4, 0), (1, 1, 0)):
        a, b = np.ones((m, k), kernels.dtype), np.ones((k, n), kernels.dtype)
        c = np.full((m, n), 7, kernels.dtype)
        kernels.contract(form, a, b, c, accumulate=1)
        assert np.all(c == 7)
        kernels.contract(form, a, b, c)
        assert np.all(c == 0)


@pytest.mark.parametrize("form", [0, 1, 2], ids=["packed", "in-place", "chosen"])
def test_epilogue_sees_the_finished_tile_once(kernels: Kernels, form: int) -> None:
    rng = np.random.default_rng(3)
    for m, n, k in ((1, 45, 20), (9, 37, 20), (20, 40, 1300), (40, 64, 700)):
        a, b, c0 = (_random(rng, shape, kernels.dtype) for shape in ((m, k), (k, n), (m, n)))
        row, column = _random(rng, (n,), kernels.dtype), _random(rng, (m,), kernels.dtype)
        product, scale = _product(a, b)
        scale = 4 * (scale + np.abs(c0) + np.abs(row) + np.abs(column)[:, None])
        for layout, accumulate in itertools.product(("C", "F"), (0, 1)):
            c = _laid_out(c0, layout)
            kernels.contract(form, a, b, c, accumulate=accumulate, bias=(row, column))
            _assert_close(c, 2 * (product + accumulate * c0) + row + column[:, None], scale)


@pytest.mark.parametrize("form", [0, 1, 2], ids=["packed", "in-place", "chosen"])
def test_result_does_not_depend_on_how_rows_and_columns_are_divided(kernels: Kernels, form: int) -> None:
    rng = np.random.default_rng(4)
    for m, n, k in ((67, 71, 530), (1, 5000, 40), (130, 90, 33)):
        a, b = _random(rng, (m, k), kernels.dtype), _random(rng, (k, n), kernels.dtype)
        for order, accumulate in itertools.product(ORDERS, (0, 1)):
            whole = np.ones((m, n), kernels.dtype).copy(order)
            parts = whole.copy("K")
            kernels.contract(form, a, b, whole, alpha=0.3, accumulate=accumulate)
            i, j = (m + 2) // 3, n // 2 + 3
            cuts = tuple((r0, r1, s0, s1) for r0, r1 in ((0, i), (i, m)) for s0, s1 in ((0, j), (j, n)) if r0 < r1)
            kernels.contract(form, a, b, parts, alpha=0.3, accumulate=accumulate, ranges=cuts)
            assert whole.tobytes(order) == parts.tobytes(order)


@pytest.mark.parametrize("extent", [(0, 3), (3, 0), (2, 0, 3), (0,), (2, 3)])
def test_a_table_of_no_positions_is_not_written(kernels: Kernels, extent: tuple[int, ...]) -> None:
    table = np.full(8, -1, np.int64)
    strides = np.arange(10, 10 + len(extent), dtype=np.int64)
    kernels.library.fill_table(
        kernels.pointer(table), len(extent), kernels.pointer(np.array(extent, np.int64)), kernels.pointer(strides)
    )
    positions = [sum(k * stride for k, stride in zip(place, strides, strict=True)) for place in np.ndindex(*extent)]
    assert table.tolist() == positions + [-1] * (8 - len(positions))


@pytest.mark.parametrize("form", [0, 2], ids=["packed", "chosen"])
def test_grouped_labels_that_do_not_merge(kernels: Kernels, form: int) -> None:
    # (A_{m0 k0 m1 k1} B_{n1 k1 n0 k0} | m1 n0 n1 m0)
    rng = np.random.default_rng(5)
    m0, m1, n0, n1, k0, k1 = 3, 9, 5, 8, 4, 7
    a, b = _random(rng, (m0, k0, m1, k1), kernels.dtype), _random(rng, (n1, k1, n0, k0), kernels.dtype)
    c = np.zeros((m1, n0, n1, m0), kernels.dtype)
    size = kernels.dtype.itemsize
    extent = np.array([m0, m1, n0, n1, k0, k1], dtype=np.int64)
    (am0, ak0, am1, ak1), (bn1, bk1, bn0, bk0), (cm1, cn0, cn1, cm0) = (
        [stride // size for stride in array.strides] for array in (a, b, c)
    )
    stride = np.array([am0, am1, ak0, ak1, bk0, bk1, bn0, bn1, cm0, cm1, cn0, cn1], dtype=np.int64)
    m, n, k = m0 * m1, n0 * n1, k0 * k1
    tables = np.empty(2 * (m + n + k), dtype=np.int64)
    workspace = kernels.workspace(m, n, k)
    kernels.library.run_grouped(form, *(kernels.pointer(x) for x in (extent, stride, a, b, c, tables, workspace)))
    want = np.einsum("akbl,dlck->bcda", a.astype(np.float64), b.astype(np.float64))
    scale = np.einsum("akbl,dlck->bcda", np.abs(a).astype(np.float64), np.abs(b).astype(np.float64))
    _assert_close(c, want, scale)
