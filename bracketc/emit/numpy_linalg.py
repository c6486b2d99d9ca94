"""Operations on matrices as calls of ``np.linalg``, in small functions that say what failed.

    inv(A)         _linear_algebra(np.linalg.inv, "inv(A)", A)
    solve(A, b)    _linear_algebra(np.linalg.solve, "solve(A)", A, b[..., None])[..., 0]
"""

from __future__ import annotations

from collections.abc import Callable

from bracketc.emit.layout import literal
from bracketc.ir.dims import Dim
from bracketc.ir.linear_algebra import ARITY
from bracketc.plan.schedule import Buffer, Factorise

_DIRECT = {"inv": "np.linalg.inv", "solve": "np.linalg.solve", "cholesky": "np.linalg.cholesky"}
_TRIANGLES = {"solve_lower": "False", "solve_upper": "True"}


def linalg_expression(
    step: Factorise, name: Callable[[Buffer], str], size: Callable[[Dim], str], helpers: dict[str, None], silent: bool
) -> str:
    """The call for ``step``; ``helpers`` collects the functions that it needs, ``silent`` puts NaN where there is no result."""
    args = [name(arg) for arg in step.args]
    if step.operator == "det":
        return f"np.linalg.det({args[0]})"
    if step.operator == "logdet":
        return f"np.linalg.slogdet({args[0]})[1]"
    helpers.setdefault("no_result_nan" if silent else "no_result_raise")
    behind = ""
    if ARITY[step.operator] == 2:
        args[1], behind = _columns(step, args[1], size)
    about = literal(step.about)
    if step.operator in _DIRECT:
        helpers.setdefault("linear_algebra")
        return f"_linear_algebra({', '.join((_DIRECT[step.operator], about, *args))}){behind}"
    helpers.setdefault("triangle")
    if step.operator in _TRIANGLES:
        return f"_triangle({', '.join((about, _TRIANGLES[step.operator], *args))}){behind}"
    helpers.setdefault(step.operator)
    return f"_{step.operator}({', '.join((about, *args))}){behind}"


def _columns(step: Factorise, right: str, size: Callable[[Dim], str]) -> tuple[str, str]:
    """The right-hand side with one axis of columns, and what gives the result its own axes back."""
    matrix, columns = step.args[0].rank, step.args[1].shape[step.args[0].rank - 1 :]
    if len(columns) == 1:
        return right, ""
    if not columns:
        return f"{right}[..., None]", "[..., 0]"
    count = Dim.of(1)
    for extent in columns:
        count = count * extent
    return f"{right}.reshape(*{right}.shape[:{matrix - 1}], {size(count)})", f".reshape({right}.shape)"
