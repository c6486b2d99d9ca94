"""Emitted C computes what the tensor IR and the loop IR mean, at every size, and never touches what is not its
own."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ckernels import COMPILER, host_levels, needs_compiler
from cmodules import CModule, compiled, together
from handbuilt import ACCUMULATOR, EXTENTS, HAND_BUILT, LOAD, LOAD1, D, H, N, T, example, schedule
from random_ir import SIZES, random_graph
from test_plan_random import entry_of

from bracketc.emit.c_module import c_module
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Linalg, Node, Tensor
from bracketc.ir.program import Entry
from bracketc.ir.rewrite import tensors
from bracketc.loops.interpret import interpret as run_loops
from bracketc.loops.lower import lower
from bracketc.plan.plan import plan
from bracketc.plan.schedule import (
    Access,
    Buffer,
    Contract,
    Instruction,
    Map,
    Plan,
    Product,
    Schedule,
    Store,
    Take,
    Variant,
)

pytestmark = needs_compiler

FLAGS = tuple(os.environ.get("BRACKETC_TEST_CFLAGS", "-O1").split())
DTYPES = ("float64", "float32")


def close(got: np.ndarray[Any, Any], want: Any, dtype: str, factor: float = 1.0, message: str = "") -> None:
    """Equal to rounding, relative to the largest entry."""
    want = np.asarray(want)
    assert got.shape == want.shape, message
    if want.dtype.kind == "f":
        finite = want[np.isfinite(want)]
        scale = max(1.0, float(np.abs(finite).max())) if finite.size else 1.0
        tolerance = factor * scale * (1e-12 if dtype == "float64" else 1e-5)
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=message)
    else:
        np.testing.assert_array_equal(got, want, err_msg=message)


# ------------------------------------------------------------------------------------------------- random graphs
SEEDS = range(80)


@pytest.fixture(scope="module", params=DTYPES)
def random_module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CModule:
    schedules = {f"s{seed}": plan([entry_of(graph(seed)[0])], {}).schedule("evaluate") for seed in SEEDS}
    return compiled(together(schedules), request.param, tmp_path_factory.mktemp("random"), flags=FLAGS)


def graph(seed: int) -> tuple[tuple[Node, ...], dict[Tensor, Any]]:
    roots, values = random_graph(seed, count=14, roots=4)
    return roots, {node: values[node] for node in tensors(roots)}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs(random_module: CModule, seed: int) -> None:
    roots, values = graph(seed)
    wanted = interpret(roots, values, SIZES)
    got = random_module.run(f"s{seed}", {f"s{seed}_{n.name}": value for n, value in values.items()}, SIZES)
    for (name, array), want in zip(got.items(), wanted, strict=True):
        close(array, want, random_module.dtype.name, 1000, name)


# ------------------------------------------------------------------------------------------------- hand-built
@pytest.fixture(
    scope="module", params=[(d, t) for t in host_levels() for d in DTYPES], ids=lambda p: f"{p[1].suffix}-{p[0]}"
)
def hand_built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CModule:
    dtype, target = request.param
    return compiled(together(HAND_BUILT), dtype, tmp_path_factory.mktemp("built"), target, FLAGS)


@pytest.mark.parametrize("sizes", EXTENTS, ids=lambda sizes: "-".join(map(str, sizes.values())))
@pytest.mark.parametrize("name", HAND_BUILT)
def test_hand_built_schedules_at_all_sizes(hand_built: CModule, name: str, sizes: dict[str, int]) -> None:
    alone, dtype = HAND_BUILT[name], hand_built.dtype.name
    given = example(alone, sizes, dtype)
    wanted, _ = run_loops(lower(alone), given, sizes)
    got = hand_built.run(name, {f"{name}_{key}": value for key, value in given.items()}, sizes)
    for key, buffer in alone.results:
        if key in ("u_tan", "u_lgamma", "u_digamma", "u_trigamma", "p_m3", "p_m2", "p_m1_5", "prod"):
            # Steep: the error of the argument's last bit is that of the value.
            np.testing.assert_allclose(got[key], wanted[buffer.name], rtol=1e-10 if dtype == "float64" else 1e-3)
        else:
            close(got[key], wanted[buffer.name], dtype, 100, key)


@pytest.mark.parametrize("name", ["softmax_rows", "reduced_dh", "reduced_n", "functions", "dense_layer"])
def test_nan_and_infinity_reach_what_depends_on_them(hand_built: CModule, name: str) -> None:
    alone, sizes = HAND_BUILT[name], {"N": 5, "D": 19, "H": 18, "T": 2}
    for bad in (np.nan, np.inf, -np.inf):
        given = example(alone, sizes, "float64")
        given["X"][2, 17] = bad
        wanted, _ = run_loops(lower(alone), given, sizes)
        got = hand_built.run(name, {f"{name}_{key}": value for key, value in given.items()}, sizes)
        for key, buffer in alone.results:
            np.testing.assert_array_equal(np.isnan(got[key]), np.isnan(wanted[buffer.name]), err_msg=key)


def test_a_long_sum_in_float32_is_exact_to_a_few_units(tmp_path: Path) -> None:
    x, s = Buffer("X", (N,)), Buffer("s", ())
    module = compiled(
        together({"sum": schedule([x], [s], Map((0,), (Access(x, (0,)),), (LOAD,), (Store(s, (), 0, "sum"),), (N,)))}),
        "float32",
        tmp_path,
        flags=FLAGS,
    )
    values = np.random.default_rng(0).uniform(0, 1, 3_000_001).astype(np.float32)
    got = module.run("sum", {"sum_X": values}, {"N": values.size})["s"]
    assert abs(float(got) / values.sum(dtype=np.float64) - 1) < 3e-7


# ------------------------------------------------------------------------------------------------- residuals
def saving_plan() -> Plan:
    """forward saves Z = tanh(X W) for backward, which multiplies a cotangent with its derivative."""
    x, w, z = Buffer("X", (N, D)), Buffer("W", (D, H)), Buffer("Z", (N, H))
    out, bar, slope = Buffer("Y", (N, H)), Buffer("bar_Y", (N, H)), Buffer("G", (N, H))
    first = Contract(
        (Product(1.0, Access(x, (0, 2)), Access(w, (2, 1))),),
        (0, 1),
        (),
        (ACCUMULATOR, Instruction("call", (0,), function="tanh")),
        (Store(z, (0, 1), 1),),
        (N, H, D),
    )
    program = (
        LOAD,
        Instruction("square", (0,)),
        LOAD1,
        Instruction("multiply", (1, 2)),
        Instruction("subtract", (2, 3)),
    )
    forward = Schedule(
        "forward", (x, w), (z,), (("Y", out),),
        (Variant((), (first, Map((0, 1), (Access(z, (0, 1)),), (LOAD,), (Store(out, (0, 1), 0),), (N, H)))),),
        Dim.of(0), Dim.of(0),
    )  # fmt: skip
    saved = Buffer("Z", (N, H))
    operands = (Access(saved, (0, 1)), Access(bar, (0, 1)))
    multiply = Map((0, 1), operands, program, (Store(slope, (0, 1), 4),), (N, H))
    backward = Schedule(
        "backward", (x, w, bar), (saved,), (("G", slope),),
        (Variant((), (multiply,)),),
        Dim.of(0), Dim.of(0),
    )  # fmt: skip
    return Plan((forward, backward), ("N", "D", "H"))


@pytest.mark.parametrize("sizes", [{"N": 5, "D": 4, "H": 19}, {"N": 0, "D": 4, "H": 3}])
def test_backward_reads_what_forward_saved(tmp_path: Path, sizes: dict[str, int]) -> None:
    module = compiled(saving_plan(), "float64", tmp_path, flags=FLAGS)
    rng = np.random.default_rng(1)
    x, w, bar = (rng.normal(size=shape) for shape in ((sizes["N"], 4), (4, sizes["H"]), (sizes["N"], sizes["H"])))
    saved = module.residuals(sizes)
    y = module.run("forward", {"X": x, "W": w}, sizes, saved)["Y"]
    np.testing.assert_allclose(y, np.tanh(x @ w), atol=1e-14)
    before = saved.copy()
    slope = module.run("backward", {"X": x, "W": w, "bar_Y": bar}, sizes, saved)["G"]
    np.testing.assert_allclose(slope, bar * (1 - y * y), atol=1e-14)
    assert np.array_equal(saved, before)


# ------------------------------------------------------------------------------------------------- linear algebra
@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_algebra_on_batches(tmp_path: Path, dtype: str) -> None:
    a, b = Tensor("A", (N, D, D)), Tensor("B", (N, D, H))
    lower_factor = Linalg("cholesky", (a,))
    roots = (
        Linalg("inv", (a,)),
        Linalg("solve", (a, b)),
        lower_factor,
        Linalg("det", (a,)),
        Linalg("logdet", (a,)),
        Linalg("solve_lower", (lower_factor, b)),
        Linalg("solve_upper", (build.permute(lower_factor, (0, 2, 1)), b)),
    )
    module = compiled(plan([entry_of(roots)], {}), dtype, tmp_path, flags=FLAGS)
    rng = np.random.default_rng(2)
    for sizes in (
        {"N": 3, "D": 7, "H": 5},
        {"N": 2, "D": 33, "H": 1},
        {"N": 0, "D": 2, "H": 2},
        {"N": 2, "D": 0, "H": 2},
    ):
        n, d, h = sizes.values()
        square = rng.normal(size=(n, d, d))
        given = {a: square @ square.transpose(0, 2, 1) / max(d, 1) + np.eye(d), b: rng.normal(size=(n, d, h))}
        wanted = interpret(roots, given, sizes)
        got = module.run("evaluate", {t.name: value for t, value in given.items()}, sizes)
        for (name, array), want in zip(got.items(), wanted, strict=True):
            close(array, want, dtype, 1000, name)


def test_a_singular_matrix_has_a_status_of_its_own(tmp_path: Path) -> None:
    a = Tensor("A", (D, D))
    module = compiled(plan([entry_of((Linalg("inv", (a,)),))], {}), "float64", tmp_path, flags=FLAGS)
    with pytest.raises(ValueError, match="status 5"):
        module.run("evaluate", {"A": np.ones((3, 3))}, {"D": 3})


# ------------------------------------------------------------------------------------------------- misuse
@pytest.mark.parametrize("label", [-1, 4, 2**40])
def test_a_label_out_of_range_is_refused(hand_built: CModule, label: int) -> None:
    sizes = {"N": 3, "D": 3, "H": 2, "T": 1}
    given = example(HAND_BUILT["rows_by_label"], sizes, "float64")
    given["c_i"][1] = label
    with pytest.raises(ValueError, match="status 3"):
        hand_built.run("rows_by_label", {f"rows_by_label_{key}": v for key, v in given.items()}, sizes)


def test_a_window_that_leaves_its_axis_is_refused(tmp_path: Path) -> None:
    x, y = Buffer("X", (T,)), Buffer("Y", (N,))
    only = schedule([x], [y], Take(y, x, 0, Dim.of(2), (1,), (N,)))
    module = compiled(Plan((only,), ("N", "T")), "float64", tmp_path, flags=FLAGS)
    np.testing.assert_array_equal(module.run("evaluate", {"X": np.arange(6.0)}, {"T": 6, "N": 4})["Y"], [2, 3, 4, 5])
    with pytest.raises(ValueError, match="status 4"):
        module.run("evaluate", {"X": np.arange(6.0)}, {"T": 6, "N": 5})
    assert module.run("evaluate", {"X": np.arange(1.0)}, {"T": 1, "N": 0})["Y"].shape == (0,)


def test_structs_of_another_version_and_negative_sizes_are_refused(tmp_path: Path) -> None:
    module = compiled(saving_plan(), "float64", tmp_path, flags=FLAGS)

    class Dims(ctypes.Structure):
        _fields_ = [("struct_size", ctypes.c_size_t), *((n, ctypes.c_int64) for n in "NDH")]

    class Structs(ctypes.Structure):
        _fields_ = [("struct_size", ctypes.c_size_t), *((f"p{k}", ctypes.c_void_p) for k in range(8))]

    good, full = Dims(ctypes.sizeof(Dims), 0, 0, 0), Structs(ctypes.sizeof(Structs))
    workspace = ctypes.create_string_buffer(4096)
    call: Callable[..., int] = module.library.m_forward
    assert call(ctypes.byref(good), ctypes.byref(full), ctypes.byref(full), workspace, workspace) == 0
    assert call(ctypes.byref(Dims(8, 0, 0, 0)), ctypes.byref(full), ctypes.byref(full), None, workspace) == 1
    assert call(ctypes.byref(good), ctypes.byref(Structs(0)), ctypes.byref(full), None, workspace) == 1
    bad = Dims(ctypes.sizeof(Dims), 2, -1, 3)
    assert call(ctypes.byref(bad), ctypes.byref(full), ctypes.byref(full), None, workspace) == 2
    assert module.library.m_abi_version() == 1


# ------------------------------------------------------------------------------------------------- the text
def awkward() -> Plan:
    """Names that are keywords, macros, functions of the library, accented, primed, or differ by case only."""
    names = [
        "unix",
        "I",
        "double",
        "W",
        "w",
        "é",
        "e",
        "W'",
        "λ",
        "v0",
        "load_f64",
        "exp",
        "y1",
        "slot",
        "i",
        "brk_min",
        "operands",
    ]
    inputs = [Tensor(name, (N, D)) for name in names]
    total = build.add([build.pointwise("exp", t) for t in inputs])
    mean = build.einsum(1, [(total, "nd")], "d")
    entries = [
        Entry("evaluate", tuple(inputs), (), (("int", total), ("v1", mean))),
        Entry("residuals", tuple(inputs), (), (("int", total),)),
        Entry("evaluate_workspace", tuple(inputs), (), (("int", mean),)),
    ]
    return plan(entries, {})


def test_awkward_names(tmp_path: Path) -> None:
    module = compiled(awkward(), "float64", tmp_path, flags=FLAGS)
    sizes = {"N": 3, "D": 5}
    arguments = {b.name: np.full((3, 5), k / 8) for k, b in enumerate(module.plan.schedules[0].arguments)}
    want = sum(np.exp(k / 8) for k in range(len(arguments)))
    np.testing.assert_allclose(module.run("evaluate", arguments, sizes)["int"], np.full((3, 5), want))
    np.testing.assert_allclose(module.run("residuals", arguments, sizes)["int"], np.full((3, 5), want))
    np.testing.assert_allclose(module.run("evaluate_workspace", arguments, sizes)["int"], np.full(5, 3 * want))


@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_stands_alone(tmp_path: Path, language: str) -> None:
    assert COMPILER is not None
    (tmp_path / "m.h").write_text(c_module("m", awkward(), dtype="float64").header, encoding="utf-8")
    command = (
        COMPILER,
        "-x",
        language,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-fsyntax-only",
        "-include",
        "m.h",
        "/dev/null",
    )
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if language == "c++" and "cc1plus" in done.stderr:
        pytest.skip("no C++ compiler on this machine")
    assert done.returncode == 0, done.stderr


def test_the_text_is_ascii_and_the_same_every_time() -> None:
    first, second = (c_module("m", together(HAND_BUILT), dtype="float32") for _ in range(2))
    assert (first.source, first.header, first.flat, first.cdef) == (
        second.source,
        second.header,
        second.flat,
        second.cdef,
    )
    awkward_text = c_module("m", awkward(), dtype="float64")
    code = re.sub(r"/\*.*?\*/", "", awkward_text.source + awkward_text.header + awkward_text.flat, flags=re.DOTALL)
    assert (code + awkward_text.cdef).isascii()


def test_only_what_is_used_is_emitted() -> None:
    x, z = Buffer("X", (N,)), Buffer("Z", (N,))
    step = Map((0,), (Access(x, (0,)),), (LOAD, Instruction("square", (0,))), (Store(z, (0,), 1),), (N,))
    text = c_module("m", Plan((schedule([x], [z], step),), ("N",)), dtype="float32").source
    assert "contract" not in text.replace("contractions", "") and "vexp" not in text and "vselect" not in text


def test_the_text_compiles_twice_under_other_names(tmp_path: Path) -> None:
    """As a build for several instruction sets does."""
    text = c_module("m", saving_plan(), dtype="float64")
    for name, content in (("m.c", text.source), ("m.h", text.header)):
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert COMPILER is not None
    objects = []
    for suffix in ("v2", "v3"):
        macro = f"-DM_NAME(name)=m_##name##_{suffix}"
        command = [COMPILER, "-std=gnu11", "-O1", "-c", macro, "m.c", "-o", f"{suffix}.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        objects.append(f"{suffix}.o")
    command = [COMPILER, "-shared", *objects, "-o", "both.so", "-lm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
