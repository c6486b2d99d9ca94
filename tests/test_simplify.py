"""Every rewrite by its name: the node before, and the very node after."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bracketc.calculus.derivatives import hessian
from bracketc.ir import build
from bracketc.ir.build import (
    add,
    broadcast,
    delta,
    einsum,
    entry,
    fill,
    literal,
    multiply,
    ones,
    overlap,
    permute,
    pointwise,
    power,
    reciprocal,
    scale,
    select,
    size,
    subtract,
    window,
    zeros,
)
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Compare, Delta, Gather, Node, Reduce, Scatter, Stack, Tensor
from bracketc.ir.printer import print_roots
from bracketc.ir.rewrite import Origin, Roots, topological
from bracketc.ir.verify import verify
from bracketc.simplify import simplify, stabilise
from bracketc.simplify.canonical import canonicalise
from bracketc.simplify.deltas import eliminate_deltas
from bracketc.simplify.flatten import inline_brackets, join_sums, pull_outer
from bracketc.simplify.sums import pull_outer_terms

N, K, M, J = (Dim.named(name) for name in ("N", "K", "M", "J"))
A, B, C = build.tensor("A", "N", "K"), build.tensor("B", "K", "M"), build.tensor("C", "N", "K")
X, Y = build.tensor("X", "N", "K"), build.tensor("Y", "N", "K")
SQUARE = build.tensor("S", "K", "K")
v, w = build.tensor("v", "K"), build.tensor("w", "K")
s, t = build.tensor("s"), build.tensor("t")
POSITIVE = build.tensor("P", "N", "K", traits=["positive"])
SYMMETRIC = build.tensor("S", "K", "K", traits=["symmetric"])
DIAGONAL = build.tensor("D", "K", "K", traits=["diagonal"])
ORTHOGONAL = build.tensor("Q", "K", "K", traits=["orthogonal"])
ONEHOT = build.tensor("Y", "N", "K", traits=["onehot rows"])
INDEX = Tensor("index", (M,), "integer", (), N)


def one(node: Node, apply: Callable[[Roots], Roots] = simplify) -> Node:
    (result,) = apply(Roots((node,))).nodes
    verify([result])
    return result


def spread(node: Node) -> Node:
    """A vector over N, or a scalar, over N and K."""
    return broadcast(node, (N, K), (0,) if node.rank else ())


def exp(node: Node) -> Node:
    return pointwise("exp", node)


def ln(node: Node) -> Node:
    return pointwise("ln", node)


def minus(node: Node) -> Node:
    return scale(-1, node)


def row_sums(node: Node) -> Node:
    return einsum(1, [(node, "nk")], "n")


def softmax_as_written(node: Node) -> Node:
    return einsum(1, [(exp(node), "nk"), (reciprocal(row_sums(exp(node))), "n")], "nk")


LSE = Reduce("logsumexp", X, (1,))
LOG_SOFTMAX = subtract(X, spread(LSE))
SOFTMAX = exp(LOG_SOFTMAX)
ONE = ones((N, K))
TOP = Reduce("max", X, (1,))
SHIFTED = subtract(X, spread(TOP))
PER_SAMPLE = reciprocal(size(N))

CASES: dict[str, tuple[Node, Node]] = {
    # deltas
    "a summed delta renames": (einsum(1, [(delta(K), "ij"), (B, "jm")], "im"), B),
    "a trace of a delta is a size": (einsum(1, [(delta(K), "ii")], ""), size(K)),
    "deltas in a chain": (
        einsum(1, [(A, "ni"), (delta(K), "ij"), (delta(K), "jk"), (B, "km")], "nm"),
        one(A_B := einsum(1, [(A, "nk"), (B, "km")], "nm")),
    ),
    "a free delta takes the labels of others": (
        einsum(1, [(delta(K), "ij"), (v, "j"), (B, "im")], "ijm"),
        einsum(1, [(v, "i"), (delta(K), "ij"), (B, "im")], "ijm"),
    ),
    "a diagonal matrix meets a sum": (
        einsum(1, [(einsum(1, [(delta(K), "ij"), (v, "j")], "ij"), "ij"), (B, "jm")], "im"),
        einsum(1, [(v, "i"), (B, "im")], "im"),
    ),
    "a free delta leaves a contraction": (
        einsum(1, [(einsum(1, [(delta(N), "np"), (A, "nk"), (B, "km")], "npm"), "npm"), (C, "pk")], "nmk"),
        einsum(1, [(A_B, "nm"), (C, "nk")], "nmk"),
    ),
    # brackets
    "a permuted factor": (einsum(1, [(permute(A, (1, 0)), "kn"), (B, "km")], "nm"), A_B),
    "a scaled factor": (einsum(3, [(scale(2, A), "nk"), (v, "k")], "nk"), einsum(6, [(A, "nk"), (v, "k")], "nk")),
    "a spread factor": (
        einsum(1, [(spread(build.tensor("u", "N")), "nk"), (B, "km")], "nm"),
        one(einsum(1, [(build.tensor("u", "N"), "n"), (B, "km")], "nm")),
    ),
    "a sum over a spread label": (
        row_sums(spread(build.tensor("u", "N"))),
        einsum(1, [(size(K), ""), (build.tensor("u", "N"), "n")], "n"),
    ),
    "factors in another order": (einsum(1, [(B, "km"), (A, "nk")], "nm"), A_B),
    "an outer sum joins": (einsum(1, [(A_B, "nm")], ""), one(einsum(1, [(A, "nk"), (B, "km")], ""))),
    "numbers fold": (scale(Fraction(1, 2), scale(4, A)), scale(2, A)),
    "a mask that does not vary": (
        einsum(1, [(Compare(">", broadcast(v, (N, K), (1,)), zeros((N, K))), "nk"), (A, "nk")], "nk"),
        einsum(1, [(A, "nk"), (Compare(">", v, zeros((K,))), "k")], "nk"),
    ),
    # powers and sizes
    "size over size": (einsum(1, [(size(N), ""), (PER_SAMPLE, ""), (A, "nk")], "nk"), A),
    "size of a product": (multiply(size(2 * N * K), PER_SAMPLE), scale(2, size(K))),
    "equal factors": (multiply(A, A), power(A, 2)),
    "three equal factors": (multiply(A, A, A, C), one(multiply(power(A, 3), C))),
    "a squared norm": (einsum(1, [(power(v, 2), "k")], ""), einsum(1, [(v, "k"), (v, "k")], "")),
    "a power of a power": (power(power(A, 2), -1), power(A, -2)),
    "the root of a square stays": (power(power(A, 2), Fraction(1, 2)), power(power(A, 2), Fraction(1, 2))),
    "a power of a product with a number": (power(scale(2, A), -1), scale(Fraction(1, 2), power(A, -1))),
    "x over x stays where x may be 0": (multiply(A, reciprocal(A)), one(multiply(A, reciprocal(A)))),
    "x over x where x cannot be 0": (multiply(exp(A), reciprocal(exp(A))), ONE),
    # sums
    "like terms": (add([A, scale(2, A)]), scale(3, A)),
    "transposed like terms": (
        add([einsum(1, [(v, "k"), (w, "k")], ""), einsum(1, [(w, "j"), (v, "j")], "")]),
        one(einsum(2, [(v, "k"), (w, "k")], "")),
    ),
    "terms that cancel": (add([A, C, minus(A)]), C),
    "all terms cancel": (subtract(A, A), zeros((N, K))),
    "nested sums": (add([add([A, C]), X]), add([A, C, X])),
    "a number before a nested sum": (subtract(A, scale(2, add([C, X]))), one(add([A, scale(-2, C), scale(-2, X)]))),
    "a common scalar": (
        add([einsum(1, [(PER_SAMPLE, ""), (A, "nk")], "nk"), einsum(-1, [(PER_SAMPLE, ""), (C, "nk")], "nk")]),
        einsum(1, [(PER_SAMPLE, ""), (subtract(A, C), "nk")], "nk"),
    ),
    "a common sign": (add([minus(A), minus(C)]), minus(add([A, C]))),
    "a term inside that cancels": (
        subtract(add([A, spread(build.tensor("u", "N"))]), spread(add([build.tensor("u", "N"), LSE]))),
        subtract(A, spread(LSE)),
    ),
    "terms in another order": (add([C, A]), add([A, C])),
    # spread tensors
    "a function of a spread tensor": (
        pointwise("tanh", broadcast(v, (N, K), (1,))),
        broadcast(pointwise("tanh", v), (N, K), (1,)),
    ),
    "a sum of spread tensors": (
        add([broadcast(v, (N, K), (1,)), broadcast(w, (N, K), (1,))]),
        broadcast(add([v, w]), (N, K), (1,)),
    ),
    "a conditional of spread tensors": (
        select(Compare("<", broadcast(v, (N, K), (1,)), broadcast(w, (N, K), (1,))), broadcast(v, (N, K), (1,)), ONE),
        broadcast(select(Compare("<", v, w), v, ones((K,))), (N, K), (1,)),
    ),
    "a function of a constant": (exp(zeros((N, K))), ONE),
    "equal branches": (select(Compare("<", A, C), X, add([X, zeros((N, K))])), X),
    # rearrangements
    "a window of a window": (
        window(window(v, 0, 2, (1,), (K - 2,)), 0, 3, (1,), (K - 5,)),
        window(v, 0, 5, (1,), (K - 5,)),
    ),
    "every other one, reversed": (
        window(window(v, 0, K - 1, (-1,), (K,)), 0, 0, (2,), (M,)),
        window(v, 0, K - 1, (-2,), (M,)),
    ),
    "an entry of a window": (entry(window(v, 0, 2, (1,), (K - 2,)), 0, 1), entry(v, 0, 3)),
    "a window inside an overlap": (window(overlap(v, 0, 2, (1,), K + 4), 0, 2, (1,), (K,)), v),
    "a window beside an overlap": (
        window(overlap(v, 0, 2, (1,), K + 4), 0, 0, (1,), (Dim.of(2),)),
        zeros((Dim.of(2),)),
    ),
    "an entry that was put in": (entry(overlap(s, 0, 1, (), Dim.of(3)), 0, 1), s),
    "an entry that was not put in": (entry(overlap(s, 0, 1, (), Dim.of(3)), 0, 2), literal(0)),
    "an entry of a stack": (entry(Stack((v, w)), 0, 1), w),
    "a window of a scaled tensor": (
        window(scale(2, v), 0, 1, (1,), (K - 1,)),
        scale(2, window(v, 0, 1, (1,), (K - 1,))),
    ),
    "a window along a spread axis": (entry(broadcast(v, (N, K), (1,)), 0, 0), v),
    "an overlap of a scaled tensor": (overlap(scale(2, v), 0, 1, (1,), K + 1), scale(2, overlap(v, 0, 1, (1,), K + 1))),
    "a sum over an overlap": (einsum(1, [(overlap(v, 0, 1, (1,), K + 1), "k")], ""), einsum(1, [(v, "k")], "")),
    "a scatter of zeros": (Scatter(zeros((M, K)), INDEX, N), zeros((N, K))),
    "a gather along a spread axis": (Gather(broadcast(v, (N, K), (1,)), INDEX), broadcast(v, (M, K), (1,))),
    "a stack of one thing": (Stack((v, v)), broadcast(v, (Dim.of(2), K), (1,))),
    # stable forms
    "softmax": (softmax_as_written(X), SOFTMAX),
    "softmax, shifted by the maximum": (softmax_as_written(SHIFTED), SOFTMAX),
    "log-softmax": (ln(softmax_as_written(X)), LOG_SOFTMAX),
    "log-softmax, shifted by the maximum": (ln(softmax_as_written(SHIFTED)), LOG_SOFTMAX),
    "log-sum-exp": (ln(row_sums(exp(X))), LSE),
    "log-sum-exp, shifted by the maximum": (add([TOP, ln(row_sums(exp(SHIFTED)))]), LSE),
    "log-sum-exp over the first axis": (ln(einsum(1, [(exp(X), "nk")], "k")), Reduce("logsumexp", X, (0,))),
    "log-mean-exp": (
        ln(einsum(1, [(reciprocal(size(K)), ""), (row_sums(exp(X)), "n")], "n")),
        one(add([LSE, broadcast(minus(ln(size(K))), (N,), ())])),
    ),
    "attention that is divided afterwards": (
        einsum(1, [(einsum(1, [(exp(X), "nk"), (B, "km")], "nm"), "nm"), (reciprocal(row_sums(exp(X))), "n")], "nm"),
        einsum(1, [(SOFTMAX, "nk"), (B, "km")], "nm"),
    ),
    "a quotient of exponentials": (multiply(exp(A), reciprocal(exp(C))), exp(subtract(A, C))),
    "ln of exp": (ln(exp(X)), X),
    "exp of ln stays": (exp(ln(X)), exp(ln(X))),
    "ln of a product with exp": (ln(multiply(exp(A), C)), add([A, ln(C)])),
    "sigmoid": (reciprocal(add([ONE, exp(minus(X))])), pointwise("sigmoid", X)),
    "sigmoid as a quotient": (multiply(exp(X), reciprocal(add([ONE, exp(X)]))), pointwise("sigmoid", X)),
    "sigmoid of a difference": (
        multiply(exp(subtract(A, C)), reciprocal(add([ONE, exp(subtract(A, C))]))),
        pointwise("sigmoid", subtract(A, C)),
    ),
    "softplus": (ln(add([ONE, exp(X)])), pointwise("softplus", X)),
    "ln of sigmoid": (ln(pointwise("sigmoid", X)), minus(pointwise("softplus", minus(X)))),
    "ln of 1 - sigmoid": (ln(subtract(ONE, pointwise("sigmoid", X))), minus(pointwise("softplus", X))),
    "ln of the sigmoid as written": (ln(reciprocal(add([ONE, exp(minus(X))]))), minus(pointwise("softplus", minus(X)))),
    "log1p": (ln(add([A, ONE])), pointwise("log1p", A)),
    "expm1": (subtract(exp(A), ONE), pointwise("expm1", A)),
    "1 - exp": (subtract(ONE, exp(A)), minus(pointwise("expm1", A))),
    "exp(x) - 2 is no expm1": (subtract(exp(A), fill(2, (N, K))), subtract(exp(A), fill(2, (N, K)))),
    # traits
    "rows that sum to one": (einsum(1, [(ONEHOT, "nk"), (C, "nj")], "nj"), C),
    "rows of a slice sum to one": (einsum(1, [(entry(ONEHOT, 0, 1), "k")], ""), literal(1)),
    "columns do not": (einsum(1, [(ONEHOT, "nk")], "k"), einsum(1, [(ONEHOT, "nk")], "k")),
    "all rows of a batch": (einsum(1, [(ONEHOT, "nk")], ""), size(N)),
    "a symmetric matrix": (
        einsum(1, [(SYMMETRIC, "ji"), (v, "j")], "i"),
        einsum(1, [(SYMMETRIC, "ij"), (v, "j")], "i"),
    ),
    "a symmetric matrix transposed": (permute(SYMMETRIC, (1, 0)), SYMMETRIC),
    "a matrix without a trait transposed": (permute(SQUARE, (1, 0)), permute(SQUARE, (1, 0))),
    "a diagonal matrix": (einsum(1, [(DIAGONAL, "ij"), (v, "j")], "i"), einsum(1, [(v, "i"), (DIAGONAL, "ii")], "i")),
    "an orthogonal matrix": (einsum(1, [(ORTHOGONAL, "ij"), (ORTHOGONAL, "ik"), (v, "k")], "j"), v),
    "exp of ln of a positive tensor": (exp(ln(POSITIVE)), POSITIVE),
    "the modulus of a positive tensor": (pointwise("abs", POSITIVE), POSITIVE),
    "the sign of a positive tensor": (pointwise("sign", POSITIVE), ONE),
    "a positive tensor over itself": (multiply(POSITIVE, reciprocal(POSITIVE)), ONE),
    "the root of the square of a positive tensor": (power(power(POSITIVE, 2), Fraction(1, 2)), POSITIVE),
}


@pytest.mark.parametrize("name", CASES)
def test_rewrite(name: str) -> None:
    before, after = CASES[name]
    assert one(before) is after, "\n" + print_roots([one(before), after])


UNCHANGED_BEFORE_DIFFERENTIATION = {
    "rows": einsum(1, [(ONEHOT, "nk")], "n"),
    "modulus": pointwise("abs", POSITIVE),
    "transpose": permute(SYMMETRIC, (1, 0)),
    "exp of ln": exp(ln(POSITIVE)),
}


@pytest.mark.parametrize("name", UNCHANGED_BEFORE_DIFFERENTIATION)
def test_traits_wait_until_after_differentiation(name: str) -> None:
    node = UNCHANGED_BEFORE_DIFFERENTIATION[name]
    assert one(node, stabilise) is node


def test_a_complement_of_a_sigmoid_used_nowhere_else() -> None:
    sigmoid = pointwise("sigmoid", X)
    complement = subtract(ONE, sigmoid)
    assert one(complement, stabilise) is pointwise("sigmoid", minus(X))
    both = stabilise(Roots((complement, sigmoid))).nodes
    assert both == (complement, sigmoid)


def cross_entropy_gradient(labels: Node) -> Node:
    """What reverse mode gives for -(1/N) Σ Y ln softmax(X), by hand."""
    back = einsum(-1, [(PER_SAMPLE, ""), (labels, "nk")], "nk")
    return add([back, einsum(-1, [(SOFTMAX, "nk"), (back, "nj")], "nk")])


def test_the_gradient_of_cross_entropy_is_short_under_the_trait_only() -> None:
    short = einsum(1, [(PER_SAMPLE, ""), (subtract(SOFTMAX, ONEHOT), "nk")], "nk")
    assert one(cross_entropy_gradient(ONEHOT)) is short
    general = one(cross_entropy_gradient(Y))
    assert general is not one(einsum(1, [(PER_SAMPLE, ""), (subtract(SOFTMAX, Y), "nk")], "nk"))
    values = {X: np.random.default_rng(0).normal(size=(3, 4)), Y: np.random.default_rng(1).normal(size=(3, 4))}
    found, want = interpret([general, cross_entropy_gradient(Y)], values)
    np.testing.assert_allclose(found, want)


def test_the_hessian_of_softmax_regression_holds_no_tensor_of_samples_and_two_classes() -> None:
    """A delta inside a sum meets the sum over samples: D·K·D numbers and a delta, and one contraction."""
    weight, labels = build.tensor("W", "K", "M"), build.tensor("Y", "N", "M", traits=["onehot rows"])
    scores = einsum(1, [(X, "nk"), (weight, "km")], "nm")
    lse = broadcast(Reduce("logsumexp", scores, (1,)), (N, M), (0,))
    loss = einsum(-1, [(labels, "nm"), (subtract(scores, lse), "nm")], "")
    (second,) = simplify(Roots((hessian(loss, weight, weight),))).nodes
    assert all(N not in node.shape for node in topological((second,)) if node.rank > 2)
    assert len([node for node in topological((second,)) if node.rank > 2]) == 4


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_large_inputs_stay_finite(shift: float) -> None:
    values = {X: np.random.default_rng(0).normal(size=(3, 4)) + shift}
    forms = [
        softmax_as_written(X),
        ln(softmax_as_written(X)),
        ln(row_sums(exp(X))),
        ln(add([ONE, exp(X)])),
        reciprocal(add([ONE, exp(X)])),
        ln(reciprocal(add([ONE, exp(X)]))),
        multiply(exp(X), reciprocal(add([ONE, exp(X)]))),
    ]
    for array in interpret(stabilise(Roots(tuple(forms))).nodes, values):
        assert np.isfinite(array).all()


def test_a_shared_contraction_is_never_repeated() -> None:
    roots = (
        scale(2, A_B),
        minus(A_B),
        pointwise("tanh", A_B),
        permute(A_B, (1, 0)),
        einsum(3, [(A, "nk"), (B, "km")], "mn"),
    )
    nodes = topological(simplify(Roots(roots)).nodes)
    assert [node for node in nodes if set(node.operands) == {A, B}] == [A_B]


def test_a_contraction_used_once_takes_its_scale_and_order() -> None:
    node = einsum(1, [(einsum(2, [(A_B, "nm")], "mn"), "mn"), (s, "")], "mn")
    assert one(node) is einsum(2, [(s, ""), (A, "nk"), (B, "km")], "mn")


def test_symmetric_places_of_one_tensor_are_told_apart() -> None:
    """Every order of the factors of a cycle S_ab S_bc S_cd S_da, and every renaming, is one node."""
    orders = ["ab bc cd da", "bc ab da cd", "zy yx xw wz", "cd da ab bc"]
    nodes = [einsum(1, [(SQUARE, pair) for pair in text.split()], "") for text in orders]
    assert len(set(canonicalise(Roots(tuple(nodes))).nodes)) == 1


def test_named_passes_stand_alone() -> None:
    node = einsum(1, [(Delta(K), "ij"), (B, "jm")], "im")
    assert one(node, eliminate_deltas) is B
    assert one(einsum(1, [(A, "nk"), (scale(2, B), "km")], "nm"), inline_brackets) is einsum(
        2, [(A, "nk"), (B, "km")], "nm"
    )


def test_origins_follow_their_nodes() -> None:
    node = add([C, scale(2, A), minus(C)])
    roots = simplify(Roots((node,), {node: Origin("Z")}))
    assert roots.origins[roots.nodes[0]].name == "Z"


def test_a_thousand_layers_and_thirty_thousand_nodes() -> None:
    layers: Node = X
    for k in range(1000):
        weight, bias = build.tensor(f"W{k}", "K", "K"), build.tensor(f"b{k}", "K")
        layers = pointwise(
            "tanh", add([einsum(1, [(layers, "nj"), (weight, "jk")], "nk"), broadcast(bias, (N, K), (1,))])
        )
    chain: Node = X
    for _ in range(15_000):
        chain = pointwise("sin", add([X, chain]))
    before = (layers, chain)
    after = simplify(Roots(before)).nodes
    assert len(topological(after)) <= len(topological(before))


SCRIPT = """
import random, sys
sys.path.insert(0, sys.argv[1])
from random_ir import random_graph
from bracketc.ir.printer import print_roots
from bracketc.ir.rewrite import Roots
from bracketc.simplify import simplify
for seed in range(40):
    print(print_roots(simplify(Roots(random_graph(seed)[0])).nodes))
