"""Calls from Python: arrays that need no conversion go to C at once, all others the long way, and both end alike."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS, needs_compiler

import bracketc as bc

SOURCE = """
dim N, D
input X : N, D
input Y : N
param w : D
param c : scalar
r[n] = X_nd w_d - Y_n + c
J = sum[n](r_n**2)
gradient J wrt w, c
jacobian r wrt w as jr
gradient J wrt w as onlyw
"""

Array = np.ndarray[Any, Any]


def given(rows: int = 5, columns: int = 3) -> list[Array]:
    rng = np.random.default_rng(rows)
    return [rng.normal(size=(rows, columns)), rng.normal(size=rows), rng.normal(size=columns), np.array(0.5)]


def flat(answer: Any) -> bytes:
    parts = answer if isinstance(answer, tuple) else (answer,)
    return b"".join(flat(part) if isinstance(part, tuple) else np.asarray(part).tobytes() for part in parts)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return bc.compile(SOURCE)


@pytest.fixture
def long_way(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the functions that went the long way."""
    seen: list[str] = []
    for name in ("evaluate", "forward", "backward", "value_and_grad", "jr", "onlyw"):
        checked = getattr(module, f"_{name}_checked")

        def spy(*args: Any, name: str = name, checked: Callable[..., Any] = checked) -> Any:
            seen.append(name)
            return checked(*args)

        monkeypatch.setattr(module, f"_{name}_checked", spy)
    return seen


@needs_compiler
def test_arrays_that_need_no_conversion_go_to_c_at_once(module: ModuleType, long_way: list[str]) -> None:
    arrays = given()
    arrays[0].flags.writeable = False
    whole = module.value_and_grad(*arrays)
    module.evaluate(*arrays, strict=True)
    module.value_and_grad(X=arrays[0], Y=arrays[1], w=arrays[2], c=arrays[3])
    outputs, residuals = module.forward(*arrays)
    assert flat(module.backward(residuals)) == flat(module.backward(residuals, np.array(1.0))) == flat(whole.gradients)
    assert flat(module.jr(*arrays)) == arrays[0].tobytes()
    assert not long_way
    assert flat(outputs) == flat(module.evaluate(*arrays))


@needs_compiler
def test_results_of_the_caller_go_to_c_at_once(module: ModuleType, long_way: list[str]) -> None:
    arrays = given()
    wanted = flat(module.value_and_grad(*arrays))
    out = (np.empty(()), (np.empty(3), np.empty(())))
    found = module.value_and_grad(*arrays, out=out)
    assert found.gradients.w is out[1][0] and flat(found) == wanted
    earlier = module.onlyw(*arrays)
    assert module.onlyw(*arrays, out=earlier._replace(value=np.empty(()))).gradients.w is earlier.gradients.w
    single = np.empty((5, 3))
    assert module.jr(*arrays, out=single) is single
    module.evaluate(*arrays, out=(np.empty(()), np.empty(5)))
    assert not long_way


MISFITS: dict[str, Callable[[list[Array]], list[Any]]] = {
    "a list": lambda a: [a[0].tolist(), *a[1:]],
    "a number": lambda a: [*a[:3], 0.5],
    "another type": lambda a: [a[0].astype(np.float32), *a[1:]],
    "integers": lambda a: [np.ones((5, 3), int), *a[1:]],
    "another byte order": lambda a: [a[0].astype(">f8"), *a[1:]],
    "Fortran order": lambda a: [np.asfortranarray(a[0]), *a[1:]],
    "strides": lambda a: [a[0], np.repeat(a[1], 2)[::2], *a[2:]],
    "a misaligned array": lambda a: [np.frombuffer(b"x" + a[0].tobytes(), np.uint8)[1:].view(float).reshape(5, 3), *a[1:]],
    "a subclass": lambda a: [a[0].view(np.recarray), *a[1:]],
}


@needs_compiler
@pytest.mark.parametrize("what", MISFITS)
def test_other_arrays_go_the_long_way_and_give_the_same(module: ModuleType, long_way: list[str], what: str) -> None:
    arrays = MISFITS[what](given())
    plain = [np.array(array, float, order="C", subok=False) for array in arrays]
    assert flat(module.value_and_grad(*arrays)) == flat(module.value_and_grad(*plain))
    assert long_way == ["value_and_grad"]


def wrong(number: int, array: Any) -> Callable[[], dict[str, Any]]:
    return lambda: dict(zip("XYwc", [*given()[:number], array, *given()[number + 1 :]], strict=True))


