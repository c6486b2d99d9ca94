"""The frame of the campaign: it goes on where it stopped, and it reports a wrong answer with its seed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import campaign
import promises
from promises import answers, gradients
from promises.programs import joined
from random_programs import random_program

import bracketc as bc
from bracketc.calculus.derivatives import jvp
from bracketc.ir.build import scale

QUICK = tuple(promise for promise in promises.PROMISES if promise.name != "same-c")


@pytest.mark.parametrize("promise", QUICK, ids=lambda promise: promise.name)
def test_three_seeds_of_a_promise(promise: promises.Promise) -> None:
    tally = campaign.Tally()
    assert [campaign.attempt(promise, seed, tally) for seed in range(3)] == [None] * 3
    assert tally.tried == 3 and tally.cases >= 1


def test_a_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    seen: list[int] = []

    def check(seed: int) -> int:
        seen.append(seed)
        if seed == 1:
            raise promises.Breach("1 is not 2")
        return 5

    path = tmp_path / "state.json"
    for goal in (2, 4):
        promise = replace(promises.PROMISES[0], check=check, goal=goal)
        state = campaign.read(path)
        campaign.campaign([promise], state, 1.0, path)
    assert seen == [0, 1, 2, 3]
    assert campaign.read(path)["same"].seeds == [1] and campaign.read(path)["same"].cases == 15
    assert "| 1 (seeds 1) |" in campaign.table(state)


def test_a_wrong_derivative_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "jvp", lambda *given: tuple(scale(1.001, node) for node in jvp(*given)))
    with pytest.raises(promises.Breach, match="jvp against vjp"):
        for seed in range(10):
            gradients.gradients(seed)


def test_joined_programs_have_distinct_names() -> None:
    text = joined(0, 3)
    assert [f"J{k} = " in text and f"as grad{k}" in text for k in range(3)] == [bool(random_program(k).wrt) for k in range(3)]
    assert len(bc.parse(text).requests) <= 3


def test_a_wrong_answer_is_shrunk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = answers.answers
    monkeypatch.setattr(answers, "answers", lambda *given: {name: value + 1 for name, value in honest(*given).items()})
    assert campaign.main(["--promise", "same", "--seed", "3"]) == 1
    out = capsys.readouterr().out
    assert "wanted" in out and len(out.split("gradient J")[0]) < len(random_program(3).text)
