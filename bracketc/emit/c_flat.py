"""Calls with NumPy arrays: C reads in the heads of the arrays what Python would have to ask for, one attribute after another.

    m_call_brk_evaluate(N, brought, id(x), id(y_out))   0, or -2 where x is no aligned float64 array of shape (N,) in C order

Where an array is not as expected, the checks in Python convert it or say what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bracketc.emit.c_entry import EntryText
from bracketc.emit.c_names import CScope, dim_text
from bracketc.emit.c_views import ExpectedView, QuickView
from bracketc.plan.schedule import Buffer, Schedule


@dataclass(frozen=True, slots=True)
class CQuick:
    """How to call an entry with NumPy arrays: ``function(*sizes, brought, *arrays, [residuals], *results)``, all of them by their
    addresses as Python objects; gives -2 where one of ``arrays`` is not as expected. ``arrays`` are names of arguments."""

    function: str
    sizes: tuple[str, ...]
    arrays: tuple[str, ...]


def quick_call(
    function: str, schedule: Schedule, checked: Sequence[Buffer], sizes: Sequence[str], text: EntryText
) -> CQuick:
    """The call of an entry whose ``checked`` arguments come from the caller; ``sizes`` are all that there are."""
    buffers = (*checked, *(buffer for _, buffer in schedule.results))
    mentioned = {name for buffer in buffers for extent in buffer.shape for name in extent.names}
    known = {buffer.name for buffer in checked}
    arrays = (*(b.name for b in checked), *(name for name in text.arguments if name not in known))
    return CQuick(function, tuple(name for name in sizes if name in mentioned or name in text.sizes), arrays)


def quick_view(
    call: CQuick, schedule: Schedule, checked: Sequence[Buffer], fields: Sequence[str], text: EntryText
) -> QuickView:
    """The text of that function; ``fields`` are those of the results."""
    scope = CScope(taken=("brought", "given", "made", "places"))
    sizes = {name: scope.fresh(name) for name in call.sizes}
    arrays = {name: scope.fresh(f"{name}_object") for name in call.arrays}
    saved = [scope.fresh("saved_object")] if schedule.residuals else []
    results = [scope.fresh(f"{field}_out") for field in fields]
    objects = [*arrays.values(), *saved, *results]
    handed = [*(arrays[name] for name in text.arguments), *saved, *results]
    made = (_expected(name, buffer, sizes) for name, (_, buffer) in zip(results, schedule.results, strict=True))
    return QuickView(
        (*(f"int64_t {name}" for name in sizes.values()), "int brought", *(f"uintptr_t {name}" for name in objects)),
        tuple(sizes.values()),
        tuple(_expected(arrays[buffer.name], buffer, sizes) for buffer in checked),
        tuple(made),
        len(results) + len(checked),
        (*(sizes[name] for name in text.sizes), *(f"((const array_head *){name})->data" for name in handed)),
    )


def _expected(name: str, buffer: Buffer, sizes: Mapping[str, str]) -> ExpectedView:
    extents = ", ".join(dim_text(extent, sizes) for extent in buffer.shape)
    return ExpectedView(name, buffer.dtype.upper(), buffer.rank, extents or "0")
