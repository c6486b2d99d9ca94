"""Whole numbers in the source: sizes, ends of ranges, entries of an index.

Each is a polynomial in names.  Sizes and variables of ranges are names of a :class:`Dim`; a label is one that starts
with ``@``.

    h + 1   ->   Dim h + 1                u + v - 1   ->   Dim @u + @v - 1
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Literal
from bracketc.lang import syntax
from bracketc.lang.scope import Scope
from bracketc.lang.values import Quantity, SizeFamily, Value

Lookup = Callable[[syntax.Name | syntax.Index], Dim | None]
"""The number that a name, or a member of a family of sizes, stands for; None when it is none."""

MAXIMAL_NUMBER = 2**62


def polynomial(expr: syntax.Entry, lookup: Lookup) -> Dim | None:
    """``expr`` as a polynomial; None when it is no sum of products of whole numbers and names."""
    if isinstance(expr, syntax.Number):
        return Dim.of(int(expr.text)) if expr.is_integer and int(expr.text) < MAXIMAL_NUMBER else None
    if isinstance(expr, syntax.Name | syntax.Index):
        return lookup(expr)
    if isinstance(expr, syntax.Paren):
        return polynomial(expr.body, lookup)
    if isinstance(expr, syntax.FormalProduct):
        return _product(expr.factors, lookup)
    if isinstance(expr, syntax.Elementwise):
        if all(op.symbol == "⊙" and op.plain for op in expr.operators):
            return _product(expr.operands, lookup)
        return None
    if isinstance(expr, syntax.Sum):
        total = Dim.of(0)
        signs = ("-" if expr.negated else "+", *expr.operators)
        for sign, operand in zip(signs, expr.operands, strict=True):
            value = polynomial(operand, lookup)
            if value is None or sign not in "+-":
                return None
            total = total + value if sign == "+" else total - value
        return total
    return None


def _product(factors: tuple[syntax.Expr, ...], lookup: Lookup) -> Dim | None:
    product = Dim.of(1)
    for factor in factors:
        value = polynomial(factor, lookup)
        if value is None or len(product.terms) * len(value.terms) > 64:
            return None
        product = product * value
    return product


def quantity(name: syntax.Name | syntax.Index, scope: Scope) -> Dim | None:
    """The whole number that ``name`` is in ``scope``, without any message."""
    if isinstance(name, syntax.Index):
        family = scope.find(name.operand.text) if isinstance(name.operand, syntax.Name) else None
        if not isinstance(family, SizeFamily) or len(name.entries) != 1:
            return None
        position = polynomial(name.entries[0], lambda inner: quantity(inner, scope))
        if position is None or position.constant is None:
            return None
        return family.members.get(position.constant)
    found = scope.find(name.text)
    if isinstance(found, Quantity):
        return found.dim
    if isinstance(found, Value) and isinstance(found.node, Literal):
        value = found.node.value
        if isinstance(value, Fraction) and value.denominator == 1:
            return Dim.of(int(value))
    return None


def dimension(expr: syntax.Entry, scope: Scope, labels: Callable[[syntax.Name], Dim] | None = None) -> Dim:
    """The whole number ``expr``; anything else is an error.  ``labels`` gives names that nothing declares."""
    problems = scope.run.problems

    def lookup(name: syntax.Name | syntax.Index) -> Dim | None:
        found = quantity(name, scope)
        if found is None and isinstance(name, syntax.Name):
            if not scope.has(name.text):
                if labels is not None:
                    return labels(name)
                scope.unknown(name.text, name.span)
            scope.get(name.text, name.span)
            problems.error(
                f"{name.text} is declared, and no whole number",
                name.span,
                "an index or a size is made of sizes and numbers, a label is a letter that nothing else has; "
                "a fusion needs a space before its [",
            )
        if found is None and isinstance(name, syntax.Index) and isinstance(name.operand, syntax.Name):
            family = scope.get(name.operand.text, name.operand.span)
            if isinstance(family, SizeFamily):
                known = f"{min(family.members)}..{max(family.members)}"
                problems.error(f"no member {name.span.text}", name.span, f"{family.name} has the members {known}")
        return found

    found = polynomial(expr, lookup)
    if found is None:
        problems.error(
            f"expected a whole number, found {expr.span.text}",
            expr.span,
            "sizes and indices use names, numbers, + - and products",
        )
    return scope.run.sizes.resolve(found)


def integer(expr: syntax.Entry, scope: Scope) -> int | None:
    """The number of ``expr`` when it is known at compile time, without any message."""
    found = polynomial(expr, lambda name: quantity(name, scope))
    return None if found is None else found.constant


def label_names(expr: syntax.Entry, scope: Scope) -> tuple[str, ...]:
    """The labels of an index entry, in order: every name in it that nothing declares."""
    found: dict[str, None] = {}
    pending: list[syntax.Node] = [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, syntax.Name):
            if not scope.has(node.text):
                found.setdefault(node.text)
        elif not isinstance(node, syntax.Slice | syntax.All):
            pending.extend(reversed(tuple(syntax.children(node))))
    return tuple(found)
