"""What would make a wrong step right: one factor, sign, transposition, bar, position, name or term.

What a factor or a transposition of a whole side does shows in the numbers; other changes are tried one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from zlib import crc32

import numpy as np

from bracketc.calculus.derivatives import expand_derivatives
from bracketc.errors import BracketError, Span
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Recurrence, Tensor
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots, tensors, topological
from bracketc.lang import syntax
from bracketc.lang.proofs import Claim
from bracketc.proof.edits import Kind, edits
from bracketc.proof.samples import Array, draw
from bracketc.proof.trial import affordable_sizes

TRIED = 300
"""Changes that are tried, and with a recurrence on the way to a side, which takes long, a tenth of it."""

NODES = 10_000
"""Nodes that all the tried sides may have together."""

POINTS = 2


@dataclass(frozen=True, slots=True)
class Mend:
    """One change that mends a step: what kind, what to do, and where; ``span`` is None for a whole side."""

    kind: Kind
    advice: str
    span: Span | None = None


class _Point:
    """Random values for every tensor, the same for all that are compared."""

    def __init__(self, sizes: dict[str, int], number: int) -> None:
        self.sizes = sizes
        self.number = number
        self._arrays: dict[Tensor, Array] = {}

    def value(self, node: Node) -> Array:
        for tensor in tensors([node]):
            if tensor not in self._arrays:
                rng = np.random.default_rng((crc32(tensor.name.encode()), self.number))
                self._arrays[tensor] = draw(tensor, self.sizes, rng, positive=self.number % 2 == 1)
        return interpret([node], {t: self._arrays[t] for t in tensors([node])}, self.sizes)[0]


def mend(claim: Claim, left: Node, right: Node, program: Program, number: int | None = None) -> Mend | None:
    """The first single change of the right side, then of the left one, with which both agree at random points.

    ``left`` and ``right`` are free of derivatives; ``number`` is that of a case.
    """
    try:
        drawn = [affordable_sizes(program, np.random.default_rng(k), (left, right)) for k in range(POINTS)]
        points = [_Point(sizes, k) for k, sizes in enumerate(drawn) if sizes is not None]
        sides = [(point.value(left), point.value(right)) for point in points]
    except (BracketError, ValueError, IndexError, np.linalg.LinAlgError):
        return None
    if not sides or not all(np.all(np.isfinite(side)) for pair in sides for side in pair) or all(close(*pair) for pair in sides):
        return None
    found = of_numbers(sides)
    if found is not None or claim.pairing is None:
        return found
    pairing = claim.pairing
    lefts, rights = [pair[0] for pair in sides], [pair[1] for pair in sides]
    for is_right, side, wanted in ((True, pairing.right, lefts), (False, pairing.left, rights)):
        found = _of_terms(claim, side.expr, is_right, points, sides, number)
        if found is None:
            found = _of_edits(claim, side.expr, is_right, points, wanted, number, _names(claim, program), left)
        if found is not None:
            return found
    return None


def mend_unread(claim: Claim, program: Program) -> Mend | None:
    """The single transposition, position or name with which a right side that cannot be read is the left one."""
    pairing = claim.pairing
    if pairing is None or pairing.left.uses or pairing.right.uses or pairing.again(pairing.right.expr, True) is not None:
        return None
    left = pairing.again(pairing.left.expr, False)
    if left is None:
        return None
    try:
        (left,) = expand_derivatives(Roots((left,))).nodes
        drawn = [affordable_sizes(program, np.random.default_rng(k), (left, left)) for k in range(POINTS)]
        points = [_Point(sizes, k) for k, sizes in enumerate(drawn) if sizes is not None]
        wanted = [point.value(left) for point in points]
    except (BracketError, ValueError, IndexError, np.linalg.LinAlgError):
        return None
    if not wanted or not all(np.all(np.isfinite(side)) and np.any(side) for side in wanted):
        return None
    return _of_edits(claim, pairing.right.expr, True, points, wanted, None, _names(claim, program), left)


def of_numbers(sides: Sequence[tuple[Array, Array]]) -> Mend | None:
    """A sign, a factor or a transposition of a whole side."""
    if all(np.any(right) for _, right in sides):
        ratio = _ratio(sides)
        if ratio == -1:
            return Mend("sign", "the sign is wrong")
        if ratio is not None:
            return Mend("factor", f"a factor {ratio} is missing on the right")
    turned = [(left, right.T) for left, right in sides if left.ndim == 2 and left.shape == right.T.shape]
    if turned and len(turned) == len(sides) and all(close(left, right) for left, right in turned):
        return Mend("transposition", "the right side is transposed")
    return None


def _ratio(sides: Sequence[tuple[Array, Array]]) -> Fraction | None:
    """A simple number that the right sides have to be multiplied with."""
    left, right = sides[0]
    ratio = float(np.sum(left * right) / np.sum(right * right))
    if not all(close(one, ratio * other) for one, other in sides):
        return None
    simple = Fraction(ratio).limit_denominator(12)
    return simple if abs(ratio - simple) < 1e-9 * abs(ratio) else None


def _of_terms(
    claim: Claim,
    expr: syntax.Expr,
    is_right: bool,
    points: Sequence[_Point],
    sides: Sequence[tuple[Array, Array]],
    number: int | None,
) -> Mend | None:
    """A term with a wrong number in front: ``a + b = a + 2 b``."""
    while isinstance(expr, syntax.Paren):
        expr = expr.body
    if not isinstance(expr, syntax.Sum) or len(expr.operands) < 2:
        return None
    assert claim.pairing is not None
    for sign, operand in zip(("-" if expr.negated else "+", *expr.operators), expr.operands, strict=True):
        node = claim.pairing.again(operand, is_right, number)
        if sign not in "+-" or node is None:
            continue
        try:
            (node,) = expand_derivatives(Roots((node,))).nodes
            terms = [(-1 if sign == "-" else 1) * point.value(node) for point in points]
        except (BracketError, ValueError, IndexError, np.linalg.LinAlgError):
            continue
        pairs = []
        for (left, right), term in zip(sides, terms, strict=True):
            own, other = (right, left) if is_right else (left, right)
            if np.shape(term) != np.shape(own) or not np.any(term):
                break
            pairs.append((other - (own - term), term))
        if len(pairs) < len(sides):
            continue
        text = " ".join(operand.span.text.split())
        if all(np.max(np.abs(rest), initial=0.0) < 1e-9 * np.max(np.abs(term)) for rest, term in pairs):
            return Mend("term", f"leave out {text}", operand.span)
        ratio = _ratio(pairs)
        if ratio == -1:
            return Mend("sign", f"the sign of {text} is wrong", operand.span)
        if ratio is not None:
            return Mend("factor", f"a factor {ratio} is missing in {text}", operand.span)
    return None


def _of_edits(
    claim: Claim,
    expr: syntax.Expr,
    is_right: bool,
    points: Sequence[_Point],
    wanted: Sequence[Array],
    number: int | None,
    names: Sequence[str],
    other: Node,
) -> Mend | None:
    """The first single change of a side that makes it equal to the other one."""
    assert claim.pairing is not None
    below = topological([other])
    slow = any(isinstance(node, Recurrence) for node in below)
    most = min(TRIED // 10 if slow else TRIED, NODES // len(below))
    for count, edit in enumerate(edits(expr, names)):
        if count >= most:
            return None
        node = claim.pairing.again(edit.tree, is_right, number)
        if node is None or node.rank != wanted[0].ndim:
            continue
        try:
            (node,) = expand_derivatives(Roots((node,))).nodes
            if all(close(value, point.value(node)) for value, point in zip(wanted, points, strict=True)):
                return Mend(edit.kind, edit.advice, edit.span)
        except (BracketError, ValueError, IndexError, np.linalg.LinAlgError):
            continue
    return None


def _names(claim: Claim, program: Program) -> tuple[str, ...]:
    """Names that one may have meant: of arguments, and what both sides mention."""
    assert claim.pairing is not None
    found: dict[str, None] = {}
    for side in (claim.pairing.left, claim.pairing.right):
        found.update(dict.fromkeys(_mentioned(side.expr)))
    found.update(dict.fromkeys(tensor.name for tensor in program.arguments if tensor.dtype == "real"))
    return tuple(found)


def _mentioned(expr: syntax.Expr) -> Iterator[str]:
    for node in syntax.walk(expr):
        if isinstance(node, syntax.Name):
            yield node.text


def close(left: Array, right: Array) -> bool:
    if np.shape(left) != np.shape(right):
        return False
    return bool(np.max(np.abs(left - right), initial=0.0) <= 1e-9 * max(float(np.max(np.abs(left), initial=0.0)), 1e-9))
