"""`gradient … as derived` compiles the formulas of the last derivation as they are written, if they are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc import compiler
from bracketc.derivation import derived
from bracketc.options import Options

LAYER = """dim N, D, H
input X : N, D
input Y : N, H
param W : D, H
param b : H
function f(a) = tanh(a)
h = f(X @ W + 𝟏 b)
J = 0.5 (h - Y) · (h - Y)
(first) derivation of J wrt W {
  dJ = (h - Y) · dh
  ⟹ ∇[W](J) = 3 X^T @ (h - Y)
}
(second) derivation of J wrt W, b {
  dJ  = Z · dh                                  where Z = h - Y
      = Z · (C ⊙ (X @ dW)) + Z · (C ⊙ (𝟏 db))   where C = f'(X @ W + 𝟏 b)
  ⟹ ∇[W](J) = X_2 [Z C (~X_1 𝟏)]
             = X^T @ (Z ⊙ C)
  ⟹ ∇[b](J) = (Z ⊙ C)^T @ 𝟏
}
gradient J wrt W, b as derived
output J, h
"""


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shapes = {"X": (5, 4), "Y": (5, 3), "W": (4, 3), "b": (3,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_the_last_derivation_gives_every_function_of_a_gradient(backend: str) -> None:
    written = bc.compile(LAYER, backend=backend)
    own = bc.compile(LAYER.replace(" as derived", ""), backend=backend)
    given = arrays()
    first, second = written.value_and_grad(**given), own.value_and_grad(**given)
    np.testing.assert_allclose(first.value, second.value, rtol=1e-14)
    for left, right in zip(first.gradients, second.gradients, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-14)
    bars = {"J": 2.5, "h": np.random.default_rng(1).standard_normal((5, 3))}
    for names in (["J"], ["h"], ["J", "h"]):
        answers = [m.backward(m.forward(**given)[1], **{n: bars[n] for n in names}) for m in (written, own)]
        for left, right in zip(*answers, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-14)


PRODUCTS = """dim N
input A : N, N
input B : N, N
input y : N
param x : N
J = y · (A @ (B @ x))
derivation of J wrt x {{
  dJ = y · (A @ B @ dx)
  ⟹ ∇[x](J) = {}
}}
gradient J wrt x as derived
"""


def flops(formula: str) -> int:
    done = compiler.stages(bc.parse(PRODUCTS.format(formula)), Options())
    return done.plan.schedule("value_and_grad").flops.evaluate({"N": 100})


def test_products_are_taken_in_the_written_order() -> None:
    assert flops("(A @ B)^T @ y") > 2 * 100**3
    assert flops("B^T @ (A^T @ y)") < 10 * 100**2


def test_the_emitted_text_states_the_written_formula() -> None:
    (shown,) = derived(bc.parse(PRODUCTS.format("(A @ B)^T @ y")), Options())
    assert "as derived" in shown.title
    assert [e.left for e in shown.equations] == ["∇[x](J)"]
    assert shown.equations[0].right in ("(A @ B)^T @ y", "B^T @ A^T @ y")  # from the left, too


FAMILY = """dim N
dim L = 2
dim D[0..L] = 3, 4, 2
input X : N, D[0]
param W[j] : D[j-1], D[j] for j = 1..L
Z = tanh(X @ W[1]) @ W[2]
J = 0.5 Z · Z
derivation of J wrt W {
  dJ = Z · dZ
  ⟹ ∇[W[1]](J) = X^T @ ((Z @ W[2]^T) ⊙ (𝟏⟨N,4⟩ - tanh(X @ W[1])**2)),  ∇[W[2]](J) = tanh(X @ W[1])^T @ Z
  ⟹ ∇[Z](J) = Z
}
gradient J wrt W as derived
gradient J wrt Z as derived as slope
"""


def test_members_of_a_family_and_definitions() -> None:
    module = bc.compile(FAMILY, backend="numpy")
    own = bc.compile(FAMILY.replace(" as derived", ""), backend="numpy")
    rng = np.random.default_rng(0)
    given = {name: rng.standard_normal(shape) for name, shape in {"X": (5, 3), "W1": (3, 4), "W2": (4, 2)}.items()}
    for name in ("value_and_grad", "slope"):
        left, right = getattr(module, name)(**given), getattr(own, name)(**given)
        for one, other in zip(left[1], right[1], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("= X^T @ (Z ⊙ C)", "= X^T @ Z", "the gradient of J by W as derived is refuted: left is"),
        ("= (Z ⊙ C)^T @ 𝟏", "= 2 (Z ⊙ C)^T @ 𝟏", "as derived is refuted"),
        ("= X^T @ (Z ⊙ C)", "= sqrt(-exp(W))", "as derived is rejected: a side is undefined"),
        ("= X^T @ (Z ⊙ C)", "= X^T @ (Z ⊙ Q)", "unknown name Q"),
        ("= X^T @ (Z ⊙ C)", "= (Z ⊙ C)^T @ X", "different shapes"),
        ("  ⟹ ∇[b](J) = (Z ⊙ C)^T @ 𝟏\n", "", "J by b as derived, and its derivation has no conclusion for b"),
        ("of J wrt", "wrt", "J as derived, and the file has no derivation of J"),
        ("gradient J wrt W, b as derived", "jacobian h wrt b as derived", "a jacobian as derived"),
        ("gradient J wrt W, b as derived", "hessian J wrt b as derived", "a hessian as derived"),
    ],
)
def test_what_cannot_be_compiled_as_derived(old: str, new: str, message: str) -> None:
    assert old in LAYER
    with pytest.raises(bc.BracketError) as error:
        bc.compile(LAYER.replace(old, new), backend="numpy")
    assert message in str(error.value)
    assert "^" in str(error.value)
