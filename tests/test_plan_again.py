"""Values that are computed again rather than read: never more memory, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from random_ir import SIZES, random_graph
from test_plan_random import entry_of

import bracketc as bc
from bracketc.compiler import stages
from bracketc.ir.rewrite import tensors
from bracketc.loops.interpret import interpret
from bracketc.loops.lower import lower
from bracketc.options import make_options
from bracketc.plan.again import again_plan
from bracketc.plan.interpret import run
from bracketc.plan.plan import plan
from bracketc.plan.schedule import Schedule
from bracketc.plan.steps import writes
from bracketc.plan.verify import verify

HEAD = "dim n ~ 50, d ~ 3\ninput Z : n, d\ninput W : n, n\n"


def planned(text: str, entry: str = "evaluate") -> tuple[Schedule, Schedule]:
    done = stages(bc.parse(HEAD + text), make_options({"backend": "c"})).plan
    return done.schedule(entry), again_plan(done).schedule(entry)


def ranks(schedule: Schedule) -> list[int]:
    return [buffer.rank for step in schedule.steps for buffer in writes(step)]


DISTANCES = """
R = (sum[k]((Z_ik - Z_jk)**2) | ij)
J = sum(exp(-R) ⊙ W)
gradient J wrt Z
"""


def test_differences_of_all_pairs_are_stored_nowhere() -> None:
    before, after = planned(DISTANCES, "value_and_grad")
    assert 3 in ranks(before) and 3 not in ranks(after)
    assert after.bytes.evaluate({"n": 50, "d": 3}) < before.bytes.evaluate({"n": 50, "d": 3})
    verify(after)
    given = {"Z": np.random.default_rng(1).normal(size=(6, 2)), "W": np.random.default_rng(2).normal(size=(6, 6))}
    wanted = run(before, given).results
    for name, array in run(after, given).results.items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-12, atol=1e-12)
    names = {buffer.name: name for name, buffer in after.results}
    for buffer, array in interpret(lower(after), given, {"n": 6, "d": 2})[0].items():
        np.testing.assert_allclose(array, wanted[names[buffer]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "F = (exp(Z_ik - Z_jk) | ijk)\nJ = sum(F) + sum(F**2)\noutput J",  # an exponential is not computed twice
        "F = (Z_ik - Z_jk | ijk)\noutput F",  # a result is stored
        "F = 2 W - 3 W^T\nJ = sum(F ⊙ W) + sum(F ⊙ F ⊙ W^T)\noutput J",  # as large as what it is made of
    ],
    ids=["costly", "result", "as_large"],
)
def test_what_stays_in_memory(text: str) -> None:
    before, after = planned(text)
    assert ranks(before) == ranks(after)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_keep_their_numbers(seed: int) -> None:
    roots, values = random_graph(seed, count=14, roots=4)
    whole = plan([entry_of(roots)], {})
    given = {node.name: values[node] for node in tensors(roots)}
    wanted = run(whole.schedule("evaluate"), given, SIZES).results
    after = again_plan(whole).schedule("evaluate")
    verify(after)
    for name, array in run(after, given, SIZES).results.items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-9, atol=1e-9, err_msg=name)
