"""The hand-built schedules once more, their C built with the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ckernels import COMPILER, host_levels, needs_compiler

pytestmark = needs_compiler

FLAGS = "-O0 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"


def _runtime(name: str) -> str:
    """The sanitizer's library, which must be loaded before Python; skips where the compiler has none."""
    assert COMPILER is not None
    command = (COMPILER, f"-print-file-name=lib{name}.so")
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    if not Path(found).is_absolute():
        pytest.skip(f"the compiler has no lib{name}")
    return found


def test_no_access_out_of_bounds_and_no_undefined_behaviour() -> None:
    environment = {
        **os.environ,
        "LD_PRELOAD": f"{_runtime('asan')} {_runtime('ubsan')}",
        "ASAN_OPTIONS": "detect_leaks=0",
        "BRACKETC_TEST_CFLAGS": FLAGS,
    }
    level = host_levels()[-1].suffix
    chosen = f"(hand_built_schedules and {level}-float32) or backward or linear_algebra or leaves_its"
    pytest_options = ("-q", "-x", "-s", "-p", "no:cacheprovider", "-k", chosen)
    command = (sys.executable, "-m", "pytest", *pytest_options, "test_c_backend.py")
    done = subprocess.run(
        command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
