"""The order of the loops of a nest, and which of them are one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bracketc.ir.dims import Dim
from bracketc.loops.kernel import NEUTRAL, Address, Reference, Write
from bracketc.loops.memory import ONE, ZERO
from bracketc.plan.schedule import Instruction


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
        strided = sum(w.target.address.stride(label) not in (ZERO, ONE) for w in writes)
        repeated = sum(w.mode in ("store", "add") and w.target.address.stride(label) is ZERO for w in writes)
        loaded = sum(r.address.stride(label) not in (ZERO, ONE) for r in loads)
        return (8 * repeated + 3 * strided + 2 * loaded + (label in counted), -order.index(label))

    if not order:
        return order
    best = min(order, key=cost)
    return [*(label for label in order if label != best), best]


def gathers(order: list[int], write: Write) -> bool:
    """Whether a reduction runs over the innermost loops only, so that a register holds it."""
    if write.mode not in NEUTRAL:
        return False
    reduced = [write.target.address.stride(label) is ZERO for label in order]
    return reduced == sorted(reduced)


def vectorisable(label: int, references: Iterable[Reference], writes: Iterable[Write]) -> bool:
    """Whether ``label`` can be the vector label: contiguous or constant everywhere, and no store repeats along it."""
    if any(w.mode in ("store", "add") and w.target.address.stride(label) is ZERO for w in writes):
        return False
    if any(w.target.storage.dtype != "real" for w in writes):
        return False
    return all(
        r.storage.dtype == "real"
        and r.address.stride(label) in (ZERO, ONE)
        and all(i.index.address.stride(label) is ZERO for i in r.address.indirect)
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
    named = {i.label for i in program if i.operation in ("index", "delta")} | {i.label2 for i in program if i.operation == "delta"}
    references = [*loads, *(w.target for w in writes)]
    merged = list(order)
    position = len(merged) - 1
    while position > 0:
        outer, inner = merged[position - 1], merged[position]
        if (
            outer not in named
            and inner not in named
            and all(
                r.address.stride(outer) is r.address.stride(inner) * sizes[inner] and not r.address.indirect for r in references
            )
        ):
            sizes[inner] = sizes[outer] * sizes[inner]
            references = [Reference(r.storage, without(r.address, outer)) for r in references]
            del merged[position - 1]
        position -= 1
    new_loads = tuple(references[: len(loads)])
    new_writes = tuple(replace(w, target=r) for w, r in zip(writes, references[len(loads) :], strict=True))
    return merged, sizes, new_loads, new_writes


def without(address: Address, label: int) -> Address:
    return replace(address, terms=tuple(t for t in address.terms if t[0] != label))
