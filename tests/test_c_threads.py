"""Threads divide the work of a call and change no bit of it; they stay away after fork, and where the caller has its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ckernels import COMPILER, needs_compiler, needs_openmp
from cmodules import CModule, compiled, together
from handbuilt import EXTENTS, HAND_BUILT, example
from modelcases import MODELS, stages_of
from random_ir import SIZES
from test_c_backend import FLAGS, SEEDS, close, graph
from test_plan_random import entry_of
from test_split import CUTS

import bracketc as bc
from bracketc.emit.c_module import c_module
from bracketc.loops.interpret import interpret as run_loops
from bracketc.loops.kernel import Alone, Collect
from bracketc.loops.lower import lower
from bracketc.loops.team import for_team, statements_of
from bracketc.loops.verify import verify
from bracketc.plan.interpret import run
from bracketc.plan.plan import plan
from bracketc.plan.split import SplitOptions, split_plan

pytestmark = needs_compiler
COUNTS = (1, 2, 3, 7)


def bits(module: CModule, entry: str, given: Any, sizes: Any, threads: int) -> dict[str, bytes]:
    module.library.m_call_threads(ctypes.c_int64(threads))
    return {name: array.tobytes() for name, array in module.run(entry, given, sizes).items()}


@pytest.fixture(scope="module", params=["float32", "float64"])
def hand_built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CModule:
    folder = tmp_path_factory.mktemp("team")
    return compiled(together(HAND_BUILT), request.param, folder, flags=FLAGS, threads=7)


@needs_openmp
@pytest.mark.parametrize("name", HAND_BUILT)
def test_the_same_bits_for_every_number_of_threads(hand_built: CModule, name: str) -> None:
    for sizes in EXTENTS:
        arguments = example(HAND_BUILT[name], sizes, hand_built.dtype.name)
        given = {f"{name}_{argument}": value for argument, value in arguments.items()}
        one, *others = (bits(hand_built, name, given, sizes, threads) for threads in COUNTS)
        assert all(other == one for other in others), sizes


@needs_openmp
def test_the_same_bits_on_random_graphs(tmp_path: Path) -> None:
    schedules = {f"s{seed}": plan([entry_of(graph(seed)[0])], {}).schedule("evaluate") for seed in SEEDS}
    module = compiled(together(schedules), "float64", tmp_path, flags=FLAGS, threads=3)
    for seed in SEEDS:
        given = {f"s{seed}_{node.name}": value for node, value in graph(seed)[1].items()}
        one, *others = (bits(module, f"s{seed}", given, SIZES, threads) for threads in (1, 2, 3))
        assert all(other == one for other in others), seed


@needs_openmp
@pytest.mark.parametrize("options", CUTS[:3], ids=lambda o: f"{o.unit}-{o.groups}")
def test_blocks_of_random_graphs_for_every_number_of_threads(options: SplitOptions, tmp_path: Path) -> None:
    whole = together({f"s{seed}": plan([entry_of(graph(seed)[0])], {}).schedule("evaluate") for seed in SEEDS[:20]})
    module = compiled(split_plan(whole, options), "float64", tmp_path, flags=FLAGS, threads=3)
    for seed in SEEDS[:20]:
        given = {f"s{seed}_{node.name}": value for node, value in graph(seed)[1].items()}
        wanted = run(whole.schedule(f"s{seed}"), given, SIZES).results
        for name, array in module.run(f"s{seed}", given, SIZES).items():
            close(array, wanted[name], "float64", 1000, f"{seed} {name}")
        one, *others = (bits(module, f"s{seed}", given, SIZES, threads) for threads in COUNTS[:3])
        assert all(other == one for other in others), seed


LOGISTIC = """
dim N, D
input X : N, D
input y : N
param w : D
J = (1/N) sum[i](softplus(-y_i X_ij w_j))
gradient J wrt w
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_of_all_lengths_in_c(dtype: str, tmp_path: Path) -> None:
    whole = stages_of(bc.parse(LOGISTIC)).plan
    module = compiled(split_plan(whole, CUTS[2]), dtype, tmp_path, flags=FLAGS)
    for rows in (0, 1, 2, 7, 64):
        sizes = {"N": rows, "D": 5}
        given = example(whole.schedule("value_and_grad"), sizes, dtype)
        wanted = run(whole.schedule("value_and_grad"), given, sizes).results
        for name, array in module.run("value_and_grad", given, sizes).items():
            close(array, wanted[name], dtype, 100, f"{name} {rows}")


def test_what_an_epilogue_left_of_one_number_is_summed_by_one_thread() -> None:
    source = "dim M, N, K\ninput A : M, K\ninput B : K, N\nP = A @ B\ns = sum(P ⊙ P)\noutput P, s\n"
    team = for_team(lower(split_plan(stages_of(bc.parse(source)).plan).schedule("evaluate")))
    alone = [inner for one in statements_of(team.body) if isinstance(one, Alone) for inner in one.body]
    sums = [one for one in statements_of(team.body) if isinstance(one, Collect)]
    assert sums and all(one in alone and not one.divided for one in sums)


