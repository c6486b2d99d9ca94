"""A bracket of the tensor IR in portions and fusions, as *Matrix Differential Calculus with Tensors* writes it (2.3).

Every label is a place where portions meet: the factors that carry it are fused there, with a bar if it is summed. What
is found here is only how the portions lie; names, tags and bars are spelt in :mod:`bracketc.emit.products`.

    (X_ni Z_no C_no | io)   ->   X_2 [Z C (~X_1 𝟏)]          (a_i X_ij b_j | )   ->   [a ~X_1] [~X_2 b]

A label alone gives a fusion of rank 1, in which every factor is a vector: any order of the result is reached so. Labels
that several factors share become one fusion of a higher rank where that is shorter, in which the factors that carry
some of the labels stand in groups, with ones on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from bracketc.ir.nodes import Labels

MOST_MERGES = 24
"""Sets of labels that are tried as one fusion."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One dimension of a portion: the positions of its factor (counted from 1) that are fused there."""

    positions: tuple[int, ...]
    barred: bool = False


@dataclass(frozen=True, slots=True)
class Portion:
    """Some dimensions of one factor, in order; with ``barred`` all of them are summed where they stand."""

    factor: int
    slots: tuple[Slot, ...]
    barred: bool = False


@dataclass(frozen=True, slots=True)
class OnesPortion:
    """A dimension that no factor carries; ``label`` gives its size."""

    label: int
    barred: bool = False
    alone: bool = False  # whether nothing that it is fused with has its size


@dataclass(frozen=True, slots=True)
class Fusion:
    """``[…]``: members of one rank, multiplied dimension by dimension."""

    members: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """``(…)`` in a fusion: items side by side, whose dimensions follow each other."""

    items: tuple[Item, ...]


Item: TypeAlias = Portion | OnesPortion | Fusion | Group

Block: TypeAlias = Labels
"""Labels of one fusion, in the order of its dimensions."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Items side by side; their free dimensions are those of the bracket, in order. ``split`` are the factors whose
    dimensions do not stand together."""

    items: tuple[Item, ...]
    split: tuple[int, ...]


def layout(factors: Sequence[Labels], output: Labels, closed: Sequence[bool]) -> Layout:
    """How the portions of ``factors`` lie. ``closed`` ones should stay whole: they are expressions without a name.

    Scalars do not belong to ``factors``. A closed factor that is split all the same has to be given a name.
    """
    found = _Arrangement(factors, output, ())
    for labels in _candidates(factors, output, closed):
        block = found.block(labels)
        if block is None:
            continue
        wider = _Arrangement(factors, output, (*found.merged, block))
        if wider.cost(closed) < found.cost(closed):
            found = wider
    return found.layout()


def _candidates(factors: Sequence[Labels], output: Labels, closed: Sequence[bool]) -> list[frozenset[int]]:
    """Sets of labels that may become one fusion: those of a closed factor, those that two factors share, and those of a factor
    that is free and fused everywhere."""
    found: dict[frozenset[int], None] = {}
    carried = [frozenset(labels) for labels in factors]
    for own, is_closed in zip(carried, closed, strict=True):
        if is_closed and len(own) > 1:
            found.setdefault(own, None)
    pairs: dict[frozenset[int], None] = {}
    for place, own in enumerate(carried):
        if len(own) < 2:
            continue
        for other in carried[place + 1 :]:
            if len(own & other) > 1:
                pairs.setdefault(own & other, None)
        if len(pairs) > MOST_MERGES:
            break
    for own in carried:
        if len(own) > 1 and own <= set(output) and all(sum(label in other for other in carried) > 1 for label in own):
            pairs.setdefault(own, None)
    ordered = sorted(pairs, key=lambda labels: (-len(labels), sorted(labels)))
    return list(dict.fromkeys([*found, *ordered]))[:MOST_MERGES]


