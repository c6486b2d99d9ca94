"""Factors of symmetric products that are not stored: the product makes a few terms of its sum at a time.

    T_mn = s_m X_mn;  H_ni = (T_mn X_mi | ni), symmetric   ->   for some m at a time: T_mn, and part of H

T may be larger than H, and what is made is read while it is in the cache.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from bracketc.ir.nodes import REAL
from bracketc.plan.schedule import Buffer, Contract, Map, Step
from bracketc.plan.steps import reads


def apart(step: Contract) -> bool:
    """Whether one factor of a product carries the first half of the output, and the other one the second half."""
    if len(step.products) != 1:
        return False
    (product,), half = step.products, len(step.output) // 2
    sides = [tuple(x for x in step.output if x in access.labels) for access in (product.left, product.right)]
    return sorted(sides) == sorted([step.output[:half], step.output[half:]])


def factors_made(steps: Sequence[Step], keep: Container[Buffer]) -> dict[int, Map]:
    """The Maps right before symmetric products that make a factor for them alone, by the number of the product."""
    counts: dict[Buffer, int] = {}
    for step in steps:
        for buffer in reads(step):
            counts[buffer] = counts.get(buffer, 0) + 1
    found: dict[int, Map] = {}
    for number in range(1, len(steps)):
        before, step = steps[number - 1], steps[number]
        if isinstance(before, Map) and isinstance(step, Contract) and _makes(before, step):
            target = before.stores[0].target
            if counts[target] == 1 and target not in keep:
                found[number] = before
    return found


def _makes(before: Map, step: Contract) -> bool:
    """Whether ``before`` makes nothing but one factor of a symmetric product, whose axes are a label of the sum and a row."""
    if not step.symmetric or not apart(step) or len(step.program) != 1 or len(before.stores) != 1:
        return False
    (store,), (product,) = before.stores, step.products
    sides = [side for side in (product.left, product.right) if side.buffer is store.target]
    if len(sides) != 1 or store.mode != "store" or store.target.dtype != REAL or store.labels != before.labels:
        return False
    (side,) = sides
    if len(step.output) != 2:
        return False
    counted = any(i.operation in ("index", "delta") for i in before.program)
    if counted or len(side.labels) != 2 or any(access.buffer.dtype != REAL for access in before.operands):
        return False
    summed = {label for access in (product.left, product.right) for label in access.labels}.difference(step.output)
    return summed == {side.labels[0]} and side.labels[1] in step.output


def rows_first(step: Contract, made: Map) -> Contract:
    """``step`` with the rows of the factor that is made as its rows: a symmetric result is also its transpose."""
    (product,), (store,) = step.products, step.stores
    side = product.left if product.left.buffer is made.stores[0].target else product.right
    if side.labels[1] == step.output[0]:
        return step
    output = step.output[::-1]
    return replace(step, output=output, stores=(replace(store, labels=output),))
