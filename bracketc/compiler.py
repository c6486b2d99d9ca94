"""The pipeline: from a source file to a module, one named call a stage.

text ──read_file──▶ syntax tree ──elaborate──▶ Program ──stabilise──▶ Program ──entries──▶ Entry, …
                                                                                                │ simplify
                                    numpy_module ◀──┬── Plan ◀──────────── plan ─────────── Entry, …
                                         │          └──▶ c_module (lowers to loops) and c_wrapper
                                     load_text                          │
                                                                  build_extension
"""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from types import ModuleType

from bracketc.calculus.cuts import cut_definitions
from bracketc.calculus.requests import named_entries
from bracketc.emit.c_module import c_module
from bracketc.emit.module import about, c_wrapper, flat_declarations, numpy_module, title
from bracketc.emit.names import module_name
from bracketc.emit.resources import keep_compiled
from bracketc.errors import Diagnostic, LimitError, Source, SourceError
from bracketc.ir.nodes import Node
from bracketc.ir.passes import over_entries, over_program
from bracketc.ir.program import Entry, Program, represent
from bracketc.ir.rewrite import Origin, topological
from bracketc.ir.sizes import bind_sizes
from bracketc.ir.verify import verify
from bracketc.ir.work import metered
from bracketc.lang.elaborate import elaborate
from bracketc.lang.parser import read_file
from bracketc.options import Limits, Options, read_limits, read_options
from bracketc.plan.native import native_plan
from bracketc.plan.plan import PlanOptions, plan
from bracketc.plan.schedule import Plan
from bracketc.runtime.cache import template_folder
from bracketc.runtime.directory import staging
from bracketc.runtime.extension import Glue, build_extension, dispatch_file, load_extension
from bracketc.runtime.memory import load_text
from bracketc.runtime.modules import remembered
from bracketc.simplify import simplifier, stabilise
from bracketc.simplify.structure import store_structures
from bracketc.version import VERSION


# What few builds need is loaded where it is: typesetting, judges of derivations.
def _program_html(program: Program) -> str | None:
    from bracketc.emit.statements import program_html

    return program_html(program)


def _program_latex(program: Program) -> str | None:
    from bracketc.emit.statements import program_latex

    return program_latex(program)


represent("html", _program_html)
represent("latex", _program_latex)

_REAL_BYTES = {"float32": 4, "float64": 8}


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No search for reference cycles meanwhile: graphs have none, and walking over all nodes again and again would take
    half of the time that a large program takes."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


