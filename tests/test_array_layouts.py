"""Arrays of any layout at every function of two models: the answer of a plain copy, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS, MODELS, Modules, arrays_of

import bracketc as bc

Array = np.ndarray[Any, Any]

NAMES = ("classifier", "recurrent")
PROGRAMS = {model: bc.load(MODELS[model]) for model in NAMES}
FUNCTIONS = ("evaluate", "forward", "value_and_grad", "backward")

each_model = pytest.mark.parametrize("model", NAMES)
each_backend = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture(scope="module")
def modules() -> Modules:
    return Modules()


# ------------------------------------------------------------------------------------------------ layouts
def strided(array: Array) -> Array:
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan)
    wide[..., ::2] = array
    return wide[..., ::2]


def reversed_(array: Array) -> Array:
    back = tuple(slice(None, None, -1) for _ in array.shape)
    return array[back].copy()[back]


def misaligned(array: Array) -> Array:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def inside(array: Array) -> Array:
    """A block in the middle of a larger array full of NaN."""
    around = np.full(tuple(extent + 2 for extent in array.shape), np.nan)
    block = around[tuple(slice(1, -1) for _ in array.shape)]
    block[...] = array
    return block


def read_only(array: Array) -> Array:
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


def memory_order(array: Array) -> Array:
    """The axes in memory in another order than in the shape."""
    order = np.roll(np.arange(array.ndim), 1)
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


LAYOUTS: dict[str, Callable[[Array], Any]] = {
    "Fortran order": np.asfortranarray,
    "rotated axes": memory_order,
    "every second entry": strided,
    "backwards": reversed_,
    "a block of a larger array": inside,
    "misaligned": misaligned,
    "read-only": read_only,
    "big-endian": lambda array: array.astype(">f8"),
    "longer numbers": lambda array: array.astype(np.longdouble),
    "nested lists": lambda array: array.tolist(),
    "a subclass": lambda array: array.view(type("Own", (np.ndarray,), {})),
}


def results(module: ModuleType, function: str, arrays: dict[str, Any]) -> list[Array]:
    """The results of one function in a row."""
    if function == "value_and_grad":
        value, gradients = module.value_and_grad(**arrays)
        return [value, *gradients]
    if function == "evaluate":
        return list(module.evaluate(**arrays))
    outputs, residuals = module.forward(**arrays)
    return list(outputs) if function == "forward" else list(module.backward(residuals))


@each_backend
@each_model
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_the_answer_of_a_copy(layout: str, model: str, backend: str, modules: Modules) -> None:
    module, plain = modules.get(model, backend), arrays_of(PROGRAMS[model])
    changed = {name: LAYOUTS[layout](array) for name, array in plain.items()}
    before = {name: np.array(array) for name, array in changed.items()}
    for function in FUNCTIONS:
        found, expected = results(module, function, changed), results(module, function, plain)
        for array, reference in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array, reference, err_msg=function)
            assert type(array) in (np.ndarray, np.float64)
            assert not any(np.shares_memory(array, other) for other in changed.values() if isinstance(other, np.ndarray))
    for name, array in changed.items():
        np.testing.assert_array_equal(array, before[name], err_msg=f"{name} was written")


@each_backend
@each_model
def test_a_bound_call_takes_any_layout(model: str, backend: str, modules: Modules) -> None:
    module, plain = modules.get(model, backend), arrays_of(PROGRAMS[model])
    expected = module.value_and_grad(**plain)
    for name, layout in LAYOUTS.items():
        value, gradients = module.value_and_grad.bind(**{key: layout(array) for key, array in plain.items()})()
        assert value == expected.value, name
        for array, reference in zip(gradients, expected.gradients, strict=True):
            np.testing.assert_array_equal(array, reference, err_msg=name)


@each_backend
@each_model
def test_half_precision_is_converted(model: str, backend: str, modules: Modules) -> None:
    module = modules.get(model, backend)
    half = {name: array.astype(np.float16) for name, array in arrays_of(PROGRAMS[model]).items()}
    exact = {name: array.astype(np.float64) for name, array in half.items()}
    for function in FUNCTIONS:
        for array, reference in zip(results(module, function, half), results(module, function, exact), strict=True):
            np.testing.assert_array_equal(array, reference)


@each_backend
@each_model
def test_integers_and_booleans_are_converted(model: str, backend: str, modules: Modules) -> None:
    module, plain = modules.get(model, backend), arrays_of(PROGRAMS[model])
    for dtype in (np.bool_, np.int8, np.uint64, np.dtype(">i4")):
        changed = {**plain, "Y": plain["Y"].astype(dtype)}
        for function in FUNCTIONS:
            for array, reference in zip(results(module, function, changed), results(module, function, plain), strict=True):
                np.testing.assert_array_equal(array, reference)


@each_backend
@each_model
def test_one_array_for_several_arguments(model: str, backend: str, modules: Modules) -> None:
    """Inputs may overlap: nothing is written to them."""
    module, plain = modules.get(model, backend), arrays_of(PROGRAMS[model])
    memory = np.random.default_rng(5).normal(size=1000)
    overlapping = {}
    for start, (name, array) in enumerate(plain.items()):
        overlapping[name] = memory[start : start + array.size].reshape(array.shape)
    copies = {name: array.copy() for name, array in overlapping.items()}
    for function in FUNCTIONS:
        for array, reference in zip(results(module, function, overlapping), results(module, function, copies), strict=True):
            np.testing.assert_array_equal(array, reference)


@each_backend
@each_model
def test_arrays_of_size_zero_and_one(model: str, backend: str, modules: Modules) -> None:
    module, program = modules.get(model, backend), PROGRAMS[model]
    for batch in (0, 1):
        sizes = {spec.name: batch if spec.name == "N" else 3 for spec in program.sizes}
        arrays = {}
        for name, spec in program.inputs.items():
            shape = tuple(extent.evaluate(sizes) for extent in spec.shape)
            arrays[name] = np.random.default_rng(0).normal(size=shape)
        for function in FUNCTIONS:
            expected = results(module, function, arrays)
            for layout in ("Fortran order", "every second entry", "backwards", "misaligned"):
                changed = {name: LAYOUTS[layout](array) for name, array in arrays.items()}
                for array, reference in zip(results(module, function, changed), expected, strict=True):
                    np.testing.assert_array_equal(array, reference, err_msg=f"{function}, {layout}, {batch}")


@each_backend
def test_arrays_without_axes(backend: str) -> None:
    module = bc.compile("param a : scalar\ninput b : scalar\nJ = a**3 b\ngradient J wrt a", backend=backend)
    wide = np.arange(6.0).reshape(2, 3)
    for two in (2, 2.0, np.float32(2), np.array(2), np.array([2.0])[0], wide[0, 2], wide[0, 2, ...], np.array(2, ">f8")):
        value, (slope,) = module.value_and_grad(two, np.array(3))
        assert value == 24 and slope == 36 and np.ndim(slope) == 0


# ------------------------------------------------------------------------------------------------ refusals
@each_backend
@each_model
def test_strict_refuses_what_would_be_copied(model: str, backend: str, modules: Modules) -> None:
    module, plain = modules.get(model, backend), arrays_of(PROGRAMS[model])
    for function in (module.evaluate, module.forward, module.value_and_grad):
        function(**plain, strict=True)
        function(**{name: read_only(array) for name, array in plain.items()}, strict=True)
        for name, layout in LAYOUTS.items():
            changed = {**plain, "X": layout(plain["X"])}
            if name in ("read-only", "a subclass"):
                continue
            with pytest.raises(bc.ArgumentError, match="X: strict=True takes"):
                function(**changed, strict=True)


@each_backend
@each_model
def test_out_must_be_dense_aligned_and_apart(model: str, backend: str, modules: Modules) -> None:
    module, plain = modules.get(model, backend), arrays_of(PROGRAMS[model])
    expected = module.value_and_grad(**plain).gradients
    name, reference = next((n, g) for n, g in expected._asdict().items() if g.ndim == 2)
    for layout in ("Fortran order", "every second entry", "backwards", "misaligned", "read-only", "big-endian"):
        with pytest.raises(bc.ArgumentError, match="out"):
            module.value_and_grad(**plain, out={name: LAYOUTS[layout](reference)})
    inputs = {**plain, name: plain[name].copy()}
    with pytest.raises(bc.ArgumentError, match="shares memory with an input"):
        module.value_and_grad(**inputs, out={name: inputs[name]})
    target = np.full(reference.shape, np.nan)
    assert getattr(module.value_and_grad(**plain, out={name: target}).gradients, name) is target
    np.testing.assert_array_equal(target, reference)
