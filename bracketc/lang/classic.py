"""Classic notation: ``@`` and ``^T`` with the orientation of vectors.

A vector is a column and has rank 1; ``x^T`` is a row and has rank 2, its first dimension an ``ι``.  Column @ row is the
outer product, row @ column a scalar.
"""

from __future__ import annotations

from collections.abc import Hashable

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.lang import syntax
from bracketc.lang.formal import space_hint
from bracketc.lang.scope import Scope
from bracketc.lang.term import Term
from bracketc.lang.values import Value, kind_of


def matrix_product(expr: syntax.MatrixProduct, scope: Scope) -> Value:
    """A chain of ``@``, from left to right."""
    for operand in expr.operands:
        if isinstance(operand, syntax.Number) and operand.text == "1":
            scope.run.problems.error("@ with the number 1", operand.span, "a vector of ones is 𝟏 (ones)")
    values = scope.run.problems.each(expr.operands, lambda operand: scope.run.evaluate(operand, scope))
    result, span = values[0], expr.operands[0].span
    for value, operand in zip(values[1:], expr.operands[1:], strict=True):
        result = _multiply((result, span), (value, operand.span), scope, expr)
        span = span.join(operand.span)
    return result


def _multiply(left: tuple[Value, Span], right: tuple[Value, Span], scope: Scope, expr: syntax.MatrixProduct) -> Value:
    v, w = left[0], right[0]
    term = Term(scope.run)
    first, second = term.operand(*left), term.operand(*right)
    if v.rank == 0 or w.rank == 0:
        return term.close((*first, *second))
    if v.rank > 2 or w.rank > 2:
        value, span = left if v.rank > 2 else right
        scope.run.problems.error(
            f"@ multiplies matrices and vectors, and {span.text} is {kind_of(value.rank)}",
            span,
            space_hint(expr, scope=scope) or "contract tensors with an index bracket, or with ·_1",
        )
    if v.rank == 1:
        if w.is_row:
            term.summed[second[0]] = None
            return term.close((first[0], second[1]))
        _oriented(left, right, scope)
    if w.is_row and v.node.shape[1] is not Dim.of(1):
        scope.run.problems.error(
            f"a row stands right of @, where a column belongs: {right[1].text}",
            right[1],
            f"{right[1].text} is a row; write {right[1].text.removesuffix('^T')}",
        )
    place = left[1].join(right[1])
    inner = term.fuse(first[1], second[0], place, "the inner dimension of @")
    term.summed[inner] = None
    if w.rank == 2:
        return term.close((first[0], second[1]))
    if v.is_row:
        term.summed[first[0]] = None
        return term.close(())
    return term.close((first[0],))


def _oriented(left: tuple[Value, Span], right: tuple[Value, Span], scope: Scope) -> None:
    x, y = left[1].text, right[1].text
    if right[0].rank == 1:
        scope.run.problems.error(
            f"a column times a column: {x} and {y}",
            left[1].join(right[1]),
            f"the inner product is {x} · {y} or {x}^T @ {y}, the outer one {x} @ {y}^T",
        )
    scope.run.problems.error(
        f"a column stands left of a matrix: {x}",
        left[1],
        f"a row belongs here: {x}^T @ {y}, or {x} ·_1 {y} for a column",
    )


def transpose(expr: syntax.Transpose, scope: Scope) -> Value:
    """``x^T``: a row from a column and back, or a matrix with its dimensions exchanged."""
    value = scope.run.evaluate(expr.operand, scope)
    node = value.node
    if value.rank == 1:
        labels: dict[Hashable, Dim] = {0: Dim.of(1), 1: node.shape[0]}
        return Value(build.einsum(1, [(node, (1,))], (0, 1), labels), (True, value.rows[0]))
    if value.is_row:
        return Value(build.einsum(1, [(node, (0, 1))], (1,)), (False,))
    if value.rank == 2:
        return Value(build.permute(node, (1, 0)), (value.rows[1], value.rows[0]))
    scope.run.problems.error(
        f"^T of {kind_of(value.rank)}",
        expr.span,
        "dimensions are reordered by positions: X_321" if value.rank > 2 else "a scalar has no transpose",
    )
