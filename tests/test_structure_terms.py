"""What of a derivative is stored: products of deltas and smaller tensors, and their sums, taken apart and put together again."""

from __future__ import annotations

import numpy as np
import pytest

import bracketc as bc
from bracketc.compiler import derive
from bracketc.ir.build import add, delta, einsum, fill, literal, pointwise, scale, tensor
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Add, Node
from bracketc.ir.rewrite import tensors
from bracketc.options import Options
from bracketc.simplify.structure import Stored, _is_diagonal, describe, store_structures

N, M, TWO, ONE = Dim.named("N"), Dim.named("M"), Dim.of(2), Dim.of(1)
x, y, z, s = tensor("x", "N"), tensor("y", "N"), tensor("z", "N"), tensor("s")
A, B, C = tensor("A", "N", "M"), tensor("B", "M", "M"), tensor("C", "N", "M", "M")
S = tensor("S", "N", "N")
SIZES = {"N": 3, "M": 2}
I, E = delta(N), delta(M)


def value(node: Node) -> np.ndarray:
    arrays = {}
    for each in tensors([node]):
        shape = tuple(extent.evaluate(SIZES) for extent in each.shape)
        arrays[each] = np.random.default_rng([ord(letter) for letter in each.name]).uniform(0.5, 1.5, shape)
    return interpret([node], arrays, SIZES)[0]


def whole(stored: Stored, node: Node) -> Node:
    """The tensor that the terms say: what is stored, at its axes, where the axes of each group agree."""
    terms = []
    extents = dict(enumerate(node.shape))
    for term in stored.structure.terms:
        factors = [(stored.nodes[place], axes) for place, axes in zip(term.stored, term.factors, strict=True)]
        deltas = [(delta(node.shape[group[0]]), (group[0], other)) for group in term.equal for other in group[1:]]
        terms.append(einsum(1, [*factors, *deltas], tuple(range(node.rank)), extents))
    return add(terms)


def kinds(node: Node, rows: int) -> tuple[str, ...] | None:
    stored = describe(node, rows)
    if stored is None:
        return None
    np.testing.assert_allclose(value(whole(stored, node)), value(node), rtol=1e-12)
    assert all(each.rank < node.rank for each in stored.nodes)
    for term in stored.structure.terms:  # the first axis of a group stands for all of it
        assert not {axis for group in term.equal for axis in group[1:]} & {axis for axes in term.factors for axis in axes}
    return tuple(term.kind for term in stored.structure.terms)


def outer(number: int) -> Node:
    return einsum(1, [(tensor(f"a{number}", "N"), "i"), (tensor(f"b{number}", "N"), "j")], "ij")


DIAGONAL = einsum(1, [(I, "ij"), (x, "i")], "ij")
MATRICES = einsum(1, [(I, "ik"), (C, "ijl")], "ijkl")


