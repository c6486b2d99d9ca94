"""The open brackets of an expression that is being read."""

from __future__ import annotations

from dataclasses import dataclass, field

from bracketc.errors import Diagnostic, LimitError, Span
from bracketc.lang.chain import Chain
from bracketc.lang.cursor import Cursor
from bracketc.lang.lexer import Token
from bracketc.lang.syntax import Bar, Binder, Entry, Expr, Name, Number, Positions, Reference

ONES_HELP = "the tensor of ones is 𝟏 (ones): 𝟏, 𝟏_12, 𝟏⟨N,M⟩"


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


CLOSING = {
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
"""Kind of a frame -> the bracket that closes it."""


class Frames:
    """The stack of open brackets, innermost last, over one cursor."""

    __slots__ = ("cursor", "frames", "result", "stops")

    def __init__(self, cursor: Cursor, stops: frozenset[str]) -> None:
        self.cursor = cursor
        self.stops = stops  # names that end the whole expression
        self.frames: list[Frame] = []
        self.result: tuple[Entry, ...] = ()

    @property
    def top(self) -> Frame:
        return self.frames[-1]

    def push(self, kind: str, opener: Token, start: Token) -> Frame:
        """Open a bracket; raises `LimitError` beyond the nesting limit."""
        cursor = self.cursor
        if len(self.frames) > cursor.nesting:
            raise too_deep(cursor, cursor.span(opener, opener))
        frame = Frame(kind, Chain(cursor), opener, start)
        self.frames.append(frame)
        return frame

    def begin(self, token: Token) -> Chain:
        """Note that ``token`` begins an operand of the innermost bracket."""
        frame = self.frames[-1]
        if frame.whole:
            raise self.cursor.unexpected(token, ", or ] after the whole dimension ·")
        if frame.chain.first is None:
            frame.chain.first = token
        return frame.chain

    def factor(self, node: Expr) -> None:
        """Make ``node``, postfixes applied, a factor of the innermost bracket."""
        chain = self.frames[-1].chain
        if chain.bar is not None:
            if isinstance(node, Number):
                raise self.cursor.problem("a bar over a number", node.span, ONES_HELP)
            node = Bar(node, Span(node.span.source, chain.bar.start, node.span.end))
            chain.bar = None
        chain.factors.append(node)


def too_deep(cursor: Cursor, span: Span) -> LimitError:
    """The error for an expression that is nested beyond the limit."""
    message = f"an expression is nested more than {cursor.nesting} deep"
    return LimitError(Diagnostic(message, span, "split it into definitions, or raise the limit by the option nesting"))
