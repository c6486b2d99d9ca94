"""Random well-typed graphs of every node kind, with values on which the interpreter stays finite and far from kinks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import (
    Body,
    Gather,
    Linalg,
    Node,
    Pointwise,
    Range,
    Recurrence,
    Reduce,
    Scatter,
    Select,
    Shape,
    Stack,
    Tensor,
)
from bracketc.proof.samples import with_traits

SIZES = {"N": 3, "M": 2, "K": 4, "T": 3}
EXTENTS = (Dim.named("N"), Dim.named("M"), Dim.named("K"), Dim.of(2), Dim.of(3))
UNARY = (
    *(
        "exp",
        "ln",
        "log10",
        "log1p",
        "expm1",
        "abs",
        "sign",
        "step",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
    ),
    *("cosh", "tanh", "sigmoid", "softplus", "relu", "erf", "lgamma", "digamma"),
)
BINARY = ("max", "min", "pow")
EXPONENTS = (-1, 2, 3, Fraction(1, 2), Fraction(-1, 2), 1.5, -2)
COEFFICIENTS = (1, 1, 1, -1, 2, Fraction(1, 2), Fraction(-3, 2), 0.7)


@dataclass
class RandomGraph:
    """A pool of nodes with their arrays; ``grow`` adds one, ``roots`` picks the last few."""

    rng: random.Random
    nodes: list[Node] = field(default_factory=list)
    values: dict[Tensor, Any] = field(default_factory=dict)
    arrays: dict[Node, Any] = field(default_factory=dict)

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.keep(self.rng.choice(_MAKERS)(self))

    def roots(self, count: int) -> tuple[Node, ...]:
        return tuple(self.nodes[-count:])

    def pick(self, accept: Callable[[Node], bool] = lambda node: True) -> Node:
        """A real node that ``accept`` accepts; a new argument when there is none in the pool."""
        found = [node for node in self.nodes if node.dtype == "real" and accept(node)]
        if found:
            return found[max(self.rng.randrange(len(found)), self.rng.randrange(len(found)))]
        while True:
            fresh = self.argument(self.shape(self.rng.choice((1, 2, 3))))
            if accept(fresh):
                return fresh

    def alike(self, shape: Shape) -> Node:
        """A real node of ``shape``."""
        found = [node for node in self.nodes if node.dtype == "real" and node.shape == shape]
        return self.rng.choice(found) if found and self.rng.random() < 0.8 else self.argument(shape)

    def shape(self, rank: int) -> Shape:
        return tuple(self.rng.choice(EXTENTS) for _ in range(rank))

    def argument(self, shape: Shape) -> Tensor:
        """A new argument with values, now and then with a trait that they have."""
        extents = [dim.evaluate(SIZES) for dim in shape]
        noise = np.random.default_rng(self.rng.randrange(2**32))
        value, traits = noise.uniform(-1.5, 1.5, extents), []
        if self.rng.random() < 0.3:
            value, traits = np.abs(value) + 0.1, ["positive"]
            if shape and self.rng.random() < 0.4:
                value, traits = value / value.sum(axis=-1, keepdims=True), ["stochastic rows"]
        elif len(shape) == 2 and shape[0] is shape[1] and self.rng.random() < 0.6:
            value, traits = value + value.T, ["symmetric"]
        node = Tensor(f"A{len(self.values)}", shape, traits=tuple(traits))
        self.values[node] = value
        self.nodes.append(node)
        self.arrays[node] = value
        return node

    def index(self, shape: Shape, bound: Dim) -> Tensor:
        extents = [dim.evaluate(SIZES) for dim in shape]
        node = Tensor(f"I{len(self.values)}", shape, "integer", (), bound)
        self.values[node] = np.random.default_rng(self.rng.randrange(2**32)).integers(0, bound.evaluate(SIZES), extents)
        self.arrays[node] = self.values[node]
        return node

    def keep(self, node: Node) -> None:
        given = [self.arrays[arg] for arg in node.operands if arg in self.arrays] if isinstance(node, Pointwise) else []
        if any(((array != 0) & (abs(array) < 1e-9)).any() for array in given):
            return  # what only rounding tells from 0
        try:
            array = interpret([node], self.values, SIZES)[0]
        except np.linalg.LinAlgError:  # a matrix without an inverse
            return
        if array.dtype == bool or (np.isfinite(array).all() and (not array.size or abs(array).max() < 200)):
            self.nodes.append(node)
            self.arrays[node] = array


def random_graph(seed: int, count: int = 12, roots: int = 3) -> tuple[tuple[Node, ...], dict[Tensor, Any]]:
    """``roots`` nodes of a graph of about ``count`` operations, and values of its tensors. Sizes are ``SIZES``."""
    graph = RandomGraph(random.Random(seed))
    for rank in (2, 2, 1, 0):
        graph.argument(graph.shape(rank))
    graph.grow(count)
    return graph.roots(roots), graph.values


def _leaf(graph: RandomGraph) -> Node:
    dim = graph.rng.choice(EXTENTS)
    return graph.rng.choice(
        (
            build.literal(graph.rng.choice(COEFFICIENTS)),
            build.size(dim),
            Range(dim),
            build.delta(dim),
            build.fill(graph.rng.choice(COEFFICIENTS), graph.shape(graph.rng.choice((1, 2)))),
        )
    )


def _einsum(graph: RandomGraph) -> Node:
    rng = graph.rng
    factors: list[tuple[Node, list[int]]] = []
    extents: dict[int, Dim] = {}
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        node = graph.pick(lambda n: n.rank <= 3)
        labels: list[int] = []
        for extent in node.shape:
            known = [label for label, dim in extents.items() if dim is extent]
            label = rng.choice(known) if known and rng.random() < 0.6 else len(extents)
            extents[label] = extent
            labels.append(label)
        factors.append((node, labels))
    if rng.random() < 0.2:  # a label that no factor carries, kept or summed
        extents[len(extents)] = rng.choice(EXTENTS)
    output = [label for label in extents if rng.random() < 0.5][:3]
    rng.shuffle(output)
    return build.einsum(rng.choice(COEFFICIENTS), factors, output, extents)


def _add(graph: RandomGraph) -> Node:
    first = graph.pick()
    terms = [first] + [graph.alike(first.shape) for _ in range(graph.rng.choice((1, 1, 2)))]
    return build.add([build.scale(graph.rng.choice(COEFFICIENTS), term) for term in terms])


def _unary(graph: RandomGraph) -> Node:
    if graph.rng.random() < 0.3:
        return build.power(graph.pick(), graph.rng.choice(EXPONENTS))
    function = graph.rng.choice(UNARY)
    kinked = function in ("abs", "sign", "step", "relu", "tan", "lgamma", "digamma")
    return build.pointwise(function, graph.pick(lambda n: not kinked or _far_from_zero(graph, n)))


def _far_from_zero(graph: RandomGraph, node: Node) -> bool:
    return bool((abs(graph.arrays[node]) > 1e-6).all())


def _apart(graph: RandomGraph, left: Node, right: Node) -> bool:
    return bool((abs(graph.arrays[left] - graph.arrays[right]) > 1e-6).all())


def _binary(graph: RandomGraph) -> Node:
    left = graph.pick()
    right = graph.alike(left.shape)
    function = graph.rng.choice(BINARY)
    if function == "pow":
        return build.pointwise("pow", build.pointwise("softplus", left), right)
    return build.pointwise(function, left, right) if _apart(graph, left, right) else left


def _select(graph: RandomGraph) -> Node:
    left = graph.pick()
    right = graph.alike(left.shape)
    if not _apart(graph, left, right):
        return left
    condition = build.compare(graph.rng.choice(("<", "<=", ">", ">=")), left, right)
    if graph.rng.random() < 0.3:
        labels = range(left.rank)
        return build.einsum(1, [(condition, labels), (left, labels)], labels)
    return build.select(condition, graph.alike(left.shape), graph.alike(left.shape))


def _reduce(graph: RandomGraph) -> Node:
    node = graph.pick(lambda n: n.rank > 0)
    axes = tuple(axis for axis in range(node.rank) if graph.rng.random() < 0.5) or (node.rank - 1,)
    return Reduce(graph.rng.choice(("max", "min", "prod", "logsumexp")), node, axes)


def _window(graph: RandomGraph) -> Node:
    node = graph.pick(lambda n: any(extent.evaluate(SIZES) > 1 for extent in n.shape))
    axis = graph.rng.choice([k for k, extent in enumerate(node.shape) if extent.evaluate(SIZES) > 1])
    extent = node.shape[axis]
    kind = graph.rng.choice(("entry", "slice", "tail", "flip", "sliding"))
    match kind:
        case "entry":
            return build.entry(node, axis, graph.rng.choice((Dim.of(0), Dim.of(1), extent - 1)))
        case "slice":
            return build.window(node, axis, 0, (1,), (extent - 1,))
        case "tail":
            return build.window(node, axis, 1, (1,), (extent - 1,))
        case "flip":
            return build.window(node, axis, extent - 1, (-1,), (extent,))
        case _:
            return build.window(node, axis, 0, (1, 1), (Dim.of(2), extent - 1))


def _overlap(graph: RandomGraph) -> Node:
    node = graph.pick(lambda n: n.rank > 0)
    axis = graph.rng.randrange(node.rank)
    kind = graph.rng.choice(("insert", "pad", "shift", "sliding"))
    if kind == "insert":
        return build.overlap(node, axis, 1, (), graph.rng.choice((Dim.of(2), Dim.named("K"))))
    if kind == "sliding" and axis + 1 < node.rank:
        return build.overlap(node, axis, 0, (1, 1), node.shape[axis] + node.shape[axis + 1] - 1)
    offset = 0 if kind == "pad" else 1
    return build.overlap(node, axis, offset, (1,), node.shape[axis] + 1)


def _gather(graph: RandomGraph) -> Node:
    node = graph.pick(lambda n: n.rank > 0)
    return Gather(node, graph.index(graph.shape(graph.rng.choice((1, 1, 2))), node.shape[0]))


def _scatter(graph: RandomGraph) -> Node:
    node = graph.pick(lambda n: n.rank > 0)
    extent = graph.rng.choice(EXTENTS)
    return Scatter(node, graph.index(node.shape[:1], extent), extent)


def _stack(graph: RandomGraph) -> Node:
    node = graph.pick(lambda n: n.rank <= 2)
    return Stack((node, *(graph.alike(node.shape) for _ in range(graph.rng.choice((0, 1, 2))))))


def _linalg(graph: RandomGraph) -> Node:
    dim = graph.rng.choice(EXTENTS)
    square = graph.alike((dim, dim))
    matrix = build.add(
        [build.einsum(1, [(square, "ij"), (square, "kj")], "ik"), build.scale(2, build.delta(dim))]  # positive definite
    )
    operator = graph.rng.choice(("inv", "solve", "cholesky", "det", "logdet", "solve_lower", "solve_upper"))
    if operator.startswith("solve"):
        if operator != "solve":
            matrix = Linalg("cholesky", (matrix,))
        if operator == "solve_upper":
            matrix = build.permute(matrix, (1, 0))
        return Linalg(operator, (matrix, graph.alike((dim, graph.rng.choice(EXTENTS)))))
    return Linalg(operator, (matrix,))


def _recurrence(graph: RandomGraph) -> Node:
    """A step with carries that accumulate, an input projection, work on constants and several ys."""
    rng = graph.rng
    length, hidden = Dim.named("T"), rng.choice(EXTENTS)
    x = graph.alike((length, hidden))
    carry, sums = graph.alike((hidden,)), graph.alike((hidden,))
    weight, inner = graph.alike((hidden, hidden)), graph.alike((hidden, hidden))
    products = graph.alike((hidden, hidden))
    operands = (carry, sums, products, x, weight, inner)
    parameters = tuple(Tensor(f"%{k}", node.shape[1:] if k == 3 else node.shape) for k, node in enumerate(operands))
    h, s, p, xt, w, plain = parameters
    u: Node = plain
    if rng.random() < 0.5:
        u = build.pointwise("tanh", build.scale(2, u))
    pre = build.add(
        [
            build.einsum(1, [(h, "i"), (w, "ij")], "j"),
            build.einsum(rng.choice(COEFFICIENTS), [(xt, "i"), (u, "ij")], "j"),
        ]
    )
    new = build.pointwise(rng.choice(("tanh", "sin", "sigmoid")), pre)
    gain = rng.choice((new, xt, build.multiply(new, new), build.multiply(h, new), build.pointwise("tanh", xt)))
    total = build.add([s, gain]) if rng.random() < 0.8 else build.pointwise("sin", build.add([s, gain]))
    outer = build.einsum(rng.choice(COEFFICIENTS), [(rng.choice((h, xt)), "i"), (new, "j")], "ij")
    gathered = build.add([p, outer, build.einsum(1, [(xt, "i"), (gain, "j")], "ji")])
    ys = [new, gain, outer, build.pointwise("tanh", u), build.einsum(1, [(new, "i"), (w, "ij")], "j")]
    ys += [build.einsum(1, [(h, "i"), (new, "j")], "ij"), xt, pre, s]
    rng.shuffle(ys)
    body = Body(parameters, (new, total, gathered, *ys[: rng.choice((1, 2, 3))]))
    node = Recurrence(body, length, (carry, sums, products), (x,), (weight, inner), rng.random() < 0.5)
    for index in range(len(body.results)):
        if rng.random() < 0.5:
            graph.keep(build.project(node, index))
    return build.project(node, rng.randrange(len(body.results)))


def _spelled_out(graph: RandomGraph) -> Node:
    """The stable forms as a person writes them."""
    node = graph.pick(lambda n: 0 < n.rank <= 2)
    shape, lead = node.shape, tuple(range(node.rank - 1))
    exp = build.pointwise("exp", node)
    labels = tuple(range(node.rank))
    total = build.einsum(1, [(exp, labels)], lead)
    softmax = build.einsum(1, [(exp, labels), (build.reciprocal(total), lead)], labels)
    one = build.ones(shape)
    negative = build.pointwise("exp", build.scale(-1, node))
    return graph.rng.choice(
        (
            softmax,
            build.pointwise("ln", softmax),
            build.pointwise("ln", total),
            build.pointwise("ln", build.add([one, exp])),
            build.reciprocal(build.add([one, negative])),
            build.multiply(exp, build.reciprocal(build.add([one, exp]))),
            build.add([exp, build.scale(-1, one)]),
            build.pointwise("ln", build.reciprocal(build.add([one, negative]))),
        )
    )


def _declared(graph: RandomGraph, trait: str, dim: Dim) -> Tensor:
    """A square argument with ``trait``."""
    noise = np.random.default_rng(graph.rng.randrange(2**32))
    size = dim.evaluate(SIZES)
    node = Tensor(f"A{len(graph.values)}", (dim, dim), traits=(trait,))
    graph.values[node] = graph.arrays[node] = with_traits(noise.normal(size=(size, size)), node.traits, noise)
    graph.nodes.append(node)
    return node


def _definite(graph: RandomGraph, dim: Dim) -> Node:
    square = graph.alike((dim, dim))
    return build.add([build.einsum(1, [(square, "ij"), (square, "kj")], "ik"), build.scale(2, build.delta(dim))])


def _recognised(graph: RandomGraph) -> Node:
    """What passes look for: inverses beside what they undo, declared structure, rows of an identity, complements."""
    rng = graph.rng
    dim = rng.choice(EXTENTS)
    x, vector = graph.pick(lambda n: n.rank == 2), graph.alike((dim,))
    one = build.ones(x.shape)
    match rng.randrange(17):
        case 0:
            matrix = _definite(graph, dim)
            return build.einsum(1, [(matrix, "ij"), (Linalg("inv", (matrix,)), "jk"), (vector, "k")], "i")
        case 1:
            return Linalg("inv", (build.scale(Fraction(3, 2), Linalg("inv", (_definite(graph, dim),))),))
        case 2:
            return build.pointwise("ln", build.pointwise("abs", Linalg("det", (_definite(graph, dim),))))
        case 3:
            matrix = _definite(graph, dim)
            return Linalg("solve", (matrix, rng.choice((build.delta(dim), build.scale(2, graph.alike((dim, dim)))))))
        case 4:
            return build.permute(Linalg("inv", (build.permute(graph.alike((dim, dim)), (1, 0)),)), (1, 0))
        case 5:
            return build.add([one, build.scale(-1, build.pointwise("sigmoid", x))])
        case 6:
            row = build.pointwise("softplus", graph.alike(x.shape[:1]))
            spread = build.broadcast(row, x.shape, (0,))
            return Reduce("logsumexp", build.add([x, build.scale(rng.choice((-1, 2)), spread)]), (1,))
        case 7:
            return build.pointwise("exp", build.add([x, build.scale(-1, build.pointwise("softplus", x))]))
        case 8:
            matrix = _declared(graph, "diagonal", dim)
            return build.einsum(1, [(matrix, "ij"), (graph.alike((dim, rng.choice(EXTENTS))), "jk")], "ik")
        case 9:
            matrix = _declared(graph, "orthogonal", dim)
            return build.einsum(1, [(matrix, "ij"), (matrix, "kj"), (vector, "k")], "i")
        case 10:
            rows = build.window(build.delta(dim + 1), 0, rng.choice((0, 1)), (1,), (dim,))
            return build.einsum(1, [(rows, "lp"), (vector, "l")], "p")
        case 11:
            size = rng.choice((Dim.named("N") * Dim.named("M"), Dim.of(2) * Dim.named("K")))
            return build.einsum(1, [(x, "ij"), (build.reciprocal(build.size(size)), "")], "ij")
        case 12:
            return Select(build.compare("<", x, build.scale(2, one)), x, x)
        case 13:
            other = graph.alike((x.shape[1], dim))
            graph.keep(build.einsum(1, [(x, "ij"), (other, "jk")], "ik"))
            return build.einsum(1, [(x, "ij"), (other, "jk")], "ki")
        case 14:
            other = graph.alike((x.shape[1], dim))
            size = rng.choice(EXTENTS)
            return build.einsum(1, [(build.delta(size), "pq"), (x, "ij"), (other, "jk")], "ipkq")
        case 15:
            extent = rng.choice(EXTENTS)
            return Gather(build.broadcast(vector, (extent, dim), (1,)), graph.index(graph.shape(1), extent))
        case _:
            delta = build.einsum(1, [(build.delta(dim), "jl"), (graph.alike((x.shape[0], dim)), "nj")], "njl")
            term = build.einsum(-1, [(graph.alike((x.shape[0], dim)), "nj"), (vector, "l")], "njl")
            return build.einsum(1, [(build.add([delta, term]), "njl"), (graph.alike((x.shape[0], x.shape[1])), "nm")], "jlm")


_MAKERS: tuple[Callable[[RandomGraph], Node], ...] = (
    _leaf,
    *(_einsum,) * 6,
    *(_add,) * 4,
    *(_unary,) * 4,
    _binary,
    _select,
    _reduce,
    *(_window,) * 2,
    *(_overlap,) * 2,
    _gather,
    _scatter,
    _stack,
    _linalg,
    _recurrence,
    *(_spelled_out,) * 2,
    *(_recognised,) * 3,
)
