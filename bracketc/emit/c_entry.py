"""One entry point as a view: the caller's pointers, the arena, and the statements."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bracketc.emit.c_contractions import Epilogues, contraction_view, group_rows
from bracketc.emit.c_expressions import CType, number_text
from bracketc.emit.c_factorise import factorise_view
from bracketc.emit.c_function import C_TYPES, FAILURE, LAPACK, CFunction
from bracketc.emit.c_names import CScope, as_factor, bracket_text, comment_text, dim_text
from bracketc.emit.c_nests import nest_view
from bracketc.emit.c_views import (
    AloneView,
    BarrierView,
    BlocksView,
    CarriedView,
    CollectView,
    CombineView,
    CopyView,
    CutView,
    EntryView,
    FieldView,
    FillView,
    LayoutView,
    LeaveView,
    PartialView,
    PointerView,
    RangesView,
    RowsView,
    SlotView,
    StepsView,
)
from bracketc.emit.faults import Faults
from bracketc.ir.dims import Dim
from bracketc.loops.kernel import (
    NEUTRAL,
    Alone,
    Barrier,
    Blocks,
    Check,
    Collect,
    Combine,
    Contraction,
    Copy,
    Factorise,
    Fill,
    Kernel,
    Nest,
    Rows,
    Statement,
    Steps,
    Storage,
)
from bracketc.loops.team import statements_of


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of the caller's structs by name in the source: sizes, arguments, and the results of one entry."""

    dims: Mapping[str, str]
    arguments: Mapping[str, str]
    results: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EntryText:
    """The view of an entry, and the sizes and arguments that it reads, in their order."""

    view: EntryView
    sizes: tuple[str, ...]
    arguments: tuple[str, ...]


def entry_text(
    kernel: Kernel,
    name: str,
    doc: Sequence[str],
    *,
    ctype: CType,
    prefix: str,
    fields: Fields,
    epilogues: Epilogues,
    functions: set[str],
    team: bool,
    faults: Faults,
    lapack: bool = False,
    writes: tuple[str, str] = ("", ""),
) -> EntryText:
    """The entry point ``name`` of ``kernel``; ``epilogues``, ``functions`` and ``faults`` collect what it needs of the file.
    ``team`` lets several threads run it, ``lapack`` lets the caller hand over factorisations. ``writes`` are the results that
    ranges write, and those that are written when all are done."""
    scope = CScope()
    sizes = {size: scope.fresh(size) for size in fields.dims}
    c = CFunction(kernel, ctype, prefix, prefix.upper(), sizes, scope, functions, faults, team=team, lapack=lapack)
    for statement in kernel.body:
        if isinstance(statement, Blocks):
            _name_cut(statement, c)
    used = dict.fromkeys(_used(kernel.body))
    arguments = [s for s in kernel.arguments if s in used]
    pointers = [_given(c, s, f"args->{fields.arguments[s.name]}") for s in arguments]
    pointers += [_given(c, s, f"results->{fields.results[s.name]}") for s in kernel.results if s in used]
    for number, storage in enumerate(kernel.residuals):
        if storage in used:
            kind = c.pointer_type(storage)
            pointers.append(_given(c, storage, f"({kind})(({_bytes_of(kind)})residuals + saved[{number}])"))
    rooms = ("arena", "ring", "partial")
    sums = _sums(kernel)
    arena = [_given(c, s, f"({c.type(s)} *)({_room(s, sums)})") for s in used if s.kind in rooms]
    c.steps |= {s: scope.fresh(f"{c.named(s)}_step") for s in sums}
    own, shift = "arena + own" if team else "arena", len(kernel.slots)
    arena += [_given(c, s, f"({c.type(s)} *)({own} + slot[{shift + s.slot}])") for s in used if s.kind == "local"]
    body = tuple(_statements(kernel.body, c, epilogues))
    if c.reports:
        pointers.append(PointerView(f"{prefix}_failure *", FAILURE, "results->failure"))
    if c.factorises:
        pointers.append(PointerView(f"const {prefix}_lapack *", LAPACK, "args->lapack"))
    layout = _layout(kernel, name, c, fields, f"{name}_threads(dims)" if team else "")
    negatives = tuple(
        dict.fromkeys(f"{c.dim(d)} < 0" for d in _may_be_negative([*kernel.arguments, *kernel.results, *used]))
    )
    ranges = tuple(dict.fromkeys(_range(check, c) for check in kernel.checks if _can_be_negative(check.value)))
    c.used_sizes.update(dict.fromkeys(n for s in kernel.residuals for d in s.shape for n in sorted(d.names)))
    view = EntryView(
        name,
        tuple(comment_text(line) for line in doc),
        tuple(FieldView(sizes[n], f"dims->{fields.dims[n]}") for n in fields.dims if n in c.used_sizes),
        negatives,
        ranges,
        tuple(pointers),
        len(kernel.residuals),
        layout,
        tuple(arena),
        bool(arena) or bool(c.scratch),
        bool(c.scratch),
        body,
        c.failure("BAD_SIZE"),
        c.failure("WINDOW_OUT_OF_RANGE"),
        _work(kernel, fields) if team else "",
        _ranges(kernel, name, c, fields, sums, writes) if kernel.ranged else None,
    )
    return EntryText(view, tuple(n for n in fields.dims if n in c.used_sizes), tuple(s.name for s in arguments))


