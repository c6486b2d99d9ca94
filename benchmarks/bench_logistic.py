"""Logistic regression with labels -1 and +1."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal samples, random labels, small weights."""
    samples, width = sizes["N"], sizes["D"]
    return {
        "X": rng.standard_normal((samples, width)),
        "y": np.sign(rng.standard_normal(samples)),
        "w": 0.1 * rng.standard_normal(width),
    }


def by_hand(X: Array, y: Array, w: Array) -> Result:
    """∇w = -X^T (y sigmoid(-m)) with the margins m."""
    m = X @ w
    m *= y
    value = np.logaddexp(0, -m).sum()
    np.exp(m, out=m)
    m += 1
    np.divide(y, m, out=m)
    return value, (-(m @ X),)


def torch_loss(torch: Any, X: Any, y: Any, w: Any) -> Any:
    """The loss in PyTorch."""
    return torch.nn.functional.softplus(-y * (X @ w)).sum()


def jax_loss(jax: Any, X: Any, y: Any, w: Any) -> Any:
    """The loss in JAX."""
    return jax.numpy.logaddexp(0, -y * (X @ w)).sum()


SIZES = ({"N": 200, "D": 20}, {"N": 100_000, "D": 50}, {"N": 20_000, "D": 1000})

WORKLOAD = Workload("logistic", ("w",), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
