"""A generated NumPy module in memory."""

from __future__ import annotations

import importlib
import linecache
from hashlib import sha256
from types import ModuleType

from bracketc.errors import ArgumentError, SingularError


def load_text(name: str, text: str) -> ModuleType:
    """The module that ``text`` defines. Tracebacks show its lines; its ``ArgumentError`` is that of bracketc."""
    filename = f"<bracketc {name} {sha256(text.encode()).hexdigest()[:12]}>"
    module = ModuleType(name)
    module.__file__ = None
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), module.__dict__)
    adopt_errors(module)
    return module


def adopt_errors(module: ModuleType) -> None:
    """Let a generated module raise bracketc's ``ArgumentError``, which is a ``BracketError`` and a ``ValueError``, and its
    ``SingularError``, and return bracketc's structures."""
    module.__dict__["ArgumentError"] = ArgumentError
    if "Structured" in module.__dict__.get("__all__", ()):
        structures = importlib.import_module("bracketc.structures")
        module.__dict__.update((name, getattr(structures, name)) for name in structures.NAMES)
    if "SingularError" in module.__dict__:
        module.__dict__["SingularError"] = SingularError
