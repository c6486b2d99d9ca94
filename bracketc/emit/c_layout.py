"""Indentation of emitted C: each line is moved to the depth that the braces before it give."""

from __future__ import annotations


def indented(text: str, unit: str = "    ") -> str:
    """``text`` with every line at its depth; comments keep their lines, blank lines at most one in a row.

    >>> print(indented("if (a) {\\nb();\\n}"))
    if (a) {
        b();
    }
    """
    depth = 0
    out: list[str] = []
    in_comment = False
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            if out and out[-1]:
                out.append("")
            continue
        if in_comment:
            out.append(f"{unit * depth} {line}")
            in_comment = "*/" not in line
            continue
        if line.startswith("/*") and "*/" not in line:
            in_comment = True
        if line.startswith("#"):
            out.append(line)
            continue
        code = _without_comment(line)
        closing = len(code) - len(code.lstrip("}"))
        out.append(unit * max(0, depth - closing) + line)
        depth = max(0, depth + code.count("{") - code.count("}"))
    return "\n".join(out)


def _without_comment(line: str) -> str:
    start = line.find("/*")
    return line if start < 0 else line[:start]
