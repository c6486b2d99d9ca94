"""Emitted C leaves gcc and clang nothing to warn about, at the generic level of 128 bits and at the widest one."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from bracketc.target import GENERIC128, X86_64_V4, Target

TEXTS = Path(__file__).resolve().parent.parent / "generated" / "c"
LEVELS = [GENERIC128, X86_64_V4] if platform.machine().lower() in ("x86_64", "amd64") else [GENERIC128]
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi")


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.suffix)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_warning(compiler: str, level: Target) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    texts = sorted(path.name for path in TEXTS.glob("*.c"))
    assert texts
    for text in texts:
        command = (compiler, "-std=gnu11", "-fsyntax-only", *level.cflags, *WARNINGS, text)
        done = subprocess.run(command, cwd=TEXTS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[:4000]}"
