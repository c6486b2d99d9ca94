"""Expressions: from tokens to tree, with an explicit stack of open brackets.

Nothing here calls itself for what is nested, so no source can exhaust the Python stack.  Each open bracket is a
:class:`Frame` with its own :class:`~bracketc.lang.chain.Chain`; closing it makes a node, which takes its postfixes
and becomes a factor of the frame below.
"""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.errors import Span
from bracketc.lang import operands, subscripts
from bracketc.lang.applications import call, references
from bracketc.lang.chain import COMPARISONS, DOT, ELEMENTWISE, LEVELS, SUM, Chain, missing_operand
from bracketc.lang.cursor import Cursor
from bracketc.lang.frames import CLOSING, Frame, Frames
from bracketc.lang.lexer import Token
from bracketc.lang.misplaced import misplaced, refuse_one, stray_list, unclosed
from bracketc.lang.postfix import complete
from bracketc.lang.syntax import (
    All,
    Brace,
    Comparison,
    Derivative,
    Differential,
    Entry,
    Expr,
    Fusion,
    Index,
    IndexBracket,
    Name,
    Number,
    OneHot,
    Ones,
    Operator,
    Paren,
    Positions,
    Power,
    Reduction,
    Slice,
)

_SUFFIXES = ("subscript", "transpose", "tag")


def expression(cursor: Cursor, stops: Sequence[str] = ()) -> Expr:
    """The longest expression at the cursor; it ends before `,` `=` `..` `where` `for` and the names in ``stops``.

    Raises `Problem` for a syntax error and `LimitError` beyond the nesting limit.
    """
    token = cursor.token
    result = _Reader(cursor, stops).run(Frame("root", Chain(cursor), token, token))
    return result[0]  # type: ignore[return-value]


def entries(cursor: Cursor) -> tuple[Entry, ...]:
    """The entries of an index; the cursor stands at its ``[`` and ends up behind its ``]``."""
    opener = cursor.take()
    return _Reader(cursor, ()).run(Frame("entries", Chain(cursor), opener, opener))


