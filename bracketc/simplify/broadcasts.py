"""Spread tensors: work is done on the small tensor, and the result is spread.

A tensor is spread along an axis when it is a bracket in which no factor carries that label.
"""

from __future__ import annotations

from fractions import Fraction

from bracketc.ir.build import add, broadcast, fill, fill_value, product, select
from bracketc.ir.nodes import Add, Node, Number, Pointwise, Select
from bracketc.ir.rewrite import Roots, rewrite
from bracketc.simplify.brackets import constant_axes, drop_axes, spread


def fold_constants(roots: Roots) -> Roots:
    """Element-wise functions of constant tensors whose value is exact.

    exp(𝟎)  ->  𝟏          relu(-𝟏)  ->  𝟎          max(𝟏, 𝟐)  ->  𝟐
    """
    return rewrite(roots, fold_constant)


_AT_ZERO = {
    **dict.fromkeys(("sin", "tan", "asin", "atan", "sinh", "tanh", "erf", "relu", "abs", "sign", "step"), Fraction(0)),
    **dict.fromkeys(("log1p", "expm1"), Fraction(0)),
    **dict.fromkeys(("exp", "cos", "cosh"), Fraction(1)),
    "sigmoid": Fraction(1, 2),
}


def fold_constant(node: Node) -> Node:
    if not isinstance(node, Pointwise) or node.function == "power":
        return node
    values = [fill_value(arg) for arg in node.args]
    value = _value(node.function, values)
    return node if value is None else fill(value, node.shape)


def _value(function: str, values: list[Number | None]) -> Number | None:
    """The exact value of a function of exact numbers; ``None`` leaves it to the generated code."""
    if not all(isinstance(value, Fraction) for value in values):
        return None
    x, *more = (value for value in values if value is not None)
    if x == 0 and function in _AT_ZERO:
        return _AT_ZERO[function]
    zero: Number = Fraction(0)
    match function:
        case "abs":
            return max(x, product(Fraction(-1), x))
        case "relu":
            return max(x, zero)
        case "sign" | "step":
            return Fraction(1 if x > 0 else -1 if function == "sign" else 0)
        case "max":
            return max(x, *more)
        case "min":
            return min(x, *more)
        case "ln" | "log10":
            return Fraction(0) if x == 1 else None
    return None


def spread_late(roots: Roots) -> Roots:
    """Apply element-wise functions, sums and conditionals to the small tensors, when all operands are spread alike.

    tanh((x_i | ij))  ->  (tanh(x)_i | ij)          (x_i | ij) + (y_i | ij)  ->  ((x + y)_i | ij)
    """
    return rewrite(roots, spread_later)


def spread_later(node: Node) -> Node:
    if not isinstance(node, Pointwise | Add | Select):
        return node
    axes = constant_axes(node.operands[0])
    for operand in node.operands[1:]:
        if not axes:
            break
        axes &= constant_axes(operand)
    if not axes:
        return node
    operands = tuple(drop_axes(operand, axes) for operand in node.operands)
    small = add(operands) if isinstance(node, Add) else node.rebuild(operands)
    return spread(small, node.shape, axes)


def fold_selects(roots: Roots) -> Roots:
    """A conditional with equal branches is the branch.

    where(c, x, x)  ->  x
    """
    return rewrite(roots, fold_select)


def fold_select(node: Node) -> Node:
    return select(node.condition, node.yes, node.no) if isinstance(node, Select) else node


def broadcast_scalar(node: Node, like: Node) -> Node:
    """A scalar spread over the shape of ``like``."""
    return node if not like.rank else broadcast(node, like.shape, ())
