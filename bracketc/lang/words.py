"""The words of the language: statement keywords, reserved names, builtin functions, traits.

Elaboration looks functions up here too, so a function is known to the parser exactly when it has a meaning.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

REQUESTS = ("gradient", "jacobian", "hessian", "jvp", "vjp", "hvp")
"""Statements ``kind target wrt names``."""

STATEMENTS = ("dim", "input", "param", "const", "function", "output", *REQUESTS, "derivation", "import")
"""Words that begin a statement when a name follows; anywhere else they are names."""

ELEMENTWISE = frozenset((
    "exp", "ln", "log10", "log1p", "expm1", "sqrt", "abs", "sign", "step", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "sigmoid", "softplus", "relu", "gelu", "erf", "lgamma", "digamma",
    "trigamma", "max", "min", "pow",
))  # fmt: skip
"""Functions of scalars, applied element by element."""

REDUCTIONS = frozenset(("sum", "prod", "max", "min", "mean", "logsumexp", "softmax", "norm", "norm2"))
"""Functions that take labels, ``sum[i,j](…)``; without labels they run over all entries of one argument."""

TENSOR_FUNCTIONS = frozenset((
    "softmax", "logsumexp", "norm", "norm2", "tr", "det", "logdet", "inv", "solve", "chol", "diag", "vec",
    "eye", "range", "stack", "sum", "prod", "max", "min", "mean",
))  # fmt: skip
"""Functions of whole tensors, which ``f^P(A)`` maps."""

FUNCTIONS = ELEMENTWISE | TENSOR_FUNCTIONS

RESERVED = frozenset(("for", "where", "ones", "iota", "delta", "grad", "Jac", "stop", "ox", "pi", "𝟏", "ι", "δ"))
"""Names that nobody may declare, besides those of functions."""

TRAITS = (
    "symmetric", "diagonal", "lower", "upper", "orthogonal", "positive", "nonzero", "onehot", "stochastic",
    "integer",
)  # fmt: skip
"""First words of the traits; they end the list of dims of an argument."""

TRAIT_ENDINGS = {"onehot": "rows", "stochastic": "rows", "integer": "in"}
"""Words that must follow the first word of a trait."""

LAYOUTS = ("jacobian", "gradient", "row", "column", "transposed", "vec", "flat")

UNKNOWN_FUNCTIONS = {
    "log": "the natural logarithm is ln, the decimal one log10",
    "eig": "eigenvalues are not part of the language",
    "arcsin": "it is asin here",
    "arccos": "it is acos here",
    "arctan": "it is atan here",
    "transpose": "the transpose is X^T",
    "trace": "it is tr here",
    "dot": "the inner product is a · b",
    "matmul": "the matrix product is X @ Y",
    "einsum": "an einsum is an index bracket: (A_ij B_jk | ik)",
    "inverse": "it is inv here",
    "relu6": "write min(max(x, 0), 6)",
}
"""What people type first, and what to type instead."""

UNKNOWN_NAMES = {
    "e": "the exponential function is exp(x); a one-hot tensor is e⟨i,j⟩",
    "Σ": "a sum over labels is sum[i](…), or a label left out right of the bar: (x_i | )",
    "π": "it is pi here",
    "I": "declare it: const I = eye(N)",
    "T": "the transpose is X^T",
}
"""The same for names that are no functions."""


def is_reserved(name: str) -> bool:
    """Whether nobody may declare ``name``: a reserved word or the name of a builtin function."""
    return name in RESERVED or name in FUNCTIONS


def nearest(word: str, known: Iterable[str], likeness: float = 0.7) -> str | None:
    """The known word that is spelled most like ``word``: ``inptu`` -> input, ``Alpha`` -> alpha, ``tahn`` -> tanh.

    None when none is near.
    """
    names = sorted(known)
    plain = _plain(word)
    alike = [name for name in names if _plain(name) == plain]
    if alike:
        return alike[0]
    found = difflib.get_close_matches(word[:40], names, n=3, cutoff=likeness)
    swapped = [name for name in found if sorted(name) == sorted(word)]
    return next(iter((*swapped, *found)), None)


def _plain(word: str) -> str:
    """``word`` without case and accents."""
    letters = unicodedata.normalize("NFKD", word[:40])
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
