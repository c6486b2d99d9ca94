"""What `--format latex` prints compiles, as a document and as a part of one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bracketc.cli import main
from bracketc.emit.latex import split_terms

ROOT = Path(__file__).resolve().parent.parent
PDFLATEX = shutil.which("pdflatex")
compiled = pytest.mark.skipif(PDFLATEX is None, reason="no pdflatex here")

PART = "\\documentclass{article}\n\\usepackage{amsmath}\n\\begin{document}\n%s\n\\end{document}\n"


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) in (0, 1)
    return capsys.readouterr().out


def pdf(text: str, folder: Path) -> str:
    """Compile; gives the log."""
    (folder / "text.tex").write_text(text, encoding="utf-8")
    command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "text.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@compiled
@pytest.mark.parametrize("model", ["recurrent", "attention"])
def test_derivatives_compile_as_a_document(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(["derive", str(ROOT / "models" / f"{model}.brk"), "--format", "latex", "--standalone"], capsys)
    assert "Missing character" not in pdf(text, tmp_path)


@compiled
def test_derivatives_compile_as_a_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(["derive", str(ROOT / "models" / "classifier.brk"), "--format", "latex"], capsys)
    pdf(PART % text, tmp_path)


@compiled
@pytest.mark.parametrize("standalone", [True, False])
def test_derivations_compile(standalone: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(ROOT / "examples" / "derivations" / f"{name}.brk") for name in ("softmax", "chain_rule", "bars")]
    text = printed(["verify", *files, "--format", "latex", *(["--standalone"] if standalone else [])], capsys)
    log = pdf(text if standalone else PART % text, tmp_path)
    assert not standalone or "Overfull" not in log


@compiled
def test_names_with_accents_and_odd_remarks_compile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "odd_50%.brk"
    source.write_text(
        "dim n\ninput é : n\nparam λ1' : n\nparam weight : n\nJ = (é ⊙ weight) · λ1'\n"
        "derivation of J wrt weight {\n  dJ = (é ⊙ dweight) · λ1'   [by 100 % of_it \\x{ $ & # ~ ^ < ü ∑]\n"
        "  ⟹ ∇[weight](J) = é + λ1'\n}\n",
        encoding="utf-8",
    )
    text = printed(["verify", str(source), "--format", "latex", "--standalone"], capsys)
    pdf(text, tmp_path)
    text = printed(["derive", str(source), "--of", "J", "--wrt", "weight", "--format", "latex", "--standalone"], capsys)
    pdf(text, tmp_path)


def test_a_part_has_no_preamble(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(ROOT / "examples" / "derivations" / "neuron.brk")
    assert "documentclass" not in printed(["verify", path, "--format", "latex"], capsys)
    assert printed(["verify", path, "--format", "latex", "--standalone"], capsys).startswith("\\documentclass")


@pytest.mark.parametrize(
    ("formula", "terms"),
    [
        ("A + B - C", ["A", "+ B", "- C"]),
        (r"\left(a + b\right) \, c + d", [r"\left(a + b\right) \, c", "+ d"]),
        (r"\frac{a + b}{c} - x_{t + 1}", [r"\frac{a + b}{c}", "- x_{t + 1}"]),
        (r"\left(x \,\middle|\, i\right) + \begin{cases} a + b \end{cases}", None),
        (r"\nabla_{W} J = A,\quad \nabla_{b} J = B", [r"\nabla_{W} J = A,\quad ", r"\nabla_{b} J = B"]),
        (r"\left\lVert a + b \right\rVert + c", [r"\left\lVert a + b \right\rVert", "+ c"]),
    ],
)
def test_formulas_are_cut_outside_of_brackets_only(formula: str, terms: list[str] | None) -> None:
    found = split_terms(formula)
    assert "".join(found).replace(" ", "") == formula.replace(" ", "")
    assert found == terms if terms is not None else len(found) == 2


@compiled
@pytest.mark.parametrize("model", ["lstm"])
def test_long_derivations_fit_on_a_page(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["derive", str(ROOT / "models" / f"{model}.brk"), "--steps", "--format", "latex", "--standalone"]
    assert "Overfull" not in pdf(printed(arguments, capsys), tmp_path)


FUNCTIONS = """dim N, M
param x : N
param y : N nonzero
param A : N, M
param s : scalar
a = abs(x) ⊘ y
b = abs(s) / (2 s)
c = -(s + 2) x
f = det(A @ A^T)
g = x ⊗ y
h = norm(x)
J = a · x + b + sum(c) + f + sum(g) + h
gradient J wrt s, x
"""
SET = (
    r"a &= \left|x\right| \oslash y", r"b &= \frac{1}{2 s} \left|s\right|", r"c &= -\left(s + 2\right) x",
    r"f &= \det\left(A \, A^{\mathsf{T}}\right)", r"g &= x \, y^{\mathsf{T}}", r"h &= \sqrt{x \cdot x}",
)  # fmt: skip


def test_functions_have_the_signs_that_people_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "functions.brk"
    path.write_text(FUNCTIONS, encoding="utf-8")
    text = printed(["derive", str(path), "--definitions", "--format", "latex"], capsys)
    assert all(line in text for line in SET), text
