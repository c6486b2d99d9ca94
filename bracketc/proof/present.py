"""bracketc's own derivation of a gradient, from the target down through the definitions that it uses.

    J = 0.5 (h - Y) · (h - Y), h = tanh(X @ W)
    ->  dJ = (h - Y) · dh = ((h - Y) ⊙ (1 ⊖ h**2)) · (X @ dW) = (X^T @ (…)) · dW  ⟹  ∇[W](J) = X^T @ (…)

The differential of each definition is taken in terms of the names that its text uses; what stands in front of a differential, its
cotangent, goes down to the next definition. Every definition is visited once, after all that uses it. Recurrences and families are
visited at a general step: what later steps add to ``Z[t]`` is in ``∇[Z[t]](J)``, which a conclusion gives from the step after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bracketc.errors import UnsupportedError
from bracketc.ir.build import add, einsum, literal
from bracketc.ir.nodes import Node, Reduce, Tensor
from bracketc.ir.rewrite import substitute, tensors, topological
from bracketc.lang.layers import Layered
from bracketc.proof.cotangents import Cotangents, summand
from bracketc.proof.definitions import Definitions, definitions
from bracketc.proof.forms import LARGE, REPEATED, Forms, check_written
from bracketc.proof.phrases import dot, split_front, weight
from bracketc.proof.pieces import Part, parts_of, taken_out, uses_as_it_is
from bracketc.proof.presentation import (
    Abbreviation,
    Chain,
    Conclusion,
    Equation,
    Heading,
    Member,
    Over,
    Paragraph,
    Presentation,
    Term,
)
from bracketc.proof.ranges import Ranged, UnlikeError, alike, is_general, split_name
from bracketc.proof.rules import rule_of


def present(layered: Layered, target: str, wrt: Sequence[str]) -> Presentation:
    """The derivation of the gradient of ``target`` by names of the file, written as in the source: ``W[1]``.

    Raises :class:`~bracketc.errors.UnsupportedError` for what has no presentation.
    """
    try:
        return _presented(definitions(layered, target, wrt), target)
    except UnlikeError:
        return _presented(definitions(layered, target, wrt, families=False), target)


def _presented(found: Definitions, target: str) -> Presentation:
    presenter = _Presenter(found, target, Cotangents(found, target))
    presenter.work()
    nodes = [term.node for paragraph in presenter.paragraphs for term in _terms(paragraph)]
    check_written(nodes)
    differentials = tuple((tensor, name) for name, tensor in found.moving.items())
    used = frozenset(found.forms.used)
    return Presentation(target, found.shown, tuple(presenter.paragraphs), differentials, used, found.forms.letters)


def _terms(paragraph: Paragraph) -> list[Term]:
    lines = paragraph.members if isinstance(paragraph, Chain) else (paragraph,)
    found = [term for line in lines for abbreviation in line.where for term in abbreviation.terms]
    if isinstance(paragraph, Chain):
        return found + [term for member in paragraph.members for term in member.terms]
    return found + [term for equation in paragraph.equations for term in equation.terms]


@dataclass(frozen=True, slots=True)
class _Taken:
    """``cotangent · d name``."""

    cotangent: Node
    name: str
    over: Over | None = None


@dataclass(slots=True)
class _Presenter:
    """One derivation while it is written."""

    found: Definitions
    target: str
    reached: Cotangents
    paragraphs: list[Paragraph] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)

    @property
    def forms(self) -> Forms:
        return self.found.forms

    # ------------------------------------------------------------------------------------------- chains
    def work(self) -> None:
        """Every definition in turn, each after all that uses it."""
        found = self.found
        waiting = list(found.order)
        self.reached.give(self.target, literal(1))
        members: list[Member] = []
        heading: Heading | None = Heading("differential", self.target)
        terms = [_Taken(literal(1), self.target)]
        while waiting:
            name = waiting.pop(0)
            if not members and name != self.target:
                if not self.reached.has(name) and name not in found.noted:
                    continue
                if name not in self.reached.given and name not in found.noted:
                    self._write([equation for equation, _ in self.reached.result(name)], "")
                # a start value without a name of its own is nothing that one can differentiate by
                is_start = name in found.starts and split_name(name)[1] is not None
                heading = None if is_start else Heading("restricted", self.target, name)
                terms = [self._start(name, members)]
            terms = self._expand(terms, name, members)
            following = self._continued(terms, waiting)
            if following is not None:
                terms = self._shortened(terms, following, members)
                waiting.remove(following)
                waiting.insert(0, following)
                continue
            ranged = found.range_of(name)
            terms = self._collected(terms, members)
            for term in terms:
                over = term.over if ranged is None else ranged.over
                over = None if found.range_of(term.name) is not None else over
                self.reached.give(term.name, term.cotangent, over)
            self.paragraphs.append(Chain(heading, tuple(members)))
            members = []
            used = {tensor.name for name in waiting for tensor in tensors([found.bodies[name]])}
            self.reached.give_starts(used)
            self._conclude(used)
        self._conclude(())  # what was passed over stands in conditions and the like alone
        self._conclude_the_rest()

    def _start(self, name: str, members: list[Member]) -> _Taken:
        """The first member of ``d[Z](J)``: the cotangent that has reached Z, or a name for it where more will reach it."""
        moving = self.found.moving[name]
        where: list[Abbreviation] = []
        rule = ""
        if name in self.found.noted or name not in self.reached.given:
            letter = split_name(name)[1]
            gradient = Tensor(f"∇[{name}]({self.target})", moving.shape)
            abbreviation = self.forms.fresh(moving.rank) + ("" if letter is None else f"[{letter}]")
            self.reached.gradients.add(abbreviation)
            where.append(Abbreviation(abbreviation, (Term(gradient),)))
            cotangent: Node = Tensor(abbreviation, moving.shape)
        else:
            cotangent = self.reached.total(name, where)
            if len(self.reached.given[name]) > 1:
                rule = "adding its terms"
                if weight(cotangent) >= LARGE:
                    cotangent = self.forms.known.get(cotangent) or self.forms.named(cotangent, where)
        node = dot(cotangent, moving)
        members.append(Member((Term(node),), rule, self._local(where, [node])))
        return _Taken(cotangent, name)

    def _continued(self, terms: Sequence[_Taken], waiting: Sequence[str]) -> str | None:
        """The definition whose differential the chain goes on with."""
        found = self.found
        reached = {term.name for term in terms}
        local = next((name for name in waiting if name in reached and found.is_local(name)), None)
        if local is not None:
            return local
        following = next((name for name in waiting if name in reached or self.reached.has(name) or name in found.noted), None)
        if len(terms) == 1 and following in reached and following not in self.reached.given and following not in found.noted:
            return following
        return None

    def _shortened(self, terms: list[_Taken], following: str, members: list[Member]) -> list[_Taken]:
        """A long cotangent under a name, where the next definition needs it several times."""
        (term, *others) = terms
        variables = [t for t in tensors([self.found.bodies[following]]) if t.name in self.found.moving]
        long = term.cotangent.rank and weight(term.cotangent) >= REPEATED
        if others or not long or uses_as_it_is(self.found.bodies[following], variables) < 2:
            return terms
        where: list[Abbreviation] = []
        short = [_Taken(self.forms.known.get(term.cotangent) or self.forms.named(term.cotangent, where), term.name)]
        before = members.pop()
        if members and members[-1].terms == before.terms:
            before = members.pop()
        members.append(self._member(short, before.rule, (*before.where, *where)))
        return short

    def _expand(self, terms: Sequence[_Taken], name: str, members: list[Member]) -> list[_Taken]:
        """The differential of one definition written out, and the differentials in it taken out again."""
        found = self.found
        body = found.bodies[name]
        mine = {tensor.name: tensor for tensor in tensors([body]) if tensor.name in found.moving}
        where: list[Abbreviation] = []
        parts: list[Part] = []
        overs: list[Over | None] = []
        for term in terms:
            if term.name == name:
                own = parts_of(term.cotangent, body, mine, found.moving, self.forms, where)
                for part, over in self._gathered(own):
                    parts.append(part)
                    overs.append(over)
            else:
                parts.append(Part(term.cotangent, found.moving[term.name], term.name))
                overs.append(term.over)
        written = [dot(part.cotangent, part.tangent) for part in parts]
        written = self.forms.abbreviated(written, found.moving.values(), where)
        rule = found.rule(name, rule_of(body, list(mine.values())))
        is_short = any(isinstance(node, Reduce) for node in topological([body]))
        if not is_short:  # of a stable form the result says more than the way there
            shown = tuple(summand(node, over) for node, over in zip(written, overs, strict=True))
            members.append(Member(shown, rule, self._local(where, written)))
        sums: dict[tuple[str, Over | None], list[Node]] = {}
        for part, node, over in zip(parts, written, overs, strict=True):
            cotangent = taken_out(part, node, found.moving[part.name], self.forms)
            if cotangent is not None:
                sums.setdefault((part.name, over), []).append(cotangent)
        taken = [
            _Taken(nodes[0] if len(nodes) == 1 else self.forms.simple(add(nodes)), other, over)
            for (other, over), nodes in sums.items()
        ]
        if is_short:
            members.append(self._member(taken, rule, where))
            return taken
        listed = [found.moving[term.name].name for term in taken]
        what = "the differentials" if any("[" in text for text in listed) else ", ".join(listed)
        members.append(self._member(taken, f"taking {what} out", ()))
        return taken

    def _gathered(self, parts: Sequence[Part]) -> list[tuple[Part, Over | None]]:
        """Parts for all members of a family that are alike but for the number, as one part for a general member."""
        groups: dict[str, dict[int, int]] = {}
        for place, part in enumerate(parts):
            ranged = self.found.ranges.get(split_name(part.name)[0])
            number = None if ranged is None else ranged.member(part.name)
            if ranged is not None and number is not None:
                groups.setdefault(ranged.base, {})[place] = number
        left: dict[int, Part | None] = {}
        for base, places in groups.items():
            ranged = self.found.ranges[base]
            numbers = list(places.values())
            if sorted(numbers) != list(ranged.numbers) or len(numbers) < 2:
                continue
            general = self._general({number: parts[place] for place, number in places.items()}, ranged)
            if general is not None:
                left.update(dict.fromkeys(places))
                left[min(places)] = general
        found: list[tuple[Part, Over | None]] = []
        for place, part in enumerate(parts):
            replaced = left.get(place)
            if replaced is not None:
                found.append((replaced, self.found.ranges[split_name(replaced.name)[0]].over))
            elif place not in left:
                found.append((part, None))
        return found

    def _general(self, parts: Mapping[int, Part], ranged: Ranged) -> Part | None:
        """One part for a general member, where all are alike."""
        cotangent, tangent = (
            alike(nodes, ranged.letter, self.found.ranges, self.found.extents)
            for nodes in ({n: p.cotangent for n, p in parts.items()}, {n: p.tangent for n, p in parts.items()})
        )
        return None if cotangent is None or tangent is None else Part(cotangent, tangent, ranged.name)

    def _collected(self, terms: Sequence[_Taken], members: list[Member]) -> list[_Taken]:
        """Cotangents of all steps of a recurrence at once, by a name whose slices are those of the steps."""
        if not any(term.name in self.found.stacks for term in terms):
            return list(terms)
        where: list[Abbreviation] = []
        found: list[_Taken] = []
        shown: list[_Taken] = []
        for term in terms:
            ranged = self.found.stacks.get(term.name)
            if ranged is None:
                found.append(term)
                shown.append(term)
                continue
            if is_general(term.cotangent, self.forms.letters) is not None:
                raise UnsupportedError(f"no steps of a derivation where every step uses all of {term.name}")
            (number, scalars), rest = split_front(term.cotangent)
            if not isinstance(rest, Tensor):
                number, scalars, rest = literal(1).value, [], self.forms.named(term.cotangent, where)
            assert isinstance(rest, Tensor)
            step = Tensor(f"{rest.name}[{ranged.letter}]", rest.shape[1:])
            axes, inner = range(rest.rank), range(step.rank)
            front = [(scalar, ()) for scalar in scalars]
            shown.append(_Taken(einsum(number, [*front, (rest, axes)], axes), term.name, term.over))
            found.append(_Taken(einsum(number, [*front, (step, inner)], inner), ranged.name))
        if where:
            last = members.pop()
            shorter = self._member(shown, last.rule, (*last.where, *where))
            members.append(shorter)
        return found

    def _member(self, terms: Sequence[_Taken], rule: str, where: Sequence[Abbreviation]) -> Member:
        nodes = [dot(term.cotangent, self.found.moving[term.name]) for term in terms]
        shown = tuple(summand(node, term.over) for node, term in zip(nodes, terms, strict=True))
        return Member(shown, rule, self._local(where, nodes))

    def _local(self, where: Iterable[Abbreviation], nodes: Sequence[Node]) -> tuple[Abbreviation, ...]:
        """``where``, and the local names of definitions that are used for the first time."""
        given = [*self.forms.news(), *where]
        pending = [*nodes, *(term.node for abbreviation in given for term in abbreviation.terms)]
        added: list[Abbreviation] = []
        moved = {tensor: name for name, tensor in self.found.moving.items()}
        while pending:
            for tensor in tensors([pending.pop()]):
                name = moved.get(tensor, tensor.name)
                if self.found.is_local(name) and name not in self.bound:
                    self.bound.add(name)
                    body = self.found.bodies[name]
                    added.append(Abbreviation(name, (Term(self._without_traits(body)),)))
                    pending.append(body)
        return (*reversed(added), *given)

    def _without_traits(self, body: Node) -> Node:
        """``body`` where what varies is any tensor: the differential of a symmetric one is none, and A^T may not be shown as A."""
        free: dict[Node, Node] = {t: replace(t, traits=()) for t in tensors([body]) if t.traits and t.name in self.found.moving}
        return substitute((body,), free)[0]

    # ------------------------------------------------------------------------------------------- conclusions

    def _conclude(self, used: Collection[str]) -> None:
        """The gradients to which nothing that is left, which uses ``used``, could add anything."""
        later = {self.found.base(name) for name in used}
        later |= {self.found.base(name) for name in self.found.starts if name not in self.reached.started}
        for name in self.found.noted:
            if name not in self.bound and self.found.base(name) not in later:
                self.bound.add(name)
                for equation, rule in self.reached.steps(self.found.ranges[self.found.base(name)]):
                    self._write([equation], rule)
        equations: list[Equation] = []
        added = False
        for name in self.found.results:
            if name in self.bound or self.found.base(name) in later or not self.reached.has(name):
                continue
            self.bound.add(name)
            for equation, count in self.reached.result(name):
                equations.append(equation)
                added = added or count > 1
        if equations:
            self._write(equations, "adding the terms of each differential" if added else "")

    def _conclude_the_rest(self) -> None:
        """Zero for what no differential has reached."""
        zero = (Term(literal(0)),)
        left = (name for name in self.found.results if name not in self.bound)
        equations = [Equation(Heading("gradient", self.target, name), zero) for name in left]
        if equations:
            self._write(equations, "independence")

    def _write(self, equations: Sequence[Equation], rule: str) -> None:
        nodes = [term.node for equation in equations for term in equation.terms]
        self.paragraphs.append(Conclusion(tuple(equations), rule, self._local((), nodes)))
