"""What the templates see: frozen records of finished names, expressions and lines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoopView:
    """``for variable in iterable``: lines before it, first in a turn, its blocks, last in a turn, and after it."""

    variable: str
    iterable: str
    setup: tuple[str, ...]
    opening: tuple[str, ...]
    blocks: tuple[BlockView, ...]
    closing: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockView:
    """One step of a schedule: the bracket it computes, then statements, or a loop (``None`` in most blocks)."""

    comment: tuple[str, ...]
    lines: tuple[str, ...]
    loop: LoopView | None = None


@dataclass(frozen=True, slots=True)
class VariantView:
    """Blocks for the sizes that satisfy ``condition`` (empty: all others)."""

    condition: str
    blocks: tuple[BlockView, ...]


@dataclass(frozen=True, slots=True)
class KernelView:
    """The function that does the arithmetic of one entry; ``head`` are the lines of its ``def``, ``returns``
    the expression of its residuals, or empty."""

    name: str
    head: tuple[str, ...]
    variants: tuple[VariantView, ...]
    returns: str
