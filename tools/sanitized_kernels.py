"""Kernels in a folder under a sanitizer, run by `tools/promises/kernels.py`: the library `m.so`, and `calls`, what to call."""

from __future__ import annotations

import ctypes
import pickle
import sys
from pathlib import Path

from promises.kernels import execute

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    execute(ctypes.CDLL(str(folder / "m.so")), pickle.loads((folder / "calls").read_bytes()), (1, 2, 3))
