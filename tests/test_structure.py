"""Derivatives keep their structure: what is stored, the dense array, products and solutions agree with the interpreter."""

from __future__ import annotations

import doctest
import random
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS, needs_compiler, sizes_of

import bracketc as bc
from bracketc import compiler
from bracketc.emit.structures import CLASSES
from bracketc.ir.interpret import interpret
from bracketc.options import Options
from bracketc.plan.schedule import Contract
from bracketc.structures import _shared

Array = np.ndarray[Any, Any]

ARGUMENTS = """dim n ~ 50, k ~ 10, m ~ 40
input T : n, n
input M : n, n
param A : n, n
param B : k, k
param U : n, k
param V : n, k
param x : n
param y : m
input X : m, n
"""

CASES = {
    "diagonal": ("F = sum(exp(x ⊙ x))", "hessian F wrt x", ("diagonal",)),
    "diagonal of a matrix": ("F = norm2(tanh(U) ⊙ V)", "hessian F wrt U", ("diagonal",)),
    "Jacobian of a function": ("F = U ⊙ sin(U)", "jacobian F wrt U", ("diagonal",)),
    "identity": ("F = 3 x", "jacobian F wrt x", ("diagonal",)),
    "factorisation": ("F = norm2((T - U @ V^T) ⊙ M)", "hessian F wrt U", ("block diagonal",)),
    "mixed factorisation": ("F = norm2((T - U @ V^T) ⊙ M)", "hessian F wrt U, V", ("kronecker", "product")),
    "layer by weights": ("F = X @ U", "jacobian F wrt U", ("kronecker",)),
    "layer by inputs": ("F = X @ U", "jacobian F wrt X", ("kronecker",)),
    "activated layer": ("F = tanh(X @ U)", "jacobian F wrt U", ("block diagonal",)),
    "two sided": ("F = A @ U @ B", "jacobian F wrt U", ("kronecker",)),
    "two sided, gradient layout": ("F = A @ U @ B", "jacobian F wrt U layout gradient", ("kronecker",)),
    "square of two sided": ("F = norm2(A @ U @ B)", "hessian F wrt U", ("kronecker",)),
    "softmax": ("F = softmax(x)", "jacobian F wrt x", ("diagonal", "symmetric")),
    "rows of softmax": ("F = softmax^1(U)", "jacobian F wrt U", ("diagonal", "block diagonal")),
    "power of a norm": ("F = (x · x)**3", "hessian F wrt x", ("diagonal", "symmetric")),
    "outer product": ("F = norm2(x y)", "hessian F wrt x, y", ("product",)),
    "linear": ("F = x · x - x · x + sum(x)", "hessian F wrt x", ("symmetric",)),
    "third derivative": ("S = (x · x)**2\ng = ∇[x](S)\nF = ∇[x](g)", "jacobian F wrt x", ("product", "kronecker", "kronecker")),
    "logistic": ("F = softplus(-y ⊙ (X @ x)) · 𝟏", "hessian F wrt x", ()),
    "quadratic": ("F = x · (A @ x)", "hessian F wrt x", ()),
    "vec layout": ("F = A @ U @ B", "jacobian F wrt U layout vec", ()),
}


def _source(case: str) -> str:
    text, request, _ = CASES[case]
    return f"{ARGUMENTS}{text}\noutput F\n{request} as R\n"


@cache
def _module(case: str, backend: str, dtype: str = "float64") -> ModuleType:
    return bc.compile(_source(case), backend=backend, dtype=dtype)


def _arrays(source: str, sizes: dict[str, int] | None = None, seed: int = 0) -> dict[str, Array]:
    program = bc.parse(source)
    rng = np.random.default_rng(seed)
    given = sizes_of(program) | (sizes or {})
    return {
        name: rng.uniform(0.3, 1.3, tuple(extent.evaluate(given) for extent in spec.shape))
        for name, spec in program.inputs.items()
    }


def _oracle(source: str, arrays: dict[str, Array], function: str = "R") -> list[Array]:
    """The derivatives as the interpreter gives them, dense."""
    derived = compiler.derive(bc.parse(source), Options())
    entry = next(entry for entry in derived.entries if entry.name == function)
    values = {argument: arrays[argument.name] for argument in entry.arguments}
    return interpret([node for _, node in entry.results], values)


