"""The body of an index bracket as a tree of labelled parts, and the rule that says where a label is summed.

Every term of a sum stands for itself.  In a product a label outside the result is summed over the whole of it, or, when
all its occurrences lie in one parenthesis or argument, in there.  Inside a function, a divisor or a compound base a sum
begins by itself only where the label stands in two factors of a product and another label remains; every
other sum is written, because people read it both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node, Shape
from bracketc.ir.work import multiplied
from bracketc.lang.builtins import reduce_axes, softmax_axes
from bracketc.lang.problems import Problems
from bracketc.lang.ranges import reduced
from bracketc.lang.steps import Step

LabelSet: TypeAlias = dict[str, None]
"""Labels in the order of their first appearance."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A tensor with its labels; repeated ones take a diagonal.  ``node`` is made when all sizes are known."""

    node: Callable[[], Node]
    carried: tuple[str, ...]
    span: Span

    @property
    def labels(self) -> LabelSet:
        return dict.fromkeys(self.carried)


@dataclass(frozen=True, slots=True)
class Terms:
    """A sum; each part with whether it is subtracted."""

    parts: tuple[tuple[bool, Part], ...]
    labels: LabelSet
    span: Span


@dataclass(frozen=True, slots=True)
class Product:
    """A product and quotient; each factor with whether it divides."""

    factors: tuple[tuple[Part, bool], ...]
    labels: LabelSet
    span: Span


@dataclass(frozen=True, slots=True)
class Group:
    """A parenthesis."""

    body: Part
    labels: LabelSet
    span: Span


@dataclass(frozen=True, slots=True)
class Apply:
    """An element-wise function ``name`` (a power and a condition, too) of labelled arguments.

    ``plain`` is a power of one labelled tensor: a factor like any other, ``(x_i**2 | )`` is Σ x_i².
    """

    name: str
    function: Callable[[Sequence[Node]], Node]
    arguments: tuple[Part, ...]
    labels: LabelSet
    span: Span
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Reduced:
    """``sum[i,j](…)`` and the like."""

    operation: str
    bound: tuple[str, ...]
    body: Part
    labels: LabelSet
    span: Span


@dataclass(frozen=True, slots=True)
class Ranged:
    """``sum[t=1..T](…)``: the body stands for one step of the range."""

    operation: str
    step: Step
    body: Part
    labels: LabelSet
    span: Span


Part: TypeAlias = Leaf | Terms | Product | Group | Apply | Reduced | Ranged


@dataclass(frozen=True, slots=True)
class Spread:
    """A tensor with one label an axis, all different."""

    node: Node
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Inside:
    """What surrounds a part: a function, divisor or power ``name``.

    ``bare`` when no label of the result remains in it.
    """

    name: str
    bare: bool


def union(parts: Sequence[Part]) -> LabelSet:
    labels: LabelSet = {}
    for part in parts:
        labels.update(part.labels)
    return labels


