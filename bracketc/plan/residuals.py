"""What ``forward`` saves for ``backward``: the fewest bytes from which ``backward`` needs cheap element-wise work only.

Arguments are there anyway. Contractions, transcendental functions, reductions and loops that ``forward`` runs are
never run again. So the values to save are a cut between those and what the cotangents are multiplied by, and the
cheapest one is a minimum cut. A maximum whose place is asked for (:mod:`bracketc.ir.extrema`) is found anew, among the entries that
``backward`` has.

    Z = tanh(A):  backward needs Z and 1 - Z²   ->   saves Z
    Z = relu(A):  backward needs Z and A > 0    ->   saves A
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bracketc.ir.extrema import located
from bracketc.ir.nodes import (
    Add,
    Compare,
    Delta,
    Einsum,
    Literal,
    Node,
    Pointwise,
    Project,
    Range,
    Recurrence,
    Select,
    Size,
    Tensor,
    Window,
)
from bracketc.ir.rewrite import depends_on, topological
from bracketc.plan.cost import WIDTHS
from bracketc.plan.hints import Hints
from bracketc.plan.mincut import minimum_cut
from bracketc.plan.scalars import CHEAP_FUNCTIONS, costly_exponent


@dataclass(frozen=True, slots=True)
class Residuals:
    """Nodes that ``forward`` saves, in the order in which it makes them; and those that ``backward`` computes again
    from them."""

    saved: tuple[Node, ...]
    recomputed: tuple[Node, ...]


def choose_residuals(
    forward: Iterable[Node], backward: Iterable[Node], cotangents: Iterable[Node], hints: Hints
) -> Residuals:
    """The residuals of two graphs that share nodes; ``cotangents`` are the arguments of ``backward`` alone."""
    forward, backward = tuple(forward), tuple(backward)
    order = topological(backward)
    together = {node for node in located(backward) if not isinstance(node.operands[0], Tensor)}

    def costly(node: Node) -> bool:
        return node not in together and _is_costly(node)

    tainted = depends_on(backward, cotangents)
    computed = _computed(forward, order)
    inputs = depends_on(backward, [node for node in order if isinstance(node, Tensor)])
    demanded = dict.fromkeys(root for root in backward if root not in tainted)
    for node in order:
        if node in tainted:
            demanded.update(dict.fromkeys(operand for operand in node.operands if operand not in tainted))
    wanted = [node for node in demanded if node in inputs and not isinstance(node, Tensor)]
    saved: set[Node] = set()
    region: dict[Node, None] = {}
    pending = list(wanted)
    while pending:
        node = pending.pop()
        if node in region or node in saved or node not in inputs or isinstance(node, Tensor):
            continue
        if node in demanded and node in computed and costly(node):
            saved.add(node)
            continue
        region[node] = None
        if not (node in computed and costly(node)):
            pending.extend(node.operands)
    sources = [node for node in region if node in computed and costly(node)]
    blocked = set(sources)
    edges = [
        (operand, node) for node in region if node not in blocked for operand in node.operands if operand in region
    ]
    weights = {
        node: hints.count(node.shape) * WIDTHS[node.dtype]
        for node in region
        if node in computed and node not in together and not isinstance(node, Recurrence) and not _repeats(node)
    }
    saved.update(minimum_cut(list(region), edges, weights, sources, [node for node in wanted if node in region]))
    again = _recomputed(wanted, saved, inputs)
    kept = tuple(node for node in topological((*forward, *(node for node in order if node in saved))) if node in saved)
    return Residuals(kept, tuple(node for node in order if node in again and node in computed))


def _computed(forward: Iterable[Node], order: Iterable[Node]) -> set[Node]:
    """What ``forward`` has at hand: its nodes, and everything that the loops it runs can put out."""
    found = set(topological(forward))
    found.update(node for node in order if isinstance(node, Project) and node.arg in found)
    return found


def _recomputed(wanted: Iterable[Node], saved: set[Node], inputs: set[Node]) -> set[Node]:
    found: set[Node] = set()
    pending = list(wanted)
    while pending:
        node = pending.pop()
        if node not in found and node not in saved and node in inputs and not isinstance(node, Tensor):
            found.add(node)
            pending.extend(node.operands)
    return found


def _repeats(node: Node) -> bool:
    """Whether a node holds all entries of another one, which is saved rather: it is no larger, but where a size is 0."""
    if not isinstance(node, Einsum) or len(node.factors) != 1:
        return False
    ((_, labels),) = node.factors
    return len(set(labels)) == len(labels) and set(labels) <= set(node.output)


def _is_costly(node: Node) -> bool:
    """Whether a node is more than a few flops an entry of its own shape, so that it is worth saving."""
    match node:
        case Pointwise():
            if node.function == "power":
                return costly_exponent(node.exponent)
            return node.function not in CHEAP_FUNCTIONS
        case Einsum():
            return any(label not in node.output for _, labels in node.factors for label in labels)
        case Add() | Compare() | Select() | Window() | Literal() | Size() | Range() | Delta() | Tensor():
            return False
        case Recurrence():
            return False  # its projections are what is saved
        case Project():
            return True
        case _:
            return True
