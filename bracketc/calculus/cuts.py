"""Outputs as functions of definitions that requests differentiate by: the definition becomes a variable of its own.

Elaboration cuts by name, so that an expression that only equals the definition stays; what it has not cut, such as a
request from the command line, is cut here, wherever the node of the definition stands. Both come before any rewriting:
afterwards the node of a definition may be gone, and a derivative by it would be 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bracketc.ir.build import fill_value
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Cut, Program
from bracketc.ir.rewrite import substitute


def cut_definitions(program: Program) -> Program:
    """``program`` with a cut for each definition that a request differentiates an output by.

    Z = X @ W, J = (Z · Z), gradient J wrt Z   ->   J as a function of Z: (%Z · %Z)
    """
    known = {(cut.output, cut.wrt) for cut in program.cuts}
    found = []
    for output, wrt, node, source in _asked(program):
        if (output, wrt) not in known:
            known.add((output, wrt))
            variable = Tensor(f"%{wrt}", source.shape)
            (node,) = substitute((node,), {source: variable})
            found.append(Cut(output, wrt, node, variable))
    return replace(program, cuts=(*program.cuts, *found)) if found else program


def _asked(program: Program) -> Iterator[tuple[str, str, Node, Node]]:
    """Output, definition, and their nodes."""
    arguments = {tensor.name for tensor in program.arguments}
    definitions = dict(program.definitions)
    outputs = {**definitions, **dict(program.results)}
    for request in program.requests:
        # What backward takes cotangents of: the target and every other result.
        targets = {request.output: None, **({} if request.kind != "gradient" else dict.fromkeys(n for n, _ in program.results))}
        for wrt in request.wrt:
            source = definitions.get(wrt)
            if source is None or wrt in arguments or source.dtype != "real" or fill_value(source) is not None:
                continue
            for output in targets:
                node = outputs.get(output)
                if node is not None and node.dtype == "real" and output != wrt:
                    yield output, wrt, node, source
