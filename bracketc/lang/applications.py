"""Calls and their kin, built and checked once their arguments are read."""

from __future__ import annotations

from bracketc.errors import Span
from bracketc.lang.cursor import Cursor
from bracketc.lang.syntax import (
    Call,
    Comparison,
    Entry,
    Expr,
    FunctionDerivative,
    Index,
    Name,
    Positions,
    Reference,
    Stop,
    Where,
)
from bracketc.lang.words import REDUCTIONS


def call(
    cursor: Cursor,
    operator: str,
    name: Name,
    positions: Positions | None,
    items: tuple[Entry | Comparison, ...],
    span: Span,
) -> Expr:
    """``f(a)``, ``s^1(A)``, ``∇s^1(A)`` (``operator`` is ∇ or Jac), ``stop(X)``, ``where(i > j, a, b)``."""
    if name.text == "where" and operator not in ("∇", "Jac"):
        return _where(cursor, items, positions, span)
    arguments: tuple[Expr, ...] = items  # type: ignore[assignment]
    if operator:
        return FunctionDerivative(operator, name, positions, arguments, span)
    if name.text == "stop":
        if len(arguments) != 1 or positions is not None:
            raise cursor.problem("stop takes one argument", span, "stop(X) is constant for every differential")
        return Stop(arguments[0], span)
    return Call(name, positions, arguments, span)


def _where(cursor: Cursor, items: tuple[Entry | Comparison, ...], positions: Positions | None, span: Span) -> Where:
    help = "write where(condition, a, b) with a comparison such as i >= j as its condition"
    if len(items) != 3 or positions is not None:
        raise cursor.problem(f"where takes a condition and two values, found {len(items)} arguments", span, help)
    condition, chosen, otherwise = items
    if not isinstance(condition, Comparison):
        raise cursor.problem("the condition of where is no comparison", condition.span, help)
    return Where(condition, chosen, otherwise, span)  # type: ignore[arg-type]


def references(cursor: Cursor, items: tuple[Entry, ...]) -> tuple[Reference, ...]:
    """The names between the brackets of ``∇[W, b[1]](…)`` and ``d[W](…)``."""
    found = []
    for item in items:
        if isinstance(item, Name):
            found.append(Reference(item, None, item.span))
        elif isinstance(item, Index) and isinstance(item.operand, Name):
            found.append(Reference(item.operand, item.entries, item.span))
        else:
            raise cursor.problem("no name to differentiate by", item.span, "write names: ∇[W, b](J), d[W](J)")
    return tuple(found)


def check_bare(cursor: Cursor, name: Name) -> None:
    """Refuse the name of a function, just read, that has no arguments behind it."""
    after = cursor.token
    if after.is_op("**"):
        help = f"a power is ** behind the call: {name.text}(x)**2"
    elif after.is_op("("):
        help = f"the ( of a call touches the name: {name.text}(…)"
    elif after.kind == "superscript":
        help = f"a power is ** behind the call: {name.text}(x)**2; a mapped function is {name.text}^1(A)"
    elif after.is_op("=", "⟹") or (after.kind == "end" and cursor.at == 1):
        help = "choose another name"
    elif after.kind == "subscript" and name.text in REDUCTIONS:
        label = after.text[1:].strip("{}")[:10] or "i"
        help = f"the label stands in brackets: {name.text}[{label}](…)"
    else:
        help = f"write {name.text}(…)"
    raise cursor.problem(f"{name.text} is a function and has no arguments here", name.span, help)
