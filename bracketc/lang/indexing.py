"""A bracket that touches a name: slices, entries, steps, members and gathers of closed tensors.

M[2,·]   X[t]   Z[t-1]   W[1]   A[·, h+1..2 h]   E[ci]
"""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.errors import Diagnostic, LimitError, Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Gather, Node
from bracketc.lang import syntax
from bracketc.lang.entries import dimension, integer, label_names
from bracketc.lang.integers import arranged
from bracketc.lang.problems import Abort
from bracketc.lang.scope import Scope
from bracketc.lang.steps import Step, take
from bracketc.lang.values import (
    Failed,
    Family,
    FunctionValue,
    Open,
    Quantity,
    Running,
    SizeFamily,
    Steps,
    Value,
    closed,
    kind_of,
    retyped,
)


def index(expr: syntax.Index, scope: Scope) -> Value:
    """The value of an index outside index brackets."""
    for entry in expr.entries:
        names = label_names(entry, scope)
        if names:
            scope.run.problems.error(
                f"unknown name {names[0]} in an index",
                entry.span,
                "a label belongs inside an index bracket: (… | …), sum[…](…), or left of =",
            )
    value, entries = stepped(expr, scope)
    return select(value, entries, scope, expr.span)


def stepped(expr: syntax.Index, scope: Scope) -> tuple[Value, tuple[syntax.Entry, ...]]:
    """The tensor that is indexed, and the entries that are left when a step or a member was taken by the first."""
    operand = expr.operand
    if not isinstance(operand, syntax.Name):
        return scope.run.evaluate(operand, scope), expr.entries
    found = scope.get(operand.text, operand.span) if scope.find(operand.text) is not None else None
    first, rest = expr.entries[0], expr.entries[1:]
    if isinstance(found, Family):
        return _member(found, first, scope), rest
    whole = isinstance(first, syntax.All | syntax.Slice) or label_names(first, scope) or _gathers(first, scope)
    if isinstance(found, Steps | Running) and not whole:
        return step_of(found, dimension(first, scope), scope, expr.span), rest
    if isinstance(found, SizeFamily):
        return closed(build.size(dimension(expr, scope))), ()
    if isinstance(found, Open) and found.binding.target.entries is not None and scope.run.variation is not None:
        return scope.run.variation.at(found, dimension(first, scope), scope), rest
    if isinstance(found, FunctionValue):
        scope.run.problems.error(
            f"{operand.text} is a function and has no entries", expr.span, f"write {operand.text}(…) for a call"
        )
    if isinstance(found, Quantity):
        scope.run.problems.error(f"{operand.text} is a number and has no entries", expr.span)
    if isinstance(found, Value):
        return found, expr.entries
    return scope.run.evaluate(operand, scope), expr.entries


def select(value: Value, entries: Sequence[syntax.Entry], scope: Scope, span: Span) -> Value:
    """The sub-tensor at ``entries``; dimensions without an entry stay whole."""
    problems = scope.run.problems
    if len(entries) > value.rank:
        problems.error(f"{len(entries)} indices for {kind_of(value.rank)}", span, "one entry for each dimension")
    gathers = [entry for entry in entries if _gathers(entry, scope)]
    if len(gathers) > 1:
        problems.error(
            f"two integer tensors in one index: {gathers[0].span.text} and {gathers[1].span.text}",
            span,
            "labels say which entries belong together: (E[i[b], j[b]] | b), or (E[i[b], j[c]] | bc)",
        )
    node = value.node
    # entries of outer ranges first: their slices must not hold those of inner ones
    order = sorted(range(len(entries)), key=lambda axis: -_level(entries[axis], scope))
    rows = [[row] for row in value.rows]  # of each dimension, those that have taken its place
    for axis in reversed(order):
        entry = entries[axis]
        if isinstance(entry, syntax.All):
            continue
        here = sum(len(taken) for taken in rows[:axis])
        rank = node.rank
        node = _entry(node, here, entry, scope)
        rows[axis] = [False] * (1 + node.rank - rank)
    return Value(node, tuple(row for taken in rows for row in taken))


def _gathers(entry: syntax.Entry, scope: Scope) -> bool:
    """Whether an entry is a tensor of integers."""
    return isinstance(_integer_name(entry, scope), Value)


def _gathered(node: Node, axis: int, entry: syntax.Entry, scope: Scope) -> Node:
    """``E[·, ci, ·]``: the dimensions of the integers in place of ``axis``."""
    front = arranged(node, [axis, *(k for k in range(node.rank) if k != axis)])
    if front is None:
        scope.run.problems.unsupported("integers taken by integers along another dimension than the first", entry.span)
    found = _integer_name(entry, scope)
    assert found is not None
    if isinstance(entry, syntax.Index) and _moves_later_axis(entry, scope):
        # integers along a range lie in their first dimension; what they select has any order
        whole = select(closed(Gather(front, found.node)), entry.entries, scope, entry.span).node
    else:
        integers = index(entry, scope).node if isinstance(entry, syntax.Index) else found.node
        whole = Gather(front, integers)
    width = whole.rank - node.rank + 1
    result = arranged(whole, [*range(width, width + axis), *range(width), *range(width + axis, whole.rank)])
    if result is None:
        scope.run.problems.unsupported("integers taken by integers along another dimension than the first", entry.span)
    return result


