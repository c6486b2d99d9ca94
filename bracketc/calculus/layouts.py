"""The layouts of a Jacobian, which hold the same numbers in other places.

Output axes O, input axes N; 1 is an axis of size 1, ← marks axes in reverse order, ( ) axes that are merged into one.

    jacobian     O N                 the default, also that of automatic differentiation
    gradient     N O                 generalised gradient
    row          O N                 numerator layout, 1 for no axis: a gradient is a row, a derivative a column
    column       N O←                denominator layout, a matrix: filled up with 1; matrix by scalar is transposed
    transposed   N← O←               the transpose of what is a matrix
    vec          (O←) (N←)           a matrix, columns on top of each other: vec(Y) by vec(X)
    flat         (O) (N)             a matrix, rows one after the other, as NumPy's ``reshape``
    ^512·^123    as in dY = M ^512·^123 dX: axes 5, 1, 2 of M belong to axes 1, 2, 3 of X, the others to Y in order
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bracketc.ir.build import permute
from bracketc.ir.nodes import Node
from bracketc.ir.stacking import merged

NAMED = ("jacobian", "gradient", "row", "column", "transposed", "vec", "flat")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where the axes of a Jacobian go: each axis of the result is a group of them, the last one running fastest."""

    groups: tuple[tuple[int, ...], ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of the Jacobian in the order in which they appear."""
        return tuple(axis for group in self.groups for axis in group)


def arrangement(layout: str | None, outputs: int, inputs: int) -> Arrangement:
    """The groups of a layout for ranks of output and input.

    arrangement("column", 1, 1)  ->  ((1,), (0,))          arrangement("^21·^12", 1, 2)  ->  ((2,), (1,), (0,))
    """
    first, second = tuple(range(outputs)), tuple(range(outputs, outputs + inputs))
    match layout:
        case None | "jacobian":
            axes = (*first, *second)
        case "gradient":
            axes = (*second, *first)
        case "transposed":
            axes = (*first, *second)[::-1]
        case "row":
            return Arrangement((*(_single(first) or ((),)), *(_single(second) or ((),))))
        case "column":
            unit = ((),) if not second and outputs < 2 else ()
            groups = (*unit, *_single(second), *_single(first[::-1]))
            return Arrangement((*groups, *((),) * (2 - len(groups))))
        case "vec":
            return Arrangement((first[::-1], second[::-1]))
        case "flat":
            return Arrangement((first, second))
        case _:
            axes = _by_positions(layout, outputs, inputs)
    return Arrangement(_single(axes))


def rows(layout: str | None, outputs: int, inputs: int) -> int | None:
    """How many axes come first that all belong to the output, or all to the input, when the others belong to the other one:
    the rows of the Jacobian as a matrix. ``None`` where axes are mixed, merged or filled up.

    rows("jacobian", 1, 2)  ->  1          rows("gradient", 1, 2)  ->  2          rows("vec", 2, 2)  ->  None
    """
    found = arrangement(layout, outputs, inputs)
    if any(len(group) != 1 for group in found.groups):
        return None
    if all(axis < outputs for axis in found.order[:outputs]):
        return outputs
    return inputs if all(axis >= outputs for axis in found.order[:inputs]) else None


def _single(axes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple((axis,) for axis in axes)


def positions(layout: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The two lists of ``^512·^123``; ``None`` for a named layout."""
    if not layout.startswith("^"):
        return None
    left, right = (tuple(_numbers(side)) for side in layout.split("·"))
    return left, right


def _numbers(text: str) -> Iterator[int]:
    listed = text.lstrip("^")
    if listed.startswith("{"):
        return (int(number) for number in listed.strip("{}").split(",") if number)
    return (int(digit) for digit in listed)


def _by_positions(layout: str, outputs: int, inputs: int) -> tuple[int, ...]:
    given = positions(layout)
    assert given is not None and problem(layout, outputs, inputs) is None, layout
    places = {left - 1: outputs + right - 1 for left, right in zip(*given, strict=True)}
    rest = iter(range(outputs))
    return tuple(places[axis] if axis in places else next(rest) for axis in range(outputs + inputs))


def problem(layout: str, outputs: int, inputs: int) -> tuple[str, str] | None:
    """What is wrong with a layout for these ranks, and what would be right; ``None`` when nothing is."""
    given = positions(layout)
    if given is None:
        if layout == "column" and outputs + inputs > 2:
            return (
                f"layout column of {_rank(outputs)} by {_rank(inputs)}: denominator layout knows matrices only",
                "layout gradient has the axes of the input first",
            )
        return None
    left, right = given
    example = f"^{_list(range(outputs + 1, outputs + inputs + 1))}·^{_list(range(1, inputs + 1))}"
    if sorted(right) != list(range(1, inputs + 1)):
        what = f"the right list of layout {layout} is no arrangement of the {_count(inputs)} of the input"
    elif len(left) != len(right):
        what = f"the lists of layout {layout} have {len(left)} and {len(right)} positions"
    elif len(set(left)) < len(left) or not set(left) <= set(range(1, outputs + inputs + 1)):
        what = f"the left list of layout {layout} needs different positions from 1 to {outputs + inputs}"
    else:
        return None
    if not inputs:
        return what, "of a scalar there are no positions: leave the layout out"
    return what, f"{example} is layout jacobian"


def _list(numbers: range) -> str:
    if all(number < 10 for number in numbers):
        return "".join(map(str, numbers))
    return "{" + ",".join(map(str, numbers)) + "}"


def _count(inputs: int) -> str:
    return "1 position" if inputs == 1 else f"{inputs} positions"


def _rank(rank: int) -> str:
    return ("a scalar", "a vector", "a matrix")[rank] if rank < 3 else f"a tensor of rank {rank}"


def arranged(jacobian: Node, outputs: int, layout: str | None) -> Node:
    """A Jacobian, output axes first, in the layout asked for."""
    inputs = jacobian.rank - outputs
    groups = arrangement(layout, outputs, inputs).groups
    sorted_groups = [tuple(sorted(group)) for group in groups]
    order = [axis for group in sorted_groups for axis in group]
    node = permute(jacobian, order) if order != list(range(jacobian.rank)) else jacobian
    for place, (group, ascending) in enumerate(zip(groups, sorted_groups, strict=True)):
        if len(group) != 1:
            node = merged(node, place, len(group), first_fastest=group != ascending)
    return node
