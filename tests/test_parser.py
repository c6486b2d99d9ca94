"""The syntax tree of every construct, and the message for every way to get it wrong."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bracketc.errors import BracketError, LimitError, Source, SourceError
from bracketc.lang import syntax as s
from bracketc.lang.parser import parse_expression, parse_file
from bracketc.lang.syntax import Label, Name, Number


def expr(text: str) -> Any:
    tree, where = parse_expression(Source(text))
    assert where == ()
    return tree


def statements(text: str) -> tuple[Any, ...]:
    return parse_file(Source(text)).statements


def labelled(name: str, labels: str) -> s.Labelled:
    return s.Labelled(Name(name), tuple(map(Label, labels)))


def positions(*groups: int | tuple[int, ...]) -> s.Positions:
    members = [group if isinstance(group, tuple) else (group,) for group in groups]
    return s.Positions(tuple(tuple(s.Position(abs(p), p < 0) for p in group) for group in members))


A, B, C, X = Name("A"), Name("B"), Name("C"), Name("X")
PLAIN_DOT = s.Operator("·", None, None, None)


# ---------------------------------------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("A B C", s.FormalProduct((A, B, C))),
        ("A @ B @ C", s.MatrixProduct((A, B, C))),
        ("A ⊗ B", s.Kronecker((A, B))),
        ("A & B & C", s.System((A, B, C))),
        ("A · B", s.Dot((A, B), (PLAIN_DOT,))),
        ("A ·_2 B", s.Dot((A, B), (s.Operator("·", None, None, 2),))),
        ("A ._> B", s.Dot((A, B), (s.Operator("·", None, None, ">"),))),
        ("A ^{~23}*^{31} B", s.Elementwise((A, B), (s.Operator("⊙", positions(-2, 3), positions(3, 1), None),))),
        ("A ^{12,5}·^{1,2} B", s.Dot((A, B), (s.Operator("·", positions(12, 5), positions(1, 2), None),))),
        ("-A + B - C", s.Sum(True, (A, B, C), ("+", "-"))),
        ("A .- B .+ C", s.Sum(False, (A, B, C), ("⊖", "⊕"))),
        ("A + B ⊙ C", s.Sum(False, (A, s.Elementwise((B, C), (s.Operator("⊙", None, None, None),))), ("+",))),
        ("A · B ⊙ C", s.Dot((A, s.Elementwise((B, C), (s.Operator("⊙", None, None, None),))), (PLAIN_DOT,))),
        ("A ⊗ B @ C", s.Kronecker((A, s.MatrixProduct((B, C))))),
        ("2 A^T", s.FormalProduct((Number("2"), s.Transpose(A)))),
        ("A**-2", s.Power(A, True, Number("2"))),
        ("A ** (B)", s.Power(A, False, s.Paren(B))),
        ("A_312", s.Portion(A, positions(3, 1, 2), None)),
        ("A_{1[25]3}", s.Portion(A, positions(1, (2, 5), 3), None)),
        ("A_{~1[2~5]}", s.Portion(A, positions(-1, (2, -5)), None)),
        ("A_{10,}", s.Portion(A, positions(10), None)),
        ("X#3_2", s.Portion(X, positions(2), 3)),
        ("A_ij", labelled("A", "ij")),
        ("A_{i1,k}", s.Labelled(A, (Label("i1"), Label("k")))),
        ("A_{i1}", s.Labelled(A, (Label("i1"),))),
        ("A_{ij}", labelled("A", "ij")),
        ("A_{row,}", s.Labelled(A, (Label("row"),))),
        ("[A ~B]", s.Fusion((A, s.Bar(B)))),
        ("[A] B", s.FormalProduct((s.Fusion((A,)), B))),
        ("A_1[B]", s.FormalProduct((s.Portion(A, positions(1), None), s.Fusion((B,))))),
        ("(A)[B]", s.FormalProduct((s.Paren(A), s.Fusion((B,))))),
        ("A (B)", s.FormalProduct((A, s.Paren(B)))),
        ("A(B)", s.Call(A, None, (B,))),
        ("A[B]", s.Index(A, (B,))),
        ("A [B]", s.FormalProduct((A, s.Fusion((B,))))),
        ("(A B)![2,·,:]", s.Index(s.Paren(s.FormalProduct((A, B))), (Number("2"), s.All(), s.All()))),
        ("A[., 1..2 B]", s.Index(A, (s.All(), s.Slice(Number("1"), s.FormalProduct((Number("2"), B)))))),
        ("A![1]", s.Index(A, (Number("1"),))),
        ("dA[B]", s.Index(Name("dA"), (B,))),
        ("{A}_21", s.Portion(s.Brace(A), positions(2, 1), None)),
        ("(A_ij | j)", s.IndexBracket(labelled("A", "ij"), (Label("j"),))),
        ("(A | )", s.IndexBracket(A, ())),
        ("(A_ox | ox)", s.IndexBracket(labelled("A", "ox"), (Label("o"), Label("x")))),
        ("(A | {i1})", s.IndexBracket(A, (Label("i1"),))),
        ("(A | i1,j)", s.IndexBracket(A, (Label("i1"), Label("j")))),
        ("inv^1(A)_kij", s.Labelled(s.Call(Name("inv"), positions(1), (A,)), tuple(map(Label, "kij")))),
        ("ones", s.Ones(1, None)),
        ("𝟏_12", s.Ones(2, None)),
        ("ones<2,A>^T", s.Transpose(s.Ones(2, (Number("2"), A)))),
        ("𝟏⟨A⟩", s.Ones(1, (A,))),
        ("e<i,j+1>", s.OneHot((Name("i"), s.Sum(False, (Name("j"), Number("1")), ("+",))))),
        ("iota A", s.FormalProduct((s.Iota(), A))),
        ("delta_ij", s.Delta((Label("i"), Label("j")))),
        ("sum[i,j](A)", s.Reduction("sum", (s.Binder(Name("i"), None, None), s.Binder(Name("j"), None, None)), A)),
        ("sum[t=1..B](A)", s.Reduction("sum", (s.Binder(Name("t"), Number("1"), B),), A)),
        ("where(i >= j, A, B)", s.Where(s.Comparison(">=", Name("i"), Name("j")), A, B)),
        ("where(e<3, A, B)", s.Where(s.Comparison("<", Name("e"), Number("3")), A, B)),
        ("where(e<3> < A, A, B)", s.Where(s.Comparison("<", s.OneHot((Number("3"),)), A), A, B)),
        ("stop(A)", s.Stop(A)),
        ("s'(A)", s.Call(Name("s'"), None, (A,))),
        ("grad s^1(A)", s.FunctionDerivative("∇", Name("s"), positions(1), (A,))),
        ("Jac s(A)", s.FunctionDerivative("Jac", Name("s"), None, (A,))),
        ("∇[A, B[1]](C)", s.Derivative("∇", (s.Reference(A, None), s.Reference(B, (Number("1"),))), C)),
        ("d[A](B)", s.Differential((s.Reference(A, None),), B)),
        ("d[A] (B)", s.FormalProduct((s.Index(Name("d"), (A,)), s.Paren(B)))),
        ("d(B)", s.Call(Name("d"), None, (B,))),
        ("A / B ⊙ C", s.Elementwise((A, B, C), (s.Operator("⊘", None, None, None), s.Operator("⊙", None, None, None)))),
    ],
)  # fmt: skip
def test_an_expression_has_its_tree(text: str, tree: Any) -> None:
    assert expr(text) == tree


def test_a_fused_product_holds_groups() -> None:
    group = s.Paren(
        s.FormalProduct(
            (
                s.Portion(X, positions(1), None),
                s.Fusion((s.Portion(X, positions(2), None), s.Bar(s.Portion(Name("W"), positions(1), None)))),
                s.Portion(Name("W"), positions(2), None),
            )
        )
    )
    assert expr("[~Z C (X_1 [X_2 ~W_1] W_2)]") == s.Fusion((s.Bar(Name("Z")), C, group))


@pytest.mark.parametrize(
    ("unicode", "ascii_"),
    [
        ("A ^2⊙^1 B ⊘ C", "A ^2*^1 B / C"),
        ("𝟏_12 ⊗ ι u", "ones_12 ox iota u"),
        ("∇[W](J) ⊖ δ_ij", "grad[W](J) .- delta_ij"),
        ("∇s^1(A) · M![2,·]", "grad s^1(A) . M![2,.]"),
        ("e⟨i,j⟩ 𝟏⟨N,M⟩", "e<i,j> ones<N,M>"),
    ],
)
def test_both_spellings_are_one_tree(unicode: str, ascii_: str) -> None:
    assert expr(unicode.replace(" ⊘ C", "")) == expr(ascii_.replace(" / C", ""))


def test_spans_cover_what_was_written() -> None:
    tree = expr("A + (B_ij | i) · tanh(C)**2")
    assert tree.span.text == "A + (B_ij | i) · tanh(C)**2"
    dot = tree.operands[1]
    assert [part.span.text for part in dot.operands] == ["(B_ij | i)", "tanh(C)**2"]
    assert dot.operands[0].body.labels[1].span.text == "j"


def test_equality_ignores_spans_and_does_not_recurse() -> None:
    deep = "(" * 900 + "x" + ")" * 900
    one, _ = parse_expression(Source(deep), nesting=2000)
    two, _ = parse_expression(Source(" " + deep), nesting=2000)
    assert one == two and hash(one) == hash(two) and one != expr("x")


# ---------------------------------------------------------------------------------------------- statements


def test_declarations() -> None:
    text = """
