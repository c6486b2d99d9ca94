"""Canonical form of a bracket: one order of its factors and summed labels, whatever order they were written in.

The order reads well: the factor that carries the first output label comes first. Where labels alone do not decide,
factors are compared by :func:`bracketc.simplify.order.node_key`; where that does not either (a tensor several times in
symmetric places), every choice is tried within a budget and the smallest text wins (graph canonicalisation by
individualisation and refinement; McKay and Piperno, "Practical graph isomorphism II", section 2).
"""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.ir.nodes import Delta, Einsum, Labels, Node, Tensor
from bracketc.ir.rewrite import Roots, rewrite
from bracketc.simplify.facts import Fact
from bracketc.simplify.order import Key, node_key

BUDGET = 128
"""How many orders of one bracket are tried before the first of equals is taken as it comes."""

Encoding = tuple[tuple[Labels, Key], ...]


def canonicalise(roots: Roots) -> Roots:
    """Give equal brackets one order of factors and one numbering of labels.

    (B_jk A_ij | ik)  ->  (A_ij B_jk | ik)          (x_j A_ji x_i | )  ->  (x_i A_ij x_j | )
    """
    return rewrite(roots, canonical_bracket)


def no_symmetry(node: Node) -> bool:
    """By construction alone, only the delta may swap its labels."""
    return isinstance(node, Delta)


def declared_symmetry(node: Node) -> bool:
    """Whether a matrix equals its transpose under the traits of arguments."""
    traits = node.traits if isinstance(node, Tensor) else ()
    symmetric = any(trait in traits for trait in ("symmetric", "positive definite", "diagonal"))
    return isinstance(node, Delta) or (node.rank == 2 and symmetric)


def canonical_bracket(node: Node, symmetric: Fact = no_symmetry) -> Node:
    if not isinstance(node, Einsum) or not node.factors:
        return node
    return _Search(node, symmetric).best()


class _Search:
    """One bracket while its order is looked for. Colours are integers that say what is known to differ."""

    __slots__ = ("keys", "left", "node", "symmetric")

    def __init__(self, node: Einsum, symmetric: Fact) -> None:
        self.node = node
        self.symmetric = [symmetric(factor) for factor in node.operands]
        self.keys: list[Key] | None = None
        self.left = BUDGET

    def best(self) -> Node:
        node = self.node
        width = len(node.output)
        texts = [str(extent) for extent in node.extents[width:]]
        ranks = {text: rank for rank, text in enumerate(sorted(set(texts)))}
        labels = [*range(width), *(width + ranks[text] for text in texts)]
        by_labels = [self._carried(place, labels) for place in range(len(node.factors))]
        if len(set(by_labels)) < len(by_labels):
            self.keys = [node_key(factor) for factor in node.operands]
        elif not any(self.symmetric):
            return self._ordered(sorted(range(len(by_labels)), key=lambda place: by_labels[place]), labels)
        _, order, labels = self._search(labels, [0] * len(node.factors))
        return self._ordered(order, labels)

    def _carried(self, place: int, labels: Sequence[int]) -> tuple[int, ...]:
        colours = tuple(labels[label] for label in self.node.factors[place][1])
        return tuple(sorted(colours)) if self.symmetric[place] else colours

    def _refine(self, labels: list[int], factors: list[int]) -> tuple[list[int], list[int]]:
        """Colours told apart by what they touch, until nothing more is."""
        node, width = self.node, len(self.node.output)
        while True:
            seen = [(self._carried(place, labels), self._key(place), factors[place]) for place in range(len(factors))]
            ranks = {value: rank for rank, value in enumerate(sorted(set(seen)))}
            new_factors = [ranks[value] for value in seen]
            touched: list[list[tuple[int, int]]] = [[] for _ in labels]
            for place, (_, own) in enumerate(node.factors):
                for axis, label in enumerate(own):
                    touched[label].append((new_factors[place], 0 if self.symmetric[place] else axis))
            marks = [(labels[label], tuple(sorted(touched[label]))) for label in range(len(labels))]
            order = {mark: rank for rank, mark in enumerate(sorted(set(marks)))}
            new_labels = [order[mark] for mark in marks]
            assert new_labels[:width] == list(range(width))
            if len(set(new_factors)) == len(set(factors)) and len(set(new_labels)) == len(set(labels)):
                return new_labels, new_factors
            labels, factors = new_labels, new_factors

    def _key(self, place: int) -> Key:
        return self.keys[place] if self.keys else (0, "", b"")

    def _search(self, labels: list[int], factors: list[int]) -> tuple[Encoding, list[int], list[int]]:
        """The smallest encoding below these colours, with its order of factors and its colours of labels."""
        labels, factors = self._refine(labels, factors)
        order = sorted(range(len(factors)), key=lambda place: factors[place])
        tied = self._first_tie(order, factors)
        if not tied:
            self.left -= 1
            return self._encode(order, labels), order, labels
        found: tuple[Encoding, list[int], list[int]] | None = None
        for chosen in tied:
            if found is not None and self.left <= 0:
                break
            behind = [colour == factors[chosen] and place != chosen for place, colour in enumerate(factors)]
            split = [2 * colour + later for colour, later in zip(factors, behind, strict=True)]
            candidate = self._search(labels, split)
            if found is None or candidate[0] < found[0]:
                found = candidate
        assert found is not None
        return found

    def _first_tie(self, order: list[int], factors: list[int]) -> list[int]:
        """Factors of the first colour that several different ones share; equal factors may stand in any order."""
        classes: dict[int, list[int]] = {}
        for place in order:
            classes.setdefault(factors[place], []).append(place)
        for places in classes.values():
            if len({self.node.factors[place][1] for place in places}) > 1:
                return places
        return []

    def _encode(self, order: list[int], labels: list[int]) -> Encoding:
        numbers = {label: label for label in self.node.output}
        return tuple((self._numbered(place, numbers, labels), self._key(place)) for place in order)

    def _numbered(self, place: int, numbers: dict[int, int], labels: list[int]) -> Labels:
        """Labels of a factor numbered by first appearance; a symmetric one shows known labels first."""
        own = self.node.factors[place][1]
        if self.symmetric[place]:
            unknown = len(self.node.extents)
            own = tuple(sorted(own, key=lambda label: (numbers.get(label, unknown), labels[label])))
        for label in own:
            numbers.setdefault(label, len(numbers))
        return tuple(numbers[label] for label in own)

    def _ordered(self, order: list[int], labels: list[int]) -> Node:
        node = self.node
        numbers = {label: label for label in node.output}
        factors = tuple((node.factors[place][0], self._numbered(place, numbers, labels)) for place in order)
        if factors == node.factors:
            return node
        extents = [node.extents[0]] * len(numbers) if numbers else []
        for old, new in numbers.items():
            extents[new] = node.extents[old]
        return Einsum(node.coefficient, factors, node.output, tuple(extents))
