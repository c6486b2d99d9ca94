"""What is said about mistakes inside expressions, word for word: each with its fix, where there is one."""

from __future__ import annotations

import numpy as np
import pytest

import bracketc as bc

HEAD = """dim N, M, K, T
param x : N
param y : M
param A : N, M
param B : N, N
param s : scalar
input c : K  integer in N
input Q : T, N
"""

SAID: tuple[tuple[str, str, str | None], ...] = (
    ("J = ((sum[x](x_i) | i) | )", "label x of sum[…] does not occur in it", "it would have no size"),
    (
        "J = (softmax[i=1..3](x_i) | i)",
        "i is the variable of a range here, and no label",
        "an index in square brackets takes the number: A[i,j]",
    ),
    ("J = (((x_i) ** (x_i)) | i)", "labels in an exponent", "write pow(x_i, p_i)"),
    ("J = (x_i**A | i)", "an exponent is a scalar, found a matrix", ""),
    ("J = (x_i**y | i)", "an exponent is a scalar, found a vector", ""),
    ("J = (tanh^1(A)_ij | ij)", "tanh^1(…): tanh works element by element and is not mapped", "a power is tanh(…)**1"),
    (
        "function f(a : 1) = a\nJ = (f(x_i) | i)",
        "labels inside the argument of f, which is no element-wise function",
        "label the result: f(A)_ij",
    ),
    (
        "J = (inv(B_ij) | ij)",
        "labels inside the argument of inv, which is no element-wise function",
        "label the result: inv(A)_ij",
    ),
    ("J = (N(x_i) | i)", "N is no function", "a product needs a space: N (…)"),
    ("J = (x(x_i) | i)", "x is no function", "a product needs a space: x (…)"),
    (
        "J = (softmax(x_i) | i)",
        "labels inside the argument of softmax, which is no element-wise function",
        "write softmax[i](…), or label the result: softmax^1(A)_ij",
    ),
    ("J = ((sum[j](j x_i) ) | i)", "label j of sum[…] does not occur in it", "it would have no size"),
    (
        "Z[1] = x\nZ[2] = x\nJ = ((prod[l=1..2](Z[l]_i)) | i)",
        "not supported yet: prod over the members of a family inside a bracket",
        "",
    ),
    (
        "J = (A_ij ·^1 x_j | i)",
        "a position list on one side only",
        "both operands have a list: A ^2·^1 B; or count the dimensions: A ·_1 B",
    ),
    ("J = (δ_i | i)", "δ needs two labels or more", "write δ_ij"),
    (
        "J = (A[1]_ij | ij)",
        "2 labels for A[1], which is a vector",
        "one label for each dimension; a long label needs braces: A[1]_{i1,j}",
    ),
    ("J = (A[k,1]_i | i)", "labels behind an operand that has labels", "close the inner part: ((… | ij))_ij"),
    ("J = (Q[1..2]_i | i)", "1 label for Q[1..2], which is a matrix", ""),
    ("J = (Q[0]_i | i)", "index 0 is not in 1..T", "indices in the source count from 1"),
    ("J = x[N+1]", "index N + 1 is not in 1..N", "indices in the source count from 1"),
    ("J = x[3..1]", "a slice from 3 to 1", "the end may not lie before the start"),
    (
        "J = x[s]",
        "s is declared, and no whole number",
        "an index or a size is made of sizes and numbers, a label is a letter that nothing else has; a fusion needs a space before its [",  # noqa: E501
    ),
    ("J = x[1.5]", "expected a whole number, found 1.5", "sizes and indices use names, numbers, + - and products"),
    (
        "J = A[c, c]",
        "two integer tensors in one index: c and c",
        "labels say which entries belong together: (E[i[b], j[b]] | b), or (E[i[b], j[c]] | bc)",
    ),
    ("J = x[f]", "unknown name f in an index", "a label belongs inside an index bracket: (… | …), sum[…](…), or left of ="),
    ("L = 3\nJ = eye(N, M)", "eye takes one size", "write eye(N)"),
    ("J = range(N, M)", "range takes one size", "write range(N)"),
    ("J = inv(x, y)", "inv takes 1 argument, found 2", ""),
    ("function f(a, b) = a + b\nJ = f(x)", "f takes 2 arguments, found 1", ""),
    (
        "function f(a : 0) = a\nJ = f(x)",
        "argument a of f is a scalar, found a vector: x",
        "map it over the leading dimensions: f^1(x)",
    ),
    (
        "function f(a : 2) = a\nJ = f(x)",
        "argument a of f is a matrix, found a vector: x",
        "the rank of an argument is given as in `function f(a : 2) = …`; without it, it is a vector",
    ),
    ("J = softmax(A)", "softmax takes a vector, found a matrix: A", "map it over the rows: softmax^1(A)"),
    ("J = softmax[i=1..2](x)", "not supported yet: softmax over a range", "softmax[j](…) takes a label"),
    ("J = where(x > 0, A, x)", "where(…) of a vector and a matrix", "condition and branches have one shape, or are scalars"),
    (
        "J = where(x, x, x)",
        "the condition of where is no comparison",
        "write where(condition, a, b) with a comparison such as i >= j as its condition",
    ),
    ("J = e<N+1>", "nothing determines the size of e⟨…⟩", "let it meet a tensor of known size"),
    ("J = sum[t=1..T](e<t> · e<t>)", "not supported yet: a one-hot tensor at the variable of a range", ""),
    ("param e : N\nJ = e<1>", "e is declared, so this is no one-hot tensor", "a comparison needs spaces around < and >"),
    ("J = sum[l=1..2](Z[l])\nZ[1] = x\nZ[2] = A", "a sum of a vector and a matrix over l", ""),
    ("Z[1] = x\nZ[2] = A\nJ = sum[l=1..3](Z[l])", "no member Z[3]", "Z has the members 1..2"),
    ("J = norm2(x)\ngradient J wrt x[1]", "not supported yet: a derivative with respect to a part of a tensor", ""),
    ("J = norm2(x)\ngradient J[1] wrt x", "gradient of a part of J", "give it a name: F = J[1]"),
    ("Z[1] = x\nJ = norm2(Z[1])\ngradient J wrt Z[3]", "no member Z[3]", "the members of Z are 1..1"),
    ("J = norm2(x)\nG = ∇[c](J)", "c holds integers, and has no derivative", ""),
    ("J = norm2(x)\nG = ∇[N](J)", "N is a whole number, and has no derivative", ""),
    ("J = norm2(x)\nG = ∇[x[1]](J)", "not supported yet: the derivative by a part of a tensor", "take the part of ∇[x](…)"),
    ("Z[1] = x\nJ = norm2(Z[1])\nG = ∇[Z](J)", "no single member of Z: Z", "write Z[1]"),
    ("Z[1] = x\nJ = norm2(Z[1])\nG = ∇[Z[4]](J)", "no single member of Z: Z[4]", "write Z[1]"),
    ("function f(a) = a\nJ = norm2(x)\nG = ∇[f](J)", "f is no tensor to differentiate by", ""),
    ("J = sum[t=1..T]", "found the end of the statement, expected a ( that touches the ]", "write sum[i](…) without a space"),
    ("J = (x_{i+1} y_i | i)", "i+1 is no label", "a label is a name: i, i1, row"),
)
"""Source, message and help of the first mistake."""


