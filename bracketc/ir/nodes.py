"""The tensor IR: one algebra of labelled products, and the few node kinds around it.

Nodes are frozen and interned: building the same node twice gives the same object, so that ``==`` is ``is`` and a common
subexpression exists once. Axes are positional (``shape``); labels are local to one :class:`Einsum`, integers in the order of
their first appearance (output first), so that brackets which differ only in the names of labels are one node.

The classes check nothing beyond their types and fold nothing; use the constructors of :mod:`bracketc.ir.build`, which
fold zeros, ones and empty sums, and :mod:`bracketc.ir.verify`, which checks every invariant stated here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar
from typing import Literal as OneOf
from weakref import WeakValueDictionary

from bracketc.ir.dims import Dim
from bracketc.ir.work import again, made

Number = Fraction | float
Shape = tuple[Dim, ...]
Labels = tuple[int, ...]
DType = OneOf["real", "integer", "boolean"]

REAL: DType = "real"
INTEGER: DType = "integer"
BOOLEAN: DType = "boolean"


class _Facts:
    """What is known of a node once it is made. Plain attributes: a compilation reads them millions of times."""

    __slots__ = ("digest", "dtype", "loops", "operands", "rank", "shape")

    operands: tuple[Node, ...]
    """The nodes that this one is computed from."""
    shape: Shape
    """Extents of the positional axes."""
    rank: int
    dtype: DType
    loops: bool
    """Whether a recurrence stands here or below."""
    digest: bytes
    """Once :func:`bracketc.simplify.order.fingerprint` has asked for it."""


_set = object.__setattr__
_MALFORMED = (IndexError, AttributeError, AssertionError)
"""What the facts of a node raise whose fields do not fit together; also the shape of a recurrence, which has several."""


class _Interned(type):
    """Gives the existing object for fields that were seen before."""

    _table: ClassVar[WeakValueDictionary[Any, Node]] = WeakValueDictionary()

    def __call__(cls, *args: Any, **named: Any) -> Any:
        if named or len(args) < len(cls.__match_args__):  # type: ignore[attr-defined]
            whole = super().__call__(*args, **named)
            args = tuple([getattr(whole, name) for name in cls.__match_args__])  # type: ignore[attr-defined]
        key = (cls, *[_STAND_INS[type(value)](value) if type(value) in _STAND_INS else value for value in args])
        found = _Interned._table.get(key)
        if found is not None:
            try:
                again(found.rank)
            except _MALFORMED:
                return found
            return found
        node = super().__call__(*args)
        _Interned._table[key] = node
        # Operands know theirs by now: no recursion. A malformed node is for `verify` to report.
        try:
            operands = node._operands()
            _set(node, "operands", operands)
            _set(node, "loops", cls is Recurrence or True in [operand.loops for operand in operands])
            _set(node, "dtype", node._dtype())
            shape = node._shape()
            _set(node, "shape", shape)
            _set(node, "rank", len(shape))
            made(len(shape), len(operands))
        except _MALFORMED:
            return node
        return node


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, repr=False)
class Node(_Facts, metaclass=_Interned):
    """Base of every node of the tensor IR. A class says by ``_operands``, ``_shape`` and ``_dtype`` how its facts are found."""

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        """The same node over other operands of the same shapes (no folding)."""
        assert not operands
        return self

    def _operands(self) -> tuple[Node, ...]:
        return ()

    def _shape(self) -> Shape:
        raise AssertionError(type(self))

    def _dtype(self) -> DType:
        return REAL

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A fact that could not be found when the node was made: why."""
            if name == "rank":
                return len(self.shape)
            if name == "loops":
                return isinstance(self, Recurrence) or any(operand.loops for operand in self.operands)
            if name in ("operands", "dtype", "shape"):
                return getattr(self, f"_{name}")()
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'×'.join(map(str, self.shape)) or 'scalar'}>"


