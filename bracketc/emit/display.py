"""The text of every kind of node, and the equations in which it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bracketc.emit.conditions import by_entries, compare_text, select_text
from bracketc.emit.forms import form_of
from bracketc.emit.naming import Naming
from bracketc.emit.notation import POSTFIX, FormName, Notation, Text
from bracketc.emit.products import bracket_form, is_loose, is_spread, split, tensor_part
from bracketc.emit.scalars import ONE, Writer, scalar_factor
from bracketc.ir.build import is_zero, product
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Compare,
    Delta,
    Derivative,
    Differential,
    Einsum,
    Gather,
    Labels,
    Linalg,
    Literal,
    Node,
    Number,
    Overlap,
    Pointwise,
    Project,
    Range,
    Recurrence,
    Reduce,
    Scatter,
    Select,
    Size,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.printer import label_text

Line = tuple[str, str, str]

_VARIABLES = "tsrkmnijl"


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a bracket as it was written; one that is ``loose`` takes parentheses before its labels."""

    text: str
    labels: Labels
    loose: bool = False
    is_delta: bool = False


@dataclass(frozen=True, slots=True)
class Bracket:
    """A bracket as it was written: its text, its factors, the labels of the result, the size of every label."""

    text: str
    factors: tuple[Factor, ...]
    output: Labels
    extents: tuple[str, ...]


