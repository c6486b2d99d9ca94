"""bracketc's own derivation of a Jacobian: the differential substituted down to the arguments, and its coefficient.

    y = x @ x^T   ->   dy = dx @ x^T + x @ dx^T   ⟹   Jac[x](y) = (x_j δ_ik + x_i δ_jk | ijk)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bracketc.calculus.derivatives import jacobian
from bracketc.errors import UnsupportedError
from bracketc.ir.build import add
from bracketc.ir.nodes import Add, Node
from bracketc.ir.rewrite import substitute, tensors
from bracketc.lang.layers import Layered
from bracketc.proof.definitions import Definitions, plain_definitions
from bracketc.proof.forms import check_written
from bracketc.proof.phrases import last
from bracketc.proof.pieces import differential
from bracketc.proof.presentation import Abbreviation, Chain, Conclusion, Equation, Heading, Member, Presentation, Term
from bracketc.proof.rules import rule_of


def present_jacobian(
    layered: Layered, target: str, wrt: Sequence[str], layout: Literal["jacobian", "gradient"] = "jacobian"
) -> Presentation:
    """The derivation of ``Jac[x](y)``, or in the layout ``"gradient"`` of ``∇[x](y)``, by names as the source writes them.

    Raises :class:`~bracketc.errors.UnsupportedError` for what has no presentation, such as steps of a recurrence.
    """
    found = plain_definitions(layered, target, wrt)
    general = next((name for name in found.order if found.range_of(name) is not None), None)
    if general is not None:
        raise UnsupportedError(f"no steps of a Jacobian through the recurrence of {general}")
    bound: set[str] = set()
    nodes = _differentials(found, target)
    members = [_member(found, nodes, target, bound)]
    for name in found.order:
        if name != target and any(found.moving[name] in tensors([node]) for node in nodes):
            nodes = [new for node in nodes for new in _replaced(found, node, name)]
            members.append(_member(found, nodes, name, bound))
    equations = []
    for name in wrt:
        moving = found.moving[name]
        whole = add([node for node in nodes if moving in tensors([node])], found.layers[target].variable.shape)
        slope = found.forms.simple(jacobian(whole, moving, layout))
        equations.append(Equation(Heading(layout, target, name), tuple(Term(term) for term in _terms(slope))))
    where = tuple(found.forms.news())
    paragraphs = (Chain(Heading("differential", target), tuple(members)), Conclusion(tuple(equations), "", where))
    check_written([term.node for member in members for term in member.terms])
    check_written([term.node for equation in equations for term in equation.terms])
    differentials = tuple((tensor, name) for name, tensor in found.moving.items())
    return Presentation(target, tuple(wrt), paragraphs, differentials, frozenset(found.forms.used))


def _terms(node: Node) -> tuple[Node, ...]:
    return node.terms if isinstance(node, Add) else (node,)


def _differentials(found: Definitions, name: str) -> list[Node]:
    """The differential of a definition, one node for each name that varies in it."""
    body = found.bodies[name]
    parts: list[Node] = []
    for tensor in tensors([body]):
        if tensor.name in found.moving:
            part = differential(body, tensor, found.moving[tensor.name])
            if part is not None:
                parts += _terms(found.forms.tidy(last(part, found.moving[tensor.name])))
    return parts


def _replaced(found: Definitions, node: Node, name: str) -> list[Node]:
    """``node`` with the differential of a definition in terms of those of the names that it uses."""
    moving = found.moving[name]
    if moving not in tensors([node]):
        return [node]
    made: list[Node] = []
    for part in _differentials(found, name):
        (new,) = substitute((node,), {moving: part})
        made += _terms(found.forms.tidy(new))
    return made


def _member(found: Definitions, nodes: Sequence[Node], name: str, bound: set[str]) -> Member:
    body = found.bodies[name]
    variables = [tensor for tensor in tensors([body]) if tensor.name in found.moving]
    where = list(found.forms.news())
    moved: dict[Node, str] = {tensor: base for base, tensor in found.moving.items()}
    pending = list(nodes)
    local: list[Abbreviation] = []
    while pending:
        for tensor in tensors([pending.pop()]):
            base = moved.get(tensor, tensor.name)
            if found.is_local(base) and base not in bound:
                bound.add(base)
                local.append(Abbreviation(base, (Term(found.bodies[base]),)))
                pending.append(found.bodies[base])
    return Member(tuple(map(Term, nodes)), found.rule(name, rule_of(body, variables)), (*reversed(local), *where))