def _check(found: Any, dense: Array, tolerance: float = 1e-10) -> None:
    """A structure is ``dense`` in every way that it can be asked."""
    scale = max(1.0, float(np.max(np.abs(dense), initial=0)))

    def same(left: Any, right: Any, factor: float = 1.0) -> None:
        np.testing.assert_allclose(np.asarray(left), right, rtol=tolerance, atol=tolerance * scale * factor)

    assert isinstance(found, bc.Structured)
    assert (found.shape, found.ndim, found.dtype) == (dense.shape, dense.ndim, found.arrays[0].dtype)
    same(found, dense)
    same(found.dense(), dense)
    target = np.full(dense.shape, 7, found.dtype)
    assert found.dense(target) is target
    same(target, dense)
    same(found + np.ones(dense.shape, found.dtype), dense + 1)
    assert found.nbytes == sum(array.nbytes for array in found.arrays)
    rows, columns = dense.shape[: found.rows], dense.shape[found.rows :]
    matrix = dense.reshape(int(np.prod(rows)), int(np.prod(columns)))
    rng = np.random.default_rng(1)
    right, left = (rng.uniform(0.5, 1.5, shape).astype(found.dtype) for shape in (columns, rows))
    size = max(1, matrix.size)
    same(found @ right, (matrix @ right.ravel()).reshape(rows), size)
    if len(columns) > 1:  # flat in, flat out
        same(found @ right.ravel(), matrix @ right.ravel(), size)
    same(found @ np.stack([right, 2 * right], -1), np.stack([v := (matrix @ right.ravel()).reshape(rows), 2 * v], -1), size)
    same(left @ found, (left.ravel() @ matrix).reshape(columns), size)
    if len(rows) > 1:
        same(left.ravel() @ found, left.ravel() @ matrix, size)
    same(found.T, np.moveaxis(dense, range(found.rows), range(len(columns), dense.ndim)))
    same(found.T.T, dense)
    if rows == columns:
        same(found.diagonal(), np.diagonal(matrix).reshape(rows))
        if found.symmetric:
            same(found.T, dense)
    solvable = matrix.shape[0] == matrix.shape[1] and (np.linalg.cond(matrix) < 1e4 if matrix.size else rows == columns)
    blocks = isinstance(found, bc.Kronecker | bc.BlockDiagonal) or bool(_shared(found))
    if not blocks:
        with pytest.raises(bc.ArgumentError, match="there are no blocks off which"):
            found.solve(left)
    if blocks and solvable:
        expected = np.linalg.solve(matrix, left.ravel())
        loose = 1e6
        same(found.solve(left), expected.reshape(columns), loose)
        same(found.solve(left.ravel()).ravel(), expected, loose)
        same(found.solve(np.stack([left, left], -1)), np.stack([expected.reshape(columns)] * 2, -1), loose)


@pytest.mark.parametrize("case", CASES)
def test_structure_is_recognised_and_stored_in_less(case: str) -> None:
    module, kinds = _module(case, "numpy"), CASES[case][2]
    arrays = _arrays(_source(case))
    result = module.SIGNATURE["functions"]["R"]["results"]
    (told,) = result.values()
    assert told["structure"] == kinds
    found, (dense,) = module.R(**arrays), _oracle(_source(case), arrays)
    if not kinds:
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, dense, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(module.R(**arrays, dense=True), dense, rtol=1e-10, atol=1e-10)
        return
    _check(found, dense)
    assert found.nbytes < dense.nbytes
    classes = [name for kind in kinds for known, name in CLASSES.items() if known == kind]
    terms = found.terms if isinstance(found, bc.Sum) else [found]
    assert [type(term).__name__ for term in terms] == classes
    assert found.symmetric == told["symmetric"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", ["factorisation", "mixed factorisation", "softmax", "third derivative", "square of two sided"])
def test_structures_and_dense_arrays_agree_in_every_way_of_calling(case: str, backend: str) -> None:
    module, source = _module(case, backend), _source(case)
    arrays = _arrays(source)
    (dense,) = _oracle(source, arrays)

    def same(found: Any, expected: Any = dense) -> None:
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-10, atol=1e-10)

    found = module.R(**arrays)
    _check(found, dense)
    whole = module.R(**arrays, dense=True)
    assert isinstance(whole, np.ndarray)
    same(whole)
    target = np.full(dense.shape, 7.0)
    assert module.R(**arrays, out=target) is target
    same(target)
    target[...] = 7
    assert module.R(**arrays, dense=True, out=(target,)) is target
    same(target)
    again = {name: 2 * array for name, array in arrays.items()}
    (other,) = _oracle(source, again)
    refilled = module.R(**again, out=found)
    assert all(new is old for new, old in zip(refilled.arrays, found.arrays, strict=True))
    same(refilled, other)
    bound, bound_dense = module.R.bind(**arrays), module.R.bind(**arrays, dense=True)
    same(bound())
    assert bound() is bound()
    first = bound_dense()
    first[...] = 7
    assert bound_dense() is first
    same(first)
    into = module.R.bind(**arrays, out=target)
    target[...] = 7
    assert into() is target
    same(target)


