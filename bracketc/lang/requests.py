"""What a program gives back: outputs and derivatives asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from bracketc.ir.nodes import Node
from bracketc.ir.program import Request, RequestKind
from bracketc.lang import syntax, words
from bracketc.lang.declarations import Declarations
from bracketc.lang.entries import integer
from bracketc.lang.problems import Abort
from bracketc.lang.scope import Scope
from bracketc.lang.values import Failed, Family, Steps, Value, kind_of

SCALAR = ("gradient", "hessian", "hvp")
"""Requests whose target is a scalar."""


def target(reference: syntax.Reference, scope: Scope, purpose: str) -> tuple[str, Node]:
    """The name and the node of a definition, or of a member ``Z[3]``, which is called ``Z3``."""
    problems = scope.run.problems
    declarations = scope.run.declarations
    name = reference.name.text
    if name in declarations.spoiled:
        raise Abort
    if name not in declarations.definitions:
        if name in declarations.names:
            what = "an argument" if name in declarations.arguments else "no definition"
            problems.error(f"{purpose} {name}, which is {what}", reference.span, "name a definition")
        near = words.nearest(name, declarations.definitions)
        problems.error(
            f"{purpose} {name}, which nothing defines",
            reference.span,
            f"did you mean {near}?" if near else f"define {name} = …",
        )
    found = scope.get(name, reference.span)
    if isinstance(found, Family):
        number = integer(reference.entries[0], scope) if reference.entries and len(reference.entries) == 1 else None
        member = found.members.get(number) if number is not None else None
        if isinstance(member, Failed):
            raise Abort
        if member is None:
            problems.error(f"{purpose} {reference.span.text}, which is no member of a family", reference.span)
        return f"{name}{number}", member.node
    if reference.entries is not None:
        problems.error(f"{purpose} a part of {name}", reference.span, f"give it a name: F = {reference.span.text}")
    if isinstance(found, Steps):
        return name, found.stacked.node
    assert isinstance(found, Value)
    return name, found.node


def variables(reference: syntax.Reference, scope: Scope) -> list[str]:
    """The names that ``wrt W`` or ``wrt W[1]`` means: arguments or definitions; a family is all of its members."""
    problems = scope.run.problems
    declarations = scope.run.declarations
    name = reference.name.text
    if name in declarations.spoiled:
        raise Abort
    if name not in declarations.arguments and name not in declarations.definitions:
        if name in declarations.names:
            problems.error(
                f"a derivative with respect to {name}, which is neither an argument nor a definition",
                reference.span,
                f"declare it as an argument: `param {name} : scalar`",
            )
        scope.unknown(name, reference.span, alone=True)
    found = scope.get(name, reference.span)
    if isinstance(found, Family):
        if reference.entries is None:
            return [f"{name}{number}" for number in found.members]
        number = integer(reference.entries[0], scope) if len(reference.entries) == 1 else None
        if number not in found.members:
            known = f"{min(found.members)}..{max(found.members)}" if found.members else "none"
            problems.error(f"no member {reference.span.text}", reference.span, f"the members of {name} are {known}")
        return [f"{name}{number}"]
    if reference.entries is not None:
        problems.unsupported("a derivative with respect to a part of a tensor", reference.span)
    if isinstance(found, Value) and found.node.dtype != "real":
        problems.error(f"{name} holds integers, and has no derivative", reference.span)
    return [name]


def requests(declarations: Declarations, scope: Scope) -> tuple[Request, ...]:
    """All requests; a mistake in one does not hide those of the others."""
    made: list[Request] = []
    unnamed: syntax.Request | None = None
    names: dict[str, syntax.Request] = {}
    for statement in declarations.requests:
        try:
            made.append(_request(statement, scope))
        except Abort:
            continue
        if statement.name is not None:
            before = names.setdefault(statement.name.text, statement)
            if before is not statement:
                scope.run.problems.record(
                    f"two requests are called {statement.name.text}",
                    statement.name.span,
                    "choose another name",
                    [("the other one", before.span)],
                )
        elif statement.kind == "gradient":
            if unnamed is not None:
                scope.run.problems.record(
                    "a second gradient request without a name",
                    statement.span,
                    "name it with `as`: gradient J wrt W as gradW",
                    [("the first one", unnamed.span)],
                )
            unnamed = unnamed or statement
    return tuple(made)


def _request(statement: syntax.Request, scope: Scope) -> Request:
    problems = scope.run.problems
    failed = False
    name, node = "", None
    try:
        name, node = target(statement.target, scope, f"{statement.kind} of")
    except Abort:
        failed = True
    wrt: list[str] = []
    for reference in statement.wrt:
        try:
            wrt += variables(reference, scope)
        except Abort:
            failed = True
    if failed:
        raise Abort
    assert node is not None
    if statement.derived and statement.kind != "gradient":
        problems.unsupported(
            f"a {statement.kind} as derived", statement.span, f"without it, bracketc derives the {statement.kind} itself"
        )
    if statement.kind in SCALAR and node.rank:
        problems.error(
            f"{statement.kind} of {name}, which is {kind_of(node.rank)}",
            statement.target.span,
            f"a {statement.kind} belongs to a scalar; write `jacobian {name} wrt {wrt[0]}`",
        )
    return Request(
        cast(RequestKind, statement.kind),
        name,
        tuple(wrt),
        statement.name.text if statement.name is not None else None,
        _layout(statement.layout),
        statement.derived,
        statement.span,
    )


def _layout(layout: syntax.Layout | None) -> str | None:
    if layout is None:
        return None
    if layout.left is None or layout.right is None:
        return layout.kind
    return "·".join(_positions(side) for side in (layout.left, layout.right))


def _positions(positions: syntax.Positions) -> str:
    numbers = positions.numbers
    if all(number < 10 for number in numbers):
        return "^" + "".join(map(str, numbers))
    return "^{" + ",".join(map(str, numbers)) + ("," if len(numbers) == 1 else "") + "}"


def results(
    declarations: Declarations, made: tuple[Request, ...], definitions: Mapping[str, Node], scope: Scope
) -> tuple[tuple[str, Node], ...]:
    """What ``evaluate`` returns: the outputs named, else the targets of requests, else the last definition."""
    found: dict[str, Node] = {}
    for output in declarations.outputs:
        for reference in output.names:
            try:
                name, node = target(reference, scope, "output of")
            except Abort:
                continue
            found[name] = node
    if not declarations.outputs:
        for request in made:
            if request.output in definitions:
                found[request.output] = definitions[request.output]
        if not declarations.requests and definitions:
            last = list(definitions)[-1]
            found[last] = definitions[last]
    return tuple(found.items())
