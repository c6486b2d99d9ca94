"""Slices of slices, of what was put into zeros, of stacks and of products: the very node after, the same entries."""

from __future__ import annotations

import numpy as np
import pytest

from bracketc.ir.build import delta, einsum, fill, overlap, pointwise, scale, tensor, window, zeros
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Gather, Node, Scatter, Stack, Tensor, Window
from bracketc.ir.rewrite import tensors, topological
from bracketc.simplify.windows import compose_window, fold_gather, fold_overlap, fold_stack, place_row, sum_overlap

N, M = Dim.named("N"), Dim.named("M")
SIZES = {"N": 9, "M": 4}
x, y, m, A = tensor("x", "N"), tensor("y", "N"), tensor("m", "M"), tensor("A", "N", "M")
s = tensor("s")
i = Tensor("i", (M,), "integer")


def dim(value: int) -> Dim:
    return Dim.of(value)


def value(node: Node) -> np.ndarray:
    rng = np.random.default_rng(1)
    known = {t: rng.uniform(0.5, 1.5, tuple(e.evaluate(SIZES) for e in t.shape)) for t in (x, y, m, A, s)}
    known[i] = np.array([3, 0, 3, 5])
    return interpret([node], {t: known[t] for t in tensors([node])}, SIZES)[0]


def same(before: Node, after: Node) -> bool:
    np.testing.assert_allclose(value(after), value(before))
    return True


def cut(node: Node, offset: int | Dim, *extents: int | Dim, steps: tuple[int, ...] | None = None, axis: int = 0) -> Window:
    """A window that nothing has simplified."""
    return Window(
        node, axis, Dim.of(offset) if isinstance(offset, int) else offset, steps if steps is not None else (1,) * len(extents),
        tuple(Dim.of(extent) if isinstance(extent, int) else extent for extent in extents),
    )  # fmt: skip


SLICES = {
    "a slice of a slice": (cut(cut(x, 2, 6), 3, 2), window(x, 0, 5, (1,), (dim(2),))),
    "every second of every second": (cut(cut(x, 1, 4, steps=(2,)), 1, 2, steps=(1,)), window(x, 0, 3, (2,), (dim(2),))),
    "an entry of a slice": (cut(cut(x, 2, 6, steps=(1,)), 3), window(x, 0, 5, (), ())),
    "sliding windows of a slice": (cut(cut(x, 1, 8), 2, 3, 2, steps=(2, 1)), window(x, 0, 3, (2, 1), (dim(3), dim(2)))),
    "an entry of a stack": (cut(Stack((x, y)), 1), y),
    "the whole": (cut(x, 0, N), x),
    "of a number": (cut(fill(3, (N,)), 2, 4), fill(3, (dim(4),))),
    "of a scaled vector": (cut(scale(2, x), 2, 4), scale(2, window(x, 0, 2, (1,), (dim(4),)))),
    "of a scaled matrix": (cut(scale(2, A), 1, 3), scale(2, window(A, 0, 1, (1,), (dim(3),)))),
    "of a vector with a scalar": (
        cut(einsum(3, [(s, ()), (x, (0,))], (0,)), 2, 4), einsum(3, [(s, ()), (window(x, 0, 2, (1,), (dim(4),)), (0,))], (0,)),
    ),
    "of what was put there": (cut(overlap(m, 0, 2, (1,), N), 2, M), m),
    "of the middle of it": (cut(overlap(m, 0, 2, (1,), N), 3, 2), cut(overlap(m, 0, 2, (1,), N), 3, 2)),
    "before it": (cut(overlap(m, 0, 3, (1,), N), 0, 3), zeros((dim(3),))),
    "behind it": (cut(overlap(m, 0, 1, (1,), N), M + 1, 2), zeros((dim(2),))),
    "an entry that was put there": (cut(overlap(s, 0, 2, (), N), 2), s),
    "another entry": (cut(overlap(s, 0, 2, (), N), 3), zeros(())),
    "the entry before": (cut(overlap(s, 0, 2, (), N), 1), zeros(())),
}


@pytest.mark.parametrize("name", SLICES)
def test_what_is_cut_out_of_what_was_put_together(name: str) -> None:
    node, wanted = SLICES[name]
    found = compose_window(node)
    assert same(node, found) and found is wanted


