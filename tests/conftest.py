"""Flags and profiles shared by every test."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings
from modelcases import NO_COMPILER  # found out now, before a test empties its PATH

from bracketc.errors import ToolchainError

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


def skip_without_compiler() -> Generator[None, object, object]:
    """A test that fails for want of a C compiler, on a machine without one, is skipped with the reason."""
    try:
        return (yield)
    except ToolchainError as error:
        if not NO_COMPILER or NO_COMPILER not in str(error):
            raise
        pytest.skip(NO_COMPILER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from skip_without_compiler())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from skip_without_compiler())
