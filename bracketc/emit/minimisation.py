"""What a module tells ``scipy.optimize.minimize``: which arguments vary, and which functions give second derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bracketc.emit.layout import literal
from bracketc.emit.names import python_name, python_names
from bracketc.ir.program import Entry, Program


@dataclass(frozen=True, slots=True)
class SecondView:
    """A function with second derivatives by some names; ``field`` is that of its result, or the arguments of its directions."""

    names: str
    function: str
    field: str


@dataclass(frozen=True, slots=True)
class ScipyView:
    """The words of ``templates/module/scipy.py.j2``."""

    target: str
    names: str
    example: str
    arguments: str
    varying: str
    blocks: tuple[SecondView, ...]
    products: tuple[SecondView, ...]


def scipy_view(program: Program, entries: Sequence[Entry], functions: Mapping[str, str]) -> ScipyView | None:
    """The view, where there is a gradient to minimise with. ``functions`` are the Python names of the entries."""
    gradient = next((entry.request for entry in entries if entry.name == "value_and_grad"), None)
    if gradient is None:
        return None
    python = python_names([argument.name for argument in program.arguments])
    if any(name not in python for name in gradient.wrt):  # gradients by definitions: nothing there can be varied alone
        return None
    varying = tuple(python[name] for name in gradient.wrt)
    blocks, products = [], []
    for entry in entries:
        request = entry.request
        if request is None or request.output != gradient.output or request.layout is not None or entry.name not in functions:
            continue
        if request.kind == "hessian":
            for result, first, second in request.pairs:
                if first in gradient.wrt and second in gradient.wrt:
                    field = literal(None if len(request.pairs) == 1 else python_name(result))
                    blocks.append(SecondView(literal((python[first], python[second])), functions[entry.name], field))
        names = [name for name, _ in entry.results]
        if request.kind == "hvp" and all(name in gradient.wrt for name in names):
            directions = tuple(python_names([extra.name for extra in entry.extras]).values())
            products.append(SecondView(literal(tuple(python[n] for n in names)), functions[entry.name], literal(directions)))
    arguments = tuple(python.values())
    return ScipyView(
        gradient.output,
        ", ".join(varying),
        ", ".join(f"{name}={name}" for name in arguments),
        literal(arguments),
        literal(varying),
        tuple(blocks),
        tuple(products),
    )
