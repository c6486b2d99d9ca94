"""The definitions between a target and what it is differentiated by: their bodies, what varies, and the order of a visit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from bracketc.calculus.elementwise import DERIVATIVES
from bracketc.errors import UnsupportedError
from bracketc.ir.nodes import Derivative, Einsum, Node, Pointwise, Tensor
from bracketc.ir.rewrite import Roots, substitute, tensors, topological
from bracketc.lang.layers import Layer, Layered
from bracketc.proof.forms import Forms, check_written
from bracketc.proof.phrases import functions, tidy
from bracketc.proof.pieces import buried
from bracketc.proof.ranges import Extents, Names, Ranged, UnlikeError, alike, general_names, split_name
from bracketc.simplify import simplify, stabilise
from bracketc.simplify.stable import logarithm


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a derivation visits.

    ``layers`` and ``bodies`` are by name, ``Z[t]`` for a general step; ``moving`` are the differentials of all names that vary.
    ``order`` are the definitions to visit, users first. ``noted`` are general names to which other steps add, ``stacks``
    the names of all steps of a recurrence at once. ``results`` are what gradients are concluded for, ``shown`` the same
    behind ``wrt``; ``starts`` are start values that vary, with the general names and the numbers of the steps that use them.
    ``extents`` are the sizes with numbers.
    """

    layers: Mapping[str, Layer]
    bodies: Mapping[str, Node]
    moving: Mapping[str, Tensor]
    order: tuple[str, ...]
    noted: tuple[str, ...]
    ranges: Mapping[str, Ranged]
    stacks: Mapping[str, Ranged]
    results: tuple[str, ...]
    shown: tuple[str, ...]
    starts: Mapping[str, tuple[tuple[str, str], ...]]
    extents: Extents
    rules: Mapping[str, str]
    forms: Forms

    def is_local(self, name: str) -> bool:
        layer = self.layers.get(name)
        return layer is not None and layer.local

    def base(self, name: str) -> str:
        """``Z`` of ``Z[t-1]``, where Z has a range; else the name itself."""
        base, _ = split_name(name)
        return base if base in self.ranges else name

    def range_of(self, name: str) -> Ranged | None:
        """The range of a general name; None for any other."""
        ranged = self.ranges.get(split_name(name)[0])
        return ranged if ranged is not None and ranged.offset(name) is not None else None

    def rule(self, name: str, found: str) -> str:
        """The rule that a differential was taken by, with what else was used of the arguments."""
        known = self.rules.get(name)
        return known if known is not None else found


def definitions(layered: Layered, target: str, wrt: Sequence[str], families: bool = True) -> Definitions:
    """The definitions that lead from ``target`` down to ``wrt``; with ``families``, one general member stands for all.

    Raises :class:`~bracketc.proof.ranges.UnlikeError` where they are not alike.
    """
    found = _read(layered, target, wrt, general_names(layered, wrt, families))
    if not _is_regular(found):
        raise UnlikeError
    return found


def plain_definitions(layered: Layered, target: str, wrt: Sequence[str]) -> Definitions:
    """The same for a target of any rank, members of families one by one."""
    return _read(layered, target, wrt, general_names(layered, wrt, families=False), scalar=False)


def _is_regular(found: Definitions) -> bool:
    """Whether what is said of a general member holds for all: no start varies, and only the last is used from outside."""
    for ranged in found.ranges.values():
        if not ranged.numbers:
            continue
        for name in found.moving:
            number = ranged.member(name)
            if number is None:
                continue
            if number not in ranged.numbers or (ranged.name in found.layers and number != ranged.numbers[-1]):
                return False
    return True