class _Reader:
    __slots__ = ("cursor", "stack")

    def __init__(self, cursor: Cursor, stops: Sequence[str]) -> None:
        self.cursor = cursor
        self.stack = Frames(cursor, frozenset(("where", "for", *stops)))

    # ------------------------------------------------------------------------------------ the loop

    def run(self, frame: Frame) -> tuple[Entry, ...]:
        self.stack.frames.append(frame)
        cursor = self.cursor
        while self.stack.frames:
            token = cursor.token
            kind = token.kind
            if kind == "name":
                if token.text in self.stack.stops and not _is_where_call(cursor):
                    self._word(token)
                else:
                    operands.name(self.stack, token)
            elif kind == "op":
                if token.text in LEVELS:
                    self._operator(token)
                else:
                    self._punctuation(token)
            elif kind == "number":
                complete(self.stack, Number(cursor.take().text, cursor.span(token, token)), token)
            elif kind == "symbol":
                operands.symbol(self.stack, token)
            elif kind == "superscript" and not self.stack.top.chain.empty:
                self._operator(token)
            else:
                self._other(token)
        return self.stack.result

    def _stop(self, token: Token) -> None:
        """End the whole expression before ``token``."""
        frame = self.stack.frames.pop()
        assert frame.kind == "root" and not self.stack.frames
        self.stack.result = (frame.chain.close(token),)

    def _other(self, token: Token) -> None:
        """Tokens that neither begin an operand nor are operators."""
        frame = self.stack.top
        if frame.kind == "root" and token.kind in ("end", "remark") and not frame.chain.empty:
            self._stop(token)
            return
        if token.kind == "end" and frame.kind != "root":
            raise unclosed(self.stack, token)
        if token.kind in _SUFFIXES and frame.chain.factors and token.spaced:
            what = {"subscript": "a subscript", "transpose": "^T", "tag": "an instance tag"}[token.kind]
            raise self.cursor.problem(
                f"{what} stands apart from what it belongs to", token, "remove the space before it"
            )
        if token.kind == "subscript":
            raise self.cursor.problem("a name cannot begin with _", token, "names are letters, then letters and digits")
        if token.kind == "string":
            raise self.cursor.problem(
                "a string inside an expression", token, 'strings stand after import: import "x.brk"'
            )
        raise missing_operand(self.cursor, token)

    def _word(self, token: Token) -> None:
        """`where`, `for` and words that end this kind of expression."""
        frame = self.stack.top
        if frame.kind == "root" and (token.text != "where" or not frame.chain.empty):
            self._stop(token)
        elif token.text not in ("where", "for"):
            operands.name(self.stack, token)
        elif token.text == "where" and self.cursor.following.is_op("("):
            raise self.cursor.problem("the ( of where does not touch it", token, "write where(condition, a, b)")
        elif frame.kind == "root":
            raise missing_operand(self.cursor, token)
        else:
            help = f"{token.text} stands after the whole expression; is a {CLOSING[frame.kind]} missing before it?"
            raise self.cursor.problem(f"{token.text} inside a bracket", token, help)

    # ------------------------------------------------------------------------------------ operators

    def _operator(self, token: Token) -> None:
        """A binary operator with its annotation, a sign, or the entry ``·``."""
        cursor, frame = self.cursor, self.stack.top
        chain = frame.chain
        if frame.kind == "entries" and chain.empty and token.text == "·" and self._whole(token):
            return
        if chain.empty and token.text == "-" and frame.kind != "fusion":
            chain.first = cursor.take()
            chain.negated = True
            return
        left = None
        if token.kind == "superscript":
            operator = cursor.following
            if not (operator.kind == "op" and LEVELS.get(operator.text) in (ELEMENTWISE, DOT)):
                raise stray_list(cursor, token)
            left = subscripts.plain_positions(cursor, cursor.take(), True, "the list of an operator")
        operator = cursor.take()
        level = LEVELS[operator.text]
        if frame.kind == "fusion":
            help = "[ ] fuses its members, which stand side by side; group with ( )"
            raise cursor.problem(f"{cursor.shown(operator)} between the members of [ ]", operator, help)
        if level == SUM and not chain.factors and chain.first is not None:
            raise missing_operand(cursor, operator)
        annotated = self._annotation(operator, level, left, token)
        chain.operator(level, annotated, operator)

    def _annotation(self, operator: Token, level: int, left: Positions | None, start: Token) -> Operator:
        cursor = self.cursor
        after = cursor.token
        right: Positions | None = None
        count: int | str | None = None
        if level in (ELEMENTWISE, DOT) and not after.spaced:
            if after.kind == "superscript":
                right = subscripts.plain_positions(cursor, cursor.take(), True, "the list of an operator")
            elif after.kind == "subscript":
                count = _count(cursor, cursor.take())
            elif after.is_op("_<", "_>"):
                count = cursor.take().text[1:]
        if left is not None and count is not None:
            raise cursor.problem("an operator has lists on both sides or a count, not both", after)
        if (left is None) != (right is None):
            if right is None and not start.spaced:
                raise stray_list(cursor, start)
            help = "both operands have a list: A ^2·^1 B; or count the dimensions: A ·_1 B"
            raise cursor.problem("a position list on one side only", after if left is None else start, help)
        if left is not None and right is not None and len(left.groups) != len(right.groups):
            message = f"{len(left.groups)} positions on the left, {len(right.groups)} on the right"
            raise cursor.problem(message, left.span.join(right.span), "the lists are equally long")
        return Operator(operator.text, left, right, count, cursor.span(start))

    def _whole(self, token: Token) -> bool:
        """Take ``·`` or ``:`` when it is an entry by itself."""
        cursor, frame = self.cursor, self.stack.top
        if frame.whole or frame.first is not None or not cursor.following.is_op(",", "]"):
            return False
        frame.items.append(All(cursor.span(cursor.take(), token)))
        if cursor.accept(",") is None:
            frame.whole = True
        elif cursor.token.is_op("]"):
            raise missing_operand(cursor, cursor.token)
        return True

    # ------------------------------------------------------------------------------------ brackets and separators

    def _punctuation(self, token: Token) -> None:
        cursor, frame = self.cursor, self.stack.top
        text, kind = token.text, frame.kind
        if text in ("(", "[", "{"):
            self.stack.begin(token)
            self.stack.push({"(": "paren", "[": "fusion", "{": "brace"}[text], cursor.take(), token)
        elif text == "~":
            chain = self.stack.begin(token)
            if chain.bar is not None:
                raise cursor.problem("a bar over a bar", token, "one ~ sums all dimensions of what follows")
            chain.bar = cursor.take()
        elif text == CLOSING.get(kind) or (kind == "angle" and text == "⟩"):
            self._close(token)
        elif kind == "root" and text in (",", "=", "..", ":", "⟹", "⇝", ")", "]", "}") and not frame.chain.empty:
            self._stop(token)
        elif text == "," and kind in ("call", "entries", "angle", "binder"):
            self._comma(token)
        elif text == "|" and kind == "paren":
            self._labels(token)
        elif text == ".." and kind in ("entries", "binder") and frame.first is None:
            frame.first = frame.chain.close(token)
            frame.chain = Chain(cursor)
            cursor.take()
        elif not (self._colon(token) or self._compare(token)):
            raise misplaced(self.stack, token)

    def _comma(self, token: Token) -> None:
        cursor, frame = self.cursor, self.stack.top
        if frame.kind == "binder":
            operands.bound(self.stack, frame, token)
            cursor.take()
            operands.binder_name(self.stack, frame)
            return
        frame.items.append(self._item(frame, token))
        cursor.take()

    def _item(self, frame: Frame, token: Token) -> Entry:
        """The argument or entry that ends before ``token``."""
        node = frame.chain.close(token)
        frame.chain = Chain(self.cursor)
        if frame.first is None:
            return node
        first, frame.first = frame.first, None
        span = first.span.join(node.span)
        if frame.operator and frame.kind == "call":
            return Comparison(frame.operator, first, node, span)  # type: ignore[return-value]
        return Slice(first, node, span)

    def _colon(self, token: Token) -> bool:
        """Take ``:`` when it is an entry by itself."""
        frame = self.stack.top
        return token.text == ":" and frame.kind == "entries" and frame.chain.empty and self._whole(token)

    def _compare(self, token: Token) -> bool:
        """Take the comparison of a `where`."""
        frame = self.stack.top
        if token.text not in COMPARISONS:
            return False
        if frame.kind != "call" or frame.name is None or frame.name.text != "where" or frame.items or frame.operator:
            return False
        frame.first = frame.chain.close(token)
        frame.operator = self.cursor.take().text
        frame.chain = Chain(self.cursor)
        return True

    def _labels(self, token: Token) -> None:
        cursor, frame = self.cursor, self.stack.frames.pop()
        body = frame.chain.close(token)
        cursor.take()
        if not cursor.token.is_op(")") and cursor.token.kind == "end":
            self.stack.frames.append(frame)
            raise unclosed(self.stack, cursor.token)
        found = subscripts.bracket_labels(cursor)
        cursor.take()
        complete(self.stack, IndexBracket(body, found, cursor.span(frame.start)), frame.start)

    def _close(self, token: Token) -> None:
        """Close the innermost bracket at ``token`` and go on with the node it makes."""
        cursor, frame = self.cursor, self.stack.top
        kind, start = frame.kind, frame.start
        if kind == "fusion":
            members = tuple(frame.chain.factors)
            if not members or frame.chain.bar is not None:
                raise missing_operand(cursor, token)
            cursor.take()
            self.stack.frames.pop()
            for member in members:
                refuse_one(cursor, member)
            complete(self.stack, Fusion(members, cursor.span(start)), start)
            return
        if kind == "binder":
            operands.bound(self.stack, frame, token)
            cursor.take()
            if cursor.token.spaced or not cursor.token.is_op("("):
                help = "write sum[i](…) without a space"
                raise cursor.unexpected(cursor.token, "a ( that touches the ]", help)
            frame.kind, frame.opener, frame.chain = "reduction", cursor.take(), Chain(cursor)
            return
        if not frame.whole:
            frame.items.append(self._item(frame, token))
        cursor.take()
        self.stack.frames.pop()
        self._closed(frame, cursor.span(start))

    def _closed(self, frame: Frame, span: Span) -> None:
        cursor, start, items = self.cursor, frame.start, tuple(frame.items)
        body: Expr = items[0]  # type: ignore[assignment]
        if frame.kind == "paren":
            complete(self.stack, Paren(body, span), start)
        elif frame.kind == "brace":
            complete(self.stack, Brace(body, span), start)
        elif frame.kind == "call":
            assert frame.name is not None
            complete(self.stack, call(cursor, frame.operator, frame.name, frame.positions, items, span), start)
        elif frame.kind == "angle":
            ones = frame.start.kind == "symbol"
            sizes: tuple[Expr, ...] = items  # type: ignore[assignment]
            complete(self.stack, Ones(len(sizes), sizes, span) if ones else OneHot(sizes, span), start)
        elif frame.kind == "reduction":
            complete(self.stack, Reduction(start.text, tuple(frame.binders), body, span), start)
        elif frame.kind == "exponent":
            assert frame.operand is not None
            exponent = Paren(body, cursor.span(frame.opener))
            complete(self.stack, Power(frame.operand, frame.negated, exponent, span), start)
        elif frame.kind == "derivative":
            node = Differential(frame.wrt, body, span) if frame.operator == "d" else None
            complete(self.stack, node or Derivative(frame.operator, frame.wrt, body, span), start)
        else:
            self._indexed(frame, items, span)

    def _indexed(self, frame: Frame, items: tuple[Entry, ...], span: Span) -> None:
        """What follows the ``]`` of an index: ``d[W](``, ``∇[W](``, or the end of the index."""
        cursor = self.cursor
        if not self.stack.frames and frame.operand is None and not frame.operator:
            self.stack.result = items
            return
        touching = cursor.token.is_op("(") and not cursor.token.spaced
        differential = isinstance(frame.operand, Name) and frame.operand.text == "d" and touching
        if not frame.operator and not differential:
            assert frame.operand is not None
            if cursor.token.is_op("[") and not cursor.token.spaced:
                help = "two indices stand in one bracket: A[1,2]; a product needs a space"
                raise cursor.problem("[ ] touches the index before it", cursor.token, help)
            complete(self.stack, Index(frame.operand, items, span), frame.start)
            return
        if not cursor.token.is_op("("):
            help = f"write {frame.operator}[W](J)"
            raise cursor.unexpected(cursor.token, f"( after {frame.operator}[…]", help)
        body = self.stack.push("derivative", cursor.take(), frame.start)
        body.operator = frame.operator or "d"
        body.wrt = references(cursor, items)

    # ------------------------------------------------------------------------------------ operands

    # ------------------------------------------------------------------------------------ postfix


def _is_where_call(cursor: Cursor) -> bool:
    return cursor.token.text == "where" and cursor.following.is_op("(") and not cursor.following.spaced


def _count(cursor: Cursor, token: Token) -> int:
    body = token.text[1:].strip("{}").strip()
    if not (body.isascii() and body.isdigit()) or len(body) > 3 or int(body) == 0:
        help = "A ·_2 B contracts the last two dimensions of A with the first two of B"
        raise cursor.problem("the count of an operator is a number from 1", token, help)
    return int(body)
