"""What calls must leave alone and must not be moved by: threads of the caller, fork, signals, the floating-point environment.

Each check takes how often to try, so that tests and campaigns share them; it raises :class:`AssertionError` where a promise is
broken and gives the number of answers that it compared.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ckernels import COMPILER

import bracketc as bc

Array = np.ndarray[Any, Any]
ROOT = Path(__file__).resolve().parent.parent

WORK = """
dim N, D, H
input X : N, D
param W : D, H
Z = tanh(X @ W)
J = sum(Z ⊙ Z)
gradient J wrt W
"""
"""Enough for two threads at the sizes of :func:`arguments`."""

PATIENCE = 300.0
"""Seconds after which a call that has not come back hangs."""


def module(threads: int = 2, backend: str = "c") -> ModuleType:
    """The module of ``WORK``."""
    return bc.compile(WORK, backend=backend, threads=threads)


def arguments(rows: int = 300) -> dict[str, Array]:
    rng = np.random.default_rng(rows)
    return {"X": rng.normal(size=(rows, 100)), "W": rng.normal(size=(100, 90)) / 10}


def bits(answer: Any) -> bytes:
    """All bits of what ``value_and_grad`` returns."""
    value, gradients = answer
    return b"".join(np.asarray(array).tobytes() for array in (value, *gradients))


# ------------------------------------------------------------------------------------------------- threads
def threads_agree(made: ModuleType, given: Mapping[str, Array], workers: int = 16, calls: int = 1000) -> int:
    """``workers`` threads call at once, ``calls`` times each, every other one by a call bound to arrays of its own."""
    wanted = bits(made.value_and_grad(**given))
    start = threading.Barrier(workers)

    def work(number: int) -> int:
        bound = made.value_and_grad.bind(**given) if number % 2 else lambda: made.value_and_grad(**given)
        start.wait()
        return sum(bits(bound()) != wanted for _ in range(calls))

    with ThreadPoolExecutor(workers) as pool:
        wrong = sum(pool.map(work, range(workers)))
    assert not wrong, f"{wrong} of {workers * calls} answers differ between threads"
    return workers * calls


def sizes_agree(made: ModuleType, workers: int = 8, calls: int = 50) -> int:
    """The same with arguments of other sizes in each thread, which need other workspaces."""
    given = [arguments(50 + 40 * number) for number in range(workers)]
    wanted = [bits(made.value_and_grad(**arrays)) for arrays in given]
    with ThreadPoolExecutor(workers) as pool:
        tries = [(k, pool.submit(made.value_and_grad, **given[k])) for _ in range(calls) for k in range(workers)]
        wrong = sum(bits(found.result()) != wanted[k] for k, found in tries)
    assert not wrong, f"{wrong} of {len(tries)} answers differ between threads"
    return len(tries)


# ------------------------------------------------------------------------------------------------- fork
def _wait(child: int) -> int:
    """The exit status of a child; one that hangs is ended."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"a child of fork hung for {PATIENCE:g} s")


def forks(made: ModuleType, given: Mapping[str, Array], count: int = 50, busy: bool = False) -> int:
    """After a call of several threads the process forks, and the child calls: no hang, the same bits. With ``busy`` another thread
    is in the middle of a call whenever the process forks."""
    wanted = bits(made.value_and_grad(**given))
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            made.value_and_grad(**given)

    other = threading.Thread(target=keep_busy)
    if busy:
        other.start()
    try:
        for _ in range(count):
            assert bits(made.value_and_grad(**given)) == wanted
            child = os.fork()
            if not child:
                os._exit(0 if bits(made.value_and_grad(**given)) == wanted else 1)
            assert _wait(child) == 0, "a child of fork gives another answer"
    finally:
        stop.set()
        if busy:
            other.join()
    assert bits(made.value_and_grad(**given)) == wanted, "after the forks the parent gives another answer"
    return 2 * count + 1


# ------------------------------------------------------------------------------------------------- signals
def signals(made: ModuleType, given: Mapping[str, Array], calls: int = 200) -> int:
    """A timer sends signals, some of them in the middle of calls: the answers stay. Only in the main thread."""
    wanted = bits(made.value_and_grad(**given))
    seen: list[None] = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(None))
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    try:
        wrong = sum(bits(made.value_and_grad(**given)) != wanted for _ in range(calls))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert seen, "no signal came"
    assert not wrong, f"{wrong} of {calls} answers changed when a signal came"
    return calls


HEARS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell ignores it
sys.path.insert(0, "tests")
"""

CALLS = HEARS + """
import statechecks
made, given = statechecks.module(), statechecks.arguments()
wanted = statechecks.bits(made.value_and_grad(**given))
print("ready", flush=True)
try:
    while True:
        made.value_and_grad(**given)
except KeyboardInterrupt:
    same = statechecks.bits(made.value_and_grad(**given)) == wanted
    print("same" if same else "other", flush=True)
