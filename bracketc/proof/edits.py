"""Single changes of an expression: what a slip of the pen makes of a right step, and what mends a wrong one.

    A @ x - b   ->   A^T @ x - b,  A @ x + b,  -(A @ x) - b,  A @ x,  A @ b - b, …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias
from typing import Literal as OneOf

from bracketc.errors import Span
from bracketc.lang import syntax

Kind = OneOf["sign", "factor", "transposition", "bar", "position", "name", "term"]

KINDS: tuple[Kind, ...] = ("sign", "factor", "transposition", "bar", "position", "name", "term")


@dataclass(frozen=True, slots=True)
class Edit:
    """A changed expression: ``tree`` is the whole with the change, ``span`` where it was made, ``advice`` says what to do there."""

    kind: Kind
    tree: syntax.Expr
    span: Span
    advice: str


_Local: TypeAlias = tuple[Kind, Any, Span, str]


def edits(expr: syntax.Expr, names: Sequence[str] = ()) -> Iterator[Edit]:
    """Every single change of ``expr``; ``names`` are those that may take one another's place."""
    for kind, tree, span, advice in _of(expr, names, None):
        yield Edit(kind, tree, span, advice)


def _of(node: Any, names: Sequence[str], parent: Any) -> Iterator[_Local]:
    yield from _local(node, names, parent)
    for field in fields(node):
        if not field.compare or field.name == "function":
            continue
        value = getattr(node, field.name)
        if isinstance(value, tuple):
            for place, item in enumerate(value):
                if _is_tree(item):
                    for kind, new, span, advice in _of(item, names, node):
                        changed = (*value[:place], new, *value[place + 1 :])
                        yield kind, replace(node, **{field.name: changed}), span, advice
        elif _is_tree(value):
            for kind, new, span, advice in _of(value, names, node):
                yield kind, replace(node, **{field.name: new}), span, advice


def _is_tree(value: object) -> bool:
    return type(value).__module__ == syntax.__name__ and not isinstance(value, syntax.Reference)


def _local(node: Any, names: Sequence[str], parent: Any) -> Iterator[_Local]:
    """The changes at one node itself."""
    rule = _RULES.get(type(node))
    if rule is not None:
        yield from rule(node)
    if isinstance(node, syntax.Name):
        for other in names:
            if other != node.text and node.text in names:
                yield "name", replace(node, text=other), node.span, f"write {other} for {node.text}"
    if isinstance(parent, syntax.Fusion | syntax.FormalProduct) and isinstance(node, syntax.Portion | syntax.Name | syntax.Ones):
        yield "bar", syntax.Bar(node, node.span), node.span, f"a bar on {_text(node)} is missing"
    if isinstance(parent, syntax.MatrixProduct) and not isinstance(node, syntax.Transpose):
        yield "transposition", syntax.Transpose(node, node.span), node.span, f"transpose {_text(node)}"


def _text(node: Any) -> str:
    return " ".join(str(node.span.text).split())


def _sum(node: syntax.Sum) -> Iterator[_Local]:
    first = node.operands[0]
    yield "sign", replace(node, negated=not node.negated), first.span, f"the sign of {_text(first)} is wrong"
    for place, (sign, operand) in enumerate(zip(node.operators, node.operands[1:], strict=True)):
        other = {"+": "-", "-": "+", "⊖": "⊕", "⊕": "⊖"}[sign]
        operators = (*node.operators[:place], other, *node.operators[place + 1 :])
        yield "sign", replace(node, operators=operators), operand.span, f"the sign of {_text(operand)} is wrong"
    for place, operand in enumerate(node.operands):
        doubled = (*node.operands[:place], _twice(operand), *node.operands[place + 1 :])
        yield "factor", replace(node, operands=doubled), operand.span, f"a factor 2 is missing in {_text(operand)}"
        if len(node.operands) > 1 and all(sign in "+-" for sign in node.operators):
            advice = f"leave out {_text(operand)}"
            if place:
                rest = (*node.operands[:place], *node.operands[place + 1 :])
                signs = (*node.operators[: place - 1], *node.operators[place:])
                yield "term", replace(node, operands=rest, operators=signs), operand.span, advice
            else:
                negated = node.operators[0] == "-"
                yield "term", syntax.Sum(negated, node.operands[1:], node.operators[1:], node.span), operand.span, advice


def _twice(node: syntax.Expr) -> syntax.Expr:
    return syntax.Paren(syntax.FormalProduct((syntax.Number("2"), syntax.Paren(node, node.span)), node.span), node.span)


def _number(node: syntax.Number) -> Iterator[_Local]:
    if not node.is_integer:
        doubled = str(float(node.text) * 2)
        yield "factor", replace(node, text=doubled), node.span, f"write {doubled} for {node.text}"


def _transpose(node: syntax.Transpose) -> Iterator[_Local]:
    yield "transposition", node.operand, node.span, f"leave out the transposition of {_text(node.operand)}"


def _bar(node: syntax.Bar) -> Iterator[_Local]:
    yield "bar", node.operand, node.span, f"the bar on {_text(node.operand)} is wrong"


