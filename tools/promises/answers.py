"""The same answer everywhere: the interpreter of a program as it is written against the modules that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from random_programs import Source, random_program

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.ir.interpret import interpret
from bracketc.ir.program import Entry, Program
from promises.programs import draw, joined, shrunk_source
from promises.promise import Array, Promise, Skip, compare, finite

JOINED = 20
"""Programs in one compilation."""
LEVELS = ("-O0", "-O3")


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


def _c(text: str, seed: int) -> int:
    program = bc.parse(text)
    return sum(
        compared(program, seed, lambda name: name == "evaluate" or name.startswith("grad"), backend="c", cflags=flag,
                 sizes="NMKT" if seed % 2 else "T")
        for flag in LEVELS
    )  # fmt: skip


def same_c(seed: int) -> int:
    return _c(joined(seed * JOINED, JOINED), seed)


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
    return joined(seed * JOINED, JOINED)


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
)  # fmt: skip
