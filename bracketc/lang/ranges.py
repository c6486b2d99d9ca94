"""Sums and other reductions over ranges, ``sum[s=1..t](…)``, whose ends may move with the variable of an outer range.

A range with fixed ends is reduced over its new axis.  Where one end of a sum moves and its terms are the same for every number
of the outer range, all sums come from one loop; every other term is masked:

    M[t] = sum[s=1..t](x[s])          ->   P[s] = P[s-1] + x[s], M[t] = P[t]
    M[t] = sum[s=1..t](x[s] y[t])     ->   M[t] = sum[s=1..T](where(s <= t, x[s] y[t], 0))
"""

from __future__ import annotations

import math

from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node
from bracketc.ir.recurrence import recurrence
from bracketc.ir.rewrite import tensors
from bracketc.lang.builtins import reduce_axes
from bracketc.lang.steps import Moving, Step, lowest, number, take

NEUTRAL = {"sum": 0, "mean": 0, "prod": 1, "max": -math.inf, "min": math.inf, "logsumexp": -math.inf, "norm": 0, "norm2": 0}
"""The value of a reduction over an empty range."""


def reduced(operation: str, step: Step, node: Node) -> Node:
    """``operation`` over the range ``step`` of ``node``, which stands for one number of it."""
    moving = step.moving
    if moving is None:
        return reduce_axes(operation, step.close(node), (0,))
    if operation == "sum":
        found = _running(step, moving, node)
        if found is not None:
            return found
    masked = reduce_axes("sum" if operation == "mean" else operation, step.close(_masked(operation, step, moving, node)), (0,))
    if operation != "mean":
        return masked
    count = number(moving.high - moving.low + 1, moving.scope)
    labels = range(node.rank)
    return build.einsum(1, [(masked, labels), (build.reciprocal(count), ())], labels)


def _masked(operation: str, step: Step, moving: Moving, node: Node) -> Node:
    """``node`` between the ends of the range, the neutral value elsewhere."""
    for end, fixed, operator in ((moving.low, step.first, ">="), (moving.high, step.last, "<=")):
        if end is not fixed:
            here = build.broadcast(step.number(), node.shape, ())
            there = build.broadcast(number(end, moving.scope), node.shape, ())
            node = build.select(build.compare(operator, here, there), node, build.fill(NEUTRAL[operation], node.shape))
    return node


def _running(step: Step, moving: Moving, node: Node) -> Node | None:
    """The sum as an entry of the running sums over the whole range; None where no loop gives it."""
    forward = moving.low is step.first
    if not forward and moving.high is not step.last:
        return None
    terms = step.close(node)
    outer = {tensor for other in moving.scope.steps for tensor in other.slices}
    if any(tensor in outer for tensor in tensors([terms])):
        return None
    # numbers before the first term, whose sums are empty
    if forward:
        missing = step.first - lowest(moving.high, moving.scope, moving.span)
    else:
        missing = -lowest(-moving.low, moving.scope, moving.span) - step.last
    padding = missing.constant
    if padding is None:
        return None
    carried, term = step.run.placeholder("c", node), step.run.placeholder("x", node)
    following = build.add([carried, term])
    loop = recurrence(
        step.extent, [(carried, build.zeros(node.shape), following)], [(term, terms)], [], [following], reverse=not forward
    )
    sums: Node = build.project(loop, 1)
    if padding > 0:
        sums = build.overlap(sums, 0, Dim.of(padding if forward else 0), (1,), step.extent + padding)
    at = moving.high - step.first + max(padding, 0) if forward else moving.low - step.first
    return take(sums, 0, at, (), (), moving.scope, moving.span)
