"""What the parts of one emitted function share: names of storages, sizes and labels, pointers and offsets as C
text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bracketc.emit.c_expressions import CType
from bracketc.emit.c_names import CScope, as_factor, dim_text
from bracketc.emit.c_views import CheckView, CutView, ShareView
from bracketc.emit.faults import Faults
from bracketc.ir.dims import Dim
from bracketc.loops.kernel import Address, Kernel, Reference, Storage

C_TYPES = {"integer": "int64_t", "boolean": "uint8_t"}
"""Types of what is not real."""

FAILURE = "brk_failure"
"""Where the caller wants to hear what failed."""

LAPACK = "brk_lapack_table"
"""The factorisations that the caller hands over."""

_LABELS = "ijklmnpqrs"


@dataclass
class CFunction:
    """Names in use while the statements of one kernel are written.

    ``functions`` collects the vector functions that the text calls, ``used_sizes`` the named sizes that it mentions,
    ``faults`` what can go wrong; ``reports`` says that the text says so. With
    ``lapack`` the caller may hand over factorisations, ``factorises`` says that the text would call them.
    ``team`` says that several threads run the text, each with a ``team`` that knows its number.
    """

    kernel: Kernel
    ctype: CType
    prefix: str
    upper: str
    sizes: dict[str, str]
    scope: CScope
    functions: set[str]
    faults: Faults
    names: dict[Storage, str] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    used_sizes: dict[str, None] = field(default_factory=dict)
    scratch: dict[str, None] = field(default_factory=dict)
    team: bool = False
    reports: bool = False
    lapack: bool = False
    factorises: bool = False
    rows: dict[int, str] = field(default_factory=dict)
    """The range of rows that a loop over a label runs over, where it is not all of them."""
    cuts: dict[str, CutView] = field(default_factory=dict)
    """How batches are cut, by the name of the size of a block."""
    steps: dict[Storage, str] = field(default_factory=dict)
    """How far apart the sums of neighbouring groups of blocks are, where callers may compute ranges apart."""

    @property
    def s(self) -> str:
        """The suffix of helpers of the real type."""
        return self.ctype.suffix

    @property
    def label_failure(self) -> str:
        return self.failure("LABEL_OUT_OF_RANGE")

    def failure(self, what: str) -> str:
        """What the function returns when it fails; other threads of a team are told."""
        code = f"{self.upper}_{what}"
        return f"brk_fail(team, {code})" if self.team else code

    def share(self, extent: str, unit: str = "1") -> ShareView:
        """The part of a loop that this thread runs, in whole units."""
        return ShareView(self.scope.fresh("share"), extent, unit)

    @contextmanager
    def block(self) -> Iterator[CScope]:
        """A C block: names given inside are free again behind it."""
        around = self.scope
        self.scope = CScope(around)
        try:
            yield self.scope
        finally:
            self.scope = around

    # ------------------------------------------------------------------------------------------- sizes
    def dim(self, dim: Dim) -> str:
        """A size as C text."""
        self.used_sizes.update(dict.fromkeys(sorted(dim.names)))
        return dim_text(dim, self.sizes)

    def factor(self, dim: Dim) -> str:
        """A size where a factor is needed."""
        return as_factor(self.dim(dim))

    # ------------------------------------------------------------------------------------------- storages
    def type(self, storage: Storage) -> str:
        return C_TYPES.get(storage.dtype, self.ctype.real)

    def pointer_type(self, storage: Storage) -> str:
        """``const float *``: const where the kernel may not write."""
        return f"{'const ' if self.reads_only(storage) else ''}{self.type(storage)} *"

    def bytes(self, storage: Storage) -> str:
        return f"{self.factor(storage.size)} * (int64_t)sizeof({self.type(storage)})"

    def named(self, storage: Storage) -> str:
        if storage not in self.names:
            self.names[storage] = self.scope.fresh(storage.name)
        return self.names[storage]

    def reads_only(self, storage: Storage) -> bool:
        while storage.kind in ("moving", "cut"):
            assert storage.base is not None
            storage = storage.base
        saved = storage.kind == "residual" and self.kernel.entry == "backward"
        return saved or storage.kind in ("argument", "carried")

    # ------------------------------------------------------------------------------------------- labels and addresses
    def new_labels(self, labels: Iterable[int]) -> None:
        """Loop variables i, j, k, .. for the labels of a statement, outermost first."""
        for depth, label in enumerate(labels):
            self.labels[label] = self.scope.first_of([*_LABELS[depth:], "i"])

    def label(self, label: int) -> str:
        return self.labels[label]

    def offset(self, address: Address, without: int = -1, checks: list[CheckView] | None = None) -> str:
        """The address as C text, the term of label ``without`` left out; ``0`` when nothing remains.

        Integer labels are read once each: ``checks`` collects them.
        """
        parts: list[str] = []
        for label, stride in address.terms:
            if label != without and stride.constant != 0:
                name = self.label(label)
                parts.append(name if stride.constant == 1 else f"{name} * {self.factor(stride)}")
        for indirect in address.indirect:
            assert checks is not None
            stride = indirect.stride
            name = self._chosen(indirect.index, indirect.bound, checks)
            parts.append(name if stride.constant == 1 else f"{name} * {self.factor(stride)}")
        if address.offset.constant != 0:
            parts.append(self.dim(address.offset) if not parts else self.factor(address.offset))
        return " + ".join(parts) or "0"

    def _chosen(self, index: Reference, bound: Dim, checks: list[CheckView]) -> str:
        text = f"{self.named(index.storage)}[{self.offset(index.address)}]"
        limit = self.dim(bound)
        for check in checks:
            if (check.text, check.bound) == (text, limit):
                return check.name
        name = self.scope.fresh("chosen")
        checks.append(CheckView(name, text, limit))
        return name

    def pointer(self, reference: Reference, without: int = -1, checks: list[CheckView] | None = None) -> str:
        """A pointer to the element at label ``without`` = 0."""
        offset = self.offset(reference.address, without, checks)
        name = self.named(reference.storage)
        return name if offset == "0" else f"{name} + {offset}"

    def place(self, reference: Reference, checks: list[CheckView] | None = None) -> str:
        """The element itself."""
        return f"{self.named(reference.storage)}[{self.offset(reference.address, -1, checks)}]"
