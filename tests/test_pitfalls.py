"""Mistakes that everybody makes once: each is told what was found, where, and what to write instead."""

from __future__ import annotations

import re

import numpy as np
import pytest

import bracketc as bc

HEAD = """
dim N, M, K
input A : N, M
input B : M, K
input C : N, M
input S : N, N
input T : 2, 3, 2
input u : N
input v : M
param x : N
param w : M
param lam : scalar
"""


def error(statement: str) -> str:
    """The message for one more statement."""
    with pytest.raises(bc.BracketError) as caught:
        bc.parse(f"{HEAD}{statement}\n", "model.brk")
    return str(caught.value)


def fails(statement: str, place: str, *parts: str) -> None:
    """The statement fails with ``parts`` in the message, and ``place`` is what is underlined first."""
    text = error(statement)
    for part in parts:
        assert part in text, f"{part!r} is not in\n{text}"
    shown, marks = text.splitlines()[1:3]
    start, end = marks.index("^"), marks.rindex("^") + 1
    assert shown[start:end] == place, text
    assert text.startswith(f"model.brk:{HEAD.count(chr(10)) + 1}:"), text


INDEX_BRACKETS = [
    ("F = (A_ij B_jk | il)", "l", "label l stands only right of the bar", "where l gets its size"),
    ("F = (A_ij | ii)", "i", "label i occurs twice right of the bar", "every dimension once"),
    ("F = A_ij", "A_ij", "labels outside an index bracket: A_ij", "write (A_ij | ij), or (A_ij | ) for the sum"),
    ("F = (x_i - u_i)**2", "x_i - u_i", "labels outside an index bracket: x_i, u_i", "write ((x_i - u_i)**2 | i)"),
    ("F = (A_ij v_j)", "A_ij v_j", "labels outside an index bracket: A_ij, v_j", "write (A_ij v_j | ij)"),
    ("F = (exp(A_ij v_j) | )", "A_ij", "the sum over label i has two readings", "sum[i](…) inside exp"),
    ("F = A_i1", "_i1", "letters and digits run together in the subscript i1", "one long label is _{i1}"),
    ("F = δ_ij", "δ_ij", "δ outside an index bracket", "const I = eye(N)"),
    ("F = (δ_ij | ij)", "δ_ij", "nothing determines the size of δ"),
    ("F = (A_{2.} | )", "_{2.}", "neither labels nor positions", "A[2,·]"),
    ("F = Σ_i x_i", "Σ_i", "Σ is no operator", "sum[i](…)"),
    ("F = sum_i x_i", "sum", "sum is a function and has no arguments here", "sum[i](…)"),
    ("F = sum[q](A_ij)", "q", "label q of sum[…] does not occur in it"),
    ("F[s,q] = x[s+q-1] for s = 1..4", "s+q-1", "the size of s+q-1 changes with the variable of its range", "u = 1..k"),
    ("F = (A_ij B_jk, | ik)", ",", "a comma inside ("),
]

PORTIONS = [
    ("F = A_1 B_12", "A_1", "a portion of A is missing: position 2 is not used", "write A_2 too"),
    ("F = A_1 A_1 A_2", "A_1", "position 1 of A is used twice: which portions belong to one A?", "A#1_1 and A#2_1"),
    ("F = [~A_1 x] A_2 [~A_1 x] A_2", "A_1", "position 1 of A is used twice", "mark the occurrences", "A#1_1 and A#2_1"),
    ("F = A#1_1 A#2_2", "A#1_1", "a portion of A#1 is missing: position 2 is not used", "A#1_2 too"),
    ("F = A#1_1 A#1_1 A#1_2", "A#1_1", "position 1 of A#1 is used twice", "each position of an instance stands once"),
    ("F = A#1", "#1", "an instance tag without a portion", "X#1_2"),
    ("F = stop(A_1) A_2", "A_1", "a portion of stop(A) is missing: position 2 is not used", "stop(A_2) too"),
    ("F = A_2 1", "A_2", "a portion of A is missing", "positions of one portion stand together: A_21"),
    ("F = A_1 ⊗ A_2", "A_1", "a portion of A is missing", "⊗ takes whole tensors"),
    ("F = A_12_1", "A_12_1", "a portion of A_12 is missing", "name it with `where` to cut it"),
    ("F = {A @ B}_3", "3", "position 3 of {A @ B}, which is a matrix", "positions are 1 to 2"),
    ("F = A_{10}", "0", "position 0 in a position list", "ten and more need commas: {10,} or {10,3}"),
    ("F = A_11", "1", "position 1 occurs twice in one list"),
    ("F = A_𝟏", "𝟏", "𝟏 is a tensor of ones, no position", "a position is a digit: A_1"),
]

