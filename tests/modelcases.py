"""The models of models/ with small sizes, arrays to run them on, and one way to call every stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc import compiler
from bracketc.ir.program import Program
from bracketc.options import Options, read_options
from bracketc.runtime.toolchain import find_toolchain

Array = np.ndarray[Any, Any]
ROOT = Path(__file__).resolve().parent.parent
MODELS = {path.stem: path for path in sorted((ROOT / "models").glob("*.brk"))}

FREE_SIZES = (3, 5, 4, 7, 2, 6)
"""Pairwise different, so that a transposed operand cannot hide."""


def no_compiler() -> str:
    """Why C cannot be compiled here, in one line; empty where it can."""
    try:
        find_toolchain(read_options({}))
    except bc.ToolchainError as error:
        return error.diagnostics[0].message
    return ""


NO_COMPILER = no_compiler()
needs_compiler = pytest.mark.skipif(bool(NO_COMPILER), reason=NO_COMPILER)
BACKENDS = ["numpy", pytest.param("c", marks=needs_compiler)]


def stages_of(program: Program) -> compiler.Stages:
    return compiler.stages(program, Options(verify=True))


def sizes_of(program: Program) -> dict[str, int]:
    """A number for every size: the bound one, else one of its own."""
    free = iter(FREE_SIZES)
    return {spec.name: spec.value if spec.value is not None else next(free) for spec in program.sizes}


def arrays_of(program: Program, seed: int = 0) -> dict[str, Array]:
    """Arguments that respect the traits of a program, of moderate size."""
    rng = np.random.default_rng(seed)
    sizes = sizes_of(program)
    arrays: dict[str, Array] = {}
    for name, spec in program.inputs.items():
        shape = tuple(extent.evaluate(sizes) for extent in spec.shape)
        value = np.asarray(rng.normal(size=shape))
        if spec.kind == "param" and len(shape) == 2:
            value = value / np.sqrt(shape[0])
        if "onehot rows" in spec.traits:
            value = np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]
        arrays[name] = value
    return arrays


def criterion(numeric: Array, derived: Array) -> float:
    """sqrt(Σ(dh - df)² / Σ(dh + df)²), where 0/0 is 0 (*Mathematics for Machine Learning*, 5.2)."""
    difference, total = np.sum((numeric - derived) ** 2), np.sum((numeric + derived) ** 2)
    return float(np.sqrt(difference / total)) if total else float(difference != 0)


def central_differences(function: Callable[[], float], array: Array, step: float = 1e-5) -> Array:
    """Derivatives of ``function``, which reads ``array``, by every entry of it."""
    found = np.zeros(array.shape)
    for position in np.ndindex(array.shape):
        value = array[position]
        array[position] = value + step
        above = function()
        array[position] = value - step
        below = function()
        array[position] = value
        found[position] = (above - below) / (2 * step)
    return found


class Modules:
    """Compiled modules, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, str], ModuleType] = {}

    def get(self, model: str, backend: str, dtype: str = "float64") -> ModuleType:
        key = (model, backend, dtype)
        if key not in self._made:
            self._made[key] = bc.compile(bc.load(MODELS[model]), backend=backend, dtype=dtype)
        return self._made[key]
