"""Every pass keeps the meaning: random graphs before and after, planned, and lowered to loops."""

from __future__ import annotations

from random_ir import SIZES, random_graph
from test_plan_random import PLANS, entry_of
from test_simplify_random import PASSES

from bracketc.ir.interpret import interpret
from bracketc.ir.rewrite import Roots, tensors
from bracketc.ir.verify import verify
from bracketc.loops.interpret import interpret as run_loops
from bracketc.loops.lower import lower
from bracketc.plan.interpret import run
from bracketc.plan.plan import plan
from bracketc.plan.split import split_plan
from bracketc.simplify import simplify, stabilise
from promises.promise import Promise, compare


def passes(seed: int) -> int:
    """Each pass of simplify/ on its own, and all of them, on one random graph."""
    roots, values = random_graph(seed)
    wanted = interpret(roots, values, SIZES)
    for apply in (*PASSES, stabilise, simplify):
        after = apply(Roots(roots))
        verify(after.nodes)
        for k, (new, old) in enumerate(zip(interpret(after.nodes, values, SIZES), wanted, strict=True)):
            compare(f"{apply.__name__}, root {k}", new, old, 1e-7)
    return len(PASSES) + 2


def plans(seed: int) -> int:
    """Plans with passes on and off, split in blocks, and the loops that they are lowered to."""
    roots, values = random_graph(seed, count=14, roots=4)
    used = {node: values[node] for node in tensors(roots)}
    named = {node.name: value for node, value in used.items()}
    wanted = interpret(roots, used, SIZES)
    count = 0
    for way, options in PLANS.items():
        whole = plan([entry_of(roots)], {}, (), options)
        for cut, planned in (("whole", whole), ("split", split_plan(whole))):
            schedule = planned.schedule("evaluate")
            ran = {"plan": run(schedule, named, SIZES).results, "loops": run_loops(lower(schedule), named, SIZES)[0]}
            for level, results in ran.items():
                for (name, found), array in zip(results.items(), wanted, strict=True):
                    compare(f"{name} of {level}, {way}, {cut}", found, array)
                count += 1
    return count


def graph_text(seed: int) -> str:
    """What a random graph is made of."""
    return f"random_graph({seed}):\n" + "\n".join(map(str, random_graph(seed)[0]))


PROMISES = (
    Promise(
        "passes", "every pass of simplify/ keeps the meaning", "random graphs of every node kind, interpreted before and after",
        passes, graph_text, 20_000, "passes",
    ),
    Promise(
        "plans", "every plan and its loops keep the meaning",
        "random graphs planned with passes on and off, whole and split; schedule and loops interpreted",
        plans, graph_text, 20_000, "schedules",
    ),
)  # fmt: skip