FUSIONS = [
    ("F = [A u]", "[A u]", "different numbers of dimensions: A has 2, u has 1", "group members with ( )"),
    ("F = [A_1 C]", "[A_1 C]", "different numbers of dimensions: A_1 has 1, C has 2"),
    ("F = ~x [A C (w)]", "[A C (w)]", "A has 2, C has 2, (w) has 1", "a barred member of a group keeps its place"),
    ("F = [A S]", "S", "the fused dimension has two sizes: M in A, N in S"),
    ("F = [A, C]", ",", "a comma inside [ ]", "the members of [ ] stand side by side"),
    ("F = [A 1]", "1", "the number 1 inside [ ]", "𝟏"),
    ("F = A[B]", "B", "B is declared, and no whole number", "a fusion needs a space before its ["),
    ("F = [ A C", "[", "[ is not closed", "close it with ]"),
]

OPERATORS = [
    ("F = A ^2·^1 B ^1·^1 C", "A ^2·^1 B ^1·^1 C", "does not associate", "(A ^2·^1 B) ^1·^1 C or A ^2·^1 (B ^1·^1 C)"),
    ("F = A ·_1 v ·_1 B", "A ·_1 v ·_1 B", "(A ·_1 v) ·_1 B and A ·_1 (v ·_1 B) differ", "write the parentheses"),
    ("F = A · C · S", "A · C · S", "does not associate", "(A · C) · S or A · (C · S)"),
    ("F = A ^12·^1 B", "^12·^1", "2 positions on the left, 1 on the right"),
    ("F = A ^11⊙^12 B", "1", "position 1 occurs twice in one list"),
    ("F = A ^3·^1 B", "^3·^1", "position 3 of A, which is a matrix", "positions of A are 1 to 2"),
    ("F = A ^{10}·^1 B", "0", "position 0 in a position list", "ten and more need commas: {10,} or {10,3}"),
    ("F = A ⊙_3 C", "A", "⊙_3 needs 3 dimensions of A, which is a matrix"),
    ("F = x / lam x", "lam x", "lam x right of / is read in two ways", "write (x/lam) x or x/(lam x)"),
    ("F = 1/N x", "N x", "read in two ways", "write (1/N) x or 1/(N x)"),
    ("F = x a**b**c", "**", "a power of a power is read in two ways"),
    ("F = x - -x", "-", "found -, expected an operand", "a minus inside an expression needs parentheses"),
    ("F = x + lam", "lam", "a sum of a vector and a scalar", "⊕ or ⊖, or spread by ones: lam 𝟏"),
    ("F = A B + C", "C", "a tensor of rank 4 and a matrix", "a space is the formal product; the matrix product is `@`"),
]

ORIENTATION = [
    ("F = x^T · u", "x^T · u", "x^T is a matrix, u is a vector", "x^T is a row; `·` takes columns: write x without ^T"),
    ("F = x^T + u", "u", "a sum of a row and a column: x^T and u", "write both with ^T, or none"),
    ("F = A + x", "x", "a sum of a matrix and a vector", "a vector is added to every row as 𝟏 x or x^T"),
    ("F = A @ v^T", "v^T", "a row stands right of @, where a column belongs: v^T", "v^T is a row; write v"),
    ("F = x @ S", "x", "a column stands left of a matrix: x", "a row belongs here: x^T @ S"),
    ("F = x @ u", "x @ u", "a column times a column", "x · u or x^T @ u, the outer one x @ u^T"),
    ("F = A · v", "A · v", "· needs operands of equal rank: A is a matrix, v is a vector", "the matrix product is `@`"),
    ("F = A.T", "A.T", ". needs operands of equal rank"),
    ("F = T^T", "T^T", "^T of a tensor of rank 3", "dimensions are reordered by positions: X_321"),
    ("F = softmax(A)", "A", "softmax takes a vector, found a matrix", "map it over the rows: softmax^1(A)"),
]

