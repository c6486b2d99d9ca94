"""Schedules of random graphs give what the tensor interpreter gives, planned in every way."""

from __future__ import annotations

import numpy as np
import pytest
from random_ir import SIZES, random_graph

from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Entry
from bracketc.ir.rewrite import tensors
from bracketc.plan.interpret import run
from bracketc.plan.plan import PlanOptions, plan
from bracketc.plan.verify import verify

PLANS = {
    "as written": PlanOptions(fuse=False, reassociate=False),
    "reassociated": PlanOptions(fuse=False),
    "fused": PlanOptions(reassociate=False),
    "not arranged": PlanOptions(arrange=False),
    "default": PlanOptions(),
}


def entry_of(roots: tuple[Node, ...], name: str = "evaluate") -> Entry:
    return Entry(name, tensors(roots), (), tuple((f"r{k}", root) for k, root in enumerate(roots)))


@pytest.mark.parametrize("way", PLANS)
@pytest.mark.parametrize("seed", range(60))
def test_schedule_computes_what_the_nodes_mean(seed: int, way: str) -> None:
    roots, values = random_graph(seed, count=14, roots=4)
    used = {node: values[node] for node in tensors(roots)}
    schedule = plan([entry_of(roots)], {}, (), PLANS[way]).schedule("evaluate")
    verify(schedule)
    expected = interpret(roots, used, SIZES)
    actual = run(schedule, {node.name: value for node, value in used.items()}, SIZES).results
    for (name, array), reference in zip(actual.items(), expected, strict=True):
        assert array.shape == reference.shape and array.dtype == reference.dtype, name
        np.testing.assert_allclose(array, reference, rtol=1e-8, atol=1e-8, err_msg=name)


def test_a_result_may_be_an_argument_or_another_result() -> None:
    x = Tensor("x", ())
    schedule = plan([Entry("evaluate", (x,), (), (("a", x), ("b", x)))], {}).schedule("evaluate")
    assert len({buffer for _, buffer in schedule.results} - set(schedule.arguments)) == 2
    assert run(schedule, {"x": 3.0}).results == {"a": 3.0, "b": 3.0}
