"""Positional operators: ``·``, ``⊙``, ``⊘`` plain, with position lists, or with a count of dimensions.

A ^{~23}⊙^{31} B   ->   (A_ijk B_kmj | ikm)          A ·_1 B   ->   (A_ij B_jk | ik)
"""

from __future__ import annotations

from collections.abc import Callable

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.lang import syntax
from bracketc.lang.formal import space_hint
from bracketc.lang.scope import Scope
from bracketc.lang.sums import align
from bracketc.lang.term import Term
from bracketc.lang.values import Value, kind_of


def elementwise(expr: syntax.Elementwise, scope: Scope) -> Value:
    """A chain of ``⊙`` and ``⊘``, from left to right."""
    values = scope.run.problems.each(expr.operands, lambda operand: scope.run.evaluate(operand, scope))
    _associates(expr, values, scope, max)
    result, span = values[0], expr.operands[0].span
    for operator, value, operand in zip(expr.operators, values[1:], expr.operands[1:], strict=True):
        place = span.join(operand.span)
        if operator.symbol == "⊘":
            result = _divide(result, value, (span, operand.span), scope, expr)
        elif operator.plain and (result.rank == 0 or value.rank == 0):
            result = _scaled(result, value, scope, (span, operand.span))
        else:
            result = contract(operator, (result, span), (value, operand.span), scope, expr)
        span = place
    return result


def dot(expr: syntax.Dot, scope: Scope) -> Value:
    """A chain of ``·``."""
    values = scope.run.problems.each(expr.operands, lambda operand: scope.run.evaluate(operand, scope))
    _associates(expr, values, scope, lambda k, h: k + h)
    result, span = values[0], expr.operands[0].span
    for operator, value, operand in zip(expr.operators, values[1:], expr.operands[1:], strict=True):
        result = contract(operator, (result, span), (value, operand.span), scope, expr)
        span = span.join(operand.span)
    return result


def contract(
    operator: syntax.Operator,
    left: tuple[Value, Span],
    right: tuple[Value, Span],
    scope: Scope,
    expr: syntax.Elementwise | syntax.Dot,
) -> Value:
    """One ``⊙`` or ``·``: pairs of dimensions are fused, and summed where barred or for ``·``."""
    problems = scope.run.problems
    ranks = (left[0].rank, right[0].rank)
    pairs = _pairs(operator, ranks, (left, right), scope, expr)
    term = Term(scope.run)
    first = term.operand(left[0], left[1])
    second = term.operand(right[0], right[1])
    for p, q, barred in pairs:
        for position, rank, (_, span) in ((p, ranks[0], left), (q, ranks[1], right)):
            if position > rank:
                problems.error(
                    f"position {position} of {span.text}, which is {kind_of(rank)}",
                    operator.span,
                    f"positions of {span.text} are 1 to {rank}" if rank else "a scalar has no positions",
                )
        label = term.fuse(first[p - 1], second[q - 1], left[1].join(right[1]), f"the dimension of {operator.span.text}")
        if barred:
            term.summed[label] = None
    fused = {q for _, q, _ in pairs}
    summed = {term.find(label) for label in term.summed}
    free = [label for label in first if term.find(label) not in summed]
    free += [label for q, label in enumerate(second, 1) if q not in fused]
    return term.close(free)