class _Arrangement:
    """The items for one choice of fusions of higher rank."""

    __slots__ = ("carriers", "factors", "free", "merged", "output", "placed")

    def __init__(self, factors: Sequence[Labels], output: Labels, merged: tuple[Block, ...]) -> None:
        self.factors = factors
        self.output = output
        self.free = frozenset(output)
        self.merged = merged
        self.carriers: dict[int, list[int]] = {label: [] for label in output}
        for place, labels in enumerate(factors):
            for label in dict.fromkeys(labels):
                self.carriers.setdefault(label, []).append(place)
        self.placed: dict[Block, None] = {}

    def block(self, labels: frozenset[int]) -> Block | None:
        """``labels`` in an order that the result allows, that of a factor that carries them all if it may be.

        ``None`` where its free dimensions do not follow each other in the result, or another fusion has one of them.
        """
        if any(labels & set(block) for block in self.merged):
            return None
        free = [label for label in self.output if label in labels]
        if free:
            first = self.output.index(free[0])
            if list(self.output[first : first + len(free)]) != free:
                return None
        wide = [tuple(dict.fromkeys(own)) for own in self.factors if labels <= set(own)]
        rows = [tuple(label for label in own if label in labels) for own in wide]
        for row in rows:
            if [label for label in row if label in self.free] == free:
                return row
        rest = iter(free)
        return tuple(next(rest) if label in self.free else label for label in rows[0])

    # ------------------------------------------------------------------------------------------ order
    def layout(self) -> Layout:
        items = tuple(_joined(self.items()))
        count: dict[int, int] = {}
        for portion in portions(items):
            count[portion.factor] = count.get(portion.factor, 0) + 1
        return Layout(items, tuple(place for place, times in sorted(count.items()) if times > 1))

    def cost(self, closed: Sequence[bool]) -> int:
        """Symbols that a reader sees; naming a closed factor because it is split costs an equation."""
        found = self.layout()
        return _weight(found.items, self.factors) + 12 * sum(closed[place] for place in found.split)

    def items(self) -> list[Item]:
        """Fusions with free dimensions in the order of the result, a summed one behind what it is joined to."""
        blocks: dict[int, Block] = {label: block for block in self.merged for label in block}
        every = dict.fromkeys(blocks.get(label, (label,)) for label in (*self.output, *sorted(self.carriers)))
        open_blocks = sorted((b for b in every if self.free.isdisjoint(b)), key=lambda block: -len(block))
        self.placed = {}
        items: list[Item] = []
        loose: list[Item] = []
        for found, wanted in ((items, [b for b in every if not self.free.isdisjoint(b)]), (loose, open_blocks)):
            for block in wanted:
                if block not in self.placed:
                    found.append(self._fused(block, open_blocks))
                    found += self._follow(block, open_blocks)
        return [*loose, *items]

    def _touching(self, block: Block) -> dict[int, None]:
        return dict.fromkeys(place for label in block for place in self.carriers[label])

    def _follow(self, block: Block, open_blocks: Sequence[Block]) -> Iterator[Item]:
        """Summed fusions that lead on from ``block``, each from a factor of the one before."""
        reached = self._touching(block)
        while True:
            following = next(
                (b for b in open_blocks if b not in self.placed and not reached.keys().isdisjoint(self._touching(b))), None
            )
            if following is None:
                return
            yield self._fused(following, open_blocks)
            reached = self._touching(following)

    # ------------------------------------------------------------------------------------------ one fusion
    def _fused(self, block: Block, open_blocks: Sequence[Block]) -> Item:
        self.placed[block] = None
        summed = [label not in self.free for label in block]
        whole: list[Portion] = []
        rest: list[int] = []
        for place in self._touching(block):
            if set(block) <= set(self.factors[place]):
                whole.append(self._portion(place, block))
            else:
                rest.append(place)
        if not whole and not rest:  # a free dimension of ones
            return OnesPortion(block[0], alone=True)
        groups = self._groups(block, rest)
        members: list[Item] = [*whole, *(self._group(block, row, summed, open_blocks) for row in groups)]
        if any(summed):
            if all(summed):
                members[0] = replace(whole[0], barred=True)
            elif not any(_has_bars(member) for member in members):
                members.append(Group(tuple(OnesPortion(label, barred) for label, barred in zip(block, summed, strict=True))))
        return members[0] if len(members) == 1 else Fusion(tuple(members))

    def _portion(self, place: int, labels: Labels, barred: bool = False) -> Portion:
        own = self.factors[place]
        slots = tuple(Slot(tuple(p + 1 for p, label in enumerate(own) if label == wanted)) for wanted in labels)
        return Portion(place, slots, barred)

    def _groups(self, block: Block, rest: Sequence[int]) -> list[list[int]]:
        """Factors that carry some labels of ``block``, those that do not meet together in one row."""
        rows: list[list[int]] = []
        for place in rest:
            own = set(block).intersection(self.factors[place])
            row = next((r for r in rows if all(own.isdisjoint(self.factors[other]) for other in r)), None)
            if row is None:
                rows.append([place])
            else:
                row.append(place)
        return rows

    def _group(self, block: Block, row: Sequence[int], summed: Sequence[bool], open_blocks: Sequence[Block]) -> Item:
        """One row of a fusion: for each label the factor that carries it, or ones; between two factors what joins them."""
        owner = {label: place for place in row for label in block if label in self.factors[place]}
        runs: list[tuple[int | None, list[int]]] = []
        bars = not all(summed)
        for label, barred in zip(block, summed, strict=True):
            place = owner.get(label)
            last = runs[-1] if runs else None
            if place is not None and last and last[0] == place and (not bars or (last[1][0] in self.free) != barred):
                last[1].append(label)
            else:
                runs.append((place, [label]))
        items: list[Item] = []
        for number, (place, labels) in enumerate(runs):
            barred = bars and labels[0] not in self.free
            items.append(OnesPortion(labels[0], barred) if place is None else self._portion(place, tuple(labels), barred))
            following = runs[number + 1][0] if number + 1 < len(runs) else None
            if place is not None and following is not None and place != following:
                for open_block in open_blocks:
                    if open_block not in self.placed and set(self._touching(open_block)) == {place, following}:
                        items.append(self._fused(open_block, open_blocks))
        return Group(tuple(items))


