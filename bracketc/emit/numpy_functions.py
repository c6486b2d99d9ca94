"""The element-wise functions as NumPy calls; those that NumPy lacks are small functions of the module."""

from __future__ import annotations

UFUNCS = {
    "exp": "np.exp",
    "ln": "np.log",
    "log10": "np.log10",
    "log1p": "np.log1p",
    "expm1": "np.expm1",
    "abs": "np.abs",
    "sign": "np.sign",
    "sin": "np.sin",
    "cos": "np.cos",
    "tan": "np.tan",
    "asin": "np.arcsin",
    "acos": "np.arccos",
    "atan": "np.arctan",
    "sinh": "np.sinh",
    "cosh": "np.cosh",
    "tanh": "np.tanh",
    "max": "np.maximum",
    "min": "np.minimum",
    "pow": "np.power",
}
"""Functions that are one ufunc."""

WITH_CONSTANT = {"relu": ("np.maximum", "0"), "step": ("np.heaviside", "0")}
"""Functions that are a ufunc with a constant second argument."""

HELPERS = {
    "sigmoid": "_sigmoid",
    "softplus": "_softplus",
    "erf": "_erf",
    "lgamma": "_lgamma",
    "digamma": "_digamma",
    "trigamma": "_trigamma",
}
"""Functions that a module defines when it uses them; their text is ``templates/numpy/helpers/<function>.py.j2``."""


def python_function(function: str) -> tuple[str, tuple[str, ...]]:
    """The callable (it takes ``out=``) and its constant arguments behind the given ones."""
    if function in UFUNCS:
        return UFUNCS[function], ()
    if function in WITH_CONSTANT:
        name, constant = WITH_CONSTANT[function]
        return name, (constant,)
    return HELPERS[function], ()
