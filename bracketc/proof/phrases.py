"""Formulas shaped as people write them: products with a differential, sums of them, and how much there is to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from bracketc.ir.build import add, einsum, product
from bracketc.ir.build import total as add_numbers
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Add, Delta, Einsum, Linalg, Node, Number, Pointwise, Reduce, Size, Tensor
from bracketc.ir.rewrite import Roots, depends_on, topological
from bracketc.simplify.brackets import Factor, is_contraction, split_scale, times, with_factors
from bracketc.simplify.deltas import eliminate_delta
from bracketc.simplify.fixpoint import Rules, normalise
from bracketc.simplify.flatten import fold_bracket, pull_scalar
from bracketc.simplify.powers import simplify_power, split_size


def tidy(node: Node) -> Node:
    """Numbers and scalars in front, equal terms merged, transposes inside products; the order of terms and factors stays.

    ((0.5 E_ij | ij) E_ij | )  ->  (0.5 E_ij E_ij | )
    """
    return normalise(Roots((node,)), _TIDY).nodes[0]


def merge_equal(node: Node) -> Node:
    """Terms that differ by a number alone as one, in the place of the first: A + B + 2 A  ->  3 A + B."""
    if not isinstance(node, Add):
        return node
    numbers: dict[Node, Number] = {}
    for term in node.terms:
        number, body = split_scale(term)
        numbers[body] = add_numbers(numbers[body], number) if body in numbers else number
    if len(numbers) == len(node.terms):
        return node
    return add([times(number, body) for body, number in numbers.items()], node.shape)


def inline_scaled(node: Node) -> Node:
    """A factor that is a scaled or transposed tensor or a row, written as part of the product; of others the number in front.

    (A_ij (2 B_kj | jk)_jk | ik)  ->  (2 A_ij B_kj | ik)
    """
    if not isinstance(node, Einsum):
        return node
    if len(node.factors) == 1 and _rearranges(node) and node.factors[0][1] != node.output:
        (core, labels), *_ = node.factors
        if isinstance(core, Add):
            return add([with_factors(node, [(term, labels)]) for term in core.terms], node.shape)
        if isinstance(core, Einsum):
            names: dict[int, object] = dict(zip(core.output, labels, strict=True))
            own = [(factor, tuple(names.get(label, ("sum", label)) for label in inner)) for factor, inner in core.factors]
            sizes: dict[object, Dim] = dict(enumerate(node.extents))
            sizes |= {names.get(label, ("sum", label)): extent for label, extent in enumerate(core.extents)}
            return einsum(product(node.coefficient, core.coefficient), own, node.output, sizes)
    coefficient: Number = node.coefficient
    factors: list[Factor] = []
    for factor, labels in node.factors:
        if isinstance(factor, Einsum) and _rearranges(factor):
            coefficient = product(coefficient, factor.coefficient)
            names = dict(zip(factor.output, labels, strict=True))
            factors += [(inner, tuple(names[label] for label in own)) for inner, own in factor.factors]
            continue
        (number, scalars), rest = split_front(factor)
        coefficient = product(coefficient, number)
        factors += [*((scalar, ()) for scalar in scalars), (rest, labels)]
    return einsum(coefficient, factors, node.output, dict(enumerate(node.extents)))


def _rearranges(node: Einsum) -> bool:
    """Whether a bracket has one tensor, with each of its labels once in the result, and scalars."""
    wide = [labels for _, labels in node.factors if labels]
    if len(wide) != 1 or len(set(wide[0])) != len(wide[0]):
        return False
    row = [label for label in node.output if label not in wide[0]]
    return set(wide[0]) <= set(node.output) and all(node.extents[label].constant == 1 for label in row)


def dot(cotangent: Node, tangent: Node) -> Node:
    """``cotangent · tangent`` with scalars in front: ((1/N) A, t)  ->  (1/N) (A · t); of the identity with t, its trace."""
    node = _dot(cotangent, tangent)
    return eliminate_delta(node) if isinstance(node, Einsum) and not _is_identity(cotangent) else node


def _is_identity(node: Node) -> bool:
    return isinstance(split_front(node)[1], Delta)


def _dot(cotangent: Node, tangent: Node) -> Node:
    labels = tuple(range(tangent.rank))
    (number, scalars), rest = split_front(cotangent)
    own: list[Factor] = [(factor, ()) for factor in scalars]
    inner: list[Factor] = [(tangent, labels)]
    if isinstance(tangent, Einsum):
        others = [factor for factor in tangent.factors if factor[1]]
        sums = [f for f, free in tangent.factors if not free and isinstance(f, Einsum) and is_contraction(f)]
        if not others and not labels and len(sums) == 1:
            (core,) = sums
            own += [(factor, ()) for factor, _ in tangent.factors if factor is not core]
            number = product(product(number, tangent.coefficient), core.coefficient)
            return einsum(number, [*own, (rest, ()), *core.factors], ())
        if others or not labels:
            number = product(number, tangent.coefficient)
            own += [factor for factor in tangent.factors if not factor[1]]
            sizes = dict(enumerate(tangent.extents))
            inner = [(einsum(1, others, tangent.output, sizes), labels)] if labels else list(others)
    return einsum(number, [*own, (rest, labels), *inner], ())


def split_front(node: Node) -> tuple[tuple[Number, list[Node]], Node]:
    """The number and the scalars in front of a bracket, and the rest of it."""
    one: Number = Fraction(1)
    if not isinstance(node, Einsum):
        return (one, []), node
    rest = [factor for factor in node.factors if factor[1]]
    if not rest and node.rank:
        return (one, []), node
    scalars = [factor for factor, labels in node.factors if not labels]
    return (node.coefficient, scalars), einsum(1, rest, node.output, dict(enumerate(node.extents)))


def last(node: Node, differential: Tensor) -> Node:
    """A product of tensors of one shape with the part that varies behind the others: dh ⊙ C  ->  C ⊙ dh."""
    if not isinstance(node, Einsum) or len({labels for _, labels in node.factors if labels}) != 1:
        return node
    varying = depends_on([node], [differential])
    factors = sorted(node.factors, key=lambda factor: factor[0] in varying)
    return einsum(node.coefficient, factors, node.output, dict(enumerate(node.extents)))


def total(nodes: Sequence[Node]) -> Node:
    """The sum of scalars, in their order."""
    flat: list[Node] = []
    for node in nodes:
        flat += node.terms if isinstance(node, Add) else [node]
    return add(flat, ())


def functions(node: Node) -> Counter[str]:
    """Functions in a graph by which a stable form is recognised."""
    found: Counter[str] = Counter()
    for inner in topological([node]):
        if isinstance(inner, Pointwise) and inner.function != "power":
            found[inner.function] += 1
        elif isinstance(inner, Reduce):
            found[inner.operator] += 1
    return found


def weight(node: Node) -> int:
    """Names and functions in the text of a node, what is repeated counted again; numbers are free."""
    weights: dict[Node, int] = {}
    for inner in topological([node]):
        if isinstance(inner, Tensor | Size):
            weights[inner] = 1
        else:
            own = int(isinstance(inner, Linalg | Reduce) or (isinstance(inner, Pointwise) and inner.function != "power"))
            weights[inner] = own + sum(weights[operand] for operand in inner.operands)
    return weights[node]


_TIDY: Rules = {
    Size: (split_size,),
    Einsum: (fold_bracket, inline_scaled, eliminate_delta, pull_scalar),
    Add: (merge_equal,),
    Pointwise: (simplify_power,),
}
