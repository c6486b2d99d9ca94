"""The feed-forward half of a decoder's layer: layer normalisation, gelu between two products, residual connection."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import erf

from harness import Array, Arrays, Result, Sizes, Workload, main


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal inputs, weights scaled by the width."""
    samples, width, hidden = (sizes[name] for name in "NDH")
    return {
        "X": rng.standard_normal((samples, width)),
        "Y": rng.standard_normal((samples, width)),
        "g": 1 + 0.1 * rng.standard_normal(width),
        "s": 0.1 * rng.standard_normal(width),
        "W1": rng.standard_normal((width, hidden)) / np.sqrt(width),
        "b1": 0.1 * rng.standard_normal(hidden),
        "W2": rng.standard_normal((hidden, width)) / np.sqrt(hidden),
        "b2": 0.1 * rng.standard_normal(width),
    }


def by_hand(X: Array, Y: Array, g: Array, s: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Result:
    """gelu(a) = a Φ(a), gelu'(a) = Φ(a) + a φ(a)."""
    samples = X.shape[0]
    centred = X - X.mean(1, keepdims=True)
    normal = centred / np.sqrt((centred * centred).mean(1, keepdims=True) + 1e-5)
    level = normal * g + s
    a = level @ W1
    a += b1
    below = 0.5 * (1 + erf(a * float(np.sqrt(0.5))))
    active = a * below
    error = active @ W2
    error += b2
    error += X
    error -= Y
    value = 0.5 / samples * np.vdot(error, error)
    error /= samples
    slope = np.exp(-0.5 * a * a)
    slope *= float(1 / np.sqrt(2 * np.pi))
    slope *= a
    slope += below
    slope *= error @ W2.T
    by_level = slope @ W1.T
    return value, (
        (by_level * normal).sum(0),
        by_level.sum(0),
        level.T @ slope,
        slope.sum(0),
        active.T @ error,
        error.sum(0),
    )


def torch_loss(torch: Any, X: Any, Y: Any, g: Any, s: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    """The loss in PyTorch, with its own layer normalisation and gelu."""
    functional = torch.nn.functional
    level = functional.layer_norm(X, (X.shape[1],), g, s, 1e-5)
    out = torch.addmm(b2, functional.gelu(torch.addmm(b1, level, W1)), W2)
    return 0.5 / X.shape[0] * (X + out - Y).square().sum()


def jax_loss(jax: Any, X: Any, Y: Any, g: Any, s: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    """The loss in JAX."""
    jnp = jax.numpy
    level = (X - X.mean(1, keepdims=True)) / jnp.sqrt(X.var(1, keepdims=True) + 1e-5) * g + s
    out = jax.nn.gelu(level @ W1 + b1, approximate=False) @ W2 + b2
    return 0.5 / X.shape[0] * jnp.square(X + out - Y).sum()


SIZES = (
    {"N": 32, "D": 32, "H": 64},
    {"N": 128, "D": 64, "H": 256},
    {"N": 1024, "D": 256, "H": 1024},
)

WORKLOAD = Workload("feed_forward", ("g", "s", "W1", "b1", "W2", "b2"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