class Display:
    """Texts of nodes under one notation and one choice of names."""

    def __init__(
        self,
        notation: Notation,
        naming: Naming,
        form: FormName = "auto",
        step: str | None = None,
        texts: Mapping[Node, Text] | None = None,
    ) -> None:
        self.notation = notation
        self.naming = naming
        self.form: FormName = form
        self.step = step  # the variable of the loop that the nodes belong to
        self._given: dict[Node, Text] = dict(texts or {})
        self._constants = {name: node.value for node, name in naming.names.items() if isinstance(node, Literal)}
        self._texts: dict[tuple[Node, bool], Text] = {}
        self.wanted: list[tuple[str, Node]] = []
        self.brackets: list[Bracket] = []  # as they were written, in loops, too, and those of texts that were given up
        self._defined_now: Node | None = None  # whose right side is written: what it is called by is its left side
        self._sized = True  # whether ones at the outside must say their size, because nothing beside them does

    # ------------------------------------------------------------------------------------------ equations
    def define(self, left: str, node: Node) -> None:
        """Ask for the equation ``left = node``."""
        self.wanted.append((left, node))

    def lines(self, roots: Sequence[Node], condition: str = "") -> list[Line]:
        """All equations, in the order in which they can be read."""
        lines: list[Line] = []
        pending: dict[Node, list[str]] = {}
        for left, node in self.wanted:
            pending.setdefault(node, []).append(left)
        given = {node for node in pending if self.naming.is_named(node)}
        expanded = {node for node in pending if node not in given or self._symbol(node) in pending[node]}
        for node in self.naming.choose(roots, expanded):
            if isinstance(node, Recurrence):
                lines.extend(self._loop(node))
            if node in self.naming.chosen:
                lines.append((self._symbol(node), self._defined(node), condition))
            lefts = pending.get(node, [])
            for number, left in enumerate(lefts):
                if node in self.naming.chosen or (node in given and left != self._symbol(node)):
                    lines.append((left, self._symbol(node), condition))
                elif number:
                    lines.append((left, lefts[0], condition))
                elif not isinstance(node, Project) or left != self.text(node).text:  # else the loop said it
                    lines.append((left, self._defined(node), condition))
        return lines

    def _symbol(self, node: Node) -> str:
        name = self.notation.name(self.naming.names[node])
        return (name if self.step is None else self.notation.index(name, [self.step])).text

    def _defined(self, node: Node) -> str:
        """The right side for a node, which itself may have a name."""
        outer, self._defined_now = self._defined_now, node
        text = self._compute(node).text
        self._defined_now = outer
        return text

    def is_called(self, node: Node) -> bool:
        """Whether ``node`` is called by a name here."""
        return self.naming.is_named(node) and node is not self._defined_now

    # ------------------------------------------------------------------------------------------ texts
    def text(self, node: Node, sized: bool = True) -> Text:
        """The text of ``node`` where it is used: its name if it has one."""
        found = self._given.get(node) or self._texts.get((node, sized))
        if found is None:
            if self.naming.is_named(node) and not isinstance(node, Tensor):
                found = Text(self._symbol(node))
            else:
                outer, self._sized = self._sized, sized
                found = self._compute(node)
                self._sized = outer
            self._texts[node, sized] = found
        return found

    def _compute(self, node: Node) -> Text:
        form = form_of(node)
        if form is not None:
            text = self.notation.call(form.function, [self.text(arg) for arg in form.args], form.kept)
            if form.kept != tuple(range(1, len(form.kept) + 1)):  # a mapped function gives the axes that it keeps first
                found = [*form.kept, *(axis for axis in range(1, node.rank + 1) if axis not in form.kept)]
                order = [found.index(axis) + 1 for axis in range(1, node.rank + 1)]
                text = self.notation.transpose(text) if node.rank == 2 else self.notation.permuted(text, order)
            return self.notation.call("ln", [text]) if form.logarithm else text
        return _RULES[type(node)](self, node)

    def writer(self) -> Writer:
        return Writer(self.notation, self.text, self.naming.is_named, self.form, self._sized, self._note, self._constants)

    def _note(self, node: Einsum, tensors: Sequence[tuple[Node, Labels]], written: Text) -> None:
        factors = []
        for factor, labels in tensors:
            text = self.text(factor)
            factors.append(Factor(text.text, labels, text.level < POSTFIX or text.negative, isinstance(factor, Delta)))
        extents = tuple(self.notation.size(extent).text for extent in node.extents)
        self.brackets.append(Bracket(written.body, tuple(factors), node.output, extents))

    def scalar_or_text(self, node: Node) -> Text:
        """The text of ``node``, or of the scalar that it repeats."""
        return _spread_scalar(self, node) if is_spread(node) and not self.naming.is_named(node) else self.text(node)

    def entry(self, dim: Dim) -> str:
        """A number counted from 1 as an entry of an index."""
        return str(dim).replace(" + ", "+").replace(" - ", "-")

    def on_axis(self, text: Text, rank: int, axis: int, entry: str) -> Text:
        """``text`` indexed on one axis, whole along the others."""
        entries = [self.notation.whole] * rank
        entries[axis] = entry
        while axis == 0 and len(entries) > 1:
            entries.pop()
        return self.notation.index(text, entries)

    def placed(self, extent: Dim, place: str, position: str, operand: str, labels: Sequence[str]) -> Text:
        """The bracket that puts entries of ``operand`` where its label ``place`` is ``position``."""
        row = self.notation.entry_of_identity(extent, (place, position))
        return self.notation.bracket(self.notation.entries([row, operand], ()), labels)

    # ------------------------------------------------------------------------------------------ loops
    def _loop(self, node: Recurrence) -> list[Line]:
        """The equations of a loop: starts, shared parts of a step, steps."""
        variable = self._variable()
        before = f"{variable}+1" if node.reverse else f"{variable}-1"
        length = self.entry(node.length)
        outside = self.entry(node.length + 1) if node.reverse else "0"
        first, last = (length, "1") if node.reverse else ("1", length)
        names = self._result_names(node)
        count = len(node.carries)
        parameters = node.body.parameters
        lines: list[Line] = []
        inner: dict[Node, Text] = {}
        for name, parameter, start in zip(names, parameters, node.carries, strict=False):
            state = self.notation.name(name)
            first_value = "0" if is_zero(start) else self.text(start).text
            lines.append((self.notation.index(state, [outside]).text, first_value, ""))
            inner[parameter] = self.notation.index(state, [before])
        for parameter, stack in zip(parameters[count:], node.xs, strict=False):
            inner[parameter] = self._slice(stack, Dim.named(variable))
        for parameter, value in zip(parameters[count + len(node.xs) :], node.consts, strict=True):
            inner[parameter] = self.text(value)
        own = self.naming
        naming = Naming(dict(own.names), own.fresh, self.form, loops=own.loops, taken=own.taken)
        body = Display(self.notation, naming, self.form, variable, inner)
        body.brackets = self.brackets
        condition = self.notation.range(variable, first, last)
        for number, (name, result) in enumerate(zip(names, node.body.results, strict=True)):
            if name in names[:number] or (number >= count and name in names[:count]):
                continue  # a stack of states, or of what another one stacks
            left = self.notation.index(self.notation.name(name), [variable]).text
            if result in inner:
                lines.append((left, inner[result].text, condition))
                continue
            body.define(left, result)
            naming.names.setdefault(result, name)
        return [*lines, *body.lines([result for _, result in body.wanted], condition)]

    def _variable(self) -> str:
        taken = set(self.naming.names.values()) | ({self.step} if self.step else set())
        return next(v for v in _VARIABLES if v not in taken)

    def _result_names(self, node: Recurrence) -> list[str]:
        """A name for each result: of the state for a carry, of the stack for the others."""
        found = self.naming.loops.get(node)
        if found is not None:
            return found
        count = len(node.carries)
        results = node.body.results
        known = {p.index: name for p, name in self.naming.names.items() if isinstance(p, Project) and p.arg is node}
        names: list[str] = []
        for number, result in enumerate(results):
            same = [m for m, other in enumerate(results) if other is result and (m >= count or m == number)]
            given = [known[m] for m in same if m in known]
            if number >= count and result in results[:count]:
                names.append(names[results.index(result)])
            elif number >= count and number not in known and self._is_before(node, number):
                names.append(names[[p is result for p in node.body.parameters].index(True)])
            elif number >= count and result in results[count:number]:
                names.append(names[count + results[count:number].index(result)])
            else:
                names.append(given[-1] if given else self.naming.fresh(result.rank))
        self.naming.loops[node] = names
        return names

    def _is_before(self, node: Recurrence, number: int) -> bool:
        """Whether a result stacks the states before each step, and is shown slice by slice only: as Z[t-1]."""
        if node.body.results[number] not in node.body.parameters[: len(node.carries)]:
            return False
        return all(p.arg is not node or p.index != number for p in self.naming.whole if isinstance(p, Project))

    def _slice(self, node: Node, step: Dim) -> Text:
        """Slice ``step`` (counted from 1) of a stack."""
        if isinstance(node, Window) and node.axis == 0 and node.steps == (1,) and not self.naming.is_named(node):
            return self._slice(node.arg, step + node.offset)
        if isinstance(node, Project) and node.index >= len(node.arg.carries) and not self.naming.is_named(node):
            loop = node.arg
            name = self.notation.name(self._result_names(loop)[node.index])
            if self._is_before(loop, node.index):
                step = step + 1 if loop.reverse else step - 1
            return self.notation.index(name, [self.entry(step)])
        return self.notation.index(self.text(node), [self.entry(step)])


