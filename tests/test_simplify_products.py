"""Brackets in brackets, one pass at a time: what is inlined, what stands outside a sum, what is joined, and what stays."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bracketc.ir.build import compare, delta, einsum, fill, pointwise, scale, tensor, zeros
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Einsum, Node
from bracketc.ir.rewrite import Roots, tensors
from bracketc.proof.wording import worded
from bracketc.simplify import flatten

N, M, K = (Dim.named(name) for name in "NMK")
x, y, z = (tensor(name, "N") for name in "xyz")
A, B, C = tensor("A", "N", "M"), tensor("B", "M", "K"), tensor("C", "N", "K")
S, T = tensor("S", "N", "N"), tensor("T", "N", "M", "K")
b, w = tensor("b", "M"), tensor("w", "K")
s, t = tensor("s"), tensor("t")
SIZES = {"N": 3, "M": 2, "K": 4}


def raw(coefficient: int, factors: list[tuple[Node, str]], output: str) -> Einsum:
    """A bracket that nothing has simplified."""
    letters = [*output, *dict.fromkeys(x for _, own in factors for x in own if x not in output)]
    extents = {letter: extent for node, own in factors for letter, extent in zip(own, node.shape, strict=True)}
    places = tuple((node, tuple(letters.index(letter) for letter in own)) for node, own in factors)
    return Einsum(Fraction(coefficient), places, tuple(range(len(output))), tuple(extents[letter] for letter in letters))


def e(factors: list[tuple[Node, str]], output: str, coefficient: int = 1, **extents: Dim) -> Node:
    return einsum(coefficient, factors, output, extents)


AB = e([(A, "ij"), (B, "jk")], "ik")
AA = e([(A, "ij"), (A, "ij")], "ij")
ONES = fill(1, (M,))
PASSES = [
    ("fold_brackets", raw(2, [(A, "ij"), (ONES, "j")], "i"), "(2 A_ij | i)"),
    ("fold_brackets", raw(3, [(ONES, "j")], "j"), "3"),
    ("fold_brackets", raw(1, [(A, "ij")], "ij"), "A"),
    ("fold_brackets", raw(1, [(A, "ij")], "ji"), None),
    ("fold_brackets", raw(2, [(A, "ij")], "ij"), None),
    ("fold_brackets", raw(0, [(A, "ij"), (b, "j")], "i"), "0"),
    ("fold_brackets", raw(1, [(A, "ij"), (b, "j")], "ij"), None),
    ("fold_brackets", zeros((N, M)), None),
    ("fold_brackets", pointwise("tanh", A), None),
    ("inline_brackets", e([(A, "ij"), (scale(2, B), "jk")], "ik"), "(2 A_ik B_kj | ij)"),
    ("inline_brackets", e([(A, "ij"), (e([(B, "jk")], "kj"), "kj")], "ik"), "(A_ik B_kj | ij)"),
    ("inline_brackets", e([(A, "ij"), (e([(S, "ii")], "i"), "i")], "ij"), "(A_ij S_ii | ij)"),
    ("inline_brackets", e([(A, "ij"), (e([(s, ""), (t, "")], "", 3), "")], "ij"), "(3 A_ij s t | ij)"),
    ("inline_brackets", e([(A, "ij"), (e([(s, ""), (b, "j")], "j"), "j")], "i"), "(A_ij s b_j | i)"),
    ("inline_brackets", e([(A, "ij"), (e([(b, "j")], "ij", i=N), "ij")], "ij"), "(A_ij b_j | ij)"),
    ("inline_brackets", e([(A, "ij"), (e([(delta(N), "ij"), (x, "i"), (y, "j")], "ij"), "ik")], "jk"), "(A_ki δ_kj x_k y_j | ij)"),
    ("inline_brackets", e([(A, "ij"), (e([(x, "i"), (b, "j")], "ij"), "ij")], "j"), None),
    ("inline_brackets", e([(A, "ij"), (AB, "ik")], "jk"), None),
    ("inline_brackets", e([(A, "ij"), (compare("<", e([(x, "i")], "ij", j=M), fill(0, (N, M))), "ij")], "ij"), "(A_ij …_i | ij)"),
    ("inline_brackets", e([(A, "ij"), (compare("<", A, fill(0, (N, M))), "ij")], "ij"), None),
    ("inline_brackets", e([(A, "ij"), (pointwise("tanh", b), "j"), (scale(-1, b), "j")], "i"), "(-A_ij tanh(b)_j b_j | i)"),
    (
        "inline_brackets", e([(scale(2, A), "ij"), (e([(x, "i"), (y, "i")], "ik", k=K), "ik")], "jk"),
        "(2 A_ki (x_i y_i | ij)_kj | ij)",
    ),
    ("pull_scalars", e([(s, ""), (A, "ij"), (B, "jk")], "ik", 2), "(2 s (A_ik B_kj | ij)_ij | ij)"),
    ("pull_scalars", e([(s, ""), (A, "ij"), (B, "jk")], "ikl", 1, l=M), "(s (A_ik B_kj | ij)_ij | ijk)"),
    ("pull_scalars", e([(A, "ij"), (B, "jk")], "ikl", 1, l=M), "((A_ik B_kj | ij)_ij | ijk)"),
    ("pull_scalars", e([(A, "ij"), (x, "l")], "i"), "((x_i | ) (A_ij | i)_i | i)"),
    ("pull_scalars", e([(A, "ij"), (x, "l"), (w, "k")], ""), "(A_ij | ) (x_i | ) (w_i | )"),
    ("pull_scalars", e([(s, ""), (A, "ij")], ""), "s (A_ij | )"),
    ("pull_scalars", e([(s, ""), (t, ""), (A, "ij"), (b, "j")], "i"), "(s t (A_ij b_j | i)_i | i)"),
    ("pull_scalars", e([(A, "ij"), (b, "j")], "i"), None),
    ("pull_scalars", e([(A, "ij"), (b, "j")], "i", 3), "3 (A_ij b_j | i)"),
    ("pull_scalars", e([(s, ""), (A, "ij")], "ij", 2), None),
    ("pull_outer", e([(S, "nd"), (T, "njk"), (A, "nj")], "dn"), "(S_ji (T_ijk A_ij | i)_j | ij)"),
    ("pull_outer", e([(e([(S, "nd"), (A, "nj")], "dnj"), "dnj"), (A, "nj")], "dn"), "(S_ji (A_ij A_ij | i)_j | ij)"),
    ("pull_outer", e([(x, "d"), (A, "nj"), (b, "j")], "dn", 3), "(3 x_i (A_ij b_j | i)_j | ij)"),
    ("pull_outer", e([(A, "nj"), (B, "jk")], "nk"), None),
    ("pull_outer", e([(S, "nd"), (A, "dj"), (A, "nj")], "dn"), None),
    ("pull_outer", e([(x, "i"), (A, "ij")], "i"), None),
    ("pull_outer", e([(x, "d"), (y, "d"), (A, "nj"), (b, "j")], "dn"), None),
    ("pull_outer", e([(scale(2, e([(x, "d"), (A, "nj")], "dnj")), "dnj"), (A, "nj")], "dn"), "(2 x_i (A_ij A_ij | i)_j | ij)"),
    ("pull_outer", e([(e([(x, "d"), (A, "nj")], "dnj"), "dnj"), (e([(y, "n"), (A, "dj")], "dnj"), "dnj")], "dn"), None),
    ("pull_outer", e([(AB, "nk"), (x, "d"), (w, "k")], "nd"), "(x_j ((A_ik B_kj | ij)_ij w_j | i)_i | ij)"),
    ("pull_outer", e([(S, "nd"), (A, "nj")], "dnj"), None),
    ("pull_outer", e([(S, "nd"), (C, "nk"), (B, "jk"), (A, "nj")], "dn"), "(S_ji (C_ij B_kj A_ik | i)_j | ij)"),
    ("pull_outer", e([(S, "nd"), (A, "nj"), (b, "j")], "dnj"), None),
    ("pull_outer", e([(A, "nj"), (b, "j"), (x, "n")], "n", 3), None),
    ("pull_outer", e([(A, "nj"), (b, "j"), (B, "jk")], "nk", 3), None),
    ("pull_outer", pointwise("tanh", A), None),
    ("pull_outer", Einsum(Fraction(1), ((x, (0,)), (A, (1, 2)), (b, (2,))), (0, 1), (N, N, M, K)), None),
    ("flatten_products", e([(AA, "ij"), (A, "ij")], "ij", 2), "(2 A_ij A_ij A_ij | ij)"),
    ("flatten_products", e([(scale(3, AA), "ij"), (AA, "ij")], "ij"), "(3 A_ij A_ij A_ij A_ij | ij)"),
    ("flatten_products", e([(e([(x, "i"), (b, "j")], "ij"), "ij"), (B, "jk")], "ik"), "(x_i b_k B_kj | ij)"),
    ("flatten_products", e([(e([(A, "ij"), (b, "j")], "ij", 5), "ij"), (B, "jk")], "ik"), None),
    ("flatten_products", e([(e([(x, "i"), (y, "i")], "i"), "i"), (A, "ij")], "ij"), None),
    ("flatten_products", e([(AB, "ik"), (C, "ik")], "ik"), None),
    ("flatten_products", e([(e([(s, ""), (t, "")], ""), ""), (x, "i")], "i"), None),
    ("flatten_products", raw(1, [(fill(2, (N,)), "i"), (A, "ij")], "ij"), "2 A"),
    ("flatten_products", pointwise("tanh", e([(AA, "ij"), (A, "ij")], "ij")), "tanh((A_ij A_ij A_ij | ij))"),
    ("absorb_scales", e([(s, ""), (AB, "ik")], "ki", -1), "(-s A_jk B_ki | ij)"),
    ("absorb_scales", e([(s, ""), (AB, "ik")], "ik"), "(s A_ik B_kj | ij)"),
    ("absorb_scales", scale(2, e([(A, "ij"), (B, "jk")], "ik", 3)), None),
    ("absorb_scales", e([(AB, "ik"), (C, "ik")], "ik"), None),
    ("absorb_scales", e([(AB, "ik")], "ikl", 1, l=M), None),
    ("absorb_scales", e([(e([(A, "ij"), (A, "kj")], "ik"), "ii")], "i"), None),
    ("absorb_scales", scale(2, AA), None),
    ("absorb_scales", e([(s, ""), (t, "")], "", 2), None),
    ("absorb_scales", e([(AB, "ik"), (w, "k")], "i", 2), None),
    ("absorb_scales", pointwise("tanh", e([(s, ""), (AB, "ik")], "ik")), "tanh((s A_ik B_kj | ij))"),
    ("join_sums", e([(AB, "ik")], "k", 2), "(2 A_jk B_ki | i)"),
    ("join_sums", e([(AB, "ik")], ""), "(A_ij B_jk | )"),
    ("join_sums", e([(e([(A, "ij"), (T, "ijk")], "ik", 3), "ik")], "i"), "(3 A_ij T_ijk | i)"),
    ("join_sums", e([(AB, "ik"), (C, "ik")], "i"), None),
    ("join_sums", e([(AB, "ik")], "kl", 1, l=M), None),
    ("join_sums", e([(e([(A, "ij"), (A, "kj")], "ik"), "ii")], ""), None),
    ("join_sums", e([(AA, "ij")], "i"), None),
    ("join_sums", e([(pointwise("tanh", A), "ij")], "i"), None),
    ("join_sums", e([(AB, "ik")], "ki"), None),
    ("join_sums", pointwise("tanh", e([(AB, "ik")], "k")), "tanh((A_jk B_ki | i))"),
]  # fmt: skip


def value(node: Node) -> np.ndarray:
    arrays = {}
    for leaf in tensors([node]):
        shape = tuple(extent.evaluate(SIZES) for extent in leaf.shape)
        arrays[leaf] = np.random.default_rng([ord(letter) for letter in leaf.name]).normal(size=shape)
    return interpret([node], arrays, SIZES)[0]


@pytest.mark.parametrize(("name", "node", "wanted"), PASSES)
def test_a_bracket_in_a_bracket(name: str, node: Node, wanted: str | None) -> None:
    (found,) = getattr(flatten, name)(Roots((node,))).nodes
    assert (None if found is node else worded(found, 9)) == wanted
    np.testing.assert_allclose(value(found), value(node), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "outer", "inner"),
    [
        ("flatten_products", e([(AA, "ij"), (A, "ij")], "ij"), AA),
        ("flatten_products", e([(AA, "ij"), (AA, "ij")], "ij"), A),
        ("absorb_scales", e([(s, ""), (AB, "ik")], "ki"), AB),
        ("join_sums", e([(AB, "ik")], "k"), AB),
    ],
)
def test_what_something_else_needs_is_computed_by_itself(name: str, outer: Node, inner: Node) -> None:
    roots = (outer, pointwise("tanh", inner))
    assert getattr(flatten, name)(Roots(roots)).nodes == roots
