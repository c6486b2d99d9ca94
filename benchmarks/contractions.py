"""General tensor contractions against `torch.einsum`, `numpy.einsum(optimize=True)` and `jnp.einsum`, on one core.

    python benchmarks/contractions.py [--dtype float32] [--only NAMES] [--rounds 15] [--json FILE]

Orders 3 to 6, from quantum chemistry (coupled cluster, integral transformations) and machine learning. `stride` marks those
in which no contracted label has unit stride in either operand, `batch` those with labels that both operands and the result
carry. Every one is compared with float64 NumPy before it is timed; all return new arrays. The C library is asked once to keep what
is given back to it, as programs with large arrays do without meaning to: else it depends on what ran before whether a new array
of a peer is made of fresh pages.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, log, prod
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import bracketc as bc
from bracketc.bench.pinning import restart_on_one_core
from bracketc.bench.report import human
from bracketc.bench.timing import interleave

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
PEERS = ("numpy", "torch", "jax")
GOAL, FLOOR = 1.5, 0.9
"""Of the geometric mean over the best peer, and of the smallest ratio."""


@dataclass(frozen=True, slots=True)
class Contraction:
    """Two factors and a result by their labels; each label with its size."""

    name: str
    left: str
    right: str
    out: str
    sizes: Mapping[str, int]

    @property
    def batch(self) -> str:
        return "".join(x for x in self.out if x in self.left and x in self.right)

    @property
    def summed(self) -> str:
        return "".join(x for x in dict.fromkeys(self.left + self.right) if x not in self.out)

    @property
    def strided(self) -> bool:
        """Whether no contracted label is the last one of an operand."""
        return self.left[-1] not in self.summed and self.right[-1] not in self.summed

    @property
    def flops(self) -> int:
        return 2 * prod(self.sizes[x] for x in dict.fromkeys(self.left + self.right))

    @property
    def spec(self) -> str:
        return f"{self.left},{self.right}->{self.out}"

    @property
    def source(self) -> str:
        """The contraction as a program, its sizes bound.

        >>> print(of("product", "ik", "kj", "ij", i=2, j=3, k=4).source)
        input A : 2, 4
        input B : 4, 3
        C = (A_ik B_kj | ij)
        <BLANKLINE>
        """
        shapes = (", ".join(str(self.sizes[x]) for x in labels) for labels in (self.left, self.right))
        declared = "".join(f"input {name} : {shape}\n" for name, shape in zip("AB", shapes, strict=True))
        return f"{declared}C = (A_{self.left} B_{self.right} | {self.out})\n"


def of(name: str, left: str, right: str, out: str, **sizes: int) -> Contraction:
    return Contraction(name, left, right, out, sizes)


CONTRACTIONS = (
    # coupled cluster and integral transformations
    of("ccsd particle ladder", "efij", "abef", "abij", a=24, b=24, e=24, f=24, i=12, j=12),
    of("ccsd hole ladder", "abmn", "mnij", "abij", a=40, b=40, m=12, n=12, i=12, j=12),
    of("ccsd ring", "aeim", "mbej", "abij", a=24, b=24, e=24, i=12, j=12, m=12),
    of("ccsd ring, crossed", "eami", "bmje", "abij", a=24, b=24, e=24, i=12, j=12, m=12),
    of("ccsd(t) triples", "efbc", "aeij", "abcfij", a=8, b=8, c=8, e=16, f=8, i=8, j=8),
    of("ccsd(t) triples, hole", "abim", "mcjk", "abcijk", a=10, b=10, c=10, i=10, j=10, k=10, m=20),
    of("ccsd singles to doubles", "aeij", "be", "abij", a=48, b=48, e=48, i=14, j=14),
    of("intermediate Wmbij", "mbef", "efij", "mbij", m=12, b=32, e=32, f=32, i=12, j=12),
    of("integral transformation 1", "pi", "pqrs", "iqrs", p=40, q=40, r=40, s=40, i=40),
    of("integral transformation 2", "qj", "iqrs", "ijrs", i=40, q=40, r=40, s=40, j=40),
    of("integral transformation 3", "rk", "ijrs", "ijks", i=40, j=40, r=40, s=40, k=40),
    of("integral transformation 4", "sl", "ijks", "ijkl", i=40, j=40, k=40, s=40, l=40),
    of("density fitting", "Qpr", "Qqs", "pqrs", Q=64, p=24, q=24, r=24, s=24),
    of("density matrix", "aijk", "bijk", "ab", a=128, b=128, i=24, j=24, k=24),
    # machine learning
    of("attention scores", "bthe", "bshe", "bhts", b=8, t=128, s=128, h=8, e=32),
    of("attention values", "bhts", "bshe", "bthe", b=8, t=128, s=128, h=8, e=32),
    of("attention projection", "bthe", "hed", "btd", b=8, t=128, h=8, e=32, d=256),
    of("attention backward", "bhts", "bthe", "bshe", b=8, t=128, s=128, h=8, e=32),
    of("attention, small heads", "bthe", "bshe", "bhts", b=32, t=32, s=32, h=8, e=16),
    of("per-head weights", "bhe", "hef", "bhf", b=512, h=16, e=64, f=64),
    of("experts", "gtd", "gdh", "gth", g=8, t=128, d=128, h=256),
    of("bilinear layer", "bi", "ijo", "bjo", b=128, i=64, j=64, o=64),
    of("tensor train", "arib", "bsjc", "arsijc", a=12, r=8, i=12, b=24, s=8, j=12, c=12),
    of("tensor ring, batched", "nab", "nbc", "nac", n=2048, a=16, b=16, c=16),
    of("tiny batched products", "nab", "nbc", "nac", n=16384, a=4, b=4, c=4),
    of("batched outer", "ni", "nj", "nij", n=4096, i=32, j=32),
    of("batched matrix by vector", "nij", "nj", "ni", n=1024, i=64, j=64),
    of("batched vector by matrix", "ni", "nij", "nj", n=1024, i=64, j=64),
    of("Khatri-Rao", "ir", "jr", "ijr", i=256, j=256, r=32),
    of("MTTKRP by a Khatri-Rao", "ijk", "jkr", "ir", i=128, j=64, k=64, r=32),
    of("convolution as a product", "nxyuvc", "uvcf", "nxyf", n=4, x=16, y=16, u=3, v=3, c=16, f=32),
    of("Gram matrices of channels", "nchw", "ndhw", "ncd", n=16, c=32, d=32, h=16, w=16),
    of("batch last", "mkn", "kpn", "mpn", m=32, k=32, p=32, n=256),
)


def contenders(case: Contraction, dtype: str, against: tuple[str, ...]) -> dict[str, Callable[[], Any]]:
    """Calls by name, bracketc first."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal([case.sizes[x] for x in labels]).astype(dtype) for labels in (case.left, case.right))
    module = bc.compile(case.source, backend="c", dtype=dtype)
    found: dict[str, Callable[[], Any]] = {"bracketc C": lambda: module.evaluate(a, b).C}
    if "numpy" in against:
        found["numpy.einsum"] = lambda: np.einsum(case.spec, a, b, optimize=True)
    if "torch" in against and importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        first, second = torch.from_numpy(a), torch.from_numpy(b)
        found["torch.einsum"] = lambda: torch.einsum(case.spec, first, second)
    if "jax" in against and importlib.util.find_spec("jax"):
        import jax

        jax.config.update("jax_enable_x64", dtype == "float64")
        step = jax.jit(lambda x, y: jax.numpy.einsum(case.spec, x, y))
        placed = jax.numpy.asarray(a), jax.numpy.asarray(b)
        found["jnp.einsum, jit"] = lambda: jax.block_until_ready(step(*placed))
    reference = np.einsum(case.spec, a.astype(float), b.astype(float), optimize=True)
    scale = float(np.max(np.abs(reference))) or 1.0
    for name, call in found.items():
        worst = float(np.max(np.abs(np.asarray(call(), dtype=float) - reference))) / scale
        if not worst <= TOLERANCE[dtype]:
            raise SystemExit(f"{name} is wrong at {case.name}: it differs from float64 NumPy by {worst:.2g} (relative)")
    return found


