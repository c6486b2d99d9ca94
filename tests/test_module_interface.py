"""The functions of a module: arguments, results, errors, bound calls, as the interface page promises them."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc.emit.names import python_names

SOURCE = """\
dim N, D, H
dim K = 2
input X : N, D
input Y : N, K
param W : D, H
param b : H
param V : H, K
A = tanh(X @ W + 𝟏 b) @ V
J = 0.5 norm2(A - Y)
output J, A
gradient J wrt W, b, V
jacobian A wrt b
jvp A wrt W
vjp A wrt V
hvp J wrt b
"""

BACKENDS = ("numpy", "c")


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "c":
        try:
            bc.compile("dim N\ninput x : N\nJ = x · x", backend="c")
        except bc.ToolchainError as error:
            pytest.skip(str(error))
    return str(request.param)


@pytest.fixture(scope="module")
def module(backend: str) -> ModuleType:
    return bc.compile(SOURCE, backend=backend, dtype="float64")


def draw(dtype: str = "float64", n: int = 5, d: int = 4, h: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = {"X": (n, d), "Y": (n, 2), "W": (d, h), "b": (h,), "V": (h, 2)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def reference(X: Any, Y: Any, W: Any, b: Any, V: Any) -> tuple[float, dict[str, np.ndarray]]:
    Z = np.tanh(X @ W + b)
    E = Z @ V - Y
    G = (E @ V.T) * (1 - Z * Z)
    return 0.5 * float((E * E).sum()), {"W": X.T @ G, "b": G.sum(0), "V": Z.T @ E}


# ------------------------------------------------------------------------------------------------- results
def test_value_and_gradients_are_those_of_the_formula(module: ModuleType) -> None:
    arrays = draw()
    value, gradients = reference(**arrays)
    result = module.value_and_grad(**arrays)
    assert isinstance(result.value, np.float64) and abs(result.value - value) < 1e-12
    assert result.gradients._fields == ("W", "b", "V")
    for name, expected in gradients.items():
        np.testing.assert_allclose(getattr(result.gradients, name), expected, atol=1e-12)


def test_results_are_named_tuples_that_unpack(module: ModuleType) -> None:
    outputs = module.evaluate(**draw())
    assert outputs._fields == ("J", "A") and outputs.A.shape == (5, 2)
    value, (dW, db, dV) = module.value_and_grad(**draw())
    assert value == outputs.J and dW.shape == (4, 3) and db.shape == (3,) and dV.shape == (3, 2)


def test_forward_and_backward_give_the_gradients_of_value_and_grad(module: ModuleType) -> None:
    outputs, residuals = module.forward(**draw())
    assert outputs.J == module.evaluate(**draw()).J
    expected = module.value_and_grad(**draw()).gradients
    for found in (module.backward(residuals), module.backward(residuals, J=1.0), module.backward(residuals, 1.0)):
        for array, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(array, other, rtol=1e-12, atol=1e-12)


def test_cotangents_that_are_left_out_count_as_zero(module: ModuleType) -> None:
    arrays = draw()
    residuals = module.forward(**arrays)[1]
    bar = np.ones((5, 2))
    np.testing.assert_allclose(module.backward(residuals, A=bar).V, module.vjp_A_V(**arrays, bar_A=bar), atol=1e-12)
    both = module.backward(residuals, J=2.0, A=bar)
    np.testing.assert_allclose(both.V, 2 * module.backward(residuals).V + module.backward(residuals, A=bar).V)


def test_backward_runs_from_several_threads(module: ModuleType) -> None:
    residuals = module.forward(**draw())[1]
    expected = module.backward(residuals)
    wrong: list[int] = []

    def run(number: int) -> None:
        for _ in range(50):
            found = module.backward(residuals)
            if not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_residuals_refer_to_the_inputs(module: ModuleType) -> None:
    arrays = draw()
    residuals = module.forward(**arrays)[1]
    before = module.backward(residuals).W
    arrays["X"] *= 2
    np.testing.assert_allclose(module.backward(residuals).W, 2 * before)


def test_other_requests_are_functions_of_their_own(module: ModuleType) -> None:
    arrays = draw()
    assert module.jacobian_A_b(**arrays).shape == (5, 2, 3)
    d_W = np.ones((4, 3))
    step = 1e-6
    moved = {**arrays, "W": arrays["W"] + step * d_W}
    back = {**arrays, "W": arrays["W"] - step * d_W}
    numeric = (module.evaluate(**moved).A - module.evaluate(**back).A) / (2 * step)
    np.testing.assert_allclose(module.jvp_A_W(**arrays, d_W=d_W), numeric, atol=1e-8)
    assert module.hvp_J_b(**arrays, d_b=np.ones(3)).shape == (3,)


def test_arguments_by_position_and_by_name_are_the_same(module: ModuleType) -> None:
    arrays = draw()
    X, Y, W, b, V = arrays.values()
    assert module.evaluate(X, Y, W, b, V).J == module.evaluate(V=V, b=b, W=W, Y=Y, X=X).J
    with pytest.raises(TypeError, match="'V'"):
        module.evaluate(X, Y, W, b)


# ------------------------------------------------------------------------------------------------- layouts and types
def test_any_layout_gives_the_answer_of_its_copy(module: ModuleType) -> None:
    arrays = draw()
    expected = module.value_and_grad(**arrays)
    buffer = np.zeros(arrays["X"].nbytes + 1, np.uint8)
    misaligned = buffer[1:].view(np.float64).reshape(5, 4)
    misaligned[...] = arrays["X"]
    read_only = arrays["X"].copy()
    read_only.flags.writeable = False
    reversed_rows = arrays["X"][::-1].copy()[::-1]
    wide = np.zeros((5, 8))
    wide[:, ::2] = arrays["X"]
    for X in (np.asfortranarray(arrays["X"]), reversed_rows, wide[:, ::2], read_only, misaligned, arrays["X"].tolist()):
        found = module.value_and_grad(**{**arrays, "X": X})
        assert found.value == expected.value
        np.testing.assert_array_equal(found.gradients.W, expected.gradients.W)


def test_other_real_types_are_converted(module: ModuleType) -> None:
    arrays = draw()
    whole = {**arrays, "X": np.arange(20).reshape(5, 4)}
    assert module.evaluate(**whole).J == module.evaluate(**{**whole, "X": whole["X"].astype(float)}).J
    swapped = arrays["X"].astype(arrays["X"].dtype.newbyteorder())
    assert module.evaluate(**{**arrays, "X": swapped}).J == module.evaluate(**arrays).J


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((5, 4), complex),
        np.full((5, 4), None),
        [["a"] * 4] * 5,
        np.ma.masked_array(np.zeros((5, 4)), mask=True),
    ],
    ids=["complex", "objects", "text", "masked"],
)
def test_entries_that_are_no_real_numbers_are_refused(module: ModuleType, value: Any) -> None:
    with pytest.raises(bc.ArgumentError, match="X"):
        module.evaluate(**{**draw(), "X": value})


def test_strict_refuses_what_would_be_copied(module: ModuleType) -> None:
    arrays = draw()
    module.evaluate(**arrays, strict=True)
    for X in (arrays["X"].astype("float32"), np.asfortranarray(arrays["X"])):
        with pytest.raises(bc.ArgumentError, match="strict"):
            module.evaluate(**{**arrays, "X": X}, strict=True)


def test_single_precision_stays_single(backend: str) -> None:
    module = bc.compile(SOURCE, backend=backend, dtype="float32")
    result = module.value_and_grad(**draw("float32"))
    assert result.value.dtype == np.float32
    assert {array.dtype for array in result.gradients} == {np.dtype(np.float32)}
    assert abs(result.value - reference(**draw())[0]) < 1e-4
    assert module.evaluate(**draw("float64")).A.dtype == np.float32


@pytest.mark.parametrize("sizes", [{"n": 0}, {"d": 0}, {"h": 0}], ids=str)
def test_arrays_without_entries_are_fine(module: ModuleType, sizes: dict[str, int]) -> None:
    arrays = draw("float64", **sizes)
    value, gradients = reference(**arrays)
    result = module.value_and_grad(**arrays)
    assert abs(result.value - value) < 1e-12
    for name, expected in gradients.items():
        np.testing.assert_allclose(getattr(result.gradients, name), expected, atol=1e-12)


def test_a_mean_over_nothing_is_no_exception(backend: str) -> None:
    module = bc.compile("dim N\ninput x : N\nJ = (1/N) (x · x)\ngradient J wrt x", backend=backend)
    assert np.isnan(module.value_and_grad(np.zeros(0)).value)


def test_a_missing_number_is_never_lost(module: ModuleType) -> None:
    arrays = draw()
    arrays["X"][0, 0] = np.nan
    result = module.value_and_grad(**arrays)
    assert np.isnan(result.value) and np.isnan(result.gradients.W).all()


# ------------------------------------------------------------------------------------------------- shapes
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("W", (5, 3), "index D: 4 in X, 5 in W"),
        ("b", (4,), "index H: 3 in W, 4 in b"),
        ("Y", (6, 2), "index N: 5 in X, 6 in Y"),
        ("Y", (5, 3), "axis 2 of Y: 2 declared, 3 found"),
        ("X", (5,), "X: an array with 1 axes"),
        ("V", (3, 2, 1), "V: an array with 3 axes"),
    ],
)
def test_a_wrong_shape_names_the_index_and_both_sizes(
    module: ModuleType, name: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(bc.ArgumentError) as caught:
        module.value_and_grad(**{**draw(), name: np.zeros(shape)})
    assert message in str(caught.value)
    assert {ValueError, bc.BracketError} <= set(caught.type.__mro__)


def test_sizes_are_solved_from_expressions(backend: str) -> None:
    source = "dim h, N\ninput X : N, 4 h\ninput s : h\nJ = X · X + s · s"
    module = bc.compile(source, backend=backend)
    assert module.evaluate(np.ones((2, 8)), np.ones(2)).J == 18
    with pytest.raises(bc.ArgumentError, match="4 h"):
        module.evaluate(np.ones((2, 7)), np.ones(2))
    with pytest.raises(bc.ArgumentError, match=r"index 4 h: 12 \(h = 3 in s\), 8 in X"):
        module.evaluate(np.ones((2, 8)), np.ones(3))


def test_sizes_that_are_bound_are_checked(backend: str) -> None:
    module = bc.compile(SOURCE, backend=backend, sizes={"N": 5})
    assert module.SIGNATURE["dims"] == {"N": 5, "D": None, "H": None, "K": 2}
    module.evaluate(**draw(n=5))
    with pytest.raises(bc.ArgumentError, match="axis 1 of X: 5 declared, 6 found"):
        module.evaluate(**draw(n=6))
    with pytest.raises(bc.SourceError, match="no size M"):
        bc.compile(SOURCE, backend=backend, sizes={"M": 3})
    with pytest.raises(bc.SourceError, match="K is 2"):
        bc.compile(SOURCE, backend=backend, sizes={"K": 3})


# ------------------------------------------------------------------------------------------------- out=
def test_out_is_filled_and_returned(module: ModuleType) -> None:
    expected = module.value_and_grad(**draw())
    given = (np.empty(()), tuple(np.empty_like(a) for a in expected.gradients))
    result = module.value_and_grad(**draw(), out=given)
    assert result.gradients.W is given[1][0] and given[0] == expected.value
    np.testing.assert_array_equal(given[1][0], expected.gradients.W)


def test_out_may_be_a_mapping_that_leaves_results_out(module: ModuleType) -> None:
    dW, db, A = np.empty((4, 3)), np.empty(3), np.empty((5, 2))
    assert module.value_and_grad(**draw(), out={"W": dW}).gradients.W is dW
    assert module.value_and_grad(**draw(), out={"gradients": {"b": db}}).gradients.b is db
    assert module.evaluate(**draw(), out={"A": A}).A is A
    jacobian = np.empty((5, 2, 3))
    assert module.jacobian_A_b(**draw(), out=jacobian) is jacobian


def test_out_must_fit_exactly(module: ModuleType) -> None:
    for array in (np.empty((5, 2), "float32"), np.empty((5, 3)), np.empty((2, 5)).T):
        with pytest.raises(bc.ArgumentError, match="out"):
            module.evaluate(**draw(), out={"A": array})
    read_only = np.empty((5, 2))
    read_only.flags.writeable = False
    with pytest.raises(bc.ArgumentError, match="read-only"):
        module.evaluate(**draw(), out={"A": read_only})
    with pytest.raises(bc.ArgumentError, match="'B'"):
        module.evaluate(**draw(), out={"B": read_only})
    with pytest.raises(bc.ArgumentError, match="tuple or a mapping"):
        module.evaluate(**draw(), out=(read_only,))


def test_out_that_overlaps_is_refused(module: ModuleType) -> None:
    arrays = draw(h=2)
    with pytest.raises(bc.ArgumentError, match="shares memory with an input"):
        module.evaluate(**arrays, out={"A": arrays["Y"]})
    memory = np.empty(12)
    with pytest.raises(bc.ArgumentError, match="shares memory with another"):
        module.value_and_grad(**arrays, out={"W": memory[:8].reshape(4, 2), "V": memory[4:8].reshape(2, 2)})
    strided = np.zeros((5, 4, 2))
    with pytest.raises(bc.ArgumentError, match="shares memory"):
        module.evaluate(**{**arrays, "X": strided[..., 0]}, out={"A": strided.reshape(-1)[:10].reshape(5, 2)})


def test_inputs_are_never_written_and_results_never_share_with_them(backend: str) -> None:
    module = bc.compile("dim N\ninput x : N\ninput s : scalar\ny = x\nz = s\noutput y, z", backend=backend)
    x, s = np.arange(3.0), np.array(2.0)
    y, z = module.evaluate(x, s)
    assert not np.shares_memory(x, y) and z == 2
    y += 1
    np.testing.assert_array_equal(x, [0, 1, 2])


# ------------------------------------------------------------------------------------------------- bound calls
def test_a_bound_call_sees_new_values_and_fills_the_same_results(module: ModuleType) -> None:
    arrays = draw()
    bound = module.value_and_grad.bind(**arrays)
    first = bound()
    value, dW = float(first.value), first.gradients.W
    assert value == module.value_and_grad(**arrays).value
    arrays["W"] *= 0.5
    second = bound()
    assert second.gradients.W is dW and first.value == value
    np.testing.assert_array_equal(dW, module.value_and_grad(**arrays).gradients.W)


def test_every_function_can_be_bound(module: ModuleType) -> None:
    arrays = draw()
    outputs, residuals = module.forward.bind(**arrays)()
    assert outputs.J == module.evaluate.bind(**arrays)().J
    np.testing.assert_array_equal(module.backward.bind(residuals)().W, module.backward(residuals).W)
    bound = module.jacobian_A_b.bind(**arrays)
    np.testing.assert_array_equal(bound(), module.jacobian_A_b(**arrays))
    dW = np.empty((4, 3))
    assert module.value_and_grad.bind(**arrays, out={"W": dW})().gradients.W is dW


def test_a_bound_call_keeps_its_arrays_alive(module: ModuleType) -> None:
    bound = module.value_and_grad.bind(**draw())
    noise = [np.full((5, 4), np.nan) for _ in range(100)]
    assert bound().value == module.value_and_grad(**draw()).value and len(noise) == 100


def test_backward_takes_residuals_of_its_own_module_only(module: ModuleType) -> None:
    with pytest.raises(bc.ArgumentError, match="residuals"):
        module.backward(object())


# ------------------------------------------------------------------------------------------------- what a module says
def test_the_signature_describes_the_module(module: ModuleType, backend: str) -> None:
    signature = module.SIGNATURE
    assert signature["backend"] == backend and signature["dtype"] == "float64"
    assert signature["dims"] == {"N": None, "D": None, "H": None, "K": 2}
    assert signature["inputs"]["W"] == {"shape": ("D", "H"), "kind": "param", "dtype": "float64", "traits": ()}
    assert signature["outputs"]["A"]["shape"] == ("N", "2")
    assert [request["kind"] for request in signature["requests"]] == ["gradient", "jacobian", "jvp", "vjp", "hvp"]
    assert signature["bracketc"] == bc.__version__ and len(signature["source_hash"]) == 64
    count = signature["count"]("value_and_grad", N=10, D=4, H=3)
    assert count["flops"] >= 6 * 10 * 4 * 3 and count["bytes"] > 0


def test_names_that_python_reserves_get_an_underscore(backend: str) -> None:
    source = "dim N\ninput lambda : N\nparam out : N\nw' = lambda ⊙ out\nJ = w' · w'\noutput J, w'\ngradient J wrt out"
    module = bc.compile(source, backend=backend)
    outputs = module.evaluate(lambda_=np.ones(2), out_=np.full(2, 3.0))
    assert outputs.w_prime.tolist() == [3, 3]
    assert module.value_and_grad(np.ones(2), np.full(2, 3.0)).gradients.out_.tolist() == [6, 6]


def test_a_function_of_many_arguments_that_its_result_does_not_need(backend: str) -> None:
    names = [f"argument{k}" for k in range(12)]
    text = "".join(f"param {name} : 3\n" for name in names) + f"F = {' ⊙ '.join(names[1:])}\nvjp F wrt {names[0]} as slope\n"
    module = bc.compile(text, backend=backend)
    arrays = {name: np.ones(3) for name in names}
    assert (module.slope(**arrays, bar_F=np.ones(3)) == 0).all()
    assert (module.slope.bind(**arrays, bar_F=np.ones(3))() == 0).all()


def test_names_that_become_one_are_an_error() -> None:
    with pytest.raises(bc.SourceError, match="both called 'w_prime'"):
        python_names(["w'", "w′"])


def test_names_that_differ_by_case_or_accent_are_different(backend: str) -> None:
    module = bc.compile("dim N\ninput a : N\ninput A : N\ninput á : N\nJ = a · A + á · a", backend=backend)
    assert module.evaluate(a=np.ones(2), A=np.full(2, 2.0), á=np.full(2, 5.0)).J == 14


def test_integer_inputs_take_integers_in_their_range(backend: str) -> None:
    source = "dim N, C, D\ninput c : N integer in C\nparam E : C, D\nR = E[c]\nJ = R · R\noutput J\ngradient J wrt E"
    try:
        module = bc.compile(source, backend=backend)
    except bc.UnsupportedError as error:
        pytest.skip(str(error))
    E = np.arange(6.0).reshape(3, 2)
    assert module.evaluate(np.array([0, 2, 2]), E).J == 1 + 2 * 41
    assert module.evaluate(np.array([0, 2, 2], np.int8), E).J == 1 + 2 * 41
    with pytest.raises(bc.ArgumentError, match="c"):
        module.evaluate(np.array([0.0, 2.0]), E)
    with pytest.raises(bc.ArgumentError):
        module.evaluate(np.array([0, 3]), E)


# ------------------------------------------------------------------------------------------------- on disk
RUN_ALONE = """\
import sys, numpy as np
sys.modules["bracketc"] = None
sys.path.insert(0, sys.argv[1])
import mlp
arrays = dict(X=np.ones((2, 3)), Y=np.ones((2, 2)), W=np.ones((3, 4)), b=np.ones(4), V=np.ones((4, 2)))
print(mlp.value_and_grad(**arrays).value)
try:
    mlp.evaluate(**{**arrays, "b": np.ones(5)})
