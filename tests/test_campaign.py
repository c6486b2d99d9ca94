"""The frame of the campaign: it goes on where it stopped, and it reports a wrong answer with its seed."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import campaign
import fuzz
import promises
import random_programs
import workers
from modelcases import MODELS
from promises import answers, arrays, bad_input, gradients, passes, programs
from random_programs import random_program
from workers import attempt

from bracketc.calculus.derivatives import jvp
from bracketc.calculus.requests import entries
from bracketc.ir.build import scale
from bracketc.ir.interpret import interpret
from bracketc.ir.rewrite import Roots
from bracketc.loops.lower import lower
from bracketc.plan.plan import plan
from bracketc.plan.split import split_plan

SLOW = frozenset((
    "same-c", "splits", "kernels", "valgrind", "long", "mutants", "cache", "killed", "injection", "reproducible", "numerics",
    "state", "exhaust", "bad-input",
))  # fmt: skip
"""Promises whose seeds take seconds, or may not take longer than so many: other tests try some of each, without a clock."""

QUICK = tuple(promise for promise in promises.PROMISES if promise.name not in SLOW)


@pytest.mark.parametrize("promise", QUICK, ids=lambda promise: promise.name)
def test_three_seeds_of_a_promise(promise: promises.Promise) -> None:
    outcomes = [attempt(promise, seed) for seed in range(3)]
    assert [outcome.problem for outcome in outcomes] == [None] * 3 and sum(outcome.cases for outcome in outcomes) >= 1


def test_answers_that_the_interpreter_has_no_room_for_are_not_asked() -> None:
    program = random_programs.parse("dim N\nparam A : N, N\nY = (A_ij A_kl A_mn | ijklmn)\noutput Y\n")
    assert programs.settle(program, 0, {"N": 3}).wanted["evaluate"]["Y"].shape == (3,) * 6
    with pytest.raises(promises.Skip):
        programs.settle(program, 0, {"N": 33})


def test_a_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, log = tmp_path / "state.json", tmp_path / "log"

    def check(seed: int) -> int:
        with log.open("a") as file:
            file.write(f"{seed} ")
        if seed == 1:
            raise promises.Breach("1 is not 2")
        if seed % 7 == 3:
            raise promises.Skip("3 modulo 7")
        return 5

    for goal, processes in ((2, 1), (20, 3)):
        promise = replace(promises.PROMISES[0], check=check, goal=goal)
        state = campaign.read(path)
        campaign.campaign([promise], state, 1.0, path, processes)
    assert sorted(map(int, log.read_text().split())) == list(range(20))
    tally = campaign.read(path)["same"]
    assert (tally.tried, tally.cases, tally.failures, tally.seeds, tally.skipped) == (20, 80, 1, [1], {"3 modulo 7": 3})
    assert "| 1 (seeds 1) |" in campaign.table(state)


def test_what_was_mended_is_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, broken = tmp_path / "state.json", {1, 2}

    def check(seed: int) -> int:
        if seed in broken:
            raise promises.Breach("wrong")
        return 10

    promise = promises.Promise("p", "a promise", "by hand", check, str, 4, "things")
    state: campaign.State = {}
    campaign.campaign([promise], state, 1.0, path)
    assert (state["p"].failures, state["p"].seeds, state["p"].cases) == (2, [1, 2], 20)
    broken.remove(1)
    campaign.tried_again([promise], state, path)
    assert capsys.readouterr().out.splitlines()[-2:] == ["p --seed 1: holds", "p --seed 2: fails"]
    assert campaign.read(path) == state
    assert (state["p"].tried, state["p"].failures, state["p"].seeds, state["p"].cases) == (4, 1, [2], 30)
    assert state["p"].also == {campaign.MENDED: 1}


def test_a_process_that_dies_or_hangs_is_a_breach_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(seed: int) -> int:
        if seed == 1:
            os._exit(139)
        if seed == 3:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            time.sleep(60)
        if seed == 4:
            time.sleep(60)
        return 1

    monkeypatch.setattr(workers, "GRACE", 0.2)
    promise = replace(promises.PROMISES[0], check=check, limit=0.1)
    outcomes = list(workers.Workers(promise, 2).outcomes(0, lambda seed: seed < 7))
    assert [outcome.seed for outcome in outcomes] == list(range(7))
    assert [outcome.cases for outcome in outcomes] == [1, 0, 1, 0, 0, 1, 1]
    problems = [outcome.problem or "" for outcome in outcomes]
    assert "status 139" in problems[1] and "no answer within" in problems[3] and problems[4] == "no answer within 0.1 s"


def test_a_wrong_derivative_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "jvp", lambda *given: tuple(scale(1.001, node) for node in jvp(*given)))
    with pytest.raises(promises.Breach, match="jvp against vjp"):
        for seed in range(10):
            gradients.gradients(seed)


def test_a_wrong_digit_of_float32_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One part in ten thousand, which is far beyond rounding."""
    honest = programs.results_of
    monkeypatch.setattr(answers, "results_of", lambda *given: {name: 1.0001 * value for name, value in honest(*given).items()})
    (promise,) = (promise for promise in promises.PROMISES if promise.name == "float32")
    found = [attempt(promise, seed).problem or "" for seed in range(6)]
    assert sum("apart, bound" in problem for problem in found) >= 4


