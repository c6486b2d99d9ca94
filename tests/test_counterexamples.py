"""What a refutation shows: digits that tell two numbers apart, the sizes and the point, the terms of one side alone."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from bracketc.errors import Source
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Tensor
from bracketc.ir.program import Program
from bracketc.lang import syntax
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_expression, parse_file
from bracketc.proof import counterexamples
from bracketc.proof.counterexamples import Counterexample, refutation, summary
from bracketc.proof.trial import Point
from bracketc.proof.verify import Judgement, verify_derivations

HEAD = """dim N, M
input A : N, M
input S : N, N
input x : N
input y : N
input b : M
param w : N
"""


def empty_program() -> Program:
    return Program(Source("", "test.brk"), (), (), {}, (), (), ())


def judged(step: str) -> Judgement:
    text = f"{HEAD}derivation wrt w {{\n  {step}\n}}\n"
    ((proof,),) = (verify_derivations(elaborate_derivations(parse_file(Source(text, "test.brk")))),)
    return proof.judgements[0]


# ------------------------------------------------------------------------------------------------- numbers
@pytest.mark.parametrize(
    ("left", "right", "texts"),
    [
        (1.0, 2.0, ("1", "2")),
        (1.0, 1.00001, ("1", "1.00001")),
        (1.0, 1.000001, ("1", "1.000001")),
        (1.23456789, 1.23457891, ("1.23457", "1.23458")),
        (0.1, 0.1 + 1e-13, (f"{0.1:.20g}", f"{0.1 + 1e-13:.20g}")),
        (Decimal("0.5"), Decimal("0.25"), ("0.5", "0.25")),
        (Decimal("100000"), Decimal("100000.000001"), ("100000", "100000.000001")),
        (Decimal("1"), Decimal("1.000000000000001"), ("1", "1.000000000000001")),
        (Decimal("1"), Decimal(f"1.{'0' * 29}1"), ("1", f"1.{'0' * 29}1")),
        (Decimal("1"), Decimal(f"1.{'0' * 59}1"), ("1", f"1.{'0' * 59}1")),
    ],
)
def test_numbers_have_the_digits_that_tell_them_apart(
    left: Decimal | float, right: Decimal | float, texts: tuple[str, str]
) -> None:
    assert counterexamples._told_apart(left, right) == texts


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.asarray(1 / 3), "0.3333"),
        (np.array([1.0, 2.5]), "[1. , 2.5]"),
        (np.array([[1.0, 2.0], [3.0, 1 / 3]]), "[[1.   , 2.   ], [3.   , 0.333]]"),
        (np.ones(12), f"[{', '.join(['1.'] * 12)}]"),
        (np.ones(13), "…"),
    ],
)
def test_points_are_short(array: np.ndarray, text: str) -> None:
    assert counterexamples._short(array) == text


def test_a_summary_names_sizes_and_points() -> None:
    def text(sizes: dict[str, int], point: dict[str, str]) -> str:
        return summary(Counterexample(tuple(sizes.items()), tuple(point.items()), (), 0.0, 0.0))

    assert text({"N": 2, "M": 1}, {"x": "[1.]", "y": "…"}) == ", at N = 2, M = 1; x = [1.], y = …"
    assert text({}, {"x": "1"}) == ", at x = 1" and text({"N": 2}, {}) == ", at N = 2" and text({}, {}) == ""


@pytest.mark.parametrize("digits", [40, 80])
def test_decimals_have_as_many_digits_as_are_asked_for(digits: int) -> None:
    """The last of 40 or 80 digits tells both apart; further ones are not shown."""
    shown = [f"0.{'3' * (digits - 1)}{end}" for end in "38"]
    left, right = (Decimal(text + "1" * 9) for text in shown)
    assert counterexamples._told_apart(left, right) == tuple(shown)


# ------------------------------------------------------------------------------------------------- counterexamples
def test_the_entry_shown_is_the_one_that_is_furthest_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the largest one, and by more digits than a float has."""
    N = Dim.named("N")
    x, y = (Tensor(name, (N,)) for name in "xy")
    one, more, most = (Decimal(f"1.{'0' * 39}{end}") for end in "012")
    for left, right, entry, texts in (
        (np.array([5.0, 1.0, 3.0]), np.array([5.5, 2.0, 3.0]), 2, ("1", "2")),
        (np.array([one, most]), np.array([more, one]), 2, (str(most), "1")),
    ):
        point = Point({"N": len(left), "M": 9}, {x: left, y: right}, left, right, 1.0, isinstance(left[0], Decimal))
        monkeypatch.setattr(counterexamples, "counterexample", lambda *_, point=point: point)
        found, line = refutation(x, y, empty_program(), point)
        assert found.entry == (entry,) and found.sizes == (("N", len(left)),)
        assert (found.left_text, found.right_text) == texts
        assert line == f"left is {texts[0]}, right is {texts[1]} in entry {entry}"


