"""Gated recurrent units: three gates, an error at every step."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal inputs, weights scaled by the width."""
    steps, samples, width, hidden = (sizes[name] for name in "TNDH")
    arrays = {
        "X": rng.standard_normal((steps, samples, width)),
        "Y": rng.standard_normal((steps, samples, width)),
        "Z0": 0.1 * rng.standard_normal((samples, hidden)),
    }
    for gate in "rzh":
        arrays[f"U{gate}"] = rng.standard_normal((width, hidden)) / np.sqrt(width)
        arrays[f"W{gate}"] = rng.standard_normal((hidden, hidden)) / np.sqrt(hidden)
        arrays[f"b{gate}"] = 0.1 * rng.standard_normal(hidden)
    return arrays | {"V": rng.standard_normal((hidden, width)) / np.sqrt(hidden), "c": np.zeros(width)}


def by_hand(
    X: Array, Y: Array, Z0: Array,
    Ur: Array, Wr: Array, br: Array, Uz: Array, Wz: Array, bz: Array, Uh: Array, Wh: Array, bh: Array, V: Array, c: Array,
) -> Result:  # fmt: skip
    """Input projections before the loop, parameter gradients after it, the two gates in one product."""
    steps, samples, width = X.shape
    hidden = Z0.shape[1]
    flat = X.reshape(-1, width)
    inputs = (flat @ np.hstack([Ur, Uz, Uh]) + np.hstack([br, bz, bh])).reshape(steps, samples, 3 * hidden)
    both = np.hstack([Wr, Wz])
    z = np.empty((steps + 1, samples, hidden), X.dtype)
    gates = inputs[:, :, : 2 * hidden]
    candidate, product = inputs[:, :, 2 * hidden :], np.empty((steps, samples, hidden), X.dtype)
    z[0] = Z0
    for t in range(steps):
        gates[t] = 1 / (1 + np.exp(-(gates[t] + z[t] @ both)))
        r, q = gates[t, :, :hidden], gates[t, :, hidden:]
        np.matmul(z[t], Wh, out=product[t])
        candidate[t] = np.tanh(candidate[t] + r * product[t])
        z[t + 1] = q * z[t] + (1 - q) * candidate[t]
    states = z[1:].reshape(-1, hidden)
    error = states @ V + c - Y.reshape(-1, width)
    value = 0.5 / samples * np.vdot(error, error)
    error /= samples
    from_error = (error @ V.T).reshape(steps, samples, hidden)
    by_gates = np.empty((steps, samples, 2 * hidden), X.dtype)
    by_candidate, by_product = np.empty_like(product), np.empty_like(product)
    by_z = np.zeros_like(Z0)
    for t in range(steps - 1, -1, -1):
        r, q = gates[t, :, :hidden], gates[t, :, hidden:]
        by_z = by_z + from_error[t]
        by_candidate[t] = by_z * (1 - q) * (1 - candidate[t] ** 2)
        by_product[t] = by_candidate[t] * r
        by_gates[t, :, :hidden] = by_candidate[t] * product[t] * r * (1 - r)
        by_gates[t, :, hidden:] = by_z * (z[t] - candidate[t]) * q * (1 - q)
        by_z = by_z * q + by_product[t] @ Wh.T + by_gates[t] @ both.T
    before = z[:-1].reshape(-1, hidden)
    g_r, g_z = (by_gates[:, :, k * hidden : (k + 1) * hidden].reshape(-1, hidden) for k in range(2))
    g_h, g_p = by_candidate.reshape(-1, hidden), by_product.reshape(-1, hidden)
    return value, (
        flat.T @ g_r, before.T @ g_r, g_r.sum(0), flat.T @ g_z, before.T @ g_z, g_z.sum(0),
        flat.T @ g_h, before.T @ g_p, g_h.sum(0), states.T @ error, error.sum(0),
    )  # fmt: skip


def torch_loss(
    torch: Any, X: Any, Y: Any, Z0: Any,
    Ur: Any, Wr: Any, br: Any, Uz: Any, Wz: Any, bz: Any, Uh: Any, Wh: Any, bh: Any, V: Any, c: Any,
) -> Any:  # fmt: skip
    """The loss in PyTorch, with the input projections before the loop."""
    from_r, from_z, from_h = torch.matmul(X, Ur) + br, torch.matmul(X, Uz) + bz, torch.matmul(X, Uh) + bh
    z, states = Z0, []
    for t in range(X.shape[0]):
        r = torch.sigmoid(torch.addmm(from_r[t], z, Wr))
        q = torch.sigmoid(torch.addmm(from_z[t], z, Wz))
        z = q * z + (1 - q) * torch.tanh(from_h[t] + r * (z @ Wh))
        states.append(z)
    return 0.5 / Z0.shape[0] * (torch.matmul(torch.stack(states), V) + c - Y).square().sum()


def jax_loss(
    jax: Any, X: Any, Y: Any, Z0: Any,
    Ur: Any, Wr: Any, br: Any, Uz: Any, Wz: Any, bz: Any, Uh: Any, Wh: Any, bh: Any, V: Any, c: Any,
) -> Any:  # fmt: skip
    """The loss in JAX, with `lax.scan`."""

    def step(z: Any, inputs: Any) -> Any:
        from_r, from_z, from_h = inputs
        r, q = jax.nn.sigmoid(from_r + z @ Wr), jax.nn.sigmoid(from_z + z @ Wz)
        z = q * z + (1 - q) * jax.numpy.tanh(from_h + r * (z @ Wh))
        return z, z

    _, states = jax.lax.scan(step, Z0, (X @ Ur + br, X @ Uz + bz, X @ Uh + bh))
    return 0.5 / Z0.shape[0] * jax.numpy.square(states @ V + c - Y).sum()


SIZES = (
    {"T": 10, "N": 8, "D": 16, "H": 32},
    {"T": 20, "N": 32, "D": 64, "H": 128},
)
PARAMS = ("Ur", "Wr", "br", "Uz", "Wz", "bz", "Uh", "Wh", "bh", "V", "c")

WORKLOAD = Workload("gru", PARAMS, SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
