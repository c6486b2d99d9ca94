"""Building the C text of a module and loading it through cffi.

With Python's headers it becomes an extension ``_NAME`` (cffi's API mode); without them the same C source becomes a
plain shared library that the wrapper opens with ``ffi.dlopen``. A portable build compiles ``NAME.c`` once for each level of the
instruction set and adds ``NAME_dispatch.c``, which chooses.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import cffi
from cffi import recompiler

from bracketc.options import Options
from bracketc.runtime.cache import cached, fingerprint, note_headers
from bracketc.runtime.directory import folder_error
from bracketc.runtime.memory import adopt_errors
from bracketc.runtime.toolchain import (
    BETWEEN,
    PARTS,
    Toolchain,
    build_levels,
    compile_flags,
    compile_object,
    compile_shared,
    find_toolchain,
    headers,
    level_flags,
    surroundings,
    thread_flags,
)
from bracketc.target import processors


def library_name(name: str, toolchain: Toolchain) -> str:
    """File name of the compiled module."""
    if toolchain.python_include is None:
        return f"lib{name}.so"
    return f"_{name}{sysconfig.get_config_var('EXT_SUFFIX')}"


@dataclass(frozen=True, slots=True)
class Glue:
    """What stands between Python and the C text: functions in C that cffi calls, and their declarations; whether that
    text has ``products`` that can be compiled beside its entries, and whether these are the longer part."""

    source: str
    cdef: str
    products: bool = False
    long_entries: bool = False


def build_extension(
    name: str, files: Mapping[str, str], glue: Glue, options: Options, folder: Path, noted: bool = False
) -> str:
    """Compile ``NAME.c`` of ``files`` in ``folder``, where they are written first; gives the name of the library. The headers that
    were read are ``noted`` for the cache."""
    toolchain = find_toolchain(options)
    between = f"_{name}.c"
    try:
        for file, content in {**files, between: glue.source}.items():
            (folder / file).write_text(content, encoding="utf-8", newline="\n")
    except OSError as error:
        raise folder_error(folder, error) from None
    library = library_name(name, toolchain)
    threads = thread_flags(toolchain, options)
    flags = (*compile_flags(options), *threads)
    levels = build_levels(options)
    first = dispatch_file(name) if levels else f"{name}.c"
    # What takes longest first. Several levels keep the processors busy as they are.
    jobs = [(f"{name}.c", f"{name}_{level.suffix}.o", (*flags, *level_flags(level, name))) for level in levels]
    if glue.products and not levels:
        parts = sorted(PARTS, key=lambda part: glue.long_entries and part[0] != "entries")
        jobs += [(first, f"{name}_{part}.o", (*compile_flags(options, own), *threads)) for part, own in parts]
    else:
        jobs.append((first, f"{name}.o", flags))

    def compile_one(job: tuple[str, str, tuple[str, ...]]) -> str:
        source, output, own = job
        compile_object(toolchain, own, source, output, folder)
        return output

    with ThreadPoolExecutor(max_workers=processors()) as pool:  # each waits for a compiler of its own
        sources = tuple(dict.fromkeys((f"{name}.c", first, between)))
        running = [pool.submit(compile_one, job) for job in jobs]
        if toolchain.python_include is not None:
            _write_cffi_text(name, glue, folder / between)
        running.append(pool.submit(compile_one, (between, f"_{name}.o", (*compile_flags(options, BETWEEN), *threads))))
        read = pool.submit(headers, toolchain, flags, sources, folder) if noted else None
        objects = tuple(job.result() for job in running)
    compile_shared(toolchain, flags, objects, library, folder)
    if read is not None:
        note_headers(folder, read.result())
    for file in (between, *objects):
        (folder / file).unlink()
    return library


def dispatch_file(name: str) -> str:
    """Name of the file of a portable build that chooses between its levels."""
    return f"{name}_dispatch.c"


def _write_cffi_text(name: str, glue: Glue, path: Path) -> None:
    """cffi's C code between Python and the declared functions."""
    ffi = cffi.FFI()
    ffi.cdef(glue.cdef)
    try:
        # What `ffi.emit_c_code` does, without its word on the terminal.
        recompiler.make_c_source(ffi, f"_{name}", glue.source, str(path), verbose=False)
    except OSError as error:
        raise folder_error(path.parent, error) from None


def load_extension(name: str, files: Mapping[str, str], glue: Glue, options: Options) -> ModuleType:
    """The C module in memory: built in the cache where it is not there yet, then imported from there."""
    toolchain = find_toolchain(options)
    key = fingerprint(
        *(text for _, text in sorted(files.items())),
        glue.source,
        glue.cdef,
        *compile_flags(options),
        *(flag for _, own in (PARTS if glue.products else ()) for flag in own),
        *BETWEEN,
        *thread_flags(toolchain, options),
        *(flag for level in build_levels(options) for flag in level_flags(level, name)),
        *toolchain.command,
        *surroundings(),
        toolchain.version,
        toolchain.file,
        library_name(name, toolchain),
        cffi.__version__,
        sys.version,
    )

    def make(folder: Path) -> None:
        build_extension(name, files, glue, options, folder, noted=True)

    return import_file(name, cached(options, key, name, make) / f"{name}.py")


def import_file(name: str, path: Path) -> ModuleType:
    """The module in ``path``, apart from any other of its name."""
    loader = SourceFileLoader(name, str(path))
    spec = util.spec_from_loader(name, loader)
    assert spec is not None
    module = util.module_from_spec(spec)
    loader.exec_module(module)
    adopt_errors(module)
    return module
