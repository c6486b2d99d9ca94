"""What a call from Python costs beside its kernel: checks, new arrays, the way to C and back.

    python benchmarks/calls.py [--rounds 21] [--json FILE]

Arrays are tiny, so that a call is little else. The kernel alone is the same C function called in a loop in C; what is listed is
the least time of a call less that. `checked` takes arrays by position and returns new ones, `by name` takes keywords, `out` fills
arrays of the caller, `converted` gets arrays of the other precision, and a bound call takes no arguments. Results are compared
before anything is timed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import bracketc as bc
from bracketc.bench.pinning import restart_pinned
from bracketc.bench.timing import interleave
from bracketc.options import read_options
from bracketc.runtime.toolchain import find_toolchain

MODELS = Path(__file__).resolve().parent.parent / "models"
DTYPE = np.float64
KINDS = ("checked", "by name", "out", "converted", "bound")
LETTERS = "abcdefghij"
TEN = "\n".join(
    (
        "dim N",
        *(f"param {name} : N" for name in LETTERS),
        "J = " + " + ".join(f"{x} · {y}" for x, y in zip(LETTERS[::2], LETTERS[1::2], strict=True)),
        f"gradient J wrt {', '.join(LETTERS)}",
        "gradient J wrt a as byone",
    )
)
"""Ten arguments and next to no work."""


@dataclass(frozen=True, slots=True)
class Case:
    """A function of a module at sizes of which all arrays are small."""

    title: str
    source: str
    function: str
    sizes: Mapping[str, int]


CASES = (
    Case("ten vectors, J", TEN, "evaluate", {"N": 4}),
    Case("ten vectors, J and a gradient", TEN, "byone", {"N": 4}),
    Case("ten vectors, J and ten gradients", TEN, "value_and_grad", {"N": 4}),
    Case("logistic", "logistic", "value_and_grad", {"N": 4, "D": 3}),
    Case("feed_forward", "feed_forward", "value_and_grad", {"N": 2, "D": 2, "H": 2}),
    Case("lstm", "lstm", "value_and_grad", {"T": 1, "N": 1, "D": 2, "H": 2, "K": 2}),
)


def program_of(case: Case) -> bc.Program:
    return bc.load(str(MODELS / f"{case.source}.brk")) if "\n" not in case.source else bc.parse(case.source)


def arguments(program: bc.Program, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    known = {spec.name: spec.value for spec in program.sizes if spec.value is not None} | dict(sizes)
    given = {n: rng.normal(size=[d.evaluate(known) for d in spec.shape]) for n, spec in program.inputs.items()}
    return {name: np.asarray(array, DTYPE) for name, array in given.items()}


def writable(answer: Any) -> Any:
    """What a call returned as arrays that ``out`` takes: scalars become arrays."""
    if isinstance(answer, tuple):
        return tuple(map(writable, answer))
    return np.array(answer)


def flat(answer: Any) -> bytes:
    if isinstance(answer, tuple):
        return b"".join(map(flat, answer))
    return np.asarray(answer).tobytes()


def native_call(module: ModuleType, bind: Callable[..., Any], given: Mapping[str, np.ndarray]) -> tuple[str, list[Any]]:
    """The C function behind a bound call, and what it is called with."""
    seen: list[tuple[str, list[Any]]] = []

    def recorded(name: str) -> Callable[..., int]:
        def call(*values: Any) -> int:
            seen.append((name, list(values)))
            return 0

        return call

    library, space = module.__dict__["_lib"], module.__dict__
    names = [name for name in dir(library) if "_call_" in name]
    space["_lib"] = SimpleNamespace(**{name: recorded(name) for name in names})
    try:
        bind(**given)()
    finally:
        space["_lib"] = library
    return seen[-1]


def loop_in_c(module: ModuleType, name: str, values: list[Any], folder: Path, count: int = 1000) -> Callable[[], object]:
    """``count`` calls of a C function."""
    ffi, library = module.__dict__["_ffi"], module.__dict__["_lib"]
    numbers = [value for value in values if isinstance(value, int)]
    pointers = [value for value in values if not isinstance(value, int)]
    types = ", ".join(["int64_t"] * len(numbers) + ["void *"] * len(pointers))
    passed = ", ".join([*(f"n[{i}]" for i in range(len(numbers))), *(f"p[{i}]" for i in range(len(pointers)))])
    text = f"""#include <stdint.h>
int repeat(int (*call)({types}), const int64_t *n, void **p, int64_t count)
{{
    int status = 0;
    for (int64_t i = 0; i < count; ++i)
        status |= call({passed});
    return status;
}}
"""
    path = folder / f"{name}.c"
    path.write_text(text)
    command = [*find_toolchain(read_options({})).command, "-O1", "-shared", "-fPIC", str(path), "-o", str(path.with_suffix(".so"))]
    subprocess.run(command, check=True)
    repeat = ctypes.CDLL(str(path.with_suffix(".so"))).repeat
    function = ctypes.c_void_p(int(ffi.cast("intptr_t", ffi.addressof(library, name))))
    n = (ctypes.c_int64 * len(numbers))(*numbers)
    p = (ctypes.c_void_p * len(pointers))(*(int(ffi.cast("intptr_t", ffi.cast("void *", value))) for value in pointers))

    def call() -> object:
        keep = values
        status = repeat(function, n, p, ctypes.c_int64(count))
        assert status == 0, keep
        return status

    return call


def measured(case: Case, rounds: int, folder: Path) -> dict[str, float]:
    """Microseconds of the kernel alone, and of each kind of call beside it."""
    program = program_of(case)
    module = bc.compile(program, dtype=np.dtype(DTYPE).name)
    given = arguments(program, case.sizes)
    function = getattr(module, case.function)
    values = tuple(given.values())
    single = tuple(array.astype(np.float32) for array in values)
    answer = function(*values)
    out = writable(answer)
    calls: dict[str, Callable[[], object]] = {
        "checked": lambda: function(*values),
        "by name": lambda: function(**given),
        "out": lambda: function(*values, out=out),
        "converted": lambda: function(*single),
        "bound": function.bind(**given),
    }
    for kind, call in calls.items():
        found: Any = call()
        same = np.allclose(found[0], answer[0], rtol=1e-4) if kind == "converted" else flat(found) == flat(answer)
        if not same:
            raise SystemExit(f"{case.title}, {kind}: another result")
    name, native = native_call(module, function.bind, given)
    calls["kernel"] = loop_in_c(module, name, native, folder)
    times = {kind: timing.least for kind, timing in interleave(calls, rounds=rounds, seconds=0.005).items()}
    kernel = times.pop("kernel") / 1000
    return {"arguments": len(values), "kernel": 1e6 * kernel} | {kind: 1e6 * (time - kernel) for kind, time in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="the cost of calls from Python")
    parser.add_argument("--rounds", type=int, default=41, metavar="N", help="turns of every kind of call (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    options = parser.parse_args()
    restart_pinned(1)
    table = Table("function", "args", "kernel", *KINDS, title="Microseconds of a call beside its kernel")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            found[case.title] = figures = measured(case, options.rounds, Path(folder))
            cells = [f"{figures[kind]:.2f}" for kind in KINDS]
            table.add_row(case.title, str(figures["arguments"]), f"{figures['kernel']:.2f}", *cells)
    Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
