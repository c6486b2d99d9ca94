"""What reaches every name of a derivation on the way down, and the gradients that are read off it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bracketc.errors import UnsupportedError
from bracketc.ir.build import add, einsum, literal
from bracketc.ir.nodes import Add, Einsum, Node, Tensor
from bracketc.ir.rewrite import tensors
from bracketc.proof.definitions import Definitions
from bracketc.proof.forms import LARGE
from bracketc.proof.phrases import weight
from bracketc.proof.presentation import Abbreviation, Equation, Heading, Over, Term
from bracketc.proof.ranges import Ranged, UnlikeError, is_general, number_of, offsets, placed, shifted, split_name


@dataclass(frozen=True, slots=True)
class Given:
    """A cotangent that reaches a name, for every number of ``over`` if that is given."""

    node: Node
    over: Over | None = None


@dataclass(slots=True)
class Cotangents:
    """``given`` by name: ``Z[t-1]`` is what a general step adds to the step before it; ``gradients`` are names for ∇[Z[t]](J)."""

    found: Definitions
    target: str
    given: dict[str, list[Given]] = field(default_factory=dict)
    gradients: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)

    def give(self, name: str, node: Node, over: Over | None = None) -> None:
        self.given.setdefault(name, []).append(Given(node, over))

    def total(self, name: str, where: list[Abbreviation]) -> Node:
        """All that has reached ``name``, as one node; a sum over steps gets a name."""
        plain = [given.node for given in self.given[name] if given.over is None]
        summed = tuple(summand(given.node, given.over) for given in self.given[name] if given.over is not None)
        if summed:
            shape = self.given[name][0].node.shape
            abbreviation = self.found.forms.fresh(len(shape))
            where.append(Abbreviation(abbreviation, summed))
            plain.append(Tensor(abbreviation, shape))
        return plain[0] if len(plain) == 1 else self.found.forms.simple(add(plain))

    def has(self, name: str) -> bool:
        """Whether anything has reached ``name``, or slices of it."""
        return name in self.given or (name in self.found.ranges and any(split_name(other)[0] == name for other in self.given))

    def give_starts(self, used: Collection[str]) -> None:
        """Passes on to start values what the first steps need of them, where nothing that is left adds to it: it uses ``used``."""
        for name, uses in self.found.starts.items():
            if name not in self.started and not any(other in used for other, _ in uses):
                self.started.add(name)
                for other, position in uses:
                    ranged = self.found.range_of(other)
                    assert ranged is not None
                    for part in self.given.get(other, ()):
                        self.give(name, self._at(part.node, ranged, position))

    def result(self, name: str) -> list[tuple[Equation, int]]:
        """The equation of ``∇[W](J)``; of a family one for every member that gets something of its own."""
        given = list(self.given.get(name, []))
        ranged = self.found.ranges.get(self.found.base(name))
        if ranged is None:
            return [(self._equation(name, given), len(given))]
        if ranged.sliced:
            slices = [other for other in self.given if split_name(other)[0] == ranged.base]
            if len(slices) != 1 or given or ranged.offset(slices[0]) is None:
                raise UnsupportedError(f"no steps of a derivation by {name}, of which steps use several slices or all")
            parts = self.given[slices[0]]
            equation = self._equation(name, parts)
            entry = split_name(slices[0])[1] or ""
            return [(replace(equation, left=replace(equation.left, entry=entry)), len(parts))]
        own = [number for number in ranged.numbers if f"{ranged.base}[{number}]" in self.given]
        if not own:
            return [(self._equation(name, given), len(given))]
        found = []
        for number in ranged.numbers:
            member = f"{ranged.base}[{number}]"
            mine = [Given(self._at(part.node, ranged, str(number))) for part in given] + self.given.get(member, [])
            found.append((self._equation(member, mine), len(mine)))
        return found

    def _equation(self, name: str, given: Sequence[Given]) -> Equation:
        plain = [part.node for part in given if part.over is None]
        terms = [summand(part.node, part.over) for part in given if part.over is not None]
        if plain:
            node = plain[0] if len(plain) == 1 else self.found.forms.simple(add(plain))
            terms += [Term(part) for part in (node.terms if isinstance(node, Add) and weight(node) > LARGE else (node,))]
        return Equation(Heading("gradient", self.target, name), tuple(terms) or (Term(literal(0)),))

    def steps(self, ranged: Ranged) -> list[tuple[Equation, str]]:
        """``∇[Z[t]](J)`` from the step after it, and at the end that has none after it."""
        same = self.given.get(ranged.name, [])
        moved: list[tuple[int, Given]] = []
        fixed: dict[str, list[Given]] = {}
        for other, given in self.given.items():
            offset = ranged.offset(other)
            base, position = split_name(other)
            if offset:
                moved += [(offset, part) for part in given]
            elif offset is None and base == ranged.base and position is not None and other not in self.found.layers:
                fixed[position] = given
        equations: list[Equation] = []
        last = str(ranged.numbers[-1]) if ranged.numbers else ranged.last
        if moved and all(offset > 0 for offset, _ in moved):
            last = str(ranged.numbers[0]) if ranged.numbers else ranged.first
        if any(position != last for position in fixed):
            raise UnsupportedError(f"no steps of a derivation where {ranged.base} is used at a step inside its range")
        ends = [Given(self._at(part.node, ranged, last)) for part in same] + fixed.get(last, [])
        equations.append(self._equation(f"{ranged.base}[{last}]", ends))
        for distance in range(1, max((abs(offset) for offset, _ in moved), default=1)):
            equations.append(self._near_the_end(ranged, last, distance, same, moved))
        if not same and len({offset for offset, _ in moved}) == 1 and not self._ends(ranged, moved):
            moved = []
        if moved and not same and len({offset for offset, _ in moved}) == 1:
            entry = f"{ranged.letter}{moved[0][0]:+d}"
            equations.append(self._equation(f"{ranged.base}[{entry}]", [part for _, part in moved]))
        elif moved:
            parts = [*same, *(Given(shifted(part.node, ranged.letter, -offset)) for offset, part in moved)]
            if same and self._applies_to_a_start(ranged, [*((0, part) for part in same), *moved]):
                raise UnlikeError
            equations.append(self._equation(ranged.name, parts))
        first, *others = equations
        return [(first, ""), *((equation, "adding what later steps need" if same else "") for equation in others)]

    def _at(self, node: Node, ranged: Ranged, position: str) -> Node:
        """``node`` for the number ``position`` of a range."""
        return placed(node, ranged.letter, position, self.found.extents)

    def _near_the_end(
        self, ranged: Ranged, last: str, distance: int, same: Sequence[Given], moved: Sequence[tuple[int, Given]]
    ) -> Equation:
        """``∇[Z[T-1]](J)`` where steps reach further back than to the one before: not all of those after it are there."""
        backwards = -1 if all(offset < 0 for offset, _ in moved) else 1
        parts = [*same, *(Given(shifted(p.node, ranged.letter, -o)) for o, p in moved if abs(o) <= distance)]
        step = backwards * distance
        number = number_of(last)
        position = f"{last}{step:+d}" if number is None else str(number + step)
        there = [Given(self._at(shifted(part.node, ranged.letter, step), ranged, last)) for part in parts]
        return self._equation(f"{ranged.base}[{position}]", there)

    def _applies_to_a_start(self, ranged: Ranged, given: Iterable[tuple[int, Given]]) -> bool:
        """Whether all of ``given``, with the numbers after it, is there for a start value too: Z[0] of Z[1], Z[2], …"""
        starts = {ranged.member(name) for name in self.found.layers} if ranged.numbers else set()
        used = [(tensor, -offset) for offset, part in given for tensor in self._names(part.node)]
        return any(
            all(self._is_there(tensor, start + shift) for tensor, shift in used)
            for start in starts
            if start is not None and start not in ranged.numbers
        )

    def _is_there(self, tensor: Tensor, number: int) -> bool:
        """Whether ``number`` has what a general name stands for."""
        base, _ = split_name(tensor.name)
        ranged = self.found.ranges.get(base)
        offset = None if ranged is None else ranged.offset(tensor.name)
        if ranged is None or offset is None:
            return True
        return number + offset in ranged.numbers or f"{base}[{number + offset}]" in self.found.layers

    def _ends(self, ranged: Ranged, moved: Sequence[tuple[int, Given]]) -> bool:
        """Whether an equation of steps before, without one for the own step, ends its range where it holds no more.

        Behind the last step gradients are 0, and that of the last step is not: a name must not be there, or no name at all.
        """
        found = [(o, at) for o, part in moved for tensor in self._names(part.node) for at in offsets(tensor, ranged.letter)]
        return not found or any(at >= 0 if offset < 0 else at <= 0 for offset, at in found)

    def _names(self, node: Node) -> Iterator[Tensor]:
        """The tensors in ``node`` and in what it abbreviates, without gradients."""
        abbreviations = {tensor: body for body, tensor in self.found.forms.known.items()}
        pending = [node]
        while pending:
            for tensor in tensors([pending.pop()]):
                if tensor.name.startswith("∇") or tensor.name in self.gradients:
                    continue
                if tensor in abbreviations and self.found.base(tensor.name) == tensor.name:
                    pending.append(abbreviations[tensor])
                else:
                    yield tensor


def summand(node: Node, over: Over | None) -> Term:
    """A term; scalars that are the same at every step stand in front of a sum over steps."""
    if over is None or not isinstance(node, Einsum):
        return Term(node, over)
    outside = [(factor, own) for factor, own in node.factors if not own and is_general(factor, (over.variable,)) is None]
    inside = [factor for factor in node.factors if factor not in outside]
    rest = einsum(1, inside, node.output, dict(enumerate(node.extents)))
    return Term(rest, over, einsum(node.coefficient, outside, ()))
