"""Which results of a C module lie in memory that the module uses again.

A result that nobody refers to any more leaves its memory to the next one. Given back to the C library it often goes to the kernel,
which hands out zeroed pages again, one fault each, and that takes longer than writing the result (``docs/performance.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from bracketc.emit import expressions as ex
from bracketc.emit.c_views import MemoryView
from bracketc.ir.dims import Dim
from bracketc.plan.schedule import Buffer, Schedule

LEAST = 1 << 18
"""Bytes from which on a result is worth the microsecond that it takes to look for memory in use before."""

MOST = 1 << 27
"""Bytes that a module keeps while nobody uses them; larger results are arrays of NumPy's own."""


def memory_view(schedules: Iterable[Schedule], real: int) -> MemoryView | None:
    """What the C text keeps, ``real`` being the bytes of a real number; ``None`` where all results are small."""
    return MemoryView(LEAST, MOST) if any(_kept(schedule, real) for schedule in schedules) else None


def array_maker(buffer: Buffer, sizes: Mapping[str, str], real: int) -> str:
    """What makes the array of a result from its shape and dtype, in Python.

    >>> N = Dim.named("N")
    >>> array_maker(Buffer("x", (N, Dim.of(2))), {"N": "N"}, 8)
    '(_empty if 2 * N < 32768 else _recycled)'
    >>> array_maker(Buffer("x", (Dim.of(2),)), {}, 8)
    '_empty'
    """
    entries, least = _entries(buffer), LEAST // _bytes(buffer, real)
    known = entries.constant
    if known is not None:
        return "_empty" if known < least else "_recycled"
    return f"(_empty if {ex.size(entries, sizes).text} < {least} else _recycled)"


def saved_maker(schedule: Schedule, real: int) -> str:
    """The same for what ``forward`` saves."""
    return "_recycled" if _large(schedule.residuals, real) else "_empty"


def _kept(schedule: Schedule, real: int) -> bool:
    return _large(schedule.residuals, real) or any(_large([buffer], real) for _, buffer in schedule.results)


def _large(buffers: Iterable[Buffer], real: int) -> bool:
    """Whether so many arrays side by side may reach LEAST."""
    size = sum((_entries(buffer) * _bytes(buffer, real) for buffer in buffers), Dim.of(0)).constant
    return size is None or size >= LEAST


def _entries(buffer: Buffer) -> Dim:
    return prod(buffer.shape, start=Dim.of(1))


def _bytes(buffer: Buffer, real: int) -> int:
    return {"real": real, "integer": 8, "boolean": 1}[buffer.dtype]
