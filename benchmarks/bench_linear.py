"""Linear regression with an L2 penalty: two passes over X, bound by memory once X leaves the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main

LAM = 1e-2


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal arguments."""
    samples, width = sizes["N"], sizes["D"]
    return {
        "X": rng.standard_normal((samples, width)),
        "y": rng.standard_normal(samples),
        "w": rng.standard_normal(width) / np.sqrt(width),
        "b": rng.standard_normal(()),
    }


def by_hand(X: Array, y: Array, w: Array, b: Array) -> Result:
    """∇w = X^T r / N + lam w, ∇b = mean(r)."""
    r = X @ w
    r += b
    r -= y
    count = len(r)
    value = (r @ r) / (2 * count) + LAM / 2 * (w @ w)
    r /= count
    return value, (r @ X + LAM * w, r.sum())


def torch_loss(torch: Any, X: Any, y: Any, w: Any, b: Any) -> Any:
    """The loss in PyTorch."""
    r = X @ w + b - y
    return (r @ r) / (2 * len(r)) + LAM / 2 * (w @ w)


def jax_loss(jax: Any, X: Any, y: Any, w: Any, b: Any) -> Any:
    """The loss in JAX."""
    r = X @ w + b - y
    return (r @ r) / (2 * len(r)) + LAM / 2 * (w @ w)


SIZES = ({"N": 200, "D": 20}, {"N": 100_000, "D": 50}, {"N": 20_000, "D": 1000})

WORKLOAD = Workload("linear", ("w", "b"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
