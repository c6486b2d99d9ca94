"""Calls share nothing and leave nothing behind: threads, forks, signals, the floating-point environment."""

from __future__ import annotations

from collections.abc import Callable

import statechecks as state

from promises.promise import Breach, Promise


def _calls(check: Callable[..., int], threads: int, backend: str, **given: int | bool) -> Callable[[], int]:
    # NumPy's own threads wait for each other where 16 of the caller ask for products at once: small ones stay in one.
    return lambda: check(state.module(threads, backend), state.arguments(300 if backend == "c" else 20), **given)


CHECKS: dict[str, Callable[[], int]] = {
    "16 threads call C": _calls(state.threads_agree, 2, "c"),
    "16 threads call NumPy": _calls(state.threads_agree, 1, "numpy"),
    "threads with sizes of their own": lambda: state.sizes_agree(state.module(2, "c")),
    "50 forks after a call of threads": _calls(state.forks, 2, "c"),
    "50 forks during calls": _calls(state.forks, 2, "c", busy=True),
    "signals during calls": _calls(state.signals, 2, "c"),
    "Ctrl-C during calls": state.interrupted_calls,
    "Ctrl-C during builds": state.interrupted_builds,
    "the floating-point environment of calls": _calls(state.environment_stays, 2, "c"),
    "the floating-point environment of an import": state.import_leaves_the_environment,
    "subnormal float32": lambda: state.subnormals_stay("float32", "c"),
    "subnormal float64": lambda: state.subnormals_stay("float64", "c"),
}


def check(seed: int) -> int:
    """One of the checks of tests/statechecks.py, at its full size."""
    try:
        return list(CHECKS.values())[seed]()
    except AssertionError as error:
        raise Breach(f"{list(CHECKS)[seed]}: {error}") from None


PROMISES = (
    Promise(
        "state", "calls share nothing and leave nothing behind",
        "16 threads of 1,000 calls, bitwise equal; 50 forks after a call of threads and during one; signals and Ctrl-C during calls"
        " and builds; MXCSR before and after; subnormal numbers",
        check, lambda seed: list(CHECKS)[seed], len(CHECKS), "calls", 900.0,
    ),
)  # fmt: skip
