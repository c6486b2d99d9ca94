"""What the formatter prints reads back to the same tree, in every spelling, and printing it again changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bracketc.errors import Source
from bracketc.lang import syntax as s
from bracketc.lang.format import STYLES, format_file, format_statement
from bracketc.lang.lexer import lex
from bracketc.lang.notation import text
from bracketc.lang.parser import parse_expression, parse_file

ROOT = Path(__file__).resolve().parent.parent
Strategy = st.SearchStrategy[Any]


def formatted(written: str, style: str) -> str:
    source = Source(written)
    return format_file(parse_file(source), source, style)


names = st.sampled_from(["x", "A", "W1", "β", "é", "f'", "h''", "d", "dX", "e", "t", "by", "in", "input"]).map(s.Name)
labels = st.sampled_from(["i", "j", "k", "o", "x", "β", "i1", "row"]).map(s.Label)
numbers = st.sampled_from(["0", "2", "3.5", "1e-3", "2E+7", "10"]).map(s.Number)


def tuples(elements: Strategy, least: int, most: int = 3) -> Strategy:
    return st.lists(elements, min_size=least, max_size=most).map(tuple)


def distinct_labels(least: int) -> Strategy:
    return st.lists(labels, min_size=least, max_size=4, unique=True).map(tuple)


@st.composite
def position_lists(draw: Any, groups: bool = True, bars: bool = True, count: int | None = None) -> s.Positions:
    size = count or draw(st.integers(1, 4))
    numbers = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 6, 9, 10, 12]), min_size=size, max_size=size, unique=True))
    members = [s.Position(n, bars and draw(st.booleans())) for n in numbers]
    if groups and len(members) > 2 and draw(st.booleans()):
        return s.Positions(((members[0],), tuple(members[1:])))
    return s.Positions(tuple((member,) for member in members))


@st.composite
def operators(draw: Any, symbols: str, lists: bool, plain: bool = True) -> s.Operator:
    symbol = draw(st.sampled_from(symbols))
    kinds = ["count", *(["plain"] if plain else []), *(["lists"] if lists else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "plain":
        return s.Operator(symbol, None, None, None)
    if kind == "count":
        count = draw(st.sampled_from([1, 2, 3, ">", "<"])) if symbol == "·" else draw(st.integers(1, 3))
        return s.Operator(symbol, None, None, count)
    size = draw(st.integers(1, 3))
    pair = [draw(position_lists(groups=False, count=size)) for _ in range(2)]
    return s.Operator(symbol, pair[0], pair[1], None)


@st.composite
def chains(draw: Any, cls: Any, symbols: str, operands: Strategy, divisors: Strategy) -> Any:
    size = draw(st.integers(1, 3))
    free = symbols != "·"  # plain ⊙ and ⊘ associate to the left, plain · does not associate
    found = [draw(operators(symbols, lists=size == 1, plain=free or size == 1)) for _ in range(size)]
    parts = [draw(operands)]
    parts += [draw(divisors if operator.symbol == "⊘" else operands) for operator in found]
    return cls(tuple(parts), tuple(found))


@st.composite
def sums(draw: Any, operands: Strategy) -> s.Sum:
    negated = draw(st.booleans())
    found = draw(tuples(operands, 1 if negated else 2))
    return s.Sum(negated, found, tuple(draw(st.sampled_from("+-⊖⊕")) for _ in found[1:]))


def grammar(expr: Strategy) -> Strategy:
    """Expressions one bracket deeper than ``expr``, on every level of precedence."""
    entries = tuples(st.one_of(expr, st.just(s.All()), st.builds(s.Slice, expr, expr)), 1)
    references = tuples(st.builds(s.Reference, names, st.none() | entries), 1)
    binders = st.builds(s.Binder, names, st.none(), st.none()) | st.builds(s.Binder, names, expr, expr)
    comparisons = st.builds(s.Comparison, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), expr, expr)
    maps = st.none() | position_lists(groups=False, bars=False)
    operator = st.sampled_from(["∇", "Jac"])
    closed = st.one_of(
        names,
        st.builds(s.Paren, expr),
        st.builds(s.Brace, expr),
        st.builds(s.IndexBracket, expr, distinct_labels(0)),
        st.builds(s.Call, names | st.sampled_from(["exp", "tanh'"]).map(s.Name), st.none(), tuples(expr, 1)),
        st.builds(s.Call, st.sampled_from(["s", "det", "sum"]).map(s.Name), maps, tuples(expr, 1)),
        st.builds(s.Stop, expr),
        st.builds(s.Where, comparisons, expr, expr),
        st.builds(s.Reduction, st.sampled_from(["sum", "max", "softmax"]), tuples(binders, 1), expr),
        st.builds(s.FunctionDerivative, operator, names, maps, tuples(expr, 1)),
        st.builds(s.Derivative, operator, references, expr),
        st.builds(s.Differential, references, expr),
        st.builds(s.Delta, distinct_labels(1)),
        tuples(expr, 1).map(lambda sizes: s.Ones(len(sizes), sizes)),
        st.builds(s.OneHot, tuples(names | numbers, 1)),
    )
    postfix = st.one_of(
        closed,
        st.builds(s.Portion, closed, position_lists(), st.none()),
        st.builds(s.Portion, names, position_lists(), st.integers(1, 12)),
        st.builds(s.Labelled, closed, tuples(labels, 1)),
        st.builds(s.Index, closed, entries),
        st.builds(s.Transpose, closed),
        st.just(s.Iota()),
        st.integers(1, 3).map(lambda rank: s.Ones(rank, None)),
    )
    exponents = st.one_of(numbers, names, st.builds(s.Paren, expr))
    powers = postfix | numbers | st.builds(s.Power, postfix | numbers, st.booleans(), exponents)
    fusions = st.builds(s.Fusion, tuples(postfix | st.builds(s.Bar, postfix), 1))
    factors = powers | fusions | st.builds(s.Bar, postfix | fusions)
    products = factors | st.builds(s.FormalProduct, tuples(factors, 2))
    systems = products | st.builds(s.System, tuples(products, 2))
    matrices = systems | st.builds(s.MatrixProduct, tuples(systems, 2))
    kroneckers = matrices | st.builds(s.Kronecker, tuples(matrices, 2))
    elementwise = kroneckers | chains(s.Elementwise, "⊙⊘", kroneckers, factors)
    dots = elementwise | chains(s.Dot, "·", elementwise, elementwise)
    return dots | sums(dots)


expressions = st.recursive(names | numbers, grammar, max_leaves=12)
few = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@few
@given(expressions, st.sampled_from(STYLES))
def test_an_expression_reads_back(tree: Any, style: str) -> None:
    written = text(tree, style)
    assert parse_expression(Source(written)) == (tree, ())
    assert style == "unicode" or not set(written) & set("⊙⊘·⊗⊖⊕⟨⟩∇ιδ𝟏")


targets = st.one_of(
    st.builds(s.Target, names, st.none(), st.none()),
    st.builds(s.Target, names, tuples(labels, 1), st.none()),
    st.builds(s.Target, names, st.none(), tuples(expressions, 1)),
)
bindings = tuples(st.builds(s.Binding, targets, expressions), 0, 2)
references = tuples(st.builds(s.Reference, names, st.none() | tuples(numbers, 1, 1)), 1)
ranges = st.builds(s.Range, names, expressions, expressions)
traits = tuples(
    st.one_of(
        st.sampled_from(["symmetric", "positive", "positive definite", "onehot rows"]).map(lambda n: s.Trait(n, None)),
        st.builds(s.Trait, st.just("integer"), st.sampled_from(["C", "N"]).map(s.Name)),
    ),
    0,
)
layouts = st.one_of(
    st.none(),
    st.sampled_from(["jacobian", "row", "vec"]).map(lambda kind: s.Layout(kind, None, None)),
    st.builds(s.Layout, st.just("positions"), *[position_lists(groups=False, bars=False)] * 2),
)
declarable = st.sampled_from(["x", "A", "W1", "β", "input", "t"]).map(s.Name)
sizes = st.sampled_from(["N", "D", "4 h", "t+k-1", "D[j-1]"]).map(lambda size: parse_expression(Source(size))[0])
members = st.builds(s.Member, tuples(expressions, 1, 2))
equations = st.builds(s.Equation, tuples(members, 1))
statements = st.one_of(
    st.builds(s.DimStatement, tuples(st.builds(s.Size, declarable, st.none() | numbers, st.none()), 1)),
    st.builds(s.DimStatement, tuples(st.builds(s.Size, declarable, st.none(), numbers), 1)),
    st.builds(s.DimFamily, declarable, numbers, sizes, tuples(numbers, 1)),
    st.builds(s.Argument, st.just("input"), declarable, st.none(), tuples(sizes, 0), traits, st.none()),
    st.builds(s.Argument, st.just("param"), declarable, declarable, tuples(sizes, 1), traits, ranges),
    st.builds(s.Const, declarable, expressions),
    st.builds(
        s.Function,
        declarable,
        tuples(st.builds(s.Parameter, declarable, st.none() | st.integers(0, 3)), 1),
        expressions,
        bindings,
    ),
    st.builds(s.Definition, targets, expressions, bindings, tuples(ranges, 0, 2)),
    st.builds(s.Output, references),
    st.builds(
        s.Request,
        st.sampled_from(["gradient", "hvp"]),
        st.builds(s.Reference, declarable, st.none()),
        references,
        layouts,
        st.none() | declarable,
        st.booleans(),
    ),
    st.builds(s.Import, st.just("layers.brk")),
)
conclusions = st.builds(s.Segment, st.just("⟹"), tuples(equations, 1))
steps = st.one_of(
    st.builds(
        s.Step,
        st.none() | st.just("eq3"),
        st.tuples(st.builds(s.Segment, st.sampled_from(["", "="]), equations.map(lambda e: (e,)))),
        bindings,
        st.none() | st.just("the product rule, it's"),
    ),
    st.builds(
        s.Step,
        st.none(),
        st.tuples(st.builds(s.Segment, st.just("⇝"), equations.map(lambda e: (e,)))),
        bindings,
        st.none(),
    ),
    st.builds(s.Step, st.none(), tuples(conclusions, 1, 2), bindings, st.none()),
)
first_steps = st.builds(
    s.Step, st.none(), st.tuples(st.builds(s.Segment, st.just(""), equations.map(lambda e: (e,)))), bindings, st.none()
)
derivations = st.builds(
    lambda label, target, wrt, first, rest: s.Derivation(label, target, wrt, (first, *rest)),
    st.none() | st.just("thm"),
    st.none() | st.builds(s.Reference, declarable, st.none()),
    st.just(()) | references,
    first_steps,
    st.lists(steps, max_size=3),
)


@few
@given(st.lists(statements | derivations, max_size=3), st.sampled_from(STYLES))
def test_a_file_reads_back_and_stays(found: list[Any], style: str) -> None:
    written = "".join(format_statement(statement, style) + "\n" for statement in found)
    tree = parse_file(Source(written))
    assert tree.statements == tuple(found)
    once = format_file(tree, Source(written), style)
    assert parse_file(Source(once)) == tree
    assert format_file(tree, Source(once), style) == once


PROGRAM = """\
# a program
dim   N, D = 4, K ~ 1000     # sizes
input X:N,D                # data
input Y : N, K onehot rows