@pytest.mark.parametrize("name", HAND_BUILT)
def test_threads_in_any_order_compute_what_one_computes(name: str) -> None:
    """Between two barriers no thread may read what another one writes: the last thread first, or the first first."""
    kernel = lower(HAND_BUILT[name])
    team = for_team(kernel)
    verify(team)
    for sizes in EXTENTS[:4]:
        given = example(HAND_BUILT[name], sizes, "float64")
        wanted, _ = run_loops(kernel, given, sizes)
        for order in ((0,), (0, 1, 2), (2, 1, 0), (1, 4, 0, 3, 2)):
            got, _ = run_loops(team, given, sizes, order)
            for result, array in wanted.items():
                np.testing.assert_allclose(got[result], array, rtol=1e-9, atol=1e-9, err_msg=f"{result} {sizes} {order}")


SOURCE = """
dim N, D, H
input X : N, D
param W : D, H
Z = tanh(X @ W)
J = sum(Z ⊙ Z)
gradient J wrt W
"""


def draws() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(300, 200)), rng.normal(size=(200, 150)) / 15


@needs_openmp
def test_modules_of_several_threads_give_the_same_bits_as_those_of_one() -> None:
    one, two = (bc.compile(SOURCE, threads=threads) for threads in (1, 2))
    for function in ("evaluate", "value_and_grad"):
        left, right = (getattr(module, function)(*draws()) for module in (one, two))
        flat = [left[0], right[0]] if function == "evaluate" else [left[1][0], right[1][0]]
        assert flat[0].tobytes() == flat[1].tobytes()


def _again(arguments: tuple[str, bytes]) -> bool:
    source, wanted = arguments
    return bool(bc.compile(source, threads=2).value_and_grad(*draws())[1][0].tobytes() == wanted)


@needs_openmp
def test_tiles_that_are_finished_row_by_row_keep_their_sums() -> None:
    """An epilogue that reads more than a cache walks along its rows; every number of threads finds them so."""
    text = """
        dim N, P, K
        input R : N, P
        input M : N, P
        input u : N
        param U : N, K
        param V : P, K
        E = M ⊙ (R - U @ V^T)
        J = 0.5 norm2(E) + u · (E_np | n)
        gradient J wrt U, V
    """
    rng = np.random.default_rng(3)
    n, p, k = 263, 257, 7
    shapes = {"R": (n, p), "M": (n, p), "u": (n,), "U": (n, k), "V": (p, k)}
    given = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    value, wanted = bc.compile(text, backend="numpy").value_and_grad(**given)
    module = bc.compile(text, backend="c", threads=3)
    found = []
    for threads in (1, 2, 3):
        module.threads(threads)
        got, gradients = module.value_and_grad(**given)
        found.append((got.tobytes(), *(array.tobytes() for array in gradients)))
        assert np.allclose(got, value, rtol=1e-12)
        for ours, want in zip(gradients, wanted, strict=True):
            assert np.allclose(ours, want, rtol=1e-11, atol=1e-11 * np.abs(want).max())
    assert found[0] == found[1] == found[2]


@needs_openmp
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_of_fork_computes_alone() -> None:
    wanted = bc.compile(SOURCE, threads=2).value_and_grad(*draws())[1][0].tobytes()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(_again, [(SOURCE, wanted)] * 4).get(timeout=120) == [True] * 4


@needs_openmp
def test_the_number_of_threads_is_chosen_for_later_calls() -> None:
    module = bc.compile(SOURCE, threads=3)
    wanted = module.value_and_grad(*draws())[1][0].tobytes()
    assert module.threads() == 3
    for count, former in ((1, 3), (2, 1), (7, 2), (3, 7)):
        assert module.threads(count) == former and module.threads() == count
        assert module.value_and_grad(*draws())[1][0].tobytes() == wanted
    for wrong in (0, -1, True, 1.5, "2"):
        with pytest.raises(bc.ArgumentError, match="a number from 1 on"):
            module.threads(wrong)
    assert "threads" in module.__all__ and not hasattr(bc.compile(SOURCE), "threads")


@needs_openmp
def test_calls_from_several_threads_of_the_caller() -> None:
    module = bc.compile(SOURCE, threads=2)
    wanted = module.value_and_grad(*draws())[1][0].tobytes()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: module.value_and_grad(*draws())[1][0].tobytes(), range(16)))
    assert found == [wanted] * 16


@needs_openmp
def test_a_failure_of_one_thread_ends_the_call(hand_built: CModule) -> None:
    sizes = {"N": 40, "D": 3, "H": 5, "T": 2}
    given = {f"rows_by_label_{k}": v for k, v in example(HAND_BUILT["rows_by_label"], sizes, "float64").items()}
    given["rows_by_label_c_i"] = np.full(40, 99)
    for threads in COUNTS:
        hand_built.library.m_call_threads(ctypes.c_int64(threads))
        with pytest.raises(ValueError, match="status 3"):
            hand_built.run("rows_by_label", given, sizes)


def test_the_text_of_several_threads_is_plain_c_too(tmp_path: Path) -> None:
    planned = stages_of(bc.load(str(MODELS["classifier"]))).plan
    text = c_module("m", planned, dtype="float32", threads=4)
    (tmp_path / "m.c").write_text(text.source)
    (tmp_path / "m.h").write_text(text.header)
    command = (COMPILER or "cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-psabi")
    done = subprocess.run((*command, "-c", "m.c", "-o", "m.o"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
