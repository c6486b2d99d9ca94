"""A planned program as a C module: source, header, and the flat functions through which other languages call it.

>>> text = c_module("mlp", plan, dtype="float32")
>>> text.entries["value_and_grad"].function, text.entries["value_and_grad"].results
('mlp_call_value_and_grad', ('J', 'grad_W'))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bracketc.emit.c_contractions import Epilogues
from bracketc.emit.c_entry import EntryText, Fields, entry_text, named_sizes, residual_layout
from bracketc.emit.c_expressions import FLOAT32, FLOAT64, CType
from bracketc.emit.c_factorise import factorises
from bracketc.emit.c_flat import CQuick, quick_call, quick_view
from bracketc.emit.c_function import C_TYPES
from bracketc.emit.c_layout import indented
from bracketc.emit.c_names import CScope, c_identifier, comment_text
from bracketc.emit.c_views import FaultView, FlatView, MemoryView, ModuleView, QuickView, StructField
from bracketc.emit.faults import Fault, Faults, can_fail, operations
from bracketc.emit.kernels import kernel_view
from bracketc.emit.memory import memory_view
from bracketc.emit.resources import render
from bracketc.emit.structures import stored_formulas
from bracketc.emit.vectormath import functions_text, matrices_text, needs_products
from bracketc.ir.program import Entry
from bracketc.loops.kernel import Kernel
from bracketc.loops.lower import lower
from bracketc.loops.team import for_team
from bracketc.loops.verify import verify
from bracketc.plan.schedule import Buffer, Plan, Schedule
from bracketc.target import BASE_CFLAGS, GENERIC128, THREAD_WORK, X86_LEVELS

_CONTRACTIONS = (
    "contraction.h", "pack.h", "contract_packed.h", "contract_made.h", "contract_small.h", "contract_vector.h", "contract_packed.c",
    "contract_small.c", "contract_vector.c", "contract.c",
)  # fmt: skip
KERNELS = "/* kernels */"
"""Where the library goes; its text has its final layout already."""
_CALLS = ("residuals", "failure", "set_lapack", "level", "arrays", "threads", "memory", "memory_back")
_SHARED = ("contract", "contract_packed", "contract_small", "contract_vector")
"""What parts of the text that are compiled apart call of each other."""
_OWN = ("abi_version", "dims", "args", "results", "lapack", *_CALLS, *(f"call_{name}" for name in _CALLS))
"""What public names stand for otherwise; those of `_CALLS` behind `call_` too."""
_OF_RANGES = ("_part", "_combine", "_cut", "_sums", "_run", "_batch")
_GRADIENTS = ("backward", "value_and_grad")


@dataclass(frozen=True, slots=True)
class CEntry:
    """How to call an entry in flat form: ``function(*sizes, *arguments, [residuals], *results)``.

    ``sizes`` are names of sizes, ``arguments`` names of the schedule's arguments that it reads, ``results`` struct
    fields, one for each result of the schedule; ``residuals`` says whether a pointer to the residual block stands
    before the results.
    """

    name: str
    function: str
    sizes: tuple[str, ...]
    arguments: tuple[str, ...]
    residuals: bool
    results: tuple[str, ...]
    quick: CQuick | None = None


@dataclass(frozen=True, slots=True)
class CText:
    """Text of ``NAME.c``, ``NAME.h``, the flat functions (``NAME`` is included by them), and declarations for cffi.

    ``residual_sizes`` are the sizes that ``NAME_call_residuals`` takes, ``None`` when nothing is saved.
    ``faults`` are the operations that the numbers of ``NAME_call_failure`` stand for,
    ``lapack`` says that there is ``NAME_call_set_lapack``, ``dispatch`` is the text that chooses between the levels of a portable
    build, ``threads`` is the largest number of threads of a call; above 1 there is ``NAME_call_threads``. ``products`` says
    that there are kernels of contractions, which may be compiled beside the entries (``BRK_ONLY``), ``memory`` what
    ``NAME_call_memory`` keeps. ``long_entries``: they are more of the text than the library.
    """

    source: str
    header: str
    flat: str
    cdef: str
    entries: Mapping[str, CEntry]
    residual_sizes: tuple[str, ...] | None
    faults: tuple[Fault, ...] = ()
    lapack: bool = False
    dispatch: str | None = None
    threads: int = 1
    products: bool = False
    memory: MemoryView | None = None
    long_entries: bool = False


def c_module(
    name: str,
    plan: Plan,
    entries: Sequence[Entry] = (),
    *,
    dtype: str,
    title: str = "",
    about: Sequence[str] = (),
    checked: bool = False,
    threads: int = 1,
    on_singular: str = "raise",
    lapack: bool = False,
    portable: bool = False,
) -> CText:
    """The C text of a plan. ``name`` is an ASCII identifier that starts every public name; ``about`` are lines for
    the head of the header; ``entries`` say what the functions answer. ``checked`` verifies the loop IR first.
    ``threads`` is the largest number of threads of a call, ``on_singular`` says whether a matrix without a result is an error or
    gives NaN. With ``lapack`` callers may hand over the factorisations of LAPACK. A ``portable`` module chooses its instruction set
    when it is loaded."""
    ctype = FLOAT64 if dtype == "float64" else FLOAT32
    writer = _Writer(name, ctype, plan, {entry.name: entry for entry in entries}, threads, Faults(on_singular == "nan"), lapack)
    if checked:
        for kernel in writer.kernels.values():
            verify(kernel)
    texts = writer.entries()
    view = writer.view(texts, title or name, tuple(about))
    own, library = _tidy(render("c/module.c.j2", m=view)), writer.library(texts, dtype)
    return CText(
        own.replace(KERNELS, library),
        render("c/module.h.j2", m=view),
        _tidy(render("c/flat.c.j2", m=view, portable=portable)),
        render("c/cdef.h.j2", m=view, portable=portable),
        {schedule.entry: writer.called(schedule, text) for schedule, text in zip(plan.schedules, texts, strict=True)},
        writer.residual_sizes(),
        tuple(writer.faults.known),
        writer.lapack,
        _dispatch(view) if portable else None,
        threads,
        bool(view.products),
        view.memory,
        len(own) > len(library),
    )


def _dispatch(view: ModuleView) -> str:
    flags = (*BASE_CFLAGS, "-fopenmp") if view.threads > 1 else BASE_CFLAGS
    return _tidy(render("c/dispatch.c.j2", m=view, levels=X86_LEVELS[::-1], generic=GENERIC128, flags=flags))


def _tidy(text: str) -> str:
    return indented(text).rstrip("\n") + "\n"


class _Writer:
    """Public names of a module and the parts of its view."""

    def __init__(
        self, name: str, ctype: CType, plan: Plan, entries: Mapping[str, Entry], threads: int, faults: Faults, lapack: bool
    ) -> None:
        self.name = name
        self.ctype = ctype
        self.plan = plan
        self.given = entries
        self.threads = threads
        self.faults = faults
        self.reports = not faults.silent and can_fail(plan)
        self.lapack = lapack and any(factorises(step) for step in operations(plan))
        self.kernels = {schedule.entry: lower(schedule) for schedule in plan.schedules}
        if threads > 1:
            self.kernels = {entry: for_team(kernel) for entry, kernel in self.kernels.items()}
        scope = CScope(taken=("threads",) if threads > 1 else ())
        sizes = dict.fromkeys((*plan.sizes, *(n for kernel in self.kernels.values() for n in named_sizes(kernel))))
        self.dims = {size: scope.fresh(size) for size in sizes}
        scope = CScope(taken=("lapack",) if self.lapack else ())
        self.arguments: dict[str, str] = {}
        self.argument_fields: dict[str, StructField] = {}
        for schedule in plan.schedules:
            for buffer in schedule.arguments:
                if buffer.name not in self.arguments:
                    field = scope.fresh(buffer.name)
                    self.arguments[buffer.name] = field
                    self.argument_fields[field] = StructField(f"const {self.type(buffer)} *", field, _shape(buffer))
        if self.lapack:
            what = "NULL, or factorisations for large matrices"
            self.argument_fields["lapack"] = StructField(f"const {name}_lapack *", "lapack", what)
        self.results: dict[str, tuple[str, ...]] = {}
        self.result_fields: dict[str, StructField] = {}
        self.name_results()
        # Public names never end in each other's suffixes: entry names are told from `<entry>_workspace`.
        scope = CScope(taken=_OWN)
        self.functions: dict[str, str] = {}
        for schedule in plan.schedules:
            endings = ["", "_workspace", *(_OF_RANGES if self.kernels[schedule.entry].ranged else ())]
            name = c_identifier(schedule.entry).rstrip("_")
            while any(scope.holds(name + ending) for ending in endings):
                name += "_"
            for ending in endings:
                scope.fresh(name + ending)
            self.functions[schedule.entry] = name

    def type(self, buffer: Buffer) -> str:
        return C_TYPES.get(buffer.dtype, self.ctype.real)

    def name_results(self) -> None:
        """Fields of the results struct: outputs under their names, gradients as ``grad_W``, others by the name of the
        entry."""
        scope = CScope(taken=("failure",) if self.reports else ())
        known: dict[tuple[str, tuple[object, ...], str], str] = {}
        for schedule in self.plan.schedules:
            found = []
            for index, (result, buffer) in enumerate(schedule.results):
                wanted = self.wanted(schedule, index, result)
                key = (wanted, buffer.shape, buffer.dtype)
                if key not in known or known[key] in found:
                    known[key] = scope.fresh(wanted)
                    field = known[key]
                    self.result_fields[field] = StructField(f"{self.type(buffer)} *", field, _shape(buffer))
                found.append(known[key])
            self.results[schedule.entry] = tuple(found)
        if self.reports:
            what = "NULL, or where to say which operation on a matrix failed"
            self.result_fields["failure"] = StructField(f"{self.name}_failure *", "failure", what)

    def wanted(self, schedule: Schedule, index: int, result: str) -> str:
        entry = self.given.get(schedule.entry)
        request = entry.request if entry is not None else None
        if request is None or schedule.entry in ("evaluate", "forward"):
            return result
        if request.kind == "gradient":
            position = index - (len(schedule.results) - len(request.wrt))
            if position < 0:
                return result
            gradient = f"grad_{request.wrt[position]}"
            return gradient if schedule.entry in _GRADIENTS else f"{schedule.entry}_{gradient}"
        stored = entry is not None and any(form.structure for form in entry.forms)
        return schedule.entry if len(schedule.results) == 1 and not stored else f"{schedule.entry}_{result}"

    # ------------------------------------------------------------------------------------------- entries
    def entries(self) -> list[EntryText]:
        self.epilogues = Epilogues()
        self.used: set[str] = set()
        texts = []
        for schedule in self.plan.schedules:
            kernel = self.kernels[schedule.entry]
            fields = Fields(
                self.dims,
                self.arguments,
                {b.name: f for (_, b), f in zip(schedule.results, self.results[schedule.entry], strict=True)},
            )
            texts.append(
                entry_text(
                    kernel,
                    self.functions[schedule.entry],
                    self.doc(schedule),
                    ctype=self.ctype,
                    prefix=self.name,
                    fields=fields,
                    epilogues=self.epilogues,
                    functions=self.used,
                    team=self.threads > 1,
                    lapack=self.lapack,
                    faults=self.faults,
                    writes=self.writes(schedule),
                )
            )
        return texts

    def writes(self, schedule: Schedule) -> tuple[str, str]:
        """What ranges of a batch write, and what is written when all are done."""
        if schedule.split is None:
            return "", ""
        fields = [*zip(self.results[schedule.entry], (how for _, how in schedule.split.outputs), strict=True)]
        carried = ", ".join(field for field, how in fields if how == "concat")
        others = ", ".join(field for field, how in fields if how != "concat")
        saved = ["residuals"] if schedule.entry == "forward" and schedule.residuals else []
        own = [f"its part of {carried}"] if carried else []
        return ", ".join([*own, *saved, "sums"]), ", ".join([others, *saved] if others else saved) or "nothing"

    def doc(self, schedule: Schedule) -> tuple[str, ...]:
        lines = [_sentence(schedule.entry, self.given.get(schedule.entry))]
        arguments = [self.arguments[b.name] for b in schedule.arguments]
        if arguments:
            lines.append(f"reads    {', '.join(arguments)}")
        if schedule.results:
            lines.append(f"writes   {', '.join(self.results[schedule.entry])}")
        entry = self.given.get(schedule.entry)
        lines += [f"where    {line}" for line in stored_formulas(entry, self.results[schedule.entry])] if entry else []
        if schedule.residuals:
            saved = ", ".join(b.name for b in schedule.residuals)
            lines.append(f"{'writes  ' if schedule.entry == 'forward' else 'reads   '} residuals: {saved}")
        if schedule.flops.terms:
            lines.append(f"flops    {schedule.flops}")
        return tuple(lines)

    def saving(self) -> Kernel | None:
        kernel = self.kernels.get("forward")
        return kernel if kernel is not None and kernel.residuals else None

    def residual_sizes(self) -> tuple[str, ...] | None:
        kernel = self.saving()
        if kernel is None:
            return None
        mentioned = {n for s in kernel.residuals for d in s.shape for n in d.names}
        return tuple(n for n in self.dims if n in mentioned)

    # ------------------------------------------------------------------------------------------- flat functions
    def called(self, schedule: Schedule, text: EntryText) -> CEntry:
        return CEntry(
            schedule.entry,
            f"{self.name}_call_{self.functions[schedule.entry]}",
            text.sizes,
            text.arguments,
            bool(schedule.residuals),
            self.results[schedule.entry],
            self.quick_call(schedule, text),
        )

    def checked(self, schedule: Schedule) -> tuple[Buffer, ...]:
        """The arguments that a caller gives: of ``backward`` the cotangents, the others were checked by ``forward``."""
        own = len(self.given[schedule.entry].arguments)
        return schedule.arguments[own:] if schedule.entry == "backward" else schedule.arguments

    def quick_call(self, schedule: Schedule, text: EntryText) -> CQuick | None:
        """How NumPy arrays are handed over; ``None`` where it is not known what Python calls."""
        if schedule.entry not in self.given:
            return None
        function = f"{self.name}_call_brk_{self.functions[schedule.entry]}"
        return quick_call(function, schedule, self.checked(schedule), tuple(self.dims), text)

    def quick(self, schedule: Schedule, text: EntryText) -> QuickView | None:
        call = self.quick_call(schedule, text)
        fields = self.results[schedule.entry]
        return None if call is None else quick_view(call, schedule, self.checked(schedule), fields, text)

    @property
    def chosen_threads(self) -> tuple[str, ...]:
        """The value of the field ``threads`` of the sizes, where they have one."""
        return (f"{self.name}_call_threads(-1)",) if self.threads > 1 else ()

    def flat(self, schedule: Schedule, text: EntryText) -> FlatView:
        scope = CScope(taken=("bytes", "block", "status", "borrow", "give_back"))
        sizes = {n: scope.fresh(n) for n in text.sizes}
        arguments = {n: scope.fresh(n) for n in text.arguments}
        saved = scope.fresh("saved") if schedule.residuals else "NULL"
        results = {field: scope.fresh(f"{field}_out") for field in self.results[schedule.entry]}
        parameters = [f"int64_t {n}" for n in sizes.values()]
        parameters += [f"const void *{n}" for n in arguments.values()]
        parameters += [f"void *{saved}"] if schedule.residuals else []
        parameters += [f"void *{n}" for n in results.values()]
        failure = (".failure = &failed",) if self.reports else ()
        return FlatView(
            self.functions[schedule.entry],
            tuple(parameters) or ("void",),
            (f"sizeof({self.name}_dims)", *(sizes.get(n, "0") for n in self.dims), *self.chosen_threads),
            (
                f".struct_size = sizeof({self.name}_args)",
                *(f".{self.arguments[n]} = {v}" for n, v in arguments.items()),
                *((".lapack = &lapack",) if self.lapack else ()),
            ),
            (f".struct_size = sizeof({self.name}_results)", *(f".{f} = {v}" for f, v in results.items()), *failure),
            saved,
            self.quick(schedule, text),
        )

    # ------------------------------------------------------------------------------------------- the file
    def products(self, texts: Sequence[EntryText]) -> bool:
        """Whether the entries use the kernels of contractions."""
        return needs_products(self.used) or any(
            "contract_" in need for text in texts for need in text.view.layout.scratch
        )

    def library(self, texts: Sequence[EntryText], dtype: str) -> str:
        """Text of the parts of the library that the entries use."""
        kernels = kernel_view(dtype)
        contracts = self.products(texts)
        vectors = contracts or bool(self.used) or any(_is_vector(text.view.body) for text in texts)
        parts = [render("c/prelude.h.j2", v=kernels)]
        blocks = any(text.view.layout.cuts for text in texts)
        if blocks:
            parts.append(render("c/cut.h.j2", v=kernels, ranges=any(text.view.apart for text in texts)))
        if self.threads > 1:
            parts.append(render("c/team.h.j2", v=kernels, work=THREAD_WORK))
        if vectors:
            parts += [render(f"c/{part}.h.j2", v=kernels) for part in ("levels", "vector")]
        if contracts:
            self.used.add("sum_lanes")
        parts.append(functions_text(kernels, dtype, self.used))
        if contracts:
            made = "contract_made" in self.used
            wanted = [part for part in _CONTRACTIONS if made or part != "contract_made.h"]
            parts += [render(f"c/{part}.j2", v=kernels, made=made) for part in wanted]
        if contracts and blocks:
            parts.append(render("c/contract_most.c.j2", v=kernels))
        if "contract_lanes" in self.used:
            parts.append(render("c/contract_lanes.c.j2", v=kernels))
        if "contract_symmetric" in self.used:
            parts.append(render("c/contract_symmetric.c.j2", v=kernels))
        parts.append(matrices_text(kernels, self.used))
        return "\n".join(part for part in parts if part).rstrip("\n")

    def view(self, texts: Sequence[EntryText], title: str, about: tuple[str, ...]) -> ModuleView:
        saving = self.saving()
        sizes = self.residual_sizes() or ()
        scope = CScope()
        local = {n: scope.fresh(n) for n in sizes}
        flats = tuple(self.flat(s, t) for s, t in zip(self.plan.schedules, texts, strict=True))
        ranks = [array.rank for flat in flats if flat.quick for array in (*flat.quick.given, *flat.quick.made)]
        return ModuleView(
            prefix=self.name,
            upper=self.name.upper(),
            title=comment_text(title),
            about=tuple(comment_text(line) for line in about),
            real=self.ctype.real,
            s=self.ctype.suffix,
            dims=tuple(StructField("int64_t ", field, "") for field in self.dims.values()),
            args=tuple(self.argument_fields.values()),
            results=tuple(self.result_fields.values()),
            residuals=None if saving is None else residual_layout(saving, self.ctype, self.dims),
            epilogues=self.epilogues.views,
            entries=tuple(text.view for text in texts),
            flats=flats,
            residual_parameters=tuple(f"int64_t {n}" for n in local.values()) or ("void",),
            residual_dims=(f"sizeof({self.name}_dims)", *(local.get(n, "0") for n in self.dims), *self.chosen_threads),
            kernels=KERNELS,
            threads=self.threads,
            faults=tuple(FaultView(k, comment_text(f.about)) for f, k in self.faults.known.items()),
            lapack=self.lapack,
            quick=max((1, *ranks)) if ranks else 0,
            memory=memory_view((s for s in self.plan.schedules if s.entry in self.given), 4 if self.ctype is FLOAT32 else 8),
            apart=any(text.view.apart for text in texts),
            products=tuple(f"{form}_{self.ctype.suffix}" for form in _SHARED) if self.products(texts) else (),
        )


def _is_vector(body: Sequence[object]) -> bool:
    return any(
        getattr(view, "template", "") == "c/nest_vector.c.j2" or _is_vector(getattr(view, "body", ()))
        for view in body
        if hasattr(view, "template")
    )


def _sentence(name: str, entry: Entry | None) -> str:
    """What an entry computes, in a sentence."""
    own = {
        "evaluate": "The results of the model.",
        "forward": "The results of the model, and the residuals that backward reads.",
        "backward": "Gradients from the residuals of forward and the cotangents bar_.. of the results.",
    }
    if name in own or entry is None or entry.request is None:
        return own.get(name, f"{name} of the model.")
    of, by = entry.request.output, ", ".join(entry.request.wrt)
    return {
        "gradient": f"{of} and its gradients by {by}, in one pass.",
        "jacobian": f"The Jacobian of {of} by {by}.",
        "hessian": f"The second derivatives of {of} by {by}.",
        "jvp": f"The differential of {of} for increments d_.. of {by}.",
        "vjp": f"The cotangents of {by} for one of {of}.",
        "hvp": f"The second derivatives of {of} by {by} times increments d_...",
    }[entry.request.kind]


def _shape(buffer: Buffer) -> str:
    shape = ", ".join(str(extent) for extent in buffer.shape)
    return comment_text(f"({shape}{',' if buffer.rank == 1 else ''})" if buffer.rank else "scalar")
