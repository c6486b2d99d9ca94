"""The same answer everywhere: the interpreter of a program as it is written against the modules that it becomes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
from ckernels import has_openmp
from cmodules import compiled as build
from random_programs import Source, random_program

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.compiler import Stages, stages
from bracketc.ir.program import Entry, Program
from bracketc.options import make_options
from bracketc.plan.native import native_plan
from bracketc.structures import Structured
from bracketc.target import find_target, host_features, supported_levels
from promises.programs import UNLIMITED, Joined, draw_sizes, hidden, join, parse, results_of, settle, shrunk_source
from promises.promise import Counted, Promise, Skip, compare
from promises.rounding import bounded, near, rounded

JOINED = 20
"""Programs in one compilation."""


# ------------------------------------------------------------------------------------------------- NumPy
def numpy(source: Source, seed: int) -> int:
    """All functions of the NumPy module. Half of the modules know all their sizes, the others read them from the shapes."""
    program = parse(source)
    case = settle(program, seed)
    free = [spec.name for spec in program.sizes if spec.value is None]
    known = free if seed % 2 else hidden(program)
    module = bc.compile(program, backend="numpy", sizes={name: case.sizes[name] for name in known}, **UNLIMITED)
    count = 0
    for entry in case.entries:
        found = results_of(module, entry, case.arguments(entry))
        for name, array in case.wanted[entry.name].items():
            compare(f"{name} of {entry.name} at {case.sizes}", found[name], array)
            count += 1
    return count


def same(seed: int) -> int:
    return numpy(random_program(seed), seed)


def single(source: Source, seed: int) -> Counted:
    """All functions of the NumPy module of float32, within what rounding does to the answers."""
    program = parse(source)
    settled = settle(program, seed)
    made = rounded(settled)
    case = made.case
    sizes = {name: case.sizes[name] for name in hidden(program)}
    module = bc.compile(program, backend="numpy", dtype="float32", sizes=sizes, **UNLIMITED)
    count = 0
    for entry in case.entries:
        arguments = case.arguments(entry).items()
        given = {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in arguments}
        found = results_of(module, entry, given)
        for name, bound in made.bounds[entry.name].items():
            near(f"{name} of {entry.name} at {case.sizes}", found[name], case.wanted[entry.name][name], bound)
            count += 1
    lost = sum(len(found) for found in settled.wanted.values()) - count
    return Counted(count, {"without a digit to compare": lost})


def float32(seed: int) -> Counted:
    return single(random_program(seed), seed)


# ------------------------------------------------------------------------------------------------- C
@cache
def compilers() -> tuple[str, ...]:
    """gcc and clang, those that are there."""
    return tuple(name for name in ("gcc", "clang") if shutil.which(name))


@cache
def levels() -> tuple[str, ...]:
    """The levels of the instruction set that this machine runs, the portable one first."""
    return tuple(level.suffix for level in supported_levels(host_features(), os.uname().machine))


def ways(seed: int) -> tuple[dict[str, Any], ...]:
    """Two ways to build, -O0 and -O3; compilers, levels and threads take turns, so that 32 seeds have all pairs of them."""
    cc, march = compilers(), levels()
    slow = {"cflags": "-O0", "cc": cc[seed % len(cc)], "march": march[seed // 2 % len(march)], "threads": 1}
    fast = {"cc": cc[(seed + 1) % len(cc)], "march": march[(seed // 2 + 1) % len(march)], "threads": (1, 3)[seed // 8 % 2]}
    if not has_openmp(fast["cc"]):
        fast["threads"] = 1
    dtype = {"dtype": "float32" if in_float32(seed) else "float64"}
    return {**slow, **dtype, **UNLIMITED}, {"cflags": "-O3", **fast, **dtype, **UNLIMITED}


def in_float32(seed: int) -> bool:
    """One of five seeds."""
    return seed % 5 == 4


def joined_of(seed: int, numbers: Iterable[int]) -> Joined:
    return join(numbers, draw_sizes(seed), bounded if in_float32(seed) else None)


def known_sizes(joined: Joined, program: Program, seed: int) -> dict[str, int]:
    """Half of the modules know all their sizes."""
    free = [spec.name for spec in program.sizes if spec.value is None]
    known = free if seed % 2 else ["T", *hidden(program)]
    return {name: joined.sizes[name] for name in known if name in free}


def compiled(joined: Joined, seed: int, options: Mapping[str, Any]) -> int:
    """All functions of a C module, as Python calls them; at -O3 those of its C text, called without what stands between, which is
    longer than all kernels together."""
    program = parse(joined.text)
    sizes = known_sizes(joined, program, seed)
    with TemporaryDirectory() as folder:  # nobody asks for these modules again
        if options["cflags"] == "-O0":
            module = bc.compile(program, backend="c", sizes=sizes, cache_dir=folder, **options)
            return _of_wrapper(joined, program, module, options)
        return _of_text(joined, stages(program, make_options({"backend": "c", "sizes": sizes, **options})), Path(folder), options)


def _of_wrapper(joined: Joined, program: Program, module: ModuleType, options: Mapping[str, Any]) -> int:
    count = 0
    for entry in entries(program):
        if entry.name not in joined.wanted:
            continue
        arguments = {node.name: joined.arrays[node.name] for node in (*entry.arguments, *entry.extras)}
        found = results_of(module, entry, arguments)
        count += _compared(joined, entry.name, found, options)
    return count


def _of_text(joined: Joined, done: Stages, folder: Path, options: Mapping[str, Any]) -> int:
    """Where a result with a structure has a function that gives the dense array, that one."""
    target = find_target(options["march"])
    assert target is not None
    planned = native_plan(done.plan)
    module = build(planned, options["dtype"], folder, target, ("-O3", "-Wno-error"), options["threads"], options["cc"])
    dense = {entry.twin: entry.name for entry in done.entries if entry.twin is not None}
    answered = {entry.name: entry for entry in done.entries}
    count, saved = 0, None
    for schedule in planned.schedules:  # forward before backward
        function = dense.get(schedule.entry, schedule.entry)
        if function not in joined.wanted or schedule.entry in dense.values():
            continue
        if schedule.residuals and schedule.entry != "backward":
            saved = module.residuals(joined.sizes)
        found = module.run(schedule.entry, joined.arrays, joined.sizes, saved)
        count += _compared(joined, function, filled(answered[schedule.entry], found, joined.sizes), options)
    return count


def filled(entry: Entry, found: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Results of an entry as dense arrays, made of what is stored where a result has a structure."""
    if not any(form.structure for form in entry.forms):
        return found
    arrays, whole = iter(found.values()), dict[str, Any]()
    for form in entry.forms:
        if form.structure is None or form.node is None:
            whole[form.name] = next(arrays)
            continue
        stored = [next(arrays) for _ in range(form.structure.count)]
        shape = tuple(extent.evaluate(sizes) for extent in form.node.shape)
        terms = [
            (term.equal, [(stored[place], axes) for place, axes in zip(term.stored, term.factors, strict=True)])
            for term in form.structure.terms
        ]
        whole[form.name] = Structured(shape, form.structure.rows, terms).dense()
    return whole


