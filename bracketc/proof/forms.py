"""The forms in which a derivation writes its formulas: what has a name is called by it, what is long gets one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bracketc.errors import UnsupportedError
from bracketc.ir.build import delta, einsum, fill_value, window
from bracketc.ir.nodes import Add, Derivative, Einsum, Gather, Labels, Linalg, Node, Overlap, Project, Recurrence, Scatter, Tensor
from bracketc.ir.rewrite import Roots, depends_on, map_nodes, substitute, topological
from bracketc.lang.layers import Layer
from bracketc.proof.phrases import tidy, weight
from bracketc.proof.presentation import Abbreviation, Term
from bracketc.proof.ranges import is_general
from bracketc.simplify import simplify, stabilise

REPEATED = 3
"""Names in a constant part that gets an abbreviation when it stands in several places."""

LARGE = 6
"""Names in a constant part that always gets an abbreviation."""

LETTERS = {0: "cqpuvr", 1: "guvpqr", 2: "PQSRUEGVFHABC"}


@dataclass(slots=True)
class Forms:
    """Names in use, and the nodes that have one: definitions and abbreviations. ``letters`` are those of general numbers."""

    used: set[str]
    letters: tuple[str, ...] = ()
    known: dict[Node, Node] = field(default_factory=dict)
    selections: dict[Node, Tensor] = field(default_factory=dict)
    unseen: list[Abbreviation] = field(default_factory=list)

    def learn(self, layer: Layer) -> None:
        """Call what a definition computes by its name from here on, in whatever form it comes out."""
        body = Roots((layer.body,))
        for form in (layer.body, *stabilise(body).nodes, *simplify(body).nodes):
            if not isinstance(form, Tensor) and fill_value(form) is None:
                self.known.setdefault(form, layer.variable)
            if isinstance(form, Einsum) and len(form.factors) == 1 and form.coefficient == 1:
                self._learn_column(*form.factors[0], form, layer.variable)

    def _learn_column(self, matrix: Node, labels: Labels, form: Einsum, variable: Tensor) -> None:
        """A solution is a matrix of one column, of which the name is the vector."""
        column = [label for label in labels if label not in form.output]
        if isinstance(matrix, Linalg) and len(column) == 1 and form.extents[column[0]].constant == 1:
            sizes = dict(enumerate(form.extents))
            self.known.setdefault(matrix, einsum(1, [(variable, form.output)], labels, sizes))

    def simple(self, node: Node) -> Node:
        """Simplified, as a person would write a result."""
        (node,) = simplify(Roots((self.called(node),))).nodes
        return self.tidy(node)

    def tidy(self, node: Node) -> Node:
        """The same without another order of factors and terms."""
        return tidy(self.called(node))

    def called(self, node: Node) -> Node:
        """``node`` with names for what has one, and adjoints of indices as products with a selection."""
        names = {inner: self.known[inner] for inner in topological([node]) if inner in self.known}
        (node,) = substitute((node,), names)
        return map_nodes(Roots((node,)), self._selected)[0].nodes[0]

    def _selected(self, node: Node, operands: tuple[Node, ...]) -> Node:
        """The language has no word for the adjoint of an index, but one for the rows and columns of an identity.

        place[·,1..H](P)  ->  (P_nh I_kh | nk)  with  I = eye(K)[·,1..H]
        """
        new = node if operands == node.operands else node.rebuild(operands)
        if isinstance(new, Overlap):
            count = len(new.steps)
            extents = new.arg.shape[new.axis : new.axis + count]
            selection = self._selection(window(delta(new.extent), 1, new.offset, new.steps, extents))
            inner = [("sum", k) if new.axis <= k < new.axis + count else ("kept", k) for k in range(new.arg.rank)]
            output = [*inner[: new.axis], ("out", 0), *inner[new.axis + count :]]
            return einsum(1, [(new.arg, inner), (selection, [("out", 0), *inner[new.axis : new.axis + count]])], output)
        if isinstance(new, Scatter):
            count = new.index.rank
            selection = self._selection(Gather(delta(new.extent), new.index))
            inner = [("sum", k) if k < count else ("kept", k) for k in range(new.arg.rank)]
            return einsum(1, [(selection, [*inner[:count], ("out", 0)]), (new.arg, inner)], [("out", 0), *inner[count:]])
        return new

    def _selection(self, node: Node) -> Tensor:
        found = self.selections.get(node)
        if found is None:
            found = self.selections[node] = Tensor(self.fresh(node.rank), node.shape)
            self.unseen.append(Abbreviation(found.name, (Term(node),)))
        return found

    def news(self) -> list[Abbreviation]:
        """Selections that no line has said yet what they are."""
        found, self.unseen = self.unseen, []
        return found

    def named(self, node: Node, where: list[Abbreviation]) -> Node:
        """An abbreviation for ``node``, from here on; with an index where the node has one."""
        letter = is_general(node, self.letters)
        name = self.fresh(node.rank) + (f"[{letter}]" if letter is not None else "")
        where.append(Abbreviation(name, tuple(Term(term) for term in (node.terms if isinstance(node, Add) else (node,)))))
        self.known[node] = Tensor(name, node.shape)
        return self.known[node]

    def abbreviated(self, written: Sequence[Node], moving: Iterable[Tensor], where: list[Abbreviation]) -> list[Node]:
        """``written`` with names for constant parts that are long, or that stand in several places."""
        varying = depends_on(written, moving)
        count: dict[Node, int] = {}
        for node in written:
            parts: dict[Node, None] = {}
            for inner in topological([node]):
                if inner in varying:
                    parts.update((operand, None) for operand in inner.operands if operand not in varying)
            for part in parts:
                count[part] = count.get(part, 0) + 1
        chosen: dict[Node, Node] = {}
        for part, uses in count.items():
            if weight(part) >= (REPEATED if uses > 1 else LARGE):
                chosen[part] = self.known.get(part) or self.named(part, where)
        return list(substitute(tuple(written), chosen))

    def fresh(self, rank: int) -> str:
        """A name that nothing has."""
        for number in range(100):
            for letter in LETTERS[min(rank, 2)]:
                name = letter if number == 0 else f"{letter}{number}"
                if name not in self.used and f"d{name}" not in self.used:
                    self.used.add(name)
                    return name
        raise UnsupportedError("no derivation with more abbreviations than there are letters")


def check_written(nodes: Iterable[Node]) -> None:
    """Raise :class:`UnsupportedError` for what the language has no word for."""
    for node in topological(nodes):
        if isinstance(node, Overlap | Scatter):
            raise UnsupportedError("no steps of a derivation through this index: the language has no word for its adjoint")
        if isinstance(node, Recurrence | Project):
            raise UnsupportedError("no steps of a derivation through a recurrence inside a definition")
        if isinstance(node, Derivative):
            raise UnsupportedError("no steps of a derivation through a derivative inside a definition")