def brought(out: Callable[[dict[str, Any]], Any]) -> Callable[[], dict[str, Any]]:
    def arguments() -> dict[str, Any]:
        arrays = dict(zip("XYwc", given(), strict=True))
        return {**arrays, "out": out(arrays)}

    return arguments


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "axes": (wrong(0, np.ones(5)), "X: an array with 1 axes"),
    "length": (wrong(1, np.ones(4)), "index N: 5 in X, 4 in Y"),
    "columns": (wrong(2, np.ones(7)), "index D: 3 in X, 7 in w"),
    "scalar": (wrong(3, np.ones(1)), "c: an array with 1 axes"),
    "complex": (wrong(0, np.ones((5, 3), complex)), "X: cannot use complex128"),
    "object": (wrong(1, object()), "Y: cannot use object"),
    "nothing": (wrong(1, None), "Y: cannot use object"),
    "out of another shape": (brought(lambda a: (np.empty(()), (np.empty(4), np.empty(())))), "w needs an aligned float64"),
    "out of another type": (brought(lambda a: (np.empty(()), (np.empty(3, "f4"), np.empty(())))), "w needs an aligned float64"),
    "a row as out": (brought(lambda a: np.empty((2, 3))), "out must be a tuple or a mapping"),
    "rows inside of out": (brought(lambda a: (np.empty(()), np.empty((2, 3)))), "out must be a tuple or a mapping"),
    "too few": (brought(lambda a: (np.empty(()),)), "out must be a tuple or a mapping"),
    "a number as out": (brought(lambda a: 3), "out must be a tuple or a mapping"),
    "an argument as out": (brought(lambda a: (np.empty(()), (a["w"], np.empty(())))), "shares memory with an input"),
    "a part of one": (brought(lambda a: (a["X"][0, 1:2].reshape(()), (np.empty(3), np.empty(())))), "shares memory with an input"),
    "the same twice": (brought(lambda a: (lambda x: (x, (np.empty(3), x)))(np.empty(()))), "shares memory with another one"),
    "read-only": (brought(lambda a: (np.empty(()), (np.frombuffer(bytes(24)), np.empty(())))), "w is read-only"),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_in_the_same_words(backend: str, what: str) -> None:
    arguments, message = REFUSED[what]
    with pytest.raises(bc.ArgumentError, match=message) as caught:
        bc.compile(SOURCE, backend=backend).value_and_grad(**arguments())
    assert caught.value.__context__ is None


def test_residuals_of_another_module_are_refused(module: ModuleType) -> None:
    _, residuals = bc.compile(SOURCE, dtype="float32").forward(*given())
    with pytest.raises(bc.ArgumentError, match="residuals must be what forward of this module returned"):
        module.backward(residuals)


def test_results_side_by_side_do_not_overlap(module: ModuleType, long_way: list[str]) -> None:
    whole = np.empty(5)
    module.value_and_grad(*given(), out=(whole[0:1].reshape(()), (whole[1:4], whole[4:5].reshape(()))))
    assert not long_way and flat(module.value_and_grad(*given())) == whole.tobytes()


@pytest.mark.parametrize("rows", [0, 1])
def test_batches_without_entries_or_of_one(module: ModuleType, rows: int) -> None:
    arrays = given(rows)
    out = (np.empty(()), (np.empty(3), np.empty(())))
    assert flat(module.value_and_grad(*arrays, out=out)) == flat(module.value_and_grad(*arrays))


NAMES = ("status", "saved", "fields", "gradients", "results", "bound", "given", "made", "brought", "arrays", "id", "inner")


@pytest.mark.parametrize("backend", BACKENDS)
def test_arguments_may_be_called_like_variables_of_the_wrapper(backend: str) -> None:
    terms = " + ".join(f"{k + 1} {name} · {name}" for k, name in enumerate(NAMES))
    declared = "\n".join(f"param {name} : N" for name in NAMES)
    source = f"dim N\n{declared}\nJ = exp({terms})\ngradient J wrt {', '.join(NAMES)}"
    named = bc.compile(source, backend=backend)
    arrays = [np.full(2, 0.01 * k) for k in range(len(NAMES))]
    value = np.exp(sum((k + 1) * array @ array for k, array in enumerate(arrays)))
    wanted = [2 * value * (k + 1) * array for k, array in enumerate(arrays)]
    out = (np.empty(()), tuple(np.empty(2) for _ in NAMES))
    _, residuals = named.forward(*arrays)
    for gradients in (
        named.value_and_grad(*arrays).gradients,
        named.value_and_grad(*arrays, out=out).gradients,
        named.value_and_grad(*[array.tolist() for array in arrays], out=list(out)).gradients,
        named.value_and_grad.bind(*arrays)().gradients,
        named.backward(residuals),
    ):
        np.testing.assert_allclose(gradients, wanted)
