"""Derivatives are right: forward against reverse, both against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from random_programs import Source, parse, random_program

from bracketc.calculus.derivatives import expand_derivatives, hvp, jvp, vjp
from bracketc.ir.build import einsum
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.rewrite import Roots, tensors
from promises.programs import settle, shrunk_source
from promises.promise import Array, Breach, Promise, Skip, compare, finite


def smooth(seed: int) -> Source:
    """A program without kinks and without ``stop``, whose derivative is another than that of its value."""
    source = random_program(seed, kinks=False)
    return replace(source, statements=tuple(_without_stop(s) for s in source.statements))


def _without_stop(statement: Any) -> Any:
    def visit(expr: Any) -> Any:
        return replace(expr, pattern=expr.pattern.replace("stop(", "("), parts=tuple(map(visit, expr.parts)))

    return statement if statement.body is None else replace(statement, body=visit(statement.body))


def _gradients(source: Source, seed: int) -> int:
    program = parse(source)
    case = settle(program, seed)
    sizes, arrays = case.sizes, case.arrays
    (root,) = expand_derivatives(Roots((dict(program.definitions)["J"],))).nodes
    leaves = tensors((root,))
    rng = np.random.default_rng(seed)
    ways = [Tensor(f"way {leaf.name}", leaf.shape) for leaf in leaves]
    values: dict[Tensor, Any] = {leaf: arrays[leaf.name] for leaf in leaves}
    values |= {way: rng.normal(size=arrays[leaf.name].shape) for leaf, way in zip(leaves, ways, strict=True)}
    if not leaves:
        raise Skip("a constant")
    bar = Tensor("bar", ())
    values[bar] = np.array(1.0)
    (along,), slopes = jvp([root], leaves, ways), vjp([root], leaves, [bar])
    turned = [_dot(slope, way) for slope, way in zip(slopes, ways, strict=True)]
    second = hvp(root, leaves[0], ways[0])

    def at(step: float, nodes: Sequence[Node], moved: Sequence[Tensor]) -> list[Array]:
        shift = {leaf: values[leaf] + step * values[way] for leaf, way in zip(leaves, ways, strict=True) if leaf in moved}
        return interpret(nodes, {**values, **shift}, sizes)

    with np.errstate(all="ignore"):
        forward, *reverse, curve = at(0.0, [along, *turned, second], ())
        if not finite([forward, curve, *reverse]):
            raise Skip("no finite answer")
        total = np.asarray(sum(reverse))
        compare(f"jvp against vjp at {sizes}", forward, total)
        _differences(f"directional derivative at {sizes}", forward, lambda h: at(h, [root], leaves)[0])
        _differences(f"hvp by {leaves[0].name} at {sizes}", curve, lambda h: at(h, [slopes[0]], leaves[:1])[0])
    return 3


def _dot(left: Node, right: Node) -> Node:
    return einsum(1, [(left, range(left.rank)), (right, range(right.rank))], [])


def _differences(what: str, derivative: Array, value: Callable[[float], Array]) -> None:
    """Central differences with two steps, extrapolated (L. F. Richardson, 1911): (4 D(h/2) - D(h)) / 3 = f' + O(h⁴).

    The two differences also tell how far they can be trusted: what they do not agree about is the error that is allowed.
    """
    h = 2e-4
    wide, narrow = ((value(s) - value(-s)) / (2 * s) for s in (h, h / 2))
    scale = max(1.0, float(np.abs(value(0.0)).max(initial=0)), float(np.abs(derivative).max(initial=0)))
    spread = float(np.abs(wide - narrow).max(initial=0))
    if not np.isfinite(spread) or spread > 1e-3 * scale:
        raise Skip("no difference to trust")
    best = (4 * narrow - wide) / 3
    if not np.abs(best - derivative).max(initial=0) <= 1e-7 * scale + spread:
        raise Breach(f"{what}: derivative\n{derivative}\ndifferences\n{best}")


def gradients(seed: int) -> int:
    return _gradients(smooth(seed), seed)


PROMISES = (
    Promise(
        "gradients", "derivatives are right",
        "random smooth programs: jvp against vjp, both against central differences, hvp against differences of gradients",
        gradients, shrunk_source(_gradients, smooth), 20_000, "derivatives",
    ),
)  # fmt: skip
