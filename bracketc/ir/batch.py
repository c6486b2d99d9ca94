"""Mapping a graph over new leading axes: one rule a node kind, no loop and no copy of the graph for each entry.

    (A_ij x_j | i)  batched over x -> X, extents (N,)   ->   (A_ij X_nj | ni)

Elaboration maps functions of tensors with it (``s^1(A)``), ``calculus`` makes Jacobians of vector-Jacobian products,
and simplification moves work out of recurrences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bracketc.errors import UnsupportedError
from bracketc.ir.build import broadcast, einsum, permute, zeros
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Body,
    Compare,
    Delta,
    Derivative,
    Differential,
    Einsum,
    Gather,
    Linalg,
    Node,
    Overlap,
    Pointwise,
    Project,
    Recurrence,
    Reduce,
    Scatter,
    Select,
    Shape,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.rewrite import Roots, depends_on, map_nodes
from bracketc.ir.work import spend


def batch(roots: tuple[Node, ...], replaced: Mapping[Node, Node], extents: Shape) -> tuple[Node, ...]:
    """``roots`` with each key of ``replaced`` standing for every one of its values along new leading axes.

    A value has the shape ``(*extents, *key.shape)`` and the dtype of its key; the results have shapes
    ``(*extents, *root.shape)``, and are constant along ``extents`` where a root depends on no key.

        batch(((x_i y_i | ),), {x: X}, (N,))   ->   ((X_ni y_i | n),)
    """
    nodes, batched = _batch(roots, replaced, extents)
    return tuple(node if flag else spread(node, extents) for node, flag in zip(nodes, batched, strict=True))


def spread(node: Node, extents: Shape) -> Node:
    """``node`` repeated along new leading axes ``extents``; keeps the dtype.

    (A_i | i)  ->  (A_i | ni)
    """
    if not extents:
        return node
    count = len(extents)
    if node.dtype == "real":
        return broadcast(node, (*extents, *node.shape), range(count, count + node.rank))
    if isinstance(node, Compare):
        return Compare(node.operator, spread(node.left, extents), spread(node.right, extents))
    if node.dtype == "boolean":
        return _as_boolean(broadcast(node, (*extents, *node.shape), range(count, count + node.rank)))
    if node.rank == 0:
        return Window(Stack((node,)), 0, Dim.of(0), (0,) * count, extents)
    # Integers cannot stand in a bracket; a window with steps of 0 repeats its axis.
    return Window(node, 0, Dim.of(0), (*(0,) * count, 1), (*extents, node.shape[0]))


Flags = bool | tuple[bool, ...]
"""Whether a node has the new axes; of a recurrence, whether each of its results has them."""


class _Walk:
    """What the rules of one call share: the new axes, the replaced nodes, and which nodes have the new axes."""

    __slots__ = ("batched", "extents", "replaced")

    def __init__(self, replaced: Mapping[Node, Node], extents: Shape) -> None:
        self.replaced = replaced
        self.extents = extents
        self.batched: dict[Node, Flags] = dict.fromkeys(replaced, True)

    def visit(self, node: Node, operands: tuple[Node, ...]) -> Node:
        spend(4)  # what stands in derivatives of derivatives is walked over once for each of them
        flags = [self.batched[operand] for operand in node.operands]
        if not any(any(flag) if isinstance(flag, tuple) else flag for flag in flags):
            self.batched[node] = False
            return node if operands == node.operands else node.rebuild(operands)
        self.batched[node] = True
        rule = _RULES.get(type(node))
        if rule is None:
            raise UnsupportedError(f"{node!r} cannot be mapped over further axes")
        return rule(self, node, operands, flags)

    def full(self, operands: Sequence[Node], flags: Sequence[Flags]) -> tuple[Node, ...]:
        """Operands that all have the new axes."""
        return tuple(x if flag else spread(x, self.extents) for x, flag in zip(operands, flags, strict=True))

    def labels(self) -> tuple[tuple[str, int], ...]:
        """Labels of the new axes, apart from the integers of any bracket."""
        return tuple(("batch", axis) for axis in range(len(self.extents)))


def _batch(
    roots: tuple[Node, ...], replaced: Mapping[Node, Node], extents: Shape
) -> tuple[tuple[Node, ...], tuple[bool, ...]]:
    """New roots, and which of them have the new axes: one that depends on no key is returned as it is."""
    for key, value in replaced.items():
        assert value.shape == (*extents, *key.shape) and value.dtype == key.dtype, (key, value)
    walk = _Walk(replaced, extents)
    nodes = map_nodes(Roots(roots), walk.visit, replaced)[0].nodes
    return nodes, tuple(bool(walk.batched[root]) for root in roots)


def _as_boolean(node: Node) -> Node:
    return Compare("!=", node, zeros(node.shape))


def _permute(node: Node, order: Sequence[int]) -> Node:
    """Axes in another order, for truth values too; integers have no node for it."""
    if tuple(order) == tuple(range(node.rank)):
        return node
    if node.dtype == "boolean":
        return _as_boolean(permute(node, order))
    if node.dtype == "integer":
        raise UnsupportedError(f"the integers {node!r} cannot be mapped over further axes here")
    return permute(node, order)


def _move(node: Node, first: int, count: int, to: int) -> Node:
    """Axes ``first .. first + count - 1`` moved so that they begin at axis ``to`` of the result."""
    moved = list(range(first, first + count))
    rest = [axis for axis in range(node.rank) if axis not in moved]
    return _permute(node, [*rest[:to], *moved, *rest[to:]])


# --------------------------------------------------------------------------------------------------- rules
def _einsum(walk: _Walk, node: Einsum, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    new = walk.labels()
    factors = [
        (operand, (*new, *labels) if flag else labels)
        for operand, flag, (_, labels) in zip(operands, flags, node.factors, strict=True)
    ]
    sizes: dict[Any, Dim] = dict(enumerate(node.extents)) | dict(zip(new, walk.extents, strict=True))
    return einsum(node.coefficient, factors, (*new, *node.output), sizes)


def _aligned(walk: _Walk, node: Node, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    """Node kinds whose operands have one shape."""
    return node.rebuild(walk.full(operands, flags))


def _reduce(walk: _Walk, node: Reduce, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    return Reduce(node.operator, operands[0], tuple(axis + len(walk.extents) for axis in node.axes))


def _window(walk: _Walk, node: Window, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    return Window(operands[0], node.axis + len(walk.extents), node.offset, node.steps, node.extents)


def _overlap(walk: _Walk, node: Overlap, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    return Overlap(operands[0], node.axis + len(walk.extents), node.offset, node.steps, node.extent)


def _gather(walk: _Walk, node: Gather, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    arg, index = operands
    count, width = len(walk.extents), node.index.rank
    if not flags[0]:
        return Gather(arg, index)
    gathered = Gather(_move(arg, 0, count, 1), index)
    if not flags[1]:
        return _move(gathered, width, count, 0)
    # Rows of every entry for the labels of every entry; those of its own are the diagonal.
    new, inner = walk.labels(), [("index", axis) for axis in range(width)]
    rest = [("rest", axis) for axis in range(node.arg.rank - 1)]
    if node.dtype != "real":
        raise UnsupportedError(f"{node!r}: integers cannot be gathered by labels that both depend on a mapped axis")
    return einsum(1, [(gathered, (*new, *inner, *new, *rest))], (*new, *inner, *rest))


def _scatter(walk: _Walk, node: Scatter, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    arg, index = operands
    count, width = len(walk.extents), node.index.rank
    if not flags[1]:
        return _move(Scatter(_move(arg, 0, count, width), index, node.extent), 1, count, 0)
    # Every entry scatters into rows of its own: a delta keeps the others empty.
    new = walk.labels()
    own = [("own", axis) for axis in range(count)]
    inner = [("index", axis) for axis in range(width)]
    rest = [("rest", axis) for axis in range(node.arg.rank - width)]
    deltas: list[tuple[Node, Any]] = [
        (Delta(extent), (left, right)) for extent, left, right in zip(walk.extents, new, own, strict=True)
    ]
    spread_out = einsum(
        1,
        [*deltas, (arg, (*(new if flags[0] else ()), *inner, *rest))],
        (*new, *inner, *own, *rest),
    )
    return _move(Scatter(spread_out, index, node.extent), 1, count, 0)


def _stack(walk: _Walk, node: Stack, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    return _move(Stack(walk.full(operands, flags)), 1, len(walk.extents), 0)


def _linalg(walk: _Walk, node: Linalg, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    return Linalg(node.operator, tuple(walk.full(operands, flags)))


def _recurrence(walk: _Walk, node: Recurrence, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    body, extents, count = node.body, walk.extents, len(walk.extents)
    carries, stacked = len(node.carries), len(node.carries) + len(node.xs)
    mapped = [bool(flag) for flag in flags]
    while True:  # a state has the new axes also when a step puts something that has them into it
        tainted = depends_on(body.results, [p for p, flag in zip(body.parameters, mapped, strict=True) if flag])
        grown = [*(flag or result in tainted for flag, result in zip(mapped, body.results[:carries], strict=False))]
        if grown == mapped[:carries]:
            break
        mapped[:carries] = grown
    parameters = tuple(
        Tensor(p.name, (*extents, *p.extents), p.kind, (), p.bound) if flag else p
        for p, flag in zip(body.parameters, mapped, strict=True)
    )
    values: dict[Node, Node] = {
        old: new for old, new, flag in zip(body.parameters, parameters, mapped, strict=True) if flag
    }
    results, found = _batch(body.results, values, extents)
    wanted = (*mapped[:carries], *found[carries:])
    results = tuple(
        spread(result, extents) if want and not has else result
        for result, want, has in zip(results, wanted, found, strict=True)
    )
    given = []
    for position, (operand, flag, want) in enumerate(zip(operands, flags, mapped, strict=True)):
        if want and not flag:
            operand = spread(operand, extents)
        given.append(_move(operand, 0, count, 1) if want and carries <= position < stacked else operand)
    walk.batched[node] = wanted
    return Recurrence(
        Body(parameters, results),
        node.length,
        tuple(given[:carries]),
        tuple(given[carries:stacked]),
        tuple(given[stacked:]),
        node.reverse,
    )


def _project(walk: _Walk, node: Project, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    (flag,) = flags
    (arg,) = operands
    assert isinstance(flag, tuple) and isinstance(arg, Recurrence)
    walk.batched[node] = flag[node.index]
    result = Project(arg, node.index)
    if not flag[node.index] or node.index < len(arg.carries):
        return result
    return _move(result, 1, len(walk.extents), 0)


def _bound(walk: _Walk, wrt: Tensor) -> Tensor:
    """A placeholder with the new axes; its name tells it from every one that elaboration makes."""
    name = f"{wrt.name}[{','.join(map(str, walk.extents))}]"
    return Tensor(name, (*walk.extents, *wrt.extents), wrt.kind)


def _derivative(walk: _Walk, node: Derivative, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    count = len(walk.extents)
    output, point = operands
    before = 0 if node.layout == "jacobian" else node.wrt.rank
    if not flags[1]:  # one point for all: further axes of the output
        return _move(Derivative(output, node.wrt, point, node.layout), before, count, 0)
    wrt = _bound(walk, node.wrt)
    (output,), (has,) = _batch((node.output,), {**walk.replaced, node.wrt: wrt}, walk.extents)
    if not has:
        walk.batched[node] = False
        return zeros(node.shape)
    # Entry n of the output depends on entry n of the point alone, so the sum over the outputs has the same derivative.
    kept = range(count, output.rank)
    whole = einsum(1, [(output, range(output.rank))], kept)
    result = Derivative(whole, wrt, point, node.layout)
    return _move(result, 0 if node.layout != "jacobian" else node.output.rank, count, 0)


def _differential(walk: _Walk, node: Differential, operands: tuple[Node, ...], flags: Sequence[Flags]) -> Node:
    count = len(node.wrt)
    if not any(flags[1:]):
        return node.rebuild(operands)
    wrt = tuple(_bound(walk, placeholder) for placeholder in node.wrt)
    replaced = dict(walk.replaced)
    replaced.update(zip(node.wrt, wrt, strict=True))
    (output,), (has,) = _batch((node.output,), replaced, walk.extents)
    if not has:
        walk.batched[node] = False
        return zeros(node.shape)
    given = walk.full(operands[1:], flags[1:])
    return Differential(output, wrt, given[:count], given[count:])


_RULES: dict[type[Node], Callable[[_Walk, Any, tuple[Node, ...], Sequence[Flags]], Node]] = {
    Einsum: _einsum,
    Add: _aligned,
    Pointwise: _aligned,
    Compare: _aligned,
    Select: _aligned,
    Reduce: _reduce,
    Window: _window,
    Overlap: _overlap,
    Gather: _gather,
    Scatter: _scatter,
    Stack: _stack,
    Linalg: _linalg,
    Recurrence: _recurrence,
    Project: _project,
    Derivative: _derivative,
    Differential: _differential,
}
