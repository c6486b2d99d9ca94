"""The loop IR as text, for ``--dump loops`` and for reading tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bracketc.loops.kernel import (
    Address,
    Alone,
    Barrier,
    Blocks,
    Collect,
    Combine,
    Contraction,
    Copy,
    EpilogueOperand,
    Factorise,
    Fill,
    Group,
    Kernel,
    Nest,
    Reference,
    Rows,
    Statement,
    Steps,
)
from bracketc.plan.schedule import Instruction


def show(kernel: Kernel) -> str:
    """The kernel, one statement a line, loops indented."""
    lines = [f"kernel {kernel.entry}"]
    for title, storages in (
        ("arguments", kernel.arguments),
        ("residuals", kernel.residuals),
        ("results", kernel.results),
    ):
        if storages:
            lines.append(f"  {title}: {', '.join(map(repr, storages))}")
    lines += [
        f"  slot {number}: {size} {dtype}"
        for number, (size, dtype) in enumerate(zip(kernel.slots, kernel.slot_dtypes, strict=True))
    ]
    lines += [f"  {line}" for line in _statements(kernel.body)]
    return "\n".join(lines) + "\n"


def _statements(body: Sequence[Statement]) -> Iterator[str]:
    for statement in body:
        bracket = getattr(statement, "bracket", "")
        if bracket:
            yield f"# {bracket}"
        match statement:
            case Fill():
                yield f"{statement.target.name}[*] = {statement.value}"
            case Copy():
                yield f"{statement.target.name}[*] = {statement.source.name}[*]"
            case Factorise():
                yield f"{statement.target.name} = {statement.operator}({', '.join(a.name for a in statement.args)})"
            case Nest():
                head = ", ".join(f"i{a.label} < {a.extent}" for a in statement.axes)
                kinds = ["vector"] if statement.vector else []
                kinds += [f"divided by i{statement.divided}"] if statement.divided >= 0 else []
                kinds += ["past the caches"] if statement.past else []
                notes = f" ({', '.join(kinds)})" if kinds else ""
                yield f"for {head or 'once'}{notes}:"
                loads = [_reference(r) for r in statement.loads]
                yield from (f"  {line}" for line in program(statement.program, loads))
                for write in statement.writes:
                    sign = "=" if write.mode == "store" else f"{'fresh ' if write.fresh else ''}{write.mode}="
                    yield f"  {_reference(write.target)} {sign} v{write.value}"
            case Contraction():
                batch = ", ".join(f"i{a.label} < {a.extent}" for a in statement.batch)
                sign = "+=" if statement.accumulate else "="
                a, b, c = (_reference(r) for r in (statement.a, statement.b, statement.c))
                groups = f"m {_group(statement.m)}  n {_group(statement.n)}  k {_group(statement.k)}"
                form = "" if statement.form == "tiles" else f" {statement.form}"
                head = f"contract{form} {batch + ': ' if batch else ''}"
                yield f"{head}{c} {sign} {statement.alpha} · {a} · {b}  {groups}"
                if statement.making is not None:
                    loads = [_operand(o) for o in statement.making.operands]
                    yield from (f"  {line}" for line in program(statement.making.program, loads))
                    yield f"  {statement.made.storage.name}[i, j] = v{statement.making.value}"
                if statement.epilogue is not None:
                    loads = [_operand(o) for o in statement.epilogue.operands]
                    yield from (f"  {line}" for line in program(statement.epilogue.program, loads))
                    yield f"  tile = v{statement.epilogue.value}"
                    yield from (f"  {_operand(o)} = v{value}" for o, value in statement.epilogue.stores)
                    yield from (f"  {_operand(s.target)} = sum {s.over} v{s.value}" for s in statement.epilogue.sums)
            case Rows():
                yield f"some of {statement.extent} rows at a time{' (divided)' if statement.divided else ''}:"
                yield from (f"  {line}" for line in _statements(statement.body))
            case Alone():
                yield "alone:"
                yield from (f"  {line}" for line in _statements(statement.body))
            case Barrier():
                yield "barrier"
            case Blocks():
                yield f"blocks of {statement.extent}, {statement.piece} at a time:"
                yield from (f"  {line}" for line in _statements(statement.body))
            case Combine():
                yield f"{statement.target.name}[*] = {statement.mode} of {statement.partial.name}[{statement.groups}, *]"
            case Collect():
                yield f"{statement.target.name}[*] {'+' if statement.add else ''}= lines of {statement.parts.name}[*, *]"
            case Steps():
                yield f"steps t < {statement.length}{' reversed' if statement.reverse else ''}:"
                yield from (f"  {line}" for line in _statements(statement.body))
                yield from (f"  next {a.name} = {b.name}" for a, b in statement.carried)
                yield from _statements(statement.finals)


def program(instructions: Sequence[Instruction], loads: Sequence[str]) -> Iterator[str]:
    """A scalar program, one instruction a line: ``v2 = multiply v0 v1``."""
    for number, i in enumerate(instructions):
        words = [i.function or i.operation, *(f"v{a}" for a in i.args)]
        if i.operation == "load":
            words = [loads[i.operand]]
        if i.number is not None:
            words.append(str(i.number))
        if i.dim is not None:
            words.append(str(i.dim))
        words += [f"i{label}" for label in (i.label, i.label2) if label >= 0]
        yield f"v{number} = {' '.join(words)}"


def _reference(reference: Reference) -> str:
    return f"{reference.storage.name}[{_address(reference.address)}]"


def _address(address: Address) -> str:
    parts = [] if address.offset.constant == 0 and (address.terms or address.indirect) else [str(address.offset)]
    for label, stride in address.terms:
        parts.append(f"i{label}" if stride.constant == 1 else f"({stride}) i{label}")
    parts += [f"({i.stride}) {_reference(i.index)}" for i in address.indirect]
    return " + ".join(parts)


def _operand(operand: EpilogueOperand) -> str:
    start = f"{operand.reference.storage.name}[{_address(operand.reference.address)}"
    return f"{start} + ({operand.row}) i + ({operand.column}) j]"


def _group(group: Group) -> str:
    items = (
        f"{extent}:{'/'.join(map(str, strides))}" for extent, strides in zip(group.extents, group.strides, strict=True)
    )
    return f"({', '.join(items)})"
