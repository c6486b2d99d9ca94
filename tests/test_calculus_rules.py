"""Single rules of differentiation, each by itself: element-wise functions, matrices, masked cotangents, modes, cuts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc.calculus import derivatives, layouts
from bracketc.calculus.cuts import cut_definitions
from bracketc.calculus.derivatives import _has_fewer_entries, jacobian
from bracketc.calculus.elementwise import DERIVATIVES
from bracketc.calculus.elementwise import tangent as elementwise_tangent
from bracketc.calculus.matrices import _triangle, matmul
from bracketc.calculus.requests import entries
from bracketc.calculus.reverse import _weigh, transpose
from bracketc.calculus.walk import order
from bracketc.errors import LimitError, SourceError, UnsupportedError
from bracketc.ir.build import compare, einsum, literal, multiply, select, tensor, zeros
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Linalg, Node, Pointwise, Size, Tensor
from bracketc.ir.work import metered
from bracketc.options import Limits

N, M = Dim.named("N"), Dim.named("M")
x, d, w = (tensor(name, "N") for name in "xdw")


def at(node: Node, **arrays: Any) -> np.ndarray:
    known = {name: np.asarray(array, dtype=float) for name, array in arrays.items()}
    sizes = {"N": 3, "M": 2}
    tensors = {_leaf(item): known[item[0]] for item in arrays.items()}
    return interpret([node], tensors, sizes)[0]


def _leaf(item: tuple[str, Any]) -> Tensor:
    name, array = item
    return tensor(name, *("N" if extent == 3 else "M" if extent == 2 else extent for extent in np.shape(array)))


# ------------------------------------------------------------------------------------------------- element-wise functions
SLOPES: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "ln": lambda u: 1 / u,
    "log10": lambda u: 1 / (u * math.log(10)),
    "log1p": lambda u: 1 / (1 + u),
    "expm1": np.exp,
    "abs": np.sign,
    "sign": np.zeros_like,
    "step": np.zeros_like,
    "stop": np.zeros_like,
    "sin": np.cos,
    "cos": lambda u: -np.sin(u),
    "tan": lambda u: 1 / np.cos(u) ** 2,
    "asin": lambda u: 1 / np.sqrt(1 - u * u),
    "acos": lambda u: -1 / np.sqrt(1 - u * u),
    "atan": lambda u: 1 / (1 + u * u),
    "sinh": np.cosh,
    "cosh": np.sinh,
    "tanh": lambda u: 1 / np.cosh(u) ** 2,
    "sigmoid": lambda u: np.exp(-u) / (1 + np.exp(-u)) ** 2,
    "softplus": lambda u: 1 / (1 + np.exp(-u)),
    "relu": lambda u: (u > 0) * 1.0,
    "erf": lambda u: 2 / math.sqrt(math.pi) * np.exp(-u * u),
    "lgamma": lambda u: np.log(u) - 1 / (2 * u) - 1 / (12 * u**2) + 1 / (120 * u**4) - 1 / (252 * u**6),
    "digamma": lambda u: 1 / u + 1 / (2 * u**2) + 1 / (6 * u**3) - 1 / (30 * u**5) + 1 / (42 * u**7),
}


@pytest.mark.parametrize("function", SLOPES)
def test_the_slope_of_an_element_wise_function(function: str) -> None:
    """The closed form of tables; of the gamma function's logarithm its asymptotic series at large arguments."""
    points = np.array([30.0, 41.5, 77.0]) if "gamma" in function else np.array([0.15, 0.4, 0.85])
    directions = np.array([1.0, -2.0, 0.5])
    found = elementwise_tangent(Pointwise(function, (x,)), (d,))
    value = np.zeros(3) if found is None else at(found, x=points, d=directions)
    np.testing.assert_allclose(value, SLOPES[function](points) * directions, rtol=1e-12 if "gamma" not in function else 1e-9)


@pytest.mark.parametrize("exponent", [Fraction(2), Fraction(-3), Fraction(1, 2), Fraction(-3, 2), 1.7, -0.3])
def test_the_slope_of_a_power(exponent: Fraction | float) -> None:
    points = np.array([0.15, 0.4, 2.5])
    found = elementwise_tangent(Pointwise("power", (x,), exponent), (d,))
    assert found is not None
    c = float(exponent)
    np.testing.assert_allclose(at(found, x=points, d=np.ones(3)), c * points ** (c - 1), rtol=1e-13)


def test_every_function_of_one_argument_has_its_slope_here() -> None:
    assert SLOPES.keys() | {"power"} == DERIVATIVES.keys()


