"""Texts kept in one file, each under a heading; ``pytest --update-golden`` rewrites them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "cases"
RULER = "## "


def sections(path: Path) -> dict[str, str]:
    """The texts of a file by name."""
    found = {}
    for part in f"\n{path.read_text(encoding='utf-8')}".split(f"\n{RULER}")[1:]:
        name, text = part.split("\n", 1)
        found[name] = text.rstrip("\n")
    return found


def compare(path: Path, names: Sequence[str], name: str, text: str, update: bool) -> None:
    """``text`` is that of ``name``; ``names`` are all, in the order of the file."""
    known = sections(path) if path.exists() else {}
    if update:
        known[name] = text.rstrip("\n")
        path.write_text("".join(f"{RULER}{each}\n{known[each]}\n" for each in names if each in known), encoding="utf-8")
    assert text.rstrip("\n") == known.get(name), "if this is meant: pytest --update-golden, and review the diff"

