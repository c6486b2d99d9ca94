"""From an expression to a tensor: one rule for each kind of expression."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bracketc.errors import LimitError, placed
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Literal, Node
from bracketc.ir.rewrite import Origin
from bracketc.lang import classic, derivatives, formal, functions, indexed, indexing, positional, sums, syntax
from bracketc.lang.builtins import reduce_axes, tensor_function
from bracketc.lang.entries import dimension, integer
from bracketc.lang.integers import as_real
from bracketc.lang.ranges import reduced
from bracketc.lang.scope import Scope
from bracketc.lang.steps import number, open_range
from bracketc.lang.term import outer
from bracketc.lang.values import Family, FunctionValue, Open, Quantity, Running, SizeFamily, Steps, Value, closed, kind_of


def evaluate(expr: syntax.Expr, scope: Scope) -> Value:
    """The tensor that ``expr`` stands for in ``scope``; raises :class:`Abort` when it has an error."""
    scope.run.count(expr.span)
    try:
        value = _RULES[type(expr)](expr, scope)
    except LimitError as error:
        raise placed(error, expr.span) from None
    if value.node.dtype == "integer":
        value = Value(as_real(value.node), value.rows)
    scope.run.origins.setdefault(value.node, Origin(None, expr.span))
    return value


def _number(expr: syntax.Number, scope: Scope) -> Value:
    return closed(build.literal(expr.value))


def _name(expr: syntax.Name, scope: Scope) -> Value:
    if expr.text == "pi" and scope.find("pi") is None:
        return closed(build.literal(math.pi))
    found = scope.get(expr.text, expr.span)
    if isinstance(found, Value):
        return found
    if isinstance(found, Quantity):
        return closed(number(found.dim, scope))
    if isinstance(found, Steps):
        return found.stacked
    problems = scope.run.problems
    if isinstance(found, Running):
        problems.error(
            f"{found.name} as a whole inside its own steps",
            expr.span,
            f"a step may use other steps, such as {found.name}[t-1]",
        )
    if isinstance(found, Family | SizeFamily):
        first = min(found.members, default=1)
        problems.error(f"{expr.text} is a family", expr.span, f"name a member: {expr.text}[{first}]")
    if isinstance(found, Open):
        hint = "the whole step must hold for every number" if found.binding.target.entries is None else f"write {expr.text}[…]"
        problems.error(f"{expr.text} is another tensor at every number of its range", expr.span, hint)
    assert isinstance(found, FunctionValue)
    problems.error(
        f"the function {expr.text} stands without an argument",
        expr.span,
        f"write {expr.text}(x), with no space before the (",
    )


def _ones(expr: syntax.Ones, scope: Scope) -> Value:
    if expr.sizes is None:
        return formal.product(expr, scope)
    shape = tuple(scope.run.problems.each(expr.sizes, lambda size: dimension(size, scope)))
    return closed(build.ones(shape))


def _one_hot(expr: syntax.OneHot, scope: Scope) -> Value:
    """``e⟨2,3⟩``: one 1; its size comes from what it meets."""
    if scope.find("e") is not None:
        scope.run.problems.error(
            "e is declared, so this is no one-hot tensor", expr.span, "a comparison needs spaces around < and >"
        )
    factors: list[tuple[Node, tuple[int, ...]]] = []
    for axis, entry in enumerate(expr.entries):
        size = scope.run.sizes.unknown("e⟨…⟩", expr.span)
        position = dimension(entry, scope) - 1
        if any(name.startswith("%") for name in position.names):
            scope.run.problems.unsupported("a one-hot tensor at the variable of a range", entry.span)
        factors.append((build.overlap(build.literal(1), 0, position, (), size), (axis,)))
    return closed(build.einsum(1, factors, range(len(factors))))


def _delta(expr: syntax.Delta, scope: Scope) -> Value:
    scope.run.problems.error("δ outside an index bracket", expr.span, "write (δ_ij | ij), or declare `const I = eye(N)`")


def _labelled(expr: syntax.Labelled, scope: Scope) -> Value:
    labels = "".join(label.text for label in expr.labels)
    scope.run.problems.error(
        f"labels outside an index bracket: {expr.span.text}",
        expr.span,
        f"write ({expr.span.text} | {labels}), sum[…](…), or define by index: NAME_{labels} = …",
    )


def _paren(expr: syntax.Paren | syntax.Brace, scope: Scope) -> Value:
    return evaluate(expr.body, scope)


def _index_bracket(expr: syntax.IndexBracket, scope: Scope) -> Value:
    return indexed.bracket(expr.body, expr.labels, scope)


def _power(expr: syntax.Power, scope: Scope) -> Value:
    base, exponent = scope.run.problems.each((expr.base, expr.exponent), lambda part: evaluate(part, scope))
    if exponent.rank:
        scope.run.problems.error(
            f"an exponent is a scalar, found {kind_of(exponent.rank)}",
            expr.exponent.span,
            "write pow(x, p) for entries of p",
        )
    sign = -1 if expr.negated else 1
    if isinstance(exponent.node, Literal):
        return Value(build.power(base.node, sign * exponent.node.value), base.rows)
    return Value(build.pointwise("pow", base.node, build.scale(sign, exponent.node)), base.rows)


def _kronecker(expr: syntax.Kronecker, scope: Scope) -> Value:
    def operand_value(operand: syntax.Expr) -> Value:
        if isinstance(operand, syntax.Portion):
            return formal.product(operand, scope, "⊗")
        return evaluate(operand, scope)

    values = scope.run.problems.each(expr.operands, operand_value)
    return outer(scope.run, [(value, operand.span) for value, operand in zip(values, expr.operands, strict=True)])


def _stop(expr: syntax.Stop, scope: Scope) -> Value:
    value = evaluate(expr.operand, scope)
    return Value(build.pointwise("stop", value.node), value.rows)


def _where(expr: syntax.Where, scope: Scope) -> Value:
    """``where(condition, a, b)`` of closed tensors of one shape, and scalars among them."""
    condition = expr.condition
    parts = (condition.left, condition.right, expr.chosen, expr.otherwise)
    values = scope.run.problems.each(parts, lambda part: evaluate(part, scope))
    pairs = [(value, part.span) for value, part in zip(values, parts, strict=True)]
    tensors = [(value, span) for value, span in pairs if value.rank]
    ranks = {value.rank for value, _ in tensors}
    if len(ranks) > 1:
        scope.run.problems.error(
            f"where(…) of {' and '.join(kind_of(rank) for rank in sorted(ranks))}",
            expr.span,
            "condition and branches have one shape, or are scalars",
        )
    rows: tuple[bool, ...] = ()
    nodes: Sequence[Node] = [value.node for value in values]
    if tensors:
        aligned, rows, shape = sums.align(tensors, scope, "where(…)")
        rest = iter(aligned)
        nodes = [next(rest).node if value.rank else build.broadcast(value.node, shape, ()) for value in values]
    test = build.compare(condition.operator, nodes[0], nodes[1])
    return Value(build.select(test, nodes[2], nodes[3]), rows)


def _reduction(expr: syntax.Reduction, scope: Scope) -> Value:
    expr = indexing.one_range(expr)
    if expr.binders[0].first is None:
        return indexed.reduction(expr, scope)
    problems = scope.run.problems
    if indexed.has_labels(expr, scope):
        return indexed.reduction(expr, scope)
    (binder,) = expr.binders
    assert binder.first is not None and binder.last is not None
    if expr.operation == "softmax":
        problems.unsupported("softmax over a range", expr.span, "softmax[j](…) takes a label")
    name = binder.name.text
    if indexing.is_family_range(expr, scope):
        return _over_members(expr, name, scope)
    step = open_range(binder.first, binder.last, scope)
    body = evaluate(expr.body, scope.inner({name: Quantity(step.variable)}, step))
    return Value(reduced(expr.operation, step, body.node), body.rows)


def _reduce_leading(operation: str, value: Value) -> Value:
    return Value(reduce_axes(operation, value.node, (0,)), value.rows[1:])


def _over_members(expr: syntax.Reduction, name: str, scope: Scope) -> Value:
    """A reduction over members of a family, written out."""
    problems = scope.run.problems
    (binder,) = expr.binders
    assert binder.first is not None and binder.last is not None
    first, last = integer(binder.first, scope), integer(binder.last, scope)
    assert first is not None and last is not None
    numbers = indexing.members(first, last)
    values = problems.each(numbers, lambda k: evaluate(expr.body, scope.inner({name: Quantity(Dim.of(k))})))
    for value in values[1:]:
        if value.rank != values[0].rank:
            problems.error(f"a sum of {kind_of(values[0].rank)} and {kind_of(value.rank)} over {name}", expr.body.span)
    aligned, rows, _ = sums.align([(value, expr.body.span) for value in values], scope, f"the sum over {name}")
    if expr.operation == "sum":
        return Value(build.add([value.node for value in aligned]), rows)
    arguments = [(value, expr.body.span) for value in aligned]
    stacked = tensor_function("stack", arguments, 0, scope, expr.span)
    return _reduce_leading(expr.operation, stacked)


def _differential(expr: syntax.Differential, scope: Scope) -> Value:
    if scope.run.variation is None:
        scope.run.problems.error(
            "a differential stands outside a derivation",
            expr.span,
            "differentials stand in `derivation` blocks; a derivative as an expression is ∇[x](f)",
        )
    return scope.run.variation.of(expr.body, expr.wrt, scope, expr.span)


_RULES: dict[type, Callable[[Any, Scope], Value]] = {
    syntax.Number: _number,
    syntax.Name: _name,
    syntax.Ones: _ones,
    syntax.Iota: formal.product,
    syntax.OneHot: _one_hot,
    syntax.Delta: _delta,
    syntax.Paren: _paren,
    syntax.Brace: _paren,
    syntax.Fusion: formal.product,
    syntax.IndexBracket: _index_bracket,
    syntax.Portion: formal.product,
    syntax.Labelled: _labelled,
    syntax.Index: indexing.index,
    syntax.Transpose: classic.transpose,
    syntax.Power: _power,
    syntax.Bar: formal.product,
    syntax.FormalProduct: formal.product,
    syntax.System: formal.product,
    syntax.MatrixProduct: classic.matrix_product,
    syntax.Kronecker: _kronecker,
    syntax.Elementwise: positional.elementwise,
    syntax.Dot: positional.dot,
    syntax.Sum: sums.total,
    syntax.Call: functions.call,
    syntax.Stop: _stop,
    syntax.Where: _where,
    syntax.Reduction: _reduction,
    syntax.FunctionDerivative: derivatives.of_function,
    syntax.Derivative: derivatives.of_expression,
    syntax.Differential: _differential,
}
