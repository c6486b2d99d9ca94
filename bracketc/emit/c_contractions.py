"""Contractions as views: the record of a product, offset tables of grouped labels, and the function that finishes a
tile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bracketc.emit.c_expressions import Dialect, lines, number_text
from bracketc.emit.c_function import CFunction
from bracketc.emit.c_names import as_factor, bracket_text, dim_text
from bracketc.emit.c_views import (
    ContractionView,
    EpilogueOperandView,
    EpilogueView,
    FieldView,
    LoopView,
    ProductShareView,
    TableView,
    UnrolledView,
)
from bracketc.ir.dims import Dim
from bracketc.loops.kernel import Contraction, Epilogue, EpilogueOperand, Group, Reference


@dataclass
class Epilogues:
    """The tile functions of a file: contractions whose epilogues are equal share one."""

    known: dict[object, EpilogueView] = field(default_factory=dict)

    @property
    def views(self) -> tuple[EpilogueView, ...]:
        return tuple(self.known.values())


def contraction_view(statement: Contraction, c: CFunction, epilogues: Epilogues) -> ContractionView | UnrolledView:
    """The view of a contraction; ``epilogues`` gets its tile function."""
    with c.block():
        lanes, call = "1", "contract"
        if statement.form == "symmetric":
            call = "contract_symmetric" if statement.making is None else "contract_symmetric_made"
            c.functions.add("contract_symmetric")
        if statement.form == "lanes":
            c.functions.add("contract_lanes")
            lanes = c.dim(statement.batch[-1].extent)
            statement = _first_lane(statement)
        c.new_labels(axis.label for axis in statement.batch)
        tables: list[TableView] = []
        a_m, c_m = _axes(statement.m, c, tables)
        b_n, c_n = _axes(statement.n, c, tables)
        a_k, b_k = _axes(statement.k, c, tables)
        m, n, k = (c.dim(group.extent) for group in (statement.m, statement.n, statement.k))
        values = {
            "m": m,
            "n": n,
            "k": k,
            **({"a": c.pointer(statement.a), "a_m": a_m, "a_k": a_k} if statement.making is None else {}),
            "b": c.pointer(statement.b),
            "b_k": b_k,
            "b_n": b_n,
            "c": c.pointer(statement.c),
            "c_m": c_m,
            "c_n": c_n,
            "alpha": number_text(statement.alpha, c.ctype),
            "accumulate": str(int(statement.accumulate)),
        }
        if statement.form == "unrolled":
            return _unrolled(statement, c)
        varying = c.cuts.keys() & {n for g in (statement.m, statement.n, statement.k) for n in g.extent.names}
        a_step, b_step, column = _step(statement.k, 0, c), _step(statement.k, 1, c), _step(statement.n, 0, c)
        bytes = f"contract_bytes_{c.s}({m}, {n}, {k}, {a_step}, {b_step}, {column})"
        if statement.making is not None:
            bytes = f"{call}_bytes_{c.s}({m}, {n}, {k}, {b_step}, {column})"
        need = f"brk_round_up({bytes}, BRK_CACHE_LINE)"
        most = f"brk_round_up(contract_most_bytes_{c.s}({m}, {n}, {k}), BRK_CACHE_LINE)" if varying else need
        c.scratch[" + ".join([most, *(f"{as_factor(t.count)} * (int64_t)sizeof(int64_t)" for t in tables)])] = None
        name, fields = "", tuple[FieldView, ...]()
        if statement.epilogue is not None:
            name, fields = _epilogue(statement.epilogue, statement.bracket, c, epilogues)
        if statement.making is not None:
            name, fields = _epilogue(statement.making, statement.bracket.split("; ")[0], c, epilogues)
        loops = [LoopView(c.label(axis.label), c.dim(axis.extent)) for axis in statement.batch]
        share, area = None, "0, product.m, 0, product.n"
        if statement.divided:
            share = ProductShareView(c.scope.fresh("share"), loops[0].extent if loops else "1", m, n)
            own = share.name
            loops[:1] = [replace(loop, first=f"{own}.first", extent=f"{own}.last") for loop in loops[:1]]
            area = f"{own}.i_first, {own}.i_last, {own}.j_first, {own}.j_last"
        return ContractionView(
            "c/contraction.c.j2",
            bracket_text(statement.bracket),
            tuple(tables),
            need,
            tuple(loops),
            tuple(FieldView(field_name, text) for field_name, text in values.items() if text not in ("{0, NULL}",)),
            name,
            fields,
            c.s,
            share,
            area,
            lanes,
            call,
        )


def _first_lane(statement: Contraction) -> Contraction:
    """The product in the first lane, the label of the lanes taken out."""
    label = statement.batch[-1].label

    def first(reference: Reference) -> Reference:
        address = reference.address
        return replace(reference, address=replace(address, terms=tuple(t for t in address.terms if t[0] != label)))

    a, b, c = first(statement.a), first(statement.b), first(statement.c)
    return replace(statement, batch=statement.batch[:-1], a=a, b=b, c=c)


def _unrolled(statement: Contraction, c: CFunction) -> UnrolledView:
    """A product written out, each of its loops over a known number."""

    def strides(group: Group) -> tuple[str, str]:
        first, second = group.strides[0] if group.strides else (Dim.of(0), Dim.of(0))
        return c.dim(first), c.dim(second)

    a_m, c_m = strides(statement.m)
    b_n, c_n = strides(statement.n)
    a_k, b_k = strides(statement.k)
    loops = [LoopView(c.label(axis.label), c.dim(axis.extent)) for axis in statement.batch]
    share = None
    if statement.divided:
        share = ProductShareView(c.scope.fresh("share"), loops[0].extent, "1", "1")
        loops[0] = replace(loops[0], first=f"{share.name}.first", extent=f"{share.name}.last")
    alpha = number_text(statement.alpha, c.ctype)
    return UnrolledView(
        "c/contraction_unrolled.c.j2",
        bracket_text(statement.bracket),
        tuple(loops),
        c.dim(statement.m.extent),
        c.dim(statement.n.extent),
        c.dim(statement.k.extent),
        c.pointer(statement.a),
        c.pointer(statement.b),
        c.pointer(statement.c),
        a_m,
        a_k,
        b_k,
        b_n,
        c_m,
        c_n,
        "" if statement.alpha == 1 else f"{alpha} * ",
        statement.accumulate,
        c.ctype.real,
        c.s,
        share,
    )


def _step(group: Group, operand: int, c: CFunction) -> str:
    """The stride of an operand along a group; -1 for an offset table."""
    if len(group.extents) > 1:
        return "-1"
    return c.dim(group.strides[0][operand]) if group.extents else "0"


def _axes(group: Group, c: CFunction, tables: list[TableView]) -> tuple[str, str]:
    """The two operands' ways through a group, as ``brk_axis`` literals."""
    if not group.extents:
        return "{0, NULL}", "{0, NULL}"
    if len(group.extents) == 1:
        first, second = (f"{{{c.dim(stride)}, NULL}}" for stride in group.strides[0])
        return first, second
    extents, count = ", ".join(c.dim(extent) for extent in group.extents), c.dim(group.extent)
    found = []
    for operand in range(2):
        strides = ", ".join(c.dim(both[operand]) for both in group.strides)
        name = c.scope.fresh("table")
        tables.append(TableView(name, len(group.extents), extents, strides, count))
        found.append(f"{{0, {name}}}")
    return found[0], found[1]