# --------------------------------------------------------------------------------------------------- leaves
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tensor(Node):
    """An argument, or a bound placeholder (its name starts with ``%``, which no source name can).

    ``traits`` are facts that simplification may use: ``"onehot rows"``, ``"symmetric"``, ``"positive"``, … (sorted).
    ``bound`` is the C of ``integer in C``: entries lie in 0..C-1.
    """

    name: str
    extents: Shape
    kind: DType = REAL
    traits: tuple[str, ...] = ()
    bound: Dim | None = None

    def _shape(self) -> Shape:
        return self.extents

    def _dtype(self) -> DType:
        return self.kind


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Literal(Node):
    """A rank-0 number: exact (``Fraction``) or a float."""

    value: Number

    def _shape(self) -> Shape:
        return ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Size(Node):
    """A size as a rank-0 real number."""

    dim: Dim

    def _shape(self) -> Shape:
        return ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Range(Node):
    """The real vector 1, 2, …, extent: a label used as a number."""

    extent: Dim

    def _shape(self) -> Shape:
        return (self.extent,)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Delta(Node):
    """The Kronecker delta of one extent, ``(δ_ij | ij)``: a factor that simplification makes vanish or keeps as structure."""

    extent: Dim

    def _shape(self) -> Shape:
        return (self.extent, self.extent)


# --------------------------------------------------------------------------------------------------- the bracket
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Einsum(Node):
    """The bracket: ``coefficient`` times labelled factors, summed over every label outside ``output``.

    ``factors`` are ``(node, labels)`` with one label an axis (a repeated label takes a diagonal); ``extents[l]`` is the size of
    label ``l``. An output label that no factor carries broadcasts; output labels are distinct; every summed label
    is carried by a factor. Labels are numbered by first appearance in ``output``, then in the factors in order.
    Factors are real, or boolean counted as 0 and 1.

        (2 A_ij B_jk | ik)   ->   Einsum(2, ((A, (0, 2)), (B, (2, 1))), (0, 1), (I, K, J))
    """

    coefficient: Number
    factors: tuple[tuple[Node, Labels], ...]
    output: Labels
    extents: Shape

    def _operands(self) -> tuple[Node, ...]:
        return tuple(node for node, _ in self.factors)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Einsum(
            self.coefficient,
            tuple((new, labels) for new, (_, labels) in zip(operands, self.factors, strict=True)),
            self.output,
            self.extents,
        )

    def _shape(self) -> Shape:
        return tuple(self.extents[label] for label in self.output)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Add(Node):
    """Sum of two or more real terms of one shape. A difference is a term with coefficient -1."""

    terms: tuple[Node, ...]

    def _operands(self) -> tuple[Node, ...]:
        return self.terms

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Add(operands)

    def _shape(self) -> Shape:
        return self.terms[0].shape


# --------------------------------------------------------------------------------------------------- element-wise
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pointwise(Node):
    """An element-wise function of arguments of one shape; :mod:`bracketc.ir.functions` lists the functions.

    ``exponent`` belongs to ``power`` alone: ``x ** exponent`` for a constant exponent (a reciprocal is ``power`` with -1).
    Scalars are broadcast by an :class:`Einsum` without factors on the labels.
    """

    function: str
    args: tuple[Node, ...]
    exponent: Number | None = None

    def _operands(self) -> tuple[Node, ...]:
        return self.args

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Pointwise(self.function, operands, self.exponent)

    def _shape(self) -> Shape:
        return self.args[0].shape


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Compare(Node):
    """Element-wise comparison of two nodes of one shape: ``< <= > >= == !=``; boolean."""

    operator: str
    left: Node
    right: Node

    def _operands(self) -> tuple[Node, ...]:
        return (self.left, self.right)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Compare(self.operator, *operands)

    def _shape(self) -> Shape:
        return self.left.shape

    def _dtype(self) -> DType:
        return BOOLEAN


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Select(Node):
    """``yes`` where ``condition`` holds, else ``no``; all of one shape. The branch not taken never shows, NaN included."""

    condition: Node
    yes: Node
    no: Node

    def _operands(self) -> tuple[Node, ...]:
        return (self.condition, self.yes, self.no)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Select(*operands)

    def _shape(self) -> Shape:
        return self.yes.shape


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reduce(Node):
    """``max``, ``min``, ``prod`` or ``logsumexp`` over ``axes`` (sorted, counted from 0). Sums are brackets.

    Over an empty extent: prod is 1, logsumexp and max are -inf, min is inf.
    """

    operator: str
    arg: Node
    axes: tuple[int, ...]

    def _operands(self) -> tuple[Node, ...]:
        return (self.arg,)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Reduce(self.operator, operands[0], self.axes)

    def _shape(self) -> Shape:
        return tuple(extent for axis, extent in enumerate(self.arg.shape) if axis not in self.axes)