# --------------------------------------------------------------------------------------------------- one rule a node
def _tensor(d: Display, node: Tensor) -> Text:
    return d.notation.name(d.naming.names.get(node, node.name))


def _literal(d: Display, node: Literal) -> Text:
    return d.notation.number(node.value)


def _size(d: Display, node: Size) -> Text:
    return d.notation.size(node.dim)


def _range(d: Display, node: Range) -> Text:
    return d.notation.call("range", [d.notation.size(node.extent)])


def _delta(d: Display, node: Delta) -> Text:
    return d.notation.identity(node.extent)


def _einsum(d: Display, node: Einsum) -> Text:
    if len(node.factors) == 1 and node.operands[0].dtype == "boolean" and by_entries(d, node.operands[0]):
        if node.coefficient == 1 and len(node.extents) == len(node.output):
            return compare_text(d, node)
    return bracket_form(node, d.writer())


def _common(d: Display, terms: Sequence[Node]) -> tuple[Text, list[Text]] | None:
    """A scalar that stands in front of every term, and the terms without it: (1/N) (Y - Z)."""
    first = terms[0]
    if not isinstance(first, Einsum) or d.naming.is_named(first):
        return None
    scalars = split(first)[0]
    size: Number = first.coefficient if first.coefficient >= 0 else product(Fraction(-1), first.coefficient)
    if not scalars and size == 1:
        return None
    rest: list[Text] = []
    for term in terms:
        if not isinstance(term, Einsum) or d.naming.is_named(term) or is_spread(term):
            return None
        front, tensors = split(term)
        if abs(term.coefficient) != size or front != scalars or (not tensors and not term.rank):
            return None
        body = tensor_part(term, tensors, d.writer())
        rest.append(d.notation.negative(body) if term.coefficient < 0 else body)
    return scalar_factor(size, scalars, d.writer()), rest


