"""From kernels to views: pointers, loop variables and addresses as C text, one entry point at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bracketc.emit.c_expressions import CType, Dialect, Line, functions_of, lines, number_text
from bracketc.emit.c_names import CScope, c_identifier, dim_text, factor_text
from bracketc.emit.c_views import (
    CarriedView,
    CheckView,
    ContractionView,
    CopyView,
    EntryView,
    EpilogueOperandView,
    EpilogueView,
    FieldView,
    FillView,
    LoopView,
    NestView,
    PointerView,
    RangeView,
    ReductionView,
    SlotView,
    StepsView,
    TableView,
    WriteView,
)
from bracketc.ir.dims import Dim
from bracketc.loops.kernel import (
    Address,
    Check,
    Contraction,
    Copy,
    Epilogue,
    EpilogueOperand,
    Factorise,
    Fill,
    Group,
    Kernel,
    Nest,
    Reference,
    Statement,
    Steps,
    Storage,
    Write,
)

_NEUTRAL = {"sum": "0", "max": "-INFINITY", "min": "INFINITY", "prod": "1"}
_MARK = "\x00"


@dataclass(frozen=True, slots=True)
class Fields:
    """Struct fields by storage: where the caller's pointers of one entry come from."""

    arguments: dict[str, str]
    results: dict[str, str]


