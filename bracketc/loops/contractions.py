"""Contractions with their epilogues, on the finished tile where that can be, else as a pass of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bracketc.ir.dims import Dim
from bracketc.loops.kernel import Address, Reference, Statement, Storage, Write, product
from bracketc.loops.making import made_factor
from bracketc.loops.memory import ZERO, Memory, row_major
from bracketc.loops.nests import nest, renamed
from bracketc.loops.products import ProductShape
from bracketc.plan import schedule as plan
from bracketc.plan.making import rows_first
from bracketc.plan.schedule import Instruction, Product


def contract(memory: Memory, step: plan.Contract, made: plan.Map | None = None) -> Iterable[Statement]:
    """The products of ``step``, the last one with what is done to the finished tile; ``made`` makes a factor of a symmetric one."""
    making = None
    if made is not None:
        step = rows_first(step, made)
        memory.storage[made.stores[0].target], making = made_factor(memory, made)
    names = dict(enumerate(memory.fresh(len(step.extents))))
    extents = {names[label]: extent for label, extent in enumerate(step.extents)}
    output = [names[label] for label in step.output]
    primary = next((s for s in step.stores if s.mode == "store" and s.labels == step.output and s.target.dtype == "real"), None)
    split = primary is None
    operands = tuple(memory.reference(a.buffer, a.labels, names) for a in step.operands)
    others = [s for s in step.stores if s is not primary]
    if any(s.mode != "store" or s.target.dtype != "real" for s in others):
        split = True
    if any(i.operation in ("index", "delta") for i in step.program):
        split = True  # a tile knows its rows and columns, not the labels
    if any(operand.buffer.dtype != "real" for operand in step.operands):
        split = True  # nor does it read conditions and integers
    plain = len(step.program) == 1 and not others and primary is not None
    shapes = [shape_of(memory, p, step, names, extents) for p in step.products]
    if shapes[-1].form(row_major(tuple(extents[x] for x in output)), extents) != "tiles":
        split = True
    if not plain and not split:
        # The epilogue addresses the tile by (i, j): both groups must be one stride for all that it touches.
        stored = [memory.reference(s.target, s.labels, names) for s in others]
        target = memory.reference(primary.target, primary.labels, names) if primary is not None else operands[0]
        if not all(s.tiles(extents, [target, *operands, *stored]) for s in shapes[-1:]):
            split = True
    scratch = -1
    if split and not plain:
        shape = tuple(extents[label] for label in output)
        scratch = memory.room.take(product(shape), "real")
        result = Storage(f"{step.stores[0].target.name}_tile", memory.kind, shape, "real", scratch)
        c = Reference(result, Address(ZERO, tuple(zip(output, row_major(shape), strict=True))))
    else:
        assert primary is not None
        c = memory.reference(primary.target, primary.labels, names)
    adds = c.storage.kind == "partial"
    for number, sides in enumerate(shapes):
        final = number == len(shapes) - 1
        epilogue = None
        if final and not plain and not split:
            assert primary is not None
            stored = [memory.reference(s.target, s.labels, names) for s in others]
            epilogue = sides.epilogue(step, operands, primary.value, stored, others, names)
        bracket = step.bracket if number == 0 else ""
        if made is not None:
            bracket = f"{made.bracket}; {bracket}"
        found = sides.contraction(c, extents, adds or number > 0, epilogue, bracket)
        if making is not None:
            yield replace(found, form="symmetric", making=making)
        else:
            halved = step.symmetric and not adds and (plain or not split) and found.form == "tiles"
            yield replace(found, form="symmetric") if halved else found
    if split and not plain:
        yield from unfused(memory, step, names, extents, output, operands, c)
        memory.room.give_back(scratch)


def unfused(
    memory: Memory,
    step: plan.Contract,
    names: Mapping[int, int],
    extents: Mapping[int, Dim],
    output: list[int],
    operands: tuple[Reference, ...],
    c: Reference,
) -> Iterable[Statement]:
    """The epilogue as a pass of its own over the stored tile."""
    program = tuple(
        Instruction("load", operand=len(operands)) if i.operation == "accumulator" else renamed(i, names) for i in step.program
    )
    writes = tuple(Write(memory.reference(s.target, s.labels, names), s.value, s.mode) for s in step.stores)
    yield from nest(memory, output, extents, (*operands, c), program, writes, "")


def shape_of(
    memory: Memory, product: Product, step: plan.Contract, names: Mapping[int, int], extents: Mapping[int, Dim]
) -> ProductShape:
    """``product`` with its labels sorted."""
    left = memory.reference(product.left.buffer, product.left.labels, names)
    right = memory.reference(product.right.buffer, product.right.labels, names)
    output = [names[label] for label in step.output]
    in_left = {names[x] for x in product.left.labels}
    in_right = {names[x] for x in product.right.labels}
    if output and output[-1] in in_left and output[-1] not in in_right:
        # Columns of the result belong to the right operand.
        left, right, in_left, in_right = right, left, in_right, in_left
    batch = [x for x in output if x in in_left and x in in_right]
    m = [x for x in output if x in in_left and x not in in_right]
    n = [x for x in output if x in in_right and x not in in_left]
    summed = [x for x, _ in (*left.address.terms, *right.address.terms) if x not in output]
    k = list(dict.fromkeys(summed))
    return ProductShape(left, right, product.coefficient, tuple(output), tuple(batch), tuple(m), tuple(n), tuple(k))
