"""The tensor IR as text: one node a line, operands first; :mod:`bracketc.ir.reader` reads it back to the same nodes.

    A : real [I, J]
    B : real [J, K]
    %2 = (2 A_ij B_jk | ik) : [I, K] sum j: J
    %3 = tanh(%2) : [I, K]
    return %3

A tensor is called by its name where that is plain and unique, everything else ``%n``, n being its place in the text.
Labels of a bracket are ``i j k …`` in their canonical order. The body of a recurrence is an indented text of its own.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Compare,
    Delta,
    Derivative,
    Differential,
    Einsum,
    Gather,
    Linalg,
    Literal,
    Node,
    Number,
    Overlap,
    Pointwise,
    Project,
    Range,
    Recurrence,
    Reduce,
    Scatter,
    Select,
    Size,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.rewrite import topological

LETTERS = "ijklmnpqrstuvwxyzabcdefgh"
_PLAIN = re.compile(r"(?!(?:inf|return|literal|size|range|delta)$)[^\W\d_][^\W_]*'*")


def print_roots(roots: Iterable[Node]) -> str:
    """The text of every node below ``roots``; ``read_roots`` gives ``roots`` back."""
    return "\n".join(_lines(tuple(roots), "")) + "\n"


def describe(node: Node) -> str:
    """One node alone, its operands by name or shape: for messages.

    ``(2 A_ij <tanh J×K>_jk | ik)``
    """
    names: dict[Node, str] = {}
    for operand in (*node.operands, *bound_tensors(node)):
        if isinstance(operand, Tensor):
            names[operand] = operand.name
        else:
            kind = operand.function if isinstance(operand, Pointwise) else type(operand).__name__
            shape = "" if isinstance(operand, Recurrence) else "×".join(map(str, operand.shape))
            names[operand] = f"<{kind} {shape}>".replace(" >", ">")
    if isinstance(node, Tensor):
        return f"{node.name} {_tensor(node)}"
    if isinstance(node, Recurrence):
        return f"{_recurrence(node, names)} {{ … {len(node.body.results)} results }}"
    return _definition(node, names)


def bound_tensors(node: Node) -> tuple[Tensor, ...]:
    """The placeholders that ``node`` binds without having them as operands."""
    if isinstance(node, Derivative):
        return (node.wrt,)
    return node.wrt if isinstance(node, Differential) else ()


def number_text(value: Number) -> str:
    """A number that reads back to the same bits: ``3``, ``-1/2``, ``1.0``, ``inf``."""
    if isinstance(value, Fraction):
        return str(value)
    if math.isnan(value):
        return f"nan:{struct.pack('>d', value).hex()}"
    return repr(value)


def label_text(label: int) -> str:
    """Name of a label: one letter, or a letter and a number from the twenty-sixth on."""
    turn, place = divmod(label, len(LETTERS))
    return LETTERS[place] + (str(turn) if turn else "")


def labels_text(labels: Iterable[int]) -> str:
    """Labels written together; braces where one of them is long: ``ij``, ``{i,j1}``."""
    texts = [label_text(label) for label in labels]
    return "".join(texts) if all(len(text) == 1 for text in texts) else "{" + ",".join(texts) + "}"


def bracket_text(node: Einsum, names: Mapping[Node, str]) -> str:
    """The bracket with its factors called by ``names``: ``(2 A_ij B_jk | ik)``."""
    parts: list[str] = []
    if not node.factors or not isinstance(node.coefficient, Fraction) or node.coefficient != 1:
        parts.append(number_text(node.coefficient))
    for factor, labels in node.factors:
        parts.append(f"{names[factor]}_{labels_text(labels)}" if labels else names[factor])
    return f"({' '.join(parts)} | {labels_text(node.output)})".replace("| )", "|)")


def _lines(roots: tuple[Node, ...], indent: str, parameters: tuple[Tensor, ...] = ()) -> list[str]:
    order: dict[Node, None] = dict.fromkeys(parameters)
    for node in topological(roots):
        for placeholder in bound_tensors(node):
            order.setdefault(placeholder)
        order.setdefault(node)
    counts = Counter(node.name for node in order if isinstance(node, Tensor))
    names: dict[Node, str] = {}
    lines: list[str] = []
    for place, node in enumerate(order):
        plain = isinstance(node, Tensor) and counts[node.name] == 1 and _PLAIN.fullmatch(node.name) is not None
        names[node] = node.name if isinstance(node, Tensor) and plain else f"%{place}"
        if isinstance(node, Tensor):
            head = node.name if plain else f'{names[node]} = tensor "{node.name}"'
            lines.append(f"{indent}{head} {_tensor(node)}")
        elif isinstance(node, Recurrence):
            lines.append(f"{indent}{names[node]} = {_recurrence(node, names)} {{")
            lines += _lines(node.body.results, indent + "  ", node.body.parameters)
            lines.append(indent + "}")
        else:
            lines.append(f"{indent}{names[node]} = {_definition(node, names)}")
    lines.append(f"{indent}return {', '.join(names[root] for root in roots)}".rstrip())
    return lines


def _dims(dims: Iterable[Dim]) -> str:
    return ", ".join(map(str, dims))


def _tensor(node: Tensor) -> str:
    text = f": {node.kind} [{_dims(node.shape)}]"
    if node.bound is not None:
        text += f" below {node.bound}"
    return f"{text} with {', '.join(node.traits)}" if node.traits else text


def _recurrence(node: Recurrence, names: Mapping[Node, str]) -> str:
    lists = [", ".join(names[n] for n in nodes) for nodes in (node.carries, node.xs, node.consts)]
    direction = "backward" if node.reverse else "forward"
    return f"recurrence[{node.length}; {direction}]({'; '.join(lists)})"


def _definition(node: Node, names: Mapping[Node, str]) -> str:
    """Right of the ``=`` for all but tensors and recurrences."""
    text = _body(node, names)
    if isinstance(node, Literal | Size | Range | Delta) or any(isinstance(n, Recurrence) for n in node.operands):
        return text
    text += f" : [{_dims(node.shape)}]"
    if isinstance(node, Einsum):
        summed = [label for label in range(len(node.extents)) if label not in node.output]
        if summed:
            text += " sum " + ", ".join(f"{label_text(label)}: {node.extents[label]}" for label in summed)
    return text


def _body(node: Node, names: Mapping[Node, str]) -> str:
    if isinstance(node, Einsum):
        return bracket_text(node, names)
    args = [names[operand] for operand in node.operands]
    call = f"({', '.join(args)})"
    match node:
        case Literal():
            return f"literal {number_text(node.value)}"
        case Size():
            return f"size {node.dim}"
        case Range():
            return f"range {node.extent}"
        case Delta():
            return f"delta {node.extent}"
        case Add():
            return " + ".join(args)
        case Pointwise():
            exponent = "" if node.exponent is None else f"[{number_text(node.exponent)}]"
            return node.function + exponent + call
        case Compare():
            return f"compare[{node.operator}]{call}"
        case Select():
            return f"select{call}"
        case Reduce():
            return f"reduce[{node.operator}; {', '.join(map(str, node.axes))}]{call}"
        case Window():
            steps = ", ".join(map(str, node.steps))
            return f"window[{node.axis}; {node.offset}; {steps}; {_dims(node.extents)}]{call}"
        case Overlap():
            steps = ", ".join(map(str, node.steps))
            return f"overlap[{node.axis}; {node.offset}; {steps}; {node.extent}]{call}"
        case Gather():
            return f"gather{call}"
        case Scatter():
            return f"scatter[{node.extent}]{call}"
        case Stack():
            return f"stack{call}"
        case Linalg():
            return f"linalg[{node.operator}]{call}"
        case Project():
            return f"project[{node.index}]{call}"
        case Derivative():
            return f"derivative[{node.layout}; {names[node.wrt]}]{call}"
        case Differential():
            return f"differential[{', '.join(names[variable] for variable in node.wrt)}]{call}"
    raise AssertionError(f"no text for {type(node).__name__}")