def test_joined_programs_have_the_answers_that_they_have_alone() -> None:
    joined = programs.join(range(4), {"N": 2, "M": 3, "K": 1, "H": 2, "T": 3, "B": 2})
    program = random_programs.parse(joined.text)
    (evaluate,) = (entry for entry in entries(program) if entry.name == "evaluate")
    found = interpret([n for _, n in evaluate.results], {n: joined.arrays[n.name] for n in evaluate.arguments}, joined.sizes)
    assert {name for name, _ in evaluate.results} == set(joined.wanted["evaluate"]) >= {"J0", "J1", "J2", "J3"}
    for (name, _), array in zip(evaluate.results, found, strict=True):
        np.testing.assert_allclose(array, joined.wanted["evaluate"][name])


def test_a_wrong_answer_is_shrunk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = programs.results_of
    monkeypatch.setattr(answers, "results_of", lambda *given: {name: value + 1 for name, value in honest(*given).items()})
    assert campaign.main(["--promise", "same", "--seed", "8"]) == 1
    out = capsys.readouterr().out
    assert "wanted" in out and len(out.split("gradient J")[0]) < len(random_program(8).text)


def test_every_pass_of_loops_changes_something() -> None:
    idle = dict(passes.PARTS_OF_LOOPS)
    for seed in range(1, 60, 2):
        schedule = split_plan(plan([passes.entry_of(passes.graph(seed).roots)], {}, ())).schedule("evaluate")
        usual = lower(schedule)
        for name, part in [*idle.items()]:
            with passes.without(part):
                if lower(schedule) != usual:
                    del idle[name]
        if not idle:
            break
    assert not idle


def test_all_layouts_are_drawn() -> None:
    """Half precision, big-endian, read-only, misaligned, no axes, no entries, far apart, at both backends."""
    seen: set[tuple[str, str]] = set()
    ranks, extents = set(), set()
    for seed in range(8 * len(MODELS)):
        try:
            found = arrays.drawn(seed, np.random.default_rng(seed))
        except promises.Skip:
            continue
        seen |= {(found.backend, layout) for layout in found.layouts.values()}
        ranks |= {array.ndim for array in found.plain.values()}
        extents |= {extent for array in found.plain.values() for extent in array.shape}
    assert {layout for _, layout in seen} == {*arrays.REAL, *arrays.SCALAR} and len(seen) == 2 * len({*arrays.REAL, *arrays.SCALAR})
    assert {0, 1, 2} <= ranks and {0, 1, 8} <= extents


def test_bad_input_draws_what_breaks_readers() -> None:
    """Bytes that are no UTF-8, bidirectional controls, NUL, and now and then a line of a megabyte."""
    sources = [bad_input._bad(seed) for seed in range(3, 4 * 1500, 4)]
    assert all(isinstance(source, bytes) for source in sources)
    joined = b"\n".join(source for source in sources if isinstance(source, bytes))
    for piece in fuzz.BYTES:
        assert piece in joined
    assert len(fuzz.mutated_bytes(fuzz.corpus(), Always(0))) > fuzz.LONG


class Always(random.Random):
    """A chance that every rare thing happens by."""

    def random(self) -> float:
        return 0.0


def test_the_slowest_hundredth_is_told(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    times = [0.001] * 90 + [0.004] * 9 + [1.0]
    known = next(promise for promise in promises.PROMISES if promise.name == "bad-input")
    promise = replace(known, check=lambda seed: promises.Counted(2, {"of them odd": 1}, times), goal=3)
    state = campaign.read(path)
    campaign.campaign([promise], state, 1.0, path, 1)
    tally = campaign.read(path)["bad-input"]
    assert (tally.cases, tally.also, sum(tally.times.values())) == (6, {"of them odd": 3}, 300)
    assert "6 sources; 3 of them odd; 99 % within 4.1 ms a kilobyte |" in campaign.table(state)


def test_every_pass_changes_something() -> None:
    """The passes are found in the packages; graphs of few seeds make each of them do something."""
    idle = {apply.__name__: apply for apply in passes.passes_of_simplify()}
    assert {"simplify", "stabilise", "pull_outer", "place_rows", "simplify_solves", "drop_stops", "sink"} <= set(idle)
    for seed in range(300):
        given = Roots(passes.graph(seed).roots)
        idle = {name: apply for name, apply in idle.items() if apply(given).nodes == given.nodes}
        if not idle:
            break
    assert not idle


@pytest.mark.parametrize("seed", [1480, 3107, 7619])
def test_plans_that_went_wrong(seed: int) -> None:
    """Starts of sums beyond a block, sums of the last block alone, a maximum of whole numbers."""
    (promise,) = (promise for promise in promises.PROMISES if promise.name == "plans")
    assert attempt(promise, seed).problem is None
