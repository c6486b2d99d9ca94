"""Slices, windows, overlaps, gathers and stacks: what is cut out of something put together is cut out before."""

from __future__ import annotations

from collections.abc import Hashable

from bracketc.ir.build import einsum, is_zero, overlap, permute, window, zeros
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Delta, Einsum, Gather, Node, Overlap, Scatter, Stack, Window
from bracketc.ir.rewrite import Roots, rewrite
from bracketc.simplify.brackets import Factor, constant_axes, drop_axes, is_exact_one, spread, summed


def compose_windows(roots: Roots) -> Roots:
    """A window of a slice is a window; a slice of what was put in place is the thing itself, or zeros.

    A[2..][3..]  ->  A[5..]          pad(A)[where A is]  ->  A          stack(a, b)[1]  ->  b
    """
    return rewrite(roots, compose_window)


def compose_window(node: Node) -> Node:
    if not isinstance(node, Window):
        return node
    arg = node.arg
    if node.shape == arg.shape:
        node_or_arg = window(arg, node.axis, node.offset, node.steps, node.extents)
        if node_or_arg is not node:
            return node_or_arg
    if isinstance(arg, Window) and len(arg.steps) == 1 and arg.axis == node.axis:
        step = arg.steps[0]
        steps = tuple(step * own for own in node.steps)
        return window(arg.arg, node.axis, arg.offset + step * node.offset, steps, node.extents)
    if isinstance(arg, Overlap) and arg.axis == node.axis:
        return _window_of_overlap(node, arg)
    if isinstance(arg, Stack) and node.axis == 0 and not node.steps and node.offset.constant is not None:
        return arg.terms[node.offset.constant]
    if isinstance(arg, Einsum):
        return _window_of_bracket(node, arg)
    return node


def _window_of_overlap(node: Window, arg: Overlap) -> Node:
    """The part of one axis that a slice takes out of what was put into zeros: all inside, all outside, or undecided."""
    inside = arg.arg.shape[arg.axis] if arg.steps else Dim.of(1)
    if arg.steps not in ((), (1,)) or node.steps not in ((), (1,)):
        return node
    length = node.extents[0] if node.steps else Dim.of(1)
    start = node.offset - arg.offset
    before, after = (-(start + length)).constant, (start - inside).constant
    if (before is not None and before >= 0) or (after is not None and after >= 0):
        return zeros(node.shape)
    room = (inside - start - length).constant
    if start.constant is None or start.constant < 0 or room is None or room < 0:
        return node
    if not arg.steps:  # one entry was put in, and the slice holds that place alone
        return arg.arg if not node.steps else node
    return window(arg.arg, node.axis, start, node.steps, node.extents)


def _window_of_bracket(node: Window, arg: Einsum) -> Node:
    """Slice the only wide factor of a bracket without sums, or a label that nothing carries, before the bracket."""
    label = arg.output[node.axis]
    carriers = [(place, axis) for place, (_, own) in enumerate(arg.factors) for axis, x in enumerate(own) if x == label]
    if summed(arg) or len(carriers) > 1 or sum(1 for factor in arg.operands if factor.rank) > 1:
        return node
    fresh = [("new", place) for place in range(len(node.extents))]
    factors: list[Factor] = list(arg.factors)
    for place, axis in carriers:
        factor, labels = arg.factors[place]
        if factor.dtype != "real":
            return node
        cut = window(factor, axis, node.offset, node.steps, node.extents)
        factors[place] = (cut, (*labels[:axis], *fresh, *labels[axis + 1 :]))
    output = (*arg.output[: node.axis], *fresh, *arg.output[node.axis + 1 :])
    extents: dict[Hashable, Dim] = dict(enumerate(arg.extents))
    extents.update(zip(fresh, node.extents, strict=True))
    return einsum(arg.coefficient, factors, output, extents)


def fold_overlaps(roots: Roots) -> Roots:
    """Zeros stay zeros in a larger place, and a number in front stays in front.

    pad(0)  ->  0          pad((2 A_ij | ij))  ->  (2 pad(A)_ij | ij)
    """
    return rewrite(roots, fold_overlap)


def fold_overlap(node: Node) -> Node:
    if not isinstance(node, Overlap | Scatter):
        return node
    if is_zero(node.arg):
        return zeros(node.shape)
    if isinstance(node, Overlap) and overlap(node.arg, node.axis, node.offset, node.steps, node.extent) is node.arg:
        return node.arg
    return _scale_outside(node)


def _scale_outside(node: Overlap | Scatter) -> Node:
    """Numbers and scalars of the argument in front of a linear rearrangement."""
    arg = node.arg
    if not isinstance(arg, Einsum) or summed(arg):
        return node
    scalars: list[Factor] = [(factor, labels) for factor, labels in arg.factors if not factor.rank]
    if not scalars and is_exact_one(arg.coefficient):
        return node
    wide = [(factor, labels) for factor, labels in arg.factors if factor.rank]
    inner = node.rebuild((einsum(1, wide, arg.output, dict(enumerate(arg.extents))), *node.operands[1:]))
    labels = range(inner.rank)
    return einsum(arg.coefficient, [*scalars, (inner, labels)], labels)


