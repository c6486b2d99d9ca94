"""What random programs are made of: patterns of the language with the types of their parts.

    ("ab", "{} @ {}", "ac", "cb")      a matrix product: sizes a, b are those asked for, c is any

A letter is a size, the same one in a row; ``T`` is the length of a recurrence (at least 1), ``t`` is ``T-1``, a digit is itself.
``!`` stands before a part that must be a bare name, ``#a<b`` is an ``integer in b`` argument. ``$a`` in a pattern is the size.
"""

from __future__ import annotations

Row = tuple[str, ...]
"""The type that is made, the pattern, and a type for each place of it."""

SMOOTH = (
    "tanh({})", "sin({})", "cos({})", "exp(0.3 {})", "sigmoid({})", "softplus({})", "atan({})", "erf({})", "gelu({})",
    "ln(1.5 ⊕ {0} ⊙ {0})", "sqrt(1 ⊕ {0} ⊙ {0})", "{}**2", "f({})", "g({})", "f'({})", "log1p({0} ⊙ {0})", "expm1(0.2 {})",
    "sinh(0.3 {})", "atan(2 {})", "stop({})", "cosh(0.3 {})", "log10(2 ⊕ {0} ⊙ {0})", "asin(0.7 sin({}))", "acos(0.7 cos({}))",
    "tan(0.5 tanh({}))", "lgamma(1.2 ⊕ {0} ⊙ {0})", "digamma(1.2 ⊕ {0} ⊙ {0})", "0.3 {}**3",
    "trigamma(1.2 ⊕ stop({0}) ⊙ stop({0}))", "(2 ⊕ {0} ⊙ {0})**-1", "(1 ⊕ {0} ⊙ {0})**-0.5", "{{ 2 {} }}",
    "p({}, 0.4)", "g'({})", "-{}", "{}",
)  # fmt: skip
"""Element-wise functions, of one part of any type."""

KINKED = ("relu({})", "abs({})", "max({}, 0)", "min({}, 0.3)", "sign({})", "step({})")
"""Those that are not differentiable everywhere."""

ELEMENTWISE = (
    "{} + {}", "{} - {}", "{} ⊙ {}", "{0} ⊘ (2 ⊕ {1} ⊙ {1})", "0.5 {} - 2 {}", "{} ⊙ tanh({})", "-{} + {}", "p({}, {})",
    "pow(1 ⊕ {0} ⊙ {0}, 0.5) ⊙ {1}", "pow(1 ⊕ {0} ⊙ {0}, sin({1}))",
)  # fmt: skip
"""Of two parts of one type."""

ELEMENTWISE_KINKED = ("max({}, {})", "min({}, {})")

