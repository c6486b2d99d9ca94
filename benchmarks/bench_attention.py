"""One layer of a decoder: layer normalisation, causal attention with several heads, residual connection."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Array, Arrays, Result, Sizes, Workload, main

MASKED = -1e30


def data(rng: np.random.Generator, sizes: Sizes) -> Arrays:
    """Standard normal inputs, weights scaled by the width."""
    batch, positions, width, heads, entries = (sizes[name] for name in "BTDHE")
    return {
        "X": rng.standard_normal((batch, positions, width)),
        "Y": rng.standard_normal((batch, positions, width)),
        "g": 1 + 0.1 * rng.standard_normal(width),
        "s": 0.1 * rng.standard_normal(width),
        "WQ": rng.standard_normal((width, heads, entries)) / np.sqrt(width),
        "WK": rng.standard_normal((width, heads, entries)) / np.sqrt(width),
        "WV": rng.standard_normal((width, heads, entries)) / np.sqrt(width),
        "WO": rng.standard_normal((heads, entries, width)) / np.sqrt(heads * entries),
    }


def by_hand(X: Array, Y: Array, g: Array, s: Array, WQ: Array, WK: Array, WV: Array, WO: Array) -> Result:
    """Projections as products of matrices, attention as batched ones with heads in front."""
    batch, positions, width = X.shape
    heads, entries = WQ.shape[1:]
    rows = batch * positions

    def split(product: Array) -> Array:
        return product.reshape(batch, positions, heads, entries).transpose(0, 2, 1, 3)

    def join(parts: Array) -> Array:
        return parts.transpose(0, 2, 1, 3).reshape(rows, heads * entries)

    x = X.reshape(rows, width)
    centred = x - x.mean(1, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(1, keepdims=True) + 1e-5)
    normal = centred * scale
    level = normal * g + s
    wq, wk, wv = (w.reshape(width, heads * entries) for w in (WQ, WK, WV))
    wo = WO.reshape(heads * entries, width)
    q, k, u = split(level @ wq), split(level @ wk), split(level @ wv)
    root = float(np.sqrt(entries))
    a = q @ k.transpose(0, 1, 3, 2)
    a /= root
    a[:, :, ~np.tri(positions, dtype=bool)] = MASKED
    a -= a.max(3, keepdims=True)
    np.exp(a, out=a)
    a /= a.sum(3, keepdims=True)
    joined = join(a @ u)
    error = x + joined @ wo - Y.reshape(rows, width)
    value = 0.5 / rows * np.vdot(error, error)
    error /= rows
    by_joined = split(error @ wo.T)
    by_u = a.transpose(0, 1, 3, 2) @ by_joined
    by_a = by_joined @ u.transpose(0, 1, 3, 2)
    by_a -= (by_a * a).sum(3, keepdims=True)
    by_a *= a
    by_a /= root
    d_q, d_k, d_u = join(by_a @ k), join(by_a.transpose(0, 1, 3, 2) @ q), join(by_u)
    by_level = d_q @ wq.T + d_k @ wk.T + d_u @ wv.T
    return value, (
        (by_level * normal).sum(0),
        by_level.sum(0),
        (level.T @ d_q).reshape(WQ.shape),
        (level.T @ d_k).reshape(WK.shape),
        (level.T @ d_u).reshape(WV.shape),
        (joined.T @ error).reshape(WO.shape),
    )


def torch_loss(torch: Any, X: Any, Y: Any, g: Any, s: Any, WQ: Any, WK: Any, WV: Any, WO: Any) -> Any:
    """The loss in PyTorch, with its own layer normalisation and attention."""
    batch, positions, width = X.shape
    heads, entries = WQ.shape[1:]
    functional = torch.nn.functional
    level = functional.layer_norm(X, (width,), g, s, 1e-5)

    def head(w: Any) -> Any:
        return (level @ w.reshape(width, -1)).reshape(batch, positions, heads, entries).transpose(1, 2)

    o = functional.scaled_dot_product_attention(head(WQ), head(WK), head(WV), is_causal=True)
    out = o.transpose(1, 2).reshape(batch, positions, -1) @ WO.reshape(-1, width)
    return 0.5 / (batch * positions) * (X + out - Y).square().sum()


def jax_loss(jax: Any, X: Any, Y: Any, g: Any, s: Any, WQ: Any, WK: Any, WV: Any, WO: Any) -> Any:
    """The loss in JAX."""
    jnp = jax.numpy
    positions, entries = X.shape[1], WQ.shape[2]
    level = (X - X.mean(2, keepdims=True)) / jnp.sqrt(X.var(2, keepdims=True) + 1e-5) * g + s
    q, k, u = (jnp.einsum("btd,dhe->bhte", level, w) for w in (WQ, WK, WV))
    scores = jnp.where(jnp.tri(positions, dtype=bool), q @ k.swapaxes(2, 3) / np.sqrt(entries), MASKED)
    o = jax.nn.softmax(scores, 3) @ u
    return 0.5 / (X.shape[0] * positions) * jnp.square(X + jnp.einsum("bhte,hed->btd", o, WO) - Y).sum()


SIZES = (
    {"B": 4, "T": 16, "D": 32, "H": 4, "E": 8},
    {"B": 8, "T": 64, "D": 64, "H": 4, "E": 16},
    {"B": 4, "T": 256, "D": 256, "H": 8, "E": 32},
)

WORKLOAD = Workload("attention", ("g", "s", "WQ", "WK", "WV", "WO"), SIZES, data, by_hand, torch_loss, jax_loss)

if __name__ == "__main__":
    main(WORKLOAD)
