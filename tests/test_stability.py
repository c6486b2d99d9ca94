"""Softmax, log-softmax, log-sum-exp, softplus, sigmoid, also spelt out: large inputs give the right finite answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS, needs_compiler

import bracketc as bc
from bracketc.derivation import derived
from bracketc.options import Options

Array = np.ndarray[Any, Any]

each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
TOLERANCE = {"float64": 1e-12, "float32": 3e-6}


# ------------------------------------------------------------------------------------------------ element-wise
def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_of_three(x: Array) -> tuple[Array, Array]:
    """ln(1 + exp(x) + exp(-2 x) / 2) and its slope."""
    logs = np.array([np.zeros(len(x)), x, np.log(0.5) - 2 * x])
    shares = np.exp(logs - logs.max(0))
    return logs.max(0) + np.log(shares.sum(0)), (shares[1] - 2 * shares[2]) / shares.sum(0)


Curve = Callable[[Array], Array]
SCALAR: dict[str, tuple[Curve, Curve, list[str]]] = {
    "sigmoid": (
        sigmoid,
        lambda x: sigmoid(x) * sigmoid(-x),
        [
            "sigmoid(x)",
            "1/(1 + exp(-x))",
            "1/(exp(-x) + 1)",
            "(1 + exp(-x))**(-1)",
            "exp(x)/(1 + exp(x))",
            "exp(x)/(exp(x) + 1)",
            "1 - 1/(1 + exp(x))",
            "1 - sigmoid(-x)",
            "exp(-softplus(-x))",
            "0.5 (1 + tanh(0.5 x))",
        ],
    ),
    "softplus": (
        softplus,
        sigmoid,
        [
            "softplus(x)",
            "ln(1 + exp(x))",
            "ln(exp(x) + 1)",
            "log1p(exp(x))",
            "-ln(1/(1 + exp(x)))",
            "-ln(sigmoid(-x))",
            "-ln(1 - sigmoid(x))",
            "x + ln(1 + exp(-x))",
        ],
    ),
    "log-sigmoid": (
        lambda x: -softplus(-x),
        lambda x: sigmoid(-x),
        [
            "ln(sigmoid(x))",
            "ln(1/(1 + exp(-x)))",
            "-ln(1 + exp(-x))",
            "ln(exp(x)/(1 + exp(x)))",
            "-softplus(-x)",
            "x - ln(1 + exp(x))",
        ],
    ),
    "x sigmoid(x)": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) + x * sigmoid(x) * sigmoid(-x),
        ["x sigmoid(x)", "x/(1 + exp(-x))"],
    ),
    "two classes": (
        lambda x: softplus(3 * x) - x,
        lambda x: 3 * sigmoid(3 * x) - 1,
        ["ln(exp(-x) + exp(2 x))", "ln(exp(2 x) + exp(-x))"],
    ),
    "softmax of two": (
        lambda x: sigmoid(3 * x),
        lambda x: 3 * sigmoid(3 * x) * sigmoid(-3 * x),
        ["exp(2 x)/(exp(-x) + exp(2 x))", "exp(2 x)/(exp(2 x) + exp(-x))"],
    ),
    "log-sum-exp of three": (
        lambda x: log_of_three(x)[0],
        lambda x: log_of_three(x)[1],
        ["ln(1 + exp(x) + 0.5 exp(-2 x))"],
    ),
}
SPELLINGS = [(family, text) for family, (_, _, texts) in SCALAR.items() for text in texts]
POINTS = np.array([-1e4, -800, -90, -20, -1, -1e-3, 0, 1e-3, 1, 20, 90, 800, 1e4])


class Compiled:
    """One module for each backend and type, with functions for the spellings that go through it."""

    def __init__(self, text: Callable[[list[int]], str], chosen: Mapping[str, list[int]]) -> None:
        self.text = text
        self.chosen = chosen
        self._made: dict[tuple[str, str], ModuleType] = {}

    def __call__(self, backend: str, dtype: str) -> ModuleType:
        if (backend, dtype) not in self._made:
            text = self.text(self.chosen[backend])
            self._made[backend, dtype] = bc.compile(text, backend=backend, dtype=dtype)
        return self._made[backend, dtype]


def chosen(families: Sequence[str]) -> dict[str, list[int]]:
    """All spellings for NumPy; the first and the second of each family for C, which takes long to compile."""
    first = [k for k, family in enumerate(families) if families[: k + 1].count(family) <= 2]
    return {"numpy": list(range(len(families))), "c": first}


def cases(spellings: Sequence[tuple[str, str]]) -> list[Any]:
    found = []
    for backend, numbers in chosen([family for family, _ in spellings]).items():
        marks = [needs_compiler] if backend == "c" else []
        found += [pytest.param(backend, k, id=f"{backend}: {spellings[k][1]}", marks=marks) for k in numbers]
    return found


def elementwise_source(numbers: list[int]) -> str:
    lines = ["dim N", "input x : N"]
    lines += [f"function f{k}(x) = {SPELLINGS[k][1]}\ny{k} = f{k}(x)\nvjp y{k} wrt x as slope{k}" for k in numbers]
    return "\n".join([*lines, "output " + ", ".join(f"y{k}" for k in numbers)])


@pytest.fixture(scope="module")
def elementwise() -> Compiled:
    return Compiled(elementwise_source, chosen([family for family, _ in SPELLINGS]))


def assert_right(found: Array, expected: Array, dtype: str) -> None:
    assert found.dtype == dtype and np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@each_dtype
@pytest.mark.parametrize(("backend", "number"), cases(SPELLINGS))
def test_element_wise_forms(backend: str, number: int, dtype: str, elementwise: Compiled) -> None:
    module = elementwise(backend, dtype)
    value, slope, _ = SCALAR[SPELLINGS[number][0]]
    x = POINTS.astype(dtype)
    exact = x.astype("float64")
    assert_right(getattr(module.evaluate(x), f"y{number}"), value(exact), dtype)
    found = getattr(module, f"slope{number}")(x, **{f"bar_y{number}": np.ones(len(x), dtype)})
    assert_right(found, slope(exact), dtype)


# ------------------------------------------------------------------------------------------------ of rows
HEAD = """
dim N, K
input A : N, K
input G : N, K
input g : N
function s(a) = exp(a) / (ones . exp(a))
function shifted(a) = exp(a ⊖ ln(ones . exp(a)))
function l(a) = ln(ones . exp(a))
function ls(a) = a ⊖ ln(ones . exp(a))
"""
ROWS = {
    "softmax": [
        "softmax^1(A)",
        "s^1(A)",
        "shifted^1(A)",
        "(softmax[k](A_ik) | ik)",
        "(exp(A_ik) / sum[j](exp(A_ij)) | ik)",
        "(exp(A_ik) u_i | ik) where u_i = 1 / sum[j](exp(A_ij))",
    ],
    "log-softmax": [
        "ln(softmax^1(A))",
        "ln(s^1(A))",
        "ls^1(A)",
        "(A_ik - logsumexp[j](A_ij) | ik)",
        "(A_ik - ln(sum[j](exp(A_ij))) | ik)",
        "(ln(exp(A_ik) / sum[j](exp(A_ij))) | ik)",
        "(ln(exp(A_ik)) - ln(sum[j](exp(A_ij))) | ik)",
    ],
    "log-sum-exp": [
        "logsumexp^1(A)",
        "l^1(A)",
        "(ln(sum[k](exp(A_ik))) | i)",
        "(logsumexp[k](A_ik) | i)",
        "ln(exp(A) @ 𝟏)",
    ],
}
ROW_SPELLINGS = [(family, text) for family, texts in ROWS.items() for text in texts]
SCORES = np.array(
    [
        [1e4, -1e4, 9999.0, 0.0],
        [-1e4, -1e4, -1e4, -9999.0],
        [1e4, 1e4, 1e4, 1e4],
        [90.0, -90.0, 89.0, 800.0],
        [0.5, -1.0, 2.0, 0.0],
    ]
)


def row_values(scores: Array) -> dict[str, Array]:
    top = scores.max(1, keepdims=True)
    total = np.exp(scores - top).sum(1, keepdims=True)
    logs = scores - top - np.log(total)
    return {"softmax": np.exp(logs), "log-softmax": logs, "log-sum-exp": (top + np.log(total))[:, 0]}


def row_gradients(scores: Array, weights: Array, row_weights: Array) -> dict[str, Array]:
    p = row_values(scores)["softmax"]
    return {
        "softmax": p * (weights - (p * weights).sum(1, keepdims=True)),
        "log-softmax": weights - p * weights.sum(1, keepdims=True),
        "log-sum-exp": p * row_weights[:, None],
    }


def rows_source(numbers: list[int]) -> str:
    lines = [HEAD]
    for k in numbers:
        family, text = ROW_SPELLINGS[k]
        weight = "g" if family == "log-sum-exp" else "G"
        lines += [f"Y{k} = {text}", f"J{k} = {weight} · Y{k}", f"gradient J{k} wrt A as slope{k}"]
    return "\n".join([*lines, "output " + ", ".join(f"Y{k}" for k in numbers)])


@pytest.fixture(scope="module")
def rows() -> Compiled:
    return Compiled(rows_source, chosen([family for family, _ in ROW_SPELLINGS]))


@each_dtype
@pytest.mark.parametrize(("backend", "number"), cases(ROW_SPELLINGS))
def test_forms_of_rows(backend: str, number: int, dtype: str, rows: Compiled) -> None:
    module, family = rows(backend, dtype), ROW_SPELLINGS[number][0]
    rng = np.random.default_rng(0)
    A, G, g = SCORES.astype(dtype), rng.normal(size=SCORES.shape).astype(dtype), rng.normal(size=5).astype(dtype)
    exact = [array.astype("float64") for array in (A, G, g)]
    assert_right(getattr(module.evaluate(A, G, g), f"Y{number}"), row_values(exact[0])[family], dtype)
    assert_right(getattr(module, f"slope{number}")(A, G, g).gradients.A, row_gradients(*exact)[family], dtype)


# ------------------------------------------------------------------------------------------------ cross-entropy
CROSS_ENTROPY = """
dim N, K
input X : N, K
input Y : N, K TRAIT
function s(a) = exp(a) / (ones . exp(a))
J = -(1/N) (ln(SOFTMAX) . Y)
gradient J wrt X
"""
SHORT = "(1/N) (softmax^1(X) - Y)"


def cross_entropy(trait: str, softmax: str) -> str:
    return CROSS_ENTROPY.replace("TRAIT", trait).replace("SOFTMAX", softmax)


@pytest.mark.parametrize("softmax", ["softmax^1(X)", "s^1(X)"])
@pytest.mark.parametrize("trait", ["onehot rows", "stochastic rows"])
def test_the_gradient_of_cross_entropy_is_short_where_rows_sum_to_one(trait: str, softmax: str) -> None:
    (formulas,) = derived(bc.parse(cross_entropy(trait, softmax)), Options())
    assert [equation.text for equation in formulas.equations] == [f"∇[X](J) = {SHORT}"]


@pytest.mark.parametrize("softmax", ["softmax^1(X)", "s^1(X)"])
@pytest.mark.parametrize("trait", ["", "positive", "nonzero"])
def test_the_gradient_of_cross_entropy_is_general_otherwise(trait: str, softmax: str) -> None:
    program = bc.parse(cross_entropy(trait, softmax))
    (formulas,) = derived(program, Options())
    (equation,) = formulas.equations
    assert equation.text != f"∇[X](J) = {SHORT}" and "Y @ 𝟏" in equation.text
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(3, 4)), rng.uniform(0.5, 2, size=(3, 4))
    shares = np.exp(row_values(X)["log-softmax"])
    expected = (Y.sum(1, keepdims=True) * shares - Y) / 3
    np.testing.assert_allclose(bc.compile(program, backend="numpy").value_and_grad(X, Y).gradients.X, expected)


@each_dtype
@each_backend
def test_cross_entropy_of_large_scores(backend: str, dtype: str) -> None:
    module = bc.compile(cross_entropy("onehot rows", "s^1(X)"), backend=backend, dtype=dtype)
    X, Y = SCORES.astype(dtype), np.eye(4, dtype=dtype)[[2, 3, 0, 1, 1]]
    logs = row_values(X.astype("float64"))["log-softmax"]
    value, gradient = -(logs * Y).sum() / 5, (np.exp(logs) - Y) / 5
    found = module.value_and_grad(X, Y)
    np.testing.assert_allclose(found.value, value, rtol=TOLERANCE[dtype])
    assert_right(found.gradients.X, gradient, dtype)
    outputs, residuals = module.forward(X, Y)
    np.testing.assert_allclose(outputs.J, value, rtol=TOLERANCE[dtype])
    assert_right(module.backward(residuals).X, gradient, dtype)


def test_a_missing_number_among_scores_is_never_lost() -> None:
    module = bc.compile(cross_entropy("onehot rows", "s^1(X)"), backend="numpy")
    X = SCORES.copy()
    X[1, 2] = np.nan
    value, (gradient,) = module.value_and_grad(X, np.eye(4)[[2, 3, 0, 1, 1]])
    assert np.isnan(value) and np.isnan(gradient[1]).all() and np.isfinite(np.delete(gradient, 1, axis=0)).all()
