"""A schedule as the body of a NumPy function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bracketc.emit import expressions as ex
from bracketc.emit.layout import WIDTH, definition, wrapped
from bracketc.emit.names import Scope
from bracketc.emit.numpy_linalg import linalg_expression
from bracketc.emit.numpy_record import record_lines
from bracketc.emit.numpy_strips import Strips, in_strips, reads_of, strips_block, writes_of
from bracketc.emit.numpy_values import Surroundings, Target
from bracketc.emit.views import BlockView, KernelView, LoopView, VariantView
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import BOOLEAN, INTEGER, REAL
from bracketc.plan.schedule import (
    Buffer,
    Contract,
    Factorise,
    Gather,
    Join,
    Loop,
    Map,
    Place,
    Scatter,
    Schedule,
    Step,
    Take,
)
from bracketc.plan.steps import writes

RESERVED = (
    *("np", "range", "reversed", "len", "float", "int", "True", "False", "None"),
    *("evaluate", "forward", "backward", "value_and_grad"),
)

_DTYPES = {REAL: "_REAL", INTEGER: "np.int64", BOOLEAN: "np.bool_"}


@dataclass(slots=True)
class _Function:
    """State of one kernel function while it is written."""

    scope: Scope
    sizes: Mapping[str, str]
    helpers: dict[str, None]
    silent: bool = False
    variables: dict[Buffer, Target] = field(default_factory=dict)
    read: dict[Buffer, None] = field(default_factory=dict)
    used_sizes: dict[str, None] = field(default_factory=dict)

    def size(self, dim: Dim) -> str:
        for name in dim.names:
            self.used_sizes.setdefault(name)
        return ex.size(dim, self.sizes).text

    def size_with(self, dim: Dim, names: Mapping[str, str]) -> str:
        """A size some of whose parts have names of their own."""
        for name in dim.names:
            if name not in names:
                self.used_sizes.setdefault(name)
        return ex.size(dim, {**self.sizes, **names}).text

    def variable(self, buffer: Buffer) -> str:
        self.read.setdefault(buffer)
        return self.variables[buffer].name

    def target(self, buffer: Buffer) -> Target:
        """The variable of a buffer that is written; made on first demand."""
        found = self.variables.get(buffer)
        if found is None:
            found = Target(self.scope.fresh(buffer.name), False, buffer.rank)
            self.variables[buffer] = found
        return found


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel function, and what its caller passes: sizes, then arguments, residuals read, results to fill."""

    view: KernelView
    sizes: tuple[str, ...]
    arguments: tuple[Buffer, ...]
    residuals: tuple[Buffer, ...]


def numpy_kernel(
    schedule: Schedule, sizes: Mapping[str, str], helpers: dict[str, None], on_singular: str = "raise"
) -> Kernel:
    """The function of one entry.

    ``sizes`` are the Python names of named sizes; ``helpers`` collects the helper functions that are used. ``on_singular``
    says whether a matrix without a result is an error or gives NaN. Results arrive as arrays to fill; ``forward`` returns its
    residuals, ``backward`` gets them.
    """
    scope = Scope((*RESERVED, *sizes.values()))
    function = _Function(scope, sizes, helpers, on_singular == "nan")
    results = tuple(buffer for _, buffer in schedule.results)
    reads_residuals = schedule.entry == "backward"
    given = (*schedule.arguments, *(schedule.residuals if reads_residuals else ()))
    for buffer in given:
        function.variables[buffer] = Target(scope.fresh(buffer.name), True, buffer.rank)
    taken = {function.variables[buffer].name for buffer in given}
    for buffer in results:
        name = buffer.name if buffer.name not in taken else f"grad_{buffer.name}"
        function.variables[buffer] = Target(scope.fresh(name), True, buffer.rank)
    kept = {*given, *results, *schedule.residuals}
    base = dict(function.variables)
    variants = []
    for variant in schedule.variants:
        function.variables = dict(base)
        blocks = _blocks(in_strips(schedule, variant.steps), function, kept)
        guard = " and ".join(f"{function.size(dim)} >= {least}" for dim, least in variant.guard)
        variants.append(VariantView(guard, blocks))
    returns = ""
    if schedule.residuals and not reads_residuals:
        # A result belongs to the caller, who may write to it: backward keeps a copy.
        texts = [
            f"{function.variables[b].name}.copy()" if b in results else function.variables[b].name
            for b in schedule.residuals
        ]
        returns = ex.tuple_of(texts)
    used = tuple(name for name in sizes if name in function.used_sizes)
    arguments = tuple(b for b in schedule.arguments if b in function.read)
    residuals = tuple(b for b in schedule.residuals if b in function.read) if reads_residuals else ()
    parameters = (
        *(sizes[name] for name in used),
        *(base[b].name for b in (*arguments, *residuals)),
        *(base[b].name for b in results),
    )
    name = f"_{schedule.entry}_kernel"
    view = KernelView(name, definition(name, parameters), tuple(variants), returns)
    return Kernel(view, used, arguments, residuals)


