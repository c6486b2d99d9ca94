"""The batch split: records in blocks compute what they compute whole, for every way of cutting, and say how."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from modelcases import MODELS, arrays_of, sizes_of, stages_of
from random_ir import SIZES, random_graph
from test_plan_random import entry_of

import bracketc as bc
from bracketc import compiler
from bracketc.ir.rewrite import tensors
from bracketc.loops.interpret import interpret as run_loops
from bracketc.loops.lower import lower
from bracketc.loops.team import for_team
from bracketc.loops.verify import verify as verify_loops
from bracketc.options import make_options
from bracketc.plan.interpret import run
from bracketc.plan.plan import PlanOptions, plan
from bracketc.plan.schedule import Blocks, Plan, Schedule, division
from bracketc.plan.split import SplitOptions, split_plan
from bracketc.plan.verify import verify

CUTS = [
    SplitOptions(budget=1, unit=1, groups=3, always=True),
    SplitOptions(budget=1, unit=2, groups=2, always=True),
    SplitOptions(budget=1, unit=3, groups=1, always=True),
    SplitOptions(always=True),
]


def planned(source: str) -> Plan:
    return stages_of(bc.parse(source)).plan


def blocks_of(schedule: Schedule) -> list[Blocks]:
    return [step for step in schedule.steps if isinstance(step, Blocks)]


def agree(whole: Schedule, cut: Schedule, arrays: dict[str, Any], sizes: dict[str, int]) -> None:
    """The split schedule, its kernel, and its kernel for threads compute what the whole schedule computes."""
    verify(cut)
    wanted = run(whole, arrays, sizes)
    got = run(cut, arrays, sizes)
    kernel = lower(cut)
    for name, array in wanted.results.items():
        np.testing.assert_allclose(got.results[name], array, rtol=1e-9, atol=1e-9, err_msg=f"{whole.entry} {name}")
    buffers = {name: buffer.name for name, buffer in cut.results}
    for program in (kernel, for_team(kernel)):
        verify_loops(program)
        for order in ((0,), (2, 0, 1)) if program is not kernel else ((0,),):
            results, residuals = run_loops(program, arrays, sizes, order)
            for name, array in wanted.results.items():
                np.testing.assert_allclose(results[buffers[name]], array, rtol=1e-9, atol=1e-9, err_msg=f"{order} {name}")
            for name, array in wanted.residuals.items():
                np.testing.assert_allclose(residuals[name], array, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("options", CUTS, ids=lambda o: f"{o.unit}-{o.groups}-{o.budget}")
@pytest.mark.parametrize("model", MODELS)
def test_models_in_blocks_compute_what_they_compute_whole(model: str, options: SplitOptions) -> None:
    program = bc.load(str(MODELS[model]))
    whole = stages_of(program).plan
    cut = split_plan(whole, options)
    arrays, sizes = arrays_of(program), sizes_of(program)
    for before, after in zip(whole.schedules, cut.schedules, strict=True):
        given = dict(arrays)
        if before.entry == "backward":
            given |= run(whole.schedule("forward"), arrays, sizes).residuals
        for buffer in before.arguments:
            shape = tuple(extent.evaluate(sizes) for extent in buffer.shape)
            given.setdefault(buffer.name, np.random.default_rng(3).normal(size=shape))
        agree(before, after, given, sizes)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_in_blocks(seed: int) -> None:
    roots, values = random_graph(seed, count=14, roots=4)
    whole = plan([entry_of(roots)], {})
    given = {node.name: np.asarray(values[node]) for node in tensors(roots)}
    for options in CUTS[:2]:
        agree(whole.schedules[0], split_plan(whole, options).schedules[0], given, SIZES)


REGRESSION = """
dim N ~ 10000, D ~ 50
input X : N, D
input y : N
param w : D
J = sum[i](softplus(-y_i X_ij w_j))
gradient J wrt w
"""


def test_logistic_regression_reads_its_data_once() -> None:
    schedule = split_plan(planned(REGRESSION)).schedule("value_and_grad")
    (blocks,) = blocks_of(schedule)
    assert [outer.name for _, outer, _ in blocks.slices].count("X") == 1
    assert schedule.split is not None and schedule.split.label == "N" and schedule.split.stages == 1
    assert dict(schedule.split.outputs) == {"J": "sum", "w": "sum"}
    assert schedule.bytes.evaluate({"N": 1000, "D": 10}) < 1.1 * 8 * 11_000


def test_a_number_that_depends_on_the_batch_keeps_the_whole_batch() -> None:
    source = REGRESSION.replace("J = sum", "J = (1/N) sum")
    schedule = split_plan(planned(source), CUTS[0]).schedule("value_and_grad")
    assert blocks_of(schedule)
    rng = np.random.default_rng(0)
    given = {"X": rng.normal(size=(7, 3)), "y": np.sign(rng.normal(size=7)), "w": rng.normal(size=3)}
    agree(planned(source).schedule("value_and_grad"), schedule, given, {"N": 7, "D": 3})


def test_what_needs_the_whole_batch_takes_another_stage() -> None:
    source = """