@pytest.mark.parametrize(
    ("node", "rows", "wanted"),
    [
        (DIAGONAL, 1, ("diagonal",)),
        (scale(3, I), 1, ("diagonal",)),
        (einsum(1, [(x, "i"), (x, "j")], "ij"), 1, ("symmetric",)),
        (einsum(1, [(x, "i"), (y, "j")], "ij"), 1, ("product",)),
        (einsum(1, [(x, "i"), (tensor("b", "M"), "j")], "ij"), 1, ("product",)),
        (add([DIAGONAL, einsum(-1, [(x, "i"), (x, "j")], "ij")]), 1, ("diagonal", "symmetric")),
        (MATRICES, 2, ("block diagonal",)),
        (einsum(1, [(I, "ik"), (B, "jl")], "ijkl"), 2, ("kronecker",)),
        (einsum(1, [(S, "ik"), (B, "jl")], "ijkl"), 2, ("kronecker",)),
        (einsum(1, [(I, "ik"), (A, "ij"), (A, "kl")], "ijkl"), 2, ("block diagonal",)),
        (einsum(1, [(I, "ik"), (E, "jl"), (A, "ij")], "ijkl"), 2, ("diagonal",)),
        (einsum(1, [(I, "ik"), (tensor("b", "M"), "j"), (tensor("c", "M"), "l")], "ijkl"), 2, ("kronecker",)),
        (einsum(1, [(I, "il"), (E, "jk")], "ijkl"), 2, ("kronecker",)),
        (einsum(1, [(A, "ij"), (A, "kl")], "ijkl"), 2, ("symmetric",)),
        (einsum(1, [(I, "ij"), (S, "kl")], "ijkl"), 2, ("product",)),
        (einsum(1, [(x, "i"), (y, "j"), (z, "k")], "ijk"), 1, ("product",)),
        (einsum(1, [(I, "ij"), (I, "jk"), (x, "i")], "ijk"), 1, ("product",)),
        (add([MATRICES, einsum(1, [(I, "ik"), (B, "jl")], "ijkl")]), 2, ("block diagonal",)),
        (add([DIAGONAL, einsum(2, [(I, "ij"), (y, "j"), (s, "")], "ij")]), 1, ("diagonal",)),
        (einsum(1, [(Add((S, I)), "ij"), (x, "i"), (x, "j")], "ij"), 1, None),
        (einsum(1, [(Add((einsum(1, [(x, "i"), (y, "j")], "ij"), I)), "ij"), (z, "i")], "ij"), 1, ("diagonal", "product")),
        (einsum(1, [(Add((outer(1), scale(2, I))), "ij"), (z, "i")], "ij"), 1, ("diagonal", "product")),
        (einsum(1, [(S, "ij"), (I, "kl")], "ijkl"), 2, ("product",)),
        (einsum(1, [(I, "ki"), (C, "kjl")], "ijkl"), 2, ("block diagonal",)),
        (einsum(1, [(Add((S, pointwise("tanh", S))), "ik"), (B, "jl")], "ijkl"), 2, ("kronecker",)),
        (einsum(1, [(Add((S, pointwise("tanh", Add((S, I))))), "ik"), (B, "jl")], "ijkl"), 2, ("kronecker",)),
        (einsum(1, [(Add((S, I)), "ik"), (B, "jl")], "ijkl"), 2, ("kronecker", "kronecker")),
        (add([einsum(1, [(I, "ik"), (x, "i")], "ijkl", {"j": M, "l": M}), einsum(1, [(I, "ik"), (B, "jl"), (x, "k")], "ijkl")]),
         2, ("block diagonal", "kronecker")),
        (S, 1, None),
        (pointwise("tanh", S), 1, None),
        (fill(1, (N, N)), 1, ("symmetric",)),
        (s, 0, None),
        (fill(2, (N, N)), 1, ("symmetric",)),
    ],
)  # fmt: skip
def test_what_is_stored_of_a_derivative(node: Node, rows: int, wanted: tuple[str, ...] | None) -> None:
    assert kinds(node, rows) == wanted


def test_equal_factors_are_stored_once_and_the_number_by_itself() -> None:
    stored = describe(einsum(-3, [(x, "i"), (x, "j"), (s, "")], "ij"), 1)
    assert stored is not None and [node.rank for node in stored.nodes] == [1, 0]
    assert stored.structure.terms[0].stored == (0, 0, 1) and stored.structure.symmetric
    alone, twice = (describe(einsum(number, [(x, "i"), (x, "j")], "ij"), 1) for number in (1, 2))
    assert alone is not None and alone.nodes == (x,) and twice is not None and twice.nodes == (x, literal(2))
    mixed = describe(add([DIAGONAL, einsum(1, [(x, "i"), (y, "j")], "ij")]), 1)
    assert mixed is not None and not mixed.structure.symmetric
    plain = describe(einsum(-3, [(x, "i"), (y, "j")], "ij"), 1)
    assert plain is not None and [node.rank for node in plain.nodes] == [1, 1] and not plain.structure.symmetric


def test_factors_over_axes_of_another_one_are_stored_in_it() -> None:
    first, second = tensor("p", "N"), tensor("q", "N")
    for factors, output in (
        ([(first, "i"), (A, "ij"), (second, "k")], "ijk"),
        ([(A, "ij"), (first, "i"), (second, "k")], "ijk"),
        ([(second, "k"), (first, "i"), (x, "i"), (S, "ii")], "ik"),
    ):
        stored = describe(einsum(1, factors, output), 1)
        assert stored is not None and len(stored.nodes) == 2
        axes = [own for term in stored.structure.terms for own in term.factors]
        assert axes == sorted(axes), "in the order of the axes"


