"""Loops: what leaves them, before and after, and what stays."""

from __future__ import annotations

import numpy as np
import pytest

from bracketc.calculus.derivatives import gradient
from bracketc.ir.build import add, broadcast, einsum, multiply, pointwise, project, scale, size, tensor, window, zeros
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Einsum, Node, Project, Recurrence, Tensor
from bracketc.ir.recurrence import merge_recurrences, recurrence
from bracketc.ir.rewrite import Roots, topological
from bracketc.ir.verify import verify
from bracketc.simplify import simplify, stabilise
from bracketc.simplify.recurrences import drop_unused, hoist, sink, sum_steps

T, N, D, H, K = (Dim.named(name) for name in "TNDHK")
X, Z0 = tensor("X", "T", "N", "D"), tensor("Z0", "N", "H")
W, U, b, V = tensor("W", "H", "H"), tensor("U", "D", "H"), tensor("b", "H"), tensor("V", "H", "K")
z, x, w, u = Tensor("%z", (N, H)), Tensor("%x", (N, D)), Tensor("%w", (H, H)), Tensor("%u", (D, H))
PROJECTED = einsum(1, [(x, "nd"), (u, "dh")], "nh")
STEP = pointwise("tanh", add([einsum(1, [(z, "ni"), (w, "ih")], "nh"), PROJECTED]))
CONSTS = [(w, W), (u, U)]
SIZES = {"T": 4, "N": 3, "D": 2, "H": 5, "K": 2}


def arrays(*nodes: Tensor) -> dict[Tensor, np.ndarray]:
    noise = np.random.default_rng(1)
    return {node: noise.normal(size=[d.evaluate(SIZES) for d in node.shape]) for node in nodes}


def same(before: tuple[Node, ...], after: tuple[Node, ...]) -> None:
    values = arrays(X, Z0, W, U, b, V)
    verify(after)
    for left, right in zip(interpret(before, values, SIZES), interpret(after, values, SIZES), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-12)


def loops(*roots: Node) -> list[Recurrence]:
    return [node for node in topological(roots) if isinstance(node, Recurrence)]


def contractions(*roots: Node) -> list[Einsum]:
    return [n for n in topological(roots) if isinstance(n, Einsum) and len(n.extents) > len(n.output)]


def test_what_nothing_needs_is_dropped() -> None:
    count, copied = Tensor("%c", ()), Tensor("%y", (N, D))
    carries = [(z, Z0, STEP), (count, zeros(()), add([count, einsum(1, [(x, "nd")], "")]))]
    loop = recurrence(T, carries, [(x, X), (copied, X)], CONSTS, [STEP, copied, scale(2, STEP)])
    roots = (project(loop, 0), project(loop, 2))
    after = drop_unused(Roots(roots)).nodes
    (left,) = loops(*after)
    assert (len(left.carries), len(left.xs), len(left.body.results)) == (1, 1, 2)
    same(roots, after)


def test_a_state_that_never_changes_is_a_constant_and_an_x_that_never_varies_too() -> None:
    fixed, spread = Tensor("%f", (N, H)), Tensor("%s", (H,))
    step = multiply(add([STEP, broadcast(spread, (N, H), (1,))]), fixed)
    loop = recurrence(
        T, [(z, Z0, step), (fixed, Z0, fixed)], [(x, X), (spread, broadcast(b, (T, H), (1,)))], CONSTS, []
    )
    roots = (project(loop, 0), project(loop, 1))
    after = drop_unused(Roots(roots)).nodes
    (left,) = loops(*after)
    assert (left.carries, left.xs, after[1]) == ((Z0,), (X,), Z0)
    assert set(left.consts) == {W, U, b, Z0}
    same(roots, after)


def test_an_x_that_is_put_out_is_itself() -> None:
    loop = recurrence(T, [(z, Z0, STEP)], [(x, X)], CONSTS, [x])
    assert drop_unused(Roots((project(loop, 1),))).nodes == (X,)


