"""Brackets written as portions and fusions: how they look, and that they read back to what they came from."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bracketc.emit.formulas import equations, show
from bracketc.errors import Source
from bracketc.ir.build import add, delta, einsum, pointwise, scale, tensor
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Einsum, Node, Tensor
from bracketc.ir.rewrite import Roots, topological
from bracketc.lang.elaborate import elaborate
from bracketc.lang.parser import parse_file
from bracketc.proof.expand import expand

X, Z, C, W = tensor("X", "N", "D"), tensor("Z", "N", "H"), tensor("C", "N", "H"), tensor("W", "D", "H")
P, Q, R, S = tensor("P", "N", "H"), tensor("Q", "N", "H"), tensor("R", "N", "K"), tensor("S", "K", "H")
U, V = tensor("U", "N", "N"), tensor("V", "N", "N")
a, b, c = tensor("a", "N"), tensor("b", "D"), tensor("c", "H")
B, T = tensor("B", "N", "H"), tensor("T", "N", "H", "H")
I = delta(Dim.named("N"))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (einsum(1, [(X, "ni"), (Z, "no"), (C, "no")], "io"), "X_2 [Z C (~X_1 𝟏)]"),
        (einsum(1, [(Z, "no"), (C, "no")], "o"), "[Z C (~𝟏 𝟏)]"),
        (einsum(1, [(a, "i"), (X, "ij"), (b, "j")], ""), "[~a X_1] [~X_2 b]"),
        (einsum(1, [(P, "ab"), (Q, "ab"), (R, "ac"), (S, "cb")], ""), "[~P Q (R_1 [~R_2 S_1] S_2)]"),
        (einsum(2, [(a, "i"), (a, "k"), (X, "kj")], "ij"), "2 a X_2 [~a X_1]"),
        (einsum(1, [(X, "ij"), (W, "jk")], "ik"), "X_1 [~X_2 W_1] W_2"),
        (einsum(1, [(X, "ij"), (W, "jk")], "ki"), "W_2 [~X_2 W_1] X_1"),
        (einsum(1, [(X, "ij"), (b, "j")], "i"), "X_1 [~X_2 b]"),
        (einsum(1, [(X, "ij")], "ji"), "X^T"),
        (einsum(1, [(T, "ijk")], "kij"), "T_312"),
        (einsum(1, [(T, "ijk")], "ik"), "T_{1~23}"),
        (einsum(1, [(T, "ijj")], "i"), "T_{1[2~3]}"),
        (einsum(1, [(T, "ijj"), (c, "j")], "ij"), "T_1 [T_{[23]} c]"),
        (einsum(1, [(U, "ii")], ""), "U_{[1~2]}"),
        (einsum(1, [(X, "ij")], ""), "~X"),
        (einsum(1, [(Z, "ij"), (C, "ij")], ""), "[~Z C]"),
        (einsum(1, [(Z, "ij"), (C, "ij")], "ij"), "[Z C]"),
        (einsum(1, [(a, "i"), (X, "ij")], "ij"), "[a X_1] X_2"),
        (einsum(1, [(X, "ij"), (W, "jk"), (c, "k")], "i"), "X_1 [~X_2 W_1] [~W_2 c]"),
        (einsum(1, [(B, "ij"), (T, "ijk"), (c, "j")], "ik"), "[B T_12 (𝟏 ~c)] T_3"),
        (einsum(1, [(U, "ij"), (U, "jk")], "ik"), "U#1_1 [~U#1_2 U#2_1] U#2_2"),
        (einsum(1, [(U, "ij"), (U, "ji")], "ij"), "[U U_21]"),
        (einsum(1, [(I, "ip"), (a, "j")], "ijp"), "I_1 a I_2 where I = eye(N)"),
        (einsum(1, [(I, "ip"), (a, "j")], "jip"), "a eye(N)"),
        (einsum(1, [(a, "i")], "ij", {"j": Dim.of(3)}), "a 𝟏⟨3⟩"),
        (add([einsum(1, [(X, "ij"), (W, "jk")], "ik"), scale(-2, B)]), "X_1 [~X_2 W_1] W_2 - 2 B"),
        (
            einsum(1, [(X, "ni"), (pointwise("tanh", Z), "no")], "io"),
            "X_2 [tanh(Z) (~X_1 𝟏)]",
        ),
        (
            einsum(1, [(pointwise("tanh", X), "ij"), (pointwise("exp", W), "jk")], "ik"),
            "[tanh(X) (𝟏 ~E_1)] E_2 where E = exp(W)",
        ),
        (einsum(1, [(add([Z, C]), "ij"), (B, "ij")], "ij"), "[(Z + C) B]"),
        (einsum(1, [(einsum(1, [(X, "ij"), (W, "jk")], "ik"), "ik"), (c, "k")], "i"), "X_1 [~X_2 W_1] [~W_2 c]"),
    ],
)  # fmt: skip
def test_a_bracket_is_written_as_portions(node: Node, text: str) -> None:
    assert show(node, form="bracket") == text
    assert expand(Roots((read_back([node]),), {})).nodes == expand(Roots((node,), {})).nodes


def test_latex_draws_the_bars() -> None:
    node = einsum(1, [(X, "ni"), (Z, "no"), (C, "no")], "io")
    expected = r"X_{2} \, \left[Z \, C \, \left(\overline{X_{1}} \, \mathbf{1}\right)\right]"
    assert show(node, style="latex", form="bracket") == expected
    twice = einsum(1, [(U, "ij"), (U, "jk")], "ik")
    assert show(twice, style="latex", form="bracket").startswith(r"U^{(1)}_{1} \, \left[\overline{U^{(1)}_{2}}")


# ------------------------------------------------------------------------------------------------ reading back
def read_back(roots: Sequence[Node], style: str = "unicode", form: str = "bracket") -> Node:
    """The last of ``roots`` printed as a program and read again."""
    lines = equations([(f"r{k}", node) for k, node in enumerate(roots)], {}, style, form)  # type: ignore[arg-type]
    tensors = [node for node in topological(roots) if isinstance(node, Tensor)]
    sizes = dict.fromkeys(name for node in topological(roots) for dim in node.shape for name in dim.names)
    text = [f"dim {', '.join(sizes)}"] if sizes else []
    text += [f"input {t.name} : {', '.join(map(str, t.shape)) or 'scalar'}" for t in tensors]
    text += [line.text for line in lines]
    return elaborate(parse_file(Source("\n".join(text)))).results[0][1]


SIZES = (Dim.named("N"), Dim.named("M"), Dim.of(2))
COEFFICIENTS: tuple[int | Fraction, ...] = (1, -1, 2, Fraction(1, 2))


@st.composite
def brackets(draw: st.DrawFn, most: int = 4) -> Node:
    """A bracket of some tensors, deltas and functions of tensors, with a few labels in any order."""
    extents = draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=5))
    factors: list[tuple[Node, tuple[int, ...]]] = []
    for _ in range(draw(st.integers(1, most))):
        labels = draw(st.lists(st.integers(0, len(extents) - 1), min_size=0, max_size=3))
        shape = tuple(extents[label] for label in labels)
        name = draw(st.sampled_from("ABC")) + "".join(str(SIZES.index(dim)) for dim in shape)
        kind = draw(st.sampled_from(("tensor", "tensor", "tensor", "function", "delta")))
        if kind == "delta" and len(labels) == 2 and extents[labels[0]] == extents[labels[1]]:
            factors.append((delta(extents[labels[0]]), tuple(labels)))
        else:
            node: Node = Tensor(name, shape)
            factors.append((pointwise("exp", node) if kind == "function" else node, tuple(labels)))
    carried = sorted({label for _, labels in factors for label in labels})
    output = draw(st.lists(st.sampled_from(range(len(extents))), unique=True, max_size=len(extents)))
    sizes = {label: extents[label] for label in {*carried, *output}}
    return einsum(draw(st.sampled_from(COEFFICIENTS)), factors, output, sizes)


@settings(max_examples=300, deadline=None)
@given(brackets(), st.sampled_from(("unicode", "ascii")))
def test_a_bracket_in_portions_reads_back(node: Node, style: str) -> None:
    assert expand(Roots((read_back([node], style),), {})).nodes == expand(Roots((node,), {})).nodes


@settings(max_examples=100, deadline=None)
@given(st.lists(brackets(2), min_size=2, max_size=3))
def test_products_of_brackets_read_back(nodes: list[Node]) -> None:
    labels = [[(k, axis) for axis in range(node.rank)] for k, node in enumerate(nodes)]
    together = [pointwise("sin", node) if k % 2 else node for k, node in enumerate(nodes)]
    output = [label for own in reversed(labels) for label in own[:1]]
    node = einsum(1, list(zip(together, labels, strict=True)), output)
    if isinstance(node, Einsum):
        assert expand(Roots((read_back([node]),), {})).nodes == expand(Roots((node,), {})).nodes
