"""The tests test something: small changes of the calculus, of the simplifier and of the prover are noticed by them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

from filelock import FileLock
from mutations import Mutation, mutations

from promises.promise import ROOT, Breach, Promise, Skip

PACKAGES = ("calculus", "simplify", "proof")
MAP = ROOT / "build" / "mutants"
BUDGET = 60.0
"""Seconds of tests for one change, by what they take without it: quick ones first, from each file in turn."""
PATIENCE = 10
"""A change that takes this many times longer than its tests is noticed, too: it may never end."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file of the package."""

    path: Path
    change: Mutation

    @property
    def module(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def __str__(self) -> str:
        change = self.change
        return f"{self.path.relative_to(ROOT)}:{change.line}, {change.function}: {change.before}  ->  {change.after}"


@cache
def mutants() -> list[Mutant]:
    """All of them, in an order that mixes the files and is always the same."""
    files = [path for package in PACKAGES for path in sorted((ROOT / "bracketc" / package).glob("*.py"))]
    found = [Mutant(path, change) for path in files for change in mutations(path.read_text(encoding="utf-8"))]
    random.Random(0).shuffle(found)
    return found


# ------------------------------------------------------------------------------------------------- which tests
@dataclass(frozen=True, slots=True)
class Covered:
    """The tests that run each line of each file, and the seconds that a test takes."""

    lines: dict[Path, dict[int, list[str]]]
    seconds: dict[str, float]


def _environment(folder: Path) -> dict[str, str]:
    """Without a C compiler, whose tests are slow and see the same trees; with a build cache of its own."""
    tools = str(Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRACKETC_", "COV_", "PYTEST_"))}
    return kept | {"PATH": tools, "BRACKETC_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)}


@cache
def covered() -> Covered:
    """Made once by a run of all tests, kept beside the state of the campaign; delete the folder to make it again."""
    from coverage import CoverageData  # only those who try mutants need it

    MAP.mkdir(parents=True, exist_ok=True)
    data, times = MAP / "coverage", MAP / "times.xml"
    with FileLock(MAP / "lock"):
        if not times.exists():
            sources = [f"--cov={ROOT / 'bracketc' / package}" for package in PACKAGES]
            command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *sources]
            command += ["--cov-context=test", "--cov-report=", f"--junitxml={times}.new"]
            ran = subprocess.run(
                command, cwd=ROOT, env=_environment(MAP) | {"COVERAGE_FILE": str(data)}, capture_output=True, text=True, check=False
            )
            if ran.returncode:
                raise RuntimeError(f"the tests fail without any change:\n{ran.stdout[-2000:]}")
            Path(f"{times}.new").replace(times)
    seconds = {}
    for case in ElementTree.parse(times).iter("testcase"):
        seconds[f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"] = float(case.get("time", 0))
    recorded = CoverageData(str(data))
    recorded.read()
    lines: dict[Path, dict[int, list[str]]] = {}
    for file in recorded.measured_files():
        contexts = recorded.contexts_by_lineno(file)
        lines[Path(file)] = {line: sorted({c.rsplit("|", 1)[0] for c in found if c}) for line, found in contexts.items()}
    return Covered(lines, seconds)


def tests_of(mutant: Mutant) -> list[str]:
    """Tests that run the changed line (for a line of a table: any line of the file), as many as `BUDGET` allows."""
    known = covered()
    lines = known.lines.get(mutant.path, {})
    names = lines.get(mutant.change.line) or sorted({name for found in lines.values() for name in found})
    by_file: dict[str, list[str]] = defaultdict(list)
    for name in sorted((name for name in names if name in known.seconds), key=lambda name: (known.seconds[name], name)):
        by_file[name.split("::")[0]].append(name)
    chosen, spent = [], 0.0
    for row in zip_longest(*by_file.values()):
        for name in filter(None, row):
            if spent + known.seconds[name] <= BUDGET:
                chosen.append(name)
                spent += known.seconds[name]
    return chosen


# ------------------------------------------------------------------------------------------------- the check
def explained() -> dict[str, str]:
    """Changes that no test can notice, with the reason: `place: before -> after`, a tab, the reason."""
    text = (ROOT / "tools" / "equivalent_mutants.txt").read_text(encoding="utf-8")
    return dict(line.split("\t", 1) for line in text.splitlines() if line and not line.startswith("#"))


def _key(mutant: Mutant) -> str:
    """Without the line number, which every edit moves."""
    change = mutant.change
    return f"{mutant.path.relative_to(ROOT / 'bracketc')} {change.function}: {change.before} -> {change.after}"


def mutant(seed: int) -> int:
    """One change, and the tests of its line."""
    if seed >= len(mutants()):
        raise Skip("no more changes")
    this = mutants()[seed]
    if _key(this) in explained():
        raise Skip("explained: no test can notice it")
    names = tests_of(this)
    if not names:
        raise Breach(f"no test runs {this}")
    expected = sum(covered().seconds[name] for name in names)
    with tempfile.TemporaryDirectory() as folder:
        text, tests = Path(folder, "text.py"), Path(folder, "tests")
        text.write_text(this.change.text, encoding="utf-8")
        tests.write_text("\n".join(names), encoding="utf-8")
        command = [sys.executable, str(ROOT / "tools" / "under_mutation.py"), this.module, str(text), str(tests)]
        try:
            ran = subprocess.run(
                command, cwd=ROOT, env=_environment(Path(folder)), capture_output=True, text=True, check=False,
                timeout=60 + PATIENCE * expected,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return 1
    if ran.returncode == 4 and "while loading conftest" not in ran.stderr:
        raise RuntimeError(f"the tests cannot be run:\n{ran.stderr[-2000:]}")
    if ran.returncode == 0:
        raise Breach(f"{len(names)} tests do not notice {this}")
    return 1


def described(seed: int) -> str:
    return str(mutants()[seed]) if seed < len(mutants()) else "no such change"


PROMISES = (
    Promise(
        "mutants", "the tests test something",
        "one comparison, sign, number, filter or jump of calculus/, simplify/ or proof/ changed; the tests that run its line",
        mutant, described, 1_000, "changes noticed", 3_600.0,
    ),
)  # fmt: skip
