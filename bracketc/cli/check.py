"""``check``: derivatives of every request against finite differences.

Arguments are random and have their declared traits; sizes that are free are small and pairwise different. A
derivative passes when sqrt(Σ(dh - df)² / Σ(dh + df)²) < 1e-6, where dh are central differences of the program
as it is written and df is what the emitted kernels give. Large inputs are checked in some of their entries.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from rich.text import Text

from bracketc import compiler
from bracketc.calculus.cuts import cut_definitions
from bracketc.calculus.derivatives import expand_derivatives, gradient
from bracketc.calculus.layouts import arrangement
from bracketc.calculus.requests import named_entries
from bracketc.cli.build import chosen_backend
from bracketc.cli.conditions import Condition, conditions, fitting
from bracketc.cli.differences import Differences, along, central, disagreement, frozen, function_of, value_of
from bracketc.cli.run import read_arrays
from bracketc.cli.sources import file_argument, load, seed_option, settings, size_options
from bracketc.cli.terminal import Terminal, aligned
from bracketc.emit.formulas import heading
from bracketc.emit.module_functions import function_name
from bracketc.emit.names import by_python_names
from bracketc.errors import SourceError
from bracketc.ir.build import add, broadcast, einsum, multiply
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.passes import over_program
from bracketc.ir.program import Entry, Program, Request
from bracketc.ir.rewrite import substitute
from bracketc.ir.sizes import bind_sizes
from bracketc.options import BACKENDS
from bracketc.proof.samples import draw_arguments, draw_sizes

NAME = "check"
READS_SOURCE = True

TOLERANCE = 1e-6
ENTRIES = 60
"""Entries of an input that are varied, at most."""

REDRAWS = 12
"""How often arguments are drawn again where a function is undefined or has a kink."""

Array = np.ndarray[Any, Any]


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command)
    seed_option(command)
    command.add_argument("--backend", choices=BACKENDS, help="whose kernels to check (default: c)")
    command.add_argument("--data", metavar="IN.npz", help="check the traits of these arrays, and derivatives at them")
    size_options(command)


@dataclass(frozen=True, slots=True)
class Line:
    """What came out for one derivative by one input. ``checked`` of its ``total`` entries were varied,
    ``kinks`` of them in vain."""

    function: str
    left: str
    shape: tuple[int, ...]
    error: float
    checked: int
    total: int
    kinks: int

    @property
    def passed(self) -> bool:
        return self.error < TOLERANCE


@dataclass(frozen=True, slots=True)
class Sample:
    """Arguments at which everything is finite."""

    sizes: dict[str, int]
    arrays: dict[str, Array]


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Check every request; status 1 when one fails."""
    program = load(arguments.file, terminal)
    given = dict(arguments.size)
    data: Sample | None = None
    kept = True
    if arguments.data is not None:
        data = Sample(*fitting(bind_sizes(program, given), read_arrays(arguments.data)))
        found = conditions(program, data.sizes, data.arrays)
        kept = all(condition.holds for condition in found)
        if not kept or not program.requests:
            _print_conditions(arguments, found, terminal, alone=True)
            return 0 if kept else 1
        _print_conditions(arguments, found, terminal, alone=False)
    if not program.requests:
        raise SourceError(f"{arguments.file} asks for no derivative; add a request such as `gradient J wrt W`")
    backend = chosen_backend(arguments, terminal)
    with terminal.working("checking"):
        module = compiler.compile(program, **(settings(arguments) | {"backend": backend, "dtype": "float64"}))
        sample, lines = check(bind_sizes(program, given), module, arguments.seed, data)
    _print(arguments, sample, lines, backend, terminal)
    return 0 if all(line.passed for line in lines) else 1


def _print(arguments: argparse.Namespace, sample: Sample, lines: list[Line], backend: str, terminal: Terminal) -> None:
    sizes = ", ".join(f"{name} = {number}" for name, number in sample.sizes.items())
    terminal.data(
        {
            "ok": all(line.passed for line in lines),
            "seed": arguments.seed,
            "backend": backend,
            "sizes": sample.sizes,
            "checks": [
                {"function": x.function, "derivative": x.left, "shape": x.shape, "error": x.error, "passed": x.passed,
                 "entries": x.checked, "kinks": x.kinks}
                for x in lines
            ],
        }
    )  # fmt: skip
    terminal.say(f"{arguments.file}, {backend} kernels, seed {arguments.seed}: {sizes or 'no free sizes'}", style="dim")
    table = aligned("derivative", "shape", "error", "", "", right=("error",))
    for line in lines:
        verdict = Text("ok", "green") if line.passed else Text("FAILED", "bold red")
        notes = [f"{line.checked} of {line.total:,} entries"] if line.checked < line.total else []
        notes += [f"{line.kinks} beside a kink left out"] if line.kinks else []
        table.add_row(line.left, " × ".join(map(str, line.shape)) or "scalar", f"{line.error:.1e}", verdict, ", ".join(notes))
    terminal.table(table)
    failed = sum(not line.passed for line in lines)
    if failed:
        terminal.err.print(f"{failed} of {len(lines)} derivatives differ from finite differences by {TOLERANCE:g} or more")


