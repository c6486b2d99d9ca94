"""A generated NumPy module in memory."""

from __future__ import annotations

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
    ``SingularError``."""
    module.__dict__["ArgumentError"] = ArgumentError
    if "SingularError" in module.__dict__:
        module.__dict__["SingularError"] = SingularError
