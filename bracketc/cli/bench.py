"""``bench``: emitted kernels timed against each other, and against peers.

Results are compared before anything is timed. Contenders take turns, every figure is a median with the quartiles as its
spread; what the machine multiplies, adds and reads at most is measured in the same rounds. One core is used unless --threads
says otherwise; then every library gets as many threads. What a build and a call cost is told apart from the kernels.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bracketc import compiler
from bracketc.bench.figure import check_place, draw_comparison, draw_medians
from bracketc.bench.peaks import Probe, Rates, probes, rates
from bracketc.bench.pinning import restart_pinned
from bracketc.bench.report import human
from bracketc.bench.timing import Timing, interleave
from bracketc.cli.differences import disagreement
from bracketc.cli.figures import bytes_text, flops_text
from bracketc.cli.sources import file_argument, march_option, options, positive, seed_option, settings, size_options
from bracketc.cli.terminal import Terminal, aligned
from bracketc.emit.module_functions import function_name
from bracketc.emit.names import by_python_names
from bracketc.errors import BracketError, SourceError, ToolchainError
from bracketc.ir.program import Entry, Program
from bracketc.options import BACKENDS, DTYPES
from bracketc.proof.samples import draw_arguments, tempered
from bracketc.runtime.toolchain import find_toolchain

NAME = "bench"
READS_SOURCE = True

LABELS = {"c": "bracketc C", "numpy": "bracketc NumPy"}
CALLED = "bracketc C, called with arguments"
PEERS = ("numpy", "torch", "torch.compile", "jax")
TOLERANCES = {"float32": 1e-3, "float64": 1e-8}


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command)
    size_options(command)
    command.add_argument("--backend", choices=BACKENDS, help="time this backend only")
    command.add_argument("--dtype", choices=DTYPES, help="type of real numbers (default: float64)")
    command.add_argument("--threads", type=positive, metavar="K", help="time C with K threads, too; peers get as many")
    march_option(command)
    command.add_argument(
        "--against", metavar="LIST", type=peers, default=(), help="numpy, torch, torch.compile, jax: those that are installed"
    )
    command.add_argument(
        "--function", metavar="NAME", help="what to call (default: value_and_grad, else the first request)"
    )
    command.add_argument(
        "--rounds", type=positive, default=15, help="how often each contender has its turn (default: 15)"
    )
    seed_option(command)
    command.add_argument("--plot", metavar="OUT.svg", help="draw medians and a roofline (.svg, .png or .pdf)")


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


@dataclass(slots=True)
class Found:
    """Who takes part, the call with arguments beside them, and the seconds that each module took to build."""

    contenders: list[Contender] = field(default_factory=list)
    called: Callable[[], object] | None = None
    builds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was compared and timed of one function."""

    function: str
    sizes: Mapping[str, int]
    dtype: str
    threads: int
    flops: int
    bytes: int
    errors: Mapping[str, float]
    timings: Mapping[str, Timing]
    builds: Mapping[str, float]
    called: Timing | None
    peaks: Rates | None


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Compare, time and report."""
    threads = arguments.threads or 1
    if getattr(arguments, "alone", False):
        restart_pinned(threads)
    if arguments.plot:
        check_place(arguments.plot)
    with tempfile.TemporaryDirectory() as cold:
        found = _measure(arguments, threads, Path(cold), terminal)
    _print(arguments.file, found, terminal)
    if arguments.plot:
        title = f"{arguments.file}: {found.function}, {found.dtype}"
        medians = {name: timing.median for name, timing in found.timings.items()}
        if found.peaks is not None and found.bytes:
            draw_comparison(arguments.plot, title, medians, found.flops, found.bytes, found.peaks)
        else:
            draw_medians(arguments.plot, title, medians)
        terminal.say(f"wrote {arguments.plot}")
    return 0


def _measure(arguments: argparse.Namespace, threads: int, cold: Path, terminal: Terminal) -> Measured:
    """Everything up to the report; ``cold`` is an empty folder for builds, whose time would be nothing from a cache."""
    program = compiler.load(arguments.file)
    chosen = options(arguments, backend=arguments.backend or "c", threads=1)
    with terminal.working("compiling"):
        done = compiler.stages(program, chosen)
        entry = _entry(done, arguments.function)
        sizes = dict(done.plan.hints)
        drawn = draw_arguments(done.program, sizes, np.random.default_rng(arguments.seed))
        arrays = _typed(tempered(done.program, drawn), chosen.dtype)
        arrays |= {
            extra.name: np.ones([e.evaluate(sizes) for e in extra.shape], chosen.dtype) for extra in entry.extras
        }
        found = _contenders(program, entry, arrays, arguments, threads, cold, terminal)
    errors = _compare(found.contenders)
    wrong = {name: error for name, error in errors.items() if not error < TOLERANCES[chosen.dtype]}
    if wrong:
        apart = ", ".join(f"{name} by {error:.1e}" for name, error in wrong.items())
        raise BracketError(f"results differ from those of {found.contenders[0].name}: {apart}; nothing was timed")
    footprint = sum(array.nbytes for array in arrays.values())
    calls = {c.name: c.call for c in found.contenders}
    tested: dict[str, Probe] = {}
    if found.called is not None:
        calls[CALLED] = found.called
        tested = probes(chosen.dtype, threads, max(footprint, 1), options(arguments, backend="c", threads=threads))
        calls |= {name: probe.call for name, probe in tested.items()}
    with terminal.working("timing"):
        timings = interleave(calls, rounds=arguments.rounds)
    written = sum(array.nbytes for array in found.contenders[0].result())
    return Measured(
        entry.name,
        sizes,
        chosen.dtype,
        threads,
        done.plan.schedule(entry.name).flops.evaluate(sizes),
        footprint + written,
        errors,
        {c.name: timings[c.name] for c in found.contenders},
        found.builds,
        timings.get(CALLED),
        rates(tested, timings) if tested else None,
    )


def _entry(done: compiler.Stages, asked: str | None) -> Entry:
    """The function that is timed."""
    known = {entry.name: entry for entry in done.entries}
    if asked is not None:
        if asked not in known or asked in ("forward", "backward"):
            usable = [name for name in known if name not in ("forward", "backward")]
            raise SourceError(f"--function {asked}: there is no such function to time; there are {', '.join(usable)}")
        return known[asked]
    if "value_and_grad" in known:
        return known["value_and_grad"]
    return next((e for e in done.entries if e.request is not None), known["evaluate"])


def _typed(arrays: Mapping[str, Any], dtype: str) -> dict[str, np.ndarray[Any, Any]]:
    return {name: array if array.dtype.kind == "i" else array.astype(dtype) for name, array in arrays.items()}


def _contenders(
    program: Program,
    entry: Entry,
    arrays: Mapping[str, Any],
    arguments: argparse.Namespace,
    threads: int,
    cold: Path,
    terminal: Terminal,
) -> Found:
    """C (with one thread, and with more), NumPy, then peers."""
    found = Found()

    def emitted(label: str, backend: str, count: int) -> None:
        given = settings(arguments, backend=backend, threads=count, cache_dir=str(cold))
        start = time.perf_counter()
        module = compiler.compile(program, **given)
        found.builds[label] = time.perf_counter() - start
        wanted = module.SIGNATURE["functions"][function_name(entry.name)]["arguments"]
        function, values = getattr(module, function_name(entry.name)), by_python_names(arrays)
        named = {name: values[name] for name in wanted}
        bound = function.bind(**named)
        found.contenders.append(Contender(label, bound, lambda: flat(bound())))
        if backend == "c" and found.called is None:
            found.called = lambda: function(**named)

    for backend in (arguments.backend,) if arguments.backend else BACKENDS:
        if backend == "c" and arguments.backend is None:
            try:
                find_toolchain(options(arguments, backend="c"))
            except ToolchainError as error:
                terminal.warn(f"{error.diagnostics[0].message}; NumPy only")
                continue
        for count in (1, threads) if backend == "c" and threads > 1 else (1,):
            emitted(LABELS[backend] + (f", {count} threads" if count > 1 else ""), backend, count)
    for peer in arguments.against:
        if peer == "numpy":
            if not any(c.name == LABELS["numpy"] for c in found.contenders):
                emitted(LABELS["numpy"], "numpy", 1)
            continue
        from bracketc.adapters.peers import PeerError, make_peer

        try:
            made = make_peer(peer, program, entry, arrays, threads)
        except PeerError as error:
            terminal.warn(str(error))
        else:
            found.contenders.append(Contender(made.name, made.call, made.result))
    return found


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
        if [a.shape for a in first] != [b.shape for b in found]:
            errors[contender.name] = float("inf")
            continue
        errors[contender.name] = max(
            (disagreement(a, b, 1e-30) for a, b in zip(first, found, strict=True)), default=0.0
        )
    return errors


def _print(file: str, found: Measured, terminal: Terminal) -> None:
    unit = min(found.timings, key=lambda name: found.timings[name].median)
    terminal.data(_data(found))
    at = ", ".join(f"{name} = {number}" for name, number in found.sizes.items())
    threads = f", {found.threads} threads" if found.threads > 1 else ""
    amounts = f"{flops_text(found.flops)} and {bytes_text(found.bytes)} a call"
    terminal.say(f"{file}: {found.function}, {found.dtype}{threads}, {at or 'no sizes'}, {amounts}", style="dim")
    numbers = ("median", "spread", "rate", "slower", "differs")
    table = aligned("", *numbers, right=numbers)
    for name, timing in found.timings.items():
        ratio = timing.median / found.timings[unit].median
        table.add_row(
            name,
            human(timing.median),
            f"± {50 * timing.spread:.0f} %",
            f"{found.flops / timing.median / 1e9:.3g} Gflop/s",
            "fastest" if name == unit else f"{ratio:.2f} ×",
            "" if found.errors[name] == 0 else f"{found.errors[name]:.0e}",
        )
    terminal.table(table)
    for line in _notes(found):
        terminal.say(line, style="dim")


def _notes(found: Measured) -> list[str]:
    """What a kernel is measured by, and what is not in its time."""
    lines = []
    ours = [name for name in found.timings if name.startswith(LABELS["c"])]
    if found.peaks is not None:
        best = min(ours, key=lambda name: found.timings[name].median)
        seconds, peaks = found.timings[best].median, found.peaks
        lines.append(
            f"{best}: {found.flops / seconds / peaks.flops:.0%} of {peaks.flops / 1e9:.3g} Gflop/s in multiply-adds,"
            f" {found.bytes / seconds / peaks.bytes:.0%} of {peaks.bytes / 1e9:.3g} GB/s in reads, both measured in this run"
        )
    if found.called is not None:
        more = found.called.median - found.timings[ours[0]].median
        noise = (found.called.upper - found.called.lower) / 2
        known = f"{human(more)} more than" if more > noise else "no more, within its spread, than"
        lines.append(f"a call with arguments and new results takes {known} the bound one above")
    if found.builds:
        built = ", ".join(f"{name} {human(seconds)}" for name, seconds in found.builds.items())
        lines.append(f"built from the source, without a cache: {built}")
    return lines


def _data(found: Measured) -> dict[str, Any]:
    """The answer of ``--json``."""
    return {
        "ok": True,
        "function": found.function,
        "sizes": dict(found.sizes),
        "dtype": found.dtype,
        "threads": found.threads,
        "flops": found.flops,
        "bytes": found.bytes,
        "contenders": {
            name: {**_quartiles(timing), "error": found.errors[name]} for name, timing in found.timings.items()
        },
        "called": None if found.called is None else _quartiles(found.called),
        "builds": dict(found.builds),
        "peaks": None if found.peaks is None else {"flops": found.peaks.flops, "bytes": found.peaks.bytes},
    }


def _quartiles(timing: Timing) -> dict[str, Any]:
    return {"median": timing.median, "lower": timing.lower, "upper": timing.upper, "rounds": timing.rounds}