param W : D, K
function s(a) = exp(a)/(ones . exp(a))
A_ik = X_ij W_jk           # by index
J = -(1/N) (ln(s^1(A)) · Y) + (lam / 2) (  W · W +  # the penalty
    W ⊘ W · W )
# before the request
gradient J wrt W
derivation of J wrt W {  # head
  # first
  J = a + b   # why
    = (a)(b) where c = d [by the rule of thumb]
  => ∇[W](J) = a, ∇[b](J) = b
  # last
}  # behind
# end"""

UNICODE = """\
# a program
dim N, D = 4, K ~ 1000       # sizes
input X : N, D             # data
input Y : N, K  onehot rows

param W : D, K
function s(a) = exp(a) / (𝟏 · exp(a))
A_ik = X_ij W_jk           # by index
# the penalty
J = -(1/N) (ln(s^1(A)) · Y) + (lam/2) (W · W + W ⊘ W · W)
# before the request
gradient J wrt W
derivation of J wrt W {  # head
  # first
  J = a + b   # why
    = (a) (b) where c = d  [by the rule of thumb]
  ⟹ ∇[W](J) = a, ∇[b](J) = b
  # last
}  # behind
# end
"""


def test_a_program_keeps_its_comments_and_blank_lines() -> None:
    source = Source(PROGRAM)
    assert format_file(parse_file(source), source) == UNICODE


