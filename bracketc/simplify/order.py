"""An order of nodes that depends on their structure alone, and reads well: tensors by name, products before others."""

from __future__ import annotations

from collections.abc import Callable

from bracketc.ir.nodes import Einsum, Node, Recurrence, Size, Tensor, digest
from bracketc.ir.printer import bound_tensors

Key = tuple[int, str, bytes]

def fingerprint(node: Node) -> bytes:
    """The digest of ``node``, the same in every process; remembered for as long as the node lives."""
    if hasattr(node, "digest"):
        return node.digest
    pending = [node]
    while pending:
        top = pending[-1]
        if hasattr(top, "digest"):
            pending.pop()
            continue
        below = (*top.operands, *bound_tensors(top))
        if isinstance(top, Recurrence):
            below += (*top.body.parameters, *top.body.results)
        missing = [operand for operand in below if not hasattr(operand, "digest")]
        if missing:
            pending.extend(missing)
            continue
        pending.pop()
        object.__setattr__(top, "digest", digest(top, {operand: operand.digest for operand in below}))
    return node.digest


def node_key(node: Node) -> Key:
    """What nodes are sorted by where nothing else tells them apart."""
    if isinstance(node, Tensor):
        return 0, node.name, fingerprint(node)
    return (2 if isinstance(node, Size) else 1), type(node).__name__, fingerprint(node)


def term_key(node: Node) -> tuple[bool, int, Key]:
    """The order of terms in a sum: negative ones last, longer products first."""
    if isinstance(node, Einsum):
        return node.coefficient < 0, -len(node.factors), node_key(node)
    return False, -1, node_key(node)


SortKey = Callable[[Node], Key]
