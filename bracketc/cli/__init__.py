"""The command line: one module a command, put together in :mod:`bracketc.cli.application`."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives its exit status.

    0 done, 1 the input is wrong or a check failed, 2 usage, 3 toolchain, 4 a resource limit, 130 interrupted.
    """
    from bracketc.cli.application import run

    return run(argv)
