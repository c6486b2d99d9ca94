"""Two layers, softmax and cross-entropy: the small one is bound by the cost of calls, the large one by the products."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main, one_hot


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal arguments, weights scaled by the width, random labels."""
    samples, width, hidden, classes = (sizes[name] for name in "NDHK")
    return {
        "X": rng.standard_normal((samples, width)),
        "Y": one_hot(rng, samples, classes),
        "W1": rng.standard_normal((width, hidden)) / np.sqrt(width),
        "b1": np.zeros(hidden),
        "W2": rng.standard_normal((hidden, classes)) / np.sqrt(hidden),
        "b2": np.zeros(classes),
    }


def cross_entropy(a: Array, Y: Array) -> tuple[Any, Array]:
    """The mean over rows, and its gradient by ``a``, which is changed: rows of Y sum to one, so E = (softmax(A) - Y) / N."""
    a -= a.max(1, keepdims=True)
    e = np.exp(a)
    total = e.sum(1, keepdims=True)
    count = len(Y)
    value = (np.log(total).sum() - np.vdot(Y, a)) / count
    e /= total
    e -= Y
    e /= count
    return value, e


def by_hand(X: Array, Y: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Result:
    """Backpropagation, with as few temporaries as NumPy allows."""
    z = X @ W1
    z += b1
    np.tanh(z, out=z)
    a = z @ W2
    a += b2
    value, e = cross_entropy(a, Y)
    s = e @ W2.T
    s *= 1 - z * z
    return value, (X.T @ s, s.sum(0), z.T @ e, e.sum(0))


def torch_loss(torch: Any, X: Any, Y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    """The loss in PyTorch."""
    a = torch.addmm(b2, torch.tanh(torch.addmm(b1, X, W1)), W2)
    return -(Y * torch.log_softmax(a, 1)).sum() / len(X)


def jax_loss(jax: Any, X: Any, Y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    """The loss in JAX."""
    a = jax.numpy.tanh(X @ W1 + b1) @ W2 + b2
    return -(Y * jax.nn.log_softmax(a, 1)).sum() / len(X)


SIZES = (
    {"N": 32, "D": 64, "H": 64, "K": 10},
    {"N": 128, "D": 784, "H": 256, "K": 10},
    {"N": 1024, "D": 1024, "H": 1024, "K": 10},
)

WORKLOAD = Workload("classifier", ("W1", "b1", "W2", "b2"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