def _print_conditions(arguments: argparse.Namespace, found: list[Condition], terminal: Terminal, *, alone: bool) -> None:
    """The traits of the data; ``alone`` when no derivatives follow."""
    if alone:
        listed = [{"argument": c.argument, "trait": c.trait, "holds": c.holds, "violation": c.violation} for c in found]
        terminal.data({"ok": all(c.holds for c in found), "data": arguments.data, "traits": listed})
    if not found:
        terminal.say(f"{arguments.data}: shapes fit, no traits are declared", style="dim")
        return
    table = aligned("argument", "trait", "", "")
    for c in found:
        verdict = Text("ok", "green") if c.holds else Text("VIOLATED", "bold red")
        table.add_row(c.argument, c.trait, verdict, c.violation or "")
    terminal.table(table)
    if not all(c.holds for c in found):
        terminal.err.print("results simplified under a violated trait are wrong: mend the data, or drop the trait")


def check(program: Program, module: ModuleType, seed: int = 0, data: Sample | None = None) -> tuple[Sample, list[Line]]:
    """One line for each derivative by each input, at ``data`` or at random arguments that have the declared traits."""
    rng = np.random.default_rng(seed)
    program = over_program(cut_definitions(program), expand_derivatives)
    entries = [e for e in named_entries(program)[0] if e.request is not None and e.name != "backward"]
    if data is not None:
        with np.errstate(all="ignore"):
            try:
                return data, [line for entry in entries for line in _entry(program, entry, module, data, rng)]
            except _Undefined:
                raise SourceError(f"{program.source.filename} is undefined at the data") from None
    best: tuple[Sample, list[Line]] | None = None
    for attempt in range(REDRAWS):
        sizes = draw_sizes(program, rng)
        sample = Sample(sizes, draw_arguments(program, sizes, rng, positive=attempt % 3 == 2))
        with np.errstate(all="ignore"):
            try:
                lines = [line for entry in entries for line in _entry(program, entry, module, sample, rng)]
            except _Undefined:
                continue
        if best is None or sum(x.kinks for x in lines) < sum(x.kinks for x in best[1]):
            best = (sample, lines)
        if not any(line.kinks for line in lines):
            break
    if best is None:
        raise SourceError(
            f"{program.source.filename} is undefined on every draw of random arguments; "
            "declare traits such as `positive` or `nonzero`"
        )
    return best


class _Undefined(Exception):
    """The program is not finite at a sample."""


def _entry(program: Program, entry: Entry, module: ModuleType, sample: Sample, rng: np.random.Generator) -> list[Line]:
    """The lines of one function of the module."""
    request = entry.request
    assert request is not None
    nodes: dict[str, Node] = {**dict(program.definitions), **dict(program.results)}
    target = nodes[request.output]
    sources: dict[str, Node] = {**dict(program.definitions), **{tensor.name: tensor for tensor in program.arguments}}
    extras = {t.name: rng.standard_normal([e.evaluate(sample.sizes) for e in t.shape]) for t in entry.extras}
    found = _call(module, entry, sample, extras)
    lines = []
    for result, _ in entry.results:
        if request.kind == "gradient" and result == request.output and result not in request.wrt:
            continue
        blocks = {block: names for block, *names in request.pairs} if request.kind == "hessian" else {}
        names = blocks.get(result, [result])
        cut, by = target, [sources[name] for name in names]
        values = dict(extras)
        slope = None
        for found_cut in program.cuts:
            if (found_cut.output, found_cut.wrt) == (request.output, names[-1]):
                cut, variable = found_cut.node, found_cut.variable
                by = [variable if name == names[-1] else sources[name] for name in names]
                values[variable.name] = value_of(sources[names[-1]], sample.arrays, sample.sizes)
        for found_cut in program.cuts:  # the gradient by one definition as a function of another
            if (found_cut.output, found_cut.wrt) == (f"∇[{names[0]}]({request.output})", names[-1]):
                slope, by = found_cut.node, [found_cut.variable]
                values[found_cut.variable.name] = value_of(sources[names[-1]], sample.arrays, sample.sizes)
        directions = {name: sources[name] for name in request.wrt} if request.kind == "hvp" and len(entry.results) > 1 else {}
        reference = _Reference(request, cut, by, sample, values, result, slope, directions)
        lines.append(_line(entry, result, reference, found[result], rng))
    return lines


