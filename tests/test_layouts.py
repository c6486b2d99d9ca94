"""Layouts of Jacobians: the same numbers in the places where the literature has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc.calculus.layouts import NAMED, arrangement
from bracketc.lang.words import LAYOUTS

RANKS = """
input P : 3, 4
input Q : 2, 5
param s : scalar
param x : 4
param X : 4, 5
y = tanh(P @ x) exp(s)
Y = (sin(x_a X_ab) Q_cb x_d | cd)
f = s ln(1 + x · x) + norm2(X)
K = exp(s) X
"""
"""Outputs and inputs of every rank: f scalar, y a vector, Y and K matrices."""
SHAPES = {"P": (3, 4), "Q": (2, 5), "s": (), "x": (4,), "X": (4, 5)}
RANK = {"f": 0, "y": 1, "Y": 2, "K": 2}


def jacobian(output: str, by: str, layout: str = "jacobian") -> np.ndarray:
    module = bc.compile(f"{RANKS}\njacobian {output} wrt {by} layout {layout} as D", backend="numpy")
    rng = np.random.default_rng(3)
    given = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    return np.asarray(module.D(**{name: given[name] for name in module.SIGNATURE["functions"]["D"]["arguments"]}))


@pytest.mark.parametrize(
    ("output", "by", "layout", "shape"),
    [
        ("f", "x", "jacobian", (4,)),
        ("f", "x", "gradient", (4,)),
        ("f", "x", "row", (1, 4)),  # 001, 004: a gradient is a row
        ("f", "x", "column", (4, 1)),  # 002 Definition 9
        ("f", "s", "row", (1, 1)),
        ("f", "s", "column", (1, 1)),
        ("y", "s", "row", (3, 1)),
        ("y", "s", "column", (1, 3)),  # 002 Definition 11
        ("y", "x", "row", (3, 4)),
        ("y", "x", "column", (4, 3)),  # 002 Definition 13
        ("y", "x", "gradient", (4, 3)),
        ("y", "x", "transposed", (4, 3)),
        ("K", "s", "column", (5, 4)),  # 002 Definition 17
        ("K", "s", "row", (4, 5, 1)),
        ("K", "s", "transposed", (5, 4)),
        ("f", "X", "column", (4, 5)),  # 002 Definition 18
        ("f", "X", "row", (1, 4, 5)),
        ("f", "X", "transposed", (5, 4)),  # the classic Df of d f = tr(Df dX)
        ("f", "X", "vec", (1, 20)),
        ("Y", "X", "jacobian", (2, 4, 4, 5)),
        ("Y", "X", "gradient", (4, 5, 2, 4)),
        ("Y", "X", "vec", (8, 20)),
        ("Y", "X", "flat", (8, 20)),
        ("Y", "x", "vec", (8, 4)),
        ("Y", "X", "^34·^12", (2, 4, 4, 5)),
        ("Y", "X", "^12·^12", (4, 5, 2, 4)),
        ("Y", "X", "^41·^12", (5, 2, 4, 4)),
        ("Y", "X", "^14·^21", (5, 2, 4, 4)),
        ("y", "x", "^1·^1", (4, 3)),
    ],
)  # fmt: skip
def test_a_layout_holds_the_numbers_of_the_jacobian_elsewhere(output: str, by: str, layout: str, shape: tuple[int, ...]) -> None:
    plain = jacobian(output, by)
    found = jacobian(output, by, layout)
    assert found.shape == shape
    first = RANK[output]
    outs, ins = plain.shape[:first], plain.shape[first:]
    places: dict[str, Callable[[], Any]] = {
        "jacobian": lambda: plain,
        "gradient": lambda: np.moveaxis(plain, range(first), range(-first, 0)) if first else plain,
        "row": lambda: plain.reshape(*(outs or (1,)), *(ins or (1,))),
        "column": lambda: (plain.T if first == 2 or (first and ins) else plain).reshape(shape),
        "transposed": lambda: plain.T,
        "vec": lambda: plain.reshape(-1, int(np.prod(ins, dtype=int)), order="F"),
        "flat": lambda: plain.reshape(-1, int(np.prod(ins, dtype=int))),
        "^34·^12": lambda: plain,
        "^12·^12": lambda: plain.transpose(2, 3, 0, 1),
        "^41·^12": lambda: plain.transpose(3, 0, 1, 2),
        "^14·^21": lambda: plain.transpose(3, 0, 1, 2),
        "^1·^1": lambda: plain.T,
    }
    np.testing.assert_allclose(found, places[layout]())


def test_positions_are_read_from_the_differential() -> None:
    """(14): df = M ^512·^123 dx means that ∂f_ij/∂x_pqr is M_qrijp."""
    source = "input K : 2, 3, 4, 5, 6\nparam x : 4, 5, 6\nf = (K_ijpqr x_pqr | ij)\njacobian f wrt x layout ^512·^123 as M"
    module = bc.compile(source, backend="numpy")
    K = np.random.default_rng(0).standard_normal((2, 3, 4, 5, 6))
    x = np.zeros((4, 5, 6))
    values = {"K": K, "x": x}
    found = module.M(**{name: values[name] for name in module.SIGNATURE["functions"]["M"]["arguments"]})
    np.testing.assert_allclose(found, np.einsum("ijpqr->qrijp", K))


@pytest.mark.parametrize("layout", ["vec", "flat"])
def test_stacking_works_for_free_sizes(layout: str) -> None:
    source = f"dim N, M\ninput B : N, N\nparam X : N, M\nF = B @ X\njacobian F wrt X layout {layout} as D"
    rng = np.random.default_rng(1)
    B, X = rng.standard_normal((3, 3)), rng.standard_normal((3, 2))
    module = bc.compile(source, backend="numpy")
    values = {"B": B, "X": X}
    found = module.D(**{name: values[name] for name in module.SIGNATURE["functions"]["D"]["arguments"]})
    want = np.kron(np.eye(2), B) if layout == "vec" else np.kron(B, np.eye(2))
    np.testing.assert_allclose(found, want)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("column", "layout column of a matrix by a matrix: denominator layout knows matrices only"),
        ("^345·^12", "the lists of layout ^345·^12 have 3 and 2 positions"),
        ("^34·^13", "the right list of layout ^34·^13 is no arrangement of the 2 positions of the input"),
        ("^35·^12", "the left list of layout ^35·^12 needs different positions from 1 to 4"),
        ("^33·^12", "position 3 occurs twice in one list"),
    ],
)
def test_a_layout_that_does_not_fit_is_an_error_at_its_place(layout: str, message: str) -> None:
    with pytest.raises(bc.BracketError) as caught:
        bc.compile(f"{RANKS}\njacobian Y wrt X layout {layout}", backend="numpy")
    assert message in str(caught.value)
    assert f"jacobian Y wrt X layout {layout}" in str(caught.value)


def test_the_language_offers_what_calculus_arranges() -> None:
    assert LAYOUTS == NAMED


@pytest.mark.parametrize("layout", [*NAMED, "^12·^21", "^43·^12"])
def test_every_arrangement_keeps_all_axes(layout: str) -> None:
    outputs, inputs = (0, 2) if layout == "column" else (2, 2)
    assert sorted(arrangement(layout, outputs, inputs).order) == list(range(outputs + inputs))
