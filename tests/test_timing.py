"""Timings: every contender is timed in every round, and the summary is what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bracketc.bench.figure import draw_comparison
from bracketc.bench.peaks import READ, Rates, probes, rates
from bracketc.bench.pinning import pinned_environment, quiet_cores
from bracketc.bench.report import bar, human, timing_table
from bracketc.bench.timing import Timing, interleave, summarise
from bracketc.errors import ToolchainError
from bracketc.options import read_options


class Clock:
    """A clock that moves only when a call says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.now += seconds

        return call


def test_medians_are_the_time_of_one_call() -> None:
    clock = Clock()
    timings = interleave({"slow": clock.work(0.5), "fast": clock.work(0.01)}, rounds=3, seconds=0.1, clock=clock)
    assert timings["slow"].median == pytest.approx(0.5)
    assert timings["fast"].median == pytest.approx(0.01)
    assert timings["fast"].rounds == 3


def test_rounds_alternate_between_contenders() -> None:
    clock, order = Clock(), []

    def contender(name: str) -> Callable[[], None]:
        def call() -> None:
            order.append(name)
            clock.now += 1.0

        return call

    interleave({"a": contender("a"), "b": contender("b")}, rounds=3, seconds=1.0, clock=clock)
    assert order == ["a"] * 3 + ["b"] * 3 + ["a", "b"] * 3


def test_a_single_round_has_no_spread() -> None:
    assert summarise([2.0]) == Timing(2.0, 2.0, 2.0, 1)
    assert summarise([2.0]).spread == 0.0


def test_quartiles_show_an_unquiet_machine() -> None:
    assert summarise([1.0, 2.0, 3.0, 4.0, 5.0]) == Timing(3.0, 2.0, 4.0, 5)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0456, "45.6 ms"), (1.23e-5, "12.3 µs"), (5e-8, "50 ns")]
)
def test_durations_carry_their_unit(seconds: float, text: str) -> None:
    assert human(seconds) == text


def test_the_table_shows_ratios_to_its_unit() -> None:
    table = timing_table("t", {"a": Timing(1.0, 1.0, 1.0, 1), "b": Timing(2.5, 2.5, 2.5, 1)}, "a")
    assert list(table.columns[3].cells) == ["1.00", "2.50"]


def test_the_table_begins_with_the_fastest() -> None:
    table = timing_table("t", {"slow": Timing(2.0, 2.0, 2.0, 1), "fast": Timing(1.0, 1.0, 1.0, 1)}, "fast", flops=10**9)
    assert [str(cell) for cell in table.columns[0].cells] == ["fast", "slow"]
    assert list(table.columns[3].cells) == ["1", "0.5"]


def test_bars_are_as_long_as_their_share_and_never_empty() -> None:
    assert [len(bar(share, 8)) for share in (1.0, 0.5, 0.25, 0.0)] == [8, 4, 2, 1]
    assert bar(1 / 64, 8) == "▏"


@pytest.mark.parametrize("threads", [1, 2])
def test_pinning_is_reached_in_one_restart(threads: int) -> None:
    once = pinned_environment({"PATH": "p", "XLA_FLAGS": "--mine"}, threads)
    assert once["OMP_NUM_THREADS"] == once["BRACKETC_NUM_THREADS"] == once["NPROC"] == str(threads)
    assert once["XLA_FLAGS"].startswith("--mine")
    assert pinned_environment(once, threads) == once


def test_the_flags_that_keep_xla_to_one_thread_go_when_there_are_more() -> None:
    alone = pinned_environment({}, 1)
    assert "intra_op_parallelism_threads=1" in alone["XLA_FLAGS"]
    assert "intra_op_parallelism_threads=1" not in pinned_environment(alone, 2)["XLA_FLAGS"]


def test_the_last_cores_are_the_quiet_ones() -> None:
    assert quiet_cores({0, 2, 5}) == {5}
    assert quiet_cores({0, 2, 5}, 2) == {2, 5}
    assert quiet_cores({3}, 2) == {3}


def test_whoever_repeats_a_call_is_called_once_before_the_clock_starts() -> None:
    clock, order = Clock(), []

    def call() -> None:
        order.append(clock.now)
        clock.now += 1.0

    timings = interleave({"a": call}, rounds=1, seconds=3.0, clock=clock)
    assert len(order) == 3 + 1 + 3
    assert timings["a"].median == 1.0


def test_a_program_restarts_itself_on_one_core(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from bracketc.bench.pinning import restart_on_one_core\n"
        "restart_on_one_core()\n"
        "cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1\n"
        "print(cores, os.environ['OMP_NUM_THREADS'], *sys.argv[1:])\n"
    )
    command = [sys.executable, str(script), "an argument"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    assert done.stdout.split("\n")[0] == "1 1 an argument"


def test_probes_say_what_they_do() -> None:
    options = read_options({})
    try:
        found = probes("float64", 1, 100_000, options)
    except ToolchainError:
        pytest.skip("no C compiler on this machine")
    timings = interleave({name: probe.call for name, probe in found.items()}, rounds=2, seconds=1e-4)
    rate = rates(found, timings)
    assert rate.flops > 1e8 and rate.bytes > 1e8
    assert found[READ].amount == pytest.approx(4_000_000, rel=0.05)


def test_a_roofline_is_drawn_with_both_of_its_roofs(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "out.svg"
    draw_comparison(str(path), "title", {"bracketc C": 1e-6, "JAX, jit": 1e-4}, 1e5, 1e4, Rates(2e11, 1e11))
    drawn = path.read_text(encoding="utf-8")
    assert "multiply-adds: 200 Gflop/s" in drawn and "reads: 100 GB/s" in drawn and "JAX, jit" in drawn
