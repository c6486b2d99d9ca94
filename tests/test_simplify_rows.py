"""Rows of identities, and solves: what simplification makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from bracketc.ir.build import delta, einsum, multiply, overlap, permute, power, scale, tensor, window
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Gather, Linalg, Node, Scatter, Tensor
from bracketc.ir.rewrite import Roots, topological
from bracketc.proof.wording import worded
from bracketc.simplify import simplify
from bracketc.simplify.solves import simplify_solve

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


K, ONE = Dim.named("K"), Dim.of(1)
P, Q, F, G = tensor("P", "K", "N", "N"), tensor("Q", "K", "K", "N", "N"), tensor("F", "K", "N"), tensor("G", "K", "M")
b, g, D, H = tensor("b", "N"), tensor("g", "K"), tensor("D", "N", "M"), tensor("H", "K", "M", "N")
MANY = einsum(1, [(A, "ij")], "kij", {"k": K})
"""One matrix, said for every k."""
SOLVED = [  # the operation, the matrix, the right side; the solution that is computed, and what stands outside
    ("solve", A, einsum(1, [(b, "i"), (x, "j")], "ij"), "(x_j solve(A, (b_i | ij))_ik | ij)"),
    ("solve_upper", A, einsum(2, [(tensor("s"), ""), (D, "ij")], "ij"), "(2 s solve_upper(A, D)_ij | ij)"),
    ("solve", A, scale(3, D), "3 solve(A, D)"),
    ("solve", A, einsum(1, [(tensor("s"), ""), (D, "ij")], "ij"), "(s solve(A, D)_ij | ij)"),
    ("solve", A, einsum(1, [(b, "i")], "ij", {"j": M}), "(solve(A, (b_i | ij))_ik | ij)"),
    ("solve", MANY, einsum(1, [(b, "i")], "kio", {"k": K, "o": ONE}), "(solve(A, (b_i | ij))_jl | ijk)"),
    ("solve", einsum(1, [(tensor("s"), "")], "kij", {"k": K, "i": ONE, "j": ONE}),
     einsum(1, [(tensor("r", 1), "i"), (g, "k")], "kij", {"j": ONE}), "(g_i solve((s | ij), (r_i | ij))_jl | ijk)"),
    ("solve", einsum(1, [(P, "kij")], "kbij", {"b": K}), einsum(1, [(delta(K), "kb"), (F, "bi"), (G, "bc")], "kbic"),
     "(δ_ij G_jl solve(P, (F_ij | ijk))_ikm | ijkl)"),
    ("solve", einsum(1, [(P, "kij")], "kbij", {"b": M}), einsum(1, [(F, "ki"), (B, "bc")], "kbic"),
     "(B_jl solve(P, (F_ij | ijk))_ikm | ijkl)"),
    ("solve", P, einsum(1, [(F, "ki"), (g, "k")], "kio", {"o": ONE}), "(g_i solve(P, (F_ij | ijk))_ijl | ijk)"),
    ("solve", P, einsum(1, [(delta(N), "ij"), (g, "k")], "kij"), "(g_i inv(P)_ijk | ijk)"),
    ("solve_lower", P, einsum(1, [(delta(N), "ij"), (g, "k")], "kij"), "(g_i solve_lower(P, (δ_jk | ijk))_ijk | ijk)"),
    ("solve", MANY, einsum(1, [(F, "ki")], "kio", {"o": ONE}), "(solve(A, ((F_ij | ijk)_jik | ij))_ji | ijk)"),
    ("solve", MANY, einsum(1, [(D, "ij")], "kij", {"k": K}), "(solve(A, D)_jk | ijk)"),
    ("solve", MANY, einsum(1, [(H, "kji"), (g, "k")], "kij"), "(g_i solve((A_jk | ijk), (H_ikj | ijk))_ijk | ijk)"),
    ("solve", Q, einsum(1, [(delta(K), "kl"), (F, "ki")], "klio", {"o": ONE}), "(δ_ij solve(Q, (F_ik | ijkl))_ijkm | ijkl)"),
    ("solve", A, D, None), ("solve", A, einsum(1, [(A, "ij"), (D, "jk")], "ik"), None), ("solve_lower", A, delta(N), None),
    ("solve", A, einsum(1, [(b, "i")], "io", {"o": ONE}), None), ("solve", P, einsum(1, [(D, "ij")], "kij", {"k": K}), None),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "matrix", "right", "wanted"), SOLVED)
def test_what_is_solved_for_is_what_has_the_row(operator: str, matrix: Node, right: Node, wanted: str | None) -> None:
    """All else stands outside; a matrix that is one for all is factorised once, and a label that is another one is that one."""
    node = Linalg(operator, (matrix, right))
    found = simplify_solve(node)
    assert (None if found is node else worded(found)) == wanted
    rng = np.random.default_rng(1)
    sizes = SIZES | {"K": 2}
    values = {}
    for leaf in topological([node]):
        if isinstance(leaf, Tensor):
            shape = [extent.evaluate(sizes) for extent in leaf.shape]
            values[leaf] = rng.normal(size=shape) + (4 * np.eye(4) if shape[-2:] == [4, 4] else 0)
            values[leaf] = np.tril(values[leaf]) if "lower" in operator and shape[-2:] == [4, 4] else values[leaf]
            values[leaf] = np.triu(values[leaf]) if "upper" in operator and shape[-2:] == [4, 4] else values[leaf]
    left, new = interpret([node, found], values, sizes)
    np.testing.assert_allclose(new, left, rtol=1e-9, atol=1e-12)
