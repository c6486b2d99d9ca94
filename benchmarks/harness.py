"""What every benchmark of a model shares: contenders, the check of their results, interleaved timing, the table.

A script describes its model by a `Workload`: data, the value and gradients by hand in NumPy, the loss in PyTorch and in
JAX.  Results are compared with the hand-written NumPy in float64 before anything is timed; a contender that is wrong
ends the run.

    python benchmarks/bench_classifier.py [--dtype float32] [--threads 2] [--size N=32 D=64 ...] [--against numpy,torch,jax]

Every library gets the same number of threads, and the process as many cores.  Two probes take turns with the contenders: what
this machine multiplies and adds at most, and how fast it reads as many bytes as the arguments have.  `benchmarks/suite.py` runs
all of them and keeps what they found.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import bracketc as bc
from bracketc.bench.peaks import Probe, Rates, probes, rates
from bracketc.bench.pinning import restart_pinned
from bracketc.bench.report import timing_table
from bracketc.bench.timing import Timing, interleave
from bracketc.options import read_options

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
TOLERANCE = {"float32": 2e-4, "float64": 1e-10}
PEERS = ("numpy", "torch", "jax")
ROUNDS = 21
TURN = 0.01
"""Seconds of a turn: short, with many rounds, so that other work on the machine hits every contender alike."""

OURS = "bracketc C"
"""What is compared with the peers: called with arguments and returning new arrays, as they do."""
OURS_BOUND = "bracketc C, bound"
"""Without the cost of a call: arguments checked before, results written where the last ones were."""

Array = np.ndarray
Arrays = dict[str, Array]
Sizes = Mapping[str, int]
Record = Mapping[str, Any]
"""What was measured of one model at one set of sizes, as it is kept."""
Result = tuple[Any, tuple[Any, ...]]
"""A value, and a gradient for each parameter."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A model with data and with the programs that a good programmer would write for it elsewhere.

    `model` names a file in `models/`, or beside this one. `data` draws the arguments in float64, in the order of the
    declarations; `by_hand` returns the value and the gradients of `params`; the two losses get the library and the
    arguments by name.
    """

    model: str
    params: tuple[str, ...]
    sizes: tuple[Sizes, ...]
    data: Callable[[np.random.Generator, Sizes], Arrays]
    by_hand: Callable[..., Result]
    torch_loss: Callable[..., Any]
    jax_loss: Callable[..., Any]

    @property
    def source(self) -> Path:
        """The file of the model."""
        return next(path for folder in (MODELS, HERE) if (path := folder / f"{self.model}.brk").exists())


@dataclass(frozen=True, slots=True)
class Contender:
    """A name, the call that is timed, and what it computes: the value, then a gradient for each parameter."""

    name: str
    call: Callable[[], object]
    results: Callable[[], tuple[np.ndarray, ...]]


def generated(workload: Workload, arrays: Arrays, dtype: str, threads: int) -> Iterator[Contender]:
    """bracketc's own kernels: C bound to its arrays, C called with arguments, NumPy."""
    program = bc.load(workload.source)

    def flat(call: Callable[[], Any]) -> Callable[[], tuple[np.ndarray, ...]]:
        def results() -> tuple[np.ndarray, ...]:
            value, gradients = call()
            return (np.asarray(value), *(np.array(getattr(gradients, name)) for name in workload.params))

        return results

    try:
        compiled = bc.compile(program, backend="c", dtype=dtype, threads=threads)
    except bc.ToolchainError as error:
        print(f"no C contender: {str(error).splitlines()[0]}", file=sys.stderr)
    else:
        bound = compiled.value_and_grad.bind(**arrays)
        yield Contender(OURS_BOUND, bound, flat(bound))
        yield Contender(
            OURS, lambda: compiled.value_and_grad(**arrays), flat(lambda: compiled.value_and_grad(**arrays))
        )
    module = bc.compile(program, backend="numpy", dtype=dtype, threads=1)
    yield Contender(
        "bracketc NumPy", lambda: module.value_and_grad(**arrays), flat(lambda: module.value_and_grad(**arrays))
    )


def hand_written(workload: Workload, arrays: Arrays) -> Contender:
    """The NumPy program of the script."""

    def call() -> Any:
        return workload.by_hand(**arrays)

    def results() -> tuple[np.ndarray, ...]:
        value, gradients = call()
        return (np.asarray(value), *map(np.asarray, gradients))

    return Contender("NumPy by hand", call, results)


