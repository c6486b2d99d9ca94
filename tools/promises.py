"""What the compiler promises, each as a check of one seed; `tools/campaign.py` runs them by the thousand.

A check returns how many cases it compared. It raises `Breach` with both answers, or `Skip` where a draw has no finite answer;
any other exception is a breach, too.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import fuzz
from random_ir import SIZES, random_graph
from random_programs import Source, random_program, shrink
from test_plan_random import PLANS, entry_of
from test_simplify_random import PASSES

import bracketc as bc
from bracketc.calculus.derivatives import expand_derivatives, hvp, jvp, vjp
from bracketc.calculus.requests import entries
from bracketc.ir.build import einsum
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Entry, Program
from bracketc.ir.rewrite import Roots, tensors
from bracketc.ir.verify import verify
from bracketc.loops.interpret import interpret as run_loops
from bracketc.loops.lower import lower
from bracketc.plan.interpret import run
from bracketc.plan.plan import plan
from bracketc.plan.split import split_plan
from bracketc.simplify import simplify, stabilise

ROOT = Path(__file__).resolve().parent.parent
Array = np.ndarray[Any, Any]

JOINED = 20
"""Programs in one compilation."""
LEVELS = ("-O0", "-O3")
EXTENTS = (0, 1, 1, 2, 3, 4)
TOLERANCE = 1e-8
"""Of the largest entry, or of 1."""


class Breach(Exception):
    """Two answers that differ."""


class Skip(Exception):
    """A draw that says nothing."""


@dataclass(frozen=True, slots=True)
class Promise:
    """``check`` of a seed; ``goal`` is how many seeds a full campaign tries. ``shrunk`` gives the input of a seed, made small."""

    name: str
    title: str
    how: str
    check: Callable[[int], int]
    shrunk: Callable[[int], str]
    goal: int
    unit: str
    limit: float = 60.0


# ------------------------------------------------------------------------------------------------- comparing
def compare(what: str, found: Any, wanted: Any, tolerance: float = TOLERANCE) -> None:
    """Raises where shapes differ or entries differ by more than ``tolerance`` of the largest."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        raise Breach(f"{what}: shape {found.shape}, not {wanted.shape}")
    scale = max(1.0, float(np.abs(wanted.astype(float)).max(initial=0)))
    if not np.allclose(found, wanted, rtol=0, atol=tolerance * scale):
        raise Breach(f"{what}: found\n{found}\nwanted\n{wanted}")


def finite(arrays: Sequence[Any]) -> bool:
    return all(np.isfinite(np.asarray(array, float)).all() for array in arrays)


# ------------------------------------------------------------------------------------------------- the same answer
def draw(program: Program, seed: int) -> tuple[dict[str, int], dict[str, Array]]:
    """Sizes, 0 and 1 among them, and arguments."""
    rng = np.random.default_rng(seed)
    sizes = {name: int(rng.choice(EXTENTS)) for name in "NMK"} | {"T": int(rng.choice(EXTENTS[1:]))}
    arrays = {n: 0.5 * rng.normal(size=[d.evaluate(sizes) for d in spec.shape]) for n, spec in program.inputs.items()}
    return sizes, arrays