@pytest.mark.parametrize(("source", "message", "help"), SAID, ids=[source.replace("\n", "; ") for source, _, _ in SAID])
def test_the_mistake_and_its_fix_are_told(source: str, message: str, help: str | None) -> None:
    with pytest.raises(bc.SourceError) as caught:
        bc.parse(HEAD + source + "\n")
    first = caught.value.diagnostics[0]
    assert (first.message, first.help) == (message, help)
    assert first.span is not None and first.span.text in source


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("Z[1] = x\nZ[2] = 2 x\nJ = ((sum[l=1..2](Z[l]_i)) | i)", [3.0, 6.0, 9.0]),
        ("Z[1] = x\nZ[2] = 2 x\nJ = ((mean[l=1..2](Z[l]_i)) | i)", [1.5, 3.0, 4.5]),
        ("Z[1] = x\nZ[2] = 2 x\nJ = ((sum[l=1..2](l Z[l]_i x_i)) | i)", [5.0, 20.0, 45.0]),
        ("J = (x_i**s | i)", [1.0, 4.0, 9.0]),
        ("J = (Q[T-N+1]_i | i)", [1.0, 2.0, 3.0]),
        ("J = A[1, c]", [3.0, 2.0]),
    ],
)
def test_what_is_allowed_there(source: str, wanted: list[float]) -> None:
    given = {
        "x": np.arange(1.0, 4.0), "y": np.zeros(4), "A": np.array([[1.0, 2, 3, 4]] * 3)[:, [0, 1, 2, 3]], "B": np.eye(3),
        "s": 2.0, "c": np.array([2, 1]), "Q": np.array([[0.0] * 3, [0.0] * 3, [1.0, 2, 3], [0.0] * 3, [0.0] * 3]),
    }  # fmt: skip
    head = HEAD.replace("integer in N", "integer in M")
    module = bc.compile(bc.parse(head + source + "\noutput J\n"), backend="numpy")
    found = module.evaluate(**{name: array for name, array in given.items() if name in module.evaluate.__code__.co_varnames})
    np.testing.assert_allclose(found.J if hasattr(found, "J") else found, wanted)