def record(case: Contraction, dtype: str, against: tuple[str, ...], rounds: int) -> dict[str, Any]:
    timings = interleave(contenders(case, dtype, against), rounds=rounds, seconds=0.01)
    medians = {name: timing.median for name, timing in timings.items()}
    peers = {name: value for name, value in medians.items() if name != "bracketc C"}
    best = min(peers, key=lambda name: peers[name])
    return {
        "name": case.name,
        "spec": case.spec,
        "sizes": dict(case.sizes),
        "dtype": dtype,
        "flops": case.flops,
        "medians": medians,
        "best": best,
        "ratio": peers[best] / medians["bracketc C"],
        "strided": case.strided,
        "batch": bool(case.batch),
    }


def mean(ratios: list[float]) -> float:
    """The geometric mean.

    >>> mean([1.0, 4.0])
    2.0
    """
    return exp(sum(map(log, ratios)) / len(ratios))


def table(records: list[dict[str, Any]], dtype: str) -> Table:
    names = list(records[0]["medians"])
    found = Table(title=f"contractions, {dtype}, one core", title_justify="left", box=None, pad_edge=False)
    for column in ("contraction", "labels", ""):
        found.add_column(column)
    for column in (*names, "Gflop/s", "best peer / bracketc"):
        found.add_column(column, justify="right")
    for each in records:
        marks = " ".join(mark for mark, holds in (("stride", each["strided"]), ("batch", each["batch"])) if holds)
        rate = each["flops"] / each["medians"]["bracketc C"] / 1e9
        times = (human(each["medians"][name]) for name in names)
        found.add_row(each["name"], each["spec"], marks, *times, f"{rate:.0f}", f"{each['ratio']:.2f} ({each['best']})")
    return found