def test_ascii_and_unicode_are_one_program() -> None:
    source = Source(PROGRAM)
    tree = parse_file(source)
    ascii_text = format_file(tree, source, "ascii")
    assert ascii_text.isascii()
    assert parse_file(Source(ascii_text)) == tree
    again = format_file(parse_file(Source(ascii_text)), Source(ascii_text), "unicode")
    assert parse_file(Source(again)) == tree


@pytest.mark.parametrize("style", STYLES)
def test_long_statements_break_after_operators(style: str) -> None:
    source = Source(
        "J = " + " + ".join(f"alpha_{{i{n},j}} (b · tanh(c{n} @ W{n}))" for n in range(20)) + " where b = c\n"
    )
    tree = parse_file(source)
    written = format_file(tree, source, style)
    assert max(map(len, written.splitlines())) <= 100
    assert parse_file(Source(written)) == tree
    assert format_file(tree, Source(written), style) == written


def test_an_empty_file_stays_empty() -> None:
    assert format_file(parse_file(Source("")), Source("")) == ""
    assert format_file(parse_file(Source("\n\n# only this")), Source("\n\n# only this")) == "# only this\n"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (s.FormalProduct((s.Sum(False, (s.Name("a"), s.Name("b")), ("+",)), s.Name("c"))), "(a + b) c"),
        (s.Transpose(s.MatrixProduct((s.Name("a"), s.Name("b")))), "(a @ b)^T"),
        (s.Power(s.Power(s.Name("x"), False, s.Number("2")), False, s.Number("3")), "(x**2)**3"),
        (s.Sum(False, (s.Name("a"), s.Sum(True, (s.Name("b"),), ())), ("-",)), "a - (-b)"),
        (s.Portion(s.Fusion((s.Name("a"), s.Name("b"))), s.Positions(((s.Position(1, False),),)), None), "([a b])_1"),
        (s.MatrixProduct((s.Name("a"), s.Kronecker((s.Name("b"), s.Name("c"))))), "a @ (b ⊗ c)"),
    ],
)
def test_built_trees_get_the_parentheses_they_need(tree: Any, expected: str) -> None:
    assert text(tree) == expected


