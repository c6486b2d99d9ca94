"""``verify``: prove or refute the steps of derivations."""

from __future__ import annotations

import argparse

from bracketc.cli.sources import file_argument, read_source
from bracketc.cli.terminal import Terminal
from bracketc.errors import Diagnostic, UnsupportedError
from bracketc.lang.parser import parse_file
from bracketc.lang.syntax import Derivation

NAME = "verify"
READS_SOURCE = True


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Say which derivations would be checked: their steps are read, and checking them is still to come."""
    tree = parse_file(read_source(arguments.file))
    blocks = [statement for statement in tree.statements if isinstance(statement, Derivation)]
    if blocks:
        raise UnsupportedError(
            [Diagnostic("checking the steps of a derivation is not supported yet", b.span) for b in blocks]
        )
    terminal.data({"ok": True, "steps": []})
    terminal.say(f"{arguments.file} has no derivation")
    return 0
