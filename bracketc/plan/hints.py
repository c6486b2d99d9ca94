"""Numbers for sizes, for planning only: what ``dim N = 10`` or ``dim N ~ 1000`` says, else a documented default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Tensor
from bracketc.ir.program import SizeSpec

DEFAULT_BATCH = 1024
"""Of a size that is the leading axis of a matrix or higher tensor among the arguments, and never another axis of
one."""

DEFAULT_SIZE = 128
"""Of every other size."""


class Hints:
    """Numbers at which sizes are planned.

    >>> Hints({"N": 1000}).of(2 * Dim.named("N"))
    2000
    """

    __slots__ = ("_known", "numbers")

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self.numbers = dict(sorted(numbers.items()))
        self._known: dict[Dim, int] = {}

    def of(self, dim: Dim) -> int:
        """``dim`` at the hints; at least 0, and :data:`DEFAULT_SIZE` for a name without a hint."""
        found = self._known.get(dim)
        if found is None:
            values = {name: self.numbers.get(name, DEFAULT_SIZE) for name in dim.names}
            found = self._known[dim] = max(0, dim.evaluate(values))
        return found

    def count(self, shape: Iterable[Dim]) -> int:
        """Number of entries of a tensor of ``shape``."""
        total = 1
        for extent in shape:
            total *= self.of(extent)
        return total


def choose_hints(sizes: Iterable[SizeSpec], arguments: Iterable[Tensor]) -> Hints:
    """A number for every size that is declared or occurs in the shape of an argument."""
    known = {spec.name: spec.value if spec.value is not None else spec.hint for spec in sizes}
    matrices = [node.shape for node in arguments if node.rank > 1]
    leading = {name for shape in matrices for name in shape[0].names}
    trailing = {name for shape in matrices for extent in shape[1:] for name in extent.names}
    for node in arguments:
        for name in (name for extent in node.shape for name in extent.names):
            known.setdefault(name)
    for name, number in known.items():
        if number is None:
            known[name] = DEFAULT_BATCH if name in leading and name not in trailing else DEFAULT_SIZE
    return Hints({name: number for name, number in known.items() if number is not None})
