"""Three layers, softmax and cross-entropy: bound by the products."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench_classifier import cross_entropy
from harness import Array, Arrays, Result, Sizes, Workload, main, one_hot


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal arguments, weights scaled by the width, random labels."""
    samples, width, first, second, classes = (sizes[name] for name in "NDHPK")
    return {
        "X": rng.standard_normal((samples, width)),
        "Y": one_hot(rng, samples, classes),
        "W1": rng.standard_normal((width, first)) / np.sqrt(width),
        "b1": np.zeros(first),
        "W2": rng.standard_normal((first, second)) / np.sqrt(first),
        "b2": np.zeros(second),
        "W3": rng.standard_normal((second, classes)) / np.sqrt(second),
        "b3": np.zeros(classes),
    }


def by_hand(X: Array, Y: Array, W1: Array, b1: Array, W2: Array, b2: Array, W3: Array, b3: Array) -> Result:
    """Backpropagation, with as few temporaries as NumPy allows."""
    z1 = X @ W1
    z1 += b1
    np.tanh(z1, out=z1)
    z2 = z1 @ W2
    z2 += b2
    np.tanh(z2, out=z2)
    a = z2 @ W3
    a += b3
    value, e = cross_entropy(a, Y)
    s2 = e @ W3.T
    s2 *= 1 - z2 * z2
    s1 = s2 @ W2.T
    s1 *= 1 - z1 * z1
    return value, (X.T @ s1, s1.sum(0), z1.T @ s2, s2.sum(0), z2.T @ e, e.sum(0))


def torch_loss(torch: Any, X: Any, Y: Any, W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> Any:
    """The loss in PyTorch."""
    z = torch.tanh(torch.addmm(b2, torch.tanh(torch.addmm(b1, X, W1)), W2))
    return -(Y * torch.log_softmax(torch.addmm(b3, z, W3), 1)).sum() / len(X)


def jax_loss(jax: Any, X: Any, Y: Any, W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> Any:
    """The loss in JAX."""
    z = jax.numpy.tanh(jax.numpy.tanh(X @ W1 + b1) @ W2 + b2)
    return -(Y * jax.nn.log_softmax(z @ W3 + b3, 1)).sum() / len(X)


SIZES = (
    {"N": 128, "D": 784, "H": 256, "P": 128, "K": 10},
    {"N": 1024, "D": 1024, "H": 1024, "P": 1024, "K": 10},
)

WORKLOAD = Workload(
    "deep_classifier", ("W1", "b1", "W2", "b2", "W3", "b3"), SIZES, data, by_hand, torch_loss, jax_loss
)

if __name__ == "__main__":
    main(WORKLOAD)
