"""Calls: builtin functions, functions of the file, their derivatives ``f'`` and their maps ``s^P``.

A scalar function is elaborated once for scalar placeholders and spread over the entries of its arguments; a function of
tensors is elaborated for each call, because each has its own sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.errors import Diagnostic, LimitError, Span
from bracketc.ir import build
from bracketc.ir.batch import batch
from bracketc.ir.nodes import Differential, Node, Range, Tensor
from bracketc.ir.rewrite import substitute
from bracketc.lang import syntax, words
from bracketc.lang.builtins import ARITY, elementwise, elementwise_node, tensor_function
from bracketc.lang.entries import dimension
from bracketc.lang.problems import Abort
from bracketc.lang.scope import Scope
from bracketc.lang.sums import align
from bracketc.lang.values import Failed, FunctionValue, Quantity, Value, closed, kind_of, retyped

Argument = tuple[Value, Span]


def call(expr: syntax.Call, scope: Scope) -> Value:
    """``f(a, b)``, ``f'(x)``, ``s^1(A)``, ``sum(X)``."""
    name = expr.function
    if name.text == "d" and scope.run.variation is not None and len(expr.arguments) == 1 and scope.find("d") is None:
        return scope.run.variation.of(expr.arguments[0], None, scope, expr.span)
    _check(name, expr, scope)
    if name.text in ("eye", "range") and expr.positions is None and scope.find(name.text) is None:
        return counted(expr, scope)
    arguments = _arguments(expr, scope)
    if expr.positions is None:
        return apply(name, arguments, 0, scope, expr.span)
    return mapped(name, expr.positions, arguments, scope, expr.span)


def counted(expr: syntax.Call, scope: Scope) -> Value:
    """``eye(N)``, the identity, and ``range(N)``, the vector 1, 2, …, N."""
    name = expr.function.text
    if len(expr.arguments) != 1:
        scope.run.problems.error(f"{name} takes one size", expr.span, f"write {name}(N)")
    extent = dimension(expr.arguments[0], scope)
    return closed(build.delta(extent) if name == "eye" else Range(extent))


def _arguments(expr: syntax.Call, scope: Scope) -> list[Argument]:
    values = scope.run.problems.each(expr.arguments, lambda argument: scope.run.evaluate(argument, scope))
    return [(value, argument.span) for value, argument in zip(values, expr.arguments, strict=True)]


def _check(name: syntax.Name, expr: syntax.Call, scope: Scope) -> None:
    """Report a name that is no function."""
    found = scope.find(name.base)
    if isinstance(found, FunctionValue):
        return
    if isinstance(found, Failed):
        raise Abort
    if found is None:
        if name.base in words.FUNCTIONS:
            return
        if name.text == "d":
            scope.run.problems.error(
                "a differential stands outside a derivation",
                expr.span,
                "differentials stand in `derivation` blocks; a derivative as an expression is ∇[x](f)",
            )
        if name.base in scope.run.declarations.names:
            raise Abort
        scope.unknown(name.base, name.span, call=True)
    arguments = expr.span.source.text[name.span.end : expr.span.end]
    what = "a size" if isinstance(found, Quantity) else "no function"
    scope.run.problems.error(
        f"{name.text} is {what}, and its parenthesis touches it like a call",
        expr.span,
        f"a product needs a space: {name.text} {arguments}",
    )


def apply(name: syntax.Name, arguments: Sequence[Argument], lead: int, scope: Scope, span: Span) -> Value:
    """A function of whole tensors; a builtin is mapped over the first ``lead`` axes of its first argument."""
    found = scope.find(name.base)
    if isinstance(found, FunctionValue):
        scope.run.called.add(name.base)
    if name.primes or (isinstance(found, FunctionValue) and found.scalar):
        return apply_scalar(name, arguments, scope, span)
    if isinstance(found, FunctionValue):
        return _apply_tensor(found, arguments, scope, span)
    one = len(arguments) == 1
    if name.text in words.ELEMENTWISE and not (one and name.text in words.TENSOR_FUNCTIONS):
        return elementwise(name.text, arguments, scope, span)
    return tensor_function(name.text, arguments, lead, scope, span)


