"""Formulas set as they were typed: nothing rewritten, bars and positions where the text has them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bracketc.emit.marks import LATEX, MATHML, latex_text
from bracketc.emit.proofs import broken, wrapped
from bracketc.emit.typesetting import Setter, names_of, terms
from bracketc.errors import Source
from bracketc.lang import syntax
from bracketc.lang.parser import parse_file

ROOT = Path(__file__).resolve().parent.parent


def body(formula: str) -> syntax.Expr:
    (statement,) = parse_file(Source(f"J = {formula}")).statements
    assert isinstance(statement, syntax.Definition)
    return statement.body


def latex(formula: str, *names: str) -> str:
    return Setter(LATEX, frozenset(names))(body(formula))


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("X^T @ W1", r"X^{\mathsf{T}} \, W_{1}"),
        ("[~Z C X_2]", r"\left[ \overline{Z} \, C \, X_{2} \right]"),
        ("A_{~12}", r"A_{\overline{1}2}"),
        ("(A_ij B_jk | ik)", r"\left( A_{ij} \, B_{jk} \,\middle|\, ik \right)"),
        ("(1/N) X", r"\frac{1}{N} \, X"),
        ("a / (b + c)", r"\frac{a}{b+c}"),
        ("A ⊘ B", r"A\oslash B"),
        ("x**2", "x^{2}"),
        ("(a + b)**(-n)", "{(a+b)}^{-n}"),
        ("f'(x)", "f'(x)"),
        ("tanh(A)", r"\tanh(A)"),
        ("softmax^1(A)", r"{\operatorname{softmax}}^{1}(A)"),
        ("sum[t=1..T](X[t])", r"\sum_{t=1}^{T} (X_{t})"),
        ("A ^{~23}⊙^{31} B", r"A{}^{\overline{2}3}{\odot}^{31}B"),
        ("A ·_2 B", r"A{\cdot}_{2}B"),
        ("sqrt(x) + abs(y)", r"\sqrt{x}+\vert y\vert"),
        ("where(x > 0, x, 0)", r"\begin{cases} x & x>0 \\ 0 & \text{otherwise} \end{cases}"),
        ("X#1_2", r"{X^{(1)}}_{2}"),
        ("1e-3 x", r"10^{-3} \, x"),
        ("e⟨i⟩", "e_{i}"),
        ("∇[W](J)", r"\nabla _{W} \, J"),
    ],
)
def test_a_formula_is_set_as_it_was_typed(formula: str, text: str) -> None:
    found = latex(formula).replace(r"\nabla_", r"\nabla _").replace(r"\cdot_", r"{\cdot}_").replace(r"\odot^", r"{\odot}^")
    assert found == text


def test_the_d_of_a_differential_is_upright() -> None:
    assert latex("dX @ W", "X") == r"\mathrm{d}X \, W"
    assert latex("dX @ W", "dX", "X") == r"\mathit{dX} \, W"


@pytest.mark.parametrize("folder", ["examples/derivations", "models"])
def test_every_formula_of_every_example_is_well_formed(folder: str) -> None:
    counts = {"msub": 2, "msup": 2, "msubsup": 3, "mfrac": 2, "mover": 2, "munder": 2, "munderover": 3}
    for path in sorted((ROOT / folder).glob("*.brk")):
        tree = parse_file(Source(path.read_text(encoding="utf-8"), path.name))
        mathml, tex = Setter(MATHML, names_of(tree)), Setter(LATEX, names_of(tree))
        for node in syntax.walk(tree):
            if isinstance(node, syntax.Member):
                assert tex(node.value).count("{") == tex(node.value).count("}")
                for element in ET.fromstring(f"<math>{mathml(node.value)}</math>").iter():
                    assert counts.get(element.tag) in (None, len(element))


def test_deep_formulas_do_not_recurse() -> None:
    node: syntax.Expr = syntax.Name("x")
    for _ in range(5000):
        node = syntax.Transpose(node)
    assert Setter(LATEX)(node).count("T") == 5000


def test_a_long_sum_is_broken_before_a_sign() -> None:
    lines = broken(terms(Setter(LATEX), body(" + ".join(f"A{n} @ B{n} @ C{n}" for n in range(30)))))
    assert len(lines) > 2
    assert all(line.startswith("+") for line in lines[1:])


def test_words_for_latex_are_escaped() -> None:
    assert latex_text(r"a_b & 50 % \x {#} ∇[W]") == r"a\_b \& 50 \% \textbackslash{}x \{\#\} $\nabla$[W]"
    assert wrapped("one two three", 8) == ["one two", "three"]