class Rule:
    """Evaluation of one bracket: the sizes of its labels, and where mistakes go."""

    __slots__ = ("problems", "size")

    def __init__(self, size: Callable[[str], Dim], problems: Problems) -> None:
        self.size = size
        self.problems = problems

    def evaluate(self, part: Part, result: Sequence[str]) -> Node:
        """The tensor of ``part`` with the axes ``result``, every other label summed."""
        spread = self._value(part, dict.fromkeys(result), None)
        return self._align(spread, tuple(result))

    # ------------------------------------------------------------------------------------------ the rule
    def _value(self, part: Part, keep: LabelSet, inside: _Inside | None) -> Spread:
        if isinstance(part, Terms):
            return self._terms(part, keep, inside)
        factors = part.factors if isinstance(part, Product) else ((part, False),)
        summed = self._summed(factors, keep, inside)
        kept = {**keep, **summed} if summed else keep
        multiplied(len(factors))
        values = self.problems.each(factors, lambda factor: self._factor(factor, kept, inside))
        labels: LabelSet = {}
        for value in values:
            labels.update(dict.fromkeys(value.labels))
        out = tuple(label for label in labels if label not in summed)
        if len(values) == 1 and values[0].labels == out:
            return values[0]
        extents: dict[Hashable, Dim] = {label: self.size(label) for label in labels}
        return Spread(build.einsum(1, [(v.node, v.labels) for v in values], out, extents), out)

    def _terms(self, part: Terms, keep: LabelSet, inside: _Inside | None) -> Spread:
        values = self.problems.each(part.parts, lambda entry: self._value(entry[1], keep, inside))
        labels: LabelSet = {}
        for value in values:
            labels.update(dict.fromkeys(value.labels))
        out = tuple(labels)
        nodes = [self._align(value, out) for value in values]
        signed = [build.scale(-1, n) if minus else n for n, (minus, _) in zip(nodes, part.parts, strict=True)]
        return Spread(build.add(signed), out)

    def _summed(self, factors: Sequence[tuple[Part, bool]], keep: LabelSet, inside: _Inside | None) -> LabelSet:
        """The labels that are summed over this product."""
        holders: dict[str, list[tuple[Part, bool]]] = {}
        for factor in factors:
            for label in factor[0].labels:
                if label not in keep:
                    holders.setdefault(label, []).append(factor)
        summed: LabelSet = {}
        for label, at in holders.items():
            if len(at) == 1 and _compound(*at[0]):
                continue
            if len(at) > 1:
                for part, divides in at:
                    if (divides or isinstance(part, Apply)) and _twice(part, label):
                        self.problems.error(
                            f"label {label} is summed over a product, and again over one inside "
                            f"{_title(part, divides)}",
                            part.span,
                            f"give the inner sum a label of its own, or write sum[{label}](…)",
                        )
            if inside is not None:
                once = sum(_count(part, label) for part, _ in at) == 1
                if inside.bare or once:
                    self._two_readings(label, inside, at[0][0].span)
            if inside is None and len(at) == 1 and _count(at[0][0], label) == 1 and not isinstance(at[0][0], Apply):
                self.problems.note(
                    f"label {label} occurs once in {_short(at[0][0].span.text)} and is summed",
                    at[0][0].span,
                    f"write sum[{label}](…) where that is meant",
                )
            summed[label] = None
        return summed

    def _two_readings(self, label: str, inside: _Inside, span: Span) -> None:
        self.problems.error(
            f"the sum over label {label} has two readings: inside {inside.name} or outside",
            span,
            f"write sum[{label}](…) inside {inside.name}, or sum[{label}](…) around the whole term",
        )

    def _factor(self, factor: tuple[Part, bool], keep: LabelSet, inside: _Inside | None) -> Spread:
        part, divides = factor
        if not divides:
            return self._atom(part, keep, inside)
        if not part.labels:
            value = self._atom(part, keep, inside)
        else:
            value = self._value(part, keep, _Inside("the divisor", not any(l in keep for l in part.labels)))
        return Spread(build.reciprocal(value.node), value.labels)

    def _atom(self, part: Part, keep: LabelSet, inside: _Inside | None) -> Spread:
        if isinstance(part, Leaf):
            return self._leaf(part)
        if isinstance(part, Group):
            return self._value(part.body, keep, inside)
        if isinstance(part, Apply):
            return self._apply(part, keep)
        if isinstance(part, Reduced):
            return self._reduced(part, keep, inside)
        if isinstance(part, Ranged):
            return self._ranged(part, keep, inside)
        return self._value(part, keep, inside)

    def _leaf(self, part: Leaf) -> Spread:
        distinct = tuple(dict.fromkeys(part.carried))
        node = part.node()
        if distinct == part.carried:
            return Spread(node, distinct)
        return Spread(build.einsum(1, [(node, part.carried)], distinct), distinct)

    def _apply(self, part: Apply, keep: LabelSet) -> Spread:
        shared: dict[str, int] = {}
        for argument in part.arguments:
            for label in argument.labels:
                if label not in keep:
                    shared[label] = shared.get(label, 0) + 1
        for label, count in shared.items():
            if count > 1:
                self.problems.error(
                    f"label {label} is shared by two arguments of {part.name}, so its sum has two readings",
                    part.span,
                    f"write sum[{label}](…) around {part.name}, or inside each argument",
                )
        inside = _Inside(part.name, not any(label in keep for label in part.labels))
        values = self.problems.each(part.arguments, lambda argument: self._value(argument, keep, inside))
        labels: LabelSet = {}
        for value in values:
            labels.update(dict.fromkeys(value.labels))
        out = tuple(labels)
        return Spread(part.function([self._align(value, out) for value in values]), out)

    def _reduced(self, part: Reduced, keep: LabelSet, inside: _Inside | None) -> Spread:
        if part.operation not in ("sum", "mean"):
            inside = _Inside(f"{part.operation}[{','.join(part.bound)}]", False)
        value = self._value(part.body, {**keep, **dict.fromkeys(part.bound)}, inside)
        axes = tuple(sorted(value.labels.index(label) for label in part.bound))
        if part.operation == "softmax":
            return Spread(softmax_axes(value.node, axes), value.labels)
        rest = tuple(label for label in value.labels if label not in part.bound)
        return Spread(reduce_axes(part.operation, value.node, axes), rest)

    def _ranged(self, part: Ranged, keep: LabelSet, inside: _Inside | None) -> Spread:
        if part.operation not in ("sum", "mean"):
            inside = _Inside(part.operation, False)
        value = self._value(part.body, keep, inside)
        return Spread(reduced(part.operation, part.step, value.node), value.labels)

    def _align(self, value: Spread, labels: tuple[str, ...]) -> Node:
        """The tensor with the axes ``labels``, constant along those that it lacks."""
        if value.labels == labels:
            return value.node
        if value.node.dtype == "boolean":
            return _align_boolean(value, labels, tuple(self.size(label) for label in labels))
        return build.einsum(1, [(value.node, value.labels)], labels, {label: self.size(label) for label in labels})


