"""Mutated sources end in a program or in a ``BracketError``, in the front end and in the stages behind it."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import fuzz


@pytest.mark.parametrize("stages", [False, True], ids=["front end", "all stages"])
@pytest.mark.parametrize("seed", range(5))
def test_no_mutated_source_ends_in_a_traceback(seed: int, stages: bool) -> None:
    chance = random.Random(seed)
    programs = fuzz.corpus()
    for _ in range(60):
        source = fuzz.mutated(programs, chance)
        assert fuzz.failure(source, stages) is None, source


def test_the_command_reports_what_it_tried(capsys: pytest.CaptureFixture[str]) -> None:
    fuzz.main(["--seconds", "60", "--sources", "50"])
    assert capsys.readouterr().out.startswith("50 sources, no traceback; 99 % within")


@pytest.mark.parametrize("seed", range(3))
def test_no_file_of_mutated_bytes_ends_in_a_traceback(seed: int) -> None:
    chance = random.Random(seed)
    programs = fuzz.corpus()
    for _ in range(60):
        source = fuzz.mutated_bytes(programs, chance)
        assert fuzz.failure(source, False) is None, source


@pytest.mark.parametrize("piece", ["(", "x + ", "A", "9", "\u202e", "{[", "x_i ", "'", "#", "e\u0301"])
def test_a_line_of_a_hundred_kilobytes_is_told_in_a_short_message(piece: str) -> None:
    message, trace = fuzz.outcome(("dim N\nparam x : N\ny = " + piece * 100_000)[:100_000].encode(), False)
    assert trace is None and len(message) < 50_000
