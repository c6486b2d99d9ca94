"""The loop IR: what the C backend prints, close to the machine and still free of its text.

A :class:`Kernel` is one entry point. Storage is flat, addresses are affine in the loop labels with sizes as
coefficients, so that slices, diagonals, transpositions and broadcasts are all strides. Labels are numbers, unique
within a kernel. Four kinds of statement do all the work:

* :class:`Nest`: loops over labels around a scalar program; the innermost label is the vector label,
* :class:`Contraction`: a (batched) product of two operands under grouped labels, with an epilogue on the finished
tile,
* :class:`Fill`: a constant over a whole storage,
* :class:`Steps`: the loop of a recurrence, whose pointers move.

and :class:`Factorise` calls a linear-algebra routine. Nothing here allocates: the arena is laid out by
:mod:`bracketc.loops.arena`. :mod:`bracketc.loops.team` makes a kernel one that several threads run together: each runs
all statements, a ``divided`` one on its share, :class:`Alone` is for the first thread, a :class:`Barrier` waits for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Literal as OneOf

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import DType, Number, Shape
from bracketc.plan.schedule import Instruction, Mode

NEUTRAL: dict[str, float] = {"sum": 0.0, "max": -inf, "min": inf, "prod": 1.0}
"""What each way of reducing starts from."""

StorageKind = OneOf["argument", "result", "residual", "arena", "moving", "carried", "ring", "local", "cut", "partial", "made"]


def product(extents: Iterable[Dim]) -> Dim:
    """The product of sizes; 1 of none."""
    total = Dim.of(1)
    for extent in extents:
        total = total * extent
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A dense block of memory, or a pointer that walks over one.

    ``argument`` (read only), ``result``, ``residual``: given by the caller. ``arena``: slot ``slot`` of the
    workspace.
    ``moving``: ``base`` + t · ``stride`` elements in step t of its loop. ``carried``: a pointer that a loop sets,
    first to ``base``.
    ``ring``: one of ``count`` blocks of the arena slot, a different one in each of ``count`` successive steps.
    ``local``: slot ``slot`` of the workspace of a thread. ``cut``: ``base`` + first position of the block · ``stride``
    elements. ``partial``: of the blocks of an arena slot the one of the group of blocks. ``made``: nowhere, the contraction that
    reads it makes a part of it at a time.
    """

    name: str
    kind: StorageKind
    shape: Shape
    dtype: DType
    slot: int = -1
    base: Storage | None = None
    stride: Dim | None = None
    count: int = 1

    @property
    def size(self) -> Dim:
        """Number of elements."""
        return product(self.shape)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_dense(self) -> bool:
        """Whether the elements lie one behind the other: not those of a cut that takes a part of every row."""
        return self.kind != "cut" or self.stride is product(self.shape[1:])

    def __repr__(self) -> str:
        return f"{self.name}:{self.kind}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Address:
    """``offset + Σ stride · label`` in elements; ``indirect`` adds ``stride · (entry of an integer storage)``,
    checked against a bound."""

    offset: Dim
    terms: tuple[tuple[int, Dim], ...]
    indirect: tuple[Indirect, ...] = ()

    def stride(self, label: int) -> Dim:
        """Elements between neighbours along ``label``; 0 where it does not occur."""
        for other, stride in self.terms:
            if other == label:
                return stride
        return Dim.of(0)


@dataclass(frozen=True, slots=True)
class Reference:
    """An element of a storage under the current labels."""

    storage: Storage
    address: Address


@dataclass(frozen=True, slots=True)
class Indirect:
    """``stride`` times an integer label read from ``index``, which must lie in 0 .. ``bound`` - 1."""

    index: Reference
    stride: Dim
    bound: Dim


@dataclass(frozen=True, slots=True)
class Axis:
    """A loop over ``label`` from 0 to ``extent`` - 1."""

    label: int
    extent: Dim


