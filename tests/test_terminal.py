"""Formulas on a terminal: signs of equality below each other, colours where they are wanted."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

import bracketc as bc
from bracketc.cli.terminal import Terminal
from bracketc.errors import display_width

SOURCE = """dim N, D
input X : N, D
param W : D, D
param b : D
Z = tanh(X @ W + 𝟏 b)
J = (Z · Z)
gradient J wrt W, b
"""


def terminal(stream: StringIO, is_terminal: bool) -> Terminal:
    console = Console(file=stream, force_terminal=is_terminal, color_system="standard" if is_terminal else None, width=20)
    return Terminal(console, console)


def test_signs_of_equality_stand_below_each_other() -> None:
    lines = str(bc.derive(SOURCE)).splitlines()[1:]
    assert len(lines) > 2
    assert len({display_width(line.partition(" = ")[0]) for line in lines}) == 1


def test_aligned_formulas_read_back() -> None:
    formulas = [line for line in str(bc.derive(SOURCE)).splitlines() if not line.startswith(("#", "∇"))]
    program = bc.parse(SOURCE + "\n".join(formulas))
    assert len(program.definitions) == 2 + len(formulas)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_colours_are_for_terminals(is_terminal: bool) -> None:
    stream = StringIO()
    terminal(stream, is_terminal).result(Text.assemble(("∇[W](J)", "bold cyan"), " = X^T @ (Z ⊙ C)  # a long line is not cut"))
    assert ("\x1b[" in stream.getvalue()) == is_terminal
    assert stream.getvalue().count("\n") == 1


def test_no_color_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = StringIO()
    terminal(stream, True).result(Text("∇[W](J)", "cyan"))
    assert "\x1b[36m" not in stream.getvalue() and "∇[W](J)" in stream.getvalue()


def test_json_prints_one_object_only() -> None:
    stream = StringIO()
    console = Console(file=stream)
    Terminal(console, console, json=True).result(Text("x"))
    assert stream.getvalue() == ""
