"""Ranges of a batch that callers compute apart: the same bits as the whole call, wherever and by whom the batch is cut."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ckernels import needs_compiler
from cmodules import CModule, compiled, together
from modelcases import MODELS, stages_of

import bracketc as bc
from bracketc.emit.c_module import c_module
from bracketc.ir.dims import Dim
from bracketc.plan.schedule import Blocks, Schedule
from bracketc.plan.split import SplitOptions, split_plan

pytestmark = needs_compiler

ROOT = Path(__file__).resolve().parent.parent
Array = np.ndarray[Any, Any]
FINE = SplitOptions(budget=1 << 12, unit=16, groups=9, always=True)

MODELS_THAT_SPLIT = ("logistic", "linear", "classifier", "mlp_regression", "mixture")
SAMPLES = """
dim N, D, K
input X : N, D
param W : D, K
param b : K
P = tanh(X @ W @ (W^T @ W) + 𝟏 b)
"""
"""A result with an axis of the batch: each range writes its rows."""
LARGEST = SAMPLES.replace("P = tanh", "m = max(max") + ") + b · b"
SAVED = """
dim N, D, K
input X : N, D
input y : N
input c : K
param W : D, K
q = W^T @ W
Z = tanh(X @ W @ q)
J = sum[n]((y_n - Z_nk c_k)**2)
gradient J wrt W
"""
"""What forward saves has the batch, but for q, which blocks read and only one call may write."""


def field_names(text: str, struct: str) -> list[str]:
    """Names of the fields of ``m_<struct>``, without the size."""
    found = re.search(rf"typedef struct {{ size_t struct_size;(.*?) }} m_{struct};", text)
    assert found is not None
    return [field.split()[-1].lstrip("*") for field in found[1].split(";") if field.strip()]


def struct_of(names: Sequence[str], values: Mapping[str, Any], kind: Any) -> ctypes.Structure:
    class Fields(ctypes.Structure):
        _fields_ = [("struct_size", ctypes.c_size_t), *((name, kind) for name in names)]

    return Fields(ctypes.sizeof(Fields), **{name: values[name] for name in names if name in values})


@dataclass
class Call:
    """One entry of a compiled plan with arguments: whole, in ranges, combined."""

    module: CModule
    entry: str
    given: Mapping[str, Any]
    sizes: Mapping[str, int]
    saved: Array | None = None

    def __post_init__(self) -> None:
        self.schedule = self.module.plan.schedule(self.entry)
        text = self.module.text
        names = [name for name in field_names(text.cdef, "dims") if name != "threads"]
        self.dims = struct_of(field_names(text.cdef, "dims"), {n: self.sizes[n] for n in names}, ctypes.c_int64)
        flat = text.entries[self.entry]
        self.arrays = {b.name: self.module.array(b, self.sizes, self.given[b.name]) for b in self.schedule.arguments}
        self.args = struct_of(
            field_names(text.cdef, "args"), {n: a.ctypes.data for n, a in self.arrays.items()}, ctypes.c_void_p
        )
        self.fields = dict(zip(flat.results, self.schedule.results, strict=True))

    def function(self, ending: str, result: Any = ctypes.c_int) -> Any:
        found = getattr(self.module.library, f"m_{self.entry}{ending}")
        found.restype = result
        return found

    def results(self) -> tuple[dict[str, Array], ctypes.Structure]:
        """Results full of NaN, and the struct that points to them."""
        arrays = {field: self.module.array(buffer, self.sizes) for field, (_, buffer) in self.fields.items()}
        names = field_names(self.module.text.cdef, "results")
        return arrays, struct_of(names, {n: a.ctypes.data for n, a in arrays.items()}, ctypes.c_void_p)

    def work(self) -> Array:
        return np.full(self.function("_workspace", ctypes.c_size_t)(ctypes.byref(self.dims)), 0xFF, np.uint8)

    def sums(self, position: int) -> int:
        return int(self.function("_sums", ctypes.c_size_t)(ctypes.byref(self.dims), ctypes.c_int64(position)))

    def cut(self, position: int) -> int:
        return int(self.function("_cut", ctypes.c_int64)(ctypes.byref(self.dims), ctypes.c_int64(position)))

    def run(self, ending: str, results: ctypes.Structure, *more: Any) -> int:
        saved = None if self.saved is None else self.saved.ctypes.data_as(ctypes.c_void_p)
        work = self.work().ctypes
        places = (ctypes.byref(self.dims), ctypes.byref(self.args), ctypes.byref(results), saved, work.data_as(ctypes.c_void_p))
        return int(self.function(ending)(*places, *more))

    def whole(self) -> dict[str, bytes]:
        arrays, results = self.results()
        assert self.run("", results) == 0
        return {name: array.tobytes() for name, array in arrays.items()}

    def part(self, results: ctypes.Structure, first: int, last: int, sums: Array | None) -> int:
        at = None if sums is None else sums.ctypes.data_as(ctypes.c_void_p)
        return self.run("_part", results, ctypes.c_int64(first), ctypes.c_int64(last), at)

    def joined(self, cuts: Sequence[int], order: Sequence[int], extent: int) -> dict[str, bytes]:
        """The ranges between ``cuts`` in an order, then combined."""
        arrays, results = self.results()
        sums = np.full(max(1, self.sums(extent)), 0xFF, np.uint8)
        for number in order:
            assert self.part(results, cuts[number], cuts[number + 1], sums) == 0
        assert self.run("_combine", results, sums.ctypes.data_as(ctypes.c_void_p)) == 0
        return {name: array.tobytes() for name, array in arrays.items()}



def entries_with_ranges(module: CModule) -> list[tuple[Schedule, Dim]]:
    """Entries that callers can compute in ranges, and of what size."""
    found = [s for s in module.plan.schedules if s.split is not None and not s.split.whole]
    return [(s, next(step.extent for step in s.steps if isinstance(step, Blocks))) for s in found]


def call(module: CModule, schedule: Schedule, extent: Dim, batch: int) -> Call:
    """An entry at a batch of that length and small, odd other sizes, on random arguments."""
    sizes = {name: 3 + 2 * number for number, name in enumerate(field_names(module.text.cdef, "dims"))}
    sizes |= dict.fromkeys(extent.names, batch)
    rng = np.random.default_rng(batch)
    drawn = {b.name: rng.normal(size=[d.evaluate(sizes) for d in b.shape]) for b in schedule.arguments}
    return Call(module, schedule.entry, drawn, sizes)


def cut_into(pieces: int, batch: int, rng: np.random.Generator) -> list[int]:
    """Bounds of that many ranges of any lengths."""
    return [0, *sorted(rng.integers(0, batch + 1, size=pieces - 1).tolist()), batch]


@pytest.fixture(scope="module", params=["float32", "float64"])
def everything(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CModule:
    """Models, and results of other kinds, in small blocks of their batch."""
    sources = {name: bc.load(str(MODELS[name])) for name in MODELS_THAT_SPLIT}
    sources |= {"samples": bc.parse(SAMPLES), "largest": bc.parse(LARGEST)}
    schedules = {}
    for name, program in sources.items():
        entry = "value_and_grad" if name in MODELS else "evaluate"
        schedules[f"{name}_{entry}"] = stages_of(program).plan.schedule(entry)
    plan = split_plan(together(schedules), replace(FINE, label="N"))
    return compiled(plan, request.param, tmp_path_factory.mktemp("ranges"), flags=("-O0",))


def test_models_have_ranges(everything: CModule) -> None:
    found = {schedule.entry for schedule, _ in entries_with_ranges(everything)}
    assert {f"{name}_value_and_grad" for name in MODELS_THAT_SPLIT} <= found
    assert {"samples_evaluate", "largest_evaluate"} <= found


@pytest.mark.parametrize("batch", [0, 1, 37, 611])
def test_a_batch_in_pieces_gives_the_bits_of_the_whole(everything: CModule, batch: int) -> None:
    rng = np.random.default_rng(batch)
    for schedule, extent in entries_with_ranges(everything):
        one = call(everything, schedule, extent, batch)
        wanted = one.whole()
        for pieces in (1, 2, 3, 7):
            cuts = cut_into(pieces, batch, rng)
            assert one.joined(cuts, rng.permutation(pieces).tolist(), batch) == wanted, (schedule.entry, cuts)


def test_a_batch_in_as_many_pieces_as_it_has_positions(everything: CModule) -> None:
    for schedule, extent in entries_with_ranges(everything):
        one = call(everything, schedule, extent, 150)
        assert one.joined(range(151), range(149, -1, -1), 150) == one.whole(), schedule.entry


def test_ranges_in_threads_of_the_caller(everything: CModule) -> None:
    schedule, extent = next(e for e in entries_with_ranges(everything) if e[0].entry == "mlp_regression_value_and_grad")
    one = call(everything, schedule, extent, 2000)
    arrays, results = one.results()
    sums = np.full(one.sums(2000), 0xFF, np.uint8)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda k: one.part(results, 200 * k, 200 * k + 200, sums), range(10)))
    assert done == [0] * 10
    assert one.run("_combine", results, sums.ctypes.data_as(ctypes.c_void_p)) == 0
    assert {name: array.tobytes() for name, array in arrays.items()} == one.whole()


def test_a_range_needs_its_own_positions_only_and_leaves_its_sums_in_one_piece(everything: CModule) -> None:
    """As on machines that hold a part of the data each: NaN elsewhere, the bytes of the sums sent to one of them."""
    schedule, extent = next(e for e in entries_with_ranges(everything) if e[0].entry == "linear_value_and_grad")
    one = call(everything, schedule, extent, 500)
    wanted, sums = one.whole(), np.zeros(one.sums(500), np.uint8)
    kept = {buffer.name: buffer.shape.index(extent) for buffer in schedule.arguments if extent in buffer.shape}
    assert len(kept) == 2
    for first, last in ((0, 123), (123, 400), (400, 500)):
        there = call(everything, schedule, extent, 500)
        for name in kept:  # the batch is the first axis of both
            there.arrays[name][: one.cut(first)] = np.nan
            there.arrays[name][one.cut(last) :] = np.nan
        arrays, results = there.results()
        left = np.full(len(sums), 0xFF, np.uint8)
        assert there.part(results, first, last, left) == 0
        assert all(np.isnan(array).all() for array in arrays.values())  # one call writes them
        sent = slice(one.sums(first), one.sums(last))
        assert (left[sent.stop :] == 0xFF).all() and (left[: sent.start] == 0xFF).all()
        sums[sent] = left[sent]
    arrays, results = one.results()
    assert one.run("_combine", results, sums.ctypes.data_as(ctypes.c_void_p)) == 0
    assert {name: array.tobytes() for name, array in arrays.items()} == wanted


def test_each_range_writes_its_rows_of_results_a_sample(everything: CModule) -> None:
    schedule, extent = next(e for e in entries_with_ranges(everything) if e[0].entry == "samples_evaluate")
    one = call(everything, schedule, extent, 300)
    arrays, results = one.results()
    first, last = one.cut(100), one.cut(200)
    assert 0 < first < last < 300
    assert one.part(results, 100, 200, np.zeros(max(1, one.sums(300)), np.uint8)) == 0
    (rows,) = arrays.values()
    assert not np.isnan(rows[first:last]).any() and np.isnan(rows[:first]).all() and np.isnan(rows[last:]).all()


def test_ranges_that_are_none_are_refused(everything: CModule) -> None:
    for schedule, extent in entries_with_ranges(everything)[:3]:
        one = call(everything, schedule, extent, 40)
        sums, (_, results) = np.zeros(one.sums(40), np.uint8), one.results()
        for first, last in ((-1, 4), (5, 4), (0, 41), (41, 41), (-(2**63), 2**63 - 1)):
            assert one.part(results, first, last, sums) == 6, (schedule.entry, first, last)
        assert one.part(results, 0, 40, None) == 1
        assert (one.cut(-5), one.cut(0), one.cut(1000)) == (0, 0, 40)
        assert (one.sums(-5), one.sums(0), one.sums(1000)) == (0, 0, one.sums(40))


def test_what_forward_saves_and_backward_reads(tmp_path: Path) -> None:
    plan = split_plan(stages_of(bc.parse(SAVED)).plan, replace(FINE, label="N"))
    module = compiled(plan, "float64", tmp_path, flags=("-O0",), threads=2)
    found = {schedule.entry: schedule for schedule, _ in entries_with_ranges(module)}
    assert list(found) == ["evaluate", "forward", "backward", "value_and_grad"]
    names = found["forward"].residuals
    extent = next(extent for schedule, extent in entries_with_ranges(module))
    assert any(extent not in buffer.shape for buffer in names) and any(extent in buffer.shape for buffer in names)
    for batch in (1, 200):
        rng = np.random.default_rng(batch)
        saved: list[Any] = []
        for entry, schedule in found.items():
            one = call(module, schedule, extent, batch)
            if schedule.residuals:
                one.saved = saved[0] if entry == "backward" else module.residuals(one.sizes)
            wanted = one.whole()
            cuts = cut_into(5, batch, rng)
            if entry == "forward":
                saved = [one.saved, module.residuals(one.sizes)]
                one.saved = saved[1]
            assert one.joined(cuts, rng.permutation(5).tolist(), batch) == wanted, (entry, cuts)
        left, right = saved
        assert left.tobytes() == right.tobytes()


def test_why_there_are_no_ranges_is_said() -> None:
    source = "dim N\ninput x : N\nm = (1/N) sum(x)\nz[i] = x_i - m"
    schedule = split_plan(stages_of(bc.parse(source)).plan, FINE).schedule("evaluate")
    assert schedule.split is not None and "pass 2 over N" in schedule.split.whole
    assert f"no ranges of N apart: {schedule.split.whole}" in schedule.notes


def test_signature_and_header_say_which_functions_take_ranges(tmp_path: Path) -> None:
    built = bc.build(bc.load(str(MODELS["logistic"])), tmp_path, backend="c", compile=False)
    text = {path.name: path.read_text() for path in built.files}
    assert "int logistic_value_and_grad_part(" in text["logistic.h"] and "logistic_evaluate_part" not in text["logistic.h"]
    assert "'ranges': True" in text["logistic.py"]


def test_a_portable_build_has_the_ranges_of_the_level_it_chooses() -> None:
    plan = split_plan(stages_of(bc.load(str(MODELS["logistic"]))).plan)
    dispatch = c_module("m", plan, dtype="float32", portable=True).dispatch or ""
    for ending in ("part", "combine", "cut", "sums"):
        assert dispatch.count(f"chosen->value_and_grad_{ending}(") == 1 and f"evaluate_{ending}" not in dispatch


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_example_of_a_caller_with_threads_of_its_own(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    files = [str(ROOT / "examples/ranges/threads.c"), str(ROOT / "generated/c/logistic.c")]
    flags = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-psabi")
    command = [compiler, *flags, "-I", str(ROOT / "generated/c"), *files, "-o", "threads", "-lm", "-pthread"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([str(tmp_path / "threads")], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "the same bits" in done.stdout, done.stdout
