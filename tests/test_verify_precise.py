"""Decimal arithmetic: the functions, the interpreter, and the verdicts that need it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, localcontext

import numpy as np
import pytest
from random_ir import SIZES, random_graph

from bracketc.errors import Source
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.interpret import interpret
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof import decimals
from bracketc.proof.precise import interpret_precisely
from bracketc.proof.verify import Judgement, verify_derivations

HEAD = """dim N, M
param x : N
input y : N
input S : N, N
input P : N, M  stochastic rows
input Q : N, N  orthogonal
const E = eye(N)
"""


@pytest.mark.parametrize("name", list(decimals.FUNCTIONS))
def test_functions_are_those_of_float64(name: str) -> None:
    points = [0.3, -0.7, 1.9, -2.6, 4.25, 25.0, 1e-9, -1e-9]
    one, two = [(x,) for x in points], [(x, y) for x in points for y in (2.0, -1.0, 0.5)]
    pairs = two if FUNCTIONS[name].arity == 2 else one
    with localcontext(Context(prec=60, traps=[])), np.errstate(all="ignore"):
        for arguments in pairs:
            found = float(decimals.FUNCTIONS[name](*(Decimal(x) for x in arguments)))
            want = float(FUNCTIONS[name].evaluate(*(np.array(x) for x in arguments)))
            np.testing.assert_allclose(found, want, rtol=3e-13, err_msg=f"{name}{arguments}")


IDENTITIES: dict[str, Callable[[Decimal], Decimal]] = {
    "sin² + cos² = 1": lambda x: decimals.sin(x) ** 2 + decimals.cos(x) ** 2 - 1,
    "tan atan x = x": lambda x: decimals.sin(decimals.atan(x)) / decimals.cos(decimals.atan(x)) / x - 1,
    "sin asin x = x": lambda x: decimals.sin(decimals.asin(x / 9)) / (x / 9) - 1,
    "cosh² - sinh² = 1": lambda x: decimals.cosh(x) ** 2 - decimals.sinh(x) ** 2 - 1,
    "tanh = sinh / cosh": lambda x: decimals.tanh(x) * decimals.cosh(x) / decimals.sinh(x) - 1,
    "Γ(x+1) = x Γ(x)": lambda x: decimals.lgamma(x + 1) - decimals.lgamma(x) - decimals.ln(abs(x)),
    "ψ(x+1) = ψ(x) + 1/x": lambda x: decimals.digamma(x + 1) - decimals.digamma(x) - 1 / x,
    "ψ'(x+1) = ψ'(x) - 1/x²": lambda x: decimals.trigamma(x + 1) - decimals.trigamma(x) + 1 / x**2,
    "log1p expm1 x = x": lambda x: decimals.log1p(decimals.expm1(x)) / x - 1,
    "erf is odd": lambda x: decimals.erf(x) + decimals.erf(-x),
}


@pytest.mark.parametrize("name", list(IDENTITIES))
def test_identities_hold_to_the_last_digits(name: str) -> None:
    with localcontext(Context(prec=100)):
        for x in ("0.37", "-1.9", "5.25"):
            assert abs(IDENTITIES[name](Decimal(x))) < Decimal("1e-92"), x


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_mean_what_the_interpreter_says(seed: int) -> None:
    roots, values = random_graph(seed)
    want = interpret(roots, values, SIZES)
    found = interpret_precisely(roots, values, SIZES)
    for root, array in zip(roots, want, strict=True):
        np.testing.assert_allclose(np.asarray(found[root], np.float64), array, rtol=1e-9, atol=1e-9)


def judged(line: str, head: str = HEAD) -> Judgement:
    text = f"{head}derivation wrt x {{\n{line}\n}}\n"
    (proof,) = verify_derivations(elaborate_derivations(parse_file(Source(text, "test.brk"))))
    return proof.judgements[-1]


@pytest.mark.parametrize(
    "line",
    [
        "(x ⊕ 1e9) ⊖ 1e9 = x",
        "(sqrt(x ⊙ x ⊕ 1e16) ⊖ 1e8) ⊙ (sqrt(x ⊙ x ⊕ 1e16) ⊕ 1e8) = x ⊙ x",
        "exp(x ⊕ 40) - exp(40) 𝟏 = exp(40) (exp(x) ⊖ 1)",
        "ln(exp(x) ⊕ 1e-9) - x = ln((exp(x) ⊕ 1e-9) ⊘ exp(x))",
        "inv(S ⊙ S) @ (S ⊙ S) @ x = x",
        "tanh(x) = 2 sigmoid(2 x) - 𝟏",
        "(1e8 x + y) · (1e8 x + y) - 1e16 (x · x) = 2e8 (x · y) + y · y",
    ],
)
def test_nearly_cancelling_right_steps_are_accepted(line: str) -> None:
    judgement = judged(line)
    assert judgement.accepted, judgement.reason


@pytest.mark.parametrize(
    "line",
    [
        "x = (1 + 1e-10) x",
        "x + 1e-12 y = x",
        "x + 1e-18 y = x",
        "x + 1e-40 y = x",
        "tanh(x) = (1 - 1e-13) (2 sigmoid(2 x) - 𝟏)",
        "exp(x) = exp(x) ⊕ 1e-30",
        "(1e9 x + y) - 1e9 x = (1 + 1e-10) y",
        "det(S) x = (det(S) + 1e-20) x",
        "P @ 𝟏 = (1 + 1e-15) 𝟏⟨N⟩",
        "Q @ Q^T = (1 + 1e-17) E",
    ],
)
def test_small_errors_are_refuted(line: str) -> None:
    judgement = judged(line)
    assert judgement.verdict == "refuted", (judgement.verdict, judgement.reason)
    left, right = judgement.reason.split("left is ")[1].split(" in entry")[0].split(", right is ")
    assert left != right
