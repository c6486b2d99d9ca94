"""Applying a pass over roots to a whole program, or to all of its entry points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bracketc.ir.nodes import Node
from bracketc.ir.program import Candidate, Entry, Program
from bracketc.ir.rewrite import Origin, Roots

Pass = Callable[[Roots], Roots]


def over_program(program: Program, apply: Pass) -> Program:
    """``program`` with its definitions, results, cuts and written formulas rewritten together: what they share stays shared."""
    count = len(program.definitions)
    named = (*program.definitions, *program.results)
    parts = (*(cut.node for cut in program.cuts), *(formula.node for formula in program.written))
    roots = apply(Roots((*(node for _, node in named), *parts), program.origins))
    pairs = tuple(zip((name for name, _ in named), roots.nodes, strict=False))
    rest = iter(roots.nodes[len(named) :])
    cuts = tuple(replace(cut, node=next(rest)) for cut in program.cuts)
    written = tuple(replace(formula, node=next(rest)) for formula in program.written)
    return replace(program, definitions=pairs[:count], results=pairs[count:], origins=roots.origins, cuts=cuts, written=written)


def over_entries(
    entries: Sequence[Entry], origins: Mapping[Node, Origin], apply: Pass
) -> tuple[tuple[Entry, ...], Mapping[Node, Origin]]:
    """``entries`` with all their results rewritten together, and the origins of the new nodes.

    Candidates are rewritten one by one: what two of them share is computed once in a module, not twice.
    """
    nodes = tuple(node for entry in entries if not entry.candidates for _, node in entry.results)
    roots = apply(Roots(nodes, origins))
    rest, known = iter(roots.nodes), roots.origins
    rewritten = []
    for entry in entries:
        if not entry.candidates:
            rewritten.append(replace(entry, results=tuple((name, next(rest)) for name, _ in entry.results)))
            continue
        found = []
        for candidate in entry.candidates:
            roots = apply(Roots(candidate.nodes, known))
            found.append(Candidate(candidate.mode, roots.nodes))
            known = roots.origins
        rewritten.append(entry.with_candidates(tuple(found)))
    return tuple(rewritten), known
