"""One record of a schedule (``Map`` or ``Contract``) as NumPy statements.

A scalar program is written array by array. The value that is stored is computed in place: the first operation makes the
array, the others update it, also in the memory of an operand that nobody reads afterwards:

    Z_ij = tanh(A_ij + b_j),  A dies here   ->   A += b
                                                 Z = np.tanh(A, out=A)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bracketc.emit import expressions as ex
from bracketc.emit.expressions import Expression, binary, call, number
from bracketc.emit.numpy_contractions import Operand, aligned, arrange, contraction
from bracketc.emit.numpy_facts import TRIVIAL, facts_of
from bracketc.emit.numpy_values import Surroundings, Target, Value, Values, power_call, scaled
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import BOOLEAN, INTEGER, REAL, DType, Labels, Shape
from bracketc.plan.schedule import Contract, Instruction, Map, Store

DEPTH = 24
"""Operations nested deeper than this get a name of their own."""

_UPDATES = {"add": "+=", "subtract": "-=", "multiply": "*=", "divide": "/="}
_UFUNCS = {"add": "np.add", "subtract": "np.subtract", "multiply": "np.multiply", "divide": "np.divide"}
_UPDATABLE = ("accumulator", "add", "subtract", "multiply", "divide", "negate", "square", "power", "call")
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
        self.facts = facts_of(step)
        self.values = Values(step, self.facts, around)

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
            if self.facts.reachable[k]:
                stored = full.get(k)
                trivial = ins.operation in TRIVIAL
                if stored is not None:
                    self._name(k, self.around.target(stored.target), stored.target.dtype)
                    level = 0
                elif not trivial and (self.facts.uses[k] > 1 or level > DEPTH):
                    self._name(
                        k, Target(self.around.scope.fresh(self._noun(k)), False, len(self.facts.labels[k])), None
                    )
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
            store.labels == self.facts.labels[store.value]
            and store.target.dtype == self.facts.dtypes[store.value]
            and self.program[store.value].operation not in TRIVIAL
        )

    def _name(self, value: int, target: Target, dtype: DType | None) -> None:
        self._compute(value, target)
        self.values.named[value] = Value(
            Expression(target.name), self.facts.labels[value], dtype or self.facts.dtypes[value]
        )

    def _compute(self, value: int, target: Target) -> None:
        """Statements that leave ``value`` in ``target``."""
        if target.rank == 0:
            self._assign(target, self.values.raw(value))
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
        if self.facts.labels[value] != labels or self.facts.dtypes[value] != REAL or self.facts.uses[value] != 1:
            return False
        if ins.operation == "load":
            access = self.step.operands[ins.operand]
            return access.labels == labels and self.facts.reads[access.buffer] == 1 and self.around.dies(access.buffer)
        if value in self.values.named:
            return True
        return ins.operation in _UPDATABLE

    def _hold(self, value: int, target: Target, final: bool) -> str:
        """Compute ``value`` into an array that may be updated: ``target``, or an operand that dies; its name.

        ``final`` forces the target.
        """
        ins = self.program[value]
        if value in self.values.named:
            return self.values.named[value].expression.text
        if ins.operation == "load" and not final:
            return self.around.variable(self.step.operands[ins.operand].buffer)
        if ins.operation == "accumulator":
            self._contract_into(target)
            return target.name
        labels = self.facts.labels[value]
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
        if self.program[value].operation != "accumulator" or value in self.values.named:
            return False
        products = self.values.products()
        return len(products) == 1 and products[0].coefficient == -1

    def _subtract_product(self, other: int, target: Target, labels: Labels) -> str:
        """``other - product`` instead of a negated product to which ``other`` is added."""
        self._contract_into(target, negated=True)
        term = self.values.aligned(other, labels)
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
            other = self.values.aligned(ins.args[1 - main], labels)
            if main == 0:
                self._apply(ins.operation, held, other, out)
            else:
                self._call(_UFUNCS[ins.operation], (other.text, held), out, held)
        elif ins.operation == "call":
            function, constants = self.values.function(ins.function)
            args = [held if k == main else self.values.aligned(arg, labels).text for k, arg in enumerate(ins.args)]
            self._call(function, (*args, *constants), out, held)
        elif ins.operation == "power":
            self._call(*power_call(ins, held), out, held)
        else:
            self._call({"negate": "np.negative", "square": "np.square"}[ins.operation], (held,), out, held)

    def _update_sequence(self, operation: str, rest: list[int], held: str, out: Target, labels: Labels) -> None:
        """``held += a``, ``held += b``, …: full arrays one by one, what is smaller combined first."""
        small = [arg for arg in rest if self.facts.labels[arg] != labels]
        large = [arg for arg in rest if self.facts.labels[arg] == labels]
        terms: list[tuple[str, Expression]] = []
        for arg in large:
            inner = self.program[arg]
            if operation == "add" and inner.operation == "negate" and arg not in self.values.named:
                terms.append(("subtract", self.values.aligned(inner.args[0], labels)))
            else:
                terms.append((operation, self.values.aligned(arg, labels)))
        if small:
            terms.append(self._combined(operation, small, labels))
        for k, (how, term) in enumerate(terms):
            last = k == len(terms) - 1
            self._apply(how, held, term, out if last else Target(held, True, out.rank))

    def _combined(self, operation: str, args: list[int], labels: Labels) -> tuple[str, Expression]:
        """Arguments smaller than the whole as one term, the scalars in front."""
        ordered = sorted(args, key=lambda arg: len(self.facts.labels[arg]))
        if operation == "add" and len(ordered) == 1:
            inner = self.program[ordered[0]]
            if inner.operation == "negate" and ordered[0] not in self.values.named:
                return "subtract", self.values.aligned(inner.args[0], labels)
        if operation == "multiply" and len(ordered) == 1:
            inner = self.program[ordered[0]]
            if inner.operation == "power" and inner.number == -1 and ordered[0] not in self.values.named:
                return "divide", self.values.aligned(inner.args[0], labels)
        union = self.facts.in_order({label for arg in ordered for label in self.facts.labels[arg]})
        value = self.values.chain(operation, [self.values.value(arg) for arg in ordered], union)
        return operation, self.values.broadcast(value, labels)

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
        labels = self.facts.labels[value]
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
        ordered = sorted(ins.args, key=lambda arg: -len(self.facts.labels[arg]))
        first = ordered[0]
        for second in reversed(ordered[1:]):
            if set(self.facts.labels[first]) | set(self.facts.labels[second]) == set(labels):
                rest = list(ins.args)
                rest.remove(first)
                rest.remove(second)
                return first, second, rest
        return None

    def _make(self, ins: Instruction, labels: Labels, target: Target) -> None:
        """Assign one operation to the target; with ``out=`` where the target is given and a ufunc does it."""
        if not target.given:
            value = self.values.operation(ins, labels)
            self._assign(target, value)
            return
        args = [self.values.aligned(arg, labels).text for arg in ins.args]
        if ins.operation in _UFUNCS and len(args) == 2:
            self._call(_UFUNCS[ins.operation], args, target, target.name)
        elif ins.operation == "call":
            function, constants = self.values.function(ins.function)
            self._call(function, (*args, *constants), target, target.name)
        elif ins.operation == "power":
            self._call(*power_call(ins, args[0]), target, target.name)
        elif ins.operation in ("negate", "square"):
            self._call({"negate": "np.negative", "square": "np.square"}[ins.operation], args, target, target.name)
        else:
            self._assign(target, self.values.operation(ins, labels))

    # ------------------------------------------------------------------------------------------- contractions
    def _contract_into(self, target: Target, negated: bool = False) -> None:
        """``T = X @ U``, then ``T += Z @ W`` for each further product; ``negated`` leaves out a coefficient of -1."""
        assert isinstance(self.step, Contract)
        labels = self.facts.in_order(set(self.step.output))
        for k, product in enumerate(self.step.products):
            computed = contraction(
                self.values.operand(product.left),
                self.values.operand(product.right),
                labels,
                self.extents,
                self.around.size,
            )
            if k:
                sign, term = scaled(product.coefficient, computed.expression)
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
        value = self.values.raw(store.value) if store.target.dtype != REAL else self.values.value(store.value)
        if target.given or target.rank == 0:
            text = self._reordered(value, store.labels)
            self._assign(target, Value(text, store.labels, plain=value.plain and store.target.dtype == REAL))
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
            self.lines.append(f'{target.name} = np.array({text.text}, order="C")')
        else:
            self.lines.append(f"{target.name} = np.empty({shape}, {dtype})")
            self.lines.append(f"{target.name}[...] = {self._reordered(value, store.labels).text}")

    def _reordered(self, value: Value, labels: Labels) -> Expression:
        return aligned(arrange(Operand(value.expression, value.labels), labels), labels)

    def _reduce_store(self, store: Store, target: Target) -> None:
        value, missing = store.value, [x for x in self.facts.order if x not in store.labels]
        carried = self.facts.labels[value]
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
            self.lines.append(f'{target.name} = np.array({text.text}, order="C")')
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
        if value in self.values.named or ins.operation in TRIVIAL or not self.facts.labels[value]:
            return self.values.value(value)
        if all(self.program[arg].operation in TRIVIAL or arg in self.values.named for arg in ins.args):
            return self.values.value(value)
        if self.facts.dtypes[value] != REAL or not self._own_any(value):
            return self.values.value(value)
        target = Target(self.around.scope.fresh(self._noun(value)), False, len(self.facts.labels[value]))
        held = self._hold(value, target, final=False)
        self.values.named[value] = Value(Expression(held), self.facts.labels[value])
        return self.values.named[value]

    def _own_any(self, value: int) -> bool:
        return self._main_argument(self.program[value], self.facts.labels[value]) is not None

    def _inner_product(self, store: Store, summed: Sequence[int], kept: Labels) -> _Reduction | None:
        """A sum of a product of two arrays without the array of products."""
        ins = self.program[store.value]
        if store.value in self.values.named or ins.operation not in ("multiply", "square"):
            return None
        labels = self.facts.labels[store.value]
        args = list(ins.args) * (2 if ins.operation == "square" else 1)
        if any(self.facts.dtypes[arg] != REAL for arg in args):
            return None
        scalars = [arg for arg in args if not self.facts.labels[arg]]
        arrays = [arg for arg in args if self.facts.labels[arg]]
        if len(arrays) != 2 or any(self.facts.labels[arg] != labels for arg in arrays):
            return None
        base = ins.args[0]
        if ins.operation == "square" and self.program[base].operation not in TRIVIAL and base not in self.values.named:
            self._name(base, Target(self.around.scope.fresh(self._noun(base)), False, len(labels)), None)
        left, right = (Operand(self.values.value(arg).expression, labels) for arg in arrays)
        computed = contraction(left, right, kept, self.extents, self.around.size)
        if not scalars:
            return _Reduction(computed.expression, computed.function, computed.arguments)
        factor = self.values.chain("multiply", [self.values.value(arg) for arg in scalars], ())
        return _Reduction(self.values.chain("multiply", [factor, Value(computed.expression, ())], ()).expression)

    def _repeated(self, mode: str, computed: _Reduction, lacking: Sequence[int]) -> _Reduction:
        """A reduction over labels that the value does not carry."""
        count = Dim.of(1)
        for label in lacking:
            count = count * self.extents[label]
        times = self.values.size(count)
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


def _opposite(term: Expression) -> Expression | None:
    """``term`` without its leading minus."""
    if not term.text.startswith("-") or term.level < ex.MULTIPLY:
        return None
    text = term.text[1:]
    whole = text.startswith("(") and text.endswith(")") and text.find(")") == len(text) - 1
    return Expression(text[1:-1] if whole and "(" not in text[1:] else text, term.level)