# ------------------------------------------------------------------------------------------------- matrices
def test_a_product_of_matrices_spreads_over_the_leading_axes_of_either_side() -> None:
    single, many = np.arange(9.0).reshape(3, 3), np.arange(18.0).reshape(2, 3, 3)
    A, B = _leaf(("A", many)), _leaf(("B", single))
    np.testing.assert_allclose(at(matmul(A, B), A=many, B=single), many @ single)
    np.testing.assert_allclose(at(matmul(B, A), A=many, B=single), single @ many)
    np.testing.assert_allclose(at(matmul(B, B, -2), B=single), -2 * single @ single)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (5, 2, 3, 3)])
@pytest.mark.parametrize("lower", [True, False])
def test_one_triangle_of_many_matrices(shape: tuple[int, ...], lower: bool) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    part = np.tril if lower else np.triu
    wanted = part(array, -1 if lower else 1) + 0.5 * array * np.eye(3)
    np.testing.assert_allclose(at(_triangle(_leaf(("A", array)), Fraction(1, 2), lower=lower), A=array), wanted)


def test_a_solution_is_linear_in_its_right_side_alone() -> None:
    A, b = tensor("A", "N", "N"), tensor("b", "N", "M")
    solution = Linalg("solve", (A, b))
    (found,) = transpose((solution,), (b,), (tensor("c", "N", "M"),))
    matrix, right = np.array([[3.0, 1, 0], [0, 2, 1], [1, 0, 4]]), np.arange(6.0).reshape(3, 2)
    assert found is not None
    np.testing.assert_allclose(at(found, A=matrix, c=right), np.linalg.solve(matrix.T, right))
    for node, source in ((solution, A), (Linalg("inv", (A,)), A), (Linalg("solve", (A, A)), A)):
        with pytest.raises(UnsupportedError, match=f"no rule for the transpose of {node.operator}"):
            transpose((node,), (source,), (tensor("c", *("N" for _ in node.shape)),))
    with pytest.raises(UnsupportedError, match="no rule for the transpose of Pointwise"):
        transpose((Pointwise("exp", (x,)),), (x,), (d,))


# ------------------------------------------------------------------------------------------------- masked cotangents
def weighed(rest: list[tuple[Node, tuple[int, ...]]], target: tuple[int, ...]) -> Node:
    """The cotangent ``where(x > 0, d, 0)`` in a bracket with others."""
    masked = select(compare(">", x, literal(0)), d, zeros((N,)))
    return _weigh(1, masked, (0,), rest, [], target, (N, M))


def test_an_infinite_factor_does_not_come_in_where_a_branch_was_not_taken() -> None:
    points, infinite, directions = np.array([1.0, -1.0, 2.0]), np.array([2.0, np.inf, 3.0]), np.array([1.0, 4.0, 5.0])
    given = {"x": points, "w": infinite, "d": directions}
    np.testing.assert_array_equal(at(weighed([(w, (0,))], (0,)), **given), [2, 0, 15])
    np.testing.assert_array_equal(at(weighed([(w, (0,))], ()), **given), 17)
    np.testing.assert_array_equal(at(weighed([(w, (0,)), (Size(N), ())], ()), **given), 51)


def test_a_factor_over_other_axes_is_contracted_after_the_mask() -> None:
    matrix = np.arange(6.0).reshape(3, 2)
    given = {"x": np.array([1.0, -1.0, 2.0]), "d": np.array([1.0, 4.0, 5.0]), "W": matrix}
    W = tensor("W", "N", "M")
    np.testing.assert_allclose(at(weighed([(W, (0, 1))], (1,)), **given), np.array([1.0, 0, 5]) @ matrix)
    np.testing.assert_allclose(at(weighed([(W, (0, 1))], (0, 1)), **given), np.array([[1.0], [0], [5]]) * matrix)
    spread = at(weighed([], (1, 0)), **{k: v for k, v in given.items() if k != "W"})
    np.testing.assert_allclose(spread, np.array([[1.0, 0, 5]] * 2))


