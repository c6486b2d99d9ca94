"""A small input cannot exhaust the machine."""

from __future__ import annotations

import bombs

from promises.promise import Breach, Promise


def exhaust(seed: int) -> int:
    """One small source that asks for much, in a process of its own."""
    name, scale, source = bombs.bomb(seed)
    problem = bombs.problem(bombs.explode(source))
    if problem is not None:
        raise Breach(f"{name} at scale {scale}: {problem}")
    return 1


def _source(seed: int) -> str:
    return bombs.bomb(seed)[2]


PROMISES = (
    Promise(
        "exhaust", "a small input cannot exhaust the machine",
        f"sources of at most {bombs.LENGTH:,} characters from {len(bombs.FAMILIES)} families, each in its own process: a program"
        f" or an error within {bombs.SECONDS:g} s of processor time and {bombs.BYTES // 10**6} MB; limits name options",
        exhaust, _source, bombs.COUNT, "sources",
    ),
)  # fmt: skip
