"""Builds kernel templates into a shared library for the tests of the emitted C."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from bracketc.target import BASE_CFLAGS, Target, host_features, supported_levels

COMPILER = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")


@cache
def has_openmp(compiler: str | None = COMPILER) -> bool:
    """Whether it makes programs of several threads; clang does where libomp is installed."""
    if compiler is None:
        return False
    command = (compiler, "-fopenmp", "-x", "c", "-", "-shared", "-fPIC", "-o", os.devnull)
    return subprocess.run(command, input="#include <omp.h>", capture_output=True, text=True, check=False).returncode == 0


needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine")
needs_openmp = pytest.mark.skipif(not has_openmp(), reason="the C compiler has no OpenMP")


def host_levels() -> tuple[Target, ...]:
    """The levels that this machine runs."""
    return supported_levels(host_features(), os.uname().machine)


def build(source: str, target: Target, directory: Path) -> ctypes.CDLL:
    """Compile with the flags of the level; a warning is an error."""
    assert COMPILER is not None
    path = directory / "kernels.c"
    path.write_text(source, encoding="utf-8")
    library = directory / "kernels.so"
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi")
    flags = (*BASE_CFLAGS, *target.cflags, *warnings, "-fPIC", "-shared")
    command = (COMPILER, *flags, str(path), "-o", str(library), "-lm")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))