def _compared(joined: Joined, function: str, found: Mapping[str, Any], options: Mapping[str, Any]) -> int:
    for name, array in joined.wanted[function].items():
        what = f"{name} of {function} at {joined.sizes}, {options}"
        if joined.bounds:
            near(what, found[name], array, joined.bounds[function][name])
        else:
            compare(what, found[name], array)
    return len(joined.wanted[function])


def same_c(seed: int) -> int:
    joined = joined_of(seed, range(seed * JOINED, (seed + 1) * JOINED))
    return sum(compiled(joined, seed, options) for options in ways(seed))


def shrunk_joined(seed: int) -> str:
    """The one of the joined programs that breaks the promise on its own, else all."""
    for number in range(seed * JOINED, (seed + 1) * JOINED):
        try:
            joined = joined_of(seed, [number])
            for options in ways(seed):
                compiled(joined, seed, options)
        except Skip:
            continue
        except Exception:
            return f"# seed {number} of random_program\n{random_program(number).text}"
    return joined_of(seed, range(seed * JOINED, (seed + 1) * JOINED)).text


PROMISES = (
    Promise(
        "same", "NumPy gives the answer of the program as it is written",
        "random programs of every notation; the interpreter before simplification against every function of the emitted NumPy,"
        " sizes 0 to 4, arguments searched so that answers are finite",
        same, shrunk_source(numpy, random_program), 100_000, "results",
    ),
    Promise(
        "float32", "float32 is wrong by rounding alone",
        "the same programs and functions in float32; bounds are 64 times what relative errors of half a unit in every value on the"
        " way, drawn four times, do to the answers of the interpreter",
        float32, shrunk_source(single, random_program), 5_000, "results",
    ),
    Promise(
        "same-c", "C gives the same answer with every compiler, at every level of the instruction set",
        f"{JOINED} random programs in one compilation at -O0 and one at -O3, gcc and clang, the levels that the machine has,"
        " 1 and 3 threads; the interpreter against every function, called from Python and, at -O3, as C; every fifth time in"
        " float32",
        same_c, shrunk_joined, 5_000 // JOINED, "results", 900.0,
    ),
)  # fmt: skip
