"""Graphs of brackets: nodes are tensors, edges fused labels, bars sums; nothing overlaps."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from bracketc.emit.display import Bracket, Factor
from bracketc.emit.graph import Graph, caption, described, graph, order


def bracket(output: str, *factors: str) -> Bracket:
    """``bracket("ik", "A_ij", "B_jk")`` with the size I for i."""
    parts = [factor.partition("_")[::2] for factor in factors]
    letters = sorted({letter for _, labels in parts for letter in labels} | set(output))
    number = {letter: place for place, letter in enumerate(letters)}
    made = tuple(Factor(name, tuple(number[k] for k in labels), is_delta=name == "δ") for name, labels in parts)
    return Bracket("", made, tuple(number[letter] for letter in output), tuple(letter.upper() for letter in letters))


def drawn(output: str, *factors: str) -> Graph:
    found = graph(bracket(output, *factors))
    assert found is not None
    return found


def test_a_matrix_product_is_an_edge_with_a_bar_and_two_numbered_ends() -> None:
    picture = drawn("ik", "A_ij", "B_jk")
    assert [t.caption for t in picture.tensors] == ["A", "B"]
    assert len(picture.bars) == 1
    assert [(end.text) for end in picture.ends] == ["1", "2"]
    assert picture.ends[0].at.x < picture.ends[1].at.x


def test_the_ends_stand_in_the_order_of_the_result() -> None:
    picture = drawn("lkji", "Z_ijkl")
    assert [end.text for end in sorted(picture.ends, key=lambda end: end.at.x)] == ["1", "2", "3", "4"]


def test_a_label_of_three_tensors_meets_in_a_joint() -> None:
    assert len(drawn("i", "A_ij", "B_ij", "C_ij").joints) == 2


def test_a_label_without_tensor_hangs_on_ones() -> None:
    picture = drawn("ij", "u_i", "c_")
    assert "𝟏" in [mark.text for mark in picture.marks]
    assert [end.text for end in picture.ends] == ["1", "2"]


def test_a_tensor_as_it_is_has_no_picture() -> None:
    assert graph(bracket("ij", "A_ij")) is None
    assert graph(bracket("ji", "A_ij")) is not None


def test_too_many_tensors_have_no_picture() -> None:
    assert graph(bracket("", *(f"A{n}_i" for n in range(13)))) is None


def test_a_chain_stands_in_its_order() -> None:
    assert order(bracket("ae", "B_bc", "D_de", "A_ab", "C_cd")) == [2, 0, 3, 1]


def test_words_say_the_same() -> None:
    text = described(bracket("ik", "A_ij", "B_jk"))
    assert "size J): axis 2 of A and axis 1 of B; summed" in text
    assert "size K): axis 2 of B; free, axis 2 of the result" in text


def test_captions_have_small_digits() -> None:
    assert caption("1 ⊖ Z1**2") == "1 ⊖ Z₁²"
    assert caption("E @ W2^T") == "E @ W₂ᵀ"


def test_a_long_caption_is_a_number_with_a_note() -> None:
    made = bracket("i", "A_ij", "B_ij")
    long = Bracket("", (Factor("softmax^1(A2 + B) - Y", (0, 1), loose=True), made.factors[1]), made.output, made.extents)
    picture = graph(long)
    assert picture is not None
    assert picture.notes == (("①", "softmax^1(A2 + B) - Y"),)


def _random(rng: random.Random) -> Bracket:
    count = rng.randint(2, 8)
    letters = "abcdefgh"[: count + 1]
    factors = ["T_" + "".join(rng.sample(letters, rng.randint(0, min(4, len(letters))))) for _ in range(count)]
    used = sorted({letter for factor in factors for letter in factor[2:]} | {"a"})
    return bracket("".join(rng.sample(used, rng.randint(0, min(4, len(used))))), *factors)


@pytest.mark.parametrize("seed", range(60))
def test_nothing_overlaps_and_nothing_leaves_the_picture(seed: int) -> None:
    picture = graph(_random(random.Random(seed)))
    assert picture is not None
    boxes = [(t.centre.x - t.width / 2, t.centre.x + t.width / 2) for t in picture.tensors]
    assert all(a[1] < b[0] or b[1] < a[0] for a, b in combinations(boxes, 2))
    assert all(abs(a.at.x - b.at.x) >= 24 for a, b in combinations(picture.ends, 2))
    assert all(abs(a.x - b.x) >= 24 for a, b in combinations(picture.joints, 2))
    labels = [mark.at for mark in picture.marks if mark.kind == "label"]
    assert all(abs(a.x - b.x) >= 8 or abs(a.y - b.y) >= 8 for a, b in combinations(labels, 2))
    points = [*labels, *picture.joints, *(end.at for end in picture.ends), *(t.centre for t in picture.tensors)]
    points += [point for line in (*picture.lines, *picture.bars) for point in (line.start, line.end)]
    assert all(0 < p.x < picture.width and 0 < p.y < picture.height for p in points)


def test_each_summed_label_has_a_bar() -> None:
    for seed in range(40):
        made = _random(random.Random(seed))
        picture = graph(made)
        assert picture is not None
        summed = {label for factor in made.factors for label in factor.labels} - set(made.output)
        assert len(picture.bars) == len(summed)
        assert len(picture.ends) == len(made.output)
