"""Pages of derivatives: real mathematics, graphs, plan and check in one file that needs no network."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from htmlpages import outside, read_page

from bracketc.cli import main
from bracketc.cli.pages import check_view, derive_page
from bracketc.compiler import load, parse
from bracketc.derivation import answers, derive
from bracketc.emit.formulas import FormName, equations
from bracketc.emit.mathml import MathML, identifier, math, piece
from bracketc.emit.notation import Text
from bracketc.options import read_options

ROOT = Path(__file__).resolve().parent.parent
REGRESSION = """dim N, D
input X : N, D
input y : N
param w : D
r = X @ w - y
J = (1/N) (r · r)
gradient J wrt w
"""
PAYLOADS = ["<script>alert`1`</script>", '"><img src=x onerror=alert`1`>', "</style></math>&amp;", "\u202eevil"]


def page_of(text: str, filename: str = "model.brk") -> str:
    program = parse(text, filename)
    options = read_options({})
    return derive_page(program, options, answers(program, options))


@pytest.mark.parametrize("model", ["linear", "classifier", "recurrent", "factorisation"])
def test_a_page_is_balanced_and_needs_nothing_from_elsewhere(model: str) -> None:
    program = load(ROOT / "models" / f"{model}.brk")
    options = read_options({})
    text = derive_page(program, options, answers(program, options))
    reading = read_page(text)
    assert reading.mistakes == []
    assert outside(reading) == []
    assert len(reading.of("math")) > 5
    assert len(reading.of("svg")) > 1
    assert str(ROOT) not in text
    assert len(text) < 300_000


def test_the_page_shows_formulas_graphs_plan_and_check() -> None:
    reading = read_page(page_of(REGRESSION))
    titles = [e.text for e in reading.of("h2")]
    assert titles == ["Program", "Derivatives", "Plan", "Gradient check"]
    assert "∇[w](J)" in [e.attributes.get("alttext") for e in reading.of("math")]
    label = reading.of("svg")[0].attributes["aria-label"]
    assert "summed" in label and "free, axis 1 of the result" in label
    assert "✓ ok" in reading.text and "flop" in reading.text


def test_the_same_source_gives_the_same_page() -> None:
    assert page_of(REGRESSION) == page_of(REGRESSION)


def test_the_page_does_not_depend_on_the_hash_seed() -> None:
    command = [sys.executable, "-m", "bracketc", "derive", "models/classifier.brk", "--steps", "--format", "html"]
    pages = []
    for seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        pages.append(done.stdout)
    assert pages[0] == pages[1] and "✓ proved" in pages[0]


def test_no_folder_of_the_file_is_in_the_page() -> None:
    text = page_of(REGRESSION, "/a/secret/model.brk")
    assert "secret" not in text and "<h1>model.brk</h1>" in text


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_name_of_a_file_stays_text(payload: str) -> None:
    reading = read_page(page_of(REGRESSION, f"{payload}.brk".replace("/", "")))
    assert reading.mistakes == []
    assert outside(reading) == []
    assert len(reading.of("script")) == 1
    assert "\u202e" not in reading.text


@pytest.mark.parametrize("name", ["é", "λ", "ñu", "Ω", "weight"])
def test_names_with_accents_and_in_greek_are_shown(name: str) -> None:
    text = page_of(REGRESSION.replace("param w", f"param {name}").replace("@ w", f"@ {name}").replace("wrt w", f"wrt {name}"))
    assert f"<mi>{name}</mi>" in text
    assert read_page(text).mistakes == []


def test_only_the_script_of_the_page_may_run() -> None:
    reading = read_page(page_of(REGRESSION))
    (policy,) = [e.attributes["content"] for e in reading.of("meta") if e.attributes.get("http-equiv")]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy


def test_a_check_that_means_nothing_says_why() -> None:
    program = parse("input x : scalar positive\nJ = ln(0 - x)\ngradient J wrt x")
    view = check_view(program, read_options({}), {})
    assert view.rows == () and "undefined" in view.note


def test_the_command_prints_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "model.brk"
    source.write_text(REGRESSION, encoding="utf-8")
    assert main(["derive", str(source), "--format", "html"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("<!DOCTYPE html>") and str(tmp_path) not in text


# ------------------------------------------------------------------------------------------------ MathML
@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("t-1", "<mrow><mi>t</mi><mo>−</mo><mn>1</mn></mrow>"),
        ("<mi>X</mi>", "<mi>X</mi>"),
        ("-<mi>X</mi>", "<mrow><mo>−</mo><mi>X</mi></mrow>"),
        ("<mi>X</mi><mi>Y</mi>", "<mrow><mi>X</mi><mi>Y</mi></mrow>"),
        ("2 N", "<mrow><mn>2</mn><mi>N</mi></mrow>"),
        ("", "<mrow></mrow>"),
    ],
)
def test_text_and_markup_become_one_element(text: str, markup: str) -> None:
    assert piece(text) == markup


def test_names_have_digits_below_and_primes_above() -> None:
    assert identifier("W12'") == "<msubsup><mi>W</mi><mn>12</mn><mo>′</mo></msubsup>"


def test_a_sum_of_a_negative_term_is_a_difference() -> None:
    n = MathML()
    text = n.sum([n.name("A"), n.negative(n.name("B"))]).text
    assert text == "<mrow><mi>A</mi><mo>−</mo><mi>B</mi></mrow>"


def test_every_operand_of_a_power_is_one_element() -> None:
    n = MathML()
    product = n.matrix_product([n.name("A"), n.name("B")])
    assert n.transpose(product).body.startswith("<msup><mrow><mo ")
    assert len(ET.fromstring(n.transpose(product).body)) == 2


def test_the_alternative_text_is_escaped() -> None:
    assert 'alttext="a &lt; &quot;b&quot;"' in math("<mi>a</mi>", 'a < "b"')


@pytest.mark.parametrize("form", ["auto", "index", "bracket"])
def test_all_formulas_of_all_models_are_well_formed(form: FormName) -> None:
    for path in sorted((ROOT / "models").glob("*.brk")):
        program = load(path)
        options = read_options({})
        for answer in answers(program, options):
            for equation in equations(answer.roots("mathml"), answer.names, "mathml", form, answer.taken):
                for part in (equation.left, equation.right, equation.condition):
                    root = ET.fromstring(f"<math>{piece(part)}</math>")
                    for element in root.iter():
                        wanted = {"msub": 2, "msup": 2, "msubsup": 3, "mfrac": 2, "mover": 2, "munder": 2}.get(element.tag)
                        assert wanted in (None, len(element)), ET.tostring(element, encoding="unicode")


def test_a_text_of_the_source_is_never_markup() -> None:
    assert MathML().name("<b>").text.count("<b>") == 0
    assert MathML().call("f", [Text("x")]).text.startswith("<mrow><mi")


def test_graphs_are_those_of_the_brackets_that_are_shown() -> None:
    program = load(ROOT / "models" / "mixture.brk")
    (view,) = derive(program).views()
    shown = " ".join(str(equation.right) for equation in view.equations)
    titles = [figure.title for figure in view.figures]
    assert "(E_kji softmax^1(Q)_ki G_ij | ij)" in titles
    assert not any("(E_ijk softmax^1(Q)_ik G_kj | ijk)" in title for title in titles)  # multiplied out in the formula
    assert len(set(titles)) == len(titles) and "G" in shown


def test_functions_have_the_signs_that_people_write() -> None:
    from test_latex import FUNCTIONS

    page = page_of(FUNCTIONS)
    formulas = [part.split("</math>", 1)[0] for part in page.split("<math")[1:]]
    assert formulas and all(ET.fromstring(f"<math{formula}</math>") is not None for formula in formulas)
    text = "".join(formulas)
    assert "<mo>|</mo>" in text or '">|</mo>' in text, text[:2000]
    assert "<mo>⊘</mo>" in text and "<msqrt>" in text and "<mfrac>" in text