def residual_layout(kernel: Kernel, ctype: CType, dims: Mapping[str, str]) -> LayoutView:
    """Where the residuals of ``forward`` lie in the caller's block."""
    scope = CScope()
    sizes = {size: scope.fresh(size) for size in dims}
    slots = []
    for number, storage in enumerate(kernel.residuals):
        kind = C_TYPES.get(storage.dtype, ctype.real)
        size = as_factor(dim_text(storage.size, sizes))
        slots.append(SlotView(number, f"{size} * (int64_t)sizeof({kind})"))
    about = "Where the residuals begin that forward leaves for backward"
    sizes_read = _mentioned(slots, (), sizes, dims)
    return LayoutView("residual_layout", about, tuple(slots), (), sizes_read, len(slots), -1, "")


def _given(c: CFunction, storage: Storage, text: str) -> PointerView:
    return PointerView(c.pointer_type(storage), c.named(storage), text)


def _bytes_of(pointer_type: str) -> str:
    return "const char *" if pointer_type.startswith("const") else "char *"


def _work(kernel: Kernel, fields: Fields) -> str:
    """Flops and bytes of a call in floating-point arithmetic, which does not overflow."""
    sizes = {name: f"(double)dims->{field}" for name, field in fields.dims.items()}
    return dim_text(kernel.flops + kernel.bytes, sizes)


def _room(storage: Storage, sums: Sequence[Storage]) -> str:
    """Where a storage of the workspace begins; sums of a batch whose ranges may be computed apart lie where the caller says."""
    own = f"arena + slot[{storage.slot}]"
    return f"stretch->sums ? stretch->sums + brk_sum[{sums.index(storage)}] : {own}" if storage in sums else own


def _sums(kernel: Kernel) -> tuple[Storage, ...]:
    """What groups of blocks leave, where callers may compute ranges apart."""
    found = [statement for statement in kernel.body if isinstance(statement, Blocks)] if kernel.ranged else []
    return tuple(storage for blocks in found for _, storage in blocks.partials)


def _ranges(
    kernel: Kernel, name: str, c: CFunction, fields: Fields, sums: Sequence[Storage], writes: tuple[str, str]
) -> RangesView:
    """How callers compute ranges apart; their sums lie group by group, so that those of a range are in one piece."""
    (cut,) = c.cuts.values()
    slots = [SlotView(number, f"{c.factor(s.size)} * (int64_t)sizeof({c.type(s)})") for number, s in enumerate(sums)]
    about = f"Where the sums of a group of blocks of {name} begin in its record"
    sizes = _mentioned(slots, (), c.sizes, fields.dims)
    layout = LayoutView(f"{name}_sums_layout", about, tuple(slots), (), sizes, len(slots), -1, "")
    given = _mentioned((), (cut.text,), c.sizes, fields.dims)
    steps = tuple(
        FieldView(c.steps[s], f"stretch->sums ? brk_record / (int64_t)sizeof({c.type(s)}) : {c.dim(s.size)}") for s in sums
    )
    most = next(statement.most_groups for statement in kernel.body if isinstance(statement, Blocks))
    return RangesView(cut.extent, most, cut.text, given, layout, len(slots), steps, *writes)


