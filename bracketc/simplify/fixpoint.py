"""Local rules applied until none does anything: one walk, operands first, each node brought to its normal form once.

The named passes of this package apply one rule each, by :func:`bracketc.ir.rewrite.rewrite`; here all of them work
together, and what a rule builds is simplified before anything that uses it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bracketc.ir.nodes import Body, Node, Recurrence
from bracketc.ir.rewrite import Roots, Rule

Rules = Mapping[type[Node], Sequence[Rule]]
"""Rules by the type of node that they look at, in the order in which they are tried."""

LONGEST = 200
"""How often one node may be replaced by another form of itself; rules that chase each other end there."""


def normalise(roots: Roots, rules: Rules) -> Roots:
    """Every node below ``roots``, and in the bodies of recurrences, in the form that no rule changes any more."""
    return Normaliser(rules)(roots)


class Normaliser:
    """:func:`normalise` that remembers normal forms between its calls: what did not change is not looked at again."""

    __slots__ = ("following", "normal", "rules", "turns")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.normal: dict[Node, Node] = {}
        self.following: dict[Node, Node] = {}
        self.turns: dict[Node, int] = {}

    def __call__(self, roots: Roots) -> Roots:
        nodes = self._run(roots.nodes)
        origins = dict(roots.origins)
        for old, origin in roots.origins.items():
            origins.setdefault(self.normal.get(old, old), origin)
        return roots.now(nodes, origins)

    def _run(self, roots: tuple[Node, ...]) -> tuple[Node, ...]:
        normal, following = self.normal, self.following
        pending: list[Node] = []
        for root in roots:
            pending.append(root)
            while pending:
                node = pending[-1]
                if node in normal:
                    pending.pop()
                    continue
                successor = following.get(node)
                if successor is not None:
                    if successor in normal:
                        normal[node] = normal[successor]
                        pending.pop()
                    else:
                        pending.append(successor)
                    continue
                missing = [operand for operand in node.operands if operand not in normal]
                if missing:
                    pending.extend(reversed(missing))
                    continue
                self._step(node)
        return tuple(normal[root] for root in roots)

    def _step(self, node: Node) -> None:
        """Give ``node``, whose operands are in normal form, a successor, or find that it is normal itself."""
        operands = tuple(self.normal[operand] for operand in node.operands)
        new = node if operands == node.operands else node.rebuild(operands)
        if new is node and isinstance(node, Recurrence):
            new = self._body(node)
        if new is node and self.turns.get(node, 0) < LONGEST:
            for rule in self.rules.get(type(node), ()):
                new = rule(node)
                if new is not node:
                    break
        if new is node:
            self.normal[node] = node
            return
        self.turns[new] = max(self.turns.get(new, 0), self.turns.get(node, 0) + 1)
        if new in self.following and new not in self.normal:  # two rules that undo each other
            self.normal[node] = node
            return
        self.following[node] = new

    def _body(self, node: Recurrence) -> Node:
        results = self._run(node.body.results)
        if results == node.body.results:
            return node
        body = Body(node.body.parameters, results)
        return Recurrence(body, node.length, node.carries, node.xs, node.consts, node.reverse)
