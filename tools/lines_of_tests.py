"""Which tests run each line of the packages that are mutated, and how long a test takes.

Made once by a run of all tests under coverage, without a C compiler; kept in build/mutants and brought up to date by the files
of tests that have changed since. Lines are those of today: where a source has changed they are followed by its text. Delete the
folder to make it again, or where a file beside the tests has changed.

    python tools/lines_of_tests.py        make it, or bring it up to date
"""

from __future__ import annotations

import difflib
import hashlib
import os
import pickle
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "mutants"
PACKAGES = ("calculus", "simplify", "proof")
WORKERS = 2


@dataclass(slots=True)
class LinesOfTests:
    """``lines[source][line]``: the tests that run it. ``seconds``: of processor time, of the tests that pass. ``digests``: of files
    of tests.
    ``texts``: of sources, by whose lines the tests are known. Sources are relative to the root."""

    lines: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def environment(folder: Path) -> dict[str, str]:
    """Without a C compiler, whose tests are slow and see the same trees; with a build cache of its own; one thread a process."""
    tools = str(Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRACKETC_", "COV_", "COVERAGE_", "PYTEST_"))}
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tools")))
    return kept | {"PATH": tools, "BRACKETC_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / "bracketc" / package).glob("*.py"))]


def lines_of_tests() -> LinesOfTests:
    """What is kept, brought up to date."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "lines"
    with FileLock(FOLDER / "lock"):
        known = pickle.loads(path.read_bytes()) if path.exists() else LinesOfTests()
        _follow(known)
        files = {str(file.relative_to(ROOT)): _digest(file) for file in sorted((ROOT / "tests").glob("test_*.py"))}
        changed = [name for name, digest in files.items() if known.digests.get(name) != digest]
        gone = {*changed, *(known.digests.keys() - files.keys())}
        if gone:
            _forget(known, gone)
            if changed:
                _run(known, changed)
            known.digests = files
            path.with_suffix(".new").write_bytes(pickle.dumps(known))
            path.with_suffix(".new").replace(path)
    return known


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _forget(known: LinesOfTests, files: Iterable[str]) -> None:
    gone = set(files)
    known.seconds = {name: time for name, time in known.seconds.items() if name.split("::")[0] not in gone}
    for lines in known.lines.values():
        for line, names in lines.items():
            lines[line] = tuple(name for name in names if name in known.seconds)


def _follow(known: LinesOfTests) -> None:
    """Lines of the texts of today."""
    for path in sources():
        source = str(path.relative_to(ROOT))
        before, after = known.texts.get(source), path.read_text(encoding="utf-8")
        if before is not None and before != after:
            found = known.lines.get(source, {})
            moved: dict[int, tuple[str, ...]] = {}
            matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
            for tag, a, b, c, d in matcher.get_opcodes():
                names = sorted({name for line in range(a, b) for name in found.get(line + 1, ())})
                for line in range(c, d):
                    # a new line has the tests of what it replaces, or of the line before it
                    moved[line + 1] = found.get(a + line - c + 1, ()) if tag == "equal" else tuple(names) or found.get(a, ())
            known.lines[source] = moved
        known.texts[source] = after


def _run(known: LinesOfTests, files: list[str]) -> None:
    """Adds what the tests of ``files`` run."""
    from coverage import CoverageData  # only those who try mutants need it

    data, times, settings = FOLDER / "coverage", FOLDER / "seconds", FOLDER / "coveragerc"
    settings.write_text("[run]\nbranch = false\n", encoding="utf-8")
    packages = [f"--cov={ROOT / 'bracketc' / package}" for package in PACKAGES]
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(WORKERS), "--dist", "worksteal", "-p", "lines_of_tests", *packages]
    command += ["--cov-context=test", "--cov-report=", f"--cov-config={settings}", "-p", "no:cacheprovider", *files]
    here = environment(FOLDER) | {"COVERAGE_FILE": str(data), "SECONDS_OF_TESTS": str(times)}
    ran = subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1, 5):  # 1: what fails without a change says nothing about one; 5: no tests
        raise RuntimeError(f"the tests cannot be run:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    known.seconds |= pickle.loads(times.read_bytes())
    recorded = CoverageData(str(data))
    recorded.read()
    for file in recorded.measured_files():
        source = str(Path(file).relative_to(ROOT))
        lines = known.lines.setdefault(source, {})
        for line, contexts in recorded.contexts_by_lineno(file).items():
            names = {sys.intern(context.rsplit("|", 1)[0]) for context in contexts if context}
            lines[line] = tuple(sorted({*lines.get(line, ()), *(name for name in names if name in known.seconds)}))


# ------------------------------------------------------------------------------------------------- as a plugin of pytest
_SECONDS: dict[str, float] = defaultdict(float)
_PASSED: set[str] = set()
_AT = {"start": 0.0}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Processor time, which does not depend on what else the machine does; it travels to the process that collects reports."""
    report = yield
    now = time.process_time()
    report.user_properties.append(("processor", now - _AT["start"]))
    _AT["start"] = now
    return report


def pytest_runtest_logstart() -> None:
    _AT["start"] = time.process_time()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _SECONDS[report.nodeid] += sum(float(str(value)) for name, value in report.user_properties[-1:] if name == "processor")
    if report.when == "call" and report.passed:
        _PASSED.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        Path(os.environ["SECONDS_OF_TESTS"]).write_bytes(pickle.dumps({name: _SECONDS[name] for name in sorted(_PASSED)}))


if __name__ == "__main__":
    from lines_of_tests import lines_of_tests as made

    known = made()
    print(f"{len(known.seconds)} tests, {sum(map(len, known.lines.values()))} lines of {len(known.lines)} files")
