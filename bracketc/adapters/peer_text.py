"""A program as a Python function over an array library, such as a user of that library would write it by hand.

    Z = tanh(X @ W + 𝟏 b)   ->   v1 = X @ W;  v2 = v1 + b[None, :];  v3 = xp.tanh(v2)

Only the function itself is written: its derivatives are what the library is compared for. Sizes are numbers here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Compare,
    Delta,
    Einsum,
    Gather,
    Labels,
    Linalg,
    Literal,
    Node,
    Number,
    Pointwise,
    Project,
    Range,
    Recurrence,
    Reduce,
    Select,
    Size,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.printer import label_text
from bracketc.ir.rewrite import topological

FUNCTIONS = frozenset(("exp", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sign", "log10"))
"""Called the same everywhere; the others by helpers that the library's adapter brings along."""

HELPERS = frozenset(
    ("ln", "abs", "sigmoid", "softplus", "relu", "step", "asin", "acos", "atan", "erf", "lgamma", "max", "min", "pow")
)


class Unwritable(Exception):
    """A node that this adapter has no text for."""


def function_text(name: str, arguments: Sequence[Tensor], results: Sequence[Node]) -> str:
    """``def name(arguments): … return results`` over ``xp`` and the helpers of an adapter."""
    given: dict[Node, str] = {node: f"a{number}" for number, node in enumerate(arguments)}
    body = _body(given, results)
    head = f"def {name}({', '.join(given.values())}):"
    return "\n".join([head, *(f"    {line}" for line in body)])


def _body(given: Mapping[Node, str], results: Sequence[Node]) -> list[str]:
    writer = _Writer(dict(given))
    for node in topological(results):
        if node not in writer.names:
            writer.statement(node)
    returned = ", ".join(writer.names[node] for node in results)
    return [*writer.lines, f"return ({returned},)"]


class _Writer:
    """The statements so far, and the variable of each node."""

    def __init__(self, names: dict[Node, str]) -> None:
        self.names = names
        self.lines: list[str] = []

    def statement(self, node: Node) -> None:
        rule = _RULES.get(type(node))
        if rule is None:
            raise Unwritable(f"{type(node).__name__} has no counterpart")
        text = rule(self, node)
        if isinstance(node, Literal | Size):
            self.names[node] = text
            return
        self.names[node] = f"v{len(self.names)}"
        self.lines.append(f"{self.names[node]} = {text}")


def _number(value: Number) -> str:
    if isinstance(value, Fraction) and value.denominator == 1:
        return f"{value.numerator}.0" if value >= 0 else f"({value.numerator}.0)"
    return repr(float(value)) if value >= 0 else f"({float(value)!r})"


def _int(dim: Dim) -> int:
    assert dim.constant is not None, dim
    return dim.constant


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(map(_int, node.shape))


def _einsum(w: _Writer, node: Einsum) -> str:
    scalars = [w.names[factor] for factor, labels in node.factors if not labels]
    tensors = [(factor, labels) for factor, labels in node.factors if labels]
    if node.coefficient != 1 or not node.factors:
        scalars.insert(0, _number(node.coefficient))
    if not tensors:
        text = " * ".join(scalars)
        return f"full({_shape(node)}, {text})" if node.rank else text
    text = _product(w, node, tensors)
    return f"{' * '.join(scalars)} * ({text})" if scalars else text


def _product(w: _Writer, node: Einsum, tensors: Sequence[tuple[Node, Labels]]) -> str:
    output = node.output
    plain = all(len(set(labels)) == len(labels) and not isinstance(f, Delta) for f, labels in tensors)
    if plain and all(set(labels) <= set(output) for _, labels in tensors):
        text = " * ".join(_spread(w.names[factor], labels, output) for factor, labels in tensors)
        carried = {label for _, labels in tensors for label in labels}
        return text if carried == set(output) else f"broadcast_to({text}, {_shape(node)})"
    if plain and len(tensors) == 1:
        (factor, labels), *_ = tensors
        kept = tuple(label for label in labels if label in output)
        axes = tuple(axis for axis, label in enumerate(labels) if label not in output)
        total = f"total({w.names[factor]}, {axes})"
        return total if kept == output else _spread(total, kept, output)
    if plain and len(tensors) == 2:
        found = _matrix(w, output, *tensors)
        if found is not None:
            return found
    terms = ",".join("".join(map(label_text, labels)) for _, labels in tensors)
    operands = ", ".join(w.names[factor] for factor, _ in tensors)
    return f"xp.einsum('{terms}->{''.join(map(label_text, output))}', {operands})"


def _spread(text: str, labels: Labels, output: Labels) -> str:
    """A factor with its axes in the order of ``output``, and an axis of size 1 for each label that it lacks."""
    order = sorted(labels, key=output.index)
    if tuple(order) != labels:
        text = f"permute({text}, {tuple(labels.index(label) for label in order)})"
    if len(labels) == len(output):
        return text
    return f"{text}[{', '.join(':' if label in labels else 'None' for label in output)}]"


