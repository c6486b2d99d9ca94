"""What must hold of a kernel; the first violation is raised with the statement printed.

Addresses use the labels of their loops only, programs refer backwards, nothing given is written but results and
residuals, a vector label is walked with stride 0 or 1, and a reduction in a register runs over the innermost loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bracketc.loops.kernel import (
    COLUMN,
    NEUTRAL,
    ROW,
    Alone,
    Barrier,
    Blocks,
    Collect,
    Combine,
    Contraction,
    Copy,
    Factorise,
    Fill,
    Kernel,
    Nest,
    Reference,
    Rows,
    Statement,
    Steps,
    Storage,
)
from bracketc.plan.schedule import Instruction


class LoopError(AssertionError):
    """A kernel that breaks a rule of the loop IR."""


def verify(kernel: Kernel) -> None:
    """Raise :class:`LoopError` where ``kernel`` is not well formed."""
    known = {*kernel.arguments, *kernel.residuals, *kernel.results}
    _statements(kernel.body, kernel, known)


def _require(holds: bool, what: str, statement: object) -> None:
    if not holds:
        raise LoopError(f"{what}: {statement}")


def _statements(body: Sequence[Statement], kernel: Kernel, known: set[Storage]) -> None:
    for statement in body:
        match statement:
            case Nest():
                _nest(statement, kernel, known)
            case Rows():
                for nest in statement.body:
                    _nest(nest, kernel, known)
                    _require(bool(nest.axes) and nest.axes[0].extent is statement.extent, "other rows", nest)
                    never = any(axis.extent.constant == 0 for axis in nest.axes)
                    for write in nest.writes:
                        own = write.target.address.stride(nest.axes[0].label).constant != 0
                        _require(own or never, "an element of more than one row", nest)
            case Fill():
                _writable(statement.target, kernel, known, statement)
                _require(statement.target.is_dense, "elements that lie apart", statement)
            case Copy():
                _readable(statement.source, kernel, known, statement)
                _writable(statement.target, kernel, known, statement)
                _require(statement.source.size is statement.target.size, "a copy to another size", statement)
                _require(statement.source.is_dense and statement.target.is_dense, "elements that lie apart", statement)
            case Factorise():
                for argument in statement.args:
                    _readable(argument, kernel, known, statement)
                _writable(statement.target, kernel, known, statement)
            case Contraction():
                _contraction(statement, kernel, known)
            case Alone():
                _statements(statement.body, kernel, known)
            case Blocks():
                partials = [partial for _, partial in statement.partials]
                for partial in partials:
                    _require(0 <= partial.slot < len(kernel.slots), "no such slot", partial)
                for cut in statement.cuts:
                    _require(cut.base is not None and cut.stride is not None, "no base to cut", cut)
                _statements(statement.body, kernel, {*known, *statement.cuts, *partials})
            case Combine():
                _writable(statement.target, kernel, known, statement)
                _require(statement.partial.size is statement.target.size, "parts of another size", statement)
            case Collect():
                _readable(statement.parts, kernel, known, statement)
                _writable(statement.target, kernel, known, statement)
                lines = statement.parts.shape[1:]
                _require(not statement.target.rank or lines == (statement.target.size,), "lines of another size", statement)
            case Barrier():
                pass
            case Steps():
                inner = {*known, *statement.moving, *statement.rings, *(carried for carried, _ in statement.carried)}
                for moving in statement.moving:
                    _require(moving.base is not None and moving.stride is not None, "no base to walk over", moving)
                _statements(statement.body, kernel, inner)
                for final in statement.finals:
                    _writable(final.target, kernel, known, statement)


def _readable(storage: Storage, kernel: Kernel, known: set[Storage], statement: object) -> None:
    if storage.kind == "arena":
        _require(0 <= storage.slot < len(kernel.slots), "no such slot", statement)
    elif storage.kind == "local":
        _require(0 <= storage.slot < len(kernel.local_slots), "no such slot", statement)
    else:
        _require(storage in known, f"{storage!r} is not in reach", statement)


def _writable(storage: Storage, kernel: Kernel, known: set[Storage], statement: object) -> None:
    _readable(storage, kernel, known, statement)
    base = storage
    while base.kind in ("moving", "cut") and base.base is not None:
        base = base.base
    given = base.kind in ("argument", "carried") or (base.kind == "residual" and kernel.entry == "backward")
    _require(not given, f"{storage!r} is read only", statement)


def _program(program: Sequence[Instruction], loads: int, labels: Iterable[int], statement: object) -> None:
    reach = set(labels)
    for number, i in enumerate(program):
        _require(all(0 <= a < number for a in i.args), f"v{number} refers forwards", statement)
        _require(i.operation != "load" or 0 <= i.operand < loads, f"v{number} loads nothing", statement)
        if i.operation in ("index", "delta"):
            used = {i.label} if i.operation == "index" else {i.label, i.label2}
            _require(used <= reach, f"v{number} uses a label from elsewhere", statement)


def _address(reference: Reference, labels: Iterable[int], statement: object) -> None:
    reach = set(labels)
    _require({label for label, _ in reference.address.terms} <= reach, "a label from elsewhere", statement)
    for indirect in reference.address.indirect:
        _require(indirect.index.storage.dtype == "integer", "a label that is no integer", statement)
        _address(indirect.index, reach, statement)


def _nest(nest: Nest, kernel: Kernel, known: set[Storage]) -> None:
    labels = [axis.label for axis in nest.axes]
    _require(len(set(labels)) == len(labels), "a label twice", nest)
    _program(nest.program, len(nest.loads), labels, nest)
    for reference in nest.loads:
        _readable(reference.storage, kernel, known, nest)
        _address(reference, labels, nest)
    for write in nest.writes:
        _require(0 <= write.value < len(nest.program), "a write of nothing", nest)
        _writable(write.target.storage, kernel, known, nest)
        _address(write.target, labels, nest)
        if write.fresh:
            reduced = [write.target.address.stride(label).constant == 0 for label in labels]
            _require(write.mode in NEUTRAL, f"{write.mode} reduces nothing", nest)
            _require(reduced == sorted(reduced), "a register that loops inside it outlive", nest)
    if nest.divided >= 0:
        _require(nest.divided in labels, "a division of no loop", nest)
        for write in nest.writes:
            own = write.mode != "add" and write.target.address.stride(nest.divided).constant != 0
            _require(own, "an element that two threads write", nest)
    if nest.past:
        _require(nest.vector and all(write.mode == "store" for write in nest.writes), "a sum past the caches", nest)
    if nest.vector:
        _require(bool(labels), "a vector nest without a label", nest)
        for reference in (*nest.loads, *(write.target for write in nest.writes)):
            stride = reference.address.stride(labels[-1]).constant
            _require(stride in (0, 1), "a vector label with a stride", nest)
            _require(reference.storage.dtype == "real", "a vector of what is not real", nest)
        for write in nest.writes:
            repeated = write.mode in ("store", "add") and write.target.address.stride(labels[-1]).constant == 0
            _require(not repeated, "lanes that are stored to one place", nest)


def _contraction(statement: Contraction, kernel: Kernel, known: set[Storage]) -> None:
    labels = [axis.label for axis in statement.batch]
    for reference in (statement.a, statement.b):
        if reference.storage.kind != "made":
            _readable(reference.storage, kernel, known, statement)
        _address(reference, labels, statement)
    _writable(statement.c.storage, kernel, known, statement)
    made = [statement.a.storage.kind == "made", statement.b.storage.kind == "made"]
    _require(sum(made) == (statement.making is not None), "a factor that nobody makes", statement)
    if statement.making is not None:
        forms = ("symmetric", "tiles") if made[0] else ("tiles",)
        _require(statement.form in forms and not statement.batch, "a factor made for another form", statement)
        groups = (statement.m if made[0] else statement.n, statement.k)
        _require(all(len(group.extents) <= 1 for group in groups), "a factor made of grouped labels", statement)
        _program(statement.making.program, len(statement.making.operands), (), statement)
        for operand in statement.making.operands:
            _readable(operand.reference.storage, kernel, known, statement)
    for group in (statement.m, statement.n, statement.k):
        _require(len(group.extents) == len(group.strides), "a group without strides", statement)
        _require(all(len(strides) == 2 for strides in group.strides), "a group of other operands", statement)
    epilogue = statement.epilogue
    if statement.form not in ("tiles", "symmetric"):
        _require(epilogue is None, "an epilogue without a tile", statement)
        _require(bool(labels), "no batch label", statement)
    if statement.form == "lanes":
        for reference in (statement.a, statement.b, statement.c):
            _require(reference.address.stride(labels[-1]).constant == 1, "lanes with a stride", statement)
    if epilogue is not None:
        _program(epilogue.program, len(epilogue.operands), (ROW, COLUMN), statement)
        _require(statement.form == "tiles" or not epilogue.sums, "sums over half of the tiles", statement)
        for summed in epilogue.sums:
            _require(0 <= summed.value < len(epilogue.program), "a sum of nothing", statement)
            _writable(summed.target.reference.storage, kernel, known, statement)
            once = summed.over == "across" or not labels
            _require(once, "sums over the rows of more than one product", statement)
        for operand in epilogue.operands:
            _readable(operand.reference.storage, kernel, known, statement)
        for operand, _ in epilogue.stores:
            _writable(operand.reference.storage, kernel, known, statement)
