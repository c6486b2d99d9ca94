"""Sizes: integer polynomials in named sizes, such as ``4 h`` or ``t + k - 1``.

A :class:`Dim` is interned, so that equal sizes are one object and comparing shapes is comparing identities.

>>> n, k = Dim.named("N"), Dim.named("K")
>>> str(2 * n + k - 1)
'2 N + K - 1'
>>> (n + k) - k is n
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import ClassVar
from weakref import WeakValueDictionary

Monomial = tuple[tuple[str, int], ...]
"""Names with their positive powers, sorted by name; the empty monomial is 1."""


class Dim:
    """An integer polynomial in named sizes. Immutable and interned: equal polynomials are one object."""

    __slots__ = ("__weakref__", "_text", "terms")
    terms: tuple[tuple[Monomial, int], ...]
    _text: str
    _table: ClassVar[WeakValueDictionary[tuple[tuple[Monomial, int], ...], Dim]] = WeakValueDictionary()

    def __new__(cls, terms: Iterable[tuple[Monomial, int]]) -> Dim:
        merged: dict[Monomial, int] = {}
        for monomial, factor in terms:
            merged[monomial] = merged.get(monomial, 0) + factor
        key = tuple(sorted((m, c) for m, c in merged.items() if c))
        found = cls._table.get(key)
        if found is None:
            found = super().__new__(cls)
            object.__setattr__(found, "terms", key)
            cls._table[key] = found
        return found

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Dim is immutable")

    def __reduce__(self) -> tuple[type[Dim], tuple[tuple[tuple[Monomial, int], ...]]]:
        return Dim, (self.terms,)

    @staticmethod
    def of(value: int | Dim) -> Dim:
        """``value`` as a Dim."""
        return value if isinstance(value, Dim) else _number(int(value))

    @staticmethod
    def named(name: str) -> Dim:
        """The size that is called ``name``."""
        return Dim([(((name, 1),), 1)])

    @property
    def constant(self) -> int | None:
        """The number when no name occurs, else ``None``."""
        if not self.terms:
            return 0
        return self.terms[0][1] if len(self.terms) == 1 and self.terms[0][0] == () else None

    @property
    def names(self) -> tuple[str, ...]:
        """The named sizes that occur, sorted."""
        return tuple(sorted({name for monomial, _ in self.terms for name, _ in monomial}))

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The number under ``sizes``; a ``KeyError`` names a missing one."""
        total = 0
        for monomial, factor in self.terms:
            for name, power in monomial:
                factor *= sizes[name] ** power
            total += factor
        return total

    def substitute(self, values: Mapping[str, Dim]) -> Dim:
        """The polynomial with names replaced by polynomials; names without a value stay."""
        if not any(name in values for name in self.names):
            return self
        total = Dim.of(0)
        for monomial, factor in self.terms:
            product = Dim.of(factor)
            for name, power in monomial:
                base = values.get(name) or Dim.named(name)
                for _ in range(power):
                    product = product * base
            total = total + product
        return total

    def __add__(self, other: int | Dim) -> Dim:
        return Dim([*self.terms, *Dim.of(other).terms])

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return Dim([(m, -c) for m, c in self.terms])

    def __sub__(self, other: int | Dim) -> Dim:
        return self + (-Dim.of(other))

    def __rsub__(self, other: int | Dim) -> Dim:
        return Dim.of(other) - self

    def __mul__(self, other: int | Dim) -> Dim:
        right = Dim.of(other)
        return Dim([(_times(m, n), c * e) for m, c in self.terms for n, e in right.terms])

    __rmul__ = __mul__

    def __str__(self) -> str:
        """The polynomial as source text: names first, the constant last."""
        try:
            return self._text
        except AttributeError:
            object.__setattr__(self, "_text", _text(self.terms))
            return self._text

    __repr__ = __str__


@lru_cache(1 << 10)
def _number(value: int) -> Dim:
    return Dim([((), value)])


def _text(terms: Iterable[tuple[Monomial, int]]) -> str:
    out = ""
    for monomial, factor in sorted(terms, key=lambda t: (-len(t[0]), t[0])):
        body = " ".join(" ".join([name] * power) for name, power in monomial)
        size = abs(factor)
        text = body if body and size == 1 else f"{size} {body}".strip()
        out += (f" {'-' if factor < 0 else '+'} " if out else ("-" if factor < 0 else "")) + text
    return out or "0"


def _times(left: Monomial, right: Monomial) -> Monomial:
    powers = dict(left)
    for name, power in right:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted(powers.items()))


def solve(equation: Dim, known: Mapping[str, int], value: int) -> tuple[str, int] | None:
    """The one unknown name of ``equation = value`` and its number; ``None`` when there is no, or no whole, answer.

    Linear in the unknown only: ``2 h = 10`` gives ``("h", 5)``.
    """
    rest = equation.substitute({name: Dim.of(number) for name, number in known.items()})
    if len(rest.names) != 1:
        return None
    (name,) = rest.names
    slope = 0
    offset = 0
    for monomial, factor in rest.terms:
        if monomial == ():
            offset = factor
        elif monomial == ((name, 1),):
            slope = factor
        else:
            return None
    quotient, remainder = divmod(value - offset, slope)
    return None if remainder or quotient < 0 else (name, quotient)
