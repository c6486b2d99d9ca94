"""Statements: one function each, over the tokens of one logical line."""

from __future__ import annotations

from collections.abc import Callable

from bracketc.lang import subscripts
from bracketc.lang.clauses import (
    declared_name,
    finish,
    ranges,
    reference,
    references,
    target,
    where_clause,
)
from bracketc.lang.cursor import Cursor
from bracketc.lang.expressions import entries, expression
from bracketc.lang.lexer import Token
from bracketc.lang.syntax import (
    Argument,
    Const,
    Definition,
    DimFamily,
    DimStatement,
    Expr,
    FormalProduct,
    Function,
    Import,
    Layout,
    Name,
    Output,
    Parameter,
    Request,
    Size,
    Slice,
    Statement,
    Trait,
)
from bracketc.lang.words import LAYOUTS, REQUESTS, STATEMENTS, TRAIT_ENDINGS, TRAITS, nearest


def statement(cursor: Cursor) -> Statement:
    """The statement on a logical line (all but derivations).

    A keyword counts only where a name follows it; ``input = 3`` defines the name input.
    """
    token, after = cursor.token, cursor.following
    named = after.kind in ("name", "symbol", "subscript") and after.spaced
    if token.kind == "name" and token.text in _READERS and (named or after.kind == "string"):
        cursor.take()
        return _READERS[token.text](cursor, token)
    return _definition(cursor)


def is_derivation(cursor: Cursor) -> bool:
    """Whether the line begins a derivation: ``derivation of …``, ``derivation {``, ``(eq3) derivation …``."""
    tokens = cursor.tokens
    at = cursor.at
    if len(tokens) > at + 3 and tokens[at].is_op("(") and tokens[at + 2].is_op(")"):
        at += 3
    if tokens[at].kind != "name" or tokens[at].text != "derivation":
        return False
    after = tokens[min(at + 1, len(tokens) - 1)]
    return after.is_op("{") or (after.kind == "name" and after.spaced)


# ---------------------------------------------------------------------------------------------- declarations


def _dim(cursor: Cursor, start: Token) -> Statement:
    name = declared_name(cursor, "a size")
    if cursor.token.is_op("[") and not cursor.token.spaced:
        return _dim_family(cursor, start, name)
    sizes = [_size(cursor, name)]
    while cursor.accept(","):
        sizes.append(_size(cursor, declared_name(cursor, "a size")))
    if cursor.token.kind == "name":
        raise cursor.unexpected(cursor.token, "a comma between sizes", f"write dim {name.text}, {cursor.token.text}")
    finish(cursor, "a dim statement")
    return DimStatement(tuple(sizes), cursor.span(start))


def _size(cursor: Cursor, name: Name) -> Size:
    start = cursor.tokens[cursor.at - 1]
    value = hint = None
    if cursor.accept("="):
        value = expression(cursor)
    elif cursor.accept("~"):
        hint = expression(cursor)
    return Size(name, value, hint, cursor.span(start))


def _dim_family(cursor: Cursor, start: Token, name: Name) -> Statement:
    help = "write dim D[0..L] = 784, 256, 10"
    opener = cursor.token
    found = entries(cursor)
    if len(found) != 1 or not isinstance(found[0], Slice):
        raise cursor.problem("a family of sizes needs a range", cursor.span(opener), help)
    cursor.expect("=", "after the range of a family of sizes", help)
    values = [expression(cursor)]
    while cursor.accept(","):
        values.append(expression(cursor))
    finish(cursor, "a dim statement")
    return DimFamily(name, found[0].first, found[0].last, tuple(values), cursor.span(start))


