"""How long a model takes to build, from nothing: each in a process of its own, no cache, on as many cores as there are.

    python benchmarks/builds.py [--only classifier] [--dtype float32] [--threads 1] [--march native] [--rounds 3] [--json FILE]

Seconds by the clock for importing bracketc, for its own work (from the source to C) and for the C compiler with loading; the
medians of the rounds. `processor` is what all processes of a build took together: what a busy machine does not change.
Python keeps its byte code, as it does where nothing forbids it, and templates theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

MODELS = Path(__file__).resolve().parent.parent / "models"
PARTS = ("import", "bracketc", "C compiler", "all", "processor")
GOAL = "classifier", 3.0
"""Seconds in which a model of this size is to be built."""


def build_once(source: str, dtype: str, threads: int, march: str) -> dict[str, float]:
    """In this process, which must be fresh."""
    start = time.perf_counter()
    import bracketc as bc
    from bracketc.compiler import emit, stages, stem
    from bracketc.options import read_options
    from bracketc.runtime.extension import load_extension

    imported = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        options = read_options({"dtype": dtype, "threads": threads, "march": march, "cache_dir": folder})
        program = bc.load(source)
        text = emit(stages(program, options), stem(program), options)
        emitted = time.perf_counter()
        assert text.glue is not None
        load_extension(stem(program), text.files, text.glue, options)
        end = time.perf_counter()
    processor = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    parts = (imported - start, emitted - imported, end - emitted, end - start, processor)
    return dict(zip(PARTS, parts, strict=True))


def build(source: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """The medians of several builds."""
    settings = (arguments.dtype, str(arguments.threads), arguments.march)
    command = (sys.executable, str(Path(__file__).resolve()), "--once", str(source), *settings)
    around = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    rounds = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=around).stdout)
        for _ in range(arguments.rounds)
    ]
    return {part: statistics.median(each[part] for each in rounds) for part in PARTS}


def chosen(part: str) -> list[Path]:
    """Models with this in their name."""
    return sorted(path for path in MODELS.glob("*.brk") if part in path.stem)


def main(words: Sequence[str]) -> None:
    """Build, print, and write what was found."""
    if words[:1] == ["--once"]:
        print(json.dumps(build_once(words[1], words[2], int(words[3]), words[4])))
        return
    parser = argparse.ArgumentParser(description="how long models take to build")
    parser.add_argument("--only", default="", metavar="TEXT", help="models with this in their name")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--march", default="native")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the seconds there, too")
    arguments = parser.parse_args(words)
    table = Table(title=f"Cold builds, {arguments.dtype}, {arguments.march}", title_justify="left", title_style="bold", box=None)
    table.add_column("")
    for part in PARTS:
        table.add_column(part, justify="right")
    records = {}
    for source in chosen(arguments.only):
        records[source.stem] = found = build(source, arguments)
        table.add_row(source.stem, *(f"{found[part]:.2f} s" for part in PARTS))
    console = Console(highlight=False)
    console.print(table)
    model, goal = GOAL
    if model in records:
        console.print(f"\n{model}: {records[model]['all']:.2f} s (goal {goal:g} s)")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
