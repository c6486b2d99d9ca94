"""Straight-line checks of shapes: sizes are read off the arguments, each equation of a size is tested once.

For ``X : N, D`` and ``W : D, 4 h``:

    if X.ndim != 2: raise …
    N, D = X.shape
    if W.ndim != 2 or W.shape[0] != D or W.shape[1] % 4: raise …
    h = W.shape[1] // 4
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bracketc.emit import expressions as ex
from bracketc.emit.layout import assignment
from bracketc.errors import SourceError
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Shape


@dataclass(frozen=True, slots=True)
class CheckView:
    """``if condition: raise error`` (no condition, no test), then assignments."""

    condition: str
    error: str
    assignments: tuple[str, ...]
    constraint: bool = False
    """Whether it compares sizes with each other, not with those of an array."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument to be checked: its Python name and its declared shape."""

    name: str
    shape: Shape


def shape_checks(
    function: str,
    arguments: Sequence[Argument],
    sizes: Mapping[str, str],
    known: Sequence[str] = (),
    constraints: Sequence[tuple[Dim, Dim, str]] = (),
    needed: Sequence[str] = (),
) -> tuple[CheckView, ...]:
    """Checks that solve every named size; a ``needed`` one that no argument determines is an error in the source.

    ``known`` sizes are there before (``backward`` has those of ``forward``). ``constraints`` are tested at the end.
    """
    solver = _Solver(function, sizes, known)
    views = solver.checks(arguments, constraints)
    undetermined = [name for name in needed if name not in solver.origin]
    if undetermined:
        raise _undetermined(function, undetermined)
    return views


def _undetermined(function: str, names: Sequence[str]) -> SourceError:
    return SourceError(
        f"{function}: no argument determines {', '.join(names)}; bind it with `dim {names[0]} = …` or"
        f" sizes={{{names[0]!r}: …}}"
    )


