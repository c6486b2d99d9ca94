"""bracketc's own derivation of a gradient, from the target down through the definitions that it uses.

    J = 0.5 (h - Y) · (h - Y), h = tanh(X @ W)
    ->  dJ = (h - Y) · dh = ((h - Y) ⊙ (1 ⊖ h**2)) · (X @ dW) = (X^T @ (…)) · dW  ⟹  ∇[W](J) = X^T @ (…)

The differential of each definition is taken in terms of the names that its text uses; what stands in front of a differential, its
cotangent, goes down to the next definition. Every definition is visited once, after all that uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bracketc.calculus.elementwise import DERIVATIVES
from bracketc.calculus.forward import linearise
from bracketc.calculus.reverse import transpose
from bracketc.errors import UnsupportedError
from bracketc.ir.build import add, fill_value, literal, multiply
from bracketc.ir.nodes import Add, Einsum, Node, Pointwise, Reduce, Tensor
from bracketc.ir.rewrite import Roots, depends_on, substitute, tensors, topological
from bracketc.lang.layers import Layer, Layered
from bracketc.proof.phrases import dot, functions, last, tidy, total, weight
from bracketc.proof.presentation import Abbreviation, Chain, Conclusion, Equation, Heading, Member, Paragraph, Presentation
from bracketc.proof.rules import rule_of
from bracketc.simplify import simplify, stabilise
from bracketc.simplify.stable import logarithm

REPEATED = 3
"""Names in a constant part that gets an abbreviation when it stands in several places."""

LARGE = 8
"""Names in a constant part that always gets an abbreviation."""

LETTERS = {0: "cqpuvr", 1: "guvpqr", 2: "PQSRUEGVFHABC"}


def present(layered: Layered, target: str, wrt: Sequence[str]) -> Presentation:
    """The derivation of the gradient of ``target`` by arguments of the file, named as in the source.

    Raises :class:`~bracketc.errors.UnsupportedError` for what has no presentation.
    """
    return _Presenter(layered, target, tuple(wrt)).run()


@dataclass(frozen=True, slots=True)
class _Term:
    """``cotangent · d name``."""

    cotangent: Node
    name: str


@dataclass(slots=True)
class _Presenter:
    """One derivation while it is written."""

    layered: Layered
    target: str
    wrt: tuple[str, ...]
    paragraphs: list[Paragraph] = field(default_factory=list)
    layers: dict[str, Layer] = field(default_factory=dict)
    bodies: dict[str, Node] = field(default_factory=dict)
    variables: dict[str, Tensor] = field(default_factory=dict)
    moving: dict[str, Tensor] = field(default_factory=dict)
    given: dict[str, list[Node]] = field(default_factory=dict)
    known: dict[Node, Node] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)

    # ------------------------------------------------------------------------------------------- set-up
    def run(self) -> Presentation:
        layered = self.layered
        self.used = set(layered.names) | {tensor.name for tensor in layered.arguments} | {spec.name for spec in layered.sizes}
        arguments = {tensor.name: tensor for tensor in layered.arguments}
        layers = {layer.name: layer for layer in layered.layers}
        if self.target not in layers:
            raise UnsupportedError(f"a derivation of {self.target}, which is no definition")
        if layers[self.target].variable.rank:
            raise UnsupportedError(f"a derivation of {self.target}, which is no scalar")
        self._read(layers)
        below = self._below(self.target)
        for name in [*self.wrt, *layers]:
            variable = arguments.get(name) or layers[name].variable
            self.variables[name] = variable
        varying = set(self.wrt)
        for name in layers:
            if any(tensor.name in varying for tensor in tensors([self.bodies[name]])):
                varying.add(name)
        self.moving = {name: self._differential(name) for name in self.variables if name in varying}
        order = [name for name in reversed(layers) if name in below and name in varying]
        for name in order:
            if layers[name].recurring is not None:
                raise UnsupportedError(f"a derivation through the recurrence of {name}")
        self._work(order)
        differentials = tuple((tensor, name) for name, tensor in self.moving.items())
        return Presentation(self.target, self.wrt, tuple(self.paragraphs), differentials, frozenset(self.used))

    def _read(self, layers: dict[str, Layer]) -> None:
        """The body of every layer, in the form in which it is differentiated."""
        logarithms: dict[Node, Node] = {}
        for name, layer in layers.items():
            self.layers[name] = layer
            body = layer.body
            inlined: dict[Node, Node] = {}
            for inner in topological([body]):
                if isinstance(inner, Pointwise) and inner.function == "ln" and inner.args[0] in logarithms:
                    inlined[inner.args[0]] = logarithms[inner.args[0]]
            (body,) = substitute((body,), inlined)
            (stable,) = stabilise(Roots((body,))).nodes
            self.bodies[name] = stable if functions(stable) != functions(body) else tidy(body)
            if logarithm(stable) is not None and not layer.recurring and name not in self.wrt:
                logarithms[layer.variable] = body
            for form in (layer.body, *stabilise(Roots((layer.body,))).nodes, *simplify(Roots((layer.body,))).nodes):
                if not isinstance(form, Tensor) and fill_value(form) is None and layer.recurring is None:
                    self.known.setdefault(form, layer.variable)

    def _below(self, target: str) -> set[str]:
        """The layers that ``target`` is computed from, itself among them."""
        found: set[str] = set()
        pending = [target]
        while pending:
            name = pending.pop()
            if name in self.bodies and name not in found:
                found.add(name)
                pending += [tensor.name for tensor in tensors([self.bodies[name]])]
        return found

    def _differential(self, name: str) -> Tensor:
        text = f"d{name}"
        if text.partition("[")[0] in self.used:
            if "d" in self.used:
                raise UnsupportedError(f"a derivation where {text} and d are names of the file")
            text = f"d({name})"
        return Tensor(text, self.variables[name].shape)

    # ------------------------------------------------------------------------------------------- chains
    def _work(self, order: Sequence[str]) -> None:
        """Every definition in turn, each after all that uses it."""
        waiting = list(order)
        terms = [_Term(literal(1), self.target)]
        members: list[Member] = []
        heading = Heading("differential", self.target)
        self.given[self.target] = [literal(1)]
        while waiting:
            name = waiting.pop(0)
            if name not in self.given:
                continue
            if not members and name != self.target:
                cotangent = self._total(name)
                heading = Heading("restricted", self.target, name)
                members = [self._member([_Term(cotangent, name)], self._sum_rule(name))]
                terms = [_Term(cotangent, name)]
            terms = self._expand(terms, name, members)
            following = waiting[0] if waiting else None
            while following is not None and following not in {term.name for term in terms} and following not in self.given:
                waiting.pop(0)
                following = waiting[0] if waiting else None
            local = next((term.name for term in terms if term.name in self.layers and self.layers[term.name].local), None)
            if following is not None and following == local and following not in self.given:
                self.given[following] = []
                continue
            if len(terms) == 1 and terms[0].name == following and following not in self.given and following not in self.wrt:
                self.given[following] = []
                continue
            for term in terms:
                self.given.setdefault(term.name, []).append(term.cotangent)
            self.paragraphs.append(Chain(heading, tuple(members)))
            members = []
            self._conclude(waiting)

    def _expand(self, terms: Sequence[_Term], name: str, members: list[Member]) -> list[_Term]:
        """The differential of one definition written out, and the differentials in it taken out again."""
        body = self.bodies[name]
        mine = [tensor.name for tensor in tensors([body]) if tensor.name in self.moving]
        where: list[Abbreviation] = []
        parts: list[tuple[Node, Node, str]] = []
        for term in terms:
            if term.name == name:
                parts += self._parts(term.cotangent, body, mine, where)
            else:
                parts.append((term.cotangent, self.moving[term.name], term.name))
        written = self._abbreviated([dot(cotangent, tangent) for cotangent, tangent, _ in parts], where)
        rule = rule_of(body, [self.variables[other] for other in mine])
        first = Member(total(written), rule, self._local(where, written))
        found: dict[str, list[Node]] = {}
        for (cotangent, tangent, other), node in zip(parts, written, strict=True):
            moving = self.moving[other]
            part: Node | None = cotangent
            if tangent is not moving:
                (part,) = transpose((node,), (moving,), (literal(1),))
                part = None if part is None else self._simple(part)
            if part is not None:
                found.setdefault(other, []).append(part)
        taken = [_Term(c[0] if len(c) == 1 else self._simple(add(c)), other) for other, c in found.items()]
        if any(isinstance(node, Reduce) for node in topological([body])):
            members.append(self._member(taken, rule, where))
        else:
            members.append(first)
            listed = [self.moving[term.name].name for term in taken]
            what = "the differentials" if any("[" in text for text in listed) else ", ".join(listed)
            members.append(self._member(taken, f"taking {what} out"))
        return taken

    def _parts(
        self, cotangent: Node, body: Node, mine: Sequence[str], where: list[Abbreviation]
    ) -> Iterator[tuple[Node, Node, str]]:
        """The differential of ``body`` under a cotangent: cotangents, tangents, and the name that varies in each."""
        pieces = [(given, self._tangents(core, mine)) for given, core in self._pieces(cotangent, body, mine)]
        uses: dict[Node, int] = {}
        for given, tangents in pieces:
            uses[given] = uses.get(given, 0) + len(tangents)
        for given, tangents in pieces:
            if given.rank and weight(given) >= (REPEATED if uses[given] > 1 else LARGE):
                given = self.known.get(given) or self._named(given, where)
            yield from ((given, tangent, other) for tangent, other in tangents)

    def _member(self, terms: Sequence[_Term], rule: str, where: Sequence[Abbreviation] = ()) -> Member:
        nodes = [dot(term.cotangent, self.moving[term.name]) for term in terms]
        return Member(total(nodes), rule, self._local(where, nodes))

    def _pieces(self, cotangent: Node, body: Node, mine: Sequence[str]) -> Iterator[tuple[Node, Node]]:
        """A linear functional of ``body`` as functionals of inner parts: through sums, element-wise functions and linear maps.

        P of tanh(A)  ->  P ⊙ (1 ⊖ tanh(A)**2) of A
        """
        linked = depends_on([body], [self.variables[name] for name in mine])
        pending = [(cotangent, body)]
        while pending:
            given, node = pending.pop()
            inner = [operand for operand in node.operands if operand in linked]
            if isinstance(node, Add):
                pending += [(given, term) for term in reversed(node.terms) if term in linked]
            elif isinstance(node, Pointwise) and len(node.args) == 1 and node.function in DERIVATIVES:
                slope = DERIVATIVES[node.function](node)
                if slope is not None:
                    pending.append((self._tidy(multiply(given, slope)), node.args[0]))
            elif isinstance(node, Einsum) and len(inner) == 1 and inner[0].operands:
                (part,) = transpose((node,), (inner[0],), (given,))
                if part is not None:
                    pending.append((self._tidy(part), inner[0]))
            else:
                yield given, node

    def _tangents(self, core: Node, mine: Sequence[str]) -> list[tuple[Node, str]]:
        """The differential of ``core``, one part for each name."""
        found = []
        for name in mine:
            (tangent,) = linearise((core,), (self.variables[name],), (self.moving[name],))
            if tangent is not None:
                found.append((self._tidy(last(tangent, self.moving[name])), name))
        return found

    # ------------------------------------------------------------------------------------------- forms
    def _simple(self, node: Node) -> Node:
        """Simplified, with what the file names called by its name."""
        (node,) = substitute((node,), self._names(node))
        (node,) = simplify(Roots((node,))).nodes
        return self._tidy(node)

    def _tidy(self, node: Node) -> Node:
        (node,) = substitute((node,), self._names(node))
        return tidy(node)

    def _names(self, node: Node) -> dict[Node, Node]:
        return {inner: self.known[inner] for inner in topological([node]) if inner in self.known}

    def _named(self, node: Node, where: list[Abbreviation]) -> Node:
        """An abbreviation for ``node``, from here on."""
        name = self._fresh(node.rank)
        where.append(Abbreviation(name, node))
        self.known[node] = Tensor(name, node.shape)
        return self.known[node]

    def _abbreviated(self, written: Sequence[Node], where: list[Abbreviation]) -> list[Node]:
        """Names for constant parts that are long, or that stand in several places."""
        varying = depends_on(written, self.moving.values())
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
                chosen[part] = self._named(part, where)
        return list(substitute(tuple(written), chosen))

    def _fresh(self, rank: int) -> str:
        for number in range(100):
            for letter in LETTERS[min(rank, 2)]:
                name = letter if number == 0 else f"{letter}{number}"
                if name not in self.used and f"d{name}" not in self.used:
                    self.used.add(name)
                    return name
        raise UnsupportedError("a derivation with more abbreviations than there are letters")

    def _local(self, where: Iterable[Abbreviation], nodes: Sequence[Node]) -> tuple[Abbreviation, ...]:
        """``where``, and the local names of definitions that are used for the first time."""
        found = list(where)
        pending = [*nodes, *(abbreviation.node for abbreviation in found)]
        added: list[Abbreviation] = []
        moved = {tensor: name for name, tensor in self.moving.items()}
        while pending:
            for tensor in tensors([pending.pop()]):
                name = moved.get(tensor, tensor.name)
                layer = self.layers.get(name)
                if layer is not None and layer.local and name not in self.bound:
                    self.bound.add(name)
                    added.append(Abbreviation(name, layer.body))
                    pending.append(layer.body)
        return (*reversed(added), *found)

    # ------------------------------------------------------------------------------------------- conclusions
    def _total(self, name: str) -> Node:
        parts = self.given[name]
        return parts[0] if len(parts) == 1 else self._simple(add(parts))

    def _sum_rule(self, name: str) -> str:
        return "" if len(self.given[name]) == 1 else "adding its terms"

    def _conclude(self, waiting: Sequence[str]) -> None:
        """The gradients by which nothing that is left could add anything."""
        later = {tensor.name for name in waiting for tensor in tensors([self.bodies[name]])}
        equations = []
        added = []
        for name in self.wrt:
            if name in self.given and name not in later and name not in self.bound:
                self.bound.add(name)
                node = self._total(name)
                equations.append(Equation(Heading("gradient", self.target, name), node))
                if len(self.given[name]) > 1:
                    added.append(self.moving[name].name)
        if equations:
            rule = "adding the terms of each differential" if added else ""
            nodes = [equation.node for equation in equations]
            self.paragraphs.append(Conclusion(tuple(equations), rule, self._local((), nodes)))
