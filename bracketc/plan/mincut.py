"""Minimum cut of a graph by the weights of its nodes (Dinic 1970, on the graph in which every node is an edge).

>>> minimum_cut(["a", "b", "c"], [("a", "b"), ("b", "c")], {"a": 3, "b": 2, "c": 2}, ["a"], ["c"])
{'c'}
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def minimum_cut(
    nodes: Sequence[T],
    edges: Iterable[tuple[T, T]],
    weights: Mapping[T, int],
    sources: Iterable[T],
    sinks: Iterable[T],
) -> set[T]:
    """The nodes of least total weight that every way from a source to a sink meets; the nearest to the sinks of equal
    cuts.

    A node without a weight cannot be cut; there must be a cut.
    """
    place = {node: k for k, node in enumerate(nodes)}
    count = len(nodes)
    source, sink = 2 * count, 2 * count + 1
    network = _Network(2 * count + 2, 1 + sum(weights.values()))
    for node, k in place.items():
        network.connect(2 * k, 2 * k + 1, weights.get(node, network.unbounded))
    for start, end in edges:
        network.connect(2 * place[start] + 1, 2 * place[end], network.unbounded)
    for node in sources:
        network.connect(source, 2 * place[node], network.unbounded)
    for node in sinks:
        network.connect(2 * place[node] + 1, sink, network.unbounded)
    network.saturate(source, sink)
    beyond = network.reaching(sink)
    assert not beyond[source], "a node that cannot be cut joins a source and a sink"
    return {node for node, k in place.items() if beyond[2 * k + 1] and not beyond[2 * k]}


class _Network:
    """Capacities of arcs; arc 2k + 1 is the reverse of arc 2k."""

    def __init__(self, count: int, unbounded: int) -> None:
        self.unbounded = unbounded
        self.arcs: list[list[int]] = [[] for _ in range(count)]
        self.ends: list[int] = []
        self.left: list[int] = []

    def connect(self, start: int, end: int, capacity: int) -> None:
        for begin, finish, amount in ((start, end, capacity), (end, start, 0)):
            self.arcs[begin].append(len(self.ends))
            self.ends.append(finish)
            self.left.append(amount)

    def saturate(self, source: int, sink: int) -> None:
        """Send as much as possible from source to sink, along shortest ways first."""
        while True:
            levels = self.levels(source)
            if levels[sink] < 0:
                return
            self.block(source, sink, levels)

    def levels(self, source: int) -> list[int]:
        levels = [-1] * len(self.arcs)
        levels[source] = 0
        queue = [source]
        for place in queue:
            for arc in self.arcs[place]:
                end = self.ends[arc]
                if self.left[arc] and levels[end] < 0:
                    levels[end] = levels[place] + 1
                    queue.append(end)
        return levels

    def block(self, source: int, sink: int, levels: list[int]) -> None:
        """Saturate every way along which levels grow by one."""
        tried = [0] * len(self.arcs)
        way: list[int] = []
        place = source
        while True:
            if place == sink:
                amount = min(self.left[arc] for arc in way)
                first = len(way)
                for k, arc in enumerate(way):
                    self.left[arc] -= amount
                    self.left[arc ^ 1] += amount
                    if not self.left[arc] and k < first:
                        first = k
                place = self.ends[way[first] ^ 1]
                del way[first:]
                continue
            while tried[place] < len(self.arcs[place]):
                arc = self.arcs[place][tried[place]]
                if self.left[arc] and levels[self.ends[arc]] == levels[place] + 1:
                    way.append(arc)
                    place = self.ends[arc]
                    break
                tried[place] += 1
            else:
                if not way:
                    return
                place = self.ends[way.pop() ^ 1]
                tried[place] += 1

    def reaching(self, sink: int) -> list[bool]:
        """From where the sink can still be reached."""
        found = [False] * len(self.arcs)
        found[sink] = True
        queue = [sink]
        for place in queue:
            for arc in self.arcs[place]:
                start = self.ends[arc]
                if self.left[arc ^ 1] and not found[start]:
                    found[start] = True
                    queue.append(start)
        return found