def test_a_loop_that_drops_an_operand_shortens_the_loop_before_it() -> None:
    first = recurrence(T, [(z, Z0, STEP)], [(x, X)], CONSTS, [STEP])
    stack, carry = Tensor("%p", (N, H)), Tensor("%q", (N, H))
    second = recurrence(T, [(carry, Z0, pointwise("sin", carry))], [(stack, project(first, 1))], [], [stack])
    assert not loops(*drop_unused(Roots((project(second, 0), X))).nodes)[0].xs


def test_the_input_projection_is_one_contraction_before_the_loop() -> None:
    loop = recurrence(T, [(z, Z0, STEP)], [(x, X)], CONSTS, [STEP])
    roots = (project(loop, 1),)
    after = hoist(Roots(roots)).nodes
    (left,) = loops(*after)
    assert left.xs == (einsum(1, [(X, "tnd"), (U, "dh")], "tnh"),)
    assert [c.operands for c in contractions(*left.body.results)] == [left.body.parameters[::2]]
    same(roots, after)


def test_a_bias_joins_the_input_projection() -> None:
    bias = Tensor("%b", (H,))
    step = pointwise("tanh", add([einsum(1, [(z, "ni"), (w, "ih")], "nh"), PROJECTED, broadcast(bias, (N, H), (1,))]))
    loop = recurrence(T, [(z, Z0, step)], [(x, X)], [*CONSTS, (bias, b)], [])
    after = simplify(Roots((project(loop, 0),))).nodes
    (left,) = loops(*after)
    assert len(left.xs) == 1 and left.consts == (W,)
    same((project(loop, 0),), after)


def test_what_is_cheap_stays_in_the_loop() -> None:
    square = multiply(x, x)
    step = pointwise("tanh", add([z, einsum(1, [(square, "nd"), (u, "dh"), (z, "nh")], "nh")]))
    loop = recurrence(T, [(z, Z0, step)], [(x, X)], [(u, U)], [])
    assert hoist(Roots((project(loop, 0),))).nodes == (project(loop, 0),)


def test_work_on_constants_is_done_once() -> None:
    half = scale(0.5, pointwise("exp", w))
    step = pointwise("tanh", einsum(1, [(z, "ni"), (half, "ih")], "nh"))
    loop = recurrence(T, [(z, Z0, step)], [], [(w, W)], [])
    after = hoist(Roots((project(loop, 0),))).nodes
    assert loops(*after)[0].consts == (pointwise("exp", W),)
    same((project(loop, 0),), after)


def test_an_output_layer_is_one_contraction_after_the_loop() -> None:
    v = Tensor("%v", (H, K))
    out = einsum(1, [(STEP, "nh"), (v, "hk")], "nk")
    loop = recurrence(T, [(z, Z0, STEP)], [(x, X)], [*CONSTS, (v, V)], [out])
    roots = (project(loop, 1),)
    after = sink(Roots(roots)).nodes
    (left,) = loops(*after)
    assert after == (einsum(1, [(project(left, 1), "tnh"), (V, "hk")], "tnk"),)
    same(roots, after)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_sum_of_products_over_the_steps_is_one_contraction(reverse: bool) -> None:
    total = Tensor("%a", (D, H))
    gain = einsum(1, [(x, "nd"), (STEP, "nh")], "dh")
    loop = recurrence(T, [(z, Z0, STEP), (total, U, add([total, gain]))], [(x, X)], CONSTS, [], reverse)
    roots = (project(loop, 1),)
    after = simplify(Roots(roots)).nodes
    (left,) = loops(*after)
    stack = project(left, 1)
    assert after == simplify(Roots((add([U, einsum(1, [(X, "tnd"), (stack, "tnh")], "dh")]),))).nodes
    assert len(left.carries) == 1
    same(roots, after)