# ------------------------------------------------------------------------------------------- scalar functions
def apply_scalar(name: syntax.Name, arguments: Sequence[Argument], scope: Scope, span: Span) -> Value:
    """``f(A)``, ``f'(A)``, ``f(A, b)`` of a scalar function, element by element."""
    parameters, body = _scalar_body(name, len(arguments), scope, span)
    tensors = [(value, place) for value, place in arguments if value.rank]
    ranks = {value.rank for value, _ in tensors}
    if len(ranks) > 1:
        scope.run.problems.error(
            f"{name.text} of {' and '.join(kind_of(value.rank) for value, _ in arguments)}",
            span,
            "the arguments of a scalar function have one shape, or are scalars",
        )
    scalars: dict[Node, Node] = {p: v.node for p, (v, _) in zip(parameters, arguments, strict=True) if not v.rank}
    if scalars:
        (body,) = substitute((body,), scalars)
    if not tensors:
        return closed(body)
    aligned, rows, shape = align(tensors, scope, name.text)
    wide = [p for p, (value, _) in zip(parameters, arguments, strict=True) if value.rank]
    values: dict[Node, Node] = {p: retyped(v.node, shape) for p, v in zip(wide, aligned, strict=True)}
    (result,) = batch((body,), values, shape)
    return Value(result, rows)


def _scalar_body(name: syntax.Name, count: int, scope: Scope, span: Span) -> tuple[tuple[Tensor, ...], Node]:
    """The body for scalar placeholders; that of ``f'`` is its differential for an increment of 1."""
    key = (name.text, count, scope.file)
    known = scope.run.bodies.get(key)
    if known is not None:
        return known
    scalar = build.literal(0)
    if name.primes:
        if count != 1:
            scope.run.problems.error(
                f"{name.text} is the derivative of a function of one argument, found {count}", span, "use ∇[x](f(x, y))"
            )
        outer = syntax.Name(name.text[:-1], name.span)
        parameters, body = _scalar_body(outer, count, scope, span)
        point = scope.run.placeholder("f", scalar)
        made: tuple[tuple[Tensor, ...], Node] = (
            (point,),
            Differential(body, parameters, (point,), (build.literal(1),)),
        )
    else:
        found = scope.find(name.text)
        placeholders = tuple(scope.run.placeholder("f", scalar) for _ in range(count))
        if isinstance(found, FunctionValue):
            if not found.scalar:
                scope.run.problems.error(
                    f"{name.text} is a function of tensors, and ' is the derivative of a scalar function",
                    span,
                    f"its gradient is ∇{name.text}(…), its Jacobian Jac {name.text}(…)",
                )
            value = _body(found, [closed(p) for p in placeholders], scope, span)
            if value.rank:
                scope.run.problems.error(
                    f"the scalar function {name.text} gives {kind_of(value.rank)}",
                    found.statement.body.span,
                    f"give the rank of its argument: function {name.text}({_first(found)} : 1) = …",
                )
            made = (placeholders, value.node)
        elif name.text in words.ELEMENTWISE:
            wanted = ARITY.get(name.text, 1)
            if wanted != count:
                scope.run.problems.error(f"{name.text} takes {wanted} arguments, found {count}", span)
            made = (placeholders, elementwise_node(name.text, placeholders))
        else:
            scope.run.problems.error(
                f"{name.text} is a function of tensors, and ' is the derivative of a scalar function",
                span,
                f"its gradient is ∇{name.text}(…), its Jacobian Jac {name.text}(…)",
            )
    scope.run.bodies[key] = made
    return made


def _first(function: FunctionValue) -> str:
    return function.statement.parameters[0].name.text


