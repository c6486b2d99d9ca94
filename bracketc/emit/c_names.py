"""Names and sizes as C text: ASCII identifiers, and size polynomials as 64-bit arithmetic.

>>> c_identifier("λ'"), dim_text(2 * Dim.named("N") - 1)
('u03bb_prime', '2 * N - 1')
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from bracketc.ir.dims import Dim

COMMENT_WIDTH = 110

_RESERVED = frozenset(
    [
        "alignas",
        "alignof",
        "asm",
        "auto",
        "bool",
        "break",
        "case",
        "char",
        "const",
        "constexpr",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "false",
        "float",
        "for",
        "fortran",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "main",
        "nullptr",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "static_assert",
        "struct",
        "switch",
        "thread_local",
        "true",
        "typedef",
        "typeof",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "and",
        "and_eq",
        "bitand",
        "bitor",
        "catch",
        "class",
        "compl",
        "concept",
        "delete",
        "explicit",
        "export",
        "friend",
        "mutable",
        "namespace",
        "new",
        "noexcept",
        "not",
        "not_eq",
        "operator",
        "or",
        "or_eq",
        "private",
        "protected",
        "public",
        "reinterpret_cast",
        "template",
        "this",
        "throw",
        "try",
        "typeid",
        "typename",
        "using",
        "virtual",
        "xor",
        "xor_eq",
        "I",
        "NULL",
        "INFINITY",
        "NAN",
        "HUGE_VAL",
        "errno",
        "stdin",
        "stdout",
        "stderr",
        "linux",
        "unix",
        "i386",
        "assert",
        "offsetof",
        "memcpy",
        "size_t",
        "struct_size",
        "dims",
        "args",
        "results",
        "residuals",
        "workspace",
        "arena",
        "slot",
        "scratch",
        "product",
        "operands",
        "tail",
        "rest",
        "status",
        "saved",
        "team",
        "shared",
        "stretch",
    ]
)
_TAKEN = re.compile(r"(brk_|BRK_|tile_).*|.*_(f32|f64|t|layout|dims)|[vx][0-9]+|M_[A-Z0-9_]+|FP_.*|[A-Z]+_(MAX|MIN)")
"""What the emitted text and the headers it includes may call their own things."""
_LIBM = frozenset(
    [
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "atan2",
        "cbrt",
        "ceil",
        "cosh",
        "cos",
        "erf",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "fabs",
        "floor",
        "fmod",
        "hypot",
        "lgamma",
        "log",
        "log10",
        "log1p",
        "log2",
        "pow",
        "rint",
        "round",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
        "tgamma",
        "trunc",
    ]
)


def c_identifier(name: str) -> str:
    """``name`` as an ASCII identifier: accents dropped, primes spelt out, other letters by code point."""
    bare = name.rstrip("'′")
    text = unicodedata.normalize("NFKD", bare)
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = "".join(c if c.isascii() and (c.isalnum() or c == "_") else f"u{ord(c):04x}" for c in text)
    text += "_prime" * (len(name) - len(bare))
    if not text or text[0].isdigit() or text.startswith("_"):
        text = f"x{text}"
    reserved = text in _RESERVED or text in _LIBM or text.removesuffix("f") in _LIBM or _TAKEN.fullmatch(text)
    return f"{text}_" if reserved else text


class CScope:
    """Identifiers of one C block: each is given once, numbered when it is taken here or in a block around this
    one."""

    def __init__(self, around: CScope | None = None, taken: Iterable[str] = ()) -> None:
        self._around = around
        self._taken = set(taken)

    def fresh(self, wanted: str) -> str:
        """``wanted`` as an identifier, or it with the first free number behind it."""
        base = c_identifier(wanted)
        name, number = base, 1
        while self.holds(name):
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name

    def first_of(self, wanted: Iterable[str]) -> str:
        """The first free name of ``wanted``, else its last one numbered."""
        last = ""
        for last in wanted:
            if not self.holds(last):
                break
        return self.fresh(last)

    def holds(self, name: str) -> bool:
        scope: CScope | None = self
        while scope is not None:
            if name in scope._taken:
                return True
            scope = scope._around
        return False


def dim_text(dim: Dim, names: Mapping[str, str] | None = None) -> str:
    """A size as C: names first, the constant last."""
    text = ""
    for monomial, factor in sorted(dim.terms, key=lambda t: (-len(t[0]), t[0])):
        words = [(names or {}).get(name, name) for name, power in monomial for _ in range(power)]
        if abs(factor) != 1 or not words:
            words.insert(0, str(abs(factor)))
        sign = (" - " if factor < 0 else " + ") if text else ("-" if factor < 0 else "")
        text += sign + " * ".join(words)
    return text or "0"


def as_factor(text: str) -> str:
    """Text of a sum or difference where a factor is needed: ``(N - 1)``."""
    return f"({text})" if " + " in text or " - " in text or text.startswith("-") else text


def comment_text(text: str) -> str:
    """Text that cannot end a comment."""
    return text.replace("*/", "* /").replace("/*", "/ *")


def bracket_text(bracket: str) -> str:
    """The bracket in the comment above a block; one a line where several are too long for one.

    >>> bracket_text("J = (x_i y_i | )")
    'J = (x_i y_i | )'
    """
    text = comment_text(bracket)
    return text.replace("; ", "\n") if len(text) > COMMENT_WIDTH else text
