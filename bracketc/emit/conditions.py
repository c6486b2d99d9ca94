"""Conditions: comparisons of whole tensors, or of entries where labels stand as numbers or a condition is spread.

    where(x > 0, x, 0)          (where(i >= j, P_ij, P_ji) | ij)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bracketc.emit.notation import Text
from bracketc.emit.products import is_spread
from bracketc.emit.scalars import ONE
from bracketc.ir.build import is_zero
from bracketc.ir.nodes import Add, Compare, Einsum, Labels, Node, Range, Select, Size
from bracketc.simplify.brackets import is_contraction, is_exact_one

if TYPE_CHECKING:
    from bracketc.emit.display import Display


def select_text(d: Display, node: Select) -> Text:
    """``where(condition, yes, no)``, in an index bracket where its condition cannot stand outside of one."""
    if not by_entries(d, node.condition):
        yes, no = (d.scalar_or_text(part) for part in (node.yes, node.no))
        return d.notation.where(whole(d, node.condition), yes, no)
    return _bracketed(d, node, node.yes, node.no)


def compare_text(d: Display, node: Node) -> Text:
    """A condition counted as 0 and 1."""
    if not by_entries(d, node):
        return d.notation.where(whole(d, node), ONE, Text("0"))
    return _bracketed(d, node, None, None)


def _bracketed(d: Display, node: Node, yes: Node | None, no: Node | None) -> Text:
    labels = tuple(range(node.rank))
    names = d.naming.entry_labels(node.rank)
    sized: set[int] = set()
    condition = node.condition if isinstance(node, Select) else node
    test = in_labels(d, condition, labels, sized)
    branches = [fixed if part is None else _entry(d, part, labels, sized) for part, fixed in ((yes, ONE), (no, Text("0")))]
    factors = [d.notation.where(test, *branches).text]
    for axis in labels:
        if axis not in sized and d.notation.reads_back:
            factors.append(d.notation.labelled(d.notation.ones((node.shape[axis],), sized=True), [names[axis]]))
    return d.notation.bracket(d.notation.entries(factors, ()), names)


def by_entries(d: Display, node: Node) -> bool:
    """Whether a condition needs labels: it compares labels themselves, or is spread over more than it depends on."""
    if d.is_called(node):
        return False
    if isinstance(node, Compare):
        return _mask(node) is not None or any(_counts(side) for side in (node.left, node.right))
    return isinstance(node, Einsum) and node.dtype != "integer"


def _mask(node: Compare) -> Einsum | None:
    """The repeated condition that ``node`` asks not to be 0."""
    left = node.left
    if node.operator == "!=" and is_zero(node.right) and isinstance(left, Einsum) and _spreads(left):
        return left if left.operands[0].dtype == "boolean" else None
    return None


def _counts(node: Node) -> bool:
    """Whether labels stand in ``node`` as numbers."""
    if isinstance(node, Einsum) and is_contraction(node):
        return False
    if isinstance(node, Einsum | Add):
        return any(_counts(operand) for operand in node.operands)
    return isinstance(node, Range)


def whole(d: Display, node: Node) -> Text:
    """A condition between whole tensors."""
    if isinstance(node, Compare) and not d.is_called(node):
        return d.notation.condition(node.operator, d.scalar_or_text(node.left), d.scalar_or_text(node.right))
    return d.notation.condition("!=", d.text(node), Text("0"))


def in_labels(d: Display, node: Node, labels: Labels, sized: set[int]) -> Text:
    """A condition between entries; ``labels`` are those of its axes, ``sized`` collects the labels that something gives a size."""
    if isinstance(node, Einsum) and not d.is_called(node) and _spreads(node):
        ((inner, own),) = node.factors
        return in_labels(d, inner, tuple(labels[node.output.index(label)] for label in own), sized)
    if isinstance(node, Compare) and not d.is_called(node):
        mask = _mask(node)
        if mask is not None:
            return in_labels(d, mask, labels, sized)
        return d.notation.condition(node.operator, _entry(d, node.left, labels, sized), _entry(d, node.right, labels, sized))
    return d.notation.condition("!=", _entry(d, node, labels, sized), Text("0"))


def _spreads(node: Einsum) -> bool:
    """Whether a bracket only rearranges and repeats its factor."""
    if not is_exact_one(node.coefficient) or len(node.factors) != 1:
        return False
    ((_, labels),) = node.factors
    return bool(labels) and len(set(labels)) == len(labels) and set(labels) <= set(node.output)


def _entry(d: Display, node: Node, labels: Labels, sized: set[int]) -> Text:
    if d.is_called(node) or not node.rank:
        return _labelled(d, node, labels, sized)
    if isinstance(node, Range):
        return Text(_letters(d, labels)[0])
    if is_spread(node):
        return d.scalar_or_text(node)
    if isinstance(node, Einsum) and _spreads(node):
        ((inner, own),) = node.factors
        return _entry(d, inner, tuple(labels[node.output.index(label)] for label in own), sized)
    if _counts(node) and isinstance(node, Add):
        terms = sorted((_entry(d, term, labels, sized) for term in node.terms), key=lambda text: text.negative)
        return d.notation.sum(terms)
    if _counts(node) and isinstance(node, Einsum):
        return _number(d, node, labels, sized)
    return _labelled(d, node, labels, sized)


def _number(d: Display, node: Einsum, labels: Labels, sized: set[int]) -> Text:
    factors: list[Text] = []
    for factor, own in node.factors:
        at = tuple(labels[node.output.index(label)] for label in own)
        factors.append(d.notation.size(factor.dim) if isinstance(factor, Size) else _entry(d, factor, at, sized))
    body = d.notation.scalars(factors)
    return d.notation.scaled(d.notation.number(node.coefficient), body)


def _labelled(d: Display, node: Node, labels: Labels, sized: set[int]) -> Text:
    if not node.rank:
        return d.text(node)
    sized.update(labels)
    return Text(d.notation.labelled(d.text(node), _letters(d, labels)))


def _letters(d: Display, labels: Labels) -> list[str]:
    """Labels that are no names of the source: in a comparison a name stands for what it names."""
    letters = d.naming.entry_labels(1 + max(labels))
    return [letters[label] for label in labels]


