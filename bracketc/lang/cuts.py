"""Outputs as functions of the definitions that requests differentiate by.

Z = X @ W, J = Z · (X @ W), gradient J wrt Z   ->   J with the variable Z: Z · (X @ W)
"""

from __future__ import annotations

from itertools import combinations

from bracketc.ir.build import fill_value
from bracketc.ir.nodes import Tensor
from bracketc.ir.program import Cut
from bracketc.ir.rewrite import depends_on
from bracketc.lang import syntax
from bracketc.lang.declarations import Declarations
from bracketc.lang.derivatives import cut_file
from bracketc.lang.entries import integer
from bracketc.lang.problems import Abort
from bracketc.lang.requests import target
from bracketc.lang.scope import Scope
from bracketc.lang.values import Binding, Family, Steps, Value


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
    for request in declarations.requests:
        for first, second in combinations(request.wrt, 2) if request.kind == "hessian" else ():
            try:
                found += _mixed(request.target, first, second, declarations, scope)
            except Abort:
                continue
    return tuple({(cut.output, cut.wrt): cut for cut in found}.values())


def _mixed(
    output: syntax.Reference, first: syntax.Reference, second: syntax.Reference, declarations: Declarations, scope: Scope
) -> list[Cut]:
    """The gradient by one definition as a function of another: what ``g = ∇[U](J)`` with ``jacobian g wrt V`` would cut."""
    members = [_numbers(reference, declarations, scope) for reference in (first, second)]
    if any(len(numbers) != 1 for numbers in members) or first == second:
        return []
    label = _label(first.name.text, members[0][0])
    if label == _label(second.name.text, members[1][0]):
        return []
    expression = syntax.Derivative("∇", (first,), _body(output), output.span)
    number = members[1][0]
    variable, value, found = _variable(second.name.text, number, scope)
    if variable is None or value is None or found is None:
        return []
    _, earlier, _ = _variable(first.name.text, members[0][0], scope)
    if earlier is not None and value.node in depends_on([value.node], [earlier.node]):
        scope.run.problems.error(
            f"{second.span.text} is computed from {first.span.text}: the gradient by {first.span.text} is no function of it",
            second.span,
            f"name {second.span.text} first: `hessian {output.span.text} wrt {second.span.text}, {first.span.text}`",
        )
    file = cut_file((second.name.text, number), found, Value(variable, value.rows), [expression], scope)
    key, _ = target(output, file, "the derivative of")
    node = scope.run.evaluate(expression, file).node
    return [Cut(f"∇[{label}]({key})", _label(second.name.text, number), node, variable)]


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
    label = _label(name, number)
    variable, value, found = _variable(name, number, scope)
    if variable is None or value is None or found is None:
        return []
    file = cut_file(member, found, Value(variable, value.rows), [_body(output) for output in outputs], scope)
    made: dict[str, Cut] = {}
    for output in outputs:
        key, node = target(output, file, "the derivative of")
        if key != label and node.dtype == "real":
            made.setdefault(key, Cut(key, label, node, variable))
    return list(made.values())


def _variable(name: str, number: int | None, scope: Scope) -> tuple[Tensor | None, Value | None, Binding | None]:
    """A placeholder for a definition, its value, and what its name means; nothing where there is no derivative by it."""
    found = scope.find(name)
    value = found
    if isinstance(found, Family) and number is not None:
        value = found.members[number]
    elif isinstance(found, Steps):
        value = found.stacked
    if not isinstance(value, Value) or value.node.dtype != "real" or fill_value(value.node) is not None:
        return None, None, None
    return scope.run.placeholder("p", value.node), value, found


def _label(name: str, number: int | None) -> str:
    return name if number is None else f"{name}{number}"


def _body(reference: syntax.Reference) -> syntax.Expr:
    if reference.entries is None:
        return reference.name
    return syntax.Index(reference.name, reference.entries, reference.span)
