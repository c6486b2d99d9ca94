"""What the operations on matrices mean, in NumPy: the oracle of every backend, written for clearness.

Matrices stand in the last two axes; a right-hand side has the leading axes of its matrix, then its rows, then any number
of axes of columns. Beside the operations of the language there are those that planning makes of them, to share factors:

    lu (A)                 the factors of A with rows exchanged, n + 1 by n: L (its diagonal of ones left out) and U in one
                           square, then for each row the number of the one that it changed places with, from the first
    lu_inv lu_solve lu_det lu_logdet   of such factors; lu_solve_transposed with the transpose of the matrix
    cholesky_inv (L)       the inverse of L Lᵀ
    cholesky_solve (L, B)  X with L Lᵀ X = B
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ARITY = {
    **dict.fromkeys(("inv", "cholesky", "det", "logdet", "lu", "lu_inv", "lu_det", "lu_logdet", "cholesky_inv"), 1),
    **dict.fromkeys(("solve", "solve_lower", "solve_upper", "lu_solve", "lu_solve_transposed", "cholesky_solve"), 2),
}
"""How many arguments each operation takes."""

SCALARS = frozenset(("det", "logdet", "lu_det", "lu_logdet"))
"""Operations that give a number for each matrix."""


def _transposed(matrix: Array) -> Array:
    return np.swapaxes(matrix, -1, -2)


def _lu(matrix: Array) -> Array:
    n = matrix.shape[-1]
    factor = np.zeros((*matrix.shape[:-2], n + 1, n))
    for place in np.ndindex(matrix.shape[:-2]):
        a = np.array(matrix[place])
        for p in range(n):
            pivot = p + int(np.argmax(np.abs(a[p:, p])))
            a[[p, pivot]] = a[[pivot, p]]
            factor[place][n, p] = pivot
            if a[p, p] != 0:
                a[p + 1 :, p] /= a[p, p]
                a[p + 1 :, p + 1 :] -= np.outer(a[p + 1 :, p], a[p, p + 1 :])
        factor[place][:n] = a
    return factor


def _multiplied(factor: Array) -> Array:
    """The matrix that has these factors."""
    n = factor.shape[-1]
    square = factor[..., :n, :]
    matrix = (np.tril(square, -1) + np.eye(n)) @ np.triu(square)
    for place in np.ndindex(factor.shape[:-2]):
        for p in reversed(range(n)):
            pivot = int(factor[place][n, p])
            matrix[place][[p, pivot]] = matrix[place][[pivot, p]]
    return matrix


def _solve(matrix: Array, right: Array) -> Array:
    rows = right.reshape(*matrix.shape[:-1], -1) if right.size else np.zeros((*matrix.shape[:-1], 0))
    return np.asarray(np.linalg.solve(matrix, rows)).reshape(right.shape)


LINEAR_ALGEBRA: dict[str, Callable[..., Any]] = {
    "inv": np.linalg.inv,
    "solve": _solve,
    "cholesky": np.linalg.cholesky,
    "det": np.linalg.det,
    "logdet": lambda a: np.linalg.slogdet(a)[1],
    "solve_lower": lambda a, b: _solve(np.tril(a), b),
    "solve_upper": lambda a, b: _solve(np.triu(a), b),
    "lu": _lu,
    "lu_inv": lambda f: np.linalg.inv(_multiplied(f)),
    "lu_solve": lambda f, b: _solve(_multiplied(f), b),
    "lu_solve_transposed": lambda f, b: _solve(_transposed(_multiplied(f)), b),
    "lu_det": lambda f: np.linalg.det(_multiplied(f)),
    "lu_logdet": lambda f: np.linalg.slogdet(_multiplied(f))[1],
    "cholesky_inv": lambda factor: np.linalg.inv(factor @ _transposed(factor)),
    "cholesky_solve": lambda factor, b: _solve(factor @ _transposed(factor), b),
}
"""Each operation as a function of arrays."""