def _read(layered: Layered, target: str, wrt: Sequence[str], names: Names, scalar: bool = True) -> Definitions:
    layers = names.layers
    if target in names.ranges and not names.ranges[target].sliced:
        raise UnsupportedError(f"no steps of a derivation of {target}, which stands for all steps of a recurrence or all members")
    if target not in layers:
        raise UnsupportedError(f"no steps of a derivation of {target}, which is no definition")
    if scalar and layers[target].variable.rank:
        raise UnsupportedError(f"no steps of a derivation of {target}, which is no scalar")
    known = {*layers, *(tensor.name for tensor in layered.arguments)}
    for name in wrt:
        if name not in known:
            raise UnsupportedError(f"no steps of a derivation by {name}, which is no argument and has no definition of its own")
    used = set(layered.names) | {tensor.name for tensor in layered.arguments} | {spec.name for spec in layered.sizes}
    letters = dict.fromkeys(ranged.letter for ranged in names.ranges.values())
    forms = Forms(used | set(letters), tuple(letters))
    wholes = [*layered.arguments, *(layer.variable for layer in layers.values())]
    lengths = {tensor.name: str(tensor.shape[0]) for tensor in wholes if tensor.rank}
    stacks = {
        base: ranged
        for base, ranged in names.ranges.items()
        if not ranged.numbers and (not ranged.sliced or (ranged.first, ranged.last) == ("1", lengths[base]))
    }
    bodies, rules = _bodies(layers, wrt, forms)
    graph = _Graph(layers, bodies, names.ranges, stacks, layered, wrt)
    layers = _with_arguments_named(layers, bodies, graph, target, forms)
    graph = _Graph(layers, bodies, names.ranges, stacks, layered, wrt)
    moving = {name: _differential(tensor, used) for name, tensor in graph.moving().items()}
    if target not in moving:
        raise UnsupportedError(f"no steps of a derivation of {target}, which does not depend on {' or '.join(wrt)}")
    order = tuple(name for name in graph.order(target) if name in moving and name not in wrt)
    check_written(node for name in order for node in topological([bodies[name]]) if isinstance(node, Derivative))
    general = [names.ranges[base] for base, entry in map(split_name, order) if entry is not None and base in names.ranges]
    noted = tuple(ranged.name for ranged in general if graph.is_noted(ranged, order))
    results: dict[str, None] = {}
    shown: dict[str, None] = {}
    for name in wrt:
        base, entry = split_name(name)
        ranged = names.ranges.get(base) if entry is not None else None
        results.setdefault(name if ranged is None else ranged.name)
        shown.setdefault(name if ranged is None else base)
    return Definitions(
        layers,
        bodies,
        moving,
        order,
        noted,
        names.ranges,
        stacks,
        tuple(results),
        tuple(shown),
        graph.starts(order),
        layered.extents,
        rules,
        forms,
    )


def _bodies(layers: Mapping[str, Layer], wrt: Sequence[str], forms: Forms) -> tuple[dict[str, Node], dict[str, str]]:
    """The body of every layer in the form in which it is differentiated, and rules that this form brings."""
    logarithms: dict[Node, Node] = {}
    bodies: dict[str, Node] = {}
    rules: dict[str, str] = {}
    for name, layer in layers.items():
        inlined: dict[Node, Node] = {}
        for node in topological([layer.body]):
            if isinstance(node, Pointwise) and node.function == "ln" and node.args[0] in logarithms:
                inlined[node.args[0]] = logarithms[node.args[0]]
        (body,) = substitute((layer.body,), inlined)
        (stable,) = stabilise(Roots((body,))).nodes
        bodies[name] = stable if functions(stable) != functions(body) else tidy(body)
        if logarithm(stable) is not None and name not in wrt:
            logarithms[layer.variable] = body
        rule = _softmax_rule(body, stable)
        if rule:
            rules[name] = rule
        forms.learn(layer)
    return bodies, rules


def _with_arguments_named(
    layers: Mapping[str, Layer], bodies: dict[str, Node], graph: _Graph, target: str, forms: Forms
) -> Mapping[str, Layer]:
    """Local names for long arguments of functions inside products; ``bodies`` is changed."""
    found = dict(layers)
    moving = graph.moving()
    pending = [name for name in graph.order(target) if split_name(name)[1] is None]
    while pending:
        name = pending.pop()
        variables = [tensor for tensor in tensors([bodies[name]]) if tensor.name in moving]
        for argument in buried(bodies[name], variables):
            local = Layer(forms.fresh(argument.rank), Tensor("", argument.shape), argument, local=True, owner=name)
            local = replace(local, variable=Tensor(local.name, argument.shape))
            for other, body in bodies.items():
                (bodies[other],) = substitute((body,), {argument: local.variable})
                if bodies[other] is not body and other in layers:
                    forms.learn(replace(layers[other], body=bodies[other]))
            found[local.name] = local
            bodies[local.name] = argument
            forms.learn(local)
            pending.append(local.name)
    return found