def _moves_later_axis(entry: syntax.Index, scope: Scope) -> bool:
    """Whether an index of integers has the variable of a range in a dimension other than the first."""
    variables = {step.name for step in scope.steps}
    return any(
        not isinstance(inner, syntax.All | syntax.Slice)
        and not _gathers(inner, scope)
        and variables & set(dimension(inner, scope).names)
        for inner in entry.entries[1:]
    )


def _level(entry: syntax.Entry, scope: Scope) -> int:
    """Which open range the entry belongs to, counted from the outermost."""
    if isinstance(entry, syntax.All | syntax.Slice) or _gathers(entry, scope):
        return -1
    names = dimension(entry, scope).names
    return max((level for level, step in enumerate(scope.steps) if step.name in names), default=-1)


def _entry(node: Node, axis: int, entry: syntax.Entry, scope: Scope) -> Node:
    resolve = scope.run.sizes.resolve
    extent = resolve(node.shape[axis])
    if isinstance(entry, syntax.Slice):
        first, last = dimension(entry.first, scope), dimension(entry.last, scope)
        _within(first, extent, entry.span, scope)
        _within(last, extent, entry.span, scope)
        length = last - first + 1
        if any(name.startswith("%") for name in length.names):
            scope.run.problems.unsupported("a slice whose length changes with a range", entry.span)
        if length.constant is not None and length.constant < 0:
            scope.run.problems.error(
                f"a slice from {first} to {last}", entry.span, "the end may not lie before the start"
            )
        return take(node, axis, first - 1, (1,), (length,), scope, entry.span)
    assert not isinstance(entry, syntax.All)
    if _gathers(entry, scope):
        return _gathered(node, axis, entry, scope)
    position = dimension(entry, scope)
    for bound in _ends(position, scope):
        _within(bound, extent, entry.span, scope)
    return take(node, axis, position - 1, (), (), scope, entry.span)


def _ends(position: Dim, scope: Scope) -> tuple[Dim, ...]:
    """The smallest and the largest value of an entry."""
    step = _owner(position, scope)
    if step is None:
        return (position,)
    return position.substitute({step.name: step.first}), position.substitute({step.name: step.last})


def _within(position: Dim, extent: Dim, span: Span, scope: Scope) -> None:
    above = (position - extent).constant
    below = position.constant
    if (above is not None and above > 0) or (below is not None and below < 1):
        scope.run.problems.error(f"index {position} is not in 1..{extent}", span, "indices in the source count from 1")


def integer_tensor(entry: syntax.Entry, scope: Scope) -> Value | None:
    """The `integer` argument, or the part of one, that an entry is; None when it is none."""
    found = _integer_name(entry, scope)
    if found is not None and isinstance(entry, syntax.Index):
        return found if any(label_names(e, scope) for e in entry.entries) else index(entry, scope)
    return found


def _integer_name(entry: syntax.Entry, scope: Scope) -> Value | None:
    """The `integer` argument that an entry is, or is a part of."""
    name = entry.operand if isinstance(entry, syntax.Index) else entry
    found = scope.find(name.text) if isinstance(name, syntax.Name) else None
    return found if isinstance(found, Value) and found.node.dtype == "integer" else None


def _member(family: Family, entry: syntax.Entry, scope: Scope) -> Value:
    number = dimension(entry, scope).constant
    if number is None:
        scope.run.problems.error(
            f"which member of {family.name} is {entry.span.text}?",
            entry.span,
            "members of a family are decided when the file is compiled: the number must be fixed",
        )
    found = family.members.get(number)
    if found is None:
        known = sorted(family.members)
        text = f"{family.name} has the members {known[0]}..{known[-1]}" if known else f"{family.name} has no members"
        scope.run.problems.error(f"no member {family.name}[{number}]", entry.span, text)
    if isinstance(found, Failed):
        raise Abort
    return found


