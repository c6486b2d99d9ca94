"""What every benchmark of a model shares: contenders, the check of their results, interleaved timing, the table.

A script describes its model by a `Workload`: data, the value and gradients by hand in NumPy, the loss in PyTorch and in
JAX.  Results are compared with the hand-written NumPy in float64 before anything is timed; a contender that is wrong
ends the run.

    python benchmarks/bench_classifier.py [--dtype float32] [--size N=32 D=64 ...] [--against numpy,torch,jax]

`benchmarks/suite.py` runs all of them and keeps what they found.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import bracketc as bc
from bracketc.bench.pinning import restart_on_one_core
from bracketc.bench.report import timing_table
from bracketc.bench.timing import Timing, interleave

MODELS = Path(__file__).resolve().parent.parent / "models"
TOLERANCE = {"float32": 2e-4, "float64": 1e-10}
PEERS = ("numpy", "torch", "jax")
TURN = 0.01
"""Seconds of a turn: short, with many rounds, so that other work on the machine hits every contender alike."""

OURS = "bracketc C"
"""What is compared with the peers: called with arguments and returning new arrays, as they do."""

Array = np.ndarray
Arrays = dict[str, Array]
Sizes = Mapping[str, int]
Result = tuple[Any, tuple[Any, ...]]
"""A value, and a gradient for each parameter."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A model with data and with the programs that a good programmer would write for it elsewhere.

    `data` draws the arguments in float64, in the order of the declarations; `by_hand` returns the value and the
    gradients of `params`; the two losses get the library and the arguments by name.
    """

    model: str
    params: tuple[str, ...]
    sizes: tuple[Sizes, ...]
    data: Callable[[np.random.Generator, Sizes], Arrays]
    by_hand: Callable[..., Result]
    torch_loss: Callable[..., Any]
    jax_loss: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Contender:
    """A name, the call that is timed, and what it computes: the value, then a gradient for each parameter."""

    name: str
    call: Callable[[], object]
    results: Callable[[], tuple[np.ndarray, ...]]


def generated(workload: Workload, arrays: Arrays, dtype: str) -> Iterator[Contender]:
    """bracketc's own kernels: C bound to its arrays, C called with arguments, NumPy."""
    program = bc.load(str(MODELS / f"{workload.model}.brk"))

    def flat(call: Callable[[], Any]) -> Callable[[], tuple[np.ndarray, ...]]:
        def results() -> tuple[np.ndarray, ...]:
            value, gradients = call()
            return (np.asarray(value), *(np.array(getattr(gradients, name)) for name in workload.params))

        return results

    try:
        compiled = bc.compile(program, backend="c", dtype=dtype)
    except bc.ToolchainError as error:
        print(f"no C contender: {str(error).splitlines()[0]}", file=sys.stderr)
    else:
        bound = compiled.value_and_grad.bind(**arrays)
        yield Contender("bracketc C, bound", bound, flat(bound))
        yield Contender(
            OURS, lambda: compiled.value_and_grad(**arrays), flat(lambda: compiled.value_and_grad(**arrays))
        )
    module = bc.compile(program, backend="numpy", dtype=dtype)
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


def torch_contenders(workload: Workload, arrays: Arrays) -> Iterator[Contender]:
    """PyTorch eager, and its compiler where that works on this machine."""
    import torch

    torch.set_num_threads(1)
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


def contenders(workload: Workload, arrays: Arrays, dtype: str, against: tuple[str, ...]) -> list[Contender]:
    """Everything that can run here, bracketc first."""
    found = list(generated(workload, arrays, dtype))
    if "numpy" in against:
        found.append(hand_written(workload, arrays))
    if "torch" in against and importlib.util.find_spec("torch"):
        found.extend(torch_contenders(workload, arrays))
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
    """Run a benchmark from its command line, pinned to one core."""
    parser = argparse.ArgumentParser(description=f"value and gradients of models/{workload.model}.brk, one core")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--size", nargs="+", default=[], metavar="N=32", help="other sizes than the script's")
    parser.add_argument("--against", default=",".join(PEERS), help="peers, separated by commas: numpy, torch, jax")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--json", metavar="FILE", help="write the medians (seconds) there, too")
    arguments = parser.parse_args()
    against = tuple(arguments.against.split(","))
    if unknown := sorted(set(against) - set(PEERS)):
        parser.error(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    restart_on_one_core()

    console = Console(highlight=False)
    records = []
    for default in workload.sizes[:1] if arguments.size else workload.sizes:
        sizes = dict(default) | parse_sizes(arguments.size)
        timings = measure(workload, sizes, arguments.dtype, against, arguments.rounds)
        flops = operations(workload, sizes)
        caption = ", ".join(f"{name}={size}" for name, size in sizes.items())
        unit = OURS if OURS in timings else next(iter(timings))
        console.print(timing_table(f"{workload.model}: {caption}, {arguments.dtype}", timings, unit, flops))
        console.print()
        records.append(
            {
                "model": workload.model,
                "sizes": sizes,
                "dtype": arguments.dtype,
                "flops": flops,
                "contenders": {
                    name: {"median": timing.median, "lower": timing.lower, "upper": timing.upper}
                    for name, timing in timings.items()
                },
            }
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def measure(
    workload: Workload, sizes: Sizes, dtype: str, against: tuple[str, ...], rounds: int
) -> dict[str, Timing]:
    """Draw the arguments, compare everyone with float64, then time."""
    exact = workload.data(np.random.default_rng(0), sizes)
    value, gradients = workload.by_hand(**exact)
    reference = (np.asarray(value), *map(np.asarray, gradients))
    arrays = {name: np.array(array, dtype, order="C") for name, array in exact.items()}
    found = contenders(workload, arrays, dtype, against)
    check(found, reference, dtype)
    return interleave({each.name: each.call for each in found}, rounds=rounds, seconds=TURN)


def operations(workload: Workload, sizes: Sizes) -> int:
    """Floating-point operations of one call as bracketc plans it; the rate of every contender refers to them."""
    module = bc.compile(bc.load(str(MODELS / f"{workload.model}.brk")), backend="numpy")
    return int(module.SIGNATURE["count"]("value_and_grad", **sizes)["flops"])


def one_hot(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random labels as rows of zeros with a single one; the last size is the number of classes."""
    rows = np.zeros(shape)
    labels = rng.integers(0, shape[-1], shape[:-1])
    np.put_along_axis(rows, labels[..., None], 1.0, axis=-1)
    return rows