dim N, K = 10, M ~ 1000
dim D[0..L] = 784, 256, 10
input X : N, D  onehot rows
input q : scalar positive
param S : 4 h, t+k-1  symmetric positive definite
input c : N integer in C
param W[j] : D[j-1], D[j] for j = 1..L
const lam = 1e-3
function f(a, b : 2) = a · b
import "layers.brk"
"""
    found = statements(text)
    sizes = (
        s.Size(Name("N"), None, None),
        s.Size(Name("K"), Number("10"), None),
        s.Size(Name("M"), None, Number("1000")),
    )
    assert found[0] == s.DimStatement(sizes)
    assert found[1] == s.DimFamily(Name("D"), Number("0"), Name("L"), (Number("784"), Number("256"), Number("10")))
    assert found[2] == s.Argument("input", X, None, (Name("N"), Name("D")), (s.Trait("onehot rows", None),), None)
    assert found[3] == s.Argument("input", Name("q"), None, (), (s.Trait("positive", None),), None)
    assert found[4].traits == (s.Trait("symmetric", None), s.Trait("positive definite", None))
    assert found[4].dims[0] == s.FormalProduct((Number("4"), Name("h")))
    assert found[5].traits == (s.Trait("integer", C),)
    assert found[6].index == Name("j") and found[6].range == s.Range(Name("j"), Number("1"), Name("L"))
    assert found[7] == s.Const(Name("lam"), Number("1e-3"))
    assert found[8].parameters == (s.Parameter(Name("a"), None), s.Parameter(Name("b"), 2))
    assert found[9] == s.Import("layers.brk")


def test_definitions() -> None:
    text = """
