"""Recurrences differentiated as loops: values, second derivatives, what is saved, and how many loops and nodes there
are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bracketc.calculus.derivatives import gradient, hessian, hvp, jacobian
from bracketc.ir.build import (
    add,
    compare,
    einsum,
    entry,
    multiply,
    permute,
    pointwise,
    power,
    project,
    scale,
    tensor,
    window,
)
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Add, Gather, Node, Project, Recurrence, Reduce, Select, Tensor
from bracketc.ir.recurrence import merge_recurrences, recurrence
from bracketc.ir.rewrite import Roots, substitute, tensors, topological
from bracketc.ir.verify import verify

Array = np.ndarray[Any, Any]
N, D, H, C, T = (Dim.named(name) for name in "NDHCT")
SIZES = {"N": 3, "D": 2, "H": 2, "C": 2}


def _matmul(left: Node, right: Node) -> Node:
    return einsum(1, [(left, "ij"), (right, "jk")], "ik")


def _rows(vector: Node) -> Node:
    return einsum(1, [(vector, "k")], "ik", {"i": N})


def _loss(node: Node) -> Node:
    labels = range(node.rank)
    return einsum(Fraction(1, 2), [(node, labels), (node, labels)], [])


def rnn() -> tuple[Node, list[Tensor]]:
    """Z[t] = tanh(Z[t-1] W + X[t] U + b), logits Z[t] V + c, mean cross-entropy: section 6.4."""
    X, Y = tensor("X", "T", "N", "D"), tensor("Y", "T", "N", "C")
    W, U, b = tensor("W", "H", "H"), tensor("U", "D", "H"), tensor("b", "H")
    V, c, Z0 = tensor("V", "H", "C"), tensor("c", "C"), tensor("Z0", "N", "H")
    z, x = Tensor("%z", (N, H)), Tensor("%x", (N, D))
    step = pointwise("tanh", add([_matmul(z, W), _matmul(x, U), _rows(b)]))
    # The constants enter the body through placeholders of their own.
    w, u, beta = Tensor("%w", (H, H)), Tensor("%u", (D, H)), Tensor("%b", (H,))
    (step,) = substitute((step,), {W: w, U: u, b: beta})
    loop = recurrence(T, [(z, Z0, step)], [(x, X)], [(w, W), (u, U), (beta, b)], [step])
    Z = project(loop, 1)
    O = add([einsum(1, [(Z, "tnh"), (V, "hc")], "tnc"), einsum(1, [(c, "c")], "tnc", {"t": T, "n": N})])
    lse = Reduce("logsumexp", O, (2,))
    log_softmax = add([O, scale(-1, einsum(1, [(lse, "tn")], "tnc", {"c": C}))])
    return einsum(Fraction(-1, 3), [(log_softmax, "tnc"), (Y, "tnc")], ""), [W, U, b, V, c, Z0, X]


def lstm(length: Dim = T) -> tuple[Node, list[Tensor]]:
    """Hochreiter and Schmidhuber's cell with a forget gate: four gates, two states."""
    X = tensor("X", length, "N", "D")
    z, c, x = Tensor("%z", (N, H)), Tensor("%c", (N, H)), Tensor("%x", (N, D))
    consts, gates, parameters = [], [], []
    for gate in "ifog":
        w, u, b = Tensor(f"%w{gate}", (H, H)), Tensor(f"%u{gate}", (D, H)), Tensor(f"%b{gate}", (H,))
        own = [tensor(f"W{gate}", "H", "H"), tensor(f"U{gate}", "D", "H"), tensor(f"b{gate}", "H")]
        parameters += own
        consts += list(zip([w, u, b], own, strict=True))
        function = "tanh" if gate == "g" else "sigmoid"
        gates.append(pointwise(function, add([_matmul(z, w), _matmul(x, u), _rows(b)])))
    i, f, o, g = gates
    cell = add([multiply(f, c), multiply(i, g)])
    hidden = multiply(o, pointwise("tanh", cell))
    start = [tensor("Z0", "N", "H"), tensor("C0", "N", "H")]
    loop = recurrence(length, [(z, start[0], hidden), (c, start[1], cell)], [(x, X)], consts, [hidden])
    return add([_loss(project(loop, 2)), _loss(project(loop, 1))]), [*parameters, *start, X]


