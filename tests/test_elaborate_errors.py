"""Every semantic mistake has a message that says what was found, what was expected, and how to mend it."""

from __future__ import annotations

import pytest
from elaborated import HEAD, program

from bracketc.errors import LimitError, SourceError, UnsupportedError

CASES: dict[str, tuple[str, str, str]] = {
    # text: the place underlined, words of the message, words of the help
    "F = lamm x": ("lamm", "unknown name lamm", "did you mean lam?"),
    "F = Ax": ("Ax", "unknown name Ax", "A x"),
    "F = A'": ("A'", "unknown name A'", "A^T"),
    "F = log(x)": ("log", "unknown function log", "ln"),
    "F = eig(S)": ("eig", "unknown function eig", "not part of the language"),
    "F = lam(x · x)": ("lam(x · x)", "touches it like a call", "lam (x · x)"),
    "F = (A_ij B_jk | ikm)": ("m", "label m stands only right of the bar", "body"),
    "F_ikm = A_ij B_jk": ("m", "label m stands only left of =", "body"),
    "F = (A_ij B_ik | jk)": ("B_ik", "label i has two sizes: I in A_ij, J in B_ik", "one name"),
    "F_i = tanh(A_ij)": ("A_ij", "the sum over label j has two readings", "sum[j](…) inside tanh"),
    "F_i = (A_ij - y_i)**2": ("A_ij", "two readings", "sum[j]"),
    "F_i = A_ij x_j / sqrt(x_j x_j)": ("sqrt(x_j x_j)", "summed over a product, and again", "label of its own"),
    "F = (max(x_j, z_j) | )": ("max(x_j, z_j)", "shared by two arguments", "sum[j]"),
    "F_ij = A_ij x": ("x", "x is a vector and has no labels here", "x_i"),
    "F_i = A_i": ("A_i", "1 label for A, which is a matrix", ""),
    "F_ii = S_ii": ("i", "label i stands twice", "delta"),
    "F = A_ij": ("A_ij", "labels outside an index bracket", "(A_ij | ij)"),
    "F = A[i,2]": ("i", "unknown name i in an index", "label"),
    "F_i = softmax(A_ij)": ("softmax(A_ij)", "no element-wise function", "softmax["),
    "F_i = (A @ B_ij)": ("A @ B_ij", "labels inside @", "close it first"),
    "F = (sum[t=1..I](y[t] A_tj) | j)": ("t", "t is the variable of a range here, and no label", "A[t,j]"),
    "F = sum[k](x_j)": ("k", "label k of sum[…] does not occur", ""),
    "F_ij = A_ij for i = 1..K": ("A_ij", "label i has two sizes", ""),
    "F = A @ A": ("A @ A", "the inner dimension of @ has two sizes: J in A, I in A", "one name"),
    "F = x @ A": ("x", "a column stands left of a matrix", "x^T @ A"),
    "F = x @ z": ("x @ z", "a column times a column", "x · z"),
    "F = x^T · z": ("x^T · z", "equal rank", "x^T is a row"),
    "F = A · x": ("A · x", "equal rank", "`@`"),
    "F = A + x": ("x", "a sum of a matrix and a vector", "𝟏 x or x^T"),
    "F = A + 1": ("1", "a sum of a matrix and a scalar", "⊕"),
    "F = A @ x + 1 lam": ("1 lam", "a sum of a vector and a scalar", "𝟏 (ones)"),
    "F = A x + y": ("y", "a sum of a tensor of rank 3 and a vector", "the matrix product is `@`"),
    "F = [A x]": ("[A x]", "different numbers of dimensions: A has 2, x has 1", "group"),
    "F = x / A": ("x / A", "equal rank or a scalar", "index bracket"),
    "F = A_1 x": ("A_1", "a portion of A is missing: position 2 is not used", "A_2"),
    "F = [S_1 S_1] S_2 S_2": ("S_1", "position 1 of S is used twice", "S#1_1"),
    "F = A_13": ("3", "position 3 of A, which is a matrix", "1 to 2"),
    "F = A ·_1 x ·_1 y": ("A ·_1 x ·_1 y", "(A ·_1 x) ·_1 y and A ·_1 (x ·_1 y)", "parentheses"),
    "F = A ·_3 B": ("A", "needs 3 dimensions of A", ""),
    "F = softmax(A)": ("A", "softmax takes a vector, found a matrix", "softmax^1(A)"),
    "F = softmax^3(A)": ("3", "position 3 of the argument of softmax", "1 to 2"),
    "function s(a) = softmax(a)\nF = s(A)": ("A", "argument a of s is a vector, found a matrix", "s^1(A)"),
    "function s(a) = softmax(a)\nF = s'(x)": ("s'(x)", "function of tensors", "∇s"),
    "function s(a) = softmax(a)\nF = s(x, x)": ("s(x, x)", "s takes 1 arguments, found 2", ""),
    "function s(a) = a + q\nF = x": ("q", "unknown name q", ""),
    "F = exp(x, x)": ("exp(x, x)", "exp takes 1 argument, found 2", ""),
    "F = norm2(x, x)": ("norm2(x, x)", "norm2 takes 1 argument, found 2", ""),
    "F = det(A)": ("A", "the matrix of det has two sizes: I in A, J in A", ""),
    "F = x**z": ("z", "an exponent is a scalar, found a vector", "pow"),
    "F = 𝟏": ("𝟏", "nothing determines the size of ones", "𝟏⟨N⟩"),
    "F = e⟨1⟩": ("e⟨1⟩", "nothing determines the size of e⟨…⟩", ""),
    "F = x[0]": ("0", "index 0 is not in 1..J", "count from 1"),
    "F = x[J+1]": ("J+1", "index J + 1 is not in 1..J", ""),
    "F = A[1,2,3]": ("A[1,2,3]", "3 indices for a matrix", ""),
    "F = G\nG = F": ("F", "circular definition of F: F, G need one another", ""),
    "F = F + x": ("F", "circular definition of F", ""),
    "function f(a) = f(a)\nF = x": ("f", "circular definition of f", ""),
    "F = x\nF = z": ("F", "F is defined twice", "another name"),
    "A = x": ("A", "A is declared twice", "another name"),
    "exp = x": ("exp", "exp is the name of a function", "another name"),
    "F = x · x\ngradient G wrt x": ("G", "gradient of G, which nothing defines", ""),
    "F = x · x\ngradient F wrt w": ("w", "unknown name w", ""),
    "F = x\ngradient F wrt x": ("F", "gradient of F, which is a vector", "jacobian F wrt x"),
    "Loss = x · x\noutput Los": ("Los", "output of Los, which nothing defines", "did you mean Loss?"),
    "F = x · x\ngradient F wrt x\ngradient F wrt z": ("gradient F wrt z", "a second gradient request", "as"),
    "Z[t] = Z[t-1] + x for t = 1..K\nF = Z": ("Z[t]", "needs the start value Z[0]", "Z[0] = …"),
    "Z[0] = x\nZ[t] = Z[t-1] + Z[t+1] for t = 1..K": ("Z[t+1]", "steps before and after", "one direction"),
    "P[t] = Q[t] for t = 1..K\nQ[t] = P[t] for t = 1..K": ("P[t]", "circular definition of P[t]", "earlier"),
    "dim L = 2\nparam W[j] : J for j = 1..L\nF = W[3]": ("3", "no member W[3]", "1..2"),
    "dim L = 2\nparam W[j] : J for j = 1..L\nF = W": ("W", "W is a family", "W[1]"),
    "param W[j] : J for j = 1..K\nF = x": ("K", "no fixed number", "dim L = 3"),
    "param V : I, J symmetric\nF = x": ("symmetric", "square matrices", ""),
    "param V : Q\nF = x": ("Q", "unknown name Q", ""),
    "F = dX": ("dX", "unknown name dX", ""),
    "F = dx": ("dx", "dx, the differential of x, stands outside a derivation", "derivation"),
    "F = d(x)": ("d(x)", "stands outside a derivation", "derivation"),
    "F = d[x](x · x)": ("d[x](x · x)", "stands outside a derivation", "derivation"),
    "F = ∇[x,z](x · z)": ("∇[x,z](x · z)", "no single tensor", "∇[x](…)"),
}


