"""What the templates of a module see: frozen records of finished names, expressions and lines."""

from __future__ import annotations

from dataclasses import dataclass

from bracketc.emit.c_views import MemoryView
from bracketc.emit.checks import CheckView
from bracketc.emit.structures import PublicView


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field of a named tuple; ``note`` is its shape."""

    name: str
    type: str
    precise_type: str
    note: str


@dataclass(frozen=True, slots=True)
class RecordView:
    """A named tuple of results."""

    name: str
    title: str
    fields: tuple[FieldView, ...]


@dataclass(frozen=True, slots=True)
class ArgumentView:
    """An array argument: its Python name and the constant that holds its dtype."""

    name: str
    dtype: str


@dataclass(frozen=True, slots=True)
class ResultView:
    """A result: public name, local variable, shape and dtype as expressions, sizes as text for ``SIGNATURE``; ``maker`` makes its
    array of shape and dtype."""

    name: str
    variable: str
    shape: str
    dtype: str
    dtype_name: str
    dims: str
    maker: str


@dataclass(frozen=True, slots=True)
class RoomView:
    """A dense derivative that may be too large: name, shape, and further arguments that say how it is returned instead."""

    name: str
    shape: str
    instead: str


@dataclass(frozen=True, slots=True)
class NativeCallView:
    """The call of a C function: at once, or with addresses that were taken before.

    ``saved_size`` is the expression for the bytes that ``forward`` saves, empty elsewhere; ``saved_maker`` makes their array.
    ``recycled`` are the variables of results that may lie in memory that is used again.
    """

    call: tuple[str, ...]
    addresses: tuple[str, ...]
    bound_call: tuple[str, ...]
    saved_size: str
    saved_maker: str
    recycled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuickCallView:
    """A call on arrays that need no conversion: ``sizes`` reads sizes off them, ``unpack`` takes results of the caller apart (empty
    where those go the long way), and C looks whether all is as expected."""

    sizes: tuple[str, ...]
    unpack: tuple[str, ...]
    call: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageView:
    """The text of an error code."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class NativeView:
    """The library behind a module, for ``templates/module/c_library.py.j2``; ``faults`` are the ways in which operations on
    matrices fail: name, whether the matrix must be positive definite, whether there are several. ``lapack`` is the letter of its
    routines for the real type, empty where none is called, ``memory`` is what is kept for later results."""

    prefix: str
    cdef: tuple[str, ...]
    abi: int
    command: str
    messages: tuple[MessageView, ...]
    faults: tuple[str, ...]
    lapack: str
    quick: bool
    threads: int
    memory: MemoryView | None


@dataclass(frozen=True, slots=True)
class FunctionView:
    """One function of the module, in the words of ``templates/module/module.py.j2``.

    ``label`` is what errors call it. ``public`` are its results as a caller sees them, and ``made`` the lines that make structures
    of what the kernel wrote. ``forms`` says that the results are derivatives, ``structured`` that some are stored by a structure;
    ``room`` are those that are dense and may be too large. ``labels`` is what the error of a label out of range is made
    of: name, array, and what it counts, as text and as a number. ``twin`` is the function that gives the same as dense arrays,
    where these must be computed.
    """

    name: str
    label: str
    title: str
    about: tuple[str, ...]
    head: tuple[str, ...]
    bind_head: tuple[str, ...]
    checked_head: tuple[str, ...]
    preparation: tuple[str, ...]
    prepared_return: tuple[str, ...]
    typed_parameters: tuple[str, ...]
    takes_residuals: bool
    unpack: tuple[str, ...]
    defaults: tuple[str, ...]
    arguments: tuple[ArgumentView, ...]
    checks: tuple[CheckView, ...]
    results: tuple[ResultView, ...]
    public: tuple[PublicView, ...]
    made: tuple[str, ...]
    forms: bool
    structured: bool
    room: tuple[RoomView, ...]
    twin: str
    twin_call: str
    plain_call: str
    own_inputs: str
    public_names: str
    out_fields: str
    claimed_inputs: str
    kernel_call: tuple[str, ...]
    labels: str
    native: NativeCallView | None
    quick: QuickCallView | None
    returned: str
    bound_constants: tuple[str, ...]
    bound_returned: str
    return_type: str
    argument_names: str
    count_sizes: str
    count_parameters: str
    flops: str
    bytes: str
    split: str


@dataclass(frozen=True, slots=True)
class DimView:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class TensorView:
    name: str
    dims: str
    kind: str
    dtype: str
    traits: str


@dataclass(frozen=True, slots=True)
class RequestView:
    kind: str
    output: str
    wrt: str
    name: str
    layout: str


@dataclass(frozen=True, slots=True)
class ModuleView:
    """What the module says of itself."""

    name: str
    title: str
    about: tuple[str, ...]
    exports: tuple[str, ...]
    dtype: str
    backend: str
    version: str
    source_name: str
    source_hash: str
    singular: bool
    labels: bool
    threads: int
    native: bool
    has_residuals: bool
    has_backward: bool
    structures: str
    limited: bool
    max_memory: int
    records: tuple[RecordView, ...]
    dims: tuple[DimView, ...]
    inputs: tuple[TensorView, ...]
    outputs: tuple[TensorView, ...]
    requests: tuple[RequestView, ...]


@dataclass(frozen=True, slots=True)
class BackendView:
    """The two seams of a backend: the template with its kernels, and the one with the macros that call them.

    ``prepares`` says whether something is made once a call or binding, before the kernel runs.
    """

    definitions: str
    calls: str
    prepares: bool
    imports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModuleText:
    """The text of ``NAME.py`` and of ``NAME.pyi``."""

    python: str
    stub: str
