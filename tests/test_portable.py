"""One C text for every instruction set: portable builds, each level forced, and each compiler and level alone."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ckernels import COMPILER

import bracketc as bc
from bracketc.options import Options
from bracketc.runtime.extension import import_file
from bracketc.runtime.toolchain import build_levels, compile_flags, level_flags
from bracketc.target import (
    GENERIC128,
    LEVELS,
    X86_64_V3,
    X86_LEVELS,
    Target,
    host_features,
    portable_levels,
    supported_levels,
)

Array = np.ndarray[Any, Any]
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")

MODEL = """
dim N ~ 9, D ~ 21, K ~ 7
input X : N, D
input Y : N, K
param W : D, K
J = -(1/N) (ln(softmax^1(tanh(X @ W))) · Y)
gradient J wrt W
"""
SIZES = {"N": 9, "D": 21, "K": 7}


def arguments(dtype: str) -> Sequence[Array]:
    """X, Y and W."""
    random = np.random.default_rng(7)
    labels = np.eye(SIZES["K"])[random.integers(0, SIZES["K"], SIZES["N"])]
    weights = random.standard_normal((SIZES["D"], SIZES["K"])) / 4
    return [a.astype(dtype) for a in (random.standard_normal((SIZES["N"], SIZES["D"])), labels, weights)]


def answers(module: ModuleType, dtype: str) -> tuple[Array, Array, Array]:
    """The value, its gradient, and the gradient from residuals."""
    given = arguments(dtype)
    value, gradients = module.value_and_grad(*given)
    outputs, saved = module.forward(*given)
    assert abs(outputs.J - value) <= 1e-5 * abs(value)
    return np.asarray(value), gradients.W, module.backward(saved).W


def assert_right(module: ModuleType, dtype: str = "float32") -> None:
    """The module computes what the NumPy backend computes in float64."""
    expected = answers(bc.compile(MODEL, backend="numpy"), "float64")
    for found, wanted in zip(answers(module, dtype), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


def level(module: ModuleType, wanted: str | None = None) -> str:
    """The level that a portable module uses, after one is asked for."""
    name = module._ffi.NULL if wanted is None else wanted.encode()
    return str(module._ffi.string(module._lib.model_call_level(name)).decode())


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("portable")
    built = bc.build(MODEL, folder, dtype="float32", march="portable")
    assert {file.name for file in built.files} >= {"model.h", "model.c", "model_dispatch.c", "model.py"}
    assert not [file for file in folder.iterdir() if file.suffix == ".o"]
    return import_file("model", folder / "model.py")


def here() -> list[str]:
    """The levels of portable builds that this machine has."""
    machine = platform.machine()
    supported = supported_levels(host_features(), machine)
    return [target.suffix for target in portable_levels(machine) if target in supported]


@needs_compiler
def test_a_portable_module_starts_at_the_highest_level_of_the_processor(portable: ModuleType) -> None:
    assert level(portable) == here()[-1]


@needs_compiler
@pytest.mark.parametrize("wanted", [target.suffix for target in LEVELS])
def test_each_level_gives_the_same_up_to_rounding_and_itself_to_the_bit(portable: ModuleType, wanted: str) -> None:
    if wanted not in here():
        before = level(portable)
        assert level(portable, wanted) == before
        return
    try:
        assert level(portable, wanted) == wanted
        assert_right(portable)
        first = answers(portable, "float32")
        assert level(portable, here()[0]) == here()[0]
        answers(portable, "float32")
        assert level(portable, wanted) == wanted
        for one, other in zip(first, answers(portable, "float32"), strict=True):
            assert one.tobytes() == other.tobytes()
    finally:
        level(portable, here()[-1])


@needs_compiler
def test_workspace_and_residuals_are_those_of_the_level_alone(portable: ModuleType) -> None:
    """The sizes that a portable module asks for at a level are those of a module that was built for it."""
    lowest = here()[0]
    alone = bc.compile(MODEL, backend="c", dtype="float32", march=lowest)
    try:
        level(portable, lowest)
        assert portable._lib.model_call_residuals(9, 7) == alone._lib.model_call_residuals(9, 7)
        for one, other in zip(answers(portable, "float32"), answers(alone, "float32"), strict=True):
            assert one.tobytes() == other.tobytes()
    finally:
        level(portable, here()[-1])


@needs_compiler
def test_the_generic_level_of_128_bits_is_right() -> None:
    module = bc.compile(MODEL, backend="c", dtype="float32", march="generic128")
    assert_right(module)


@needs_compiler
@pytest.mark.skipif(shutil.which("clang") is None, reason="no clang")
def test_clang_compiles_the_same_text(portable: ModuleType, tmp_path: Path) -> None:
    bc.build(MODEL, tmp_path, dtype="float32", march="portable", cc="clang")
    module = import_file("model", tmp_path / "model.py")
    folder = Path(str(portable.__file__)).parent
    for file in ("model.c", "model.h", "model_dispatch.c"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()
    for wanted in here():
        assert level(module, wanted) == wanted
        assert_right(module)


def test_the_text_of_a_level_does_not_depend_on_the_build(tmp_path: Path) -> None:
    bc.build(MODEL, tmp_path / "portable", march="portable", compile=False)
    bc.build(MODEL, tmp_path / "native", compile=False)
    for file in ("model.c", "model.h"):
        assert (tmp_path / "portable" / file).read_bytes() == (tmp_path / "native" / file).read_bytes()
    assert not (tmp_path / "native" / "model_dispatch.c").exists()
    assert "--march portable" in (tmp_path / "portable" / "model.py").read_text()


def test_a_portable_build_carries_the_levels_of_its_architecture() -> None:
    assert portable_levels("x86_64") == portable_levels("AMD64") == X86_LEVELS
    assert portable_levels("aarch64") == (GENERIC128,)
    assert build_levels(Options(march="native")) == build_levels(Options(march="v3")) == ()
    assert not [flag for flag in compile_flags(Options(march="portable")) if flag.startswith("-march")]


def test_flags_of_a_level_name_it_and_its_functions() -> None:
    flags = level_flags(X86_64_V3, "model")
    assert "-march=x86-64-v3" in flags
    assert "-DMODEL_NAME(name)=v3_model_##name" in flags


@pytest.mark.parametrize("target", X86_LEVELS, ids=lambda target: target.name)
def test_a_level_is_tested_for_what_the_one_below_it_has(target: Target) -> None:
    below = X86_LEVELS[max(X86_LEVELS.index(target) - 1, 1)]
    if target is not X86_LEVELS[0]:
        assert target.dispatch_test.startswith(below.dispatch_test)