def _matrix(w: _Writer, output: Labels, left: tuple[Node, Labels], right: tuple[Node, Labels]) -> str | None:
    """Products of two matrices or vectors by ``@``."""
    (a, first), (b, second) = left, right
    shared = [label for label in first if label in second and label not in output]
    if len(first) > 2 or len(second) > 2 or len(shared) != 1:
        if first == second and not output:
            return f"total({w.names[a]} * {w.names[b]}, {tuple(range(len(first)))})"
        return None
    label = shared[0]
    rest = tuple(x for x in (*first, *second) if x != label)
    if rest[::-1] == output and len(output) == 2:
        (a, first), (b, second) = right, left
    elif rest != output:
        return None
    one = w.names[a] if first[-1] == label else f"{w.names[a]}.T"
    two = w.names[b] if second[0] == label else f"{w.names[b]}.T"
    return f"{one} @ {two}"


def _add(w: _Writer, node: Add) -> str:
    return " + ".join(w.names[term] for term in node.terms)


def _pointwise(w: _Writer, node: Pointwise) -> str:
    args = [w.names[arg] for arg in node.args]
    if node.function == "power":
        assert node.exponent is not None
        if node.exponent == Fraction(1, 2):
            return f"xp.sqrt({args[0]})" if node.rank else f"({args[0]}) ** 0.5"
        return f"1.0 / ({args[0]})" if node.exponent == -1 else f"({args[0]}) ** {_number(node.exponent)}"
    if node.function in FUNCTIONS:
        return f"xp.{node.function}({args[0]})"
    if node.function not in HELPERS:
        raise Unwritable(f"{node.function} has no counterpart")
    return f"{node.function}_({', '.join(args)})"


def _reduce(w: _Writer, node: Reduce) -> str:
    return f"reduce_{node.operator}({w.names[node.arg]}, {node.axes})"


def _window(w: _Writer, node: Window) -> str:
    offset, before = _int(node.offset), ":, " * node.axis
    name = w.names[node.arg]
    if not node.extents:
        return f"{name}[{before}{offset}]"
    if len(node.steps) == 1 and node.steps[0] > 0:
        count, step = _int(node.extents[0]), node.steps[0]
        return f"{name}[{before}{offset}:{offset + step * (count - 1) + 1}:{step}]"
    axes = len(node.steps)
    terms = [
        f"{step} * arange({_int(extent)})[{', '.join(':' if k == axis else 'None' for k in range(axes))}]"
        for axis, (step, extent) in enumerate(zip(node.steps, node.extents, strict=True))
    ]
    return f"{name}[{before}{' + '.join([str(offset), *terms])}]"


def _linalg(w: _Writer, node: Linalg) -> str:
    if node.operator in ("solve_lower", "solve_upper"):
        raise Unwritable(f"{node.operator} has no counterpart")
    return f"linalg_{node.operator}({', '.join(w.names[arg] for arg in node.args)})"


def _recurrence(w: _Writer, node: Recurrence) -> str:
    parameters: dict[Node, str] = {p: f"p{number}" for number, p in enumerate(node.body.parameters)}
    names = list(parameters.values())
    step = f"step{len(w.names)}"
    w.lines.append(f"def {step}({', '.join(names)}):")
    w.lines.extend(f"    {line}" for line in _body(parameters, node.body.results))
    groups = [[w.names[o] for o in part] for part in (node.carries, node.xs, node.consts)]
    given = ", ".join(f"({''.join(f'{name}, ' for name in group)})" for group in groups)
    return f"loop({step}, {_int(node.length)}, {given}, {node.reverse})"


_RULES: Mapping[type[Node], Callable[[_Writer, Any], str]] = {
    Literal: lambda w, n: _number(n.value),
    Size: lambda w, n: f"{_int(n.dim)}.0",
    Range: lambda w, n: f"arange({_int(n.extent)}) + 1.0",
    Delta: lambda w, n: f"eye({_int(n.extent)})",
    Einsum: _einsum,
    Add: _add,
    Pointwise: _pointwise,
    Compare: lambda w, n: f"{w.names[n.left]} {n.operator} {w.names[n.right]}",
    Select: lambda w, n: f"xp.where({w.names[n.condition]}, {w.names[n.yes]}, {w.names[n.no]})",
    Reduce: _reduce,
    Window: _window,
    Gather: lambda w, n: f"{w.names[n.arg]}[{w.names[n.index]}]",
    Stack: lambda w, n: f"xp.stack(({', '.join(w.names[t] for t in n.terms)},))",
    Linalg: _linalg,
    Recurrence: _recurrence,
    Project: lambda w, n: f"{w.names[n.arg]}[{n.index}]",
}
