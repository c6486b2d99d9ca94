"""The same answer everywhere: the interpreter of a program as it is written against the modules that it becomes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from random_programs import Source, parse, random_program

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.target import host_features, supported_levels
from promises.programs import Joined, draw_sizes, hidden, join, results_of, settle, shrunk_source
from promises.promise import Promise, Skip, compare

JOINED = 20
"""Programs in one compilation."""


# ------------------------------------------------------------------------------------------------- NumPy
def numpy(source: Source, seed: int) -> int:
    """All functions of the NumPy module. Half of the modules know all their sizes, the others read them from the shapes."""
    program = parse(source)
    case = settle(program, seed)
    free = [spec.name for spec in program.sizes if spec.value is None]
    known = free if seed % 2 else hidden(program)
    module = bc.compile(program, backend="numpy", sizes={name: case.sizes[name] for name in known})
    count = 0
    for entry in case.entries:
        found = results_of(module, entry, case.arguments(entry))
        for name, array in case.wanted[entry.name].items():
            compare(f"{name} of {entry.name} at {case.sizes}", found[name], array)
            count += 1
    return count


def same(seed: int) -> int:
    return numpy(random_program(seed), seed)


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
    return slow, {"cflags": "-O3", **fast}


def compiled(joined: Joined, seed: int, options: Mapping[str, Any]) -> int:
    """All functions of a C module."""
    program = parse(joined.text)
    free = [spec.name for spec in program.sizes if spec.value is None]
    known = free if seed % 2 else ["T", *hidden(program)]
    sizes = {name: joined.sizes[name] for name in known if name in free}
    with TemporaryDirectory() as folder:  # nobody asks for these modules again
        module = bc.compile(program, backend="c", sizes=sizes, cache_dir=folder, **options)
    count = 0
    for entry in entries(program):
        if entry.name not in joined.wanted:
            continue
        arguments = {node.name: joined.arrays[node.name] for node in (*entry.arguments, *entry.extras)}
        found = results_of(module, entry, arguments)
        for name, array in joined.wanted[entry.name].items():
            compare(f"{name} of {entry.name} at {joined.sizes}, {options}", found[name], array)
            count += 1
    return count


def same_c(seed: int) -> int:
    joined = join(range(seed * JOINED, (seed + 1) * JOINED), draw_sizes(seed))
    return sum(compiled(joined, seed, options) for options in ways(seed))


def shrunk_joined(seed: int) -> str:
    """The one of the joined programs that breaks the promise on its own, else all."""
    sizes = draw_sizes(seed)
    for number in range(seed * JOINED, (seed + 1) * JOINED):
        try:
            joined = join([number], sizes)
            for options in ways(seed):
                compiled(joined, seed, options)
        except Skip:
            continue
        except Exception:
            return f"# seed {number} of random_program\n{random_program(number).text}"
    return join(range(seed * JOINED, (seed + 1) * JOINED), sizes).text


PROMISES = (
    Promise(
        "same", "NumPy gives the answer of the program as it is written",
        "random programs of every notation; the interpreter before simplification against every function of the emitted NumPy,"
        " sizes 0 to 4, arguments searched so that answers are finite",
        same, shrunk_source(numpy, random_program), 100_000, "results",
    ),
    Promise(
        "same-c", "C gives the same answer with every compiler, at every level of the instruction set",
        f"{JOINED} random programs in one compilation at -O0 and one at -O3, gcc and clang, the levels that the machine has,"
        " 1 and 3 threads; the interpreter against every function",
        same_c, shrunk_joined, 5_000 // JOINED, "results", 900.0,
    ),
)  # fmt: skip
