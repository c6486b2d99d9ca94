"""Programs, derivatives and verdicts show themselves as mathematics in notebooks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from htmlpages import outside, read_page

import bracketc as bc

ROOT = Path(__file__).resolve().parent.parent
SOURCE = """dim N, D
input X : N, D
input y : N
param w : D
r = X @ w - y
J = 0.5 (r · r)
gradient J wrt w

derivation of J wrt w {
  dJ = r · (X @ dw)
     = (X^T @ r) · dw
  ⟹ ∇[w](J) = X^T @ r
}
"""


def test_a_program_is_mathematics() -> None:
    program = bc.parse(SOURCE)
    html, latex = program._repr_html_(), program._repr_latex_()
    assert html is not None and latex is not None
    reading = read_page(html)
    assert reading.mistakes == [] and outside(reading) == [] and len(reading.of("math")) == 6
    assert latex.startswith("$$\\begin{aligned}") and r"\in {\mathbb{R}}^{N\times D}" in latex


def test_derivatives_are_formulas_in_every_form() -> None:
    derivation = bc.derive(SOURCE)
    assert str(derivation).splitlines()[1:] == ["∇[w](J) = X^T @ r  # D"]
    assert derivation.text("ascii").splitlines()[1:] == ["grad[w](J) = X^T @ r  # D"]
    assert len(derivation) == 1 and str(derivation[0]) == str(derivation)
    assert r"\nabla_{w} J" in derivation._repr_latex_() == derivation[0]._repr_latex_()
    reading = read_page(derivation._repr_html_())
    assert reading.mistakes == [] and outside(reading) == []
    assert reading.of("svg") and "∇[w](J)" in [e.attributes.get("alttext") for e in reading.of("math")]


def test_derivatives_by_other_names() -> None:
    assert "Jac[X](r)" in str(bc.derive(bc.parse(SOURCE), of="r", wrt=["X"]))
    assert "∇[r](J) = r" in str(bc.derive(SOURCE, of="J", wrt="r"))
    with pytest.raises(bc.SourceError, match="no such definition"):
        bc.derive(SOURCE, of="Q")
    with pytest.raises(bc.SourceError, match="asks for no derivative"):
        bc.derive("input x : scalar\nJ = x")


def test_verdicts_are_text_and_mathematics() -> None:
    verified = bc.verify(SOURCE)
    assert verified.accepted and len(verified) == 1
    assert dict(verified.counts) == {"proved": 3, "confirmed": 0, "refuted": 0, "rejected": 0}
    assert str(verified).splitlines()[-1] == "3 steps: 3 proved"
    reading = read_page(verified._repr_html_())
    assert reading.mistakes == [] and outside(reading) == []
    assert verified[0]._repr_latex_() == verified._repr_latex_()
    assert [j.verdict for j in verified.judgements] == ["proved"] * 3


def test_a_wrong_step_is_not_accepted() -> None:
    verified = bc.verify(SOURCE.replace("⟹ ∇[w](J) = X^T @ r", "⟹ ∇[w](J) = 2 X^T @ r"))
    assert not verified.accepted and verified.counts["refuted"] == 1
    assert "refuted" in str(verified) and "✗ refuted" in read_page(verified._repr_html_()).text


def test_files_of_derivations_alone_are_verified_by_path() -> None:
    verified = bc.verify(ROOT / "examples" / "derivations" / "neuron.brk")
    assert verified.accepted and len(verified) > 1
    assert [len(one) for one in verified] == [1] * len(verified)
    with pytest.raises(bc.SourceError, match="cannot read"):
        bc.verify(Path("nowhere.brk"))


def test_names_are_escaped_in_every_representation() -> None:
    text = SOURCE.replace("dw\n", "dw   [by <img src=x onerror=y>]\n", 1)
    assert outside(read_page(bc.verify(text)._repr_html_())) == []


def test_importing_bracketc_imports_nothing_that_shows() -> None:
    code = "import bracketc, sys; print([m for m in sys.modules if m.startswith('bracketc.emit') or m in ('numpy', 'jinja2')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------ IPython
def test_ipython_shows_them() -> None:
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    program = bc.parse(SOURCE)
    for shown in (program, bc.derive(program), bc.derive(program)[0], bc.verify(program)):
        data, _ = shell.display_formatter.format(shown)
        assert "<math" in data["text/html"] and data["text/latex"].startswith("$$")


def test_a_cell_is_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "bracketc.adapters.notebook")
    shown = shell.run_cell_magic("brk", "model", SOURCE)
    assert isinstance(shell.user_ns["model"], bc.Program)
    reading = read_page(shown._repr_html_())
    assert [e.text for e in reading.of("h2")] == ["Program", "Derivatives", "Derivations"]
    assert "3 steps: 3 proved" in repr(shown)
    assert shell.run_cell_magic("brk", "", "J = x^2") is None
    assert "^ is no power" in capsys.readouterr().out


def test_a_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_code_cell(f"import bracketc as bc\nprogram = bc.parse({SOURCE!r})\nprogram"),
        nbformat.v4.new_code_cell("bc.derive(program)"),
        nbformat.v4.new_code_cell("bc.verify(program)"),
    ]
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    for cell in book.cells:
        (output,) = cell.outputs
        assert "<math" in output.data["text/html"] and output.data["text/latex"].startswith("$$")


# ------------------------------------------------------------------------------------------------ docs/output.md
def test_the_session_of_the_page_gives_what_stands_there() -> None:
    import doctest

    text = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
    session = text.split("```pycon\n")[1].split("```")[0]
    test = doctest.DocTestParser().get_doctest(session, {}, "output.md", "output.md", 0)
    results = doctest.DocTestRunner().run(test)
    assert results.attempted == 6 and results.failed == 0