dim N ~ 10000, D ~ 50
input x : N
m = (1/N) sum(x)
s = sum[i]((x_i - m)**2)
z[i] = (x_i - m) / s
"""
    schedule = split_plan(planned(source), CUTS[0]).schedule("evaluate")
    assert len(blocks_of(schedule)) == 3
    assert schedule.split is not None and schedule.split.stages == 3
    assert dict(schedule.split.outputs) == {"z": "staged"}
    agree(planned(source).schedule("evaluate"), schedule, {"x": np.arange(5.0)}, {"N": 5})


SHARED = """
dim N ~ 10000, D ~ 40, K ~ 8
input X : N, D
input y : N
param W : D, K
param b : K
Z = tanh(X @ W + 𝟏 b)
J = sum[n]((y_n - Z_nk b_k)**2)
gradient J wrt W, b
"""


def test_an_epilogue_that_waits_for_a_sum_does_not_hold_up_its_product() -> None:
    """The gradient by b is a product over the batch plus what another record sums up: one pass over the batch, not two."""
    for entry in ("value_and_grad", "backward"):
        schedule = split_plan(planned(SHARED), SplitOptions(always=True, label="N")).schedule(entry)
        assert len(blocks_of(schedule)) == 1 and schedule.split is not None and schedule.split.stages == 1
    rng = np.random.default_rng(0)
    given = {"X": rng.normal(size=(7, 3)), "y": rng.normal(size=7), "W": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    sizes = {"N": 7, "D": 3, "K": 2}
    for options in CUTS:
        whole = planned(SHARED).schedule("value_and_grad")
        agree(whole, split_plan(planned(SHARED), replace(options, label="N")).schedule("value_and_grad"), given, sizes)


@pytest.mark.parametrize(("widths", "split"), [("D = 8, H = 32", True), ("D ~ 8, H ~ 32", False)], ids=["known", "hints"])
def test_shorter_blocks_do_where_small_sums_are_known(widths: str, split: bool) -> None:
    # The product with the Hessian holds so much for each position that fewer than 128 of them fit a block. Sums of 8 x 32 stay in
    # the first-level cache, but hints do not promise that the widths of a call are as small.
    layers = "A = tanh(X @ W)\nB = tanh(A @ V)\nC = tanh(B @ V)\nF = tanh(C @ V)\nG = tanh(F @ V)\nE = G @ V - Y\nJ = 0.5 E · E"
    names = f"dim N ~ 512, {widths}\ninput X : N, D\ninput Y : N, H\nparam W : D, H\nparam V : H, H"
    schedule = split_plan(planned(f"{names}\n{layers}\nhvp J wrt W")).schedule("hvp_J_W")
    assert bool(blocks_of(schedule)) == split, schedule.notes


def test_large_layers_are_not_split() -> None:
    source = """
