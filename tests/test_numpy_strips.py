"""Tensors of derivatives in strips: less memory, half of a symmetric product, the same numbers."""

from __future__ import annotations

import inspect
import tracemalloc
from types import ModuleType

import numpy as np
import pytest
from modelcases import arrays_of, sizes_of

import bracketc as bc
from bracketc import compiler
from bracketc.ir.interpret import interpret
from bracketc.options import Options

LOGISTIC = """
dim m, n
input X : m, n
input y : m
param w : n
J = softplus(-y ⊙ (X @ w)) · 𝟏
hessian J wrt w as H
"""
FACTORISATION = """
dim n, k = 3
input M : n, n
param U : n, k
param V : n, k
J = norm2((U @ V^T) ⊙ M)
hessian J wrt U as H
hessian J wrt U, V as C
"""
LAYERS = """
dim m, n
input X : m, n
input Y : m, n
param W : n, n
param V : n, n
J = sum[i, j](tanh(relu(X @ W) @ V)_ij Y_ij)
hessian J wrt W as H
hessian J wrt V as G
"""
SOURCES = {"logistic": LOGISTIC, "factorisation": FACTORISATION, "layers": LAYERS}


def kernel_of(module: ModuleType, name: str) -> str:
    return inspect.getsource(getattr(module, f"_{name}_kernel"))


@pytest.mark.parametrize("rows", [1, 2, 100])
@pytest.mark.parametrize("name", SOURCES)
def test_strips_of_any_height_compute_the_same(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = bc.parse(SOURCES[name])
    module, derived = bc.compile(program, backend="numpy"), compiler.derive(program, Options(backend="numpy"))
    monkeypatch.setattr(module, "_rows", lambda count, made, result, least: rows)
    arrays, sizes = arrays_of(program), sizes_of(program)
    tensors = [entry for entry in derived.entries if entry.forms]
    assert any("for first in range" in kernel_of(module, entry.name) for entry in tensors)
    for entry in tensors:
        values = {argument: arrays[argument.name] for argument in entry.arguments}
        expected = interpret(tuple(node for _, node in entry.results), values, sizes)
        found = getattr(module, entry.name)(**arrays, dense=True)
        for array, wanted in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
            np.testing.assert_allclose(array, wanted, rtol=1e-9, atol=1e-9, err_msg=entry.name)


@pytest.mark.parametrize("name", SOURCES)
def test_empty_tensors(name: str) -> None:
    module = bc.compile(SOURCES[name], backend="numpy")
    (function, told), *_ = ((f, t) for f, t in module.SIGNATURE["functions"].items() if f in ("H", "G"))
    sizes = dict.fromkeys(module.SIGNATURE["dims"], 0)
    shapes = {n: module.SIGNATURE["inputs"][n]["shape"] for n in told["arguments"]}
    given = {n: np.zeros([sizes.get(x, 3) for x in shape]) for n, shape in shapes.items()}
    assert 0 in np.shape(np.asarray(getattr(module, function)(**given, dense=True)))


def test_a_symmetric_result_is_reflected() -> None:
    module = bc.compile(LOGISTIC, backend="numpy")
    assert "d_w[:first, first:last] = d_w[first:last, :first].T" in kernel_of(module, "H")
    assert kernel_of(module, "H").count("weight[:, None]") == 1


def test_functions_and_gradients_have_no_strips() -> None:
    module = bc.compile(LOGISTIC.replace("hessian J wrt w as H", "gradient J wrt w"), backend="numpy")
    assert not hasattr(module, "_rows")


def peak_over_result(module: ModuleType, **arrays: np.ndarray) -> float:
    module.H(**arrays)
    tracemalloc.start()
    try:
        result = module.H(**arrays)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return float(peak / result.nbytes)


def test_the_peak_is_less_than_twice_the_result() -> None:
    rng = np.random.default_rng(0)
    logistic = bc.compile(LOGISTIC, backend="numpy")
    X, y, w = rng.normal(size=(800, 400)), np.ones(800), rng.normal(size=400)
    assert peak_over_result(logistic, X=X, y=y, w=w) < 2
    layers = bc.compile(LAYERS, backend="numpy")
    square = {name: rng.normal(size=(30, 30)) for name in "XYWV"}
    assert peak_over_result(layers, **square) < 2
