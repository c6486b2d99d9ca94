"""What the C templates see: frozen records of finished names and expressions, one for each kind of statement.

Every statement view has ``template``, the file under ``templates/c`` that prints it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bracketc.emit.c_expressions import Line


@dataclass(frozen=True, slots=True)
class LoopView:
    name: str
    extent: str


@dataclass(frozen=True, slots=True)
class PointerView:
    """``<type> <name> = <text>;`` where type ends in its star."""

    type: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckView:
    """``name`` is an integer label read as ``text``, which must lie in 0 .. bound - 1."""

    name: str
    text: str
    bound: str


@dataclass(frozen=True, slots=True)
class WriteView:
    """``place`` is an lvalue (scalar nests) or an address (vector nests)."""

    place: str
    value: str


@dataclass(frozen=True, slots=True)
class ReductionView:
    """A vector register that gathers ``update`` (``tail_update`` in the last, partial vector) and ends in ``target``."""

    name: str
    neutral: str
    update: str
    tail_update: str
    target: str
    result: str


@dataclass(frozen=True, slots=True)
class NestView:
    template: str
    bracket: str
    loops: tuple[LoopView, ...]
    checks: tuple[CheckView, ...]
    pointers: tuple[PointerView, ...]
    fixed: tuple[Line, ...]
    inner: LoopView
    body: tuple[Line, ...]
    tail: tuple[Line, ...]
    writes: tuple[WriteView, ...]
    reductions: tuple[ReductionView, ...]
    s: str
    failure: str


@dataclass(frozen=True, slots=True)
class FillView:
    template: str
    target: str
    count: str
    value: str
    s: str


@dataclass(frozen=True, slots=True)
class CopyView:
    template: str
    target: str
    source: str
    bytes: str


@dataclass(frozen=True, slots=True)
class TableView:
    """Offsets of a group of labels that has no single stride, built in the scratch memory."""

    name: str
    rank: int
    extents: str
    strides: str
    count: str


@dataclass(frozen=True, slots=True)
class FieldView:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ContractionView:
    template: str
    bracket: str
    loops: tuple[LoopView, ...]
    tables: tuple[TableView, ...]
    name: str
    fields: tuple[FieldView, ...]
    epilogue: str
    epilogue_fields: tuple[FieldView, ...]
    scratch: str
    s: str


@dataclass(frozen=True, slots=True)
class CarriedView:
    type: str
    name: str
    initial: str
    following: str
    next: str


@dataclass(frozen=True, slots=True)
class StepsView:
    template: str
    bracket: str
    carried: tuple[CarriedView, ...]
    counter: str
    step: str
    length: str
    position: str
    pointers: tuple[PointerView, ...]
    body: tuple[object, ...]
    finals: tuple[CopyView, ...]


@dataclass(frozen=True, slots=True)
class EpilogueOperandView:
    """A pointer and its strides along rows and columns of the tile."""

    type: str
    name: str


@dataclass(frozen=True, slots=True)
class EpilogueView:
    """The function that finishes a tile; ``stores`` are (place, value) under the mask of the columns."""

    name: str
    bracket: str
    operands: tuple[EpilogueOperandView, ...]
    fixed: tuple[Line, ...]
    body: tuple[Line, ...]
    value: str
    stores: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RangeView:
    """Positions of a window that must lie in their axis: ``value`` >= 0 whenever all of ``nonempty`` > 0."""

    condition: str


@dataclass(frozen=True, slots=True)
class SlotView:
    name: str
    bytes: str


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry point: its pointers into the caller's structs, the arena, and the statements."""

    name: str
    doc: tuple[str, ...]
    sizes: tuple[str, ...]
    ranges: tuple[RangeView, ...]
    pointers: tuple[PointerView, ...]
    residuals: tuple[SlotView, ...]
    slots: tuple[SlotView, ...]
    arena: tuple[PointerView, ...]
    scratch: tuple[str, ...]
    body: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class StructField:
    type: str
    name: str
    doc: str


@dataclass(frozen=True, slots=True)
class ModuleView:
    """The whole file. ``prefix`` starts every public name, ``real`` is float or double, ``s`` the suffix of helpers."""

    prefix: str
    upper: str
    title: str
    real: str
    s: str
    sizes: tuple[StructField, ...]
    args: tuple[StructField, ...]
    results: tuple[StructField, ...]
    residuals: tuple[SlotView, ...]
    epilogues: tuple[EpilogueView, ...]
    entries: tuple[EntryView, ...]
