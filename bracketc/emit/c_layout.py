"""Indentation of emitted C: each line is moved to the depth that the braces before it give."""

from __future__ import annotations

import re

_HEAD = re.compile(r"(if|for|while) \(.*\)$|else$")
"""The head of a statement without braces."""


def indented(text: str, unit: str = "    ") -> str:
    """``text`` with every line at its depth; blank lines at most one in a row, none behind an opening or before a
    closing brace.

    >>> print(indented("if (a) {\\nif (b)\\nc();\\n}"))
    if (a) {
        if (b)
            c();
    }
    """
    depth, hanging = 0, 0
    out: list[str] = []
    in_comment = False
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            if out and out[-1] and not out[-1].endswith("{"):
                out.append("")
            continue
        if in_comment:
            out.append(f"{unit * depth}   {line}")
            in_comment = "*/" not in line
            continue
        if line.startswith("/*") and "*/" not in line:
            in_comment = True
        if line.startswith("#"):
            out.append(line)
            continue
        code = line if line.startswith('"') else _without_comment(line)
        closing = len(code) - len(code.lstrip("}"))
        if closing and out and not out[-1]:
            out.pop()
        if code == "{":
            hanging = 0
        out.append(unit * (max(0, depth - closing) + hanging) + line)
        depth = max(0, depth + code.count("{") - code.count("}"))
        if code:
            if _HEAD.match(code):
                hanging += 1
            else:
                hanging = int(code.endswith(("(", ",")) and not _in_braces(code, hanging))
    return "\n".join(out)


def _in_braces(code: str, hanging: int) -> bool:
    """Whether the line is an entry of an initialiser, which stands at the depth of its braces already."""
    return code.startswith(".") and not hanging


def _without_comment(line: str) -> str:
    start = line.find("/*")
    return line if start < 0 else line[:start].rstrip()