def _layout(kernel: Kernel, name: str, c: CFunction, fields: Fields, threads: str) -> LayoutView:
    parts = [*zip(kernel.slots, kernel.slot_dtypes, strict=True)]
    parts += zip(kernel.local_slots, kernel.local_dtypes, strict=True)
    every = [
        SlotView(number, f"{c.factor(size)} * (int64_t)sizeof({C_TYPES.get(dtype, c.ctype.real)})")
        for number, (size, dtype) in enumerate(parts)
    ]
    slots, local = every[: len(kernel.slots)], every[len(kernel.slots) :]
    scratch = tuple(c.scratch)
    about = f"Where the parts of the workspace of {name} begin"
    words = _words([*(slot.bytes for slot in every), *scratch])
    cuts = tuple(
        replace(cut, uses_piece=cut.piece in words, uses_groups=cut.groups in words) for cut in c.cuts.values()
    )
    sizes = _mentioned(every, (*scratch, *(cut.text for cut in cuts if cut.uses_piece or cut.uses_groups)), c.sizes, fields.dims)
    own = len(every) + bool(scratch)
    owned = bool(threads) and bool(local or scratch)
    return LayoutView(
        f"{name}_layout",
        about,
        tuple(slots),
        scratch,
        sizes,
        own + owned,
        len(every),
        threads if owned else "",
        tuple(local),
        own,
        cuts,
    )


def _mentioned(
    slots: Sequence[SlotView], scratch: Sequence[str], sizes: Mapping[str, str], dims: Mapping[str, str]
) -> tuple[FieldView, ...]:
    """The sizes that occur in these texts."""
    words = _words([*(slot.bytes for slot in slots), *scratch])
    return tuple(FieldView(local, f"dims->{dims[n]}") for n, local in sizes.items() if local in words and n in dims)


def _words(texts: Iterable[str]) -> set[str]:
    return set(re.findall(r"\w+", " ".join(texts)))


def _may_be_negative(storages: Iterable[Storage]) -> tuple[Dim, ...]:
    """Extents such as T - 2."""
    found = dict.fromkeys(d for s in storages for d in s.shape if _can_be_negative(d))
    return tuple(d for d in found if d.constant is None)


def _can_be_negative(dim: Dim) -> bool:
    """Sizes are not: 2 * H is none of these, T - 1 is one."""
    return any(factor < 0 for _, factor in dim.terms)


def _range(check: Check, c: CFunction) -> str:
    """The condition under which a window leaves its axis."""
    parts = [f"{c.dim(extent)} > 0" for extent in check.nonempty if extent.constant is None]
    if check.value.constant is None:
        parts.append(f"{c.dim(check.value)} < 0")
    return " && ".join(parts) or "1"


# ------------------------------------------------------------------------------------------------- statements
def _statements(body: Iterable[Statement], c: CFunction, epilogues: Epilogues) -> Iterable[object]:
    for statement in body:
        match statement:
            case Nest():
                yield nest_view(statement, c)
            case Contraction():
                yield contraction_view(statement, c, epilogues)
            case Fill():
                value = number_text(statement.value, c.ctype)
                count = c.dim(statement.target.size)
                share = c.share(count) if statement.divided else None
                yield FillView("c/fill.c.j2", c.named(statement.target), count, value, share)
            case Copy():
                yield _copy(statement, c)
            case Steps():
                yield _steps(statement, c, epilogues)
            case Factorise():
                yield factorise_view(statement, c)
            case Blocks():
                yield _blocks(statement, c, epilogues)
                if c.kernel.ranged:
                    yield LeaveView("c/leave.c.j2")
            case Combine():
                yield _combine(statement, c)
            case Collect():
                yield _collect(statement, c)
            case Rows():
                yield _rows(statement, c)
            case Alone():
                yield AloneView("c/alone.c.j2", tuple(_statements(statement.body, c, epilogues)))
            case Barrier():
                yield BarrierView("c/barrier.c.j2")


def _copy(statement: Copy, c: CFunction) -> CopyView:
    bytes = c.bytes(statement.source)
    share = c.share(bytes, "BRK_CACHE_LINE") if statement.divided else None
    return CopyView("c/copy.c.j2", c.named(statement.target), c.named(statement.source), bytes, share)


def _name_cut(statement: Blocks, c: CFunction) -> None:
    """Let texts speak of the sizes of a block."""
    piece, groups = c.scope.fresh(statement.piece), c.scope.fresh(statement.groups)
    c.sizes |= {statement.piece: piece, statement.groups: groups}
    given = [c.dim(statement.extent), c.dim(statement.row_bytes), c.dim(statement.least_bytes)]
    given += [str(number) for number in (statement.budget, statement.unit, statement.most_groups)]
    name = c.scope.fresh(f"{piece}s")
    text = f"brk_cut_batch({', '.join(given)})"
    c.cuts[statement.piece] = CutView(name, text, given[0], piece, groups, True, True)