def comment_places(text: str) -> list[int]:
    """Offsets of spaces at which a comment (and, inside a statement, a line end behind it) changes nothing."""
    places, depth, before = [], 0, None
    for token in lex(Source(text)).tokens:
        continuing = before is not None and (depth or before.is_op("+", "·", "=", ",", "@", "⟹"))
        if token.kind == "newline" or (continuing and token.spaced and token.kind != "remark"):
            places.append(token.start)
        depth += token.is_op("(", "[") - token.is_op(")", "]")
        before = token
    return places


@few
@given(st.data(), st.sampled_from(STYLES))
def test_comments_anywhere_are_kept(data: Any, style: str) -> None:
    text = UNICODE
    places = comment_places(text)
    for count, at in enumerate(sorted(data.draw(st.sets(st.sampled_from(places), max_size=5)), reverse=True)):
        end = "" if text[at] == "\n" else "\n" * data.draw(st.integers(1, 3))
        text = f"{text[:at]}{' ' * data.draw(st.integers(1, 20))}# c{count}{end}{text[at:]}"
    tree = parse_file(Source(text))
    assert tree == parse_file(Source(UNICODE))
    once = format_file(tree, Source(text), style)
    again = parse_file(Source(once))
    assert again == tree
    assert len(again.comments) == len(tree.comments)
    assert format_file(again, Source(once), style) == once


ALIGNED = """\
dim   N, D
input X  : N, D  positive
input y0 : N     nonzero
param W[j] : D, D  for j = 1..3
param b[j] : D     for j = 1..3

J  = a ⊙ b
dJ = c        # a comment

A[j] = Z[j-1] @ W[j] + 𝟏 b[j]  for j = 1..3
Z[j] = f(A[j])                 for j = 1..3
F = h · h   where h = X @ W[1]
derivation {
  F   = h · h                      where h = X @ y0
  dF  = h · dh + dh · h
      = 2 h · dh                   where k = 2
      = 2 [~h (X_1 [X_2 ~dy0])]    [by moving]
}
"""


def test_columns_that_authors_align_stay_aligned() -> None:
    text = formatted(ALIGNED, "unicode")
    patterns = (
        r"^input X  : N, D  positive\ninput y0 : N     nonzero$",
        r"^J  = a ⊙ b\ndJ = c        # a comment$",
        r"^param W\[j\] : D, D  for .*\nparam b\[j\] : D     for ",
        r"@ W\[j\] \+ 𝟏 b\[j\]  for .*\n.*f\(A\[j\]\) {17}for ",
        r"h · h   where h = X @ W\[1\]$",
        r"^      = 2 h · dh {19}where k = 2$|^     = 2 h · dh +where k = 2$",
    )
    for pattern in patterns:
        assert re.search(pattern, text, re.MULTILINE), (pattern, text)
    assert formatted(text, "unicode") == text


def test_columns_are_aligned_again_in_the_other_spelling() -> None:
    text = formatted(ALIGNED, "ascii")
    pattern = r"^A\[j\] = Z\[j-1\] @ W\[j\] \+ ones b\[j\]  for j.*\nZ\[j\] = f\(A\[j\]\) {20}for j"
    assert re.search(pattern, text, re.MULTILINE), text
    assert formatted(text, "ascii") == text
    assert formatted(text, "unicode") == formatted(ALIGNED, "unicode")


def test_columns_that_nobody_aligned_are_left_alone() -> None:
    text = "x = 1\nlonger = 2\nJ   = 3\n\nz = u where u = 1\nw = uv where uv = 1\n"
    assert formatted(text, "unicode") == text.replace("J   =", "J =")


@pytest.mark.parametrize("path", [*ROOT.glob("models/*.brk"), *ROOT.glob("examples/**/*.brk")], ids=lambda path: path.stem)
def test_our_own_files_are_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text, "unicode") == text
