"""What a reader is told about a wrong step: point, entry, terms and the change that mends it, in `tests/cases/refutations.txt`.

``pytest --update-golden`` rewrites the texts.
"""

from __future__ import annotations

import pytest
from goldens import FOLDER, compare, sections
from test_counterexamples import TERMS, judged
from test_verify_mutants import MENDS, UNREAD, refuted

TEXTS = FOLDER / "refutations.txt"
MORE = (
    "A @ x = A @ x + A @ x",
    "x^T @ T_231 = A",
    "S @ S @ a = S @ S @ a + a ⊙ a",
    "A @ x - A @ b = A @ b - A @ x",
    "A @ x - a = A @ x - a - a",
    "(x · b) a = (x · b) a + (x · c) a - a",
    "a ⊘ a = 2 (a ⊘ a) + a",
    "exp(a) ⊙ exp(-a) = a ⊘ a + a",
    "ln(a ⊙ a) = 2 ln(a) + a",
    "sqrt(-exp(a)) = a",
    "A @ (x + 1e-5 b) = A @ x",
    "tr(S) = tr(S^T @ S)",
    "x x^T = x b^T",
    "inv(S) @ S @ S = S^T",
    "d(A @ x) = A @ db",
    "A @ (x + (5/7) b) = A @ x + A @ b",
    "sin(a) ⊙ sin(a) ⊙ a = a - cos(a) ⊙ cos(a) ⊙ a",
    "∇[x](x · x) = x",
)
CASES = {
    **dict.fromkeys((*MENDS, *UNREAD, *MORE), refuted),
    **{f"of two vectors: {step}": judged for step in TERMS},
}


def test_every_text_is_that_of_a_case() -> None:
    assert list(sections(TEXTS)) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_about_a_step(name: str, update_golden: bool) -> None:
    found = CASES[name](name.removeprefix("of two vectors: "))
    lines = [f"{found.verdict}: {found.reason}", *(diagnostic.render() for diagnostic in found.diagnostics)]
    if found.counterexample is not None:
        lines.append(f"sizes {dict(found.counterexample.sizes)}, entry {found.counterexample.entry}")
    compare(TEXTS, list(CASES), name, "\n".join(lines), update_golden)
