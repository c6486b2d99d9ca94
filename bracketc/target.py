"""Instruction sets as a table of data: what a level offers and which tile sizes suit it.

Nothing here depends on the machine except :func:`detect_host`; the emitted text of a level is the same
wherever it is emitted.  Example:

    TARGETS["v4"].tiling("float32").nr  ->  32
"""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

BASE_CFLAGS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
"""Flags of every build.  ``-ffast-math`` is never among them: linked in, it switches the process to flush-to-zero."""


THREAD_WORK = 1_000_000
"""Flops and bytes of a call that one more thread is worth: about ten times the microseconds that it takes to start a
team and to meet at a few barriers (measured on two cores, see ``docs/performance.md``)."""

SEVERAL_THREADS = 2 * THREAD_WORK
"""Flops and bytes from which on a call has a second thread."""


STREAM_BYTES = 64 << 20
"""Bytes of a result that is written past the caches, where more is written than read: twice the last cache of a few cores.
Otherwise each of its lines is read before it is overwritten (measured, see ``docs/performance.md``); what fits a cache is better
left there."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Sizes for the contractions of one dtype at one level, counted in elements (``vector_bytes`` in bytes).

    ``mr`` x ``nr`` is the register tile of packed contractions, ``nr`` a multiple of the vector width;
    ``mc`` x ``kc`` is the packed block of A that stays in the second-level cache, ``kc`` x ``nr`` the panel of
    B in the first, ``kc`` x ``nc`` the block of B in the last.  ``small_rows`` x ``nr`` is the register tile of
    contractions that run without packing A.
    """

    vector_bytes: int
    mr: int
    nr: int
    mc: int
    kc: int
    nc: int
    small_rows: int


@dataclass(frozen=True, slots=True)
class Target:
    """One level of an instruction set.

    ``suffix`` ends the names of all functions emitted for the level; ``guard`` is a preprocessor condition
    that holds exactly when the compiler was given the level; ``features`` are the names of the processor
    features, as Linux prints them, that a machine must have; ``masking`` names how partial vectors are read
    and written: ``"avx512"`` (predicates), ``"avx"`` (maskload) or ``"lanes"`` (one element at a time).
    ``dispatch_test`` is the C expression that is true at load time on a machine with the level.
    """

    name: str
    suffix: str
    cflags: tuple[str, ...]
    guard: str
    features: tuple[str, ...]
    masking: str
    dispatch_test: str
    float32: Tiling
    float64: Tiling

    def tiling(self, dtype: str) -> Tiling:
        """The sizes for ``"float32"`` or ``"float64"``."""
        return {"float32": self.float32, "float64": self.float64}[dtype]


_V2_FEATURES = ("cx16", "lahf_lm", "popcnt", "sse3", "sse4_1", "sse4_2", "ssse3")
_V3_FEATURES = (*_V2_FEATURES, "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4_FEATURES = (*_V3_FEATURES, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")


def _cpu_supports(*features: str) -> str:
    """The test of features that both GCC and Clang know by these names."""
    return " && ".join(f'__builtin_cpu_supports("{feature}")' for feature in features)


_V2_TEST = _cpu_supports("sse4.2", "popcnt")
_V3_TEST = _cpu_supports("avx2", "fma", "bmi", "bmi2")
_V4_TEST = f"{_V3_TEST} && {_cpu_supports('avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl')}"

GENERIC128 = Target(
    name="generic128",
    suffix="g128",
    cflags=(),
    guard="1",
    features=(),
    masking="lanes",
    dispatch_test="1",
    float32=Tiling(16, mr=6, nr=8, mc=96, kc=256, nc=4096, small_rows=4),
    float64=Tiling(16, mr=6, nr=4, mc=96, kc=256, nc=4096, small_rows=4),
)