def _add(d: Display, node: Add) -> Text:
    spread = [term for term in node.terms if is_spread(term)]
    terms = [term for term in node.terms if not is_spread(term)]
    if not terms:
        total = d.notation.sum([_spread_scalar(d, term) for term in spread])
        return d.notation.scaled(total, d.notation.ones(node.shape, sized=True))
    common = None if spread else _common(d, terms)
    if common is not None:
        front, rest = common
        ordered = sorted(rest, key=lambda text: text.negative)
        if all(text.negative for text in ordered):
            front, ordered = d.notation.negative(front), [d.notation.negative(text) for text in ordered]
        elif rest[0].negative and len(rest) == 2:  # -(1/N) (Y - Z) for a sum that begins with -Y
            front, ordered = d.notation.negative(front), [d.notation.negative(text) for text in rest]
        return d.notation.scaled(front, d.notation.sum(ordered))
    sized = all(is_loose(term) for term in terms)
    texts = sorted((d.text(term, sized) for term in terms), key=lambda text: text.negative)
    return d.notation.sum(texts, [_spread_scalar(d, term) for term in spread])


def _spread_scalar(d: Display, node: Node) -> Text:
    assert isinstance(node, Einsum)
    return scalar_factor(node.coefficient, split(node)[0], d.writer())


def _pointwise(d: Display, node: Pointwise) -> Text:
    if node.function == "power":
        assert node.exponent is not None
        if node.exponent == Fraction(1, 2):
            return d.notation.call("sqrt", [d.text(node.args[0])])
        if node.rank == 0 and node.exponent == -1:
            return d.notation.quotient(ONE, d.text(node.args[0]))
        return d.notation.power(d.text(node.args[0]), node.exponent)
    if len(node.args) > 1 and not all(is_spread(arg) for arg in node.args):
        return d.notation.call(node.function, [d.scalar_or_text(arg) for arg in node.args])
    return d.notation.call(node.function, [d.text(arg) for arg in node.args])


def _reduce(d: Display, node: Reduce) -> Text:
    operand = d.text(node.arg)
    kept = [axis for axis in range(node.arg.rank) if axis not in node.axes]
    if not kept and (node.operator != "logsumexp" or node.arg.rank == 1):
        return d.notation.call(node.operator, [operand])
    if len(node.axes) == 1:
        return d.notation.call(node.operator, [operand], [axis + 1 for axis in kept])
    labels = [label_text(axis) for axis in range(node.arg.rank)]
    inner = d.notation.labelled(operand, labels)
    body = d.notation.reduction(node.operator, [labels[axis] for axis in node.axes], inner)
    return d.notation.bracket(body, [labels[axis] for axis in kept])


def _window(d: Display, node: Window) -> Text:
    operand, rank = d.text(node.arg), node.arg.rank
    if isinstance(node.arg, Project) and not d.naming.is_named(node.arg) and node.axis == 0 and not node.extents:
        return d._slice(node.arg, node.offset + 1)
    if not node.extents:
        return d.on_axis(operand, rank, node.axis, d.entry(node.offset + 1))
    if len(node.extents) == 1 and node.steps == (1,):
        first, last = node.offset + 1, node.offset + node.extents[0]
        entries = [d.notation.whole] * rank
        entries[node.axis] = d.notation.slice(d.entry(first), d.entry(last))
        return d.notation.index(operand, entries)
    labels = d.naming.entry_labels(node.rank)
    own = labels[node.axis : node.axis + len(node.steps)]
    position = node.offset + 1 - sum(node.steps)
    for label, step in zip(own, node.steps, strict=True):
        position = position + Dim.named(label) * step
    entries = [*labels[: node.axis], d.entry(position), *labels[node.axis + len(node.steps) :]]
    factors = [d.notation.index(operand, entries).text]
    if d.notation.reads_back:  # a label of a sum runs as far as it is told to
        for label, extent in zip(own, node.extents, strict=True):
            factors.append(d.notation.labelled(d.notation.ones((extent,), sized=True), [label]))
    return d.notation.bracket(d.notation.entries(factors, ()), labels)


