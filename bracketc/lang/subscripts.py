"""What stands in ``_…``, ``^…`` and right of a bar: position lists and labels."""

from __future__ import annotations

import itertools
import re
import unicodedata

from bracketc.errors import Span
from bracketc.lang.cursor import Cursor
from bracketc.lang.lexer import Token
from bracketc.lang.syntax import Label, Position, Positions

MOST_POSITION = 999
"""Largest position; no tensor has that many dimensions."""

_PART = re.compile(r"\s*(?:([0-9]+)|([~\[\],]))")
_RUN = re.compile(r"[^\W_]+'*")


def is_labels(token: Token) -> bool:
    """Whether a subscript holds letters: ``_ij`` and ``_{i1,j}`` do, ``_12`` and ``_{~1[23]}`` do not."""
    return any(char.isalpha() for char in token.text)


def positions(cursor: Cursor, token: Token) -> Positions:
    """The position list of a subscript or superscript token.

    ``_{~1[25]3}`` -> (~1) (2, 5) (3); digits are single positions unless a comma stands between: ``^{10,3}``.
    """
    start = token.start + 1
    body = cursor.source.text[start : token.end]
    if body.startswith("{"):
        start, body = start + 1, body[1:-1]
    commas = "," in body
    groups: list[tuple[Position, ...]] = []
    group: list[Position] | None = None
    barred = False
    seen: set[int] = set()
    at = 0
    bracket = 0
    while body[at:].strip():
        match = _PART.match(body, at)
        if match is None:
            raise _not_positions(cursor, token)
        at = match.end()
        digits, mark = match.groups()
        if digits is None:
            if mark == "~" and not barred:
                barred = True
            elif mark == "[" and group is None and not barred:
                group, bracket = [], start + match.start(2)
            elif mark == "]" and group and not barred:
                groups.append(tuple(group))
                group = None
            elif mark == "," and not barred:
                pass
            else:
                raise cursor.problem(
                    f"{mark} is misplaced in a position list",
                    Span(cursor.source, start + match.start(2), start + at),
                    "a position list is written like ~1[25]3 or 10,3,4",
                )
            continue
        for offset, text in enumerate([digits] if commas else digits):
            place = start + match.start(1) + offset
            span = Span(cursor.source, place, place + len(text))
            if len(text) > 3:
                raise cursor.problem(f"position {text[:20]} is larger than {MOST_POSITION}", span)
            number = int(text)
            if number == 0:
                help = "positions count from 1; ten and more need commas: {10,} or {10,3}"
                raise cursor.problem("position 0 in a position list", span, help)
            if number in seen:
                help = "each digit is a position; from ten on, write commas: {12,3}" if not commas else ""
                raise cursor.problem(f"position {number} occurs twice in one list", span, help)
            seen.add(number)
            position = Position(number, barred, span)
            barred = False
            if group is None:
                groups.append((position,))
            else:
                group.append(position)
    if group is not None:
        raise cursor.problem("[ is not closed in a position list", Span(cursor.source, bracket, bracket + 1))
    if barred or not groups:
        raise cursor.problem("a position is missing", token, "a position list is written like ~1[25]3 or 10,3,4")
    return Positions(tuple(groups), cursor.span(token, token))


def plain_positions(cursor: Cursor, token: Token, bars: bool, what: str) -> Positions:
    """A position list without groups, and without bars unless ``bars``."""
    found = positions(cursor, token)
    for group in found.groups:
        if len(group) > 1:
            raise cursor.problem(f"a group in {what}", group[0].span.join(group[-1].span), "only a subscript has groups")
        if group[0].barred and not bars:
            raise cursor.problem(f"a bar in {what}", group[0].span, "remove the ~")
    return found


def _subscript_help(cursor: Cursor, body: str) -> str:
    if any(dot in body for dot in (".", "·", ":")):
        before = cursor.tokens[max(cursor.at - 2, 0)]
        name = before.text if before.kind == "name" else "M"
        listed = re.findall(r"[^\W_]+|[.·:]", body)
        return f"an index with a dot stands in brackets: {name}[{','.join('·' if x in '.:' else x for x in listed)}]"
    return "labels are _ij or _{i1,k}, positions _21"


def _not_positions(cursor: Cursor, token: Token) -> Exception:
    body = token.text[1:].strip("{}").strip()
    if token.kind != "superscript":
        return cursor.problem("neither labels nor positions", token, _subscript_help(cursor, body))
    if body == "-1":
        return cursor.problem("^ takes a position list", token, "the inverse is inv(X), the reciprocal x**-1")
    if body in ("-T", "-t"):
        return cursor.problem("^ takes a position list", token, "the transposed inverse is inv(X)^T")
    if body in ("T", "t"):
        return cursor.problem("^ takes a position list", token, "the transpose is ^T")
    return cursor.problem("^ takes a position list", token, f"a power is **: x**({body[:20] or '…'})")