VECTOR = tensor("v", 5)
PARTS = {
    "inside": (cut(overlap(VECTOR, 0, 2, (1,), N), 3, 2), window(VECTOR, 0, 1, (1,), (dim(2),))),
    "the first of it": (cut(overlap(VECTOR, 0, 2, (1,), N), 2, 2), window(VECTOR, 0, 0, (1,), (dim(2),))),
    "the last of it": (cut(overlap(VECTOR, 0, 2, (1,), N), 5, 2), window(VECTOR, 0, 3, (1,), (dim(2),))),
    "one entry of it": (cut(overlap(VECTOR, 0, 2, (1,), N), 6), window(VECTOR, 0, 4, (), ())),
    "just behind": (cut(overlap(VECTOR, 0, 2, (1,), N), 7, 2), zeros((dim(2),))),
    "just before": (cut(overlap(VECTOR, 0, 2, (1,), N), 0, 2), zeros((dim(2),))),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_what_was_put_into_zeros(name: str) -> None:
    node, wanted = PARTS[name]
    arrays = {VECTOR: np.arange(1.0, 6.0)}
    found = compose_window(node)
    given = [{t: arrays[t] for t in tensors([n])} for n in (node, found)]
    left, right = (interpret([n], a, SIZES)[0] for n, a in zip((node, found), given, strict=True))
    np.testing.assert_array_equal(left, right)
    assert found is wanted


@pytest.mark.parametrize(
    "node",
    [
        cut(overlap(VECTOR, 0, 2, (1,), N), 1, 2),  # half of it before
        cut(overlap(VECTOR, 0, 2, (1,), N), 6, 2),  # half of it behind
        cut(overlap(x, 0, M, (1,), N + M), 2, 2),  # nobody knows
        cut(overlap(VECTOR, 0, 1, (2,), Dim.of(12)), 1, 2),  # with gaps
        cut(overlap(s, 0, 2, (), N), 1, 3),
        cut(pointwise("tanh", x), 1, 3),
        cut(einsum(1, [(x, (0,)), (y, (0,))], (0,)), 1, 3),  # two vectors
        cut(einsum(1, [(x, (0,)), (m, (1,))], (0, 1)), 1, 3),
        cut(einsum(1, [(tensor("S", "N", "N"), (0, 0))], (0,)), 1, 3),  # a diagonal
        cut(einsum(1, [(A, (0, 1)), (m, (1,))], (0,)), 1, 3),  # a sum
        cut(cut(A, 1, 2, axis=0), 1, 2, axis=1),
        cut(x, 1, 3),
    ],
)  # fmt: skip
def test_what_is_not_decided_stays(node: Node) -> None:
    assert compose_window(node) is node


def test_labels_that_nothing_carries_are_cut_alone() -> None:
    wide = einsum(3, [(x, (0,))], (0, 1), {0: N, 1: M})
    found = compose_window(cut(wide, 1, 2, axis=1))
    assert same(cut(wide, 1, 2, axis=1), found) and found is einsum(3, [(x, (0,))], (0, 1), {0: N, 1: dim(2)})
    assert same(cut(wide, 1, 2), compose_window(cut(wide, 1, 2))) and compose_window(x) is x


def test_numbers_stand_in_front_of_what_is_put_into_zeros() -> None:
    assert fold_overlap(overlap(scale(2, m), 0, 1, (1,), N)) is scale(2, overlap(m, 0, 1, (1,), N))
    both = einsum(3, [(s, ()), (m, (0,))], (0,))
    put = overlap(both, 0, 1, (1,), N)
    assert same(put, fold_overlap(put)) and fold_overlap(put) is einsum(3, [(s, ()), (overlap(m, 0, 1, (1,), N), (0,))], (0,))
    assert fold_overlap(overlap(m, 0, 1, (1,), N)) is overlap(m, 0, 1, (1,), N) and fold_overlap(x) is x
    alone = overlap(einsum(1, [(s, ()), (m, (0,))], (0,)), 0, 1, (1,), N)
    assert fold_overlap(alone) is einsum(1, [(s, ()), (overlap(m, 0, 1, (1,), N), (0,))], (0,))
    scattered = Scatter(scale(-1, m), i, N)
    assert same(scattered, fold_overlap(scattered)) and fold_overlap(scattered) is scale(-1, Scatter(m, i, N))
    assert fold_overlap(Scatter(zeros((M,)), i, N)) is zeros((N,))
    contraction = overlap(einsum(2, [(A, (0, 1)), (x, (0,))], (1,)), 0, 1, (1,), N)
    assert fold_overlap(contraction) is contraction


def test_the_sum_of_what_was_put_into_zeros_is_its_sum() -> None:
    put = overlap(A, 1, 1, (1,), N)
    node = einsum(2, [(put, (0, 1)), (x, (0,))], ())
    assert same(node, sum_overlap(node)) and sum_overlap(node) is einsum(2, [(A, (0, 1)), (x, (0,))], ())
    high = overlap(A, 0, 0, (1,), Dim.of(12))
    for output, wanted in (((1,), einsum(2, [(A, (0, 1))], (1,))), ((1, 2), einsum(2, [(A, (0, 1))], (1, 2), {2: M}))):
        columns = einsum(2, [(high, (0, 1))], output, {2: M})
        assert same(columns, sum_overlap(columns)) and sum_overlap(columns) is wanted
    kept = einsum(2, [(put, (0, 1)), (x, (0,))], (1,))
    both = einsum(1, [(put, (0, 1)), (y, (1,))], (0,))
    assert sum_overlap(kept) is kept and sum_overlap(both) is both and sum_overlap(x) is x
    later = einsum(1, [(put, (0, 1)), (x, (1,)), (overlap(m, 0, 2, (1,), N), (2,))], (0,))
    assert same(later, sum_overlap(later)) and sum_overlap(later) is not later


def test_rows_of_an_identity_place_and_cut() -> None:
    rows = window(delta(N), 0, 2, (1,), (M,))  # (M, N)
    placed = einsum(3, [(rows, (0, 1)), (m, (0,))], (1,))
    assert same(placed, place_row(placed)) and place_row(placed) is overlap(scale(3, m), 0, 2, (1,), N)
    taken = einsum(3, [(rows, (0, 1)), (x, (1,))], (0,))
    assert same(taken, place_row(taken)) and place_row(taken) is scale(3, window(x, 0, 2, (1,), (M,)))
    columns = window(delta(N), 1, 2, (1,), (M,))  # (N, M)
    turned = einsum(1, [(columns, (1, 0)), (x, (1,))], (0,))
    assert same(turned, place_row(turned)) and place_row(turned) is window(x, 0, 2, (1,), (M,))
    matrix = einsum(1, [(rows, (0, 1)), (A, (2, 0))], (2, 1))
    assert same(matrix, place_row(matrix)) and place_row(matrix) is overlap(A, 1, 2, (1,), N)
    gathered = Gather(delta(N), i)  # (M, N)
    scattered = einsum(1, [(gathered, (0, 1)), (A, (2, 0))], (2, 1))
    assert same(scattered, place_row(scattered)) and not any(t is gathered for t in place_row(scattered).operands)
    twice = einsum(1, [(rows, (0, 1)), (x, (1,)), (y, (1,))], (0,))
    diagonal = einsum(1, [(rows, (0, 1)), (tensor("S", "N", "N"), (1, 1))], (0,))
    for kept in (rows, scale(2, rows), twice, diagonal, x):
        assert place_row(kept) is kept
    behind = einsum(1, [(A, (0, 2)), (rows, (1, 0))], (1, 2))
    assert same(behind, place_row(behind)) and place_row(behind) is window(A, 0, 2, (1,), (M,))


def test_rows_taken_by_many_indices_are_added_where_they_stand() -> None:
    pairs = Tensor("j", (M, Dim.of(2)), "integer")
    C, V = tensor("C", "N", "M", 2), tensor("V", "M", 2)
    rng = np.random.default_rng(2)
    arrays = {i: np.array([3, 0, 3, 5]), pairs: rng.integers(0, 9, (4, 2))}
    arrays |= {t: rng.normal(size=[e.evaluate(SIZES) for e in t.shape]) for t in (C, V)}
    single, many = Gather(delta(N), i), Gather(delta(N), pairs)  # (M, N) and (M, 2, N)
    for node in (
        einsum(1, [(single, "bp"), (C, "kbl")], "kpl"),
        einsum(1, [(single, "bp"), (C, "kbl")], "klp"),
        einsum(1, [(many, "bcp"), (V, "bc")], "p"),
        einsum(1, [(many, "bcp"), (C, "kbc")], "kp"),
    ):
        found = place_row(node)
        new, old = (interpret([n], {t: arrays[t] for t in tensors([n])}, SIZES)[0] for n in (found, node))
        np.testing.assert_allclose(new, old)
        assert not any(isinstance(inner, Gather) for inner in topological([found]))


def test_rows_and_stacks_of_one_thing_are_it_spread() -> None:
    spread = einsum(1, [(m, (1,))], (0, 1), {0: N, 1: M})
    rows = Gather(spread, i)
    assert same(rows, fold_gather(rows)) and fold_gather(rows) is einsum(1, [(m, (1,))], (0, 1), {0: M, 1: M})
    assert fold_gather(Gather(A, i)) is Gather(A, i) and fold_gather(x) is x
    for many in (Stack((x, x)), Stack((x,))):
        assert same(many, fold_stack(many)) and fold_stack(many) is not many
    assert fold_stack(Stack((x, y))) is Stack((x, y)) and fold_stack(x) is x
