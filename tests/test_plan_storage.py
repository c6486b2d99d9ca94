"""The order in which intermediates lie in memory: along what their readers walk, never at the price of their meaning."""

from __future__ import annotations

import numpy as np
import pytest

import bracketc as bc
from bracketc.compiler import stages
from bracketc.ir.program import Program
from bracketc.options import Options
from bracketc.plan.interpret import run
from bracketc.plan.schedule import Buffer, Contract, Loop, Map, Schedule
from bracketc.plan.storage import arranged
from bracketc.plan.verify import verify

ATTENTION = """
dim B ~ 8, T ~ 64, H ~ 4, E ~ 16
input Q : B, T, H, E
input K : B, T, H, E
S = (Q_bthe K_bkhe | ktbh)
m = (max[k](S_ktbh) | bht)
F = (sum[k]((exp(S_ktbh - m_bht))**2) | bht)
output F
"""

NETWORK = """
dim N ~ 128, D ~ 64, H ~ 256
input X : N, D
param g : D
param W : D, H
L = (g_d X_nd | dn)
F = (L_dn W_dh | nh)
output F
"""


def schedule_of(source: str) -> tuple[Program, Schedule]:
    program = bc.parse(source)
    return program, stages(program, Options(verify=True)).plan.schedule("evaluate")


def intermediates(schedule: Schedule) -> list[Buffer]:
    results = {buffer for _, buffer in schedule.results}
    made = [s.target for step in schedule.steps if isinstance(step, Map | Contract) for s in step.stores]
    return [buffer for buffer in dict.fromkeys(made) if buffer not in results]


def axes(buffer: Buffer) -> list[str]:
    return [str(extent) for extent in buffer.shape]


def test_scores_of_attention_lie_along_the_positions_that_the_softmax_runs_over() -> None:
    _, schedule = schedule_of(ATTENTION)
    scores = next(buffer for buffer in intermediates(schedule) if buffer.rank == 4)
    assert axes(scores)[-1] == "T"


def test_an_intermediate_lies_as_the_argument_that_it_is_made_of() -> None:
    _, schedule = schedule_of(NETWORK)
    (level,) = intermediates(schedule)
    assert axes(level) == ["N", "D"]


def test_results_and_arguments_keep_the_order_of_their_axes() -> None:
    program, schedule = schedule_of(ATTENTION.replace("output F", "output F, S"))
    shapes = {name: buffer.shape for name, buffer in schedule.results}
    assert shapes == {name: spec.shape for name, spec in program.outputs.items()}
    assert {buffer.name: buffer.shape for buffer in schedule.arguments} == {n: s.shape for n, s in program.inputs.items()}


@pytest.mark.parametrize("source", [ATTENTION, NETWORK])
def test_the_order_of_axes_changes_no_value(source: str) -> None:
    program, schedule = schedule_of(source)
    sizes = {"B": 2, "T": 5, "H": 3, "E": 4, "N": 6, "D": 7}
    rng = np.random.default_rng(0)
    values = {n: rng.normal(size=[d.evaluate(sizes) for d in s.shape]) for n, s in program.inputs.items()}
    found = run(schedule, values, sizes).results["F"]
    np.testing.assert_allclose(found, bc.compile(program, backend="numpy").evaluate(**values).F, rtol=1e-12)


def test_arranged_again_nothing_moves() -> None:
    program, schedule = schedule_of(ATTENTION)
    plan = stages(program, Options()).plan
    from bracketc.plan.hints import Hints

    fixed = [buffer for _, buffer in schedule.results]
    assert arranged(schedule.steps, fixed, Hints(plan.hints)) == schedule.steps


def test_states_of_a_recurrence_keep_their_order_and_what_a_step_makes_for_itself_may_move() -> None:
    source = """
dim T ~ 20, N ~ 32, H ~ 64
input X : T, N, H
input Z0 : N, H
param W : H, H
Z[0] = Z0
A[t] = (X[t]_nh W_kh | kn) for t = 1..T
Z[t] = (tanh(Z[t-1]_nk + W_kk) exp(A[t]_kn) | nk) for t = 1..T
F = (Z[T]_nh | n)
output F
"""
    _, schedule = schedule_of(source)
    verify(schedule)
    for step in schedule.steps:
        if isinstance(step, Loop):
            assert [axes(carry.before) for carry in step.carries] == [axes(carry.initial) for carry in step.carries]
