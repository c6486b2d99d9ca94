"""From a schedule to a kernel: labels become loops, accesses become strides, buffers become storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Labels, Shape
from bracketc.loops.arena import Arena
from bracketc.loops.kernel import (
    NEUTRAL,
    Address,
    Axis,
    Blocks,
    Check,
    Combine,
    Contraction,
    Copy,
    Epilogue,
    EpilogueOperand,
    Factorise,
    Fill,
    Form,
    Group,
    Indirect,
    Kernel,
    Nest,
    Reference,
    Statement,
    Steps,
    Storage,
    StorageKind,
    Write,
)
from bracketc.plan import schedule as plan
from bracketc.plan.schedule import Buffer, Instruction, Mode, Product, Schedule

_ZERO = Dim.of(0)
_ONE = Dim.of(1)

LEAST_LANES = 4
"""Products side by side that are worth a vector."""

MOST_UNROLLED = 256
"""Multiplications of a product that is written out rather than called: about as long as a call takes."""


def lower(schedule: Schedule) -> Kernel:
    """The kernel of one entry point (its unguarded variant)."""
    lowering = _Lowering(Arena(), {})
    arguments = tuple(lowering.given(buffer, "argument") for buffer in schedule.arguments)
    forward = schedule.entry == "forward"
    residuals = tuple(lowering.given(buffer, "residual") for buffer in schedule.residuals)
    results = tuple(lowering.given(buffer, "result") for _, buffer in schedule.results)
    if forward:
        # A residual that is also a result is computed into the result and copied, so that neither aliases the other.
        assert not {b for _, b in schedule.results} & set(schedule.residuals)
    body = tuple(lowering.steps(schedule.steps, keep=()))
    return Kernel(
        schedule.entry,
        arguments,
        residuals,
        results,
        tuple(lowering.arena.sizes),
        tuple(lowering.arena.dtypes),
        body,
        tuple(dict.fromkeys(lowering.checks)),
        schedule.flops,
        schedule.bytes,
        tuple(lowering.local.sizes),
        tuple(lowering.local.dtypes),
    )


def row_major(shape: Shape) -> tuple[Dim, ...]:
    """Strides in elements of a dense array in C order: (N, 3) -> (3, 1)."""
    strides = [_ONE]
    for extent in reversed(shape[1:]):
        strides.append(strides[-1] * extent)
    return tuple(reversed(strides)) if shape else ()


@dataclass
class _Lowering:
    """Storage of buffers while the steps of one schedule are lowered in order."""

    arena: Arena
    storage: dict[Buffer, Storage]
    labels: int = 0
    checks: list[Check] = field(default_factory=list)
    local: Arena = field(default_factory=Arena)
    kind: StorageKind = "arena"
    """Where what is made now lives: ``local`` inside of blocks."""
    strides: dict[Buffer, tuple[Dim, ...]] = field(default_factory=dict)
    """Strides of buffers that are no dense blocks."""

    def given(self, buffer: Buffer, kind: str) -> Storage:
        found = Storage(buffer.name, kind, buffer.shape, buffer.dtype)  # type: ignore[arg-type]
        self.storage[buffer] = found
        return found

    def steps(self, steps: tuple[plan.Step, ...], keep: Iterable[Buffer]) -> Iterable[Statement]:
        """Statements of ``steps``; arena slots are given back after the last use of a buffer, those of ``keep`` stay
        taken."""
        last: dict[Buffer, int] = {}
        made: dict[Buffer, int] = {}
        for number, step in enumerate(steps):
            for buffer in (*reads(step), *targets(step)):
                last[buffer] = number
            for buffer in targets(step):
                made[buffer] = number
        keep = set(keep)
        dying: dict[int, list[Buffer]] = {}
        for buffer, number in last.items():
            if buffer in made and buffer not in keep:
                dying.setdefault(number, []).append(buffer)
        for number, step in enumerate(steps):
            for buffer in targets(step):
                if buffer not in self.storage:
                    slot = self.room.take(_size(buffer.shape), buffer.dtype)
                    self.storage[buffer] = Storage(buffer.name, self.kind, buffer.shape, buffer.dtype, slot)
            yield from self.step(step)
            for buffer in dying.get(number, ()):
                found = self.storage[buffer]
                if found.kind == self.kind:
                    self.room.give_back(found.slot)

    def step(self, step: plan.Step) -> Iterable[Statement]:
        match step:
            case plan.Contract():
                yield from self.contract(step)
            case plan.Map():
                yield from self.map(step)
            case plan.Take():
                yield self.take(step)
            case plan.Place():
                yield from self.place(step)
            case plan.Gather():
                yield self.gather(step)
            case plan.Scatter():
                yield from self.scatter(step)
            case plan.Join():
                yield from self.join(step)
            case plan.Factorise():
                args = tuple(self.storage[a] for a in step.args)
                yield Factorise(step.operator, self.storage[step.target], args, step.about, step.bracket)
            case plan.Loop():
                yield from self.loop(step)
            case plan.Blocks():
                yield from self.blocks(step)

    @property
    def room(self) -> Arena:
        """The arena of what is made now."""
        return self.local if self.kind == "local" else self.arena

    # ------------------------------------------------------------------------------------------- addresses
    def fresh(self, count: int) -> tuple[int, ...]:
        """New label numbers of the kernel."""
        first = self.labels
        self.labels += count
        return tuple(range(first, first + count))

    def reference(self, buffer: Buffer, labels: Labels, names: Mapping[int, int]) -> Reference:
        """``buffer`` under ``labels`` of a record, which ``names`` maps to labels of the kernel."""
        terms: dict[int, Dim] = {}
        strides = self.strides.get(buffer) or row_major(buffer.shape)
        for label, stride in zip(labels, strides, strict=True):
            terms[names[label]] = terms.get(names[label], _ZERO) + stride
        return Reference(self.storage[buffer], Address(_ZERO, tuple(terms.items())))

    # ------------------------------------------------------------------------------------------- element-wise
    def map(self, step: plan.Map) -> Iterable[Statement]:
        names = dict(zip(step.labels, self.fresh(len(step.labels)), strict=True))
        extents = {names[label]: step.extents[label] for label in step.labels}
        loads = tuple(self.reference(a.buffer, a.labels, names) for a in step.operands)
        writes = tuple(
            Write(self.reference(s.target, s.labels, names), s.value, s.mode if s.mode != "store" else "store")
            for s in step.stores
        )
        program = tuple(_renamed(i, names) for i in step.program)
        yield from self.nest([names[label] for label in step.labels], extents, loads, program, writes, step.bracket)

    def nest(
        self,
        order: list[int],
        extents: Mapping[int, Dim],
        loads: tuple[Reference, ...],
        program: tuple[Instruction, ...],
        writes: tuple[Write, ...],
        bracket: str,
    ) -> Iterable[Statement]:
        order = loop_order(order, extents, loads, program, writes)
        order, extents, loads, writes = merge_loops(order, extents, loads, program, writes)
        partials = [write for write in writes if write.target.storage.kind == "partial"]
        parts = {write.target.storage: self.part(write.target.storage) for write in partials}
        writes = tuple(
            replace(w, target=replace(w.target, storage=parts.get(w.target.storage, w.target.storage))) for w in writes
        )
        writes = tuple(replace(write, fresh=_gathers(order, write)) for write in writes)
        for write in writes:
            if write.mode in NEUTRAL and not write.fresh:
                yield Fill(write.target.storage, NEUTRAL[write.mode])
        references = (*loads, *(w.target for w in writes))
        lanes = {label for i in program if i.operation == "delta" for label in (i.label, i.label2)}
        vector = bool(order) and order[-1] not in lanes and vectorisable(order[-1], references, writes)
        axes = tuple(Axis(label, extents[label]) for label in order)
        yield Nest(axes, loads, program, writes, vector, bracket)
        for write in partials:
            yield self.added(write.target.storage, parts[write.target.storage], write.mode)
            self.room.give_back(parts[write.target.storage].slot)

    def part(self, partial: Storage) -> Storage:
        """Room for what one block adds to ``partial``."""
        slot = self.room.take(partial.size, partial.dtype)
        return Storage(f"{partial.name}_new", self.kind, partial.shape, partial.dtype, slot)

    def added(self, partial: Storage, part: Storage, mode: str) -> Nest:
        """What a block made goes into what its group has."""
        axes = tuple(Axis(label, partial.size) for label in self.fresh(1 if partial.rank else 0))
        address = Address(_ZERO, tuple((axis.label, _ONE) for axis in axes))
        write = Write(Reference(partial, address), 0, mode)  # type: ignore[arg-type]
        program = (Instruction("load", operand=0),)
        return Nest(axes, (Reference(part, address),), program, (write,), bool(axes) and partial.dtype == "real")

    # ------------------------------------------------------------------------------------------- rearrangements
    def copy_nest(
        self, extents: Shape, target: Reference, source: Reference, names: tuple[int, ...], add: bool, bracket: str
    ) -> Nest:
        axes = tuple(Axis(label, extent) for label, extent in zip(names, extents, strict=True))
        write = Write(target, 0, "add" if add else "store")
        vector = bool(axes) and vectorisable(axes[-1].label, (source, target), (write,))
        return Nest(axes, (source,), (Instruction("load", operand=0),), (write,), vector, bracket)

    def windowed(
        self, buffer: Buffer, axis: int, offset: Dim, steps: tuple[int, ...], extents: Shape, names: tuple[int, ...]
    ) -> Reference:
        """``buffer`` with axis ``axis`` addressed as offset + Σ steps · labels ``names[axis : axis +
        len(steps)]``."""
        strides = row_major(buffer.shape)
        count = len(steps)
        outer = [*names[:axis], *names[axis + count :]]
        terms = [(n, s) for n, s in zip(outer, (*strides[:axis], *strides[axis + 1 :]), strict=True)]
        terms += [(n, strides[axis] * s) for n, s in zip(names[axis : axis + count], steps, strict=True)]
        self.check(buffer.shape[axis], offset, steps, extents)
        return Reference(self.storage[buffer], Address(strides[axis] * offset, tuple(terms)))

    def check(self, extent: Dim, offset: Dim, steps: tuple[int, ...], extents: Shape) -> None:
        """Note what must hold for every position of a window to lie in 0 .. extent - 1, unless the sizes decide
        it."""
        low = high = offset
        for step, count in zip(steps, extents, strict=True):
            if step >= 0:
                high = high + step * (count - 1)
            else:
                low = low + step * (count - 1)
        for value in (low, extent - 1 - high):
            if value.constant is None or value.constant < 0:
                self.checks.append(Check(extents, value))

    def take(self, step: plan.Take) -> Statement:
        names = self.fresh(step.target.rank)
        source = self.windowed(step.source, step.axis, step.offset, step.steps, step.extents, names)
        target = self.reference(step.target, names, {n: n for n in names})
        return self.copy_nest(step.target.shape, target, source, names, False, step.bracket)

    def place(self, step: plan.Place) -> Iterable[Statement]:
        names = self.fresh(step.source.rank)
        inner = step.source.shape[step.axis : step.axis + len(step.steps)]
        target = self.windowed(step.target, step.axis, step.offset, step.steps, inner, names)
        source = self.reference(step.source, names, {n: n for n in names})
        yield Fill(self.storage[step.target], 0.0)
        yield self.copy_nest(step.source.shape, target, source, names, True, step.bracket)

    def indirect(self, rows: Buffer, index: Buffer, names: tuple[int, ...]) -> Reference:
        """Rows of ``rows`` chosen by ``index`` under the first labels, the rest of its axes under the others."""
        strides = row_major(rows.shape)
        chosen = self.reference(index, names[: index.rank], {n: n for n in names})
        terms = tuple(zip(names[index.rank :], strides[1:], strict=True))
        return Reference(self.storage[rows], Address(_ZERO, terms, (Indirect(chosen, strides[0], rows.shape[0]),)))

    def gather(self, step: plan.Gather) -> Statement:
        names = self.fresh(step.target.rank)
        target = self.reference(step.target, names, {n: n for n in names})
        return self.copy_nest(
            step.target.shape, target, self.indirect(step.source, step.index, names), names, False, step.bracket
        )

    def scatter(self, step: plan.Scatter) -> Iterable[Statement]:
        names = self.fresh(step.source.rank)
        source = self.reference(step.source, names, {n: n for n in names})
        yield Fill(self.storage[step.target], 0.0)
        yield self.copy_nest(
            step.source.shape, self.indirect(step.target, step.index, names), source, names, True, step.bracket
        )

    def join(self, step: plan.Join) -> Iterable[Statement]:
        for number, source in enumerate(step.sources):
            names = self.fresh(source.rank)
            strides = row_major(step.target.shape)
            address = Address(strides[0] * number, tuple(zip(names, strides[1:], strict=True)))
            target = Reference(self.storage[step.target], address)
            read = self.reference(source, names, {n: n for n in names})
            yield self.copy_nest(source.shape, target, read, names, False, step.bracket if number == 0 else "")

    # ------------------------------------------------------------------------------------------- contractions
    def contract(self, step: plan.Contract) -> Iterable[Statement]:
        names = dict(enumerate(self.fresh(len(step.extents))))
        extents = {names[label]: extent for label, extent in enumerate(step.extents)}
        output = [names[label] for label in step.output]
        primary = next(
            (s for s in step.stores if s.mode == "store" and s.labels == step.output and s.target.dtype == "real"), None
        )
        split = primary is None
        operands = tuple(self.reference(a.buffer, a.labels, names) for a in step.operands)
        others = [s for s in step.stores if s is not primary]
        if any(s.mode != "store" or s.target.dtype != "real" for s in others):
            split = True
        if any(i.operation in ("index", "delta") for i in step.program):
            split = True  # a tile knows its rows and columns, not the labels
        if any(operand.buffer.dtype != "real" for operand in step.operands):
            split = True  # nor does it read conditions and integers
        plain = len(step.program) == 1 and not others and primary is not None
        shapes = [self.shape_of(p, step, names, extents) for p in step.products]
        if shapes[-1].form(row_major(tuple(extents[x] for x in output)), extents) != "tiles":
            split = True
        if not plain and not split:
            # The epilogue addresses the tile by (i, j): both groups must be one stride for all that it touches.
            stored = [self.reference(s.target, s.labels, names) for s in others]
            target = self.reference(primary.target, primary.labels, names) if primary is not None else operands[0]
            if not all(s.tiles(extents, [target, *operands, *stored]) for s in shapes[-1:]):
                split = True
        scratch = -1
        if split and not plain:
            shape = tuple(extents[label] for label in output)
            scratch = self.room.take(_size(shape), "real")
            result = Storage(f"{step.stores[0].target.name}_tile", self.kind, shape, "real", scratch)
            c = Reference(result, Address(_ZERO, tuple(zip(output, row_major(shape), strict=True))))
        else:
            assert primary is not None
            c = self.reference(primary.target, primary.labels, names)
        adds = c.storage.kind == "partial"
        for number, shape_of in enumerate(shapes):
            final = number == len(shapes) - 1
            epilogue = None
            if final and not plain and not split:
                assert primary is not None
                stored = [self.reference(s.target, s.labels, names) for s in others]
                epilogue = shape_of.epilogue(step, operands, primary.value, stored, others, names)
            bracket = step.bracket if number == 0 else ""
            made = shape_of.contraction(c, extents, adds or number > 0, epilogue, bracket)
            halved = step.symmetric and not adds and (plain or not split) and made.form == "tiles"
            yield replace(made, form="symmetric") if halved else made
        if split and not plain:
            yield from self.unfused(step, names, extents, output, operands, c)
            self.room.give_back(scratch)

    def unfused(
        self,
        step: plan.Contract,
        names: Mapping[int, int],
        extents: Mapping[int, Dim],
        output: list[int],
        operands: tuple[Reference, ...],
        c: Reference,
    ) -> Iterable[Statement]:
        """The epilogue as a pass of its own over the stored tile."""
        program = tuple(
            Instruction("load", operand=len(operands)) if i.operation == "accumulator" else _renamed(i, names)
            for i in step.program
        )
        writes = tuple(Write(self.reference(s.target, s.labels, names), s.value, s.mode) for s in step.stores)
        yield from self.nest(output, extents, (*operands, c), program, writes, "")

    def shape_of(
        self, product: Product, step: plan.Contract, names: Mapping[int, int], extents: Mapping[int, Dim]
    ) -> _ProductShape:
        left = self.reference(product.left.buffer, product.left.labels, names)
        right = self.reference(product.right.buffer, product.right.labels, names)
        output = [names[label] for label in step.output]
        in_left = {names[x] for x in product.left.labels}
        in_right = {names[x] for x in product.right.labels}
        if output and output[-1] in in_left and output[-1] not in in_right:
            left, right, in_left, in_right = (
                right,
                left,
                in_right,
                in_left,
            )  # columns of the result belong to the right operand
        batch = [x for x in output if x in in_left and x in in_right]
        m = [x for x in output if x in in_left and x not in in_right]
        n = [x for x in output if x in in_right and x not in in_left]
        summed = [x for x, _ in (*left.address.terms, *right.address.terms) if x not in output]
        k = list(dict.fromkeys(summed))
        return _ProductShape(
            left, right, product.coefficient, tuple(output), tuple(batch), tuple(m), tuple(n), tuple(k)
        )

    # ------------------------------------------------------------------------------------------- blocks
    def blocks(self, step: plan.Blocks) -> Iterable[Statement]:
        (piece,) = step.piece.names
        groups = f"{piece}_groups"
        cuts: list[Storage] = []
        for inner, outer, axis in (*step.slices, *step.stacks):
            strides = row_major(outer.shape)
            storage = Storage(
                inner.name, "cut", inner.shape, inner.dtype, base=self.storage[outer], stride=strides[axis]
            )
            self.storage[inner], self.strides[inner] = storage, strides
            cuts.append(storage)
        partials: list[tuple[Mode, Storage]] = []
        for inner, _, mode in step.sums:
            slot = self.arena.take(_size(inner.shape) * Dim.named(groups), inner.dtype)
            self.storage[inner] = Storage(inner.name, "partial", inner.shape, inner.dtype, slot)
            partials.append((mode, self.storage[inner]))
        self.kind = "local"
        body = tuple(self.steps(step.steps, keep=()))
        self.kind = "arena"
        yield Blocks(
            step.extent,
            piece,
            groups,
            step.row_bytes,
            step.budget,
            step.unit,
            step.groups,
            tuple(cuts),
            tuple(partials),
            body,
            step.bracket,
        )
        for _, outer, mode in step.sums:
            partial = next(self.storage[inner] for inner, other, _ in step.sums if other is outer)
            yield Combine(self.storage[outer], partial, mode, groups)
        for _, partial in partials:
            self.arena.give_back(partial.slot)

    # ------------------------------------------------------------------------------------------- recurrences
    def loop(self, step: plan.Loop) -> Iterable[Statement]:
        moving: list[Storage] = []
        rings: list[Storage] = []
        made = {buffer for inner in step.steps for buffer in targets(inner)}
        befores = {carry.before for carry in step.carries}
        for inner, outer in step.slices:
            self.storage[inner] = self.moving(inner, self.storage[outer], moving)
        late: list[tuple[Storage, Buffer]] = []
        for inner, outer in step.stacks:
            place = Storage(
                outer.name + "_t",
                "moving",
                inner.shape,
                inner.dtype,
                base=self.storage[outer],
                stride=_size(inner.shape),
            )
            moving.append(place)
            if inner in made and inner not in self.storage:
                self.storage[inner] = place
            else:
                late.append((place, inner))
        held: list[int] = []
        for carry in step.carries:
            if carry.after in made and carry.after not in self.storage:
                count = _ring_length(carry.after, step)
                slot = self.arena.take(_size(carry.after.shape) * count, carry.after.dtype)
                held.append(slot)
                ring = Storage(carry.after.name, "ring", carry.after.shape, carry.after.dtype, slot, count=count)
                rings.append(ring)
                self.storage[carry.after] = ring
        carried: list[tuple[Storage, Storage]] = []
        for carry in step.carries:
            self.storage[carry.before] = Storage(
                carry.before.name, "carried", carry.before.shape, carry.before.dtype, base=self.storage[carry.initial]
            )
        for carry in step.carries:
            carried.append((self.storage[carry.before], self.storage[carry.after]))
        keep = {carry.after for carry in step.carries} | {inner for inner, _ in step.stacks} | befores
        # Everything that the surrounding schedule still holds was taken before, so slots freed inside are free in
        # each step.
        body = list(self.steps(step.steps, keep))
        body += [Copy(place, self.storage[inner]) for place, inner in late]
        finals = tuple(
            Copy(self.storage[carry.final], self.storage[carry.before])
            for carry in step.carries
            if carry.final is not None
        )
        yield Steps(
            step.length, step.reverse, tuple(carried), tuple(moving), tuple(rings), tuple(body), finals, step.bracket
        )
        for slot in held:
            self.arena.give_back(slot)

    def moving(self, inner: Buffer, outer: Storage, moving: list[Storage]) -> Storage:
        found = Storage(inner.name, "moving", inner.shape, inner.dtype, base=outer, stride=_size(inner.shape))
        moving.append(found)
        return found


def _ring_length(after: Buffer, step: plan.Loop) -> int:
    """Blocks that a state needs so that none is overwritten while a later step reads it: 1 + the number of steps it
    is read."""
    length, current = 1, {after}
    while True:
        following = {c.before for c in step.carries if c.after in current}
        if not following or length > len(step.carries):
            return length
        length, current = length + 1, following


def _size(shape: Shape) -> Dim:
    total = _ONE
    for extent in shape:
        total = total * extent
    return total


def _renamed(instruction: Instruction, names: Mapping[int, int]) -> Instruction:
    if instruction.operation not in ("index", "delta"):
        return instruction
    second = names[instruction.label2] if instruction.operation == "delta" else -1
    return replace(instruction, label=names[instruction.label], label2=second)


def reads(step: plan.Step) -> tuple[Buffer, ...]:
    """Buffers that a step reads, in order."""
    match step:
        case plan.Contract():
            sides = [side.buffer for p in step.products for side in (p.left, p.right)]
            return (*sides, *(a.buffer for a in step.operands))
        case plan.Map():
            return tuple(a.buffer for a in step.operands)
        case plan.Take() | plan.Place():
            return (step.source,)
        case plan.Gather() | plan.Scatter():
            return (step.source, step.index)
        case plan.Join():
            return step.sources
        case plan.Factorise():
            return step.args
        case plan.Loop():
            outside = [*(c.initial for c in step.carries), *(outer for _, outer in step.slices)]
            return (*outside, *(b for inner in step.steps for b in reads(inner)))
        case plan.Blocks():
            return (*(outer for _, outer, _ in step.slices), *(b for inner in step.steps for b in reads(inner)))


def targets(step: plan.Step) -> tuple[Buffer, ...]:
    """Buffers that a step writes and that live after it, in order."""
    match step:
        case plan.Contract() | plan.Map():
            return tuple(s.target for s in step.stores)
        case plan.Loop():
            return (*(c.final for c in step.carries if c.final is not None), *(outer for _, outer in step.stacks))
        case plan.Blocks():
            return (*(outer for _, outer, _ in step.stacks), *(outer for _, outer, _ in step.sums))
        case _:
            return (step.target,)


# ------------------------------------------------------------------------------------------------- loop order
def loop_order(
    order: list[int],
    extents: Mapping[int, Dim],
    loads: tuple[Reference, ...],
    program: tuple[Instruction, ...],
    writes: tuple[Write, ...],
) -> list[int]:
    """The same labels with the best vector label last: the one along which most references are contiguous.

    A strided store costs most, then a strided load; ties keep the order given.
    """
    counted = {i.label for i in program if i.operation in ("index", "delta")} | {
        i.label2 for i in program if i.operation == "delta"
    }

    def cost(label: int) -> tuple[int, int]:
        if extents[label].constant == 1:
            return (1000, 0)
        strided = sum(w.target.address.stride(label) not in (_ZERO, _ONE) for w in writes)
        repeated = sum(w.mode in ("store", "add") and w.target.address.stride(label) is _ZERO for w in writes)
        loaded = sum(r.address.stride(label) not in (_ZERO, _ONE) for r in loads)
        return (8 * repeated + 3 * strided + 2 * loaded + (label in counted), -order.index(label))

    if not order:
        return order
    best = min(order, key=cost)
    return [*(label for label in order if label != best), best]


def _gathers(order: list[int], write: Write) -> bool:
    """Whether a reduction runs over the innermost loops only, so that a register holds it."""
    if write.mode not in NEUTRAL:
        return False
    reduced = [write.target.address.stride(label) is _ZERO for label in order]
    return reduced == sorted(reduced)


def vectorisable(label: int, references: Iterable[Reference], writes: Iterable[Write]) -> bool:
    """Whether ``label`` can be the vector label: contiguous or constant everywhere, and no store repeats along it."""
    if any(w.mode in ("store", "add") and w.target.address.stride(label) is _ZERO for w in writes):
        return False
    if any(w.target.storage.dtype != "real" for w in writes):
        return False
    return all(
        r.storage.dtype == "real"
        and r.address.stride(label) in (_ZERO, _ONE)
        and all(i.index.address.stride(label) is _ZERO for i in r.address.indirect)
        for r in references
    )


def merge_loops(
    order: list[int],
    extents: Mapping[int, Dim],
    loads: tuple[Reference, ...],
    program: tuple[Instruction, ...],
    writes: tuple[Write, ...],
) -> tuple[list[int], dict[int, Dim], tuple[Reference, ...], tuple[Write, ...]]:
    """Neighbouring loops that every reference walks as one become one loop.

    for n < N, for h < H: Z[n H + h]   ->   for i < N H: Z[i]
    """
    sizes = dict(extents)
    named = {i.label for i in program if i.operation in ("index", "delta")} | {
        i.label2 for i in program if i.operation == "delta"
    }
    references = [*loads, *(w.target for w in writes)]
    merged = list(order)
    position = len(merged) - 1
    while position > 0:
        outer, inner = merged[position - 1], merged[position]
        if (
            outer not in named
            and inner not in named
            and all(
                r.address.stride(outer) is r.address.stride(inner) * sizes[inner] and not r.address.indirect
                for r in references
            )
        ):
            sizes[inner] = sizes[outer] * sizes[inner]
            references = [Reference(r.storage, _without(r.address, outer)) for r in references]
            del merged[position - 1]
        position -= 1
    new_loads = tuple(references[: len(loads)])
    new_writes = tuple(replace(w, target=r) for w, r in zip(writes, references[len(loads) :], strict=True))
    return merged, sizes, new_loads, new_writes


def _without(address: Address, label: int) -> Address:
    return replace(address, terms=tuple(t for t in address.terms if t[0] != label))


# ------------------------------------------------------------------------------------------------- products
@dataclass(frozen=True, slots=True)
class _ProductShape:
    """One product with its labels sorted into batch, rows (m), columns (n) and summed ones (k)."""

    a: Reference
    b: Reference
    coefficient: float | object
    output: tuple[int, ...]
    batch: tuple[int, ...]
    m: tuple[int, ...]
    n: tuple[int, ...]
    k: tuple[int, ...]

    def tiles(self, extents: Mapping[int, Dim], references: list[Reference]) -> bool:
        """Whether rows and columns are one stride each for ``references`` and the result."""
        addresses = [r.address for r in references]
        return all(len(group_of(labels, extents, addresses).extents) <= 1 for labels in (self.m, self.n))

    def form(self, strides: Sequence[Dim], extents: Mapping[int, Dim]) -> Form:
        """How the loops are best written, for a result with ``strides`` along ``output``.

        A batch label that is contiguous everywhere leaves no label along which rows, columns or sums would be: the lanes of a
        vector are as many products. With few rows, columns and sums of known size, a call costs more than what it computes.
        """
        c = Address(_ZERO, tuple(zip(self.output, strides, strict=True)))
        addresses = [self.a.address, self.b.address, c]
        lanes = [x for x in self.batch if all(address.stride(x) is _ONE for address in addresses)]
        if lanes:
            return "lanes" if extents[lanes[0]].constant not in range(LEAST_LANES) else "tiles"
        counts = [extents[x].constant for x in (*self.m, *self.n, *self.k)]
        groups = [group_of(self.m, extents, [self.a.address, c]), group_of(self.n, extents, [self.b.address, c])]
        groups.append(group_of(self.k, extents, [self.a.address, self.b.address]))
        known = self.batch and all(count is not None for count in counts) and all(len(g.extents) <= 1 for g in groups)
        return "unrolled" if known and prod(count or 0 for count in counts) <= MOST_UNROLLED else "tiles"

    def contraction(
        self, c: Reference, extents: Mapping[int, Dim], accumulate: bool, epilogue: Epilogue | None, bracket: str
    ) -> Contraction:
        a, b = self.a.address, self.b.address
        form = self.form([c.address.stride(x) for x in self.output], extents)
        batch = self.batch
        if form == "lanes":
            batch = tuple(sorted(batch, key=lambda x: a.stride(x) is _ONE))
        return Contraction(
            tuple(Axis(x, extents[x]) for x in batch),
            Reference(self.a.storage, _only(a, self.batch)),
            Reference(self.b.storage, _only(b, self.batch)),
            Reference(c.storage, _only(c.address, self.batch)),
            group_of(self.m, extents, [a, c.address]),
            group_of(self.n, extents, [b, c.address]),
            group_of(self.k, extents, [a, b]),
            self.coefficient,  # type: ignore[arg-type]
            accumulate,
            epilogue,
            bracket,
            form=form,
        )

    def epilogue(
        self,
        step: plan.Contract,
        operands: tuple[Reference, ...],
        value: int,
        stored: list[Reference],
        others: list[plan.Store],
        names: Mapping[int, int],
    ) -> Epilogue:
        return Epilogue(
            tuple(self.operand(r) for r in operands),
            tuple(_renamed(i, names) for i in step.program),
            value,
            tuple((self.operand(r), s.value) for r, s in zip(stored, others, strict=True)),
        )

    def operand(self, reference: Reference) -> EpilogueOperand:
        address = reference.address
        row = address.stride(self.m[-1]) if self.m else _ZERO
        column = address.stride(self.n[-1]) if self.n else _ZERO
        return EpilogueOperand(Reference(reference.storage, _only(address, self.batch)), row, column)


def _only(address: Address, labels: tuple[int, ...]) -> Address:
    return replace(address, terms=tuple(t for t in address.terms if t[0] in labels))


def group_of(labels: tuple[int, ...], extents: Mapping[int, Dim], addresses: list[Address]) -> Group:
    """``labels`` as one index, neighbours merged where every address walks them as one.

    (i, j) with strides (12, 4) and extents (.., 3)  ->  one label of extent 3 I and stride 4
    """
    sizes: list[Dim] = []
    strides: list[tuple[Dim, ...]] = []
    for label in labels:
        here = tuple(address.stride(label) for address in addresses)
        if sizes and all(outer is inner * extents[label] for outer, inner in zip(strides[-1], here, strict=True)):
            sizes[-1] = sizes[-1] * extents[label]
            strides[-1] = here
        else:
            sizes.append(extents[label])
            strides.append(here)
    return Group(tuple(sizes), tuple(strides))