# ------------------------------------------------------------------------------------------------- the pipeline
@dataclass(frozen=True, slots=True)
class Stages:
    """What the stages before emission made of a source."""

    program: Program
    entries: tuple[Entry, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Derived:
    """The functions of a module as simplified graphs, and the names that their nodes have."""

    program: Program
    entries: tuple[Entry, ...]
    origins: Mapping[Node, Origin]


@_collector_paused()
def derive(program: Program, options: Options) -> Derived:
    """The stages before planning, whose formulas people read."""
    with metered(options.limits, _expressions(program)):
        return _derive(program, options)


def _expressions(program: Program) -> int:
    """Expressions of a program, once for each of its requests: each of them goes through all."""
    count = len(topological(node for _, node in (*program.definitions, *program.results)))
    return count * max(1, len(program.requests))


def _derive(program: Program, options: Options) -> Derived:
    if program.written:
        from bracketc.proof.written import check_written

        check_written(program)
    program = bind_sizes(program, _known_sizes(program, options))
    program = over_program(cut_definitions(program), stabilise)
    functions, origins = named_entries(program)
    functions, origins = over_entries(functions, origins, simplifier())
    return Derived(program, functions, origins)


@_collector_paused()
def stages(program: Program, options: Options) -> Stages:
    """Everything between a program and the text of a backend.

    sizes bound → stable forms recognised → derivatives expanded into entry points → simplified → of derivatives with a structure,
    what is stored → planned
    """
    with metered(options.limits, _expressions(program)):
        return _stages(program, options)


def _stages(program: Program, options: Options) -> Stages:
    derived = _stored(derive(program, options))
    if options.verify:
        verify(node for function in derived.entries for _, node in function.results)
        verify(node for function in derived.entries for candidate in function.candidates for node in candidate.nodes)
    factors = "all" if options.backend == "c" else "triangular"
    wanted = PlanOptions(
        real_bytes=_REAL_BYTES[options.dtype], factors=factors, max_nodes=options.limits.max_nodes
    )
    planned = plan(derived.entries, derived.origins, derived.program.sizes, wanted)
    bound = [spec.name for spec in derived.program.sizes if spec.value is not None]
    _check_limits(planned, options.limits, {function.twin for function in derived.entries}, bound)
    _check_memory(derived.entries, options)
    return Stages(replace(derived.program, origins=derived.origins), derived.entries, planned)


def _stored(derived: Derived) -> Derived:
    """The functions as they are planned: those whose results have a structure compute what it stores."""
    functions, origins = store_structures(derived.entries), derived.origins
    new = [function for function in functions if any(form.structure for form in function.forms)]
    simplified, origins = over_entries(new, origins, simplifier())
    found = {function.name: function for function in simplified}
    return Derived(derived.program, tuple(found.get(function.name, function) for function in functions), origins)


@dataclass(frozen=True, slots=True)
class Emitted:
    """The text of a module by file name, what makes it importable last; ``glue`` is what cffi compiles with C text."""

    files: Mapping[str, str]
    glue: Glue | None = None


@_collector_paused()
def emit(done: Stages, name: str, options: Options) -> Emitted:
    """The text of the module ``name``."""
    keep_compiled(template_folder())
    program, functions, planned, dtype = done.program, done.entries, done.plan, options.dtype
    if options.backend == "numpy":
        text = numpy_module(
            name,
            program,
            functions,
            planned,
            dtype=dtype,
            version=VERSION,
            max_memory=options.limits.max_memory,
            on_singular=options.on_singular,
        )
        return Emitted({f"{name}.pyi": text.stub, f"{name}.py": text.python})
    planned = native_plan(planned)
    heading = title(name, program, VERSION)
    lines, checked, threads = about(program), options.verify, options.threads
    code = c_module(
        name, planned, functions, dtype=dtype, title=heading, about=lines, checked=checked, threads=threads,
        on_singular=options.on_singular, lapack=options.lapack, portable=options.march == "portable",
    )
    text = c_wrapper(
        name, program, functions, planned, code, dtype=dtype, version=VERSION, max_memory=options.limits.max_memory
    )
    files = {f"{name}.h": code.header, f"{name}.c": code.source}
    if code.dispatch is not None:
        files[dispatch_file(name)] = code.dispatch
    files |= {f"{name}.pyi": text.stub, f"{name}.py": text.python}
    return Emitted(files, Glue(code.flat, "\n".join(flat_declarations(code)), code.products, code.long_entries))


def _known_sizes(program: Program, options: Options) -> Mapping[str, int]:
    known = [spec.name for spec in program.sizes]
    for name in options.size_map():
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "it names no size"
            raise SourceError(f"no size {name} to bind in {program.source.filename}; {there}")
    for spec in program.sizes:
        bound = options.size_map().get(spec.name)
        if bound is not None and spec.value is not None and bound != spec.value:
            raise SourceError(f"size {spec.name} is {spec.value} in {program.source.filename}, not {bound}")
    return options.size_map()


def _check_limits(planned: Plan, limits: Limits, twins: Collection[str | None], bound: Collection[str]) -> None:
    """Planned cost at the hints against the limits; ``twins`` cost only those who ask for a dense array. ``bound`` sizes are no
    hints."""
    for schedule in planned.schedules:
        if schedule.entry in twins:
            continue
        for what, dim, most in (
            ("flops", schedule.flops, limits.max_flops),
            ("bytes", schedule.bytes, limits.max_bytes),
        ):
            cost = dim.evaluate(planned.hints)
            if cost > most:
                at = ", ".join(f"{name} = {planned.hints[name]}" for name in dim.names)
                at = f" ({at})" if at else ""
                free = [name for name in dim.names if name not in bound]
                smaller = f", `dim {free[0]} ~ 10` plans for a smaller {free[0]}" if free else ""
                raise LimitError(
                    f"{schedule.entry} would take {_figure(cost)} {what}{at}, more than {_figure(most)};"
                    f" the option max_{what} raises the limit{smaller}"
                )


def _figure(number: int) -> str:
    """Three digits of a number of any size: ``5.3e+210``."""
    digits = str(number) if number.bit_length() < 10_000 else ""
    if not digits:
        return f"2**{number.bit_length() - 1}"
    return f"{number:.3g}" if len(digits) < 300 else f"{float(digits[:17]) / 1e16:.3g}e+{len(digits) - 1}"


def _check_memory(entries: Sequence[Entry], options: Options) -> None:
    """Dense derivatives of known size against the limit; others are checked at the call, those with a structure when
    ``dense=True`` asks for it."""
    most = options.limits.max_memory
    for entry in entries:
        nodes = dict(entry.results)
        for form in () if any(other.twin == entry.name for other in entries) else entry.forms:
            sizes = [] if form.structure else [extent.constant for extent in nodes[form.name].shape]
            known = [size for size in sizes if size is not None]
            size = math.prod(known) * _REAL_BYTES[options.dtype]
            if sizes and len(known) == len(sizes) and size > most:
                shape = ", ".join(map(str, known))
                help = "products with it need no such array: jvp, vjp or hvp; the option max_memory raises the limit"
                what = f"{entry.name} has no structure: of shape ({shape}) it would take {size:,} bytes, more than {most:,}"
                raise LimitError(Diagnostic(what, None if entry.request is None else entry.request.span, help))


# ------------------------------------------------------------------------------------------------- what people call
@_collector_paused()
def parse(text: str, filename: str = "<string>", **limits: object) -> Program:
    """The program that ``text`` means; every mistake in it is in one :class:`~bracketc.errors.SourceError`.

    ``limits`` are fields of :class:`~bracketc.options.Limits`, such as ``nesting=400``.
    """
    bounds = read_limits(limits)
    if not isinstance(text, str):
        raise _no_program("source text", text)
    read = read_file(Source(text, str(filename)), bounds.nesting)
    with metered(bounds):
        return elaborate(read.tree, read.problems, read.spoiled, bounds)


def load(path: str | os.PathLike[str], **limits: object) -> Program:
    """The program of a ``.brk`` file; ``limits`` as for :func:`parse`."""
    source = read(path)
    return parse(source.text, source.filename, **limits)


def read(path: str | os.PathLike[str]) -> Source:
    """The text of a ``.brk`` file."""
    if not isinstance(path, str | os.PathLike):
        raise _no_program("the path of a file", path)
    try:
        return Source(Path(path).read_text(encoding="utf-8-sig"), os.fspath(path))
    except OSError as error:
        raise SourceError(f"cannot read {os.fspath(path)}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SourceError(f"{os.fspath(path)} is not UTF-8 text (byte {error.start})") from None


def _no_program(expected: str, found: object) -> SourceError:
    return SourceError(f"expected {expected}, found an object of type {type(found).__name__}")


def compile(
    program: str | Program,
    backend: str | None = None,
    dtype: str | None = None,
    sizes: Mapping[str, int] | None = None,
    threads: int | None = None,
    **settings: object,
) -> ModuleType:
    """A module in memory with the functions of ``program`` (or of a source text), cached.

    ``backend`` is ``"c"`` (the default) or ``"numpy"``, ``dtype`` ``"float64"`` (the default) or ``"float32"``;
    ``sizes`` binds dimensions. ``settings`` are further fields of :class:`~bracketc.options.Options`.
    """
    given = {"backend": backend, "dtype": dtype, "sizes": sizes, "threads": threads, **settings}
    options = read_options(given)
    if not isinstance(program, str | Program):
        raise _no_program("source text or a program", program)
    return remembered(_key(program, options), program, lambda: _compiled(program, options))


def _compiled(program: str | Program, options: Options) -> ModuleType:
    if isinstance(program, str):
        program = parse(program, **asdict(options.limits))
    name = stem(program)
    text = emit(stages(program, options), name, options)
    if text.glue is None:
        return load_text(name, text.files[f"{name}.py"])
    return load_extension(name, text.files, text.glue, options)


def _key(program: str | Program, options: Options) -> Hashable:
    """Equal for equal programs: nodes are interned, so that comparing them is cheap."""
    if isinstance(program, str):
        return program, options
    kinds = tuple(program.kinds.items())
    parts = (program.arguments, program.definitions, program.results, program.requests, program.constraints)
    return program.source, program.sizes, kinds, parts, program.written, options


def stem(program: Program) -> str:
    """The name of a model's module: that of its file, made an identifier."""
    filename = program.source.filename
    return "model" if filename.startswith("<") else module_name(PurePath(filename).stem)


@dataclass(frozen=True, slots=True)
class Build:
    """What :func:`build` wrote: the module's name, its files, and the cost of its functions at the planning sizes."""

    name: str
    backend: str
    files: tuple[Path, ...]
    stages: Stages

    def cost(self, function: str) -> tuple[int, int]:
        """Flops and bytes of one call at the hinted sizes."""
        schedule = self.stages.plan.schedule(function)
        hints = self.stages.plan.hints
        return schedule.flops.evaluate(hints), schedule.bytes.evaluate(hints)


def build(
    program: str | Program,
    folder: str | os.PathLike[str],
    backend: str | None = None,
    dtype: str | None = None,
    sizes: Mapping[str, int] | None = None,
    threads: int | None = None,
    name: str | None = None,
    compile: bool = True,
    **settings: object,
) -> Build:
    """Write the module of ``program`` into ``folder``: all of its files, or none.

    ``name`` replaces the name of the source file; one that is no identifier, or a keyword of Python or C, is adapted.
    ``compile=False`` writes the text of a C module without building it.
    """
    given = {"backend": backend, "dtype": dtype, "sizes": sizes, "threads": threads, **settings}
    options = read_options(given)
    if not isinstance(program, Program):
        program = parse(program, **asdict(options.limits))
    called = module_name(name) if name is not None else stem(program)
    done = stages(program, options)
    text = emit(done, called, options)
    with staging(Path(folder)) as stage:
        if text.glue is not None and compile:
            stage.add(build_extension(called, text.files, text.glue, options, stage.path))
        for file, content in text.files.items():
            stage.write(file, content)
        return Build(called, options.backend, stage.publish(), done)
