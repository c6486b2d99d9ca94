"""Names and sizes as C text: ASCII identifiers, and size polynomials as 64-bit arithmetic.

>>> c_identifier("λ'"), dim_text(2 * Dim.named("N") - 1)
('u03bb_prime', '2 * N - 1')
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from bracketc.ir.dims import Dim

_RESERVED = frozenset(
    """alignas alignof asm auto bool break case char const constexpr continue default do double else enum extern false float for
    goto if inline int long main nullptr register restrict return short signed sizeof static static_assert struct switch
    thread_local true typedef typeof union unsigned void volatile while I NULL INFINITY NAN
    catch class delete explicit export friend mutable namespace new operator private protected public template this throw try
    typename using virtual dims args results residuals workspace arena scratch step status tail""".split()
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
    return f"{text}_" if text in _RESERVED or text.startswith("brk_") else text


class CScope:
    """Identifiers of one C function or struct: each is given once, numbered when it is taken."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def fresh(self, wanted: str) -> str:
        """``wanted`` as an identifier, or it with the first free number behind it."""
        base = c_identifier(wanted)
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name


def dim_text(dim: Dim, names: dict[str, str] | None = None) -> str:
    """A size as C: names first, the constant last."""
    text = ""
    for monomial, factor in sorted(dim.terms, key=lambda t: (-len(t[0]), t[0])):
        words = [(names or {}).get(name, name) for name, power in monomial for _ in range(power)]
        if abs(factor) != 1 or not words:
            words.insert(0, str(abs(factor)))
        sign = (" - " if factor < 0 else " + ") if text else ("-" if factor < 0 else "")
        text += sign + " * ".join(words)
    return text or "0"


def factor_text(dim: Dim, names: dict[str, str] | None = None) -> str:
    """A size where a factor is needed: ``(N - 1)``."""
    text = dim_text(dim, names)
    return f"({text})" if len(dim.terms) > 1 or text.startswith("-") else text