# ------------------------------------------------------------------------------------------------- modes
def test_the_mode_of_a_jacobian_follows_from_sizes_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    two, three, open_one, scalar = tensor("a", 2), tensor("b", 3), tensor("x", "N"), tensor("s")
    assert _has_fewer_entries(two, three) and not _has_fewer_entries(three, two) and not _has_fewer_entries(two, two)
    assert _has_fewer_entries(scalar, open_one) and not _has_fewer_entries(open_one, scalar)
    for left, right in ((scalar, scalar), (open_one, three), (two, open_one)):
        assert not _has_fewer_entries(left, right)
    assert not _has_fewer_entries(tensor("X", 2, 3), tensor("Y", 5)) and _has_fewer_entries(tensor("Y", 5), tensor("X", 2, 3))
    used: list[str] = []

    def noting(mode: str) -> Callable[..., Node]:
        rule = derivatives.JACOBIANS[mode]

        def called(*given: Any) -> Node:
            used.append(mode)
            return rule(*given)

        return called

    monkeypatch.setattr(derivatives, "JACOBIANS", {mode: noting(mode) for mode in derivatives.JACOBIANS})
    jacobian(einsum(1, [(tensor("A", 3, 2), "ij"), (two, "j")], "i"), two)
    jacobian(einsum(1, [(tensor("A", 3, 2), "ij"), (two, "j")], "i"), two, swapped=True)
    jacobian(einsum(1, [(tensor("A", 2, 3), "ij"), (three, "j")], "i"), three)
    jacobian(einsum(1, [(tensor("A", 2, 3), "ij"), (three, "j")], "i"), three, swapped=True)
    jacobian(einsum(1, [(two, "j"), (two, "j")], ""), two, swapped=True)
    assert used == ["forward", "reverse", "reverse", "forward", "reverse"], "of a scalar there is nothing to swap"


MODES = """dim N, M
input A : M, N
param x : N
y = tanh(A @ x)
H = Jac[x](y)
J = norm2(H)
"""


def test_a_function_that_holds_jacobians_may_take_them_in_either_mode() -> None:
    found = {entry.name: entry for entry in entries(bc.parse(f"{MODES}gradient J wrt x\njvp J wrt x"))}
    for name in ("evaluate", "value_and_grad", "jvp_J_x"):
        modes = [candidate.mode for candidate in found[name].candidates]
        assert modes == ["modes by size", "modes by size, definitions in the other mode"]
        assert found[name].candidates[0].nodes != found[name].candidates[1].nodes
    assert not found["forward"].candidates and not found["backward"].candidates
    plain = entries(bc.parse("dim N\nparam x : N\ng = ∇[x](norm2(x))\nJ = g · x\ngradient J wrt x"))
    assert not any(entry.candidates for entry in plain)


# ------------------------------------------------------------------------------------------------- requests
CUT = """dim N, M
input A : M, N
param x : N
param b : M
y = A @ x
z = b ⊙ b
J = norm2(y) + (y · z)
"""


def names(*requests: str) -> list[str]:
    return [entry.name for entry in entries(cut_definitions(bc.parse(CUT + "\n".join(requests))))]


def test_a_definition_is_cut_once_for_all_requests() -> None:
    program = cut_definitions(replace(bc.parse(f"{CUT}gradient J wrt y\nhessian J wrt y\nhvp J wrt y"), cuts=()))
    assert [(cut.output, cut.wrt) for cut in program.cuts] == [("J", "y")]
    assert cut_definitions(program) is program


def test_names_of_hessians_and_of_products_with_them() -> None:
    assert names("hessian J wrt x, b")[2:] == ["hessian_J_x_b"] and names("hessian J wrt x, x")[2:] == ["hessian_J_x_x"]
    assert names("hvp J wrt x, b")[2:] == ["hvp_J_x", "hvp_J_b", "hvp_J_x_b"] and names("hvp J wrt x, b as P")[2:] == ["P"]
    assert names("hvp J wrt y, z")[2:] == ["hvp_J_y", "hvp_J_z"], "of definitions there is no product with all"
    assert names("hvp J wrt x, y")[2:] == ["hvp_J_x", "hvp_J_y"]
    with pytest.raises(UnsupportedError, match="by several definitions"):
        names("hvp J wrt x, y as P")


def test_the_note_of_a_second_function_of_one_name_shows_the_first() -> None:
    with pytest.raises(SourceError, match=r"two functions would be called evaluate") as caught:
        names("jvp J wrt x as evaluate")
    assert "the first one" not in str(caught.value)
    with pytest.raises(SourceError, match="two functions would be called hvp_J_x") as caught:
        names("hvp J wrt x", "hvp J wrt x, b")
    assert "the first one" in str(caught.value)


def test_lists_of_positions_from_ten_on_have_commas() -> None:
    assert layouts._list(range(1, 4)) == "123" and layouts._list(range(8, 12)) == "{8,9,10,11}"


# ------------------------------------------------------------------------------------------------- work
def test_walks_over_a_graph_are_work() -> None:
    node: Node = x
    for _ in range(200):
        node = multiply(node, x)
    assert order((node,), ())[0] is x and order((node,), ())[-1] is node
    with pytest.raises(LimitError), metered(replace(Limits(), max_work=10_000)):
        for _ in range(100):
            order((node,), ())
