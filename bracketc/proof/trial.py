"""Two tensors compared by numbers: random draws under the traits, and small counterexamples.

Sizes of a draw are pairwise different, so that a transposition cannot go unnoticed; differentials are drawn freely.
Draws in float64 settle what is clear; where rounding could decide, a few draws with 100 decimal digits do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any, Literal

import numpy as np

from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Einsum, Linalg, Node, Pointwise, Recurrence, Reduce, Tensor
from bracketc.ir.program import Program
from bracketc.ir.rewrite import tensors, topological
from bracketc.proof import precise
from bracketc.proof.samples import draw, draw_sizes, settle, with_traits

Array = np.ndarray[Any, Any]

DRAWS = 4
"""Draws at which both sides must agree."""

ATTEMPTS = 24
"""Draws that are tried, those among them where a side is undefined."""

SAME = 1e-12
"""Largest distance of agreeing sides, relative to the largest entry that occurs on the way to them; rounding
that makes more is drawn again."""

DIFFERENT = 1e-3
"""Smallest distance that differs in float64, relative to the larger side; rounding is never blamed for it."""

CLEAR = 1e-8
"""The same, relative to the largest entry that occurs on the way."""

PRECISE_DRAWS = 2
"""Draws in decimals at which both sides must agree."""

PRECISE_WORK = 150_000
"""Products and entries that a draw in decimals may take; a function counts as 20."""

LEVELS = 4
"""How far below the sides the largest entry is looked for."""

LARGEST = 1_000_000
"""Entries of a tensor that is computed."""

MOST = 60
"""Nodes among which the largest entry is looked for."""

SIMPLE = (1.0, 2.0, -1.0, 3.0, 0.0, -2.0)
"""Entries of a simple point, in this order."""

Outcome = Literal["agree", "differ", "undefined", "doubt"]


@dataclass(frozen=True, slots=True)
class Point:
    """Where both sides have a value."""

    sizes: Mapping[str, int]
    arrays: Mapping[Tensor, Array]
    left: Array
    right: Array
    largest: float
    precise: bool = False

    @property
    def scale(self) -> float:
        return max(float(np.max(np.abs(side), initial=0.0)) for side in (self.left, self.right))

    @property
    def distance(self) -> float:
        return float(np.max(np.abs(self.left - self.right), initial=0.0))

    @property
    def outcome(self) -> Outcome:
        """What this point alone says."""
        if self.precise:  # exponents of decimals may lie beyond those of floats
            pairs = list(zip(self.left.flat, self.right.flat, strict=True))
            most = precise.SAME * max((max(abs(x), abs(y)) for x, y in pairs), default=Decimal(0))
            return "agree" if all(abs(x - y) <= max(most, precise.SAME) for x, y in pairs) else "differ"
        if self.distance <= SAME * self.largest:
            return "agree"
        return "differ" if self.distance > max(DIFFERENT * self.scale, CLEAR * self.largest) else "doubt"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out of the draws; ``points`` are those where both sides are finite."""

    outcome: Outcome
    points: tuple[Point, ...]


def trial(left: Node, right: Node, program: Program, seed: int = 0) -> Trial:
    """Compare two tensors of one shape, free of derivatives, at random points."""
    rng = np.random.default_rng(seed)
    used = tensors([left, right])
    points: list[Point] = []
    undefined = True
    for attempt in range(ATTEMPTS):
        sizes = affordable_sizes(program, rng, (left, right))
        if sizes is None:
            continue
        arrays = {tensor: draw(tensor, sizes, rng, positive=attempt % 3 == 2) for tensor in used}
        point = evaluate(left, right, arrays, sizes)
        if point is None:
            continue
        undefined = False
        if point.outcome == "differ":
            return Trial("differ", (*points, point))
        if point.outcome == "agree":
            points.append(point)
        if len(points) == DRAWS:
            return Trial("agree", tuple(points))
    return Trial("undefined" if undefined else "doubt", tuple(points))


