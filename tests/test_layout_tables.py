"""Layouts as tables: which axis goes where, which layouts are right, and what is said of others."""

from __future__ import annotations

import pytest

from bracketc.calculus.layouts import arranged, arrangement, positions, problem, rows
from bracketc.ir import build
from bracketc.ir.build import permute

# (layout, rank of the output, rank of the input): the groups of axes, and the rows of the Jacobian as a matrix
GROUPS: dict[tuple[str | None, int, int], tuple[str, int | None]] = {
    (None, 1, 2): ("0 1 2", 1),
    ("jacobian", 2, 1): ("0 1 2", 2),
    ("jacobian", 0, 2): ("0 1", 0),
    ("gradient", 2, 1): ("2 0 1", 1),
    ("gradient", 1, 2): ("1 2 0", 2),
    ("transposed", 1, 2): ("2 1 0", 2),
    ("row", 0, 0): ("- -", None),
    ("row", 0, 2): ("- 0 1", None),
    ("row", 2, 0): ("0 1 -", None),
    ("row", 1, 1): ("0 1", 1),
    ("column", 0, 0): ("- -", None),
    ("column", 0, 1): ("0 -", None),
    ("column", 0, 2): ("0 1", 0),
    ("column", 1, 0): ("- 0", None),
    ("column", 1, 1): ("1 0", 1),
    ("column", 2, 0): ("1 0", 2),
    ("vec", 2, 2): ("10 32", None),
    ("vec", 1, 1): ("0 1", 1),
    ("vec", 0, 1): ("- 0", None),
    ("flat", 2, 3): ("01 234", None),
    ("^12·^12", 2, 2): ("2 3 0 1", 2),
    ("^21·^12", 1, 2): ("2 1 0", 2),
    ("^512·^123", 2, 3): ("3 4 0 1 2", None),
    ("^13·^12", 1, 2): ("1 0 2", None),
    ("^31·^12", 1, 2): ("2 0 1", None),
}


@pytest.mark.parametrize(("given", "wanted"), GROUPS.items(), ids=map(str, GROUPS))
def test_where_axes_go(given: tuple[str | None, int, int], wanted: tuple[str, int | None]) -> None:
    found = arrangement(*given)
    assert " ".join("".join(map(str, group)) or "-" for group in found.groups) == wanted[0]
    assert rows(*given) == wanted[1]
    assert found.order == tuple(int(digit) for digit in wanted[0] if digit.isdigit())


@pytest.mark.parametrize(
    ("layout", "wanted"),
    [
        ("vec", None),
        ("^21·^12", ((2, 1), (1, 2))),
        ("^{10,2}·^{1,2}", ((10, 2), (1, 2))),
        ("^{3}·^1", ((3,), (1,))),
        ("^·^", ((), ())),
        ("^{}·^{}", ((), ())),
    ],
)
def test_positions_are_read(layout: str, wanted: object) -> None:
    assert positions(layout) == wanted


COLUMN = "denominator layout knows matrices only"
PROBLEMS: dict[tuple[str, int, int], str | None] = {
    ("gradient", 3, 3): None,
    ("column", 1, 1): None,
    ("column", 2, 0): None,
    ("column", 2, 1): f"layout column of a matrix by a vector: {COLUMN}; layout gradient has the axes of the input first",
    ("column", 0, 3): f"layout column of a scalar by a tensor of rank 3: {COLUMN}; layout gradient has the axes of the input first",
    ("^21·^12", 0, 2): None,
    ("^4·^1", 3, 1): None,
    ("^1·^1", 3, 1): None,
    ("^5·^1", 3, 1): "the left list of layout ^5·^1 needs different positions from 1 to 4; ^4·^1 is layout jacobian",
    ("^0·^1", 3, 1): "the left list of layout ^0·^1 needs different positions from 1 to 4; ^4·^1 is layout jacobian",
    ("^11·^12", 1, 2): "the left list of layout ^11·^12 needs different positions from 1 to 3; ^23·^12 is layout jacobian",
    ("^1·^12", 1, 2): "the lists of layout ^1·^12 have 1 and 2 positions; ^23·^12 is layout jacobian",
    (
        "^23·^13",
        1,
        2,
    ): "the right list of layout ^23·^13 is no arrangement of the 2 positions of the input; ^23·^12 is layout jacobian",
    ("^2·^2", 1, 1): "the right list of layout ^2·^2 is no arrangement of the 1 position of the input; ^2·^1 is layout jacobian",
    ("^1·^1", 1, 0): "the right list of layout ^1·^1 is no arrangement of the 0 positions of the input; "
    "of a scalar there are no positions: leave the layout out",
    ("^·^", 0, 0): None,
    ("^·^", 1, 0): None,
    ("^1·^1", 9, 1): None,
    ("^1·^2", 9, 1): "the right list of layout ^1·^2 is no arrangement of the 1 position of the input; ^{10}·^1 is layout jacobian",
    ("^1·^2", 8, 1): "the right list of layout ^1·^2 is no arrangement of the 1 position of the input; ^9·^1 is layout jacobian",
}


@pytest.mark.parametrize(("given", "wanted"), PROBLEMS.items(), ids=map(str, PROBLEMS))
def test_what_is_wrong_with_a_layout(given: tuple[str, int, int], wanted: str | None) -> None:
    found = problem(*given)
    assert (found if found is None else "; ".join(found)) == wanted


def test_axes_go_nowhere_by_a_wrong_layout() -> None:
    with pytest.raises(AssertionError, match="\\^5·\\^1"):
        arrangement("^5·^1", 3, 1)


def test_only_what_moves_is_moved() -> None:
    jacobian = build.tensor("D", "N", "M", "K")
    assert arranged(jacobian, 1, None) is arranged(jacobian, 1, "jacobian") is arranged(jacobian, 2, "row") is jacobian
    assert arranged(jacobian, 1, "gradient") is permute(jacobian, (1, 2, 0))
    assert [str(extent) for extent in arranged(jacobian, 0, "row").shape] == ["1", "N", "M", "K"]
    assert [str(extent) for extent in arranged(jacobian, 1, "flat").shape] == ["N", "K M"]
