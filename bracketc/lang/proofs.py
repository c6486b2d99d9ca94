"""What derivations claim, as records: equations between neighbouring members of a chain, as tensors and as text.

:mod:`bracketc.lang.claims` reads them, :mod:`bracketc.proof.verify` judges them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf

from bracketc.errors import Diagnostic, Span
from bracketc.ir.nodes import Node
from bracketc.ir.program import Program
from bracketc.lang.sides import Pairing

ClaimKind = OneOf["step", "conclusion", "definition"]


@dataclass(frozen=True, slots=True)
class Case:
    """A step about members of a family, for one number: ``where`` is (j, 2). ``goal`` as in :class:`Claim`."""

    where: tuple[str, int]
    left: Node
    right: Node
    goal: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """``left = right``, one step of a derivation; ``problems`` say why a side has no tensor.

    ``definition`` is the first line where the block defines its target; there is nothing to prove about it.
    ``left_span`` may lie lines above ``right_span``, for a line that begins with ``=`` goes on with the chain above.
    ``goal`` is (J, W) in a chain that begins with ``∇[W](J)``, whose first claim ``is_first``. ``remark`` is the text of
    ``[by …]``, ``label`` that of the line, ``cites`` the labels of lines and derivations that the remark cites.

    A step that holds for every step of a recurrence has one more axis in front, that of the steps. One that holds for every
    member of a family has ``cases``, the first of which is ``left = right``. ``pairing`` reads other expressions in the place of a
    side; it is no part of the record.
    """

    kind: ClaimKind
    left: Node | None
    right: Node | None
    left_span: Span
    right_span: Span
    remark: str | None = None
    problems: tuple[Diagnostic, ...] = ()
    goal: tuple[str, str] | None = None
    is_first: bool = False
    cases: tuple[Case, ...] = ()
    label: str | None = None
    cites: tuple[str, ...] = ()
    pairing: Pairing | None = field(default=None, compare=False, repr=False)

    @property
    def equations(self) -> tuple[tuple[tuple[str, str] | None, Node | None, Node | None], ...]:
        """``goal``, ``left`` and ``right``, or those of every case."""
        if self.cases:
            return tuple((case.goal, case.left, case.right) for case in self.cases)
        return ((self.goal, self.left, self.right),)

    @property
    def text(self) -> str:
        """The equation on one line."""
        return " ".join(f"{self.left_span.text} = {self.right_span.text}".split())


@dataclass(frozen=True, slots=True)
class Block:
    """One derivation. ``title`` is its head as written, without ``{``, and ``head`` where that stands."""

    title: str
    label: str | None
    claims: tuple[Claim, ...]
    span: Span
    head: Span


@dataclass(frozen=True, slots=True)
class Derivations:
    """All derivations of a file. ``program`` has its sizes, arguments and constraints; its results are empty."""

    program: Program
    blocks: tuple[Block, ...]
