"""Pages of derivations: every step typeset as it was typed, its verdict, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from htmlpages import outside, read_page

from bracketc.cli import main

ROOT = Path(__file__).resolve().parent.parent
SOURCE = """dim N, D
input X : N, D
input y : N
param w : D
J = 0.5 (X @ w - y) · (X @ w - y)

derivation of J wrt w {
  dJ = r · (X @ dw)            where r = X @ w - y    [by REMARK]
     = (X^T @ r) · dw
  ⟹ ∇[w](J) = X^T @ r
}
"""
WRONG = SOURCE.replace("⟹ ∇[w](J) = X^T @ r", "⟹ ∇[w](J) = -X^T @ r")


def page_of(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    path = tmp_path / "least.brk"
    path.write_text(text, encoding="utf-8")
    assert main(["verify", str(path), "--format", "html"]) == status
    return capsys.readouterr().out


def test_steps_are_shown_with_verdicts_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reading = read_page(page_of(SOURCE, tmp_path, capsys))
    assert reading.mistakes == [] and outside(reading) == []
    verdicts = [e.text for e in reading.elements if e.attributes.get("class", "").startswith("verdict")]
    assert verdicts == ["✓ proved"] * 3
    assert "where" in reading.text and "[by REMARK]" in reading.text
    assert "3 steps: 3 proved" in reading.text


def test_a_refuted_step_shows_its_counterexample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = page_of(WRONG, tmp_path, capsys, status=1)
    reading = read_page(text)
    assert "✗ refuted" in reading.text
    (message,) = [e.text for e in reading.of("pre")]
    assert "least.brk:10" in message and "left is" in message
    assert str(tmp_path) not in text


@pytest.mark.parametrize("payload", ["<script>alert`1`</script>", "</pre><img src=x onerror=alert`1`>", "&lt;b&gt; \"'"])
def test_a_remark_stays_text(payload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reading = read_page(page_of(SOURCE.replace("REMARK", payload), tmp_path, capsys))
    assert reading.mistakes == [] and outside(reading) == []
    assert len(reading.of("script")) == 1
    assert f"[by {payload}]" in reading.text


def test_several_files_make_one_page(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(ROOT / "examples" / "derivations" / name) for name in ("neuron.brk", "basics.brk")]
    assert main(["verify", *files, "--format", "html"]) == 0
    reading = read_page(capsys.readouterr().out)
    assert [e.text for e in reading.of("h1")] == ["2 files"]
    assert any(e.text.startswith("basics.brk: ") for e in reading.of("h3"))


def test_every_example_makes_a_page_of_well_formed_mathematics(capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "examples" / "derivations" / "forms.brk"
    assert main(["verify", str(path), "--format", "html"]) == 0
    text = capsys.readouterr().out
    assert read_page(text).mistakes == []
    assert len(text) < 300_000


def test_ascii_has_no_symbols_of_the_notation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "least.brk"
    path.write_text(WRONG, encoding="utf-8")
    assert main(["verify", str(path), "--format", "ascii"]) == 1
    printed = capsys.readouterr().out.replace(str(tmp_path), "")
    assert printed.isascii(), [c for c in printed if not c.isascii()]
    assert "grad[w](J)" in printed


def test_no_color_leaves_out_every_escape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    path = tmp_path / "least.brk"
    path.write_text(SOURCE, encoding="utf-8")
    assert main(["verify", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b[3" not in printed and "\x1b[9" not in printed