@dataclass
class EntryWriter:
    """Views of one kernel. ``epilogues`` collects the tile functions of the file, shared where they are equal."""

    kernel: Kernel
    ctype: CType
    prefix: str
    upper: str
    fields: Fields
    epilogues: dict[object, EpilogueView]
    sizes: dict[str, str] = field(default_factory=dict)
    names: dict[Storage, str] = field(default_factory=dict)
    scope: CScope = field(default_factory=CScope)
    labels: dict[int, str] = field(default_factory=dict)
    scratch: list[str] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)

    # ------------------------------------------------------------------------------------------- the entry
    def view(self, doc: Sequence[str]) -> EntryView:
        kernel, real = self.kernel, self.ctype.real
        for name in _size_names(kernel):
            self.sizes[name] = self.scope.fresh(name)
        pointers: list[PointerView] = []
        for storage in kernel.arguments:
            text = f"args->{self.fields.arguments[storage.name]}"
            pointers.append(PointerView(f"const {self.type(storage)} *", self.named(storage), text))
        for storage in kernel.results:
            text = f"results->{self.fields.results[storage.name]}"
            pointers.append(PointerView(f"{self.type(storage)} *", self.named(storage), text))
        residuals: list[SlotView] = []
        for storage in kernel.residuals:
            constant = "const " if kernel.entry == "backward" else ""
            name = self.named(storage)
            text = f"({constant}{self.type(storage)} *)residual_{len(residuals)}"
            pointers.append(PointerView(f"{constant}{self.type(storage)} *", name, text))
            residuals.append(SlotView(f"residual_{len(residuals)}", self.bytes(storage)))
        used = _arena_storages(kernel.body)
        arena = [
            PointerView(f"{self.type(s)} *", self.named(s), f"({self.type(s)} *)slot_{s.slot}")
            for s in used
            if s.kind in ("arena", "ring")
        ]
        body = tuple(self.statements(kernel.body))
        slots = tuple(
            SlotView(f"slot_{k}", f"{factor_text(size, self.sizes)} * (int64_t)sizeof({_CTYPES.get(dtype, real)})")
            for k, (size, dtype) in enumerate(zip(kernel.slots, kernel.slot_dtypes, strict=True))
        )
        return EntryView(
            kernel.entry,
            tuple(doc),
            tuple(self.sizes.values()),
            tuple(RangeView(self.check(c)) for c in kernel.checks),
            tuple(pointers),
            tuple(residuals),
            slots,
            tuple(arena),
            tuple(dict.fromkeys(self.scratch)),
            body,
        )

    def check(self, check: Check) -> str:
        """The condition under which a window leaves its axis."""
        parts = [f"{dim_text(extent, self.sizes)} > 0" for extent in check.nonempty if extent.constant is None]
        return " && ".join([*parts, f"{dim_text(check.value, self.sizes)} < 0"])

    def type(self, storage: Storage) -> str:
        return _CTYPES.get(storage.dtype, self.ctype.real)

    def bytes(self, storage: Storage) -> str:
        return f"{factor_text(storage.size, self.sizes)} * (int64_t)sizeof({self.type(storage)})"

    def named(self, storage: Storage) -> str:
        if storage not in self.names:
            self.names[storage] = self.scope.fresh(storage.name)
        return self.names[storage]

    def label(self, label: int) -> str:
        if label not in self.labels:
            self.labels[label] = self.scope.fresh(f"i{label}")
        return self.labels[label]

    # ------------------------------------------------------------------------------------------- statements
    def statements(self, body: Iterable[Statement]) -> Iterable[object]:
        for statement in body:
            match statement:
                case Nest():
                    yield self.vector_nest(statement) if statement.vector else self.scalar_nest(statement)
                case Fill():
                    size = dim_text(statement.target.size, self.sizes)
                    value = number_text(statement.value, self.ctype)
                    yield FillView("c/fill.c.j2", self.named(statement.target), size, value, self.ctype.suffix)
                case Copy():
                    yield self.copy(statement)
                case Contraction():
                    yield self.contraction(statement)
                case Steps():
                    yield self.steps(statement)
                case Factorise():
                    raise AssertionError(statement.operator)

    def copy(self, statement: Copy) -> CopyView:
        return CopyView("c/copy.c.j2", self.named(statement.target), self.named(statement.source), self.bytes(statement.source))

    def steps(self, statement: Steps) -> StepsView:
        counter, step = self.scope.fresh("count"), self.scope.fresh("t")
        length = dim_text(statement.length, self.sizes)
        carried: list[CarriedView] = []
        for storage, _ in statement.carried:
            assert storage.base is not None
            initial = self.named(storage.base)
            name = self.named(storage)
            carried.append(CarriedView(f"const {self.type(storage)} *", name, initial, "", self.scope.fresh(f"next_{name}")))
        pointers: list[PointerView] = []
        for storage in statement.moving:
            assert storage.base is not None and storage.stride is not None
            constant = "const " if self.reads_only(storage.base) else ""
            offset = f"{step} * {factor_text(storage.stride, self.sizes)}"
            pointers.append(PointerView(f"{constant}{self.type(storage)} *", self.named(storage), f"{self.named(storage.base)} + {offset}"))
        for storage in statement.rings:
            block = self.scope.fresh(f"{storage.name}_blocks")
            base = self.named(storage)  # the arena pointer of the ring; inside the loop its block of this step
            self.names[storage] = block
            size = factor_text(storage.size, self.sizes)
            pointers.append(PointerView(f"{self.type(storage)} *", block, f"{base} + {counter} % {storage.count} * {size}"))
        body = tuple(self.statements(statement.body))
        following = [self.named(after) for _, after in statement.carried]
        carried = [
            CarriedView(c.type, c.name, c.initial, after, c.next) for c, after in zip(carried, following, strict=True)
        ]
        position = f"{length} - 1 - {counter}" if statement.reverse else counter
        finals = tuple(self.copy(final) for final in statement.finals)
        return StepsView(
            "c/steps.c.j2", _comment(statement.bracket), tuple(carried), counter, step, length, position, tuple(pointers), body, finals
        )

    def reads_only(self, storage: Storage) -> bool:
        if storage.kind in ("moving",):
            assert storage.base is not None
            return self.reads_only(storage.base)
        backward = self.kernel.entry == "backward"
        return storage.kind in ("argument", "carried") or (storage.kind == "residual" and backward)

    # ------------------------------------------------------------------------------------------- addresses
    def offset(self, address: Address, without: int = -1) -> str:
        """The address as C text, the term of label ``without`` left out; ``0`` when nothing remains."""
        parts: list[str] = []
        for label, stride in address.terms:
            if label == without or stride.constant == 0:
                continue
            name = self.label(label)
            parts.append(name if stride.constant == 1 else f"{name} * {factor_text(stride, self.sizes)}")
        if address.offset.constant != 0:
            parts.append(factor_text(address.offset, self.sizes))
        return " + ".join(parts) or "0"

    def pointer(self, reference: Reference, without: int = -1) -> str:
        """Text of a pointer to the element at label ``without`` = 0."""
        offset = self.offset(reference.address, without)
        name = self.named(reference.storage)
        return name if offset == "0" else f"{name} + {offset}"

    # ------------------------------------------------------------------------------------------- nests
    def vector_nest(self, nest: Nest) -> NestView:
        s, inner = self.ctype.suffix, nest.axes[-1]
        variable = self.label(inner.label)
        extent = dim_text(inner.extent, self.sizes)
        self.functions |= functions_of(nest.program)
        pointers: dict[tuple[Storage, str], PointerView] = {}

        def base(reference: Reference, writes: bool) -> str:
            key = (reference.storage, self.offset(reference.address, inner.label))
            if key not in pointers:
                constant = "" if writes or not self.reads_only(reference.storage) else "const "
                name = self.scope.fresh(f"{reference.storage.name}_row")
                kind = f"{constant}{self.type(reference.storage)} *"
                pointers[key] = PointerView(kind, name, self.pointer(reference, inner.label))
            return pointers[key].name

        def loader(masked: bool) -> Callable[[int], tuple[str, bool]]:
            def load(operand: int) -> tuple[str, bool]:
                reference = nest.loads[operand]
                name = base(reference, False)
                if reference.address.stride(inner.label).constant == 0:
                    return f"splat_{s}({name}[0])", True
                if masked:
                    return f"load_masked_{s}({name} + {variable}, tail)", False
                return f"load_{s}({name} + {variable})", False

            return load

        needed = [w.value for w in nest.writes]
        sides: list[list[Line]] = []
        for masked in (False, True):
            dialect = Dialect(self.ctype, True, loader(masked), self.label, frozenset(), inner.label, sizes=self.sizes)
            sides.append(lines(nest.program, needed, dialect))
        whole, tail = sides
        real = {line.name: line.type.startswith("vec") for line in whole}
        reductions: list[ReductionView] = []
        writes: list[WriteView] = []
        for write in nest.writes:
            place = base(write.target, True)
            value = f"v{write.value}" if real[f"v{write.value}"] else f"truth_{s}(v{write.value})"
            if write.target.address.stride(inner.label).constant == 0:
                reductions.append(self.reduction(write, place, value, len(reductions)))
                continue
            here = f"{place} + {variable}"
            if write.mode != "store":
                # The target is read, combined and written back.
                name = f"held_{len(writes)}"
                whole.append(Line(f"vec_{s}", name, f"load_{s}({here})", False))
                tail.append(Line(f"vec_{s}", name, f"load_masked_{s}({here}, tail)", False))
                value = self.combine(write.mode, name, value)
            writes.append(WriteView(here, value))
        return NestView(
            "c/nest_vector.c.j2",
            _comment(nest.bracket),
            self.loops(nest.axes[:-1]),
            (),
            tuple(pointers.values()),
            tuple(line for line in whole if line.invariant),
            LoopView(variable, extent),
            tuple(line for line in whole if not line.invariant),
            tuple(line for line in tail if not line.invariant),
            tuple(writes),
            tuple(reductions),
            s,
            f"{self.upper}_LABEL_OUT_OF_RANGE",
        )

    def combine(self, mode: str, held: str, value: str) -> str:
        """``held`` and ``value`` combined as a write of ``mode`` does, on vectors."""
        s = self.ctype.suffix
        if mode in ("max", "min"):
            self.functions.add(mode)
            return f"v{mode}_{s}({held}, {value})"
        return f"{held} {'*' if mode == 'prod' else '+'} {value}"

    def reduction(self, write: Write, place: str, value: str, number: int) -> ReductionView:
        s, mode = self.ctype.suffix, write.mode
        mode = "sum" if mode == "add" else mode
        name = f"{mode}_{number}"
        target = f"{place}[0]"
        lanes = f"{mode}_lanes_{s}({name})"
        if mode in ("max", "min"):
            result = f"{self.combine(mode, f'splat_{s}({target})', f'splat_{s}({lanes})')}[0]"
        else:
            result = f"{target} {'*' if mode == 'prod' else '+'} {lanes}"
        neutral = _NEUTRAL[mode]
        kept = f"keep_first_{s}({value}, rest, {neutral})"
        return ReductionView(name, neutral, self.combine(mode, name, value), self.combine(mode, name, kept), target, result)

    def scalar_nest(self, nest: Nest) -> NestView:
        self.functions |= functions_of(nest.program)
        checks: list[CheckView] = []

        def place(reference: Reference) -> str:
            parts = [self.offset(reference.address)]
            for indirect in reference.address.indirect:
                text = f"{self.named(indirect.index.storage)}[{self.offset(indirect.index.address)}]"
                known = next((c.name for c in checks if c.text == text), None)
                if known is None:
                    known = self.scope.fresh("chosen")
                    checks.append(CheckView(known, text, dim_text(indirect.bound, self.sizes)))
                parts.append(f"{known} * {factor_text(indirect.stride, self.sizes)}")
            text = " + ".join(p for p in parts if p != "0") or "0"
            return f"{self.named(reference.storage)}[{text}]"

        boolean = frozenset(k for k, r in enumerate(nest.loads) if r.storage.dtype == "boolean")
        dialect = Dialect(
            self.ctype, False, lambda k: (place(nest.loads[k]), False), self.label, boolean, sizes=self.sizes
        )
        body = lines(nest.program, [w.value for w in nest.writes], dialect)
        writes: list[WriteView] = []
        s = self.ctype.suffix
        for write in nest.writes:
            target, value = place(write.target), f"v{write.value}"
            if write.mode in ("add", "sum", "prod"):
                value = f"{target} {'*' if write.mode == 'prod' else '+'} {value}"
            elif write.mode in ("max", "min"):
                self.functions.add(write.mode)
                value = f"v{write.mode}_{s}(splat_{s}({target}), splat_{s}({value}))[0]"
            writes.append(WriteView(target, value))
        return NestView(
            "c/nest_scalar.c.j2",
            _comment(nest.bracket),
            self.loops(nest.axes),
            tuple(checks),
            (),
            (),
            LoopView("", ""),
            tuple(body),
            (),
            tuple(writes),
            (),
            s,
            f"{self.upper}_LABEL_OUT_OF_RANGE",
        )

    def loops(self, axes: Sequence[object]) -> tuple[LoopView, ...]:
        return tuple(LoopView(self.label(a.label), dim_text(a.extent, self.sizes)) for a in axes)  # type: ignore[attr-defined]

    # ------------------------------------------------------------------------------------------- contractions
    def contraction(self, statement: Contraction) -> ContractionView:
        tables: list[TableView] = []

        def axes(group: Group) -> tuple[str, str]:
            """The two operands' ways through a group, as ``brk_axis`` literals."""
            if not group.extents:
                return "{0, NULL}", "{0, NULL}"
            if len(group.extents) == 1:
                return (
                    f"{{{dim_text(group.strides[0][0], self.sizes)}, NULL}}",
                    f"{{{dim_text(group.strides[0][1], self.sizes)}, NULL}}",
                )
            found = []
            for operand in range(2):
                name = self.scope.fresh("table")
                tables.append(
                    TableView(
                        name,
                        len(group.extents),
                        ", ".join(dim_text(e, self.sizes) for e in group.extents),
                        ", ".join(dim_text(strides[operand], self.sizes) for strides in group.strides),
                        dim_text(group.extent, self.sizes),
                    )
                )
                found.append(f"{{0, {name}}}")
            return found[0], found[1]

        (a_m, c_m), (b_n, c_n), (a_k, b_k) = axes(statement.m), axes(statement.n), axes(statement.k)
        m, n, k = (dim_text(g.extent, self.sizes) for g in (statement.m, statement.n, statement.k))
        fields = [
            FieldView("m", m),
            FieldView("n", n),
            FieldView("k", k),
            FieldView("a", self.pointer(statement.a)),
            FieldView("a_m", a_m),
            FieldView("a_k", a_k),
            FieldView("b", self.pointer(statement.b)),
            FieldView("b_k", b_k),
            FieldView("b_n", b_n),
            FieldView("c", self.pointer(statement.c)),
            FieldView("c_m", c_m),
            FieldView("c_n", c_n),
            FieldView("alpha", number_text(statement.alpha, self.ctype)),
            FieldView("accumulate", str(int(statement.accumulate))),
        ]
        sizes = f"{m}, {n}, {k}"
        need = f"brk_round_up(contract_bytes_{self.ctype.suffix}({sizes}), BRK_CACHE_LINE)"
        for table in tables:
            need += f" + {_factor(table.count)} * (int64_t)sizeof(int64_t)"
        self.scratch.append(need)
        epilogue: str = ""
        given: tuple[FieldView, ...] = ()
        if statement.epilogue is not None:
            epilogue, given = self.epilogue(statement.epilogue, statement.bracket)
        return ContractionView(
            "c/contraction.c.j2",
            _comment(statement.bracket),
            self.loops(statement.batch),
            tuple(tables),
            epilogue,
            tuple(fields),
            epilogue,
            given,
            sizes,
            self.ctype.suffix,
        )

    def epilogue(self, epilogue: Epilogue, bracket: str) -> tuple[str, tuple[FieldView, ...]]:
        """The name of the tile function, and the operands to give it."""
        s = self.ctype.suffix
        self.functions |= functions_of(epilogue.program)
        operands = [*epilogue.operands, *(o for o, _ in epilogue.stores)]
        kinds = tuple(_column_kind(o) for o in operands)
        key = (epilogue.program, epilogue.value, tuple(v for _, v in epilogue.stores), kinds, len(epilogue.operands))
        given: list[FieldView] = [FieldView("dims", "dims")]
        for number, operand in enumerate(operands):
            given.append(FieldView(f"x{number}", self.pointer(operand.reference)))
            given.append(FieldView(f"x{number}_row", dim_text(operand.row, self.sizes)))
            given.append(FieldView(f"x{number}_column", dim_text(operand.column, self.sizes)))
        found = self.epilogues.get(key)
        if found is not None:
            return found.name, tuple(given)
        name = f"{self.prefix}_tile_{len(self.epilogues) + 1}"
        views = tuple(
            EpilogueOperandView(f"{'const ' if k < len(epilogue.operands) else ''}{self.ctype.real} *", f"x{k}")
            for k in range(len(operands))
        )

        def load(operand: int) -> tuple[str, bool]:
            place = {
                "fixed": (f"splat_{s}(x{operand}[0])", True),
                "adjacent": (f"load_masked_{s}(x{operand} + j, tail)", False),
                "strided": (f"load_strided_{s}(x{operand} + j * o->x{operand}_column, o->x{operand}_column, rest)", False),
            }
            return place[kinds[operand]]

        sizes = {n: f"o->dims->{c_identifier(n)}" for n in self.sizes}
        dialect = Dialect(self.ctype, True, load, lambda label: "", frozenset(), sizes=sizes)
        body = lines(epilogue.program, [epilogue.value, *(v for _, v in epilogue.stores)], dialect)
        real = {line.name: line.type.startswith("vec") for line in body}

        def value(number: int) -> str:
            return f"v{number}" if real[f"v{number}"] else f"truth_{s}(v{number})"

        stores: list[str] = []
        for k, (_, number) in enumerate(epilogue.stores, len(epilogue.operands)):
            if kinds[k] == "strided":
                stores.append(f"store_strided_{s}(x{k} + j * o->x{k}_column, o->x{k}_column, rest, {value(number)})")
            else:
                stores.append(f"store_masked_{s}(x{k} + j, tail, {value(number)})")
        view = EpilogueView(
            name,
            _comment(bracket) or "The finished tile.",
            views,
            tuple(line for line in body if line.invariant),
            tuple(line for line in body if not line.invariant),
            value(epilogue.value),
            tuple(stores),
        )
        self.epilogues[key] = view
        return name, tuple(given)


