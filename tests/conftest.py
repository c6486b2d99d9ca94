"""Flags and profiles shared by every test."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from bracketc.errors import ToolchainError
from bracketc.options import read_options
from bracketc.runtime.toolchain import find_toolchain

# Derandomised: the same examples on every run, so that red means a change and not bad luck.  `make fuzz` looks further.
settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite generated/ instead of comparing with it")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether goldens are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


def missing_compiler() -> str | None:
    """Why there is no C compiler, in one line; None where there is one."""
    try:
        find_toolchain(read_options({}))
    except ToolchainError as error:
        return error.diagnostics[0].message
    return None


MISSING_COMPILER = missing_compiler()  # now, before a test empties its PATH


def skip_without_compiler() -> Generator[None, object, object]:
    """A test that fails for want of a C compiler, on a machine without one, is skipped with the reason."""
    try:
        return (yield)
    except ToolchainError as error:
        if MISSING_COMPILER is None or MISSING_COMPILER not in str(error):
            raise
        pytest.skip(MISSING_COMPILER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from skip_without_compiler())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from skip_without_compiler())
