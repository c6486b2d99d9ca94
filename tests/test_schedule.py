"""The schedule IR itself: its interpreter, verifier, printer, names, and that planning twice gives the same text."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bracketc.errors import LimitError
from bracketc.ir.build import add, broadcast, einsum, entry, overlap, pointwise, project, subtract, tensor, window
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Body, Gather, Node, Recurrence, Scatter, Stack, Tensor
from bracketc.ir.program import Entry
from bracketc.ir.rewrite import Origin, tensors
from bracketc.plan.explain import explain
from bracketc.plan.interpret import run
from bracketc.plan.plan import PlanOptions, plan
from bracketc.plan.printer import show, show_schedule
from bracketc.plan.schedule import (
    Access,
    Buffer,
    Contract,
    Instruction,
    Loop,
    Map,
    Product,
    Schedule,
    Step,
    Store,
    Variant,
)
from bracketc.plan.steps import reads, writes
from bracketc.plan.verify import verify, verify_steps

N, H, T = Dim.named("N"), Dim.named("H"), Dim.named("T")
LOAD = Instruction("load", operand=0)


def schedule_of(*roots: Node, names: dict[Node, str] | None = None) -> Schedule:
    origins = {node: Origin(name) for node, name in (names or {}).items()}
    planned = plan([Entry("evaluate", tensors(roots), (), tuple((f"r{k}", r) for k, r in enumerate(roots)))], origins)
    schedule = planned.schedule("evaluate")
    verify(schedule)
    return schedule


# ------------------------------------------------------------------------------------------------ loops
def two_states() -> Recurrence:
    """z[t] = tanh(z[t-1] V + z[t-2]) with the stacks of z, and a carry that nobody reads."""
    z1, z2, v = Tensor("%0", (H,)), Tensor("%1", (H,)), Tensor("%3", (H, H))
    unused = Tensor("%2", ())
    new = pointwise("tanh", add([einsum(1, [(z1, "h"), (v, "hk")], "k"), z2]))
    body = Body((z1, z2, unused, v), (new, z1, add([unused, unused]), new, z2))
    return Recurrence(body, T, (tensor("z1", "H"), tensor("z0", "H"), tensor("s")), (), (tensor("V", "H", "H"),))


def test_a_shifted_state_is_the_state_before() -> None:
    schedule = schedule_of(project(two_states(), 3))
    (loop,) = [step for step in schedule.steps if isinstance(step, Loop)]
    assert len(loop.carries) == 2, "a state that nobody needs is dropped"
    assert loop.carries[1].after is loop.carries[0].before
    assert [carry.final for carry in loop.carries] == [None, None]


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_loops_of_any_length(steps: int) -> None:
    loop = two_states()
    schedule = schedule_of(project(loop, 0), project(loop, 3), project(loop, 4))
    noise = np.random.default_rng(0)
    start, before, matrix = noise.normal(size=3), noise.normal(size=3), noise.normal(size=(3, 3))
    results = run(schedule, {"z1": start, "z0": before, "V": matrix}, {"T": steps}).results
    states = [before, start]
    for _ in range(steps):
        states.append(np.tanh(states[-1] @ matrix + states[-2]))
    np.testing.assert_allclose(results["r0"], states[-1])
    np.testing.assert_allclose(results["r1"], np.array(states[2:]).reshape(steps, 3))
    np.testing.assert_allclose(results["r2"], np.array(states[:-2]).reshape(steps, 3))


def test_work_inside_of_a_loop_is_fused() -> None:
    schedule = schedule_of(project(two_states(), 3))
    (loop,) = [step for step in schedule.steps if isinstance(step, Loop)]
    assert [type(step) for step in loop.steps] == [Contract]


def test_a_state_that_stays_and_one_that_is_an_input() -> None:
    state, other, x = Tensor("%0", ()), Tensor("%1", ()), Tensor("%2", ())
    body = Body((state, other, x), (state, x, x, state))
    loop = Recurrence(body, T, (tensor("a"), tensor("b")), (tensor("x", "T"),), ())
    schedule = schedule_of(*(project(loop, k) for k in range(4)))
    results = run(schedule, {"a": 1.0, "b": 2.0, "x": [3.0, 4.0]}).results
    assert [np.asarray(value).tolist() for value in results.values()] == [1.0, 4.0, [3.0, 4.0], [1.0, 1.0]]


# ------------------------------------------------------------------------------------------------ rearrangements
def test_every_rearrangement_has_its_record() -> None:
    a = tensor("a", "N", "H")
    index = Tensor("index", (T,), "integer", (), N)
    roots = (
        entry(a, 0, 1),
        overlap(a, 1, 1, (1,), H + 1),
        window(a, 1, 0, (1, 1), (Dim.of(2), H - 1)),
        Gather(a, index),
        Scatter(Gather(a, index), index, N),
        Stack((a, pointwise("exp", a))),
    )
    schedule = schedule_of(*roots)
    kinds = {type(step).__name__ for step in schedule.steps}
    assert kinds == {"Take", "Place", "Gather", "Scatter", "Join", "Map"}
    values = np.arange(12.0).reshape(3, 4) / 10
    results = run(schedule, {"a": values, "index": [2, 0, 2, 1, 1]}).results
    np.testing.assert_array_equal(results["r3"], values[[2, 0, 2, 1, 1]])
    np.testing.assert_array_equal(results["r4"], values * [[1], [2], [2]])


def test_positions_out_of_range_are_an_error() -> None:
    a, index = tensor("a", "N"), Tensor("index", (T,), "integer")
    for root, arrays in ((entry(a, 0, 5), {"a": np.zeros(3)}), (Gather(a, index), {"a": np.zeros(3), "index": [3]})):
        with pytest.raises(ValueError, match="in an axis of size 3"):
            run(schedule_of(root), arrays)


def test_zero_sizes() -> None:
    a = tensor("a", "N", "H")
    schedule = schedule_of(einsum(1, [(a, "nh"), (a, "nk")], "hk"), einsum(1, [(a, "nh")], "h"))
    results = run(schedule, {"a": np.zeros((0, 3))}).results
    assert results["r0"].tolist() == [[0.0] * 3] * 3 and results["r1"].tolist() == [0.0] * 3


# ------------------------------------------------------------------------------------------------ verifier
def contract(left: Access, right: Access, output: tuple[int, ...], extents: tuple[Dim, ...]) -> Contract:
    target = Buffer("C", tuple(extents[label] for label in output))
    stores = (Store(target, output, 0),)
    return Contract((Product(1.0, left, right),), output, (), (Instruction("accumulator"),), stores, extents)


A, V = Buffer("A", (N, H)), Buffer("V", (H,))


def copy_of(source: Buffer, name: str = "B") -> Map:
    labels = tuple(range(source.rank))
    target = Buffer(name, source.shape)
    return Map(labels, (Access(source, labels),), (LOAD,), (Store(target, labels, 0),), source.shape)


B = Buffer("B", (N, H))
BROKEN: dict[str, tuple[tuple[Step, ...], str]] = {
    "read before written": ((copy_of(Buffer("missing", (N,))),), "read before it is written"),
    "written twice": ((copy_of(A), replace(copy_of(A), stores=(Store(A, (0, 1), 0),))), "written twice"),
    "one name for two": ((copy_of(A), copy_of(A)), "two buffers are called B"),
    "label of another size": ((replace(copy_of(A), extents=(H, H)),), "label of size"),
    "too few labels": ((replace(copy_of(A), operands=(Access(A, (0,)),)),), "under 1 labels"),
    "foreign label": ((replace(copy_of(V), operands=(Access(V, (1,)),), extents=(H, H)),), "does not walk"),
    "not every label stored": ((replace(copy_of(A), stores=(Store(Buffer("b", (N,)), (0,), 0),)),), "more than once"),
    "a later instruction": (
        (replace(copy_of(A), program=(LOAD, Instruction("negate", (1,)))),),
        "uses a later one",
    ),
    "unknown function": (
        (replace(copy_of(A), program=(LOAD, Instruction("call", (0,), function="no"))),),
        "no function no",
    ),
    "a number as condition": (
        (replace(copy_of(A), program=(LOAD, Instruction("select", (0, 0, 0)))),),
        "not boolean",
    ),
    "summed label of one factor": ((contract(Access(A, (0, 1)), Access(A, (0, 2)), (0, 2), (N, H, H)),), "one factor"),
    "element-wise contraction": ((contract(Access(A, (0, 1)), Access(A, (0, 1)), (0, 1), (N, H)),), "element-wise"),
    "output that nobody carries": (
        (contract(Access(A, (0, 1)), Access(V, (1,)), (0, 2), (N, H, H)),),
        "a product does not carry",
    ),
    "a maximum in an epilogue": (
        (
            replace(
                contract(Access(A, (0, 1)), Access(V, (1,)), (0,), (N, H)),
                stores=(Store(Buffer("m", ()), (), 0, "max"),),
            ),
        ),
        "takes the max",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_records_are_found(case: str) -> None:
    steps, message = BROKEN[case]
    with pytest.raises(AssertionError, match=message):
        verify_steps(steps, (A, V))


def test_broken_schedules_are_found() -> None:
    step = copy_of(A)
    (made,) = writes(step)
    whole = Schedule("f", (A,), (), (("B", made),), (Variant((), (step,)),), Dim.of(0), Dim.of(0))
    verify(whole)
    for broken, message in (
        (replace(whole, results=(("B", made), ("C", made))), "share a buffer"),
        (replace(whole, results=(("B", A),)), "a result is an argument"),
        (replace(whole, variants=(Variant((), ()),)), "nothing writes"),
        (replace(whole, variants=(Variant(((N, 1),), (step,)),)), "no unguarded variant"),
    ):
        with pytest.raises(AssertionError, match=message):
            verify(broken)


# ------------------------------------------------------------------------------------------------ text
def small() -> tuple[tuple[Node, ...], dict[Node, str]]:
    X, W, b = tensor("X", "N", "D"), tensor("W", "D", "H"), tensor("b", "H")
    Z = pointwise("tanh", add([einsum(1, [(X, "nd"), (W, "dh")], "nh"), broadcast(b, (N, H), (1,))]))
    return (einsum(1, [(Z, "nh")], "h"), subtract(Z, pointwise("exp", Z))), {Z: "Z"}


def test_the_printed_plan() -> None:
    roots, names = small()
    assert show_schedule(schedule_of(*roots, names=names)) == "\n".join(
        (
            "evaluate(X[N, D], W[D, H], b[H]) -> r0, r1",
            "  Contract n:N h:H of (X_nd W_dh | nh)",
            "    r0_h = sum(tanh(acc + b_h))",
            "    r1_nh = tanh(acc + b_h) - exp(tanh(acc + b_h))",
            "  flops 2 D H N + 5 H N; bytes 8 D H + 8 D N + 8 H N + 16 H; flops of plain reverse mode 34209792",
        )
    )


def test_names_are_unique_and_results_keep_theirs() -> None:
    a = tensor("a", "N")
    doubled = add([a, a])
    entry_point = Entry("value_and_grad", (a,), (), (("J", einsum(1, [(doubled, "n")], "")), ("a", doubled)))
    schedule = plan([entry_point], {doubled: Origin("a")}).schedule("value_and_grad")
    verify(schedule)
    assert [(name, buffer.name) for name, buffer in schedule.results] == [("J", "J"), ("a", "d_a")]


def test_explain_says_what_is_fused_and_what_it_costs() -> None:
    roots, _ = small()
    planned = plan([Entry("evaluate", tensors(roots), (), tuple((f"r{k}", r) for k, r in enumerate(roots)))], {})
    (explained,) = explain(planned)
    (row,) = explained.rows
    assert row.kind == "Contract" and row.flops is explained.flops
    assert row.fused == (
        "epilogue on the finished tile: add, tanh, exp, subtract",
        "r1 stored in the pass that makes r0",
    )
    assert row.flops_at_hints == explained.flops_at_hints == explained.baseline


def test_a_loop_is_explained_with_its_steps() -> None:
    planned = plan([Entry("evaluate", tensors([project(two_states(), 3)]), (), (("z", project(two_states(), 3)),))], {})
    assert [(row.kind, row.depth) for row in explain(planned)[0].rows] == [("Loop", 0), ("Contract", 1)]


def test_planning_is_the_same_in_every_process() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from random_ir import random_graph\n"
        "from bracketc.ir.program import Entry\n"
        "from bracketc.ir.rewrite import tensors\n"
        "from bracketc.plan.plan import plan\n"
        "from bracketc.plan.printer import show\n"
        "for seed in range(25):\n"
        "    roots, _ = random_graph(seed, 14, 4)\n"
        "    results = tuple((f'r{k}', root) for k, root in enumerate(roots))\n"
        "    print(show(plan([Entry('evaluate', tensors(roots), (), results)], {})))\n"
    )
    texts = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", program, os.path.dirname(__file__)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        texts.append(done.stdout)
    assert texts[0] == texts[1] and "Contract" in texts[0]


def test_the_dump_states_the_sizes() -> None:
    roots, _ = small()
    planned = plan([Entry("evaluate", tensors(roots), (), (("r", roots[0]),))], {})
    assert show(planned).startswith("planned at D = 128, H = 128, N = 1024\n\nevaluate(")


# ------------------------------------------------------------------------------------------------ scale
def test_a_chain_of_30_000_nodes_is_planned() -> None:
    x = tensor("x", "N")
    node: Node = x
    for k in range(30_000):
        node = pointwise("sin", node) if k % 2 else add([node, x])
    schedule = schedule_of(node)
    assert len(schedule.steps) < 1000
    assert schedule.flops is 30_000 * N


def test_a_network_of_1_000_layers_is_planned() -> None:
    node: Node = tensor("X", "N", "H")
    for k in range(1000):
        node = pointwise("tanh", einsum(1, [(node, "nh"), (tensor(f"W{k}", "H", "H"), "hk")], "nk"))
    assert len(schedule_of(node).steps) == 1000


def test_absurd_graphs_meet_a_limit() -> None:
    node: Node = tensor("x")
    for _ in range(10):
        node = pointwise("sin", node)
    with pytest.raises(LimitError, match="more than 10 nodes; the option max_nodes raises the limit"):
        plan([Entry("f", (tensor("x"),), (), (("y", node),))], {}, options=PlanOptions(max_nodes=10))


def test_reads_and_writes_of_a_loop_are_those_from_outside() -> None:
    schedule = schedule_of(project(two_states(), 3))
    (loop,) = schedule.steps
    assert sorted(buffer.name for buffer in reads(loop)) == ["V", "z0", "z1"]
    assert writes(loop) == (schedule.results[0][1],)
