"""Terms of sums one rule at a time: what is shared is taken out, what cancels goes, and the value stays."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from bracketc.ir import build
from bracketc.ir.build import add, delta, einsum, fill, literal, multiply, pointwise, power, scale
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Add, Compare, Einsum, Linalg, Node, Pointwise, Stack
from bracketc.ir.rewrite import Roots, tensors
from bracketc.proof.wording import worded
from bracketc.simplify.brackets import (
    constant_axes,
    drop_axes,
    is_exact_one,
    number_in_front,
    split_scale,
    spread,
    summed,
    times,
)
from bracketc.simplify.deltas import distribute_deltas, eliminate_delta, split_delta
from bracketc.simplify.facts import declared_positive, positive
from bracketc.simplify.linalg import undo_inverse
from bracketc.simplify.powers import merge_power, simplify_power, split_size
from bracketc.simplify.sums import cancel_term, flatten_sums, merge_term, pull_common_scalars, pull_outer_term

N, M = Dim.named("N"), Dim.named("M")
x, y, z = (build.tensor(name, "N") for name in "xyz")
A, B, X, D = (build.tensor(name, "N", "M") for name in "ABXD")
m, S = build.tensor("m", "M"), build.tensor("S", "N", "N")
s, t = build.tensor("s"), build.tensor("t")
SIZES = {"N": 3, "M": 2}


def value(node: Node) -> np.ndarray:
    rng = np.random.default_rng(1)
    known = {k: rng.uniform(0.5, 1.5, tuple(e.evaluate(SIZES) for e in k.shape)) for k in (x, y, z, A, B, X, D, m, S, s, t)}
    return interpret([node], {tensor: known[tensor] for tensor in tensors([node])}, SIZES)[0]


def applied(rule: Callable[[Node], Node], node: Node) -> str:
    new = rule(node)
    np.testing.assert_allclose(value(new), value(node), rtol=1e-12, atol=1e-12)
    return worded(new, 9)


def whole(rule: Callable[[Roots], Roots]) -> Callable[[Node], Node]:
    return lambda node: rule(Roots((node,))).nodes[0]


# ------------------------------------------------------------------------------------------------- common factors
def test_scalars_that_all_terms_share_are_taken_out() -> None:
    both = einsum(1, [(s, ()), (t, ()), (y, (0,))], (0,))
    assert applied(pull_common_scalars, add([multiply_scalar(s, x), both])) == "(s (x + (t y_i | i))_i | i)"
    assert applied(pull_common_scalars, add([scale(-2, x), scale(-2, y)])) == "-2 (x + y)"
    assert applied(pull_common_scalars, add([scale(-2, x), scale(2, y)])) == "2 (-x + y)"
    assert applied(pull_common_scalars, add([scale(Fraction(1, 2), x), scale(Fraction(1, 2), y)])) == "(1/2) (x + y)"
    twice = Einsum(Fraction(1), ((s, ()), (s, ()), (x, (0,))), (0,), (N,))
    assert applied(pull_common_scalars, Add((twice, multiply_scalar(s, y)))) == "(s ((s x_i | i) + y)_i | i)"
    three = add([multiply_scalar(s, x), multiply_scalar(s, y), multiply_scalar(s, z)])
    assert applied(pull_common_scalars, three) == "(s (x + y + z)_i | i)"


def multiply_scalar(scalar: Node, vector: Node) -> Node:
    return einsum(1, [(scalar, ()), (vector, (0,))], (0,))


@pytest.mark.parametrize(
    "node",
    [
        add([multiply_scalar(s, x), multiply_scalar(t, y)]),
        add([multiply_scalar(s, x), y]),
        add([scale(2, x), scale(3, y)]),
        add([x, y]),
        add([scale(2.0, x), scale(2, y)]),
        add([scale(float("inf"), x), scale(float("inf"), y)]),
        add([multiply_scalar(s, x), multiply_scalar(s, y), multiply_scalar(t, z)]),
        Add((Stack((s, t)), Stack((s, s)))),
        x,
    ],
)
def test_what_not_all_terms_share_stays(node: Node) -> None:
    assert pull_common_scalars(node) is node


def test_factors_with_a_label_of_their_own_are_taken_out() -> None:
    first = einsum(1, [(X, (0, 1)), (m, (1,)), (x, (0,))], (0, 1))
    second = einsum(1, [(X, (0, 1)), (y, (0,))], (0, 1))
    kept = add([first, second])  # m has a label that no other factor carries, but the second term has no m
    applied(pull_outer_term, kept)
    found = pull_outer_term(add([second, einsum(-3, [(X, (0, 1)), (x, (0,)), (z, (0,))], (0, 1))]))
    assert isinstance(found, Einsum) and found.operands.count(X) == 1 and any(isinstance(f, Add) for f in found.operands)
    third = add([second, einsum(1, [(X, (0, 1)), (x, (0,))], (0, 1)), einsum(1, [(A, (0, 1)), (z, (0,))], (0, 1))])
    assert pull_outer_term(third) is third
    applied(pull_outer_term, add([einsum(1, [(X, (0, 1)), (vector, (0,))], (0, 1)) for vector in (x, y, z)]))
    assert pull_outer_term(add([x, y])) is add([x, y]) and pull_outer_term(x) is x


# ------------------------------------------------------------------------------------------------- sums of sums
def test_terms_that_differ_by_a_number_are_one_term() -> None:
    assert applied(merge_term, Add((x, scale(2, x)))) == "3 x" and applied(merge_term, Add((x, scale(-1, x)))) == "0"
    assert applied(merge_term, Add((literal(1), s, literal(2)))) == "(s + 3)"
    product = multiply(x, y)
    assert applied(merge_term, Add((product, z, scale(-3, product)))) == "(z + (-2 x_i y_i | i))"
    assert applied(merge_term, Add((scale(-1, y), x))) == "(x - y)"
    assert merge_term(Add((x, fill(0, (N,))))) in (x, add([x])) and merge_term(x) is x


def test_a_sum_is_taken_apart_where_a_term_vanishes() -> None:
    inner = add([x, scale(-1, y)])
    assert applied(merge_and(cancel_term), Add((y, inner))) == "x"
    assert applied(merge_and(cancel_term), Add((scale(-2, x), scale(2, inner)))) == "-2 y"
    scaled = einsum(1, [(s, ()), (inner, (0,))], (0,))
    own = einsum(-1, [(s, ()), (x, (0,))], (0,))
    assert applied(merge_and(cancel_term), Add((own, scaled))) == "(-s y_i | i)"
    behind = Einsum(Fraction(1), ((inner, (0,)), (s, ())), (0,), (N,))
    assert applied(merge_and(cancel_term), Add((Einsum(Fraction(-1), ((x, (0,)), (s, ())), (0,), (N,)), behind))) == "(-y_i s | i)"
    nested = add([multiply(x, y), z])
    assert applied(merge_and(cancel_term), Add((scale(-3, multiply(x, y)), scale(3, nested)))) == "3 z"
    product = Einsum(Fraction(-1), ((x, (0,)), (y, (0,)), (s, ()), (t, ())), (0,), (N,))
    outer = Einsum(Fraction(1), ((nested, (0,)), (s, ()), (t, ())), (0,), (N,))
    assert applied(merge_and(cancel_term), Add((product, outer))) == "(z_i s t | i)"
    kept = Add((x, scale(2, inner)))
    assert cancel_term(kept) is kept and cancel_term(add([x, y])) is add([x, y]) and cancel_term(x) is x


def merge_and(rule: Callable[[Node], Node]) -> Callable[[Node], Node]:
    return lambda node: merge_term(rule(node))


def test_sums_of_sums_are_flat_where_the_inner_one_is_used_once() -> None:
    inner = add([y, z])
    flat = whole(flatten_sums)
    assert applied(flat, Add((x, inner))) == "(x + y + z)"
    assert applied(flat, Add((x, scale(-2, inner)))) == "(x - 2 y - 2 z)"
    assert applied(flat, Add((x, scale(3, Add((y, scale(-2, add([x, z])))))))) == "(x + 3 y - 6 x - 6 z)"
    shared = multiply(Add((x, inner)), inner)
    assert flat(shared) is shared
    assert applied(flat, Add((x, multiply(y, inner)))) == "(x + (y_i (y + z)_i | i))"


# ------------------------------------------------------------------------------------------------- deltas
def test_deltas_are_contracted() -> None:
    assert applied(eliminate_delta, einsum(1, [(delta(N), (0, 1)), (A, (1, 2))], (0, 2))) == "A"
    assert applied(eliminate_delta, einsum(2, [(delta(N), (0, 1)), (x, (0,)), (y, (1,))], ())) == "(2 x_i y_i | )"
    trace = einsum(1, [(delta(N), (0, 0))], ())
    assert float(value(eliminate_delta(trace))) == 3.0
    both = einsum(1, [(delta(N), (0, 1)), (A, (1, 2))], (0, 1, 2))
    assert applied(eliminate_delta, both) == "(δ_ij A_ik | ijk)" and eliminate_delta(eliminate_delta(both)) is eliminate_delta(both)
    assert eliminate_delta(x) is x and eliminate_delta(multiply(x, y)) is multiply(x, y)


def test_deltas_stay_outside_of_contractions() -> None:
    node = einsum(3, [(delta(N), (0, 1)), (A, (0, 2)), (m, (2,))], (0, 1))
    assert applied(split_delta, node) == "(3 δ_ij (A_ij m_j | i)_i | ij)"
    summed_delta = einsum(1, [(delta(N), (0, 2)), (S, (2, 1)), (x, (1,))], (0,))
    assert split_delta(summed_delta) is summed_delta and split_delta(multiply(x, y)) is multiply(x, y)


def test_a_sum_with_a_delta_is_contracted_term_by_term() -> None:
    terms = add([einsum(1, [(delta(N), (0, 1)), (x, (0,))], (0, 1)), S])
    node = einsum(2, [(terms, (0, 1)), (y, (1,))], (0,))
    found = whole(distribute_deltas)(node)
    assert isinstance(found, Add) and len(found.terms) == 2
    np.testing.assert_allclose(value(found), value(node))
    plain = einsum(2, [(add([S, scale(2, S)]), (0, 1)), (y, (1,))], (0,))
    assert whole(distribute_deltas)(plain) is plain


# ------------------------------------------------------------------------------------------------- powers and sizes
def test_powers_of_one_factor_are_one_power() -> None:
    assert applied(merge_power, multiply(x, x, y)) == "(x**2_i y_i | i)"
    assert applied(merge_power, einsum(1, [(power(x, 2), (0,))], ())) == "(x_i x_i | )"
    assert applied(merge_power, multiply(power(x, 2), power(x, 3))) == "x**5"
    assert merge_power(multiply(x, power(x, -1))) is multiply(x, power(x, -1)), "x may be 0"
    assert merge_power(multiply(power(x, 1.5), x)) is multiply(power(x, 1.5), x), "below 0 only one has a value"
    assert applied(merge_power, multiply(x, power(x, -2))) == "x**-1"
    assert applied(merge_power, einsum(1, [(delta(N), (0, 1)), (delta(N), (0, 1)), (x, (0,))], (0, 1))) == "(δ_ij x_i | ij)"
    assert merge_power(x) is x and merge_power(multiply(x, y)) is multiply(x, y)


def test_powers_of_powers_and_products() -> None:
    raised = Pointwise("power", (power(x, 2),), Fraction(-1))
    assert applied(simplify_power, raised) == "x**-2"
    root = Pointwise("power", (power(x, 2),), Fraction(1, 2))
    assert simplify_power(root) is root, "|x| is not x"
    fraction = Pointwise("power", (power(x, 1.5),), Fraction(2))
    assert simplify_power(fraction) is fraction, "below 0 only x**3 has a value"
    assert applied(simplify_power, Pointwise("power", (power(x, 0.75),), Fraction(2))) == "x**1.5"
    assert applied(simplify_power, power(scale(2, x), -1)) == "(1/2) x**-1"
    assert applied(simplify_power, Pointwise("power", (multiply_scalar(s, x),), Fraction(2))) == "(s**2 x**2_i | i)"
    wide = Pointwise("power", (multiply(x, y),), Fraction(2))
    assert simplify_power(wide) is wide and simplify_power(x) is x
    assert applied(simplify_power, Pointwise("power", (multiply(x, pointwise("exp", y)),), Fraction(2))) != worded(wide)
    square_root = Pointwise("power", (multiply_scalar(s, x),), Fraction(1, 2))
    assert simplify_power(square_root) is square_root


def test_sizes_that_are_products_are_taken_apart() -> None:
    assert applied(split_size, build.size(N * M)) in ("N M", "M N") and applied(split_size, build.size(N * 2)) == "2 N"
    assert split_size(build.size(N)) is build.size(N) and split_size(build.size(N + 1)) is build.size(N + 1)
    assert float(value(split_size(build.size(N * N * 3)))) == 27.0
    assert applied(split_size, build.size(N * N)) == "N**2"


def test_inverses_of_multiples_and_of_inverses() -> None:
    inverse = Linalg("inv", (S,))
    assert undo_inverse(Linalg("inv", (scale(2.5, S),))) is scale(0.4, inverse)
    assert undo_inverse(Linalg("inv", (scale(-4, S),))) is scale(Fraction(-1, 4), inverse)
    assert undo_inverse(Linalg("solve", (scale(2, S), x))) is scale(Fraction(1, 2), Linalg("solve", (S, x)))
    assert undo_inverse(Linalg("inv", (inverse,))) is S and undo_inverse(inverse) is inverse
    assert undo_inverse(Linalg("det", (inverse,))) is power(Linalg("det", (S,)), -1)
    assert undo_inverse(Linalg("logdet", (inverse,))) is scale(-1, Linalg("logdet", (S,)))
    assert undo_inverse(Linalg("det", (scale(2, S),))) is Linalg("det", (scale(2, S),))


def test_what_is_positive_by_its_form() -> None:
    p, q = build.tensor("p", "N", traits=["positive"]), build.tensor("q", "N", traits=["positive"])
    yes = [p, multiply(p, q), add([p, q]), power(p, -2), literal(3), build.size(N), scale(2, p), pointwise("exp", p)]
    no = [x, scale(-2, p), fill(0, (N,)), literal(0), literal(-1), add([p, scale(-1, q)]), multiply(p, x), add([p, x]), power(x, 2)]
    assert [positive(node) or declared_positive(node) for node in yes] == [True] * len(yes)
    assert [declared_positive(node) for node in no] == [False] * len(no)


# ------------------------------------------------------------------------------------------------- numbers in front
def test_numbers_in_front() -> None:
    assert split_scale(scale(-2, A)) == (-2, A) and split_scale(literal(5)) == (5, literal(1)) and split_scale(x) == (1, x)
    assert number_in_front(scale(3, x)) == 3 == number_in_front(literal(3)) and number_in_front(x) == 1
    assert times(Fraction(1), x) is x
    contraction = einsum(1, [(A, (0, 1)), (m, (1,))], (0,))
    assert worded(times(Fraction(2), contraction)) == "2 (A_ij m_j | i)" and len(times(Fraction(2), contraction).operands) == 1
    assert isinstance(contraction, Einsum) and list(summed(contraction)) == [1]
    assert is_exact_one(Fraction(1)) and not is_exact_one(1.0) and not is_exact_one(Fraction(2))


def test_constant_axes_are_dropped_and_spread_again() -> None:
    wide = einsum(2, [(x, (0,))], (0, 1), {0: N, 1: M})
    assert constant_axes(wide) == {1} and constant_axes(x) == frozenset()
    assert drop_axes(wide, frozenset({1})) is scale(2, x)
    np.testing.assert_array_equal(value(spread(scale(2, x), (N, M), frozenset({1}))), value(wide))
    other = Compare("<", wide, einsum(1, [(m, (1,))], (0, 1), {0: N, 1: M}))
    assert constant_axes(other) == frozenset() and constant_axes(Compare("<", wide, wide)) == {1}
    assert drop_axes(Compare("<", wide, wide), frozenset({1})) is Compare("<", scale(2, x), scale(2, x))
    product = einsum(1, [(x, (0,)), (A, (0, 2)), (m, (2,))], (0, 1), {0: N, 1: M, 2: M})
    assert worded(drop_axes(product, constant_axes(product))) == "(x_i A_ij m_j | i)"
