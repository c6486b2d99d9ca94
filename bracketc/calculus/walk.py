"""What both directions of differentiation share: the order of a cut graph, and the error for a missing rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from bracketc.errors import Diagnostic, UnsupportedError
from bracketc.ir.nodes import Node
from bracketc.ir.rewrite import Origin
from bracketc.ir.work import spend

Origins = Mapping[Node, Origin]


def order(roots: Iterable[Node], cuts: Collection[Node]) -> list[Node]:
    """Every node below ``roots``, operands first, without those that stand only below ``cuts``."""
    done: set[Node] = set()
    found: list[Node] = []
    for root in roots:
        pending = [(root, False)]
        while pending:
            node, ready = pending.pop()
            if ready:
                found.append(node)
                continue
            if node in done:
                continue
            done.add(node)
            pending.append((node, True))
            if node not in cuts:
                pending.extend((operand, False) for operand in reversed(node.operands) if operand not in done)
    spend(len(found))  # many derivatives of one program walk over it once each
    return found


def no_rule(node: Node, what: str, origins: Origins, help: str = "") -> UnsupportedError:
    """The error for ``what``, such as "the derivative of trigamma", at the place that wrote ``node`` if it is known."""
    origin = origins.get(node, Origin())
    name = f", in {origin.name}" if origin.name else ""
    return UnsupportedError(Diagnostic(f"no rule for {what}{name}", origin.span, help))
