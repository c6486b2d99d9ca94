"""Large programs go through every pass: no recursion, and work that grows as the program does."""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Callable, Iterator

import pytest

import bracketc as bc
from bracketc import compiler
from bracketc.emit.formulas import show
from bracketc.errors import Source
from bracketc.ir.build import add, einsum, pointwise, tensor
from bracketc.ir.nodes import Node
from bracketc.ir.program import Program, Request, SizeSpec
from bracketc.ir.rewrite import topological
from bracketc.loops.lower import lower
from bracketc.options import Options, make_options
from bracketc.plan.explain import explain
from bracketc.plan.native import native_plan
from bracketc.plan.printer import show as show_plan

OPTIONS = {backend: make_options({"backend": backend}) for backend in ("numpy", "c")}


@pytest.fixture(autouse=True)
def shallow_stack() -> Iterator[None]:
    """A recursion over nodes ends soon, whatever other tests have allowed."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def chain(count: int, gradient: bool) -> Program:
    """``count`` nodes in one line, each of which needs the one before: J = Σ tanh(x + sin(x + …))."""
    x = tensor("x", "N")
    node: Node = x
    for k in range(count // 2):
        node = pointwise("sin" if k % 2 else "tanh", add([node, x]))
    results = (("J", einsum(1, [(node, "n")], "")),)
    requests = (Request("gradient", "J", ("x",)),) if gradient else ()
    return Program(Source(""), (SizeSpec("N"),), (x,), {"x": "param"}, results, results, requests)


def network(layers: int) -> str:
    return f"""
dim N
dim L = {layers}
dim D[0..L] = {", ".join(["3"] * (layers + 1))}
input X : N, D[0]
input Y : N, D[L]
param W[j] : D[j-1], D[j]  for j = 1..L
Z[0] = X
Z[j] = tanh(Z[j-1] @ W[j])  for j = 1..L
J = 0.5 norm2(Z[L] - Y) + 0.1 sum[k=1..L](W[k] · W[k])
gradient J wrt W
"""


def definitions(count: int) -> str:
    """A source with many definitions, the last of which stands first."""
    lines = [f"z{k} = tanh(z{k - 1} + x)" for k in range(count, 0, -1)]
    return "\n".join(["dim N", "param x : N", "J = x · z" + str(count), *lines, "z0 = x", "gradient J wrt x"])


def nodes_of(done: compiler.Stages, name: str) -> int:
    (entry,) = [entry for entry in done.entries if entry.name == name]
    return len(topological(node for _, node in entry.results))


def emitted(done: compiler.Stages) -> dict[str, str]:
    """The text that computes, by backend."""
    return {
        "numpy": compiler.emit(done, "deep", OPTIONS["numpy"]).files["deep.py"],
        "c": compiler.emit(done, "deep", OPTIONS["c"]).files["deep.c"],
    }


# ------------------------------------------------------------------------------------------------ every pass
def test_a_chain_goes_through_every_pass() -> None:
    program = chain(100_000, gradient=False)
    done = compiler.stages(program, OPTIONS["numpy"])
    assert nodes_of(done, "evaluate") == 100_002
    texts = emitted(done)
    assert all(text.count(function) >= 50_000 for text in texts.values() for function in ("tanh", "sin"))


def test_the_gradient_of_a_chain_goes_through_every_pass() -> None:
    done = compiler.stages(chain(4_000, gradient=True), OPTIONS["numpy"])
    assert nodes_of(done, "value_and_grad") <= 5 * nodes_of(done, "evaluate")
    texts = emitted(done)
    for name in ("evaluate", "forward", "backward", "value_and_grad"):
        assert name in texts["c"] and name in texts["numpy"]
    assert show_plan(done.plan) and explain(done.plan)
    for schedule in done.plan.schedules:
        assert lower(schedule).body
        assert schedule.flops.evaluate(done.plan.hints) <= schedule.baseline


def test_a_network_of_1_000_layers_goes_through_every_pass() -> None:
    program = bc.parse(network(1000))
    assert len(program.inputs) == 1002 and len(program.requests[0].wrt) == 1000
    done = compiler.stages(program, OPTIONS["numpy"])
    assert nodes_of(done, "value_and_grad") <= 5 * nodes_of(done, "evaluate")
    texts = emitted(done)
    assert "W1000" in texts["numpy"] and "W1000" in texts["c"]


def test_many_definitions_in_any_order() -> None:
    program = bc.parse(definitions(1_500))
    done = compiler.stages(program, OPTIONS["numpy"])
    assert nodes_of(done, "value_and_grad") <= 5 * nodes_of(done, "evaluate")
    assert emitted(done)


def test_formulas_of_a_deep_program() -> None:
    (entry, *_) = compiler.derive(chain(4_000, gradient=False), Options()).entries
    assert len(show(entry.results[0][1])) > 4_000


# ------------------------------------------------------------------------------------------------ growth
def calls(program: Program) -> int:
    """Function calls that the whole pipeline takes: a measure of work that no other load on the machine changes."""
    profile = cProfile.Profile()
    profile.enable()
    emitted(compiler.stages(program, OPTIONS["numpy"]))
    profile.disable()
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["chain", "network", "definitions"])
def test_twice_the_program_takes_twice_the_work(kind: str) -> None:
    make: dict[str, Callable[[int], Program]] = {
        "chain": lambda size: chain(10 * size, gradient=True),
        "network": lambda size: bc.parse(network(size)),
        "definitions": lambda size: bc.parse(definitions(4 * size)),  # formulas of short programs are made to read well
    }
    calls(make[kind](10))  # what is done once, templates and tables, is done before
    work = [calls(make[kind](size)) for size in (20, 40, 80)]
    assert work[2] - work[1] < 2.5 * (work[1] - work[0]), work


def test_splits_of_a_chain_over_one_size_grow_as_it_does() -> None:
    """Each link is a stage of its own for blocks of that size, and none of them saves anything."""

    def work(layers: int) -> int:
        planned = compiler.stages(bc.parse(network(layers)), OPTIONS["c"]).plan
        profile = cProfile.Profile()
        profile.enable()
        native_plan(planned)
        profile.disable()
        return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]

    assert work(120) < 2.5 * work(60)
