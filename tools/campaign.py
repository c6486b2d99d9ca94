"""A campaign against our own compiler: each promise tried with seed after seed, for a given time.

    python tools/campaign.py --minutes 10                   all promises, from where the last run ended
    python tools/campaign.py --promise same --seed 1234     one seed again: its source, made small, and both answers
    python tools/campaign.py --again                        every seed that failed: those that hold now are counted as mended
    python tools/campaign.py --page docs/reliability.md     write the table of what has run into the page

`build/campaign.json` keeps which seeds were tried; `--fresh` forgets it. Status 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from promises import PROMISES, ROOT, Promise
from promises.promise import bin_of, quantile
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from workers import Outcome, Workers, attempt

STATE = ROOT / "build" / "campaign.json"
KEPT = 500
"""Failing seeds that are remembered; all are counted."""
SHOWN = 20
"""Of them the table names as many."""
MENDED = "of them had failed until something was mended"


@dataclass
class Tally:
    """What was tried of a promise: the seeds below ``tried``. ``times`` is a histogram."""

    tried: int = 0
    cases: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    seeds: list[int] = field(default_factory=list)
    seconds: float = 0.0
    also: dict[str, int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)


State = dict[str, Tally]


def read(path: Path) -> State:
    """The tallies of earlier runs."""
    if not path.exists():
        return {}
    return {name: Tally(**found) for name, found in json.loads(path.read_text(encoding="utf-8")).items()}


def write(path: Path, state: State) -> None:
    """All or nothing: a campaign may be interrupted at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    other = path.with_suffix(".new")
    other.write_text(json.dumps({name: asdict(tally) for name, tally in state.items()}, indent=1), encoding="utf-8")
    other.replace(path)


def count(tally: Tally, outcome: Outcome) -> None:
    """Adds what came of the next seed."""
    tally.cases += outcome.cases
    if outcome.skipped is not None:
        tally.skipped[outcome.skipped] = tally.skipped.get(outcome.skipped, 0) + 1
    if outcome.problem is not None:
        tally.failures += 1
        tally.seeds = [*tally.seeds, outcome.seed][:KEPT]
    tally.tried = max(tally.tried, outcome.seed + 1)
    tally.seconds += outcome.seconds
    for what, number in outcome.also.items():
        tally.also[what] = tally.also.get(what, 0) + number
    for seconds in outcome.times:
        key = str(bin_of(seconds))
        tally.times[key] = tally.times.get(key, 0) + 1


def campaign(promises: Iterable[Promise], state: State, minutes: float, path: Path = STATE, workers: int = 1) -> None:
    """Every promise gets the same share of the time, and what others that reach their goal leave over."""
    rest = list(promises)
    end = time.monotonic() + 60 * minutes
    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failures]} failed"))
    with Progress(*columns, TimeElapsedColumn()) as progress:
        while rest:
            promise = rest.pop(0)
            tally = state.setdefault(promise.name, Tally())
            share = time.monotonic() + max(0.0, end - time.monotonic()) / (len(rest) + 1)
            bar = progress.add_task(promise.name, total=promise.goal, completed=tally.tried, failures=tally.failures)
            saved = time.monotonic()
            pool = Workers(promise, workers)
            try:
                for outcome in pool.outcomes(tally.tried, lambda seed: seed < promise.goal and time.monotonic() < share):  # noqa: B023
                    count(tally, outcome)
                    if outcome.problem is not None:
                        last = outcome.problem.strip().splitlines()[-1]
                        progress.console.print(f"{promise.name} --seed {outcome.seed}: {last[:200]}", markup=False)
                    if time.monotonic() > saved + 5:
                        write(path, state)
                        saved = time.monotonic()
                    progress.update(bar, completed=tally.tried, failures=tally.failures)
            finally:
                write(path, state)


def again(promise: Promise, seed: int) -> int:
    """One seed with its input and both answers."""
    outcome = attempt(promise, seed)
    print(promise.shrunk(seed))
    why = "" if outcome.skipped is None else f", {outcome.skipped}"
    print(outcome.problem or f"{promise.name} holds: {outcome.cases} {promise.unit}{why}")
    return 1 if outcome.problem else 0


