"""Which work shares a pass over memory: each test names the case, and checks values through the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from bracketc.ir.build import (
    add,
    broadcast,
    compare,
    einsum,
    multiply,
    ones,
    permute,
    pointwise,
    power,
    reciprocal,
    scale,
    select,
    size,
    subtract,
    tensor,
)
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Linalg, Node, Range, Reduce, Tensor
from bracketc.ir.program import Entry
from bracketc.ir.rewrite import Origin, tensors
from bracketc.plan.folding import FREE_INSTRUCTIONS
from bracketc.plan.interpret import run
from bracketc.plan.plan import PlanOptions, plan
from bracketc.plan.schedule import Contract, Factorise, Map, Schedule, Store
from bracketc.plan.verify import verify

SIZES = {"N": 5, "D": 4, "H": 3, "K": 2}
N, H = Dim.named("N"), Dim.named("H")
X, W, b = tensor("X", "N", "D"), tensor("W", "D", "H"), tensor("b", "H")
Z, U, c = tensor("Z", "N", "K"), tensor("U", "K", "H"), tensor("c", "N")
Z2 = tensor("Z2", "N", "H")
PRODUCT = einsum(1, [(X, "nd"), (W, "dh")], "nh")
BIAS = broadcast(b, (N, H), (1,))


def planned(*roots: Node, names: dict[Node, str] | None = None) -> Schedule:
    """The schedule of ``roots``, checked: verified, and equal in value to the nodes."""
    arguments = tensors(roots)
    entry = Entry("evaluate", arguments, (), tuple((f"r{k}", root) for k, root in enumerate(roots)))
    origins = {node: Origin(name) for node, name in (names or {}).items()}
    schedule = plan([entry], origins).schedule("evaluate")
    verify(schedule)
    noise = np.random.default_rng(0)
    values = {node: noise.uniform(0.5, 1.5, [d.evaluate(SIZES) for d in node.shape]) for node in arguments}
    actual = run(schedule, {node.name: value for node, value in values.items()}, SIZES).results
    for array, reference in zip(actual.values(), interpret(roots, values, SIZES), strict=True):
        np.testing.assert_allclose(array, reference, rtol=1e-12, atol=1e-12)
    return schedule


def stores(schedule: Schedule, step: int | None = None) -> list[Store]:
    """What a step writes, or what all of them write."""
    chosen = schedule.steps if step is None else schedule.steps[step : step + 1]
    return [store for each in chosen if isinstance(each, Contract | Map) for store in each.stores]


def kinds(schedule: Schedule) -> list[str]:
    return [type(step).__name__ for step in schedule.steps]


def operations(step: object) -> list[str]:
    assert isinstance(step, Map | Contract)
    return [i.function or i.operation for i in step.program if i.operation not in ("load", "constant", "size")]


def test_bias_and_activation_ride_on_the_contraction() -> None:
    schedule = planned(pointwise("tanh", add([PRODUCT, BIAS])))
    assert kinds(schedule) == ["Contract"]
    assert operations(schedule.steps[0]) == ["accumulator", "add", "tanh"]


def test_a_bias_that_is_computed_first_does_not_stop_the_epilogue() -> None:
    doubled = broadcast(pointwise("exp", b), (N, H), (1,))
    assert kinds(planned(pointwise("tanh", add([PRODUCT, doubled])))) == ["Map", "Contract"]


def test_an_independent_contraction_that_is_needed_moves_before() -> None:
    context = einsum(1, [(tensor("V", "K", "H"), "kh"), (tensor("v", "K"), "k")], "h")
    shifted = add([PRODUCT, broadcast(pointwise("tanh", context), (N, H), (1,))])
    schedule = planned(pointwise("tanh", shifted))
    assert kinds(schedule) == ["Contract", "Contract"]
    assert [len(step.stores) for step in schedule.steps if isinstance(step, Contract)] == [1, 1]


def test_an_activation_that_is_used_twice_is_one_more_store() -> None:
    before = add([PRODUCT, BIAS])
    schedule = planned(before, pointwise("tanh", before))
    assert kinds(schedule) == ["Contract"]
    assert len(stores(schedule, 0)) == 2


def test_products_that_are_added_accumulate_into_one_tile() -> None:
    other = einsum(2, [(Z, "nk"), (U, "kh")], "nh")
    schedule = planned(pointwise("tanh", add([PRODUCT, other, BIAS])))
    assert kinds(schedule) == ["Contract"]
    (step,) = schedule.steps
    assert isinstance(step, Contract)
    assert [product.coefficient for product in step.products] == [1, 2]
    assert operations(step) == ["accumulator", "add", "tanh"]


def test_a_transposed_product_is_added_under_its_own_labels() -> None:
    other = einsum(1, [(U, "kh"), (Z, "nk")], "hn")
    assert kinds(planned(add([PRODUCT, permute(other, (1, 0))]))) == ["Contract"]


def test_a_product_and_its_own_transpose_are_added_by_a_pass_over_it() -> None:
    left, right = tensor("A", "N", "D"), tensor("B", "D", "N")
    square = einsum(1, [(left, "nd"), (right, "dm")], "nm")
    assert kinds(planned(add([square, permute(square, (1, 0))]))) == ["Contract", "Map"]


def test_a_product_that_is_used_elsewhere_stays_alone() -> None:
    other = einsum(1, [(Z, "nk"), (U, "kh")], "nh")
    schedule = planned(add([PRODUCT, other]), other)
    assert kinds(schedule) == ["Contract", "Contract"]
    assert all(len(step.products) == 1 for step in schedule.steps if isinstance(step, Contract))


def test_the_bias_gradient_falls_out_of_the_pass_that_makes_its_operand() -> None:
    cotangent = multiply(PRODUCT, subtract(ones((N, H)), power(tensor("A", "N", "H"), 2)))
    schedule = planned(einsum(1, [(cotangent, "nh")], "h"), einsum(1, [(X, "nd"), (cotangent, "nh")], "dh"))
    assert kinds(schedule) == ["Contract", "Contract"]
    assert sorted(store.mode for store in stores(schedule, 0)) == ["store", "sum"]


def test_maxima_do_not_ride_on_a_contraction() -> None:
    schedule = planned(Reduce("max", PRODUCT, (1,)))
    assert kinds(schedule) == ["Contract", "Map"]


def test_element_wise_chains_are_one_map() -> None:
    node: Node = Z
    for function in ("exp", "tanh", "sin"):
        node = pointwise(function, add([node, Z]))
    schedule = planned(node)
    assert kinds(schedule) == ["Map"]
    assert operations(schedule.steps[0]) == ["add", "exp", "add", "tanh", "add", "sin"]


def test_an_element_wise_value_with_one_reader_is_never_stored() -> None:
    A = tensor("A", "N", "H")
    activation = pointwise("tanh", A)
    slope = subtract(ones((N, H)), power(activation, 2))
    schedule = planned(activation, multiply(PRODUCT, slope))
    stored = [store.target.name for store in stores(schedule)]
    assert sorted(stored) == ["r0", "r1"]


def test_readers_of_the_same_entries_share_a_pass() -> None:
    A, B = tensor("A", "N", "H"), tensor("B", "N", "H")
    loss = einsum(1, [(A, "nh"), (B, "nh")], "")
    rows = einsum(1, [(A, "nh")], "n")
    schedule = planned(loss, rows, pointwise("exp", A))
    assert kinds(schedule) == ["Map"]
    assert sorted(store.mode for store in stores(schedule, 0)) == ["store", "sum", "sum"]


def test_a_transposed_reader_shares_the_pass() -> None:
    A = tensor("A", "N", "H")
    schedule = planned(pointwise("exp", A), permute(pointwise("tanh", A), (1, 0)))
    assert kinds(schedule) == ["Map"]
    (step,) = schedule.steps
    assert isinstance(step, Map)
    assert {store.labels for store in step.stores} == {(0, 1), (1, 0)}


def test_a_value_and_its_transpose_are_not_computed_twice() -> None:
    square = tensor("A", "N", "N")
    node = pointwise("exp", square)
    schedule = planned(add([node, permute(node, (1, 0))]))
    assert sum(operations(step).count("exp") for step in schedule.steps) == 1
    assert kinds(schedule) == ["Map", "Map"]


def test_a_function_of_a_row_is_not_repeated_along_the_row() -> None:
    node = add([tensor("A", "N", "H"), broadcast(pointwise("exp", c), (N, H), (0,))])
    schedule = planned(pointwise("tanh", node))
    assert kinds(schedule) == ["Map", "Map"]


def test_a_function_of_a_row_is_not_repeated_through_a_cheap_reader() -> None:
    squares = power(pointwise("exp", c), 2)
    for step in planned(multiply(broadcast(squares, (N, H), (0,)), PRODUCT)).steps:
        costly = isinstance(step, Map | Contract) and any(i.operation == "call" for i in step.program)
        assert not costly or (isinstance(step, Map) and len(step.labels) == 1)


def test_cheap_work_on_a_row_adds_up_along_a_chain() -> None:
    chain: Node = c
    for _ in range(3 * FREE_INSTRUCTIONS):
        chain = add([power(chain, 2), c])
    schedule = planned(multiply(broadcast(chain, (N, H), (0,)), Z2))
    widest = max((s for s in schedule.steps if isinstance(s, Map)), key=lambda s: len(s.labels))
    assert len([i for i in widest.program if i.operation not in ("load", "constant")]) <= FREE_INSTRUCTIONS + 1


def test_cheap_work_on_a_row_moves_into_the_pass_over_it() -> None:
    node = add([tensor("A", "N", "H"), broadcast(scale(2, c), (N, H), (0,))])
    assert kinds(planned(pointwise("tanh", node))) == ["Map"]


def test_small_operands_are_broadcast_by_access_alone() -> None:
    schedule = planned(add([tensor("A", "N", "H"), broadcast(c, (N, H), (0,)), BIAS]))
    assert kinds(schedule) == ["Map"]
    (step,) = schedule.steps
    assert isinstance(step, Map)
    assert sorted(access.labels for access in step.operands) == [(0,), (0, 1), (1,)]


def test_transposes_of_operands_are_accesses() -> None:
    schedule = planned(einsum(1, [(permute(X, (1, 0)), "dn"), (tensor("G", "N", "H"), "nh")], "dh"))
    assert kinds(schedule) == ["Contract"]


def test_diagonals_are_accesses() -> None:
    assert kinds(planned(einsum(1, [(tensor("A", "N", "N"), "nn")], ""))) == ["Map"]


def test_a_scaled_product_keeps_one_pass() -> None:
    schedule = planned(einsum(3, [(reciprocal(size(N)), ""), (X, "nd"), (W, "dh")], "nh"))
    assert kinds(schedule) == ["Contract"]
    (step,) = schedule.steps
    assert isinstance(step, Contract)
    assert step.products[0].coefficient == 3 and operations(step)[0] == "accumulator"


def test_a_mean_is_a_sum_and_one_scalar() -> None:
    schedule = planned(einsum(-1, [(reciprocal(size(N)), ""), (X, "nd"), (X, "nd")], ""))
    assert kinds(schedule) == ["Map", "Map"]
    assert [len(step.labels) for step in schedule.steps if isinstance(step, Map)] == [2, 0]


def test_scalars_at_the_end_are_one_record() -> None:
    loss, weights = einsum(1, [(X, "nd"), (X, "nd")], ""), einsum(1, [(W, "dh"), (W, "dh")], "")
    half = scale(0.5, weights)
    schedule = planned(add([scale(2, loss), half]), multiply(loss, weights), pointwise("ln", weights))
    assert kinds(schedule) == ["Map", "Map", "Map"]


def test_logsumexp_and_softmax_are_row_passes_in_a_row() -> None:
    A = tensor("A", "N", "K")
    lse = Reduce("logsumexp", A, (1,))
    shifted = subtract(A, broadcast(lse, A.shape, (0,)))
    loss = einsum(-1, [(tensor("Y", "N", "K"), "nk"), (shifted, "nk")], "")
    schedule = planned(loss, pointwise("exp", shifted))
    assert kinds(schedule) == ["Map"] * 6
    assert all(step.extents[step.labels[0]] is N for step in schedule.steps if isinstance(step, Map) and step.labels)
    assert sum(operations(step).count("exp") for step in schedule.steps) == 1


def test_logsumexp_of_large_and_infinite_rows() -> None:
    A = tensor("A", "N", "K")
    schedule = plan([Entry("evaluate", (A,), (), (("y", Reduce("logsumexp", A, (1,))),))], {}).schedule("evaluate")
    values = np.array([[1000.0, 1000.0], [-np.inf, -np.inf], [-1000.0, 0.0]])
    np.testing.assert_allclose(run(schedule, {"A": values}).results["y"], [1000 + np.log(2), -np.inf, 0.0])


def test_conditions_live_inside_of_a_map() -> None:
    A, B = tensor("A", "N", "H"), tensor("B", "N", "H")
    schedule = planned(select(compare("<", A, B), pointwise("exp", A), B))
    assert kinds(schedule) == ["Map"]


def test_booleans_that_are_results_keep_their_dtype() -> None:
    A = tensor("A", "N", "H")
    mask = compare(">", A, scale(0.9, A))
    schedule = planned(mask, einsum(1, [(mask, "nh"), (A, "nh")], "n"))
    assert [buffer.dtype for _, buffer in schedule.results] == ["boolean", "real"]


def test_labels_as_numbers_are_instructions() -> None:
    schedule = planned(multiply(broadcast(Range(N), (N, H), (0,)), tensor("A", "N", "H")))
    assert kinds(schedule) == ["Map"]
    assert "index" in operations(schedule.steps[0])


def test_what_no_map_can_hold_is_a_buffer() -> None:
    A = tensor("A", "N", "N")
    shifted = add([A, scale(2, Tensor("I", (N, N)))])
    schedule = planned(pointwise("exp", Linalg("inv", (shifted,))))
    assert kinds(schedule) == ["Map", "Factorise", "Map"]
    assert isinstance(schedule.steps[1], Factorise)


def test_programs_stay_short_enough_to_compile() -> None:
    node: Node = c
    for _ in range(1000):
        node = pointwise("sin", node)
    schedule = planned(node)
    assert all(len(step.program) <= 200 for step in schedule.steps if isinstance(step, Map))
    assert len(schedule.steps) < 10


def test_fusion_changes_no_flops_and_saves_bytes() -> None:
    node = pointwise("tanh", add([PRODUCT, BIAS]))
    entry = Entry("evaluate", (X, W, b), (), (("Z", node),))
    fused = plan([entry], {}).schedule("evaluate")
    plain = plan([entry], {}, (), PlanOptions(fuse=False)).schedule("evaluate")
    assert fused.flops is plain.flops
    assert fused.bytes.evaluate(SIZES) < plain.bytes.evaluate(SIZES)


@pytest.mark.parametrize("function", ["exp", "tanh"])
def test_names_and_brackets_come_from_the_source(function: str) -> None:
    node = pointwise(function, add([PRODUCT, BIAS]))
    schedule = planned(einsum(1, [(node, "nh")], "h"), einsum(1, [(node, "nh"), (node, "mh")], "nm"), names={node: "Z"})
    assert schedule.steps[0].bracket == f"Z_nh = {function}((X_nd W_dh | nh) + b_h); r0_h = sum(Z_nh)"
    assert schedule.steps[1].bracket == "r1_ni = (Z_nh Z_ih | ni)"
