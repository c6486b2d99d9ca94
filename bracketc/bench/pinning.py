"""Run on chosen cores, with as many threads in every library.

Libraries read their thread counts when they are loaded and size their pools by the cores they may use, so a process
cannot pin itself once numpy is there: it starts again with the settings in place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Set

_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "BRACKETC")
_THREADS = ("VECLIB_MAXIMUM_THREADS", "NPROC", *(f"{library}_NUM_THREADS" for library in _LIBRARIES))
"""What BLAS, OpenMP and bracketc go by; ``NPROC`` is that of XLA's pool."""

_XLA_ALONE = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def pinned_environment(environment: Mapping[str, str], threads: int = 1) -> dict[str, str]:
    """The environment of a process in which BLAS, OpenMP and XLA use ``threads`` threads.

    >>> pinned_environment({}, 2)["OMP_NUM_THREADS"]
    '2'
    """
    pinned = dict(environment) | dict.fromkeys(_THREADS, str(threads))
    flags = environment.get("XLA_FLAGS", "").replace(_XLA_ALONE, "").strip()
    if threads == 1:
        flags = f"{flags} {_XLA_ALONE}".strip()
    if flags or "XLA_FLAGS" in pinned:
        pinned["XLA_FLAGS"] = flags
    return pinned


def quiet_cores(allowed: Set[int], threads: int = 1) -> frozenset[int]:
    """The cores to use: the last ones, since interrupts and other work gather on the first.

    >>> sorted(quiet_cores({0, 1, 2, 3}, 2))
    [2, 3]
    """
    return frozenset(sorted(allowed)[-threads:])


def restart_pinned(threads: int = 1) -> None:
    """Start this program again on ``threads`` cores, unless that has happened; returns in the pinned process only.

    Where the system cannot pin (macOS), thread counts alone are set.
    """
    environment = pinned_environment(os.environ, threads)
    if environment == dict(os.environ):
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, quiet_cores(os.sched_getaffinity(0), threads))
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def restart_on_one_core() -> None:
    """:func:`restart_pinned` to one core."""
    restart_pinned(1)
