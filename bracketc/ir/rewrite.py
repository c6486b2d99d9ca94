"""Walking and rebuilding graphs without Python recursion.

A pass is a pure function from :class:`Roots` to :class:`Roots`; :func:`rewrite` gives it the walk, the memo and the names of
what it rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bracketc.errors import Span
from bracketc.ir.nodes import Body, Node, Recurrence, Tensor


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a node comes from: its name in the source, if it has one, and the place that wrote it."""

    name: str | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Roots:
    """The nodes that a pass must keep the meaning of, and the origins known for nodes below them."""

    nodes: tuple[Node, ...]
    origins: Mapping[Node, Origin] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def order(self) -> list[Node]:
        """Every node below, operands first: :func:`topological`, walked once."""
        if "order" not in self._known:
            self._known["order"] = topological(self.nodes)
        found: list[Node] = self._known["order"]
        return found

    @property
    def uses(self) -> Mapping[Node, int]:
        """How often each node is used: by operands of other nodes (each place counts) and as a root."""
        if "uses" not in self._known:
            counts = dict.fromkeys(self.order, 0)
            for node in self.order:
                for operand in node.operands:
                    counts[operand] += 1
            for root in self.nodes:
                counts[root] += 1
            self._known["uses"] = counts
        found: Mapping[Node, int] = self._known["uses"]
        return found

    def now(self, nodes: tuple[Node, ...], origins: Mapping[Node, Origin]) -> Roots:
        """The roots after a pass."""
        new = Roots(nodes, origins)
        if nodes == self.nodes:
            new._known.update(self._known)
        return new


Rule = Callable[[Node], Node]
"""A local rewrite: gives its argument back when it does not apply."""


def topological(roots: Iterable[Node]) -> list[Node]:
    """Every node below ``roots``, operands first, in an order fixed by the graph alone.

    Bodies of recurrences are not entered: they are closed.
    """
    return _below(roots, ())


def map_nodes(
    roots: Roots, visit: Callable[[Node, tuple[Node, ...]], Node], start: Mapping[Node, Node] | None = None
) -> tuple[Roots, dict[Node, Node]]:
    """Replace each node by ``visit(node, new operands)``, operands first; also gives old -> new.

    ``start`` gives replacements that hold before the walk; what stands only below a replaced node is not visited.
    """
    memo: dict[Node, Node] = dict(start or {})
    for node in _below(roots.nodes, memo) if memo else roots.order:
        memo[node] = visit(node, tuple([memo[operand] for operand in node.operands]))
    changed = [(old, new) for old, new in memo.items() if old is not new]
    if not changed:
        return roots, memo
    origins = dict(roots.origins)
    for old, new in changed:
        if old in roots.origins:
            origins.setdefault(new, roots.origins[old])
    return roots.now(tuple([memo[root] for root in roots.nodes]), origins), memo


def _below(roots: Iterable[Node], known: Collection[Node]) -> list[Node]:
    """Every node below ``roots``, operands first, but for what is known and what stands only below that."""
    order: list[Node] = []
    done = set(known)
    for root in roots:
        if root in done:
            continue
        stack: list[tuple[Node, Iterator[Node]]] = [(root, iter(root.operands))]
        done.add(root)
        while stack:
            node, rest = stack[-1]
            for operand in rest:
                if operand not in done:
                    done.add(operand)
                    if operand.operands:
                        stack.append((operand, iter(operand.operands)))
                        break
                    order.append(operand)
            else:
                order.append(node)
                stack.pop()
    return order


def rewrite(roots: Roots, rule: Rule, *, bodies: bool = True) -> Roots:
    """Apply ``rule`` once to every node, operands first, each over its already rewritten operands.

    A node whose operands did not change is reused. With ``bodies`` the steps of recurrences are rewritten, too.
    """

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if bodies and isinstance(new, Recurrence):
            new = _rewrite_body(new, rule)
        return rule(new)

    return map_nodes(roots, visit)[0]


def _rewrite_body(node: Recurrence, rule: Rule) -> Recurrence:
    results = rewrite(Roots(node.body.results), rule).nodes
    if results == node.body.results:
        return node
    body = Body(node.body.parameters, results)
    return Recurrence(body, node.length, node.carries, node.xs, node.consts, node.reverse)


def substitute(nodes: tuple[Node, ...], values: Mapping[Node, Node]) -> tuple[Node, ...]:
    """``nodes`` with each key of ``values`` replaced by its value (of the same shape and dtype), all at once."""

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        return node if operands == node.operands else node.rebuild(operands)

    return map_nodes(Roots(nodes), visit, values)[0].nodes


def tensors(roots: Iterable[Node]) -> tuple[Tensor, ...]:
    """Every argument and placeholder below ``roots``, in order of first appearance."""
    return tuple(node for node in topological(roots) if isinstance(node, Tensor))


def depends_on(roots: Iterable[Node], sources: Iterable[Node]) -> set[Node]:
    """The nodes below ``roots`` (sources included) whose value depends on one of ``sources``. For membership tests only."""
    tainted: set[Node] = set(sources)
    for node in topological(roots):
        if any(operand in tainted for operand in node.operands):
            tainted.add(node)
    return tainted
