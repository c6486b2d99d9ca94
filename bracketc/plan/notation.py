"""Records in index notation with the names of the source: what ``--dump plan`` prints and emitted code carries as
comments.

    Z1_nh = tanh((X_nd W1_dh | nh) + b1_h)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from bracketc.ir.nodes import Labels, Number
from bracketc.plan.schedule import (
    Access,
    Blocks,
    Contract,
    Factorise,
    Gather,
    Instruction,
    Join,
    Loop,
    Map,
    Place,
    Scatter,
    Step,
    Take,
)
from bracketc.plan.steps import accesses

MAX_TEXT = 120
"""A longer expression is cut: it is a comment, not code."""

Names = Mapping[int, str]
_LETTERS = "ijklmnpqrstuvwxyzabcdefgho"


def label_names(step: Map | Contract) -> dict[int, str]:
    """A letter a label: the one of its size where that is free (N: n), else i, j, k, …"""
    labels = step.labels if isinstance(step, Map) else step.output
    order = dict.fromkeys((*labels, *(label for access in accesses(step) for label in access.labels)))
    names: dict[int, str] = {}
    taken: set[str] = set()
    for label in order:
        size = step.extents[label].names
        wish = size[0][0].lower() if size else ""
        if len(wish) != 1 or not wish.isalpha() or wish in taken:
            wish = next((letter for letter in _LETTERS if letter not in taken), f"l{len(taken)}")
        taken.add(wish)
        names[label] = wish
    return names


def access_text(access: Access, names: Names) -> str:
    """``X_nd``; a scalar stands alone."""
    return indexed(access.buffer.name, access.labels, names)


def indexed(name: str, labels: Labels, names: Names) -> str:
    return name + ("_" + "".join(names[label] for label in labels) if labels else "")


def contraction_text(step: Contract, names: Names) -> str:
    """``(X_nd W_dh | nh)``, or a sum of such brackets."""
    output = "".join(names[label] for label in step.output)
    terms = []
    for product in step.products:
        factor = "" if product.coefficient == 1 else f"{number_text(product.coefficient)} "
        left, right = access_text(product.left, names), access_text(product.right, names)
        terms.append(f"({factor}{left} {right} | {output})")
    return " + ".join(terms)


def number_text(number: Number) -> str:
    """``2``, ``1/2`` or ``0.1``."""
    if isinstance(number, Fraction):
        return str(number)
    return repr(int(number)) if abs(number) < 1e6 and number == int(number) else repr(number)


# Binding strength of a text: what stands inside of a stronger operator gets parentheses.
_SUM, _PRODUCT, _UNARY, _ATOM = 1, 2, 3, 4


def expressions(step: Map | Contract, names: Names, accumulator: str = "acc") -> list[str]:
    """One text an instruction. What a store writes entry by entry is called by that name in other texts."""
    stored: dict[int, str] = {}
    for store in step.stores:
        if store.mode == "store":
            stored.setdefault(store.value, indexed(store.target.name, store.labels, names))
    texts: list[str] = []
    inside: list[tuple[str, int]] = []
    for number, instruction in enumerate(step.program):
        # a broken program is shown, too: the verifier prints it
        args = [inside[arg] if 0 <= arg < number else (f"#{arg}", _ATOM) for arg in instruction.args]
        text, strength = _text(instruction, args, step, names, accumulator)
        if len(text) > 4 * MAX_TEXT:
            text = text[: 4 * MAX_TEXT] + "…"
        texts.append(text)
        known = stored.get(number)
        atom = instruction.operation in ("load", "constant", "size", "index", "delta")
        inside.append((text, strength) if known is None or atom else (known, _ATOM))
    return texts


def _text(
    instruction: Instruction, args: list[tuple[str, int]], step: Map | Contract, names: Names, accumulator: str
) -> tuple[str, int]:
    def at(place: int, least: int) -> str:
        text, strength = args[place]
        return text if strength >= least else f"({text})"

    match instruction.operation:
        case "load":
            return access_text(step.operands[instruction.operand], names), _ATOM
        case "accumulator":
            return accumulator, _ATOM if accumulator.count("(") <= 1 else _SUM
        case "constant":
            assert instruction.number is not None
            text = number_text(instruction.number)
            return text, _ATOM if text.replace(".", "").isalnum() else _SUM
        case "size":
            text = str(instruction.dim)
            return text, _ATOM if text.isalnum() else _SUM
        case "index":
            return names[instruction.label], _ATOM
        case "delta":
            return f"δ_{names[instruction.label]}{names[instruction.label2]}", _ATOM
        case "add":
            return " + ".join(at(k, _SUM) for k in range(len(args))), _SUM
        case "subtract":
            return f"{at(0, _SUM)} - {at(1, _PRODUCT)}", _SUM
        case "multiply":
            return " ".join(at(k, _UNARY) for k in range(len(args))), _PRODUCT
        case "divide":
            return f"{at(0, _PRODUCT)} / {at(1, _ATOM)}", _PRODUCT
        case "negate":
            return f"-{at(0, _PRODUCT)}", _SUM
        case "square":
            return f"{at(0, _ATOM)}²", _UNARY
        case "power":
            return _power_text(instruction, args), _UNARY if instruction.number != -1 else _PRODUCT
        case "compare":
            return f"{at(0, _SUM)} {instruction.function} {at(1, _SUM)}", 0
        case "select":
            return f"where({', '.join(text for text, _ in args)})", _ATOM
        case operation:
            return f"{instruction.function or operation}({', '.join(text for text, _ in args)})", _ATOM


def _power_text(instruction: Instruction, args: list[tuple[str, int]]) -> str:
    text, strength = args[0]
    assert instruction.number is not None
    base = text if strength >= _ATOM else f"({text})"
    if instruction.number == Fraction(1, 2):
        return f"sqrt({text})"
    if instruction.number == -1:
        return f"1 / {base}"
    return f"{base}**{number_text(instruction.number)}"


def statements(step: Map | Contract, names: Names, accumulator: str) -> list[str]:
    """One line a store: ``b_h = sum(G_nh)``. A value that was stored entry by entry is called by that name from then
    on."""
    texts = expressions(step, names, accumulator)
    lines = []
    for store in step.stores:
        target, text = indexed(store.target.name, store.labels, names), texts[store.value]
        if len(text) > MAX_TEXT:
            text = text[:MAX_TEXT] + "…"
        lines.append(f"{target} = {text}" if store.mode == "store" else f"{target} = {store.mode}({text})")
        if store.mode == "store":
            texts[store.value] = target
    return lines


def bracket(step: Step) -> str:
    """What a step computes, in a line: statements joined by ``;``."""
    match step:
        case Map() | Contract():
            names = label_names(step)
            text = contraction_text(step, names) if isinstance(step, Contract) else ""
            return "; ".join(statements(step, names, text))
        case Take():
            return f"{step.target.name} = {step.source.name}[{_axes(step.axis, step.offset, step.steps)}]"
        case Place():
            return f"{step.target.name}[{_axes(step.axis, step.offset, step.steps)}] += {step.source.name}"
        case Gather():
            return f"{step.target.name} = {step.source.name}[{step.index.name}]"
        case Scatter():
            return f"{step.target.name}[{step.index.name}] += {step.source.name}"
        case Join():
            return f"{step.target.name} = stack({', '.join(source.name for source in step.sources)})"
        case Factorise():
            return f"{step.target.name} = {step.operator}({', '.join(arg.name for arg in step.args)})"
        case Loop():
            states = ", ".join(carry.after.name for carry in step.carries)
            return f"for t = {f'{step.length}..1' if step.reverse else f'1..{step.length}'}: {states}"
        case Blocks():
            made = [outer.name for _, outer, _ in (*step.stacks, *step.sums)]
            return f"for blocks of {step.extent}: {', '.join(made)}"


def _axes(axis: int, offset: object, steps: tuple[int, ...]) -> str:
    terms = [str(offset), *(f"{stride} l{k + 1}" if stride != 1 else f"l{k + 1}" for k, stride in enumerate(steps))]
    if terms[0] == "0" and len(terms) > 1:
        terms = terms[1:]
    return ":, " * axis + " + ".join(terms)


def with_brackets(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """``steps``, those inside of loops too, each with the bracket that it computes."""
    named: list[Step] = []
    for step in steps:
        if isinstance(step, Loop | Blocks):
            step = replace(step, steps=with_brackets(step.steps))
        named.append(replace(step, bracket=bracket(step)))
    return tuple(named)
