"""How messages write a tensor: one line, with the names of the source."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bracketc.ir import build
from bracketc.ir.build import add, delta, einsum, entry, literal, multiply, pointwise, power, scale, size, window
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Body, Compare, Linalg, Node, Pointwise, Project, Recurrence, Reduce, Tensor
from bracketc.proof.wording import worded

N, M = Dim.named("N"), Dim.named("M")
A, B, S = build.tensor("A", "N", "M"), build.tensor("B", "M", "N"), build.tensor("S", "N", "N")
x, y = build.tensor("x", "N"), build.tensor("y", "M")
s, t = build.tensor("s"), build.tensor("t")
STEPS = Recurrence(Body((Tensor("%0", ()),), (Tensor("%0", ()),)), N, (s,), (), ())

WORDS = {
    "A": A,
    "x": Tensor("%x", (N,)),
    "2": literal(2),
    "(1/2)": literal(Fraction(1, 2)),
    "0.333333": literal(1 / 3),
    "N": size(N),
    "δ": delta(N),
    "(A_ik B_kj | ij)": einsum(1, [(A, (0, 1)), (B, (1, 2))], (0, 2)),
    "(A_ij | i)": einsum(1, [(A, (0, 1))], (0,)),
    "(A_ji | ij)": einsum(1, [(A, (0, 1))], (1, 0)),
    "-x": scale(-1, x),
    "2 x": scale(2, x),
    "(2/3) x": scale(Fraction(2, 3), x),
    "(-2 A_ji x_j | i)": einsum(-2, [(A, (0, 1)), (x, (0,))], (1,)),
    "(-A_ji x_j | i)": einsum(-1, [(A, (0, 1)), (x, (0,))], (1,)),
    "s t": multiply(s, t),
    "-s t": scale(-1, multiply(s, t)),
    "(s x_i | i)": einsum(1, [(s, ()), (x, (0,))], (0,)),
    "(s x_i x_i | )": einsum(1, [(s, ()), (x, (0,)), (x, (0,))], ()),
    "(x_i x_i | )": einsum(1, [(x, (0,)), (x, (0,))], ()),
    "(s + t)": add([s, t]),
    "(s - t)": add([s, scale(-1, t)]),
    "tanh(x)": pointwise("tanh", x),
    "max(s, t)": pointwise("max", s, t),
    "sqrt(x)": power(x, Fraction(1, 2)),
    "x**2": power(x, 2),
    "x**-1": power(x, -1),
    "x**(2/3)": power(x, Fraction(2, 3)),
    "x**1.5": power(x, 1.5),
    "(2 x)**2": Pointwise("power", (scale(2, x),), Fraction(2)),
    "tanh(x)**3": power(pointwise("tanh", x), 3),
    "inv(S)": Linalg("inv", (S,)),
    "solve(S, A)": Linalg("solve", (S, A)),
    "max(A)": Reduce("max", A, (0,)),
    "A[·,3]": entry(A, 1, 2),
    "x[1]": entry(x, 0, 0),
    "a result of the recurrence": Project(STEPS, 0),
    "…": Compare("<", s, t),
}


@pytest.mark.parametrize("text", WORDS)
def test_a_tensor_in_words(text: str) -> None:
    assert worded(WORDS[text]) == text


def test_a_window_of_several_entries_has_no_words() -> None:
    assert worded(window(x, 0, 1, (1,), (Dim.of(2),))) == "…"


def test_what_is_deep_is_cut() -> None:
    node: Node = x
    for _ in range(5):
        node = pointwise("sin", node)
    assert worded(node) == "sin(sin(sin(sin(sin(x)))))"
    assert worded(pointwise("cos", node)) == "cos(sin(sin(sin(sin(…)))))"
    assert worded(pointwise("cos", s), 0) == "…" and worded(s, 0) == "s" and worded(literal(3), 0) == "3"
    inner = power(pointwise("sin", einsum(2, [(A, (0, 1)), (add([y, pointwise("cos", y)]), (1,))], (0,))), 2)
    assert worded(inner, 5) == "sin((2 A_ij (y + cos(y))_j | i))**2"
    assert worded(inner, 4) == "sin((2 A_ij (y + …)_j | i))**2"
    assert worded(inner, 3) == "sin((2 A_ij …_j | i))**2"
    assert worded(Linalg("inv", (Linalg("inv", (S,)),)), 1) == "inv(…)"
    assert worded(scale(3, pointwise("sin", x)), 1) == "3 …"
    assert worded(Reduce("max", pointwise("sin", x), (0,)), 1) == "max(…)"
    assert worded(entry(pointwise("sin", x), 0, 0), 1) == "…[1]"


def test_more_labels_than_letters_are_numbered() -> None:
    vectors = [build.tensor(f"v{k}", "N") for k in range(26)]
    text = worded(einsum(1, [*((v, (k,)) for k, v in enumerate(vectors)), (s, ())], range(26)))
    assert (
        text.startswith("(v0_{i0} v1_{i1} ")
        and " s |" in text
        and text.endswith("| i0,i1,i2,i3,i4,i5,i6,i7,i8,i9,i10,i11,i12,i13,i14,i15,i16,i17,i18,i19,i20,i21,i22,i23,i24,i25)")
    )
    few = einsum(1, [(v, (k,)) for k, v in enumerate(vectors[:25])], range(25))
    assert worded(few).startswith("(v0_i v1_j v2_k") and worded(few).endswith("| ijklmnpqrstuvwxyzabcdefgh)")