ROWS: tuple[Row, ...] = (
    # scalars
    ("", "{} · {}", "a", "a"), ("", "{} · {}", "ab", "ab"), ("", "sum({})", "ab"), ("", "norm2({})", "a"), ("", "~{}", "ab"),
    ("", "({}_i {}_i | )", "a", "a"), ("", "({}_ij {}_ij | )", "ab", "ab"), ("", "tr({})", "aa"), ("", "mean({})", "ab"),
    ("", "[~{} {}]", "a", "a"), ("", "({}_i {}_ij {}_j | )", "a", "ab", "b"), ("", "{}^T @ {}", "a", "a"),
    ("", "{{ {}^T @ {} @ {} }}", "a", "ab", "b"), ("", "logsumexp({})", "a"), ("", "(sum[i](tanh({}_i)) | )", "a"),
    ("", "({}_ii | )", "aa"), ("", "{}_{{[1~2]}}", "aa"), ("", "{} ^12·^21 {}", "ab", "ba"), ("", "prod(0.2 {} ⊕ 1)", "ab"),
    ("", "[~{} {} ({} {})]", "ab", "ab", "a", "b"), ("", "sum[i,j]({}_ij {}_j)", "ab", "b"), ("", "mean[i]({}_i)", "a"),
    ("", "logsumexp[i]({}_i)", "a"), ("", "norm2[i]({}_i)", "a"), ("", "(1/(1 + $a)) sum({})", "a"), ("", "({})![1]", "T"),
    ("", "({})![T]", "T"), ("", "({})![1,·] · {}", "Ta", "a"), ("", "vec({}) · vec({})", "ab", "ab"), ("", "q({})", "ab"),
    ("", "sum(ι {})", "a"), ("", "sum[s=1..T]({}[s] {})", "!T", ""), ("", "sum[s=1..T, u=s..T]({0}[s] {0}[u])", "!T"),
    ("", "(prod[i](1 + 0.2 {}_i) | )", "a"), ("", "pi {}", ""), ("", "stack({}, {}) · {}", "", "", "2"),
    ("", "({}[i] {}[i] | )", "!a", "!a"), ("", "{} · ∇[{}]({})", "a", "!a", ""), ("", "{} {}", "", ""),
    ("", "(sum[i,j](where(i > j, {}_ij, 0)) | )", "ab"), ("", "{} · e⟨1⟩", "T"),
    ("", "({}_i {}_i / (1 + {}_i**2) | )", "a", "a", "a"), ("", "norm({} ⊕ 3)", "T"), ("", "norm[i](2 + sin({}_i))", "T"),
    ("", "sum({} {} & [~{} {}])", "a", "b", "c", "c"), ("", "norm2(({})![2..T])", "T"), ("", "sum(({})![1..T-1,·])", "Ta"),
    # vectors
    ("a", "{} @ {}", "ab", "b"), ("a", "{}^T @ {}", "ba", "b"), ("a", "({}_ij | i)", "ab"), ("a", "softmax({})", "a"),
    ("a", "({}_ij {}_j | i)", "ab", "b"), ("a", "({}_ij {}_j + {}_i | i)", "ab", "b", "a"), ("a", "logsumexp^1({})", "ab"),
    ("a", "({0}_i {1}_ij {0}_i | i)", "a", "ab"), ("a", "{} ·_1 {}", "b", "ba"), ("a", "{} ^2·^1 {}", "ab", "b"),
    ("a", "(sum[j]({}_ij**2) | i)", "ab"), ("a", "({}_ii | i)", "aa"), ("a", "({} + 𝟏⟨$a⟩)", "a"), ("a", "{}_{{[12]}}", "aa"),
    ("a", "{}_{{~12}}", "ba"), ("a", "{}_{{1~2}}", "ab"), ("a", "norm2^1({})", "ab"), ("a", "sum^1({})", "ab"),
    ("a", "mean^1({})", "ab"), ("a", "prod^1(0.3 {} ⊕ 1)", "ab"), ("a", "(softmax[i]({}_i) | i)", "a"),
    ("a", "(mean[j]({}_ij) | i)", "ab"), ("a", "(logsumexp[j]({}_ij) | i)", "ab"), ("a", "(prod[j](1 + 0.2 {}_ij) | i)", "ab"),
    ("a", "({}_j δ_ij | i)", "a"), ("a", "0.3 range($a) ⊙ {}", "a"), ("a", "h({})", "a"), ("a", "∇[{}]({})", "!a", ""),
    ("a", "({})![1,·]", "Ta"), ("a", "({})![·,T]", "aT"), ("a", "{}[{}]", "!b", "#a<b"),
    ("a", "({}[{}[i],j] {}_j | i)", "!bc", "#a<b", "c"), ("a", "Jac[{}]({}) @ {}", "!b", "a", "b"),
    ("a", "∇[{}]({}) @ {}", "!a", "b", "b"), ("a", "(sum[j](where({}[i] + 1 == j, {}_ij, 0)) | i)", "#a<b", "ab"),
    ("a", "{} ⊖ {}", "a", ""), ("a", "[{} {}]", "a", "a"), ("a", "norm^1({} ⊕ 3)", "aT"), ("a", "lam {}", "a"),
    ("a", "({}_i {}_j {}_ij | i)", "a", "b", "ab"), ("t", "({})![2..T]", "T"), ("t", "({})![1..T-1]", "T"),
    ("T", "{} + e⟨1⟩", "T"), ("2", "stack({}, {})", "", ""), ("a", "({} ⊙ {}) / (1 ⊕ tanh({}) / 2)**2", "a", "a", "a"),
    ("a", "{} / (2 ⊕ norm2({}))", "a", "b"),
    # matrices
    ("ab", "{} @ {}", "ac", "cb"), ("ab", "{}^T", "ba"), ("ab", "{} @ {}^T", "a", "b"), ("ab", "{} {}", "a", "b"),
    ("ab", "({}_ik {}_kj | ij)", "ac", "cb"), ("ab", "softmax^1({})", "ab"), ("ab", "({}_ji | ij)", "ba"),
    ("ab", "{}_21", "ba"), ("ab", "({0}_ij {1}_j | ij)", "ab", "b"), ("ab", "({0}_ij + {1}_j + {2}_i | ij)", "ab", "b", "a"),
    ("ab", "𝟏⟨$a⟩ {}", "b"), ("ab", "{} ^2·^1 {}", "ac", "cb"), ("ab", "({0}_ik {1}_kj {0}_ik | ij)", "ac", "cb"),
    ("ab", "{} ⊗ {}", "a", "b"), ("ab", "(where(i >= j, {}_ij, {}_ij) | ij)", "ab", "ab"),
    ("ab", "({}_i {}_ij | ij)", "a", "ab"), ("ab", "g({}) + {}^T", "ab", "b"), ("ab", "({}_ij {}_ij | ij)", "ab", "ab"),
    ("aa", "diag({})", "a"), ("aa", "({}_i δ_ij | ij)", "a"), ("ab", "{0}_2 {0}_1", "!ba"),
    ("ab", "{0}_1 [~{0}_2 {1}_1] {1}_2", "!ac", "!cb"), ("ab", "[{} {} ({} {})]", "ab", "ab", "a", "b"),
    ("ab", "[{} {}]", "ab", "ab"), ("ab", "{} ^1⊙^1 {}", "a", "ab"), ("ab", "h^1({})", "ab"), ("aa", "∇h({})", "a"),
    ("aa", "Jac h({})", "a"), ("ab", "∇q({})", "ab"), ("ab", "Jac[{}]({})", "!b", "a"), ("ab", "∇[{}]({})", "!a", "b"),
    ("ab", "∇[{}]({})", "!ab", ""), ("ab", "{}[{}]", "!cb", "#a<c"), ("2b", "stack({}, {})", "b", "b"),
    ("ab", "{} ⊖ {}", "ab", ""), ("ab", "{} ⊕ {}", "ab", ""), ("ab", "{} + {}^T", "ab", "b"),
    ("ab", "({}_ij / (1 + {}_i**2) | ij)", "ab", "a"), ("ab", "𝟏⟨$a,$b⟩ - {}", "ab"), ("aa", "{} + eye($a)", "aa"),
    ("tb", "({})![2..T,·]", "Tb"), ("ab", "(where(i == j, 0, {}_ij) | ij)", "ab"),
    ("ab", "(where(i != j, {}_i, {}_j) | ij)", "a", "b"), ("ab", "(tanh({}_ik {}_kj + {}_j) | ij)", "ac", "cb", "b"),
    ("ab", "(softmax[j]({}_ij) | ij)", "ab"), ("ab", "lam {}", "ab"), ("ab", "(softmax[i]({}_ij) | ij)", "ab"),
    ("ab", "({}_ij / (1 + sum[j]({}_ij**2)) | ij)", "ab", "ab"), ("ab", "(where(2 i > j + 1, {}_i, {}_ij) | ij)", "a", "ab"),
    ("ab", "{} ^1·^2 {}", "ca", "bc"),
    # of three dimensions
    ("abc", "{} {}", "ab", "c"), ("abc", "({}_ij {}_jk | ijk)", "ab", "bc"), ("abc", "({}_kij | ijk)", "cab"),
    ("abc", "({}_ij + {}_k | ijk)", "ab", "c"), ("abc", "{}_312", "bca"), ("abc", "softmax^12({})", "abc"),
    ("abc", "{} ⊗ {}", "a", "bc"), ("2bc", "stack({}, {})", "bc", "bc"), ("abc", "{}[{}]", "!dbc", "#a<d"),
    ("abc", "Jac[{}]({})", "!c", "ab"), ("abc", "({}_ij {}_jk + {}_ik | ijk)", "ab", "bc", "ac"),
    ("abc", "Jac[{}]({})", "!bc", "a"), ("aba", "∇h^1({})_213", "ba"), ("abc", "{} {} {}", "a", "b", "c"),
    ("abc", "[{} ({} {} {})]", "abc", "a", "b", "c"),
)  # fmt: skip
"""Smooth in all parts."""

