"""Records while they are being joined, in an order that is valid at every moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Labels
from bracketc.plan.scalars import Relabel, Scalars
from bracketc.plan.schedule import Access, Buffer, Contract, Map, Product, Step, Store

_GAP = 1 << 40


class Group:
    """A record that more work can join: a Map, a Contract with its epilogue, or any other step as it is.

    ``labels`` are those of the scalar program: all of a Map, the output of a Contract. ``needs`` are the groups whose
    buffers it reads, ``key`` grows along the order.
    """

    __slots__ = (
        "after",
        "before",
        "entries",
        "extents",
        "key",
        "labels",
        "needs",
        "products",
        "scalars",
        "step",
        "stores",
    )

    def __init__(self, step: Step, needs: Iterable[Group]) -> None:
        self.step = step
        self.needs: dict[Group, None] = dict.fromkeys(needs)
        self.key = 0
        self.before: Group | None = None
        self.after: Group | None = None
        self.scalars = Scalars()
        self.stores: list[Store] = []
        self.products: list[Product] = []
        self.labels: Labels = ()
        self.extents: list[Dim] = []
        self.entries: dict[Buffer, tuple[int, Labels]] = {}
        """Instruction and labels of what the program has at hand entry by entry."""
        if isinstance(step, Map | Contract):
            self.labels = step.labels if isinstance(step, Map) else step.output
            self.products = [] if isinstance(step, Map) else list(step.products)
            self.extents = list(step.extents)
            self.join(step, lambda label: label)

    @property
    def is_open(self) -> bool:
        """Whether it has a scalar program."""
        return isinstance(self.step, Map | Contract)

    def join(self, step: Map | Contract, relabel: Relabel) -> None:
        """Compute ``step`` in the same pass; what it loads and the program has at hand is not loaded."""
        values: dict[Access, int] = {}
        for access in step.operands:
            if access.buffer in self.entries:
                number, labels = self.entries[access.buffer]
                values[Access(access.buffer, labels)] = number
        numbers = self.scalars.splice(step.program, step.operands, relabel, values)
        for store in step.stores:
            carried = tuple(relabel(label) for label in store.labels)
            self.stores.append(replace(store, labels=carried, value=numbers[store.value]))
            if store.mode == "store":
                self.entries[store.target] = (numbers[store.value], carried)

    def finished(self) -> Step:
        """The record."""
        if not isinstance(self.step, Map | Contract):
            return self.step
        operands, program = tuple(self.scalars.operands), tuple(self.scalars.program)
        stores, extents = tuple(self.stores), tuple(self.extents)
        if isinstance(self.step, Map):
            return Map(self.labels, operands, program, stores, extents)
        return Contract(tuple(self.products), self.labels, operands, program, stores, extents)


class Sequence:
    """Groups in a valid order, in which groups can be moved and taken out."""

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        self._first: Group | None = None
        self._last: Group | None = None

    def __iter__(self) -> Iterator[Group]:
        group = self._first
        while group is not None:
            yield group
            group = group.after

    def append(self, group: Group) -> None:
        group.before, group.after = self._last, None
        group.key = 0 if self._last is None else self._last.key + _GAP
        if self._last is None:
            self._first = group
        else:
            self._last.after = group
        self._last = group

    def remove(self, group: Group) -> None:
        if group.before is None:
            self._first = group.after
        else:
            group.before.after = group.after
        if group.after is None:
            self._last = group.before
        else:
            group.after.before = group.before

    def move_before(self, group: Group, place: Group) -> None:
        self.remove(group)
        group.before, group.after = place.before, place
        if place.before is None:
            self._first = group
        else:
            place.before.after = group
        place.before = group
        low = place.key - _GAP if group.before is None else group.before.key
        group.key = (low + place.key) // 2
        if group.key == low:  # no number is left between the two
            for count, member in enumerate(self):
                member.key = count * _GAP
