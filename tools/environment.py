#!/usr/bin/env python3
"""Create the virtual environment of the checkout and say in one line what is missing.

    python3 tools/environment.py .venv test,demo,dev

The Makefile calls this with whatever `python3` there is, so the file runs on old interpreters too: it must live
long enough to say that they are too old.  Nothing outside the folder of the environment is touched.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from typing import Mapping, Optional, Sequence  # `|` and builtin generics are newer than the Pythons this must run on

MINIMUM = (3, 11)


def missing_python(version: Sequence[int]) -> Optional[str]:
    """The sentence for an interpreter that is too old, or None."""
    if tuple(version[:2]) >= MINIMUM:
        return None
    needed, found = (".".join(map(str, numbers[:2])) for numbers in (MINIMUM, version))
    return f"bracketc needs Python {needed} or newer, this is {found}: try `make PYTHON=python3.11`"


def missing_venv(modules: Mapping[str, bool]) -> Optional[str]:
    """The sentence for a Python without `venv`; `modules` says which of venv and ensurepip can be imported."""
    absent = [name for name in ("venv", "ensurepip") if not modules.get(name)]
    if not absent:
        return None
    return f"Python has no module {' and no module '.join(absent)}: install it (`apt install python3-venv`)"


def missing_compiler(compiler: Optional[str]) -> Optional[str]:
    """The sentence for a machine without a C compiler; the NumPy backend needs none, so it is a note only."""
    if compiler:
        return None
    return "no C compiler, the NumPy backend is used: install one (`apt install gcc`, or `xcode-select --install`)"


def missing_headers(folder: Optional[str]) -> Optional[str]:
    """The sentence for a Python without its C headers; kernels are then loaded as plain shared libraries."""
    if folder and os.path.exists(os.path.join(folder, "Python.h")):
        return None
    return "no Python.h, kernels are loaded as plain shared libraries: install the headers (`apt install python3-dev`)"


def find_compiler(environ: Mapping[str, str]) -> Optional[str]:
    """Path of the first C compiler that the environment names or the PATH holds, or None."""
    names = [environ.get("BRACKETC_CC"), environ.get("CC"), "cc", "gcc", "clang"]
    for name in names:
        found = shutil.which(name.split()[0], path=environ.get("PATH")) if name and name.strip() else None
        if found:
            return found
    return None


def importable(name: str) -> bool:
    """Whether a module can be imported."""
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def run(command: Sequence[str]) -> None:
    """Run a command; when it fails, print its output and end with its status."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        sys.stderr.write(f"failed: {' '.join(command)}\n")
        raise SystemExit(done.returncode)


def main(argv: Sequence[str]) -> int:
    """Build the environment named by `argv` and install the checkout into it, editable, with the extras."""
    folder, extras = argv
    fatal = missing_python(sys.version_info[:2])
    if fatal is None and not os.path.exists(os.path.join(folder, "bin", "python")):
        fatal = missing_venv({name: importable(name) for name in ("venv", "ensurepip")})
    if fatal:
        sys.stderr.write(f"error: {fatal}\n")
        return 1
    compiler = find_compiler(os.environ)
    notes = [missing_compiler(compiler), missing_headers(sysconfig.get_paths().get("include")) if compiler else None]
    for note in notes:
        if note:
            sys.stderr.write(f"note: {note}\n")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        print(f"creating {folder}", flush=True)
        run([sys.executable, "-m", "venv", folder])
    print(f"installing bracketc[{extras}] into {folder}", flush=True)
    quiet = ("--quiet", "--disable-pip-version-check")
    run([python, "-m", "pip", "install", *quiet, "--editable", f".[{extras}]"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
