"""Compiled modules that are in memory already, by everything that they depend on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import ModuleType

CAPACITY = 512

_modules: OrderedDict[Hashable, tuple[object, ModuleType]] = OrderedDict()
_lock = threading.Lock()


def remembered(key: Hashable, owner: object, make: Callable[[], ModuleType]) -> ModuleType:
    """The module for ``key``, made by ``make`` the first time; the oldest is forgotten beyond :data:`CAPACITY`.

    ``owner`` is kept alive with it, for keys that hold interned objects.
    """
    with _lock:
        found = _modules.get(key)
        if found is not None:
            _modules.move_to_end(key)
            return found[1]
    module = make()
    with _lock:
        _modules[key] = (owner, module)
        while len(_modules) > CAPACITY:
            _modules.popitem(last=False)
    return module


def forget() -> None:
    """Drop every remembered module."""
    with _lock:
        _modules.clear()
