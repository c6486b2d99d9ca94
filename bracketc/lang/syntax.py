"""The syntax tree of a `.brk` file: what was written, with its place, before anything is looked up.

The tree takes no decision that needs a declaration.  It does not say whether ``k`` is a label or a size, whether
``A_12`` is a portion or a permutation, whether ``f(x)`` calls a function, whether ``dX`` is a differential or the
name of an argument, or whether ``f'`` is a derivative: elaboration finds out from the tree and the declarations.

Conventions, for every node:

* ``span`` is the last field.  Equality and hash ignore it, so that a Unicode and an ASCII spelling of one program
  are equal trees; both work without recursion.
* Sequences are tuples.  Sums and products of any length are *one* node, never a nest of pairs.
* Parentheses that were written are nodes (:class:`Paren`), because they bound the scope of a sum and make groups
  inside ``[ ]``.  An operand that binds more loosely than its parent always stands in a bracket node.
* Operators have their Unicode spelling: ``"⊙"`` also where ``*`` was typed, ``"⊘"`` for ``/``, ``"·"`` for ``.``.
* Names are in Unicode normal form C and keep their primes: ``Name("f'")``.
* No path from root to leaf is longer than the nesting limit of the parser (200 nodes unless raised), so a recursive
  walk with a few frames a node is safe.

``(A_ij B_jm | im)``  ->

    IndexBracket(FormalProduct((Labelled(Name("A"), (Label("i"), Label("j"))),
                                Labelled(Name("B"), (Label("j"), Label("m"))))), (Label("i"), Label("m")))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, TypeAlias, TypeVar, cast, dataclass_transform

from bracketc.errors import Source, Span

NOWHERE = Span(Source("", "<built>"), 0, 0)
"""The span of a node that was built by a program and never written."""

_T = TypeVar("_T")
_COMPARED: dict[type, tuple[str, ...]] = {}


def _equal(left: object, right: object) -> bool:
    if type(left) is not type(right):
        return False
    pending: list[tuple[object, object]] = [(left, right)]
    while pending:
        a, b = pending.pop()
        if a is b:
            continue
        if type(a) is not type(b):
            return False
        if isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            pending.extend(zip(a, b, strict=True))
        elif type(a) in _COMPARED:
            pending.extend((getattr(a, name), getattr(b, name)) for name in _COMPARED[type(a)])
        elif a != b:
            return False
    return True


def _hash(node: object) -> int:
    flat: list[object] = []
    pending: list[object] = [node]
    while pending:
        value = pending.pop()
        if isinstance(value, tuple):
            flat.append(len(value))
            pending.extend(value)
        elif type(value) in _COMPARED:
            flat.append(type(value).__name__)
            pending.extend(getattr(value, name) for name in _COMPARED[type(value)])
        else:
            flat.append(value)
    return hash(tuple(flat))


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _node(cls: type[_T]) -> type[_T]:
    """A frozen slotted dataclass whose equality and hash ignore spans and do not recurse."""
    cls.__eq__ = _equal  # type: ignore[method-assign]
    cls.__hash__ = _hash  # type: ignore[method-assign, assignment]
    made = dataclass(frozen=True, slots=True, eq=False)(cls)
    _COMPARED[made] = tuple(f.name for f in fields(cast(Any, made)) if f.compare)
    return made


def _place() -> Span:
    return field(default=NOWHERE, compare=False, repr=False)


# ---------------------------------------------------------------------------------------------- small parts


@_node
class Position:
    """One position of a position list, counted from 1; ``barred`` when it was written ``~p`` (summed)."""

    number: int
    barred: bool
    span: Span = _place()


@_node
class Positions:
    """A position list: ``~1[25]3`` is three groups, (~1), (2, 5) and (3).

    The members of a group share one dimension (a diagonal).  Groups of more than one member occur in subscripts
    only, bars never in the positions of a mapped function.  No position occurs twice.
    """

    groups: tuple[tuple[Position, ...], ...]
    span: Span = _place()

    @property
    def numbers(self) -> tuple[int, ...]:
        """All positions in the order written: ``~1[25]3`` -> (1, 2, 5, 3)."""
        return tuple(p.number for group in self.groups for p in group)


@_node
class Label:
    """A label after ``_`` or right of a bar.  ``A_ij`` has two, ``A_{i1,k}`` the labels i1 and k."""

    text: str
    span: Span = _place()


@_node
class Operator:
    """A `·`, `⊙` or `⊘` with its annotation; at most one of (``left`` and ``right``) and ``count`` is given.

    ``A ^{~23}⊙^{31} B`` has both lists, ``A ·_2 B`` the count 2, ``A ·_> B`` the count ">", ``A · B`` nothing.
    """

    symbol: str  # "·", "⊙", "⊘"
    left: Positions | None
    right: Positions | None
    count: int | str | None  # a number from 1, ">" (all of the right operand) or "<" (all of the left one)
    span: Span = _place()

    @property
    def plain(self) -> bool:
        return self.left is None and self.count is None


@_node
class Binder:
    """``j`` of ``sum[j](…)`` is a label (no bounds); ``t=1..T`` of ``sum[t=1..T](…)`` binds a number."""

    name: Name
    first: Expr | None
    last: Expr | None
    span: Span = _place()


@_node
class Comparison:
    """The condition of ``where(condition, a, b)``; bare labels in it are numbers."""

    operator: str  # "<", "<=", ">", ">=", "==", "!="
    left: Expr
    right: Expr
    span: Span = _place()


@_node
class All:
    """The entry ``·`` (or ``:``) of an index: a whole dimension."""

    span: Span = _place()


@_node
class Slice:
    """The entry ``first..last`` of an index, both ends included, counted from 1."""

    first: Expr
    last: Expr
    span: Span = _place()


# ---------------------------------------------------------------------------------------------- atoms


@_node
class Number:
    """A number as typed, ``1e-3``; ``value`` is exact."""

    text: str
    span: Span = _place()

    @property
    def value(self) -> Fraction:
        return Fraction(self.text)

    @property
    def is_integer(self) -> bool:
        """Whether it was typed as an integer: ``3`` is, ``3.0`` and ``3e0`` are not."""
        return self.text.isdigit()


@_node
class Name:
    """A name with its primes.  Also `pi`, labels in index entries, differentials like ``dX``.

    A function name never stands alone; it comes in :class:`Call`, :class:`FunctionDerivative`, :class:`Reduction`.
    """

    text: str
    span: Span = _place()

    @property
    def base(self) -> str:
        """The name without its primes: ``f''`` -> f."""
        return self.text.rstrip("'")

    @property
    def primes(self) -> int:
        """``f''`` -> 2; on the name of a function, the order of its derivative."""
        return len(self.text) - len(self.base)


@_node
class Ones:
    """``𝟏`` has rank 1, ``𝟏_12`` rank 2, both with sizes to be found; ``𝟏⟨N,M⟩`` has sizes, and rank len(sizes)."""

    rank: int
    sizes: tuple[Expr, ...] | None
    span: Span = _place()


@_node
class Iota:
    """``ι``: a dimension of size 1."""

    span: Span = _place()


@_node
class OneHot:
    """``e⟨i,j⟩``: zeros with one 1 at the given (1-based) place, or a family of such tensors over labels.

    Written for any ``e⟨…⟩`` and any ``e<…>`` that touches and closes; elaboration refuses it when ``e`` is declared
    (a comparison needs spaces then).
    """

    entries: tuple[Expr, ...]
    span: Span = _place()


@_node
class Delta:
    """``δ_ij``: 1 where its labels agree."""

    labels: tuple[Label, ...]
    span: Span = _place()


# ---------------------------------------------------------------------------------------------- brackets


@_node
class Paren:
    """``( … )`` that was written: grouping, the scope of a sum, and inside ``[ ]`` or a formal product a group."""

    body: Expr
    span: Span = _place()


@_node
class Brace:
    """``{ … }``: a classic sub-expression closed into one tensor."""

    body: Expr
    span: Span = _place()


@_node
class Fusion:
    """``[ … ]``: members fused dimension by dimension; members may be bars, groups, portions, fusions."""

    members: tuple[Expr, ...]
    span: Span = _place()


@_node
class IndexBracket:
    """``( body | labels )``: labels order the result, every other label of the body is summed."""

    body: Expr
    labels: tuple[Label, ...]
    span: Span = _place()


# ---------------------------------------------------------------------------------------------- postfix, prefix


@_node
class Portion:
    """``A_312``, ``A_{1[25]3}``, ``(…)_21``, and with an instance tag ``X#1_2`` (``instance`` is 1).

    Elaboration decides by the rank of the operand: all positions make a permutation, diagonal or sum, fewer a
    portion of a formal product.  With an instance the operand is a :class:`Name`.
    """

    operand: Expr
    positions: Positions
    instance: int | None
    span: Span = _place()


@_node
class Labelled:
    """``A_ij``, ``inv(K)_ij``, ``(X @ W)_ik``: the operand with a label for each of its dimensions."""

    operand: Expr
    labels: tuple[Label, ...]
    span: Span = _place()


@_node
class Index:
    """``X[t]``, ``Z[t-1]``, ``M[2,·]``, ``(…)![2]``: entries are expressions, slices or whole dimensions.

    Inside an entry a declared name is a number, an `integer` argument (with an index of its own) a gather, and
    any other name a label.  ``dO[t]`` is ``Index(Name("dO"), …)`` and means ``(dO)[t]``.
    """

    operand: Expr
    entries: tuple[Entry, ...]
    span: Span = _place()


@_node
class Transpose:
    """``X^T``: a row from a column (rank 1), or a matrix transposed."""

    operand: Expr
    span: Span = _place()


@_node
class Power:
    """``base**exponent``, element-wise; ``exponent`` is a Number, a Name or a Paren, ``negated`` for ``x**-2``."""

    base: Expr
    negated: bool
    exponent: Expr
    span: Span = _place()


@_node
class Bar:
    """``~A_23``: the sum over all dimensions of the operand, which is never a Bar itself."""

    operand: Expr
    span: Span = _place()


# ---------------------------------------------------------------------------------------------- operators


@_node
class FormalProduct:
    """Two or more factors side by side, ``2 X``, ``A_3 A_12``: the formal (Kronecker) product."""

    factors: tuple[Expr, ...]
    span: Span = _place()


@_node
class System:
    """``X Y & [~A B (C_1 D_2)] & …``: two or more lines; means the formal product of all their factors in order."""

    lines: tuple[Expr, ...]
    span: Span = _place()


@_node
class MatrixProduct:
    """Two or more operands of ``@``."""

    operands: tuple[Expr, ...]
    span: Span = _place()


@_node
class Kronecker:
    """Two or more operands of ``⊗``."""

    operands: tuple[Expr, ...]
    span: Span = _place()


@_node
class Elementwise:
    """A chain of ``⊙`` and ``⊘``, left to right; ``operators`` has one entry fewer than ``operands``.

    With more than one operator none has position lists (that would be an error of association), the rank condition
    of ``⊙_k ⊙_h`` is for elaboration.  Right of ``⊘`` never stands a product by space, ``@`` or ``⊗``.
    """

    operands: tuple[Expr, ...]
    operators: tuple[Operator, ...]
    span: Span = _place()


@_node
class Dot:
    """A chain of ``·``; with more than one operator all have counts, and the rank condition is for elaboration."""

    operands: tuple[Expr, ...]
    operators: tuple[Operator, ...]
    span: Span = _place()


@_node
class Sum:
    """``[-] a + b - c ⊖ d ⊕ e``, left to right; ``negated`` is the sign of the first operand only.

    ``operators`` has one entry fewer than ``operands``, each of "+", "-", "⊖", "⊕".  ``-x`` has no operator.
    """

    negated: bool
    operands: tuple[Expr, ...]
    operators: tuple[str, ...]
    span: Span = _place()


def integer(number: int, span: Span) -> Expr:
    """The expression whose value is ``number``."""
    size = Number(str(abs(number)), span)
    return Sum(True, (size,), (), span) if number < 0 else size


# ---------------------------------------------------------------------------------------------- application


@_node
class Call:
    """``f(a, b)``, ``f'(x)``, ``s^1(A)`` (``positions`` is given), ``sum(X)``, ``stack(f, g)``, ``lam(w)``, ``d(J)``.

    Whether the name is a function is for elaboration; ``d(…)`` is the differential unless a function d is declared.
    Builtin element-wise functions are never mapped (`sin^2(x)` is an error of the parser).
    """

    function: Name
    positions: Positions | None
    arguments: tuple[Expr, ...]
    span: Span = _place()


@_node
class Stop:
    """``stop(X)``: constant for every differential."""

    operand: Expr
    span: Span = _place()


@_node
class Where:
    """``where(condition, a, b)``."""

    condition: Comparison
    chosen: Expr
    otherwise: Expr
    span: Span = _place()


@_node
class Reduction:
    """``sum[i,j](…)``, ``prod max min mean logsumexp softmax`` likewise, and ``sum[t=1..T](…)``."""

    operation: str
    binders: tuple[Binder, ...]
    body: Expr
    span: Span = _place()


@_node
class FunctionDerivative:
    """``∇s^1(A)`` (generalised gradient of s, inputs then outputs), ``Jac s^1(A)``; ``positions`` may be absent."""

    operator: str  # "∇" or "Jac"
    function: Name
    positions: Positions | None
    arguments: tuple[Expr, ...]
    span: Span = _place()


@_node
class Derivative:
    """``∇[W](J)`` and ``Jac[W](h)``."""

    operator: str  # "∇" or "Jac"
    wrt: tuple[Reference, ...]
    body: Expr
    span: Span = _place()


@_node
class Differential:
    """``d[W,b](…)``: only the named variables vary.  (``dX`` is a :class:`Name`, ``d(…)`` a :class:`Call`.)"""

    wrt: tuple[Reference, ...]
    body: Expr
    span: Span = _place()


@_node
class Reference:
    """A name, or a member of a family: ``W``, ``W[1]``."""

    name: Name
    entries: tuple[Entry, ...] | None
    span: Span = _place()


Expr: TypeAlias = (
    Number
    | Name
    | Ones
    | Iota
    | OneHot
    | Delta
    | Paren
    | Brace
    | Fusion
    | IndexBracket
    | Portion
    | Labelled
    | Index
    | Transpose
    | Power
    | Bar
    | FormalProduct
    | System
    | MatrixProduct
    | Kronecker
    | Elementwise
    | Dot
    | Sum
    | Call
    | Stop
    | Where
    | Reduction
    | FunctionDerivative
    | Derivative
    | Differential
)
Entry: TypeAlias = Expr | All | Slice


# ---------------------------------------------------------------------------------------------- parts of statements


@_node
class Range:
    """``j = 1..L`` after ``for``; reversed ranges are allowed."""

    variable: Name
    first: Expr
    last: Expr
    span: Span = _place()


@_node
class Target:
    """What a definition defines: ``J``, ``A_ik`` (``labels``), ``Z[t]``, ``H[t,i,a]`` (``entries``).

    At most one of ``labels`` and ``entries`` is given.  Entries are labels, numbers or expressions, by declaration.
    """

    name: Name
    labels: tuple[Label, ...] | None
    entries: tuple[Entry, ...] | None
    span: Span = _place()


@_node
class Binding:
    """``U = …`` after ``where``."""

    target: Target
    value: Expr
    span: Span = _place()


@_node
class Trait:
    """A fact about an argument; ``size`` is given for ``integer in C`` only (name "integer").

    Names: symmetric, "positive definite", diagonal, lower, upper, orthogonal, positive, nonzero, "onehot rows",
    "stochastic rows", integer.
    """

    name: str
    size: Expr | None
    span: Span = _place()


@_node
class Size:
    """One name of a ``dim`` statement: ``N``, ``K = 10`` (``value``), ``N ~ 1000`` (``hint``)."""

    name: Name
    value: Expr | None
    hint: Expr | None
    span: Span = _place()


@_node
class Parameter:
    """``a`` or ``b : 2`` of a function; ``rank`` is None where it is not written."""

    name: Name
    rank: int | None
    span: Span = _place()


@_node
class Layout:
    """``layout jacobian|gradient|row|column`` (``kind``), or ``layout ^512·^123`` (kind "positions", both lists)."""

    kind: str
    left: Positions | None
    right: Positions | None
    span: Span = _place()


# ---------------------------------------------------------------------------------------------- statements


@_node
class DimStatement:
    """``dim N, K = 10, M ~ 1000``."""

    sizes: tuple[Size, ...]
    span: Span = _place()


@_node
class DimFamily:
    """``dim D[0..L] = 784, 256, 10``."""

    name: Name
    first: Expr
    last: Expr
    values: tuple[Expr, ...]
    span: Span = _place()


@_node
class Argument:
    """``input X : N, D traits`` and ``param W[j] : D[j-1], D[j] for j = 1..L``.

    ``dims`` is empty for ``: scalar``.  A family has both ``index`` (the name in its brackets) and ``range``.
    """

    kind: str  # "input" or "param"
    name: Name
    index: Name | None
    dims: tuple[Expr, ...]
    traits: tuple[Trait, ...]
    range: Range | None
    span: Span = _place()


@_node
class Const:
    """``const lam = 1e-3``, ``const I = eye(D)``."""

    name: Name
    value: Expr
    span: Span = _place()


@_node
class Function:
    """``function f(a, b : 2) = body [where …]``."""

    name: Name
    parameters: tuple[Parameter, ...]
    body: Expr
    where: tuple[Binding, ...]
    span: Span = _place()


@_node
class Definition:
    """``target = body [where …] [for …]``."""

    target: Target
    body: Expr
    where: tuple[Binding, ...]
    ranges: tuple[Range, ...]
    span: Span = _place()


@_node
class Output:
    """``output F, J``."""

    names: tuple[Reference, ...]
    span: Span = _place()


@_node
class Request:
    """``gradient J wrt W, b``, ``jacobian y wrt x layout row as g``, ``gradient J wrt W as derived``."""

    kind: str  # gradient, jacobian, hessian, jvp, vjp, hvp
    target: Reference
    wrt: tuple[Reference, ...]
    layout: Layout | None
    name: Name | None  # given with `as`
    derived: bool  # `as derived`
    span: Span = _place()


@_node
class Import:
    """``import "layers.brk"``."""

    path: str
    span: Span = _place()


@_node
class Member:
    """A side of an equation.  Of ``a ⇝ b ⇝ c`` all three are kept, and only ``growth[-1]`` counts."""

    growth: tuple[Expr, ...]
    span: Span = _place()

    @property
    def value(self) -> Expr:
        return self.growth[-1]


@_node
class Equation:
    """Members joined by ``=``, one or more; each ``=`` is a step."""

    members: tuple[Member, ...]
    span: Span = _place()


@_node
class Segment:
    """A part of a derivation line.

    ``opener`` says how it begins: "" a new chain; "=" its (only) equation goes on with the last equation above;
    "⇝" the same, and its first member replaces the last member above; "⟹" a conclusion: new equations, a comma list.
    """

    opener: str  # "", "=", "⇝", "⟹"
    equations: tuple[Equation, ...]
    span: Span = _place()


@_node
class Step:
    """One line of a derivation: ``(eq3) a = b = c ⟹ d = e  where U = …  [by the product rule]``.

    ``where`` binds for this line and those after it.  ``remark`` is the text between ``[by`` and ``]``.
    """

    label: str | None
    segments: tuple[Segment, ...]
    where: tuple[Binding, ...]
    remark: str | None
    span: Span = _place()


@_node
class Derivation:
    """``(label) derivation of J wrt W, b { … }``; label, target and ``wrt`` may be missing."""

    label: str | None
    target: Reference | None
    wrt: tuple[Reference, ...]
    steps: tuple[Step, ...]
    span: Span = _place()


Statement: TypeAlias = (
    DimStatement | DimFamily | Argument | Const | Function | Definition | Output | Request | Import | Derivation
)


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment with its ``#``; ``own_line`` when nothing stands before it on its line."""

    text: str
    own_line: bool
    span: Span = field(compare=False, repr=False)


@_node
class SyntaxFile:
    """A whole file.  Comments belong to the layout, so equality ignores them."""

    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False, repr=False)
    span: Span = _place()


# ---------------------------------------------------------------------------------------------- walking


Node: TypeAlias = Any
"""Any class of this module that has a span: expressions, statements and their parts."""


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below a node, in the order written; nested tuples are flattened.

    ``A_ij``  ->  Name("A"), Label("i"), Label("j")
    """
    for name in _COMPARED[type(node)]:
        pending = [getattr(node, name)]
        while pending:
            value = pending.pop()
            if isinstance(value, tuple):
                pending.extend(reversed(value))
            elif type(value) in _COMPARED:
                yield value


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents before children, left to right, without recursion."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(tuple(children(node))))


def depth(node: Node) -> int:
    """Number of nodes on the longest path down from ``node``; 1 for a leaf."""
    level = [node]
    count = 0
    while level:
        count += 1
        level = [below for above in level for below in children(above)]
    return count