@pytest.mark.parametrize(("count", "is_stored"), [(8, True), (9, False)])
def test_a_sum_of_many_products_is_dense(count: int, is_stored: bool) -> None:
    assert (describe(add(map(outer, range(count))), 1) is not None) == is_stored
    opened = einsum(1, [(Add((outer(count), scale(2, I))), "ij"), (z, "i")], "ij")  # two products, once it is opened
    assert (describe(Add((*map(outer, range(count - 2)), opened)), 1) is not None) == is_stored


def test_what_is_stored_is_in_the_order_of_the_sum() -> None:
    stored = describe(Add((einsum(1, [(x, "i"), (y, "j")], "ij"), einsum(1, [(z, "i"), (x, "j")], "ij"))), 1)
    assert stored is not None and stored.nodes == (x, y, z)
    assert [term.stored for term in stored.structure.terms] == [(0, 1), (2, 0)]


def test_names_of_what_is_stored_say_the_term() -> None:
    """The number of the term where there are several, that of the factor where a term has several; by the first that has it."""

    def named(line: str, request: str) -> list[str]:
        arguments = "dim n, k\nparam x : n\nparam y : n\nparam U : n, k"
        derived = derive(bc.parse(f"{arguments}\n{line}\n{request} as R"), Options())
        return next([name for name, _ in entry.results] for entry in store_structures(derived.entries) if entry.name == "R")

    assert named("F = softmax(x)", "jacobian F wrt x") == ["term1_values", "term2_factor2"], "the second is of the numbers"
    assert named("F = (x · x)**3", "hessian F wrt x") == ["term1_values", "term2_factor1", "term2_factor2"]
    assert named("F = x y", "jacobian F wrt x") == ["factor"] and named("F = x ⊙ y", "jacobian F wrt x") == ["values"]
    assert named("F = softmax^1(U)", "jacobian F wrt U") == ["term1_values", "term2_factor2"]


@pytest.mark.parametrize(("extent", "is_stored"), [(N, True), (Dim.of(3), True), (TWO, True), (ONE, False)])
def test_what_is_not_less_than_all_of_it_is_dense(extent: Dim, is_stored: bool) -> None:
    """Two vectors of 3 are less than 9 numbers and two of 1 are not; a named size is taken for large."""
    first, second = (tensor(name, extent) for name in "uv")
    node = einsum(1, [(first, "i"), (second, "j")], "ij")
    assert (describe(node, 1) is not None) == (is_stored and extent is not TWO)
    assert (describe(einsum(1, [(first, "i"), (first, "j")], "ij"), 1) is not None) == is_stored


def test_which_groups_of_axes_are_a_diagonal() -> None:
    assert _is_diagonal([(0, 1)], 1, 2) and _is_diagonal([(0, 2), (1, 3)], 2, 4)
    for groups, rows, rank in (([(0, 2)], 2, 4), ([], 0, 0), ([(0, 3), (1, 2)], 2, 4), ([(0, 1)], 1, 3), ([(0, 2), (1, 3)], 2, 5)):
        assert not _is_diagonal(groups, rows, rank)


def product(rng: np.random.Generator, rank: int) -> Node:
    """A product of few factors over some axes of size N, numbers and scalars among them, at times a sum inside."""
    factors: list[tuple[Node, tuple[int, ...]]] = []
    for _ in range(rng.integers(1, 4)):
        axes = tuple(int(axis) for axis in rng.permutation(rank)[: rng.integers(0, 3)])
        leaves: tuple[Node, ...] = ((s, literal(2)), (x, y, pointwise("tanh", x)), (I, S, I, Add((S, scale(2, I)))))[len(axes)]
        factors.append((leaves[rng.integers(len(leaves))], axes))
    return einsum(int(rng.choice([-1, 1, 2])), factors, tuple(range(rank)), dict.fromkeys(range(rank), N))


def test_random_sums_of_products_are_what_is_stored_of_them() -> None:
    stored = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        rank = int(rng.integers(2, 5))
        node = add([product(rng, rank) for _ in range(rng.integers(1, 4))])
        stored += kinds(node, int(rng.integers(0, rank + 1))) is not None
    assert stored > 60
