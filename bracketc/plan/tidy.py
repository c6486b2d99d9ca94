"""Scalar programs in their shortest form: signs meet in one place, quotients and squares are written as such.

(-1) (1/N) t      ->  -(t / N)           x + (-y) z  ->  x - y z           x x  ->  x²
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

from bracketc.ir.nodes import Labels
from bracketc.plan.scalars import Scalars, prune
from bracketc.plan.schedule import Access, Contract, Instruction, Map, Step


def tidied(step: Step) -> Step:
    """``step`` with its program, if it has one, in the shortest form; never more flops."""
    if not isinstance(step, Map | Contract):
        return step
    labels = step.labels if isinstance(step, Map) else step.output
    tidy = _Tidy(step, labels)
    stores = tuple(replace(store, value=tidy.plain(tidy.numbers[store.value])) for store in step.stores)
    operands, program, stores = prune(tuple(tidy.scalars.operands), tuple(tidy.scalars.program), stores)
    return replace(step, operands=operands, program=program, stores=stores)


Signed = tuple[bool, int]
"""Whether a value is negated, and the instruction that is the value without its sign."""


class _Tidy:
    """One walk over a program. ``numbers`` are the signed values of its instructions in the new program."""

    def __init__(self, step: Map | Contract, labels: Labels) -> None:
        self.program = step.program
        self.scalars = Scalars()
        self.labels = frozenset(labels)
        self.depends: list[frozenset[int]] = []
        self.numbers: list[Signed] = []
        self.uses = [0] * len(step.program)
        for instruction in step.program:
            for arg in instruction.args:
                self.uses[arg] += 1
        for store in step.stores:
            self.uses[store.value] += 1
        self.shared: set[int] = set()
        """Values of the new program that several places read: a second one with another sign would be computed beside
        it."""
        known: set[int] = set()
        for place, instruction in enumerate(step.program):
            signed = self.visit(instruction, step.operands)
            self.numbers.append(signed)
            if self.uses[place] > 1 or signed[1] in known:
                self.shared.add(signed[1])
            known.add(signed[1])

    def visit(self, instruction: Instruction, operands: Sequence[Access]) -> Signed:
        args = [self.numbers[arg] for arg in instruction.args]
        match instruction.operation:
            case "load":
                return False, self.scalars.load(operands[instruction.operand])
            case "negate":
                return not args[0][0], args[0][1]
            case "constant" if instruction.number == -1:
                return True, self.scalars.constant(-instruction.number)
            case "add":
                return self.sum([self.turned(arg, k) for arg, k in zip(args, instruction.args, strict=True)])
            case "subtract":
                return self.sum([args[0], (not args[1][0], args[1][1])])
            case "multiply":
                return self.product(args, instruction.args)
            case "divide":
                return args[0][0] != args[1][0], self.scalars.emit("divide", args[0][1], args[1][1])
            case "square":
                return False, self.scalars.emit("square", args[0][1])
            case _:
                plain = tuple(self.plain(arg) for arg in args)
                return False, self.scalars.add(replace(instruction, args=plain))

    def turned(self, value: Signed, given: int) -> Signed:
        """A term of a sum that a negative number multiplies, as a positive one that is subtracted."""
        negative, number = value
        instruction = self.scalars.program[number]
        if instruction.operation != "multiply" or self.program[given].operation != "multiply" or number in self.shared:
            return value
        factor = self.scalars.program[instruction.args[0]].number
        if self.scalars.program[instruction.args[0]].operation != "constant" or factor is None or factor >= 0:
            return value
        return not negative, self.scalars.multiply([self.scalars.constant(-factor), *instruction.args[1:]])

    def sum(self, args: Sequence[Signed]) -> Signed:
        """Terms over fewer labels first: their sum leaves the inner loop."""
        everything = frozenset().union(*(self.labels_of(number) for _, number in args))
        outer = [arg for arg in args if self.labels_of(arg[1]) != everything]
        if 1 < len(outer) < len(args):
            args = [self.sum(outer), *(arg for arg in args if self.labels_of(arg[1]) == everything)]
        positive = [number for sign, number in args if not sign]
        negative = [number for sign, number in args if sign]
        constants = [self._exact(number) for number in (*positive, *negative)]
        if all(constant is not None for constant in constants):
            terms = [Fraction(constant or 0) for constant in constants]
            whole = sum(terms[: len(positive)], Fraction(0)) - sum(terms[len(positive) :], Fraction(0))
            return whole < 0, self.scalars.constant(abs(whole))
        if not positive:
            free = next((number for number in negative if self._outer(number) is not None), None)
            if free is None:
                return True, self._add(negative)
            negative.remove(free)
            positive = [self.plain((True, free))]
        result = self._add(positive)
        for number in negative:
            result = self.scalars.emit("subtract", result, number)
        return False, result

    def _exact(self, number: int) -> Fraction | None:
        """The number that an instruction is, if it is exact."""
        instruction = self.scalars.program[number]
        exact = instruction.operation == "constant" and isinstance(instruction.number, Fraction)
        return instruction.number if exact and isinstance(instruction.number, Fraction) else None

    def _add(self, numbers: Sequence[int]) -> int:
        return numbers[0] if len(numbers) == 1 else self.scalars.emit("add", *numbers)

    def product(self, args: Sequence[Signed], given: Sequence[int]) -> Signed:
        sign = sum(negative for negative, _ in args) % 2 == 1
        numbers = [number for _, number in args if not self._is_one(number)]
        constants = [self._exact(number) for number in numbers]
        exact = [constant for constant in constants if constant is not None]
        if len(exact) > 1 or not numbers:
            rest = [number for number, constant in zip(numbers, constants, strict=True) if constant is None]
            numbers = [self.scalars.constant(prod(exact, start=Fraction(1))), *rest]
            numbers = [number for number in numbers if len(numbers) == 1 or not self._is_one(number)]
        if len(numbers) == 1:
            return sign, numbers[0]
        if len(numbers) == 2 and numbers[0] == numbers[1]:
            return sign, self.scalars.emit("square", numbers[0])
        numbers.sort(key=lambda number: len(self.labels_of(number)))
        everything = frozenset().union(*(self.labels_of(number) for number in numbers))
        single = {number for (_, number), arg in zip(args, given, strict=True) if self.uses[arg] == 1}
        for number in numbers:
            # over fewer labels a reciprocal leaves the inner loop, where a product is cheaper than a quotient
            inner = self.labels_of(number) == everything and number in single and numbers.count(number) == 1
            if inner and self._is_reciprocal(number):
                dividend = self.scalars.multiply(other for other in numbers if other != number)
                return sign, self.scalars.emit("divide", dividend, self.scalars.program[number].args[0])
        return sign, self.scalars.multiply(numbers)

    def _is_one(self, number: int) -> bool:
        instruction = self.scalars.program[number]
        return instruction.operation == "constant" and instruction.number == 1

    def _is_reciprocal(self, number: int) -> bool:
        instruction = self.scalars.program[number]
        return instruction.operation == "power" and instruction.number == -1

    def plain(self, value: Signed) -> int:
        """The value as an instruction. The sign goes to a factor outside of the inner loop where there is one."""
        negative, number = value
        if not negative:
            return number
        instruction = self.scalars.program[number]
        if instruction.operation == "constant" and instruction.number is not None:
            return self.scalars.constant(-instruction.number)
        place = self._outer(number)
        if place is None:
            return self.scalars.emit("negate", number)
        args = list(instruction.args)
        args[place] = self.plain((True, args[place]))
        return self.scalars.multiply(args)

    def _outer(self, number: int) -> int | None:
        """The place of a factor of a product that can be negated outside of the inner loop."""
        instruction = self.scalars.program[number]
        if instruction.operation != "multiply" or number in self.shared:
            return None
        args = instruction.args
        constants = [place for place, arg in enumerate(args) if self.scalars.program[arg].operation == "constant"]
        outer = min([*constants, *range(len(args))], key=lambda place: len(self.labels_of(args[place])))
        fewer = len(self.labels_of(args[outer])) < len(self.labels_of(number))
        return outer if constants or fewer else None

    def labels_of(self, number: int) -> frozenset[int]:
        """Labels that an instruction of the new program depends on."""
        for instruction in self.scalars.program[len(self.depends) :]:
            self.depends.append(self._depends(instruction))
        return self.depends[number]

    def _depends(self, instruction: Instruction) -> frozenset[int]:
        match instruction.operation:
            case "load":
                return frozenset(self.scalars.operands[instruction.operand].labels)
            case "accumulator":
                return self.labels
            case "index":
                return frozenset((instruction.label,))
            case "delta":
                return frozenset((instruction.label, instruction.label2))
            case _:
                return frozenset().union(*(self.depends[arg] for arg in instruction.args))
