"""Results with a structure as the words of the templates: the expression that makes one, its description, and the text of their
classes, which every module with such a result carries.

    U = BlockDiagonal((n, k, n, k), 2, [([(0, 2)], [(blocks_out, (0, 1, 3))])], True)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bracketc import structures
from bracketc.emit.layout import WIDTH, literal
from bracketc.ir.printer import label_text
from bracketc.ir.program import Entry, Structure, Term, TermKind

CLASSES: dict[TermKind, str] = {
    "diagonal": "Diagonal",
    "block diagonal": "BlockDiagonal",
    "kronecker": "Kronecker",
    "symmetric": "Symmetric",
    "product": "Product",
}

_MARKER = "# ----"


@cache
def class_text() -> str:
    """The classes of :mod:`bracketc.structures`, without what stands above its marker."""
    text = Path(structures.__file__).read_text(encoding="utf-8")
    return text.split(_MARKER, 1)[1].split("\n", 1)[1].strip("\n")


def class_name(structure: Structure) -> str:
    """The class of a result."""
    return CLASSES[structure.terms[0].kind] if len(structure.terms) == 1 else "Sum"


def constructor(target: str, structure: Structure, shape: str, stored: Sequence[str]) -> tuple[str, ...]:
    """``target = BlockDiagonal(…)`` over the variables ``stored``."""
    made = [_term(term, structure, shape, stored) for term in structure.terms]
    if len(made) == 1:
        lines = made[0]
    else:
        inner = [f"    {line}" for each in made for line in (*each[:-1], f"{each[-1]},")]
        lines = ["Sum([", *inner, "]" + (", True)" if structure.symmetric else ")")]
    return (f"{target} = {lines[0]}", *lines[1:])


def _term(term: Term, whole: Structure, shape: str, stored: Sequence[str]) -> list[str]:
    factors = ", ".join(f"({stored[number]}, {literal(axes)})" for number, axes in zip(term.stored, term.factors, strict=True))
    symmetric = whole.symmetric and (len(whole.terms) == 1 or term.kind in ("diagonal", "symmetric"))
    opening = f"{CLASSES[term.kind]}({shape}, {whole.rows}, ["
    product = f"({literal(tuple(term.equal))}, [{factors}])"
    closing = "], True)" if symmetric or term.kind == "symmetric" else "])"
    line = f"{opening}{product}{closing}"
    return [line] if len(line) <= WIDTH - 12 else [opening, f"    {product},", closing]


@dataclass(frozen=True, slots=True)
class PublicView:
    """A result as a caller sees it. ``stored`` names the tensors of a structure, and is empty for an array; ``entries`` counts what
    they hold, ``made`` are the lines that make the structure from them."""

    name: str
    shape: str
    dtype_name: str
    dims: str
    kinds: str
    symmetric: bool
    entries: str
    stored: tuple[str, ...]
    made: tuple[str, ...]


def stored_formulas(entry: Entry, fields: Sequence[str]) -> list[str]:
    """How results are made of what is stored, for readers of C: ``U(i,j,k,l) = delta(i,k) H_blocks(i,j,l)``."""
    found, rest = [], list(fields)
    for form in entry.forms:
        if form.structure is None or form.node is None:
            del rest[:1]
            continue
        stored, rest = rest[: form.structure.count], rest[form.structure.count :]
        letters = [label_text(axis) for axis in range(form.node.rank)]
        terms = []
        for term in form.structure.terms:
            deltas = [f"delta({','.join(letters[axis] for axis in group)})" for group in term.equal]
            factors = [
                f"{stored[number]}({','.join(letters[axis] for axis in axes)})" if axes else stored[number]
                for number, axes in zip(term.stored, term.factors, strict=True)
            ]
            terms.append(" ".join([*deltas, *factors]))
        found.append(f"{form.name}({','.join(letters)}) = {' + '.join(terms)}")
    return found
