"""Unification of sizes over a whole file.

A size that nothing states where it is needed, such as that of ``𝟏``, is an unknown: a :class:`Dim` whose name starts
with ``?``.  Equations between sizes are solved for unknowns as they come; what is left at the end was determined
by nothing.

>>> sizes = Sizes()
>>> ones = sizes.unknown("ones", span)
>>> sizes.unify(ones, Dim.named("N"))
True
>>> sizes.resolve(ones)
N
"""

from __future__ import annotations

from bracketc.errors import Span
from bracketc.ir.dims import Dim


class Sizes:
    """The unknowns of one file and what is known of them."""

    __slots__ = ("_count", "_places", "_solved", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._places: dict[str, tuple[str, Span]] = {}
        self._solved: dict[str, Dim] = {}
        self._waiting: list[tuple[Dim, Dim]] = []

    def unknown(self, what: str, span: Span) -> Dim:
        """A new unknown size; ``what`` and ``span`` say whose, for the error when nothing determines it."""
        self._count += 1
        name = f"?{self._count}"
        self._places[name] = (what, span)
        return Dim.named(name)

    def resolve(self, dim: Dim) -> Dim:
        """``dim`` with every solved unknown replaced."""
        if dim.constant is not None:
            return dim
        chain: list[str] = []
        current = dim
        while True:
            terms = current.terms
            if len(terms) == 1 and terms[0][1] == 1 and len(terms[0][0]) == 1 and terms[0][0][0][1] == 1:
                name = terms[0][0][0][0]
                following = self._solved.get(name)
                if following is None:
                    break
                chain.append(name)
                current = following
                continue
            solved = {name: self._solved[name] for name in current.names if name in self._solved}
            if not solved:
                break
            current = current.substitute(solved)
        for name in chain[:-1]:
            self._solved[name] = current
        return current

    def unify(self, left: Dim, right: Dim) -> bool:
        """Make two sizes equal; False when they cannot be."""
        left, right = self.resolve(left), self.resolve(right)
        if left is right:
            return True
        difference = left - right
        unknowns = [name for name in difference.names if name.startswith("?")]
        if not unknowns:
            return False
        for name in unknowns:
            value = _solution(difference, name)
            if value is not None:
                self._solved[name] = value
                return True
        self._waiting.append((left, right))
        return True

    def equal(self, left: Dim, right: Dim) -> bool:
        """Whether two sizes are known to be equal."""
        return self.resolve(left) is self.resolve(right)

    def settle(self) -> list[tuple[Dim, Dim]]:
        """Try the equations that had no single solution again; gives those that contradict what is known now."""
        wrong: list[tuple[Dim, Dim]] = []
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            wrong += [pair for pair in waiting if not self.unify(*pair)]
            if len(self._waiting) == len(waiting):
                return wrong + self._waiting
        return wrong

    def solution(self) -> dict[str, Dim]:
        """Every solved unknown with its size."""
        return {name: self.resolve(Dim.named(name)) for name in self._solved}

    def place(self, name: str) -> tuple[str, Span]:
        """Whose size the unknown ``name`` is, and where it was written."""
        return self._places[name]


def is_unknown(name: str) -> bool:
    return name.startswith("?")


def _solution(difference: Dim, name: str) -> Dim | None:
    """``name`` from ``difference = 0``, when it occurs once, by itself, and divides the rest."""
    factor = 0
    rest: list[tuple[tuple[tuple[str, int], ...], int]] = []
    for monomial, coefficient in difference.terms:
        if monomial == ((name, 1),):
            factor = coefficient
        elif any(part == name for part, _ in monomial):
            return None
        else:
            rest.append((monomial, -coefficient))
    if factor == 0 or any(coefficient % factor for _, coefficient in rest):
        return None
    return Dim([(monomial, coefficient // factor) for monomial, coefficient in rest])
