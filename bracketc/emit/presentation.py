"""What is rewritten for readers only, before formulas are printed: the meaning stays, the cost of computing may not.

    A_ij x_j + A_ji x_j   ->   (A + A^T)_ij x_j          a part of Z^T, where Z has a name   ->   a part of that name
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

from bracketc.emit.forms import form_of, single_column
from bracketc.ir.build import add, einsum, permute
from bracketc.ir.nodes import Add, Einsum, Labels, Node
from bracketc.ir.rewrite import Roots, map_nodes
from bracketc.simplify.brackets import is_exact_one

MOST_TERMS = 60
"""Terms of a sum that are compared with each other."""


def presented(roots: Sequence[Node], names: Mapping[Node, str]) -> tuple[tuple[Node, ...], dict[Node, str]]:
    """``roots`` as they are printed, and the names of their nodes."""
    aliases = _aliases(names)

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        used = operands
        if aliases and not (node in names and _inner(node) in aliases):  # a name is defined by what it rearranges
            used = tuple(aliases.get(old, new) for old, new in zip(node.operands, operands, strict=True))
        new = node if used == node.operands else node.rebuild(used)
        if isinstance(new, Einsum):
            inner = _inner(new)
            if isinstance(inner, Add) and inner not in names and form_of(inner) is None:
                return collected(rearranged(new, inner), names)
            return squeezed(new)
        return collected(new, names) if form_of(new) is None else new

    found, memo = map_nodes(Roots(tuple(roots)), visit)
    known = dict(names)
    for old, new in memo.items():
        if old in names:
            known.setdefault(new, names[old])
    return found.nodes, known


def _inner(node: Node) -> Node | None:
    """What ``node`` is a rearrangement of the axes of, if it is nothing else."""
    if not isinstance(node, Einsum) or len(node.factors) != 1 or not is_exact_one(node.coefficient):
        return None
    ((inner, labels),) = node.factors
    return inner if sorted(labels) == sorted(node.output) and len(set(labels)) == len(labels) else None


def _aliases(names: Mapping[Node, str]) -> dict[Node, Node]:
    """Nodes without a name of which a rearrangement has one, as rearrangements of that."""
    found: dict[Node, Node] = {}
    for node in names:
        inner = _inner(node)
        if inner is not None and inner not in names and inner not in found:
            assert isinstance(node, Einsum)
            ((_, labels),) = node.factors
            found[inner] = permute(node, [node.output.index(label) for label in labels])
    return found


# --------------------------------------------------------------------------------------------------- solves
def squeezed(node: Einsum) -> Node:
    """Solves of one right side as vectors.

    (P_ij solve(A, b)_kl | ijk) over l: 1  ->  (P_ij solve(A, b)_k | ijk)
    """
    if len(node.factors) < 2 or not any(single_column(factor) for factor in node.operands):
        return node
    thin = {labels[1] for factor, labels in node.factors if single_column(factor)} - set(node.output)
    for factor, labels in node.factors:
        if not single_column(factor):
            thin -= set(labels)
        else:
            thin -= {labels[0]}
    if not thin:
        return node
    factors: list[tuple[Node, Labels]] = []
    for factor, labels in node.factors:
        if single_column(factor) and labels[1] in thin:
            factors.append((einsum(1, [(factor, (0, 1))], (0,)), labels[:1]))
        else:
            factors.append((factor, labels))
    extents = {label: extent for label, extent in enumerate(node.extents) if label not in thin}
    return einsum(node.coefficient, factors, node.output, extents)


# --------------------------------------------------------------------------------------------------- sums
def rearranged(node: Einsum, inner: Add) -> Node:
    """A sum of rearrangements for the rearrangement of a sum: (A + b 𝟏)^T  ->  A^T + 𝟏 b."""
    ((_, labels),) = node.factors
    order = [labels.index(label) for label in node.output]
    found: list[Node] = []
    for term in inner.terms:
        if isinstance(term, Einsum):
            output = [term.output[axis] for axis in order]
            found.append(einsum(term.coefficient, term.factors, output, dict(enumerate(term.extents))))
        else:
            found.append(permute(term, order))
    return add(found)


def collected(node: Node, names: Mapping[Node, str]) -> Node:
    """Terms that differ by one factor alone as one product with a sum.

    A_ij x_j + A_ji x_j  ->  (A + A^T)_ij x_j          A_ij B_ij + 2 A_ij C_ij  ->  A_ij (B + 2 C)_ij
    """
    if not isinstance(node, Add) or len(node.terms) > MOST_TERMS:
        return node
    terms: list[Node] = list(node.terms)
    place = 0
    while place < len(terms):
        first = terms[place]
        for other in range(place + 1, len(terms)):
            together = _together(first, terms[other], names)
            if together is not None:
                terms[place] = together
                del terms[other]
                break
        else:
            place += 1
    return add(terms) if len(terms) < len(node.terms) else node


def _together(left: Node, right: Node, names: Mapping[Node, str]) -> Node | None:
    if not isinstance(left, Einsum) or not isinstance(right, Einsum) or left in names or right in names:
        return None
    if left.extents != right.extents or left.output != right.output or form_of(left) or form_of(right):
        return None
    shared = Counter(left.factors) & Counter(right.factors)
    if not any(labels for _, labels in shared):
        return None
    rest = [list((Counter(term.factors) - shared).elements()) for term in (left, right)]
    if any(len(factors) != 1 for factors in rest):
        return None
    ((one, labels),), ((two, others),) = rest
    if set(labels) != set(others) or len(set(labels)) < len(labels) or len(set(others)) < len(others) or not labels:
        return None
    if one.dtype != "real" or two.dtype != "real":
        return None
    number, ratio = left.coefficient, right.coefficient
    if isinstance(number, Fraction) and isinstance(ratio, Fraction) and abs(number) == abs(ratio):
        total = add([one, einsum(ratio / number, [(two, others)], labels)])
    else:
        total = add([einsum(number, [(one, labels)], labels), einsum(ratio, [(two, others)], labels)])
        number = Fraction(1)
    factors = [factor for factor, count in shared.items() for _ in range(count)]
    at = left.factors.index((one, labels))
    before = sum((Counter(left.factors[:at]) & shared).values())
    factors.insert(before, (total, labels))
    return einsum(number, factors, left.output, dict(enumerate(left.extents)))
