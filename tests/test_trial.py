"""Two tensors compared by numbers: which sizes and points are drawn, and what a distance between the sides says."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

import bracketc as bc
from bracketc.errors import SourceError
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node
from bracketc.ir.program import Program
from bracketc.proof import trial as trials
from bracketc.proof.samples import draw, draw_arguments, draw_sizes, settle, tempered, with_traits
from bracketc.proof.trial import Point, counterexample, evaluate, evaluate_precisely, precise_trial, trial


def program(head: str, *results: str) -> tuple[Program, list[Node]]:
    text = "".join(f"{line}\n" for line in [*head.split("; "), *(f"r{k} = {result}" for k, result in enumerate(results))])
    read = bc.parse(text)
    known = {**dict(read.definitions), **dict(read.results)}
    return read, [known[f"r{k}"] for k in range(len(results))]


def sides(head: str, left: str, right: str) -> tuple[Node, Node, Program]:
    read, (first, second) = program(head, left, right)
    return first, second, read


def point(left: float, right: float, largest: float) -> Point:
    return Point({}, {}, np.asarray([left]), np.asarray([right]), largest)


def decimals(left: str, right: str) -> Point:
    first, second = (np.array([Decimal(text)], dtype=object) for text in (left, right))
    return Point({}, {}, first, second, 0.0, True)


# ------------------------------------------------------------------------------------------------- what a point says
@pytest.mark.parametrize(
    ("left", "right", "largest", "outcome"),
    [
        (1.0, 1.0, 1.0, "agree"),
        (1.0, 1.0 + 9e-13, 1.0, "agree"),
        (1.0, 1.0 + 3e-12, 1.0, "doubt"),
        (1.0, 1.0 + 3e-12, 10.0, "agree"),  # what is lost on the way to a side is not held against it
        (1.0, 1.0009, 1.0, "doubt"),
        (1.0, 1.0012, 1.0, "differ"),
        (-1.0, -1.0012, 1.0, "differ"),
        (1.0, -1.0, 1.0, "differ"),
        (1e-9, 2e-9, 1.0, "doubt"),  # next to 1 they may be rounding
        (1e-7, 2e-7, 1.0, "differ"),
        (1e-9, 2e-9, 0.01, "differ"),
        (0.0, 0.0, 0.0, "agree"),
    ],
)
def test_what_a_distance_says(left: float, right: float, largest: float, outcome: str) -> None:
    assert point(left, right, largest).outcome == point(right, left, largest).outcome == outcome


def test_the_scale_is_the_largest_entry_of_the_larger_side() -> None:
    found = Point({}, {}, np.array([1.0, -3.0]), np.array([2.0, -1.0]), 0.0)
    assert (found.scale, found.distance) == (3.0, 2.0)
    nothing = Point({}, {}, np.zeros((0, 2)), np.zeros((0, 2)), 0.0)
    assert (nothing.scale, nothing.distance, nothing.outcome) == (0.0, 0.0, "agree")


@pytest.mark.parametrize(
    ("left", "right", "outcome"),
    [
        ("1", "1", "agree"),
        ("1", "1.0000000000000000000000000000001", "differ"),  # 1e-31
        ("1", f"1.{'0' * 79}1", "agree"),
        ("1e900", "1.1e900", "differ"),  # beyond every float
        ("1e900", f"1.{'0' * 79}1e900", "agree"),
        ("0", "1e-80", "agree"),
        ("0", "1e-20", "differ"),
    ],
)
def test_decimals_agree_to_their_digits(left: str, right: str, outcome: str) -> None:
    assert decimals(left, right).outcome == decimals(right, left).outcome == outcome


def test_decimals_agree_relative_to_the_largest_entry() -> None:
    left, right = (np.array([Decimal("1e50"), Decimal(text)], dtype=object) for text in ("1", f"1.{'0' * 39}1"))
    assert Point({}, {}, left, right, 0.0, True).outcome == "agree"


def test_decimals_without_entries_agree() -> None:
    nothing = np.zeros((0,), dtype=object)
    assert Point({}, {}, nothing, nothing, 0.0, True).outcome == "agree"


# ------------------------------------------------------------------------------------------------- trials
VECTORS = "dim N; input x : N; input y : N"


def test_equal_sides_agree_at_as_many_points_as_are_asked_for() -> None:
    found = trial(*sides(VECTORS, "(x + y) · (x - y)", "x · x - y · y"))
    assert (found.outcome, len(found.points)) == ("agree", trials.DRAWS)
    assert all(p.outcome == "agree" for p in found.points)
    assert len({p.left.tobytes() for p in found.points}) == trials.DRAWS


def test_different_sides_differ_at_the_last_point() -> None:
    found = trial(*sides(VECTORS, "x · y", "x · y + x · x"))
    assert found.outcome == "differ" and found.points[-1].outcome == "differ"
    assert [p.outcome for p in found.points[:-1]] == ["agree"] * (len(found.points) - 1)


def test_sides_without_a_value_are_undefined() -> None:
    first, second, read = sides(VECTORS, "ln(-exp(x))", "2 ln(-exp(x))")
    assert trial(first, second, read).outcome == "undefined" == precise_trial(first, second, read).outcome
    assert trial(first, second, read).points == ()


def test_every_third_draw_is_positive_so_that_roots_have_values() -> None:
    found = trial(*sides(VECTORS, "sqrt(x) ⊙ sqrt(y)", "sqrt(x ⊙ y)"))
    assert found.outcome == "agree"
    assert all(np.all(array > 0.4) for p in found.points for array in p.arrays.values())


def test_the_third_of_three_draws_is_positive() -> None:
    first, second, read = sides(VECTORS, "x + y", "y + x")
    found = trial(first, second, read)
    positive = [all(np.all(array >= 0.5) for array in p.arrays.values()) for p in found.points]
    assert positive == [False, False, True, False]
    (tensor, _) = read.arguments
    drawn = [trials._decimal_draw(tensor, {"N": 30}, np.random.default_rng(0), attempt) for attempt in range(6)]
    assert [bool(np.all(array >= 0.5)) for array in drawn] == [False, False, True, False, False, True]


def test_a_small_difference_is_in_doubt_until_it_is_computed_precisely() -> None:
    first, second, read = sides("input a : scalar", "a", "a + 1e-5 a")
    assert trial(first, second, read).outcome == "doubt"
    assert precise_trial(first, second, read).outcome == "differ"
    assert precise_trial(first, first, read).outcome == "agree"
    assert len(precise_trial(first, first, read).points) == trials.PRECISE_DRAWS


def test_a_point_where_one_side_is_infinite_is_none() -> None:
    first, second, read = sides("input a : scalar", "ln(a)", "a")
    (tensor,) = read.arguments
    for compute in (evaluate, evaluate_precisely):
        assert compute(first, second, {tensor: np.asarray(0.0)}, {}) is None
        assert compute(second, first, {tensor: np.asarray(0.0)}, {}) is None
        assert compute(first, second, {tensor: np.asarray(1.0)}, {}) is not None


def test_the_largest_entry_on_the_way_counts() -> None:
    first, second, read = sides("input a : scalar", "(a + 1000) - 1000", "a")
    (tensor,) = read.arguments
    found = evaluate(first, second, {tensor: np.asarray(1.0)}, {})
    assert found is not None and found.largest == 1001.0
    found = evaluate(second, second, {tensor: np.asarray(1e-6)}, {})
    assert found is not None and found.largest == 1e-6
    first, second, read = sides("dim N; input x : N", "sum[n](exp(x)_n)", "1")
    (tensor,) = read.arguments
    found = evaluate(first, second, {tensor: np.array([1.0, 7.0])}, {"N": 2})
    assert found is not None and found.largest == pytest.approx(math.exp(1) + math.exp(7))


# ------------------------------------------------------------------------------------------------- sizes
def test_small_sizes_begin_with_ones_then_one_size_is_two() -> None:
    read, _ = program("dim N, M; dim K = 7; input A : N, M; input b : K", "A")
    found = [(s["N"], s["M"], s["K"]) for s in trials._small_sizes(read)]
    assert found == [(1, 1, 7), (2, 1, 7), (1, 2, 7), (2, 2, 7), (2, 2, 7), (3, 3, 7)]


def test_of_many_sizes_at_most_three_are_larger_at_once() -> None:
    read, _ = program("dim A, B, C, D; input x : A, B; input y : C, D", "x")
    found = [tuple(s[n] for n in "ABCD") for s in trials._small_sizes(read)]
    assert found[:6] == [(1, 1, 1, 1), (2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2), (2, 2, 1, 1)]
    assert len(found) == 1 + 4 + 6 + 4 + 2 and max(sum(n > 1 for n in sizes) for sizes in found[:-2]) == 3


def test_small_sizes_leave_no_axis_empty() -> None:
    read, _ = program("dim N; input x : N-1", "x")
    assert [s["N"] for s in trials._small_sizes(read)] == [2, 2, 3]


def test_sizes_fit_where_the_program_demands_that_they_agree() -> None:
    read, _ = program("dim N, M, K; input x : N; input y : K", "x · x")
    read = replace(read, constraints=((Dim.named("N") + Dim.named("M"), Dim.named("K"), "y"),))
    assert trials._fits(read, {"N": 1, "M": 2, "K": 3}) and not trials._fits(read, {"N": 1, "M": 2, "K": 2})
    assert not trials._fits(read, {"N": 0, "M": 0, "K": 0})


def test_draws_are_of_both_signs_unless_they_are_to_be_positive() -> None:
    read, _ = program("dim N; input x : N", "x · x")
    array = draw(read.arguments[0], {"N": 50}, np.random.default_rng(0))
    assert array.min() < 0 < array.max()


def test_drawn_small_sizes_are_pairwise_different() -> None:
    read, (node,) = program("dim N, M, K; input A : N, M; input B : M, K", "A @ B")
    for seed in range(5):
        sizes = trials._small_drawn_sizes(read, np.random.default_rng(seed), (node, node))
        assert sizes is not None and sorted(sizes.values()) == [2, 3, 4]


def test_bound_sizes_stay_as_they_are() -> None:
    read, (node,) = program("dim N; dim K = 7; input A : N, K", "A")
    sizes = trials._small_drawn_sizes(read, np.random.default_rng(0), (node, node))
    assert sizes == {"N": 2, "K": 7}


def test_small_sizes_are_drawn_within_the_work_that_decimals_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    read, (node,) = program("dim N, M, K; input A : N, M; input B : M, K", "A @ B")
    monkeypatch.setattr(trials, "PRECISE_WORK", 40)
    sizes = trials._small_drawn_sizes(read, np.random.default_rng(0), (node, node))
    assert sizes is not None and trials._work((node, node), sizes) <= 40
    vectors, (vector,) = program("dim N; input x : N", "x")
    monkeypatch.setattr(trials, "PRECISE_WORK", 1)
    assert trials._small_drawn_sizes(vectors, np.random.default_rng(0), (vector, vector)) == {"N": 1}
    assert trials._small_drawn_sizes(read, np.random.default_rng(0), (node, node)) is None
    assert precise_trial(node, node, read).outcome == "doubt"


def test_work_counts_products_entries_and_functions() -> None:
    _, (product, function) = program("dim N, M, K; input A : N, M; input B : M, K", "A @ B", "tanh(A)")
    sizes = {"N": 2, "M": 3, "K": 5}
    assert trials._work((product, product), sizes) == 2 * 3 * 5 + 6 + 15
    assert trials._work((product, product), dict.fromkeys("NMK", 1)) == 3
    assert trials._work((function, function), sizes) == 20 * 6 + 6
    assert trials._work((function, function), {**sizes, "N": 0}) == 20 * 3 + 3
    _, (last,) = program("dim N; input x : N; input w : scalar; Z[0] = w; Z[t] = tanh(Z[t-1]) for t = 1..N", "Z[N]")
    once, thrice = (trials._work((last, last), {"N": n}) for n in (1, 3))
    assert thrice - once > 2 * 20


def test_tensors_of_too_many_entries_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    read, (node,) = program("dim N, M; input A : N; input B : M", "(A_i B_j | ij)")
    monkeypatch.setattr(trials, "LARGEST", 12)
    assert trials._affordable((node, node), {"N": 3, "M": 4})
    assert not trials._affordable((node, node), {"N": 13, "M": 1})
    sizes = trials.affordable_sizes(read, np.random.default_rng(0), (node, node))
    assert sizes is not None and sizes["N"] * sizes["M"] <= 12
    monkeypatch.setattr(trials, "LARGEST", 1)
    assert trials.affordable_sizes(read, np.random.default_rng(0), (node, node)) == {"N": 1, "M": 1}
    bound, (wide,) = program("dim N; dim K = 5; input A : N, K", "A")
    monkeypatch.setattr(trials, "LARGEST", 5)
    assert trials.affordable_sizes(bound, np.random.default_rng(0), (wide, wide)) == {"N": 1, "K": 5}
    monkeypatch.setattr(trials, "LARGEST", 0)
    assert trials.affordable_sizes(read, np.random.default_rng(0), (node, node)) is None
    assert trial(node, node, read).outcome == "undefined"


# ------------------------------------------------------------------------------------------------- counterexamples
def differing(head: str, left: str, right: str) -> Point:
    first, second, read = sides(head, left, right)
    found = trial(first, second, read)
    assert found.outcome == "differ"
    return counterexample(first, second, read, found.points[-1])


def test_the_simplest_counterexample_has_one_entry_which_is_one() -> None:
    found = differing(VECTORS, "x · y", "2 (x · y)")
    assert found.sizes["N"] == 1 and all(array.tolist() == [1.0] for array in found.arrays.values())


def test_what_holds_for_one_entry_is_refuted_with_two() -> None:
    found = differing("dim N, M; input A : N, M", "(A_ij | i)", "(A_ij | i) ⊙ (A_ij | i) ⊘ (A_ij A_ij | i) ⊙ (A_ij | i)")
    assert (found.sizes["N"], found.sizes["M"]) == (1, 2)


def test_what_holds_for_ones_is_refuted_with_small_whole_numbers() -> None:
    found = differing("input a : scalar", "a", "a**2")
    (array,) = found.arrays.values()
    assert found.outcome == "differ" and float(array) in trials.SIMPLE and float(array) != 1.0


def test_a_side_that_ignores_a_sign_is_refuted_at_minus_one() -> None:
    (array,) = differing("input a : scalar", "a", "abs(a)").arrays.values()
    assert float(array) == -1.0


def test_precise_counterexamples_are_made_simple_within_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, read = sides(VECTORS, "x · y", "2 (x · y)")
    plain, precise = trial(first, second, read).points[-1], precise_trial(first, second, read).points[-1]
    found = counterexample(first, second, read, precise)
    assert found.precise and found.sizes["N"] == 1 and float(found.left) == 1.0
    monkeypatch.setattr(trials, "PRECISE_WORK", 0)
    assert counterexample(first, second, read, precise) is precise
    assert counterexample(first, second, read, plain).sizes["N"] == 1


def test_simple_points_use_few_numbers_first() -> None:
    read, _ = program("dim N; input x : N", "x")
    (tensor,) = read.arguments
    for attempt in range(4):
        rng = np.random.default_rng(attempt)
        array = trials._simple(tensor, {"N": 500}, rng, attempt)
        assert set(array.tolist()) == set(trials.SIMPLE[: 1 if attempt == 0 else 2 + attempt])
    drawn = trials._simple(tensor, {"N": 50}, np.random.default_rng(0), 4)
    assert np.any(drawn < 0) and not set(drawn.tolist()) & set(trials.SIMPLE)
    assert np.all(trials._simple(tensor, {"N": 50}, np.random.default_rng(0), 5) >= 0.5)


@pytest.mark.parametrize("trait", ["orthogonal", "stochastic rows", "onehot rows", "symmetric", "positive definite", "diagonal"])
def test_a_simple_point_has_the_traits_of_its_tensor(trait: str) -> None:
    read, _ = program(f"dim N; input A : N, N {trait}", "A")
    (tensor,) = read.arguments
    for attempt in range(6):
        assert has(trials._simple(tensor, {"N": 3}, np.random.default_rng(attempt), attempt), trait)
        if trait != "onehot rows":
            precise = trials._decimal_draw(tensor, {"N": 3}, np.random.default_rng(attempt), attempt)
            assert has(precise.astype(float), trait)


# ------------------------------------------------------------------------------------------------- arrays with traits
def has(array: np.ndarray, trait: str) -> bool:
    match trait:
        case "orthogonal":
            return np.allclose(array.T @ array, np.eye(len(array)))
        case "stochastic rows":
            return np.allclose(array.sum(-1), 1) and bool(np.all(array > 0))
        case "onehot rows":
            return bool(np.all(np.sort(array, -1)[..., :-1] == 0) and np.all(array.max(-1) == 1))
        case "symmetric":
            return bool(np.all(array == np.swapaxes(array, -1, -2)))
        case "positive definite":
            return bool(np.allclose(array, np.swapaxes(array, -1, -2)) and np.all(np.linalg.eigvalsh(array) > 0))
        case "diagonal":
            return bool(np.all(array * (1 - np.eye(array.shape[-1])) == 0))
        case "lower":
            return bool(np.all(array == np.tril(array)))
        case "upper":
            return bool(np.all(array == np.triu(array)))
        case "positive":
            return bool(np.all(array >= 0.5))
        case "nonzero":
            return bool(np.all(np.abs(array) >= 0.5) and np.any(array < 0) and np.any(array > 0))
    raise AssertionError(trait)


TRAITS = (
    *("orthogonal", "stochastic rows", "onehot rows", "symmetric", "positive definite", "diagonal"),
    *("lower", "upper", "positive", "nonzero"),
)


@pytest.mark.parametrize("trait", TRAITS)
def test_arrays_have_the_traits_they_are_asked_for(trait: str) -> None:
    rng = np.random.default_rng(0)
    before = rng.standard_normal((4, 4))
    found = with_traits(before, [trait], rng)
    assert has(found, trait) and found.flags.c_contiguous
    for other in {"symmetric", "lower", "nonzero"} - {trait}:
        assert not has(with_traits(before, [], rng), other)
    if trait in ("symmetric", "positive definite", "lower", "diagonal", "stochastic rows"):
        batch = rng.standard_normal((2, 3, 3))
        assert all(has(matrix, trait) for matrix in with_traits(batch, [trait], rng))


def test_rows_that_are_longer_than_there_are_of_them() -> None:
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((2, 3, 40))
    assert all(has(with_traits(wide, [trait], rng), trait) for trait in ("onehot rows", "stochastic rows"))
    assert len(set(with_traits(wide, ["onehot rows"], rng).argmax(-1).flat)) > 3


def test_traits_change_an_array_as_little_as_they_allow() -> None:
    rng = np.random.default_rng(0)
    array = np.array([[1.0, -2.0], [4.0, 3.0]])
    assert with_traits(array, ["symmetric"], rng).tolist() == [[1.0, 1.0], [1.0, 3.0]]
    assert with_traits(array, ["lower"], rng).tolist() == [[1.0, 0.0], [4.0, 3.0]]
    assert with_traits(array, ["upper"], rng).tolist() == [[1.0, -2.0], [0.0, 3.0]]
    assert with_traits(array, ["diagonal"], rng).tolist() == [[1.0, 0.0], [0.0, 3.0]]
    assert with_traits(array, ["nonzero"], rng).tolist() == [[1.5, -2.5], [4.5, 3.5]]
    assert with_traits(np.array([0.5, -0.5]), ["nonzero"], rng).tolist() == [1.0, -1.0]
    assert with_traits(array, ["positive"], rng).tolist() == [[1.5, 2.5], [4.5, 3.5]]
    assert with_traits(array, ["positive definite"], rng).tolist() == [[3.5, -1.0], [-1.0, 13.5]]
    np.testing.assert_allclose(with_traits(array, ["stochastic rows"], rng), np.exp(array) / np.exp(array).sum(1)[:, None])


def test_draws_are_positive_where_that_is_asked_for_and_indices_stay_below_their_bound() -> None:
    read, _ = program("dim N, K; input x : N; input i : N integer in K", "x")
    x, i = sorted(read.arguments, key=lambda tensor: tensor.dtype, reverse=True)
    sizes = {"N": 400, "K": 3}
    rng = np.random.default_rng(0)
    assert x.dtype == "real" and draw(x, sizes, rng, True).min() >= 0.5 and draw(x, sizes, rng, True).max() <= 1.5
    assert draw(x, sizes, rng).min() < 0 < draw(x, sizes, rng).max()
    assert set(draw(i, sizes, rng).tolist()) == {0, 1, 2} and draw(i, sizes, rng).dtype == np.int64
    assert set(draw(i, {"N": 5, "K": 0}, rng).tolist()) == {0}
    arrays = draw_arguments(read, sizes, rng)
    assert set(arrays) == {"x", "i"} and arrays["x"].min() < 0
    assert draw_arguments(read, sizes, rng, positive=True)["x"].min() >= 0.5


def test_parameters_of_networks_are_divided_by_the_root_of_their_first_extent() -> None:
    read, _ = program("dim N, M; input X : N, M; param W : N, M; param b : N; param S : N, N symmetric", "X + W")
    given = {"X": np.ones((4, 2)), "W": np.ones((4, 2)), "b": np.ones(4), "S": np.ones((4, 4))}
    found = tempered(read, given)
    assert {name: float(array.flat[0]) for name, array in found.items()} == {"X": 1.0, "W": 0.5, "b": 1.0, "S": 1.0}


def test_a_parameter_of_one_row_is_left_as_it_is() -> None:
    read, _ = program("dim N, M; param W : N, M", "W")
    assert tempered(read, {"W": np.ones((1, 2))})["W"].tolist() == [[1.0, 1.0]]


def test_drawn_sizes_are_small_and_pairwise_different() -> None:
    read, _ = program("dim A, B, C, D; dim E = 4; input x : A, B; input y : C, D, E", "x")
    for seed in range(20):
        sizes = draw_sizes(read, np.random.default_rng(seed))
        assert sizes["E"] == 4 and len({sizes[n] for n in "ABCD"}) == 4 and {sizes[n] for n in "ABCD"} <= set(range(2, 7))
    assert draw_sizes(read, np.random.default_rng(0), {"A": 40})["A"] == 40


def test_every_constraint_is_settled() -> None:
    read, _ = program("dim N, M, K; input A : N, M; input B : M, K", "A")
    n, m, k = (Dim.named(name) for name in "NMK")
    read = replace(read, constraints=((n, m, "A"), (k, n + 1, "B")))
    for m_value in (3, 4):
        sizes = {"N": 3, "M": m_value, "K": 9}
        assert settle(sizes, read, {"M", "K"}) and sizes == {"N": 3, "M": 3, "K": 4}


def test_no_size_is_settled_to_nothing() -> None:
    read, _ = program("dim N, M; input A : N, M", "A")
    read = replace(read, constraints=((Dim.named("M") + 5, Dim.named("N"), "A"),))
    for n, m in ((5, None), (4, None), (6, 1)):
        sizes = {"N": n, "M": 9}
        assert settle(sizes, read, {"M"}) is (m is not None) and sizes == {"N": n, "M": m or 9}


def test_as_many_sizes_as_there_are_names() -> None:
    names = [f"A{k}" for k in range(14)]
    read, _ = program(f"dim {', '.join(names)}; " + "; ".join(f"input x{k} : {name}" for k, name in enumerate(names)), "x0")
    sizes = draw_sizes(read, np.random.default_rng(0))
    assert len(set(sizes.values())) == 14 and min(sizes.values()) >= 2


def test_sizes_that_depend_on_one_another_leave_no_axis_empty() -> None:
    read, _ = program("dim N; input x : N-4", "x")
    assert all(draw_sizes(read, np.random.default_rng(seed))["N"] > 4 for seed in range(20))


def test_no_sizes_fit_an_axis_that_is_always_empty() -> None:
    read, _ = program("dim N; input x : N-20; input y : 30-N", "x")
    with pytest.raises(SourceError, match="give some with --size"):
        draw_sizes(read, np.random.default_rng(0))
    with pytest.raises(SourceError, match="give some with --size"):
        draw_sizes(read, np.random.default_rng(0), {"N": 20})
    assert draw_sizes(read, np.random.default_rng(0), {"N": 21}) == {"N": 21}


def test_constraints_are_settled_by_sizes_that_are_free() -> None:
    read, _ = program("dim N, M; input A : N, M", "A")
    read = replace(read, constraints=((Dim.named("M") + Dim.named("M"), Dim.named("N") + 3, "A"),))
    sizes = {"N": 5, "M": 9}
    assert settle(sizes, read, {"M"}) and sizes == {"N": 5, "M": 4}
    sizes = {"N": 5, "M": 9}
    assert settle(sizes, read, {"N"}) and sizes == {"N": 15, "M": 9}
    sizes = {"N": 5, "M": 9}
    assert not settle(sizes, read, set()) and sizes == {"N": 5, "M": 9}
    assert not settle({"N": 4, "M": 9}, read, {"M"})  # 2 M = 7 has no solution
    assert [(s["N"], s["M"]) for s in trials._small_sizes(read)] == [(1, 2), (3, 3)]
    drawn = draw_sizes(read, np.random.default_rng(0))
    assert 2 * drawn["M"] == drawn["N"] + 3
