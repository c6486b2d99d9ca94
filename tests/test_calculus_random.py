"""Laws of differentiation on random graphs of every node kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from random_ir import SIZES, random_graph

from bracketc.calculus.derivatives import jacobian, jvp, vjp
from bracketc.ir.batch import batch
from bracketc.ir.build import add, einsum, literal
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Pointwise, Tensor
from bracketc.ir.recurrence import merge_recurrences
from bracketc.ir.rewrite import Roots, tensors, topological
from bracketc.ir.verify import verify

B = Dim.of(2)


def _dot(left: Node, right: Node) -> Node:
    labels = range(left.rank)
    return einsum(1, [(left, labels), (right, labels)], [])


def _pairs(left: tuple[Node, ...], right: list[Tensor]) -> Node:
    return add([_dot(a, b) for a, b in zip(left, right, strict=True)], ())


def _alike(prefix: str, nodes: tuple[Node, ...]) -> list[Tensor]:
    return [Tensor(f"{prefix}{k}", node.shape) for k, node in enumerate(nodes)]


def _drawn(leaves: list[Tensor], seed: int) -> dict[Tensor, Any]:
    rng = np.random.default_rng(seed)
    return {t: rng.normal(size=tuple(d.evaluate(SIZES) for d in t.shape)) for t in leaves}


def _case(seed: int) -> tuple[tuple[Node, ...], tuple[Tensor, ...], dict[Tensor, Any]]:
    roots, values = random_graph(seed, 14, 2)
    roots = tuple(root for root in roots if root.dtype == "real")
    # The derivative of trigamma is the one that the functions of the language do not reach.
    if any(isinstance(node, Pointwise) and node.function == "digamma" for node in topological(roots)):
        pytest.skip("digamma has one derivative only")
    return roots, tuple(t for t in tensors(roots) if t.dtype == "real"), values


@pytest.mark.parametrize("seed", range(120))
def test_forward_and_reverse_agree_and_second_derivatives_are_symmetric(seed: int) -> None:
    roots, leaves, values = _case(seed)
    first, second, bars = _alike("d", leaves), _alike("e", leaves), _alike("bar", roots)
    forward, reverse = jvp(roots, leaves, first), vjp(roots, leaves, bars)
    weighted = _pairs(roots, bars)
    slopes = vjp([weighted], leaves, [literal(1)])
    left, right = (_pairs(jvp(slopes, leaves, a), b) for a, b in ((first, second), (second, first)))
    over = _pairs(vjp(slopes, leaves, first), second)
    numbers = [_pairs(forward, bars), _pairs(reverse, first), left, right, over]
    verify(numbers)
    found = np.array(interpret(numbers, {**values, **_drawn([*first, *second, *bars], seed)}, SIZES))
    if not np.isfinite(found).all():
        pytest.skip("a root or a power at 0")
    scale = np.maximum(1, np.abs(found))
    assert abs(found[0] - found[1]) < 1e-8 * scale[0]
    assert max(abs(found[2] - found[3]), abs(found[2] - found[4])) < 1e-7 * scale[2]


@pytest.mark.parametrize("seed", range(120))
def test_a_gradient_has_at_most_five_times_the_nodes(seed: int) -> None:
    roots, leaves, _ = _case(seed)
    slopes = vjp(roots, leaves, _alike("bar", roots))
    whole = merge_recurrences(Roots((*roots, *slopes))).nodes
    assert len(topological(whole)) <= 5 * max(12, len(topological(roots)))


@pytest.mark.parametrize("seed", range(80))
def test_jacobians_have_the_directional_derivatives_as_products(seed: int) -> None:
    (*_, root), leaves, values = _case(seed)
    if not leaves:
        pytest.skip("no argument")
    leaf = leaves[0]
    (direction,) = _alike("d", (leaf,))
    matrix, along = jacobian(root, leaf), jvp([root], [leaf], [direction])[0]
    verify([matrix])
    given = _drawn([direction], seed)
    got, want = interpret([matrix, along], {**values, **given}, SIZES)
    if not np.isfinite(want).all():
        pytest.skip("a root or a power at 0")
    np.testing.assert_allclose(np.tensordot(got, given[direction], leaf.rank), want, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("seed", range(150))
def test_mapping_some_arguments_equals_a_loop(seed: int) -> None:
    roots, values = random_graph(seed, 14, 2)
    leaves = tensors(roots)
    chosen = [leaf for k, leaf in enumerate(leaves) if (seed + k) % 3] or list(leaves[:1])
    replaced = {t: Tensor(f"{t.name}s", (B, *t.shape), t.kind, (), t.bound) for t in chosen}
    mapped = batch(roots, dict(replaced.items()), (B,))
    verify(mapped)
    entries = {t: np.stack([values[t], values[t] * (1.01 if t.dtype == "real" else 1)]) for t in chosen}
    shared = {t: values[t] for t in leaves if t not in chosen}
    found = interpret(mapped, {**shared, **{replaced[t]: entries[t] for t in chosen}}, SIZES)
    for position in range(2):
        wanted = interpret(roots, {**shared, **{t: entries[t][position] for t in chosen}}, SIZES)
        for got, want in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got[position], want, rtol=1e-8, atol=1e-9)
