"""Expressions: from tokens to tree, with an explicit stack of open brackets.

Nothing here calls itself for what is nested, so no source can exhaust the Python stack.  Each open bracket is a
:class:`Frame` with its own :class:`~bracketc.lang.chain.Chain`; closing it makes a node, which takes its postfixes
and becomes a factor of the frame below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bracketc.errors import Diagnostic, LimitError, Span
from bracketc.lang import subscripts
from bracketc.lang.applications import call, check_bare, references
from bracketc.lang.chain import COMPARISONS, DOT, ELEMENTWISE, LEVELS, SUM, Chain, missing_operand
from bracketc.lang.cursor import CLOSERS, Cursor, Problem
from bracketc.lang.lexer import Token
from bracketc.lang.syntax import (
    All,
    Bar,
    Binder,
    Brace,
    Comparison,
    Delta,
    Derivative,
    Differential,
    Entry,
    Expr,
    FormalProduct,
    Fusion,
    Index,
    IndexBracket,
    Iota,
    Labelled,
    Name,
    Number,
    OneHot,
    Ones,
    Operator,
    Paren,
    Portion,
    Positions,
    Power,
    Reduction,
    Reference,
    Slice,
    Transpose,
)
from bracketc.lang.words import ELEMENTWISE as ELEMENTWISE_FUNCTIONS
from bracketc.lang.words import FUNCTIONS, REDUCTIONS

_SUFFIXES = ("subscript", "transpose", "tag")
_ONES_HELP = "the tensor of ones is 𝟏 (ones): 𝟏, 𝟏_12, 𝟏⟨N,M⟩"


@dataclass(slots=True)
class Frame:
    """An open bracket (or the expression as a whole, kind "root") and what its closing needs."""

    kind: str  # root paren brace fusion call entries angle binder reduction exponent derivative
    chain: Chain
    opener: Token  # the bracket
    start: Token  # the first token of the construct: the function name, the operator ∇, the bracket
    items: list[Entry] = field(default_factory=list)
    name: Name | None = None
    positions: Positions | None = None
    operator: str = ""  # of a derivative, or the comparison read so far
    operand: Expr | None = None  # what an index or an exponent belongs to
    first: Expr | None = None  # lower bound of a slice or binder; left side of a comparison
    binders: list[Binder] = field(default_factory=list)
    wrt: tuple[Reference, ...] = ()
    negated: bool = False
    whole: bool = False  # the entry `·` was read and nothing may follow it


_CLOSING = {
    "paren": ")",
    "brace": "}",
    "fusion": "]",
    "call": ")",
    "entries": "]",
    "angle": ">",
    "binder": "]",
    "reduction": ")",
    "exponent": ")",
    "derivative": ")",
}


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
    __slots__ = ("cursor", "frames", "result", "stops")

    def __init__(self, cursor: Cursor, stops: Sequence[str]) -> None:
        self.cursor = cursor
        self.stops = frozenset(("where", "for", *stops))
        self.frames: list[Frame] = []
        self.result: tuple[Entry, ...] = ()

    # ------------------------------------------------------------------------------------ the loop

    def run(self, frame: Frame) -> tuple[Entry, ...]:
        self.frames.append(frame)
        cursor = self.cursor
        while self.frames:
            token = cursor.token
            kind = token.kind
            if kind == "name":
                if token.text in self.stops and not _is_where_call(cursor):
                    self._word(token)
                else:
                    self._name(token)
            elif kind == "op":
                if token.text in LEVELS:
                    self._operator(token)
                else:
                    self._punctuation(token)
            elif kind == "number":
                self._complete(Number(cursor.take().text, cursor.span(token, token)), token)
            elif kind == "symbol":
                self._symbol(token)
            elif kind == "superscript" and not self.frames[-1].chain.empty:
                self._operator(token)
            else:
                self._other(token)
        return self.result

    def _push(self, kind: str, opener: Token, start: Token) -> Frame:
        cursor = self.cursor
        if len(self.frames) > cursor.nesting:
            raise too_deep(cursor, cursor.span(opener, opener))
        frame = Frame(kind, Chain(cursor), opener, start)
        self.frames.append(frame)
        return frame

    def _begin(self, token: Token) -> Chain:
        """Note that ``token`` begins an operand of the innermost bracket."""
        frame = self.frames[-1]
        if frame.whole:
            raise self.cursor.unexpected(token, ", or ] after the whole dimension ·")
        if frame.chain.first is None:
            frame.chain.first = token
        return frame.chain

    def _factor(self, node: Expr) -> None:
        chain = self.frames[-1].chain
        if chain.bar is not None:
            if isinstance(node, Number):
                raise self.cursor.problem("a bar over a number", node.span, _ONES_HELP)
            node = Bar(node, Span(node.span.source, chain.bar.start, node.span.end))
            chain.bar = None
        chain.factors.append(node)

    def _stop(self, token: Token) -> None:
        """End the whole expression before ``token``."""
        frame = self.frames.pop()
        assert frame.kind == "root" and not self.frames
        self.result = (frame.chain.close(token),)

    def _unclosed(self, token: Token) -> Problem:
        """The error for a statement that ends inside a bracket."""
        frame = self.frames[-1]
        shown = self.cursor.shown(frame.opener)
        closing = _CLOSING[frame.kind]
        found = "" if token.kind == "end" else f" before {self.cursor.shown(token)}"
        return self.cursor.problem(f"{shown} is not closed{found}", frame.opener, f"close it with {closing}")

    def _other(self, token: Token) -> None:
        """Tokens that neither begin an operand nor are operators."""
        frame = self.frames[-1]
        if frame.kind == "root" and token.kind in ("end", "remark") and not frame.chain.empty:
            self._stop(token)
            return
        if token.kind == "end" and frame.kind != "root":
            raise self._unclosed(token)
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
        frame = self.frames[-1]
        if frame.kind == "root" and (token.text != "where" or not frame.chain.empty):
            self._stop(token)
        elif token.text not in ("where", "for"):
            self._name(token)
        elif frame.kind == "root":
            raise missing_operand(self.cursor, token)
        elif token.text == "where" and self.cursor.following.is_op("("):
            raise self.cursor.problem("where( must touch its parenthesis", token, "where(condition, a, b)")
        else:
            help = f"{token.text} stands after the whole expression; is a {_CLOSING[frame.kind]} missing before it?"
            raise self.cursor.problem(f"{token.text} inside a bracket", token, help)

    # ------------------------------------------------------------------------------------ operators

    def _operator(self, token: Token) -> None:
        """A binary operator with its annotation, a sign, or the entry ``·``."""
        cursor, frame = self.cursor, self.frames[-1]
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
                raise _stray_list(cursor, token)
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
                raise _stray_list(cursor, start)
            help = "both operands have a list: A ^2·^1 B; or count the dimensions: A ·_1 B"
            raise cursor.problem("a position list on one side only", after if left is None else start, help)
        if left is not None and right is not None and len(left.groups) != len(right.groups):
            message = f"{len(left.groups)} positions on the left, {len(right.groups)} on the right"
            raise cursor.problem(message, left.span.join(right.span), "the lists are equally long")
        return Operator(operator.text, left, right, count, cursor.span(start))

    def _whole(self, token: Token) -> bool:
        """Take ``·`` or ``:`` when it is an entry by itself."""
        cursor, frame = self.cursor, self.frames[-1]
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
        cursor, frame = self.cursor, self.frames[-1]
        text, kind = token.text, frame.kind
        if text in ("(", "[", "{"):
            self._begin(token)
            self._push({"(": "paren", "[": "fusion", "{": "brace"}[text], cursor.take(), token)
        elif text == "~":
            chain = self._begin(token)
            if chain.bar is not None:
                raise cursor.problem("a bar over a bar", token, "one ~ sums all dimensions of what follows")
            chain.bar = cursor.take()
        elif text == _CLOSING.get(kind) or (kind == "angle" and text == "⟩"):
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
            raise self._misplaced(token)

    def _misplaced(self, token: Token) -> Exception:
        """The error for punctuation that cannot stand in the innermost bracket."""
        cursor, frame = self.cursor, self.frames[-1]
        text = token.text
        if text in CLOSERS:
            if frame.kind == "root":
                return missing_operand(cursor, token) if frame.chain.empty else cursor.unexpected(token, "nothing more")
            opener = cursor.shown(frame.opener)
            return Problem(
                Diagnostic(
                    f"found {text}, expected {_CLOSING[frame.kind]} to close {opener}",
                    cursor.span(token, token),
                    notes=((f"{opener} was opened here", cursor.span(frame.opener, frame.opener)),),
                )
            )
        factors = frame.chain.factors
        if text in ("<", "⟨") and factors and isinstance(factors[-1], Number) and factors[-1].text == "1":
            return cursor.problem("1 is a number", factors[-1].span, _ONES_HELP)
        if text in COMPARISONS:
            help = "comparisons stand in where(condition, a, b), as the whole condition"
            return cursor.problem(f"the comparison {text} outside of a condition", token, help)
        if text == "=":
            if frame.kind == "call" and frame.name is not None and frame.name.text == "where":
                return cursor.problem("= in a condition", token, "equality is tested with ==")
            if frame.kind == "root":
                return missing_operand(cursor, token)
            return self._unclosed(token)
        if text in ("⟨", "⟩"):
            return cursor.problem(f"{text} without 𝟏 or e before it", token, "sized ones are 𝟏⟨N,M⟩, one-hots e⟨i,j⟩")
        if text == "|":
            if frame.kind == "call":
                help = "an index bracket has its own parentheses: f((A_ij B_jk | ik))"
                return cursor.problem("a bar inside the arguments of a function", token, help)
            return (
                missing_operand(cursor, token) if not factors else cursor.unexpected(token, "no bar here", "( … | ij)")
            )
        if text == "'":
            return cursor.problem("a prime that follows no name", token, "the transpose is X^T; a derivative f'(x)")
        if text == "^":
            return _stray_caret(cursor, token)
        if text == "_":
            return cursor.problem("an empty subscript", token, "labels are _ij or _{i1,k}, positions _21")
        if text in ("_<", "_>"):
            return cursor.problem(f"{text} without an operator before it", token, "it annotates · only: A ·_> B")
        if text == "!":
            return cursor.problem(
                "! without an index behind it", token, "an element is X![2,3], or X[2,3] after a name"
            )
        if text == "**":
            return missing_operand(cursor, token)
        if text == ":" and frame.kind == "entries":
            return cursor.problem(": in an index", token, "a slice is first..last, a whole dimension · or : alone")
        if text == "," and frame.kind == "fusion":
            help = "the members of [ ] stand side by side; a list of tensors is stack(a, b); an index touches its name"
            return cursor.problem("a comma inside [ ]", token, help)
        if text == ",":
            return cursor.problem(f"a comma inside {cursor.shown(frame.opener)}", token, "there are no tuples")
        if text == "..":
            return cursor.problem(
                "a range outside of an index", token, "ranges stand in X[a..b], sum[t=1..T], for t = 1..T"
            )
        return cursor.unexpected(token, "an operand or an operator")

    def _comma(self, token: Token) -> None:
        cursor, frame = self.cursor, self.frames[-1]
        if frame.kind == "binder":
            self._bound(frame, token)
            cursor.take()
            self._binders(frame)
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
        frame = self.frames[-1]
        return token.text == ":" and frame.kind == "entries" and frame.chain.empty and self._whole(token)

    def _compare(self, token: Token) -> bool:
        """Take the comparison of a `where`."""
        frame = self.frames[-1]
        if token.text not in COMPARISONS:
            return False
        if frame.kind != "call" or frame.name is None or frame.name.text != "where" or frame.items or frame.operator:
            return False
        frame.first = frame.chain.close(token)
        frame.operator = self.cursor.take().text
        frame.chain = Chain(self.cursor)
        return True

    def _labels(self, token: Token) -> None:
        cursor, frame = self.cursor, self.frames.pop()
        body = frame.chain.close(token)
        cursor.take()
        if not cursor.token.is_op(")") and cursor.token.kind == "end":
            self.frames.append(frame)
            raise self._unclosed(cursor.token)
        found = subscripts.bracket_labels(cursor)
        cursor.take()
        self._complete(IndexBracket(body, found, cursor.span(frame.start)), frame.start)

    def _close(self, token: Token) -> None:
        """Close the innermost bracket at ``token`` and go on with the node it makes."""
        cursor, frame = self.cursor, self.frames[-1]
        kind, start = frame.kind, frame.start
        if kind == "fusion":
            members = tuple(frame.chain.factors)
            if not members or frame.chain.bar is not None:
                raise missing_operand(cursor, token)
            cursor.take()
            self.frames.pop()
            for member in members:
                _refuse_one(cursor, member)
            self._complete(Fusion(members, cursor.span(start)), start)
            return
        if kind == "binder":
            self._bound(frame, token)
            cursor.take()
            if cursor.token.spaced or not cursor.token.is_op("("):
                help = "write sum[i](…) without a space"
                raise cursor.unexpected(cursor.token, "a ( that touches the ]", help)
            frame.kind, frame.opener, frame.chain = "reduction", cursor.take(), Chain(cursor)
            return
        if not frame.whole:
            frame.items.append(self._item(frame, token))
        cursor.take()
        self.frames.pop()
        self._closed(frame, cursor.span(start))

    def _closed(self, frame: Frame, span: Span) -> None:
        cursor, start, items = self.cursor, frame.start, tuple(frame.items)
        body: Expr = items[0]  # type: ignore[assignment]
        if frame.kind == "paren":
            self._complete(Paren(body, span), start)
        elif frame.kind == "brace":
            self._complete(Brace(body, span), start)
        elif frame.kind == "call":
            assert frame.name is not None
            self._complete(call(cursor, frame.operator, frame.name, frame.positions, items, span), start)
        elif frame.kind == "angle":
            ones = frame.start.kind == "symbol"
            sizes: tuple[Expr, ...] = items  # type: ignore[assignment]
            self._complete(Ones(len(sizes), sizes, span) if ones else OneHot(sizes, span), start)
        elif frame.kind == "reduction":
            self._complete(Reduction(start.text, tuple(frame.binders), body, span), start)
        elif frame.kind == "exponent":
            assert frame.operand is not None
            exponent = Paren(body, cursor.span(frame.opener))
            self._complete(Power(frame.operand, frame.negated, exponent, span), start)
        elif frame.kind == "derivative":
            node = Differential(frame.wrt, body, span) if frame.operator == "d" else None
            self._complete(node or Derivative(frame.operator, frame.wrt, body, span), start)
        else:
            self._indexed(frame, items, span)

    def _indexed(self, frame: Frame, items: tuple[Entry, ...], span: Span) -> None:
        """What follows the ``]`` of an index: ``d[W](``, ``∇[W](``, or the end of the index."""
        cursor = self.cursor
        if not self.frames and frame.operand is None and not frame.operator:
            self.result = items
            return
        touching = cursor.token.is_op("(") and not cursor.token.spaced
        differential = isinstance(frame.operand, Name) and frame.operand.text == "d" and touching
        if not frame.operator and not differential:
            assert frame.operand is not None
            self._complete(Index(frame.operand, items, span), frame.start)
            return
        if not cursor.token.is_op("("):
            help = f"write {frame.operator}[W](J)"
            raise cursor.unexpected(cursor.token, f"( after {frame.operator}[…]", help)
        body = self._push("derivative", cursor.take(), frame.start)
        body.operator = frame.operator or "d"
        body.wrt = references(cursor, items)

    # ------------------------------------------------------------------------------------ operands

    def _symbol(self, token: Token) -> None:
        cursor = self.cursor
        self._begin(token)
        cursor.take()
        after = cursor.token
        if token.text == "∇":
            self._derivative(token)
        elif token.text == "ι":
            self._complete(Iota(cursor.span(token)), token)
        elif token.text == "δ":
            if after.kind != "subscript" or after.spaced or not subscripts.is_labels(after):
                raise cursor.problem("δ without labels", token, "write δ_ij (delta_ij) inside an index bracket")
            found = subscripts.labels(cursor, cursor.take())
            self._complete(Delta(found, cursor.span(token)), token)
        elif after.is_op("<", "⟨") and not after.spaced:
            self._push("angle", cursor.take(), token)
        elif after.kind == "subscript" and not after.spaced and not subscripts.is_labels(after):
            listed = subscripts.positions(cursor, cursor.take())
            rank = len(listed.numbers)
            if listed.numbers != tuple(range(1, rank + 1)) or any(p.barred for group in listed.groups for p in group):
                help = "ones of rank 2 are 𝟏_12, of rank 3 𝟏_123; sized ones 𝟏⟨N,M⟩"
                raise cursor.problem("the positions of 𝟏 are not 1, 2, …", listed.span, help)
            self._complete(Ones(rank, None, cursor.span(token)), token)
        else:
            self._complete(Ones(1, None, cursor.span(token)), token)

    def _derivative(self, token: Token) -> None:
        """Behind ``∇`` or ``Jac``: ``[W](J)`` or ``s^1(A)``."""
        cursor = self.cursor
        operator = "∇" if token.kind == "symbol" else "Jac"
        after = cursor.token
        if after.is_op("["):
            frame = self._push("entries", cursor.take(), token)
            frame.operator = operator
            return
        if after.kind != "name":
            help = f"write {operator}[W](J) or {operator} s^1(A)"
            raise cursor.unexpected(after, f"[ or the name of a function after {operator}", help)
        name = Name(cursor.take().text, cursor.span(after, after))
        frame_positions = self._mapping(name)
        opener = cursor.token
        if not opener.is_op("(") or opener.spaced:
            help = f"write {operator} {name.text}(a), {operator} {name.text}^1(A), or {operator}[W](J)"
            raise cursor.unexpected(opener, f"( that touches {name.text}", help)
        frame = self._push("call", cursor.take(), token)
        frame.name, frame.positions, frame.operator = name, frame_positions, operator

    def _mapping(self, name: Name) -> Positions | None:
        """The positions of ``s^1(``, taken when a parenthesis touches them."""
        cursor = self.cursor
        power, opener = cursor.token, cursor.following
        if power.kind != "superscript" or power.spaced or not opener.is_op("(") or opener.spaced:
            return None
        if name.base in ELEMENTWISE_FUNCTIONS and name.base not in REDUCTIONS:
            message = f"{name.text}{cursor.shown(power)}(…): {name.base} works element by element and is not mapped"
            help = f"a power is {name.text}(…)**{power.text[1:].strip('{}')[:20]}"
            raise cursor.problem(message, power, help)
        return subscripts.plain_positions(cursor, cursor.take(), False, "the positions of a mapped function")

    def _name(self, token: Token) -> None:
        cursor = self.cursor
        self._begin(token)
        cursor.take()
        if token.text == "Jac":
            self._derivative(token)
            return
        name = Name(token.text, cursor.span(token, token))
        after = cursor.token
        if not after.spaced:
            positions = self._mapping(name)
            if positions is not None or after.is_op("("):
                frame = self._push("call", cursor.take(), token)
                frame.name, frame.positions = name, positions
                return
            if after.is_op("[") and token.text in REDUCTIONS:
                frame = self._push("binder", cursor.take(), token)
                self._binders(frame)
                return
            if token.text == "e" and (after.is_op("⟨") or (after.is_op("<") and _closes(cursor))):
                self._push("angle", cursor.take(), token)
                return
        if name.base in FUNCTIONS or token.text == "stop":
            check_bare(cursor, name)
        self._complete(name, token)

    def _binders(self, frame: Frame) -> None:
        """Read the name of the next binder of ``sum[…]`` and, behind it, ``=``."""
        cursor = self.cursor
        token = cursor.take()
        if token.kind != "name":
            raise cursor.unexpected(token, "a label", "write sum[i,j](…) or sum[t=1..T](…)")
        frame.name = Name(token.text, cursor.span(token, token))
        frame.negated = cursor.accept("=") is not None  # whether bounds follow

    def _bound(self, frame: Frame, token: Token) -> None:
        """Complete the binder that ends before ``token``."""
        cursor = self.cursor
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

    # ------------------------------------------------------------------------------------ postfix

    def _complete(self, node: Expr, start: Token) -> None:
        """Apply the postfixes behind ``node``; then it is a factor, unless one of them opened a bracket."""
        cursor = self.cursor
        self._begin(start)
        while True:
            token = cursor.token
            kind = token.kind
            if kind == "op":
                if token.text == "**":
                    power = self._power(node, start)
                    if power is None:
                        return
                    node = power
                    continue
                if token.spaced:
                    break
                if token.text == "[" and isinstance(node, Name):
                    self._push("entries", cursor.take(), start).operand = node
                    return
                if token.text == "!" and cursor.following.is_op("[") and not cursor.following.spaced:
                    self._check_suffix(node, token)
                    cursor.take()
                    self._push("entries", cursor.take(), start).operand = node
                    return
                break
            if token.spaced or kind not in ("subscript", "transpose", "tag", "superscript"):
                break
            if kind == "superscript":
                operator = cursor.following
                if operator.kind == "op" and LEVELS.get(operator.text) in (ELEMENTWISE, DOT):
                    break
                raise _stray_list(cursor, token)
            self._check_suffix(node, token)
            node = self._suffixed(node, cursor.take(), start)
        self._factor(node)

    def _suffixed(self, node: Expr, token: Token, start: Token) -> Expr:
        cursor = self.cursor
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

    def _check_suffix(self, node: Expr, token: Token) -> None:
        cursor = self.cursor
        shown = cursor.shown(token)
        if isinstance(node, Number):
            if node.text == "1":
                raise cursor.problem("1 is a number", cursor.span(token).join(node.span), _ONES_HELP)
            raise cursor.problem(
                f"{shown} behind a number", token, "digits are not grouped with _; a product needs a space"
            )
        if isinstance(node, Power):
            help = f"say what it belongs to: (x**2){shown} or x**(y{shown})"
            raise cursor.problem(f"{shown} behind a power", token, help)
        if isinstance(node, Fusion):
            help = f"close the product first: {{[…]}}{shown}"
            raise cursor.problem(f"{shown} behind a fused product [ ]", token, help)

    def _power(self, node: Expr, start: Token) -> Expr | None:
        """Read ``** exponent`` behind ``node``; None when the exponent is a parenthesis, which is now open."""
        cursor = self.cursor
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
            frame = self._push("exponent", token, start)
            frame.operand, frame.negated = node, negated
            return None
        exponent: Expr
        place = cursor.span(token, token)
        if token.kind == "number":
            exponent = Number(token.text, place)
        elif token.kind == "name" and token.text not in self.stops and token.text not in FUNCTIONS:
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


def too_deep(cursor: Cursor, span: Span) -> LimitError:
    """The error for an expression that is nested beyond the limit."""
    message = f"an expression is nested more than {cursor.nesting} deep"
    return LimitError(Diagnostic(message, span, "split it into definitions, or raise the limit `nesting`"))


def _is_where_call(cursor: Cursor) -> bool:
    return cursor.token.text == "where" and cursor.following.is_op("(") and not cursor.following.spaced


def _closes(cursor: Cursor) -> bool:
    """Whether the ``<`` at the cursor closes over plain entries, so that ``e<i,j+1>`` is a one-hot."""
    at = cursor.at + 1
    while True:
        token = cursor.tokens[at]
        if token.is_op(">"):
            return at > cursor.at + 1
        if not (token.kind in ("name", "number") or token.is_op(",", "+", "-")):
            return False
        at += 1


def _count(cursor: Cursor, token: Token) -> int:
    body = token.text[1:].strip("{}").strip()
    if not (body.isascii() and body.isdigit()) or len(body) > 3 or int(body) == 0:
        help = "A ·_2 B contracts the last two dimensions of A with the first two of B"
        raise cursor.problem("the count of an operator is a number from 1", token, help)
    return int(body)


def _stray_list(cursor: Cursor, token: Token) -> Exception:
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


def _stray_caret(cursor: Cursor, token: Token) -> Exception:
    after = cursor.following
    if after.kind == "name" and after.text in ("t", "top", "transpose"):
        return cursor.problem("^ is no power", token, "the transpose is ^T")
    if after.kind == "name" and after.text.startswith("T"):
        return cursor.problem("^T must not touch a letter or digit", token, "write a space after ^T")
    if after.is_op("-"):
        return cursor.problem("^ is no power", token, "the inverse is inv(X), the reciprocal x**-1")
    return cursor.problem("^ is no power", token, "a power is **: x**n, x**(n+1); ^ takes position lists and ^T")


def _refuse_one(cursor: Cursor, member: Expr) -> None:
    """Refuse a member ``1`` of ``[ ]``, also inside a group: it has no dimension to fuse."""
    inner = member.operand if isinstance(member, Bar) else member
    if isinstance(inner, Paren) and isinstance(inner.body, FormalProduct):
        parts: tuple[Expr, ...] = inner.body.factors
    else:
        parts = (inner,)
    for part in parts:
        if isinstance(part, Number) and part.text == "1":
            raise cursor.problem("the number 1 inside [ ]", part.span, _ONES_HELP)
