"""What people call an operation on a matrix, for the errors of one that cannot be done.

    logdet(K), of which K is a definition            ->   logdet(K)
    an inverse that only a derivative needs, of X+I  ->   inv(X + I)
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bracketc.ir import build
from bracketc.ir.nodes import Add, Einsum, Linalg, Node, Tensor
from bracketc.ir.rewrite import Origin

LONGEST = 60
"""Longer texts of the source are cut."""

_NAMES = {
    "cholesky": "chol",
    "solve_lower": "solve",
    "solve_upper": "solve",
    "lu_inv": "inv",
    "lu_solve": "solve",
    "lu_solve_transposed": "solve",
    "lu_det": "det",
    "lu_logdet": "logdet",
    "cholesky_inv": "inv",
    "cholesky_solve": "solve",
}
"""Operations of the schedule as the language calls them."""


def described(origins: Mapping[Node, Origin], node: Linalg) -> str:
    """``node`` as a person would write it; a matrix without a name by its text in the source."""
    matrix = node.args[0]
    while isinstance(matrix, Linalg) and matrix.operator in ("lu", "cholesky") and node.operator not in ("cholesky", "lu"):
        matrix = matrix.args[0]
    return f"{_NAMES.get(node.operator, node.operator)}({_called(origins, matrix)})"


def named(origins: Mapping[Node, Origin], node: Node) -> str:
    """A name for the result of an operation on a matrix: ``inv_A``; empty for any other node."""
    return re.sub(r"\W+", "_", described(origins, node)).strip("_") if isinstance(node, Linalg) else ""


def _called(origins: Mapping[Node, Origin], matrix: Node) -> str:
    origin = origins.get(matrix)
    if origin is not None and origin.name:
        return origin.name
    if isinstance(matrix, Tensor):
        return matrix.name
    half = symmetrised(matrix)
    if half is not None:
        return _called(origins, half)
    swapped = transposed_of(matrix)
    if swapped is not None:
        inner = _called(origins, swapped)
        return f"{inner}^T" if inner.isalnum() else f"({inner})^T"
    if origin is not None and origin.span is not None:
        text = " ".join(origin.span.text.split())
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return "…"


def symmetrised(node: Node) -> Node | None:
    """The X of ½ (X + Xᵀ)."""
    doubled = build.scale(2, node)
    if isinstance(doubled, Einsum) and len(doubled.factors) == 1 and doubled.coefficient == 1:
        doubled = doubled.operands[0]
    if not isinstance(doubled, Add) or len(doubled.terms) != 2:
        return None
    for plain, other in (doubled.terms, doubled.terms[::-1]):
        if transposed_of(other) is plain:
            return plain
    return None


def transposed_of(node: Node) -> Node | None:
    """The node whose matrices, in the last two axes, ``node`` has transposed."""
    if not isinstance(node, Einsum) or len(node.factors) != 1 or node.coefficient != 1 or len(node.extents) != node.rank:
        return None
    ((factor, labels),) = node.factors
    order = tuple(range(node.rank))
    return factor if node.rank >= 2 and labels == (*order[:-2], order[-1], order[-2]) and node.output == order else None
