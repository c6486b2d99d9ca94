"""Run the benchmark of every model in both types, with one thread and with two, and keep what it found.

    python benchmarks/suite.py [--only classifier,linear] [--dtype float32] [--threads 1] [--rounds 21] [--json FILE]

Each script runs in a process of its own, pinned to as many cores as it has threads.  `results/` then holds the last run of each
model in each combination of type and threads: `medians.json`, a page of tables with the machine of the latest, and a plot of the
rates against the peaks of the same run.  A run of some (`--only`, `--dtype`, `--threads`) replaces their rows alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from bracketc.errors import ToolchainError
from bracketc.options import DTYPES, Options
from bracketc.runtime.toolchain import find_toolchain
from roofline import draw
from tables import Record, combination, page, reference_table, summary

HERE = Path(__file__).resolve().parent
LIBRARIES = ("numpy", "torch", "jax")


def names() -> list[str]:
    """The models that have a benchmark."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def run(name: str, arguments: list[str]) -> list[Record]:
    """One script, with what it prints; ends the program where the script fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "medians.json"
        script = str(HERE / f"bench_{name}.py")
        status = subprocess.run([sys.executable, script, *arguments, "--json", str(file)], check=False).returncode
        if status:
            raise SystemExit(f"bench_{name}.py ended with status {status}: nothing of it is kept")
        return list(json.loads(file.read_text(encoding="utf-8")))


def processor(cpuinfo: str) -> str:
    """The model named in the text of /proc/cpuinfo, else what Python knows.

    >>> processor("model name : Fast One\\nflags : fma avx2 avx512f")
    'Fast One (AVX-512)'
    """
    fields = dict(line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    best = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("sse4_2", "SSE4.2")) if flag in flags), "")
    model = fields.get("model name") or platform.processor() or platform.machine()
    return f"{model} ({best})" if best else model


def compiler() -> str:
    """Name and version of the C compiler."""
    try:
        return find_toolchain(Options()).version.splitlines()[0]
    except ToolchainError:
        return "none"


def machine() -> dict[str, str]:
    """What the figures depend on; neither the name of the machine nor any path."""
    cpuinfo = Path("/proc/cpuinfo")
    found = {
        "processor": processor(cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "compiler": compiler(),
        "python": platform.python_version(),
    }
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "not installed"
    return found


def kept(folder: Path = HERE / "results") -> dict[str, Any]:
    """The last run of each model in each combination."""
    file = folder / "medians.json"
    if not file.exists():
        return {"machine": {}, "records": []}
    return dict(json.loads(file.read_text(encoding="utf-8")))


def merged(old: list[Record], new: list[Record]) -> list[Record]:
    """All records in order, those of ``new`` in place of those of the same model, type and threads."""

    def key(record: Record) -> tuple[str, int, str]:
        return record["dtype"], record["threads"], record["model"]

    replaced = {key(record) for record in new}
    known = names()
    rest = [record for record in old if key(record) not in replaced and record["model"] in known]
    return sorted([*rest, *new], key=lambda record: (*combination(record), known.index(record["model"])))


def keep(folder: Path, new: list[Record]) -> None:
    """Put records among those of the last runs, and write the page and the plots again."""
    described, records = machine(), merged(kept(folder)["records"], new)
    data = {"machine": described, "records": records}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "medians.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(page(records, described), encoding="utf-8")
    for dtype, threads in dict.fromkeys(map(combination, new)):
        chosen = [record for record in records if combination(record) == (dtype, threads)]
        if any("peaks" in record for record in chosen):
            draw(folder / f"roofline-{dtype}-{threads}.svg", chosen)


def main() -> None:
    """Run, print, keep."""
    most = min(2, os.cpu_count() or 1)
    parser = argparse.ArgumentParser(description="the benchmarks of all models")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"some of {', '.join(names())}; only their rows are replaced")
    parser.add_argument("--dtype", default=",".join(DTYPES), metavar="TYPES", help="float32, float64 or both (default)")
    counts = ",".join(str(count) for count in range(1, most + 1))
    parser.add_argument("--threads", default=counts, metavar="COUNTS", help="default: 1,2 where there are two cores")
    parser.add_argument("--rounds", default="21")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="where results are kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records of this run there, too")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else names()
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(names())}")
    start, records = time.monotonic(), []
    for dtype in arguments.dtype.split(","):
        for threads in arguments.threads.split(","):
            found: list[Record] = []
            for name in chosen:
                new = run(name, ["--dtype", dtype, "--threads", threads, "--rounds", arguments.rounds])
                keep(arguments.output, new)
                found += new
            heading = f"{dtype}, {threads} of {os.cpu_count()} cores"
            print("\n".join([heading, "", *reference_table(found), "", *summary(found), ""]), flush=True)
            records += found
    if arguments.json:
        arguments.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(f"kept in {os.path.relpath(arguments.output)}; {(time.monotonic() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
