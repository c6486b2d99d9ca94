"""The shape of one product: labels sorted into batch, rows, columns and sums, and how its loops are best written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from bracketc.ir.dims import Dim
from bracketc.loops.kernel import (
    COLUMN,
    ROW,
    Address,
    Axis,
    Contraction,
    Epilogue,
    EpilogueOperand,
    Form,
    Group,
    Reference,
)
from bracketc.loops.memory import ONE, ZERO
from bracketc.loops.nests import renamed
from bracketc.plan.schedule import Instruction

WIDEST = 16
"""Numbers that the longest vectors hold; shorter ones hold a half, a quarter, …"""

LEAST_LANES = 4
"""Products side by side that are worth a vector."""

MOST_UNROLLED = 256
"""Multiplications of a product that is written out rather than called: about as long as a call takes."""

MOST_TOGETHER = 1024
"""The same where several rows are one vector."""

MOST_IN_REGISTERS = 1 << 14
"""The same where every row is one or two of the longest vectors: what is computed beyond hides what a call costs."""

MOST_TURNED = 1 << 11
"""Numbers of a right operand that are turned on the way, where its columns lie one after the other, …"""
LEAST_ROWS = 8
"""… for so many rows and more."""

LEAST_RUN = 64
"""Adjacent columns that are worth a product of their own, where the others do not continue them."""

MOST_TERMS = 64
"""Terms of a sum so short that storing the results costs more than the sums."""


@dataclass(frozen=True, slots=True)
class ProductShape:
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
        c = Address(ZERO, tuple(zip(self.output, strides, strict=True)))
        addresses = [self.a.address, self.b.address, c]
        lanes = [x for x in self.batch if all(address.stride(x) is ONE for address in addresses)]
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
        m, n = (group_of(labels, extents, [own, c.address]) for labels, own in ((self.m, a), (self.n, b)))
        k = group_of(self.k, extents, [a, b])
        if self.batch and epilogue is None and form in ("tiles", "unrolled"):
            form = written_out(m, n, k, form)
        batch = self.batch
        if form == "lanes":
            batch = tuple(sorted(batch, key=lambda x: a.stride(x) is ONE))
        return Contraction(
            tuple(Axis(x, extents[x]) for x in batch),
            Reference(self.a.storage, only(a, self.batch)),
            Reference(self.b.storage, only(b, self.batch)),
            Reference(c.storage, only(c.address, self.batch)),
            m,
            n,
            k,
            self.coefficient,  # type: ignore[arg-type]
            accumulate,
            epilogue,
            bracket,
            form=form,
        )

    def counts(self, label: int) -> bool:
        """Whether an epilogue knows the value of ``label``: the number of a row or a column is."""
        return (label in self.m and len(self.m) == 1) or (label in self.n and len(self.n) == 1)

    def counted(self, program: Iterable[Instruction], names: Mapping[int, int]) -> tuple[Instruction, ...]:
        """``program`` with the labels of rows and columns under their numbers in an epilogue."""
        places = {label: ROW if names[label] in self.m else COLUMN for label in names}
        return tuple(renamed(i, places) for i in program)

    def operand(self, reference: Reference) -> EpilogueOperand:
        address = reference.address
        row = address.stride(self.m[-1]) if self.m else ZERO
        column = address.stride(self.n[-1]) if self.n else ZERO
        return EpilogueOperand(Reference(reference.storage, only(address, self.batch)), row, column)


def written_out(m: Group, n: Group, k: Group, otherwise: Form) -> Form:
    """How a small product of known size uses whole vectors for its rows; the form it has ``otherwise`` where it cannot."""
    rows, columns, terms = (group.extent.constant for group in (m, n, k))
    if any(len(group.extents) != 1 for group in (m, n, k)) or rows is None or columns is None or terms is None:
        return otherwise
    (right, result), work = n.strides[0], rows * columns * terms
    if result.constant != 1:
        return otherwise
    in_order = m.strides[0][0].constant == terms == columns == m.strides[0][1].constant and k.strides[0][0].constant == 1
    if right.constant == 1 and columns in (2, 4, 8) and in_order and rows * columns % WIDEST == 0 and work <= MOST_TOGETHER:
        return "together"
    turned = k.strides[0][1].constant == 1 and columns * terms <= MOST_TURNED and rows >= LEAST_ROWS
    reads = right.constant == 1 or turned
    return "registers" if reads and columns in (WIDEST, 2 * WIDEST) and work <= MOST_IN_REGISTERS else otherwise


def runs_apart(found: Contraction, fresh: Callable[[int], tuple[int, ...]]) -> Contraction:
    """The same with columns that do not merge taken apart: the outer ones become batch labels.

    Short sums cost less than storing their results: these are then written run by run, without tables. Sizes must be known.
    """
    n = found.n
    if found.form != "tiles" or found.epilogue is not None or len(n.extents) < 2 or n.strides[-1][1] is not ONE:
        return found
    run, terms = n.extents[-1].constant, found.k.extent.constant
    if run is None or run < LEAST_RUN or terms is None or terms > MOST_TERMS:
        return found
    labels = fresh(len(n.extents) - 1)

    def along(reference: Reference, operand: int) -> Reference:
        terms = zip(labels, (both[operand] for both in n.strides[:-1]), strict=True)
        address = reference.address
        return replace(reference, address=replace(address, terms=(*address.terms, *terms)))

    batch = tuple(Axis(label, extent) for label, extent in zip(labels, n.extents[:-1], strict=True))
    return replace(
        found,
        batch=(*found.batch, *batch),
        b=along(found.b, 0),
        c=along(found.c, 1),
        n=Group(n.extents[-1:], n.strides[-1:]),
    )


def only(address: Address, labels: tuple[int, ...]) -> Address:
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
