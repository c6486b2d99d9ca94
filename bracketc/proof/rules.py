"""The rules of differentiation that a differential was taken by, found from the nodes between it and what varies."""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.ir.nodes import (
    Einsum,
    Gather,
    Linalg,
    Node,
    Pointwise,
    Recurrence,
    Reduce,
    Select,
    Tensor,
    Window,
)
from bracketc.ir.rewrite import depends_on, topological

_LINALG = {
    "inv": "the differential of an inverse",
    "det": "the differential of a determinant",
    "logdet": "the differential of the logarithm of a determinant",
    "solve": "the differential of a solution",
    "solve_lower": "the differential of a solution",
    "solve_upper": "the differential of a solution",
    "cholesky": "the differential of a Cholesky factor",
}
_REDUCE = {
    "logsumexp": "the differential of logsumexp, whose weights are softmax",
    "max": "the differential of max",
    "min": "the differential of min",
    "prod": "the differential of a product of entries",
}


def rule_of(body: Node, variables: Sequence[Tensor]) -> str:
    """What to write behind ``by``: the rules that the differential of ``body`` by ``variables`` needs.

    tanh(X @ W)  by W  ->  "the chain rule"          x^T @ A @ x  by x  ->  "the product rule"
    """
    linked = depends_on([body], variables)
    found: dict[str, None] = {}
    for node in reversed(topological([body])):
        if node not in linked or isinstance(node, Tensor):
            continue
        if isinstance(node, Einsum):
            if sum(operand in linked for operand in node.operands) > 1:
                found.setdefault("the product rule")
        elif isinstance(node, Pointwise):
            found.setdefault("the chain rule")
        elif isinstance(node, Reduce):
            found.setdefault(_REDUCE[node.operator])
        elif isinstance(node, Linalg):
            found.setdefault(_LINALG.get(node.operator, f"the differential of {node.operator}"))
        elif isinstance(node, Select):
            found.setdefault("the differential of each case")
        elif isinstance(node, Recurrence):
            found.setdefault("the differential of a recurrence")
        elif isinstance(node, Window | Gather):
            found.setdefault("the differential of entries")
    names = list(found) or ["linearity"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