def summary(records: list[dict[str, Any]]) -> str:
    """What all rows come to."""
    ratios = [each["ratio"] for each in records]
    return (
        f"{len(records)} contractions, {sum(each['strided'] for each in records)} without a contracted label of unit stride,"
        f" {sum(each['batch'] for each in records)} with batch labels: geometric mean {mean(ratios):.2f} (goal {GOAL}),"
        f" smallest {min(ratios):.2f} (goal {FLOOR})"
    )


def page(records: list[dict[str, Any]], dtype: str, machine: Mapping[str, str]) -> str:
    """The last run as a page of Markdown, with the machine that it ran on."""
    names = list(records[0]["medians"])
    lines = [f"# General contractions, {dtype}, one core", "", f"{summary(records)}. Medians; written by `make bench`.", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine.items()), ""]
    lines.append(f"| contraction | labels | {' | '.join(names)} | Gflop/s | best peer / bracketc C |")
    lines.append("|---|---|" + "---:|" * (len(names) + 1) + "---|")
    for each in records:
        times = " | ".join(human(each["medians"][name]) for name in names)
        rate = each["flops"] / each["medians"]["bracketc C"] / 1e9
        lines.append(f"| {each['name']} | `{each['spec']}` | {times} | {rate:.0f} | **{each['ratio']:.2f}** ({each['best']}) |")
    return "\n".join([*lines, ""])


def keep_freed_memory() -> None:
    """An array of nearly 32 MB made and dropped: glibc keeps smaller ones from then on, and twice as much of them."""
    np.empty((32 << 20) - 4096, np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="general tensor contractions, one core")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--against", default=",".join(PEERS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="FILE", help="write the medians (seconds) there, too")
    arguments = parser.parse_args()
    restart_on_one_core()
    keep_freed_memory()
    chosen = [case for case in CONTRACTIONS if arguments.only in case.name]
    if not chosen:
        parser.error(f"no contraction has {arguments.only!r} in its name")
    against = tuple(arguments.against.split(","))
    records = [record(case, arguments.dtype, against, arguments.rounds) for case in chosen]
    console = Console(highlight=False, width=170)
    console.print(table(records, arguments.dtype))
    console.print(f"\n{summary(records)}")
    if len(records) == len(CONTRACTIONS) and against == PEERS:
        from suite import machine

        file = Path(__file__).resolve().parent / "results" / f"contractions-{arguments.dtype}.md"
        file.write_text(page(records, arguments.dtype, machine()), encoding="utf-8")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
