"""What holds of the cache of built modules, whatever happens around it; tests try it a few times, the campaign many times."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bracketc.runtime.cache import TEMPLATES

ROOT = Path(__file__).resolve().parent.parent

BUILD = """\
import sys
import bracketc as bc
factor = sys.argv[1]
module = bc.compile(f"dim N\\nparam x : N\\nJ = {factor} (x · x)\\ngradient J wrt x", cflags=("-O0",))
value, gradients = module.value_and_grad([1.0, 2.0])
assert value == 5 * float(factor) and gradients.x.tolist() == [2 * float(factor), 4 * float(factor)], (value, gradients)
print("right")
"""
"""A process that builds a small module, or finds it, and calls it."""


def started(factor: int, cache: Path, around: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BRACKETC_CACHE_DIR": str(cache), **(around or {})}
    environment = {name: value for name, value in environment.items() if value}
    command = [sys.executable, "-c", BUILD, str(factor)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ended(process: subprocess.Popen[str]) -> None:
    """It computed the right numbers."""
    out, err = process.communicate()
    assert process.returncode == 0 and out == "right\n", err


def folders(cache: Path) -> list[str]:
    """Those of builds, by name."""
    return sorted(path.name for path in cache.iterdir() if path.is_dir() and path.name != TEMPLATES)


def at_once(cache: Path, processes: int, models: int) -> None:
    """Processes that build the same and other models at the same time: all are right, and each model is there once."""
    for process in [started(1 + k % models, cache) for k in range(processes)]:
        ended(process)
    assert len(folders(cache)) == models, folders(cache)


def killed(cache: Path, seed: int) -> bool:
    """A build that is ended at a random moment, with its compiler or without, and the same build again; whether it was a build."""
    chance = random.Random(seed)
    factor = 2 + seed
    process = started(factor, cache)
    begin = time.monotonic()
    while not (busy := any(cache.glob("*.lock"))) and process.poll() is None and time.monotonic() < begin + 60:
        time.sleep(0.001)
    time.sleep(chance.random() * 0.5)
    if chance.random() < 0.5:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
    half = busy and not any(cache.glob("*/complete"))
    ended(started(factor, cache))
    assert len(folders(cache)) == 1
    return half
