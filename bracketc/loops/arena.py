"""The arena: one block of memory per call, cut into slots that buffers share when they do not live at the same
time."""

from __future__ import annotations

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
    free: list[int] = field(default_factory=list)

    def take(self, size: Dim, dtype: DType) -> int:
        """The number of a slot of at least ``size`` elements: the tightest free one, else a free one of the same
        dtype that can grow with certainty, else a new one."""
        fitting = [slot for slot in self.free if self.dtypes[slot] == dtype and _at_most(size, self.sizes[slot])]
        if fitting:
            best = next(
                (s for s in fitting if all(_at_most(self.sizes[s], self.sizes[o]) for o in fitting)), fitting[0]
            )
            self.free.remove(best)
            return best
        for slot in self.free:
            if self.dtypes[slot] == dtype and _at_most(self.sizes[slot], size):
                self.sizes[slot] = size
                self.free.remove(slot)
                return slot
        self.sizes.append(size)
        self.dtypes.append(dtype)
        return len(self.sizes) - 1

    def give_back(self, slot: int) -> None:
        """The slot may be taken again."""
        assert slot not in self.free
        self.free.append(slot)


def _at_most(small: Dim, large: Dim) -> bool:
    """Whether ``small`` <= ``large`` for all sizes >= 0: every coefficient of the difference is >= 0."""
    return all(factor >= 0 for _, factor in (large - small).terms)
