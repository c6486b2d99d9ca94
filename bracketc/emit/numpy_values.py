"""Scalar programs as NumPy expressions: one expression an instruction, broadcast by ``None`` where axes are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bracketc.emit import expressions as ex
from bracketc.emit.expressions import Expression, binary, call, number
from bracketc.emit.names import Scope
from bracketc.emit.numpy_contractions import Operand, SizeText, aligned, arrange, contraction, einsum
from bracketc.emit.numpy_facts import Facts
from bracketc.emit.numpy_functions import HELPERS, python_function
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import BOOLEAN, REAL, DType, Labels, Number
from bracketc.plan.schedule import Access, Buffer, Contract, Instruction, Map, Product

_OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a value goes: a new variable, or a ``given`` array to fill. ``rank`` 0 is a NumPy scalar."""

    name: str
    given: bool
    rank: int


@dataclass(frozen=True, slots=True)
class Value:
    """An expression whose axes are ``labels``, a subsequence of the labels of the record in its order.

    ``plain`` marks arithmetic on sizes and constants alone: a Python number, which must not be divided by zero.
    """

    expression: Expression
    labels: Labels
    dtype: DType = REAL
    plain: bool = False

    @property
    def guarded(self) -> Expression:
        """The expression with the arithmetic of NumPy."""
        return call("_REAL", self.expression.text) if self.plain else self.expression


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a record must know of the function it stands in.

    ``variable`` gives the text of a buffer that is read; ``target`` where one is written; ``dies`` whether the
    memory of one may be reused by this record; ``helpers`` collects the helper functions used.
    """

    variable: Callable[[Buffer], str]
    target: Callable[[Buffer], Target]
    dies: Callable[[Buffer], bool]
    scope: Scope
    size: SizeText
    helpers: dict[str, None]


class Values:
    """Expressions of one record; ``named`` holds the instructions that have a variable already."""

    def __init__(self, step: Map | Contract, facts: Facts, around: Surroundings) -> None:
        self.step = step
        self.program = step.program
        self.extents = step.extents
        self.facts = facts
        self.around = around
        self.named: dict[int, Value] = {}

    def aligned(self, value: int, labels: Labels) -> Expression:
        return self.broadcast(self.value(value), labels)

    def broadcast(self, value: Value, labels: Labels) -> Expression:
        return aligned(Operand(value.expression, value.labels), labels)

    def value(self, value: int) -> Value:
        """``value`` as a real (or boolean, for conditions) expression."""
        raw = self.raw(value)
        if raw.dtype == REAL:
            return raw
        if not raw.labels:  # a comparison of sizes is a Python bool
            return Value(call("_REAL", raw.expression.text), ())
        return Value(_as_real(raw.expression), raw.labels)

    def raw(self, value: int) -> Value:
        if value in self.named:
            return self.named[value]
        ins = self.program[value]
        labels = self.facts.labels[value]
        if ins.operation == "load":
            access = self.step.operands[ins.operand]
            return Value(self._load(access), labels, access.buffer.dtype)
        if ins.operation == "accumulator":
            return Value(self.contraction_expression(), labels)
        return self.operation(ins, labels)

    def _load(self, access: Access) -> Expression:
        text = Expression(self.around.variable(access.buffer))
        distinct = tuple(dict.fromkeys(access.labels))
        if distinct != access.labels:
            if len(access.labels) == 2:
                text = Expression(f"{text.text}.diagonal()", ex.POSTFIX)
            else:
                text = einsum((Operand(text, access.labels),), distinct).expression
        return arrange(Operand(text, distinct), self.facts.order).expression

    def operation(self, ins: Instruction, labels: Labels) -> Value:
        """One operation on the expressions of its arguments."""
        name = ins.operation
        if name == "constant":
            assert ins.number is not None
            return Value(number(ins.number), (), plain=True)
        if name == "size":
            assert ins.dim is not None
            return Value(self.size(ins.dim), (), plain=True)
        if name == "index":
            end = self.around.size(self.extents[ins.label] + 1)
            return Value(call("np.arange", "1", end, "dtype=_REAL"), labels)
        if name == "delta" and not labels:
            return Value(Expression("1"), ())
        if name == "delta":
            return Value(call("np.eye", self.around.size(self.extents[ins.label]), "dtype=_REAL"), labels)
        if name == "compare":
            left, right = (self.aligned(arg, labels) for arg in ins.args)
            level = ex.COMPARE + 1
            return Value(Expression(f"{left.at(level)} {ins.function} {right.at(level)}", ex.COMPARE), labels, BOOLEAN)
        if name == "select":
            return self._select(ins, labels)
        if name == "finite_or_zero":
            arg = self.aligned(ins.args[0], labels).text
            return Value(call("np.where", f"np.isfinite({arg})", arg, "0"), labels)
        if name in ("add", "multiply"):
            return self.chain(name, [self.value(arg) for arg in self._sorted(ins)], labels, self._sorted(ins))
        if name in ("subtract", "divide"):
            first, second = (self.value(arg) for arg in ins.args)
            plain = first.plain and second.plain
            right = second.guarded if plain and name == "divide" else self.broadcast(second, labels)
            both_plain = plain and name == "subtract"
            return Value(binary(_OPERATORS[name], self.broadcast(first, labels), right), labels, plain=both_plain)
        operand = self.value(ins.args[0])
        if name == "negate":
            return Value(ex.negative(self.broadcast(operand, labels)), labels, plain=operand.plain)
        base = operand.guarded if operand.plain else self.broadcast(operand, labels)
        if name == "square":
            return Value(_square(base), labels)
        if name == "power":
            return Value(_power_expression(ins, base), labels)
        assert name == "call", name
        function, constants = self.function(ins.function)
        values = [self.value(a) for a in ins.args]
        args = [v.guarded.text if v.plain and not labels else self.broadcast(v, labels).text for v in values]
        return Value(call(function, *args, *constants), labels)

    def _sorted(self, ins: Instruction) -> list[int]:
        """Scalars in front of a product, so that they are multiplied before they meet an array; sums as they stand."""
        if ins.operation == "multiply":
            return sorted(ins.args, key=lambda arg: len(self.facts.labels[arg]))
        return list(ins.args)

    def chain(self, operation: str, values: Sequence[Value], labels: Labels, args: Sequence[int] = ()) -> Value:
        result: Expression | None = None
        plain = all(value.plain for value in values)
        for k, value in enumerate(values):
            inner = self.program[args[k]] if args and args[k] not in self.named else None
            if result is not None and inner is not None and operation == "add" and inner.operation == "negate":
                result = binary("-", result, self.aligned(inner.args[0], labels))
            elif result is not None and inner is not None and operation == "multiply" and _is_reciprocal(inner):
                divisor = self.value(inner.args[0])
                guarded = divisor.plain and all(earlier.plain for earlier in values[:k])
                result = binary("/", result, divisor.guarded if guarded else self.broadcast(divisor, labels))
            else:
                term = self.broadcast(value, labels)
                if result is not None and operation == "multiply" and result.text in ("-1", "-1.0"):
                    result = ex.negative(term)
                else:
                    result = term if result is None else binary(_OPERATORS[operation], result, term)
        assert result is not None
        return Value(result, labels, plain=plain)

    def _select(self, ins: Instruction, labels: Labels) -> Value:
        condition = self.broadcast(self.raw(ins.args[0]), labels)
        dtype = REAL if any(self.facts.dtypes[arg] == REAL for arg in ins.args[1:]) else self.facts.dtypes[ins.args[1]]
        branches = []
        for arg in ins.args[1:]:
            value = self.value(arg) if dtype == REAL else self.raw(arg)
            branches.append(self.broadcast(value, labels).text)
        if all(self.program[arg].operation in ("constant", "size") for arg in ins.args[1:]):
            branches[0] = f"_REAL({branches[0]})"  # two Python numbers would make a float64 array
        return Value(call("np.where", condition.text, *branches), labels, dtype)

    def size(self, dim: Dim) -> Expression:
        text = self.around.size(dim)
        return Expression(text, ex.size(dim).level)

    def function(self, function: str) -> tuple[str, tuple[str, ...]]:
        if function in HELPERS:
            self.around.helpers.setdefault(function)
        return python_function(function)

    # ------------------------------------------------------------------------------------------- contractions
    def products(self) -> tuple[Product, ...]:
        assert isinstance(self.step, Contract)
        return self.step.products

    def operand(self, access: Access) -> Operand:
        text = Expression(self.around.variable(access.buffer))
        return Operand(text if access.buffer.dtype == REAL else _as_real(text), access.labels)

    def contraction_expression(self) -> Expression:
        total: Expression | None = None
        for product in self.products():
            labels = self.facts.in_order(set(self.step.output)) if isinstance(self.step, Contract) else ()
            computed = contraction(
                self.operand(product.left), self.operand(product.right), labels, self.extents, self.around.size
            ).expression
            sign, term = scaled(product.coefficient, computed)
            first = ex.negative(term) if sign == "-" else term
            total = first if total is None else binary(sign, total, term)
        assert total is not None
        return total


def _as_real(expression: Expression) -> Expression:
    return call(f"{expression.at(ex.POSTFIX)}.astype", "_REAL")


def scaled(coefficient: Number, term: Expression) -> tuple[str, Expression]:
    """The sign to add a scaled term with, and the term without it."""
    sign = "-" if coefficient < 0 else "+"
    magnitude: Number = -coefficient if coefficient < 0 else coefficient
    return sign, term if magnitude == 1 else binary("*", number(magnitude), term)


def _is_reciprocal(ins: Instruction) -> bool:
    return ins.operation == "power" and ins.number == -1


def _square(arg: Expression) -> Expression:
    if arg.text.isidentifier():
        return Expression(f"{arg.text} * {arg.text}", ex.MULTIPLY)
    return call("np.square", arg.text)


def power_call(ins: Instruction, arg: str) -> tuple[str, tuple[str, ...]]:
    """A constant power as a ufunc and its arguments."""
    if ins.number == Fraction(1, 2):
        return "np.sqrt", (arg,)
    if ins.number == -1:
        return "np.divide", ("1", arg)
    if ins.number == 2:
        return "np.square", (arg,)
    assert ins.number is not None
    return "np.power", (arg, number(ins.number).text)


def _power_expression(ins: Instruction, arg: Expression) -> Expression:
    if ins.number == -1:
        return binary("/", Expression("1"), arg)
    if ins.number == Fraction(-1, 2):
        return binary("/", Expression("1"), call("np.sqrt", arg.text))
    if ins.number == 2:
        return _square(arg)
    function, arguments = power_call(ins, arg.text)
    return call(function, *arguments)
