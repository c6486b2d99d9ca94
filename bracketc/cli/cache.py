"""``cache``: the build cache."""

from __future__ import annotations

import argparse

from bracketc.cli.figures import bytes_text
from bracketc.cli.terminal import Terminal, aligned
from bracketc.options import read_options
from bracketc.runtime.cache import cache_entries, cache_folder, clear_cache

NAME = "cache"
READS_SOURCE = False


def arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "action", choices=("info", "list", "clear"), help="where and how large, every build, remove all"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Show or empty the cache."""
    options = read_options({})
    folder = cache_folder(options)
    if arguments.action == "clear":
        removed = clear_cache(options)
        terminal.data({"ok": True, "folder": str(folder), "removed": removed})
        terminal.say(f"removed {_count(removed)} from {folder}")
        return 0
    entries = cache_entries(options)
    total = sum(entry.bytes for entry in entries)
    listed = [{"key": e.key, "name": e.name, "bytes": e.bytes} for e in entries]
    terminal.data({"ok": True, "folder": str(folder), "count": len(entries), "bytes": total, "builds": listed})
    if arguments.action == "list":
        table = aligned("model", "size", "fingerprint", right=("size",))
        for entry in entries:
            table.add_row(entry.name, bytes_text(entry.bytes), entry.key)
        if entries:
            terminal.table(table)
    terminal.say(f"{folder}: {_count(len(entries))}, {bytes_text(total)}")
    return 0


def _count(number: int) -> str:
    return f"{number} build" + ("" if number == 1 else "s")