@pytest.mark.parametrize("backend", BACKENDS)
def test_structures_in_single_precision(backend: str) -> None:
    source = _source("factorisation")
    arrays = {name: array.astype(np.float32) for name, array in _arrays(source).items()}
    found = _module("factorisation", backend, "float32").R(**arrays)
    assert found.dtype == found.dense().dtype == (found @ np.ones(found.shape[2:], np.float32)).dtype == np.float32
    _check(found, _oracle(source, {name: array.astype(float) for name, array in arrays.items()})[0], 1e-4)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][2]])
def test_structures_of_size_zero_and_one(case: str, size: int) -> None:
    source = _source(case)
    for name in ("n", "k"):
        arrays = _arrays(source, {name: size})
        if case in ("softmax", "rows of softmax") and size == 0:
            continue  # there is no largest entry
        _check(_module(case, "numpy").R(**arrays), _oracle(source, arrays)[0])


# ------------------------------------------------------------------------------------------------ random programs
def _random_source(seed: int) -> str:
    """A sum of models whose Hessians have structure, and some of its derivatives."""
    rng = random.Random(seed)
    function = rng.choice(["tanh", "exp", "sin", "sigmoid"])
    models = [
        f"norm2({function}(U) ⊙ V)",
        "norm2((T - U @ V^T) ⊙ M)",
        f"sum({function}(x) ⊙ x)",
        "norm2(x U)",
        f"(x · x)**{rng.choice((2, 3))}",
        "norm2(A @ U @ B)",
        f"sum({function}(U @ B))",
        "(U_ik V_ik x_i | )",
        "x · (A @ x)",
        f"logsumexp({function}(x))",
        "(U_ik U_ik V_jk V_jk | )",
        "sum(U ⊙ U) ⊙ sum(V)",
    ]  # fmt: skip
    terms = [f"{rng.choice((1, 2, 0.5))} {rng.choice(models)}" for _ in range(rng.randint(1, 3))]
    requests = ["hessian F wrt U, V, x as R", "hessian F wrt U as P", "g = ∇[U](F)", "jacobian g wrt V, x as Q"]
    return f"{ARGUMENTS}F = {' + '.join(terms)}\noutput F\n" + "\n".join(requests) + "\n"


