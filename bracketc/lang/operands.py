"""What an operand begins with: names, calls, reductions, derivatives, the symbols 𝟏 ι δ ∇."""

from __future__ import annotations

from bracketc.lang import subscripts
from bracketc.lang.applications import check_bare
from bracketc.lang.chain import COMPARISONS, Chain
from bracketc.lang.frames import Frame, Frames
from bracketc.lang.lexer import Token
from bracketc.lang.postfix import complete
from bracketc.lang.syntax import Binder, Delta, Iota, Name, Ones, Positions
from bracketc.lang.words import ELEMENTWISE, FUNCTIONS, REDUCTIONS


def symbol(frames: Frames, token: Token) -> None:
    """Read an operand that begins with 𝟏, ι, δ or ∇."""
    cursor = frames.cursor
    frames.begin(token)
    cursor.take()
    after = cursor.token
    if token.text == "∇":
        derivative(frames, token)
    elif token.text == "ι":
        complete(frames, Iota(cursor.span(token)), token)
    elif token.text == "δ":
        if after.kind != "subscript" or after.spaced or not subscripts.is_labels(after):
            raise cursor.problem("δ without labels", token, "write δ_ij (delta_ij) inside an index bracket")
        found = subscripts.labels(cursor, cursor.take())
        complete(frames, Delta(found, cursor.span(token)), token)
    elif after.is_op("<", "⟨") and not after.spaced:
        frames.push("angle", cursor.take(), token)
    elif after.kind == "subscript" and not after.spaced and not subscripts.is_labels(after):
        listed = subscripts.positions(cursor, cursor.take())
        rank = len(listed.numbers)
        if listed.numbers != tuple(range(1, rank + 1)) or any(p.barred for group in listed.groups for p in group):
            help = "ones of rank 2 are 𝟏_12, of rank 3 𝟏_123; sized ones 𝟏⟨N,M⟩"
            raise cursor.problem("the positions of 𝟏 are not 1, 2, …", listed.span, help)
        complete(frames, Ones(rank, None, cursor.span(token)), token)
    else:
        complete(frames, Ones(1, None, cursor.span(token)), token)


def derivative(frames: Frames, token: Token) -> None:
    """Behind ``∇`` or ``Jac``: ``[W](J)`` or ``s^1(A)``."""
    cursor = frames.cursor
    operator = "∇" if token.kind == "symbol" else "Jac"
    after = cursor.token
    if after.is_op("["):
        frame = frames.push("entries", cursor.take(), token)
        frame.operator = operator
        return
    if after.kind != "name":
        help = f"write {operator}[W](J) or {operator} s^1(A)"
        if after.kind == "subscript":
            help = f"write {operator}[{after.text[1:].strip('{}')}](…)"
        raise cursor.unexpected(after, f"[ or the name of a function after {operator}", help)
    name = Name(cursor.take().text, cursor.span(after, after))
    frame_positions = mapping(frames, name)
    opener = cursor.token
    if not opener.is_op("(") or opener.spaced:
        help = f"write {operator} {name.text}(a), {operator} {name.text}^1(A), or {operator}[W](J)"
        raise cursor.unexpected(opener, f"( that touches {name.text}", help)
    frame = frames.push("call", cursor.take(), token)
    frame.name, frame.positions, frame.operator = name, frame_positions, operator


def mapping(frames: Frames, name: Name) -> Positions | None:
    """The positions of ``s^1(``, taken when a parenthesis touches them."""
    cursor = frames.cursor
    power, opener = cursor.token, cursor.following
    if power.kind != "superscript" or power.spaced or not opener.is_op("(") or opener.spaced:
        return None
    if name.base in ELEMENTWISE and name.base not in REDUCTIONS:
        message = f"{name.text}{cursor.shown(power)}(…): {name.base} works element by element and is not mapped"
        help = f"a power is {name.text}(…)**{power.text[1:].strip('{}')[:20]}"
        raise cursor.problem(message, power, help)
    return subscripts.plain_positions(cursor, cursor.take(), False, "the positions of a mapped function")


def name(frames: Frames, token: Token) -> None:
    """Read an operand that begins with a name."""
    cursor = frames.cursor
    frames.begin(token)
    cursor.take()
    if token.text == "Jac":
        derivative(frames, token)
        return
    name = Name(token.text, cursor.span(token, token))
    after = cursor.token
    if not after.spaced:
        positions = mapping(frames, name)
        if positions is not None or after.is_op("("):
            frame = frames.push("call", cursor.take(), token)
            frame.name, frame.positions = name, positions
            return
        if after.is_op("[") and token.text in REDUCTIONS:
            frame = frames.push("binder", cursor.take(), token)
            binder_name(frames, frame)
            return
        if token.text == "e" and (after.is_op("⟨") or (after.is_op("<") and _is_one_hot(frames))):
            frames.push("angle", cursor.take(), token)
            return
    if name.base in FUNCTIONS or token.text == "stop":
        check_bare(cursor, name)
    complete(frames, name, token)


def binder_name(frames: Frames, frame: Frame) -> None:
    """Read the name of the next binder of ``sum[…]`` and, behind it, ``=``."""
    cursor = frames.cursor
    token = cursor.take()
    if token.kind != "name":
        raise cursor.unexpected(token, "a label", "write sum[i,j](…) or sum[t=1..T](…)")
    frame.name = Name(token.text, cursor.span(token, token))
    frame.negated = cursor.accept("=") is not None  # whether bounds follow


def bound(frames: Frames, frame: Frame, token: Token) -> None:
    """Complete the binder that ends before ``token``."""
    cursor = frames.cursor
    assert frame.name is not None
    if not frame.negated:
        if not frame.chain.empty:
            help = "write sum[i,j](…) or sum[t=1..T](…)"
            raise cursor.unexpected(frame.chain.first or token, ", or ] after a label", help)
        frame.binders.append(Binder(frame.name, None, None, frame.name.span))
        return
    last = frame.chain.close(token)
    frame.chain = Chain(cursor)
    if frame.first is None:
        raise cursor.unexpected(token, "..", f"a range is {frame.name.text}=1..T")
    frame.binders.append(Binder(frame.name, frame.first, last, frame.name.span.join(last.span)))
    frame.first = None


_FAR = 200  # tokens between the angles of a one-hot in a condition


def _is_one_hot(frames: Frames) -> bool:
    """Whether the ``<`` behind ``e`` opens a one-hot: always, except in a condition where nothing closes it.

    ``e<i,j+1>`` is one; ``where(e<3, a, b)`` compares.
    """
    cursor = frames.cursor
    frame = frames.top
    if frame.kind != "call" or frame.name is None or frame.name.text != "where" or frame.items:
        return True
    inside = angles = 0
    for at in range(cursor.at + 1, min(cursor.at + _FAR, len(cursor.tokens))):
        token, before = cursor.tokens[at], cursor.tokens[at - 1]
        if token.kind == "end":
            return False
        if token.is_op("(", "[", "{"):
            inside += 1
        elif token.is_op(")", "]", "}"):
            inside -= 1
            if inside < 0:
                return False
        elif inside or token.kind != "op":
            continue
        elif token.text == "<" and not token.spaced and (before.text == "e" or before.kind == "symbol"):
            angles += 1
        elif token.text == ">" and angles:
            angles -= 1
        elif token.text in COMPARISONS:
            return token.text == ">" and at > cursor.at + 1
    return False
