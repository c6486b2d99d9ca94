"""Vectorised elementary functions of the emitted C: which exist, what they need, and their text.

Each works on one whole register, ``vec v<name>_<suffix>(vec x)``; tails are padded and go through the same
function, so equal inputs give equal bits.  ``functions_text(view, "float32", ("tanh",))`` emits ``tanh`` and
the helpers it needs, each once, in order of need.
"""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.emit.kernels import KernelView
from bracketc.emit.mathconstants import MATH_CONSTANTS
from bracketc.emit.resources import render

_NEEDS: dict[str, tuple[str, ...]] = {
    "core": (),
    "exp_reduce": ("core",),
    "exp": ("exp_reduce",),
    "expm1": ("exp_reduce",),
    "log_reduce": ("core",),
    "log": ("log_reduce",),
    "log1p": ("log_reduce",),
    "tanh": ("expm1",),
    "sigmoid": ("exp",),
    "softplus": ("exp", "log1p"),
    "trig_reduce": ("core",),
    "sin": ("trig_reduce",),
    "cos": ("trig_reduce",),
    "erf": ("exp",),
    "sqrt": (),
}
"""Own versions, helpers among them, each after what it needs."""

_LIBM_1 = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cosh", "erfc", "exp2", "floor",
    "lgamma", "log10", "log2", "rint", "round", "sinh", "tan", "tgamma", "trunc",
)  # fmt: skip
_LIBM_2 = ("atan2", "fmod", "hypot", "pow")

UNARY_FUNCTIONS: tuple[str, ...] = (
    "cos", "erf", "exp", "expm1", "log", "log1p", "sigmoid", "sin", "softplus", "sqrt", "tanh", *_LIBM_1,
)  # fmt: skip
"""Names that take one register; ``core``, always emitted, adds vabs, vcopysign, vmax, vmin and vselect."""

BINARY_FUNCTIONS: tuple[str, ...] = _LIBM_2
"""Names that take two registers."""


def functions_text(view: KernelView, dtype: str, used: Iterable[str]) -> str:
    """C text of ``core`` and of the functions ``used``, each after what it needs, in an order fixed by the names."""
    wanted = {"core"}
    pending = sorted(set(used))
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend(_NEEDS.get(name, ()))
    constants = MATH_CONSTANTS[dtype]
    parts = [render(f"c/math/{name}.h.j2", v=view, m=constants) for name in _NEEDS if name in wanted]
    parts += [render("c/math/libm1.h.j2", v=view, f=name) for name in _LIBM_1 if name in wanted]
    parts += [render("c/math/libm2.h.j2", v=view, f=name) for name in _LIBM_2 if name in wanted]
    unknown = wanted.difference(_NEEDS, _LIBM_1, _LIBM_2)
    assert not unknown, f"no vector function {sorted(unknown)}"
    return "\n".join(parts)