def precise_trial(left: Node, right: Node, program: Program, seed: int = 0) -> Trial:
    """The same with 100 decimal digits at small sizes; ``doubt`` where that would take too long."""
    rng = np.random.default_rng(seed)
    used = tensors([left, right])
    points: list[Point] = []
    for attempt in range(ATTEMPTS):
        sizes = _small_drawn_sizes(program, rng, (left, right))
        if sizes is None:
            return Trial("doubt", tuple(points))
        arrays = {tensor: _decimal_draw(tensor, sizes, rng, attempt) for tensor in used}
        point = evaluate_precisely(left, right, arrays, sizes)
        if point is None:
            continue
        points.append(point)
        if point.outcome == "differ":
            return Trial("differ", tuple(points))
        if len(points) == PRECISE_DRAWS:
            return Trial("agree", tuple(points))
    return Trial("undefined", tuple(points))


def _small_drawn_sizes(program: Program, rng: np.random.Generator, sides: tuple[Node, Node]) -> dict[str, int] | None:
    """Sizes from 2 on, pairwise different where that is cheap enough."""
    names = [spec.name for spec in program.sizes if spec.value is None]
    bound = {spec.name: spec.value for spec in program.sizes if spec.value is not None}
    for attempt in range(ATTEMPTS):
        numbers = rng.permutation(len(names)) + 2 if attempt < 4 else rng.integers(1, 5, len(names))
        sizes = {**bound, **{name: int(number) for name, number in zip(names, numbers, strict=True)}}
        if _settled(sizes, program, names) and _work(sides, sizes) <= PRECISE_WORK:
            return sizes
    return None


def _settled(sizes: dict[str, int], program: Program, names: Sequence[str]) -> bool:
    return settle(sizes, program, set(names)) and _fits(program, sizes)


def _work(sides: tuple[Node, Node], sizes: Mapping[str, int]) -> int:
    """About how many operations on numbers both sides take."""
    total = 0
    pending: list[tuple[tuple[Node, ...], int]] = [(sides, 1)]
    while pending:
        roots, times = pending.pop()
        for node in topological(roots):
            if isinstance(node, Recurrence):
                pending.append((node.body.results, times * max(1, node.length.evaluate(sizes))))
            elif isinstance(node, Einsum):
                total += times * math.prod(max(1, extent.evaluate(sizes)) for extent in node.extents)
            else:
                count = math.prod(max(1, extent.evaluate(sizes)) for extent in node.shape)
                total += times * count * (20 if isinstance(node, Pointwise | Reduce | Linalg) else 1)
    return total


def _decimal_draw(tensor: Tensor, sizes: Mapping[str, int], rng: np.random.Generator, attempt: int) -> Array:
    """An array that has its traits to all digits."""
    array = draw(tensor, sizes, rng, positive=attempt % 3 == 2)
    if "orthogonal" in tensor.traits:
        return precise.orthogonal(np.asarray(rng.standard_normal(array.shape)))
    if "stochastic rows" in tensor.traits:
        return precise.stochastic(array)
    if "symmetric" in tensor.traits or "positive definite" in tensor.traits:
        lower = np.tril(array)
        return lower + np.swapaxes(np.tril(array, -1), -1, -2)
    return array


def evaluate_precisely(left: Node, right: Node, arrays: Mapping[Tensor, Array], sizes: Mapping[str, int]) -> Point | None:
    """Both sides at a point in decimals; None where one has no finite value."""
    try:
        found = precise.interpret_precisely([left, right], arrays, sizes)
    except (ValueError, IndexError, ArithmeticError):
        return None
    first, second = found[left], found[right]
    if not all(x.is_finite() for side in (first, second) for x in side.flat):
        return None
    return Point(sizes, arrays, first, second, 0.0, True)


def affordable_sizes(
    program: Program, rng: np.random.Generator, sides: tuple[Node, Node]
) -> dict[str, int] | None:
    """Sizes pairwise different, or, where tensors of many axes would be too large, mixed from 1, 2 and 3."""
    sizes = draw_sizes(program, rng)
    if _affordable(sides, sizes):
        return sizes
    free = [spec.name for spec in program.sizes if spec.value is None]
    for _ in range(ATTEMPTS):
        sizes = {**sizes, **{name: int(rng.integers(1, 4)) for name in free}}
        if _fits(program, sizes) and _affordable(sides, sizes):
            return sizes
    return None


