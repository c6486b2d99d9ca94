"""Operations on matrices as views: one call a matrix, and what becomes of a matrix that has no result."""

from __future__ import annotations

from bracketc.emit.c_function import LAPACK, CFunction
from bracketc.emit.c_names import as_factor, bracket_text
from bracketc.emit.c_views import FactoriseView
from bracketc.emit.faults import fails, fault_of
from bracketc.ir.dims import Dim
from bracketc.ir.linear_algebra import ARITY, SCALARS
from bracketc.loops.kernel import Factorise, Storage, product
from bracketc.plan import schedule as plan

SMALL = 4
"""Matrices of at most so many rows, known from the text, have inlined routines."""

_WITH_FACTOR = frozenset(("inv", "solve", "det", "logdet"))
"""Operations that make the factors of their matrix in memory of their own."""

_FACTORISES = _WITH_FACTOR | {"lu", "cholesky"}


def is_small(n: Dim) -> bool:
    """Whether matrices of so many rows have inlined routines."""
    return n.constant is not None and n.constant <= SMALL


def factorises(step: plan.Factorise) -> bool:
    """Whether a step makes factors that LAPACK could make."""
    return step.operator in _FACTORISES and not is_small(step.args[0].shape[-1])


def factorise_view(statement: Factorise, c: CFunction) -> FactoriseView:
    """The call for each position of the leading axes; work matrices lie in the scratch memory."""
    with c.block():
        operator = statement.operator
        label, minor = c.scope.first_of("ijk"), c.scope.fresh("minor")
        matrix, target = statement.args[0], statement.target
        n = matrix.shape[-1]
        small = is_small(n)
        columns = product(target.shape[matrix.rank - 1 :]) if ARITY[operator] == 2 else n

        def at(storage: Storage) -> str:
            rest = product(storage.shape[matrix.rank - 2 :])
            return f"{c.named(storage)} + {label} * {c.factor(rest)}"

        given = [c.dim(n)]
        if ARITY[operator] == 2:
            given.append(c.dim(columns))
        given += [at(argument) for argument in statement.args]
        if operator not in SCALARS:
            given.append(at(target))
        if not small and operator not in ("lu_det", "lu_logdet"):
            size = c.dim(n) if columns is n else f"brk_max({c.dim(n)}, {c.dim(columns)})"
            workspace = f"matrix_bytes_{c.s}({size})"
            entries = n * n + n if operator in _WITH_FACTOR else n * n
            if operator in _WITH_FACTOR or operator == "cholesky_inv":
                c.scratch[f"{workspace} + {c.factor(entries)} * (int64_t)sizeof({c.ctype.real})"] = None
                given.append(f"({c.ctype.real} *)(scratch + {workspace})")
            else:
                c.scratch[workspace] = None
            if operator in _FACTORISES:
                c.functions.add("lapack" if c.lapack else "no_lapack")
                c.factorises = c.lapack
                given.append(LAPACK if c.lapack else "NULL")
            given.append("scratch")
        c.functions.add("small" if small else operator)
        name = f"small_{operator}" if small else operator
        fault = fault_of(operator, statement.about, matrix.rank) if fails(operator) else None
        if fault is not None and not c.faults.silent:
            c.reports = True
        elif fault is not None:
            c.functions.add("spoil")
        return FactoriseView(
            "c/factorise.c.j2",
            bracket_text(statement.bracket),
            label,
            c.dim(product(matrix.shape[:-2])),
            f"{name}_{c.s}({', '.join(given)})",
            f"{c.named(target)}[{label}]" if operator in SCALARS else "",
            minor,
            "" if fault is None or c.faults.silent else str(c.faults.number(fault)),
            at(target) if fault is not None and c.faults.silent else "",
            as_factor(c.dim(product(target.shape[matrix.rank - 2 :]))),
            c.failure("SINGULAR"),
            c.s,
        )
