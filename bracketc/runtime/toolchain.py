"""The C compiler of this machine: where it is, what it is, and what it needs to build an extension."""

from __future__ import annotations

import errno
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bracketc.errors import ToolchainError
from bracketc.options import OptionError, Options, compiler_variables
from bracketc.runtime.directory import folder_error
from bracketc.target import BASE_CFLAGS, Target, detect_host, find_target, portable_levels

CANDIDATES = ("cc", "gcc", "clang")

PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("in_place", ("-DBRK_ONLY=1",)),
    ("vectors", ("-DBRK_ONLY=3",)),
    ("entries", ("-DBRK_ONLY=4",)),
    ("panels", ("-DBRK_ONLY=2", "-O2")),
)
"""Parts of a text with kernels of contractions that are compiled at the same time: what they are called, and their flags, of which
one leaves the others out."""

BETWEEN = ("-O2",)
"""Flags of what stands between Python and the C text: more optimisation makes no call faster."""

SEARCHED = ("CPATH", "C_INCLUDE_PATH")
"""Variables with folders in which gcc and clang look for headers."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A C compiler: how to start it, what it says of itself, the folder of ``Python.h`` if there is one, and which file it is:
    one that was built anew may say the same of itself."""

    command: tuple[str, ...]
    version: str
    python_include: Path | None
    file: str = ""


def find_toolchain(options: Options) -> Toolchain:
    """The compiler that ``options`` name, else the one that Python was built with, else a usual one."""
    command = _command(options)
    headers = Path(sysconfig.get_path("include"))
    python_include = headers if (headers / "Python.h").is_file() else None
    found = os.stat(command[0])
    file = f"{found.st_size} {found.st_mtime_ns}"
    return Toolchain(command, _version(command, found.st_mtime_ns), python_include, file)


def _command(options: Options) -> tuple[str, ...]:
    if options.cc is not None:
        words = shlex.split(options.cc)
        path = shutil.which(words[0]) if words else None
        if path is None:
            raise ToolchainError(
                f"the C compiler {options.cc!r} does not exist; correct BRACKETC_CC or CC, or use the NumPy backend"
            )
        return (path, *words[1:])
    configured = shlex.split(sysconfig.get_config_var("CC") or "")[:1]
    for name in (*configured, *CANDIDATES):
        path = shutil.which(name)
        if path is not None:
            return (path,)
    raise ToolchainError(
        "no C compiler found: install gcc or clang (on Debian and Ubuntu: apt install gcc), name one in BRACKETC_CC,"
        " or use the NumPy backend (backend='numpy', --backend numpy)"
    )


@lru_cache
def _version(command: tuple[str, ...], changed: int) -> str:
    """First line of ``cc --version``; ``changed`` makes a replaced compiler a new one."""
    try:
        done = subprocess.run((*command, "--version"), capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"cannot run the C compiler {command[0]}: {error}") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise ToolchainError(f"{command[0]} is no working C compiler: {_first_line(done.stderr)}")
    return lines[0]


def build_target(options: Options) -> Target | None:
    """The instruction set of all files; ``None`` is the baseline of the architecture, to which ``portable`` adds levels."""
    if options.march == "portable":
        return None
    if options.march == "native":
        return detect_host()
    target = find_target(options.march)
    if target is None:
        raise OptionError(f"march is {options.march!r}; choose native, portable or a level such as x86-64-v3")
    return target


