"""From requests to functions: their names, arguments, results and values, and what is said about wrong requests."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.errors import Source, SourceError, Span, UnsupportedError
from bracketc.ir.build import add, einsum, literal, multiply, ones, pointwise, project, scale, subtract, tensor
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Differential, Node, Recurrence, Tensor
from bracketc.ir.program import Entry, Program, Request
from bracketc.ir.recurrence import recurrence
from bracketc.ir.rewrite import topological
from bracketc.ir.verify import verify

TEXT = "J = norm2(y)\ngradient J wrt W"
SOURCE = Source(TEXT, "model.brk")
SPAN = Span(SOURCE, 13, len(TEXT))
N, D = Dim.named("N"), Dim.named("D")
x, W, k = tensor("x", "N"), tensor("W", "D", "N"), Tensor("k", (N,), "integer", bound=D)
A = einsum(1, [(W, "dn"), (x, "n")], "d")
Y = pointwise("tanh", A)
J = einsum(Fraction(1, 2), [(Y, "d"), (Y, "d")], "")
LAM = literal(Fraction(1, 1000))


def _program(*requests: Request, **changes: Any) -> Program:
    fields: dict[str, Any] = {
        "source": SOURCE,
        "sizes": (),
        "arguments": (x, W, k),
        "kinds": {"x": "input", "W": "param", "k": "input"},
        "definitions": (("A", A), ("y", Y), ("J", J), ("lam", LAM)),
        "results": (("J", J),),
        "requests": requests,
    }
    return Program(**{**fields, **changes})


def _request(kind: Any, output: str, *wrt: str, **more: Any) -> Request:
    return Request(kind, output, wrt, span=SPAN, **more)


def _functions(*requests: Request, **changes: Any) -> dict[str, Entry]:
    found = {entry.name: entry for entry in entries(_program(*requests, **changes))}
    for entry in found.values():
        verify([node for _, node in entry.results])
        known = {*entry.arguments, *entry.extras}
        assert all(leaf in known for leaf in topological(n for _, n in entry.results) if isinstance(leaf, Tensor))
    return found


def _values(entry: Entry, **more: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    given: dict[Tensor, Any] = {x: rng.normal(size=3), W: rng.normal(size=(2, 3)), k: np.zeros(3, int)}
    given |= {extra: more[extra.name] for extra in entry.extras}
    return interpret([node for _, node in entry.results], given)


def test_a_program_without_requests_can_be_evaluated() -> None:
    found = _functions()
    assert list(found) == ["evaluate", "forward"]
    assert found["evaluate"].results == (("J", J),) and found["evaluate"].arguments == (x, W, k)


def test_a_gradient_makes_backward_and_value_and_grad() -> None:
    found = _functions(_request("gradient", "J", "W", "x"))
    assert list(found) == ["evaluate", "forward", "backward", "value_and_grad"]
    assert [name for name, _ in found["value_and_grad"].results] == ["J", "W", "x"]
    assert [name for name, _ in found["backward"].results] == ["W", "x"]
    assert [extra.name for extra in found["backward"].extras] == ["bar_J"]
    value, by_w, by_x = _values(found["value_and_grad"])
    for seed in (1.0, 2.5):
        back = _values(found["backward"], bar_J=seed)
        np.testing.assert_allclose(back[0], seed * by_w)
        np.testing.assert_allclose(back[1], seed * by_x)
    assert value.shape == ()


def test_backward_takes_a_cotangent_of_every_real_result() -> None:
    found = _functions(_request("gradient", "J", "W"), results=(("y", Y), ("J", J)))
    back = found["backward"]
    assert [extra.name for extra in back.extras] == ["bar_y", "bar_J"]
    alone = _values(back, bar_y=np.zeros(2), bar_J=1.0)[0]
    both = _values(back, bar_y=np.ones(2), bar_J=1.0)[0]
    other = _values(back, bar_y=np.ones(2), bar_J=0.0)[0]
    np.testing.assert_allclose(both, alone + other)


def test_a_target_that_is_no_result_has_a_cotangent_too() -> None:
    found = _functions(_request("gradient", "J", "W"), results=(("y", Y),))
    assert [extra.name for extra in found["backward"].extras] == ["bar_y", "bar_J"]


def test_a_named_gradient_is_a_function_of_that_name() -> None:
    found = _functions(_request("gradient", "J", "W"), _request("gradient", "J", "x", name="slope"))
    assert [name for name, _ in found["slope"].results] == ["J", "x"]


@pytest.mark.parametrize(
    ("request_", "name", "extras", "result"),
    [
        (_request("jacobian", "y", "x"), "jacobian_y_x", [], "x"),
        (_request("hessian", "J", "x"), "hessian_J_x", [], "x"),
        (_request("hessian", "J", "W", "x"), "hessian_J_W_x", [], "W_x"),
        (_request("jvp", "y", "x"), "jvp_y_x", ["d_x"], "x"),
        (_request("vjp", "y", "x"), "vjp_y_x", ["bar_y"], "x"),
        (_request("hvp", "J", "W"), "hvp_J_W", ["d_W"], "W"),
        (_request("jacobian", "y", "x", name="slopes"), "slopes", [], "x"),
        (_request("hessian", "J", "W", "x", name="mixed"), "mixed", [], "W_x"),
    ],
)
def test_other_requests_make_one_function_each(request_: Request, name: str, extras: list[str], result: str) -> None:
    entry = _functions(request_)[name]
    assert entry.request is request_
    assert [extra.name for extra in entry.extras] == extras
    assert [found for found, _ in entry.results] == [result]


def test_several_names_make_several_functions_unless_one_name_is_given() -> None:
    assert {"jacobian_y_x", "jacobian_y_W"} <= set(_functions(_request("jacobian", "y", "x", "W")))
    both = _functions(_request("jacobian", "y", "x", "W", name="all"))["all"]
    assert [name for name, _ in both.results] == ["x", "W"]


def test_the_products_agree_with_the_matrices() -> None:
    found = _functions(
        _request("jacobian", "y", "x"),
        _request("jvp", "y", "x"),
        _request("vjp", "y", "x"),
        _request("hessian", "J", "x"),
        _request("hvp", "J", "x"),
    )
    d, bar = np.array([0.3, -1.0, 2.0]), np.array([1.5, -0.5])
    (matrix,), (curvature,) = _values(found["jacobian_y_x"]), _values(found["hessian_J_x"])
    np.testing.assert_allclose(_values(found["jvp_y_x"], d_x=d)[0], matrix @ d)
    np.testing.assert_allclose(_values(found["vjp_y_x"], bar_y=bar)[0], bar @ matrix)
    np.testing.assert_allclose(_values(found["hvp_J_x"], d_x=d)[0], curvature @ d)
    np.testing.assert_allclose(curvature, curvature.T)


def test_layouts_of_a_jacobian() -> None:
    plain = _values(_functions(_request("jacobian", "y", "W"))["jacobian_y_W"])[0]
    turned = _values(_functions(_request("jacobian", "y", "W", layout="gradient"))["jacobian_y_W"])[0]
    np.testing.assert_array_equal(turned, plain.transpose(1, 2, 0))
    shapes = {}
    for output in ("J", "y"):
        for layout in ("row", "column"):
            entry = _functions(_request("jacobian", output, "x", layout=layout))[f"jacobian_{output}_x"]
            shapes[output, layout] = _values(entry)[0].shape
    assert shapes == {("J", "row"): (1, 3), ("J", "column"): (3, 1), ("y", "row"): (2, 3), ("y", "column"): (3, 2)}


def test_a_definition_is_cut() -> None:
    (slope,) = (node for _, node in _functions(_request("jacobian", "J", "y"))["jacobian_J_y"].results)
    assert slope is Y


def test_an_argument_that_does_not_matter_has_zeros() -> None:
    b = tensor("b", "D")
    found = _functions(_request("gradient", "J", "W", "b"), arguments=(x, W, k, b))
    (_, (_, by_b)) = found["backward"].results
    assert by_b.shape == (D,) and not by_b.operands


def test_written_derivatives_are_expanded_first() -> None:
    u = Tensor("%u", (D,))
    prime = Differential(pointwise("tanh", u), (u,), (A,), (ones((D,)),))
    target = einsum(1, [(multiply(prime, prime), "d")], "")
    found = _functions(_request("gradient", "K", "A"), definitions=(("A", A), ("K", target)), results=(("K", target),))
    value, slope = _values(found["value_and_grad"])
    (a,) = interpret([A], {x: np.random.default_rng(2).normal(size=3), W: _weights()})
    t = np.tanh(a)
    np.testing.assert_allclose(value, ((1 - t * t) ** 2).sum())
    np.testing.assert_allclose(slope, -4 * t * (1 - t * t) ** 2)


def _weights() -> np.ndarray:
    rng = np.random.default_rng(2)
    rng.normal(size=3)
    return rng.normal(size=(2, 3))


def test_forward_and_backward_run_one_loop() -> None:
    T = Dim.named("T")
    z, w = Tensor("%z", (D,)), Tensor("%w", (D, D))
    step = pointwise("sin", einsum(1, [(w, "ij"), (z, "j")], "i"))
    V = tensor("V", "D", "D")
    last = project(recurrence(T, [(z, tensor("Z0", "D"), step)], [], [(w, V)], []), 0)
    loss = einsum(1, [(last, "i"), (last, "i")], "")
    found = _functions(
        _request("gradient", "J", "V"),
        arguments=(V, tensor("Z0", "D")),
        definitions=(("J", loss),),
        results=(("J", loss),),
    )

    def loops(*names: str) -> set[Node]:
        roots = [node for name in names for _, node in found[name].results]
        return {node for node in topological(roots) if isinstance(node, Recurrence)}

    assert len(loops("forward", "backward")) == 2 and loops("forward") < loops("backward")
    assert loops("evaluate").isdisjoint(loops("backward"))


# --------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([_request("gradient", "y", "W")], r"gradient of y, which is no scalar but has the shape \(D\)"),
        ([_request("gradient", "y", "W")], "`jacobian y wrt W` gives all its derivatives"),
        ([_request("hessian", "y", "x")], "hessian of y, which is no scalar"),
        ([_request("hvp", "y", "x")], "hvp of y, which is no scalar"),
        ([_request("gradient", "Jo", "W")], r"Jo is no output(.|\n)*did you mean J\?"),
        ([_request("gradient", "J", "WW")], r"WW is no argument or definition(.|\n)*did you mean W\?"),
        ([_request("gradient", "x", "W")], "x is an argument, not an output"),
        ([_request("gradient", "J", "k")], "k does not hold real numbers"),
        ([_request("gradient", "J", "lam")], r"lam is a constant(.|\n)*`param lam : scalar`"),
        ([_request("gradient", "J", "W", "W")], "W stands twice behind wrt"),
        ([_request("gradient", "J", "J")], "the derivative of J by itself"),
        ([_request("gradient", "J", "W"), _request("gradient", "J", "x")], "a second gradient request without a name"),
        ([_request("jacobian", "y", "x")] * 2, "two functions would be called jacobian_y_x"),
        ([_request("jacobian", "y", "W", layout="column")], "denominator layout knows matrices only"),
        ([_request("jacobian", "y", "x", layout="^21·^1")], "the lists of layout \\^21·\\^1 have 2 and 1 positions"),
        ([_request("jacobian", "y", "x", layout="^3·^1")], "needs different positions from 1 to 2"),
        ([_request("jacobian", "y", "x", layout="^1·^2")], "is no arrangement of the 1 position of the input"),
        ([_request("jvp", "y", "x", layout="gradient")], "a jvp has no layout"),
    ],
)
def test_a_wrong_request_is_explained_at_its_place(requests: list[Request], message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        entries(_program(*requests))
    assert "model.brk:2:1: error" in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SourceError) as caught:
        entries(_program(_request("gradient", "Q", "W"), _request("jacobian", "y", "R", "k")))
    assert len(caught.value.diagnostics) == 3


def test_what_comes_later_says_so() -> None:
    with pytest.raises(UnsupportedError, match="a jacobian as derived"):
        entries(_program(_request("jacobian", "y", "x", derived=True)))


def test_unused_definitions_are_left_alone() -> None:
    u = Tensor("%u", (D,))
    odd = Differential(pointwise("trigamma", u), (u,), (A,), (ones((D,)),))
    found = _functions(_request("gradient", "J", "W"), definitions=(("A", A), ("J", J), ("odd", odd)))
    assert "value_and_grad" in found


def test_a_sum_of_losses_shares_its_terms() -> None:
    loss = add([J, scale(Fraction(1, 2), einsum(1, [(W, "dn"), (W, "dn")], "")), subtract(J, LAM)])
    found = _functions(_request("gradient", "J", "W"), definitions=(("J", loss),), results=(("J", loss),))
    nodes = topological(node for _, node in found["value_and_grad"].results)
    assert len(nodes) < 5 * len(topological([loss]))


@pytest.mark.parametrize(
    ("ending", "place"),
    [
        ("hvp J wrt x", "4:1"), ("hessian J wrt x", "4:1"), ("g = ∇[x](J)\nH = Jac[x](g)", "5:1"),
        ("g = ∇[x](J)\njacobian g wrt x", "5:1"),
    ],
)
def test_a_function_without_a_derivative_is_told_where_it_is_asked_for(ending: str, place: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        bc.compile(f"dim N\nparam x : N\nJ = sum(digamma(x))\n{ending}", backend="numpy")
    assert str(caught.value).startswith(f"<string>:{place}: error: no rule for the derivative of trigamma\n")
    assert "help: lgamma has two derivatives" in str(caught.value)
