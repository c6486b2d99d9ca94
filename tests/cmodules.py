"""Compiles the C text of planned entries and calls it through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ckernels import COMPILER

from bracketc.emit.c_module import CText, c_module
from bracketc.plan.schedule import Buffer, Plan, Schedule
from bracketc.target import BASE_CFLAGS, Target, detect_host

Array = np.ndarray[Any, Any]
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi")
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


@dataclass(frozen=True)
class CModule:
    """A compiled plan. ``run`` calls one entry on arrays by name and returns its results by name."""

    library: ctypes.CDLL
    text: CText
    plan: Plan
    dtype: np.dtype[Any]

    def run(
        self, entry: str, given: Mapping[str, Any], sizes: Mapping[str, int], saved: Array | None = None
    ) -> dict[str, Array]:
        schedule, call = self.plan.schedule(entry), self.text.entries[entry]
        arguments = {
            b.name: self.array(b, sizes, given[b.name]) for b in schedule.arguments if b.name in call.arguments
        }
        before = {name: array.copy() for name, array in arguments.items()}
        results = {name: self.array(b, sizes) for name, b in schedule.results}
        pointers = [*(arguments[name] for name in call.arguments)]
        if call.residuals:
            assert saved is not None
            pointers.append(saved)
        pointers += results.values()
        status = getattr(self.library, call.function)(
            *(ctypes.c_int64(sizes[name]) for name in call.sizes), *(ctypes.c_void_p(a.ctypes.data) for a in pointers)
        )
        if status:
            raise ValueError(f"status {status}")
        for name, array in arguments.items():
            assert array.tobytes() == before[name].tobytes(), f"{name} was written"
        return results

    def residuals(self, sizes: Mapping[str, int]) -> Array:
        """A block for what ``forward`` saves, full of NaN."""
        names = self.text.residual_sizes
        assert names is not None
        count = self.library.m_call_residuals
        count.restype = ctypes.c_size_t
        return np.full(count(*(ctypes.c_int64(sizes[name]) for name in names)), 0xFF, np.uint8)

    def array(self, buffer: Buffer, sizes: Mapping[str, int], value: Any = None) -> Array:
        dtype = {"real": self.dtype, "integer": np.dtype(np.int64), "boolean": np.dtype(np.bool_)}[buffer.dtype]
        shape = tuple(d.evaluate(sizes) for d in buffer.shape)
        array = np.full(shape, np.nan if buffer.dtype == "real" else 0, dtype)
        if value is not None:
            array[...] = value
        return array


def compiled(
    plan: Plan, dtype: str, folder: Path, target: Target | None = None, flags: Sequence[str] = (), threads: int = 1,
    cc: str | None = None,
) -> CModule:  # fmt: skip
    """The plan as a shared library in ``folder``; a warning is an error. With several threads every call uses all of
    them. The functions through which it is called are long and need no optimisation."""
    cc = cc or COMPILER
    assert cc is not None
    text = c_module("m", plan, dtype=dtype, threads=threads, checked=True)
    for name, content in (("m.c", text.source), ("m.h", text.header), ("_m.c", text.flat)):
        (folder / name).write_text(content, encoding="utf-8")
    level = (target or detect_host()).cflags
    parallel = ("-fopenmp", "-DBRK_WORK=0.0") if threads > 1 else ()
    common = (cc, *BASE_CFLAGS, *level, *WARNINGS, *flags, *parallel, "-fPIC")
    for command in ((*common, "-O0", "-c", "_m.c"), (*common, "-shared", "m.c", "_m.o", "-o", "m.so", "-lm")):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        assert done.returncode == 0, done.stderr
    return CModule(ctypes.CDLL(str(folder / "m.so")), text, plan, np.dtype(dtype))


def together(schedules: Mapping[str, Schedule]) -> Plan:
    """Schedules of different programs as entries of one plan, under these names; arguments are called
    ``<entry>_<name>``."""
    from dataclasses import replace

    from bracketc.plan.schedule import Variant
    from bracketc.plan.steps import rename

    renamed = []
    for entry, schedule in schedules.items():
        arguments = {b: Buffer(f"{entry}_{b.name}", b.shape, b.dtype) for b in schedule.arguments}

        def named(buffer: Buffer, arguments: dict[Buffer, Buffer] = arguments) -> Buffer:
            return arguments.get(buffer, buffer)

        variants = tuple(Variant(v.guard, tuple(rename(step, named) for step in v.steps)) for v in schedule.variants)
        renamed.append(replace(schedule, entry=entry, arguments=tuple(arguments.values()), variants=variants))
    return Plan(tuple(renamed), ())
