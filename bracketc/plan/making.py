"""Factors that are not stored: a symmetric product makes a few terms of its sum at a time, another one what it packs.

    T_mn = s_m X_mn;  H_ni = (T_mn X_mi | ni), symmetric   ->   for some m at a time: T_mn, and part of H

T may be larger than H, and what is made is read while it is in the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import replace

from bracketc.ir.nodes import REAL
from bracketc.plan.schedule import Access, Buffer, Contract, Map, Step
from bracketc.plan.steps import reads


def apart(step: Contract) -> bool:
    """Whether one factor of a product carries the first half of the output, and the other one the second half."""
    if len(step.products) != 1:
        return False
    (product,), half = step.products, len(step.output) // 2
    sides = [tuple(x for x in step.output if x in access.labels) for access in (product.left, product.right)]
    return sorted(sides) == sorted([step.output[:half], step.output[half:]])


def readers(steps: Sequence[Step]) -> Counter[Buffer]:
    """How many records read each buffer."""
    return Counter(buffer for step in steps for buffer in reads(step))


def factors_made(steps: Sequence[Step], keep: Container[Buffer]) -> dict[int, Map]:
    """The Maps right before products that make a factor for them alone, by the number of the product: before symmetric ones, and
    where :mod:`bracketc.plan.prologues` has found that it pays."""
    counts = readers(steps)
    found: dict[int, Map] = {}
    for number in range(1, len(steps)):
        before, step = steps[number - 1], steps[number]
        if isinstance(before, Map) and isinstance(step, Contract) and (step.prologue or _makes(before, step)):
            target = before.stores[0].target
            if counts[target] == 1 and target not in keep:
                found[number] = before
    return found


def _makes(before: Map, step: Contract) -> bool:
    """Whether ``before`` makes nothing but one factor of a symmetric product, whose axes are a label of the sum and a row."""
    if not step.symmetric or not apart(step) or len(step.program) != 1 or len(step.output) != 2:
        return False
    side = side_made(before, step)
    return side is not None and side.labels[1] in step.output


def side_made(before: Map, step: Contract) -> Access | None:
    """The factor of the one product of ``step`` that ``before`` makes and nothing else: entry by entry of real numbers, a matrix of
    the one label of the sum and of one that the other factor does not carry. The epilogue may not read it again."""
    if len(step.products) != 1 or len(before.stores) != 1:
        return None
    (store,), (product,) = before.stores, step.products
    sides = [side for side in (product.left, product.right) if side.buffer is store.target]
    if len(sides) != 1 or any(access.buffer is store.target for access in step.operands):
        return None
    if store.mode != "store" or store.target.dtype != REAL or store.labels != before.labels:
        return None
    (side,) = sides
    other = product.right if side is product.left else product.left
    counted = any(i.operation in ("index", "delta") for i in before.program)
    if counted or not before.operands or any(access.buffer.dtype != REAL for access in before.operands):
        return None
    summed = {*side.labels, *other.labels}.difference(step.output)
    own = [label for label in side.labels if label not in summed]
    alone = len(side.labels) == 2 and len(summed) == 1 == len(own) and own[0] not in other.labels
    return side if alone else None


def rows_first(step: Contract, made: Map) -> Contract:
    """``step`` with the rows of the factor that is made as its rows: a symmetric result is also its transpose."""
    (product,), (store,) = step.products, step.stores
    side = product.left if product.left.buffer is made.stores[0].target else product.right
    if side.labels[1] == step.output[0]:
        return step
    output = step.output[::-1]
    return replace(step, output=output, stores=(replace(store, labels=output),))