ONES = [
    ("F = 𝟏", "𝟏", "nothing determines the size of ones", "𝟏⟨N⟩ (ones<N>)"),
    ("F = ones · ones", "ones", "nothing determines the size of ones", "𝟏⟨N⟩ (ones<N>)"),
    ("F = 1^T @ x", "1^T", "1 is a number", "the tensor of ones is 𝟏 (ones)"),
    ("F = A @ 1", "1", "@ with the number 1", "a vector of ones is 𝟏 (ones)"),
    ("F = x · 1", "x · 1", "1 is a scalar", "a vector of ones is 𝟏 (ones)"),
    ("F = A + 1 v", "1 v", "a sum of a matrix and a vector", "a vector of ones is 𝟏 (ones)"),
    ("F = 1<N> · x", "1", "1 is a number", "𝟏"),
]

POWERS = [
    ("F = x^2", "^2", "^ is no power", "a power is **: x**2"),
    ("F = sin^2(x)", "^2", "sin works element by element and is not mapped", "a power is sin(…)**2"),
    ("F = tanh^2(A)", "^2", "tanh works element by element", "a power is tanh(…)**2"),
    ("F = sin**2(x)", "sin", "sin is a function and has no arguments here", "sin(x)**2"),
    ("F = S^{-1}", "^{-1}", "^ takes a position list", "the inverse is inv(X)"),
    ("F = S^-1", "^", "^ is no power", "the inverse is inv(X)"),
    ("F = S^{-T}", "^{-T}", "^ takes a position list", "the transposed inverse is inv(X)^T"),
    ("F = S^t", "^", "^ is no power", "the transpose is ^T"),
    ("F = e^x", "^", "^ is no power", "the exponential function is exp(x)"),
    ("F = e**x", "e", "unknown name e", "the exponential function is exp(x)"),
]

CLASSIC = [
    ("F = 1e400 x", "1e400", "a number that no float can hold"),
    ("F = 2x", "2x", "a number and letters run together", "a product needs a space: 2 x"),
    ("F = lam(x · x)", "lam(x · x)", "lam is no function, and its parenthesis touches it", "lam (x · x)"),
    ("F = S'", "S'", "unknown name S'", "the transpose of S is S^T"),
    ("F = |S|", "|", "found |, expected an operand", "a determinant det(X)"),
    ("F = ||x||", "|", "found |, expected an operand", "a norm is norm(x)"),
    ("F = log(x)", "log", "unknown function log", "the natural logarithm is ln"),
    ("F = ∇_x(lam)", "_x", "expected [", "write ∇[x](…)"),
    ("F = dx", "dx", "the differential of x, stands outside a derivation", "derivation"),
    ("F = w⟨1⟩", "⟨", "⟨ without 𝟏 or e before it", "a member of a family is w[1]"),
    ("x_new = u", "x", "x is declared twice", "a name has no underscore, which starts a subscript: xNew"),
    ("F = Sx", "Sx", "unknown name Sx", "a product needs a space: S x"),
    ("F = A.T @ B", "T", "@ multiplies matrices and vectors, and T is a tensor of rank 3"),
    ("F = I - S", "I", "unknown name I", "const I = eye(N)"),
    ("F = A[0,1]", "0", "index 0 is not in 1..N", "indices in the source count from 1"),
    ("F = A[1][2]", "[", "[ ] touches the index before it", "two indices stand in one bracket: A[1,2]"),
    ("F = x +", "", "found the end of the statement, expected an operand", "a statement goes on behind +"),
    ("F = exp(S)[1,2]", ",", "a comma inside [ ]", "(…)![i, j]"),
    ("F_i = x[M i]", "M i", "a sum of labels times fixed numbers", "bind the step: dim M = 2"),
    ("F[i] = x[2 i]", "2 i", "how far i runs depends on the rest of", "give a range: for i = 1..n"),
]

CHARACTERS = [
    ("F = Ａ", "'Ａ' (FULLWIDTH LATIN CAPITAL LETTER A, U+FF21) only looks like A", "write A"),
    ("F = A_１", "'１' (FULLWIDTH DIGIT ONE, U+FF11) only looks like 1", "write 1"),
    ("F = x ∙ u", "'∙' (BULLET OPERATOR, U+2219) only looks like ·", "write ·"),
    ("F = x − u", "'−' (MINUS SIGN, U+2212) only looks like -", "write -"),
    ("F = А", "CYRILLIC CAPITAL LETTER A", "only looks like A", "write the Latin letter A"),
    ("F = x × u", "'×' (MULTIPLICATION SIGN, U+00D7) is not part of the language", "the matrix product is @"),
    ("F = ½ lam", "'½' (VULGAR FRACTION ONE HALF, U+00BD)", "write 0.5 or (1/2)"),
    ("F = [A̅_1 x]", "combining mark (COMBINING OVERLINE, U+0305)", "a bar (sum) is typed ~ before what it covers: ~A_2"),
    ("F = x̄", "combining mark (COMBINING MACRON, U+0304)", "a bar (sum) is typed ~ before what it covers"),
    ("F = x\u200b + u", "ZERO WIDTH SPACE", "U+200B"),
]