# ------------------------------------------------------------------------------------------------- epilogues
def _epilogue(
    epilogue: Epilogue, bracket: str, c: CFunction, epilogues: Epilogues
) -> tuple[str, tuple[FieldView, ...]]:
    """The name of the tile function, and the operands to give it."""
    operands = [*epilogue.operands, *(operand for operand, _ in epilogue.stores)]
    ways = tuple(_way(operand) for operand in operands)
    used = _sizes_of(epilogue)
    fields = [FieldView(f"size_{k}", c.dim(Dim.named(name))) for k, name in enumerate(used)]
    for number, operand in enumerate(operands):
        fields.append(FieldView(f"x{number}", c.pointer(operand.reference)))
        fields.append(FieldView(f"x{number}_row", c.dim(operand.row)))
        if ways[number] == "strided":
            fields.append(FieldView(f"x{number}_column", c.dim(operand.column)))
    key = (epilogue.program, epilogue.value, tuple(v for _, v in epilogue.stores), ways, len(epilogue.operands))
    if key not in epilogues.known:
        name = f"tile_{len(epilogues.known) + 1}"
        epilogues.known[key] = _tile_function(name, epilogue, bracket, ways, used, c)
    return epilogues.known[key].name, tuple(fields)


def _sizes_of(epilogue: Epilogue) -> tuple[str, ...]:
    names = dict.fromkeys(n for i in epilogue.program if i.dim is not None for n in sorted(i.dim.names))
    return tuple(names)