def _moved_bar(node: syntax.FormalProduct | syntax.Fusion) -> Iterator[_Local]:
    """The bar on another member: ``(~X_1 𝟏)`` -> ``(X_1 ~𝟏)``."""
    members = node.factors if isinstance(node, syntax.FormalProduct) else node.members
    for place, barred in enumerate(members):
        for other, free in enumerate(members):
            if isinstance(barred, syntax.Bar) and isinstance(free, syntax.Portion | syntax.Name | syntax.Ones):
                changed = list(members)
                changed[place], changed[other] = barred.operand, syntax.Bar(free, free.span)
                advice = f"the bar belongs to {_text(free)}"
                if isinstance(node, syntax.FormalProduct):
                    yield "bar", replace(node, factors=tuple(changed)), barred.span, advice
                else:
                    yield "bar", replace(node, members=tuple(changed)), barred.span, advice


def _positions(node: syntax.Positions) -> Iterator[_Local]:
    for place in range(len(node.groups) - 1):
        groups = list(node.groups)
        groups[place], groups[place + 1] = groups[place + 1], groups[place]
        advice = f"swap positions {groups[place + 1][0].number} and {groups[place][0].number}"
        yield "position", replace(node, groups=tuple(groups)), node.span, advice
    for place, group in enumerate(node.groups):
        if len(node.groups) == 1 and len(group) == 1 and not group[0].barred and group[0].number <= 2:
            other = 3 - group[0].number
            changed = ((replace(group[0], number=other),),)
            yield "position", replace(node, groups=changed), node.span, f"position {other} in place of {group[place].number}"


def _labels(node: syntax.Labelled) -> Iterator[_Local]:
    for place in range(len(node.labels) - 1):
        labels = list(node.labels)
        labels[place], labels[place + 1] = labels[place + 1], labels[place]
        advice = f"swap the labels {labels[place + 1].text} and {labels[place].text} of {_text(node.operand)}"
        yield "position", replace(node, labels=tuple(labels)), node.span, advice


def _kept_labels(node: syntax.IndexBracket) -> Iterator[_Local]:
    for place in range(len(node.labels) - 1):
        labels = list(node.labels)
        labels[place], labels[place + 1] = labels[place + 1], labels[place]
        advice = f"swap the labels {labels[place + 1].text} and {labels[place].text} right of the bar"
        yield "position", replace(node, labels=tuple(labels)), node.span, advice
    used = [label.text for inner in syntax.walk(node.body) if isinstance(inner, _LABELLED) for label in inner.labels]
    known = tuple(dict.fromkeys([*(label.text for label in node.labels), *used]))
    for body, span, advice in _relabelled(node.body, known):
        yield "position", replace(node, body=body), span, advice


_LABELLED = (syntax.Labelled, syntax.Delta)


def _relabelled(node: Any, known: Sequence[str]) -> Iterator[tuple[Any, Span, str]]:
    """One label of one factor replaced by another one."""
    if isinstance(node, _LABELLED):
        for place, label in enumerate(node.labels):
            for other in known:
                if other != label.text:
                    labels = (*node.labels[:place], replace(label, text=other), *node.labels[place + 1 :])
                    yield replace(node, labels=labels), node.span, f"the label {label.text} of {_text(node)} should be {other}"
        return
    for field in fields(node):
        value = getattr(node, field.name)
        if not field.compare or field.name == "function":
            continue
        if isinstance(value, tuple):
            for place, item in enumerate(value):
                if _is_tree(item):
                    for new, span, advice in _relabelled(item, known):
                        changed = (*value[:place], new, *value[place + 1 :])
                        yield replace(node, **{field.name: changed}), span, advice
        elif _is_tree(value):
            for new, span, advice in _relabelled(value, known):
                yield replace(node, **{field.name: new}), span, advice


def _index(node: syntax.Index) -> Iterator[_Local]:
    """A neighbouring step: ``Z[t-1]`` for ``Z[t]``."""
    for place, entry in enumerate(node.entries):
        if isinstance(entry, syntax.Name):
            before = syntax.Sum(False, (entry, syntax.Number("1", entry.span)), ("-",), entry.span)
            entries = (*node.entries[:place], before, *node.entries[place + 1 :])
            yield "position", replace(node, entries=entries), node.span, f"the index of {_text(node.operand)} is {entry.text}-1"
        elif isinstance(entry, syntax.Sum) and isinstance(entry.operands[0], syntax.Name):
            entries = (*node.entries[:place], entry.operands[0], *node.entries[place + 1 :])
            advice = f"the index of {_text(node.operand)} is {entry.operands[0].text}"
            yield "position", replace(node, entries=entries), node.span, advice


_RULES: dict[type, Any] = {
    syntax.Sum: _sum,
    syntax.Number: _number,
    syntax.Transpose: _transpose,
    syntax.Bar: _bar,
    syntax.FormalProduct: _moved_bar,
    syntax.Fusion: _moved_bar,
    syntax.Positions: _positions,
    syntax.Labelled: _labels,
    syntax.IndexBracket: _kept_labels,
    syntax.Index: _index,
}
