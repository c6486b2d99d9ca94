"""From tensor nodes to steps, one record a node, before any fusion.

Transpositions, broadcasts and diagonals become accesses, numbers and sizes become instructions; a product of many
factors becomes pairwise contractions in the order of :mod:`bracketc.plan.paths`. Correct as it stands:
:mod:`bracketc.plan.fusion` only makes it fast.

    (2 A_ij B_jk | ik)  ->  Contract(2 · A_ij · B_jk, output ik)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from bracketc.ir.nodes import (
    REAL,
    Add,
    Compare,
    Delta,
    DType,
    Einsum,
    Labels,
    Linalg,
    Literal,
    Node,
    Overlap,
    Pointwise,
    Project,
    Range,
    Recurrence,
    Reduce,
    Select,
    Shape,
    Size,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.nodes import (
    Gather as GatherNode,
)
from bracketc.ir.nodes import (
    Scatter as ScatterNode,
)
from bracketc.ir.rewrite import Origin
from bracketc.plan.bracket import Factor, Scale, is_delta, pattern, without_deltas
from bracketc.plan.hints import Hints
from bracketc.plan.matrices import described, named
from bracketc.plan.paths import path
from bracketc.plan.scalars import Scalars
from bracketc.plan.schedule import (
    Access,
    Buffer,
    Carry,
    Contract,
    Factorise,
    Gather,
    Instruction,
    Join,
    Loop,
    Map,
    Mode,
    Place,
    Product,
    Scatter,
    Step,
    Store,
    Take,
)
from bracketc.plan.stable import (
    from_parts,
    log_parts,
    log_softmax,
    log_sum_exp,
    name_of,
    softmax,
    softmax_of,
    split_log,
    subtracted,
)
from bracketc.plan.steps import writes
from bracketc.plan.values import Formula, Value, View, put, put_real, relabel, whole

FORMULA_LENGTH = 16
"""A formula of more instructions is computed once into a buffer instead of wherever it is used."""

Origins = Mapping[Node, Origin]


def source_name(origins: Origins, node: Node) -> str:
    """What the source calls ``node``, if anything; a member of a family as a caller would: ``Z[1]`` is ``Z1``."""
    origin = origins.get(node)
    return (origin.name or "").replace("[", "").replace("]", "") if origin is not None else ""


class Lowering:
    """Steps for nodes of one entry, or of the body of one loop.

    ``values`` says what each lowered node is; it is given for arguments, and for residuals, whose operands are then
    not visited. ``parts`` are log-sum-exps whose :func:`log_parts` are among the residuals.
    """

    def __init__(
        self, hints: Hints, origins: Origins, values: Mapping[Node, Value], parts: Iterable[Reduce] = ()
    ) -> None:
        self.hints = hints
        self.origins = origins
        self.values: dict[Node, Value] = dict(values)
        self.steps: list[Step] = []
        self.exponentials: dict[Reduce, tuple[Buffer, Buffer]] = {}
        """Of each log-sum-exp: the shifted exponentials and their sums."""
        self.parts: dict[Reduce, tuple[Value, Value]] = {}
        """Of each log-sum-exp: the maxima, and the logarithms of the sums of exponentials shifted by them."""
        for reduced in parts:
            top, logarithm = log_parts(reduced)
            self.parts[reduced] = self.values[top], self.values[logarithm]
            self.values[reduced] = from_parts(self, reduced, "lse")
        self._made: dict[object, Value] = {}
        """Sums and contractions by what they are made of: brackets that differ in a scale share them."""
        self._projects: dict[Recurrence, dict[int, None]] = {}

    # ------------------------------------------------------------------------------------------ nodes
    def lower(self, roots: Iterable[Node]) -> list[Value]:
        """Values of ``roots``; steps for whatever they need and is not there yet."""
        roots = tuple(roots)
        order = needed(roots, self.values)
        for node in order:
            if isinstance(node, Project):
                self._projects.setdefault(node.arg, {}).setdefault(node.index)
        for node in order:
            if isinstance(node, Recurrence):
                self._recurrence(node)
            elif node not in self.values:
                self.values[node] = _RULES[type(node)](self, node)
        return [self.values[root] for root in roots]

    def value(self, node: Node) -> Value:
        """What ``node`` has become; a size or number that lowering itself brought up is lowered here."""
        return self.values[node] if node in self.values else self.lower([node])[0]

    def buffer(self, node: Node) -> Buffer:
        """A buffer that holds ``node`` in its own layout."""
        value = self.values[node]
        if isinstance(value, View) and value.is_whole:
            return value.buffer
        buffer = self.copy(value, self.name(node, "t"))
        self.values[node] = whole(buffer)
        return buffer

    def copy(self, value: Value, name: str) -> Buffer:
        """A new buffer with the entries of ``value``."""
        scalars = Scalars()
        labels = tuple(range(len(value.shape)))
        return self.map(scalars, put(scalars, value, labels), value.shape, labels, name, value.dtype)

    def name(self, node: Node, otherwise: str) -> str:
        """The name that the source gives ``node``, else ``otherwise``. Uniqueness comes later."""
        return source_name(self.origins, node) or otherwise

    def map(
        self,
        scalars: Scalars,
        value: int,
        extents: Shape,
        labels: Labels,
        name: str,
        dtype: DType = REAL,
        mode: Mode = "store",
    ) -> Buffer:
        """A buffer over ``labels`` written by a Map over all of ``extents``."""
        target = Buffer(name, tuple(extents[label] for label in labels), dtype)
        everything = tuple(range(len(extents)))
        operands, program = tuple(scalars.operands), tuple(scalars.program)
        self.steps.append(Map(everything, operands, program, (Store(target, labels, value, mode),), extents))
        return target

    def entrywise(self, node: Node, operands: Iterable[Node], apply: Callable[[Scalars, list[int]], int]) -> Value:
        """A node computed entry by entry from operands of its own shape."""
        labels = tuple(range(node.rank))
        scalars = Scalars()
        args = [put(scalars, self.values[operand], labels) for operand in operands]
        return self.finish(node, scalars, apply(scalars, args), node.dtype)

    def finish(self, node: Node, scalars: Scalars, value: int, dtype: DType) -> Value:
        """The value of an element-wise node: a formula when nothing is loaded, else a Map."""
        if not scalars.operands and len(scalars.program) <= FORMULA_LENGTH and value == len(scalars.program) - 1:
            return Formula(tuple(scalars.program), node.shape, dtype)
        labels = tuple(range(node.rank))
        return whole(self.map(scalars, value, node.shape, labels, self.name(node, "t"), dtype))

    # ------------------------------------------------------------------------------------------ brackets
    def einsum(self, node: Einsum) -> Value:
        """``coefficient`` and rank-0 factors go where they cost least; the others are contracted pair by pair."""
        node = without_deltas(node)
        factors = [(self.value(factor), labels) for factor, labels in node.factors]
        scalars = [value for value, labels in factors if not labels]
        deltas = [factor for factor in factors if is_delta(factor, node.output)]
        tensors = [factor for factor in factors if factor[1] and factor not in deltas]
        name = self.name(node, "t")
        output = tuple(label for label in node.output if any(label in labels for _, labels in tensors))
        summed = {label for _, labels in tensors for label in labels}.difference(output)
        spread = bool(deltas) or len(output) < len(node.output)
        scale = Scale(node.coefficient, tuple(scalars))
        if not summed:
            return self._product(node, [*tensors, *deltas], scale)
        tensors = [self._reduce_private(tensors, place, output, node.extents) for place in range(len(tensors))]
        inner = "t" if spread else name
        value, labels = self._contract(tensors, output, node.extents, scale, inner)
        if deltas:
            return self._product(node, [(value, labels), *deltas], Scale(Fraction(1), ()))
        return relabel(value, labels, node.shape)

    def _product(self, node: Einsum, factors: list[Factor], scale: Scale) -> Value:
        """Factors multiplied entry by entry over the output, the ones of fewest labels first."""
        if len(factors) == 1 and scale.is_one and factors[0][0].dtype == REAL:
            return relabel(factors[0][0], factors[0][1], node.shape)
        scalars = Scalars()
        ordered = sorted(factors, key=lambda factor: len(set(factor[1])))
        args = scale.put(scalars, [put_real(scalars, value, labels) for value, labels in ordered])
        return self.finish(node, scalars, args, REAL)

    def _reduce_private(self, factors: list[Factor], place: int, output: Labels, extents: Shape) -> Factor:
        """Sum what only one of several factors carries before anything is multiplied.

        (A_ij b_k c_i | j)  ->  (A_ij (b_k |) c_i | j)
        """
        value, labels = factors[place]
        others = {label for k, (_, carried) in enumerate(factors) if k != place for label in carried}
        kept = tuple(dict.fromkeys(label for label in labels if label in others or label in output))
        if len(factors) == 1 or len(kept) == len(set(labels)):
            return value, labels
        return self._sum([(value, labels)], kept, extents, "t"), kept

    def _contract(
        self, factors: list[Factor], output: Labels, extents: Shape, scale: Scale, name: str
    ) -> tuple[Value, Labels]:
        """Contract all factors to ``output`` pair by pair."""
        if len(factors) == 1:
            return self._scaled(self._sum(factors, output, extents, name, scale), output, extents, scale, name), output
        sizes = tuple(self.hints.of(extent) for extent in extents)
        order = path(tuple(labels for _, labels in factors), output, sizes)
        current = list(factors)
        for i, j in order:
            right, left = current.pop(j), current.pop(i)
            if not current:
                return self._pair(left, right, output, extents, scale, name), output
            needed_later = {label for _, labels in current for label in labels}.union(output)
            kept = tuple(dict.fromkeys(label for label in (*left[1], *right[1]) if label in needed_later))
            if set(kept) == {*left[1], *right[1]}:  # nothing is summed: the order of the axes is free
                kept = (*(x for x in kept if x not in output), *(x for x in output if x in kept))
            current.append((self._pair(left, right, kept, extents, Scale(Fraction(1), ()), "t"), kept))
        raise AssertionError(factors)

    def _pair(self, left: Factor, right: Factor, output: Labels, extents: Shape, scale: Scale, name: str) -> Value:
        """One product of two factors: a Contract, unless it is element-wise or sums all labels of two equal sets."""
        first, second = set(left[1]), set(right[1])
        if first | second == set(output):
            scalars, labels, numbered = Scalars(), range(len(output)), {label: k for k, label in enumerate(output)}
            ordered = sorted((left, right), key=lambda factor: len(set(factor[1])))
            args = [put_real(scalars, value, tuple(numbered[x] for x in carried)) for value, carried in ordered]
            shape = tuple(extents[label] for label in output)
            return whole(self.map(scalars, scale.put(scalars, args), shape, tuple(labels), name))
        if first == second:
            return self._scaled(self._sum([left, right], output, extents, name, scale), output, extents, scale, name)
        return self._matrix_product(left, right, output, extents, scale, name)

    def _matrix_product(
        self, left: Factor, right: Factor, output: Labels, extents: Shape, scale: Scale, name: str
    ) -> Value:
        own = [label for label in output if (label in left[1]) != (label in right[1])]
        if own and own[0] in right[1]:
            left, right = right, left  # the rows of the result come from the left factor
        key = ("product", scale.coefficient, scale.values, *pattern([left, right], output))
        if key not in self._made:
            self._made[key] = self._matrix_product_anew(left, right, output, extents, scale, name)
        return self._made[key]

    def _matrix_product_anew(
        self, left: Factor, right: Factor, output: Labels, extents: Shape, scale: Scale, name: str
    ) -> Value:
        numbers = {label: k for k, label in enumerate(dict.fromkeys((*output, *left[1], *right[1])))}
        product = Product(scale.coefficient, self._access(left, numbers), self._access(right, numbers))
        scalars = Scalars()
        value = scale.put_values(scalars, [scalars.emit("accumulator")])
        shape = tuple(extents[label] for label in output)
        target, labels = Buffer(name, shape), tuple(range(len(output)))
        operands, program = tuple(scalars.operands), tuple(scalars.program)
        stores = (Store(target, labels, value),)
        self.steps.append(
            Contract((product,), labels, operands, program, stores, tuple(extents[label] for label in numbers))
        )
        return whole(target)

    def _access(self, factor: Factor, numbers: Mapping[int, int]) -> Access:
        value, labels = factor
        carried = tuple(numbers[label] for label in labels)
        if isinstance(value, View) and value.dtype == REAL and len(set(value.axes)) == len(value.shape):
            return Access(value.buffer, tuple(carried[axis] for axis in value.axes))
        scalars, axes = Scalars(), tuple(range(len(labels)))
        number = put_real(scalars, value, axes)
        return Access(self.map(scalars, number, value.shape, axes, "t"), carried)

    def _sum(
        self, factors: list[Factor], output: Labels, extents: Shape, name: str, scale: Scale | None = None
    ) -> Value:
        """The sum of a product of factors over every label outside ``output``, in the order of the first factor's
        axes."""
        if scale is not None and not scale.is_one:
            name = "t"
        key = ("sum", *pattern(factors, output))
        if key not in self._made:
            self._made[key] = self._sum_anew(factors, output, extents, name)
        return self._made[key]

    def _sum_anew(self, factors: list[Factor], output: Labels, extents: Shape, name: str) -> Value:
        union = tuple(dict.fromkeys(label for _, labels in factors for label in labels))
        order = {label: k for k, label in enumerate(union)}
        scalars = Scalars()
        args = [put_real(scalars, value, tuple(order[label] for label in labels)) for value, labels in factors]
        shape = tuple(extents[label] for label in union)
        target = tuple(order[label] for label in output)
        return whole(self.map(scalars, scalars.multiply(args), shape, target, name, REAL, "sum"))

    def _scaled(self, value: Value, output: Labels, extents: Shape, scale: Scale, name: str) -> Value:
        """``value``, already summed and therefore small, times ``scale``."""
        if scale.is_one:
            return value
        scalars, labels = Scalars(), tuple(range(len(output)))
        number = scale.put(scalars, [put(scalars, value, labels)])
        return whole(self.map(scalars, number, tuple(extents[label] for label in output), labels, name))

    # ------------------------------------------------------------------------------------------ loops
    def _recurrence(self, node: Recurrence) -> None:
        """One :class:`Loop`; values for the projections that somebody uses."""
        count = len(node.carries)
        used = self._projects.get(node, {})
        live = _live_results(node, used)
        parameters = node.body.parameters
        carries = [place for place in range(count) if place in live]
        first, second = count, count + len(node.xs)
        before = {}
        for place in carries:
            state = parameters[place]
            before[place] = Buffer(f"{self.name(node.body.results[place], 'state')}_before", state.shape, state.dtype)
        values: dict[Node, Value] = {parameters[place]: whole(buffer) for place, buffer in before.items()}
        body_nodes = needed([node.body.results[place] for place in live], {})
        reached = {tensor for tensor in body_nodes if isinstance(tensor, Tensor)}
        slices = []
        for parameter, outer in zip(parameters[first:second], node.xs, strict=True):
            if parameter in reached:
                source = self.buffer(outer)
                inner_slice = Buffer(f"{source.name}_t", parameter.shape, parameter.dtype)
                slices.append((inner_slice, source))
                values[parameter] = whole(inner_slice)
        for parameter, outer in zip(parameters[second:], node.consts, strict=True):
            values[parameter] = self.values[outer]
        inner = Lowering(self.hints, self.origins, values)
        inner.lower([node.body.results[place] for place in live])
        made: set[Buffer] = set()
        taken: set[Buffer] = set()
        seen = 0

        def result(place: int, allowed: Iterable[Buffer]) -> Buffer:
            nonlocal seen
            buffer = inner.buffer(node.body.results[place])
            made.update(target for step in inner.steps[seen:] for target in writes(step))
            seen = len(inner.steps)
            if buffer in taken or not (buffer in allowed or buffer in made):
                buffer = inner.copy(whole(buffer), f"{buffer.name}_next")
            return buffer

        states = []
        for place in carries:
            after = result(place, [other for spot, other in before.items() if spot != place])
            taken.add(after)
            initial = self.buffer(node.carries[place])
            final = Buffer(f"{after.name}_last", after.shape, after.dtype) if place in used else None
            states.append(Carry(before[place], after, initial, final))
            if final is not None:
                self._set_project(node, place, final)
        taken.clear()
        stacks = []
        for place in sorted(used):
            if place >= count:
                within = result(place, before.values())
                name = self.name(Project(node, place), within.name)
                outer_buffer = Buffer(name, (node.length, *within.shape), within.dtype)
                stacks.append((within, outer_buffer))
                self._set_project(node, place, outer_buffer)
        self.steps.append(
            Loop(node.length, node.reverse, tuple(states), tuple(slices), tuple(stacks), tuple(inner.steps))
        )

    def _set_project(self, node: Recurrence, place: int, buffer: Buffer) -> None:
        self.values[Project(node, place)] = whole(buffer)


def needed(roots: Iterable[Node], known: Mapping[Node, Value]) -> list[Node]:
    """Nodes below ``roots`` that are not ``known``, operands first."""
    order: list[Node] = []
    done: set[Node] = set()
    for root in roots:
        stack = [] if root in done or root in known else [(root, iter(root.operands))]
        done.add(root)
        while stack:
            node, rest = stack[-1]
            operand = next((o for o in rest if o not in done and o not in known), None)
            if operand is None:
                order.append(node)
                stack.pop()
            else:
                done.add(operand)
                stack.append((operand, iter(operand.operands)))
    return order


def _live_results(node: Recurrence, used: Iterable[int]) -> list[int]:
    """Results that are used, and the carries that they need, sorted."""
    count = len(node.carries)
    place_of = {parameter: place for place, parameter in enumerate(node.body.parameters[:count])}
    live: set[int] = set()
    pending = list(used)
    seen: dict[Node, Value] = {}
    while pending:
        place = pending.pop()
        if place in live:
            continue
        live.add(place)
        for below in needed([node.body.results[place]], seen):
            seen[below] = Formula((), ())
            if below in place_of:
                pending.append(place_of[below])
    return sorted(live)


# ------------------------------------------------------------------------------------------------ rules
def _literal(lowering: Lowering, node: Literal) -> Value:
    return Formula((Instruction("constant", number=node.value),), ())


def _size(lowering: Lowering, node: Size) -> Value:
    return Formula((Instruction("size", dim=node.dim),), ())


def _range(lowering: Lowering, node: Range) -> Value:
    return Formula((Instruction("index", label=0),), node.shape)


def _delta(lowering: Lowering, node: Delta) -> Value:
    return Formula((Instruction("delta", label=0, label2=1),), node.shape)


def _einsum(lowering: Lowering, node: Einsum) -> Value:
    return lowering.einsum(node)


def _add(lowering: Lowering, node: Add) -> Value:
    reduced = split_log(node)
    if reduced is not None:
        return lowering.parts[reduced][1]
    for term in node.terms:
        reduced = subtracted(term)
        if reduced is not None and reduced.arg in node.terms:
            return log_softmax(lowering, node, term, reduced)
    return lowering.entrywise(node, node.terms, lambda scalars, args: scalars.emit("add", *args))


def _pointwise(lowering: Lowering, node: Pointwise) -> Value:
    reduced = softmax_of(node)
    if reduced is not None and reduced in lowering.exponentials:
        return softmax(lowering, node, reduced)

    def apply(scalars: Scalars, args: list[int]) -> int:
        if node.function != "power":
            return scalars.emit("call", *args, function=node.function)
        if node.exponent == 2:
            return scalars.emit("square", *args)
        return scalars.emit("power", *args, number=node.exponent)

    return lowering.entrywise(node, node.args, apply)


def _compare(lowering: Lowering, node: Compare) -> Value:
    return lowering.entrywise(
        node, node.operands, lambda scalars, args: scalars.emit("compare", *args, function=node.operator)
    )


def _select(lowering: Lowering, node: Select) -> Value:
    return lowering.entrywise(node, node.operands, lambda scalars, args: scalars.emit("select", *args))


def _reduce(lowering: Lowering, node: Reduce) -> Value:
    arg, extents = lowering.values[node.arg], node.arg.shape
    labels = tuple(range(len(extents)))
    kept = tuple(label for label in labels if label not in node.axes)
    modes: dict[str, Mode] = {"max": "max", "min": "min", "prod": "prod"}
    scalars = Scalars()
    entry = put(scalars, arg, labels)
    if node.operator in modes:
        name = lowering.name(node, f"{node.operator}_{name_of(arg)}")
        return whole(lowering.map(scalars, entry, extents, kept, name, REAL, modes[node.operator]))
    return log_sum_exp(lowering, node)


def _window(lowering: Lowering, node: Window) -> Value:
    source = lowering.buffer(node.arg)
    target = Buffer(lowering.name(node, f"{source.name}_part"), node.shape, node.dtype)
    lowering.steps.append(Take(target, source, node.axis, node.offset, node.steps, node.extents))
    return whole(target)


def _overlap(lowering: Lowering, node: Overlap) -> Value:
    source = lowering.buffer(node.arg)
    target = Buffer(lowering.name(node, f"{source.name}_placed"), node.shape)
    lowering.steps.append(Place(target, source, node.axis, node.offset, node.steps))
    return whole(target)


def _gather(lowering: Lowering, node: GatherNode) -> Value:
    source, index = lowering.buffer(node.arg), lowering.buffer(node.index)
    target = Buffer(lowering.name(node, f"{source.name}_rows"), node.shape, node.dtype)
    lowering.steps.append(Gather(target, source, index))
    return whole(target)


def _scatter(lowering: Lowering, node: ScatterNode) -> Value:
    source, index = lowering.buffer(node.arg), lowering.buffer(node.index)
    target = Buffer(lowering.name(node, f"{source.name}_scattered"), node.shape)
    lowering.steps.append(Scatter(target, source, index))
    return whole(target)


def _stack(lowering: Lowering, node: Stack) -> Value:
    sources = tuple(lowering.buffer(term) for term in node.terms)
    target = Buffer(lowering.name(node, "stacked"), node.shape, sources[0].dtype)
    lowering.steps.append(Join(target, sources))
    return whole(target)


def _linalg(lowering: Lowering, node: Linalg) -> Value:
    args = tuple(lowering.buffer(arg) for arg in node.args)
    target = Buffer(lowering.name(node, named(lowering.origins, node)), node.shape)
    lowering.steps.append(Factorise(target, node.operator, args, described(lowering.origins, node)))
    return whole(target)


_RULES: dict[type[Node], Callable[[Lowering, Any], Value]] = {
    Literal: _literal,
    Size: _size,
    Range: _range,
    Delta: _delta,
    Einsum: _einsum,
    Add: _add,
    Pointwise: _pointwise,
    Compare: _compare,
    Select: _select,
    Reduce: _reduce,
    Window: _window,
    Overlap: _overlap,
    GatherNode: _gather,
    ScatterNode: _scatter,
    Stack: _stack,
    Linalg: _linalg,
}
