"""Runs tests with one module changed, again and again: `python tools/under_mutation.py TEST_FILES`.

The tests are collected once. Each request is a line of JSON on the standard input (`Request`), answered by one on the standard
output (`Answer`) from a forked child, so that nothing of one change is left for the next. In the child the functions that differ
get their new code, wherever they are bound by now. Where what runs at import differs, a table or a default, the modules of the
project are forgotten and imported again, with the new text for the changed one. The installed sources are not touched.

A change may never end, or fill the memory: a child that takes ten times the processor time of its test is ended, and its memory is
limited.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TextIO

import pytest
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).resolve().parent.parent
OURS = tuple(ROOT / name for name in ("bracketc", "tools", "benchmarks", "examples"))
MEMORY = 3 << 30
"""Bytes that a child may take beyond what there is when it starts."""
PATIENCE = 10
LEAST = 5.0
"""Seconds of processor time that every test may take, and how many times more than it takes without a change."""


@dataclass(frozen=True, slots=True)
class Request:
    """The text ``after`` for the module ``module``, the tests to try and the seconds that each of them takes."""

    module: str
    after: str
    tests: list[str]
    seconds: list[float]


@dataclass(frozen=True, slots=True)
class Answer:
    """``by`` is the test that failed, or what else came of it; empty where every test passed. ``ran`` tests were run."""

    by: str
    ran: int = 0


# ------------------------------------------------------------------------------------------------- new code for functions
def new_code(before: str, after: str, path: str) -> dict[CodeType, CodeType] | None:
    """The codes of functions that differ between two texts of a module. None where what differs runs at import."""
    found: dict[CodeType, CodeType] = {}
    return found if _differences(_compiled(before, path), _compiled(after, path), found) else None


def _compiled(text: str, path: str) -> CodeType:
    return compile(text, path, "exec", dont_inherit=True)


def _differences(before: CodeType, after: CodeType, found: dict[CodeType, CodeType]) -> bool:
    inside = [[code for code in whole.co_consts if isinstance(code, CodeType)] for whole in (before, after)]
    alike = _own(before) == _own(after) and len(inside[0]) == len(inside[1])
    for this, that in zip(*inside, strict=False):
        if not _differences(this, that, found):
            return False
    if before.co_flags & 1:  # CO_OPTIMIZED: a function, and not the body of a module or a class
        if not alike or any(code in found for code in inside[0]):
            found[before] = after
        return True
    return alike


def _own(code: CodeType) -> tuple[object, ...]:
    """What a code does by itself, wherever it stands."""
    constants = [None if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_code, constants, *names, code.co_flags, code.co_argcount, code.co_kwonlyargcount, code.co_exceptiontable


# ------------------------------------------------------------------------------------------------- a new text for a module
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


class _First:
    """The first test that fails, and how many were run."""

    def __init__(self) -> None:
        self.failed, self.ran = "", 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "call"
        if report.failed:
            self.failed = self.failed or report.nodeid


class _Chosen:
    """These tests alone, in this order; some may be gone under a change."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = {item.nodeid: item for item in items}
        items[:] = [found[name] for name in self._names if name in found]


def _imported_again(request: Request, tests: set[Path]) -> Answer:
    """``tests`` are the folders of the tests, whose modules have bound what was imported before."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and file and any(Path(file).is_relative_to(folder) for folder in (*OURS, *tests)):
            del sys.modules[name]
    sys.meta_path.insert(0, _Finder(request.module, request.after.encode()))
    _limit_processor(20.0 + sum(request.seconds))
    first = _First()
    files = dict.fromkeys(name.split("::")[0] for name in request.tests)
    status = int(pytest.main([*OPTIONS, "-x", *files], plugins=[first, _Chosen(request.tests)]))
    return Answer("" if status == pytest.ExitCode.OK else first.failed or "no collection", first.ran)


# ------------------------------------------------------------------------------------------------- the session
OPTIONS = (
    *("-s", "-q", "--tb=native", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist"),
    "--hypothesis-profile=unshrunk",
)
settings.register_profile(
    "unshrunk", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


def _limit_processor(seconds: float) -> None:
    """The signal of this timer ends the process."""
    signal.setitimer(signal.ITIMER_PROF, max(LEAST, PATIENCE * seconds))


class Session:
    """In place of the loop over tests: requests, each answered by a child."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests, self._answers = requests, answers

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        functions: dict[str, list[FunctionType]] = defaultdict(list)
        for thing in gc.get_objects():
            if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(str(ROOT / "bracketc")):
                functions[thing.__code__.co_filename].append(thing)
        gc.collect()
        gc.freeze()  # a child then copies few pages
        for line in self._requests:
            answer = _in_a_child(Request(**json.loads(line)), items, functions)
            print(json.dumps(asdict(answer)), file=self._answers, flush=True)
        return True


def _in_a_child(request: Request, items: Mapping[str, pytest.Item], functions: Mapping[str, list[FunctionType]]) -> Answer:
    folder = tempfile.mkdtemp(prefix="mutant")
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        answer = _answer(request, items, functions, folder)
        os.write(theirs, json.dumps(asdict(answer)).encode())
        os._exit(0)
    os.close(theirs)
    try:
        ready, _, _ = select.select([ours], [], [], 300.0 + 5 * PATIENCE * sum(request.seconds))  # a child that sleeps for ever
        text = os.read(ours, 65_536) if ready else b""
        if not ready:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what a test has left running
        shutil.rmtree(folder, ignore_errors=True)
    if text:
        return Answer(**json.loads(text))
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return Answer("no end" if number in (signal.SIGPROF, signal.SIGKILL) else f"status {status}")


def _answer(request: Request, items: Mapping[str, pytest.Item], functions: Mapping[str, list[FunctionType]], folder: str) -> Answer:
    os.setsid()
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 1 << 20
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))
    tempfile.tempdir = folder
    os.environ["BRACKETC_CACHE_DIR"] = str(Path(folder, "cache"))
    path = sys.modules[request.module].__file__ or ""
    swaps = new_code(Path(path).read_text(encoding="utf-8"), request.after, path)
    folders = {item.path.parent for item in items.values()}
    if swaps is None or not all(name in items for name in request.tests):
        return _imported_again(request, folders)
    known = [function for function in functions[path] if function.__code__ in swaps]
    if swaps and not known:  # the file has changed since it was imported
        return _imported_again(request, folders)
    for function in known:
        try:
            function.__code__ = swaps[function.__code__]
        except ValueError:  # it sees other variables of the function around it
            return _imported_again(request, folders)
    first = _First()
    chosen = [items[name] for name in request.tests]
    if not chosen:
        return Answer("")
    manager = chosen[0].config.pluginmanager
    manager.register(first)
    for (item, following), seconds in zip(pairwise([*chosen, None]), request.seconds, strict=True):
        assert item is not None
        _limit_processor(seconds)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if first.failed:
            break
    return Answer(first.failed, first.ran)


def main(files: Sequence[str]) -> int:
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what pytest prints is no answer
    return int(pytest.main([*OPTIONS, *files], plugins=[Session(requests, answers)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