def _argument(cursor: Cursor, start: Token) -> Statement:
    help = f"write {start.text} X : N, D"
    name = declared_name(cursor, f"an {start.text}" if start.text == "input" else f"a {start.text}")
    index = None
    if cursor.token.is_op("[") and not cursor.token.spaced:
        opener = cursor.token
        found = entries(cursor)
        if len(found) != 1 or not isinstance(found[0], Name):
            raise cursor.problem(
                "a family has one index", cursor.span(opener), f"write {start.text} W[j] : … for j = 1..L"
            )
        index = found[0]
    if cursor.token.is_op(","):
        help = f"one argument a statement: {start.text} {name.text} : N, D"
    cursor.expect(":", f"after {name.text}", help)
    dims = _dims(cursor)
    traits = []
    while cursor.token.kind == "name" and cursor.token.text != "for":
        traits.append(_trait(cursor))
        if cursor.token.is_op(",") and cursor.following.kind == "name" and cursor.following.text in TRAITS:
            cursor.take()
    loop = None
    family = cursor.word("for")
    if family is not None:
        found_ranges = ranges(cursor)
        if len(found_ranges) != 1:
            raise cursor.problem("a family has one range", found_ranges[1].span)
        loop = found_ranges[0]
    finish(cursor, f"an {start.text} statement" if start.text == "input" else f"a {start.text} statement")
    if (index is None) != (loop is None):
        help = f"write {start.text} {name.text}[j] : … for j = 1..L"
        raise cursor.problem("a family has an index and a range", cursor.span(start), help)
    return Argument(start.text, name, index, dims, tuple(traits), loop, cursor.span(start))


def _dims(cursor: Cursor) -> tuple[Expr, ...]:
    if cursor.word("scalar"):
        return ()
    if cursor.token.kind == "end" or (cursor.token.kind == "name" and cursor.token.text in TRAITS):
        raise cursor.unexpected(cursor.token, "sizes", "a rank-0 argument is declared with `: scalar`")
    dims = [_dimension(cursor)]
    while cursor.token.is_op(",") and not (cursor.following.kind == "name" and cursor.following.text in TRAITS):
        cursor.take()
        dims.append(_dimension(cursor))
    cursor.accept(",")  # before a trait
    return tuple(dims)


def _dimension(cursor: Cursor) -> Expr:
    """A size; ``C onhot rows`` would be a product of sizes, and is refused as a trait that is misspelled."""
    found = expression(cursor, TRAITS)
    for factor in found.factors[1:] if isinstance(found, FormalProduct) else ():
        near = nearest(factor.text, TRAITS, 0.8) if isinstance(factor, Name) else None
        if near is not None:
            raise cursor.problem(f"unknown trait {factor.span.text}", factor.span, f"did you mean {near}?")
    return found


def _trait(cursor: Cursor) -> Trait:
    token = cursor.take()
    if token.text not in TRAITS:
        near = nearest(token.text, TRAITS)
        known = ", ".join((*TRAITS[:-3], "onehot rows", "stochastic rows", "integer in C"))
        help = f"did you mean {near}?" if near else f"traits are {known}"
        raise cursor.problem(f"unknown trait {cursor.shown(token)}", token, help)
    name = token.text
    if token.text == "positive" and cursor.word("definite"):
        name = "positive definite"
    ending = TRAIT_ENDINGS.get(token.text)
    if ending is None:
        return Trait(name, None, cursor.span(token))
    whole = "integer in C" if ending == "in" else f"{token.text} rows"
    if cursor.word(ending) is None:
        raise cursor.unexpected(cursor.token, f"{ending} after {token.text}", f"the trait is {whole}")
    if ending == "rows":
        return Trait(whole, None, cursor.span(token))
    size = expression(cursor, TRAITS)
    return Trait(name, size, cursor.span(token))


def _const(cursor: Cursor, start: Token) -> Statement:
    name = declared_name(cursor, "a constant")
    cursor.expect("=", f"after {name.text}", f"write const {name.text} = 1e-3")
    value = expression(cursor)
    finish(cursor, "a const statement")
    return Const(name, value, cursor.span(start))


def _function(cursor: Cursor, start: Token) -> Statement:
    name = declared_name(cursor, "a function")
    help = f"write function {name.text}(a, b : 2) = …"
    cursor.expect("(", f"after {name.text}", help)
    parameters = [_parameter(cursor)]
    while cursor.accept(","):
        parameters.append(_parameter(cursor))
    cursor.expect(")", "after the parameters", help)
    cursor.expect("=", "after the parameters", help)
    body = expression(cursor)
    where = where_clause(cursor)
    finish(cursor, "a function")
    return Function(name, tuple(parameters), body, where, cursor.span(start))


