"""Unicode and ASCII spellings of the symbols, both ways.

The lexer turns every ASCII spelling into the Unicode one; the formatter prints either.  A symbol that has one
spelling only (``@ + - ~ & ** .. =``) is in no table.
"""

from __future__ import annotations

OPERATORS = {
    "⊙": "*",
    "⊘": "/",
    "·": ".",
    "⊗": "ox",
    "⊖": ".-",
    "⊕": ".+",
    "⟨": "<",
    "⟩": ">",
    "⇝": "~>",
    "⟹": "=>",
}
"""Unicode operator -> ASCII operator.  ``⟨ ⟩`` are brackets; the ASCII ``< >`` are also comparisons."""

SYMBOLS = {"𝟏": "ones", "ι": "iota", "δ": "delta", "∇": "grad"}
"""Unicode symbol -> reserved name."""

UNICODE_OPERATORS = {ascii_: unicode for unicode, ascii_ in OPERATORS.items() if unicode not in "⟨⟩"}
"""ASCII operator -> Unicode operator, without the angle brackets, which only the parser can tell from comparisons."""

UNICODE_SYMBOLS = {ascii_: unicode for unicode, ascii_ in SYMBOLS.items()}
"""Reserved name -> Unicode symbol."""


def spelled(symbol: str, style: str) -> str:
    """The spelling of a (Unicode) symbol in ``style``, "unicode" or "ascii": ``⊙`` -> ``*``."""
    if style == "unicode":
        return symbol
    return OPERATORS.get(symbol) or SYMBOLS.get(symbol) or symbol
