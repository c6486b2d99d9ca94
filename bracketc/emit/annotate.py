"""Emitted text beside the steps that it computes: every block carries its bracket as a comment, and is cut there.

    /* Z_nh = (X_nd W_dh | nh) */          the bracket of step 1
    {                                      its code,
        …                                  up to the comment of step 2
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent

_TILE = re.compile(r"\btile_\w*?\d+\b")


@dataclass(frozen=True, slots=True)
class Cut:
    """The emitted text of a step, and of the function that rewrites its finished tiles where it has one."""

    code: str
    epilogue: str = ""


def cut(text: str, entry: str, brackets: Sequence[str]) -> tuple[Cut, ...]:
    """The text of every step of an entry, in the order of ``brackets``; empty where a step has no block of its own."""
    lines = _segment(text.split("\n"), entry)
    comments = _comments(lines)
    starts: list[int | None] = []
    following = 0
    for bracket in brackets:
        wanted = _squeezed(bracket)
        place = next((n for n in range(following, len(comments)) if comments[n][1] == wanted), None)
        starts.append(None if place is None else comments[place][0])
        following = following if place is None else place + 1
    found = []
    for number, start in enumerate(starts):
        if start is None:
            found.append(Cut(""))
            continue
        end = next((later for later in starts[number + 1 :] if later is not None), len(lines))
        code = dedent("\n".join(lines[start:end])).strip("\n")
        found.append(Cut(code, _epilogue(text, code)))
    return tuple(found)


def shared(text: str) -> str:
    """What comes before the entry points of emitted C: vectors, kernels, checks. Empty for other text."""
    end = re.search(r"^static int64_t \w+_layout\(", text, re.MULTILINE)
    return text[: end.start()].rstrip() if end is not None else ""


def _segment(lines: list[str], entry: str) -> list[str]:
    """The lines of one entry point: in C from its layout of the workspace on, in Python its kernel."""
    heads = (re.compile(rf"static int64_t {re.escape(entry)}_layout\("), re.compile(rf"def _{re.escape(entry)}_kernel\("))
    first = next((n for n, line in enumerate(lines) if any(head.match(line) for head in heads)), None)
    if first is None:
        return []
    own = re.escape(entry)  # sums of ranges have a layout, too
    other = re.compile(rf"static int64_t (?!{own}_sums_layout)\w+_layout\(|def |class |@|/\* Where the parts")
    last = next((n for n in range(first + 1, len(lines)) if other.match(lines[n])), len(lines))
    return lines[first:last]


def _comments(lines: Sequence[str]) -> list[tuple[int, str]]:
    """Comments that stand on lines of their own: the first line of each, and its text without spaces."""
    found: list[tuple[int, str]] = []
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        first = number
        if line.startswith("/*"):
            parts = [line]
            while "*/" not in parts[-1] and number + 1 < len(lines):
                number += 1
                parts.append(lines[number].strip())
            found.append((first, _squeezed(" ".join(parts).removeprefix("/*").partition("*/")[0])))
        elif line.startswith("#") and not line.startswith(("#p", "#i", "#e", "#d")):
            parts = [line]
            while number + 1 < len(lines) and lines[number + 1].strip().startswith("#"):
                number += 1
                parts.append(lines[number].strip())
            found.append((first, _squeezed("".join(part.removeprefix("#") for part in parts))))
        number += 1
    return found


def _squeezed(text: str) -> str:
    """Text without what wrapping changes."""
    return re.sub(r"[\s;*/]", "", text)


def _epilogue(text: str, code: str) -> str:
    """The function over finished tiles that a contraction calls."""
    name = _TILE.search(code)
    if name is None:
        return ""
    found = re.search(rf"^static void {re.escape(name[0])}\(.*?^}}$", text, re.MULTILINE | re.DOTALL)
    return found[0] if found is not None else ""
