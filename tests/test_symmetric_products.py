"""Factors of symmetric products are made a few terms at a time and stored nowhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from modelcases import needs_compiler, stages_of

import bracketc as bc
from bracketc.loops.interpret import interpret
from bracketc.loops.kernel import Contraction, Kernel
from bracketc.loops.lower import lower
from bracketc.loops.team import for_team
from bracketc.loops.verify import verify
from bracketc.plan.making import factors_made
from bracketc.plan.schedule import Contract, Map, Schedule, Variant
from bracketc.plan.split import split_plan

LOGISTIC = """
dim m, n
input X : m, n
input y : m
param w : n
J = softplus(-y ⊙ (X @ w)) · 𝟏
hessian J wrt w as H
"""


def arrays_of(m: int, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(m + n)
    return {"X": rng.normal(size=(m, n)), "y": np.sign(rng.normal(size=m)), "w": rng.normal(size=n)}


def closed_form(X: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-y * (X @ w)))
    return np.asarray(X.T @ ((p * (1 - p))[:, None] * X))


def schedule_of(source: str, entry: str = "H") -> Schedule:
    return split_plan(stages_of(bc.parse(source)).plan).schedule(entry)


def made(kernel: Kernel) -> list[Contraction]:
    return [s for s in kernel.body if isinstance(s, Contraction) and s.making is not None]


def test_weighted_rows_are_never_stored() -> None:
    kernel = lower(schedule_of(LOGISTIC))
    (product,) = made(kernel)
    assert product.form == "symmetric" and product.a.storage.kind == "made"
    assert [str(size) for size in kernel.slots] == ["m"]


@pytest.mark.parametrize("order", [(0,), (1, 0, 2)])
def test_kernels_make_factors_that_are_right(order: tuple[int, ...]) -> None:
    schedule, arrays = schedule_of(LOGISTIC), arrays_of(17, 5)
    kernel = lower(schedule) if order == (0,) else for_team(lower(schedule))
    verify(kernel)
    results, _ = interpret(kernel, arrays, {"m": 17, "n": 5}, order)
    (found,) = results.values()
    np.testing.assert_allclose(found, closed_form(**arrays), rtol=1e-12)


def test_a_factor_of_the_columns_becomes_one_of_the_rows() -> None:
    """A symmetric result is as well its transpose."""
    schedule = schedule_of(LOGISTIC)
    *before, step = schedule.steps
    assert isinstance(step, Contract)
    output, (store,) = step.output[::-1], step.stores
    step = replace(step, output=output, stores=(replace(store, labels=output),))
    kernel = lower(replace(schedule, variants=(Variant((), (*before, step)),)))
    assert len(made(kernel)) == 1
    arrays = arrays_of(9, 4)
    results, _ = interpret(kernel, arrays, {"m": 9, "n": 4})
    (found,) = results.values()
    np.testing.assert_allclose(found, closed_form(**arrays), rtol=1e-12)


def test_a_factor_that_others_read_is_stored() -> None:
    schedule = schedule_of(LOGISTIC)
    *before, factor, step = schedule.steps
    assert isinstance(factor, Map) and isinstance(step, Contract)
    assert factors_made(schedule.steps, ()) == {len(before) + 1: factor}
    assert not factors_made(schedule.steps, {factor.stores[0].target})
    (product,) = step.products
    both = replace(step, products=(replace(product, right=replace(product.left, labels=product.right.labels)),))
    assert not factors_made((*before, factor, both), ())
    assert not factors_made((*before, factor, replace(step, symmetric=False)), ())
    assert not factors_made((*before, factor, *before, step), ())


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_kernels_make_the_factor_in_parts(threads: int) -> None:
    module = bc.compile(LOGISTIC, threads=threads)
    for m, n in ((0, 3), (1, 1), (7, 0), (50, 4), (90, 40), (5, 150), (300, 260), (700, 513)):
        arrays = arrays_of(m, n)
        found = module.H(**arrays)
        np.testing.assert_allclose(found, closed_form(**arrays), rtol=1e-10, atol=1e-12, err_msg=f"{m}, {n}")


@needs_compiler
def test_parts_do_not_depend_on_the_number_of_threads() -> None:
    one, two = bc.compile(LOGISTIC, threads=1), bc.compile(LOGISTIC, threads=2)
    arrays = arrays_of(600, 300)
    np.testing.assert_array_equal(one.H(**arrays), two.H(**arrays))