def _softmax_rule(body: Node, stable: Node) -> str:
    """The rule of cross-entropy, with the side condition on the rows of an argument where it is used."""
    logarithms = [n.args[0] for n in topological([body]) if isinstance(n, Pointwise) and n.function == "ln"]
    if not any(logarithm(argument) is not None for argument in logarithms) or functions(stable)["logsumexp"] == 0:
        return ""
    names = [t.name for t in tensors([stable]) if {"onehot rows", "stochastic rows"} & set(t.traits)]
    weighted = [name for name in names if _sums_matter(stable, name)]
    rule = "the differential of ln softmax"
    return f"{rule}, where the rows of {' and '.join(weighted)} sum to 1" if weighted else rule


def _sums_matter(stable: Node, name: str) -> bool:
    """Whether the argument ``name`` multiplies the logsumexp, so that the sum of its rows enters."""
    free: dict[Node, Node] = {t: replace(t, traits=()) for t in tensors([stable]) if t.name == name}
    return simplify(Roots((stable,))).nodes[0] is not simplify(Roots(substitute((stable,), free))).nodes[0] and any(
        isinstance(node, Einsum) and set(free) & set(node.operands) for node in topological([stable])
    )


def _differential(tensor: Tensor, used: set[str]) -> Tensor:
    text = f"d{tensor.name}"
    if text.partition("[")[0] in used:
        if "d" in used:
            raise UnsupportedError(f"no steps of a derivation where {text} and d are names of the file")
        text = f"d({tensor.name})"
    return Tensor(text, tensor.shape)


def _differentiable(body: Node) -> list[Tensor]:
    """The tensors in ``body`` on which its differential can depend: not those in conditions, signs and what stops."""
    found: dict[Node, None] = {body: None}
    pending = [body]
    while pending:
        node = pending.pop()
        rule = DERIVATIVES.get(node.function) if isinstance(node, Pointwise) and len(node.args) == 1 else None
        if rule is not None and isinstance(node, Pointwise) and rule(node) is None:
            continue
        inner = [operand for operand in node.operands if operand.dtype == "real" and operand not in found]
        found.update(dict.fromkeys(inner))
        pending += inner
    return [node for node in found if isinstance(node, Tensor)]


