"""Recurrences written in the language: right for any number of steps, never unrolled, differentiable twice."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS, MODELS, Modules, central_differences, criterion

import bracketc as bc
from bracketc import compiler
from bracketc.calculus.requests import entries
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Recurrence
from bracketc.ir.rewrite import topological
from bracketc.options import make_options

Array = np.ndarray[Any, Any]


# ------------------------------------------------------------------------------------------------ section 6.4
def network_arrays(steps: int, seed: int = 4) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    n, d, h, k = 5, 2, 4, 3
    return {
        "X": rng.normal(size=(steps, n, d)),
        "Y": np.eye(k)[rng.integers(k, size=(steps, n))],
        "Z0": rng.normal(size=(n, h)),
        "W": 0.4 * rng.normal(size=(h, h)),
        "U": rng.normal(size=(d, h)),
        "b": rng.normal(size=h),
        "V": rng.normal(size=(h, k)),
        "c": rng.normal(size=k),
    }


def softmax_rows(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def written_out(X: Array, Y: Array, Z0: Array, W: Array, U: Array, b: Array, V: Array, c: Array) -> dict[str, Array]:
    """J and its gradients for T = 3 as section 6.4 states them, every step a line of its own."""
    n = len(Z0)
    Z1 = np.tanh(Z0 @ W + X[0] @ U + b)
    Z2 = np.tanh(Z1 @ W + X[1] @ U + b)
    Z3 = np.tanh(Z2 @ W + X[2] @ U + b)
    P1, P2, P3 = (softmax_rows(Z @ V + c) for Z in (Z1, Z2, Z3))
    H1, H2, H3 = (-(y - p) / n for y, p in zip(Y, (P1, P2, P3), strict=True))
    G3 = (1 - Z3**2) * (H3 @ V.T)
    G2 = (1 - Z2**2) * (G3 @ W.T + H2 @ V.T)
    G1 = (1 - Z1**2) * (G2 @ W.T + H1 @ V.T)
    return {
        "J": -sum(np.sum(np.log(p) * y) for y, p in zip(Y, (P1, P2, P3), strict=True)) / n,
        "W": Z0.T @ G1 + Z1.T @ G2 + Z2.T @ G3,
        "U": X[0].T @ G1 + X[1].T @ G2 + X[2].T @ G3,
        "b": (G1 + G2 + G3).sum(0),
        "V": Z1.T @ H1 + Z2.T @ H2 + Z3.T @ H3,
        "c": (H1 + H2 + H3).sum(0),
    }


@pytest.fixture(scope="module")
def modules() -> Modules:
    return Modules()


@pytest.mark.parametrize("backend", BACKENDS)
def test_three_steps_are_those_written_out_by_hand(backend: str, modules: Modules) -> None:
    arrays = network_arrays(3)
    expected = written_out(**arrays)
    value, gradients = modules.get("recurrent", backend).value_and_grad(**arrays)
    np.testing.assert_allclose(value, expected["J"], rtol=1e-13)
    assert gradients._fields == ("W", "U", "b", "V", "c")
    for name, gradient in gradients._asdict().items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_any_number_of_steps_agrees_with_central_differences(steps: int, backend: str, modules: Modules) -> None:
    module = modules.get("recurrent", backend)
    arrays = network_arrays(steps)
    gradients = module.value_and_grad(**arrays).gradients
    value = module.evaluate.bind(**arrays)
    for name, gradient in gradients._asdict().items():
        assert criterion(central_differences(lambda: float(value().J), arrays[name]), gradient) < 1e-6, name


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_step_at_all_costs_nothing(backend: str, modules: Modules) -> None:
    value, gradients = modules.get("recurrent", backend).value_and_grad(**network_arrays(0))
    assert value == 0 and all(not gradient.any() for gradient in gradients)


# ------------------------------------------------------------------------------------------------ never unrolled
def compiled_text(model: str, backend: str, **sizes: int) -> tuple[int, str]:
    """Number of nodes of all functions, bodies of loops included, and the text of the module."""
    options = make_options({"backend": backend, "dtype": "float32", "sizes": sizes})
    done = compiler.stages(bc.load(MODELS[model]), options)
    nodes = topological(node for entry in done.entries for _, node in entry.results)
    inside = [len(topological(node.body.results)) for node in nodes if isinstance(node, Recurrence)]
    assert inside, "the loop is gone"
    files = compiler.emit(done, model, options).files
    return len(nodes) + sum(inside), "\n".join(files[name] for name in sorted(files))


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_text_and_nodes_do_not_grow_with_the_number_of_steps(backend: str) -> None:
    few_nodes, few = compiled_text("recurrent", backend, T=5)
    many_nodes, many = compiled_text("recurrent", backend, T=500)
    free_nodes, free = compiled_text("recurrent", backend)
    assert few_nodes == many_nodes == free_nodes
    assert re.sub(r"\d+", "#", few) == re.sub(r"\d+", "#", many), "up to the number itself"
    assert len(few.splitlines()) <= len(free.splitlines())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bound_number_of_steps_gives_the_same_answer(backend: str, modules: Modules) -> None:
    bound = bc.compile(bc.load(MODELS["recurrent"]), backend=backend, sizes={"T": 3})
    arrays = network_arrays(3)
    expected = modules.get("recurrent", backend).value_and_grad(**arrays)
    found = bound.value_and_grad(**arrays)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-13)
    for name, gradient in found.gradients._asdict().items():
        np.testing.assert_allclose(gradient, getattr(expected.gradients, name), rtol=1e-12, atol=1e-14)
    with pytest.raises(bc.ArgumentError, match="axis 1 of X: 3 declared, 4 found"):
        bound.value_and_grad(**network_arrays(4))


# ------------------------------------------------------------------------------------------------ differentiated twice
LSTM = """
dim T, D, H
input X : T, D
input S0 : H
input C0 : H
param A : H, D
param F : H, H
param I : H, H
param O : H, H
param G : H, H
C[0] = C0
S[0] = S0
f[t] = sigmoid(F @ S[t-1] + A @ X[t])            for t = 1..T
i[t] = sigmoid(I @ S[t-1] + A @ X[t])            for t = 1..T
o[t] = sigmoid(O @ S[t-1] - A @ X[t])            for t = 1..T
g[t] = tanh(G @ S[t-1] + A @ X[t])               for t = 1..T
C[t] = f[t] ⊙ C[t-1] + i[t] ⊙ g[t]               for t = 1..T
S[t] = o[t] ⊙ tanh(C[t])                         for t = 1..T
J = 0.5 norm2(S[T]) + sum[t=1..T](C[t] · S[t])
gradient J wrt A, F, G
"""

TWO_STEPS_BACK = """
dim T, H
input X : T, H
input P : H
input Q : H
param V : H, H
param W : H, H
Z[0] = P
Z[-1] = Q
Z[t] = tanh(V @ Z[t-1] + W @ Z[t-2] + X[t]) for t = 1..T
J = 0.5 norm2(Z) + sum(Z[T])
gradient J wrt V, W, Q
"""

SOURCES = {
    "an LSTM cell": (LSTM, ("F", "G"), {"T": 4, "D": 3, "H": 2}),
    "two steps back": (TWO_STEPS_BACK, ("V", "Q"), {"T": 5, "H": 3}),
}


class Interpreted:
    """Functions of a source by the interpreter, as calculus derives them or ``simplified`` by all passes."""

    def __init__(self, text: str, sizes: dict[str, int], simplified: bool) -> None:
        program = bc.parse(text)
        options = make_options({"backend": "numpy", "verify": True})
        functions = compiler.stages(program, options).entries if simplified else entries(program)
        self.functions = {entry.name: entry for entry in functions}
        self.sizes = sizes
        rng = np.random.default_rng(2)
        self.arrays: dict[str, Array] = {
            name: 0.7 * rng.normal(size=tuple(extent.evaluate(sizes) for extent in spec.shape))
            for name, spec in program.inputs.items()
        }

    def run(self, function: str) -> dict[str, Array]:
        entry = self.functions[function]
        values = {argument: self.arrays[argument.name] for argument in entry.arguments}
        results = interpret([node for _, node in entry.results], values, self.sizes)
        return {name: array for (name, _), array in zip(entry.results, results, strict=True)}


@pytest.mark.parametrize("simplified", [False, True], ids=["as derived", "simplified"])
@pytest.mark.parametrize("name", SOURCES)
def test_gradients_of_a_written_recurrence(name: str, simplified: bool) -> None:
    text, _, sizes = SOURCES[name]
    machine = Interpreted(text, sizes, simplified)
    found = machine.run("value_and_grad")
    del found["J"]
    for wrt, gradient in found.items():
        numeric = central_differences(lambda: float(machine.run("evaluate")["J"]), machine.arrays[wrt])
        assert criterion(numeric, gradient) < 1e-6, wrt


@pytest.mark.parametrize("simplified", [False, True], ids=["as derived", "simplified"])
@pytest.mark.parametrize("name", SOURCES)
def test_second_derivatives_of_a_written_recurrence(name: str, simplified: bool) -> None:
    text, wrt, sizes = SOURCES[name]
    requests = [f"hessian J wrt {first}" for first in wrt] + [f"hessian J wrt {wrt[0]}, {wrt[1]}"]
    machine = Interpreted(text + "\n".join(requests), sizes, simplified)
    step = 1e-5
    for first, second, function in ((wrt[0], wrt[0], f"hessian_J_{wrt[0]}"), (wrt[1], wrt[1], f"hessian_J_{wrt[1]}"),
                                    (wrt[1], wrt[0], f"hessian_J_{wrt[0]}_{wrt[1]}")):  # fmt: skip
        (hessian,) = machine.run(function).values()
        varied = machine.arrays[first]
        numeric = np.zeros(machine.arrays[second].shape + varied.shape)
        for position in np.ndindex(varied.shape):
            value = varied[position]
            varied[position] = value + step
            above = machine.run("value_and_grad")[second]
            varied[position] = value - step
            below = machine.run("value_and_grad")[second]
            varied[position] = value
            numeric[(..., *position)] = (above - below) / (2 * step)
        assert hessian.shape == numeric.shape
        assert criterion(numeric, hessian) < 1e-6, function


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SOURCES)
def test_compiled_second_derivatives_are_those_of_the_interpreter(name: str, backend: str) -> None:
    text, wrt, sizes = SOURCES[name]
    request = f"hessian J wrt {wrt[0]}, {wrt[1]}"
    machine = Interpreted(text + request, sizes, simplified=False)
    function = f"hessian_J_{wrt[0]}_{wrt[1]}"
    (expected,) = machine.run(function).values()
    module = bc.compile(text + request, backend=backend)
    found = getattr(module, function)(**machine.arrays)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