def test_a_sum_without_products_stays_a_state() -> None:
    total = Tensor("%a", (N, H))
    loop = recurrence(T, [(z, Z0, STEP), (total, Z0, add([total, STEP]))], [(x, X)], CONSTS, [])
    assert sink(Roots((project(loop, 1),))).nodes == (project(loop, 1),)


def test_loops_in_loops() -> None:
    inner_state, inner_x = Tensor("%p", (N, H)), Tensor("%q", (N, D))
    inner = recurrence(
        T,
        [(inner_state, z, pointwise("tanh", add([inner_state, einsum(1, [(inner_x, "nd"), (u, "dh")], "nh")])))],
        [(inner_x, broadcast(x, (T, N, D), (1, 2)))],
        [(u, u)],
        [inner_state],
    )
    loop = recurrence(
        T, [(z, Z0, project(inner, 0))], [(x, X)], [(u, U)], [einsum(1, [(project(inner, 1), "tnh")], "n")]
    )
    roots = (project(loop, 0), project(loop, 1))
    same(roots, simplify(Roots(roots)).nodes)


def network() -> tuple[Node, tuple[Tensor, ...]]:
    v = Tensor("%v", (H, K))
    bias = Tensor("%b", (H,))
    pre = add([einsum(1, [(z, "ni"), (w, "ih")], "nh"), PROJECTED, broadcast(bias, (N, H), (1,))])
    new = pointwise("tanh", pre)
    out = einsum(1, [(new, "nh"), (v, "hk")], "nk")
    loop = recurrence(T, [(z, Z0, new)], [(x, X)], [*CONSTS, (bias, b), (v, V)], [out])
    return einsum(1, [(project(loop, 1), "tnk"), (project(loop, 1), "tnk")], ""), (W, U, b, V)


def test_gradients_of_parameters_leave_the_backward_loop() -> None:
    """Only the state, and its two products with W, stay inside; every parameter has one contraction over all steps."""
    target, wrt = network()
    stable = stabilise(Roots((target,))).nodes[0]
    raw = gradient(target, wrt)
    after = simplify(merge_recurrences(Roots((stable, *gradient(stable, wrt))))).nodes
    same((target, *raw), after)
    found = loops(*after)
    assert sum(len(contractions(*loop.body.results)) for loop in found) == 2
    assert all(len(loop.carries) == 1 for loop in found)
    for node, result in zip(wrt, after[1:], strict=True):
        product = next(n for n in topological((result,))[::-1] if n in contractions(result))
        assert [str(e) for e in product.extents[len(product.output) :]] == ["T", "N"], node.name


def test_the_number_of_nodes_does_not_depend_on_the_steps() -> None:
    target, wrt = network()
    roots = (target, *gradient(target, wrt))

    def count(nodes: tuple[Node, ...]) -> int:
        return sum(1 for n in topological(nodes)) + sum(count(loop.body.results) for loop in loops(*nodes))

    assert count(simplify(Roots(roots)).nodes) < 1.5 * count(roots)
    assert all(isinstance(node, Project | Einsum) or node.rank == 0 for node in simplify(Roots(roots)).nodes)


def leaving(step: Node, *consts: tuple[Tensor, Tensor]) -> set[Node]:
    """What is computed before the loop in which ``step`` is added to the state, beside its operands."""
    loop = recurrence(T, [(z, Z0, add([z, step]))], [(x, X)], [*consts], [])
    roots = (project(loop, 0),)
    after = hoist(Roots(roots)).nodes
    given = {X: np.random.default_rng(0).normal(size=(4, 3, 2)), Z0: np.random.default_rng(1).normal(size=(3, 5))}
    given |= {operand: np.random.default_rng(2).normal(size=[e.evaluate(SIZES) for e in operand.shape]) for _, operand in consts}
    before, moved = interpret((*roots, *after), given, SIZES)
    np.testing.assert_allclose(before, moved)
    (left,) = loops(*after)
    return {*left.xs, *left.consts} - {X, *(operand for _, operand in consts)}


