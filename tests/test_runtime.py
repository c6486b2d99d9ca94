"""Writing folders, options, the toolchain, the build cache: what happens when something is missing or full."""

from __future__ import annotations

import errno
import os
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any

import pytest

import bracketc as bc
from bracketc.errors import ToolchainError
from bracketc.options import OptionError, Options, read_options
from bracketc.runtime.cache import cache_entries, cached, clear_cache, fingerprint
from bracketc.runtime.directory import staging, write_files
from bracketc.runtime.extension import Glue, build_extension, import_file, load_extension
from bracketc.runtime.memory import load_text
from bracketc.runtime.toolchain import compile_flags, find_toolchain

SOURCE = "dim N\ninput x : N\nJ = x · x\ngradient J wrt x"
HEADER = "double twice(double x);\n"
CODE = '#include "tiny.h"\ndouble twice(double x) { return 2 * x; }\n'
WRAPPER = """\
class ArgumentError(ValueError):
    pass


def library():
    import importlib.machinery, importlib.util, os
    folder = os.path.dirname(__file__)
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = os.path.join(folder, "_tiny" + suffix)
        if os.path.exists(path):
            loader = importlib.machinery.ExtensionFileLoader("_tiny", path)
            module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_tiny", loader))
            loader.exec_module(module)
            return module.lib
    import cffi
    ffi = cffi.FFI()
    ffi.cdef("double twice(double x);")
    return ffi.dlopen(os.path.join(folder, "libtiny.so"))


twice = library().twice
"""
GLUE = Glue('#include "tiny.h"\n', HEADER)
FILES = {"tiny.h": HEADER, "tiny.c": CODE, "tiny.py": WRAPPER}


@pytest.fixture
def compiler() -> None:
    try:
        find_toolchain(Options())
    except ToolchainError as error:
        pytest.skip(str(error))


# ------------------------------------------------------------------------------------------------- folders
def test_files_appear_together_and_nothing_else(tmp_path: Path) -> None:
    written = write_files(tmp_path / "out", {"a.txt": "α\n", "b.bin": b"\x00"})
    assert [path.name for path in written] == ["a.txt", "b.bin"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.txt", "b.bin"]
    assert (tmp_path / "out" / "a.txt").read_bytes() == "α\n".encode()


def test_a_disk_that_fills_up_leaves_no_partial_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "old.py").write_text("kept", encoding="utf-8")
    with pytest.raises(ToolchainError, match="disk is full"):
        bc.build(SOURCE, tmp_path, backend="numpy", name="model")
    assert [path.name for path in tmp_path.iterdir()] == ["old.py"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    with pytest.raises(ToolchainError) as caught:
        bc.build(SOURCE, blocked / "sub", backend="numpy")
    assert str(blocked) in str(caught.value) and "another folder" in str(caught.value)
    assert caught.value.exit_code == 1


def test_staging_cleans_up_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staging(tmp_path) as stage:
        stage.write("a", "text")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_shows_the_lines_of_a_module_in_memory() -> None:
    module = load_text("model", "class ArgumentError(ValueError): pass\ndef fail():\n    return 1 / 0  # here\n")
    with pytest.raises(ZeroDivisionError) as caught:
        module.fail()
    assert "# here" in str(caught.traceback[-1].statement)


# ------------------------------------------------------------------------------------------------- options
def test_the_caller_stands_over_the_environment_and_that_over_the_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.bracketc]\nthreads = 2\ndtype = "float32"\ncache-dir = "/from/project"\n', encoding="utf-8"
    )
    environment = {"BRACKETC_NUM_THREADS": "3", "BRACKETC_CACHE_DIR": "/from/environment", "CC": "clang"}
    options = read_options({"threads": 4, "backend": None}, environment, tmp_path / "src")
    assert (options.threads, options.dtype, options.cc) == (4, "float32", "clang")
    assert options.cache_dir == Path("/from/environment")
    assert read_options({}, {"CC": "a", "BRACKETC_CC": "b"}, None).cc == "b"
    assert read_options({}, {"BRACKETC_CFLAGS": "-g '-DA=1 2'"}, None).cflags == ("-g", "-DA=1 2")
    assert read_options({}, {"BRACKETC_VERIFY": "1"}, None).verify


