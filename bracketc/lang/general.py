"""Steps of a derivation that hold for every number of a range: ``∇[A[t]](J) = B[t] ⊙ (∇[A[t+1]](J) @ W^T)``.

A name that nothing declares, in an index outside index brackets, is such a number.  It runs as far as all of them are
defined: over the steps of a recurrence, or over the members of a family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bracketc.errors import Span
from bracketc.ir.dims import Dim
from bracketc.lang import syntax
from bracketc.lang.entries import dimension, label_names
from bracketc.lang.problems import Problems
from bracketc.lang.scope import Scope
from bracketc.lang.stepwise import runs_backwards
from bracketc.lang.values import Family, Open, Quantity, SizeFamily, Steps, Value

ZERO = Dim.of(0)


@dataclass(frozen=True, slots=True)
class Use:
    """An index with a general number: entry ``axis`` of ``operand``; ``open_ended`` where what lies behind the last is 0.

    ``varied`` where a step is a variable, and so no start value; ``settled`` when it is the number plus ``shift``,
    whatever the entry says.
    """

    operand: syntax.Expr
    axis: int
    entry: syntax.Entry
    open_ended: bool
    varied: bool = False
    shift: Dim = ZERO
    settled: bool = False


@dataclass(frozen=True, slots=True)
class General:
    """``name`` for every number of a range: ``numbers`` of members, or the steps ``first..last``."""

    name: str
    numbers: tuple[int, ...] | None
    first: Dim
    last: Dim


def uses(tree: syntax.Node, scope: Scope) -> dict[str, list[Use]]:
    """The general numbers of an expression, each with the indices that hold it."""
    found: dict[str, list[Use]] = {}
    pending: list[tuple[syntax.Node, frozenset[str], bool]] = [(tree, frozenset(), False)]
    while pending:
        node, bound, labelled = pending.pop()
        if isinstance(node, syntax.Reduction):
            counted = node.binders[0].first is not None
            names = {binder.name.text for binder in node.binders}
            for binder in node.binders:
                pending += [(end, bound, labelled) for end in (binder.first, binder.last) if end is not None]
            pending.append((node.body, bound | names, labelled or not counted))
            continue
        if isinstance(node, syntax.Index) and not labelled:
            for axis, entry in enumerate(node.entries):
                for name in label_names(entry, scope):
                    if name not in bound:
                        found.setdefault(name, []).append(Use(node.operand, axis, entry, False))
        elif isinstance(node, syntax.Derivative | syntax.Differential):
            for reference in node.wrt:
                for axis, entry in enumerate(reference.entries or ()):
                    for name in label_names(entry, scope):
                        if name not in bound:
                            far = isinstance(node, syntax.Derivative) and name not in uses(node.body, scope)
                            found.setdefault(name, []).append(Use(reference.name, axis, entry, far, True))
            pending.append((node.body, bound, labelled))
            continue
        elif isinstance(node, syntax.IndexBracket):
            labelled = True
        pending += [(child, bound, labelled) for child in reversed(tuple(syntax.children(node)))]
    return found


def general(found: dict[str, list[Use]], span: Span, scope: Scope) -> General | None:
    """The one general number of an equation, with its range; None when there is none."""
    problems = scope.run.problems
    if not found:
        return None
    if len(found) > 1:
        first, second, *_ = found
        problems.unsupported(
            f"a step for every {first} and every {second}",
            span,
            f"give one of them a number, or sum over it: sum[{second}=1..T](…)",
        )
    ((name, places),) = found.items()
    places = list(_written_out(places, name, scope))
    members = [use for use in places if isinstance(_indexed(use, scope), Family | SizeFamily)]
    if members:
        return General(name, _numbers(name, places, members, scope), Dim.of(0), Dim.of(0))
    ends: dict[bool, list[tuple[Dim, Span]]] = {True: [], False: []}
    far: dict[bool, list[tuple[Dim, Span]]] = {True: [], False: []}
    for use in places:
        offset = _offset(use, name, scope)
        start, stop, goes_up = _steps(use, scope)
        for is_high, end in ((False, start), (True, stop)):
            kept = far if use.open_ended and is_high == goes_up else ends
            kept[is_high].append((end - offset, use.entry.span))
    low, high = (
        _furthest(ends[is_high] or far[is_high], -1 if is_high else 1, name, problems) for is_high in (False, True)
    )
    return General(name, None, low, high)


def _written_out(places: Iterable[Use], name: str, scope: Scope) -> Iterator[Use]:
    """Names such as ``S[j+1]`` of the block replaced by what their definition ``S[j] = …`` indexes."""
    for use in places:
        found = scope.find(use.operand.text) if isinstance(use.operand, syntax.Name) else None
        if not isinstance(found, Open):
            yield use
            continue
        offset = _offset(use, name, scope)
        entries = found.binding.target.entries or ()
        variable = entries[0].text if entries and isinstance(entries[0], syntax.Name) else ""
        for inner in uses(found.binding.value, scope).get(variable, []):
            own = replace(inner, shift=offset + _offset(inner, variable, scope), settled=True)
            yield from _written_out([own], name, scope)


def _indexed(use: Use, scope: Scope) -> object:
    """What is indexed: a binding."""
    if not isinstance(use.operand, syntax.Name):
        return scope.run.evaluate(use.operand, scope)
    if scope.find(use.operand.text) is None:
        scope.get(use.operand.text, use.operand.span)
    return scope.find(use.operand.text)


def _offset(use: Use, name: str, scope: Scope) -> Dim:
    """``t + 1`` -> 1."""
    if use.settled:
        return use.shift
    mark = Dim.named("%general")
    offset = dimension(use.entry, scope.inner({name: Quantity(mark)})) - mark
    if "%general" in offset.names:
        scope.run.problems.unsupported(
            f"{use.entry.span.text} as the number of a step", use.entry.span, f"write {name}, {name}+1, {name}-1, …"
        )
    return offset


def _numbers(name: str, places: Sequence[Use], members: Sequence[Use], scope: Scope) -> tuple[int, ...]:
    """The numbers for which every member is there."""
    common: set[int] | None = None
    for use in members:
        found = _indexed(use, scope)
        assert isinstance(found, Family | SizeFamily)
        offset = _offset(use, name, scope).constant
        if offset is None:
            scope.run.problems.error(f"which member is {use.entry.span.text}?", use.entry.span, "write a number beside it")
        own = {number - offset for number in found.members}
        common = own if common is None else common & own
    if not common:
        scope.run.problems.error(f"there is no {name} for which all members are there", places[0].entry.span)
    return tuple(sorted(common))


def _steps(use: Use, scope: Scope) -> tuple[Dim, Dim, bool]:
    """The first and the last number that an index takes, and whether the steps go from the first to the last."""
    found = _indexed(use, scope)
    if isinstance(found, Steps):
        low, high = found.first, found.last
        positions = {at for at, _ in found.starts}
        while low - 1 in positions:
            low = low - 1
        while high + 1 in positions:
            high = high + 1
        if use.varied:
            low, high = found.first, found.last
        return low, high, not (use.open_ended and runs_backwards(found.name, scope))
    if isinstance(found, Value) and use.axis < found.rank:
        return Dim.of(1), scope.run.sizes.resolve(found.node.shape[use.axis]), True
    scope.run.problems.error(f"{use.operand.span.text} has no steps", use.entry.span)


def _furthest(ends: Iterable[tuple[Dim, Span]], sign: int, name: str, problems: Problems) -> Dim:
    """The largest of the first numbers, or the smallest of the last ones."""
    (best, place), *others = ends
    for end, span in others:
        distance = (end - best).constant
        if distance is None:
            problems.error(
                f"two ranges for {name}: one ends at {best}, the other at {end}",
                span,
                "give the sizes one name if they are always equal",
                [("the other one", place)],
            )
        if sign * distance > 0:
            best, place = end, span
    return best