# --------------------------------------------------------------------------------------------------- rearrangements
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Window(Node):
    """Affine indexing of one axis: slices, single entries, shifted and sliding windows. Adjoint of :class:`Overlap`.

    Axis ``axis`` of ``arg`` is replaced by axes of ``extents``, counted l1, l2, … from 0:

        out[…, l1, …, lk, …] = arg[…, offset + steps[0] l1 + … + steps[k-1] lk, …]

    No axis (``extents == ()``) picks the entry at ``offset``; one axis is a slice; two are a sliding window. Every index is
    in range: ``verify`` checks it where the sizes decide it, generated code checks it otherwise.
    """

    arg: Node
    axis: int
    offset: Dim
    steps: tuple[int, ...]
    extents: Shape

    def _operands(self) -> tuple[Node, ...]:
        return (self.arg,)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Window(operands[0], self.axis, self.offset, self.steps, self.extents)

    def _shape(self) -> Shape:
        base = self.arg.shape
        return (*base[: self.axis], *self.extents, *base[self.axis + 1 :])

    def _dtype(self) -> DType:
        return self.arg.dtype


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Overlap(Node):
    """Adjoint of :class:`Window`: axes ``axis .. axis + len(steps) - 1`` of ``arg`` are added into one axis of ``extent``.

        out[…, p, …] = sum of arg[…, l1, …, lk, …] over all l with offset + Σ steps[i] l_i = p      (0 where there is none)
    """

    arg: Node
    axis: int
    offset: Dim
    steps: tuple[int, ...]
    extent: Dim

    def _operands(self) -> tuple[Node, ...]:
        return (self.arg,)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Overlap(operands[0], self.axis, self.offset, self.steps, self.extent)

    def _shape(self) -> Shape:
        base = self.arg.shape
        return (*base[: self.axis], self.extent, *base[self.axis + len(self.steps) :])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Gather(Node):
    """Rows of ``arg`` by integer labels counted from 0: ``out[i…, …] = arg[index[i…], …]`` (leading axis of ``arg``)."""

    arg: Node
    index: Node

    def _operands(self) -> tuple[Node, ...]:
        return (self.arg, self.index)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Gather(*operands)

    def _shape(self) -> Shape:
        return (*self.index.shape, *self.arg.shape[1:])

    def _dtype(self) -> DType:
        return self.arg.dtype


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scatter(Node):
    """Adjoint of :class:`Gather`: ``out[index[i…], …] += arg[i…, …]`` into ``extent`` rows of zeros."""

    arg: Node
    index: Node
    extent: Dim

    def _operands(self) -> tuple[Node, ...]:
        return (self.arg, self.index)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Scatter(operands[0], operands[1], self.extent)

    def _shape(self) -> Shape:
        return (self.extent, *self.arg.shape[self.index.rank :])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Stack(Node):
    """Terms of one shape along a new leading axis."""

    terms: tuple[Node, ...]

    def _operands(self) -> tuple[Node, ...]:
        return self.terms

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Stack(operands)

    def _shape(self) -> Shape:
        return (Dim.of(len(self.terms)), *self.terms[0].shape)

    def _dtype(self) -> DType:
        return self.terms[0].dtype