class _Solver:
    def __init__(self, function: str, sizes: Mapping[str, str], known: Sequence[str]) -> None:
        self.function = function
        self.sizes = sizes
        self.origin: dict[str, str] = dict.fromkeys(known, "in forward")

    def checks(
        self, arguments: Sequence[Argument], constraints: Sequence[tuple[Dim, Dim, str]]
    ) -> tuple[CheckView, ...]:
        views: list[CheckView] = []
        waiting: list[tuple[Argument, int]] = []
        for argument in arguments:
            view, later = self._argument(argument)
            views.append(view)
            waiting += later
        while waiting:
            progress = [(a, axis) for a, axis in waiting if len(self._unknown(a.shape[axis])) <= 1]
            if not progress:
                names = sorted({name for a, axis in waiting for name in self._unknown(a.shape[axis])})
                raise _undetermined(self.function, names)
            for argument, axis in progress:
                views += self._axis(argument, axis)
            waiting = [item for item in waiting if item not in progress]
        for left, right, why in constraints:
            if not (self._unknown(left) or self._unknown(right)):
                views.append(self._constraint(left, right, why))
        return tuple(view for view in views if view.condition or view.assignments)

    def _unknown(self, dim: Dim) -> list[str]:
        return [name for name in dim.names if name not in self.origin]

    def _size(self, dim: Dim) -> ex.Expression:
        return ex.size(dim, self.sizes)

    def _argument(self, argument: Argument) -> tuple[CheckView, list[tuple[Argument, int]]]:
        """Checks and definitions of the axes that are decided when this argument is met; the others come back."""
        name, shape = argument.name, argument.shape
        if not any(self._unknown(extent) for extent in shape):
            expected = ex.tuple_of([self._size(extent).text for extent in shape])
            error = self._error(argument, [True] * len(shape))
            return CheckView(f"{name}.shape != {expected}", error, ()), []
        conditions = [f"{name}.ndim != {len(shape)}"]
        assignments: list[str] = []
        later: list[tuple[Argument, int]] = []
        known: list[bool] = []
        defined: dict[str, int] = {}
        for axis, extent in enumerate(shape):
            unknown = self._unknown(extent)
            known.append(not unknown)
            if not unknown:
                conditions.append(f"{name}.shape[{axis}] != {self._size(extent).at(ex.ADD)}")
            elif extent is Dim.named(unknown[0]) and unknown[0] not in defined:
                defined[unknown[0]] = axis
            else:
                later.append((argument, axis))
        error = self._error(argument, known)
        if len(defined) == len(shape):
            assignments += assignment([self.sizes[n] for n in defined], f"{name}.shape")
        else:
            assignments += [f"{self.sizes[size]} = {name}.shape[{axis}]" for size, axis in defined.items()]
        for size in defined:
            self.origin[size] = f"in {name}"
        return CheckView(" or ".join(conditions), error, tuple(assignments)), later

    def _axis(self, argument: Argument, axis: int) -> list[CheckView]:
        """One axis whose size is a polynomial with at most one unknown name, in which it is linear."""
        extent = argument.shape[axis]
        found = f"{argument.name}.shape[{axis}]"
        unknown = self._unknown(extent)
        if not unknown:
            known = [k == axis for k in range(len(argument.shape))]
            return [CheckView(f"{found} != {self._size(extent).at(ex.ADD)}", self._error(argument, known), ())]
        (name,) = unknown
        slope, rest = _linear(extent, name)
        if slope is None:
            raise SourceError(f"{self.function}: {extent} of {argument.name} cannot be solved for {name}; bind {name}")
        variable = self.sizes[name]
        difference = found if rest.constant == 0 else f"{found} - {self._size(rest).at(ex.MULTIPLY)}"
        numerator = found if rest.constant == 0 else f"({difference})"
        divisor = self._size(slope)
        tests = [] if rest.constant == 0 else [f"{difference} < 0"]
        if slope.constant is None:
            tests.insert(0, f"{divisor.text} == 0")
        if slope.constant != 1:
            tests.append(f"{numerator} % {divisor.at(ex.UNARY)}")
        error = (
            f'ArgumentError(f"{self.function}: index {extent}: {{{found}}} in {argument.name},'
            f' which gives no whole {name}")'
        )
        value = difference if slope.constant == 1 else f"{numerator} // {divisor.at(ex.UNARY)}"
        self.origin[name] = f"in {argument.name}"
        return [CheckView(" or ".join(tests), error, (f"{variable} = {value}",))]

    def _error(self, argument: Argument, known: Sequence[bool]) -> str:
        axes = []
        for extent, decided in zip(argument.shape, known, strict=True):
            if not decided:
                axes.append(f'("{extent}", None, "")')
            elif not extent.names:
                axes.append(f'("{extent}", {extent}, "")')
            elif extent is Dim.named(extent.names[0]):
                axes.append(f'("{extent}", {self._size(extent).text}, "{self.origin[extent.names[0]]}")')
            else:
                where = ", ".join(f"{name} = {{{self.sizes[name]}}} {self.origin[name]}" for name in extent.names)
                axes.append(f'("{extent}", {self._size(extent).text}, f"({where})")')
        return f'_wrong_shape("{argument.name}", {argument.name}, {ex.tuple_of(axes) if axes else "()"})'

    def _constraint(self, left: Dim, right: Dim, why: str) -> CheckView:
        first, second = self._size(left), self._size(right)
        reason = f" ({why})" if why else ""
        message = f"{self.function}: {left} = {{{first.text}}} and {right} = {{{second.text}}} must be equal{reason}"
        text = message.replace("\\", "\\\\").replace('"', '\\"')
        return CheckView(f"{first.text} != {second.text}", f'ArgumentError(f"{text}")', (), True)


def _linear(dim: Dim, name: str) -> tuple[Dim | None, Dim]:
    """``dim = slope · name + rest``; no slope when it is not linear."""
    slope, rest = Dim.of(0), Dim.of(0)
    for monomial, factor in dim.terms:
        powers = dict(monomial)
        power = powers.pop(name, 0)
        term = Dim([(tuple(sorted(powers.items())), factor)])
        if power > 1:
            return None, rest
        if power:
            slope = slope + term
        else:
            rest = rest + term
    return slope, rest
