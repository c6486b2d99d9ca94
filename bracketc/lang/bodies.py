"""Bodies of definitions: by index when labels stand on the left, and with local names behind `where`."""

from __future__ import annotations

from bracketc.errors import Span
from bracketc.ir.dims import Dim
from bracketc.ir.rewrite import Origin
from bracketc.lang import indexed, syntax
from bracketc.lang.entries import dimension
from bracketc.lang.problems import Abort
from bracketc.lang.scope import Scope
from bracketc.lang.values import Failed, Value


def note(value: Value | Failed, name: str, span: Span, scope: Scope) -> None:
    """Remember the name of a node; the first one keeps it."""
    if isinstance(value, Value):
        known = scope.run.origins.get(value.node)
        if known is None or known.name is None:
            scope.run.origins[value.node] = Origin(name, span)


def body_value(
    statement: syntax.Definition,
    labels: tuple[syntax.Label, ...] | None,
    entries: tuple[syntax.Entry, ...] | None,
    scope: Scope,
) -> Value:
    """The body of a definition, by index when it has labels on the left."""
    if labels is None and entries:
        labels = tuple(_label(entry, scope) for entry in entries)
    if labels is None and statement.target.entries and indexed.has_labels(statement.body, scope):
        labels = ()  # by index: the entry on the left is the number of the step
    if labels is None:
        _no_loose_labels(statement.body, scope)
        return scope.run.evaluate(statement.body, scope)
    given: dict[str, tuple[Dim, Dim, Span]] = {}
    for counted in statement.ranges:
        name = counted.variable.text
        if not scope.has(name):  # the variable of steps is bound already
            given[name] = (dimension(counted.first, scope), dimension(counted.last, scope), counted.span)
    return indexed.bracket(statement.body, labels, scope, "left of =", given)


def _no_loose_labels(body: syntax.Expr, scope: Scope) -> None:
    """Report labels outside every index bracket, all at once."""
    loose: list[syntax.Labelled] = []
    pending: list[syntax.Node] = [body]
    while pending:
        node = pending.pop()
        if isinstance(node, syntax.Labelled):
            loose.append(node)
        elif not isinstance(node, syntax.IndexBracket | syntax.Reduction):
            pending.extend(reversed(list(syntax.children(node))))
    if not loose:
        return
    names = list(dict.fromkeys(node.span.text for node in loose))
    listed = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    first = loose[0].operand
    if isinstance(first, syntax.Name) and scope.find(first.text) is None and first.text in ("Σ", "∑"):
        label = ",".join(label.text for label in loose[0].labels)
        scope.run.problems.error(f"{first.text} is no operator", loose[0].span, f"write sum[{label}](…)")
    labels = list(dict.fromkeys(label.text for node in loose for label in node.labels))
    right = "".join(labels) if all(len(label) == 1 for label in labels) else ",".join(labels)
    inner = body.body if isinstance(body, syntax.Paren) else body
    text = " ".join(inner.span.text.split())
    text = text if len(text) <= 50 else "…"
    scope.run.problems.error(
        f"labels outside an index bracket: {listed}",
        loose[0].span if len(names) == 1 else loose[0].span.join(loose[-1].span),
        f"write ({text} | {right}), or ({text} | ) for the sum over all labels, or define by index: NAME_{right} = …",
    )


def _label(entry: syntax.Entry, scope: Scope) -> syntax.Label:
    if isinstance(entry, syntax.Name) and not scope.has(entry.text):
        return syntax.Label(entry.text, entry.span)
    if isinstance(entry, syntax.Name):
        scope.run.problems.error(
            f"{entry.text} is declared, and so is no label on the left",
            entry.span,
            "choose another letter for the label",
        )
    scope.run.problems.error(
        f"expected a label, found {entry.span.text}", entry.span, "left of = stand labels, or one number with its range"
    )


def local_names(where: tuple[syntax.Binding, ...], scope: Scope) -> Scope:
    """``scope`` with the names of a ``where``, in whatever order they were written."""
    if not where:
        return scope
    inner = scope.inner({})
    names = {binding.target.name.text for binding in where}
    waiting: dict[str, syntax.Binding] = {}
    for binding in where:
        if binding.target.name.text in waiting:
            scope.run.problems.record(
                f"{binding.target.name.text} is defined twice in one `where`",
                binding.target.span,
                "choose another name",
            )
        waiting[binding.target.name.text] = binding
    needs = {name: _mentioned(binding, names - {name}) for name, binding in waiting.items()}
    done: set[str] = set()
    while waiting:
        ready = [name for name in waiting if all(needed in done for needed in needs[name])]
        if not ready:
            name = next(iter(waiting))
            scope.run.problems.record(
                f"circular definition of {', '.join(waiting)}",
                waiting[name].target.span,
                "a local name may not need itself",
            )
            for name in waiting:
                inner.bindings[name] = Failed()
            break
        for name in ready:
            binding = waiting.pop(name)
            done.add(name)
            # a local name that mentions itself means the outer one
            try:
                value = _local(binding, inner)
            except Abort:
                inner.bindings[name] = Failed()
                continue
            inner.bindings[name] = value
            note(value, name, binding.target.span, scope)
    return inner


def _local(binding: syntax.Binding, scope: Scope) -> Value:
    target = binding.target
    statement = syntax.Definition(target, binding.value, (), (), binding.span)
    return body_value(statement, target.labels, target.entries, scope)


def _mentioned(binding: syntax.Binding, names: set[str]) -> set[str]:
    return {
        name
        for node in syntax.walk(binding.value)
        if isinstance(node, syntax.Name)
        for name in (node.text, node.base)
        if name in names
    }