def _parameter(cursor: Cursor) -> Parameter:
    start = cursor.token
    name = declared_name(cursor, "a parameter")
    rank = None
    if cursor.accept(":"):
        token = cursor.take()
        if token.kind == "name" and token.text == "scalar":
            rank = 0
        elif token.kind != "number" or not token.text.isdigit() or len(token.text) > 3:
            raise cursor.unexpected(token, "the rank of a parameter, a number", f"write {name.text} : 2 for a matrix")
        else:
            rank = int(token.text)
    return Parameter(name, rank, cursor.span(start))


def _import(cursor: Cursor, start: Token) -> Statement:
    token = cursor.take()
    if token.kind != "string":
        raise cursor.unexpected(token, "a file name", 'write import "layers.brk"')
    finish(cursor, "an import")
    return Import(token.text[1:-1], cursor.span(start))


# ---------------------------------------------------------------------------------------------- requests


def _output(cursor: Cursor, start: Token) -> Statement:
    names = references(cursor, "an output")
    if cursor.token.is_op("="):
        help = f"define it first, then name it: {names[-1].name.text} = …, output {names[-1].name.text}"
        raise cursor.unexpected(cursor.token, "the end of an output statement", help)
    finish(cursor, "an output statement")
    return Output(names, cursor.span(start))


def _request(cursor: Cursor, start: Token) -> Statement:
    help = f"write {start.text} J wrt W, b"
    goal = reference(cursor, "what is differentiated")
    if cursor.word("wrt") is None:
        raise cursor.unexpected(cursor.token, "wrt", help)
    wrt = references(cursor, "what to differentiate by")
    layout: Layout | None = None
    name: Name | None = None
    derived = False
    while cursor.token.kind == "name":
        token = cursor.take()
        if token.text == "layout" and layout is None:
            layout = _layout(cursor, token)
        elif token.text == "as" and cursor.token.kind == "name" and cursor.token.text == "derived" and not derived:
            cursor.take()
            derived = True
        elif token.text == "as" and name is None:
            name = declared_name(cursor, "a request")
        elif token.text in ("layout", "as"):
            raise cursor.problem(f"{token.text} is given twice", token)
        else:
            help = "separate names with commas" if cursor.token.kind in ("end", "name") else help
            raise cursor.unexpected(token, "a comma, layout, as, or the end of the request", help)
    finish(cursor, "a request")
    return Request(start.text, goal, wrt, layout, name, derived, cursor.span(start))


def _layout(cursor: Cursor, start: Token) -> Layout:
    help = f"layouts are {', '.join(LAYOUTS)}, and position lists like ^512·^123"
    token = cursor.take()
    if token.kind == "name" and token.text in LAYOUTS:
        return Layout(token.text, None, None, cursor.span(start))
    if token.kind == "superscript" and cursor.token.is_op("·") and cursor.following.kind == "superscript":
        left = subscripts.plain_positions(cursor, token, False, "a layout")
        cursor.take()
        right = subscripts.plain_positions(cursor, cursor.take(), False, "a layout")
        return Layout("positions", left, right, cursor.span(start))
    raise cursor.unexpected(token, "a layout", help)


# ---------------------------------------------------------------------------------------------- definitions


def _definition(cursor: Cursor) -> Statement:
    start = cursor.token
    if start.kind != "name" or cursor.following.kind == "end":
        raise no_statement(cursor)
    if cursor.following.is_op("(") and not cursor.following.spaced:
        raise no_statement(cursor)
    left = target(cursor)
    if not cursor.token.is_op("="):
        cursor.at = 0
        raise no_statement(cursor)
    cursor.take()
    body = expression(cursor)
    where = where_clause(cursor)
    found = ranges(cursor) if cursor.word("for") else ()
    finish(cursor, "a definition")
    return Definition(left, body, where, found, cursor.span(start))