def _overlap(d: Display, node: Overlap) -> Text:
    """What was put into zeros, with the rows of an identity that say where.

    eye(N)![·,2..N] @ x          eye(T)![T] Z          (eye(N)![i,j+k-1] E_jk | i)
    """
    labels = d.naming.entry_labels(node.rank + len(node.steps))
    place, inner = labels[node.axis], labels[node.rank :]
    if not node.steps and (node.rank == 1 or node.axis in (0, node.rank - 1)):
        row = d.notation.index(d.notation.identity(node.extent), [d.entry(node.offset + 1)])
        if node.rank == 1:
            return row if _is_one(node.arg) else d.notation.scaled(d.text(node.arg), row)
        operands, ranks = [row, d.text(node.arg)], [1, node.rank - 1]
        if node.axis:
            operands, ranks = operands[::-1], ranks[::-1]
        return d.notation.formal_product(operands, ranks)
    if node.steps == (1,):
        return _put_slice(d, node, labels)
    position = node.offset + 1 - sum(node.steps)
    for label, step in zip(inner, node.steps, strict=True):
        position = position + Dim.named(label) * step
    own = [*labels[: node.axis], *inner, *labels[node.axis + 1 : node.rank]]
    return d.placed(node.extent, place, d.entry(position), d.notation.labelled(d.text(node.arg), own), labels[: node.rank])


def _put_slice(d: Display, node: Overlap, labels: Sequence[str]) -> Text:
    """The columns of an identity that the slice fills, times the slice; its rows where the slice is along the columns."""
    last = node.offset + node.arg.shape[node.axis]
    slice = d.notation.slice(d.entry(node.offset + 1), d.entry(last))
    rows = d.form not in ("index", "bracket") and node.rank == 2 and node.axis == 1
    entries = [slice, d.notation.whole] if rows else [d.notation.whole, slice]
    identity = d.notation.index(d.notation.identity(node.extent), entries)
    if d.form not in ("index", "bracket") and node.rank <= 2:
        return d.notation.matrix_product([d.text(node.arg), identity] if rows else [identity, d.text(node.arg)])
    place, inner = labels[node.axis], labels[node.rank]
    own = [*labels[: node.axis], inner, *labels[node.axis + 1 : node.rank]]
    factors = [d.notation.labelled(identity, [place, inner]), d.notation.labelled(d.text(node.arg), own)]
    return d.notation.bracket(d.notation.entries(factors, ()), labels[: node.rank])


def _is_one(node: Node) -> bool:
    return isinstance(node, Literal) and node.value == 1


def _gather(d: Display, node: Gather) -> Text:
    return d.notation.index(d.text(node.arg), [d.text(node.index).text])


def _scatter(d: Display, node: Scatter) -> Text:
    labels = d.naming.entry_labels(node.rank + node.index.rank)
    inner = labels[node.rank :]
    index = d.notation.index(d.text(node.index), inner) if inner else d.text(node.index)
    operand = d.notation.labelled(d.text(node.arg), [*inner, *labels[1 : node.rank]])
    return d.placed(node.extent, labels[0], index.text, operand, labels[: node.rank])


def _stack(d: Display, node: Stack) -> Text:
    return d.notation.call("stack", [d.text(term) for term in node.terms])


_LINALG = {"cholesky": "chol", "solve_lower": "solve", "solve_upper": "solve"}


def _linalg(d: Display, node: Linalg) -> Text:
    kept = list(range(1, node.args[0].rank - 1))
    return d.notation.call(_LINALG.get(node.operator, node.operator), [d.text(arg) for arg in node.args], kept)


def _project(d: Display, node: Project) -> Text:
    loop = node.arg
    count = len(loop.carries)
    name = d.notation.name(d._result_names(loop)[node.index])
    if node.index < count:
        return d.notation.index(name, ["1" if loop.reverse else d.entry(loop.length)])
    return name


def _derivative(d: Display, node: Derivative) -> Text:
    kind = "jacobian" if node.layout == "jacobian" else "gradient"
    return Text(d.notation.derivative(kind, d.text(node.output).text, [d.text(node.point).text]))


def _differential(d: Display, node: Differential) -> Text:
    points = [d.text(point).text for point in node.points]
    return Text(f"d[{','.join(points)}]({d.text(node.output).text})")


_RULES: dict[type[Node], Callable[[Display, Any], Text]] = {
    Tensor: _tensor,
    Literal: _literal,
    Size: _size,
    Range: _range,
    Delta: _delta,
    Einsum: _einsum,
    Add: _add,
    Pointwise: _pointwise,
    Compare: compare_text,
    Select: select_text,
    Reduce: _reduce,
    Window: _window,
    Overlap: _overlap,
    Gather: _gather,
    Scatter: _scatter,
    Stack: _stack,
    Linalg: _linalg,
    Project: _project,
    Derivative: _derivative,
    Differential: _differential,
}