def test_a_bad_setting_is_told_with_the_place_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.bracketc]\ndtype = "int"\n', encoding="utf-8")
    with pytest.raises(OptionError, match=r"pyproject\.toml: dtype is 'int'"):
        read_options({}, {}, tmp_path)
    with pytest.raises(OptionError, match="BRACKETC_NUM_THREADS: threads is 'many'"):
        read_options({"dtype": "float32"}, {"BRACKETC_NUM_THREADS": "many"}, tmp_path)
    with pytest.raises(OptionError, match=r"^error: threads is 0"):
        read_options({"threads": 0, "dtype": "float32"}, {"BRACKETC_NUM_THREADS": "many"}, tmp_path)
    assert read_options({"threads": 2, "dtype": "float32"}, {"BRACKETC_NUM_THREADS": "many"}, tmp_path).threads == 2


def test_settings_of_a_project_that_mean_nothing_are_errors(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[tool.bracketc]\nspeed = 1\n", encoding="utf-8")
    with pytest.raises(OptionError, match="speed"):
        read_options({}, {}, tmp_path)
    project.write_text("[tool.bracketc\n", encoding="utf-8")
    os.utime(project, (1, 1))
    with pytest.raises(OptionError, match=r"pyproject\.toml"):
        read_options({}, {}, tmp_path)


# ------------------------------------------------------------------------------------------------- toolchain
def test_no_compiler_is_an_error_that_names_the_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError) as caught:
        find_toolchain(Options())
    assert "BRACKETC_CC" in str(caught.value) and "numpy" in str(caught.value)


def test_a_compiler_that_does_not_exist_is_named() -> None:
    with pytest.raises(ToolchainError, match="no-such-compiler"):
        find_toolchain(Options(cc="no-such-compiler -m64"))


def test_a_compiler_that_does_not_work_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho no licence >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(ToolchainError, match="no licence"):
        find_toolchain(Options(cc=str(broken)))


def test_a_level_that_does_not_exist_is_named() -> None:
    with pytest.raises(OptionError, match="pentium"):
        compile_flags(Options(march="pentium"))


def test_fast_math_is_never_among_the_flags() -> None:
    assert "-ffast-math" not in compile_flags(Options())
    assert compile_flags(Options(cflags=("-g",)))[-1] == "-g"
    assert compile_flags(Options(cflags=("-O0",)), ("-O2",))[-1] == "-O0", "the last one counts"


@pytest.mark.usefixtures("compiler")
def test_an_extension_is_built_and_loaded(tmp_path: Path) -> None:
    library = build_extension("tiny", FILES, GLUE, Options(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([library, *FILES])
    assert import_file("tiny", tmp_path / "tiny.py").twice(2.5) == 5


@pytest.mark.usefixtures("compiler")
def test_without_the_headers_of_python_it_becomes_a_shared_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "nowhere"))
    assert build_extension("tiny", FILES, GLUE, Options(), tmp_path) == "libtiny.so"
    assert import_file("tiny", tmp_path / "tiny.py").twice(2.5) == 5


@pytest.mark.usefixtures("compiler")
def test_code_that_does_not_compile_gives_the_first_error_only(tmp_path: Path) -> None:
    files = {**FILES, "tiny.c": "int f( {\n" * 50}
    with pytest.raises(ToolchainError) as caught:
        build_extension("tiny", files, GLUE, Options(), tmp_path)
    assert "error" in str(caught.value) and len(str(caught.value).splitlines()) == 1


# ------------------------------------------------------------------------------------------------- the cache
@pytest.mark.usefixtures("compiler")
def test_a_module_is_built_once_and_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(cache_dir=tmp_path / "cache")
    assert load_extension("tiny", FILES, GLUE, options).twice(1) == 2

    def unused(*_: Any) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr("bracketc.runtime.extension.build_extension", unused)
    assert load_extension("tiny", FILES, GLUE, options).twice(2) == 4
    (entry,) = cache_entries(options)
    assert entry.name == "tiny" and entry.bytes > 0
    assert clear_cache(options) == 1 and cache_entries(options) == ()


def test_a_build_that_fails_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    options = Options(cache_dir=tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("", encoding="utf-8")
        raise ToolchainError("no")

    with pytest.raises(ToolchainError):
        cached(options, "key", "name", fail)
    assert not (tmp_path / "key").exists()


def test_two_builders_of_one_key_build_once(tmp_path: Path) -> None:
    options, builds = Options(cache_dir=tmp_path), []

    def make(folder: Path) -> None:
        builds.append(folder)

    threads = [threading.Thread(target=cached, args=(options, "key", "name", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    with pytest.raises(ToolchainError, match="file"):
        cached(Options(cache_dir=blocked / "cache"), "key", "name", lambda folder: None)


def test_fingerprints_tell_divisions_apart() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc") and fingerprint("a") == fingerprint("a")
    assert sys.version_info >= (3, 11)
