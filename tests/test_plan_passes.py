"""Sums over a product, with its tiles or in a pass behind it: the same numbers, and the one that costs less."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from ckernels import needs_compiler
from modelcases import MODELS, arrays_of, sizes_of, stages_of
from random_ir import SIZES, random_graph
from test_plan_random import entry_of

import bracketc as bc
from bracketc.ir.rewrite import tensors
from bracketc.loops.interpret import interpret
from bracketc.loops.kernel import Collect
from bracketc.loops.lower import lower
from bracketc.plan.explain import explain_schedule
from bracketc.plan.hints import Hints
from bracketc.plan.interpret import run
from bracketc.plan.passes import passes_plan
from bracketc.plan.plan import plan
from bracketc.plan.schedule import Contract, Plan, Schedule
from bracketc.plan.verify import verify

LAYER = """
dim N ~ {samples}, D ~ 64, H ~ {width}
input X : N, D
param W : D, H
param V : D, D
param b : D
Z = tanh(X @ V + 𝟏 b)
J = sum((Z @ W) ⊙ (Z @ W))
gradient J wrt W, V, b
"""


def planned(samples: int, width: int) -> Plan:
    return stages_of(bc.parse(LAYER.format(samples=samples, width=width))).plan


def same(before: Schedule, after: Schedule, given: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
    verify(after)
    wanted = run(before, given, sizes).results
    names = {buffer.name: name for name, buffer in after.results}
    for name, array in run(after, given, sizes).results.items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-9, atol=1e-9)
    for buffer, array in interpret(lower(after), given, sizes)[0].items():
        np.testing.assert_allclose(array, wanted[names[buffer]], rtol=1e-9, atol=1e-9)


def sums(schedule: Schedule) -> list[str]:
    return [note for note in schedule.notes if note.startswith("sums up ")]


def summing(schedule: Schedule) -> list[Contract]:
    found = [step for step in schedule.steps if isinstance(step, Contract)]
    return [step for step in found if any(store.mode == "sum" for store in step.stores)]


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_with_every_sum_in_a_pass(seed: int) -> None:
    roots, values = random_graph(seed, count=14, roots=4)
    whole = plan([entry_of(roots)], {})
    given = {node.name: np.asarray(values[node]) for node in tensors(roots)}
    same(whole.schedules[0], passes_plan(whole, always=True).schedules[0], given, SIZES)


@pytest.mark.parametrize("model", MODELS)
def test_models_with_every_sum_in_a_pass(model: str) -> None:
    program = bc.load(str(MODELS[model]))
    whole = stages_of(program).plan
    if not any(schedule.entry == "value_and_grad" for schedule in whole.schedules):
        pytest.skip("no gradient")
    apart = passes_plan(whole, always=True)
    same(whole.schedule("value_and_grad"), apart.schedule("value_and_grad"), arrays_of(program), sizes_of(program))


def test_a_product_in_the_cache_is_summed_up_behind_and_one_in_memory_with_its_tiles() -> None:
    small, large = (passes_plan(planned(samples, 32)).schedule("value_and_grad") for samples in (128, 4096))
    assert any(note.startswith("sums up d_b: 2.05 µs in a pass behind it, 3.64 µs with the tiles") for note in sums(small))
    assert any(note.startswith("sums up d_b: 117 µs with the tiles of the product, 262 µs in a pass") for note in sums(large))
    with_tiles = [{store.target.name for step in summing(schedule) for store in step.stores} for schedule in (small, large)]
    assert ["d_b" in found for found in with_tiles] == [False, True]
    collected = [{s.target.name for s in lower(schedule).body if isinstance(s, Collect)} for schedule in (small, large)]
    assert ["d_b" in found for found in collected] == [False, True]


def test_rows_shorter_than_a_line_are_summed_up_with_the_tiles() -> None:
    """Lines of 64 bytes hold rows of two numbers: a pass would move four times as much."""
    chosen = passes_plan(planned(128, 2))
    hints = Hints(chosen.hints)
    short = [step for step in summing(chosen.schedule("value_and_grad")) if hints.of(step.extents[step.output[-1]]) == 2]
    assert any(store.target.name == "J" for step in short for store in step.stores)
    assert any(note.startswith("sums up d_b: 2.05") for note in sums(chosen.schedule("value_and_grad")))


def test_a_pass_that_one_thread_would_make_alone_is_for_short_calls() -> None:
    """A sum over all entries leaves nothing to share; that of a bias leaves its columns."""
    short, long = (passes_plan(planned(samples, 16)).schedule("value_and_grad") for samples in (32, 512))
    assert any("J: 0.128 µs in a pass behind it, 0.228 µs with the tiles" in note for note in sums(short))
    assert any("J: 3.64 µs with the tiles of the product, 4.1 µs in a pass behind it" in note for note in sums(long))


def test_the_bytes_of_a_pass_are_counted() -> None:
    before = planned(128, 32)
    after = passes_plan(before).schedule("value_and_grad")
    assert after.bytes.evaluate(before.hints) > before.schedule("value_and_grad").bytes.evaluate(before.hints)
    assert after.flops == before.schedule("value_and_grad").flops


def test_both_costs_are_told() -> None:
    chosen = passes_plan(planned(128, 32))
    told = explain_schedule(chosen.schedule("value_and_grad"), Hints(chosen.hints)).notes
    assert any("in a pass behind it" in note and "with the tiles of the product" in note for note in told)


@needs_compiler
def test_in_c_both_give_the_same_gradients() -> None:
    draws = np.random.default_rng(5)
    arrays = [draws.normal(size=shape) for shape in ((70, 9), (9, 33), (9, 9), (9,))]
    texts = (LAYER.format(samples=samples, width=32) for samples in (128, 4096))
    small, large = (bc.compile(text, "c", cflags=("-O1",)) for text in texts)
    plain = bc.compile(LAYER.format(samples=128, width=32), backend="numpy").value_and_grad(*arrays)
    for module in (small, large):
        found = module.value_and_grad(*arrays)
        np.testing.assert_allclose(found.value, plain.value, rtol=1e-12)
        for one, other in zip(found.gradients, plain.gradients, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