def step_of(found: Steps | Running, position: Dim, scope: Scope, span: Span) -> Value:
    """``Z[t-1]``, ``Z[0]``, ``Z[T]``."""
    position = scope.run.sizes.resolve(position)
    if isinstance(found, Steps) and found.near is not None:
        value = found.near(position, scope)
        if value is not None:
            return value
    start = next((value for at, value in found.starts if at is position), None)
    if start is not None:
        return start
    if isinstance(found, Running):
        offset = (position - found.variable).constant
        known = None if offset is None else found.values.get(offset)
        if known is None:
            scope.run.problems.error(
                f"{span.text} inside the steps of {found.name}",
                span,
                f"a step may use other steps at a fixed distance, such as {found.name}[t-1], and start values",
            )
        return known
    step = _owner(position, scope)
    if step is None:
        _in_steps(found, position, position, scope, span)
        node = take(found.stacked.node, 0, position - found.first, (), (), scope, span)
        return Value(node, found.stacked.rows[1:])
    ends = (position.substitute({step.name: step.first}), position.substitute({step.name: step.last}))
    backwards = (ends[1] - ends[0]).constant
    parts = step.split(position)
    if parts is not None and parts[0] < 0:
        ends = (ends[1], ends[0])
    elif parts is None or (backwards is not None and backwards < 0):
        ends = (ends[0], ends[0])
    node, low = history(found, ends[0], ends[1], scope, span)
    return Value(take(node, 0, position - low, (), (), scope, span), found.stacked.rows[1:])


def _owner(position: Dim, scope: Scope) -> Step | None:
    owners = [step for step in scope.steps if step.name in position.names]
    if len(owners) > 1:
        return None
    return owners[0] if owners else None


def _in_steps(found: Steps, low: Dim, high: Dim, scope: Scope, span: Span) -> None:
    for distance, position in (((found.first - low).constant, low), ((high - found.last).constant, high)):
        if distance is not None and distance > 0:
            scope.run.problems.error(
                f"{found.name}[{position}] is not defined",
                span,
                f"{found.name} has the steps {found.first}..{found.last}; "
                f"define a start value {found.name}[{position}] = …",
            )


def history(found: Steps, low: Dim, high: Dim, scope: Scope, span: Span) -> tuple[Node, Dim]:
    """Steps ``low..high`` along a leading axis, start values among them; gives the number of the first, too.

    ``Z[0] = Z0`` and the steps 1..T give the steps 0..T-1 as Z0 followed by all steps but the last.
    """
    before, after = (found.first - low).constant or 0, (high - found.last).constant or 0
    stacked = found.stacked.node
    if before <= 0 and after <= 0:
        return stacked, found.first
    first = low if before > 0 else found.first
    last = high if after > 0 else found.last
    extent = last - first + 1
    terms = [build.overlap(stacked, 0, found.first - first, (1,), extent)]
    wanted = [low + k for k in range(max(before, 0))] + [high - k for k in range(max(after, 0))]
    for position in wanted:
        value = next((value for at, value in found.starts if at is position), None)
        if value is None:
            _in_steps(found, position, position, scope, span)
            raise AssertionError(position)
        start = retyped(value.node, stacked.shape[1:])
        terms.append(build.overlap(start, 0, position - first, (), extent))
    return build.add(terms), first


def one_range(expr: syntax.Reduction) -> syntax.Reduction:
    """``sum[s=1..S,t=1..T](…)`` as ``sum[s=1..S](sum[t=1..T](…))``; labels together stay together."""
    if len(expr.binders) == 1 or all(binder.first is None for binder in expr.binders):
        return expr
    body = expr.body
    for binder in reversed(expr.binders):
        body = syntax.Reduction(expr.operation, (binder,), body, expr.span)
    assert isinstance(body, syntax.Reduction)
    return body


def is_family_range(expr: syntax.Reduction, scope: Scope) -> bool:
    """Whether ``sum[k=1..L](… W[k] …)`` runs over members of a family, and so over numbers known now."""
    (binder, *_) = expr.binders
    name = binder.name.text
    if binder.first is None or binder.last is None:
        return False
    for node in syntax.walk(expr.body):
        if not isinstance(node, syntax.Index) or not isinstance(node.operand, syntax.Name):
            continue
        found = scope.find(node.operand.text)
        if isinstance(found, Family | SizeFamily) and any(
            isinstance(inner, syntax.Name) and inner.text == name for inner in syntax.walk(node.entries[0])
        ):
            break
    else:
        return False
    ends = []
    for end in (binder.first, binder.last):
        number = integer(end, scope)
        if number is None:
            scope.run.problems.error(
                f"the range of a family ends at {end.span.text}, which is no fixed number",
                end.span,
                "bind the size: dim L = 3",
            )
        ends.append(number)
    check_members(ends[0], ends[1], binder.span, scope)
    return True


def check_members(first: int, last: int, span: Span, scope: Scope) -> None:
    """A range of a family has no more members than the limit."""
    most = scope.run.limits.max_members
    if abs(last - first) >= most:
        help = "a recurrence has steps of any number; the option max_members raises the limit"
        raise LimitError(Diagnostic(f"a family of more than {most:,} members", span, help))


def members(first: int, last: int) -> range:
    """Numbers of a range in either order, smallest first."""
    return range(min(first, last), max(first, last) + 1)
