"""Sums of whole tensors: equal shapes, but a row may lie along the rows of a matrix, and ``⊖ ⊕`` spread a scalar."""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.nodes import Node, Shape
from bracketc.lang import syntax
from bracketc.lang.formal import space_hint
from bracketc.lang.scope import Scope
from bracketc.lang.term import unify
from bracketc.lang.values import Value, kind_of


def total(expr: syntax.Sum, scope: Scope) -> Value:
    """``[-] a + b - c ⊖ d ⊕ e``, left to right."""
    values = scope.run.problems.each(expr.operands, lambda operand: scope.run.evaluate(operand, scope))
    signs = ("-" if expr.negated else "+", *expr.operators)
    spans = [operand.span for operand in expr.operands]
    tensors: list[tuple[Value, Span, str]] = []
    scalars: list[tuple[Node, str]] = []
    rank = max(value.rank for value in values)
    loose = False
    for index, (value, span, sign) in enumerate(zip(values, spans, signs, strict=True)):
        # `a ⊖ c` and `c ⊖ a` spread the scalar, on either side of the sign
        spread = sign in "⊖⊕" or (index == 0 and len(signs) > 1 and signs[1] in "⊖⊕")
        loose = loose or spread
        if value.rank == 0 and rank > 0 and spread:
            scalars.append((value.node, sign))
        else:
            tensors.append((value, span, sign))
    reference = next(entry for entry in tensors if entry[0].rank == rank)
    for value, span, _ in tensors:
        if value.rank != rank:
            scope.run.problems.error(
                f"a sum of {_kind(reference[0], value)} and {_kind(value, reference[0])}: {reference[1].text} and {span.text}",
                span,
                _advice(expr, reference, value, span, scope),
                [(_kind(reference[0], value), reference[1])],
            )
    aligned, rows, shape = align([(value, span) for value, span, _ in tensors], scope, "a sum")
    terms = [build.scale(-1, v.node) if t[2] in "-⊖" else v.node for v, t in zip(aligned, tensors, strict=True)]
    for node, sign in scalars:
        spread_out = build.broadcast(node, shape, ())
        terms.append(build.scale(-1, spread_out) if sign in "-⊖" else spread_out)
    return Value(build.add(terms), rows)


def _kind(value: Value, other: Value) -> str:
    """What a term is beside another one: a vector beside a row is a column."""
    if value.is_row:
        return "a row"
    return "a column" if value.rank == 1 and other.is_row else kind_of(value.rank)


def _advice(expr: syntax.Sum, reference: tuple[Value, Span, str], value: Value, span: Span, scope: Scope) -> str:
    rank = reference[0].rank
    if reference[0].is_row and value.rank == 1:
        return f"{reference[1].text} is a row and {span.text} a column: write both with ^T, or none"
    if _numeral_one(expr):
        return "the numeral 1 is a number; a vector of ones is 𝟏 (ones)"
    near = space_hint(*expr.operands, scope=scope)
    if value.rank == 0:
        named = span.text if len(span.text) < 20 else "c"
        help = f"a scalar is added by ⊕ or ⊖, or spread by ones: {named} 𝟏" + (f"_{'12345678'[:rank]}" if rank > 1 else "")
        return f"{near}; {help}" if near else help
    if near:
        return near
    if (rank, value.rank) == (2, 1):
        named = span.text if len(span.text) < 20 else "b"
        return f"a vector is added to every row as 𝟏 {named} or {named}^T"
    return ""


def align(operands: Sequence[tuple[Value, Span]], scope: Scope, what: str) -> tuple[list[Value], tuple[bool, ...], Shape]:
    """Operands of one rank brought to one shape: an ``ι`` beside a longer dimension is spread along it.

    Gives the operands, the ``ι`` marks and the shape of the result.
    """
    rank = operands[0][0].rank
    shape = []
    rows = []
    for axis in range(rank):
        row = all(value.rows[axis] for value, _ in operands)
        carriers = [(value, span) for value, span in operands if row or not value.rows[axis]]
        first, place = carriers[0]
        for value, span in carriers[1:]:
            unify(
                scope.run,
                (first.node.shape[axis], place),
                (value.node.shape[axis], span),
                f"dimension {axis + 1} of {what}",
                span,
            )
        shape.append(scope.run.sizes.resolve(first.node.shape[axis]))
        rows.append(row)
    aligned = [_spread(value, rows, tuple(shape)) for value, _ in operands]
    return aligned, tuple(rows), tuple(shape)


def _spread(value: Value, rows: Sequence[bool], shape: Shape) -> Value:
    lying = [axis for axis in range(value.rank) if value.rows[axis] and not rows[axis]]
    if not lying:
        return value
    labels = [("row", axis) if axis in lying else axis for axis in range(value.rank)]
    node = build.einsum(1, [(value.node, labels)], range(value.rank), dict(enumerate(shape)))
    return Value(node, tuple(rows))


def _numeral_one(expr: syntax.Sum) -> bool:
    """Whether a 1 stands beside a tensor, where `𝟏` makes sense: ``1 b``."""
    return any(
        isinstance(operand, syntax.FormalProduct)
        and any(isinstance(factor, syntax.Number) and factor.text == "1" for factor in operand.factors)
        for operand in expr.operands
    )
