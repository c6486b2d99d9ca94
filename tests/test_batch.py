"""Batching: a graph mapped over new leading axes equals the graph run for each entry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bracketc.ir.batch import batch
from bracketc.ir.build import (
    add,
    compare,
    einsum,
    entry,
    literal,
    overlap,
    permute,
    pointwise,
    power,
    project,
    scale,
    select,
    tensor,
    window,
    zeros,
)
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import (
    Body,
    Delta,
    Gather,
    Linalg,
    Node,
    Recurrence,
    Reduce,
    Scatter,
    Stack,
    Tensor,
)

N, B, C, T = Dim.named("N"), Dim.named("B"), Dim.named("C"), Dim.named("T")
SIZES = {"N": 3, "B": 2, "C": 4, "T": 5}
x = tensor("x", "N")
A = tensor("A", "N", "N")
M = tensor("M", "N", "C")
I = Tensor("I", (T,), "integer", bound=N)
J = Tensor("J", (T, T), "integer", bound=N)


def _loop() -> Recurrence:
    z, h, m, w = (Tensor(f"%{k}", s) for k, s in enumerate([(N,), (N,), (C,), (N, C)]))
    step = pointwise("tanh", add([z, einsum(1, [(w, "nc"), (m, "c")], "n"), scale(0.5, h)]))
    start = tensor("Z0", "N")
    return Recurrence(Body((z, h, m, w), (step, z, m, step)), T, (start, zeros((N,))), (tensor("S", "T", "C"),), (M,))


LOOP = _loop()
NODES: dict[str, Node] = {
    "einsum": einsum(2, [(A, "ij"), (x, "j"), (x, "i")], "i"),
    "diagonal": einsum(1, [(A, "ii")], ""),
    "broadcasting": einsum(1, [(x, "i")], "ji", {"j": C}),
    "add": add([A, permute(A, (1, 0))]),
    "pointwise": pointwise("exp", M),
    "power": power(M, -1),
    "select": select(compare("<", x, literal(0)), x, zeros((N,))),
    "select of a shared condition": select(compare("<", tensor("y", "N"), literal(0)), x, zeros((N,))),
    "reduce": Reduce("logsumexp", M, (1,)),
    "window": window(M, 0, 1, (1,), (Dim.of(2),)),
    "sliding window": window(M, 1, 0, (1, 2), (Dim.of(2), Dim.of(2))),
    "entry": entry(M, 1, 2),
    "overlap": overlap(M, 1, 1, (1,), Dim.of(6)),
    "gather rows": Gather(M, I),
    "gather by a matrix of labels": Gather(M, J),
    "scatter": Scatter(tensor("V", "T", "C"), I, N),
    "scatter by a matrix of labels": Scatter(tensor("V2", "T", "T", "C"), J, N),
    "stack": Stack((x, tensor("y", "N"))),
    "inv": Linalg("inv", (A,)),
    "det": Linalg("det", (A,)),
    "solve": Linalg("solve", (A, M)),
    "delta": einsum(1, [(Delta(N), "ij"), (x, "j")], "i"),
    "final state": project(LOOP, 0),
    "second state": project(LOOP, 1),
    "slices of a recurrence": project(LOOP, 2),
    "steps of a recurrence": project(LOOP, 3),
}


def _tensors(root: Node) -> list[Tensor]:
    from bracketc.ir.rewrite import tensors

    return sorted(tensors([root]), key=lambda t: t.name)


def _value(leaf: Tensor, rng: np.random.Generator, lead: tuple[int, ...]) -> np.ndarray:
    shape = (*lead, *(d.evaluate(SIZES) for d in leaf.shape))
    if leaf.dtype == "integer":
        return rng.integers(0, 3, shape)
    return rng.uniform(0.5, 1.5, shape)


def _agrees(root: Node, keys: list[Tensor], extents: tuple[Dim, ...]) -> None:
    rng = np.random.default_rng(1)
    lead = tuple(e.evaluate(SIZES) for e in extents)
    replaced = {k: Tensor(f"{k.name}s", (*extents, *k.shape), k.dtype) for k in keys}
    shared = {t: _value(t, rng, ()) for t in _tensors(root) if t not in keys}
    mapped = {k: _value(k, rng, lead) for k in keys}
    (result,) = batch((root,), dict(replaced.items()), extents)
    assert result.shape == (*extents, *root.shape)
    (got,) = interpret([result], shared | {replaced[k]: v for k, v in mapped.items()}, SIZES)
    for position in np.ndindex(*lead):
        (want,) = interpret([root], shared | {k: v[position] for k, v in mapped.items()}, SIZES)
        np.testing.assert_allclose(got[position], want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("extents", [(B,), (B, Dim.of(3))], ids=["one axis", "two axes"])
@pytest.mark.parametrize("name", NODES)
def test_mapping_each_argument_alone_equals_a_loop(name: str, extents: tuple[Dim, ...]) -> None:
    for leaf in _tensors(NODES[name]):
        _agrees(NODES[name], [leaf], extents)


@pytest.mark.parametrize("name", NODES)
def test_mapping_all_arguments_together_equals_a_loop(name: str) -> None:
    _agrees(NODES[name], _tensors(NODES[name]), (B,))


def test_a_root_without_the_key_is_repeated() -> None:
    (result,) = batch((x,), {M: tensor("Ms", "B", "N", "C")}, (B,))
    assert result is einsum(1, [(x, "n")], "bn", {"b": B})


def test_a_key_may_be_any_node() -> None:
    inner = pointwise("exp", x)
    (result,) = batch((scale(2, inner),), {inner: tensor("U", "B", "N")}, (B,))
    assert result is scale(2, tensor("U", "B", "N"))


@pytest.mark.parametrize("columns", [(), ("C",), (2, "C")])
def test_solutions_with_any_axes_of_columns(columns: tuple[str | int, ...]) -> None:
    right = tensor("R", "N", *columns)
    for keys in ([A], [right], [A, right]):
        _agrees(Linalg("solve", (A, right)), keys, (B,))


def test_a_result_of_a_recurrence_without_the_key_leaves_the_key_behind() -> None:
    given = einsum(1, [(project(LOOP, 2), "tc"), (project(LOOP, 2), "tc")], "t")
    weights = tensor("Ms", "B", "N", "C")
    (result,) = batch((given,), {M: weights}, (B,))
    assert M not in _tensors(result) and weights in _tensors(result)


def _deep(step: Callable[[Node], Node]) -> Node:
    node: Node = x
    for _ in range(20_000):
        node = step(node)
    return node


def test_long_chains_need_no_recursion() -> None:
    (result,) = batch((_deep(lambda n: pointwise("tanh", n)),), {x: tensor("xs", "B", "N")}, (B,))
    assert result.shape == (B, N)


def test_recurrences_keep_their_number_of_nodes() -> None:
    (result,) = batch((project(LOOP, 0),), {M: tensor("Ms", "B", "N", "C")}, (B,))
    (loop,) = result.operands
    assert isinstance(loop, Recurrence) and loop.length is T