# --------------------------------------------------------------------------------------------------- several results
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Linalg(Node):
    """A linear-algebra operation on matrices in the last two axes, batched over the leading ones.

    ``inv`` (A), ``solve`` (A, B: the batch axes and rows of A, then columns), ``cholesky`` (A, lower factor), ``det`` (A),
    ``logdet`` (A, log |det A|), ``solve_lower``, ``solve_upper`` (triangular); planning alone makes those on factors that
    :mod:`bracketc.ir.linear_algebra` lists. A right-hand side may have any number of axes of columns.
    """

    operator: str
    args: tuple[Node, ...]

    def _operands(self) -> tuple[Node, ...]:
        return self.args

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Linalg(self.operator, operands)

    def _shape(self) -> Shape:
        *lead, _, columns = self.args[0].shape
        match self.operator:
            case "det" | "logdet" | "lu_det" | "lu_logdet":
                return tuple(lead)
            case "lu":
                return (*lead, columns + 1, columns)
            case "lu_inv":
                return (*lead, columns, columns)
            case _:
                return self.args[-1].shape


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The closed step of a recurrence: ``results`` refer to ``parameters`` and to nothing else outside.

    Parameters are placeholders named ``%0``, ``%1``, … in order: carries, then xs, then consts.
    """

    parameters: tuple[Tensor, ...]
    results: tuple[Node, ...]


_STAND_INS: Mapping[type, Callable[[Any], Any]] = {
    Fraction: lambda number: (number.numerator, number.denominator),
    float: lambda number: struct.pack("<d", number),
    Body: lambda body: (body.parameters, body.results),
}
"""What stands for a field in the key of a node: it tells 1, 1.0, 0.0, -0.0 and Fraction(1) apart. Nodes and sizes are themselves
interned, and tuples hold nothing else but names and whole numbers."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Recurrence(Node):
    """``length`` steps of ``body``; several results, taken by :class:`Project`; never unrolled.

    ``carries`` are the states before the first step; ``xs`` have a leading axis of ``length``, of which a step sees its slice;
    ``consts`` are the same in each step. A step maps (carries, x slices, consts) to (new carries, ys). Results are the final
    carries, then the ys stacked along a leading axis of ``length`` (slice t belongs to step t also when ``reverse``, where the
    steps run from the last to the first).
    """

    body: Body
    length: Dim
    carries: tuple[Node, ...]
    xs: tuple[Node, ...]
    consts: tuple[Node, ...]
    reverse: bool = False

    def _operands(self) -> tuple[Node, ...]:
        return (*self.carries, *self.xs, *self.consts)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        first, second = len(self.carries), len(self.carries) + len(self.xs)
        return Recurrence(
            self.body, self.length, operands[:first], operands[first:second], operands[second:], self.reverse
        )

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of all results: final carries, then stacked ys."""
        count = len(self.carries)
        finals = tuple(node.shape for node in self.body.results[:count])
        return (*finals, *((self.length, *node.shape) for node in self.body.results[count:]))

    def _shape(self) -> Shape:
        raise AssertionError("a recurrence has several results: use Project")

    def __repr__(self) -> str:
        return f"<Recurrence of {self.length} steps>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Project(Node):
    """Result number ``index`` of a node with several results."""

    arg: Recurrence
    index: int

    def _operands(self) -> tuple[Node, ...]:
        return (self.arg,)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        (arg,) = operands
        assert isinstance(arg, Recurrence)
        return Project(arg, self.index)

    def _shape(self) -> Shape:
        return self.arg.shapes[self.index]


# ------------------------------------------------------------------------------------------------ derivatives, expanded by calculus
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Derivative(Node):
    """All partial derivatives of ``output`` by the bound placeholder ``wrt``, taken at ``point`` (of its shape).

    ``layout`` ``"jacobian"``: axes of output, then of wrt; ``"gradient"``: axes of wrt, then of output. ``wrt`` occurs in
    ``output`` only; the whole stands for the derivative with ``wrt`` replaced by ``point``.
    """

    output: Node
    wrt: Tensor
    point: Node
    layout: str = "jacobian"

    def _operands(self) -> tuple[Node, ...]:
        return (self.output, self.point)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        return Derivative(operands[0], self.wrt, operands[1], self.layout)

    def _shape(self) -> Shape:
        first, second = self.output.shape, self.wrt.shape
        return (*first, *second) if self.layout == "jacobian" else (*second, *first)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Differential(Node):
    """The differential of ``output`` for increments ``tangents`` of the bound placeholders ``wrt``, taken at ``points``.

    ``f'(A)`` of an element-wise ``f`` is ``Differential(f(%1), (%1,), (A,), (ones,))``.
    """

    output: Node
    wrt: tuple[Tensor, ...]
    points: tuple[Node, ...]
    tangents: tuple[Node, ...]

    def _operands(self) -> tuple[Node, ...]:
        return (self.output, *self.points, *self.tangents)

    def rebuild(self, operands: tuple[Node, ...]) -> Node:
        count = len(self.wrt)
        return Differential(operands[0], self.wrt, operands[1 : 1 + count], operands[1 + count :])

    def _shape(self) -> Shape:
        return self.output.shape


def digest(node: Node, known: dict[Node, bytes]) -> bytes:
    """Structural fingerprint, the same in every process; ``known`` holds those of the operands.

    Use :func:`bracketc.simplify.order.fingerprint`, which walks a whole graph.
    """
    hasher = blake2b(digest_size=12)

    def feed(value: Any) -> None:
        if isinstance(value, Node):
            hasher.update(known[value])
        elif isinstance(value, tuple):
            hasher.update(b"(%d" % len(value))
            for item in value:
                feed(item)
        elif isinstance(value, Body):
            feed(value.parameters)
            feed(value.results)
        elif isinstance(value, float):
            hasher.update(b"f" + struct.pack("<d", value))
        else:
            hasher.update(f"{type(value).__name__}:{value};".encode())

    hasher.update(type(node).__name__.encode())
    for f in fields(node):
        feed(getattr(node, f.name))
    return hasher.digest()
