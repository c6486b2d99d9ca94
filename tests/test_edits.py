"""Single changes of an expression, and what they say to do: the whole list of them, each as the expression that one would type."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bracketc.errors import Source
from bracketc.lang import syntax
from bracketc.lang.parser import parse_expression
from bracketc.proof.edits import Edit, edits
from bracketc.proof.mends import Mend, close, of_numbers


def parsed(text: str) -> syntax.Expr:
    return parse_expression(Source(text, "test.brk"))[0]


def bare(node: object) -> object:
    """Without the parentheses that a change puts around what it moves, and sums of one term."""
    if isinstance(node, syntax.Paren):
        return bare(node.body)
    if isinstance(node, syntax.Sum) and not node.negated and len(node.operands) == 1:
        return bare(node.operands[0])
    if isinstance(node, tuple):
        return tuple(bare(item) for item in node)
    if type(node).__module__ == syntax.__name__ and hasattr(node, "__dataclass_fields__"):
        shown = [field for field in node.__dataclass_fields__.values() if field.compare]
        return (type(node).__name__, *(bare(getattr(node, field.name)) for field in shown))
    return node


def changes(text: str, *names: str) -> list[Edit]:
    return list(edits(parsed(text), names))


STEP = [
    ("sign", "-t-1", "the sign of t is wrong", "t"),
    ("sign", "t+1", "the sign of 1 is wrong", "1"),
    ("factor", "(2 (t))-1", "a factor 2 is missing in t", "t"),
    ("term", "-1", "leave out t", "t"),
    ("factor", "t-(2 (1))", "a factor 2 is missing in 1", "1"),
    ("term", "t", "leave out 1", "1"),
]
# What one may have meant: kind, the expression, what to do, and where.
LISTS: dict[str, list[tuple[str, str, str, str]]] = {
    "a + b": [
        ("sign", "-a + b", "the sign of a is wrong", "a"),
        ("sign", "a - b", "the sign of b is wrong", "b"),
        ("factor", "(2 (a)) + b", "a factor 2 is missing in a", "a"),
        ("term", "b", "leave out a", "a"),
        ("factor", "a + (2 (b))", "a factor 2 is missing in b", "b"),
        ("term", "a", "leave out b", "b"),
    ],
    "-a": [
        ("sign", "a", "the sign of a is wrong", "a"),
        ("factor", "-(2 (a))", "a factor 2 is missing in a", "a"),
    ],
    "a ⊖ b": [
        ("sign", "-a ⊖ b", "the sign of a is wrong", "a"),
        ("sign", "a ⊕ b", "the sign of b is wrong", "b"),
        ("factor", "(2 (a)) ⊖ b", "a factor 2 is missing in a", "a"),
        ("factor", "a ⊖ (2 (b))", "a factor 2 is missing in b", "b"),
    ],
    "a - b + c": [
        ("sign", "-a - b + c", "the sign of a is wrong", "a"),
        ("sign", "a + b + c", "the sign of b is wrong", "b"),
        ("sign", "a - b - c", "the sign of c is wrong", "c"),
        ("factor", "(2 (a)) - b + c", "a factor 2 is missing in a", "a"),
        ("term", "-b + c", "leave out a", "a"),
        ("factor", "a - (2 (b)) + c", "a factor 2 is missing in b", "b"),
        ("term", "a + c", "leave out b", "b"),
        ("factor", "a - b + (2 (c))", "a factor 2 is missing in c", "c"),
        ("term", "a - b", "leave out c", "c"),
    ],
    "0.5 ⊙ a": [("factor", "1.0 ⊙ a", "write 1.0 for 0.5", "0.5")],
    "2 ⊙ a": [],
    "A @ x": [
        ("transposition", "A^T @ x", "transpose A", "A"),
        ("transposition", "A @ x^T", "transpose x", "x"),
    ],
    "A^T @ tanh(x)": [
        ("transposition", "A @ tanh(x)", "leave out the transposition of A", "A^T"),
        ("transposition", "A^T @ (tanh(x))^T", "transpose tanh(x)", "tanh(x)"),
    ],
    "S_21 ⊙ a": [("position", "S_12 ⊙ a", "swap positions 2 and 1", "_21")],
    "S_213 ⊙ a": [
        ("position", "S_123 ⊙ a", "swap positions 2 and 1", "_213"),
        ("position", "S_231 ⊙ a", "swap positions 1 and 3", "_213"),
    ],
    "A ^2·^1 B": [
        ("position", "A ^1·^1 B", "position 1 in place of 2", "^2"),
        ("position", "A ^2·^2 B", "position 2 in place of 1", "^1"),
    ],
    "A ^3·^1 B": [("position", "A ^3·^2 B", "position 2 in place of 1", "^1")],
    "A ^12·^12 B": [
        ("position", "A ^21·^12 B", "swap positions 1 and 2", "^12"),
        ("position", "A ^12·^21 B", "swap positions 1 and 2", "^12"),
    ],
    "A_ij": [("position", "A_ji", "swap the labels i and j of A", "A_ij")],
    "(A_ij x_j | i)": [
        ("position", "(A_ji x_j | i)", "swap the labels i and j of A", "A_ij"),
        ("position", "(A_jj x_j | i)", "the label i of A_ij should be j", "A_ij"),
        ("position", "(A_ii x_j | i)", "the label j of A_ij should be i", "A_ij"),
        ("position", "(A_ij x_i | i)", "the label j of x_j should be i", "x_j"),
    ],
    "(A_ij | ij)": [
        ("position", "(A_ij | ji)", "swap the labels i and j right of the bar", "(A_ij | ij)"),
        ("position", "(A_jj | ij)", "the label i of A_ij should be j", "A_ij"),
        ("position", "(A_ii | ij)", "the label j of A_ij should be i", "A_ij"),
        ("position", "(A_ji | ij)", "swap the labels i and j of A", "A_ij"),
    ],
    "Z[t]": [("position", "Z[t-1]", "the index of Z is t-1", "Z[t]")],
    "Z[t-1]": [
        ("position", "Z[t]", "the index of Z is t", "Z[t-1]"),
        *((kind, f"Z[{entry}]", advice, where) for kind, entry, advice, where in STEP),
    ],
}
LISTS |= {
    "B[s,t-1]": [
        ("position", "B[s,t]", "the index of B is t", "B[s,t-1]"),
        ("position", "B[s-1,t-1]", "the index of B is s-1", "B[s,t-1]"),
        *((kind, f"B[s,{entry}]", advice, where) for kind, entry, advice, where in STEP),
    ],
    "B[t-1,s]": [
        ("position", "B[t,s]", "the index of B is t", "B[t-1,s]"),
        ("position", "B[t-1,s-1]", "the index of B is s-1", "B[t-1,s]"),
        *((kind, f"B[{entry},s]", advice, where) for kind, entry, advice, where in STEP),
    ],
    "Z[1-t]": [
        ("sign", "Z[-1-t]", "the sign of 1 is wrong", "1"),
        ("sign", "Z[1+t]", "the sign of t is wrong", "t"),
        ("factor", "Z[(2 (1))-t]", "a factor 2 is missing in 1", "1"),
        ("term", "Z[-t]", "leave out 1", "1"),
        ("factor", "Z[1-(2 (t))]", "a factor 2 is missing in t", "t"),
        ("term", "Z[1]", "leave out t", "t"),
    ],
    "A_ijk": [
        ("position", "A_jik", "swap the labels i and j of A", "A_ijk"),
        ("position", "A_ikj", "swap the labels j and k of A", "A_ijk"),
    ],
}


@pytest.mark.parametrize("text", LISTS)
def test_every_single_change(text: str) -> None:
    found = [(e.kind, bare(e.tree), e.advice, e.span.text) for e in changes(text)]
    wanted = [(kind, bare(parsed(other)), advice, where) for kind, other, advice, where in LISTS[text]]
    assert sorted(map(str, found)) == sorted(map(str, wanted))


def test_names_take_one_anothers_place() -> None:
    found = changes("a · b", "a", "b", "c")
    wanted = [("b · b", "write b for a"), ("c · b", "write c for a"), ("a · a", "write a for b"), ("a · c", "write c for b")]
    assert [(bare(e.tree), e.advice, e.kind) for e in found] == [(bare(parsed(text)), advice, "name") for text, advice in wanted]
    assert changes("a · b", "c") == [] and [e.advice for e in changes("a · z", "a", "c")] == ["write c for a"]


def test_the_names_of_functions_stay() -> None:
    assert [e.advice for e in changes("f(a)", "f", "a")] == ["write f for a"]
    assert [e.advice for e in changes("(f(A_ij) | i)", "f") if e.kind == "name"] == []


def test_labels_right_of_the_bar_and_inside_of_functions_and_powers() -> None:
    found = {bare(e.tree) for e in changes("(A_ijk | ijk)") if e.kind == "position"}
    assert {bare(parsed(text)) for text in ("(A_ijk | jik)", "(A_ijk | ikj)")} <= found
    for text, other in (("(f(A_ij) | i)", "(f(A_jj) | i)"), ("(x_j**2 A_ij | i)", "(x_i**2 A_ij | i)")):
        assert bare(parsed(other)) in {bare(e.tree) for e in changes(text) if e.kind == "position"}


def test_bars_are_added_dropped_and_moved() -> None:
    found = {(e.advice, bare(e.tree)) for e in changes("[A (~a b)]") if e.kind == "bar"}
    for text, advice in (
        ("[A (a b)]", "the bar on a is wrong"),
        ("[A (a ~b)]", "the bar belongs to b"),
        ("[A (~a ~b)]", "a bar on b is missing"),
    ):
        assert (advice, bare(parsed(text))) in found


# ------------------------------------------------------------------------------------------------- what numbers say
X = np.array([[1.0, 2.0], [3.0, 5.0]])


def numbers(*factors: float) -> Mend | None:
    return of_numbers([(factor * X, X) for factor in factors])


def test_what_a_whole_side_lacks_shows_in_its_numbers() -> None:
    assert numbers(-1, -1) == Mend("sign", "the sign is wrong")
    assert numbers(2) == numbers(2, 2) == Mend("factor", "a factor 2 is missing on the right")
    assert numbers(-2 / 3) == Mend("factor", "a factor -2/3 is missing on the right")
    assert numbers(1 / 12) == Mend("factor", f"a factor {Fraction(1, 12)} is missing on the right")
    assert numbers(2, 3) is None, "the same factor at every point"
    assert numbers(np.pi) is None and numbers(1 / 13) is None, "a simple factor"
    assert of_numbers([(X, 0 * X)]) is None and of_numbers([(X, X @ X)]) is None
    assert of_numbers([(X, 0 * X), (X, X)]) is None


def test_a_transposed_side_is_found_at_all_points_or_not_at_all() -> None:
    transposed = Mend("transposition", "the right side is transposed")
    assert of_numbers([(X, X.T)]) == of_numbers([(X, X.T), (2 * X, 2 * X.T)]) == transposed
    assert of_numbers([(X, X.T), (X, X + 1)]) is None
    cube = np.arange(8.0).reshape(2, 2, 2)
    assert of_numbers([(cube, np.transpose(cube))]) is None


@pytest.mark.parametrize(
    ("left", "right", "are"),
    [
        ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, 2.0 + 1e-9], True),
        ([1.0, 2.0], [1.0, 2.0 + 3e-9], False),
        ([1.0, 2.0], [1.0, 2.0, 3.0], False),
        ([0.0], [1e-19], True),
        ([0.0], [1e-17], False),
        ([], [], True),
    ],
)
def test_close_is_relative_to_the_left_side(left: list[float], right: list[float], are: bool) -> None:
    assert close(np.array(left), np.array(right)) is are
