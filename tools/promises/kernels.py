"""The emitted C itself: many random kernels in one compilation, under sanitizers, in several threads, in ranges of a batch."""

from __future__ import annotations

import ctypes
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sanitize
from ckernels import COMPILER
from cmodules import CModule, compiled, together
from modelcases import MODELS, arrays_of, sizes_of
from random_batches import batch_program
from random_programs import Source, random_program
from test_batch_ranges import Call, cut_into, entries_with_ranges

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.emit.c_module import CText, c_module
from bracketc.ir.interpret import interpret
from bracketc.ir.rewrite import Roots, tensors
from bracketc.plan.plan import plan
from bracketc.plan.prologues import prologues_plan
from bracketc.plan.schedule import Plan, Schedule
from bracketc.plan.split import SplitOptions, split_plan
from bracketc.simplify import simplify
from bracketc.target import BASE_CFLAGS, detect_host
from promises.passes import entry_of
from promises.programs import parse, settle
from promises.promise import Array, Breach, Counted, Promise, Skip, compare

COUNT = 20
"""Kernels in one compilation."""
PIECES = (1, 2, 3, 7)
THREADS = (1, 2, 3, 7)
SPLITS = (None, SplitOptions(budget=1, unit=1, groups=2, always=True), SplitOptions(budget=1 << 10, unit=4, groups=5, always=True))
EXTENTS = (1, 2, 3, 5, 8, 13, 17, 33)
"""Around the widths of registers."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """Schedules in one plan, with arguments and answers."""

    plan: Plan
    sizes: Mapping[str, int]
    given: Mapping[str, Mapping[str, Array]]
    wanted: Mapping[str, Mapping[str, Array]]


def draw_sizes(seed: int) -> dict[str, int]:
    rng = np.random.default_rng([seed, 2])
    few = (0, *EXTENTS) if seed % 4 == 0 else EXTENTS
    return {name: int(rng.choice(few)) for name in "NMKH"} | {"T": int(rng.choice((1, 2, 5))), "B": 2}


def kernels(seed: int, count: int = COUNT, split: int | None = None) -> Kernels:
    """All functions of a random program in one kernel, for so many programs; they are split in one of three ways."""
    numbers = range(seed * count, (seed + 1) * count)
    options = SPLITS[seed % len(SPLITS) if split is None else split]
    return kernels_of({f"k{number}": random_program(number) for number in numbers}, draw_sizes(seed), options)


def kernels_of(sources: Mapping[str, Source | str], sizes: Mapping[str, int], options: SplitOptions | None = None) -> Kernels:
    """The same of any programs by name that have finite answers at ``sizes``."""
    schedules: dict[str, Schedule] = {}
    given: dict[str, dict[str, Array]] = {}
    wanted: dict[str, dict[str, Array]] = {}
    for number, (name, source) in enumerate(sources.items()):
        try:
            case = settle(parse(source), number, sizes)
        except Skip:
            continue
        found = {node: case.wanted[entry.name][name] for entry in case.entries for name, node in entry.results}
        roots = simplify(Roots(tuple(found))).nodes
        schedules[name] = plan([entry_of(roots)], {}, ()).schedule("evaluate")
        given[name] = {f"{name}_{leaf.name}": case.arrays[leaf.name] for leaf in tensors(roots)}
        wanted[name] = {f"r{k}": array for k, array in enumerate(found.values())}
    if not schedules:
        raise Skip("no finite answer")
    whole = together(schedules)
    cut = whole if options is None else split_plan(whole, options)
    return Kernels(prologues_plan(cut, always=True), sizes, given, wanted)


# ------------------------------------------------------------------------------------------------- sanitizers
@dataclass(frozen=True, slots=True)
class Calling:
    """One call of a C function: sizes, arguments, and what the results must be."""

    function: str
    sizes: tuple[int, ...]
    arguments: tuple[Array, ...]
    wanted: tuple[Array, ...]


def callings(made: Kernels, text: CText) -> list[Calling]:
    found = []
    for schedule in made.plan.schedules:
        call, given, wanted = text.entries[schedule.entry], made.given[schedule.entry], made.wanted[schedule.entry]
        arrays = tuple(np.ascontiguousarray(given[name]) for name in call.arguments)
        results = tuple(wanted[name] for name, _ in schedule.results)
        found.append(Calling(call.function, tuple(made.sizes[name] for name in call.sizes), arrays, results))
    return found


def execute(library: ctypes.CDLL, calls: Iterable[Calling], threads: Sequence[int]) -> None:
    """Runs in a process of its own, under a sanitizer: every array is a block of its own."""
    for call in calls:
        first: list[bytes] = []
        for number in threads:
            library.m_call_threads(ctypes.c_int64(number))
            arguments = [array.copy() for array in call.arguments]
            results = [np.full(array.shape, np.nan) for array in call.wanted]
            sizes = (ctypes.c_int64(size) for size in call.sizes)
            pointers = (ctypes.c_void_p(array.ctypes.data) for array in (*arguments, *results))
            status = getattr(library, call.function)(*sizes, *pointers)
            if status:
                raise Breach(f"{call.function}: status {status}")
            for k, (found, array) in enumerate(zip(results, call.wanted, strict=True)):
                compare(f"result {k} of {call.function} at {call.sizes}", found, array)
            bits = [array.tobytes() for array in results]
            if first and bits != first:
                raise Breach(f"{call.function} at {call.sizes}: other bits with {number} threads")
            first = bits


@cache
def _around(kind: str, folder: Path) -> dict[str, str]:
    """The environment of a process under a sanitizer, which is shown to find a mistake before it is trusted."""
    assert COMPILER is not None
    if kind == "races":
        sanitize.build(COMPILER, sanitize.FLAGS["races"], sanitize.TOOLS / "openmp_threads.c", folder / "openmp_threads.so")
    around = sanitize.environment(kind, COMPILER, folder)
    sanitize.prove(kind, COMPILER, around, folder)
    return around


@cache
def _room() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


def sanitized(seed: int, count: int = COUNT) -> int:
    """Three of four seeds under the address and undefined-behaviour sanitizers, one under the thread sanitizer."""
    if COMPILER is None or ("gcc" not in Path(COMPILER).resolve().name and shutil.which("gcc") is None):
        raise Skip("no gcc")
    return under("races" if seed % 4 == 3 else "memory", kernels(seed, count))


def under(kind: str, made: Kernels) -> int:
    """Kernels in a process under a sanitizer."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        flags = sanitize.FLAGS[kind].split()
        text = _compile(made.plan, folder, (*flags, "-fopenmp"), threads=3)
        calls = callings(made, text)
        (folder / "calls").write_bytes(pickle.dumps(calls))
        command = (sys.executable, str(Path(__file__).parent.parent / "sanitized_kernels.py"), str(folder))
        around = {**_around(kind, Path(_room().name)), "PYTHONMALLOC": "malloc"}
        done = subprocess.run(command, env=around, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Breach(f"{kind}: status {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-4000:]}")
    return len(calls)


def _compile(plan: Plan, folder: Path, flags: Sequence[str], threads: int) -> CText:
    """A shared library ``m.so`` of the plan; a warning is an error."""
    text = c_module("m", plan, dtype="float64", threads=threads, checked=True)
    for name, content in (("m.c", text.source), ("m.h", text.header), ("_m.c", text.flat)):
        (folder / name).write_text(content, encoding="utf-8")
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi")
    files = ("-fPIC", "-shared", "m.c", "_m.c", "-o", "m.so", "-lm")
    command = (COMPILER or "cc", *BASE_CFLAGS, *detect_host().cflags, *warnings, *flags, *files)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise Breach(f"it does not compile:\n{done.stderr[:4000]}")
    return text


# ------------------------------------------------------------------------------------------------- splits
BATCHES = (1, 2, 7, 13, 33, 64, 150)


def batched(seed: int, count: int = COUNT) -> Kernels:
    """Programs over the rows of a batch, which is cut."""
    rng = np.random.default_rng([seed, 3])
    sizes = {"N": int(rng.choice(BATCHES))} | {name: int(rng.choice(EXTENTS)) for name in "MKH"}
    options = SplitOptions(budget=1 << 10, unit=int(rng.choice((1, 4, 16))), groups=5, always=True, label="N")
    return kernels_of({f"k{number}": batch_program(number) for number in range(seed * count, (seed + 1) * count)}, sizes, options)


def splits(seed: int) -> Counted:
    """Models for the first seeds, then programs over a batch and random programs in turn."""
    if COMPILER is None:
        raise Skip("no C compiler")
    names = [*MODELS]
    made = _model(names[seed]) if seed < len(names) else kernels(seed, split=1 + seed // 2 % 2) if seed % 2 else batched(seed)
    return agree(made, np.random.default_rng(seed))


def agree(made: Kernels, rng: np.random.Generator) -> Counted:
    """1, 2, 3 and 7 threads; 1, 2, 3, 7 and N ranges of the batch: the same bits."""
    with TemporaryDirectory() as folder:
        module = compiled(made.plan, "float64", Path(folder), flags=("-O1",), threads=7)
    count = 0
    for schedule in made.plan.schedules:
        whole: dict[str, bytes] = {}
        for number in THREADS:
            module.library.m_call_threads(ctypes.c_int64(number))
            found = module.run(schedule.entry, made.given[schedule.entry], made.sizes)
            for name, array in made.wanted[schedule.entry].items():
                compare(f"{name} of {schedule.entry}", found[name], array)
            bits = {name: array.tobytes() for name, array in found.items()}
            if whole and bits != whole:
                raise Breach(f"{schedule.entry} at {made.sizes}: other bits with {number} threads")
            whole = bits
            count += 1
    module.library.m_call_threads(ctypes.c_int64(1))
    apart = entries_with_ranges(module)
    for schedule, extent in apart:
        count += _ranges(module, made, schedule, extent.evaluate(made.sizes), rng)
    blocks = sum(schedule.split is not None for schedule in made.plan.schedules)
    return Counted(count, {"kernels in blocks": blocks, "kernels cut in ranges": len(apart)})


def _ranges(module: CModule, made: Kernels, schedule: Schedule, batch: int, rng: np.random.Generator) -> int:
    """A batch in pieces, which come in any order."""
    call = Call(module, schedule.entry, made.given[schedule.entry], made.sizes)
    wanted = call.whole()
    for pieces in (*PIECES, max(1, batch)):
        cuts = cut_into(pieces, batch, rng) if pieces != batch else [*range(batch + 1)]
        if call.joined(cuts, rng.permutation(len(cuts) - 1).tolist(), batch) != wanted:
            raise Breach(f"{schedule.entry} at {made.sizes}: other bits in ranges {cuts}")
    return len(PIECES) + 1


def _model(name: str) -> Kernels:
    """All functions of a model as one kernel, in small blocks."""
    program = bc.load(MODELS[name])
    sizes = sizes_of(program)
    arrays = arrays_of(program)
    functions = [entry for entry in entries(program) if not entry.extras]
    roots = simplify(Roots(tuple(dict.fromkeys(node for entry in functions for _, node in entry.results)))).nodes
    schedules = {name: plan([entry_of(roots)], {}, program.sizes).schedule("evaluate")}
    answers = interpret(roots, {leaf: arrays[leaf.name] for leaf in tensors(roots)}, sizes)
    given = {name: {f"{name}_{leaf.name}": arrays[leaf.name] for leaf in tensors(roots)}}
    wanted = {name: {f"r{k}": array for k, array in enumerate(answers)}}
    return Kernels(split_plan(together(schedules), SPLITS[2]), sizes, given, wanted)


# ------------------------------------------------------------------------------------------------- valgrind
def valgrind(seed: int) -> int:
    """A model in both types, called from C: no memory beside the arrays is touched, and every result is written."""
    if COMPILER is None or shutil.which("valgrind") is None:
        raise Skip("no valgrind")
    name, dtype = [*MODELS][seed // 2 % len(MODELS)], ("float64", "float32")[seed % 2]
    program = bc.load(MODELS[name])
    sizes = sizes_of(program)
    schedule = {
        f"{name}_{entry.name}": plan([entry], {}, program.sizes).schedule(entry.name)
        for entry in entries(program)
        if entry.name not in ("forward", "backward") and not entry.candidates
    }
    planned = together(schedule)
    with TemporaryDirectory() as place:
        folder = Path(place)
        text = c_module("m", planned, dtype=dtype, threads=1)
        for file, content in (("m.c", text.source), ("m.h", text.header), ("_m.c", text.flat)):
            (folder / file).write_text(content, encoding="utf-8")
        (folder / "main.c").write_text(_main(planned, text, sizes, "float" if dtype == "float32" else "double"), encoding="utf-8")
        build = (COMPILER, *BASE_CFLAGS, "-O1", "-g", "main.c", "m.c", "-o", "main", "-lm")
        done = subprocess.run(build, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            raise Breach(f"it does not compile:\n{done.stderr[:4000]}")
        leaks = ("--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible")  # a workspace is kept for the next call
        command = ("valgrind", "--error-exitcode=9", *leaks, "-q", "./main")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise Breach(f"{name}, {dtype}: status {done.returncode}\n{done.stderr[-4000:]}")
    return len(planned.schedules)


def _main(planned: Plan, text: CText, sizes: Mapping[str, int], real: str) -> str:
    """A program in C that calls every function on arrays of exactly their sizes, and adds up what it gets."""
    kinds = {"real": real, "integer": "int64_t", "boolean": "_Bool"}
    lines = ["#include <stdint.h>", "#include <stdio.h>", "#include <stdlib.h>", '#include "_m.c"', "", "int main(void)", "{"]
    lines.append("    double total = 0;")
    for schedule in planned.schedules:
        call = text.entries[schedule.entry]
        buffers = {buffer.name: buffer for buffer in schedule.arguments}
        taken = [buffers[name] for name in call.arguments]
        made = [buffer for _, buffer in schedule.results]
        lines.append("    {")
        for k, buffer in enumerate((*taken, *made)):
            count = int(np.prod([extent.evaluate(sizes) for extent in buffer.shape], dtype=int))
            kind = kinds[buffer.dtype]
            lines.append(f"        {kind} *a{k} = malloc({count} * sizeof *a{k});")
            if k < len(taken):
                value = f"({kind})(0.1 + 0.01 * (i * 7 % 11))" if buffer.dtype == "real" else "0"
                lines.append(f"        for (int i = 0; i < {count}; ++i) a{k}[i] = {value};")
        values = [*(str(sizes[name]) for name in call.sizes), *(f"a{k}" for k in range(len(taken) + len(made)))]
        lines.append(f"        if ({call.function}({', '.join(values)})) return 1;")
        for k, buffer in enumerate(made, len(taken)):
            count = int(np.prod([extent.evaluate(sizes) for extent in buffer.shape], dtype=int))
            lines.append(f"        for (int i = 0; i < {count}; ++i) total += (double)a{k}[i];")
        lines += [f"        free(a{k});" for k in range(len(taken) + len(made))]
        lines.append("    }")
    return "\n".join([*lines, '    printf("%s", total > 0 ? "positive" : "");', "    return 0;", "}"]) + "\n"


def _text(seed: int) -> str:
    return f"random_program of the seeds {seed * COUNT} to {(seed + 1) * COUNT - 1}, sizes {draw_sizes(seed)}"


PROMISES = (
    Promise(
        "splits", "threads and ranges of a batch change no bit",
        f"{COUNT} random programs in one compilation, every other time over the rows of a batch, in blocks of few rows,"
        " and all models: 1, 2, 3 and 7 threads, and 1, 2, 3, 7 and N ranges in any order, combined",
        splits, _text, 250, "calls", 900.0,
    ),
    Promise(
        "kernels", "the emitted C is clean",
        f"{COUNT} random programs in one compilation under the address and undefined-behaviour sanitizers, every fourth time under"
        " the thread sanitizer, 1, 2 and 3 threads; a warning of the compiler is an error",
        sanitized, _text, 2_100 // COUNT, "kernels", 900.0,  # some of 20 programs have no finite answer
    ),
    Promise(
        "valgrind", "the models touch no memory but their arrays, write all of every result, and lose none",
        "all models in both types under valgrind",
        valgrind, lambda seed: f"{[*MODELS][seed // 2 % len(MODELS)]}", 2 * len(MODELS), "functions", 900.0,
    ),
)  # fmt: skip
