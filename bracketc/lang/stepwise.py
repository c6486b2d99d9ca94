"""Derivatives by one step of a range: ``∇[A[t]](J)``, where A[t] is a variable and later steps depend on it.

Two ways lead there. What is defined near the step is read off the definitions with a variable in its place:

    ∇[A[t]](A[t+1])  with  A[t] = Z[t-1] @ W, Z[t] = f(A[t])   ->   A[t+1] as f(%v) @ W

What depends on all steps is elaborated anew with a number added to every one of them, and differentiated by these
numbers at 0, so that a recurrence stays one and no step is written out:

    ∇[A[t]](J)   ->   slice t of the derivative of J by %E, where A[t] = Z[t-1] @ W + %E[t]
"""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Derivative, Differential, Node, Tensor
from bracketc.ir.rewrite import substitute, tensors
from bracketc.lang import syntax
from bracketc.lang.bodies import body_value
from bracketc.lang.declarations import step_range
from bracketc.lang.indexing import step_of
from bracketc.lang.recurrences import DEEPEST
from bracketc.lang.scope import Scope
from bracketc.lang.steps import Step, take
from bracketc.lang.values import Quantity, Steps, Value, closed


class Bump:
    """One step of a name made a variable: ``name[position]``, read in ``scope``."""

    __slots__ = ("_known", "added", "backwards", "found", "name", "position", "scope", "unit", "variable")

    def __init__(self, name: str, found: Steps, position: Dim, scope: Scope) -> None:
        run = scope.run
        self.name = name
        self.found = found
        self.position = run.sizes.resolve(position)
        self.scope = scope
        self.unit = run.order.units[run.order.place[name]]
        self.backwards = runs_backwards(name, scope)
        self.added = run.placeholder("e", found.stacked.node)
        self.variable = run.placeholder("p", found.stacked.node, 1)
        self._known: dict[tuple[str, Dim], Value] = {}

    def install(self, file: Scope, bodies: Sequence[syntax.Expr], scope: Scope) -> None:
        """Define in ``file`` what ``bodies`` need of the steps: with a number added, and near the step by their bodies."""
        run = self.scope.run
        units = {unit for body in bodies for key in self.unit.keys for unit in run.order.between(key, body, scope)}
        before, run.bumps = run.bumps, {self.name: self.added}
        try:
            for unit in sorted({run.order.place[self.name], *units}):
                run.define(unit, file)
        finally:
            run.bumps = before
        for name, binding in file.bindings.items():
            if isinstance(binding, Steps):
                known = run.order.units[run.order.place[name]]
                if known is self.unit or not known.cyclic:
                    file.bindings[name] = Steps(
                        name, binding.first, binding.last, binding.stacked, binding.starts, _Near(self, name, file)
                    )

    def near(self, name: str, position: Dim, file: Scope, scope: Scope) -> Value | None:
        """``name[position]`` by its definition; None where that does not lead to the variable."""
        run = self.scope.run
        distance = (position - self.position).constant
        if distance is None or abs(distance) > DEEPEST:
            return None
        if name == self.name and distance == 0:
            return Value(self.variable, self.found.stacked.rows[1:])
        if name in self.unit.keys:
            before = distance > 0 if self.backwards else distance < 0
            if before or (name == self.name and not self.unit.cyclic):
                original = self.scope.file.find(name)
                assert isinstance(original, Steps)
                return step_of(original, position, scope, run.declarations.names[name])
        key = (name, position)
        if key not in self._known:
            statement = run.declarations.definitions[name].step
            assert statement is not None and statement.target.entries
            counted = step_range(statement)
            assert counted is not None
            level = Scope(run, {counted.variable.text: Quantity(position)}, file, file=file, steps=scope.steps)
            inner = run.locals(statement.where, level)
            self._known[key] = body_value(statement, None, statement.target.entries[1:] or None, inner)
        return self._known[key]

    # ------------------------------------------------------------------------------------------- results
    def point(self, span: Span) -> Value:
        """The step itself."""
        return step_of(self.found, self.position, self.scope, span)

    def derivative(self, output: Node, layout: str, span: Span) -> Node | None:
        """All partial derivatives of ``output`` by the step; None when it does not depend on it."""
        held = set(tensors([output]))
        if not self._matters(held):
            return None
        if self.variable not in held and not any(tensor in held for step in self.scope.steps for tensor in step.slices):
            whole = Derivative(output, self.added, build.zeros(self.added.shape), layout)
            return self._slice(whole, output.rank if layout == "jacobian" else 0, span)
        return Derivative(self._whole(output, span), self.variable, self.point(span).node, layout)

    def differential(self, output: Node, tangent: Node, span: Span) -> Node | None:
        """The differential of ``output`` where the step alone varies."""
        held = set(tensors([output]))
        if not self._matters(held):
            return None
        if self.variable in held or self._moved(held):
            return Differential(self._whole(output, span), (self.variable,), (self.point(span).node,), (tangent,))
        slope = self.derivative(output, "jacobian", span)
        assert slope is not None
        axes = range(slope.rank)
        return build.einsum(1, [(slope, axes), (tangent, axes[output.rank :])], axes[: output.rank])

    def _matters(self, held: set[Tensor]) -> bool:
        """Whether an expression that holds these tensors depends on the step."""
        return self.added in held or self.variable in held or bool(self._moved(held))

    def _moved(self, held: set[Tensor]) -> list[tuple[Step, Tensor, Node]]:
        """Slices of open ranges, among those held, whose sources depend on what is added to the steps."""
        return [
            (step, placeholder, source)
            for step in self.scope.steps
            for placeholder, source in step.slices.items()
            if isinstance(placeholder, Tensor) and placeholder in held and self.added in set(tensors([source]))
        ]

    def _whole(self, output: Node, span: Span) -> Node:
        """``output`` with what is added to all steps in terms of the variable: it is 0 but at one step."""
        held = set(tensors([output]))
        moved = self._moved(held)
        if self.added not in held and not moved:
            return output
        excess = build.subtract(self.variable, self.point(span).node)
        length = self.added.shape[0]
        picked = take(build.delta(length), 0, self.position - self.found.first, (), (), self.scope, span)
        axes = range(1, self.added.rank)
        spread = build.einsum(1, [(picked, (0,)), (excess, axes)], range(self.added.rank))
        replaced: dict[Node, Node] = {self.added: spread}
        for step, placeholder, source in moved:  # the step of a whole that depends on the variable: picked, for it is no slice
            here = step.slice(build.delta(step.extent), 0, 1, Dim.of(0) - step.first, (), ())
            (inner,) = substitute((source,), {self.added: spread})
            rest = range(1, inner.rank)
            replaced[placeholder] = build.einsum(1, [(here, (0,)), (inner, range(inner.rank))], rest)
        return substitute((output,), replaced)[0]

    def _slice(self, whole: Node, axis: int, span: Span) -> Node:
        """The derivative by this step from that by all; behind the last one there is none, and so 0."""
        last, first = self.found.last, self.found.first
        ends = [self.position]
        for step in self.scope.steps:
            if step.name in self.position.names:
                ends = [self.position.substitute({step.name: end}) for end in (step.first, step.last)]
        if self.backwards:
            beyond = max([0, *((first - end).constant or 0 for end in ends)])
        else:
            beyond = max([0, *((end - last).constant or 0 for end in ends)])
        shift = Dim.of(beyond if self.backwards else 0)
        if beyond:
            whole = build.overlap(whole, axis, shift, (1,), last - first + 1 + beyond)
        return take(whole, axis, self.position - first + shift, (), (), self.scope, span)