@dataclass(frozen=True, slots=True)
class Write:
    """Instruction ``value`` goes to ``target``. ``store`` overwrites, ``add`` adds to what is there; ``sum max min
    prod`` reduce over the axes of the nest that the address lacks: into what the target holds, or, when ``fresh``,
    into a register that overwrites it, which needs those axes to be the innermost ones."""

    target: Reference
    value: int
    mode: Mode | OneOf["add"]
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops over ``axes``, outermost first, around a scalar program. ``loads`` are the operands of its ``load``
    instructions.

    The last axis is the vector axis when ``vector``: every reference has stride 0 or 1 along it there, and no store
    is at stride 0. Threads divide the loop over label ``divided``, if any. What is written goes ``past`` the caches where
    none holds it: it is one result, and more than what is read.
    """

    axes: tuple[Axis, ...]
    loads: tuple[Reference, ...]
    program: tuple[Instruction, ...]
    writes: tuple[Write, ...]
    vector: bool
    bracket: str = ""
    divided: int = -1
    past: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """All nests of ``body`` for some of ``extent`` rows, their outermost label, then for the next: see :mod:`bracketc.loops.rows`.
    They touch ``entries`` numbers a row. Threads divide the rows."""

    extent: Dim
    entries: Dim
    body: tuple[Nest, ...]
    divided: bool = False


@dataclass(frozen=True, slots=True)
class Fill:
    """``value`` in every element of a storage."""

    target: Storage
    value: float
    divided: bool = False


Form = OneOf["tiles", "lanes", "unrolled", "together", "registers", "symmetric"]


@dataclass(frozen=True, slots=True)
class Group:
    """Labels that act as one index of a contraction, outermost first, merged where strides allow.

    ``extents[i]`` and the strides of each operand at i; one entry is a plain stride, several need an offset table. An
    operand that the group does not touch has strides 0.
    """

    extents: tuple[Dim, ...]
    strides: tuple[tuple[Dim, ...], ...]

    @property
    def extent(self) -> Dim:
        return product(self.extents)


@dataclass(frozen=True, slots=True)
class EpilogueOperand:
    """An operand or result of an epilogue at tile position (i, j): ``reference`` + i · ``row`` + j · ``column``."""

    reference: Reference
    row: Dim
    column: Dim


SUM_GROUPS = 64
"""Most groups of neighbouring rows whose sums are formed apart, while the tiles are finished."""

ROW, COLUMN = 0, 1
"""The labels that an epilogue counts: rows and columns of the whole product, not of the tile."""


@dataclass(frozen=True, slots=True)
class EpilogueSum:
    """Instruction ``value`` summed up while the tiles are finished.

    ``down`` the rows: into ``target``, a line of columns for each of at most ``SUM_GROUPS`` groups of rows that :class:`Collect`
    adds up. ``across`` the columns: into one element a row, tile after tile. So no sum depends on how the tiles are divided."""

    target: EpilogueOperand
    value: int
    over: OneOf["down", "across"]


@dataclass(frozen=True, slots=True)
class Epilogue:
    """A scalar program on each element of the finished tile (``accumulator``); instruction ``value`` is what the
    result gets, ``stores`` go elsewhere as well, ``sums`` are added up. ``index`` and ``delta`` count ``ROW`` and ``COLUMN``."""

    operands: tuple[EpilogueOperand, ...]
    program: tuple[Instruction, ...]
    value: int
    stores: tuple[tuple[EpilogueOperand, int], ...]
    sums: tuple[EpilogueSum, ...] = ()


@dataclass(frozen=True, slots=True)
class Contraction:
    """c(i, j) (+)= alpha Σ_p a(i, p) b(p, j) for every position of ``batch``, then the epilogue.

    ``m.strides`` are those of (a, c), ``n.strides`` of (b, c), ``k.strides`` of (a, b). The references hold the part
    of the addresses that depends on the batch labels. Threads divide the outermost batch label, or rows and columns.

    ``form`` is how the loops are written: ``tiles`` of registers; ``lanes``, where the last batch label is contiguous in all three
    operands and so the vector label; ``unrolled``, for a few rows, columns and sums of known size, ``together``, where several
    such rows are one vector, or in ``registers``, where rows are whole vectors and their sums few enough to stay there;
    ``symmetric``, tiles on and below the diagonal, the others by reflection. Only tiles have an epilogue.

    ``making`` is the program of the operand that is not stored, of the kind ``made``, over the positions of its two axes: of the
    left one (p, i) of a symmetric product, or of either one of tiles.
    """

    batch: tuple[Axis, ...]
    a: Reference
    b: Reference
    c: Reference
    m: Group
    n: Group
    k: Group
    alpha: Number
    accumulate: bool
    epilogue: Epilogue | None
    bracket: str = ""
    divided: bool = False
    form: Form = "tiles"
    making: Epilogue | None = None

    @property
    def made(self) -> Reference:
        """The operand that is not stored, where there is ``making``."""
        return self.a if self.a.storage.kind == "made" else self.b


@dataclass(frozen=True, slots=True)
class Copy:
    """All elements of ``source`` to ``target``, of equal size."""

    target: Storage
    source: Storage
    divided: bool = False


@dataclass(frozen=True, slots=True)
class Factorise:
    """A linear-algebra routine on dense operands, batched over leading axes."""

    operator: str
    target: Storage
    args: tuple[Storage, ...]
    about: str = ""
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Steps:
    """``length`` times ``body``, from the last step to the first when ``reverse``.

    After each step the pointers of ``carried`` are set, all at once: (carried storage, the storage it points at
    next). After the loop ``finals`` copies (target, carried storage).
    """

    length: Dim
    reverse: bool
    carried: tuple[tuple[Storage, Storage], ...]
    moving: tuple[Storage, ...]
    rings: tuple[Storage, ...]
    body: tuple[Statement, ...]
    finals: tuple[Copy, ...]
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Blocks:
    """``body`` for one block after another of a batch of ``extent`` positions, cut as :func:`bracketc.plan.schedule.division`
    says; inside, the size ``piece`` is the length of the block. ``partials`` (mode, storage) start neutral in each group
    of blocks. Threads divide the groups."""

    extent: Dim
    piece: str
    groups: str
    row_bytes: Dim
    least_bytes: Dim
    budget: int
    unit: int
    most_groups: int
    cuts: tuple[Storage, ...]
    partials: tuple[tuple[Mode, Storage], ...]
    body: tuple[Statement, ...]
    bracket: str = ""
    divided: bool = False


@dataclass(frozen=True, slots=True)
class Combine:
    """``target`` is what the groups of ``blocks`` left in ``partial``, reduced in their order."""

    target: Storage
    partial: Storage
    mode: Mode
    groups: str
    divided: bool = False


@dataclass(frozen=True, slots=True)
class Collect:
    """``target`` is (or, to ``add``, gets besides) the sum of the lines of ``parts`` that an epilogue left for ``rows`` rows,
    in their order; where the target is one number, of all their elements."""

    target: Storage
    parts: Storage
    rows: Dim
    add: bool
    divided: bool = False


@dataclass(frozen=True, slots=True)
class Alone:
    """Statements that only the first thread runs."""

    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Barrier:
    """No thread goes on before all are here."""


Statement = Nest | Rows | Fill | Contraction | Copy | Factorise | Steps | Blocks | Combine | Collect | Alone | Barrier


@dataclass(frozen=True, slots=True)
class Check:
    """``value`` >= 0 must hold whenever every size of ``nonempty`` is positive: the positions of a window lie in
    their axis."""

    nonempty: tuple[Dim, ...]
    value: Dim


@dataclass(frozen=True, slots=True)
class Kernel:
    """One entry point. ``slots`` are the sizes of the arena's slots in elements (real unless ``slot_dtypes`` says
    otherwise); each thread has ``local_slots`` of its own.

    ``arguments``, ``residuals`` and ``results`` stand in the order of the C interface; ``labels`` is the number of
    labels in use. ``ranged``: callers may run some groups of the blocks of the body, and what stands behind them apart.
    """

    entry: str
    arguments: tuple[Storage, ...]
    residuals: tuple[Storage, ...]
    results: tuple[Storage, ...]
    slots: tuple[Dim, ...]
    slot_dtypes: tuple[DType, ...]
    body: tuple[Statement, ...]
    checks: tuple[Check, ...]
    flops: Dim
    bytes: Dim
    local_slots: tuple[Dim, ...] = ()
    local_dtypes: tuple[DType, ...] = ()
    ranged: bool = False
