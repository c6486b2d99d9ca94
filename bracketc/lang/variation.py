"""What varies in a derivation: differentials of names and of expressions, and names cut from their definitions.

A differential is a :class:`~bracketc.ir.nodes.Differential` node: the body over placeholders, the points where they
stand, and a tangent for each. The tangent of a variable ``X`` is the free tensor ``dX``; that of a name which depends
on variables is its own differential.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Differential, Node, Tensor
from bracketc.ir.rewrite import substitute, tensors, topological
from bracketc.lang import syntax
from bracketc.lang.entries import dimension, integer
from bracketc.lang.general import Use, uses
from bracketc.lang.order import Key
from bracketc.lang.problems import Abort
from bracketc.lang.scope import Elaboration, Scope
from bracketc.lang.steps import Step
from bracketc.lang.stepwise import Bump, tangent_of
from bracketc.lang.values import Binding, Failed, Family, Open, Quantity, Steps, Value

Member: TypeAlias = tuple[str, int | None]
"""A name, or one member of a family."""


@dataclass(frozen=True, slots=True)
class Variable:
    """Something that varies: where it stands, and its tangent. An ``argument`` is a leaf, others are cut by name."""

    key: Member
    point: Value
    tangent: Node
    argument: bool


@dataclass(frozen=True, slots=True)
class Local:
    """A name of the block and what it was bound to: a ``where``, or the target in the first line."""

    name: str
    binding: syntax.Binding


class Variation:
    """The names of one derivation, line by line, and what varies in it."""

    __slots__ = ("_constant", "_levels", "_locals", "_opened", "_placeholders", "file", "run", "variables")

    def __init__(self, run: Elaboration, file: Scope) -> None:
        self.run = run
        self.file = file
        self.variables: tuple[Variable, ...] = ()
        self._levels = [file.inner({})]
        self._locals: list[Local] = []
        self._constant: set[str] = set()
        self._opened: dict[Scope, syntax.Binding] = {}
        self._placeholders: dict[tuple[Member, Node], Tensor] = {}

    @property
    def scope(self) -> Scope:
        """Where the next line is read."""
        return self._levels[-1]

    # ------------------------------------------------------------------------------------------- names of the block
    def bind(self, bindings: Sequence[syntax.Binding]) -> None:
        """The names of a ``where``, for this line and those after it; each may use those beside it."""
        waiting = list(bindings)
        while waiting:
            names = {binding.target.name.text for binding in waiting}
            ready = next((b for b in waiting if not _mentioned(b.value) & (names - {b.target.name.text})), None)
            if ready is None or len(names) < len(waiting):
                self.run.locals(tuple(waiting), self.scope)  # reports what is circular, or bound twice
                self._levels.append(self.scope.inner(dict.fromkeys(names, Failed())))
                self._locals += [Local("", waiting[0])]
                return
            waiting.remove(ready)
            self._push(ready)

    def _push(self, binding: syntax.Binding) -> None:
        if self._is_open(binding):
            self._levels.append(self.scope.inner({binding.target.name.text: Open(binding)}))
            self._locals.append(Local("", binding))
            return
        self._levels.append(self.run.locals((binding,), self.scope))
        self._locals.append(Local(binding.target.name.text, binding))

    # ------------------------------------------------------------------------------------------- names of general steps
    def _is_open(self, binding: syntax.Binding) -> bool:
        """Whether it is a name with an index on its left, or holds a number of a range, itself or through other names."""
        return binding.target.entries is not None or bool(self.uses(binding.value, self.scope))

    def uses(self, expr: syntax.Expr, scope: Scope) -> dict[str, list[Use]]:
        """The general numbers that an expression holds, itself or through names of the block."""
        found = {name: list(places) for name, places in uses(expr, scope).items()}
        for binding in self._open_names(expr, scope):
            for name, places in uses(binding.value, scope).items():
                if binding.target.entries is None:
                    found.setdefault(name, []).extend(places)
        return found

    def _open_names(self, expr: syntax.Expr, scope: Scope) -> list[syntax.Binding]:
        """The open names that ``expr`` mentions, those that these mention among them, in the order of the block."""
        known: dict[str, syntax.Binding] = {}
        order: dict[str, int] = {}
        level: Scope | None = scope
        depth = 0
        while level is not None:
            for name, binding in level.bindings.items():
                if isinstance(binding, Open) and name not in known and scope.find(name) is binding:
                    known[name] = binding.binding
                    order[name] = -depth
            depth += 1
            level = level.parent
        needed: set[str] = set()
        pending = [expr]
        while pending:
            for name in _mentioned(pending.pop()):
                if name in known and name not in needed:
                    needed.add(name)
                    pending.append(known[name].value)
        return [known[name] for name in sorted(needed, key=lambda name: order[name])]

    def opened(self, expr: syntax.Expr, scope: Scope, number: Mapping[str, Binding], step: Step | None) -> Scope:
        """``scope`` at a number of a range, with the names that ``expr`` needs and that depend on the number."""
        inner = scope.inner(number, step)
        for binding in self._open_names(expr, scope):
            if binding.target.entries is None:
                inner = self.run.locals((binding,), inner)
                self._opened[inner] = binding
        return inner

    def at(self, found: Open, position: Dim, scope: Scope) -> Value:
        """``S[j+1]`` by its definition ``S[j] = …``."""
        target = found.binding.target
        variable = target.entries[0] if target.entries is not None and len(target.entries) == 1 else None
        if not isinstance(variable, syntax.Name):
            self.run.problems.unsupported(f"{target.span.text} as a name of a derivation", target.span, "write S[j] = …")
        level: Scope | None = scope
        while level is not None and level.bindings.get(target.name.text) is not found:
            level = level.parent
        there = Scope(self.run, {}, level, steps=scope.steps)  # names of the line that defines it, not of that which uses it
        inner = self.opened(found.binding.value, there, {variable.text: Quantity(position)}, None)
        return self.run.evaluate(found.binding.value, inner)

    def lost(self, name: str) -> None:
        """A name whose meaning could not be found out: what uses it is passed over in silence."""
        self.scope.bindings[name] = Failed()

    def vary(self, references: Iterable[syntax.Reference]) -> None:
        """Choose what ``d`` varies."""
        found: list[Variable] = []
        for reference in references:
            for key, value in self._members(reference, self.scope):
                argument = key[0] in self.run.declarations.arguments
                if value.node.dtype != "real":
                    self.run.problems.error(f"{_text(key)} holds integers, and does not vary", reference.span)
                name = value.node.name if argument and isinstance(value.node, Tensor) else _text(key)
                found.append(Variable(key, value, Tensor(f"d{name}", value.node.shape), argument))
        self.variables = tuple(found)

    def _members(self, reference: syntax.Reference, scope: Scope) -> list[tuple[Member, Value]]:
        """What a name behind ``wrt`` stands for: a tensor, or the members of a family."""
        name = reference.name.text
        problems = self.run.problems
        found = scope.get(name, reference.name.span)
        if isinstance(found, Family):
            if reference.entries is None:
                members = [((name, k), found.members[k]) for k in sorted(found.members)]
            else:
                number = integer(reference.entries[0], scope) if len(reference.entries) == 1 else None
                if number is None or number not in found.members:
                    problems.error(f"no single member of {name}: {reference.span.text}", reference.span)
                members = [((name, number), found.members[number])]
            if any(isinstance(value, Failed) for _, value in members):
                raise Abort
            return [(key, value) for key, value in members if isinstance(value, Value)]
        if reference.entries is not None:
            problems.unsupported(f"a derivation by a part of a tensor: {reference.span.text}", reference.span)
        if isinstance(found, Steps):
            return [((name, None), found.stacked)]
        if isinstance(found, Value):
            return [((name, None), found)]
        problems.error(f"{name} is no tensor to differentiate by", reference.span)

    # ------------------------------------------------------------------------------------------- differentials
    def named(self, name: str, scope: Scope) -> Binding | None:
        """``dX``, where X is a tensor, the steps of a recurrence or a family; None when it is none of these."""
        base = name[1:]
        if not name.startswith("d") or not base:
            return None
        found = scope.find(base)
        if isinstance(found, Family):
            members = {k: self._of_member((base, k), scope) for k in sorted(found.members)}
            if not any(isinstance(m, Value) for m in members.values()):
                return self._fail(name)
            return Family(name, {k: self._or_zero(m, found.members[k], base) for k, m in members.items()})
        if isinstance(found, Steps):
            stacked = self._of_name((base, None), scope)
            if stacked is None:
                return self._fail(name)
            starts = [(at, self._of_start(value)) for at, value in found.starts]
            return Steps(name, found.first, found.last, stacked, tuple(starts))
        if isinstance(found, Value):
            return self._of_name((base, None), scope) or self._fail(name)
        return found if isinstance(found, Failed) else None

    def _or_zero(self, differential: Value | Failed, member: Value | Failed, base: str) -> Value | Failed:
        """0 for a constant member of definitions others of which vary, such as Z[0] = X."""
        if isinstance(differential, Value) or isinstance(member, Failed) or base in self.run.declarations.arguments:
            return differential
        return Value(build.zeros(member.node.shape), member.rows)

    def _fail(self, name: str) -> Failed:
        self._constant.add(name)
        return Failed()

    def explain(self, name: str, span: Span) -> None:
        """Say why the differential ``name`` has no value, if that is why a look-up failed."""
        if name in self._constant and name not in self.scope.bindings:
            varied = ", ".join(_text(variable.key) for variable in self.variables) or "nothing"
            self.run.problems.record(
                f"{name} is the differential of a constant", span, f"{varied} varies here; name {name[1:]} behind `wrt`"
            )

    def _of_member(self, key: Member, scope: Scope) -> Value | Failed:
        return self._of_name(key, scope) or Failed()

    def _of_name(self, key: Member, scope: Scope) -> Value | None:
        own = next((v for v in self.variables if v.key == key), None)
        if own is not None and self._is_of_file(key[0], scope):
            return Value(own.tangent, own.point.rows)
        name, number = key
        span = self.run.declarations.names.get(name, syntax.NOWHERE)
        body: syntax.Expr = syntax.Name(name, span)
        if number is not None:
            body = syntax.Index(body, (syntax.integer(number, span),), span)
        return self._vary(body, self.variables, scope, span)

    def _of_start(self, start: Value) -> Value:
        leaves = [v for v in self.variables if v.argument]
        pairs = [(v, self.run.placeholder("v", v.point.node)) for v in leaves]
        (output,) = substitute((start.node,), {v.point.node: p for v, p in pairs})
        made = _differential(output, pairs)
        return Value(build.zeros(start.node.shape) if made is None else made, start.rows)

    def of(
        self, body: syntax.Expr, wrt: tuple[syntax.Reference, ...] | None, scope: Scope, span: Span
    ) -> Value:
        """``d(…)`` of all that varies, ``d[W,b](…)`` of the named ones."""
        if wrt is not None and any(self._is_step(reference, scope) for reference in wrt):
            return self._of_step(body, wrt, scope, span)
        variables = self.variables if wrt is None else tuple(v for r in wrt for v in self._variables(r, scope))
        found = self._vary(body, variables, scope, span)
        if found is None:
            self.run.problems.error(
                f"{span.text} is the differential of a constant", span, "it is 0: leave it out, or write a bare 0"
            )
        return found

    def _is_step(self, reference: syntax.Reference, scope: Scope) -> bool:
        return bool(reference.entries) and isinstance(scope.find(reference.name.text), Steps)

    def _of_step(self, body: syntax.Expr, wrt: tuple[syntax.Reference, ...], scope: Scope, span: Span) -> Value:
        """``d[A[t]](…)``: one step of a range varies, and what depends on it."""
        if len(wrt) != 1 or wrt[0].entries is None or len(wrt[0].entries) != 1:
            self.run.problems.unsupported("a differential by a step and other names", span, "write one for each, and add them")
        (reference,) = wrt
        found = scope.get(reference.name.text, reference.name.span)
        assert isinstance(found, Steps)
        bump = Bump(found.name, found, dimension(wrt[0].entries[0], scope), scope)
        output = self.run.evaluate(body, self.cut({}, body, scope, span, bump))
        made = bump.differential(output.node, tangent_of(bump, reference), span)
        if made is None:
            self.run.problems.error(
                f"{span.text} is the differential of a constant", span, f"{body.span.text} does not use {reference.span.text}"
            )
        return Value(made, output.rows)

    def _variables(self, reference: syntax.Reference, scope: Scope) -> list[Variable]:
        found = []
        for key, value in self._members(reference, scope):
            own = next((v for v in self.variables if v.key == key), None)
            if own is not None and self._is_of_file(key[0], scope):
                found.append(own)
                continue
            name = syntax.Name(f"d{key[0]}", reference.span)
            body: syntax.Expr = name
            if key[1] is not None:
                body = syntax.Index(name, (syntax.integer(key[1], reference.span),), reference.span)
            tangent = self.run.evaluate(body, scope)
            found.append(Variable(key, value, tangent.node, key[0] in self.run.declarations.arguments))
        return found

    def _vary(self, body: syntax.Expr, variables: Sequence[Variable], scope: Scope, span: Span) -> Value | None:
        """The differential of an expression, or None when it does not depend on what varies."""
        pairs = [(v, self.run.placeholder("v", v.point.node)) for v in variables]
        cut = {v.key: Value(p, v.point.rows) for v, p in pairs if not v.argument}
        inner = self.cut(cut, body, scope, span) if cut else scope
        value = self.run.evaluate(body, inner)
        leaves: dict[Node, Node] = {v.point.node: p for v, p in pairs if v.argument}
        (output,) = substitute((value.node,), leaves)
        sliced = self._sliced(output, pairs, leaves, inner)
        if sliced:
            (output,) = substitute((output,), {placeholder: variable for placeholder, variable, _ in sliced})
            used = [(v.point.node, p, v.tangent) for v, p in pairs if p in set(tensors([output]))]
            points, wrt, tangents = zip(*used, *sliced, strict=True)
            return Value(Differential(output, tuple(wrt), tuple(points), tuple(tangents)), value.rows)
        output, known = self._known(output, pairs)
        made = _differential(output, known)
        return None if made is None else Value(made, value.rows)

    def _sliced(
        self,
        output: Node,
        pairs: Sequence[tuple[Variable, Tensor]],
        leaves: Mapping[Node, Node],
        scope: Scope,
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Slices of open ranges that vary: each with a variable for it, and the slice of its source's differential."""
        held = set(tensors([output]))
        found = []
        for step in scope.steps:
            for placeholder, source in tuple(step.slices.items()):
                if placeholder not in held:
                    continue
                (moved,) = substitute((source,), leaves)
                tangent = _differential(moved, pairs)
                if tangent is not None:
                    assert isinstance(placeholder, Tensor)
                    found.append((placeholder, self.run.placeholder("v", placeholder), step.slice_of(tangent)))
        return found

    def _known(
        self, output: Node, pairs: Sequence[tuple[Variable, Tensor]]
    ) -> tuple[Node, Sequence[tuple[Variable, Tensor]]]:
        """One placeholder for each variable, so that equal differentials are one node; not inside another one."""
        if any(isinstance(node, Differential) for node in topological([output])):
            return output, pairs
        known = [(v, self._placeholders.setdefault((v.key, v.point.node), p)) for v, p in pairs]
        (renamed,) = substitute((output,), {p: q for (_, p), (_, q) in zip(pairs, known, strict=True)})
        return renamed, known

    def _is_of_file(self, name: str, scope: Scope) -> bool:
        """Whether ``name`` is that of the file here, not a local one."""
        level: Scope | None = scope
        while level is not None and level is not level.file:
            if name in level.bindings:
                return False
            level = level.parent
        return True

    # ------------------------------------------------------------------------------------------- cutting
    def owns(self, name: str, scope: Scope) -> bool:
        """Whether ``name`` is a name of this block or a definition of its file, which :meth:`cut` defines anew."""
        below = True
        level: Scope | None = scope
        while level is not None:
            if any(level is known for known in self._levels):
                below = False
            if name in level.bindings:
                own = any(level is known for known in self._levels)
                return own or (not below and name not in self.run.declarations.arguments)
            level = level.parent
        return False

    def cut(
        self, cut: Mapping[Member, Value], body: syntax.Expr, scope: Scope, span: Span, bump: Bump | None = None
    ) -> Scope:
        """The scope in which some names, or one step, are variables, with what depends on them defined anew."""
        above: list[Scope] = []
        level: Scope | None = scope
        while level is not None and not any(level is known for known in self._levels):
            above.append(level)
            level = level.parent
        if level is None:
            self.run.problems.unsupported("a derivative by a defined name inside another one, or inside a range", span)
        count = next(k for k, known in enumerate(self._levels) if known is level)
        visible = {local.name: k for k, local in enumerate(self._locals[:count])}
        needed = self._needed(body, visible)
        self._no_differentials([body, *(x.binding.value for x in self._locals[:count] if x.name in needed)], span)
        own = {name for name, _ in cut if name in visible}
        file = self._cut_file({key: value for key, value in cut.items() if key[0] not in own}, body, scope, count, bump)
        current = file.inner({})
        for k, local in enumerate(self._locals[:count]):
            if local.name in own and visible[local.name] == k:
                current = current.inner({local.name: cut[(local.name, None)]})
            elif local.name in needed:
                current = self.run.locals((local.binding,), current)
            else:
                current = current.inner(self._levels[k + 1].bindings)
        for inner in reversed(above):
            if inner in self._opened:
                current = self.run.locals((self._opened[inner],), current)
                continue
            current = Scope(self.run, inner.bindings, current, file=file, steps=inner.steps)
        return current

    def _needed(self, body: syntax.Expr, visible: Mapping[str, int]) -> set[str]:
        found: set[str] = set()
        pending = [body]
        while pending:
            for name in _mentioned(pending.pop()):
                if name in visible and name not in found:
                    found.add(name)
                    pending += [local.binding.value for local in self._locals if local.name == name]
        return found

    def _no_differentials(self, bodies: Sequence[syntax.Expr], span: Span) -> None:
        """A differential inside what is cut would have to be cut as well."""
        declared = {*self.run.declarations.names, *(local.name for local in self._locals)}
        for body in bodies:
            for node in syntax.walk(body):
                if isinstance(node, syntax.Name) and node.text not in declared and node.text[1:] in declared:
                    if node.text.startswith("d"):
                        self.run.problems.unsupported(f"{node.text} inside a derivative by a defined name", span)

    def _cut_file(
        self, cut: Mapping[Member, Value], body: syntax.Expr, scope: Scope, count: int, bump: Bump | None
    ) -> Scope:
        bindings: dict[str, Binding] = {}
        for (name, number), value in cut.items():
            found = bindings.get(name) or self.file.find(name)
            if isinstance(found, Family):
                assert number is not None
                bindings[name] = Family(found.name, {**found.members, number: value})
            elif isinstance(found, Steps):
                bindings[name] = Steps(found.name, found.first, found.last, value, found.starts)
            else:
                bindings[name] = value
        file = Scope(self.run, bindings, self.file, steps=())
        file.file = file
        keys: list[Key] = [name if number is None else (name, number) for name, number in cut]
        bodies = [body, *(local.binding.value for local in self._locals[:count])]
        order = self.run.order
        units = {unit for key in keys for each in bodies for unit in order.between(key, each, scope)}
        for unit in sorted(units):
            self.run.define(unit, file)
        if bump is not None:
            bump.install(file, bodies, scope)
        return file


def _differential(output: Node, pairs: Sequence[tuple[Variable, Tensor]]) -> Node | None:
    held = set(tensors([output]))
    used = [(v, p) for v, p in pairs if p in held]
    if not used:
        return None
    return Differential(output, tuple(p for _, p in used), tuple(v.point.node for v, _ in used), tuple(v.tangent for v, _ in used))


def _mentioned(body: syntax.Expr) -> set[str]:
    """Names that an expression may need, those of its differentials included."""
    found: set[str] = set()
    for node in syntax.walk(body):
        if isinstance(node, syntax.Name):
            found |= {node.text, node.base, node.text.removeprefix("d")}
    return found


def _text(key: Member) -> str:
    return key[0] if key[1] is None else f"{key[0]}[{key[1]}]"