def _call(module: ModuleType, entry: Entry, sample: Sample, extras: Mapping[str, Array]) -> dict[str, list[Array]]:
    """What the module gives for each result: of a gradient, by ``value_and_grad`` and by ``backward``."""
    request = entry.request
    assert request is not None
    name = function_name(entry.name)
    function = module.SIGNATURE["functions"][name]
    values = by_python_names({**sample.arrays, **extras})
    answer = getattr(module, name)(**{name: values[name] for name in function["arguments"]})
    if request.kind == "gradient":
        found = {name: [np.asarray(array)] for name, array in zip(request.wrt, answer.gradients, strict=True)}
        if request.name is None:
            _, residuals = module.forward(**{n: values[n] for n in module.SIGNATURE["functions"]["forward"]["arguments"]})
            for name, array in zip(request.wrt, module.backward(residuals), strict=True):
                found[name].append(np.asarray(array))
        return found
    if len(entry.results) == 1:
        return {entry.results[0][0]: [np.asarray(answer)]}
    return {name: [np.asarray(array)] for (name, _), array in zip(entry.results, answer, strict=True)}


class _Reference:
    """The same derivative by differences."""

    def __init__(
        self,
        request: Request,
        target: Node,
        sources: list[Node],
        sample: Sample,
        extras: Mapping[str, Array],
        result: str,
        slope: Node | None = None,
        directions: Mapping[str, Node] | None = None,
    ) -> None:
        """``slope`` is the gradient whose differences make a second derivative, where it is known; ``directions`` are what moves
        at once, by name."""
        self.request = request
        self.target = target
        self.source = sources[-1]
        self.arrays = {**sample.arrays, **extras}
        self.sizes = sample.sizes
        self.direction: Array | None = None
        if slope is not None:
            self.target = slope
        elif request.kind in ("hessian", "hvp"):
            (self.target,) = gradient(target, [sources[0]])
        if request.kind == "vjp":
            bar = Tensor(f"bar_{request.output}", target.shape)
            labels = range(target.rank)
            self.target = einsum(1, [(bar, labels), (target, labels)], ())
        if directions:
            step = Tensor("%step", ())
            ways = {node: Tensor(f"d_{name}", node.shape) for name, node in directions.items()}
            moved = {node: add([node, multiply(broadcast(step, way.shape, ()), way)]) for node, way in ways.items()}
            (self.target,) = substitute((self.target,), moved)
            self.source, self.direction = step, np.ones(())
            self.arrays["%step"] = np.zeros(())
        elif request.kind in ("jvp", "hvp"):
            self.direction = extras[f"d_{result}"]

    def differences(self, rng: np.random.Generator) -> Differences:
        """Differences by some entries of the input, or in the one direction."""
        point = value_of(self.source, self.arrays, self.sizes)
        target, arrays = frozen(self.target, self.arrays, self.sizes)
        function = function_of(target, self.source, arrays, self.sizes)
        if not np.all(np.isfinite(function(point))):
            raise _Undefined
        if self.direction is not None:
            value, smooth = along(function, point, self.direction)
            return Differences(np.zeros(1, dtype=int), value[None], np.array([smooth]), 1e-10)
        picks = np.arange(point.size)
        if point.size > ENTRIES:
            picks = np.sort(rng.choice(point.size, ENTRIES, replace=False))
        return central(function, point, picks)

    def comparable(self, array: Array, picks: Array) -> Array:
        """What the module gave, as the differences lie: picked entries of the input first, then axes of the target."""
        if self.direction is not None:
            return array[None]
        rank = self.target.rank
        if self.request.kind == "jacobian":
            order = arrangement(self.request.layout, rank, self.source.rank).order
            shape = [e.evaluate(self.sizes) for e in (*self.target.shape, *self.source.shape)]
            array = array.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
        return np.moveaxis(array.reshape(*array.shape[:rank], -1), -1, 0)[picks]


def _line(entry: Entry, result: str, reference: _Reference, found: list[Array], rng: np.random.Generator) -> Line:
    differences = reference.differences(rng)
    smooth = differences.smooth
    if not np.all(np.isfinite(differences.values[smooth])):
        raise _Undefined
    errors = [
        disagreement(differences.values[smooth], reference.comparable(array, differences.picks)[smooth], differences.noise)
        for array in found
    ]
    left = heading(entry, result)
    left = left if left != result else f"{entry.name}: {result}"
    worst = float("inf") if any(not np.all(np.isfinite(array)) for array in found) else max(errors)
    total = 1 if reference.direction is not None else int(np.prod([e.evaluate(reference.sizes) for e in reference.source.shape]))
    return Line(entry.name, left, found[0].shape, worst, len(differences.picks), total, int(np.sum(~smooth)))
