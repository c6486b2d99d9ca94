"""Contractions as views: the record of a product, offset tables of grouped labels, and the function that finishes a
tile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from bracketc.emit.c_expressions import Dialect, lines, number_text
from bracketc.emit.c_function import CFunction
from bracketc.emit.c_names import as_factor, bracket_text, dim_text
from bracketc.emit.c_views import (
    AssignmentView,
    ContractionView,
    EpilogueOperandView,
    EpilogueView,
    FactorView,
    FieldView,
    LoopView,
    ProductShareView,
    SumView,
    TableView,
    UnrolledView,
)
from bracketc.ir.dims import Dim
from bracketc.loops.kernel import COLUMN, ROW, Contraction, Epilogue, EpilogueOperand, Group, Reference


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
        elif statement.making is not None:
            call = "contract_packed"
            c.functions.add("contract_made")
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
            **({"a": c.pointer(statement.a), "a_m": a_m, "a_k": a_k} if statement.a.storage.kind != "made" else {}),
            **({"b": c.pointer(statement.b), "b_k": b_k, "b_n": b_n} if statement.b.storage.kind != "made" else {}),
            "c": c.pointer(statement.c),
            "c_m": c_m,
            "c_n": c_n,
            "alpha": number_text(statement.alpha, c.ctype),
            "accumulate": str(int(statement.accumulate)),
        }
        if statement.batch and statement.making is None:
            values["a_next"] = c.dim(statement.a.address.stride(statement.batch[-1].label))
        if statement.form in ("unrolled", "together", "registers"):
            return _unrolled(statement, c)
        varying = c.cuts.keys() & {n for g in (statement.m, statement.n, statement.k) for n in g.extent.names}
        a_step, b_step, column = _step(statement.k, 0, c), _step(statement.k, 1, c), _step(statement.n, 0, c)
        bytes = f"contract_bytes_{c.s}({m}, {n}, {k}, {a_step}, {b_step}, {column})"
        if statement.making is not None and statement.form == "symmetric":
            bytes = f"{call}_bytes_{c.s}({m}, {n}, {k}, {b_step}, {column})"
        elif statement.making is not None:
            bytes = f"contract_made_bytes_{c.s}({m}, {n}, {k})"
        if statement.form == "lanes":
            bytes = f"contract_lanes_bytes_{c.s}({n}, {k})"
        need = f"brk_round_up({bytes}, BRK_CACHE_LINE)"
        most = need
        if varying and statement.form != "lanes":
            most = f"brk_round_up(contract_most_bytes_{c.s}({m}, {n}, {k}), BRK_CACHE_LINE)"
        c.scratch[" + ".join([most, *(f"{as_factor(t.count)} * (int64_t)sizeof(int64_t)" for t in tables)])] = None
        name, fields = "", tuple[FieldView, ...]()
        if statement.epilogue is not None:
            name, fields = _epilogue(statement.epilogue, statement.bracket, c, epilogues)
        factor = None
        if statement.making is not None and statement.form == "symmetric":
            name, fields = _epilogue(statement.making, statement.bracket.split("; ")[0], c, epilogues)
        elif statement.making is not None:
            tile, operands = _epilogue(statement.making, statement.bracket.split("; ")[0], c, epilogues, k)
            factor = FactorView(tile, operands)
            side, other = ("a", statement.m) if statement.made is statement.a else ("b", statement.n)
            values[f"{side}_made"] = f"{{{tile}, &factor, {int(_terms_first(statement, other))}}}"
        loops = [LoopView(c.label(axis.label), c.dim(axis.extent)) for axis in statement.batch]
        share, area, rows = None, "0, product.m, 0, product.n", ("0", "product.m")
        if statement.divided:
            units = _units(statement.epilogue, m, n, c.s)
            share = ProductShareView(c.scope.fresh("share"), loops[0].extent if loops else "1", m, n, *units)
            own = share.name
            loops[:1] = [replace(loop, first=f"{own}.first", extent=f"{own}.last") for loop in loops[:1]]
            area = f"{own}.i_first, {own}.i_last, {own}.j_first, {own}.j_last"
            rows = f"{own}.i_first", f"{own}.i_last"
        unset = {("a_next", "0"), *((field_name, "{0, NULL}") for field_name in values)}
        return ContractionView(
            "c/contraction.c.j2",
            bracket_text(statement.bracket),
            tuple(tables),
            need,
            tuple(loops),
            tuple(FieldView(*pair) for pair in values.items() if pair not in unset),
            name,
            fields,
            c.s,
            share,
            area,
            lanes,
            call,
            *rows,
            _empty(statement.epilogue, c),
            factor,
        )


def _terms_first(statement: Contraction, other: Group) -> bool:
    """Whether rows of the factor that is made are terms of the sum."""
    place = 0 if statement.made is statement.a else 1
    along, across = statement.k.strides[0][place].constant == 1, other.strides[0][0].constant == 1
    return statement.k.extent.constant != 1 if along and across else across


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
        share = ProductShareView(c.scope.fresh("share"), loops[0].extent, "1", "1", "1", "1")
        loops[0] = replace(loops[0], first=f"{share.name}.first", extent=f"{share.name}.last")
    alpha = number_text(statement.alpha, c.ctype)
    turned = 0
    if statement.form == "together":
        c.functions.add("rows_together")
    elif statement.form == "registers":
        c.functions.add("register_tile")
        if statement.n.strides[0][0].constant != 1:
            c.functions.add("turn")
            turned = (statement.n.extent * statement.k.extent).constant or 0
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
        alpha,
        statement.accumulate,
        c.ctype.real,
        c.s,
        share,
        "lines" if statement.form == "unrolled" and _in_lines(statement.n) else statement.form,
        turned,
    )


def _in_lines(columns: Group) -> bool:
    """Whether the columns of a small product are vectors of the compiler: a power of two of them, adjacent everywhere."""
    return columns.extent.constant in (2, 4, 8, 16) and all(stride.constant == 1 for stride in columns.strides[0])


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
        steps = [both[operand] for both in group.strides]
        inner = zip(steps[1:], group.extents[1:], strict=True)
        if all(outer is step * extent for outer, (step, extent) in zip(steps, inner, strict=False)):
            found.append(f"{{{c.dim(steps[-1])}, NULL}}")  # this operand walks all labels as one
            continue
        strides = ", ".join(c.dim(both[operand]) for both in group.strides)
        name = c.scope.fresh("table")
        tables.append(TableView(name, len(group.extents), extents, strides, count))
        found.append(f"{{0, {name}}}")
    return found[0], found[1]


# ------------------------------------------------------------------------------------------------- epilogues
def _epilogue(
    epilogue: Epilogue, bracket: str, c: CFunction, epilogues: Epilogues, terms: str = "product.k"
) -> tuple[str, tuple[FieldView, ...]]:
    """The name of the tile function, and the operands to give it."""
    sums = sorted(epilogue.sums, key=lambda summed: summed.over != "down")
    operands = [*epilogue.operands, *(operand for operand, _ in epilogue.stores), *(summed.target for summed in sums)]
    ways = tuple(_way(operand) for operand in operands)
    used = _sizes_of(epilogue)
    fields = [FieldView(f"size_{k}", c.dim(Dim.named(name))) for k, name in enumerate(used)]
    for number, operand in enumerate(operands):
        fields.append(FieldView(f"x{number}", c.pointer(operand.reference)))
        fields.append(FieldView(f"x{number}_row", c.dim(operand.row)))
        if ways[number] == "strided":
            fields.append(FieldView(f"x{number}_column", c.dim(operand.column)))
    if any(summed.over == "down" for summed in sums):
        fields.append(FieldView("group_rows", group_rows("product.m", c.s)))
    ahead = tuple(_streams(operand, ways[k]) for k, operand in enumerate(epilogue.operands))
    if any(ahead):
        fields.append(FieldView("ahead", f"epilogue_ahead_{c.s}({terms})"))
    stored = (epilogue.value, *(v for _, v in epilogue.stores))
    key = (epilogue.program, stored, tuple((s.value, s.over) for s in sums), ways, ahead)
    if key not in epilogues.known:
        name = f"tile_{len(epilogues.known) + 1}"
        epilogues.known[key] = _tile_function(name, epilogue, bracket, ways, ahead, used, c)
    return epilogues.known[key].name, tuple(fields)


def _sizes_of(epilogue: Epilogue) -> tuple[str, ...]:
    names = dict.fromkeys(n for i in epilogue.program if i.dim is not None for n in sorted(i.dim.names))
    return tuple(names)


def group_rows(rows: str, s: str) -> str:
    """How many rows of a product are summed up together."""
    return f"brk_group_rows({rows}, MR_{s})"


def _units(epilogue: Epilogue | None, rows: str, columns: str, s: str) -> tuple[str, str]:
    """What threads do not divide: tiles, groups of rows that are summed up, all columns of a row that is."""
    over = {summed.over for summed in epilogue.sums} if epilogue is not None else set()
    row_unit = group_rows(rows, s) if "down" in over else f"MR_{s}"
    return row_unit, f"brk_max(1, {columns})" if "across" in over else f"NR_{s}"


def _empty(epilogue: Epilogue | None, c: CFunction) -> tuple[AssignmentView, ...]:
    """Sums over columns are 0 where there are none, and no tile that would say so."""
    found = []
    for summed in epilogue.sums if epilogue is not None else ():
        if summed.over == "across":
            step = "" if summed.target.row.constant == 1 else f" * {c.factor(summed.target.row)}"
            found.append(AssignmentView(f"({c.pointer(summed.target.reference)})[i{step}]", number_text(0.0, c.ctype)))
    return tuple(found)


def _way(operand: EpilogueOperand) -> str:
    """How an operand runs along the columns of the tile."""
    return {0: "fixed", 1: "adjacent"}.get(
        operand.column.constant if operand.column.constant is not None else -1, "strided"
    )


def _streams(operand: EpilogueOperand, way: str) -> bool:
    """Whether an operand has a row for each row of the tile that is read along memory."""
    return way == "adjacent" and operand.row.constant != 0


def _tile_function(
    name: str,
    epilogue: Epilogue,
    bracket: str,
    ways: tuple[str, ...],
    ahead: tuple[bool, ...],
    used: tuple[str, ...],
    c: CFunction,
) -> EpilogueView:
    s, count, stored = c.s, len(epilogue.operands), len(epilogue.operands) + len(epilogue.stores)
    sums = sorted(epilogue.sums, key=lambda summed: summed.over != "down")
    kinds = [f"{'const ' if k < count else ''}{c.ctype.real} *" for k in range(len(ways))]

    def load(operand: int, masked: bool) -> tuple[str, bool]:
        if ways[operand] == "fixed":
            return f"splat_{s}(x{operand}[0])", True
        if ways[operand] == "adjacent":
            return (f"load_masked_{s}(x{operand} + j, tail)" if masked else f"load_{s}(x{operand} + j)"), False
        c.functions.add("load_strided")
        step = f"o->x{operand}_column"
        return f"load_strided_{s}(x{operand} + j * {step}, {step}, {_lanes(masked, s)})", False

    def size(dim: Dim) -> str:
        return dim_text(dim, {name: f"o->size_{k}" for k, name in enumerate(used)})

    def label(number: int) -> str:
        return {ROW: "i0 + r", COLUMN: "j0 + j"}[number]

    needed = [epilogue.value, *(v for _, v in epilogue.stores), *(summed.value for summed in sums)]
    whole, tail = (
        lines(
            epilogue.program,
            needed,
            Dialect(c.ctype, True, partial(load, masked=m), label, size, c.functions.add, {}, COLUMN, accumulator),
        )
        for m, accumulator in ((False, f"load_{s}(row + j)"), (True, f"load_masked_{s}(row + j, tail)"))
    )
    truths = {line.name for line in whole if line.truth}

    def value(number: int) -> str:
        if f"v{number}" not in truths:
            return f"v{number}"
        c.functions.add("truth")
        return f"truth_{s}(v{number})"

    def store(k: int, number: int, masked: bool) -> str:
        if ways[k] == "strided":
            c.functions.add("store_strided")
            step = f"o->x{k}_column"
            return f"store_strided_{s}(x{k} + j * {step}, {step}, {_lanes(masked, s)}, {value(number)})"
        return f"store_masked_{s}(x{k} + j, tail, {value(number)})" if masked else f"store_{s}(x{k} + j, {value(number)})"

    stores = [[store(k, number, m) for k, (_, number) in enumerate(epilogue.stores, count)] for m in (False, True)]
    views = [SumView(f"x{k}", f"sum_{k}", value(summed.value)) for k, summed in enumerate(sums, stored)]
    down = sum(summed.over == "down" for summed in sums)
    if down < len(sums):
        c.functions |= {"keep_first", "sum_lanes"}
    starts = ["" if way == "fixed" else _advance(k, way) for k, way in enumerate(ways)]
    operands = tuple(EpilogueOperandView(kind, f"x{k}", ways[k] == "strided", starts[k]) for k, kind in enumerate(kinds))
    return EpilogueView(
        name,
        bracket_text(bracket) or "The finished tile.",
        operands,
        operands[:stored] + operands[stored + down :],
        tuple(FieldView(f"size_{k}", text) for k, text in enumerate(used)),
        tuple(line for line in whole if line.invariant),
        tuple(line for line in whole if not line.invariant),
        tuple(line for line in tail if not line.invariant),
        value(epilogue.value),
        tuple(stores[0]),
        tuple(stores[1]),
        tuple(views[:down]),
        tuple(views[down:]),
        tuple(f"x{k}" for k, streams in enumerate(ahead) if streams),
    )


def _lanes(masked: bool, s: str) -> str:
    """How many lanes of a vector count."""
    return "rest" if masked else f"WIDTH_{s}"


def _advance(operand: int, way: str) -> str:
    """How far the pointer of an operand moves to the first column of the tile."""
    return " + j0" if way == "adjacent" else f" + j0 * o->x{operand}_column"
