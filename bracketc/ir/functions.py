"""The element-wise functions of the tensor IR: name, arity, and the scalar meaning that every backend must match.

Values at the edge of a domain follow NumPy. Derivatives live in ``calculus/``; conventions at kinks: ``step(0) = 0``,
``sign(0) = 0``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Function:
    """An element-wise function: ``evaluate`` is its meaning on float64 arrays of one shape."""

    name: str
    arity: int
    evaluate: Callable[..., Any]


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(np.isnan(x), x, np.where(x >= 0, 1.0, small) / (1.0 + small))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _digamma(x: float) -> float:
    """Recurrence up to 12, then the asymptotic series; reflection for x < 0 (Abramowitz and Stegun 6.3.6, 6.3.7, 6.3.18)."""
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x == math.inf:
        return x
    if x <= 0:
        if x == math.floor(x):
            return math.nan
        return _digamma(1 - x) - math.pi / math.tan(math.pi * (x - round(x)))  # of period 1, exact
    total = 0.0
    while x < 12:
        total -= 1 / x
        x += 1
    inverse = 1 / (x * x)
    series = inverse * (
        1 / 12
        - inverse
        * (1 / 120 - inverse * (1 / 252 - inverse * (1 / 240 - inverse * (1 / 132 - inverse * (691 / 32760 - inverse / 12)))))
    )
    return total + math.log(x) - 0.5 / x - series


def _trigamma(x: float) -> float:
    """Recurrence up to 12, then the asymptotic series; reflection for x < 0 (Abramowitz and Stegun 6.4.6, .7, .12)."""
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x <= 0:
        if x == math.floor(x):
            return math.inf
        return (math.pi / math.sin(math.pi * (x - round(x)))) ** 2 - _trigamma(1 - x)
    total = 0.0
    while x < 12:
        total += 1 / (x * x)
        x += 1
    inverse = 1 / (x * x)
    series = 0.0
    for coefficient in (7 / 6, 691 / 2730, 5 / 66, 1 / 30, 1 / 42, 1 / 30, 1 / 6):
        series = inverse * (coefficient - series)
    return total + (1 + 0.5 / x + series) / x


def _lgamma(x: float) -> float:
    if x == -math.inf or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


def _scalarwise(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """``function`` applied to each entry; slow, and only where NumPy has no such function."""
    return np.vectorize(function, otypes=[np.float64])


FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in (
        Function("exp", 1, np.exp),
        Function("ln", 1, np.log),
        Function("log10", 1, np.log10),
        Function("log1p", 1, np.log1p),
        Function("expm1", 1, np.expm1),
        Function("abs", 1, np.abs),
        Function("sign", 1, np.sign),
        Function("step", 1, lambda x: np.where(np.isnan(x), x, np.where(x > 0, 1.0, 0.0))),
        Function("sin", 1, np.sin),
        Function("cos", 1, np.cos),
        Function("tan", 1, np.tan),
        Function("asin", 1, np.arcsin),
        Function("acos", 1, np.arccos),
        Function("atan", 1, np.arctan),
        Function("sinh", 1, np.sinh),
        Function("cosh", 1, np.cosh),
        Function("tanh", 1, np.tanh),
        Function("sigmoid", 1, _sigmoid),
        Function("softplus", 1, _softplus),
        Function("relu", 1, lambda x: np.maximum(x, 0.0)),
        Function("erf", 1, _scalarwise(math.erf)),
        Function("lgamma", 1, _scalarwise(_lgamma)),
        Function("digamma", 1, _scalarwise(_digamma)),
        Function("trigamma", 1, _scalarwise(_trigamma)),
        Function("stop", 1, lambda x: x),  # a constant for every differential; gone after differentiation
        Function("max", 2, np.maximum),
        Function("min", 2, np.minimum),
        Function("pow", 2, np.power),
        Function("power", 1, np.power),  # exponent is a field of the node
    )
}
"""``sqrt`` is ``power`` with 1/2, a reciprocal ``power`` with -1; ``gelu`` is written by ``erf``."""
