"""Random source programs: the emitted NumPy computes what the interpreter of the unsimplified program does, value and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from random_programs import Expr, Source, Statement, random_program, shrink

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.ir.interpret import interpret
from bracketc.ir.program import Program

Array = np.ndarray[Any, Any]
SEEDS = range(60)
TOLERANCE = 1e-8


def arrays_of(program: Program, sizes: dict[str, int], seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {n: 0.5 * rng.normal(size=[d.evaluate(sizes) for d in spec.shape]) for n, spec in program.inputs.items()}


def expected(program: Program, arrays: dict[str, Array], sizes: dict[str, int]) -> dict[str, dict[str, Array]]:
    """Results of ``evaluate`` and ``value_and_grad`` before any simplification."""
    found = {}
    for entry in entries(program):
        if entry.name in ("evaluate", "value_and_grad"):
            values = {argument: arrays[argument.name] for argument in entry.arguments}
            results = interpret([node for _, node in entry.results], values, sizes)
            found[entry.name] = dict(zip((name for name, _ in entry.results), results, strict=True))
    return found


def assert_same(source: Source, seed: int) -> None:
    program = bc.parse(source.text)
    rng = np.random.default_rng(seed)
    sizes = {name: int(rng.integers(1, 5)) for name in "NMKT"}
    arrays = arrays_of(program, sizes, seed)
    with np.errstate(all="ignore"):
        oracle = expected(program, arrays, sizes)
        module = bc.compile(program, backend="numpy", sizes=sizes)
        value, gradients = module.value_and_grad(**arrays)
        found = {"evaluate": module.evaluate(**arrays)._asdict(), "value_and_grad": {"J": value, **gradients._asdict()}}
    for entry, results in oracle.items():
        for name, array in results.items():
            scale = max(1.0, float(np.abs(array).max(initial=0)))
            np.testing.assert_allclose(found[entry][name], array, rtol=0, atol=TOLERANCE * scale, err_msg=f"{name}\n{source.text}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_means_the_same_compiled(seed: int) -> None:
    source = random_program(seed)
    if source.wrt:
        assert_same(source, seed)


def test_shrinking_keeps_the_failure_and_little_else() -> None:
    source = random_program(7)
    target = source.statements[-1].body
    assert target is not None
    grown = Expr((), "(({}) + tan(({})))", (target, Expr((), "sum((𝟏⟨N⟩ + 𝟏⟨N⟩))")))
    planted = Source((*source.statements[:-1], Statement("J", grown)), source.wrt)
    found = shrink(planted, lambda candidate: "tan((" in candidate.text)
    assert "tan((" in found.text and len(found.text) < len(planted.text) / 2
