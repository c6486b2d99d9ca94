"""Structures made by hand, every class and sums of them: each answer is that of the dense array, empty ones included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_structure import Array, _check

import bracketc as bc

SIZES = [(4, 3), (1, 1), (1, 3), (4, 1), (0, 3), (4, 0), (0, 0)]
Make = Callable[[np.random.Generator, int, int], tuple[bc.Structured, Array]]


def es(pattern: str, *operands: Any) -> Array:
    return np.asarray(np.einsum(pattern, *operands))


def _near_one(rng: np.random.Generator, *shape: int) -> Array:
    """Matrices far from singular, in the last two axes."""
    return np.asarray(np.eye(shape[-1]) * 3 + rng.uniform(-0.5, 0.5, shape))


def _diagonal(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    d = rng.uniform(1, 2, n)
    return bc.Diagonal((n, n), 1, [([(0, 1)], [(d, (0,))])], True), np.diag(d)


def _diagonal_of_matrices(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    d = rng.uniform(1, 2, (n, k))
    return bc.Diagonal((n, k, n, k), 2, [([(0, 2), (1, 3)], [(d, (0, 1))])], True), es("ac,bd,ab->abcd", np.eye(n), np.eye(k), d)


def _transposed_diagonal(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    """Of a transposition: row (a, b) is column (b, a)."""
    d = rng.uniform(1, 2, (n, k))
    return bc.Diagonal((n, k, k, n), 2, [([(0, 3), (1, 2)], [(d, (0, 1))])]), es("ad,bc,ab->abcd", np.eye(n), np.eye(k), d)


def _constant_diagonal(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    d = rng.uniform(1, 2, k)
    found = bc.Diagonal((n, k, n, k), 2, [([(0, 2), (1, 3)], [(np.tile(d, (n, 1)), (0, 1))])], True)
    return found, es("ac,bd,b->abcd", np.eye(n), np.eye(k), d)


def _blocks(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    B = _near_one(rng, n, k, k)
    return bc.BlockDiagonal((n, k, n, k), 2, [([(0, 2)], [(B, (0, 1, 3))])]), es("ac,abd->abcd", np.eye(n), B)


def _blocks_inside(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    B = _near_one(rng, k, n, n)
    return bc.BlockDiagonal((n, k, n, k), 2, [([(1, 3)], [(B, (1, 0, 2))])]), es("bd,bac->abcd", np.eye(k), B)


def _product_of_blocks(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    B, s = _near_one(rng, n, k, k), rng.uniform(1, 2, n)
    found = bc.BlockDiagonal((n, k, n, k), 2, [([(0, 2)], [(B, (0, 1, 3)), (s, (0,))])])
    return found, es("ac,abd,a->abcd", np.eye(n), B, s)


def _kronecker(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    A, B = _near_one(rng, n, n), _near_one(rng, k, k)
    return bc.Kronecker((n, k, n, k), 2, [([], [(A, (0, 2)), (B, (1, 3))])]), es("ac,bd->abcd", A, B)


def _kronecker_with_identity(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    B = _near_one(rng, k, k)
    return bc.Kronecker((n, k, n, k), 2, [([(0, 2)], [(B, (1, 3))])]), es("ac,bd->abcd", np.eye(n), B)


def _symmetric(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    v = rng.uniform(1, 2, n)
    return bc.Symmetric((n, n), 1, [([], [(v, (0,)), (v, (1,))])], True), np.outer(v, v)


def _product(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    A, u, v = rng.uniform(1, 2, (n, n)), rng.uniform(1, 2, k), rng.uniform(1, 2, k)
    return bc.Product((n, k, n, k), 2, [([], [(A, (0, 2)), (u, (1,)), (v, (3,))])]), es("ac,b,d->abcd", A, u, v)


def _oblong(rng: np.random.Generator, n: int, k: int) -> tuple[bc.Structured, Array]:
    B = rng.uniform(1, 2, (n, k, 2))
    return bc.BlockDiagonal((n, k, n, 2), 2, [([(0, 2)], [(B, (0, 1, 3))])]), es("ac,abd->abcd", np.eye(n), B)


MADE: dict[str, Make] = {
    made.__name__.strip("_"): made
    for made in (_diagonal, _diagonal_of_matrices, _transposed_diagonal, _constant_diagonal, _blocks, _blocks_inside,
                 _product_of_blocks, _kronecker, _kronecker_with_identity, _symmetric, _product, _oblong)
}  # fmt: skip

SUMS = {
    "diagonals": (("diagonal", "diagonal"), True),
    "diagonals of matrices": (("diagonal_of_matrices", "constant_diagonal"), True),
    "diagonal and blocks": (("diagonal_of_matrices", "blocks"), True),
    "diagonal and inner blocks": (("blocks_inside", "constant_diagonal"), True),
    "blocks, twice": (("blocks", "product_of_blocks"), True),
    "blocks and a Kronecker product with the same identity": (("blocks", "kronecker_with_identity", "diagonal_of_matrices"), True),
    "transposed diagonals": (("transposed_diagonal", "transposed_diagonal"), True),
    "blocks of different axes": (("blocks", "blocks_inside"), False),
    "diagonal and a square": (("diagonal", "symmetric"), False),
    "Kronecker products": (("kronecker", "kronecker"), False),
    "diagonal and a product": (("diagonal_of_matrices", "product"), False),
    "oblong blocks": (("oblong", "oblong"), True),
}  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("made", MADE)
def test_every_class_answers_as_its_dense_array(made: str, sizes: tuple[int, int]) -> None:
    found, dense = MADE[made](np.random.default_rng(0), *sizes)
    _check(found, dense)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("parts", "solvable"), SUMS.values(), ids=SUMS)
def test_every_sum_answers_as_its_dense_array(parts: tuple[str, ...], solvable: bool, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    found, dense = zip(*(MADE[part](rng, *sizes) for part in parts), strict=True)
    total = sum(found[1:], found[0])
    assert isinstance(total, bc.Sum) and len(total.terms) == len(parts)
    _check(total, sum(dense))
    _check(total - 0.5 * found[0], sum(dense) - 0.5 * dense[0])


@pytest.mark.parametrize(("parts", "solvable"), SUMS.values(), ids=SUMS)
def test_sums_are_solved_block_by_block_where_all_terms_share_blocks(parts: tuple[str, ...], solvable: bool) -> None:
    rng = np.random.default_rng(2)
    found, dense = zip(*(MADE[part](rng, 3, 2) for part in parts), strict=True)
    total, matrix = sum(found[1:], found[0]), sum(dense)
    b = rng.normal(size=total.shape[: total.rows])
    if not solvable:
        with pytest.raises(bc.ArgumentError, match=r"no blocks off which this Sum is zero; numpy.linalg.solve takes A.dense\(\)"):
            total.solve(b)
        return
    x = total.solve(b)
    np.testing.assert_allclose(np.tensordot(matrix, x, x.ndim), b, atol=1e-12)


def test_singular_and_oblong_sums_are_errors() -> None:
    rng = np.random.default_rng(3)
    d, _ = _diagonal(rng, 3, 1)
    with pytest.raises(np.linalg.LinAlgError, match="solve: singular, 3 entries of the diagonal are zero"):
        (d - d).solve(np.ones(3))
    blocks, _ = _blocks(rng, 3, 2)
    with pytest.raises(np.linalg.LinAlgError, match="solve: singular, a block has no inverse"):
        (blocks - blocks).solve(np.ones((3, 2)))
    oblong, _ = _oblong(rng, 3, 4)
    for wrong in (oblong, oblong + oblong):
        with pytest.raises(bc.ArgumentError, match="a block of 4 rows and 2 columns is not square"):
            wrong.solve(np.ones((3, 4)))
    with pytest.raises(bc.ArgumentError, match="needed in front"):
        (blocks + blocks).solve(np.ones(5))
    with pytest.raises(bc.ArgumentError, match=r"diagonal: \(3, 4\) rows are not the \(3, 2\) columns"):
        oblong.diagonal()


@pytest.mark.parametrize("extent", [10**6, 10**12])
def test_a_dense_array_beyond_all_memory_names_its_size_and_what_to_take_instead(extent: int) -> None:
    """Too large for the machine, and for an array of NumPy at all; the values repeat one number."""
    d = np.broadcast_to(np.ones(1), (extent,))
    found = bc.Diagonal((extent, extent, 4), 1, [([(0, 1)], [(d, (0,))])])
    said = rf"dense: float64 of shape \({extent}, {extent}, 4\) takes {32 * extent**2:,} bytes, for which there is no memory; this "
    said += rf"Diagonal stores {8 * extent:,}: take A @ x, x @ A or A.diagonal\(\) instead"
    for call in (found.dense, lambda: np.asarray(found), lambda: found[0], lambda: np.exp(found), (found + found).dense):
        with pytest.raises(bc.ArgumentError, match=said.replace("Diagonal stores", "(Diagonal|Sum) stores")):
            call()
