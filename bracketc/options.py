"""Settings of a compilation, frozen: what the caller says, over environment variables, over ``[tool.bracketc]``.

The only reader of environment variables and of ``pyproject.toml``.

>>> read_options({"backend": "numpy"}, environment={}, folder=None).dtype
'float64'
"""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bracketc.errors import BracketError

BACKENDS = ("c", "numpy")
DTYPES = ("float32", "float64")
ON_SINGULAR = ("raise", "nan")


class OptionError(BracketError):
    """A setting that does not exist or has no such value."""


MAX_MEMORY = 2**34
"""Bytes of one dense tensor of derivatives, at most, unless the option of that name says otherwise."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one compilation may take; the message of a :class:`LimitError` names the one that was met.

    ``nesting`` counts brackets inside one another, ``max_members`` those of a family, ``max_calls`` functions of a file
    inside one another, ``max_expressions`` what a file stands for with all calls written out, ``max_nodes`` a planned function.
    ``max_axes`` bounds the axes of one tensor (NumPy had 32 for long), ``max_operands`` the factors of an index bracket,
    ``max_work`` what a program may take beyond what its length explains: :mod:`bracketc.ir.work`.
    ``max_memory`` bounds the bytes of one dense tensor of derivatives: at compilation where its sizes are known, else at the call.
    """

    nesting: int = 200
    max_members: int = 10_000
    max_calls: int = 100
    max_expressions: int = 2_000_000
    max_nodes: int = 5_000_000
    max_axes: int = 32
    max_operands: int = 32
    max_work: int = 150_000
    max_flops: int = 10**16
    max_bytes: int = 10**14
    max_memory: int = MAX_MEMORY


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that a compilation depends on beside its source.

    ``sizes`` are bound sizes, sorted by name. ``march`` is ``native``, ``portable`` or a level of ``target.py``.
    ``on_singular`` says what becomes of a matrix that has no inverse or is not positive definite: an error, or NaN.
    ``lapack`` lets C modules factorise large matrices with SciPy's LAPACK, where SciPy is installed; without it their results do
    not depend on whether it is.
    ``cc`` is the C compiler, ``None`` to look for one; ``cflags`` come after the usual flags. ``verify`` checks the
    IR after every stage.
    """

    backend: str = "c"
    dtype: str = "float64"
    sizes: tuple[tuple[str, int], ...] = ()
    threads: int = 1
    on_singular: str = "raise"
    lapack: bool = True
    march: str = "native"
    cache_dir: Path | None = None
    cc: str | None = None
    cflags: tuple[str, ...] = ()
    verify: bool = False
    limits: Limits = Limits()

    def size_map(self) -> dict[str, int]:
        return dict(self.sizes)


COMPILER_VARIABLES = (
    "CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "LD_RUN_PATH", "CCC_OVERRIDE_OPTIONS", "SDKROOT",
    "MACOSX_DEPLOYMENT_TARGET",
)  # fmt: skip
"""Variables that change what gcc, clang and the linker make of a text."""


def compiler_variables() -> dict[str, str]:
    """Those of them that are set, which the compiler reads by itself."""
    return {name: os.environ[name] for name in COMPILER_VARIABLES if name in os.environ}


def user_cache() -> Path | None:
    """Where the user wants caches, whatever single builds are told; ``None``: where they usually are."""
    given = os.environ.get("BRACKETC_CACHE_DIR")
    return _path("cache_dir", given) if given else None


def read_options(
    given: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = Path(),
) -> Options:
    """Options from ``given`` (``None`` is not given), the environment and the ``pyproject.toml`` above ``folder``."""
    around = os.environ if environment is None else environment
    project, outer = _from_project(folder), _from_environment(around)
    values = {**project, **outer, **{name: value for name, value in given.items() if value is not None}}
    try:
        return make_options(values)
    except OptionError:
        variables = {option: name for name, option in _VARIABLES.items() if around.get(name)}
        _blame({name: value for name, value in project.items() if values[name] is value}, lambda _: "pyproject.toml")
        _blame({name: value for name, value in outer.items() if values[name] is value}, variables.__getitem__)
        raise


def _blame(values: Mapping[str, Any], where: Callable[[str], str]) -> None:
    """Raise the error of the first bad value, with the place in front where a person wrote it."""
    for name, value in values.items():
        try:
            make_options({name: value})
        except OptionError as error:
            raise OptionError(f"{where(name)}: {error.diagnostics[0].message}") from None


def read_limits(given: Mapping[str, object], folder: Path | None = Path()) -> Limits:
    """Limits from ``given`` over those of the ``pyproject.toml`` above ``folder``; other settings are an :class:`OptionError`."""
    known = {f.name for f in fields(Limits)}
    for name in given:
        if name not in known:
            raise OptionError(f"no limit {name!r}; there are {', '.join(sorted(known))}")
    return make_options({**{k: v for k, v in _from_project(folder).items() if k in known}, **given}).limits


def make_options(values: Mapping[str, Any]) -> Options:
    """Options from names and values; an unknown name or an impossible value is an :class:`OptionError`."""
    options = Options()
    limits = {f.name for f in fields(Limits)}
    for name, value in values.items():
        if name in limits:
            options = replace(options, limits=replace(options.limits, **{name: _whole(name, value, least=1)}))
        elif name in _READERS:
            options = replace(options, **{name: _READERS[name](name, value)})
        else:
            known = ", ".join(sorted((*_READERS, *limits)))
            raise OptionError(f"no option {name!r}; there are {known}")
    return options


def _choice(*choices: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        text = value if isinstance(value, str) else getattr(value, "__name__", None) or str(value)
        if text not in choices:
            raise OptionError(f"{name} is {text!r}; choose {' or '.join(choices)}")
        return text

    return read


def _whole(name: str, value: Any, least: int = 0) -> int:
    try:
        number = int(value) if isinstance(value, str) else value.__index__()
    except (ValueError, AttributeError, TypeError):
        raise OptionError(f"{name} is {value!r}, which is no whole number") from None
    if number < least:
        raise OptionError(f"{name} is {number}; it must be at least {least}")
    return int(number)


def _sizes(name: str, value: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Mapping):
        raise OptionError(f"{name} is {value!r}; give a mapping of names to numbers")
    return tuple(sorted((str(key), _whole(f"size {key}", number)) for key, number in value.items()))


def _words(name: str, value: Any) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(value) if isinstance(value, str) else (str(word) for word in value))
    except (ValueError, TypeError) as error:
        raise OptionError(f"{name} is {value!r}: {error}") from None


def _text(name: str, value: Any) -> str:
    return str(value)


def _path(name: str, value: Any) -> Path:
    return Path(value).expanduser()


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() not in ("", "0", "no", "off", "false")
    return bool(value)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "backend": _choice(*BACKENDS),
    "dtype": _choice(*DTYPES),
    "sizes": _sizes,
    "threads": lambda name, value: _whole(name, value, least=1),
    "on_singular": _choice(*ON_SINGULAR),
    "lapack": _flag,
    "march": _text,
    "cache_dir": _path,
    "cc": _text,
    "cflags": _words,
    "verify": _flag,
}

_VARIABLES = {
    "CC": "cc",  # before BRACKETC_CC, which replaces it
    "BRACKETC_CACHE_DIR": "cache_dir",
    "BRACKETC_CC": "cc",
    "BRACKETC_CFLAGS": "cflags",
    "BRACKETC_NUM_THREADS": "threads",
    "BRACKETC_VERIFY": "verify",
}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    return {option: environment[name] for name, option in _VARIABLES.items() if environment.get(name)}


_projects: dict[tuple[Path, int], dict[str, Any]] = {}


def _from_project(folder: Path | None) -> dict[str, Any]:
    """``[tool.bracketc]`` of the nearest ``pyproject.toml`` at or above ``folder``; read once until it changes."""
    if folder is None:
        return {}
    try:
        start = folder.resolve()
    except OSError:  # the working folder is gone
        return {}
    for place in (start, *start.parents):
        path = place / "pyproject.toml"
        try:
            key = (path, path.stat().st_mtime_ns)
        except OSError:
            continue
        if key not in _projects:
            _projects[key] = _read_project(path)
        return _projects[key]
    return {}


def _read_project(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"cannot read {path}: {error}") from None
    table = content.get("tool", {}).get("bracketc", {})
    if not isinstance(table, dict):
        raise OptionError(f"[tool.bracketc] of {path} is no table")
    return {name.replace("-", "_"): value for name, value in table.items()}
