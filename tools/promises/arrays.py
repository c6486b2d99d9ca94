"""Arrays of any layout at every function of every model: the answer of plain copies, to the bit."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from modelcases import MODELS, NO_COMPILER
from test_array_layouts import LAYOUTS

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.ir.program import Entry, Program
from bracketc.proof import samples
from promises.programs import results_of
from promises.promise import Array, Breach, Promise, Skip, compare

BACKENDS = ("numpy", "c")
EXTENTS = (0, 1, 2, 3, 5, 8)


def _entry(array: Array) -> Array:
    view = np.full(3, np.nan)[1, ...]
    view[...] = array
    return view


def spread(array: Array) -> Array:
    """Entries 2^31 and more apart: the array is a view of sparse memory, most of which does not exist."""
    apart = 2**31 + 1
    memory = np.frombuffer(mmap.mmap(-1, (apart * max(1, array.size) + 1) * array.itemsize, flags=_SPARSE), array.dtype)
    view = memory[: apart * array.size : apart]
    view[...] = array.ravel()
    return view.reshape(array.shape) if array.ndim == 1 else view


_SPARSE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)

HALF = "half precision"
MORE: dict[str, Callable[[Array], Any]] = {
    "plain": np.array,
    "every third row backwards": lambda array: np.repeat(array, 3, axis=0)[::-3][::-1] if array.ndim else array,
    "spread over the address space": lambda array: spread(array) if array.ndim == 1 and 0 < array.size <= 8 else array,
    HALF: lambda array: array.astype(np.float16),
}
REAL = {**LAYOUTS, **MORE}
SCALAR: dict[str, Callable[[Array], Any]] = {
    **{name: REAL[name] for name in ("plain", "misaligned", "read-only", "big-endian", "longer numbers", "nested lists", HALF)},
    "an entry of a larger array": _entry,
}
"""Layouts of an array without axes."""
WHOLE = ("plain", "Fortran order", "rotated axes", "backwards", "misaligned", "read-only")
"""Layouts that say nothing about the type of the entries."""


@cache
def _program(model: str) -> tuple[Program, tuple[Entry, ...]]:
    program = bc.load(MODELS[model])
    return program, entries(program)


@cache
def _module(model: str, backend: str) -> ModuleType:
    return bc.compile(_program(model)[0], backend=backend)


@dataclass(frozen=True, slots=True)
class Draw:
    """A model and a backend, arrays for every argument, and the layout of each."""

    model: str
    backend: str
    plain: Mapping[str, Array]
    layouts: Mapping[str, str]


def drawn(seed: int, rng: np.random.Generator) -> Draw:
    """What a seed tries."""
    model, backend = [*MODELS][seed // 2 % len(MODELS)], BACKENDS[seed % 2]
    program, functions = _program(model)
    sizes = {spec.name: spec.value if spec.value is not None else int(rng.choice(EXTENTS)) for spec in program.sizes}
    tensors = dict.fromkeys(node for entry in functions for node in (*entry.arguments, *entry.extras))
    try:
        plain = {node.name: np.array(samples.draw(node, sizes, rng), order="C") for node in tensors}
    except ValueError:
        raise Skip("rows of no entries have no trait") from None
    traits = {node.name: node.traits for node in tensors}
    said = {}
    for name, array in plain.items():
        layout = str(rng.choice([*(REAL if array.ndim else SCALAR)] if array.dtype.kind == "f" else WHOLE))
        if (layout == "nested lists" and not array.size) or (layout == HALF and traits[name]):
            layout = "plain"  # lists of nothing do not show their shape, and rounding may lose a trait
        said[name] = layout
    return Draw(model, backend, plain, said)


def arrays(seed: int) -> int:
    """One model and backend; every argument gets a layout of its own, and all of them once parts of one block of memory."""
    rng = np.random.default_rng(seed)
    draw = drawn(seed, rng)
    if draw.backend == "c" and NO_COMPILER:
        raise Skip(NO_COMPILER)
    functions, module, said = _program(draw.model)[1], _module(draw.model, draw.backend), draw.layouts
    changed = {name: (REAL if array.ndim else SCALAR)[said[name]](array) for name, array in draw.plain.items()}
    plain = {name: np.array(changed[name], array.dtype, order="C", subok=False) for name, array in draw.plain.items()}
    count = 0
    for entry in functions:
        names = [node.name for node in (*entry.arguments, *entry.extras)]
        count += _equal(module, entry, {name: changed[name] for name in names}, {name: plain[name] for name in names}, said)
    count += _overlapping(module, functions, plain, rng)
    return count


def _equal(module: ModuleType, entry: Entry, changed: Mapping[str, Any], plain: Mapping[str, Array], said: object) -> int:
    """The same bits, new memory, and arguments that stay as they were; or the same refusal."""
    before = {name: np.array(array) for name, array in changed.items()}
    try:
        wanted = results_of(module, entry, plain)
    except bc.BracketError as error:
        try:
            results_of(module, entry, changed)
        except type(error):
            return 1
        raise Breach(f"{entry.name}: {error} for plain arrays alone, {said}") from None
    found = results_of(module, entry, changed)
    for name, array in wanted.items():
        left, right = np.asarray(found[name]), np.asarray(array)
        if left.tobytes() != right.tobytes():
            raise Breach(f"{name} of {entry.name}, {said}: found\n{left}\nwanted\n{right}")
        given = [other for other in changed.values() if isinstance(other, np.ndarray)]
        if any(np.may_share_memory(left, other) for other in given):
            raise Breach(f"{name} of {entry.name} shares memory with an argument, {said}")
    for name, array in changed.items():
        if not np.array_equal(np.array(array), before[name], equal_nan=before[name].dtype.kind == "f"):
            raise Breach(f"{entry.name} wrote {name}, {said}")
    return 1


def _overlapping(module: ModuleType, functions: tuple[Entry, ...], plain: Mapping[str, Array], rng: np.random.Generator) -> int:
    """Arguments without traits that are parts of one another."""
    free = {node.name for entry in functions for node in entry.arguments if node.dtype == "real" and not node.traits}
    memory = rng.normal(size=4 + max((array.size for array in plain.values()), default=0))
    shared = {
        name: memory[k % 4 :][: array.size].reshape(array.shape) if name in free else array
        for k, (name, array) in enumerate(plain.items())
    }
    copies = {name: array.copy() for name, array in shared.items()}
    for entry in functions:
        names = [node.name for node in (*entry.arguments, *entry.extras)]
        _equal(module, entry, {name: shared[name] for name in names}, {name: copies[name] for name in names}, "overlapping")
    return len(functions)


# ------------------------------------------------------------------------------------------------- more than 2^31 entries
LONG = 2**31 + 77
PLACES = (0, 1, 2**30, 2**31 - 1, 2**31, 2**31 + 1, LONG - 1)


def long(seed: int) -> int:
    """Sums and products over more entries than 32 bits count, in memory of which few pages exist."""
    backend = BACKENDS[seed % 2]
    if backend == "c" and NO_COMPILER:
        raise Skip(NO_COMPILER)
    memory = np.frombuffer(mmap.mmap(-1, 4 * LONG, flags=_SPARSE), np.float32)
    for k, place in enumerate(PLACES):
        memory[place] = k + 1
    squares(bc.compile(SQUARES, backend=backend, dtype="float32"), memory)
    return 2


SQUARES = "dim N, M\ninput x : N\ninput X : N, M\nJ = x · x\nv = X^T @ x\noutput J, v"


def squares(module: ModuleType, memory: Array) -> None:
    """Memory that is 1, 2, 3, … at `PLACES`, or as many entries, and 0 elsewhere."""
    wanted = float(sum((k + 1) ** 2 for k in range(len(PLACES))))
    found = module.evaluate(x=memory, X=memory.reshape(-1, 1))
    compare("the sum of squares", found.J, wanted, 1e-5)
    compare("the product", found.v, np.array([wanted]), 1e-5)


def far(backend: str) -> None:
    """The same sums of few entries, 2^31 and more apart."""
    squares(bc.compile(SQUARES, backend=backend, dtype="float32"), spread(np.arange(1, len(PLACES) + 1, dtype=np.float32)))


PROMISES = (
    Promise(
        "arrays", "arrays of any layout give the answer of their copies",
        "every function of every model, both backends, sizes 0 to 8: a layout for each argument, among them entries 2^31 apart, and"
        " arguments that overlap; the same bits, nothing written, nothing shared",
        arrays, lambda seed: f"{[*MODELS][seed // 2 % len(MODELS)]}, {BACKENDS[seed % 2]}", 20 * 2 * len(MODELS), "calls", 600.0,
    ),
    Promise(
        "long", "more entries than 32 bits count", "2^31 + 77 entries in sparse memory, both backends",
        long, lambda seed: BACKENDS[seed % 2], 2, "results", 900.0,
    ),
)  # fmt: skip
