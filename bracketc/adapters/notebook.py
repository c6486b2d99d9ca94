"""Notebooks: programs, derivatives and verdicts as mathematics, and a cell that is a program.

Objects of bracketc show themselves: a notebook asks them for ``_repr_html_`` and ``_repr_latex_``. Programs lie in row 1, below
which typesetting may not be imported; :func:`bracketc.ir.program.represent` has the pipeline pass it up. This module adds a
cell magic and is for IPython to load:

    %load_ext bracketc.adapters.notebook

    %%brk model
    dim N, D
    input X : N, D
    …

parses the cell, shows the program and its derivatives, and binds it to ``model``. IPython itself is never imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bracketc.compiler import parse
from bracketc.derivation import derive
from bracketc.emit.page import PageView, fragment
from bracketc.emit.proofs import proof_views
from bracketc.emit.statements import statement_views
from bracketc.errors import BracketError
from bracketc.ir.program import Program
from bracketc.lang.parser import parse_file
from bracketc.verification import verify


class Shell(Protocol):
    """What is used of an IPython shell."""

    user_ns: dict[str, object]

    def register_magic_function(self, function: Callable[..., object], kind: str, name: str) -> None: ...


class Cell:
    """A program as a cell shows it: what it says, its derivatives, its derivations with their verdicts."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def _repr_html_(self) -> str:
        tree = parse_file(self.program.source)
        verified = verify(self.program)
        formulas = derive(self.program).views() if self.program.requests else ()
        return fragment(PageView("", "", statement_views(tree), formulas, proof_views(tree, verified.proofs)))

    def __repr__(self) -> str:
        parts = [str(derive(self.program))] if self.program.requests else []
        verified = verify(self.program)
        return "\n\n".join([*parts, *([str(verified)] if verified else [])]) or "a program without requests and derivations"


def load_ipython_extension(shell: Shell) -> None:
    """Register ``%%brk``: called by ``%load_ext``."""

    def brk(line: str, cell: str) -> Cell | None:
        """Parse the cell as a program and show it; ``%%brk NAME`` binds the program to NAME."""
        name = line.strip()
        try:
            program = parse(cell, "<cell>")
        except BracketError as error:
            print(error)
            return None
        if name:
            shell.user_ns[name] = program
        return Cell(program)

    shell.register_magic_function(brk, "cell", "brk")
