"""Random programs as promises use them: with sizes, arguments and the answers of the interpreter, several as one, made small."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import random_programs
from random_programs import HEADER, Source, random_program, shrink

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.ir.interpret import _run
from bracketc.ir.nodes import Add, Compare, Einsum, Literal, Node, Pointwise, Tensor
from bracketc.ir.program import Entry, Program
from bracketc.ir.rewrite import topological
from bracketc.proof.samples import draw
from promises.promise import Array, Skip

EXTENTS = (0, 1, 1, 2, 3, 4)
ATTEMPTS = 10
LARGEST = 1e6
"""Answers beyond it say little: they may be the difference of larger ones."""
NEAREST = 1e-10
"""Numbers that differ by less would be equal without rounding, or are so by chance: which of them is larger says nothing."""
MOST_PRODUCTS = 10**8
"""Of one contraction as the interpreter writes it out: a second derivative by matrices over a batch has rows of them."""
UNLIMITED: dict[str, Any] = {"max_flops": 10**40, "max_bytes": 10**40}
"""Programs of names without a hint are planned for sizes at which some derivatives would take more than a machine has."""

Sizes = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Case:
    """A program with arguments by name, and what the interpreter makes of it before any simplification, function by function."""

    program: Program
    sizes: Sizes
    arrays: Mapping[str, Array]
    entries: tuple[Entry, ...]
    wanted: Mapping[str, Mapping[str, Array]]

    def arguments(self, entry: Entry) -> dict[str, Array]:
        return {node.name: self.arrays[node.name] for node in (*entry.arguments, *entry.extras)}


def parse(source: Source | str) -> Program:
    """The program. One part in brackets that begins with a bar means another thing inside a bracket, `[~x ((~Y) z)]`, where all
    parts are drawn from what stands alone."""
    try:
        return random_programs.parse(source)
    except bc.SourceError as error:
        text = source if isinstance(source, str) else source.text
        if "the members of [ ] have different numbers of dimensions" in str(error) and "((~" in text:
            raise Skip("a bar inside a bracket") from None
        raise


def draw_sizes(seed: int, attempt: int = 0) -> dict[str, int]:
    """0 and 1 among them at first, none below 1 later; a recurrence has a step at least."""
    rng = np.random.default_rng([seed, attempt])
    few = EXTENTS if attempt < ATTEMPTS // 2 else EXTENTS[1:]
    return {name: int(rng.choice(few)) for name in "NMKH"} | {"T": int(rng.choice(EXTENTS[1:])), "B": 2}


def draw_arrays(tensors: Iterable[Tensor], sizes: Sizes, seed: int, attempt: int = 0) -> dict[str, Array] | None:
    """Arrays with the traits of their names, smaller from attempt to attempt; ``None`` where an empty row cannot have a trait."""
    rng = np.random.default_rng([seed, attempt, 1])
    arrays = {}
    for tensor in tensors:
        shape = [extent.evaluate(sizes) for extent in tensor.shape]
        bound = None if tensor.bound is None else tensor.bound.evaluate(sizes)
        empty = shape[-1:] == [0] or bound == 0
        if empty and np.prod(shape[:-1] if bound is None else shape) and (bound == 0 or any("rows" in t for t in tensor.traits)):
            return None
        if empty:
            arrays[tensor.name] = np.zeros(shape, np.int64 if bound is not None else np.float64)
            continue
        array = draw(tensor, sizes, rng)
        free = tensor.dtype == "real" and not tensor.traits
        arrays[tensor.name] = 0.5 * 0.8**attempt * array if free else array
    return arrays


def settle(program: Program, seed: int, sizes: Sizes | None = None) -> Case:
    """Arguments at which all answers are finite and of moderate size, searched for; with the most such answers, where there are no
    others, and without the rest."""
    try:
        functions = entries(program)
    except bc.UnsupportedError as error:
        if "no rule for the derivative of trigamma" in str(error):
            raise Skip("lgamma has two derivatives") from None
        raise
    tensors = tuple(dict.fromkeys(node for entry in functions for node in (*entry.arguments, *entry.extras)))
    roots = tuple(node for entry in functions for _, node in entry.results)
    best: tuple[int, Sizes, dict[str, Array], dict[str, dict[str, Array]]] | None = None
    for attempt in range(ATTEMPTS):
        at: Sizes = sizes or draw_sizes(seed, attempt)
        arrays = draw_arrays(tensors, at, seed, attempt)
        if arrays is None or products(roots, at) > MOST_PRODUCTS:
            continue
        with np.errstate(all="ignore"):
            values = _run(roots, {node: np.asarray(arrays[node.name]) for node in tensors}, at)
        wild = spoiled(roots, values)
        good = {
            entry.name: {name: np.array(values[node]) for name, node in entry.results}
            for entry in functions
            if not any(node in wild for _, node in entry.results)
        }
        if best is None or len(good) > best[0]:
            best = len(good), at, arrays, good
        if len(good) == len(functions):
            break
    if best is None or not best[0]:
        raise Skip("no finite answer")
    _, found, given, answers = best
    return Case(program, found, given, tuple(entry for entry in functions if entry.name in answers), answers)


def products(roots: Iterable[Node], sizes: Sizes) -> int:
    """The products of the largest contraction, and so a bound on the numbers that any step of it holds."""
    spaces = (node.extents for node in topological(roots) if isinstance(node, Einsum))
    return max((prod(extent.evaluate(sizes) for extent in space) for space in spaces), default=0)


def spoiled(roots: Iterable[Node], values: Mapping[Node, Any]) -> set[Node]:
    """Nodes of which a value, or one that it is made of, is not finite or too large.

    Identities over finite numbers may be used, and what an infinity becomes depends on which are. Nor does a value say anything
    that jumps where rounding decides on which side it is.
    """
    wild: set[Node] = set()
    masked: set[Node] = set()
    for node in topological(roots):
        found = values[node]
        arrays = found if isinstance(found, tuple) else (found,)
        finite = all(bool(np.isfinite(array).all()) for array in arrays)
        if any(operand in wild for operand in node.operands) or _at_jump(node, values):
            wild.add(node)
        elif finite:
            if any(np.abs(array).max(initial=0) > LARGEST for array in arrays):
                wild.add(node)
        elif isinstance(node, Einsum | Literal) or (isinstance(node, Add) and not masked.isdisjoint(node.operands)):
            masked.add(node)  # -inf that the program itself puts where a maximum does not look
        else:
            wild.add(node)
    return wild | masked.intersection(roots)


def _at_jump(node: Node, values: Mapping[Node, Any]) -> bool:
    """Whether a condition compares, or a sign is taken of, numbers that only rounding tells apart."""
    if isinstance(node, Compare):
        left, right = (np.asarray(values[operand], float) for operand in node.operands)
    elif isinstance(node, Pointwise) and node.function in ("sign", "step"):
        left, right = np.asarray(values[node.args[0]], float), np.zeros(())
    else:
        return False
    with np.errstate(invalid="ignore"):
        apart = np.abs(left - right)
    return bool(((apart > 0) & (apart <= NEAREST * np.maximum(1, np.abs(left)))).any())


def hidden(program: Program) -> list[str]:
    """Sizes that the shape of no argument shows: they must be known when the program is compiled."""
    shown = {name for spec in program.inputs.values() for dim in spec.shape for name in dim.names}
    return [spec.name for spec in program.sizes if spec.value is None and spec.name not in shown]


# ------------------------------------------------------------------------------------------------- several as one
_NAME = re.compile(r"(?<![A-Za-z\d])(d?)([A-Za-z])(\d+)(?![A-Za-wyz\d])")


def renamed(text: str, number: int) -> str:
    """Text of a random program, or a name of it, as it stands among others."""
    text = _NAME.sub(lambda name: f"{name[1]}{name[2]}{1000 * (number + 1) + int(name[3])}", text)
    return re.sub(r"(?<!\w)J(?!\w)", f"J{number}", text)


def _renamed_argument(name: str, number: int) -> str:
    prefix = next((prefix for prefix in ("d_", "bar_") if name.startswith(prefix)), "")
    return prefix + renamed(name.removeprefix(prefix), number)


@dataclass(frozen=True, slots=True)
class Joined:
    """Random programs as one: the results are J0, J1, … and the gradients the functions grad0, grad1, …, but that of the first
    program with one, which has no name, so that there are value_and_grad, forward and backward."""

    text: str
    sizes: Sizes
    arrays: Mapping[str, Array]
    wanted: Mapping[str, Mapping[str, Array]]
    bounds: Mapping[str, Mapping[str, float]]
    """Errors that answers may have; none for what is compared in float64."""


Bounded = Callable[[Case], tuple[Case, Mapping[str, Mapping[str, float]]]]


def join(seeds: Iterable[int], sizes: Sizes, bounded: Bounded | None = None) -> Joined:
    """Programs that have finite answers at ``sizes``, with distinct names; ``bounded`` makes them cases of float32."""
    lines, ends, outputs = [*HEADER], [], []
    arrays: dict[str, Array] = {}
    wanted: dict[str, dict[str, Array]] = {"evaluate": {}}
    bounds: dict[str, dict[str, float]] = {}
    everything: dict[str, Array] = {}
    unnamed: int | None = None
    for number, seed in enumerate(seeds):
        source = random_program(seed)
        own: Mapping[str, Mapping[str, float]] = {}
        try:
            case = settle(parse(source), seed, sizes)
        except Skip:
            continue
        everything |= {renamed(name, number): array for name, array in case.wanted.get("evaluate", {}).items()}
        if bounded is not None:
            case, own = bounded(case)
        if "evaluate" not in case.wanted:
            continue
        if unnamed is None and source.wrt:
            unnamed = number
        body = [s.text for s in source.statements[len(HEADER) :] if not s.head.startswith("output ")]
        lines.append(renamed("\n".join(body), number))
        outputs += [renamed(name, number) for name, _ in case.program.results]
        arrays |= {_renamed_argument(name, number): array for name, array in case.arrays.items()}
        names = {"evaluate": "evaluate", "value_and_grad": f"grad{number}"}
        if unnamed == number:
            names |= {"value_and_grad": "value_and_grad", "backward": "backward"}
        names |= {request.name: renamed(request.name, number) for request in case.program.requests if request.name}
        for name, found in case.wanted.items():
            if name in names:
                results = {renamed(key, number): array for key, array in found.items()}
                wanted.setdefault(names[name], {}).update(results)
                bounds.setdefault(names[name], {}).update({renamed(key, number): bound for key, bound in own.get(name, {}).items()})
        if source.wrt:
            name = "" if unnamed == number else f" as grad{number}"
            ends.append(renamed(f"gradient J wrt {', '.join(source.wrt)}", number) + name)
        ends += [renamed(request, number) for request in source.requests]
    if not outputs:
        raise Skip("no finite answer")
    wanted["forward"], bounds["forward"] = wanted["evaluate"], bounds.get("evaluate", {})
    shapes = {name: np.zeros_like(array) for name, array in everything.items()}
    arrays = {f"bar_{name}": array for name, array in shapes.items()} | arrays
    text = "\n".join([*lines, f"output {', '.join(outputs)}", *ends]) + "\n"
    return Joined(text, sizes, arrays, wanted, bounds if bounded is not None else {})


# ------------------------------------------------------------------------------------------------- made small
def shrunk_source(check: Callable[[Source, int], object], make: Callable[[int], Source]) -> Callable[[int], str]:
    """The smallest program of a seed that still breaks the promise; the program as it is where it holds."""

    def fails(source: Source, seed: int) -> bool:
        try:
            check(source, seed)
        except (Skip, bc.SourceError):
            return False
        except Exception:
            return True
        return False

    def text(seed: int) -> str:
        source = make(seed)
        return (shrink(source, lambda candidate: fails(candidate, seed)) if fails(source, seed) else source).text

    return text


def results_of(module: Any, entry: Entry, arguments: Mapping[str, Array]) -> dict[str, Any]:
    """What the function of a module returns, by the names of the entry's results."""
    names = [name for name, _ in entry.results]
    if entry.name == "forward":
        found, residuals = module.forward(**arguments)
        del residuals
    elif entry.name == "backward":
        given = {node.name: arguments[node.name] for node in entry.arguments}
        bars = {node.name.removeprefix("bar_"): arguments[node.name] for node in entry.extras}
        found = module.backward(module.forward(**given)[1], **bars)
    else:
        found = getattr(module, entry.name)(**arguments)
    if hasattr(found, "gradients"):
        found = [found.value, *found.gradients]
    elif not isinstance(found, tuple):
        found = [found]
    return dict(zip(names, found, strict=True))
