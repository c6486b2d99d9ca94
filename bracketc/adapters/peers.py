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
from bracketc.ir.program import Entry, Program
from bracketc.ir.sizes import bind_sizes
from bracketc.simplify import stabilise

LABELS = {"jax": "JAX, jit", "torch": "PyTorch, eager", "torch.compile": "PyTorch, compiled"}

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


def make_peer(library: str, program: Program, entry: Entry, arrays: Mapping[str, Array], threads: int = 1) -> Peer:
    """What ``entry`` of ``program`` computes by ``"jax"``, ``"torch"`` or ``"torch.compile"``: the function itself is written from
    the IR, its derivatives are the library's.

    A :class:`PeerError` says why the library cannot take part: it is not installed, or has no counterpart of something.
    """
    package = library.partition(".")[0]
    try:
        adapter = importlib.import_module(f"bracketc.adapters.{package}_peer")
    except ImportError:
        raise PeerError(f"{package} is not installed; it is left out") from None
    request = entry.request
    if entry.name in ("forward", "backward") or (request is not None and request.layout is not None):
        raise PeerError(f"{library} has no counterpart of {entry.name}; it is left out")
    sizes = infer_sizes(
        {tensor: arrays[tensor.name].shape for tensor in program.arguments},
        {spec.name: spec.value for spec in program.sizes if spec.value is not None},
    )
    bound = over_program(over_program(bind_sizes(program, sizes), expand_derivatives), stabilise)
    nodes: dict[str, Node] = {**dict(bound.definitions), **dict(bound.results)}
    names = [tensor.name for tensor in bound.arguments]
    if request is not None and not set(request.wrt) <= set(names):
        raise PeerError(f"{library} is left out: {entry.name} is a derivative by a definition")
    results = [node for _, node in bound.results] if request is None else [nodes[request.output]]
    try:
        text = function_text("peer", bound.arguments, results)
    except Unwritable as error:
        raise PeerError(f"{library} is left out: {error}") from None
    dtype = next((str(a.dtype) for a in arrays.values() if a.dtype.kind == "f"), "float64")
    adapter.setup(dtype, threads)
    room: dict[str, Any] = adapter.helpers(dtype)
    exec(compile(text, f"<{library} peer>", "exec"), room)
    function = adapter.compiled(room["peer"]) if library == "torch.compile" else room["peer"]
    given = [adapter.array(arrays[tensor.name]) for tensor in bound.arguments]
    if request is None:
        call = adapter.evaluate(function, given)
    else:
        wrt = [names.index(name) for name in request.wrt]
        pairs = [(names.index(a), names.index(b)) for _, a, b in request.pairs]
        extras = [adapter.array(arrays[extra.name]) for extra in entry.extras]
        call = adapter.derivative(request.kind, function, given, wrt, pairs, extras)
    try:
        call()
    except Exception as error:  # whatever the library, or the compiler behind it, does not do: the others go on
        raise PeerError(f"{library} is left out: {str(error).strip().splitlines()[0][:120]}") from None
    return Peer(LABELS[library], call, lambda: [adapter.numpy(a) for a in _leaves(call())], text)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]
