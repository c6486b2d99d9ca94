"""Random arguments for a program: small sizes, arrays that have the declared traits.

X : N, D    Y : N, K onehot rows    ->   {"X": (3, 5) normal, "Y": (3, 4) with a single one in every row}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bracketc.errors import SourceError
from bracketc.ir.dims import Dim, solve
from bracketc.ir.nodes import Tensor
from bracketc.ir.program import Program

Array = np.ndarray[Any, Any]
Generator = np.random.Generator

SMALL = (2, 3, 4, 5, 6, 7, 8, 9, 11, 13)
"""What free sizes are drawn from, each once: pairwise different, so that a mixed-up axis cannot go unnoticed."""

DRAWS = 200


def draw_sizes(program: Program, rng: Generator, given: Mapping[str, int] | None = None) -> dict[str, int]:
    """A number for every named size: bound and ``given`` ones as they are, the others small and pairwise different.

    Equalities that the program demands hold, and no axis is empty.
    """
    known = {spec.name: spec.value for spec in program.sizes if spec.value is not None} | dict(given or {})
    free = [spec.name for spec in program.sizes if spec.name not in known]
    extents = [extent for tensor in program.arguments for extent in tensor.shape]
    for attempt in range(DRAWS):
        pool = [n for n in SMALL if n >= min(2 + attempt // 40, 5)]
        if len(free) > len(pool):
            pool += range(14, 14 + len(free))
        picked = rng.permutation(pool[: max(len(free), 5 + attempt // 20)])
        sizes = {**known, **dict(zip(free, map(int, picked), strict=False))}
        if settle(sizes, program, set(free)) and all(extent.evaluate(sizes) > 0 for extent in extents):
            return sizes
    raise SourceError(f"no sizes found that fit {program.source.filename}; give some with --size")


def settle(sizes: dict[str, int], program: Program, free: set[str]) -> bool:
    """Change free sizes so that the constraints hold; gives whether they do."""
    for left, right, _ in program.constraints:
        rest: Dim = left - right
        if rest.evaluate(sizes) == 0:
            continue
        for name in rest.names:
            found = solve(rest, {n: v for n, v in sizes.items() if n != name}, 0) if name in free else None
            if found is not None and found[1] > 0:
                sizes[name] = found[1]
                break
    return all((left - right).evaluate(sizes) == 0 for left, right, _ in program.constraints)


def draw_arguments(
    program: Program, sizes: Mapping[str, int], rng: Generator, positive: bool = False
) -> dict[str, Array]:
    """Arrays by name in float64 and int64; ``positive`` draws from (0.5, 1.5) where no trait says otherwise."""
    return {tensor.name: draw(tensor, sizes, rng, positive) for tensor in program.arguments}


def tempered(program: Program, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Parameters of rank 2 and above without traits divided by the root of their first extent, as networks are
    initialised.

    At large sizes a recurrence would be chaotic otherwise, so that rounding alone decides its result.
    """
    free = {t.name for t in program.arguments if program.kinds[t.name] == "param" and t.rank > 1 and not t.traits}
    return {name: a / np.sqrt(max(1, a.shape[0])) if name in free else a for name, a in arrays.items()}


def draw(tensor: Tensor, sizes: Mapping[str, int], rng: Generator, positive: bool = False) -> Array:
    """One array with the traits of ``tensor``."""
    shape = tuple(extent.evaluate(sizes) for extent in tensor.shape)
    if tensor.dtype == "integer":
        bound = tensor.bound.evaluate(sizes) if tensor.bound is not None else 4
        return rng.integers(0, max(bound, 1), shape)
    array = rng.uniform(0.5, 1.5, shape) if positive else rng.standard_normal(shape)
    return with_traits(array, tensor.traits, rng)


def with_traits(array: Array, traits: Sequence[str], rng: Generator) -> Array:
    """``array`` changed as little as its traits allow; at ranks above 2, every matrix in the last two axes."""
    given = set(traits)
    if "nonzero" in given:
        array = np.where(array < 0, -1.0, 1.0) * (0.5 + np.abs(array))
    if "positive" in given:
        array = 0.5 + np.abs(array)
    if "onehot rows" in given:
        array = np.eye(array.shape[-1])[rng.integers(0, array.shape[-1], array.shape[:-1])]
    elif "stochastic rows" in given:
        array = np.exp(array) / np.exp(array).sum(-1, keepdims=True)
    if "orthogonal" in given:
        array = np.linalg.qr(array)[0]
    if "positive definite" in given:
        size = array.shape[-1]
        array = array @ np.swapaxes(array, -1, -2) / size + np.eye(size)
    elif "symmetric" in given:
        array = (array + np.swapaxes(array, -1, -2)) / 2
    if "lower" in given:
        array = np.tril(array)
    if "upper" in given:
        array = np.triu(array)
    if "diagonal" in given:
        array = array * np.eye(array.shape[-1])
    return np.array(array, order="C")