def _blocks(statement: Blocks, c: CFunction, epilogues: Epilogues) -> BlocksView:
    bases = {storage: c.named(storage) for _, storage in statement.partials}
    with c.block():
        for name in ("group", "first", "last"):
            c.scope.fresh(name)
        first, last = "0", f"{c.cuts[statement.piece].name}.groups"
        if c.kernel.ranged:
            first, last = "stretch->first", f"brk_min(stretch->last, {last})"
        share = c.share(last if first == "0" else f"{last} - {first}") if statement.divided else None
        if share is not None:
            start = "" if first == "0" else f"{first} + "
            first, last = f"{start}{share.name}.first", f"{start}{share.name}.last"
        partials, pointers = [], []
        for mode, storage in statement.partials:
            c.names[storage] = c.scope.fresh(f"{storage.name}_group")
            count, neutral = c.dim(storage.size), number_text(NEUTRAL[mode], c.ctype)
            step = c.steps.get(storage, as_factor(count))
            partials.append(PartialView(c.pointer_type(storage), c.names[storage], bases[storage], as_factor(count), step, neutral))
        for storage in statement.cuts:
            assert storage.base is not None and storage.stride is not None
            step = "" if storage.stride.constant == 1 else f" * {c.factor(storage.stride)}"
            text = f"{c.named(storage.base)} + first{step}"
            pointers.append(PointerView(c.pointer_type(storage), c.named(storage), text))
        body = tuple(_statements(statement.body, c, epilogues))
        c.names |= bases
        return BlocksView(
            "c/blocks.c.j2",
            bracket_text(statement.bracket),
            c.cuts[statement.piece],
            c.dim(statement.extent),
            first,
            last,
            share,
            tuple(partials),
            tuple(pointers),
            body,
        )


def _rows(statement: Rows, c: CFunction) -> RowsView:
    with c.block():
        extent, name = c.dim(statement.extent), c.scope.fresh("rows")
        step = f"brk_rows({c.factor(statement.entries)} * (int64_t)sizeof({c.ctype.real}))"
        first, last, share = "0", extent, None
        if statement.divided:
            share = c.share(extent, f"WIDTH_{c.s}")
            first, last = f"{share.name}.first", f"{share.name}.last"
        c.rows |= {nest.axes[0].label: name for nest in statement.body}
        return RowsView("c/rows.c.j2", name, first, last, step, share, tuple(nest_view(nest, c) for nest in statement.body))


def _collect(statement: Collect, c: CFunction) -> CollectView:
    target, parts = c.named(statement.target), c.named(statement.parts)
    width, whole = c.dim(statement.parts.shape[1]), not statement.target.rank
    groups = f"brk_groups({c.dim(statement.rows)}, {group_rows(c.dim(statement.rows), c.s)})"
    first, last, share = "0", width, None
    assert not (statement.divided and whole), statement
    with c.block():
        if statement.divided:
            share = c.share(width)
            first, last = f"{share.name}.first", f"{share.name}.last"
    return CollectView(
        "c/collect.c.j2", target, parts, as_factor(width), groups, statement.add, whole, c.s, first, last, share
    )


def _combine(statement: Combine, c: CFunction) -> CombineView:
    cut = next(cut for cut in c.cuts.values() if cut.groups == c.sizes[statement.groups])
    target, count = c.named(statement.target), c.dim(statement.target.size)
    step = c.steps.get(statement.partial, as_factor(count))
    held, value = f"{target}[i]", f"{c.named(statement.partial)}[group * {step} + i]"
    if statement.mode in ("max", "min"):
        name = {"max": "larger", "min": "smaller"}[statement.mode]
        c.functions.add(name)
        text = f"{name}_{c.s}({held}, {value})"
    else:
        text = f"{held} {'*' if statement.mode == 'prod' else '+'} {value}"
    neutral = number_text(NEUTRAL[statement.mode], c.ctype)
    if not statement.divided:
        return CombineView("c/combine.c.j2", cut.name, target, neutral, text, "0", count, None)
    with c.block():
        share = c.share(count)
    first, last = f"{share.name}.first", f"{share.name}.last"
    return CombineView("c/combine.c.j2", cut.name, target, neutral, text, first, last, share)


