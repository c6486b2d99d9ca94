"""Derivatives are right: forward against reverse, both against differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from random_programs import Source, random_program

import bracketc as bc
from bracketc.calculus.derivatives import expand_derivatives, hvp, jvp, vjp
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Tensor
from bracketc.ir.rewrite import Roots, tensors
from promises.complex_steps import complex_steps
from promises.programs import parse, settle, shrunk_source
from promises.promise import Array, Breach, Counted, Promise, Skip, compare, finite
from promises.requested import requested


def program(seed: int) -> Source:
    """A random program, every other one without kinks."""
    return random_program(seed, kinks=seed % 2 == 1)


def check(source: Source, seed: int) -> Counted:
    """First derivatives forward, in reverse and requested, against complex steps, second ones against those of the first."""
    case = settle(parse(source), seed)
    sizes = case.sizes
    (root,) = expand_derivatives(Roots((dict(case.program.definitions)["J"],))).nodes
    leaves = tuple(leaf for leaf in tensors((root,)) if leaf.dtype == "real")
    if not leaves:
        raise Skip("a constant")
    rng = np.random.default_rng(seed)
    values: dict[Tensor, Array] = {node: case.arrays[node.name] for node in tensors((root,))}
    ways = {leaf: Tensor(f"way {leaf.name}", leaf.shape) for leaf in leaves}
    moves: dict[Tensor, Array] = {leaf: np.asarray(rng.normal(size=values[leaf].shape)) for leaf in leaves}
    bar = Tensor("bar", ())
    given = {**values, **{ways[leaf]: moves[leaf] for leaf in leaves}, bar: np.array(1.0)}
    try:
        second = hvp(root, leaves[0], ways[leaves[0]])
    except bc.UnsupportedError as error:
        if "trigamma" in str(error):
            raise Skip("lgamma has two derivatives") from None
        raise
    (along,), slopes = jvp([root], leaves, [*ways.values()]), vjp([root], leaves, [bar])
    with np.errstate(all="ignore"):
        forward, curve, *reverse = interpret([along, second, *slopes], given, sizes)
        if not finite([forward, curve, *reverse]):
            raise Skip("no finite derivative")
        total = np.asarray(sum(float((slope * moves[leaf]).sum()) for slope, leaf in zip(reverse, leaves, strict=True)))
        compare(f"jvp against vjp at {sizes}", forward, total)
        (exact,) = complex_steps([root], values, moves, sizes)
        _agree(
            f"directional derivative at {sizes}", forward, exact, lambda h: interpret([root], _moved(values, moves, h), sizes)[0]
        )
        around = {**values, bar: np.array(1.0)}
        moving = {leaves[0]: moves[leaves[0]]}
        (bent,) = complex_steps(slopes[:1], around, moving, sizes)
        _agree(
            f"hvp by {leaves[0].name} at {sizes}", curve, bent, lambda h: interpret(slopes[:1], _moved(around, moving, h), sizes)[0]
        )
        asked = sum(requested(case, entry, rng) for entry in case.entries)
    return Counted(3 + asked, {"of them asked for": asked})


def _moved(values: Mapping[Tensor, Array], moves: Mapping[Tensor, Array], step: float) -> dict[Tensor, Any]:
    return {**values, **{leaf: values[leaf] + step * way for leaf, way in moves.items()}}


def _agree(what: str, derivative: Array, exact: Array, value: Callable[[float], Array]) -> None:
    """Against the complex step, or central differences where there is none."""
    if finite([exact]):
        compare(what, derivative, exact)
        return
    _differences(what, derivative, value)


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


def gradients(seed: int) -> Counted:
    return check(program(seed), seed)


PROMISES = (
    Promise(
        "gradients", "derivatives are right",
        "random programs, every other one with kinks, which are kept at a distance: jvp against vjp and complex steps, hvp and"
        " every derivative that is asked for, Jacobians in all layouts and Hessians among them, against complex steps",
        gradients, shrunk_source(check, program), 20_000, "derivatives",
    ),
)  # fmt: skip
