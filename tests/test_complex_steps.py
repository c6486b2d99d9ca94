"""First derivatives of the identities of matrix calculus against complex steps, which are exact to the last digits.

f'(x) = Im f(x + ih) / h + O(h²) for an f that is analytic: no difference is taken, so nothing cancels and h may be 1e-30. The
tensor interpreter runs on complex arrays as it stands, but for ln|det|, whose continuation is ln(det²) / 2.
W. Squire and G. Trapp, *Using Complex Variables to Estimate Derivatives of Real Functions*, SIAM Review 40 (1998).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from modelcases import BACKENDS
from test_second_order import ARGUMENTS, IDENTITIES, Array, _arrays, _module

import bracketc as bc
from bracketc.ir.interpret import _RULES, _run
from bracketc.ir.linear_algebra import LINEAR_ALGEBRA
from bracketc.ir.nodes import Linalg, Node, Tensor
from bracketc.ir.rewrite import topological

STEP = 1e-30


def _continued(node: Linalg, args: list[Array], sizes: Mapping[str, int]) -> Array:
    """The rule for matrices, with an analytic ln(det² A) / 2 in place of ln|det A|, which it is where A is real."""
    if node.operator == "logdet":
        return np.asarray(np.log(np.linalg.det(args[0]) ** 2) / 2)
    return np.asarray(LINEAR_ALGEBRA[node.operator](*args))


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
def test_the_jacobian_is_the_complex_step(number: int, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast(dict[Any, Any], _RULES), Linalg, _continued)
    arrays, identity = _arrays(), IDENTITIES[number]
    exact = _complex_steps(_roots()[identity.text], arrays, identity.wrt[0])
    np.testing.assert_allclose(identity.closed(**arrays), exact, rtol=1e-12, atol=1e-13)
    found = np.asarray(getattr(_module(backend), f"R{number}")(**arrays))
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-13)
