"""Programs, made small, that random ones have led to: each once had a wrong answer, or none.

Every function of both backends against the interpreter of the program as it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.ir.interpret import interpret


@dataclass(frozen=True)
class Found:
    """A program, sizes of its arguments, and those that are known when it is compiled."""

    text: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    known: tuple[str, ...] = ()


FOUND = {
    "a stack of numbers is no stack of integers": Found("""
        input s : scalar
        param u : scalar
        J = logsumexp(stack(s, u))
        hessian J wrt u as H"""),
    "a definition by which there are derivatives may turn out to be constant": Found("""
        dim T, K
        param A : T, K
        D = A - A
        J = det(0.2 A @ A^T + eye(T)) + sum(sin(D))
        gradient J wrt A
        jacobian J wrt D as G""", {"T": 2, "K": 3}),
    "what repeats the entries of a log-sum-exp is not saved in its place": Found("""
        dim N, M, H
        param X : H, M, N
        param x : H
        param v : M
        param y : N
        D = softmax^12(X) ⊙ softmax^12([X (x v y)])
        J = sum(sin(D))
        gradient J wrt y""", {"H": 2, "M": 2, "N": 1}, ("H", "M", "N")),
    "a condition on a product with numbered entries": Found("""
        dim K, H
        param X : K, K lower
        param v : K
        param w : H
        D = (max(w_i, (X @ (0.3 range(K) ⊙ v))_j) | ij)
        J = sum(sin(D))
        gradient J wrt v""", {"K": 3, "H": 2}),
    "a trace of nothing is not above zero": Found("""
        dim H
        param Y : H, H
        D = tr((softmax[j](Y_ij) | ij))
        J = step(D)""", {"H": 0}),
    "no rows that sum to 1 are 0 altogether": Found("""
        dim M, N
        param X : M, N stochastic rows
        J = step(sum(X))
        jacobian J wrt X as G""", {"M": 0, "N": 4}),
    "a trace of something is above zero": Found("""
        dim H
        param Y : H, H
        D = tr((softmax[j](Y_ij) | ij))
        J = step(D)""", {"H": 2}),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", FOUND)
def test_the_answer_of_the_program_as_it_is_written(name: str, backend: str) -> None:
    found = FOUND[name]
    program = bc.parse(found.text)
    module = bc.compile(program, backend=backend, sizes={size: found.sizes[size] for size in found.known})
    rng = np.random.default_rng(0)
    arrays = {tensor: 0.5 * rng.standard_normal([d.evaluate(found.sizes) for d in tensor.shape]) for tensor in program.arguments}
    arrays = {tensor: np.tril(array) if "lower" in tensor.traits else array for tensor, array in arrays.items()}
    given = {tensor.name: array for tensor, array in arrays.items()}
    for entry in entries(program):
        if entry.name == "backward":
            continue
        wanted = interpret([node for _, node in entry.results], arrays, found.sizes)
        answers = flat(getattr(module, entry.name)(**{node.name: given[node.name] for node in entry.arguments}))
        for (result, _), answer, array in zip(entry.results, answers, wanted, strict=False):
            np.testing.assert_allclose(np.asarray(answer), array, rtol=1e-9, atol=1e-12, err_msg=f"{result} of {entry.name}")
        if entry.name == "value_and_grad":
            _, residuals = module.forward(**given)
            for answer, array in zip(module.backward(residuals, 1.0), wanted[1:], strict=True):
                np.testing.assert_allclose(answer, array, rtol=1e-9, atol=1e-12)


def flat(found: Any) -> list[Any]:
    """Results one by one."""
    if hasattr(found, "gradients"):
        return [found.value, *found.gradients]
    return list(found) if isinstance(found, tuple) else [found]
