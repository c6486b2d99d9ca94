"""From a syntax tree to a program of tensors: names, sizes, sums, functions and recurrences resolved.

Every mistake of the file is found in one run.

    program = elaborate(parse_file(source))
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bracketc.errors import Diagnostic, Source, SourceError
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Einsum, Node, Overlap, Range, Recurrence, Size, Tensor, Window
from bracketc.ir.program import Kind, Program, SizeSpec
from bracketc.ir.rewrite import topological
from bracketc.ir.sizes import substitute_program
from bracketc.lang import syntax
from bracketc.lang.arguments import bind_arguments, bind_constants, bind_sizes
from bracketc.lang.bodies import local_names
from bracketc.lang.classify import bind_functions
from bracketc.lang.cuts import cuts
from bracketc.lang.declarations import Declarations, declare
from bracketc.lang.definitions import define
from bracketc.lang.entries import integer
from bracketc.lang.evaluate import evaluate
from bracketc.lang.functions import try_function
from bracketc.lang.indexing import members
from bracketc.lang.order import Order
from bracketc.lang.problems import Abort, Problems
from bracketc.lang.requests import requests, results
from bracketc.lang.scope import Elaboration, Scope
from bracketc.lang.sizes import is_unknown
from bracketc.lang.values import Failed, Family, Steps, Value

STACK = 12_000
"""Python frames that an expression of the deepest nesting inside the deepest calls may take."""


def elaborate(tree: syntax.SyntaxFile, errors: Iterable[Diagnostic] = (), spoiled: Iterable[syntax.Name] = ()) -> Program:
    """The program of a file.

    Raises :class:`SourceError` with every semantic error of the file, each with its span; when all of them are
    constructs that are not compiled yet, an :class:`UnsupportedError`.  Derivation blocks are read, not checked.
    ``errors`` are those of the parser, raised together with what is found here; what depends on a ``spoiled`` name, whose statement
    could not be read, is passed over in silence.
    """
    problems = Problems(errors)
    opened = open_file(tree, problems, spoiled)
    whole, run, file = opened.whole, opened.run, opened.file
    declarations, sizes, arguments, kinds = run.declarations, opened.sizes, opened.arguments, opened.kinds
    with deep_stack():
        for name in declarations.functions:
            if name not in run.called:
                try_function(name, file)
    found = _definitions(declarations, file)
    asked = requests(declarations, file)
    returned = results(declarations, asked, found, file)
    with deep_stack():
        cut = cuts(declarations, file)
    for left, right in run.sizes.settle():
        problems.record(f"two sizes differ: {left} and {right}", tree.span)
    if not whole:
        problems.finish()
    program = Program(
        tree.span.source,
        sizes,
        arguments,
        kinds,
        tuple(found.items()),
        returned,
        asked,
        run.origins,
        tuple(run.constraints),
        cut,
    )
    program = substitute_program(program, run.sizes.solution(), {})
    _determined(program, run)
    problems.finish()
    if not program.results:
        source: Source = tree.span.source
        raise SourceError(Diagnostic(f"{source.filename} defines nothing", tree.span, "add a definition: F = …"))
    return program


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose names are bound: ``file`` is its scope; ``whole`` when every statement could be read."""

    run: Elaboration
    file: Scope
    sizes: tuple[SizeSpec, ...]
    arguments: tuple[Tensor, ...]
    kinds: dict[str, Kind]
    whole: bool


def open_file(tree: syntax.SyntaxFile, problems: Problems, spoiled: Iterable[syntax.Name] = ()) -> Opened:
    """Bind every name of a file; mistakes are recorded in ``problems``."""
    declarations = declare(tree, problems)
    for lost in spoiled:
        if lost.text not in declarations.names:
            declarations.names[lost.text] = declarations.spoiled[lost.text] = lost.span
    whole = not problems.diagnostics
    run = Elaboration(evaluate, local_names, define, declarations, problems)
    file = Scope(run, {})
    sizes = bind_sizes(declarations, file)
    arguments, kinds = bind_arguments(declarations, file)
    bind_functions(declarations, file)
    with deep_stack():
        bind_constants(declarations, file)
        run.order = Order(declarations, _family_members(declarations, file), file)
        for number in range(len(run.order.units)):
            define(number, file)
    return Opened(run, file, sizes, arguments, kinds, whole)


@contextmanager
def deep_stack() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, STACK))
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
                numbers.update(dict.fromkeys(members(first, last)))
        except Abort:
            scope.bindings[name] = Failed()
            found[name] = ()
            continue
        scope.bindings[name] = Family(name, {})
        found[name] = tuple(numbers)
    return found


def _definitions(declarations: Declarations, file: Scope) -> dict[str, Node]:
    """Every definition by the name that results use, in the order of the source."""
    found: dict[str, Node] = {}
    for name in declarations.definitions:
        binding = file.find(name)
        if isinstance(binding, Value):
            found[name] = binding.node
        elif isinstance(binding, Steps):
            found[name] = binding.stacked.node
        elif isinstance(binding, Family):
            for number in sorted(binding.members):
                member = binding.members[number]
                if isinstance(member, Value):
                    found[f"{name}{number}"] = member.node
    return found


def _determined(program: Program, run: Elaboration) -> None:
    """Report sizes that nothing determines."""
    seen: dict[str, None] = {}
    for dim in dims_of([node for _, node in (*program.definitions, *program.results)]):
        for name in dim.names:
            if is_unknown(name):
                seen.setdefault(name)
    for name in seen:
        what, span = run.sizes.place(name)
        run.problems.record(
            f"nothing determines the size of {what}",
            span,
            "give it: 𝟏⟨N⟩ (ones<N>)" if what == "ones" else "let it meet a tensor of known size",
        )


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
