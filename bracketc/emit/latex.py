"""Whole LaTeX documents around what ``--format latex`` prints, which needs nothing but amsmath."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bracketc.emit.marks import latex_text
from bracketc.emit.resources import render


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A finished title and a finished body."""

    title: str
    body: str


def document(title: str, body: str) -> str:
    """A document that pdflatex compiles: ``title`` is plain text, ``body`` LaTeX."""
    return render("latex/document.tex.j2", document=DocumentView(latex_text(title), body))


WIDEST = 78
"""Characters of a line; a longer formula is broken before its signs."""


def split_terms(text: str) -> list[str]:
    """A LaTeX formula cut before every sign and behind every comma that stands outside of brackets.

    >>> split_terms(r"A + \\left(b + c\\right) - d")
    ['A ', '+ \\\\left(b + c\\\\right) ', '- d']
    """
    found = [""]
    depth = 0
    for part in re.split(r"(\\left(?![a-z])|\\right(?![a-z])|\\begin|\\end|[{}()\[\]]|,\\quad | [+-] )", text):
        if part in ("\\left", "\\begin", "{", "(", "["):
            depth += 1
        elif part in ("\\right", "\\end", "}", ")", "]"):
            depth -= 1
        if depth == 0 and part in (" + ", " - "):
            found.append(part.lstrip())
            continue
        found[-1] += part
        if depth == 0 and part == ",\\quad ":
            found.append("")
    return found


def packed(terms: Sequence[str]) -> list[str]:
    """Terms on as few lines of :data:`WIDEST` characters as they fill."""
    lines = [terms[0]]
    width = visible_width(terms[0])
    for term in terms[1:]:
        size = visible_width(term)
        if width + size > WIDEST and width:
            lines.append(term)
            width = size
        else:
            lines[-1] += term
            width += size
    return lines


def visible_width(text: str) -> int:
    """About how many characters a formula is wide: a command is one, or none where it only dresses what follows."""
    text = re.sub(r"\\(left|right|middle|mathrm|mathbf|mathsf|mathit|overline|operatorname|text|quad|,|;)", "", text)
    text = re.sub(r"\\(odot|oslash|otimes|ominus|oplus|cdot|times)|[=+-]", "xxx", text)  # with the spaces around them
    text = re.sub(r"\\[a-zA-Z]+|\\.", "x", text)
    return len(re.sub(r"[{}_^ ]", "", text))


def displayed(body: str) -> str:
    """Aligned equations as notebooks take them: one formula between dollar signs.

    >>> displayed("\\\\begin{align*}\\n  a &= b\\n\\\\end{align*}")
    '$$\\\\begin{aligned}\\n  a &= b\\n\\\\end{aligned}$$'
    """
    return f"$${body.replace('align*}', 'aligned}')}$$"
