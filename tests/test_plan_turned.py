"""Factors that loops read again and again are laid out for them once: the same numbers, and nothing packed in a step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from ckernels import needs_compiler
from random_ir import SIZES, random_graph
from test_plan_random import entry_of

import bracketc as bc
from bracketc.compiler import stages
from bracketc.ir.rewrite import tensors
from bracketc.loops.interpret import interpret
from bracketc.loops.kernel import Nest, Steps
from bracketc.loops.lower import lower
from bracketc.options import make_options
from bracketc.plan.interpret import run
from bracketc.plan.plan import plan
from bracketc.plan.schedule import ROW_GAP, Blocks, Contract, Loop, Plan, Schedule
from bracketc.plan.split import SplitOptions, split_plan
from bracketc.plan.steps import reads
from bracketc.plan.turned import turned_plan
from bracketc.plan.verify import verify

WIDE = """
dim T ~ 20, N ~ 32, H ~ {hidden}
input X : T, N, H
input Z0 : N, H
param W : H, H
Z[0] = Z0
Z[t] = tanh(Z[t-1] @ W + X[t])  for t = 1..T
J = sum(Z ⊙ Z)
gradient J wrt W
"""


def planned(text: str) -> Plan:
    return stages(bc.parse(text), make_options({"backend": "c"})).plan


def turned(schedule: Schedule) -> list[str]:
    return [note for note in schedule.notes if note.startswith(("turns ", "copies "))]


def same(before: Schedule, after: Schedule, given: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
    verify(after)
    wanted = run(before, given, sizes).results
    names = {buffer.name: name for name, buffer in after.results}
    for name, array in run(after, given, sizes).results.items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-12, atol=1e-12)
    for buffer, array in interpret(lower(after), given, sizes)[0].items():
        np.testing.assert_allclose(array, wanted[names[buffer]], rtol=1e-12, atol=1e-12)


def arguments(sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    t, n, h = (sizes[name] for name in "TNH")
    shapes = {"X": (t, n, h), "Z0": (n, h), "W": (h, h)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def test_the_loop_back_reads_the_transpose_in_order() -> None:
    """Rows of 400 bytes share few lines, so that the way forward reads W as it is."""
    before = planned(WIDE.format(hidden=50))
    after = turned_plan(before).schedule("value_and_grad")
    (note,) = turned(after)
    assert note.startswith("turns W once before the loop of 20 steps (40 kB moved) instead of packing it in each (800 kB)")
    back = [step for step in after.steps if isinstance(step, Loop)][-1]
    (product,) = [p for step in back.steps if isinstance(step, Contract) for p in step.products]
    (factor,) = [side for side in (product.left, product.right) if side.buffer.name == "W_turned"]
    step = next(step for step in back.steps if isinstance(step, Contract))
    assert factor.labels[-1] == step.output[-1] and factor.buffer.row == 1
    sizes = {"T": 5, "N": 3, "H": 6}
    same(before.schedule("value_and_grad"), after, arguments(sizes), sizes)


def test_rows_that_share_lines_of_the_cache_lie_apart() -> None:
    before = planned(WIDE.format(hidden=128))
    after = turned_plan(before).schedule("value_and_grad")
    assert [note.split()[0] for note in turned(after)] == ["copies", "turns"]
    copies = [n for n in lower(after).body if isinstance(n, Nest) and n.bracket.startswith("W_turned")]
    rows = [nest.writes[0].target.address.stride(nest.axes[0].label) for nest in copies]
    assert [str(row) for row in rows] == [f"H + {ROW_GAP}"] * 2
    assert any(isinstance(statement, Steps) for statement in lower(after).body)
    sizes = {"T": 4, "N": 2, "H": 5}
    same(before.schedule("value_and_grad"), after, arguments(sizes), sizes)


@pytest.mark.parametrize(
    "text",
    [
        WIDE.format(hidden=50).replace("T ~ 20", "T = 2"),  # two steps do not pay for a pass
        WIDE.format(hidden=50).replace("N ~ 32", "N = 1"),  # a vector times a matrix reads either way along memory
        "dim T ~ 20, N ~ 8\ninput X : T, N, N\nZ[t] = X[t]^T @ X[t]  for t = 1..T\nJ = sum(Z)\noutput J",  # another one a step
    ],
    ids=["few_steps", "one_row", "moving"],
)
def test_what_is_read_as_it_is(text: str) -> None:
    for schedule in turned_plan(planned(text)).schedules:
        assert not turned(schedule)


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs_in_blocks_keep_their_numbers(seed: int) -> None:
    roots, values = random_graph(seed, count=14, roots=4)
    given = {node.name: values[node] for node in tensors(roots)}
    whole = plan([entry_of(roots)], {})
    blocks = split_plan(whole, SplitOptions(budget=1, unit=1, groups=3, always=True))
    after = turned_plan(blocks).schedule("evaluate")
    same(whole.schedule("evaluate"), after, given, SIZES)


def test_blocks_turn_a_factor_too() -> None:
    text = """
        dim N ~ 4000, D ~ 30, H ~ 40
        input X : N, D
        param W : H, D
        param V : H, D
        Z = tanh(X @ W^T)
        J = sum(tanh(Z @ V) ⊙ X)
        gradient J wrt W, V
    """
    blocks = split_plan(planned(text), SplitOptions(budget=1 << 14, always=True, label="N"))
    after = turned_plan(blocks).schedule("value_and_grad")
    names = {buffer.name for step in after.steps if isinstance(step, Blocks) for buffer in reads(step)}
    assert {"W_turned", "V_turned"} <= names
    rng = np.random.default_rng(5)
    sizes = {"N": 37, "D": 3, "H": 4}
    given = {"X": rng.standard_normal((37, 3)), "W": rng.standard_normal((4, 3)), "V": rng.standard_normal((4, 3))}
    same(blocks.schedule("value_and_grad"), after, given, sizes)


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_c_turns_matrices_of_any_size(dtype: str) -> None:
    text = "dim N, M\ninput A : N, M\nB = A^T\noutput B"
    module = bc.compile(text, backend="c", dtype=dtype)
    rng = np.random.default_rng(6)
    for n, m in ((1, 1), (1, 5), (2, 3), (3, 4), (4, 4), (7, 16), (17, 5), (16, 33), (35, 39)):
        given = rng.standard_normal((n, m)).astype(dtype)
        found = module.evaluate(given)
        found = found[0] if isinstance(found, tuple) else found
        assert np.array_equal(found, given.T)
