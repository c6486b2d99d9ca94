"""``import "layers.brk"``: the declarations of another file in place of the statement.

Only files in the folder of the root file, or below it, are read; each once, however often it is imported.  What a file asks for
(`output`, requests) and proves (derivations) belongs to it alone and is left out.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from bracketc.errors import Source
from bracketc.lang import syntax
from bracketc.lang.parser import read_file
from bracketc.lang.problems import Abort, Problems

MOST_FILES = 1_000
"""Files that one program may import."""

MOST_BYTES = 16 * 2**20
"""Length of one imported file."""

OWN = (syntax.Output, syntax.Request, syntax.Derivation)
"""Statements that an import leaves out."""


def with_imports(tree: syntax.SyntaxFile, problems: Problems) -> tuple[syntax.SyntaxFile, tuple[syntax.Name, ...]]:
    """``tree`` with the statements of imported files in place of its imports, and names whose statement cannot be read.

    Mistakes are recorded in ``problems``, with the file that they are in.
    """
    if not any(isinstance(statement, syntax.Import) for statement in tree.statements):
        return tree, ()
    found = _Imports(tree.span.source, problems)
    statements = found.expand(tree, found.root)
    return replace(tree, statements=tuple(statements)), tuple(found.spoiled)


class _Imports:
    """The files of one program."""

    __slots__ = ("above", "folder", "known", "problems", "root", "shown", "spoiled")

    def __init__(self, source: Source, problems: Problems) -> None:
        self.root = Path(source.filename)
        self.folder = self.root.resolve().parent
        self.shown = self.root.parent  # as messages name it
        self.problems = problems
        self.known: set[Path] = {self.root.resolve()}
        self.above: list[Path] = [self.root.resolve()]
        self.spoiled: list[syntax.Name] = []

    def expand(self, tree: syntax.SyntaxFile, path: Path) -> list[syntax.Statement]:
        statements: list[syntax.Statement] = []
        for statement in tree.statements:
            if not isinstance(statement, syntax.Import):
                statements.append(statement)
                continue
            try:
                statements += self._imported(statement, path)
            except Abort:
                continue
        return statements

    def _imported(self, statement: syntax.Import, importing: Path) -> list[syntax.Statement]:
        found = self._place(statement, importing)
        if found in self.above:
            names = " → ".join(self._name(path) for path in (*self.above[self.above.index(found) :], found))
            self.problems.error(f"circular import: {names}", statement.span, "move what both files need into a third")
        if found in self.known:
            return []
        if len(self.known) > MOST_FILES:
            self.problems.error(f"more than {MOST_FILES} imported files", statement.span)
        self.known.add(found)
        read = read_file(self._read(statement, found))
        for problem in read.problems:
            self.problems.add(problem)
        self.spoiled += read.spoiled
        self.above.append(found)
        statements = self.expand(read.tree, found)
        self.above.pop()
        return [kept for kept in statements if not isinstance(kept, OWN)]

    def _place(self, statement: syntax.Import, importing: Path) -> Path:
        """The file that is meant, inside the folder of the root file."""
        text, problems = statement.path, self.problems
        if self.root.name.startswith("<"):
            problems.error(f"{self.root.name} imports {text}, and lies in no folder", statement.span, "read it from a file")
        if not text.endswith(".brk"):
            problems.error(f"{text} is no .brk file", statement.span, 'write import "layers.brk"')
        if "\\" in text or "\0" in text or Path(text).is_absolute():
            problems.error(f"{text} is no relative path", statement.span, 'write import "parts/layers.brk"')
        found = Path(os.path.realpath(importing.resolve().parent / text))
        if not found.is_relative_to(self.folder):
            problems.error(
                f"{text} lies outside the folder of {self.root.name}", statement.span, "imported files lie beside it or below"
            )
        return found

    def _read(self, statement: syntax.Import, path: Path) -> Source:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                self.problems.error(f"{statement.path} is no file", statement.span)
            if status.st_size > MOST_BYTES:
                self.problems.error(f"{statement.path} is longer than {MOST_BYTES:,} bytes", statement.span)
            return Source(path.read_text(encoding="utf-8-sig"), self._name(path))
        except OSError as error:
            self.problems.error(f"cannot read {statement.path}: {error.strerror}", statement.span)
        except UnicodeDecodeError as error:
            self.problems.error(f"{statement.path} is not UTF-8 text (byte {error.start})", statement.span)

    def _name(self, path: Path) -> str:
        """A file as messages show it, like the root file."""
        return os.fspath(self.shown / path.relative_to(self.folder))
