"""Printing reads back to the same nodes; the verifier accepts what constructors build and names what breaks."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_ir import random_graph

from bracketc.errors import SourceError
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import (
    Add,
    Body,
    Compare,
    Derivative,
    Differential,
    Einsum,
    Gather,
    Literal,
    Node,
    Overlap,
    Pointwise,
    Project,
    Recurrence,
    Reduce,
    Select,
    Tensor,
    Window,
)
from bracketc.ir.printer import describe, print_roots
from bracketc.ir.reader import read_dim, read_roots
from bracketc.ir.verify import InternalError, verify

I, J, K = (Dim.named(name) for name in "IJK")
A, B = build.tensor("A", "I", "J"), build.tensor("B", "J", "K")
v = build.tensor("v", "I")
PLACE = Tensor("%1", (I,))
FLAG = Tensor("flag", (I,), "boolean")
INDEX = Tensor("index", (K,), "integer", (), J)


def step() -> Recurrence:
    state, x = Tensor("%0", (I,)), Tensor("%1", (I,))
    new = build.pointwise("tanh", build.add([state, x]))
    return Recurrence(Body((state, x), (new, state)), J, (v,), (build.permute(A, (1, 0)),), (), True)


def test_a_dump_reads_like_brackets() -> None:
    text = print_roots([build.pointwise("tanh", build.einsum(2, [(A, "ij"), (B, "jk")], "ik"))])
    assert text.splitlines() == [
        "A : real [I, J]",
        "B : real [J, K]",
        "%2 = (2 A_ik B_kj | ij) : [I, K] sum k: J",
        "%3 = tanh(%2) : [I, K]",
        "return %3",
    ]


SAMPLES: dict[str, Node] = {
    "float coefficient": Einsum(2.0, ((v, (0,)),), (0,), (I,)),
    "negative zero": Literal(-0.0),
    "not a number": Literal(float("nan")),
    "infinite": build.scale(float("-inf"), v),
    "fraction": Literal(Fraction(-1, 3)),
    "argument called as a number": build.scale(2, Tensor("inf", (I,))),
    "argument called as a keyword": Tensor("return", (I,)),
    "underscore in a name": build.scale(2, Tensor("bar_J", ())),
    "two tensors of one name": build.add([Tensor("x", (I,)), Tensor("x", (I,), traits=("positive",))]),
    "integer argument": Gather(build.permute(A, (1, 0)), INDEX),
    "traits": Tensor("Y", (I, J), traits=("onehot rows", "positive definite")),
    "derivative": Derivative(build.multiply(PLACE, PLACE), PLACE, v, "gradient"),
    "derivative of a constant": Derivative(build.ones((I,)), PLACE, v),
    "differential": Differential(build.pointwise("exp", PLACE), (PLACE,), (v,), (build.ones((I,)),)),
    "recurrence": Project(step(), 1),
    "no factors": build.ones((I, J)),
    "thirty labels": build.ones((I,) * 30),
    "entry": build.entry(A, 1, J - 1),
    "insertion": Overlap(A, 0, Dim.of(1), (), Dim.of(2)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_text_reads_back(name: str) -> None:
    node = SAMPLES[name]
    verify([node])
    assert read_roots(print_roots([node, node])) == (node, node)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_random_graphs_are_well_formed_and_read_back(seed: int) -> None:
    roots, _ = random_graph(seed)
    verify(roots)
    assert read_roots(print_roots(roots)) == roots


@pytest.mark.parametrize("dim", [Dim.of(0), Dim.of(-2), -I, 2 * I * I * J - 3 * K + 1, I - J])
def test_sizes_read_back(dim: Dim) -> None:
    assert read_dim(str(dim)) is dim


@pytest.mark.parametrize(
    "text", ["", "A : real [I]", "nonsense", "%0 = tanh(%7) : [I]\nreturn %0", "%0 = twist()\nreturn %0"]
)
def test_unreadable_text_is_an_error(text: str) -> None:
    with pytest.raises(SourceError):
        read_roots(text)


BROKEN: dict[str, tuple[Node, str]] = {
    "labels": (Einsum(Fraction(1), ((A, (0,)),), (0,), (I,)), "labels on a factor of rank 2"),
    "numbering": (Einsum(Fraction(1), ((A, (1, 0)),), (1, 0), (J, I)), "first appearance"),
    "sizes": (Einsum(Fraction(1), ((build.tensor("x", 3), (0,)),), (0,), (Dim.of(4),)), "two sizes"),
    "output twice": (Einsum(Fraction(1), ((v, (0,)),), (0, 0), (I,)), "twice"),
    "sum over nothing": (Einsum(Fraction(1), ((v, (0,)),), (0,), (I, J)), "no factor"),
    "terms": (Add((v, A)), "different shapes: [I] and [I, J]"),
    "lone term": (Add((v,)), "two terms"),
    "function": (Pointwise("logg", (v,)), "unknown function logg"),
    "arity": (Pointwise("max", (v,)), "1 arguments, expected 2"),
    "exponent": (Pointwise("power", (v,)), "power"),
    "boolean argument": (Pointwise("exp", (FLAG,)), "is boolean"),
    "comparison": (Compare("=", v, v), "unknown comparison"),
    "condition": (Select(v, v, v), "condition is real"),
    "axes": (Reduce("max", A, (1, 0)), "unsorted"),
    "window": (Window(build.tensor("x", 3), 0, Dim.of(2), (1,), (Dim.of(2),)), "beyond the last one"),
    "symbolic window": (Window(v, 0, Dim.of(1), (1,), (I,)), "beyond the last one"),
    "overlap": (Overlap(v, 0, Dim.of(-1), (1,), I), "below 0"),
    "index": (Gather(A, v), "index is real"),
    "projection": (Project(step(), 2), "no such result"),
    "open body": (
        Project(Recurrence(Body((Tensor("%0", (I,)),), (build.scale(2, v),)), J, (v,), (), ()), 0),
        "not closed: it uses v",
    ),
    "stray recurrence": (Pointwise("exp", (step(),)), "without Project"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_verifier_names_what_is_broken(name: str) -> None:
    node, message = BROKEN[name]
    with pytest.raises(InternalError) as raised:
        verify([node])
    assert message in str(raised.value)


def test_messages_show_the_bracket() -> None:
    assert describe(build.einsum(2, [(A, "ij"), (build.pointwise("tanh", B), "jk")], "ik")) == (
        "(2 A_ik <tanh J×K>_kj | ij) : [I, K] sum k: J"
    )


def test_a_chain_of_thirty_thousand_nodes_prints_and_verifies() -> None:
    node: Node = v
    for _ in range(15_000):
        node = build.pointwise("tanh", build.scale(2, node))
    verify([node])
    assert read_roots(print_roots([node])) == (node,)