def test_the_counterexample_of_a_vector_has_the_entry_that_is_furthest_off() -> None:
    found = judged("S @ x = S^T @ x")
    example = found.counterexample
    assert found.verdict == "refuted" and example is not None
    assert dict(example.sizes) == {"N": 2} and [name for name, _ in example.point] == ["S", "x"]
    assert len(example.entry) == 1 and example.entry[0] in (1, 2) and example.left != example.right
    assert f"in entry {example.entry[0]}" in str(found.diagnostics[0])


def test_the_counterexample_of_a_number_has_no_entry() -> None:
    found = judged("x · y = x · y + y · y")
    assert found.counterexample is not None and found.counterexample.entry == ()
    assert (found.counterexample.left, found.counterexample.right) == (1.0, 2.0)
    assert "left is 1, right is 2" in str(found.diagnostics[0]) and "in entry" not in str(found.diagnostics[0])


TERMS = {
    # a wrong step: side, term, where it comes from
    "A @ b + x = A @ b + y": [("left", "x", "x"), ("right", "y", "y")],
    "A @ b + x = A @ b": [("left", "x", "x")],
    "A @ b - x = A @ b": [("left", "-x", "x")],
    "S @ (x + y) = S @ x": [("left", "(S_ij y_j | i)", "y")],
    "S @ (x - y) = S @ x": [("left", "(-S_ij y_j | i)", "y")],
    "x ⊙ (x + y) = x ⊙ x": [("left", "(x_i y_i | i)", "y")],
    "(S_ij (x + y)_j | i) = S @ x": [("left", "(S_ij y_j | i)", "(S_ij (x + y)_j | i)")],
    "-(x - y) = -x": [("left", "y", "y")],
    "x = x + (S @ x + y + w)": [("right", "(S_ij x_j | i)", "S @ x"), ("right", "y", "y"), ("right", "w", "w")],
    "x + y - w = x": [("left", "y", "y"), ("left", "-w", "w")],
    "x = x + (S @ x + S @ y + S @ w + w)": [],  # too many to be shown
}


@pytest.mark.parametrize("step", TERMS)
def test_terms_that_only_one_side_has(step: str) -> None:
    found = judged(step)
    assert found.verdict == "refuted"
    assert sorted((t.side, t.text, t.span.text if t.span else "") for t in found.terms) == sorted(TERMS[step])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a + b - c", [(1, "a"), (1, "b"), (-1, "c")]),
        ("-a - (b - c)", [(-1, "a"), (-1, "b"), (1, "c")]),
        ("A @ (b - c)", [(1, "b"), (-1, "c")]),
        ("(a + b) ⊙ c", [(1, "a"), (1, "b")]),
        ("a ⊘ (b + c)", [(1, "a ⊘ (b + c)")]),
        ("a ⊙ b ⊘ (c + d)", [(1, "a ⊙ b ⊘ (c + d)")]),
        ("(-a) ⊙ (b + c)", [(1, "b"), (1, "c")]),
        ("(a ⊕ b) ⊙ c", [(1, "(a ⊕ b) ⊙ c")]),
        ("a · (b + c)", [(1, "b"), (1, "c")]),
        ("2 (a - b)", [(1, "a"), (-1, "b")]),
        ("(A_ij (b - c)_j | i)", [(1, "(A_ij (b - c)_j | i)")]),
        ("a", [(1, "a")]),
    ],
)
def test_addends_have_signs_and_places(text: str, wanted: list[tuple[int, str]]) -> None:
    expr = parse_expression(Source(text, "test.brk"))[0]
    assert [(sign, span.text) for sign, _, span in counterexamples._addends(expr, 1)] == wanted
    assert [(-sign, span.text) for sign, _, span in counterexamples._addends(expr, -1)] == wanted


@pytest.mark.parametrize("text", ["a @ (b - c) @ d", "(b - c) @ a @ d", "a (b - c) d", "a ⊙ d ⊙ (b - c)", "a ⊗ (b - c) ⊗ d"])
def test_an_addend_takes_the_place_of_its_sum(text: str) -> None:
    """a @ (b - c) @ d  ->  a @ (b) @ d and a @ (c) @ d, all other factors where they were."""
    expr = parse_expression(Source(text, "test.brk"))[0]
    for addend, name in zip(counterexamples._addends(expr, 1), "bc", strict=True):
        rebuilt = addend[1]
        assert isinstance(rebuilt, syntax.FormalProduct | syntax.MatrixProduct | syntax.Elementwise | syntax.Kronecker)
        parts = rebuilt.factors if isinstance(rebuilt, syntax.FormalProduct) else rebuilt.operands
        words = text.replace("(b - c)", name).replace(" @ ", " ").replace(" ⊙ ", " ").replace(" ⊗ ", " ").split()
        assert [part.span.text for part in parts] == words


def test_an_addend_that_cannot_be_read_alone_does_not_hide_the_others() -> None:
    """The size of the ones follows from the sum alone: they have no term of their own, x and y have theirs."""
    found = judged("𝟏 + x + y = 𝟏 + x + w")
    assert sorted((t.side, t.text, t.span.text if t.span else "") for t in found.terms) == [("left", "y", "y"), ("right", "w", "w")]
