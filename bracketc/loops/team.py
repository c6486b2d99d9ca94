"""A kernel for several threads: which statement is divided how, and where all wait for each other.

Every thread runs all statements; of a divided one it runs its share of a loop or of a tile. No share changes how an
element is computed, and nothing that is divided is summed up across shares, so results have the same bits for every
number of threads.

    for n < N: a[n] = ...                 for n < N: a[n] = ...      (divided by n)
    for n < N: s += a[n]          ->      barrier
    for n < N: b[n] = s a[n]              alone: for n < N: s += a[n]
                                          barrier
                                          for n < N: b[n] = s a[n]   (divided by n)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bracketc.loops.kernel import (
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

FEW = 16
"""An axis that is known to be shorter is divided only where no other can be."""

Memory = Storage | int
"""What is written and read: a block of the caller, or a slot of the arena."""


def for_team(kernel: Kernel) -> Kernel:
    """``kernel`` with its statements divided among threads."""
    return replace(kernel, body=tuple(_Team().body(kernel.body)))


def reads(statement: Statement) -> Iterator[Storage]:
    """Storages that a statement reads."""
    match statement:
        case Nest():
            for reference in (*statement.loads, *(w.target for w in statement.writes)):
                for indirect in reference.address.indirect:
                    yield indirect.index.storage
            yield from (reference.storage for reference in statement.loads)
            yield from (w.target.storage for w in statement.writes if w.mode != "store" and not w.fresh)
        case Contraction():
            yield from (s for s in (statement.a.storage, statement.b.storage) if s.kind != "made")
            if statement.making is not None:
                yield from (operand.reference.storage for operand in statement.making.operands)
            if statement.accumulate:
                yield statement.c.storage
            if statement.epilogue is not None:
                yield from (operand.reference.storage for operand in statement.epilogue.operands)
        case Copy():
            yield statement.source
        case Combine():
            yield statement.partial
        case Collect():
            yield statement.parts
            if statement.add:
                yield statement.target
        case Factorise():
            yield from statement.args
        case Steps():
            yield from (storage.base for storage, _ in statement.carried if storage.base is not None)
            for inner in (*statement.body, *statement.finals):
                yield from reads(inner)
        case Alone() | Blocks() | Rows():
            for inner in statement.body:
                yield from reads(inner)
        case Fill() | Barrier():
            return


def writes(statement: Statement) -> Iterator[Storage]:
    """Storages that a statement writes."""
    match statement:
        case Nest():
            yield from (write.target.storage for write in statement.writes)
        case Contraction():
            yield statement.c.storage
            if statement.epilogue is not None:
                yield from (operand.reference.storage for operand, _ in statement.epilogue.stores)
                yield from (summed.target.reference.storage for summed in statement.epilogue.sums)
        case Fill() | Copy() | Factorise() | Combine() | Collect():
            yield statement.target
        case Steps():
            for inner in (*statement.body, *statement.finals):
                yield from writes(inner)
        case Blocks():
            yield from (partial for _, partial in statement.partials)
            for inner in statement.body:
                yield from writes(inner)
        case Alone() | Rows():
            for inner in statement.body:
                yield from writes(inner)
        case Barrier():
            return


@dataclass
class _Team:
    """What has been touched since all threads met: by how many threads, the first alone or all of them."""

    read: dict[Memory, bool] = field(default_factory=dict)
    written: dict[Memory, bool] = field(default_factory=dict)
    carried: dict[Storage, frozenset[Memory]] = field(default_factory=dict)

    def body(self, statements: Sequence[Statement]) -> Iterator[Statement]:
        alone: list[Statement] = []
        for statement in statements:
            shared = divided(statement)
            by_one = shared is None
            if self.conflicts(statement, by_one):
                yield from self.flush(alone)
                yield Barrier()
                self.read.clear()
                self.written.clear()
            if isinstance(statement, Steps):
                yield from self.flush(alone)
                yield self.steps(statement)
                continue
            self.note(statement, by_one)
            if shared is None:
                alone.append(statement)
            else:
                yield from self.flush(alone)
                yield shared
        yield from self.flush(alone)

    def flush(self, alone: list[Statement]) -> Iterator[Statement]:
        if alone:
            yield Alone(tuple(alone))
            alone.clear()

    def steps(self, statement: Steps) -> Steps:
        """The loop of a recurrence: all threads walk along it together, each with pointers of its own."""
        outer = dict(self.carried)
        for storage, _ in statement.carried:
            assert storage.base is not None
            self.carried[storage] = self.memory(storage.base)
        for _ in statement.carried:  # a state may become another one: as often as there are states
            for storage, after in statement.carried:
                self.carried[storage] |= self.memory(after)
        body = [*self.body(statement.body)]
        if self.read or self.written:  # the next step writes what this one reads
            body.append(Barrier())
        self.read.clear()
        self.written.clear()
        finals = tuple(replace(final, divided=True) for final in statement.finals)
        for final in finals:
            self.note(final, False)
        self.carried = outer
        return replace(statement, body=tuple(body), finals=finals)

    def conflicts(self, statement: Statement, by_one: bool) -> bool:
        """Whether another thread may still be reading or writing what the statement touches."""
        if isinstance(statement, Steps):
            return bool(self.read or self.written)
        touched = [m for s in reads(statement) for m in self.memory(s)]
        made = [m for s in writes(statement) for m in self.memory(s)]
        return any(m in self.written and not (by_one and self.written[m]) for m in (*touched, *made)) or any(
            m in self.read and not (by_one and self.read[m]) for m in made
        )

    def note(self, statement: Statement, by_one: bool) -> None:
        for found, storages in ((self.read, reads(statement)), (self.written, writes(statement))):
            for storage in storages:
                for memory in self.memory(storage):
                    found[memory] = found.get(memory, True) and by_one

    def memory(self, storage: Storage) -> frozenset[Memory]:
        """Where a storage may lie."""
        if storage in self.carried:
            return self.carried[storage]
        if storage.kind == "local":
            return frozenset()
        if storage.kind in ("moving", "cut"):
            assert storage.base is not None
            return self.memory(storage.base)
        return frozenset((storage.slot if storage.kind in ("arena", "ring", "partial") else storage,))


def divided(statement: Statement) -> Statement | None:
    """The statement as threads share it; ``None`` when one must run it alone."""
    match statement:
        case Nest():
            label = _divisible(statement)
            return None if label is None else replace(statement, divided=label)
        case Collect() if not statement.target.rank:
            return None  # one number
        case Contraction() | Copy() | Fill() | Blocks() | Combine() | Collect() | Rows():
            return replace(statement, divided=True)
        case Steps():
            return statement
        case _:
            return None


def _divisible(nest: Nest) -> int | None:
    """The outermost label of which every write has one element a position; rather not a short one."""
    if any(write.mode == "add" or write.target.address.indirect for write in nest.writes):
        return None
    found = [
        axis
        for axis in nest.axes
        if all(_carries(write.target, axis.label) for write in nest.writes) and axis.extent.constant != 1
    ]
    long = [axis for axis in found if axis.extent.constant is None or axis.extent.constant >= FEW]
    return next((axis.label for axis in (*long, *found)), None)


def _carries(target: Reference, label: int) -> bool:
    return target.address.stride(label).constant != 0


def statements_of(body: Iterable[Statement]) -> Iterator[Statement]:
    """All statements, those inside of loops after the loop."""
    for statement in body:
        yield statement
        if isinstance(statement, Steps | Alone | Blocks | Rows):
            yield from statements_of(statement.body)


