"""The derivations of `examples/derivations/` are accepted, nine tenths of them proved; misprints are not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.format import format_file
from bracketc.lang.parser import parse_file
from bracketc.proof.verify import Judgement, verify_derivations

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "derivations"
FILES = sorted(FOLDER.glob("*.brk"))


def judged(source: Source) -> tuple[Judgement, ...]:
    proofs = verify_derivations(elaborate_derivations(parse_file(source)))
    return tuple(judgement for proof in proofs for judgement in proof.judgements)


@cache
def of_file(path: Path) -> tuple[Judgement, ...]:
    return judged(Source(path.read_text(encoding="utf-8"), path.name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_step_is_accepted(path: Path) -> None:
    assert [(step.claim.text, step.reason) for step in of_file(path) if not step.accepted] == []


def test_nine_steps_of_ten_are_proved() -> None:
    steps = [step for path in FILES for step in of_file(path)]
    assert len(FILES) >= 30 and len(steps) >= 400
    assert sum(step.verdict == "proved" for step in steps) >= 0.9 * len(steps)


MISPRINTS = sorted((FOLDER / "misprints").glob("*.brk"))


@pytest.mark.parametrize("path", MISPRINTS, ids=lambda path: path.stem)
def test_a_misprint_is_not_accepted(path: Path) -> None:
    """The second line of a file says which verdict the last step gets, and why."""
    verdict, reason = path.read_text(encoding="utf-8").splitlines()[1].removeprefix("# ").split(": ")
    *others, last = of_file(path)
    assert all(step.accepted for step in others)
    assert last.verdict == verdict and reason in last.reason, last.reason
    example = last.counterexample
    assert (example is not None) == (verdict == "refuted")
    assert example is None or example.left != example.right


@pytest.mark.parametrize("path", [*FILES, *MISPRINTS], ids=lambda path: path.stem)
def test_examples_are_formatted_and_say_what_they_show(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    source = Source(text, path.name)
    assert format_file(parse_file(source), source) == text
    assert text.startswith(f"# {path.name}: ")


PAGE = (FOLDER.parent.parent / "docs" / "derivations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", range(2))
def test_the_page_on_derivations_shows_what_is_accepted(number: int) -> None:
    source = Source(PAGE.split("```\n")[2 * number + 1], "derivations.md")
    steps = judged(source)
    assert steps and [(step.claim.text, step.reason) for step in steps if not step.accepted] == []
    assert format_file(parse_file(source), source) == source.text