def two_offsets() -> tuple[Node, list[Tensor]]:
    """Z[t] = tanh(Z[t-1] W + Z[t-2] V): the state before the last is carried along."""
    W, V, Z0, Z1 = tensor("W", "H", "H"), tensor("V", "H", "H"), tensor("Z0", "N", "H"), tensor("Z1", "N", "H")
    last, before = Tensor("%l", (N, H)), Tensor("%p", (N, H))
    w, v = Tensor("%w", (H, H)), Tensor("%v", (H, H))
    step = pointwise("tanh", add([_matmul(last, w), _matmul(before, v)]))
    loop = recurrence(T, [(last, Z1, step), (before, Z0, last)], [], [(w, W), (v, V)], [step])
    return _loss(project(loop, 2)), [W, V, Z0, Z1]


def filtered() -> tuple[Node, list[Tensor]]:
    """A loop that runs backwards with a condition, a table read by labels, and a product with a view of a constant."""
    W, S, E = tensor("W", "H", "H"), tensor("S", "T", "N", "H"), tensor("E", "D", "H")
    index = Tensor("I", (T, N), "integer", bound=D)
    z, s, k = Tensor("%z", (N, H)), Tensor("%s", (N, H)), Tensor("%i", (N,), "integer", bound=D)
    w, e = Tensor("%w", (H, H)), Tensor("%e", (D, H))
    rows = Gather(e, k)
    mixed = add([multiply(z, rows), _matmul(s, permute(w, (1, 0)))])
    step = Select(compare("<", mixed, s), pointwise("sin", mixed), multiply(mixed, mixed, s))
    loop = recurrence(T, [(z, tensor("Z0", "N", "H"), step)], [(s, S), (k, index)], [(w, W), (e, E)], [z], True)
    last = entry(project(loop, 1), 0, 0)
    return add([_loss(last), _loss(window(project(loop, 1), 0, 1, (1,), (T - 1,)))]), [W, E, S, tensor("Z0", "N", "H")]


def bilinear() -> tuple[Node, list[Tensor]]:
    """A product of matrices over time: no function at all, so that the loop is linear in its state."""
    S, z, s = tensor("S", "T", "H", "H"), Tensor("%z", (H, H)), Tensor("%s", (H, H))
    start = tensor("Z0", "H", "H")
    loop = recurrence(T, [(z, start, _matmul(z, s))], [(s, S)], [], [])
    return _loss(project(loop, 0)), [S, start]


MODELS = {"rnn": rnn, "lstm": lstm, "two offsets": two_offsets, "filtered": filtered, "bilinear": bilinear}


def _values(roots: Sequence[Node], steps: int) -> dict[Tensor, Array]:
    rng = np.random.default_rng(5)
    found: dict[Tensor, Array] = {}
    for leaf in tensors(roots):
        shape = tuple(d.evaluate({**SIZES, "T": steps}) for d in leaf.shape)
        found[leaf] = rng.integers(0, 2, shape) if leaf.dtype == "integer" else rng.uniform(-0.9, 0.9, shape)
    return found


def _run(roots: Sequence[Node], values: Mapping[Tensor, Array], steps: int) -> list[Array]:
    return interpret(roots, values, {**SIZES, "T": steps})


def _central(root: Node, leaf: Tensor, values: Mapping[Tensor, Array], steps: int, h: float = 1e-5) -> Array:
    columns = []
    for position in np.ndindex(*values[leaf].shape):
        ends = []
        for sign in (1, -1):
            moved = values[leaf].copy()
            moved[position] += sign * h
            ends.append(_run([root], {**values, leaf: moved}, steps)[0])
        columns.append((ends[0] - ends[1]) / (2 * h))
    return np.stack(columns, -1).reshape(*columns[0].shape, *values[leaf].shape)


def _loops(roots: Sequence[Node]) -> list[Recurrence]:
    return [node for node in topological(roots) if isinstance(node, Recurrence)]


