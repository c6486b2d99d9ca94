"""The labels of one index bracket and their sizes."""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.errors import Span
from bracketc.ir.dims import Dim
from bracketc.lang.scope import Elaboration

MARK = "@"
"""First character of the name of a label inside a polynomial."""


class Labels:
    """Sizes of labels: from the tensors that carry them, from ranges, and from the indices that they move.

    A label that occurs only in a sum such as ``u + v - 1`` runs as far as all indices stay in range.
    """

    __slots__ = ("_moves", "_places", "_sizes", "given", "run", "used")

    def __init__(self, run: Elaboration, given: dict[str, tuple[Dim, Dim, Span]] | None = None) -> None:
        self.run = run
        self.used: dict[str, Span] = {}
        self.given = given or {}
        self._sizes: dict[str, Dim] = {}
        self._places: dict[str, Span] = {}
        self._moves: list[tuple[Dim, Dim, Span]] = []
        for label, (first, last, span) in self.given.items():
            self._sizes[label] = last - first + 1
            self._places[label] = span

    def use(self, label: str, span: Span) -> None:
        """Note that the bracket holds ``label``."""
        self.used.setdefault(label, span)

    def carry(self, label: str, extent: Dim, span: Span) -> None:
        """``label`` is a whole dimension of size ``extent``."""
        self.use(label, span)
        known = self._sizes.get(label)
        if known is None:
            self._sizes[label] = extent
            self._places[label] = span
        elif not self.run.sizes.unify(known, extent):
            first, second = self.run.sizes.resolve(known), self.run.sizes.resolve(extent)
            before = self._places[label]
            help = (
                ""
                if (first - second).constant is not None
                else f"if {first} and {second} are always equal, give them one name"
            )
            self.run.problems.error(
                f"label {label} has two sizes: {first} in {before.text}, {second} in {span.text}",
                span,
                help,
                [(f"size {first}", before)],
            )

    def move(self, position: Dim, extent: Dim, span: Span) -> None:
        """An index ``position``, a polynomial in labels, into a dimension of size ``extent``."""
        self._moves.append((position, extent, span))

    def fixed(self, label: str) -> bool:
        """Whether the size of ``label`` is stated already."""
        return label in self._sizes

    def size(self, label: str) -> Dim:
        return self.run.sizes.resolve(self._sizes[label])

    def shift(self, label: str) -> Dim:
        """What to add to ``label``, counted from 1, for the number that it stands for."""
        return self.given[label][0] - 1 if label in self.given else Dim.of(0)

    def settle(self, result: Iterable[tuple[str, Span]], side: str) -> None:
        """Find every size; a label of the result that nothing carries is an error."""
        waiting = list(self._moves)
        while waiting:
            found: dict[str, tuple[Dim, Span]] = {}
            rest = []
            for position, extent, span in waiting:
                unknown = [n[1:] for n in position.names if n.startswith(MARK) and n[1:] not in self._sizes]
                if len(unknown) != 1:
                    if unknown:
                        rest.append((position, extent, span))
                    continue
                reach = self._reach(unknown[0], position, extent, span)
                known = found.get(unknown[0])
                if known is None or self._less(reach, known[0], span):
                    found[unknown[0]] = (reach, span)
            for label, (reach, span) in found.items():
                self._sizes[label] = reach
                self._places[label] = span
            if not found:
                break
            waiting = rest
        for label, span in result:
            if label not in self.used and label not in self.given:
                self.run.problems.error(
                    f"label {label} stands only {side}",
                    span,
                    f"a label of the result must occur in the body, where {label} gets its size",
                )
        for label, span in self.used.items():
            if label not in self._sizes:
                self.run.problems.error(
                    f"nothing determines the size of label {label}", span, f"give a range: for {label} = 1..n"
                )

    def _less(self, left: Dim, right: Dim, span: Span) -> bool:
        difference = (left - right).constant
        if difference is None:
            self.run.problems.error(
                f"the range of an index could be {left} or {right}", span, "give a range: for i = 1..n"
            )
        return difference < 0

    def _reach(self, label: str, position: Dim, extent: Dim, span: Span) -> Dim:
        """The largest ``label`` that keeps ``position`` inside 1..extent for all other labels."""
        factor = 0
        rest = Dim.of(0)
        for monomial, coefficient in position.terms:
            names = [name for name, _ in monomial]
            if monomial == ((MARK + label, 1),):
                factor = coefficient
            elif MARK + label in names:
                sizes = [name for name in names if not name.startswith(MARK)]
                help = f"bind the step: dim {sizes[0]} = 2" if sizes else ""
                self.run.problems.error("an index is a sum of labels times fixed numbers", span, help)
            else:
                others = Dim([(monomial, coefficient)])
                bounds = {}
                for name in names:
                    if name.startswith(MARK):
                        upper = (coefficient > 0) == (factor >= 0)
                        bounds[name] = (self.size(name[1:]) if upper else Dim.of(1)) + self.shift(name[1:])
                rest = rest + others.substitute(bounds)
        extent = self.run.sizes.resolve(extent)
        room = extent - rest if factor > 0 else rest - 1
        step = abs(factor)
        if step == 1:
            return room
        if room.constant is not None:
            return Dim.of(max(0, room.constant // step))
        if all(coefficient % step == 0 for monomial, coefficient in room.terms if monomial):
            return Dim([(m, c // step) for m, c in room.terms])
        self.run.problems.error(
            f"how far {label} runs depends on the rest of {room} divided by {step}", span, f"give a range: for {label} = 1..n"
        )
