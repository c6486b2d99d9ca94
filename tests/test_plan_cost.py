"""Flops and orders: counted exactly for known cases, and never more than plain reverse mode."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from bracketc.calculus.requests import entries
from bracketc.errors import Source
from bracketc.ir.build import add, broadcast, einsum, pointwise, tensor
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Entry, Program, Request, SizeSpec
from bracketc.ir.rewrite import tensors
from bracketc.plan.hints import DEFAULT_BATCH, DEFAULT_SIZE, Hints, choose_hints
from bracketc.plan.interpret import run
from bracketc.plan.paths import path, path_cost
from bracketc.plan.plan import PlanOptions, plan
from bracketc.plan.schedule import Contract, Schedule
from bracketc.plan.verify import verify

WIDTHS = (10, 16, 32, 64, 100, 256, 512, 1024)


def schedule_of(*roots: Node, hints: dict[str, int] | None = None, options: PlanOptions | None = None) -> Schedule:
    entry = Entry("evaluate", tensors(roots), (), tuple((f"r{k}", root) for k, root in enumerate(roots)))
    sizes = [SizeSpec(name, None, number) for name, number in (hints or {}).items()]
    schedule = plan([entry], {}, sizes, options).schedule("evaluate")
    verify(schedule)
    return schedule


# ------------------------------------------------------------------------------------------------ flops
A, B, x = tensor("A", "I", "J"), tensor("B", "J", "K"), tensor("x", "K")


@pytest.mark.parametrize(
    "node, expected",
    [
        (einsum(1, [(A, "ij"), (B, "jk")], "ik"), "2 I J K"),
        (einsum(2, [(A, "ij"), (B, "jk")], "ik"), "2 I J K + I K"),
        (einsum(1, [(A, "ij"), (B, "jk"), (x, "k")], "i"), "2 I J + 2 J K"),
        (einsum(1, [(A, "ij"), (A, "ij")], ""), "2 I J"),
        (einsum(1, [(A, "ij")], "i"), "I J"),
        (einsum(1, [(A, "ij")], "ji"), "0"),
        (einsum(1, [(tensor("u", "I"), "i"), (x, "k")], "ik"), "I K"),
        (pointwise("tanh", add([A, A])), "2 I J"),
        (broadcast(pointwise("exp", x), (Dim.named("I"), Dim.named("K")), (1,)), "K"),
    ],
)
def test_flops_are_counted_exactly(node: Node, expected: str) -> None:
    assert str(schedule_of(node).flops) == expected


def test_work_outside_of_a_loop_is_counted_once() -> None:
    scaled = einsum(1, [(pointwise("exp", x), "k"), (B, "jk")], "jk")
    assert str(schedule_of(scaled).flops) == "J K + K"


# ------------------------------------------------------------------------------------------------ paths
def test_a_vector_is_multiplied_first() -> None:
    assert path(((0, 1), (1, 2), (2,)), (0,), (1000, 1000, 1000)) == ((1, 2), (0, 1))


@pytest.mark.parametrize("count", [3, 5, 8, 12])
def test_chains_of_matrices_are_ordered_optimally(count: int) -> None:
    rng = random.Random(count)
    extents = tuple(rng.choice(WIDTHS) for _ in range(count + 1))
    factors = tuple((k, k + 1) for k in range(count))
    best = [[0] * (count + 1) for _ in range(count + 1)]  # the textbook recursion over intervals
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            j = i + length
            best[i][j] = min(
                best[i][k] + best[k][j] + 2 * extents[i] * extents[k] * extents[j] for k in range(i + 1, j)
            )
    order = path(factors, (0, count), extents)
    assert path_cost(factors, (0, count), extents, order)[0] == best[0][count]


def test_long_products_are_planned_without_search() -> None:
    factors = tuple((k, k + 1) for k in range(60))
    order = path(factors, (0, 60), tuple(10 + k % 7 for k in range(61)))
    assert len(order) == 59 and order == path(factors, (0, 60), tuple(10 + k % 7 for k in range(61)))


# ------------------------------------------------------------------------------------------------ chains
def linear_chain(rng: random.Random) -> tuple[Node, dict[str, int]]:
    """((((X W1) W2) …) v), every product with one use, in the order of plain forward evaluation."""
    depth = rng.randint(2, 10)
    sizes = {f"D{k}": rng.choice(WIDTHS) for k in range(depth + 1)}
    node: Node = tensor("X", "D0", "D1")
    for k in range(1, depth):
        node = einsum(1, [(node, "ij"), (tensor(f"W{k}", f"D{k}", f"D{k + 1}"), "jk")], "ik")
    if rng.random() < 0.5:
        node = einsum(1, [(node, "ij"), (tensor("v", f"D{depth}"), "j")], "i")
    return node, sizes


def network(rng: random.Random) -> tuple[Program, dict[str, int]]:
    """A network with a loss, its layers linear or not, and the gradient of all weights."""
    depth = rng.randint(2, 8)
    sizes = {"N": rng.choice(WIDTHS)} | {f"D{k}": rng.choice(WIDTHS) for k in range(depth + 1)}
    inputs = tensor("X", "N", "D0")
    weights: list[Tensor] = []
    node: Node = inputs
    for k in range(depth):
        weights.append(tensor(f"W{k}", f"D{k}", f"D{k + 1}"))
        node = einsum(1, [(node, "nh"), (weights[-1], "hk")], "nk")
        if rng.random() < 0.6:
            node = pointwise(rng.choice(("tanh", "sigmoid", "relu")), node)
    loss = einsum(0.5, [(node, "nk"), (node, "nk")], "")
    arguments = (inputs, *weights)
    specs = tuple(SizeSpec(name, None, number) for name, number in sizes.items())
    request = Request("gradient", "J", tuple(weight.name for weight in weights))
    kinds = dict.fromkeys((t.name for t in arguments), "param")
    return Program(Source(""), specs, arguments, kinds, (("J", loss),), (("J", loss),), (request,)), sizes  # type: ignore[arg-type]


def contraction_flops(schedule: Schedule, sizes: dict[str, int]) -> int:
    total = 0
    for step in schedule.steps:
        if isinstance(step, Contract):
            for product in step.products:
                labels = {*product.left.labels, *product.right.labels}
                total += 2 * int(np.prod([step.extents[label].evaluate(sizes) for label in labels], dtype=object))
    return total


@pytest.mark.parametrize("seed", range(100))
def test_chains_never_take_more_flops_than_as_written(seed: int) -> None:
    node, sizes = linear_chain(random.Random(seed))
    planned = schedule_of(node, hints=sizes)
    written = schedule_of(node, hints=sizes, options=PlanOptions(reassociate=False))
    assert planned.flops.evaluate(sizes) <= written.flops.evaluate(sizes) <= planned.baseline


@pytest.mark.parametrize("seed", range(100))
def test_networks_never_take_more_flops_than_reverse_mode(seed: int) -> None:
    program, sizes = network(random.Random(seed))
    widths = [sizes[f"D{k}"] for k in range(len(sizes) - 1)]
    products = [2 * sizes["N"] * a * b for a, b in pairwise(widths)]
    reverse = 3 * sum(products) - products[0]  # forward, gradients of weights, gradients of layers but the first
    planned = plan(entries(program), {}, program.sizes)
    for schedule in planned.schedules:
        verify(schedule)
        assert schedule.flops.evaluate(sizes) <= schedule.baseline
    assert contraction_flops(planned.schedule("value_and_grad"), sizes) <= reverse


def test_a_shared_intermediate_is_not_multiplied_out() -> None:
    product = einsum(1, [(A, "ij"), (B, "jk")], "ik")
    twice = [einsum(1, [(product, "ik"), (tensor(name, "K"), "k")], "i") for name in ("u", "v")]
    schedule = schedule_of(*twice, hints={"I": 50, "J": 50, "K": 50})
    assert [len(step.products) for step in schedule.steps if isinstance(step, Contract)] == [1, 1, 1]


def test_a_vector_at_the_end_of_a_chain_turns_it_around() -> None:
    node: Node = einsum(1, [(A, "ij"), (B, "jk")], "ik")
    node = einsum(1, [(node, "ik"), (x, "k")], "i")
    schedule = schedule_of(node, hints={"I": 50, "J": 60, "K": 70})
    assert str(schedule.flops) == "2 I J + 2 J K"
    assert "in another order" in schedule.notes[0]


def test_sums_over_repeated_labels_survive_reassociation() -> None:
    spread = einsum(1, [(A, "ij"), (tensor("u", "J"), "j")], "im", {"m": Dim.named("M")})
    node = einsum(1, [(spread, "im"), (tensor("v", "I"), "i")], "")
    sizes = {"I": 3, "J": 4, "M": 5}
    noise = np.random.default_rng(0)
    values = {t: noise.normal(size=[d.evaluate(sizes) for d in t.shape]) for t in tensors([node])}
    result = run(schedule_of(node, hints=sizes), {t.name: v for t, v in values.items()}, sizes).results["r0"]
    np.testing.assert_allclose(result, interpret([node], values, sizes)[0])


# ------------------------------------------------------------------------------------------------ hints
def test_hints_come_from_the_source_then_from_the_documented_defaults() -> None:
    specs = (SizeSpec("K", 10), SizeSpec("D", None, 50))
    found = choose_hints(specs, (tensor("X", "N", "D"), tensor("W", "D", "H"), tensor("V", "H", "K")))
    assert found.numbers == {"D": 50, "H": DEFAULT_SIZE, "K": 10, "N": DEFAULT_BATCH}
    assert Hints({"N": 3}).of(2 * Dim.named("N") - 10) == 0
