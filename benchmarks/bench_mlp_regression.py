"""A regression network of three layers with weight decay."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main

LAM = 1e-3
WIDTHS = (8, 32, 32, 2)  # those of models/mlp_regression.brk
LAYERS = len(WIDTHS) - 1
WEIGHTS = tuple(f"W{j}" for j in range(1, LAYERS + 1))
OFFSETS = tuple(f"b{j}" for j in range(1, LAYERS + 1))


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal arguments, weights scaled by the width."""
    samples = sizes["N"]
    pairs = list(pairwise(WIDTHS))
    return {
        "X": rng.standard_normal((samples, WIDTHS[0])),
        "Y": rng.standard_normal((samples, WIDTHS[-1])),
        **{name: rng.standard_normal(pair) / np.sqrt(pair[0]) for name, pair in zip(WEIGHTS, pairs, strict=True)},
        **{name: rng.standard_normal(pair[1]) for name, pair in zip(OFFSETS, pairs, strict=True)},
    }


def by_hand(X: Array, Y: Array, **params: Array) -> Result:
    """Backpropagation: S_j = ∇Z_j ⊙ (1 - Z_j²), ∇W_j = Z_{j-1}^T S_j + lam W_j."""
    weights = [params[name] for name in WEIGHTS]
    layers = [X]
    for weight, name in zip(weights, OFFSETS, strict=True):
        a = layers[-1] @ weight
        a += params[name]
        layers.append(np.tanh(a, out=a))
    s = layers[-1] - Y
    count = len(X)
    value = np.vdot(s, s) / (2 * count) + LAM / 2 * sum(np.vdot(weight, weight) for weight in weights)
    s /= count
    by_weight, by_offset = [], []
    for j in reversed(range(LAYERS)):
        s *= 1 - layers[j + 1] ** 2
        by_weight.append(layers[j].T @ s + LAM * weights[j])
        by_offset.append(s.sum(0))
        if j:
            s = s @ weights[j].T
    return value, (*by_weight[::-1], *by_offset[::-1])


def torch_loss(torch: Any, X: Any, Y: Any, **params: Any) -> Any:
    """The loss in PyTorch."""
    z = X
    for weight, offset in zip(WEIGHTS, OFFSETS, strict=True):
        z = torch.tanh(torch.addmm(params[offset], z, params[weight]))
    return ((z - Y) ** 2).sum() / (2 * len(X)) + LAM / 2 * sum((params[name] ** 2).sum() for name in WEIGHTS)


def jax_loss(jax: Any, X: Any, Y: Any, **params: Any) -> Any:
    """The loss in JAX."""
    z = X
    for weight, offset in zip(WEIGHTS, OFFSETS, strict=True):
        z = jax.numpy.tanh(z @ params[weight] + params[offset])
    return ((z - Y) ** 2).sum() / (2 * len(X)) + LAM / 2 * sum((params[name] ** 2).sum() for name in WEIGHTS)


SIZES = ({"N": 32}, {"N": 4096})

WORKLOAD = Workload("mlp_regression", WEIGHTS + OFFSETS, SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
