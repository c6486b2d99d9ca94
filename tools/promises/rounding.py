"""How far an answer in float32 may be from the true one: what rounding every value on the way does to it.

Each value of a program gets relative errors of half a unit, drawn anew in each of a few runs (J. Vignes, *A stochastic arithmetic
for reliable scientific computation*, 1993). What the answers then differ by is what an honest computation may be wrong by, times a
factor for sums that are longer than a node and for functions that take more than one rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np

from bracketc.ir import interpret as interpreter
from bracketc.ir.nodes import Node
from promises.programs import Case
from promises.promise import Array, Breach

EPS = 2.0**-24
RUNS = 4
FACTOR = 64.0
"""Bounds are so many times the largest difference of the runs, and at least so many units of the largest entry."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """A case at arguments that float32 holds, and the errors that its answers may have, function by function."""

    case: Case
    bounds: Mapping[str, Mapping[str, float]]


def rounded(case: Case) -> Rounded:
    """The case at float32 arguments; answers that rounding makes infinite, or that it moves by a hundredth, say nothing."""
    def held(array: Array) -> Array:
        return array.astype(np.float32).astype(np.float64) if array.dtype.kind == "f" else array

    arrays = {name: held(array) for name, array in case.arrays.items()}
    roots = tuple(node for entry in case.entries for _, node in entry.results)
    given = {node: np.asarray(arrays[node.name]) for entry in case.entries for node in (*entry.arguments, *entry.extras)}
    with np.errstate(all="ignore"):
        exact = interpreter._run(roots, given, case.sizes)
        runs = [_perturbed(roots, given, case.sizes, seed) for seed in range(RUNS)]
    wanted: dict[str, dict[str, Array]] = {}
    bounds: dict[str, dict[str, float]] = {}
    for entry in case.entries:
        for name, node in entry.results:
            scale = max(1.0, float(np.abs(exact[node].astype(float)).max(initial=0)))
            spread = max(float(np.abs(run[node] - exact[node].astype(float)).max(initial=0)) for run in runs)
            bound = FACTOR * max(spread, EPS * scale)
            if np.isfinite(exact[node]).all() and bound < 1e-2 * scale:
                wanted.setdefault(entry.name, {})[name] = np.array(exact[node])
                bounds.setdefault(entry.name, {})[name] = bound
    entries = tuple(entry for entry in case.entries if entry.name in wanted)
    return Rounded(replace(case, arrays=arrays, entries=entries, wanted=wanted), bounds)


def bounded(case: Case) -> tuple[Case, Mapping[str, Mapping[str, float]]]:
    """The same in parts."""
    made = rounded(case)
    return made.case, made.bounds


def _perturbed(roots: tuple[Node, ...], given: Mapping[Any, Array], sizes: Mapping[str, int], seed: int) -> dict[Node, Any]:
    rng = np.random.default_rng(seed)

    def around(rule: Any) -> Any:
        def apply(node: Node, args: list[Array], sizes: Mapping[str, int]) -> Any:
            found = rule(node, args, sizes)
            return tuple(map(shaken, found)) if isinstance(found, tuple) else shaken(found)

        return apply

    def shaken(array: Array) -> Array:
        array = np.asarray(array)
        return array * (1 + EPS * rng.uniform(-1, 1, array.shape)) if array.dtype.kind == "f" else array

    with mock.patch.dict(interpreter._RULES, {kind: around(rule) for kind, rule in interpreter._RULES.items()}):
        return interpreter._run(roots, given, sizes)


def near(what: str, found: Any, wanted: Array, bound: float) -> None:
    """Raises where shapes differ or entries are further apart than the bound."""
    found = np.asarray(found)
    if found.shape != wanted.shape:
        raise Breach(f"{what}: shape {found.shape}, not {wanted.shape}")
    apart = float(np.abs(found.astype(float) - wanted.astype(float)).max(initial=0))
    if not apart <= bound:
        raise Breach(f"{what}: {apart:.2e} apart, bound {bound:.2e}: found\n{found}\nwanted\n{wanted}")
