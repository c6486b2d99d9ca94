"""A derivation as a person would present it, as records: chains of differentials and the conclusions behind them.

The nodes stand over names: a tensor called ``Z[2]`` or ``P`` is what the source or an abbreviation calls so, one called
``dW`` is a differential, ``∇[A[t+1]](J)`` a gradient, and ``X[t]`` a slice for every number t. Whoever shows a derivation
prints these nodes with the printers of :mod:`bracketc.emit` and needs no other names;
:func:`bracketc.emit.steps.step_texts` has the text of every line:

    for paragraph in presentation.paragraphs:
        if isinstance(paragraph, Chain):       # d[Z](J) = member = member …, each with its `where` and its rule
            …
        else:                                  # ⟹ ∇[W](J) = terms, …
            …

A member whose text equals that of the one before it says nothing new: leave it out, and put its ``where`` to the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bracketc.ir.nodes import Node, Tensor

HeadingKind = Literal["differential", "restricted", "gradient", "jacobian"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A left side: ``dJ`` (differential), ``d[Z](J)`` (restricted), ``∇[W](J)`` (gradient), ``Jac[x](y)`` (jacobian).

    ``entry`` is the slice of a gradient that is meant: ``∇[X](J)![t]``.
    """

    kind: HeadingKind
    of: str
    wrt: str = ""
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Over:
    """A sum over ``variable = first..last``, with its ends as the source writes them."""

    variable: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a sum: ``node``, or with ``over`` the scalar ``front`` times ``sum[t=1..T](node)``."""

    node: Node
    over: Over | None = None
    front: Node | None = None


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """``where name = terms``; the name may have an index: ``S[t]``."""

    name: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """``= terms   where …   [by rule]``; ``rule`` is empty where a member only repeats what is known."""

    terms: tuple[Term, ...]
    rule: str = ""
    where: tuple[Abbreviation, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """``left = member = member = …``; without a ``left`` the first member stands there."""

    left: Heading | None
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """One equation of a conclusion: ``left = terms``."""

    left: Heading
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """``⟹ equation, equation, …   where …   [by rule]``."""

    equations: tuple[Equation, ...]
    rule: str = ""
    where: tuple[Abbreviation, ...] = ()


Paragraph = Chain | Conclusion


@dataclass(frozen=True, slots=True)
class Presentation:
    """``derivation of target wrt … { paragraphs }``; ``letters`` are the general numbers: the t of ``Z[t]``.

    ``differentials`` are the tensors that stand for differentials, by what they are of: ``{dW: "W"}``. ``taken`` are all names that
    the text may not use anew. ``wrt`` are names as they stand behind ``wrt``: a family by its name alone where all members vary.
    """

    target: str
    wrt: tuple[str, ...]
    paragraphs: tuple[Paragraph, ...]
    differentials: tuple[tuple[Tensor, str], ...]
    taken: frozenset[str]
    letters: tuple[str, ...] = ()