A_ik = B_ik
A[i,k] = B_ik
Z[t] = X[t] Z[t-1] where U = A, V_ij = B
  for t = 1..T
H = A for e = 1..n, g = n..1
input = 3
output_ij = A_ij
"""
    found = statements(text)
    assert found[0].target == s.Target(A, (Label("i"), Label("k")), None)
    assert found[1].target == s.Target(A, None, (Name("i"), Name("k")))
    assert [binding.target.name.text for binding in found[2].where] == ["U", "V"]
    assert found[2].ranges == (s.Range(Name("t"), Number("1"), Name("T")),)
    assert [r.variable.text for r in found[3].ranges] == ["e", "g"]
    assert found[4] == s.Definition(s.Target(Name("input"), None, None), Number("3"), (), ())
    assert found[5].target.labels == (Label("i"), Label("j"))


def test_requests() -> None:
    text = """
output F, Z[3]
gradient J wrt W[1], b as derived
jacobian y wrt x layout row as g
jacobian y wrt x layout ^512·^123
hessian J wrt x, s
"""
    found = statements(text)
    assert found[0] == s.Output((s.Reference(Name("F"), None), s.Reference(Name("Z"), (Number("3"),))))
    assert found[1].derived and found[1].name is None
    assert found[1].wrt[0] == s.Reference(Name("W"), (Number("1"),))
    assert found[2].layout == s.Layout("row", None, None) and found[2].name == Name("g")
    assert found[3].layout == s.Layout("positions", positions(5, 1, 2), positions(1, 2, 3))
    assert len(found) == 5


def test_derivations() -> None:
    text = """
