"""Integer arguments: rows that they select, and numbers that they are elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from elaborated import program
from modelcases import BACKENDS

import bracketc as bc
from bracketc.errors import ArgumentError, SourceError

RNG = np.random.default_rng(0)
HEAD = """
dim V, B, D, C = 4
input E : V, D
input x : B
input y : B integer in C
input ids : B, D integer in V
input pick : C integer in B
"""
V, B, D, C = 5, 6, 3, 4
E, x, y = RNG.normal(size=(V, D)), RNG.normal(size=B), np.array([0, 3, 3, 1, 2, 0])
ids, pick = RNG.integers(V, size=(B, D)), np.array([5, 0, 0, 2])
COLUMNS = np.arange(D)

W = np.outer(x, y)
VALUES = {
    "product": ("(x_i y_i | )", x @ y),
    "function": ("x · exp(y)", x @ np.exp(y)),
    "comparison": ("(where(y[i] == 2, x_i, 0) | i)", np.where(y == 2, x, 0)),
    "onehot": ("(where(y_i + 1 == c, G_ic, 0) | ic) where G = 𝟏⟨B,C⟩", np.eye(C)[y]),
    "behind": ("W[·, pick] where W = x y", W[:, pick]),
    "beside": ("W[2, pick] where W = x y", W[1, pick]),
    "twice": ("(x[pick[c]] y[pick[c]] | c)", x[pick] * y[pick]),
    "nested": ("(x[pick[y[b]]] | b)", x[pick[y]]),
    "labelled": ("(E[ids[b,d], d] | bd)", E[ids, COLUMNS]),
}
STEPS = "\nsteps[t] = E[ids[·,t]] for t = 1..D\noutput steps, "
PROGRAM = HEAD + "\n".join(f"{name} = {text}" for name, (text, _) in VALUES.items()) + STEPS + ", ".join(VALUES)


@pytest.mark.parametrize("backend", BACKENDS)
def test_integers_as_numbers_and_as_indices(backend: str) -> None:
    found = bc.compile(PROGRAM, backend=backend).evaluate(E, x, y, ids, pick)
    for name, (_, wanted) in VALUES.items():
        np.testing.assert_allclose(getattr(found, name), wanted, err_msg=name)
    np.testing.assert_allclose(found.steps, np.swapaxes(E[ids], 0, 1))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("text", ["F = (x_i y_i | )", "F = (where(y[i] == 2, x_i, 0) | i)"])
def test_a_number_out_of_range_is_named_where_it_is_no_index(text: str, backend: str) -> None:
    module = bc.compile(f"dim B\ninput x : B\ninput y : B integer in 4\n{text}", backend=backend)
    with pytest.raises(ArgumentError, match=r"\by\b"):
        module.evaluate(x, np.array([0, 3, 4, 1, 2, 0]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_that_are_selected_twice_add_their_gradients(backend: str) -> None:
    text = "dim V, B, D\nparam E : V, D\ninput ids : B integer in V\nJ = (1/2) norm2(E[ids])\ngradient J wrt E"
    rows = np.array([0, 3, 3, 1])
    gradient = bc.compile(text, backend=backend).value_and_grad(E, rows)[1].E
    np.testing.assert_allclose(gradient, np.bincount(rows, minlength=V)[:, None] * E)


def test_two_integer_tensors_in_one_index_need_labels() -> None:
    with pytest.raises(SourceError, match="labels say which entries belong together"):
        program("F = E[pick, y]", HEAD)
