"""Run on one core, with one thread in every library.

Libraries read their thread counts when they are loaded and size their pools by the cores they may use, so a process
cannot pin itself once numpy is there: it starts again with the settings in place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Set

_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "BRACKETC")
_THREADS = ("VECLIB_MAXIMUM_THREADS", *(f"{library}_NUM_THREADS" for library in _LIBRARIES))
_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def one_core_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process in which BLAS, OpenMP and XLA use one thread."""
    flags = environment.get("XLA_FLAGS", "")
    pinned = dict(environment) | dict.fromkeys(_THREADS, "1")
    pinned["XLA_FLAGS"] = flags if _XLA in flags else f"{flags} {_XLA}".strip()
    return pinned


def quiet_core(allowed: Set[int]) -> int:
    """The core to use: the last one, since interrupts and other work gather on the first."""
    return max(allowed)


def restart_on_one_core() -> None:
    """Start this program again on one core, unless that has happened; returns in the pinned process only.

    Where the system cannot pin (macOS), thread counts alone are set.
    """
    environment = one_core_environment(os.environ)
    if environment == dict(os.environ):
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {quiet_core(os.sched_getaffinity(0))})
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
