"""From source to syntax tree: every syntax error of the file in one `SourceError`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from bracketc.errors import Diagnostic, Source, SourceError, Span
from bracketc.lang.clauses import finish, where_clause
from bracketc.lang.cursor import Cursor, Problem
from bracketc.lang.derivations import header, step
from bracketc.lang.expressions import expression
from bracketc.lang.frames import too_deep
from bracketc.lang.lexer import lex
from bracketc.lang.lines import Line, logical_lines
from bracketc.lang.statements import is_derivation, statement
from bracketc.lang.syntax import Binding, Expr, Name, Node, Statement, Step, SyntaxFile, depth
from bracketc.lang.words import STATEMENTS

NESTING = 200
"""Longest path from the root of a statement to a leaf, in nodes; also the most brackets open at once."""

MOST_ERRORS = 100
"""Errors reported for one file; behind them stands how many there are."""

_T = TypeVar("_T")


def parse_file(source: Source, nesting: int = NESTING) -> SyntaxFile:
    """The tree of a whole file.

    Raises `SourceError` with all syntax errors of the file, each with its span, in the order of the text, and
    `LimitError` when an expression is nested more than ``nesting`` deep.  Linear in the length of the text.

    ``C = A @ B``  ->  SyntaxFile((Definition(Target(Name("C"), None, None), MatrixProduct(…), (), ()),))
    """
    read = read_file(source, nesting)
    _raise(list(read.problems))
    return read.tree


@dataclass(frozen=True, slots=True)
class Read:
    """What could be read of a file: the statements without errors, the errors, and the names of the spoiled statements."""

    tree: SyntaxFile
    problems: tuple[Diagnostic, ...] = ()
    spoiled: tuple[Name, ...] = ()


def read_file(source: Source, nesting: int = NESTING) -> Read:
    """The same as `parse_file` for the statements that can be read, so that elaboration finds the errors of these, too.

    ``A = B^2`` and ``C = D``  ->  the tree of ``C = D``, the error about ``^2``, and the name A
    """
    lexed = lex(source)
    problems = list(lexed.problems)
    found: list[Statement] = []
    spoiled: list[Name] = []
    for line in logical_lines(lexed.tokens):
        if line.block is None:
            read = _attempt(source, line, nesting, problems, _statement)
            if read is not None:
                found.append(read)
            else:
                spoiled.extend(_declared(source, line))
            continue
        head = _attempt(source, line, nesting, problems, header)
        steps = _steps(source, line, nesting, problems)
        if head is not None:
            end = line.closed.end if line.closed is not None else head.span.end
            found.append(replace(head, steps=steps, span=Span(source, head.span.start, end)))
    tree = SyntaxFile(tuple(found), tuple(lexed.comments), Span(source, 0, len(source.text)))
    return Read(tree, tuple(problems), tuple(spoiled))


def _declared(source: Source, line: Line) -> list[Name]:
    """The names that a spoiled statement seems to declare."""
    first, *rest = (token for token in line.tokens if token.kind != "end")
    names = [token for token in rest if token.kind == "name"]
    if first.kind != "name":
        return []
    if first.text not in STATEMENTS or not rest or rest[0].kind != "name":
        names = [first]
    elif first.text not in ("dim", "input", "param", "const", "function"):
        return []
    elif first.text != "dim":
        names = names[:1]
    return [Name(token.text, Span(source, token.start, token.end)) for token in names]


def parse_expression(source: Source, nesting: int = NESTING) -> tuple[Expr, tuple[Binding, ...]]:
    """The tree of one expression and the bindings of the `where` behind it; newlines count as spaces.

    Raises as `parse_file` does.

    ``(h - Y) · (h - Y) where h = X @ W``  ->  Dot(…), (Binding(Target(Name("h"), …), MatrixProduct(…)),)
    """
    lexed = lex(source)
    problems = list(lexed.problems)
    tokens = tuple(token for token in lexed.tokens if token.kind != "newline")
    read = _attempt(source, Line(tokens), nesting, problems, _whole_expression)
    _raise(problems)
    assert read is not None
    return read


def _whole_expression(cursor: Cursor) -> tuple[Expr, tuple[Binding, ...]]:
    body = expression(cursor)
    where = where_clause(cursor)
    finish(cursor, "an expression")
    return body, where


def _statement(cursor: Cursor) -> Statement:
    if is_derivation(cursor):
        header(cursor)
        raise cursor.unexpected(cursor.token, "a block { … }")
    return statement(cursor)


def _steps(source: Source, line: Line, nesting: int, problems: list[Diagnostic]) -> tuple[Step, ...]:
    assert line.block is not None
    if line.closed is None:
        brace = line.tokens[-2]
        problems.append(
            Diagnostic("{ of a derivation is not closed", Span(source, brace.start, brace.end), "close it with }")
        )
    found: list[Step] = []
    first = True
    for inner in line.block:
        read = _attempt(source, inner, nesting, problems, partial(step, first=first))
        first = False
        if read is not None:
            found.append(read)
    return tuple(found)


def _attempt(
    source: Source, line: Line, nesting: int, problems: list[Diagnostic], read: Callable[[Cursor], _T]
) -> _T | None:
    """``read`` the tokens of a line; None after an error, which is added to ``problems``."""
    if any(token.kind == "bad" for token in line.tokens):
        return None  # reported by the lexer
    cursor = Cursor(source, line.tokens, nesting)
    try:
        result = read(cursor)
    except Problem as problem:
        problems.append(problem.diagnostic)
        return None
    parts = result if isinstance(result, tuple) else (result,)
    if len(line.tokens) * 2 > nesting and _deepest(parts) > nesting:
        raise too_deep(cursor, cursor.span(line.tokens[0], line.tokens[-1]))
    return result


def _deepest(parts: Iterable[Node]) -> int:
    return max((depth(node) for part in parts for node in (part if isinstance(part, tuple) else (part,))), default=0)


def _raise(problems: list[Diagnostic]) -> None:
    if not problems:
        return
    problems.sort(key=lambda problem: problem.span.start if problem.span else 0)
    if len(problems) > MOST_ERRORS:
        more = len(problems) - MOST_ERRORS
        problems = [*problems[:MOST_ERRORS], Diagnostic(f"and {more} more errors", None)]
    raise SourceError(problems)
