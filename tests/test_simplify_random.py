"""Random graphs of every node kind mean the same before and after each pass, and after all of them together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_ir import SIZES, random_graph

from bracketc.ir.interpret import interpret
from bracketc.ir.rewrite import Roots, topological
from bracketc.ir.verify import verify
from bracketc.simplify import (
    broadcasts,
    canonical,
    deltas,
    flatten,
    powers,
    recurrences,
    sharing,
    simplify,
    stabilise,
    stable,
    sums,
    traits,
    windows,
)

Pass = Callable[[Roots], Roots]

PASSES: tuple[Pass, ...] = (
    flatten.fold_brackets,
    flatten.inline_brackets,
    flatten.pull_scalars,
    flatten.flatten_products,
    flatten.join_sums,
    flatten.absorb_scales,
    deltas.eliminate_deltas,
    deltas.split_deltas,
    deltas.distribute_deltas,
    powers.split_sizes,
    powers.merge_powers,
    powers.simplify_powers,
    canonical.canonicalise,
    sums.merge_terms,
    sums.pull_common,
    sums.cancel_terms,
    sums.flatten_sums,
    broadcasts.fold_constants,
    broadcasts.spread_late,
    broadcasts.fold_selects,
    stable.stable_logarithms,
    stable.stable_quotients,
    stable.stable_powers,
    stable.stable_differences,
    stable.stable_exponentials,
    stable.shift_logsumexp,
    stable.complement_sigmoids,
    traits.sum_rows,
    traits.use_diagonals,
    traits.use_orthogonality,
    traits.use_signs,
    traits.declared_powers,
    traits.canonical_under_symmetry,
    windows.compose_windows,
    windows.fold_overlaps,
    windows.sum_overlaps,
    windows.fold_gathers,
    windows.fold_stacks,
    sharing.share_transposes,
    recurrences.drop_unused,
    recurrences.hoist,
    recurrences.sink,
)


def check(seed: int, apply: Pass) -> Roots:
    roots, values = random_graph(seed)
    after = apply(Roots(roots))
    verify(after.nodes)
    for old, new in zip(interpret(roots, values, SIZES), interpret(after.nodes, values, SIZES), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-7, atol=1e-7)
    return after


@pytest.mark.parametrize("apply", PASSES, ids=lambda apply: apply.__name__)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_a_pass_leaves_the_meaning(apply: Pass, seed: int) -> None:
    check(seed, apply)


@pytest.mark.parametrize("apply", [stabilise, simplify], ids=lambda apply: apply.__name__)
@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_all_passes_leave_the_meaning(apply: Pass, seed: int) -> None:
    check(seed, apply)


def test_graphs_get_smaller() -> None:
    before = after = 0
    for seed in range(100):
        roots, _ = random_graph(seed)
        before += len(topological(roots))
        after += len(topological(simplify(Roots(roots)).nodes))
    assert after < before
