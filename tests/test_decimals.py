"""Functions and matrices of decimals at their edges: poles, ends of domains, infinities, pivots, and all digits in between."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from bracketc.ir import build
from bracketc.ir.build import add, literal, multiply, project
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Linalg, Range, Reduce, Tensor
from bracketc.ir.recurrence import recurrence
from bracketc.proof import decimals
from bracketc.proof.decimals import FUNCTIONS, bernoulli, exact, pi, power
from bracketc.proof.precise import decimals as as_decimals
from bracketc.proof.precise import interpret_precisely, orthogonal, stochastic

INF, NAN = Decimal("Infinity"), Decimal("NaN")


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    with localcontext(Context(prec=60, traps=[])):
        yield


def d(text: str | float) -> Decimal:
    return Decimal(text)


def near(found: Decimal, wanted: Decimal | float, digits: int = 55) -> bool:
    if isinstance(wanted, float):
        digits = 13
    return abs(found - Decimal(wanted)) <= Decimal(10) ** -digits * max(Decimal(1), abs(Decimal(wanted)))


# ------------------------------------------------------------------------------------------------- edges
@pytest.mark.parametrize(
    ("name", "x", "wanted"),
    [
        ("ln", "0", -INF), ("ln", "-1", NAN), ("ln", "Infinity", INF), ("asin", "1.5", NAN), ("asin", "-1.0001", NAN),
        ("asin", "NaN", NAN), ("acos", "2", NAN), ("sin", "Infinity", NAN), ("cos", "-Infinity", NAN), ("sin", "0", d(0)),
        ("tanh", "Infinity", d(1)), ("tanh", "-Infinity", d(-1)), ("tanh", "0", d(0)), ("expm1", "0", d(0)),
        ("expm1", "-Infinity", d(-1)), ("log1p", "-1", -INF), ("log1p", "-2", NAN), ("log1p", "0", d(0)),
        ("sigmoid", "0", d("0.5")), ("sigmoid", "Infinity", d(1)), ("sigmoid", "-Infinity", d(0)), ("softplus", "-Infinity", d(0)),
        ("erf", "0", d(0)), ("erf", "Infinity", d(1)), ("erf", "-31", d(-1)), ("erf", "NaN", NAN),
        ("lgamma", "0", INF), ("lgamma", "-3", INF), ("lgamma", "Infinity", NAN), ("lgamma", "1", d(0)), ("lgamma", "2", d(0)),
        ("digamma", "0", NAN), ("digamma", "-2", NAN), ("digamma", "Infinity", NAN), ("digamma", "-Infinity", NAN),
        ("trigamma", "0", INF), ("trigamma", "-1", INF), ("trigamma", "Infinity", NAN),
        ("sign", "-3", d(-1)), ("sign", "0", d(0)), ("sign", "2", d(1)), ("sign", "NaN", NAN),
        ("step", "0", d(0)), ("step", "1e-50", d(1)), ("step", "-1", d(0)), ("step", "NaN", NAN),
        ("relu", "-2", d(0)), ("relu", "3", d(3)), ("relu", "NaN", NAN), ("stop", "7", d(7)), ("abs", "-4", d(4)),
        ("atan", "NaN", NAN),
    ],
)  # fmt: skip
def test_functions_at_their_edges(name: str, x: str, wanted: Decimal) -> None:
    found = FUNCTIONS[name](d(x))
    assert (found.is_nan() and wanted.is_nan()) or (found == wanted if not wanted.is_finite() else near(found, wanted)), found


def test_angles_at_infinity_and_at_the_ends() -> None:
    assert near(pi(), d("3.14159265358979323846264338327950288419716939937510582097494"))
    for sign in (1, -1):
        assert near(FUNCTIONS["atan"](sign * INF), sign * pi() / 2) and near(FUNCTIONS["asin"](d(sign)), sign * pi() / 2)
        assert near(FUNCTIONS["atan"](d(sign)), sign * pi() / 4) and near(FUNCTIONS["sin"](sign * pi() / 6), sign * d("0.5"))
    assert near(FUNCTIONS["acos"](d(-1)), pi()) and near(FUNCTIONS["cos"](pi() / 3), d("0.5"))
    assert near(FUNCTIONS["asin"](d("0.5")), pi() / 6)
    assert near(FUNCTIONS["sin"](1000 * pi() + pi() / 6), d("0.5"), 50) and near(FUNCTIONS["tan"](pi() / 4), d(1))


POINTS = ("-7.5", "-2.3", "-0.7", "-0.1", "-0.01", "0.01", "0.1", "0.11", "0.4", "0.5", "0.6", "0.9", "1", "1.5", "3", "12", "31")
NAMES = (
    *("exp", "expm1", "atan", "sin", "cos", "tan", "tanh", "sinh", "cosh", "log1p", "erf"),
    *("lgamma", "ln", "log10", "asin", "acos"),
)


@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize("name", NAMES)
def test_functions_between_their_edges(name: str, x: str) -> None:
    """Those of the standard library, in float64."""
    function = getattr(math, {"ln": "log"}.get(name, name))
    try:
        wanted = function(float(x))
    except ValueError:
        assert FUNCTIONS[name](d(x)).is_nan()
        return
    assert near(FUNCTIONS[name](d(x)), float(wanted)), name


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("max", "min", "pow")])
def test_digits_stay_when_there_are_more_of_them(name: str) -> None:
    """What is computed with 60 digits is what is computed with 90, but for what rounding does to the last ones."""
    digits = {"lgamma": 56, "sin": 57, "tan": 57}.get(name, 58)  # after a turn of 2 π, and where large terms cancel
    for x in POINTS:
        found = FUNCTIONS[name](d(x))
        with localcontext(Context(prec=90, traps=[])):
            wanted = FUNCTIONS[name](d(x))
        assert near(found, wanted, digits) or (found.is_nan() and wanted.is_nan()), x


def test_special_functions_at_known_points() -> None:
    euler = d("0.577215664901532860606512090082402431042159335939923598805767")
    assert near(FUNCTIONS["digamma"](d(1)), -euler) and near(FUNCTIONS["digamma"](d(2)), 1 - euler)
    assert near(FUNCTIONS["digamma"](d("0.5")), -euler - 2 * d(2).ln())
    assert near(FUNCTIONS["digamma"](d("-0.5")), 2 - euler - 2 * d(2).ln())
    assert near(FUNCTIONS["trigamma"](d(1)), pi() ** 2 / 6) and near(FUNCTIONS["trigamma"](d("0.5")), pi() ** 2 / 2)
    assert near(FUNCTIONS["trigamma"](d("-0.5")), pi() ** 2 / 2 + 4)
    assert near(FUNCTIONS["lgamma"](d("0.5")), pi().ln() / 2) and near(FUNCTIONS["lgamma"](d("-0.5")), (2 * pi().sqrt()).ln())
    assert near(FUNCTIONS["lgamma"](d(11)), d(3628800).ln()) and near(FUNCTIONS["sigmoid"](d(2)), 1 / (1 + d(-2).exp()))
    assert near(FUNCTIONS["sigmoid"](d(-2)), 1 / (1 + d(2).exp())) and near(FUNCTIONS["softplus"](d(-2)), (1 + d(-2).exp()).ln())
    assert near(FUNCTIONS["softplus"](d(2)), (1 + d(2).exp()).ln())
    assert [str(bernoulli(n)) for n in range(9)] == ["1", "-1/2", "1/6", "0", "-1/30", "0", "1/42", "0", "-1/30"]


@pytest.mark.parametrize("x", ["-7.5", "-2.3", "-0.7", "0.01", "0.5", "1", "3.25", "12", "70"])
def test_the_gamma_function_grows_by_its_argument(x: str) -> None:
    """Γ(x + 1) = x Γ(x), and what that says of the derivatives of its logarithm."""
    lgamma, digamma, trigamma = (FUNCTIONS[name] for name in ("lgamma", "digamma", "trigamma"))
    assert near(lgamma(d(x) + 1), lgamma(d(x)) + abs(d(x)).ln(), 54)
    assert near(digamma(d(x) + 1), digamma(d(x)) + 1 / d(x), 54)
    assert near(trigamma(d(x) + 1), trigamma(d(x)) - 1 / d(x) ** 2, 54)


@pytest.mark.parametrize(
    ("x", "exponent", "wanted"),
    [
        ("0.25", Fraction(1, 2), "0.5"), ("0", Fraction(1, 2), "0"), ("4", Fraction(-1, 2), "0.5"), ("-1", Fraction(1, 2), "NaN"),
        ("8", Fraction(1, 3), "2"), ("-8", Fraction(1, 3), "NaN"), ("-2", Fraction(3), "-8"), ("-2", Fraction(-2), "0.25"),
        ("0", Fraction(0), "1"), ("0", Fraction(2), "0"), ("0", Fraction(-1), "Infinity"), ("0", 0.5, "0"), ("2", 0.5, None),
        ("0.5", Decimal(3), "0.125"), ("0.001", 2.0, "0.000001"), ("5", Fraction(0), "1"),
    ],
)  # fmt: skip
def test_powers(x: str, exponent: Fraction | float | Decimal, wanted: str | None) -> None:
    found = power(d(x), exponent)
    want = d(2).sqrt() if wanted is None else d(wanted)
    assert (found.is_nan() and want.is_nan()) or found == want or near(found, want)


def test_larger_and_smaller_of_two_with_undefined_ones() -> None:
    for name, wanted in (("max", 3), ("min", 2)):
        assert FUNCTIONS[name](d(2), d(3)) == FUNCTIONS[name](d(3), d(2)) == wanted
        assert FUNCTIONS[name](NAN, d(1)).is_nan() and FUNCTIONS[name](d(1), NAN).is_nan()
    assert exact(Fraction(1, 8)) == d("0.125") and exact(0.5) == d("0.5") and decimals.ONE == 1


# ------------------------------------------------------------------------------------------------- matrices
N, M = Dim.named("N"), Dim.named("M")
S, B = Tensor("S", (N, N)), Tensor("B", (N, M))


def matrix(operator: str, *arrays: list[list[float]]) -> np.ndarray:
    given = dict(zip((S, B), (np.array(array, float) for array in arrays), strict=False))
    node = Linalg(operator, tuple(given))
    return interpret_precisely([node], given, {"N": len(arrays[0]), "M": 2})[node]


TURNED = [[0.0, 2.0, 1.0], [1.0, 1.0, 0.0], [4.0, 0.0, 1.0]]
"""Its largest pivots stand in other rows."""


def test_determinants_have_the_sign_of_the_rows_that_were_exchanged() -> None:
    assert near(matrix("det", TURNED).item(), d(-6))
    assert matrix("det", [[0, 1], [1, 0]])[()] == -1 and matrix("det", [[1, 2], [2, 4]])[()] == 0
    assert near(matrix("logdet", TURNED).item(), d(6).ln()) and matrix("logdet", [[1, 2], [2, 4]]).item() == -INF


def test_inverses_and_solutions_are_exact() -> None:
    inverse = matrix("inv", TURNED)
    product = as_decimals(np.array(TURNED)).dot(inverse)
    assert all(near(product[i, j], d(int(i == j)), 50) for i in range(3) for j in range(3))
    right = [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]
    solution = matrix("solve", TURNED, right)
    back = as_decimals(np.array(TURNED)).dot(solution)
    assert all(near(back[i, j], d(right[i][j]), 50) for i in range(3) for j in range(2))
    with pytest.raises(ValueError, match="singular"):
        matrix("inv", [[1, 2], [2, 4]])
    for operator, half in (("solve_lower", np.tril), ("solve_upper", np.triu)):
        triangle = half(np.array([[2.0, 1.0, 4.0], [1.0, 4.0, 0.5], [3.0, 1.0, 0.5]]))
        back = as_decimals(triangle).dot(matrix(operator, triangle.tolist(), right))
        assert all(near(back[i, j], d(right[i][j]), 50) for i in range(3) for j in range(2))


def test_cholesky_factors() -> None:
    assert matrix("cholesky", [[0.25, 0.5], [0.5, 1.25]]).tolist() == [[d("0.5"), 0], [1, d("0.5")]]
    with pytest.raises(ValueError, match="not positive definite"):
        matrix("cholesky", [[1, 2], [2, 4]])


def test_matrices_in_a_batch_are_taken_one_by_one() -> None:
    batch = Tensor("A", (M, N, N))
    node = Linalg("det", (batch,))
    array = np.array([[[1.0, 2.0], [3.0, 4.0]], [[2.0, 0.0], [0.0, 5.0]], [[0.0, 1.0], [1.0, 0.0]]])
    found = interpret_precisely([node], {batch: array}, {"M": 3, "N": 2})[node]
    assert all(near(x, d(wanted)) for x, wanted in zip(found, (-2, 10, -1), strict=True))


def test_orthogonal_and_stochastic_arrays_are_so_to_all_digits() -> None:
    rng = np.random.default_rng(0)
    for shape in ((4, 4), (2, 4), (2, 3, 3), (3, 2, 4)):
        found = orthogonal(rng.standard_normal(shape))
        for place in np.ndindex(shape[:-2]):
            product = found[place].dot(found[place].T)
            assert all(near(product[i, j], d(int(i == j)), 55) for i in range(shape[-2]) for j in range(shape[-2]))
    rows = stochastic(rng.uniform(0.5, 1.5, (2, 3, 4)))
    assert rows.shape == (2, 3, 4) and all(near(x, d(1)) for x in rows.sum(-1).flat)


def test_reductions() -> None:
    x = Tensor("x", (N,))
    given = {x: np.array([2.0, 3.0, 5.0])}
    for operator, wanted in (
        ("prod", d(30)),
        ("max", d(5)),
        ("min", d(2)),
        ("logsumexp", (d(2).exp() + d(3).exp() + d(5).exp()).ln()),
    ):
        node = Reduce(operator, x, (0,))
        assert near(interpret_precisely([node], given, {"N": 3})[node].item(), wanted)


def test_reductions_of_nothing() -> None:
    x = Tensor("x", (N,))
    for operator, wanted in (("prod", d(1)), ("max", -INF), ("min", INF), ("logsumexp", -INF)):
        node = Reduce(operator, x, (0,))
        assert interpret_precisely([node], {x: np.zeros(0)}, {"N": 0})[node].item() == wanted


def test_a_diagonal_behind_other_axes() -> None:
    T = Tensor("T", (M, N, N))
    array = np.arange(18.0).reshape(2, 3, 3)
    for output, wanted in (("j", np.einsum("jii->j", array)), ("ji", np.einsum("jii->ji", array))):
        node = build.einsum(1, [(T, "jii")], output)
        assert interpret_precisely([node], {T: array}, {"M": 2, "N": 3})[node].tolist() == wanted.tolist()


def test_positions_beyond_an_axis_are_an_error() -> None:
    x = Tensor("x", (N,))
    array = np.arange(5.0)
    inside, outside = (build.window(x, 0, offset, (1,), (Dim.of(2),)) for offset in (3, 4))
    assert interpret_precisely([inside], {x: array}, {"N": 5})[inside].tolist() == [3, 4]
    with pytest.raises(ValueError, match=r"positions 4\.\.5 in an axis of size 5"):
        interpret_precisely([outside], {x: array}, {"N": 5})


def test_numbers_of_a_range_and_states_of_a_loop() -> None:
    """1, 2, 3; and of a loop with two states and their sums the one that is asked for."""
    numbers = Range(N)
    assert interpret_precisely([numbers], {}, {"N": 3})[numbers].tolist() == [1, 2, 3]
    a, b = Tensor("%a", ()), Tensor("%b", ())
    loop = recurrence(N, [(a, literal(1), add([a, b])), (b, literal(2), b)], [], [], [multiply(a, a)])
    states = [project(loop, k) for k in range(3)]
    found = interpret_precisely(states, {}, {"N": 3})
    assert [found[state].tolist() for state in states] == [7, 2, [1, 9, 25]]


def test_numbers_beyond_those_of_floats_stay_finite() -> None:
    x = Tensor("x", ())
    for sign in (1, -1):
        node = build.pointwise("exp", x)
        found = interpret_precisely([node], {x: np.asarray(sign * 1000.0)}, {})[node].item()
        assert found.is_finite() and near(found.ln(), d(sign * 1000), 50)
