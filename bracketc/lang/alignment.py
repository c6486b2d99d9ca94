"""Columns that neighbouring lines have in common: authors align `=`, `:`, traits, `where` and `for`, and formatting keeps that.

Lines belong together when the same mark stands in one column of the source and some author typed further spaces for it.

    J  = a + b          J  = a + b              param W : D, K  for …        param W : D, K  for …
    dJ = da+db    ->    dJ = da + db            param b : K     for …   ->   param b : K     for …
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bracketc.errors import display_width


class Mark(str):
    """Text at which lines may be aligned; the spaces in front of it may grow."""

    __slots__ = ()


WIDEST = {"=": 1, ":": 1}
"""Spaces that may be left in front of a mark when nothing demands more; of other marks two are kept, or three."""


@dataclass(frozen=True, slots=True)
class Place:
    """A mark in a printed line: ``at`` is where its spaces begin, ``least`` how many it needs.

    ``column`` and ``gap`` are those of the source: the column of the mark, and the spaces in front of it.
    """

    mark: str
    at: int
    least: int
    column: int
    gap: int


@dataclass(frozen=True, slots=True)
class Row:
    """A printed line and its marks from left to right; none when it took several lines, here or in the source."""

    text: str
    places: tuple[Place, ...] = ()


def aligned(rows: Sequence[Row]) -> list[str]:
    """The lines with the columns that they have in common."""
    texts = [""] * len(rows)  # so far
    done = [0] * len(rows)  # characters of each row that are in it
    for number in range(max((len(row.places) for row in rows), default=0)):
        for group in _groups(rows, number):
            for k in group:
                texts[k] += rows[k].text[done[k] : rows[k].places[number].at]
                done[k] = rows[k].places[number].at + rows[k].places[number].least
            column = _column([texts[k] for k in group], [rows[k].places[number] for k in group])
            for k in group:
                texts[k] += " " * (column - display_width(texts[k]))
    return [text + row.text[count:] for text, row, count in zip(texts, rows, done, strict=True)]


def _groups(rows: Sequence[Row], number: int) -> list[list[int]]:
    """Rows whose mark ``number`` belongs together; rows without one do not part them."""
    groups: list[list[int]] = []
    for k, row in enumerate(rows):
        if number >= len(row.places):
            continue
        place = row.places[number]
        before = rows[groups[-1][0]].places[number] if groups else None
        if before is not None and (before.mark, before.column) == (place.mark, place.column):
            groups[-1].append(k)
        else:
            groups.append([k])
    return groups


def _column(texts: Sequence[str], places: Sequence[Place]) -> int:
    """Where the mark of a group stands."""
    padded = any(place.gap > place.least for place in places)
    widest = WIDEST.get(places[0].mark, 3)
    gap = max(places[0].least, min(widest, *(place.gap for place in places))) if padded else places[0].least
    return max(display_width(text) for text in texts) + gap
