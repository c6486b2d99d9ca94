"""The arena: one block of memory per call, cut into slots that buffers share when they do not live at the same
time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import DType


@dataclass
class Arena:
    """Slots with symbolic sizes in elements. A slot is taken again only by a request whose size is known to fit it.

    >>> arena = Arena(); n = Dim.named("N")
    >>> first = arena.take(n * 4, "real"); arena.give_back(first)
    >>> arena.take(n * 2, "real") == first
    True
    """

    sizes: list[Dim] = field(default_factory=list)
    dtypes: list[DType] = field(default_factory=list)
    free: dict[tuple[DType, Dim], deque[tuple[int, int]]] = field(default_factory=dict)
    """Free slots by what they hold, as (when it was given back, slot): deep networks have thousands of a few sizes."""
    clock: int = 0

    def take(self, size: Dim, dtype: DType) -> int:
        """The number of a slot of at least ``size`` elements: the tightest free one, else a free one of the same
        dtype that can grow with certainty, else a new one."""
        kinds = [kind for kind in self.free if kind[0] == dtype]
        fitting = [kind for kind in kinds if _at_most(size, kind[1])]
        if fitting:
            tightest = [kind for kind in fitting if all(_at_most(kind[1], other) for _, other in fitting)]
            return self._reuse(tightest or fitting)
        growing = [kind for kind in kinds if _at_most(kind[1], size)]
        if growing:
            slot = self._reuse(growing)
            self.sizes[slot] = size
            return slot
        self.sizes.append(size)
        self.dtypes.append(dtype)
        return len(self.sizes) - 1

    def _reuse(self, kinds: Sequence[tuple[DType, Dim]]) -> int:
        """Of the free slots of these kinds the one that was given back first."""
        kind = min(kinds, key=lambda kind: self.free[kind][0])
        _, slot = self.free[kind].popleft()
        if not self.free[kind]:
            del self.free[kind]
        return slot

    def give_back(self, slot: int) -> None:
        """The slot may be taken again."""
        self.clock += 1
        self.free.setdefault((self.dtypes[slot], self.sizes[slot]), deque()).append((self.clock, slot))


def _at_most(small: Dim, large: Dim) -> bool:
    """Whether ``small`` <= ``large`` for all sizes >= 0: every coefficient of the difference is >= 0."""
    return all(factor >= 0 for _, factor in (large - small).terms)
