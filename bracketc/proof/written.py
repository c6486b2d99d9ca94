"""Formulas that are compiled as a derivation states them: only those that are right.

    gradient J wrt W as derived   ->   ∇[W](J) = …, the last conclusion of the derivation of J, judged as `verify` does
"""

from __future__ import annotations

from bracketc.errors import Diagnostic, SourceError
from bracketc.ir.program import Program
from bracketc.lang.proofs import Claim
from bracketc.proof.verify import judge


def check_written(program: Program) -> None:
    """Raise a :class:`~bracketc.errors.SourceError` with the counterexample of every formula that is no gradient."""
    found: list[Diagnostic] = []
    for formula in program.written:
        claim = Claim("conclusion", formula.derivative, formula.node, formula.span, formula.span)
        judgement = judge(claim, program, advise=False)
        if not judgement.accepted:
            (why, *_) = judgement.diagnostics
            message = f"the gradient of {formula.output} by {formula.wrt} as derived is {judgement.verdict}: {why.message}"
            found.append(Diagnostic(message, formula.span, why.help))
    if found:
        raise SourceError(found)
