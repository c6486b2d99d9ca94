"""Single rules of the simplifier: constants folded exactly, one order of a bracket, forms that do not overflow."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from bracketc.ir import build
from bracketc.ir.build import (
    add,
    delta,
    einsum,
    fill,
    fill_value,
    literal,
    multiply,
    permute,
    pointwise,
    power,
    project,
    scale,
    size,
)
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Add, Einsum, Node, Pointwise, Recurrence, Reduce, Select, Tensor
from bracketc.ir.recurrence import recurrence
from bracketc.ir.rewrite import Roots, tensors, topological
from bracketc.proof.wording import worded
from bracketc.simplify.broadcasts import broadcast_scalar, fold_constant, spread_later
from bracketc.simplify.canonical import canonical_bracket, declared_symmetry, no_symmetry
from bracketc.simplify.facts import declared_positive, positive
from bracketc.simplify.flatten import _components
from bracketc.simplify.order import term_key
from bracketc.simplify.powers import split_size
from bracketc.simplify.recurrences import drop_unused
from bracketc.simplify.sharing import share_transposes
from bracketc.simplify.stable import (
    are_opposite,
    complement_sigmoids,
    logarithm,
    shift_logsumexps,
    stable_difference,
    stable_exponential,
    stable_logarithm,
    stable_power,
    stable_quotient,
)

N, M, K = (Dim.named(name) for name in "NMK")
A, S, X = build.tensor("A", "N", "M"), build.tensor("S", "N", "N"), build.tensor("X", "N", "M")
x, y, z = (build.tensor(name, "N") for name in "xyz")
SIZES = {"N": 3, "M": 2, "K": 4}


SUM = einsum(1, [(pointwise("exp", X), "nk")], "n")
WEIGHTED = einsum(1, [(pointwise("exp", X), "nk"), (build.tensor("B", "M", "N"), "kd")], "nd")
PUSHED = "(exp(X)_ik B_kj (exp(X)_ij | i)**-1_i | ij)"
MEAN = einsum(1, [(pointwise("exp", X), "nk"), (build.tensor("w", "M"), "k")], "n")
SQUARE = einsum(1, [(pointwise("exp", X), "nk"), (build.tensor("B", "M", "N"), "kd")], "nd")
OUTSIDE = einsum(1, [(X, "nk"), (build.tensor("B", "M", "N"), "kd")], "nd")
ROWS = einsum(1, [(pointwise("exp", x), "n"), (X, "nk"), (build.tensor("B", "M", "N"), "kd")], "nd")


def value(node: Node) -> np.ndarray:
    arrays = {}
    for tensor in tensors([node]):
        shape = tuple(extent.evaluate(SIZES) for extent in tensor.shape)
        arrays[tensor] = np.random.default_rng([ord(letter) for letter in tensor.name]).uniform(0.5, 1.5, shape)
    return interpret([node], arrays, SIZES)[0]


def exp(node: Node) -> Node:
    return pointwise("exp", node)


def applied(rule: Callable[[Node], Node], node: Node) -> str:
    new = rule(node)
    np.testing.assert_allclose(value(new), value(node), rtol=1e-12)
    return worded(new)


# ------------------------------------------------------------------------------------------------- constants
EXACT = {  # the numbers at which a function has a value without rounding, and is folded
    **dict.fromkeys(("sin", "tan", "asin", "atan", "sinh", "tanh", "erf", "log1p", "expm1"), "0"),
    **dict.fromkeys(("exp", "cos", "cosh", "sigmoid"), "0"),
    **dict.fromkeys(("abs", "relu", "sign", "step"), "-2 -1/2 0 1/2 1 2"),
    **dict.fromkeys(("ln", "log10"), "1"),
    **dict.fromkeys(("softplus", "lgamma", "digamma"), ""),
}


@pytest.mark.parametrize("function", EXACT)
def test_functions_of_exact_numbers_are_folded_where_their_value_is_exact(function: str) -> None:
    wanted = {Fraction(text) for text in EXACT[function].split()}
    for number in (Fraction(-2), Fraction(-1, 2), Fraction(0), Fraction(1, 2), Fraction(1), Fraction(2)):
        node = Pointwise(function, (fill(number, (N,)),))
        folded = fold_constant(node)
        assert (folded is not node) == (number in wanted), number
        if number in wanted:
            assert isinstance(fill_value(folded), Fraction) and folded.shape == (N,)
            np.testing.assert_array_equal(value(folded), value(node))
    inexact = Pointwise(function, (fill(0.5, (N,)),))
    assert fold_constant(inexact) is inexact


@pytest.mark.parametrize("function", ["max", "min"])
def test_the_larger_and_the_smaller_of_two_numbers(function: str) -> None:
    for left in (Fraction(-2), Fraction(0), Fraction(3)):
        for right in (Fraction(-1), Fraction(3)):
            node = Pointwise(function, (fill(left, (N,)), fill(right, (N,))))
            assert fill_value(fold_constant(node)) == (max if function == "max" else min)(left, right)
    open_one = Pointwise(function, (fill(0, (N,)), x))
    assert fold_constant(open_one) is open_one


def test_a_scalar_is_spread_over_the_shape_of_another() -> None:
    c = build.tensor("c")
    assert broadcast_scalar(c, literal(1)) is c
    assert broadcast_scalar(c, A).shape == (N, M) and worded(broadcast_scalar(c, A)) == "(c | ij)"


def test_work_is_done_before_spreading_along_the_axes_that_all_operands_share() -> None:
    rows, columns = einsum(1, [(x, (0,))], (0, 1), {0: N, 1: M}), einsum(1, [(build.tensor("b", "M"), (1,))], (0, 1), {0: N, 1: M})
    assert applied(spread_later, exp(rows)) == "(exp(x)_i | ij)"
    other = einsum(1, [(pointwise("tanh", y), (0,))], (0, 1), {0: N, 1: M})
    assert applied(spread_later, Add((rows, other))) == "((x + tanh(y))_i | ij)"
    for kept in (Add((rows, columns)), Add((rows, A)), Add((A, columns)), x):
        assert spread_later(kept) is kept
    chosen = Select(build.compare("<", rows, rows), rows, scale(2, rows))
    assert not isinstance(spread_later(chosen), Select)


# ------------------------------------------------------------------------------------------------- products and sizes
def test_a_transposed_product_is_the_transposition_of_the_product() -> None:
    B = build.tensor("B", "M", "K")
    made, turned = (Einsum(Fraction(2), ((A, (0, 2)), (B, (2, 1))), (0, 1), (N, K, M)), einsum(2, [(A, "ij"), (B, "jk")], "ki"))
    assert share_transposes(Roots((made, turned))).nodes == (made, permute(made, (1, 0)))
    assert share_transposes(Roots((made, exp(turned)))).nodes == (made, exp(permute(made, (1, 0))))
    other = einsum(3, [(A, "ij"), (B, "jk")], "ki")
    assert share_transposes(Roots((made, other))).nodes == (made, other)


def test_factors_that_common_labels_connect() -> None:
    def groups(node: Node) -> set[frozenset[Node]]:
        assert isinstance(node, Einsum)
        return {frozenset(factor for factor, _ in group) for group in _components(node)}

    c, d, w = build.tensor("c"), build.tensor("d"), build.tensor("w", "M")
    assert groups(einsum(1, [(x, "i"), (y, "j"), (z, "k")], "ijk")) == {frozenset((x, y, z))}, "they reach the output"
    assert groups(einsum(1, [(x, "i"), (y, "j"), (w, "k"), (X, "lk")], "ij")) == {frozenset((x, y)), frozenset((w, X))}
    assert groups(einsum(1, [(c, ""), (d, ""), (x, "i")], "i")) == {frozenset((c,)), frozenset((d,)), frozenset((x,))}


@pytest.mark.parametrize(
    ("dim", "wanted"), [(N, "N"), (N * N, "N**2"), (2 * N, "2 N"), (N * M, "M N"), (N * N * M, "M N**2"), (N + M, "(M + N)")]
)
def test_a_size_is_the_product_of_its_names(dim: Dim, wanted: str) -> None:
    found = split_size(size(dim))
    assert found is size(dim) if dim in (N, N + M) else worded(found) in (wanted, " ".join(reversed(wanted.split())))
    assert value(found) == value(size(dim))


def test_what_a_loop_takes_step_by_step_is_a_constant_where_all_steps_are_equal() -> None:
    """Equal along the steps, and not along another axis."""
    T = Dim.named("T")
    z, u = Tensor("%z", (N,)), Tensor("%u", (N,))
    v, w = Tensor("v", (T,)), build.tensor("w", "N")
    for stack, is_constant in (
        (einsum(1, [(v, (0,))], (0, 1), {0: T, 1: N}), False),
        (einsum(1, [(w, (1,))], (0, 1), {0: T, 1: N}), True),
        (fill(2, (T, N)), True),
    ):
        loop = recurrence(T, [(z, x, multiply(z, add([z, u])))], [(u, stack)], [], [])
        (found,) = drop_unused(Roots((project(loop, 0),))).nodes
        loops = [node for node in topological([found]) if isinstance(node, Recurrence)]
        assert len(loops) == 1 and (not loops[0].xs) == is_constant
        arrays = {x: np.ones(3), v: np.array([0.5, 2.0]), w: np.array([1.0, -1, 0.5])}
        new, old = (interpret([node], arrays, {"N": 3, "T": 2})[0] for node in (found, project(loop, 0)))
        np.testing.assert_allclose(new, old)


# ------------------------------------------------------------------------------------------------- one order
def respelled(node: Einsum, rng: np.random.Generator, turned: Callable[[Node], bool]) -> Node:
    """The same bracket with its factors, its summed labels and the axes of symmetric factors in another order."""
    width = len(node.output)
    names = [*range(width), *(width + int(k) for k in rng.permutation(len(node.extents) - width))]
    factors = [(factor, tuple(names[label] for label in labels)) for factor, labels in node.factors]
    factors = [factors[int(k)] for k in rng.permutation(len(factors))]
    swapped = [(f, labels[::-1] if turned(f) and rng.random() < 0.5 else labels) for f, labels in factors]
    extents = dict(zip(names, node.extents, strict=True))
    return Einsum(node.coefficient, tuple(swapped), node.output, tuple(extents[label] for label in range(len(names))))


U, V = (Tensor(name, (N, N), "real", ("symmetric",)) for name in "UV")


@pytest.mark.parametrize("symmetric", [no_symmetry, declared_symmetry])
def test_a_bracket_has_one_order_however_it_is_written(symmetric: Callable[[Node], bool]) -> None:
    """Cycles, stars and cliques of one matrix, where labels and names alone decide nothing, and random ones."""
    graphs: list[list[tuple[Node, str]]] = [
        [(S, "ab"), (S, "bc"), (S, "cd"), (S, "da")],
        [(S, "ab"), (S, "ac"), (S, "ad")],
        [(U, p + q) for p, q in permutations("abc", 2)],
        [(U, "ab"), (U, "bc"), (U, "cd"), (U, "de"), (U, "ea")],
        [(U, "ab"), (U, "bc"), (U, "ca"), (U, "de"), (U, "ef"), (U, "fd")],
        [(U, "ab"), (U, "bc"), (U, "cd"), (U, "de"), (U, "ef"), (U, "fa")],
        [(S, "ab"), (S, "cd"), (x, "a"), (x, "c"), (y, "b"), (z, "d")],
    ]
    rng = np.random.default_rng(4)
    for _ in range(6):
        pairs = ["".join(rng.choice(list("abcde"), 2)) for _ in range(5)]
        graphs.append([*((U if rng.random() < 0.6 else S, pair) for pair in pairs), (x, "a"), (V, "be"), (delta(N), "cd")])
    for graph in graphs:
        letters = sorted({letter for _, labels in graph for letter in labels})
        for output in ("", letters[0], letters[0] + letters[-1]):
            order = [*output, *(letter for letter in letters if letter not in output)]
            factors = tuple((factor, tuple(order.index(letter) for letter in labels)) for factor, labels in graph)
            node = Einsum(Fraction(1), factors, tuple(range(len(output))), (N,) * len(letters))
            found = canonical_bracket(node, symmetric)
            assert canonical_bracket(found, symmetric) is found
            for _ in range(3):
                assert canonical_bracket(respelled(node, rng, symmetric), symmetric) is found
            if symmetric is no_symmetry:
                np.testing.assert_allclose(value(found), value(node))


def test_six_edges_are_a_cycle_or_two_triangles() -> None:
    """Every factor and every label looks alike in both; they are different brackets."""

    def of(*pairs: str) -> Node:
        factors = tuple((U, tuple("abcdef".index(letter) for letter in pair)) for pair in pairs)
        return canonical_bracket(Einsum(Fraction(1), factors, (), (N,) * 6), declared_symmetry)

    assert of("ab", "bc", "cd", "de", "ef", "fa") is not of("ab", "bc", "ca", "de", "ef", "fd")


def test_what_may_swap_its_labels() -> None:
    cube = Tensor("C", (N, N, N), "real", ("symmetric",))
    diagonal, definite = (Tensor("D", (N, N), "real", (trait,)) for trait in ("diagonal", "positive definite"))
    assert all(declared_symmetry(node) for node in (U, diagonal, definite, delta(N)))
    assert not any(declared_symmetry(node) for node in (S, x, cube, exp(U))) and not no_symmetry(U) and no_symmetry(delta(N))


def test_sums_read_from_products_to_numbers_and_what_is_subtracted_comes_last() -> None:
    turned = permute(S, (1, 0))
    assert term_key(S)[:2] == term_key(turned)[:2] == term_key(scale(2, turned))[:2], "a tensor is a product of one"
    less = [scale(-1, multiply(x, y)), scale(-1, multiply(x, y, z))]
    ordered = sorted([*less, scale(Fraction(1, 2), multiply(y, z)), x, multiply(x, y, z), multiply(x, z)], key=term_key)
    assert [worded(term) for term in ordered] == [
        "(x_i y_i z_i | i)", "((1/2) y_i z_i | i)", "(x_i z_i | i)", "x", "(-x_i y_i z_i | i)", "(-x_i y_i | i)",
    ]  # fmt: skip


def test_a_term_that_is_constant_along_the_reduced_axes_moves_out() -> None:
    c = einsum(1, [(y, (0,))], (0, 1), {0: N, 1: M})
    row = einsum(1, [(build.tensor("b", "M"), (1,))], (0, 1), {0: N, 1: M})
    assert applied(shift_logsumexps, Reduce("logsumexp", Add((A, c)), (1,))) == "(logsumexp(A) + y)"
    assert applied(shift_logsumexps, Reduce("logsumexp", Add((A, c, X)), (1,))) == "(logsumexp((A + X)) + y)"
    for kept in (Reduce("logsumexp", Add((A, row)), (1,)), Reduce("max", Add((A, c)), (1,)), Reduce("logsumexp", A, (1,)), x):
        assert shift_logsumexps(kept) is kept
    for both in (Reduce("logsumexp", Add((A, c)), (0, 1)), Reduce("logsumexp", Add((c, scale(2, c))), (1,))):
        assert shift_logsumexps(both) is both


def test_the_logarithm_of_what_is_an_exponential_by_its_form() -> None:
    sums = [Add((exp(x), exp(y), fill(1, (N,)))), add([exp(x), scale(3, exp(y))])]
    for node in (exp(x), power(exp(x), -2), SUM, pointwise("sigmoid", x), *sums):
        log = logarithm(node)
        assert log is not None
        np.testing.assert_allclose(value(log), np.log(value(node)), rtol=1e-12)
        assert not any(isinstance(inner, Pointwise) and inner.function == "exp" for inner in topological([log]))
    sums = [einsum(2, [(exp(X), "nk")], "n"), einsum(1, [(exp(S), "nn")], "n"), einsum(1, [(exp(X), "nk"), (X, "nk")], "n")]
    sums += [einsum(1, [(X, "nk")], "n"), einsum(1, [(exp(S), "nn")], ""), einsum(1, [(exp(y), "k")], "n", {"n": M})]
    for node in (x, Add((exp(x), y)), add([exp(x), scale(-1, exp(y))]), power(x, 2), *sums):
        assert logarithm(node) is None


def test_the_logarithm_of_a_sum_keeps_the_order_of_its_axes_and_starts_at_zero() -> None:
    T = build.tensor("T", "N", "M", "K")
    for output in ("ab", "ba", "bc", "cb", "ac", "ca", "a", "c"):
        node = einsum(1, [(exp(T), "abc")], output)
        log = logarithm(node)
        assert log is not None
        np.testing.assert_allclose(value(log), np.log(value(node)), rtol=1e-12)
    one = fill(1, (N,))
    for node in (Add((exp(x), one)), Add((one, exp(x)))):
        log = logarithm(node)
        assert log is not None and worded(log) == "softplus(x)"


@pytest.mark.parametrize("turned", [False, True])
def test_the_complement_of_a_sigmoid_that_nothing_else_needs_is_one(turned: bool) -> None:
    def less(first: Node, second: Node) -> Add:
        return Add((second, first) if turned else (first, second))

    one, sigmoid = fill(1, (N,)), pointwise("sigmoid", x)
    minus = scale(-1, sigmoid)
    opposite = pointwise("sigmoid", scale(-1, x))
    node = less(one, minus)
    for root, wanted in ((node, opposite), (exp(node), exp(opposite)), (exp(y), exp(y))):
        assert complement_sigmoids(Roots((root,))).nodes == (wanted,)
    np.testing.assert_allclose(value(node), value(opposite), rtol=1e-12)
    kept = [less(fill(2, (N,)), minus), less(one, scale(-2, sigmoid)), less(one, sigmoid), less(one, scale(-1, exp(x)))]
    kept += [Add((one, minus, y)), less(y, minus), less(one, x)]
    for other in kept:
        assert complement_sigmoids(Roots((other,))).nodes == (other,)
    for again in (sigmoid, minus, exp(sigmoid)):
        assert complement_sigmoids(Roots((node, again))).nodes == (node, again)


def test_opposites_are_found_term_by_term() -> None:
    both = Add((x, y))
    assert are_opposite(Add((x, scale(-2, y))), Add((scale(2, y), scale(-1, x)))) and are_opposite(x, scale(-1, x))
    assert are_opposite(scale(-1, both), both) and are_opposite(scale(3, both), Add((scale(-3, x), scale(-3, y))))
    assert not are_opposite(x, x) and not are_opposite(both, scale(-1, x)) and not are_opposite(both, Add((scale(-1, x), y)))


def test_what_is_positive_by_its_form() -> None:
    known = Tensor("P", (N,), "real", ("positive",))
    made = [multiply(exp(x), exp(y)), scale(3, exp(x)), Add((exp(x), exp(y)))]
    for node in (exp(x), literal(2), literal(Fraction(1, 2)), fill(Fraction(1, 2), (N,)), size(N), *made):
        assert positive(node) and declared_positive(node), worded(node)
    for node in (known, scale(3, known), multiply(known, exp(x)), Add((known, exp(x))), power(known, Fraction(-1, 2))):
        assert not positive(node) and declared_positive(node), worded(node)
    unknown = [scale(-1, known), multiply(known, x), Add((known, x)), pointwise("relu", x)]
    for node in (x, literal(0), literal(-1), fill(0, (N,)), *unknown):
        assert not positive(node) and not declared_positive(node), worded(node)
    larger, smaller = (Pointwise(name, (x, exp(y))) for name in ("max", "min"))
    assert positive(larger) and not positive(smaller) and positive(Pointwise("min", (exp(x), exp(y))))


# ------------------------------------------------------------------------------------------------- what cannot overflow
def quotient(*factors: tuple[Node, str], output: str) -> Node:
    return einsum(1, factors, output)


@pytest.mark.parametrize(
    ("rule", "node", "wanted"),
    [
        (stable_difference, add([exp(x), fill(-1, (N,))]), "expm1(x)"),
        (stable_difference, add([fill(1, (N,)), scale(-1, exp(x))]), "-expm1(x)"),
        (stable_difference, Add((exp(x), fill(1, (N,)))), None),
        (stable_difference, Add((scale(2, exp(x)), fill(-2, (N,)))), None),
        (stable_difference, Add((scale(2, exp(x)), fill(-1, (N,)))), None),
        (stable_difference, Add((exp(x), fill(-1, (N,)), y)), None),
        (stable_exponential, exp(scale(-1, pointwise("softplus", x))), "sigmoid(-x)"),
        (stable_exponential, exp(scale(-2, pointwise("softplus", x))), None),
        (stable_exponential, exp(pointwise("softplus", x)), None),
        (stable_exponential, exp(Add((x, scale(-1, pointwise("softplus", x))))), "sigmoid(x)"),
        (stable_exponential, exp(Add((y, scale(-1, pointwise("softplus", x))))), None),
        (stable_exponential, exp(Add((x, pointwise("softplus", x)))), None),
        (stable_exponential, exp(Add((x, y, scale(-1, pointwise("softplus", add([x, y])))))), "sigmoid((x + y))"),
        (stable_exponential, exp(Add((scale(2, x), scale(-1, pointwise("softplus", x))))), None),
        (stable_exponential, exp(pointwise("ln", exp(x))), "exp(x)"),
        (stable_exponential, exp(pointwise("ln", x)), None),
        (stable_power, power(exp(x), -1), "exp(-x)"),
        (stable_power, power(exp(x), 2), None),
        (stable_power, power(exp(x), Fraction(1, 2)), "exp((1/2) x)"),
        (stable_power, power(Add((fill(1, (N,)), exp(x))), -1), "sigmoid(-x)"),
        (stable_power, power(Add((exp(x), fill(1, (N,)))), -2), "sigmoid(-x)**2"),
        (stable_power, power(Add((exp(x), fill(1, (N,)))), 2), None),
        (stable_power, power(Add((exp(x), fill(2, (N,)))), -1), None),
        (stable_power, power(Add((exp(x), fill(1, (N,)))), Fraction(-1, 2)), None),
        (stable_quotient, multiply(exp(x), exp(scale(-1, y))), "exp((x - y))"),
        (stable_quotient, multiply(exp(x), exp(y)), None),
        (stable_quotient, multiply(exp(x), pointwise("sigmoid", scale(-1, x))), "sigmoid(x)"),
        (stable_quotient, multiply(exp(x), pointwise("sigmoid", x)), None),
        (stable_quotient, quotient((exp(X), "nk"), (power(SUM, -1), "n"), output="nk"), "exp((X + (-logsumexp(X)_i | ij)))"),
        (stable_quotient, quotient((exp(X), "nk"), (power(SUM, 2), "n"), output="nk"), None),
        (stable_quotient, quotient((WEIGHTED, "nd"), (power(SUM, -1), "n"), output="nd"), PUSHED),
        (stable_quotient, quotient((WEIGHTED, "nd"), (power(SUM, 2), "n"), output="nd"), None),
        (stable_quotient, quotient((WEIGHTED, "nd"), (power(x, -1), "n"), output="nd"), None),
        (stable_quotient, quotient((WEIGHTED, "nd"), (power(SUM, Fraction(1, 2)), "n"), output="nd"), None),
        (stable_quotient, quotient((WEIGHTED, "nd"), (power(SUM, -1), "m"), output="ndm"), None),
        (stable_quotient, quotient((SQUARE, "nn"), (power(SUM, -1), "n"), output="n"), None),
        (stable_quotient, quotient((OUTSIDE, "nd"), (power(SUM, -1), "n"), output="nd"), None),
        (stable_quotient, quotient((MEAN, "n"), (power(SUM, -1), "n"), output="n"), "(exp(X)_ij w_j (exp(X)_ij | i)**-1_i | i)"),
        (
            stable_quotient, quotient((ROWS, "nd"), (y, "n"), (power(SUM, -1), "n"), output="nd"),
            "((exp(x)_i X_ik B_kj (exp(X)_ij | i)**-1_i | ij)_ij y_i | ij)",
        ),
        (
            stable_quotient, quotient((WEIGHTED, "nd"), (power(SUM, -1), "m"), (power(SUM, -1), "n"), output="ndm"),
            "((exp(X)_ik B_kj (exp(X)_ij | i)**-1_i | ij)_ij (exp(X)_ij | i)**-1_k | ijk)",
        ),
        (stable_quotient, quotient((exp(X), "nk"), (power(SUM, Fraction(1, 2)), "n"), output="nk"), None),
        (stable_quotient, quotient((exp(S), "nn"), (exp(scale(-1, x)), "n"), output="n"), None),
        (stable_quotient, quotient((exp(x), "n"), (exp(scale(-1, S)), "nn"), output="n"), None),
        (stable_quotient, quotient((exp(x), "n"), (exp(scale(-1, y)), "m"), output="nm"), None),
        (stable_quotient, multiply(exp(x), power(y, -1)), None),
        (stable_quotient, multiply(exp(x), exp(scale(Fraction(1, 2), y))), None),
        (stable_quotient, multiply(y, exp(scale(-1, x))), None),
        (stable_quotient, multiply(z, exp(x), exp(scale(-1, y))), "(exp((x - y))_i z_i | i)"),
        (stable_quotient, scale(2, exp(x)), None),
        (stable_quotient, x, None),
        (stable_power, x, None),
        (stable_power, exp(x), None),
        (stable_logarithm, pointwise("ln", exp(x)), "x"),
        (stable_logarithm, pointwise("ln", SUM), "logsumexp(X)"),
        (stable_logarithm, pointwise("ln", Add((fill(1, (N,)), exp(x)))), "softplus(x)"),
        (stable_logarithm, pointwise("ln", Add((fill(1, (N,)), x))), "log1p(x)"),
        (stable_logarithm, pointwise("ln", Add((fill(1, (N,)), x, y))), "log1p((x + y))"),
        (stable_logarithm, pointwise("ln", Add((fill(2, (N,)), x))), None),
        (stable_logarithm, pointwise("ln", Add((fill(1, (N,)), scale(-1, pointwise("sigmoid", x))))), "-softplus(x)"),
        (stable_logarithm, pointwise("ln", Add((fill(1, (N,)), scale(2, pointwise("sigmoid", x))))), "log1p(2 sigmoid(x))"),
        (stable_logarithm, pointwise("ln", Add((fill(1, (N,)), scale(-1, x)))), "log1p(-x)"),
        (stable_logarithm, pointwise("ln", Add((fill(1, (N,)), pointwise("sigmoid", x)))), "softplus(-softplus(-x))"),
        (stable_logarithm, pointwise("ln", Add((fill(1, (N,)), SUM))), "softplus(logsumexp(X))"),
        (stable_logarithm, pointwise("log1p", exp(x)), "softplus(x)"),
        (stable_logarithm, pointwise("log1p", x), None),
        (stable_logarithm, pointwise("ln", Add((exp(x), exp(y)))), "(x + softplus((y - x)))"),
        (stable_logarithm, pointwise("ln", power(exp(x), 3)), "3 x"),
        (stable_logarithm, pointwise("ln", power(x, 3)), None),
        (stable_logarithm, pointwise("ln", multiply(exp(x), y)), "(x + ln(y))"),
        (stable_logarithm, pointwise("ln", scale(2, exp(x))), "(x + (ln(2) | i))"),
        (stable_logarithm, pointwise("ln", multiply(x, y)), None),
    ],
)  # fmt: skip
def test_forms_that_overflow_are_replaced_and_others_stay(rule: Callable[[Node], Node], node: Node, wanted: str | None) -> None:
    if wanted is None:
        assert rule(node) is node
    else:
        assert applied(rule, node) == wanted
