"""The members of a chain as tensors, two at a time: both at once for every number of a range, of one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node
from bracketc.ir.rewrite import Roots
from bracketc.ir.sizes import substitute_dims
from bracketc.lang import syntax
from bracketc.lang.general import General, Use, general
from bracketc.lang.opening import deep_stack, dims_of
from bracketc.lang.problems import Abort, Problems
from bracketc.lang.scope import Elaboration, Scope
from bracketc.lang.sizes import is_unknown
from bracketc.lang.steps import Step
from bracketc.lang.values import Binding, Quantity, Value, kind_of
from bracketc.lang.variation import Variation


@dataclass(frozen=True, slots=True)
class Side:
    """A member of a chain that has been read; with ``uses`` of a number of a range it has no value by itself."""

    value: Value | None
    expr: syntax.Expr
    span: Span
    scope: Scope
    uses: Mapping[str, list[Use]]


Pairs = Sequence[tuple[int | None, Node, Node]]
"""Both sides for each member of a family, with its number; one pair with no number otherwise."""


class Pairing:
    """Two sides and how they are read together, so that expressions can be read in their places again."""

    __slots__ = ("general", "left", "right", "run", "variation")

    def __init__(self, run: Elaboration, variation: Variation, left: Side, right: Side) -> None:
        self.run = run
        self.variation = variation
        self.left = left
        self.right = right
        self.general: General | None = None

    def read(self) -> Pairs | None:
        """Both sides; None when they have no values that could be compared, with the reason recorded."""
        if not (self.left.uses or self.right.uses):
            nodes = _matched(self.left, self.right, self.run)
            return None if nodes is None else [(None, *nodes)]
        merged: dict[str, list[Use]] = {}
        for side in (self.left, self.right):
            for name, places in side.uses.items():
                merged.setdefault(name, []).extend(places)
        try:
            self.general = general(merged, self.right.span, self.right.scope)
            assert self.general is not None
            return [self._at(number) for number in self.general.numbers or (None,)]
        except Abort:
            return None

    def _at(self, number: int | None) -> tuple[int | None, Node, Node]:
        """Both sides at a number, or at every step of a range, along a new first axis."""
        bound, step = self.bound(number)
        first, second = (replace(s, value=self._value(s.expr, s, bound, step)) for s in (self.left, self.right))
        nodes = _matched(first, second, self.run)
        if nodes is None:
            raise Abort
        return number, *(nodes if step is None else (step.close(nodes[0]), step.close(nodes[1])))

    def bound(self, number: int | None) -> tuple[Mapping[str, Binding], Step | None]:
        """What the general number is: a member's, or that of an open range."""
        if self.general is None:
            return {}, None
        if number is not None:
            return {self.general.name: Quantity(Dim.of(number))}, None
        step = Step(self.run, self.general.first, self.general.last)
        return {self.general.name: Quantity(step.variable)}, step

    def _value(self, expr: syntax.Expr, side: Side, bound: Mapping[str, Binding], step: Step | None) -> Value:
        return self.run.evaluate(expr, self.variation.opened(expr, side.scope, bound, step) if bound else side.scope)

    def again(self, expr: syntax.Expr, right: bool, number: int | None = None) -> Node | None:
        """Another expression read in the place of a side; None when it cannot be, or has a size that nothing determines."""
        run = self.run
        problems, run.problems = run.problems, Problems()
        varied, run.variation = run.variation, self.variation
        try:
            with deep_stack():
                bound, step = self.bound(number)
                node = self._value(expr, self.right if right else self.left, bound, step).node
                node = node if step is None else step.close(node)
            (node,) = substitute_dims(Roots((node,)), run.sizes.solution())[0].nodes
            return None if any(is_unknown(name) for dim in dims_of([node]) for name in dim.names) else node
        except Abort:
            return None
        finally:
            run.problems, run.variation = problems, varied


def side(member: syntax.Member, run: Elaboration, variation: Variation) -> Side:
    """A member read with the names of its line."""
    scope = variation.scope
    value: Value | None = None
    found: Mapping[str, list[Use]] = {}
    try:
        found = variation.uses(member.value, scope)
        if not found:
            value = run.evaluate(member.value, scope)
    except Abort:
        value = None
    return Side(value, member.value, member.span, scope, found)


def _matched(left: Side, right: Side, run: Elaboration) -> tuple[Node, Node] | None:
    """Both sides, of one shape; a bare 0 fits any."""
    if left.value is None or right.value is None:
        return None
    first, second = left.value, right.value
    if _is_bare_zero(left.expr) and second.rank:
        return build.zeros(second.node.shape), second.node
    if _is_bare_zero(right.expr) and first.rank:
        return first.node, build.zeros(first.node.shape)
    if first.rank != second.rank:
        run.problems.record(
            f"the sides have different ranks: left is {_shape(first, run)}, right is {_shape(second, run)}",
            right.span,
            "",
            [(f"left, {_shape(first, run)}", left.span)],
        )
        return None
    for axis, (one, other) in enumerate(zip(first.node.shape, second.node.shape, strict=True), 1):
        if not run.sizes.unify(one, other):
            sizes = [run.sizes.resolve(size) for size in (one, other)]
            run.problems.record(
                f"the sides have different shapes: dimension {axis} is {sizes[0]} left and {sizes[1]} right",
                right.span,
                "transpose one side, or give the sizes one name if they are always equal",
                [(f"left, {_shape(first, run)}", left.span)],
            )
            return None
    return first.node, second.node


def _is_bare_zero(expr: syntax.Expr) -> bool:
    return isinstance(expr, syntax.Number) and expr.value == 0


def _shape(value: Value, run: Elaboration) -> str:
    """``a matrix (N, D)``."""
    kind = "a row" if value.is_row else kind_of(value.rank)
    sizes = ", ".join(str(run.sizes.resolve(extent)) for extent in value.node.shape)
    return f"{kind} ({sizes})" if value.rank else kind
