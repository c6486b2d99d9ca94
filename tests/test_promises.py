"""A slice of those promises that need a compiler; the campaign tries them by the hundred."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from modelcases import MODELS, NO_COMPILER, ROOT, needs_compiler

sys.path.insert(0, str(ROOT / "tools"))

from promises import answers, arrays, kernels, programs

SIZES = {"N": 3, "M": 2, "K": 1, "H": 4, "T": 3, "B": 2}

SHIFTED = """
dim T, H
input X : T, H
param w : 2
D[s,i] = X[s+u-1,i] w[u]
J = sum(sin(D))
gradient J wrt w
"""


@needs_compiler
@pytest.mark.parametrize("way", [0, 1], ids=["-O0", "-O3"])
def test_random_programs_in_c(way: int) -> None:
    """Also forward and backward of the first of them."""
    joined = programs.join(range(3), SIZES)
    assert {"evaluate", "forward", "backward", "value_and_grad", "grad1"} <= set(joined.wanted)
    assert answers.compiled(joined, 2, answers.ways(2)[way]) >= 20


@needs_compiler
def test_random_programs_in_ranges_and_by_several_threads(tmp_path: Path) -> None:
    made = kernels.batched(1, 4)
    found = kernels.agree(made, np.random.default_rng(0))
    assert found.cases >= 4 and found.also["kernels cut in ranges"] >= 1


@needs_compiler
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_no_race_where_a_sum_has_no_terms() -> None:
    """Every thread wrote the 0 of a row of a product without columns."""
    try:
        assert kernels.under("races", kernels.kernels_of({"shifted": SHIFTED}, {"T": 1, "H": 13})) == 1
    except SystemExit as missing:
        pytest.skip(str(missing))


@pytest.mark.skipif(bool(NO_COMPILER) or shutil.which("valgrind") is None, reason="no compiler or no valgrind")
def test_a_model_under_valgrind() -> None:
    assert kernels.valgrind(2 * [*MODELS].index("linear")) >= 1


@pytest.mark.parametrize("backend", arrays.BACKENDS)
def test_arguments_with_entries_far_apart(backend: str) -> None:
    """Beyond what 32 bits count, in memory that mostly is not there; the campaign reads as many entries, too."""
    if backend == "c" and NO_COMPILER:
        pytest.skip(NO_COMPILER)
    arrays.far(backend)
