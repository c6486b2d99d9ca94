"""What `verify` answers: the derivations of a file with a verdict for every step.

>>> print(bc.verify(text))
derivation of J wrt w
   8  dJ = r · (X @ dw)  proved  differentials substituted
1 step: 1 proved
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from bracketc import compiler
from bracketc.emit.latex import displayed
from bracketc.emit.page import PageView, fragment
from bracketc.emit.proofs import MARKS, latex_steps, plain_step, proof_views, tally
from bracketc.errors import Source, display_width
from bracketc.ir.program import Program
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.lang.syntax import SyntaxFile
from bracketc.proof.verify import Judgement, Proof, verify_derivations


@dataclass(frozen=True, slots=True)
class Verification(Sequence["Verification"]):
    """The derivations of a file, each with the verdicts on its steps; an entry is one derivation alone.

    It prints as text, and notebooks show it as mathematics.
    """

    tree: SyntaxFile
    proofs: tuple[Proof, ...]

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """Every step with its verdict, its reason, and its counterexample where it is refuted."""
        return tuple(judgement for proof in self.proofs for judgement in proof.judgements)

    @property
    def accepted(self) -> bool:
        """Whether every step is proved or confirmed."""
        return all(judgement.accepted for judgement in self.judgements)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many steps have each verdict."""
        found: Counter[str] = Counter(judgement.verdict for judgement in self.judgements)
        return {verdict: found[verdict] for verdict in MARKS}

    @overload
    def __getitem__(self, place: int) -> Verification: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Verification, ...]: ...
    def __getitem__(self, place: int | slice) -> Verification | tuple[Verification, ...]:
        if isinstance(place, slice):
            return tuple(Verification(self.tree, (proof,)) for proof in self.proofs[place])
        return Verification(self.tree, (self.proofs[place],))

    def __len__(self) -> int:
        return len(self.proofs)

    def __str__(self) -> str:
        lines: list[str] = []
        for proof in self.proofs:
            lines.append(proof.block.title)
            rows = [(plain_step(judgement), judgement) for judgement in proof.judgements]
            width = max((display_width(text) for (_, text), _ in rows), default=0)
            for (number, text), judgement in rows:
                pad = " " * (width - display_width(text))
                lines.append(f"{number:>4}  {text}{pad}  {judgement.verdict:<9}  {judgement.reason}".rstrip())
        return "\n".join([*lines, tally(self.judgements)])

    def _repr_latex_(self) -> str:
        return "\n\n".join(displayed(latex_steps(self.tree, proof)) for proof in self.proofs if proof.judgements)

    def _repr_html_(self) -> str:
        return fragment(PageView("", "", proofs=proof_views(self.tree, self.proofs)))


def verify(program: str | Program | os.PathLike[str]) -> Verification:
    """Prove or refute every step of every derivation of a program, of a source text, or of the file at a path.

    A mistake outside the derivations raises :class:`~bracketc.errors.SourceError`; one inside is a rejected step.
    """
    if isinstance(program, Program):
        source = program.source
    else:
        source = Source(program) if isinstance(program, str) else compiler.read(program)
    tree = parse_file(source)
    return Verification(tree, verify_derivations(elaborate_derivations(tree)))
