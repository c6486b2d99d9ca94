"""The invariants of the tensor IR, checked: what the docstrings of :mod:`bracketc.ir.nodes` state, nothing else.

It runs after every stage in the tests, and in the compiler when ``BRACKETC_VERIFY=1``. Sizes agree when they are one
polynomial, or when their difference is no number: ``N`` and ``M`` may be tied by a constraint of the program, 3 and 4
never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NoReturn

from bracketc.ir.dims import Dim
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.linear_algebra import ARITY
from bracketc.ir.nodes import (
    BOOLEAN,
    INTEGER,
    REAL,
    Add,
    Body,
    Compare,
    Delta,
    Derivative,
    Differential,
    Einsum,
    Gather,
    Linalg,
    Literal,
    Node,
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
from bracketc.ir.printer import describe
from bracketc.ir.rewrite import tensors, topological

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
REDUCTIONS = ("max", "min", "prod", "logsumexp")


class InternalError(AssertionError):
    """A pass built a node that breaks an invariant: a defect of the compiler, never of a source file."""


def verify(roots: Iterable[Node]) -> None:
    """Raise :class:`InternalError`, the offending bracket printed, unless every node below ``roots`` is well formed."""
    pending: list[tuple[Node, ...]] = [tuple(roots)]
    seen: set[Body] = set()
    while pending:
        for node in topological(pending.pop()):
            if node.rebuild(node.operands) is not node:
                _fail(node, "is not interned, or does not rebuild to itself")
            if not isinstance(node, Project) and any(isinstance(operand, Recurrence) for operand in node.operands):
                _fail(node, "uses a recurrence without Project")
            _RULES[type(node)](node)
            if isinstance(node, Recurrence) and node.body not in seen:
                seen.add(node.body)
                pending.append(node.body.results)


def agree(left: Dim, right: Dim) -> bool:
    """Whether two sizes can be equal."""
    return left is right or (left - right).constant is None


def _fail(node: Node, why: str) -> NoReturn:
    raise InternalError(f"{describe(node)}\n  {why}")


def _check(node: Node, holds: bool, why: str) -> None:
    if not holds:
        _fail(node, why)


def _same_shape(node: Node, shapes: Sequence[Shape], what: str) -> None:
    first = shapes[0]
    for shape in shapes[1:]:
        if len(shape) != len(first) or not all(map(agree, shape, first)):
            texts = " and ".join(f"[{', '.join(map(str, s))}]" for s in (first, shape))
            _fail(node, f"{what} have different shapes: {texts}")


def _real(node: Node, operands: Iterable[Node], *, or_boolean: bool = False) -> None:
    allowed = (REAL, BOOLEAN) if or_boolean else (REAL,)
    for operand in operands:
        _check(node, operand.dtype in allowed, f"an operand is {operand.dtype}, expected {' or '.join(allowed)}")


def _is_number(value: object) -> bool:
    return isinstance(value, Fraction | float)


def _tensor(node: Tensor) -> None:
    _check(node, node.kind in (REAL, INTEGER, BOOLEAN), f"unknown dtype {node.kind}")
    _check(node, list(node.traits) == sorted(set(node.traits)), "traits are not sorted or not distinct")
    _check(node, node.bound is None or node.kind == INTEGER, "only integers have a bound")


def _literal(node: Literal) -> None:
    _check(node, _is_number(node.value), f"the value is a {type(node.value).__name__}, expected Fraction or float")


def _anything(node: Node) -> None:
    """Size, Range, Delta: their types say it all."""


def _einsum(node: Einsum) -> None:
    _check(node, _is_number(node.coefficient), f"the coefficient is a {type(node.coefficient).__name__}")
    _real(node, node.operands, or_boolean=True)
    _check(node, len(set(node.output)) == len(node.output), "an output label occurs twice")
    order = list(dict.fromkeys((*node.output, *(label for _, labels in node.factors for label in labels))))
    _check(node, order == list(range(len(order))), "labels are not numbered by first appearance")
    _check(node, len(node.extents) == len(order), "a label has no extent, or a summed label no factor")
    for factor, labels in node.factors:
        _check(node, len(labels) == factor.rank, f"{len(labels)} labels on a factor of rank {factor.rank}")
        for label, extent in zip(labels, factor.shape, strict=True):
            if not agree(extent, node.extents[label]):
                _fail(node, f"label {label} has two sizes: {node.extents[label]} and {extent}")


def _add(node: Add) -> None:
    _check(node, len(node.terms) >= 2, "a sum needs two terms")
    _real(node, node.terms)
    _same_shape(node, [term.shape for term in node.terms], "terms")


def _pointwise(node: Pointwise) -> None:
    function = FUNCTIONS.get(node.function)
    if function is None:
        _fail(node, f"unknown function {node.function}")
    _check(node, len(node.args) == function.arity, f"{len(node.args)} arguments, expected {function.arity}")
    _check(node, (node.exponent is not None) == (node.function == "power"), "an exponent belongs to power alone")
    _check(node, node.exponent is None or _is_number(node.exponent), "the exponent is no number")
    _real(node, node.args)
    _same_shape(node, [arg.shape for arg in node.args], "arguments")


def _compare(node: Compare) -> None:
    _check(node, node.operator in COMPARISONS, f"unknown comparison {node.operator}")
    _same_shape(node, [node.left.shape, node.right.shape], "sides")


def _select(node: Select) -> None:
    _check(node, node.condition.dtype == BOOLEAN, f"the condition is {node.condition.dtype}")
    _real(node, (node.yes, node.no))
    _same_shape(node, [n.shape for n in node.operands], "condition and branches")


def _reduce(node: Reduce) -> None:
    _check(node, node.operator in REDUCTIONS, f"unknown reduction {node.operator}")
    _real(node, node.operands)
    _check(node, list(node.axes) == sorted(set(node.axes)) and bool(node.axes), "axes are none, unsorted or repeated")
    _check(node, all(0 <= axis < node.arg.rank for axis in node.axes), "an axis is out of range")


def _positions(node: Node, offset: Dim, steps: Sequence[int], extents: Sequence[Dim], axis: Dim) -> None:
    """Every position is in 0..axis-1 wherever no window is empty, as far as the sizes decide it."""
    _check(node, len(steps) == len(extents), "one step an axis is needed")
    low = high = offset
    for step, extent in zip(steps, extents, strict=True):
        if extent.constant == 0:
            return
        reach = step * (extent - 1)
        low, high = (low + reach, high) if step < 0 else (low, high + reach)
    first, rest = low.constant, (axis - 1 - high).constant
    _check(node, first is None or first >= 0, f"position {first} is below 0")
    _check(node, rest is None or rest >= 0, f"position {high} is beyond the last one, {axis - 1}")


def _window(node: Window) -> None:
    _check(node, 0 <= node.axis < node.arg.rank, "the axis is out of range")
    _positions(node, node.offset, node.steps, node.extents, node.arg.shape[node.axis])


def _overlap(node: Overlap) -> None:
    _real(node, node.operands)
    last = node.axis + len(node.steps)
    _check(node, node.axis >= 0 and last <= node.arg.rank, "the axes are out of range")
    _positions(node, node.offset, node.steps, node.arg.shape[node.axis : last], node.extent)


def _gather(node: Gather) -> None:
    _check(node, node.index.dtype == INTEGER, f"the index is {node.index.dtype}")
    _check(node, node.arg.rank > 0, "a scalar has no rows")


def _scatter(node: Scatter) -> None:
    _real(node, (node.arg,))
    _check(node, node.index.dtype == INTEGER, f"the index is {node.index.dtype}")
    _check(node, node.arg.rank >= node.index.rank, "the index has more axes than the argument")
    _same_shape(node, [node.index.shape, node.arg.shape[: node.index.rank]], "index and leading axes")


def _stack(node: Stack) -> None:
    _check(node, bool(node.terms), "a stack of nothing has no shape")
    _real(node, node.terms)
    _same_shape(node, [term.shape for term in node.terms], "terms")


def _linalg(node: Linalg) -> None:
    arity = ARITY.get(node.operator)
    _check(node, arity is not None, f"unknown operation {node.operator}")
    _check(node, len(node.args) == arity, f"{len(node.args)} arguments, expected {arity}")
    _real(node, node.args)
    matrix = node.args[0]
    _check(node, matrix.rank >= 2, "the first argument is no matrix")
    *lead, rows, columns = matrix.shape
    expected = columns + 1 if node.operator.startswith("lu_") else columns
    _check(node, agree(rows, expected), "the first argument is no square matrix")
    if arity == 2:
        right = node.args[1]
        _check(node, right.rank >= matrix.rank - 1, "the right hand side has too few axes")
        _same_shape(node, [(*lead, columns), right.shape[: matrix.rank - 1]], "leading axes")


def _recurrence(node: Recurrence) -> None:
    parameters, results = node.body.parameters, node.body.results
    _check(node, len(parameters) == len(node.operands), f"{len(parameters)} parameters, expected {len(node.operands)}")
    numbered = [f"%{k}" for k in range(len(parameters))]
    _check(node, [p.name for p in parameters] == numbered, "parameters are not named %0, %1, … in order")
    _check(node, len(results) >= len(node.carries), "fewer results than carries")
    _real(node, (*node.carries, *results))
    first, second = len(node.carries), len(node.carries) + len(node.xs)
    for new, old in zip(results[:first], parameters[:first], strict=True):
        _same_shape(node, [old.shape, new.shape], f"carry {old.name} before and after a step")
    for k, (operand, parameter) in enumerate(zip(node.operands, parameters, strict=True)):
        shape = operand.shape
        if first <= k < second:
            _check(node, operand.rank > 0 and agree(shape[0], node.length), f"operand {k} has no axis of {node.length}")
            shape = shape[1:]
        _same_shape(node, [shape, parameter.shape], f"operand {k} and its parameter")
        _check(node, operand.dtype == parameter.dtype, f"operand {k} is not {parameter.dtype}")
    for tensor in tensors(results):
        _check(node, tensor in parameters, f"the body is not closed: it uses {tensor.name}")


def _project(node: Project) -> None:
    _check(node, isinstance(node.arg, Recurrence), "the argument has one result")
    _check(node, 0 <= node.index < len(node.arg.body.results), "there is no such result")


def _derivative(node: Derivative) -> None:
    _check(node, node.layout in ("jacobian", "gradient"), f"unknown layout {node.layout}")
    _real(node, node.operands)
    _check(node, node.wrt.name.startswith("%"), "the variable is no placeholder")
    _same_shape(node, [node.wrt.shape, node.point.shape], "variable and point")


def _differential(node: Differential) -> None:
    _check(node, len(node.wrt) == len(node.points) == len(node.tangents), "one point and one tangent a variable")
    _real(node, node.operands)
    for variable, point, tangent in zip(node.wrt, node.points, node.tangents, strict=True):
        _check(node, variable.name.startswith("%"), "a variable is no placeholder")
        _same_shape(node, [variable.shape, point.shape, tangent.shape], "variable, point and tangent")


_RULES: dict[type[Node], Callable[[Any], None]] = {
    Tensor: _tensor,
    Literal: _literal,
    Size: _anything,
    Range: _anything,
    Delta: _anything,
    Einsum: _einsum,
    Add: _add,
    Pointwise: _pointwise,
    Compare: _compare,
    Select: _select,
    Reduce: _reduce,
    Window: _window,
    Overlap: _overlap,
    Gather: _gather,
    Scatter: _scatter,
    Stack: _stack,
    Linalg: _linalg,
    Recurrence: _recurrence,
    Project: _project,
    Derivative: _derivative,
    Differential: _differential,
}