def compile_flags(options: Options, part: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Flags of every file of a build, or of one ``part``; what ``options`` say comes last."""
    target = build_target(options)
    return (*BASE_CFLAGS, *part, "-fPIC", *(target.cflags if target is not None else ()), *options.cflags)


def build_levels(options: Options) -> tuple[Target, ...]:
    """The levels for which a portable build compiles the text of a module; none for other builds, which compile it once."""
    return portable_levels(platform.machine()) if options.march == "portable" else ()


def level_flags(level: Target, name: str) -> tuple[str, ...]:
    """Flags, beside those of every file, with which ``NAME.c`` becomes the functions of one level; only
    ``NAME_dispatch.c`` sees them."""
    return (*level.cflags, "-fvisibility=hidden", f"-D{name.upper()}_NAME(name)={level.suffix}_{name}_##name")


def thread_flags(toolchain: Toolchain, options: Options) -> tuple[str, ...]:
    """What the compiler needs for the threads that ``options`` ask for; a warning where it cannot make them."""
    if options.threads == 1:
        return ()
    if _has_openmp(toolchain.command, toolchain.version):
        return ("-fopenmp",)
    warnings.warn(
        f"threads={options.threads}: {Path(toolchain.command[0]).name} has no OpenMP (for clang install libomp),"
        " so that the kernels use one core",
        stacklevel=2,
    )
    return ()


@lru_cache
def _has_openmp(command: tuple[str, ...], version: str) -> bool:
    """Whether a program of several threads can be built."""
    program = "#include <omp.h>\nint count(void) { return omp_get_max_threads(); }\n"
    with TemporaryDirectory() as folder:
        words = (*command, "-fopenmp", "-fPIC", "-shared", "-x", "c", "-", "-o", str(Path(folder) / "probe.so"))
        try:
            done = subprocess.run(words, input=program, capture_output=True, text=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def surroundings() -> tuple[str, ...]:
    """What the compiler reads beside its command: variables, and the times of folders of headers, since a header that is put into
    one of them may hide another."""
    given = compiler_variables()
    found = [f"{name}={value}" for name, value in given.items()]
    for folder in (folder for name in SEARCHED for folder in given.get(name, "").split(os.pathsep) if folder):
        try:
            found.append(f"{folder} {os.stat(folder).st_mtime_ns}")
        except OSError:
            found.append(f"{folder} is not there")
    return tuple(found)


def headers(toolchain: Toolchain, flags: tuple[str, ...], sources: tuple[str, ...], folder: Path) -> tuple[Path, ...]:
    """Every header beyond ``folder`` that ``sources`` in it read, as the compiler says (``-M``)."""
    arguments = (*flags, *_python_headers(toolchain), "-M", *sources)
    said = _compile(toolchain, arguments, sources[0], folder)
    words = re.findall(r"(?:\\\s|[^\s])+", re.sub(r"\\\r?\n", " ", said))
    paths = (Path(re.sub(r"\\(?=[\s#])", "", word).replace("$$", "$")) for word in words if not word.endswith(":"))
    return tuple(sorted({path for path in paths if path.is_absolute()}))


def _python_headers(toolchain: Toolchain) -> tuple[str, ...]:
    return (f"-I{toolchain.python_include}",) if toolchain.python_include is not None else ()


def compile_shared(
    toolchain: Toolchain, flags: tuple[str, ...], sources: tuple[str, ...], output: str, folder: Path
) -> None:
    """Compile ``sources`` in ``folder`` into one shared object; the first error of the compiler becomes the message."""
    # On macOS an extension finds the symbols of Python when it is loaded.
    late = ("-undefined", "dynamic_lookup") if sys.platform == "darwin" else ()
    arguments = (*flags, *_python_headers(toolchain), "-shared", "-pthread", *late, "-o", output, *sources, "-lm")
    _compile(toolchain, arguments, sources[0], folder)


def compile_object(toolchain: Toolchain, flags: tuple[str, ...], source: str, output: str, folder: Path) -> None:
    """Compile one file in ``folder``."""
    _compile(toolchain, (*flags, *_python_headers(toolchain), "-pthread", "-c", "-o", output, source), source, folder)


def _compile(toolchain: Toolchain, arguments: tuple[str, ...], source: str, folder: Path) -> str:
    """What the compiler prints."""
    place = folder.resolve()
    # Nothing of a binary depends on where it was built, debugging information neither.
    command = (*toolchain.command, f"-ffile-prefix-map={place}=.", *arguments)
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, check=False)
    except OSError as error:
        raise ToolchainError(f"cannot run the C compiler {toolchain.command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace")
        if os.strerror(errno.ENOSPC) in said:
            raise folder_error(folder.parent, OSError(errno.ENOSPC, ""))
        raise ToolchainError(
            f"{Path(toolchain.command[0]).name} could not compile {source}: {_first_line(said)}"
        )
    return os.fsdecode(done.stdout)


def _first_line(text: str) -> str:
    """The first line that speaks of an error, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = (line for line in lines if "error" in line.lower() or "No space" in line)
    return next(telling, lines[0] if lines else "no message")
