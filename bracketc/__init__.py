"""bracketc compiles derivations to optimised kernels.

>>> import bracketc as bc
>>> module = bc.compile("dim N\\ninput x : N\\nJ = x · x\\ngradient J wrt x", backend="numpy")
>>> module.value_and_grad([3.0, 4.0]).value
np.float64(25.0)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bracketc.errors import (
    ArgumentError,
    BracketError,
    Diagnostic,
    LimitError,
    OutputError,
    SingularError,
    Source,
    SourceError,
    Span,
    ToolchainError,
    UnsupportedError,
)
from bracketc.version import VERSION as __version__

if TYPE_CHECKING:
    from bracketc.compiler import Build, build, compile, load, parse
    from bracketc.derivation import Derivation, derive
    from bracketc.ir.program import Program, Request, TensorSpec
    from bracketc.options import OptionError, Options
    from bracketc.structures import BlockDiagonal, Diagonal, Kronecker, Product, Structured, Sum, Symmetric
    from bracketc.verification import Verification, verify

__all__ = [
    "ArgumentError",
    "BlockDiagonal",
    "BracketError",
    "Build",
    "Derivation",
    "Diagnostic",
    "Diagonal",
    "Kronecker",
    "LimitError",
    "OptionError",
    "Options",
    "OutputError",
    "Product",
    "Program",
    "Request",
    "SingularError",
    "Source",
    "SourceError",
    "Span",
    "Structured",
    "Sum",
    "Symmetric",
    "TensorSpec",
    "ToolchainError",
    "UnsupportedError",
    "Verification",
    "__version__",
    "build",
    "compile",
    "derive",
    "load",
    "parse",
    "verify",
]

# Loaded on first use: importing bracketc takes milliseconds, its compiler and NumPy tenths of a second.
_LATE = {
    "Build": "bracketc.compiler",
    "build": "bracketc.compiler",
    "compile": "bracketc.compiler",
    "load": "bracketc.compiler",
    "parse": "bracketc.compiler",
    "Derivation": "bracketc.derivation",
    "derive": "bracketc.derivation",
    "Verification": "bracketc.verification",
    "verify": "bracketc.verification",
    "Program": "bracketc.ir.program",
    "Request": "bracketc.ir.program",
    "TensorSpec": "bracketc.ir.program",
    "OptionError": "bracketc.options",
    "Symmetric": "bracketc.structures",
    "Sum": "bracketc.structures",
    "Structured": "bracketc.structures",
    "Product": "bracketc.structures",
    "Kronecker": "bracketc.structures",
    "Diagonal": "bracketc.structures",
    "BlockDiagonal": "bracketc.structures",
    "Options": "bracketc.options",
}


def __getattr__(name: str) -> Any:
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module 'bracketc' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
