"""What traits of arguments, and facts that hold by construction, make of a bracket or a function: one rule at a time."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from bracketc.ir.build import add, compare, delta, einsum, fill, multiply, pointwise, power, project, scale, tensor, window
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Gather, Linalg, Node, Pointwise, Range, Reduce, Select, Size, Tensor
from bracketc.ir.recurrence import recurrence
from bracketc.ir.rewrite import Roots, tensors
from bracketc.proof.wording import worded
from bracketc.simplify.deltas import distribute_deltas, eliminate_delta, split_delta
from bracketc.simplify.facts import declared_nonzero, declared_positive, positive
from bracketc.simplify.order import fingerprint, node_key, term_key
from bracketc.simplify.powers import merge_power, simplify_power
from bracketc.simplify.traits import sum_row, use_diagonal, use_orthogonal, use_sign

N, M, TWO, ONE = Dim.named("N"), Dim.named("M"), Dim.of(2), Dim.of(1)
SIZES = {"N": 3, "M": 2}


def declared(name: str, *trait: str, shape: tuple[Dim, ...] = (N, N)) -> Tensor:
    return Tensor(name, shape, "real", trait)


D, Q, R = declared("D", "diagonal"), declared("Q", "orthogonal"), declared("R", "orthogonal")
Y, Z = declared("Y", "stochastic rows", shape=(N, M)), declared("Z", "onehot rows", shape=(M, N, M))
P, S, x, y, p, q = (
    *(declared("P", "orthogonal", shape=(M, N, N)), tensor("S", "N", "N"), tensor("x", "N"), tensor("y", "N")),
    *(declared("p", "positive", shape=(N,)), declared("q", "nonzero", shape=(N,))),
)
A, X, m, s = tensor("A", "N", "M"), tensor("X", "M", "N"), tensor("m", "M"), tensor("s")
c = Tensor("c", (M,), "integer", (), N)


def value(node: Node) -> np.ndarray:
    arrays = {}
    for leaf in tensors([node]):
        shape = tuple(extent.evaluate(SIZES) for extent in leaf.shape)
        array = np.random.default_rng([ord(letter) for letter in leaf.name]).normal(size=shape)
        match leaf.traits:
            case ("diagonal",):
                array = array * np.eye(shape[-1])
            case ("orthogonal",):
                array = np.linalg.qr(array)[0]
            case ("stochastic rows",):
                array = np.exp(array) / np.exp(array).sum(-1, keepdims=True)
            case ("onehot rows",):
                array = np.eye(shape[-1])[np.argmax(array, -1)]
            case ("positive",):
                array = np.abs(array)
        arrays[leaf] = array if leaf.dtype == "real" else np.array([2, 0])
    return interpret([node], arrays, SIZES)[0]


def e(factors: list[tuple[Node, str]], output: str, coefficient: int = 1, **extents: Dim) -> Node:
    return einsum(coefficient, factors, output, extents)


def distributed(node: Node) -> Node:
    return distribute_deltas(Roots((node,))).nodes[0]


PAIR = add([e([(delta(N), "jl"), (S, "nj")], "njl"), e([(S, "nj"), (S, "nl")], "njl", -1)])
exp = pointwise("exp", x)
RULES: list[tuple[Callable[[Node], Node], Node, str | None]] = [
    (sum_row, e([(Y, "nk"), (S, "nm")], "nm"), "S"),
    (sum_row, e([(Y, "nk"), (S, "nm")], "m", 2), "(2 S_ji | i)"),
    (sum_row, e([(Y, "nk"), (A, "nk")], "n"), None),
    (sum_row, e([(Y, "nk")], "k"), None),
    (sum_row, e([(Y, "nk"), (x, "n")], "nk"), None),
    (sum_row, e([(Z, "bnk"), (S, "nm")], "bm"), "(S_kj | ij)"),
    (sum_row, e([(A, "nk"), (x, "n")], "n"), None),
    (sum_row, e([(Gather(Y, c), "bk"), (m, "b")], "b"), "m"),
    (sum_row, e([(window(Y, 0, 1, (1,), (TWO,)), "ak"), (tensor("t", 2), "a")], "a"), "t"),
    (sum_row, e([(window(Z, 1, 1, (1,), (TWO,)), "bak"), (m, "b")], "ba"), "(m_i | ij)"),
    (sum_row, e([(window(Y, 1, 0, (1,), (ONE,)), "nk"), (x, "n")], "n"), None),
    (sum_row, e([(window(Z, 0, 1, (), ()), "nk"), (x, "n")], "n"), "x"),
    (sum_row, e([(Gather(declared("w", "stochastic rows", shape=(N,)), c), "b"), (m, "k")], "k"), None),
    (use_diagonal, e([(D, "ij"), (A, "jk")], "ik"), "(D_ii δ_ik A_kj | ij)"),
    (use_diagonal, e([(A, "ik"), (D, "ji"), (x, "j")], "jk", 2), "(2 A_kj D_ii δ_ik x_i | ij)"),
    (use_diagonal, e([(D, "ii"), (x, "i")], "i"), None),
    (use_diagonal, e([(S, "ij"), (A, "jk")], "ik"), None),
    (use_diagonal, x, None),
    (use_orthogonal, e([(Q, "ij"), (Q, "kj"), (x, "k")], "ik"), "(δ_ij x_j | ij)"),
    (use_orthogonal, e([(Q, "ji"), (Q, "jk"), (x, "k")], "ik", 3), "(3 δ_ij x_j | ij)"),
    (use_orthogonal, e([(x, "k"), (Q, "kj"), (y, "i"), (Q, "ij")], ""), "(δ_ij x_i y_j | )"),
    (use_orthogonal, e([(Q, "ij"), (Q, "jk")], "ik"), None),
    (use_orthogonal, e([(Q, "ij"), (R, "kj")], "ik"), None),
    (use_orthogonal, e([(Q, "ij"), (Q, "kj"), (x, "j")], "ik"), None),
    (use_orthogonal, e([(Q, "ij"), (Q, "kj")], "ijk"), None),
    (use_orthogonal, e([(R, "ab"), (Q, "ij"), (Q, "kj")], "abik"), "(δ_kl R_ij | ijkl)"),
    (use_orthogonal, e([(S, "ij"), (S, "kj")], "ik"), None),
    (use_orthogonal, e([(P, "bij"), (P, "bkj")], "bik"), None),
    (use_orthogonal, x, None),
    (use_sign, pointwise("abs", p), "p"),
    (use_sign, pointwise("relu", pointwise("exp", x)), "exp(x)"),
    (use_sign, pointwise("sign", p), "1"),
    (use_sign, pointwise("step", scale(2, p)), "1"),
    (use_sign, pointwise("exp", pointwise("ln", p)), "p"),
    (use_sign, pointwise("exp", pointwise("ln", x)), None),
    (use_sign, pointwise("ln", pointwise("ln", p)), None),
    (use_sign, pointwise("exp", pointwise("tanh", p)), None),
    (use_sign, pointwise("exp", p), None),
    (use_sign, pointwise("abs", x), None),
    (use_sign, pointwise("sign", q), None),
    (use_sign, pointwise("tanh", p), None),
    (use_sign, x, None),
    (eliminate_delta, e([(delta(N), "ji"), (A, "jk"), (x, "i")], "ijk"), "(δ_ij A_ik x_i | ijk)"),
    (eliminate_delta, e([(delta(N), "ij"), (A, "ik")], "ijk"), None),
    (eliminate_delta, e([(A, "ik"), (x, "i")], "ik"), None),
    (eliminate_delta, x, None),
    (split_delta, e([(delta(N), "ij"), (A, "ik"), (X, "kl")], "ijl", 2), "(2 δ_ij (A_ik X_kj | ij)_ik | ijk)"),
    (split_delta, e([(delta(N), "ij"), (A, "ik")], "ijk"), None),
    (split_delta, e([(A, "ik"), (X, "kl")], "il"), None),
    (split_delta, e([(delta(N), "ij"), (A, "ik"), (x, "i")], "ijk"), None),
    (split_delta, x, None),
    (
        distributed, e([(PAIR, "njl"), (A, "nm")], "jlm"),
        "(((δ_jk S_ij | ijk)_lij A_lk | ijk) + ((-S_ij S_ik | ijk)_lij A_lk | ijk))",
    ),
    (
        distributed, e([(A, "nm"), (PAIR, "njl")], "jlm", 2),
        "((2 A_lk (δ_jk S_ij | ijk)_lij | ijk) + (2 A_lk (-S_ij S_ik | ijk)_lij | ijk))",
    ),
    (
        distributed, e([(x, "n"), (PAIR, "njl"), (A, "nm")], "jlm"),
        "((x_l (δ_jk S_ij | ijk)_lij A_lk | ijk) + (x_l (-S_ij S_ik | ijk)_lij A_lk | ijk))",
    ),
    (distributed, e([(PAIR, "njl"), (A, "nm")], "njlm"), None),
    (distributed, e([(add([S, e([(x, "i"), (y, "j")], "ij")]), "ij"), (x, "j")], "i"), None),
    (
        distributed, pointwise("tanh", e([(PAIR, "njl"), (A, "nm")], "jlm")),
        "tanh((((δ_jk S_ij | ijk)_lij A_lk | ijk) + ((-S_ij S_ik | ijk)_lij A_lk | ijk)))",
    ),
    (distributed, e([(PAIR, "njl"), (PAIR, "njk")], "lk"), None),
    (merge_power, e([(power(x, 2), "i"), (power(x, -3), "i")], "i"), "x**-1"),
    (merge_power, e([(power(x, 2), "i"), (power(x, -1), "i")], "i"), None),
    (merge_power, e([(power(x, Fraction(1, 2)), "i"), (power(x, Fraction(1, 2)), "i")], "i"), None),
    (merge_power, e([(power(exp, Fraction(1, 2)), "i"), (power(exp, Fraction(-1, 2)), "i")], "i"), "1"),
    (merge_power, e([(compare("<", x, y), "i"), (compare("<", x, y), "i")], "i"), None),
    (merge_power, e([(delta(N), "ij"), (delta(N), "ij"), (x, "i")], "ij"), "(δ_ij x_i | ij)"),
    (merge_power, e([(power(delta(N), -1), "ij"), (delta(N), "ij")], "ij"), None),
    (simplify_power, power(power(x, 2), -1), "x**-2"),
    (simplify_power, power(power(x, 2), Fraction(1, 2)), None),
    (simplify_power, power(power(exp, 2.5), 2), "exp(x)**5"),
    (simplify_power, power(power(exp, Fraction(1, 2)), 0.5), "exp(x)**0.25"),
    (simplify_power, power(power(x, Fraction(1, 2)), 2), None),
    (simplify_power, power(power(x, Fraction(1, 2)), 3), "x**(3/2)"),
    (simplify_power, power(multiply(x, y), -1), None),
    (simplify_power, power(e([(x, "i"), (m, "j")], "ij"), 2), "(x**2_i m**2_j | ij)"),
    (simplify_power, power(e([(power(x, 3), "i"), (y, "i")], "i"), -1), "((x**3)**-1_i y**-1_i | i)"),
    (simplify_power, power(e([(pointwise("exp", x), "i"), (y, "i")], "i"), -1), "(exp(x)**-1_i y**-1_i | i)"),
    (simplify_power, power(e([(pointwise("tanh", x), "i"), (y, "i")], "i"), -1), None),
    (simplify_power, power(e([(s, ""), (x, "i")], "i", 2), -2), "((1/4) s**-2 x**-2_i | i)"),
    (simplify_power, power(e([(s, ""), (s, "")], "", 2), -1), "(1/2) s**-1 s**-1"),
    (
        simplify_power, power(e([(exp, "i"), (pointwise("sigmoid", x), "i")], "i"), Fraction(1, 2)),
        "(sqrt(exp(x))_i sqrt(sigmoid(x))_i | i)",
    ),
    (simplify_power, power(e([(exp, "i"), (x, "i")], "i"), Fraction(1, 2)), None),
    (simplify_power, power(e([(exp, "i")], "i", 2), Fraction(1, 2)), None),
    (simplify_power, power(e([(compare("<", x, y), "i"), (power(x, 2), "i")], "i"), -1), None),
    (simplify_power, power(e([(S, "ij"), (x, "j")], "i"), -1), None),
    (simplify_power, Pointwise("power", (x,), Fraction(1)), "x"),
    (simplify_power, Pointwise("power", (x,), Fraction(0)), "1"),
    (simplify_power, Pointwise("power", (fill(2, (N,)),), Fraction(-1)), "(1/2)"),
    (simplify_power, exp, None),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "node", "wanted"), RULES)
def test_one_rule(rule: Callable[[Node], Node], node: Node, wanted: str | None) -> None:
    found = rule(node)
    assert (None if found is node else worded(found, 9)) == wanted
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(value(found), value(node), rtol=1e-9, atol=1e-12)


def test_facts_are_looked_for_six_steps_down() -> None:
    tower = exp
    for height in range(1, 9):
        tower = multiply(tower, tower)
        assert positive(tower) == declared_positive(tower) == (height <= 6), height


def test_what_is_known_of_entries() -> None:
    wide = pointwise("exp", S)
    for node in (*(Reduce(operator, wide, (1,)) for operator in ("max", "min", "prod")), window(exp, 0, 1, (1,), (TWO,)), Range(N)):
        assert positive(node), worded(node)
    unknown = (Reduce("max", S, (1,)), Reduce("logsumexp", wide, (1,)), window(x, 0, 1, (1,), (TWO,)), Linalg("det", (wide,)))
    for node in (*unknown, Select(compare("<", x, y), exp, exp), Gather(exp, c)):
        assert not positive(node), worded(node)
    assert all(map(declared_nonzero, (p, q, exp, scale(2, p))))
    assert not any(map(declared_nonzero, (x, s, multiply(q, q), scale(2, q))))


def test_tensors_come_before_what_is_made_of_them_and_sizes_last() -> None:
    keys = [node_key(node)[0] for node in (x, exp, Size(N))]
    assert keys == sorted(set(keys))
    assert term_key(x)[:2] == term_key(e([(S, "ii")], "i"))[:2] == (False, -1) and term_key(scale(-1, x))[0]


def test_fingerprints_tell_what_is_inside_a_loop() -> None:
    """Of nodes that nothing else has made, so that nothing is known of them yet."""
    u, state = tensor("fingerprinted", "N"), Tensor("%fingerprinted", (N,))
    twice = add([multiply(u, u), pointwise("sin", multiply(u, u))])
    assert fingerprint(twice) == fingerprint(twice) != fingerprint(add([multiply(u, u), pointwise("cos", multiply(u, u))]))
    loops = [
        project(recurrence(M, [(state, u, step)], [], [], []), 0)
        for step in (pointwise("sin", state), pointwise("cos", state), pointwise("sin", multiply(state, state)))
    ]
    assert len({fingerprint(loop) for loop in loops}) == 3
