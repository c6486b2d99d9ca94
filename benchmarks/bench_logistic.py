"""Logistic regression with labels -1 and +1."""

from __future__ import annotations

import numpy as np

from harness import Workload, main


def data(rng, sizes):
    """Standard normal samples, random labels, small weights."""
    samples, width = sizes["N"], sizes["D"]
    return {
        "X": rng.standard_normal((samples, width)),
        "y": np.sign(rng.standard_normal(samples)),
        "w": 0.1 * rng.standard_normal(width),
    }


def by_hand(X, y, w):
    """∇w = -X^T (y sigmoid(-m)) with the margins m."""
    m = X @ w
    m *= y
    value = np.logaddexp(0, -m).sum()
    np.exp(m, out=m)
    m += 1
    np.divide(y, m, out=m)
    return value, (-(m @ X),)


def torch_loss(torch, X, y, w):
    """The loss in PyTorch."""
    return torch.nn.functional.softplus(-y * (X @ w)).sum()


def jax_loss(jax, X, y, w):
    """The loss in JAX."""
    return jax.numpy.logaddexp(0, -y * (X @ w)).sum()


SIZES = ({"N": 200, "D": 20}, {"N": 100_000, "D": 50})

WORKLOAD = Workload("logistic", ("w",), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
