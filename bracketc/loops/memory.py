"""Where buffers lie while a schedule is lowered: arguments, slots of the arena, pieces of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Labels, Shape
from bracketc.loops.arena import Arena
from bracketc.loops.kernel import Address, Check, Reference, Storage, StorageKind, product
from bracketc.plan.schedule import ROW_GAP, Buffer

ZERO = Dim.of(0)
ONE = Dim.of(1)


def row_major(shape: Shape) -> tuple[Dim, ...]:
    """Strides in elements of a dense array in C order: (N, 3) -> (3, 1)."""
    strides = [ONE]
    for extent in reversed(shape[1:]):
        strides.append(strides[-1] * extent)
    return tuple(reversed(strides)) if shape else ()


@dataclass
class Memory:
    """Storage of buffers while the steps of one schedule are lowered in order, and the labels and checks of the kernel."""

    arena: Arena
    storage: dict[Buffer, Storage]
    labels: int = 0
    checks: list[Check] = field(default_factory=list)
    local: Arena = field(default_factory=Arena)
    kind: StorageKind = "arena"
    """Where what is made now lives: ``local`` inside of blocks."""
    strides: dict[Buffer, tuple[Dim, ...]] = field(default_factory=dict)
    """Strides of buffers that are no dense blocks."""

    def made(self, buffer: Buffer) -> None:
        """Room for ``buffer``, which a step makes."""
        shape = buffer.shape
        if buffer.row:
            cut = buffer.rank - buffer.row
            row = product(shape[cut:]) + ROW_GAP
            self.strides[buffer] = (*(row * stride for stride in row_major(shape[:cut])), *row_major(shape[cut:]))
            shape = (product(shape[:cut]), row)
        slot = self.room.take(product(shape), buffer.dtype)
        self.storage[buffer] = Storage(buffer.name, self.kind, shape, buffer.dtype, slot)

    def given(self, buffer: Buffer, kind: str) -> Storage:
        """The block of the caller that ``buffer`` is."""
        found = Storage(buffer.name, kind, buffer.shape, buffer.dtype)  # type: ignore[arg-type]
        self.storage[buffer] = found
        return found

    @property
    def room(self) -> Arena:
        """The arena of what is made now."""
        return self.local if self.kind == "local" else self.arena

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
            terms[names[label]] = terms.get(names[label], ZERO) + stride
        return Reference(self.storage[buffer], Address(ZERO, tuple(terms.items())))

    def part(self, partial: Storage) -> Storage:
        """Room for what one block adds to ``partial``."""
        slot = self.room.take(partial.size, partial.dtype)
        return Storage(f"{partial.name}_new", self.kind, partial.shape, partial.dtype, slot)
