"""Recurrences: what a loop does not need leaves it, before the loop or after it, as one operation over all steps.

Only what carries a state from step to step stays inside. No pass depends on the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bracketc.ir.batch import batch
from bracketc.ir.build import add, einsum, project
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Body,
    Einsum,
    Linalg,
    Node,
    Pointwise,
    Project,
    Recurrence,
    Reduce,
    Scatter,
    Tensor,
    Window,
)
from bracketc.ir.recurrence import recurrence
from bracketc.ir.rewrite import Roots, depends_on, map_nodes, substitute, topological
from bracketc.simplify.brackets import bracket, constant_axes, drop_axes, is_contraction

Pass = Callable[[Roots], Roots]
Rule = Callable[[Recurrence, tuple[int, ...]], Mapping[int, Node] | None]
"""Gives a node for each wanted result of a loop, or ``None`` to leave the loop as it is."""


def in_bodies(roots: Roots, apply: Pass) -> Roots:
    """``apply`` on the steps of all recurrences below ``roots``, innermost first, then on ``roots``."""

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if not isinstance(new, Recurrence):
            return new
        results = in_bodies(Roots(new.body.results), apply).nodes
        if results == new.body.results:
            return new
        body = Body(new.body.parameters, results)
        return Recurrence(body, new.length, new.carries, new.xs, new.consts, new.reverse)

    if any(node.loops for node in roots.nodes):
        roots = map_nodes(roots, visit)[0]
    return apply(roots)


def over_loops(roots: Roots, rule: Rule) -> Roots:
    """Replace the used results of every recurrence below ``roots`` (not in bodies) by what ``rule`` gives for them."""
    wanted: dict[Node, dict[int, None]] = {}
    for node in roots.order if any(node.loops for node in roots.nodes) else ():
        if isinstance(node, Project):
            wanted.setdefault(node.arg, {}).setdefault(node.index)
    if not wanted:
        return roots
    results: dict[Node, Mapping[int, Node]] = {}

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if isinstance(node, Recurrence) and node in wanted:
            assert isinstance(new, Recurrence)
            found = rule(new, tuple(sorted(wanted[node])))
            if found is not None:
                results[node] = found
        if isinstance(node, Project) and node.arg in results:
            return results[node.arg][node.index]
        return new

    return map_nodes(roots, visit)[0]


# --------------------------------------------------------------------------------------------------- taking loops apart
@dataclass(frozen=True, slots=True)
class Loop:
    """A recurrence taken apart: its parameters with their operands, by role."""

    node: Recurrence
    states: tuple[Tensor, ...]
    xs: tuple[tuple[Tensor, Node], ...]
    consts: tuple[tuple[Tensor, Node], ...]

    @staticmethod
    def of(node: Recurrence) -> Loop:
        first, second = len(node.carries), len(node.carries) + len(node.xs)
        parameters = node.body.parameters
        return Loop(
            node,
            parameters[:first],
            tuple(zip(parameters[first:second], node.xs, strict=True)),
            tuple(zip(parameters[second:], node.consts, strict=True)),
        )

    @property
    def steps(self) -> tuple[Node, ...]:
        """The new states."""
        return self.node.body.results[: len(self.states)]

    @property
    def ys(self) -> tuple[Node, ...]:
        return self.node.body.results[len(self.states) :]

    def carries(self, kept: Iterable[int], values: Mapping[Node, Node]) -> list[tuple[Tensor, Node, Node]]:
        """The kept states for a new loop, their steps with ``values`` put in."""
        numbers = list(kept)
        steps = substitute(tuple(self.steps[k] for k in numbers), values)
        return [(self.states[k], self.node.carries[k], step) for k, step in zip(numbers, steps, strict=True)]

    def before(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """``nodes`` of the step, which need no state, for all steps at once along a new leading axis."""
        return self.outside(nodes, {})

    def outside(self, nodes: Sequence[Node], stacks: Mapping[Node, Node]) -> tuple[Node, ...]:
        """``nodes`` of the step for all steps at once, given the stacks of nodes of the step on which they depend."""
        known = dict(self.xs) | dict(stacks)
        tokens: dict[Node, Tensor] = {
            inner: Tensor(f"%step{k}", inner.shape, inner.dtype) for k, inner in enumerate(known)
        }
        values: dict[Node, Node] = dict(self.consts)
        values.update(tokens)
        replaced: dict[Node, Node] = {token: known[inner] for inner, token in tokens.items()}
        return batch(substitute(tuple(nodes), values), replaced, (self.node.length,))

    def once(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """``nodes`` of the step that depend on consts alone."""
        return substitute(tuple(nodes), dict(self.consts))


def _is_heavy(node: Node) -> bool:
    """Whether computing ``node`` for all steps at once is worth a stack: it sums, or has its own algorithm."""
    return is_contraction(node) or isinstance(node, Linalg | Reduce | Scatter | Project)


_LIGHT = frozenset(("abs", "sign", "step", "relu", "max", "min", "power"))


def _is_costly(node: Node) -> bool:
    """Whether computing ``node`` outside the loop is worth reading it back in."""
    return _is_heavy(node) or (isinstance(node, Pointwise) and node.function not in _LIGHT)


# --------------------------------------------------------------------------------------------------- what is not needed
def drop_unused(roots: Roots) -> Roots:
    """Loops without results, states and operands that nothing needs; what is the same in all steps is a const.

    for t: z = f(z, x_t), s = s + z; out z, x_t      of which z alone is used   ->   for t: z = f(z, x_t); out z
    """
    while True:  # a loop that drops an operand may leave a result of another loop without use
        before = roots.nodes
        roots = in_bodies(roots, lambda inner: over_loops(inner, _drop_unused))
        if roots.nodes == before:
            return roots


def _drop_unused(node: Recurrence, wanted: tuple[int, ...]) -> Mapping[int, Node]:
    loop = Loop.of(node)
    states = len(loop.states)
    values, xs, consts = _equal_operands(loop)
    results = substitute(node.body.results, values)
    kept = {k for k in wanted if k < states}
    ys = dict.fromkeys(results[k] for k in wanted if k >= states)
    while True:
        reached = set(topological([*(results[k] for k in sorted(kept)), *ys]))
        grown = kept | {k for k in range(states) if loop.states[k] in reached}
        if grown == kept:
            break
        kept = grown
    fixed = {k for k in kept if results[k] is loop.states[k]}
    moving = [k for k in range(states) if k in kept and k not in fixed]
    consts += [(loop.states[k], node.carries[k]) for k in sorted(fixed)]
    varying = depends_on([*(results[k] for k in moving), *ys], [loop.states[k] for k in moving])
    inside = [y for y in ys if y in varying]
    found: dict[int, Node] = {k: node.carries[k] for k in fixed}
    open_loop = Loop(node, loop.states, tuple(xs), tuple(consts))
    free = [y for y in ys if y not in varying]
    stacks = dict(zip(free, open_loop.before(free), strict=True))
    if moving:
        new = recurrence(
            node.length,
            [(loop.states[k], node.carries[k], results[k]) for k in moving],
            xs,
            consts,
            inside,
            node.reverse,
        )
        found |= {k: project(new, place) for place, k in enumerate(moving)}
        stacks |= {y: project(new, len(moving) + place) for place, y in enumerate(inside)}
    found |= {k: stacks[results[k]] for k in wanted if k >= states}
    return found


def _equal_operands(
    loop: Loop,
) -> tuple[dict[Node, Node], list[tuple[Tensor, Node]], list[tuple[Tensor, Node]]]:
    """Parameters that another one, or a constant, stands for; the xs; and the consts, with xs that do not vary."""
    values: dict[Node, Node] = {}
    xs: list[tuple[Tensor, Node]] = []
    consts = list(loop.consts)
    first: dict[Node, Node] = {}
    for parameter, operand in loop.xs:
        if 0 in constant_axes(operand):
            consts.append((parameter, drop_axes(operand, frozenset((0,)))))
        elif operand in first:
            values[parameter] = first[operand]
        else:
            first[operand] = parameter
            xs.append((parameter, operand))
    first = {}
    for parameter, operand in consts:
        if not operand.operands and not isinstance(operand, Tensor):
            values[parameter] = operand
        elif operand in first:
            values[parameter] = first[operand]
        else:
            first[operand] = parameter
    return values, xs, consts


# --------------------------------------------------------------------------------------------------- before the loop
def hoist(roots: Roots) -> Roots:
    """Compute before the loop, over all steps at once, what a step computes from xs and consts alone.

    for t: h = tanh((h_j W_ji | i) + (x_j U_ji | i) + b)
        ->   A = (X_tj U_ji | ti) + b;  for t: h = tanh((h_j W_ji | i) + a_t)
    """
    return in_bodies(roots, lambda inner: over_loops(inner, _hoist))


def _hoist(node: Recurrence, wanted: tuple[int, ...]) -> Mapping[int, Node] | None:
    loop = Loop.of(_grouped(node))
    results = loop.node.body.results
    varying = depends_on(results, loop.states)
    stepwise = depends_on(results, [parameter for parameter, _ in loop.xs])
    closed = _closed(results, loop.node.body.parameters)
    chosen = [inner for inner in _frontier(results, varying) if inner not in closed]
    fixed = [inner for inner in chosen if inner not in stepwise and not isinstance(inner, Tensor)]
    moved = [inner for inner in chosen if inner in stepwise and _has_costly(inner)]
    if not fixed and not moved:
        return None
    values: dict[Node, Node] = {
        inner: Tensor(f"%hoisted{k}", inner.shape, inner.dtype) for k, inner in enumerate((*moved, *fixed))
    }
    placeholders = [value for value in values.values() if isinstance(value, Tensor)]
    xs = [*loop.xs, *zip(placeholders, loop.before(moved), strict=False)]
    consts = [*loop.consts, *zip(placeholders[len(moved) :], loop.once(fixed), strict=True)]
    ys = substitute(loop.ys, values)
    new = recurrence(node.length, loop.carries(range(len(loop.states)), values), xs, consts, ys, node.reverse)
    return {k: project(new, k) for k in wanted}


def _closed(roots: Sequence[Node], parameters: Sequence[Node]) -> set[Node]:
    """Nodes that depend on no parameter: numbers, sizes and what is made of them alone."""
    open_nodes = depends_on(roots, parameters)
    return {node for node in topological(roots) if node not in open_nodes}


def _frontier(results: Sequence[Node], varying: set[Node]) -> list[Node]:
    """The largest nodes without a state below them; of a view or an outer product, what it is made of."""
    found: dict[Node, None] = {}
    for node in (*topological(results), None):
        operands = results if node is None else node.operands
        if node is not None and node not in varying:
            continue
        for operand in operands:
            if operand not in varying:
                found.setdefault(operand)
    chosen: dict[Node, None] = {}
    pending = list(found)[::-1]
    while pending:
        node = pending.pop()
        if _is_view(node):
            pending.extend(reversed(node.operands))
        elif not isinstance(node, Recurrence):
            chosen.setdefault(node)
    return list(chosen)


def _is_view(node: Node) -> bool:
    """Whether the whole is as large as what it is made of, or larger: then its parts leave the loop, not the whole."""
    if isinstance(node, Window):
        return True
    if not isinstance(node, Einsum) or is_contraction(node):
        return False
    ranks = [factor.rank for factor in node.operands if factor.rank]
    return len(ranks) <= 1 or max(ranks) < node.rank


def _has_costly(node: Node) -> bool:
    return any(_is_costly(inner) for inner in topological((node,)))


def _grouped(node: Recurrence) -> Recurrence:
    """The loop with the terms of each sum that need no state added up by themselves, when one of them will leave."""
    loop = Loop.of(node)
    varying = depends_on(node.body.results, loop.states)
    stepwise = depends_on(node.body.results, [parameter for parameter, _ in loop.xs])

    def visit(inner: Node, operands: tuple[Node, ...]) -> Node:
        new = inner if operands == inner.operands else inner.rebuild(operands)
        if not isinstance(inner, Add) or inner not in varying:
            return new
        free = [place for place, term in enumerate(inner.terms) if term not in varying]
        if len(free) < 2 or not any(inner.terms[k] in stepwise and _has_costly(inner.terms[k]) for k in free):
            return new
        rest = [operand for place, operand in enumerate(operands) if place not in free]
        return add([*rest, add([operands[place] for place in free])])

    results = map_nodes(Roots(node.body.results), visit)[0].nodes
    return Recurrence(
        Body(node.body.parameters, results), node.length, node.carries, node.xs, node.consts, node.reverse
    )


# --------------------------------------------------------------------------------------------------- after the loop
def sink(roots: Roots) -> Roots:
    """Compute after the loop, over all steps at once, what no later step needs: outputs, and sums over the steps.

    for t: z = f(z, x_t); out (z_j V_ji | i)      ->   for t: z = f(z, x_t); out z            O = (Z_tj V_ji | ti)
    for t: s = f(s), w = w + (x_ti s_j | ij)      ->   for t: s = f(s); out s                 w + (X_ti S_tj | ij)
    """
    return in_bodies(roots, lambda inner: over_loops(inner, _sink))


def _sink(node: Recurrence, wanted: tuple[int, ...]) -> Mapping[int, Node] | None:
    loop = Loop.of(node)
    sums = _accumulators(loop)
    core = set(topological(step for k, step in enumerate(loop.steps) if k not in sums))
    gains = {k: gain for k, gain in sums.items() if gain not in core}
    core.update(topological(step for k, step in enumerate(loop.steps) if k in sums and k not in gains))
    core.update(n for n in topological(loop.node.body.results) if isinstance(n, Project) and n.arg in core)
    core = {inner for inner in core if inner.dtype == "real"}  # conditions are no stacks: they are found again
    late = [y for y in dict.fromkeys(loop.ys) if y not in core and _is_worth_sinking(y, core)]
    if not gains and not late:
        return None
    moved = (*gains.values(), *late)
    inputs = [parameter for parameter, _ in (*loop.xs, *loop.consts)]
    needed = [inner for inner in _reads(moved, core) if inner not in inputs]
    kept = [k for k in range(len(loop.states)) if k not in gains]
    ys = list(dict.fromkeys((*(y for y in loop.ys if y not in late), *needed)))
    stacks: dict[Node, Node] = {}
    found: dict[int, Node] = {}
    if kept or ys:
        new = recurrence(node.length, loop.carries(kept, {}), loop.xs, loop.consts, ys, node.reverse)
        stacks = {y: project(new, len(kept) + place) for place, y in enumerate(ys)}
        found = {k: project(new, place) for place, k in enumerate(kept)}
    after = dict(zip(moved, loop.outside(moved, {inner: stacks[inner] for inner in needed}), strict=True))
    for k, gain in gains.items():
        found[k] = add([node.carries[k], sum_steps(after[gain], node.length)])
    for place, y in enumerate(loop.ys):
        found[len(loop.states) + place] = after[y] if y in after else stacks[y]
    return found


def _accumulators(loop: Loop) -> dict[int, Node]:
    """States that only add up products, ``w = w + gain`` with nothing else reading w: their gains."""
    counts = Roots(loop.node.body.results).uses
    found: dict[int, Node] = {}
    for k, (state, step) in enumerate(zip(loop.states, loop.steps, strict=True)):
        if not isinstance(step, Add) or counts[step] != 1 or counts[state] != 1 or state not in step.terms:
            continue
        terms = [term for term in step.terms if term is not state]
        if all(_is_product(term) for term in terms):
            found[k] = add(terms)
    return found


def _is_product(term: Node) -> bool:
    """Whether summing ``term`` over the steps is one contraction, with no stack of terms in between."""
    return isinstance(term, Einsum) and (
        any(is_contraction(factor) for factor in (term, *term.operands)) or sum(1 for f in term.operands if f.rank) > 1
    )


def _is_worth_sinking(y: Node, core: set[Node]) -> bool:
    """Whether ``y`` does, outside the core, something that is better done for all steps at once."""
    return any(_is_heavy(inner) for inner in _outside_core((y,), core))


def _outside_core(roots: Sequence[Node], core: set[Node]) -> list[Node]:
    found: dict[Node, None] = {}
    pending = list(roots)
    while pending:
        node = pending.pop()
        if node not in core and node not in found:
            found[node] = None
            pending.extend(node.operands)
    return list(found)


def _reads(roots: Sequence[Node], core: set[Node]) -> list[Node]:
    """The nodes of the core, and the parameters, that ``roots`` are computed from; numbers and sizes are no reading."""
    found: dict[Node, None] = {}
    outside = _outside_core(roots, core)
    for node in outside:
        if isinstance(node, Tensor):
            found.setdefault(node)
        for operand in node.operands:
            if operand in core and (operand.operands or isinstance(operand, Tensor)):
                found.setdefault(operand)
    return list(found)


def sum_steps(node: Node, length: Dim) -> Node:
    """The sum over the leading axis, inside the terms of a sum and the factors of a bracket.

    (Z_tni A_tnj | tij)  ->  (Z_tni A_tnj | ij)
    """
    if isinstance(node, Add):
        return add([sum_steps(term, length) for term in node.terms])
    if isinstance(node, Einsum):
        return bracket(node.coefficient, node.factors, node.output[1:], dict(enumerate(node.extents)))
    labels = range(node.rank)
    return einsum(1, [(node, labels)], labels[1:])
