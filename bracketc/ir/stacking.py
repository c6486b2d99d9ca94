"""Neighbouring axes merged into one."""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node, Range


def merged(node: Node, axis: int, count: int, first_fastest: bool = False) -> Node:
    """Axes ``axis … axis + count - 1`` as one, the last of them running fastest, or the first.

    Entry ``J i + j`` of the result is ``A_ij``, counted from 0; with ``first_fastest``, columns on top of each other,
    entry ``i + I j``. One overlap says it when all strides are numbers, otherwise a condition on the positions.
    """
    sizes = node.shape[axis : axis + count]
    if not count:
        shape = (*node.shape[:axis], Dim.of(1), *node.shape[axis:])
        return build.broadcast(node, shape, [a for a in range(len(shape)) if a != axis])
    strides = _strides(sizes) if first_fastest else _strides(sizes[::-1])[::-1]
    extent = Dim.of(1)
    for size in sizes:
        extent = extent * size
    steps = [stride.constant for stride in strides]
    if None in steps:
        return _placed(node, axis, strides, extent)
    return build.overlap(node, axis, 0, [step for step in steps if step is not None], extent)


def _strides(sizes: Sequence[Dim]) -> list[Dim]:
    strides = [Dim.of(1)]
    for size in sizes[:-1]:
        strides.append(strides[-1] * size)
    return strides


def _placed(node: Node, axis: int, strides: Sequence[Dim], extent: Dim) -> Node:
    """``(A_ij [p = 1 + I (i - 1) + (j - 1)] | p)``."""
    sizes = node.shape[axis : axis + len(strides)]
    whole = (extent, *sizes)
    terms = [build.fill(1, whole)]
    for label, (size, stride) in enumerate(zip(sizes, strides, strict=True), 1):
        counted = build.add([Range(size), build.fill(-1, (size,))])
        terms.append(
            build.einsum(1, [(counted, (label,)), (build.size(stride), ())], range(len(whole)), dict(enumerate(whole)))
        )
    here = build.compare("==", build.broadcast(Range(extent), whole, (0,)), build.add(terms))
    labels = [f"l{a}" for a in range(node.rank)]
    inner = labels[axis : axis + len(strides)]
    out = [*labels[:axis], "p", *labels[axis + len(strides) :]]
    return build.einsum(1, [(node, labels), (here, ("p", *inner))], out)