def _has_bars(item: Item) -> bool:
    """Whether a bar stands in a group."""
    return isinstance(item, Group) and any(isinstance(i, Portion | OnesPortion) and i.barred for i in item.items)


def _joined(items: Sequence[Item]) -> Iterator[Item]:
    """Portions of one factor that follow each other as one, bars within it: ``~A_1 A_2`` is ``A_{~12}``."""
    last: Portion | None = None
    for item in items:
        if isinstance(item, Portion) and last is not None and last.factor == item.factor:
            last = Portion(item.factor, (*_spread(last), *_spread(item)))
            continue
        if last is not None:
            yield _whole_bar(last)
        last = item if isinstance(item, Portion) else None
        if last is None:
            yield item
    if last is not None:
        yield _whole_bar(last)


def _spread(portion: Portion) -> tuple[Slot, ...]:
    return tuple(replace(slot, barred=slot.barred or portion.barred) for slot in portion.slots)


def _whole_bar(portion: Portion) -> Portion:
    """A bar in front where every dimension has one; else bars where the free dimensions leave them room."""
    slots = sorted(portion.slots, key=lambda slot: slot.positions)
    if [slot for slot in slots if not slot.barred] == [slot for slot in portion.slots if not slot.barred]:
        portion = replace(portion, slots=tuple(slots))
    if len(portion.slots) > 1 and all(slot.barred for slot in portion.slots):
        return Portion(portion.factor, tuple(replace(slot, barred=False) for slot in portion.slots), True)
    if portion.barred and len(portion.slots) == 1 and len(portion.slots[0].positions) > 1:
        return Portion(portion.factor, _spread(portion))
    return portion


def portions(items: Sequence[Item]) -> Iterator[Portion]:
    """Every portion, from left to right."""
    for item in items:
        if isinstance(item, Portion):
            yield item
        elif not isinstance(item, OnesPortion):
            yield from portions(item.members if isinstance(item, Fusion) else item.items)


def _weight(items: Sequence[Item], factors: Sequence[Labels]) -> int:
    total = 0
    for item in items:
        if isinstance(item, Portion):
            plain = [p for slot in item.slots for p in slot.positions] == list(range(1, len(factors[item.factor]) + 1))
            total += 1 + item.barred + (0 if plain and len(item.slots) == len(factors[item.factor]) else 1 + len(item.slots))
        elif isinstance(item, OnesPortion):
            total += 1 + item.barred
        else:
            total += 2 + _weight(item.members if isinstance(item, Fusion) else item.items, factors)
    return total
