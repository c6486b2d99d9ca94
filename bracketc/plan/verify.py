"""Checks every invariant that :mod:`bracketc.plan.schedule` states; run after planning in tests and under
``BRACKETC_VERIFY=1``.

>>> verify(plan.schedule("evaluate"))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bracketc.ir.dims import Dim
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.nodes import DType, Labels, Shape
from bracketc.plan.notation import bracket
from bracketc.plan.schedule import (
    Access,
    Blocks,
    Buffer,
    Contract,
    Factorise,
    Gather,
    Instruction,
    Join,
    Loop,
    Map,
    Place,
    Scatter,
    Schedule,
    Step,
    Store,
    Take,
)
from bracketc.plan.steps import reads, writes

_ARITY = {
    "subtract": 2,
    "divide": 2,
    "negate": 1,
    "square": 1,
    "power": 1,
    "compare": 2,
    "select": 3,
    "finite_or_zero": 1,
}


def verify(schedule: Schedule) -> None:
    """Raises ``AssertionError`` with the offending record."""
    assert schedule.variants and not schedule.variants[-1].guard, f"{schedule.entry}: no unguarded variant"
    outputs = [buffer for _, buffer in schedule.results]
    assert len(set(outputs)) == len(outputs), f"{schedule.entry}: two results share a buffer"
    assert not set(outputs) & {*schedule.arguments, *schedule.residuals}, f"{schedule.entry}: a result is an argument"
    for variant in schedule.variants:
        made = {buffer for step in variant.steps for buffer in writes(step)}
        given = [*schedule.arguments, *(buffer for buffer in schedule.residuals if buffer not in made)]
        known = set(given)
        names = {buffer.name: buffer for buffer in given}
        assert len(names) == len(given), f"{schedule.entry}: two arguments of one name"
        _steps(variant.steps, known, names)
        for buffer in outputs:
            assert buffer in made, f"{schedule.entry}: nothing writes {buffer}"


def verify_steps(steps: Sequence[Step], given: Iterable[Buffer]) -> None:
    """Check records alone, with the buffers that are there before them."""
    given = tuple(given)
    _steps(steps, set(given), {buffer.name: buffer for buffer in given})


def _steps(steps: Sequence[Step], known: set[Buffer], names: dict[str, Buffer]) -> None:
    for step in steps:
        text = bracket(step)
        for buffer in reads(step):
            assert buffer in known, f"{text}: {buffer} is read before it is written"
        if isinstance(step, Loop):
            _loop(step, known, names, text)
        elif isinstance(step, Blocks):
            _blocks(step, known, names, text)
        else:
            _record(step, text)
        for buffer in writes(step):
            assert buffer not in known, f"{text}: {buffer} is written twice"
            assert names.setdefault(buffer.name, buffer) is buffer, f"{text}: two buffers are called {buffer.name}"
            known.add(buffer)


def _record(step: Step, text: str) -> None:
    match step:
        case Map():
            assert len(set(step.labels)) == len(step.labels), f"{text}: a label stands twice"
            _program(step, step.labels, text, accumulates=False)
        case Contract():
            _contract(step, text)
        case Take():
            source = step.source.shape
            expected = (*source[: step.axis], *step.extents, *source[step.axis + 1 :])
            assert step.target.shape == expected and len(step.steps) == len(step.extents), f"{text}: shapes differ"
            assert step.target.dtype == step.source.dtype, f"{text}: dtypes differ"
        case Place():
            source, target = step.source.shape, step.target.shape
            left = (*source[: step.axis], *source[step.axis + len(step.steps) :])
            assert left == (*target[: step.axis], *target[step.axis + 1 :]), f"{text}: shapes differ"
        case Gather():
            assert step.index.dtype == "integer", f"{text}: labels are not integers"
            assert step.target.shape == (*step.index.shape, *step.source.shape[1:]), f"{text}: shapes differ"
        case Scatter():
            assert step.index.dtype == "integer", f"{text}: labels are not integers"
            assert step.source.shape == (*step.index.shape, *step.target.shape[1:]), f"{text}: shapes differ"
        case Join():
            assert all(source.shape == step.target.shape[1:] for source in step.sources), f"{text}: shapes differ"
            assert step.target.shape[0].constant == len(step.sources), f"{text}: as many terms as the axis is long"
        case Factorise():
            matrix = step.args[0].shape
            rows = matrix[-1] + 1 if step.operator.startswith("lu_") else matrix[-1]
            assert len(matrix) >= 2 and matrix[-2] is rows, f"{text}: not a square matrix"
        case Loop() | Blocks():
            raise AssertionError("loops are checked apart")


def _contract(step: Contract, text: str) -> None:
    output = set(step.output)
    assert len(output) == len(step.output), f"{text}: a label stands twice in the output"
    assert step.products, f"{text}: no product"
    for product in step.products:
        left, right = set(product.left.labels), set(product.right.labels)
        for access in (product.left, product.right):
            _access(access, step.extents, text)
            assert access.buffer.dtype == "real", f"{text}: {access.buffer} is not real"
        assert output <= left | right, f"{text}: a label of the output that a product does not carry"
        summed = (left | right) - output
        assert summed <= left & right, f"{text}: a label is summed that one factor alone carries"
        assert summed or not left & right, f"{text}: an element-wise product"
    _program(step, step.output, text, accumulates=True)


def _access(access: Access, extents: Shape, text: str) -> None:
    assert len(access.labels) == access.buffer.rank, f"{text}: {access.buffer} under {len(access.labels)} labels"
    for label, extent in zip(access.labels, access.buffer.shape, strict=True):
        assert _same(extents[label], extent), f"{text}: {access.buffer} under a label of size {extents[label]}"


def _same(left: Dim, right: Dim) -> bool:
    return left is right


def _program(step: Map | Contract, labels: Labels, text: str, *, accumulates: bool) -> None:
    for access in step.operands:
        _access(access, step.extents, text)
        assert set(access.labels) <= set(labels), f"{text}: an operand under a label that the pass does not walk"
    dtypes: list[DType] = []
    for number, instruction in enumerate(step.program):
        dtypes.append(_instruction(instruction, number, step, labels, dtypes, text, accumulates))
    assert step.stores, f"{text}: stores nothing"
    for store in step.stores:
        _stored(store, step, labels, dtypes, text)


def _instruction(
    instruction: Instruction,
    number: int,
    step: Map | Contract,
    labels: Labels,
    dtypes: list[DType],
    text: str,
    accumulates: bool,
) -> DType:
    """Check one instruction; gives the dtype of its value."""
    args = instruction.args
    assert all(0 <= arg < number for arg in args), f"{text}: instruction {number} uses a later one"
    match instruction.operation:
        case "load":
            return step.operands[instruction.operand].buffer.dtype
        case "accumulator":
            assert accumulates, f"{text}: an accumulator without products"
        case "constant":
            assert instruction.number is not None, f"{text}: a constant without a number"
        case "size":
            assert instruction.dim is not None, f"{text}: a size without a polynomial"
        case "index":
            assert instruction.label in labels, f"{text}: the index of no label"
        case "delta":
            assert {instruction.label, instruction.label2} <= set(labels), f"{text}: a delta of no label"
        case "add" | "multiply":
            assert len(args) >= 2, f"{text}: {instruction.operation} of {len(args)}"
        case "call":
            function = FUNCTIONS.get(instruction.function)
            assert function is not None and function.arity == len(args), f"{text}: no function {instruction.function}"
        case operation:
            assert _ARITY.get(operation) == len(args), f"{text}: {operation} of {len(args)}"
    if instruction.operation == "compare":
        return "boolean"
    if instruction.operation == "select":
        assert dtypes[args[0]] == "boolean", f"{text}: a condition that is not boolean"
        return dtypes[args[1]]
    return "real"


def _stored(store: Store, step: Map | Contract, labels: Labels, dtypes: list[DType], text: str) -> None:
    target = store.target
    assert len(set(store.labels)) == len(store.labels), f"{text}: {target} stored under a label twice"
    assert set(store.labels) <= set(labels), f"{text}: {target} stored under a foreign label"
    shape = tuple(step.extents[label] for label in store.labels)
    assert shape == target.shape, f"{text}: {target} stored under labels of other sizes"
    if store.mode == "store":
        assert len(store.labels) == len(labels), f"{text}: {target} written more than once"
    if isinstance(step, Contract):
        assert store.mode in ("store", "sum"), f"{text}: an epilogue that takes the {store.mode}"
    assert dtypes[store.value] == target.dtype, f"{text}: {target.dtype} {target} from a {dtypes[store.value]} value"


def _loop(step: Loop, known: set[Buffer], names: dict[str, Buffer], text: str) -> None:
    inside = set(known)
    inner_names = dict(names)
    entering = [*(carry.before for carry in step.carries), *(inner for inner, _ in step.slices)]
    for buffer in entering:
        assert buffer not in inside, f"{text}: {buffer} is there already"
        assert inner_names.setdefault(buffer.name, buffer) is buffer, f"{text}: two buffers are called {buffer.name}"
        inside.add(buffer)
    for inner, outer in step.slices:
        assert outer.shape == (step.length, *inner.shape), f"{text}: {inner} is no slice of {outer}"
    _steps(step.steps, inside, inner_names)
    made = {buffer for inner_step in step.steps for buffer in writes(inner_step)}
    states = {carry.before for carry in step.carries}
    afters = [carry.after for carry in step.carries]
    assert len(set(afters)) == len(afters), f"{text}: two states from one buffer"
    for carry in step.carries:
        assert carry.after in made or carry.after in states, f"{text}: no step makes {carry.after}"
        assert carry.after is not carry.before, f"{text}: {carry.before} never changes"
        for buffer in (carry.after, carry.initial, *(() if carry.final is None else (carry.final,))):
            assert buffer.shape == carry.before.shape, f"{text}: {buffer} and {carry.before} differ in shape"
    for inner, outer in step.stacks:
        assert inner in made or inner in states, f"{text}: no step makes {inner}"
        assert outer.shape == (step.length, *inner.shape), f"{text}: {inner} is no slice of {outer}"


def _blocks(step: Blocks, known: set[Buffer], names: dict[str, Buffer], text: str) -> None:
    inside, inner_names = set(known), dict(names)
    assert step.extent is not step.piece and step.unit > 0 and step.groups > 0, f"{text}: no blocks"
    for inner, outer, axis in step.slices:
        assert inner not in inside, f"{text}: {inner} is there already"
        assert inner_names.setdefault(inner.name, inner) is inner, f"{text}: two buffers are called {inner.name}"
        _piece(step, inner, outer, axis, text)
        inside.add(inner)
    _steps(step.steps, inside, inner_names)
    made = {buffer for inner_step in step.steps for buffer in writes(inner_step)}
    for inner, outer, axis in step.stacks:
        assert inner in made, f"{text}: no step makes {inner}"
        _piece(step, inner, outer, axis, text)
    for inner, outer, _ in step.sums:
        assert inner in made, f"{text}: no step makes {inner}"
        assert inner.shape == outer.shape and inner.dtype == outer.dtype, f"{text}: {inner} is no part of {outer}"
        assert all(step.piece.names[0] not in extent.names for extent in inner.shape), f"{text}: {inner} is not summed"


def _piece(step: Blocks, inner: Buffer, outer: Buffer, axis: int, text: str) -> None:
    assert outer.shape[axis] is step.extent and inner.dtype == outer.dtype, f"{text}: {outer} is not cut on axis {axis}"
    shape = (*outer.shape[:axis], step.piece, *outer.shape[axis + 1 :])
    assert inner.shape == shape, f"{text}: {inner} is no piece of {outer}"
