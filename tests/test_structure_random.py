"""Random sums of products of deltas and tensors: what is stored, and how it is used, against the interpreter."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from test_structure import CASES, _check, _source

import bracketc as bc
from bracketc import compiler
from bracketc import structures as classes
from bracketc.emit.structures import constructor
from bracketc.ir.build import add, delta, einsum, tensor
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.rewrite import tensors
from bracketc.options import Options
from bracketc.plan.steps import writes
from bracketc.simplify.structure import Stored, describe

SIZES = {"n": 3, "k": 2}


def _product(rng: random.Random, shape: list[str], depth: int = 0) -> Node:
    """A bracket over the axes of ``shape`` made of deltas between equal axes, tensors over some axes, and smaller sums."""
    rank = len(shape)
    extents = {axis: Dim.named(name) for axis, name in enumerate(shape)}
    factors: list[tuple[Node, tuple[int, ...]]] = []
    for _ in range(rng.randint(0, 3)):
        first, second = rng.randrange(rank), rng.randrange(rank)
        if first != second and shape[first] == shape[second]:
            factors.append((delta(extents[first]), (first, second)))
    for _ in range(rng.randint(0, 3)):
        axes = tuple(rng.randrange(rank) for _ in range(rng.randint(0, 2)))
        if axes and depth < 2 and rng.random() < 0.4:
            inner = tuple(dict.fromkeys(axes))
            factors.append((_sum(rng, [shape[axis] for axis in inner], depth + 1), inner))
        else:
            names = [shape[axis] for axis in axes]
            factors.append((tensor(f"{rng.choice('PQR')}{''.join(names)}", *names), axes))
    return einsum(Fraction(rng.choice((1, -1, 2))), factors, range(rank), extents)


def _sum(rng: random.Random, shape: list[str], depth: int = 0) -> Node:
    return add([_product(rng, shape, depth) for _ in range(rng.randint(1, 2 if depth else 3))])


def _structured(stored: Stored, node: Node, arrays: dict[Tensor, Any]) -> Any:
    """The object that a module would make."""
    found = interpret(stored.nodes, arrays, SIZES)
    names = [f"stored{number}" for number in range(len(found))]
    shape = tuple(extent.evaluate(SIZES) for extent in node.shape)
    text = "\n".join(constructor("result", stored.structure, repr(shape), names))
    space: dict[str, Any] = {**vars(classes), **dict(zip(names, found, strict=True))}
    exec(text, space)
    return space["result"]


@pytest.mark.parametrize("seed", range(300))
def test_what_is_stored_is_the_whole(seed: int) -> None:
    rng = random.Random(seed)
    rows = rng.randint(1, 2)
    half = [rng.choice("nk") for _ in range(rows)]
    shape = [*half, *(half if rng.random() < 0.7 else [rng.choice("nk") for _ in range(rng.randint(1, 2))])]
    node = _sum(rng, shape)
    stored = describe(node, rows)
    if stored is None:
        return
    values = np.random.default_rng(seed)
    arrays = {part: values.uniform(0.5, 1.5, [extent.evaluate(SIZES) for extent in part.shape]) for part in tensors([node])}
    (dense,) = interpret([node], arrays, SIZES)
    _check(_structured(stored, node, arrays), dense, 1e-9)
    assert stored.structure.count == len(stored.nodes)
    assert all(part.rank < node.rank for part in stored.nodes)


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][2]])
def test_nothing_as_large_as_the_dense_array_is_ever_computed(case: str) -> None:
    done = compiler.stages(bc.parse(_source(case)), Options())
    (form,) = next(entry for entry in done.entries if entry.name == "R").forms
    assert form.node is not None
    sizes = done.plan.hints

    def count(shape: tuple[Dim, ...]) -> int:
        return int(np.prod([extent.evaluate(sizes) for extent in shape], dtype=int))

    made = [buffer for step in done.plan.schedule("R").steps for buffer in writes(step)]
    assert max(count(buffer.shape) for buffer in made) < count(form.node.shape)
