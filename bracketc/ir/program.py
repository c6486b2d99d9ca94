"""A whole source file as tensor IR, and the entry points that a compiled module offers.

``lang`` makes a :class:`Program`; ``calculus`` turns its requests into :class:`Entry` records, free of derivatives;
everything below works on entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal as OneOf

from bracketc.errors import Source, Span
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
    derivations that requests ``as derived`` ask for.
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
    """

    name: str
    arguments: tuple[Tensor, ...]
    extras: tuple[Tensor, ...]
    results: tuple[tuple[str, Node], ...]
    request: Request | None = None
    candidates: tuple[Candidate, ...] = ()

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> Entry:
        """The entry with other ways to compute it, the first of which people read."""
        names = (name for name, _ in self.results)
        return replace(self, results=tuple(zip(names, candidates[0].nodes, strict=True)), candidates=candidates)
