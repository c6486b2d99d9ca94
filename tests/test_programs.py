"""Whole programs printed in every notation: they read back to what they were."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_cases import CASES, _arrays

from bracketc import compiler
from bracketc.calculus.derivatives import expand_derivatives
from bracketc.cli import main
from bracketc.derivation import derived
from bracketc.emit.latex import document
from bracketc.emit.notation import FormName, StyleName
from bracketc.emit.programs import program_text
from bracketc.ir.interpret import interpret
from bracketc.ir.passes import over_program
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots
from bracketc.options import read_options
from bracketc.proof.expand import expand
from bracketc.simplify import simplify, stabilise

MODELS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parent.parent / "models").glob("*.brk"))}
FORMS: tuple[FormName, ...] = ("auto", "index", "bracket")


def canonical(program: Program) -> tuple[object, ...]:
    return expand(simplify(stabilise(Roots(tuple(node for _, node in program.results))))).nodes


def reread(program: Program, style: StyleName, form: FormName) -> Program:
    text = program_text(program, style, form)
    assert style != "ascii" or text.isascii() or not program.source.text.isascii()
    return over_program(compiler.parse(text), expand_derivatives)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_any_notation_is_the_same_model(name: str, form: FormName) -> None:
    program = compiler.parse(MODELS[name])
    back = reread(program, "ascii" if form == "auto" else "unicode", form)
    assert back.arguments == program.arguments and back.kinds == program.kinds
    assert [r for r, _ in back.results] == [r for r, _ in program.results]
    asked = [(r.kind, r.output, r.wrt, r.name, r.layout) for r in program.requests]
    assert [(r.kind, r.output, r.wrt, r.name, r.layout) for r in back.requests] == asked
    assert canonical(back) == canonical(program)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [name for name in CASES if "family" not in name])
def test_a_case_in_any_notation_has_the_same_value(name: str, form: FormName) -> None:
    program = over_program(compiler.parse(CASES[name]), expand_derivatives)
    back = reread(program, "unicode", form)
    if canonical(back) == canonical(program):
        return
    sizes = {size.name: size.value or 2 + number for number, size in enumerate(program.sizes)}
    values = _arrays(program)
    found = [interpret([n for _, n in p.results], {t: values[t.name] for t in p.arguments}, sizes) for p in (program, back)]
    for left, right in zip(*found, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)


def test_a_program_in_portions() -> None:
    program = compiler.parse(MODELS["single_layer"])
    lines = program_text(program, "unicode", "bracket").splitlines()
    assert "h = tanh(X_1 [~X_2 W_1] W_2 + 𝟏 b)" in lines and lines[-1] == "gradient J wrt W, b"


def test_members_of_families_get_names_of_their_own() -> None:
    text = "dim N, D\nparam W[j] : D, D for j = 1..2\ninput X : N, D\nZ[0] = X\nZ[j] = tanh(Z[j-1] @ W[j]) for j = 1..2\n"
    text += "J = norm2(Z[2])\n"
    printed = program_text(compiler.parse(text + "gradient J wrt W"))
    assert "Z2 = tanh(Z1 @ W2)" in printed and "gradient J wrt W1, W2" in printed
    assert canonical(compiler.parse(printed)) == canonical(compiler.parse(text))


def test_derive_prints_the_definitions_in_a_notation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "layer.brk"
    path.write_text(MODELS["single_layer"], encoding="utf-8")
    for form, line in (("auto", "h = tanh(X @ W + ones b)"), ("bracket", "h = tanh(X_1 [~X_2 W_1] W_2 + ones b)")):
        assert main(["derive", str(path), "--definitions", "--form", form, "--format", "ascii"]) == 0
        printed = capsys.readouterr().out
        assert line in printed.splitlines()
        assert canonical(compiler.parse(printed)) == canonical(compiler.parse(MODELS["single_layer"]))
    assert main(["derive", str(path), "--definitions", "--format", "latex"]) == 0
    assert capsys.readouterr().out.startswith("\\begin{align*}")


# ------------------------------------------------------------------------------------------------ LaTeX
LATEX = next((found for tool in ("pdflatex", "xelatex") if (found := shutil.which(tool))), None)


@pytest.mark.skipif(LATEX is None, reason="there is no pdflatex and no xelatex")
def test_latex_of_every_model_in_every_notation_compiles(tmp_path: Path) -> None:
    parts = []
    for text in MODELS.values():
        program = compiler.parse(text)
        for form in FORMS:
            parts.append(program_text(program, "latex", form))
        parts += [f.typeset for form in FORMS for f in derived(program, read_options({}, {}, None), "latex", form)]
    (tmp_path / "formulas.tex").write_text(document("formulas", "\n\n".join(parts)), encoding="utf-8")
    assert LATEX is not None
    command = [LATEX, "-interaction=nonstopmode", "-halt-on-error", "formulas.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
