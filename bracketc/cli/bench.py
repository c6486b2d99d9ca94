"""``bench``: emitted kernels timed against each other, and against peers.

Results are compared before anything is timed. Contenders take turns, every figure is a median with the
quartiles as its spread. One core is used unless --threads says otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bracketc import compiler
from bracketc.bench.pinning import restart_on_one_core
from bracketc.bench.report import human
from bracketc.bench.timing import Timing, interleave
from bracketc.cli.differences import disagreement
from bracketc.cli.figures import flops_text
from bracketc.cli.sources import file_argument, march_option, options, positive, seed_option, settings, size_options
from bracketc.cli.terminal import Terminal, aligned
from bracketc.errors import BracketError, SourceError, ToolchainError
from bracketc.ir.program import Program
from bracketc.options import BACKENDS, DTYPES
from bracketc.proof.samples import draw_arguments, tempered
from bracketc.runtime.toolchain import find_toolchain

NAME = "bench"
READS_SOURCE = True

LABELS = {"c": "bracketc C", "numpy": "bracketc NumPy"}
PEERS = ("numpy", "torch", "jax")
TOLERANCES = {"float32": 1e-3, "float64": 1e-8}


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command)
    size_options(command)
    command.add_argument("--backend", choices=BACKENDS, help="time this backend only")
    command.add_argument("--dtype", choices=DTYPES, help="type of real numbers (default: float64)")
    command.add_argument("--threads", type=positive, metavar="K", help="also time C with K threads")
    march_option(command)
    command.add_argument(
        "--against", metavar="LIST", type=peers, default=(), help="numpy, torch, jax: those that are installed"
    )
    command.add_argument(
        "--function", metavar="NAME", help="what to call (default: value_and_grad, else the first request)"
    )
    command.add_argument(
        "--rounds", type=positive, default=15, help="how often each contender has its turn (default: 15)"
    )
    seed_option(command)
    command.add_argument("--plot", metavar="OUT.svg", help="draw the medians (.svg, .png or .pdf)")


def peers(text: str) -> tuple[str, ...]:
    """``numpy,jax`` as names."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"{name!r} is no peer; there are {', '.join(PEERS)}")
    return names