def _align_boolean(value: Spread, labels: tuple[str, ...], shape: Shape) -> Node:
    spread = build.einsum(1, [(value.node, value.labels)], labels, dict(zip(labels, shape, strict=True)))
    return build.compare("!=", spread, build.zeros(shape))


def _compound(part: Part, divides: bool) -> bool:
    """Whether a label that occurs only in this factor is summed inside it."""
    if divides:
        return True
    return isinstance(part, Group | Reduced | Ranged) or (isinstance(part, Apply) and not part.plain)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _title(part: Part, divides: bool) -> str:
    if divides:
        return "the divisor"
    return part.name if isinstance(part, Apply) else "a parenthesis"


def _below(part: Part) -> tuple[Part, ...]:
    if isinstance(part, Terms):
        return tuple(term for _, term in part.parts)
    if isinstance(part, Product):
        return tuple(factor for factor, _ in part.factors)
    if isinstance(part, Group | Reduced | Ranged):
        return (part.body,)
    if isinstance(part, Apply):
        return part.arguments
    return ()


def _twice(part: Part, label: str) -> bool:
    """Whether ``label`` stands in two factors of a product inside ``part``."""
    pending: list[Part] = [part]
    while pending:
        node = pending.pop()
        if isinstance(node, Product) and sum(label in factor.labels for factor, _ in node.factors) > 1:
            return True
        pending.extend(_below(node))
    return False


def _count(part: Part, label: str) -> int:
    """Occurrences of ``label`` that an enclosing product sees."""
    total = 0
    pending: list[Part] = [part]
    while pending:
        node = pending.pop()
        if isinstance(node, Leaf):
            total += node.carried.count(label)
        elif label in node.labels:
            pending.extend(_below(node))
    return total