"""


def test_the_same_text_under_every_hash_seed() -> None:
    here = Path(__file__).parent
    texts = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(here)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(here.parent)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(texts) == 1


def test_a_factor_with_a_label_of_its_own_leaves_the_contraction() -> None:
    found = one(einsum(1, [(A, "nk"), (X, "nj"), (Y, "nj")], "kn"), pull_outer)
    assert found is einsum(1, [(A, "nk"), (einsum(1, [(X, "nj"), (Y, "nj")], "n"), "n")], "kn")
    inner = einsum(1, [(A, "nk"), (X, "nj"), (C, "nj")], "knj")
    from_product = one(einsum(1, [(inner, "knj"), (Y, "nj")], "kn"), pull_outer)
    assert from_product is einsum(1, [(A, "nk"), (einsum(1, [(X, "nj"), (C, "nj"), (Y, "nj")], "n"), "n")], "kn")
    chain = einsum(1, [(X, "nk"), (B, "km"), (w, "k")], "nm")
    assert one(chain, pull_outer) is chain


def test_a_sum_loses_a_label_with_what_its_terms_share() -> None:
    first, second = einsum(1, [(A, "nk"), (X, "nj")], "knj"), einsum(-2, [(A, "nk"), (Y, "nj")], "knj")
    inner = add([X, scale(-2, Y)])
    assert one(add([first, second]), pull_outer_terms) is einsum(1, [(A, "nk"), (inner, "nj")], "knj")
    same = add([einsum(1, [(A, "nk"), (X, "nk")], "nk"), einsum(1, [(A, "nk"), (Y, "nk")], "nk")])
    assert one(same, pull_outer_terms) is same


def test_a_sum_over_a_contraction_joins_it_unless_it_repeats_for_further_labels() -> None:
    product = einsum(1, [(A, "nk"), (B, "km")], "nm")
    assert one(einsum(1, [(product, "nm")], "m"), join_sums) is einsum(1, [(A, "nk"), (B, "km")], "m")
    repeated = einsum(1, [(product, "nm")], "mj", {"j": J})
    assert one(repeated, join_sums) is repeated
