"""Built C modules on disk, one folder each, under the fingerprint of everything that they depend on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import filelock
import platformdirs

from bracketc.options import Options
from bracketc.runtime.directory import folder_error

MARK = "complete"
"""A folder without this file was left behind by a build that did not finish."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One built module: its fingerprint, the model's name, and its bytes on disk."""

    key: str
    name: str
    bytes: int
    folder: Path


def cache_folder(options: Options) -> Path:
    """Where builds are kept: ``BRACKETC_CACHE_DIR``, else the usual place of the system."""
    return options.cache_dir if options.cache_dir is not None else Path(platformdirs.user_cache_dir("bracketc"))


def fingerprint(*parts: str) -> str:
    """A key for texts, apart for every way to divide them."""
    hasher = sha256()
    for part in parts:
        data = part.encode("utf-8")
        hasher.update(b"%d:" % len(data) + data)
    return hasher.hexdigest()[:32]


def cached(options: Options, key: str, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of build ``key``; ``make`` fills it the first time, one process at a time."""
    root = cache_folder(options)
    folder = root / key
    if (folder / MARK).is_file():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(root / f"{key}.lock"):
            if not (folder / MARK).is_file():
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
    """Remove every build and its lock; gives their number."""
    entries = cache_entries(options)
    root = cache_folder(options)
    try:
        for entry in entries:
            shutil.rmtree(entry.folder)
        for lock in root.glob("*.lock"):
            lock.unlink(missing_ok=True)
    except OSError as error:
        raise folder_error(root, error) from None
    return len(entries)
