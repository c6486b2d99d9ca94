"""The code of README.md runs, and answers what stands there.

    pytest tests/test_readme.py --update-golden      puts the answers in; review the diff

A `brk` block is written to the file that its first line names; a `console` block is run line by line; a `pycon` block is a doctest.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
COMPILER = any(map(shutil.which, ("cc", "gcc", "clang")))


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and contents of every fenced block."""
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield found[1], found[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the files of the README, and a PATH on which `bracketc` is this checkout."""
    commands = tmp_path / "bin"
    commands.mkdir()
    command = commands / "bracketc"
    command.write_text(f"#!/bin/sh\nPYTHONPATH='{ROOT}' exec '{sys.executable}' -m bracketc \"$@\"\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("BRACKETC_CACHE_DIR", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    for language, text in blocks(README.read_text(encoding="utf-8")):
        if language == "brk":
            (work / text.split(":")[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    monkeypatch.chdir(work)
    return work


def answered(text: str) -> str:
    """A console block with the answers that its commands give now."""
    lines = []
    for line in text.splitlines():
        if line.startswith("$ "):
            done = subprocess.run(line[2:], shell=True, capture_output=True, text=True, encoding="utf-8", check=False)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            lines += [line, *done.stdout.rstrip().splitlines()]
    return "".join(f"{line}\n" for line in lines)


def evaluated(text: str) -> str:
    """A session with the answers that its statements give now."""
    names: dict[str, object] = {}
    lines = []
    for line in text.splitlines():
        if line.startswith(">>> "):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(line[4:], "README.md", "single"), names)
            lines += [line, *printed.getvalue().splitlines()]
    return "".join(f"{line}\n" for line in lines)


def renewed(text: str, language: str, answer: Callable[[str], str]) -> str:
    """The page with the answers of now in every block of a language."""
    pattern = re.compile(rf"(^```{language}\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE)
    return pattern.sub(lambda found: found[1] + answer(found[2]) + found[3], text)


@pytest.mark.parametrize(("language", "answer"), [("console", answered), ("pycon", evaluated)])
def test_the_readme_shows_what_happens(
    folder: Path, language: str, answer: Callable[[str], str], update_golden: bool
) -> None:
    if language == "pycon" and not COMPILER:
        pytest.skip("no C compiler on the PATH: the session of the README compiles C")
    if language == "console" and not shutil.which("sed"):
        pytest.skip("no sed on the PATH: the README uses it to show a part of a file")
    before = README.read_text(encoding="utf-8")
    after = renewed(before, language, answer)
    if update_golden:
        README.write_text(after, encoding="utf-8")
        return
    assert after == before, "run pytest tests/test_readme.py --update-golden, review the diff"


def test_the_figures_are_those_of_the_last_run(monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import suite
    import tables

    page = README.read_text(encoding="utf-8")
    begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
    head, rest = page.split(begin)
    shown, tail = rest.split(end)
    table = "".join(f"{line}\n" for line in tables.short_table(suite.kept()["records"]))
    if update_golden:
        README.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")
        return
    assert shown == f"\n{table}\n", "run pytest tests/test_readme.py --update-golden"