def answers(module: ModuleType, entry: Entry, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """What the function of a module returns, by the names of the entry's results."""
    found = getattr(module, entry.name)(**{node.name: arrays[node.name] for node in entry.arguments})
    if hasattr(found, "gradients"):
        found = [found.value, *found.gradients]
    return dict(zip((name for name, _ in entry.results), found, strict=True))


def compared(program: Program, seed: int, functions: Callable[[str], bool], **options: Any) -> int:
    """The functions of a module against the interpreter of the program before any simplification."""
    sizes, arrays = draw(program, seed)
    if "sizes" in options:
        options["sizes"] = {name: sizes[name] for name in options["sizes"]}
    module = None
    count = 0
    for entry in entries(program):
        if not functions(entry.name):
            continue
        values = {node: arrays[node.name] for node in entry.arguments}
        with np.errstate(all="ignore"):
            wanted = interpret([node for _, node in entry.results], values, sizes)
            if not finite(wanted):
                continue
            module = module or bc.compile(program, **options)
            found = answers(module, entry, arrays)
        for (name, _), array in zip(entry.results, wanted, strict=True):
            compare(f"{name} of {entry.name} at {sizes}", found[name], array)
            count += 1
    if not count:
        raise Skip("no finite answer")
    return count


def _numpy(source: Source, seed: int) -> int:
    # Half of the modules know all their sizes, the others read them from the shapes; sizes that no shape shows must be known.
    names = "NMKT" if seed % 2 else ""
    program = bc.parse(source.text)
    shown = {name for spec in program.inputs.values() for dim in spec.shape for name in dim.names}
    known = [name for name in "NMKT" if name in names or name not in shown]
    return compared(program, seed, lambda name: name in ("evaluate", "value_and_grad"), backend="numpy", sizes=known)


def same(seed: int) -> int:
    return _numpy(random_program(seed), seed)


NAME = re.compile(r"(?<!\w)([XYAuvxsDR])(\d+)(?!\d)")


def joined(first: int, count: int = JOINED) -> str:
    """Random programs as one, their names made distinct: the results are J0, J1, … and the gradients grad0, grad1, …"""
    lines = ["dim N, M, K, T", "function f(a) = tanh(a) + 0.5 a", "function g(a) = sigmoid(a) ⊙ a"]
    for k in range(count):
        source = random_program(first + k)
        text = "\n".join(statement.text for statement in source.statements[3:])
        text += f"\ngradient J wrt {', '.join(source.wrt)} as grad{k}" if source.wrt else ""
        text = NAME.sub(lambda name, k=k: f"{name[1]}{1000 * (k + 1) + int(name[2])}", text)  # type: ignore[misc]
        lines.append(re.sub(r"(?<!\w)J(?!\w)", f"J{k}", text))
    return "\n".join(lines) + "\n"


def _c(text: str, seed: int) -> int:
    program = bc.parse(text)
    return sum(
        compared(program, seed, lambda name: name == "evaluate" or name.startswith("grad"), backend="c", cflags=flag,
                 sizes="NMKT" if seed % 2 else "T")
        for flag in LEVELS
    )  # fmt: skip


def same_c(seed: int) -> int:
    return _c(joined(seed * JOINED), seed)


def shrunk_source(check: Callable[[Source, int], int], make: Callable[[int], Source]) -> Callable[[int], str]:
    """The smallest program of a seed that still breaks the promise; the program as it is where it holds."""

    def fails(source: Source, seed: int) -> bool:
        try:
            check(source, seed)
        except (Skip, bc.BracketError):
            return False
        except Exception:
            return True
        return False

    def text(seed: int) -> str:
        source = make(seed)
        return (shrink(source, lambda candidate: fails(candidate, seed)) if fails(source, seed) else source).text

    return text


def shrunk_joined(seed: int) -> str:
    """The one of the joined programs that breaks the promise on its own, else all."""
    for k in range(JOINED):
        text = joined(seed * JOINED + k, 1)
        try:
            _c(text, seed)
        except Skip:
            continue
        except Exception:
            return text
    return joined(seed * JOINED)


# ------------------------------------------------------------------------------------------------- passes
def passes(seed: int) -> int:
    """Each pass of simplify/ on its own, and all of them, on one random graph."""
    roots, values = random_graph(seed)
    wanted = interpret(roots, values, SIZES)
    for apply in (*PASSES, stabilise, simplify):
        after = apply(Roots(roots))
        verify(after.nodes)
        for k, (new, old) in enumerate(zip(interpret(after.nodes, values, SIZES), wanted, strict=True)):
            compare(f"{apply.__name__}, root {k}", new, old, 1e-7)
    return len(PASSES) + 2


def plans(seed: int) -> int:
    """Plans with passes on and off, split in blocks, and the loops that they are lowered to."""
    roots, values = random_graph(seed, count=14, roots=4)
    used = {node: values[node] for node in tensors(roots)}
    named = {node.name: value for node, value in used.items()}
    wanted = interpret(roots, used, SIZES)
    count = 0
    for way, options in PLANS.items():
        whole = plan([entry_of(roots)], {}, (), options)
        for cut, planned in (("whole", whole), ("split", split_plan(whole))):
            schedule = planned.schedule("evaluate")
            ran = {"plan": run(schedule, named, SIZES).results, "loops": run_loops(lower(schedule), named, SIZES)[0]}
            for level, results in ran.items():
                for (name, found), array in zip(results.items(), wanted, strict=True):
                    compare(f"{name} of {level}, {way}, {cut}", found, array)
                count += 1
    return count


def graph_text(seed: int) -> str:
    """What a random graph is made of."""
    return f"random_graph({seed}):\n" + "\n".join(map(str, random_graph(seed)[0]))


# ------------------------------------------------------------------------------------------------- gradients
def smooth(seed: int) -> Source:
    """A program without kinks and without ``stop``, whose derivative is another than that of its value."""
    source = random_program(seed, kinks=False)
    return replace(source, statements=tuple(_without_stop(s) for s in source.statements))


def _without_stop(statement: Any) -> Any:
    def visit(expr: Any) -> Any:
        return replace(expr, pattern=expr.pattern.replace("stop(", "("), parts=tuple(map(visit, expr.parts)))

    return statement if statement.body is None else replace(statement, body=visit(statement.body))


def _gradients(source: Source, seed: int) -> int:
    program = bc.parse(source.text)
    sizes, arrays = draw(program, seed)
    (root,) = expand_derivatives(Roots((dict(program.definitions)["J"],))).nodes
    leaves = tensors((root,))
    rng = np.random.default_rng(seed)
    ways = [Tensor(f"way {leaf.name}", leaf.shape) for leaf in leaves]
    values: dict[Tensor, Any] = {leaf: arrays[leaf.name] for leaf in leaves}
    values |= {way: rng.normal(size=arrays[leaf.name].shape) for leaf, way in zip(leaves, ways, strict=True)}
    if not leaves:
        raise Skip("a constant")
    bar = Tensor("bar", ())
    values[bar] = np.array(1.0)
    (along,), slopes = jvp([root], leaves, ways), vjp([root], leaves, [bar])
    turned = [_dot(slope, way) for slope, way in zip(slopes, ways, strict=True)]
    second = hvp(root, leaves[0], ways[0])

    def at(step: float, nodes: Sequence[Node], moved: Sequence[Tensor]) -> list[Array]:
        shift = {leaf: values[leaf] + step * values[way] for leaf, way in zip(leaves, ways, strict=True) if leaf in moved}
        return interpret(nodes, {**values, **shift}, sizes)

    with np.errstate(all="ignore"):
        forward, *reverse, curve = at(0.0, [along, *turned, second], ())
        if not finite([forward, curve, *reverse]):
            raise Skip("no finite answer")
        total = np.asarray(sum(reverse))
        compare(f"jvp against vjp at {sizes}", forward, total)
        _differences(f"directional derivative at {sizes}", forward, lambda h: at(h, [root], leaves)[0])
        _differences(f"hvp by {leaves[0].name} at {sizes}", curve, lambda h: at(h, [slopes[0]], leaves[:1])[0])
    return 3


def _dot(left: Node, right: Node) -> Node:
    return einsum(1, [(left, range(left.rank)), (right, range(right.rank))], [])


def _differences(what: str, derivative: Array, value: Callable[[float], Array]) -> None:
    """Central differences with two steps, extrapolated (L. F. Richardson, 1911): (4 D(h/2) - D(h)) / 3 = f' + O(h⁴).

    The two differences also tell how far they can be trusted: what they do not agree about is the error that is allowed.
    """
    h = 2e-4
    wide, narrow = ((value(s) - value(-s)) / (2 * s) for s in (h, h / 2))
    scale = max(1.0, float(np.abs(value(0.0)).max(initial=0)), float(np.abs(derivative).max(initial=0)))
    spread = float(np.abs(wide - narrow).max(initial=0))
    if not np.isfinite(spread) or spread > 1e-3 * scale:
        raise Skip("no difference to trust")
    best = (4 * narrow - wide) / 3
    if not np.abs(best - derivative).max(initial=0) <= 1e-7 * scale + spread:
        raise Breach(f"{what}: derivative\n{derivative}\ndifferences\n{best}")


def gradients(seed: int) -> int:
    return _gradients(smooth(seed), seed)


# ------------------------------------------------------------------------------------------------- bad input
def _bad(seed: int) -> str:
    return fuzz.mutated(_corpus(), random.Random(seed))


@cache
def _corpus() -> list[str]:
    return fuzz.corpus()


def bad_input(seed: int) -> int:
    """A mutated source in the front end; one of ten through all stages."""
    trace = fuzz.failure(_bad(seed), stages=seed % 10 == 0)
    if trace is not None:
        raise Breach(trace)
    return 1


PROMISES = (
    Promise(
        "same", "NumPy gives the answer of the program as it is written",
        "random programs; the interpreter before simplification against the emitted NumPy, value and gradients, sizes 0 to 4",
        same, shrunk_source(_numpy, random_program), 100_000, "results",
    ),
    Promise(
        "same-c", "C gives the same answer at -O0 and -O3",
        f"{JOINED} random programs in one compilation; the interpreter against C, value and gradients",
        same_c, shrunk_joined, 5_000 // JOINED, "results", 600.0,
    ),
    Promise(
        "passes", "every pass of simplify/ keeps the meaning", "random graphs of every node kind, interpreted before and after",
        passes, graph_text, 20_000, "passes",
    ),
    Promise(
        "plans", "every plan and its loops keep the meaning",
        "random graphs planned with passes on and off, whole and split; schedule and loops interpreted",
        plans, graph_text, 20_000, "schedules",
    ),
    Promise(
        "gradients", "derivatives are right",
        "random smooth programs: jvp against vjp, both against central differences, hvp against differences of gradients",
        gradients, shrunk_source(_gradients, smooth), 20_000, "derivatives",
    ),
    Promise(
        "bad-input", "bad input never shows a traceback", "mutated sources in the front end, every tenth through all stages",
        bad_input, _bad, 1_000_000, "sources",
    ),
)  # fmt: skip
