"""The functions of programs after simplification, node by node, in `tests/cases/simplified.txt`: no work is added or done twice.

That values stay is tested elsewhere; this says that the form stays, where another one would be right and slower.
``pytest --update-golden`` rewrites the texts.
"""

from __future__ import annotations

import pytest
from goldens import FOLDER, compare, sections
from test_derive_steps import PROGRAMS, SCALAR, layers
from test_structure import ARGUMENTS
from test_structure import CASES as STRUCTURES

import bracketc as bc
from bracketc.compiler import _stored, derive
from bracketc.ir.printer import print_roots
from bracketc.ir.reader import read_roots
from bracketc.options import Options

TEXTS = FOLDER / "simplified.txt"


def requested(text: str, target: str) -> str:
    """``text`` with the gradient by every parameter, and a tangent and second derivatives by the first of them."""
    found = layers(text)
    names = [tensor.name for tensor in found.arguments if found.kinds[tensor.name] == "param"]
    return f"{text}\ngradient {target} wrt {', '.join(names)}\njvp {target} wrt {names[0]}\nhessian {target} wrt {names[0]}\n"


CASES = {
    **{f"example {name}": requested(text, "F") for name, text, _ in SCALAR},
    **{name: requested(text, "J") for name, text in PROGRAMS.items()},
    **{f"structure: {name}": f"{ARGUMENTS}{line}\n{request}\n" for name, (line, request, _) in STRUCTURES.items()},
}


def test_every_text_is_that_of_a_case() -> None:
    assert list(sections(TEXTS)) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_form_of_a_program(name: str, update_golden: bool) -> None:
    functions = _stored(derive(bc.parse(CASES[name]), Options())).entries
    roots = [node for function in functions for _, node in function.results]
    text = print_roots(roots)
    assert read_roots(text) == tuple(roots)
    compare(TEXTS, list(CASES), name, text, update_golden)
