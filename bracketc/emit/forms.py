"""Nodes that people call by one name although several compute them: softmax and its logarithm, solves of one right side.

exp(A_ij - logsumexp_i(A))   ->   softmax^1(A)          A_ij - logsumexp_i(A)   ->   ln(softmax^1(A))
"""

from __future__ import annotations

from dataclasses import dataclass

from bracketc.ir.build import einsum
from bracketc.ir.nodes import Add, Einsum, Linalg, Literal, Node, Pointwise, Reduce
from bracketc.lang.builtins import elementwise_node
from bracketc.simplify.brackets import constant_axes, drop_axes, is_exact_one


@dataclass(frozen=True, slots=True)
class Form:
    """``function`` of ``args``, mapped over the positions ``kept`` (counted from 1); its logarithm with
    ``logarithm``."""

    function: str
    args: tuple[Node, ...]
    kept: tuple[int, ...] = ()
    logarithm: bool = False


def form_of(node: Node) -> Form | None:
    """The named function that ``node`` is, if it is one."""
    if isinstance(node, Pointwise) and node.function == "exp":
        found = _log_softmax(node.args[0])
        return None if found is None else Form("softmax", found.args, found.kept)
    if isinstance(node, Add):
        return _log_softmax(node)
    return (_solve(node) or _quotient(node) or _gelu(node)) if isinstance(node, Einsum) else None


def _gelu(node: Einsum) -> Form | None:
    """x Φ(x), written out by elaboration."""
    if len(node.factors) != 2 or not any(map(_shows_erf, node.operands)):
        return None
    for x in node.operands:
        if x.shape == node.shape and not isinstance(x, Literal):
            whole = elementwise_node("gelu", [x])
            if isinstance(whole, Einsum) and set(whole.factors) == set(node.factors) and whole.coefficient == node.coefficient:
                return Form("gelu", (x,))
    return None


def _shows_erf(node: Node) -> bool:
    """Whether ``node`` is a sum of two terms, one of which is a multiple of an erf."""
    if not isinstance(node, Add) or len(node.terms) != 2:
        return False
    below = (inner for term in node.terms for inner in (term, *term.operands))
    return any(isinstance(inner, Pointwise) and inner.function == "erf" for inner in below)


def _solve(node: Einsum) -> Form | None:
    """A⁻¹ b for a vector b: the only column of what the solve of a matrix gives."""
    if not is_exact_one(node.coefficient) or len(node.factors) != 1 or node.rank != 1:
        return None
    ((solve, labels),) = node.factors
    if not isinstance(solve, Linalg) or not single_column(solve):
        return None
    if labels[0] != node.output[0] or labels[1] == labels[0]:
        return None
    matrix, right = solve.args
    thin = 1 in constant_axes(right)
    return Form("solve", (matrix, drop_axes(right, frozenset((1,))) if thin else einsum(1, [(right, (0, 1))], (0,))))


def single_column(node: Node) -> bool:
    """Whether ``node`` solves for one right side, as a matrix of one column."""
    return isinstance(node, Linalg) and node.operator == "solve" and node.rank == 2 and node.shape[1].constant == 1


def _log_softmax(node: Node) -> Form | None:
    if not isinstance(node, Add) or len(node.terms) != 2:
        return None
    for arg, shift in (node.terms, node.terms[::-1]):
        if not isinstance(shift, Einsum) or shift.coefficient != -1 or len(shift.factors) != 1:
            continue
        (reduced, labels), *_ = shift.factors
        if not isinstance(reduced, Reduce) or reduced.operator != "logsumexp" or reduced.arg is not arg:
            continue
        kept = tuple(axis for axis in range(arg.rank) if axis not in reduced.axes)
        if len(reduced.axes) == 1 and labels == tuple(shift.output[axis] for axis in kept):
            return Form("softmax", (arg,), tuple(axis + 1 for axis in kept), logarithm=True)
    return None


def _quotient(node: Einsum) -> Form | None:
    """exp(A)_ij / s_i with s = Σ_j exp(A)_ij."""
    if node.coefficient != 1 or len(node.factors) != 2:
        return None
    for (top, labels), (bottom, kept_labels) in (node.factors, node.factors[::-1]):
        if not (isinstance(top, Pointwise) and top.function == "exp" and labels == node.output):
            continue
        if not (isinstance(bottom, Pointwise) and bottom.function == "power" and bottom.exponent == -1):
            continue
        total = bottom.args[0]
        if not (isinstance(total, Einsum) and total.coefficient == 1 and len(total.factors) == 1):
            continue
        inner, inner_labels = total.factors[0]
        kept = tuple(axis for axis, label in enumerate(inner_labels) if label in total.output)
        if inner is not top or len(kept) != top.rank - 1 or total.output != tuple(inner_labels[a] for a in kept):
            continue
        if kept_labels == tuple(labels[axis] for axis in kept):
            return Form("softmax", top.args, tuple(axis + 1 for axis in kept))
    return None
