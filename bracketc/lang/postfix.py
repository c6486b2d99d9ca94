"""What stands behind an operand: subscripts, ``^T``, tags, indices, powers."""

from __future__ import annotations

from bracketc.lang import subscripts
from bracketc.lang.chain import DOT, ELEMENTWISE, LEVELS
from bracketc.lang.frames import ONES_HELP, Frames
from bracketc.lang.lexer import Token
from bracketc.lang.misplaced import stray_list
from bracketc.lang.syntax import Expr, Fusion, Labelled, Name, Number, Portion, Power, Transpose
from bracketc.lang.words import FUNCTIONS


def complete(frames: Frames, node: Expr, start: Token) -> None:
    """Apply the postfixes behind ``node``; then it is a factor, unless one of them opened a bracket."""
    cursor = frames.cursor
    frames.begin(start)
    while True:
        token = cursor.token
        kind = token.kind
        if kind == "op":
            if token.text == "**":
                power = _power(frames, node, start)
                if power is None:
                    return
                node = power
                continue
            if token.spaced:
                break
            if token.text == "[" and isinstance(node, Name):
                frames.push("entries", cursor.take(), start).operand = node
                return
            if token.text == "!" and cursor.following.is_op("[") and not cursor.following.spaced:
                _check_suffix(frames, node, token)
                cursor.take()
                frames.push("entries", cursor.take(), start).operand = node
                return
            break
        if token.spaced or kind not in ("subscript", "transpose", "tag", "superscript"):
            break
        if kind == "superscript":
            operator = cursor.following
            if operator.kind == "op" and LEVELS.get(operator.text) in (ELEMENTWISE, DOT):
                break
            raise stray_list(cursor, token)
        _check_suffix(frames, node, token)
        node = _suffixed(frames, node, cursor.take(), start)
    frames.factor(node)


def _suffixed(frames: Frames, node: Expr, token: Token, start: Token) -> Expr:
    cursor = frames.cursor
    if token.kind == "transpose":
        return Transpose(node, cursor.span(start))
    instance = None
    if token.kind == "tag":
        if len(token.text) > 4:
            raise cursor.problem("an instance number with more than four digits", token)
        instance = int(token.text)
        after = cursor.token
        if after.kind != "subscript" or after.spaced or subscripts.is_labels(after):
            help = "a tag says to which occurrence a portion belongs: X#1_2; a comment needs a space before its #"
            raise cursor.problem("an instance tag without a portion", token, help)
        token = cursor.take()
    if subscripts.is_labels(token):
        found = subscripts.labels(cursor, token)
        return Labelled(node, found, cursor.span(start))
    listed = subscripts.positions(cursor, token)
    return Portion(node, listed, instance, cursor.span(start))


def _check_suffix(frames: Frames, node: Expr, token: Token) -> None:
    cursor = frames.cursor
    shown = cursor.shown(token)
    if isinstance(node, Number):
        if node.text == "1" and "0" not in shown:
            raise cursor.problem("1 is a number", cursor.span(token).join(node.span), ONES_HELP)
        raise cursor.problem(
            f"{shown} behind a number", token, "digits are not grouped with _; a product needs a space"
        )
    if isinstance(node, Power):
        help = f"say what it belongs to: (x**2){shown} or x**(y{shown})"
        raise cursor.problem(f"{shown} behind a power", token, help)
    if isinstance(node, Fusion):
        help = f"close the product first: {{[…]}}{shown}"
        raise cursor.problem(f"{shown} behind a fused product [ ]", token, help)


def _power(frames: Frames, node: Expr, start: Token) -> Expr | None:
    """Read ``** exponent`` behind ``node``; None when the exponent is a parenthesis, which is now open."""
    cursor = frames.cursor
    operator = cursor.take()
    if isinstance(node, Power):
        text = " ".join(node.span.text[:40].split())
        help = f"write ({text})**… or {' '.join(node.base.span.text[:20].split())}**(…)"
        raise cursor.problem("a power of a power is read in two ways", operator, help)
    if isinstance(node, Fusion):
        raise cursor.problem("a power of a fused product [ ]", operator, "close the product first: {[…]}**2")
    negated = cursor.accept("-") is not None
    token = cursor.take()
    if token.is_op("("):
        frame = frames.push("exponent", token, start)
        frame.operand, frame.negated = node, negated
        return None
    exponent: Expr
    place = cursor.span(token, token)
    if token.kind == "number":
        exponent = Number(token.text, place)
    elif token.kind == "name" and token.text not in frames.stops and token.text not in FUNCTIONS:
        exponent = Name(token.text, place)
    else:
        help = "an exponent is a number, a name or a parenthesis: x**2, x**n, x**(n+1)"
        raise cursor.unexpected(token, "an exponent", help)
    after = cursor.token
    touching = after.kind in ("subscript", "transpose", "superscript", "tag") or after.is_op("(", "[")
    if touching and not after.spaced:
        help = f"write x**({token.text}{cursor.shown(after)}…) or (x**{token.text}){cursor.shown(after)}…"
        raise cursor.problem(f"{cursor.shown(after)} behind an exponent is read in two ways", after, help)
    return Power(node, negated, exponent, cursor.span(start))
