"""What the machine can do at most, measured beside the contenders: multiply-adds, and reads of as many bytes as a call touches.

A peak of another moment says little about a run: clocks change, and neighbours take bandwidth. So the two probes take turns
with the contenders (:func:`bracketc.bench.timing.interleave`), and a share of a peak compares what was measured together.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bracketc.bench.timing import Timing
from bracketc.emit.resources import render
from bracketc.options import Options
from bracketc.runtime.cache import cached, fingerprint
from bracketc.runtime.toolchain import build_target, compile_flags, compile_shared, find_toolchain, thread_flags
from bracketc.target import GENERIC128

FMA, READ = "peak: multiply-adds", "peak: reads"
"""What the probes are called among the contenders."""

_REALS = {"float32": "float", "float64": "double"}
_FLOPS = 2e8
"""Of one call of the probe, roughly: long enough that starting a team of threads does not count."""
_BYTES = 4_000_000
_LEAST = 1 << 14
"""Bytes that are read at least: they lie in the first cache, and less would measure how a loop starts."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A call that does nothing but ``amount`` flops, or reads of bytes."""

    call: Callable[[], object]
    amount: float

    def rate(self, timing: Timing) -> float:
        """Flops or bytes a second in the best round: a peak is what can be reached."""
        return self.amount / timing.least


@dataclass(frozen=True, slots=True)
class Rates:
    """Flops and bytes a second."""

    flops: float
    bytes: float

    def share(self, flops: float, bytes: float, seconds: float) -> float:
        """How much of what is possible a call of ``seconds`` reaches: the larger share of the two peaks.

        >>> Rates(flops=1e9, bytes=1e9).share(flops=5e8, bytes=1e8, seconds=1.0)
        0.5
        """
        return max(flops / self.flops, bytes / self.bytes) / seconds


def probes(dtype: str, threads: int, footprint: int, options: Options) -> dict[str, Probe]:
    """The two probes: ``footprint`` is how many bytes are read again and again, at least what a first cache holds."""
    library = _library(dtype, threads, options)
    lanes, chains, streams = (int(getattr(library, f"peak_{name}")()) for name in ("lanes", "chains", "streams"))
    rounds = max(1, round(_FLOPS / (2 * chains * lanes)))
    width = lanes * np.dtype(dtype).itemsize
    unit = streams * threads
    vectors = max(1, max(footprint, _LEAST) // (width * unit)) * unit
    # Zeros that were never written would all be the same page of memory.
    space = np.ones(vectors * width + width, np.uint8)
    start = -space.ctypes.data % width
    data = space[start : start + vectors * width].view(dtype)
    data.fill(1.0)
    repeats = max(1, _BYTES // (vectors * width))
    address = data.ctypes.data

    def read(kept: np.ndarray = data) -> object:
        return library.peak_read(address, vectors, repeats, threads)

    return {
        FMA: Probe(lambda: library.peak_fma(rounds, threads), 2.0 * chains * lanes * rounds * threads),
        READ: Probe(read, float(vectors * width * repeats)),
    }


def rates(found: Mapping[str, Probe], timings: Mapping[str, Timing]) -> Rates:
    """The peaks as they were measured in a run."""
    return Rates(found[FMA].rate(timings[FMA]), found[READ].rate(timings[READ]))


@cache
def _library(dtype: str, threads: int, options: Options) -> ctypes.CDLL:
    toolchain = find_toolchain(options)
    target = build_target(options) or GENERIC128
    text = render("bench/peaks.c.j2")
    macros = (f"-DREAL={_REALS[dtype]}", f"-DVECTOR_BYTES={target.tiling(dtype).vector_bytes}")
    flags = (*compile_flags(options), *(thread_flags(toolchain, options) if threads > 1 else ()), *macros)
    key = fingerprint(text, *flags, *toolchain.command, toolchain.version)

    def make(folder: Path) -> None:
        (folder / "peaks.c").write_text(text, encoding="utf-8")
        compile_shared(toolchain, flags, ("peaks.c",), "peaks.so", folder)

    library = ctypes.CDLL(str(cached(options, key, "peaks", make) / "peaks.so"))
    library.peak_fma.argtypes = (ctypes.c_int64, ctypes.c_int)
    library.peak_read.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int)
    for function in (library.peak_fma, library.peak_read):
        function.restype = ctypes.c_double
    return library
