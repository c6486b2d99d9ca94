"""The differential of one definition under a cotangent, in parts that hold one differential each.

    P of  tanh(A) @ W + 𝟏 b   ->   P · ((1 ⊖ tanh(A)**2) ⊙ dA) @ W,   P · (tanh(A) @ dW),   P · (𝟏 db)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bracketc.calculus.elementwise import BINARY, DERIVATIVES
from bracketc.calculus.forward import linearise
from bracketc.calculus.reverse import transpose
from bracketc.ir.build import einsum, literal, multiply
from bracketc.ir.nodes import Add, Einsum, Linalg, Node, Pointwise, Reduce, Tensor
from bracketc.ir.rewrite import depends_on, tensors, topological
from bracketc.proof.forms import LARGE, REPEATED, Forms
from bracketc.proof.phrases import last, weight
from bracketc.proof.presentation import Abbreviation


@dataclass(frozen=True, slots=True)
class Part:
    """``cotangent · tangent``, where the differential of ``name`` alone stands in the tangent."""

    cotangent: Node
    tangent: Node
    name: str


def parts_of(
    cotangent: Node,
    body: Node,
    variables: Mapping[str, Tensor],
    moving: Mapping[str, Tensor],
    forms: Forms,
    where: list[Abbreviation],
) -> list[Part]:
    """The parts of ``cotangent · d body``, one for each of ``variables`` in each term; ``where`` gets new abbreviations."""
    pieces = [(given, _tangents(core, variables, moving, forms)) for given, core in _pieces(cotangent, body, variables, forms)]
    uses: dict[Node, int] = {}
    for given, tangents in pieces:
        uses[given] = uses.get(given, 0) + len(tangents)
    found = []
    for given, tangents in pieces:
        if given.rank and weight(given) >= (REPEATED if uses[given] > 1 else LARGE):
            given = forms.known.get(given) or forms.named(given, where)
        found += [Part(given, tangent, name) for tangent, name in tangents]
    return found


def buried(body: Node, variables: Sequence[Tensor]) -> list[Node]:
    """Long arguments of functions that stand in products: a person calls them by a name first.

    gelu(L @ W + 𝟏 b) @ V  ->  L @ W + 𝟏 b
    """
    linked = depends_on([body], variables)
    found: dict[Node, None] = {}
    pending: list[tuple[Node, bool]] = [(body, True)]
    while pending:
        node, is_shell = pending.pop()
        inner = [operand for operand in node.operands if operand in linked]
        is_unary = isinstance(node, Pointwise) and len(node.args) == 1
        goes_on = isinstance(node, Add) or is_unary or (isinstance(node, Einsum) and len(inner) == 1)
        if not (is_shell and goes_on) and isinstance(node, Pointwise | Reduce | Linalg):
            long = [operand for operand in inner if operand.operands and weight(operand) >= REPEATED]
            found.update(dict.fromkeys(long))
            inner = [operand for operand in inner if operand not in long]
        pending += [(operand, is_shell and goes_on) for operand in inner]
    return list(found)


def _pieces(cotangent: Node, body: Node, variables: Mapping[str, Tensor], forms: Forms) -> Iterator[tuple[Node, Node]]:
    """A linear functional of ``body`` as functionals of inner parts: through sums, element-wise functions and linear maps.

    P of tanh(A)  ->  P ⊙ (1 ⊖ tanh(A)**2) of A
    """
    linked = depends_on([body], variables.values())
    pending = [(cotangent, body)]
    while pending:
        given, node = pending.pop()
        inner = [operand for operand in node.operands if operand in linked]
        if isinstance(node, Add):
            pending += [(given, term) for term in reversed(node.terms) if term in linked]
        elif isinstance(node, Pointwise) and len(node.args) == 1:
            slope = DERIVATIVES[node.function](node) if node.function in DERIVATIVES else _prime(node)
            if slope is not None:
                pending.append((forms.tidy(multiply(given, slope)), node.args[0]))
        elif isinstance(node, Einsum) and len(inner) == 1 and inner[0].operands:
            (part,) = transpose((node,), (inner[0],), (given,))
            if part is not None:
                pending.append((forms.tidy(part), inner[0]))
        else:
            yield given, node


def uses_as_it_is(body: Node, variables: Sequence[Tensor]) -> int:
    """How many parts the differential of ``body`` has whose cotangent is the one that ``body`` gets."""
    linked = depends_on([body], variables)
    count = 0
    pending = [body]
    while pending:
        node = pending.pop()
        inner = [operand for operand in node.operands if operand in linked]
        if isinstance(node, Add):
            pending += inner
        elif not isinstance(node, Pointwise) and not (isinstance(node, Einsum) and len(inner) == 1 and inner[0].operands):
            count += len(set(tensors([node])).intersection(variables))
    return count


def _tangents(
    core: Node, variables: Mapping[str, Tensor], moving: Mapping[str, Tensor], forms: Forms
) -> list[tuple[Node, str]]:
    """The differential of ``core``, one part for each name."""
    found = []
    for name, variable in variables.items():
        tangent = differential(core, variable, moving[name])
        if tangent is not None:
            found.append((forms.tidy(last(tangent, moving[name])), name))
    return found


def differential(core: Node, variable: Tensor, moving: Tensor) -> Node | None:
    """The tangent of ``core``; a function f of the file has the derivative f', of which nothing more is known."""
    points: list[Node] = [variable]
    tangents: list[Node | None] = [moving]
    linked = depends_on([core], [variable])
    for node in topological([core]):
        if node in linked and isinstance(node, Pointwise) and node.function not in (*DERIVATIVES, *BINARY):
            (inner,) = linearise(node.args, points, tangents)
            points.append(node)
            tangents.append(None if inner is None else multiply(_prime(node), inner))
    return linearise((core,), points, tangents)[0]


def _prime(node: Pointwise) -> Node:
    """f'(u) for f(u)."""
    return Pointwise(f"{node.function}'", node.args)


def taken_out(part: Part, written: Node, differential: Tensor, forms: Forms) -> Node | None:
    """The cotangent of a differential in ``written``, the scalar that ``part`` was written as."""
    if part.tangent is differential:
        return part.cotangent
    if isinstance(written, Einsum):  # C · dX already
        scalars = [factor for factor in written.factors if not factor[1]]
        wide = [factor for factor in written.factors if factor[1]]
        if len(wide) == 2 and wide[1][0] is differential and wide[0][1] == wide[1][1] and differential not in tensors([wide[0][0]]):
            return einsum(written.coefficient, [*scalars, wide[0]], wide[0][1], dict(enumerate(written.extents)))
    (found,) = transpose((written,), (differential,), (literal(1),))
    return None if found is None else forms.simple(found)
