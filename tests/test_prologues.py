"""Factors that products make as they pack them: the same numbers, nothing stored, where it costs less."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
import pytest
from ckernels import needs_compiler
from cmodules import CModule, compiled, together
from modelcases import stages_of

import bracketc as bc
from bracketc.loops.interpret import interpret as run_loops
from bracketc.loops.kernel import Contraction
from bracketc.loops.lower import lower
from bracketc.loops.team import for_team
from bracketc.loops.verify import verify as verify_loops
from bracketc.plan.interpret import run
from bracketc.plan.native import native_plan
from bracketc.plan.prologues import prologues_plan
from bracketc.plan.schedule import Contract, Plan
from bracketc.plan.verify import verify

FACTORS = {
    "left, rows in order": "((G ⊙ A)_ij B_jk | ik)",
    "left, terms in order": "((H ⊙ E)_ji B_jk | ik)",
    "right, terms in order": "(A_ij (B ⊙ sin(B))_jk | ik)",
    "right, columns in order": "(A_ij (C ⊙ sin(C))_kj | ik)",
    "with a bias and a function behind": "tanh(((G ⊙ A)_ij B_jk + b_k | ik))",
    "of rows and columns": "(exp((A_ij x_j + y_i | ij))_ij B_jk | ik)",
    "scaled": "0.5 ((A ⊙ A)_ij B_jk | ik)",
}


def source(text: str, n: int, m: int, k: int) -> str:
    arguments = ("A : N, M", "G : N, M", "E : M, N", "H : M, N", "B : M, K", "C : K, M", "b : K", "x : M", "y : N")
    names = "".join(f"input {argument}\n" for argument in arguments)
    return f"dim N ~ {n}, M ~ {m}, K ~ {k}\n{names}Y = {text}\noutput Y\n"


def planned(text: str, n: int = 2000, m: int = 1000, k: int = 200) -> Plan:
    return stages_of(bc.parse(source(text, n, m, k))).plan


def arrays_of(n: int, m: int, k: int) -> dict[str, Any]:
    rng = np.random.default_rng(n + 10 * m + 100 * k)
    shapes = {"A": (n, m), "G": (n, m), "E": (m, n), "H": (m, n), "B": (m, k), "C": (k, m), "b": (k,), "x": (m,), "y": (n,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def makes(plan: Plan) -> bool:
    return any(isinstance(step, Contract) and step.prologue for step in plan.schedule("evaluate").steps)


@pytest.mark.parametrize("name", FACTORS)
def test_what_is_made_is_what_was_stored(name: str) -> None:
    whole = planned(FACTORS[name])
    changed = prologues_plan(whole, always=True)
    assert makes(changed)
    schedule, sizes = changed.schedule("evaluate"), {"N": 5, "M": 4, "K": 3}
    verify(schedule)
    given = arrays_of(5, 4, 3)
    (wanted,) = run(whole.schedule("evaluate"), given, sizes).results.values()
    (found,) = run(schedule, given, sizes).results.values()
    np.testing.assert_allclose(found, wanted)
    kernel = lower(schedule)
    assert [s for s in kernel.body if isinstance(s, Contraction) and s.making is not None] and not kernel.slots
    for program, order in ((kernel, (0,)), (for_team(kernel), (2, 0, 1))):
        verify_loops(program)
        (found,) = run_loops(program, given, sizes, order)[0].values()
        np.testing.assert_allclose(found, wanted)


def test_nothing_is_made_that_others_read() -> None:
    twice = "((G ⊙ A)_ij B_jk | ik) + (2 (G ⊙ A)_ij B_jk | ik) ⊙ ((G ⊙ A)_ij C_kj | ik)"
    assert not makes(prologues_plan(planned(twice), always=True))


def test_nothing_is_made_that_the_product_itself_reads_again() -> None:
    again = "T ⊙ (T_ij (exp(B @ C))_jk | ik) where T = ln(G ⊙ A)"
    assert not makes(prologues_plan(planned(again), always=True))
    plan = native_plan(planned(again, 20_000, 500, 500))
    assert not makes(plan)
    verify_loops(lower(plan.schedule("evaluate")))


COSTS = {
    "large, read once": ("((G ⊙ A)_ij B_jk | ik)", (4000, 1000, 200), True),
    "stays in a cache": ("((G ⊙ A)_ij B_jk | ik)", (300, 300, 300), False),
    "would be made for each block of columns": ("(tanh(A)_ij B_jk | ik)", (2000, 1000, 20000), False),
    "so few columns that nothing is packed": ("((G ⊙ A)_ij B_jk | ik)", (4000, 1000, 8), False),
}


@pytest.mark.parametrize("name", COSTS)
def test_a_factor_is_made_where_that_costs_less(name: str) -> None:
    text, sizes, wanted = COSTS[name]
    plan = native_plan(planned(text, *sizes))
    assert makes(plan) == wanted
    told = [note for note in plan.schedule("evaluate").notes if note.startswith("factor ")]
    assert all("made as it is packed" in note and "stored" in note for note in told) and (told or not wanted)


# ------------------------------------------------------------------------------------------------- in C
SIZES = [
    (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (1, 40, 33), (37, 1, 5), (13, 29, 31), (15, 17, 65), (70, 64, 70), (250, 1100, 40),
    (17, 1030, 600),
]  # fmt: skip
ENTRIES = {name.replace(" ", "_").replace(",", ""): text for name, text in FACTORS.items()}


@pytest.fixture(scope="module", params=["float32", "float64"])
def module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CModule:
    schedules = {name: prologues_plan(planned(text), always=True).schedule("evaluate") for name, text in ENTRIES.items()}
    flags = os.environ.get("BRACKETC_TEST_CFLAGS", "-O1").split()
    return compiled(together(schedules), request.param, tmp_path_factory.mktemp("made"), flags=flags, threads=3)


@needs_compiler
def test_panels_are_made_in_c(module: CModule) -> None:
    tolerance = 2e-4 if module.dtype == np.float32 else 1e-10
    for n, m, k in SIZES:
        sizes, given = {"N": n, "M": m, "K": k}, arrays_of(n, m, k)
        for name, text in ENTRIES.items():
            (wanted,) = run(planned(text).schedule("evaluate"), given, sizes).results.values()
            found = set()
            for threads in (1, 2, 3):
                module.library.m_call_threads(ctypes.c_int64(threads))
                (array,) = module.run(name, {f"{name}_{key}": value for key, value in given.items()}, sizes).values()
                where = f"{name} {n}, {m}, {k}"
                np.testing.assert_allclose(array, wanted, rtol=tolerance, atol=tolerance * max(1, m), err_msg=where)
                found.add(array.tobytes())
            assert len(found) == 1, (name, n, m, k)
