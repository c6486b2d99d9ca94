"""Lowering: the loop IR computes what the schedule says, with storage that never overlaps what is alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from handbuilt import EXTENTS, HAND_BUILT, example
from modelcases import MODELS
from random_ir import SIZES as RANDOM_SIZES
from random_ir import random_graph
from test_plan_random import entry_of

import bracketc as bc
from bracketc.compiler import stages
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret as tensor_interpret
from bracketc.ir.rewrite import tensors
from bracketc.loops.arena import Arena
from bracketc.loops.interpret import interpret
from bracketc.loops.kernel import Collect, Contraction, Nest, Rows, Steps
from bracketc.loops.lower import lower
from bracketc.loops.printer import show
from bracketc.loops.products import group_of
from bracketc.loops.verify import LoopError, verify
from bracketc.options import make_options
from bracketc.plan.interpret import run as run_plan
from bracketc.plan.native import native_plan
from bracketc.plan.plan import plan as make_plan
from bracketc.plan.schedule import (
    Access,
    Buffer,
    Carry,
    Contract,
    Gather,
    Instruction,
    Join,
    Loop,
    Map,
    Place,
    Product,
    Scatter,
    Schedule,
    Step,
    Store,
    Take,
    Variant,
)

N, D, H, T = (Dim.named(name) for name in "NDHT")
SIZES = {"N": 5, "D": 4, "H": 3, "T": 6}
RNG = np.random.default_rng(3)
LOAD = Instruction("load", operand=0)


def schedule(arguments: list[Buffer], results: list[Buffer], *steps: Step) -> Schedule:
    named = tuple((b.name, b) for b in results)
    return Schedule("evaluate", tuple(arguments), (), named, (Variant((), steps),), Dim.of(0), Dim.of(0))


def run(plan: Schedule, **given: np.ndarray) -> dict[str, np.ndarray]:
    kernel = lower(plan)
    assert show(kernel)
    verify(kernel)
    return interpret(kernel, given, SIZES)[0]


def test_a_contraction_with_bias_and_activation_is_one_tile_with_an_epilogue() -> None:
    x, w, b, z = Buffer("X", (N, D)), Buffer("W", (D, H)), Buffer("b", (H,)), Buffer("Z", (N, H))
    step = Contract(
        (Product(2.0, Access(x, (0, 2)), Access(w, (2, 1))),),
        (0, 1),
        (Access(b, (1,)),),
        (Instruction("accumulator"), LOAD, Instruction("add", (0, 1)), Instruction("call", (2,), function="tanh")),
        (Store(z, (0, 1), 3),),
        (N, H, D),
    )
    plan = schedule([x, w, b], [z], step)
    (statement,) = lower(plan).body
    assert isinstance(statement, Contraction) and statement.epilogue is not None
    a, c, d = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3)
    np.testing.assert_allclose(run(plan, X=a, W=c, b=d)["Z"], np.tanh(2 * a @ c + d))


def test_a_sum_over_the_tile_runs_as_a_pass_of_its_own() -> None:
    x, w, s, z = Buffer("X", (N, D)), Buffer("W", (D, H)), Buffer("s", (H,)), Buffer("Z", (N, H))
    step = Contract(
        (Product(1.0, Access(x, (0, 2)), Access(w, (2, 1))),),
        (0, 1),
        (),
        (Instruction("accumulator"), Instruction("call", (0,), function="exp")),
        (Store(z, (0, 1), 1), Store(s, (1,), 1, "sum")),
        (N, H, D),
    )
    a, c = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3))
    got = run(schedule([x, w], [z, s], step), X=a, W=c)
    np.testing.assert_allclose(got["Z"], np.exp(a @ c))
    np.testing.assert_allclose(got["s"], np.exp(a @ c).sum(0))


@pytest.mark.parametrize("output", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_batched_contraction_in_any_order_of_the_result(output: tuple[int, ...]) -> None:
    extents = (N, D, H, T)
    a, b = Buffer("A", (T, N, D)), Buffer("B", (H, N, T))
    c = Buffer("C", tuple(extents[x] for x in output))
    step = Contract(
        (Product(1.0, Access(a, (3, 0, 1)), Access(b, (2, 0, 3))),),
        output,
        (),
        (Instruction("accumulator"),),
        (Store(c, output, 0),),
        extents,
    )
    x, y = RNG.normal(size=(6, 5, 4)), RNG.normal(size=(3, 5, 6))
    want = np.einsum("dab,cad->" + "".join("abcd"[label] for label in output), x, y)
    np.testing.assert_allclose(run(schedule([a, b], [c], step), A=x, B=y)["C"], want)


def test_neighbouring_labels_of_equal_walk_merge() -> None:
    from bracketc.loops.kernel import Address

    a = Address(Dim.of(0), ((0, D * H), (1, H), (2, Dim.of(1))))
    b = Address(Dim.of(0), ((0, D), (1, Dim.of(1))))
    extents = {0: N, 1: D, 2: H}
    assert group_of((0, 1), extents, [a, b]).extents == (N * D,)
    assert len(group_of((0, 1), extents, [a, Address(Dim.of(0), ((1, Dim.of(1)),))]).extents) == 2


def test_an_element_wise_pass_over_dense_operands_is_one_loop() -> None:
    x, z = Buffer("X", (N, D)), Buffer("Z", (N, D))
    step = Map((0, 1), (Access(x, (0, 1)),), (LOAD, Instruction("square", (0,))), (Store(z, (0, 1), 1),), (N, D))
    (nest,) = lower(schedule([x], [z], step)).body
    assert isinstance(nest, Nest) and len(nest.axes) == 1 and nest.vector


@pytest.mark.parametrize("mode, want", [("sum", np.sum), ("max", np.max), ("min", np.min), ("prod", np.prod)])
@pytest.mark.parametrize("axis", [0, 1])
def test_reductions(mode: str, want: object, axis: int) -> None:
    x = Buffer("X", (N, D))
    z = Buffer("Z", (D,) if axis == 0 else (N,))
    step = Map((0, 1), (Access(x, (0, 1)),), (LOAD,), (Store(z, (1 - axis,), 0, mode),), (N, D))  # type: ignore[arg-type]
    a = RNG.normal(size=(5, 4))
    np.testing.assert_allclose(run(schedule([x], [z], step), X=a)["Z"], want(a, axis=axis))  # type: ignore[operator]


def test_window_and_its_adjoint() -> None:
    x, y, z = Buffer("X", (T, D)), Buffer("Y", (T - 2, Dim.of(3), D)), Buffer("Z", (T, D))
    take = Take(y, x, 0, Dim.of(0), (1, 1), (T - 2, Dim.of(3)))
    place = Place(z, y, 0, Dim.of(0), (1, 1))
    a = RNG.normal(size=(6, 4))
    got = run(schedule([x], [y, z], take, place), X=a)
    windows = np.stack([a[s : s + 3] for s in range(4)])
    np.testing.assert_allclose(got["Y"], windows)
    back = np.zeros((6, 4))
    for s in range(4):
        back[s : s + 3] += windows[s]
    np.testing.assert_allclose(got["Z"], back)


def test_gather_scatter_and_join() -> None:
    table, index = Buffer("E", (D, H)), Buffer("ci", (N,), "integer")
    rows, back, pair = Buffer("R", (N, H)), Buffer("S", (D, H)), Buffer("P", (Dim.of(2), D, H))
    plan = schedule(
        [table, index],
        [rows, back, pair],
        Gather(rows, table, index),
        Scatter(back, rows, index),
        Join(pair, (table, back)),
    )
    e, i = RNG.normal(size=(4, 3)), np.array([0, 3, 3, 1, 0])
    got = run(plan, E=e, ci=i)
    np.testing.assert_allclose(got["R"], e[i])
    want = np.zeros((4, 3))
    np.add.at(want, i, e[i])
    np.testing.assert_allclose(got["S"], want)
    np.testing.assert_allclose(got["P"], np.stack([e, want]))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 6])
def test_a_recurrence_with_a_state_that_lags_two_steps(reverse: bool, stacked: bool, steps: int) -> None:
    """z_t = z_{t-1} + 2 z_{t-2} + x_t, by one state and one shifted state."""
    x, z0, z1 = Buffer("X", (T, H)), Buffer("z0", (H,)), Buffer("z1", (H,))
    xt, zt, before, before2 = Buffer("x_t", (H,)), Buffer("z_t", (H,)), Buffer("z_prev", (H,)), Buffer("z_prev2", (H,))
    final, stack, slow = Buffer("final", (H,)), Buffer("stack", (T, H)), Buffer("lagged", (T, H))
    step = Map(
        (0,),
        (Access(before, (0,)), Access(before2, (0,)), Access(xt, (0,))),
        (
            LOAD,
            Instruction("load", operand=1),
            Instruction("load", operand=2),
            Instruction("add", (0, 1, 1, 2)),
        ),
        (Store(zt, (0,), 3),),
        (H,),
    )
    stacks = ((zt, stack), (before2, slow)) if stacked else ((before2, slow),)
    loop = Loop(
        T, reverse, (Carry(before, zt, z1, final), Carry(before2, before, z0, None)), ((xt, x),), stacks, (step,)
    )
    results = [final, slow, *([stack] if stacked else [])]
    plan = schedule([x, z0, z1], results, loop)
    kernel = lower(plan)
    assert isinstance(kernel.body[0], Steps)
    a, p, q = RNG.normal(size=(steps, 3)), RNG.normal(size=3), RNG.normal(size=3)
    got, _ = interpret(kernel, {"X": a, "z0": p, "z1": q}, {**SIZES, "T": steps})
    states = {}
    lagged = np.zeros((steps, 3))
    before_value, before2_value = q, p
    for t in reversed(range(steps)) if reverse else range(steps):
        lagged[t] = before2_value
        states[t] = before_value + 2 * before2_value + a[t]
        before_value, before2_value = states[t], before_value
    np.testing.assert_allclose(got["final"], before_value)
    np.testing.assert_allclose(got["lagged"], lagged)
    if stacked:
        np.testing.assert_allclose(got["stack"], np.array([states[t] for t in range(steps)]).reshape(steps, 3))


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_keep_their_meaning_and_are_well_formed(seed: int) -> None:
    roots, values = random_graph(seed, count=14, roots=4)
    used = {node: values[node] for node in tensors(roots)}
    kernel = lower(make_plan([entry_of(roots)], {}).schedule("evaluate"))
    verify(kernel)
    assert show(kernel)
    wanted = tensor_interpret(roots, used, RANDOM_SIZES)
    got, _ = interpret(kernel, {node.name: value for node, value in used.items()}, RANDOM_SIZES)
    for array, want in zip(got.values(), wanted, strict=True):
        np.testing.assert_allclose(array, want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "broken, what",
    [
        (lambda n: replace(n, axes=(*n.axes, n.axes[0])), "a label twice"),
        (lambda n: replace(n, program=(Instruction("negate", (0,)),)), "refers forwards"),
        (lambda n: replace(n, loads=()), "loads nothing"),
        (lambda n: replace(n, writes=(replace(n.writes[0], target=n.loads[0]),)), "read only"),
        (lambda n: replace(n, writes=(replace(n.writes[0], fresh=True),)), "reduces nothing"),
        (lambda n: replace(n, axes=()), "a label from elsewhere"),
    ],
)
def test_a_broken_nest_is_refused(broken: Callable[[Nest], Nest], what: str) -> None:
    x, z = Buffer("X", (N,)), Buffer("Z", (N,))
    step = Map((0,), (Access(x, (0,)),), (LOAD,), (Store(z, (0,), 0),), (N,))
    kernel = lower(schedule([x], [z], step))
    (nest,) = kernel.body
    assert isinstance(nest, Nest)
    verify(kernel)
    with pytest.raises(LoopError, match=what):
        verify(replace(kernel, body=(broken(nest),)))


def test_slots_are_shared_by_buffers_that_do_not_meet() -> None:
    arena = Arena()
    first, second = arena.take(N * 4, "real"), arena.take(N, "real")
    arena.give_back(first)
    assert arena.take(N * 2, "real") == first
    arena.give_back(second)
    assert arena.take(N * H, "real") not in (first,)
    assert arena.take(N, "integer") not in (first, second)


@pytest.mark.parametrize("name", ["summed", "summed_alone", "masked_rows"])
def test_sums_and_labels_of_an_epilogue_take_no_pass_of_their_own(name: str) -> None:
    alone = HAND_BUILT[name]
    kernel = lower(alone)
    verify(kernel)
    assert {type(statement) for statement in kernel.body} <= {Contraction, Collect}
    for sizes in EXTENTS:
        given = example(alone, sizes, "float64")
        wanted = run_plan(alone, given, sizes).results
        for result, array in interpret(kernel, given, sizes)[0].items():
            np.testing.assert_allclose(array, wanted[result], rtol=1e-9, atol=1e-9, err_msg=f"{result} {sizes}")


def test_a_softmax_runs_on_some_rows_at_a_time() -> None:
    alone = HAND_BUILT["softmax"]
    kernel = lower(alone)
    verify(kernel)
    assert any(isinstance(statement, Rows) and len(statement.body) == 4 for statement in kernel.body)
    for sizes in EXTENTS:
        given = example(alone, sizes, "float64")
        wanted = run_plan(alone, given, sizes).results
        for result, array in interpret(kernel, given, sizes)[0].items():
            np.testing.assert_allclose(array, wanted[result], rtol=1e-9, atol=1e-9, err_msg=f"{result} {sizes}")


ROW_BY_ROW = {
    "of the same rows": ((0, 1), (0,), True),
    "of other rows": ((1, 0), (0,), False),
    "over all rows": ((0, 1), (1,), False),
}


@pytest.mark.parametrize(("read", "kept", "joined"), ROW_BY_ROW.values(), ids=ROW_BY_ROW)
def test_nests_join_where_they_stay_within_their_rows(read: tuple[int, int], kept: tuple[int], joined: bool) -> None:
    """Y = X + x_0 by rows, then a sum of its entries in some order: Y must be whole where other rows of it are read."""
    x, v, y, r = Buffer("X", (N, N)), Buffer("v", (N,)), Buffer("Y", (N, N)), Buffer("r", (N,))
    load, other = Instruction("load", operand=0), Instruction("load", operand=1)
    shifted = (load, other, Instruction("add", (0, 1)))
    first = Map((0, 1), (Access(x, (0, 1)), Access(v, (0,))), shifted, (Store(y, (0, 1), 2),), (N, N))
    second = Map((0, 1), (Access(y, read), Access(v, (0,))), shifted, (Store(r, kept, 2, "sum"),), (N, N))
    alone = Schedule("evaluate", (x, v), (), (("Y", y), ("r", r)), (Variant((), (first, second)),), Dim.of(0), Dim.of(0))
    kernel = lower(alone)
    verify(kernel)
    assert any(isinstance(statement, Rows) for statement in kernel.body) is joined
    given = {"X": np.arange(25.0).reshape(5, 5), "v": np.arange(5.0)}
    wanted = run_plan(alone, given).results
    for result, array in interpret(kernel, given, {"N": 5})[0].items():
        np.testing.assert_allclose(array, wanted[result])


@pytest.mark.parametrize("model", MODELS)
def test_a_size_that_is_known_to_be_0_leaves_loops_well_formed(model: str) -> None:
    program = bc.load(MODELS[model])
    free = [spec.name for spec in program.sizes if spec.value is None]
    for empty in free:
        sizes = {name: 0 if name == empty else 3 for name in free}
        planned = stages(program, make_options({"backend": "c", "sizes": sizes})).plan
        for schedule in native_plan(planned).schedules:
            verify(lower(schedule))
