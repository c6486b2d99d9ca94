"""The whole demonstration, as `make demo` runs it, with and without a C compiler."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMPILER = any(map(shutil.which, ("cc", "gcc", "clang")))


def demo(output: Path, *arguments: str, path: str | None = None) -> str:
    """What the demonstration prints, with another PATH if one is given."""
    environment = dict(os.environ) | {"BRACKETC_CACHE_DIR": str(output / "cache"), "NO_COLOR": "1", "COLUMNS": "120"}
    if path is not None:
        environment = {key: value for key, value in environment.items() if key not in ("CC", "BRACKETC_CC")}
        environment["PATH"] = path
    command = [sys.executable, str(ROOT / "examples" / "digits" / "run.py"), "--output", str(output), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def accuracy(printed: str) -> float:
    (found,) = re.findall(r"test digits right \(([\d.]+)%\)", printed)
    return float(found)


@pytest.fixture(autouse=True)
def needs_matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="the figure needs matplotlib")


@pytest.mark.skipif(not COMPILER, reason="no C compiler on the PATH")
def test_the_demonstration_reaches_its_goal_with_c_kernels(tmp_path: Path) -> None:
    printed = demo(tmp_path)
    assert accuracy(printed) >= 97
    assert "bracketc C" in printed and "NumPy by hand" in printed
    assert "∇" in printed
    assert (tmp_path / "digits.png").stat().st_size > 10_000
    assert (tmp_path / "c" / "digits.c").exists()


def test_the_demonstration_reaches_its_goal_without_a_compiler(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    printed = demo(tmp_path / "output", "--epochs", "5", "--no-compare", path=str(empty))
    assert accuracy(printed) >= 97
    assert "generated NumPy" in printed
