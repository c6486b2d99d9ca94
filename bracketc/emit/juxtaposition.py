"""Brackets as formal products of portions: ``X_2 [Z C (~X_1 𝟏)]``.

:mod:`bracketc.emit.portions` finds how the portions lie; here they get their names, their tags where portions of several
occurrences of one name could be confused, and their bars.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from bracketc.emit.forms import form_of
from bracketc.emit.notation import FORMAL, POWER, Notation, Text
from bracketc.emit.portions import Fusion, Group, Item, Layout, OnesPortion, Portion, layout, portions
from bracketc.ir.build import product
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Einsum, Labels, Node, Number, Project, Tensor
from bracketc.simplify.brackets import bracket

_NAME = re.compile(r"[^\W\d_][^\W_]*'*(\[[^\]]*\])?")
"""What may be cut into portions: a name, or a slice of one."""


def is_nested(node: Node, is_named: Callable[[Node], bool]) -> bool:
    """Whether ``node`` is a product that stands inside the one that uses it."""
    return isinstance(node, Einsum) and not is_named(node) and form_of(node) is None


def has_name(node: Node, is_named: Callable[[Node], bool]) -> bool:
    """Whether the text of ``node`` is a name, or a slice of one: what a loop gives is called by the name of its state."""
    return isinstance(node, Tensor | Project) or is_named(node)


def flattened(node: Einsum, is_named: Callable[[Node], bool]) -> Einsum | None:
    """A bracket with the products inside it written as part of it; ``None`` where it is none any more.

    (A_ij (B_jk C_kl | jl)_jl | il)   ->   (A_ij B_jk C_kl | il)
    """
    coefficient: Number = node.coefficient
    factors: list[tuple[Node, tuple[int, ...]]] = []
    extents: list[Dim] = list(node.extents)
    if not any(is_nested(factor, is_named) for factor in node.operands):
        return node
    pending = list(reversed(node.factors))
    while pending:
        factor, labels = pending.pop()
        if not isinstance(factor, Einsum) or not is_nested(factor, is_named):
            factors.append((factor, labels))
            continue
        coefficient = product(coefficient, factor.coefficient)
        names = dict(zip(factor.output, labels, strict=True))
        for label, extent in enumerate(factor.extents):
            if label not in names:
                names[label] = len(extents)
                extents.append(extent)
        pending += [(inner, tuple(names[label] for label in own)) for inner, own in reversed(factor.factors)]
    found = bracket(coefficient, factors, node.output, dict(enumerate(extents)))
    return found if isinstance(found, Einsum) else None


def tensor_factors(node: Einsum) -> list[tuple[Node, Labels]]:
    """The factors that have labels."""
    return [(factor, labels) for factor, labels in node.factors if labels]


def arranged(node: Einsum, is_named: Callable[[Node], bool]) -> Layout:
    """The portions of a bracket without nested ones."""
    factors = tensor_factors(node)
    closed = [not has_name(factor, is_named) for factor, _ in factors]
    return layout([labels for _, labels in factors], node.output, closed)


def to_be_named(nodes: Iterable[Node], is_named: Callable[[Node], bool]) -> list[Node]:
    """Factors of brackets that are cut into portions, for which they need a name."""
    found: dict[Node, None] = {}
    for node in nodes:
        flat = flattened(node, is_named) if isinstance(node, Einsum) else None
        if flat is None:
            continue
        factors = tensor_factors(flat)
        for place in arranged(flat, is_named).split:
            factor, _ = factors[place]
            if not has_name(factor, is_named):
                found.setdefault(factor)
    return list(found)


def formal_text(
    node: Einsum, notation: Notation, text: Callable[[Node], Text], is_named: Callable[[Node], bool], sized: bool
) -> Text | None:
    """The tensors of a bracket without nested ones as portions; ``None`` where a name cannot be cut into portions."""
    factors = tensor_factors(node)
    found = arranged(node, is_named)
    texts = [text(factor) for factor, _ in factors]
    if any(not _NAME.fullmatch(_plain(factors[place][0], texts[place], notation)) for place in found.split):
        return None
    tags = _tags(found, [factor for factor, _ in factors])
    ranks = [len(labels) for _, labels in factors]

    def shown(item: Item) -> Text:
        match item:
            case Portion():
                operand = texts[item.factor]
                plain = [slot.positions for slot in item.slots] == [(p + 1,) for p in range(ranks[item.factor])]
                if not plain or any(slot.barred for slot in item.slots):
                    operand = notation.portion(operand, item.slots, tags.get(item.factor))
                return notation.bar(operand) if item.barred else operand
            case OnesPortion():
                ones = notation.ones((node.extents[item.label],), sized and item.alone)
                return notation.bar(ones) if item.barred else ones
            case Fusion():
                return notation.fusion([fused(member) for member in item.members])
            case Group():
                return Text(notation.group(notation.side_by_side([shown(i) for i in item.items])))

    def fused(item: Item) -> Text:
        """A member of [ ], where a product side by side would be several members."""
        text = shown(item)
        is_barred = isinstance(item, Portion | OnesPortion) and item.barred
        return text if is_barred else Text(notation.at(text, POWER), POWER)

    match found.items:
        case (Portion(place, (first, second), barred=False),) if (first.positions, second.positions) == ((2,), (1,)):
            if not (first.barred or second.barred) and ranks[place] == 2:
                return notation.transpose(texts[place])
    shown_items = [shown(item) for item in found.items]
    if len(shown_items) == 1:
        return shown_items[0]
    return Text(notation.side_by_side(shown_items), FORMAL)


def _plain(node: Node, text: Text, notation: Notation) -> str:
    """The text of a name as a source would have it, whatever the style."""
    return text.body if notation.reads_back else "X" if isinstance(node, Tensor) or "nabla" not in text.body else ""


def _tags(found: Layout, factors: Sequence[Node]) -> dict[int, int]:
    """A number for every occurrence of a tensor of which several are cut, in the order in which they appear."""
    occurrences: dict[Node, dict[int, int]] = {}
    split = set(found.split)
    for portion in portions(found.items):
        if portion.factor in split:
            own = occurrences.setdefault(factors[portion.factor], {})
            own.setdefault(portion.factor, len(own) + 1)
    return {place: tag for own in occurrences.values() if len(own) > 1 for place, tag in own.items()}