_CTYPES = {"integer": "int64_t", "boolean": "uint8_t"}


def _column_kind(operand: EpilogueOperand) -> str:
    return {0: "fixed", 1: "adjacent"}.get(operand.column.constant if operand.column.constant is not None else -1, "strided")


def _factor(text: str) -> str:
    return f"({text})" if " " in text else text


def _comment(text: str) -> str:
    """Text that cannot end a comment."""
    return text.replace("*/", "* /").replace("/*", "/ *")


def _size_names(kernel: Kernel) -> tuple[str, ...]:
    """Named sizes in the order of the arguments' shapes, then by name."""
    found: dict[str, None] = {}
    dims: list[Dim] = [d for s in (*kernel.arguments, *kernel.results, *kernel.residuals) for d in s.shape]
    dims += list(kernel.slots)
    for dim in dims:
        found.update(dict.fromkeys(dim.names))
    return tuple(found)


def _arena_storages(body: Iterable[Statement]) -> tuple[Storage, ...]:
    """Storages of the arena in order of first use."""
    found: dict[Storage, None] = {}

    def visit(storage: Storage) -> None:
        if storage.base is not None:
            visit(storage.base)
        if storage.kind in ("arena", "ring"):
            found.setdefault(storage)

    for statement in body:
        for storage in storages(statement):
            visit(storage)
    return tuple(found)


def storages(statement: Statement) -> Iterable[Storage]:
    """Every storage that a statement mentions."""
    match statement:
        case Nest():
            for reference in (*statement.loads, *(w.target for w in statement.writes)):
                yield reference.storage
                for indirect in reference.address.indirect:
                    yield indirect.index.storage
        case Fill():
            yield statement.target
        case Copy():
            yield statement.source
            yield statement.target
        case Factorise():
            yield from (*statement.args, statement.target)
        case Contraction():
            yield from (statement.a.storage, statement.b.storage, statement.c.storage)
            if statement.epilogue is not None:
                for operand in (*statement.epilogue.operands, *(o for o, _ in statement.epilogue.stores)):
                    yield operand.reference.storage
        case Steps():
            for carried, after in statement.carried:
                yield from (carried, after)
            yield from (*statement.moving, *statement.rings)
            for inner in statement.body:
                yield from storages(inner)
            for final in statement.finals:
                yield from (final.target, final.source)
