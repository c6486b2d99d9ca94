"""Parts of one C text compiled by several compilers at the same time are the text compiled at once."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ckernels import needs_compiler

import bracketc as bc
from bracketc.compiler import Emitted, emit, stages
from bracketc.options import Options, read_options
from bracketc.runtime.extension import build_extension, import_file

pytestmark = needs_compiler

LAYER = "dim N, D, H\ninput A : N, D\nparam W : D, H\nparam b : H\nJ = sum(tanh(A @ W + 𝟏 b))\noutput J\ngradient J wrt W, b\n"
OPTIONS = read_options({})


def emitted(text: str, options: Options = OPTIONS) -> Emitted:
    program = bc.parse(text)
    return emit(stages(program, options), "model", options)


def built(text: Emitted, folder: Path, apart: bool) -> Any:
    folder.mkdir()
    assert text.glue is not None
    build_extension("model", text.files, replace(text.glue, products=apart), OPTIONS, folder)
    return import_file("model", folder / "model.py")


def test_parts_compiled_apart_compute_what_the_whole_text_does_to_the_bit(tmp_path: Path) -> None:
    text = emitted(LAYER)
    assert text.glue is not None and text.glue.products
    apart, whole = built(text, tmp_path / "apart", True), built(text, tmp_path / "whole", False)
    draws = np.random.default_rng(0)
    for n, d, h in ((1, 5, 3), (7, 3, 20), (150, 40, 33), (60, 300, 600)):
        arrays = draws.normal(size=(n, d)), draws.normal(size=(d, h)) / d, draws.normal(size=h)
        one, other = apart.value_and_grad(*arrays), whole.value_and_grad(*arrays)
        assert one.value == other.value
        assert all(np.array_equal(a, b) for a, b in zip(one.gradients, other.gradients, strict=True))
    library = next((tmp_path / "apart").glob("*.so"))
    symbols = ctypes.CDLL(str(library))
    assert hasattr(symbols, "model_evaluate")
    assert not hasattr(symbols, "model_brk_contract_f64"), "what parts share is seen by nobody else"


def test_a_text_without_products_has_no_parts() -> None:
    text = emitted("dim N\ninput x : N\nJ = sum(exp(x))\noutput J\ngradient J wrt x\n")
    assert text.glue is not None and not text.glue.products
    assert "BRK_ONLY" not in text.files["model.c"]


def test_entries_that_are_more_of_the_text_than_the_kernels_are_compiled_first() -> None:
    short, long = emitted(LAYER), emitted("".join(f"{line}\n" for line in deep(12)))
    assert short.glue is not None and not short.glue.long_entries
    assert long.glue is not None and long.glue.long_entries


def deep(layers: int) -> list[str]:
    """A network of many layers."""
    parameters = [f"param W{k} : H, H" for k in range(layers)]
    states = [f"Z{k + 1} = tanh(Z{k} @ W{k})" for k in range(layers)]
    wrt = ", ".join(f"W{k}" for k in range(layers))
    return ["dim N, H", "input Z0 : N, H", *parameters, *states, f"J = sum(Z{layers})", f"gradient J wrt {wrt}"]