def _size(roots: Sequence[Node]) -> int:
    """Nodes, those of the steps included."""
    return len(topological(roots)) + sum(_size(loop.body.results) for loop in _loops(roots))


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_agree_with_central_differences(name: str, steps: int) -> None:
    loss, leaves = MODELS[name]()
    values = _values([loss], steps)
    slopes = merge_recurrences(Roots(gradient(loss, leaves))).nodes
    for leaf, got in zip(leaves, _run(slopes, values, steps), strict=True):
        np.testing.assert_allclose(got, _central(loss, leaf, values, steps), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_second_derivatives_agree_with_central_differences(name: str) -> None:
    loss, leaves = MODELS[name]()
    values = _values([loss], 3)
    for leaf in (leaves[0], leaves[-1]):
        (slope,) = gradient(loss, [leaf])
        for other in (leaves[0], leaves[1]):
            curvature = hessian(loss, leaf, other)
            verify([curvature])
            (got,) = _run([curvature], values, 3)
            np.testing.assert_allclose(got, _central(slope, other, values, 3), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_the_hessian_times_a_direction(name: str) -> None:
    loss, leaves = MODELS[name]()
    leaf = leaves[0]
    direction = tensor("d", *leaf.shape)
    values = _values([loss, direction], 4)
    matrix, vector = _run([hessian(loss, leaf), hvp(loss, leaf, direction)], values, 4)
    np.testing.assert_allclose(vector, np.tensordot(matrix, values[direction], leaf.rank), rtol=1e-9, atol=1e-11)


def test_no_step_at_all_leaves_the_start() -> None:
    loss, leaves = two_offsets()
    values = _values([loss], 0)
    assert all(not slope.any() for slope in _run(gradient(loss, leaves), values, 0))


def test_the_jacobian_of_the_last_state() -> None:
    loss, leaves = two_offsets()
    loop = _loops([loss])[0]
    last = project(loop, 0)
    values = _values([last], 4)
    (got,) = _run([jacobian(last, leaves[2])], values, 4)
    np.testing.assert_allclose(got, _central(last, leaves[2], values, 4), rtol=1e-6, atol=1e-9)


def test_a_derivative_by_the_states_of_a_recurrence_cuts_it() -> None:
    loss, leaves = rnn()
    states = next(node for node in topological([loss]) if isinstance(node, Project))
    slope, by_weight = gradient(loss, [states, leaves[0]])
    assert (slope.shape == (T, N, H) and not _loops([slope])) or _loops([slope]) == _loops([loss])
    (found,) = _run([by_weight], _values([loss], 2), 2)
    assert not found.any()


# --------------------------------------------------------------------------------------------------- shape of the loops
@pytest.mark.parametrize("name", MODELS)
def test_value_and_gradient_run_one_loop_forward_and_one_back(name: str) -> None:
    loss, leaves = MODELS[name]()
    roots = merge_recurrences(Roots((loss, *gradient(loss, leaves)))).nodes
    forward, back = _loops(roots)
    assert forward.reverse is not back.reverse
    assert _size(roots) < 5 * _size([loss])


def test_cotangents_of_constants_accumulate_in_plain_sums() -> None:
    loss, leaves = rnn()
    back = _loops(merge_recurrences(Roots(gradient(loss, leaves))).nodes)[-1]
    sums = [
        result
        for parameter, result in zip(back.body.parameters, back.body.results, strict=False)
        if isinstance(result, Add) and result.terms[0] is parameter
    ]
    assert [s.shape for s in sums] == [(H, H), (D, H), (H,)]


def test_the_network_saves_its_states_and_no_more() -> None:
    """tanh' is computed again from the states, which the loop puts out anyway; besides, the state before each step is
    kept."""
    loss, leaves = rnn()
    forward = _loops(merge_recurrences(Roots((loss, *gradient(loss, leaves)))).nodes)[0]
    assert len(forward.body.results) == 3
    assert forward.body.results[2] is forward.body.parameters[0]


def test_the_cell_saves_each_gate_once() -> None:
    loss, leaves = lstm()
    forward = _loops(merge_recurrences(Roots((loss, *gradient(loss, leaves)))).nodes)[0]
    saved = forward.body.results[2:]
    assert len(saved) == 8  # hidden state, four gates, tanh of the cell, and both states before the step


def test_the_second_derivative_needs_no_more_nodes_for_more_steps() -> None:
    sizes = []
    for steps in (5, 500):
        loss, leaves = lstm(Dim.of(steps))
        sizes.append(_size([hessian(loss, leaves[0])]))
    assert sizes[0] == sizes[1]


def test_merging_joins_what_loops_put_out() -> None:
    z, start = Tensor("%z", (H,)), tensor("Z0", "H")
    step = pointwise("tanh", z)
    loops = [recurrence(T, [(z, start, step)], [], [], ys) for ys in ([step], [power(z, 2)], [power(z, 2), step])]
    roots = Roots((project(loops[0], 1), project(loops[1], 1), project(loops[2], 2), project(loops[2], 0)))
    merged = merge_recurrences(roots).nodes
    assert len(_loops(merged)) == 1 and merged[0] is merged[2]
    values = {start: np.array([0.3, 0.4])}
    for left, right in zip(_run(roots.nodes, values, 3), _run(merged, values, 3), strict=True):
        np.testing.assert_array_equal(left, right)


def test_merging_drops_what_nobody_reads() -> None:
    z, start = Tensor("%z", (H,)), tensor("Z0", "H")
    loop = recurrence(T, [(z, start, pointwise("tanh", z))], [], [], [z])
    (merged,) = merge_recurrences(Roots((project(loop, 0),))).nodes
    assert isinstance(merged, Project) and len(merged.arg.body.results) == 1


def test_a_stack_of_loops_is_merged_in_one_pass() -> None:
    stack: list[Node] = []
    for put_out in (False, True):
        node: Node = tensor("S", "T", "H")
        for _ in range(5):
            z, s = Tensor("%z", (H,)), Tensor("%s", (H,))
            step = pointwise("tanh", add([z, s]))
            loop = recurrence(T, [(z, tensor("Z0", "H"), step)], [(s, node)], [], [z, step] if put_out else [step])
            node = project(loop, 2 if put_out else 1)
        stack.append(node)
    assert stack[0] is not stack[1]
    merged = merge_recurrences(Roots(tuple(stack))).nodes
    assert merged[0] is merged[1] and len(_loops(merged)) == 5


STATE, INPUT = Tensor("%saved", (N,)), Tensor("%given", (N,))
SAVED: dict[str, tuple[Node, set[Node]]] = {
    "a whole power is computed again": (multiply(power(STATE, 3), INPUT), {STATE}),
    "a root is saved": (
        multiply(power(STATE, Fraction(3, 2)), INPUT), {power(STATE, Fraction(1, 2)), power(STATE, Fraction(3, 2))},
    ),
    "an exponential is saved": (multiply(pointwise("exp", STATE), INPUT), {pointwise("exp", STATE)}),
    "what has a kink is computed again": (multiply(pointwise("relu", STATE), INPUT), {STATE}),
    "a condition is computed again": (Select(compare("<", STATE, INPUT), multiply(STATE, STATE), INPUT), {STATE}),
    "a sum over an axis is saved": (
        einsum(1, [(einsum(1, [(STATE, "n"), (STATE, "n")], ""), ""), (STATE, "n"), (INPUT, "n")], "n"),
        {STATE, einsum(1, [(STATE, "n"), (STATE, "n")], "")},
    ),
    "of what is linear nothing is saved": (add([STATE, INPUT]), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", SAVED)
def test_what_a_loop_saves_for_its_derivative(name: str) -> None:
    """Stacks are read at some cost, so that what one stack serves is computed again where that is cheap."""
    step, wanted = SAVED[name]
    start, given = tensor("S0", "N"), tensor("G", "T", "N")
    target = _loss(project(recurrence(T, [(STATE, start, step)], [(INPUT, given)], [], []), 0))
    slopes = gradient(target, (start, given))
    saved: set[Node] = set()
    for loop in topological(slopes):
        if isinstance(loop, Recurrence):
            first, *more = substitute(loop.body.results, dict(zip(loop.body.parameters, (STATE, INPUT), strict=False)))
            saved.update(more if first is step else ())
    assert saved == wanted
    rng = np.random.default_rng(4)
    values = {start: rng.uniform(0.2, 0.5, 3), given: rng.uniform(0.2, 0.5, (4, 3))}
    shift = {start: rng.normal(size=3), given: rng.normal(size=(4, 3))}
    ends = [interpret((target,), {k: values[k] + h * shift[k] for k in values})[0] for h in (1e-6, -1e-6)]
    found = interpret(slopes, values)
    total = sum(float(np.sum(slope * shift[k])) for k, slope in zip((start, given), found, strict=True))
    np.testing.assert_allclose(total, (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-9)
