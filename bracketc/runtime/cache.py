"""Built C modules on disk, one folder each, under the fingerprint of everything that they depend on."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import filelock
import platformdirs

from bracketc.errors import ToolchainError
from bracketc.options import Options, user_cache
from bracketc.runtime.directory import folder_error

PRIVATE = 0o700
"""Permissions of folders made here: built modules are code that runs."""

MARK = "complete"
"""A folder without this file was left behind by a build that did not finish."""

HEADERS = "headers"
"""The file of a build that says which headers of the system it read, and how they were: a line each."""

TEMPLATES = "templates"
"""The folder beside the builds with what was compiled of templates."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One built module: its fingerprint, the model's name, and its bytes on disk."""

    key: str
    name: str
    bytes: int
    folder: Path


def cache_folder(options: Options) -> Path:
    """Where builds are kept: ``BRACKETC_CACHE_DIR``, else the usual place of the system; where that cannot be written to (no home,
    a home that is read-only), a folder among temporary files that is ours alone."""
    if options.cache_dir is not None:
        return options.cache_dir
    usual = Path(platformdirs.user_cache_dir("bracketc"))
    try:
        usual.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    except OSError:
        return _private_folder()
    return usual if os.access(usual, os.W_OK | os.X_OK) else _private_folder()


def _private_folder() -> Path:
    """``bracketc-UID`` among the temporary files. What is loaded from there runs, so that it must be ours alone."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"bracketc-{user}"
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=PRIVATE)
        found = folder.lstat()
    except OSError as error:
        raise folder_error(folder, error) from None
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and (found.st_uid != user or found.st_mode & 0o077)):
        raise ToolchainError(f"{folder} is not a folder that only you can write to; set BRACKETC_CACHE_DIR to one")
    return folder


def template_folder() -> Path | None:
    """Where templates are kept compiled that cannot be kept beside their text: whatever cache a build has, they are the program's.
    ``None`` where nothing can be kept."""
    try:
        root = cache_folder(Options(cache_dir=user_cache()))
        root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    except (OSError, ToolchainError):
        return None
    return root / TEMPLATES


def fingerprint(*parts: str) -> str:
    """A key for texts, apart for every way to divide them."""
    hasher = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(b"%d:" % len(data) + data)
    return hasher.hexdigest()[:32]


def note_headers(folder: Path, headers: Iterable[Path]) -> None:
    """Writes down which headers the build in ``folder`` has read."""
    text = "\n".join(f"{_identity(header)}:{header}" for header in headers)
    (folder / HEADERS).write_bytes(os.fsencode(text))


def _identity(path: Path) -> str:
    """Size and time of a file; what is not there has none."""
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"{found.st_size} {found.st_mtime_ns}"


def _current(folder: Path) -> bool:
    """Whether a build is finished, and its headers are what they were."""
    try:
        if not (folder / MARK).is_file():
            return False
        lines = os.fsdecode((folder / HEADERS).read_bytes()).split("\n")
    except FileNotFoundError:
        return True  # a build that reads none
    noted = (line.partition(":") for line in lines if line)
    return all(_identity(Path(header)) == identity for identity, _, header in noted)


def cached(options: Options, key: str, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of build ``key``; ``make`` fills it the first time, and when a header has changed, one process at a time."""
    root = cache_folder(options)
    folder = root / key
    if _current(folder):
        return folder
    try:
        root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        with filelock.FileLock(root / f"{key}.lock"):
            if not _current(folder):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                try:
                    make(folder)
                    (folder / MARK).write_text(name, encoding="utf-8")
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
    except OSError as error:
        raise folder_error(root, error) from None
    return folder


def cache_entries(options: Options) -> tuple[CacheEntry, ...]:
    """Every finished build, sorted by name."""
    root = cache_folder(options)
    found = []
    for mark in sorted(root.glob(f"*/{MARK}")):
        size = sum(path.stat().st_size for path in mark.parent.iterdir() if path.is_file())
        found.append(CacheEntry(mark.parent.name, mark.read_text(encoding="utf-8"), size, mark.parent))
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.key)))


def clear_cache(options: Options) -> int:
    """Remove every build, finished or left behind, and its lock, and compiled templates; gives the number of the finished builds.
    What is being built now stays."""
    root = cache_folder(options)
    count = 0
    try:
        shutil.rmtree(root / TEMPLATES, ignore_errors=True)
        for path in sorted(root.glob("*.lock")):
            folder = path.with_suffix("")
            lock = filelock.FileLock(path)
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                continue
            try:
                count += (folder / MARK).is_file()
                if folder.exists():
                    shutil.rmtree(folder)
                path.unlink(missing_ok=True)
            finally:
                lock.release()
    except OSError as error:
        raise folder_error(root, error) from None
    return count
