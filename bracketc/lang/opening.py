"""The names of a file bound: sizes, arguments, functions, constants and definitions, in the order of their needs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Einsum, Node, Overlap, Range, Recurrence, Size, Tensor, Window
from bracketc.ir.program import Kind, SizeSpec
from bracketc.ir.rewrite import topological
from bracketc.lang import syntax
from bracketc.lang.arguments import bind_arguments, bind_constants, bind_sizes
from bracketc.lang.bodies import local_names
from bracketc.lang.classify import bind_functions
from bracketc.lang.declarations import Declarations, declare
from bracketc.lang.definitions import define
from bracketc.lang.entries import integer
from bracketc.lang.evaluate import evaluate
from bracketc.lang.imports import with_imports
from bracketc.lang.indexing import check_members, members
from bracketc.lang.order import Order
from bracketc.lang.problems import Abort, Problems
from bracketc.lang.scope import Elaboration, Scope
from bracketc.lang.values import Failed, Family
from bracketc.options import Limits

STACK = 12_000
"""Python frames that an expression of the deepest nesting inside the deepest calls may take."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose names are bound: ``file`` is its scope; ``whole`` when every statement could be read."""

    run: Elaboration
    file: Scope
    sizes: tuple[SizeSpec, ...]
    arguments: tuple[Tensor, ...]
    kinds: dict[str, Kind]
    whole: bool


def open_file(
    tree: syntax.SyntaxFile, problems: Problems, spoiled: Iterable[syntax.Name] = (), limits: Limits | None = None
) -> Opened:
    """Bind every name of a file; mistakes are recorded in ``problems``."""
    tree, lost_elsewhere = with_imports(tree, problems)
    declarations = declare(tree, problems)
    for lost in (*spoiled, *lost_elsewhere):
        if lost.text not in declarations.names:
            declarations.names[lost.text] = declarations.spoiled[lost.text] = lost.span
    whole = not problems.diagnostics
    run = Elaboration(evaluate, local_names, define, declarations, problems, limits=limits or Limits())
    file = Scope(run, {})
    sizes = bind_sizes(declarations, file)
    arguments, kinds = bind_arguments(declarations, file)
    bind_functions(declarations, file)
    with deep_stack(run.limits):
        bind_constants(declarations, file)
        run.order = Order(declarations, _family_members(declarations, file), file)
        for number in range(len(run.order.units)):
            define(number, file)
    return Opened(run, file, sizes, arguments, kinds, whole)


@contextmanager
def deep_stack(limits: Limits | None = None) -> Iterator[None]:
    """Room for the deepest nesting inside the deepest calls."""
    known, usual = limits or Limits(), Limits()
    most = STACK * max(1, known.nesting // usual.nesting) * max(1, known.max_calls // usual.max_calls)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, most))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _family_members(declarations: Declarations, scope: Scope) -> dict[str, tuple[int, ...]]:
    """The numbers of each family of definitions."""
    found: dict[str, tuple[int, ...]] = {}
    for name in declarations.families:
        defined = declarations.definitions[name]
        numbers: dict[int, None] = {}
        try:
            for start in defined.starts:
                assert start.target.entries is not None
                number = integer(start.target.entries[0], scope)
                if number is None:
                    scope.run.problems.error(
                        f"which member is {start.target.span.text}?",
                        start.target.span,
                        f"{name} is a family, so its numbers are fixed when the file is compiled",
                    )
                numbers[number] = None
            if defined.step is not None:
                counted = defined.step.ranges[0]
                ends = [integer(end, scope) for end in (counted.first, counted.last)]
                first, last = ends
                if first is None or last is None:
                    scope.run.problems.error(
                        f"the range of the family {name} is no fixed one: {counted.span.text}",
                        counted.span,
                        "bind its ends: dim L = 3",
                    )
                check_members(first, last, counted.span, scope)
                numbers.update(dict.fromkeys(members(first, last)))
        except Abort:
            scope.bindings[name] = Failed()
            found[name] = ()
            continue
        scope.bindings[name] = Family(name, {})
        found[name] = tuple(numbers)
    return found


def dims_of(roots: Iterable[Node]) -> Iterator[Dim]:
    pending = [tuple(roots)]
    while pending:
        for node in topological(pending.pop()):
            if isinstance(node, Recurrence):
                yield node.length
                pending.append(node.body.results)
                continue
            yield from node.shape
            if isinstance(node, Einsum):
                yield from node.extents
            elif isinstance(node, Size):
                yield node.dim
            elif isinstance(node, Range):
                yield node.extent
            elif isinstance(node, Window | Overlap):
                yield node.offset
