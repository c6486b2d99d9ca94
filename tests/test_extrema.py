"""Derivatives of maxima and minima: the place of the largest entry is found, however the entries are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS

import bracketc as bc
from bracketc.ir.build import broadcast, compare, einsum, pointwise
from bracketc.ir.dims import Dim
from bracketc.ir.extrema import located
from bracketc.ir.nodes import Reduce, Tensor

PROGRAMS = {
    "products of several factors": """
        dim H, M
        param X : H, M
        param v : H
        param s : scalar
        input x : M
        J = min([X (min(X, 0.3)) (v (s x))])
        gradient J wrt s, X""",
    "quotients": """
        dim M
        param v : M
        J = min[i]((v ⊘ (2 ⊕ v ⊙ v))_i)
        gradient J wrt v""",
    "squares of products": """
        dim H
        param s : scalar
        param v : H
        input u : H
        J = max((s v ⊙ u + 0.3 v)**2)
        gradient J wrt s, v""",
    "rows": """
        dim N, M
        param X : N, M
        param Y : N, M
        J = sum((max[j](0.3 X_ij Y_ij X_ij + 0.1 Y_ij) | i))
        gradient J wrt X, Y""",
    "beside a log-sum-exp of the same": """
        dim M
        param v : M
        param w : M
        Z = 0.3 v ⊙ w ⊙ v + 0.1 w
        J = max(Z) logsumexp(Z)
        gradient J wrt v, w""",
    "what grows from less": """
        dim N, M
        param a : N
        param c : N
        input b : M
        input d : M
        J = sum((max[j](a_i b_j + c_i d_j) | i))
        gradient J wrt a, c""",
    "steps of a loop": """
        dim T, M
        param X : T, M
        param v : M
        param s : scalar
        h[0] = v
        h[t] = tanh(X[t] ⊙ h[t-1]) for t = 1..T
        J = sum[t=1..T](max[i](0.3 X[t]_i h[t]_i s v_i))
        gradient J wrt s, X, v""",
    "states of a loop": """
        dim T, M
        param X : T, M
        param v : M
        param s : scalar
        h[0] = v
        h[t] = tanh(0.1 X[t] ⊙ h[t-1] (max[i](0.3 X[t]_i h[t-1]_i s v_i))) for t = 1..T
        J = sum(h[T])
        gradient J wrt s, X, v""",
    "states of a loop that puts the maxima out": """
        dim T, M
        param X : T, M
        param v : M
        h[0] = v
        m[t] = max[i](0.3 X[t]_i h[t-1]_i X[t]_i v_i) for t = 1..T
        h[t] = tanh(0.1 X[t] ⊙ h[t-1] m[t]) for t = 1..T
        J = sum(h[T]) + sum[t=1..T](m[t] m[t])
        gradient J wrt X, v""",
}
SIZES = {"H": 5, "M": 7, "N": 6, "T": 4}


def arguments(program: bc.Program, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal([extent.evaluate(SIZES) for extent in spec.shape]) for name, spec in program.inputs.items()
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_largest_entry_gets_the_gradient(name: str, backend: str) -> None:
    program = bc.parse(PROGRAMS[name])
    module = bc.compile(program, backend=backend)
    for seed in range(40):
        given = arguments(program, seed)
        whole = module.value_and_grad(**given)
        value, residuals = module.forward(**given)
        apart = module.backward(residuals, 1.0)
        assert np.allclose(np.asarray(value).ravel(), whole.value)
        for argument, found, other in zip(whole.gradients._fields, whole.gradients, apart, strict=True):
            step = 1e-6 * np.random.default_rng([seed, 1]).standard_normal(np.shape(given[argument]))
            above = module.value_and_grad(**{**given, argument: given[argument] + step}).value
            below = module.value_and_grad(**{**given, argument: given[argument] - step}).value
            slope = (above - below) / 2
            assert abs(np.sum(found * step) - slope) < 1e-5 * (1e-6 + abs(slope)), (argument, seed)
            np.testing.assert_allclose(other, found, rtol=1e-9, atol=1e-12, err_msg=f"{argument}, seed {seed}")


def test_maxima_that_something_is_compared_with_are_located() -> None:
    extent = Dim.named("N")
    x = Tensor("x", (extent, extent))
    top = Reduce("max", x, (1,))
    spread = broadcast(top, x.shape, [0])
    assert located([compare("==", x, spread)]) == {top}
    assert located([einsum(1, [(compare("==", x, spread), "ij")], "i")]) == {top}
    assert located([pointwise("exp", top)]) == located([compare(">", x, spread)]) == set()
