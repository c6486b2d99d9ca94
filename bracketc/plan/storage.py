"""The order in which the axes of an intermediate tensor lie in memory.

Nobody but the records of its schedule sees an intermediate, so its axes may lie in any order; one order can be many times as fast
as another. What decides is the label along which memory runs, the last axis:

* a Map walks its innermost loop along one label. A reference that is contiguous along it is read by whole vectors, any other
  entry by entry;
* a Contract wants rows, columns or summed labels there, never a batch label: packing and tiles then run along memory. Labels of one
  group (rows, columns, sums, batch) that lie together in the same order on both sides are one loop.

Scores of attention, one product for each sequence b and head h, that arrive as

    S_kqbh = (K_bkhe Q_bqhe | kqbh),   m_bhq = max(S_kqbh)

are stored as ``S_bhqk``: each tile is written along memory, and the maximum runs along memory, too.

The search is a descent: buffer by buffer, the cheapest order while the others stay, until nothing changes. Ties keep the order
given, and a change must save more than it could be wrong by (:data:`MARGIN`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, permutations
from math import ceil

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Labels
from bracketc.plan.hints import Hints
from bracketc.plan.schedule import Access, Buffer, Contract, Loop, Map, Product, Step, Store
from bracketc.plan.steps import accesses, reads, rename, writes

SWEEPS = 4
"""Passes over all buffers; two are enough for chains."""

MANY_AXES = 4
"""Up to here every order of the axes is tried, beyond only those in which some record names its labels."""

MARGIN = 0.98
"""An order is left for one that costs less than this times as much."""

CONTIGUOUS, STRIDED_LOAD, STRIDED_STORE = 1.0, 4.0, 6.0
"""Time of an entry that lies along the innermost loop, and of one that does not, in passes over contiguous memory: measured
at 4 to 16 for vectors of 16 numbers, smaller here because caches help tensors that are small."""

SPLIT_GROUP = 0.5
"""Of an entry of a product whose rows, columns, sums or batch are one group more than need be."""

OUT_OF_STEP = 0.25
"""Of an entry that is read in another order of the outer loops than it is stored."""

VECTOR = 8
"""Numbers in a vector, about: a loop over 3 entries costs as much as one over 8."""

Order = tuple[int, ...]
"""Axis k of the buffer as it will lie is axis ``order[k]`` as it was."""


def arranged(steps: Sequence[Step], fixed: Iterable[Buffer], hints: Hints) -> tuple[Step, ...]:
    """``steps`` with the axes of intermediates in the order that costs least; those of ``fixed`` stay, and of what any other
    record than a Map or a Contract reads or writes.

    S_kqbh = …; m_bhq = max(S_kqbh)   ->   S_bhqk = …; m_bhq = max(S_bhqk)
    """
    inner = tuple(
        replace(step, steps=arranged(step.steps, _boundary(step), hints)) if isinstance(step, Loop) else step
        for step in steps
    )
    inner = tuple(_oriented(step, hints) if isinstance(step, Contract) else step for step in inner)
    records = [step for step in inner if isinstance(step, Map | Contract)]
    orders = _Search(records, _movable(inner, frozenset(fixed)), hints).descend()
    renamed = {buffer: Buffer(buffer.name, _permuted(buffer.shape, order), buffer.dtype) for buffer, order in orders.items()}
    placed = (_placed(step, orders) if isinstance(step, Map | Contract) else step for step in inner)
    return tuple(rename(step, lambda buffer: renamed.get(buffer, buffer)) for step in placed)


def _oriented(record: Contract, hints: Hints) -> Contract:
    """``record`` with the rows and columns of its tile as its epilogue reads them best, where it is only summed up.

    s_d = sum(Y_nd (W_dh G_nh | dn))   ->   s_d = sum(Y_nd (G_nh W_dh | nd))
    """
    if any(len(store.labels) == len(record.output) for store in record.stores):
        return record
    search = _Search((), (), hints)
    last = record.products[-1]
    sides = [[x for x in access.labels if x in record.output] for access in (last.left, last.right)]
    batch = [x for x in record.output if x in sides[0] and x in sides[1]]
    left, right = ([x for x in side if x not in batch] for side in sides)
    found = dict.fromkeys((record.output, (*batch, *left, *right), (*batch, *right, *left)))
    whole = [labels for labels in found if sorted(labels) == sorted(record.output)]
    costs = [_contract_cost(search.view(replace(record, output=labels)), record.products) for labels in whole]
    best = min(range(len(whole)), key=costs.__getitem__)
    return replace(record, output=whole[best]) if costs[best] < MARGIN * costs[0] else record


# ------------------------------------------------------------------------------------------------ what may move
def _movable(steps: Sequence[Step], fixed: frozenset[Buffer]) -> list[Buffer]:
    """Matrices and higher tensors that only records of ``steps`` write and read."""
    held: set[Buffer] = set(fixed)
    made: dict[Buffer, None] = {}
    for step in steps:
        if isinstance(step, Map | Contract):
            made.update(dict.fromkeys(store.target for store in step.stores if store.target.rank > 1))
        else:
            held.update(reads(step), writes(step))
    return [buffer for buffer in made if buffer not in held]


def _boundary(loop: Loop) -> Iterator[Buffer]:
    """Buffers of the body that the loop itself names."""
    for carry in loop.carries:
        yield from (carry.before, carry.after)
    for inner, _ in (*loop.slices, *loop.stacks):
        yield inner


# ------------------------------------------------------------------------------------------------ the search
class _Search:
    """Orders of ``movable`` buffers, and what the records that name them cost."""

    def __init__(self, records: Sequence[Map | Contract], movable: Sequence[Buffer], hints: Hints) -> None:
        self.hints = hints
        self.users: dict[Buffer, list[Map | Contract]] = {buffer: [] for buffer in movable}
        for record in records:
            for buffer in dict.fromkeys(buffer for buffer, _ in _named(record)):
                if buffer in self.users:
                    self.users[buffer].append(record)
        self.orders: dict[Buffer, Order] = {}

    def descend(self) -> dict[Buffer, Order]:
        """The buffers that move, with their orders."""
        for _ in range(SWEEPS):
            if not sum(self.settle(buffer) for buffer in reversed(self.users)):
                break
        return {buffer: order for buffer, order in self.orders.items() if order != tuple(range(buffer.rank))}

    def settle(self, buffer: Buffer) -> bool:
        """Give ``buffer`` its cheapest order, the others as they are; whether it moved."""
        before = self.orders.get(buffer, tuple(range(buffer.rank)))
        costs = {order: self.cost(buffer, order) for order in self.candidates(buffer, before)}
        best = min(costs, key=lambda order: (costs[order], order))
        moved = costs[best] < MARGIN * costs[before]
        self.orders[buffer] = best if moved else before
        return moved

    def candidates(self, buffer: Buffer, before: Order) -> Iterator[Order]:
        """Orders to try, the present one first."""
        yield before
        if buffer.rank <= MANY_AXES:
            yield from (order for order in permutations(range(buffer.rank)) if order != before)
            return
        for record in self.users[buffer]:
            walks = [self.labels(b, labels) for b, labels in _named(record)]
            walks.append(record.labels if isinstance(record, Map) else record.output)
            for own in (labels for b, labels in _named(record) if b is buffer):
                if len(set(own)) == len(own):
                    for walk in walks:
                        first = [own.index(label) for label in walk if label in own]
                        yield tuple(dict.fromkeys([*(axis for axis in range(buffer.rank) if axis not in first), *first]))

    def cost(self, buffer: Buffer, order: Order) -> float:
        """Of every record that names ``buffer``, were it in ``order``."""
        kept = self.orders.get(buffer)
        self.orders[buffer] = order
        total = sum(
            _map_cost(self.view(record)) if isinstance(record, Map) else _contract_cost(self.view(record), record.products)
            for record in self.users[buffer]
        )
        if kept is None:
            del self.orders[buffer]
        else:
            self.orders[buffer] = kept
        return total

    def labels(self, buffer: Buffer, labels: Labels) -> Labels:
        """The labels of a reference in the order in which its axes lie."""
        order = self.orders.get(buffer)
        return labels if order is None else tuple(labels[axis] for axis in order)

    def view(self, record: Map | Contract) -> _View:
        """``record`` with every reference as it would lie."""
        sizes = tuple(float(self.hints.of(extent)) for extent in record.extents)

        def long(labels: Labels) -> Labels:
            return tuple(label for label in labels if sizes[label] > 1)

        loads = tuple(long(self.labels(access.buffer, access.labels)) for access in accesses(record))
        stores = tuple(long(self.labels(store.target, store.labels)) for store in record.stores)
        walked = record.labels if isinstance(record, Map) else record.output
        return _View(loads, stores, long(walked), sizes)


def _named(record: Map | Contract) -> Iterator[tuple[Buffer, Labels]]:
    """Every reference of a record: loads, then stores."""
    yield from ((access.buffer, access.labels) for access in accesses(record))
    yield from ((store.target, store.labels) for store in record.stores)


# ------------------------------------------------------------------------------------------------ what it costs
@dataclass(frozen=True, slots=True)
class _View:
    """The references of a record, axes as they would lie; ``walked`` are the labels of its loops, ``sizes`` those of all
    labels."""

    loads: tuple[Labels, ...]
    stores: tuple[Labels, ...]
    walked: Labels
    sizes: tuple[float, ...]

    def entries(self, labels: Iterable[int]) -> float:
        total = 1.0
        for label in dict.fromkeys(labels):
            total *= self.sizes[label]
        return total


def _runs(labels: Labels, label: int) -> bool:
    """Whether a reference is contiguous along ``label``, or constant."""
    return label not in labels or (labels[-1] == label and labels.count(label) == 1)


def _map_cost(view: _View) -> float:
    """Entry by entry along the best innermost loop.

    >>> across = _View(loads=((0, 1),), stores=((1, 0),), walked=(0, 1), sizes=(10.0, 10.0))
    >>> along = _View(loads=((1, 0),), stores=((1, 0),), walked=(0, 1), sizes=(10.0, 10.0))
    >>> _map_cost(across) > _map_cost(along)
    True
    """
    every = view.entries(view.walked)

    def along(label: int) -> float:
        loads = sum(CONTIGUOUS if _runs(labels, label) else STRIDED_LOAD for labels in view.loads if label in labels)
        stores = sum(CONTIGUOUS if _runs(labels, label) else STRIDED_STORE for labels in view.stores if label in labels)
        return (loads + stores) * ceil(view.sizes[label] / VECTOR) * VECTOR / view.sizes[label]

    best = min((along(label) for label in view.walked), default=0.0)
    leader = max(view.stores, key=len, default=view.walked)
    return every * (best + OUT_OF_STEP * sum(not _in_step(labels, leader) for labels in (*view.loads, *view.stores)))


def _in_step(labels: Labels, leader: Labels) -> bool:
    """Whether the labels that two references share come in one order."""
    return [x for x in labels if x in leader] == [x for x in leader if x in labels]


def _contract_cost(view: _View, products: Sequence[Product]) -> float:
    """Packing and tiles of each product, then the epilogue's references along the columns of the tile."""
    total = 0.0
    out = max(view.stores, key=len)
    whole = frozenset(out) == frozenset(view.walked)
    tile = out if whole else view.walked
    for number in range(len(products)):
        left, right = view.loads[2 * number], view.loads[2 * number + 1]
        batch = [x for x in tile if x in left and x in right]
        groups = (
            (batch, (left, right, tile)),
            ([x for x in tile if x in left and x not in right], (left, tile)),
            ([x for x in tile if x in right and x not in left], (right, tile)),
            ([x for x in left if x in right and x not in tile], (left, right)),
        )
        for labels, weight in ((left, STRIDED_LOAD), (right, STRIDED_LOAD), (tile, STRIDED_STORE)):
            strided = bool(labels) and (labels[-1] in batch or labels.count(labels[-1]) > 1)
            total += view.entries(labels) * (weight if strided else CONTIGUOUS)
        for group, walks in groups:
            splits = sum(not _together(pair, walks) for pair in pairwise(group))
            total += SPLIT_GROUP * splits * sum(view.entries(walk) for walk in walks)
    column = tile[-1:]
    for labels in view.loads[2 * len(products) :]:
        runs = not column or _runs(labels, column[0])
        total += view.entries(tile) * ((CONTIGUOUS if runs else STRIDED_LOAD) + OUT_OF_STEP * (not _in_step(labels, tile)))
    for labels in view.stores:
        runs = not column or _runs(labels, column[0])
        total += view.entries(tile) * ((CONTIGUOUS if runs else STRIDED_STORE) + OUT_OF_STEP * (not _in_step(labels, tile)))
    return total


