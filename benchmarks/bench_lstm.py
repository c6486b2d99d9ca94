"""The long short-term memory network: two states in one loop, the gates in one product."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main, one_hot


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal inputs, weights scaled by the width, random labels."""
    steps, samples, width, hidden, classes = (sizes[name] for name in "TNDHK")
    return {
        "X": rng.standard_normal((steps, samples, width)),
        "Y": one_hot(rng, samples, classes),
        "Z0": 0.1 * rng.standard_normal((samples, hidden)),
        "C0": 0.1 * rng.standard_normal((samples, hidden)),
        "U": rng.standard_normal((width, 4 * hidden)) / np.sqrt(width),
        "W": rng.standard_normal((hidden, 4 * hidden)) / np.sqrt(hidden),
        "b": np.zeros(4 * hidden),
        "V": rng.standard_normal((hidden, classes)) / np.sqrt(hidden),
        "c": np.zeros(classes),
    }


def by_hand(
    X: Array, Y: Array, Z0: Array, C0: Array, U: Array, W: Array, b: Array, V: Array, c: Array
) -> Result:
    """Input projections before the loop, parameter gradients after it, gates activated in place."""
    steps, samples, width = X.shape
    hidden = Z0.shape[1]
    gates = (X.reshape(-1, width) @ U).reshape(steps, samples, 4 * hidden)
    gates += b
    z = np.empty((steps + 1, samples, hidden), X.dtype)
    cell, shown = np.empty_like(z), np.empty_like(z)
    z[0], cell[0] = Z0, C0
    for t in range(steps):
        s = gates[t]
        s += z[t] @ W
        first, last = s[:, : 3 * hidden], s[:, 3 * hidden :]
        first[:] = 1 / (1 + np.exp(-first))
        np.tanh(last, out=last)
        i, f, o, g = (s[:, k * hidden : (k + 1) * hidden] for k in range(4))
        cell[t + 1] = f * cell[t] + i * g
        shown[t + 1] = np.tanh(cell[t + 1])
        z[t + 1] = o * shown[t + 1]
    scores = z[-1] @ V + c
    scores -= scores.max(1, keepdims=True)
    e = np.exp(scores)
    total = e.sum(1, keepdims=True)
    value = (np.log(total).sum() - np.vdot(Y, scores)) / samples
    e /= total
    e -= Y
    e /= samples
    by_z, by_cell = e @ V.T, np.zeros_like(Z0)
    by_gates = np.empty_like(gates)
    for t in range(steps - 1, -1, -1):
        i, f, o, g = (gates[t, :, k * hidden : (k + 1) * hidden] for k in range(4))
        d_i, d_f, d_o, d_g = (by_gates[t, :, k * hidden : (k + 1) * hidden] for k in range(4))
        by_cell = by_cell + by_z * o * (1 - shown[t + 1] ** 2)
        d_i[:] = by_cell * g * i * (1 - i)
        d_f[:] = by_cell * cell[t] * f * (1 - f)
        d_o[:] = by_z * shown[t + 1] * o * (1 - o)
        d_g[:] = by_cell * i * (1 - g * g)
        by_cell = by_cell * f
        by_z = by_gates[t] @ W.T
    every = by_gates.reshape(-1, 4 * hidden)
    by_u, by_w = X.reshape(-1, width).T @ every, z[:-1].reshape(-1, hidden).T @ every
    return value, (by_u, by_w, every.sum(0), z[-1].T @ e, e.sum(0))


def torch_loss(torch: Any, X: Any, Y: Any, Z0: Any, C0: Any, U: Any, W: Any, b: Any, V: Any, c: Any) -> Any:
    """The loss in PyTorch, with the input projections before the loop."""
    inputs = torch.matmul(X, U) + b
    z, cell = Z0, C0
    for t in range(X.shape[0]):
        i, f, o, g = torch.addmm(inputs[t], z, W).chunk(4, 1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        z = torch.sigmoid(o) * torch.tanh(cell)
    return -(Y * torch.log_softmax(z @ V + c, 1)).sum() / Y.shape[0]


def jax_loss(jax: Any, X: Any, Y: Any, Z0: Any, C0: Any, U: Any, W: Any, b: Any, V: Any, c: Any) -> Any:
    """The loss in JAX, with `lax.scan`."""

    def step(state: Any, inputs: Any) -> Any:
        z, cell = state
        i, f, o, g = jax.numpy.split(z @ W + inputs, 4, 1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
        z = jax.nn.sigmoid(o) * jax.numpy.tanh(cell)
        return (z, cell), None

    (z, _), _ = jax.lax.scan(step, (Z0, C0), X @ U + b)
    return -(Y * jax.nn.log_softmax(z @ V + c, 1)).sum() / Y.shape[0]


SIZES = (
    {"T": 10, "N": 8, "D": 16, "H": 32, "K": 10},
    {"T": 20, "N": 32, "D": 64, "H": 128, "K": 10},
)

WORKLOAD = Workload("lstm", ("U", "W", "b", "V", "c"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
