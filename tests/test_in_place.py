"""Results of element-wise records lie where an operand did that nobody reads later: less memory, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from random_ir import SIZES, random_graph
from test_plan_random import entry_of

import bracketc as bc
from bracketc.compiler import stages
from bracketc.ir.dims import Dim
from bracketc.ir.rewrite import tensors
from bracketc.loops.interpret import interpret
from bracketc.loops.kernel import Kernel
from bracketc.loops.lower import lower
from bracketc.loops.team import for_team
from bracketc.loops.verify import verify
from bracketc.options import make_options
from bracketc.plan.interpret import run
from bracketc.plan.plan import PlanOptions, plan

HEAD = "dim N ~ 40, K ~ 30\ninput A : N, K\ninput B : K, K\n"


def kernel(text: str) -> Kernel:
    found = lower(stages(bc.parse(HEAD + text), make_options({"backend": "c"})).plan.schedule("evaluate"))
    verify(found)
    verify(for_team(found))
    return found


def test_a_softmax_takes_the_room_of_its_scores() -> None:
    """Scores, exponentials and weights are one array; maxima and sums have a row each."""
    found = kernel("S = A @ B\nW = softmax^1(S)\nJ = sum((W_nk B_kj | nj))\noutput J")
    assert len([size for size in found.slots if size is Dim.named("N") * Dim.named("K")]) == 1


def test_what_is_read_again_or_elsewhere_keeps_its_place() -> None:
    rng = np.random.default_rng(2)
    given = {"A": rng.standard_normal((5, 4)), "B": rng.standard_normal((4, 4))}
    for text in (
        "S = A @ B\nE = exp(S)\nR = E + S @ E^T @ E\noutput R",  # S is read later
        "S = B @ B\nR = S + S^T\nT = exp(R)\noutput T",  # entries of the other half
        "S = A @ B\nm = max^1(S)\nR = (exp(S_nk - m_n) m_n | nk)\noutput R, m",
    ):
        done = stages(bc.parse(HEAD + text), make_options({"backend": "c"})).plan.schedule("evaluate")
        wanted = run(done, given).results
        names = {buffer.name: name for name, buffer in done.results}
        for buffer, array in interpret(lower(done), given, {"N": 5, "K": 4})[0].items():
            np.testing.assert_allclose(array, wanted[names[buffer]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "single"])
@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_keep_their_numbers(seed: int, fuse: bool) -> None:
    roots, values = random_graph(seed, count=14, roots=4)
    schedule = plan([entry_of(roots)], {}, options=PlanOptions(fuse=fuse)).schedule("evaluate")
    given = {node.name: values[node] for node in tensors(roots)}
    wanted = run(schedule, given, SIZES).results
    names = {buffer.name: name for name, buffer in schedule.results}
    for buffer, array in interpret(lower(schedule), given, SIZES)[0].items():
        np.testing.assert_allclose(array, wanted[names[buffer]], rtol=1e-9, atol=1e-9, err_msg=buffer)
