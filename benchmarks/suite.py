"""Run the benchmark of every model, and keep what it found.

    python benchmarks/suite.py [--only classifier,linear] [--dtype float32] [--rounds 41] [--output FOLDER]

Each script runs in a process of its own, pinned to one core.  `results/` then holds the last run of each model:
`medians.json`, and a table with the machine of the latest.  A run of some models (`--only`) replaces their rows alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from bracketc.bench.report import human
from bracketc.errors import ToolchainError
from bracketc.options import Options
from bracketc.runtime.toolchain import find_toolchain

HERE = Path(__file__).resolve().parent
OURS = ("bracketc C, bound", "bracketc C", "bracketc NumPy")
PEERS = ("NumPy by hand", "PyTorch", "torch.compile", "JAX jit")
LIBRARIES = ("numpy", "torch", "jax")

Record = Mapping[str, Any]


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
            raise SystemExit(f"bench_{name}.py ended with status {status}: nothing is kept")
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
        "cores": f"1 of {os.cpu_count()} used",
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


def best_peer(record: Record) -> tuple[str, float]:
    """The fastest of the others, and its median in seconds."""
    medians = {name: record["contenders"][name]["median"] for name in PEERS if name in record["contenders"]}
    name = min(medians, key=lambda name: medians[name])
    return name, medians[name]


def factor(record: Record) -> float:
    """How many times as fast as the best peer bracketc is, called as the peers are."""
    ours = next(name for name in ("bracketc C", "bracketc NumPy") if name in record["contenders"])
    return float(best_peer(record)[1] / record["contenders"][ours]["median"])


def table(records: list[Record]) -> Iterator[str]:
    """The records as lines of Markdown."""
    columns = [name for name in (*OURS, *PEERS) if any(name in record["contenders"] for record in records)]
    yield f"| model | sizes | {' | '.join(columns)} | best peer / bracketc C |"
    yield f"|---|---|{'---:|' * len(columns)}---|"
    for record in records:
        medians = [record["contenders"].get(name) for name in columns]
        cells = [human(found["median"]) if found else "" for found in medians]
        sizes = ", ".join(f"{name} {size:,}" for name, size in record["sizes"].items())
        yield f"| {record['model']} | {sizes} | {' | '.join(cells)} | **{factor(record):.2f}** ({best_peer(record)[0]}) |"


def short_table(records: list[Record]) -> Iterator[str]:
    """The smallest and the largest sizes of each model against its best peer."""
    yield "| model | sizes | bracketc C | NumPy by hand | best peer | times as fast as it |"
    yield "|---|---|---:|---:|---|---:|"
    for name in dict.fromkeys(record["model"] for record in records):
        rows = [record for record in records if record["model"] == name]
        for record in (rows[0], rows[-1]):
            sizes = ", ".join(f"{size} {number:,}" for size, number in record["sizes"].items())
            ours, by_hand = (human(record["contenders"][key]["median"]) for key in ("bracketc C", "NumPy by hand"))
            peer, seconds = best_peer(record)
            yield f"| {name} | {sizes} | {ours} | {by_hand} | {peer}, {human(seconds)} | {factor(record):.1f} |"


def kept() -> dict[str, Any]:
    """The last run of each model."""
    return dict(json.loads((HERE / "results" / "medians.json").read_text(encoding="utf-8")))


def page(records: list[Record], described: Mapping[str, str], dtype: str) -> str:
    """The page of results."""
    slower = [record for record in records if factor(record) < 1]
    lines = [
        "# The last run of each model",
        "",
        f"Written by `make bench`: value and gradients of each model in {dtype}, medians of interleaved rounds on one core.",
        "Contenders of a row were timed in turns in one run, rows of different models in runs of their own. Results of all",
        "contenders were compared with float64 before anything was timed. *bound* calls reuse checked arguments and preallocated",
        "results; every other call takes its arguments and returns new arrays. The last column compares bracketc C, called with",
        "arguments, with the fastest peer.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in described.items()),
        "",
        *table(records),
        "",
    ]
    if slower:
        lines += ["Slower than the best peer:", ""]
        lines += [
            f"* {record['model']}, {', '.join(f'{name} {size:,}' for name, size in record['sizes'].items())}: "
            f"{1 / factor(record):.2f} times the time of {best_peer(record)[0]}"
            for record in slower
        ]
    else:
        lines.append("bracketc C is the fastest in every row.")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description="the benchmarks of all models, one core")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"some of {', '.join(names())}; only their rows are replaced")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--rounds", default="41")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else names()
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(names())}")
    records = [
        record
        for name in chosen
        for record in run(name, ["--dtype", arguments.dtype, "--rounds", arguments.rounds])
    ]
    if arguments.only:
        others = [record for record in kept()["records"] if record["model"] not in chosen]
        if any(record["dtype"] != arguments.dtype for record in others):
            print(f"nothing is kept: the rows of the other models are not in {arguments.dtype}")
            return
        records = sorted([*others, *records], key=lambda record: names().index(record["model"]))
    described = machine()
    arguments.output.mkdir(parents=True, exist_ok=True)
    data = {"machine": described, "records": records}
    (arguments.output / "medians.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (arguments.output / "README.md").write_text(page(records, described, arguments.dtype), encoding="utf-8")
    print(f"kept in {os.path.relpath(arguments.output)}")


if __name__ == "__main__":
    main()
