"""All benchmarks, one after the other: what `make bench` runs.

    python benchmarks/all.py [--only models,products] [--rounds 5]

Each step is a script that runs alone, too. A step that fails, because a result is wrong, does not keep the others from running;
the status is 1 then.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DTYPES = ("float32", "float64")
THREADS = ("1", "2") if (os.cpu_count() or 1) > 1 else ("1",)

STEPS: dict[str, list[tuple[str, ...]]] = {
    "models": [("suite.py",)],
    "contractions": [("contractions.py", "--dtype", dtype) for dtype in DTYPES],
    "products": [("products.py", "--dtype", dtype, "--threads", threads) for threads in THREADS for dtype in DTYPES],
    "hessians": [("hessian.py",), ("hvp.py",)],
    "calls": [("calls.py",)],
    "builds": [("builds.py",)],
}
"""Commands by the name of a step."""
ROUNDLESS = ("builds.py",)
"""Scripts whose rounds are builds, not calls."""


def minutes(seconds: float) -> str:
    """A duration as people say it.

    >>> minutes(95), minutes(20)
    ('1.6 minutes', '20 s')
    """
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description="all benchmarks")
    parser.add_argument("--only", default=",".join(STEPS), metavar="STEPS", help=f"some of {', '.join(STEPS)}")
    parser.add_argument("--rounds", metavar="N", help="turns of every contender (default: as each script has it)")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if unknown := sorted(set(chosen) - set(STEPS)):
        parser.error(f"no such step: {', '.join(unknown)}; there are {', '.join(STEPS)}")
    start = time.monotonic()
    took: dict[str, float] = {}
    failed: list[str] = []
    for step in chosen:
        begin = time.monotonic()
        for script, *words in STEPS[step]:
            more = ["--rounds", arguments.rounds] if arguments.rounds and script not in ROUNDLESS else []
            command = [sys.executable, str(HERE / script), *words, *more]
            print(f"\n=== {script} {' '.join(words + more)}\n", flush=True)
            if subprocess.run(command, check=False).returncode:
                failed.append(f"{script} {' '.join(words)}".strip())
        took[step] = time.monotonic() - begin
    print(f"\n{', '.join(f'{step} {minutes(seconds)}' for step, seconds in took.items())}")
    print(f"all of it: {minutes(time.monotonic() - start)}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
