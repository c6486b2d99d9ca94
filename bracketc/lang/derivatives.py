"""Derivatives as expressions: ``∇s^P(A)``, ``Jac s^P(A)``, ``∇[W](J)``, ``Jac[W](h)``.

They become :class:`~bracketc.ir.nodes.Derivative` nodes, which calculus expands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.batch import batch
from bracketc.ir.nodes import Derivative, Node, Tensor
from bracketc.ir.rewrite import substitute, tensors
from bracketc.lang import syntax
from bracketc.lang.entries import dimension, integer
from bracketc.lang.functions import _check as check_function
from bracketc.lang.functions import apply, split
from bracketc.lang.scope import Scope
from bracketc.lang.stepwise import Bump, by_step
from bracketc.lang.values import Binding, Family, Quantity, Steps, Value, closed

LAYOUTS = {"∇": "gradient", "Jac": "jacobian"}
"""∇: inputs, then outputs; Jac: outputs, then inputs."""


def of_function(expr: syntax.FunctionDerivative, scope: Scope) -> Value:
    """``∇s^P(A)``: the derivative of a function at every sub-tensor with the positions P fixed."""
    check_function(expr.function, syntax.Call(expr.function, expr.positions, expr.arguments, expr.span), scope)
    problems = scope.run.problems
    values = problems.each(expr.arguments, lambda argument: scope.run.evaluate(argument, scope))
    if len(values) != 1:
        problems.unsupported(
            f"{expr.operator} of a function of {len(values)} arguments", expr.span, f"write {expr.operator}[x](f(x, y))"
        )
    value, place = values[0], expr.arguments[0].span
    node, lead = (value.node, 0)
    if expr.positions is not None:
        node, lead = split(expr.positions, value, expr.function.text, scope)
    wrt = scope.run.placeholder("p", node, lead)
    output = apply(expr.function, [(closed(wrt), place)], 0, scope, expr.span)
    layout = LAYOUTS[expr.operator]
    if lead == 0:
        return closed(Derivative(output.node, wrt, node, layout))
    entry = scope.run.placeholder("m", node, lead)
    (whole,) = batch((Derivative(output.node, wrt, entry, layout),), {entry: node}, node.shape[:lead])
    return closed(whole)


def of_expression(expr: syntax.Derivative, scope: Scope) -> Value:
    """``∇[W](J)``: all else is constant; a defined name is cut from its definition."""
    problems = scope.run.problems
    if len(expr.wrt) != 1:
        problems.error(
            f"{expr.operator}[…] by {len(expr.wrt)} names is no single tensor",
            expr.span,
            f"write one after the other: {expr.operator}[{expr.wrt[0].span.text}](…)",
        )
    (reference,) = expr.wrt
    name = reference.name.text
    found = scope.get(name, reference.name.span)
    number: int | None = None
    if isinstance(found, Family):
        number = integer(reference.entries[0], scope) if reference.entries and len(reference.entries) == 1 else None
        member = found.members.get(number) if number is not None else None
        if not isinstance(member, Value):
            problems.error(f"no single member of {name}: {reference.span.text}", reference.span, f"write {name}[1]")
        target = member
    elif isinstance(found, Steps) and reference.entries is not None and len(reference.entries) == 1:
        bump = Bump(name, found, dimension(reference.entries[0], scope), scope)
        return by_step(expr, bump, bumped(bump, expr.body, scope, expr.span))
    elif reference.entries is not None:
        problems.unsupported("the derivative by a part of a tensor", reference.span, f"take the part of ∇[{name}](…)")
    elif isinstance(found, Steps):
        target = found.stacked
    elif isinstance(found, Value):
        target = found
    elif isinstance(found, Quantity):
        problems.error(f"{name} is a whole number, and has no derivative", reference.span)
    else:
        problems.error(f"{name} is no tensor to differentiate by", reference.span)
    if target.node.dtype != "real":
        problems.error(f"{name} holds integers, and has no derivative", reference.span)
    wrt = scope.run.placeholder("p", target.node)
    inner = _cut(expr, scope, (name, number), found, target, Value(wrt, target.rows))
    body = scope.run.evaluate(expr.body, inner)
    renamed: dict[Node, Node] = {target.node: wrt} if inner is scope else {}
    output = _unsliced(body.node, wrt, renamed, scope)
    return closed(Derivative(output, wrt, target.node, LAYOUTS[expr.operator]))


def _unsliced(output: Node, wrt: Tensor, renamed: Mapping[Node, Node], scope: Scope) -> Node:
    """``output`` in terms of ``wrt``, also where open ranges take slices of it: X[t] is sum_k delta_tk X_k."""
    (output,) = substitute((output,), renamed)
    while True:
        held = set(tensors((output,)))
        picked: dict[Node, Node] = {}
        for step in scope.steps:
            for placeholder, source in tuple(step.slices.items()):
                if placeholder not in held:
                    continue
                (moved,) = substitute((source,), renamed)
                if wrt in tensors((moved,)):
                    axes = range(moved.rank)
                    here = step.slice_of(build.delta(moved.shape[0]))
                    picked[placeholder] = build.einsum(1, [(here, axes[:1]), (moved, axes)], axes[1:])
        if not picked:
            return output
        (output,) = substitute((output,), picked)


def _cut(expr: syntax.Derivative, scope: Scope, member: tuple[str, int | None], found: Binding, target: Value, wrt: Value) -> Scope:
    """The scope in which ``name`` is a variable of its own, with what depends on it defined anew."""
    name, _ = member
    if scope.run.variation is not None and scope.run.variation.owns(name, scope):
        return scope.run.variation.cut({member: wrt}, expr.body, scope, expr.span)
    level: Scope | None = scope
    while level is not None and level is not scope.file:
        if name in level.bindings:
            return scope  # a local name: its node is replaced afterwards
        level = level.parent
    if name in scope.run.declarations.arguments:
        return scope  # an argument: its node is replaced afterwards
    return _rebase(scope, cut_file(member, found, wrt, (expr.body,), scope))


def cut_file(member: tuple[str, int | None], found: Binding, wrt: Value, bodies: Sequence[syntax.Expr], scope: Scope) -> Scope:
    """The level of the file in which a definition is the variable ``wrt``, and what ``bodies`` need of it is defined anew."""
    name, number = member
    binding: Binding = wrt
    if isinstance(found, Family):
        assert number is not None
        binding = Family(found.name, {**found.members, number: wrt})
    elif isinstance(found, Steps):
        binding = Steps(found.name, found.first, found.last, wrt, found.starts)
    file = Scope(scope.run, {name: binding}, scope.file, steps=())
    file.file = file
    key = name if number is None else (name, number)
    for unit in sorted({unit for body in bodies for unit in scope.run.order.between(key, body, scope)}):
        scope.run.define(unit, file)
    return file


def bumped(bump: Bump, body: syntax.Expr, scope: Scope, span: Span) -> Scope:
    """The scope in which one step of a name is a variable, with what depends on it defined anew."""
    variation = scope.run.variation
    if variation is not None and variation.owns(bump.name, scope):
        return variation.cut({}, body, scope, span, bump)
    file = Scope(scope.run, {}, scope.file, steps=())
    file.file = file
    bump.install(file, [body], scope)
    return _rebase(scope, file)


def _rebase(scope: Scope, file: Scope) -> Scope:
    """The locals of ``scope`` over another file level."""
    if scope is scope.file:
        return file
    assert scope.parent is not None
    return Scope(scope.run, scope.bindings, _rebase(scope.parent, file), file=file, steps=scope.steps)
