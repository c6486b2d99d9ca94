"""Derivatives that are products of deltas and smaller tensors, and sums of these: what of them is stored.

    (2 δ_ik M_im M_im V_mj V_ml | ijkl)   ->   block diagonal: δ_ik, and the stored (2 M_im M_im V_mj V_ml | ijl)
    (δ_ij s_i | ij) - (s_i s_j | ij)      ->   diagonal: δ_ij, and the stored s;  symmetric: the stored s twice

An entry computes the stored tensors alone; nothing below plans or emits a delta. What is a product of its own (a contraction, a
function) stays whole: only element-wise products and sums are opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bracketc.ir.build import add, einsum, exact, product
from bracketc.ir.nodes import Add, Delta, Einsum, Labels, Node, Number, Shape
from bracketc.ir.program import Candidate, Entry, Form, Structure, Term, TermKind
from bracketc.ir.rewrite import topological
from bracketc.simplify.brackets import is_contraction

MOST_TERMS = 8
"""A sum of more products is taken for a dense one."""

TYPICAL = 100
"""What a named size is taken for where stored entries are counted."""

Factor = tuple[Node, Labels]


@dataclass(frozen=True, slots=True)
class Stored:
    """A structure, and the tensors that it stores: factor by factor, term by term."""

    structure: Structure
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class _Product:
    """``coefficient`` times factors whose labels are axes of the result, where the axes of each group agree."""

    coefficient: Number
    equal: tuple[tuple[int, ...], ...]
    factors: tuple[Factor, ...]

    def carried(self) -> set[int]:
        return {label for _, labels in self.factors for label in labels}


# ---------------------------------------------------------------------------------------------- entries
def store_structures(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """``entries`` that compute what their results store. One whose products without a delta a dense array would have to be filled
    with is followed by its dense twin, called ``NAME_dense``."""
    given = tuple(entries)
    names = {entry.name for entry in given}
    found: list[Entry] = []
    for entry in given:
        stored = _stored_entry(entry) if entry.forms else None
        found.append(stored or entry)
        if stored is not None and any(not term.equal for form in stored.forms if form.structure for term in form.structure.terms):
            name = f"{entry.name}_dense"
            while name in names:
                name += "_"
            names.add(name)
            found[-1] = replace(stored, twin=name)
            found.append(replace(entry, name=name))
    return tuple(found)


def _stored_entry(entry: Entry) -> Entry | None:
    """``entry`` with the smallest structure that one of its candidates shows; ``None`` when all results are dense."""
    candidates = entry.candidates or (Candidate("", tuple(node for _, node in entry.results)),)
    described: list[tuple[Stored | None, ...]] = []
    for candidate in candidates:
        described.append(tuple(_described(form, node) for form, node in zip(entry.forms, candidate.nodes, strict=True)))
    costs = [
        sum(_entries(stored.nodes) if stored else _entries([node]) for stored, node in zip(each, candidate.nodes, strict=True))
        for each, candidate in zip(described, candidates, strict=True)
    ]
    best = costs.index(min(costs))
    structures = tuple(stored.structure if stored else None for stored in described[best])
    if not any(structures):
        return None
    kept = []
    for candidate, each in zip(candidates, described, strict=True):
        if tuple(stored.structure if stored else None for stored in each) == structures:
            parts = zip(each, candidate.nodes, strict=True)
            nodes = tuple(part for stored, node in parts for part in (stored.nodes if stored else (node,)))
            kept.append(Candidate(candidate.mode, nodes))
    whole = candidates[best].nodes
    forms = tuple(
        replace(form, structure=structure, node=node)
        for form, structure, node in zip(entry.forms, structures, whole, strict=True)
    )
    names = [name for form in forms for name in _names(form, alone=len(forms) == 1)]
    results = tuple(zip(names, kept[0].nodes, strict=True))
    return replace(entry, results=results, forms=forms, candidates=tuple(kept) if entry.candidates else ())


def _described(form: Form, node: Node) -> Stored | None:
    return None if form.rows is None else describe(node, form.rows, form.symmetric)


def _names(form: Form, alone: bool) -> list[str]:
    """Names of what a result stores: ``blocks``, or ``H_blocks`` where it is not alone; in a sum, by the first term that has it."""
    if form.structure is None:
        return [form.name]
    found: dict[int, str] = {}
    for place, term in enumerate(form.structure.terms, 1):
        parts = [] if alone else [form.name]
        parts += [f"term{place}"] if len(form.structure.terms) > 1 else []
        noun = {"diagonal": "values", "block diagonal": "blocks"}.get(term.kind, "factor")
        own = sorted(set(term.stored))
        for number, stored in enumerate(own, 1):
            found.setdefault(stored, "_".join([*parts, noun if len(own) == 1 else f"factor{number}"]))
    return list(found.values())


def _entries(nodes: Iterable[Node]) -> int:
    return sum(_size(node.shape) for node in nodes)


def _size(shape: Shape) -> int:
    count = 1
    for extent in shape:
        count *= max(1, extent.evaluate(dict.fromkeys(extent.names, TYPICAL)))
    return count


# ---------------------------------------------------------------------------------------------- one result
def describe(node: Node, rows: int, symmetric: bool = False) -> Stored | None:
    """What of ``node`` is stored, its first ``rows`` axes being rows; ``None`` when that would not be less than all of it."""
    products = _products(node)
    if products is None or not node.rank:
        return None
    merged = _merged([_gathered(each, rows, node.shape) for each in products], node.shape)
    terms: list[Term] = []
    nodes: dict[Node, None] = {}
    for each in merged:
        cores = [core for core, _ in each.factors]
        if any(core.rank == node.rank for core in cores):
            return None
        nodes.update(dict.fromkeys(cores))
        axes = tuple(labels for _, labels in each.factors)
        kind = _kind(each, rows, node.shape)
        terms.append(Term(kind, each.equal, axes, tuple(list(nodes).index(core) for core in cores)))
    sizes = [extent.constant for extent in node.shape]
    if None not in sizes and _entries(nodes) >= _size(node.shape):
        return None
    symmetric = symmetric or all(term.kind in ("diagonal", "symmetric") for term in terms)
    return Stored(Structure(rows, tuple(terms), symmetric), tuple(nodes))


def _products(node: Node) -> list[_Product] | None:
    """``node`` as a sum of products of deltas and of factors that are not opened; ``None`` for too many."""
    holds = _holding_deltas(node)
    pending = [_Product(exact(1), (), ((node, tuple(range(node.rank))),))]
    done: list[_Product] = []
    while pending:
        if len(pending) + len(done) > MOST_TERMS:
            return None
        current = pending.pop()
        for place, (factor, labels) in enumerate(current.factors):
            others = (*current.factors[:place], *current.factors[place + 1 :])
            if isinstance(factor, Delta):
                pending.append(_Product(current.coefficient, (*current.equal, labels), others))
            elif isinstance(factor, Einsum) and not is_contraction(factor):
                inner = tuple((part, tuple(labels[label] for label in own)) for part, own in factor.factors)
                opened = (*current.factors[:place], *inner, *current.factors[place + 1 :])
                pending.append(_Product(product(current.coefficient, factor.coefficient), current.equal, opened))
            elif isinstance(factor, Add) and (not others or factor in holds):
                terms = [replace(current, factors=(*others[:place], (term, labels), *others[place:])) for term in factor.terms]
                pending += reversed(terms)
            else:
                continue
            break
        else:
            done.append(current)
    return done


def _holding_deltas(root: Node) -> set[Node]:
    """Sums and products below ``root`` in which a delta would come to light. For membership tests only."""
    found: set[Node] = set()
    for node in topological([root]):
        opened = isinstance(node, Add) or (isinstance(node, Einsum) and not is_contraction(node))
        if isinstance(node, Delta) or (opened and any(operand in found for operand in node.operands)):
            found.add(node)
    return found


def _gathered(given: _Product, rows: int, shape: Shape) -> _Product:
    """The product with joined groups of axes, the first of a group for all of it, and factors over some of the axes of another
    merged into that one."""
    first = list(range(len(shape)))
    for left, right in given.equal:
        low, high = sorted((first[left], first[right]))
        first = [low if label == high else label for label in first]
    groups = [tuple(axis for axis in range(len(shape)) if first[axis] == label) for label in range(len(shape))]
    equal = tuple(group for group in groups if len(group) > 1)
    gathered: list[tuple[tuple[int, ...], list[Factor]]] = []
    relabelled = [(factor, tuple(first[label] for label in labels)) for factor, labels in given.factors]
    scale = [each for each in relabelled if not each[1]]
    for factor, labels in sorted((each for each in relabelled if each[1]), key=lambda each: -len(set(each[1]))):
        home = next((parts for axes, parts in gathered if set(labels) <= set(axes)), None)
        if home is None:
            gathered.append((tuple(sorted(set(labels))), [(factor, labels)]))
        else:
            home.append((factor, labels))
    if _is_diagonal(equal, rows, len(shape)):  # one value for each row
        gathered = [(tuple(range(rows)), [factor for _, parts in gathered for factor in parts])]
    gathered.sort(key=lambda each: each[0])
    extents = dict(enumerate(shape))
    cores: list[Factor] = [(einsum(1, parts, axes, extents), axes) for axes, parts in gathered]
    if not cores or len({core for core, _ in cores}) < len(cores):  # what stands twice is stored once, without the scale
        if not cores or given.coefficient != 1 or scale:
            cores.append((einsum(given.coefficient, scale, ()), ()))
    else:
        axes, parts = gathered[-1]
        cores[-1] = einsum(given.coefficient, [*parts, *scale], axes, extents), axes
    return _Product(exact(1), equal, tuple(cores))


def _is_diagonal(equal: Sequence[tuple[int, ...]], rows: int, rank: int) -> bool:
    return 2 * rows == rank > 0 and list(equal) == [(axis, rows + axis) for axis in range(rows)]


def _merged(products: Sequence[_Product], shape: Shape) -> list[_Product]:
    """Products with the same deltas added up where one of them stores an entry for every place that is not zero."""
    found: list[_Product] = []
    groups: dict[tuple[tuple[int, ...], ...], list[_Product]] = {}
    for each in products:
        groups.setdefault(each.equal, []).append(each)
    extents = dict(enumerate(shape))
    for equal, members in groups.items():
        again = {axis for group in equal for axis in group[1:]}
        axes = tuple(axis for axis in range(len(shape)) if axis not in again)
        if len(members) == 1 or not any(len(each.factors) == 1 and each.factors[0][1] == axes for each in members):
            found += members
            continue
        terms = [einsum(each.coefficient, each.factors, axes, extents) for each in members]
        found.append(_Product(exact(1), equal, ((add(terms), axes),)))
    return sorted(found, key=lambda each: (-len(each.equal), each.equal, [axes for _, axes in each.factors]))


def _kind(given: _Product, rows: int, shape: Shape) -> TermKind:
    rank = len(shape)
    if _is_diagonal(given.equal, rows, rank):
        return "diagonal"
    swapped = {(core, tuple((axis + rows) % rank for axis in axes)) for core, axes in given.factors}
    if not given.equal and shape[:rows] == shape[rows:] and swapped == set(given.factors):
        return "symmetric"
    if not all(len(group) == 2 and group[0] < rows <= group[1] for group in given.equal):
        return "product"
    pieces = _pieces(given)
    if len(pieces) > 1 and any(min(piece) < rows <= max(piece) for piece in pieces):
        return "kronecker"
    return "block diagonal" if given.equal else "product"


def _pieces(given: _Product) -> list[set[int]]:
    """Axes of what is multiplied: those of an identity, and those of factors that are connected by common axes."""
    pieces = [set(group) for group in given.equal]
    for _, axes in given.factors:
        if axes:
            touched = [piece for piece in pieces if piece & set(axes)]
            pieces = [piece for piece in pieces if not piece & set(axes)]
            pieces.append(set(axes).union(*touched))
    return pieces
