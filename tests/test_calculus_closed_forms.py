"""Gradients against the closed forms of M. Tomassoli, *Matrix Differential Calculus with Tensors* (2016), section 6."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bracketc.calculus.derivatives import expand_derivatives, gradient
from bracketc.ir.batch import batch
from bracketc.ir.build import (
    add,
    einsum,
    entry,
    multiply,
    ones,
    pointwise,
    project,
    reciprocal,
    scale,
    size,
    subtract,
    tensor,
)
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Derivative, Differential, Node, Reduce, Tensor
from bracketc.ir.recurrence import recurrence
from bracketc.ir.rewrite import Roots, tensors

Array = np.ndarray[Any, Any]
N, C = Dim.named("N"), Dim.named("C")


def _matmul(left: Node, right: Node) -> Node:
    return einsum(1, [(left, "ij"), (right, "jk")], "ik")


def _affine(state: Node, weight: Node, bias: Node) -> Node:
    product = _matmul(state, weight)
    return add([product, einsum(1, [(bias, "k")], "ik", {"i": product.shape[0]})])


def _dot(left: Node, right: Node) -> Node:
    labels = range(left.rank)
    return einsum(1, [(left, labels), (right, labels)], [])


def _softmax(vector: Node) -> Node:
    lse = einsum(1, [(Reduce("logsumexp", vector, (0,)), "")], "i", {"i": vector.shape[0]})
    return pointwise("exp", subtract(vector, lse))


def _mapped(vector_function: Any, rows: Node) -> Node:
    """s^1(A): a function of vectors, mapped over the rows."""
    placeholder = Tensor("%row", rows.shape[1:])
    return batch((vector_function(placeholder),), {placeholder: rows}, rows.shape[:1])[0]


def _values(roots: tuple[Node, ...], **sizes: int) -> dict[str, Array]:
    rng = np.random.default_rng(6)
    return {leaf.name: rng.uniform(-0.8, 0.8, tuple(d.evaluate(sizes) for d in leaf.shape)) for leaf in tensors(roots)}


def _check(loss: Node, wrt: Mapping[str, Node], expected: dict[str, Array], values: dict[str, Array]) -> None:
    given = {leaf: values[leaf.name] for leaf in tensors([loss])}
    slopes = interpret(gradient(loss, tuple(wrt.values())), given)
    for name, slope in zip(wrt, slopes, strict=True):
        np.testing.assert_allclose(slope, expected[name], rtol=1e-11, atol=1e-13, err_msg=name)


def softmax(a: Array) -> Array:
    e: Array = np.exp(a - a.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def test_single_layer_regression() -> None:
    """6.1: ∇_W J = Xᵀ (Z ⊙ C), ∇_b J = (Z ⊙ C)ᵀ 1."""
    X, W, b, Y = tensor("X", "N", "D"), tensor("W", "D", "C"), tensor("b", "C"), tensor("Y", "N", "C")
    Z = subtract(pointwise("tanh", _affine(X, W, b)), Y)
    loss = scale(Fraction(1, 2), _dot(Z, Z))
    v = _values((loss,), N=4, D=3, C=2)
    a = v["X"] @ v["W"] + v["b"]
    zc = (np.tanh(a) - v["Y"]) * (1 - np.tanh(a) ** 2)
    _check(loss, {"W": W, "b": b}, {"W": v["X"].T @ zc, "b": zc.sum(0)}, v)


def test_deep_regression_with_weight_decay() -> None:
    """6.2: S_j = ∇_{Z_j} J ⊙ f'_j(A_j), ∇_{W_j} J = Z_{j-1}ᵀ S_j + λ W_j, ∇_{b_j} J = S_jᵀ 1, and by the Z_j."""
    widths = (3, 5, 2, 3)
    lam, X, Y = tensor("lam"), tensor("X", "N", 3), tensor("Y", "N", 3)
    W = [tensor(f"W{j}", widths[j - 1], widths[j]) for j in (1, 2, 3)]
    b = [tensor(f"b{j}", widths[j]) for j in (1, 2, 3)]
    functions = ("tanh", "sigmoid", "softplus")
    Z: list[Node] = [X]
    for weight, bias, function in zip(W, b, functions, strict=True):
        Z.append(pointwise(function, _affine(Z[-1], weight, bias)))
    R = subtract(Z[3], Y)
    data = einsum(Fraction(1, 2), [(_dot(R, R), ""), (reciprocal(size(N)), "")], "")
    decay = multiply(scale(Fraction(1, 2), lam), add([_dot(w, w) for w in W]))
    loss = add([data, decay])
    v = _values((loss,), N=4)
    z = [v["X"]]
    slopes = []
    activations: list[tuple[Callable[[Array], Array], Callable[[Array], Array]]] = [
        (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
        (sigmoid, lambda a: sigmoid(a) * (1 - sigmoid(a))),
        (lambda a: np.log1p(np.exp(a)), sigmoid),
    ]
    for j, (f, prime) in enumerate(activations, start=1):
        a = z[-1] @ v[f"W{j}"] + v[f"b{j}"]
        slopes.append(prime(a))
        z.append(f(a))
    expected, back = {}, (z[3] - v["Y"]) / 4
    for j in (3, 2, 1):
        expected[f"Z{j}"] = back
        s = back * slopes[j - 1]
        expected[f"W{j}"] = z[j - 1].T @ s + v["lam"] * v[f"W{j}"]
        expected[f"b{j}"] = s.sum(0)
        back = s @ v[f"W{j}"].T
    expected["lam"] = np.asarray(sum(np.sum(v[f"W{j}"] ** 2) for j in (1, 2, 3)) / 2)
    wrt = {"lam": lam, **{w.name: w for w in W}, **{c.name: c for c in b}}
    _check(loss, wrt, expected, v)
    for j in (1, 2, 3):
        _check(loss, {f"Z{j}": Z[j]}, expected, v)


@pytest.mark.parametrize("targets", ["one-hot", "any"])
def test_softmax_with_cross_entropy(targets: str) -> None:
    """6.3 and 6.3.1: E = -(1/N)(Y - rowsum(Y) ⊙ Z_L); ∇_W J = Zᵀ E, ∇_b J = Eᵀ 1, ∇_Z J = E Wᵀ."""
    Z, W, b, Y = tensor("Z", "N", "H"), tensor("W", "H", "C"), tensor("b", "C"), tensor("Y", "N", "C")
    A = _affine(Z, W, b)
    log = pointwise("ln", _mapped(_softmax, A))
    loss = einsum(-1, [(log, "nc"), (Y, "nc"), (reciprocal(size(N)), "")], "")
    v = _values((loss,), N=4, H=5, C=3)
    v["Y"] = np.eye(3)[[0, 2, 1, 2]] if targets == "one-hot" else np.abs(v["Y"])
    s = softmax(v["Z"] @ v["W"] + v["b"])
    e = -(v["Y"] - v["Y"].sum(1, keepdims=True) * s) / 4
    expected = {"A": e, "W": v["Z"].T @ e, "b": e.sum(0), "Z": e @ v["W"].T}
    _check(loss, {"W": W, "b": b, "Z": Z}, expected, v)
    _check(loss, {"A": A}, expected, v)


def test_the_general_formula_for_softmax() -> None:
    """(40): E = -(1/N) (Y ⊘ Z_L) contracted with ∇s^1(A_L), where ∇s = s 1ᵀ ⊙ I - s sᵀ is a derivative as an
    expression."""
    A, Y, u = tensor("A", "N", "C"), tensor("Y", "N", "C"), Tensor("%u", (C,))
    slopes = _mapped(lambda row: Derivative(_softmax(u), u, row, "gradient"), A)
    ratio = multiply(Y, reciprocal(_mapped(_softmax, A)))
    formula = einsum(-1, [(ratio, "nc"), (slopes, "nkc"), (reciprocal(size(N)), "")], "nk")
    (expanded,) = expand_derivatives(Roots((formula,))).nodes
    v = _values((expanded,), N=4, C=3)
    s = softmax(v["A"])
    (got,) = interpret([expanded], {A: v["A"], Y: v["Y"]})
    np.testing.assert_allclose(got, -(v["Y"] - v["Y"].sum(1, keepdims=True) * s) / 4, rtol=1e-12)


def test_the_derivative_of_an_activation_as_an_expression() -> None:
    """6.1 as written there: Xᵀ (Z ⊙ C) with C = f'(X W + 1 b) is the gradient."""
    X, W, b, Y = tensor("X", "N", "D"), tensor("W", "D", "C"), tensor("b", "C"), tensor("Y", "N", "C")
    A = _affine(X, W, b)
    u = Tensor("%u", A.shape)
    prime = Differential(pointwise("tanh", u), (u,), (A,), (ones(A.shape),))
    Z = subtract(pointwise("tanh", A), Y)
    written = einsum(1, [(X, "nd"), (Z, "nc"), (prime, "nc")], "dc")
    loss = scale(Fraction(1, 2), _dot(Z, Z))
    nodes = (*expand_derivatives(Roots((written,))).nodes, *gradient(loss, [W]))
    v = _values(nodes, N=4, D=3, C=2)
    left, right = interpret(nodes, {leaf: v[leaf.name] for leaf in tensors(nodes)})
    np.testing.assert_allclose(left, right, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_recurrent_network(steps: int) -> None:
    """6.4: ∇_{A_t} J = (11ᵀ - tanh²(A_t)) ⊙ (∇_{A_{t+1}} J Wᵀ + ∇_{O_t} J Vᵀ), and the sums over t of the
    parameters."""
    T = Dim.named("T")
    X, Y, Z0 = tensor("X", "T", "N", "D"), tensor("Y", "T", "N", "C"), tensor("Z0", "N", "H")
    W, U, b, V, c = (tensor(n, *s) for n, s in zip("WUbVc", ["HH", "DH", "H", "HC", "C"], strict=True))
    z, x = Tensor("%z", Z0.shape), Tensor("%x", X.shape[1:])
    w, u, beta = (Tensor(f"%{t.name}", t.shape) for t in (W, U, b))
    step = pointwise("tanh", add([_matmul(z, w), _affine(x, u, beta)]))
    Z = project(recurrence(T, [(z, Z0, step)], [(x, X)], [(w, W), (u, U), (beta, b)], [step]), 1)
    O = add([einsum(1, [(Z, "tnh"), (V, "hc")], "tnc"), einsum(1, [(c, "c")], "tnc", {"t": T, "n": N})])
    row = Tensor("%row", (C,))
    (log,) = batch((pointwise("ln", _softmax(row)),), {row: O}, O.shape[:2])
    loss = einsum(-1, [(log, "tnc"), (Y, "tnc"), (reciprocal(size(N)), "")], "")
    v = _values((loss,), T=steps, N=5, D=2, H=4, C=3)
    v["Y"] = np.eye(3)[np.random.default_rng(0).integers(0, 3, (steps, 5))]

    z_, o_ = [v["Z0"]], []
    for t in range(steps):
        z_.append(np.tanh(z_[-1] @ v["W"] + v["X"][t] @ v["U"] + v["b"]))
        o_.append(z_[-1] @ v["V"] + v["c"])
    expected = {name: np.zeros_like(v[name]) for name in "WUbVc"}
    by_next = np.zeros_like(z_[0])
    for t in reversed(range(steps)):
        by_o = -(v["Y"][t] - softmax(o_[t])) / 5
        by_a = (1 - z_[t + 1] ** 2) * (by_next @ v["W"].T + by_o @ v["V"].T)
        expected["W"] += z_[t].T @ by_a
        expected["U"] += v["X"][t].T @ by_a
        expected["b"] += by_a.sum(0)
        expected["V"] += z_[t + 1].T @ by_o
        expected["c"] += by_o.sum(0)
        by_next = by_a
    expected["Z0"] = by_next @ v["W"].T
    _check(loss, {"W": W, "U": U, "b": b, "V": V, "c": c, "Z0": Z0}, expected, v)


def test_an_entry_of_a_recurrence_is_differentiated_like_any_other() -> None:
    T = Dim.named("T")
    z, s = Tensor("%z", ()), Tensor("%s", ())
    S = tensor("S", "T")
    loop = recurrence(T, [(z, tensor("z0"), multiply(z, s))], [(s, S)], [], [multiply(z, s)])
    values = {S: np.array([2.0, 3.0, 0.0, 5.0]), tensor("z0"): np.asarray(1.5)}
    (slope,) = gradient(entry(project(loop, 1), 0, 2), [S])
    np.testing.assert_allclose(interpret([slope], values)[0], [0, 0, 9, 0])
