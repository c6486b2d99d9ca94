"""Emitted C leaves gcc and clang nothing to warn about, at the generic level of 128 bits and at the widest one."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cmodules import compiled
from modelcases import needs_compiler

import bracketc as bc
from bracketc.compiler import stages
from bracketc.options import make_options
from bracketc.plan.prologues import prologues_plan
from bracketc.plan.schedule import Contract
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


BOTH = """dim N ~ 300, M ~ 300, K ~ 4000
param A : N, N
param G : N, K
param B : N, K
param W : K, M
Y = (G ⊙ (1 ⊖ B ⊙ B)) @ W
Z = inv(A @ A^T + eye(N)) @ Y
J = Z · Z
"""


@needs_compiler
def test_no_warning_where_matrices_are_factorised_and_factors_made(tmp_path: Path) -> None:
    program = bc.parse(BOTH)
    whole = stages(program, make_options({"backend": "c"})).plan
    planned = prologues_plan(whole, always=True)
    assert any(isinstance(step, Contract) and step.prologue for schedule in planned.schedules for step in schedule.steps)
    module = compiled(planned, "float64", tmp_path, flags=("-O1",))  # a warning is an error
    sizes = {"N": 5, "M": 3, "K": 7}
    rng = np.random.default_rng(0)
    given = {node.name: rng.standard_normal([extent.evaluate(sizes) for extent in node.shape]) for node in program.arguments}
    ((_, found),) = module.run("evaluate", given, sizes).items()
    a, product = given["A"], (given["G"] * (1 - given["B"] ** 2)) @ given["W"]
    wanted = np.linalg.solve(a @ a.T + np.eye(5), product)
    np.testing.assert_allclose(found, (wanted**2).sum(), rtol=1e-9)
