"""Layers with a general number: one for the steps of a recurrence, one for the members of a family that are alike."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bracketc.errors import Source
from bracketc.ir.build import window
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node, Tensor
from bracketc.lang.layers import Layered, layered
from bracketc.lang.parser import parse_file
from bracketc.proof.ranges import LETTERS, Names, Ranged, _is_member, _picked, general_names
from bracketc.proof.wording import worded

NETWORK = """dim N
dim D[0..3] = 5, 4, 3, 2
input X : N, D[0]
param W[j] : D[j-1], D[j] for j = 1..3
param b[j] : D[j] for j = 1..3
Z[0] = X
A[j] = Z[j-1] @ W[j] + 𝟏 b[j] for j = 1..3
Z[j] = tanh(A[j]) for j = 1..3
J = Z[3] · Z[3]
"""
ALL = [f"{base}[{number}]" for base in "Wb" for number in (1, 2, 3)]
PLAIN = ["Z[0]", "A[1]", "Z[1]", "A[2]", "Z[2]", "A[3]", "Z[3]", "J"]
LOOP = """dim T, N, D, H
input X : T, N, D
input V : T, N, D
input Z0 : N, H
param U : D, H
param W : H, H
Z[0] = Z0
Z[t] = tanh(Z[t-1] @ W + (X[t] + V[t]) @ U) for t = 1..T
J = Z[T] · Z[T-1]
"""


def read(text: str) -> Layered:
    return layered(parse_file(Source(text, "test.brk")))


def names(text: str, wrt: Sequence[str], families: bool = True) -> Names:
    return general_names(read(text), wrt, families)


def bodies(found: Names) -> dict[str, str]:
    return {name: worded(layer.body) for name, layer in found.layers.items()}


# ------------------------------------------------------------------------------------------------- families
def test_members_that_are_alike_become_one_layer() -> None:
    found = names(NETWORK, ALL)
    assert bodies(found) == {
        "Z[0]": "X",
        "A[j]": "((Z[j-1]_ik W[j]_kj | ij) + (b[j]_j | ij))",
        "Z[j]": "tanh(A[j])",
        "J": "(Z[3]_ij Z[3]_ij | )",
    }
    assert found.layers["A[j]"].variable == Tensor("A[j]", (Dim.named("N"), Dim.named("D[j]")))
    numbers = (1, 2, 3)
    assert found.ranges == {base: Ranged(base, "j", "1", "3", numbers) for base in "AZWb"}
    assert list(found.ranges) == ["Z", "A", "W", "b"], "in their order in the file, whatever the hash seed"
    assert not any(ranged.sliced for ranged in found.ranges.values())


@pytest.mark.parametrize(
    "wrt",
    [["X"], ["Z[1]"], ALL[:3], ALL[:2], ALL[1:], [*ALL[:3], "b[1]"], ["W"]],
)
def test_which_families_vary_decides(wrt: Sequence[str]) -> None:
    """All members of each family that varies, or none is general: the derivative by one alone is no general one."""
    general = {"A[j]", "Z[j]"} <= set(names(NETWORK, wrt).layers)
    assert general == (wrt == ALL[:3])
    if not general:
        assert list(names(NETWORK, wrt).layers) == PLAIN and names(NETWORK, wrt).ranges == {}


def test_without_families_all_members_stay() -> None:
    assert list(names(NETWORK, ALL, families=False).layers) == PLAIN


def test_members_that_are_not_alike_stay() -> None:
    """W[1] is another distance away from each of them."""
    text = NETWORK.replace("@ W[j] + 𝟏", "@ W[j] + norm2(W[1]) 𝟏")
    assert list(names(text, ALL[:3]).layers) == PLAIN and names(text, ALL[:3]).ranges == {}
    two = text.replace("1..3", "1..2").replace("Z[3]", "Z[2]")
    assert list(names(two, ALL[:2]).layers) == [*PLAIN[:5], "J"]


def test_a_member_that_a_line_of_its_own_defines_stays() -> None:
    text = NETWORK.replace("+ 𝟏 b[j] for j = 1..3", "+ 𝟏 b[j] for j = 1..2\nA[3] = Z[2] @ W[3]")
    found = names(text, ALL[:3])
    assert list(found.layers) == ["Z[0]", "A[j]", "Z[j]", "A[3]", "J"] and found.ranges["A"].numbers == (1, 2)


def test_a_family_of_one_is_no_general_one_and_of_two_it_is() -> None:
    def of(last: int) -> Names:
        text = NETWORK.replace("1..3", f"1..{last}").replace("J = Z[3] · Z[3]", f"J = Z[{last}] · Z[{last}]")
        return names(text, [f"W[{number}]" for number in range(1, last + 1)])

    assert list(of(1).layers) == ["Z[0]", "A[1]", "Z[1]", "J"] and of(1).ranges == {}
    assert list(of(2).layers) == ["Z[0]", "A[j]", "Z[j]", "J"] and set(of(2).ranges) == set("AZW")


def test_a_family_of_arguments_alone_needs_no_general_layer() -> None:
    text = "dim N\nparam w[k] : N for k = 1..2\nJ = w[1] · w[2]\n"
    found = names(text, ["w[1]", "w[2]"])
    assert list(found.layers) == ["J"] and found.ranges == {}


def test_a_letter_that_is_a_name_gives_way_to_a_free_one() -> None:
    def letters(*taken: str) -> set[str]:
        text = NETWORK.replace("J =", "\n".join(f"{name} = norm2(X)" for name in taken) + "\nJ =")
        return {ranged.letter for ranged in names(text, ALL).ranges.values()}

    assert letters() == letters("k") == {"j"}
    assert letters("j") == {"k"} and letters("j", "k") == {"i"}
    assert letters(*LETTERS) == set(), "without a free letter there is no general member"


def test_members_beside_a_family_keep_their_names() -> None:
    """Z[0] is no member of the range; B has two of the three members."""
    found = names(NETWORK.replace("J =", "B[j] = 2 A[j] for j = 1..2\nJ ="), ALL)
    assert set(found.layers) == {"Z[0]", "A[j]", "Z[j]", "B[j]", "J"}
    assert found.ranges["B"].numbers == (1, 2) and found.ranges["A"].numbers == (1, 2, 3)


@pytest.mark.parametrize(("base", "is_one"), [("W", True), ("dW", True), ("d", False), ("dV", False), ("V", False), ("eW", False)])
def test_differentials_of_members_are_members(base: str, is_one: bool) -> None:
    assert _is_member(base, {"W", "Z"}) is is_one


# ------------------------------------------------------------------------------------------------- recurrences
def test_the_steps_of_a_recurrence_are_one_layer() -> None:
    found = names(LOOP, ["W", "X"])
    assert bodies(found) == {
        "Z[t]": "tanh(((Z[t-1]_ik W_kj | ij) + ((X[t] + V[t])_ik U_kj | ij)))",
        "J": "(Z[T]_ij Z[T-1]_ij | )",
    }
    assert found.ranges["Z"] == Ranged("Z", "t", "1", "T")
    assert found.layers["Z[t]"].recurring is not None


def test_arguments_that_vary_have_general_slices() -> None:
    assert names(LOOP, ["W", "X"]).ranges["X"] == Ranged("X", "t", "1", "T", sliced=True)
    assert set(names(LOOP, ["X", "V"]).ranges) == {"Z", "X", "V"} and set(names(LOOP, ["W"]).ranges) == {"Z"}
    assert set(names(LOOP, ["X"], families=False).ranges) == {"Z", "X"}


def test_only_single_steps_of_a_recurrence_have_names() -> None:
    found = read(LOOP)
    stacks = {layer.name: layer.recurring for layer in found.layers}
    T, N, H = (Dim.named(name) for name in "TNH")
    states, other = Tensor("Z", (T, N, H)), Tensor("X", (T, N, H))

    def picked(node: Node) -> str:
        return worded(_picked(node, stacks))

    assert picked(window(states, 0, 0, (), ())) == "Z[1]" and picked(window(states, 0, T - 1, (), ())) == "Z[T]"
    for kept in (
        window(states, 1, 0, (), ()),  # a row of every step
        window(states, 0, 1, (1,), (T - 1,)),  # several steps
        window(other, 0, 0, (), ()),
        window(Tensor("J", (T,)), 0, 0, (), ()),
        states,
    ):
        assert _picked(kept, stacks) is kept
