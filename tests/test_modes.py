"""Jacobians and Hessians in the cheapest mode: never more flops than forward or reverse mode, the same values."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from modelcases import MODELS, arrays_of, sizes_of

import bracketc as bc
from bracketc import compiler
from bracketc.ir.interpret import interpret
from bracketc.ir.program import Program, Request
from bracketc.options import Options
from bracketc.plan.explain import explain
from bracketc.plan.interpret import run
from bracketc.plan.schedule import Schedule


def _schedules(program: Program) -> tuple[dict[str, Schedule], compiler.Stages]:
    """Schedules that have a choice, each checked to take no more flops than the cheapest mode as it is."""
    done = compiler.stages(program, Options(verify=True))
    found = {}
    for schedule, entry in zip(done.plan.schedules, done.entries, strict=True):
        assert bool(schedule.modes) == bool(entry.candidates)
        if schedule.modes:
            assert schedule.flops.evaluate(done.plan.hints) <= min(flops for _, flops in schedule.modes), entry.name
            found[entry.name] = schedule
    return found, done


def _check_values(program: Program, done: compiler.Stages, schedule: Schedule) -> None:
    """Every candidate of an entry, and its schedule, give the same numbers."""
    entry = next(entry for entry in done.entries if entry.name == schedule.entry)
    sizes, arrays = sizes_of(program), arrays_of(program)
    values = {argument: arrays[argument.name] for argument in entry.arguments}
    planned = list(run(schedule, arrays, sizes).results.values())
    for candidate in entry.candidates:
        for found, expected in zip(interpret(candidate.nodes, values, sizes), planned, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10, err_msg=candidate.mode)


def _chain(seed: int) -> tuple[str, list[int], bool]:
    """The source of a chain of layers, its widths, and whether it is linear."""
    rng = random.Random(seed)
    widths = [rng.choice((1, 2, 3, 5, 8, 20, 50)) for _ in range(rng.randint(2, 7))]
    linear = rng.random() < 0.5
    lines = [f"input x : {widths[0]}"]
    value = "x"
    for k, (before, after) in enumerate(pairwise(widths), 1):
        lines.insert(0, f"param A{k} : {after}, {before}")
        lines.append(f"Z{k} = " + (f"A{k} @ {value}" if linear else f"{rng.choice(('tanh', 'sin'))}(A{k} @ {value})"))
        value = f"Z{k}"
    return "\n".join([*lines, f"jacobian {value} wrt x"]), widths, linear


@pytest.mark.parametrize("seed", range(200))
def test_a_chain_costs_no_more_than_the_cheaper_mode(seed: int) -> None:
    source, widths, linear = _chain(seed)
    program = bc.parse(source)
    found, done = _schedules(program)
    schedule = found[f"jacobian_Z{len(widths) - 1}_x"]
    if linear:  # the first product of each mode is with an identity
        forward = sum(2 * widths[k] * widths[k + 1] * widths[0] for k in range(1, len(widths) - 1))
        reverse = sum(2 * widths[k] * widths[k - 1] * widths[-1] for k in range(1, len(widths) - 1))
        assert schedule.flops.evaluate(done.plan.hints) <= min(forward, reverse)
    else:  # the chain itself, slopes of a few operations an entry, and each product with its slopes
        once = done.plan.schedule("evaluate").flops.evaluate(done.plan.hints) + 8 * sum(widths)
        pairs = list(pairwise(widths))
        forward = sum((2 * before * after * (k > 0) + after) * widths[0] for k, (before, after) in enumerate(pairs))
        reverse = sum((2 * before * after * (k < len(pairs) - 1) + after) * widths[-1] for k, (before, after) in enumerate(pairs))
        slopes = widths[0] * widths[1] + widths[-1] * widths[-2]
        assert schedule.flops.evaluate(done.plan.hints) <= min(forward, reverse) + once + slopes
    if seed % 10 == 0:
        _check_values(program, done, schedule)


@pytest.mark.parametrize("model", MODELS)
def test_models_have_second_derivatives_in_the_cheaper_mode(model: str) -> None:
    program = bc.load(MODELS[model])
    first = next(request for request in program.requests if request.kind == "gradient")
    blocks = [(name,) for name in first.wrt] + list(pairwise(first.wrt))
    requests = tuple(Request("hessian", first.output, wrt) for wrt in blocks)
    program = replace(program, requests=requests)
    found, done = _schedules(program)
    twins = {entry.twin for entry in done.entries}
    assert len([name for name in found if name not in twins]) == len(requests)
    for schedule in found.values():
        _check_values(program, done, schedule)


def test_the_explanation_names_the_mode_and_the_cost_of_the_others() -> None:
    program = bc.parse("param A : 50, 50\nparam B : 2, 50\ninput x : 50\ny = tanh(B @ tanh(A @ x))\njacobian y wrt x")
    done = compiler.stages(program, Options())
    explained = next(e for e in explain(done.plan) if e.entry == "jacobian_y_x")
    assert {mode for mode, _ in explained.modes} == {"forward", "reverse"}
    costs = dict(explained.modes)
    assert costs["reverse"] < costs["forward"] and explained.flops_at_hints <= costs["reverse"]
    assert explained.notes[0].startswith("mode: ")
    for mode, flops in costs.items():
        assert f"{mode} as it is takes {flops} flops" in explained.notes[0]


def test_several_results_of_one_request_share_a_mode() -> None:
    program = bc.parse("param A : 4, 3\ninput x : 3\ny = tanh(A @ x)\njacobian y wrt A, x as slopes")
    found, done = _schedules(program)
    assert [name for name, _ in found["slopes"].results] == ["A_factor1", "A_factor2", "x"]
    _check_values(program, done, found["slopes"])


@pytest.mark.parametrize("model", MODELS)
def test_a_product_with_the_hessian_costs_at_most_three_gradients(model: str) -> None:
    program = bc.load(MODELS[model])
    first = next(request for request in program.requests if request.kind == "gradient")
    requests = (first, *(Request("hvp", first.output, (name,)) for name in first.wrt))
    planned = compiler.stages(replace(program, requests=requests), Options()).plan
    slope = planned.schedule("value_and_grad").flops.evaluate(planned.hints)
    products = [schedule for schedule in planned.schedules if schedule.entry.startswith("hvp")]
    assert len(products) == len(first.wrt)
    for schedule in products:
        assert schedule.flops.evaluate(planned.hints) <= 3 * slope, schedule.entry


def test_jacobians_in_definitions_are_planned_in_both_modes() -> None:
    """By its size the first Jacobian goes backwards, though forwards is cheaper: the widths between are what counts."""
    source = "param A : 4, 5\nparam B : 90, 4\nparam C : 4, 90\ninput x : 5\n"
    source += "h = tanh(C @ tanh(B @ tanh(A @ x)))\nQ = Jac[x](h)\nS = norm2(Q)\noutput Q, S\nhessian S wrt A"
    program = bc.parse(source)
    done = compiler.stages(program, Options(verify=True))
    for name in ("evaluate", "hessian_S_A"):
        schedule = done.plan.schedule(name)
        assert {mode.endswith("definitions in the other mode") for mode, _ in schedule.modes} == {False, True}
        assert schedule.flops.evaluate(done.plan.hints) <= min(flops for _, flops in schedule.modes)
        _check_values(program, done, schedule)
