"""Expressions as text, in Unicode or ASCII, which reads back to the same tree.

Parentheses follow from one table: a node is wrapped when it binds more loosely than the place where it stands
demands.  Trees that were parsed need none, for their parentheses are nodes.  Nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bracketc.lang import syntax
from bracketc.lang.spelling import spelled
from bracketc.lang.syntax import Label, Name, Node, Number, Operator, Positions


@dataclass(frozen=True, slots=True)
class Break:
    """A space that may become a line end; the smaller ``depth``, the sooner it does."""

    depth: int = 0


@dataclass(frozen=True, slots=True)
class Child:
    """A node below, in a place where it must bind at least as tightly as ``level``."""

    node: Node
    level: int


Part: TypeAlias = str | Break | Child
Piece: TypeAlias = str | Break

BREAK = Break()  # behind an operator or a comma, where a statement goes on over the line end
_SPACE = Break(-1)  # between factors: may become a line end inside brackets only

ANY, SUM, DOT, ELEMENTWISE, KRONECKER, MATRIX, SYSTEM, SPACE, FACTOR, POWER, POSTFIX, ATOM = range(12)

LEVEL: dict[type, int] = {
    syntax.Sum: SUM,
    syntax.Dot: DOT,
    syntax.Elementwise: ELEMENTWISE,
    syntax.Kronecker: KRONECKER,
    syntax.MatrixProduct: MATRIX,
    syntax.System: SYSTEM,
    syntax.FormalProduct: SPACE,
    syntax.Bar: FACTOR,
    syntax.Fusion: POWER,
    syntax.Power: POWER,
    syntax.Number: POSTFIX,
}
"""How tightly each kind of node binds; all others are atoms, which take every postfix."""


def pieces(node: Node, style: str, level: int = ANY) -> list[Piece]:
    """The text of an expression, entry or comparison, cut where a line may end.

    ``style`` is "unicode" or "ascii"; ``level`` says how tightly the place binds.
    """
    found: list[Piece] = []
    inside = 0
    pending: list[tuple[Part, int]] = [(Child(node, level), 1)]
    while pending:
        part, depth = pending.pop()
        if isinstance(part, str):
            inside += sum(part.count(c) for c in "([{") - sum(part.count(c) for c in ")]}")
            found.append(part)
        elif isinstance(part, Break):
            found.append(Break(depth) if part is BREAK or inside else " ")
        else:
            parts = _parts(part.node, style)
            if LEVEL.get(type(part.node), ATOM) < part.level:
                parts = ["(", *parts, ")"]
            pending.extend((below, depth + 1 if isinstance(below, Child) else depth) for below in reversed(parts))
    return found


def text(node: Node, style: str = "unicode", level: int = ANY) -> str:
    """The text of an expression on one line: ``MatrixProduct((Name("X"), Name("W")))`` -> ``X @ W``."""
    return flat(pieces(node, style, level))


def flat(parts: Sequence[Piece]) -> str:
    """Pieces on one line."""
    return "".join(" " if isinstance(part, Break) else part for part in parts)


def _parts(node: Node, style: str) -> list[Part]:
    if isinstance(node, Number | Name):
        return [node.text]
    return _WRITERS[type(node)](node, style)


# ---------------------------------------------------------------------------------------------- lists


def positions_text(positions: Positions) -> str:
    """``312``, ``{~1[25]3}``, ``{10,3}``, ``{10,}``."""
    numbers = positions.numbers
    commas = max(numbers) > 9
    groups = []
    for group in positions.groups:
        members = ("," if commas else "").join(("~" if p.barred else "") + str(p.number) for p in group)
        groups.append(f"[{members}]" if len(group) > 1 else members)
    body = ("," if commas else "").join(groups)
    if commas and len(numbers) == 1:
        return f"{{{body},}}"
    return body if body.isdigit() and not commas else f"{{{body}}}"


def labels_text(labels: Sequence[Label]) -> str:
    """Labels behind a ``_``: ``ij``, ``{i1,k}``, ``{row,}``."""
    names = [label.text for label in labels]
    if all(len(name) == 1 for name in names):
        return "".join(names)
    return f"{{{','.join(names)}{',' if len(names) == 1 else ''}}}"


def _right_of_bar(labels: Sequence[Label]) -> str:
    names = [label.text for label in labels]
    if all(len(name) == 1 for name in names):
        return "".join(names)
    if len(names) > 1:
        return ",".join(names)
    return f"{{{names[0]}}}" if any(char.isdigit() for char in names[0]) else f"{names[0]},"


def _tight(node: Node) -> bool:
    """Whether an entry is short enough to stand without spaces: ``t-1``, ``i``, ``·``."""
    if isinstance(node, syntax.Sum):
        return all(isinstance(operand, Number | Name) for operand in node.operands) and not (
            set(node.operators) - {"+", "-"}
        )
    return isinstance(node, Number | Name | syntax.All)


def entry_parts(node: Node) -> list[Part]:
    """An entry of an index, a size or a bound: sums of names and numbers stand without spaces."""
    if isinstance(node, syntax.Slice):
        return [*entry_parts(node.first), "..", *entry_parts(node.last)]
    if isinstance(node, syntax.Sum) and _tight(node):
        parts: list[Part] = ["-"] if node.negated else []
        parts.append(Child(node.operands[0], ATOM - 1))
        for operator, operand in zip(node.operators, node.operands[1:], strict=True):
            parts += [operator, Child(operand, ATOM - 1)]
        return parts
    return [Child(node, ANY)]


def _entries(entries: Sequence[Node]) -> list[Part]:
    tight = all(_tight(entry) for entry in entries)
    parts: list[Part] = []
    for index, entry in enumerate(entries):
        if index:
            parts += [","] if tight else [",", BREAK]
        parts += entry_parts(entry)
    return parts


def _arguments(arguments: Sequence[Node]) -> list[Part]:
    parts: list[Part] = ["("]
    for index, argument in enumerate(arguments):
        if index:
            parts += [",", BREAK]
        parts.append(Child(argument, ANY))
    return [*parts, ")"]


def _references(references: Sequence[syntax.Reference]) -> list[Part]:
    parts: list[Part] = []
    for index, reference in enumerate(references):
        parts += [","] if index else []
        parts += reference_parts(reference)
    return parts


def reference_parts(node: syntax.Reference) -> list[Part]:
    """``W`` or ``W[1]``."""
    if node.entries is None:
        return [node.name.text]
    return [node.name.text, "[", *_entries(node.entries), "]"]


# ---------------------------------------------------------------------------------------------- nodes


def _ones(node: syntax.Ones, style: str) -> list[Part]:
    symbol = spelled("𝟏", style)
    if node.sizes is not None:
        return [symbol + spelled("⟨", style), *_entries(node.sizes), spelled("⟩", style)]
    return [symbol if node.rank == 1 else f"{symbol}_{''.join(map(str, range(1, node.rank + 1)))}"]


def _one_hot(node: syntax.OneHot, style: str) -> list[Part]:
    return ["e" + spelled("⟨", style), *_entries(node.entries), spelled("⟩", style)]


def _index_bracket(node: syntax.IndexBracket, style: str) -> list[Part]:
    return ["(", Child(node.body, ANY), " | ", _right_of_bar(node.labels), ")"]


def _fusion(node: syntax.Fusion, style: str) -> list[Part]:
    return ["[", *_joined(node.members, FACTOR), "]"]


def _joined(nodes: Sequence[Node], level: int) -> list[Part]:
    parts: list[Part] = []
    for index, node in enumerate(nodes):
        parts += [_SPACE] if index else []
        parts.append(Child(node, level))
    return parts


def _portion(node: syntax.Portion, style: str) -> list[Part]:
    tag = "" if node.instance is None else f"#{node.instance}"
    return [Child(node.operand, ATOM), f"{tag}_{positions_text(node.positions)}"]


def _labelled(node: syntax.Labelled, style: str) -> list[Part]:
    return [Child(node.operand, ATOM), f"_{labels_text(node.labels)}"]


def _index(node: syntax.Index, style: str) -> list[Part]:
    opening = "[" if isinstance(node.operand, Name) else "!["
    return [Child(node.operand, ATOM), opening, *_entries(node.entries), "]"]


def _power(node: syntax.Power, style: str) -> list[Part]:
    sign = "-" if node.negated else ""
    exponent = node.exponent
    if isinstance(exponent, Number | Name | syntax.Paren):
        return [Child(node.base, POSTFIX), f"**{sign}", Child(exponent, POSTFIX)]
    return [Child(node.base, POSTFIX), f"**{sign}(", Child(exponent, ANY), ")"]


def _system(node: syntax.System, style: str) -> list[Part]:
    return _chain(node.lines, [" &"] * (len(node.lines) - 1), SPACE)


def _matrix_product(node: syntax.MatrixProduct, style: str) -> list[Part]:
    return _chain(node.operands, [" @"] * (len(node.operands) - 1), SYSTEM)


def _kronecker(node: syntax.Kronecker, style: str) -> list[Part]:
    return _chain(node.operands, [" " + spelled("⊗", style)] * (len(node.operands) - 1), MATRIX)


def _elementwise(node: syntax.Elementwise, style: str) -> list[Part]:
    operators = [operator_text(operator, style) for operator in node.operators]
    first, *rest = node.operands
    tight = isinstance(first, Number | Name) and isinstance(rest[0], Number | Name | syntax.Paren)
    if operators == ["/"] and tight:
        return [Child(first, ANY), "/", Child(rest[0], ANY)]
    parts: list[Part] = [Child(first, KRONECKER)]
    for operator, written, operand in zip(node.operators, operators, rest, strict=True):
        level = FACTOR if operator.symbol == "⊘" else KRONECKER
        parts += [f" {written}", BREAK, Child(operand, level)]
    return parts


def _dot(node: syntax.Dot, style: str) -> list[Part]:
    return _chain(node.operands, [" " + operator_text(operator, style) for operator in node.operators], ELEMENTWISE)


def _sum(node: syntax.Sum, style: str) -> list[Part]:
    operators = [" " + spelled(operator, style) for operator in node.operators]
    return [*(["-"] if node.negated else []), *_chain(node.operands, operators, DOT)]


def _chain(operands: Sequence[Node], operators: Sequence[str], level: int) -> list[Part]:
    parts: list[Part] = [Child(operands[0], level)]
    for operator, operand in zip(operators, operands[1:], strict=True):
        parts += [operator, BREAK, Child(operand, level)]
    return parts


def operator_text(operator: Operator, style: str) -> str:
    """``⊙``, ``·_2``, ``^{~23}⊙^{31}``; a division is ``/`` unless it was typed ``⊘``."""
    symbol = spelled(operator.symbol, style)
    if operator.symbol == "⊘" and "⊘" not in operator.span.text:
        symbol = "/"
    if operator.left is not None and operator.right is not None:
        return f"^{positions_text(operator.left)}{symbol}^{positions_text(operator.right)}"
    return symbol if operator.count is None else f"{symbol}_{operator.count}"


def _call(node: syntax.Call, style: str) -> list[Part]:
    return [_mapped(node.function, node.positions), *_arguments(node.arguments)]


def _mapped(function: Name, positions: Positions | None) -> str:
    return function.text if positions is None else f"{function.text}^{positions_text(positions)}"


def _where(node: syntax.Where, style: str) -> list[Part]:
    return ["where", *_arguments((node.condition, node.chosen, node.otherwise))]


def _comparison(node: syntax.Comparison, style: str) -> list[Part]:
    return [Child(node.left, ANY), f" {node.operator} ", Child(node.right, ANY)]


def _reduction(node: syntax.Reduction, style: str) -> list[Part]:
    parts: list[Part] = [node.operation, "["]
    for index, binder in enumerate(node.binders):
        parts += [","] if index else []
        parts.append(binder.name.text)
        if binder.first is not None and binder.last is not None:
            parts += ["=", *entry_parts(binder.first), "..", *entry_parts(binder.last)]
    return [*parts, "](", Child(node.body, ANY), ")"]


def _function_derivative(node: syntax.FunctionDerivative, style: str) -> list[Part]:
    operator = spelled(node.operator, style)
    space = "" if operator == "∇" else " "
    return [operator + space + _mapped(node.function, node.positions), *_arguments(node.arguments)]


def _derivative(node: syntax.Derivative, style: str) -> list[Part]:
    return [spelled(node.operator, style), "[", *_references(node.wrt), "](", Child(node.body, ANY), ")"]


def _differential(node: syntax.Differential, style: str) -> list[Part]:
    return ["d[", *_references(node.wrt), "](", Child(node.body, ANY), ")"]


_WRITERS: dict[type, Callable[..., list[Part]]] = {
    syntax.Ones: _ones,
    syntax.Iota: lambda node, style: [spelled("ι", style)],
    syntax.OneHot: _one_hot,
    syntax.Delta: lambda node, style: [f"{spelled('δ', style)}_{labels_text(node.labels)}"],
    syntax.Paren: lambda node, style: ["(", Child(node.body, ANY), ")"],
    syntax.Brace: lambda node, style: ["{", Child(node.body, ANY), "}"],
    syntax.Fusion: _fusion,
    syntax.IndexBracket: _index_bracket,
    syntax.Portion: _portion,
    syntax.Labelled: _labelled,
    syntax.Index: _index,
    syntax.Transpose: lambda node, style: [Child(node.operand, ATOM), "^T"],
    syntax.Power: _power,
    syntax.Bar: lambda node, style: ["~", Child(node.operand, POWER)],
    syntax.FormalProduct: lambda node, style: _joined(node.factors, FACTOR),
    syntax.System: _system,
    syntax.MatrixProduct: _matrix_product,
    syntax.Kronecker: _kronecker,
    syntax.Elementwise: _elementwise,
    syntax.Dot: _dot,
    syntax.Sum: _sum,
    syntax.Call: _call,
    syntax.Stop: lambda node, style: ["stop(", Child(node.operand, ANY), ")"],
    syntax.Where: _where,
    syntax.Comparison: _comparison,
    syntax.Reduction: _reduction,
    syntax.FunctionDerivative: _function_derivative,
    syntax.Derivative: _derivative,
    syntax.Differential: _differential,
    syntax.All: lambda node, style: [spelled("·", style)],
    syntax.Slice: lambda node, style: entry_parts(node),
}


def expand(parts: Sequence[Part], style: str) -> list[Piece]:
    """Parts with their children written out."""
    found: list[Piece] = []
    for part in parts:
        if isinstance(part, Child):
            found.extend(pieces(part.node, style, part.level))
        else:
            found.append(part)
    return found
