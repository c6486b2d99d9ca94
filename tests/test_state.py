"""Calls share nothing and leave nothing behind: with threads, after fork, under signals, in any floating-point environment.

`tools/promises` runs the same checks many more times.
"""

from __future__ import annotations

import os
import sys
import threading
from types import ModuleType

import pytest
import statechecks as state
from ckernels import needs_openmp
from modelcases import BACKENDS, needs_compiler

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
needs_signals = pytest.mark.skipif(
    sys.platform == "win32" or threading.current_thread() is not threading.main_thread(), reason="no signals here"
)
BOTH = ["numpy", pytest.param("c", marks=[needs_compiler, needs_openmp])]


def module(backend: str) -> ModuleType:
    return state.module(2 if backend == "c" else 1, backend)


@pytest.mark.parametrize("backend", BOTH)
def test_sixteen_threads_get_the_same_bits(backend: str) -> None:
    state.threads_agree(module(backend), state.arguments(), workers=16, calls=6)


@pytest.mark.parametrize("backend", BOTH)
def test_threads_with_arguments_of_other_sizes(backend: str) -> None:
    state.sizes_agree(module(backend), workers=8, calls=4)


@needs_fork
@needs_compiler
@needs_openmp
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_fork_after_a_call_of_several_threads(busy: bool) -> None:
    state.forks(state.module(2), state.arguments(), count=6, busy=busy)


@needs_signals
@pytest.mark.parametrize("backend", BOTH)
def test_signals_during_calls_change_no_answer(backend: str) -> None:
    state.signals(module(backend), state.arguments(), calls=30)


@needs_signals
@needs_compiler
@needs_openmp
def test_calls_after_an_interrupted_one() -> None:
    state.interrupted_calls(1)


@needs_signals
@needs_compiler
def test_builds_after_an_interrupted_one() -> None:
    state.interrupted_builds(1)


@needs_compiler
@needs_openmp
def test_a_call_leaves_the_floating_point_environment() -> None:
    state.environment_stays(state.module(2), state.arguments())


@needs_compiler
@needs_openmp
def test_an_import_leaves_the_floating_point_environment() -> None:
    state.import_leaves_the_environment()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_subnormal_numbers_stay(backend: str, dtype: str) -> None:
    state.subnormals_stay(dtype, backend)
