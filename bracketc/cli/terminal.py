"""What a command says and where: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bracketc.errors import BracketError, Diagnostic, printable

PATIENCE = 1.0
"""Seconds before work shows that it goes on."""

WIDE = 10_000
"""Columns of what is no terminal: a pipe wraps nothing."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """The two streams of a command. ``verbosity`` is -1 for ``-q``, 1 and 2 for ``-v`` and ``-vv``."""

    out: Console
    err: Console
    verbosity: int = 0
    json: bool = False

    def text(self, text: str = "") -> None:
        """Plain text, as it is."""
        if not self.json:
            self.out.file.write(f"{text}\n")

    def result(self, text: Text) -> None:
        """A line of what was asked for: coloured on a terminal, plain text elsewhere."""
        if self.json:
            return
        text = _shown(text)
        if self.out.is_terminal:
            self.out.print(text, soft_wrap=True)
        else:
            self.text(text.plain)

    def say(self, text: str | Text, style: str | None = None) -> None:
        """A line of a report; ``-q`` and ``--json`` leave it out."""
        if self.verbosity >= 0 and not self.json:
            self.out.print(_shown(text), style=style, soft_wrap=True)

    def detail(self, text: str, level: int = 1) -> None:
        """A line that ``-v`` (or ``-vv``) shows."""
        if self.verbosity >= level:
            self.err.print(_shown(text), style="dim", soft_wrap=True)

    def warn(self, message: str) -> None:
        self.err.print(Text.assemble(("warning", "bold yellow"), f": {_shown(message)}"), soft_wrap=True)

    def notes(self, notes: Sequence[Diagnostic]) -> None:
        """What may not be meant; ``-q`` and ``--json`` leave it out."""
        if self.verbosity >= 0 and not self.json:
            for note in notes:
                self.err.print(_coloured(note), soft_wrap=True)

    def table(self, table: Table) -> None:
        if self.verbosity >= 0 and not self.json:
            with self.out.capture() as printed:
                self.out.print(Padding(table, (0, 0, 0, 2)))
            for line in printed.get().splitlines():
                self.out.file.write(f"{line.rstrip()}\n")

    def data(self, value: Mapping[str, Any]) -> None:
        """The answer of ``--json``: one object."""
        if self.json:
            self.out.file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def errors(self, error: BracketError) -> None:
        """Every message of an error; under ``--json`` as an object on standard output."""
        if self.json:
            self.data({"ok": False, "errors": [record(diagnostic) for diagnostic in error.diagnostics]})
            return
        for diagnostic in error.diagnostics:
            self.err.print(_coloured(diagnostic), soft_wrap=True)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show on a terminal that work goes on, once it takes longer than :data:`PATIENCE`."""
        if not self.err.is_terminal or self.verbosity < 0 or self.json:
            yield
            return
        status = self.err.status(f"{what} …")
        timer = threading.Timer(PATIENCE, status.start)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            status.stop()


def make_terminal(verbosity: int = 0, as_json: bool = False) -> Terminal:
    """The streams of this process. Colours follow the terminal and ``NO_COLOR``."""

    def console(stream: Any) -> Console:
        width = None if stream.isatty() else WIDE
        return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)

    return Terminal(console(sys.stdout), console(sys.stderr), verbosity, as_json)


_Said = TypeVar("_Said", str, Text, str | Text)


def _shown(text: _Said) -> _Said:
    """``text`` without what a terminal would obey: names of files may hold anything."""
    if isinstance(text, Text):
        plain = _shown(text.plain)
        if plain != text.plain:
            text = text.copy()
            text.plain = plain
        return text
    return re.sub(r"[^\n\t]+", lambda found: printable(found[0]), text)


def aligned(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table without lines; the columns named in ``right`` hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def record(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic as data."""
    found: dict[str, Any] = {"severity": diagnostic.severity, "message": diagnostic.message}
    if diagnostic.span is not None:
        line, column = diagnostic.span.source.position(diagnostic.span.start)
        found |= {"file": diagnostic.span.source.filename, "line": line, "column": column}
        found["text"] = diagnostic.span.text
    if diagnostic.help:
        found["help"] = diagnostic.help
    if diagnostic.notes:
        found["notes"] = [text for text, _ in diagnostic.notes]
    return found


_STYLES = {"error:": "bold red", "warning:": "bold yellow", "note:": "bold cyan", "help:": "bold green"}


def _coloured(diagnostic: Diagnostic) -> Text:
    text = Text(diagnostic.render())
    for word, style in _STYLES.items():
        text.highlight_words([word], style)
    return text
