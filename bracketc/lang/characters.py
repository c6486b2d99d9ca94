"""Characters that do not belong in a source, and what to type instead.

Text is pasted from papers, slides and chats, so most wrong characters look like right ones.  Every message names
the character by its Unicode name and says what to type.
"""

from __future__ import annotations

import re
import unicodedata

INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]|\r(?!\n)"
)
"""Control, bidirectional and zero-width characters and lone surrogates: errors everywhere, comments included."""

OVERBARS = "\u0304\u0305\u033f\u0336\u0332\u0331"
"""Combining macron, overline and their kin."""

_BAR_HELP = "a bar (sum) is typed ~ before what it covers: ~A_2, [~A B]"

_MEANT = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "⁻": "-",
    "⋅": "·", "•": "·", "∙": "·", "・": "·", "‧": "·", "⸱": "·",
    "∗": "*", "＊": "*", "⋆": "*", "∘": "⊙", "○": "⊙", "◦": "⊙", "⨀": "⊙", "☉": "⊙", "ʘ": "⊙",
    "⨂": "⊗", "⨁": "⊕", "÷": "/", "∕": "/", "⁄": "/",
    "\u2329": "⟨", "\u232a": "⟩", "\u3008": "⟨", "\u3009": "⟩", "‹": "⟨", "›": "⟩", "《": "⟨", "》": "⟩",
    "’": "'", "‘": "'", "′": "'", "ʹ": "'", "ʼ": "'", "´": "'", "`": "'", "″": "''",
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "…": "..", "⋯": "..", "‥": "..",
    "⇒": "⟹", "⟶": "⇝", "→": "⇝", "↝": "⇝", "↦": "⇝",
    "≤": "<=", "≥": ">=", "≠": "!=", "≡": "==", "≔": "=", "∶": ":", "｜": "|", "∣": "|", "❘": "|",
    "∼": "~", "˜": "~", "～": "~", "▽": "∇", "𝛁": "∇", "𝛻": "∇", "⋄": "·",
    "µ": "μ", "ᐁ": "∇",
}  # fmt: skip

_HELP = {
    "×": "the matrix product is @, the element-wise one ⊙ (or *), the Kronecker product ⊗ (or ox)",
    "∂": "a differential is typed d: dX",
    "∑": "a sum over labels is sum[i](…)",
    "∏": "a product over labels is prod[i](…)",
    "√": "the square root is sqrt(…)",
    "∫": "integrals are not part of the language",
    "∞": "there is no infinity; use a large number",
    "∈": "types are declared with `input X : N, D`",
    "ᵀ": "the transpose is ^T",
    "⊤": "the transpose is ^T",
    "ᵗ": "the transpose is ^T",
    "‖": "a norm is norm(…), its square norm2(…)",
    "∥": "a norm is norm(…), its square norm2(…)",
    "½": "write 0.5 or (1/2)",
    "¼": "write 0.25 or (1/4)",
    "‾": _BAR_HELP,
    "¯": _BAR_HELP,
    "✗": "the Kronecker product is ⊗ (or ox)",
    "\\": "a formula is typed with the symbols themselves, not in LaTeX",
    "$": "a formula is typed without dollar signs",
    "%": "a comment begins with #",
    ";": "one statement a line; a comma separates names and entries",
    "?": "a choice is where(condition, a, b)",
    "\u00a0": "write a plain space",
}

_LETTERS = ("LATIN SMALL LETTER", "LATIN CAPITAL LETTER", "GREEK SMALL LETTER", "GREEK CAPITAL LETTER")

# Cyrillic, Armenian and Cherokee letters that look like Latin ones
_CONFUSED = dict(zip("АВЕЅІЈКМНОРСТХУаеосрхуіјѕһԁԛԝ", "ABESIJKMHOPCTXYaeocpxyijshdqw", strict=True))


def described(char: str) -> str:
    """``'−' (MINUS SIGN, U+2212)``; invisible characters are not shown themselves."""
    name = unicodedata.name(char, "unnamed")
    shown = f"'{char}' " if char.isprintable() and not char.isspace() and not unicodedata.combining(char) else ""
    return f"{shown}({name}, U+{ord(char):04X})"


def is_letter(char: str) -> bool:
    """Whether a name may hold ``char``: a Latin or Greek letter, accented ones included, that is not a look-alike."""
    if char.isascii():
        return char.isalpha()
    if not char.isalpha() or char in _HELP or char in _MEANT:
        return False
    name = unicodedata.name(char, "")
    if name.startswith("GREEK") and name.endswith(" SYMBOL"):  # ϑ, ϕ, ϵ
        return True
    return name.startswith(_LETTERS) and unicodedata.category(char) in ("Lu", "Ll")


def advice(char: str) -> tuple[str, str]:
    """Message and help for a character that is in no token.

    ``−``  ->  ("'−' (MINUS SIGN, U+2212) is not part of the language", "write -")
    """
    message = f"{described(char)} is not part of the language"
    if char in OVERBARS:
        return f"combining mark {described(char)}", _BAR_HELP
    if unicodedata.combining(char):
        return f"combining mark {described(char)} does not belong to a letter here", "remove it, or retype the letter"
    if char in _HELP:
        return message, _HELP[char]
    if char in _MEANT:
        return f"{described(char)} only looks like {_MEANT[char]}", f"write {_MEANT[char]}"
    if char in _CONFUSED:
        return f"{described(char)} only looks like {_CONFUSED[char]}", f"write the Latin letter {_CONFUSED[char]}"
    plain = unicodedata.normalize("NFKC", char)
    if plain != char and plain.isprintable() and plain.strip():
        decomposition = unicodedata.decomposition(char)
        if decomposition.startswith("<super>"):
            return message, f"a power is typed **{plain}" if plain.isdigit() else "the transpose is ^T, a power **"
        if decomposition.startswith("<sub>"):
            return message, f"a subscript is typed _{plain}"
        return f"{described(char)} only looks like {plain}", f"write {plain}"
    if char.isspace():
        return f"{described(char)} is not a plain space", "write a plain space"
    if char.isalpha():
        return f"{described(char)} cannot stand in a name", "names are made of Latin and Greek letters, then digits"
    return message, ""
