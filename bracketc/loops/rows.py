"""Nests over the same rows run a few rows at a time: a maximum, exponentials and their sum, the division by it.

    for n: m[n] = max_d X[n, d]                     for some rows at a time:
    for n: E[n, d] = exp(X[n, d] - m[n])               for n of these: m[n] = max_d X[n, d]
           s[n] = sum_d E[n, d]                ->      for n of these: E[n, d] = exp(X[n, d] - m[n]); s[n] = sum_d E[n, d]
    for n: P[n, d] = E[n, d] / s[n]                    for n of these: P[n, d] = E[n, d] / s[n]

What a nest leaves of the rows the next one finds in the first cache, instead of passing over memory again. There are enough rows
at a time for a core to work on several at once, which one after another would not allow: a maximum waits for all of its row, a sum
for all exponentials. It is right where all that one of the nests writes is touched by the others at the same row alone: the
addresses say so. Slots of the arena count as memory, whatever lies in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bracketc.ir.dims import Dim
from bracketc.loops.kernel import Address, Axis, Nest, Reference, Rows, Statement, Storage

Place = Storage | tuple[str, int]
"""Memory: what the caller gives, or a slot."""


def in_rows(body: Iterable[Statement]) -> tuple[Statement, ...]:
    """``body`` with neighbouring nests over the same rows as one loop over some of these at a time."""
    found: list[Statement] = []
    group: list[Nest] = []
    for statement in body:
        if isinstance(statement, Nest) and _joins(group, statement):
            group.append(statement)
            continue
        found += _closed(group)
        group = [statement] if isinstance(statement, Nest) and len(statement.axes) > 1 else []
        if not group:
            found.append(statement)
    found += _closed(group)
    return tuple(found)


def _joins(group: Sequence[Nest], nest: Nest) -> bool:
    """Whether ``nest`` may run on some rows after ``group`` has, and finds something of theirs."""
    if not group or not nest.axes or nest.axes[0].extent is not group[0].axes[0].extent:
        return False
    touched = _Touched()
    for member in group:
        touched.add(member)
    known = set(touched.places)
    touched.add(nest)
    new = {_place(reference.storage) for reference, _ in _references(nest)}
    return bool(known & new) and touched.row_by_row


def _closed(group: Sequence[Nest]) -> Iterator[Statement]:
    """The statement for ``group``; those of one axis at its end, and a nest alone, gain nothing."""
    count = len(group)
    while count and len(group[count - 1].axes) == 1:
        count -= 1
    if sum(len(nest.axes) > 1 for nest in group[:count]) < 2:
        yield from group
        return
    sizes: dict[Place | None, Dim] = {}
    for nest in group[:count]:
        for reference, _ in _references(nest):
            stride = reference.address.stride(nest.axes[0].label)
            sizes.setdefault(_place(reference.storage), stride)
    entries = sum(sizes.values(), Dim.of(0))
    yield Rows(group[0].axes[0].extent, entries, tuple(group[:count]))
    yield from group[count:]


# ------------------------------------------------------------------------------------------------ when it is right
@dataclass
class _Touched:
    """References to memory, with whether they write, and the axes of their nests."""

    places: dict[Place | None, list[tuple[Reference, bool, tuple[Axis, ...]]]] = field(default_factory=dict)

    def add(self, nest: Nest) -> None:
        for reference, writes in _references(nest):
            self.places.setdefault(_place(reference.storage), []).append((reference, writes, nest.axes))

    @property
    def row_by_row(self) -> bool:
        """Whether whatever is written is touched at one row by all."""
        return all(_apart(found) for found in self.places.values() if any(writes for _, writes, _ in found))


def _references(nest: Nest) -> Iterator[tuple[Reference, bool]]:
    for write in nest.writes:
        yield write.target, True
    for reference in nest.loads:
        yield reference, False
        yield from ((indirect.index, False) for indirect in reference.address.indirect)


def _place(storage: Storage) -> Place | None:
    """Where a storage lies; ``None`` for a state that the loop around only reads."""
    while storage.kind in ("moving", "cut"):
        assert storage.base is not None
        storage = storage.base
    if storage.kind == "carried":
        return None
    if storage.kind == "local":
        return ("local", storage.slot)
    return ("arena", storage.slot) if storage.kind in ("arena", "ring", "partial") else storage


def _apart(found: Sequence[tuple[Reference, bool, tuple[Axis, ...]]]) -> bool:
    """Whether references to one memory stay within the row: all of one stride from row to row, and none reaches beyond it."""
    first = found[0][0].storage
    for reference, _, _ in found:
        plain = reference.storage.kind in ("arena", "local") and first.kind in ("arena", "local")
        if reference.storage is not first and not plain:
            return False
    strides = {reference.address.stride(axes[0].label) for reference, _, axes in found}
    return len(strides) == 1 and all(_within_row(reference.address, axes) for reference, _, axes in found)


def _within_row(address: Address, axes: Sequence[Axis]) -> bool:
    """Whether the entries at one row lie before those of the next one, for all sizes."""
    if address.indirect or address.offset.constant != 0:
        return False
    extents = {axis.label: axis.extent for axis in axes}
    reach = Dim.of(1)
    for label, stride in address.terms:
        if label != axes[0].label:
            reach = reach + stride * (extents[label] - 1)
    spare = address.stride(axes[0].label) - reach
    return all(factor >= 0 for _, factor in spare.terms)
