"""What a refutation shows: the smallest sizes and a simple point where the sides differ, and the terms of one side alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext
from functools import partial
from typing import Literal as OneOf

import numpy as np

from bracketc.calculus.derivatives import expand_derivatives
from bracketc.errors import BracketError, Span
from bracketc.ir import build
from bracketc.ir.nodes import Node
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots, tensors
from bracketc.lang import syntax
from bracketc.lang.proofs import Claim
from bracketc.proof.expand import expand, terms
from bracketc.proof.samples import Array
from bracketc.proof.trial import Point, counterexample
from bracketc.proof.wording import worded

SHOWN = 3
"""Terms of one side that a message shows."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Where the sides differ: sizes, what the tensors are there, the entry (from 1) and both values, as numbers and as text
    with digits enough to tell them apart."""

    sizes: tuple[tuple[str, int], ...]
    point: tuple[tuple[str, str], ...]
    entry: tuple[int, ...]
    left: float
    right: float
    left_text: str = ""
    right_text: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """A term of the normal forms that one side alone has; ``span`` is the part of the source that it comes from."""

    side: OneOf["left", "right"]
    text: str
    span: Span | None


def refutation(left: Node, right: Node, program: Program, known: Point) -> tuple[Counterexample, str]:
    """The simplest counterexample found, and a line about it."""
    point = counterexample(left, right, program, known)
    with localcontext(Context(prec=100)):
        apart = np.abs(point.left - point.right)
    entry = np.unravel_index(int(np.argmax(apart)), apart.shape) if apart.ndim else ()
    first, second = point.left[tuple(entry)], point.right[tuple(entry)]
    sizes = tuple((name, point.sizes[name]) for name in _sizes_of(left, right))
    values = tuple((tensor.name, _short(point.arrays[tensor])) for tensor in tensors([left, right]))
    texts = _told_apart(first, second)
    place = tuple(int(k) + 1 for k in entry)
    example = Counterexample(sizes, values, place, float(first), float(second), *texts)
    where = f" in entry {','.join(map(str, place))}" if place else ""
    return example, f"left is {texts[0]}, right is {texts[1]}{where}"


def summary(example: Counterexample) -> str:
    """``, at N = 2; x = [1., 2.]``."""
    sizes = ", ".join(f"{name} = {number}" for name, number in example.sizes)
    point = ", ".join(f"{name} = {text}" for name, text in example.point)
    parts = [part for part in (sizes, point) if part]
    return f", at {'; '.join(parts)}" if parts else ""


def _told_apart(left: Decimal | float, right: Decimal | float) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart."""
    for digits in (6, 12, 20, 40, 80):
        first, second = _digits(left, digits), _digits(right, digits)
        if first != second:
            break
    return first, second


def _digits(number: Decimal | float, count: int) -> str:
    if isinstance(number, float) or count <= 12:
        return f"{float(number):.{count}g}"
    with localcontext(Context(prec=count)):
        return str((+number).normalize())


def _sizes_of(left: Node, right: Node) -> list[str]:
    found: dict[str, None] = {}
    for tensor in tensors([left, right]):
        for extent in tensor.shape:
            found.update(dict.fromkeys(extent.names))
    return list(found)


def _short(array: Array) -> str:
    if array.ndim == 0:
        return f"{float(array):.4g}"
    if array.size > 12:
        return "…"
    return np.array2string(np.asarray(array, np.float64), precision=3, separator=", ").replace("\n", "")