def sum_overlaps(roots: Roots) -> Roots:
    """A sum over an axis into which something was put is the sum over what was put there.

    (pad(A)_pj | j)  ->  (A_ij | j)
    """
    return rewrite(roots, sum_overlap)


def sum_overlap(node: Node) -> Node:
    if not isinstance(node, Einsum):
        return node
    for place, (factor, labels) in enumerate(node.factors):
        if not isinstance(factor, Overlap) or labels[factor.axis] < len(node.output):
            continue
        label = labels[factor.axis]
        if sum(own.count(label) for _, own in node.factors) > 1:
            continue
        inner = [("inner", axis) for axis in range(len(factor.steps))]
        factors: list[Factor] = list(node.factors)
        factors[place] = (factor.arg, (*labels[: factor.axis], *inner, *labels[factor.axis + 1 :]))
        return einsum(node.coefficient, factors, node.output, dict[Hashable, Dim](enumerate(node.extents)))
    return node


def place_rows(roots: Roots) -> Roots:
    """Rows of an identity say where something stands: what they are multiplied by is put there, or cut out there.

    (δ[p,l+1] x_l | p)  ->  pad(x)          (δ[p,l+1] x_p | l)  ->  x[2..]          (δ[p,c[b]] x_b | p)  ->  scatter(x, c)
    """
    return rewrite(roots, place_row)


def place_row(node: Node) -> Node:
    if not isinstance(node, Einsum):
        return node
    for number, (factor, labels) in enumerate(node.factors):
        found = _rows(factor, labels)
        if found is None or len(set(labels)) < len(labels):
            continue
        place, inner = found
        others: list[Factor] = [other for k, other in enumerate(node.factors) if k != number]
        carriers = [k for k, (_, own) in enumerate(others) if place in own]
        extents: dict[Hashable, Dim] = dict(enumerate(node.extents))
        if place in node.output and not carriers and not set(inner) & set(node.output):
            return _placed(node, factor, place, inner, others, extents)
        if place not in node.output and len(carriers) == 1 and isinstance(factor, Window):
            wide, own = others[carriers[0]]
            if own.count(place) == 1 and wide.dtype == "real":
                at = own.index(place)
                cut = window(wide, at, factor.offset, factor.steps, tuple(node.extents[label] for label in inner))
                others[carriers[0]] = (cut, (*own[:at], *inner, *own[at + 1 :]))
                del extents[place]
                return einsum(node.coefficient, others, node.output, extents)
    return node


def _rows(factor: Node, labels: tuple[int, ...]) -> tuple[int, tuple[int, ...]] | None:
    """The label of the identity that stays, and those of the rows that were taken."""
    if isinstance(factor, Window) and isinstance(factor.arg, Delta):
        count = len(factor.steps)
        return (labels[0], labels[1:]) if factor.axis == 1 else (labels[count], labels[:count])
    if isinstance(factor, Gather) and isinstance(factor.arg, Delta):
        return labels[-1], labels[:-1]
    return None


def _placed(
    node: Einsum, factor: Node, place: int, inner: tuple[int, ...], others: list[Factor], extents: dict[Hashable, Dim]
) -> Node:
    axis = node.output.index(place)
    extent = extents.pop(place)
    before, after = node.output[:axis], node.output[axis + 1 :]
    if isinstance(factor, Window):
        moved = einsum(node.coefficient, others, (*before, *inner, *after), extents)
        return overlap(moved, axis, factor.offset, factor.steps, extent)
    assert isinstance(factor, Gather)
    rows = Scatter(einsum(node.coefficient, others, (*inner, *before, *after), extents), factor.index, extent)
    return permute(rows, [*range(1, axis + 1), 0, *range(axis + 1, node.rank)])


def fold_gathers(roots: Roots) -> Roots:
    """Rows of a constant are constant, rows of a tensor spread along its leading axis are the tensor spread.

    (x_j | ij)[index_n]  ->  (x_j | nj)
    """
    return rewrite(roots, fold_gather)


def fold_gather(node: Node) -> Node:
    if not isinstance(node, Gather) or node.arg.dtype != "real" or 0 not in constant_axes(node.arg):
        return node
    return spread(drop_axes(node.arg, frozenset((0,))), node.shape, frozenset(range(node.index.rank)))


def fold_stacks(roots: Roots) -> Roots:
    """A stack of one thing is that thing spread.

    stack(x, x)  ->  (x_j | ij)
    """
    return rewrite(roots, fold_stack)


def fold_stack(node: Node) -> Node:
    if not isinstance(node, Stack) or any(term is not node.terms[0] for term in node.terms):
        return node
    return spread(node.terms[0], node.shape, frozenset((0,)))
