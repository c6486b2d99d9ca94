"""Stops: constants for every differential, which differentiation has seen by now."""

from __future__ import annotations

from bracketc.ir.nodes import Node, Pointwise
from bracketc.ir.rewrite import Roots, rewrite


def drop_stops(roots: Roots) -> Roots:
    """The value of a stop is its argument; only after differentiation.

    stop(X)  ->  X
    """
    return rewrite(roots, drop_stop)


def drop_stop(node: Node) -> Node:
    return node.args[0] if isinstance(node, Pointwise) and node.function == "stop" else node
