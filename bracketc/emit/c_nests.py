"""Nests of loops as views: scalar programs with their loads, stores and reductions, on vectors or on single numbers.

A reduction over the innermost loops lives in a register: ``part`` gathers over the vector loop, an accumulator over
the loops around it. A sum over one long loop is cut into pieces, so that rounding errors do not add up along one
chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bracketc.emit.c_expressions import Dialect, Line, lines, number_text
from bracketc.emit.c_function import C_TYPES, CFunction
from bracketc.emit.c_names import bracket_text
from bracketc.emit.c_views import (
    AccumulatorView,
    AssignmentView,
    CheckView,
    InnerView,
    LoopView,
    PartView,
    PastView,
    PointerView,
    ScalarNestView,
    ShareView,
    TurnView,
    VectorNestView,
)
from bracketc.loops.kernel import NEUTRAL, Axis, Nest, Reference, Storage, Write
from bracketc.plan.scalars import is_costly
from bracketc.target import STREAM_BYTES

_SHORT = 32
"""A loop that is known to be this short has one vector at a time."""

_ONE_CHAIN = 16_384
"""A sum over a loop that is known to be this short is one chain of additions."""


def nest_view(nest: Nest, c: CFunction) -> VectorNestView | ScalarNestView | TurnView:
    """The view of a nest."""
    with c.block():
        if _turns(nest):
            return _turn(nest, c)
        c.new_labels(axis.label for axis in nest.axes)
        return _VectorNest(nest, c).view() if nest.vector else _ScalarNest(nest, c).view()


def _turns(nest: Nest) -> bool:
    """Whether a nest does nothing but turn a matrix."""
    if len(nest.axes) != 2 or len(nest.loads) != 1 or len(nest.writes) != 1 or [i.operation for i in nest.program] != ["load"]:
        return False
    (source,), (write,) = nest.loads, nest.writes
    if write.mode != "store" or source.storage.dtype != "real" or write.target.storage.dtype != "real":
        return False
    if source.address.indirect or write.target.address.indirect:
        return False
    outer, inner = (axis.label for axis in nest.axes)
    if nest.divided == inner:
        return False
    strides = [r.address.stride(label).constant for r, label in ((source, outer), (write.target, inner))]
    others = [r.address.stride(label).constant for r, label in ((source, inner), (write.target, outer))]
    return strides == [1, 1] and not any(other in (0, 1) for other in others)


def _turn(nest: Nest, c: CFunction) -> TurnView:
    rows, columns = nest.axes
    (source,), (write,) = nest.loads, nest.writes
    c.functions.add("turn")
    share = c.share(c.dim(rows.extent)) if nest.divided == rows.label else None
    first, last = ("0", c.dim(rows.extent)) if share is None else (f"{share.name}.first", f"{share.name}.last")
    if rows.label in c.rows:
        first, last = f"{c.rows[rows.label]}.first", f"{c.rows[rows.label]}.last"

    def base(reference: Reference) -> str:
        return c.pointer(replace(reference, address=replace(reference.address, terms=())))

    return TurnView(
        "c/turn.c.j2",
        bracket_text(nest.bracket),
        base(write.target),
        c.dim(write.target.address.stride(rows.label)),
        base(source),
        c.dim(source.address.stride(columns.label)),
        first,
        last,
        c.dim(columns.extent),
        c.s,
        share,
    )


def _plain_mode(write: Write) -> str:
    """The way of combining: ``add`` is a sum."""
    return "sum" if write.mode == "add" else write.mode


@dataclass
class _Loops:
    """The loops of a nest while registers are hung on them."""

    c: CFunction
    axes: tuple[Axis, ...]
    steps: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    accumulators: dict[int, list[AccumulatorView]] = field(default_factory=dict)
    results: dict[int, list[AssignmentView]] = field(default_factory=dict)

    def add(self, depth: int, accumulator: AccumulatorView, result: AssignmentView) -> None:
        """A register declared before loop ``depth`` whose ``result`` is written behind it."""
        self.accumulators.setdefault(depth, []).append(accumulator)
        self.results.setdefault(depth, []).append(result)

    def views(self, extra: LoopView | None, share: ShareView | None, divided: int) -> tuple[LoopView, ...]:
        ranges = {**self.c.rows, **({divided: share.name} if share is not None else {})}
        found = [
            LoopView(self.c.label(a.label), f"{ranges[a.label]}.last", f"{ranges[a.label]}.first")
            if a.label in ranges
            else LoopView(self.c.label(a.label), self.c.dim(a.extent))
            for a in self.axes
        ]
        if extra is not None:
            found.append(extra)
        return tuple(
            replace(
                loop,
                accumulators=tuple(self.accumulators.get(depth, ())),
                results=tuple(self.results.get(depth, ())),
            )
            for depth, loop in enumerate(found)
        )


def _depth(write: Write, axes: Sequence[Axis]) -> int:
    """The number of loops around those that a fresh reduction runs over."""
    return sum(write.target.address.stride(axis.label).constant != 0 for axis in axes)


# ------------------------------------------------------------------------------------------------- vectors
@dataclass
class _VectorNest:
    nest: Nest
    c: CFunction
    checks: list[CheckView] = field(default_factory=list)
    pointers: dict[tuple[Storage, str], PointerView] = field(default_factory=dict)
    chain: str = ""

    def view(self) -> VectorNestView:
        nest, c, s = self.nest, self.c, self.c.s
        inner = nest.axes[-1]
        variable, extent = c.label(inner.label), c.dim(inner.extent)
        needed = [write.value for write in nest.writes]
        whole = lines(nest.program, needed, self.dialect(masked=False))
        tail = lines(nest.program, needed, self.dialect(masked=True))
        truths = {line.name for line in whole if line.truth}
        loops = _Loops(c, nest.axes[:-1])
        chunk = self.chunk(variable, extent)
        if self.waits():
            self.chain = c.scope.fresh("q")
        parts: list[PartView] = []
        results: list[AssignmentView] = []
        writes: list[AssignmentView] = []
        for write in nest.writes:
            value = f"v{write.value}"
            if value in truths:
                c.functions.add("truth")
                value = f"truth_{s}({value})"
            if write.target.address.stride(inner.label).constant == 0:
                self.reduce(write, value, parts, results, loops, chunk is not None)
            else:
                writes.append(self.store(write, value, whole, tail))
        first, end, end_text = "0", extent, ""
        if chunk is not None:
            first, end = chunk.name, c.scope.fresh(f"{variable}_end")
            end_text = f"brk_min({extent}, {chunk.name} + {chunk.step})"
        share = self.share(inner)
        if share is not None and nest.divided == inner.label:
            first, end = f"{share.name}.first", f"{share.name}.last"
        if inner.label in c.rows:
            first, end = f"{c.rows[inner.label]}.first", f"{c.rows[inner.label]}.last"
        views = loops.views(chunk, share, nest.divided)
        past = self.past()
        return VectorNestView(
            "c/nest_vector.c.j2",
            bracket_text(nest.bracket),
            share is not None or past is not None or not views or bool(views[0].accumulators),
            views,
            tuple(self.checks),
            tuple(self.pointers.values()),
            tuple(line for line in whole if line.invariant),
            InnerView(variable, first, end, end_text),
            tuple(line for line in whole if not line.invariant),
            tuple(line for line in tail if not line.invariant),
            tuple(writes),
            tuple(parts),
            tuple(results),
            bool(writes) or any("tail)" in line.text for line in tail),
            s,
            c.label_failure,
            share,
            self.chain,
            past,
        )

    def past(self) -> PastView | None:
        """How it is told whether the result goes past the caches, of a nest that alone runs over its rows."""
        if not self.nest.past or any(axis.label in self.c.rows for axis in self.nest.axes):
            return None
        self.c.functions.add("store_past")
        names = (self.c.scope.fresh("past"), self.c.scope.fresh("head"))
        return PastView(names[0], self.c.bytes(self.nest.writes[0].target.storage), STREAM_BYTES, names[1])

    def waits(self) -> bool:
        """Whether a reduction along the vector loop would wait for itself, since what it gathers costs little; four vectors side by
        side do not wait."""
        extent = self.nest.axes[-1].extent.constant
        sums = any(write.target.address.stride(self.nest.axes[-1].label).constant == 0 for write in self.nest.writes)
        return sums and (extent is None or extent > _SHORT) and not any(is_costly(i) for i in self.nest.program)

    def share(self, inner: Axis) -> ShareView | None:
        """The part of the divided loop that a thread runs; whole vectors of the innermost one."""
        for axis in self.nest.axes:
            if axis.label == self.nest.divided:
                return self.c.share(self.c.dim(axis.extent), f"WIDTH_{self.c.s}" if axis is inner else "1")
        return None

    def dialect(self, masked: bool) -> Dialect:
        c, s, inner = self.c, self.c.s, self.nest.axes[-1].label
        variable = c.label(inner)

        def load(operand: int) -> tuple[str, bool]:
            reference = self.nest.loads[operand]
            row = self.row(reference)
            if reference.address.stride(inner).constant == 0:
                return f"splat_{s}({row}[0])", True
            return (f"load_masked_{s}({row} + {variable}, tail)" if masked else f"load_{s}({row} + {variable})"), False

        return Dialect(c.ctype, True, load, c.label, c.dim, c.functions.add, {}, inner)

    def row(self, reference: Reference) -> str:
        """The name of a pointer to the row that the vector loop walks along."""
        key = (reference.storage, self.c.offset(reference.address, self.nest.axes[-1].label, self.checks))
        if key not in self.pointers:
            text = self.c.pointer(reference, self.nest.axes[-1].label, self.checks)
            if text == self.c.named(reference.storage):
                return text
            name = self.c.scope.fresh(f"{reference.storage.name}_row")
            self.pointers[key] = PointerView(self.c.pointer_type(reference.storage), name, text)
        return self.pointers[key].name

    def chunk(self, variable: str, extent: str) -> LoopView | None:
        """A loop around the vector loop that cuts a long sum into pieces."""
        inner = self.nest.axes[-1]
        sums = any(
            w.mode in ("sum", "add") and w.target.address.stride(inner.label).constant == 0 for w in self.nest.writes
        )
        short = inner.extent.constant is not None and inner.extent.constant <= _ONE_CHAIN
        if len(self.nest.axes) > 1 or not sums or short:
            return None
        return LoopView(self.c.scope.fresh(f"{variable}_first"), extent, step=f"BRK_SUM_BLOCK * WIDTH_{self.c.s}")

    def store(self, write: Write, value: str, whole: list[Line], tail: list[Line]) -> AssignmentView:
        c, s = self.c, self.c.s
        here = f"{self.row(write.target)} + {c.label(self.nest.axes[-1].label)}"
        if write.mode != "store" and not write.fresh:
            # The target is read, combined and written back.
            held = c.scope.fresh("held")
            whole.append(Line(f"vec_{s}", held, f"load_{s}({here})", False))
            tail.append(Line(f"vec_{s}", held, f"load_masked_{s}({here}, tail)", False))
            value = self.combine(write, held, value)
        return AssignmentView(here, value)

    def combine(self, write: Write, held: str, value: str) -> str:
        mode = _plain_mode(write)
        if mode in ("max", "min"):
            self.c.functions.add(mode)
            return f"v{mode}_{self.c.s}({held}, {value})"
        return f"{held} {'*' if mode == 'prod' else '+'} {value}"

    def reduce(
        self,
        write: Write,
        value: str,
        parts: list[PartView],
        results: list[AssignmentView],
        loops: _Loops,
        chunked: bool,
    ) -> None:
        c, s, mode = self.c, self.c.s, _plain_mode(write)
        neutral = number_text(NEUTRAL[mode], c.ctype)
        part = c.scope.fresh({"sum": "sum", "prod": "product", "max": "top", "min": "least"}[mode])
        c.functions |= {"keep_first", f"{mode}_lanes"}
        kept = f"keep_first_{s}({value}, rest, {neutral})"
        found = PartView(part, neutral, self.combine(write, part, value), self.combine(write, part, kept))
        if self.chain:
            chains = c.scope.fresh(f"{part}_of")
            pairs = (self.combine(write, f"{chains}[{k}]", f"{chains}[{k + 2}]") for k in range(2))
            merged = self.combine(write, *(f"({pair})" if mode in ("sum", "prod") else pair for pair in pairs))
            found = replace(found, chains=chains, chain_update=self.combine(write, f"{chains}[{self.chain}]", value), merged=merged)
        parts.append(found)
        depth = _depth(write, self.nest.axes) if write.fresh else len(self.nest.axes)
        inner = len(self.nest.axes) - 1
        if depth < inner or (depth == inner and chunked):
            whole = c.scope.fresh(f"whole_{part}")
            target = c.place(write.target)
            loops.add(
                depth,
                AccumulatorView(f"vec_{s}", whole, f"splat_{s}({neutral})"),
                AssignmentView(target, f"{mode}_lanes_{s}({whole})"),
            )
            results.append(AssignmentView(whole, self.combine(write, whole, part)))
        elif write.fresh:
            results.append(AssignmentView(c.place(write.target), f"{mode}_lanes_{s}({part})"))
        else:
            target, lanes = c.place(write.target, self.checks), f"{mode}_lanes_{s}({part})"
            if mode in ("max", "min"):
                c.functions.add({"max": "larger", "min": "smaller"}[mode])
                text = f"{ {'max': 'larger', 'min': 'smaller'}[mode] }_{s}({target}, {lanes})"
            else:
                text = f"{target} {'*' if mode == 'prod' else '+'} {lanes}"
            results.append(AssignmentView(target, text))


# ------------------------------------------------------------------------------------------------- single numbers
@dataclass
class _ScalarNest:
    nest: Nest
    c: CFunction
    checks: list[CheckView] = field(default_factory=list)

    def view(self) -> ScalarNestView:
        nest, c = self.nest, self.c
        kinds = {k: C_TYPES[r.storage.dtype] for k, r in enumerate(nest.loads) if r.storage.dtype in C_TYPES}
        load: Callable[[int], tuple[str, bool]] = lambda k: (c.place(nest.loads[k], self.checks), False)  # noqa: E731
        dialect = Dialect(c.ctype, False, load, c.label, c.dim, c.functions.add, kinds)
        body = lines(nest.program, [write.value for write in nest.writes], dialect)
        loops = _Loops(c, nest.axes)
        writes = tuple(self.write(write, loops) for write in nest.writes)
        share = next((c.share(c.dim(a.extent)) for a in nest.axes if a.label == nest.divided), None)
        views = loops.views(None, share, nest.divided)
        return ScalarNestView(
            "c/nest_scalar.c.j2",
            bracket_text(nest.bracket),
            share is not None or not views or bool(views[0].accumulators),
            views,
            tuple(self.checks),
            tuple(body),
            writes,
            c.label_failure,
            share,
        )

    def write(self, write: Write, loops: _Loops) -> AssignmentView:
        c, mode, value = self.c, _plain_mode(write), f"v{write.value}"
        depth = _depth(write, self.nest.axes)
        if write.fresh and depth < len(self.nest.axes):
            name = c.scope.fresh({"sum": "sum", "prod": "product", "max": "top", "min": "least"}[mode])
            # A wide register costs nothing here and keeps long sums exact.
            kind = "double" if mode in ("sum", "prod") else c.ctype.real
            result = name if c.ctype.double or kind != "double" else f"({c.ctype.real}){name}"
            neutral = number_text(NEUTRAL[mode], c.ctype)
            loops.add(depth, AccumulatorView(kind, name, neutral), AssignmentView(c.place(write.target), result))
            return AssignmentView(name, self.combine(mode, name, value))
        target = c.place(write.target, self.checks)
        return AssignmentView(target, value if mode == "store" or write.fresh else self.combine(mode, target, value))

    def combine(self, mode: str, held: str, value: str) -> str:
        if mode in ("max", "min"):
            name = {"max": "larger", "min": "smaller"}[mode]
            self.c.functions.add(name)
            return f"{name}_{self.c.s}({held}, {value})"
        return f"{held} {'*' if mode == 'prod' else '+'} {value}"
