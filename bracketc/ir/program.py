"""A whole source file as tensor IR, and the entry points that a compiled module offers.

``lang`` makes a :class:`Program`; ``calculus`` turns its requests into :class:`Entry` records, free of derivatives;
everything below works on entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal as OneOf

from bracketc.errors import Diagnostic, Source, Span
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import DType, Node, Shape, Tensor
from bracketc.ir.rewrite import Origin

Kind = OneOf["input", "param", "output"]
RequestKind = OneOf["gradient", "jacobian", "hessian", "jvp", "vjp", "hvp"]


@dataclass(frozen=True, slots=True)
class SizeSpec:
    """A named size: bound to ``value`` by ``dim K = 10``, hinted for planning by ``dim N ~ 1000``, or free."""

    name: str
    value: int | None = None
    hint: int | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a caller must know of an argument or a result. ``dims`` are the sizes as text, ``shape`` as polynomials."""

    name: str
    shape: Shape
    kind: Kind
    dtype: DType = "real"
    traits: tuple[str, ...] = ()

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(str(extent) for extent in self.shape)


@dataclass(frozen=True, slots=True)
class Request:
    """A derivative asked for: ``gradient J wrt W, b``. ``name`` is set by ``as``; ``layout`` as in the language page.

    ``derived`` marks ``as derived``: compile the written derivation.
    """

    kind: RequestKind
    output: str
    wrt: tuple[str, ...]
    name: str | None = None
    layout: str | None = None
    derived: bool = False
    span: Span | None = None

    @property
    def pairs(self) -> tuple[tuple[str, str, str], ...]:
        """The blocks of a Hessian: (result, first name, second name).

        wrt x  ->  x by x          wrt x, s  ->  x by s          wrt x, s, t  ->  every pair, each in the order of the names
        """
        if len(self.wrt) == 1:
            return ((self.wrt[0], self.wrt[0], self.wrt[0]),)
        if len(self.wrt) == 2:
            return (("_".join(self.wrt), *self.wrt),)
        names = tuple(dict.fromkeys(self.wrt))
        return tuple((f"{a}_{b}", a, b) for k, a in enumerate(names) for b in names[k:])


@dataclass(frozen=True, slots=True)
class Cut:
    """``output`` as a function of the definition ``wrt``: ``node``, in which the placeholder ``variable`` stands for it."""

    output: str
    wrt: str
    node: Node
    variable: Tensor


@dataclass(frozen=True, slots=True)
class Written:
    """A gradient as a derivation of the source states it: ``node`` for the one of ``output`` by ``wrt``.

    ``derivative`` is what ``node`` stands for, a derivative that calculus expands; the two are equal when the derivation is right.
    """

    output: str
    wrt: str
    derivative: Node
    node: Node
    span: Span


@dataclass(frozen=True, slots=True)
class Program:
    """An elaborated source file; immutable.

    ``arguments`` are the argument nodes in the order of declaration (families member by member: ``W1 … WL``); ``definitions``
    all named definitions in source order, ``results`` those that ``evaluate`` and ``forward`` return. Bound sizes (``dim K = 10``)
    are already numbers in every shape. ``constraints`` are equalities of sizes that no argument shape states by itself, as
    (left, right, why). ``cuts`` are outputs as functions of definitions that requests differentiate by; ``written`` the formulas of
    derivations that requests ``as derived`` ask for. ``notes`` are about what is right and may not be meant.
    """

    source: Source
    sizes: tuple[SizeSpec, ...]
    arguments: tuple[Tensor, ...]
    kinds: Mapping[str, Kind]
    definitions: tuple[tuple[str, Node], ...]
    results: tuple[tuple[str, Node], ...]
    requests: tuple[Request, ...]
    origins: Mapping[Node, Origin] = field(default_factory=dict)
    constraints: tuple[tuple[Dim, Dim, str], ...] = ()
    cuts: tuple[Cut, ...] = ()
    written: tuple[Written, ...] = ()
    notes: tuple[Diagnostic, ...] = ()

    def _repr_html_(self) -> str | None:
        """The program as mathematics, for notebooks."""
        return _shown("html", self)

    def _repr_latex_(self) -> str | None:
        return _shown("latex", self)

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Arguments by name, in the order of declaration."""
        return MappingProxyType(
            {t.name: TensorSpec(t.name, t.shape, self.kinds[t.name], t.dtype, t.traits) for t in self.arguments}
        )

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Results of ``evaluate`` and ``forward`` by name."""
        return MappingProxyType({name: TensorSpec(name, n.shape, "output", n.dtype) for name, n in self.results})


