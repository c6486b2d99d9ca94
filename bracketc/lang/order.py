"""In which order definitions are elaborated: what a definition mentions comes before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from bracketc.ir.dims import Dim
from bracketc.lang import syntax
from bracketc.lang.declarations import Declarations
from bracketc.lang.entries import integer
from bracketc.lang.scope import Scope
from bracketc.lang.values import Quantity

Key: TypeAlias = str | tuple[str, int]
"""A name, or a member of a family of definitions."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Definitions that need one another; ``cyclic`` when there are several, or one needs itself."""

    keys: tuple[Key, ...]
    cyclic: bool


class Order:
    """The units of a file, each after those that it needs."""

    __slots__ = ("_declarations", "_members", "needs", "place", "units")

    def __init__(self, declarations: Declarations, members: dict[str, tuple[int, ...]], scope: Scope) -> None:
        self._declarations = declarations
        self._members = {name: frozenset(numbers) for name, numbers in members.items()}
        self.needs: dict[Key, tuple[Key, ...]] = {}
        for name, function in declarations.functions.items():
            parameters = {parameter.name.text for parameter in function.parameters}
            self.needs[name] = self._of_body(function.body, function.where, scope, parameters)
        for name, defined in declarations.definitions.items():
            if name in members:
                for number in members[name]:
                    statement, inner = member_statement(declarations, name, number, scope)
                    self.needs[(name, number)] = self._of_body(statement.body, statement.where, inner, set())
                self.needs[name] = tuple((name, number) for number in members[name])
                continue
            found: dict[Key, None] = {}
            statements = [s for s in (defined.whole, defined.step) if s is not None]
            for statement in (*statements, *defined.starts):
                names = {r.variable.text for r in statement.ranges}
                found.update(dict.fromkeys(self._of_body(statement.body, statement.where, scope, names)))
            self.needs[name] = tuple(found)
        self.units = _components(self.needs)
        self.place: dict[Key, int] = {key: index for index, unit in enumerate(self.units) for key in unit.keys}

    def between(self, key: Key, body: syntax.Expr, scope: Scope) -> list[int]:
        """The units that ``body`` needs and that need ``key``, in order; its own when others recur together with ``key``."""
        pending = list(self._mentions([(body, scope, frozenset())]))
        reached: set[Key] = set()
        while pending:
            found = pending.pop()
            if found not in reached:
                reached.add(found)
                if found != key:
                    pending.extend(self.needs.get(found, ()))
        affected: set[Key] = {key}
        units = []
        for index in sorted({self.place[found] for found in reached}):
            unit = self.units[index]
            if key in unit.keys:
                if any(member in reached for member in unit.keys if member != key):
                    affected.update(unit.keys)
                    units.append(index)
                continue
            if any(needed in affected for member in unit.keys for needed in self.needs[member]):
                affected.update(unit.keys)
                units.append(index)
        return units

    def _of_body(
        self, body: syntax.Expr, where: tuple[syntax.Binding, ...], scope: Scope, hidden: set[str]
    ) -> tuple[Key, ...]:
        local = {binding.target.name.text for binding in where}
        pending: list[tuple[syntax.Node, Scope, frozenset[str]]] = [(body, scope, frozenset(hidden | local))]
        for binding in where:
            pending.append((binding.value, scope, frozenset(hidden | (local - {binding.target.name.text}))))
        return tuple(dict.fromkeys(self._mentions(pending)))

    def _mentions(self, pending: list[tuple[syntax.Node, Scope, frozenset[str]]]) -> Iterator[Key]:
        declarations = self._declarations
        while pending:
            node, scope, hidden = pending.pop()
            if isinstance(node, syntax.Name):
                name = node.text if node.text in declarations.names else node.base
                if name not in hidden and (name in declarations.definitions or name in declarations.functions):
                    yield name
                continue
            if isinstance(node, syntax.Index | syntax.Reference):
                operand = node.operand if isinstance(node, syntax.Index) else node.name
                entries = node.entries
                if isinstance(operand, syntax.Name) and operand.text in self._members and operand.text not in hidden:
                    number = integer(entries[0], scope) if entries else None
                    if number is None:
                        yield operand.text
                    elif number in self._members[operand.text]:
                        yield (operand.text, number)
                    pending.extend((entry, scope, hidden) for entry in reversed(entries or ()))
                    continue
            if isinstance(node, syntax.Reduction) and self._members:
                binder = node.binders[0]
                if binder.first is not None and binder.last is not None:
                    first, last = integer(binder.first, scope), integer(binder.last, scope)
                    if first is not None and last is not None and abs(last - first) < 10_000:
                        for number in range(min(first, last), max(first, last) + 1):
                            inner = scope.inner({binder.name.text: Quantity(Dim.of(number))})
                            pending.append((node.body, inner, hidden))
                        continue
            pending.extend((child, scope, hidden) for child in reversed(tuple(syntax.children(node))))


def member_statement(
    declarations: Declarations, name: str, number: int, scope: Scope
) -> tuple[syntax.Definition, Scope]:
    """The statement that defines a member of a family, and the scope of its body."""
    defined = declarations.definitions[name]
    for start in defined.starts:
        assert start.target.entries is not None
        if integer(start.target.entries[0], scope) == number:
            return start, scope
    assert defined.step is not None and defined.step.target.entries is not None
    variable = defined.step.target.entries[0]
    assert isinstance(variable, syntax.Name)
    return defined.step, scope.inner({variable.text: Quantity(Dim.of(number))})


def _components(needs: dict[Key, tuple[Key, ...]]) -> list[Unit]:
    """Strongly connected components, needed ones first (Tarjan 1972), without recursion."""
    index: dict[Key, int] = {}
    low: dict[Key, int] = {}
    active: dict[Key, None] = {}
    units: list[Unit] = []
    for root in needs:
        if root in index:
            continue
        work: list[tuple[Key, Iterator[Key]]] = [(root, iter(needs[root]))]
        index[root] = low[root] = len(index)
        active[root] = None
        while work:
            key, rest = work[-1]
            for needed in rest:
                if needed not in needs:
                    continue
                if needed not in index:
                    index[needed] = low[needed] = len(index)
                    active[needed] = None
                    work.append((needed, iter(needs[needed])))
                    break
                if needed in active:
                    low[key] = min(low[key], index[needed])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[key])
                if low[key] == index[key]:
                    units.append(_unit(key, active, index, needs))
    return units


def _unit(key: Key, active: dict[Key, None], index: dict[Key, int], needs: dict[Key, tuple[Key, ...]]) -> Unit:
    keys: list[Key] = []
    while True:
        last, _ = active.popitem()
        keys.append(last)
        if last == key:
            break
    keys.sort(key=index.__getitem__)
    return Unit(tuple(keys), len(keys) > 1 or key in needs[key])


def names_of(keys: Iterable[Key]) -> str:
    return ", ".join(key if isinstance(key, str) else f"{key[0]}[{key[1]}]" for key in keys)
