"""Products of square matrices against PyTorch (MKL) and the FMA peak; memory-bound work against the read bandwidth.

    python benchmarks/products.py [--dtype float32] [--part products,memory] [--rounds 21] [--sizes 256,512] [--json FILE]
    taskset -c 0,1 python benchmarks/products.py --threads 2

All write into arrays that exist. Results are compared with float64 NumPy before anything is timed. Peak and bandwidth are
measured in the same rounds as the contenders.

Memory-bound work is timed as a kernel: the C function in a loop in C, without the call from Python, which has a column of its own.
Bytes are those of the arguments and of the result, each counted once; the bandwidth is that of aligned reads of as many bytes, by
as many threads as the call uses (one, where it is too short for more). A core also reads the lines that it writes, unless it writes
past the caches: where the result is more than a tenth of all, "lines too" counts them. Arguments lie 16 bytes behind a line, as
large arrays of NumPy do, so that every vector of 64 bytes straddles two: from the first cache that halves what can be read.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import bracketc as bc
from bracketc.bench.peaks import Rates, probes, rates
from bracketc.bench.pinning import restart_on_one_core
from bracketc.bench.report import human
from bracketc.bench.timing import Timing, interleave
from bracketc.options import Options
from bracketc.target import STREAM_BYTES, THREAD_WORK
from calls import loop_in_c, native_call

SIZES = (256, 384, 512, 768, 1024, 1536, 2048)
FOOTPRINTS = (32 << 10, 512 << 10, 8 << 20, 128 << 20)
"""Bytes: about those of the first, second and third cache, and beyond all."""
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
PEAK_GOAL, MEMORY_GOAL = 0.75, 0.7
TURN = 0.01
PRODUCT = "dim M, N, K\ninput A : M, K\ninput B : K, N\nC = A @ B\n"
OURS, PEER, KERNEL = "bracketc C", "torch.mm", "kernel"


@dataclass(frozen=True, slots=True)
class Stream:
    """Memory-bound work: its program, the shapes of its arguments for n elements in all, the same in NumPy."""

    name: str
    source: str
    shapes: Callable[[int], tuple[tuple[int, ...], ...]]
    numpy: Callable[..., Any]
    flops: int = 2
    """Operations for an element of all arguments."""
    past: bool = False
    """Whether a result that no cache holds is written past them."""


def square(n: int) -> int:
    """The side of a square of about n elements.

    >>> square(1 << 16)
    256
    """
    return max(8, int(n**0.5))


def matrix(n: int) -> tuple[int, int]:
    return square(n), square(n)


def batch(n: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Matrices of 64 x 64 and as many vectors."""
    return (max(1, n // 4096), 64, 64), (max(1, n // 4096), 64)


def placed(array: np.ndarray) -> np.ndarray:
    """A copy 16 bytes behind a line of the caches."""
    space = np.empty(array.nbytes + 128, np.uint8)
    start = (16 - space.ctypes.data) % 64
    found = space[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


TIMES = "dim M, N\ninput A : M, N\ninput x : N\nC = A @ x\n"
BEFORE = "dim M, N\ninput x : M\ninput A : M, N\nC = A^T @ x\n"
OUTER = "dim M, N\ninput x : M\ninput y : N\nC = x @ y^T\n"
BATCHED = "dim N, I\ninput A : N, I, I\ninput x : N, I\nC = (A_n{} x_n{} | n{})\n"
TWO = "dim N\ninput x : N\ninput y : N\n"
STREAMS = (
    Stream("matrix by vector", TIMES, lambda n: (matrix(n), (square(n),)), np.matmul),
    Stream("vector by matrix", BEFORE, lambda n: ((square(n),), matrix(n)), np.matmul),
    Stream("tall by vector", TIMES, lambda n: ((n // 50, 50), (50,)), np.matmul),
    Stream("vector by tall", BEFORE, lambda n: ((n // 50,), (n // 50, 50)), np.matmul),
    Stream("dot", f"{TWO}C = x · y\n", lambda n: ((n // 2,), (n // 2,)), np.dot),
    Stream("sum", "dim N\ninput x : N\nC = sum(x)\n", lambda n: ((n,),), np.sum, 1),
    Stream("batched matrix by vector", BATCHED.format("ij", "j", "i"), batch, lambda A, x: np.einsum("nij,nj->ni", A, x)),
    Stream("batched vector by matrix", BATCHED.format("ij", "i", "j"), batch, lambda A, x: np.einsum("nij,ni->nj", A, x)),
    Stream("outer", OUTER, lambda n: ((square(n),), (square(n),)), np.outer, past=True),
    Stream("axpy", f"{TWO}C = 3 x + y\n", lambda n: ((n // 3,), (n // 3,)), lambda x, y: 3 * x + y, 1),
    Stream("entries", f"{TWO}C = x ⊙ y\n", lambda n: ((n // 3,), (n // 3,)), np.multiply, 1),
)


def check(name: str, got: Any, want: np.ndarray, dtype: str) -> None:
    """End the program where a result is wrong."""
    scale = float(np.max(np.abs(want))) or 1.0
    worst = float(np.max(np.abs(np.asarray(got, dtype=float) - want))) / scale
    if not worst <= TOLERANCE[dtype]:
        raise SystemExit(f"{name} is wrong: it differs from float64 NumPy by {worst:.2g} (relative)")


def measured(
    calls: dict[str, Callable[[], object]], dtype: str, threads: int, footprint: int, rounds: int
) -> tuple[dict[str, Timing], Rates]:
    """Times of all calls and the peaks, which take turns with them.

    On one core the clock is that of the thread, which stands while the system runs something else.
    """
    peaks = probes(dtype, threads, footprint, Options(threads=threads))
    everyone = calls | {name: probe.call for name, probe in peaks.items()}
    clock = perf_counter if threads > 1 else thread_time
    timings = interleave(everyone, rounds=rounds, seconds=TURN, clock=clock)
    return {name: timings[name] for name in calls}, rates(peaks, timings)


def product(size: int, dtype: str, rounds: int, threads: int) -> dict[str, Any]:
    """A square product of ours and PyTorch's."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size)).astype(dtype) for _ in range(2))
    module = bc.compile(PRODUCT, backend="c", dtype=dtype, threads=threads)
    ours = module.evaluate.bind(a, b)
    want = a.astype(float) @ b.astype(float)
    check(OURS, ours().C, want, dtype)
    calls: dict[str, Callable[[], object]] = {OURS: ours}
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
        left, right, out = torch.from_numpy(a), torch.from_numpy(b), torch.empty(size, size, dtype=getattr(torch, dtype))
        calls[PEER] = lambda: torch.mm(left, right, out=out)
        calls[PEER]()
        check(PEER, out.numpy(), want, dtype)
    timings, peaks = measured(calls, dtype, threads, 3 * a.nbytes, rounds)
    flops, seconds = 2.0 * size**3, timings[OURS].median
    return {
        "kind": "product",
        "size": size,
        "dtype": dtype,
        "threads": threads,
        "medians": {name: timing.median for name, timing in timings.items()},
        "gflops": flops / seconds / 1e9,
        "of peak": flops / seconds / peaks.flops,
        "ratio": timings[PEER].median / seconds if PEER in timings else None,
    }


def stream(case: Stream, footprint: int, dtype: str, rounds: int, most: int, folder: Path) -> dict[str, Any]:
    """Memory-bound work: bytes of arguments and result a second, as a share of the read bandwidth."""
    rng = np.random.default_rng(0)
    arrays = [placed(rng.standard_normal(s).astype(dtype)) for s in case.shapes(footprint // np.dtype(dtype).itemsize)]
    module = bc.compile(case.source, backend="c", dtype=dtype, threads=most)
    ours = module.evaluate.bind(*arrays)
    result = np.asarray(ours().C)
    check(f"{OURS}, {case.name}", result, case.numpy(*(array.astype(float) for array in arrays)), dtype)
    moved = sum(array.nbytes for array in arrays) + result.nbytes
    elements = max(result.size, *(array.size for array in arrays))
    threads = max(1, min(most, int((moved + case.flops * elements) // THREAD_WORK)))
    name, values = native_call(module, lambda **given: module.evaluate.bind(*given.values()), dict(zip("ab", arrays, strict=False)))
    count = max(1, 2_000_000 // moved)
    (folder / f"{case.name} {footprint}").mkdir()
    kernel = loop_in_c(module, name, values, folder / f"{case.name} {footprint}", count)
    timings, peaks = measured({OURS: ours, KERNEL: kernel}, dtype, threads, moved, rounds)
    seconds = timings[KERNEL].median / count
    lines = 0 if (case.past and result.nbytes > STREAM_BYTES) or 10 * result.nbytes < moved else result.nbytes
    return {
        "kind": "memory",
        "name": case.name,
        "bytes": moved,
        "dtype": dtype,
        "threads": threads,
        "median": seconds,
        "call": timings[OURS].median - seconds,
        "gbytes": moved / seconds / 1e9,
        "read gbytes": peaks.bytes / 1e9,
        "of bandwidth": moved / seconds / peaks.bytes,
        "with lines": (moved + lines) / seconds / peaks.bytes if lines else None,
    }


def products_table(records: list[dict[str, Any]], title: str) -> Table:
    found = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("size", "bracketc C", "torch.mm", "Gflop/s", "of FMA peak", "torch.mm / bracketc"):
        found.add_column(column, justify="right")
    for each in records:
        times = [human(each["medians"][name]) if name in each["medians"] else "" for name in (OURS, PEER)]
        ratio = "" if each["ratio"] is None else f"{each['ratio']:.2f}"
        found.add_row(str(each["size"]), *times, f"{each['gflops']:.0f}", f"{each['of peak']:.0%}", ratio)
    return found


def memory_table(records: list[dict[str, Any]], title: str) -> Table:
    found = Table(title=title, title_justify="left", box=None, pad_edge=False)
    found.add_column("work")
    several = any(each["threads"] > 1 for each in records)
    threads = ("threads",) if several else ()
    for column in ("bytes", *threads, "kernel", "GB/s", "reads, GB/s", "share", "lines too", "call beside it"):
        found.add_column(column, justify="right")
    for each in records:
        # A call of many microseconds cannot be told from its kernel.
        beside = human(max(each["call"], 0.0)) if each["median"] < 2e-5 else ""
        found.add_row(
            each["name"],
            f"{each['bytes']:,}",
            *((str(each["threads"]),) if several else ()),
            human(each["median"]),
            f"{each['gbytes']:.1f}",
            f"{each['read gbytes']:.1f}",
            f"{each['of bandwidth']:.0%}",
            f"{each['with lines']:.0%}" if each["with lines"] else "",
            beside,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="square products and memory-bound work against what the machine can do")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--part", default="products,memory")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--footprints", default=",".join(map(str, FOOTPRINTS)), help="bytes of memory-bound work")
    parser.add_argument("--only", default="", help="part of a name of memory-bound work")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the medians (seconds) there, too")
    arguments = parser.parse_args()
    if arguments.threads == 1:
        restart_on_one_core()
    elif len(os.sched_getaffinity(0)) < arguments.threads:
        parser.error(f"{arguments.threads} threads need as many cores")
    console, records = Console(highlight=False, width=120), []
    cores = "one core" if arguments.threads == 1 else f"{arguments.threads} threads"
    if "products" in arguments.part:
        sizes = map(int, arguments.sizes.split(","))
        records += [product(size, arguments.dtype, arguments.rounds, arguments.threads) for size in sizes]
        console.print(products_table(records, f"square products, {arguments.dtype}, {cores}"))
        missed = [str(r["size"]) for r in records if r["of peak"] < PEAK_GOAL or (r["ratio"] or 1) < 1]
        console.print(f"goal: {PEAK_GOAL:.0%} of the peak, at least as fast; missed at {', '.join(missed) or 'none'}\n")
    if "memory" in arguments.part:
        cases = [case for case in STREAMS if arguments.only in case.name]
        bounds = list(map(int, arguments.footprints.split(",")))
        with tempfile.TemporaryDirectory() as folder:
            rest = (arguments.dtype, arguments.rounds, arguments.threads, Path(folder))
            streams = [stream(case, bound, *rest) for case in cases for bound in bounds]
        console.print(memory_table(streams, f"memory-bound work, {arguments.dtype}, {cores}"))
        missed = [f"{r['name']} ({r['bytes']:,})" for r in streams if r["of bandwidth"] < MEMORY_GOAL]
        console.print(f"goal: {MEMORY_GOAL:.0%} of the bandwidth; missed at {', '.join(missed) or 'none'}")
        records += streams
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
