"""Index brackets: from ``( body | labels )``, definitions by index and explicit sums to tensors.

Names of tensors are looked up, indices are read, labels get their sizes here; what is summed where is the matter of
:mod:`bracketc.lang.labelled`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Literal, Node, Range
from bracketc.lang import syntax, words
from bracketc.lang.builtins import ARITY, elementwise_node
from bracketc.lang.entries import integer, label_names
from bracketc.lang.functions import apply_scalar
from bracketc.lang.indexing import is_family_range, members, one_range
from bracketc.lang.integers import as_real
from bracketc.lang.labelled import Apply, Group, Leaf, Part, Product, Ranged, Reduced, Rule, Terms, union
from bracketc.lang.labels import Labels
from bracketc.lang.leaves import Leaves, is_variable
from bracketc.lang.scope import Scope
from bracketc.lang.steps import open_range
from bracketc.lang.values import FunctionValue, Quantity, Value, closed, kind_of


def bracket(
    body: syntax.Expr,
    result: Sequence[syntax.Label],
    scope: Scope,
    side: str = "right of the bar",
    given: dict[str, tuple[Dim, Dim, Span]] | None = None,
) -> Value:
    """``( body | result )``; ``given`` are ranges of labels."""
    problems = scope.run.problems
    names: dict[str, Span] = {}
    for label in result:
        if label.text in names:
            problems.error(
                f"label {label.text} stands twice {side}",
                label.span,
                "a diagonal is placed by a delta: (a_i δ_ij | ij)",
            )
        if is_variable(label.text, scope):
            problems.error(
                f"{label.text} is the variable of a range here, and no label", label.span, "choose another letter"
            )
        names[label.text] = label.span
    reader = _Reader(scope, Labels(scope.run, given))
    part = reader.part(body)
    reader.labels.settle(names.items(), side)
    rule = Rule(reader.labels.size, problems)
    return closed(rule.evaluate(part, tuple(names)))


def reduction(expr: syntax.Reduction, scope: Scope) -> Value:
    """``sum[i,j](…)`` outside a bracket: a bracket of its own."""
    reader = _Reader(scope, Labels(scope.run))
    part = reader._reduction(expr)
    reader.labels.settle((), "")
    if expr.operation == "softmax":
        bound = expr.binders[0].name.text
        scope.run.problems.error(
            f"softmax[{bound}](…) keeps label {bound}",
            expr.span,
            f"write an index bracket: (softmax[{bound}](…) | {bound})",
        )
    return closed(Rule(reader.labels.size, scope.run.problems).evaluate(part, ()))


def has_labels(expr: syntax.Entry | syntax.Comparison, scope: Scope) -> bool:
    """Whether a bracket around ``expr`` would see a label in it."""
    return bool(_Reader(scope, Labels(scope.run)).free(expr))


class _Reader:
    """Makes the parts of one bracket."""

    __slots__ = ("_free", "_numbers", "labels", "problems", "scope")

    def __init__(self, scope: Scope, labels: Labels) -> None:
        self.scope = scope
        self.labels = labels
        self.problems = scope.run.problems
        self._free: dict[int, tuple[str, ...]] = {}
        self._numbers = False  # whether bare labels are numbers here

    # -------------------------------------------------------------------------------- which labels occur
    def free(self, expr: syntax.Node, numbers: bool = False) -> tuple[str, ...]:
        """Labels of ``expr`` that a bracket around it sees; ``numbers``: bare labels count, as in a condition."""
        numbers = numbers or self._numbers
        key = -id(expr) if numbers else id(expr)
        found = self._free.get(key)
        if found is None:
            found = self._free[key] = tuple(dict.fromkeys(self._find(expr, numbers)))
        return found

    def _find(self, expr: syntax.Node, numbers: bool) -> list[str]:
        if isinstance(expr, syntax.Labelled):
            return [label.text for label in expr.labels] + list(self.free(expr.operand))
        if isinstance(expr, syntax.Delta):
            return [label.text for label in expr.labels]
        if isinstance(expr, syntax.Index):
            found = list(self.free(expr.operand))
            for entry in expr.entries:
                found += label_names(entry, self.scope)
            return found
        if isinstance(expr, syntax.OneHot):
            return [name for entry in expr.entries for name in label_names(entry, self.scope)]
        if isinstance(
            expr, syntax.IndexBracket | syntax.Derivative | syntax.Differential | syntax.Number | syntax.Ones
        ):
            return []
        if isinstance(expr, syntax.Name):
            return [expr.text] if numbers and not self.scope.has(expr.text) else []
        if isinstance(expr, syntax.Reduction):
            bound = {b.name.text for b in expr.binders}
            if any(b.first is not None for b in expr.binders):
                inner = self.scope.inner({name: Quantity(Dim.of(1)) for name in bound})
                return list(_Reader(inner, self.labels).free(expr.body))
            if expr.operation == "softmax":
                bound = set()
            return [name for name in self.free(expr.body) if name not in bound]
        if isinstance(expr, syntax.Comparison):
            return [*self.free(expr.left, True), *self.free(expr.right, True)]
        if isinstance(expr, syntax.Call):
            return [name for argument in expr.arguments for name in self.free(argument, numbers)]
        return [name for child in syntax.children(expr) for name in self.free(child, numbers)]

    # -------------------------------------------------------------------------------- parts
    def part(self, expr: syntax.Expr) -> Part:
        """``expr`` as a labelled part."""
        if not self.free(expr):
            return self._scalar(expr)
        rule = _RULES.get(type(expr))
        if rule is None:
            self.problems.error(
                f"labels inside {_what(expr)}",
                expr.span,
                "close it first and give labels to the result: (X @ W)_ik",
            )
        return rule(self, expr)

    def _scalar(self, expr: syntax.Expr) -> Part:
        value = self.scope.run.evaluate(expr, self.scope)
        if value.rank:
            letters = "ijklmn"[: value.rank] if value.rank <= 6 else "…"
            text = expr.span.text
            simple = isinstance(expr, syntax.Name | syntax.Call | syntax.Paren | syntax.Index)
            self.problems.error(
                f"{text} is {kind_of(value.rank)} and has no labels here",
                expr.span,
                f"write {text if simple else f'({text})'}_{letters}",
            )
        return Leaf(lambda: value.node, (), expr.span)

    def _labelled(self, expr: syntax.Labelled) -> Part:
        if self.free(expr.operand) and not isinstance(expr.operand, syntax.OneHot):
            self.problems.error(
                "labels behind an operand that has labels", expr.span, "close the inner part: ((… | ij))_ij"
            )
        return Leaves(self.scope, self.labels).labelled(expr)

    def _delta(self, expr: syntax.Delta) -> Part:
        return Leaves(self.scope, self.labels).delta(expr)

    def _index(self, expr: syntax.Index) -> Part:
        if self.free(expr.operand):
            self.problems.error("an index on an operand that has labels", expr.span, "index the tensor itself: A[i,j]")
        leaf = Leaves(self.scope, self.labels).index(expr)
        return Leaf(lambda: as_real(leaf.node()), leaf.carried, expr.span)

    def _group(self, expr: syntax.Paren | syntax.Brace) -> Part:
        body = self.part(expr.body)
        return Group(body, body.labels, expr.span)

    def _terms(self, expr: syntax.Sum) -> Part:
        parts = self.problems.each(expr.operands, self.part)
        signs = (expr.negated, *(op in "-⊖" for op in expr.operators))
        return Terms(tuple(zip(signs, parts, strict=True)), union(parts), expr.span)

    def _product(self, expr: syntax.Expr) -> Part:
        factors = self.problems.each(_factors(expr, self.problems.error), lambda f: (self.part(f[0]), f[1]))
        flat: list[tuple[Part, bool]] = []
        for part, divides in factors:
            if isinstance(part, Product) and not divides:
                flat += part.factors
            else:
                flat.append((part, divides))
        return Product(tuple(flat), union([part for part, _ in flat]), expr.span)

    def _power(self, expr: syntax.Power) -> Part:
        if self.free(expr.exponent):
            self.problems.error("labels in an exponent", expr.exponent.span, "write pow(x_i, p_i)")
        base = self.part(expr.base)
        value = self.scope.run.evaluate(expr.exponent, self.scope)
        if value.rank:
            self.problems.error(f"an exponent is a scalar, found {kind_of(value.rank)}", expr.exponent.span)
        sign = -1 if expr.negated else 1
        if isinstance(value.node, Literal):
            exponent = sign * value.node.value

            def function(args: Sequence[Node]) -> Node:
                return build.power(args[0], exponent)

        else:

            def function(args: Sequence[Node]) -> Node:
                return build.pointwise("pow", args[0], build.scale(sign, value.node))

        return Apply("the power", function, (base,), base.labels, expr.span, isinstance(base, Leaf))

    def _call(self, expr: syntax.Call) -> Part:
        name = expr.function.text
        if expr.positions is not None:
            self.problems.error(
                f"labels inside the argument of {name}^…",
                expr.span,
                f"map the whole tensor and label the result: {name}^1(A)_ij",
            )
        found = self.scope.find(expr.function.base)
        if isinstance(found, FunctionValue) or expr.function.primes:
            function = partial(self._user, self.scope, expr)
            if isinstance(found, FunctionValue) and not found.scalar:
                self._no_labels(expr)
            if not isinstance(found, FunctionValue) and expr.function.base not in words.ELEMENTWISE:
                self._no_labels(expr)
        elif name in words.ELEMENTWISE and len(expr.arguments) == ARITY.get(name, 1):
            function = partial(elementwise_node, name)
        elif name in words.FUNCTIONS:
            self._no_labels(expr)
        else:
            if found is not None:
                self.problems.error(f"{name} is no function", expr.span, f"a product needs a space: {name} (…)")
            self.scope.unknown(name, expr.function.span, call=True)
        arguments = self.problems.each(expr.arguments, self.part)
        return Apply(name, function, tuple(arguments), union(arguments), expr.span)

    def _stop(self, expr: syntax.Stop) -> Part:
        argument = self.part(expr.operand)
        return Apply("stop", partial(elementwise_node, "stop"), (argument,), union([argument]), expr.span)

    def _user(self, scope: Scope, expr: syntax.Call, nodes: Sequence[Node]) -> Node:
        values = [(closed(node), argument.span) for node, argument in zip(nodes, expr.arguments, strict=True)]
        return apply_scalar(expr.function, values, scope, expr.span).node

    def _no_labels(self, expr: syntax.Call) -> None:
        name = expr.function.text
        if name in words.REDUCTIONS:
            labels = ",".join(self.free(expr)[:1])
            help = f"write {name}[{labels}](…), or label the result: {name}^1(A)_ij"
        else:
            help = f"label the result: {name}(A)_ij"
        self.problems.error(f"labels inside the argument of {name}, which is no element-wise function", expr.span, help)

    def _where(self, expr: syntax.Where) -> Part:
        condition = expr.condition
        sides = self.problems.each((condition.left, condition.right), self._side)

        def compare(nodes: Sequence[Node]) -> Node:
            return build.compare(condition.operator, nodes[0], nodes[1])

        def choose(nodes: Sequence[Node]) -> Node:
            return build.select(nodes[0], nodes[1], nodes[2])

        test = Apply("the condition", compare, tuple(sides), union(sides), condition.span)
        branches = self.problems.each((expr.chosen, expr.otherwise), self.part)
        parts = (test, *branches)
        return Apply("where", choose, parts, union(parts), expr.span)

    def _side(self, expr: syntax.Expr) -> Part:
        """A side of a condition, in which bare labels are numbers."""
        before, self._numbers = self._numbers, True
        try:
            return self.part(expr)
        finally:
            self._numbers = before

    def _bare(self, expr: syntax.Name) -> Part:
        self.labels.use(expr.text, expr.span)
        return self._number(expr.text, expr.span)

    def _number(self, label: str, span: Span) -> Leaf:
        def node() -> Node:
            counted: Node = Range(self.labels.size(label))
            shift = self.labels.shift(label)
            if shift.constant != 0:
                counted = build.add([counted, build.broadcast(build.size(shift), counted.shape, ())])
            return counted

        return Leaf(node, (label,), span)

    def _reduction(self, expr: syntax.Reduction) -> Part:
        expr = one_range(expr)
        if expr.binders[0].first is not None:
            return self._ranged(expr)
        bound = tuple(binder.name.text for binder in expr.binders)
        inside = self.free(expr.body)
        for binder in expr.binders:
            if binder.name.text not in inside:
                self.problems.error(
                    f"label {binder.name.text} of {expr.operation}[…] does not occur in it",
                    binder.span,
                    "it would have no size",
                )
        body = self.part(expr.body)
        kept = body.labels if expr.operation == "softmax" else {l: None for l in body.labels if l not in bound}
        return Reduced(expr.operation, bound, body, kept, expr.span)

    def _ranged(self, expr: syntax.Reduction) -> Part:
        (binder,) = expr.binders
        assert binder.first is not None and binder.last is not None
        if is_family_range(expr, self.scope):
            first, last = integer(binder.first, self.scope), integer(binder.last, self.scope)
            assert first is not None and last is not None
            if expr.operation not in ("sum", "mean"):
                self.problems.unsupported(f"{expr.operation} over the members of a family inside a bracket", expr.span)
            parts = [self._at(binder.name.text, number, expr.body) for number in members(first, last)]
            total = Terms(tuple((False, part) for part in parts), union(parts), expr.span)
            if expr.operation == "sum":
                return Group(total, total.labels, expr.span)
            share = Leaf(lambda: build.literal(Fraction(1, len(parts))), (), expr.span)
            factors = ((share, False), (Group(total, total.labels, expr.span), False))
            return Product(factors, total.labels, expr.span)
        step = open_range(binder.first, binder.last, self.scope)
        scope, self.scope = self.scope, self.scope.inner({binder.name.text: Quantity(step.variable)}, step)
        free, self._free = self._free, {}
        try:
            body = self.part(expr.body)
        finally:
            self.scope, self._free = scope, free
        return Ranged(expr.operation, step, body, body.labels, expr.span)

    def _at(self, name: str, number: int, body: syntax.Expr) -> Part:
        scope, self.scope = self.scope, self.scope.inner({name: Quantity(Dim.of(number))})
        free, self._free = self._free, {}
        try:
            return self.part(body)
        finally:
            self.scope, self._free = scope, free


def _factors(expr: syntax.Expr, error: Callable[..., object]) -> list[tuple[syntax.Expr, bool]]:
    if isinstance(expr, syntax.FormalProduct):
        return [(factor, False) for factor in expr.factors]
    assert isinstance(expr, syntax.Elementwise)
    result = [(expr.operands[0], False)]
    for operator, operand in zip(expr.operators, expr.operands[1:], strict=True):
        if not operator.plain:
            error(
                f"{operator.span.text} between labelled factors",
                operator.span,
                "the labels say what is fused and summed: write a space",
            )
        result.append((operand, operator.symbol == "⊘"))
    return result


def _what(expr: syntax.Expr) -> str:
    names: dict[type, str] = {
        syntax.MatrixProduct: "@",
        syntax.Dot: "·",
        syntax.Kronecker: "⊗",
        syntax.Fusion: "[ ]",
        syntax.Portion: "a portion",
        syntax.Transpose: "^T",
        syntax.Bar: "a bar",
        syntax.System: "a system of terms",
    }
    return names.get(type(expr), "this expression")


_RULES: dict[type, Callable[[_Reader, syntax.Expr], Part]] = {
    syntax.Name: _Reader._bare,  # type: ignore[dict-item]
    syntax.Labelled: _Reader._labelled,  # type: ignore[dict-item]
    syntax.Delta: _Reader._delta,  # type: ignore[dict-item]
    syntax.Index: _Reader._index,  # type: ignore[dict-item]
    syntax.Paren: _Reader._group,  # type: ignore[dict-item]
    syntax.Brace: _Reader._group,  # type: ignore[dict-item]
    syntax.Sum: _Reader._terms,  # type: ignore[dict-item]
    syntax.FormalProduct: _Reader._product,
    syntax.Elementwise: _Reader._product,
    syntax.Power: _Reader._power,  # type: ignore[dict-item]
    syntax.Call: _Reader._call,  # type: ignore[dict-item]
    syntax.Stop: _Reader._stop,  # type: ignore[dict-item]
    syntax.Where: _Reader._where,  # type: ignore[dict-item]
    syntax.Reduction: _Reader._reduction,  # type: ignore[dict-item]
}