dim N ~ 1024, D ~ 1024, H ~ 1024
input X : N, D
param W : D, H
J = sum(tanh(X @ W))
gradient J wrt W
"""
    schedule = split_plan(planned(source)).schedule("value_and_grad")
    assert schedule.split is None and any("not split by N" in note for note in schedule.notes)


ONE_THREAD_ALONE = {
    "dot": ("dim N ~ 1000000\ninput x : N\ninput y : N\nJ = x · y", "N"),
    "sum of entries, by the leading axis": ("dim N ~ 2000, M ~ 1000\ninput x : N, M\nJ = sum(x)", "N"),
    "vector by a tall matrix": ("dim N ~ 100000, M = 5\ninput x : N\ninput y : N, M\nJ = y^T @ x", "N"),
    "sum of costly entries": ("dim N ~ 200000\ninput x : N\nJ = sum(exp(x))", "N"),
    "entries and their sum": ("dim N ~ 2000, M ~ 1000\ninput x : N, M\nJ = sum(exp(x))\ngradient J wrt x", "N"),
    "two stages": ("dim N ~ 1000000\ninput x : N\nJ = logsumexp(x)", "N"),
    "a short sum": ("dim N ~ 1000\ninput x : N\ninput y : N\nJ = x · y", None),
    "many sums": ("dim N ~ 2000, M ~ 1000\ninput x : N\ninput y : N, M\nJ = x^T @ y", None),
    "rows": ("dim N ~ 2000, M ~ 1000\ninput x : N, M\nJ = (sum[j](exp(x_ij)) | i)", None),
}


@pytest.mark.parametrize("name", ONE_THREAD_ALONE)
def test_few_long_sums_are_split_for_threads(name: str) -> None:
    source, wanted = ONE_THREAD_ALONE[name]
    whole = planned(source).schedules[-1]
    cut = split_plan(planned(source)).schedules[-1]
    assert (cut.split and cut.split.label) == wanted, cut.notes
    sizes = {"N": 300, "M": 5}
    shapes = {b.name: tuple(extent.evaluate(sizes) for extent in b.shape) for b in whole.arguments}
    arrays = {key: np.random.default_rng(5).normal(size=shape) for key, shape in shapes.items()}
    small = replace(SplitOptions(always=True, budget=64, unit=2), label=wanted or "N")
    agree(whole, split_plan(planned(source), small).schedules[-1], arrays, sizes)


@pytest.mark.parametrize("extent", [0, 1, 15, 16, 17, 100, 1000, 12345])
@pytest.mark.parametrize("groups", [1, 2, 32])
@pytest.mark.parametrize("least", [0, 10_000, 10**9])
def test_groups_hold_every_position_once(extent: int, groups: int, least: int) -> None:
    cut = division(extent, 100, least, 3000, 16, groups)
    assert cut.rows % 16 == 0 and cut.group_rows % cut.rows == 0 and cut.groups <= groups
    assert (cut.groups - 1) * cut.group_rows < extent <= cut.groups * cut.group_rows or extent == cut.groups == 0


@pytest.mark.parametrize("extent", [1, 200, 1000, 1024, 12345])
def test_blocks_are_nearly_equal(extent: int) -> None:
    cut = division(extent, 100, 0, 50_000, 16, 10**9)
    blocks = -(-extent // cut.rows)
    assert blocks == -(-extent // 496)  # as few as 496 positions of 100 bytes in each allow
    assert blocks * cut.rows - extent < 16 * blocks


def test_blocks_are_long_where_what_all_of_them_touch_is_large() -> None:
    """One layer: a block of 16 rows would read 1 MB of weights and add 1 MB to their gradient, for 128 kB of its own."""
    program = bc.load(MODELS["single_layer"])
    plan = split_plan(compiler.stages(program, make_options({"backend": "c", "dtype": "float64"})).plan)
    (blocks,) = blocks_of(plan.schedule("value_and_grad"))

    def share(width: int) -> float:
        """Bytes of a block's own positions for each byte that all blocks touch."""
        sizes = {"N": 1 << 14, "D": width, "H": width // 2}
        rows = blocks.division(lambda dim: dim.evaluate(sizes)).rows
        return rows * blocks.row_bytes.evaluate(sizes) / (8 * sizes["D"] * width)

    assert share(64) > 1.9 and share(512) > 1.9


STAGES = """
dim N, M, K ~ 512
param x : N
param X : N, K
param W : K, N
param u : K
y = x ·_1 X
z = (((W_ij x_j | i) y)_ii | )
J = norm2(x) + sin(z) + sum(sin(y @ u^T))
gradient J wrt x, X, W, u
"""


@pytest.mark.parametrize("hint", [64, 512, 100_000])
def test_a_stage_that_does_not_pay_leaves_its_records_whole(hint: int) -> None:
    """The gradient by x is a sum over K with an epilogue, behind a first stage that pays: the second one does not."""
    whole = planned(STAGES.replace("K ~ 512", f"K ~ {hint}"))
    for schedule in split_plan(whole).schedules:
        verify(schedule)


THROUGH_ROWS = {
    "maxima over the first axis": """
        dim I, T, M ~ 10000
        input P : I, T, M
        S = (max[i](P_itm) | tm)
        J = sum(tanh(S))
        output S, J""",
    "sums over the first axis": """
        dim I, T, M ~ 10000
        input P : I, T, M
        input q : M
        S = (sum[i](sin(P_itm)) | tm)
        R = (S_tm q_m | t)
        output S, R""",
    "products that lie the other way": """
        dim M ~ 10000, I, T
        input P : M, I
        input q : M, T
        S = (tanh(P_mi) cos(q_mt) | ti)
        output S""",
}


@pytest.mark.parametrize("arrange", [True, False])
@pytest.mark.parametrize("options", CUTS, ids=lambda o: f"{o.unit}-{o.groups}-{o.budget}")
@pytest.mark.parametrize("name", THROUGH_ROWS)
def test_blocks_that_take_a_part_of_every_row(name: str, options: SplitOptions, arrange: bool) -> None:
    """What a sum or a maximum starts from lies apart there, and what other blocks have made stands between."""
    program = bc.parse(THROUGH_ROWS[name])
    whole = plan([entry_of(tuple(node for _, node in program.results))], {}, program.sizes, PlanOptions(arrange=arrange))
    sizes = {"I": 3, "T": 4, "M": 11}
    arrays = {
        tensor.name: np.random.default_rng(k).normal(size=[extent.evaluate(sizes) for extent in tensor.shape])
        for k, tensor in enumerate(program.arguments)
    }
    agree(whole.schedules[0], split_plan(whole, replace(options, label="M")).schedules[0], arrays, sizes)