@pytest.mark.parametrize("seed", range(30))
def test_random_sums_of_structured_models(seed: int) -> None:
    source = _random_source(seed)
    module = bc.compile(source, backend="numpy")
    arrays = _arrays(source, seed=seed)
    for function in ("R", "P", "Q"):
        expected = _oracle(source, arrays, function)
        found, whole = getattr(module, function)(**arrays), getattr(module, function)(**arrays, dense=True)
        if function == "P":
            found, whole = (found,), (whole,)
        for one, dense, reference in zip(found, whole, expected, strict=True):
            np.testing.assert_allclose(dense, reference, rtol=1e-9, atol=1e-9)
            if isinstance(one, bc.Structured):
                _check(one, reference, 1e-9)
            else:
                np.testing.assert_allclose(one, reference, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_blocks_are_structures_and_arrays_side_by_side(backend: str) -> None:
    source = f"{ARGUMENTS}F = norm2(tanh(U) ⊙ V) + x · (A @ x) + (U_ik V_ik x_i | )\nhessian F wrt U, V, x as R\n"
    module, arrays = bc.compile(source, backend=backend), _arrays(source)
    expected = _oracle(source, arrays)
    found = module.R(**arrays)
    assert found._fields == ("U_U", "U_V", "U_x", "V_V", "V_x", "x_x")
    assert isinstance(found.U_U, bc.Diagonal) and isinstance(found.U_x, bc.BlockDiagonal) and isinstance(found.x_x, np.ndarray)
    targets = {name: np.full(block.shape, 7.0) for name, block in zip(found._fields, expected, strict=True)}
    for results in (found, module.R(**arrays, dense=True), module.R(**arrays, out=targets), module.R.bind(**arrays)(),
                    module.R.bind(**arrays, dense=True)(), module.R(**arrays, out=found)):  # fmt: skip
        for one, dense in zip(results, expected, strict=True):
            np.testing.assert_allclose(np.asarray(one), dense, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", ["factorisation", "softmax", "mixed factorisation"])
def test_sums_and_multiples_stay_structured(case: str) -> None:
    source = _source(case)
    arrays = _arrays(source)
    found, (dense,) = _module(case, "numpy").R(**arrays), _oracle(source, arrays)
    for made, expected in ((2 * found, 2 * dense), (found * 0.5, dense / 2), (found / 4, dense / 4), (-found, -dense),
                           (found + found, 2 * dense), (found - 3 * found, -2 * dense)):  # fmt: skip
        _check(made, expected)
    ones = np.ones(dense.shape)
    for whole, expected in ((found + ones, dense + 1), (ones - found, 1 - dense), (found - ones, dense - 1), (found * ones, dense),
                            (1 + found, dense + 1), (found[0], dense[0])):  # fmt: skip
        assert isinstance(whole, np.ndarray)
        np.testing.assert_allclose(whole, expected, rtol=1e-10, atol=1e-12)


def test_the_page_on_structures_shows_what_happens() -> None:
    page = Path(__file__).parent.parent / "docs" / "second_order.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 10 and not failed


# ------------------------------------------------------------------------------------------------ mistakes
def test_solving_with_a_singular_structure_is_an_error() -> None:
    arrays = _arrays(_source("diagonal of a matrix"))
    arrays["V"][1, 1] = 0
    with pytest.raises(np.linalg.LinAlgError, match="1 entries of the diagonal are zero"):
        _module("diagonal of a matrix", "numpy").R(**arrays).solve(np.ones(arrays["U"].shape))
    with pytest.raises(bc.ArgumentError, match="a block of 4 rows and 3 columns is not square"):
        found = _module("layer by weights", "numpy").R(**_arrays(_source("layer by weights"), {"m": 4}))
        found.solve(np.ones(found.shape[:2]))


def test_products_with_wrong_shapes_are_errors() -> None:
    found = _module("factorisation", "numpy").R(**_arrays(_source("factorisation")))
    for wrong in (np.ones(2), np.ones((5, 5, 5)), np.float64(1)):
        with pytest.raises(bc.ArgumentError, match="needed in front"):
            found @ wrong
    with pytest.raises(bc.ArgumentError, match="needed in front"):
        found.solve(np.ones(2))
    with pytest.raises(bc.ArgumentError, match="out: float64 of shape"):
        found.dense(np.ones((2, 2)))
    with pytest.raises(ValueError, match="holds no dense array"):
        np.array(found, copy=False)


def test_out_takes_structures_of_the_same_kind_only() -> None:
    module, arrays = _module("factorisation", "numpy"), _arrays(_source("factorisation"))
    with pytest.raises(bc.ArgumentError, match="out takes one that an earlier call returned, or an array with dense=True"):
        module.R(**arrays, dense=False, out=(np.ones((3, 5, 3, 5)),))
    other = module.R(**_arrays(_source("factorisation"), {"n": 4}))
    with pytest.raises(bc.ArgumentError, match="out: blocks needs"):
        module.R(**arrays, out=other)
    with pytest.raises(bc.ArgumentError, match="shares memory with an input"):
        module.R(**arrays, dense=True, out=arrays["T"])


def test_a_dense_array_beyond_the_memory_limit_names_its_size_and_its_structure() -> None:
    module = bc.compile(_source("factorisation"), backend="numpy", max_memory=1000)
    arrays = _arrays(_source("factorisation"))
    assert isinstance(module.R(**arrays), bc.BlockDiagonal)
    with pytest.raises(bc.ArgumentError, match=r"R: U of shape \(3, 5, 3, 5\) would take 1,800 bytes, more than max_memory = 1000; "
                                               r"as BlockDiagonal it takes 600: dense=False returns that"):  # fmt: skip
        module.R(**arrays, dense=True)
    module = bc.compile(_source("quadratic"), backend="numpy", max_memory=50)
    with pytest.raises(bc.ArgumentError, match=r"would take 72 bytes, more than max_memory = 50; it has no structure"):
        module.R(**_arrays(_source("quadratic")))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dense_array_that_a_kernel_of_its_own_makes_names_its_structure_too(backend: str) -> None:
    """The Hessian is v_i v_j and more: no entry is zero by structure, so that another function computes the dense array."""
    source = "dim n\nparam U : n, n\nparam x : n\nF = logsumexp(tanh(U @ x))\nhessian F wrt U as R"
    module = bc.compile(source, backend=backend, max_memory=1000)
    arrays = _arrays(source, {"n": 4})
    found = module.R(**arrays)
    terms = " + ".join(type(term).__name__ for term in getattr(found, "terms", [found]))
    said = f"R: U of shape (4, 4, 4, 4) would take 2,048 bytes, more than max_memory = 1000; as {terms} it takes {found.nbytes:,}"
    for call in (module.R, module.R.bind):
        with pytest.raises(bc.ArgumentError, match=re.escape(said) + ": dense=False returns that"):
            call(**arrays, dense=True)


def test_a_dense_derivative_of_known_size_beyond_the_limit_is_refused_at_its_place() -> None:
    source = "input A : 3, 100000\nparam w : 100000\nF = logsumexp(A @ w)\nhessian F wrt w"
    with pytest.raises(bc.LimitError) as caught:
        bc.compile(source, backend="numpy")
    text = str(caught.value)
    assert "no structure: of shape (100000, 100000) it would take 80,000,000,000 bytes, more than 17,179,869,184" in text
    assert ":4:" in text and "jvp, vjp or hvp" in text and "max_memory" in text
    module = bc.compile(source.replace("logsumexp(A @ w)", "sum(tanh(w))"), backend="numpy")
    assert module.SIGNATURE["functions"]["hessian_F_w"]["results"]["w"]["structure"] == ("diagonal",)
    with pytest.raises(bc.ArgumentError, match="as Diagonal it takes 800,000: dense=False returns that"):
        module.hessian_F_w(np.ones((3, 100000)), np.ones(100000), dense=True)


# ------------------------------------------------------------------------------------------------ symmetric arrays
SYMMETRIC = """dim m ~ 200, n ~ 100
input X : m, n
input y : m
param w : n
J = softplus(-y ⊙ (X @ w)) · 𝟏 + (w · w)**2
hessian J wrt w as H
"""


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
def test_half_of_a_symmetric_product_is_computed_and_the_rest_reflected(threads: int) -> None:
    """Sizes below, at and above the width of a strip; every number is the same for one thread and for two."""
    module = bc.compile(SYMMETRIC, backend="c", threads=threads)
    one, reference = bc.compile(SYMMETRIC, backend="c"), bc.compile(SYMMETRIC, backend="numpy")
    assert module.SIGNATURE["functions"]["H"]["results"]["w"] == {
        "shape": ("n", "n"), "dtype": "float64", "structure": (), "symmetric": True
    }  # fmt: skip
    rng = np.random.default_rng(0)
    for samples, size in ((3, 2), (40, 127), (50, 128), (300, 129), (64, 300), (200, 513)):
        X, y, w = rng.normal(size=(samples, size)), np.sign(rng.normal(size=samples)), 0.1 * rng.normal(size=size)
        found = module.H(X, y, w)
        np.testing.assert_allclose(found, reference.H(X, y, w), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found, found.T, rtol=1e-12, atol=1e-12)
        assert np.array_equal(found, one.H(X, y, w))


def test_a_product_is_marked_symmetric_where_one_factor_has_the_rows_and_the_other_the_columns() -> None:
    def marked(source: str) -> list[bool]:
        steps = compiler.stages(bc.parse(source), Options()).plan.schedule("H").steps
        return [step.symmetric for step in steps if isinstance(step, Contract) and step.stores[-1].target.rank == 2]

    assert marked(SYMMETRIC).count(True) == 1
    assert marked(SYMMETRIC.replace(" ~ 200", "").replace(" ~ 100", "")).count(True) == 1  # no blocks of samples either
    assert not any(marked("dim m, n\ninput X : m, n\nparam w : n\ng = tanh(X^T @ (X @ w))\njacobian g wrt w as H"))