def wide(node: Node) -> Node:
    """Something of the shape of the state that needs ``node``, of rank 2, and a state."""
    return einsum(1, [(node, "nd"), (z, "nh")], "nh")


def test_of_a_view_what_it_is_made_of_leaves_the_loop() -> None:
    """A slice, a multiple, an outer product; a product of what is as large as itself leaves as a whole."""
    tanh, above = pointwise("tanh", x), pointwise("tanh", X)
    scalar, weight = Tensor("%c", ()), Tensor("%g", (D,))
    c, g = tensor("c"), tensor("g", "D")
    assert leaving(wide(window(tanh, 1, 0, (1,), (Dim.of(1),)))) == {above}
    assert leaving(wide(einsum(1, [(scalar, ""), (tanh, "nd")], "nd")), (scalar, c)) == {above}
    assert leaving(wide(multiply(tanh, pointwise("exp", x)))) == {multiply(above, pointwise("exp", X))}
    rows = einsum(1, [(pointwise("sin", weight), "d"), (tanh, "nd")], "nd")
    assert leaving(wide(rows), (weight, g)) == {einsum(1, [(pointwise("sin", g), "d"), (above, "tnd")], "tnd")}
    outer = einsum(1, [(einsum(1, [(x, "nd")], "n"), "n"), (pointwise("sin", weight), "d")], "nd")
    assert leaving(wide(outer), (weight, g)) == {einsum(1, [(X, "tnd")], "tn"), pointwise("sin", g)}


def test_all_that_is_costly_leaves_the_loop() -> None:
    functions = ("tanh", "exp", "sin", "cos", "sigmoid")
    used = einsum(1, [(z, "nh"), *((einsum(1, [(pointwise(name, x), "nd")], "n"), "n") for name in functions)], "nh")
    assert len(leaving(used)) >= 1
    apart = add([einsum(1, [(z, "nh"), (pointwise(name, x), "nd"), (pointwise("sin", z), "nh")], "nh") for name in functions])
    assert leaving(apart) == {pointwise(name, X) for name in functions}


def test_sizes_stay_in_the_loop_and_terms_are_joined_where_one_of_them_leaves() -> None:
    assert leaving(einsum(1, [(size(N), ""), (z, "nh")], "nh")) == set()
    given, weight, both = Tensor("%s", (N, H)), Tensor("%k", (N, H)), tensor("S", "T", "N", "H")
    for inner, wanted in (
        (given, ({both}, {pointwise("tanh", Z0)})),
        (pointwise("sin", given), ({add([pointwise("sin", both), broadcast(pointwise("tanh", Z0), (T, N, H), (1, 2))])}, {Z0})),
    ):
        loop = recurrence(T, [(z, Z0, add([z, inner, pointwise("tanh", weight)]))], [(given, both)], [(weight, Z0)], [])
        (left,) = loops(*hoist(Roots((project(loop, 0),))).nodes)
        assert (set(left.xs) - {both}, set(left.consts) - {Z0}) == (wanted[0] - {both}, wanted[1] - {Z0})


def test_sums_over_steps_go_inside() -> None:
    """Of a sum into its terms, of a bracket into its factors, of anything else around it."""
    A, B = tensor("A", "T", "N", "D"), tensor("B", "T", "N", "H")
    product = einsum(2, [(A, "tnd"), (B, "tnh")], "tdh")
    assert sum_steps(product, T) is einsum(2, [(A, "tnd"), (B, "tnh")], "dh")
    assert sum_steps(pointwise("tanh", A), T) is einsum(1, [(pointwise("tanh", A), "tnd")], "nd")
    parts = add([product, einsum(1, [(pointwise("sin", A), "tnd"), (B, "tnh")], "tdh")])
    assert sum_steps(parts, T) is add([sum_steps(term, T) for term in parts.operands])
