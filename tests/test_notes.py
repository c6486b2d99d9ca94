"""Notes about what is right and may not be meant, limits with the option that raises each, and files of derivations only."""

from __future__ import annotations

from pathlib import Path

import pytest

import bracketc as bc
from bracketc.cli import main
from bracketc.errors import LimitError, SourceError

HEAD = "dim I, J\ninput A : I, J\ninput x : J\n"


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("F = (A_ij | i)", ["label j occurs once in A_ij and is summed"]),
        ("F = (A_ij | )", ["label i occurs once in A_ij and is summed", "label j occurs once in A_ij and is summed"]),
        ("F = (A_ij x_j + A_ij | i)", ["label j occurs once in A_ij and is summed"]),
        ("F_i = A_ij x_k x_k", ["label j occurs once in A_ij and is summed"]),
        ("F = (sum[j](A_ij) | i)", []),
        ("F = (A_ij x_j | i)", []),
        ("F = (x_i**2 | )", []),
        ("F = (A_ij A_ij | )", []),
    ],
)
def test_a_label_that_is_dropped_after_one_occurrence_is_noted(text: str, noted: list[str]) -> None:
    notes = bc.parse(HEAD + text).notes
    assert [note.message for note in notes] == noted
    assert all(note.severity == "note" and note.span is not None and "sum[" in note.help for note in notes)


def test_the_command_line_shows_notes_unless_told_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.brk"
    path.write_text(HEAD + "F = (A_ij | )\ngradient F wrt A")
    assert main(["check", str(path), "--backend", "numpy"]) == 0
    captured = capsys.readouterr()
    assert f"{path}:4:6: note: label i occurs once in A_ij and is summed\n    4 | F = (A_ij | )" in captured.err
    assert "note" not in captured.out
    for quiet in ("-q", "--json"):
        assert main(["check", str(path), "--backend", "numpy", quiet]) == 0
        assert capsys.readouterr().err == ""


LIMITED = {
    "nesting": ("F = " + "(" * 30 + "x" + ")" * 30, 20, "an expression is nested more than 20 deep"),
    "max_members": ("param W[j] : J for j = 1..9\nF = W[1]", 5, "a family of more than 5 members"),
    "max_calls": ("function f(a) = a @ a^T\nfunction g(a) = f(a)\nfunction h(a) = g(a)\nF = h(x)", 2, "more than 2 deep"),
    "max_expressions": ("F = x + x + x + x", 3, "more than 3 expressions"),
}


@pytest.mark.parametrize("option", LIMITED)
def test_a_limit_names_the_option_that_raises_it(option: str) -> None:
    text, least, message = LIMITED[option]
    with pytest.raises(LimitError) as caught:
        bc.parse(HEAD + text, "<string>", **{option: least})
    (diagnostic,) = caught.value.diagnostics
    assert message in diagnostic.message and f"option {option}" in diagnostic.help and caught.value.exit_code == 4
    assert bc.parse(HEAD + text).results


def test_deeper_nesting_than_usual_can_be_asked_for() -> None:
    text = HEAD + "F = " + "(" * 500 + "x" + ")" * 500
    with pytest.raises(LimitError):
        bc.parse(text)
    assert bc.parse(text, nesting=2000).results
    assert bc.compile(text, backend="numpy", nesting=2000).SIGNATURE


def test_a_limit_that_does_not_exist_is_named() -> None:
    with pytest.raises(bc.BracketError, match="no limit 'depth'; there are max_axes, max_bytes"):
        bc.parse("F = 1", depth=3)


@pytest.mark.parametrize("command", ["check", "build", "explain"])
def test_a_file_of_derivations_says_which_command_is_meant(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rules.brk"
    path.write_text("input x : 3\nderivation { d(x · x) = 2 x · dx }")
    assert main([command, str(path)]) == 1
    captured = capsys.readouterr().err
    assert "holds derivations and defines nothing" in captured and f"bracketc verify {path}" in captured
    with pytest.raises(SourceError, match="holds derivations"):
        bc.load(path)
