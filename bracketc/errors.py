"""Spans, diagnostics and the exceptions that carry them to the person who wrote the source.

Every mistake that a user can make ends in a subclass of :class:`BracketError`; nothing else leaves the
package for bad input.  A diagnostic says what was found, what was expected and, where there is one, the fix:

    mlp.brk:4:12: error: label k has two sizes: 3 in A, 4 in B
      4 | C = (A_ik B_kj | ij)
        |      ^^^^
      help: ...
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one file and the name under which messages mention it."""

    text: str
    filename: str = "<string>"

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both counted from 1."""
        line = self.text.count("\n", 0, offset) + 1
        return line, offset - (self.text.rfind("\n", 0, offset) + 1) + 1

    def line_at(self, offset: int) -> str:
        """Text of the line around a character offset, without its end."""
        end = self.text.find("\n", offset)
        line = self.text[self.text.rfind("\n", 0, offset) + 1 : end if end >= 0 else len(self.text)]
        return line.removesuffix("\r")

    def line(self, number: int) -> str:
        """Text of a line, counted from 1, without its end."""
        lines = self.text.split("\n")
        return lines[number - 1] if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of characters ``start..end`` of a source."""

    source: Source = field(repr=False)
    start: int
    end: int

    def join(self, other: Span) -> Span:
        """The smallest span that covers both."""
        return Span(self.source, min(self.start, other.start), max(self.end, other.end))

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message; ``notes`` point at further places, ``help`` names the fix."""

    message: str
    span: Span | None = None
    help: str = ""
    notes: tuple[tuple[str, Span | None], ...] = ()
    severity: str = "error"

    def render(self) -> str:
        """The message with its place and the source underlined by display width."""
        parts = [_located(self.severity, self.message, self.span)]
        for text, span in self.notes:
            parts.append(_located("note", text, span))
        if self.help:
            parts.append(f"  help: {_shown(self.help)}")
        return "\n".join(parts)


MOST_SHOWN = 1_000
"""Characters of a message that are shown: a name may be as long as its file."""


def _shown(message: str) -> str:
    """A message for a terminal: not too long, without control characters."""
    if len(message) > MOST_SHOWN:
        message = f"{message[: MOST_SHOWN // 2]} … {message[-MOST_SHOWN // 4 :]}"
    return "\n".join(printable(line) for line in message.split("\n"))


def _located(severity: str, message: str, span: Span | None) -> str:
    message = _shown(message)
    if span is None:
        return f"{severity}: {message}"
    line, column = span.source.position(span.start)
    head = f"{printable(span.source.filename)}:{line}:{column}: {severity}: {message}"
    text = span.source.line_at(span.start).replace("\t", " ")
    if len(text) > 400:  # a line longer than a screen is shown around the place only
        first = max(0, column - 60)
        text, column = text[first : first + 120], column - first
    length = max(1, min(span.end - span.start, len(text) - column + 1))
    under = text[column - 1 : column - 1 + length]
    gutter = f"{line:>5}"
    pad = " " * display_width(text[: column - 1])
    mark = "^" * max(1, display_width(under))
    return f"{head}\n{gutter} | {printable(text)}\n{' ' * len(gutter)} | {pad}{mark}"


def printable(text: str) -> str:
    """``text`` with control and bidirectional characters replaced, so that a message cannot reorder a terminal."""
    return "".join("�" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else c for c in text)


def display_width(text: str) -> int:
    """Number of terminal cells that ``text`` takes."""
    width = 0
    for char in text:
        if unicodedata.combining(char):
            continue
        width += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return width


class BracketError(Exception):
    """Anything that is wrong with a source, an argument, a toolchain or a limit.

    ``diagnostics`` holds every message of one run; ``str(error)`` renders them all.
    """

    exit_code = 1

    def __init__(self, diagnostics: str | Diagnostic | Iterable[Diagnostic]) -> None:
        if isinstance(diagnostics, str):
            found: Sequence[Diagnostic] = (Diagnostic(diagnostics),)
        elif isinstance(diagnostics, Diagnostic):
            found = (diagnostics,)
        else:
            found = tuple(diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(found)
        super().__init__("\n".join(d.render() for d in self.diagnostics))

    def __reduce__(self) -> tuple[type[BracketError], tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)

    def at(self, span: Span | None) -> BracketError:
        """The same error, with ``span`` for messages that have no place yet."""
        return type(self)(replace(d, span=d.span or span) for d in self.diagnostics)


class SourceError(BracketError):
    """The source is malformed or means nothing: syntax, names, labels, sizes."""


class UnsupportedError(SourceError):
    """A construct of the language that this version does not compile yet."""


class ArgumentError(BracketError, ValueError):
    """Arguments of a compiled function do not fit its signature."""


class SingularError(ArgumentError):
    """A matrix that has no inverse, or that is not positive definite.

    ``operation`` is what could not be done, ``member`` which matrix of a batch (counted from 0; ``None`` without one), ``minor``
    the order of the first leading minor that is 0 or, where the matrix must be positive definite, not positive.
    """

    operation = ""
    member: int | None = None
    minor = 0


class ToolchainError(BracketError):
    """A compiler, its headers or a writable folder is missing."""

    exit_code = 3


class OutputError(ToolchainError):
    """The place named for results cannot be one: a file where a folder is needed, a folder in the way of a file, none."""

    exit_code = 1


class LimitError(BracketError):
    """A limit of operands, nesting, nodes, flops or bytes was reached; the message names the option that raises it."""

    exit_code = 4


def placed(error: LimitError, span: Span) -> LimitError:
    """``error`` with the place of what met the limit, where it has none."""
    if error.diagnostics[0].span is not None:
        return error
    return LimitError([replace(diagnostic, span=span) for diagnostic in error.diagnostics])
