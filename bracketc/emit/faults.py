"""What can go wrong with the operations on matrices of a file, and what is done then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bracketc.ir.linear_algebra import SCALARS
from bracketc.plan.schedule import Blocks, Factorise, Loop, Plan, Step

_INDEFINITE = frozenset(("cholesky",))
_NEVER_FAILS = frozenset(("lu", *SCALARS))


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail: ``about`` is what people call the operation, ``definite`` says that it needs a positive definite
    matrix rather than a regular one, ``batched`` that there is more than one matrix."""

    about: str
    definite: bool
    batched: bool


@dataclass(slots=True)
class Faults:
    """The faults of a file by number; ``silent`` puts NaN where there is no result."""

    silent: bool = False
    known: dict[Fault, int] = field(default_factory=dict)

    def number(self, fault: Fault) -> int:
        return self.known.setdefault(fault, len(self.known))


def fails(operator: str) -> bool:
    """Whether there are matrices without a result."""
    return operator not in _NEVER_FAILS


def fault_of(operator: str, about: str, rank: int) -> Fault:
    """The fault of an operation on an array of matrices with ``rank`` axes."""
    return Fault(about, operator in _INDEFINITE, rank > 2)


def can_fail(plan: Plan) -> bool:
    """Whether any function of a plan has an operation that can fail."""
    return any(fails(step.operator) for step in operations(plan))


def operations(plan: Plan) -> Iterator[Factorise]:
    """Every operation on matrices in a plan."""
    for schedule in plan.schedules:
        for variant in schedule.variants:
            yield from _operations(variant.steps)


def _operations(steps: Iterable[Step]) -> Iterator[Factorise]:
    for step in steps:
        if isinstance(step, Factorise):
            yield step
        elif isinstance(step, Loop | Blocks):
            yield from _operations(step.steps)
