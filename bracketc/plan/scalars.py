"""Building scalar programs: each distinct operation once, whatever it is spliced from.

>>> s = Scalars(); x = s.load(Access(X, (0,)))
>>> s.emit("multiply", x, x) == s.emit("multiply", x, x)
True
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Number
from bracketc.plan.schedule import Access, Instruction, Store

Relabel = Callable[[int], int]


class Scalars:
    """A scalar program under construction with the operands that it loads."""

    __slots__ = ("_known", "_loads", "operands", "program")

    def __init__(self) -> None:
        self.operands: list[Access] = []
        self.program: list[Instruction] = []
        self._loads: dict[Access, int] = {}
        self._known: dict[object, int] = {}

    def load(self, access: Access) -> int:
        """The entry of ``access`` at the current labels."""
        number = self._loads.get(access)
        if number is None:
            number = self._loads[access] = self.add(Instruction("load", operand=len(self.operands)))
            self.operands.append(access)
        return number

    def emit(self, operation: str, *args: int, function: str = "", number: Number | None = None) -> int:
        """An operation on earlier instructions."""
        return self.add(Instruction(operation, args, function=function, number=number))

    def constant(self, number: Number) -> int:
        return self.add(Instruction("constant", number=number))

    def size(self, dim: Dim) -> int:
        return self.add(Instruction("size", dim=dim))

    def add(self, instruction: Instruction) -> int:
        """The number of ``instruction``, which is appended when it is new."""
        i = instruction
        key = (i.operation, i.args, i.operand, _bits(i.number), i.dim, i.label, i.label2, i.function)
        number = self._known.setdefault(key, len(self.program))
        if number == len(self.program):
            self.program.append(instruction)
        return number

    def multiply(self, factors: Iterable[int]) -> int:
        """The product of one or more instructions; constants among them are multiplied out."""
        given = tuple(factors)
        return given[0] if len(given) == 1 else self.emit("multiply", *given)

    def splice(
        self,
        program: Iterable[Instruction],
        operands: tuple[Access, ...],
        relabel: Relabel,
        values: Mapping[Access, int] | None = None,
    ) -> list[int]:
        """Append ``program`` under other labels; loads of an access in ``values`` (relabelled) become that instruction.

        Gives the new number of each instruction.
        """
        moved = [Access(a.buffer, tuple(map(relabel, a.labels))) for a in operands]
        numbers: list[int] = []
        for instruction in program:
            if instruction.operation == "load":
                access = moved[instruction.operand]
                known = None if values is None else values.get(access)
                numbers.append(self.load(access) if known is None else known)
                continue
            moved_on = with_args(instruction, tuple(numbers[arg] for arg in instruction.args))
            if instruction.label >= 0:
                second = instruction.label2 if instruction.label2 < 0 else relabel(instruction.label2)
                moved_on = replace(instruction, label=relabel(instruction.label), label2=second)
            numbers.append(self.add(moved_on))
        return numbers


def with_args(instruction: Instruction, args: tuple[int, ...]) -> Instruction:
    """The operation on other instructions."""
    if args == instruction.args:
        return instruction
    i = instruction
    return Instruction(i.operation, args, i.operand, i.number, i.dim, i.label, i.label2, i.function)


def _bits(number: Number | None) -> object:
    """Tells 0.0, -0.0 and Fraction(0) apart."""
    return struct.pack("<d", number) if isinstance(number, float) else number


def prune(
    operands: tuple[Access, ...], program: tuple[Instruction, ...], stores: tuple[Store, ...]
) -> tuple[tuple[Access, ...], tuple[Instruction, ...], tuple[Store, ...]]:
    """Without instructions that no store needs and without operands that nothing loads."""
    live = [False] * len(program)
    for store in stores:
        live[store.value] = True
    for number in reversed(range(len(program))):
        if live[number]:
            for arg in program[number].args:
                live[arg] = True
    loaded = {i.operand for i in program if i.operation == "load"}
    if all(live) and len(loaded) == len(operands):
        return operands, program, stores
    kept: list[Instruction] = []
    places: dict[int, int] = {}
    numbers: dict[int, int] = {}
    for number, instruction in enumerate(program):
        if not live[number]:
            continue
        if instruction.operation == "load":
            place = places.setdefault(instruction.operand, len(places))
            instruction = replace(instruction, operand=place)
        numbers[number] = len(kept)
        kept.append(with_args(instruction, tuple(numbers[arg] for arg in instruction.args)))
    return (
        tuple(operands[place] for place in places),
        tuple(kept),
        tuple(replace(store, value=numbers[store.value]) for store in stores),
    )


CHEAP_FUNCTIONS = frozenset({"abs", "sign", "step", "relu", "max", "min"})
"""Functions that cost about as much as an addition; the others take tens of cycles."""


def is_costly(instruction: Instruction) -> bool:
    """Whether an instruction is a transcendental function, a root or a general power: never worth computing twice."""
    if instruction.operation == "call":
        return instruction.function not in CHEAP_FUNCTIONS
    if instruction.operation == "power":
        return costly_exponent(instruction.number)
    return False


def costly_exponent(exponent: Number | None) -> bool:
    """Whether ``x ** exponent`` takes more than a few multiplications and a division."""
    return not (isinstance(exponent, Fraction) and exponent.denominator == 1 and abs(exponent.numerator) <= 4)
