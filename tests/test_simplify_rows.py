"""Rows of identities, and solves: what simplification makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from bracketc.ir.build import delta, einsum, multiply, overlap, permute, power, scale, tensor, window
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Gather, Linalg, Node, Scatter, Tensor
from bracketc.ir.rewrite import Roots, topological
from bracketc.simplify import simplify

N, M = Dim.named("N"), Dim.named("M")
SIZES = {"N": 4, "M": 3}
x, y, A, B = tensor("x", "M"), tensor("y", "N"), tensor("A", "N", "N"), tensor("B", "M", "N")
c = Tensor("c", (M,), "integer", (), N)
E = tensor("E", 2, 3)
ROWS = window(delta(N), 1, 1, (1,), (M,))  # δ[p, l+1]


def simplified(node: Node) -> Node:
    return simplify(Roots((node,))).nodes[0]


CASES = {
    "what a slice of an identity places": (einsum(1, [(ROWS, "pl"), (x, "l")], "p"), overlap(x, 0, 1, (1,), N)),
    "rows instead of columns": (
        einsum(1, [(window(delta(N), 0, 1, (1,), (M,)), "lp"), (x, "l")], "p"), overlap(x, 0, 1, (1,), N),
    ),
    "a number in front": (einsum(2, [(ROWS, "pl"), (x, "l")], "p"), scale(2, overlap(x, 0, 1, (1,), N))),
    "what a slice of an identity cuts out": (einsum(1, [(ROWS, "pl"), (y, "p")], "l"), window(y, 0, 1, (1,), (M,))),
    "windows": (
        einsum(1, [(window(delta(Dim.of(4)), 1, 0, (1, 1), (Dim.of(2), Dim.of(3))), "puv"), (E, "uv")], "p"),
        overlap(E, 0, 0, (1, 1), Dim.of(4)),
    ),
    "one entry": (einsum(1, [(window(delta(N), 1, 2, (), ()), "p"), (x, "i")], "pi"), overlap(x, 0, 2, (), N)),
    "a delta times itself": (
        einsum(1, [(delta(N), "ij"), (delta(N), "ij"), (y, "j")], "ij"), einsum(1, [(delta(N), "ij"), (y, "i")], "ij"),
    ),
    "a gather": (einsum(1, [(Gather(delta(N), c), "bp"), (x, "b")], "p"), Scatter(x, c, N)),
    "a gather of rows": (
        einsum(1, [(Gather(delta(N), c), "bp"), (B, "bk")], "kp"), permute(Scatter(B, c, N), (1, 0)),
    ),
    "a solve with the identity": (Linalg("solve", (A, delta(N))), Linalg("inv", (A,))),
    "a number in a solve": (Linalg("solve", (A, scale(3, permute(B, (1, 0))))), None),
    "the inverse of a transpose": (Linalg("inv", (permute(A, (1, 0)),)), permute(Linalg("inv", (A,)), (1, 0))),
    "the determinant of a transpose": (Linalg("det", (permute(A, (1, 0)),)), Linalg("det", (A,))),
    "solves of one matrix": (
        Linalg("solve", (einsum(1, [(A, "ij")], "bij", {"b": M}), einsum(1, [(B, "bi")], "bio", {"o": Dim.of(1)}))), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_rows_of_identities_and_solves(name: str) -> None:
    node, expected = CASES[name]
    found = simplified(node)
    if expected is not None:
        assert found is simplified(expected)
    rng = np.random.default_rng(0)
    tensors = [n for n in topological([node]) if isinstance(n, Tensor)]
    values = {
        t: rng.integers(0, 4, 3) if t.dtype == "integer" else rng.normal(size=[d.evaluate(SIZES) for d in t.shape]) for t in tensors
    }
    for left, right in zip(interpret([node], values, SIZES), interpret([found], values, SIZES), strict=True):
        np.testing.assert_allclose(right, left, rtol=1e-9, atol=1e-12)


def test_solves_of_one_matrix_factorise_it_once() -> None:
    node, _ = CASES["solves of one matrix"]
    (solve,) = [n for n in topological([simplified(node)]) if isinstance(n, Linalg)]
    assert solve.rank == 2 and solve.args[0] is A


@pytest.mark.parametrize(("exponents", "together"), [((1, -2), -1), ((2, -3), -1), ((-1, -1), -2)])
def test_poles_merge(exponents: tuple[int, int], together: int) -> None:
    assert simplified(multiply(*(power(y, e) for e in exponents))) is simplified(power(y, together))


def test_what_may_be_zero_over_itself_stays() -> None:
    assert simplified(multiply(y, power(y, -1))) is multiply(y, power(y, -1))
