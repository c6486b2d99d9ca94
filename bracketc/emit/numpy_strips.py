"""Tensors of derivatives in strips of their first axis: what is made for a strip stays small, and of a symmetric result only
what lies left of the end of the strip is computed.

    t2_mn = s_m X_mn;  H_ni = (t2_mn X_mi | ni), symmetric   ->   for first in range(0, n, rows):
                                                                      last = min(first + rows, n)
                                                                      t2 = X[:, first:last] * s[:, None]
                                                                      np.matmul(t2.T, X[:, :last], out=H[first:last, :last])
                                                                      H[:first, first:last] = H[first:last, :first].T
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bracketc.emit.expressions import Expression, number
from bracketc.emit.layout import wrapped
from bracketc.emit.names import Scope
from bracketc.emit.numpy_contractions import Computation, Operand, contraction, transpose
from bracketc.emit.numpy_facts import TRIVIAL, facts_of
from bracketc.emit.numpy_record import record_lines
from bracketc.emit.numpy_values import Surroundings, Target
from bracketc.emit.views import BlockView, LoopView
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import REAL, Labels
from bracketc.plan.cost import entries
from bracketc.plan.scalars import prune
from bracketc.plan.schedule import Access, Buffer, Contract, Instruction, Map, Schedule, Step, Store
from bracketc.plan.steps import reads, writes

LEAST = 128
"""Rows of a matrix product below which the other matrix is rearranged too often."""

PIECE, END = Dim.named("%piece"), Dim.named("%end")
"""Rows of a strip, and the row behind it."""


@dataclass(frozen=True, slots=True)
class Strips:
    """A product, and the record that makes a factor of it and nothing else, if it has one."""

    product: Contract
    factor: Map | None

    @property
    def bracket(self) -> str:
        """What is computed, for people."""
        return self.product.bracket if self.factor is None else f"{self.factor.bracket}; {self.product.bracket}"

    @property
    def label(self) -> int:
        """The label of the first axis of the result."""
        return self.product.stores[0].labels[0]

    @property
    def mirrored(self) -> int:
        """Of a symmetric result the label that is exchanged with the first one, else -1."""
        labels = self.product.stores[0].labels
        return labels[len(labels) // 2] if self.product.symmetric else -1


def reads_of(step: Step | Strips) -> tuple[Buffer, ...]:
    """What a step reads."""
    if not isinstance(step, Strips):
        return tuple(reads(step))
    made = () if step.factor is None else writes(step.factor)
    inner = () if step.factor is None else tuple(reads(step.factor))
    return (*inner, *(buffer for buffer in reads(step.product) if buffer not in made))


def writes_of(step: Step | Strips) -> tuple[Buffer, ...]:
    """What a step leaves."""
    return tuple(writes(step.product if isinstance(step, Strips) else step))


# ------------------------------------------------------------------------------------------------- which
def in_strips(schedule: Schedule, steps: Sequence[Step]) -> list[Step | Strips]:
    """``steps``, products that make a tensor of derivatives in strips where that spares memory or half of the products."""
    if not schedule.modes:
        return list(steps)
    results = {buffer for _, buffer in schedule.results}
    counts: dict[Buffer, int] = {}
    makers: dict[Buffer, Map] = {}
    for step in steps:
        for buffer in reads(step):
            counts[buffer] = counts.get(buffer, 0) + 1
        if isinstance(step, Map) and len(step.stores) == 1 and step.stores[0].target not in results:
            makers[step.stores[0].target] = step
    found: dict[int, Strips] = {}
    gone: set[int] = set()
    for place, step in enumerate(steps):
        if isinstance(step, Contract) and _is_plain(step) and step.stores[0].target in results:
            strips = Strips(step, _factor(step, {b: m for b, m in makers.items() if counts.get(b) == 1}))
            if _pays(strips):
                found[place] = strips
                gone.update(k for k, other in enumerate(steps) if other is strips.factor)
    return [found.get(place, step) for place, step in enumerate(steps) if place not in gone]


def _is_plain(step: Contract) -> bool:
    if len(step.products) != 1 or len(step.program) != 1 or len(step.stores) != 1 or len(step.output) < 2:
        return False
    (store,), (product,) = step.stores, step.products
    plain = all(len(set(side.labels)) == len(side.labels) for side in (product.left, product.right))
    real = all(side.buffer.dtype == REAL for side in (product.left, product.right))
    return plain and real and store.mode == "store" and set(store.labels) == set(step.output)


def _factor(step: Contract, makers: Mapping[Buffer, Map]) -> Map | None:
    """The record that makes a factor with the rows of the result, for this product alone."""
    strips, (product,) = Strips(step, None), step.products
    for side in (product.left, product.right):
        made = makers.get(side.buffer)
        if made is None or strips.label not in side.labels:
            continue
        (store,) = made.stores
        counted = any(i.operation in ("index", "delta") for i in made.program)
        if store.mode == "store" and store.labels == made.labels and store.target.dtype == REAL and not counted:
            return made
    return None


def _pays(strips: Strips) -> bool:
    """Whether the result is symmetric, or would be rearranged whole, or is made of a factor with more sizes than it has."""
    if strips.product.symmetric or not _direct(strips.product):
        return True
    return strips.factor is not None and _named(strips.factor.stores[0].target) > _named(strips.product.stores[0].target)


def _direct(step: Contract) -> bool:
    """Whether the whole product is written where it belongs."""
    (product,), (store,) = step.products, step.stores
    sides = (Operand(Expression("a"), product.left.labels), Operand(Expression("b"), product.right.labels))
    return bool(contraction(*sides, store.labels, step.extents, lambda dim: "n").function)


def _named(buffer: Buffer) -> int:
    return sum(extent.constant is None for extent in buffer.shape)


# ------------------------------------------------------------------------------------------------- text
@dataclass
class _Writer:
    """State of one product while it is written."""

    strips: Strips
    around: Surroundings
    scope: Scope
    size: Callable[[Dim, Mapping[str, str]], str]

    def write(self, comment: tuple[str, ...]) -> BlockView:
        product, label = self.strips.product, self.strips.label
        self.first, self.last = self.scope.fresh("first"), self.scope.fresh("last")
        self.names = {PIECE.names[0]: f"({self.last} - {self.first})", END.names[0]: self.last}
        self.texts: dict[Buffer, str] = {}
        count = self.around.size(product.extents[label])
        before, inside = ([], []) if self.strips.factor is None else self.factor_lines(self.strips.factor)
        computed = self.product()
        rows = self.rows(not computed.function or (product.symmetric and bool(computed.out_shape)))
        self.around.helpers.setdefault("rows")
        setup = [*before, f"{rows[0]} = _rows({count}, {', '.join(rows[1:])})"]
        lines = [*inside, *self.product_lines(computed)]
        closing = [] if self.strips.factor is None else [f"del {self.texts[self.strips.factor.stores[0].target]}"]
        closing += self.reflection() if product.symmetric else []
        opening = [f"{self.last} = min({self.first} + {rows[0]}, {count})"]
        loop = LoopView(
            self.first,
            f"range(0, {count}, {rows[0]})",
            tuple(text for line in setup for text in wrapped(line)),
            tuple(opening),
            (BlockView((), tuple(text for line in lines for text in wrapped(line))),),
            tuple(text for line in closing for text in wrapped(line)),
            (),
        )
        return BlockView(comment, (), loop)

    def rows(self, rearranged: bool) -> tuple[str, str, str, str]:
        """The variable of the rows of a strip, and the arguments that tell how many it has."""
        product, label = self.strips.product, self.strips.label
        (store,), (pair,) = product.stores, product.products
        result = self.entries(x for x in store.labels if x != label)
        made = result if rearranged else Dim.of(0)
        if self.strips.factor is not None:
            made = made + self.entries(x for x in self.side(self.strips.factor).labels if x != label)
        side = next(side for side in (pair.left, pair.right) if label in side.labels)
        others = self.entries(x for x in side.labels if x in product.output and x != label)
        least = str(LEAST) if others.constant == 1 else f"1 + {LEAST} // max(1, {self.around.size(others)})"
        return self.scope.fresh("rows"), self.around.size(made), self.around.size(result), least

    def entries(self, labels: Iterable[int]) -> Dim:
        return entries(self.strips.product.extents[label] for label in labels)

    def side(self, factor: Map) -> Access:
        (pair,) = self.strips.product.products
        return pair.left if pair.left.buffer is factor.stores[0].target else pair.right

    # --------------------------------------------------------------------------------------- the factor
    def factor_lines(self, factor: Map) -> tuple[list[str], list[str]]:
        """What of the factor no row changes, computed before, and what is computed for each strip."""
        (store,) = factor.stores
        names = dict(zip(self.side(factor).labels, store.labels, strict=True))
        label, mirrored = names[self.strips.label], names.get(self.strips.mirrored, -1)
        before, factor = self.hoisted(_gathered(factor, label), label)
        places = {label: PIECE, mirrored: END}
        extents = tuple(places.get(x, extent) for x, extent in enumerate(factor.extents))
        slices = {label: f"{self.first}:{self.last}", mirrored: f":{self.last}"}
        operands = tuple(self.cut(access, slices) for access in factor.operands)
        lines = record_lines(replace(factor, extents=extents, operands=operands), self.surroundings())
        return before, lines

    def hoisted(self, factor: Map, label: int) -> tuple[list[str], Map]:
        """``factor`` with what does not depend on ``label`` as operands, and the statements that compute these."""
        facts = facts_of(factor)
        lines: list[str] = []
        operands, program = list(factor.operands), list(factor.program)
        for number_, instruction in enumerate(factor.program):
            varies = label in facts.labels[number_]
            inner = [
                arg
                for arg in dict.fromkeys(instruction.args)
                if varies and facts.labels[arg] and label not in facts.labels[arg] and program[arg].operation not in TRIVIAL
            ]
            for arg in inner:
                labels = facts.labels[arg]
                buffer = Buffer("weight", tuple(factor.extents[x] for x in labels))
                kept, short, stores = prune(factor.operands, factor.program, (Store(buffer, labels, arg),))
                self.texts[buffer] = self.scope.fresh("weight")
                record = Map(labels, kept, short, stores, factor.extents)
                lines += record_lines(record, self.surroundings())
                program[arg] = Instruction("load", operand=len(operands))
                operands.append(Access(buffer, labels))
        kept, short, stores = prune(tuple(operands), tuple(program), factor.stores)
        return lines, replace(factor, operands=kept, program=short, stores=stores)

    def surroundings(self) -> Surroundings:
        def variable(buffer: Buffer) -> str:
            return self.texts[buffer] if buffer in self.texts else self.around.variable(buffer)

        def target(buffer: Buffer) -> Target:
            if buffer not in self.texts:
                self.texts[buffer] = self.scope.fresh(buffer.name)
            return Target(self.texts[buffer], False, buffer.rank)

        return replace(self.around, variable=variable, target=target, dies=lambda buffer: False, size=self.sized)

    def sized(self, dim: Dim) -> str:
        return self.size(dim, self.names)

    def cut(self, access: Access, slices: Mapping[int, str]) -> Access:
        """``access`` to some entries along some labels."""
        text = self.sliced(access.labels, slices)
        if not text:
            return access
        buffer = Buffer(access.buffer.name, access.buffer.shape, access.buffer.dtype)
        held = self.texts.get(access.buffer) or self.around.variable(access.buffer)
        self.texts[buffer] = f"{held}{text}"
        return Access(buffer, access.labels)

    def sliced(self, labels: Labels, slices: Mapping[int, str]) -> str:
        index = [slices.get(label, ":") for label in labels]
        while index and index[-1] == ":":
            index.pop()
        return f"[{', '.join(index)}]" if index else ""

    # --------------------------------------------------------------------------------------- the product
    def product(self) -> Computation:
        product = self.strips.product
        (pair,), (store,) = product.products, product.stores
        slices, places = self.slices(), {self.strips.label: PIECE, self.strips.mirrored: END}
        extents = tuple(places.get(x, extent) for x, extent in enumerate(product.extents))
        made = None if self.strips.factor is None else self.strips.factor.stores[0].target
        sides = []
        for access in (pair.left, pair.right):
            if access.buffer is made:
                sides.append(Operand(Expression(self.texts[made]), access.labels))
            else:
                cut = self.cut(access, slices)
                text = self.texts.get(cut.buffer) or self.around.variable(cut.buffer)
                sides.append(Operand(Expression(text), access.labels))
        # Sizes stand in tuples here, where a difference needs no parentheses.
        sizes = {END.names[0]: self.last, PIECE.names[0]: f"{self.last} - {self.first}"}
        left, right = sides
        return contraction(left, right, store.labels, extents, lambda dim: self.size(dim, sizes if dim is PIECE else self.names))

    def slices(self) -> dict[int, str]:
        """What is computed of each label of the result."""
        return {self.strips.label: f"{self.first}:{self.last}", self.strips.mirrored: f":{self.last}"}

    def product_lines(self, computed: Computation) -> list[str]:
        product = self.strips.product
        (pair,), (store,) = product.products, product.stores
        target = self.around.target(store.target).name
        place = f"{target}{self.sliced(store.labels, self.slices())}"
        # Whole rows lie side by side and can be taken for a matrix; parts of rows cannot.
        written = computed.into(place) if not product.symmetric or not computed.out_shape else None
        lines = [written or f"{place} = {computed.expression.text}"]
        if pair.coefficient == -1:
            lines.append(f"np.negative({place}, out={place})")
        elif pair.coefficient != 1:
            lines.append(f"{place} *= {number(pair.coefficient).text}")
        return lines

    def reflection(self) -> list[str]:
        """What lies above the strip: the transpose of what lies left of it."""
        (store,) = self.strips.product.stores
        target = self.around.target(store.target).name
        label, mirrored, strip, before = self.strips.label, self.strips.mirrored, f"{self.first}:{self.last}", f":{self.first}"
        left = Expression(f"{target}{self.sliced(store.labels, {label: strip, mirrored: before})}")
        half = len(store.labels) // 2
        turned = transpose(left, [*range(half, 2 * half), *range(half)])
        return [f"{target}{self.sliced(store.labels, {label: before, mirrored: strip})} = {turned.text}"]


def strips_block(
    strips: Strips, around: Surroundings, size: Callable[[Dim, Mapping[str, str]], str], comment: tuple[str, ...]
) -> BlockView:
    """The loop over the strips; ``size`` gives the text of a size, some of which have other names here."""
    return _Writer(strips, around, around.scope, size).write(comment)


def _gathered(factor: Map, label: int) -> Map:
    """``factor`` with those arguments of sums and products that do not depend on ``label`` added up or multiplied first."""
    facts = facts_of(factor)
    program: list[Instruction] = []
    places: list[int] = []
    for instruction in factor.program:
        fixed = [arg for arg in instruction.args if label not in facts.labels[arg]]
        args = tuple(places[arg] for arg in instruction.args)
        if instruction.operation in ("add", "multiply") and 1 < len(fixed) < len(instruction.args):
            program.append(replace(instruction, args=tuple(places[arg] for arg in fixed)))
            rest = [places[arg] for arg in instruction.args if label in facts.labels[arg]]
            args = (len(program) - 1, *rest)
        places.append(len(program))
        program.append(replace(instruction, args=args))
    stores = tuple(replace(store, value=places[store.value]) for store in factor.stores)
    return replace(factor, program=tuple(program), stores=stores)
