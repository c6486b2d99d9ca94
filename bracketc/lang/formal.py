"""Formal products: tensors and portions side by side, fusions, groups, bars, systems, ones and ``ι``.

A factor has free dimensions, each perhaps barred; the product has those of its factors from left to right, and the
barred ones are summed:

    A_1 [A_2 ~B_1] B_2   ->   (A_ij B_jk | ik)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.lang import syntax
from bracketc.lang.problems import Abort
from bracketc.lang.scope import Scope
from bracketc.lang.term import Instance, Term
from bracketc.lang.values import Value, kind_of

FORMAL = (
    syntax.FormalProduct,
    syntax.System,
    syntax.Bar,
    syntax.Fusion,
    syntax.Iota,
    syntax.Portion,
)
"""Expressions that make a formal product, also when they stand alone; and `ones` without sizes."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A free dimension of a factor; ``barred`` when it will be summed."""

    label: int
    barred: bool


Slots: TypeAlias = tuple[Slot, ...]


def product(expr: syntax.Expr, scope: Scope, whole: str = "") -> Value:
    """The value of a formal product, or of one factor of it alone, as an operand of ``whole`` if it is one."""
    term = Term(scope.run)
    slots = _factor(expr, term, scope)
    _complete(term, scope, whole)
    return _close(term, slots)


def is_formal(expr: syntax.Expr) -> bool:
    return isinstance(expr, FORMAL) or (isinstance(expr, syntax.Ones) and expr.sizes is None)


def _close(term: Term, slots: Slots) -> Value:
    free = []
    for slot in slots:
        if slot.barred:
            term.summed[slot.label] = None
        else:
            free.append(slot.label)
    return term.close(free)


_DIGITS = re.compile(r" +([1-9]+)(?![\w.])")
"""What follows a portion in ``A_2 1``."""


def _complete(term: Term, scope: Scope, whole: str = "") -> None:
    """Report portions that are missing; ``whole`` is an operator that takes whole tensors."""
    for instance in term.instances.values():
        missing = [p for p in range(1, len(instance.labels) + 1) if p not in instance.used]
        if missing:
            text = ", ".join(map(str, missing))
            positions = "position" if len(missing) == 1 else "positions"
            verb = "is" if len(missing) == 1 else "are"
            help = f"a product must use every position of {instance.name} once: write {_portion_of(instance, missing[0])} too"
            if whole:
                help = f"{whole} takes whole tensors; portions of one stand in a formal product, with spaces between them"
            after = _DIGITS.match(instance.span.source.text, instance.span.end)
            if after and set(map(int, after.group(1))) <= set(missing):
                help = f"positions of one portion stand together: {instance.span.text}{after.group(1)}"
            scope.run.problems.error(
                f"a portion of {instance.name} is missing: {positions} {text} {verb} not used", instance.span, help
            )


def _portion_of(instance: Instance, position: int) -> str:
    """``X_2``, ``X#1_2``, ``stop(X_2)``."""
    if instance.name.startswith("stop("):
        return f"{instance.name[:-1]}_{position})"
    return f"{instance.name}_{position}"


def _factor(expr: syntax.Expr, term: Term, scope: Scope) -> Slots:
    if isinstance(expr, syntax.FormalProduct):
        return _sequence(expr.factors, term, scope)
    if isinstance(expr, syntax.System):
        return _sequence(expr.lines, term, scope)
    if isinstance(expr, syntax.Bar):
        return tuple(Slot(slot.label, True) for slot in _factor(expr.operand, term, scope))
    if isinstance(expr, syntax.Fusion):
        return _fusion(expr, term, scope)
    if isinstance(expr, syntax.Iota):
        return (Slot(term.label(Dim.of(1), True, expr.span), False),)
    if isinstance(expr, syntax.Ones) and expr.sizes is None:
        sizes = [scope.run.sizes.unknown("ones", expr.span) for _ in range(expr.rank)]
        return tuple(Slot(term.label(size, False, expr.span), False) for size in sizes)
    if isinstance(expr, syntax.Portion):
        return _portion(expr, term, scope)
    if isinstance(expr, syntax.Stop) and isinstance(expr.operand, syntax.Portion):
        return _portion(expr.operand, term, scope, stopped=True)
    if isinstance(expr, syntax.Paren) and (is_formal(expr.body) or isinstance(expr.body, syntax.Paren)):
        return _factor(expr.body, term, scope)
    value = scope.run.evaluate(expr, scope)
    return tuple(Slot(label, False) for label in term.operand(value, expr.span))


def _sequence(factors: tuple[syntax.Expr, ...], term: Term, scope: Scope) -> Slots:
    slots: list[Slot] = []
    failed = False
    for factor in factors:
        try:
            slots += _factor(factor, term, scope)
        except Abort:
            failed = True
    if failed:
        raise Abort
    return tuple(slots)


def _fusion(expr: syntax.Fusion, term: Term, scope: Scope) -> Slots:
    members = scope.run.problems.each(expr.members, lambda member: _factor(member, term, scope))
    ranks = [len(slots) for slots in members]
    if len(set(ranks)) > 1:
        parts = ", ".join(f"{m.span.text} has {n}" for m, n in zip(expr.members, ranks, strict=True))
        scope.run.problems.error(
            f"the members of [ ] have different numbers of dimensions: {parts}",
            expr.span,
            _rank_hint(expr, ranks),
        )
    slots: list[Slot] = []
    for position in range(ranks[0]):
        label = members[0][position].label
        for member, slots_of_member in zip(expr.members[1:], members[1:], strict=True):
            label = term.fuse(label, slots_of_member[position].label, member.span)
        if any(slots_of_member[position].barred for slots_of_member in members):
            term.summed[label] = None
        else:
            slots.append(Slot(label, False))
    return tuple(slots)


