"""Runs tests with one module replaced: `python tools/under_mutation.py MODULE TEXT TESTS`.

``TEXT`` is a file with the source to use for ``MODULE``, ``TESTS`` a file with a test in each line. Status of pytest; the installed
sources are not touched.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest


class _Replaced(SourceFileLoader):
    """Loads the text that it is given in place of the module's own."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self._text = text

    def get_data(self, path: str) -> bytes:
        return self._text

    def path_stats(self, path: str) -> dict[str, int]:
        raise OSError("not from the cache of byte code")


class _Finder:
    def __init__(self, name: str, text: bytes) -> None:
        self._name, self._text = name, text

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Replaced(name, spec.origin, self._text)
        return spec


def main(module: str, text: Path, tests: Path) -> int:
    assert module not in sys.modules
    sys.meta_path.insert(0, _Finder(module, text.read_bytes()))
    names = tests.read_text(encoding="utf-8").splitlines()
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *names]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
