"""Long files, deep expressions and many layers go through elaboration."""

from __future__ import annotations

import pytest
from elaborated import program

HEAD = "dim N, K\ninput X : N, K\nparam W : K, K\nparam b : K\n"


@pytest.mark.parametrize("backwards", [False, True])
def test_thousands_of_definitions_in_either_order(backwards: bool) -> None:
    lines = ["A0 = X", *(f"A{k + 1} = tanh(A{k} @ W + 𝟏 b)" for k in range(3_000))]
    made = program("\n".join(reversed(lines) if backwards else lines) + "\noutput A3000", HEAD)
    assert [str(extent) for extent in made.results[0][1].shape] == ["N", "K"]


def test_a_thousand_layers() -> None:
    text = """dim L = 1000
param V[j] : K, K for j = 1..L
Z[0] = X
Z[j] = tanh(Z[j-1] @ V[j]) for j = 1..L
F = Z[L] · Z[L]
gradient F wrt V
"""
    assert len(program(text, HEAD).requests[0].wrt) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "F = " + "(" * 190 + "X" + ")" * 190,
        "F = " + "exp(" * 190 + "X" + ")" * 190,
        "F = " + "[" * 90 + "X" + "]" * 90,
        "F_nk = " + "(1 + " * 90 + "X_nk" + ")" * 90,
        "F = " + " + ".join(["X @ W"] * 5_000),
        "F_nk = " + " + ".join(["X_nj W_jk"] * 5_000),
    ],
    ids=["parentheses", "calls", "fusions", "labelled", "sum", "labelled sum"],
)
def test_deep_and_wide_expressions(text: str) -> None:
    assert len(program(text, HEAD).results) == 1
