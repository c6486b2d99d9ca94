"""Definitions step by step: loops that are never unrolled, and batches where no step needs another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elaborated import program, value

from bracketc.ir.nodes import Recurrence
from bracketc.ir.rewrite import topological

HEAD = """dim T, N, D, H
input X : T, N, D
input Z0 : N, H
input C0 : N, H
param W : H, H
param U : D, H
param b : H
input v : T
"""
rng = np.random.default_rng(3)
SHAPES = {"X": (5, 3, 4), "Z0": (3, 2), "C0": (3, 2), "W": (2, 2), "U": (4, 2), "b": (2,), "v": (5,)}
GIVEN = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
X, Z0, C0, W, U, b, v = GIVEN.values()
NETWORK = "Z[0] = Z0\nZ[t] = tanh(Z[t-1] @ W + X[t] @ U + 𝟏 b) for t = 1..T\n"


def network() -> Any:
    states = [Z0]
    for t in range(5):
        states.append(np.tanh(states[-1] @ W + X[t] @ U + b))
    return np.array(states)


def two_back() -> Any:
    states = [C0, Z0]
    for t in range(5):
        states.append(0.5 * states[-1] + 0.2 * states[-2] + X[t] @ U)
    return np.array(states[2:])


def backwards() -> Any:
    states = [Z0]
    for t in reversed(range(5)):
        states.append(np.tanh(states[-1] @ W + X[t] @ U))
    return np.array(states[:0:-1])


def gated() -> Any:
    c, h = C0, Z0
    for t in range(5):
        gate = 1 / (1 + np.exp(-(X[t] @ U + h @ W)))
        c = gate * np.tanh(X[t] @ U) + c
        h = gate * np.tanh(c)
    return h + c


Z = network()
CASES: dict[str, Any] = {
    NETWORK + "F = Z": Z[1:],
    NETWORK + "F = Z[T]": Z[5],
    NETWORK + "F = Z[2] + Z[0]": Z[2] + Z[0],
    NETWORK + "O[t] = Z[t] @ W + Z[t-1] for t = 1..T\nF = O": Z[1:] @ W + Z[:-1],
    NETWORK + "F = sum[t=1..T](v[t] sum(Z[t] ⊙ Z[t-1]))": np.einsum("t,tij,tij", v, Z[1:], Z[:-1]),
    "Z[0] = Z0\nZ[-1] = C0\nZ[t] = 0.5 Z[t-1] + 0.2 Z[t-2] + X[t] @ U for t = 1..T\nF = Z": two_back(),
    "Z[T+1] = Z0\nZ[t] = tanh(Z[t+1] @ W + X[t] @ U) for t = 1..T\nF = Z": backwards(),
    "Z[T+1] = Z0\nZ[t] = tanh(Z[t+1] @ W + X[t] @ U) for t = T..1\nF = Z": backwards(),
    """C[0] = C0
Q[0] = Z0
I[t] = sigmoid(X[t] @ U + Q[t-1] @ W) for t = 1..T
G[t] = tanh(X[t] @ U) for t = 1..T
C[t] = I[t] ⊙ G[t] + C[t-1] for t = 1..T
Q[t] = I[t] ⊙ tanh(C[t]) for t = 1..T
F = Q[T] + C[T]""": gated(),
    "Q[0,i,a] = Z0_ia\nQ[t,i,a] = Q[t-1,i,e] W_ea + v[t] for t = 1..T\nF = Q[2]": (Z0 @ W + v[0]) @ W + v[1],
    "Q[0] = 0\nQ[t] = Q[t-1] + v[t] for t = 1..T\nF = Q": np.cumsum(v),
    "Q[t] = t v[t] for t = 1..T\nF = Q": np.arange(1, 6) * v,
    "Q[t] = v[t+1] - v[t] for t = 1..T-1\nF = Q": np.diff(v),
    "Q[t,i] = X[t,i,d] X[t,i,d] for t = 1..T\nF = Q": (X**2).sum(2),
    "F = sum[t=1..T](X[t] @ U)": X.sum(0) @ U,
    "F = sum[t=2..T](t**2 v[t])": np.arange(2, 6) ** 2 @ v[1:],
    "F = max[t=1..T](v[t])": v.max(),
    "F = (sum[t=1..T](v[t] X[t,i,d]) | id)": np.einsum("t,tid->id", v, X),
    "F = sum[t=1..T](sum[s=1..T](v[s] v[t]))": v.sum() ** 2,
    "F = sum[t=1..T](sum[i=1..N](X[t,i,2]))": X[:, :, 1].sum(),
    "F = sum[t=1..T,i=1..N](v[t] X[t,i,2])": v @ X[:, :, 1].sum(1),
    "F = sum[t=1..T,i](v[t] X[t,i,2])": v @ X[:, :, 1].sum(1),
    "F_d = sum[t=1..T,i=1..N](v[t] X[t,i,d])": v @ X.sum(1),
}


@pytest.mark.parametrize("text", CASES)
def test_value(text: str) -> None:
    np.testing.assert_allclose(value(text, GIVEN, HEAD), CASES[text], rtol=1e-10, atol=1e-12)


def test_recurrence_is_one_loop_whatever_its_length() -> None:
    counts = set()
    for length in (5, 500):
        made = program(NETWORK + "F = Z[T]", HEAD.replace("dim T,", f"dim T = {length},"))
        nodes = topological([node for _, node in made.results])
        loops = [node for node in nodes if isinstance(node, Recurrence)]
        assert len(loops) == 1
        counts.add((len(nodes), len(topological(loops[0].body.results))))
    assert len(counts) == 1


def test_bodies_are_closed() -> None:
    made = program(NETWORK + "F = Z[T]", HEAD)
    (loop,) = [n for n in topological([n for _, n in made.results]) if isinstance(n, Recurrence)]
    names = [p.name for p in loop.body.parameters]
    assert names == [f"%{k}" for k in range(len(names))]
    held = {node for node in topological(loop.body.results) if not node.operands and hasattr(node, "extents")}
    assert held <= set(loop.body.parameters) | {n for n in held if not hasattr(n, "name")}


def test_what_needs_no_step_is_batched() -> None:
    made = program("O[t] = X[t] @ U + 𝟏 b for t = 1..T\nF = O", HEAD)
    assert not [n for n in topological([n for _, n in made.results]) if isinstance(n, Recurrence)]
