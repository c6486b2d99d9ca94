"""Payloads in names, strings and paths: nothing of them is code in any output, and no file appears; the campaign tries all."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from modelcases import ROOT

import bracketc as bc
from bracketc.cli import main
from bracketc.cli.application import COMMANDS
from bracketc.errors import Diagnostic, Source, Span, printable

sys.path.insert(0, str(ROOT / "tools"))

import payloads

CASES = [
    ("file", "\\input{pwned}<script>pwned()</script>"),
    ("file", '*/ int pwned; /*"""; pwned() #\n{{ pwned }}'),
    ("file", "\x1b]0;pwned\x07\u202e\u2028$(touch pwned)"),
    ("file", "$\\frac{pwned$ <b> & $x_"),
    ("data", "../pwned"),
    ("module", "../../pwned; int pwned() {}"),
    ("comment", "*/ <img src=x onerror=pwned()> {{ pwned }} \\write18{pwned} \"\"\""),
    ("remark", "</mtext><script>pwned()</script> \\input{pwned} }$"),
    ("import", "../pwned.brk"),
    ("name", "pw\u200bned"),
    ("size", "__import__"),
    ("request", "exec"),
    ("option", "; touch pwned ; <svg onload=pwned()> \x1b[2J"),
]


@pytest.mark.parametrize(("channel", "text"), CASES, ids=lambda value: value if value in payloads.CHANNELS else "")
def test_a_payload_goes_nowhere(channel: str, text: str) -> None:
    assert payloads.findings(channel, text, compile=channel in ("file", "request")) == []


def test_the_model_that_carries_payloads_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.brk").write_text(payloads.MODEL.format(**payloads.PLAIN), encoding="utf-8")
    payloads.write_data(payloads.DATA, "w", None)
    asked = {command[command[0] == "--json"] for _, command in payloads.commands("./model.brk", "given", "x")}
    assert asked == {module.NAME for module in COMMANDS}
    for language, command in payloads.commands("./model.brk", "given", None):
        one = payloads.said(*command)
        assert one.status == (1 if "--check" in command else 0), (command, one.err)
        assert payloads.READERS[language](one.out) is None


FOUND = {
    "text": ("a \x1b[2J", "a \u2028"),
    "py": ("pwned()", "import pwned", "x = ("),
    "c": ("int pwned;", "/* */ pwned(); /* */"),
    "html": ("<p><script>pwned()</script></p>", "<p onclick='x'></p>", "<p><pwned></pwned></p>", "<p>"),
    "latex": ("\\input{x}", "\\\\\\def", "{"),
    "json": ("{", "'a'"),
}
NOT = {
    "text": "pwned {{ }} $(touch)", "py": "x = 'pwned()'  # pwned", "c": '/* int pwned; */ char *s = "pwned"; // pwned',
    "html": "<p>&lt;script&gt;pwned()</p>", "latex": "\\textbackslash{}input\\{pwned\\}", "json": '"pwned"',
}  # fmt: skip


@pytest.mark.parametrize("language", FOUND)
def test_readers_find_what_they_look_for(language: str) -> None:
    assert all(payloads.READERS[language](text) for text in FOUND[language])
    assert payloads.READERS[language](NOT[language]) is None


def test_messages_have_no_control_characters() -> None:
    source = Source("x = \x1b[2J y", "\x1b]0;evil\x07.brk")
    shown = Diagnostic("found \u2028 and \x9b", Span(source, 4, 5), "write \u202e", (("here \x07", None),)).render()
    assert all(printable(line) == line for line in shown.split("\n"))


@pytest.mark.parametrize("name", ["a\nimport os", "a\x1b[2J", "\u202ea", "a\u2028b"])
def test_a_new_model_has_a_name_that_can_be_shown(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", name]) == 1 and os.listdir() == []


def test_a_file_name_with_braces_is_no_code_of_an_unbuilt_module(tmp_path: Path) -> None:
    """The command that would build a module stands in an f-string: what the braces of a name hold was evaluated."""
    path = tmp_path / "{open('pwned','w')}.brk"
    path.write_text(payloads.MODEL.format(**payloads.PLAIN), encoding="utf-8")
    bc.build(bc.load(path), tmp_path, backend="c", name="model", compile=False)
    done = subprocess.run([sys.executable, "-c", "import model"], cwd=tmp_path, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: model is not built") and shlex.quote(path.name) in last
    assert not (tmp_path / "pwned").exists()
