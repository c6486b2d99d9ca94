"""Stochastic gradient descent with momentum on a generated module.

All parameters live in one vector and the module gets views of it, its gradients likewise.  A step of the optimiser is
then four NumPy operations, whatever the number of parameters, and the kernel writes into the same memory every time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SHAPES = {"W1": (64, 64), "b1": (64,), "W2": (64, 10), "b2": (10,)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; the defaults are what the demonstration uses."""

    epochs: int = 25
    batch: int = 32
    rate: float = 0.1
    momentum: float = 0.9
    seed: int = 0


@dataclass(slots=True)
class History:
    """Loss of every step, and the test accuracy after every epoch."""

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


def flat(shapes: Mapping[str, tuple[int, ...]], dtype: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One vector of zeros, and a view of it for every shape.

    >>> vector, views = flat({"W": (2, 3), "b": (3,)}, "float64")
    >>> views["b"][:] = 1
    >>> vector
    array([0., 0., 0., 0., 0., 0., 1., 1., 1.])
    """
    vector = np.zeros(sum(math.prod(shape) for shape in shapes.values()), dtype)
    views, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        views[name] = vector[start : start + size].reshape(shape)
        start += size
    return vector, views


def initialise(views: Mapping[str, np.ndarray], rng: np.random.Generator) -> None:
    """Draw the matrices so that a layer keeps the size of its input; vectors start at 0."""
    for view in views.values():
        view[...] = rng.standard_normal(view.shape) / np.sqrt(view.shape[0]) if view.ndim == 2 else 0


def rate_at(step: int, steps: int, rate: float) -> float:
    """Half a cosine: from `rate` down to 0.

    >>> [round(rate_at(step, 4, 1.0), 2) for step in range(5)]
    [1.0, 0.85, 0.5, 0.15, 0.0]
    """
    return rate * 0.5 * (1 + math.cos(math.pi * step / steps))


def momentum_step(
    vector: np.ndarray, velocity: np.ndarray, gradient: np.ndarray, rate: float, momentum: float
) -> None:
    """velocity ← momentum velocity - rate gradient;  vector ← vector + velocity;  destroys the gradient."""
    velocity *= momentum
    gradient *= rate
    velocity -= gradient
    vector += velocity


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose largest score stands at the label.

    >>> accuracy(np.array([[1.0, 3.0], [2.0, 0.0]]), np.array([1, 1]))
    0.5
    """
    return float((scores.argmax(1) == labels).mean())


def train(
    module: Any,
    train_set: tuple[np.ndarray, np.ndarray],
    evaluate: Callable[[Mapping[str, np.ndarray]], float],
    recipe: Recipe,
    dtype: str = "float32",
    report: Callable[[int, History], None] = lambda epoch, history: None,
) -> tuple[dict[str, np.ndarray], History]:
    """Train on images and one-hot labels; returns the parameters and what happened on the way.

    `module` is what `bracketc build` wrote for models/digits.brk; `evaluate` turns parameters into a test accuracy.
    """
    images, targets = (array.astype(dtype) for array in train_set)
    rng = np.random.default_rng(recipe.seed)
    vector, params = flat(SHAPES, dtype)
    gradient, gradients = flat(SHAPES, dtype)
    velocity = np.zeros_like(vector)
    initialise(params, rng)

    X = np.empty((recipe.batch, images.shape[1]), dtype)
    Y = np.empty((recipe.batch, targets.shape[1]), dtype)
    value = np.zeros((), dtype)
    step = module.value_and_grad.bind(X=X, Y=Y, **params, out=(value, tuple(gradients.values())))

    history, count = History(), 0
    steps = recipe.epochs * (len(images) // recipe.batch)
    for epoch in range(1, recipe.epochs + 1):
        order = rng.permutation(len(images))
        for start in range(0, len(images) - recipe.batch + 1, recipe.batch):
            chosen = order[start : start + recipe.batch]
            np.take(images, chosen, axis=0, out=X, mode="clip")
            np.take(targets, chosen, axis=0, out=Y, mode="clip")
            step()
            history.losses.append(float(value))
            momentum_step(vector, velocity, gradient, rate_at(count, steps, recipe.rate), recipe.momentum)
            count += 1
        history.accuracies.append(evaluate(params))
        report(epoch, history)
    return params, history
