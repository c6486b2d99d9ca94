"""Recurrences, differentiated as loops: nothing is unrolled, so that the number of steps does not matter.

The tangent of a recurrence is a linear loop over what the primal loop puts out besides (its residuals); the transpose
of a linear loop is a linear loop in the other direction, whose constants' cotangents accumulate in carries:

    z_t = tanh(z_{t-1} W)      tangent:    dz_t = (1 - z_t²) (dz_{t-1} W + z_{t-1} dW), over stacks of z_t and z_{t-1}
                               transpose:  s = (1 - z_t²) (c_t + bar z_t),  c_{t-1} = s Wᵀ,  acc = acc + z_{t-1}ᵀ s
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bracketc.calculus.elementwise import Tangent
from bracketc.calculus.walk import Origins, no_rule
from bracketc.ir.build import add, is_zero, project, zeros
from bracketc.ir.extrema import located
from bracketc.ir.nodes import (
    Add,
    Body,
    Compare,
    Einsum,
    Node,
    Pointwise,
    Recurrence,
    Select,
    Stack,
    Tensor,
    Window,
)
from bracketc.ir.recurrence import recurrence
from bracketc.ir.rewrite import depends_on, substitute, topological

Linearise = Callable[[Sequence[Node], Sequence[Node], Sequence[Tangent], Origins], tuple[Tangent, ...]]
Transpose = Callable[[Sequence[Tangent], Sequence[Node], Sequence[Tangent], Origins], tuple[Tangent, ...]]


def linearise_recurrence(
    node: Recurrence, tangents: Sequence[Tangent], linearise: Linearise, origins: Origins
) -> tuple[Tangent, ...]:
    """One tangent a result of ``node``: the results of a linear loop over the residuals of the primal loop."""
    body, states = node.body, len(node.carries)
    split = states + len(node.xs)
    varying = _varying(body, [tangent is not None for tangent in tangents], states)
    moved = {p: Tensor(f"%d{k}", p.extents) for k, p in enumerate(body.parameters) if varying[k]}
    steps = linearise(body.results, tuple(moved), tuple(moved.values()), origins)
    roots = tuple(step for step in steps if step is not None)
    kept = _residuals(node, roots, tuple(moved.values()))
    closed = iter(substitute(roots, kept.replaced))
    steps = tuple(None if step is None else next(closed) for step in steps)
    starts = [zeros(p.shape) if t is None else t for p, t in zip(body.parameters, tangents, strict=True)]
    carries = [
        (moved[p], start, zeros(p.shape) if step is None else step)
        for p, start, step in zip(body.parameters[:states], starts, steps, strict=False)
        if p in moved
    ]
    own = [(moved[p], starts[k]) for k, p in enumerate(body.parameters) if p in moved]
    xs = [pair for k, pair in zip(_positions(varying), own, strict=True) if states <= k < split]
    consts = [pair for k, pair in zip(_positions(varying), own, strict=True) if k >= split]
    ys = [step for step in steps[states:] if step is not None]
    loop = recurrence(node.length, carries, [*xs, *kept.xs], [*consts, *kept.consts], ys, node.reverse)
    found = [p in moved for p in body.parameters[:states]] + [step is not None for step in steps[states:]]
    numbers = dict(zip(_positions(found), range(len(body.results)), strict=False))
    return tuple(project(loop, numbers[k]) if k in numbers else None for k in range(len(body.results)))


def _positions(flags: Sequence[bool]) -> list[int]:
    return [k for k, flag in enumerate(flags) if flag]


def _varying(body: Body, flags: Sequence[bool], states: int) -> list[bool]:
    """Which parameters have a tangent, given those that start with one: also states that a step brings one into."""
    varying = list(flags)
    while True:
        reached = depends_on(body.results, [p for p, flag in zip(body.parameters, varying, strict=True) if flag])
        grown = [flag or result in reached for flag, result in zip(varying[:states], body.results, strict=False)]
        if grown == varying[:states]:
            return varying
        varying[:states] = grown


# --------------------------------------------------------------------------------------------------- residuals
@dataclass(frozen=True, slots=True)
class _Residuals:
    """What a linear step reads of its primal step: placeholders for nodes of that step in ``replaced``, and the stacks
    and values behind them in ``xs`` and ``consts``.
    """

    replaced: dict[Node, Node]
    xs: list[tuple[Tensor, Node]]
    consts: list[tuple[Tensor, Node]]


CHEAP = frozenset({"abs", "sign", "step", "relu", "max", "min"})
"""Element-wise functions that are computed again in the linear loop rather than saved."""


def _is_cheap(node: Node) -> bool:
    """Whether computing ``node`` again costs no more than reading a stack: element-wise arithmetic and views."""
    if isinstance(node, Einsum):
        return all(label in node.output for _, labels in node.factors for label in labels)
    if isinstance(node, Pointwise):
        exponent = node.exponent
        whole = isinstance(exponent, Fraction) and exponent.denominator == 1
        return node.function in CHEAP or (node.function == "power" and whole)
    return isinstance(node, Add | Compare | Select | Window | Stack) or node.dtype != "real"


def _residuals(node: Recurrence, roots: tuple[Node, ...], tangents: tuple[Tensor, ...]) -> _Residuals:
    """Choose what the primal loop saves for a linear step ``roots``.

    Free of charge are xs, consts, what depends on consts alone (computed once, before the loop), and ys that the loop
    puts out anyway. Anything else that the step reads is stacked, or computed again when it is cheap and at most one
    stack serves it. Maxima whose places are asked for are computed with their entries.
    """
    body, states = node.body, len(node.carries)
    split = states + len(node.xs)
    xs = dict(zip(body.parameters[states:split], node.xs, strict=True))
    consts: dict[Node, Node] = dict(zip(body.parameters[split:], node.consts, strict=True))
    together = located(roots)
    ys = reversed(list(enumerate(body.results[states:])))
    put_out = {y: states + k for k, y in ys if y.dtype == "real" and y not in together}

    def cheap(inner: Node) -> bool:
        return inner in together or _is_cheap(inner)

    walk = topological(roots)
    linear = depends_on(roots, tangents)
    primal = {inner for inner in walk if inner not in linear}
    closed = primal - depends_on(roots, body.parameters)
    steady = primal - depends_on(roots, body.parameters[:split]) - closed

    leaves: dict[Node, tuple[Node, ...]] = {}
    for inner in walk:
        if inner in linear:
            continue
        if inner in closed or inner in steady or inner in xs or inner in put_out:
            leaves[inner] = ()
        elif inner in body.parameters or isinstance(inner, Recurrence) or not cheap(inner):
            leaves[inner] = (inner,)
        else:
            below = tuple(dict.fromkeys(leaf for operand in inner.operands for leaf in leaves[operand]))
            leaves[inner] = below if len(below) <= 1 or inner.dtype != "real" else (inner,)
    wanted = [operand for inner in walk if inner in linear for operand in inner.operands if operand not in linear]
    chosen = dict.fromkeys(leaf for operand in wanted for leaf in leaves[operand])
    for inner in reversed(walk):
        if inner in chosen and cheap(inner) and inner not in body.parameters:
            reached = dict.fromkeys(leaf for operand in inner.operands for leaf in _needs(operand, leaves, chosen, cheap))
            if all(leaf in chosen for leaf in reached):
                del chosen[inner]

    found = _Residuals({}, [], [])
    extra: list[Node] = []
    stacks: list[tuple[Tensor, int]] = []
    pending, seen = list(reversed(roots)), set(roots)
    while pending:
        inner = pending.pop()
        name = f"%r{len(found.replaced)}"
        if inner in closed:
            continue
        if inner in consts or inner in xs:
            assert isinstance(inner, Tensor)
            found.replaced[inner] = inner
            (found.xs if inner in xs else found.consts).append((inner, xs[inner] if inner in xs else consts[inner]))
        elif inner in steady:
            placeholder = Tensor(name, inner.shape, inner.dtype)
            found.replaced[inner] = placeholder
            found.consts.append((placeholder, substitute((inner,), consts)[0]))
        elif inner in primal and (inner in put_out or inner in chosen):
            placeholder = Tensor(name, inner.shape)
            found.replaced[inner] = placeholder
            if inner not in put_out:
                put_out[inner] = len(body.results) + len(extra)
                extra.append(inner)
            stacks.append((placeholder, put_out[inner]))
        else:
            for operand in reversed(inner.operands):
                if operand not in seen:
                    seen.add(operand)
                    pending.append(operand)
    saving = Recurrence(
        Body(body.parameters, (*body.results, *extra)), node.length, node.carries, node.xs, node.consts, node.reverse
    )
    found.xs.extend((placeholder, project(saving, index)) for placeholder, index in stacks)
    return found


def _needs(
    root: Node, leaves: dict[Node, tuple[Node, ...]], chosen: dict[Node, None], cheap: Callable[[Node], bool]
) -> list[Node]:
    """The leaves that recomputing ``root`` reads, stopping at ``chosen``."""
    needed: dict[Node, None] = {}
    pending = [root]
    seen = {root}
    while pending:
        node = pending.pop()
        if not leaves[node]:
            continue
        if node in chosen or isinstance(node, Tensor) or not cheap(node):
            needed.setdefault(node)
            continue
        for operand in node.operands:
            if operand not in seen:
                seen.add(operand)
                pending.append(operand)
    return list(needed)


# --------------------------------------------------------------------------------------------------- transposition
def transpose_recurrence(
    node: Recurrence,
    linear: Sequence[bool],
    cotangents: Sequence[Tangent],
    transpose: Transpose,
    origins: Origins,
) -> tuple[Tangent, ...]:
    """One cotangent an operand of a loop that is linear in the flagged operands (all its states among them).

    Cotangents of consts accumulate in carries as ``new = old + contribution``, those of xs are stacks.
    """
    body, states = node.body, len(node.carries)
    split = states + len(node.xs)
    if any(not flag and not is_zero(start) for flag, start in zip(linear, node.carries, strict=False)):
        raise no_rule(node, "the transpose of a recurrence with a state that is not linear", origins)
    inputs = [p for k, p in enumerate(body.parameters) if k < states or linear[k]]
    active = [cotangent is not None for cotangent in cotangents]
    while True:  # a state has a cotangent also when a step uses it for something that has one
        roots = [result for result, flag in zip(body.results, active, strict=True) if flag]
        reached = set(topological(roots))
        grown = [flag or p in reached for flag, p in zip(active[:states], body.parameters, strict=False)]
        if grown == active[:states]:
            break
        active[:states] = grown
    given = tuple(Tensor(f"%c{k}", result.shape) if active[k] else None for k, result in enumerate(body.results))
    parts = dict(zip(inputs, transpose(body.results, inputs, given, origins), strict=True))

    carries: list[tuple[Tensor, Node, Node]] = []
    ys: list[Node] = []
    finals: dict[int, int] = {}
    stacks: dict[int, int] = {}
    for k in range(states):
        placeholder, start = given[k], cotangents[k]
        if placeholder is not None:
            shape = placeholder.shape
            part = parts[body.parameters[k]]
            finals[k] = len(carries)
            carries.append(
                (placeholder, zeros(shape) if start is None else start, zeros(shape) if part is None else part)
            )
    for k, parameter in enumerate(body.parameters[states:], start=states):
        part = parts.get(parameter)
        if part is None:
            continue
        if k < split:
            stacks[k] = len(ys)
            ys.append(part)
        else:
            accumulated = Tensor(f"%a{k}", parameter.extents)
            finals[k] = len(carries)
            carries.append((accumulated, zeros(parameter.shape), add([accumulated, part])))
    pairs = zip(body.parameters, node.operands, linear, strict=True)
    plain = [(parameter, operand) for parameter, operand, flag in pairs if not flag]
    xs = [pair for pair in plain if pair[0] in body.parameters[states:split]]
    consts = [pair for pair in plain if pair[0] in body.parameters[split:]]
    for placeholder, stack in zip(given[states:], cotangents[states:], strict=True):
        if placeholder is not None and stack is not None:
            xs.append((placeholder, stack))
    if not carries and not ys:
        return (None,) * len(node.operands)
    loop = recurrence(node.length, carries, xs, consts, ys, not node.reverse)
    found = {**finals, **{k: len(carries) + index for k, index in stacks.items()}}
    return tuple(project(loop, found[k]) if k in found and flag else None for k, flag in enumerate(linear))
