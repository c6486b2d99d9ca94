"""Programs with closed forms: values in every notation, derivatives by every rule, the examples of the literature.

A file of ``cases/`` holds cases, each begun by a line ``#: title``. ``F`` is what a case is about; definitions ``same…`` equal it;
``byX`` is its derivative by X (the Jacobian, of a scalar the gradient), ``nablaX`` the generalised gradient.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bracketc as bc
from bracketc.errors import Source
from bracketc.ir.nodes import Tensor
from bracketc.ir.program import Program
from bracketc.lang.format import format_file
from bracketc.lang.parser import parse_file

FILES = sorted((Path(__file__).parent / "cases").glob("*.brk"))


def _cases() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in FILES:
        for part in re.split(r"(?m)^#: ", path.read_text(encoding="utf-8"))[1:]:
            title, _, body = part.partition("\n")
            name = f"{path.stem}: {title}"
            assert name not in found, name
            found[name] = body
    return found


CASES = _cases()


def _arrays(program: Program) -> dict[str, Any]:
    """Arguments with their traits; free sizes are pairwise different."""
    rng = np.random.default_rng(1)
    sizes = {spec.name: spec.value or 2 + number for number, spec in enumerate(program.sizes)}
    return {tensor.name: _draw(tensor, sizes, rng) for tensor in program.arguments}


def _draw(tensor: Tensor, sizes: dict[str, int], rng: np.random.Generator) -> Any:
    shape = tuple(extent.evaluate(sizes) for extent in tensor.shape)
    if tensor.bound is not None:
        return rng.integers(0, tensor.bound.evaluate(sizes), shape)
    array = np.asarray(rng.standard_normal(shape))
    match tensor.traits:
        case ("positive",):
            return np.abs(array) + 0.5
        case ("symmetric",):
            return array + array.T
        case ("positive definite",):
            return array @ array.T + np.eye(len(array))
        case ("onehot rows",):
            return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    assert not tensor.traits, tensor.traits
    return array


def _closed(program: Program) -> list[str]:
    return [name for name, _ in program.definitions if re.match(r"(same|by|nabla)", name)]


def _answers(body: str, backend: str) -> tuple[Any, dict[str, Any]]:
    """The value of F and its derivatives by name, against the closed forms by name: (F, {name: (found, closed)})."""
    closed = _closed(bc.parse(body))
    requests: list[str] = []
    for name in closed:
        if name.startswith("same"):
            continue
        gradient = name.startswith("nabla")
        argument = name.removeprefix("nabla").removeprefix("by")
        requests.append(f"jacobian F wrt {argument}{' layout gradient' if gradient else ''} as D{len(requests)}")
    source = "\n".join([body, f"output F, {', '.join(closed)}", *requests])
    program = bc.parse(source)
    arrays = _arrays(program)
    module = bc.compile(program, backend=backend)
    known = module.SIGNATURE["functions"]

    def call(name: str) -> Any:
        return getattr(module, name)(**{argument: arrays[argument] for argument in known[name]["arguments"]})

    outputs = call("evaluate")
    derivatives = iter([call(f"D{number}") for number in range(len(requests))])
    value = np.asarray(outputs[0])
    return value, {
        name: (value if name.startswith("same") else np.asarray(next(derivatives)), np.asarray(form))
        for name, form in zip(closed, outputs[1:], strict=True)
    }


@pytest.mark.parametrize("title", CASES)
def test_values_and_derivatives_have_their_closed_forms(title: str) -> None:
    _, found = _answers(CASES[title], "numpy")
    assert found, "no closed form"
    for name, (got, want) in found.items():
        assert got.shape == want.shape, f"{name}: {got.shape}, not {want.shape}"
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("title", [title for title in CASES if title.startswith("models")])
def test_the_examples_have_their_closed_forms_in_c(title: str) -> None:
    for name, (got, want) in _answers(CASES[title], "c")[1].items():
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("title", CASES)
def test_unicode_and_ascii_are_the_same_program(title: str) -> None:
    source = Source(CASES[title])
    tree = parse_file(source)
    programs = [bc.parse(format_file(tree, source, style)) for style in ("unicode", "ascii")]
    assert programs[0].definitions == programs[1].definitions == bc.parse(CASES[title]).definitions
    assert format_file(tree, source, "ascii").isascii()


def test_every_case_has_a_derivative_or_a_second_spelling() -> None:
    assert all(_closed(bc.parse(body)) for body in CASES.values())
