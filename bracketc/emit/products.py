"""One bracket of the tensor IR as text: a product of matrices and vectors where it is one, else an index bracket.

    (A_ij B_kj | ki)   ->   B @ A^T          (Z_ij C_ij | j)   ->   (Z ⊙ C)^T @ 𝟏
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from bracketc.emit.forms import form_of
from bracketc.emit.juxtaposition import flattened, formal_text, is_nested
from bracketc.emit.matrices import hadamard, matrix_text, transposed
from bracketc.emit.notation import FORMAL, Text
from bracketc.emit.scalars import Writer, is_reciprocal, scalar_factor, scalar_product
from bracketc.ir.build import einsum
from bracketc.ir.nodes import Add, Delta, Einsum, Labels, Node, Pointwise
from bracketc.ir.printer import label_text


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
    found = _noted(node, tensors, found, writer)
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
    return _noted(node, tensors, _whole_text(node, tensors, writer), writer)


def _noted(node: Einsum, tensors: Sequence[tuple[Node, Labels]], found: Text | None, writer: Writer) -> Text:
    """The text that was ``found``, or else the one with labels; whoever draws brackets is told of it."""
    tensors = tensors if writer.form == "bracket" else _untransposed(tensors, writer)
    if found is None:
        found = _index_bracket(node, _untransposed(tensors, writer), writer)
    writer.note(node, tensors, found)
    return found


def _whole_text(node: Einsum, tensors: Sequence[tuple[Node, Labels]], writer: Writer) -> Text | None:
    """The text without labels, in portions or in matrix notation; ``None`` where there is none."""
    if not tensors:
        return writer.notation.ones(node.shape, writer.sized or node.rank > 1)
    if writer.form == "bracket":
        return formal_text(node, writer.notation, writer.text, writer.is_named, writer.sized)
    tensors = _untransposed(tensors, writer)
    ((factor, labels), *others) = tensors
    if not others and labels == node.output:
        return writer.text(factor)
    if writer.form == "index":
        return None
    for rule in (_same_labels, _side_by_side, _permutation, _diagonal):
        found = rule(node, tensors, writer)
        if found is not None:
            return found
    return matrix_text(node, tensors, writer)


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
        return transposed(factor, writer.text(factor), writer)
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
