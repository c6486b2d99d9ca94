"""Logical lines: which tokens belong to one statement.

A statement ends at the line end, and continues over it inside any bracket, after an operator, and where the next
line begins with `where` or `for`.  The braces of a derivation are no continuation; they hold lines of their own.
Brackets are matched once for the whole file, so a bracket that is never closed spoils its own line only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bracketc.lang.chain import LEVELS
from bracketc.lang.cursor import CLOSERS, OPENERS
from bracketc.lang.lexer import Token
from bracketc.lang.words import REDUCTIONS, STATEMENTS

# `>` ends `ones<N>`, and a comparison stands inside of `where( )` anyway
_CONTINUING = frozenset((*LEVELS, "~", "**", "=", ",", "|", "..", "⇝", "⟹", "_<", "_>", ":"))
_ANNOTATED = frozenset("⊙⊘·")


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: its tokens without newlines, then an ``end`` token; the block that its ``{`` opens, if any."""

    tokens: tuple[Token, ...]
    block: tuple[Line, ...] | None = None
    closed: Token | None = None  # the } of the block


def matching(tokens: Sequence[Token]) -> dict[int, int]:
    """Index of the closing bracket for the index of each opening one that has a partner.

    ``( [ ) ]``  ->  {0: 2}: a closing bracket closes the innermost bracket of its kind, and what is open in there
    stays without a partner.  So does what is open where a line can only be the beginning of a statement.
    """
    found: dict[int, int] = {}
    stack: list[int] = []
    blocks: set[int] = set()  # the { of derivations
    waiting = {"(": 0, "[": 0, "{": 0}
    line = 0
    for index, token in enumerate(tokens):
        if token.kind == "newline":
            line = index + 1
            continue
        if index == line and stack and _begins(tokens, index, tokens[stack[-1]], tokens[stack[-1] - 1]):
            while stack and stack[-1] not in blocks:
                waiting[tokens[stack.pop()].text] -= 1
        if token.kind != "op":
            continue
        if token.text in OPENERS:
            stack.append(index)
            waiting[token.text] += 1
            if token.text == "{" and _is_derivation(tokens[line : min(index, line + 5)]):
                blocks.add(index)
        elif token.text in CLOSERS and waiting[CLOSERS[token.text]]:
            opener = -1
            while opener < 0 or tokens[opener].text != CLOSERS[token.text]:
                opener = stack.pop()
                waiting[tokens[opener].text] -= 1
            found[opener] = index
    return found


def _begins(tokens: Sequence[Token], at: int, opener: Token, before: Token) -> bool:
    """Whether the line at ``at`` cannot go on with what stands in the bracket ``opener``.

    No bracket but that of ``sum[t=1..T]`` holds ``NAME =``, and none a statement keyword at the very start of a line.
    """
    token, after = tokens[at], tokens[min(at + 1, len(tokens) - 1)]
    if opener.text == "[" and before.kind == "name" and before.text in REDUCTIONS:
        return False
    if token.is_op("=", "⟹"):
        return True
    if token.kind != "name":
        return False
    if token.text in STATEMENTS and after.kind == "name" and tokens[at - 1].end == token.start:
        return True
    if after.kind == "subscript" and not after.spaced:
        after = tokens[min(at + 2, len(tokens) - 1)]
    return after.is_op("=")


def logical_lines(tokens: Sequence[Token]) -> tuple[Line, ...]:
    """The logical lines of a file; a derivation is one line with a block of lines."""
    return _lines(tokens, matching(tokens), 0, len(tokens) - 1, True)


def _lines(tokens: Sequence[Token], partner: dict[int, int], at: int, stop: int, top: bool) -> tuple[Line, ...]:
    found: list[Line] = []
    line: list[Token] = []
    while at < stop:
        token = tokens[at]
        if token.kind == "newline":
            while at < stop and tokens[at].kind == "newline":
                at += 1
            if line and not _goes_on(line, tokens, at, stop):
                found.append(_finished(line))
                line = []
            continue
        if top and token.is_op("{") and _is_derivation(line):
            line.append(token)
            end = partner.get(at, stop)
            block = _lines(tokens, partner, at + 1, end, False)
            found.append(_finished(line, block, tokens[end] if end < stop else None))
            line = []
            at = end + 1
            continue
        if at in partner and partner[at] < stop:
            end = partner[at]
            line.extend(inner for inner in tokens[at : end + 1] if inner.kind != "newline")
            at = end + 1
            continue
        line.append(token)
        at += 1
    if line:
        found.append(_finished(line))
    return tuple(found)


def _finished(line: list[Token], block: tuple[Line, ...] | None = None, closed: Token | None = None) -> Line:
    end = line[-1].end
    return Line((*line, Token("end", "", end, end, True)), block, closed)


def _is_derivation(line: Sequence[Token]) -> bool:
    """Whether the line so far is ``derivation …`` or ``(label) derivation …``."""
    first = 3 if len(line) > 3 and line[0].is_op("(") and line[2].is_op(")") else 0
    if len(line) <= first or line[first].kind != "name" or line[first].text != "derivation":
        return False
    return len(line) == first + 1 or (line[first + 1].kind == "name" and line[first + 1].spaced)


def _goes_on(line: list[Token], tokens: Sequence[Token], at: int, stop: int) -> bool:
    last = line[-1]
    if last.kind == "op" and last.text in _CONTINUING:
        return True
    if last.kind == "name" and last.text in ("where", "for"):
        return True
    if last.kind in ("subscript", "superscript") and len(line) > 1 and not last.spaced:
        before = line[-2]
        layout = len(line) > 3 and line[-4].kind == "name" and line[-4].text == "layout"  # layout ^12·^3
        if before.kind == "op" and before.text in _ANNOTATED and not layout:
            return True
    token = tokens[at]
    if at >= stop or token.kind != "name" or token.text not in ("where", "for"):
        return False
    after = tokens[at + 1]
    return not (token.text == "where" and after.is_op("(") and not after.spaced)
