"""Sizes for a program: every size takes every value up to a bound, alone among small ones and together with the others.

    coverings(["N", "D"])  ->  {"N": 1, "D": 2}, {"N": 2, "D": 3}, …, {"N": 70, "D": 5}, {"N": 1, "D": 1}, …

Edges of tiles, vectors and blocks lie at sizes that depend on the level and on the type; nobody needs to know them here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MOST = 70
SMALL = (1, 2, 3, 5, 7, 4, 9)
"""What stands beside the size that is varied."""


def coverings(names: Sequence[str], most: int = MOST) -> Iterator[dict[str, int]]:
    """First each size alone, then all of them at once.

    At once, size number k of row s is ``(s * (k + 1)) mod (most + 1)``, no two sizes in step; ``most + 1`` should be a prime, so
    that each takes every value once.
    """
    for varied in names:
        for value in range(1, most + 1):
            others = (name for name in names if name != varied)
            beside = {name: SMALL[(value + place) % len(SMALL)] for place, name in enumerate(others)}
            yield {name: value if name == varied else beside[name] for name in names}
    for row in range(1, most + 1):
        yield {name: row * (place + 1) % (most + 1) or 1 for place, name in enumerate(names)}


def below(sizes: dict[str, int], work: int, most: int) -> dict[str, int]:
    """The sizes, the largest of them cut down until ``work``, the product of all, is at most ``most``.

    >>> below({"N": 70, "D": 60}, 4200, 1000)
    {'N': 7, 'D': 60}
    """
    sizes = dict(sizes)
    while work > most and max(sizes.values()) > 9:
        name = max(sizes, key=lambda name: sizes[name])
        small = sizes[name] % 9 or 9
        work = work // sizes[name] * small
        sizes[name] = small
    return sizes
