"""A compiled module as text: the Python wrapper around the kernels of a backend."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import PurePath

from bracketc.emit.c_module import CText
from bracketc.emit.layout import literal, wrapped
from bracketc.emit.minimisation import scipy_view
from bracketc.emit.module_functions import FunctionWriter, Head, docstring_text, dtype_name
from bracketc.emit.module_views import (
    BackendView,
    DimView,
    FunctionView,
    MessageView,
    ModuleText,
    ModuleView,
    NativeView,
    RecordView,
    RequestView,
    TensorView,
)
from bracketc.emit.names import OPTIONS, python_name, python_names
from bracketc.emit.numpy_kernel import Kernel, numpy_kernel
from bracketc.emit.resources import render
from bracketc.emit.structures import class_text
from bracketc.emit.views import KernelView
from bracketc.ir.program import Entry, Program, Request, TensorSpec
from bracketc.options import MAX_MEMORY
from bracketc.plan.schedule import Plan, Schedule
from bracketc.structures import NAMES


def numpy_module(
    name: str,
    program: Program,
    entries: Sequence[Entry],
    plan: Plan,
    *,
    dtype: str,
    version: str,
    max_memory: int = MAX_MEMORY,
    on_singular: str = "raise",
) -> ModuleText:
    """The NumPy module of a planned program, called ``name`` (an ASCII identifier)."""
    helpers: dict[str, None] = {}
    sizes = size_names(program, plan)
    kernels = {s.entry: numpy_kernel(s, sizes, helpers, on_singular) for s in plan.schedules}
    imports = ("import math",) if {"erf", "lgamma", "digamma"} & set(helpers) else ()
    views = {
        "kernels": tuple(kernels[e.name].view for e in entries),
        "helpers": tuple(sorted(helpers)),
        "singular": "no_result_raise" in helpers,
        "backend": BackendView("numpy/kernels.py.j2", "numpy/calls.py.j2", False, imports),
    }
    head = Head(name, dtype, "numpy", version, max_memory)
    return _module_text(head, program, entries, plan, sizes, kernels, None, views)


def c_wrapper(
    name: str,
    program: Program,
    entries: Sequence[Entry],
    plan: Plan,
    code: CText,
    *,
    dtype: str,
    version: str,
    max_memory: int = MAX_MEMORY,
) -> ModuleText:
    """The module that calls the C functions of ``code``."""
    sizes = size_names(program, plan)
    kernels = {s.entry: _native_kernel(s, code) for s in plan.schedules}
    messages = tuple(MessageView(number, literal(text)) for number, text in sorted(C_MESSAGES.items()))
    faults = tuple(literal((f.about, f.definite, f.batched)) for f in code.faults)
    lapack = {"float32": "s", "float64": "d"}[dtype] if code.lapack else ""
    quick = any(entry.quick for entry in code.entries.values())
    imports = (
        "import os as _os",
        "import sys as _sys",
        "from importlib import machinery as _machinery",
        "from importlib import util as _util",
    )
    command = _build_command(program, dtype, code)
    views = {
        "c": NativeView(name, flat_declarations(code), C_ABI, command, messages, faults, lapack, quick, code.threads, code.memory),
        "singular": bool(faults),
        "backend": BackendView("module/c_library.py.j2", "module/c_calls.py.j2", True, imports),
    }
    head = Head(name, dtype, "c", version, max_memory)
    return _module_text(head, program, entries, plan, sizes, kernels, code, views)


C_ABI = 1
"""The ``NAME_abi_version()`` that the wrapper knows how to call."""

C_MESSAGES = {
    1: "the library is older than this module; build it again",
    2: "a size, or an extent made of sizes, is negative",
    3: "a label of an integer input is out of range",
    4: "a slice or a window leaves its axis at these sizes",
    5: "a matrix is singular or not positive definite",
}
"""What the error codes of the header mean to a caller from Python."""


def flat_declarations(code: CText) -> tuple[str, ...]:
    """Declarations of the functions that the wrapper calls, for cffi."""
    return tuple(line for line in code.cdef.splitlines() if "_call_" in line or "_abi_version(" in line)


def _build_command(program: Program, dtype: str, code: CText) -> str:
    """The command that builds the module, without the folder, for an f-string: a name may hold braces, and what a shell obeys."""
    source = _file_name(program.source.filename)
    source = shlex.quote(source) if source.endswith(".brk") else "FILE.brk"
    source = source.replace('"', '\\"').replace("{", "{{").replace("}", "}}")
    march = " --march portable" if code.dispatch is not None else ""
    threads = f" --threads {code.threads}" if code.threads > 1 else ""
    return f"bracketc build {source} --backend c --dtype {dtype}{march}{threads}"


def _native_kernel(schedule: Schedule, code: CText) -> Kernel:
    """What the wrapper passes to a C function."""
    entry = code.entries[schedule.entry]
    read = set(entry.arguments)
    arguments = tuple(buffer for buffer in schedule.arguments if buffer.name in read)
    residuals = schedule.residuals if schedule.entry == "backward" else ()
    return Kernel(KernelView(entry.function, (), (), ""), entry.sizes, arguments, residuals)


def _module_text(
    head: Head,
    program: Program,
    entries: Sequence[Entry],
    plan: Plan,
    sizes: Mapping[str, str],
    kernels: Mapping[str, Kernel],
    code: CText | None,
    backend: Mapping[str, object],
) -> ModuleText:
    functions, twins, records = [], [], []
    called: dict[str, str] = {}
    twin_of = {entry.twin: entry for entry in entries if entry.twin is not None}
    for entry in entries:
        writer = FunctionWriter(head, program, entry, plan.schedule(entry.name), kernels, sizes, code, twin_of.get(entry.name))
        if entry.name in twin_of:
            twins.append(writer.view())
            continue
        functions.append(writer.view())
        called[entry.name] = functions[-1].name
        records += writer.records()
    minimise = scipy_view(program, entries, called)
    threads = 1 if code is None else code.threads
    module = _module_view(head, program, entries, functions, records, bool(backend["singular"]), minimise is not None, threads)
    views = {"module": module, "functions": tuple(functions), "minimise": minimise, "bodies": (*twins, *functions), **backend}
    return ModuleText(_tidy(render("module/module.py.j2", **views)), _tidy(render("module/module.pyi.j2", **views)))


def _tidy(text: str) -> str:
    """Two blank lines at most, no blanks at line ends, one newline at the end."""
    lines: list[str] = []
    blank = 0
    for line in text.split("\n"):
        line = line.rstrip()
        blank = 0 if line else blank + 1
        if blank <= 2 and (line or lines):
            lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def size_names(program: Program, plan: Plan) -> dict[str, str]:
    """Python names of the named sizes, apart from those of the arguments."""
    taken = {*OPTIONS, *(python_name(t.name) for t in program.arguments)}
    names: dict[str, str] = {}
    for name in plan.sizes:
        names[name] = python_name(name) if python_name(name) not in taken else f"size_{python_name(name)}"
    python_names(plan.sizes)
    return names


def _module_view(
    head: Head,
    program: Program,
    entries: Sequence[Entry],
    functions: Sequence[FunctionView],
    records: Sequence[RecordView],
    singular: bool,
    minimises: bool,
    threads: int,
) -> ModuleView:
    unique = {record.name: record for record in records}
    structured = any(function.structured for function in functions)
    exports = ["ArgumentError", *(("SingularError",) if singular else ()), *(NAMES if structured else ()), *unique, "SIGNATURE"]
    exports += [*(f.name for f in functions), *(("ScipyProblem", "scipy") if minimises else ())]
    exports += ["threads"] if threads > 1 else []
    return ModuleView(
        name=head.name,
        title=title(head.name, program, head.version),
        about=tuple(docstring_text(line) for line in about(program)),
        exports=tuple(wrapped(f"__all__ = [{', '.join(map(literal, exports))}]")),
        dtype=head.dtype,
        backend=head.backend,
        version=head.version,
        source_name=literal(_file_name(program.source.filename)),
        source_hash=sha256(program.source.text.encode("utf-8", "surrogatepass")).hexdigest(),
        singular=singular,
        labels=any(function.labels for function in functions),
        threads=threads,
        native=head.backend == "c",
        has_residuals=any(entry.name == "forward" for entry in entries),
        has_backward=any(entry.name == "backward" for entry in entries),
        structures=class_text() if structured else "",
        limited=any(function.forms for function in functions),
        max_memory=head.max_memory,
        records=tuple(unique.values()),
        dims=tuple(DimView(literal(s.name), literal(s.value)) for s in program.sizes),
        inputs=tuple(_tensor_view(spec, head.dtype) for spec in program.inputs.values()),
        outputs=tuple(_tensor_view(spec, head.dtype) for spec in program.outputs.values()),
        requests=tuple(map(_request_view, program.requests)),
    )


def title(name: str, program: Program, version: str) -> str:
    """The first line of every file of a module."""
    return f"{name}: generated by bracketc {version} from {_file_name(program.source.filename)}; do not edit."


def about(program: Program) -> tuple[str, ...]:
    """The source of a module, for the head of its files."""
    return tuple(f"    {line}".rstrip() for line in program.source.text.strip().split("\n"))


def _file_name(filename: str) -> str:
    """The name without its folder, on one line, safe in a docstring."""
    name = PurePath(filename).name or filename
    return "".join(c if c.isprintable() and c not in '"\\' else "?" for c in name)


def _tensor_view(spec: TensorSpec, dtype: str) -> TensorView:
    kind = dtype_name(spec.dtype, dtype)
    return TensorView(literal(spec.name), literal(spec.dims), spec.kind, kind, literal(spec.traits))


def _request_view(request: Request) -> RequestView:
    return RequestView(
        request.kind, literal(request.output), literal(request.wrt), literal(request.name), literal(request.layout)
    )
