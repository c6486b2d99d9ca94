"""The schedule IR: named records in single assignment that say what is computed in which order and what is stored.

``plan`` makes one :class:`Schedule` of each entry; the NumPy backend and the loop IR read it. Each buffer is written
by exactly one step (``Contract``, ``Map``, …) and dense in C order. Labels are local to a record; ``extents[l]`` is
the size of label l.

What may be computed where is decided here and nowhere below: which products are contracted pairwise and in which
order, which element-wise work rides on a contraction as its epilogue or shares one pass over memory, what forward
saves for backward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal as OneOf

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import REAL, DType, Labels, Number, Shape

Mode = OneOf["store", "sum", "max", "min", "prod"]


ROW_GAP = 16
"""Free entries between rows that would else fall on the same few lines of a cache, as those of a power of two do."""


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """A tensor in memory. Identity is what counts; names are unique within a schedule and close to those of the
    source. It is dense; but where ``row`` is not 0, so many last axes are a row, and :data:`ROW_GAP` entries are free before the
    next one."""

    name: str
    shape: Shape
    dtype: DType = REAL
    row: int = 0

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Access:
    """A buffer read under labels, one an axis; a repeated label takes a diagonal."""

    buffer: Buffer
    labels: Labels


# ----------------------------------------------------------------------------------------------- scalar programs
@dataclass(frozen=True, slots=True)
class Instruction:
    """One scalar operation on earlier instructions (``args`` are their numbers).

    ======================  ================================================================================
    operation               meaning
    ======================  ================================================================================
    ``load``                entry of ``operands[operand]`` of the record at the current labels
    ``accumulator``         the finished sum of products of the enclosing :class:`Contract`
    ``constant``            ``number``
    ``size``                ``dim`` as a real number
    ``index``               the current value of ``label``, counted from 1, as a real number
    ``delta``               1 where ``label`` and ``label2`` are equal, else 0
    ``add multiply``        two or more arguments, in order
    ``subtract divide``     two arguments
    ``negate square``       one argument
    ``power``               one argument, constant exponent ``number`` (1/2 is the square root, -1 the reciprocal)
    ``compare``             two arguments, ``function`` is ``< <= > >= == !=``; a boolean
    ``select``              condition, yes, no
    ``finite_or_zero``      the argument where it is finite, else 0 (the shift of a log-sum-exp)
    ``call``                ``function`` of :mod:`bracketc.ir.functions` applied to the arguments
    ======================  ================================================================================
    """

    operation: str
    args: tuple[int, ...] = ()
    operand: int = -1
    number: Number | None = None
    dim: Dim | None = None
    label: int = -1
    label2: int = -1
    function: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """Writes instruction ``value`` to ``target`` under ``labels`` (distinct, one an axis, in axis order).

    ``store`` needs every label of the record; the other modes reduce over the labels that ``labels`` lacks
    (empty: 0, -inf, inf, 1).
    """

    target: Buffer
    labels: Labels
    value: int
    mode: Mode = "store"


# ----------------------------------------------------------------------------------------------- steps
@dataclass(frozen=True, slots=True)
class Product:
    """``coefficient · left · right``, summed over every label outside the output of the record."""

    coefficient: Number
    left: Access
    right: Access


@dataclass(frozen=True, slots=True)
class Contract:
    """Products contracted into one tile, then an epilogue on the finished tile while it is hot.

    ``output`` are the labels of the tile. Each product sums at least one label or is an outer product; a label of
    ``output`` is carried by each product (by left, right or both). The epilogue is a scalar program over
    ``accumulator`` and ``operands`` (labels within ``output``); ``stores`` may reduce (``sum``) its values over
    labels of ``output``, so that a bias gradient falls out of the pass that makes its operand. Without an epilogue
    the program is the one instruction ``accumulator``.

    ``symmetric``: what is stored stays as it is when the first half of ``output`` is exchanged with the second. A backend may
    compute half of it; :func:`bracketc.plan.making.apart` tells whether that is half of a matrix.

    ``prologue``: the Map right before makes a factor for this record alone, which a backend may make as it packs it
    (:mod:`bracketc.plan.prologues`).
    """

    products: tuple[Product, ...]
    output: Labels
    operands: tuple[Access, ...]
    program: tuple[Instruction, ...]
    stores: tuple[Store, ...]
    extents: Shape
    bracket: str = ""
    symmetric: bool = False
    prologue: bool = False


@dataclass(frozen=True, slots=True)
class Map:
    """A scalar program at every point of ``labels``, outermost first, with any number of stores and reductions.

    Everything element-wise, every broadcast, transposition, diagonal and every sum, max, min or product of one
    operand is a Map.
    """

    labels: Labels
    operands: tuple[Access, ...]
    program: tuple[Instruction, ...]
    stores: tuple[Store, ...]
    extents: Shape
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    """``Window`` of the tensor IR: ``target[…, l1…, …] = source[…, offset + Σ steps l, …]`` on ``axis``; a range
    error if out of bounds."""

    target: Buffer
    source: Buffer
    axis: int
    offset: Dim
    steps: tuple[int, ...]
    extents: Shape
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """``Overlap`` of the tensor IR, the adjoint of :class:`Take`: adds into zeros."""

    target: Buffer
    source: Buffer
    axis: int
    offset: Dim
    steps: tuple[int, ...]
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Gather:
    """``target[i…, …] = source[index[i…], …]``, labels counted from 0 and checked."""

    target: Buffer
    source: Buffer
    index: Buffer
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Scatter:
    """``target[index[i…], …] += source[i…, …]`` into zeros, labels checked."""

    target: Buffer
    source: Buffer
    index: Buffer
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """Sources of one shape along a new leading axis."""

    target: Buffer
    sources: tuple[Buffer, ...]
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Factorise:
    """A linear-algebra operation, named as in :mod:`bracketc.ir.linear_algebra`; ``about`` is what people call it:
    ``inv(A)``."""

    target: Buffer
    operator: str
    args: tuple[Buffer, ...]
    about: str = ""
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Carry:
    """A state of a loop: steps read ``before`` and compute ``after``; ``initial`` is outside. ``final`` receives the
    last ``after`` (``initial`` when there is no step); ``None`` when nobody needs it. ``after`` may be the ``before``
    of another carry (a shifted state)."""

    before: Buffer
    after: Buffer
    initial: Buffer
    final: Buffer | None


@dataclass(frozen=True, slots=True)
class Loop:
    """``length`` times ``steps``, from the last to the first when ``reverse``.

    ``slices`` are (inner, outer): inner is ``outer[t]``. ``stacks`` are (inner, outer): ``outer[t]`` receives inner,
    which a step of the loop computes (or which is a ``before``). Buffers of the surrounding schedule may be read as
    they are.
    """

    length: Dim
    reverse: bool
    carries: tuple[Carry, ...]
    slices: tuple[tuple[Buffer, Buffer], ...]
    stacks: tuple[tuple[Buffer, Buffer], ...]
    steps: tuple[Step, ...]
    bracket: str = ""


@dataclass(frozen=True, slots=True)
class Blocks:
    """``steps`` for one block after another of the ``extent`` positions of a batch, and what is summed over all.

    Inside, ``piece`` (a size with a name of its own) stands for the number of positions of a block. ``slices`` are
    (inner, outer, axis): inner are the entries of outer at the positions of the block. ``stacks`` are (inner, outer,
    axis): they go there. ``sums`` are (inner, outer, mode): outer is the sum (maximum, …) of the inner ones of all
    blocks. A number that depends on the batch, such as 1/N, keeps the whole extent.

    A block holds as many positions as ``budget`` or ``least_bytes`` do when each takes ``row_bytes``, in multiples of
    ``unit``; at most ``groups`` groups of neighbouring blocks are reduced for themselves, then one after another. So the
    sizes alone fix in which order sums are formed: see :func:`division`.
    """

    extent: Dim
    piece: Dim
    row_bytes: Dim
    least_bytes: Dim
    slices: tuple[tuple[Buffer, Buffer, int], ...]
    stacks: tuple[tuple[Buffer, Buffer, int], ...]
    sums: tuple[tuple[Buffer, Buffer, Mode], ...]
    steps: tuple[Step, ...]
    budget: int = 1 << 18
    unit: int = 16
    groups: int = 32
    bracket: str = ""

    def division(self, of: Callable[[Dim], int], extent: int | None = None) -> Division:
        """Where the batch is cut at the sizes that ``of`` tells, or at another ``extent``."""
        count = of(self.extent) if extent is None else extent
        return division(count, of(self.row_bytes), of(self.least_bytes), self.budget, self.unit, self.groups)


@dataclass(frozen=True, slots=True)
class Division:
    """``rows`` positions in a block, ``group_rows`` in a group of blocks, ``groups`` groups."""

    rows: int
    group_rows: int
    groups: int


def division(extent: int, row_bytes: int, least_bytes: int, budget: int, unit: int, groups: int) -> Division:
    """Where a batch is cut: into blocks of nearly the same size, two at least where the batch has nearly ``least_bytes``.

    >>> division(1000, 100, 0, 20_000, 16, 2)
    Division(rows=176, group_rows=528, groups=2)
    >>> division(1000, 100, 30_000, 20_000, 16, 2)
    Division(rows=256, group_rows=512, groups=2)
    """
    most = max(unit, max(budget, least_bytes) // max(1, row_bytes) // unit * unit)
    fewest = 2 if least_bytes > budget and extent >= least_bytes // 4 * 3 // max(1, row_bytes) else 1
    pieces = max(fewest, -(-extent // most))
    rows = max(unit, -(-extent // (pieces * unit)) * unit)
    blocks = -(-extent // rows)
    group_rows = rows * max(1, -(-blocks // groups))
    return Division(rows, group_rows, -(-extent // group_rows))


Step = Contract | Map | Take | Place | Gather | Scatter | Join | Factorise | Loop | Blocks


# ----------------------------------------------------------------------------------------------- schedules
@dataclass(frozen=True, slots=True)
class Variant:
    """Steps for the sizes that satisfy ``guard``: pairs (dim, smallest value); the last variant of a schedule has no
    guard."""

    guard: tuple[tuple[Dim, int], ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """How an entry runs in blocks of ``label``: ``stages`` passes over the batch, one after another. Of each result:
    ``sum`` (of what the blocks give, then finished), ``concat``, ``once`` (no block changes it) or ``staged``.
    ``whole`` is why no range of the batch can be computed apart (:mod:`bracketc.plan.ranges`); empty where one can."""

    label: str
    stages: int
    outputs: tuple[tuple[str, str], ...]
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One entry point, planned.

    ``arguments`` are the program's arguments and the entry's extras that it reads or not, in the order of its
    signature. ``residuals`` are buffers that ``forward`` writes and ``backward`` reads, in the same order in both.
    ``results`` are distinct buffers, none an argument. ``notes`` say what was decided and why, for ``explain``.
    ``baseline`` is the cost of plain reverse mode with sharing at the hints. ``modes`` are the ways of differentiating that
    were planned, the one that was taken first, each with the flops that it takes as it is, no product reordered.
    ``split`` says how it runs in blocks of a batch, if it does (:mod:`bracketc.plan.split`).
    """

    entry: str
    arguments: tuple[Buffer, ...]
    residuals: tuple[Buffer, ...]
    results: tuple[tuple[str, Buffer], ...]
    variants: tuple[Variant, ...]
    flops: Dim
    bytes: Dim
    notes: tuple[str, ...] = ()
    baseline: int = 0
    modes: tuple[tuple[str, int], ...] = ()
    split: Split | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps of the unguarded variant."""
        return self.variants[-1].steps


@dataclass(frozen=True, slots=True)
class Plan:
    """All entry points of a program, planned together so that forward and backward agree on the residuals."""

    schedules: tuple[Schedule, ...]
    sizes: tuple[str, ...]
    hints: dict[str, int] = field(default_factory=dict)
    real_bytes: int = 8

    def schedule(self, entry: str) -> Schedule:
        return next(s for s in self.schedules if s.entry == entry)
