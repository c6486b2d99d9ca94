"""Flops and bytes of steps, as polynomials in the sizes.

A multiplication and an addition are a flop each, and so is every other scalar operation, a function included; a
change of sign is none. An instruction counts once for every combination of the labels that it depends on: what does
not depend on a label is computed outside of its loop.

A step moves each buffer that it reads and each that it writes once.

>>> flops((Contract for (X_nd W_dh | nh),))
2 D H N
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Shape
from bracketc.plan.schedule import (
    Access,
    Blocks,
    Buffer,
    Contract,
    Factorise,
    Gather,
    Instruction,
    Join,
    Loop,
    Map,
    Place,
    Scatter,
    Step,
    Store,
    Take,
)
from bracketc.plan.steps import reads, writes

WIDTHS = {"real": 8, "integer": 8, "boolean": 1}
"""Bytes of an entry; the width of reals is that of float64 unless it is given."""

Counts = dict[tuple[Dim, ...], int]
"""How often something is done: a number for each product of sizes (sorted by text), to be summed."""


def flops(steps: Iterable[Step]) -> Dim:
    """Scalar operations of all steps."""
    counts: Counts = {}
    for step in steps:
        for shape, number in step_counts(step).items():
            counts[shape] = counts.get(shape, 0) + number
    return total(counts)


def moved(steps: Iterable[Step], real_bytes: int = 8) -> Dim:
    """Bytes that all steps read and write, each on its own: nothing stays in a cache between two steps."""
    widths = {**WIDTHS, "real": real_bytes}
    counts: Counts = {}
    for step in steps:
        for shape, number in step_bytes(step, widths).items():
            counts[shape] = counts.get(shape, 0) + number
    return total(counts)


def total(counts: Counts) -> Dim:
    """The polynomial that ``counts`` stands for."""
    return Dim((monomial, number * factor) for shape, number in counts.items() for monomial, factor in entries(shape).terms)


def entries(shape: Iterable[Dim]) -> Dim:
    """Number of entries of a tensor of ``shape``."""
    result = Dim.of(1)
    for extent in shape:
        result = result * extent
    return result


def step_counts(step: Step) -> Counts:
    """Flops of one step."""
    counts: Counts = {}

    def count(shape: Iterable[Dim], number: int = 1) -> None:
        key = tuple(sorted(shape, key=str))
        counts[key] = counts.get(key, 0) + number

    match step:
        case Map():
            _program_counts(step.program, step.operands, step.labels, step.extents, step.stores, count)
        case Contract():
            for product in step.products:
                union = dict.fromkeys((*step.output, *product.left.labels, *product.right.labels))
                count((step.extents[label] for label in union), 2 if len(union) > len(step.output) else 1)
                if product.coefficient not in (1, -1):
                    count(step.extents[label] for label in step.output)
            _program_counts(step.program, step.operands, step.output, step.extents, step.stores, count)
        case Place() | Scatter():
            count(step.source.shape)
        case Factorise():
            for shape, number in _factorise_counts(step):
                count(shape, number)
        case Loop():
            for inner in step.steps:
                for shape, number in step_counts(inner).items():
                    count((*shape, step.length), number)
        case Blocks():
            for shape, number in _whole(step, (step_counts(inner) for inner in step.steps)).items():
                count(shape, number)
        case Take() | Gather() | Join():
            pass
    return counts


def _whole(step: Blocks, parts: Iterable[Counts]) -> Counts:
    """Counts of all blocks from those of one: the lengths of the blocks add up to that of the batch."""
    counts: Counts = {}
    for part in parts:
        for shape, number in part.items():
            key = tuple(sorted((step.extent if extent is step.piece else extent for extent in shape), key=str))
            counts[key] = counts.get(key, 0) + number
    return counts


def _factorise_counts(step: Factorise) -> Iterator[tuple[Shape, int]]:
    """Leading terms for dense matrices, n³ rounded to whole multiples (Golub and Van Loan, Matrix Computations, ch. 3 and 4)."""
    *lead, _, n = step.args[0].shape
    one, cube = (*lead, n), (*lead, n, n, n)
    columns = step.args[-1].shape[len(lead) + 1 :]
    match step.operator:
        case "inv":
            yield cube, 2
        case "lu_inv" | "cholesky_inv" | "lu" | "cholesky" | "det" | "logdet":
            yield cube, 1
        case "lu_det" | "lu_logdet":
            yield one, 1
        case "solve":
            yield cube, 1
            yield (*one, n, *columns), 2
        case "solve_lower" | "solve_upper":
            yield (*one, n, *columns), 1
        case _:
            yield (*one, n, *columns), 2


def _program_counts(
    program: Sequence[Instruction],
    operands: Sequence[Access],
    labels: Sequence[int],
    extents: Shape,
    stores: Sequence[Store],
    count: object,
) -> None:
    assert callable(count)
    bits = {label: 1 << place for place, label in enumerate(labels)}
    everything = (1 << len(labels)) - 1
    masks: list[int] = []
    often: dict[int, int] = {}

    for instruction in program:
        mask = 0
        match instruction.operation:
            case "load":
                for label in operands[instruction.operand].labels:
                    mask |= bits[label]
            case "accumulator":
                mask = everything
            case "index":
                mask = bits[instruction.label]
            case "delta":
                mask = bits[instruction.label] | bits[instruction.label2]
            case "constant" | "size":
                pass
            case "negate":
                mask = masks[instruction.args[0]]
            case "add" | "multiply":
                mask = masks[instruction.args[0]]
                for arg in instruction.args[1:]:
                    mask |= masks[arg]
                    often[mask] = often.get(mask, 0) + 1
            case _:
                for arg in instruction.args:
                    mask |= masks[arg]
                often[mask] = often.get(mask, 0) + 1
        masks.append(mask)
    for mask, number in often.items():
        count((extents[label] for label in labels if bits[label] & mask), number)
    for store in stores:
        if store.mode != "store":
            count(extents[label] for label in labels)


def step_bytes(step: Step, widths: Mapping[str, int]) -> Counts:
    """Bytes that one step reads and writes, given those of an entry by dtype."""
    counts: Counts = {}

    def count(shape: Iterable[Dim], number: int) -> None:
        key = tuple(sorted(shape, key=str))
        counts[key] = counts.get(key, 0) + number

    if isinstance(step, Loop):
        for inner in step.steps:
            for shape, number in step_bytes(inner, widths).items():
                count((*shape, step.length), number)
        for _, outer in (*step.slices, *step.stacks):
            count(outer.shape, 2 * widths[outer.dtype])
        for carry in step.carries:
            count((*carry.before.shape, step.length), 2 * widths[carry.before.dtype])
        return counts
    if isinstance(step, Blocks):  # what is made and read inside stays in the cache
        for buffer in (*reads(step), *writes(step)):
            count(buffer.shape, widths[buffer.dtype])
        return counts
    for buffer in _touched(step):
        count(buffer.shape, widths[buffer.dtype])
    return counts


def _touched(step: Step) -> tuple[Buffer, ...]:
    return (*reads(step), *writes(step))