TermKind = OneOf["diagonal", "block diagonal", "kronecker", "symmetric", "product"]


@dataclass(frozen=True, slots=True)
class Term:
    """A product that is stored by its factors: 1 where the axes of each group of ``equal`` agree, else 0, times all factors.

    ``factors`` are the axes of each factor, the first axis of a group standing for all of it; ``stored`` says which of the tensors
    that the structure stores each factor is.

        (δ_ik B_ijl | ijkl)   ->   equal ((0, 2),), factors ((0, 1, 3),), stored (0,)
    """

    kind: TermKind
    equal: tuple[tuple[int, ...], ...]
    factors: tuple[tuple[int, ...], ...]
    stored: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """A sum of products over the axes of a result, the first ``rows`` of which are rows; products may share stored tensors."""

    rows: int
    terms: tuple[Term, ...]
    symmetric: bool = False

    @property
    def count(self) -> int:
        """How many tensors are stored."""
        return 1 + max(number for term in self.terms for number in term.stored)


@dataclass(frozen=True, slots=True)
class Form:
    """How a tensor of derivatives is given: its first ``rows`` axes are rows (``None`` where the layout mixes them), and
    ``symmetric`` says that exchanging rows and columns changes nothing. With a ``structure``, ``node`` is the whole of it and the
    entry computes what is stored."""

    name: str
    rows: int | None
    symmetric: bool = False
    structure: Structure | None = None
    node: Node | None = None


_representations: dict[str, Callable[[Program], str | None]] = {}


def represent(kind: OneOf["html", "latex"], function: Callable[[Program], str | None]) -> None:
    """Say how notebooks show programs.

    Typesetting lies rows below this one, which imports none of them: the pipeline, which makes programs, passes it up.
    """
    _representations[kind] = function


def _shown(kind: str, program: Program) -> str | None:
    function = _representations.get(kind)
    return None if function is None else function(program)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to compute the results of an entry: ``mode`` names it ("forward", "reverse over reverse"), ``nodes`` are
    the results in order."""

    mode: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One function of a compiled module, without derivatives: ``results`` computed from ``arguments`` and ``extras``.

    ``extras`` are the arguments beyond the program's own: cotangents ``bar_J`` of ``backward`` and ``vjp``, tangents ``d_x`` of
    ``jvp`` and ``hvp``. ``request`` is the request it answers (``None`` for ``evaluate`` and ``forward``).

    ``evaluate``        results of the program
    ``forward``         the same, and residuals for ``backward`` that the planner chooses
    ``backward``        one gradient per ``wrt`` name, from the cotangents ``bar_<output>`` of all real results
    ``value_and_grad``  the target, then its gradients
    others              one function per other request, named as interfaces.md says; one result per ``wrt`` (pair of) name(s)

    ``candidates`` are equal in value and different in cost: planning takes the cheapest. The nodes of ``results`` are those of the
    first; with none there is no choice.

    ``forms`` say how the derivatives of a Jacobian or Hessian are given, one each; ``results`` are then, form by form, the whole
    tensor or what its structure stores. ``twin`` is the entry that computes the same as dense arrays, where these are not the
    stored tensors and zeros alone.
    """

    name: str
    arguments: tuple[Tensor, ...]
    extras: tuple[Tensor, ...]
    results: tuple[tuple[str, Node], ...]
    request: Request | None = None
    candidates: tuple[Candidate, ...] = ()
    forms: tuple[Form, ...] = ()
    twin: str | None = None

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> Entry:
        """The entry with other ways to compute it, the first of which people read."""
        names = (name for name, _ in self.results)
        return replace(self, results=tuple(zip(names, candidates[0].nodes, strict=True)), candidates=candidates)

    @property
    def whole(self) -> Entry:
        """The entry with its results as people read them: each in one piece."""
        if not any(form.structure for form in self.forms):
            return self
        nodes = dict(self.results)
        return replace(self, results=tuple((form.name, form.node or nodes[form.name]) for form in self.forms), candidates=())
