"""Time several calls against each other.

A machine is never quiet: it changes its clock, other processes come and go.  Timing one contender after the other hands
such a change to one of them; here every round times each contender once, so that a slow moment hits all of them, and
the figure is the median over rounds with the quartiles as its spread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds a call took: median, lower and upper quartile over rounds, and the least of them where it is known."""

    median: float
    lower: float
    upper: float
    rounds: int
    least: float = field(default=0.0, compare=False)

    @property
    def spread(self) -> float:
        """Distance of the quartiles relative to the median: 0.05 means that half of the rounds lie within 5 %."""
        return (self.upper - self.lower) / self.median if self.median else 0.0


def summarise(seconds: list[float]) -> Timing:
    """Median and quartiles of the rounds of one contender.

    >>> summarise([4.0, 1.0, 2.0, 3.0, 5.0])
    Timing(median=3.0, lower=2.0, upper=4.0, rounds=5, least=1.0)
    """
    if len(seconds) == 1:
        return Timing(seconds[0], seconds[0], seconds[0], 1, seconds[0])
    lower, median, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    return Timing(median, lower, upper, len(seconds), min(seconds))


def interleave(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 15,
    seconds: float = 0.03,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time every call in every round, repeated so that a round takes about ``seconds``, after two calls to warm up.

    Who repeats a call in a turn calls once before the clock starts: the contender before leaves other data in the caches, and
    threads that still look for work.
    """
    repeats = {name: _repeats(call, seconds, clock) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            count = repeats[name]
            if count > 1:
                call()
            start = clock()
            for _ in range(count):
                call()
            samples[name].append((clock() - start) / count)
    return {name: summarise(values) for name, values in samples.items()}


def _repeats(call: Callable[[], object], seconds: float, clock: Callable[[], float]) -> int:
    """How often to run a call so that one round takes about ``seconds``."""
    call()
    call()
    start = clock()
    call()
    once = max(clock() - start, 1e-7)
    return max(1, min(20_000, round(seconds / once)))
