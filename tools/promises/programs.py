"""Random programs as promises use them: with sizes and arguments, as one text, made small."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from random_programs import Source, random_program, shrink

import bracketc as bc
from bracketc.ir.program import Program
from promises.promise import Array, Skip

EXTENTS = (0, 1, 1, 2, 3, 4)


def draw(program: Program, seed: int) -> tuple[dict[str, int], dict[str, Array]]:
    """Sizes, 0 and 1 among them, and arguments."""
    rng = np.random.default_rng(seed)
    sizes = {name: int(rng.choice(EXTENTS)) for name in "NMK"} | {"T": int(rng.choice(EXTENTS[1:]))}
    arrays = {n: 0.5 * rng.normal(size=[d.evaluate(sizes) for d in spec.shape]) for n, spec in program.inputs.items()}
    return sizes, arrays


NAME = re.compile(r"(?<!\w)([XYAuvxsDR])(\d+)(?!\d)")


def joined(first: int, count: int) -> str:
    """Random programs as one, their names made distinct: the results are J0, J1, … and the gradients grad0, grad1, …"""
    lines = ["dim N, M, K, T", "function f(a) = tanh(a) + 0.5 a", "function g(a) = sigmoid(a) ⊙ a"]
    for k in range(count):
        source = random_program(first + k)
        text = "\n".join(statement.text for statement in source.statements[3:])
        text += f"\ngradient J wrt {', '.join(source.wrt)} as grad{k}" if source.wrt else ""
        text = NAME.sub(lambda name, k=k: f"{name[1]}{1000 * (k + 1) + int(name[2])}", text)  # type: ignore[misc]
        lines.append(re.sub(r"(?<!\w)J(?!\w)", f"J{k}", text))
    return "\n".join(lines) + "\n"


def shrunk_source(check: Callable[[Source, int], int], make: Callable[[int], Source]) -> Callable[[int], str]:
    """The smallest program of a seed that still breaks the promise; the program as it is where it holds."""

    def fails(source: Source, seed: int) -> bool:
        try:
            check(source, seed)
        except (Skip, bc.BracketError):
            return False
        except Exception:
            return True
        return False

    def text(seed: int) -> str:
        source = make(seed)
        return (shrink(source, lambda candidate: fails(candidate, seed)) if fails(source, seed) else source).text

    return text
