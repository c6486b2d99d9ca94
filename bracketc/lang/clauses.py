"""Parts that several statements share: names that are declared, references, ranges, `where` lists, targets."""

from __future__ import annotations

from bracketc.lang import subscripts
from bracketc.lang.cursor import Cursor, Problem
from bracketc.lang.expressions import entries, expression
from bracketc.lang.lexer import Token
from bracketc.lang.syntax import Binding, Name, Range, Reference, Target
from bracketc.lang.words import FUNCTIONS, is_reserved


def declared_name(cursor: Cursor, what: str) -> Name:
    """A name that the statement declares; refuses reserved words, functions and underscores.

    ``input w_new : N``  ->  error: a name has no underscore
    """
    token = cursor.take()
    if token.kind == "symbol" or (token.kind == "name" and is_reserved(token.text.rstrip("'"))):
        reason = "the name of a function" if token.text.rstrip("'") in FUNCTIONS else "a reserved word"
        raise cursor.problem(f"{cursor.shown(token)} is {reason}", token, "choose another name")
    if token.kind == "subscript":
        raise cursor.problem("a name cannot begin with _", token, "names are letters, then letters and digits")
    if token.kind != "name":
        raise cursor.unexpected(token, f"the name of {what}")
    after = cursor.token
    if after.kind == "subscript" and not after.spaced:
        joined = token.text + "".join(part.capitalize() for part in after.text.strip("_{}").split("_"))
        help = f"an underscore always begins a subscript; call it {joined[:40]}"
        raise cursor.problem("a name has no underscore", cursor.span(token, after), help)
    return Name(token.text, cursor.span(token, token))


def reference(cursor: Cursor, what: str) -> Reference:
    """``W`` or ``W[1]``, of something that is declared elsewhere."""
    name = declared_name(cursor, what)
    start = cursor.tokens[cursor.at - 1]
    if cursor.token.is_op("[") and not cursor.token.spaced:
        found = entries(cursor)
        return Reference(name, found, cursor.span(start))
    return Reference(name, None, name.span)


def references(cursor: Cursor, what: str) -> tuple[Reference, ...]:
    """A comma list of references."""
    found = [reference(cursor, what)]
    while cursor.accept(","):
        found.append(reference(cursor, what))
    return tuple(found)


def ranges(cursor: Cursor) -> tuple[Range, ...]:
    """Behind `for`: ``e = 1..n, g = 1..n``."""
    found = [_range(cursor)]
    while cursor.accept(","):
        found.append(_range(cursor))
    return tuple(found)


def _range(cursor: Cursor) -> Range:
    help = "write for t = 1..T"
    token = cursor.take()
    if token.kind != "name":
        raise cursor.unexpected(token, "the variable of a range", help)
    if cursor.token.kind == "name" and cursor.token.text == "in":
        raise cursor.unexpected(cursor.token, "=", help)
    cursor.expect("=", f"after {token.text}", help)
    first = expression(cursor)
    cursor.expect("..", "in a range", help)
    last = expression(cursor)
    return Range(Name(token.text, cursor.span(token, token)), first, last, cursor.span(token))


def target(cursor: Cursor) -> Target:
    """The left side of a definition: ``J``, ``A_ik``, ``A[i,k]``, ``Z[t]``."""
    start = cursor.token
    if start.kind == "name" and is_reserved(start.text.rstrip("'")):
        declared_name(cursor, "a definition")
    if start.kind != "name":
        raise cursor.unexpected(start, "the name of a definition")
    cursor.take()
    name = Name(start.text, cursor.span(start, start))
    after = cursor.token
    if after.spaced:
        return Target(name, None, None, name.span)
    if after.kind == "subscript":
        if not subscripts.is_labels(after):
            help = "a definition by index has labels on its left: A_ik = …, A[i,k] = …"
            raise cursor.problem("positions on the left of a definition", after, help)
        found = subscripts.labels(cursor, cursor.take())
        return Target(name, found, None, cursor.span(start))
    if after.is_op("["):
        index = entries(cursor)
        return Target(name, None, index, cursor.span(start))
    return Target(name, None, None, name.span)


def bindings(cursor: Cursor) -> tuple[Binding, ...]:
    """Behind `where`: ``U = …, V_ij = …``."""
    found = [_binding(cursor)]
    while cursor.accept(","):
        found.append(_binding(cursor))
    return tuple(found)


def _binding(cursor: Cursor) -> Binding:
    start = cursor.token
    left = target(cursor)
    cursor.expect("=", "after a local name", "write where U = …, V = …")
    value = expression(cursor)
    return Binding(left, value, cursor.span(start))


def where_clause(cursor: Cursor) -> tuple[Binding, ...]:
    """The `where` list at the cursor, or nothing."""
    return bindings(cursor) if cursor.word("where") else ()


def finish(cursor: Cursor, what: str) -> None:
    """Nothing may follow; otherwise the error that fits what does."""
    token = cursor.token
    if token.kind != "end":
        raise left_over(cursor, token, what)


def left_over(cursor: Cursor, token: Token, what: str) -> Problem:
    """The error for a token behind a complete statement."""
    if token.is_op(")", "]", "}"):
        return cursor.problem(f"{token.text} closes no bracket", token, "remove it, or open the bracket before")
    if token.is_op("="):
        help = "a definition has one =; equality in a condition is ==; chains of = stand in derivations"
        return cursor.unexpected(token, f"the end of {what}", help)
    if token.is_op(":"):
        return cursor.unexpected(token, f"the end of {what}", "a colon stands in `input X : N, D` only")
    if token.is_op(","):
        help = "a comma separates names, arguments and entries; labels are A_ij or A_{i1,k}"
        return cursor.unexpected(token, f"the end of {what}", help)
    if token.is_op("⟹", "⇝"):
        return cursor.unexpected(token, f"the end of {what}", "steps of a derivation stand in derivation … { … }")
    if token.kind == "name" and token.text == "where":
        return cursor.unexpected(
            token, f"the end of {what}", "where comes before for: Z[t] = … where U = … for t = 1..T"
        )
    return cursor.unexpected(token, f"the end of {what}")
