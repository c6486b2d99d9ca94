"""The text of derivations: what a reader gets for every model, worked example and kind of program.

That every step holds is tested in `test_derive_steps.py`; this says that the text stays. ``pytest --update-golden`` rewrites
`tests/cases/derivations.txt`.
"""

from __future__ import annotations

import pytest
from goldens import FOLDER, compare, sections
from modelcases import MODELS
from test_derive_steps import HEAD, JACOBIANS, PROGRAMS, RECURRENCES, RULES, SCALAR, layers, presented

from bracketc.emit.steps import derivation_block
from bracketc.proof.jacobian import present_jacobian

TEXTS = FOLDER / "derivations.txt"

CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    **{name: (path.read_text(encoding="utf-8"), "J", ()) for name, path in MODELS.items()},
    **{f"example {name}": (text, "F", ()) for name, text, _ in SCALAR},
    **{name: (text, "J", ()) for name, text in (PROGRAMS | RECURRENCES).items()},
    **{f"by {name}: {line}": (HEAD + line, "F", (name,)) for line, name, *_ in RULES},
    "one member of a family": (PROGRAMS["residual layers"], "J", ("W[2]",)),
    "two members of a family": (PROGRAMS["residual layers"], "J", ("W[1]", "W[4]")),
}
SLOPES = {f"{name}: {line}".replace("\n", ", "): (line, name) for line, name, *_ in JACOBIANS}
NAMES = [*CASES, *(f"jacobian by {name}" for name in SLOPES)]


def test_every_text_is_that_of_a_case() -> None:
    assert list(sections(TEXTS)) == NAMES


@pytest.mark.parametrize("name", CASES)
def test_the_derivation_of_a_gradient(name: str, update_golden: bool) -> None:
    text, target, wrt = CASES[name]
    compare(TEXTS, NAMES, name, derivation_block(presented(text, target, *wrt)), update_golden)


@pytest.mark.parametrize("name", SLOPES)
def test_the_derivation_of_a_jacobian(name: str, update_golden: bool) -> None:
    line, wrt = SLOPES[name]
    text = derivation_block(present_jacobian(layers(HEAD + line), "F", [wrt]))
    compare(TEXTS, NAMES, f"jacobian by {name}", text, update_golden)
