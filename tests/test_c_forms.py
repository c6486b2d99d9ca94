"""The forms of a contraction's loops: lanes, unrolled products, groups of labels in pieces; each for sizes around its edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ckernels import host_levels, needs_openmp
from cmodules import compiled
from modelcases import needs_compiler

import bracketc as bc
from bracketc.compiler import stages
from bracketc.ir.program import Program
from bracketc.loops.interpret import interpret
from bracketc.loops.kernel import Contraction
from bracketc.loops.lower import lower
from bracketc.loops.verify import verify
from bracketc.options import Options, make_options
from bracketc.plan.native import native_plan
from bracketc.target import GENERIC128

LANES = """
dim M, N, K, L
input A : M, K, L
input B : K, N, L
input u : K, L
P = (A_mkl B_knl | mnl)
V = (A_mkl u_kl | ml)
D = (u_kl u_kl | l)
R = tanh(P) ⊕ 1
Q = (A_mkl B_knl | mnl) ⊙ P
output P, V, D, R, Q
"""

UNROLLED = """
dim N
input A : N, 4, 3
input B : N, 3, 5
input u : N, 3
P = (A_nik B_nkj | nij)
T = (A_nik B_nkj | jni)
V = (A_nik u_nk | ni)
E = exp(0.1 P)
output P, T, V, E
"""

SMALL = [(4, 4, 4), (8, 2, 2), (4, 8, 8), (7, 16, 5), (17, 16, 16), (33, 32, 4)]
"""Rows, columns and terms of products that are written out with whole vectors."""


def small(sizes: list[tuple[int, int, int]]) -> str:
    """Products whose operands lie in order or turned, with a factor, and added up."""
    lines = ["dim N"]
    for z, (m, n, k) in enumerate(sizes):
        lines += [f"input A{z} : N, {m}, {k}", f"input B{z} : N, {k}, {n}"]
        lines += [f"input D{z} : N, {k}, {m}", f"input E{z} : N, {n}, {k}"]
        lines += [f"P{z} = (A{z}_nik B{z}_nkj | nij)", f"Q{z} = -3 (D{z}_nki B{z}_nkj | nij)"]
        if m >= 8:
            lines += [f"R{z} = (A{z}_nik E{z}_njk | nij)", f"S{z} = (A{z}_nik B{z}_nkj | nij) + 2 (D{z}_nki E{z}_njk | nij)"]
    results = [line.split(" = ")[0] for line in lines if " = " in line]
    return "\n".join([*lines, f"output {', '.join(results)}"])


NAMES = """
dim N, {0}
input {1} : N, 8, 4
input {2} : 4, N, {0}, 4
input {3} : N, 8, 16
input {4} : 16, N, {0}, 16
P = ({1}_nik {2}_knyj | nyij)
Q = ({3}_nik {4}_knyj | nyij)
output P, Q
"""


PIECES = """
dim A, B, I, J, K
input X : A, K, I, B
input Y : B, J, K
P = (X_akib Y_cjk | abicj)
Q = (X_akib Y_cjk | acijb)
R = 2 (X_akib Y_cjk | icabj)
output P, Q, R
"""


def arrays_of(program: Program, sizes: dict[str, int]) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(3)
    return {n: rng.normal(size=[d.evaluate(sizes) for d in spec.shape]) for n, spec in program.inputs.items()}


def forms(program: Program) -> set[str]:
    kernel = lower(stages(program, Options(verify=True)).plan.schedule("evaluate"))
    verify(kernel)
    return {statement.form for statement in kernel.body if isinstance(statement, Contraction)}


@pytest.mark.parametrize("source, expected", [(LANES, {"lanes"}), (UNROLLED, {"unrolled"}), (PIECES, {"tiles"})])
def test_the_form_follows_from_the_labels(source: str, expected: set[str]) -> None:
    assert forms(bc.parse(source)) == expected


@pytest.mark.parametrize("m, n, k", SMALL)
def test_small_products_use_whole_vectors(m: int, n: int, k: int) -> None:
    assert ("registers" if n >= 16 else "together") in forms(bc.parse(small([(m, n, k)])))


@pytest.mark.parametrize("source", [LANES, UNROLLED])
def test_the_loops_mean_what_the_schedule_says(source: str) -> None:
    program = bc.parse(source)
    sizes = {"M": 3, "N": 5, "K": 4, "L": 7}
    schedule = stages(program, Options()).plan.schedule("evaluate")
    found, _ = interpret(lower(schedule), arrays_of(program, sizes), sizes)
    expected = bc.compile(program, backend="numpy").evaluate(**arrays_of(program, sizes))
    for (name, _), array in zip(schedule.results, found.values(), strict=True):
        np.testing.assert_allclose(array, getattr(expected, name), rtol=1e-12, atol=1e-12, err_msg=name)


@needs_compiler
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("source", [LANES, UNROLLED, PIECES], ids=["lanes", "unrolled", "pieces"])
def test_every_form_agrees_with_numpy_around_its_edges(source: str, dtype: str, tolerance: float) -> None:
    program = bc.parse(source)
    module = bc.compile(program, backend="c", dtype=dtype)
    exact = bc.compile(program, backend="numpy")
    names = [spec.name for spec in program.sizes]
    for shift, base in enumerate((1, 2, 3, 5, 9, 17, 0)):
        sizes = {name: 0 if base == 0 else base + (3 * place + shift) % 5 for place, name in enumerate(names)}
        arrays = arrays_of(program, sizes)
        found = module.evaluate(**{name: array.astype(dtype) for name, array in arrays.items()})
        for name, array in exact.evaluate(**arrays)._asdict().items():
            scale = max(1.0, float(np.abs(array).max(initial=0)))
            np.testing.assert_allclose(getattr(found, name), array, rtol=0, atol=tolerance * scale, err_msg=f"{name} {sizes}")


@needs_compiler
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-13), ("float32", 3e-5)])
@pytest.mark.parametrize("level", [level.suffix for level in host_levels()[::-2]])
def test_small_products_at_every_level(level: str, dtype: str, tolerance: float) -> None:
    program = bc.parse(small(SMALL))
    module = bc.compile(program, backend="c", dtype=dtype, march=level, threads=2)
    exact = bc.compile(program, backend="numpy")
    for count in (0, 1, 5):
        arrays = arrays_of(program, {"N": count})
        found = module.evaluate(**{name: array.astype(dtype) for name, array in arrays.items()})
        for name, array in exact.evaluate(**arrays)._asdict().items():
            atol = tolerance * max(1.0, float(np.abs(array).max(initial=0)))
            np.testing.assert_allclose(getattr(found, name), array, rtol=0, atol=atol, err_msg=f"{name} {SMALL} {count}")


@needs_compiler
@pytest.mark.parametrize("shift", range(5))
def test_small_products_of_operands_and_sizes_called_as_their_own_variables(shift: int) -> None:
    """An operand called `left` was taken for the pointer into it."""
    names = ("left", "right", "row", "at", "columns", "lane", "lanes", "line", "sums", "factor", "product", "rows", "several")
    program = bc.parse(NAMES.format(*(names[(3 * shift + place) % len(names)] for place in range(5))))
    module, exact = bc.compile(program, backend="c", dtype="float64"), bc.compile(program, backend="numpy")
    arrays = arrays_of(program, {spec.name: 3 for spec in program.sizes})
    for found, wanted in zip(module.evaluate(**arrays), exact.evaluate(**arrays), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@needs_compiler
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
def test_lanes_in_several_parts(dtype: str, tolerance: float) -> None:
    """More columns, or a longer sum, than are copied at a time."""
    module = bc.compile("dim M, N, K, L\ninput A : M, K, L\ninput B : K, N, L\nP = (A_mkl B_knl | mnl)", backend="c", dtype=dtype)
    rng = np.random.default_rng(4)
    for m, n, k, lanes in ((9, 300, 40, 35), (6, 7, 1100, 3), (5, 9, 700, 70), (2, 40, 9, 130), (30, 3, 9, 130)):
        a, b = rng.normal(size=(m, k, lanes)), rng.normal(size=(k, n, lanes))
        found = module.evaluate(a.astype(dtype), b.astype(dtype)).P
        wanted = np.einsum("mkl,knl->mnl", a, b)
        scale = np.einsum("mkl,knl->mnl", np.abs(a), np.abs(b)).max()
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale, err_msg=f"{m, n, k, lanes}")


CONDITIONS = """
dim N
param u : N
param v : N
input A : N, N
M = max(u, v)
P = (where(u_i > v_i, A_ij u_j, v_i) | i)
Q = (where(u_i > v_i, A_ji v_j, u_i) | i)
R = (where(u_i > v_i, exp(u_i), A_ij M_j) | i)
J = P · Q + R · M
output P, Q, R, J
gradient J wrt u, v
"""


@needs_compiler
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
def test_a_stored_condition_is_read_beside_a_product(dtype: str, tolerance: float) -> None:
    program = bc.parse(CONDITIONS)
    module, exact = bc.compile(program, backend="c", dtype=dtype), bc.compile(program, backend="numpy")
    for size in (1, 3, 9, 40):
        arrays = arrays_of(program, {"N": size})
        found = module.value_and_grad(**{name: array.astype(dtype) for name, array in arrays.items()})
        expected = exact.value_and_grad(**arrays)
        for name, array in {"J": expected.value, **expected.gradients._asdict()}.items():
            got = found.value if name == "J" else getattr(found.gradients, name)
            scale = max(1.0, float(np.abs(array).max()))
            np.testing.assert_allclose(got, array, rtol=0, atol=tolerance * scale, err_msg=f"{name} {size}")


RUNS = """
input X : 3, 5, 4, 6
input Y : 6, 2, 4, 65
P = (X_arib Y_bsjc | arsijc)
"""

LINES = """
dim N
input A : N, 4, 3
input B : N, 3, 8
P = (A_nik B_nkj | nij)
Q = 2 (A_nik B_nkj | nij)
output P, Q
"""


def test_columns_in_long_runs_are_taken_apart_where_sums_are_short() -> None:
    program = bc.parse(RUNS)
    kernel = lower(stages(program, Options(verify=True)).plan.schedule("evaluate"))
    verify(kernel)
    (found,) = [statement for statement in kernel.body if isinstance(statement, Contraction)]
    assert [axis.extent.constant for axis in found.batch] == [2]
    assert found.n.extent.constant == 4 * 65
    arrays = arrays_of(program, {})
    values, _ = interpret(kernel, arrays, {})
    np.testing.assert_allclose(next(iter(values.values())), np.einsum("arib,bsjc->arsijc", *arrays.values()), atol=1e-12)


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_runs_and_lines_agree_with_numpy(dtype: str) -> None:
    program = bc.parse(RUNS)
    arrays = {name: array.astype(dtype) for name, array in arrays_of(program, {}).items()}
    want = np.einsum("arib,bsjc->arsijc", *(array.astype(float) for array in arrays.values()))
    np.testing.assert_allclose(bc.compile(program, backend="c", dtype=dtype).evaluate(**arrays).P, want, rtol=1e-4, atol=1e-4)
    program = bc.parse(LINES)
    arrays = {name: array.astype(dtype) for name, array in arrays_of(program, {"N": 7}).items()}
    want = np.einsum("nik,nkj->nij", *(array.astype(float) for array in arrays.values()))
    found = bc.compile(program, backend="c", dtype=dtype).evaluate(**arrays)
    np.testing.assert_allclose(found.P, want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.Q, 2 * want, rtol=1e-4, atol=1e-4)


COMPARED = """dim N, K, T
param X : N, K
input A : N, T
input B : T, K
D = max(X, (min[k](A_ik + B_kj) | ij))
J = sum(sin(D))
gradient J wrt X
jacobian J wrt X layout row as G
"""


@needs_openmp
def test_a_comparison_that_leaves_a_loop_compiles_where_there_is_no_blend(tmp_path: Path) -> None:
    """Without SSE4.1, gcc 12 ends in an internal error where it sees which comparison a mask comes from."""
    options = {"backend": "c", "sizes": {"N": 4, "K": 3, "T": 1}, "march": "g128", "threads": 3}
    planned = native_plan(stages(bc.parse(COMPARED), make_options(options)).plan)
    module = compiled(planned, "float64", tmp_path, GENERIC128, ("-O3",), 3)
    rng = np.random.default_rng(0)
    given = {"X": rng.standard_normal((4, 3)), "A": rng.standard_normal((4, 1)), "B": rng.standard_normal((1, 3))}
    least = given["A"] + given["B"]
    found = module.run("G", given, {})
    wanted = np.where(given["X"] > least, np.cos(np.maximum(given["X"], least)), 0)
    np.testing.assert_allclose(next(iter(found.values())).ravel(), wanted.ravel(), rtol=1e-12)
