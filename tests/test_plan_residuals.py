"""What forward saves for backward: the fewest bytes, and nothing costly computed twice."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_ir import SIZES, random_graph

from bracketc.calculus.requests import entries
from bracketc.errors import Source
from bracketc.ir.build import add, broadcast, einsum, multiply, pointwise, project, tensor
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Entry, Program, Request, SizeSpec
from bracketc.ir.recurrence import recurrence
from bracketc.ir.rewrite import Origin, tensors
from bracketc.plan.interpret import run
from bracketc.plan.mincut import minimum_cut
from bracketc.plan.plan import plan
from bracketc.plan.schedule import Contract, Loop, Plan
from bracketc.plan.verify import verify

X, W, b = tensor("X", "N", "D"), tensor("W", "D", "H"), tensor("b", "H")
N, H = Dim.named("N"), Dim.named("H")
PRODUCT = einsum(1, [(X, "nd"), (W, "dh")], "nh")
SHIFTED = add([PRODUCT, broadcast(b, (N, H), (1,))])
NAMES = {PRODUCT: Origin("P"), SHIFTED: Origin("A")}


def gradient_plan(loss: Node, origins: dict[Node, Origin] | None = None, sizes: tuple[SizeSpec, ...] = ()) -> Plan:
    """All entries of ``loss`` with the gradient of every argument; forward and backward agree with value_and_grad."""
    arguments = tensors([loss])
    real = tuple(t.name for t in arguments if t.dtype == "real")
    program = Program(
        Source(""),
        sizes,
        arguments,
        dict.fromkeys((t.name for t in arguments), "param"),
        (("J", loss),),
        (("J", loss),),
        (Request("gradient", "J", real),),
        origins or {},
    )
    planned = plan(entries(program), origins or {}, sizes)
    for schedule in planned.schedules:
        verify(schedule)
    return planned


def squares(node: Node) -> Node:
    labels = tuple(range(node.rank))
    return einsum(0.5, [(node, labels), (node, labels)], ())


def saved_by(planned: Plan) -> list[str]:
    return [buffer.name for buffer in planned.schedule("forward").residuals]


@pytest.mark.parametrize(
    "loss, expected",
    [
        (squares(SHIFTED), ["A"]),
        (squares(pointwise("relu", SHIFTED)), ["A"]),
        (einsum(1, [(multiply(X, X), "nd")], ""), []),
        (einsum(1, [(PRODUCT, "nh")], ""), []),
    ],
)
def test_the_least_is_saved(loss: Node, expected: list[str]) -> None:
    assert saved_by(gradient_plan(loss, NAMES)) == expected


def test_an_activation_is_saved_and_its_slope_computed_again() -> None:
    activation = pointwise("tanh", SHIFTED)
    planned = gradient_plan(squares(activation), {**NAMES, activation: Origin("Z")})
    assert saved_by(planned) == ["Z"]
    assert "saves Z (N × H) for backward" in planned.schedule("forward").notes
    work = [i.function for step in planned.schedule("backward").steps for i in getattr(step, "program", ())]
    assert "tanh" not in work


def test_backward_runs_no_contraction_of_forward() -> None:
    planned = gradient_plan(squares(pointwise("tanh", SHIFTED)), NAMES)
    contracts = [step for step in planned.schedule("backward").steps if isinstance(step, Contract)]
    assert len(contracts) == 2  # the gradients of W and of X


def test_backward_runs_no_loop_of_forward() -> None:
    steps, start, weight = tensor("x", "T", "H"), tensor("z0", "H"), tensor("V", "H", "H")
    z, x, v = Tensor("%z", start.shape), Tensor("%x", start.shape), Tensor("%v", weight.shape)
    new = pointwise("tanh", add([einsum(1, [(z, "h"), (v, "hk")], "k"), x]))
    loop = recurrence(Dim.named("T"), [(z, start, new)], [(x, steps)], [(v, weight)], [new])
    planned = gradient_plan(squares(project(loop, 1)))
    assert [step.reverse for step in planned.schedule("forward").steps if isinstance(step, Loop)] == [False]
    assert [step.reverse for step in planned.schedule("backward").steps if isinstance(step, Loop)] == [True]


def test_a_residual_that_is_a_result_has_a_buffer_of_its_own() -> None:
    activation = pointwise("tanh", SHIFTED)
    bar = tensor("bar_Z", "N", "H")
    slope = add([broadcast(tensor("s"), (N, H), ()), multiply(activation, activation)])
    forward = Entry("forward", (X, W, b), (), (("Z", activation),))
    backward = Entry("backward", (X, W, b, tensor("s")), (bar,), (("A", multiply(bar, slope)),))
    planned = plan([forward, backward], {activation: Origin("Z")})
    schedule = planned.schedule("forward")
    verify(schedule)
    assert schedule.residuals and schedule.residuals[0] not in [buffer for _, buffer in schedule.results]
    assert len(schedule.steps) == 1 and len(schedule.steps[0].stores) == 2  # type: ignore[union-attr]
    assert [r.name for r in planned.schedule("backward").residuals] == [r.name for r in schedule.residuals]


@pytest.mark.parametrize("seed", range(60))
def test_backward_from_residuals_is_value_and_grad(seed: int) -> None:
    roots, values = random_graph(seed, 14, 3)
    loss = add([einsum(1, [(root, range(root.rank))], ()) for root in roots])
    arguments = tensors([loss])
    if not any(t.dtype == "real" for t in arguments):
        return
    planned = gradient_plan(loss)
    given_values = {t.name: values[t] for t in arguments}
    expected = run(planned.schedule("value_and_grad"), given_values, SIZES).results
    forward = run(planned.schedule("forward"), given_values, SIZES)
    backward = run(planned.schedule("backward"), {**given_values, **forward.residuals, "bar_J": 1.0}, SIZES)
    np.testing.assert_allclose(forward.results["J"], interpret([loss], {t: values[t] for t in arguments}, SIZES)[0])
    for name, array in backward.results.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-7, atol=1e-7, err_msg=name)


# ------------------------------------------------------------------------------------------------ minimum cut
@given(st.data())
def test_minimum_cut_is_minimal(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 7))
    nodes = list(range(count))
    pairs = [(i, j) for i in nodes for j in nodes if i < j]
    edges = data.draw(st.lists(st.sampled_from(pairs), max_size=12, unique=True))
    weights = {node: data.draw(st.integers(0, 5)) for node in nodes}
    sources = data.draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3, unique=True))
    sinks = data.draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3, unique=True))

    def cuts(chosen: set[int]) -> bool:
        reached = {node for node in sources if node not in chosen}
        for i, j in sorted(edges):
            if i in reached and j not in chosen:
                reached.add(j)
        return not reached & set(sinks)

    found = minimum_cut(nodes, edges, weights, sources, sinks)
    subsets = chain.from_iterable(combinations(nodes, size) for size in range(count + 1))
    best = min(sum(weights[node] for node in subset) for subset in subsets if cuts(set(subset)))
    assert cuts(found) and sum(weights[node] for node in found) == best


def test_of_equal_cuts_the_one_nearest_to_the_sinks() -> None:
    assert minimum_cut("abc", [("a", "b"), ("b", "c")], {"a": 2, "b": 2, "c": 2}, ["a"], ["c"]) == {"c"}