def torch_contenders(workload: Workload, arrays: Arrays, threads: int = 1) -> Iterator[Contender]:
    """PyTorch eager, and its compiler where that works on this machine."""
    import torch

    torch.set_num_threads(threads)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    params = [tensors[name].requires_grad_(True) for name in workload.params]

    def step(loss: Callable[..., Any]) -> Callable[[], Any]:
        def call() -> Any:
            value = loss(**tensors)
            return value, torch.autograd.grad(value, params)

        return call

    def flat(call: Callable[[], Any]) -> Callable[[], tuple[np.ndarray, ...]]:
        def results() -> tuple[np.ndarray, ...]:
            value, gradients = call()
            return (value.detach().numpy(), *(gradient.numpy() for gradient in gradients))

        return results

    def loss(**named: Any) -> Any:
        return workload.torch_loss(torch, **named)

    eager = step(loss)
    yield Contender("PyTorch", eager, flat(eager))
    compiled = step(torch.compile(loss))
    try:
        compiled()
    except Exception as error:  # whatever its toolchain lacks: the reason is printed, the others go on
        print(f"no torch.compile contender: {str(error).splitlines()[0][:100]}", file=sys.stderr)
        return
    yield Contender("torch.compile", compiled, flat(compiled))


def jax_contender(workload: Workload, arrays: Arrays, dtype: str) -> Contender:
    """`jax.jit(jax.value_and_grad(...))`."""
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    placed = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
    params = {name: placed.pop(name) for name in workload.params}

    def loss(params: Any, rest: Any) -> Any:
        return workload.jax_loss(jax, **params, **rest)

    step = jax.jit(jax.value_and_grad(loss))

    def call() -> Any:
        return jax.block_until_ready(step(params, placed))

    def results() -> tuple[np.ndarray, ...]:
        value, gradients = call()
        return (np.asarray(value), *(np.asarray(gradients[name]) for name in workload.params))

    return Contender("JAX jit", call, results)


def contenders(
    workload: Workload, arrays: Arrays, dtype: str, against: tuple[str, ...], threads: int = 1
) -> list[Contender]:
    """Everything that can run here, bracketc first."""
    found = list(generated(workload, arrays, dtype, threads))
    if "numpy" in against:
        found.append(hand_written(workload, arrays))
    if "torch" in against and importlib.util.find_spec("torch"):
        found.extend(torch_contenders(workload, arrays, threads))
    if "jax" in against and importlib.util.find_spec("jax"):
        found.append(jax_contender(workload, arrays, dtype))
    return found


def difference(got: tuple[np.ndarray, ...], want: tuple[np.ndarray, ...]) -> float:
    """The largest difference, relative to the largest entry of the result it is in.

    >>> difference((np.array([1.0, 2.0]),), (np.array([1.0, 4.0]),))
    0.5
    """
    found = [0.0]
    for ours, theirs in zip(got, want, strict=True):
        if ours.shape != theirs.shape:
            return float("inf")
        scale = float(np.max(np.abs(theirs), initial=0.0)) or 1.0
        found.append(float(np.max(np.abs(ours.astype(float) - theirs), initial=0.0)) / scale)
    return float(np.max(found))  # NaN wins, which the built-in max would drop


def check(found: list[Contender], reference: tuple[np.ndarray, ...], dtype: str) -> None:
    """Compare every contender with the reference; a wrong one ends the program."""
    for contender in found:
        worst = difference(contender.results(), reference)
        if not worst <= TOLERANCE[dtype]:
            raise SystemExit(f"{contender.name} is wrong: it differs from float64 NumPy by {worst:.2g} (relative)")


def parse_sizes(words: list[str]) -> dict[str, int]:
    """`["N=32", "D=64"]` as a mapping."""
    pairs = [word.partition("=") for word in words]
    for name, _, value in pairs:
        if not name or not value.isdigit():
            raise SystemExit("--size takes NAME=NUMBER, for example --size N=32")
    return {name: int(value) for name, _, value in pairs}


