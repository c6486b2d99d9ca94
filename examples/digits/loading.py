"""Import what `bracketc build` wrote, from a folder that is no package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

LABELS = {"c": "C", "numpy": "NumPy"}


def backends(folder: Path, name: str = "digits") -> dict[str, str]:
    """The backends that were built below `folder`, with the names that people know them by; the fastest first."""
    return {backend: label for backend, label in LABELS.items() if (folder / backend / f"{name}.py").exists()}


def load_generated(folder: Path, name: str = "digits") -> ModuleType:
    """Import module `name` from `folder`, beside any other of that name that is loaded already."""
    shadowed = {key: sys.modules.pop(key) for key in (name, f"_{name}") if key in sys.modules}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        for key in (name, f"_{name}"):
            sys.modules.pop(key, None)
        sys.modules.update(shadowed)