def tried_again(promises: Iterable[Promise], state: State, path: Path = STATE) -> None:
    """Seeds that failed, after something was mended. What holds now is counted, but no longer as a failure."""
    for promise in promises:
        tally = state.get(promise.name, Tally())
        for seed in tuple(tally.seeds):
            outcome = attempt(promise, seed)
            print(f"{promise.name} --seed {seed}: {'fails' if outcome.problem else 'holds'}", flush=True)
            if outcome.problem is None:
                tally.seeds.remove(seed)
                tally.failures -= 1
                tally.also[MENDED] = tally.also.get(MENDED, 0) + 1
                count(tally, replace(outcome, seconds=0.0))
                write(path, state)


# ------------------------------------------------------------------------------------------------- the table
def table(state: State) -> str:
    """Markdown: a line a promise."""
    lines = ["| promise | how it is tested | tried | failures | a seed | command |", "|---|---|---|---|---|---|"]
    for promise in PROMISES:
        tally = state.get(promise.name, Tally())
        tried = f"{tally.tried:,} of {promise.goal:,} seeds, {tally.cases:,} {promise.unit}"
        tried += "".join(f"; {count:,} {what}" for what, count in sorted(tally.also.items()))
        if tally.times:
            tried += f"; 99 % within {1e3 * quantile(tally.times, 0.99):.2g} ms {promise.per}"
        tried += "".join(f"; {count:,} skipped: {why}" for why, count in sorted(tally.skipped.items()))
        failed = f"{tally.failures}" + (f" (seeds {', '.join(map(str, tally.seeds[:SHOWN]))})" if tally.seeds else "")
        seconds = f"{tally.seconds / tally.tried:.2g} s" if tally.tried else ""
        command = f"`make campaign ARGS='--only {promise.name}'`"
        lines.append(f"| {promise.title} | {promise.how} | {tried} | {failed} | {seconds} | {command} |")
    return "\n".join(lines)


def machine() -> str:
    """What it ran on, in a line."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text(encoding="utf-8")) if info.exists() else None
    cpu = found[1].strip() if found else platform.processor() or platform.machine()
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}"


def renew(page: Path, state: State) -> None:
    """Replaces what stands between the two marks of the page."""
    seconds = sum(tally.seconds for tally in state.values())
    block = f"<!-- campaign -->\n{table(state)}\n\n{seconds / 60:.1f} minutes of one core of: {machine()}.\n<!-- end -->"
    text = page.read_text(encoding="utf-8")
    new, count = re.subn(r"<!-- campaign -->.*<!-- end -->", lambda _: block, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{page} has no place for the table: <!-- campaign --> … <!-- end -->")
    page.write_text(new, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    known = {promise.name: promise for promise in PROMISES}
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10.0)
    names = ", ".join(known)
    options.add_argument("--only", "--promise", nargs="+", choices=known, default=list(known), metavar="PROMISE", help=names)
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; as many as there are cores")
    options.add_argument("--seed", type=int, help="try this seed of one promise again")
    options.add_argument("--again", action="store_true", help="try only the seeds that failed")
    options.add_argument("--fresh", action="store_true", help="forget what earlier runs tried of these promises")
    options.add_argument("--page", type=Path, help="write the table into this page, and try nothing")
    options.add_argument("--state", type=Path, default=STATE)
    given = options.parse_args(arguments)
    chosen = [known[name] for name in given.only]
    if given.seed is not None:
        return max(again(promise, given.seed) for promise in chosen)
    state = read(given.state)
    if given.page is not None:
        renew(given.page, state)
        return 0
    if given.fresh:
        state = {name: tally for name, tally in state.items() if name not in given.only}
    if given.again:
        tried_again(chosen, state, given.state)
    else:
        campaign(chosen, state, given.minutes, given.state, given.workers)
    print(table(state))
    return 1 if any(state.get(promise.name, Tally()).failures for promise in chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
