"""Tokens: what white space decides, the spellings, and characters that do not belong in a source."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bracketc.errors import Source
from bracketc.lang.lexer import Lexed, lex


def found(text: str) -> Lexed:
    return lex(Source(text))


def kinds(text: str) -> list[tuple[str, str]]:
    lexed = found(text)
    assert not lexed.problems, lexed.problems
    return [(token.kind, token.text) for token in lexed.tokens[:-1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A ^31.^12 B", [("name", "A"), ("superscript", "^31"), ("op", "·"), ("superscript", "^12"), ("name", "B")]),
        ("A_21.X", [("name", "A"), ("subscript", "_21"), ("op", "·"), ("name", "X")]),
        ("1..T", [("number", "1"), ("op", ".."), ("name", "T")]),
        ("2.x", [("number", "2"), ("op", "·"), ("name", "x")]),
        ("2.5e-3", [("number", "2.5e-3")]),
        ("X^T", [("name", "X"), ("transpose", "^T")]),
        ("X^T2", [("name", "X"), ("op", "^"), ("name", "T2")]),
        ("a ~> b", [("name", "a"), ("op", "⇝"), ("name", "b")]),
        ("~A", [("op", "~"), ("name", "A")]),
        ("a .- b .+ c", [("name", "a"), ("op", "⊖"), ("name", "b"), ("op", "⊕"), ("name", "c")]),
        ("a ox b", [("name", "a"), ("op", "⊗"), ("name", "b")]),
        ("a ._> b", [("name", "a"), ("op", "·"), ("op", "_>"), ("name", "b")]),
        ("f''(x)", [("name", "f''"), ("op", "("), ("name", "x"), ("op", ")")]),
        ("A_{~1[25]3}", [("name", "A"), ("subscript", "_{~1[25]3}")]),
        (
            "ones iota delta_ij grad",
            [("symbol", "𝟏"), ("symbol", "ι"), ("symbol", "δ"), ("subscript", "_ij"), ("symbol", "∇")],
        ),
        ("𝟏b", [("symbol", "𝟏"), ("name", "b")]),
        ("A_2𝟏", [("name", "A"), ("subscript", "_2"), ("symbol", "𝟏")]),
        ("δ2", [("name", "δ2")]),
        ("a · b", [("name", "a"), ("op", "·"), ("name", "b")]),
        ("\ufeffa\r\n", [("name", "a"), ("newline", "\n")]),
    ],
)
def test_tokens(text: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(text) == expected


def test_ones_are_no_digit() -> None:
    assert kinds("A_1𝟏 2 𝟏") == [("name", "A"), ("subscript", "_1"), ("symbol", "𝟏"), ("number", "2"), ("symbol", "𝟏")]


def test_a_hash_is_a_tag_only_between_a_name_and_a_digit() -> None:
    assert kinds("X#1_2") == [("name", "X"), ("tag", "1"), ("subscript", "_2")]
    for text in ("X #1", "X#a", "2#1", "#1"):
        assert len(found(text).comments) == 1, text


def test_comments_know_whether_they_have_a_line_of_their_own() -> None:
    comments = found("# one  \na = b # two\n  # three").comments
    assert [(c.text, c.own_line) for c in comments] == [("# one", True), ("# two", False), ("# three", True)]


def test_a_remark_is_one_token_inside_a_derivation_only() -> None:
    text = "derivation of J {\n J = a [by it's the § rule]\n}\nx = [by a]"
    lexed = [(token.kind, token.text) for token in found(text).tokens]
    assert ("remark", "it's the § rule") in lexed
    assert lexed[-5:-1] == [("op", "["), ("name", "by"), ("name", "a"), ("op", "]")]


def test_accents_compose() -> None:
    assert kinds("e\u0301 = A_e\u0301i") == kinds("é = A_éi")


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("2x", "number and letters", "2 x"),
        ("1e", "number and letters", "exponent needs digits"),
        ("1e999", "no float", "400"),
        ("9" * 500, "no float", "400"),
        ("Ａ = 1", "FULLWIDTH LATIN CAPITAL LETTER A", "write A"),
        ("a（b）", "FULLWIDTH LEFT PARENTHESIS", "write ("),
        ("А = 1", "CYRILLIC", "Latin letter A"),
        ("a − b", "MINUS SIGN", "write -"),
        ("a × b", "MULTIPLICATION SIGN", "@"),
        ("a ⋅ b", "DOT OPERATOR", "write ·"),
        ("f’(x)", "RIGHT SINGLE QUOTATION MARK", "write '"),
        ("x²", "SUPERSCRIPT TWO", "**2"),
        ("Xᵀ", "MODIFIER LETTER CAPITAL T", "^T"),
        ("a₁", "SUBSCRIPT ONE", "_1"),
        ("𝐗 = 1", "MATHEMATICAL BOLD CAPITAL X", "write X"),
        ("A\u0305 B", "OVERLINE", "~"),
        ("A\u0304 B", "MACRON", "~"),
        ("(A)\u0305", "OVERLINE", "~"),
        ("x\u0302", "CIRCUMFLEX", "another name"),
        ("a\u00a0b", "NO-BREAK SPACE", "plain space"),
        ("∑ x", "N-ARY SUMMATION", "sum[i]"),
        ("∂x", "PARTIAL DIFFERENTIAL", "dX"),
        ("\\alpha", "REVERSE SOLIDUS", "LaTeX"),
        ("a\x00b", "U+0000", "remove"),
        ("a \u202e b", "RIGHT-TO-LEFT OVERRIDE", "remove"),
        ("# a \u202e b", "RIGHT-TO-LEFT OVERRIDE", "remove"),
        ("a\u200bb", "ZERO WIDTH SPACE", "remove"),
        ("a\rb", "U+000D", "line feed"),
        ("a \ud800", "U+D800", "remove"),
        ('import "x', "does not end", "file.brk"),
        ("字 = 1", "cannot stand in a name", "Latin and Greek"),
    ],
)
def test_wrong_characters_say_what_to_type(text: str, message: str, help: str) -> None:
    problem = found(text).problems[0]
    assert message in problem.message
    assert help in problem.help
    assert problem.span is not None and problem.span.text


def test_a_message_never_holds_the_character_that_reorders_a_terminal() -> None:
    assert not any("\u202e" in problem.render() for problem in found("a = \u202e b").problems)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab1 _^~[](){}|,.·⊙+-*/\n=<>𝟏ιδ#'\"é\u0301\u0305Ａ\x00\u200b\\")))
def test_tokens_lie_in_order_and_cover_the_text(text: str) -> None:
    lexed = found(text)
    at = 0
    for token in lexed.tokens:
        assert at <= token.start <= token.end <= len(text)
        at = token.end
    assert lexed.tokens[-1].kind == "end"
    bad = [token for token in lexed.tokens if token.kind == "bad"]
    assert not bad or lexed.problems