ALL = [*INDEX_BRACKETS, *PORTIONS, *FUSIONS, *OPERATORS, *ORIENTATION, *ONES, *POWERS, *CLASSIC]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case[0])
def test_a_pitfall_is_told_with_its_place_and_its_fix(case: tuple[str, ...]) -> None:
    fails(*case)


def test_a_space_in_the_definition_of_a_name_is_remembered() -> None:
    text = error("P = S x\nF = P · x")
    assert "P is a tensor of rank 3, x is a vector" in text and "P = S x: a space is the formal product" in text


def test_the_nearest_name_is_no_product_where_none_can_stand() -> None:
    assert "did you mean x?" in error("J = x · x\ngradient J wrt xx")


@pytest.mark.parametrize("case", CHARACTERS, ids=lambda case: case[1])
def test_a_character_from_elsewhere_is_named(case: tuple[str, ...]) -> None:
    statement, *parts = case
    text = error(statement)
    assert all(part in text for part in parts), text


@pytest.mark.parametrize("statement", [case[0] for case in ALL])
def test_every_message_underlines_the_source(statement: str) -> None:
    lines = error(statement).splitlines()
    assert re.fullmatch(r"model\.brk:\d+:\d+: error: .+", lines[0])
    assert lines[1].endswith(statement)
    assert re.fullmatch(r" +\| +\^+", lines[2])


def test_all_mistakes_of_a_file_are_told_in_one_run() -> None:
    with pytest.raises(bc.BracketError) as caught:
        bc.parse("input x : N\nF = x^2\nG = y + 1\nH = (x_i | k)\ndim N")
    messages = [diagnostic.message for diagnostic in caught.value.diagnostics]
    assert len(messages) == 3
    assert messages[:2] == ["^ is no power", "unknown name y"] and "label k" in messages[2]


def _value(expression: str, **arrays: np.ndarray) -> np.ndarray:
    head = "\n".join(f"input {name} : {', '.join(map(str, a.shape)) or 'scalar'}" for name, a in arrays.items())
    return np.asarray(bc.compile(f"{head}\nF = {expression}", backend="numpy").evaluate(**arrays).F)


def test_what_looks_alike_means_what_the_notation_says() -> None:
    """Pitfalls that are no mistakes: the other reading is as good, so that only the value can tell."""
    rng = np.random.default_rng(0)
    X, T, x = rng.standard_normal((3, 3)), rng.standard_normal((2, 3, 4)), rng.standard_normal(3)
    np.testing.assert_allclose(_value("T_312", T=T), T.transpose(2, 0, 1))  # position t of the result is p_t of T
    np.testing.assert_allclose(_value("X_{[12]}", X=X), np.diag(X))
    np.testing.assert_allclose(_value("(X_ii | i)", X=X), np.diag(X))
    np.testing.assert_allclose(_value("(X_ij x_i | j)", X=X, x=x), X.T @ x)
    np.testing.assert_allclose(_value("(X_ij | i)", X=X), X.sum(1))  # a label that occurs once is summed, too
    np.testing.assert_allclose(_value("X**-1", X=X), 1 / X)  # of every entry
    np.testing.assert_allclose(_value("det^1(T)", T=rng.standard_normal((2, 3, 3)) * 0 + np.eye(3)), np.ones(2))
    np.testing.assert_allclose(_value("1 ⊘ X", X=X), 1 / X)  # the numeral
    np.testing.assert_allclose(_value("x ⊖ lam", x=x, lam=np.array(2.0)), x - 2)
    np.testing.assert_allclose(_value("X + x^T", X=X, x=x), X + x)
    np.testing.assert_allclose(_value("X x", X=X, x=x), np.multiply.outer(X, x))  # a space is the formal product
    np.testing.assert_allclose(_value("x^T @ x", x=x), x @ x)
    np.testing.assert_allclose(_value("X · X ⊙ X", X=X), np.sum(X**3))  # ⊙ binds tighter than ·
    np.testing.assert_allclose(_value("2.x", **{"x": np.array(1.5)}), 3.0)  # no number ends in a dot