class _Graph:
    """Which names use which, and which vary."""

    def __init__(
        self,
        layers: Mapping[str, Layer],
        bodies: Mapping[str, Node],
        ranges: Mapping[str, Ranged],
        stacks: Mapping[str, Ranged],
        layered: Layered,
        wrt: Sequence[str],
    ) -> None:
        self.layers, self.bodies, self.ranges, self.stacks = layers, bodies, ranges, stacks
        self.uses = {name: tensors([body]) for name, body in bodies.items()}
        self.moves = {name: _differentiable(body) for name, body in bodies.items()}
        self.arguments = {tensor.name: tensor for tensor in layered.arguments}
        self.wrt = wrt
        self.first_values = layered.starts
        self.extents = layered.extents
        self.varying = self._varying()

    def _key(self, name: str) -> str:
        """What varies as one: ``Z`` for all steps, a start value or a plain name by itself."""
        base, entry = split_name(name)
        ranged = self.ranges.get(base)
        if ranged is None or entry is None:
            return name
        number = ranged.member(name)
        if ranged.numbers and number is not None and number not in ranged.numbers:
            return name
        if name in self.layers and ranged.offset(name) is None:
            return name
        return base

    def _varying(self) -> set[str]:
        found = {self._key(name) for name in self.wrt}
        while True:
            grown = set(found)
            for name in self.bodies:
                if any(self._key(tensor.name) in grown for tensor in self.moves[name]):
                    grown.add(self._key(name))
            for base, starts in self.first_values.items():
                if any(self._key(tensor.name) in grown for _, tensor in starts):
                    grown.add(base)
            if grown == found:
                return found
            found = grown

    def moving(self) -> dict[str, Tensor]:
        """Every name that varies and stands in a body, or is visited."""
        found: dict[str, Tensor] = {}
        for name, layer in self.layers.items():
            if self._key(name) in self.varying:
                found.setdefault(name, layer.variable)
        for uses in self.uses.values():
            for tensor in uses:
                if self._key(tensor.name) in self.varying:
                    found.setdefault(tensor.name, tensor)
        for name in self.wrt:
            base, entry = split_name(name)
            ranged = self.ranges.get(base) if entry is not None else None
            found.setdefault(name, self.arguments.get(name) or self.layers[name].variable)
            if ranged is not None:
                found.setdefault(ranged.name, self._general(ranged))
        return found

    def _general(self, ranged: Ranged) -> Tensor:
        """The general member of a family of arguments."""
        members = {number: self.arguments[f"{ranged.base}[{number}]"] for number in ranged.numbers}
        found = alike(members, ranged.letter, self.ranges, self.extents)
        if not isinstance(found, Tensor):
            raise UnlikeError
        return found

    def _below(self, name: str) -> list[str]:
        """The definitions that the body of ``name`` needs at the same step, or at once; of earlier steps the start values."""
        own = self.ranges.get(split_name(name)[0])
        found: dict[str, None] = {}
        for tensor in self.uses[name]:
            ranged = self.ranges.get(split_name(tensor.name)[0])
            is_step = ranged is not None and not ranged.sliced and tensor.name not in self.layers
            if is_step and own is not None and ranged is not None and ranged.offset(tensor.name):
                found.update(dict.fromkeys(self._definition(start) for _, start in self.first_values.get(ranged.base, ())))
            else:
                found.setdefault(self._definition(tensor))
        return [below for below in found if below in self.layers]

    def _definition(self, tensor: Tensor) -> str:
        """The name under which what ``tensor`` stands for is visited: that of a general step for any step."""
        if tensor.name in self.layers:
            return tensor.name
        ranged = self.ranges.get(split_name(tensor.name)[0]) or self.stacks.get(tensor.name)
        if ranged is None:
            return tensor.name
        return ranged.base if ranged.sliced else ranged.name

    def order(self, target: str) -> list[str]:
        """What ``target`` needs, users before what they use at the same step, and the steps of a recurrence before its start.

        Wished for is the order in which the target needs them first, then what only other steps need.
        """
        first = self._reached(target, self._below)
        wished = [*first, *(name for name in self._reached(target, self._anywhere) if name not in first)]
        users = Counter(below for name in wished for below in self._below(name))
        waiting = [place for place, name in enumerate(wished) if not users[name]]
        places = {name: place for place, name in enumerate(wished)}
        found: list[str] = []
        while waiting:
            name = wished[heappop(waiting)]
            found.append(name)
            for below in self._below(name):
                users[below] -= 1
                if not users[below]:
                    heappush(waiting, places[below])
        assert len(found) == len(wished), "what is needed at the same step is no circle"
        return found

    def _reached(self, target: str, below: Callable[[str], list[str]]) -> list[str]:
        """What is below ``target``, users before what they use where there is no circle."""
        done: dict[str, None] = {}
        active: set[str] = set()
        pending: list[tuple[str, bool]] = [(target, False)]
        while pending:
            name, ready = pending.pop()
            if ready:
                done.setdefault(name)
            elif name not in active:
                active.add(name)
                pending.append((name, True))
                pending += [(other, False) for other in reversed(below(name)) if other not in done]
        return [*reversed(list(done))]

    def _anywhere(self, name: str) -> list[str]:
        """The definitions that the body of ``name`` needs at any step."""
        return [*self._below(name), *(below for tensor in self.uses[name] if (below := self._definition(tensor)) in self.layers)]

    def is_noted(self, ranged: Ranged, order: Sequence[str]) -> bool:
        """Whether other steps than the own, or a single one, add to the gradient by a step."""
        for name in order:
            for tensor in self.uses[name]:
                base, entry = split_name(tensor.name)
                if base == ranged.base and entry is not None and ranged.offset(tensor.name) != 0:
                    return True
        return False

    def starts(self, order: Sequence[str]) -> dict[str, tuple[tuple[str, str], ...]]:
        """Start values that vary: the names by which steps use them, and the numbers of these steps."""
        found: dict[str, list[tuple[str, str]]] = {}
        used = dict.fromkeys(tensor.name for name in order for tensor in self.uses[name])
        for base, starts in self.first_values.items():
            ranged = self.ranges.get(base)
            if ranged is None:
                continue
            for position, tensor in starts:
                if self._key(tensor.name) not in self.varying:
                    continue
                for name in used:
                    offset = ranged.offset(name)
                    step = position - (offset or 0)
                    if offset and all(((step - other).constant or 0) * offset < 0 for other, _ in starts):  # a step, no start
                        found.setdefault(tensor.name, []).append((name, str(step).replace(" ", "")))
        return {name: tuple(pairs) for name, pairs in found.items()}
