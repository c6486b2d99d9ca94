"""The builtin functions: element-wise ones, and those of whole tensors, which leading axes may map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from bracketc.errors import Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Linalg, Node, Pointwise, Reduce, Stack
from bracketc.ir.stacking import merged
from bracketc.lang import words
from bracketc.lang.scope import Scope
from bracketc.lang.sums import align
from bracketc.lang.term import unify
from bracketc.lang.values import Value, closed, kind_of, retyped

ARITY = {"max": 2, "min": 2, "pow": 2}
"""Arguments of element-wise functions that take more than one."""


def elementwise_node(name: str, args: Sequence[Node]) -> Node:
    """An element-wise function of nodes of one shape, scalars among them spread."""
    if name == "gelu":
        (x,) = args
        inner = build.pointwise("erf", build.scale(math.sqrt(0.5), x))
        half = build.fill(Fraction(1, 2), x.shape)
        return build.multiply(x, build.add([half, build.scale(Fraction(1, 2), inner)]))
    return build.pointwise(name, *args)


def elementwise(name: str, values: Sequence[tuple[Value, Span]], scope: Scope, span: Span) -> Value:
    """An element-wise function of tensors of one shape, and of scalars beside them."""
    count = ARITY.get(name, 1)
    if len(values) != count:
        arguments = "argument" if count == 1 else "arguments"
        scope.run.problems.error(f"{name} takes {count} {arguments}, found {len(values)}", span)
    rank = max(value.rank for value, _ in values)
    tensors = [(value, place) for value, place in values if value.rank]
    for value, place in tensors:
        if value.rank != rank:
            scope.run.problems.error(
                f"{name} of {kind_of(values[0][0].rank)} and {kind_of(values[1][0].rank)}",
                place,
                "its arguments have one shape, or are scalars",
            )
    if not tensors:
        return closed(elementwise_node(name, [value.node for value, _ in values]))
    aligned, rows, shape = align(tensors, scope, name)
    rest = iter(aligned)
    nodes = [next(rest).node if value.rank else build.broadcast(value.node, shape, ()) for value, _ in values]
    return Value(elementwise_node(name, nodes), rows)


def reduce_axes(operation: str, node: Node, axes: tuple[int, ...]) -> Node:
    """``sum mean max min prod logsumexp norm norm2`` over ``axes``."""
    if operation in ("norm", "norm2"):
        kept = [axis for axis in range(node.rank) if axis not in axes]
        square = build.einsum(1, [(node, range(node.rank))] * 2, kept)
        return square if operation == "norm2" else build.power(square, Fraction(1, 2))
    if not axes:
        return node
    if operation in ("sum", "mean"):
        kept = [axis for axis in range(node.rank) if axis not in axes]
        factors: list[tuple[Node, Sequence[int]]] = [(node, range(node.rank))]
        if operation == "mean":
            factors += [(build.reciprocal(build.size(node.shape[axis])), ()) for axis in axes]
        return build.einsum(1, factors, kept)
    return Reduce(operation, node, axes)


def softmax_axes(node: Node, axes: tuple[int, ...]) -> Node:
    """``exp(a - logsumexp(a))``, which never overflows."""
    kept = [axis for axis in range(node.rank) if axis not in axes]
    scale = build.broadcast(Reduce("logsumexp", node, axes), node.shape, kept)
    return Pointwise("exp", (build.subtract(node, scale),))


def tensor_function(name: str, args: Sequence[tuple[Value, Span]], lead: int, scope: Scope, span: Span) -> Value:
    """A function of whole tensors, mapped over the first ``lead`` axes of its first argument."""
    problems = scope.run.problems
    if name == "stack":
        return _stack(args, lead, scope, span)
    if name in ("eye", "range"):
        problems.error(f"{name} is not mapped over dimensions", span, f"{name}(N) takes a size alone")
    count = 2 if name == "solve" else 1
    if len(args) != count:
        help = ""
        if name in words.REDUCTIONS:
            help = f"over one dimension: {name}[j](A_ij) in an index bracket, or {name}^1(A) for each row"
        problems.error(f"{name} takes {count} argument{'s' if count > 1 else ''}, found {len(args)}", span, help)
    value, place = args[0]
    own = value.rank - lead
    wanted = _RANKS.get(name)
    if wanted is not None and own != wanted:
        help = ""
        if name in ("softmax", "logsumexp") and own > wanted:
            help = f"map it over the rows: {name}^1({place.text})"
        elif name == "diag" and own == 2:
            help = f"the diagonal of a matrix is {place.text}_{{[12]}}"
        elif own > wanted:
            help = f"map it over the leading dimensions: {name}^{'123456789'[: max(1, own - wanted)]}(…)"
        problems.error(f"{name} takes {kind_of(wanted)}, found {kind_of(own)}: {place.text}", place, help)
    if name in _SQUARE:
        shape = value.node.shape[lead:]
        unify(scope.run, (shape[0], place), (shape[1], place), f"the matrix of {name}", place)
    return closed(_TENSOR[name](value.node, lead, args, scope, span))


def _all(node: Node, lead: int) -> tuple[int, ...]:
    return tuple(range(lead, node.rank))


def _reduction(operation: str) -> Callable[..., Node]:
    def rule(node: Node, lead: int, *_: object) -> Node:
        return reduce_axes(operation, node, _all(node, lead))

    return rule


def _softmax(node: Node, lead: int, *_: object) -> Node:
    return softmax_axes(node, _all(node, lead))


def _norm2(node: Node, lead: int, *_: object) -> Node:
    labels = range(node.rank)
    return build.einsum(1, [(node, labels), (node, labels)], range(lead))


def _norm(node: Node, lead: int, *_: object) -> Node:
    return build.power(_norm2(node, lead), Fraction(1, 2))


def _trace(node: Node, lead: int, *_: object) -> Node:
    return build.einsum(1, [(node, (*range(lead), "i", "i"))], range(lead))


def _linalg(operator: str) -> Callable[..., Node]:
    def rule(node: Node, *_: object) -> Node:
        return Linalg(operator, (node,))

    return rule


def _cholesky(node: Node, lead: int, *_: object) -> Node:
    swapped = (*range(lead), lead + 1, lead)
    half = Fraction(1, 2)
    return Linalg("cholesky", (build.add([build.scale(half, node), build.scale(half, build.permute(node, swapped))]),))


def _solve(node: Node, lead: int, args: Sequence[tuple[Value, Span]], scope: Scope, span: Span) -> Node:
    """Mapped, every matrix is solved with the same right-hand side."""
    right, place = args[1]
    if right.rank not in (1, 2):
        scope.run.problems.error(f"solve takes a vector or a matrix on the right, found {kind_of(right.rank)}", place)
    unify(
        scope.run,
        (node.shape[-1], args[0][1]),
        (right.node.shape[0], place),
        "the inner dimension of solve",
        place,
    )
    lengths = (node.shape[-1], right.node.shape[1] if right.rank == 2 else Dim.of(1))
    columns = build.broadcast(right.node, (*node.shape[:lead], *lengths), range(lead, lead + right.rank))
    solved = Linalg("solve", (node, columns))
    labels = tuple(range(lead + 2))
    return solved if right.rank == 2 else build.einsum(1, [(solved, labels)], labels[:-1])


def _diag(node: Node, lead: int, *_: object) -> Node:
    size = node.shape[-1]
    labels = tuple(range(lead))
    return build.einsum(1, [(node, (*labels, "i")), (build.delta(size), ("i", "j"))], (*labels, "i", "j"))


def _vec(node: Node, lead: int, args: Sequence[tuple[Value, Span]], scope: Scope, span: Span) -> Node:
    """Columns on top of each other: entry ``i + I j`` is ``A_ij``."""
    shape = tuple(scope.run.sizes.resolve(extent) for extent in node.shape)
    return merged(retyped(node, shape), lead, node.rank - lead, first_fastest=True)


def _stack(args: Sequence[tuple[Value, Span]], lead: int, scope: Scope, span: Span) -> Value:
    if lead:
        scope.run.problems.unsupported("stack mapped over dimensions", span)
    first = args[0][0].rank
    for value, place in args:
        if value.rank != first:
            scope.run.problems.error(f"stack of {kind_of(first)} and {kind_of(value.rank)}", place, "its arguments have one shape")
    aligned, rows, shape = align(args, scope, "stack")
    return Value(Stack(tuple(retyped(value.node, shape) for value in aligned)), (False, *rows))


_RANKS = {"softmax": 1, "logsumexp": 1, "tr": 2, "det": 2, "logdet": 2, "inv": 2, "chol": 2, "solve": 2, "diag": 1}
_SQUARE = ("tr", "det", "logdet", "inv", "chol", "solve")
_TENSOR: dict[str, Callable[..., Node]] = {
    "softmax": _softmax,
    "logsumexp": _reduction("logsumexp"),
    "sum": _reduction("sum"),
    "mean": _reduction("mean"),
    "max": _reduction("max"),
    "min": _reduction("min"),
    "prod": _reduction("prod"),
    "norm": _norm,
    "norm2": _norm2,
    "tr": _trace,
    "det": _linalg("det"),
    "logdet": _linalg("logdet"),
    "inv": _linalg("inv"),
    "chol": _cholesky,
    "solve": _solve,
    "diag": _diag,
    "vec": _vec,
}
assert set(_TENSOR) | {"stack", "eye", "range"} == words.TENSOR_FUNCTIONS
