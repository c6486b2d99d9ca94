"""Derivatives of the element-wise functions: one entry a function, made of nodes and so differentiable again.

Formulas are those of Abramowitz and Stegun, *Handbook of Mathematical Functions*, chapters 4 (elementary functions),
6.3 and 6.4 (digamma and trigamma) and 7.1.19 (erf). Conventions at kinks: the derivatives of ``step`` and ``sign`` are
0; ``abs' = sign``; ``relu' = step``, so ``relu'(0) = 0``; ``max(x, y)`` passes to ``x`` only where it is strictly the
greater, ``min(x, y)`` only where strictly the smaller, and to ``y`` at ties.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from bracketc.ir.build import (
    add,
    compare,
    einsum,
    exact,
    literal,
    multiply,
    ones,
    pointwise,
    power,
    reciprocal,
    scale,
    select,
    subtract,
    zeros,
)
from bracketc.ir.nodes import Node, Pointwise

Tangent = Node | None
"""``None`` is a zero that was never built."""


def _square(node: Node, coefficient: int = 1) -> Node:
    labels = range(node.rank)
    return einsum(coefficient, [(node, labels), (node, labels)], labels)


def _one_minus_square(node: Node) -> Node:
    return add([ones(node.shape), _square(node, -1)])


def _power(node: Pointwise) -> Node:
    """c x^(c-1)."""
    assert node.exponent is not None
    exponent = exact(node.exponent)
    lowered = exponent - 1 if isinstance(exponent, Fraction) else float(exponent) - 1.0
    return scale(exponent, power(node.args[0], lowered))


def _erf(node: Pointwise) -> Node:
    """2/√π e^(-x²)."""
    return scale(2 / math.sqrt(math.pi), pointwise("exp", _square(node.args[0], -1)))


def _itself(node: Pointwise) -> Node:
    return node


DERIVATIVES: dict[str, Callable[[Pointwise], Node | None]] = {
    "exp": _itself,
    "ln": lambda n: reciprocal(n.args[0]),
    "log10": lambda n: scale(1 / math.log(10), reciprocal(n.args[0])),
    "log1p": lambda n: reciprocal(add([ones(n.shape), n.args[0]])),
    "expm1": lambda n: add([ones(n.shape), n]),
    "abs": lambda n: pointwise("sign", n.args[0]),
    "sign": lambda n: None,
    "step": lambda n: None,
    "stop": lambda n: None,
    "sin": lambda n: pointwise("cos", n.args[0]),
    "cos": lambda n: scale(-1, pointwise("sin", n.args[0])),
    "tan": lambda n: add([ones(n.shape), _square(n)]),
    "asin": lambda n: power(_one_minus_square(n.args[0]), Fraction(-1, 2)),
    "acos": lambda n: scale(-1, power(_one_minus_square(n.args[0]), Fraction(-1, 2))),
    "atan": lambda n: reciprocal(add([ones(n.shape), _square(n.args[0])])),
    "sinh": lambda n: pointwise("cosh", n.args[0]),
    "cosh": lambda n: pointwise("sinh", n.args[0]),
    "tanh": _one_minus_square,
    "sigmoid": lambda n: multiply(n, add([ones(n.shape), scale(-1, n)])),
    "softplus": lambda n: pointwise("sigmoid", n.args[0]),
    "relu": lambda n: pointwise("step", n.args[0]),
    "erf": _erf,
    "lgamma": lambda n: pointwise("digamma", n.args[0]),
    "digamma": lambda n: pointwise("trigamma", n.args[0]),
    "power": _power,
}
"""Derivative of each function of one argument, from its node (so that ``tanh``, ``exp``, ``sigmoid`` use their own
value); ``None`` is zero everywhere."""

WITHOUT = {"trigamma": "lgamma has two derivatives here, digamma and trigamma, and so digamma has one"}
"""Functions that have no derivative here, and why."""


def _extremum(operator: str) -> Callable[[Pointwise, tuple[Tangent, ...]], Tangent]:
    def tangent(node: Pointwise, tangents: tuple[Tangent, ...]) -> Tangent:
        left, right = (zeros(node.shape) if t is None else t for t in tangents)
        return select(compare(operator, *node.args), left, right)

    return tangent


def _pow(node: Pointwise, tangents: tuple[Tangent, ...]) -> Tangent:
    """y x^(y-1) dx + x^y ln x dy, with 0 for the first where y = 0 and for the second where x = 0."""
    (base, exponent), (left, right) = node.args, tangents
    zero, one = zeros(node.shape), ones(node.shape)
    terms = []
    if left is not None:
        flat = compare("==", exponent, literal(0))
        lowered = pointwise("pow", base, select(flat, one, subtract(exponent, one)))
        terms.append(multiply(exponent, lowered, left))
    if right is not None:
        logarithm = pointwise("ln", select(compare("==", base, literal(0)), one, base))
        terms.append(select(compare("==", base, literal(0)), zero, multiply(node, logarithm, right)))
    return add(terms)


BINARY: dict[str, Callable[[Pointwise, tuple[Tangent, ...]], Tangent]] = {
    "max": _extremum(">"),
    "min": _extremum("<"),
    "pow": _pow,
}
"""Tangent of each function of two arguments, of which at least one has a tangent."""


def tangent(node: Pointwise, tangents: tuple[Tangent, ...]) -> Tangent:
    """The tangent of an element-wise node; raises ``KeyError`` for a function without a derivative."""
    if node.function in BINARY:
        return BINARY[node.function](node, tangents)
    (given,) = tangents
    assert given is not None
    derivative = DERIVATIVES[node.function](node)
    return None if derivative is None else multiply(derivative, given)
