"""What a name or an expression stands for during elaboration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from bracketc.errors import Span
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Einsum, Node, Shape
from bracketc.lang import syntax


@dataclass(frozen=True, slots=True)
class Value:
    """A closed tensor.  ``rows`` marks the axes that are ``ι``: of size 1 because a vector lies as a row.

    ``x`` has rows (False,), ``x^T`` has rows (True, False).
    """

    node: Node
    rows: tuple[bool, ...]

    @property
    def rank(self) -> int:
        return len(self.rows)

    @property
    def is_row(self) -> bool:
        """Whether it is a vector that lies: ``x^T``."""
        return self.rows == (True, False)


def closed(node: Node) -> Value:
    """A tensor without ``ι``."""
    return Value(node, (False,) * node.rank)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A name that is a whole number where it stands: a size, or the variable of a range."""

    dim: Dim


@dataclass(frozen=True, slots=True)
class Failed:
    """A name whose definition has an error that is reported already."""


@dataclass(frozen=True, slots=True)
class Family:
    """Members by number: arguments ``W[1] … W[L]`` or definitions."""

    name: str
    members: dict[int, Value | Failed]


@dataclass(frozen=True, slots=True)
class SizeFamily:
    """``dim D[0..L] = 784, 256, 10``."""

    name: str
    members: Mapping[int, Dim]


@dataclass(frozen=True, slots=True)
class Steps:
    """``Z[t]`` for t in ``first..last``: ``stacked`` has the steps along its leading axis.

    ``starts`` are the values before them, or behind them when the steps run backwards. ``near`` gives a step by other
    means, or None.
    """

    name: str
    first: Dim
    last: Dim
    stacked: Value
    starts: tuple[tuple[Dim, Value], ...]
    near: Callable[[Dim, Any], Value | None] | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A name whose steps are being defined: ``Z[t + offset]`` for the offsets given."""

    name: str
    variable: Dim
    values: Mapping[int, Value]
    starts: tuple[tuple[Dim, Value], ...]


@dataclass(frozen=True, slots=True)
class Open:
    """A name of a derivation that differs from number to number of a range: ``P = ∇[Z[t]](J)``, ``S[j] = …``."""

    binding: syntax.Binding


@dataclass(frozen=True, slots=True)
class FunctionValue:
    """A function of the file; ``scalar`` when it is applied element by element, else ``ranks`` are its arguments'."""

    statement: syntax.Function
    scalar: bool
    ranks: tuple[int, ...]

    @property
    def span(self) -> Span:
        return self.statement.span


Binding: TypeAlias = Value | Quantity | Failed | Family | SizeFamily | Steps | Running | Open | FunctionValue


def retyped(node: Node, shape: Shape) -> Node:
    """``node`` with its sizes called as in ``shape``, to which they are equal."""
    if node.shape == shape:
        return node
    labels = tuple(range(node.rank))
    return Einsum(Fraction(1), ((node, labels),), labels, shape)


def kind_of(rank: int) -> str:
    """``2`` -> "a matrix"."""
    return ("a scalar", "a vector", "a matrix")[rank] if rank < 3 else f"a tensor of rank {rank}"