def _together(pair: tuple[int, int], walks: Iterable[Labels]) -> bool:
    """Whether two labels are neighbours, in this order, in every walk."""
    return all(pair in pairwise(walk) for walk in walks)


# ------------------------------------------------------------------------------------------------ the new records
def _permuted(items: Sequence[Dim], order: Order) -> tuple[Dim, ...]:
    return tuple(items[axis] for axis in order)


def _placed(record: Map | Contract, orders: Mapping[Buffer, Order]) -> Map | Contract:
    """``record`` with its references as the buffers lie, its loops and its tile in the order of its largest store."""

    def turned(buffer: Buffer, labels: Labels) -> Labels:
        order = orders.get(buffer)
        return labels if order is None else tuple(labels[axis] for axis in order)

    def access(found: Access) -> Access:
        return Access(found.buffer, turned(found.buffer, found.labels))

    if isinstance(record, Map) and not any(buffer in orders for buffer, _ in _named(record)):
        return record
    operands = tuple(access(operand) for operand in record.operands)
    stores = tuple(replace(store, labels=turned(store.target, store.labels)) for store in record.stores)
    if isinstance(record, Map):
        return replace(record, labels=_walk(record.labels, stores), operands=operands, stores=stores)
    products = tuple(replace(p, left=access(p.left), right=access(p.right)) for p in record.products)
    return replace(record, products=products, output=_walk(record.output, stores), operands=operands, stores=stores)


def _walk(labels: Labels, stores: Sequence[Store]) -> Labels:
    """``labels`` in the order of a store that has them all, rather as they are."""
    whole = [store.labels for store in stores if len(store.labels) == len(labels)]
    return labels if labels in whole or not whole else whole[0]
