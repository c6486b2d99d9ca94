"""``fmt``: format source files."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from bracketc.cli.sources import STDIN, read_source
from bracketc.cli.terminal import Terminal
from bracketc.errors import BracketError, Diagnostic, Source, SourceError, ToolchainError
from bracketc.lang.format import format_file
from bracketc.lang.parser import parse_file

NAME = "fmt"
READS_SOURCE = True


def arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "files", metavar="FILE", nargs="+", help="a .brk file; - reads standard input and writes standard output"
    )
    spelling = command.add_mutually_exclusive_group()
    spelling.add_argument("--unicode", dest="style", action="store_const", const="unicode", help="⊙ · 𝟏 (default)")
    spelling.add_argument("--ascii", dest="style", action="store_const", const="ascii", help="* . ones")
    command.add_argument("--check", action="store_true", help="write nothing; status 1 if a file would change")
    command.set_defaults(style="unicode")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Format every file, or none when one of them cannot be read."""
    found: list[Diagnostic] = []
    texts: list[tuple[Source, str]] = []
    for path in arguments.files:
        try:
            source = read_source(path)
            texts.append((source, format_file(parse_file(source), source, arguments.style)))
        except BracketError as error:
            found.extend(error.diagnostics)
    if found:
        raise SourceError(found)
    changed = [source.filename for source, text in texts if text != source.text]
    terminal.data({"ok": not (arguments.check and changed), "changed": changed})
    for source, text in texts:
        if arguments.check:
            if text != source.text:
                terminal.say(f"{source.filename} would change")
        elif source.filename == STDIN:
            terminal.text(text.rstrip("\n"))
        elif text != source.text:
            replace_text(Path(source.filename), text)
            terminal.say(f"{source.filename} formatted")
    return 1 if arguments.check and changed else 0


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, keeping its permissions."""
    try:
        target = path.resolve()
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(name, target.stat().st_mode & 0o7777)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ToolchainError(f"cannot write {path}: {error.strerror}") from None
