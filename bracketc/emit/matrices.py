"""Products of matrices and vectors, found on the graph of labels of one bracket.

    (A_ij B_kj | ki)   ->   B @ A^T          (Z_ij C_ij | j)   ->   (Z ⊙ C)^T @ 𝟏

Factors on the same labels are multiplied element by element, a summed label that joins two factors is a product, one that stands
alone is summed by ones, and what is left must lie in the order of the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from bracketc.emit.forms import form_of
from bracketc.emit.notation import Text
from bracketc.emit.scalars import ONE, Writer, is_reciprocal
from bracketc.ir.build import einsum, permute
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Add, Delta, Einsum, Labels, Node, Pointwise
from bracketc.simplify.canonical import declared_symmetry


def matrix_text(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text | None:
    """The text of a bracket in matrix notation, ``None`` when it is no product of matrices and vectors."""
    return _Graph(node, tensors, writer).text()


def hadamard(factors: Sequence[tuple[Node, Text]], writer: Writer) -> Text:
    """Factors of one shape, multiplied element by element; equal ones become a power, reciprocals a quotient."""
    notation = writer.notation
    if len(factors) == 1:
        return factors[0][1]
    counts: Counter[tuple[Node, Text]] = Counter(factors)
    above: list[Text] = []
    below: list[Text] = []
    for (node, text), times in counts.items():
        if times == 1 and is_reciprocal(node, writer):
            assert isinstance(node, Pointwise)
            below.append(writer.text(node.args[0]))
        else:
            above.append(text if times == 1 else notation.power(text, Fraction(times)))
    if not above:
        above = [text for _, text in factors]
        below = []
    top = above[0] if len(above) == 1 else notation.elementwise(above)
    for divisor in below:
        top = notation.divide(top, divisor, scalar=False)
    return top


def transposed(node: Node | None, text: Text, writer: Writer) -> Text:
    """The transpose of a matrix; of a product, the product of the transposes."""
    if not isinstance(node, Einsum) or writer.is_named(node) or len(node.extents) == len(node.output) or form_of(node):
        return writer.notation.transpose(text)
    return writer.text(_flipped(node))


@dataclass(frozen=True, slots=True)
class _Unit:
    """A factor of a product of matrices. ``flipped`` transposes it; a symmetric one stays."""

    text: Text
    flipped: bool = False
    symmetric: bool = False
    node: Node | None = None


@dataclass(frozen=True, slots=True)
class _Term:
    """A product with one or two labels: that of its rows, and of its columns if it has any."""

    labels: Labels
    units: tuple[_Unit, ...]
    node: Node | None = None

    def flip(self) -> _Term:
        units = tuple(replace(u, flipped=u.flipped != (not u.symmetric)) for u in reversed(self.units))
        return _Term(self.labels[::-1], units, self.node)

    def oriented(self, labels: Labels) -> _Term:
        """With its rows and columns in the order of ``labels``."""
        return self if self.labels == labels else self.flip()


def _flipped(node: Node) -> Node:
    if isinstance(node, Einsum):
        return einsum(node.coefficient, node.factors, node.output[::-1], dict(enumerate(node.extents)))
    return permute(node, (1, 0))


def _is_symmetric(node: Node) -> bool:
    """Whether a matrix is its own transpose: by its traits, or as a sum of which the transpose has the same terms."""
    if node.rank != 2 or node.shape[0] is not node.shape[1]:
        return False
    if isinstance(node, Add):
        return {_flipped(term) for term in node.terms} == set(node.terms)
    return declared_symmetry(node)


class _Graph:
    """The terms of one bracket while they are joined."""

    def __init__(self, node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> None:
        self.node = node
        self.writer = writer
        self.notation = writer.notation
        self.tensors = tensors
        self.scalars: list[Text] = []
        self.terms: list[_Term] = []

    def text(self) -> Text | None:
        """The whole bracket, or ``None`` when it is no product of matrices and vectors."""
        if self.node.rank > 2 or not self._start():
            return None
        while True:
            self._merge()
            if not (self._contract() or self._scale() or self._sum_alone()):
                break
        return self._finish()

    def _start(self) -> bool:
        for factor, labels in self.tensors:
            if isinstance(factor, Delta) or len(labels) > 2:
                return False
            if len(labels) == 2 and labels[0] == labels[1]:
                if labels[0] not in self.node.output and self._uses(labels[0]) == 2:
                    self.scalars.append(self.notation.call("tr", [self.writer.text(factor)]))
                    continue
                text = self.notation.diagonal(self.writer.text(factor))
                self.terms.append(_Term(labels[:1], (_Unit(text),)))
            else:
                unit = _Unit(self.writer.text(factor), symmetric=_is_symmetric(factor), node=factor)
                self.terms.append(_Term(labels, (unit,), factor))
        return True

    def _uses(self, label: int) -> int:
        return sum(labels.count(label) for _, labels in self.tensors)

    def _carriers(self, label: int) -> list[_Term]:
        return [term for term in self.terms if label in term.labels]

    def _free(self, label: int) -> bool:
        return label in self.node.output

    def _merge(self) -> None:
        """Terms on the same labels become one; of the last two that are summed completely, the dot product."""
        groups: dict[frozenset[int], list[_Term]] = {}
        for term in self.terms:
            groups.setdefault(frozenset(term.labels), []).append(term)
        if all(len(group) == 1 for group in groups.values()):
            return
        merged: list[_Term] = []
        for labels, group in groups.items():
            first = group[0].labels
            if len(group) == 1:
                merged.append(group[0])
                continue
            whole = not any(self._free(label) for label in labels) and all(
                len(self._carriers(label)) == len(group) for label in labels
            )
            terms = [term.oriented(first) for term in group]
            texts = [(term.node or self.node, self._joined(term)) for term in terms]
            if whole and not any(term.node is not None and is_reciprocal(term.node, self.writer) for term in terms):
                self.scalars.append(self.notation.dot(hadamard(texts[:-1], self.writer), texts[-1][1]))
            else:
                merged.append(_Term(first, (_Unit(hadamard(texts, self.writer)),)))
        self.terms = merged

    def _contract(self) -> bool:
        """Join two terms by a summed label that no other carries: (A_ij B_jk | ik) -> A @ B."""
        for label in range(len(self.node.extents)):
            if self._free(label):
                continue
            carriers = self._carriers(label)
            if len(carriers) != 2:
                continue
            left, right = carriers
            if len(left.labels) < len(right.labels):
                left, right = right, left
            if len(left.labels) == 1:
                continue  # merged by now, into a dot product
            left = left if left.labels[1] == label else left.flip()
            right = right if right.labels[0] == label else right.flip()
            labels = (left.labels[0], *right.labels[1:])
            joined = _Term(labels, (*left.units, *right.units))
            if len(labels) == 2 and self._backwards(labels):
                joined = joined.flip()
            self._replace((carriers[0], carriers[1]), joined)
            return True
        return False

    def _backwards(self, labels: Labels) -> bool:
        output = self.node.output
        return len(output) == 2 and (labels[0] == output[1] or labels[1] == output[0])

    def _scale(self) -> bool:
        """A vector along a matrix scales its rows or columns: (r_i A_ij | ij) -> diag(r) @ A."""
        for term in self.terms:
            if len(term.labels) != 1:
                continue
            label = term.labels[0]
            others = [other for other in self._carriers(label) if len(other.labels) == 2]
            if not others or (not self._free(label) and len(others) < 2):
                continue
            other = others[0]
            matrix = _Unit(self.notation.call("diag", [self._joined(term)]), symmetric=True)
            units = (matrix, *other.units) if other.labels[0] == label else (*other.units, matrix)
            self._replace((term, other), _Term(other.labels, units))
            return True
        return False

    def _sum_alone(self) -> bool:
        """A summed label that one term carries: (A_ij | i) -> A @ 𝟏."""
        for label in range(len(self.node.extents)):
            carriers = self._carriers(label)
            if self._free(label) or len(carriers) != 1:
                continue
            (term,) = carriers
            if len(term.labels) == 1 or not any(self._free(other) for other in term.labels):
                if len(term.labels) == 2 and any(len(self._carriers(other)) > 1 for other in term.labels):
                    pass
                else:
                    self.terms.remove(term)
                    self.scalars.append(self.notation.call("sum", [self._joined(term)]))
                    return True
            oriented = term if term.labels[1] == label else term.flip()
            ones = _Unit(self.notation.ones((self.node.extents[label],), sized=False))
            self._replace((term,), _Term(oriented.labels[:1], (*oriented.units, ones)))
            return True
        return False

    def _replace(self, old: tuple[_Term, ...], new: _Term) -> None:
        place = min(self.terms.index(term) for term in old)
        kept = [term for term in self.terms if not any(term is other for other in old)]
        kept.insert(min(place, len(kept)), new)
        self.terms = kept

    def _finish(self) -> Text | None:
        output = self.node.output
        labels = [label for term in self.terms for label in term.labels]
        if len(set(labels)) != len(labels) or not set(labels) <= set(output):
            return None
        if not self.terms and not output:
            body: Text = ONE
        elif len(self.terms) == 1 and set(self.terms[0].labels) == set(output):
            body = self._joined(self.terms[0].oriented(output))
        else:
            by_label = {term.labels[0]: term for term in self.terms if len(term.labels) == 1}
            if len(by_label) != len(self.terms):
                return None
            extents: Callable[[int], Dim] = self.node.extents.__getitem__
            body = self.notation.formal_product(
                [
                    self._joined(by_label[label])
                    if label in by_label
                    else self.notation.ones((extents(label),), self.writer.sized)
                    for label in output
                ],
                [1] * len(output),
            )
        if not self.scalars:
            return body
        scalars = self.notation.scalars(self.scalars)
        return scalars if body is ONE else self.notation.scaled(scalars, body)

    def _joined(self, term: _Term) -> Text:
        texts = [transposed(unit.node, unit.text, self.writer) if unit.flipped else unit.text for unit in term.units]
        return texts[0] if len(texts) == 1 else self.notation.matrix_product(texts)
