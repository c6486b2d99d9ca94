"""How much one compilation may take: every node is counted where it is made, and no tensor has more axes than the limit.

A source of a few lines can stand for a program of any size: products of sums, derivatives of derivatives, ranks that double. What
grows is nodes, so that counting them meets all of it, after a time that does not depend on the machine. The allowance is
``max_work`` and :data:`WORK_A_NODE` for each expression of the program itself, so that a long program may take long.

>>> with metered(Limits(max_work=100)):
...     spend(101)
Traceback (most recent call last):
bracketc.errors.LimitError: error: this takes more than 100 steps of work ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from bracketc.errors import Diagnostic, LimitError
from bracketc.options import Limits

WORK_A_NODE = 500
"""Work allowed for each expression of a program: several times what gradients of long programs take, all stages together."""


@dataclass(slots=True)
class Meter:
    """The work of one compilation so far, and what it may come to; a node takes one step, and one for each axis and operand."""

    allowed: int
    axes: int
    operands: int
    most: int
    spent: int = 0


_running: ContextVar[Meter | None] = ContextVar("work", default=None)


@contextmanager
def metered(limits: Limits, expressions: int = 0) -> Iterator[None]:
    """Count meanwhile; inside another count, nothing new begins."""
    if _running.get() is not None:
        yield
        return
    meter = Meter(limits.max_work + WORK_A_NODE * expressions, limits.max_axes, limits.max_operands, limits.max_work)
    token = _running.set(meter)
    try:
        yield
    finally:
        _running.reset(token)


def allow_expression() -> None:
    """One more expression of the program itself."""
    meter = _running.get()
    if meter is not None:
        meter.allowed += WORK_A_NODE


def spend(amount: int) -> None:
    """So much work is about to be done; a :class:`~bracketc.errors.LimitError` where it is too much."""
    meter = _running.get()
    if meter is not None:
        meter.spent += amount
        if meter.spent > meter.allowed:
            raise too_much(meter)


def made(axes: int, operands: int) -> None:
    """A node was made; more axes than the limit are a :class:`~bracketc.errors.LimitError`."""
    meter = _running.get()
    if meter is None:
        return
    if axes > meter.axes:
        raise _too_wide(axes, meter)
    meter.spent += 1 + axes + operands
    if meter.spent > meter.allowed:
        raise too_much(meter)


def again(axes: int) -> None:
    """A node is used that was there before, perhaps from another compilation, with other limits: it takes no work."""
    meter = _running.get()
    if meter is not None and axes > meter.axes:
        raise _too_wide(axes, meter)


def _too_wide(axes: int, meter: Meter) -> LimitError:
    help = "sum over labels earlier, or raise the limit by the option max_axes"
    return LimitError(Diagnostic(f"a tensor of {axes:,} axes; {meter.axes} are the most", None, help))


def multiplied(factors: int) -> None:
    """A bracket has so many factors; more than the limit are a :class:`~bracketc.errors.LimitError`."""
    meter = _running.get()
    if meter is not None and factors > meter.operands:
        help = "give parts of the product a name, or raise the limit by the option max_operands"
        raise LimitError(Diagnostic(f"a bracket of {factors:,} factors; {meter.operands} are the most", None, help))


def too_much(meter: Meter) -> LimitError:
    """The error for a program that stands for far more than it says."""
    message = f"this takes more than {meter.most:,} steps of work beside {WORK_A_NODE:,} for each expression of the program"
    help = "derive less often or take fewer products of sums, or raise the limit by the option max_work"
    return LimitError(Diagnostic(message, None, help))