ROWS_KINKED: tuple[Row, ...] = (
    ("", "max({})", "ab"), ("", "(max[i]({}_i) | )", "a"), ("", "min({})", "ab"), ("", "(min[i]({}_i) | )", "a"),
    ("", "where({} > 0.1, {}, {})", "", "", ""), ("", "max({}, {})", "", ""), ("a", "(max[j]({}_ij) | i)", "ab"),
    ("a", "max^1({})", "ab"), ("a", "min^1({})", "ab"), ("a", "(where({}_i <= {}_i, {}_i, 0.5) | i)", "a", "a", "a"),
    ("ab", "(where({}_ij < {}_i, {}_ij, {}_j) | ij)", "ab", "a", "ab", "b"), ("ab", "(max({}_i, {}_j) | ij)", "a", "b"),
    ("ab", "(min[k](({}_ik + {}_kj)) | ij)", "ac", "cb"), ("abc", "(max({}_ij, {}_jk) | ijk)", "ab", "bc"),
)  # fmt: skip
"""With kinks."""

_DEFINITE = "{0} @ {0}^T + 3 eye($a)"

ROWS_MATRICES: tuple[Row, ...] = (
    ("", f"logdet({_DEFINITE})", "ab"), ("", "det(0.2 {0} @ {0}^T + eye($a))", "ab"),
    ("", f"{{1}} · solve({_DEFINITE}, {{1}})", "ab", "a"), ("a", f"solve({_DEFINITE}, {{1}})", "ab", "a"),
    ("a", f"inv({_DEFINITE}) @ {{1}}", "ab", "a"), ("a", f"chol({_DEFINITE}) @ {{1}}", "ab", "a"),
    ("a", f"solve(chol({_DEFINITE}), {{1}})", "ab", "a"), ("aa", f"inv({_DEFINITE})", "ab"), ("aa", f"chol({_DEFINITE})", "ab"),
    ("ab", f"solve({_DEFINITE}, {{1}})", "ac", "ab"), ("abb", "inv^1((0.3 {0}_kij {0}_klj + 3 δ_il | kil))", "abc"),
    ("a", "logdet^1((0.3 {0}_kij {0}_klj + 3 δ_il | kil))", "abc"), ("", "logdet({})", "aa positive definite"),
    ("a", "solve({}, {})", "aa positive definite", "a"), ("a", "solve({} + 4 eye($a), {})", "aa lower", "a"),
    ("ab", "inv({} + 4 eye($a)) @ {}", "aa diagonal", "ab"), ("a", "solve({}, {})", "aa orthogonal", "a"),
)  # fmt: skip
"""Operations on matrices; an argument with a trait may stand for a part."""

ROWS_TRAITS: tuple[Row, ...] = (
    ("a", "ln({})", "a positive"), ("ab", "{} ⊙ sqrt({})", "ab", "ab positive"), ("ab", "{} / {}", "ab", "ab nonzero"),
    ("", "{0}^T @ {1} @ {0}", "a", "aa symmetric"), ("", "-(ln(softmax^1({})) · {})", "ab", "ab onehot rows"),
    ("a", "{} @ {}", "ab stochastic rows", "b"), ("ab", "{} @ {}", "ac onehot rows", "cb"),
    ("a", "{}^T @ ({} @ {})", "aa orthogonal", "aa orthogonal", "a"), ("ab", "{} @ {}", "aa diagonal", "ab"),
    ("ab", "{} @ {}", "ab", "bb upper"), ("a", "{} @ {}", "aa lower", "a"), ("", "sum({})", "ab stochastic rows"),
    ("", "tr({} @ {})", "aa symmetric", "aa"), ("a", "{} ⊙ {}**-1", "a", "a nonzero"),
    ("", "-({} · logsumexp^1({}))", "a", "ab"), ("", "ln({}) · {}", "a positive", "a stochastic rows"),
)  # fmt: skip
"""Parts that are arguments with traits."""
