"""Sizes that the sanitizers try: every size takes every value, alone and together with the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from contraction_programs import programs
from coverings import MOST, SMALL, below, coverings

import bracketc as bc


@pytest.mark.parametrize("names", [["N"], ["N", "D"], ["B", "T", "D", "H", "E"]])
def test_every_size_takes_every_value(names: list[str]) -> None:
    found = list(coverings(names))
    alone, together = found[: MOST * len(names)], found[MOST * len(names) :]
    for place, name in enumerate(names):
        rows = alone[MOST * place : MOST * (place + 1)]
        assert [row[name] for row in rows] == list(range(1, MOST + 1))
        assert all(row[other] in SMALL for row in rows for other in names if other != name)
        assert sorted(row[name] for row in together) == list(range(1, MOST + 1))


def test_no_two_sizes_are_in_step() -> None:
    together = list(coverings(["A", "B", "C"]))[3 * MOST :]
    assert sum(row["A"] == row["B"] for row in together) == 0
    assert sum(row["B"] == row["C"] for row in together) == 0


def test_work_is_bounded_by_cutting_the_largest() -> None:
    assert below({"N": 70, "D": 60}, 4200, 10_000) == {"N": 70, "D": 60}
    assert below({"N": 70, "D": 60, "K": 3}, 12600, 100) == {"N": 7, "D": 6, "K": 3}


def test_the_contractions_are_programs() -> None:
    found = {name: bc.parse(source) for name, source in programs()}
    assert {"layouts", "batched", "epilogues", "general_1"} <= set(found)
    assert sum(len(program.results) for program in found.values()) > 50