# ------------------------------------------------------------------------------------------------- blocks of steps
def _blocks(steps: Sequence[Step | Strips], function: _Function, kept: Iterable[Buffer]) -> tuple[BlockView, ...]:
    """Statements of a sequence of steps; the memory of a buffer made here may be reused after its last use."""
    protected = set(kept)
    last_use: dict[Buffer, int] = {}
    made: dict[Buffer, None] = {}
    for k, step in enumerate(steps):
        for buffer in reads_of(step):
            last_use[buffer] = k
        for buffer in writes_of(step):
            made.setdefault(buffer)
    views = []
    for k, step in enumerate(steps):

        def dies(buffer: Buffer, k: int = k) -> bool:
            return buffer in made and buffer not in protected and last_use.get(buffer) == k

        if isinstance(step, Strips):
            views.append(strips_block(step, _around(function, dies), function.size_with, _comment(step.bracket)))
        elif isinstance(step, Loop):
            views.append(_loop_block(step, function))
        else:
            lines = _lines(step, function, dies)
            views.append(BlockView(_comment(step.bracket), tuple(text for line in lines for text in wrapped(line))))
    return tuple(views)


def _comment(bracket: str) -> tuple[str, ...]:
    """The bracket above a block; one a line where several are too long for one."""
    lines = [line for line in bracket.splitlines() if line.strip()]
    return tuple(part for line in lines for part in (line.split("; ") if len(line) > WIDTH else [line]))


# ------------------------------------------------------------------------------------------------- single steps
def _around(function: _Function, dies: Callable[[Buffer], bool]) -> Surroundings:
    return Surroundings(function.variable, function.target, dies, function.scope, function.size, function.helpers)


def _lines(step: Step, function: _Function, dies: Callable[[Buffer], bool]) -> list[str]:
    if isinstance(step, Map | Contract):
        return record_lines(step, _around(function, dies))
    if isinstance(step, Take):
        return _take(step, function)
    if isinstance(step, Place):
        return _place(step, function)
    if isinstance(step, Gather):
        return _gather(step, function)
    if isinstance(step, Scatter):
        return _scatter(step, function)
    if isinstance(step, Join):
        return _join(step, function)
    assert isinstance(step, Factorise), step
    return _factorise(step, function)


def _put(target: Target, expression: str, *, fresh: bool = True) -> str:
    """The assignment of a whole value; ``fresh`` says that the expression makes an array of its own."""
    if target.given:
        return f"{target.name}[{'...' if target.rank else '()'}] = {expression}"
    if not fresh and target.rank:
        return f"{target.name} = {expression}.copy()"
    return f"{target.name} = {expression}"


def _take(step: Take, function: _Function) -> list[str]:
    source = function.variable(step.source)
    lines = _range_check(step.offset, step.steps, step.extents, step.source.shape[step.axis], step, function)
    target = function.target(step.target)
    if len(step.steps) > 1:
        index = _grid(step.offset, step.steps, step.extents, function)
        return [*lines, _put(target, f"np.take({source}, {index}, axis={step.axis})")]
    where = ", ".join([":"] * step.axis + [_slice(step.offset, step.steps, step.extents, function)])
    return [*lines, _put(target, f"{source}[{where}]", fresh=False)]


def _place(step: Place, function: _Function) -> list[str]:
    extents = step.source.shape[step.axis : step.axis + len(step.steps)]
    source = function.variable(step.source)
    lines = _range_check(step.offset, step.steps, extents, step.target.shape[step.axis], step, function)
    target = function.target(step.target)
    lines.append(_zeros(target, step.target, function))
    if len(step.steps) > 1:
        index = ", ".join([":"] * step.axis + [_grid(step.offset, step.steps, extents, function)])
        lines.append(f"np.add.at({target.name}, np.s_[{index}], {source})")
    else:
        where = ", ".join([":"] * step.axis + [_slice(step.offset, step.steps, extents, function)])
        operator = "+=" if step.steps == (0,) else "="
        lines.append(f"{target.name}[{where}] {operator} {source}")
    return lines


def _zeros(target: Target, buffer: Buffer, function: _Function) -> str:
    if target.given:
        return f"{target.name}[...] = 0"
    shape = ex.tuple_of([function.size(extent) for extent in buffer.shape])
    return f"{target.name} = np.zeros({shape}, {_DTYPES[buffer.dtype]})"


def _slice(offset: Dim, steps: Sequence[int], extents: Sequence[Dim], function: _Function) -> str:
    """``offset``, or ``first:end:step`` of one axis."""
    if not steps:
        return function.size(offset)
    (step,), (extent,) = steps, extents
    first = function.size(offset)
    if step > 0:
        end = function.size(offset + (extent - 1) * step + 1)
        return f"{'' if first == '0' else first}:{end}" + (f":{step}" if step != 1 else "")
    # A slice that runs down to entry 0 has no number for its end; an index array says it plainly.
    return f"{first} + {step} * np.arange({function.size(extent)})"


