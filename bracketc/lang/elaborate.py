"""From a syntax tree to a program of tensors: names, sizes, sums, functions and recurrences resolved.

Every mistake of the file is found in one run.

    program = elaborate(parse_file(source))
"""

from __future__ import annotations

from collections.abc import Iterable

from bracketc.errors import Diagnostic, Source, SourceError
from bracketc.ir.nodes import Node
from bracketc.ir.program import Program
from bracketc.ir.sizes import substitute_program
from bracketc.lang import syntax
from bracketc.lang.cuts import cuts
from bracketc.lang.declarations import Declarations
from bracketc.lang.functions import try_function
from bracketc.lang.opening import deep_stack, dims_of, open_file
from bracketc.lang.problems import Problems
from bracketc.lang.requests import requests, results
from bracketc.lang.scope import Elaboration, Scope
from bracketc.lang.sizes import is_unknown
from bracketc.lang.values import Family, Steps, Value
from bracketc.lang.written import written
from bracketc.options import Limits


def elaborate(
    tree: syntax.SyntaxFile,
    errors: Iterable[Diagnostic] = (),
    spoiled: Iterable[syntax.Name] = (),
    limits: Limits | None = None,
) -> Program:
    """The program of a file.

    Raises :class:`SourceError` with every semantic error of the file, each with its span; when all of them are
    constructs that are not compiled yet, an :class:`UnsupportedError`.  Of derivation blocks only those are read whose
    formulas a request ``as derived`` asks for.
    ``errors`` are those of the parser, raised together with what is found here; what depends on a ``spoiled`` name, whose statement
    could not be read, is passed over in silence. ``limits`` bound what one file may take.
    """
    problems = Problems(errors)
    opened = open_file(tree, problems, spoiled, limits)
    whole, run, file = opened.whole, opened.run, opened.file
    declarations, sizes, arguments, kinds = run.declarations, opened.sizes, opened.arguments, opened.kinds
    with deep_stack(run.limits):
        for name in declarations.functions:
            if name not in run.called:
                try_function(name, file)
    found = _definitions(declarations, file)
    asked = requests(declarations, file)
    returned = results(declarations, asked, found, file)
    with deep_stack(run.limits):
        cut = cuts(declarations, file)
        formulas = written(asked, opened)
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
        formulas,
        problems.notes(),
    )
    program = substitute_program(program, run.sizes.solution(), {})
    _determined(program, run)
    problems.finish()
    if not program.results:
        raise SourceError(_nothing(tree, declarations))
    return program


def _nothing(tree: syntax.SyntaxFile, declarations: Declarations) -> Diagnostic:
    """What to say of a file without a definition."""
    source: Source = tree.span.source
    if declarations.derivations:
        first = declarations.derivations[0]
        help = f"bracketc verify {source.filename} checks them; add a definition F = … for what is compiled"
        return Diagnostic(f"{source.filename} holds derivations and defines nothing", first.span, help)
    return Diagnostic(f"{source.filename} defines nothing", tree.span, "add a definition: F = …")


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
    nodes = [node for _, node in (*program.definitions, *program.results)]
    for dim in dims_of([*nodes, *(formula.node for formula in program.written)]):
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
