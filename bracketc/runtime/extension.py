"""Building the C text of a module and loading it through cffi.

With Python's headers it becomes an extension ``_NAME`` (cffi's API mode); without them the same C source becomes a plain shared library
that the wrapper opens with ``ffi.dlopen``.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from importlib import util
from importlib.machinery import SourceFileLoader
from io import StringIO
from pathlib import Path
from types import ModuleType

import cffi

from bracketc.errors import ArgumentError
from bracketc.options import Options
from bracketc.runtime.cache import cached, fingerprint
from bracketc.runtime.directory import folder_error
from bracketc.runtime.toolchain import Toolchain, compile_flags, compile_shared, find_toolchain


def library_name(name: str, toolchain: Toolchain) -> str:
    """File name of the compiled module."""
    if toolchain.python_include is None:
        return f"lib{name}.so"
    return f"_{name}{sysconfig.get_config_var('EXT_SUFFIX')}"


def build_extension(name: str, files: Mapping[str, str], cdef: str, options: Options, folder: Path) -> str:
    """Compile ``NAME.c`` of ``files`` in ``folder``, where they are written first; gives the name of the library."""
    toolchain = find_toolchain(options)
    sources = [f"{name}.c"]
    try:
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8", newline="\n")
        if toolchain.python_include is not None:
            sources.append(f"_{name}.c")
            (folder / sources[-1]).write_text(_glue(name, cdef), encoding="utf-8")
    except OSError as error:
        raise folder_error(folder, error) from None
    library = library_name(name, toolchain)
    compile_shared(toolchain, compile_flags(options), tuple(sources), library, folder)
    if len(sources) > 1:
        (folder / sources[-1]).unlink()
    return library


def _glue(name: str, cdef: str) -> str:
    """cffi's C code between Python and the functions of ``cdef``."""
    ffi = cffi.FFI()
    ffi.cdef(cdef)
    ffi.set_source(f"_{name}", f'#include "{name}.h"')
    text = StringIO()
    ffi.emit_c_code(text)
    return text.getvalue()


def load_extension(name: str, files: Mapping[str, str], cdef: str, options: Options) -> ModuleType:
    """The C module in memory: built in the cache where it is not there yet, then imported from there."""
    toolchain = find_toolchain(options)
    key = fingerprint(
        *(text for _, text in sorted(files.items())),
        cdef,
        *compile_flags(options),
        *toolchain.command,
        toolchain.version,
        library_name(name, toolchain),
        cffi.__version__,
        sys.version,
    )

    def make(folder: Path) -> None:
        build_extension(name, files, cdef, options, folder)

    return import_file(name, cached(options, key, name, make) / f"{name}.py")


def import_file(name: str, path: Path) -> ModuleType:
    """The module in ``path``, apart from any other of its name."""
    loader = SourceFileLoader(name, str(path))
    spec = util.spec_from_loader(name, loader)
    assert spec is not None
    module = util.module_from_spec(spec)
    loader.exec_module(module)
    module.__dict__["ArgumentError"] = ArgumentError
    return module