def main(workload: Workload) -> None:
    """Run a benchmark from its command line, pinned to as many cores as it has threads."""
    parser = argparse.ArgumentParser(description=f"value and gradients of {workload.source.name}")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=int, default=1, metavar="K", help="of every contender (default: 1)")
    parser.add_argument("--size", nargs="+", default=[], metavar="N=32", help="other sizes than the script's")
    parser.add_argument("--against", default=",".join(PEERS), help="peers, separated by commas: numpy, torch, jax")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", metavar="FILE", help="write the medians (seconds) there, too")
    arguments = parser.parse_args()
    against = tuple(arguments.against.split(","))
    if unknown := sorted(set(against) - set(PEERS)):
        parser.error(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    restart_pinned(arguments.threads)

    console = Console(highlight=False)
    records = []
    for default in workload.sizes[:1] if arguments.size else workload.sizes:
        sizes = dict(default) | parse_sizes(arguments.size)
        record = measure(workload, sizes, arguments.dtype, against, arguments.rounds, arguments.threads)
        console.print(timing_text(record))
        console.print(f"{peak_text(record)}\n", style="dim", soft_wrap=True)
        records.append(record)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def timing_text(record: Record) -> Table:
    """A record as a table."""
    timings = {name: Timing(rounds=1, **found) for name, found in record["contenders"].items()}
    caption = ", ".join(f"{name}={size}" for name, size in record["sizes"].items())
    threads = f", {record['threads']} threads" if record["threads"] > 1 else ""
    unit = OURS if OURS in timings else next(iter(timings))
    return timing_table(f"{record['model']}: {caption}, {record['dtype']}{threads}", timings, unit, record["flops"])


def peak_text(record: Record) -> str:
    """The shares of the peaks that bracketc reaches; nothing where they were not measured."""
    if "peaks" not in record:
        return "no peaks: there is no C compiler"
    peaks, name = Rates(**record["peaks"]), OURS_BOUND if OURS_BOUND in record["contenders"] else OURS
    flops, bytes = (record[kind] / record["contenders"][name]["median"] for kind in ("flops", "bytes"))
    return (
        f"{name}: {flops / peaks.flops:.0%} of {peaks.flops / 1e9:.0f} Gflop/s in multiply-adds, "
        f"{bytes / peaks.bytes:.0%} of {peaks.bytes / 1e9:.3g} GB/s in reads of {record['bytes'] / 1e6:.3g} MB"
    )


def measure(
    workload: Workload, sizes: Sizes, dtype: str, against: tuple[str, ...], rounds: int, threads: int = 1
) -> Record:
    """Draw the arguments, compare everyone with float64, then time, with the probes of the peaks taking turns."""
    exact = workload.data(np.random.default_rng(0), sizes)
    value, gradients = workload.by_hand(**exact)
    reference = (np.asarray(value), *map(np.asarray, gradients))
    arrays = {name: np.array(array, dtype, order="C") for name, array in exact.items()}
    found = contenders(workload, arrays, dtype, against, threads)
    check(found, reference, dtype)
    least = traffic(workload, arrays)
    peaks: dict[str, Probe] = {}
    if any(each.name == OURS for each in found):
        peaks = probes(dtype, threads, sum(array.nbytes for array in arrays.values()), read_options({"threads": threads}))
    calls = {each.name: each.call for each in found} | {name: probe.call for name, probe in peaks.items()}
    timings = interleave(calls, rounds=rounds, seconds=TURN)
    record: dict[str, Any] = {
        "model": workload.model,
        "sizes": dict(sizes),
        "dtype": dtype,
        "threads": threads,
        "flops": operations(workload, sizes),
        "bytes": least,
    }
    if peaks:
        record["peaks"] = asdict(rates(peaks, timings))
    record["contenders"] = {
        each.name: {kind: getattr(timings[each.name], kind) for kind in ("median", "lower", "upper")} for each in found
    }
    return record


def traffic(workload: Workload, arrays: Arrays) -> int:
    """Bytes that a call cannot do without: every argument read once, every gradient written once."""
    return sum(array.nbytes for array in arrays.values()) + sum(arrays[name].nbytes for name in workload.params)


def operations(workload: Workload, sizes: Sizes) -> int:
    """Floating-point operations of one call as bracketc plans it; the rate of every contender refers to them."""
    module = bc.compile(bc.load(workload.source), backend="numpy")
    return int(module.SIGNATURE["count"]("value_and_grad", **sizes)["flops"])


def one_hot(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random labels as rows of zeros with a single one; the last size is the number of classes."""
    rows = np.zeros(shape)
    labels = rng.integers(0, shape[-1], shape[:-1])
    np.put_along_axis(rows, labels[..., None], 1.0, axis=-1)
    return rows
