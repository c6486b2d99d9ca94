"""Orders of pairwise contraction for a product of many factors: the only caller of opt_einsum.

A path is a sequence of pairs of positions: each pair is taken out of the list of factors and its product appended.

>>> path(((0, 1), (1, 2), (2,)), (0,), (1000, 1000, 1000))     # A B x: the vector first
((1, 2), (0, 1))
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

from bracketc.ir.nodes import Labels

Path = tuple[tuple[int, int], ...]

EXACT_FACTORS = 12
"""Up to so many factors the path is exact in flops; beyond, greedy."""

OUTER_FACTORS = 7
"""Up to so many factors the exact search also tries products that sum nothing."""


@lru_cache(maxsize=4096)
def path(factors: tuple[Labels, ...], output: Labels, extents: tuple[int, ...]) -> Path:
    """The cheapest known order: fewest flops, then fewest entries of intermediates, then the order as written."""
    if len(factors) < 3:
        return ((0, 1),) if len(factors) == 2 else ()
    from opt_einsum import paths as optimizers  # few programs have products of three factors

    sets = [frozenset(labels) for labels in factors]
    kept = frozenset(output)
    sizes = {label: max(1, extent) for label, extent in enumerate(extents)}
    candidates = [((0, 1), *((0, left) for left in range(len(factors) - 2, 0, -1)))]
    # Integers as labels keep the walk over sets the same in every process.
    if len(factors) <= EXACT_FACTORS:
        exact = optimizers.DynamicProgramming("flops", search_outer=len(factors) <= OUTER_FACTORS)
        candidates.append(_pairs(exact(sets, kept, sizes)))
    else:
        greedy = _pairs(optimizers.greedy(sets, kept, sizes))
        candidates += [greedy, _last_steps_anew(factors, output, extents, greedy)]
    ranked = [(*path_cost(factors, output, extents, candidate), place) for place, candidate in enumerate(candidates)]
    return candidates[min(ranked)[2]]


def _last_steps_anew(factors: tuple[Labels, ...], output: Labels, extents: tuple[int, ...], order: Path) -> Path:
    """``order`` up to where few factors are left, then the exact order of these: the last products are the largest."""
    head = order[: len(factors) - OUTER_FACTORS]
    current = list(factors)
    for i, j in head:
        right, left = current.pop(j), current.pop(i)
        needed = set(output).union(*current)
        current.append(tuple(label for label in dict.fromkeys((*left, *right)) if label in needed))
    return (*head, *path(tuple(current), output, extents))


def _pairs(found: object) -> Path:
    assert isinstance(found, list | tuple)
    return tuple((min(pair), max(pair)) for pair in found if len(pair) == 2)


def path_cost(factors: tuple[Labels, ...], output: Labels, extents: tuple[int, ...], order: Path) -> tuple[int, int]:
    """Flops of ``order`` and the number of entries of its intermediates."""
    flops = entries = 0
    current = [frozenset(labels) for labels in factors]
    for i, j in order:
        right, left = current.pop(j), current.pop(i)
        union = left | right
        result = union & frozenset(output).union(*current)
        flops += pair_flops(left, right, result, extents)
        entries += prod(extents[label] for label in result)
        current.append(result)
    return flops, entries


def pair_flops(left: frozenset[int], right: frozenset[int], result: frozenset[int], extents: tuple[int, ...]) -> int:
    """A multiplication for every combination of labels, and an addition where labels are summed."""
    union = left | right
    return prod(extents[label] for label in union) * (2 if union - result else 1)
