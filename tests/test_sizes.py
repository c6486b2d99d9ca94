"""Unification of sizes, and binding them afterwards."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from elaborated import program

from bracketc.errors import Source, Span
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Size
from bracketc.ir.rewrite import topological
from bracketc.ir.sizes import bind_sizes
from bracketc.ir.verify import verify
from bracketc.lang.sizes import Sizes

PLACE = Span(Source("x"), 0, 1)
N, K = Dim.named("N"), Dim.named("K")


def test_an_unknown_takes_the_size_that_it_meets() -> None:
    sizes = Sizes()
    one, two = sizes.unknown("ones", PLACE), sizes.unknown("ones", PLACE)
    assert sizes.unify(one, two) and sizes.unify(two, N)
    assert sizes.resolve(one) is N and sizes.resolve(2 * one + K) is 2 * N + K


def test_a_linear_equation_is_solved() -> None:
    sizes = Sizes()
    one = sizes.unknown("ones", PLACE)
    assert sizes.unify(one + K - 1, N)
    assert sizes.resolve(one) is N - K + 1


def test_sizes_that_cannot_be_equal_conflict() -> None:
    sizes = Sizes()
    one = sizes.unknown("ones", PLACE)
    assert sizes.unify(one, Dim.of(3))
    assert not sizes.unify(one, Dim.of(4))
    assert not sizes.unify(N, K)


def test_an_equation_without_a_solution_waits_for_more() -> None:
    sizes = Sizes()
    one, two = sizes.unknown("ones", PLACE), sizes.unknown("ones", PLACE)
    assert sizes.unify(one * two, 3 * N)
    assert sizes.unify(one, Dim.of(3))
    assert sizes.settle() == []
    assert sizes.resolve(two) is N


def test_long_chains_of_unknowns_resolve() -> None:
    sizes = Sizes()
    chain = [sizes.unknown("ones", PLACE) for _ in range(20_000)]
    for left, right in pairwise(chain):
        assert sizes.unify(left, right)
    assert sizes.unify(chain[-1], N)
    assert all(sizes.resolve(one) is N for one in chain)


def test_binding_a_size_makes_it_a_number_everywhere() -> None:
    text = """Z[0] = x
Z[t] = tanh(S @ Z[t-1]) + y[t] x for t = 1..I
F = (1/J) (Z[I] · x) + [~𝟏 x]
gradient F wrt S
"""
    made = program(text)
    bound = bind_sizes(made, {"J": 4, "unused": 7})
    nodes = topological([node for _, node in bound.results])
    verify(nodes)
    assert "J" not in {name for node in nodes if isinstance(node, Size) for name in node.dim.names}
    assert bound.inputs["S"].dims == ("4", "4")
    assert [(s.name, s.value) for s in bound.sizes] == [("I", None), ("J", 4), ("K", None)]
    rng = np.random.default_rng(0)
    given: dict[str, Any] = {"A": (3, 4), "B": (4, 5), "S": (4, 4), "T": (3, 4, 5), "x": 4, "y": 3, "z": 4, "lam": ()}
    arrays = {name: rng.random(shape) for name, shape in given.items()}
    both = [
        interpret([node for _, node in p.results], {t: arrays[t.name] for t in p.arguments})[0] for p in (made, bound)
    ]
    np.testing.assert_allclose(both[0], both[1])
