"""The cache of built modules: many processes, ends at any moment, whatever a module depends on, disks and homes that are none."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import cachechecks as checks
import cffi
import platformdirs
import pytest
from modelcases import needs_compiler

import bracketc as bc
from bracketc import compiler
from bracketc.emit.resources import environment
from bracketc.errors import ToolchainError
from bracketc.options import Options, make_options
from bracketc.runtime import extension, modules, toolchain
from bracketc.runtime.cache import cache_entries, cache_folder, cached, clear_cache

SOURCE = "dim N\nparam x : N\nJ = x · x\ngradient J wrt x"


@needs_compiler
def test_processes_that_build_the_same_and_other_models_at_once(tmp_path: Path) -> None:
    checks.at_once(tmp_path, processes=4, models=2)


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups")
def test_a_build_that_is_killed_is_built_again(tmp_path: Path) -> None:
    checks.killed(tmp_path, seed=1)


# ------------------------------------------------------------------------------------------------ what a build depends on
def key(monkeypatch: pytest.MonkeyPatch, text: str = SOURCE, **given: object) -> str:
    """The key that a module would have."""
    found: list[str] = []

    def note(options: Options, key: str, name: str, make: object) -> Path:
        found.append(key)
        raise InterruptedError

    with TemporaryDirectory() as folder, monkeypatch.context() as patched:
        options = make_options({"backend": "c", "cache_dir": folder, **given})
        program = bc.parse(text)
        emitted = compiler.emit(compiler.stages(program, options), "model", options)
        assert emitted.glue is not None
        patched.setattr(extension, "cached", note)
        with pytest.raises(InterruptedError):
            extension.load_extension("model", emitted.files, emitted.glue, options)
    return found[0]


@needs_compiler
def test_whatever_a_module_depends_on_is_in_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = key(monkeypatch)
    assert key(monkeypatch) == first
    others = {
        "source": key(monkeypatch, SOURCE.replace("x · x", "2 (x · x)")),
        "flag": key(monkeypatch, cflags="-g"),
        "type": key(monkeypatch, dtype="float32"),
        "level": key(monkeypatch, march="x86-64-v2" if os.uname().machine == "x86_64" else "generic128"),
        "size": key(monkeypatch, sizes={"N": 3}),
        "threads": key(monkeypatch, threads=2),
    }
    command = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    wrapper = tmp_path / "cc"
    wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    others["compiler"] = key(monkeypatch, cc=str(wrapper))
    wrapper.write_text(f'#!/bin/sh\n\nexec {command} "$@"\n', encoding="utf-8")
    others["the same compiler, built anew"] = key(monkeypatch, cc=str(wrapper))
    with monkeypatch.context() as patched:
        patched.setattr(compiler, "VERSION", "99.0")
        others["version of bracketc"] = key(monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(cffi, "__version__", "99.0")
        others["version of cffi"] = key(monkeypatch)
    (tmp_path / "headers").mkdir()
    for variable in ("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "GCC_EXEC_PREFIX", "CCC_OVERRIDE_OPTIONS"):
        with monkeypatch.context() as patched:
            patched.setenv(variable, str(tmp_path / "headers"))
            others[variable] = key(monkeypatch)
    with monkeypatch.context() as patched:
        patched.setenv("CPATH", str(tmp_path / "headers"))
        os.utime(tmp_path / "headers", ns=(1, 1))  # as when a header is put there, which may hide another
        others["a folder of headers"] = key(monkeypatch)
    real = environment().get_template
    for template, line in (("c/module.h.j2", "/* other */"), ("c/module.c.j2", "/* other */"), ("module/module.py.j2", "# other")):
        with monkeypatch.context() as patched:
            patched.setattr(
                environment(),
                "get_template",
                lambda name, template=template, line=line: Changed(real(name), line) if name == template else real(name),
            )
            others[template] = key(monkeypatch)
    same = [name for name, found in others.items() if [first, *others.values()].count(found) > 1]
    assert not same


@needs_compiler
@pytest.mark.parametrize("place", ["a flag", "CPATH"])
def test_a_changed_header_misses(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "headers of mine"
    folder.mkdir()
    header = folder / "first.h"
    header.write_text("", encoding="utf-8")
    flags = ("-O0", "-include", str(header) if place == "a flag" else header.name)
    if place == "CPATH":
        monkeypatch.setenv("CPATH", str(folder))
    built = []
    for text in ("", "", "/* another */\n"):
        if text:
            header.write_text(text, encoding="utf-8")
        modules.forget()
        module = bc.compile(SOURCE, cflags=flags, cache_dir=tmp_path / "cache")
        assert module.value_and_grad([1.0, 2.0]).value == 5
        (found,) = (tmp_path / "cache").glob("*/complete")
        built.append(found.stat().st_mtime_ns)
    assert built[0] == built[1] != built[2]


class Changed:
    """A template with one more line."""

    def __init__(self, template: Any, line: str) -> None:
        self.template, self.line = template, line

    def render(self, **views: object) -> str:
        return f"{self.template.render(**views)}\n{self.line}\n"


# ------------------------------------------------------------------------------------------------ disks and homes
@pytest.mark.parametrize("home", ["/dev/null/home", ""])
def test_without_a_home_builds_go_to_a_private_folder(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: f"{home or '/dev/null'}/.cache/{name}")
    folder = cache_folder(Options())
    assert folder.parent == tmp_path and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert cache_folder(Options()) == folder
    built = cached(Options(), "key", "model", lambda place: None)
    assert built.parent == folder and [entry.name for entry in cache_entries(Options())] == ["model"]


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_fallback_that_others_could_write_to_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: "/dev/null/cache")
    place = tmp_path / f"bracketc-{os.getuid()}"
    if kind == "a file":
        place.touch()
    elif kind == "a link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        place.chmod(0o777)
    with pytest.raises(ToolchainError, match="only you can write to; set BRACKETC_CACHE_DIR"):
        cache_folder(Options())


def test_folders_of_the_cache_are_private(tmp_path: Path) -> None:
    options = Options(cache_dir=tmp_path / "cache")
    cached(options, "key", "model", lambda folder: None)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700


@needs_compiler
def test_a_disk_that_is_full_for_the_compiler_is_told(tmp_path: Path) -> None:
    full = tmp_path / "cc"
    text = f"echo 'ld: final link failed: {os.strerror(errno.ENOSPC)}' >&2\nexit 1\n"
    full.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo full 1.0 && exit 0\n{text}', encoding="utf-8")
    full.chmod(0o755)
    with pytest.raises(ToolchainError, match="the disk is full; free some space"):
        bc.compile(SOURCE, cc=str(full), cache_dir=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_limit_on_the_size_of_files_is_told(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        f"import bracketc as bc\nbc.build({SOURCE!r}, 'out', backend='numpy')"
    )
    around = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}  # which write files, too
    command = [sys.executable, "-B", "-c", code]
    done = subprocess.run(command, env=around, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "raise the limit on the size of files (ulimit -f)" in done.stderr.splitlines()[-1]


# ------------------------------------------------------------------------------------------------ clearing
def test_clearing_takes_what_was_left_behind_and_leaves_what_is_being_built(tmp_path: Path) -> None:
    options = Options(cache_dir=tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    def make(folder: Path) -> None:
        (folder / "half").write_text("", encoding="utf-8")
        begun.set()
        assert go_on.wait(60)

    builder = threading.Thread(target=cached, args=(options, "busy", "busy", make))
    builder.start()
    assert begun.wait(60)
    cached(options, "done", "done", lambda folder: None)
    (tmp_path / "left").mkdir()
    (tmp_path / "left.lock").touch()
    assert clear_cache(options) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["busy", "busy.lock"]
    go_on.set()
    builder.join()
    assert [entry.name for entry in cache_entries(options)] == ["busy"]


@needs_compiler
def test_a_module_that_is_forgotten_is_found_again(tmp_path: Path) -> None:
    made: list[ModuleType] = []
    for _ in range(2):
        modules.forget()
        made.append(bc.compile(SOURCE, cflags=("-O0",), cache_dir=tmp_path))
    assert made[0] is not made[1] and len(cache_entries(Options(cache_dir=tmp_path))) == 1
    assert toolchain.find_toolchain(Options()).file
