"""The tests test something: small changes of the calculus, of the simplifier and of the prover are noticed by them."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

from lines_of_tests import FOLDER, LinesOfTests, environment, lines_of_tests, sources
from mutations import Mutation, mutations
from under_mutation import Answer, Request

from promises.promise import ROOT, Breach, Promise, Skip

BUDGET = 4.0
"""Seconds of tests for one change, by what they take without it: quick ones first, from each file in turn. All changes then take an
hour or so of an idle core, half of it for those that no test notices."""
LOG = FOLDER / "log"
"""What came of each change, a line of JSON each."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file of the package."""

    path: Path
    change: Mutation
    key: str
    """Says the change without the number of its line, which every edit moves."""

    @property
    def source(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def module(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def __str__(self) -> str:
        return f"{self.source}:{self.change.line}, {self.change.function}: {self.change.before}  ->  {self.change.after}"


@cache
def mutants() -> list[Mutant]:
    """All of them, in an order that mixes the files and stays when one of them is edited."""
    found = []
    for path in sources():
        text = path.read_text(encoding="utf-8")
        lines = [line.strip() for line in text.splitlines()]
        times: Counter[str] = Counter()
        for change in mutations(text):
            place = f"{path.relative_to(ROOT / 'bracketc')} {change.function}: {lines[change.line - 1]}"
            key = f"{place}: {change.before} -> {change.after}"
            times[key] += 1
            found.append(Mutant(path, change, key if times[key] == 1 else f"{key} ({times[key]})"))
    return sorted(found, key=lambda mutant: hashlib.sha256(mutant.key.encode()).digest())


# ------------------------------------------------------------------------------------------------- which tests
@cache
def covered() -> LinesOfTests:
    return lines_of_tests()


@cache
def _lines_run() -> Counter[str]:
    """How many lines a test runs."""
    return Counter(name for lines in covered().lines.values() for names in lines.values() for name in names)


@cache
def _statements(path: Path) -> dict[int, range]:
    """The lines of the statement that a line belongs to; of one that holds others, its head. What runs at import has those that
    come to use it: the head of a function all of it, what stands in a class by itself all of the file."""
    found: dict[int, range] = {}
    text = path.read_text(encoding="utf-8")
    fields: set[ast.stmt] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            fields.update(each for each in node.body if not isinstance(each, ast.FunctionDef))
        if isinstance(node, ast.FunctionDef):
            inside = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            found |= dict.fromkeys(range(node.lineno, node.body[0].lineno), inside)
        elif node in fields and isinstance(node, ast.stmt):
            found |= {line: range(1, text.count("\n") + 1) for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
        elif isinstance(node, ast.stmt):
            body = getattr(node, "body", None) or getattr(node, "cases", None)
            first = (body[0].pattern if isinstance(body[0], ast.match_case) else body[0]).lineno if body else None
            last = first - 1 if first is not None else node.end_lineno or node.lineno
            found |= {line: range(node.lineno, last + 1) for line in range(node.lineno, last + 1)}
    return found


def tests_of(mutant: Mutant, first: Counter[str] | None = None) -> list[str]:
    """Tests that run the changed line (or a line of its statement; for what runs at import, that line and then any of the file):
    those that noticed most changes, then quick ones that run few lines, from each file in turn, as many as `BUDGET` allows."""
    known = covered()
    lines = known.lines.get(mutant.source, {})
    line = mutant.change.line
    near = {name for other in _statements(mutant.path).get(line, ()) for name in lines.get(other, ())}
    own = set(lines.get(line, ())) or near
    names = set(own)
    if mutant.change.function == "module":
        names |= {name for found in lines.values() for name in found}
    noticed = first if first is not None else Counter()
    by_file: dict[str, list[str]] = defaultdict(list)
    size = _lines_run()
    for name in sorted(names, key=lambda name: (name not in own, -noticed[name], size[name] * known.seconds[name], name)):
        by_file[name.split("::")[0]].append(name)  # the files in the order of their first
    chosen, spent = [], 0.0
    for row in zip_longest(*by_file.values()):
        for name in filter(None, row):
            if spent + known.seconds[name] <= BUDGET:
                chosen.append(name)
                spent += known.seconds[name]
    return chosen


# ------------------------------------------------------------------------------------------------- the check
@cache
def explained() -> dict[str, str]:
    """Changes that no test can notice, with the reason: `Mutant.key`, a tab, the reason."""
    text = (ROOT / "tools" / "equivalent_mutants.txt").read_text(encoding="utf-8")
    return dict(line.split("\t", 1) for line in text.splitlines() if line and not line.startswith("#"))


class _Collected:
    """A process that has collected the tests; those that noticed a change are tried first on the next."""

    def __init__(self) -> None:
        files = sorted({name.split("::")[0] for name in _lines_run()})
        command = [sys.executable, str(ROOT / "tools" / "under_mutation.py"), *files]
        with (FOLDER / "session").open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment(FOLDER), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self._noticed: dict[str, Counter[str]] = defaultdict(Counter)
        self._sound: dict[str, bool] = {}

    def tried(self, mutant: Mutant) -> Answer:
        """What the tests of the line say; a test that fails without any change, too, is left out."""
        while True:
            names = [name for name in tests_of(mutant, self._noticed[mutant.source]) if self._sound.get(name, True)]
            answer = self._asked(mutant, mutant.change.text, names)
            if answer.by not in covered().seconds:
                return answer
            if answer.by not in self._sound:
                self._sound[answer.by] = not self._asked(mutant, mutant.path.read_text(encoding="utf-8"), [answer.by]).by
            if self._sound[answer.by]:
                self._noticed[mutant.source][answer.by] += 1
                return answer

    def _asked(self, mutant: Mutant, text: str, names: list[str]) -> Answer:
        if not names:
            return Answer("")
        request = Request(mutant.module, text, names, [covered().seconds[name] for name in names])
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(request)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the tests cannot be run, see {FOLDER / 'session'}")
        return Answer(**json.loads(line))


_collected = cache(_Collected)


def mutant(seed: int) -> int:
    """One change, and the tests of its line."""
    if seed >= len(mutants()):
        raise Skip("no more changes")
    this = mutants()[seed]
    if this.key in explained():
        raise Skip("explained: no test can notice it")
    begun = time.monotonic()
    answer = _collected().tried(this)
    with LOG.open("a", encoding="utf-8") as log:
        found = {"seed": seed, "key": this.key, "change": str(this), "seconds": round(time.monotonic() - begun, 2)}
        log.write(json.dumps(found | asdict(answer)) + "\n")
    if not answer.by:
        raise Breach(f"{answer.ran} tests do not notice {this}" if answer.ran else f"no test runs {this}")
    return 1


def described(seed: int) -> str:
    return str(mutants()[seed]) if seed < len(mutants()) else "no such change"


PROMISES = (
    Promise(
        "mutants", "the tests test something",
        "one comparison, sign, number, filter or jump of calculus/, simplify/ or proof/ changed; the tests that run its line",
        mutant, described, 5_100, "changes noticed", 3_600.0,  # all of them, and a few that are skipped
    ),
)  # fmt: skip
