"""The marginal likelihood of a Gaussian process: a factorisation, and its gradient by the kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from harness import Array, Arrays, Result, Sizes, Workload, main


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """A smooth function of standard normal inputs, with noise."""
    samples, width = sizes["N"], sizes["D"]
    x = rng.standard_normal((samples, width))
    return {
        "X": x,
        "y": np.sin(x.sum(1)) + 0.3 * rng.standard_normal(samples),
        "l": 0.2 * rng.standard_normal(width),
        "s": np.array(0.1),
        "e": np.array(-0.5),
    }


def by_hand(X: Array, y: Array, l: Array, s: Array, e: Array) -> Result:
    """∇[K](J) = 0.5 (inv(K) - w w^T) from one Cholesky factorisation; distances by coordinates."""
    samples = len(y)
    z = X * np.exp(-l)
    squares = (z * z).sum(1)
    distance = squares[:, None] + squares - 2 * (z @ z.T)
    signal = np.exp(2 * s) * np.exp(-0.5 * distance)
    noise = np.exp(2 * e)
    factor = cho_factor(signal + noise * np.eye(samples, dtype=X.dtype), lower=True)
    w = cho_solve(factor, y)
    value = 0.5 * (y @ w) + np.log(np.diag(factor[0])).sum() + 0.5 * samples * float(np.log(2 * np.pi))
    by_k = cho_solve(factor, np.eye(samples, dtype=X.dtype))
    by_k -= np.outer(w, w)
    by_k *= 0.5
    by_signal = by_k * signal
    by_l = 2 * (by_signal.sum(1) @ (z * z) - np.einsum("ij,id,jd->d", by_signal, z, z, optimize=True))
    return value, (by_l, 2 * by_signal.sum(), 2 * noise * np.trace(by_k))


def torch_loss(torch: Any, X: Any, y: Any, l: Any, s: Any, e: Any) -> Any:
    """The loss in PyTorch."""
    z = X * torch.exp(-l)
    squares = z.square().sum(1)
    distance = squares[:, None] + squares - 2 * z @ z.T
    eye = torch.eye(len(y), dtype=X.dtype)
    factor = torch.linalg.cholesky(torch.exp(2 * s) * torch.exp(-0.5 * distance) + torch.exp(2 * e) * eye)
    w = torch.cholesky_solve(y[:, None], factor)[:, 0]
    return 0.5 * y @ w + torch.log(torch.diagonal(factor)).sum() + 0.5 * len(y) * float(np.log(2 * np.pi))


def jax_loss(jax: Any, X: Any, y: Any, l: Any, s: Any, e: Any) -> Any:
    """The loss in JAX."""
    jnp = jax.numpy
    z = X * jnp.exp(-l)
    squares = jnp.square(z).sum(1)
    distance = squares[:, None] + squares - 2 * z @ z.T
    factor = jnp.linalg.cholesky(jnp.exp(2 * s) * jnp.exp(-0.5 * distance) + jnp.exp(2 * e) * jnp.eye(len(y)))
    w = jax.scipy.linalg.cho_solve((factor, True), y)
    return 0.5 * y @ w + jnp.log(jnp.diagonal(factor)).sum() + 0.5 * len(y) * float(np.log(2 * np.pi))


SIZES = (
    {"N": 50, "D": 2},
    {"N": 200, "D": 4},
    {"N": 500, "D": 8},
)

WORKLOAD = Workload("gaussian_process", ("l", "s", "e"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
