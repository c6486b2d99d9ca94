"""Scalar programs as C expressions, one line an instruction, on single numbers or on vectors.

call tanh v2   ->   vtanh_f32(v2)                                    (vector)
                    vtanh_f32(splat_f32(v2))[0]                      (scalar: the same function, so the same bits)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction

from bracketc.emit.vectormath import LIBM_1, LIBM_2, vector_name
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Number
from bracketc.plan.schedule import Instruction


@dataclass(frozen=True, slots=True)
class CType:
    """The real type of a module: ``suffix`` ends the names of its functions and types."""

    real: str
    suffix: str
    double: bool


FLOAT32 = CType("float", "f32", False)
FLOAT64 = CType("double", "f64", True)


def number_text(value: Number, ctype: CType) -> str:
    """The number nearest to ``value`` as a C constant: ``0.5f``, ``-1e-3``, ``INFINITY``."""
    if isinstance(value, Fraction):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = repr(value)
    if "e" not in text and "." not in text:
        text += ".0"
    return text if ctype.double else f"{text}f"


@dataclass(frozen=True, slots=True)
class Line:
    """One declaration: ``const <type> <name> = <text>;``. ``invariant``: it does not change along the vector
    label."""

    type: str
    name: str
    text: str
    invariant: bool
    truth: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """How loads and labels are written where the program stands.

    ``load(operand)`` gives the text of a load and whether it is invariant along the vector label, ``label(l)`` the
    loop variable of a label, ``size(dim)`` a size; ``vector_label`` is the label that runs over lanes (-1: none).
    ``kinds`` are C types of loads that are not real; ``accumulator`` loads the finished sum of a tile. ``call(name)``
    is told of every function that is used.
    """

    ctype: CType
    vector: bool
    load: Callable[[int], tuple[str, bool]]
    label: Callable[[int], str]
    size: Callable[[Dim], str]
    call: Callable[[str], object]
    kinds: Mapping[int, str]
    vector_label: int = -1
    accumulator: str = ""


def lines(program: Sequence[Instruction], needed: Sequence[int], dialect: Dialect) -> list[Line]:
    """Declarations of all instructions that ``needed`` ones use, in order; instruction k is called ``vk``."""
    used = set(needed)
    for number in reversed(range(len(program))):
        if number in used:
            used.update(program[number].args)
    found: list[Line] = []
    invariant: list[bool] = []
    boolean: list[bool] = []
    integers: set[int] = set()
    s = dialect.ctype.suffix
    for number, i in enumerate(program):
        loaded = dialect.kinds.get(i.operand, "") if i.operation == "load" else ""
        truth = i.operation == "compare" or loaded == "uint8_t"
        truth = truth or (i.operation == "select" and all(boolean[a] for a in i.args[1:]))
        boolean.append(truth)
        if number not in used:
            invariant.append(False)
            continue
        text, fixed = _text(i, dialect, boolean, integers, all(invariant[a] for a in i.args))
        invariant.append(fixed)
        kind = (f"ivec_{s}" if truth else f"vec_{s}") if dialect.vector else ("int" if truth else dialect.ctype.real)
        if loaded == "int64_t":
            kind = loaded
            integers.add(number)
        found.append(Line(kind, f"v{number}", text, fixed, truth))
    return found


_SIMPLE_POWERS: dict[Fraction, str] = {
    Fraction(2): "{x} * {x}",
    Fraction(3): "{x} * {x} * {x}",
    Fraction(4): "({x} * {x}) * ({x} * {x})",
    Fraction(-1): "1 / {x}",
    Fraction(-2): "1 / ({x} * {x})",
    Fraction(-3): "1 / ({x} * {x} * {x})",
    Fraction(1, 2): "{sqrt}",
    Fraction(-1, 2): "1 / {sqrt}",
    Fraction(3, 2): "{x} * {sqrt}",
    Fraction(-3, 2): "1 / ({x} * {sqrt})",
}


def _apply(function: str, args: Sequence[str], d: Dialect) -> str:
    """A call on vectors; on single numbers the vector function on a splat, so that equal inputs give equal bits."""
    s, name = d.ctype.suffix, vector_name(function)
    if not d.vector and name in (*LIBM_1, *LIBM_2):
        return f"{name}{'' if d.ctype.double else 'f'}({', '.join(args)})"
    d.call(name)
    if d.vector:
        return f"v{name}_{s}({', '.join(args)})"
    return f"v{name}_{s}({', '.join(f'splat_{s}({a})' for a in args)})[0]"


def _operand(text: str) -> str:
    """Text behind a cast: ``N``, ``(2 * N)``."""
    return text if text.replace("_", "a").isalnum() else f"({text})"


def _text(i: Instruction, d: Dialect, boolean: Sequence[bool], integers: Set[int], fixed: bool) -> tuple[str, bool]:
    s = d.ctype.suffix

    def real(argument: int) -> str:
        if boolean[argument]:
            if d.vector:
                d.call("truth")
            return f"truth_{s}(v{argument})" if d.vector else f"({d.ctype.real})v{argument}"
        return f"({d.ctype.real})v{argument}" if argument in integers else f"v{argument}"

    def spread(text: str) -> str:
        return f"splat_{s}({text})" if d.vector else text

    match i.operation:
        case "load":
            return d.load(i.operand)
        case "accumulator":
            return d.accumulator, False
        case "constant":
            assert i.number is not None
            return spread(number_text(i.number, d.ctype)), True
        case "size":
            assert i.dim is not None
            return spread(f"({d.ctype.real}){_operand(d.size(i.dim))}"), True
        case "index":
            if i.label == d.vector_label:
                d.call("index")
                return f"index_{s}({d.label(i.label)})", False
            return spread(f"({d.ctype.real})({d.label(i.label)} + 1)"), True
        case "delta":
            if i.label == i.label2:
                return spread(number_text(1.0, d.ctype)), True
            if d.vector_label in (i.label, i.label2):
                d.call("delta")
                other = i.label2 if i.label == d.vector_label else i.label
                return f"delta_{s}({d.label(d.vector_label)}, {d.label(other)})", False
            return spread(f"({d.ctype.real})({d.label(i.label)} == {d.label(i.label2)})"), True
        case "add":
            return " + ".join(real(a) for a in i.args), fixed
        case "multiply":
            return " * ".join(real(a) for a in i.args), fixed
        case "subtract":
            return f"{real(i.args[0])} - {real(i.args[1])}", fixed
        case "divide":
            return f"{real(i.args[0])} / {real(i.args[1])}", fixed
        case "negate":
            return f"-{real(i.args[0])}", fixed
        case "square":
            return f"{real(i.args[0])} * {real(i.args[0])}", fixed
        case "power":
            assert i.number is not None
            x = real(i.args[0])
            simple = _SIMPLE_POWERS.get(Fraction(i.number)) if math.isfinite(float(i.number)) else None
            if simple is None:
                return _apply("pow", [x, spread(number_text(i.number, d.ctype))], d), fixed
            root = _apply("sqrt", [x], d) if "{sqrt}" in simple else ""
            return simple.format(x=x, sqrt=root), fixed
        case "compare":
            return f"{real(i.args[0])} {i.function} {real(i.args[1])}", fixed
        case "select":
            condition, yes, no = i.args
            if all(boolean[a] for a in (yes, no)):
                c = f"v{condition}"
                return (f"({c} & v{yes}) | (~{c} & v{no})" if d.vector else f"{c} ? v{yes} : v{no}"), fixed
            if d.vector:
                d.call("select")
                return f"vselect_{s}(v{condition}, {real(yes)}, {real(no)})", fixed
            return f"v{condition} ? {real(yes)} : {real(no)}", fixed
        case "finite_or_zero":
            return _apply("finite_or_zero", [real(i.args[0])], d), fixed
        case "call":
            return _apply(i.function, [real(a) for a in i.args], d), fixed
        case other:
            raise AssertionError(other)
