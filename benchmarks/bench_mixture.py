"""The likelihood of a mixture of Gaussians: log-sum-exp over the components."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Points around means that are a few standard deviations apart."""
    samples, width, components = (sizes[name] for name in "NDK")
    means = 3 * rng.standard_normal((components, width))
    return {
        "X": means[rng.integers(components, size=samples)] + rng.standard_normal((samples, width)),
        "a": 0.3 * rng.standard_normal(components),
        "M": means + 0.3 * rng.standard_normal((components, width)),
        "r": 0.2 * rng.standard_normal((components, width)),
    }


def by_hand(X: Array, a: Array, M: Array, r: Array) -> Result:
    """The distance of every point from every mean, once; responsibilities are a softmax."""
    samples, width = X.shape
    inverse = np.exp(-r)
    scaled = X[:, None, :] - M
    scaled *= inverse
    q = a - r.sum(1) - 0.5 * np.einsum("nkd,nkd->nk", scaled, scaled) - 0.5 * width * float(np.log(2 * np.pi))
    top = q.max(1, keepdims=True)
    e = np.exp(q - top)
    total = e.sum(1, keepdims=True)
    weights = np.exp(a - a.max())
    value = np.log(weights.sum()) + a.max() - (np.log(total).sum() + top.sum()) / samples
    e /= total
    e /= -samples
    return value, (
        e.sum(0) + weights / weights.sum(),
        np.einsum("nk,nkd->kd", e, scaled) * inverse,
        np.einsum("nk,nkd,nkd->kd", e, scaled, scaled) - e.sum(0)[:, None],
    )


def torch_loss(torch: Any, X: Any, a: Any, M: Any, r: Any) -> Any:
    """The loss in PyTorch."""
    scaled = (X[:, None, :] - M) * torch.exp(-r)
    q = a - r.sum(1) - 0.5 * scaled.square().sum(2) - 0.5 * X.shape[1] * float(np.log(2 * np.pi))
    return torch.logsumexp(a, 0) - torch.logsumexp(q, 1).mean()


def jax_loss(jax: Any, X: Any, a: Any, M: Any, r: Any) -> Any:
    """The loss in JAX."""
    scaled = (X[:, None, :] - M) * jax.numpy.exp(-r)
    q = a - r.sum(1) - 0.5 * jax.numpy.square(scaled).sum(2) - 0.5 * X.shape[1] * float(np.log(2 * np.pi))
    return jax.nn.logsumexp(a) - jax.nn.logsumexp(q, 1).mean()


SIZES = (
    {"N": 200, "D": 2, "K": 3},
    {"N": 1000, "D": 8, "K": 5},
    {"N": 20000, "D": 16, "K": 20},
)

WORKLOAD = Workload("mixture", ("a", "M", "r"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
