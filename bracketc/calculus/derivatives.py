"""Derivatives as graphs: products with tangents and cotangents, Jacobians, Hessians, and those written in a source.

A vector-Jacobian product is linearise, then transpose. A Jacobian is the product with every basis tensor at once: with
Kronecker deltas, batched over their first axes; simplification makes the deltas vanish and planning chooses the order
of the product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal as OneOf

from bracketc.calculus.forward import linearise
from bracketc.calculus.reverse import transpose
from bracketc.calculus.walk import Origins
from bracketc.errors import BracketError, UnsupportedError
from bracketc.ir.batch import batch
from bracketc.ir.build import delta, einsum, literal, permute, zeros
from bracketc.ir.nodes import Body, Derivative, Differential, Node, Recurrence, Shape, Tensor
from bracketc.ir.recurrence import merge_recurrences
from bracketc.ir.rewrite import Origin, Roots, map_nodes, substitute

Layout = OneOf["jacobian", "gradient"]


def jvp(
    outputs: Sequence[Node], wrt: Sequence[Node], tangents: Sequence[Node | None], origins: Origins | None = None
) -> tuple[Node, ...]:
    """Tangents of ``outputs`` for tangents of the nodes ``wrt``, where the graph is cut; ``None`` is zero.

    x_i x_i | , wrt x, tangent t   ->   2 x_i t_i |
    """
    found = linearise(outputs, wrt, tangents, origins)
    return tuple(_whole(tangent, node.shape) for tangent, node in zip(found, outputs, strict=True))


def vjp(
    outputs: Sequence[Node], wrt: Sequence[Node], cotangents: Sequence[Node | None], origins: Origins | None = None
) -> tuple[Node, ...]:
    """Cotangents of the nodes ``wrt``, where the graph is cut, for cotangents of ``outputs``; ``None`` is zero.

    x_i x_i | , wrt x, cotangent c   ->   2 c x_i | i
    """
    placeholders = [Tensor(f"%tangent{k}", node.shape) for k, node in enumerate(wrt)]
    tangents = linearise(outputs, wrt, placeholders, origins)
    found = transpose(tangents, placeholders, cotangents, origins)
    return tuple(_whole(cotangent, node.shape) for cotangent, node in zip(found, wrt, strict=True))


def _whole(node: Node | None, shape: Shape) -> Node:
    return zeros(shape) if node is None else node


def gradient(output: Node, wrt: Sequence[Node], origins: Origins | None = None) -> tuple[Node, ...]:
    """Gradients of a scalar by each of the nodes ``wrt``, of their shapes."""
    assert output.rank == 0, output
    return vjp((output,), wrt, (literal(1),), origins)


def jacobian(
    output: Node, wrt: Node, layout: Layout = "jacobian", origins: Origins | None = None, *, swapped: bool = False
) -> Node:
    """All partial derivatives: axes of ``output`` then of ``wrt`` (``"jacobian"``), or of ``wrt`` then of ``output``.

    In reverse mode; where ``output`` surely has more entries than ``wrt``, in forward mode; ``swapped`` in the other one.

        A_ij x_j | i, wrt x   ->   δ_ik A_kj | ij
    """
    first = output.rank
    mode = preferred(output, wrt)
    if swapped and output.rank and wrt.rank:
        mode = "forward" if mode == "reverse" else "reverse"
    result = JACOBIANS[mode](output, wrt, origins)
    if layout == "gradient":
        result = permute(result, [*range(first, result.rank), *range(first)])
    return result


def forward_jacobian(output: Node, wrt: Node, origins: Origins | None = None) -> Node:
    """The product with a tangent, for every entry of ``wrt`` at once; axes of ``output`` first."""
    placeholder = Tensor("%direction", wrt.shape)
    (column,) = jvp((output,), (wrt,), (placeholder,), origins)
    (columns,) = batch((column,), {placeholder: identity(wrt.shape)}, wrt.shape)
    return permute(columns, [*range(wrt.rank, columns.rank), *range(wrt.rank)])


def reverse_jacobian(output: Node, wrt: Node, origins: Origins | None = None) -> Node:
    """The product with a cotangent, for every entry of ``output`` at once; axes of ``output`` first."""
    placeholder = Tensor("%cotangent", output.shape)
    (row,) = vjp((output,), (wrt,), (placeholder,), origins)
    return batch((row,), {placeholder: identity(output.shape)}, output.shape)[0]


JACOBIANS: Mapping[str, Callable[[Node, Node, Origins | None], Node]] = {
    "reverse": reverse_jacobian,
    "forward": forward_jacobian,
}
"""A Jacobian in each mode: the same values, at different costs."""


def preferred(output: Node, wrt: Node) -> str:
    """The mode of a Jacobian when nothing is known about costs."""
    return "forward" if _has_fewer_entries(wrt, output) else "reverse"


def _has_fewer_entries(left: Node, right: Node) -> bool:
    """Whether that is certain: named sizes count as unknown."""
    if left.rank == 0:
        return right.rank > 0
    sizes = [[extent.constant for extent in node.shape] for node in (left, right)]
    counts = [math.prod(extent for extent in extents if extent is not None) for extents in sizes]
    return None not in [*sizes[0], *sizes[1]] and counts[0] < counts[1]


def identity(shape: Shape) -> Node:
    """Every basis tensor of ``shape``: (δ_ac δ_bd | abcd)."""
    count = len(shape)
    factors = [(delta(extent), (axis, count + axis)) for axis, extent in enumerate(shape)]
    return einsum(1, factors, range(2 * count))


def hessian(output: Node, first: Node, second: Node | None = None, origins: Origins | None = None) -> Node:
    """Second derivatives of a scalar: axes of ``first``, then of ``second`` (``first`` again when it is not given)."""
    (slope,) = gradient(output, (first,), origins)
    return jacobian(slope, first if second is None else second, origins=origins)


def hessians(output: Node, first: Node, second: Node, origins: Origins | None = None) -> dict[str, Node]:
    """:func:`hessian` by mode: the Jacobian of each gradient in each mode.

    Only the gradient by ``second`` may be cheap, or only that by ``first``: the derivatives commute.
    """
    found = {}
    (slope,) = gradient(output, (first,), origins)
    for mode, differentiate in JACOBIANS.items():
        found[f"{mode} over reverse"] = differentiate(slope, second, origins)
    if second is not first:
        (slope,) = gradient(output, (second,), origins)
        order = [*range(second.rank, second.rank + first.rank), *range(second.rank)]
        for mode, differentiate in JACOBIANS.items():
            found[f"{mode} over reverse, transposed"] = permute(differentiate(slope, first, origins), order)
    return found


def hvp(output: Node, wrt: Node, direction: Node, origins: Origins | None = None) -> Node:
    """The Hessian of a scalar by ``wrt`` times ``direction``: the tangent of the gradient."""
    (slope,) = gradient(output, (wrt,), origins)
    return jvp((slope,), (wrt,), (direction,), origins)[0]


def expand_derivatives(roots: Roots, swapped: bool = False) -> Roots:
    """Replace every ``Derivative`` and ``Differential``, innermost first, in the steps of recurrences too. ``swapped`` takes
    Jacobians in the mode that their sizes do not suggest.

    ∂(u_i u_i | ) / ∂u at A   ->   (2 A_i | i)
    """
    bodies: dict[Body, Body] = {}
    found = False

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        nonlocal found
        new = node if operands == node.operands else node.rebuild(operands)
        if isinstance(new, Recurrence):
            body = new.body
            if body not in bodies:
                results = expand_derivatives(Roots(body.results, roots.origins), swapped).nodes
                bodies[body] = body if results == body.results else Body(body.parameters, results)
            if bodies[body] is not body:
                new = Recurrence(bodies[body], new.length, new.carries, new.xs, new.consts, new.reverse)
        elif isinstance(new, Derivative | Differential):
            found = True
            try:
                new = _expand(new, roots.origins, swapped)
            except UnsupportedError as error:
                raise error.at(roots.origins.get(node, Origin()).span) from None
        return new

    expanded = map_nodes(roots, visit)[0]
    return merge_recurrences(expanded) if found else expanded


def _expand(node: Derivative | Differential, origins: Origins, swapped: bool) -> Node:
    """A derivative whose operands are free of derivatives; the placeholders are replaced last."""
    if isinstance(node, Derivative):
        if node.layout not in ("jacobian", "gradient"):
            raise BracketError(f"no layout {node.layout!r}")
        layout: Layout = "jacobian" if node.layout == "jacobian" else "gradient"
        result = jacobian(node.output, node.wrt, layout, origins, swapped=swapped)
        return substitute((result,), {node.wrt: node.point})[0]
    (result,) = jvp((node.output,), node.wrt, node.tangents, origins)
    return substitute((result,), dict(zip(node.wrt, node.points, strict=True)))[0]
