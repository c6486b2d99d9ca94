"""What the C templates see: frozen records of finished names and expressions, one for each kind of statement.

Every statement view has ``template``, the file under ``templates`` that prints it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bracketc.emit.c_expressions import Line


@dataclass(frozen=True, slots=True)
class PointerView:
    """``<type> <name> = <text>;`` where type ends in its star."""

    type: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class AssignmentView:
    """``place = value;``; in a vector nest ``place`` is the address that a vector is stored to."""

    place: str
    value: str


@dataclass(frozen=True, slots=True)
class AccumulatorView:
    """A register that gathers a reduction, declared before the loops that it runs over."""

    type: str
    name: str
    neutral: str


@dataclass(frozen=True, slots=True)
class ShareView:
    """``name.first`` and ``name.last`` bound this thread's part of 0 .. ``extent``, cut at multiples of ``unit``."""

    name: str
    extent: str
    unit: str


@dataclass(frozen=True, slots=True)
class LoopView:
    """A loop, the registers declared before it, and what is written when it has ended."""

    name: str
    extent: str
    first: str = "0"
    step: str = ""
    accumulators: tuple[AccumulatorView, ...] = ()
    results: tuple[AssignmentView, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckView:
    """``name`` is an integer label read as ``text``, which must lie in 0 .. bound - 1."""

    name: str
    text: str
    bound: str


@dataclass(frozen=True, slots=True)
class PartView:
    """A vector register of the innermost loop: ``update`` gathers a vector, ``tail_update`` the last, partial one.

    Where several vectors go side by side ``chains`` is an array of registers, ``chain_update`` gathers into one of them, and
    ``merged`` is what they come to.
    """

    name: str
    neutral: str
    update: str
    tail_update: str
    chains: str = ""
    chain_update: str = ""
    merged: str = ""


@dataclass(frozen=True, slots=True)
class InnerView:
    """The vector loop from ``first`` to ``end``; ``end_text`` is what ``end`` is first set to, if anything."""

    name: str
    first: str
    end: str
    end_text: str


@dataclass(frozen=True, slots=True)
class PastView:
    """What is written past the caches where it has more than ``most`` bytes: ``name`` is whether it has, ``bytes`` how many."""

    name: str
    bytes: str
    most: int
    head: str


@dataclass(frozen=True, slots=True)
class VectorNestView:
    template: str
    bracket: str
    scoped: bool
    loops: tuple[LoopView, ...]
    checks: tuple[CheckView, ...]
    pointers: tuple[PointerView, ...]
    fixed: tuple[Line, ...]
    inner: InnerView
    body: tuple[Line, ...]
    tail: tuple[Line, ...]
    writes: tuple[AssignmentView, ...]
    parts: tuple[PartView, ...]
    results: tuple[AssignmentView, ...]
    masked: bool
    s: str
    failure: str
    share: ShareView | None
    chain: str = ""
    """The number of the register, where several vectors go side by side."""
    past: PastView | None = None


@dataclass(frozen=True, slots=True)
class ScalarNestView:
    template: str
    bracket: str
    scoped: bool
    loops: tuple[LoopView, ...]
    checks: tuple[CheckView, ...]
    body: tuple[Line, ...]
    writes: tuple[AssignmentView, ...]
    failure: str
    share: ShareView | None


@dataclass(frozen=True, slots=True)
class TurnView:
    """A matrix turned: entry (i, j) is at ``i * target_row + j`` of ``target`` and at ``j * source_row + i`` of ``source``."""

    template: str
    bracket: str
    target: str
    target_row: str
    source: str
    source_row: str
    first: str
    last: str
    columns: str
    s: str
    share: ShareView | None


@dataclass(frozen=True, slots=True)
class FillView:
    template: str
    target: str
    count: str
    value: str
    share: ShareView | None


@dataclass(frozen=True, slots=True)
class CopyView:
    template: str
    target: str
    source: str
    bytes: str
    share: ShareView | None


@dataclass(frozen=True, slots=True)
class RowsView:
    """Nests for some rows at a time, of which the range ``name`` says the first and the last."""

    template: str
    name: str
    first: str
    last: str
    step: str
    share: ShareView | None
    body: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class AloneView:
    """Statements of the first thread."""

    template: str
    body: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class BarrierView:
    template: str


@dataclass(frozen=True, slots=True)
class TableView:
    """Offsets of a group of labels that has no single stride, built in the scratch memory."""

    name: str
    rank: int
    extents: str
    strides: str
    count: str


@dataclass(frozen=True, slots=True)
class FieldView:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ProductShareView:
    """This thread's part of the outermost loop over batch labels, or of the rows and columns."""

    name: str
    batch: str
    rows: str
    columns: str
    row_unit: str
    column_unit: str
    """What is never cut: the rows of a tile, or of a group that is summed up; the columns of a tile, or all of them."""


@dataclass(frozen=True, slots=True)
class FactorView:
    """A factor that a product makes as it packs it: the function of a tile, and its operands."""

    tile: str
    fields: tuple[FieldView, ...]


@dataclass(frozen=True, slots=True)
class ContractionView:
    template: str
    bracket: str
    tables: tuple[TableView, ...]
    table_bytes: str
    loops: tuple[LoopView, ...]
    fields: tuple[FieldView, ...]
    epilogue: str
    epilogue_fields: tuple[FieldView, ...]
    s: str
    share: ProductShareView | None
    area: str
    """First and last row, first and last column."""
    lanes: str
    """How many products lie side by side: ``1``, or the extent of the vector label."""
    call: str
    """The function for those that do not."""
    first_row: str = "0"
    last_row: str = "product.m"
    empty: tuple[AssignmentView, ...] = ()
    """Sums over no columns: where they go, for row i."""
    factor: FactorView | None = None


@dataclass(frozen=True, slots=True)
class UnrolledView:
    """A product of known, small numbers of rows, columns and sums, times ``factor``; ``alpha`` is that with the operator, or empty
    where it is 1. ``way`` says how: number by number (``unrolled``), in ``lines``, a vector of the compiler for each row of the
    result, several rows ``together`` in one, or in ``registers``, for which so many numbers of B may have to be ``turned``."""

    template: str
    bracket: str
    loops: tuple[LoopView, ...]
    m: str
    n: str
    k: str
    a: str
    b: str
    c: str
    a_m: str
    a_k: str
    b_k: str
    b_n: str
    c_m: str
    c_n: str
    alpha: str
    factor: str
    accumulate: bool
    real: str
    s: str
    share: ProductShareView | None
    way: str
    turned: int


@dataclass(frozen=True, slots=True)
class CarriedView:
    """A pointer that walks with a recurrence: first ``initial``, after each step ``following``."""

    type: str
    name: str
    initial: str
    following: str
    next: str


@dataclass(frozen=True, slots=True)
class StepsView:
    template: str
    bracket: str
    carried: tuple[CarriedView, ...]
    counter: str
    step: str
    uses_step: bool
    length: str
    position: str
    pointers: tuple[PointerView, ...]
    body: tuple[object, ...]
    finals: tuple[CopyView, ...]


@dataclass(frozen=True, slots=True)
class FactoriseView:
    """A routine for each matrix of a batch. It gives ``target``; or ``minor``, which is 0 when all is well. Else there is the
    ``fault`` with this number and the function returns ``failure``, or ``spoiled`` and what follows, ``entries`` in all, are
    NaN; where all three are empty nothing can fail."""

    template: str
    bracket: str
    label: str
    count: str
    call: str
    target: str
    minor: str
    fault: str
    spoiled: str
    entries: str
    failure: str
    s: str


@dataclass(frozen=True, slots=True)
class EpilogueOperandView:
    """A pointer of an epilogue; its strides along rows and columns of the tile stand beside it in the record."""

    type: str
    name: str
    strided: bool
    start: str


@dataclass(frozen=True, slots=True)
class SumView:
    """A sum that an epilogue forms: the pointer to where it goes, the register along a row, the value."""

    name: str
    register: str
    value: str


@dataclass(frozen=True, slots=True)
class EpilogueView:
    """The function that finishes a tile; ``stores`` go to other tensors than the result. ``body`` and ``stores`` are for whole
    vectors, ``tail`` and ``tail_stores`` for the last columns."""

    name: str
    bracket: str
    operands: tuple[EpilogueOperandView, ...]
    entries: tuple[EpilogueOperandView, ...]
    """Those that have a row for each row of the tile."""
    sizes: tuple[FieldView, ...]
    fixed: tuple[Line, ...]
    body: tuple[Line, ...]
    tail: tuple[Line, ...]
    value: str
    stores: tuple[str, ...]
    tail_stores: tuple[str, ...]
    lines: tuple[SumView, ...]
    """Sums over rows: a register for some columns at a time."""
    rows: tuple[SumView, ...]
    """Sums over columns: a register for a row at a time."""
    ahead: tuple[str, ...]
    """Pointers that are read along memory, so that what the next tiles read can be fetched meanwhile."""


@dataclass(frozen=True, slots=True)
class SlotView:
    """A part of the workspace or of the residuals: its size in bytes."""

    number: int
    bytes: str


@dataclass(frozen=True, slots=True)
class CutView:
    """``name`` says how a batch is cut; ``piece`` the most positions of a block, ``groups`` the number of groups."""

    name: str
    text: str
    extent: str
    piece: str
    groups: str
    uses_piece: bool
    uses_groups: bool


@dataclass(frozen=True, slots=True)
class PartialView:
    """What a group of blocks adds up: ``count`` elements at ``name`` that start as ``neutral``; those of the next group come
    ``step`` elements later."""

    type: str
    name: str
    base: str
    count: str
    step: str
    neutral: str


@dataclass(frozen=True, slots=True)
class BlocksView:
    """Groups of blocks from ``first`` to ``last``."""

    template: str
    bracket: str
    cut: CutView
    extent: str
    first: str
    last: str
    share: ShareView | None
    partials: tuple[PartialView, ...]
    pointers: tuple[PointerView, ...]
    body: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class LeaveView:
    """Where a call ends that computes a range alone."""

    template: str


@dataclass(frozen=True, slots=True)
class CollectView:
    """Lines of ``width`` columns become one, or one number."""

    template: str
    target: str
    parts: str
    width: str
    groups: str
    add: bool
    whole: bool
    s: str
    first: str
    last: str
    share: ShareView | None


@dataclass(frozen=True, slots=True)
class CombineView:
    template: str
    cut: str
    target: str
    neutral: str
    value: str
    first: str
    last: str
    share: ShareView | None


@dataclass(frozen=True, slots=True)
class LayoutView:
    """The function that says where the parts of a block of memory begin, ``count`` of them; ``sizes`` are those it
    needs,
    ``scratch`` the needs of which the largest gets the last part."""

    name: str
    about: str
    slots: tuple[SlotView, ...]
    scratch: tuple[str, ...]
    sizes: tuple[FieldView, ...]
    count: int
    scratch_slot: int
    threads: str
    """How many threads have ``local`` parts and a scratch part each, of ``slot[own_slot]`` bytes; empty for one."""
    local: tuple[SlotView, ...] = ()
    own_slot: int = -1
    cuts: tuple[CutView, ...] = ()


@dataclass(frozen=True, slots=True)
class RangesView:
    """How callers compute ranges of a batch apart: ``batch`` says where it is cut, ``layout`` where the sums of a group lie in its
    record, ``count`` of them, and ``steps`` how far apart in memory the sums of neighbouring groups are."""

    extent: str
    groups: int
    batch: str
    sizes: tuple[FieldView, ...]
    layout: LayoutView
    count: int
    steps: tuple[FieldView, ...]
    writes: str
    """What a range writes: its entries of these results."""
    combines: str
    """What is written when all ranges are done."""


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry point: its pointers into the caller's structs and the arena, and the statements."""

    name: str
    doc: tuple[str, ...]
    sizes: tuple[FieldView, ...]
    negatives: tuple[str, ...]
    ranges: tuple[str, ...]
    pointers: tuple[PointerView, ...]
    saved: int
    layout: LayoutView
    arena: tuple[PointerView, ...]
    has_arena: bool
    has_scratch: bool
    body: tuple[object, ...]
    bad_size: str
    bad_window: str
    work: str
    """What a call costs, as a number that grows with its time; empty where it has one thread."""
    apart: RangesView | None


@dataclass(frozen=True, slots=True)
class StructField:
    type: str
    name: str
    doc: str


@dataclass(frozen=True, slots=True)
class ExpectedView:
    """A NumPy array and what it should be."""

    name: str
    kind: str
    rank: int
    extents: str


@dataclass(frozen=True, slots=True)
class QuickView:
    """The flat form that takes NumPy arrays and looks whether they are as expected: ``given`` always, ``made`` where they are the
    caller's; ``call`` are the arguments of the plain flat form."""

    parameters: tuple[str, ...]
    sizes: tuple[str, ...]
    given: tuple[ExpectedView, ...]
    made: tuple[ExpectedView, ...]
    places: int
    call: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlatView:
    """The flat form of an entry for foreign function interfaces: sizes and pointers one by one."""

    name: str
    parameters: tuple[str, ...]
    dims: tuple[str, ...]
    args: tuple[str, ...]
    results: tuple[str, ...]
    residuals: str
    quick: QuickView | None


@dataclass(frozen=True, slots=True)
class FaultView:
    """What a number in a failure stands for."""

    number: int
    about: str


@dataclass(frozen=True, slots=True)
class MemoryView:
    """Memory of results that is kept for later ones: of those with ``least`` bytes and more, and at most ``most``
    while nobody uses it."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class ModuleView:
    """The whole file. ``prefix`` starts every public name, ``real`` is float or double, ``s`` the suffix of
    helpers."""

    prefix: str
    upper: str
    title: str
    about: tuple[str, ...]
    real: str
    s: str
    dims: tuple[StructField, ...]
    args: tuple[StructField, ...]
    results: tuple[StructField, ...]
    residuals: LayoutView | None
    epilogues: tuple[EpilogueView, ...]
    entries: tuple[EntryView, ...]
    flats: tuple[FlatView, ...]
    residual_parameters: tuple[str, ...]
    residual_dims: tuple[str, ...]
    kernels: str
    threads: int
    faults: tuple[FaultView, ...]
    lapack: bool
    quick: int
    """The largest rank of the arrays that flat functions look at; 0 where none does."""
    memory: MemoryView | None
    apart: bool
    """Whether callers may compute ranges of a batch apart."""
    products: tuple[str, ...]
    """Kernels of products that parts of the text compiled apart share."""
