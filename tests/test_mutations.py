"""Changes of a source that tests should notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from mutations import mutations

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
    "source", ['"""Text + 1."""', "def f(a: int | None) -> list[int]: ...", "@g(1)\ndef f(): ...", 'x = f"{a + 1}" + "b"']
)
def test_what_is_left_alone(source: str) -> None:
    assert mutations(source) == []


def test_a_change_keeps_the_rest_of_the_text() -> None:
    source = "def f(é, b):\n    # é stays\n    return [é,\n            b < 1]\n"
    texts = [m.text for m in mutations(source)]
    assert texts == [source.replace("b < 1", "(b <= 1)"), source.replace("< 1]", "< (2)]")]
    assert [m.line for m in mutations(source)] == [4, 4] and {m.function for m in mutations(source)} == {"f"}


def test_a_changed_module_is_noticed_and_the_installed_one_is_not_touched(tmp_path: Path) -> None:
    module = ROOT / "bracketc" / "calculus" / "cuts.py"
    before = module.read_bytes()
    tests = tmp_path / "tests"
    tests.write_text(f"{ROOT / 'tests' / 'test_laws.py'}\n", encoding="utf-8")
    text = tmp_path / "text.py"
    text.write_bytes(before + b"\nraise RuntimeError('changed')\n")
    command = [sys.executable, str(ROOT / "tools" / "under_mutation.py"), "bracketc.calculus.cuts", str(text), str(tests)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode != 0 and "RuntimeError: changed" in ran.stdout + ran.stderr
    assert module.read_bytes() == before
