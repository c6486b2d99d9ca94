"""Bad input never shows a traceback, and is told quickly."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from functools import cache
from hashlib import sha256

import fuzz

from promises.promise import ROOT, Breach, Counted, Promise

BLOCK = 100
"""Sources of one seed, so that the slowest hundredth of them is known."""

EVERY = 50
"""One block of so many is read again in two processes with other hash seeds."""


def _bad(seed: int) -> str | bytes:
    make = fuzz.mutated_bytes if seed % 4 == 3 else fuzz.mutated
    return make(_corpus(), random.Random(seed))


def _text(seed: int) -> str:
    return "\n\n".join(repr(_bad(seed * BLOCK + k)) for k in range(BLOCK))


@cache
def _corpus() -> list[str]:
    return fuzz.corpus()


def messages(seed: int, stages: bool = False) -> str:
    """A digest of what is said of the sources of a block."""
    digest = sha256()
    for k in range(BLOCK):
        message, _ = fuzz.outcome(_bad(seed * BLOCK + k), stages)
        digest.update(message.replace(fuzz.folder(), "").encode() + b"\0")
    return digest.hexdigest()


def bad_input(seed: int) -> Counted:
    """A block of mutated sources in the front end, every tenth block through all stages; with the times of the former."""
    stages = seed % 10 == 0
    times = []
    for k in range(BLOCK):
        source = _bad(seed * BLOCK + k)
        before = time.process_time()
        trace = fuzz.failure(source, stages)
        times.append(((time.process_time() - before) / max(1.0, len(source) / 1000), source))
        if trace is not None:
            raise Breach(f"{source!r}\n{trace}")
    slowest = sorted(times, key=lambda pair: pair[0])[-2]
    if not stages and slowest[0] > fuzz.LIMIT:
        raise Breach(f"two of {BLOCK} sources take over {fuzz.LIMIT} s a kilobyte: {slowest[0]:.2f} s for {slowest[1][:2000]!r}")
    if seed % EVERY == EVERY - 1:
        _same_in_every_process(seed)
    return Counted(BLOCK, {"of them in all stages": BLOCK * stages}, () if stages else [taken for taken, _ in times])


def _same_in_every_process(seed: int) -> None:
    code = f"import sys; sys.path[:0] = {[str(ROOT / 'tools'), str(ROOT)]!r}\n"
    code += f"from promises.bad_input import messages; print(messages({seed}))"
    found = {messages(seed)}
    for other in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": other}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
        found.add(done.stdout.strip() or done.stderr)
    if len(found) > 1:
        raise Breach(f"messages differ from process to process: {found}")


PROMISES = (
    Promise(
        "bad-input", "bad input never shows a traceback",
        f"{BLOCK} sources with characters, words, groups and bytes mutated, in the front end; every tenth {BLOCK} in all"
        f" stages; all but one of {BLOCK} within {fuzz.LIMIT} s a kilobyte; every {EVERY}th {BLOCK} again under two hash seeds",
        bad_input, _text, 1_000_000 // BLOCK, "sources", 300.0, "a kilobyte",
    ),
)  # fmt: skip
