"""Every pass keeps the meaning: random graphs before and after, planned, split, and lowered to loops."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from random_ir import SIZES, random_graph
from random_programs import random_program

import bracketc.simplify
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Entry
from bracketc.ir.rewrite import Roots, tensors
from bracketc.ir.verify import verify
from bracketc.loops import arena, batches, contractions, nests
from bracketc.loops import lower as lowering
from bracketc.loops.interpret import interpret as run_loops
from bracketc.loops.kernel import Kernel
from bracketc.loops.team import for_team
from bracketc.loops.verify import verify as verify_kernel
from bracketc.plan import fusion
from bracketc.plan.interpret import run
from bracketc.plan.plan import PlanOptions, plan
from bracketc.plan.prologues import prologues_plan
from bracketc.plan.schedule import Plan
from bracketc.plan.split import SplitOptions, split_plan
from bracketc.plan.verify import verify as verify_schedule
from promises.programs import parse, settle
from promises.promise import Array, Promise, compare

Pass = Callable[[Roots], Roots]


# ------------------------------------------------------------------------------------------------- which passes there are
@cache
def passes_of_simplify() -> tuple[Pass, ...]:
    """Every public function from ``Roots`` to ``Roots`` in the modules of simplify/, found there, so that none is forgotten."""
    found: dict[str, Pass] = {}
    for info in sorted(pkgutil.iter_modules(bracketc.simplify.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"bracketc.simplify.{info.name}")
        for name, function in sorted(vars(module).items()):
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                kinds = inspect.get_annotations(function)
                if kinds.pop("return", None) == "Roots" and list(kinds.values()) == ["Roots"]:
                    found[name] = function
    return (*found.values(), bracketc.simplify.stabilise, bracketc.simplify.simplify)


@cache
def ways_to_plan() -> Mapping[str, PlanOptions]:
    """The defaults, each option of planning changed alone, and all that can be switched off."""
    ways, switches = {"default": PlanOptions()}, dict[str, Any]()
    for option in fields(PlanOptions):
        if option.type == "bool":
            switches[option.name] = False
            ways[f"not {option.name}"] = replace(PlanOptions(), **dict[str, Any]({option.name: False}))
    ways |= {f"factors {kind}": PlanOptions(factors=kind) for kind in ("triangular", "none")}
    ways["as written"] = replace(PlanOptions(factors="none"), **switches)
    return ways


Off = tuple[tuple[Any, str, Any], ...]
"""Where a pass is called by which name, and what stands for it when it is off."""

PARTS_OF_FUSION: dict[str, Off] = {
    "fold": ((fusion, "fold", lambda steps, keep: list(steps)),),
    "arrange": ((fusion, "arrange", list),),
    "tidied": ((fusion, "tidied", lambda step: step),),
}
PARTS_OF_LOOPS: dict[str, Off] = {
    "rows at a time": ((lowering, "in_rows", tuple), (batches, "in_rows", tuple)),
    "order of loops": ((nests, "loop_order", lambda order, *_: order),),
    "merged loops": ((nests, "merge_loops", lambda order, extents, loads, _, writes: (order, dict(extents), loads, writes)),),
    "parts of a product": ((contractions, "runs_apart", lambda found, fresh: found),),
    "factors made by products": ((lowering, "factors_made", lambda steps, keep: {}),),
    "slots used again": ((arena.Arena, "give_back", lambda self, slot: None),),
}


@contextmanager
def without(part: Off) -> Iterator[None]:
    """Meanwhile one pass is off."""
    honest = [getattr(place, name) for place, name, _ in part]
    for place, name, instead in part:
        setattr(place, name, instead)
    try:
        yield
    finally:
        for (place, name, _), was in zip(part, honest, strict=True):
            setattr(place, name, was)


WAYS_TO_SPLIT = {
    "whole": None,
    "split where it pays": SplitOptions(),
    "split": SplitOptions(budget=1, unit=1, groups=2, always=True),
    "split in twos": SplitOptions(budget=1, unit=2, groups=1, always=True),
}


# ------------------------------------------------------------------------------------------------- graphs
@dataclass(frozen=True, slots=True)
class Graph:
    """Roots with values of the tensors below them, and what they are."""

    roots: tuple[Node, ...]
    values: Mapping[Tensor, Array]
    sizes: Mapping[str, int]
    wanted: Sequence[Array]


def graph(seed: int) -> Graph:
    """A random graph of every node kind for an even seed, else all functions of a random program, derivatives among them."""
    if seed % 2 == 0:
        roots, values = random_graph(seed, count=14, roots=4)
        return Graph(roots, values, SIZES, interpret(roots, values, SIZES))
    case = settle(parse(random_program(seed)), seed)
    found = {node: case.wanted[entry.name][name] for entry in case.entries for name, node in entry.results}
    values = {node: case.arrays[node.name] for node in tensors(tuple(found))}
    return Graph(tuple(found), values, case.sizes, tuple(found.values()))


def graph_text(seed: int) -> str:
    """What a random graph is made of."""
    if seed % 2:
        return random_program(seed).text
    return f"random_graph({seed}):\n" + "\n".join(map(str, graph(seed).roots))


# ------------------------------------------------------------------------------------------------- the promises
def passes(seed: int) -> int:
    """Each pass of simplify/ on its own, and all of them; those that change nothing are not counted."""
    given, count = graph(seed), 0
    for apply in passes_of_simplify():
        after = apply(Roots(given.roots))
        if after.nodes == given.roots:
            continue
        verify(after.nodes)
        for k, (new, old) in enumerate(zip(interpret(after.nodes, given.values, given.sizes), given.wanted, strict=True)):
            compare(f"{apply.__name__}, root {k}", new, old, 1e-7)
        count += 1
    return count


def plans(seed: int) -> int:
    """Plans with passes on and off, and the loops that they are lowered to; those that differ are counted."""
    given, count = graph(seed), 0
    seen: set[str] = set()
    for turn, (way, options) in enumerate(ways_to_plan().items()):
        count += _planned(given, way, plan([entry_of(given.roots)], {}, (), options), seed + turn, seen)
    for turn, (name, part) in enumerate(PARTS_OF_FUSION.items()):
        with without(part):
            planned = plan([entry_of(given.roots)], {}, ())
        count += _planned(given, f"not {name}", planned, seed + turn, seen)
    whole = plan([entry_of(given.roots)], {}, ())
    count += _planned(given, "factors made as they are packed", whole, seed, seen, lambda cut: prologues_plan(cut, always=True))
    return count + _loops(given, whole, seed)


def _loops(given: Graph, whole: Plan, turn: int) -> int:
    """The loops with each pass off that they differ by, of the whole plan or of one that is split."""
    options = [*WAYS_TO_SPLIT.values()][turn % len(WAYS_TO_SPLIT)]
    schedule = (whole if options is None else split_plan(whole, options)).schedule("evaluate")
    usual, count = lowering.lower(schedule), 0
    for name, part in PARTS_OF_LOOPS.items():
        with without(part):
            kernel = lowering.lower(schedule)
        if kernel != usual:
            _run(given, f"not {name}", kernel)
            count += 2
    return count


def _run(given: Graph, what: str, kernel: Kernel) -> None:
    """Loops of one thread and of three."""
    verify_kernel(kernel)
    named = {node.name: value for node, value in given.values.items()}
    ran: dict[str, Mapping[str, Any]] = {
        "loops": run_loops(kernel, named, given.sizes)[0],
        "loops of three threads": run_loops(for_team(kernel), named, given.sizes, (2, 0, 1))[0],
    }
    for level, results in ran.items():
        for (name, found), array in zip(results.items(), given.wanted, strict=True):
            compare(f"{name} of {level}, {what}", found, array)


def entry_of(roots: tuple[Node, ...]) -> Entry:
    return Entry("evaluate", tensors(roots), (), tuple((f"r{k}", root) for k, root in enumerate(roots)))


def _planned(
    given: Graph, way: str, whole: Plan, turn: int, seen: set[str], after: Callable[[Plan], Plan] = lambda cut: cut
) -> int:
    """One plan, whole and split, its schedules and their loops, one thread and three; splits take turns, what comes ``after`` them
    follows, and what was ``seen`` is not run again."""
    before = len(seen)
    named = {node.name: value for node, value in given.values.items()}
    cuts = [*WAYS_TO_SPLIT.items()]
    for cut, options in (cuts[0], cuts[1 + turn % (len(cuts) - 1)]):
        schedule = after(whole if options is None else split_plan(whole, options)).schedule("evaluate")
        as_text = repr((schedule.variants, schedule.results, schedule.split))  # buffers are equal to themselves alone
        if as_text in seen:
            continue
        seen.add(as_text)
        verify_schedule(schedule)
        for (name, found), array in zip(run(schedule, named, given.sizes).results.items(), given.wanted, strict=True):
            compare(f"{name} of the plan, {way}, {cut}", found, array)
        _run(given, f"{way}, {cut}", lowering.lower(schedule))
    return 3 * (len(seen) - before)


PROMISES = (
    Promise(
        "passes", "every pass of simplify/ keeps the meaning",
        "each pass by itself on random graphs of every node kind and on all functions of random programs, interpreted before and"
        " after; counted are those that change something",
        passes, graph_text, 20_000, "passes",
    ),
    Promise(
        "plans", "every pass of plan/ and loops/ keeps the meaning",
        "the same graphs planned with each pass switched off alone and with all, whole and split, and lowered with each pass of"
        " loops/ off; schedules and loops that differ are verified, interpreted with one thread and three, and counted",
        plans, graph_text, 20_000, "schedules and loops",
    ),
)  # fmt: skip