_JUNK = {
    "if": "a choice is an expression: where(condition, a, b)",
    "def": "a function is written function f(a) = …",
    "let": "a definition needs no let: x = …",
    "var": "a definition needs no var: x = …",
    "print": "what a program returns is named by output",
    "return": "what a program returns is named by output",
    "while": "a recurrence is Z[t] = … Z[t-1] … for t = 1..T",
    "for": "for follows a definition: Z[t] = … for t = 1..T",
    "where": "where follows an expression: J = … where h = …",
    "outputs": "write output F, J",
    "hess": "a request is hessian J wrt W",
    "include": 'write import "layers.brk"',
    "from": 'write import "layers.brk"',
    "else": "a choice is an expression: where(condition, a, b)",
}


def no_statement(cursor: Cursor) -> Exception:
    """The error for a line that is neither a known statement nor a definition."""
    start, after = cursor.token, cursor.following
    help = "a definition is NAME = expression"
    if start.kind not in ("name", "symbol"):
        if start.is_op(")", "]", "}"):
            return cursor.problem(f"{start.text} closes no bracket", start, "remove it, or open the bracket before")
        if start.is_op("=", "⟹", "⇝"):
            help = "a chain of steps stands in derivation … { … }; a definition begins with its name"
        elif start.kind == "subscript":
            help = "a name cannot begin with _; names are letters, then letters and digits"
        elif start.kind == "op":
            help = "a line goes on when the one before ends with an operator or stands in a bracket"
        return cursor.unexpected(start, "a statement", help)
    word = start.text
    if start.text == "∇" and any(token.kind == "name" and token.text == "wrt" for token in cursor.tokens):
        return cursor.problem(f"{cursor.shown(start)} begins no statement", start, "a request is gradient J wrt W")
    if start.kind == "symbol" or (after.is_op("=") and word in ("for", "where")):
        return cursor.problem(f"{cursor.shown(start)} is a reserved word", start, "choose another name")
    if word in _JUNK:
        return cursor.problem(f"{word} begins no statement", start, _JUNK[word])
    if word in STATEMENTS:
        return cursor.unexpected(after, f"a name after {word}", f"{word} begins a statement when a name follows")
    near = nearest(word, STATEMENTS)
    if after.kind == "name" and after.spaced and near is not None:
        return cursor.problem(f"unknown statement {word}", start, f"did you mean {near}?")
    if after.kind == "name" and after.spaced:
        if cursor.tokens[min(cursor.at + 2, len(cursor.tokens) - 1)].is_op("="):
            return cursor.problem(f"unknown statement {word}", start, f"a definition is {after.text} = …")
        help = f"statements are {', '.join(STATEMENTS)}, and definitions NAME = expression"
        return cursor.problem(f"unknown statement {word}", start, help)
    if after.is_op("(") and not after.spaced:
        if any(token.is_op("=") for token in cursor.tokens):
            equals = next(token for token in cursor.tokens if token.is_op("="))
            head = " ".join(cursor.source.text[start.start : equals.start].split())
            head = head if len(head) <= 40 else f"{word[:30]}(…)"
            return cursor.problem("a function is declared with function", start, f"write function {head} = …")
        return cursor.problem("an expression is no statement", start, "give it a name: F = …")
    if after.is_op("==", ":"):
        help = f"write {word} = …" if after.text == "==" else f"write input {word} : N, D, or {word} = …"
        return cursor.unexpected(after, "=", help)
    if any(token.is_op("=") for token in cursor.tokens):
        return cursor.problem("the left side of a definition is a name", start, "a definition is NAME = expression")
    return cursor.problem("an expression is no statement", start, "give it a name: F = …")


_READERS: dict[str, Callable[[Cursor, Token], Statement]] = {
    "dim": _dim,
    "input": _argument,
    "param": _argument,
    "const": _const,
    "function": _function,
    "output": _output,
    "import": _import,
    **dict.fromkeys(REQUESTS, _request),
}
