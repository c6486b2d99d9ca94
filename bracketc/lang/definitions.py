"""Defining the names of a file, unit by unit."""

from __future__ import annotations

from bracketc.lang import syntax
from bracketc.lang.bodies import body_value, note
from bracketc.lang.order import Key, Unit, member_statement, names_of
from bracketc.lang.problems import Abort
from bracketc.lang.recurrences import define_steps
from bracketc.lang.scope import Scope
from bracketc.lang.values import Failed, Family, Value


def define(number: int, scope: Scope) -> None:
    """Bind the names of unit ``number`` in ``scope``, a level of the file; errors are recorded.

    A name that ``scope`` binds already is a variable of a derivative: what recurs together with it is a function of it.
    """
    run = scope.run
    unit = run.order.units[number]
    if unit.cyclic and not _is_recurrence(unit, scope):
        _circular(unit, scope)
        return
    names = [key for key in unit.keys if isinstance(key, str)]
    if names and all(_has_steps(name, scope) for name in names):
        define_steps([name for name in names if name not in scope.bindings], scope, unit.cyclic)
        return
    for key in unit.keys:
        _define_one(key, scope)


def _define_one(key: Key, scope: Scope) -> None:
    run = scope.run
    if isinstance(key, tuple):
        name, member = key
        statement, inner = member_statement(run.declarations, name, member, scope)
        family = scope.bindings.get(name)
        if not isinstance(family, Family):
            below = scope.find(name)
            family = Family(name, dict(below.members) if isinstance(below, Family) else {})
            scope.bindings[name] = family
        try:
            family.members[member] = value_of(statement, inner, family=True)
        except Abort:
            family.members[member] = Failed()
            return
        note(family.members[member], f"{name}[{member}]", statement.target.span, scope)
        return
    if key not in run.declarations.definitions or run.declarations.definitions[key].is_family:
        return  # a function, or all members of a family together
    statement_of_whole = run.declarations.definitions[key].whole
    assert statement_of_whole is not None
    try:
        value = value_of(statement_of_whole, scope)
    except Abort:
        scope.bindings[key] = Failed()
        return
    scope.bindings[key] = value
    note(value, key, statement_of_whole.target.span, scope)


def value_of(statement: syntax.Definition, scope: Scope, *, family: bool = False) -> Value:
    """The tensor of a definition that is no recurrence; of a member, without its number."""
    inner = scope.run.locals(statement.where, scope)
    target = statement.target
    entries = target.entries[1:] if family and target.entries is not None else target.entries
    return body_value(statement, target.labels, entries, inner)


def _has_steps(name: str, scope: Scope) -> bool:
    defined = scope.run.declarations.definitions.get(name)
    return defined is not None and defined.step is not None and not defined.is_family


def _is_recurrence(unit: Unit, scope: Scope) -> bool:
    return all(isinstance(key, str) and _has_steps(key, scope) for key in unit.keys)


def _circular(unit: Unit, scope: Scope) -> None:
    run = scope.run
    first = unit.keys[0]
    name = first if isinstance(first, str) else first[0]
    together = names_of((*unit.keys[:4], *(["…"] if len(unit.keys) > 4 else [])))
    needs = "it needs itself" if len(unit.keys) == 1 else f"{together} need one another"
    run.problems.record(
        f"circular definition of {names_of([first])}: {needs}",
        run.declarations.names[name],
        "only Z[t] = … Z[t-1] … may need itself",
    )
    for key in unit.keys:
        if isinstance(key, tuple):
            family = scope.bindings.setdefault(key[0], Family(key[0], {}))
            assert isinstance(family, Family)
            family.members[key[1]] = Failed()
        elif not isinstance(scope.find(key), Family):
            scope.bindings[key] = Failed()
