"""Errors for tokens that cannot stand where they stand, with what was probably meant."""

from __future__ import annotations

from bracketc.errors import Diagnostic
from bracketc.lang import subscripts
from bracketc.lang.chain import COMPARISONS, missing_operand
from bracketc.lang.cursor import CLOSERS, Cursor, Problem
from bracketc.lang.frames import CLOSING, ONES_HELP, Frames
from bracketc.lang.lexer import Token
from bracketc.lang.syntax import Bar, Expr, FormalProduct, Name, Number, Paren
from bracketc.lang.words import FUNCTIONS


def unclosed(frames: Frames, token: Token) -> Problem:
    """The error for a statement that ends inside a bracket."""
    frame = frames.top
    shown = frames.cursor.shown(frame.opener)
    closing = CLOSING[frame.kind]
    found = "" if token.kind == "end" else f" before {frames.cursor.shown(token)}"
    return frames.cursor.problem(f"{shown} is not closed{found}", frame.opener, f"close it with {closing}")


def misplaced(frames: Frames, token: Token) -> Exception:
    """The error for punctuation that cannot stand in the innermost bracket."""
    cursor, frame = frames.cursor, frames.top
    text = token.text
    if text in CLOSERS:
        if frame.kind == "root":
            return missing_operand(cursor, token) if frame.chain.empty else cursor.unexpected(token, "nothing more")
        opener = cursor.shown(frame.opener)
        return Problem(
            Diagnostic(
                f"found {text}, expected {CLOSING[frame.kind]} to close {opener}",
                cursor.span(token, token),
                notes=((f"{opener} was opened here", cursor.span(frame.opener, frame.opener)),),
            )
        )
    factors = frame.chain.factors
    if text in ("<", "⟨") and factors and isinstance(factors[-1], Number) and factors[-1].text == "1":
        return cursor.problem("1 is a number", factors[-1].span, ONES_HELP)
    if text in COMPARISONS:
        help = "comparisons stand in where(condition, a, b), as the whole condition"
        return cursor.problem(f"the comparison {text} outside of a condition", token, help)
    if text == "=":
        if frame.kind == "call" and frame.name is not None and frame.name.text == "where":
            return cursor.problem("= in a condition", token, "equality is tested with ==")
        if frame.kind == "root":
            return missing_operand(cursor, token)
        return unclosed(frames, token)
    if text in ("⟨", "⟩"):
        help = "sized ones are 𝟏⟨N,M⟩, one-hots e⟨i,j⟩"
        if factors and isinstance(factors[-1], Name):
            help = f"a member of a family is {factors[-1].text}[1]; {help}"
        return cursor.problem(f"{text} without 𝟏 or e before it", token, help)
    if text == "|":
        if frame.kind == "call":
            help = "an index bracket has its own parentheses: f((A_ij B_jk | ik))"
            return cursor.problem("a bar inside the arguments of a function", token, help)
        return missing_operand(cursor, token) if not factors else cursor.unexpected(token, "no bar here", "( … | ij)")
    if text == "'":
        return cursor.problem("a prime that follows no name", token, "the transpose is X^T; a derivative f'(x)")
    if text == "^":
        return stray_caret(cursor, token)
    if text == "_":
        if cursor.following.text in ("𝟏", "ones"):
            help = "a position is a digit: A_1; the ones of rank 2 are 𝟏_12"
            return cursor.problem("𝟏 is a tensor of ones, no position", cursor.following, help)
        return cursor.problem("an empty subscript", token, "labels are _ij or _{i1,k}, positions _21")
    if text in ("_<", "_>"):
        return cursor.problem(f"{text} without an operator before it", token, "it annotates · only: A ·_> B")
    if text == "!":
        return cursor.problem("! without an index behind it", token, "an element is X![2,3], or X[2,3] after a name")
    if text == "**":
        return missing_operand(cursor, token)
    if text == ":" and frame.kind == "entries":
        return cursor.problem(": in an index", token, "a slice is first..last, a whole dimension · or : alone")
    if text == "," and frame.kind == "fusion":
        help = "the members of [ ] stand side by side; a list is stack(a, b); an index touches its name, or is (…)![i, j]"
        return cursor.problem("a comma inside [ ]", token, help)
    if text == ",":
        return cursor.problem(f"a comma inside {cursor.shown(frame.opener)}", token, "there are no tuples")
    if text == "..":
        return cursor.problem("a range outside of an index", token, "ranges stand in X[a..b], sum[t=1..T], for t = 1..T")
    return cursor.unexpected(token, "an operand or an operator")


def stray_list(cursor: Cursor, token: Token) -> Exception:
    """The error for ``x^2`` and its kin."""
    body = token.text[1:]
    text = body[1:-1].strip() if body.startswith("{") else body
    subscripts.positions(cursor, token)  # what is no list at all has an error of its own
    base = "x"
    if not token.spaced and cursor.at:
        before = cursor.tokens[cursor.at - 1]
        base = before.text if before.kind == "name" else base
    if cursor.at and cursor.tokens[cursor.at - 1].text in FUNCTIONS:
        return cursor.problem(f"^{text} behind a function", token, f"a power is ** behind the call: {base}(…)**{text}")
    help = f"a power is **: {base}**{text if text.isdigit() else '…'}; ^ takes position lists (A ^2·^1 B) and ^T"
    return cursor.problem("^ is no power", token, help)


def stray_caret(cursor: Cursor, token: Token) -> Exception:
    after = cursor.following
    if after.kind == "name" and after.text in ("t", "top", "transpose"):
        return cursor.problem("^ is no power", token, "the transpose is ^T")
    if after.kind == "name" and after.text.startswith("T"):
        return cursor.problem("^T must not touch a letter or digit", token, "write a space after ^T")
    if after.is_op("-"):
        return cursor.problem("^ is no power", token, "the inverse is inv(X), the reciprocal x**-1")
    if cursor.at and cursor.tokens[cursor.at - 1].text == "e":
        return cursor.problem("^ is no power", token, "the exponential function is exp(x)")
    return cursor.problem("^ is no power", token, "a power is **: x**n, x**(n+1); ^ takes position lists and ^T")


def refuse_one(cursor: Cursor, member: Expr) -> None:
    """Refuse a member ``1`` of ``[ ]``, also inside a group: it has no dimension to fuse."""
    inner = member.operand if isinstance(member, Bar) else member
    if isinstance(inner, Paren) and isinstance(inner.body, FormalProduct):
        parts: tuple[Expr, ...] = inner.body.factors
    else:
        parts = (inner,)
    for part in parts:
        if isinstance(part, Number) and part.text == "1":
            raise cursor.problem("the number 1 inside [ ]", part.span, ONES_HELP)