# --------------------------------------------------------------------------------------------------- terms of one side
def only_one_side(claim: Claim, left: Node, right: Node, number: int | None = None) -> tuple[Term, ...]:
    """The terms of the normal forms that only one side has, where there are few, each with the place that it comes from."""
    try:
        first, second = (terms(side) for side in expand(Roots((left, right))).nodes)
    except BracketError:
        return ()
    found: list[Term] = []
    sides: tuple[tuple[OneOf["left", "right"], tuple[Node, ...], tuple[Node, ...]], ...] = (
        ("left", first, second),
        ("right", second, first),
    )
    for side, own, other in sides:
        others = set(other)
        alone = [term for term in own if term not in others and not build.is_zero(term)]
        if alone and len(alone) <= SHOWN:
            places = _places(claim, side == "right", number)
            found += [Term(side, worded(term), next((span for known, span in places if term in known), None)) for term in alone]
    return tuple(found)


def _places(claim: Claim, is_right: bool, number: int | None) -> list[tuple[set[Node], Span]]:
    """The terms that each addend of a side makes, with the place of the addend."""
    if claim.pairing is None:
        return []
    side = claim.pairing.right if is_right else claim.pairing.left
    found: list[tuple[set[Node], Span]] = []
    for sign, addend, span in _addends(side.expr, 1):
        node = claim.pairing.again(addend, is_right, number)
        if node is None:
            continue
        try:
            (expanded,) = expand(expand_derivatives(Roots((build.scale(sign, node),)))).nodes
        except BracketError:
            continue
        found.append((set(terms(expanded)), span))
    return found


def _addends(expr: syntax.Expr, sign: int) -> Iterator[tuple[int, syntax.Expr, Span]]:
    """The addends of a side, each with its sign and its place; those of a factor stand in the whole product.

    (A + B) @ x   ->   (A) @ x at A,  (B) @ x at B
    """
    expr = _bare(expr)
    if isinstance(expr, syntax.Sum) and _is_plain(expr):
        for operator, operand in _signed(expr):
            yield from _addends(operand, -sign if operator == "-" else sign)
        return
    for part, rebuilt in _factors(expr):
        inner = _bare(part)
        if isinstance(inner, syntax.Sum) and _is_plain(inner) and len(inner.operands) > 1:
            for operator, operand in _signed(inner):
                yield (-sign if operator == "-" else sign), rebuilt(operand), operand.span
            return
    yield sign, expr, expr.span


def _bare(expr: syntax.Expr) -> syntax.Expr:
    while isinstance(expr, syntax.Paren):
        expr = expr.body
    return expr


def _is_plain(expr: syntax.Sum) -> bool:
    return all(operator in "+-" for operator in expr.operators)


def _signed(expr: syntax.Sum) -> Iterator[tuple[str, syntax.Expr]]:
    yield from zip(("-" if expr.negated else "+", *expr.operators), expr.operands, strict=True)


def _factors(expr: syntax.Expr) -> Iterator[tuple[syntax.Expr, Callable[[syntax.Expr], syntax.Expr]]]:
    """The parts in which an expression is linear, each with a way to put another one in its place."""
    if isinstance(expr, syntax.IndexBracket):
        yield expr.body, lambda new: replace(expr, body=new)
    elif isinstance(expr, syntax.FormalProduct):
        for place, part in enumerate(expr.factors):
            yield part, partial(_with_factor, expr, place)
    elif isinstance(expr, syntax.MatrixProduct | syntax.Kronecker | syntax.Dot) or (
        isinstance(expr, syntax.Elementwise) and all(operator.symbol == "⊙" for operator in expr.operators)
    ):
        for place, part in enumerate(expr.operands):
            yield part, partial(_with_operand, expr, place)


def _with_factor(expr: syntax.FormalProduct, place: int, new: syntax.Expr) -> syntax.Expr:
    return replace(expr, factors=(*expr.factors[:place], syntax.Paren(new, new.span), *expr.factors[place + 1 :]))


def _with_operand(
    expr: syntax.MatrixProduct | syntax.Kronecker | syntax.Dot | syntax.Elementwise, place: int, new: syntax.Expr
) -> syntax.Expr:
    return replace(expr, operands=(*expr.operands[:place], syntax.Paren(new, new.span), *expr.operands[place + 1 :]))
