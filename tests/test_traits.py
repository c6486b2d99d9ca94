"""Traits as side conditions: what data must have, what random testing draws, what simplification may use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc.cli import main
from bracketc.ir.traits import violation

HALF = np.array([[0.5, 0.5], [1.0, 0.0]])
EYE = np.eye(2)


@pytest.mark.parametrize(
    ("trait", "good", "bad", "message"),
    [
        ("symmetric", [[1, 2], [2, 5]], [[1, 2], [3, 5]], "entry [1,2] is 2, entry [2,1] is 3"),
        ("positive definite", [[2, 1], [1, 2]], [[1, 2], [2, 1]], "its least eigenvalue is -1"),
        ("diagonal", EYE, [[1, 0], [3, 1]], "entry [2,1] is 3, not 0"),
        ("lower", [[1, 0], [2, 3]], [[1, 4], [2, 3]], "entry [1,2] is 4, not 0"),
        ("upper", [[1, 4], [0, 3]], [[1, 0], [2, 3]], "entry [2,1] is 2, not 0"),
        ("orthogonal", [[0, 1], [-1, 0]], [[1, 1], [0, 1]], "the inner product of columns 1 and 2 is off"),
        ("positive", [0.5, 2], [0.5, 0], "entry [2] is 0, not positive"),
        ("nonzero", [-1, 2], [0, 2], "entry [1] is 0, and must not be"),
        ("onehot rows", [[0, 1], [1, 0]], HALF, "row 1 is no one-hot vector: [0.5, 0.5]"),
        ("onehot rows", [0, 1, 0], [1, 1, 0], "it is no one-hot vector: [1, 1, 0]"),
        ("stochastic rows", HALF, [[0.5, 0.5], [0.7, 0.7]], "row 2 is no distribution: [0.7, 0.7]"),
        ("stochastic rows", [[HALF[0]] * 2], [[[1.5, -0.5]]], "row 1,1 is no distribution: [1.5, -0.5]"),
    ],
)
def test_a_violated_trait_names_the_place(trait: str, good: Any, bad: Any, message: str) -> None:
    assert violation(np.array(good), trait) is None
    assert violation(np.array(bad), trait) == message


def test_nothing_is_violated_by_an_empty_array() -> None:
    for trait in ("symmetric", "positive definite", "diagonal", "orthogonal"):
        assert violation(np.zeros((0, 0)), trait) is None
    for trait in ("positive", "onehot rows", "stochastic rows"):
        assert violation(np.zeros((0, 3)), trait) is None


SOURCE = """
dim N, K
input Y : N, K  onehot rows
input c : N  integer in K
param A : N, K
J = -(ln(softmax^1(A)) · Y) + sum(A[c])
gradient J wrt A
"""


def _run(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, **arrays: Any) -> tuple[int, Any]:
    (tmp_path / "model.brk").write_text(text, encoding="utf-8")
    np.savez(tmp_path / "data.npz", allow_pickle=False, **arrays)
    status = main(["check", str(tmp_path / "model.brk"), "--data", str(tmp_path / "data.npz"), "--backend", "numpy", "--json"])
    return status, json.loads(capsys.readouterr().out)


MODEL = SOURCE.replace(" + sum(A[c])", "").replace("input c : N  integer in K\n", "")


def test_check_accepts_data_that_have_their_traits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.eye(3)[[0, 2, 1, 1]]
    status, found = _run(tmp_path, capsys, MODEL, Y=labels, A=np.random.default_rng(0).standard_normal((4, 3)))
    assert status == 0 and found["ok"]
    assert found["sizes"] == {"N": 4, "K": 3}
    assert found["checks"][0]["error"] < 1e-6


def test_check_refuses_data_without_their_traits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = _run(tmp_path, capsys, MODEL, Y=np.full((4, 3), 1 / 3), A=np.zeros((4, 3)))
    assert status == 1 and not found["ok"]
    (trait,) = found["traits"]
    assert trait["argument"] == "Y" and not trait["holds"]
    assert trait["violation"].startswith("row 1 is no one-hot vector")


def test_integers_out_of_range_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "dim N, K\ninput c : N  integer in K\ninput E : K, 2\nF = E[c]"
    status, found = _run(tmp_path, capsys, text, c=np.array([0, 3, 1]), E=np.zeros((3, 2)))
    assert status == 1
    assert found["traits"][0]["violation"] == "entry [2] is 3, not in 0..2"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"Y": np.eye(3)}, "A is missing in the data"),
        ({"Y": np.eye(3), "A": np.zeros((2, 3))}, "A: an axis of N = 3 has size 2"),
        ({"Y": np.eye(3), "A": np.zeros((3, 3), complex)}, "A holds complex128, declared real"),
    ],
)
def test_data_that_do_not_fit_are_an_error(
    arrays: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = _run(tmp_path, capsys, MODEL, **arrays)
    assert status == 1
    assert message in json.dumps(found)


def test_a_trait_is_used_only_where_it_is_declared() -> None:
    def gradient(traits: str, data: np.ndarray[Any, Any]) -> Any:
        source = f"input Y : 4, 3 {traits}\nparam A : 4, 3\nJ = -(ln(softmax^1(A)) · Y)\ngradient J wrt A"
        return bc.compile(source, backend="numpy").value_and_grad(data, A).gradients.A

    A = np.random.default_rng(1).standard_normal((4, 3))
    Z = np.exp(A) / np.exp(A).sum(1, keepdims=True)
    Y = np.random.default_rng(2).random((4, 3))
    np.testing.assert_allclose(gradient("", Y), Y.sum(1, keepdims=True) * Z - Y)
    np.testing.assert_allclose(gradient("onehot rows", np.eye(3)[[0, 1, 2, 0]]), Z - np.eye(3)[[0, 1, 2, 0]])


def test_a_symmetric_matrix_shortens_the_gradient_of_a_quadratic_form() -> None:
    rng = np.random.default_rng(3)
    B, x = rng.standard_normal((3, 3)), rng.standard_normal(3)
    for traits, A in (("", B), ("symmetric", B + B.T)):
        module = bc.compile(f"input A : 3, 3 {traits}\nparam x : 3\nJ = x^T @ A @ x\ngradient J wrt x", backend="numpy")
        np.testing.assert_allclose(module.value_and_grad(A, x).gradients.x, (A + A.T) @ x)