(thm) derivation of J wrt W, b {
  J = (h - Y) · (h - Y)   where h = f(X)
  (eq3) dJ = a ⇝ b   [by the product rule, it's]
      = c
  ⟹ ∇[W](J) = d, ∇[b](J) = e
      = g
}
x = 1
"""
    block, after = statements(text)
    assert block.label == "thm" and block.target == s.Reference(Name("J"), None) and len(block.wrt) == 2
    first, second, third, fourth, fifth = block.steps
    assert [binding.target.name.text for binding in first.where] == ["h"]
    assert second.label == "eq3" and second.remark == "the product rule, it's"
    assert second.segments[0].equations[0].members[1] == s.Member((Name("a"), Name("b")))
    assert second.segments[0].equations[0].members[1].value == Name("b")
    assert third.segments == (s.Segment("=", (s.Equation((s.Member((Name("c"),)),)),)),)
    assert fourth.segments[0].opener == "⟹" and len(fourth.segments[0].equations) == 2
    assert fifth.segments[0].opener == "="
    assert after.target.name.text == "x"
    assert block.span.text.endswith("}")


@pytest.mark.parametrize(
    "text",
    [
        "J = a +\n b",
        "J = (a\n + b\n)",
        "J = a + # why\n\n b",
        "J = a ·_1\n b",
        "J = a ^1·^2\n b",
        "J = a ·_>\n b",
        "J = a\n\n  where a = b",
        "J = a where\n a = b,\n c = d",
        "J = a\nfor t = 1..T",
        "J =\n a",
    ],
)
def test_statements_go_on_over_the_line_end(text: str) -> None:
    assert len(statements(text)) == 1


def test_sized_ones_end_a_line() -> None:
    assert len(statements("F = ones<3>\noutput F\njacobian F wrt x layout ^1·^2\noutput F")) == 4


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("y = x^2", "^ is no power", "x**2"),
        ("y = A^2 B", "^ is no power", "**"),
        ("y = X^-1", "^ is no power", "inv(X)"),
        ("y = X^{-1}", "position list", "inv(X)"),
        ("y = X^n", "^ is no power", "x**n"),
        ("y = X^t", "^ is no power", "^T"),
        ("y = X^{T}", "position list", "^T"),
        ("y = (X)'", "a prime that follows no name", "X^T"),
        ("y = (A_i1 | i)", "run together in the subscript i1", "_{i1}"),
        ("y = A_2x", "run together in the subscript 2x", "_2 x"),
        ("y = (A | i1)", "run together right of the bar", "{i1}"),
        ("y = a**b**c", "read in two ways", "(a**b)**"),
        ("y = x**n_i", "read in two ways", "(x**n)_i"),
        ("y = x**f(2)", "read in two ways", "x**(f("),
        ("y = a / b c", "read in two ways", "(a/b) c or a/(b c)"),
        ("y = a ⊘ b @ c", "read in two ways", "(a⊘b) @ c or a⊘(b @ c)"),
        ("y = A_{10}", "position 0", "{10,}"),
        ("y = A ^{10}·^1 B", "position 0", "{10,}"),
        ("y = A_{11}", "position 1 occurs twice", "commas"),
        ("y = A_{1000,}", "larger than", ""),
        ("y = A_{1[2}", "not closed", ""),
        ("y = A_{i,1}", "a number among labels", "M[i,1]"),
        ("y = A ^12·^1 B", "2 positions on the left, 1 on the right", "equally long"),
        ("y = A ^2·B", "one side only", "A ·_1 B"),
        ("y = A·^1 B", "one side only", "A ·_1 B"),
        ("y = A ·_0 B", "count", "A ·_2 B"),
        ("y = sin^2(x)", "is not mapped", "sin(…)**2"),
        ("y = sin^2 x", "has no arguments", "sin(x)**2"),
        ("y = sin x", "has no arguments", "sin(…)"),
        ("y = sin (x)", "has no arguments", "touches"),
        ("y = a · b · c", "does not associate", "(a · b) · c or a · (b · c)"),
        ("y = A ^2·^1 B ·_1 C", "does not associate", "(A ^2·^1 B) ·_1 C or A ^2·^1 (B ·_1 C)"),
        ("y = A ^1⊙^1 B ⊙ C", "does not associate", "or A ^1⊙^1 (B ⊙ C)"),
        ("y = (x", "( is not closed", "close it with )"),
        ("y = x)", ") closes no bracket", "remove"),
        ("y = (x]", "found ], expected ) to close (", ""),
        ("y = [a, b]", "a comma inside [ ]", "stack(a, b)"),
        ("y = [a + b]", "between the members", "group with ( )"),
        ("y = (a, b)", "a comma inside (", "no tuples"),
        ("y = [A 1]", "the number 1 inside [ ]", "𝟏"),
        ("y = [A (~B 1)]", "the number 1 inside [ ]", "𝟏"),
        ("y = ~1", "a bar over a number", "𝟏"),
        ("y = 1_12 b", "1 is a number", "𝟏_12"),
        ("y = 1<3>", "1 is a number", "𝟏⟨N,M⟩"),
        ("y = ~~A", "a bar over a bar", ""),
        ("y = 𝟏_2", "not 1, 2", "𝟏_12"),
        ("y = a · -b", "found -, expected an operand", "(-b)"),
        ("y = a + -b", "found -, expected an operand", "(-b)"),
        ("y = .5 x", "expected an operand", "0.5"),
        ("y = 1_000", "behind a number", "grouped"),
        ("y = |x|", "expected an operand", "abs(x)"),
        ("y = ||x||", "expected an operand", "norm(x)"),
        ("y = a // b", "expected an operand", "#"),
        ("y = f(A_ij | j)", "a bar inside the arguments", "f(("),
        ("y = (A_ij | ii)", "occurs twice right of the bar", ""),
        ("y = X _2", "stands apart", "space"),
        ("y = X ^T", "stands apart", "space"),
        ("y = X[1:3]", ": in an index", "first..last"),
        ("y = A X#1 B", "tag without a portion", "X#1_2"),
        ("y = X#1_ij", "tag without a portion", "X#1_2"),
        ("y = [A B]_21", "behind a fused product", "{[…]}"),
        ("y = x**2_1", "behind an exponent", "(x**2)_1"),
        ("y = x**(2)_1", "behind a power", "(x**2)_1"),
        ("y = where(a, b, c)", "no comparison", "where(condition, a, b)"),
        ("y = where(a = b, b, c)", "= in a condition", "=="),
        ("y = where(a < b, c)", "found 2 arguments", "where(condition, a, b)"),
        ("y = where (a < b, b, c)", "does not touch", "where(condition, a, b)"),
        ("y = a < b", "outside of a condition", "where(condition"),
        ("y = e<i,j", "< is not closed", ">"),
        ("y = sum[i] (A_i)", "a ( that touches", "without a space"),
        ("y = sum[2](A_i)", "expected a label", "sum[i,j]"),
        ("y = δ b", "δ without labels", "δ_ij"),
        ("y = ∇[2](J)", "no name to differentiate by", "∇[W, b](J)"),
        ("y = stop(a, b)", "stop takes one argument", ""),
        ("y = _x", "cannot begin with _", "letters"),
        ('y = "abc"', "a string inside", "import"),
        ("y =", "expected an operand", ""),
        ("y = x = z", "found =", "chains of = stand in derivations"),
        ("y = A_i,j", "found ,", "A_{i1,k}"),
        ("y = x for t in 1..T", "found in, expected =", "for t = 1..T"),
        ("y = x for t = 1..T where c = 3", "found where", "where comes before for"),
        ("y = (a where b = c)", "where inside a bracket", "missing"),
        ("inptu X : N", "unknown statement inptu", "did you mean input"),
        ("jacobain y wrt x", "unknown statement jacobain", "did you mean jacobian"),
        ("input X N", "expected : after X", "input X : N, D"),
        ("input X : N onhot rows", "unknown trait onhot", "onehot"),
        ("input X : N onehot", "expected rows", "onehot rows"),
        ("input w_new : N", "no underscore", "wNew"),
        ("const my_var = 3", "no underscore", "myVar"),
        ("input X, Y : N", "expected : after X", "one argument a statement"),
        ("input x :", "expected sizes", "scalar"),
        ("param W[j] : D", "an index and a range", "for j = 1..L"),
        ("if x > 0:", "if begins no statement", "where(condition, a, b)"),
        ("def f(x) = 3", "def begins no statement", "function f(a)"),
        ("f(x) = 3", "declared with function", "function f(x) = …"),
        ("let x = 3", "let begins no statement", "x = …"),
        ("grad J wrt W", "grad begins no statement", "gradient J wrt W"),
        ("X @ W", "an expression is no statement", "F = …"),
        ("y == 3", "found ==, expected =", "y = …"),
        ("X^T = y", "left side of a definition is a name", "NAME"),
        ("A_12 = y", "positions on the left", "A_ik"),
        ("3 = y", "expected a statement", "NAME = expression"),
        ("= 3", "expected a statement", "derivation"),
        ("exp = 3", "exp is the name of a function", "another name"),
        ("input ones : N", "ones is a reserved word", "another name"),
        ("gradient J by W", "expected wrt", "gradient J wrt W, b"),
        ("gradient J wrt W b", "expected a comma", "commas"),
        ("gradient J wrt W layout rows", "expected a layout", "row"),
        ("dim N M", "a comma between sizes", "dim N, M"),
        ("dim D[3] = 4", "needs a range", "D[0..L]"),
        ("import layers", "expected a file name", '"layers.brk"'),
        ("derivation of J {\n J = a", "is not closed", "}"),
        ("derivation of J wrt W", "expected {", "{ … }"),
        ("derivation of J {\n = a\n}", "no chain stands above", ""),
        ("derivation of J {\n J = a, b = c\n}", "the end of a step", "⟹"),
        ("derivation of J {\n J = a [by magic\n}", "does not end on its line", "close it"),
    ],
)
def test_a_mistake_is_named_with_its_fix(text: str, message: str, help: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_file(Source(text))
    problem = caught.value.diagnostics[0]
    assert message in problem.message
    assert help in problem.help
    assert problem.span is not None
    assert 0 <= problem.span.start <= problem.span.end <= len(text)


def test_all_errors_of_a_file_come_in_one_run() -> None:
    text = (
        "a = x^2\nb = (c\nd = 3\ne2 = 2x\ninput w_a : N\nderivation {\n a = b +\n c = )\n d / e f\n}\ng = h h2\ni = ]\n"
    )
    with pytest.raises(SourceError) as caught:
        parse_file(Source(text))
    rows = [problem.span.source.position(problem.span.start)[0] for problem in caught.value.diagnostics if problem.span]
    assert rows == [1, 2, 4, 5, 8, 9, 12]


def test_many_errors_are_counted() -> None:
    with pytest.raises(SourceError) as caught:
        parse_file(Source("a = x^2\n" * 1000))
    assert caught.value.diagnostics[-1].message == "and 900 more errors"


# ---------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 250 + "a" + ")" * 250,
        "x = " + "f(" * 100000,
        "x = " + "[" * 250 + "a" + "]" * 250,
        "x = a" + "^T" * 250,
        "x = " + "a[" * 250,
        "x = " + "(1 + a ⊙ " * 120 + "b" + ")" * 120,
    ],
)
def test_deep_nesting_is_a_limit_with_its_name(text: str) -> None:
    with pytest.raises(LimitError, match="nest"):
        parse_file(Source(text))


def test_the_nesting_limit_can_be_raised() -> None:
    text = "x = " + "(" * 5000 + "a" + ")" * 5000
    assert s.depth(parse_file(Source(text), nesting=6000).statements[0]) == 5002


def test_long_chains_are_flat() -> None:
    for operator in (" + ", " @ ", " ⊙ ", " "):
        tree = expr(operator.join(["a"] * 20000))
        assert s.depth(tree) == 2 and len(list(s.children(tree))) >= 20000


CHARACTERS = "ab1eXfor where[](){}|,.·⊙+-*/^_~@=<>!#'\"\n\n𝟏ιδ∇⟹⇝⊗\x00é"


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=st.sampled_from(CHARACTERS), max_size=80))
def test_any_text_parses_or_is_an_error(text: str) -> None:
    try:
        tree = parse_file(Source(text))
    except BracketError as error:
        assert error.diagnostics and str(error)
    else:
        assert all(node.span.start <= node.span.end for node in s.walk(tree))


MODEL = """dim N, D ~ 3
input X : N, D  onehot rows
param W[j] : D[j-1], D[j] for j = 1..L
Z[t] = tanh(X[t] @ W + Z[t-1] @ U + 𝟏 b) where q = [a (~b c_1)] for t = 1..T
J = -(1/N) (ln(s^1(A2)) · Y) + (A_{i1,k} B_kj | i1,j) ^{~23}⊙^{31} e⟨i,j⟩ **2
gradient J wrt W, b layout ^12·^3 as g
derivation of J wrt W { # comment
  (eq) dJ = a ⇝ ∇[W](J) [by it]
  ⟹ d[W](J) = where(i >= j, 𝟏⟨N⟩, ones_12)
}
"""


def test_mutated_programs_parse_or_are_errors() -> None:
    draw = random.Random(0)
    for _ in range(2000):
        text = list(MODEL)
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(text))
            what = draw.randrange(4)
            if what == 0:
                del text[at : at + draw.randint(1, 8)]
            elif what == 1:
                text.insert(at, draw.choice(CHARACTERS))
            elif what == 2:
                text[at] = draw.choice(CHARACTERS)
            else:
                text[at:at] = text[draw.randrange(len(text)) :][: draw.randint(1, 20)]
        try:
            parse_file(Source("".join(text)))
        except BracketError as error:
            assert str(error)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "a_ij b + " * 20000,
        "(\n" * 20000,
        "x = (a\n" * 20000,
        "e<1," * 20000,
        "where(e<" * 20000,
        "_{" * 20000,
        '"' * 20001,
        "derivation {\n" + "a [by " * 20000,
        "x\n" + "\n" * 20000 + "where",
        "({[" * 20000,
        "(}" * 20000,
        "x = a" + "\u0301" * 20000,
        "x = A_" + "1" * 20000,
        "x = 1" + "0" * 20000,
        "".join(chr(1 + 7919 * n % 700) for n in range(20000)),
    ],
)
def test_hostile_texts_are_errors(text: str) -> None:
    with pytest.raises(BracketError) as caught:
        parse_file(Source(text))
    assert str(caught.value)
