"""Names of the source as Python names.

>>> python_name("W'"), python_name("lambda"), python_name("out")
('W_prime', 'lambda_', 'out_')
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

from bracketc.errors import SourceError

Value = TypeVar("Value")

OPTIONS = frozenset({"out", "strict", "residuals", "dense"})
"""Parameters that the functions of a module have beside the arguments of the source."""

MODULE_NAMES = frozenset(
    {"SIGNATURE", "ArgumentError", "SingularError", "Outputs", "Gradients", "Residuals", "ValueAndGradients", "np"}
    | {"ScipyProblem", "scipy", "threads"}
)
"""Names that every module defines beside its functions."""

_PRIMES = {"'": 1, "′": 1, "″": 2, "‴": 3, "’": 1}


def _spelt(name: str) -> str:
    """NFKC, with primes as words; they go first, because NFKC takes them apart."""
    return unicodedata.normalize("NFKC", "".join("_prime" * _PRIMES.get(char, 0) or char for char in name))


def python_name(name: str, reserved: Iterable[str] = OPTIONS) -> str:
    """``name`` as a Python identifier: NFKC, a prime spelt out, ``_`` behind keywords and ``reserved`` names."""
    text = _spelt(name)
    if keyword.iskeyword(text) or text in reserved:
        text += "_"
    if not text.isidentifier():
        raise SourceError(f"{name!r} cannot be a Python name; rename it")
    return text


def python_names(names: Iterable[str], reserved: Iterable[str] = OPTIONS) -> dict[str, str]:
    """Python names of all ``names``, in their order; two names that become one are an error."""
    reserved = frozenset(reserved)
    found: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        text = python_name(name, reserved)
        if owners.setdefault(text, name) != name:
            raise SourceError(f"{owners[text]!r} and {name!r} are both called {text!r} in Python; rename one of them")
        found[name] = text
    return found


def by_python_names(values: Mapping[str, Value]) -> dict[str, Value]:
    """``values`` under the names by which functions of a module take them."""
    return {python_name(name): value for name, value in values.items()}


def module_name(name: str) -> str:
    """A model's name as that of a module: ``my-model`` becomes ``my_model``, ``class`` ``class_``, ``2x`` ``model_2x``.

    ASCII only, because it is also the prefix of every C name; what has no ASCII letter is spelt by code points.
    """
    text = unicodedata.normalize("NFKD", name)
    text = "".join(char for char in text if not unicodedata.combining(char))
    text = "".join(
        char if char.isascii() and char.isalnum() else "_" if char.isascii() else f"u{ord(char):04x}" for char in text
    ).strip("_")
    if not text:
        raise SourceError(f"{name!r} cannot be the name of a module; choose one with letters (name=...)")
    if text[0].isdigit():
        text = f"model_{text}"
    return f"{text}_" if keyword.iskeyword(text) or text in _C_KEYWORDS else text


_C_KEYWORDS = frozenset(
    """alignas alignof asm auto bool break case char const constexpr continue default do double else enum extern false
    float for goto if inline int long main nullptr register restrict return short signed sizeof static static_assert
    struct switch thread_local true typedef typeof union unsigned void volatile while catch class delete explicit export
    friend mutable namespace new operator private protected public template this throw try typename using virtual
    numpy cffi""".split()  # noqa: SIM905
)
"""Words of C and C++, and the modules that a generated one imports."""


class Scope:
    """Local names of one emitted function: each asked-for name is given once, numbered when it is taken."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def fresh(self, wanted: str) -> str:
        """``wanted``, or it with the first free number behind it."""
        base = _identifier(wanted)
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name


def _identifier(text: str) -> str:
    text = _spelt(text.replace("[", "").replace("]", ""))
    text = "".join(char if (char == "_" or char.isalnum()) and f"a{char}".isidentifier() else "_" for char in text)
    if not text or not text.isidentifier():
        text = f"v{text}"
    return f"{text}_" if keyword.iskeyword(text) else text