def labels(cursor: Cursor, token: Token) -> tuple[Label, ...]:
    """The labels of a subscript token: ``_ij`` -> i, j; ``_{i1,k}`` -> i1, k; ``_{i1}`` -> i1; ``_{ij}`` -> i, j."""
    body = cursor.source.text[token.start + 1 : token.end]
    if body.startswith("{"):
        return _listed(cursor, body[1:-1], token.start + 2, token)
    if not token.text[1:].isalpha():
        raise _mixed(cursor, token, body)
    return _letters(cursor, body, token.start + 1)


def _listed(cursor: Cursor, body: str, start: int, token: Token) -> tuple[Label, ...]:
    if "," not in body and not any(char.isdigit() for char in body):
        return tuple(label for run in re.finditer(r"\S+", body) for label in _run(cursor, run.group(), start + run.start(), token))
    found: list[Label] = []
    for match in re.finditer(r"[^,]+", body):
        text = match.group().strip()
        if not text:
            raise cursor.problem("a label is missing between commas", token)
        place = start + match.start() + match.group().index(text[0])
        found.append(_long(cursor, text, place))
    return tuple(found)


def _run(cursor: Cursor, text: str, start: int, token: Token) -> tuple[Label, ...]:
    if not _RUN.fullmatch(unicodedata.normalize("NFC", text)):
        raise cursor.problem("neither labels nor positions", token, _subscript_help(cursor, text))
    if "'" in text:
        return (_long(cursor, text, start),)
    return _letters(cursor, text, start)


def _long(cursor: Cursor, text: str, start: int) -> Label:
    span = Span(cursor.source, start, start + len(text))
    if text.isdigit():
        help = f"an element is taken with an index: M[i,{text}]"
        raise cursor.problem("a number among labels", span, help)
    normal = unicodedata.normalize("NFC", text)
    if not _RUN.fullmatch(normal) or not normal[0].isalpha():
        raise cursor.problem(f"{text[:40]} is no label", span, "a label is a name: i, i1, row")
    return Label(normal, span)


def _letters(cursor: Cursor, text: str, start: int) -> tuple[Label, ...]:
    """One label a letter; an accent that was typed as a character of its own belongs to the letter before it."""
    starts = [i for i, char in enumerate(text) if not unicodedata.combining(char)] + [len(text)]
    return tuple(
        Label(unicodedata.normalize("NFC", text[a:b]), Span(cursor.source, start + a, start + b))
        for a, b in itertools.pairwise(starts)
    )


def _mixed(cursor: Cursor, token: Token, body: str) -> Exception:
    split = re.match(r"[0-9]+(?=[^\W\d_])", body)
    if split is not None:
        rest = body[split.end() :]
        help = f"write _{split.group()} {rest} for a portion and a factor {rest}, or _{{{body},}} for one long label"
    else:
        help = f"one long label is _{{{body}}}; labels and long labels are listed with commas: _{{i1,k}}"
    return cursor.problem(f"letters and digits run together in the subscript {body[:40]}", token, help)


def bracket_labels(cursor: Cursor) -> tuple[Label, ...]:
    """The labels between the bar and the ``)`` of an index bracket; stops at the ``)``.

    ``im`` -> i, m;  ``i1,k`` -> i1, k;  ``{i1}`` -> i1;  ``row,`` -> row;  nothing -> ().
    """
    runs: list[tuple[Token, str, bool]] = []  # with its text, and whether it stood in braces
    commas = braced = False
    while not cursor.token.is_op(")"):
        token = cursor.take()
        text = _label_run(cursor, token)
        if text:
            runs.append((token, text, braced))
        elif token.is_op(",") and runs:
            commas = True
        elif token.is_op("{") and not braced:
            braced = True
        elif token.is_op("}") and braced and runs:
            braced = False
        else:
            help = "right of the bar stand labels: ij, or i1,k, or {i1}"
            raise cursor.unexpected(token, "labels and a )", help)
    if braced:
        raise cursor.unexpected(cursor.token, "} to close the labels")
    found: list[Label] = []
    for token, text, inside in runs:
        if commas or (inside and not text.isalpha()) or text.endswith("'"):
            found.append(Label(text, cursor.span(token, token)))
        elif not text.isalpha():
            help = f"one long label is {{{text[:40]}}}; several are listed with commas: i1,k"
            raise cursor.problem("letters and digits run together right of the bar", token, help)
        else:
            found.extend(_letters(cursor, text, token.start))
    if len({label.text for label in found}) < len(found):
        twice = next(label for i, label in enumerate(found) if label in found[:i])
        raise cursor.problem(f"label {twice.text} occurs twice right of the bar", twice.span, "every dimension once")
    return tuple(found)


def _label_run(cursor: Cursor, token: Token) -> str:
    """The text of a token that is made of labels; `ox`, `ones` and ι are labels here, too."""
    text = cursor.source.text[token.start : token.end]
    if token.kind == "name" or text == "ox" or (token.kind == "symbol" and text.isalpha()):
        return unicodedata.normalize("NFC", text)
    return ""