def _steps(statement: Steps, c: CFunction, epilogues: Epilogues) -> StepsView:
    with c.block():
        counter, step = c.scope.fresh("count"), c.scope.fresh("t")
        length = c.dim(statement.length)
        starts = []
        for storage, _ in statement.carried:
            assert storage.base is not None
            starts.append((c.pointer_type(storage), c.named(storage.base), c.named(storage)))
        pointers: list[PointerView] = []
        for storage in statement.moving:
            assert storage.base is not None and storage.stride is not None
            base, name = c.named(storage.base), c.named(storage)
            pointers.append(PointerView(c.pointer_type(storage), name, f"{base} + {step} * {c.factor(storage.stride)}"))
        for storage in statement.rings:
            base = c.named(storage)  # the arena pointer of the ring; inside the loop its name is that of a block
            c.names[storage] = c.scope.fresh(f"{storage.name}_new")
            block = f"{counter} % {storage.count} * {c.factor(storage.size)}"
            pointers.append(PointerView(c.pointer_type(storage), c.names[storage], f"{base} + {block}"))
        body = tuple(_statements(statement.body, c, epilogues))
        carried = tuple(
            CarriedView(kind, name, initial, c.named(after), c.scope.fresh(f"next_{name}"))
            for (kind, initial, name), (_, after) in zip(starts, statement.carried, strict=True)
        )
        position = f"{length} - 1 - {counter}" if statement.reverse else counter
        finals = tuple(_copy(final, c) for final in statement.finals)
        return StepsView(
            "c/steps.c.j2",
            bracket_text(statement.bracket),
            carried,
            counter,
            step,
            bool(statement.moving),
            length,
            position,
            tuple(pointers),
            body,
            finals,
        )


# ------------------------------------------------------------------------------------------------- storages
def _used(body: Iterable[Statement]) -> Iterable[Storage]:
    """Storages that the statements mention, and those that these walk over, in order of first use."""
    for statement in body:
        for storage in mentioned(statement):
            found: Storage | None = storage
            while found is not None:
                yield found
                found = found.base


def mentioned(statement: Statement) -> Iterable[Storage]:
    """Every storage that a statement names."""
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
            yield from (s for s in (statement.a.storage, statement.b.storage, statement.c.storage) if s.kind != "made")
            if statement.making is not None:
                for operand in statement.making.operands:
                    yield operand.reference.storage
            if statement.epilogue is not None:
                for operand in (*statement.epilogue.operands, *(o for o, _ in statement.epilogue.stores)):
                    yield operand.reference.storage
                yield from (summed.target.reference.storage for summed in statement.epilogue.sums)
        case Alone() | Blocks() | Rows():
            for inner in statement.body:
                yield from mentioned(inner)
        case Combine():
            yield statement.target
            yield statement.partial
        case Collect():
            yield statement.target
            yield statement.parts
        case Steps():
            for carried, after in statement.carried:
                yield from (carried, after)
            yield from (*statement.moving, *statement.rings)
            for inner in statement.body:
                yield from mentioned(inner)
            for final in statement.finals:
                yield from (final.target, final.source)


def named_sizes(kernel: Kernel) -> tuple[str, ...]:
    """Named sizes that a kernel depends on, in an order fixed by its statements."""
    dims: list[Dim] = [d for s in (*kernel.arguments, *kernel.results, *kernel.residuals) for d in s.shape]
    dims += kernel.slots
    own: set[str] = set()
    for statement in statements_of(kernel.body):
        match statement:
            case Nest():
                dims += [axis.extent for axis in statement.axes]
                dims += [i.dim for i in statement.program if i.dim is not None]
                references = (*statement.loads, *(w.target for w in statement.writes))
                dims += [i.bound for r in references for i in r.address.indirect]
            case Contraction():
                dims += [axis.extent for axis in statement.batch]
                dims += [group.extent for group in (statement.m, statement.n, statement.k)]
                if statement.epilogue is not None:
                    dims += [i.dim for i in statement.epilogue.program if i.dim is not None]
                if statement.making is not None:
                    dims += [i.dim for i in statement.making.program if i.dim is not None]
            case Rows():
                dims += [statement.extent, statement.entries]
            case Steps():
                dims.append(statement.length)
            case Blocks():
                dims += [statement.extent, statement.row_bytes, statement.least_bytes]
                own |= {statement.piece, statement.groups}
            case Fill() | Copy() | Factorise() | Collect():
                dims += [d for s in mentioned(statement) for d in s.shape]
    return tuple(dict.fromkeys(name for dim in dims for name in sorted(dim.names) if name not in own))
