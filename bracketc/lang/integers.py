"""Integer arguments: indices where an index stands, numbers everywhere else.

E[ci]   ->   rows of E            x_i y_i  with integers y   ->   x_i times the real numbers 0, 1, …
"""

from __future__ import annotations

from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Gather, Node, Range, Stack, Tensor, Window


def bound_of(node: Node) -> Dim | None:
    """The C of ``integer in C``, of an argument or a part of one."""
    while isinstance(node, Window | Gather | Stack):
        node = node.terms[0] if isinstance(node, Stack) else node.arg
    return node.bound if isinstance(node, Tensor) else None


def as_real(node: Node) -> Node:
    """Integers as real numbers, 0 among them as they are in the data; other nodes as they are.

    The numbers 1, 2, …, C are looked up, so that an integer out of range is found here as in every index.
    """
    if node.dtype != "integer":
        return node
    bound = bound_of(node)
    assert bound is not None, node
    return build.add([Gather(Range(bound), node), build.fill(-1, node.shape)])


def arranged(node: Node, order: list[int]) -> Node | None:
    """Axes in another order; None for integers whose axes would move, which no node does."""
    if order == list(range(node.rank)):
        return node
    return build.permute(node, order) if node.dtype == "real" else None
