"""Other array libraries as contenders: the same function, differentiated by them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bracketc.adapters.peer_text import Unwritable, function_text
from bracketc.calculus.derivatives import expand_derivatives
from bracketc.ir.interpret import infer_sizes
from bracketc.ir.nodes import Node
from bracketc.ir.passes import over_program
from bracketc.ir.program import Program
from bracketc.ir.sizes import bind_sizes
from bracketc.simplify import stabilise

LABELS = {"jax": "JAX, jit", "torch": "PyTorch, eager"}

Array = np.ndarray[Any, Any]


class PeerError(Exception):
    """Why a peer does not take part."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A call without arguments on arrays of the library, its results as NumPy arrays, and the text that runs."""

    name: str
    call: Callable[[], object]
    result: Callable[[], list[Array]]
    text: str


def make_peer(library: str, program: Program, function: str, arrays: Mapping[str, Array]) -> Peer:
    """``function`` (``evaluate`` or ``value_and_grad``) of ``program`` by ``"jax"`` or ``"torch"``.

    A :class:`PeerError` says why the library cannot take part: it is not installed, or has no counterpart of something.
    """
    try:
        adapter = importlib.import_module(f"bracketc.adapters.{library}_peer")
    except ImportError:
        raise PeerError(f"{library} is not installed; it is left out") from None
    request = next((r for r in program.requests if r.kind == "gradient" and r.name is None), None)
    if function != "evaluate" and (function != "value_and_grad" or request is None):
        raise PeerError(f"{library} is compared in evaluate and value_and_grad, not in {function}; it is left out")
    sizes = infer_sizes(
        {tensor: arrays[tensor.name].shape for tensor in program.arguments},
        {spec.name: spec.value for spec in program.sizes if spec.value is not None},
    )
    bound = over_program(over_program(bind_sizes(program, sizes), expand_derivatives), stabilise)
    nodes: dict[str, Node] = {**dict(bound.definitions), **dict(bound.results)}
    gradient = function == "value_and_grad" and request is not None
    results = [nodes[request.output]] if gradient and request is not None else [node for _, node in bound.results]
    try:
        text = function_text("peer", bound.arguments, results)
    except Unwritable as error:
        raise PeerError(f"{library} is left out: {error}") from None
    dtype = next((str(a.dtype) for a in arrays.values() if a.dtype.kind == "f"), "float64")
    adapter.setup(dtype)
    room: dict[str, Any] = adapter.helpers(dtype)
    exec(compile(text, f"<{library} peer>", "exec"), room)
    given = [adapter.array(arrays[tensor.name]) for tensor in bound.arguments]
    names = [tensor.name for tensor in bound.arguments]
    if gradient and request is not None:
        call = adapter.value_and_grad(room["peer"], given, [names.index(name) for name in request.wrt])
    else:
        call = adapter.evaluate(room["peer"], given)
    return Peer(LABELS[library], call, lambda: [adapter.numpy(a) for a in _leaves(call())], text)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]
