"""``module.scipy``: a compiled model as the arguments of ``scipy.optimize.minimize``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ckernels import needs_compiler

import bracketc as bc

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "optimise" / "run.py"

BLOCKS = """
dim n, m
input A : n, m
param U : n, 2
param V : m, 2
param c : scalar
E = (A_ij - U_ik V_jk - c | ij)
J = (E_ij**2 | ) + 0.1 (U · U) + 0.1 (V · V) + c**4
gradient J wrt U, V, c
hessian J wrt U, V, c
hvp J wrt U, V, c
"""


@pytest.fixture(scope="module")
def blocks() -> ModuleType:
    return bc.compile(BLOCKS, backend="numpy")


def given(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"A": rng.normal(size=(4, 3)), "U": rng.normal(size=(4, 2)), "V": rng.normal(size=(3, 2)), "c": 0.3}


def test_arrays_are_one_vector_in_the_order_of_the_request(blocks: Any) -> None:
    start = given()
    problem = blocks.scipy(**start)
    np.testing.assert_array_equal(problem.x0, np.concatenate([start["U"].ravel(), start["V"].ravel(), [0.3]]))
    parts = problem.unpack(problem.x0)
    assert list(parts) == ["U", "V", "c"] and all(np.array_equal(parts[name], start[name]) for name in parts)
    assert sorted(problem) == ["fun", "jac", "x0"] and len(problem) == 3


@pytest.mark.parametrize("backend", ["numpy", pytest.param("c", marks=needs_compiler)])
def test_value_gradient_and_hessian_are_those_of_the_module(backend: str) -> None:
    blocks: Any = bc.compile(BLOCKS, backend=backend, cflags=("-O1",))
    start, elsewhere = given(), given(1)
    problem = blocks.scipy(**start)
    x = np.concatenate([np.ravel(elsewhere[name]) for name in ("U", "V", "c")])
    value, gradients = blocks.value_and_grad(**start | {k: elsewhere[k] for k in "UVc"})
    slope, h = np.concatenate([np.ravel(g) for g in gradients]), 1e-6
    for _ in range(2):  # also when the gradient is asked for first, and after another point
        np.testing.assert_allclose(problem.jac(x), slope)
        assert problem.fun(x) == pytest.approx(value)
        problem.hess(problem.x0)
        problem.fun(problem.x0)
    steps = np.eye(x.size) * h
    differences = [(problem.jac(x + step) - problem.jac(x - step)) / (2 * h) for step in steps]
    hessian = problem.hess(x)
    np.testing.assert_allclose(hessian, differences, atol=1e-6)
    np.testing.assert_array_equal(hessian, hessian.T)
    np.testing.assert_array_equal(start["U"], given()["U"])


def test_one_name_may_vary_alone(blocks: Any) -> None:
    problem = blocks.scipy("U", **given())
    rng = np.random.default_rng(2)
    p = rng.normal(size=8)
    np.testing.assert_allclose(problem.hessp(problem.x0, p), problem.hess(problem.x0) @ p, atol=1e-12)
    np.testing.assert_allclose(problem.jac(problem.x0), np.ravel(blocks.value_and_grad(**given()).gradients.U))


@pytest.mark.parametrize("backend", ["numpy", pytest.param("c", marks=needs_compiler)])
@pytest.mark.parametrize("names", [(), ("c", "U"), ("V",), ("U", "V", "c"), ("V", "c")])
def test_products_with_the_hessian_by_all_that_varies(names: tuple[str, ...], backend: str) -> None:
    """In any order, and of some names only: those that stand still have the direction 0."""
    problem = bc.compile(BLOCKS, backend=backend, cflags=("-O1",)).scipy(*names, **given())
    rng = np.random.default_rng(2)
    for _ in range(2):
        x, p = rng.normal(size=(2, problem.x0.size))
        np.testing.assert_allclose(problem.hessp(x, p), problem.hess(x) @ p, rtol=1e-9, atol=1e-10)


def test_one_product_for_each_name_is_no_product_for_both() -> None:
    source = "dim n\nparam x : n\nparam s : scalar\nJ = s (x · x) + s**3\ngradient J wrt x, s\nhvp J wrt x\nhvp J wrt s"
    module: Any = bc.compile(source, backend="numpy")
    with pytest.raises(AttributeError, match="no products with the Hessian by x, s; ask for them: hvp J wrt x, s"):
        _ = module.scipy(x=np.ones(2), s=1.0).hessp
    assert module.scipy("x", x=np.ones(2), s=1.0).hessp(np.zeros(2), np.ones(2)).tolist() == [2, 2]
    assert module.scipy("s", x=np.ones(2), s=1.0).hessp(np.ones(1), np.ones(1)).tolist() == [6]


def test_what_the_source_does_not_ask_for_is_named(blocks: Any) -> None:
    source = "dim n\nparam x : n\nparam s : scalar\nJ = s (x · x)\ngradient J wrt x, s\nhessian J wrt x"
    module: Any = bc.compile(source, backend="numpy")
    problem = module.scipy(x=np.ones(2), s=1.0)
    with pytest.raises(AttributeError, match="no second derivatives by x, s; ask for them: hessian J wrt x, s"):
        _ = problem.hess
    with pytest.raises(AttributeError, match="no products with the Hessian by x, s; ask for them: hvp J wrt x, s"):
        _ = problem.hessp
    with pytest.raises(AttributeError, match="hvp J wrt s"):
        _ = module.scipy("s", x=np.ones(2), s=1.0).hessp
    assert module.scipy("x", x=np.ones(2), s=1.0).hess(np.zeros(2)).tolist() == [[2, 0], [0, 2]]


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        (("A",), {}, "'A' cannot vary; there are gradients by U, V, c"),
        ((), {"W": 1.0}, "no argument 'W'; there are A, U, V, c"),
        ((), {"A": np.ones((4, 2))}, "index m"),
    ],
)
def test_wrong_arguments(blocks: Any, names: tuple[str, ...], more: dict[str, Any], message: str) -> None:
    with pytest.raises(bc.ArgumentError, match=message):
        blocks.scipy(*names, **given() | more)


def test_a_missing_argument_is_named(blocks: Any) -> None:
    arguments = given()
    del arguments["V"]
    with pytest.raises(bc.ArgumentError, match="V is missing"):
        blocks.scipy(**arguments)


def test_modules_without_a_gradient_have_nothing_to_minimise() -> None:
    assert not hasattr(bc.compile("dim n\ninput x : n\nJ = x · x", backend="numpy"), "scipy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_generated_module_stands_alone(tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("scipy")
    from scipy.optimize import minimize

    bc.build("dim n\ninput A : n, n\nparam x : n\nJ = 0.5 (x^T @ A @ x) - (x_i | )\ngradient J wrt x\nhvp J wrt x", tmp_path,
             backend="numpy", dtype=dtype, name="alone")  # fmt: skip
    text = (tmp_path / "alone.py").read_text()
    assert "bracketc" not in text[text.index("class ScipyProblem") : text.index("_PRODUCTS = {")]
    spec = importlib.util.spec_from_file_location("alone", tmp_path / "alone.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    A = np.diag([1.0, 2, 4])
    problem = module.scipy(A=A, x=np.zeros(3))
    found = minimize(**problem, hessp=problem.hessp, method="trust-ncg")
    assert found.success and problem.unpack(found.x)["x"] == pytest.approx([1, 0.5, 0.25], abs=1e-4)


def test_the_example_converges() -> None:
    pytest.importorskip("scipy")
    spec = importlib.util.spec_from_file_location("optimise_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    sys.modules["optimise_example"] = example
    spec.loader.exec_module(example)
    for model, best in ((example.logistic, 0.4195421), (example.process, -63.5103346)):
        for method, found in model("numpy"):
            assert found.success and np.abs(found.jac).max() < 1e-3, method
            if "alone" not in method:
                assert found.fun == pytest.approx(best, abs=1e-6), method