def _affordable(sides: tuple[Node, Node], sizes: Mapping[str, int]) -> bool:
    """Whether no tensor on the way to the sides has more than :data:`LARGEST` entries."""
    for node in topological(sides):
        if not isinstance(node, Recurrence) and math.prod(extent.evaluate(sizes) for extent in node.shape) > LARGEST:
            return False
    return True


def evaluate(left: Node, right: Node, arrays: Mapping[Tensor, Array], sizes: Mapping[str, int]) -> Point | None:
    """Both sides at a point; None where one has no finite value, or is too large to compute."""
    below = [left, right]
    for _ in range(LEVELS):
        below += [operand for node in below for operand in node.operands if operand.dtype == "real"]
        below = list(dict.fromkeys(below))[:MOST]
    below = [node for node in below if not isinstance(node, Recurrence)]
    try:
        first, second, *others = interpret([left, right, *below], arrays, sizes)
    except (np.linalg.LinAlgError, ValueError, IndexError):  # a singular matrix, or an index that these sizes do not reach
        return None
    if not (np.all(np.isfinite(first)) and np.all(np.isfinite(second))):
        return None
    known = (float(np.max(np.abs(array), initial=0.0)) for array in (first, second, *others))
    return Point(sizes, arrays, first, second, max(value for value in known if np.isfinite(value)))


def counterexample(left: Node, right: Node, program: Program, known: Point) -> Point:
    """The smallest sizes and the simplest point found at which both sides differ; ``known`` when none is simpler."""
    used = tensors([left, right])
    compute: Callable[..., Point | None] = evaluate_precisely if known.precise else evaluate
    rng = np.random.default_rng(1)
    for sizes in _small_sizes(program):
        if not _affordable((left, right), sizes) or (known.precise and _work((left, right), sizes) > PRECISE_WORK):
            continue
        for attempt in range(6):
            arrays = {tensor: _simple(tensor, sizes, rng, attempt) for tensor in used}
            point = compute(left, right, arrays, sizes)
            if point is not None and point.outcome == "differ":
                return point
    return known


def _small_sizes(program: Program) -> Iterator[dict[str, int]]:
    """Sizes from the smallest: all 1, then one of them 2, then two."""
    bound = {spec.name: spec.value for spec in program.sizes if spec.value is not None}
    free = [spec.name for spec in program.sizes if spec.value is None]
    for count in range(min(len(free), 3) + 1):
        for larger in combinations(free, count):
            wanted = {**bound, **{name: 2 if name in larger else 1 for name in free}}
            if _fits(program, wanted):
                yield wanted
    for number in (2, 3):
        wanted = {**bound, **dict.fromkeys(free, number)}
        if _fits(program, wanted):
            yield wanted


def _fits(program: Program, sizes: Mapping[str, int]) -> bool:
    """Whether no axis is empty and the sizes are as the program demands."""
    extents = [extent for tensor in program.arguments for extent in tensor.shape]
    return all(extent.evaluate(sizes) > 0 for extent in extents) and all(
        (left - right).evaluate(sizes) == 0 for left, right, _ in program.constraints
    )


def _simple(tensor: Tensor, sizes: Mapping[str, int], rng: np.random.Generator, attempt: int) -> Array:
    """Entries 1, then small whole numbers, then anything."""
    shape = tuple(extent.evaluate(sizes) for extent in tensor.shape)
    if tensor.dtype != "real" or attempt > 3:
        return draw(tensor, sizes, rng, positive=attempt == 5)
    entries = np.ones(shape) if attempt == 0 else rng.choice(SIMPLE[: 2 + attempt], shape)
    if any(trait in tensor.traits for trait in ("orthogonal", "stochastic rows", "onehot rows")):
        return draw(tensor, sizes, rng)
    return with_traits(np.asarray(entries, dtype=np.float64), tensor.traits, rng)
