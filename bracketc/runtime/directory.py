"""Writing the files of a module into a folder: all of them, or none."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bracketc.errors import OutputError, ToolchainError

PREFIX = ".bracketc-"
"""How the names of folders begin that exist during a build."""


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> tuple[Path, ...]:
    """Write ``files`` into ``folder``, made where it is missing; the last one is what makes the module importable.

    Everything is written beside its place first and moved there file by file at the end, so that a full disk leaves no
    partial module. A :class:`ToolchainError` names the folder and the cause.
    """
    with staging(folder) as stage:
        for name, content in files.items():
            stage.write(name, content)
        return stage.publish()


class staging:
    """A hidden folder inside ``folder`` whose files appear there when ``publish`` is called; it is gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []

    def __enter__(self) -> staging:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.folder))
        except OSError as error:
            raise folder_error(self.folder, error) from None
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write one file; it is published in the order of writing."""
        path = self.path / name
        try:
            with path.open("wb") as file:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise folder_error(self.folder, error) from None
        self.add(name)
        return path

    def add(self, name: str) -> None:
        """Publish a file that something else has written here."""
        self.names.append(name)

    def publish(self) -> tuple[Path, ...]:
        """Move every file to its place, in order; where one cannot be moved, all is as before."""
        published: list[Path] = []
        try:
            for name in self.names:
                place = self.folder / name
                if place.is_dir():
                    raise IsADirectoryError(errno.EISDIR, f"{name} is a folder there")
                with suppress(OSError):  # nothing there yet, or a file system without links
                    os.link(place, self._before(place))
                os.replace(self.path / name, place)
                published.append(place)
        except OSError as error:
            for place in reversed(published):
                self._restore(place)
            raise folder_error(self.folder, error) from None
        return tuple(published)

    def _before(self, place: Path) -> Path:
        """Where a file is kept that is about to be replaced."""
        return self.path / f"{place.name}.before"

    def _restore(self, place: Path) -> None:
        with suppress(OSError):
            if self._before(place).exists():
                os.replace(self._before(place), place)
            else:
                place.unlink()


def folder_error(folder: Path, error: OSError) -> ToolchainError:
    """The message for a folder that cannot be written to."""
    if folder.name.startswith(PREFIX):
        folder = folder.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ToolchainError(f"cannot write to {folder}: the disk is full; free some space or choose another folder")
    reason = error.strerror or str(error)
    if error.errno == errno.EFBIG:
        return ToolchainError(f"cannot write to {folder}: {reason}; raise the limit on the size of files (ulimit -f)")
    if error.errno in _MISPLACED:
        found = next((place for place in (folder, *folder.parents) if place.is_file()), None)
        reason = f"{found} is a file, not a folder" if found is not None else reason
        return OutputError(f"cannot write to {folder}: {reason}; choose another folder")
    return ToolchainError(f"cannot write to {folder}: {reason}; choose another folder or change its permissions")


def file_error(path: str | Path, error: OSError) -> ToolchainError:
    """The message for a file that cannot be written: its name is wrong, or the machine does not let it."""
    kind = OutputError if error.errno in _MISPLACED else ToolchainError
    missing = f"; there is no folder {Path(path).parent}" if error.errno == errno.ENOENT else ""
    return kind(f"cannot write {path}: {error.strerror or error}{missing}")


_MISPLACED = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL)
"""Errors of the name that was given, not of the machine."""
