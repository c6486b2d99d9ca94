"""Names with a general number: ``Z[t-1]`` of a recurrence, ``W[j]`` of a family, and moving them along their range.

The layers of a recurrence are written for a general step already; those of a family become one general layer where all
members are alike but for their sizes:

    A[1] = Z[0] @ W[1], A[2] = Z[1] @ W[2]   ->   A[j] = Z[j-1] @ W[j] for j = 1..2
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node, Tensor, Window
from bracketc.ir.rewrite import Roots, map_nodes, substitute, tensors, topological
from bracketc.ir.sizes import substitute_dims
from bracketc.lang.layers import Layer, Layered, Recurring
from bracketc.proof.presentation import Over

_INDEX = re.compile(r"\[([^\[\]]*)\]")
_NUMBER = re.compile(r"-?[0-9]+")

LETTERS = "jkitmn"

Extents: TypeAlias = Mapping[str, Mapping[int, Dim]]
"""Sizes with numbers: {"D": {0: 784, 1: 256}}."""


class UnlikeError(Exception):
    """What would be said of a general member of a family does not hold for all of them."""


@dataclass(frozen=True, slots=True)
class Ranged:
    """A base name with its general number: ``numbers`` of a family, or the steps of a recurrence ``first..last``.

    What is ``sliced`` is whole itself, an argument or a definition, and steps of a recurrence take slices of it.
    """

    base: str
    letter: str
    first: str
    last: str
    numbers: tuple[int, ...] = ()
    sliced: bool = False

    @property
    def name(self) -> str:
        """``Z[t]``."""
        return f"{self.base}[{self.letter}]"

    @property
    def over(self) -> Over:
        return Over(self.letter, self.first, self.last)

    def offset(self, name: str) -> int | None:
        """The distance of a general name: ``Z[t-1]`` -> -1; None for any other."""
        base, entry = split_name(name)
        if base != self.base or entry is None:
            return None
        found = re.fullmatch(rf"{re.escape(self.letter)}([+-]\d+)?", entry)
        return None if found is None else int(found[1] or 0)

    def member(self, name: str) -> int | None:
        """The number of a member: ``Z[-1]`` -> -1; None for any other name."""
        base, entry = split_name(name)
        return number_of(entry) if base == self.base else None


def split_name(name: str) -> tuple[str, str | None]:
    """``Z[t-1]`` -> ("Z", "t-1");  ``W`` -> ("W", None)."""
    found = re.fullmatch(r"(.*)\[([^\[\]]*)\]", name)
    return (name, None) if found is None else (found[1], found[2])


def number_of(entry: str | None) -> int | None:
    """"-1" -> -1;  "t-1" -> None."""
    return None if entry is None or not _NUMBER.fullmatch(entry) else int(entry)


def entry(letter: str, offset: int) -> str:
    return letter if offset == 0 else f"{letter}{offset:+d}"


def renamed(node: Node, change: Callable[[str], str]) -> Node:
    """``node`` with every index in the name of a tensor or of a size changed."""

    def new(name: str) -> str:
        return _INDEX.sub(lambda found: f"[{change(found[1])}]", name)

    sizes = {name for inner in topological([node]) for extent in inner.shape for name in extent.names if "[" in name}
    (sized,) = substitute_dims(Roots((node,)), {name: Dim.named(new(name)) for name in sizes})[0].nodes if sizes else (node,)
    values: dict[Node, Node] = {t: replace(t, name=new(t.name)) for t in tensors([sized]) if new(t.name) != t.name}
    return substitute((sized,), values)[0]


def shifted(node: Node, letter: str, by: int) -> Node:
    """``node`` for the number ``letter + by``: X[t] @ W, 1 -> X[t+1] @ W."""
    return renamed(node, lambda text: _moved(text, letter, by))


def _moved(text: str, letter: str, by: int) -> str:
    found = re.fullmatch(rf"{re.escape(letter)}([+-]\d+)?", text)
    return text if found is None else entry(letter, int(found[1] or 0) + by)


def placed(node: Node, letter: str, at: str, extents: Extents) -> Node:
    """``node`` for one number: X[t-1], T -> X[T-1]."""

    def change(text: str) -> str:
        found = re.fullmatch(rf"{re.escape(letter)}([+-]\d+)?", text)
        if found is None:
            return text
        offset = int(found[1] or 0)
        number = number_of(at)
        if number is not None:
            return str(number + offset)
        return at if offset == 0 else f"{at}{offset:+d}"

    sizes = {f"{base}[{number}]": size for base, known in extents.items() for number, size in known.items()}
    return substitute_dims(Roots((renamed(node, change),)), sizes)[0].nodes[0]


def is_general(node: Node, letters: Iterable[str]) -> str | None:
    """The letter of the general number that a name or a size in ``node`` holds, if one does."""
    known = tuple(letters)
    for inner in topological([node]) if known else ():
        names = [inner.name] if isinstance(inner, Tensor) else []
        names += [name for extent in inner.shape for name in extent.names]
        for text in (text for name in names for text in _INDEX.findall(name)):
            for letter in known:
                if re.fullmatch(rf"{re.escape(letter)}([+-]\d+)?", text):
                    return letter
    return None


def offsets(tensor: Tensor, letter: str) -> list[int]:
    """The distances in the name of a general tensor: ∇[A[t+1]](J) -> 1."""
    found = (re.fullmatch(rf"{re.escape(letter)}([+-]\d+)?", text) for text in _INDEX.findall(tensor.name))
    return [int(match[1] or 0) for match in found if match is not None]


def generalised(node: Node, number: int, letter: str, families: Iterable[str]) -> Node:
    """``node``, which belongs to a member, for a general one: Z[1] @ W[2], 2 -> Z[j-1] @ W[j]."""
    values: dict[Node, Node] = {}
    known = set(families)
    for tensor in tensors([node]):
        base, text = split_name(tensor.name)
        own = number_of(text)
        if own is not None and _is_member(base, known):
            values[tensor] = replace(tensor, name=f"{base}[{entry(letter, own - number)}]")
    return substitute((node,), values)[0]


def _is_member(base: str, families: set[str]) -> bool:
    return base in families or (base.startswith("d") and base[1:] in families)


def alike(members: Mapping[int, Node], letter: str, families: Iterable[str], extents: Extents) -> Node | None:
    """The node for a general number, where ``members`` differ in numbers and sizes alone; None where they do not.

        {1: Z[0] @ W[1], 2: Z[1] @ W[2]}   ->   Z[j-1] @ W[j]
    """
    if any(node.loops for node in members.values()):
        return None
    written = [generalised(node, number, letter, families) for number, node in members.items()]
    orders = [topological([node]) for node in written]
    if len({signature(node) for node in written}) > 1 or len({len(order) for order in orders}) > 1:
        return None
    found: dict[Node, Node] = {}

    def general(values: tuple[Any, ...]) -> Any:
        first = values[0]
        if isinstance(first, Node):
            return found[first]
        if isinstance(first, Dim):
            return size_of(dict(zip(members, values, strict=True)), letter, extents)
        if isinstance(first, tuple):
            return tuple(map(general, zip(*values, strict=True)))
        return first

    try:
        for nodes in zip(*orders, strict=True):
            parts = [general(tuple(getattr(node, item.name) for node in nodes)) for item in fields(nodes[0])]
            found[nodes[0]] = type(nodes[0])(*parts)
    except UnlikeError:
        return None
    return found[written[0]]


def size_of(members: Mapping[int, Dim], letter: str, extents: Extents) -> Dim:
    """The size that is called alike for all ``members``: {1: 784, 2: 256} -> D[j-1] of dim D[0..2] = 784, 256, 10."""
    if len(set(members.values())) == 1:
        return next(iter(members.values()))
    for base, known in extents.items():
        for offset in sorted({own - number for own in known for number in members}, key=abs):
            if all(known.get(number + offset) is size for number, size in members.items()):
                return Dim.named(f"{base}[{entry(letter, offset)}]")
    raise UnlikeError


def signature(node: Node) -> Hashable:
    """Equal for graphs that differ in their sizes alone."""
    keys: dict[Hashable, int] = {}
    found: dict[Node, int] = {}
    for inner in topological([node]):
        parts: list[Hashable] = [type(inner).__name__]
        for item in fields(inner):
            parts.append(_part(getattr(inner, item.name), found))
        found[inner] = keys.setdefault(tuple(parts), len(keys))
    return tuple(keys)


def _part(value: object, found: Mapping[Node, int]) -> Hashable:
    if isinstance(value, Node):
        return found[value]
    if isinstance(value, Dim):
        return "size"
    if isinstance(value, tuple):
        return tuple(_part(item, found) for item in value)
    return (type(value).__name__, str(value))


# ------------------------------------------------------------------------------------------- layers
@dataclass(frozen=True, slots=True)
class Names:
    """The layers of a file by name, general ones in place of members and steps, and the ranges by base name."""

    layers: Mapping[str, Layer]
    ranges: Mapping[str, Ranged]


def general_names(layered: Layered, wrt: Sequence[str], families: bool = True) -> Names:
    """The layers with general ones for recurrences, and for ``families`` where these are alike."""
    layers: dict[str, Layer] = {}
    ranges: dict[str, Ranged] = {}
    whole = {layer.name for layer in layered.layers if layer.recurring is None}
    for layer in layered.layers:
        recurring = layer.recurring
        if recurring is None:
            layers[layer.name] = layer
            continue
        ranged = Ranged(layer.name, recurring.variable, _text(recurring.first), _text(recurring.last))
        ranges[layer.name] = ranged
        layers[ranged.name] = Layer(ranged.name, Tensor(ranged.name, layer.body.shape), layer.body, recurring=recurring)
        for slice in recurring.slices.values():
            if slice.name in wrt or slice.name in whole:
                ranges.setdefault(slice.name, replace(ranged, base=slice.name, sliced=True))
    stacks = {layer.name: layer.recurring for layer in layered.layers}
    layers = {name: replace(layer, body=_picked(layer.body, stacks)) for name, layer in layers.items()}
    return _with_families(layered, layers, ranges, wrt) if families else Names(layers, ranges)


def _picked(body: Node, stacks: Mapping[str, Recurring | None]) -> Node:
    """Single steps of a recurrence as names: Z[T]. ``stacks`` are the ranges of all layers."""

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        if isinstance(new, Window) and new.axis == 0 and not new.extents and isinstance(new.arg, Tensor):
            recurring = stacks.get(new.arg.name)
            if recurring is not None:
                return Tensor(f"{new.arg.name}[{_text(new.offset + recurring.first)}]", new.shape)
        return new

    return map_nodes(Roots((body,)), visit)[0].nodes[0]


def _text(dim: Dim) -> str:
    return str(dim).replace(" ", "")


def _with_families(layered: Layered, layers: dict[str, Layer], ranges: dict[str, Ranged], wrt: Sequence[str]) -> Names:
    families = layered.families
    defined = [name for name in families if f"{name}[{families[name].numbers[0]}]" in layers]
    varied = dict.fromkeys(base for base, _ in map(split_name, wrt) if base in families)
    whole = all(f"{base}[{number}]" in wrt for base in varied for number in families[base].numbers)
    if not varied or not defined or not whole:
        return Names(layers, ranges)
    taken = set(layered.names)
    letter = next((n.variable for n in families.values() if n.variable not in taken), None)
    letter = letter or next((letter for letter in LETTERS if letter not in taken), None)
    if letter is None:
        return Names(layers, ranges)
    general: dict[str, Layer] = {}
    for base in defined:
        found = families[base]
        bodies = {number: layers[f"{base}[{number}]"].body for number in found.numbers}
        body = alike(bodies, letter, families, layered.extents) if len(bodies) > 1 else None
        if body is None:
            return Names(layers, ranges)
        general[base] = Layer(f"{base}[{letter}]", Tensor(f"{base}[{letter}]", body.shape), body)
    made = dict(ranges)
    for base in (*defined, *varied):
        found = families[base]
        made[base] = Ranged(base, letter, found.first, found.last, found.numbers)
    kept: dict[str, Layer] = {}
    for name, layer in layers.items():
        base, text = split_name(name)
        if base in general and number_of(text) in families[base].numbers:
            kept.setdefault(general[base].name, general[base])
        else:
            kept[name] = layer
    return Names(kept, made)
