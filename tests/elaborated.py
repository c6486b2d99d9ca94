"""Programs of a few lines, elaborated and interpreted."""

from __future__ import annotations

from typing import Any

import numpy as np

from bracketc.calculus.derivatives import expand_derivatives
from bracketc.errors import Source
from bracketc.ir.interpret import interpret
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots
from bracketc.ir.verify import verify
from bracketc.lang.elaborate import elaborate
from bracketc.lang.parser import parse_file

HEAD = """dim I, J, K
input A : I, J
input B : J, K
input S : J, J
input T : I, J, K
input x : J
input y : I
input z : J
input lam : scalar
"""


def program(text: str, head: str = HEAD) -> Program:
    return elaborate(parse_file(Source(head + text, "test.brk")))


def arrays(seed: int = 0) -> dict[str, Any]:
    """Positive arrays for the arguments of ``HEAD``."""
    rng = np.random.default_rng(seed)
    shapes = {"A": (3, 4), "B": (4, 5), "S": (4, 4), "T": (3, 4, 5), "x": (4,), "y": (3,), "z": (4,), "lam": ()}
    return {name: rng.random(shape) + 0.5 for name, shape in shapes.items()}


def value(text: str, given: dict[str, Any] | None = None, head: str = HEAD, name: str = "F") -> Any:
    """The definition ``name`` of a program in the interpreter, every node verified on the way."""
    made = program(text, head)
    verify(node for _, node in made.definitions)
    values = arrays() if given is None else given
    roots = expand_derivatives(Roots((dict(made.definitions)[name],))).nodes
    (result,) = interpret(roots, {tensor: values[tensor.name] for tensor in made.arguments})
    return result
