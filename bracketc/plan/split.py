"""The batch split: records that only carry a batch, or sum over it at the end, run block by block.

Of each record one label of the size that is cut decides what its buffers are:

carried     has the batch as an axis; a block makes its own entries of it
partial     a sum (maximum, …) over the batch: complete after the last block
invariant   does not depend on the batch
blocking    needs the whole batch: it waits, with all that follow from it, for a stage of its own

    r_n = (X_nd w_d | n) - y_n;  g_d = (X_nd r_n | d)   ->   for blocks of N: r = X w - y, part of g += X^T r

Both products read a block of X while it is in the cache. Blocks are cut where the sizes say
(:func:`~bracketc.plan.schedule.division`), so that the same blocks divide the work among threads, or machines, without a
bit of difference.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bracketc.ir.dims import Dim
from bracketc.plan.cost import WIDTHS, entries, flops, moved
from bracketc.plan.hints import Hints
from bracketc.plan.making import apart, factors_made
from bracketc.plan.names import distinct
from bracketc.plan.notation import with_brackets
from bracketc.plan.ranges import with_ranges
from bracketc.plan.schedule import (
    Access,
    Blocks,
    Buffer,
    Contract,
    Instruction,
    Loop,
    Map,
    Mode,
    Plan,
    Product,
    Schedule,
    Split,
    Step,
    Store,
    Variant,
)
from bracketc.plan.steps import accesses, reads, writes
from bracketc.target import SEVERAL_THREADS

MEMORY = 16e9
"""Bytes a second from memory, …"""
CACHE = 64e9
"""… from the cache, …"""
ARITHMETIC = 60e9
"""… and operations a second of a core, roughly: they weigh what a split saves against what it costs."""

LARGER = 4
"""A split must pay at a batch that is so many times its hint: a single block costs little where it does not."""

DEEP = 128
"""Positions that a block must hold where its partial sums are matrices: the sums are read and written once a block; …"""
NEAR = 1 << 15
"""… a quarter of that suffices where it is known that they take no more bytes than this, and stay in the first-level cache."""

FIXED_SHARE = 2
"""A block has at least so many times the bytes that every block touches, however short: its partial sums, and what does not depend
on the batch. (A batch of nearly so many is still cut in two, which threads can share.)"""

STAYS = 4
"""So many budgets of a block fill the second-level cache."""

LEAST_GAIN = 0.1
"""A split that saves less than this share of the time of all arithmetic, with two threads or with one, is not worth its partial
sums."""

FEW = 64
"""Fewer sums than these are one thread's work: they are split where that is enough for several threads, …"""
DEAREST = 0.02
"""… if one thread loses no more than this share of the time to it."""

MORE = 1.05
"""So many times must a size gain what one before it does: those come first along which arrays lie in order."""

