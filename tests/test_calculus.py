"""Derivatives of every node kind, twice, against central differences and complex steps, and forward against reverse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bracketc.calculus.derivatives import expand_derivatives, gradient, hessian, hvp, jacobian, jvp, vjp
from bracketc.errors import Source, Span, UnsupportedError
from bracketc.ir.batch import batch
from bracketc.ir.build import (
    add,
    compare,
    delta,
    einsum,
    entry,
    is_zero,
    literal,
    multiply,
    ones,
    overlap,
    permute,
    pointwise,
    power,
    project,
    reciprocal,
    scale,
    select,
    size,
    subtract,
    tensor,
    window,
    zeros,
)
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import (
    Body,
    Derivative,
    Differential,
    Einsum,
    Gather,
    Linalg,
    Node,
    Pointwise,
    Range,
    Recurrence,
    Reduce,
    Scatter,
    Stack,
    Tensor,
)
from bracketc.ir.rewrite import Origin, Roots, tensors, topological
from bracketc.ir.verify import verify

Array = np.ndarray[Any, Any]
N, M, T = Dim.named("N"), Dim.named("M"), Dim.named("T")
SIZES = {"N": 3, "M": 2, "T": 4}
x, y = tensor("x", "N"), tensor("y", "N")
A, B = tensor("A", "N", "N"), tensor("B", "N", "M")
P = tensor("P", "T", "N")
I = Tensor("I", (T,), "integer", bound=N)


def _dot(left: Node, right: Node) -> Node:
    labels = range(left.rank)
    return einsum(1, [(left, labels), (right, labels)], [])


def _positive(matrix: Node) -> Node:
    """A Aᵀ + 4 I: symmetric and positive definite."""
    return add([einsum(1, [(matrix, "ik"), (matrix, "jk")], "ij"), scale(4, delta(N))])


def _two_states() -> Recurrence:
    z, h, p, w = (Tensor(f"%{k}", s) for k, s in enumerate([(N,), (N,), (N,), (N, N)]))
    step = pointwise("tanh", add([einsum(Fraction(1, 4), [(w, "ij"), (z, "j")], "i"), multiply(h, p)]))
    return Recurrence(Body((z, h, p, w), (step, z, multiply(step, p))), T, (x, y), (P,), (A,))


def _nested() -> Node:
    """A loop within the step of a loop."""
    z, p, w = (Tensor(f"%{k}", s) for k, s in enumerate([(N,), (N,), (N, N)]))
    u, v = Tensor("%0", (N,)), Tensor("%1", (N, N))
    turned = pointwise("sin", einsum(Fraction(1, 4), [(v, "ij"), (u, "j")], "i"))
    inner = Recurrence(Body((u, v), (turned,)), M, (z,), (), (w,))
    step = add([project(inner, 0), p])
    return project(Recurrence(Body((z, p, w), (step,)), T, (x,), (P,), (A,)), 0)


LOOP = _two_states()
BACK = Recurrence(LOOP.body, T, LOOP.carries, LOOP.xs, LOOP.consts, reverse=True)
U = Tensor("%u", (N,))
KINDS: dict[str, Node] = {
    "tensor": x,
    "literal": scale(3, multiply(x, literal(2))),
    "size": einsum(1, [(size(N), ""), (x, "i"), (x, "i")], "i"),
    "range": multiply(Range(N), x, x),
    "delta": einsum(1, [(delta(N), "ij"), (x, "j"), (x, "i")], "ij"),
    "bracket": einsum(2, [(A, "ij"), (B, "jk"), (x, "i"), (x, "i")], "ki"),
    "bracket of equal factors": einsum(1, [(A, "ij"), (A, "jk"), (A, "ki")], ""),
    "diagonal": einsum(1, [(A, "ii"), (x, "i")], "i"),
    "sum over an axis": multiply(x, einsum(1, [(einsum(1, [(A, "ij"), (A, "ij")], "ij"), "ij")], "i")),
    "broadcast": einsum(1, [(x, "i"), (x, "i")], "ji", {"j": M}),
    "add": add([multiply(x, y), multiply(x, x)]),
    "power": power(x, -2),
    "square root": power(x, Fraction(1, 2)),
    "select": select(compare("<", x, y), multiply(x, y, y), multiply(x, x)),
    "max over an axis": multiply(Reduce("max", A, (1,)), Reduce("max", A, (1,))),
    "min over axes": power(Reduce("min", A, (0, 1)), 3),
    "logsumexp": Reduce("logsumexp", A, (0,)),
    "prod over an axis": Reduce("prod", B, (0,)),
    "prod over axes": Reduce("prod", B, (0, 1)),
    "slice": power(window(x, 0, 1, (1,), (Dim.of(2),)), 2),
    "sliding window": power(window(P, 0, 0, (1, 1), (Dim.of(2), Dim.of(3))), 2),
    "entry": power(entry(A, 1, 1), 3),
    "overlap": power(overlap(window(P, 0, 0, (1, 1), (Dim.of(2), Dim.of(3))), 0, 0, (1, 1), T), 2),
    "gather": power(Gather(A, I), 2),
    "scatter": power(Scatter(P, I, N), 2),
    "stack": power(Stack((x, multiply(x, y), ones((N,)))), 2),
    "inv": Linalg("inv", (A,)),
    "solve": Linalg("solve", (A, B)),
    "solve_lower": Linalg("solve_lower", (A, B)),
    "solve_upper": Linalg("solve_upper", (A, B)),
    "det": Linalg("det", (A,)),
    "logdet": Linalg("logdet", (A,)),
    "cholesky": Linalg("cholesky", (_positive(A),)),
    "batched inverses": Linalg("inv", (einsum(1, [(A, "ij"), (x, "k")], "kij"),)),
    "recurrence": project(LOOP, 0),
    "steps of a recurrence": project(LOOP, 2),
    "reversed recurrence": project(BACK, 2),
    "nested recurrence": _nested(),
    "derivative": Derivative(einsum(1, [(A, "ij"), (U, "j"), (U, "i"), (U, "i")], "i"), U, multiply(x, x)),
    "derivative, inputs first": Derivative(pointwise("sin", U), U, multiply(x, x), "gradient"),
    "differential": Differential(pointwise("tanh", U), (U,), (multiply(x, y),), (multiply(x, x),)),
}
FUNCTIONS = [
    "exp", "ln", "log10", "log1p", "expm1", "abs", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "sigmoid", "softplus", "relu", "erf", "lgamma",
]  # fmt: skip
KINDS |= {f: pointwise(f, x) for f in FUNCTIONS}
KINDS |= {"step": multiply(x, pointwise("step", x)), "sign": multiply(x, pointwise("sign", x))}
KINDS |= {f: power(pointwise(f, x, y), 2) for f in ("max", "min", "pow")}


def _values(roots: Sequence[Node], seed: int = 3) -> dict[Tensor, Array]:
    """Entries in (0.2, 0.9), where every function above is smooth; matrices are regular."""
    rng = np.random.default_rng(seed)
    found: dict[Tensor, Array] = {}
    for leaf in tensors(roots):
        shape = tuple(d.evaluate(SIZES) for d in leaf.shape)
        found[leaf] = rng.uniform(0.2, 0.9, shape)
        if leaf.dtype == "integer":
            found[leaf] = rng.integers(0, 3, shape)
        elif leaf is A:
            found[leaf] += 2 * np.eye(3)
    return found


def _central(root: Node, leaf: Tensor, values: Mapping[Tensor, Array], step: float = 1e-5) -> Array:
    """Derivative by ``leaf``, axes of the root then of the leaf."""
    columns = []
    for position in np.ndindex(*values[leaf].shape):
        ends = []
        for sign in (1, -1):
            moved = values[leaf].copy()
            moved[position] += sign * step
            ends.append(interpret([root], {**values, leaf: moved}, SIZES)[0])
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(columns, -1).reshape(*columns[0].shape, *values[leaf].shape)


def _loss(node: Node) -> Node:
    """A scalar in which every entry of ``node`` counts differently."""
    flat = node
    for axis in range(node.rank):
        labels = range(node.rank)
        flat = einsum(1, [(flat, labels), (pointwise("ln", Range(node.shape[axis])), [axis])], labels)
        flat = add([flat, node])
    return einsum(1, [(flat, range(node.rank))], [])


def _expanded(*nodes: Node) -> tuple[Node, ...]:
    return expand_derivatives(Roots(nodes)).nodes


def _reals(root: Node) -> list[Tensor]:
    return [t for t in tensors([root]) if t.dtype == "real" and not t.name.startswith("%")]


@pytest.mark.parametrize("name", KINDS)
def test_first_and_second_derivative_of_every_node_kind(name: str) -> None:
    (loss,) = _expanded(_loss(KINDS[name]))
    leaves = _reals(loss)
    values = _values([loss])
    slopes = gradient(loss, leaves)
    for leaf, slope in zip(leaves, slopes, strict=True):
        assert slope.shape == leaf.shape
        verify([slope])
        (got,) = interpret([slope], values, SIZES)
        np.testing.assert_allclose(got, _central(loss, leaf, values), rtol=2e-7, atol=2e-7)
        for other in leaves:
            curvature = hessian(loss, leaf, other)
            verify([curvature])
            (second,) = interpret([curvature], values, SIZES)
            np.testing.assert_allclose(second, _central(slope, other, values), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_jacobians_of_every_node_kind(name: str) -> None:
    (node,) = _expanded(KINDS[name])
    values = _values([node])
    for leaf in _reals(node):
        (got,) = interpret([jacobian(node, leaf)], values, SIZES)
        expected = _central(node, leaf, values)
        np.testing.assert_allclose(got, expected, rtol=2e-7, atol=2e-7)
        (turned,) = interpret([jacobian(node, leaf, "gradient")], values, SIZES)
        order = [*range(node.rank, expected.ndim), *range(node.rank)]
        np.testing.assert_allclose(turned, expected.transpose(order), rtol=2e-7, atol=2e-7)


@pytest.mark.parametrize("name", KINDS)
def test_forward_and_reverse_are_dual(name: str) -> None:
    (node,) = _expanded(KINDS[name])
    leaves = _reals(node)
    directions = [tensor(f"d_{t.name}", *t.shape) for t in leaves]
    bar = tensor("bar", *node.shape)
    (forward,) = jvp([node], leaves, directions)
    backward = vjp([node], leaves, [bar])
    pairs = [_dot(d, b) for d, b in zip(directions, backward, strict=True)]
    left, right = interpret([_dot(forward, bar), add(pairs)], _values([node, *directions, bar]), SIZES)
    np.testing.assert_allclose(left, right, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_hessian_times_a_direction(name: str) -> None:
    (loss,) = _expanded(_loss(KINDS[name]))
    leaf = _reals(loss)[0]
    direction = tensor("d", *leaf.shape)
    product = hvp(loss, leaf, direction)
    values = _values([loss, direction])
    matrix, vector = interpret([hessian(loss, leaf), product], values, SIZES)
    np.testing.assert_allclose(vector, np.tensordot(matrix, values[direction], leaf.rank), rtol=1e-9, atol=1e-10)


def test_third_derivatives_of_a_product_with_zeros() -> None:
    vector = tensor("v", 4)
    whole = Reduce("prod", vector, (0,))
    values = {vector: np.array([2.0, 0.0, 3.0, 0.0])}
    first, second = gradient(whole, [vector])[0], hessian(whole, vector)
    got, matrix, cube = interpret([first, second, jacobian(second, vector)], values)
    assert not got.any()
    assert matrix[1, 3] == matrix[3, 1] == 6 and np.count_nonzero(matrix) == 2
    assert cube[0, 1, 3] == 3 and cube[2, 1, 3] == 2


# --------------------------------------------------------------------------------------------------- conventions
def _slope(node: Node, at: float) -> float:
    point = tensor("s")
    (found,) = batch((node,), {tensor("a"): point}, ())
    return float(interpret(gradient(found, [point]), {point: np.asarray(at)})[0])


def test_derivatives_at_kinks_follow_the_conventions() -> None:
    a = tensor("a")
    assert _slope(pointwise("relu", a), 0) == 0
    assert _slope(pointwise("max", a, literal(0)), 0) == 0
    assert _slope(pointwise("max", literal(0), a), 0) == 1
    assert _slope(pointwise("abs", a), 0) == 0
    assert _slope(pointwise("pow", a, literal(0)), 0) == 0
    assert _slope(pointwise("pow", literal(0), a), 2) == 0


def test_step_and_sign_have_no_derivative_at_all() -> None:
    for name in ("step", "sign"):
        assert is_zero(gradient(einsum(1, [(pointwise(name, x), "i")], ""), [x])[0])


def test_ties_of_a_maximum_share_its_derivative() -> None:
    vector = tensor("v", 4)
    (got,) = interpret(gradient(Reduce("max", vector, (0,)), [vector]), {vector: np.array([1.0, 5.0, 5.0, 2.0])})
    np.testing.assert_array_equal(got, [0, 0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("inner", "bad"),
    [
        (lambda v: pointwise("ln", v), 0.0),
        (lambda v: power(v, Fraction(1, 2)), 0.0),
        (lambda v: reciprocal(pointwise("sin", v)), 0.0),
        (lambda v: multiply(pointwise("ln", v), pointwise("ln", v), v), 0.0),
        (lambda v: pointwise("exp", power(v, -1)), 0.0),
    ],
    ids=["logarithm", "root", "reciprocal", "product", "chain"],
)
def test_the_branch_not_taken_never_shows(inner: Any, bad: float) -> None:
    vector = tensor("v", "N")
    safe = select(compare(">", vector, literal(0)), inner(vector), scale(3, vector))
    (slope,) = gradient(einsum(1, [(safe, "i"), (safe, "i")], ""), [vector])
    values = {vector: np.array([0.5, bad, 2.0])}
    (got,) = interpret([slope], values)
    assert np.isfinite(got).all() and got[1] == 18 * bad
    second = hessian(einsum(1, [(safe, "i")], ""), vector)
    assert np.isfinite(interpret([second], values)[0]).all()


def test_a_shared_value_under_two_conditions_never_shows() -> None:
    vector = tensor("v", "N")
    logarithm = pointwise("ln", vector)
    parts = [select(compare(">", vector, literal(k)), logarithm, zeros((N,))) for k in (0, 1)]
    (slope,) = gradient(einsum(1, [(add(parts), "i")], ""), [vector])
    np.testing.assert_allclose(interpret([slope], {vector: np.array([0.0, 0.5, 2.0])})[0], [0, 2, 1])


def test_a_masked_weight_of_rows_never_shows() -> None:
    table, norms = tensor("Q", "N", "M"), tensor("r", "N")
    ratio = einsum(1, [(table, "ij"), (reciprocal(norms), "i")], "ij")
    rows = compare(">", einsum(1, [(norms, "i")], "ij", {"j": M}), literal(0))
    loss = einsum(1, [(select(rows, ratio, zeros((N, M))), "ij")], "")
    values = {table: np.ones((3, 2)), norms: np.array([0.0, 2.0, 4.0])}
    (by_table,) = interpret(gradient(loss, [table]), values)
    np.testing.assert_allclose(by_table, [[0.0, 0.0], [0.5, 0.5], [0.25, 0.25]])


def test_logsumexp_of_large_values_has_a_finite_slope() -> None:
    vector = tensor("v", 3)
    (got,) = interpret(gradient(Reduce("logsumexp", vector, (0,)), [vector]), {vector: np.array([1e4, 1e4, -1e4])})
    np.testing.assert_allclose(got, [0.5, 0.5, 0])


def test_tanh_and_exp_reuse_their_value() -> None:
    for name in ("tanh", "exp", "sigmoid"):
        value = pointwise(name, x)
        (slope,) = gradient(einsum(1, [(value, "i")], ""), [x])
        assert value in topological([slope]) and (slope is value or x not in slope.operands)


# --------------------------------------------------------------------------------------------------- cutting
def test_a_derivative_by_a_definition_cuts_it() -> None:
    inner = multiply(x, y)
    loss = _dot(inner, multiply(inner, x))
    by_inner, by_x = gradient(loss, [inner, x])
    values = _values([loss])
    got, rest = interpret([by_inner, by_x], values)
    product, vector = values[x] * values[y], values[x]
    np.testing.assert_allclose(got, 2 * product * vector)
    np.testing.assert_allclose(rest, product**2)


def test_an_output_without_the_argument_has_a_zero_derivative() -> None:
    assert gradient(_dot(x, x), [y]) == (zeros((N,)),)
    assert jacobian(x, B) is zeros((N, N, M))


def test_what_is_cut_away_needs_no_rule() -> None:
    hidden = Pointwise("trigamma", (x,))
    assert gradient(_dot(hidden, y), [hidden, y]) == (y, hidden)


def test_a_missing_rule_names_the_function_and_its_place() -> None:
    source = Source("J = odd(x) . y", "model.brk")
    hidden = Pointwise("trigamma", (x,))
    with pytest.raises(UnsupportedError, match=r"model.brk:1:5: error: no rule for the derivative of trigamma, in J"):
        gradient(_dot(hidden, y), [x], {hidden: Origin("J", Span(source, 4, 10))})


# --------------------------------------------------------------------------------------------------- expansion
def test_a_derivative_of_a_derivative_at_the_point_it_is_taken_at() -> None:
    u, v = Tensor("%u", ()), Tensor("%v", ())
    inner = Derivative(pointwise("sin", u), u, multiply(v, v))
    outer = Derivative(inner, v, tensor("s"))
    (node,) = _expanded(outer)
    (got,) = interpret([node], {tensor("s"): np.asarray(0.7)})
    np.testing.assert_allclose(got, -2 * 0.7 * math.sin(0.49))


def test_the_derivative_of_an_elementwise_function_is_one_node_of_its_argument() -> None:
    prime = Differential(pointwise("tanh", U), (U,), (x,), (ones((N,)),))
    (node,) = _expanded(prime)
    (want,) = interpret([node], {x: np.array([0.1, 0.2, 0.3])})
    np.testing.assert_allclose(want, 1 - np.tanh([0.1, 0.2, 0.3]) ** 2)


def test_a_differential_of_several_names() -> None:
    v = Tensor("%v", (N,))
    whole = Differential(multiply(U, v), (U, v), (x, y), (y, ones((N,))))
    (node,) = _expanded(whole)
    got, want = interpret([node, add([multiply(y, y), x])], _values([x, y]))
    np.testing.assert_allclose(got, want)


def test_derivatives_in_the_step_of_a_recurrence_are_expanded() -> None:
    z, u = Tensor("%0", (N,)), Tensor("%u", (N,))
    step = Differential(pointwise("sin", u), (u,), (z,), (ones((N,)),))
    loop = Recurrence(Body((z,), (step,)), T, (x,), (), ())
    plain = Recurrence(Body((z,), (pointwise("cos", z),)), T, (x,), (), ())
    assert _expanded(project(loop, 0)) == (project(plain, 0),)


@pytest.mark.parametrize("layout", ["jacobian", "gradient"])
def test_a_mapped_derivative_is_the_derivative_of_each(layout: str) -> None:
    """∇s^1(A): the derivative of a function of vectors, mapped over rows, with and without a free row-wise operand."""
    v, w = Tensor("%v", (N,)), Tensor("%w", (N,))
    softmax = pointwise("exp", subtract(v, einsum(1, [(Reduce("logsumexp", v, (0,)), "")], "i", {"i": N})))
    inside = Derivative(multiply(softmax, w), v, w, layout)
    rows = tensor("R", "T", "N")
    (mapped,) = batch((inside,), {w: rows}, (T,))
    (got,) = interpret(_expanded(mapped), {rows: _values([rows])[rows]}, SIZES)
    for row, matrix in zip(_values([rows])[rows], got, strict=True):
        s = np.exp(row) / np.exp(row).sum()
        want = row[:, None] * (np.diag(s) - np.outer(s, s))
        np.testing.assert_allclose(matrix, want if layout == "jacobian" else want.T)


def test_a_mapped_differential_is_the_differential_of_each() -> None:
    v, w = Tensor("%v", (N,)), Tensor("%w", (N,))
    inside = Differential(multiply(v, v, w), (v,), (w,), (w,))
    (mapped,) = batch((inside,), {w: P}, (T,))
    (got,) = interpret(_expanded(mapped), _values([P]), SIZES)
    np.testing.assert_allclose(got, 2 * _values([P])[P] ** 3)


# --------------------------------------------------------------------------------------------------- sizes of graphs
def test_a_chain_of_thirty_thousand_nodes() -> None:
    node: Node = x
    for _ in range(15_000):
        node = add([scale(Fraction(1, 2), pointwise("sin", node)), x])
    (slope,) = gradient(einsum(1, [(node, "i")], ""), [x])
    count = len(topological([node]))
    assert count > 30_000 and len(topological([slope])) < 4 * count


def _network(layers: int) -> tuple[Node, list[Tensor]]:
    weights = [tensor(f"W{k}", "N", "N") for k in range(layers)]
    biases = [tensor(f"b{k}", "N") for k in range(layers)]
    state: Node = B
    for weight, bias in zip(weights, biases, strict=True):
        product = einsum(1, [(weight, "ij"), (state, "jk")], "ik")
        state = pointwise("tanh", add([product, einsum(1, [(bias, "i")], "ik", {"k": M})]))
    return scale(Fraction(1, 2), _dot(state, state)), weights + biases


def test_a_network_of_a_thousand_layers() -> None:
    loss, parameters = _network(1000)
    slopes = gradient(loss, parameters)
    assert len(topological([loss, *slopes])) < 5 * len(topological([loss]))


def test_gradients_of_a_network_agree_with_central_differences() -> None:
    loss, parameters = _network(3)
    values = _values([loss])
    for leaf, got in zip(parameters, interpret(gradient(loss, parameters), values, SIZES), strict=True):
        np.testing.assert_allclose(got, _central(loss, leaf, values), rtol=1e-7, atol=1e-9)


# --------------------------------------------------------------------------------------------------- random graphs
ANALYTIC = ("exp", "sin", "cos", "tanh", "sinh", "atan")


def _random_graph(seed: int) -> tuple[Node, list[Tensor]]:
    rng = np.random.default_rng(seed)
    nodes: list[Node] = [x, y, A, permute(A, (1, 0))]
    for _ in range(12):
        first, second = (nodes[int(k)] for k in rng.integers(0, len(nodes), 2))
        kind = int(rng.integers(0, 5))
        if kind == 0:
            nodes.append(scale(Fraction(1, 3), pointwise(ANALYTIC[int(rng.integers(0, len(ANALYTIC)))], first)))
        elif kind == 1 and first.rank == second.rank:
            nodes.append(scale(Fraction(1, 2), add([first, second])))
        elif kind == 2 and first.rank == 2:
            labels = "jk" if second.rank == 2 else "j"
            nodes.append(einsum(Fraction(1, 4), [(first, "ij"), (second, labels)], "i" + labels[1:]))
        elif kind == 3 and first.rank == second.rank:
            nodes.append(multiply(first, second))
        else:
            nodes.append(einsum(Fraction(1, 3), [(nodes[0], "i"), (first, "ij"[: first.rank])], "ij"[: first.rank]))
    return add([einsum(1, [(n, range(n.rank))], []) for n in nodes[-5:]]), [x, y, A]


def _complex_value(root: Node, values: Mapping[Tensor, Array]) -> Any:
    """An independent evaluation over complex numbers of the kinds that random graphs are made of."""
    found: dict[Node, Any] = {}
    found.update(values.items())
    for node in topological([root]):
        args = [found[operand] for operand in node.operands]
        if isinstance(node, Pointwise):
            found[node] = getattr(np, {"atan": "arctan"}.get(node.function, node.function))(*args)
        elif isinstance(node, Einsum):
            operands = [item for a, (_, labels) in zip(args, node.factors, strict=True) for item in (a, list(labels))]
            found[node] = float(node.coefficient) * np.einsum(*operands, list(node.output))
        elif node.operands:
            found[node] = sum(args[1:], start=args[0])
    return found[root]


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_against_complex_steps(seed: int) -> None:
    loss, leaves = _random_graph(seed)
    values = _values([x, y, A], seed)
    for leaf, got in zip(leaves, interpret(gradient(loss, leaves), values, SIZES), strict=True):
        for position in np.ndindex(*got.shape):
            moved = values[leaf].astype(complex)
            moved[position] += 1e-40j
            want = _complex_value(loss, {**values, leaf: moved})
            np.testing.assert_allclose(got[position], np.imag(want) / 1e-40, rtol=1e-10, atol=1e-12)
