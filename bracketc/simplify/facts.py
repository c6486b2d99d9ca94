"""What is known of the entries of a node: by construction, and, in ``declared_…``, by the traits of arguments."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from bracketc.ir.nodes import Add, Einsum, Literal, Node, Pointwise, Range, Reduce, Size, Tensor, Window
from bracketc.ir.rewrite import topological

Fact = Callable[[Node], bool]

_DEPTH = 6
"""How far below a node facts are looked for."""

_POSITIVE_FUNCTIONS = frozenset(("exp", "sigmoid", "softplus", "cosh"))


def positive(node: Node) -> bool:
    """Whether every entry is above 0 whatever the arguments are (up to underflow)."""
    return _positive(node, lambda tensor: False, _DEPTH)


def declared_positive(node: Node) -> bool:
    """Whether every entry is above 0 under the traits of the arguments."""
    return _positive(node, lambda tensor: "positive" in tensor.traits, _DEPTH)


def declared_above_zero(node: Node) -> bool:
    """The same where sizes are 0, too: none of it is a size, nor a sum or a maximum of nothing."""
    return declared_positive(node) and not any(_may_be_nothing(inner) for inner in topological((node,)))


def _may_be_nothing(node: Node) -> bool:
    match node:
        case Einsum():
            taken = {label for _, labels in node.factors for label in labels}.difference(node.output)
            extents = [node.extents[label] for label in taken]
        case Reduce():
            extents = [node.arg.shape[axis] for axis in node.axes]
        case Size():
            extents = [node.dim]
        case _:
            return False
    return any(extent.constant is None or extent.constant == 0 for extent in extents)


def declared_nonzero(node: Node) -> bool:
    """Whether no entry is 0 under the traits of the arguments."""
    return declared_positive(node) or (isinstance(node, Tensor) and "nonzero" in node.traits)


def _positive(node: Node, declared: Callable[[Tensor], bool], depth: int) -> bool:
    def below(inner: Node) -> bool:
        return depth > 0 and _positive(inner, declared, depth - 1)

    match node:
        case Tensor():
            return declared(node)
        case Literal():
            return node.value > 0
        case Size() | Range():
            return True
        case Einsum():
            return node.coefficient > 0 and all(below(factor) for factor in node.operands)
        case Add():
            return all(below(term) for term in node.terms)
        case Pointwise():
            if node.function in ("power", "pow", "min"):
                return all(below(arg) for arg in node.args)
            if node.function == "max":
                return any(below(arg) for arg in node.args)
            return node.function in _POSITIVE_FUNCTIONS
        case Reduce():
            return node.operator in ("max", "min", "prod") and below(node.arg)
        case Window():
            return below(node.arg)
        case _:
            return False


def is_integer(value: object) -> bool:
    return isinstance(value, Fraction) and value.denominator == 1
