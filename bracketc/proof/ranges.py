"""Names with a general number: ``Z[t-1]`` of a recurrence, ``W[j]`` of a family, and moving them along their range.

The layers of a recurrence are written for a general step already; those of a family become one general layer where all
members are alike but for their sizes:

    A[1] = Z[0] @ W[1], A[2] = Z[1] @ W[2]   ->   A[j] = Z[j-1] @ W[j] for j = 1..2
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node, Tensor, Window
from bracketc.ir.rewrite import Roots, map_nodes, substitute, tensors, topological
from bracketc.lang.layers import Layer, Layered, Recurring
from bracketc.proof.presentation import Over

_INDEX = re.compile(r"\[([^\[\]]*)\]")

LETTERS = "jkitmn"


@dataclass(frozen=True, slots=True)
class Ranged:
    """A base name with its general number: ``numbers`` of a family, or the steps of a recurrence ``first..last``.

    An ``argument`` is one whose slices a recurrence takes step by step.
    """

    base: str
    letter: str
    first: str
    last: str
    numbers: tuple[int, ...] = ()
    argument: bool = False

    @property
    def name(self) -> str:
        """``Z[t]``."""
        return f"{self.base}[{self.letter}]"

    @property
    def model(self) -> str:
        """The member after which a general one has its sizes."""
        return f"{self.base}[{self.numbers[len(self.numbers) // 2]}]"

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


def split_name(name: str) -> tuple[str, str | None]:
    """``Z[t-1]`` -> ("Z", "t-1");  ``W`` -> ("W", None)."""
    found = re.fullmatch(r"(.*)\[([^\[\]]*)\]", name)
    return (name, None) if found is None else (found[1], found[2])


def entry(letter: str, offset: int) -> str:
    return letter if offset == 0 else f"{letter}{offset:+d}"


def renamed(node: Node, change: Callable[[str], str]) -> Node:
    """``node`` with every index in the name of a tensor changed."""
    values: dict[Node, Node] = {}
    for tensor in tensors([node]):
        name = _INDEX.sub(lambda found: f"[{change(found[1])}]", tensor.name)
        if name != tensor.name:
            values[tensor] = replace(tensor, name=name)
    return substitute((node,), values)[0]


def shifted(node: Node, letter: str, by: int) -> Node:
    """``node`` for the number ``letter + by``: X[t] @ W, 1 -> X[t+1] @ W."""
    return renamed(node, lambda text: _moved(text, letter, by))


def _moved(text: str, letter: str, by: int) -> str:
    found = re.fullmatch(rf"{re.escape(letter)}([+-]\d+)?", text)
    return text if found is None else entry(letter, int(found[1] or 0) + by)


def placed(node: Node, letter: str, at: str) -> Node:
    """``node`` for one number: X[t-1], T -> X[T-1]."""

    def change(text: str) -> str:
        found = re.fullmatch(rf"{re.escape(letter)}([+-]\d+)?", text)
        if found is None:
            return text
        offset = int(found[1] or 0)
        if re.fullmatch(r"\d+", at):
            return str(int(at) + offset)
        return at if offset == 0 else f"{at}{offset:+d}"

    return renamed(node, change)


def is_general(node: Node, letters: Iterable[str]) -> str | None:
    """The letter of the general number that ``node`` holds, if it holds one."""
    for tensor in tensors([node]):
        for text in _INDEX.findall(tensor.name):
            for letter in letters:
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
        if text is not None and text.isdecimal() and _is_member(base, known):
            values[tensor] = replace(tensor, name=f"{base}[{entry(letter, int(text) - number)}]")
    return substitute((node,), values)[0]


def _is_member(base: str, families: set[str]) -> bool:
    return base in families or (base.startswith("d") and base[1:] in families)


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
    for layer in layered.layers:
        recurring = layer.recurring
        if recurring is None:
            layers[layer.name] = layer
            continue
        ranged = Ranged(layer.name, recurring.variable, _text(recurring.first), _text(recurring.last))
        ranges[layer.name] = ranged
        layers[ranged.name] = Layer(ranged.name, Tensor(ranged.name, layer.body.shape), layer.body, recurring=recurring)
        for slice in recurring.slices.values():
            if slice.name in wrt:
                ranges.setdefault(slice.name, replace(ranged, base=slice.name, argument=True))
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
        bodies = [generalised(layers[f"{base}[{number}]"].body, number, letter, families) for number in found.numbers]
        if len(bodies) < 2 or len({signature(body) for body in bodies}) > 1:
            return Names(layers, ranges)
        model = bodies[len(bodies) // 2]
        general[base] = Layer(f"{base}[{letter}]", Tensor(f"{base}[{letter}]", model.shape), model)
    made = dict(ranges)
    for base in (*defined, *varied):
        found = families[base]
        made[base] = Ranged(base, letter, found.first, found.last, found.numbers)
    kept: dict[str, Layer] = {}
    for name, layer in layers.items():
        base, text = split_name(name)
        if base in general and text is not None and text.isdecimal() and int(text) in families[base].numbers:
            kept.setdefault(general[base].name, general[base])
        else:
            kept[name] = layer
    return Names(kept, made)
