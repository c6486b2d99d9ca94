"""Breaking a statement that is too long for one line."""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.errors import display_width
from bracketc.lang.notation import Break, Piece, flat

WIDTH = 100
"""Columns that a line may take before it is broken."""

_LEVELS = 12  # brackets within brackets that are laid out one by one; deeper ones are only filled


def fill(parts: Sequence[Piece], indent: int, column: int = 0) -> str:
    """The pieces as text; lines end at the outermost breaks that make them fit.

    ``indent`` is that of the lines after the first, which begins at ``column``.

    ``J = a + b``, when too long  ->  ``J = a +`` and, indented, ``b``
    """
    lines = [" " * column]
    _fill(list(parts), indent, lines, 0)
    return "\n".join(lines)[column:]


def _fill(parts: list[Piece], indent: int, lines: list[str], level: int) -> None:
    whole = flat(parts)
    depths = [part.depth for part in parts if isinstance(part, Break)]
    if not depths or display_width(lines[-1]) + display_width(whole) <= WIDTH:
        lines[-1] += whole
        return
    outermost = min(depths)
    chunk: list[Piece] = []
    first = True
    for part in [*parts, Break(outermost)]:
        if not (isinstance(part, Break) and (part.depth == outermost or level >= _LEVELS)):
            chunk.append(part)
            continue
        width = display_width(flat(chunk))
        if not first:
            if display_width(lines[-1]) + 1 + width <= WIDTH:
                lines[-1] += " "
            else:
                lines.append(" " * indent)
        _fill(chunk, indent, lines, level + 1)
        chunk, first = [], False
