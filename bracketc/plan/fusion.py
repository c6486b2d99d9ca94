"""Fewer passes over memory with the same meaning, and never more flops.

fold     element-wise work with one reader is computed by the reader join     what reads a value entry by entry is
computed in the pass that makes it: the epilogue of a contraction, another store or
         sum of a Map; Maps that read the same entries share a pass
products of one reader that are added accumulate into one tile

    T_nh = (X_nd W_dh | nh);  A_nh = T_nh + b_h;  Z_nh = tanh(A_nh)   ->   Contract X W, epilogue Z = tanh(acc + b)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from dataclasses import replace

from bracketc.ir.nodes import Labels
from bracketc.plan.folding import MAX_OPERANDS, MAX_PROGRAM, fold
from bracketc.plan.groups import Group, Sequence
from bracketc.plan.order import arrange
from bracketc.plan.scalars import Scalars, prune
from bracketc.plan.schedule import Access, Buffer, Carry, Contract, Loop, Map, Product, Step
from bracketc.plan.steps import reads, writes
from bracketc.plan.tidy import tidied

MAX_MOVED = 48
"""Most groups that are looked at, and moved, to let one record join an earlier one."""

MAX_SIBLINGS = 4
"""So many of the latest readers of a buffer are tried as company for another reader."""


def fuse(steps: Many[Step], keep: Iterable[Buffer]) -> tuple[Step, ...]:
    """``steps`` joined into fewer records; only ``keep`` must be there afterwards."""
    keep = tuple(keep)
    fused = [_fused_body(step) for step in without_dead(steps, keep)]
    joining = _Joining(arrange(fold(fused, keep)), keep)
    return tuple(tidied(step) for step in without_dead(joining.run(), keep))


def _fused_body(step: Step) -> Step:
    if not isinstance(step, Loop):
        return step
    return replace(step, steps=fuse(step.steps, _loop_needs(step)))


def _loop_needs(step: Loop) -> list[Buffer]:
    return [*(carry.after for carry in step.carries), *(inner for inner, _ in step.stacks)]


# ------------------------------------------------------------------------------------------------ dead code
def without_dead(steps: Many[Step], keep: Iterable[Buffer]) -> tuple[Step, ...]:
    """Only the stores, and the steps, that ``keep`` needs."""
    live = set(keep)
    kept: list[Step] = []
    for step in reversed(steps):
        if not any(buffer in live for buffer in writes(step)):
            continue
        step = _trimmed(step, live)
        live.update(reads(step))
        kept.append(step)
    return tuple(reversed(kept))


def _trimmed(step: Step, live: set[Buffer]) -> Step:
    if isinstance(step, Map | Contract):
        stores = tuple(store for store in step.stores if store.target in live)
        operands, program, stores = prune(step.operands, step.program, stores)
        if program is step.program and len(stores) == len(step.stores):
            return step
        return replace(step, operands=operands, program=program, stores=stores)
    if isinstance(step, Loop):
        carries = tuple(Carry(c.before, c.after, c.initial, c.final if c.final in live else None) for c in step.carries)
        stacks = tuple((inner, outer) for inner, outer in step.stacks if outer in live)
        trimmed = replace(step, carries=carries, stacks=stacks)
        return replace(trimmed, steps=without_dead(step.steps, _loop_needs(trimmed)))
    return step


# ------------------------------------------------------------------------------------------------ joining
class _Joining:
    """One walk over records in order: each joins a group that is there, or opens one."""

    def __init__(self, steps: Many[Step], keep: Iterable[Buffer]) -> None:
        self.steps = steps
        self.keep = set(keep)
        self.sequence = Sequence()
        self.maker: dict[Buffer, Group] = {}
        self.readers: dict[Buffer, int] = {}
        self.company: dict[Buffer, list[tuple[Group, Labels]]] = {}
        self.single: Group | None = None
        for step in steps:
            for buffer in reads(step):
                self.readers[buffer] = self.readers.get(buffer, 0) + 1

    def run(self) -> list[Step]:
        for step in self.steps:
            if isinstance(step, Map):
                step = self.added_products(step)
                group = self.join(step) or self.open(step)
                self.remember(step, group)
            else:
                group = self.open(step)
            for buffer in writes(step):
                self.maker[buffer] = group
        return [group.finished() for group in self.sequence]

    def makers(self, step: Step) -> list[Group]:
        """Groups whose buffers ``step`` reads, the latest first."""
        found = dict.fromkeys(self.maker[buffer] for buffer in reads(step) if buffer in self.maker)
        return sorted(found, key=lambda group: -group.key)

    def open(self, step: Step) -> Group:
        group = Group(step, self.makers(step))
        self.sequence.append(group)
        return group

    def remember(self, step: Map, group: Group) -> None:
        """Let later readers of the same entries find ``group``."""
        if not step.labels and isinstance(group.step, Map):
            self.single = group
        for place, access in enumerate(group.scalars.operands if len(step.operands) else ()):
            if isinstance(group.step, Map) and _is_full(access, group.labels) and place < MAX_OPERANDS:
                known = self.company.setdefault(access.buffer, [])
                if not known or known[-1][0] is not group:
                    known.append((group, access.labels))
                    del known[:-MAX_SIBLINGS]

    def join(self, step: Map) -> Group | None:
        """The group that took ``step`` in: one whose value it reads, else one that reads the same entries."""
        makers = self.makers(step)
        for group in makers:
            places = _places(step, group)
            if places is not None and self.admit(step, group, makers, places):
                return group
        for access in step.operands:
            if _is_full(access, step.labels) and step.labels:
                for group, labels in reversed(self.company.get(access.buffer, ())):
                    places = dict(zip(access.labels, labels, strict=True))
                    if group not in makers and self.admit(step, group, makers, places):
                        return group
        if not step.labels and self.single is not None and self.single not in makers:
            return self.single if self.admit(step, self.single, makers, {}) else None
        return None

    def admit(self, step: Map, group: Group, makers: Many[Group], places: Mapping[int, int]) -> bool:
        """Let ``step`` join ``group`` if that fits, moving what it reads before ``group`` where needed."""
        if len(group.scalars.program) + len(step.program) > MAX_PROGRAM:
            return False
        if len(group.scalars.operands) + len(step.operands) > MAX_OPERANDS:
            return False
        if isinstance(group.step, Contract) and any(store.mode not in ("store", "sum") for store in step.stores):
            return False
        late = [maker for maker in makers if maker.key > group.key]
        moved = self.movable(late, group)
        if moved is None:
            return False
        for other in moved:
            self.sequence.move_before(other, group)
        group.join(step, places.__getitem__)
        group.needs.update(dict.fromkeys(maker for maker in makers if maker is not group))
        return True

    def movable(self, late: Many[Group], group: Group) -> list[Group] | None:
        """What must stand before ``group`` so that ``late`` does, in order; ``None`` if that needs ``group`` itself,
        or is too much."""
        found: dict[Group, None] = {}
        pending = list(late)
        while pending:
            other = pending.pop()
            if other is group or len(found) > MAX_MOVED:
                return None
            if other not in found and other.key > group.key:
                found[other] = None
                pending.extend(need for need in other.needs if need.key >= group.key)
        return sorted(found, key=lambda other: other.key)

    def added_products(self, step: Map) -> Map:
        """Contractions that only one sum of ``step`` reads accumulate into one tile.

        T = (Z_nh W_hk | nk);  U = (X_nd V_dk | nk);  T + U + b_k   ->   Contract Z W + X V, and acc + b_k
        """
        uses: dict[int, int] = {}
        for instruction in step.program:
            for arg in instruction.args:
                uses[arg] = uses.get(arg, 0) + 1
        for store in step.stores:
            uses[store.value] = uses.get(store.value, 0) + 1
        dropped: dict[int, list[int]] = {}
        for number, instruction in enumerate(step.program):
            if instruction.operation != "add":
                continue
            terms = [arg for arg in dict.fromkeys(instruction.args) if uses[arg] == 1 and self._is_lone(step, arg)]
            if len(terms) < 2:
                continue
            terms.sort(key=lambda arg: self._access(step, arg)[0].key)
            for term in reversed(terms[:-1]):
                self._accumulate(*self._access(step, terms[-1]), *self._access(step, term))
            dropped[number] = terms[:-1]
        return _without_terms(step, dropped) if dropped else step

    def _access(self, step: Map, number: int) -> tuple[Group, Access]:
        access = step.operands[step.program[number].operand]
        return self.maker[access.buffer], access

    def _is_lone(self, step: Map, number: int) -> bool:
        """Whether an instruction loads a bare contraction, entry by entry, that nobody else reads."""
        if step.program[number].operation != "load":
            return False
        access = step.operands[step.program[number].operand]
        group = self.maker.get(access.buffer)
        if group is None or not isinstance(group.step, Contract) or len(group.scalars.program) != 1:
            return False
        if sum(operand.buffer is access.buffer for operand in step.operands) > 1:
            return False  # T_ij + T_ji
        alone = self.readers[access.buffer] == 1 and access.buffer not in self.keep and len(group.stores) == 1
        return alone and _is_full(access, step.labels)

    def _accumulate(self, into: Group, access: Access, group: Group, other: Access) -> None:
        """Add the products of ``group`` to those of ``into``; the accesses say which labels are which."""
        place = dict(zip(access.labels, into.stores[0].labels, strict=True))
        names: dict[int, int] = {}
        for label, read in zip(group.stores[0].labels, other.labels, strict=True):
            names[label] = place[read]
        for label, extent in enumerate(group.extents):
            if label not in names:
                names[label] = len(into.extents)
                into.extents.append(extent)
        moved = []
        for product in group.products:
            left, right = (Access(a.buffer, tuple(names[x] for x in a.labels)) for a in (product.left, product.right))
            moved.append(Product(product.coefficient, left, right))
        into.products[:0] = moved
        into.needs.update(group.needs)
        self.sequence.remove(group)


def _is_full(access: Access, labels: Labels) -> bool:
    """Whether an access walks over every entry of its buffer once, as the labels of the record do."""
    return len(access.labels) == len(labels) and len(set(access.labels)) == len(labels)


def _places(step: Map, group: Group) -> dict[int, int] | None:
    """Which label of ``group`` each label of ``step`` is, if it reads results of ``group`` entry by entry only."""
    if not group.is_open or len(step.labels) != len(group.labels):
        return None
    places: dict[int, int] | None = None
    own = {store.target for store in group.stores}
    for access in step.operands:
        if access.buffer not in own:
            continue
        entry = group.entries.get(access.buffer)
        if entry is None or not _is_full(access, step.labels):
            return None
        found = dict(zip(access.labels, entry[1], strict=True))
        if places is not None and places != found:
            return None
        places = found
    return places


def _without_terms(step: Map, dropped: Mapping[int, Many[int]]) -> Map:
    """``step`` without some terms of its sums."""
    scalars = Scalars()
    numbers: list[int] = []
    gone = {term for terms in dropped.values() for term in terms}
    for number, instruction in enumerate(step.program):
        if number in gone:
            numbers.append(-1)
            continue
        if instruction.operation == "load":
            numbers.append(scalars.load(step.operands[instruction.operand]))
            continue
        args = [numbers[arg] for arg in instruction.args if not (number in dropped and arg in dropped[number])]
        alone = number in dropped and len(args) == 1
        numbers.append(args[0] if alone else scalars.add(replace(instruction, args=tuple(args))))
    stores = tuple(replace(store, value=numbers[store.value]) for store in step.stores)
    return replace(step, operands=tuple(scalars.operands), program=tuple(scalars.program), stores=stores)
