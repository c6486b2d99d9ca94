"""Identities of matrix calculus, first and second order, in both backends: closed forms, differences, symmetries.

Closed forms: K. B. Petersen and M. S. Pedersen, *The Matrix Cookbook* (2012), chapters 2 and 9; J. R. Magnus and
H. Neudecker, *Matrix Differential Calculus* (1999), chapters 8 to 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS

import bracketc as bc
from bracketc import compiler
from bracketc.options import Options
from bracketc.plan.steps import writes

Array = np.ndarray[Any, Any]
Closed = Callable[..., Any]
N = 3
I = np.eye(N)
ARGUMENTS = "input M : 2, 3\nparam A : 3, 3\nparam B : 3, 3\nparam x : 3\nparam y : 3\nparam p : 3\nparam s : scalar\n"


def _arrays() -> dict[str, Array]:
    rng = np.random.default_rng(7)
    close = 2 * I + 0.4 * rng.normal(size=(N, N))
    return {
        "M": rng.normal(size=(2, N)),
        "A": close,
        "B": rng.normal(size=(N, N)),
        "x": rng.normal(size=N),
        "y": rng.normal(size=N),
        "p": rng.uniform(0.5, 2.0, size=N),
        "s": np.array(0.7),
    }


@dataclass(frozen=True)
class Identity:
    """``closed`` is the Jacobian by ``wrt`` (by two names: the second derivative), with the axes of the output first."""

    text: str
    wrt: tuple[str, ...]
    closed: Closed

    @property
    def second(self) -> bool:
        return len(self.wrt) == 2

    def __str__(self) -> str:
        return f"{self.text} by {' and '.join(self.wrt)}"


def es(pattern: str, *operands: Any) -> Array:
    return np.asarray(np.einsum(pattern, *operands, optimize=True))


def inv(A: Array) -> Array:
    return np.asarray(np.linalg.inv(A))


def det(A: Array) -> Any:
    return np.linalg.det(A)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum())


def _inverse_twice(A: Array) -> Array:
    """d²A⁻¹ = A⁻¹ dA A⁻¹ dA' A⁻¹ + A⁻¹ dA' A⁻¹ dA A⁻¹."""
    V = inv(A)
    first = es("ip,qr,sj->ijpqrs", V, V, V)
    return first + first.transpose(0, 1, 4, 5, 2, 3)


def _norm_hessian(x: Array) -> Array:
    length = np.linalg.norm(x)
    return np.asarray(I / length - np.outer(x, x) / length**3)


# fmt: off
FIRST = [
    # linear and bilinear
    Identity("M @ x", ("x",), lambda M, **_: M),
    Identity("x · y", ("x",), lambda y, **_: y),
    Identity("A @ B", ("A",), lambda B, **_: es("ik,lj->ijkl", I, B)),
    Identity("A @ B", ("B",), lambda A, **_: es("ik,jl->ijkl", A, I)),
    Identity("A^T", ("A",), lambda **_: es("il,jk->ijkl", I, I)),
    Identity("x · (A @ y)", ("A",), lambda x, y, **_: np.outer(x, y)),
    Identity("x · (A @ x)", ("x",), lambda A, x, **_: (A + A.T) @ x),
    Identity("A^T @ A", ("A",), lambda A, **_: es("il,kj->ijkl", I, A) + es("ki,jl->ijkl", A, I)),
    Identity("A @ A", ("A",), lambda A, **_: es("ik,lj->ijkl", I, A) + es("ik,jl->ijkl", A, I)),
    Identity("A @ B @ A", ("A",), lambda A, B, **_: es("ik,lj->ijkl", I, B @ A) + es("ik,jl->ijkl", A @ B, I)),
    # traces
    Identity("tr(A)", ("A",), lambda **_: I),
    Identity("tr(A @ B)", ("A",), lambda B, **_: B.T),
    Identity("tr(A^T @ B)", ("A",), lambda B, **_: B),
    Identity("tr(A @ A)", ("A",), lambda A, **_: 2 * A.T),
    Identity("tr(A^T @ B @ A)", ("A",), lambda A, B, **_: (B + B.T) @ A),
    Identity("tr(A @ A @ A)", ("A",), lambda A, **_: 3 * (A @ A).T),
    Identity("tr(inv(A) @ B)", ("A",), lambda A, B, **_: -(inv(A) @ B @ inv(A)).T),
    # inverses, determinants
    Identity("inv(A)", ("A",), lambda A, **_: -es("ik,lj->ijkl", inv(A), inv(A))),
    Identity("inv(A) @ x", ("A",), lambda A, x, **_: -es("ij,k->ijk", inv(A), inv(A) @ x)),
    Identity("solve(A, x)", ("A",), lambda A, x, **_: -es("ij,k->ijk", inv(A), inv(A) @ x)),
    Identity("solve(A, x)", ("x",), lambda A, **_: inv(A)),
    Identity("solve(A, B)", ("B",), lambda A, **_: es("ik,jl->ijkl", inv(A), I)),
    Identity("x · solve(A, y)", ("A",), lambda A, x, y, **_: -np.outer(inv(A).T @ x, inv(A) @ y)),
    Identity("det(A)", ("A",), lambda A, **_: det(A) * inv(A).T),
    Identity("logdet(A)", ("A",), lambda A, **_: inv(A).T),
    Identity("det(A @ B)", ("A",), lambda A, B, **_: det(A @ B) * inv(A).T),
    Identity("logdet(A^T @ A)", ("A",), lambda A, **_: 2 * inv(A).T),
    # norms
    Identity("norm2(x)", ("x",), lambda x, **_: 2 * x),
    Identity("norm(x)", ("x",), lambda x, **_: x / np.linalg.norm(x)),
    Identity("norm2(A @ x - y)", ("x",), lambda A, x, y, **_: 2 * A.T @ (A @ x - y)),
    Identity("norm2(A @ x - y)", ("A",), lambda A, x, y, **_: 2 * np.outer(A @ x - y, x)),
    Identity("norm2(A)", ("A",), lambda A, **_: 2 * A),
    Identity("norm(A)", ("A",), lambda A, **_: A / np.linalg.norm(A)),
    Identity("norm(x - y)", ("y",), lambda x, y, **_: (y - x) / np.linalg.norm(x - y)),
    # Kronecker and Hadamard products
    Identity("A ⊗ B", ("A",), lambda B, **_: es("ik,jl,mn->ijmnkl", I, I, B)),
    Identity("x ⊗ y", ("x",), lambda y, **_: es("ik,j->ijk", I, y)),
    Identity("x y", ("x",), lambda y, **_: es("ik,j->ijk", I, y)),
    Identity("A ⊙ B", ("A",), lambda B, **_: es("ik,jl,ij->ijkl", I, I, B)),
    Identity("x ⊙ x ⊙ y", ("x",), lambda x, y, **_: np.diag(2 * x * y)),
    Identity("diag(x) @ A", ("x",), lambda A, **_: es("ik,ij->ijk", I, A)),
    Identity("vec(A)", ("A",), lambda **_: es("ik,jl->jikl", I, I).reshape(9, 3, 3)),
    # element-wise functions
    Identity("tanh(A @ x)", ("x",), lambda A, x, **_: (1 - np.tanh(A @ x) ** 2)[:, None] * A),
    Identity("p / (p · y)", ("p",), lambda p, y, **_: I / (p @ y) - np.outer(p, y) / (p @ y) ** 2),
    Identity("softmax(x)", ("x",), lambda x, **_: np.diag(softmax(x)) - np.outer(softmax(x), softmax(x))),
    Identity("logsumexp(x)", ("x",), lambda x, **_: softmax(x)),
    Identity("s A + s**3 B", ("s",), lambda A, B, s, **_: A + 3 * s**2 * B),
    Identity("p**s", ("s",), lambda p, s, **_: p**s * np.log(p)),
    Identity("prod(p)", ("p",), lambda p, **_: np.prod(p) / p),
]
SECOND = [
    Identity("x · (A @ x)", ("x", "x"), lambda A, **_: A + A.T),
    Identity("x · (A @ y)", ("x", "y"), lambda A, **_: A),
    Identity("x · (A @ x)", ("A", "x"), lambda x, **_: es("ik,j->ijk", I, x) + es("i,jk->ijk", x, I)),
    Identity("norm2(A @ x - y)", ("x", "x"), lambda A, **_: 2 * A.T @ A),
    Identity("norm2(A @ x - y)", ("A", "A"), lambda x, **_: 2 * es("ik,j,l->ijkl", I, x, x)),
    Identity("norm(x)", ("x", "x"), lambda x, **_: _norm_hessian(x)),
    Identity("tr(A @ A)", ("A", "A"), lambda **_: 2 * es("il,jk->ijkl", I, I)),
    Identity("tr(A^T @ B @ A)", ("A", "A"), lambda B, **_: es("ik,jl->ijkl", B + B.T, I)),
    Identity("tr(A @ B @ A)", ("A", "B"), lambda A, **_: es("li,jk->ijkl", A, I) + es("il,jk->ijkl", I, A)),
    Identity("logdet(A)", ("A", "A"), lambda A, **_: -es("jk,li->ijkl", inv(A), inv(A))),
    Identity("det(A)", ("A", "A"), lambda A, **_: det(A) * (es("ji,lk->ijkl", inv(A), inv(A))
                                                           - es("jk,li->ijkl", inv(A), inv(A)))),
    Identity("y · (inv(A) @ x)", ("A", "A"), lambda A, x, y, **_: es("i,ijpqrs,j->pqrs", y, _inverse_twice(A), x)),
    Identity("x · solve(A, y)", ("x", "A"), lambda A, y, **_: -es("ij,k->ijk", inv(A), inv(A) @ y)),
    Identity("logsumexp(x)", ("x", "x"), lambda x, **_: np.diag(softmax(x)) - np.outer(softmax(x), softmax(x))),
    Identity("softplus(M @ x) · 𝟏", ("x", "x"), lambda M, x, **_:
             M.T @ np.diag(sigmoid(M @ x) * (1 - sigmoid(M @ x))) @ M),
    Identity("ln(p) · x", ("p", "p"), lambda p, x, **_: -np.diag(x / p**2)),
    Identity("norm2(A ⊙ B)", ("A", "A"), lambda B, **_: 2 * es("ik,jl,ij->ijkl", I, I, B * B)),
    Identity("norm2(A ⊙ B)", ("A", "B"), lambda A, B, **_: 4 * es("ik,jl,ij->ijkl", I, I, A * B)),
    Identity("norm2(x y)", ("x", "y"), lambda x, y, **_: 4 * np.outer(x, y)),
    Identity("norm2(A - x y)", ("x", "x"), lambda y, **_: 2 * (y @ y) * I),
    Identity("prod(p)", ("p", "p"), lambda p, **_: np.prod(p) * (np.outer(1 / p, 1 / p) - np.diag(p**-2.0))),
    Identity("(x · y)**3", ("x", "x"), lambda x, y, **_: 6 * (x @ y) * np.outer(y, y)),
]
# fmt: on
IDENTITIES = [*FIRST, *SECOND]


def _source() -> str:
    """Every expression once, a gradient and a Hessian of each that asks for one."""
    names = {text: f"F{k}" for k, text in enumerate(dict.fromkeys(i.text for i in IDENTITIES))}
    lines = [f"{name} = {text}" for text, name in names.items()]
    lines.append("output " + ", ".join(names.values()))
    for k, identity in enumerate(IDENTITIES):
        kind = "hessian" if identity.second else "jacobian"
        lines.append(f"{kind} {names[identity.text]} wrt {', '.join(identity.wrt)} as R{k}")
        if identity.second:
            lines.append(f"gradient {names[identity.text]} wrt {identity.wrt[0]} as G{k}")
    return ARGUMENTS + "\n".join(lines) + "\n"


@cache
def _module(backend: str) -> ModuleType:
    return bc.compile(_source(), backend=backend)


def _differences(function: Callable[[Mapping[str, Array]], Any], arrays: Mapping[str, Array], name: str) -> Array:
    """Central differences of fourth order, axes of ``name`` last."""
    step = 2e-3
    columns = []
    for position in np.ndindex(arrays[name].shape):
        values = []
        for shift in (-2, -1, 1, 2):
            moved = arrays[name].copy()
            moved[position] += shift * step
            values.append(np.asarray(function({**arrays, name: moved})))
        columns.append((values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step))
    return np.stack(columns, -1).reshape(*columns[0].shape, *arrays[name].shape)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", range(len(IDENTITIES)), ids=[str(identity) for identity in IDENTITIES])
def test_the_identity_holds(number: int, backend: str) -> None:
    module, arrays, identity = _module(backend), _arrays(), IDENTITIES[number]
    found = np.asarray(getattr(module, f"R{number}")(**arrays))
    np.testing.assert_allclose(found, identity.closed(**arrays), rtol=1e-9, atol=1e-10)
    if identity.second:

        def below(given: Mapping[str, Array]) -> Any:
            return getattr(module, f"G{number}")(**given)[1][0]

    else:
        place = list(dict.fromkeys(i.text for i in IDENTITIES)).index(identity.text)

        def below(given: Mapping[str, Array]) -> Any:
            return module.evaluate(**given)[place]

    np.testing.assert_allclose(found, _differences(below, arrays, identity.wrt[-1]), rtol=1e-6, atol=1e-7)


PRODUCTS = ARGUMENTS + """
h = tanh(A @ x + y)
F = logsumexp(A @ h) + norm2(h ⊙ p) / (x · x) - logdet(A^T @ A)
g = ∇[A](F)
q = ∇[x](F)
jvp h wrt A, x
vjp h wrt A, x
jacobian h wrt A, x
hessian F wrt A
hessian F wrt x
hessian F wrt A, x
hessian F wrt x, A
hvp F wrt A, x
jacobian g wrt x as nested
jacobian q wrt A as nestedback
Q = ∇[x](q)
jacobian Q wrt x as third
jacobian Q wrt y as mixedthird
jacobian Q wrt x layout gradient as thirdgradient
"""


@cache
def _products(backend: str) -> ModuleType:
    return bc.compile(PRODUCTS, backend=backend)


@pytest.fixture(params=BACKENDS)
def products(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    yield _products(request.param)


def _directions() -> tuple[dict[str, Array], Array]:
    rng = np.random.default_rng(3)
    return {"A": rng.normal(size=(N, N)), "x": rng.normal(size=N)}, rng.normal(size=N)


def _same(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-9, atol=1e-10)


def test_jvp_and_vjp_are_products_with_the_jacobian_and_adjoint_to_each_other(products: ModuleType) -> None:
    arrays = _arrays()
    directions, bar = _directions()
    for name, direction in directions.items():
        jacobian = np.asarray(getattr(products, f"jacobian_h_{name}")(**arrays))
        pushed = getattr(products, f"jvp_h_{name}")(**arrays, **{f"d_{name}": direction})
        pulled = getattr(products, f"vjp_h_{name}")(**arrays, bar_h=bar)
        _same(pushed, np.tensordot(jacobian, direction, direction.ndim))
        _same(pulled, np.tensordot(bar, jacobian, 1))
        _same(np.vdot(bar, pushed), np.vdot(pulled, direction))


def test_hessians_are_symmetric_and_their_mixed_blocks_transposes(products: ModuleType) -> None:
    arrays = _arrays()
    by_matrix = np.asarray(products.hessian_F_A(**arrays)).reshape(9, 9)
    _same(by_matrix, by_matrix.T)
    by_vector = np.asarray(products.hessian_F_x(**arrays))
    _same(by_vector, by_vector.T)
    _same(products.hessian_F_A_x(**arrays), np.asarray(products.hessian_F_x_A(**arrays)).transpose(1, 2, 0))


def test_hvp_is_the_hessian_times_a_direction(products: ModuleType) -> None:
    arrays = _arrays()
    for name, direction in _directions()[0].items():
        hessian = np.asarray(getattr(products, f"hessian_F_{name}")(**arrays))
        found = getattr(products, f"hvp_F_{name}")(**arrays, **{f"d_{name}": direction})
        _same(found, np.tensordot(hessian, direction, direction.ndim))


def test_hvp_by_several_names_is_the_whole_hessian_times_all_directions(products: ModuleType) -> None:
    arrays = _arrays()
    directions, _ = _directions()
    by = {first + second: np.asarray(getattr(products, f"hessian_F_{name}")(**arrays))
          for first, second, name in (("A", "A", "A"), ("A", "x", "A_x"), ("x", "A", "x_A"), ("x", "x", "x"))}  # fmt: skip
    found = products.hvp_F_A_x(**arrays, d_A=directions["A"], d_x=directions["x"])
    for name in "Ax":
        expected = sum(np.tensordot(by[name + other], way, way.ndim) for other, way in directions.items())
        _same(getattr(found, name), expected)


def test_jacobians_of_written_gradients_are_blocks_of_the_hessian(products: ModuleType) -> None:
    arrays = _arrays()
    _same(products.nested(**arrays), products.hessian_F_A_x(**arrays))
    _same(products.nestedback(**arrays), products.hessian_F_x_A(**arrays))


def test_third_derivatives_are_differences_of_second_ones(products: ModuleType) -> None:
    arrays = _arrays()

    def hessian(given: Mapping[str, Array]) -> Any:
        return products.hessian_F_x(**given)

    third = np.asarray(products.third(**arrays))
    np.testing.assert_allclose(third, _differences(hessian, arrays, "x"), rtol=1e-6, atol=1e-6)
    for order in ((1, 0, 2), (2, 1, 0), (0, 2, 1)):
        np.testing.assert_allclose(third, third.transpose(order), rtol=1e-9, atol=1e-9)
    _same(products.thirdgradient(**arrays), third.transpose(2, 0, 1))
    mixed = np.asarray(products.mixedthird(**arrays))
    np.testing.assert_allclose(mixed, _differences(hessian, arrays, "y"), rtol=1e-6, atol=1e-6)


LAYERS = 6
NETWORK = "\n".join(
    [
        "dim N ~ 40, D ~ 30, C = 5",
        "input X : N, D",
        "input Y : N, C onehot rows",
        *(f"param W{k} : D, {'C' if k == LAYERS else 'D'}" for k in range(1, LAYERS + 1)),
        "Z1 = relu(X @ W1)",
        *(f"Z{k} = relu(Z{k - 1} @ W{k})" for k in range(2, LAYERS)),
        f"J = -(ln(softmax^1(Z{LAYERS - 1} @ W{LAYERS})) · Y)",
        "hessian J wrt W1",
    ]
)


def test_the_hessian_of_a_network_costs_its_last_product() -> None:
    """X_ni X_nj M_npq over n takes 2 N D⁴ flops; nothing else carries four axes of D, and samples stand outside it."""
    planned = compiler.stages(bc.parse(NETWORK), Options()).plan
    schedule = planned.schedule("hessian_J_W1")
    samples, width = planned.hints["N"], planned.hints["D"]
    assert schedule.flops.evaluate(planned.hints) < 1.2 * 2 * samples * width**4
    for step in schedule.steps:
        for buffer in writes(step):
            assert str(buffer.shape).count("D") < 4 or buffer in dict(schedule.results).values()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_hessian_of_a_network_is_its_closed_form(backend: str) -> None:
    rng = np.random.default_rng(5)
    samples, width, classes = 7, 4, 5
    X, Y = rng.normal(size=(samples, width)), np.eye(classes)[rng.integers(classes, size=samples)]
    weights = [rng.normal(size=(width, classes if k == LAYERS else width)) for k in range(1, LAYERS + 1)]
    Z, masks = X, []
    for weight in weights[:-1]:
        masks.append((Z @ weight > 0).astype(float))
        Z = (Z @ weight) * masks[-1]
    P = np.array([softmax(row) for row in Z @ weights[-1]])
    G = masks[-1][:, :, None] * weights[-1]
    for weight, mask in zip(weights[-2:0:-1], masks[-2::-1], strict=True):
        G = mask[:, :, None] * (weight @ G)
    inner = es("npk,nk,nqk->npq", G, P, G) - es("npk,nk,nql,nl->npq", G, P, G, P)
    expected = es("ni,nj,npq->ipjq", X, X, inner)
    found = bc.compile(NETWORK, backend=backend).hessian_J_W1(X, Y, *weights)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


DEFINITIONS = """dim n, k
param U : n, k
param W : k, k
param x : n
A = tanh(U @ W)
B = sin(A @ W)
c = U^T @ x
J = norm2(A ⊙ A) + norm2(B ⊙ A) + (c · c)**2 + (A_ik c_k x_i | ) + (B_ik B_ik c_k | )
slope = ∇[B](J)
jacobian slope wrt A as written
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hessian_by_several_definitions_has_a_block_for_every_pair(backend: str) -> None:
    """Each block is the gradient by the first name as a function of the second; all names are held but that one."""
    module = bc.compile(DEFINITIONS + "hessian J wrt B, A, c as H\nhessian J wrt A, c\nhessian J wrt c", backend=backend)
    rng = np.random.default_rng(2)
    U, W, x = rng.normal(size=(4, 3)), rng.normal(size=(3, 3)), rng.normal(size=4)
    A, c = np.tanh(U @ W), U.T @ x
    B = np.sin(A @ W)
    found = module.H(U, W, x)
    assert found._fields == ("B_B", "B_A", "B_c", "A_A", "A_c", "c_c")
    expected = {
        "B_B": es("ip,kq,ik->ikpq", np.eye(4), np.eye(3), 2 * A * A + 2 * c),
        "B_c": es("kq,ik->ikq", np.eye(3), 2 * B),
        "c_c": 4 * (c @ c) * np.eye(3) + 8 * np.outer(c, c),
    }
    for name, block in expected.items():
        np.testing.assert_allclose(np.asarray(getattr(found, name)), block, rtol=1e-10, atol=1e-12)
    _same(found.B_A, np.asarray(module.written(U, W, x)))
    _same(found.A_c, np.asarray(module.hessian_J_A_c(U, W, x)))
    _same(found.c_c, np.asarray(module.hessian_J_c(U, W, x)))
    slopes = np.cos(A @ W)  # B by A, of which A_c has the part that goes through B
    whole = es("iq,qp->ipq", np.ones_like(A) * x[:, None], np.eye(3)) + es("iq,iq,pq->ipq", 2 * B, slopes, W)
    _same(found.A_c, whole)


def test_a_gradient_is_no_function_of_what_is_computed_from_its_name() -> None:
    with pytest.raises(bc.SourceError, match=r"B is computed from A(.|\n)*name B first: `hessian J wrt B, A`"):
        bc.parse(DEFINITIONS + "hessian J wrt A, B")


def test_three_names_give_a_block_for_every_pair_of_arguments() -> None:
    source = ARGUMENTS + "F = logsumexp(A @ x) + norm2(A @ y) + (x · y)**2\nhessian F wrt x, y, A\n"
    pairs = ("x", "x, y", "x, A", "y", "y, A", "A")
    source += "".join(f"hessian F wrt {pair} as H{k}\n" for k, pair in enumerate(pairs))
    module, arrays = bc.compile(source, backend="numpy"), _arrays()
    blocks = module.hessian_F_x_y_A(**arrays)
    assert blocks._fields == ("x_x", "x_y", "x_A", "y_y", "y_A", "A_A")
    for k, block in enumerate(blocks):
        _same(block, np.asarray(getattr(module, f"H{k}")(**arrays)))