def _grid(offset: Dim, steps: Sequence[int], extents: Sequence[Dim], function: _Function) -> str:
    """Positions ``offset + Σ steps[k] l_k`` as an array with one axis a label."""
    terms = []
    for k, (step, extent) in enumerate(zip(steps, extents, strict=True)):
        behind = len(steps) - 1 - k
        ramp = f"np.arange({function.size(extent)})" + (f"[:{', None' * behind}]" if behind else "")
        terms.append(ramp if step == 1 else f"{step} * {ramp}")
    if offset.constant != 0:
        terms.insert(0, function.size(offset))
    return " + ".join(terms)


def _range_check(
    offset: Dim, steps: Sequence[int], extents: Sequence[Dim], extent: Dim, step: Take | Place, function: _Function
) -> list[str]:
    """A check of the first and last position, unless the sizes decide it."""
    first = last = offset
    for stride, count in zip(steps, extents, strict=True):
        if stride > 0:
            last = last + stride * (count - 1)
        else:
            first = first + stride * (count - 1)
    if _never_negative(first) and _never_negative(extent - 1 - last):
        return []
    total = Dim.of(1)
    for count in extents:
        total = total * count
    function.helpers.setdefault("check_range")
    array = step.source if isinstance(step, Take) else step.target
    arguments = [function.size(d) for d in (first, last, extent, total)]
    return [f'_check_range({", ".join(arguments)}, "{array.name}", {step.axis})']


def _never_negative(dim: Dim) -> bool:
    """Whether the polynomial is at least 0 for all sizes of at least 0."""
    return all(factor >= 0 for _, factor in dim.terms)


def _gather(step: Gather, function: _Function) -> list[str]:
    lines = [_label_check(step.index, step.source.shape[0], function)]
    source, index = function.variable(step.source), function.variable(step.index)
    return [*lines, _put(function.target(step.target), f"{source}[{index}]", fresh=step.index.rank > 0)]


def _scatter(step: Scatter, function: _Function) -> list[str]:
    lines = [_label_check(step.index, step.target.shape[0], function)]
    source, index = function.variable(step.source), function.variable(step.index)
    target = function.target(step.target)
    return [*lines, _zeros(target, step.target, function), f"np.add.at({target.name}, {index}, {source})"]


def _label_check(index: Buffer, extent: Dim, function: _Function) -> str:
    function.helpers.setdefault("check_labels")
    return f"_check_labels({function.variable(index)}, {function.size(extent)})"


def _join(step: Join, function: _Function) -> list[str]:
    sources = ", ".join(function.variable(source) for source in step.sources)
    target = function.target(step.target)
    if target.given:
        return [f"np.stack([{sources}], out={target.name})"]
    return [f"{target.name} = np.stack([{sources}])"]


def _factorise(step: Factorise, function: _Function) -> list[str]:
    text = linalg_expression(step, function.variable, function.size, function.helpers, function.silent)
    return [_put(function.target(step.target), text)]


# ------------------------------------------------------------------------------------------------- loops
def _loop_block(step: Loop, function: _Function) -> BlockView:
    """A recurrence: states are variables that each turn replaces, stacks are filled slice by slice."""
    inner = [buffer for inside in step.steps for buffer in writes(inside)]
    made = set(inner)
    variable = function.scope.fresh("t")
    length = function.size(step.length)
    setup, opening, closing, after = [], [], [], []
    for carry in step.carries:
        initial = function.variable(carry.initial)
        before = function.target(carry.before)
        setup.append(f"{before.name} = {initial}")
    for _, outer in step.stacks:
        target = function.target(outer)
        if not target.given:
            shape = ex.tuple_of([function.size(extent) for extent in outer.shape])
            setup.append(f"{target.name} = np.empty({shape}, {_DTYPES[outer.dtype]})")
    for slice_, outer in step.slices:
        opening.append(f"{function.target(slice_).name} = {function.variable(outer)}[{variable}]")
    stacked: dict[Buffer, None] = {}
    for value, outer in step.stacks:
        name = function.target(outer).name
        if value in made and value not in stacked and value.rank and value not in function.variables:
            # Written where it is kept: the slice is the array that the steps fill.
            target = Target(function.scope.fresh(value.name), True, value.rank)
            function.variables[value] = target
            opening.append(f"{target.name} = {name}[{variable}]")
        else:
            closing.append((name, value))
        stacked.setdefault(value)
    kept = {*(c.after for c in step.carries), *(c.before for c in step.carries), *stacked}
    blocks = _blocks(step.steps, function, kept)
    ending = [f"{name}[{variable}] = {function.variable(value)}" for name, value in closing]
    moves = [(function.target(c.before).name, function.variable(c.after)) for c in step.carries]
    if moves:
        ending.append(f"{', '.join(to for to, _ in moves)} = {', '.join(of for _, of in moves)}")
    for carry in step.carries:
        if carry.final is not None:
            target = function.target(carry.final)
            after.append(_put(target, function.variable(carry.before), fresh=False))
    iterable = f"reversed(range({length}))" if step.reverse else f"range({length})"
    loop = LoopView(variable, iterable, tuple(setup), tuple(opening), blocks, tuple(ending), tuple(after))
    return BlockView(_comment(step.bracket), (), loop)
