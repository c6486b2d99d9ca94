"""Seeds tried by several processes at once, their outcomes in the order of the seeds.

A seed that ends its process, by a crash or by a call that never comes back, is a breach like any other: the process is replaced.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from promises import Breach, Counted, Promise, Skip

LIFE = 500
"""Seeds after which a process is replaced, so that memory is given back."""
GRACE = 30.0
"""Seconds beyond the limit of a promise after which a process is ended from outside."""

_CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed: how many cases hold, or why it says nothing, or what broke."""

    seed: int
    cases: int = 0
    skipped: str | None = None
    problem: str | None = None
    seconds: float = 0.0
    also: Mapping[str, int] = field(default_factory=dict)
    times: Sequence[float] = ()


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """A check that takes longer is a breach: it may never end."""

    def stop(*_: object) -> None:
        raise Breach(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempt(promise: Promise, seed: int) -> Outcome:
    """Tries one seed in this process."""
    before = time.monotonic()
    found, skipped, problem = Counted(0), None, None
    try:
        with _at_most(promise.limit):
            made = promise.check(seed)
        found = made if isinstance(made, Counted) else Counted(made)
    except Skip as reason:
        skipped = str(reason)
    except Breach as breach:
        problem = str(breach)
    except Exception:
        problem = traceback.format_exc()
    return Outcome(seed, found.cases, skipped, problem, time.monotonic() - before, found.also, found.times)


def _serve(promise: Promise, ours: Connection, theirs: Connection) -> None:
    theirs.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the campaign itself is interrupted, and ends its processes
    parent = os.getppid()
    while os.getppid() == parent:  # a campaign that is killed cannot say so
        if ours.poll(5.0):
            ours.send(attempt(promise, ours.recv()))


@dataclass
class _Worker:
    """A process, the seed that it is at, and since when."""

    process: BaseProcess
    pipe: Connection
    seed: int
    since: float
    done: int = 0

    def give(self, seed: int) -> None:
        self.seed, self.since = seed, time.monotonic()
        self.pipe.send(seed)

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


@dataclass
class Workers:
    """``count`` processes that try seeds of ``promise``."""

    promise: Promise
    count: int
    running: list[_Worker] = field(default_factory=list)

    def outcomes(self, first: int, wanted: Callable[[int], bool]) -> Iterator[Outcome]:
        """Outcomes of the seeds from ``first`` on, in order, as long as ``wanted`` says so of the next one; every seed that was
        begun is finished."""
        following = first
        early: dict[int, Outcome] = {}
        try:
            while len(self.running) < self.count and wanted(following):
                self._start(following)
                following += 1
            expected = first
            while self.running:
                for worker, outcome in self._finished():
                    early[outcome.seed] = outcome
                    self.running.remove(worker)
                    if not wanted(following):
                        worker.end()
                        continue
                    if worker.done >= LIFE or not worker.process.is_alive():
                        worker.end()
                        self._start(following)
                    else:
                        self.running.append(worker)
                        worker.give(following)
                    following += 1
                while expected in early:
                    yield early.pop(expected)
                    expected += 1
        finally:
            for worker in self.running:
                worker.end()
            self.running.clear()

    def _start(self, seed: int) -> None:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_serve, args=(self.promise, theirs, ours), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours, seed, time.monotonic())
        worker.give(seed)
        self.running.append(worker)

    def _finished(self) -> list[tuple[_Worker, Outcome]]:
        """Those that have answered, died, or taken too long; waits for a second at most."""
        ready = wait([worker.pipe for worker in self.running], timeout=1.0)
        found = []
        for worker in self.running:
            seconds = time.monotonic() - worker.since
            if worker.pipe in ready:
                try:
                    outcome = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    worker.process.join()
                    code = worker.process.exitcode
                    outcome = Outcome(worker.seed, problem=f"the process ended with status {code}", seconds=seconds)
                worker.done += 1
                found.append((worker, outcome))
            elif seconds > self.promise.limit + GRACE:
                worker.process.kill()
                worker.process.join()
                found.append((worker, Outcome(worker.seed, problem=f"no answer within {seconds:.0f} s", seconds=seconds)))
        return found
