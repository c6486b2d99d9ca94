"""Sizes, arguments and constants of a file."""

from __future__ import annotations

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Delta, Literal, Tensor
from bracketc.ir.program import Kind, SizeSpec
from bracketc.ir.rewrite import Origin
from bracketc.lang import syntax
from bracketc.lang.declarations import Declarations
from bracketc.lang.entries import dimension, integer
from bracketc.lang.indexing import check_members, members
from bracketc.lang.problems import Abort
from bracketc.lang.scope import Scope
from bracketc.lang.values import Failed, Family, Quantity, SizeFamily, closed, kind_of


def bind_sizes(declarations: Declarations, scope: Scope) -> tuple[SizeSpec, ...]:
    """Bind the sizes and families of sizes; bound ones are numbers from here on."""
    specs = []
    for name, size in declarations.sizes.items():
        value = hint = None
        try:
            if size.value is not None:
                value = _fixed(size.value, scope, "size")
            if size.hint is not None:
                hint = _fixed(size.hint, scope, "hint")
        except Abort:
            scope.bindings[name] = Failed()
            continue
        scope.bindings[name] = Quantity(Dim.named(name) if value is None else Dim.of(value))
        specs.append(SizeSpec(name, value, hint))
    for name, family in declarations.size_families.items():
        try:
            first, last = _fixed(family.first, scope, "range"), _fixed(family.last, scope, "range")
            if last - first + 1 != len(family.values):
                scope.run.problems.error(
                    f"{name}[{first}..{last}] has {max(0, last - first + 1)} members, found {len(family.values)} sizes",
                    family.span,
                    "one size for each member",
                )
            sizes = scope.run.problems.each(family.values, lambda value: _size(value, scope))
            scope.bindings[name] = SizeFamily(name, dict(zip(range(first, last + 1), sizes, strict=True)))
        except Abort:
            scope.bindings[name] = Failed()
    return tuple(specs)


def _fixed(expr: syntax.Expr, scope: Scope, what: str) -> int:
    number = dimension(expr, scope).constant
    if number is None:
        scope.run.problems.error(f"a {what} is a fixed number, found {expr.span.text}", expr.span, "bind it: dim L = 3")
    _check_sign(number, expr, scope, what)
    return number


def _size(expr: syntax.Expr, scope: Scope) -> Dim:
    """A size; one that depends on others is checked when they are known."""
    size = dimension(expr, scope)
    if size.constant is not None:
        _check_sign(size.constant, expr, scope, "size")
    return size


def _check_sign(number: int, expr: syntax.Expr, scope: Scope, what: str) -> None:
    if number < 0:
        scope.run.problems.error(f"a {what} is not negative, found {number}", expr.span)


def bind_arguments(declarations: Declarations, scope: Scope) -> tuple[tuple[Tensor, ...], dict[str, Kind]]:
    """Bind the arguments; families become ``W1 … WL``."""
    tensors: list[Tensor] = []
    kinds: dict[str, Kind] = {}
    for name, argument in declarations.arguments.items():
        kind: Kind = "input" if argument.kind == "input" else "param"
        try:
            if argument.range is None or argument.index is None:
                tensor = _tensor(name, argument, scope)
                scope.bindings[name] = closed(tensor)
                made = [tensor]
            else:
                made = _family(name, argument, scope, declarations)
        except Abort:
            scope.bindings[name] = Failed()
            continue
        for tensor in made:
            tensors.append(tensor)
            kinds[tensor.name] = kind
    return tuple(tensors), kinds


def _family(name: str, argument: syntax.Argument, scope: Scope, declarations: Declarations) -> list[Tensor]:
    problems = scope.run.problems
    assert argument.range is not None and argument.index is not None
    if argument.range.variable.text != argument.index.text:
        problems.error(
            f"the family {name}[{argument.index.text}] runs over {argument.range.variable.text}",
            argument.range.span,
            f"write for {argument.index.text} = …",
        )
    ends = []
    for end in (argument.range.first, argument.range.last):
        number = integer(end, scope)
        if number is None:
            dimension(end, scope)
            problems.error(
                f"the range of a family ends at {end.span.text}, which is no fixed number",
                end.span,
                "bind it: dim L = 3",
            )
        ends.append(number)
    check_members(ends[0], ends[1], argument.range.span, scope)
    made: dict[int, Tensor] = {}
    for number in members(*ends):
        own = f"{name}{number}"
        if own in declarations.names:
            problems.error(
                f"member {name}[{number}] is called {own}, which is declared",
                argument.name.span,
                "choose another name",
                [("declared here", declarations.names[own])],
            )
        inner = scope.inner({argument.index.text: Quantity(Dim.of(number))})
        made[number] = _tensor(own, argument, inner)
    scope.bindings[name] = Family(name, {number: closed(tensor) for number, tensor in made.items()})
    return list(made.values())


def _tensor(name: str, argument: syntax.Argument, scope: Scope) -> Tensor:
    problems = scope.run.problems
    shape = tuple(problems.each(argument.dims, lambda expr: _size(expr, scope)))
    traits = []
    integers: Dim | None = None
    for trait in argument.traits:
        if trait.name == "integer":
            assert trait.size is not None
            integers = _size(trait.size, scope)
            continue
        traits.append(trait.name)
        if trait.name in ("symmetric", "positive definite", "diagonal", "lower", "upper", "orthogonal"):
            if len(shape) != 2 or shape[0] is not shape[1]:
                text = "×".join(map(str, shape)) or "scalar"
                problems.error(
                    f"{trait.name} is a trait of square matrices, and {name} is {kind_of(len(shape))} ({text})",
                    trait.span,
                )
        elif trait.name in ("onehot rows", "stochastic rows") and not shape:
            problems.error(f"{trait.name} is a trait of vectors and matrices, and {name} is a scalar", trait.span)
    if integers is not None:
        if traits:
            problems.error(f"an integer argument has no other trait, found {traits[0]}", argument.span)
        tensor = Tensor(name, shape, "integer", (), integers)
    else:
        tensor = Tensor(name, shape, traits=tuple(sorted(set(traits))))
    scope.run.origins[tensor] = Origin(name, argument.span)
    return tensor


def bind_constants(declarations: Declarations, scope: Scope) -> None:
    """Bind numbers and identities, each of which may use those above it."""
    for name, constant in declarations.constants.items():
        try:
            value = scope.run.evaluate(constant.value, scope)
            known = scope.run.origins.get(value.node)
            if isinstance(value.node, Literal | Delta) and (known is None or known.name is None):
                scope.run.origins[value.node] = Origin(name, constant.value.span)
            scope.bindings[name] = value
        except Abort:
            scope.bindings[name] = Failed()