def _pairs(
    operator: syntax.Operator,
    ranks: tuple[int, int],
    operands: tuple[tuple[Value, Span], tuple[Value, Span]],
    scope: Scope,
    expr: syntax.Elementwise | syntax.Dot,
) -> list[tuple[int, int, bool]]:
    problems = scope.run.problems
    n, m = ranks
    dotted = operator.symbol == "·"
    if operator.left is not None and operator.right is not None:
        lefts = [group[0] for group in operator.left.groups]
        rights = [group[0] for group in operator.right.groups]
        if len(lefts) != len(rights):
            problems.error(
                f"wrong number of positions: {len(lefts)} on the left, {len(rights)} on the right",
                operator.span,
                "the lists pair positions, so both have the same length",
            )
        return [(p.number, q.number, dotted or p.barred or q.barred) for p, q in zip(lefts, rights, strict=True)]
    if operator.count is not None:
        count = operator.count if isinstance(operator.count, int) else (m if operator.count == ">" else n)
        for rank, (_, span) in zip(ranks, operands, strict=True):
            if count > rank:
                problems.error(
                    f"{operator.span.text} needs {count} dimensions of {span.text}, which is {kind_of(rank)}",
                    span,
                    _orientation(operands) or space_hint(expr, scope=scope),
                )
        return [(n - count + k, k, dotted) for k in range(1, count + 1)]
    if n != m:
        help = _orientation(operands) or space_hint(expr, scope=scope)
        if not help and dotted and {n, m} == {1, 2}:
            help = "the matrix product is `@`; `·` sums over all dimensions of two tensors of one shape"
        elif not help and 0 in ranks:
            one = any(isinstance(operand, syntax.Number) and operand.text == "1" for operand in expr.operands)
            help = "a vector of ones is 𝟏 (ones)" if one else "a scalar multiplies by a space: lam X"
        problems.error(
            f"{operator.span.text} needs operands of equal rank: {operands[0][1].text} is {kind_of(n)}, "
            f"{operands[1][1].text} is {kind_of(m)}",
            operands[0][1].join(operands[1][1]),
            help,
        )
    return [(k, k, dotted) for k in range(1, n + 1)]


def _orientation(operands: tuple[tuple[Value, Span], tuple[Value, Span]]) -> str:
    for value, span in operands:
        if value.is_row:
            return f"{span.text} is a row; `·` takes columns: write {span.text.removesuffix('^T')} without ^T"
    return ""


def _associates(expr: syntax.Elementwise | syntax.Dot, values: list[Value], scope: Scope, need: Callable[[int, int], int]) -> None:
    """Chains with counts mean one thing only when the operand in the middle has room for both (catalogue, A22)."""
    for index in range(1, len(values) - 1):
        before, after = expr.operators[index - 1], expr.operators[index]
        if before.plain and after.plain:
            continue
        rank = values[index].rank
        counts: list[int] = []
        for operator, left, right in (
            (before, values[index - 1], values[index]),
            (after, values[index], values[index + 1]),
        ):
            count = operator.count
            if operator.left is not None or operator.symbol == "⊘" or count is None:
                counts = []
                break
            counts.append(count if isinstance(count, int) else (right.rank if count == ">" else left.rank))
        if len(counts) == 2 and need(*counts) <= rank:
            continue
        a, b, c = (operand.span.text for operand in expr.operands[index - 1 : index + 2])
        first, second = before.span.text, after.span.text
        scope.run.problems.error(
            f"the chain does not associate: ({a} {first} {b}) {second} {c} and {a} {first} ({b} {second} {c}) differ",
            expr.operands[index - 1].span.join(expr.operands[index + 1].span),
            "write the parentheses",
        )


def _scaled(left: Value, right: Value, scope: Scope, spans: tuple[Span, Span]) -> Value:
    term = Term(scope.run)
    return term.close((*term.operand(left, spans[0]), *term.operand(right, spans[1])))


def _divide(left: Value, right: Value, spans: tuple[Span, Span], scope: Scope, expr: syntax.Elementwise) -> Value:
    inverse = Value(build.reciprocal(right.node), right.rows)
    if left.rank == 0 or right.rank == 0:
        return _scaled(left, inverse, scope, spans)
    if left.rank != right.rank:
        scope.run.problems.error(
            f"⊘ needs operands of equal rank or a scalar: {spans[0].text} is {kind_of(left.rank)}, "
            f"{spans[1].text} is {kind_of(right.rank)}",
            spans[0].join(spans[1]),
            space_hint(expr, scope=scope) or "rows are divided by a column with an index bracket: (A_ij / b_i | ij)",
        )
    (left, right), rows, shape = align([(left, spans[0]), (inverse, spans[1])], scope, "⊘")
    return Value(
        build.einsum(
            1,
            [(left.node, range(left.rank)), (right.node, range(right.rank))],
            range(left.rank),
            dict(enumerate(shape)),
        ),
        rows,
    )
