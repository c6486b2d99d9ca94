"""Collecting every semantic error of a file.

A mistake is recorded once and raises :class:`Abort`; what depends on the part that failed raises it again without a
message, and everything else goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

from bracketc.errors import Diagnostic, SourceError, Span, UnsupportedError

T = TypeVar("T")
U = TypeVar("U")

LIMIT = 100
"""Messages of one run; a file with more mistakes than this is shown the first ones."""


class Abort(Exception):
    """The part under elaboration has no value; the reason is recorded already."""


class Problems:
    """The diagnostics of one run, each once."""

    __slots__ = ("_notes", "_seen", "_supported", "diagnostics")

    def __init__(self, known: Iterable[Diagnostic] = ()) -> None:
        """``known`` are the errors of the stages before."""
        self.diagnostics: list[Diagnostic] = list(known)
        self._seen: set[tuple[str, str, int, int]] = set()
        self._supported = not self.diagnostics
        self._notes: dict[tuple[str, str, int, int], Diagnostic] = {}

    def record(self, message: str, span: Span, help: str = "", notes: Iterable[tuple[str, Span | None]] = ()) -> None:
        """Remember a mistake and go on."""
        self._supported = False
        self._add(Diagnostic(message, span, help, tuple(notes)))

    def error(
        self, message: str, span: Span, help: str = "", notes: Iterable[tuple[str, Span | None]] = ()
    ) -> NoReturn:
        """A mistake of the source: what was found and what was expected; ``help`` is the fix."""
        self.record(message, span, help, notes)
        raise Abort

    def unsupported(self, what: str, span: Span, help: str = "") -> NoReturn:
        """A construct that means something but is not compiled yet."""
        self._add(Diagnostic(f"not supported yet: {what}", span, help))
        raise Abort

    def _add(self, diagnostic: Diagnostic) -> None:
        assert diagnostic.span is not None
        span = diagnostic.span
        key = (diagnostic.message, span.source.filename, span.start, span.end)
        if key not in self._seen:
            self._seen.add(key)
            self.diagnostics.append(diagnostic)

    def note(self, message: str, span: Span, help: str = "") -> None:
        """What is right and may not be meant."""
        key = (message, span.source.filename, span.start, span.end)
        self._notes.setdefault(key, Diagnostic(message, span, help, severity="note"))

    def notes(self) -> tuple[Diagnostic, ...]:
        """All notes, in the order of the source."""
        return tuple(self._notes[key] for key in sorted(self._notes, key=lambda key: (key[1], key[2], key[3])))

    def add(self, diagnostic: Diagnostic) -> None:
        """Remember a mistake that was found elsewhere."""
        self._supported = False
        self._add(diagnostic)

    def each(self, items: Iterable[T], work: Callable[[T], U]) -> list[U]:
        """``work`` of every item, so that each mistake among them is found; fails when one failed."""
        results: list[U] = []
        failed = False
        for item in items:
            try:
                results.append(work(item))
            except Abort:
                failed = True
        if failed:
            raise Abort
        return results

    def finish(self) -> None:
        """Raise what was recorded, in the order of the source."""
        if not self.diagnostics:
            return
        files: dict[str, int] = {}
        for found in self.diagnostics:
            if found.span is not None:
                files.setdefault(found.span.source.filename, len(files))
        ordered = sorted(
            self.diagnostics, key=lambda d: (files[d.span.source.filename], d.span.start) if d.span is not None else (-1, -1)
        )
        kind = UnsupportedError if self._supported else SourceError
        raise kind(ordered[:LIMIT])
