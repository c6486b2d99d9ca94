"""Pairwise contractions as the NumPy call that a person would choose.

A product that is a (batched) matrix product up to transposition and fusing of neighbouring axes becomes ``@`` on views,
with no operand copied; full contractions become ``np.vdot``; the rest is ``np.einsum`` with literal subscripts.

    (A_ij B_jk | ik)  ->  A @ B            (X_tni G_tnj | ij)  ->  X.reshape(T * N, D).T @ G.reshape(T * N, H)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bracketc.emit.expressions import ATOM, Expression, binary, call, subscript, tuple_of
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Labels, Shape

SizeText = Callable[[Dim], str]


@dataclass(frozen=True, slots=True)
class Operand:
    """An array in C order read under ``labels``, one an axis."""

    expression: Expression
    labels: Labels


@dataclass(frozen=True, slots=True)
class Computation:
    """An array-valued expression; ``call`` is the same as a function call that takes ``out=``, where there is one.

    ``wrap`` reshapes a preallocated result to what ``call`` writes; it gets and gives text.
    """

    expression: Expression
    function: str = ""
    arguments: tuple[str, ...] = ()
    out_shape: str = ""

    def into(self, out: str) -> str | None:
        """The statement that writes the value into the array ``out``, if there is a direct one."""
        if not self.function:
            return None
        target = f"{out}.reshape{self.out_shape}" if self.out_shape else out
        return f"{self.function}({', '.join(self.arguments)}, out={target})"


def contraction(left: Operand, right: Operand, output: Labels, extents: Shape, size: SizeText) -> Computation:
    """``left · right`` summed over every label outside ``output``, axes as ``output``."""
    for rule in (_outer, _full, _matrix_product, _interleaved, _rearranged):
        found = rule(left, right, output, extents, size)
        if found is not None:
            return found
    return _einsum((left, right), output)


def _plain(operand: Operand) -> bool:
    return len(set(operand.labels)) == len(operand.labels)


def _full(left: Operand, right: Operand, output: Labels, extents: Shape, size: SizeText) -> Computation | None:
    """``(A_ij B_ij | )``: the dot product of all entries."""
    if output or left.labels != right.labels or not left.labels or not _plain(left):
        return None
    if len(left.labels) == 1:
        return Computation(binary("@", left.expression, right.expression))
    return Computation(call("np.vdot", left.expression.text, right.expression.text))


def _outer(left: Operand, right: Operand, output: Labels, extents: Shape, size: SizeText) -> Computation | None:
    """``(x_i y_j | ij)``: nothing is summed, so that it is a product of broadcast arrays."""
    if not (_plain(left) and _plain(right)) or set(left.labels) | set(right.labels) != set(output):
        return None
    if not output:
        return Computation(binary("*", left.expression, right.expression))
    first, second = (aligned(arrange(o, output), output) for o in (left, right))
    return Computation(binary("*", first, second), "np.multiply", (first.text, second.text))


def arrange(operand: Operand, order: Sequence[int]) -> Operand:
    """The operand with its axes in the order in which its labels stand in ``order``, as a view."""
    wanted = tuple(label for label in order if label in operand.labels)
    return Operand(transpose(operand.expression, tuple(operand.labels.index(label) for label in wanted)), wanted)


def transpose(expression: Expression, axes: Sequence[int]) -> Expression:
    """A view with permuted axes: ``.T`` where it is one."""
    axes = tuple(axes)
    if axes == tuple(range(len(axes))):
        return expression
    if axes == tuple(reversed(range(len(axes)))):
        return Expression(f"{expression.at(ATOM - 10)}.T", ATOM - 10)
    if len(axes) > 2 and axes[:-2] == tuple(range(len(axes) - 2)):
        return Expression(f"{expression.at(ATOM - 10)}.swapaxes(-1, -2)", ATOM - 10)
    return Expression(f"{expression.at(ATOM - 10)}.transpose({', '.join(map(str, axes))})", ATOM - 10)


def aligned(operand: Operand, order: Sequence[int]) -> Expression:
    """The array with ``None`` for every label of ``order`` that it lacks behind its first one."""
    if not operand.labels:
        return operand.expression
    first = list(order).index(operand.labels[0])
    index = [":" if label in operand.labels else "None" for label in list(order)[first:]]
    if "None" not in index:
        return operand.expression
    return subscript(operand.expression, ", ".join(index))


@dataclass(frozen=True, slots=True)
class _Groups:
    """Labels by role: carried by both, summed, of the left only, of the right only."""

    batch: Labels
    summed: Labels
    rows: Labels
    columns: Labels


def _groups(left: Operand, right: Operand, output: Labels) -> _Groups | None:
    out = set(output)
    one_sided = (set(left.labels) ^ set(right.labels)) - out
    if one_sided or not (_plain(left) and _plain(right)) or not out <= set(left.labels) | set(right.labels):
        return None
    return _Groups(
        tuple(x for x in output if x in left.labels and x in right.labels),
        tuple(x for x in left.labels if x not in out),
        tuple(x for x in output if x in left.labels and x not in right.labels),
        tuple(x for x in output if x in right.labels and x not in left.labels),
    )


def _matrix_product(
    left: Operand, right: Operand, output: Labels, extents: Shape, size: SizeText, copies: bool = False
) -> Computation | None:
    groups = _groups(left, right, output)
    if groups is None or not groups.summed or not (groups.rows or groups.columns):
        return None
    batch, summed = groups.batch, groups.summed
    if output == batch + groups.columns + groups.rows and groups.rows and groups.columns:
        left, right = right, left
        groups = _Groups(batch, summed, groups.columns, groups.rows)
    if output != batch + groups.rows + groups.columns:
        return None
    if batch and not (groups.rows and groups.columns):
        return None
    first = _matrix(left, batch, groups.rows, summed, extents, size, copies)
    second = _matrix(right, batch, summed, groups.columns, extents, size, copies)
    if first is None or second is None:
        return None
    product = binary("@", first, second)
    shape = ""
    if len(groups.rows) > 1 or len(groups.columns) > 1:
        product = Expression(f"({product.text}).reshape{_shape(output, extents, size)}", ATOM - 10)
        shape = tuple_of(
            [size(extents[x]) for x in batch] + [_extent(g, extents, size) for g in (groups.rows, groups.columns) if g]
        )
    return Computation(product, "np.matmul", (first.text, second.text), shape)


def _interleaved(left: Operand, right: Operand, output: Labels, extents: Shape, size: SizeText) -> Computation | None:
    """A matrix product whose rows and columns stand mixed in the output: a view of one that has them in order."""
    groups = _groups(left, right, output)
    if groups is None or len(output) < 3:
        return None
    rows = tuple(label for label in left.labels if label in groups.rows)
    columns = tuple(label for label in right.labels if label in groups.columns)
    order = (*groups.batch, *rows, *columns)
    found = _matrix_product(left, right, order, extents, size)
    if found is None:
        return None
    return Computation(transpose(found.expression, [order.index(label) for label in output]))


def _rearranged(left: Operand, right: Operand, output: Labels, extents: Shape, size: SizeText) -> Computation | None:
    """A matrix product of copies that have rows, sums and columns side by side: loops over entries would take longer."""
    groups = _groups(left, right, output)
    if groups is None or not (groups.rows and groups.columns):
        return None
    rows = tuple(label for label in left.labels if label in groups.rows)
    columns = tuple(label for label in right.labels if label in groups.columns)
    order = (*groups.batch, *rows, *columns)
    found = _matrix_product(left, right, order, extents, size, copies=True)
    return None if found is None else Computation(transpose(found.expression, [order.index(label) for label in output]))


def _matrix(
    operand: Operand, batch: Labels, rows: Labels, columns: Labels, extents: Shape, size: SizeText, copies: bool = False
) -> Expression | None:
    """The operand as a view ``batch × rows × columns``, an empty group no axis; where that needs a copy, ``None`` without
    ``copies``."""
    if len(rows) <= 1 and len(columns) <= 1:
        wanted = batch + rows + columns
        return transpose(operand.expression, [operand.labels.index(label) for label in wanted])
    if copies and operand.labels not in (batch + rows + columns, batch + columns + rows):
        operand = arrange(operand, batch + rows + columns)
    if operand.labels[: len(batch)] != batch:
        return None
    rest = operand.labels[len(batch) :]
    lead = [size(extents[x]) for x in batch]
    if rest == rows + columns:
        parts, swapped = [rows, columns], False
    elif rest == columns + rows:
        parts, swapped = [columns, rows], True
    else:
        return None
    shape = tuple_of(lead + [_extent(part, extents, size) for part in parts if part])
    flat = Expression(f"{operand.expression.at(ATOM - 10)}.reshape{shape}", ATOM - 10)
    if swapped and rows and columns:
        return Expression(f"{flat.text}.swapaxes(-1, -2)" if batch else f"{flat.text}.T", ATOM - 10)
    return flat


def _extent(labels: Labels, extents: Shape, size: SizeText) -> str:
    total = Dim.of(1)
    for label in labels:
        total = total * extents[label]
    return size(total)


def _shape(labels: Labels, extents: Shape, size: SizeText) -> str:
    return tuple_of([size(extents[label]) for label in labels])


_LETTERS = "ijklmnopqrstuvwxyzabcdefghABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _einsum(operands: Sequence[Operand], output: Labels) -> Computation:
    letters: dict[int, str] = {}
    for label in (*output, *(label for o in operands for label in o.labels)):
        letters.setdefault(label, _LETTERS[len(letters)])
    inputs = ",".join("".join(letters[x] for x in o.labels) for o in operands)
    subscripts = f'"{inputs}->{"".join(letters[x] for x in output)}"'
    arguments = (subscripts, *(o.expression.text for o in operands))
    return Computation(call("np.einsum", *arguments), "np.einsum", arguments)


def einsum(operands: Sequence[Operand], output: Labels) -> Computation:
    """``np.einsum`` with literal subscripts; every label of ``output`` is carried by an operand."""
    return _einsum(operands, output)
