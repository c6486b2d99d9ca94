"""What is known of one record before it is written: axes, dtype and number of uses of every instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bracketc.ir.nodes import BOOLEAN, REAL, DType, Labels
from bracketc.plan.schedule import Buffer, Contract, Instruction, Map, Store

TRIVIAL = ("load", "constant", "size", "index", "delta")
"""Operations that are not worth a name."""


@dataclass(frozen=True, slots=True)
class Facts:
    """``order`` are the labels of the record in the order of its axes; ``reads`` counts the accesses of each buffer.

    The others are by instruction.
    """

    order: Labels
    labels: tuple[Labels, ...]
    dtypes: tuple[DType, ...]
    reachable: tuple[bool, ...]
    uses: tuple[int, ...]
    reads: dict[Buffer, int]

    def in_order(self, labels: set[int]) -> Labels:
        return tuple(label for label in self.order if label in labels)


def facts_of(step: Map | Contract) -> Facts:
    """Everything that the writer of a record asks about it."""
    order = _axis_order(step)
    reachable, uses = _use_counts(step.program, step.stores)
    return Facts(order, _labels(step, order), _dtypes(step), tuple(reachable), tuple(uses), _read_counts(step))


def _axis_order(step: Map | Contract) -> Labels:
    """The order of axes in which a record is computed: that of its first full store."""
    labels = step.output if isinstance(step, Contract) else step.labels
    for store in step.stores:
        if store.mode == "store" and len(store.labels) == len(labels):
            return store.labels
    return labels


def _labels(step: Map | Contract, order: Labels) -> tuple[Labels, ...]:
    """The labels that each instruction varies along, in the order of the axes."""
    found: list[Labels] = []
    for ins in step.program:
        if ins.operation == "load":
            carried = set(step.operands[ins.operand].labels)
        elif ins.operation == "accumulator":
            assert isinstance(step, Contract)
            carried = set(step.output)
        elif ins.operation == "index":
            carried = {ins.label}
        elif ins.operation == "delta":
            carried = {ins.label, ins.label2} if ins.label != ins.label2 else set()
        else:
            carried = {label for arg in ins.args for label in found[arg]}
        found.append(tuple(label for label in order if label in carried))
    return tuple(found)


def _dtypes(step: Map | Contract) -> tuple[DType, ...]:
    found: list[DType] = []
    for ins in step.program:
        if ins.operation == "load":
            found.append(step.operands[ins.operand].buffer.dtype)
        elif ins.operation == "compare":
            found.append(BOOLEAN)
        elif ins.operation == "select":
            yes, no = found[ins.args[1]], found[ins.args[2]]
            found.append(yes if yes == no else REAL)
        else:
            found.append(REAL)
    return tuple(found)


def _use_counts(program: Sequence[Instruction], stores: Sequence[Store]) -> tuple[list[bool], list[int]]:
    """Which instructions a store needs, and how often each is used by them."""
    reachable = [False] * len(program)
    uses = [0] * len(program)
    for store in stores:
        reachable[store.value] = True
        uses[store.value] += 1
    for k in range(len(program) - 1, -1, -1):
        if reachable[k]:
            for arg in program[k].args:
                reachable[arg] = True
                uses[arg] += 1
    return reachable, uses


def _read_counts(step: Map | Contract) -> dict[Buffer, int]:
    """How many accesses of the record read each buffer."""
    accesses = list(step.operands)
    if isinstance(step, Contract):
        accesses += [access for product in step.products for access in (product.left, product.right)]
    counts: dict[Buffer, int] = {}
    for access in accesses:
        counts[access.buffer] = counts.get(access.buffer, 0) + 1
    loads: dict[int, int] = {}
    for ins in step.program:
        if ins.operation == "load":
            loads[ins.operand] = loads.get(ins.operand, 0) + 1
    for operand, count in loads.items():
        counts[step.operands[operand].buffer] += count - 1
    return counts
