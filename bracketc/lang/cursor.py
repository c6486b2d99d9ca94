"""A reading position in the tokens of one statement, and the exception that ends the reading."""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.errors import Diagnostic, Source, Span
from bracketc.lang.lexer import Token

OPENERS = {"(": ")", "[": "]", "{": "}"}
CLOSERS = {")": "(", "]": "[", "}": "{"}


class Problem(Exception):
    """One syntax error; ends the statement in which it occurs, and leaves the parser in a `SourceError` only."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Cursor:
    """Tokens of one logical line, without its newlines and with an ``end`` token, and the next one to read."""

    __slots__ = ("at", "nesting", "source", "tokens")

    def __init__(self, source: Source, tokens: Sequence[Token], nesting: int) -> None:
        self.source = source
        self.tokens = tokens
        self.at = 0
        self.nesting = nesting

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def following(self) -> Token:
        """The token after the next one; ``end`` for ever at the end."""
        return self.tokens[min(self.at + 1, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def accept(self, *texts: str) -> Token | None:
        """The next token, taken, when it is one of these operators."""
        return self.take() if self.token.is_op(*texts) else None

    def expect(self, text: str, where: str, help: str = "") -> Token:
        """The operator ``text``, which must come next."""
        if self.token.is_op(text):
            return self.take()
        raise self.unexpected(self.token, f"{text} {where}".rstrip(), help)

    def word(self, *words: str) -> Token | None:
        """The next token, taken, when it is one of these names."""
        return self.take() if self.token.kind == "name" and self.token.text in words else None

    def span(self, first: Token, last: Token | None = None) -> Span:
        """From the start of ``first`` to the end of ``last`` (by default of the token read last)."""
        if last is None:
            last = self.tokens[self.at - 1] if self.at else first
        return Span(self.source, first.start, max(first.end, last.end))

    def problem(self, message: str, place: Token | Span, help: str = "") -> Problem:
        span = place if isinstance(place, Span) else self.span(place, place)
        return Problem(Diagnostic(message, span, help))

    def unexpected(self, token: Token, expected: str, help: str = "") -> Problem:
        """``found ), expected an operand``."""
        return self.problem(f"found {self.shown(token)}, expected {expected}", token, help)

    def shown(self, token: Token) -> str:
        """How a message names a token: as it was typed, shortened."""
        if token.kind == "end":
            return "the end of the statement"
        text = self.source.text[token.start : token.end]
        return text if len(text) <= 40 else text[:37] + "..."
