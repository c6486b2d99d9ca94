"""Small sources that stand for much end in a program, or in a message with the limit and the option that raises it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import bombs

import bracketc as bc
from bracketc.cli import main

SCALES = {
    "parentheses": 900, "brackets in brackets": 200, "gradients in gradients": 300, "signs": 400, "transposes": 400,
    "outer product": 200, "space": 400, "labels of a result": 80, "summed labels": 100, "matrix chain by labels": 70,
    "axes of an argument": 300, "axes of ones": 400, "large positions": 400, "large index": 300, "extent": 300,
    "symmetric network": 60, "product of extents": 30, "hint": 250, "polynomial of sizes": 50, "power of a size": 3000,
    "result of known size": 60, "identity": 10**18, "dense derivative": 10**9, "digits": 390, "exponent": 10**18,
    "power of numbers": 10**18, "powers of powers": 40, "doubled rank": 40, "flops": 10**9, "cubes of a hint": 10**9,
    "jacobian tower": 40, "layers": 10**12, "members": 10**18, "sum over numbers": 10**15, "steps": 10**18, "offset": 10**15,
    "combining marks": 400, "mistakes": 150, "unknown names": 60, "a circle": 100, "invisible characters": 500, "commas": 900,
    "primes": 900,
}  # fmt: skip
"""Families and scales that take little time; the campaign tries all."""

FAMILIES = {family.name: family for family in bombs.FAMILIES}


@pytest.mark.parametrize("name", SCALES)
def test_a_small_source_ends_in_a_program_or_in_a_limit_with_its_option(name: str) -> None:
    found = bombs.ending(FAMILIES[name].make(SCALES[name]))
    assert found.kind in ("program", "LimitError", "SourceError", "UnsupportedError"), found.message
    if found.kind == "LimitError":
        assert "option" in found.message and ("raise the limit" in found.message or "raises the limit" in found.message)


SOURCES = {
    "max_axes": ("dim N\nparam x : N\ny = x x x x", 4, 3, "a tensor of 4 axes; 3 are the most"),
    "max_operands": ("dim N\nparam x : N\ny = (x_i x_i x_i x_i | i)", 4, 3, "a bracket of 4 factors; 3 are the most"),
    "max_work": (
        "dim N\nparam x : N\nfunction f(a) = tanh(a) sin(a)\ny = f" + 14 * "'" + "(x)",
        10**7,
        1,
        "this takes more than 1 steps of work",
    ),
}


@pytest.mark.parametrize("option", SOURCES)
def test_each_limit_is_raised_by_its_option(option: str) -> None:
    text, enough, little, message = SOURCES[option]
    given: dict[str, Any] = {option: enough}
    bc.compile(text, backend="numpy", **given)
    given[option] = little
    with pytest.raises(bc.LimitError) as caught:
        bc.compile(text, backend="numpy", **given)
    assert message in str(caught.value) and f"by the option {option}" in str(caught.value)


def test_derivatives_of_derivatives_meet_the_limit_on_work() -> None:
    source = FAMILIES["recurring hessians"].make(30)
    with pytest.raises(bc.LimitError, match=r"for each expression of the program(.|\n)*max_work"):
        bc.compile(source, backend="numpy", max_work=10_000)


def test_a_long_program_may_take_long() -> None:
    """What is allowed grows with the program: 30 definitions with their gradient take more than the little that is set here."""
    bc.compile(FAMILIES["tanh of twice itself"].make(30), backend="numpy", max_work=100)


def test_a_limit_ends_a_command_with_status_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.brk"
    path.write_text(FAMILIES["outer product"].make(40), encoding="utf-8")
    assert main(["build", str(path), "-o", str(tmp_path / "out"), "--backend", "numpy"]) == 4
    assert "max_axes" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_figures_of_any_size_are_told() -> None:
    with pytest.raises(bc.LimitError, match=r"would take 2e\+612 flops"):
        bc.compile("dim N = 1000000000000\nparam x : " + ", ".join(["N"] * 51) + "\nJ = x · x", backend="numpy", max_axes=60)
    with pytest.raises(bc.LimitError, match=r"would take 2e\+360 flops"):
        bc.compile("dim N = 1000000000000\nparam x : " + ", ".join(["N"] * 30) + "\nJ = x · x", backend="numpy")
