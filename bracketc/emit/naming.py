"""Which parts of a formula get a name of their own.

A part that is used more than once, or that would make a formula long, is written as an equation before its
first use. What is short is repeated instead: ``tanh(A1)`` reads better than a name for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Protocol

from bracketc.emit.forms import form_of
from bracketc.emit.juxtaposition import is_nested, to_be_named
from bracketc.emit.notation import FormName
from bracketc.ir.nodes import Delta, Einsum, Literal, Node, Pointwise, Project, Range, Recurrence, Size, Tensor, Window
from bracketc.ir.printer import label_text

LONG = 14
"""Leaves and operators in one formula before a part of it gets a name."""

SHORT = 2
"""Leaves and operators of what is repeated rather than named."""

_LETTERS = {0: "cqpuvr", 1: "guvpqr", 2: "EGSPQRUVFHABC"}

class Fresh(Protocol):
    """A new name for a node of a rank, ``wish`` if nothing has it."""

    def __call__(self, rank: int, wish: str = "") -> str: ...


def fresh_names(taken: Iterable[str]) -> Fresh:
    """Names that are not ``taken``: one letter while there is one, then numbered ones."""
    used = set(taken)

    def candidates(rank: int) -> Iterator[str]:
        letters = _LETTERS[min(rank, 2)]
        yield from letters
        for number in count(1):
            yield f"{letters[0]}{number}"

    streams = {rank: candidates(rank) for rank in _LETTERS}

    def fresh(rank: int, wish: str = "") -> str:
        if wish and wish not in used:
            used.add(wish)
            return wish
        for name in streams[min(rank, 2)]:
            if name not in used:
                used.add(name)
                return name
        raise AssertionError("an endless stream ended")

    return fresh


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes that the text of ``node`` shows."""
    form = form_of(node)
    return node.operands if form is None else form.args


def is_value(node: Node) -> bool:
    """Whether ``node`` may have a name: conditions stand where they are used."""
    if isinstance(node, Einsum) and len(node.factors) == 1:
        return node.operands[0].dtype == "real"
    return node.dtype == "real"


def is_leaf(node: Node) -> bool:
    return isinstance(node, Tensor | Literal | Size | Range | Delta)


@dataclass(slots=True)
class Naming:
    """``names`` are the nodes that are called by name; :meth:`choose` adds to them.

    ``loops`` are the names of the results of loops, ``whole`` the stacks that are shown otherwise than slice by slice;
    ``taken`` are the names that the source gives a meaning of its own.
    """

    names: dict[Node, str]
    fresh: Fresh
    form: FormName = "auto"
    chosen: dict[Node, None] = field(default_factory=dict)
    loops: dict[Recurrence, list[str]] = field(default_factory=dict)
    whole: dict[Node, None] = field(default_factory=dict)
    taken: Set[str] = frozenset()

    def entry_labels(self, most: int) -> list[str]:
        """Labels that may stand in an index such as ``[i, j+l-1]``, where the name of a size would be read as the size."""
        free = (text for number in count() if (text := label_text(number)) not in self.taken)
        return list(islice(free, most))

    def is_named(self, node: Node) -> bool:
        return node in self.names

    def order(self, roots: Sequence[Node], expanded: Set[Node]) -> list[Node]:
        """Every node that the formulas of ``roots`` show, operands first; names hide what is below them."""
        order: list[Node] = []
        done: set[Node] = set()

        def below(node: Node) -> Iterator[Node]:
            hidden = self.is_named(node) and node not in expanded and node not in self.chosen
            return iter(() if hidden else parts(node))

        for root in roots:
            if root in done:
                continue
            done.add(root)
            stack = [(root, below(root))]
            while stack:
                node, rest = stack[-1]
                for operand in rest:
                    if operand not in done:
                        done.add(operand)
                        stack.append((operand, below(operand)))
                        break
                else:
                    order.append(node)
                    stack.pop()
        return order

    def choose(self, roots: Sequence[Node], expanded: Set[Node]) -> list[Node]:
        """Name what is shared or long below ``roots``; gives the nodes that are shown, operands first.

        ``expanded`` are roots that are written out although they have a name.
        """
        order = self.order(roots, expanded)
        shown = [node for node in order if not self.is_named(node) or node in expanded]
        uses: dict[Node, int] = dict.fromkeys(roots, 1)
        for node in shown:
            for operand in dict.fromkeys(parts(node)):
                uses[operand] = uses.get(operand, 0) + 1
        self.whole.update((root, None) for root in roots if isinstance(root, Project))
        weights: dict[Node, int] = {}
        for node in shown:
            seen = node.carries if isinstance(node, Recurrence) else parts(node)
            self.whole.update((operand, None) for operand in seen if isinstance(operand, Project))
            if isinstance(node, Recurrence):
                for operand in (*node.xs, *node.consts):
                    if not self._sliceable(operand) and self._weight(operand, weights) > SHORT:
                        self.name(operand)
            elif not is_leaf(node) and not isinstance(node, Project):
                weights[node] = self._lighten(node, weights)
                if uses.get(node, 0) > 1 and weights[node] > SHORT and is_value(node):
                    self.name(node)
        if self.form == "bracket":
            self._name_portions(roots, expanded)
        return self.order(roots, expanded) if self.chosen else order

    def _name_portions(self, roots: Sequence[Node], expanded: Set[Node]) -> None:
        """Name what must be cut into portions, until every product can be written or what is left may have no name."""
        while True:
            shown = [n for n in self.order(roots, expanded) if not self.is_named(n) or n in expanded or n in self.chosen]
            inside = {o for n in shown if isinstance(n, Einsum) for o in parts(n) if is_nested(o, self.is_named)}
            outside = {o for n in shown if not isinstance(n, Einsum) for o in parts(n)}
            heads = [n for n in shown if n not in inside or n in outside or n in roots]
            wanted = to_be_named(heads, self.is_named)
            for node in wanted:
                self.name(node)
            if not any(map(self.is_named, wanted)):
                return

    def _lighten(self, node: Node, weights: dict[Node, int]) -> int:
        """The weight of ``node``, after naming the heaviest of its parts if it is long."""
        below = list(dict.fromkeys(parts(node)))
        weight = 1 + sum(self._weight(operand, weights) for operand in below)
        for operand in sorted(below, key=lambda n: -self._weight(n, weights)):
            if weight <= LONG or self._weight(operand, weights) <= SHORT + 1:
                break
            if is_value(operand):
                weight -= self._weight(operand, weights) - 1
                self.name(operand)
        return weight

    def _weight(self, node: Node, weights: dict[Node, int]) -> int:
        if self.is_named(node) or (isinstance(node, Pointwise) and isinstance(node.args[0], Size)):
            return 1
        return weights.get(node, 1)

    def _sliceable(self, node: Node) -> bool:
        """Whether a step of a loop can be shown as ``X[t]``."""
        while isinstance(node, Window) and node.axis == 0 and node.steps == (1,) and not self.is_named(node):
            node = node.arg
        return isinstance(node, Tensor | Project) or self.is_named(node)

    def name(self, node: Node) -> None:
        """Give ``node`` a name and an equation of its own, if it may have one."""
        if not self.is_named(node):
            self.names[node] = self.fresh(node.rank, "I" if isinstance(node, Delta) else "")
            self.chosen.setdefault(node)
