"""Whole LaTeX documents around what ``--format latex`` prints, which needs nothing but amsmath."""

from __future__ import annotations

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


def displayed(body: str) -> str:
    """Aligned equations as notebooks take them: one formula between dollar signs.

    >>> displayed("\\\\begin{align*}\\n  a &= b\\n\\\\end{align*}")
    '$$\\\\begin{aligned}\\n  a &= b\\n\\\\end{aligned}$$'
    """
    return f"$${body.replace('align*}', 'aligned}')}$$"