def _rank_hint(expr: syntax.Fusion, ranks: list[int]) -> str:
    for member, rank in zip(expr.members, ranks, strict=True):
        if isinstance(member, syntax.Paren) and rank < max(ranks):
            return (
                "a barred member of a group keeps its place, for its dimensions are aligned with the other members: "
                "[A (~C D)]; only a sum of its own, [~C D], may move"
            )
    return "group members with ( ), as in [A (B C)] for a matrix A and vectors B and C"


def _portion(expr: syntax.Portion, term: Term, scope: Scope, stopped: bool = False) -> Slots:
    """``A_31``; of ``stop(A_2)``, every other portion of that occurrence stands in a ``stop`` too."""
    operand = expr.operand

    def evaluated() -> Value:
        value = scope.run.evaluate(operand, scope)
        return Value(build.pointwise("stop", value.node), value.rows) if stopped else value

    if isinstance(operand, syntax.Paren | syntax.Brace) or not isinstance(operand, syntax.Name | syntax.Index):
        # Portions of an expression would be portions of two tensors if it were written twice.
        inner = Term(scope.run)
        value = evaluated()
        slots = _positions(expr, inner, inner.operand(value, operand.span), scope, None)
        return tuple(Slot(label, False) for label in term.operand(_close(inner, slots), expr.span))
    numbers = expr.positions.numbers
    value = evaluated()
    if set(numbers) == set(range(1, value.rank + 1)):
        return _positions(expr, term, term.operand(value, operand.span), scope, None)
    key = (operand, expr.instance, stopped)
    instance = term.instances.get(key)
    if instance is None:
        name = operand.span.text + ("" if expr.instance is None else f"#{expr.instance}")
        name = f"stop({name})" if stopped else name
        instance = Instance(name, term.operand(value, operand.span), expr.span)
        term.instances[key] = instance
    return _positions(expr, term, instance.labels, scope, instance)


def _positions(expr: syntax.Portion, term: Term, labels: tuple[int, ...], scope: Scope, instance: Instance | None) -> Slots:
    """The dimensions that a position list selects; groups are diagonals, bars sums."""
    problems = scope.run.problems
    rank = len(labels)
    name = expr.operand.span.text
    for group in expr.positions.groups:
        for position in group:
            if position.number > rank:
                problems.error(
                    f"position {position.number} of {name}, which is {kind_of(rank)}",
                    position.span,
                    f"positions are 1 to {rank}" if rank else "a scalar has no positions",
                )
    used = expr.positions.numbers
    if instance is None:
        if len(used) != rank:
            missing = ", ".join(str(p) for p in range(1, rank + 1) if p not in used)
            problems.error(
                f"a portion of {name} is missing: position {missing} is not used",
                expr.span,
                "a closed expression must use all of its positions at once; name it with `where` to cut it",
            )
    else:
        _use(instance, expr, scope)
    slots: list[Slot] = []
    for group in expr.positions.groups:
        label = labels[group[0].number - 1]
        for position in group[1:]:
            label = term.fuse(label, labels[position.number - 1], expr.span, "the diagonal")
        if any(position.barred for position in group):
            term.summed[label] = None
        else:
            slots.append(Slot(label, False))
    return tuple(slots)


def _use(instance: Instance, expr: syntax.Portion, scope: Scope) -> None:
    for group in expr.positions.groups:
        for position in group:
            before: Span | None = instance.used.get(position.number)
            if before is not None:
                name = expr.operand.span.text
                if expr.instance is None:
                    scope.run.problems.error(
                        f"position {position.number} of {name} is used twice: which portions belong to one {name}?",
                        expr.span,
                        f"mark the occurrences: {name}#1_{position.number} and {name}#2_{position.number}",
                        [("used here before", before)],
                    )
                scope.run.problems.error(
                    f"position {position.number} of {instance.name} is used twice",
                    expr.span,
                    "each position of an instance stands once in a product",
                    [("used here before", before)],
                )
            instance.used[position.number] = expr.span


def space_hint(*exprs: syntax.Expr, scope: Scope | None = None) -> str:
    """What to say of unequal ranks when a space between tensors is near, here or in the definition of a name in ``scope``."""
    for expr in exprs:
        for node in syntax.walk(expr):
            if _spaced(node):
                return SPACE_HELP
    for expr in exprs if scope is not None else ():
        for node in syntax.walk(expr):
            defined = scope.run.declarations.definitions.get(node.text) if scope and isinstance(node, syntax.Name) else None
            if defined is not None and defined.whole is not None and _spaced(defined.whole.body):
                return f"{defined.name} = {defined.whole.body.span.text}: {SPACE_HELP}"
    return ""


SPACE_HELP = "a space is the formal product; the matrix product is `@`"


def _spaced(node: syntax.Node) -> bool:
    """Whether tensors stand side by side in a product."""
    return isinstance(node, syntax.FormalProduct) and sum(not isinstance(f, syntax.Number) for f in node.factors) > 1
