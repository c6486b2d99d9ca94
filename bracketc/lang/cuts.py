"""Outputs as functions of the definitions that requests differentiate by.

Z = X @ W, J = Z · (X @ W), gradient J wrt Z   ->   J with the variable Z: Z · (X @ W)
"""

from __future__ import annotations

from bracketc.ir.build import fill_value
from bracketc.ir.program import Cut
from bracketc.lang import syntax
from bracketc.lang.declarations import Declarations
from bracketc.lang.derivatives import cut_file
from bracketc.lang.entries import integer
from bracketc.lang.problems import Abort
from bracketc.lang.requests import target
from bracketc.lang.scope import Scope
from bracketc.lang.values import Family, Steps, Value


def cuts(declarations: Declarations, scope: Scope) -> tuple[Cut, ...]:
    """For each definition behind ``wrt``, the target and, of a gradient, all results, elaborated anew with it as a variable.

    Requests with mistakes are passed over: these are reported already.
    """
    results = [reference for output in declarations.outputs for reference in output.names]
    wanted: dict[tuple[str, int | None], dict[syntax.Reference, None]] = {}
    for request in declarations.requests:
        outputs = [request.target]
        if request.kind == "gradient":  # backward takes cotangents of everything that evaluate returns
            outputs += results or [other.target for other in declarations.requests]
        for reference in request.wrt:
            for number in _numbers(reference, declarations, scope):
                wanted.setdefault((reference.name.text, number), {}).update(dict.fromkeys(outputs))
    found: list[Cut] = []
    for member, references in wanted.items():
        try:
            found += _cut(member, list(references), scope)
        except Abort:
            continue
    return tuple(found)


def _numbers(reference: syntax.Reference, declarations: Declarations, scope: Scope) -> list[int | None]:
    """The members of a family of definitions that ``wrt`` means; ``None`` for a definition that is no family."""
    if reference.name.text not in declarations.definitions:
        return []
    found = scope.find(reference.name.text)
    if not isinstance(found, Family):
        return [None]
    if reference.entries is None:
        return list(found.members)
    number = integer(reference.entries[0], scope)
    return [number] if number in found.members else []


def _cut(member: tuple[str, int | None], outputs: list[syntax.Reference], scope: Scope) -> list[Cut]:
    """Each of ``outputs`` as a function of one definition."""
    name, number = member
    found = scope.find(name)
    value = found
    if isinstance(found, Family) and number is not None:
        value = found.members[number]
    elif isinstance(found, Steps):
        value = found.stacked
    if found is None or not isinstance(value, Value) or value.node.dtype != "real" or fill_value(value.node) is not None:
        return []
    label = name if number is None else f"{name}{number}"
    variable = scope.run.placeholder("p", value.node)
    file = cut_file(member, found, Value(variable, value.rows), [_body(output) for output in outputs], scope)
    made: dict[str, Cut] = {}
    for output in outputs:
        key, node = target(output, file, "the derivative of")
        if key != label and node.dtype == "real":
            made.setdefault(key, Cut(key, label, node, variable))
    return list(made.values())


def _body(reference: syntax.Reference) -> syntax.Expr:
    if reference.entries is None:
        return reference.name
    return syntax.Index(reference.name, reference.entries, reference.span)
