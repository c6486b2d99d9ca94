"""One bracket of the tensor IR as text: a product of matrices and vectors where it is one, else an index bracket.

    (A_ij B_kj | ki)   ->   B @ A^T          (Z_ij C_ij | j)   ->   (Z ⊙ C)^T @ 𝟏

The matrix form is found on the graph of labels: factors on the same labels are multiplied element by element, a
summed label that joins two factors is a product, one that stands alone is summed by ones, and what is left must
lie in the order of the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count

from bracketc.emit.forms import form_of
from bracketc.emit.juxtaposition import flattened, formal_text, is_nested
from bracketc.emit.notation import FORMAL, Text
from bracketc.emit.scalars import ONE, Writer, is_reciprocal, scalar_factor, scalar_product
from bracketc.ir.build import einsum, permute
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Add, Delta, Einsum, Labels, Node, Pointwise
from bracketc.ir.printer import label_text
from bracketc.simplify.canonical import declared_symmetry


def bracket_form(node: Einsum, writer: Writer) -> Text:
    """The text of a bracket."""
    if writer.form in ("bracket", "index"):
        node = flattened(node, writer.is_named) or node
    front, tensors = split(node)
    if not tensors and not node.output:
        return scalar_product(node, front, writer)
    found = _whole_text(node, tensors, writer)
    if found is None:  # labels are needed: they may as well say all of it
        flat = flattened(node, writer.is_named)
        if flat is not None and flat is not node:
            node = flat
            front, tensors = split(flat)
            if not tensors and not node.output:
                return scalar_product(node, front, writer)
            found = _whole_text(node, tensors, writer)
    if found is None:
        found = _index_bracket(node, _untransposed(tensors, writer), writer)
    return writer.notation.scaled(scalar_factor(node.coefficient, front, writer), found)


def _untransposed(tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> list[tuple[Node, Labels]]:
    """Factors that only rearrange axes, replaced by what they rearrange."""
    found: list[tuple[Node, Labels]] = []
    for factor, labels in tensors:
        while isinstance(factor, Einsum) and not writer.is_named(factor) and _rearranges(factor):
            (inner, own), *_ = factor.factors
            labels = tuple(labels[factor.output.index(label)] for label in own)
            factor = inner
        found.append((factor, labels))
    return found


def _rearranges(node: Einsum) -> bool:
    return node.coefficient == 1 and len(node.factors) == 1 and sorted(node.factors[0][1]) == sorted(node.output)


def split(node: Einsum) -> tuple[list[Node], list[tuple[Node, Labels]]]:
    """The scalar factors of a bracket, and the others with their labels."""
    scalars = [factor for factor, labels in node.factors if not labels]
    return scalars, [(factor, labels) for factor, labels in node.factors if labels]


def is_spread(node: Node) -> bool:
    """Whether ``node`` is a scalar repeated over its shape."""
    return isinstance(node, Einsum) and node.rank > 0 and not any(labels for _, labels in node.factors)


def tensor_part(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text:
    """The text of a bracket without its scalar factors and its coefficient."""
    found = _whole_text(node, tensors, writer)
    return _index_bracket(node, _untransposed(tensors, writer), writer) if found is None else found


def _whole_text(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text | None:
    """The text without labels, in portions or in matrix notation; ``None`` where there is none."""
    if not tensors:
        return writer.notation.ones(node.shape, writer.sized or node.rank > 1)
    if writer.form == "bracket":
        writer.note(node, tensors)
        return formal_text(node, writer.notation, writer.text, writer.is_named, writer.sized)
    tensors = _untransposed(tensors, writer)
    writer.note(node, tensors)
    ((factor, labels), *others) = tensors
    if not others and labels == node.output:
        return writer.text(factor)
    if writer.form == "index":
        return None
    for rule in (_same_labels, _side_by_side, _permutation, _diagonal):
        found = rule(node, tensors, writer)
        if found is not None:
            return found
    return _Graph(node, tensors, writer).text()


# --------------------------------------------------------------------------------------------------- index brackets
def _index_bracket(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text:
    notation = writer.notation
    factors: list[str] = []
    divisors: list[str] = []
    fresh = count(len(node.extents))
    sized = {label for factor, labels in tensors if not isinstance(factor, Delta) for label in labels}
    for factor, labels in tensors:
        texts = [label_text(label) for label in labels]
        if isinstance(factor, Delta) and (sized.intersection(labels) or not notation.reads_back):
            factors.append(notation.delta(texts))
            sized.update(labels)
        elif isinstance(factor, Delta):
            factors.append(notation.labelled(notation.identity(factor.extent), texts))
            sized.update(labels)
        elif is_reciprocal(factor, writer) and set(labels) <= set(node.output):
            assert isinstance(factor, Pointwise)
            divisors.append(notation.labelled(writer.text(factor.args[0]), texts))
        else:
            factors.append(_entries_of(factor, labels, writer, fresh))
    carried = {label for _, labels in tensors for label in labels}
    for label in node.output:
        if label not in carried:
            ones = notation.ones((node.extents[label],), writer.sized)
            factors.insert(0, notation.labelled(ones, [label_text(label)]))
    return notation.bracket(notation.entries(factors or ["1"], divisors), [label_text(label) for label in node.output])


def _entries_of(node: Node, labels: Labels, writer: Writer, fresh: Iterator[int]) -> str:
    """``A_ij``; of a sum the sum of its entries, (A_ij + 2 B_ik C_kj), where each of its terms has every label."""
    notation = writer.notation
    names = [label_text(label) for label in labels]
    whole = not isinstance(node, Add) or writer.is_named(node) or form_of(node) is not None or len(set(labels)) < len(labels)
    if whole or not isinstance(node, Add) or any(is_loose(term) or is_spread(term) for term in node.terms):
        return notation.labelled(writer.text(node), names)
    terms: list[Text] = []
    for term in node.terms:
        if not is_nested(term, writer.is_named):
            terms.append(Text(notation.labelled(writer.text(term), names)))
            continue
        assert isinstance(term, Einsum)
        scalars, tensors = split(term)
        known = dict(zip(term.output, labels, strict=True))
        known.update({label: next(fresh) for label in range(len(term.output), len(term.extents))})
        factors = [_entries_of(factor, tuple(known[label] for label in own), writer, fresh) for factor, own in tensors]
        entry = Text(notation.entries(factors, ()), FORMAL)
        terms.append(notation.scaled(scalar_factor(term.coefficient, scalars, writer), entry))
    return notation.group(notation.sum(sorted(terms, key=lambda text: text.negative)).text)


# --------------------------------------------------------------------------------------------------- any rank
def _same_labels(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text | None:
    """All factors on the labels of the result, or all on the same labels and everything summed."""
    first = tensors[0][1]
    if any(labels != first or isinstance(factor, Delta) for factor, labels in tensors):
        return None
    if len(set(first)) != len(first):
        return None
    nodes = [factor for factor, _ in tensors]
    sized = all(is_loose(factor) for factor in nodes)
    if first == node.output:
        return hadamard([(factor, writer.text(factor, sized)) for factor in nodes], writer)
    if node.output or any(is_reciprocal(factor, writer) for factor in nodes):
        return None
    notation = writer.notation
    if len(nodes) == 1:
        return notation.call("sum", [writer.text(nodes[0])])
    texts = [(factor, writer.text(factor, sized)) for factor in nodes]
    return notation.dot(hadamard(texts[:-1], writer), texts[-1][1])


def is_loose(node: Node) -> bool:
    """Whether some axis of ``node`` has its size from nothing but ones."""
    if not isinstance(node, Einsum):
        return False
    carried = {label for factor, labels in node.factors if not isinstance(factor, Delta) for label in labels}
    return not carried.issuperset(node.output)


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


def _side_by_side(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text | None:
    """Factors that share no label and sum none, with ones where the result has labels of its own.

    (u_i A_jk | ijk)  ->  u A          (δ_ik x_j | ijk)  ->  (eye(N) x)_132
    """
    carried = [label for _, labels in tensors for label in labels]
    if len(set(carried)) < len(carried) or not set(carried) <= set(node.output):
        return None
    notation = writer.notation
    places = node.output.index
    parts: list[tuple[Labels, Node | None]] = [(labels, factor) for factor, labels in tensors]
    parts += [((label,), None) for label in node.output if label not in carried]
    parts.sort(key=lambda part: min(map(places, part[0])))
    order = [label for labels, _ in parts for label in labels]
    straight = order == list(node.output)
    if len(parts) == 1 or not (straight or (node.rank > 2 and len(parts) == len(tensors))):
        return None
    operands = [
        writer.text(factor) if factor is not None else notation.ones((node.extents[labels[0]],), writer.sized)
        for labels, factor in parts
    ]
    product = notation.formal_product(operands, [len(labels) for labels, _ in parts])
    return product if straight else notation.permuted(product, [order.index(label) + 1 for label in node.output])


def _permutation(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text | None:
    if len(tensors) != 1 or isinstance(tensors[0][0], Delta):
        return None
    factor, labels = tensors[0]
    if sorted(labels) != sorted(node.output) or len(set(labels)) != len(labels):
        return None
    if labels == node.output:
        return writer.text(factor)
    if len(labels) == 2:
        return _transposed(factor, writer.text(factor), writer)
    return writer.notation.permuted(writer.text(factor), [labels.index(label) + 1 for label in node.output])


def _diagonal(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text | None:
    """A diagonal matrix: (δ_ij x_i | ij)  ->  diag(x)."""
    rest = [(factor, labels) for factor, labels in tensors if not isinstance(factor, Delta)]
    if node.rank != 2 or len(tensors) != len(rest) + 1 or not rest:
        return None
    delta = next(labels for factor, labels in tensors if isinstance(factor, Delta))
    inside = {label for _, labels in rest for label in labels}
    first, second = node.output
    if set(delta) != {first, second} or (first in inside) == (second in inside):
        return None
    entries = einsum(1, rest, (first,) if first in inside else (second,), dict(enumerate(node.extents)))
    return writer.notation.call("diag", [writer.text(entries)])


def _transposed(node: Node | None, text: Text, writer: Writer) -> Text:
    """The transpose of a matrix; of a product, the product of the transposes."""
    if not isinstance(node, Einsum) or writer.is_named(node) or len(node.extents) == len(node.output) or form_of(node):
        return writer.notation.transpose(text)
    return writer.text(_flipped(node))


# ------------------------------------------------------------------------------------------- matrices and vectors
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
        texts = [_transposed(unit.node, unit.text, self.writer) if unit.flipped else unit.text for unit in term.units]
        return texts[0] if len(texts) == 1 else self.notation.matrix_product(texts)
