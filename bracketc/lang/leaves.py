"""The tensors of an index bracket with their labels: ``A_ij``, ``X[s, u+v-1, 2]``, ``E[c[b], d]``, ``δ_ij``.

A leaf is read before the sizes of the labels are known, and makes its node when they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Gather, Node
from bracketc.lang import syntax
from bracketc.lang.entries import dimension, label_names
from bracketc.lang.indexing import integer_tensor, select, stepped
from bracketc.lang.integers import arranged
from bracketc.lang.labelled import Leaf, Part, Product, union
from bracketc.lang.labels import MARK, Labels
from bracketc.lang.scope import Scope
from bracketc.lang.steps import take
from bracketc.lang.values import Quantity, Value, kind_of


def is_variable(name: str, scope: Scope) -> bool:
    """Whether ``name`` is the variable of an open range, and so a number."""
    found = scope.find(name)
    return isinstance(found, Quantity) and any(part.startswith("%") for part in found.dim.names)


class Leaves:
    """Reads the leaves of one bracket in one scope."""

    __slots__ = ("labels", "problems", "scope")

    def __init__(self, scope: Scope, labels: Labels) -> None:
        self.scope = scope
        self.labels = labels
        self.problems = scope.run.problems

    def labelled(self, expr: syntax.Labelled) -> Part:
        if isinstance(expr.operand, syntax.OneHot):
            return self._one_hot(expr, expr.operand)
        value = self.scope.run.evaluate(expr.operand, self.scope)
        if value.rank != len(expr.labels):
            text = expr.operand.span.text
            count = len(expr.labels)
            self.problems.error(
                f"{count} label{'s' if count != 1 else ''} for {text}, which is {kind_of(value.rank)}",
                expr.span,
                f"one label for each dimension; a long label needs braces: {text}_{{i1,j}}"
                if count > value.rank
                else "",
            )
        for label, extent in zip(expr.labels, value.node.shape, strict=True):
            self._letter(label)
            self.labels.carry(label.text, extent, expr.span)
        return Leaf(lambda: value.node, tuple(label.text for label in expr.labels), expr.span)

    def _letter(self, label: syntax.Label) -> None:
        if is_variable(label.text, self.scope):
            self.problems.error(
                f"{label.text} is the variable of a range here, and no label",
                label.span,
                f"an index in square brackets takes the number: A[{label.text},j]",
            )

    def delta(self, expr: syntax.Delta) -> Part:
        if len(expr.labels) < 2:
            self.problems.error("δ needs two labels or more", expr.span, "write δ_ij")
        names = [label.text for label in expr.labels]
        for label in expr.labels:
            self._letter(label)
        size = self.scope.run.sizes.unknown("δ", expr.span)
        for name in names:
            self.labels.carry(name, size, expr.span)
        factors: list[tuple[Part, bool]] = []
        for left, right in pairwise(names):
            factors.append((Leaf(lambda: build.delta(self.labels.size(names[0])), (left, right), expr.span), False))
        if len(factors) == 1:
            return factors[0][0]
        return Product(tuple(factors), dict.fromkeys(names), expr.span)

    def _one_hot(self, expr: syntax.Labelled, operand: syntax.OneHot) -> Part:
        """``e⟨i,j⟩_kl`` is ``δ_ik δ_jl``."""
        if len(operand.entries) != len(expr.labels):
            self.problems.error(
                f"{len(expr.labels)} labels for a one-hot tensor of rank {len(operand.entries)}", expr.span
            )
        factors: list[tuple[Part, bool]] = []
        for entry, label in zip(operand.entries, expr.labels, strict=True):
            self._letter(label)
            size = self.scope.run.sizes.unknown("e⟨…⟩", expr.span)
            self.labels.carry(label.text, size, expr.span)
            if isinstance(entry, syntax.Name) and not self.scope.has(entry.text):
                self.labels.carry(entry.text, size, entry.span)
                node = partial(self._delta_node, label.text)
                factors.append((Leaf(node, (entry.text, label.text), expr.span), False))
            else:
                position = dimension(entry, self.scope) - 1
                factors.append((Leaf(partial(self._unit, position, label.text), (label.text,), expr.span), False))
        return Product(tuple(factors), union([part for part, _ in factors]), expr.span)

    def _delta_node(self, label: str) -> Node:
        return build.delta(self.labels.size(label))

    def _unit(self, position: Dim, label: str) -> Node:
        return build.overlap(build.literal(1), 0, position, (), self.labels.size(label))

    def index(self, expr: syntax.Index) -> Leaf:
        """``X[s, u+v-1, 2]``: numbers are taken at once, labels stay."""
        value, entries = stepped(expr, self.scope)
        if len(entries) != value.rank:
            self.problems.error(
                f"{len(entries)} ind{'ices' if len(entries) != 1 else 'ex'} for {expr.operand.span.text}, "
                f"which is {kind_of(value.rank)}",
                expr.span,
                "beside labels every dimension needs an entry",
            )
        for entry in entries:
            if isinstance(entry, syntax.All | syntax.Slice):
                self.problems.error(
                    f"{entry.span.text} beside labels",
                    entry.span,
                    "give this dimension a label, or slice the tensor first",
                )
        numbers = [None if label_names(e, self.scope) else e for e in entries]
        if any(number is not None for number in numbers):
            value = select(
                value,
                [n if n is not None else syntax.All(e.span) for n, e in zip(numbers, entries, strict=True)],
                self.scope,
                expr.span,
            )
            entries = tuple(e for n, e in zip(numbers, entries, strict=True) if n is None)
        return self._move(expr, value, entries)

    def _move(self, expr: syntax.Index, value: Value, entries: Sequence[syntax.Entry]) -> Leaf:
        carried: list[str] = []
        makers: list[Callable[[Node, int], Node]] = []
        gathers: list[tuple[int, Callable[[], Node], tuple[str, ...]]] = []
        for axis, entry in enumerate(entries):
            extent = value.node.shape[axis]
            index = integer_tensor(entry, self.scope)
            if index is not None:
                if not isinstance(entry, syntax.Index):
                    self.problems.error(
                        f"{entry.span.text} has no labels here", entry.span, f"write {entry.span.text}[b]"
                    )
                inner = self.index(entry)
                gathers.append((axis, inner.node, inner.carried))
                carried += inner.carried
                makers.append(lambda node, axis: node)
                continue
            if isinstance(entry, syntax.Name) and entry.text not in self.labels.given:
                self.labels.carry(entry.text, extent, expr.span)
                carried.append(entry.text)
                makers.append(lambda node, axis: node)
                continue
            position = dimension(entry, self.scope, self._label)
            names = [name[1:] for name in position.names if name.startswith(MARK)]
            self.labels.move(position, extent, entry.span)
            carried += names
            makers.append(partial(self._window, position, tuple(names), entry.span))
        if gathers:
            return self._gather(expr, value, carried, makers, gathers)

        def node() -> Node:
            result = value.node
            for axis in range(len(makers) - 1, -1, -1):
                result = makers[axis](result, axis)
            return result

        return Leaf(node, tuple(carried), expr.span)

    def _label(self, name: syntax.Name) -> Dim:
        self.labels.use(name.text, name.span)
        return Dim.named(MARK + name.text)

    def _window(self, position: Dim, names: tuple[str, ...], span: Span, node: Node, axis: int) -> Node:
        """The positions of an index in terms of labels that count from 0."""
        steps = []
        offset = Dim.of(-1)
        for monomial, coefficient in position.terms:
            if not any(name.startswith(MARK) for name, _ in monomial):
                offset = offset + Dim([(monomial, coefficient)])
        for name in names:
            factor = [c for m, c in position.terms if m == ((MARK + name, 1),)]
            if len(factor) != 1 or sum(MARK + name in [n for n, _ in m] for m, _ in position.terms) != 1:
                sizes = [n for m, _ in position.terms if (MARK + name, 1) in m for n, _ in m if not n.startswith(MARK)]
                help = f"bind the step: dim {sizes[0]} = 2" if sizes else ""
                self.problems.error("an index is a sum of labels times fixed numbers", span, help)
            steps.append(factor[0])
            offset = offset + factor[0] * (1 + self.labels.shift(name))
        extents = tuple(self.labels.size(name) for name in names)
        resolve = self.scope.run.sizes.resolve
        if not any(name.startswith("%") for name in offset.names):
            low = offset + sum((min(s, 0) * (e - 1) for s, e in zip(steps, extents, strict=True)), Dim.of(0))
            high = offset + sum((max(s, 0) * (e - 1) for s, e in zip(steps, extents, strict=True)), Dim.of(0))
            room = (resolve(node.shape[axis]) - 1 - high).constant
            below = resolve(low).constant
            if (room is not None and room < 0) or (below is not None and below < 0):
                self.problems.error(
                    f"index {span.text} leaves 1..{resolve(node.shape[axis])}: it runs over {low + 1}..{high + 1}",
                    span,
                    "a label that occurs by itself runs over its whole dimension; give a range: for i = 1..n",
                )
        return take(node, axis, offset, tuple(steps), extents, self.scope, span)

    def _gather(
        self,
        expr: syntax.Index,
        value: Value,
        carried: list[str],
        makers: list[Callable[[Node, int], Node]],
        gathers: list[tuple[int, Callable[[], Node], tuple[str, ...]]],
    ) -> Leaf:
        def node() -> Node:
            # axes as groups of labels; a gather puts the labels of its index in front
            result = value.node
            groups: list[tuple[str, ...]] = []
            for axis in range(len(makers) - 1, -1, -1):
                before = result.rank
                result = makers[axis](result, axis)
                groups.append(tuple(f"{axis}.{k}" for k in range(result.rank - before + 1)))
            groups.reverse()
            axes = [name for group in groups for name in group]
            for axis, index, names in gathers:
                place = axes.index(f"{axis}.0")
                order = [place, *(k for k in range(len(axes)) if k != place)]
                result = Gather(self._arranged(result, order, expr.span), index())
                axes = [f"{axis}.{k}" for k in range(len(names))] + [axes[k] for k in order[1:]]
            final = [
                (axis, k)
                for axis in range(len(makers))
                for k in range(len([a for a in axes if a.startswith(f"{axis}.")]))
            ]
            return self._arranged(result, [axes.index(f"{axis}.{k}") for axis, k in final], expr.span)

        return Leaf(node, tuple(carried), expr.span)

    def _arranged(self, node: Node, order: list[int], span: Span) -> Node:
        found = arranged(node, order)
        if found is None:
            self.problems.unsupported("integers taken by integers along another dimension than the first", span)
        return found