PATIENCE = 8
"""After so many stages that save nothing, one after another, the records that are left are not looked at again: each stage looks at
all of them, and a chain of contractions over one size has as many stages as it has links."""


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How blocks are cut, see :class:`~bracketc.plan.schedule.Blocks`; ``always`` splits whether it pays or not, ``label`` is the
    size that is cut, by default the one that gains most."""

    budget: int = 1 << 18
    unit: int = 16
    groups: int = 32
    always: bool = False
    label: str = ""


def split_plan(plan: Plan, options: SplitOptions | None = None) -> Plan:
    """Every schedule of ``plan`` with the split that pays, if one does."""
    hints, options = Hints(plan.hints), options or SplitOptions()
    schedules = tuple(split(s, hints, plan.real_bytes, options) for s in plan.schedules)
    known = dict(plan.hints)
    for step in (step for schedule in schedules for step in schedule.steps):
        if isinstance(step, Blocks):
            known[step.piece.names[0]] = min(hints.of(step.extent), step.division(hints.of).rows)
    return replace(plan, schedules=schedules, hints=known)


def split(schedule: Schedule, hints: Hints, real_bytes: int, options: SplitOptions) -> Schedule:
    """``schedule`` with its records in blocks of the size that gains most by it; the same when none does."""
    best: _Stages | None = None
    tried: list[str] = []
    for extent in _candidates(schedule):
        if options.label not in ("", str(extent)):
            continue
        stages = _Stages(schedule, extent, hints, real_bytes, options)
        stages.run()
        tried += stages.reasons
        if stages.cuts and (best is None or stages.gain > MORE * best.gain):
            best = stages
    if best is None:
        return replace(schedule, notes=(*schedule.notes, *dict.fromkeys(tried)))
    notes, variant = (*schedule.notes, *best.reasons), Variant((), tuple(best.steps))
    found = with_ranges(replace(schedule, variants=(variant,), notes=notes, split=best.signature()))
    steps = with_brackets(found.steps)
    return replace(found, variants=(Variant((), steps),), bytes=moved(steps, real_bytes))


def _candidates(schedule: Schedule) -> list[Dim]:
    """Sizes of axes of arguments that can be cut: named ones, and numbers."""
    found = dict.fromkeys(extent for buffer in (*schedule.arguments, *schedule.residuals) for extent in buffer.shape)
    return [extent for extent in found if extent.constant != 1 and (extent.constant or extent is _named(extent))]


def _named(extent: Dim) -> Dim | None:
    return Dim.named(extent.names[0]) if len(extent.names) == 1 else None


# ------------------------------------------------------------------------------------------------ stages
class _Stages:
    """One walk after another over the records that are left: what stands before blocks, in them, and behind."""

    def __init__(
        self, schedule: Schedule, extent: Dim, hints: Hints, real_bytes: int, options: SplitOptions
    ) -> None:
        self.schedule = schedule
        self.extent = extent
        self.hints = hints
        self.widths = {**WIDTHS, "real": real_bytes}
        self.options = options
        made = [buffer for step in schedule.steps for buffer in _all_made(step)]
        given = (*schedule.arguments, *schedule.residuals, *made)
        self.taken = {buffer.name for buffer in given}
        names = {name for buffer in given for length in buffer.shape for name in length.names}
        self.names = names
        self.piece = extent
        self.steps: list[Step] = []
        self.cuts: list[Blocks] = []
        self.gain = 0.0
        self.reasons: list[str] = []

    def run(self) -> None:
        rest, idle = list(self.schedule.steps), 0
        kept = {*(buffer for _, buffer in self.schedule.results), *self.schedule.residuals}
        while rest:
            region = _Region(self.extent, self.taken, {id(step) for step in factors_made(rest, kept).values()})
            region.run(rest)
            needed = kept | {buffer for step in region.rest for buffer in reads(step)}
            if not region.inside:
                self.steps += rest
                return
            name = f"{self.extent}_block" if self.extent.constant is None else "block"
            self.piece = Dim.named(distinct(name, self.names))
            blocks = region.blocks(self, needed)
            gain = self.saving(blocks, region)
            if gain > 0:
                self.steps += [*region.before, blocks]
                self.cuts.append(blocks)
                self.gain += gain
                idle = 0
            else:
                self.steps += region.left_whole()
                idle += 1
            rest = region.rest
            if idle == PATIENCE:
                self.steps += rest
                return

    def saving(self, blocks: Blocks, region: _Region) -> float:
        """Seconds that blocks save at the hints; 0 when they are not worth it."""
        if self.options.always:
            return 1.0
        hints = self.hints
        readers: dict[Buffer, int] = {}
        for step in blocks.steps:
            for buffer in reads(step):
                readers[buffer] = readers.get(buffer, 0) + 1
        stacked = {inner for inner, _, _ in blocks.stacks}
        pieces = [inner for inner, _, _ in blocks.slices]
        made = [b for step in blocks.steps for b in writes(step) if self.piece in b.shape]
        count = hints.of(self.extent)
        if self.extent.constant is None:
            count *= LARGER
        again = 0
        for buffer in (*pieces, *made):
            passes = readers.get(buffer, 0) - (buffer in pieces) + (buffer not in pieces and buffer not in stacked)
            again += passes * self.bytes_of(buffer, count)
        cut = blocks.division(hints.of, count)
        footprint = count * hints.of(blocks.row_bytes)
        known = {*pieces, *made}
        partial = sum(hints.count(outer.shape) * self.widths[outer.dtype] for _, outer, _ in blocks.sums)
        invariant = sum(
            hints.count(b.shape) * self.widths[b.dtype]
            for b in readers
            if b not in known and all(b is not inner for inner, _, _ in blocks.sums)
        )
        number = -(-count // cut.rows)
        cost = number * (2 * partial + invariant) / CACHE + cut.groups * 2 * partial / MEMORY
        grown = {self.extent.names[0]: Dim.of(count)} if self.extent.names else {}
        work = hints.of(self.schedule.flops.substitute(grown))
        gain = again / MEMORY - cost
        name = str(self.extent)
        matrices = any(outer.rank > 1 for _, outer, _ in blocks.sums)
        fitting = blocks.budget // max(1, hints.of(blocks.row_bytes))
        lengths = (blocks.row_bytes, *(length for _, outer, _ in blocks.sums for length in outer.shape))
        near = partial <= NEAR and all(length.constant is not None for length in lengths)
        if matrices and fitting < (DEEP // 4 if near else DEEP):
            self.reasons.append(
                f"not split by {name}: only {fitting} positions fit a block, too few to add up into matrices at full speed"
            )
            return 0.0
        least = hints.of(blocks.least_bytes)
        if least > max(STAYS * blocks.budget, blocks.unit * hints.of(blocks.row_bytes)):
            self.reasons.append(
                f"not split by {name}: blocks worth what each of them touches would hold {least / 1e6:.3g} MB, more than a cache"
            )
            return 0.0
        if footprint <= blocks.budget:
            self.reasons.append(f"not split by {name}: at {name} = {count} all that a call touches stays in the cache")
            return 0.0
        if gain < LEAST_GAIN * work / ARITHMETIC or again < blocks.budget:
            operations, traffic = self.alone(blocks, count)
            seconds = operations / ARITHMETIC + traffic / MEMORY
            matters = operations + traffic >= SEVERAL_THREADS and seconds / 2 >= LEAST_GAIN * work / ARITHMETIC
            if matters and cost <= DEAREST * seconds:
                self.reasons.append(
                    f"split by {name}: {cut.groups} groups of blocks can run on threads of their own; sums of"
                    f" {operations / 1e6:.3g} Mflop over {traffic / 1e6:.3g} MB at {name} = {count} would be left to one"
                )
                return seconds / 2 - cost
            self.reasons.append(
                f"not split by {name}: blocks would save {max(0, again) / 1e6:.3g} MB of memory traffic,"
                f" little against {work / 1e6:.3g} Mflop and {number} times {partial / 1e3:.3g} kB of partial sums"
            )
            return 0.0
        self.reasons.append(
            f"split by {name}: blocks of {cut.rows} stay in the cache, which saves {again / 1e6:.3g} MB of memory traffic at"
            f" {name} = {count}; {cut.groups} groups of blocks can run on threads of their own"
        )
        return gain

    def alone(self, blocks: Blocks, count: int) -> tuple[int, int]:
        """Flops and bytes, for ``count`` positions of the batch, of the records of ``blocks`` that threads cannot share as they
        are: those that make few sums."""
        steps = [step for step in blocks.steps if isinstance(step, Map | Contract) and self.by_one(step)]
        whole = {self.piece.names[0]: Dim.of(count)}
        return self.hints.of(flops(steps).substitute(whole)), self.hints.of(moved(steps, self.widths["real"]).substitute(whole))

    def by_one(self, step: Map | Contract) -> bool:
        """Whether threads have next to nothing to share but the size that is cut."""
        if isinstance(step, Contract):
            shared = step.output
        else:
            shared = tuple(x for x in step.labels if all(x in store.labels for store in step.stores))
        own = [step.extents[label] for label in shared]
        return self.piece not in own and self.hints.count(own) < FEW

    def bytes_of(self, buffer: Buffer, count: int) -> int:
        """Bytes of a piece for ``count`` positions of the batch."""
        others = self.hints.count(length for length in buffer.shape if length is not self.piece)
        return count * others * self.widths[buffer.dtype]

    def signature(self) -> Split:
        """How each result comes out of the blocks."""
        stacks = [{outer for _, outer, _ in blocks.stacks} for blocks in self.cuts]
        stage: dict[Buffer, int] = {}
        for step in self.steps:
            before = max((stage.get(buffer, 0) for buffer in reads(step)), default=0)
            for buffer in writes(step):
                stage[buffer] = before + isinstance(step, Blocks)
        outputs = []
        for name, buffer in self.schedule.results:
            if not stage.get(buffer):
                outputs.append((name, "once"))
            elif stage[buffer] > 1:
                outputs.append((name, "staged"))
            else:
                outputs.append((name, "concat" if any(buffer in made for made in stacks) else "sum"))
        return Split(str(self.extent), max(stage.values(), default=0), tuple(outputs))


def _all_made(step: Step) -> Iterable[Buffer]:
    """Every buffer that a step names, also inside of a loop."""
    yield from writes(step)
    if isinstance(step, Loop):
        yield from (carry.before for carry in step.carries)
        yield from (inner for inner, _ in step.slices)
        for inner_step in step.steps:
            yield from _all_made(inner_step)


def _multiplied(step: Contract) -> Iterable[Buffer]:
    """The factors of the products of a record."""
    return (access.buffer for product in step.products for access in (product.left, product.right))


# ------------------------------------------------------------------------------------------------ one stage
@dataclass
class _Region:
    """Records sorted into those before blocks, those inside with the label that is cut, and the rest, in order."""

    extent: Dim
    taken: set[str]
    made: set[int]
    """Records that a product takes as they are: what they make is not stored at all."""
    order: list[Step] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    inside: list[tuple[Map | Contract, int]] = field(default_factory=list)
    rest: list[Step] = field(default_factory=list)
    carried: dict[Buffer, int] = field(default_factory=dict)
    partial: dict[Buffer, Mode] = field(default_factory=dict)

    def run(self, steps: Sequence[Step]) -> None:
        self.order = list(steps)
        late: set[Buffer] = set()
        for step in steps:
            needs = set(reads(step))
            waits = any(buffer in late or buffer in self.partial for buffer in needs)
            label = None
            if isinstance(step, Map | Contract) and id(step) not in self.made:
                if not waits:
                    label = self.cut(step)
                elif isinstance(step, Contract) and not any(b in late or b in self.partial for b in _multiplied(step)):
                    label = self.cut(step)  # its epilogue alone waits: it may stand behind blocks that add up the product
                    label = None if label in step.output else label
            if label is not None and isinstance(step, Map | Contract):
                late.update(self.take(step, label))
            elif waits or any(buffer in self.carried for buffer in needs):
                self.rest.append(step)
                late.update(writes(step))
            else:
                self.before.append(step)

    def left_whole(self) -> list[Step]:
        """The records that need none of the rest, as they were, when no blocks are made; what needs it joins the rest."""
        waiting = {id(step) for step in self.rest}
        done: list[Step] = []
        self.rest = []
        late: set[Buffer] = set()
        for step in self.order:
            if id(step) in waiting or not late.isdisjoint(reads(step)):
                self.rest.append(step)
                late.update(writes(step))
            else:
                done.append(step)
        return done

    def cut(self, step: Map | Contract) -> int | None:
        """The label of ``step`` that blocks cut; ``None`` where it has none or needs the whole batch."""
        found = {a.labels[self.carried[a.buffer]] for a in accesses(step) if a.buffer in self.carried}
        if found:
            return next(iter(found)) if len(found) == 1 and self.valid(step, min(found)) else None
        own = step.labels if isinstance(step, Map) else range(len(step.extents))
        return next((x for x in own if step.extents[x] is self.extent and self.valid(step, x)), None)

    def valid(self, step: Map | Contract, label: int) -> bool:
        """Whether a block can do its part of ``step`` alone."""
        if isinstance(step, Contract) and step.symmetric and apart(step):
            return False  # half of the whole is less than all of its parts
        for access in accesses(step):
            places = [axis for axis, other in enumerate(access.labels) if other == label]
            axis = self.carried.get(access.buffer)
            if len(places) > 1 or (axis is not None and places != [axis]):
                return False
        for instruction in step.program:
            counted = (instruction.label, instruction.label2) if instruction.operation in ("index", "delta") else ()
            if label in counted:
                return False
        if isinstance(step, Contract) and label not in step.output:
            return all(label in product.left.labels and label in product.right.labels for product in step.products)
        return all(label in store.labels or store.mode != "store" for store in step.stores)

    def take(self, step: Map | Contract, label: int) -> tuple[Buffer, ...]:
        """Let blocks do ``step``. Gives the buffers that are made behind the blocks."""
        late: tuple[Buffer, ...] = ()
        if isinstance(step, Contract) and label not in step.output:
            plain = len(step.program) == 1 and len(step.stores) == 1
            if not plain:
                finished, step = self.unfused(step)
                self.rest.append(finished)
                late = writes(finished)
        self.inside.append((step, label))
        for store in step.stores:
            if label in store.labels:
                self.carried[store.target] = store.labels.index(label)
            else:
                self.partial[store.target] = "sum" if isinstance(step, Contract) else store.mode
        return late

    def unfused(self, step: Contract) -> tuple[Map, Contract]:
        """The epilogue behind the blocks, and the product in them, into a buffer of its own."""
        total = Buffer(
            distinct(f"{step.stores[0].target.name}_sum", self.taken),
            tuple(step.extents[label] for label in step.output),
        )
        load = Instruction("load", operand=len(step.operands))
        program = tuple(load if i.operation == "accumulator" else i for i in step.program)
        operands = (*step.operands, Access(total, step.output))
        finished = Map(step.output, operands, program, step.stores, step.extents)
        stores = (Store(total, step.output, 0),)
        return finished, replace(step, operands=(), program=(Instruction("accumulator"),), stores=stores)

    def blocks(self, stages: _Stages, needed: set[Buffer]) -> Blocks:
        """The records inside as a record of blocks."""
        taken, piece = set(self.taken), stages.piece
        slices: dict[tuple[Buffer, int], Buffer] = {}
        inner: dict[Buffer, Buffer] = {}

        def cut(buffer: Buffer, axis: int) -> Buffer:
            shape = (*buffer.shape[:axis], piece, *buffer.shape[axis + 1 :])
            return Buffer(distinct(f"{buffer.name}_block", taken), shape, buffer.dtype)

        def access(given: Access, label: int) -> Access:
            if given.buffer in inner:
                return Access(inner[given.buffer], given.labels)
            if label not in given.labels:
                return given
            key = (given.buffer, given.labels.index(label))
            if key not in slices:
                slices[key] = cut(*key)
            return Access(slices[key], given.labels)

        steps: list[Step] = []
        for step, label in self.inside:
            operands = tuple(access(a, label) for a in step.operands)
            extents = tuple(piece if x == label else length for x, length in enumerate(step.extents))
            products: tuple[Product, ...] = ()
            if isinstance(step, Contract):
                products = tuple(
                    Product(p.coefficient, access(p.left, label), access(p.right, label)) for p in step.products
                )
            stores = []
            for store in step.stores:
                target = store.target
                if target in self.carried:
                    inner[target] = cut(target, self.carried[target])
                else:
                    inner[target] = Buffer(distinct(f"{target.name}_part", taken), target.shape, target.dtype)
                stores.append(replace(store, target=inner[target]))
            changed = replace(step, operands=operands, extents=extents, stores=tuple(stores))
            steps.append(replace(changed, products=products) if isinstance(changed, Contract) else changed)
        rows = [*slices.values(), *(inner[buffer] for buffer in self.carried)]
        options = stages.options
        return Blocks(
            self.extent,
            piece,
            _bytes(rows, stages.widths, piece),
            FIXED_SHARE * _bytes(_fixed(steps, set(rows)), stages.widths),
            tuple((within, outer, axis) for (outer, axis), within in slices.items()),
            tuple((inner[b], b, axis) for b, axis in self.carried.items() if b in needed),
            tuple((inner[b], b, mode) for b, mode in self.partial.items()),
            tuple(steps),
            options.budget,
            options.unit,
            options.groups,
        )


def _bytes(buffers: Iterable[Buffer], widths: Mapping[str, int], piece: Dim | None = None) -> Dim:
    """Bytes of all of ``buffers``, of those of a ``piece`` for one position."""
    total = Dim.of(0)
    for buffer in buffers:
        total = total + widths[buffer.dtype] * entries(length for length in buffer.shape if length is not piece)
    return total


def _fixed(steps: Iterable[Step], pieces: Container[Buffer]) -> Iterable[Buffer]:
    """What the steps of a block read and write beside its pieces: what does not depend on the batch, and partial sums."""
    return dict.fromkeys(buffer for step in steps for buffer in (*reads(step), *writes(step)) if buffer not in pieces)


