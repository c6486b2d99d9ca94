"""Maxima and minima whose places are asked for.

    x_ij == m_i,   m_i = max[j](x_ij)

The largest entry is found only where it is the very number of which the maximum was taken. Computed again, in another order or
fused with something else, it may differ by a rounding; then no entry is found, and a derivative that the maximum passes on is
lost. So such a maximum is computed wherever its entries are: it is never kept alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.ir.nodes import Compare, Einsum, Node, Reduce
from bracketc.ir.rewrite import topological


def located(roots: Iterable[Node]) -> set[Node]:
    """The maxima and minima below ``roots`` that something is compared with, to see where they are attained."""
    found: set[Node] = set()
    for node in topological(tuple(roots)):
        for side in node.operands if isinstance(node, Compare) and node.operator == "==" else ():
            while isinstance(side, Einsum) and len(side.factors) == 1:  # spread over the axes of the entries
                ((side, _),) = side.factors
            if isinstance(side, Reduce) and side.operator in ("max", "min"):
                found.add(side)
    return found