# ------------------------------------------------------------------------------------------- functions of tensors
def _apply_tensor(function: FunctionValue, arguments: Sequence[Argument], scope: Scope, span: Span) -> Value:
    name = function.statement.name.text
    if len(arguments) == len(function.ranks):
        for (value, place), rank, parameter in zip(
            arguments, function.ranks, function.statement.parameters, strict=True
        ):
            if value.rank != rank:
                help = ""
                if value.rank > rank:
                    help = (
                        f"map it over the leading dimensions: {name}^{'123456789'[: value.rank - rank]}({place.text})"
                    )
                scope.run.problems.error(
                    f"argument {parameter.name.text} of {name} is {kind_of(rank)}, "
                    f"found {kind_of(value.rank)}: {place.text}",
                    place,
                    help
                    or "the rank of an argument is given as in `function f(a : 2) = …`; without it, it is a vector",
                    [(f"{name} is defined here", function.span)],
                )
    return _body(function, [value for value, _ in arguments], scope, span)


def _body(function: FunctionValue, values: Sequence[Value], scope: Scope, span: Span) -> Value:
    """The body of a function with its arguments bound."""
    run = scope.run
    statement = function.statement
    if len(values) != len(statement.parameters):
        run.problems.error(
            f"{statement.name.text} takes {len(statement.parameters)} arguments, found {len(values)}",
            span,
            "",
            [("defined here", statement.span)],
        )
    key = (statement.name.text, scope.file, tuple(value.node for value in values), tuple(v.rows for v in values))
    known = run.calls.get(key)
    if known is not None:
        return known
    if run.depth >= run.limits.max_calls:
        help = "define fewer levels, or raise the limit by the option max_calls"
        raise LimitError(Diagnostic(f"functions call one another more than {run.limits.max_calls} deep", span, help))
    names = {parameter.name.text: value for parameter, value in zip(statement.parameters, values, strict=True)}
    inner = Scope(run, dict(names), scope.file, steps=scope.steps)
    run.depth += 1
    try:
        result = run.evaluate(statement.body, run.locals(statement.where, inner))
    finally:
        run.depth -= 1
    run.calls[key] = result
    return result


# ------------------------------------------------------------------------------------------- maps
def split(positions: syntax.Positions, value: Value, name: str, scope: Scope) -> tuple[Node, int]:
    """The tensor with the mapped positions first, in the order given, and how many they are."""
    for group in positions.groups:
        for position in group:
            if position.number > value.rank:
                scope.run.problems.error(
                    f"position {position.number} of the argument of {name}, which is {kind_of(value.rank)}",
                    position.span,
                    f"positions are 1 to {value.rank}" if value.rank else "a scalar has no positions",
                )
    first = [number - 1 for number in positions.numbers]
    order = [*first, *(axis for axis in range(value.rank) if axis not in first)]
    node = value.node if order == list(range(value.rank)) else build.permute(value.node, order)
    return node, len(first)


def mapped(
    name: syntax.Name, positions: syntax.Positions, arguments: Sequence[Argument], scope: Scope, span: Span
) -> Value:
    """``s^P(A)``: the function of every sub-tensor with the positions P fixed; P leads the result, in its order."""
    value, place = arguments[0]
    node, lead = split(positions, value, name.text, scope)
    found = scope.find(name.base)
    if not isinstance(found, FunctionValue) and not name.primes:
        return apply(name, [(closed(node), place), *arguments[1:]], lead, scope, span)
    if isinstance(found, FunctionValue) and found.scalar:
        return apply(name, [(closed(node), place), *arguments[1:]], 0, scope, span)
    entry = scope.run.placeholder("m", node, lead)
    result = apply(name, [(closed(entry), place), *arguments[1:]], 0, scope, span)
    (whole,) = batch((result.node,), {entry: node}, node.shape[:lead])
    return Value(whole, (*(False,) * lead, *result.rows))


def try_function(name: str, scope: Scope) -> None:
    """Elaborate a function that nothing calls, for its errors only."""
    found = scope.find(name)
    if not isinstance(found, FunctionValue):
        return
    values = []
    for parameter, rank in zip(found.statement.parameters, found.ranks, strict=True):
        shape = tuple(scope.run.sizes.unknown(parameter.name.text, parameter.span) for _ in range(rank))
        values.append(closed(scope.run.placeholder("f", build.literal(0) if found.scalar else build.zeros(shape))))
    try:
        _body(found, values, scope, found.span)
    except Abort:
        return