@dataclass(frozen=True, slots=True)
class Contender:
    """A call without arguments, which returns its result as a flat list of arrays."""

    name: str
    call: Callable[[], object]
    result: Callable[[], list[np.ndarray[Any, Any]]]


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Compare, time and report."""
    if getattr(arguments, "alone", False) and (arguments.threads or 1) == 1:
        restart_on_one_core()
    if arguments.plot:
        from bracketc.bench.figure import check_place, draw_medians

        check_place(arguments.plot)
    program = compiler.load(arguments.file)
    chosen = options(arguments, backend=arguments.backend or "c", threads=1)
    with terminal.working("compiling"):
        done = compiler.stages(program, chosen)
        function = _function(done, arguments.function)
        sizes = dict(done.plan.hints)
        drawn = draw_arguments(done.program, sizes, np.random.default_rng(arguments.seed))
        arrays = _typed(tempered(done.program, drawn), chosen.dtype)
        arrays |= {
            extra.name: np.ones([e.evaluate(sizes) for e in extra.shape], chosen.dtype)
            for entry in done.entries
            if entry.name == function
            for extra in entry.extras
        }
        contenders = _contenders(program, function, arrays, arguments, terminal)
    errors = _compare(contenders)
    wrong = {name: error for name, error in errors.items() if not error < TOLERANCES[chosen.dtype]}
    if wrong:
        found = ", ".join(f"{name} by {error:.1e}" for name, error in wrong.items())
        raise BracketError(f"results differ from those of {contenders[0].name}: {found}; nothing was timed")
    with terminal.working("timing"):
        timings = interleave({c.name: c.call for c in contenders}, rounds=arguments.rounds)
    flops = done.plan.schedule(function).flops.evaluate(sizes)
    _print(arguments, function, sizes, chosen.dtype, flops, timings, errors, terminal)
    if arguments.plot:
        title = f"{arguments.file}: {function}, {chosen.dtype}"
        draw_medians(arguments.plot, title, {name: timing.median for name, timing in timings.items()})
        terminal.say(f"wrote {arguments.plot}")
    return 0


def _function(done: compiler.Stages, asked: str | None) -> str:
    known = [entry.name for entry in done.entries]
    if asked is not None:
        if asked not in known or asked in ("forward", "backward"):
            usable = [name for name in known if name not in ("forward", "backward")]
            raise SourceError(f"--function {asked}: there is no such function to time; there are {', '.join(usable)}")
        return asked
    if "value_and_grad" in known:
        return "value_and_grad"
    return next((e.name for e in done.entries if e.request is not None), "evaluate")


def _typed(arrays: Mapping[str, Any], dtype: str) -> dict[str, np.ndarray[Any, Any]]:
    return {name: array if array.dtype.kind == "i" else array.astype(dtype) for name, array in arrays.items()}


def _contenders(
    program: Program, function: str, arrays: Mapping[str, Any], arguments: argparse.Namespace, terminal: Terminal
) -> list[Contender]:
    """C (with one thread, and with more), NumPy, then peers."""
    found: list[Contender] = []
    for backend in (arguments.backend,) if arguments.backend else BACKENDS:
        if backend == "c" and arguments.backend is None:
            try:
                find_toolchain(options(arguments, backend="c"))
            except ToolchainError as error:
                terminal.warn(f"{error.diagnostics[0].message}; NumPy only")
                continue
        for threads in (1, arguments.threads) if backend == "c" and (arguments.threads or 1) > 1 else (1,):
            label = LABELS[backend] + (f", {threads} threads" if threads > 1 else "")
            found.append(
                _emitted(label, program, function, arrays, settings(arguments, backend=backend, threads=threads))
            )
    for peer in arguments.against:
        if peer == "numpy":
            if not any(c.name == LABELS["numpy"] for c in found):
                given = settings(arguments, backend="numpy", threads=1)
                found.append(_emitted(LABELS["numpy"], program, function, arrays, given))
            continue
        from bracketc.adapters.peers import PeerError, make_peer

        try:
            made = make_peer(peer, program, function, arrays)
        except PeerError as error:
            terminal.warn(str(error))
        else:
            found.append(Contender(made.name, made.call, made.result))
    return found


def _emitted(
    label: str, program: Program, function: str, arrays: Mapping[str, Any], given: Mapping[str, Any]
) -> Contender:
    module = compiler.compile(program, **given)
    wanted = module.SIGNATURE["functions"][function]["arguments"]
    bound = getattr(module, function).bind(**{name: arrays[name] for name in wanted})
    return Contender(label, bound, lambda: flat(bound()))


def flat(result: Any) -> list[np.ndarray[Any, Any]]:
    """Every array of a result, in order."""
    if isinstance(result, tuple | list):
        return [array for part in result for array in flat(part)]
    return [np.array(result)]


def _compare(contenders: list[Contender]) -> dict[str, float]:
    """How far the results of each are from those of the first, relative to their size."""
    first = contenders[0].result()
    errors: dict[str, float] = {}
    for contender in contenders:
        found = contender.result()
        errors[contender.name] = max(
            (disagreement(a, b, 1e-30) for a, b in zip(first, found, strict=True)), default=0.0
        )
    return errors


def _print(
    arguments: argparse.Namespace,
    function: str,
    sizes: Mapping[str, int],
    dtype: str,
    flops: int,
    timings: Mapping[str, Timing],
    errors: Mapping[str, float],
    terminal: Terminal,
) -> None:
    unit = min(timings, key=lambda name: timings[name].median)
    terminal.data(
        {
            "ok": True,
            "function": function,
            "sizes": dict(sizes),
            "dtype": dtype,
            "flops": flops,
            "contenders": {
                name: {
                    "median": t.median,
                    "lower": t.lower,
                    "upper": t.upper,
                    "rounds": t.rounds,
                    "error": errors[name],
                }
                for name, t in timings.items()
            },
        }
    )
    at = ", ".join(f"{name} = {number}" for name, number in sizes.items())
    terminal.say(f"{arguments.file}: {function}, {dtype}, {at or 'no sizes'}, {flops_text(flops)} a call", style="dim")
    numbers = ("median", "spread", "rate", "slower", "differs")
    table = aligned("", *numbers, right=numbers)
    for name, timing in timings.items():
        ratio = timing.median / timings[unit].median
        table.add_row(
            name,
            human(timing.median),
            f"± {50 * timing.spread:.0f} %",
            f"{flops / timing.median / 1e9:.2f} Gflop/s",
            "fastest" if name == unit else f"{ratio:.2f} ×",
            "" if errors[name] == 0 else f"{errors[name]:.0e}",
        )
    terminal.table(table)
