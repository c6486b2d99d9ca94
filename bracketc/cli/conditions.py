"""The arrays of a data file against the declarations of a program: shapes and traits.

Y : N, K onehot rows     ->   Y  onehot rows  row 3 is no one-hot vector: [0.5, 0.5]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bracketc.errors import ArgumentError, Diagnostic
from bracketc.ir.interpret import infer_sizes
from bracketc.ir.program import Program
from bracketc.ir.traits import violations

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A trait of an argument; ``violation`` says where the data do not have it."""

    argument: str
    trait: str
    violation: str | None

    @property
    def holds(self) -> bool:
        return self.violation is None


def fitting(program: Program, arrays: Mapping[str, Array]) -> tuple[dict[str, int], dict[str, Array]]:
    """The sizes that the data have, and the arguments of ``program`` among them, as float64 and int64."""
    missing = [tensor.name for tensor in program.arguments if tensor.name not in arrays]
    if missing:
        raise ArgumentError([Diagnostic(f"{name} is missing in the data") for name in missing])
    found: dict[str, Array] = {}
    for tensor in program.arguments:
        array = arrays[tensor.name]
        wanted = np.int64 if tensor.dtype == "integer" else np.float64
        if not np.can_cast(array.dtype, wanted, "same_kind"):
            raise ArgumentError([Diagnostic(f"{tensor.name} holds {array.dtype}, declared {tensor.dtype}")])
        found[tensor.name] = np.array(array, wanted, order="C")
    known = {spec.name: spec.value for spec in program.sizes if spec.value is not None}
    try:
        sizes = infer_sizes({tensor: found[tensor.name].shape for tensor in program.arguments}, known)
    except ValueError as error:
        raise ArgumentError([Diagnostic(str(error))]) from None
    return sizes, found


def conditions(program: Program, sizes: Mapping[str, int], arrays: Mapping[str, Array]) -> list[Condition]:
    """Every declared trait with what the data say to it."""
    found: list[Condition] = []
    for tensor in program.arguments:
        bound = None if tensor.bound is None else tensor.bound.evaluate(sizes)
        wrong = dict(violations(tensor, arrays[tensor.name], bound))
        traits = [*([f"integer in {tensor.bound}"] if tensor.bound is not None else []), *tensor.traits]
        found += [Condition(tensor.name, trait, wrong.get(trait)) for trait in traits]
    return found
