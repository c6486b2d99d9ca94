"""Pages of plans: each step beside the code that is emitted for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from htmlpages import outside, read_page

from bracketc import compiler
from bracketc.cli import main
from bracketc.cli.pages import annotated_page
from bracketc.emit.annotate import cut, shared
from bracketc.options import read_options
from bracketc.plan.explain import explain
from bracketc.plan.native import native_plan

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("backend", ["c", "numpy"])
@pytest.mark.parametrize("model", ["linear", "classifier", "recurrent", "gaussian_process"])
def test_every_step_has_its_code(model: str, backend: str) -> None:
    options = read_options({"backend": backend})
    done = compiler.stages(compiler.load(ROOT / "models" / f"{model}.brk"), options)
    files = compiler.emit(done, "model", options).files
    text = files["model.py" if backend == "numpy" else "model.c"]
    for explanation in explain(native_plan(done.plan) if backend == "c" else done.plan):
        brackets = [row.bracket for row in explanation.rows]
        cuts = cut(text, explanation.entry, brackets)
        assert [bracket for bracket, part in zip(brackets, cuts, strict=True) if not part.code] == []
        for bracket, part in zip(brackets, cuts, strict=True):
            assert "".join(bracket.split("; ")[0].split()) in "".join(part.code.split("\n\n")[0].split())


def test_code_is_cut_at_the_comment_of_the_next_step() -> None:
    text = "static int64_t f_layout(\n\n    /* a = b */\n    one();\n\n    /* c = d;\n       e = f */\n    two();\n}\n"
    one, none, two = cut(text, "f", ["a = b", "x = y", "c = d; e = f"])
    assert one.code == "/* a = b */\none();" and none.code == ""
    assert two.code.endswith("two();\n}") or "two();" in two.code
    assert cut(text, "g", ["a = b"])[0].code == ""


def test_the_finished_tile_is_shown_with_its_contraction() -> None:
    options = read_options({"backend": "c"})
    done = compiler.stages(compiler.load(ROOT / "models" / "classifier.brk"), options)
    text = compiler.emit(done, "model", options).files["model.c"]
    rows = next(e for e in explain(native_plan(done.plan)) if e.entry == "value_and_grad").rows
    first = cut(text, "value_and_grad", [row.bracket for row in rows])[0]
    assert "contract_f64" in first.code and "vtanh" in first.epilogue
    assert "contract_f64" in shared(text)


def test_the_page_is_balanced_and_needs_nothing_from_elsewhere() -> None:
    options = read_options({"backend": "c"})
    done = compiler.stages(compiler.load(ROOT / "models" / "classifier.brk"), options)
    explained = explain(native_plan(done.plan))
    text = annotated_page(done, explained, options)
    reading = read_page(text)
    assert reading.mistakes == [] and outside(reading) == []
    assert len(text) < 300_000 and text == annotated_page(done, explained, options)


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plan.html"
    model = str(ROOT / "models" / "linear.brk")
    assert main(["explain", model, "--annotate", str(out)]) == 0
    assert "wrote" in capsys.readouterr().out
    assert str(tmp_path) not in out.read_text(encoding="utf-8")
    assert main(["explain", model, "--annotate", str(tmp_path / "no" / "plan.html")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_plans_are_a_page_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(ROOT / "models" / "linear.brk"), "--format", "html"]) == 0
    reading = read_page(capsys.readouterr().out)
    assert reading.mistakes == [] and [e.text for e in reading.of("h2")] == ["Plan"]
