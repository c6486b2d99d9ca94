"""The identities of matrix calculus, of first and second order, against complex steps, which are exact to the last digits.

f'(x) = Im f(x + ih) / h + O(h²) for an f that is analytic: no difference is taken, so nothing cancels and h may be 1e-30. The
tensor interpreter runs on complex arrays as it stands, but for ln|det|, whose continuation is ln(det²) / 2, and two functions of
|x|. Second derivatives are steps of the gradient, which is itself compared with steps of the function.
W. Squire and G. Trapp, *Using Complex Variables to Estimate Derivatives of Real Functions*, SIAM Review 40 (1998).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from modelcases import BACKENDS
from test_second_order import ARGUMENTS, IDENTITIES, Array, _arrays, _module

import bracketc as bc
from bracketc.calculus.derivatives import gradient
from bracketc.ir.interpret import _RULES, _run
from bracketc.ir.linear_algebra import LINEAR_ALGEBRA
from bracketc.ir.nodes import Linalg, Node, Pointwise, Tensor
from bracketc.ir.rewrite import topological

STEP = 1e-30


def _continued(node: Linalg, args: list[Array], sizes: Mapping[str, int]) -> Array:
    """The rule for matrices, with an analytic ln(det² A) / 2 in place of ln|det A|, which it is where A is real."""
    if node.operator == "logdet":
        return np.asarray(np.log(np.linalg.det(args[0]) ** 2) / 2)
    return np.asarray(LINEAR_ALGEBRA[node.operator](*args))


CONTINUED: dict[str, Callable[[Array], Any]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
}
"""Analytic forms of what is computed by |x| elsewhere."""

_pointwise = _RULES[Pointwise]


def _continued_function(node: Pointwise, args: list[Array], sizes: Mapping[str, int]) -> Array:
    known = CONTINUED.get(node.function)
    return np.asarray(_pointwise(node, args, sizes) if known is None else known(*args))


@pytest.fixture(autouse=True)
def analytic(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, rule in ((Linalg, _continued), (Pointwise, _continued_function)):
        monkeypatch.setitem(cast(dict[Any, Any], _RULES), kind, rule)


@cache
def _roots() -> dict[str, Node]:
    """What the expressions mean, before a derivative is taken or a rule applied."""
    texts = dict.fromkeys(identity.text for identity in IDENTITIES)
    lines = [f"F{k} = {text}" for k, text in enumerate(texts)]
    program = bc.parse(ARGUMENTS + "\n".join(lines) + f"\noutput {', '.join(f'F{k}' for k in range(len(texts)))}\n")
    return dict(zip(texts, (node for _, node in program.results), strict=True))


def _complex_steps(root: Node, arrays: Mapping[str, Array], name: str) -> Array:
    """The Jacobian of ``root`` by ``name``, axes of ``name`` last."""
    leaves = [node for node in topological([root]) if isinstance(node, Tensor)]
    columns = []
    for position in np.ndindex(arrays[name].shape):
        values: dict[Tensor, Any] = {leaf: arrays[leaf.name].astype(complex) for leaf in leaves}
        for leaf in leaves:
            if leaf.name == name:
                values[leaf][position] += 1j * STEP
        columns.append(np.imag(_run((root,), values, {})[root]) / STEP)
    return np.stack(columns, -1).reshape(*np.shape(columns[0]), *arrays[name].shape)


FIRST = [number for number, identity in enumerate(IDENTITIES) if not identity.second]


@pytest.mark.parametrize("number", FIRST, ids=[str(IDENTITIES[number]) for number in FIRST])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_jacobian_is_the_complex_step(number: int, backend: str) -> None:
    arrays, identity = _arrays(), IDENTITIES[number]
    exact = _complex_steps(_roots()[identity.text], arrays, identity.wrt[0])
    np.testing.assert_allclose(identity.closed(**arrays), exact, rtol=1e-12, atol=1e-13)
    found = np.asarray(getattr(_module(backend), f"R{number}")(**arrays))
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-13)


SECOND = [number for number, identity in enumerate(IDENTITIES) if identity.second]


@pytest.mark.parametrize("number", SECOND, ids=[str(IDENTITIES[number]) for number in SECOND])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_hessian_is_the_complex_step_of_the_gradient(number: int, backend: str) -> None:
    arrays, identity = _arrays(), IDENTITIES[number]
    first, second = identity.wrt
    root = _roots()[identity.text]
    leaf = next(node for node in topological([root]) if isinstance(node, Tensor) and node.name == first)
    (slope,) = gradient(root, (leaf,))
    values: dict[Tensor, Any] = {node: arrays[node.name] for node in topological([slope, root]) if isinstance(node, Tensor)}
    np.testing.assert_allclose(_run((slope,), values, {})[slope], _complex_steps(root, arrays, first), rtol=1e-12, atol=1e-13)
    exact = _complex_steps(slope, arrays, second)
    np.testing.assert_allclose(identity.closed(**arrays), exact, rtol=1e-11, atol=1e-12)
    found = np.asarray(getattr(_module(backend), f"R{number}")(**arrays))
    np.testing.assert_allclose(found, exact, rtol=1e-11, atol=1e-12)


def test_there_are_sixty_identities_and_more_and_each_is_stepped() -> None:
    """Every one by complex steps here and by central differences in ``test_second_order``; none stands twice."""
    listed = [str(identity) for identity in IDENTITIES]
    assert len(set(listed)) == len(listed) >= 60
    assert sorted(FIRST + SECOND) == list(range(len(IDENTITIES))) and len(SECOND) >= 20
    subjects = ("inv(", "det(", "tr(", "norm", "⊗", "⊙", "solve(", "softmax", "logsumexp", "diag(", "vec(")
    assert all(any(subject in text for text in listed) for subject in subjects)
