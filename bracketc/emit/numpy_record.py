"""One record of a schedule (``Map`` or ``Contract``) as NumPy statements.

A scalar program is written array by array. The value that is stored is computed in place: the first operation makes the array,
the others update it, also in the memory of an operand that nobody reads afterwards:

    Z_ij = tanh(A_ij + b_j),  A dies here   ->   A += b
                                                 Z = np.tanh(A, out=A)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bracketc.emit import expressions as ex
from bracketc.emit.expressions import Expression, binary, call, number
from bracketc.emit.names import Scope
from bracketc.emit.numpy_contractions import Operand, SizeText, aligned, arrange, contraction, einsum
from bracketc.emit.numpy_functions import HELPERS, python_function
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import BOOLEAN, INTEGER, REAL, DType, Labels, Shape
from bracketc.plan.schedule import Access, Buffer, Contract, Instruction, Map, Product, Store

TRIVIAL = ("load", "constant", "size", "index", "delta")
DEPTH = 24
"""Operations nested deeper than this get a name of their own."""

_UPDATES = {"add": "+=", "subtract": "-=", "multiply": "*=", "divide": "/="}
_UFUNCS = {"add": "np.add", "subtract": "np.subtract", "multiply": "np.multiply", "divide": "np.divide"}
_OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
_NOUNS = {
    "add": "total",
    "subtract": "difference",
    "multiply": "product",
    "divide": "quotient",
    "negate": "negative",
    "square": "square",
    "power": "power",
    "compare": "mask",
    "select": "choice",
    "finite_or_zero": "shift",
    "accumulator": "product",
    "delta": "identity",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a value goes: a new variable, or a ``given`` array that is written in place. ``rank`` 0 is a NumPy scalar."""

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

    ``variable`` gives the text of a buffer that is read; ``target`` where one is written; ``dies`` whether the memory of one may be
    reused by this record; ``helpers`` collects the helper functions used.
    """

    variable: Callable[[Buffer], str]
    target: Callable[[Buffer], Target]
    dies: Callable[[Buffer], bool]
    scope: Scope
    size: SizeText
    helpers: dict[str, None]


def record_lines(step: Map | Contract, around: Surroundings) -> list[str]:
    """The statements of one record."""
    return _Writer(step, around).write()


class _Writer:
    """State of one record while it is written: use counts, named values, lines."""

    def __init__(self, step: Map | Contract, around: Surroundings) -> None:
        self.step = step
        self.around = around
        self.program = step.program
        self.extents: Shape = step.extents
        self.lines: list[str] = []
        self.named: dict[int, Value] = {}
        self.order = _axis_order(step)
        self.reachable, self.uses = _use_counts(step.program, step.stores)
        self.labels = self._instruction_labels()
        self.reads = _read_counts(step)
        self.dtypes = self._instruction_dtypes()

    # ------------------------------------------------------------------------------------------- analysis
    def _in_order(self, labels: set[int]) -> Labels:
        return tuple(label for label in self.order if label in labels)

    def _instruction_labels(self) -> list[Labels]:
        found: list[Labels] = []
        for ins in self.program:
            if ins.operation == "load":
                carried = set(self.step.operands[ins.operand].labels)
            elif ins.operation == "accumulator":
                assert isinstance(self.step, Contract)
                carried = set(self.step.output)
            elif ins.operation == "index":
                carried = {ins.label}
            elif ins.operation == "delta":
                carried = {ins.label, ins.label2} if ins.label != ins.label2 else set()
            else:
                carried = {label for arg in ins.args for label in found[arg]}
            found.append(self._in_order(carried))
        return found

    def _instruction_dtypes(self) -> list[DType]:
        found: list[DType] = []
        for ins in self.program:
            if ins.operation == "load":
                found.append(self.step.operands[ins.operand].buffer.dtype)
            elif ins.operation == "compare":
                found.append(BOOLEAN)
            elif ins.operation == "select":
                yes, no = found[ins.args[1]], found[ins.args[2]]
                found.append(yes if yes == no else REAL)
            else:
                found.append(REAL)
        return found

    def _noun(self, value: int) -> str:
        ins = self.program[value]
        if ins.operation != "call":
            return _NOUNS.get(ins.operation, "value")
        arg = self.program[ins.args[0]]
        of = self.step.operands[arg.operand].buffer.name if arg.operation == "load" else ""
        return f"{ins.function}_{of}" if of else f"{ins.function}_value"

    # ------------------------------------------------------------------------------------------- the record
    def write(self) -> list[str]:
        full: dict[int, Store] = {}
        for store in self.step.stores:
            if store.mode == "store" and store.value not in full and self._direct(store):
                full[store.value] = store
        depth: list[int] = []
        for k, ins in enumerate(self.program):
            level = 1 + max((depth[arg] for arg in ins.args), default=0)
            if self.reachable[k]:
                stored = full.get(k)
                trivial = ins.operation in TRIVIAL
                if stored is not None:
                    self._name(k, self.around.target(stored.target), stored.target.dtype)
                    level = 0
                elif not trivial and (self.uses[k] > 1 or level > DEPTH):
                    self._name(k, Target(self.around.scope.fresh(self._noun(k)), False, len(self.labels[k])), None)
                    level = 0
            depth.append(level)
        written = list(full.values())
        for store in self.step.stores:
            if not any(store is done for done in written):
                self._write_store(store)
        return self.lines

    def _direct(self, store: Store) -> bool:
        """Whether the value can be made in the target itself: every axis is there, in order and in its dtype."""
        return (
            store.labels == self.labels[store.value]
            and store.target.dtype == self.dtypes[store.value]
            and self.program[store.value].operation not in TRIVIAL
        )

    def _name(self, value: int, target: Target, dtype: DType | None) -> None:
        self._compute(value, target)
        self.named[value] = Value(Expression(target.name), self.labels[value], dtype or self.dtypes[value])

    def _compute(self, value: int, target: Target) -> None:
        """Statements that leave ``value`` in ``target``."""
        if target.rank == 0:
            self._assign(target, self._raw(value))
        else:
            self._hold(value, target, final=True)

    def _assign(self, target: Target, value: Value) -> None:
        if not target.given:
            self.lines.append(f"{target.name} = {value.guarded.text}")
        else:
            index = "()" if target.rank == 0 else "..."
            self.lines.append(f"{target.name}[{index}] = {value.expression.text}")

    # ------------------------------------------------------------------------------------------- in place
    def _own(self, value: int, labels: Labels) -> bool:
        """Whether ``value`` is an array that only this place uses, so that it may be updated."""
        ins = self.program[value]
        if self.labels[value] != labels or self.dtypes[value] != REAL or self.uses[value] != 1:
            return False
        if ins.operation == "load":
            access = self.step.operands[ins.operand]
            return (
                access.labels == labels
                and self.reads[access.buffer] == 1
                and self.around.dies(access.buffer)
            )
        if value in self.named:
            return True
        return ins.operation in ("accumulator", "add", "subtract", "multiply", "divide", "negate", "square", "power", "call")

    def _hold(self, value: int, target: Target, final: bool) -> str:
        """Compute ``value`` into an array that may be updated: ``target``, or an operand that dies. ``final`` forces the target."""
        ins = self.program[value]
        if value in self.named:
            return self.named[value].expression.text
        if ins.operation == "load" and not final:
            return self.around.variable(self.step.operands[ins.operand].buffer)
        if ins.operation == "accumulator":
            self._contract_into(target)
            return target.name
        labels = self.labels[value]
        main = self._main_argument(ins, labels)
        if main is None:
            self._first_operation(value, target)
            return target.name
        if ins.operation == "add" and len(ins.args) == 2 and self._is_negated_product(ins.args[main]):
            return self._subtract_product(ins.args[1 - main], target, labels)
        held = self._hold(ins.args[main], target, final=False)
        out = target if final or held == target.name else Target(held, True, target.rank)
        self._update(ins, main, held, out, labels)
        return out.name

    def _is_negated_product(self, value: int) -> bool:
        if self.program[value].operation != "accumulator" or value in self.named:
            return False
        products = self._products()
        return len(products) == 1 and products[0].coefficient == -1

    def _subtract_product(self, other: int, target: Target, labels: Labels) -> str:
        """``other - product`` instead of a negated product to which ``other`` is added."""
        self._contract_into(target, negated=True)
        term = self._aligned(other, labels)
        self._call("np.subtract", (term.text, target.name), target, target.name)
        return target.name

    def _main_argument(self, ins: Instruction, labels: Labels) -> int | None:
        if ins.operation in ("compare", "select", "finite_or_zero", "index", "delta", "constant", "size", "load"):
            return None
        for position, arg in enumerate(ins.args):
            if self._own(arg, labels) and self.program[arg].operation != "load":
                return position
        for position, arg in enumerate(ins.args):
            if self._own(arg, labels):
                return position
        return None

    def _update(self, ins: Instruction, main: int, held: str, out: Target, labels: Labels) -> None:
        """Apply ``ins`` to the array ``held``, its argument ``main``, leaving the result in ``out``."""
        if ins.operation in ("add", "multiply"):
            rest = [arg for position, arg in enumerate(ins.args) if position != main]
            self._update_sequence(ins.operation, rest, held, out, labels)
        elif ins.operation in ("subtract", "divide"):
            other = self._aligned(ins.args[1 - main], labels)
            if main == 0:
                self._apply(ins.operation, held, other, out)
            else:
                self._call(_UFUNCS[ins.operation], (other.text, held), out, held)
        elif ins.operation == "call":
            function, constants = self._function(ins.function)
            args = [held if position == main else self._aligned(arg, labels).text for position, arg in enumerate(ins.args)]
            self._call(function, (*args, *constants), out, held)
        elif ins.operation == "power":
            self._call(*_power(ins, held), out, held)
        else:
            self._call({"negate": "np.negative", "square": "np.square"}[ins.operation], (held,), out, held)

    def _update_sequence(self, operation: str, rest: list[int], held: str, out: Target, labels: Labels) -> None:
        """``held += a``, ``held += b``, …: full arrays one by one, what is smaller combined first."""
        small = [arg for arg in rest if self.labels[arg] != labels]
        large = [arg for arg in rest if self.labels[arg] == labels]
        terms: list[tuple[str, Expression]] = []
        for arg in large:
            inner = self.program[arg]
            if operation == "add" and inner.operation == "negate" and arg not in self.named:
                terms.append(("subtract", self._aligned(inner.args[0], labels)))
            else:
                terms.append((operation, self._aligned(arg, labels)))
        if small:
            terms.append(self._combined(operation, small, labels))
        for k, (how, term) in enumerate(terms):
            last = k == len(terms) - 1
            self._apply(how, held, term, out if last else Target(held, True, out.rank))

    def _combined(self, operation: str, args: list[int], labels: Labels) -> tuple[str, Expression]:
        """Arguments smaller than the whole as one term, the scalars in front."""
        ordered = sorted(args, key=lambda arg: len(self.labels[arg]))
        if operation == "add" and len(ordered) == 1:
            inner = self.program[ordered[0]]
            if inner.operation == "negate" and ordered[0] not in self.named:
                return "subtract", self._aligned(inner.args[0], labels)
        if operation == "multiply" and len(ordered) == 1:
            inner = self.program[ordered[0]]
            if inner.operation == "power" and inner.number == -1 and ordered[0] not in self.named:
                return "divide", self._aligned(inner.args[0], labels)
        union = self._in_order({label for arg in ordered for label in self.labels[arg]})
        value = self._chain(operation, [self._value(arg) for arg in ordered], union)
        return operation, self._broadcast(value, labels)

    def _apply(self, operation: str, held: str, term: Expression, out: Target) -> None:
        if out.name == held:
            opposite = _opposite(term)
            if opposite is not None and operation in ("add", "subtract"):
                operation, term = ("subtract" if operation == "add" else "add"), opposite
            self.lines.append(f"{held} {_UPDATES[operation]} {term.text}")
        else:
            self._call(_UFUNCS[operation], (held, term.text), out, held)

    def _call(self, function: str, args: Sequence[str], out: Target, held: str) -> None:
        """``function(args, out=…)``: into a given target, else in the memory of ``held``."""
        if out.given or out.name == held:
            self.lines.append(f"{function}({', '.join(args)}, out={out.name})")
        else:
            self.lines.append(f"{out.name} = {function}({', '.join(args)}, out={held})")

    def _first_operation(self, value: int, target: Target) -> None:
        """An operation none of whose operands may be updated: it makes the array."""
        ins = self.program[value]
        labels = self.labels[value]
        if ins.operation in ("add", "multiply") and len(ins.args) > 2:
            ordered = self._opening_pair(ins, labels)
            if ordered is not None:
                first, second, rest = ordered
                self._make(Instruction(ins.operation, (first, second)), labels, target)
                self._update_sequence(ins.operation, rest, target.name, Target(target.name, True, target.rank), labels)
                return
        self._make(ins, labels, target)

    def _opening_pair(self, ins: Instruction, labels: Labels) -> tuple[int, int, list[int]] | None:
        """Two arguments that together carry every label, small ones preferred, and the rest."""
        ordered = sorted(ins.args, key=lambda arg: -len(self.labels[arg]))
        first = ordered[0]
        for second in reversed(ordered[1:]):
            if set(self.labels[first]) | set(self.labels[second]) == set(labels):
                rest = list(ins.args)
                rest.remove(first)
                rest.remove(second)
                return first, second, rest
        return None

    def _make(self, ins: Instruction, labels: Labels, target: Target) -> None:
        """Assign one operation to the target; with ``out=`` where the target is given and a ufunc does it."""
        if not target.given:
            value = self._operation(ins, labels)
            self._assign(target, value)
            return
        args = [self._aligned(arg, labels).text for arg in ins.args]
        if ins.operation in _UFUNCS and len(args) == 2:
            self._call(_UFUNCS[ins.operation], args, target, target.name)
        elif ins.operation == "call":
            function, constants = self._function(ins.function)
            self._call(function, (*args, *constants), target, target.name)
        elif ins.operation == "power":
            self._call(*_power(ins, args[0]), target, target.name)
        elif ins.operation in ("negate", "square"):
            self._call({"negate": "np.negative", "square": "np.square"}[ins.operation], args, target, target.name)
        else:
            self._assign(target, self._operation(ins, labels))

    # ------------------------------------------------------------------------------------------- expressions
    def _aligned(self, value: int, labels: Labels) -> Expression:
        return self._broadcast(self._value(value), labels)

    def _broadcast(self, value: Value, labels: Labels) -> Expression:
        return aligned(Operand(value.expression, value.labels), labels)

    def _value(self, value: int) -> Value:
        """``value`` as a real (or boolean, for conditions) expression."""
        raw = self._raw(value)
        if raw.dtype == REAL:
            return raw
        if not raw.labels:  # a comparison of sizes is a Python bool
            return Value(call("_REAL", raw.expression.text), ())
        return Value(_as_real(raw.expression), raw.labels)

    def _raw(self, value: int) -> Value:
        if value in self.named:
            return self.named[value]
        ins = self.program[value]
        labels = self.labels[value]
        if ins.operation == "load":
            access = self.step.operands[ins.operand]
            return Value(self._load(access), labels, access.buffer.dtype)
        if ins.operation == "accumulator":
            return Value(self._contraction_expression(), labels)
        return self._operation(ins, labels)

    def _load(self, access: Access) -> Expression:
        text = Expression(self.around.variable(access.buffer))
        distinct = tuple(dict.fromkeys(access.labels))
        if distinct != access.labels:
            if len(access.labels) == 2:
                text = Expression(f"{text.text}.diagonal()", ex.POSTFIX)
            else:
                text = einsum((Operand(text, access.labels),), distinct).expression
        return arrange(Operand(text, distinct), self.order).expression

    def _operation(self, ins: Instruction, labels: Labels) -> Value:
        """One operation on the expressions of its arguments."""
        name = ins.operation
        if name == "constant":
            assert ins.number is not None
            return Value(number(ins.number), (), plain=True)
        if name == "size":
            assert ins.dim is not None
            return Value(self._size(ins.dim), (), plain=True)
        if name == "index":
            end = self.around.size(self.extents[ins.label] + 1)
            return Value(call("np.arange", "1", end, "dtype=_REAL"), labels)
        if name == "delta" and not labels:
            return Value(Expression("1"), ())
        if name == "delta":
            return Value(call("np.eye", self.around.size(self.extents[ins.label]), "dtype=_REAL"), labels)
        if name == "compare":
            left, right = (self._aligned(arg, labels) for arg in ins.args)
            level = ex.COMPARE + 1
            return Value(Expression(f"{left.at(level)} {ins.function} {right.at(level)}", ex.COMPARE), labels, BOOLEAN)
        if name == "select":
            return self._select(ins, labels)
        if name == "finite_or_zero":
            arg = self._aligned(ins.args[0], labels).text
            return Value(call("np.where", f"np.isfinite({arg})", arg, "0"), labels)
        if name in ("add", "multiply"):
            return self._chain(name, [self._value(arg) for arg in self._sorted(ins)], labels, self._sorted(ins))
        if name in ("subtract", "divide"):
            first, second = (self._value(arg) for arg in ins.args)
            plain = first.plain and second.plain
            right = second.guarded if plain and name == "divide" else self._broadcast(second, labels)
            both_plain = plain and name == "subtract"
            return Value(binary(_OPERATORS[name], self._broadcast(first, labels), right), labels, plain=both_plain)
        operand = self._value(ins.args[0])
        if name == "negate":
            return Value(ex.negative(self._broadcast(operand, labels)), labels, plain=operand.plain)
        base = operand.guarded if operand.plain else self._broadcast(operand, labels)
        if name == "square":
            return Value(_square(base), labels)
        if name == "power":
            return Value(_power_expression(ins, base), labels)
        assert name == "call", name
        function, constants = self._function(ins.function)
        values = [self._value(a) for a in ins.args]
        args = [v.guarded.text if v.plain and not labels else self._broadcast(v, labels).text for v in values]
        return Value(call(function, *args, *constants), labels)

    def _sorted(self, ins: Instruction) -> list[int]:
        """Scalars in front of a product, so that they are multiplied before they meet an array; sums as they stand."""
        if ins.operation == "multiply":
            return sorted(ins.args, key=lambda arg: len(self.labels[arg]))
        return list(ins.args)

    def _chain(self, operation: str, values: Sequence[Value], labels: Labels, args: Sequence[int] = ()) -> Value:
        result: Expression | None = None
        plain = all(value.plain for value in values)
        for k, value in enumerate(values):
            inner = self.program[args[k]] if args and args[k] not in self.named else None
            if result is not None and inner is not None and operation == "add" and inner.operation == "negate":
                result = binary("-", result, self._aligned(inner.args[0], labels))
            elif result is not None and inner is not None and operation == "multiply" and _is_reciprocal(inner):
                divisor = self._value(inner.args[0])
                guarded = divisor.plain and all(earlier.plain for earlier in values[:k])
                result = binary("/", result, divisor.guarded if guarded else self._broadcast(divisor, labels))
            else:
                term = self._broadcast(value, labels)
                if result is not None and operation == "multiply" and result.text in ("-1", "-1.0"):
                    result = ex.negative(term)
                else:
                    result = term if result is None else binary(_OPERATORS[operation], result, term)
        assert result is not None
        return Value(result, labels, plain=plain)

    def _select(self, ins: Instruction, labels: Labels) -> Value:
        condition = self._broadcast(self._raw(ins.args[0]), labels)
        dtype = REAL if any(self.dtypes[arg] == REAL for arg in ins.args[1:]) else self.dtypes[ins.args[1]]
        branches = []
        for arg in ins.args[1:]:
            value = self._value(arg) if dtype == REAL else self._raw(arg)
            branches.append(self._broadcast(value, labels).text)
        if all(self.program[arg].operation in ("constant", "size") for arg in ins.args[1:]):
            branches[0] = f"_REAL({branches[0]})"  # two Python numbers would make a float64 array
        return Value(call("np.where", condition.text, *branches), labels, dtype)

    def _size(self, dim: Dim) -> Expression:
        text = self.around.size(dim)
        return Expression(text, ex.size(dim).level)

    def _function(self, function: str) -> tuple[str, tuple[str, ...]]:
        if function in HELPERS:
            self.around.helpers.setdefault(function)
        return python_function(function)

    # ------------------------------------------------------------------------------------------- contractions
    def _products(self) -> tuple[Product, ...]:
        assert isinstance(self.step, Contract)
        return self.step.products

    def _operand(self, access: Access) -> Operand:
        text = Expression(self.around.variable(access.buffer))
        return Operand(text if access.buffer.dtype == REAL else _as_real(text), access.labels)

    def _contraction_expression(self) -> Expression:
        total: Expression | None = None
        for product in self._products():
            labels = self._in_order(set(self.step.output)) if isinstance(self.step, Contract) else ()
            computed = contraction(
                self._operand(product.left), self._operand(product.right), labels, self.extents, self.around.size
            ).expression
            sign, term = _scaled(product.coefficient, computed)
            if total is None:
                total = ex.negative(term) if sign == "-" else term
            else:
                total = binary(sign, total, term)
        assert total is not None
        return total

    def _contract_into(self, target: Target, negated: bool = False) -> None:
        """``T = X @ U``, then ``T += Z @ W`` for each further product; ``negated`` leaves out a coefficient of -1."""
        assert isinstance(self.step, Contract)
        labels = self._in_order(set(self.step.output))
        for k, product in enumerate(self.step.products):
            computed = contraction(
                self._operand(product.left), self._operand(product.right), labels, self.extents, self.around.size
            )
            if k:
                sign, term = _scaled(product.coefficient, computed.expression)
                self.lines.append(f"{target.name} {sign}= {term.text}")
                continue
            written = computed.into(target.name) if target.given else None
            if written is not None:
                self.lines.append(written)
            else:
                self._assign(target, Value(computed.expression, labels))
            if product.coefficient == -1 and not negated and target.rank:
                self.lines.append(f"np.negative({target.name}, out={target.name})")
            elif product.coefficient != 1 and not negated:
                self.lines.append(f"{target.name} *= {number(product.coefficient).text}")

    # ------------------------------------------------------------------------------------------- stores
    def _write_store(self, store: Store) -> None:
        target = self.around.target(store.target)
        if store.mode == "store":
            self._copy_store(store, target)
        else:
            self._reduce_store(store, target)

    def _copy_store(self, store: Store, target: Target) -> None:
        """A store that is a copy: of an operand, transposed, converted or broadcast."""
        value = self._raw(store.value) if store.target.dtype != REAL else self._value(store.value)
        if target.given or target.rank == 0:
            text = self._reordered(value, store.labels)
            self._assign(target, Value(text, store.labels))
            return
        shape = ex.tuple_of([self.around.size(self.extents[label]) for label in store.labels])
        dtype = {REAL: "_REAL", INTEGER: "np.int64", BOOLEAN: "np.bool_"}[store.target.dtype]
        if not value.labels:
            plain = {"0": "np.zeros", "1": "np.ones"}.get(value.expression.text)
            if plain is not None:
                self.lines.append(f"{target.name} = {plain}({shape}, {dtype})")
            else:
                self.lines.append(f"{target.name} = np.full({shape}, {value.expression.text}, {dtype})")
        elif set(value.labels) == set(store.labels):
            text = self._reordered(value, store.labels)
            self.lines.append(f"{target.name} = np.array({text.text}, order=\"C\")")
        else:
            self.lines.append(f"{target.name} = np.empty({shape}, {dtype})")
            self.lines.append(f"{target.name}[...] = {self._reordered(value, store.labels).text}")

    def _reordered(self, value: Value, labels: Labels) -> Expression:
        return aligned(arrange(Operand(value.expression, value.labels), labels), labels)

    def _reduce_store(self, store: Store, target: Target) -> None:
        value, missing = store.value, [x for x in self.order if x not in store.labels]
        carried = self.labels[value]
        summed = [label for label in carried if label in missing]
        lacking = [label for label in missing if label not in carried]
        kept = tuple(label for label in carried if label not in summed)
        computed = self._inner_product(store, summed, kept) if store.mode == "sum" and summed else None
        if computed is None:
            computed = self._reduction(store, summed, kept)
        if lacking:
            computed = self._repeated(store.mode, computed, lacking)
        if kept == store.labels and not computed.into_lost and target.given and target.rank:
            self.lines.append(computed.into(target.name))
            return
        text = self._reordered(Value(computed.expression, kept), store.labels)
        if kept == store.labels or target.given:
            self._assign(target, Value(text, store.labels))
        elif set(kept) == set(store.labels):
            self.lines.append(f"{target.name} = np.array({text.text}, order=\"C\")")
        else:
            shape = ex.tuple_of([self.around.size(self.extents[label]) for label in store.labels])
            self.lines.append(f"{target.name} = np.empty({shape}, _REAL)")
            self.lines.append(f"{target.name}[...] = {text.text}")

    def _reduction(self, store: Store, summed: Sequence[int], kept: Labels) -> _Reduction:
        value = self._held_operand(store.value)
        if not summed:
            return _Reduction(value.expression)
        axes = tuple(value.labels.index(label) for label in summed)
        arguments = []
        if len(axes) < len(value.labels):
            arguments.append(f"axis={axes[0] if len(axes) == 1 else ex.tuple_of([str(a) for a in axes])}")
        if store.mode in ("max", "min"):
            arguments.append("initial=-np.inf" if store.mode == "max" else "initial=np.inf")
        method = f"{value.expression.at(ex.POSTFIX)}.{store.mode}"
        return _Reduction(call(method, *arguments), method, tuple(arguments))

    def _held_operand(self, value: int) -> Value:
        """The operand of a reduction; one made by several operations is computed in place in an array of its own."""
        ins = self.program[value]
        if value in self.named or ins.operation in TRIVIAL or not self.labels[value]:
            return self._value(value)
        if all(self.program[arg].operation in TRIVIAL or arg in self.named for arg in ins.args):
            return self._value(value)
        if self.dtypes[value] != REAL or not self._own_any(value):
            return self._value(value)
        target = Target(self.around.scope.fresh(self._noun(value)), False, len(self.labels[value]))
        held = self._hold(value, target, final=False)
        self.named[value] = Value(Expression(held), self.labels[value])
        return self.named[value]

    def _own_any(self, value: int) -> bool:
        return self._main_argument(self.program[value], self.labels[value]) is not None

    def _inner_product(self, store: Store, summed: Sequence[int], kept: Labels) -> _Reduction | None:
        """A sum of a product of two arrays without the array of products."""
        ins = self.program[store.value]
        if store.value in self.named or ins.operation not in ("multiply", "square"):
            return None
        labels = self.labels[store.value]
        args = list(ins.args) * (2 if ins.operation == "square" else 1)
        if any(self.dtypes[arg] != REAL for arg in args):
            return None
        scalars = [arg for arg in args if not self.labels[arg]]
        arrays = [arg for arg in args if self.labels[arg]]
        if len(arrays) != 2 or any(self.labels[arg] != labels for arg in arrays):
            return None
        if ins.operation == "square" and self.program[ins.args[0]].operation not in TRIVIAL and ins.args[0] not in self.named:
            name = self.around.scope.fresh(self._noun(ins.args[0]))
            self._name(ins.args[0], Target(name, False, len(labels)), None)
        left, right = (Operand(self._value(arg).expression, labels) for arg in arrays)
        computed = contraction(left, right, kept, self.extents, self.around.size)
        if not scalars:
            return _Reduction(computed.expression, computed.function, computed.arguments)
        factor = self._chain("multiply", [self._value(arg) for arg in scalars], ())
        return _Reduction(self._chain("multiply", [factor, Value(computed.expression, ())], ()).expression)

    def _repeated(self, mode: str, computed: _Reduction, lacking: Sequence[int]) -> _Reduction:
        """A reduction over labels that the value does not carry."""
        count = Dim.of(1)
        for label in lacking:
            count = count * self.extents[label]
        times = self._size(count)
        if mode == "sum":
            return _Reduction(binary("*", times, computed.expression))
        if mode == "prod":
            return _Reduction(Expression(f"{computed.expression.at(ex.ATOM)} ** {times.at(ex.ATOM)}", ex.UNARY))
        empty = "-np.inf" if mode == "max" else "np.inf"
        return _Reduction(call("np.where", f"{times.text} > 0", computed.expression.text, empty))


@dataclass(frozen=True, slots=True)
class _Reduction:
    """A reduced value, and the call that takes ``out=`` where there is one."""

    expression: Expression
    function: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def into_lost(self) -> bool:
        return not self.function

    def into(self, out: str) -> str:
        return f"{self.function}({', '.join((*self.arguments, f'out={out}'))})"


def _axis_order(step: Map | Contract) -> Labels:
    """The order of axes in which a record is computed: that of its first full store."""
    labels = step.output if isinstance(step, Contract) else step.labels
    for store in step.stores:
        if store.mode == "store" and len(store.labels) == len(labels):
            return store.labels
    return labels


def _use_counts(program: Sequence[Instruction], stores: Sequence[Store]) -> tuple[list[bool], list[int]]:
    """Which instructions a store needs, and how often each is used by them."""
    reachable = [False] * len(program)
    uses = [0] * len(program)
    for store in stores:
        reachable[store.value] = True
        uses[store.value] += 1
    for k in range(len(program) - 1, -1, -1):
        if reachable[k]:
            for arg in program[k].args:
                reachable[arg] = True
                uses[arg] += 1
    return reachable, uses


def _read_counts(step: Map | Contract) -> dict[Buffer, int]:
    """How many accesses of the record read each buffer."""
    accesses = list(step.operands)
    if isinstance(step, Contract):
        accesses += [access for product in step.products for access in (product.left, product.right)]
    counts: dict[Buffer, int] = {}
    for access in accesses:
        counts[access.buffer] = counts.get(access.buffer, 0) + 1
    loads: dict[int, int] = {}
    for ins in step.program:
        if ins.operation == "load":
            loads[ins.operand] = loads.get(ins.operand, 0) + 1
    for operand, count in loads.items():
        counts[step.operands[operand].buffer] += count - 1
    return counts


def _as_real(expression: Expression) -> Expression:
    return call(f"{expression.at(ex.POSTFIX)}.astype", "_REAL")


def _scaled(coefficient: Fraction | float, term: Expression) -> tuple[str, Expression]:
    """The sign to add a scaled term with, and the term without it."""
    sign = "-" if coefficient < 0 else "+"
    magnitude = abs(coefficient)
    return sign, term if magnitude == 1 else binary("*", number(magnitude), term)


def _opposite(term: Expression) -> Expression | None:
    """``term`` without its leading minus."""
    if not term.text.startswith("-") or term.level < ex.MULTIPLY:
        return None
    text = term.text[1:]
    whole = text.startswith("(") and text.endswith(")") and text.find(")") == len(text) - 1
    return Expression(text[1:-1] if whole and "(" not in text[1:] else text, term.level)


def _is_reciprocal(ins: Instruction) -> bool:
    return ins.operation == "power" and ins.number == -1


def _square(arg: Expression) -> Expression:
    if arg.text.isidentifier():
        return Expression(f"{arg.text} * {arg.text}", ex.MULTIPLY)
    return call("np.square", arg.text)


def _power(ins: Instruction, arg: str) -> tuple[str, tuple[str, ...]]:
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
    function, arguments = _power(ins, arg.text)
    return call(function, *arguments)
