"""What a module says when it is used wrongly: its counts, its labels, its bound calls; alike in both backends."""

from __future__ import annotations

import pickle
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS

import bracketc as bc

LABELS = """
dim N, B, T, C, D
input c : N, B integer in C
input u : T integer in C
input r : scalar integer in C
param E : C, D
param Z0 : D
J = norm2((E[c[n,b], d] | nbd)) + norm2(E[r])
Z[0] = Z0
Z[t] = tanh(Z[t-1] + E[u[t]]) for t = 1..T
K = sum(Z)
output J, K
gradient J wrt E
gradient K wrt E as slope
jacobian Z wrt E
"""


@cache
def _labels(backend: str) -> ModuleType:
    return bc.compile(LABELS, backend=backend)


def _given(**changed: Any) -> dict[str, Any]:
    arrays = {"c": np.zeros((2, 3), int), "u": np.array([0, 3]), "r": 1, "E": np.ones((4, 2)), "Z0": np.zeros(2)}
    return arrays | changed


def _said(call: Any, **arguments: Any) -> str:
    with pytest.raises(bc.ArgumentError) as caught:
        call(**arguments)
    return str(caught.value).removeprefix("error: ")


# ------------------------------------------------------------------------------------------------ integer labels
WRONG = {
    "too large": ({"c": np.array([[0, 1, 2], [3, 3, 7]])}, "c[1, 2] is 7; c is integer in C, and C is 4: labels are 0 to 3"),
    "negative": ({"c": np.array([[0, -1, 9], [3, 3, 7]])}, "c[0, 1] is -1; c is integer in C, and C is 4: labels are 0 to 3"),
    "of no axis": ({"r": 4}, "r is 4; r is integer in C, and C is 4: labels are 0 to 3"),
    "inside a recurrence": ({"u": np.array([0, 1, 4])}, "u[2] is 4; u is integer in C, and C is 4: labels are 0 to 3"),
    "of an empty axis": ({"E": np.ones((0, 2))}, "c[0, 0] is 0; c is integer in C, and C is 0: there are no labels"),
    "of the largest size": (
        {"u": np.array([np.iinfo(np.int64).min])},
        "u[0] is -9223372036854775808; u is integer in C, and C is 4: labels are 0 to 3",
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("changed", "message"), WRONG.values(), ids=WRONG)
def test_a_label_out_of_range_is_told_with_its_place_in_both_backends(
    changed: dict[str, Any], message: str, backend: str
) -> None:
    module: Any = _labels(backend)
    assert _said(module.evaluate, **_given(**changed)) == f"evaluate: {message}"
    assert _said(module.evaluate.bind(**_given(**changed))) == f"evaluate: {message}"
    reads = "slope" if "u" in changed else "value_and_grad"
    assert _said(getattr(module, reads), **_given(**changed)) == f"{reads}: {message}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_labels_that_become_wrong_after_binding_are_seen(backend: str) -> None:
    module, labels = _labels(backend), np.zeros((2, 3), np.int64)
    bound = module.value_and_grad.bind(**_given(c=labels))
    assert bound().value == 2 * 6 + 2
    labels[1, 1] = 5
    assert _said(bound) == "value_and_grad: c[1, 1] is 5; c is integer in C, and C is 4: labels are 0 to 3"
    _, residuals = module.forward(**_given(c=(again := np.zeros((2, 3), np.int64))))
    again[0, 2] = -4
    assert _said(module.backward, residuals=residuals).startswith("backward: c[0, 2] is -4; c is integer in C")


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_label_that_exists_is_accepted(backend: str) -> None:
    c, u = np.array([[0, 3, 3], [1, 2, 0]]), np.array([3, 0, 0, 3])
    E = np.arange(8.0).reshape(4, 2)
    found = _labels(backend).evaluate(**_given(c=c, u=u, r=3, E=E))
    expected = np.sum(E[[*c.ravel(), 3]] ** 2)
    assert found[0] == expected


# ------------------------------------------------------------------------------------------------ counts
COUNTED = "dim N, D, K = 3\ninput X : N, D\ninput P : K\nparam w : D\nJ = norm2(X @ w) sum(P)\ngradient J wrt w"


def _count(*arguments: Any, **sizes: Any) -> Any:
    module = bc.compile(COUNTED, backend="numpy")
    return module.SIGNATURE["count"](*arguments, **sizes)


def test_counts_are_polynomials_of_the_sizes() -> None:
    one, two = (_count("evaluate", N=n, D=5)["flops"] for n in (10, 20))
    assert two - one == 10 * (_count("evaluate", N=1, D=5)["flops"] - _count("evaluate", N=0, D=5)["flops"])
    assert _count("evaluate", N=4, D=5, K=3) == _count("evaluate", N=np.int64(4), D=5)


@pytest.mark.parametrize(
    ("arguments", "sizes", "message"),
    [
        (("evaluat",), {"N": 1, "D": 1}, "count: no function 'evaluat'; there are evaluate, forward, backward, value_and_grad"),
        ((3,), {}, "count: no function 3; there are evaluate, forward, backward, value_and_grad"),
        (("evaluate",), {"N": 1, "D": 1, "M": 2}, "count: no size 'M'; there are N, D, K"),
        (("evaluate",), {"N": 1}, "count: evaluate needs D, N; D is missing"),
        (("evaluate",), {}, "count: evaluate needs D, N; D, N are missing"),
        (("evaluate",), {"N": -1, "D": 1}, "count: N is -1; a size is a whole number from 0"),
        (("evaluate",), {"N": 2.0, "D": 1}, "count: N is 2.0; a size is a whole number from 0"),
        (("evaluate",), {"N": "2", "D": 1}, "count: N is '2'; a size is a whole number from 0"),
        (("evaluate",), {"N": 2, "D": 1, "K": 4}, "count: K is 3 in this module, not 4"),
    ],
)
def test_wrong_questions_to_the_counts_say_what_there_is(arguments: Any, sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(bc.ArgumentError) as caught:
        _count(*arguments, **sizes)
    assert str(caught.value).removeprefix("error: ") == message


def test_sizes_are_counted_under_the_names_of_the_source() -> None:
    """Also one that an argument or an option is called like."""
    source = "dim N, out, function\ninput X : N, out\ninput Y : function\nparam n : out\nJ = norm2(X @ n) sum(Y)\ngradient J wrt n"
    count = bc.compile(source, backend="numpy").SIGNATURE["count"]
    assert count("evaluate", N=3, out=4, function=2)["flops"] > 0


# ------------------------------------------------------------------------------------------------ bound calls
@pytest.mark.parametrize("backend", BACKENDS)
def test_mistakes_in_bound_calls_name_the_call(backend: str) -> None:
    module: Any = _labels(backend)
    for wrong, message in (
        ({}, r"value_and_grad.bind\(\) missing 5 required"),
        (_given() | {"q": 1}, r"value_and_grad.bind\(\) got an unexpected keyword argument 'q'"),
    ):
        with pytest.raises(TypeError, match=message):
            module.value_and_grad.bind(**wrong)
    with pytest.raises(TypeError, match=r"jacobian_Z_E.bind\(\) takes"):
        module.jacobian_Z_E.bind(1, 2, 3, 4, 5, 6)
    assert module.value_and_grad.bind.__name__ == "bind" and "value_and_grad.bind" in repr(module.value_and_grad.bind)


def test_a_bound_call_of_a_generated_module_can_be_pickled_by_its_name(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bc.build("dim N\nparam x : N\nJ = x · x\ngradient J wrt x", tmp_path, backend="numpy", name="pickledcalls")
    monkeypatch.syspath_prepend(tmp_path)
    import pickledcalls  # type: ignore[import-not-found]

    assert pickle.loads(pickle.dumps(pickledcalls.value_and_grad.bind)) is pickledcalls.value_and_grad.bind
