"""Changes of a source that tests should notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from mutations import mutations
from under_mutation import Request, new_code

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a < b <= c", ["a <= b <= c", "a < b < c"]),
        ("x = -a * 2", ["-a + 2", "a", "3"]),
        ("while a:\n    break", ["not (a)", "continue"]),
        ("if not a and b:\n    f(1)", ["not a or b", "a", "pass", "2"]),
        ("x = [a for a in reversed(b) if a.c]", ["True", "list(b)"]),
        ("x = any(a) or True", ["any(a) and True", "all(a)", "False"]),
        ("x = a if b is None else 0.5", ["a if not b is None else 0.5", "b is not None", "2.0"]),
        ("x += 1", ["x -= 1", "2"]),
    ],
)
def test_what_is_changed(source: str, changes: list[str]) -> None:
    assert sorted(m.after for m in mutations(source)) == sorted(changes)


@pytest.mark.parametrize(
    "source",
    [
        '"""Text + 1."""',
        "def f(a: int | None) -> list[int]: ...",
        "@g(1)\ndef f(): ...",
        *("c = zip(a, b, strict=True)", "MOST = 1_000"),
        'x = f"{a + 1}" + "b"',
    ],
)
def test_what_is_left_alone(source: str) -> None:
    assert mutations(source) == []


def test_a_change_keeps_the_rest_of_the_text() -> None:
    source = "def f(é, b):\n    # é stays\n    return [é,\n            b < 1]\n"
    texts = [m.text for m in mutations(source)]
    assert texts == [source.replace("b < 1", "(b <= 1)"), source.replace("< 1]", "< (2)]")]
    assert [m.line for m in mutations(source)] == [4, 4] and {m.function for m in mutations(source)} == {"f"}


def test_functions_get_new_code_and_what_runs_at_import_does_not() -> None:
    source = (
        "LIMIT = 3\ndef f(a, b=1):\n return [x for x in a if x < LIMIT]\nclass C:\n    n = 2\n    def g(self): return lambda: 4\n"
    )
    names = {
        m.after: None if codes is None else sorted(code.co_name for code in codes)
        for m in mutations(source)
        for codes in [new_code(source, m.text, "source.py")]
    }
    listed, called = ["<listcomp>", "f"], ["<lambda>", "g"]
    assert names == {"4": None, "2": None, "True": listed, "x <= LIMIT": listed, "3": None, "5": called}
    assert new_code(source, source, "source.py") == {}


TESTS = """
from bracketc.ir.nodes import Literal
from bracketc.proof import wording
from bracketc.proof.wording import worded

def test_numbers():
    assert worded(Literal(1.5)) == "1.5"

def test_depth():
    assert wording.DEEPEST == 5
"""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Callable[[str, str], tuple[str, int]]]:
    """Answers to changes of one text of `proof/wording.py` into another: the test that fails, and how many ran."""
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, str(ROOT / "tools" / "under_mutation.py"), "test_it.py"]
    text = (ROOT / "bracketc" / "proof" / "wording.py").read_text(encoding="utf-8")
    names = ["test_it.py::test_numbers", "test_it.py::test_depth"]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        ours, theirs = process.stdin, process.stdout

        def ask(before: str, after: str) -> tuple[str, int]:
            assert before in text
            ours.write(
                json.dumps(asdict(Request("bracketc.proof.wording", text.replace(before, after), names, [0.01, 0.01]))) + "\n"
            )
            ours.flush()
            answer = json.loads(theirs.readline())
            return answer["by"], answer["ran"]

        yield ask
        ours.close()
    assert (ROOT / "bracketc" / "proof" / "wording.py").read_text(encoding="utf-8") == text


def test_a_session_answers_one_change_after_the_other(session: Callable[[str, str], tuple[str, int]]) -> None:
    assert session("DEEPEST", "DEEPEST") == ("", 2)
    assert session('f"{number:.6g}"', '"another"') == ("test_it.py::test_numbers", 1)  # a function that others have bound
    assert session("DEEPEST = 5", "DEEPEST = 6") == ("test_it.py::test_depth", 2)  # a table: imported again
    assert session("DEEPEST = 5", "raise RuntimeError") == ("no collection", 0)
    assert session('f"{number:.6g}"', "exit()") == ("test_it.py::test_numbers", 1)
    assert session("DEEPEST", "DEEPEST") == ("", 2)  # nothing is left of them
