"""The formulas that requests ``as derived`` compile: conclusions of the derivations of a file.

    derivation of J wrt W { … ⟹ ∇[W](J) = X^T @ (Z ⊙ C) },  gradient J wrt W as derived   ->   W: X^T @ (Z ⊙ C)

The last derivation of the target in the file counts, in it the last conclusion, and of that the last member.
"""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.ir.program import Request, Written
from bracketc.lang import syntax
from bracketc.lang.claims import read_block
from bracketc.lang.opening import Opened
from bracketc.lang.proofs import Block


def written(asked: Sequence[Request], opened: Opened) -> tuple[Written, ...]:
    """One formula for each name behind ``wrt`` of a request ``as derived``; one that is missing is recorded as an error."""
    found: dict[tuple[str, str], Written] = {}
    for request in asked:
        if not request.derived:
            continue
        statement = _last(opened.run.declarations.derivations, request.output)
        assert request.span is not None
        if statement is None:
            opened.run.problems.record(
                f"{request.output} as derived, and the file has no derivation of {request.output}",
                request.span,
                f"write `derivation of {request.output} wrt {', '.join(request.wrt)} {{ … }}`",
            )
            continue
        problems = opened.run.problems
        block = read_block(statement, opened)
        opened.run.problems = problems
        formulas = _concluded(block, request.output)
        for name in request.wrt:
            formula = formulas.get(name)
            if formula is None:
                goal = (request.output, name)
                wrong = [claim for claim in block.claims if goal in (claim.goal, *(case.goal for case in claim.cases))]
                if wrong and wrong[-1].problems:
                    for problem in wrong[-1].problems:
                        problems.record(problem.message, problem.span or request.span, problem.help, problem.notes)
                    continue
                problems.record(
                    f"{request.output} by {name} as derived, and its derivation has no conclusion for {name}",
                    request.span,
                    f"end it with ⟹ ∇[{name}]({request.output}) = …",
                    [("the derivation", block.head)],
                )
                continue
            found[(request.output, name)] = formula
    return tuple(found.values())


def _last(statements: Sequence[syntax.Derivation], output: str) -> syntax.Derivation | None:
    """The last derivation whose target is called ``output``."""
    own = [s for s in statements if s.target is not None and _name(s.target) == output]
    return own[-1] if own else None


def _name(reference: syntax.Reference) -> str:
    """``J``, or ``Z3`` for ``Z[3]``."""
    entries = reference.entries or ()
    return reference.name.text + "".join(entry.text for entry in entries if isinstance(entry, syntax.Number))


def _concluded(block: Block, output: str) -> dict[str, Written]:
    """The last formula of every gradient of ``output``, by name."""
    derivatives = {}
    found: dict[str, Written] = {}
    for claim in block.claims:
        for goal, left, right in claim.equations:
            if goal is None or goal[0] != output:
                continue
            wrt = goal[1]
            found.pop(wrt, None)  # where the last member cannot be read, there is no formula
            if left is None or right is None:
                continue
            if claim.is_first:
                derivatives[wrt] = left
            if wrt in derivatives:
                found[wrt] = Written(output, wrt, derivatives[wrt], right, claim.right_span)
    return found