"""

BUILD = HEARS + """
import statechecks
given = statechecks.arguments(7)
print("ready", flush=True)
try:
    made = statechecks.module(1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
else:
    print(statechecks.bits(made.value_and_grad(**given)).hex(), flush=True)
"""


def _run(text: str, cache_folder: str | None, delay: float | None) -> tuple[str, str]:
    """What a process of its own prints after "ready", and its errors; after ``delay`` seconds it gets Ctrl-C as from a terminal."""
    # Coverage has locks of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment |= {"PYTHONPATH": str(ROOT)}
    if cache_folder is not None:
        environment |= {"BRACKETC_CACHE_DIR": cache_folder, "BRACKETC_CFLAGS": "-O1"}
    with subprocess.Popen(
        [sys.executable, "-c", text], cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout is not None and child.stderr is not None
        end = threading.Timer(PATIENCE, os.killpg, (child.pid, signal.SIGKILL))
        end.start()
        first = child.stdout.readline()
        if delay is not None:
            time.sleep(delay)
            os.killpg(child.pid, signal.SIGINT)
        rest, errors = child.stdout.read(), child.stderr.read()
        end.cancel()
    assert child.returncode != -signal.SIGKILL, f"the process hung for {PATIENCE:g} s; {errors}"
    assert first == "ready\n", errors
    return rest.strip(), errors


def interrupted_calls(count: int = 10) -> int:
    """Ctrl-C while calls run: the process hears of it, and the next call answers as before."""
    for number in range(count):
        said, errors = _run(CALLS, None, 0.01 * (1 + number))
        assert said == "same", f"after Ctrl-C during a call: {said} {errors}"
    return count


def interrupted_builds(count: int = 10, longest: float = 1.0) -> int:
    """Ctrl-C at ``count`` moments of a build: the process hears of it, and the next build in the same cache is right."""
    wanted = np.frombuffer(bits(module(1, "numpy").value_and_grad(**arguments(7))))

    def right(said: str) -> bool:
        found = np.frombuffer(bytes.fromhex(said)) if re.fullmatch("[0-9a-f]+", said) else wanted[:0]
        return len(found) == len(wanted) and np.allclose(found, wanted, rtol=1e-12)

    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            cache_folder = str(Path(folder, str(number)))
            said, errors = _run(BUILD, cache_folder, longest * (number + 0.5) / count)
            assert said == "interrupted" or right(said), f"Ctrl-C during a build: {said} {errors}"
            again, errors = _run(BUILD, cache_folder, None)
            assert right(again), f"the build after Ctrl-C is wrong: {again} {errors}"
    return count


# ------------------------------------------------------------------------------------------------- floating point
CONTROL = """
#include <fenv.h>
/* Rounding, traps, flush to zero: all but the flags that operations leave. */
unsigned control(void)
{
#if defined(__x86_64__)
    unsigned short word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return (__builtin_ia32_stmxcsr() & ~0x3fu) | (unsigned)word << 16;
#else
    return (unsigned)fegetround();
#endif
}
void set_control(unsigned value)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(value & 0xffffu);
#else
    fesetround((int)value);
#endif
}
"""
ODD_CONTROLS = (0x9FC0, 0x5F80)
"""Subnormals flushed to zero, in and out; rounding upwards: what a caller may have set."""


@cache
def control_library() -> ctypes.CDLL:
    """Reads and sets the floating-point environment."""
    assert COMPILER is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "control.c")
        path.write_text(CONTROL)
        command = (COMPILER, "-O1", "-shared", "-fPIC", str(path), "-o", str(path.with_suffix(".so")), "-lm")
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(path.with_suffix(".so")))


def environment_stays(made: ModuleType, given: Mapping[str, Array], calls: int = 10) -> int:
    """Calls leave the control word of floating-point arithmetic as it is, also one that the caller has chosen."""
    library = control_library()
    usual = library.control()
    for wanted in (usual, *ODD_CONTROLS) if os.uname().machine == "x86_64" else (usual,):
        found = usual
        try:
            library.set_control(ctypes.c_uint(wanted))
            before = library.control()
            for _ in range(calls):
                made.value_and_grad(**given)
            found = library.control()
        finally:
            library.set_control(ctypes.c_uint(usual))
        assert found == before, f"a call changed the floating-point environment from {before:#x} to {found:#x}"
    return 3 * calls


IMPORT = """
import sys
sys.path.insert(0, "tests")
import numpy, statechecks
before = statechecks.control_library().control()
made = statechecks.module()
middle = statechecks.control_library().control()
made.value_and_grad(**statechecks.arguments())
print("ready", flush=True)
print(before == middle == statechecks.control_library().control())
"""


def import_leaves_the_environment() -> int:
    """In a fresh process: neither the import of a module nor its first call changes the floating-point environment."""
    said, errors = _run(IMPORT, None, None)
    assert said == "True", f"the floating-point environment is another one: {said} {errors}"
    return 2


SMALL = """
dim N
input A : N, N
param u : N
param x : N
J = u · (A @ x)
gradient J wrt A, u, x
"""


def subnormals_stay(dtype: str, backend: str, size: int = 37) -> int:
    """Products, outer products, sums and their gradients that are subnormal numbers, all of them exact."""
    made = bc.compile(SMALL, backend=backend, dtype=dtype)
    kind = np.finfo(dtype)
    rng = np.random.default_rng(size)
    signs = rng.choice([-1, 1], size=(2, size)) * rng.integers(1, 5, size=(2, size))
    u = (signs[0] * kind.smallest_subnormal).astype(dtype)
    x = signs[1].astype(dtype)
    a = np.zeros((size, size), dtype)
    a[np.arange(size), np.roll(np.arange(size), 1)] = 2
    value, gradients = made.value_and_grad(a, u, x)
    wanted = {"A": np.multiply.outer(u, x), "u": a @ x, "x": a.T @ u}
    assert value == u @ (a @ x) and (value == 0 or abs(value) < kind.smallest_normal), "a subnormal sum is lost"
    for name, array in wanted.items():
        assert np.array_equal(getattr(gradients, name), array), f"subnormal numbers are lost in the gradient by {name}"
    assert all(0 < abs(entry) < kind.smallest_normal for entry in gradients.A.ravel())
    return 3 * size + size * size
