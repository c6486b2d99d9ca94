"""Log-sum-exp and softmax as steps that lose no digits: the largest entry leaves before anything is rounded.

    ln Σ exp x  ->  m = max x,  e = exp (x - m),  m + ln Σ e;   softmax x  ->  e / Σ e
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from bracketc.ir import build
from bracketc.ir.nodes import REAL, Add, Einsum, Node, Pointwise, Reduce
from bracketc.plan.scalars import Scalars
from bracketc.plan.schedule import Access
from bracketc.plan.values import Value, View, put, whole

if TYPE_CHECKING:
    from bracketc.plan.lower import Lowering


def log_parts(reduced: Reduce) -> tuple[Node, Node]:
    """Nodes of which a log-sum-exp is the sum: the maxima m, and ``ln Σ exp (x - m)``.

    Kept apart they say more than their sum, whose rounding is as large as the logarithm when m is.
    """
    top = Reduce("max", reduced.arg, reduced.axes)
    return top, build.subtract(reduced, top)


def split_log(node: Node) -> Reduce | None:
    """The log-sum-exp whose second part ``node`` is."""
    if isinstance(node, Add):
        for term in node.terms:
            if isinstance(term, Reduce) and term.operator == "logsumexp" and log_parts(term)[1] is node:
                return term
    return None


def subtracted(term: Node) -> Reduce | None:
    """The log-sum-exp R(x) when ``term`` is -R(x) spread over the shape of x."""
    if not isinstance(term, Einsum) or term.coefficient != -1 or len(term.factors) != 1:
        return None
    ((reduced, labels),) = term.factors
    if not isinstance(reduced, Reduce) or reduced.operator != "logsumexp":
        return None
    kept = tuple(axis for axis in range(reduced.arg.rank) if axis not in reduced.axes)
    return reduced if labels == kept and term.output == tuple(range(reduced.arg.rank)) else None


def log_softmax(lowering: Lowering, node: Add, term: Node, reduced: Reduce) -> Value:
    """``x - R(x)`` as ``(x - m) - ln Σ exp (x - m)``: what is large leaves before anything is rounded."""
    top, logarithm = lowering.parts[reduced]
    labels = tuple(range(node.rank))
    kept = tuple(axis for axis in labels if axis not in reduced.axes)
    others = [other for other in node.terms if other is not term and other is not reduced.arg]
    scalars = Scalars()
    shift = scalars.emit("finite_or_zero", put(scalars, top, kept))
    shifted = scalars.emit("subtract", put(scalars, lowering.value(reduced.arg), labels), shift)
    number = scalars.emit("subtract", shifted, put(scalars, logarithm, kept))
    if others:
        number = scalars.emit("add", number, *(put(scalars, lowering.value(other), labels) for other in others))
    return lowering.finish(node, scalars, number, REAL)


def softmax_of(node: Pointwise) -> Reduce | None:
    """The log-sum-exp R when ``node`` is ``exp(x - R(x))``."""
    (arg, *_) = node.args
    if node.function != "exp" or not isinstance(arg, Add) or len(arg.terms) != 2:
        return None
    for x, other in (arg.terms, arg.terms[::-1]):
        reduced = subtracted(other)
        if reduced is not None and reduced.arg is x:
            return reduced
    return None


def softmax(lowering: Lowering, node: Pointwise, reduced: Reduce) -> Value:
    """exp(x - ln Σ exp x) from the exponentials that the sum has taken already: a division instead of a function."""
    shifted, summed = lowering.exponentials[reduced]
    labels = tuple(range(node.rank))
    kept = tuple(axis for axis in labels if axis not in reduced.axes)
    scalars = Scalars()
    inverse = scalars.emit("power", scalars.load(Access(summed, kept)), number=Fraction(-1))
    number = scalars.multiply([scalars.load(Access(shifted, labels)), inverse])
    return lowering.finish(node, scalars, number, REAL)


def log_sum_exp(lowering: Lowering, node: Reduce) -> Value:
    """``ln Σ exp x = m + ln Σ exp (x - m)``, where m is the largest x: no exponential overflows, and one of them is 1."""
    arg, extents = lowering.values[node.arg], node.arg.shape
    labels = tuple(range(len(extents)))
    kept = tuple(label for label in labels if label not in node.axes)
    scalars = Scalars()
    entry = put(scalars, arg, labels)
    name = f"max_{name_of(arg)}"
    top = lowering.values.setdefault(
        Reduce("max", node.arg, node.axes), whole(lowering.map(scalars, entry, extents, kept, name, REAL, "max"))
    )
    scalars = Scalars()
    shift = scalars.emit("finite_or_zero", put(scalars, top, kept))
    exponential = scalars.emit("call", scalars.emit("subtract", put(scalars, arg, labels), shift), function="exp")
    shifted = lowering.map(scalars, exponential, extents, labels, f"exp_{name_of(arg)}")
    scalars = Scalars()
    exponential = scalars.load(Access(shifted, labels))
    summed = lowering.map(scalars, exponential, extents, kept, f"sum_exp_{name_of(arg)}", REAL, "sum")
    lowering.exponentials[node] = (shifted, summed)
    scalars, outer = Scalars(), tuple(range(len(kept)))
    number = scalars.emit("call", scalars.load(Access(summed, outer)), function="ln")
    logarithm = lowering.map(scalars, number, node.shape, outer, f"log_sum_exp_{name_of(arg)}")
    lowering.parts[node] = top, whole(logarithm)
    return from_parts(lowering, node, f"lse_{name_of(arg)}")


def from_parts(lowering: Lowering, node: Reduce, otherwise: str) -> Value:
    top, logarithm = lowering.parts[node]
    scalars, labels = Scalars(), tuple(range(node.rank))
    shift = scalars.emit("finite_or_zero", put(scalars, top, labels))
    number = scalars.emit("add", shift, put(scalars, logarithm, labels))
    return whole(lowering.map(scalars, number, node.shape, labels, lowering.name(node, otherwise)))


def name_of(value: Value) -> str:
    return value.buffer.name if isinstance(value, View) else "range"
