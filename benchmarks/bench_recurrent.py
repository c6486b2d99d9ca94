"""The recurrent network: a loop over time forwards, another one backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main, one_hot


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal inputs, weights scaled by the width, random labels."""
    steps, samples, width, hidden, classes = (sizes[name] for name in "TNDHK")
    return {
        "X": rng.standard_normal((steps, samples, width)),
        "Y": one_hot(rng, steps, samples, classes),
        "Z0": np.zeros((samples, hidden)),
        "W": rng.standard_normal((hidden, hidden)) / np.sqrt(hidden),
        "U": rng.standard_normal((width, hidden)) / np.sqrt(width),
        "b": np.zeros(hidden),
        "V": rng.standard_normal((hidden, classes)) / np.sqrt(hidden),
        "c": np.zeros(classes),
    }


def by_hand(X: Array, Y: Array, Z0: Array, W: Array, U: Array, b: Array, V: Array, c: Array) -> Result:
    """Everything that needs no earlier step is one product over all steps: inputs, outputs, and the gradients."""
    steps, samples, width = X.shape
    hidden, classes = V.shape
    flat = X.reshape(-1, width)
    z = (flat @ U).reshape(steps, samples, hidden)
    z += b
    before = Z0
    for t in range(steps):
        z[t] += before @ W
        before = np.tanh(z[t], out=z[t])
    states = z.reshape(-1, hidden)
    o = states @ V
    o += c
    o -= o.max(1, keepdims=True)
    e = np.exp(o)
    total = e.sum(1, keepdims=True)
    labels = Y.reshape(-1, classes)
    value = (np.log(total).sum() - np.vdot(labels, o)) / samples
    e /= total
    e -= labels
    e /= samples
    g = (e @ V.T).reshape(steps, samples, hidden)
    slope = 1 - z * z
    g[-1] *= slope[-1]
    for t in range(steps - 2, -1, -1):
        g[t] += g[t + 1] @ W.T
        g[t] *= slope[t]
    every = g.reshape(-1, hidden)
    by_w = Z0.T @ g[0] + z[:-1].reshape(-1, hidden).T @ g[1:].reshape(-1, hidden)
    return value, (by_w, flat.T @ every, every.sum(0), states.T @ e, e.sum(0))


def torch_loss(torch: Any, X: Any, Y: Any, Z0: Any, W: Any, U: Any, b: Any, V: Any, c: Any) -> Any:
    """The loss in PyTorch, with the input projections before the loop."""
    inputs = torch.matmul(X, U) + b
    z, states = Z0, []
    for t in range(X.shape[0]):
        z = torch.tanh(torch.addmm(inputs[t], z, W))
        states.append(z)
    scores = torch.matmul(torch.stack(states), V) + c
    return -(Y * torch.log_softmax(scores, 2)).sum() / X.shape[1]


def jax_loss(jax: Any, X: Any, Y: Any, Z0: Any, W: Any, U: Any, b: Any, V: Any, c: Any) -> Any:
    """The loss in JAX, with `lax.scan`."""

    def step(z: Any, inputs: Any) -> Any:
        z = jax.numpy.tanh(z @ W + inputs)
        return z, z

    _, states = jax.lax.scan(step, Z0, X @ U + b)
    return -(Y * jax.nn.log_softmax(states @ V + c, 2)).sum() / X.shape[1]


SIZES = (
    {"T": 10, "N": 8, "D": 16, "H": 32, "K": 10},
    {"T": 20, "N": 32, "D": 64, "H": 128, "K": 10},
    {"T": 35, "N": 20, "D": 200, "H": 200, "K": 1000},
)

WORKLOAD = Workload("recurrent", ("W", "U", "b", "V", "c"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