X86_64_V2 = Target(
    name="x86-64-v2",
    suffix="v2",
    cflags=("-march=x86-64-v2",),
    guard="defined(__SSE4_2__)",
    features=_V2_FEATURES,
    masking="lanes",
    dispatch_test=_V2_TEST,
    float32=Tiling(16, mr=6, nr=8, mc=96, kc=256, nc=4096, small_rows=4),
    float64=Tiling(16, mr=6, nr=4, mc=96, kc=256, nc=4096, small_rows=4),
)

X86_64_V3 = Target(
    name="x86-64-v3",
    suffix="v3",
    cflags=("-march=x86-64-v3",),
    guard="defined(__AVX2__) && defined(__FMA__)",
    features=_V3_FEATURES,
    masking="avx",
    dispatch_test=_V3_TEST,
    float32=Tiling(32, mr=6, nr=16, mc=144, kc=256, nc=4096, small_rows=6),
    float64=Tiling(32, mr=6, nr=8, mc=144, kc=256, nc=4096, small_rows=6),
)

X86_64_V4 = Target(
    name="x86-64-v4",
    suffix="v4",
    cflags=("-march=x86-64-v4", "-mprefer-vector-width=512"),
    guard="defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)",
    features=_V4_FEATURES,
    masking="avx512",
    dispatch_test=_V4_TEST,
    float32=Tiling(64, mr=14, nr=32, mc=112, kc=1024, nc=1024, small_rows=8),
    float64=Tiling(64, mr=14, nr=16, mc=56, kc=1024, nc=512, small_rows=8),
)

LEVELS: tuple[Target, ...] = (GENERIC128, X86_64_V2, X86_64_V3, X86_64_V4)
"""All levels, each implying those of its architecture before it."""

X86_LEVELS: tuple[Target, ...] = (X86_64_V2, X86_64_V3, X86_64_V4)
"""The levels that a portable build for x86-64 carries, lowest first."""

TARGETS: dict[str, Target] = {target.suffix: target for target in LEVELS}
"""The levels by suffix."""


def find_target(name: str) -> Target | None:
    """The level with this name or suffix: ``find_target("x86-64-v3")`` and ``find_target("v3")`` are the same."""
    for target in LEVELS:
        if name in (target.name, target.suffix):
            return target
    return None


def host_features() -> frozenset[str]:
    """Processor features of this machine under their Linux names; empty where they cannot be read."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return _linux_features(line.partition(":")[2])
        return frozenset()
    if platform.system() == "Darwin":
        keys = ("machdep.cpu.features", "machdep.cpu.leaf7_features", "machdep.cpu.extfeatures")
        done = subprocess.run(("sysctl", "-n", *keys), capture_output=True, text=True, check=False)
        return _darwin_features(done.stdout)
    return frozenset()


def _linux_features(flags: str) -> frozenset[str]:
    # Linux keeps two features under the name of the bit: pni is SSE3, abm is LZCNT.
    renamed = {"pni": "sse3", "abm": "lzcnt"}
    return frozenset(renamed.get(flag, flag) for flag in flags.split())


def _darwin_features(text: str) -> frozenset[str]:
    renamed = {"avx1.0": "avx", "lahf": "lahf_lm", "sse4.1": "sse4_1", "sse4.2": "sse4_2"}
    return frozenset(renamed.get(word, word) for word in text.lower().split())


def portable_levels(machine: str) -> tuple[Target, ...]:
    """The levels that a portable build for a machine of this kind carries, lowest first."""
    return X86_LEVELS if machine.lower() in ("x86_64", "amd64") else (GENERIC128,)


def supported_levels(features: frozenset[str], machine: str) -> tuple[Target, ...]:
    """The levels that a machine with these features runs, lowest first; the generic level always."""
    if machine.lower() not in ("x86_64", "amd64"):
        return (GENERIC128,)
    return tuple(target for target in LEVELS if features.issuperset(target.features))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def detect_host() -> Target:
    """The highest level that this machine runs; the generic one where its features are unknown."""
    return supported_levels(host_features(), platform.machine())[-1]
