"""The normal form of a proof: what each rule makes of a product, and that it keeps the value."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from bracketc.ir import build
from bracketc.ir.build import add, einsum, multiply, pointwise, power, scale
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Add, Einsum, Node, Pointwise, Tensor
from bracketc.ir.rewrite import Roots, tensors
from bracketc.proof import expand as rules
from bracketc.proof.expand import (
    distribute,
    distribute_power,
    expand,
    flatten,
    inline_products,
    inline_sums,
    meet_reciprocal,
    merge_exponentials,
    terms,
)
from bracketc.proof.wording import worded

a, b, c, d = (build.tensor(name, "N") for name in "abcd")
s, t = build.tensor("s"), build.tensor("t")
A, B = build.tensor("A", "N", "M"), build.tensor("B", "M", "N")
POSITIVE = build.tensor("P", "N", "M", traits=["positive"])
N, M = Dim.named("N"), Dim.named("M")


def value(node: Node) -> np.ndarray:
    sizes = {"N": 3, "M": 2}
    rng = np.random.default_rng(0)
    arrays = {
        tensor: rng.uniform(0.5, 1.5, tuple(extent.evaluate(sizes) for extent in tensor.shape))
        for tensor in (a, b, c, d, s, t, A, B, POSITIVE)
    }
    return interpret([node], {tensor: arrays[tensor] for tensor in tensors([node])}, sizes)[0]


def applied(rule: Callable[[Node], Node], node: Node) -> Node:
    """What the rule makes of it, which has the same value."""
    new = rule(node)
    np.testing.assert_allclose(value(new), value(node), rtol=1e-12)
    return new


def count(node: Node) -> int:
    return len(terms(node))


# ------------------------------------------------------------------------------------------------- sums in products
def test_a_product_with_a_sum_is_a_sum_of_products() -> None:
    found = applied(distribute, multiply(add([a, b]), c))
    assert {worded(term) for term in terms(found)} == {"(a_i c_i | i)", "(b_i c_i | i)"}
    first = applied(distribute, multiply(add([a, b]), add([c, d])))
    assert count(first) == 2 and count(expand(Roots((first,))).nodes[0]) == 4


def test_a_power_of_a_sum_in_a_product_leaves_one_power_less() -> None:
    square = Pointwise("power", (add([a, b]),), Fraction(2))
    found = applied(distribute, einsum(3, [(c, (0,)), (square, (0,))], (0,)))
    assert count(found) == 2 and all(isinstance(term, Einsum) and len(term.factors) == 3 for term in terms(found))
    cube = Pointwise("power", (add([a, b]),), Fraction(3))
    assert all(len(term.operands) == 4 for term in terms(applied(distribute, einsum(1, [(c, (0,)), (cube, (0,))], (0,)))))


@pytest.mark.parametrize(
    ("exponent", "grows"), [(2, True), (3, True), (4, True), (5, False), (-1, False), (Fraction(1, 2), False), (2.0, False)]
)
def test_small_powers_of_a_sum_are_multiplied_out(exponent: int | Fraction | float, grows: bool) -> None:
    node = Pointwise("power", (add([a, b]),), exponent if isinstance(exponent, float) else Fraction(exponent))
    found = applied(distribute_power, node)
    assert (found is not node) == grows
    if grows:
        assert isinstance(found, Einsum) and found.factors == ((add([a, b]), (0,)),) * int(exponent)
        (whole,) = expand(Roots((node,))).nodes
        np.testing.assert_allclose(value(whole), value(node))
        assert count(whole) == int(exponent) + 1


def test_powers_of_what_is_no_sum_stay() -> None:
    assert distribute_power(power(a, 2)) is power(a, 2) and distribute_power(add([a, b])) is add([a, b])
    assert distribute(multiply(a, b)) is multiply(a, b) and distribute(add([a, b])) is add([a, b])


def test_products_of_too_many_terms_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    node = multiply(add([a, b]), add([c, d]))
    square = einsum(1, [(c, (0,)), (Pointwise("power", (add([a, b]),), Fraction(2)), (0,))], (0,))
    three = multiply(add([a, b, d]), c)
    monkeypatch.setattr(rules, "MOST_TERMS", 4)
    cube = einsum(1, [(c, (0,)), (Pointwise("power", (add([a, b]),), Fraction(3)), (0,))], (0,))
    assert all(distribute(n) is not n for n in (node, square, three)) and distribute(cube) is cube
    monkeypatch.setattr(rules, "MOST_TERMS", 7)
    assert distribute(cube) is cube
    monkeypatch.setattr(rules, "MOST_TERMS", 8)
    assert distribute(cube) is not cube
    monkeypatch.setattr(rules, "MOST_TERMS", 3)
    assert distribute(node) is node and distribute(square) is square and distribute(three) is not three


def test_sums_of_sums_are_one_sum() -> None:
    inner = Add((c, d))
    found = applied(flatten, Add((a, inner)))
    assert set(terms(found)) == {a, c, d} and flatten(add([a, b])) is add([a, b]) and flatten(a) is a


# ------------------------------------------------------------------------------------------------- brackets in brackets
def test_products_in_products_are_one_product() -> None:
    inner = einsum(2, [(a, (0,)), (b, (0,))], (0,))
    outer = Einsum(Fraction(3), ((inner, (0,)), (c, (0,))), (0,), (N,))
    found = applied(inline_products, outer)
    assert isinstance(found, Einsum) and found.coefficient == 6 and set(found.operands) == {a, b, c}


def test_sums_over_labels_are_inlined_by_their_own_rule() -> None:
    inner = einsum(2, [(A, (0, 1)), (B, (1, 2))], (0, 2))
    outer = Einsum(Fraction(3), ((inner, (0, 1)), (inner, (1, 2))), (0, 2), (N, N, N))
    assert inline_products(outer) is outer
    found = applied(inline_sums, outer)
    assert isinstance(found, Einsum) and found.coefficient == 12 and found.operands.count(A) == found.operands.count(B) == 2
    assert len(found.extents) == 5 and inline_sums(multiply(a, b)) is multiply(a, b)


# ------------------------------------------------------------------------------------------------- exponentials, reciprocals
def exp(node: Node) -> Node:
    return pointwise("exp", node)


def test_products_of_exponentials_are_the_exponential_of_a_sum() -> None:
    assert applied(merge_exponentials, multiply(exp(a), exp(b))) is exp(add([a, b]))
    assert applied(merge_exponentials, multiply(exp(a), exp(b), c)) is multiply(exp(add([a, b])), c)
    assert applied(merge_exponentials, multiply(exp(a), power(exp(b), -1))) is exp(add([a, scale(-1, b)]))


def test_powers_of_exponentials_are_multiples() -> None:
    assert applied(merge_exponentials, multiply(power(exp(a), 2), exp(b))) is exp(add([scale(2, a), b]))
    alone = multiply(power(exp(a), -1), c)
    assert merge_exponentials(alone) is alone


def test_exponentials_of_other_entries_stay_apart() -> None:
    outer = einsum(1, [(exp(a), (0,)), (exp(b), (1,))], (0, 1))
    assert merge_exponentials(outer) is outer
    assert merge_exponentials(multiply(exp(a), c)) is multiply(exp(a), c) and merge_exponentials(exp(a)) is exp(a)
    three = einsum(2, [(exp(a), (0,)), (exp(b), (1,)), (exp(c), (0,))], (0, 1))
    found = applied(merge_exponentials, three)
    assert isinstance(found, Einsum) and found.coefficient == 2 and exp(add([a, c])) in found.operands


def test_a_sum_meets_its_reciprocal_though_its_factors_stand_alone() -> None:
    total = einsum(1, [(POSITIVE, (0, 1))], (0,))
    other = einsum(1, [(power(total, -2), (0,)), (POSITIVE, (0, 1)), (a, (0,))], (0,))
    found = applied(meet_reciprocal, other)
    assert found is multiply(power(total, -1), a)
    once = einsum(5, [(power(total, -1), (0,)), (POSITIVE, (0, 1)), (A, (0, 2))], (0, 2))
    assert applied(meet_reciprocal, once) is scale(5, A)


def test_a_sum_with_a_number_meets_its_reciprocal() -> None:
    total = einsum(4, [(POSITIVE, (0, 1))], (0,))
    node = einsum(1, [(power(total, -1), (0,)), (POSITIVE, (0, 1)), (a, (0,))], (0,))
    assert applied(meet_reciprocal, node) is scale(Fraction(1, 4), a)


def test_a_reciprocal_is_met_wherever_its_factors_stand() -> None:
    total = power(einsum(1, [(POSITIVE, (0, 1))], (0,)), -1)
    first = Einsum(Fraction(1), ((POSITIVE, (0, 1)), (total, (0,)), (a, (0,))), (0,), (N, M))
    between = Einsum(Fraction(1), ((total, (0,)), (a, (0,)), (POSITIVE, (0, 1))), (0,), (N, M))
    assert applied(meet_reciprocal, first) is applied(meet_reciprocal, between) is a
    apart = Einsum(Fraction(1), ((total, (0,)), (b, (2,)), (POSITIVE, (0, 1))), (0,), (N, M, N))
    found = applied(meet_reciprocal, apart)
    assert isinstance(found, Einsum) and b in found.operands and POSITIVE not in found.operands


def test_a_reciprocal_of_a_chain_needs_the_whole_chain() -> None:
    other, last = build.tensor("R", "M", "N", traits=["positive"]), build.tensor("v", "N", traits=["positive"])
    chain = ((POSITIVE, (0, 1)), (other, (1, 2)), (last, (2,)))
    total = power(einsum(1, chain, (0,)), -1)
    whole = einsum(1, [(total, (0,)), *chain, (a, (0,))], (0,))
    assert meet_reciprocal(whole) is a
    kept = einsum(1, [(total, (0,)), *chain], (0, 1))
    assert meet_reciprocal(kept) is kept


TOTAL = power(einsum(1, [(POSITIVE, (0, 1))], (0,)), -1)
NO_RECIPROCALS = {
    "perhaps 0": einsum(1, [(power(einsum(1, [(A, (0, 1))], (0,)), -1), (0,)), (A, (0, 1))], (0,)),
    "kept label": einsum(1, [(TOTAL, (0,)), (POSITIVE, (0, 1))], (0, 1)),
    "longer sum": einsum(1, [(TOTAL, (0,)), (POSITIVE, (0, 1)), (B, (1, 2))], (0, 2)),
    "root": einsum(1, [(power(einsum(1, [(POSITIVE, (0, 1))], (0,)), Fraction(-1, 2)), (0,)), (POSITIVE, (0, 1))], (0,)),
    "another row": einsum(1, [(TOTAL, (0,)), (POSITIVE, (2, 1)), (a, (2,))], (0,)),
    "no product": power(a, -1),
}


@pytest.mark.parametrize("node", NO_RECIPROCALS.values(), ids=NO_RECIPROCALS)
def test_what_is_no_reciprocal_of_a_sum_stays(node: Node) -> None:
    assert meet_reciprocal(node) is node


# ------------------------------------------------------------------------------------------------- the whole form
EQUAL: dict[str, tuple[Node, Node]] = {
    "(a + b)(a - b)": (multiply(add([a, b]), add([a, scale(-1, b)])), add([power(a, 2), scale(-1, power(b, 2))])),
    "(a + b)²": (power(add([a, b]), 2), add([multiply(a, a), scale(2, multiply(a, b)), multiply(b, b)])),
    "softmax": (multiply(exp(add([a, b])), power(exp(b), -1)), exp(a)),
    "A (B + B)": (
        einsum(1, [(A, (0, 1)), (add([B, scale(2, B)]), (1, 2))], (0, 2)),
        scale(3, einsum(1, [(A, (0, 1)), (B, (1, 2))], (0, 2))),
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_values_have_one_form(name: str) -> None:
    left, right = expand(Roots(EQUAL[name])).nodes
    assert left is right
    for before, after in zip(EQUAL[name], (left, right), strict=True):
        np.testing.assert_allclose(value(after), value(before))


def test_the_terms_of_what_is_no_sum_are_itself() -> None:
    assert terms(a) == (a,) and terms(add([a, b])) == add([a, b]).operands and isinstance(a, Tensor)
