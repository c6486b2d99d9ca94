"""One fully connected layer for regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal arguments, weights scaled by the width."""
    samples, width, outputs = sizes["N"], sizes["D"], sizes["H"]
    return {
        "X": rng.standard_normal((samples, width)),
        "Y": rng.standard_normal((samples, outputs)),
        "W": rng.standard_normal((width, outputs)) / np.sqrt(width),
        "b": rng.standard_normal(outputs),
    }


def by_hand(X: Array, Y: Array, W: Array, b: Array) -> Result:
    """∇W = X^T (Z ⊙ C), ∇b = column sums of Z ⊙ C."""
    h = X @ W
    h += b
    np.tanh(h, out=h)
    z = h - Y
    value = 0.5 * np.vdot(z, z)
    h *= h
    np.subtract(1, h, out=h)
    z *= h
    return value, (X.T @ z, z.sum(0))


def torch_loss(torch: Any, X: Any, Y: Any, W: Any, b: Any) -> Any:
    """The loss in PyTorch."""
    z = torch.tanh(torch.addmm(b, X, W)) - Y
    return 0.5 * (z * z).sum()


def jax_loss(jax: Any, X: Any, Y: Any, W: Any, b: Any) -> Any:
    """The loss in JAX."""
    z = jax.numpy.tanh(X @ W + b) - Y
    return 0.5 * (z * z).sum()


SIZES = ({"N": 32, "D": 64, "H": 32}, {"N": 1024, "D": 512, "H": 256})

WORKLOAD = Workload("single_layer", ("W", "b"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
