"""Long statements over several lines, as a careful person breaks them."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 100
_OPEN, _CLOSE = "([{", ")]}"


def wrapped(line: str, width: int = WIDTH) -> list[str]:
    """``line`` in pieces of at most ``width`` characters where it has a bracket or an operator to break at.

    >>> wrapped("total = alpha + beta", 12)
    ['total = (', '    alpha', '    + beta', ')']
    """
    if len(line) <= width:
        return [line]
    if line.startswith("return "):
        opening, *rest = wrapped(f"_ = {line[7:]}", width)
        return [f"return {opening[4:]}", *rest]
    head, equals, value = _split_assignment(line)
    start = next((k for k, char in enumerate(value) if char in "(["), -1)
    if value[-1] in ")]" and start >= 0 and _closes_at_end(value, start):
        items = _split(value[start + 1 : -1], ", ")
        if len(items) > 1:
            return [f"{head}{equals}{value[: start + 1]}", *_packed(items, ",", width), value[-1]]
    if equals.strip() == "=":
        terms = _split_operators(value)
        if len(terms) > 1:
            return [f"{head}{equals}(", *(f"    {term}" for term in terms), ")"]
    return [line]


def literal(value: object) -> str:
    """Data as Python text, strings in double quotes.

    >>> literal(("N", None))
    '("N", None)'
    """
    if isinstance(value, str):
        text = repr(value)
        return text if '"' in value else f'"{text[1:-1]}"'.replace("\\'", "'")
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def definition(name: str, parameters: Sequence[str], width: int = WIDTH) -> tuple[str, ...]:
    """The head of a function, over several lines where it is long."""
    line = f"def {name}({', '.join(parameters)}):"
    if len(line) <= width:
        return (line,)
    return (f"def {name}(", *_packed(list(parameters), ",", width), "):")


def assignment(targets: Sequence[str], value: str, width: int = WIDTH) -> tuple[str, ...]:
    """``targets = value``, the targets in parentheses over several lines where they are long."""
    line = f"{', '.join(targets)}{',' if len(targets) == 1 else ''} = {value}"
    if len(line) <= width:
        return (line,)
    opening, *rest = wrapped(f"_ = {value}", width)
    if len(targets) == 1:
        return (f"{targets[0]}, ={opening[3:]}", *rest)
    return ("(", *_packed(list(targets), ",", width), f") ={opening[3:]}", *rest)


def _split_assignment(line: str) -> tuple[str, str, str]:
    for equals in (" = ", " += ", " -= ", " *= ", " /= "):
        head, found, value = line.partition(equals)
        if found and head.replace("[...]", "").replace("[()]", "").isidentifier():
            return head, equals, value
    return "", "", line


def _depths(text: str) -> list[int]:
    depths, depth = [], 0
    for char in text:
        depth -= char in _CLOSE
        depths.append(depth)
        depth += char in _OPEN
    return depths


def _closes_at_end(text: str, opening: int) -> bool:
    depths = _depths(text)
    return all(depth > 0 for depth in depths[opening + 1 : -1])


def _split(text: str, separator: str) -> list[str]:
    parts, start = [], 0
    depths = _depths(text)
    for k in range(len(text)):
        if depths[k] == 0 and text.startswith(separator, k):
            parts.append(text[start:k])
            start = k + len(separator)
    return [*parts, text[start:]]


def _split_operators(text: str) -> list[str]:
    """Terms of the outermost sum, else factors of the outermost product, each behind its operator."""
    depths = _depths(text)
    for operators in ((" + ", " - "), (" * ", " / ", " @ ")):
        cuts = [k for k in range(len(text)) if depths[k] == 0 and text[k : k + 3] in operators]
        if cuts:
            starts = [0, *(cut + 1 for cut in cuts)]
            ends = [*cuts, len(text)]
            return [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return [text]


def _packed(items: list[str], separator: str, width: int) -> list[str]:
    """Items in as few lines as fit, each line ending with the separator but the last."""
    lines, current = [], ""
    for k, item in enumerate(items):
        piece = item + (separator if k < len(items) - 1 else "")
        joined = f"{current} {piece}" if current else f"    {piece}"
        if current and len(joined) > width:
            lines.append(current)
            joined = f"    {piece}"
        current = joined
    return [*lines, current]
