"""Derivation blocks: the header, then steps line by line."""

from __future__ import annotations

from bracketc.lang.chain import LEVELS
from bracketc.lang.clauses import finish, reference, references, where_clause
from bracketc.lang.cursor import Cursor
from bracketc.lang.expressions import expression
from bracketc.lang.syntax import Derivation, Equation, Member, Reference, Segment, Step


def header(cursor: Cursor) -> Derivation:
    """``(label) derivation of J wrt W, b {``, with no steps yet."""
    start = cursor.token
    label = None
    if cursor.accept("("):
        label = cursor.take().text
        cursor.expect(")", "after a label")
    cursor.take()
    goal: Reference | None = None
    wrt: tuple[Reference, ...] = ()
    help = "write derivation of J wrt W, b { … }"
    if cursor.word("of"):
        goal = reference(cursor, "what is differentiated")
    if cursor.word("wrt"):
        wrt = references(cursor, "what to differentiate by")
    if not cursor.token.is_op("{"):
        raise cursor.unexpected(cursor.token, "{ after the head of a derivation", help)
    cursor.take()
    finish(cursor, "the head of a derivation")
    return Derivation(label, goal, wrt, (), cursor.span(start))


def step(cursor: Cursor, first: bool) -> Step:
    """One line of a block; ``first`` when no chain stands above it."""
    start = cursor.token
    label = _label(cursor)
    segments: list[Segment] = []
    while True:
        token = cursor.token
        opener = ""
        if token.is_op("=", "⇝", "⟹"):
            if first and not segments and token.text != "⟹":
                help = "a chain begins with an expression: dJ = …"
                raise cursor.unexpected(token, "an expression, for no chain stands above", help)
            opener = cursor.take().text
        begin = cursor.token
        equations = [_equation(cursor)]
        while cursor.token.is_op(",") and opener == "⟹":
            cursor.take()
            equations.append(_equation(cursor))
        segments.append(Segment(opener, tuple(equations), cursor.span(token if opener else begin)))
        if not cursor.token.is_op("⟹"):
            break
    if cursor.token.is_op(","):
        raise cursor.unexpected(cursor.token, "the end of a step", "a comma list of equations stands behind ⟹")
    where = where_clause(cursor)
    remark = cursor.take().text if cursor.token.kind == "remark" else None
    finish(cursor, "a step")
    return Step(label, tuple(segments), where, remark, cursor.span(start))


def _label(cursor: Cursor) -> str | None:
    """``(eq3)`` at the start of a line, where no operator follows it."""
    tokens, at = cursor.tokens, cursor.at
    if not (tokens[at].is_op("(") and len(tokens) > at + 3 and tokens[at + 2].is_op(")")):
        return None
    after = tokens[at + 3]
    if tokens[at + 1].kind != "name" or after.kind == "end" or not after.spaced:
        return None
    sign = after.is_op("-") and not tokens[at + 4].spaced  # (eq3) -x = y
    operator = after.kind == "superscript" or (after.kind == "op" and after.text in (*LEVELS, "**", "⇝", ","))
    if operator and not sign:
        return None
    cursor.at += 3
    return tokens[at + 1].text


def _equation(cursor: Cursor) -> Equation:
    start = cursor.token
    members = [_member(cursor)]
    while cursor.accept("="):
        members.append(_member(cursor))
    return Equation(tuple(members), cursor.span(start))


def _member(cursor: Cursor) -> Member:
    start = cursor.token
    growth = [expression(cursor)]
    while cursor.accept("⇝"):
        growth.append(expression(cursor))
    return Member(tuple(growth), cursor.span(start))
