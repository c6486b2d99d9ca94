"""Formulas as people write them: scalars in front, equal terms merged, names with general numbers, and rules by name."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from bracketc.ir import build
from bracketc.ir.build import add, delta, einsum, literal, multiply, ones, permute, pointwise, power, scale, select, size, window
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Add, Body, Compare, Einsum, Gather, Linalg, Node, Project, Recurrence, Reduce, Tensor
from bracketc.ir.rewrite import tensors
from bracketc.proof.phrases import (
    dot,
    functions,
    inline_scaled,
    last,
    merge_equal,
    split_front,
    tidy,
    total,
    weight,
)
from bracketc.proof.ranges import (
    Ranged,
    UnlikeError,
    alike,
    entry,
    generalised,
    is_general,
    offsets,
    placed,
    renamed,
    shifted,
    signature,
    size_of,
    split_name,
)
from bracketc.proof.rules import rule_of
from bracketc.proof.wording import worded

N, M, ONE = Dim.named("N"), Dim.named("M"), Dim.of(1)
A, B, C, S = (
    build.tensor(name, *extents) for name, *extents in (("A", "N", "M"), ("B", "M", "N"), ("C", "N", "M"), ("S", "N", "N"))
)
x, y, s, t = build.tensor("x", "N"), build.tensor("y", "N"), build.tensor("s"), build.tensor("t")
SIZES = {"N": 3, "M": 2}


def value(node: Node) -> np.ndarray:
    arrays = {}
    for tensor in tensors([node]):
        shape = tuple(extent.evaluate(SIZES) for extent in tensor.shape)
        arrays[tensor] = np.random.default_rng([ord(letter) for letter in tensor.name]).uniform(0.5, 1.5, shape)
    return interpret([node], arrays, SIZES)[0]


def applied(rule: Callable[[Node], Node], node: Node) -> str:
    """What the rule makes of it, in words; the value stays."""
    new = rule(node)
    both = value(add([new, scale(-1, node)]))
    np.testing.assert_allclose(both, np.zeros_like(both), atol=1e-12)
    return worded(new)


# ------------------------------------------------------------------------------------------------- sums and products
def test_terms_that_differ_by_a_number_are_merged_in_the_place_of_the_first() -> None:
    assert applied(merge_equal, Add((x, y, scale(2, x)))) == "(3 x + y)"
    assert applied(merge_equal, Add((scale(3, y), x, scale(-2, y)))) == "(y + x)"
    assert merge_equal(add([x, y])) is add([x, y]) and merge_equal(x) is x
    assert applied(merge_equal, Add((x, scale(-1, x), y))) == "y"


INLINED: dict[str, Node] = {
    "(2 A_ik B_kj | ij)": einsum(1, [(A, (0, 1)), (scale(2, B), (1, 2))], (0, 2)),
    "(6 A_ik C_jk | ij)": einsum(3, [(A, (0, 1)), (einsum(2, [(C, (0, 1))], (1, 0)), (1, 2))], (0, 2)),
    "(2 s x_i x_i | )": einsum(1, [(einsum(2, [(s, ()), (x, (0,))], (0,)), (0,)), (x, (0,))], ()),
    "(A_ji + C_ji | ij)": permute(add([A, C]), (1, 0)),
    "(4 S_ij x_j | i)": einsum(2, [(einsum(2, [(S, (0, 1)), (x, (1,))], (0,)), (0,))], (0,)),
}


def test_a_scaled_or_transposed_factor_is_part_of_the_product() -> None:
    assert applied(inline_scaled, INLINED["(2 A_ik B_kj | ij)"]) == "(2 A_ik B_kj | ij)"
    assert applied(inline_scaled, INLINED["(6 A_ik C_jk | ij)"]) == "(6 A_ik C_jk | ij)"
    assert applied(inline_scaled, INLINED["(2 s x_i x_i | )"]) == "(2 s x_i x_i | )"
    assert applied(inline_scaled, INLINED["(A_ji + C_ji | ij)"]) == "((A_ji | ij) + (C_ji | ij))"
    assert applied(inline_scaled, INLINED["(4 S_ij x_j | i)"]) == "4 (S_ij x_j | i)"
    turned = Einsum(Fraction(3), ((einsum(2, [(A, (0, 2)), (B, (2, 1))], (0, 1)), (1, 0)),), (0, 1), (N, N))
    assert applied(inline_scaled, turned) == "(6 A_jk B_ki | ij)"


def bracket(rng: np.random.Generator, depth: int) -> Node:
    """A bracket of few factors, among them scaled, transposed, summed and repeated ones; axes of size 1 are rows."""
    sized = {0: N, 1: N, 2: M, 3: M, 4: ONE}
    factors = []
    for _ in range(rng.integers(1, 4)):
        leaves = (A, B, S, x, s, t) if depth == 0 or rng.random() < 0.4 else (bracket(rng, depth - 1),)
        factor = leaves[rng.integers(len(leaves))]
        labels = [int(rng.choice([label for label in sized if sized[label] is extent])) for extent in factor.shape]
        factors.append((factor, tuple(labels)))
    free = sorted({label for _, labels in factors for label in labels} | ({4} if rng.random() < 0.2 else set()))
    output = [int(label) for label in rng.permutation(free) if rng.random() < 0.7][:3]
    return einsum(int(rng.integers(1, 3)), factors, output, sized)


@pytest.mark.parametrize("rule", [inline_scaled, tidy])
def test_what_stays_inside_a_product_sums_or_repeats_a_label(rule: Callable[[Node], Node]) -> None:
    """The value stays, and no factor of the result has a number or a scalar in front, or only turns its axes."""
    inlined = 0
    for seed in range(150):
        node = bracket(np.random.default_rng(seed), 1 + seed % 2)
        new = rule(node)
        np.testing.assert_allclose(value(new), value(node), rtol=1e-9)
        if not isinstance(node, Einsum) or not isinstance(new, Einsum) or new is node:
            continue
        inlined += 1
        if rule is tidy or any(isinstance(inner, Einsum) for factor in node.operands for inner in factor.operands):
            continue  # one rule goes one level down
        for factor, _ in new.factors:
            wide = [labels for _, labels in factor.factors if labels] if isinstance(factor, Einsum) else []
            if isinstance(factor, Einsum) and wide:  # and no scalar spread over an axis
                own = {label for labels in wide for label in labels}
                summed = own - set(factor.output)
                repeated = any(len(set(labels)) < len(labels) for labels in wide)
                spread = any(label not in own and factor.extents[label] is not ONE for label in factor.output)
                assert summed or repeated or spread or len(wide) > 1, worded(new)
                assert factor.coefficient == 1 and len(wide) == len(factor.factors), worded(new)
    assert inlined > 60


def test_what_sums_stays_a_factor_of_its_own() -> None:
    inner = einsum(1, [(S, (0, 1)), (x, (1,))], (0,))
    node = einsum(1, [(inner, (0,)), (y, (0,))], ())
    assert inline_scaled(node) is node and inline_scaled(x) is x
    scaled = einsum(1, [(einsum(5, [(S, (0, 1)), (x, (1,))], (0,)), (0,)), (y, (0,))], ())
    assert applied(inline_scaled, scaled) == "(5 (S_ij x_j | i)_i y_i | )"
    diagonal = einsum(1, [(einsum(1, [(S, (0, 0))], (0,)), (0,)), (y, (0,))], ())
    assert inline_scaled(diagonal) is diagonal


def test_numbers_and_scalars_stand_in_front() -> None:
    (number, scalars), rest = split_front(einsum(2, [(s, ()), (x, (0,)), (t, ()), (y, (0,))], (0,)))
    assert (number, scalars) == (2, [s, t]) and rest is multiply(x, y)
    assert split_front(x) == ((1, []), x)
    only = einsum(3, [(s, ())], ())
    assert split_front(only)[0] == (3, [s]) and worded(split_front(only)[1]) == "1"
    spread = build.fill(2, (N,))
    assert split_front(spread) == ((1, []), spread)


def test_a_dot_has_its_numbers_in_front() -> None:
    assert worded(dot(scale(Fraction(1, 2), x), y)) == "((1/2) x_i y_i | )"
    assert worded(dot(x, scale(3, y))) == "(3 x_i y_i | )"
    assert worded(dot(s, einsum(2, [(x, (0,)), (y, (0,))], ()))) == "(2 s x_i y_i | )"
    assert worded(dot(t, einsum(2, [(s, ()), (s, ())], ()))) == "2 s s t"
    assert worded(dot(delta(N), S)) == "(δ_ij S_ij | )"
    assert worded(dot(scale(2, delta(N)), S)) == "(2 δ_ij S_ij | )"
    inner = einsum(1, [(x, (0,)), (y, (0,))], ())
    assert worded(dot(t, einsum(2, [(s, ()), (inner, ())], ()))) == "(2 s t x_i y_i | )"
    product = einsum(2, [(s, ()), (A, (0, 1)), (y, (0,))], (1,))
    cotangent = build.tensor("c", "M")
    found = dot(cotangent, product)
    assert worded(found) == "(2 s c_i (A_ji y_j | i)_i | )"
    for left, right in ((x, y), (scale(2, x), scale(3, y)), (cotangent, product), (t, einsum(2, [(s, ()), (inner, ())], ()))):
        plain = einsum(1, [(left, tuple(range(left.rank))), (right, tuple(range(left.rank)))], ())
        assert abs(float(value(add([dot(left, right), scale(-1, plain)])))) < 1e-12


def test_a_delta_beside_a_differential_is_used_up() -> None:
    found = dot(S, einsum(1, [(delta(N), (0, 1)), (x, (1,)), (y, (0,))], (0, 1)))
    assert not any(factor is delta(N) for factor in found.operands)


def test_what_varies_stands_last() -> None:
    moving = build.tensor("dx", "N")
    assert worded(last(multiply(moving, x), moving)) == worded(last(multiply(x, moving), moving)) == "(x_i dx_i | i)"
    matrix = einsum(1, [(S, (0, 1)), (moving, (0,))], (1,))
    assert last(matrix, moving) is matrix and last(moving, moving) is moving
    assert worded(last(einsum(2, [(moving, (0,)), (s, ()), (x, (0,))], (0,)), moving)) == "(2 s x_i dx_i | i)"


def test_totals_are_flat() -> None:
    assert worded(total([s, add([t, s]), literal(2)])) in ("(s + t + s + 2)", "(2 s + t + 2)")
    assert total([s]) is s


def test_tidy_formulas_keep_their_order() -> None:
    assert applied(tidy, einsum(1, [(scale(Fraction(1, 2), x), (0,)), (x, (0,))], ())) == "(1/2) (x_i x_i | )"
    assert applied(tidy, Add((scale(2, y), x, y))) == "(3 y + x)"


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        (x, 1),
        (literal(3), 0),
        (ones((N,)), 0),
        (size(N), 1),
        (scale(5, x), 1),
        (multiply(x, x), 2),
        (pointwise("tanh", x), 2),
        (power(x, 2), 1),
        (Linalg("inv", (S,)), 2),
        (Linalg("solve", (S, A)), 3),
        (Reduce("max", A, (0,)), 2),
        (add([pointwise("exp", add([x, y])), pointwise("ln", add([x, y]))]), 6),
    ],
)
def test_the_weight_of_a_text_is_its_names_and_functions(node: Node, wanted: int) -> None:
    assert weight(node) == wanted


def test_functions_are_counted_once_a_node() -> None:
    inner = pointwise("exp", x)
    found = functions(add([multiply(inner, pointwise("tanh", inner)), pointwise("tanh", y), power(x, 3)]))
    assert dict(found) == {"exp": 1, "tanh": 2}
    assert dict(functions(Reduce("max", A, (0,)))) == {"max": 1}


# ------------------------------------------------------------------------------------------------- general numbers
STEP = Ranged("Z", "t", "1", "T")
MEMBER = Ranged("W", "j", "1", "4", (1, 2, 3, 4))


def named(name: str) -> Tensor:
    return Tensor(name, (N,))


def test_names_with_numbers_are_read() -> None:
    assert split_name("Z[t-1]") == ("Z", "t-1") and split_name("W") == ("W", None) and split_name("W[]") == ("W", "")
    assert split_name("∇[A[t+1]](J)") == ("∇[A[t+1]](J)", None)
    assert [STEP.offset(name) for name in ("Z[t]", "Z[t-1]", "Z[t+2]", "Z[1]", "Z", "Y[t]", "Z[tt]")] == [0, -1, 2, *[None] * 4]
    assert (STEP.name, MEMBER.name, STEP.over.variable, STEP.over.first, STEP.over.last) == (
        "Z[t]", "W[j]", "t", "1", "T",
    )  # fmt: skip
    assert [entry("t", offset) for offset in (0, 1, -2)] == ["t", "t+1", "t-2"]


def test_names_move_along_their_range() -> None:
    node = multiply(named("X[t]"), named("Z[t-1]"), named("W"), named("Y[T]"))
    assert {tensor.name for tensor in tensors([shifted(node, "t", 1)])} == {"X[t+1]", "Z[t]", "W", "Y[T]"}
    assert {tensor.name for tensor in tensors([shifted(node, "t", -1)])} == {"X[t-1]", "Z[t-2]", "W", "Y[T]"}
    assert {tensor.name for tensor in tensors([placed(node, "t", "T", {})])} == {"X[T]", "Z[T-1]", "W", "Y[T]"}
    assert {tensor.name for tensor in tensors([placed(node, "t", "3", {})])} == {"X[3]", "Z[2]", "W", "Y[T]"}
    assert renamed(node, lambda text: text) is node
    gradient = named("∇[A[t+1]](J)")
    assert shifted(gradient, "t", 1) is named("∇[A[t+2]](J)") and offsets(gradient, "t") == [1]
    assert offsets(named("∇[A[t]](Z[t-2])"), "t") == [0, -2] and offsets(named("X[s]"), "t") == []


def test_the_letter_of_a_general_number_is_found() -> None:
    assert is_general(multiply(x, named("Z[j-1]")), "tj") == "j"
    assert is_general(multiply(x, named("Z[1]"), named("Z[T]")), "tj") is None
    assert is_general(ones((Dim.named("D[j-1]"),)), "tj") == "j" and is_general(ones((Dim.named("D[1]"),)), "tj") is None


def test_members_become_general_members() -> None:
    node = multiply(named("Z[1]"), named("W[2]"), named("dW[3]"), named("X[1]"), named("W[k]"))
    found = {tensor.name for tensor in tensors([generalised(node, 2, "j", ("Z", "W"))])}
    assert found == {"Z[j-1]", "W[j]", "dW[j+1]", "X[1]", "W[k]"}
    below_zero = multiply(named("Z[-1]"), named("W[0]"))
    assert {tensor.name for tensor in tensors([generalised(below_zero, 0, "j", ("Z", "W"))])} == {"Z[j-1]", "W[j]"}


EXTENTS = {"D": {number: Dim.of(size) for number, size in enumerate((4, 5, 6, 5))}, "E": {1: Dim.of(3), 2: Dim.of(7)}}


def layer(number: int, *, with_ones: bool = False) -> Node:
    """Z[0] @ W[1] with the sizes of the number; a row of ones is added to its result."""
    before, own = EXTENTS["D"][number - 1], EXTENTS["D"][number]
    factors = [(Tensor(f"Z[{number - 1}]", (N, before)), (0, 2)), (Tensor(f"W[{number}]", (before, own)), (2, 1))]
    product = einsum(1, factors, (0, 1))
    return add([product, ones((N, own))]) if with_ones else product


@pytest.mark.parametrize("with_ones", [False, True])
def test_members_with_sizes_of_their_own_are_alike(with_ones: bool) -> None:
    found = alike({number: layer(number, with_ones=with_ones) for number in (1, 2, 3)}, "j", ("Z", "W"), EXTENTS)
    assert found is not None
    assert [str(size) for size in found.shape] == ["N", "D[j]"]
    assert {tensor.name: str(tensor.shape[0]) for tensor in tensors([found])} == {"Z[j-1]": "N", "W[j]": "D[j-1]"}
    for number in (1, 2, 3):
        assert placed(found, "j", str(number), EXTENTS) is layer(number, with_ones=with_ones)
    after = shifted(found, "j", 1)
    assert str(after.shape[1]) == "D[j+1]" and placed(after, "j", "2", EXTENTS) is layer(3, with_ones=with_ones)


def test_members_that_differ_in_more_than_names_are_not_alike() -> None:
    assert alike({1: layer(1), 2: scale(2, layer(2))}, "j", ("Z", "W"), EXTENTS) is None
    assert alike({1: layer(1), 2: layer(2)}, "j", ("Z", "W"), {}) is None, "sizes without a name"
    assert alike({1: layer(1), 2: layer(2)}, "j", ("Z",), EXTENTS) is None, "W[1] and W[2] are tensors of their own"


def test_sizes_of_members_have_the_nearest_name() -> None:
    def name(*sizes: int) -> str:
        return str(size_of({number: Dim.of(size) for number, size in enumerate(sizes, start=1)}, "j", EXTENTS))

    assert [name(5, 6), name(4, 5), name(6, 5), name(3, 7), name(8, 8)] == ["D[j]", "D[j-1]", "D[j+1]", "E[j]", "8"]
    with pytest.raises(UnlikeError):
        name(5, 4)


def test_signatures_ignore_sizes_and_nothing_else() -> None:
    def layer(name: str, extent: str, function: str = "tanh") -> Node:
        return pointwise(function, einsum(1, [(build.tensor(name, extent, "M"), (0, 1)), (x, (0,))], (1,), {0: N, 1: M}))

    assert signature(layer("W", "N")) == signature(layer("W", "N"))
    wide, narrow = (pointwise("tanh", build.tensor("W", extent)) for extent in ("N", "M"))
    assert signature(wide) == signature(narrow)
    others = [
        pointwise("exp", build.tensor("W", "N")),
        pointwise("tanh", build.tensor("V", "N")),
        scale(2, wide),
        add([wide, wide]),
    ]
    assert all(signature(other) != signature(wide) for other in others)


# ------------------------------------------------------------------------------------------------- rules by name
STATE = Tensor("%0", (N,))
LOOP = Project(Recurrence(Body((STATE,), (pointwise("tanh", STATE),)), M, (x,), (), ()), 0)

RULES: dict[str, Node] = {
    "linearity": einsum(2, [(S, (0, 1)), (x, (0,))], (1,)),
    "the chain rule": pointwise("tanh", x),
    "the product rule": multiply(x, x),
    "the product rule and the chain rule": multiply(x, pointwise("exp", x)),
    "the product rule, the chain rule and the differential of entries": einsum(
        1, [(window(x, 0, 1, (), ()), ()), (pointwise("exp", x), (0,))], (0,)
    ),
    "the differential of each case": select(Compare("<", y, y), x, y),
    "the differential of a recurrence": LOOP,
    "the differential of max": Reduce("max", x, (0,)),
    "the differential of min": Reduce("min", x, (0,)),
    "the differential of a product of entries": Reduce("prod", x, (0,)),
    "the differential of logsumexp, whose weights are softmax": Reduce("logsumexp", x, (0,)),
    "the differential of entries": Gather(x, Tensor("i", (M,), "integer")),
}


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_named_from_the_outside_in(rule: str) -> None:
    assert rule_of(RULES[rule], (x,)) == rule


@pytest.mark.parametrize(
    ("operator", "rule"),
    [
        ("inv", "an inverse"), ("det", "a determinant"), ("logdet", "the logarithm of a determinant"),
        ("solve", "a solution"), ("solve_lower", "a solution"), ("cholesky", "a Cholesky factor"),
    ],
)  # fmt: skip
def test_rules_of_linear_algebra(operator: str, rule: str) -> None:
    node = Linalg(operator, (S, A) if operator.startswith("solve") else (S,))
    assert rule_of(node, (S,)) == f"the differential of {rule}" and rule_of(node, (y,)) == "linearity"


def test_what_does_not_vary_needs_no_rule() -> None:
    assert rule_of(multiply(x, pointwise("exp", y)), (x,)) == "linearity" == rule_of(x, (x,))
    assert isinstance(multiply(x, y), Einsum)
