"""From text to tokens.

One pass, linear in the text.  Everything that white space or the character before decides is decided here:

* ``_…`` and ``^…`` are one token each: ``^31.^12`` is ``^31``, ``.``, ``^12``, and ``_21.X`` no decimal number.
* ``𝟏`` is a decimal digit to Python; it is a token of its own and never part of a number or a name.
* ``#`` begins a comment, except directly between a name and a digit (``X#1_2`` is an instance tag).
* Inside a derivation ``[by …]`` is one token.

ASCII spellings come out as Unicode ones, except ``<`` and ``>``, which may be comparisons.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, field

from bracketc.errors import Diagnostic, Source, Span
from bracketc.lang import characters
from bracketc.lang.spelling import UNICODE_OPERATORS, UNICODE_SYMBOLS
from bracketc.lang.syntax import Comment

MOST_DIGITS = 400
"""Longest number, and largest decimal exponent: more than any float holds, and quick to read exactly."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token; ``text`` is canonical (Unicode operators, names in normal form C), the place is that in the source.

    Kinds: number, name, symbol (𝟏 ι δ ∇), subscript (``_…``), superscript (``^…``), transpose (``^T``), tag (``#1``),
    string, remark (``[by …]``), op, newline, end, and bad for what is already reported.
    """

    kind: str
    text: str
    start: int
    end: int
    spaced: bool  # white space (or the start of the text) stands before it

    def is_op(self, *texts: str) -> bool:
        return self.kind == "op" and self.text in texts


@dataclass(slots=True)
class Lexed:
    """What the lexer found: tokens (the last one is ``end``), comments, and what is wrong."""

    tokens: list[Token] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)


# a letter, then letters, digits and combining marks, then primes; 𝟏 counts as a letter to \w and is left out
_NAME = r"[^\W\d_](?:[^\W_𝟏]|[\u0300-\u036f])*+'*"
_TOKEN = re.compile(
    rf"""
    (?P<space>[ \t\r]+)
  | (?P<newline>\n)
  | (?P<comment>\#[^\n]*)
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
  | (?P<name>{_NAME})
  | (?P<symbol>[𝟏∇])
  | (?P<transpose>\^T(?![^\W_]))
  | (?P<superscript>\^(?:\{{[^{{}}\n]*\}}|[0-9]+))
  | (?P<subscript>_(?:\{{[^{{}}\n]*\}}|(?:[^\W_𝟏]|[\u0300-\u036f])+))
  | (?P<string>"[^"\n]*")
  | (?P<op>_[<>⟨⟩]|\.\.|\*\*|<=|>=|==|!=|=>|~>|\.-|\.\+|[-+*/.·⊙⊗⊘⊖⊕@&~\[\](){{}}|,:=<>⟨⟩^!⇝⟹_'\u0387])
    """,
    re.VERBOSE,
)
_LETTER = re.compile(r"[^\W\d_]")
_TAG = re.compile(r"#[0-9]+")
_REMARK = re.compile(r"\[[ \t]*by[ \t\]]")
_CANONICAL_OPERATORS = {**UNICODE_OPERATORS, "_⟨": "_<", "_⟩": "_>", "\u0387": "·"}


def lex(source: Source) -> Lexed:
    """Tokens, comments and lexical errors of a source; never raises for bad text.

    ``X @ W_2``  ->  name X, op @, name W, subscript _2, end
    """
    found = Lexed()
    _report_invisible(source, found)
    text = source.text
    tokens = found.tokens
    at, end = int(text.startswith("\ufeff")), len(text)  # a byte order mark is no character of the source
    spaced = True
    block = _Block()
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            stop = _bad_run(source, at, found, spaced)
            if stop == at:  # an invisible character, reported before
                stop = at + 1
            at, spaced = stop, False
            continue
        kind = match.lastgroup or ""
        raw = match.group()
        stop = match.end()
        if kind == "space":
            at, spaced = stop, True
            continue
        if kind == "comment":
            tag = _TAG.match(text, at) if tokens and tokens[-1].kind == "name" and not spaced else None
            if tag is not None:
                tokens.append(Token("tag", tag.group()[1:], at, tag.end(), False))
                at = tag.end()
                continue
            own_line = not tokens or tokens[-1].kind == "newline"
            found.comments.append(Comment(raw.rstrip(), own_line, Span(source, at, at + len(raw.rstrip()))))
            at, spaced = stop, True
            continue
        if kind == "newline":
            tokens.append(Token(kind, "\n", at, stop, spaced))
            at, spaced = stop, True
            continue
        if raw == "[" and block.open and spaced and _REMARK.match(text, at):
            stop = _remark_end(source, at, found)
            kind, raw = "remark", " ".join(text[at + 1 : stop - 1].split()[1:])
        elif kind == "number":
            kind, stop = _number(source, raw, at, found)
        elif kind == "op":
            raw = _CANONICAL_OPERATORS.get(raw, raw)
        elif kind == "name":
            kind, raw = _name(source, raw, at, found)
        elif kind == "subscript" and not raw.isascii():
            kind, raw = _subscript(source, raw, at, found)
        token = Token(kind, raw, at, stop, spaced)
        block.see(token, tokens)
        tokens.append(token)
        at, spaced = stop, False
    tokens.append(Token("end", "", end, end, True))
    found.problems.sort(key=lambda problem: problem.span.start if problem.span else 0)
    return found


@dataclass(slots=True)
class _Block:
    """Follows whether the lexer stands inside the braces of a derivation."""

    announced: bool = False
    braces: int = 0

    @property
    def open(self) -> bool:
        return self.braces > 0

    def see(self, token: Token, before: list[Token]) -> None:
        if token.kind == "name" and token.text == "derivation" and not self.open:
            self.announced = not before or before[-1].kind == "newline" or before[-1].is_op(")")
        elif token.is_op("{") and (self.open or self.announced):
            self.braces += 1
        elif token.is_op("}") and self.open:
            self.braces -= 1
            self.announced = self.open


def _report_invisible(source: Source, found: Lexed) -> None:
    for match in characters.INVISIBLE.finditer(source.text):
        if match.start() == 0 and match.group() == "\ufeff":
            continue  # a byte order mark at the very start is harmless
        what = characters.described(match.group())
        help = "end lines with a line feed" if match.group() == "\r" else "remove it"
        span = Span(source, match.start(), match.end())
        found.problems.append(Diagnostic(f"invisible character {what}", span, help))


def _bad_run(source: Source, at: int, found: Lexed, spaced: bool) -> int:
    """Report a run of characters that begin no token, as one error; where it ends."""
    text = source.text
    stop = at
    while stop < len(text) and stop - at < 1000 and _TOKEN.match(text, stop) is None:
        if characters.INVISIBLE.match(text, stop):
            break
        stop += 1
    if stop == at:
        found.tokens.append(Token("bad", text[at], at, at + 1, spaced))
        return at
    message, help = characters.advice(text[at])
    if text[at] == '"':
        message, help = "a string that does not end on its line", 'write "file.brk"'
    found.problems.append(Diagnostic(message, Span(source, at, stop), help))
    found.tokens.append(Token("bad", text[at:stop], at, stop, spaced))
    return stop


def _number(source: Source, raw: str, at: int, found: Lexed) -> tuple[str, int]:
    """Kind and end of a number: bad when letters touch it or it is too long to read."""
    text, stop = source.text, at + len(raw)
    mantissa, _, exponent = raw.lower().partition("e")
    long = len(mantissa) > MOST_DIGITS or len(exponent.lstrip("+-0")) > 3 or abs(int(exponent or 0)) > MOST_DIGITS
    if long or math.isinf(float(raw)):
        help = f"at most {MOST_DIGITS} digits, and exponents from -{MOST_DIGITS} to {MOST_DIGITS}"
        found.problems.append(Diagnostic("a number that no float can hold", Span(source, at, stop), help))
        return "bad", stop
    if stop < len(text) and _LETTER.match(text, stop) is not None:
        name = _TOKEN.match(text, stop)
        stop = name.end() if name is not None else stop + 1
        letters = text[at + len(raw) : stop]
        help = f"a product needs a space: {raw} {letters[:40]}"
        if letters[:1] in "eE" and len(letters) == 1:
            help = f"an exponent needs digits: {raw}e-3; a product a space: {raw} {letters}"
        found.problems.append(Diagnostic("a number and letters run together", Span(source, at, stop), help))
        return "bad", stop
    return "number", stop


def _name(source: Source, raw: str, at: int, found: Lexed) -> tuple[str, str]:
    """Kind and canonical text of a name, in normal form C."""
    if raw.isascii():
        if raw in UNICODE_SYMBOLS:
            return "symbol", UNICODE_SYMBOLS[raw]
        return ("op", "⊗") if raw == "ox" else ("name", raw)
    if raw in ("ι", "δ"):
        return "symbol", raw
    normal = _checked_letters(source, raw, at, found)
    return ("bad", raw) if normal is None else ("name", normal)


def _subscript(source: Source, raw: str, at: int, found: Lexed) -> tuple[str, str]:
    normal = _checked_letters(source, raw, at, found)
    return ("bad", raw) if normal is None else ("subscript", normal)


def _checked_letters(source: Source, raw: str, at: int, found: Lexed) -> str | None:
    """``raw`` in normal form C, or None after reporting the first character that no name may hold."""
    base = ""  # the last letter, with the accents behind it so far
    start = 0
    for index, char in enumerate(raw):
        if unicodedata.combining(char) and char not in characters.OVERBARS:
            joined = unicodedata.normalize("NFC", base + char)
            if len(joined) == 1:
                base = joined
                continue
            message, help = (
                f"the combining mark {characters.described(char)} makes no letter with {raw[start]}",
                "use another name",
            )
        elif char.isascii() or characters.is_letter(char):
            base, start = char, index
            continue
        else:
            start = start if char in characters.OVERBARS else index
            message, help = characters.advice(char)
        found.problems.append(Diagnostic(message, Span(source, at + start, at + index + 1), help))
        return None
    return unicodedata.normalize("NFC", raw)


def _remark_end(source: Source, at: int, found: Lexed) -> int:
    """Where the remark that begins at ``at`` ends; it must end on its line."""
    line_end = source.text.find("\n", at)
    line_end = len(source.text) if line_end < 0 else line_end
    close = source.text.find("]", at, line_end)
    if close < 0:
        span = Span(source, at, line_end)
        found.problems.append(Diagnostic("a remark that does not end on its line", span, "close it: [by …]"))
        return line_end
    return close + 1
