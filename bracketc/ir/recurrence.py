"""Recurrences as wholes: closing the body of a new one, and running one loop where several step the same states."""

from __future__ import annotations

from collections.abc import Sequence

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Body, Node, Project, Recurrence, Tensor
from bracketc.ir.rewrite import Roots, map_nodes, substitute, topological


def recurrence(
    length: Dim,
    carries: Sequence[tuple[Tensor, Node, Node]],
    xs: Sequence[tuple[Tensor, Node]],
    consts: Sequence[tuple[Tensor, Node]],
    ys: Sequence[Node],
    reverse: bool = False,
) -> Recurrence:
    """A loop whose step is written over any placeholders: carries are ``(placeholder, start, next)``, xs
    ``(placeholder, stack)``, consts ``(placeholder, value)``; ys are what each step puts out.

    Placeholders are renamed to ``%0, %1, …``; xs and consts that no result needs are left out.
    """
    results = (*(step for _, _, step in carries), *ys)
    needed = set(topological(results))
    xs = [pair for pair in xs if pair[0] in needed]
    consts = [pair for pair in consts if pair[0] in needed]
    placeholders = [*(c[0] for c in carries), *(x[0] for x in xs), *(k[0] for k in consts)]
    assert len(set(placeholders)) == len(placeholders), placeholders
    parameters = tuple(Tensor(f"%{k}", p.extents, p.kind, p.traits, p.bound) for k, p in enumerate(placeholders))
    renamed = substitute(results, dict(zip(placeholders, parameters, strict=True)))
    return Recurrence(
        Body(parameters, renamed),
        length,
        tuple(start for _, start, _ in carries),
        tuple(stack for _, stack in xs),
        tuple(value for _, value in consts),
        reverse,
    )


def merge_recurrences(roots: Roots) -> Roots:
    """Loops that step the same states over the same operands become one that puts out what all of them do.

    What no node reads is no longer put out. Differentiation relies on this: the loop that saves residuals is the one
    that the function itself runs.

        for t: z = f(z, x_t); out z        for t: z = f(z, x_t); out f'      ->      for t: z = f(z, x_t); out z, f'
    """
    bodies: dict[Body, Body] = {}
    loops: dict[Node, Node] = {}
    outputs: dict[Node, dict[Node, int]] = {}
    tokens: dict[tuple[Node, Node], Tensor] = {}

    def merged(body: Body) -> Body:
        if body not in bodies:
            bodies[body] = Body(body.parameters, merge_recurrences(Roots(body.results)).nodes)
        return bodies[body]

    def strip(node: Node, operands: tuple[Node, ...]) -> Node:
        """The node over loops without their ys; a y becomes a token of the loop and its expression."""
        if isinstance(node, Recurrence):
            body = merged(node.body)
            stripped = _with(node, operands, Body(body.parameters, body.results[: len(node.carries)]))
            loops[node] = stripped
            outputs.setdefault(stripped, {})
            return stripped
        if isinstance(node, Project) and node.index >= len(node.arg.carries):
            y = merged(node.arg.body).results[node.index]
            found = outputs[operands[0]]
            found.setdefault(y, len(node.arg.carries) + len(found))
            return tokens.setdefault((operands[0], y), Tensor(f"%output{len(tokens)}", node.shape))
        return node if operands == node.operands else node.rebuild(operands)

    def join(node: Node, operands: tuple[Node, ...]) -> Node:
        if isinstance(node, Recurrence):
            body, ys = merged(node.body), outputs[loops[node]]
            return _with(node, operands, Body(body.parameters, (*body.results[: len(node.carries)], *ys)))
        if isinstance(node, Project) and node.index >= len(node.arg.carries):
            (arg,) = operands
            assert isinstance(arg, Recurrence)
            return Project(arg, outputs[loops[node.arg]][merged(node.arg.body).results[node.index]])
        return node if operands == node.operands else node.rebuild(operands)

    map_nodes(Roots(roots.nodes), strip)
    return map_nodes(roots, join)[0] if loops else roots


def _with(node: Recurrence, operands: tuple[Node, ...], body: Body) -> Recurrence:
    """The loop over other operands, with another step."""
    first, second = len(node.carries), len(node.carries) + len(node.xs)
    return Recurrence(body, node.length, operands[:first], operands[first:second], operands[second:], node.reverse)
