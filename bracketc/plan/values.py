"""What a node has become while it is lowered: a way to read a buffer, or a formula that needs none."""

from __future__ import annotations

from dataclasses import dataclass

from bracketc.ir.nodes import REAL, DType, Labels, Shape
from bracketc.plan.scalars import Scalars
from bracketc.plan.schedule import Access, Buffer, Instruction


@dataclass(frozen=True, slots=True)
class View:
    """A buffer under the axes of a node: axis k of ``buffer`` is axis ``axes[k]`` of the node.

    A transposition, a diagonal (an axis of the node twice) or a broadcast (an axis of the node that ``axes`` lacks)
    costs nothing.
    """

    buffer: Buffer
    axes: Labels
    shape: Shape

    @property
    def dtype(self) -> DType:
        return self.buffer.dtype

    @property
    def is_whole(self) -> bool:
        """Whether the view is the buffer as it is."""
        return self.axes == tuple(range(len(self.shape)))


@dataclass(frozen=True, slots=True)
class Formula:
    """Entries computed from sizes and labels alone: numbers, sizes, ranges, deltas and what is made of them.

    Labels of ``program`` are axes of the node; it loads nothing, so that it is repeated wherever it is used.
    """

    program: tuple[Instruction, ...]
    shape: Shape
    dtype: DType = REAL


Value = View | Formula


def whole(buffer: Buffer) -> View:
    """The view that is the buffer itself."""
    return View(buffer, tuple(range(buffer.rank)), buffer.shape)


def relabel(value: Value, labels: Labels, shape: Shape) -> Value:
    """``value`` with axis k called axis ``labels[k]`` of a node of ``shape``."""
    if isinstance(value, View):
        return View(value.buffer, tuple(labels[axis] for axis in value.axes), shape)
    scalars = Scalars()
    scalars.splice(value.program, (), labels.__getitem__)
    return Formula(tuple(scalars.program), shape, value.dtype)


def put(scalars: Scalars, value: Value, labels: Labels) -> int:
    """The instruction that is the entry of ``value`` where its axis k stands at ``labels[k]``."""
    if isinstance(value, View):
        return scalars.load(Access(value.buffer, tuple(labels[axis] for axis in value.axes)))
    return scalars.splice(value.program, (), labels.__getitem__)[-1]


def put_real(scalars: Scalars, value: Value, labels: Labels) -> int:
    """:func:`put`, with booleans counted as 0 and 1."""
    number = put(scalars, value, labels)
    if value.dtype != "boolean":
        return number
    one, zero = scalars.constant(1.0), scalars.constant(0.0)
    return scalars.emit("select", number, one, zero)
