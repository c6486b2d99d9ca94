"""``Z[t] = … Z[t-1] … for t = 1..T``: names that are defined step by step, alone or together.

What needs no other step is one batched computation.  What does becomes a loop: the values of earlier steps are carried,
``Z[t-2]`` as the ``Z[t-1]`` of a step ago, and slices of other tensors come in step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Body,
    Delta,
    Derivative,
    Differential,
    Einsum,
    Literal,
    Node,
    Range,
    Recurrence,
    Size,
    Tensor,
)
from bracketc.ir.rewrite import Roots, depends_on, map_nodes, topological
from bracketc.lang import syntax
from bracketc.lang.bodies import body_value, note
from bracketc.lang.declarations import Defined, step_range
from bracketc.lang.entries import dimension, polynomial, quantity
from bracketc.lang.problems import Abort
from bracketc.lang.scope import Elaboration, Scope
from bracketc.lang.steps import Step, open_range
from bracketc.lang.term import unify
from bracketc.lang.values import Failed, Quantity, Running, Steps, Value, kind_of, retyped

DEEPEST = 64
"""How many steps back a step may reach."""


def define_steps(names: Sequence[str], scope: Scope, cyclic: bool) -> None:
    """Bind the names of a unit of step definitions; errors are recorded."""
    try:
        found = _Group(names, scope).define(cyclic)
    except Abort:
        scope.bindings.update(dict.fromkeys(names, Failed()))
        return
    scope.bindings.update(found)


class _Group:
    """Step definitions that need one another."""

    __slots__ = ("depths", "forward", "names", "run", "scope", "starts", "statements", "step")

    def __init__(self, names: Sequence[str], scope: Scope) -> None:
        self.names = tuple(names)
        self.scope = scope
        self.run = scope.run
        defined = {name: self.run.declarations.definitions[name] for name in names}
        self.statements = {name: _statement(d) for name, d in defined.items()}
        self.step = self._common_range()
        self.starts = self._start_values(defined)
        self.forward = True
        self.depths: dict[str, int] = dict.fromkeys(names, 0)

    def define(self, cyclic: bool) -> dict[str, Steps]:
        order = self._offsets() if cyclic else self.names
        carries: list[tuple[str, int, Tensor, Node]] = []
        running: dict[str, dict[int, Value]] = {name: {} for name in self.names}
        for name in self.names:
            for distance in range(1, self.depths[name] + 1):
                start = self._start(name, distance)
                carried = self.run.placeholder("c", start.node)
                carries.append((name, distance, carried, start.node))
                running[name][-distance if self.forward else distance] = Value(carried, start.rows)
        bindings = {name: Running(name, self.step.variable, running[name], self.starts[name]) for name in self.names}
        file = self.scope.inner(bindings)
        values = {}
        for name in order:
            values[name] = running[name][0] = self._value(name, file)
            self._origin(name, values[name])
        if not carries:
            stacked = [Value(self.step.close(values[n].node), (False, *values[n].rows)) for n in self.names]
        else:
            nodes = self._loop(carries, values)
            stacked = [Value(node, (False, *values[n].rows)) for n, node in zip(self.names, nodes, strict=True)]
        first, last = self.run.sizes.resolve(self.step.first), self.run.sizes.resolve(self.step.last)
        return {
            name: Steps(name, first, last, value, self.starts[name])
            for name, value in zip(self.names, stacked, strict=True)
        }

    # ------------------------------------------------------------------------------------------- ranges, starts
    def _common_range(self) -> Step:
        name = self.names[0]
        counted = step_range(self.statements[name])
        assert counted is not None
        step = open_range(counted.first, counted.last, self.scope)
        for other in self.names[1:]:
            there = step_range(self.statements[other])
            assert there is not None
            low, high = dimension(there.first, self.scope), dimension(there.last, self.scope)
            if {low, high} != {step.first, step.last}:
                self.run.problems.unsupported(
                    f"{name} and {other} recur together over different ranges", there.span, "give them one range"
                )
        return step

    def _start_values(self, defined: dict[str, Defined]) -> dict[str, tuple[tuple[Dim, Value], ...]]:
        found: dict[str, tuple[tuple[Dim, Value], ...]] = {}
        hidden = self.scope.inner({n: Running(n, self.step.variable, {}, ()) for n in self.names})
        for name in self.names:
            pairs: list[tuple[Dim, Value]] = []
            for statement in defined[name].starts:
                entries = statement.target.entries
                assert entries
                inner = self.run.locals(statement.where, hidden)
                value = body_value(statement, None, entries[1:] or None, inner)
                position = dimension(entries[0], self.scope)
                self._not_a_step(name, position, statement.target.span)
                pairs.append((position, value))
                note(value, statement.target.span.text, statement.target.span, self.scope)
            found[name] = tuple(pairs)
        return found

    def _not_a_step(self, name: str, position: Dim, span: Span) -> None:
        after, before = (position - self.step.first).constant, (self.step.last - position).constant
        if (after is not None and after >= 0) and (before is not None and before >= 0):
            self.run.problems.error(
                f"{name}[{position}] is a start value and one of the steps {self.step.first}..{self.step.last}",
                span,
                "let the range begin behind the start values",
            )

    def _start(self, name: str, distance: int) -> Value:
        position = self.step.first - distance if self.forward else self.step.last + distance
        found = next((value for at, value in self.starts[name] if at is position), None)
        if found is None:
            back = f"t-{distance}" if self.forward else f"t+{distance}"
            end = self.step.first if self.forward else self.step.last
            self.run.problems.error(
                f"{name}[{back}] at t = {end} needs the start value {name}[{position}], which is not defined",
                self.statements[name].target.span,
                f"add a line {name}[{position}] = …",
            )
        return found

    # ------------------------------------------------------------------------------------------- offsets
    def _offsets(self) -> tuple[str, ...]:
        """How far each name is reached back, in which direction; gives the order of the names within a step."""
        same: dict[str, set[str]] = {name: set() for name in self.names}
        signs: dict[int, Span] = {}
        for name in self.names:
            statement = self.statements[name]
            counted = step_range(statement)
            assert counted is not None
            inner = self.scope.inner({counted.variable.text: Quantity(self.step.variable)})
            for body in (statement.body, *(binding.value for binding in statement.where)):
                for node in syntax.walk(body):
                    if not isinstance(node, syntax.Index) or not isinstance(node.operand, syntax.Name):
                        continue
                    other = node.operand.text
                    if other not in same:
                        continue
                    position = polynomial(node.entries[0], partial(quantity, scope=inner))
                    offset = None if position is None else (position - self.step.variable).constant
                    if offset is None:
                        continue
                    if offset == 0:
                        same[name].add(other)
                        continue
                    if abs(offset) > DEEPEST:
                        self.run.problems.unsupported(f"a step that reaches {abs(offset)} steps back", node.span)
                    signs.setdefault(1 if offset > 0 else -1, node.span)
                    self.depths[other] = max(self.depths[other], abs(offset))
        if len(signs) == 2:
            self.run.problems.error(
                f"circular definition of {self.names[0]}: its steps need steps before and after them",
                signs[1],
                "a recurrence reaches in one direction",
                [("the other direction", signs[-1])],
            )
        self.forward = 1 not in signs
        order: list[str] = []
        while len(order) < len(self.names):
            ready = [n for n in self.names if n not in order and same[n] <= set(order)]
            if not ready:
                left = [n for n in self.names if n not in order]
                cycle = ", ".join(f"{n}[t]" for n in (*left[1:], left[0]))
                self.run.problems.error(
                    f"circular definition of {left[0]}[t]: it needs {cycle}",
                    self.statements[left[0]].target.span,
                    "a step may need earlier steps, such as Z[t-1]",
                )
            order += ready
        return tuple(order)

    # ------------------------------------------------------------------------------------------- bodies
    def _value(self, name: str, file: Scope) -> Value:
        statement = self.statements[name]
        entries = statement.target.entries
        assert entries and isinstance(entries[0], syntax.Name)
        inner = self.run.locals(statement.where, file.inner({entries[0].text: Quantity(self.step.variable)}, self.step))
        value = body_value(statement, None, entries[1:] or None, inner)
        bump = self.run.bumps.get(name)
        if bump is not None:  # a derivative by these steps adds a variable to each
            added = self.step.slice(bump, 0, 1, Dim.of(0) - self.step.first, (), ())
            value = Value(build.add([value.node, retyped(added, value.node.shape)]), value.rows)
        for position, start in self.starts[name]:
            if start.rank != value.rank:
                self.run.problems.error(
                    f"{name}[{position}] is {kind_of(start.rank)}, and the steps of {name} are {kind_of(value.rank)}",
                    statement.target.span,
                    "start values have the shape of the steps",
                )
            for left, right in zip(start.node.shape, value.node.shape, strict=True):
                place = statement.target.span
                unify(self.run, (left, place), (right, place), f"{name}[{position}] and the steps of {name}", place)
        return value

    def _origin(self, name: str, value: Value) -> None:
        note(value, f"{name}[t]", self.statements[name].target.span, self.scope)

    def _loop(self, carries: list[tuple[str, int, Tensor, Node]], values: dict[str, Value]) -> list[Node]:
        shift = {(name, distance): carried for name, distance, carried, _ in carries}
        results: list[Node] = []
        for name, distance, carried, _ in carries:
            new = values[name].node if distance == 1 else shift[(name, distance - 1)]
            results.append(retyped(new, carried.shape))
        results += [values[name].node for name in self.names]
        loop = close_loop(
            self.run, self.step, [c for _, _, c, _ in carries], [s for *_, s in carries], results, not self.forward
        )
        return [build.project(loop, len(carries) + k) for k in range(len(self.names))]


def close_loop(
    run: Elaboration,
    step: Step,
    carried: Sequence[Tensor],
    starts: Sequence[Node],
    results: Sequence[Node],
    reverse: bool,
) -> Recurrence:
    """The loop of ``results``: new states, then values of a step.

    What does not depend on the step is computed once outside and comes in as a constant.
    """
    bound: list[Tensor] = []
    for node in topological(results):
        if isinstance(node, Derivative):
            bound.append(node.wrt)
        elif isinstance(node, Differential):
            bound += node.wrt
    inside = depends_on(results, [*carried, *step.slices, *bound])
    used = topological(results)
    present = set(used)
    slices = [tensor for tensor in step.slices if tensor in present]
    consts: dict[Node, Tensor] = {}
    for node in results:
        _hoist(node, inside, consts, run)
    for node in used:
        if node in inside:
            for operand in node.operands:
                _hoist(operand, inside, consts, run)
    parameters: list[Tensor] = []
    values: dict[Node, Node] = {}
    for old, like in (*((c, c) for c in carried), *((s, s) for s in slices), *consts.items()):
        bound_of = like.bound if isinstance(like, Tensor) else None
        new = Tensor(f"%{len(parameters)}", like.shape, like.dtype, (), bound_of)
        parameters.append(new)
        values[old] = new

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        return node if operands == node.operands else node.rebuild(operands)

    body = Body(tuple(parameters), map_nodes(Roots(tuple(results)), visit, values)[0].nodes)
    sources = tuple(step.slices[tensor] for tensor in slices)
    return Recurrence(body, step.extent, tuple(starts), sources, tuple(consts), reverse)


def _hoist(node: Node, inside: set[Node], consts: dict[Node, Tensor], run: Elaboration) -> None:
    """Make ``node`` a constant of the loop, unless it belongs to the step or costs nothing."""
    if node in inside or node in consts or isinstance(node, Literal | Size | Range | Delta):
        return
    if isinstance(node, Einsum) and not node.factors:
        return
    consts[node] = run.placeholder("k", node)


def _statement(defined: Defined) -> syntax.Definition:
    assert defined.step is not None
    return defined.step
