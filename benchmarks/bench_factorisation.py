"""Matrix factorisation with missing entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main

LAM = 1e-1


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Ratings of low rank with noise; half of them known."""
    users, products, rank = (sizes[name] for name in "NPK")
    u, v = rng.standard_normal((users, rank)), rng.standard_normal((products, rank))
    return {
        "R": u @ v.T + 0.1 * rng.standard_normal((users, products)),
        "M": (rng.random((users, products)) < 0.5).astype(float),
        "U": rng.standard_normal((users, rank)),
        "V": rng.standard_normal((products, rank)),
    }


def by_hand(R: Array, M: Array, U: Array, V: Array) -> Result:
    """The mask holds zeros and ones, so M ⊙ M = M and one masking is enough."""
    e = U @ V.T
    e -= R
    e *= M
    value = 0.5 * np.vdot(e, e) + LAM / 2 * (np.vdot(U, U) + np.vdot(V, V))
    return value, (e @ V + LAM * U, e.T @ U + LAM * V)


def torch_loss(torch: Any, R: Any, M: Any, U: Any, V: Any) -> Any:
    """The loss in PyTorch."""
    e = M * (R - U @ V.T)
    return 0.5 * (e * e).sum() + LAM / 2 * ((U * U).sum() + (V * V).sum())


def jax_loss(jax: Any, R: Any, M: Any, U: Any, V: Any) -> Any:
    """The loss in JAX."""
    e = M * (R - U @ V.T)
    return 0.5 * (e * e).sum() + LAM / 2 * ((U * U).sum() + (V * V).sum())


SIZES = ({"N": 50, "P": 40, "K": 5}, {"N": 1000, "P": 800, "K": 16})

WORKLOAD = Workload("factorisation", ("U", "V"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
