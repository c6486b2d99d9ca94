"""The library of the emitted C: which functions exist, what they need, and their text.

A vectorised elementary function works on one whole register, ``vec v<name>_<suffix>(vec x)``; tails are padded and go
through the same function, so equal inputs give equal bits.  ``functions_text(view, "float32", ("tanh",))`` emits
``tanh`` and the helpers it needs, each once, in order of need.
"""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.emit.kernels import KernelView
from bracketc.emit.mathconstants import MATH_CONSTANTS
from bracketc.emit.resources import render

_LANES: dict[str, tuple[str, ...]] = {
    "select": (),
    "any": (),
    "numbers": (),
    "index": (),
    "truth": (),
    "delta": ("numbers", "truth"),
    "keep_first": ("select", "numbers"),
    "larger": (),
    "smaller": (),
    "sum_lanes": (),
    "prod_lanes": (),
    "max_lanes": ("select",),
    "min_lanes": ("select",),
    "load_strided": (),
    "store_strided": (),
    "store_past": (),
    "turn": (),
    "register_tile": (),
    "rows_together": (),
}
"""What works on lanes of any kind, each after what it needs."""

_NEEDS: dict[str, tuple[str, ...]] = {
    "abs": (),
    "copysign": (),
    "max": ("select",),
    "min": ("select",),
    "relu": ("select",),
    "step": ("select",),
    "sign": ("select",),
    "finite_or_zero": ("select",),
    "power_of_two": (),
    "exp_reduce": (),
    "exp": ("select", "power_of_two", "exp_reduce"),
    "expm1": ("select", "power_of_two", "exp_reduce"),
    "log_reduce": (),
    "log": ("select", "log_reduce"),
    "log1p": ("select", "log_reduce"),
    "tanh": ("abs", "copysign", "expm1"),
    "sigmoid": ("abs", "exp"),
    "softplus": ("abs", "exp", "log1p"),
    "trig_reduce": ("select",),
    "sin": ("abs", "any", "trig_reduce"),
    "cos": ("abs", "any", "trig_reduce"),
    "erf": ("abs", "copysign", "exp"),
    "sqrt": (),
    "digamma": (),
    "trigamma": (),
}
"""Own versions, helpers among them, each after what it needs."""

_MATRICES: dict[str, tuple[str, ...]] = {
    "lapack": (),
    "no_lapack": (),
    "spoil": (),
    "small": (),
    "tools": (),
    "triangles": ("tools",),
    "gram": ("tools",),
    "lu": ("triangles",),
    "lu_solve": ("lu",),
    "lu_solve_transposed": ("lu",),
    "lu_inv": ("lu",),
    "lu_det": ("lu",),
    "lu_logdet": ("lu",),
    "solve": ("lu_solve",),
    "inv": ("lu_inv",),
    "det": ("lu_det",),
    "logdet": ("lu_logdet",),
    "cholesky": ("gram", "triangles"),
    "cholesky_solve": ("triangles",),
    "cholesky_inv": ("gram", "triangles"),
    "solve_lower": ("triangles",),
    "solve_upper": ("triangles",),
}
"""Operations on one matrix, under the names of the schedule, each after what it needs; they stand behind the contractions, which
do most of their work."""

_PRODUCTS = frozenset(("contract_lanes", "contract_made", "contract_symmetric"))
"""Forms of contractions that only some modules need."""

_ALONE = frozenset(("small", "spoil", "lapack", "no_lapack"))
"""Those that need no contraction."""

LIBM_1 = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cosh", "erfc", "exp2", "floor",
    "lgamma", "log10", "log2", "rint", "round", "sinh", "tan", "tgamma", "trunc",
)  # fmt: skip
LIBM_2 = ("atan2", "fmod", "hypot", "pow")

UNARY_FUNCTIONS: tuple[str, ...] = (
    "abs", "cos", "digamma", "erf", "exp", "expm1", "finite_or_zero", "log", "log1p", "relu", "sigmoid", "sign", "sin",
    "softplus", "sqrt", "step", "tanh", "trigamma", *LIBM_1,
)  # fmt: skip
"""Names that take one register."""

BINARY_FUNCTIONS: tuple[str, ...] = ("max", "min", *LIBM_2)
"""Names that take two registers."""

C_NAMES = {"ln": "log"}
"""Functions of the tensor IR that are called otherwise here."""


def vector_name(function: str) -> str:
    """The name here of a function of the tensor IR: ``ln`` is ``log``."""
    return C_NAMES.get(function, function)


def functions_text(view: KernelView, dtype: str, used: Iterable[str]) -> str:
    """C text of the pieces ``used``, each after what it needs, in an order fixed by the tables."""
    wanted = _with_needs(used)
    constants = MATH_CONSTANTS[dtype]
    parts = [render(f"c/lanes/{name}.h.j2", v=view) for name in _LANES if name in wanted]
    parts += [render(f"c/math/{name}.h.j2", v=view, m=constants) for name in _NEEDS if name in wanted]
    parts += [render("c/math/libm1.h.j2", v=view, f=name) for name in LIBM_1 if name in wanted]
    parts += [render("c/math/libm2.h.j2", v=view, f=name) for name in LIBM_2 if name in wanted]
    unknown = wanted.difference(_LANES, _NEEDS, _MATRICES, _PRODUCTS, LIBM_1, LIBM_2)
    assert not unknown, f"no vector function {sorted(unknown)}"
    return "\n".join(parts)


def needs_products(used: Iterable[str]) -> bool:
    """Whether one of the operations ``used`` multiplies matrices."""
    return any(name in _MATRICES and name not in _ALONE for name in used)


def matrices_text(view: KernelView, used: Iterable[str]) -> str:
    """C text of the operations on matrices among ``used``, each after what it needs."""
    wanted = _with_needs(used)
    return "\n".join(render(f"c/linalg/{name}.h.j2", v=view) for name in _MATRICES if name in wanted)


def _with_needs(used: Iterable[str]) -> set[str]:
    """``used`` and everything that it needs; for membership tests only."""
    wanted: set[str] = set()
    pending = sorted(set(used))
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend((*_LANES.get(name, ()), *_NEEDS.get(name, ()), *_MATRICES.get(name, ())))
    return wanted
