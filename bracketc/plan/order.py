"""The order in which records are looked at: a Map stands as soon as what it reads is there."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from bracketc.plan.schedule import Buffer, Map, Step
from bracketc.plan.steps import reads, writes


def arrange(steps: Sequence[Step]) -> list[Step]:
    """``steps`` with every Map as early as can be, so that what the epilogue of a contraction reads is there before it.

    Otherwise in the order given.
    """
    makers: dict[Buffer, int] = {buffer: place for place, step in enumerate(steps) for buffer in writes(step)}
    waiting: list[int] = []
    followers: list[list[int]] = [[] for _ in steps]
    for place, step in enumerate(steps):
        before = dict.fromkeys(makers[buffer] for buffer in reads(step) if buffer in makers)
        waiting.append(len(before))
        for maker in before:
            followers[maker].append(place)
    ready = [(not isinstance(step, Map), place) for place, step in enumerate(steps) if not waiting[place]]
    heapify(ready)
    order: list[Step] = []
    while ready:
        _, place = heappop(ready)
        order.append(steps[place])
        for follower in followers[place]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heappush(ready, (not isinstance(steps[follower], Map), follower))
    assert len(order) == len(steps), "records that wait for each other"
    return order
