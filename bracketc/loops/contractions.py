"""Contractions with their epilogues, on the finished tile where that can be, else as a pass of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bracketc.ir.dims import Dim
from bracketc.loops.epilogues import Finish, epilogue, finish_of, primary_store
from bracketc.loops.kernel import Address, Reference, Statement, Storage, Write, product
from bracketc.loops.making import made_factor
from bracketc.loops.memory import ZERO, Memory, row_major
from bracketc.loops.nests import nest, renamed
from bracketc.loops.products import ProductShape, runs_apart
from bracketc.plan import schedule as plan
from bracketc.plan.making import apart, rows_first
from bracketc.plan.schedule import Instruction, Product


def contract(memory: Memory, step: plan.Contract, made: plan.Map | None = None) -> Iterable[Statement]:
    """The products of ``step``, the last one with what is done to the finished tile; ``made`` makes a factor."""
    making = None
    if made is not None:
        step = step if step.prologue else rows_first(step, made)
        memory.storage[made.stores[0].target], making = made_factor(memory, made)
    names = dict(enumerate(memory.fresh(len(step.extents))))
    extents = {names[label]: extent for label, extent in enumerate(step.extents)}
    output = [names[label] for label in step.output]
    primary = primary_store(step)
    plain = len(step.program) == 1 and len(step.stores) == 1 and primary is not None
    added = any(store.mode == "store" and memory.storage[store.target].kind == "partial" for store in step.stores)
    shapes = [shape_of(memory, p, step, names) for p in step.products]
    finish: Finish | None = None
    if not plain and not added and shapes[-1].form(row_major(tuple(extents[x] for x in output)), extents) == "tiles":
        finish = finish_of(memory, step, shapes[-1], names, extents)
    scratch = -1
    if plain or (finish is not None and primary is not None):
        assert primary is not None
        c = memory.reference(primary.target, primary.labels, names)
    else:
        shape = tuple(extents[label] for label in output)
        scratch = memory.room.take(product(shape), "real")
        result = Storage(f"{step.stores[0].target.name}_tile", memory.kind, shape, "real", scratch)
        c = Reference(result, Address(ZERO, tuple(zip(output, row_major(shape), strict=True))))
    adds = c.storage.kind == "partial"
    for number, sides in enumerate(shapes):
        finished = None
        if number == len(shapes) - 1 and finish is not None:
            finished = epilogue(memory, step, sides, names, extents, finish)
        bracket = step.bracket if number == 0 else ""
        if made is not None:
            bracket = f"{made.bracket}; {bracket}"
        found = sides.contraction(c, extents, adds or number > 0, finished, bracket)
        if making is not None:
            yield replace(found, form="tiles" if step.prologue else "symmetric", making=making)
        else:
            counts = finished is not None and any(i.operation in ("index", "delta") for i in finished.program)
            half = step.symmetric and apart(step) and not adds and found.form == "tiles" and not counts
            half = half and (plain or (finished is not None and not finished.sums))
            yield replace(found, form="symmetric") if half else runs_apart(found, memory.fresh)
    if finish is not None:
        yield from finish.behind
        for slot in finish.held:
            memory.room.give_back(slot)
    elif not plain:
        yield from unfused(memory, step, names, extents, output, c)
    if scratch >= 0:
        memory.room.give_back(scratch)


def unfused(
    memory: Memory,
    step: plan.Contract,
    names: Mapping[int, int],
    extents: Mapping[int, Dim],
    output: list[int],
    c: Reference,
) -> Iterable[Statement]:
    """The epilogue as a pass of its own over the stored tile; to what the blocks before have made of a sum it is added."""
    operands = tuple(memory.reference(a.buffer, a.labels, names) for a in step.operands)
    program = tuple(
        Instruction("load", operand=len(operands)) if i.operation == "accumulator" else renamed(i, names) for i in step.program
    )
    modes = ["sum" if s.mode == "store" and memory.storage[s.target].kind == "partial" else s.mode for s in step.stores]
    targets = [memory.reference(s.target, s.labels, names) for s in step.stores]
    writes = tuple(Write(to, s.value, mode) for to, s, mode in zip(targets, step.stores, modes, strict=True))
    yield from nest(memory, output, extents, (*operands, c), program, writes, "")


def shape_of(memory: Memory, product: Product, step: plan.Contract, names: Mapping[int, int]) -> ProductShape:
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
