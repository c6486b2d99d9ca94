"""A tensor in a line of a message, with the names of the source: ``(-A_ij tanh(b)_j | i)``.

For reading alone: what is deep or long is cut to an ellipsis.
"""

from __future__ import annotations

from fractions import Fraction

from bracketc.ir.nodes import Add, Delta, Einsum, Linalg, Literal, Node, Number, Pointwise, Project, Reduce, Size, Tensor, Window

LETTERS = "ijklmnpqrstuvwxyzabcdefgh"

DEEPEST = 5
"""Brackets and functions inside one another."""


def worded(node: Node, depth: int = DEEPEST) -> str:
    """One line; ``…`` where it would go deeper than ``depth``."""
    if isinstance(node, Tensor):
        return node.name.removeprefix("%")
    if isinstance(node, Literal):
        return _number(node.value)
    if isinstance(node, Size):
        return str(node.dim)
    if isinstance(node, Delta):
        return "δ"
    if depth == 0:
        return "…"
    if isinstance(node, Einsum):
        return _bracket(node, depth)
    if isinstance(node, Add):
        return f"({' + '.join(worded(term, depth - 1) for term in node.terms)})".replace("+ -", "- ")
    if isinstance(node, Pointwise):
        if node.exponent is not None:
            return _power(worded(node.args[0], depth - 1), node.exponent)
        return f"{node.function}({', '.join(worded(argument, depth - 1) for argument in node.args)})"
    if isinstance(node, Linalg | Reduce):
        arguments = node.operands
        return f"{node.operator}({', '.join(worded(argument, depth - 1) for argument in arguments)})"
    if isinstance(node, Window) and not node.extents:
        place = ["·"] * node.arg.rank
        place[node.axis] = str(node.offset + 1)
        return f"{worded(node.arg, depth - 1)}[{','.join(place)}]"
    if isinstance(node, Project):
        return "a result of the recurrence"
    return "…"


def _power(base: str, exponent: Number) -> str:
    if exponent == Fraction(1, 2):
        return f"sqrt({base})"
    plain = base if base.isalnum() or base.endswith(")") else f"({base})"
    return f"{plain}**{_number(exponent)}" if isinstance(exponent, float) or exponent.denominator == 1 else f"{plain}**({exponent})"


def _number(number: Number) -> str:
    if isinstance(number, float):
        return f"{number:.6g}"
    return str(number) if number.denominator == 1 else f"({number})"


def _bracket(node: Einsum, depth: int) -> str:
    """``(A_ij b_j | i)``; without labels where there is nothing to sum or to move."""
    count = len(node.extents)
    letters = LETTERS if count <= len(LETTERS) else [f"i{k}" for k in range(count)]
    joint = "" if count <= len(LETTERS) else ","
    if not node.factors:
        return _number(node.coefficient)
    sign = "" if node.coefficient == 1 else "-" if node.coefficient == -1 else f"{_number(node.coefficient)} "
    if len(node.factors) == 1 and node.factors[0][1] == node.output:
        return f"{sign}{worded(node.operands[0], depth - 1)}"
    parts = []
    for factor, labels in node.factors:
        text = worded(factor, depth - 1)
        subscript = joint.join(letters[label] for label in labels)
        parts.append(f"{text}_{subscript}" if subscript and not joint else f"{text}_{{{subscript}}}" if subscript else text)
    body = f"{sign}{' '.join(parts)}"
    output = joint.join(letters[label] for label in node.output)
    if not any(labels for _, labels in node.factors) and not output:
        return body
    return f"({body} | {output})"