@pytest.mark.parametrize("text", CASES)
def test_message(text: str) -> None:
    place, message, help = CASES[text]
    with pytest.raises(SourceError) as caught:
        program(text)
    first = next((d for d in caught.value.diagnostics if message in d.message), None)
    assert first is not None, str(caught.value)
    assert first.span is not None and first.span.text == place
    assert help in first.help


UNSUPPORTED = {
    "F = x · x\nhessian F wrt x as derived": "hessian F wrt x as derived",
}


@pytest.mark.parametrize("text", UNSUPPORTED)
def test_not_supported_yet(text: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        program(text)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message.startswith("not supported yet: ")
    assert diagnostic.span is not None and diagnostic.span.text == UNSUPPORTED[text]


def test_all_mistakes_of_a_file_are_found_and_each_once() -> None:
    text = """P = A @ BB + CC
Q = P @ x
R = x @ A
S2 = Q + R
function f(a) = a + dd
F = f(x) + f(z)
"""
    with pytest.raises(SourceError) as caught:
        program(text)
    found = [(d.span.text, d.message) for d in caught.value.diagnostics if d.span is not None]
    assert [place for place, _ in found] == ["BB", "CC", "x", "dd"]
    assert str(caught.value).count("error:") == 4


def test_a_mistake_of_another_kind_is_no_unsupported_error() -> None:
    with pytest.raises(SourceError) as caught:
        program("F = dx + q")
    assert not isinstance(caught.value, UnsupportedError)
    assert len(caught.value.diagnostics) == 2


def test_an_empty_file_defines_nothing() -> None:
    with pytest.raises(SourceError, match="defines nothing"):
        program("", HEAD)


def test_functions_that_call_functions_have_a_limit() -> None:
    lines = ["function f0(a) = exp(a)", *(f"function f{k + 1}(a) = 1 + f{k}(a)" for k in range(300)), "F = f300(x)"]
    with pytest.raises(LimitError, match="deep"):
        program("\n".join(lines))


def test_ranges_over_families_have_a_limit() -> None:
    with pytest.raises(LimitError, match="a family of more than 10,000 members"):
        program("dim D[0..1] = 2, 3\nF = sum[k=1..99999999](D[k])")
