"""Reads the text that :mod:`bracketc.ir.printer` writes back to the same nodes.

>>> x = Tensor("x", (Dim.named("N"),))
>>> read_roots(print_roots([x]))[0] is x
True
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import cast

from bracketc.errors import SourceError
from bracketc.ir.dims import Dim
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.nodes import (
    Add,
    Body,
    Compare,
    Delta,
    Derivative,
    Differential,
    DType,
    Einsum,
    Gather,
    Labels,
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
    Shape,
    Size,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.printer import LETTERS

_TENSOR = re.compile(
    r'(?:(\S+) = tensor "([^"]*)"|(\S+)) : (real|integer|boolean) \[([^]]*)\](?: below (.*?))?(?: with (.*))?'
)
_NUMBER = re.compile(r"-?(\d.*|inf)|nan:[0-9a-f]{16}")
_EINSUM = re.compile(r"\((.*) \|\s?([^)]*)\) : \[([^]]*)\](?: sum (.*))?")
_CALL = re.compile(r"(\w+)(?:\[([^]]*)\])?\((.*?)\)(?: : \[.*\])?")
_RECURRENCE = re.compile(r"recurrence\[(.*); (forward|backward)\]\((.*); ?(.*); ?(.*)\) \{")
_LABEL = re.compile(r"[a-z]\d*")
Names = dict[str, Node]


def read_roots(text: str) -> tuple[Node, ...]:
    """The nodes after ``return``. Text that the printer cannot have written raises :class:`SourceError`."""
    lines = iter(line.strip() for line in text.splitlines() if line.strip())
    return _block(lines)[1]


def _block(lines: Iterator[str]) -> tuple[list[Tensor], tuple[Node, ...]]:
    """Tensors in order, and results, of the lines up to ``return``."""
    names: Names = {}
    given: list[Tensor] = []
    for line in lines:
        if line == "return" or line.startswith("return "):
            return given, _refs(line[len("return") :], names)
        tensor = _TENSOR.fullmatch(line)
        if tensor is not None:
            given.append(_tensor(tensor, names))
            continue
        name, equals, body = line.partition(" = ")
        if not equals:
            raise _unreadable(line)
        names[name] = _node(body, names, lines)
    raise SourceError("the text of the tensor IR ends without `return`")


def _unreadable(text: str) -> SourceError:
    return SourceError(f"not a line of the tensor IR: {text}")


def _tensor(found: re.Match[str], names: Names) -> Tensor:
    reference, name, plain, kind, dims, bound, traits = found.groups()
    node = Tensor(
        plain if name is None else name,
        _dims(dims),
        cast(DType, kind),
        tuple(traits.split(", ")) if traits else (),
        None if bound is None else read_dim(bound),
    )
    names[reference or plain] = node
    return node


def read_dim(text: str) -> Dim:
    """A size from its text: ``2 N + K - 1``."""
    tokens = text.split()
    total, sign = Dim.of(0), 1
    product: Dim | None = None
    for token in tokens:
        if token in ("+", "-"):
            total, product = (total if product is None else total + sign * product), None
            sign = 1 if token == "+" else -1
            continue
        if token.startswith("-"):
            sign, token = -sign, token[1:]
        factor = Dim.of(int(token)) if token.isdecimal() else Dim.named(token)
        product = factor if product is None else product * factor
    if product is None:
        raise _unreadable(text)
    return total + sign * product


def read_number(text: str) -> Number:
    """A number from its text: ``3``, ``-1/2`` exact, ``1.0`` and ``inf`` floats."""
    if text.startswith("nan:"):
        return cast(float, struct.unpack(">d", bytes.fromhex(text[4:]))[0])
    return Fraction(text) if re.fullmatch(r"-?\d+(/\d+)?", text) else float(text)


def _dims(text: str) -> Shape:
    return tuple(read_dim(part) for part in text.split(",") if part.strip())


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip())


def _ref(text: str, names: Names) -> Node:
    node = names.get(text.strip())
    if node is None:
        raise SourceError(f"{text.strip()} is used before it is defined")
    return node


def _refs(text: str, names: Names) -> tuple[Node, ...]:
    return tuple(_ref(part, names) for part in text.split(",") if part.strip())


def _labels(text: str) -> Labels:
    return tuple(
        LETTERS.index(label[0]) + len(LETTERS) * int(label[1:] or "0") for label in _LABEL.findall(text.strip("{}"))
    )


def _node(text: str, names: Names, lines: Iterator[str]) -> Node:
    recurrence = _RECURRENCE.fullmatch(text)
    if recurrence is not None:
        length, direction, *lists = recurrence.groups()
        carries, xs, consts = (_refs(part, names) for part in lists)
        inner = _body(lines, len(carries) + len(xs) + len(consts))
        return Recurrence(inner, read_dim(length), carries, xs, consts, direction == "backward")
    bracket = _EINSUM.fullmatch(text)
    if bracket is not None:
        return _einsum(bracket, names)
    word, _, rest = text.partition(" ")
    if word in _LEAVES:
        return _LEAVES[word](rest)
    call = _CALL.fullmatch(text)
    if call is not None:
        return _call(call[1], [part.strip() for part in (call[2] or "").split(";")], _refs(call[3], names), names)
    body, colon, _ = text.partition(" : ")
    if colon:
        return Add(tuple(_ref(part, names) for part in body.split(" + ")))
    raise _unreadable(text)


def _body(lines: Iterator[str], count: int) -> Body:
    given, results = _block(lines)
    if next(lines, "") != "}":
        raise SourceError("the body of a recurrence ends without `}`")
    return Body(tuple(given[:count]), results)


_LEAVES: dict[str, Callable[[str], Node]] = {
    "literal": lambda text: Literal(read_number(text)),
    "size": lambda text: Size(read_dim(text)),
    "range": lambda text: Range(read_dim(text)),
    "delta": lambda text: Delta(read_dim(text)),
}


def _einsum(found: re.Match[str], names: Names) -> Einsum:
    inside, output, dims, sums = found.groups()
    coefficient: Number = Fraction(1)
    factors: list[tuple[Node, Labels]] = []
    for part in inside.split():
        if _NUMBER.fullmatch(part):
            coefficient = read_number(part)
            continue
        name, _, labels = part.partition("_")
        factors.append((_ref(name, names), _labels(labels)))
    labels_out = _labels(output)
    extents = dict(zip(labels_out, _dims(dims), strict=True))
    for part in (sums or "").split(","):
        if part.strip():
            label, _, dim = part.partition(":")
            extents[_labels(label.strip())[0]] = read_dim(dim)
    return Einsum(coefficient, tuple(factors), labels_out, tuple(extents[label] for label in sorted(extents)))


def _call(head: str, fields: list[str], operands: tuple[Node, ...], names: Names) -> Node:
    if head in FUNCTIONS:
        return Pointwise(head, operands, read_number(fields[0]) if fields[0] else None)
    match head:
        case "compare":
            return Compare(fields[0], *operands)
        case "select":
            return Select(*operands)
        case "reduce":
            return Reduce(fields[0], operands[0], _integers(fields[1]))
        case "window":
            return Window(operands[0], int(fields[0]), read_dim(fields[1]), _integers(fields[2]), _dims(fields[3]))
        case "overlap":
            return Overlap(operands[0], int(fields[0]), read_dim(fields[1]), _integers(fields[2]), read_dim(fields[3]))
        case "gather":
            return Gather(*operands)
        case "scatter":
            return Scatter(operands[0], operands[1], read_dim(fields[0]))
        case "stack":
            return Stack(operands)
        case "linalg":
            return Linalg(fields[0], operands)
        case "project":
            return Project(cast(Recurrence, operands[0]), int(fields[0]))
        case "derivative":
            return Derivative(operands[0], cast(Tensor, _ref(fields[1], names)), operands[1], fields[0])
        case "differential":
            variables = cast(tuple[Tensor, ...], _refs(fields[0], names))
            count = len(variables)
            return Differential(operands[0], variables, operands[1 : 1 + count], operands[1 + count :])
    raise SourceError(f"unknown operation {head}")