except mlp.ArgumentError as error:
    assert isinstance(error, ValueError)
    print(error)
"""


def test_a_generated_module_runs_without_bracketc(backend: str, tmp_path: Path) -> None:
    built = bc.build(SOURCE, tmp_path, backend=backend, dtype="float64", name="mlp")
    assert {path.name for path in built.files} >= {"mlp.py", "mlp.pyi"}
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALONE, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    value, error = done.stdout.splitlines()
    arrays = {"X": np.ones((2, 3)), "Y": np.ones((2, 2)), "W": np.ones((3, 4)), "b": np.ones(4), "V": np.ones((4, 2))}
    assert abs(float(value.split("(")[-1].rstrip(")")) - reference(**arrays)[0]) < 1e-9
    assert error == "index H: 4 in W, 5 in b"


def test_the_stub_declares_every_function(module: ModuleType, backend: str, tmp_path: Path) -> None:
    bc.build(SOURCE, tmp_path, backend=backend, name="mlp", compile=False)
    tree = ast.parse((tmp_path / "mlp.pyi").read_text(encoding="utf-8"))
    targets = [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    declared = {target.id for target in targets if isinstance(target, ast.Name)}
    assert {name for name in module.__all__ if hasattr(getattr(module, name), "bind")} <= declared


def test_docstrings_show_shapes_and_types(module: ModuleType) -> None:
    assert "W: float64 array of shape (D, H)" in module.value_and_grad.__doc__
    assert "J = 0.5 norm2(A - Y)" in (module.__doc__ or "")
