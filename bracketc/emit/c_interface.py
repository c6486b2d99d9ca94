"""What the Python wrapper must know of the C functions that it calls: made by the C backend, read by the wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CEntry:
    """One entry point and the fields of its structs, in their order behind ``struct_size``.

    ``arguments`` names for each field of ``<prefix>_args`` the argument of the schedule whose address it holds; ``results`` gives for each
    field of ``<prefix>_results`` the number of the result. ``None`` is a field that this entry leaves ``NULL``.
    """

    symbol: str
    arguments: tuple[str | None, ...]
    results: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class CInterface:
    """The public face of a C module.

    ``cdef`` declares it for cffi: the structs ``<prefix>_dims``, ``<prefix>_args``, ``<prefix>_results``, for each entry its function and
    ``<symbol>_workspace``, then ``<prefix>_residuals`` and ``<prefix>_abi_version``. ``sizes`` are the named sizes in the order of the
    fields of ``<prefix>_dims``; ``entries`` are by name of the schedule; ``messages`` by error code.
    """

    prefix: str
    cdef: str
    sizes: tuple[str, ...]
    entries: Mapping[str, CEntry]
    messages: Mapping[int, str]
    abi: int = 1