def _way(operand: EpilogueOperand) -> str:
    """How an operand runs along the columns of the tile."""
    return {0: "fixed", 1: "adjacent"}.get(
        operand.column.constant if operand.column.constant is not None else -1, "strided"
    )


def _tile_function(
    name: str, epilogue: Epilogue, bracket: str, ways: tuple[str, ...], used: tuple[str, ...], c: CFunction
) -> EpilogueView:
    s, count = c.s, len(epilogue.operands)
    kinds = [f"{'const ' if k < count else ''}{c.ctype.real} *" for k in range(len(ways))]

    def load(operand: int) -> tuple[str, bool]:
        if ways[operand] == "fixed":
            return f"splat_{s}(x{operand}[0])", True
        if ways[operand] == "adjacent":
            return f"load_masked_{s}(x{operand} + j, tail)", False
        c.functions.add("load_strided")
        step = f"o->x{operand}_column"
        return f"load_strided_{s}(x{operand} + j * {step}, {step}, rest)", False

    def size(dim: Dim) -> str:
        return dim_text(dim, {name: f"o->size_{k}" for k, name in enumerate(used)})

    def label(number: int) -> str:
        raise AssertionError(f"label {number} as a number in an epilogue")

    dialect = Dialect(c.ctype, True, load, label, size, c.functions.add, {}, accumulator=f"load_{s}(row + j)")
    body = lines(epilogue.program, [epilogue.value, *(v for _, v in epilogue.stores)], dialect)
    truths = {line.name for line in body if line.truth}

    def value(number: int) -> str:
        if f"v{number}" not in truths:
            return f"v{number}"
        c.functions.add("truth")
        return f"truth_{s}(v{number})"

    stores: list[str] = []
    for k, (_, number) in enumerate(epilogue.stores, count):
        if ways[k] == "strided":
            c.functions.add("store_strided")
            step = f"o->x{k}_column"
            stores.append(f"store_strided_{s}(x{k} + j * {step}, {step}, rest, {value(number)})")
        else:
            stores.append(f"store_masked_{s}(x{k} + j, tail, {value(number)})")
    texts = [*stores, *(line.text for line in body)]
    operands = tuple(
        EpilogueOperandView(kind, f"x{k}", ways[k] == "strided", "" if ways[k] == "fixed" else _advance(k, ways[k]))
        for k, kind in enumerate(kinds)
    )
    return EpilogueView(
        name,
        bracket_text(bracket) or "The finished tile.",
        operands,
        tuple(FieldView(f"size_{k}", text) for k, text in enumerate(used)),
        tuple(line for line in body if line.invariant),
        tuple(line for line in body if not line.invariant),
        value(epilogue.value),
        tuple(stores),
        any("tail)" in text or "tail," in text for text in texts),
        any("rest" in text for text in texts),
    )


def _advance(operand: int, way: str) -> str:
    """How far the pointer of an operand moves to the first column of the tile."""
    return " + j0" if way == "adjacent" else f" + j0 * o->x{operand}_column"