class _Near:
    """The way from a step to its definition, for :class:`~bracketc.lang.values.Steps`."""

    __slots__ = ("_bump", "_file", "_name")

    def __init__(self, bump: Bump, name: str, file: Scope) -> None:
        self._bump, self._name, self._file = bump, name, file

    def __call__(self, position: Dim, scope: Scope) -> Value | None:
        return self._bump.near(self._name, position, self._file, scope)


def runs_backwards(name: str, scope: Scope) -> bool:
    """Whether the steps of ``name`` go from the last to the first: start values stand behind them."""
    order = scope.run.order
    for key in order.units[order.place[name]].keys:
        found = scope.file.find(key) if isinstance(key, str) else None
        if isinstance(found, Steps) and any(((at - found.last).constant or 0) > 0 for at, _ in found.starts):
            return True
    return False


def is_beyond(found: Steps, position: Dim, backwards: bool) -> bool:
    """Whether ``position`` lies behind the last step, where no step is."""
    distance = (found.first - position if backwards else position - found.last).constant
    return distance is not None and distance > 0


def by_step(expr: syntax.Derivative, bump: Bump, inner: Scope) -> Value:
    """``∇[A[t]](body)`` with the body read in ``inner``, where ``bump`` is installed."""
    layout = {"∇": "gradient", "Jac": "jacobian"}[expr.operator]
    output = bump.scope.run.evaluate(expr.body, inner)
    made = bump.derivative(output.node, layout, expr.span)
    if made is not None:
        return closed(made)
    if is_beyond(bump.found, bump.position, bump.backwards):
        step = bump.variable.shape
        shape = (*step, *output.node.shape) if layout == "gradient" else (*output.node.shape, *step)
        return closed(build.zeros(shape))
    name = f"{bump.name}[{expr.wrt[0].span.text.partition('[')[2]}"
    bump.scope.run.problems.error(f"{expr.body.span.text} does not use {name}, so the derivative by it is 0", expr.span)


def tangent_of(bump: Bump, reference: syntax.Reference) -> Node:
    """``dA[t]``."""
    name = syntax.Name(f"d{bump.name}", reference.name.span)
    assert reference.entries is not None
    return bump.scope.run.evaluate(syntax.Index(name, reference.entries, reference.span), bump.scope).node



