"""Which factorisations a plan makes, and that they leave the answer as it is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from ckernels import needs_compiler

import bracketc as bc
from bracketc.compiler import stages
from bracketc.options import make_options
from bracketc.plan.interpret import run
from bracketc.plan.plan import PlanOptions, plan
from bracketc.plan.schedule import Factorise, Map, Schedule

Array = np.ndarray[Any, Any]

HEAD = """
dim n ~ 50, m ~ 3, b ~ 4
input A : n, n
input B : n, n
input K : n, n  symmetric, positive definite
input T : n, n  lower
input U : n, n  upper
input R : n, m
input x : n
input y : n
input P : b, n, n
input q : b, n
const I = eye(n)
"""


def operations(schedule: Schedule) -> Counter[str]:
    return Counter(step.operator for step in schedule.steps if isinstance(step, Factorise))


def planned(text: str, backend: str = "c") -> dict[str, Schedule]:
    done = stages(bc.parse(HEAD + text), make_options({"backend": backend, "verify": True}))
    return {schedule.entry: schedule for schedule in done.plan.schedules}


SOLVED = {
    "F = inv(A) @ x": "solve",
    "F = (inv(A)_ij x_j y_i | )": "solve",
    "F = (inv(A)_ij R_jk | ik)": "solve",
    "F = ((inv(A)_ij B_jk | ik)_ik x_k | i)": "solve",
    "F = x^T @ inv(A)": "solve",
    "F = (inv^1(P)_zij q_zj | zi)": "solve",
    "F = (inv^1(P)_zij q_zj y_i | z)": "solve",
    "F = (inv(A)_ij P_zjk | zik)": "solve",
    "F = (inv(A)_ij inv(B)_jk x_k | i)": "solve solve",
    "F = inv(K) @ x": "cholesky cholesky_solve",
    "F = logdet(K)": "cholesky",
    "F = det(K)": "cholesky",
    "F = inv(K)": "cholesky cholesky_inv",
    "F = logdet(A^T @ A + 2 I)": "cholesky",
    "F = logdet((exp(x_k) A_ki A_kj | ij) + K)": "cholesky",
    "F = logdet(A^T @ A)": "logdet",
    "F = logdet(A^T @ A - 2 I)": "logdet",
    "F = logdet((x_k A_ki A_kj | ij) + K)": "logdet",
    "F = solve(T, x)": "solve_lower",
    "F = solve(T^T, x)": "solve_upper",
    "F = inv(U)": "solve_upper",
    "F = logdet(U) + det(T)": "",
    "F = solve(chol(K), x)": "cholesky solve_lower",
    "F = inv(A)": "inv",
    "F = tr(inv(A) @ B)": "inv",
    "F = (inv(A)_ij inv(A)_ij | )": "inv",
    "F = exp(inv(A)) @ x + inv(A) @ x": "inv",
    "F = logdet(A) + x · solve(A, y)": "lu lu_logdet lu_solve",
    "F = solve(A, x) + solve(A^T, y)": "lu lu_solve lu_solve_transposed",
    "F = det(A^T) inv(A)": "lu lu_det lu_inv",
}


@pytest.mark.parametrize("text", SOLVED)
def test_operations_of_a_plan(text: str) -> None:
    assert operations(planned(text)["evaluate"]) == Counter(SOLVED[text].split())


def arrays(n: int = 5) -> dict[str, Array]:
    rng = np.random.default_rng(3)

    def entries(*shape: int) -> Array:
        return np.asarray(rng.normal(size=shape) / np.sqrt(n))

    square = entries(n, n)
    return {
        "A": entries(n, n) + 2 * np.eye(n),
        "B": entries(n, n) + 2 * np.eye(n),
        "K": square @ square.T + np.eye(n),
        "T": np.tril(entries(n, n)) + 2 * np.eye(n),
        "U": np.triu(entries(n, n)) - 2 * np.eye(n),
        "R": entries(n, 3),
        "x": entries(n),
        "y": entries(n),
        "P": entries(4, n, n) + 2 * np.eye(n),
        "q": entries(4, n),
    }


INVERTED = (
    "F = (inv(A) ⊙ B) @ solve(A^T, y) + solve(A, x)",
    "F = exp(inv(A^T)) @ solve(A, R)",
    "F = (exp(inv^1(P))_zij (inv^1(P)_zkl q_zl | zk)_zj | zi)",
)
"""Solutions with a matrix whose inverse is needed whole."""


@pytest.mark.parametrize("text", INVERTED)
def test_numpy_solves_with_an_inverse_that_is_there(text: str) -> None:
    assert operations(planned(text, "numpy")["evaluate"]) == Counter(["inv"])


@pytest.mark.parametrize("text", [*SOLVED, *INVERTED])
def test_factors_leave_the_answer_as_it_is(text: str) -> None:
    program = bc.parse(HEAD + text)
    done = stages(program, make_options({"backend": "c"}))
    plain = plan(done.entries, done.program.origins, done.program.sizes, PlanOptions(factors="none"))
    given = arrays()
    sizes = {"n": 5, "m": 3, "b": 4}
    want = run(plain.schedule("evaluate"), given, sizes).results["F"]
    for factors in ("all", "triangular"):
        made = plan(done.entries, done.program.origins, done.program.sizes, PlanOptions(factors=factors))
        np.testing.assert_allclose(run(made.schedule("evaluate"), given, sizes).results["F"], want, rtol=1e-9, atol=1e-11)


def test_a_gradient_uses_the_factor_of_its_function() -> None:
    made = planned("J = 0.5 (y · solve(A, y)) + 0.5 logdet(A)\ngradient J wrt A, y")
    assert operations(made["value_and_grad"]) == Counter(["lu", "lu_solve", "lu_solve_transposed", "lu_logdet", "lu_inv"])
    assert "lu" not in operations(made["backward"]) and any(b.name == "lu_A" for b in made["backward"].residuals)
    made = planned("J = 0.5 (y · solve(K, y)) + 0.5 logdet(K)\ngradient J wrt K, y")
    found = operations(made["value_and_grad"])
    assert (found["cholesky"], found["cholesky_inv"], found["lu"], found["inv"]) == (1, 1, 0, 0)
    assert "cholesky" not in operations(made["backward"])


def test_numpy_has_no_lu_factors_but_those_of_cholesky() -> None:
    text = "J = logdet(A) + (x · solve(A, y)) + logdet(K)\ngradient J wrt A, K"
    found = operations(planned(text, "numpy")["value_and_grad"])
    assert found["cholesky"] == 1 and not any(name.startswith("lu") for name in found)


@pytest.mark.parametrize("backend, once", [("numpy", ["inv"]), ("c", ["lu", "lu_inv", "lu_solve"])])
def test_the_jacobian_of_a_solution_factorises_its_matrix_once(backend: str, once: list[str]) -> None:
    made = planned("z = solve(A, y)\njacobian z wrt A\njacobian z wrt y", backend)
    assert operations(made["jacobian_z_A"]) == Counter(once)
    assert operations(made["evaluate"]) == Counter(["solve"])


def test_traces_of_products_are_not_formed() -> None:
    schedule = planned("F = tr(A @ B) + tr(A @ B^T)")["evaluate"]
    assert schedule.flops.evaluate({"n": 50}) < 5 * 50 * 50


def test_solving_is_never_dearer_than_inverting() -> None:
    for text in SOLVED:
        done = stages(bc.parse(HEAD + text), make_options({"backend": "c"}))
        plain = plan(done.entries, done.program.origins, done.program.sizes, PlanOptions(factors="none"))
        flops = [p.schedule("evaluate").flops.evaluate(p.hints) for p in (done.plan, plain)]
        assert flops[0] <= 1.1 * flops[1], text


def test_the_plan_shows_the_operations() -> None:
    done = stages(bc.parse(HEAD + "J = logdet(K)\ngradient J wrt K"), make_options({"backend": "c"}))
    text = "".join(step.bracket for step in done.plan.schedule("value_and_grad").steps)
    assert "chol_K = cholesky(K)" in text and "cholesky_inv(chol_K)" in text


BOTH = ["numpy", pytest.param("c", marks=needs_compiler)]
MODEL = """
J = 0.5 (y · solve(K, y)) + 0.5 logdet(K) + logdet(A) + (x · (inv(A) @ y)) + (x · solve(T, y)) + (q_zi inv^1(P)_zij x_j | )
gradient J wrt A, K, T, x, P
hvp J wrt A
"""


@pytest.mark.parametrize("backend", BOTH)
def test_both_backends_with_shared_factors(backend: str) -> None:
    module = bc.compile(HEAD + MODEL, backend=backend, cflags=("-O1",))
    for n in (5, 40):
        given = arrays(n)
        value, found = module.value_and_grad(**given)
        A, K, T, P = (given[name] for name in "AKTP")
        x, y, q = given["x"], given["y"], given["q"]
        iK, iA, iT, iP = map(np.linalg.inv, (K, A, T, P))
        want = 0.5 * y @ iK @ y + 0.5 * np.linalg.slogdet(K)[1] + np.linalg.slogdet(A)[1] + x @ iA @ y + x @ iT @ y
        want += np.einsum("zi,zij,j", q, iP, x)
        np.testing.assert_allclose(value, want, rtol=1e-9)
        w = iK @ y
        np.testing.assert_allclose(found.K, 0.5 * (iK - np.outer(w, w)), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(found.A, iA.T - np.outer(iA.T @ x, iA @ y), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(found.T, -np.outer(iT.T @ x, iT @ y), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(found.P, -np.einsum("zji,zj,zlk,k->zil", iP, q, iP, x), rtol=1e-7, atol=1e-8)
        _, residuals = module.forward(**given)
        for name, array in module.backward(residuals)._asdict().items():
            np.testing.assert_allclose(array, getattr(found, name), rtol=1e-8, atol=1e-10)
        d = np.ones((n, n))
        product = module.hvp_J_A(**given, d_A=d)
        h = 1e-5
        up, down = (module.value_and_grad(**given | {"A": A + s * h * d}).gradients.A for s in (1, -1))
        np.testing.assert_allclose(product, (up - down) / (2 * h), rtol=1e-4, atol=1e-5)


DISTANCE = "(sum[d]((R_id - R_jd)**2) | ij)"
KERNELS = {
    "a Gaussian process": f"exp(-{DISTANCE}) + I",
    "with a length scale each": "(exp(-0.5 sum[d](exp(c) ((R_id - R_jd) exp(-s_d))**2)) | ij) + exp(c) I",
    "the distance spelled out": "(exp(-sum[d](R_id R_id) - sum[d](R_jd R_jd) + 2 sum[d](R_id R_jd)) | ij) + 2 I",
    "of one coordinate": "(exp(3 - (x_i - x_j)**2) | ij) + I",
    "of a Gram matrix": "exp(R @ R^T) + I",
    "entry by entry with another": f"2 (R @ R^T) ⊙ exp(-{DISTANCE}) + I",
}
OTHERS = {
    "a distance that grows": f"exp({DISTANCE}) + I",
    "the square of a sum": "(exp(-sum[d]((R_id + R_jd)**2)) | ij) + I",
    "a distance to something else": "(exp(-sum[d]((R_id - S_jd)**2)) | ij) + I",
    "one side alone": "(exp(x_i) + 0 x_j | ij) + I",
    "minus a Gram matrix": "exp(-(R @ R^T)) + I",
    "noise of any sign": f"exp(-{DISTANCE}) + c I",
    "without noise": f"exp(-{DISTANCE})",
    "weights of any sign": "(exp(-sum[d](s_d (R_id - R_jd)**2)) | ij) + I",
}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_a_kernel_matrix_is_positive_definite_by_construction(kernel: str) -> None:
    text = f"input S : n, m\ninput s : m\ninput c : scalar\nZ = {kernel}\nF = logdet(Z)"
    assert operations(planned(text)["evaluate"]) == Counter(["cholesky"])
    made = planned(text.replace("F = logdet(Z)", "output Z"))["evaluate"]
    given = {**arrays(9), "S": np.ones((9, 3)), "s": np.ones(3), "c": np.array(0.3)}
    matrix = run(made, given, {"n": 9, "m": 3, "b": 4}).results["Z"]
    assert np.allclose(matrix, matrix.T) and np.linalg.eigvalsh(matrix).min() > 0


@pytest.mark.parametrize("kernel", OTHERS.values(), ids=OTHERS)
def test_what_need_not_be_positive_definite_has_no_cholesky_factor(kernel: str) -> None:
    text = f"input S : n, m\ninput s : m\ninput c : scalar\nF = logdet({kernel})"
    assert "cholesky" not in operations(planned(text)["evaluate"])


def test_the_inverse_of_a_definite_matrix_is_read_along_memory() -> None:
    schedule = planned("F = (inv(K)_ji B_ij | ij)")["evaluate"]
    (inverse,) = [step.target for step in schedule.steps if isinstance(step, Factorise) and step.operator == "cholesky_inv"]
    readers = [step for step in schedule.steps if isinstance(step, Map)]
    assert [a.labels for step in readers for a in step.operands if a.buffer is inverse] == [step.labels for step in readers]
