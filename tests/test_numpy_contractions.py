"""Pairwise contractions as NumPy text: whatever the order of labels, the text computes the contraction, and matrix products
go through ``@``."""

from __future__ import annotations

import random
from itertools import permutations

import numpy as np
import pytest

from bracketc.emit.expressions import Expression
from bracketc.emit.numpy_contractions import Operand, contraction
from bracketc.ir.dims import Dim

LENGTHS = (2, 3, 4, 5, 6)
EXTENTS = tuple(Dim.of(length) for length in LENGTHS)


def check(left: tuple[int, ...], right: tuple[int, ...], output: tuple[int, ...]) -> str:
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=[LENGTHS[x] for x in labels]) for labels in (left, right))
    sides = (Operand(Expression("a"), left), Operand(Expression("b"), right))
    computed = contraction(*sides, output, EXTENTS, str)
    first, second, wanted = ("".join("ijklm"[x] for x in labels) for labels in (left, right, output))
    expected = np.einsum(f"{first},{second}->{wanted}", a, b)
    np.testing.assert_allclose(eval(computed.expression.text, {"a": a, "b": b, "np": np}), expected, rtol=1e-12)
    filled = np.full(expected.shape, np.nan)
    written = computed.into("filled")
    if written is not None:
        exec(written, {"a": a, "b": b, "np": np, "filled": filled})
        np.testing.assert_allclose(filled, expected, rtol=1e-12)
    return computed.expression.text


@pytest.mark.parametrize("output", list(permutations((0, 1, 2, 3))))
def test_a_product_of_tensors_is_a_product_of_matrices(output: tuple[int, ...]) -> None:
    for left in permutations((0, 1, 4)):
        assert "einsum" not in check(left, (2, 4, 3), output)


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_labels(seed: int) -> None:
    rng = random.Random(seed)
    left, right = (tuple(rng.sample(range(5), rng.randint(1, 4))) for _ in range(2))
    known = sorted({*left, *right})
    output = tuple(rng.sample(known, rng.randint(0, len(known))))
    text = check(left, right, output)
    both, out = {*left} & {*right}, {*output}
    matrices = both - out and {*left} - both and {*right} - both and {*left} ^ {*right} <= out
    assert not (matrices and "einsum" in text)
